//! Finding a name among the many of a template.

use super::packed;

/// Where names begin, and their numbers, by their hashes. Half of the places at most are taken.
#[derive(Debug)]
pub(super) struct NameIndex(Box<[Place]>);

#[derive(Debug, Clone, Copy)]
struct Place {
    start: u16,
    number: u16,
}

/// The number of a place that is free.
const FREE: u16 = u16::MAX;

impl NameIndex {
    /// Of these names, which stand each with its length before it, unless to look at all of them is as fast, or they are
    /// too many or too long.
    pub(super) fn of(names: &[u8], count: usize) -> Option<Self> {
        const FEW: usize = 32;
        if count <= FEW || names.len() > usize::from(u16::MAX) {
            return None;
        }
        let mut index = Self(vec![Place { start: 0, number: FREE }; (2 * count).next_power_of_two()].into());
        let (mut number, mut left) = (0, names);
        while let Some((name, rest)) = split_name(left) {
            let free = index.probes(name).find(|&at| index.place(at).is_none())?;
            *index.0.get_mut(free)? = Place { start: u16::try_from(names.len() - left.len()).ok()?, number };
            (number, left) = (number + 1, rest);
        }
        Some(index)
    }

    /// The number of a name, and the name.
    #[inline]
    pub(super) fn find<'n>(&self, names: &'n [u8], wanted: &[u8]) -> Option<(usize, &'n [u8])> {
        for at in self.probes(wanted) {
            let place = self.place(at)?;
            let (name, _) = split_name(names.get(usize::from(place.start)..)?)?;
            if name == wanted {
                return Some((usize::from(place.number), name));
            }
        }
        None
    }

    /// Where a name may be, in the order in which to look.
    #[inline]
    fn probes(&self, name: &[u8]) -> impl Iterator<Item = usize> + use<> {
        let mask = self.0.len() - 1;
        let first = usize::try_from(super::hasher().hash_one(name) & u64::from(u32::MAX)).unwrap_or_default();
        (first..=first + mask).map(move |at| at & mask)
    }

    #[inline]
    fn place(&self, at: usize) -> Option<Place> {
        self.0.get(at).copied().filter(|place| place.number != FREE)
    }

    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// The name that stands at the beginning with its length before it, and what comes after; `None` at the end.
#[inline]
pub(super) fn split_name(names: &[u8]) -> Option<(&[u8], &[u8])> {
    if names.is_empty() {
        return None;
    }
    let (length, start) = packed::read_length(names, 0);
    names.get(start..)?.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::{NameIndex, packed};

    #[test]
    fn every_name_is_found_and_no_other() {
        for count in [33, 64, 513, if cfg!(miri) { 600 } else { 6000 }] {
            let all: Vec<String> = (0..count).map(|number| format!("{number}{}", "y".repeat(number % 3))).collect();
            let mut names = Vec::new();
            for name in &all {
                packed::write_length(&mut names, name.len());
                names.extend_from_slice(name.as_bytes());
            }
            let index = NameIndex::of(&names, count).unwrap();
            for (number, name) in all.iter().enumerate() {
                assert_eq!(index.find(&names, name.as_bytes()), Some((number, name.as_bytes())));
                assert_eq!(index.find(&names, format!("{name}z").as_bytes()), None);
            }
        }
        assert!(NameIndex::of(&[1, b'a'], 1).is_none() && NameIndex::of(&vec![0; 70_000], 70_000).is_none());
    }
}
