use super::{KeyHasher, Table, UnixMillis};
use crate::base::random::Random;
use crate::store::position::ScanCursor;

/// All fields with values and expiries, by HSCAN in small steps.
fn scanned(hasher: &KeyHasher, table: &Table) -> Vec<(Vec<u8>, Vec<u8>, Option<UnixMillis>)> {
    let (mut all, mut cursor) = (Vec::new(), ScanCursor(0));
    loop {
        cursor = table.scan(hasher, (cursor, 7), |entry| {
            all.push((entry.field.to_vec(), entry.value.text().to_vec(), entry.expiry));
        });
        if cursor == ScanCursor::END {
            all.sort();
            return all;
        }
    }
}

fn check(count: usize, value_length: usize) {
    let hasher = KeyHasher::new();
    let fields: Vec<_> = (0..count)
        .map(|number| {
            let expiry = number.is_multiple_of(7).then(|| UnixMillis(1_000_000 - i64::try_from(number).unwrap()));
            (format!("field:{number}").into_bytes(), vec![b'v'; value_length + number % 3], expiry)
        })
        .collect();
    let field = |at: usize| (&fields[at].0[..], &fields[at].1[..], fields[at].2);
    let mut at_once = Table::of(&hasher, count, field);
    let mut one_by_one = Table::default();
    for (name, value, expiry) in &fields {
        one_by_one.set(&hasher, name, value, |_| *expiry);
    }
    assert_eq!((at_once.len(), at_once.first_expiry()), (count, one_by_one.first_expiry()));
    assert_eq!(scanned(&hasher, &at_once), scanned(&hasher, &one_by_one));
    for (name, ..) in &fields {
        assert!(at_once.find(&hasher, name).is_some());
        assert!(!at_once.set(&hasher, name, b"another", |_| None));
        assert!(at_once.remove(&hasher, name));
    }
    assert_eq!((at_once.len(), at_once.first_expiry()), (0, None));
}

#[test]
fn tables_that_share_their_names_are_as_others_whatever_is_done_to_them() {
    const FIELDS: usize = if cfg!(miri) { 40 } else { 700 };
    let hasher = KeyHasher::new();
    let names: Vec<_> = (0..FIELDS).map(|number| format!("shared:{number}").into_bytes()).collect();
    let value = |table: usize, at: usize| format!("{}{}", if at.is_multiple_of(3) { "" } else { "text " }, table + at);
    let make = |number: usize| {
        let values: Vec<_> = (0..FIELDS).map(|at| value(number, at).into_bytes()).collect();
        Table::of(&hasher, FIELDS, |at| (&names[at][..], &values[at][..], None))
    };
    let mut tables: Vec<Table> = (0..300).map(make).collect();
    let plain = tables[0].memory(0);
    assert_eq!(tables[0].sharing.count(), 0, "seen for the first time");
    assert!(tables[299].sharing.count() > 0 && tables[299].memory(0) * 3 < plain * 2);
    let mut random = Random::from_seed(7);
    for (number, table) in tables.iter_mut().enumerate().skip(if cfg!(miri) { 295 } else { 200 }) {
        let mut other = Table::default();
        for (at, name) in names.iter().enumerate() {
            other.set(&hasher, name, value(number, at).as_bytes(), |_| None);
        }
        let copy = table.clone();
        for _ in 0..random.below(60) {
            let name = format!("shared:{}", random.below(FIELDS + 20)).into_bytes();
            let expiry = Some(UnixMillis(i64::from(u8::try_from(random.below(200)).unwrap())));
            match random.below(4) {
                0 => assert_eq!(table.remove(&hasher, &name), other.remove(&hasher, &name)),
                1 => [&mut *table, &mut other].into_iter().for_each(|it| it.set_expiry(&hasher, &name, expiry)),
                _ => {
                    let text = vec![b'x'; random.below(300)];
                    assert_eq!(
                        table.set(&hasher, &name, &text, |old| old),
                        other.set(&hasher, &name, &text, |old| old)
                    );
                }
            }
        }
        assert_eq!(scanned(&hasher, table), scanned(&hasher, &other));
        let texts = |table: &Table, name: &[u8]| table.find(&hasher, name).map(|entry| entry.value.text().to_vec());
        assert!(names.iter().all(|name| texts(table, name) == texts(&other, name)));
        assert_eq!((table.len(), table.first_expiry()), (other.len(), other.first_expiry()));
        assert_eq!(table.sharing.count(), table.leaves.values().filter(|leaf| leaf.shares_names()).count());
        assert!((0..FIELDS).all(|at| {
            let found = copy.find(&hasher, &names[at]).map(|entry| entry.value.text().to_vec());
            found == Some(value(number, at).into_bytes())
        }));
    }
}

#[test]
fn a_table_made_at_once_is_as_one_made_field_by_field() {
    for (count, value_length) in [(1, 1), (47, 5), (49, 5), (700, 900), (60, 5000), (6000, 10)] {
        check(if cfg!(miri) { count.min(60) } else { count }, value_length);
    }
}

#[test]
fn what_few_tables_share_is_given_up_unless_copies_share_it() {
    const FIELDS: usize = if cfg!(miri) { 20 } else { 600 };
    let hasher = KeyHasher::new();
    let names: Vec<_> = (0..FIELDS).map(|number| format!("of few:{number}").into_bytes()).collect();
    let make = || Table::of(&hasher, FIELDS, |at| (&names[at][..], b"value", None));
    let mut table = make();
    for _ in 0..99 {
        table = make();
    }
    assert!(table.sharing.count() > 0);
    let copy = table.clone();
    table.leave_rare_templates();
    assert!(table.sharing.count() > 0, "the copy would not get smaller");
    drop(copy);
    table.leave_rare_templates();
    assert_eq!(table.sharing.count(), 0);
    assert!(names.iter().all(|name| table.find(&hasher, name).is_some()));
    let mut three = [make(), make(), make()];
    three.iter_mut().for_each(Table::leave_rare_templates);
    assert!(three.iter().all(|table| table.sharing.count() > 0), "three save more than the templates take");
    let long = "long".repeat(2000);
    let mixed = |at: usize| (&names[at][..], if at == 7 { long.as_bytes() } else { b"value" }, None);
    let mut plain = Table::of(&hasher, FIELDS, mixed);
    for _ in 0..99 {
        plain.share_names(&hasher);
    }
    assert_eq!(plain.sharing.count(), 0, "a long field is not moved about with others");
}
