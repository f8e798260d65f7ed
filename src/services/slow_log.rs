//! `SLOWLOG`: the calls that took longest of late.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use super::clients::Client;
use super::secrets;
use crate::base::clock::UnixMillis;
use crate::config::Config;

/// A slow call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowCall {
    /// Number of the entry, never used twice.
    pub id: u64,
    /// When it ended.
    pub at: UnixMillis,
    /// What it took in microseconds.
    pub microseconds: u64,
    /// Its arguments, trimmed.
    pub arguments: Vec<Vec<u8>>,
    /// How many arguments it had, with its name.
    pub argument_count: usize,
    /// The client's address.
    pub address: String,
    /// The client's name.
    pub name: Vec<u8>,
}

/// What has been slow since the last `CONFIG RESETSTAT`, in the log or no longer in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlowTotals {
    /// Calls.
    pub calls: u64,
    /// What they took together, in microseconds.
    pub microseconds: u64,
    /// What the slowest took, in microseconds.
    pub slowest_microseconds: u64,
}

impl SlowTotals {
    fn add(&mut self, microseconds: u64) {
        self.calls += 1;
        self.microseconds += microseconds;
        self.slowest_microseconds = self.slowest_microseconds.max(microseconds);
    }
}

/// The log, newest first.
#[derive(Debug, Default)]
pub struct SlowLog(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    calls: VecDeque<SlowCall>,
    next_id: u64,
    totals: SlowTotals,
    by_command: HashMap<&'static str, SlowTotals>,
}

impl SlowLog {
    /// Adds a call of a command, by its full name, that ended now; drops the oldest ones over `slowlog-max-len`.
    pub fn add<'a>(
        &self,
        argv: impl ExactSizeIterator<Item = &'a [u8]>,
        client: &Client,
        (command, at, microseconds): (&'static str, UnixMillis, u64),
        config: &Config,
    ) {
        let most = config.slowlog_max_len();
        if most == 0 {
            return;
        }
        let argument_count = argv.len();
        let arguments = trimmed(&secrets::hidden(argv), config);
        let (address, name) = (client.address.clone(), client.identity.lock().name.clone());
        let mut entries = self.0.lock();
        let id = entries.next_id;
        entries.next_id += 1;
        entries.calls.truncate(most - 1);
        entries.calls.push_front(SlowCall { id, at, microseconds, arguments, argument_count, address, name });
        entries.totals.add(microseconds);
        entries.by_command.entry(command).or_default().add(microseconds);
    }

    /// The newest `count` entries.
    pub fn newest(&self, count: usize) -> Vec<SlowCall> {
        self.0.lock().calls.iter().take(count).cloned().collect()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.lock().calls.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops all entries; numbers go on.
    pub fn clear(&self) {
        self.0.lock().calls.clear();
    }

    /// What has been slow in total.
    pub fn totals(&self) -> SlowTotals {
        self.0.lock().totals
    }

    /// What has been slow by command, by full name; commands that never were are not there.
    pub fn totals_by_command(&self) -> HashMap<&'static str, SlowTotals> {
        self.0.lock().by_command.clone()
    }

    /// `CONFIG RESETSTAT`: entries stay.
    pub fn reset_totals(&self) {
        let mut entries = self.0.lock();
        entries.totals = SlowTotals::default();
        entries.by_command.clear();
    }
}

/// No more arguments than `slowlog-entry-max-argc`, each no longer than `slowlog-entry-max-string-len`.
fn trimmed(arguments: &[&[u8]], config: &Config) -> Vec<Vec<u8>> {
    let most = usize::try_from(config.slowlog_entry_max_argc()).unwrap_or(usize::MAX);
    let longest = config.slowlog_entry_max_string_len();
    let kept = if arguments.len() > most { most - 1 } else { arguments.len() };
    let (kept, dropped) = arguments.split_at(kept);
    let mut trimmed: Vec<Vec<u8>> = kept
        .iter()
        .map(|argument| match argument.split_at_checked(longest) {
            Some((start, rest)) if !rest.is_empty() => {
                [start, format!("... ({} more bytes)", rest.len()).as_bytes()].concat()
            }
            _ => argument.to_vec(),
        })
        .collect();
    if !dropped.is_empty() {
        trimmed.push(format!("... ({} more arguments)", dropped.len()).into_bytes());
    }
    trimmed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::clients::{ClientId, Peer};

    fn add(log: &SlowLog, config: &Config, argv: &[&[u8]]) {
        let peer = Peer { address: "1.2.3.4:5".into(), local_address: String::new(), fd: 0, is_unix_socket: false };
        let client = Client::new(ClientId(1), peer, UnixMillis(1));
        log.add(argv.iter().copied(), &client, ("hset", UnixMillis(7_000), 20), config);
    }

    #[test]
    fn arguments_are_trimmed_as_redis_trims_them() {
        let (log, config) = (SlowLog::default(), Config::default());
        let exactly: Vec<&[u8]> = vec![b"a"; 32];
        let more: Vec<&[u8]> = vec![b"a"; 33];
        let (fits, lengthy) = (vec![b'x'; 128], vec![b'x'; 130]);
        add(&log, &config, &exactly);
        add(&log, &config, &more);
        add(&log, &config, &[b"hset", &fits, &lengthy]);
        let calls = log.newest(9);
        let [lengthy, more, exactly] = calls.as_slice() else { panic!("{calls:?}") };
        assert_eq!((exactly.arguments.len(), exactly.arguments[31].as_slice()), (32, &b"a"[..]));
        assert_eq!((more.arguments.len(), more.arguments[31].as_slice()), (32, &b"... (2 more arguments)"[..]));
        assert_eq!((more.argument_count, more.id), (33, 1));
        assert_eq!(lengthy.arguments[1], fits);
        assert_eq!(lengthy.arguments[2], [&fits[..], b"... (2 more bytes)"].concat());
    }

    #[test]
    fn the_newest_are_kept_and_numbers_go_on() {
        let (log, config) = (SlowLog::default(), Config::default());
        config.set(&[(b"slowlog-max-len", b"2")]).unwrap();
        for _ in 0..3 {
            add(&log, &config, &[b"ping"]);
        }
        assert_eq!(log.newest(9).iter().map(|call| call.id).collect::<Vec<_>>(), [2, 1]);
        log.clear();
        add(&log, &config, &[b"ping"]);
        assert_eq!(log.newest(9)[0].id, 3);
        config.set(&[(b"slowlog-max-len", b"0")]).unwrap();
        add(&log, &config, &[b"ping"]);
        assert_eq!((log.len(), log.totals().calls, log.totals().microseconds), (1, 4, 80));
        let expected = SlowTotals { calls: 4, microseconds: 80, slowest_microseconds: 20 };
        assert_eq!(log.totals_by_command(), HashMap::from([("hset", expected)]));
        log.reset_totals();
        assert_eq!((log.len(), log.totals(), log.totals_by_command().len()), (1, SlowTotals::default(), 0));
    }
}
