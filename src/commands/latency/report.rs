//! What LATENCY GRAPH and LATENCY DOCTOR say.

use std::fmt::Write as _;

use crate::base::clock::UnixMillis;
use crate::config::Config;
use crate::services::latency::{self, Series};

/// Columns of a graph; what does not fit comes below.
const COLUMNS: usize = 80;

/// Rows of a graph, without the labels.
const ROWS: usize = 4;

/// How high a column is within a row.
const HEIGHTS: [char; 3] = ['_', 'o', '#'];

/// The graph of an event: a column a spike, and below it how long ago it was.
pub(super) fn graph(event: &str, series: &Series, now: UnixMillis) -> String {
    let analysis = series.analyze(now);
    let (longest, shortest, ever) = (analysis.longest, analysis.shortest, series.longest_milliseconds);
    let mut text = format!("{event} - high {longest} ms, low {shortest} ms (all time high {ever} ms)\n");
    text.push_str(&"-".repeat(COLUMNS));
    text.push('\n');
    let spread = (longest - shortest).max(1);
    let top = (ROWS * HEIGHTS.len()) as u64;
    let columns: Vec<(usize, String)> = series
        .spikes()
        .map(|spike| {
            let height = ((spike.milliseconds - shortest) * top / spread).min(top - 1);
            (usize::try_from(height).unwrap_or(0), age(now.seconds() - spike.at_seconds))
        })
        .collect();
    for (index, part) in columns.chunks(COLUMNS).enumerate() {
        if index > 0 {
            text.push('\n');
        }
        draw(&mut text, part);
    }
    text
}

fn draw(text: &mut String, columns: &[(usize, String)]) {
    for row in (0..ROWS).rev() {
        let floor = row * HEIGHTS.len();
        text.extend(columns.iter().map(|&(height, _)| match height.checked_sub(floor) {
            None => ' ',
            Some(above) => HEIGHTS.get(above).copied().unwrap_or('|'),
        }));
        text.push('\n');
    }
    let longest = columns.iter().map(|(_, label)| label.len()).max().unwrap_or(0);
    // An empty line, then the labels, written downwards.
    for line in 0..=longest {
        let letter = |label: &str| line.checked_sub(1).and_then(|at| label.chars().nth(at)).unwrap_or(' ');
        text.extend(columns.iter().map(|(_, label)| letter(label)));
        text.push('\n');
    }
}

