//! `OomScore`: `oom-score-adj`, what the kernel is told of when to kill the server.

use parking_lot::Mutex;

use super::edge::Refused;
use crate::base::process;
use crate::config::Config;

const FAILED: &str = "Failed to apply new oom_score_adj configuration, check server logs.";

/// The score that the process had before hashd set one.
#[derive(Debug, Default)]
pub struct OomScore {
    before: Mutex<Option<i64>>,
}

impl OomScore {
    /// Tells the kernel what `oom-score-adj` and the first of `oom-score-adj-values` say: the others are for replicas and
    /// child processes, of which there are none. `no` gives the process back what it had (`setOOMScoreAdj` in Redis).
    pub fn apply(&self, config: &Config) -> Result<(), Refused> {
        let mut before = self.before.lock();
        let mode = config.oom_score_adj();
        if mode == "no" && before.is_none() {
            return Ok(());
        }
        let set = || {
            let base = before.map_or_else(process::oom_score, Ok)?;
            let values = config.oom_score_adj_values();
            let value = values.split_ascii_whitespace().next().and_then(|value| value.parse().ok()).unwrap_or(0);
            let score = match mode {
                "no" => base,
                "absolute" => value,
                _ => base + value,
            };
            process::set_oom_score(score.clamp(-1000, 1000)).map(|()| base)
        };
        match set() {
            Ok(base) => {
                *before = (mode != "no").then_some(base);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "Unable to write oom_score_adj");
                Err(Refused::new("oom-score-adj", FAILED))
            }
        }
    }
}
