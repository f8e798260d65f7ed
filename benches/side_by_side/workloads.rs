//! The kinds of hashes whose memory is measured.

use fastrand::Rng;

/// The requests that make hash `number` of a workload.
pub(super) type Make = fn(usize, &mut Rng) -> Vec<Vec<String>>;

/// The workloads of small hashes by name.
pub(super) const ALL: [(&str, Make); 5] =
    [("user profile", profile), ("product", product), ("session", session), ("cart", cart), ("rate limit", rate_limit)];

/// The fields of a user profile.
pub(super) const PROFILE_FIELDS: [&str; 8] =
    ["username", "email", "avatar", "bio", "country", "language", "created_at", "followers"];

/// 8 fields of text and numbers.
fn profile(number: usize, rng: &mut Rng) -> Vec<Vec<String>> {
    let values = profile_values(number, rng);
    let pairs = PROFILE_FIELDS.iter().zip(&values).map(|(field, value)| (*field, value.clone()));
    vec![hset(format!("user:{number}"), pairs)]
}

/// The values of the fields of a user profile.
pub(super) fn profile_values(number: usize, rng: &mut Rng) -> Vec<String> {
    vec![
        format!("user{number}"),
        format!("user{number}@example.com"),
        format!("/avatars/{:08x}.png", rng.u32(..)),
        "likes ".to_owned() + &word(rng, 30, 52),
        "NL".to_owned(),
        "en".to_owned(),
        format!("17{:08}", rng.u32(..100_000_000)),
        rng.u32(..10_000).to_string(),
    ]
}

/// 7 short fields.
fn product(number: usize, rng: &mut Rng) -> Vec<Vec<String>> {
    let pairs = [
        ("name", word(rng, 20, 40)),
        ("price", format!("{}.{:02}", rng.u32(..1000), rng.u32(..100))),
        ("stock", rng.u32(..1000).to_string()),
        ("sku", format!("SKU-{:06}", rng.u32(..1_000_000))),
        (
            "category",
            ["books & magazines", "garden & patio", "kitchen & dining", "toys & games"][rng.usize(..4)].to_owned(),
        ),
        ("rating", format!("{}.{}", rng.u32(1..5), rng.u32(..10))),
        ("active", "1".to_owned()),
    ];
    vec![hset(format!("product:{number}"), pairs)]
}

/// 6 fields under a long key with an expiry.
fn session(number: usize, rng: &mut Rng) -> Vec<Vec<String>> {
    let key = format!("session:{:016x}{:016x}", rng.u64(..), rng.u64(..));
    let pairs = [
        ("user_id", number.to_string()),
        ("ip", format!("10.{}.{}.{}", rng.u8(..), rng.u8(..), rng.u8(..))),
        ("agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox".to_owned()),
        ("created_at", format!("17{:08}", rng.u32(..100_000_000))),
        ("last_seen", format!("17{:08}", rng.u32(..100_000_000))),
        ("csrf", format!("{:016x}", rng.u64(..))),
    ];
    let expire = expire(&key, rng);
    vec![hset(key, pairs), expire]
}

/// 3 fields with names that hardly repeat, and an expiry.
fn cart(number: usize, rng: &mut Rng) -> Vec<Vec<String>> {
    let key = format!("cart:user:{number}");
    let pairs: Vec<_> =
        (0..3).map(|_| (format!("item:{:07}", rng.u32(..10_000_000)), rng.u32(1..10).to_string())).collect();
    let expire = expire(&key, rng);
    vec![hset(key, pairs), expire]
}

/// 700 features of an entity, of which a model asks for some: what Redis holds in a hashtable.
pub(super) fn features(number: usize, rng: &mut Rng) -> Vec<Vec<String>> {
    let pairs = (0..700).map(|feature| (format!("feature:{feature}"), format!("0.{:04}", rng.u32(..10_000))));
    vec![hset(format!("entity:{number}"), pairs)]
}

/// 3 counters.
fn rate_limit(number: usize, rng: &mut Rng) -> Vec<Vec<String>> {
    let key = format!("rate-limit:api:v1:10.{}.{}.{}:{number}", number % 256, number / 256 % 256, rng.u8(..));
    let pairs = [
        ("requests", rng.u32(..1000).to_string()),
        ("window", format!("17{:08}", rng.u32(..100_000_000))),
        ("blocked", rng.u32(..2).to_string()),
    ];
    vec![hset(key, pairs)]
}

fn hset<F: Into<String>>(key: String, pairs: impl IntoIterator<Item = (F, String)>) -> Vec<String> {
    let pairs = pairs.into_iter().flat_map(|(field, value)| [field.into(), value]);
    ["HSET".to_owned(), key].into_iter().chain(pairs).collect()
}

fn expire(key: &str, rng: &mut Rng) -> Vec<String> {
    vec!["EXPIRE".to_owned(), key.to_owned(), rng.u32(100_000..200_000).to_string()]
}

/// Letters, from `least` to `most` of them.
fn word(rng: &mut Rng, least: usize, most: usize) -> String {
    (0..rng.usize(least..most)).map(|_| rng.lowercase()).collect()
}
