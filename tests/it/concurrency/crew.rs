//! A crew: connections that work on one server at once until time is up, with a watchdog over them.

use crate::client::{Client, Protocol, Value};
use crate::server::Server;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long one request may take before its server counts as stuck.
const PATIENCE: Duration = Duration::from_secs(10);

type Job<'a> = Box<dyn Fn(&mut Member<'_>) + Send + Sync + 'a>;

/// Connections to be, each with its job.
pub struct Crew<'a> {
    server: &'a Server,
    members: Vec<(&'static str, std::sync::Arc<Job<'a>>)>,
}

/// What the watchdog sees of a member.
#[derive(Default)]
struct Slot {
    requests: AtomicU64,
    doing: Mutex<String>,
    is_done: AtomicBool,
}

/// A connection at work.
pub struct Member<'a> {
    /// The connection.
    pub client: Client,
    /// Where its choices come from.
    pub random: fastrand::Rng,
    /// Its number in the crew.
    pub number: usize,
    slot: &'a Slot,
    stop: &'a AtomicBool,
    until: Instant,
}

impl<'a> Crew<'a> {
    /// Nobody yet.
    pub fn new(server: &'a Server) -> Self {
        Self { server, members: Vec::new() }
    }

    /// Adds members that all repeat `turn` until time is up.
    pub fn each(self, role: &'static str, count: usize, turn: impl Fn(&mut Member<'_>) + Send + Sync + 'a) -> Self {
        self.once(role, count, move |member| {
            while member.goes_on() {
                turn(member);
            }
        })
    }

    /// Adds members that all do `job` once.
    pub fn once(mut self, role: &'static str, count: usize, job: impl Fn(&mut Member<'_>) + Send + Sync + 'a) -> Self {
        let job: std::sync::Arc<Job<'a>> = std::sync::Arc::new(Box::new(job));
        self.members.extend((0..count).map(|_| (role, job.clone())));
        self
    }

    /// Lets all work at once; gives the number of requests. The first member to fail stops the others and the test.
    pub fn run(self) -> u64 {
        let slots: Vec<Slot> = self.members.iter().map(|_| Slot::default()).collect();
        let (stop, until) = (AtomicBool::new(false), Instant::now() + seconds());
        let failure = Mutex::new(None);
        std::thread::scope(|scope| {
            for (number, (role, job)) in self.members.iter().enumerate() {
                let (slot, stop, failure, server) = (&slots[number], &stop, &failure, self.server);
                scope.spawn(move || {
                    let work = || job(&mut Member::new(server, number, slot, (stop, until)));
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
                        let first = !stop.swap(true, Ordering::Relaxed);
                        if first {
                            eprintln!("{role} {number} failed at: {}", slot.doing.lock().unwrap());
                        }
                        failure.lock().unwrap().get_or_insert(panic);
                    }
                    slot.is_done.store(true, Ordering::Relaxed);
                });
            }
            self.watch(&slots, &stop);
        });
        if let Some(panic) = failure.into_inner().unwrap() {
            resume_unwind(panic);
        }
        self.server.assert_alive();
        slots.iter().map(|slot| slot.requests.load(Ordering::Relaxed)).sum()
    }

    /// Ends a server that leaves a request without an answer: then every member fails instead of waiting for ever.
    fn watch(&self, slots: &[Slot], stop: &AtomicBool) {
        let mut seen: Vec<(u64, Instant)> = slots.iter().map(|_| (0, Instant::now())).collect();
        while !slots.iter().all(|slot| slot.is_done.load(Ordering::Relaxed)) {
            std::thread::sleep(Duration::from_millis(10));
            for (slot, seen) in slots.iter().zip(&mut seen) {
                let requests = slot.requests.load(Ordering::Relaxed);
                if requests != seen.0 || slot.is_done.load(Ordering::Relaxed) {
                    *seen = (requests, Instant::now());
                }
            }
            if seen.iter().any(|(_, since)| since.elapsed() > PATIENCE) {
                for (number, (slot, (_, since))) in slots.iter().zip(&seen).enumerate() {
                    let role = self.members[number].0;
                    eprintln!("{role} {number}: for {:?} at {}", since.elapsed(), slot.doing.lock().unwrap());
                }
                stop.store(true, Ordering::Relaxed);
                self.server.signal("KILL");
                return;
            }
        }
    }
}

