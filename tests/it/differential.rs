//! hashd against Redis (and Valkey for `HSETEX NX|XX`): the scripts and seeded random programs, byte for byte.

use crate::Case;
use crate::allowed;
use crate::client::{Client, Protocol, show};
use crate::resp::{self, Order};
use crate::script;
use crate::server::{self, Kind};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

pub const ORACLE: &[Case] = &[
    ("scripts_resp2", || scripts(Protocol::Resp2)),
    ("scripts_resp3", || scripts(Protocol::Resp3)),
    ("random_programs", random_programs),
];

fn scripts(protocol: Protocol) {
    let mut report = String::new();
    for script in script::all() {
        let Some(kind) = script.oracle.filter(|&kind| server::has(kind)) else { continue };
        let (ours, theirs) = (script.run_on(Kind::Hashd, protocol), script.run_on(kind, protocol));
        for (our, their) in ours.iter().zip(&theirs) {
            if our.like.is_none()
                && our.reply != their.reply
                && !allowed::covers(&our.request, &their.reply, &our.reply)
            {
                let (request, reply, wanted) = (&our.request, &our.reply, &their.reply);
                writeln!(report, "{}: {request}\n  {kind:?} {wanted}\n  hashd {reply}", script.name).unwrap();
            }
        }
    }
    assert!(report.is_empty(), "{protocol:?}\n{report}");
}

/// A small generator whose whole state is the seed.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        // xorshift64*: good enough to pick commands, and the same on every machine.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }

    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const KEYS: &[&str] = &["a", "b", "c", "", "k\0"];
const FIELDS: &[&str] = &["f", "g", "h", "", "x\r\n", "i", "j"];
const VALUES: &[&str] = &[
    "v",
    "",
    "1",
    "-5",
    "007",
    "1.5",
    "9223372036854775807",
    "-9223372036854775808",
    "abc",
    "3e2",
    " 1",
    "inf",
    "nan",
    "a value of more than sixty-four bytes, which makes a hash table of the small hash",
    "\0\r\n",
    "0.1",
];
const NUMBERS: &[&str] = &[
    "1",
    "-1",
    "0",
    "5",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "x",
    "",
    "1.5",
    "0.1",
    "1e3",
    "inf",
    "nan",
    "+1",
    "01",
    "-0.25",
];
/// Seconds long past or far ahead, so that both servers see the same whatever the hour.
const TIMES: &[&str] = &["4102444800", "4102444801", "4102448400", "1", "0", "-1", "x", "9223372036854775807", ""];
const MILLIS: &[&str] = &["4102444800000", "4102444800499", "4102444800500", "1", "0", "-1", "x", "281474976710656"];
const CONDITIONS: &[&str] = &["NX", "XX", "GT", "LT", "nx", "gt", "BAD"];

