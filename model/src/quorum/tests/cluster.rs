//! A few members, a network and disks between them, and somebody who watches what they promise.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};

use bytes::Bytes;

use super::disk::Disk;
use crate::{
    disk::{DiskError, DiskReply, DiskRequest, FileName},
    event::Event,
    machine::{Caller, Channel, ConnectionId, Disconnect, Effects, Outgoing},
    museum::Museum,
    node::Setup,
    protocol::{Request, Response},
    quorum::{Context, Quorum, QuorumConfig},
    rng::Rng,
    time::{Instant, Now, Timestamp},
    units::{CorrelationId, LeaderEpoch, NodeId, NodeSet, Offset, Ratio},
};

/// One microsecond.
pub(super) const MICRO: u64 = 1_000;
/// One millisecond.
pub(super) const MILLI: u64 = 1_000 * MICRO;

/// What is on its way.
#[derive(Clone, Debug)]
enum Due {
    Request {
        from: NodeId,
        to: NodeId,
        connection: ConnectionId,
        correlation: CorrelationId,
        request: Request,
    },
    Response {
        to: NodeId,
        connection: ConnectionId,
        correlation: CorrelationId,
        response: Response,
    },
    Broken {
        connection: ConnectionId,
    },
    Disk {
        node: NodeId,
        life: u32,
        request: DiskRequest,
    },
    Deadline {
        node: NodeId,
        life: u32,
    },
}

/// One end of a connection is a client's `channel`.
#[derive(Clone, Copy, Debug)]
struct Connection {
    client: (NodeId, u32),
    server: (NodeId, u32),
    channel: Channel,
    open: bool,
}

/// One member with its disk and the application that folds its log.
pub(super) struct Member {
    pub(super) quorum: Quorum,
    pub(super) up: bool,
    /// What its application has, by offset.
    pub(super) applied: BTreeMap<Offset, Bytes>,
    /// Up to here.
    pub(super) end: Offset,
    pub(super) life: u32,
    pub(super) correlation: CorrelationId,
    pub(super) disk: Disk,
    pub(super) disk_busy: BTreeMap<FileName, u64>,
    pub(super) snapshot_at: u64,
    pub(super) voter_contact: BTreeMap<NodeId, u64>,
}

/// Members, what is between them, and what they have promised so far.
pub(super) struct Cluster {
    pub(super) now: u64,
    pub(super) members: BTreeMap<NodeId, Member>,
    pub(super) rng: Rng,
    /// Links that carry nothing, each way by itself.
    pub(super) cut: BTreeSet<(NodeId, NodeId)>,
    /// How many messages are lost.
    pub(super) loss: Ratio,
    /// How long a disk takes at most.
    pub(super) disk_micros: u64,
    /// Whose disk fails.
    pub(super) ailing: Option<NodeId>,
    /// The first promise that was broken.
    pub(super) broken: Option<String>,
    /// Everything that happened, for looking at one run.
    pub(super) told: Vec<(u64, NodeId, Event)>,
    pub(super) voters: NodeSet,
    pub(super) config: QuorumConfig,
    pub(super) museum: Museum,
    pub(super) seed: u64,
    agenda: BTreeMap<(u64, u64), Due>,
    nth: u64,
    connections: BTreeMap<ConnectionId, Connection>,
    link_busy: BTreeMap<(ConnectionId, bool), u64>,
    /// Who has been seen to lead which epoch.
    pub(super) leaders: BTreeMap<LeaderEpoch, NodeId>,
    /// What has been seen committed at an offset: its epoch and value.
    pub(super) committed: BTreeMap<Offset, (LeaderEpoch, Bytes)>,
    /// Everything before was committed by some leader.
    pub(super) committed_end: Offset,
    /// Which batch has been seen at an offset of an epoch.
    pub(super) appended: BTreeMap<(LeaderEpoch, Offset), u32>,
    /// What was promised to a client.
    pub(super) acked: BTreeMap<Offset, Bytes>,
    pub(super) waiting: Vec<(NodeId, u32, Offset, Bytes)>,
    pub(super) sent: u64,
}

