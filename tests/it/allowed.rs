//! The one list of differences from the oracle that are meant. Each line of `allowed_differences.txt` is
//! `request || oracle's reply || hashd's reply || reason`, the first three as regular expressions over the whole text.

use crate::script::full_match;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

struct Difference {
    request: String,
    oracle: String,
    hashd: String,
    used: AtomicBool,
}

static LIST: LazyLock<Vec<Difference>> = LazyLock::new(|| {
    let lines = include_str!("allowed_differences.txt").lines();
    lines.filter(|line| !line.trim().is_empty() && !line.starts_with('#')).map(Difference::parse).collect()
});

impl Difference {
    fn parse(line: &str) -> Self {
        let parts: Vec<&str> = line.split("||").map(str::trim).collect();
        let [request, oracle, hashd, reason] = parts[..] else { panic!("four parts, please: {line}") };
        assert!(!reason.is_empty(), "a reason, please: {line}");
        Self { request: request.into(), oracle: oracle.into(), hashd: hashd.into(), used: AtomicBool::new(false) }
    }
}

/// Whether the list covers a mismatch; remembers the line.
pub fn covers(request: &str, oracle: &str, hashd: &str) -> bool {
    LIST.iter().any(|entry| {
        let covered = full_match(&format!("(?i){}", entry.request), request)
            && full_match(&entry.oracle, oracle)
            && full_match(&entry.hashd, hashd);
        entry.used.fetch_or(covered, Ordering::Relaxed);
        covered
    })
}

/// The requests of the lines that never applied.
pub fn unused() -> Vec<&'static str> {
    let unused = LIST.iter().filter(|entry| !entry.used.load(Ordering::Relaxed));
    unused.map(|entry| entry.request.as_str()).collect()
}
