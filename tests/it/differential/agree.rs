//! Whether two replies to the same request agree: byte for byte, in any order where there is none, or, where the server
//! draws lots, as two draws from the same hash or database.

use super::program::Request;
use crate::client::{Client, Value, decode};
use crate::resp::{self, Order};

/// Whether hashd's reply will do; the oracle is asked for what it has drawn from.
pub fn agree(request: &Request, got: &[u8], wanted: &[u8], oracle: &mut Client) -> bool {
    let drawn = matches!(request[0].as_str(), "HRANDFIELD" | "RANDOMKEY") && is_draw(wanted);
    if !drawn {
        let order = order_of(request);
        return resp::render_with(got, order) == resp::render_with(wanted, order);
    }
    // The first line of an array says how many elements it has, that of a single string only how long this draw is.
    if got.first() != wanted.first() || wanted[0] == b'*' && first_line(got) != first_line(wanted) {
        return false;
    }
    let (got, wanted) = (decode(got, oracle.protocol), decode(wanted, oracle.protocol));
    if request[0] == "RANDOMKEY" {
        return oracle.ask("KEYS *").items().contains(&got);
    }
    let hash = pairs_of(oracle.value(&["HGETALL", &request[1]]));
    // A negative count asks for draws that may repeat.
    let distinct = !request.get(2).is_some_and(|count| count.starts_with('-'));
    is_nested(&got) == is_nested(&wanted) && drawn_from(&hash, &draws(got, request.len() > 3), distinct)
}

/// Which parts of a reply have no order.
pub fn order_of(request: &Request) -> Order {
    match request[0].as_str() {
        "HGETALL" => Order::SortedPairs,
        "HKEYS" | "HVALS" | "KEYS" => Order::Sorted,
        "HSCAN" => Order::SortedSecondPairs,
        "SCAN" => Order::SortedSecond,
        _ => Order::AsSent,
    }
}

/// Whether a reply holds elements; nulls, errors and empty arrays leave nothing to chance.
fn is_draw(reply: &[u8]) -> bool {
    matches!(reply, [b'$' | b'*', first, ..] if *first != b'-') && !reply.starts_with(b"*0")
}

fn first_line(reply: &[u8]) -> Option<&[u8]> {
    reply.split(|&byte| byte == b'\r').next()
}

fn is_nested(value: &Value) -> bool {
    matches!(value, Value::Array(items) if items.iter().any(|item| matches!(item, Value::Array(_))))
}

/// The fields and values of `HGETALL`.
fn pairs_of(reply: Value) -> Vec<(Value, Value)> {
    match reply {
        Value::Map(pairs) => pairs,
        other => other.items().chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
    }
}

/// The fields of an `HRANDFIELD` reply, with the values if it holds them.
fn draws(reply: Value, with_values: bool) -> Vec<(Value, Option<Value>)> {
    match reply {
        Value::Array(items) if is_nested(&Value::Array(items.clone())) => {
            items.iter().map(|pair| (pair.items()[0].clone(), pair.items().get(1).cloned())).collect()
        }
        Value::Array(items) if with_values => {
            items.chunks(2).map(|pair| (pair[0].clone(), pair.get(1).cloned())).collect()
        }
        Value::Array(items) => items.into_iter().map(|field| (field, None)).collect(),
        single => vec![(single, None)],
    }
}

/// Whether all draws are in the hash. As many distinct ones as the hash has fields are then all of it.
fn drawn_from(hash: &[(Value, Value)], draws: &[(Value, Option<Value>)], distinct: bool) -> bool {
    let known = draws.iter().all(|(field, value)| {
        hash.iter().any(|(name, content)| name == field && value.as_ref().is_none_or(|value| value == content))
    });
    let repeats = draws.iter().enumerate().any(|(at, (field, _))| draws[..at].iter().any(|(other, _)| other == field));
    known && !(distinct && repeats)
}
