//! Random programs: what a seed makes of few keys, fields and databases, so that the requests meet each other's effects.

/// The words of one command line.
pub type Request = Vec<String>;

/// Whose commands a program is made of.
///
/// Valkey words nearly every error of the field TTL commands in its own way, has other bounds for times, reads them
/// after it has looked at the conditions of HSETEX, takes no options behind the fields, and keeps hashes whose fields
/// expire in other encodings. Its programs leave all of that out, and wrong or swapped words with it; what they keep is
/// `HSETEX NX|XX` among commands to which Redis replies likewise.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Redis,
    Valkey,
}

/// The databases that the programs use.
pub const DATABASES: &[&str] = &["0", "1", "2"];

const ANY_DATABASE: &[&str] = &["0", "1", "1", "2", "2", "16", "-1", "x"];
const KEYS: &[&str] = &["a", "b", "c", "", "k\0"];
const FIELDS: &[&str] =
    &["f", "g", "h", "", "x\r\n", "i", "j", "a field of more than sixty-four bytes, longer than a listpack takes it"];
/// Long enough to make a table of a hash that hashd would keep packed, whatever OBJECT ENCODING says.
const LONG: &str = match std::str::from_utf8(&[b'y'; 4200]) {
    Ok(text) => text,
    Err(_) => "",
};
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
    LONG,
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
const COUNTS: &[&str] =
    &["0", "1", "2", "3", "6", "7", "50", "-1", "-3", "-20", "9223372036854775807", "-9223372036854775808", "x", ""];
const CONDITIONS: &[&str] = &["NX", "XX", "GT", "LT", "nx", "gt"];
/// Seconds long past or far ahead, so that both servers see the same whatever the hour.
const SECONDS: &[&str] = &["4102444800", "4102444801", "4102448400", "1", "0"];
const MILLISECONDS: &[&str] = &["4102444800000", "4102444800499", "4102444800500", "1", "0"];
const WRONG_TIMES: &[&str] = &["-1", "281474976710656", "9223372036854775807", "x", ""];

/// The program of a seed, always the same.
pub fn program(seed: u64, dialect: Dialect, requests: usize) -> Vec<Request> {
    let mut generator = Generator { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, dialect };
    (0..requests).map(|_| generator.request()).collect()
}

/// A text of a program with its longest words as golden scripts write them.
pub fn readable(text: &str) -> String {
    text.replace(LONG, &format!("{{y*{}}}", LONG.len()))
}

type Words = Vec<&'static str>;

/// A small generator whose whole state is the seed.
struct Generator {
    state: u64,
    dialect: Dialect,
}

impl Generator {
    fn request(&mut self) -> Request {
        let mut words = match self.below(42) {
            0..=19 => self.hash(),
            20..=30 => self.field_ttl(),
            31..=36 => self.one_key(),
            _ => self.databases(),
        };
        if self.dialect == Dialect::Redis {
            self.spoil(&mut words);
        }
        words.into_iter().map(str::to_owned).collect()
    }

    fn hash(&mut self) -> Words {
        match self.below(20) {
            0..=5 => {
                let mut words = vec![self.pick(&["HSET", "HSET", "HMSET"]), self.key()];
                for _ in 0..=self.below(6) {
                    words.extend([self.field(), self.pick(VALUES)]);
                }
                words
            }
            6 => vec!["HSETNX", self.key(), self.field(), self.pick(VALUES)],
            7 => vec!["HGET", self.key(), self.field()],
            8 => vec!["HMGET", self.key(), self.field(), self.field(), self.field()],
            9 => vec![self.pick(&["HGETALL", "HKEYS", "HVALS", "HLEN"]), self.key()],
            10..=12 => vec!["HDEL", self.key(), self.field(), self.field()],
            13 => vec![self.pick(&["HEXISTS", "HSTRLEN"]), self.key(), self.field()],
            14 | 15 => vec!["HINCRBY", self.key(), self.field(), self.pick(NUMBERS)],
            16 | 17 => vec!["HINCRBYFLOAT", self.key(), self.field(), self.pick(NUMBERS)],
            18 => vec!["HSCAN", self.key(), "0", "COUNT", "10000"],
            _ => match self.below(4) {
                0 => vec!["HRANDFIELD", self.key()],
                1 => vec!["HRANDFIELD", self.key(), self.pick(COUNTS), "WITHVALUES"],
                _ => vec!["HRANDFIELD", self.key(), self.pick(COUNTS)],
            },
        }
    }

    fn field_ttl(&mut self) -> Words {
        match self.below(11) {
            0..=3 => {
                let (command, time) = self.time("HEXPIREAT", "HPEXPIREAT");
                let mut words = vec![command, self.key(), time];
                let condition = self.condition();
                let fields = self.fields();
                words.extend(self.in_any_order([condition, fields]));
                words
            }
            4 => {
                // Valkey rounds seconds to the nearest, Redis up.
                let commands: &[_] = match self.dialect {
                    Dialect::Redis => &["HEXPIRETIME", "HPEXPIRETIME"],
                    Dialect::Valkey => &["HPEXPIRETIME"],
                };
                let mut words = vec![self.pick(commands), self.key()];
                words.extend(self.fields());
                words
            }
            5 => {
                let mut words = vec![self.pick(&["HPERSIST", "HGETDEL"]), self.key()];
                words.extend(self.fields());
                words
            }
            6 | 7 => {
                let mut words = vec!["HGETEX", self.key()];
                let expiry = self.time_option("PERSIST");
                let fields = self.fields();
                words.extend(self.in_any_order([expiry, fields]));
                words
            }
            _ => self.hsetex(),
        }
    }

