//! The browser for hashes.

use super::Web;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Percent-encodes every byte.
fn encoded(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
}

/// The bytes that the API means.
fn decoded(text: &Value) -> Vec<u8> {
    use base64::Engine;
    match text {
        Value::String(text) => text.as_bytes().to_vec(),
        other => base64::engine::general_purpose::STANDARD.decode(other["base64"].as_str().unwrap()).unwrap(),
    }
}

/// All keys that match, page by page.
fn all_keys(ask: impl Fn(&str) -> super::Response, query: &str) -> Vec<Vec<u8>> {
    let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
    for _ in 0..1000 {
        let page = ask(&format!("/api/keys?{query}&cursor={cursor}")).json();
        found.extend(page["keys"].as_array().unwrap().iter().map(|line| decoded(&line["key"])));
        cursor = page["cursor"].as_str().unwrap().to_owned();
        if cursor == "0" {
            return found;
        }
    }
    panic!("no end");
}

pub fn keys() {
    let web = Web::start(&[]);
    let mut client = web.server.client();
    for index in 0..1000 {
        client.value(&["HSET", &format!("user:{index}"), "name", "Alice", "visits", "1"]);
    }
    client.value(&["HSET", "cart:1", "apple", "2"]);
    client.line("PEXPIRE cart:1 3600000");
    client.value(&["HSET", &"k".repeat(5000), "f", "v"]);
    let ask = |path: &str| web.get(path);
    let found = all_keys(ask, "match=user:*&count=7");
    assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len()), (1000, 1000));
    assert_eq!(all_keys(ask, "match=user:99?").len(), 10);
    assert_eq!(all_keys(ask, "match=").len(), 1001);
    assert_eq!(all_keys(ask, "db=3"), Vec::<Vec<u8>>::new());
    let page = web.get("/api/keys?match=cart:*&count=500").json();
    assert_eq!((&page["size"], page["keys"].as_array().unwrap().len()), (&json!(1002), 1));
    let line = &page["keys"][0];
    assert_eq!((&line["key"], &line["fields"], &line["encoding"]), (&json!("cart:1"), &json!(1), &json!("listpack")));
    let left = line["expires_at_ms"].as_i64().unwrap() - page["now_ms"].as_i64().unwrap();
    assert!((3_500_000..=3_600_000).contains(&left), "{left}");
    assert!((40..400).contains(&line["bytes"].as_u64().unwrap()), "{line}");
    // One request looks at no more keys than it should, however few match.
    let page = web.get("/api/keys?match=nothing*&count=1").json();
    assert_eq!((page["keys"].as_array().unwrap().len(), &page["too_long"]), (0, &json!(1)));
    assert!(page["looked_at"].as_u64().unwrap() <= 20_500, "{page}");
}

pub fn bytes() {
    let web = Web::start(&[]);
    let mut client = web.server.client();
    let odd: Vec<u8> = (0..=255).collect();
    let pairs: [(&[u8], &[u8]); 5] = [
        (b"<script>alert(1)</script>", b"<img src=x onerror=alert(2)>"),
        (b"", b""),
        (&odd, &odd),
        ("Gr\u{fc}\u{df}e \u{202e}".as_bytes(), b"\"quoted\\\n"),
        (b"n", b"-17"),
    ];
    for (field, value) in pairs {
        client.value(&[b"HSET", &odd[..], field, value]);
    }
    client.value(&[b"HPEXPIRE", &odd[..], b"1000000", b"FIELDS", b"1", b"n"]);
    let keys = web.get("/api/keys").json();
    assert_eq!(decoded(&keys["keys"][0]["key"]), odd);
    let page = web.get(&format!("/api/hash?key={}", encoded(&odd)));
    let page = page.json();
    assert_eq!(decoded(&page["key"]), odd);
    let items = page["items"].as_array().unwrap();
    let shown: BTreeSet<(Vec<u8>, Vec<u8>, bool)> = items
        .iter()
        .map(|item| (decoded(&item["field"]), decoded(&item["value"]), item["expires_at_ms"].is_i64()))
        .collect();
    let sent = pairs.map(|(field, value)| (field.to_vec(), value.to_vec(), field == b"n"));
    assert_eq!(shown, BTreeSet::from(sent));
    for (field, value) in pairs {
        let path = format!("/api/value?key={}&field={}", encoded(&odd), encoded(field));
        assert_eq!(decoded(&web.get(&path).json()["value"]), value);
    }
    // Nothing of it is markup anywhere: it is JSON, and said to be.
    assert_eq!(web.get("/api/keys").header("content-type"), Some("application/json"));
}

