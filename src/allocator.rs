//! The allocator of the program, jemalloc, and how it is set up.

use tikv_jemalloc_ctl::{Access, AsName, Error, arenas};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Makes the allocator treat large memory as it does small: what is freed is kept for some seconds, then given back (by a
/// thread of its own: `jemalloc-bg-thread`). It would give back each 8 MB at once, and a value of 10 MB then cost 2,400 page
/// faults each way.
pub(crate) fn keep_large_pages() {
    if let Err(error) = tune() {
        eprintln!("hashd: the allocator cannot be tuned: {error}");
    }
}

fn tune() -> Result<(), Error> {
    // The first large allocation makes the arena of large ones, which is the last.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(8 << 20)));
    let last = arenas::narenas::read()?.saturating_sub(1);
    let decay_ms: isize = b"arenas.dirty_decay_ms\0".name().read()?;
    format!("arena.{last}.dirty_decay_ms\0").as_bytes().name().write(decay_ms)?;
    format!("arena.{last}.oversize_threshold\0").as_bytes().name().write(usize::MAX)
}
