//! Which shards a command, or a whole transaction, must hold to be atomic.

use crate::base::number;
use crate::commands::table;
use crate::handler::session::Transaction;
use crate::handler::{Args, CommandFlags, Reach, Spec};
use crate::services::Services;
use crate::services::stats::CommandId;
use crate::store::Lock;

/// Whether a command that comes by itself touches several places, which must be locked together. RENAME, COPY and MOVE
/// lock their two keys themselves.
pub(super) fn needs_locks(spec: &Spec, id: CommandId, args: Args<'_>) -> bool {
    match spec.reach {
        Reach::Keys => args.argc() > 2 && spec.keys.first().is_some_and(|keys| keys.last != 0),
        Reach::KeysElsewhere => false,
        // The count of keys moves twice in a RENAME and many times in EXEC: DBSIZE must not look in between.
        Reach::Database => spec.flags.contains(CommandFlags::WRITE) || id == table::Command::DbSize.id(),
        Reach::NamedDatabases | Reach::Everything => spec.flags.contains(CommandFlags::WRITE),
    }
}

/// What one command touches when `database` is selected.
pub(super) fn of_command<'a>(services: &Services, database: usize, spec: &Spec, args: Args<'a>) -> Vec<Lock<'a>> {
    let named = || args.argv().filter_map(|argument| database_named(services, argument));
    let keys = || spec.key_positions(args.argc(), move |at| args.at(at)).filter_map(|(at, _)| args.at(at));
    match spec.reach {
        Reach::Keys => keys().map(|key| Lock::Key(database, key)).collect(),
        // An argument that is no index but reads as one locks a shard too many, which does no harm.
        Reach::KeysElsewhere => std::iter::once(database)
            .chain(named())
            .flat_map(|database| keys().map(move |key| Lock::Key(database, key)))
            .collect(),
        Reach::Database => vec![Lock::Database(database)],
        Reach::NamedDatabases => named().map(Lock::Database).collect(),
        Reach::Everything => vec![Lock::Everything],
    }
}

/// What a transaction touches, its watched keys included: SELECT in it changes where what follows happens.
pub(super) fn of_transaction<'a>(
    services: &Services,
    mut database: usize,
    transaction: &'a Transaction,
    watched: impl Iterator<Item = (usize, &'a [u8])>,
) -> Vec<Lock<'a>> {
    let mut locks: Vec<Lock<'a>> = watched.map(|(database, key)| Lock::Key(database, key)).collect();
    for queued in &transaction.queue {
        let args = queued.args.as_args();
        if queued.id == table::Command::Select.id() {
            database = args.at(1).and_then(|index| database_named(services, index)).unwrap_or(database);
        }
        locks.extend(of_command(services, database, queued.spec, args));
    }
    locks
}

fn database_named(services: &Services, argument: &[u8]) -> Option<usize> {
    let index = number::parse_i64(argument).and_then(|index| usize::try_from(index).ok());
    index.filter(|&index| index < services.keyspace.database_count())
}
