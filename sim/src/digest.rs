//! Was it the same run? One number over everything that happened to every node.
//!
//! Every node's steps are chained by themselves, in the order in which it took them, and the chains are
//! joined in the order of the nodes: so the digest does not depend on how an engine interleaves the steps
//! of different nodes within one instant, which has no meaning. BLAKE3, so that a digest can be trusted as
//! a name.

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

/// Bytes are gathered up to here before they are hashed: BLAKE3 is fast on long inputs.
const GATHER: usize = 16 * 1024;

/// The chain of one node's steps.
#[derive(Default)]
pub struct Chain {
    gathered: Gathered,
    hasher: blake3::Hasher,
}

impl Chain {
    /// Adds one step: when it was, and anything that can be hashed about it.
    pub fn step(&mut self, at: Instant, what: &impl Hash) {
        self.gathered.write_u64(at.0);
        what.hash(&mut self.gathered);
        if self.gathered.0.len() > GATHER {
            self.hasher.update(&self.gathered.0);
            self.gathered.0.clear();
        }
    }

    /// The digest of everything so far.
    pub fn value(&self) -> Digest {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.gathered.0);
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

/// Spells out what `Hash` says, the same on every machine: little-endian, every length in 64 bits.
#[derive(Default)]
struct Gathered(Vec<u8>);

impl Hasher for Gathered {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn write_u8(&mut self, n: u8) {
        self.0.push(n);
    }
    fn write_u16(&mut self, n: u16) {
        self.write(&n.to_le_bytes());
    }
    fn write_u32(&mut self, n: u32) {
        self.write(&n.to_le_bytes());
    }
    fn write_u64(&mut self, n: u64) {
        self.write(&n.to_le_bytes());
    }
    fn write_u128(&mut self, n: u128) {
        self.write(&n.to_le_bytes());
    }
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
    fn write_i16(&mut self, n: i16) {
        self.write_u16(n as u16);
    }
    fn write_i32(&mut self, n: i32) {
        self.write_u32(n as u32);
    }
    fn write_i64(&mut self, n: i64) {
        self.write_u64(n as u64);
    }
    // The discriminants of enums.
    fn write_isize(&mut self, n: isize) {
        self.0.push(n as u8);
        assert!((0..256).contains(&n), "an enum of more than 256 variants");
    }
    fn finish(&self) -> u64 {
        unreachable!("what is gathered is hashed by the chain")
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
    fn gathering_does_not_change_the_digest() {
        let mut chain = Chain::default();
        let bytes = vec![7u8; 3 * GATHER];
        chain.step(Instant(1), &bytes);
        let mut spelled = Gathered::default();
        spelled.write_u64(1);
        bytes.hash(&mut spelled);
        assert_eq!(chain.value(), Digest(*blake3::hash(&spelled.0).as_bytes()));
    }
}
