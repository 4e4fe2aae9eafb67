//! When does which message reach whom, and what does a node learn of those that do not arrive?

mod fault;
mod link;
mod connection;
mod codec;
mod queue;

use std::{collections::BTreeMap, time::Duration};

use trial_model::{
    machine::{Channel, ConnectionId, Input, Outgoing},
    time::Instant,
    units::{NodeId, NodeSet, Ratio},
};

pub use self::fault::{FaultId, LinkFault, LinkFaultKind, Side};
use self::{
    codec::Codec,
    link::{Link, Wire},
    queue::{Entry, Queue, What, pack, unpack},
};
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

/// How one link behaves that is unlike the others; `None` is as on every link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkConfig {
    /// How long a message is under way, besides its bytes.
    pub latency: Option<Latency>,
    /// How likely a transmission is lost.
    pub loss: Option<Ratio>,
    /// How many bytes a second it carries.
    pub bandwidth: Option<u64>,
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
/// at one instant may come in any order and give the same. A node that sends to a peer before it takes
/// notice of a `Disconnected` that was delivered to it at the same instant sends on a new connection.
#[derive(Clone, Debug)]
pub struct Network {
    seed: u64,
    config: NetworkConfig,
    /// Set where messages go as bytes.
    codec: Option<Codec>,
    queue: Queue,
    /// In the order in which they were first heard of, which means nothing.
    machines: Vec<Machine>,
    /// Where a node's machine stands, by role and number.
    places: [Vec<Option<u32>>; 3],
    /// Links that are unlike the others.
    unlike: BTreeMap<(NodeId, NodeId), LinkConfig>,
    faults: BTreeMap<FaultId, LinkFault>,
    /// How often the faults have changed.
    faults_version: u64,
}

/// A shorter pause between retransmissions would only keep the simulation busy.
const LEAST_RETRANSMIT: Duration = Duration::from_millis(1);

/// One machine's kernel.
#[derive(Clone, Debug)]
struct Machine {
    node: NodeId,
    power: Power,
    /// How many things it has caused.
    caused: u64,
    /// By the peer's place.
    links: Vec<Option<Box<Link>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    /// A process runs, and listens.
    Running,
    /// The kernel runs.
    Idle,
    /// Nothing does.
    Off,
}

impl Network {
    /// A network in which nobody runs yet: every process is announced with `process_started`.
    pub fn new(seed: u64, config: NetworkConfig) -> Network {
        // Timers must ring on the grid, and not at once.
        let on_grid = |wait: Duration| {
            Duration::from_micros(u64::try_from(wait.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX).max(1))
        };
        Network {
            seed,
            config: NetworkConfig {
                connect_timeout: on_grid(config.connect_timeout),
                retransmit_after: on_grid(config.retransmit_after).max(LEAST_RETRANSMIT),
                give_up_after: on_grid(config.give_up_after),
                ..config
            },
            codec: None,
            queue: Queue::default(),
            machines: Vec::new(),
            places: Default::default(),
            unlike: BTreeMap::new(),
            faults: BTreeMap::new(),
            faults_version: 0,
        }
    }

    /// Has every message between `nodes` go as a frame of Kafka's from now on, in versions that are drawn for each
    /// connection. What happens stays the same; a message that does not arrive as it was sent is a panic.
    pub fn speak_kafka(&mut self, nodes: &[NodeId]) {
        self.codec = Some(Codec::new(self.seed, nodes));
    }

    /// Makes every link from a node of `from` to another of `to` unlike the others, before anything is sent
    /// on it. Of two calls for one link the later decides.
    pub fn set_links(&mut self, from: &NodeSet, to: &NodeSet, config: LinkConfig) {
        let ways = from.iter().flat_map(|from| to.iter().map(move |to| (from, to)));
        self.unlike.extend(ways.filter(|(from, to)| from != to).map(|way| (way, config)));
    }

