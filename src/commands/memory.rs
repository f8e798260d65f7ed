//! `MEMORY`: what keys, and the server, take in memory.

use crate::base::memory::{allocator_report, purge};
use crate::handler::{Args, CommandError, Context, Outcome, ReplyWriter};
use crate::services::memory::{MemoryReport, ratio};

/// `MEMORY USAGE key [SAMPLES count]` -> integer: the bytes that a key takes, with its share of what it shares with others;
/// null if it does not exist. Of a big hash `count` parts of some forty fields are looked at (all of them if 0).
pub fn usage(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    /// As in Redis.
    const SAMPLES: usize = 5;
    let key = args.next_key()?;
    let mut samples = SAMPLES;
    while !args.is_empty() {
        if args.remaining() < 2 || !args.take_word("samples") {
            return Err(CommandError::Syntax);
        }
        samples = usize::try_from(args.next_i64()?).map_err(|_| CommandError::Syntax)?;
    }
    match ctx.store.memory_usage(key, samples) {
        Some(bytes) => ctx.reply.count(bytes),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// `MEMORY STATS` -> map: what is taken and for what, in bytes; databases are maps of their own. What hashd does not have
/// (replicas, scripts, an append-only file) is 0.
pub fn stats(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    const COUNTS_BEFORE: usize = 13;
    const FIELDS_AFTER: usize = 21;
    let report = MemoryReport::of(ctx.services, ctx.now);
    let reply = &mut *ctx.reply;
    let databases = report.databases.iter().filter(|database| database.keys > 0);
    reply.map(COUNTS_BEFORE + databases.clone().count() + FIELDS_AFTER);
    let before: [(&str, u64); COUNTS_BEFORE] = [
        ("peak.allocated", report.peak),
        ("total.allocated", report.allocator.allocated),
        ("startup.allocated", report.startup),
        ("replication.backlog", 0),
        ("replica.fullsync.buffer", 0),
        ("clients.slaves", 0),
        ("clients.normal", report.clients),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", 0),
        ("functions.caches", 0),
        ("script.VMs", 0),
        ("hash.templates", report.templates.memory as u64),
    ];
    counts(reply, &before);
    for database in databases {
        reply.bulk(format!("db.{}", database.database).as_bytes());
        reply.map(2);
        counts(
            reply,
            &[
                ("overhead.hashtable.main", database.tables as u64),
                ("overhead.hashtable.expires", database.expiries as u64),
            ],
        );
    }
    let tables: usize = report.databases.iter().map(|database| database.tables).sum();
    let dataset = report.dataset();
    counts(
        reply,
        &[
            ("overhead.db.hashtable.lut", tables as u64),
            ("overhead.db.hashtable.rehashing", 0),
            ("overhead.total", report.overhead()),
            ("db.dict.rehashing.count", 0),
            ("keys.count", report.keys()),
            ("keys.bytes-per-key", dataset.checked_div(report.keys()).unwrap_or(0)),
            ("dataset.bytes", dataset),
        ],
    );
    ratios(reply, &report);
    Ok(())
}

fn counts(reply: &mut ReplyWriter, fields: &[(&str, u64)]) {
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.integer(i64::try_from(*value).unwrap_or(i64::MAX));
    }
}

/// The part of MEMORY STATS that compares one number with another.
fn ratios(reply: &mut ReplyWriter, report: &MemoryReport) {
    let allocator = report.allocator;
    let share = |reply: &mut ReplyWriter, name: &str, value: f64| {
        reply.bulk(name.as_bytes());
        reply.double(&format!("{value}"));
    };
    let difference = |whole: u64, part: u64| i64::try_from(i128::from(whole) - i128::from(part)).unwrap_or_default();
    share(reply, "dataset.percentage", report.dataset_percentage());
    share(reply, "peak.percentage", 100.0 * ratio(allocator.allocated, report.peak));
    counts(
        reply,
        &[
            ("allocator.allocated", allocator.allocated),
            ("allocator.active", allocator.active),
            ("allocator.resident", allocator.resident),
            ("allocator.muzzy", 0),
        ],
    );
    let pairs = [
        ("allocator-fragmentation", allocator.active, allocator.allocated),
        ("allocator-rss", allocator.resident, allocator.active),
        ("rss-overhead", report.resident, allocator.resident),
    ];
    for (name, whole, part) in pairs {
        share(reply, &format!("{name}.ratio"), ratio(whole, part));
        reply.bulk(format!("{name}.bytes").as_bytes());
        reply.integer(difference(whole, part));
    }
    share(reply, "fragmentation", ratio(report.resident, allocator.allocated));
    reply.bulk(b"fragmentation.bytes");
    reply.integer(difference(report.resident, allocator.allocated));
}

/// `MEMORY DOCTOR` -> text: what looks unhealthy about the server's memory, and what may be done about it.
pub fn doctor(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    let report = MemoryReport::of(ctx.services, ctx.now);
    ctx.reply.verbatim(diagnosis(&report, ctx.services.clients.len() as u64).as_bytes());
    Ok(())
}

fn diagnosis(report: &MemoryReport, clients: u64) -> String {
    const LITTLE: u64 = 5 << 20;
    const MUCH_PER_CLIENT: u64 = 200 << 10;
    /// Below, the difference is not worth a word.
    const NOTICEABLE: u64 = 10 << 20;
    let allocator = report.allocator;
    if allocator.allocated < LITTLE {
        return "This instance is empty or holds very little: too little for a diagnosis.\n".into();
    }
    let is_above =
        |whole: u64, part: u64, limit: f64| whole.saturating_sub(part) > NOTICEABLE && ratio(whole, part) > limit;
    let findings = [
        (
            ratio(report.peak, allocator.allocated) > 1.5,
            "Peak: this instance has used more than one and a half times of what it uses now. The allocator may keep some \
             of the difference; MEMORY PURGE gives it back.",
        ),
        (
            is_above(allocator.active, allocator.allocated, 1.1),
            "Fragmentation: more than a tenth of the pages in use is gaps. Data of other sizes will fill them; a restart \
             with a reload removes them.",
        ),
        (
            is_above(allocator.resident, allocator.active, 1.1),
            "Allocator: it holds on to free pages. They go back to the system within seconds; MEMORY PURGE does it now.",
        ),
        (
            is_above(report.resident, allocator.resident, 1.1),
            "Process: it has more in memory than its allocator knows of: code, stacks and what the system counts with it.",
        ),
        (
            clients > 0 && report.clients / clients > MUCH_PER_CLIENT,
            "Clients: they hold more than 200 kB each on average. CLIENT LIST shows which; perhaps some do not read \
             their replies.",
        ),
    ];
    let found: Vec<String> =
        findings.iter().filter(|(is_so, _)| *is_so).map(|(_, text)| format!("* {text}\n")).collect();
    if found.is_empty() { "No issue with this instance's memory was found.\n".into() } else { found.concat() }
}

/// `MEMORY PURGE` -> OK: the allocator gives free pages back to the operating system.
pub fn purge_pages(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    purge();
    ctx.reply.ok();
    Ok(())
}

/// `MEMORY MALLOC-STATS` -> text: the allocator's own report.
pub fn malloc_stats(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    ctx.reply.verbatim(&allocator_report());
    Ok(())
}

/// `MEMORY HELP` -> array: what the subcommands do.
pub fn help(ctx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
    super::reply_help(
        ctx.reply,
        "MEMORY",
        &[
            "DOCTOR",
            "    Return memory problems reports.",
            "MALLOC-STATS",
            "    Return internal statistics report from the memory allocator.",
            "PURGE",
            "    Attempt to purge dirty pages for reclamation by the allocator.",
            "STATS",
            "    Return information about the memory usage of the server.",
            "USAGE <key> [SAMPLES <count>]",
            "    Return memory in bytes used by <key> and its value. Nested values are",
            "    sampled up to <count> times (default: 5, 0 means sample all).",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::diagnosis;
    use crate::base::memory::AllocatorStats;
    use crate::services::memory::MemoryReport;

    fn report(allocated: u64, active: u64, resident: u64) -> MemoryReport {
        let allocator = AllocatorStats { allocated, active, resident };
        MemoryReport { allocator, resident, peak: allocated, ..MemoryReport::default() }
    }

    #[test]
    fn the_doctor_names_what_is_wrong_and_nothing_else() {
        const M: u64 = 1 << 20;
        assert!(diagnosis(&report(M, M, M), 1).contains("very little"));
        assert!(diagnosis(&report(100 * M, 101 * M, 105 * M), 1).contains("No issue"));
        assert!(diagnosis(&report(100 * M, 150 * M, 151 * M), 1).starts_with("* Fragmentation"));
        assert!(diagnosis(&report(100 * M, 101 * M, 200 * M), 1).starts_with("* Allocator"));
        let greedy = MemoryReport { clients: 10 * M, ..report(100 * M, 101 * M, 102 * M) };
        assert!(diagnosis(&greedy, 2).starts_with("* Clients"));
        assert!(diagnosis(&greedy, 200).contains("No issue"));
        let shrunk = MemoryReport { peak: 300 * M, ..report(100 * M, 101 * M, 102 * M) };
        assert!(diagnosis(&shrunk, 1).starts_with("* Peak"));
    }
}
