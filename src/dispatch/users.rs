//! What the gate asks of users' rules, and what becomes of those who are refused.

use crate::handler::{Args, CommandError, Session, Spec};
use crate::services::Services;
use crate::services::acl::log::{Event, Reason};
use crate::services::acl::request::Denial;
use crate::services::stats::CommandId;

/// Whether the client's user may run a request; to be asked only if not everything is open to the client.
#[cold]
pub(super) fn check(
    services: &Services,
    session: &mut Session,
    (spec, id): (&Spec, CommandId),
    args: Args<'_>,
) -> Result<(), Denial> {
    session.access.refresh(&services.acl);
    session.access.check(&spec.acl_request(id, args, &services.acl))
}

/// The error for a client that may not run a request.
pub(super) fn refusal(
    services: &Services,
    session: &Session,
    command: (&'static Spec, CommandId),
    args: Args<'_>,
    denial: Denial,
) -> CommandError {
    match denial {
        Denial::Command => {
            let user = session.access.user().name();
            let command = name(services, command, args).as_bytes();
            let text = [b"NOPERM User ", user, b" has no permissions to run the '", command, b"' command"];
            CommandError::text(text.concat())
        }
        Denial::Key(_) => CommandError::Fixed("NOPERM No permissions to access a key"),
        Denial::Channel(_) => CommandError::Fixed("NOPERM No permissions to access a channel"),
    }
}

/// The error, in the reply of EXEC, for a command that was allowed when it was queued.
pub(super) fn late_refusal(denial: Denial) -> CommandError {
    let reason = match denial {
        Denial::Command => "no permission to execute the command or subcommand",
        Denial::Key(_) => "no permission to touch the specified keys",
        Denial::Channel(_) => "no permission to access one of the channels used as arguments",
    };
    CommandError::text(format!(
        "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is \
         no longer allowed for the following reason: {reason}"
    ))
}

/// Notes in ACL LOG that a request was refused.
pub(super) fn log(
    services: &Services,
    session: &Session,
    command: (&'static Spec, CommandId),
    args: Args<'_>,
    denial: Denial,
) {
    let (reason, object) = match denial {
        Denial::Command => (Reason::Command, name(services, command, args).as_bytes()),
        Denial::Key(at) => (Reason::Key, args.at(at).unwrap_or_default()),
        Denial::Channel(at) => (Reason::Channel, args.at(at).unwrap_or_default()),
    };
    let now = services.clock.now();
    let event = Event {
        reason,
        in_multi: session.transaction.is_some() || session.is_executing,
        object: object.to_vec(),
        username: session.access.user().name().to_vec(),
        client: session.client.describe(services, now),
    };
    services.acl.log.add(event, now, services.config.acllog_max_len());
}

/// The name of a command by which rules tell it from others.
fn name(services: &Services, (spec, id): (&'static Spec, CommandId), args: Args<'_>) -> &'static str {
    services.acl.known().name_of_served(id, args.at(1)).unwrap_or(spec.full_name)
}
