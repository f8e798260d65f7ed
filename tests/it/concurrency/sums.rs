//! What must add up: counters that all increment, and accounts between which money moves.

use super::crew::{Crew, Member, number, report};
use crate::client::Value;

/// 16 clients increment five fields of one hash without a transaction.
pub fn counters() {
    let server = super::start();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = server.client();
                for n in 0..500 {
                    client.line(&format!("HINCRBY sum f{} 1", n % 5));
                }
            });
        }
    });
    let values = server.client().ask("HVALS sum");
    assert_eq!(values.items().iter().map(|value| value.text().parse::<u32>().unwrap()).sum::<u32>(), 8000);
}

const ACCOUNTS: usize = 18;
const DATABASES: usize = 3;
const START: i64 = 1000;

/// Accounts lie in several shards of several databases; every second one is so wide that it is a table.
fn account(index: usize) -> (usize, String) {
    (index % DATABASES, format!("account:{index}"))
}

/// Money moves between random accounts by MULTI; whoever reads all balances in one transaction finds it all.
pub fn transfers() {
    let server = super::start();
    let mut client = server.client();
    for index in 0..ACCOUNTS {
        let (database, key) = account(index);
        client.line(&format!("SELECT {database}"));
        client.line(&format!("HSET {key} balance {START}"));
        let padding: String = (0..index % 2 * 600).map(|n| format!(" pad{n} x")).collect();
        client.line(&format!("HSET {key} owner {index}{padding}"));
    }
    let checks = std::sync::atomic::AtomicU64::new(0);
    let requests = Crew::new(&server)
        .each("payer", 8, pay)
        .each("auditor", 4, |member| {
            audit(member);
            checks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        })
        .run();
    report("transfers", requests, &format!("{} audits", checks.into_inner()));
}

fn pay(member: &mut Member<'_>) {
    let from = member.random.usize(..ACCOUNTS);
    let to = (from + member.random.usize(1..ACCOUNTS)) % ACCOUNTS;
    let amount = member.random.i64(1..100);
    let mut commands = Vec::new();
    for (index, change) in [(from, -amount), (to, amount)] {
        let (database, key) = account(index);
        commands.push(format!("SELECT {database}"));
        commands.push(format!("HINCRBY {key} balance {change}"));
    }
    let replies = member.exec(&commands).unwrap();
    assert!(matches!(replies[1], Value::Int(_)) && matches!(replies[3], Value::Int(_)), "{replies:?}");
}

fn audit(member: &mut Member<'_>) {
    let mut order: Vec<usize> = (0..ACCOUNTS).collect();
    member.random.shuffle(&mut order);
    let mut commands = Vec::new();
    for (database, key) in order.into_iter().map(account) {
        commands.push(format!("SELECT {database}"));
        commands.push(format!("HGET {key} balance"));
    }
    let replies = member.exec(&commands).unwrap();
    let total: i64 = replies.iter().skip(1).step_by(2).map(number).sum();
    assert_eq!(total, START * ACCOUNTS as i64, "{replies:?}");
}
