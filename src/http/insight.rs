//! What has been slow, and which keys are hot.

use serde_json::{Value as Json, json};

use super::answer::Answer;
use super::query::Query;
use super::text::{beginning, text};
use super::visitor::Visitor;
use crate::services::slow_log::SlowCall;

/// Slow calls that are shown, and bytes of an argument or a name of theirs.
const SLOW_CALLS: usize = 50;
const ARGUMENT: usize = 256;

/// The longest key that is shown among the hot ones.
const LONGEST_KEY: usize = 4096;

/// `/api/slowlog`: the newest slow calls; needs the right to SLOWLOG GET.
pub(super) fn slow_log(visitor: &mut Visitor<'_>, _query: &Query) -> Result<Answer, Answer> {
    visitor.require(&[b"slowlog", b"get"])?;
    let services = visitor.services;
    let line = |call: &SlowCall| {
        let arguments = call.arguments.iter().map(|argument| beginning(argument, ARGUMENT)).collect::<Vec<_>>();
        json!({
            "id": call.id,
            "at_ms": call.at.0,
            "usec": call.microseconds,
            "arguments": arguments,
            "address": call.address,
            "name": beginning(&call.name, ARGUMENT),
        })
    };
    Ok(Answer::json(&json!({
        "now_ms": services.clock.now().0,
        "threshold_us": services.config.slowlog_log_slower_than(),
        "total": services.slow_log.len(),
        "entries": services.slow_log.newest(SLOW_CALLS).iter().map(line).collect::<Vec<_>>(),
    })))
}

/// `/api/hotkeys`: the hot keys among those that the user may read; needs the right to HOTKEYS GET.
pub(super) fn hot_keys(visitor: &mut Visitor<'_>, _query: &Query) -> Result<Answer, Answer> {
    visitor.require(&[b"hotkeys", b"get"])?;
    let services = visitor.services;
    let Some(found) = services.hot_keys.found(services.clock.now()) else {
        return Ok(Answer::json(&json!({ "metrics": null })));
    };
    let mut metrics = Vec::new();
    let kinds = [
        (found.wanted.cpu, "Processor time", "us", &found.by_time, 1000),
        (found.wanted.net, "Network", "bytes", &found.by_bytes, 1),
    ];
    for (is_wanted, name, unit, keys, divisor) in kinds {
        if is_wanted {
            let keys: Vec<Json> = keys
                .iter()
                .filter(|(key, _)| key.len() <= LONGEST_KEY && visitor.may(&[b"hscan", key, b"0"]))
                .map(|(key, amount)| json!({ "key": text(key), "amount": amount / divisor }))
                .collect();
            metrics.push(json!({ "name": name, "unit": unit, "keys": keys }));
        }
    }
    Ok(Answer::json(&json!({
        "is_running": found.is_active,
        "duration_ms": found.collected_ms,
        "metrics": metrics,
    })))
}
