//! How do the controllers agree on one log, and how does everybody else follow it?
//!
//! KRaft (KIP-595): voters elect a leader, who appends; everyone fetches from it. A record is committed once
//! a majority of voters has it on the platter. Brokers run the same code as observers: they never vote.

//!
//! Kafka's raft client is one thread that does its disk work in line. So is this: while something is on its
//! way to the platter that must be there before anything else (a vote, an epoch, appended records), inputs
//! wait in `inbox`, and what was decided but is not durable yet is `held` back. One step then is
//! [`Quorum::pump`]: take inputs, do what is due, ask what there is to ask.

mod step;
mod role;
mod election;
mod leader;
mod replication;
mod high_watermark;
mod snapshot;
mod delivery;
mod loading;
mod state_file;
mod replacement;
mod peers;
#[cfg(test)]
mod tests;

use alloc::{collections::VecDeque, format, vec::Vec};
use core::time::Duration;

pub use self::delivery::Committed;
use self::{
    delivery::Delivery,
    loading::Loading,
    peers::Peers,
    replication::Readers,
    role::Role,
    snapshot::Snapshots,
    state_file::{Election, StateFile},
};
use crate::{
    config::{BrokerConfig, ControllerConfig},
    disk::{Dir, DiskError, DiskReply, DiskWork, FileKind},
    event::Event,
    log::{Log, config::LogConfig},
    machine::{Caller, Channel, ConnectionId, Disconnect, Effects},
    museum::{Bug, Museum},
    node::Setup,
    protocol::{Request, Response},
    rng::Rng,
    time::{Instant, Now},
    units::{CorrelationId, LeaderEpoch, NodeId, NodeSet, Offset, TopicPartition},
};

/// A segment of the metadata log has at least room for a leader change.
const MIN_SEGMENT: u64 = 1 << 10;

/// What a quorum member is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumConfig {
    /// `controller.quorum.election.timeout.ms`
    pub election_timeout: Duration,
    /// How long at first a voter waits for a leader that has never heard of an epoch, if less than
    /// `election_timeout`: `controller.quorum.first.election.timeout.ms`
    pub first_election_timeout: Option<Duration>,
    /// `controller.quorum.election.backoff.max.ms`
    pub election_backoff_max: Duration,
    /// `controller.quorum.fetch.timeout.ms`
    pub fetch_timeout: Duration,
    /// `controller.quorum.request.timeout.ms`
    pub request_timeout: Duration,
    /// `controller.quorum.retry.backoff.ms`
    pub retry_backoff: Duration,
    /// `controller.quorum.append.linger.ms`
    pub append_linger: Duration,
    /// `metadata.log.segment.bytes`
    pub segment_bytes: u64,
    /// `metadata.max.retention.bytes`
    pub retention_bytes: Option<u64>,
    /// How much is fetched at once, of the log or a snapshot: Kafka's `MAX_FETCH_SIZE_BYTES`.
    pub max_fetch_bytes: u32,
}

impl From<&ControllerConfig> for QuorumConfig {
    fn from(config: &ControllerConfig) -> QuorumConfig {
        QuorumConfig {
            election_timeout: config.controller_quorum_election_timeout_ms,
            first_election_timeout: config.controller_quorum_first_election_timeout_ms,
            election_backoff_max: config.controller_quorum_election_backoff_max_ms,
            fetch_timeout: config.controller_quorum_fetch_timeout_ms,
            request_timeout: config.controller_quorum_request_timeout_ms,
            retry_backoff: config.controller_quorum_retry_backoff_ms,
            append_linger: config.controller_quorum_append_linger_ms,
            segment_bytes: config.metadata_log_segment_bytes,
            retention_bytes: config.metadata_max_retention_bytes,
            max_fetch_bytes: 8 << 20,
        }
    }
}

impl From<&BrokerConfig> for QuorumConfig {
    fn from(config: &BrokerConfig) -> QuorumConfig {
        let voter = QuorumConfig::from(&ControllerConfig::default());
        QuorumConfig {
            fetch_timeout: config.controller_quorum_fetch_timeout_ms,
            request_timeout: config.controller_quorum_request_timeout_ms,
            retry_backoff: config.controller_quorum_retry_backoff_ms,
            segment_bytes: config.metadata_log_segment_bytes,
            ..voter
        }
    }
}

/// What the quorum needs of the machine that it is a part of.
pub struct Context<'a> {
    /// Where its wishes go.
    pub effects: &'a mut Effects,
    /// The last correlation id the machine gave out.
    pub correlation: &'a mut CorrelationId,
}

impl Context<'_> {
    /// A correlation id that nobody had before.
    pub fn next_correlation(&mut self) -> CorrelationId {
        *self.correlation = self.correlation.next();
        *self.correlation
    }
}

