//! What was so a while ago? Under a light load the newest of everything is always still on its way.

use std::{collections::VecDeque, time::Duration};

use trial_model::time::Instant;

const EVERY: Duration = Duration::from_secs(1);

/// Looks at something once a second and remembers the last few looks.
pub(super) struct Lag<T> {
    seen: VecDeque<(Instant, T)>,
}

impl<T> Default for Lag<T> {
    fn default() -> Self {
        Lag { seen: VecDeque::new() }
    }
}

impl<T> Lag<T> {
    /// Looks, if it is time to.
    pub(super) fn look(&mut self, at: Instant, lag: Duration, look: impl FnOnce() -> T) {
        if self.seen.back().is_some_and(|(last, _)| at.since(*last) < EVERY) {
            return;
        }
        self.seen.push_back((at, look()));
        while self.seen.get(1).is_some_and(|(second, _)| at.since(*second) >= lag + EVERY) {
            self.seen.pop_front();
        }
    }

    /// What was so at least `lag` ago; nothing if there was no look then.
    pub(super) fn then(&self, at: Instant, lag: Duration) -> Option<&T> {
        self.seen.iter().rev().find(|(then, _)| at.since(*then) >= lag).map(|(_, seen)| seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_what_was_so_a_while_ago() {
        let (mut lag, second) = (Lag::default(), Duration::from_secs(1));
        for at in 0..10u64 {
            lag.look(Instant(at * 1_000_000_000), second * 3, || at);
        }
        assert_eq!(lag.then(Instant(9_000_000_000), second * 3), Some(&6));
        assert!(lag.seen.len() <= 5);
        assert_eq!(Lag::<u64>::default().then(Instant(9), second), None);
    }
}