    /// Draws from another seed from now on; what is under way arrives when it was to arrive.
    pub fn reseed(&mut self, seed: u64) {
        self.seed = seed;
        let nodes: Vec<NodeId> = self.machines.iter().map(|machine| machine.node).collect();
        for machine in &mut self.machines {
            for (peer, link) in machine.links.iter_mut().enumerate() {
                link.iter_mut().for_each(|link| link.reseed(seed, machine.node, nodes[peer]));
            }
        }
    }

    /// Takes one message of a node's step at `now`. A node that does not run sends nothing.
    pub fn send(&mut self, now: Instant, from: NodeId, message: Outgoing) {
        let peer = match &message {
            Outgoing::Request { to, .. } | Outgoing::Reply { to, .. } => *to,
            Outgoing::Disconnect { peer, .. } => *peer,
            Outgoing::Close { connection } => client_of(*connection),
        };
        let (me, peer) = (self.place(from), self.place(peer));
        if self.machines[me].power != Power::Running {
            return;
        }
        let (link, mut wire) = self.link(now, me, peer);
        match message {
            Outgoing::Request { channel, correlation, request, .. } => {
                link.request(&mut wire, channel, correlation, request);
            }
            Outgoing::Reply { connection, correlation, response, .. } => {
                link.respond(&mut wire, connection, correlation, response);
            }
            Outgoing::Disconnect { channel, .. } => link.disconnect(&mut wire, channel),
            Outgoing::Close { connection } => link.close_accepted(&mut wire, connection),
        }
    }

    /// When the network next wants `advance`.
    pub fn next_due(&self) -> Option<Instant> {
        self.queue.next_due()
    }

    /// Lets everything happen that is due up to `now`, and adds to `deliveries` what the nodes are told of
    /// it: in order of time, then of the receiver; what one peer has for one receiver in order of `nth`.
    pub fn advance(&mut self, now: Instant, deliveries: &mut Vec<Delivery>) {
        while let Some(Entry { at, owner, origin, what }) = self.queue.pop_due(now) {
            let me = self.place(owner);
            let power = self.machines[me].power;
            if power == Power::Off {
                continue;
            }
            let from = match &what {
                What::Packet { .. } => origin,
                What::Timer { peer, .. } => *peer,
            };
            let peer = self.place(from);
            let (link, mut wire) = self.link(at, me, peer);
            let input = match what {
                What::Packet { connection, to_server, received, body } => {
                    let is_listening = power == Power::Running;
                    link.receive(&mut wire, connection, to_server, received, body, is_listening)
                }
                What::Timer { connection, is_server, timer, .. } => {
                    link.ring(&mut wire, connection, is_server, timer)
                }
            };
            if let Some(input) = input {
                link.told += 1;
                deliveries.push(Delivery { at, to: owner, from, nth: link.told, input });
            }
        }
    }

    /// A process ended, its machine lives: the kernel sends what it still has, closes its connections, and
    /// refuses new ones.
    pub fn process_stopped(&mut self, now: Instant, node: NodeId) {
        let me = self.place(node);
        if self.machines[me].power != Power::Running {
            return;
        }
        self.machines[me].power = Power::Idle;
        for peer in self.peers(me) {
            let (link, mut wire) = self.link(now, me, peer);
            link.close_all(&mut wire);
        }
    }

    /// A machine lost its power: it forgets its connections and tells nobody. It knocks and answers again
    /// from the next `process_started` on.
    pub fn power_lost(&mut self, _now: Instant, node: NodeId) {
        let me = self.place(node);
        self.machines[me].power = Power::Off;
        self.machines[me].links.iter_mut().flatten().for_each(|link| link.forget_all());
    }

    /// A process started, and listens.
    pub fn process_started(&mut self, _now: Instant, node: NodeId) {
        let me = self.place(node);
        self.machines[me].power = Power::Running;
    }

    /// From `fault.since`, which is now, `fault` is on. A fault of the same name that was on before is off.
    pub fn begin(&mut self, id: FaultId, fault: LinkFault) {
        if fault.kind == LinkFaultKind::ResetAll {
            self.reset_all(&fault);
        }
        self.faults.insert(id, fault);
        self.faults_version += 1;
    }

