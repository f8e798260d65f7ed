//! Programs of commands over a socket against a plain `BTreeMap`; proptest makes them and shrinks those that fail.

use crate::Case;
use crate::client::{Client, Value};
use crate::server::{Kind, Server};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::collections::BTreeMap;

pub const CASES: &[Case] = &[("programs", programs)];

#[derive(Clone, Debug)]
enum Step {
    Set(u8, u8, Vec<u8>),
    Get(u8, u8),
    Delete(u8, u8),
    Length(u8),
    Drop(u8),
    Rename(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let (key, field) = (0..3_u8, 0..6_u8);
    prop_oneof![
        4 => (key.clone(), field.clone(), prop::collection::vec(any::<u8>(), 0..80)).prop_map(|(k, f, v)| Step::Set(k, f, v)),
        2 => (key.clone(), field.clone()).prop_map(|(k, f)| Step::Get(k, f)),
        3 => (key.clone(), field).prop_map(|(k, f)| Step::Delete(k, f)),
        1 => key.clone().prop_map(Step::Length),
        1 => key.clone().prop_map(Step::Drop),
        1 => (key.clone(), key).prop_map(|(k, l)| Step::Rename(k, l)),
    ]
}

type Model = BTreeMap<u8, BTreeMap<u8, Vec<u8>>>;

fn programs() {
    let server = Server::start(Kind::Hashd);
    let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&prop::collection::vec(step(), 1..60), |steps| {
        let mut client = server.client();
        client.line("FLUSHALL");
        let mut model = Model::new();
        for step in steps {
            check(&mut client, &mut model, step)?;
        }
        prop_assert_eq!(client.ask("DBSIZE"), Value::Int(model.len() as i64));
        Ok(())
    });
    result.unwrap();
}

fn check(client: &mut Client, model: &mut Model, step: Step) -> Result<(), TestCaseError> {
    let ask = |client: &mut Client, args: &[&[u8]]| client.value(args);
    let (got, wanted) = match step {
        Step::Set(k, f, v) => {
            let got = ask(client, &[b"HSET", &[k], &[f], &v]);
            (got, Value::Int(model.entry(k).or_default().insert(f, v).is_none().into()))
        }
        Step::Get(k, f) => {
            let value = model.get(&k).and_then(|hash| hash.get(&f));
            (ask(client, &[b"HGET", &[k], &[f]]), value.map_or(Value::Null, |v| Value::Bytes(v.clone())))
        }
        Step::Delete(k, f) => {
            let removed = model.get_mut(&k).and_then(|hash| hash.remove(&f)).is_some();
            model.retain(|_, hash| !hash.is_empty());
            (ask(client, &[b"HDEL", &[k], &[f]]), Value::Int(removed.into()))
        }
        Step::Length(k) => (ask(client, &[b"HLEN", &[k]]), Value::Int(model.get(&k).map_or(0, BTreeMap::len) as i64)),
        Step::Drop(k) => (ask(client, &[b"DEL", &[k]]), Value::Int(model.remove(&k).is_some().into())),
        Step::Rename(k, l) => {
            let wanted = match model.remove(&k) {
                None => Value::Error("ERR no such key".into()),
                Some(hash) => {
                    model.insert(l, hash);
                    Value::Bytes(b"OK".to_vec())
                }
            };
            (ask(client, &[b"RENAME", &[k], &[l]]), wanted)
        }
    };
    prop_assert_eq!(got, wanted);
    Ok(())
}