impl Cluster {
    /// So many voters and observers, all started.
    pub(super) fn new(seed: u64, voters: u32, observers: u32, museum: Museum) -> Cluster {
        Cluster::hurried(seed, voters, observers, museum, None)
    }

    /// The same, whose voters wait for no longer than `first` before their first election.
    pub(super) fn hurried(
        seed: u64,
        voters: u32,
        observers: u32,
        museum: Museum,
        first: Option<Duration>,
    ) -> Cluster {
        let voters: NodeSet = (1..=voters).map(NodeId::controller).collect();
        let ms = Duration::from_millis;
        let config = QuorumConfig {
            election_timeout: ms(200),
            first_election_timeout: first,
            election_backoff_max: ms(200),
            fetch_timeout: ms(400),
            request_timeout: ms(400),
            retry_backoff: ms(20),
            append_linger: ms(5),
            segment_bytes: 2_000,
            retention_bytes: Some(4_000),
            max_fetch_bytes: 700,
        };
        let mut cluster = Cluster {
            now: 0,
            members: BTreeMap::new(),
            rng: Rng::named(seed, "cluster"),
            cut: BTreeSet::new(),
            loss: Ratio::NEVER,
            disk_micros: 2_000,
            ailing: None,
            broken: None,
            told: Vec::new(),
            voters: voters.clone(),
            config,
            museum,
            seed,
            agenda: BTreeMap::new(),
            nth: 0,
            connections: BTreeMap::new(),
            link_busy: BTreeMap::new(),
            leaders: BTreeMap::new(),
            committed: BTreeMap::new(),
            committed_end: Offset::ZERO,
            appended: BTreeMap::new(),
            acked: BTreeMap::new(),
            waiting: Vec::new(),
            sent: 0,
        };
        let everybody: Vec<NodeId> = voters.iter().chain((1..=observers).map(NodeId::broker)).collect();
        for id in everybody {
            let member = Member {
                quorum: cluster.newborn(id, 0),
                up: false,
                applied: BTreeMap::new(),
                end: Offset::ZERO,
                life: 0,
                correlation: CorrelationId(0),
                disk: Disk::default(),
                disk_busy: BTreeMap::new(),
                snapshot_at: 0,
                voter_contact: BTreeMap::new(),
            };
            cluster.members.insert(id, member);
            cluster.restart(id);
        }
        cluster
    }

    fn newborn(&self, id: NodeId, life: u32) -> Quorum {
        let setup = Setup {
            id,
            seed: self.seed.wrapping_mul(1_000).wrapping_add(u64::from(life)),
            museum: self.museum,
            voters: self.voters.clone(),
            bootstrap: NodeSet::new(),
        };
        Quorum::new(&setup, self.config.clone(), self.voters.clone())
    }

    /// Starts a member that is down.
    pub(super) fn restart(&mut self, id: NodeId) {
        let life = self.members[&id].life + 1;
        let quorum = self.newborn(id, life);
        let member = self.members.get_mut(&id).expect("a member");
        if member.up {
            return;
        }
        (member.quorum, member.life, member.up, member.end) = (quorum, life, true, Offset::ZERO);
        member.applied.clear();
        member.voter_contact.clear();
        self.step(id, |quorum, now, cx| quorum.start(now, cx));
    }

