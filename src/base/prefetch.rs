//! Asks the processor for memory ahead of its use, so that the waits for several places overlap.
#![expect(unsafe_code, reason = "no stable safe interface to the processor's prefetch instruction exists")]

/// What a cache line holds.
const LINE: usize = 64;

/// Lines asked for at a time: enough for a small hash, few enough not to crowd out what is in use.
const LINES: usize = 3;

/// Starts to load what lies from `start` on into the cache. Only a hint: nothing that a program can observe changes,
/// whatever the address.
#[inline]
pub fn prefetch_at(start: *const u8) {
    for number in 0..LINES {
        line(start.wrapping_add(number * LINE));
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
    fn takes_any_address() {
        let bytes = vec![7; 1000];
        for address in [std::ptr::null(), bytes.as_ptr(), bytes.as_ptr().wrapping_add(5000)] {
            super::prefetch_at(address);
        }
        assert!(bytes.iter().all(|&byte| byte == 7));
    }
}