/// How far a member's life has come.
#[derive(Clone, Debug)]
enum Stage {
    /// Not started.
    New,
    /// It reads its disk; nothing else happens yet.
    Loading(Loading),
    /// It takes part.
    Running,
    /// Its disk has failed.
    Failed,
}

/// Something that waits for its turn.
#[derive(Clone, Debug)]
enum Inbound {
    Request { caller: Caller, request: Request },
    Response { from: NodeId, correlation: CorrelationId, response: Response },
}

/// What is true and said only once it is on the platter.
#[derive(Clone, Debug, Default)]
struct Held {
    events: Vec<Event>,
    replies: Vec<(Caller, Response)>,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.replies.is_empty()
    }
}

/// One member of the metadata quorum: a voter, or an observer.
#[derive(Clone, Debug)]
pub struct Quorum {
    id: NodeId,
    voters: NodeSet,
    config: QuorumConfig,
    museum: Museum,
    rng: Rng,
    stage: Stage,

    election: Election,
    role: Role,
    peers: Peers,
    readers: Readers,
    log: Log,
    high_watermark: Option<Offset>,
    snapshots: Snapshots,
    delivery: Delivery,

    state_file: StateFile,
    /// Its log is being flushed up to here.
    flushing: Option<Offset>,
    inbox: VecDeque<Inbound>,
    held: Held,

    /// The high watermark has moved since those who are parked were looked at.
    stirred: bool,
    /// It was asked to step down.
    resigning: bool,
    /// The process is about to end.
    stopping: bool,
    deadline: Option<Instant>,
}

impl Quorum {
    /// A member that has not started; a voter if `voters` holds it, else an observer.
    pub fn new(setup: &Setup, config: QuorumConfig, voters: NodeSet) -> Quorum {
        let log_config = LogConfig::of_metadata(config.segment_bytes.max(MIN_SEGMENT));
        // Until the disk is read, an empty log stands for it; it asks nothing of the disk.
        let (now, disk) = (Now::default(), &mut DiskWork::new());
        let log = Log::create(TopicPartition::METADATA, log_config, Offset::ZERO, now, setup.museum, disk);
        Quorum {
            id: setup.id,
            peers: Peers::new(&voters, setup.id),
            voters,
            config,
            museum: setup.museum,
            rng: Rng::named(setup.seed, &format!("{}/quorum", setup.id)),
            stage: Stage::New,
            election: Election::default(),
            role: Role::Unattached { until: Instant::FOREVER },
            readers: Readers::default(),
            log,
            high_watermark: None,
            snapshots: Snapshots::default(),
            delivery: Delivery::default(),
            state_file: StateFile::default(),
            flushing: None,
            inbox: VecDeque::new(),
            held: Held::default(),
            stirred: false,
            resigning: false,
            stopping: false,
            deadline: None,
        }
    }

    /// Begins to read the disk. `poll` gives from then on everything committed, from the start of the log or
    /// from a snapshot.
    pub fn start(&mut self, _now: Now, cx: &mut Context<'_>) {
        self.load(cx);
    }

    /// Whether its disk has been read.
    pub fn is_loaded(&self) -> bool {
        matches!(self.stage, Stage::Running)
    }

    /// Takes a request, if it is one of the quorum's: Vote, BeginQuorumEpoch, EndQuorumEpoch, DescribeQuorum,
    /// FetchSnapshot, and a Fetch of the metadata log. Says whether it was.
    pub fn on_request(&mut self, now: Now, caller: Caller, request: &Request, cx: &mut Context<'_>) -> bool {
        let ours = match request {
            Request::Fetch(fetch) => replication::is_metadata(fetch),
            Request::Vote(_)
            | Request::BeginQuorumEpoch(_)
            | Request::EndQuorumEpoch(_)
            | Request::DescribeQuorum(_)
            | Request::FetchSnapshot(_) => true,
            _ => false,
        };
        if ours {
            self.inbox.push_back(Inbound::Request { caller, request: request.clone() });
            self.pump(now, cx);
        }
        ours
    }

    /// Takes a response from a voter on `Channel::FETCH` or `Channel::QUORUM`; says whether it was one.
    pub fn on_response(
        &mut self,
        now: Now,
        from: NodeId,
        channel: Channel,
        correlation: CorrelationId,
        response: Response,
        cx: &mut Context<'_>,
    ) -> bool {
        let ours = self.is_ours(from, channel);
        if ours {
            self.inbox.push_back(Inbound::Response { from, correlation, response });
            self.pump(now, cx);
        }
        ours
    }

    /// Learns that such a connection is gone; says whether it was one.
    pub fn on_disconnected(
        &mut self,
        now: Now,
        peer: NodeId,
        channel: Channel,
        _why: Disconnect,
        cx: &mut Context<'_>,
    ) -> bool {
        let ours = self.is_ours(peer, channel);
        if ours && !self.is_voter() && self.museum.has(Bug::FetchLostWithConnection) {
            // A mutant: nobody is told that the answer will not come.
            self.peers.forget_time(peer, channel);
        } else if ours {
            self.peers.disconnected(peer, channel, now.monotonic + self.config.retry_backoff);
            self.pump(now, cx);
        }
        ours
    }

