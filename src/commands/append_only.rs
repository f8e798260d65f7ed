//! The command for the append-only file.

use crate::handler::{Args, CommandError, Context, Outcome};
use crate::services::append_only::Requested;

/// `BGREWRITEAOF` -> status: the append-only file is being rewritten as what the data is now, or will be as soon as a snapshot
/// that is being written, or a transaction, lets it.
pub fn bgrewriteaof(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    match ctx.services.request_rewrite(!ctx.session.is_executing) {
        Requested::Started => ctx.reply.simple("Background append only file rewriting started"),
        Requested::Scheduled => ctx.reply.simple("Background append only file rewriting scheduled"),
        Requested::Runs => {
            return Err(CommandError::Fixed("ERR Background append only file rewriting already in progress"));
        }
    }
    Ok(())
}
