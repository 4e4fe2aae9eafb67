//! What becomes of one packet between two machines?

use trial_model::{
    machine::ConnectionId,
    protocol::ApiKey,
    rng::Rng,
    time::Instant,
    units::{NodeId, Ratio},
};

use super::{
    LinkConfig, NetworkConfig,
    codec::Codec,
    connection::Connection,
    fault::{FaultId, LinkFault, LinkFaultKind, Side},
    queue::{Body, Queue, What},
};
use crate::latency::Latency;

/// Everything one machine has about one peer: the way there, and its ends of their connections.
///
/// Only its owner's doings change it, so it does not matter what another machine does at the same instant.
#[derive(Clone, Debug)]
pub(super) struct Link {
    rng: Rng,
    latency: Latency,
    loss: Ratio,
    /// Bytes a second; zero is without bound.
    bandwidth: u64,
    /// Until when the wire is taken by bytes already sent, in nanoseconds.
    busy_until: u64,
    faults: Vec<FaultHere>,
    faults_as_of: u64,
    pub(super) connections: Vec<Connection>,
    /// How many connections the owner has opened on each channel.
    pub(super) opens: Vec<(u8, u64)>,
    /// How many inputs the owner has got from the peer or about it.
    pub(super) told: u64,
}

/// A fault as this link has it, with its own dice.
#[derive(Clone, Debug)]
struct FaultHere {
    id: FaultId,
    kind: LinkFaultKind,
    rng: Rng,
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Arrives then, if nothing before it on its connection is later.
    Arrives(Instant),
    /// Is lost; another attempt may do better.
    Lost,
    /// Is lost, and so is every further attempt.
    LostForGood,
    /// Is lost, and its connection is reset.
    Resets,
}

/// The owner's hand on the world while something happens to one of its links.
pub(super) struct Wire<'a> {
    pub(super) now: Instant,
    pub(super) me: NodeId,
    pub(super) peer: NodeId,
    pub(super) config: &'a NetworkConfig,
    /// Set where messages go as bytes.
    pub(super) codec: Option<&'a Codec>,
    pub(super) queue: &'a mut Queue,
    /// How many things the owner has caused.
    pub(super) caused: &'a mut u64,
}

impl Wire<'_> {
    /// Lets something reach the peer.
    pub(super) fn put(&mut self, at: Instant, what: What) {
        assert!(at > self.now, "nothing reaches another machine at once");
        *self.caused += 1;
        self.queue.push(at, self.peer, self.me, *self.caused, what);
    }

    /// Lets something reach the owner itself.
    pub(super) fn remind(&mut self, at: Instant, what: What) {
        assert!(at > self.now, "a reminder is for later");
        *self.caused += 1;
        self.queue.push(at, self.me, self.me, *self.caused, what);
    }
}

/// What a packet without a message takes on the wire.
pub(super) const BARE: usize = 60;

impl Link {
    pub(super) fn new(
        seed: u64,
        from: NodeId,
        to: NodeId,
        config: &NetworkConfig,
        unlike: LinkConfig,
    ) -> Link {
        Link {
            rng: Rng::named(seed, &format!("link/{from}→{to}")),
            latency: unlike.latency.unwrap_or(config.latency),
            loss: unlike.loss.unwrap_or(config.loss),
            bandwidth: unlike.bandwidth.or(config.bandwidth).unwrap_or(0),
            busy_until: 0,
            faults: Vec::new(),
            faults_as_of: 0,
            connections: Vec::new(),
            opens: Vec::new(),
            told: 0,
        }
    }

    /// Draws from another seed from now on.
    pub(super) fn reseed(&mut self, seed: u64, from: NodeId, to: NodeId) {
        self.rng = Rng::named(seed, &format!("link/{from}→{to}"));
        for FaultHere { id, rng, .. } in &mut self.faults {
            *rng = Rng::named(seed, &format!("fault/{}/{from}→{to}", id.0));
        }
    }

    /// Whether it knows of every fault up to a version of the plan.
    #[inline]
    pub(super) fn knows_faults(&self, version: u64) -> bool {
        self.faults_as_of == version
    }

