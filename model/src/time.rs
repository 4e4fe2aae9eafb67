//! What time is it, and when does something want to be woken?
//!
//! Time is logical, on a grid of one microsecond, in nanoseconds. A node never reads a clock: `now` is an
//! argument of its step, and it holds the node's own two clocks, which a scenario may set apart from
//! everybody else's.

use core::{fmt, ops::Add, time::Duration};

use serde::{Deserialize, Serialize};

use crate::flat::{FlatMap, FlatSet};

/// A moment on a monotonic clock, in nanoseconds since an origin of no meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(pub u64);

impl Instant {
    /// The origin.
    pub const ZERO: Instant = Instant(0);
    /// Later than everything.
    pub const FOREVER: Instant = Instant(u64::MAX);

    /// How long after `earlier` this is; zero if it is not after.
    #[inline]
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// In whole microseconds since the origin, rounded up: the grid of the simulation.
    #[inline]
    pub fn micros_up(self) -> u64 {
        self.0.div_ceil(1_000)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    /// Saturates, so that "never" may be written as a very long wait.
    #[inline]
    fn add(self, wait: Duration) -> Instant {
        // Not by `as_nanos`, which counts in 128 bits.
        let nanos = wait.as_secs().saturating_mul(1_000_000_000).saturating_add(wait.subsec_nanos().into());
        Instant(self.0.saturating_add(nanos))
    }
}

/// Seconds, to the microsecond: `3.066123`.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000_000, self.0 / 1_000 % 1_000_000)
    }
}

/// A moment on a wall clock: milliseconds since 1970, as Kafka stamps records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A node's two clocks at one step.
///
/// `monotonic` never goes back and is what timeouts are measured with; `wall` may jump and is what records
/// are stamped with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Now {
    /// The node's monotonic clock.
    pub monotonic: Instant,
    /// The node's wall clock.
    pub wall: Timestamp,
}

/// The earlier of two deadlines, where `None` is never.
#[inline]
pub fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, None) => a,
        (None, b) => b,
    }
}

/// Things that are due at a time, handed out in order of time and then of the thing itself.
///
/// A thing stands in it once: scheduling it again moves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlines<T: Ord + Clone> {
    by_time: FlatSet<(Instant, T)>,
    by_thing: FlatMap<T, Instant>,
}

impl<T: Ord + Clone> Default for Deadlines<T> {
    fn default() -> Self {
        Deadlines { by_time: Default::default(), by_thing: Default::default() }
    }
}

impl<T: Ord + Clone> Deadlines<T> {
    /// Nothing is due.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes `thing` due at `at`, and at no other time.
    pub fn set(&mut self, at: Instant, thing: T) {
        if let Some(before) = self.by_thing.insert(thing.clone(), at) {
            if before == at {
                return;
            }
            self.by_time.remove(&(before, thing.clone()));
        }
        self.by_time.insert((at, thing));
    }

    /// `thing` is not due any more; says whether it was.
    pub fn cancel(&mut self, thing: &T) -> bool {
        match self.by_thing.remove(thing) {
            Some(at) => self.by_time.remove(&(at, thing.clone())),
            None => false,
        }
    }

    /// When `thing` is due.
    pub fn get(&self, thing: &T) -> Option<Instant> {
        self.by_thing.get(thing).copied()
    }

    /// When the next thing is due.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out the first thing that is due at or before `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        let (_, thing) = self.by_time.pop_first()?;
        self.by_thing.remove(&thing);
        Some(thing)
    }

    /// Whether nothing is due.
    pub fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_set_again_is_due_only_once() {
        let mut due = Deadlines::new();
        due.set(Instant(5), "flush");
        due.set(Instant(9), "flush");
        assert_eq!(due.pop_due(Instant(8)), None);
        assert_eq!(due.pop_due(Instant(9)), Some("flush"));
        assert!(due.is_empty());
    }

    #[test]
    fn the_grid_is_a_microsecond() {
        assert_eq!(Instant(1_001).micros_up(), 2);
        assert_eq!(std::format!("{}", Instant(3_066_123_000)), "3.066123");
    }
}
