//! How do the controllers agree on one log, and how does everybody else follow it?
//!
//! KRaft (KIP-595): voters elect a leader, who appends; everyone fetches from it. A record is committed once
//! a majority of voters has it on the platter. Brokers run the same code as observers: they never vote.

use alloc::{collections::VecDeque, vec::Vec};
use core::{ops::Range, time::Duration};

use bytes::Bytes;

use crate::{
    config::{BrokerConfig, ControllerConfig},
    disk::DiskReply,
    event::QuorumRole,
    machine::{Caller, Channel, ConnectionId, Disconnect, Effects},
    node::Setup,
    protocol::{ErrorCode, Request, Response},
    time::{Instant, Now},
    units::{CorrelationId, LeaderEpoch, NodeId, NodeSet, Offset},
};

/// What a quorum member is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumConfig {
    /// `controller.quorum.election.timeout.ms`
    pub election_timeout: Duration,
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
}

impl From<&ControllerConfig> for QuorumConfig {
    fn from(config: &ControllerConfig) -> QuorumConfig {
        QuorumConfig {
            election_timeout: config.controller_quorum_election_timeout_ms,
            election_backoff_max: config.controller_quorum_election_backoff_max_ms,
            fetch_timeout: config.controller_quorum_fetch_timeout_ms,
            request_timeout: config.controller_quorum_request_timeout_ms,
            retry_backoff: config.controller_quorum_retry_backoff_ms,
            append_linger: config.controller_quorum_append_linger_ms,
            segment_bytes: config.metadata_log_segment_bytes,
            retention_bytes: config.metadata_max_retention_bytes,
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

/// Something committed, for whoever folds the log into an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// One batch. A mark of the log's own (a leader change) has no values.
    Records {
        /// Its offsets.
        range: Range<Offset>,
        /// The epoch of the leader that appended it.
        epoch: LeaderEpoch,
        /// The records' values, one an offset.
        values: Vec<Bytes>,
    },
    /// A snapshot: whatever was folded so far is to be forgotten.
    Snapshot {
        /// One past the last offset it stands for.
        end: Offset,
        /// The epoch of that offset's record.
        epoch: LeaderEpoch,
        /// The snapshot as `take_snapshot` was given it.
        bytes: Bytes,
    },
}

/// One member of the metadata quorum: a voter, or an observer.
#[derive(Clone, Debug)]
pub struct Quorum {
    id: NodeId,
    voters: NodeSet,
    config: QuorumConfig,
    epoch: LeaderEpoch,
    leader: Option<NodeId>,
    high_watermark: Offset,
    log_end: Offset,
    ready: VecDeque<Committed>,
}

impl Quorum {
    /// A member that has not started; a voter if `voters` holds it, else an observer.
    pub fn new(setup: &Setup, config: QuorumConfig, voters: NodeSet) -> Quorum {
        Quorum {
            id: setup.id,
            voters,
            config,
            epoch: LeaderEpoch(0),
            leader: None,
            high_watermark: Offset::ZERO,
            log_end: Offset::ZERO,
            ready: VecDeque::new(),
        }
    }

    /// Begins to read the disk. `poll` gives from then on everything committed, from the start of the log or
    /// from a snapshot.
    pub fn start(&mut self, _now: Now, _cx: &mut Context<'_>) {}

    /// Whether its disk has been read.
    pub fn is_loaded(&self) -> bool {
        false
    }

    /// Takes a request, if it is one of the quorum's: Vote, BeginQuorumEpoch, EndQuorumEpoch, DescribeQuorum,
    /// FetchSnapshot, and a Fetch of the metadata log. Says whether it was.
    pub fn on_request(
        &mut self,
        _now: Now,
        _caller: Caller,
        request: &Request,
        _cx: &mut Context<'_>,
    ) -> bool {
        matches!(request, Request::Vote(_))
    }

    /// Takes a response from a voter on `Channel::FETCH` or `Channel::QUORUM`; says whether it was one.
    pub fn on_response(
        &mut self,
        _now: Now,
        from: NodeId,
        channel: Channel,
        _correlation: CorrelationId,
        _response: Response,
        _cx: &mut Context<'_>,
    ) -> bool {
        self.is_mine(from, channel)
    }

    /// Learns that such a connection is gone; says whether it was one.
    pub fn on_disconnected(
        &mut self,
        _now: Now,
        peer: NodeId,
        channel: Channel,
        _why: Disconnect,
        _cx: &mut Context<'_>,
    ) -> bool {
        self.is_mine(peer, channel)
    }

    /// Forgets what is parked for a connection. Connections of others do no harm.
    pub fn on_closed(&mut self, _connection: ConnectionId) {}

    /// Takes a reply of the disk about a file in the metadata log's directory; says whether it was one.
    pub fn on_disk(&mut self, _now: Now, reply: &DiskReply, _cx: &mut Context<'_>) -> bool {
        reply.file.dir == crate::disk::Dir::Log(crate::units::TopicPartition::METADATA)
    }

    /// Does what is due. Harmless at any other time.
    pub fn on_deadline(&mut self, _now: Now, _cx: &mut Context<'_>) {}

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    /// What it is at the moment. An observer is `Unattached` or `Follower`.
    pub fn role(&self) -> QuorumRole {
        QuorumRole::Unattached
    }

    /// The newest epoch it knows.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The leader of that epoch, if it knows one.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// Whether it leads.
    pub fn is_leader(&self) -> bool {
        self.leader == Some(self.id)
    }

    /// Whether it leads and `poll` has given out everything committed before its own epoch: only now may the
    /// application decide anything.
    pub fn has_committed_own_epoch(&self) -> bool {
        false
    }

    /// Everything before is committed, as far as it knows.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Where its log ends, in memory.
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Appends records as one: they are committed all or none, and get these offsets if this leader commits
    /// them. They wait `append_linger` for company. What becomes of them `poll` tells; all that is not
    /// committed when `epoch` changes or `is_leader` ends may be lost.
    ///
    /// Refuses with `NotController` unless it leads.
    pub fn append(
        &mut self,
        _now: Now,
        _values: Vec<Bytes>,
        _cx: &mut Context<'_>,
    ) -> Result<Range<Offset>, ErrorCode> {
        Err(ErrorCode::NotController)
    }

    /// The next thing committed, each once since `start`, in order. To be asked until `None` after every call
    /// that takes a `Context`.
    pub fn poll(&mut self) -> Option<Committed> {
        self.ready.pop_front()
    }

    /// Writes a snapshot of everything before `end`, which must be committed and polled; the log's beginning
    /// follows later, by `metadata.max.retention.bytes`.
    pub fn take_snapshot(&mut self, _now: Now, _end: Offset, _bytes: Bytes, _cx: &mut Context<'_>) {}

    /// Steps down, if it leads: the voters are told, the most caught up first. It stands again after an
    /// election timeout.
    pub fn resign(&mut self, _now: Now, _cx: &mut Context<'_>) {}

    /// Steps down, if it leads, and stands for no election any more: the process is about to end.
    pub fn shut_down(&mut self, now: Now, cx: &mut Context<'_>) {
        self.resign(now, cx);
    }

    /// Whether nobody waits for this member to hand over, after `shut_down`.
    pub fn may_stop(&self) -> bool {
        true
    }

    fn is_mine(&self, peer: NodeId, channel: Channel) -> bool {
        self.voters.contains(peer) && matches!(channel, Channel::FETCH | Channel::QUORUM)
    }
}
