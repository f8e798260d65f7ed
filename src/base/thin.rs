//! A string of bytes or a boxed value in one pointer.
//!
//! A `Box<[u8]>` is two words, an enum of it and another box no less; a keyspace has one per key and as many again in
//! empty buckets. Here the length stands before the bytes, and the lowest bit of the pointer tells the two kinds apart.
#![expect(unsafe_code, reason = "neither thin slices nor tagged pointers exist in safe Rust")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

use super::memory::size_class;
use super::prefetch;

/// Bytes of the length before the string.
const HEAD: usize = 3;

/// The longest string.
pub const MOST_BYTES: usize = (1 << 24) - 1;

/// Alignment of an allocation, so that the lowest bit of its address is free.
const ALIGNMENT: usize = 8;

/// Set in the pointer of a boxed value.
const BOXED: usize = 1;

/// A string of at most [`MOST_BYTES`] bytes, or a boxed `T`, in one word.
pub struct Thin<T> {
    /// To the length of a string, or to a `T` with the tag [`BOXED`].
    pointer: NonNull<u8>,
    owns: PhantomData<Box<T>>,
}

// SAFETY: it owns what it points to, exclusively, as a `Box<T>` and a `Box<[u8]>` would.
unsafe impl<T: Send> Send for Thin<T> {}
// SAFETY: a shared reference gives shared references to its content only, as a `Box` does.
unsafe impl<T: Sync> Sync for Thin<T> {}

/// What a [`Thin`] holds.
#[derive(Debug)]
pub enum Content<'a, T> {
    /// A string.
    Bytes(&'a [u8]),
    /// A boxed value.
    Boxed(&'a T),
}

/// What a [`Thin`] holds, to change.
#[derive(Debug)]
pub enum ContentMut<'a, T> {
    /// A string.
    Bytes(&'a mut [u8]),
    /// A boxed value.
    Boxed(&'a mut T),
}

/// What a string of `length` bytes takes in memory.
pub const fn allocated(length: usize) -> usize {
    size_class(HEAD + length)
}

fn layout(length: usize) -> Layout {
    // The alignment is a power of two and the size far below isize::MAX, so the fallback is never taken.
    Layout::from_size_align(allocated(length), ALIGNMENT).unwrap_or(Layout::new::<u64>())
}

impl<T> Thin<T> {
    /// A string of `length` zeros.
    ///
    /// # Panics
    ///
    /// If that is more than [`MOST_BYTES`].
    pub fn zeroed(length: usize) -> Self {
        assert!(length <= MOST_BYTES, "a string of {length} bytes is too long for a thin pointer");
        let layout = layout(length);
        // SAFETY: the layout's size is at least 16.
        let Some(pointer) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let mut thin = Self { pointer, owns: PhantomData };
        thin.write_length(length);
        // SAFETY: HEAD + length bytes are allocated from `pointer` on.
        unsafe { pointer.add(HEAD).write_bytes(0, length) };
        thin
    }

    /// A boxed value.
    pub fn boxed(value: Box<T>) -> Self {
        const { assert!(align_of::<T>() > BOXED, "the tag must not be part of an address") };
        let pointer = NonNull::from(Box::leak(value)).cast::<u8>();
        Self { pointer: pointer.map_addr(|address| address | BOXED), owns: PhantomData }
    }

    #[inline]
    fn is_boxed(&self) -> bool {
        self.pointer.addr().get() & BOXED != 0
    }

    /// The address of the boxed value.
    #[inline]
    fn value(&self) -> NonNull<T> {
        debug_assert!(self.is_boxed());
        // SAFETY: a tagged address minus its tag is that of a box, which is not null.
        unsafe { NonNull::new_unchecked(self.pointer.as_ptr().map_addr(|address| address & !BOXED)).cast() }
    }

    /// The length of the string. Only for strings.
    #[inline]
    fn length(&self) -> usize {
        debug_assert!(!self.is_boxed());
        // SAFETY: a string's allocation begins with its length.
        let [a, b, c] = unsafe { self.pointer.cast::<[u8; HEAD]>().read() };
        usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16
    }

    fn write_length(&mut self, length: usize) {
        let [a, b, c, ..] = length.to_le_bytes();
        // SAFETY: a string's allocation begins with its length.
        unsafe { self.pointer.cast::<[u8; HEAD]>().write([a, b, c]) };
    }

    /// What it holds.
    #[inline]
    pub fn content(&self) -> Content<'_, T> {
        if self.is_boxed() {
            // SAFETY: a boxed value lives until `self` is dropped.
            return Content::Boxed(unsafe { self.value().as_ref() });
        }
        // SAFETY: that many initialized bytes follow the length and live until `self` is dropped or changed.
        Content::Bytes(unsafe { std::slice::from_raw_parts(self.pointer.as_ptr().add(HEAD), self.length()) })
    }

    /// What it holds, to change.
    #[inline]
    pub fn content_mut(&mut self) -> ContentMut<'_, T> {
        if self.is_boxed() {
            // SAFETY: as in `content`, and `self` is borrowed exclusively.
            return ContentMut::Boxed(unsafe { self.value().as_mut() });
        }
        // SAFETY: as in `content`, and `self` is borrowed exclusively.
        ContentMut::Bytes(unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr().add(HEAD), self.length()) })
    }

    /// Puts `length` bytes in place of those in `range`: the caller writes them. What follows moves. Does nothing to a
    /// boxed value, or if the range is not within the string.
    ///
    /// # Panics
    ///
    /// If the string became longer than [`MOST_BYTES`].
    pub fn make_gap(&mut self, range: Range<usize>, length: usize) {
        let old = if self.is_boxed() { return } else { self.length() };
        if range.start > range.end || range.end > old {
            return;
        }
        let new = old - range.len() + length;
        assert!(new <= MOST_BYTES, "a string of {new} bytes is too long for a thin pointer");
        if new > old {
            self.reallocate(old, new);
            // SAFETY: the allocation has room for `new` bytes; those beyond the old end become initialized.
            unsafe { self.pointer.add(HEAD + old).write_bytes(0, new - old) };
        }
        // SAFETY: both ranges are within the allocation, which holds the longer of the two strings.
        unsafe {
            let bytes = self.pointer.add(HEAD);
            bytes.add(range.end).copy_to(bytes.add(range.start + length), old - range.end);
        }
        if new < old {
            self.reallocate(old, new);
        }
        self.write_length(new);
    }

    /// Makes the allocation that of a string of `new` bytes, if it is another.
    fn reallocate(&mut self, old: usize, new: usize) {
        if allocated(old) == allocated(new) {
            return;
        }
        // SAFETY: the string was allocated with this layout, and the new size is neither zero nor too large.
        let moved = unsafe { realloc(self.pointer.as_ptr(), layout(old), allocated(new)) };
        let Some(pointer) = NonNull::new(moved) else { handle_alloc_error(layout(new)) };
        self.pointer = pointer;
    }

    /// Starts to load a string of usual length into the cache.
    #[inline]
    pub fn prefetch(&self) {
        prefetch::prefetch_at(self.pointer.as_ptr());
    }
}

