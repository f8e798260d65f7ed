//! Whether a history of overlapping operations has an order in which a plain model gives the same replies.
//!
//! The search is Wing and Gong's with Lowe's memoisation: from the operations that nothing unfinished precedes, take one
//! that the model agrees with, go on, and step back when none does; no state is entered twice with the same ones done.
//! It is written out because it is shorter than what an adapter to the crates there are (`stateright`, `todc-utils`) would
//! be: those know one operation a thread at a time and not the order of a pipeline.

use crate::client::Value;
use std::collections::HashSet;

pub const KEYS: usize = 2;
pub const FIELDS: usize = 2;

/// A command, on a key and a field by their numbers.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Set(usize, usize, i64),
    SetNew(usize, usize, i64),
    Get(usize, usize),
    Remove(usize, usize),
    Add(usize, usize, i64),
    Has(usize, usize),
    Length(usize),
    /// DEL of both keys.
    Drop,
    /// EXISTS of both keys.
    Count,
    /// RENAME of a key to the other.
    Rename(usize),
    /// COPY REPLACE of a key to the other.
    Copy(usize),
}

/// One command, or several as a transaction.
#[derive(Clone, Debug)]
pub struct Operation {
    pub client: usize,
    pub steps: Vec<Step>,
    pub replies: Vec<Value>,
    /// When it was sent, and when all of its reply was there.
    pub invoked: u64,
    pub returned: u64,
}

/// The model: hashes of optional numbers.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct Hashes([[Option<i64>; FIELDS]; KEYS]);

impl Hashes {
    fn apply(&mut self, step: Step) -> Value {
        let truth = |yes: bool| Value::Int(yes.into());
        match step {
            Step::Set(key, field, value) => truth(self.0[key][field].replace(value).is_none()),
            Step::SetNew(key, field, value) => {
                let is_new = self.0[key][field].is_none();
                self.0[key][field].get_or_insert(value);
                truth(is_new)
            }
            Step::Get(key, field) => {
                self.0[key][field].map_or(Value::Null, |value| Value::Bytes(value.to_string().into()))
            }
            Step::Remove(key, field) => truth(self.0[key][field].take().is_some()),
            Step::Add(key, field, more) => {
                Value::Int(*self.0[key][field].insert(self.0[key][field].unwrap_or(0) + more))
            }
            Step::Has(key, field) => truth(self.0[key][field].is_some()),
            Step::Length(key) => Value::Int(self.0[key].iter().flatten().count() as i64),
            Step::Count => Value::Int((0..KEYS).filter(|&key| self.has(key)).count() as i64),
            Step::Drop => {
                let count = self.apply(Step::Count);
                *self = Self::default();
                count
            }
            Step::Rename(key) if !self.has(key) => Value::Error("ERR no such key".into()),
            Step::Rename(key) => {
                self.0[1 - key] = std::mem::take(&mut self.0[key]);
                Value::Bytes("OK".into())
            }
            Step::Copy(key) if !self.has(key) => Value::Int(0),
            Step::Copy(key) => {
                self.0[1 - key] = self.0[key];
                Value::Int(1)
            }
        }
    }

    fn has(&self, key: usize) -> bool {
        self.0[key].iter().any(Option::is_some)
    }

    /// Applies a whole operation; tells whether its replies are the model's.
    pub fn agrees(&mut self, operation: &Operation) -> bool {
        operation.steps.iter().zip(&operation.replies).all(|(step, reply)| self.apply(*step) == *reply)
    }

    /// The replies that the model gives.
    pub fn replies(&mut self, steps: &[Step]) -> Vec<Value> {
        steps.iter().map(|step| self.apply(*step)).collect()
    }
}

/// Whether the history, which begins with no keys, is linearizable. A client's operations keep the order they are in.
pub fn is_linearizable(history: &[Operation]) -> bool {
    assert!(history.len() <= 64, "one bit for each operation");
    let precedes = |earlier: usize, later: usize| {
        let (one, two) = (&history[earlier], &history[later]);
        one.returned < two.invoked || (one.client == two.client && earlier < later)
    };
    let before = (0..history.len())
        .map(|later| {
            (0..history.len()).filter(|&earlier| precedes(earlier, later)).map(|earlier| 1_u64 << earlier).sum()
        })
        .collect();
    Search { history, before, seen: HashSet::new() }.goes_on(0, Hashes::default())
}

struct Search<'a> {
    history: &'a [Operation],
    /// For each operation, those that must come before it.
    before: Vec<u64>,
    seen: HashSet<(u64, Hashes)>,
}

impl Search<'_> {
    /// Whether the operations that are not `done` can follow from `state`.
    fn goes_on(&mut self, done: u64, state: Hashes) -> bool {
        if done.count_ones() as usize == self.history.len() {
            return true;
        }
        if !self.seen.insert((done, state)) {
            return false;
        }
        (0..self.history.len()).any(|next| {
            let is_free = done & (1 << next) == 0 && self.before[next] & !done == 0;
            let mut after = state;
            is_free && after.agrees(&self.history[next]) && self.goes_on(done | 1 << next, after)
        })
    }
}