/// `5s`, `3m`, `2h`, `1d`
fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// What has been slow, and what can be done about it.
pub(super) fn doctor(events: &[(&'static str, Series)], config: &Config, now: UnixMillis) -> String {
    if events.is_empty() {
        let text = if config.latency_monitor_threshold() == 0 { DISABLED } else { NO_SPIKES };
        return text.to_owned();
    }
    let mut text = format!("{INTRODUCTION}\n\n");
    for (index, (event, series)) in events.iter().enumerate() {
        let analysis = series.analyze(now);
        #[expect(clippy::cast_precision_loss, reason = "it is printed with two digits")]
        let period = analysis.period_seconds as f64 / analysis.spikes.max(1) as f64;
        let _ = writeln!(
            text,
            "{}. {event}: {} latency spikes (average {}ms, mean deviation {}ms, period {period:.2} sec). Worst all time \
             event {}ms.",
            index + 1,
            analysis.spikes,
            analysis.average,
            analysis.deviation,
            series.longest_milliseconds
        );
    }
    let advices = advices(events, config);
    text.push_str(if advices.is_empty() { NO_ADVICE } else { "\nI have a few advices for you:\n\n" });
    for advice in advices {
        let _ = writeln!(text, "- {advice}");
    }
    text
}

const DISABLED: &str = "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You may use \
     \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it. If we weren't in a deep space mission I'd \
     suggest to take a look at https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency-monitor.\n";

const NO_SPIKES: &str = "Dave, no latency spike was observed during the lifetime of this Redis instance, not in the slightest \
     bit. I honestly think you ought to sit down calmly, take a stress pill, and think things over.\n";

const INTRODUCTION: &str =
    "Dave, I have observed latency spikes in this Redis instance. You don't mind talking about it, do you Dave?";

const NO_ADVICE: &str = "\nThere is no advice for these events.\n";

/// Advice on the events, each piece once.
fn advices(events: &[(&'static str, Series)], config: &Config) -> Vec<String> {
    let mut advices = Vec::new();
    let happened = |event: &str| events.iter().any(|(name, _)| *name == event);
    let threshold = config.latency_monitor_threshold();
    if happened(latency::COMMAND) {
        let slow = config.slowlog_log_slower_than();
        let wanted = threshold.max(1).saturating_mul(1000);
        if slow < 0 || config.slowlog_max_len() == 0 {
            advices.push(format!(
                "The slow log is off, so that it cannot say which commands are slow. Turn it on with 'CONFIG SET \
                 slowlog-log-slower-than {wanted}' and a slowlog-max-len above 0."
            ));
        } else if threshold > 0 && slow / 1000 > threshold {
            advices.push(format!(
                "The slow log misses commands that the latency monitor notices. Lower its threshold with 'CONFIG SET \
                 slowlog-log-slower-than {wanted}'."
            ));
        }
        advices.push(
            "SLOWLOG GET shows which commands were slow. Those that look at a whole hash or at all keys (HGETALL, HKEYS, \
             HVALS, KEYS) take the longer the more there is; HSCAN and SCAN go in small steps."
                .to_owned(),
        );
    }
    if happened(latency::FAST_COMMAND) {
        advices.push(
            "Commands that take next to no time by themselves were slow: the threads had to wait for a processor, or for \
             memory. See what else runs on this machine, whether its hypervisor or a CPU quota holds the process back, and \
             whether it swaps; 'redis-cli --intrinsic-latency 100' measures it."
                .to_owned(),
        );
    }
    if happened(latency::EXPIRE_CYCLE) {
        advices.push(
            "Many keys or fields become due together. They are reclaimed beside the commands and in small steps, but take \
             processor time: spread their expiry times."
                .to_owned(),
        );
    }
    advices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::latency::LatencyMonitor;

    fn series(spikes: &[(i64, u64)]) -> Series {
        let monitor = LatencyMonitor::default();
        for &(at, milliseconds) in spikes {
            monitor.add(latency::COMMAND, milliseconds, UnixMillis(at * 1000));
        }
        monitor.series(b"command").unwrap().1
    }

    #[test]
    fn a_graph_is_drawn_as_redis_draws_it() {
        let line = "-".repeat(80);
        assert_eq!(
            graph("command", &series(&[(100, 20)]), UnixMillis(101_000)),
            format!("command - high 20 ms, low 20 ms (all time high 20 ms)\n{line}\n \n \n \n_\n \n1\ns\n")
        );
        assert_eq!(
            graph("command", &series(&[(100, 20), (101, 30)]), UnixMillis(102_000)),
            format!("command - high 30 ms, low 20 ms (all time high 30 ms)\n{line}\n #\n |\n |\n_|\n  \n21\nss\n")
        );
    }

    #[test]
    fn labels_say_how_long_ago_it_was() {
        assert_eq!([age(59), age(60), age(7_200), age(90_000)], ["59s", "1m", "2h", "1d"]);
        let text = graph("command", &series(&[(0, 1), (3_500, 2)]), UnixMillis(3_600_000));
        assert!(text.ends_with("\n  \n11\nhm\n"), "{text}");
    }

    #[test]
    fn the_doctor_names_every_event() {
        let config = Config::default();
        assert_eq!(doctor(&[], &config, UnixMillis(0)), DISABLED);
        config.set(&[(b"latency-monitor-threshold", b"5")]).unwrap();
        assert_eq!(doctor(&[], &config, UnixMillis(0)), NO_SPIKES);
        let events = [(latency::COMMAND, series(&[(100, 20), (101, 30)])), (latency::FREE, series(&[(100, 7)]))];
        let text = doctor(&events, &config, UnixMillis(102_000));
        let expected = "1. command: 2 latency spikes (average 25ms, mean deviation 5ms, period 1.00 sec). Worst all time event 30ms.\n\
             2. free: 1 latency spikes (average 7ms, mean deviation 0ms, period 2.00 sec). Worst all time event 7ms.\n";
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("slowlog-log-slower-than 5000'"), "{text}");
    }
}
