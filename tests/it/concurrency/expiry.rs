//! TTLs that end while others look: what is due is gone for everybody, and for both of two keys at once.

use super::crew::{Crew, report};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Pairs of keys that are due at the same millisecond; the background, readers and writers all reclaim.
pub fn keys() {
    let server = super::start();
    // When the pairs of the four owners are due. Only owners write their own.
    let due: Vec<AtomicI64> = (0..4).map(|_| AtomicI64::new(0)).collect();
    let requests = Crew::new(&server)
        .each("owner", 4, |member| {
            let n = member.number;
            let at = now_ms() + member.random.i64(2..8);
            due[n].store(at, Ordering::SeqCst);
            let line = |side: &str| [format!("HSET {side}{n} f v"), format!("PEXPIREAT {side}{n} {at}")];
            member.exec(&[line("left"), line("right")].concat()).unwrap();
            // Redis keeps a key through the millisecond that it is due in.
            while now_ms() <= at + 1 {
                member.int(&format!("EXISTS left{n}"));
            }
            assert_eq!(member.int(&format!("EXISTS left{n} right{n}")), 0, "still there at {}, due at {at}", now_ms());
        })
        .each("observer", 4, |member| {
            let n = member.random.u8(..4);
            let count = member.int(&format!("EXISTS right{n} left{n}"));
            assert!(count != 1, "one of two keys that are due at the same time");
        })
        .run();
    report("due keys", requests, "4 pairs");
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
