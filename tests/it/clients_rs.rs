//! The programs users write with the crate `redis`: sync and async, RESP2 and RESP3.

use crate::Case;
use crate::server::{Kind, Server};
use redis::{AsyncCommands, Commands};
use std::collections::HashMap;

pub const CASES: &[Case] =
    &[("sync_resp2", || sync("")), ("sync_resp3", || sync("?protocol=resp3")), ("multiplexed", multiplexed)];

fn sync(query: &str) {
    let server = Server::start(Kind::Hashd);
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/1{query}", server.port)).unwrap();
    let mut connection = client.get_connection().unwrap();
    let () = connection.hset_multiple("user", &[("name", "Ann"), ("age", "41")]).unwrap();
    let all: HashMap<String, String> = connection.hgetall("user").unwrap();
    assert_eq!(all["name"], "Ann");
    let age: i64 = connection.hincr("user", "age", 1).unwrap();
    assert_eq!(age, 42);
    let none: Option<String> = connection.hget("user", "none").unwrap();
    assert_eq!(none, None);
    let set: Vec<i64> = connection.hexpire("user", 100, redis::ExpireOption::NONE, &["name", "none"]).unwrap();
    assert_eq!(set, [1, -2]);
    let mut fields: Vec<(String, String)> = connection.hscan("user").unwrap().map(|item| item.unwrap()).collect();
    fields.sort();
    assert_eq!(fields, [("age".into(), "42".into()), ("name".into(), "Ann".into())]);
    let (a, b): (i64, i64) = redis::pipe().hlen("user").hdel("user", "age").query(&mut connection).unwrap();
    assert_eq!((a, b), (2, 1));
}

fn multiplexed() {
    let server = Server::start(Kind::Hashd);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for query in ["", "?protocol=resp3"] {
            let client = redis::Client::open(format!("redis://127.0.0.1:{}/{query}", server.port)).unwrap();
            let connection = client.get_multiplexed_async_connection().await.unwrap();
            let mut tasks = Vec::new();
            for n in 0..50 {
                let mut connection = connection.clone();
                tasks.push(async move {
                    let () = connection.hset("many", n, n * 2).await.unwrap();
                    let back: i64 = connection.hget("many", n).await.unwrap();
                    assert_eq!(back, n * 2);
                });
            }
            for task in tasks {
                task.await;
            }
        }
    });
}
