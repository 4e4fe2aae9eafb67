//! How does a broker live: registration, heartbeats, fencing, controlled shutdown? KIP-631, KIP-841.
//!
//! A state machine of its own: it says what to tell the controller and when; `controller_channel.rs` sends
//! it.

use core::time::Duration;

use crate::{
    event::BrokerState,
    protocol::{
        ErrorCode, Request,
        broker_heartbeat::{BrokerHeartbeatRequest, BrokerStanding},
        broker_registration::BrokerRegistrationRequest,
    },
    time::Instant,
    units::{BrokerEpoch, Incarnation, NodeId, Offset},
};

/// How long a broker rests after a failed attempt: doubled each time, between these.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// While it starts it asks more often than later, so that it serves soon.
const STARTING_INTERVAL: Duration = Duration::from_millis(10);
/// The second heartbeat of a controlled shutdown follows sooner than others.
const LEAVING_INTERVAL: Duration = Duration::from_millis(50);
/// Kafka gives a controlled shutdown five minutes.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(300);

/// A broker's life as far as the controller is concerned.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    id: NodeId,
    incarnation: Incarnation,
    previous_epoch: Option<BrokerEpoch>,
    interval: Duration,
    retry_max: Duration,
    state: BrokerState,
    epoch: Option<BrokerEpoch>,
    ready_to_unfence: bool,
    failures: u32,
    /// When the next message is due; none while one is in flight.
    next: Option<Instant>,
    /// A message is to follow the one in flight at once.
    hurry: bool,
    heard_while_leaving: bool,
    register_within: Duration,
    give_up: Instant,
}

/// What follows from what the controller said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing special.
    None,
    /// The broker is registered.
    Registered(BrokerEpoch),
    /// It is not fenced any more, for the first time: it serves.
    Unfenced,
    /// Its leaderships are elsewhere: it may close its logs.
    MayShutDown,
}

impl Lifecycle {
    /// A process before its start.
    pub fn new(
        id: NodeId,
        incarnation: Incarnation,
        interval: Duration,
        session_timeout: Duration,
        register_within: Duration,
    ) -> Lifecycle {
        Lifecycle {
            id,
            incarnation,
            previous_epoch: None,
            interval,
            retry_max: session_timeout,
            state: BrokerState::Recovery,
            epoch: None,
            ready_to_unfence: false,
            failures: 0,
            next: None,
            hurry: false,
            heard_while_leaving: false,
            register_within,
            give_up: Instant::FOREVER,
        }
    }

    /// The process has started.
    pub fn started(&mut self, now: Instant) {
        self.give_up = now + self.register_within;
    }

    /// How far it has come.
    pub fn state(&self) -> BrokerState {
        self.state
    }

    /// Its registration, once there is one.
    pub fn epoch(&self) -> Option<BrokerEpoch> {
        self.epoch
    }

    /// The disk's root has been read: it may register. Its predecessor shut down cleanly with
    /// `previous_epoch`, if at all.
    pub fn may_register(&mut self, previous_epoch: Option<BrokerEpoch>, now: Instant) {
        self.previous_epoch = previous_epoch;
        self.next = Some(now);
    }

    /// Its logs are read.
    pub fn recovered(&mut self) {
        if self.state == BrokerState::Recovery {
            self.state = BrokerState::Starting;
        }
    }

    /// It has applied the metadata up to its own registration, and could serve.
    pub fn ready_to_unfence(&mut self, now: Instant) {
        if !self.ready_to_unfence {
            self.ready_to_unfence = true;
            self.at_once(now);
        }
    }

    /// Somebody wants it to stop. Says whether it may do so without asking the controller: because it never
    /// served, or because `controlled` says that leaderships need not be moved.
    pub fn begin_shutdown(&mut self, controlled: bool, now: Instant) -> bool {
        match self.state {
            BrokerState::Running if controlled => {
                self.state = BrokerState::PendingControlledShutdown;
                self.give_up = now + LEAVE_TIMEOUT;
                self.at_once(now);
                false
            }
            BrokerState::PendingControlledShutdown | BrokerState::ShuttingDown => false,
            _ => true,
        }
    }