    fn hsetex(&mut self) -> Words {
        let mut words = vec!["HSETEX", self.key()];
        if self.dialect == Dialect::Valkey && self.below(2) == 0 {
            words.push(self.pick(&["NX", "XX", "nx"]));
        }
        let mut options = Vec::new();
        if self.below(3) == 0 {
            options.push(self.pick(&["FNX", "FXX", "fnx"]));
        }
        options.extend(self.time_option("KEEPTTL"));
        let count = [1, 1, 2, 2, 3, 5][self.below(6)];
        let mut fields = vec!["FIELDS", ["1", "2", "3", "4", "5"][count - 1]];
        if self.dialect == Dialect::Redis && self.below(8) == 0 {
            fields[1] = self.pick(&["1", "2", "3", "0"]);
        }
        // Never a field twice: Redis 8.6.3 crashes when HSETEX with a time does that to a hash table.
        let first = self.below(FIELDS.len());
        for index in 0..count {
            fields.extend([FIELDS[(first + index) % FIELDS.len()], self.pick(VALUES)]);
        }
        words.extend(self.in_any_order([options, fields]));
        words
    }

    fn one_key(&mut self) -> Words {
        match self.below(6) {
            0 | 1 => {
                let (command, time) = self.time("EXPIREAT", "PEXPIREAT");
                let mut words = vec![command, self.key(), time];
                words.extend(self.condition());
                words
            }
            2 => vec![self.pick(&["EXPIRETIME", "PEXPIRETIME", "PERSIST"]), self.key()],
            3 => vec![self.pick(&["DEL", "UNLINK", "EXISTS", "TOUCH"]), self.key(), self.key()],
            4 if self.dialect == Dialect::Redis => vec!["OBJECT", "ENCODING", self.key()],
            4 => vec![self.pick(&["TYPE", "EXISTS"]), self.key()],
            _ => vec![self.pick(&["RENAME", "RENAMENX"]), self.key(), self.key()],
        }
    }

    fn databases(&mut self) -> Words {
        match self.below(24) {
            0..=5 => {
                let mut words = vec!["COPY", self.key(), self.key()];
                if self.below(2) == 0 {
                    words.push("REPLACE");
                }
                if self.below(2) == 0 {
                    words.extend(["DB", self.pick(ANY_DATABASE)]);
                }
                words
            }
            6..=9 => vec!["MOVE", self.key(), self.pick(ANY_DATABASE)],
            10..=14 => vec!["SELECT", self.pick(ANY_DATABASE)],
            15 | 16 => vec!["SWAPDB", self.pick(ANY_DATABASE), self.pick(ANY_DATABASE)],
            17 | 18 => vec!["RANDOMKEY"],
            19 => vec!["DBSIZE"],
            20 => vec!["KEYS", self.pick(&["*", "?", "[a-b]", ""])],
            21 | 22 => vec!["SCAN", "0", "COUNT", "1000"],
            // Seldom, as little happens in an empty database.
            _ => match self.below(6) {
                0 => vec!["FLUSHALL", self.pick(&["SYNC", "ASYNC", "sync"])],
                1 => vec!["FLUSHDB"],
                2 => vec!["FLUSHDB", self.pick(&["SYNC", "ASYNC", "bad"])],
                _ => vec!["DBSIZE"],
            },
        }
    }

    /// Now and then a word too few, too many, or two in each other's place.
    fn spoil(&mut self, words: &mut Words) {
        match self.below(60) {
            0 if words.len() > 1 => drop(words.pop()),
            1 => words.push(self.pick(&["extra", "two\r\nlines", "a NUL \0 within"])),
            // Two fields of an HSETEX might become the same one, see there.
            2 if words.len() > 3 && words[0] != "HSETEX" => {
                let last = words.len() - 1;
                words.swap(last, last - 1);
            }
            _ => {}
        }
    }

    fn time(&mut self, with_seconds: &'static str, with_milliseconds: &'static str) -> (&'static str, &'static str) {
        if self.dialect == Dialect::Redis && self.below(8) == 0 {
            return (self.pick(&[with_seconds, with_milliseconds]), self.pick(WRONG_TIMES));
        }
        let (command, times) = [(with_seconds, SECONDS), (with_milliseconds, MILLISECONDS)][self.below(2)];
        (command, self.pick(times))
    }

    fn time_option(&mut self, other: &'static str) -> Words {
        match self.below(5) {
            0 | 1 => {
                let (option, time) = self.time("EXAT", "PXAT");
                vec![option, time]
            }
            2 => vec![other],
            _ => Vec::new(),
        }
    }

    fn condition(&mut self) -> Words {
        match self.below(15) {
            0 if self.dialect == Dialect::Redis => vec!["BAD"],
            1..=4 => vec![self.pick(CONDITIONS)],
            _ => Vec::new(),
        }
    }

    fn fields(&mut self) -> Words {
        let count = 1 + self.below(3);
        let mut words = vec!["FIELDS", ["1", "2", "3"][count - 1]];
        if self.dialect == Dialect::Redis && self.below(15) == 0 {
            words[1] = self.pick(&["0", "4", "-1", "x"]);
        }
        for _ in 0..count {
            words.push(self.field());
        }
        words
    }

    /// Options before the fields, or behind them, where Redis takes them as well.
    fn in_any_order(&mut self, [options, fields]: [Words; 2]) -> Words {
        if self.dialect == Dialect::Redis && self.below(6) == 0 {
            [fields, options].concat()
        } else {
            [options, fields].concat()
        }
    }

    fn key(&mut self) -> &'static str {
        self.pick(KEYS)
    }

    fn field(&mut self) -> &'static str {
        self.pick(FIELDS)
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    fn below(&mut self, limit: usize) -> usize {
        // xorshift64*: good enough to pick commands, and the same on every machine.
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }
}