    /// From `now` on, the fault `id` is off. Says whether it was on.
    pub fn end(&mut self, id: FaultId, _now: Instant) -> bool {
        self.faults_version += 1;
        self.faults.remove(&id).is_some()
    }

    fn reset_all(&mut self, fault: &LinkFault) {
        let ways = fault.from.iter().flat_map(|from| fault.to.iter().map(move |to| (from, to)));
        for (from, to) in ways.filter(|(from, to)| from != to) {
            for (me, peer) in [(from, to), (to, from)] {
                let (me, peer) = (self.place(me), self.place(peer));
                let (link, mut wire) = self.link(fault.since, me, peer);
                link.reset_all(&mut wire);
            }
        }
    }

    /// Where `node`'s machine stands; makes one if it is new.
    #[inline]
    fn place(&mut self, node: NodeId) -> usize {
        let of_role = &mut self.places[node.role() as usize];
        let nth = node.nth() as usize;
        match of_role.get(nth) {
            Some(Some(place)) => *place as usize,
            _ => self.new_place(node),
        }
    }

    #[cold]
    fn new_place(&mut self, node: NodeId) -> usize {
        let place = self.machines.len();
        let of_role = &mut self.places[node.role() as usize];
        let nth = node.nth() as usize;
        if of_role.len() <= nth {
            of_role.resize(nth + 1, None);
        }
        of_role[nth] = Some(place as u32);
        self.machines.push(Machine { node, power: Power::Idle, caused: 0, links: Vec::new() });
        place
    }

    /// The link from one machine to another, with its faults as of now.
    #[inline]
    fn link(&mut self, now: Instant, me: usize, peer: usize) -> (&mut Link, Wire<'_>) {
        let peer_id = self.machines[peer].node;
        let Machine { node, caused, links, .. } = &mut self.machines[me];
        if links.len() <= peer {
            links.resize_with(peer + 1, || None);
        }
        let link = links[peer].get_or_insert_with(|| {
            let unlike = self.unlike.get(&(*node, peer_id)).copied().unwrap_or_default();
            Box::new(Link::new(self.seed, *node, peer_id, &self.config, unlike))
        });
        if !link.knows_faults(self.faults_version) {
            link.learn_faults(self.faults_version, self.faults.iter(), self.seed, *node, peer_id);
        }
        let wire = Wire {
            now,
            me: *node,
            peer: peer_id,
            config: &self.config,
            codec: self.codec.as_ref(),
            queue: &mut self.queue,
            caused,
        };
        (link, wire)
    }

    /// The places of everyone a machine knows, in the order of their names.
    fn peers(&self, me: usize) -> Vec<usize> {
        let links = self.machines[me].links.iter().enumerate();
        let mut peers: Vec<usize> = links.filter(|(_, link)| link.is_some()).map(|(peer, _)| peer).collect();
        peers.sort_by_key(|peer| self.machines[*peer].node);
        peers
    }
}

/// The name of the `nth` connection that `from` opens to `to` on `channel`: 16 bits for each node, 4 for
/// the channel and 28 for the count.
fn connection_id(from: NodeId, to: NodeId, channel: Channel, nth: u64) -> ConnectionId {
    assert!(channel.0 < 1 << 4, "a node has few channels");
    assert!(nth < 1 << 28, "a node opens fewer than 2^28 connections on one channel");
    ConnectionId(pack(from) << 48 | pack(to) << 32 | u64::from(channel.0) << 28 | nth)
}

fn client_of(connection: ConnectionId) -> NodeId {
    unpack(connection.0 >> 48)
}

/// On which of its client's channels a connection is.
pub(crate) fn channel_of(connection: ConnectionId) -> Channel {
    Channel((connection.0 >> 28 & 0xf) as u8)
}

#[cfg(test)]
mod tests;
