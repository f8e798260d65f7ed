//! The process, and the machine that it runs on.

use std::io;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// What the kernel adds to the score by which it chooses what to kill when memory is out.
const OOM_SCORE: &str = "/proc/self/oom_score_adj";

/// `Linux 6.1.0 x86_64`
pub fn operating_system() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {} {}", release.trim(), std::env::consts::ARCH)
}

/// The `oom_score_adj` of this process.
pub fn oom_score() -> io::Result<i64> {
    std::fs::read_to_string(OOM_SCORE)?.trim().parse().map_err(io::Error::other)
}

/// Sets it, -1000 to 1000. Only a privileged process may lower it.
pub fn set_oom_score(score: i64) -> io::Result<()> {
    std::fs::write(OOM_SCORE, score.to_string())
}

/// Lets the calling thread, and the threads that it starts, run on the CPUs of a list only, as `server-cpulist` and others
/// name them: `0-7:2` (every second one), `1,3`, `1,10-11`. An empty list changes nothing, nor does a wrong one, which the
/// log tells of.
pub fn run_on(list: &str) {
    if list.is_empty() {
        return;
    }
    match cpu_set(list).map(|cpus| sched_setaffinity(Pid::from_raw(0), &cpus)) {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::warn!(%error, list, "cannot run on these CPUs"),
        None => tracing::warn!(list, "no list of CPUs"),
    }
}

fn cpu_set(list: &str) -> Option<CpuSet> {
    let mut cpus = CpuSet::new();
    for part in list.split(',') {
        let (range, stride) = part.split_once(':').unwrap_or((part, "1"));
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.trim().parse::<usize>().ok();
        for cpu in (number(from)?..=number(to)?).step_by(number(stride).filter(|&stride| stride > 0)?) {
            cpus.set(cpu).ok()?;
        }
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        let chosen = |list| -> Option<Vec<usize>> {
            let cpus = cpu_set(list)?;
            Some((0..64).filter(|&cpu| cpus.is_set(cpu) == Ok(true)).collect())
        };
        assert_eq!(chosen("3"), Some(vec![3]));
        assert_eq!(chosen("0-7:2"), Some(vec![0, 2, 4, 6]));
        assert_eq!(chosen("1,10-11"), Some(vec![1, 10, 11]));
        for wrong in ["", "a", "1-", "-1", "0-7:0", "1,,2", "99999999"] {
            assert_eq!(chosen(wrong), None, "{wrong}");
        }
    }
}
