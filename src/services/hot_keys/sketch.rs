//! Finds the heaviest of many items in little memory, with a bounded error: the frequent items algorithm of Misra and Gries,
//! for weights. An item's weight is never reported as more than it is, and as less by no more than the total divided by
//! half the number of items remembered.

use std::collections::HashMap;

/// Bytes of names that a sketch remembers at most.
const MOST_BYTES: usize = 256 * 1024;

/// Weights by item.
#[derive(Debug, Clone, Default)]
pub(super) struct Sketch {
    weights: HashMap<Box<[u8]>, u64, ahash::RandomState>,
    bytes: usize,
    most: usize,
    total: u64,
}

impl Sketch {
    /// A sketch that remembers up to `most` items.
    pub(super) fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Adds to the weight of an item.
    pub(super) fn add(&mut self, item: &[u8], weight: u64) {
        self.total += weight;
        if weight == 0 {
            return;
        }
        if let Some(known) = self.weights.get_mut(item) {
            *known += weight;
            return;
        }
        self.weights.insert(item.into(), weight);
        self.bytes += item.len();
        while self.weights.len() > self.most || self.bytes > MOST_BYTES {
            self.thin_out();
        }
    }

    /// Adds everything that another has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        let total = self.total + other.total;
        for (item, weight) in &other.weights {
            self.add(item, *weight);
        }
        self.total = total;
    }

    /// Everything that has been added.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The heaviest items, heaviest first; among equals in the order of their bytes.
    pub(super) fn heaviest(self) -> Vec<(Box<[u8]>, u64)> {
        let mut items: Vec<(Box<[u8]>, u64)> = self.weights.into_iter().collect();
        items.sort_unstable_by(|(first, first_weight), (second, second_weight)| {
            second_weight.cmp(first_weight).then_with(|| first.cmp(second))
        });
        items
    }

    /// Takes the weight of the middle item off every item, so that the lighter half goes.
    fn thin_out(&mut self) {
        let mut weights: Vec<u64> = self.weights.values().copied().collect();
        let middle = weights.len() / 2;
        if weights.is_empty() {
            return;
        }
        let (_, &mut middle, _) = weights.select_nth_unstable(middle);
        let mut bytes = 0;
        self.weights.retain(|item, weight| {
            *weight = weight.saturating_sub(middle);
            bytes += if *weight > 0 { item.len() } else { 0 };
            *weight > 0
        });
        self.bytes = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_items_are_counted_exactly() {
        let mut sketch = Sketch::new(10);
        for (item, weight) in [("a", 5), ("b", 7), ("a", 5), ("c", 0)] {
            sketch.add(item.as_bytes(), weight);
        }
        assert_eq!(sketch.total(), 17);
        assert_eq!(sketch.heaviest(), [(b"a"[..].into(), 10), (b"b"[..].into(), 7)]);
    }

    #[test]
    fn heavy_items_are_found_among_many_and_the_error_is_bounded() {
        const MOST: usize = 64;
        let mut random = fastrand::Rng::with_seed(7);
        let (mut parts, mut true_weights) = ([Sketch::new(MOST), Sketch::new(MOST)], HashMap::<u64, u64>::new());
        for _ in 0..200_000 {
            // Small numbers come far more often than large ones.
            let digits = random.u32(0..20);
            let item = random.u64(0..1 << digits);
            let weight = random.u64(1..10);
            *true_weights.entry(item).or_default() += weight;
            parts[random.usize(0..2)].add(item.to_string().as_bytes(), weight);
        }
        let [mut sketch, other] = parts;
        sketch.merge(&other);
        let total: u64 = true_weights.values().sum();
        assert_eq!(sketch.total(), total);
        let found: HashMap<_, _> = sketch.heaviest().into_iter().collect();
        assert!(found.len() <= MOST);
        for (item, weight) in true_weights {
            let reported = found.get(item.to_string().as_bytes()).copied().unwrap_or(0);
            // Two sketches, each with its own error, and that of merging them.
            let bound = 2 * total / (MOST as u64 / 2);
            assert!(reported <= weight && weight - reported <= bound, "{item}: {reported} for {weight}");
        }
    }

    #[test]
    fn long_names_are_bounded() {
        let mut sketch = Sketch::new(1000);
        for index in 0..100_u64 {
            let mut name = vec![b'x'; 100 * 1024];
            name.extend_from_slice(&index.to_be_bytes());
            sketch.add(&name, index);
            assert!(sketch.bytes <= MOST_BYTES);
        }
        assert!(sketch.weights.len() <= 2);
    }
}
