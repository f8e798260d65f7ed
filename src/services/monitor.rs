//! `MONITOR`: shows every command that runs to the clients that ask for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::clients::Client;
use crate::base::clock::{UnixMillis, unix_micros};
use crate::base::words;
use crate::config::Config;

/// Those who watch.
#[derive(Debug, Default)]
pub struct Monitors {
    /// Number of `watching`, so that a command that nobody watches pays one load.
    count: AtomicUsize,
    watching: Mutex<Vec<Arc<Client>>>,
}

/// A command to be shown.
#[derive(Debug)]
pub struct Shown<'a> {
    /// Who sent it.
    pub client: &'a Client,
    /// The database selected after it has run.
    pub database: usize,
    /// Its arguments as they are to be shown.
    pub arguments: Vec<&'a [u8]>,
}

impl Monitors {
    /// Whether anybody watches.
    #[inline]
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Shows everything to a client from now on.
    pub fn add(&self, client: &Arc<Client>) {
        let mut watching = self.watching.lock();
        if !client.monitoring.swap(true, Ordering::Relaxed) {
            watching.push(Arc::clone(client));
            self.count.store(watching.len(), Ordering::Relaxed);
        }
    }

    /// Shows a client no more.
    pub fn remove(&self, client: &Client) {
        if !client.monitoring.load(Ordering::Relaxed) {
            return;
        }
        let mut watching = self.watching.lock();
        client.monitoring.store(false, Ordering::Relaxed);
        watching.retain(|other| other.id != client.id);
        self.count.store(watching.len(), Ordering::Relaxed);
    }

    /// Shows a command.
    pub fn show(&self, shown: &Shown<'_>, config: &Config, now: UnixMillis) {
        // Formatted under the lock, so that the lines of all workers come in the order of their times.
        let watching = self.watching.lock();
        let line = line(shown, unix_micros());
        for client in &*watching {
            client.tell(&line, config, now);
        }
    }
}

/// `+1700000000.123456 [0 127.0.0.1:40000] "hget" "key" "field"`
fn line(shown: &Shown<'_>, micros: u128) -> Vec<u8> {
    let Shown { client, database, arguments } = shown;
    let address = if client.is_unix_socket {
        let path = client.address.rsplit_once(':').map_or(&*client.address, |(path, _)| path);
        format!("unix:{path}")
    } else {
        client.address.clone()
    };
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let mut line = format!("+{seconds}.{micros:06} [{database} {address}]").into_bytes();
    for argument in arguments {
        line.push(b' ');
        words::quote(&mut line, argument);
    }
    line.extend_from_slice(b"\r\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::clients::{ClientId, Peer};

    #[test]
    fn lines_are_as_redis_writes_them() {
        let show = |address: &str, is_unix_socket, arguments: &[&[u8]]| {
            let peer = Peer { address: address.into(), local_address: String::new(), fd: 0, is_unix_socket };
            let client = Client::new(ClientId(1), peer, UnixMillis(0));
            let shown = Shown { client: &client, database: 3, arguments: arguments.to_vec() };
            String::from_utf8(line(&shown, 1_700_000_000_000_042)).unwrap()
        };
        assert_eq!(
            show("127.0.0.1:4", false, &[b"HSET", b"\x00\xff\n\r\t\x07\x08\"\\x", b""]),
            "+1700000000.000042 [3 127.0.0.1:4] \"HSET\" \"\\x00\\xff\\n\\r\\t\\a\\b\\\"\\\\x\" \"\"\r\n"
        );
        assert_eq!(show("/tmp/a:b:0", true, &[b"PING"]), "+1700000000.000042 [3 unix:/tmp/a:b] \"PING\"\r\n");
    }
}
