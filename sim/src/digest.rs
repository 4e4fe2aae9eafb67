//! Was it the same run? One number over everything that happened to every node.
//!
//! Every node's steps are chained by themselves, in the order in which it took them, and the chains are
//! joined in the order of the nodes: so the digest does not depend on how an engine interleaves the steps
//! of different nodes within one instant, which has no meaning.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use trial_model::time::Instant;

/// The name of a run's trace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// The first eight hexadecimal digits, as people compare them.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0[..4] {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl Digest {
    /// All of it in hexadecimal.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The chain of one node's steps.
#[derive(Default)]
pub struct Chain {
    mixed: Mixed,
    steps: u64,
}

impl Chain {
    /// Adds one step: when it was, and anything that can be hashed about it.
    pub fn step(&mut self, at: Instant, what: &impl Hash) {
        self.mixed.write_u64(at.0);
        what.hash(&mut self.mixed);
        self.steps += 1;
    }

    /// The digest of everything so far.
    pub fn value(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.mixed.0.to_le_bytes());
        hasher.update(&self.mixed.1.to_le_bytes());
        hasher.update(&self.steps.to_le_bytes());
        Digest(*hasher.finalize().as_bytes())
    }
}

/// The digest of a run: its nodes' chains, in order.
pub fn join<'a>(chains: impl IntoIterator<Item = (u32, &'a Chain)>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for (node, chain) in chains {
        hasher.update(&node.to_le_bytes());
        hasher.update(&chain.value().0);
    }
    Digest(*hasher.finalize().as_bytes())
}

/// Takes in what `Hash` says, the same on every machine: little-endian, every length in 64 bits.
///
/// Two lanes of 64 bits that take words in turn, mixed by a folded multiplication: every step of every node
/// goes through here, so it must cost next to nothing. A cryptographic hash of every step took a tenth of a
/// run's time.
struct Mixed(u64, u64);

impl Default for Mixed {
    fn default() -> Mixed {
        Mixed(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344)
    }
}

/// The two halves of a product, folded into one.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

impl Hasher for Mixed {
    #[inline]
    fn write_u64(&mut self, n: u64) {
        // The lanes take turns. The sum keeps one that was multiplied to zero from staying there.
        let mixed = fold(self.0 ^ n, 0xa076_1d64_78bd_642f).wrapping_add(0xe703_7ed1_a0b4_28db);
        (self.0, self.1) = (self.1, mixed);
    }
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.write_u64(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        let rest = words.remainder();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // With the length, so that bytes and zeros behind them are not the same.
        self.write_u64(u64::from_le_bytes(last) ^ (bytes.len() as u64).rotate_right(8));
    }
    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }
    fn write_u16(&mut self, n: u16) {
        self.write_u64(u64::from(n));
    }
    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }
    fn write_u128(&mut self, n: u128) {
        self.write_u64(n as u64);
        self.write_u64((n >> 64) as u64);
    }
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
    fn write_i16(&mut self, n: i16) {
        self.write_u64(n as u64);
    }
    fn write_i32(&mut self, n: i32) {
        self.write_u64(n as u64);
    }
    fn write_i64(&mut self, n: i64) {
        self.write_u64(n as u64);
    }
    // The discriminants of enums.
    fn write_isize(&mut self, n: isize) {
        self.write_u64(n as u64);
    }
    fn finish(&self) -> u64 {
        self.0 ^ self.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_more_is_another_digest() {
        let mut chain = Chain::default();
        chain.step(Instant(1), &7u32);
        let one = join([(1, &chain)]);
        chain.step(Instant(2), &7u32);
        assert_ne!(one, join([(1, &chain)]));
    }

    #[test]
    fn chains_of_different_nodes_do_not_mix() {
        let (mut a, mut b) = (Chain::default(), Chain::default());
        a.step(Instant(1), &1u32);
        b.step(Instant(1), &2u32);
        assert_ne!(join([(1, &a), (2, &b)]), join([(1, &b), (2, &a)]));
    }

    #[test]
    fn bytes_and_zeros_behind_them_differ() {
        let value = |bytes: &[u8]| {
            let mut chain = Chain::default();
            chain.step(Instant(1), &bytes);
            chain.value()
        };
        let values: std::collections::BTreeSet<Digest> =
            [&b"a"[..], b"a\0", b"abcdefgh", b"abcdefgh\0", b""].into_iter().map(value).collect();
        assert_eq!(values.len(), 5);
    }

    #[test]
    fn what_swaps_places_is_noticed() {
        let (mut ab, mut ba) = (Chain::default(), Chain::default());
        ab.step(Instant(1), &(1u64, 2u64));
        ba.step(Instant(1), &(2u64, 1u64));
        assert_ne!(ab.value(), ba.value());
    }
}
