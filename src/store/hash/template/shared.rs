//! Names that leaves of big hashes share.
#![expect(unsafe_code, reason = "a use of a template is given up once, when what stands for it is dropped")]

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Template, TemplateId, Wanted, use_template};
use crate::store::hash::packed::Encoded;

/// Uses of templates by leaves.
static LEAVES: AtomicUsize = AtomicUsize::new(0);
/// Big hashes to which they belong.
static TABLES: AtomicUsize = AtomicUsize::new(0);

/// How many keys use templates when there are so many uses: those of leaves belong to big hashes, which may share leaves, too.
pub(super) fn keys_of(uses: usize) -> usize {
    (uses + TABLES.load(Ordering::Relaxed)).saturating_sub(LEAVES.load(Ordering::Relaxed))
}

/// A leaf's use of a template.
#[derive(Debug)]
pub(in crate::store) struct SharedNames(TemplateId);

impl SharedNames {
    /// Of the template of these names, made if need be; `None` if there are too many, or the names too short.
    pub(in crate::store) fn of<'n>(names: impl Iterator<Item = &'n [u8]> + Clone) -> Option<Self> {
        let id = use_template(names, Wanted::Always)?;
        LEAVES.fetch_add(1, Ordering::Relaxed);
        Some(Self(id))
    }

    /// The template.
    pub(in crate::store) fn template(&self) -> Option<&Template> {
        // SAFETY: this is a use of the template, from which what is returned borrows.
        unsafe { self.0.get() }
    }

    /// See [`TemplateId::encode_counted`].
    pub(in crate::store) fn encode_counted<'v>(&self, place: usize, value: &'v [u8]) -> Encoded<'v> {
        // SAFETY: this is a use of the template.
        unsafe { self.0.encode_counted(place, value) }
    }

    /// See [`TemplateId::is_rare`].
    pub(in crate::store) fn is_rare(&self) -> bool {
        self.0.is_rare()
    }

    /// See [`TemplateId::memory_per_user`].
    pub(in crate::store) fn memory_per_user(&self) -> usize {
        self.0.memory_per_user()
    }
}

impl Clone for SharedNames {
    fn clone(&self) -> Self {
        self.0.add_user();
        LEAVES.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

impl Drop for SharedNames {
    fn drop(&mut self) {
        LEAVES.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: this is a use of the template, and is gone afterwards.
        unsafe { self.0.drop_user() };
    }
}

/// How many leaves of a big hash share their names.
#[derive(Debug, Default)]
pub(in crate::store) struct SharingLeaves(usize);

impl SharingLeaves {
    pub(in crate::store) fn count(&self) -> usize {
        self.0
    }

    /// Counts a leaf in whose place there was another.
    pub(in crate::store) fn change(&mut self, before: bool, after: bool) {
        let count = self.0 + usize::from(after) - usize::from(before);
        match (self.0, count) {
            (0, 1..) => _ = TABLES.fetch_add(1, Ordering::Relaxed),
            (1.., 0) => _ = TABLES.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
        self.0 = count;
    }
}

impl Clone for SharingLeaves {
    fn clone(&self) -> Self {
        TABLES.fetch_add(usize::from(self.0 > 0), Ordering::Relaxed);
        Self(self.0)
    }
}

impl Drop for SharingLeaves {
    fn drop(&mut self) {
        TABLES.fetch_sub(usize::from(self.0 > 0), Ordering::Relaxed);
    }
}
