//! Commands that iterate over a hash or sample it.

use std::collections::HashSet;

use super::ValueReply;
use crate::base::glob;
use crate::base::random::Random;
use crate::handler::session::ReplyMode;
use crate::handler::{Args, CommandError, Context, Outcome};
use crate::handler::{ReplyWriter, RespVersion};
use crate::store::{HashView, ScanCursor, Value};

/// So many fields take so long that a big hash had better not be locked meanwhile.
const LARGE: usize = 1024;

/// `HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]` -> array: next cursor, then fields with their values in one
/// flat array, in RESP3 too.
///
/// As in Redis the options of a missing key are not looked at.
pub fn hscan(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.next_key()?;
    let cursor = args.next_cursor()?;
    let mut ahead = *args;
    let is_large = ScanOptions::parse(&mut ahead).is_ok_and(|options| options.count > LARGE);
    let reply = &mut *ctx.reply;
    let read = |hash: &HashView<'_>| {
        if hash.is_missing() {
            write_scan(reply, ScanCursor::END, &[]);
            return Ok(());
        }
        let options = ScanOptions::parse(args)?;
        let mut found = Vec::with_capacity(options.count.min(hash.len()).min(LARGE));
        let next = hash.scan(cursor, options.count, |field, value| {
            if options.pattern.is_none_or(|pattern| glob::matches(pattern, field)) {
                found.push((field, options.with_values.then_some(value)));
            }
        });
        write_scan(reply, next, &found);
        Ok(())
    };
    if is_large { ctx.store.view_whole(key, read) } else { ctx.store.view(key, read) }
}

/// `HRANDFIELD key [count [WITHVALUES]]` -> bulk string: a field at random, null if the key is missing; with a count an
/// array of distinct fields, of fields that may repeat if it is negative. Each field is paired with its value by
/// WITHVALUES: nested in RESP3, flat in RESP2. A client that asks for more repeated fields than `client-output-buffer-limit`
/// lets wait for it is closed; without such a limit more than 2^24 are an error.
pub fn hrandfield(ctx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.next_key()?;
    let sample = if args.is_empty() { None } else { Some(Sample::parse(args)?) };
    let mut random = Random::from_entropy();
    let is_large = sample.as_ref().is_some_and(Sample::is_large);
    let (client, config) = (&*ctx.session.client, &ctx.services.config);
    let (reply, mut too_much) = (&mut *ctx.reply, None);
    let read = |hash: &HashView<'_>| {
        let some_due = hash.live_len() < hash.len();
        let outcome = match sample {
            None => {
                reply.bulk_or_null(hash.random(&mut random).map(|(field, _)| field));
                Ok(())
            }
            Some(Sample { count: Count::Distinct(count), shape }) => {
                write_distinct(reply, hash, &mut random, count, shape);
                Ok(())
            }
            Some(Sample { count: Count::Repeating(count), shape }) => {
                let written = write_repeating(reply, hash, &mut random, (count, shape), client.most_output(config));
                written.map(|cut_at| too_much = cut_at)
            }
        };
        (outcome, some_due)
    };
    let (outcome, some_due) = if is_large { ctx.store.view_whole(key, read) } else { ctx.store.view(key, read) };
    if let Some(size) = too_much
        && ctx.session.reply_mode == ReplyMode::On
    {
        // What has been written is never sent.
        client.close_for_output(size);
    }
    if some_due {
        reclaim(ctx, key);
    }
    outcome
}

/// Removes fields that are due, as Redis does when it meets them here.
fn reclaim(ctx: &mut Context<'_>, key: &[u8]) {
    /// The rest of a big hash is left to the background task.
    const MOST_FIELDS: usize = 10_000;
    ctx.store.update(key, |hash| hash.remove_due(MOST_FIELDS));
}

/// The options of HSCAN.
struct ScanOptions<'a> {
    /// `None` matches everything.
    pattern: Option<&'a [u8]>,
    count: usize,
    with_values: bool,
}

