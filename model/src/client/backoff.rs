//! How long does a client rest after a failure?
//!
//! Kafka's `ExponentialBackoff`: twice as long after every failure, up to a maximum, a fifth more or less by
//! chance, so that clients that failed together do not come back together (KIP-144, KIP-580).

use core::time::Duration;

use crate::rng::Rng;

/// A row of growing rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    initial: u64,
    max: u64,
    rng: Rng,
}

impl Backoff {
    /// Rests from `initial` up to `max`, their jitter drawn from `rng`. An `initial` above `max` counts as
    /// `max`; then, or if they are equal, there is no jitter, as in Kafka.
    pub fn new(initial: Duration, max: Duration, rng: Rng) -> Backoff {
        let max = micros(max);
        Backoff { initial: micros(initial).min(max), max, rng }
    }

    /// How long to rest after `failures` failures before this one, on the grid of a microsecond.
    pub fn rest(&mut self, failures: u32) -> Duration {
        if self.initial == self.max {
            return Duration::from_micros(self.initial);
        }
        let grown = match self.initial.checked_shl(failures) {
            Some(grown) if failures < self.initial.max(1).leading_zeros() => grown.min(self.max),
            _ => self.max,
        };
        // From 80 % to 120 %.
        let jittered = u128::from(grown) * u128::from(self.rng.between(800_000, 1_200_000)) / 1_000_000;
        Duration::from_micros(u64::try_from(jittered).unwrap_or(u64::MAX).min(self.max))
    }
}

fn micros(of: Duration) -> u64 {
    u64::try_from(of.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(initial: u64, max: u64) -> Backoff {
        Backoff::new(Duration::from_millis(initial), Duration::from_millis(max), Rng::named(3, "backoff"))
    }

    #[test]
    fn a_rest_doubles_up_to_its_maximum_give_or_take_a_fifth() {
        let mut backoff = backoff(100, 1_000);
        for (failures, expected) in [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1_000), (200, 1_000)] {
            for _ in 0..50 {
                let rest = backoff.rest(failures).as_micros() as u64;
                assert!(rest >= expected * 800 && rest <= (expected * 1_200).min(1_000_000), "{rest}");
            }
        }
    }

    #[test]
    fn equal_bounds_leave_nothing_to_chance() {
        assert_eq!(backoff(50, 50).rest(9), Duration::from_millis(50));
        assert_eq!(backoff(90, 50).rest(0), Duration::from_millis(50));
    }
}
