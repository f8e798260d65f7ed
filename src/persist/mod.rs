//! What is kept beyond the life of the process: Redis's file formats, and the files.

pub mod aof;
pub mod disk;
pub mod rdb;
