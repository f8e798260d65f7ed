//! What `cargo fuzz` runs for hours, for a moment on any machine: the seeds, and random changes of them.

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use crate::Case;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[
    ("config", || fuzz("config")),
    ("decoder", || fuzz("decoder")),
    ("glob", || fuzz("glob")),
    ("rdb", || fuzz("rdb")),
    ("rules", || fuzz("rules")),
    ("session", || fuzz("session")),
    ("every_target_is_fuzzed", every_target),
];

/// Changes tried of each target, unless `HASHD_FUZZ_SECONDS` gives a time for each instead.
const CHANGES: usize = 100;

/// Longest input made.
const LONGEST: usize = 4096;

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn every_target() {
    let fuzzed: Vec<&str> =
        CASES.iter().map(|(name, _)| *name).filter(|name| *name != "every_target_is_fuzzed").collect();
    let targets: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(fuzzed, targets);
}

fn fuzz(name: &str) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "no seeds of {name}");
    seeds.iter().for_each(|seed| run(name, seed));
    let seconds = std::env::var("HASHD_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let seed = std::env::var("HASHD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    let begun = Instant::now();
    let (mut corpus, mut runs) = (seeds, 0);
    loop {
        let is_done = seconds.map_or(runs >= CHANGES, |seconds| begun.elapsed() >= Duration::from_secs(seconds));
        if is_done {
            break;
        }
        let input = changed(&corpus, &mut random);
        run(name, &input);
        runs += 1;
        // Now and then one is built upon, so that changes add up.
        if runs % 8 == 0 && corpus.len() < 1000 {
            corpus.push(input);
        }
    }
    println!("{name}: {runs} inputs from HASHD_SEED={seed} in {:.1} s", begun.elapsed().as_secs_f32());
}

fn run(name: &str, input: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| targets::run(name, input)));
    assert!(outcome.is_ok(), "{name} fails on b\"{}\"", input.escape_ascii());
}

/// One of the inputs with a few changes: bytes, repetitions, gaps, and pieces of others.
fn changed(corpus: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    const SPECIAL: &[u8] = b"\r\n\0*$:\" '\\[]^-?#%~&()|,=+0123456789\xff";
    let mut input = corpus[random.usize(..corpus.len())].clone();
    for _ in 0..=random.usize(..4) {
        let at = random.usize(..=input.len());
        let length = random.usize(..=(input.len() - at).min(32));
        let piece: Vec<u8> = match random.u8(..6) {
            0 => Vec::new(),
            1 => vec![SPECIAL[random.usize(..SPECIAL.len())]],
            2 => vec![random.u8(..); 1 + random.usize(..8)],
            3 => input[at..at + length].repeat(1 + random.usize(..20)),
            4 => random.u64(..).to_string().into_bytes(),
            _ => {
                let other = &corpus[random.usize(..corpus.len())];
                let from = random.usize(..=other.len());
                other[from..from + random.usize(..=other.len() - from)].to_vec()
            }
        };
        input.splice(at..at + length, piece);
    }
    input.truncate(LONGEST);
    input
}
