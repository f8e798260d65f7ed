//! What the gate refuses because of the state of what is kept.

use super::observe;
use crate::commands::table;
use crate::handler::{CommandError, CommandFlags, Session, Spec};
use crate::services::Services;
use crate::services::persistence::{Hindrances, save_points};
use crate::services::stats::CommandId;

const MISCONF: CommandError = CommandError::Fixed(
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may \
     modify the data set are disabled, because this instance is configured to report errors during writes if RDB \
     snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.",
);

/// The error for a command that has to wait for better times, if it has to.
#[cold]
pub(super) fn refusal(
    services: &Services,
    session: &Session,
    (spec, id): (&Spec, CommandId),
    hindrances: Hindrances,
) -> Option<CommandError> {
    if hindrances.contains(Hindrances::SNAPSHOT_FAILED)
        && services.config.stop_writes_on_bgsave_error()
        && !save_points(&services.config).is_empty()
    {
        let flags = observe::flags_with_queue(session, spec, id);
        if flags.contains(CommandFlags::WRITE) || id == table::Command::Ping.id() {
            return Some(MISCONF);
        }
    }
    if let Some(why) = services.append_only.log.trouble()
        && (observe::flags_with_queue(session, spec, id).contains(CommandFlags::WRITE)
            || id == table::Command::Ping.id())
    {
        return Some(CommandError::text(format!("MISCONF Errors writing to the AOF file: {why}")));
    }
    if hindrances.contains(Hindrances::TOO_FEW_REPLICAS)
        && observe::flags_with_queue(session, spec, id).contains(CommandFlags::WRITE)
    {
        return Some(CommandError::Fixed("NOREPLICAS Not enough good replicas to write."));
    }
    if hindrances.contains(Hindrances::LOADING) && !spec.flags.contains(CommandFlags::LOADING) {
        return Some(CommandError::Fixed("LOADING Redis is loading the dataset in memory"));
    }
    None
}