    /// Kills a member's process; with the power, what its disk has not flushed goes, too.
    pub(super) fn kill(&mut self, id: NodeId, power: bool) {
        let member = self.members.get_mut(&id).expect("a member");
        member.up = false;
        member.disk_busy.clear();
        if power {
            member.disk.lose_power(&mut self.rng);
        }
        let gone: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, c)| c.open && (c.client.0 == id || c.server.0 == id))
            .map(|(id, _)| *id)
            .collect();
        for connection in gone {
            self.break_connection(connection);
        }
    }

    fn break_connection(&mut self, connection: ConnectionId) {
        if let Some(c) = self.connections.get_mut(&connection) {
            c.open = false;
            let after = self.rng.between(100, 50_000) * MICRO;
            self.schedule(self.now + after, Due::Broken { connection });
        }
    }

    fn schedule(&mut self, at: u64, due: Due) {
        self.nth += 1;
        self.agenda.insert((at, self.nth), due);
    }

    /// The process is `id`'s living incarnation.
    fn lives(&self, (id, life): (NodeId, u32)) -> bool {
        self.members.get(&id).is_some_and(|m| m.up && m.life == life)
    }

    /// Lets things happen until a condition holds, looked at often; says whether it came to hold in time.
    pub(super) fn run_until(&mut self, millis: u64, holds: impl Fn(&Cluster) -> bool) -> bool {
        let until = self.now + millis * MILLI;
        while self.now < until && !holds(self) {
            self.run_to(self.now + 20 * MICRO);
        }
        holds(self)
    }

    /// Who leads in the newest epoch of those that are up.
    pub(super) fn leader(&self) -> Option<NodeId> {
        let leaders = self.members.iter().filter(|(_, m)| m.up && m.quorum.is_leader());
        leaders.max_by_key(|(_, m)| m.quorum.epoch()).map(|(id, _)| *id)
    }

    /// Lets things happen for so long.
    pub(super) fn run(&mut self, millis: u64) {
        self.run_to(self.now + millis * MILLI);
    }

    fn run_to(&mut self, until: u64) {
        while let Some(((at, _), _)) = self.agenda.first_key_value()
            && *at <= until
            && self.broken.is_none()
        {
            let ((at, _), due) = self.agenda.pop_first().expect("just seen");
            self.now = at;
            self.happen(due);
        }
        self.now = until;
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Request { from, to, connection, correlation, request } => {
                if self.connections[&connection].open && self.lives(self.connections[&connection].server) {
                    self.hear_contact(to, from, &request);
                    let caller = Caller { node: from, connection, correlation };
                    self.step(to, |quorum, now, cx| {
                        assert!(quorum.on_request(now, caller, &request, cx));
                    });
                }
            }
            Due::Response { to, connection, correlation, response } => {
                let c = self.connections[&connection];
                if c.open && self.lives(c.client) {
                    let from = c.server.0;
                    self.step(to, |quorum, now, cx| {
                        assert!(quorum.on_response(now, from, c.channel, correlation, response, cx));
                    });
                }
            }
            Due::Broken { connection } => self.tell_broken(connection),
            Due::Disk { node, life, request } => {
                if self.lives((node, life)) {
                    let member = self.members.get_mut(&node).expect("a member");
                    let mut reply: DiskReply = member.disk.perform(&request);
                    if self.ailing == Some(node) {
                        reply.outcome = Err(DiskError::Io);
                    }
                    self.step(node, |quorum, now, cx| {
                        assert!(quorum.on_disk(now, &reply, cx));
                    });
                }
            }
            Due::Deadline { node, life } => {
                let now = Instant(self.now);
                if self.lives((node, life))
                    && self.members[&node].quorum.deadline().is_some_and(|at| at <= now)
                {
                    self.step(node, |quorum, now, cx| quorum.on_deadline(now, cx));
                }
            }
        }
    }

    fn tell_broken(&mut self, connection: ConnectionId) {
        let c = self.connections[&connection];
        if self.lives(c.client) {
            self.step(c.client.0, |quorum, now, cx| {
                quorum.on_disconnected(now, c.server.0, c.channel, Disconnect::Reset, cx);
            });
        }
        if self.lives(c.server) {
            self.step(c.server.0, |quorum, _, _| quorum.on_closed(connection));
        }
    }

    /// Has a living member do something, carries out what it wants and looks at what it says.
    pub(super) fn step(&mut self, id: NodeId, act: impl FnOnce(&mut Quorum, Now, &mut Context<'_>)) {
        let now = self.clocks();
        let member = self.members.get_mut(&id).expect("a member");
        let mut effects = Effects::new();
        let was = member.quorum.deadline();
        act(
            &mut member.quorum,
            now,
            &mut Context { effects: &mut effects, correlation: &mut member.correlation },
        );
        self.poll(id, &mut effects);
        let member = &self.members[&id];
        let (life, is) = (member.life, member.quorum.deadline());
        if effects.halt.is_some() {
            self.members.get_mut(&id).expect("a member").up = false;
        }
        self.judge(id, &effects.events);
        self.told.extend(effects.events.drain(..).map(|event| (self.now, id, event)));
        for request in effects.disk.drain(..) {
            self.disk_work(id, life, request);
        }
        for outgoing in effects.mail.drain(..) {
            self.mail(id, life, outgoing);
        }
        if let Some(at) = is
            && is != was
        {
            self.schedule(at.0.max(self.now).div_ceil(MICRO) * MICRO, Due::Deadline { node: id, life });
        }
    }

    pub(super) fn clocks(&self) -> Now {
        Now { monotonic: Instant(self.now), wall: Timestamp((self.now / MILLI) as i64) }
    }

    fn disk_work(&mut self, id: NodeId, life: u32, request: DiskRequest) {
        let lasts = self.rng.between(10, self.disk_micros) * MICRO;
        let member = self.members.get_mut(&id).expect("a member");
        let busy = member.disk_busy.entry(request.file).or_default();
        let at = (*busy).max(self.now) + lasts;
        *busy = at;
        self.schedule(at, Due::Disk { node: id, life, request });
    }

    fn mail(&mut self, id: NodeId, life: u32, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Request { to, channel, correlation, request } => {
                let connection = self.connection_of((id, life), to, channel);
                let due = Due::Request { from: id, to, connection, correlation, request };
                self.send((id, to), connection, false, due);
            }
            Outgoing::Reply { to, connection, correlation, response } => {
                let due = Due::Response { to, connection, correlation, response };
                self.send((id, to), connection, true, due);
            }
            Outgoing::Disconnect { peer, channel } => {
                for c in self.connections.values_mut() {
                    c.open &= !(c.client.0 == id && c.server.0 == peer && c.channel == channel);
                }
            }
            Outgoing::Close { connection } => self.break_connection(connection),
        }
    }

    fn connection_of(&mut self, client: (NodeId, u32), to: NodeId, channel: Channel) -> ConnectionId {
        let server = (to, self.members[&to].life);
        let open = self
            .connections
            .iter()
            .find(|(_, c)| c.open && c.client == client && c.server == server && c.channel == channel);
        if let Some((id, _)) = open {
            return *id;
        }
        let id = ConnectionId(self.connections.len() as u64);
        self.connections.insert(id, Connection { client, server, channel, open: true });
        id
    }

    fn send(&mut self, (from, to): (NodeId, NodeId), connection: ConnectionId, back: bool, due: Due) {
        let lost = self.rng.chance(self.loss);
        let refused = !back && !self.members[&to].up;
        if self.cut.contains(&(from, to)) || lost || refused {
            // Sometimes a reset comes, sometimes nothing ever does.
            if refused || self.rng.chance(Ratio(1, 3)) {
                self.break_connection(connection);
            }
            return;
        }
        let lasts = self.rng.between(50, 3_000) * MICRO;
        let busy = self.link_busy.entry((connection, back)).or_default();
        let at = (*busy).max(self.now + lasts) + MICRO;
        *busy = at;
        self.schedule(at, due);
    }

    /// Everything is well again.
    pub(super) fn heal(&mut self) {
        self.cut.clear();
        self.loss = Ratio::NEVER;
        self.disk_micros = 2_000;
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            self.restart(id);
        }
    }

    /// A client has whoever leads append something.
    pub(super) fn send_one(&mut self) {
        let ids: Vec<NodeId> = self.members.iter().filter(|(_, m)| m.up).map(|(id, _)| *id).collect();
        for id in ids {
            let many = self.rng.between(1, 4);
            if !self.members[&id].quorum.has_committed_own_epoch() {
                continue;
            }
            let values: Vec<Bytes> = (0..many).map(|n| format!("{}-{n}", self.sent).into()).collect();
            self.sent += 1;
            let (mut range, given) = (None, values.clone());
            self.step(id, |quorum, now, cx| range = quorum.append(now, given, cx).ok());
            if let Some(range) = range {
                let life = self.members[&id].life;
                let at = |n: usize| Offset(range.start.0 + n as u64);
                self.waiting
                    .extend(values.into_iter().enumerate().map(|(n, value)| (id, life, at(n), value)));
            }
        }
    }
}
