//! Who may draw which random number?
//!
//! A draw belongs to a name: every use of chance has a stream of its own, keyed by the seed and the name, so
//! that adding a node or removing a fault moves nobody else's dice.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng},
};

use crate::units::Ratio;

/// A stream of random numbers that belongs to one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// The stream of `name` under `seed`: the same for the same two, on every machine.
    pub fn named(seed: u64, name: &str) -> Rng {
        // The key holds the seed and a 128-bit FNV-1a hash of the name; ChaCha does the mixing.
        let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        for byte in name.bytes() {
            hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..24].copy_from_slice(&hash.to_le_bytes());
        Rng(ChaCha8Rng::from_seed(key))
    }

    /// Any 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from `0` up to, not including, `bound`; zero if `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Multiply and shift: the bias is under 2^-32 for every bound a protocol has.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included; `low` if `high` is not greater.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        if high <= low { low } else { low + self.below((high - low).saturating_add(1)) }
    }

    /// True with the given chance. Draws also when the answer is sure, so that a changed chance moves no
    /// later draw of the same stream.
    pub fn chance(&mut self, ratio: Ratio) -> bool {
        self.below(ratio.1.max(1)) < ratio.0
    }

    /// One of `choices`, or `None` if there is none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len() as u64) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_own_stream() {
        let mut one = Rng::named(7, "link/broker-1→broker-2");
        let mut again = Rng::named(7, "link/broker-1→broker-2");
        let mut other = Rng::named(7, "link/broker-2→broker-1");
        let (a, b, c) = (one.next_u64(), again.next_u64(), other.next_u64());
        assert_eq!(a, b);
        assert_ne!(a, c);
    }

    #[test]
    fn draws_stay_in_their_bounds() {
        let mut rng = Rng::named(1, "bounds");
        for _ in 0..1_000 {
            assert!(rng.below(3) < 3);
            assert!((5..=6).contains(&rng.between(5, 6)));
        }
        assert!(rng.chance(Ratio::ALWAYS) && !rng.chance(Ratio::NEVER));
    }
}