    /// It closes its logs.
    pub fn shutting_down(&mut self) {
        self.state = BrokerState::ShuttingDown;
        self.next = None;
    }

    /// When it wants to do something: to send, if there is a controller to send to, or to give up.
    pub fn deadline(&self, has_controller: bool) -> Option<Instant> {
        let waits = match self.state {
            BrokerState::ShuttingDown => return None,
            BrokerState::PendingControlledShutdown => Some(self.give_up),
            _ => self.epoch.is_none().then_some(self.give_up),
        };
        crate::time::earliest(self.next.filter(|_| has_controller), waits)
    }

    /// Whether it has waited too long: for its first registration, or for its leaderships to be moved.
    pub fn gives_up(&self, now: Instant) -> bool {
        let waits = match self.state {
            BrokerState::ShuttingDown => false,
            BrokerState::PendingControlledShutdown => true,
            _ => self.epoch.is_none(),
        };
        waits && now >= self.give_up
    }

    /// What to tell the controller now, if anything is due.
    pub fn due(&self, now: Instant, metadata_end: Offset) -> Option<Request> {
        if self.next.is_none_or(|at| at > now) {
            return None;
        }
        Some(match self.epoch {
            None => Request::BrokerRegistration(BrokerRegistrationRequest {
                broker: self.id,
                incarnation: self.incarnation,
                previous_broker_epoch: self.previous_epoch,
            }),
            Some(broker_epoch) => Request::BrokerHeartbeat(BrokerHeartbeatRequest {
                broker: self.id,
                broker_epoch,
                metadata_end,
                want_fence: !self.ready_to_unfence,
                want_shutdown: self.state == BrokerState::PendingControlledShutdown,
            }),
        })
    }

    /// It was told.
    pub fn sent(&mut self) {
        self.next = None;
    }

    /// The controller's answer to a registration.
    pub fn on_registration(&mut self, now: Instant, result: Result<BrokerEpoch, ErrorCode>) -> Turn {
        match result {
            Ok(epoch) => {
                self.failures = 0;
                self.epoch = Some(epoch);
                self.next = Some(now);
                Turn::Registered(epoch)
            }
            Err(_) => {
                self.failed(now);
                Turn::None
            }
        }
    }

    /// The controller's answer to a heartbeat.
    pub fn on_heartbeat(&mut self, now: Instant, result: Result<BrokerStanding, ErrorCode>) -> Turn {
        let Ok(standing) = result else {
            self.failed(now);
            return Turn::None;
        };
        self.failures = 0;
        let (turn, rest) = match self.state {
            BrokerState::Recovery => (Turn::None, STARTING_INTERVAL.min(self.interval)),
            BrokerState::Starting if self.ready_to_unfence && !standing.fenced => {
                self.state = BrokerState::Running;
                (Turn::Unfenced, self.interval)
            }
            BrokerState::Starting => (Turn::None, STARTING_INTERVAL.min(self.interval)),
            BrokerState::Running => (Turn::None, self.interval),
            BrokerState::PendingControlledShutdown if standing.may_shut_down => {
                (Turn::MayShutDown, self.interval)
            }
            BrokerState::PendingControlledShutdown => {
                let first = !core::mem::replace(&mut self.heard_while_leaving, true);
                (Turn::None, if first { LEAVING_INTERVAL.min(self.interval) } else { self.interval })
            }
            BrokerState::ShuttingDown => return Turn::None,
        };
        self.rest(now, rest);
        turn
    }

    /// Nothing was heard, or nothing good: it rests, longer each time.
    pub fn failed(&mut self, now: Instant) {
        if self.state == BrokerState::ShuttingDown {
            return;
        }
        let wait = RETRY_MIN.saturating_mul(1 << self.failures.min(10)).min(self.retry_max);
        self.failures += 1;
        self.hurry = false;
        self.next = Some(now + wait);
    }

    fn rest(&mut self, now: Instant, wait: Duration) {
        let hurry = core::mem::replace(&mut self.hurry, false);
        self.next = Some(if hurry { now } else { now + wait });
    }

