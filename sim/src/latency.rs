//! How long does this take? Lengths of time drawn with integers only.

use std::time::Duration;

use trial_model::rng::Rng;

/// A distribution of lengths of time: never under `min`, about `mean` on average, never over `max`.
///
/// In between it falls off exponentially from `min`, as queues do. Whatever is drawn lies on the grid of
/// one microsecond and is at least one microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Latency {
    min_us: u64,
    spread_us: u64,
    max_us: u64,
}

impl Latency {
    /// Between `min` and `max`, about `mean` on average. Bounds in disorder are put in order.
    pub fn new(min: Duration, mean: Duration, max: Duration) -> Latency {
        let [min_us, mean_us, max_us] = [min, mean, max].map(micros);
        let min_us = min_us.max(1);
        let mean_us = mean_us.max(min_us);
        Latency { min_us, spread_us: mean_us - min_us, max_us: max_us.max(mean_us) }
    }

    /// Always the same.
    pub fn fixed(length: Duration) -> Latency {
        Latency::new(length, length, length)
    }

    /// The least that can be drawn.
    pub fn min(&self) -> Duration {
        Duration::from_micros(self.min_us)
    }

    /// About what is drawn on average.
    pub fn mean(&self) -> Duration {
        Duration::from_micros(self.min_us + self.spread_us)
    }

    /// The most that can be drawn.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.max_us)
    }

    /// Draws one, with exactly one number of `rng` whatever the bounds.
    pub fn draw(&self, rng: &mut Rng) -> Duration {
        Duration::from_nanos(self.draw_nanos(rng))
    }

    /// As `draw`, in nanoseconds.
    #[inline]
    pub(crate) fn draw_nanos(&self, rng: &mut Rng) -> u64 {
        let above = (u128::from(self.spread_us) * u128::from(exponential(rng.next_u64()))) >> FRACTION;
        let above = u64::try_from(above).unwrap_or(u64::MAX);
        self.min_us.saturating_add(above).min(self.max_us).saturating_mul(1_000)
    }
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX)
}

const FRACTION: u32 = 24;
const STEPS: usize = 256;

/// `-ln(1 - i/256)` in units of 2^-24; the last step is left to the next digit of the draw.
static QUANTILES: [u64; STEPS] = quantiles();

/// `ln 2` in units of 2^-32.
const LN_2: u64 = 2_977_044_472;

const fn quantiles() -> [u64; STEPS] {
    let mut table = [0; STEPS];
    let mut i = 0;
    while i < STEPS {
        // -ln(1 - i/256) = (8 - log2(256 - i)) * ln 2
        let log2 = log2(STEPS as u64 - i as u64);
        table[i] = (((8 << 32) - log2) * (LN_2 >> 8)) >> (24 + 32 - FRACTION);
        i += 1;
    }
    table
}

/// The binary logarithm of `n > 0` in units of 2^-32, by squaring.
const fn log2(n: u64) -> u64 {
    let whole = n.ilog2();
    let mut mantissa: u128 = (n as u128) << (62 - whole);
    let mut log = (whole as u64) << 32;
    let mut bit: u64 = 1 << 31;
    while bit > 0 {
        mantissa = (mantissa * mantissa) >> 62;
        if mantissa >= 1 << 63 {
            mantissa >>= 1;
            log |= bit;
        }
        bit >>= 1;
    }
    log
}

/// An exponentially distributed number of mean 1 out of 64 uniform bits, in units of 2^-24.
#[inline]
fn exponential(mut bits: u64) -> u64 {
    let mut sum = 0;
    loop {
        let digit = (bits >> 56) as usize;
        bits <<= 8;
        if digit < STEPS - 1 {
            let (low, high) = (QUANTILES[digit], QUANTILES[digit + 1]);
            return sum + low + (((high - low) * (bits >> 48)) >> 16);
        }
        // The exponential forgets: beyond its last step it begins anew.
        sum += QUANTILES[STEPS - 1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(n: u64) -> Duration {
        Duration::from_micros(n)
    }

    #[test]
    fn draws_stay_in_bounds_and_average_to_the_mean() {
        let latency = Latency::new(us(200), us(700), us(20_000));
        let mut rng = Rng::named(3, "latency");
        let draws: Vec<Duration> = (0..100_000).map(|_| latency.draw(&mut rng)).collect();
        assert!(draws.iter().all(|d| (us(200)..=us(20_000)).contains(d)));
        let mean = draws.iter().sum::<Duration>() / 100_000;
        assert!((us(693)..=us(707)).contains(&mean), "{mean:?}");
        assert!(draws.iter().filter(|d| **d > us(200 + 500 * 3)).count() > 4_000, "it has a tail");
    }

    #[test]
    fn what_is_fixed_is_fixed_and_never_zero() {
        let mut rng = Rng::named(3, "latency");
        assert_eq!(Latency::fixed(us(5)).draw(&mut rng), us(5));
        assert_eq!(Latency::fixed(Duration::ZERO).draw(&mut rng), us(1));
        assert_eq!(Latency::fixed(Duration::from_nanos(1_001)).draw(&mut rng), us(2));
    }

    #[test]
    fn the_table_is_the_logarithm() {
        // -ln(1/2) and -ln(1/256)
        assert_eq!(QUANTILES[128], LN_2 >> (32 - FRACTION));
        assert!(QUANTILES[255].abs_diff((LN_2 * 8) >> (32 - FRACTION)) < 64);
        assert!(QUANTILES.is_sorted());
    }
}