impl<'a> Member<'a> {
    fn new(server: &Server, number: usize, slot: &'a Slot, (stop, until): (&'a AtomicBool, Instant)) -> Self {
        let protocol = if number.is_multiple_of(2) { Protocol::Resp2 } else { Protocol::Resp3 };
        let client = server.connect(protocol);
        client.set_timeout(2 * PATIENCE);
        let random = fastrand::Rng::with_seed(seed() ^ (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Self { client, random, number, slot, stop, until }
    }

    /// Whether there is time left and nobody has failed.
    pub fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed) && Instant::now() < self.until
    }

    /// Says what is being done, for the watchdog, and that it has got on.
    pub fn notes(&self, what: &str) {
        what.clone_into(&mut self.slot.doing.lock().unwrap());
        self.slot.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// One request written as a line, its decoded reply.
    pub fn ask(&mut self, line: &str) -> Value {
        self.notes(line);
        self.client.ask(line)
    }

    /// One request written as a line, its integer reply.
    pub fn int(&mut self, line: &str) -> i64 {
        match self.ask(line) {
            Value::Int(number) => number,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// Runs the commands as a transaction: their replies, or nothing if a watched key has changed. Half the time all is
    /// sent at once, half the time request by request.
    pub fn exec<L: AsRef<str>>(&mut self, commands: &[L]) -> Option<Vec<Value>> {
        let lines = || std::iter::once("MULTI").chain(commands.iter().map(AsRef::as_ref)).chain(["EXEC"]);
        let replies: Vec<Value> = if self.random.bool() {
            self.notes(&lines().collect::<Vec<_>>().join("; "));
            self.pipeline(lines())
        } else {
            lines().map(|line| self.ask(line)).collect()
        };
        let (result, queued) = replies.split_last().unwrap();
        for (reply, line) in queued.iter().zip(lines()) {
            assert!(matches!(reply, Value::Bytes(_)), "{line}: {reply:?}");
        }
        match result {
            Value::Null => None,
            Value::Array(items) => {
                assert_eq!(items.len(), commands.len(), "replies of EXEC");
                Some(items.clone())
            }
            other => panic!("EXEC: {other:?}"),
        }
    }

    fn pipeline<'l>(&mut self, lines: impl Iterator<Item = &'l str>) -> Vec<Value> {
        let requests: Vec<Vec<u8>> =
            lines.map(|line| crate::client::encode(&line.split(' ').collect::<Vec<_>>())).collect();
        self.client.send_raw(&requests.concat()).unwrap();
        let protocol = self.client.protocol;
        let reply = |client: &mut Client| crate::client::decode(&client.reply().unwrap(), protocol);
        requests.iter().map(|_| reply(&mut self.client)).collect()
    }
}

/// How long a crew works.
pub fn seconds() -> Duration {
    let text = std::env::var("STRESS_SECONDS");
    text.map_or(Duration::from_millis(1500), |text| Duration::from_secs_f64(text.parse().unwrap()))
}

/// Where all random choices begin.
pub fn seed() -> u64 {
    std::env::var("STRESS_SEED").map_or(20_26, |text| text.parse().unwrap())
}

/// The integer in a string reply; a missing one is 0.
pub fn number(value: &Value) -> i64 {
    match value {
        Value::Null => 0,
        Value::Int(number) => *number,
        other => other.text().parse().unwrap(),
    }
}

/// Tells the figures of a test to those who run it with `--nocapture`.
pub fn report(test: &str, requests: u64, what: &str) {
    println!("{test}: {requests} requests; {what}");
}
