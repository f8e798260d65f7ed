//! Random keyspaces, saved, loaded by Redis, saved by it, and loaded again.

use super::{Folder, start_in};
use crate::differential::keyspace::{differences, lines, without_encodings};
use crate::differential::program::{Dialect, program};
use crate::server::{Kind, Server};

const PROGRAMS: u64 = 8;

pub(super) fn through_redis() {
    for seed in 40..40 + PROGRAMS {
        let folder = Folder::new();
        let ours = start_in(Kind::Hashd, &folder, &[]);
        let mut client = ours.client();
        for request in program(seed, Dialect::Redis, 1500) {
            client.raw(&request);
        }
        let before = contents(&ours);
        assert_eq!(client.line("SAVE"), "+OK");
        drop(ours);
        let redis = start_in(Kind::Redis, &folder, &[]);
        let theirs = contents(&redis);
        assert_eq!(before, theirs, "seed {seed}, in Redis:\n{}", differences(&before, &theirs));
        assert_eq!(redis.client().line("SAVE"), "+OK");
        drop(redis);
        let after = contents(&start_in(Kind::Hashd, &folder, &[]));
        assert_eq!(before, after, "seed {seed}, back again:\n{}", differences(&before, &after));
    }
}

fn contents(server: &Server) -> Vec<String> {
    without_encodings(lines(&mut server.client(), Dialect::Redis))
}