impl<'a> ScanOptions<'a> {
    fn parse(args: &mut Args<'a>) -> Result<Self, CommandError> {
        let mut options = Self { pattern: None, count: 10, with_values: true };
        while !args.is_empty() {
            if args.take_word("MATCH") {
                options.pattern = Some(args.next_bytes()?).filter(|&pattern| pattern != b"*");
            } else if args.take_word("COUNT") {
                options.count = args.next_scan_count()?;
            } else if args.take_word("NOVALUES") {
                options.with_values = false;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

fn write_scan(reply: &mut ReplyWriter, next: ScanCursor, found: &[(&[u8], Option<Value<'_>>)]) {
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next.0).as_bytes());
    let with_values = found.first().is_some_and(|(_, value)| value.is_some());
    reply.array(if with_values { 2 * found.len() } else { found.len() });
    for (field, value) in found {
        reply.bulk(field);
        if let &Some(value) = value {
            reply.value(value);
        }
    }
}

/// The count form of HRANDFIELD.
struct Sample {
    count: Count,
    shape: Shape,
}

enum Count {
    Distinct(usize),
    Repeating(usize),
}

/// What is written of each field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Field,
    FieldAndValue,
}

impl Sample {
    /// Whether so much is asked for that a big hash had better not be locked meanwhile.
    fn is_large(&self) -> bool {
        match self.count {
            Count::Distinct(count) | Count::Repeating(count) => count > LARGE,
        }
    }

    fn parse(args: &mut Args<'_>) -> Result<Self, CommandError> {
        /// Redis counts fields and values in a signed 64-bit integer.
        const MOST_PAIRS: i64 = i64::MAX / 2;
        let count = args.next_i64()?;
        if count == i64::MIN {
            return Err(CommandError::Fixed(
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ));
        }
        let shape = if args.is_empty() { Shape::Field } else { Shape::FieldAndValue };
        if shape == Shape::FieldAndValue {
            if !args.take_word("WITHVALUES") || !args.is_empty() {
                return Err(CommandError::Syntax);
            }
            if count.abs() > MOST_PAIRS {
                return Err(CommandError::Fixed("ERR value is out of range"));
            }
        }
        let magnitude = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        let count = if count < 0 { Count::Repeating(magnitude) } else { Count::Distinct(magnitude) };
        Ok(Self { count, shape })
    }
}

fn write_distinct(reply: &mut ReplyWriter, hash: &HashView<'_>, random: &mut Random, count: usize, shape: Shape) {
    let live = hash.live_len();
    if count >= live {
        write_head(reply, live, shape);
        for pair in hash.iter() {
            write_pair(reply, pair, shape);
        }
    } else if count < live / 3 {
        write_head(reply, count, shape);
        // Two thirds of the fields at least are not chosen yet, so a new one comes up soon.
        let mut chosen = HashSet::with_capacity(count);
        while chosen.len() < count {
            let Some(pair) = hash.random(random) else { break };
            if chosen.insert(pair.0) {
                write_pair(reply, pair, shape);
            }
        }
    } else {
        write_head(reply, count, shape);
        // One walk that takes each field with the probability that leaves every choice of `count` fields equally likely.
        let mut wanted = count;
        for (passed, pair) in hash.iter().enumerate() {
            if wanted > 0 && random.below(live.saturating_sub(passed).max(1)) < wanted {
                wanted -= 1;
                write_pair(reply, pair, shape);
            }
        }
    }
}

/// Writes fields until there are `count`, or until the reply is longer than the client may let gather, which is `most_output`
/// bytes if there is such a limit: then it gives the length of what there is, and the client is to be closed, as by Redis.
fn write_repeating(
    reply: &mut ReplyWriter,
    hash: &HashView<'_>,
    random: &mut Random,
    (count, shape): (usize, Shape),
    most_output: Option<usize>,
) -> Result<Option<usize>, CommandError> {
    /// A few bytes of request must not make a reply that fills the memory, nor hold the shard for long.
    const MOST_FIELDS: usize = 1 << 24;
    const MOST_REPLY_BYTES: usize = 512 * 1024 * 1024;
    let start = reply.mark();
    let count = if hash.live_len() == 0 { 0 } else { count };
    if count > MOST_FIELDS && most_output.is_none_or(|most| most > MOST_FIELDS * b"$0\r\n\r\n".len()) {
        return Err(CommandError::Fixed("ERR value is out of range"));
    }
    write_head(reply, count, shape);
    for _ in 0..count {
        let Some(pair) = hash.random(random) else { break };
        write_pair(reply, pair, shape);
        let size = reply.mark() - start;
        if most_output.is_some_and(|most| size > most) {
            return Ok(Some(size));
        }
        if size > MOST_REPLY_BYTES {
            return Err(CommandError::Fixed("ERR reply would exceed 512 MB"));
        }
    }
    Ok(None)
}

fn write_head(reply: &mut ReplyWriter, count: usize, shape: Shape) {
    let flat_pairs = shape == Shape::FieldAndValue && reply.version() == RespVersion::Resp2;
    reply.array(if flat_pairs { 2 * count } else { count });
}

fn write_pair(reply: &mut ReplyWriter, (field, value): (&[u8], Value<'_>), shape: Shape) {
    if shape == Shape::Field {
        return reply.bulk(field);
    }
    if reply.version() == RespVersion::Resp3 {
        reply.array(2);
    }
    reply.bulk(field);
    reply.value(value);
}
