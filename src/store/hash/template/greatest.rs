//! The templates that most hashes use.
#![expect(unsafe_code, reason = "a template is read as `TemplateStats::now` reads it")]

use std::sync::atomic::Ordering;

use super::{Names, REGISTRY, TemplateId};

/// A template, as an operator looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateUse {
    /// Names of the fields, in their order.
    pub fields: Vec<Box<[u8]>>,
    /// Hashes that use it.
    pub users: usize,
    /// Bytes that it takes.
    pub memory: usize,
}

impl TemplateUse {
    /// The `most` templates with the most users, the one with most first.
    pub fn greatest(most: usize) -> Vec<Self> {
        let index = REGISTRY.index.lock();
        let users = |&id: &u16| {
            let (chunk, slot) = TemplateId(id).place()?;
            Some((chunk.users.get(slot)?.load(Ordering::Relaxed), id))
        };
        let mut ids: Vec<(u32, u16)> = index.ids.iter().filter_map(users).filter(|&(users, _)| users > 0).collect();
        ids.sort_unstable_by(|one, other| other.cmp(one));
        let look = |&(users, id): &(u32, u16)| {
            // SAFETY: templates are freed only by who holds the index, as this function does.
            let template = unsafe { TemplateId(id).get() }?;
            let fields = Names { bytes: &template.names }.map(Into::into).collect();
            Some(Self { fields, users: users as usize, memory: template.memory() })
        };
        ids.iter().take(most).filter_map(look).collect()
    }
}
