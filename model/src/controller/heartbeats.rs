//! Which brokers are alive, by the active controller's own ears?
//!
//! Not replicated: a new controller gives every broker a fresh session. Times are those of the controller's
//! monotonic clock.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use crate::{
    time::{Deadlines, Instant},
    units::{NodeId, Offset},
};

/// What the active controller has heard from brokers.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    timeout: Duration,
    brokers: BTreeMap<NodeId, Session>,
    /// When the session of each unfenced broker ends.
    due: Deadlines<NodeId>,
    /// Until when each process counts as alive that was heard of, fenced or not.
    heard: BTreeMap<NodeId, Instant>,
    /// The unfenced brokers that are not about to leave, by how much metadata they have applied.
    active: BTreeSet<(Offset, NodeId)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Session {
    metadata_end: Offset,
    fenced: bool,
    /// The metadata that everybody must have before it may go: set while it is in controlled shutdown.
    leaves_at: Option<Offset>,
}

impl Sessions {
    /// Nobody was heard of; a session will last for `timeout`.
    pub fn new(timeout: Duration) -> Sessions {
        Sessions { timeout, ..Sessions::default() }
    }

    /// Begins the session of a broker that has just registered.
    pub fn begin(&mut self, now: Instant, broker: NodeId, fenced: bool) {
        self.forget(broker);
        self.touch(now, broker, fenced, Offset::ZERO);
    }

    /// A new controller finds a broker registered, of which it has heard nothing itself: one that is not fenced
    /// gets a session.
    pub fn find(&mut self, now: Instant, broker: NodeId, fenced: bool) {
        self.begin(now, broker, fenced);
        if fenced {
            self.heard.remove(&broker);
        }
    }

    /// The broker was told that it may go: whoever registers under its id is another process.
    pub fn gone(&mut self, broker: NodeId) {
        self.heard.remove(&broker);
    }

    /// The broker has given a sign of life, has applied the metadata before `metadata_end`, and is fenced or
    /// not from now on. One that is fenced is not in controlled shutdown any more.
    pub fn touch(&mut self, now: Instant, broker: NodeId, fenced: bool, metadata_end: Offset) {
        let before = self.forget(broker);
        let leaves_at = before.and_then(|session| session.leaves_at).filter(|_| !fenced);
        self.brokers.insert(broker, Session { metadata_end, fenced, leaves_at });
        self.heard.insert(broker, now + self.timeout);
        if !fenced {
            self.due.set(now + self.timeout, broker);
            if leaves_at.is_none() {
                self.active.insert((metadata_end, broker));
            }
        }
    }

    /// The broker may go once every active broker has the metadata before `end`. Said again, it changes
    /// nothing. Does nothing for a fenced broker.
    pub fn leave(&mut self, broker: NodeId, end: Offset) {
        if let Some(session) = self.brokers.get_mut(&broker).filter(|session| !session.fenced) {
            self.active.remove(&(session.metadata_end, broker));
            session.leaves_at.get_or_insert(end);
        }
    }

    /// The same as `leave`, but what everybody must have is raised each time. Only the museum does that.
    pub fn leave_later(&mut self, broker: NodeId, end: Offset) {
        self.leave(broker, end);
        if let Some(session) = self.brokers.get_mut(&broker).filter(|session| !session.fenced) {
            session.leaves_at = Some(end);
        }
    }

    /// The broker is fenced: its session is over.
    pub fn fence(&mut self, broker: NodeId) {
        self.heard.remove(&broker);
        if let Some(session) = self.forget(broker) {
            self.brokers.insert(broker, Session { fenced: true, leaves_at: None, ..session });
        }
    }

    fn forget(&mut self, broker: NodeId) -> Option<Session> {
        let session = self.brokers.remove(&broker)?;
        self.due.cancel(&broker);
        self.active.remove(&(session.metadata_end, broker));
        Some(session)
    }

    /// Whether the broker's process was heard of within the session timeout.
    ///
    /// Fenced or not, as in Kafka 4's heartbeat tracker, and by its registration, too: otherwise a registration
    /// of its former process that was on the way all the time takes its id from it, and its own heartbeats are
    /// stale for ever.
    pub fn is_alive(&self, now: Instant, broker: NodeId) -> bool {
        self.heard.get(&broker).is_some_and(|end| *end >= now)
    }

    /// The metadata that everybody must have before the broker may go, while it is in controlled shutdown.
    pub fn leaves_at(&self, broker: NodeId) -> Option<Offset> {
        self.brokers.get(&broker)?.leaves_at
    }

    /// How much metadata every active broker has applied; everything if there is none.
    pub fn lowest_active(&self) -> Offset {
        self.active.first().map_or(Offset(u64::MAX), |(end, _)| *end)
    }

    /// When the next session ends if nothing is heard.
    pub fn next(&self) -> Option<Instant> {
        // A session is good up to and including its last moment.
        self.due.next().map(|end| end + Duration::from_nanos(1))
    }

    /// The broker whose session has been over for longest.
    ///
    /// One at a time, so that what fencing it does is seen when the next is fenced.
    pub fn pop_expired(&mut self, now: Instant) -> Option<NodeId> {
        if self.next()? > now { None } else { self.due.pop_due(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NodeId = NodeId::broker(1);
    const TWO: NodeId = NodeId::broker(2);

    #[test]
    fn a_session_lasts_from_the_last_sign_of_life() {
        let mut sessions = Sessions::new(Duration::from_nanos(10));
        sessions.begin(Instant(0), ONE, false);
        sessions.begin(Instant(0), TWO, false);
        sessions.touch(Instant(5), ONE, false, Offset(3));
        assert!(sessions.is_alive(Instant(10), TWO));
        assert_eq!(sessions.pop_expired(Instant(10)), None);
        assert_eq!(sessions.pop_expired(Instant(11)), Some(TWO));
        assert_eq!(sessions.pop_expired(Instant(11)), None);
        assert_eq!(sessions.next(), Some(Instant(16)));
    }

    #[test]
    fn a_fenced_broker_has_no_session_to_lose() {
        let mut sessions = Sessions::new(Duration::from_nanos(10));
        sessions.begin(Instant(0), ONE, true);
        assert_eq!(sessions.next(), None);
    }

    #[test]
    fn whoever_was_heard_of_is_alive_until_it_is_told_to_go() {
        let mut sessions = Sessions::new(Duration::from_nanos(10));
        sessions.begin(Instant(0), ONE, true);
        sessions.find(Instant(0), TWO, true);
        assert!(sessions.is_alive(Instant(10), ONE) && !sessions.is_alive(Instant(0), TWO));
        assert!(!sessions.is_alive(Instant(11), ONE));
        sessions.touch(Instant(11), ONE, true, Offset(3));
        assert!(sessions.is_alive(Instant(21), ONE));
        sessions.gone(ONE);
        assert!(!sessions.is_alive(Instant(12), ONE));
    }

    #[test]
    fn one_that_leaves_waits_for_the_others_and_not_for_itself() {
        let mut sessions = Sessions::new(Duration::from_nanos(10));
        sessions.touch(Instant(0), ONE, false, Offset(5));
        sessions.touch(Instant(0), TWO, false, Offset(5));
        sessions.leave(ONE, Offset(8));
        sessions.touch(Instant(1), TWO, false, Offset(7));
        sessions.leave(ONE, Offset(9));
        assert_eq!(sessions.leaves_at(ONE), Some(Offset(8)));
        assert_eq!(sessions.lowest_active(), Offset(7));
        sessions.touch(Instant(2), ONE, true, Offset(5));
        assert_eq!(sessions.leaves_at(ONE), None);
    }
}
