//! When does which message reach whom, and what does a node learn of those that do not arrive?

mod fault;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use trial_model::{
    machine::{Channel, ConnectionId, Input, Outgoing},
    time::Instant,
    units::{NodeId, Ratio},
};

pub use self::fault::{FaultId, LinkFault, LinkFaultKind, Side};
use crate::latency::Latency;

/// How the network behaves when nothing is wrong with it, and how TCP copes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// How long a message is under way, besides its bytes.
    pub latency: Latency,
    /// How likely a transmission is lost.
    pub loss: Ratio,
    /// How many bytes a second a link carries; `None` is without bound.
    pub bandwidth: Option<u64>,
    /// How long a connection may take to be opened: `socket.connection.setup.timeout.ms`.
    pub connect_timeout: Duration,
    /// After how long TCP first sends again what was not acknowledged; doubled each time.
    pub retransmit_after: Duration,
    /// After how long without an acknowledgement TCP gives a connection up.
    pub give_up_after: Duration,
}

impl Default for NetworkConfig {
    /// A data centre: half a millisecond, one gigabit a second. TCP gives up after 15 seconds rather than
    /// Linux's quarter of an hour, so that simulations see it.
    fn default() -> NetworkConfig {
        NetworkConfig {
            latency: Latency::new(
                Duration::from_micros(100),
                Duration::from_micros(500),
                Duration::from_millis(20),
            ),
            loss: Ratio::NEVER,
            bandwidth: Some(125_000_000),
            connect_timeout: Duration::from_secs(10),
            retransmit_after: Duration::from_millis(200),
            give_up_after: Duration::from_secs(15),
        }
    }
}

/// One input that the network has for a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When.
    pub at: Instant,
    /// For whom.
    pub to: NodeId,
    /// The peer that it comes from or is about.
    pub from: NodeId,
    /// Orders what is due to one node from one peer at one instant.
    pub nth: u64,
    /// What the node is told.
    pub input: Input,
}

/// The network between all nodes, with the TCP stack of every machine.
///
/// At one instant, call `advance` first and then `send` for whatever the nodes want; different nodes' calls
/// at one instant may come in any order and give the same.
#[derive(Debug)]
pub struct Network {
    config: NetworkConfig,
    due: BinaryHeap<Reverse<(Instant, NodeId, NodeId, u64)>>,
    bodies: BTreeMap<(Instant, NodeId, NodeId, u64), Input>,
    counters: BTreeMap<(NodeId, NodeId), u64>,
}

impl Network {
    /// A network in which nobody runs yet: every process is announced with `process_started`.
    pub fn new(_seed: u64, config: NetworkConfig) -> Network {
        Network { config, due: BinaryHeap::new(), bodies: BTreeMap::new(), counters: BTreeMap::new() }
    }

    /// Takes one message of a node's step at `now`.
    pub fn send(&mut self, now: Instant, from: NodeId, message: Outgoing) {
        let (to, input) = match message {
            Outgoing::Request { to, channel, correlation, request } => {
                let connection = connection_id(from, to, channel);
                (to, Input::Request { from, connection, correlation, request })
            }
            Outgoing::Reply { to, connection, correlation, response } => {
                let channel = Channel((connection.0 & 0xff) as u8);
                (to, Input::Response { from, channel, correlation, response })
            }
            Outgoing::Disconnect { peer, channel } => {
                (peer, Input::Closed { connection: connection_id(from, peer, channel) })
            }
            Outgoing::Close { .. } => return,
        };
        let at = now + self.config.latency.mean();
        let nth = self.counters.entry((from, to)).or_default();
        *nth += 1;
        self.due.push(Reverse((at, to, from, *nth)));
        self.bodies.insert((at, to, from, *nth), input);
    }

    /// When the network next wants `advance`.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, ..))| *at)
    }

    /// Lets everything happen that is due up to `now`, and adds to `deliveries` what the nodes are told of
    /// it: in order of time, receiver, sender and `nth`.
    pub fn advance(&mut self, now: Instant, deliveries: &mut Vec<Delivery>) {
        while self.next_due().is_some_and(|at| at <= now) {
            let Some(Reverse(key)) = self.due.pop() else { return };
            let Some(input) = self.bodies.remove(&key) else { continue };
            let (at, to, from, nth) = key;
            deliveries.push(Delivery { at, to, from, nth, input });
        }
    }

    /// A process ended, its machine lives: the kernel closes its connections, and refuses new ones.
    pub fn process_stopped(&mut self, _now: Instant, _node: NodeId) {}

    /// A machine lost its power: it forgets its connections and tells nobody.
    pub fn power_lost(&mut self, _now: Instant, _node: NodeId) {}

    /// A process started, and listens.
    pub fn process_started(&mut self, _now: Instant, _node: NodeId) {}

    /// From now on, `fault` is on.
    pub fn begin(&mut self, _id: FaultId, _fault: LinkFault) {}

    /// From `now` on, the fault `id` is off. Says whether it was on.
    pub fn end(&mut self, _id: FaultId, _now: Instant) -> bool {
        false
    }
}

fn connection_id(from: NodeId, to: NodeId, channel: Channel) -> ConnectionId {
    ConnectionId((u64::from(from.0) << 40) | (u64::from(to.0) << 16) | u64::from(channel.0))
}