impl<T> Drop for Thin<T> {
    fn drop(&mut self) {
        if self.is_boxed() {
            // SAFETY: the value came out of a box and is given back once.
            drop(unsafe { Box::from_raw(self.value().as_ptr()) });
        } else {
            // SAFETY: the string was allocated with this layout and is freed once.
            unsafe { dealloc(self.pointer.as_ptr(), layout(self.length())) };
        }
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Thin<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.content().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Content, ContentMut, Thin, allocated};

    fn bytes(thin: &Thin<Vec<u8>>) -> &[u8] {
        match thin.content() {
            Content::Bytes(bytes) => bytes,
            Content::Boxed(_) => panic!("a string was put in"),
        }
    }

    fn fill(thin: &mut Thin<Vec<u8>>, at: usize, text: &[u8]) {
        match thin.content_mut() {
            ContentMut::Bytes(bytes) => bytes[at..at + text.len()].copy_from_slice(text),
            ContentMut::Boxed(_) => panic!("a string was put in"),
        }
    }

    #[test]
    fn is_one_word_even_in_an_option() {
        assert_eq!(size_of::<Option<Thin<Vec<u8>>>>(), size_of::<usize>());
    }

    #[test]
    fn changes_as_a_vector_does() {
        let mut thin: Thin<Vec<u8>> = Thin::zeroed(0);
        let mut model: Vec<u8> = Vec::new();
        let mut state = 1_usize;
        for _ in 0..500 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let start = (state >> 33) % (model.len() + 1);
            let end = start + (state >> 40) % (model.len() - start + 1).min(60);
            let text = vec![state.to_le_bytes()[2]; (state >> 50) % 70];
            thin.make_gap(start..end, text.len());
            fill(&mut thin, start, &text);
            model.splice(start..end, text);
            assert_eq!(bytes(&thin), model);
        }
        let (middle, beyond) = (model.len() / 2, model.len() + 1);
        thin.make_gap(middle..beyond, 0);
        assert_eq!(bytes(&thin), model, "a range beyond the end is refused");
    }

    #[test]
    fn gives_a_boxed_value_back_and_frees_it() {
        let shared = std::sync::Arc::new(7);
        let mut thin = Thin::boxed(Box::new(vec![std::sync::Arc::clone(&shared)]));
        thin.make_gap(0..0, 10);
        let ContentMut::Boxed(values) = thin.content_mut() else { panic!("a box was put in") };
        values.push(std::sync::Arc::clone(&shared));
        assert_eq!(std::sync::Arc::strong_count(&shared), 3);
        drop(thin);
        assert_eq!(std::sync::Arc::strong_count(&shared), 1);
    }

    #[test]
    fn sizes_are_those_of_the_allocator() {
        let sizes: Vec<usize> = [0, 13, 14, 125, 126, 157, 158, 253, 254, 500, 4000].map(allocated).to_vec();
        assert_eq!(sizes, [16, 16, 32, 128, 160, 160, 192, 256, 320, 512, 4096]);
    }
}