pub fn pages() {
    let web = Web::start(&[]);
    let mut client = web.server.client();
    for (key, fields) in [("small", 250), ("big", 70_000)] {
        for start in (0..fields).step_by(1000) {
            let mut args = vec!["HSET".to_owned(), key.to_owned()];
            for field in start..(start + 1000).min(fields) {
                args.extend([format!("f{field}"), field.to_string()]);
            }
            client.value(&args);
        }
        let (mut cursor, mut seen, mut pages) = ("0".to_owned(), BTreeSet::new(), 0);
        loop {
            let page = web.get(&format!("/api/hash?key={key}&count=500&cursor={cursor}")).json();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 600, "a page of {}", items.len());
            for item in items {
                assert!(seen.insert(item["field"].as_str().unwrap().to_owned()), "twice: {item}");
                assert_eq!(format!("f{}", item["value"].as_str().unwrap()), item["field"].as_str().unwrap());
            }
            pages += 1;
            cursor = page["cursor"].as_str().unwrap().to_owned();
            assert_eq!(page["fields"], json!(fields));
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), fields);
        assert!(pages >= fields / 600, "{pages} pages");
    }
    let page = web.get("/api/hash?key=small&count=100&cursor=n200").json();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["cursor"]), (50, &json!("0")));
}

pub fn long_values() {
    let web = Web::start(&[]);
    let mut client = web.server.client();
    let long = "x".repeat(3 << 20);
    client.value(&["HSET", "h", "long", &long, "edge", &"y".repeat(1024), "over", &format!("{}ü", "z".repeat(1023))]);
    let page = web.get("/api/hash?key=h").json();
    let find =
        |name: &str| page["items"].as_array().unwrap().iter().find(|item| item["field"] == name).unwrap().clone();
    let lengths = |item: &Value| (item["value"].as_str().unwrap().len(), item["value_length"].as_u64().unwrap());
    assert_eq!(lengths(&find("long")), (1024, 3 << 20));
    assert_eq!(lengths(&find("edge")), (1024, 1024));
    assert_eq!(lengths(&find("over")), (1023, 1025));
    let value = web.get("/api/value?key=h&field=long").json();
    assert_eq!((value["value"].as_str().unwrap().len(), &value["length"]), (256 * 1024, &json!(3 << 20)));
}

pub fn bad_questions() {
    let web = Web::start(&[]);
    web.server.client().value(&["HSET", "h", "f", "v"]);
    for (path, status, error) in [
        ("/api/hash", 400, "key is missing"),
        ("/api/value?key=h", 400, "field is missing"),
        ("/api/hash?key=h&db=16", 400, "DB index is out of range"),
        ("/api/hash?key=h&db=-1", 400, "DB index is out of range"),
        ("/api/keys?db=x", 400, "DB index is out of range"),
        ("/api/keys?db=18446744073709551616", 400, "DB index is out of range"),
        ("/api/keys?count=0", 400, "invalid count"),
        ("/api/keys?count=-5", 400, "invalid count"),
        ("/api/keys?cursor=x", 400, "invalid cursor"),
        ("/api/keys?cursor=-1", 400, "invalid cursor"),
        ("/api/hash?key=h&cursor=7", 400, "invalid cursor"),
        ("/api/hash?key=missing", 404, "no such key"),
        ("/api/hash?key=h&db=1", 404, "no such key"),
        ("/api/value?key=h&field=missing", 404, "no such field"),
    ] {
        let answer = web.get(path);
        assert_eq!((answer.status, &answer.json()["error"]), (status, &json!(error)), "{path}");
    }
    let long = format!("/api/keys?match={}", "a*".repeat(200));
    assert_eq!(web.get(&long).json()["error"], "the pattern is too long");
    // Whatever a cursor says, it is a place to go on from.
    for path in [
        "/api/keys?cursor=18446744073709551615",
        "/api/hash?key=h&cursor=s18446744073709551615",
        "/api/hash?key=h&cursor=n99",
    ] {
        assert_eq!(web.get(path).status, 200, "{path}");
    }
    assert_eq!(web.get("/api/hash?key=h&count=99999999").json()["items"].as_array().unwrap().len(), 1);
}

