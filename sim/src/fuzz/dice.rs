//! How is something drawn that a person could have written?

use serde_json::{Map, Value};
use trial_model::{rng::Rng, units::Ratio};

/// The dice of one drawing: every part of it has its own, so that one more draw here changes nothing there.
pub struct Dice {
    rng: Rng,
}

impl Dice {
    /// The dice of `part` under a seed.
    pub fn new(seed: u64, part: &str) -> Dice {
        Dice { rng: Rng::named(seed, &format!("draw/{part}")) }
    }

    /// One of several, all as likely.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        *self.rng.pick(of).expect("there is something to choose from")
    }

    /// Once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.rng.chance(Ratio(1, n))
    }

    /// A number below `bound`; zero if that is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    /// From `least` to `most`.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        self.rng.between(least, most)
    }

    /// Settings of Kafka's: each key is left at its default with a chance of one in `n`, or else set to one
    /// of its values.
    pub fn settings(&mut self, n: u64, keys: &[(&str, &[u64])]) -> Map<String, Value> {
        let mut settings = Map::new();
        for (key, values) in keys {
            if !self.one_in(n) {
                settings.insert((*key).into(), self.one(values).into());
            }
        }
        settings
    }
}
