//! What is fuzzed: each function takes any bytes and panics when something that must hold does not.
//!
//! `cargo fuzz` runs them through `fuzz_targets`, and the tests of the server, which need nothing but stable Rust, through
//! `tests/it/fuzz.rs`.

mod config;
mod decoder;
mod glob;
mod rdb;
mod rules;
mod session;

/// A thing to fuzz: the name of its target and of its folder in `seeds`, and what takes the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("config", config::run),
    ("decoder", decoder::run),
    ("glob", glob::run),
    ("rdb", rdb::run),
    ("rules", rules::run),
    ("session", session::run),
];

/// Runs the target of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target of this name");
    target(bytes);
}
