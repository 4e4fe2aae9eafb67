//! What happens next in the network?
//!
//! What happens is ordered by its time, then by whom it happens to, then by who caused it, then by that
//! one's own count: never by when somebody happened to put it here.

use std::{cmp::Reverse, collections::BinaryHeap};

use trial_model::{
    machine::{ConnectionId, Disconnect},
    protocol::{Request, Response},
    time::Instant,
    units::{CorrelationId, NodeId},
};

/// Something that reaches one machine.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A packet from `Entry::origin`.
    Packet {
        connection: ConnectionId,
        /// Whether it is for the end that accepted the connection.
        to_server: bool,
        /// How many messages its sender has received on the connection.
        received: u64,
        body: Body,
    },
    /// One of the machine's own timers for a connection with `peer`.
    Timer { peer: NodeId, connection: ConnectionId, is_server: bool, timer: Timer },
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    /// Wants to open the connection.
    Syn,
    /// Opens it.
    SynAck,
    /// A message.
    Data(CorrelationId, Message),
    /// Asks whether everything sent has arrived.
    Probe,
    /// Answers that.
    Ack,
    /// Nothing follows.
    Fin,
    /// There is no such connection, or not any more.
    Rst,
}

#[derive(Clone, Debug)]
pub(super) enum Message {
    Request(Request),
    Response(Response),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Timer {
    /// Knock again, or give up.
    Connect,
    /// Send again, or give up.
    Retransmit,
    /// Tell the process what its kernel already knows.
    Tell(Disconnect),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    at: Instant,
    owner: NodeId,
    origin: NodeId,
    nth: u64,
}

pub(super) struct Entry {
    pub(super) at: Instant,
    pub(super) owner: NodeId,
    pub(super) origin: NodeId,
    pub(super) what: What,
}

/// Everything under way. The heap moves small keys; what they stand for lies still.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<(Key, u32)>>,
    held: Vec<Option<What>>,
    free: Vec<u32>,
}

impl Queue {
    /// Lets `what` reach `owner` at `at`; it is the `nth` thing that `origin` caused.
    pub(super) fn push(&mut self, at: Instant, owner: NodeId, origin: NodeId, nth: u64, what: What) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.held[slot as usize] = Some(what);
                slot
            }
            None => {
                self.held.push(Some(what));
                u32::try_from(self.held.len() - 1).expect("fewer than 2^32 packets are under way")
            }
        };
        self.heap.push(Reverse((Key { at, owner, origin, nth }, slot)));
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((key, _))| key.at)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Entry> {
        if self.next_due()? > now {
            return None;
        }
        let Reverse((Key { at, owner, origin, .. }, slot)) = self.heap.pop()?;
        self.free.push(slot);
        let what = self.held[slot as usize].take().expect("a key stands for something held");
        Some(Entry { at, owner, origin, what })
    }
}
