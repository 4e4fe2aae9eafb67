//! What time is it?

use std::time::{SystemTime, UNIX_EPOCH};

use trial_model::time::{Instant, Now, Timestamp};

/// The two clocks of this machine, as the model counts them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock { origin: tokio::time::Instant::now() }
    }

    pub(crate) fn now(&self) -> Now {
        let micros = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Now {
            monotonic: Instant(micros.saturating_mul(1_000)),
            wall: Timestamp(i64::try_from(wall).unwrap_or(i64::MAX)),
        }
    }

    /// The runtime's word for a moment; `None` for one that never comes.
    pub(crate) fn at(&self, moment: Instant) -> Option<tokio::time::Instant> {
        // A century is never, and what the runtime can count.
        const NEVER: u64 = 100 * 365 * 86_400 * 1_000_000_000;
        (moment.0 < NEVER).then(|| self.origin + std::time::Duration::from_nanos(moment.0))
    }
}
