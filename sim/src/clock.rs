//! What do a node's own clocks say?
//!
//! A machine has two: a monotonic one, which timeouts are measured with, and a wall clock, which records
//! are stamped with. Both run at the machine's own pace; only the wall clock can be wrong about the hour.
//! They belong to the machine: a process that starts again finds them as they were.

use std::time::Duration;

use trial_model::time::{Instant, Now, Timestamp};

/// Which hour the wall clock of a node without offset shows at the origin of simulated time:
/// 2026-01-01 00:00 UTC.
pub const EPOCH: Timestamp = Timestamp(1_767_225_600_000);

const MILLION: u64 = 1_000_000;
const GRID: u64 = 1_000;

/// The clocks of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeClock {
    /// By how much the wall clock is ahead of the monotonic one, in nanoseconds.
    wall_offset: i128,
    /// How many microseconds a second it gains.
    drift_ppm: i32,
    /// Since when it has this drift, in simulated time...
    since: Instant,
    /// ...and what the monotonic clock said then.
    said: Instant,
}

impl NodeClock {
    /// A clock whose wall time is `offset_ms` milliseconds ahead (or behind), and that gains `drift_ppm`
    /// microseconds a second. A drift of -1,000,000 or less is held at the slowest clock that still runs.
    pub fn new(offset_ms: i64, drift_ppm: i32) -> NodeClock {
        NodeClock {
            wall_offset: (i128::from(EPOCH.0) + i128::from(offset_ms)) * 1_000_000,
            drift_ppm: drift_ppm.max(-999_999),
            since: Instant::ZERO,
            said: Instant::ZERO,
        }
    }

    /// What both clocks say at a moment of simulated time, which is not before the last change of drift.
    pub fn now(&self, global: Instant) -> Now {
        let monotonic = self.monotonic(global);
        let wall = i128::from(monotonic.0) + self.wall_offset;
        // Every step reads the clock: what fits is divided in 64 bits, which takes a fraction of the time.
        let wall = match i64::try_from(wall) {
            Ok(wall) => wall.div_euclid(1_000_000),
            Err(_) => i64::try_from(wall.div_euclid(1_000_000)).unwrap_or(i64::MAX),
        };
        Now { monotonic, wall: Timestamp(wall) }
    }

    /// The first moment of simulated time on the grid at which the monotonic clock has reached `monotonic`,
    /// as far as can be told now: a change of drift moves it. For one that lies before the last such change
    /// it is the moment of that change.
    pub fn global_of(&self, monotonic: Instant) -> Instant {
        if monotonic == Instant::FOREVER {
            return Instant::FOREVER;
        }
        let said = monotonic.0.saturating_sub(self.said.0);
        let passed = if self.drift_ppm == 0 {
            said
        } else {
            match said.checked_mul(MILLION) {
                Some(product) => product.div_ceil(self.pace()),
                None => clamped((u128::from(said) * u128::from(MILLION)).div_ceil(self.pace().into())),
            }
        };
        let global = self.since.0.saturating_add(passed);
        Instant(global.checked_next_multiple_of(GRID).unwrap_or(u64::MAX))
    }

    /// Moves the wall clock by `by` milliseconds. The monotonic clock does not notice.
    pub fn jump(&mut self, by_ms: i64) {
        self.wall_offset += i128::from(by_ms) * 1_000_000;
    }

    /// From `global` on, both clocks gain `drift_ppm` microseconds a second. Neither jumps.
    pub fn set_drift(&mut self, global: Instant, drift_ppm: i32) {
        self.said = self.monotonic(global);
        self.since = global;
        self.drift_ppm = drift_ppm.max(-999_999);
    }

    /// How many microseconds a second it gains now.
    pub fn drift_ppm(&self) -> i32 {
        self.drift_ppm
    }

    fn monotonic(&self, global: Instant) -> Instant {
        let passed = global.0.saturating_sub(self.since.0);
        if self.drift_ppm == 0 {
            return Instant(self.said.0.saturating_add(passed));
        }
        let said = match passed.checked_mul(self.pace()) {
            Some(product) => product / MILLION,
            None => clamped(u128::from(passed) * u128::from(self.pace()) / u128::from(MILLION)),
        };
        self.said + Duration::from_nanos(said)
    }

    /// What it says more in a million nanoseconds.
    fn pace(&self) -> u64 {
        MILLION.saturating_add_signed(i64::from(self.drift_ppm))
    }
}

fn clamped(nanos: u128) -> u64 {
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

impl Default for NodeClock {
    /// A perfect one.
    fn default() -> NodeClock {
        NodeClock::new(0, 0)
    }
}

#[cfg(test)]
mod tests {
    use trial_model::rng::Rng;

    use super::*;

    #[test]
    fn a_jump_moves_the_wall_clock_only() {
        let mut clock = NodeClock::new(250, 0);
        assert_eq!(clock.now(Instant(5_000_000)).wall, Timestamp(EPOCH.0 + 255));
        clock.jump(-3_600_000);
        let now = clock.now(Instant(5_000_000));
        assert_eq!(now.wall, Timestamp(EPOCH.0 + 255 - 3_600_000));
        assert_eq!(now.monotonic, Instant(5_000_000));
    }

    #[test]
    fn drift_moves_both_and_changing_it_moves_neither() {
        let mut clock = NodeClock::new(0, 100_000);
        let second = Instant(1_000_000_000);
        assert_eq!(clock.now(second).monotonic, Instant(1_100_000_000));
        assert_eq!(clock.now(second).wall, Timestamp(EPOCH.0 + 1_100));
        let before = clock.now(second);
        clock.set_drift(second, -500_000);
        assert_eq!(clock.now(second), before);
        assert_eq!(clock.now(Instant(3_000_000_000)).monotonic, Instant(2_100_000_000));
    }

    #[test]
    fn a_deadline_is_met_at_the_first_grid_instant_and_not_before() {
        let mut rng = Rng::named(1, "clock");
        for _ in 0..2_000 {
            let drift = rng.between(0, 400_000) as i32 - 200_000;
            let mut clock = NodeClock::new(0, drift);
            let changed = Instant(rng.below(1 << 40) / GRID * GRID);
            clock.set_drift(changed, rng.between(0, 400_000) as i32 - 200_000);
            let wanted = clock.now(changed).monotonic + Duration::from_nanos(1 + rng.below(1 << 40));
            let global = clock.global_of(wanted);
            assert_eq!(global.0 % GRID, 0);
            assert!(clock.now(global).monotonic >= wanted);
            assert!(clock.now(Instant(global.0 - GRID)).monotonic < wanted);
        }
    }

    #[test]
    fn never_is_never() {
        assert_eq!(NodeClock::new(0, 7).global_of(Instant::FOREVER), Instant::FOREVER);
    }

    #[test]
    fn a_clock_that_almost_stands_still_still_runs() {
        let clock = NodeClock::new(0, i32::MIN);
        assert_eq!(clock.now(Instant(1_000_000_000)).monotonic, Instant(1_000));
    }
}
