//! The programs users write with the crate `redis`: sync and async, RESP2 and RESP3.

use crate::Case;
use crate::server::{Kind, Server};
use redis::{AsyncCommands, Commands};
use std::collections::HashMap;

pub const CASES: &[Case] = &[
    ("sync_resp2", || sync("")),
    ("sync_resp3", || sync("?protocol=resp3")),
    ("multiplexed", multiplexed),
    ("every_line_of_info", info),
];

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

fn info() {
    let server = Server::start(Kind::Hashd);
    for query in ["", "?protocol=resp3"] {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/{query}", server.port)).unwrap();
        let mut connection = client.get_connection().unwrap();
        let () = connection.hset("user", "name", "Ann").unwrap();
        let text: String = redis::cmd("INFO").arg("everything").query(&mut connection).unwrap();
        let info = redis::InfoDict::new(&text);
        // Every line that is not a heading is a field, and none comes twice.
        let fields = text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).count();
        assert_eq!(info.len(), fields, "{text}");
        for name in ["used_memory", "maxmemory", "connected_clients", "uptime_in_seconds", "total_commands_processed"] {
            assert!(info.get::<u64>(name).is_some(), "{name} is no whole number");
        }
        for name in ["mem_fragmentation_ratio", "used_cpu_user", "instantaneous_input_kbps"] {
            assert!(info.get::<f64>(name).is_some(), "{name} is no number");
        }
        assert_eq!(info.get::<u16>("tcp_port"), Some(server.port));
        assert_eq!(info.get::<bool>("loading"), Some(false));
        assert_eq!(info.get::<String>("role").as_deref(), Some("master"));
        assert!(info.get::<String>("cmdstat_hset").is_some_and(|calls| calls.starts_with("calls=")));
        assert_eq!(info.get::<String>("db0").as_deref(), Some("keys=1,expires=0,avg_ttl=0,subexpiry=0"));
        let whole: redis::InfoDict = redis::cmd("INFO").query(&mut connection).unwrap();
        assert!(whole.contains_key(&"redis_version") && !whole.contains_key(&"cmdstat_hset"));
    }
}