    /// Forgets what is parked for a connection. Connections of others do no harm.
    pub fn on_closed(&mut self, connection: ConnectionId) {
        self.readers.closed(connection);
        self.inbox.retain(|inbound| match inbound {
            Inbound::Request { caller, .. } => caller.connection != connection,
            Inbound::Response { .. } => true,
        });
    }

    /// Takes a reply of the disk about a file in the metadata log's directory; says whether it was one.
    pub fn on_disk(&mut self, now: Now, reply: &DiskReply, cx: &mut Context<'_>) -> bool {
        if reply.file.dir != Dir::Log(TopicPartition::METADATA) {
            return false;
        }
        let taken = match self.stage {
            Stage::New | Stage::Failed => return true,
            Stage::Loading(_) => self.on_loading_disk(now, reply, cx),
            Stage::Running => self.on_running_disk(now, reply, cx),
        };
        match taken {
            Ok(()) => self.pump(now, cx),
            Err(error) => self.fail(reply.file, error, cx),
        }
        true
    }

    fn on_running_disk(
        &mut self,
        now: Now,
        reply: &DiskReply,
        cx: &mut Context<'_>,
    ) -> Result<(), DiskError> {
        if self.state_file.is_mine(reply) {
            return self.state_file.on_disk(reply, &mut cx.effects.disk);
        }
        if self.snapshots.is_mine(reply) {
            return self.on_snapshot_disk(now, reply, cx);
        }
        if matches!(reply.file.kind, FileKind::QuorumState | FileKind::MetadataSnapshot(..)) {
            return reply.outcome.as_ref().map(|_| ()).map_err(|error| *error);
        }
        let (disk, events) = (&mut cx.effects.disk, &mut cx.effects.events);
        let progress = self.log.on_disk(now, reply, disk, events)?;
        self.flushing = self.flushing.filter(|to| self.log.flushed() < *to);
        match progress.cold {
            Some(done) if done.waiter == delivery::WAITER => self.on_cold_delivery(done.answer)?,
            Some(done) => self.on_cold(done.waiter, done.answer, cx),
            None => {}
        }
        Ok(())
    }

    /// Does what is due. Harmless at any other time.
    pub fn on_deadline(&mut self, now: Now, cx: &mut Context<'_>) {
        if self.is_loaded() {
            self.log.tick(now, &mut cx.effects.disk, &mut cx.effects.events);
        }
        self.pump(now, cx);
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The newest epoch it knows.
    pub fn epoch(&self) -> LeaderEpoch {
        self.election.epoch
    }

    /// The leader of that epoch, if it knows one.
    pub fn leader(&self) -> Option<NodeId> {
        self.election.leader.filter(|_| !matches!(self.role, Role::Resigned(_)))
    }

    /// Whether it leads.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Whether it leads and `poll` has given out everything committed before its own epoch: only now may the
    /// application decide anything.
    pub fn has_committed_own_epoch(&self) -> bool {
        match &self.role {
            Role::Leader(leader) => self.delivery.given > leader.epoch_start,
            _ => false,
        }
    }

    /// Everything before is committed, as far as it knows; zero if it knows nothing yet.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark.unwrap_or(Offset::ZERO)
    }

    /// Where its log ends, in memory.
    pub fn log_end(&self) -> Offset {
        self.log.end()
    }

    /// Its log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Where its newest snapshot ends, and with which epoch.
    pub fn latest_snapshot(&self) -> Option<crate::protocol::fetch::EpochEnd> {
        self.snapshots.latest_id()
    }

    /// Steps down, if it leads: the voters are told, the most caught up first. It stands again after an
    /// election timeout.
    pub fn resign(&mut self, now: Now, cx: &mut Context<'_>) {
        self.resigning = self.is_leader();
        self.pump(now, cx);
    }

    /// Steps down, if it leads, and stands for no election any more: the process is about to end.
    pub fn shut_down(&mut self, now: Now, cx: &mut Context<'_>) {
        self.stopping = true;
        self.resign(now, cx);
    }

    /// Whether nobody waits for this member to hand over: after `shut_down`, once another leads.
    pub fn may_stop(&self) -> bool {
        let other_leads = self.leader().is_some_and(|leader| leader != self.id);
        !self.is_loaded() || !self.is_voter() || self.voters.len() == 1 || other_leads
    }

    fn is_ours(&self, peer: NodeId, channel: Channel) -> bool {
        self.voters.contains(peer) && matches!(channel, Channel::FETCH | Channel::QUORUM)
    }
}
