//! Many connections at once, on four workers: nothing is lost, nothing is half done, nobody waits for ever.
//!
//! Each test runs for a bounded time from a fixed seed; `STRESS_SECONDS` and `STRESS_SEED` change both. What
//! the threads do between two requests is the system's choice, so a seed repeats the requests, not their order.

pub mod crew; // connections that work at once, and who watches that they get on
mod disconnects; // clients that leave in the middle
mod expiry; // TTLs that end while others look
mod orders; // opposite orders of the same locks
mod pairs; // keys that come and go together
mod storms; // keys that travel: RENAME, COPY, MOVE, SWAPDB
mod sums; // what must add up: counters and accounts
mod watching; // WATCH: no change goes unseen

use crate::Case;
use crate::server::{Kind, Server};

pub const CASES: &[Case] = &[
    ("hincrby_sums_up", sums::counters),
    ("transfers_keep_the_total", sums::transfers),
    ("watched_increments_sum_up", watching::increments),
    ("watch_sees_plain_increments", watching::plain_increments),
    ("watch_sees_databases_change", watching::storm),
    ("watch_of_another_database", watching::other_database),
    ("rename_storm_keeps_keys", storms::renames),
    ("dbsize_counts_a_renamed_key_once", storms::dbsize),
    ("travelling_keys_exist_once", storms::travel),
    ("copies_replace_whole", storms::copies),
    ("opposite_orders_get_on", orders::opposite),
    ("first_use_of_databases_gets_on", orders::first_use),
    ("pairs_come_and_go_together", pairs::pairs),
    ("pairs_outlive_flushes_together", pairs::flushed),
    ("transactions_see_one_state", pairs::snapshots),
    ("due_keys_are_gone_for_all", expiry::keys),
    ("clients_leave_in_the_middle", disconnects::leave),
    ("exec_of_a_client_that_has_left_is_whole", disconnects::exec_and_leave),
    ("killed_clients_leave_nothing", disconnects::killed),
];

/// A server with more workers than a small machine has cores, so that they interrupt one another anywhere.
pub fn start() -> Server {
    Server::start_with(Kind::Hashd, &["--io-threads", "4"])
}
