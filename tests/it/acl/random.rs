//! Random rules, how they are listed and what they allow, beside Redis; and the table of Redis's commands.

use crate::client::{Client, Protocol, Value};
use crate::resp::{self, Order};
use crate::server::{Kind, Server};
use std::time::{Duration, Instant};

/// Programs of one run, unless the machine is slow.
const ROUNDS: usize = 1500;
const TIME_LIMIT: Duration = Duration::from_secs(12);
/// Dry runs of a user after each change.
const DRY_RUNS: usize = 10;

const KEYS: &[&str] = &["a", "b", "key:1", "key:2", "other", "x*"];
const PATTERNS: &[&str] = &["*", "a", "b", "key:*", "key:1", "[ab]", "o?her", "", "x\\*"];
const WORDS: &[&str] = &[
    "on",
    "off",
    "nopass",
    "resetpass",
    "ON",
    "allkeys",
    "resetkeys",
    "allchannels",
    "resetchannels",
    "allcommands",
    "nocommands",
    ">one",
    ">two",
    "<one",
    "<two",
    "#zz",
    "reset",
    "clearselectors",
    "sanitize-payload",
    "skip-sanitize-payload",
    "bogus",
    "",
    "on\0x",
    "+get\0x",
    "(",
    ")",
    "(+get",
    "~a)",
    "()",
];
const FIRST_ARGS: &[&str] = &["0", "1", "x", "get", "GET", "set", "SET", ""];
const CONTAINERS: &[&str] = &["select", "get", "config", "config|get", "acl", "hget", "debug", "cluster"];
const ARGUMENTS: &[&str] = &["a", "key:1", "other", "1", "2", "get", "store", "STREAMS", "limit", "keys", ""];

/// A random choice.
struct Dice(fastrand::Rng);

impl Dice {
    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.0.usize(..words.len())]
    }

    fn rule(&mut self, commands: &[String], categories: &[String]) -> String {
        let sign = self.of(&["+", "-"]);
        match self.0.usize(..100) {
            0..35 => format!("{sign}{}", commands[self.0.usize(..commands.len())]),
            35..50 => format!("{sign}@{}", categories[self.0.usize(..categories.len())]),
            50..62 => self.of(&["~", "%R~", "%W~", "%RW~", "%wr~", "%r~", "%~", "%x~"]).to_owned() + self.of(PATTERNS),
            62..70 => format!("&{}", self.of(PATTERNS)),
            70..76 => format!("{sign}{}|{}", self.of(CONTAINERS), self.of(FIRST_ARGS)),
            76..84 => {
                let inner: Vec<String> = (0..self.0.usize(..4)).map(|_| self.rule(commands, categories)).collect();
                format!("({})", inner.join(" "))
            }
            _ => self.of(WORDS).to_owned(),
        }
    }
}

fn same(ours: &mut Client, theirs: &mut Client, request: &[String]) -> String {
    let (got, wanted) = (ours.raw(request), theirs.raw(request));
    assert!(
        got == wanted,
        "{request:?}\n  Redis {}\n  hashd {}",
        resp::render_with(&wanted, Order::AsSent),
        resp::render_with(&got, Order::AsSent)
    );
    resp::render(&got)
}

