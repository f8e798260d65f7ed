//! See `src/rdb.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hashd_fuzz::run("rdb", bytes));
