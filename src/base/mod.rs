//! Small pure parts that everything may use: time, numbers, glob patterns, quoted words, randomness, prefetching, thin
//! pointers.

pub mod clock;
pub mod glob;
pub mod hex;
pub mod long_double;
pub mod lzf;
pub mod memory;
pub mod number;
pub mod prefetch;
pub mod process;
pub mod processor;
pub mod random;
pub mod thin;
pub mod words;
