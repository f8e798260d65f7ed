//! Loading the append-only file at the start.

use std::cell::Cell;
use std::io;
use std::sync::atomic::Ordering;

use crate::base::clock::UnixMillis;
use crate::dispatch::{ReplayError, make_way_for_foreign, replay};
use crate::handler::{Args, Session};
use crate::persist::aof::load::Loader;
use crate::resp::decode::ArgRange;
use crate::resp::reply::{ReplyWriter, RespVersion};
use crate::services::Services;
use crate::services::clients::{Client, ClientId, Peer};
use crate::services::persistence::snapshot_path;

const WAY_OUT: &str = "rdb-foreign-types skip leaves such commands out";

/// Loads the append-only file, if there is one, and goes on with it.
pub(super) fn load(services: &Services) -> io::Result<()> {
    if let Some(bytes) = services.append_only.find()? {
        let started = services.clock.now();
        services.persistence.loading.total.store(bytes, Ordering::Relaxed);
        load_found(services).map_err(io::Error::other)?;
        let milliseconds = services.clock.now().0 - started.0;
        tracing::info!(milliseconds, "DB loaded from append only file");
    } else {
        warn_of_snapshot(services);
    }
    services.begin_append_only()
}

/// Says so if there is a snapshot, which is not loaded, but no log.
fn warn_of_snapshot(services: &Services) {
    let path = snapshot_path(&services.config);
    if path.exists() {
        tracing::warn!(
            path = %path.display(),
            "there is a snapshot but no append-only file: as in Redis, the snapshot is not loaded while appendonly is on. To \
             keep it, start with appendonly no and then CONFIG SET appendonly yes"
        );
    }
}

/// Loads the log that has been found into the data.
pub(super) fn load_found(services: &Services) -> Result<(), String> {
    let skips_foreign = services.config.rdb_foreign_types() == "skip";
    let left_out = Cell::new(0_u64);
    let mut session = session_of_nobody(services);
    let mut reply = ReplyWriter::new(RespVersion::Resp2);
    let mut apply = |bytes: &[u8], words: &[ArgRange]| {
        let args = Args::new(bytes, words);
        if skips_foreign {
            make_way_for_foreign(services, &mut session, args);
        }
        match replay(services, &mut session, &mut reply, args) {
            Err(ReplayError::Unknown(_) | ReplayError::Foreign(_)) if skips_foreign => left_out.set(left_out.get() + 1),
            Err(ReplayError::Unknown(name)) => {
                return Err(format!(
                    "Unknown command '{name}' reading the append only file: it is not for hashes; {WAY_OUT}"
                ));
            }
            Err(ReplayError::Foreign(name)) => {
                return Err(format!("'{name}' of a value that is no hash reading the append only file; {WAY_OUT}"));
            }
            Err(ReplayError::WrongArity(name)) => return Err(format!("wrong number of arguments for '{name}'")),
            Ok(()) => {}
        }
        Ok(())
    };
    let progress = |bytes| services.persistence.loading.loaded.store(bytes, Ordering::Relaxed);
    let mut snapshot = |path: &std::path::Path| services.load_base(path);
    services.append_only.load(&mut Loader { apply: &mut apply, snapshot: &mut snapshot, progress: &progress })?;
    if left_out.get() > 0 {
        tracing::warn!(
            commands = left_out.get(),
            "commands that are not for hashes have been left out of the append-only file"
        );
    }
    Ok(())
}

/// A session for commands that no client has sent.
fn session_of_nobody(services: &Services) -> Session {
    let peer = Peer { address: String::new(), local_address: String::new(), fd: -1, is_unix_socket: false };
    let client = Client::new(ClientId(0), peer, UnixMillis(0));
    Session::new(client.into(), services.acl.new_access(), services.stats.counters_aside())
}