    /// Takes over which faults are on. One that was on before goes on with its dice.
    pub(super) fn learn_faults<'a>(
        &mut self,
        version: u64,
        all: impl Iterator<Item = (&'a FaultId, &'a LinkFault)>,
        seed: u64,
        from: NodeId,
        to: NodeId,
    ) {
        let mut before = std::mem::take(&mut self.faults);
        for (id, fault) in all.filter(|(_, fault)| fault.is_on(from, to)) {
            let known = before
                .iter()
                .position(|known| (known.id, known.kind) == (*id, fault.kind))
                .map(|at| before.swap_remove(at));
            self.faults.push(known.unwrap_or_else(|| FaultHere {
                id: *id,
                kind: fault.kind,
                rng: Rng::named(seed, &format!("fault/{}/{from}→{to}", id.0)),
            }));
        }
        self.faults_as_of = version;
    }

    /// Decides about one transmission.
    pub(super) fn carry(&mut self, now: Instant, size: usize, about: Option<(ApiKey, Side)>) -> Fate {
        let mut travel = self.latency.draw_nanos(&mut self.rng);
        let mut bandwidth = self.bandwidth;
        if self.loss.0 > 0 && self.rng.chance(self.loss) {
            return Fate::Lost;
        }
        if !self.faults.is_empty()
            && let Some(fate) = self.suffer(about, &mut travel, &mut bandwidth)
        {
            return fate;
        }
        let sending = match bandwidth {
            0 => 0,
            bandwidth => (size as u64).saturating_mul(1_000_000_000) / bandwidth,
        };
        self.busy_until = self.busy_until.max(now.0).saturating_add(sending);
        Fate::Arrives(on_grid(self.busy_until.saturating_add(travel)))
    }

    fn suffer(
        &mut self,
        about: Option<(ApiKey, Side)>,
        travel: &mut u64,
        bandwidth: &mut u64,
    ) -> Option<Fate> {
        let mut fate = None;
        for FaultHere { kind, rng, .. } in &mut self.faults {
            // Each fault throws its own dice even if another has already decided, so that taking one out of
            // a plan does not move the others'.
            let suffered = match *kind {
                LinkFaultKind::Cut => Some(Fate::Lost),
                LinkFaultKind::Lossy(chance) => rng.chance(chance).then_some(Fate::Lost),
                LinkFaultKind::Drop { api, side, chance } if about == Some((api, side)) => {
                    rng.chance(chance).then_some(Fate::LostForGood)
                }
                LinkFaultKind::Reset(chance) if about.is_some() => rng.chance(chance).then_some(Fate::Resets),
                LinkFaultKind::Slow(by) => {
                    *travel = travel.saturating_add(nanos(by));
                    None
                }
                LinkFaultKind::Delay { api, side, chance, by } if about == Some((api, side)) => {
                    if rng.chance(chance) {
                        *travel = travel.saturating_add(nanos(by));
                    }
                    None
                }
                LinkFaultKind::Bandwidth(limit) => {
                    *bandwidth = if *bandwidth == 0 { limit.max(1) } else { limit.max(1).min(*bandwidth) };
                    None
                }
                LinkFaultKind::Drop { .. }
                | LinkFaultKind::Reset(_)
                | LinkFaultKind::Delay { .. }
                | LinkFaultKind::ResetAll => None,
            };
            fate = fate.or(suffered);
        }
        fate
    }

    /// Sends a packet that belongs to no connection we have: nobody sends it again.
    pub(super) fn send_stray(
        &mut self,
        wire: &mut Wire<'_>,
        connection: ConnectionId,
        to_server: bool,
        body: Body,
    ) {
        if let Fate::Arrives(at) = self.carry(wire.now, BARE, None) {
            wire.put(at, What::Packet { connection, to_server, received: 0, body });
        }
    }

    /// Sends a packet without a message on a connection; says whether it will arrive.
    pub(super) fn send_bare(&mut self, wire: &mut Wire<'_>, at: usize, body: Body) -> bool {
        let Fate::Arrives(arrival) = self.carry(wire.now, BARE, None) else { return false };
        self.put_in_order(wire, at, arrival, body);
        true
    }

    /// Puts a packet on the wire behind everything that went before it on its connection.
    pub(super) fn put_in_order(&mut self, wire: &mut Wire<'_>, at: usize, arrival: Instant, body: Body) {
        let connection = &mut self.connections[at];
        connection.last_arrival = connection.last_arrival.max(arrival);
        let what = What::Packet {
            connection: connection.id,
            to_server: !connection.is_server,
            received: connection.received,
            body,
        };
        wire.put(connection.last_arrival, what);
    }
}

/// The first moment of the grid at or after `nanos`.
#[inline]
fn on_grid(nanos: u64) -> Instant {
    Instant(nanos.saturating_add(999) / 1_000 * 1_000)
}

pub(super) fn nanos(length: std::time::Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}
