//! `CLIENT KILL`: ends connections.

use std::sync::Arc;

use super::client_type;
use crate::base::clock::UnixMillis;
use crate::base::number;
use crate::handler::session::Then;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::Services;
use crate::services::acl::user::User;
use crate::services::clients::{Class, Client, ClientId};

/// Which connections are to end: those that match all that is asked for.
#[derive(Default)]
struct Filter<'a> {
    id: Option<i64>,
    class: Option<Class>,
    user: Option<Arc<User>>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    /// At least so many seconds old.
    age: Option<i64>,
    /// The connection that asks is spared.
    spared: Option<ClientId>,
}

impl Filter<'_> {
    fn matches(&self, client: &Client, now: UnixMillis) -> bool {
        let is_id = |id: i64| u64::try_from(id).is_ok_and(|id| client.id == ClientId(id));
        let age = now.seconds() - client.connected_at.seconds();
        self.id.is_none_or(is_id)
            && self.class.is_none_or(|class| class == client.class())
            && self.user.as_ref().is_none_or(|user| user.name() == client.user_name())
            && self.address.is_none_or(|address| client.address.as_bytes() == address)
            && self.local_address.is_none_or(|address| client.local_address.as_bytes() == address)
            && self.age.is_none_or(|least| age >= least)
            && self.spared != Some(client.id)
    }
}

/// `CLIENT KILL ip:port` -> OK: ends that connection, an error if there is none.
/// `CLIENT KILL [ID id] [TYPE type] [USER name] [ADDR ip:port] [LADDR ip:port] [SKIPME YES|NO] [MAXAGE seconds] ...` ->
/// integer: how many connections end because they match all that is given.
///
/// The connection that asks ends after its reply, but only if `SKIPME NO` says that it may.
pub fn kill(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let is_old_form = args.remaining() == 1;
    let filter = if is_old_form {
        Filter { address: Some(args.next_bytes()?), ..Filter::default() }
    } else {
        parse(ctx.services, args, ctx.session.client.id)?
    };
    let clients = ctx.services.clients.all();
    let killed: Vec<&Arc<Client>> = clients.iter().filter(|client| filter.matches(client, ctx.now)).collect();
    if is_old_form && killed.is_empty() {
        return Err(CommandError::Fixed("ERR No such client"));
    }
    for client in &killed {
        if client.id == ctx.session.client.id {
            ctx.session.then = Then::Close;
        } else {
            client.mailbox.close();
        }
    }
    if is_old_form {
        ctx.reply.ok();
    } else {
        ctx.reply.count(killed.len());
    }
    Ok(())
}

fn parse<'a>(services: &Services, args: &mut Args<'a>, own: ClientId) -> Result<Filter<'a>, CommandError> {
    let mut filter = Filter { spared: Some(own), ..Filter::default() };
    while !args.is_empty() {
        if args.remaining() < 2 {
            return Err(CommandError::Syntax);
        }
        if args.take_word("id") {
            let id = number::parse_i64(args.next_bytes()?).filter(|&id| id > 0);
            filter.id = Some(id.ok_or(CommandError::Fixed("ERR client-id should be greater than 0"))?);
        } else if args.take_word("type") {
            filter.class = Some(client_type(args.next_bytes()?)?);
        } else if args.take_word("addr") {
            filter.address = Some(args.next_bytes()?);
        } else if args.take_word("laddr") {
            filter.local_address = Some(args.next_bytes()?);
        } else if args.take_word("user") {
            let name = args.next_bytes()?;
            let user = services.acl.find(name);
            filter.user = Some(user.ok_or_else(|| CommandError::quoting("ERR No such user '", name, "'"))?);
        } else if args.take_word("skipme") {
            if args.take_word("yes") {
                filter.spared = Some(own);
            } else if args.take_word("no") {
                filter.spared = None;
            } else {
                return Err(CommandError::Syntax);
            }
        } else if args.take_word("maxage") {
            let age = number::parse_i64(args.next_bytes()?)
                .ok_or(CommandError::Fixed("ERR maxage is not an integer or out of range"))?;
            if age <= 0 {
                return Err(CommandError::Fixed("ERR maxage should be greater than 0"));
            }
            filter.age = Some(age);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(filter)
}