pub fn own_keys() {
    let web = Web::start(&[]);
    let mut admin = web.server.client();
    let setuser = "ACL SETUSER u on >p ~cart:* %R~read:* %W~write:* +scan +hscan (~extra:* +hscan) (~seen:* +hget)";
    assert_eq!(admin.line(setuser), "+OK");
    for family in ["cart", "read", "write", "extra", "seen", "other"] {
        for number in 0..50 {
            admin.value(&["HSET", &format!("{family}:{number}"), "f", "v"]);
        }
    }
    let ask = |path: &str| web.get_as("u", "p", path);
    let mut families: Vec<String> = all_keys(ask, "count=10")
        .iter()
        .map(|key| String::from_utf8_lossy(key).split(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(families.len(), 150);
    families.sort();
    families.dedup();
    assert_eq!(families, ["cart", "extra", "read"]);
    for (key, status) in
        [("cart:1", 200), ("read:1", 200), ("extra:1", 200), ("write:1", 403), ("seen:1", 403), ("other:1", 403)]
    {
        let answer = ask(&format!("/api/hash?key={key}"));
        assert_eq!(answer.status, status, "{key}");
        if status == 200 {
            // What the commands that tell it are not allowed for is left out.
            let line = answer.json();
            assert_eq!(
                (line.get("fields"), line.get("bytes"), &line["shows_expiry"]),
                (None, None, &json!(false)),
                "{key}"
            );
            assert!(line["items"][0].get("expires_at_ms").is_none());
        }
    }
    assert_eq!(ask("/api/value?key=cart:1&field=f").status, 403);
    assert_eq!(ask("/api/keys").json()["size"], Value::Null);
}

pub fn insight() {
    let web = Web::start(&["--slowlog-log-slower-than", "0"]);
    let mut client = web.server.client();
    client.line("ACL SETUSER u on >p ~mine:* +hscan +slowlog +hotkeys");
    assert_eq!(web.get("/api/hotkeys").json()["metrics"], Value::Null);
    assert_eq!(client.line("HOTKEYS START METRICS 2 CPU NET"), "+OK");
    for number in 0..50 {
        client.value(&["HSET", "mine:1", "f", &"v".repeat(300)]);
        client.value(&[&b"HSET"[..], b"their\xffs", b"f", format!("{number}").as_bytes()]);
    }
    let keys = |answer: Value| -> Vec<BTreeSet<Vec<u8>>> {
        let metrics = answer["metrics"].as_array().unwrap().clone();
        metrics
            .iter()
            .map(|metric| metric["keys"].as_array().unwrap().iter().map(|line| decoded(&line["key"])).collect())
            .collect()
    };
    let both = BTreeSet::from([b"mine:1".to_vec(), b"their\xffs".to_vec()]);
    assert_eq!(keys(web.get("/api/hotkeys").json()), [both.clone(), both]);
    let mine = BTreeSet::from([b"mine:1".to_vec()]);
    assert_eq!(keys(web.get_as("u", "p", "/api/hotkeys").json()), [mine.clone(), mine]);
    let log = web.get("/api/slowlog").json();
    let entries = log["entries"].as_array().unwrap();
    assert_eq!((entries.len(), &log["threshold_us"]), (50, &json!(0)));
    let sets = entries.iter().find(|entry| entry["arguments"][1] == "mine:1").unwrap();
    assert_eq!((&sets["arguments"][0], sets["arguments"].as_array().unwrap().len()), (&json!("HSET"), 4));
    assert!(entries[0]["id"].as_u64() > entries[1]["id"].as_u64());
    client.line("ACL SETUSER u -hotkeys -slowlog");
    for path in ["/api/hotkeys", "/api/slowlog"] {
        assert_eq!(web.get_as("u", "p", path).status, 403, "{path}");
    }
}
