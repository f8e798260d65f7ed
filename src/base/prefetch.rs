//! Asks the processor for memory ahead of its use, so that the waits for several places overlap.
#![expect(unsafe_code, reason = "no stable safe interface to the processor's prefetch instruction exists")]

/// What a cache line holds.
const LINE: usize = 64;

/// Most lines asked for at a time: enough for a small hash, few enough not to crowd out what is in use.
const MOST_LINES: usize = 4;

/// Starts to load the beginning of `bytes` into the cache. Only a hint: nothing that a program can observe changes.
#[inline]
pub fn prefetch(bytes: &[u8]) {
    let start = bytes.as_ptr();
    for offset in (0..bytes.len()).step_by(LINE).take(MOST_LINES) {
        line(start.wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn line(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing that the program sees and never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
}

#[cfg(target_arch = "aarch64")]
#[inline]
fn line(address: *const u8) {
    // SAFETY: a prefetch reads nothing that the program sees and never faults, whatever the address.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn line(_address: *const u8) {}

#[cfg(test)]
mod tests {
    #[test]
    fn leaves_bytes_of_any_length_as_they_are() {
        for length in [0, 1, 63, 64, 65, 10_000] {
            let bytes = vec![7; length];
            super::prefetch(&bytes);
            assert!(bytes.iter().all(|&byte| byte == 7));
        }
    }
}