    fn at_once(&mut self, now: Instant) {
        match self.next {
            Some(_) => self.next = Some(now),
            // One is in flight: the next follows at once.
            None => self.hurry = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Instant {
        Instant(millis * 1_000_000)
    }

    fn started() -> Lifecycle {
        let mut life = Lifecycle::new(NodeId::broker(1), Incarnation(9), 2 * SECOND, 9 * SECOND, 60 * SECOND);
        life.started(Instant::ZERO);
        life.may_register(Some(BrokerEpoch(3)), at(1));
        life
    }

    fn standing(fenced: bool, may_shut_down: bool) -> Result<BrokerStanding, ErrorCode> {
        Ok(BrokerStanding { caught_up: true, fenced, may_shut_down })
    }

    fn want_fence(request: Option<Request>) -> Option<bool> {
        match request? {
            Request::BrokerHeartbeat(heartbeat) => Some(heartbeat.want_fence),
            _ => None,
        }
    }

    #[test]
    fn it_registers_with_its_former_epoch_and_then_beats() {
        let mut life = started();
        let Some(Request::BrokerRegistration(request)) = life.due(at(1), Offset::ZERO) else {
            panic!("a registration is due")
        };
        assert_eq!(request.previous_broker_epoch, Some(BrokerEpoch(3)));
        life.sent();
        assert_eq!(life.due(at(99), Offset::ZERO), None, "one at a time");
        assert_eq!(life.on_registration(at(5), Ok(BrokerEpoch(8))), Turn::Registered(BrokerEpoch(8)));
        assert_eq!(want_fence(life.due(at(5), Offset::ZERO)), Some(true));
        life.sent();
        life.recovered();
        life.ready_to_unfence(at(6));
        assert_eq!(life.on_heartbeat(at(7), standing(true, false)), Turn::None);
        assert_eq!(
            want_fence(life.due(at(7), Offset::ZERO)),
            Some(false),
            "it does not wait for the interval"
        );
        life.sent();
        assert_eq!(life.on_heartbeat(at(8), standing(false, false)), Turn::Unfenced);
        assert_eq!(life.state(), BrokerState::Running);
        assert_eq!(life.deadline(true), Some(at(2008)));
    }

    #[test]
    fn failures_make_it_rest_longer() {
        let mut life = started();
        life.sent();
        life.failed(at(10));
        assert_eq!(life.deadline(true), Some(at(110)));
        life.sent();
        assert_eq!(life.on_registration(at(200), Err(ErrorCode::NotController)), Turn::None);
        assert_eq!(life.deadline(true), Some(at(400)));
    }

    #[test]
    fn it_gives_up_what_never_works() {
        let mut life = started();
        life.sent();
        assert_eq!(life.deadline(true), Some(Instant::ZERO + 60 * SECOND));
        assert!(!life.gives_up(at(59_999)) && life.gives_up(at(60_000)));
    }

    #[test]
    fn it_leaves_when_the_controller_says_so() {
        let mut life = started();
        life.sent();
        life.on_registration(at(5), Ok(BrokerEpoch(8)));
        life.recovered();
        life.ready_to_unfence(at(5));
        life.sent();
        life.on_heartbeat(at(6), standing(false, false));
        assert!(!life.begin_shutdown(true, at(50)));
        let Some(Request::BrokerHeartbeat(beat)) = life.due(at(50), Offset::ZERO) else {
            panic!("a heartbeat is due")
        };
        assert!(beat.want_shutdown);
        life.sent();
        assert_eq!(life.on_heartbeat(at(51), standing(false, false)), Turn::None);
        assert_eq!(life.due(at(100), Offset::ZERO), None);
        assert!(life.due(at(101), Offset::ZERO).is_some(), "the second follows soon");
        life.sent();
        assert_eq!(life.on_heartbeat(at(102), standing(true, true)), Turn::MayShutDown);
    }

    #[test]
    fn who_never_served_may_stop_at_once() {
        assert!(started().begin_shutdown(true, at(5)));
    }
}