/// One random request; hash, field TTL and key commands with few keys and fields.
fn request(random: &mut Random) -> Vec<String> {
    let mut words: Vec<&str> = Vec::new();
    let r = &mut *random;
    let key = r.pick(KEYS);
    match r.below(40) {
        0..=5 => {
            words.extend([r.pick(&["HSET", "HSET", "HMSET"]), key]);
            for _ in 0..=r.below(4) {
                words.extend([r.pick(FIELDS), r.pick(VALUES)]);
            }
        }
        6 => words.extend(["HSETNX", key, r.pick(FIELDS), r.pick(VALUES)]),
        7 => words.extend(["HGET", key, r.pick(FIELDS)]),
        8 => words.extend(["HMGET", key, r.pick(FIELDS), r.pick(FIELDS), r.pick(FIELDS)]),
        9 => words.extend([r.pick(&["HGETALL", "HKEYS", "HVALS", "HLEN", "TYPE", "EXISTS"]), key]),
        10..=12 => words.extend(["HDEL", key, r.pick(FIELDS), r.pick(FIELDS)]),
        13 => words.extend([r.pick(&["HEXISTS", "HSTRLEN"]), key, r.pick(FIELDS)]),
        14 | 15 => words.extend(["HINCRBY", key, r.pick(FIELDS), r.pick(NUMBERS)]),
        16 | 17 => words.extend(["HINCRBYFLOAT", key, r.pick(FIELDS), r.pick(NUMBERS)]),
        18..=21 => {
            let (command, times) = [("HEXPIREAT", TIMES), ("HPEXPIREAT", MILLIS)][r.below(2)];
            words.extend([command, key, r.pick(times)]);
            if r.below(3) == 0 {
                words.push(r.pick(CONDITIONS));
            }
            field_list(r, &mut words);
        }
        22 => {
            words.extend([r.pick(&["HEXPIRETIME", "HPEXPIRETIME"]), key]);
            field_list(r, &mut words);
        }
        23 => {
            words.extend([r.pick(&["HPERSIST", "HGETDEL"]), key]);
            field_list(r, &mut words);
        }
        24 | 25 => {
            words.extend(["HGETEX", key]);
            time_option(r, &mut words, "PERSIST");
            field_list(r, &mut words);
        }
        26..=28 => {
            words.extend(["HSETEX", key]);
            if r.below(3) == 0 {
                words.push(r.pick(&["FNX", "FXX", "fnx"]));
            }
            time_option(r, &mut words, "KEEPTTL");
            words.push("FIELDS");
            let count = 1 + r.below(2);
            words.push(r.pick(&["1", "1", "2", "2", "3", "0"]));
            // Never a field twice: Redis 8.6.3 crashes when HSETEX with a time does that to a hash table.
            let first = r.below(FIELDS.len());
            for index in 0..count {
                words.extend([FIELDS[(first + index) % FIELDS.len()], r.pick(VALUES)]);
            }
        }
        29 => words.extend([r.pick(&["RENAME", "RENAMENX"]), key, r.pick(KEYS)]),
        30 => {
            words.extend(["COPY", key, r.pick(KEYS)]);
            if r.below(2) == 0 {
                words.push("REPLACE");
            }
            if r.below(3) == 0 {
                words.extend(["DB", r.pick(&["0", "1", "16", "x"])]);
            }
        }
        31 => words.extend(["MOVE", key, r.pick(&["0", "1", "16", "x"])]),
        32 | 33 => {
            let (command, times) = [("EXPIREAT", TIMES), ("PEXPIREAT", MILLIS)][r.below(2)];
            words.extend([command, key, r.pick(times)]);
            if r.below(3) == 0 {
                words.push(r.pick(CONDITIONS));
            }
        }
        34 => words.extend([r.pick(&["EXPIRETIME", "PEXPIRETIME", "PERSIST"]), key]),
        35 => words.extend([r.pick(&["DEL", "UNLINK", "EXISTS", "TOUCH"]), key, r.pick(KEYS)]),
        36 => words.extend(["OBJECT", "ENCODING", key]),
        37 => match r.below(6) {
            0 => words.extend(["SWAPDB", "0", "1"]),
            _ => words.extend(["SELECT", r.pick(&["0", "0", "1"])]),
        },
        38 => words.extend(["HSCAN", key, "0", "COUNT", "10000"]),
        _ => words.extend([r.pick(&["DBSIZE", "KEYS *", "SCAN 0 COUNT 1000"])]),
    }
    let mut words: Vec<String> = match words[0] {
        "KEYS *" => vec!["KEYS".into(), "*".into()],
        "SCAN 0 COUNT 1000" => "SCAN 0 COUNT 1000".split(' ').map(str::to_owned).collect(),
        _ => words.into_iter().map(str::to_owned).collect(),
    };
    // Now and then a word too few, too many, or two in each other's place.
    match random.below(60) {
        0 if words.len() > 1 => drop(words.pop()),
        1 => words.push("extra".into()),
        2 if words.len() > 3 => {
            let last = words.len() - 1;
            words.swap(last, last - 1);
        }
        _ => {}
    }
    words
}

