//! Fingerprints of data, equal to Redis's for the same data.

use std::fmt::Write as _;

use crate::base::clock::UnixMillis;
use crate::services::Services;
use crate::store::{Database, FieldExpiry, HashView, KeyExpiry};

/// A SHA-1 sum.
pub(super) type Digest = [u8; 20];

/// The digest of all data, which depends on no order: zeros if there is none.
pub(super) fn of_all(services: &Services, now: UnixMillis) -> Digest {
    let keyspace = &services.keyspace;
    let mut all = Digest::default();
    for index in keyspace.used_databases() {
        let mut store = keyspace.database(index, now);
        if store.is_empty() {
            continue;
        }
        mix(&mut all, &u32::try_from(index).unwrap_or_default().to_be_bytes());
        let mut keys = Vec::new();
        store.for_each_key(|key| keys.push(key.to_vec()));
        for key in keys {
            let mut digest = Digest::default();
            mix(&mut digest, &key);
            add(&mut all, &continued(&mut store, &key, digest));
        }
    }
    all
}

/// The digest of a key: zeros for a missing one.
pub(super) fn of_key(store: &mut Database<'_>, key: &[u8]) -> Digest {
    continued(store, key, Digest::default())
}

/// A digest to which that of a key's value and expiry is added.
fn continued(store: &mut Database<'_>, key: &[u8], mut digest: Digest) -> Digest {
    let has_expiry = matches!(store.key_expiry(key), KeyExpiry::At(_));
    store.view(key, |hash| add_hash(&mut digest, hash));
    if has_expiry {
        add(&mut digest, b"!!expire!!");
    }
    digest
}

/// Adds a hash, whatever the order of its fields.
fn add_hash(digest: &mut Digest, hash: &HashView<'_>) {
    const HASH_TYPE: [u8; 4] = [0, 0, 0, 4];
    if hash.is_missing() {
        return;
    }
    mix(digest, &HASH_TYPE);
    for (field, value) in hash.iter() {
        let mut element = Digest::default();
        mix(&mut element, field);
        mix(&mut element, &value.text());
        if matches!(hash.field_expiry(field), FieldExpiry::At(_)) {
            add(&mut element, b"!!hexpire!!");
        }
        add(digest, &element);
    }
}

/// 40 hexadecimal digits.
pub(super) fn hex(digest: &Digest) -> String {
    let mut text = String::with_capacity(40);
    for byte in digest {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Adds `bytes` so that the order of additions does not matter.
fn add(digest: &mut Digest, bytes: &[u8]) {
    for (byte, other) in digest.iter_mut().zip(sha1(bytes)) {
        *byte ^= other;
    }
}

/// Adds `bytes` so that the order matters.
fn mix(digest: &mut Digest, bytes: &[u8]) {
    add(digest, bytes);
    *digest = sha1(digest.as_slice());
}

/// SHA-1 (FIPS 180-4). Fit for fingerprints in tests only.
fn sha1(message: &[u8]) -> Digest {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    for block in padded.as_chunks::<64>().0 {
        sha1_block(&mut state, block);
    }
    let mut digest = Digest::default();
    for (to, byte) in digest.iter_mut().zip(state.iter().flat_map(|word| word.to_be_bytes())) {
        *to = byte;
    }
    digest
}

#[expect(clippy::many_single_char_names, reason = "the standard names them so")]
fn sha1_block(state: &mut [u32; 5], block: &[u8; 64]) {
    let mut words: Vec<u32> = block.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect();
    for at in 16..80 {
        let back = |distance: usize| words.get(at - distance).copied().unwrap_or_default();
        words.push((back(3) ^ back(8) ^ back(14) ^ back(16)).rotate_left(1));
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (round, word) in words.iter().enumerate() {
        let (chosen, constant) = match round {
            0..20 => ((b & c) | (!b & d), 0x5a82_7999),
            20..40 => (b ^ c ^ d, 0x6ed9_eba1),
            40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc_u32),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next = a.rotate_left(5).wrapping_add(chosen).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    for (total, part) in state.iter_mut().zip([a, b, c, d, e]) {
        *total = total.wrapping_add(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha1_of_the_standards_examples() {
        assert_eq!(hex(&sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let long = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hex(&sha1(long)), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    }
}
