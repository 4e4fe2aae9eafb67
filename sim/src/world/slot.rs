//! What belongs to one node besides the node itself?

use std::{cmp::Ordering, collections::BinaryHeap, time::Duration};

use trial_model::{
    disk::DiskReply,
    machine::Input,
    node::{Node, Role, Setup},
    rng::Rng,
    time::{Instant, Now},
    units::NodeId,
};

use super::Resident;
use crate::{clock::NodeClock, digest::Chain, disk::Disk};

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// There is none.
    Down,
    /// It runs.
    Up,
    /// It stands still, as in a long garbage collection; what arrives waits.
    Paused,
}

/// One node's place in the world.
pub struct Slot {
    pub id: NodeId,
    pub clock: NodeClock,
    pub disk: Disk,
    pub chain: Chain,
    pub life: Life,
    pub incarnation: u64,
    /// Steps taken in all lives.
    pub nth: u64,
    /// How long one step keeps a slow process busy.
    pub slow: Duration,
    /// How its clocks drift when no fault says otherwise.
    pub first_drift: i32,
    setup: Setup,
    role: Role,
    seed: u64,
    inbox: BinaryHeap<Waiting>,
    busy_until: Instant,
    deadline_taken: Option<Instant>,
}

/// What kind of input comes first within one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Start,
    Disk,
    Mail,
    Told,
}

/// An input that waits to be taken, in the order of `(due, kind, from, nth)`.
struct Waiting {
    key: (Instant, Kind, NodeId, u64),
    input: Input,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
// The heap gives the greatest first, so the order is turned round.
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key)
    }
}

impl Slot {
    pub fn new(resident: Resident) -> Slot {
        let Resident { id, role, clock, disk, setup } = resident;
        let first_drift = clock.drift_ppm();
        Slot {
            id,
            clock,
            disk,
            chain: Chain::default(),
            life: Life::Down,
            incarnation: 0,
            nth: 0,
            slow: Duration::ZERO,
            first_drift,
            seed: setup.seed,
            setup,
            role,
            inbox: BinaryHeap::new(),
            busy_until: Instant::ZERO,
            deadline_taken: None,
        }
    }

    /// The next incarnation: memory is empty, the disk holds what survived.
    pub fn bear(&mut self) -> Node {
        let mut life = Rng::named(self.seed, &format!("{}/life/{}", self.id, self.incarnation));
        let setup = Setup { seed: life.next_u64(), ..self.setup.clone() };
        Node::new(setup, self.role.clone())
    }

    /// Chance is drawn from another seed from now on; the life that goes on keeps its own.
    pub fn reseed(&mut self, seed: u64) {
        self.seed = seed;
        self.disk.reseed(seed);
    }

    /// A process begins.
    pub fn start(&mut self, now: Instant) {
        self.life = Life::Up;
        self.incarnation += 1;
        self.inbox.push(Waiting { key: (now, Kind::Start, self.id, 0), input: Input::Start });
    }

    /// The process is gone, and with it everything that waited for it.
    pub fn stop(&mut self) {
        self.life = Life::Down;
        self.inbox.clear();
        self.busy_until = Instant::ZERO;
        self.deadline_taken = None;
        self.slow = Duration::ZERO;
    }

    pub fn receive(&mut self, at: Instant, from: NodeId, nth: u64, input: Input) {
        let kind = if matches!(input, Input::Told(_)) { Kind::Told } else { Kind::Mail };
        self.inbox.push(Waiting { key: (at, kind, from, nth), input });
    }

    pub fn receive_disk(&mut self, at: Instant, nth: u64, reply: DiskReply) {
        if self.life != Life::Down {
            self.inbox.push(Waiting { key: (at, Kind::Disk, self.id, nth), input: Input::Disk(reply) });
        }
    }

    /// What happens next at `now`; or else when to look again, if nothing arrives before.
    pub fn take_input(
        &mut self,
        now: Instant,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<(Now, Input), Option<Instant>> {
        match self.life {
            Life::Down | Life::Paused => return Err(None),
            Life::Up if now < self.busy_until => return Err(Some(self.busy_until)),
            Life::Up => {}
        }
        let input = match self.inbox.pop() {
            Some(waiting) => waiting.input,
            None => match self.deadline_due(deadline()) {
                Some(due) if due <= now => {
                    self.deadline_taken = Some(now);
                    Input::Deadline
                }
                due => return Err(due),
            },
        };
        if !self.slow.is_zero() {
            self.busy_until = now + self.slow;
        }
        Ok((self.clock.now(now), input))
    }

    /// When the node's deadline is due by everybody's clock. It is given once in an instant: a node that
    /// wants it again at once gets it a microsecond later.
    fn deadline_due(&self, deadline: Option<Instant>) -> Option<Instant> {
        let due = self.clock.global_of(deadline?);
        match self.deadline_taken {
            Some(taken) if due <= taken => Some(taken + super::TICK),
            _ => Some(due),
        }
    }
}
