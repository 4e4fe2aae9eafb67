//! What happens next in the network?
//!
//! What happens is ordered by its time, then by whom it happens to, then by who caused it, then by that
//! one's own count: never by when somebody happened to put it here.

use std::{cmp::Reverse, collections::BinaryHeap};

use trial_model::{
    machine::{ConnectionId, Disconnect},
    protocol::{Request, Response},
    time::Instant,
    units::{CorrelationId, NodeId, NodeRole},
};

use super::codec::Framed;

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
    /// Either, as bytes.
    Framed(Box<Framed>),
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

/// The order of everything, in one number: 44 bits for the microsecond, 16 for the owner, 16 for the origin,
/// 52 for the origin's count. What is further off than half a year is due then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u128);

impl Key {
    const LAST: u64 = (1 << 44) - 1;

    fn new(at: Instant, owner: NodeId, origin: NodeId, nth: u64) -> Key {
        let micros = at.micros_up().min(Key::LAST);
        let who = pack(owner) << 16 | pack(origin);
        Key(u128::from(micros << 20 | who >> 12) << 64 | u128::from(who << 52 | nth))
    }

    fn at(self) -> Instant {
        Instant((self.0 >> 84) as u64 * 1_000)
    }

    fn owner(self) -> NodeId {
        unpack((self.0 >> 68) as u64 & 0xffff)
    }

    fn origin(self) -> NodeId {
        unpack((self.0 >> 52) as u64 & 0xffff)
    }
}

/// A node in 16 bits, in the order of nodes.
pub(super) fn pack(node: NodeId) -> u64 {
    assert!(node.nth() < 1 << 14, "there are fewer than 2^14 nodes of one role");
    (node.role() as u64) << 14 | u64::from(node.nth())
}

pub(super) fn unpack(packed: u64) -> NodeId {
    const BROKER: u64 = NodeRole::Broker as u64;
    const CONTROLLER: u64 = NodeRole::Controller as u64;
    let nth = (packed & 0x3fff) as u32;
    match packed >> 14 {
        BROKER => NodeId::broker(nth),
        CONTROLLER => NodeId::controller(nth),
        _ => NodeId::client(nth),
    }
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
        self.heap.push(Reverse((Key::new(at, owner, origin, nth), slot)));
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((key, _))| key.at())
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Entry> {
        if self.next_due()? > now {
            return None;
        }
        let Reverse((key, slot)) = self.heap.pop()?;
        self.free.push(slot);
        let what = self.held[slot as usize].take().expect("a key stands for something held");
        Some(Entry { at: key.at(), owner: key.owner(), origin: key.origin(), what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_parts_and_their_order() {
        let nodes = [NodeId::broker(1), NodeId::broker(9_999), NodeId::controller(1), NodeId::client(16_383)];
        let mut keys = Vec::new();
        for at in [0, 1_000, 3_600_000_000_000] {
            for owner in nodes {
                for origin in nodes {
                    for nth in [0, 1, (1 << 52) - 1] {
                        let key = Key::new(Instant(at), owner, origin, nth);
                        assert_eq!((key.at(), key.owner(), key.origin()), (Instant(at), owner, origin));
                        keys.push(key);
                    }
                }
            }
        }
        assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(Key::new(Instant::FOREVER, nodes[0], nodes[0], 0) > keys[keys.len() - 1]);
    }
}
