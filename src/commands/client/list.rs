//! `CLIENT LIST` and `CLIENT INFO`: what connections are and do.

use super::client_type;
use crate::base::number;
use crate::handler::{Args, CommandError, Context, Outcome};

/// `CLIENT INFO` -> text: one line about this connection.
pub fn info(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let mut text = ctx.session.client.describe(ctx.services, ctx.now);
    text.push(b'\n');
    ctx.reply.verbatim(&text);
    Ok(())
}

/// `CLIENT LIST [TYPE type] [ID id [id ...]]` -> text: one line for each connection.
pub fn list(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let mut clients = ctx.services.clients.all();
    if args.remaining() == 2 && args.take_word("type") {
        let class = client_type(args.next_bytes()?)?;
        clients.retain(|client| client.class() == class);
    } else if args.remaining() > 1 && args.take_word("id") {
        let mut ids = Vec::with_capacity(args.remaining());
        for id in args.rest() {
            ids.push(number::parse_i64(id).ok_or(CommandError::Fixed("ERR Invalid client ID"))?);
        }
        clients.retain(|client| i64::try_from(client.id.0).is_ok_and(|id| ids.contains(&id)));
    } else if !args.is_empty() {
        return Err(CommandError::Syntax);
    }
    let mut text = Vec::new();
    for client in &clients {
        text.extend_from_slice(&client.describe(ctx.services, ctx.now));
        text.push(b'\n');
    }
    ctx.reply.verbatim(&text);
    Ok(())
}
