//! See `src/decoder.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hashd_fuzz::run("decoder", bytes));