fn request(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

pub fn random_rules() {
    let seed: u64 = std::env::var("HASHD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut dice = Dice(fastrand::Rng::with_seed(seed));
    let (hashd, redis) = (Server::start(Kind::Hashd), Server::start(Kind::Redis));
    let (mut ours, mut theirs) = (hashd.client(), redis.client());
    let table = commands(&mut theirs);
    let names: Vec<String> = table.iter().map(|(name, _)| name.clone()).collect();
    let known = |name: &String| names.contains(name);
    let served: Vec<String> =
        ours.ask("COMMAND LIST").items().iter().map(Value::text).filter(|name| known(name)).collect();
    let mut categories: Vec<String> = theirs.ask("ACL CAT").items().iter().map(Value::text).collect();
    categories.extend(["all", "nope", "ALL", "Read"].map(str::to_owned));
    let give_up = Instant::now() + TIME_LIMIT;
    for round in 0..ROUNDS {
        if Instant::now() > give_up {
            break;
        }
        let commands = if round % 2 == 0 { &names } else { &served };
        if dice.0.usize(..4) == 0 {
            same(&mut ours, &mut theirs, &request(&["ACL", "DELUSER", "u"]));
        }
        if dice.0.usize(..12) == 0 {
            let value = dice.of(&["allchannels", "resetchannels"]);
            same(&mut ours, &mut theirs, &request(&["CONFIG", "SET", "acl-pubsub-default", value]));
        }
        let mut change = request(&["ACL", "SETUSER", "u"]);
        change.extend((0..dice.0.usize(..7)).map(|_| dice.rule(commands, &categories)));
        same(&mut ours, &mut theirs, &change);
        same(&mut ours, &mut theirs, &request(&["ACL", "LIST"]));
        same(&mut ours, &mut theirs, &request(&["ACL", "GETUSER", "u"]));
        for _ in 0..DRY_RUNS {
            let name = &commands[dice.0.usize(..commands.len())];
            let arity = table.iter().find(|(other, _)| other == name).map_or(2, |(_, arity)| *arity);
            let mut dry = request(&["ACL", "DRYRUN", "u"]);
            dry.extend(name.split('|').map(str::to_owned));
            let length = 3 + arity + [0, 0, 0, 1, 2, 3][dice.0.usize(..6)] - usize::from(dice.0.usize(..12) == 0);
            while dry.len() < length {
                dry.push(if dice.0.bool() { dice.of(KEYS) } else { dice.of(ARGUMENTS) }.to_owned());
            }
            if dry.len() > 3 {
                same(&mut ours, &mut theirs, &dry);
            }
        }
    }
}

/// Names and least numbers of arguments of all commands of a server.
fn commands(client: &mut Client) -> Vec<(String, usize)> {
    let mut commands = Vec::new();
    for info in client.ask("COMMAND").items() {
        for info in std::iter::once(info).chain(info.items()[9].items()) {
            let info = info.items();
            commands.push((info[0].text(), usize::try_from(info[1].int().unsigned_abs()).unwrap()));
        }
    }
    commands.sort();
    commands
}

/// What ACL knows of commands is what Redis has: names, categories, and in COMMAND INFO those of the commands served.
pub fn known_commands() {
    let (hashd, redis) = (Server::start(Kind::Hashd), Server::start(Kind::Redis));
    let (mut ours, mut theirs) = (hashd.connect(Protocol::Resp2), redis.connect(Protocol::Resp2));
    let categories = theirs.line("ACL CAT");
    assert_eq!(ours.line("ACL CAT"), categories);
    let of = |client: &mut Client, category: &str| {
        let mut names: Vec<String> =
            client.ask(&format!("ACL CAT {category}")).items().iter().map(Value::text).collect();
        names.sort();
        names
    };
    for category in theirs.ask("ACL CAT").items().iter().map(Value::text) {
        let mut mine = of(&mut ours, &category);
        let wanted = of(&mut theirs, &category);
        // Newer than the Redis at hand.
        mine.retain(|name| wanted.contains(name) || !name.starts_with("himport"));
        assert_eq!(mine, wanted, "@{category}");
        // What the table says of a command that is served is what ACL says.
        let list = ours.ask(&format!("COMMAND LIST FILTERBY ACLCAT {category}"));
        let mut listed: Vec<String> = list.items().iter().map(Value::text).collect();
        listed.retain(|name| !name.starts_with("himport"));
        let missing: Vec<&String> = listed.iter().filter(|name| !wanted.contains(name)).collect();
        assert!(missing.is_empty(), "@{category}: {missing:?}");
    }
    // Every command can be named; the arity shows in a dry run with too few arguments.
    theirs.line("ACL SETUSER u reset");
    ours.line("ACL SETUSER u reset");
    for (name, _) in commands(&mut theirs) {
        for line in [format!("ACL SETUSER u +{name}"), format!("ACL DRYRUN u {}", name.replace('|', " "))] {
            assert_eq!(ours.line(&line), theirs.line(&line), "{line}");
        }
    }
    assert_eq!(ours.line("ACL GETUSER u"), theirs.line("ACL GETUSER u"));
}