fn field_list(r: &mut Random, words: &mut Vec<&str>) {
    let count = 1 + r.below(3);
    words
        .extend(["FIELDS", if r.below(15) == 0 { r.pick(&["0", "4", "-1", "x"]) } else { ["1", "2", "3"][count - 1] }]);
    for _ in 0..count {
        words.push(r.pick(FIELDS));
    }
}

fn time_option(r: &mut Random, words: &mut Vec<&str>, other: &'static str) {
    match r.below(5) {
        0 => words.extend(["EXAT", r.pick(TIMES)]),
        1 => words.extend(["PXAT", r.pick(MILLIS)]),
        2 => words.push(other),
        _ => {}
    }
}

fn order_of(args: &[String]) -> Order {
    match args[0].as_str() {
        "HGETALL" => Order::SortedPairs,
        "HKEYS" | "HVALS" | "KEYS" => Order::Sorted,
        "HSCAN" => Order::SortedSecondPairs,
        "SCAN" => Order::SortedSecond,
        _ => Order::AsSent,
    }
}

fn random_programs() {
    let first: u64 = std::env::var("HASHD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let give_up = Instant::now() + Duration::from_secs(20);
    for seed in first..first + 6 {
        let protocol = if seed % 2 == 0 { Protocol::Resp2 } else { Protocol::Resp3 };
        if Instant::now() < give_up {
            run_seed(seed, protocol);
        }
    }
}

fn run_seed(seed: u64, protocol: Protocol) {
    let (ours, theirs) = (server::borrow(Kind::Hashd), server::borrow(Kind::Redis));
    let (mut our, mut their) = (ours.connect(protocol), theirs.connect(protocol));
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut report = String::new();
    let mut mismatches = 0;
    for number in 0..4000 {
        let args = request(&mut random);
        let (got, wanted) = (our.raw(&args), their.raw(&args));
        let order = order_of(&args);
        let plain = |reply: &[u8]| resp::render_with(reply, order);
        if got != wanted
            && plain(&got) != plain(&wanted)
            && !allowed::covers(&show(&args), &plain(&wanted), &plain(&got))
        {
            mismatches += 1;
            let (got, wanted) = (plain(&got), plain(&wanted));
            writeln!(report, "#{number} {}\n  redis {wanted}\n  hashd {got}", show(&args)).unwrap();
        }
        if number % 250 == 249 {
            let (mine, yours) = (keyspace(&mut our), keyspace(&mut their));
            if mine != yours {
                mismatches += 10;
                writeln!(report, "#{number} keyspace\n  redis {yours:?}\n  hashd {mine:?}").unwrap();
            }
        }
        if mismatches >= 10 {
            break;
        }
    }
    assert!(report.is_empty(), "HASHD_SEED={seed} {protocol:?}\n{report}");
    server::give_back(ours);
    server::give_back(theirs);
}

/// Every key of the selected database with its fields and times, in the order of the keys.
fn keyspace(client: &mut Client) -> Vec<String> {
    let mut lines = Vec::new();
    for key in KEYS {
        let pairs = resp::render_with(&client.raw(&["HGETALL", key]), Order::SortedPairs);
        let expiry = resp::render(&client.raw(&["PEXPIRETIME", key]));
        let mut ask = vec!["HPEXPIRETIME".to_owned(), (*key).to_owned(), "FIELDS".into(), FIELDS.len().to_string()];
        ask.extend(FIELDS.iter().map(|field| (*field).to_owned()));
        let times = resp::render(&client.raw(&ask));
        lines.push(format!("{key:?} {pairs} {expiry} {times}"));
    }
    lines.push(resp::render_with(&client.raw(&["SCAN", "0", "COUNT", "1000"]), Order::SortedSecond));
    lines
}
