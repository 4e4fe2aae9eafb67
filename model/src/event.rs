//! What is worth telling? Every fact that a node states about itself, in Kafka's words: the index of the
//! model.
//!
//! Events are what checks judge, what triggers wait for, what traces print and what the documentation
//! speaks of, always under the same kind (`hw.advance`). A node states only facts about itself and only
//! once they are so; that two statements contradict each other is for a check to find.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::{
    fmt::{self, Formatter},
    hash::{Hash, Hasher},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    disk::DiskError,
    log::batch::ProducerStamp,
    machine::Halt,
    protocol::{ErrorCode, TopicName, produce::Acks},
    time::Timestamp,
    units::{
        BrokerEpoch, GroupId, Incarnation, InstanceId, LeaderEpoch, MemberId, NodeId, NodeSet, Offset,
        PartitionEpoch, ProducerEpoch, ProducerId, Sequence, TopicId, TopicPartition,
    },
};

/// A record's value (or key) as an event carries it: the bytes, shared.
///
/// Hashed by its length and its first 64 bytes, which in every workload of ours name the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload(pub Bytes);

impl Payload {
    /// What names a record: its value; of a tombstone, which has none, what its first header says.
    pub fn of(value: Option<Bytes>, header: Option<Bytes>) -> Payload {
        Payload(value.or(header).unwrap_or_default())
    }
}

impl Hash for Payload {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.len().hash(state);
        self.0[..self.0.len().min(64)].hash(state);
    }
}

/// As text where it is text, cut after 32 characters.
impl fmt::Display for Payload {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match core::str::from_utf8(&self.0) {
            Ok(text) => {
                let shown = text.trim_end_matches('.');
                match shown.char_indices().nth(32) {
                    Some((cut, _)) => write!(f, "\"{}…\"", &shown[..cut]),
                    None => write!(f, "\"{shown}\""),
                }
            }
            Err(_) => write!(f, "{} bytes", self.0.len()),
        }
    }
}

impl Serialize for Payload {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match core::str::from_utf8(&self.0) {
            Ok(text) => s.serialize_str(text.trim_end_matches('.')),
            Err(_) => s.serialize_u64(self.0.len() as u64),
        }
    }
}

/// As it was written down: without the dots that filled it up. Of what was no text only the length is left.
impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Payload, D::Error> {
        struct Written;
        impl serde::de::Visitor<'_> for Written {
            type Value = Payload;
            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a length")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Payload, E> {
                Ok(Payload(Bytes::copy_from_slice(text.as_bytes())))
            }
            fn visit_u64<E: serde::de::Error>(self, len: u64) -> Result<Payload, E> {
                const MOST: u64 = 1 << 20;
                Ok(Payload(alloc::vec![0xff; len.min(MOST) as usize].into()))
            }
        }
        d.deserialize_any(Written)
    }
}

/// A record that a client was told to send, by the number its application gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordTag(pub u64);

/// In which capacity a replica wrote to its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaRole {
    /// It leads the partition, or the quorum.
    Leader,
    /// It follows, as broker, voter or observer.
    Follower,
}

/// Why the beginning of a log moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStartReason {
    /// `retention.ms` or `retention.bytes`.
    Retention,
    /// DeleteRecords.
    DeleteRecords,
    /// The leader's log begins there.
    Leader,
    /// A snapshot holds what was before (metadata log).
    Snapshot,
}

/// Why a log was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TruncateReason {
    /// It had parted from the leader's.
    Diverged,
    /// It lay wholly outside the leader's and was begun anew.
    OutOfRange,
    /// A snapshot took its place (metadata log).
    Snapshot,
    /// What stood right before a cut had been cleaned away: a log ends with the last record that is left.
    Gap,
}

/// Why a log is not compacted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uncleanable {
    /// The disk has lost bits of it.
    Corrupt,
    /// It holds a compressed batch, into which nobody here looks. Kafka would decompress it.
    Compressed,
}

/// What a quorum member is (KIP-595, KIP-996).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuorumRole {
    /// Knows no leader.
    Unattached,
    /// Asks how a vote would go.
    Prospective,
    /// Stands for election.
    Candidate,
    /// Was leader and stepped down.
    Resigned,
    /// Leads.
    Leader,
    /// Follows a leader.
    Follower,
}

/// How a group stands (Kafka: `ClassicGroupState` and `ConsumerGroupState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupState {
    /// Nobody is in it.
    Empty,
    /// Classic: members are to join again.
    PreparingRebalance,
    /// Classic: all have joined; the leader is to say who does what.
    CompletingRebalance,
    /// Everybody knows what to do.
    Stable,
    /// It is gone.
    Dead,
    /// KIP-848: who is to own what is being worked out.
    Assigning,
    /// KIP-848: members give up and take over.
    Reconciling,
}

/// Why the members of a classic group are to join again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RebalanceReason {
    /// Somebody new has come.
    MemberJoined,
    /// A member has another subscription, or the leader asks for it.
    MemberRejoined,
    /// A member has left.
    MemberLeft,
    /// A member was silent for too long.
    SessionExpired,
    /// A member has not asked for its share in time.
    SyncExpired,
    /// What the leader said could not be written down.
    NotWritten,
    /// Too many members were read from the log.
    TooManyMembers,
    /// A topic that members read has come, gone or grown (KIP-848: the coordinator sees to that).
    TopicsChanged,
}

/// Why a coordinator strikes a member off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovalReason {
    /// It said so.
    Left,
    /// It was silent for too long.
    SessionExpired,
    /// It did not join again in time.
    RebalanceExpired,
    /// It did not ask for its share in time.
    SyncExpired,
    /// Another process has its `group.instance.id`.
    Replaced,
}

/// Why a coordinator forgets an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForgetReason {
    /// Nobody has needed it for too long (KIP-211).
    Expired,
    /// An operator wants it so.
    Deleted,
    /// The topic is gone.
    TopicDeleted,
}

/// How a consumer knows that it is no member any more, or has to join again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MembershipEnd {
    /// The group is to be balanced anew; it stays a member.
    Rebalance,
    /// The coordinator does not know it, or its generation is over.
    Fenced,
    /// No coordinator has answered for `session.timeout.ms`.
    SessionExpired,
    /// Its application has not polled for `max.poll.interval.ms`.
    PollTooLate,
    /// It leaves by itself.
    Left,
    /// Another process has its `group.instance.id`: it cannot go on.
    InstanceFenced,
    /// The coordinator will not have it for another reason: it cannot go on (KIP-848).
    Refused,
}

/// What a consumer commits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitReason {
    /// `enable.auto.commit`: what the application was given by the polls before this one.
    Auto,
    /// The application waits for it.
    Sync,
    /// The application does not wait for it.
    Async,
    /// Before partitions are given up.
    Revoked,
    /// Before it ends.
    Closed,
}

/// How far a broker's life has come (Kafka: `BrokerState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokerState {
    /// Reading its disk.
    Recovery,
    /// Catching up with the metadata log, fenced.
    Starting,
    /// Serving.
    Running,
    /// Waiting for the controller to move its leaderships.
    PendingControlledShutdown,
    /// Closing its logs.
    ShuttingDown,
}

/// The state of a partition by the controller's word.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PartitionState {
    /// Who leads.
    pub leader: Option<NodeId>,
    /// In which epoch.
    pub leader_epoch: LeaderEpoch,
    /// The state's version.
    pub partition_epoch: PartitionEpoch,
    /// Who should have it, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// Who is in sync.
    pub isr: NodeSet,
    /// Who is not in sync but is known to have everything below the high watermark (KIP-966).
    pub elr: NodeSet,
}

/// How a client's own state names a place that a consumer went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeekReason {
    /// Its group has come so far.
    Committed,
    /// It had no position: `auto.offset.reset`.
    Reset,
    /// Its position was out of range: `auto.offset.reset`.
    OutOfRange,
    /// The application said so.
    Asked,
    /// The log was truncated below its position (KIP-320).
    Truncated,
}

/// Why a consumer without `auto.offset.reset` cannot go on, by Kafka's three exceptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReadFailure {
    /// It has no position (`NoOffsetForPartitionException`).
    NoOffsetForPartition,
    /// Its position is not within the log (`OffsetOutOfRangeException`).
    OffsetOutOfRange,
    /// The log was truncated below its position (`LogTruncationException`, KIP-320).
    LogTruncation,
}

/// How the things in an event are called where it is shown: a topic by its name, a client by its own.
pub trait Names: Send {
    /// Writes what a partition is called: `orders-0`.
    fn partition(&self, partition: TopicPartition, f: &mut Formatter<'_>) -> fmt::Result;
    /// Writes what a node is called: `broker-2`, `p1`.
    fn node(&self, node: NodeId, f: &mut Formatter<'_>) -> fmt::Result;
}

/// The names that the numbers alone give.
pub struct Nameless;

impl Names for Nameless {
    fn partition(&self, partition: TopicPartition, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{partition}")
    }
    fn node(&self, node: NodeId, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{node}")
    }
}

/// A fact that a node states about itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// `leader.start`: A broker begins to lead a partition.
    LeaderStarted {
        /// Which.
        partition: TopicPartition,
        /// In which epoch.
        epoch: LeaderEpoch,
        /// Where its log ends, and the epoch begins.
        log_end: Offset,
        /// The high watermark it starts from.
        high_watermark: Offset,
        /// Who is in sync, by the controller's word.
        isr: NodeSet,
    },
    /// `follower.start`: A broker begins to follow a partition's leader.
    FollowerStarted {
        /// Which.
        partition: TopicPartition,
        /// In which epoch.
        epoch: LeaderEpoch,
        /// Whom; nobody while there is no leader.
        leader: Option<NodeId>,
        /// Where its log ends.
        log_end: Offset,
    },
    /// `replica.stop`: A broker gives up its replica of a partition.
    ReplicaStopped {
        /// Which.
        partition: TopicPartition,
        /// Whether its log is deleted.
        deleted: bool,
    },
    /// `log.append`: A replica adds a batch to its log, in memory.
    Appended {
        /// To which log.
        partition: TopicPartition,
        /// As what.
        role: ReplicaRole,
        /// The offset of the first record.
        base: Offset,
        /// One past the last record.
        end: Offset,
        /// The epoch the batch bears.
        epoch: LeaderEpoch,
        /// The batch's CRC, which names its content.
        crc: u32,
        /// Who produced it, if idempotent.
        producer: Option<ProducerStamp>,
        /// Whether it is a mark of the log's own.
        control: bool,
        /// The greatest timestamp in it.
        max_timestamp: Timestamp,
    },
    /// `log.write`: The operating system has a log up to an offset: it survives the process.
    Written {
        /// Which log.
        partition: TopicPartition,
        /// One past the last record written.
        end: Offset,
    },
    /// `log.flush`: The platter has a log up to an offset: it survives the power.
    Flushed {
        /// Which log.
        partition: TopicPartition,
        /// One past the last record flushed.
        end: Offset,
    },
    /// `log.truncate`: A replica cuts the end off its log.
    Truncated {
        /// Which log.
        partition: TopicPartition,
        /// Where it ended.
        from: Offset,
        /// Where it ends now.
        to: Offset,
        /// Why.
        why: TruncateReason,
        /// The replica's high watermark before.
        high_watermark: Offset,
    },
    /// `log.roll`: A log begins a new segment.
    SegmentRolled {
        /// Which log.
        partition: TopicPartition,
        /// Where it begins.
        base: Offset,
    },
    /// `log.start`: A log's beginning moves: what was before is gone.
    LogStartMoved {
        /// Which log.
        partition: TopicPartition,
        /// Where it began.
        from: Offset,
        /// Where it begins now.
        to: Offset,
        /// Why.
        why: LogStartReason,
    },
    /// `log.recover`: A log was read back from the disk after a start.
    Recovered {
        /// Which log.
        partition: TopicPartition,
        /// Where it begins.
        start: Offset,
        /// Where it ends.
        end: Offset,
        /// Whether the last shutdown was clean, so that nothing was checked.
        clean: bool,
        /// How many bytes of a torn tail were cut off.
        cut: u64,
        /// The epoch of its last batch.
        last_epoch: Option<LeaderEpoch>,
        /// The CRC of its last batch: a batch sent again to another leader has the same.
        last_crc: Option<u32>,
    },
    /// `hw.advance`: A leader moves its high watermark: what is below may be read and is acknowledged.
    HighWatermarkAdvanced {
        /// Which.
        partition: TopicPartition,
        /// In which epoch of its leadership.
        epoch: LeaderEpoch,
        /// From.
        from: Offset,
        /// To.
        to: Offset,
        /// The replicas that were counted: the maximal ISR.
        isr: NodeSet,
        /// Where its log ends.
        log_end: Offset,
    },
    /// `hw.adopt`: A follower takes over its leader's high watermark.
    HighWatermarkAdopted {
        /// Which.
        partition: TopicPartition,
        /// In which epoch.
        epoch: LeaderEpoch,
        /// The high watermark, no further than its log.
        to: Offset,
        /// Where its log ends.
        log_end: Offset,
    },
    /// `hw.restore`: A replica starts from the high watermark that was saved before.
    HighWatermarkRestored {
        /// Which.
        partition: TopicPartition,
        /// The high watermark, no further than its log.
        to: Offset,
    },
    /// `isr.propose`: A leader asks the controller for another ISR.
    IsrProposed {
        /// Which.
        partition: TopicPartition,
        /// In which epoch of its leadership.
        epoch: LeaderEpoch,
        /// The state it starts from.
        partition_epoch: PartitionEpoch,
        /// Who is in sync now.
        from: NodeSet,
        /// Who should be.
        to: NodeSet,
    },
    /// `isr.adopt`: A leader learns of the ISR that the controller has committed.
    IsrAdopted {
        /// Which.
        partition: TopicPartition,
        /// In which epoch of its leadership.
        epoch: LeaderEpoch,
        /// The state's version.
        partition_epoch: PartitionEpoch,
        /// Who is in sync.
        isr: NodeSet,
    },
    /// `isr.refuse`: A leader's proposal was refused or not answered.
    IsrProposalFailed {
        /// Which.
        partition: TopicPartition,
        /// In which epoch of its leadership.
        epoch: LeaderEpoch,
        /// Why.
        error: ErrorCode,
        /// Whether it is tried again.
        retried: bool,
    },
    /// `produce.answer`: A leader answers a produce request for one partition.
    ProduceAnswered {
        /// Which.
        partition: TopicPartition,
        /// In which epoch of its leadership.
        epoch: LeaderEpoch,
        /// Who had to have it.
        acks: Acks,
        /// Where the batch stands.
        base: Option<Offset>,
        /// One past it.
        end: Option<Offset>,
        /// Why it failed.
        error: Option<ErrorCode>,
        /// The committed ISR at the time.
        isr: NodeSet,
    },
    /// `produce.duplicate`: A leader recognises a batch that it has already, and answers with the offsets it got then.
    DuplicateAnswered {
        /// Which.
        partition: TopicPartition,
        /// Whose.
        producer: ProducerStamp,
        /// The offset it got.
        base: Offset,
    },
    /// `fetch.read`: A server returns records.
    ReadServed {
        /// Of which log.
        partition: TopicPartition,
        /// To whom.
        reader: NodeId,
        /// Whether to a replica, which may read past the high watermark.
        replica: bool,
        /// In which epoch of its leadership.
        epoch: LeaderEpoch,
        /// The first offset returned.
        from: Offset,
        /// One past the last.
        end: Offset,
        /// The bound that held: the high watermark, or the log's end for a replica.
        bound: Offset,
    },
    /// `fetch.refuse`: A server refuses a fetch, for more than being asked too early.
    FetchRefused {
        /// Of which log.
        partition: TopicPartition,
        /// To whom.
        reader: NodeId,
        /// Why.
        error: ErrorCode,
    },
    /// `fetch.diverge`: A leader finds that a follower's log has parted from its own.
    DivergenceFound {
        /// Of which log.
        partition: TopicPartition,
        /// Whose.
        reader: NodeId,
        /// The last epoch in which they may agree.
        epoch: LeaderEpoch,
        /// Where that epoch ends at the leader.
        end: Offset,
    },
    /// `broker.state`: A broker's life goes on.
    BrokerStateChanged {
        /// To what.
        state: BrokerState,
    },
    /// `broker.register`: A broker learns its epoch.
    BrokerEpochReceived {
        /// Which.
        epoch: BrokerEpoch,
    },
    /// `metadata.apply`: A broker or controller has applied committed metadata.
    MetadataApplied {
        /// Up to which offset.
        end: Offset,
        /// The epoch of the last record.
        epoch: LeaderEpoch,
        /// Of the whole image: equal images have equal ones.
        fingerprint: u64,
        /// Whether it came from a snapshot.
        from_snapshot: bool,
    },
    /// `producer.id`: A broker gives a producer its identity.
    ProducerIdGiven {
        /// The id.
        id: ProducerId,
        /// Its epoch.
        epoch: ProducerEpoch,
        /// To whom.
        to: NodeId,
    },
    /// `controller.elected`: A controller leads the cluster: it has replayed the log and its own epoch has begun.
    ControllerActivated {
        /// The quorum epoch.
        epoch: LeaderEpoch,
        /// The log's end it has replayed up to.
        end: Offset,
    },
    /// `controller.resigned`: A controller no longer leads the cluster.
    ControllerResigned {
        /// The quorum epoch it led.
        epoch: LeaderEpoch,
    },
    /// `topic.create`: A topic exists, by a committed record.
    TopicCreated {
        /// Its id.
        topic: TopicId,
        /// Its name.
        name: TopicName,
        /// The record.
        at: Offset,
        /// Whether the teller is the active controller.
        active: bool,
    },
    /// `topic.delete`: A topic is gone, by a committed record.
    TopicDeleted {
        /// Its id.
        topic: TopicId,
        /// Its name.
        name: TopicName,
        /// The record.
        at: Offset,
        /// Whether the teller is the active controller.
        active: bool,
    },
    /// `leader.elected`: A partition has another leader or leader epoch, by a committed record.
    LeaderElected {
        /// Which.
        partition: TopicPartition,
        /// Who led before.
        from: Option<NodeId>,
        /// The new state.
        state: Box<PartitionState>,
        /// Whether the leader was not known to have everything.
        unclean: bool,
        /// The record.
        at: Offset,
        /// Whether the teller is the active controller.
        active: bool,
    },
    /// `isr.shrink`: A partition's ISR has lost members, by a committed record.
    IsrShrunk {
        /// Which.
        partition: TopicPartition,
        /// The ISR before.
        from: NodeSet,
        /// The new state.
        state: Box<PartitionState>,
        /// The record.
        at: Offset,
        /// Whether the teller is the active controller.
        active: bool,
    },
    /// `isr.expand`: A partition's ISR has gained members, by a committed record.
    IsrExpanded {
        /// Which.
        partition: TopicPartition,
        /// The ISR before.
        from: NodeSet,
        /// The new state.
        state: Box<PartitionState>,
        /// The record.
        at: Offset,
        /// Whether the teller is the active controller.
        active: bool,
    },
    /// `partition.change`: A partition's state has changed in another way (created, ELR), by a committed record.
    PartitionChanged {
        /// Which.
        partition: TopicPartition,
        /// The new state.
        state: Box<PartitionState>,
        /// The record.
        at: Offset,
        /// Whether the teller is the active controller.
        active: bool,
    },
    /// `broker.registered`: A broker has a new epoch, by a committed record.
    BrokerRegistered {
        /// Which.
        broker: NodeId,
        /// Its epoch.
        epoch: BrokerEpoch,
        /// Its life.
        incarnation: Incarnation,
        /// Whether its last shutdown was clean.
        clean: bool,
        /// The record.
        at: Offset,
        /// Whether the teller is the active controller.
        active: bool,
    },
    /// `broker.fenced`: A broker may not lead or be in sync any more, by a committed record.
    BrokerFenced {
        /// Which.
        broker: NodeId,
        /// Its epoch.
        epoch: BrokerEpoch,
        /// The record.
        at: Offset,
        /// Whether the teller is the active controller.
        active: bool,
    },
    /// `broker.unfenced`: A broker may lead and be in sync, by a committed record.
    BrokerUnfenced {
        /// Which.
        broker: NodeId,
        /// Its epoch.
        epoch: BrokerEpoch,
        /// The record.
        at: Offset,
        /// Whether the teller is the active controller.
        active: bool,
    },
    /// `broker.leaving`: A broker is in controlled shutdown, by a committed record.
    BrokerLeaving {
        /// Which.
        broker: NodeId,
        /// Its epoch.
        epoch: BrokerEpoch,
        /// The record.
        at: Offset,
        /// Whether the teller is the active controller.
        active: bool,
    },
    /// `producer.ids`: A broker was given a block of producer ids, by a committed record.
    ProducerIdsAllocated {
        /// To whom.
        broker: NodeId,
        /// The first id.
        first: ProducerId,
        /// How many.
        len: u32,
        /// The record.
        at: Offset,
        /// Whether the teller is the active controller.
        active: bool,
    },
    /// `quorum.role`: A quorum member changes its role or epoch.
    QuorumRoleChanged {
        /// To what.
        role: QuorumRole,
        /// In which epoch.
        epoch: LeaderEpoch,
        /// The leader it knows.
        leader: Option<NodeId>,
    },
    /// `quorum.vote`: A voter grants its vote; it is on the platter.
    QuorumVoted {
        /// In which epoch.
        epoch: LeaderEpoch,
        /// To whom.
        candidate: NodeId,
    },
    /// `quorum.elected`: A candidate has the votes of a majority.
    QuorumLeaderElected {
        /// The epoch it leads.
        epoch: LeaderEpoch,
        /// Whose.
        votes: NodeSet,
        /// Where its log ends.
        log_end: Offset,
    },
    /// `quorum.hw`: A quorum member knows more records to be committed.
    QuorumHighWatermarkAdvanced {
        /// In which epoch.
        epoch: LeaderEpoch,
        /// From.
        from: Offset,
        /// To.
        to: Offset,
        /// Whether it leads, and so decides.
        leader: bool,
        /// Where its log ends.
        log_end: Offset,
    },
    /// `quorum.resign`: A quorum leader steps down by itself.
    QuorumResigned {
        /// The epoch it led.
        epoch: LeaderEpoch,
        /// Whether because no majority of voters has fetched for too long (check quorum).
        lost_majority: bool,
    },
    /// `snapshot.write`: A metadata snapshot is complete and durable.
    SnapshotWritten {
        /// The offset it stands for.
        end: Offset,
        /// The epoch of the record before.
        epoch: LeaderEpoch,
        /// How many bytes it has.
        size: u64,
    },
    /// `snapshot.load`: A node begins from a metadata snapshot.
    SnapshotLoaded {
        /// The offset it stands for.
        end: Offset,
        /// The epoch of the record before.
        epoch: LeaderEpoch,
    },
    /// `produce.send`: A producer takes a record into a batch.
    RecordSent {
        /// Which record.
        tag: RecordTag,
        /// To which partition.
        partition: TopicPartition,
        /// Its value; a tombstone's name.
        value: Payload,
        /// Its timestamp.
        timestamp: Timestamp,
    },
    /// `produce.ack`: A producer is told that a record was appended.
    RecordAcked {
        /// Which record.
        tag: RecordTag,
        /// Where.
        partition: TopicPartition,
        /// At which offset; unknown without acks.
        offset: Option<Offset>,
    },
    /// `produce.fail`: A producer gives a record up.
    RecordFailed {
        /// Which record.
        tag: RecordTag,
        /// Where it would have gone.
        partition: Option<TopicPartition>,
        /// Why.
        error: ErrorCode,
        /// Whether it may be in the log all the same.
        maybe_written: bool,
    },
    /// `produce.retry`: A producer sends a batch again.
    BatchRetried {
        /// Where.
        partition: TopicPartition,
        /// Which attempt, counted from one.
        attempt: u32,
        /// Why.
        error: ErrorCode,
        /// Its sequence, if idempotent.
        base_sequence: Option<Sequence>,
    },
    /// `producer.epoch`: A producer has an identity, or raises its epoch (KIP-360).
    ProducerEpochRaised {
        /// Its id.
        id: ProducerId,
        /// Its epoch.
        epoch: ProducerEpoch,
    },
    /// `consume.assign`: A consumer is given partitions to read.
    Assigned {
        /// Which.
        partitions: Vec<TopicPartition>,
    },
    /// `consume.read`: A consumer hands a record to its application.
    Delivered {
        /// From which partition.
        partition: TopicPartition,
        /// The record's offset.
        offset: Offset,
        /// The epoch its batch bears.
        epoch: LeaderEpoch,
        /// Its timestamp.
        timestamp: Timestamp,
        /// Its value; a tombstone's name.
        value: Payload,
    },
    /// `consume.seek`: A consumer's position moves other than by reading.
    PositionMoved {
        /// In which partition.
        partition: TopicPartition,
        /// Where it was.
        from: Option<Offset>,
        /// Where it is.
        to: Offset,
        /// Why.
        why: SeekReason,
    },
    /// `consume.truncated`: A consumer learns that the log was truncated below its position (KIP-320).
    TruncationDetected {
        /// In which partition.
        partition: TopicPartition,
        /// Where it was.
        position: Offset,
        /// The last offset at which its log and the leader's agree.
        to: Option<Offset>,
    },
    /// `consume.fail`: A consumer cannot go on in a partition until its application seeks.
    ReadFailed {
        /// In which partition.
        partition: TopicPartition,
        /// Why.
        error: ReadFailure,
    },
    /// `consume.offset`: A client is told an offset by ListOffsets.
    OffsetListed {
        /// Of which partition.
        partition: TopicPartition,
        /// Whether it is the end (high watermark), not a time's or the start.
        latest: bool,
        /// The offset.
        offset: Option<Offset>,
        /// How many answers of this kind it had been given, in this life, when it asked: this one may be older
        /// than those it was given since.
        asked_after: u64,
    },
    /// `client.metadata`: A client learns of a partition's leader.
    MetadataLearned {
        /// Which.
        partition: TopicPartition,
        /// Who leads.
        leader: Option<NodeId>,
        /// In which epoch.
        epoch: LeaderEpoch,
    },
    /// `group.load`: A broker has read a partition of `__consumer_offsets` that it leads, and looks after its groups.
    CoordinatorLoaded {
        /// Which partition.
        partition: TopicPartition,
        /// The leader epoch it was read in.
        epoch: LeaderEpoch,
        /// Up to which offset.
        end: Offset,
        /// How many groups there are.
        groups: u32,
    },
    /// `group.unload`: A broker does not look after the groups of a partition any more.
    CoordinatorUnloaded {
        /// Which partition.
        partition: TopicPartition,
        /// The leader epoch it was read in.
        epoch: LeaderEpoch,
    },
    /// `group.state`: A coordinator moves a group to another state or generation.
    GroupStateChanged {
        /// Which group.
        group: GroupId,
        /// By which partition's coordinator.
        partition: TopicPartition,
        /// The leader epoch it was read in.
        coordinator: LeaderEpoch,
        /// To which state.
        state: GroupState,
        /// The generation, or the group epoch (KIP-848).
        generation: i32,
        /// Who is in it.
        members: Vec<MemberId>,
    },
    /// `group.rebalance`: A coordinator has a group's members join again.
    RebalanceStarted {
        /// Which group.
        group: GroupId,
        /// The generation that ends.
        generation: i32,
        /// Why.
        why: RebalanceReason,
    },
    /// `group.join`: A coordinator takes in a member.
    MemberAdded {
        /// Of which group.
        group: GroupId,
        /// Its id.
        member: MemberId,
        /// Its `group.instance.id`.
        instance: Option<InstanceId>,
        /// Whose process it is.
        node: NodeId,
    },
    /// `group.leave`: A coordinator strikes a member off.
    MemberRemoved {
        /// Of which group.
        group: GroupId,
        /// Its id.
        member: MemberId,
        /// Why.
        why: RemovalReason,
    },
    /// `group.commit`: A coordinator takes a committed offset into its log.
    OffsetAccepted {
        /// Of which group.
        group: GroupId,
        /// In which partition.
        partition: TopicPartition,
        /// The next offset to read.
        offset: Offset,
        /// Who says so; empty for who is in no group.
        member: MemberId,
        /// In which generation or member epoch.
        generation: i32,
        /// By which partition's coordinator.
        by: TopicPartition,
        /// The leader epoch it was read in.
        coordinator: LeaderEpoch,
        /// Where its record stands.
        at: Offset,
    },
    /// `group.forget`: A coordinator writes down that a committed offset is to be forgotten.
    OffsetForgotten {
        /// Of which group.
        group: GroupId,
        /// In which partition.
        partition: TopicPartition,
        /// Why.
        why: ForgetReason,
    },
    /// `member.join`: A consumer is told that it is a member of a generation.
    GroupJoined {
        /// Of which group.
        group: GroupId,
        /// As whom.
        member: MemberId,
        /// Which generation, or member epoch.
        generation: i32,
        /// Whether it assigns.
        leads: bool,
    },
    /// `member.lost`: A consumer is told, or finds, that it is no member any more, or that it must join again.
    MembershipLost {
        /// Of which group.
        group: GroupId,
        /// As whom.
        member: MemberId,
        /// In which generation.
        generation: i32,
        /// How it knows.
        why: MembershipEnd,
    },
    /// `member.own`: A consumer's application is told which partitions it owns now.
    PartitionsOwned {
        /// Of which group.
        group: GroupId,
        /// As whom.
        member: MemberId,
        /// In which generation.
        generation: i32,
        /// All of them.
        partitions: Vec<TopicPartition>,
        /// Whether what it has no longer was taken from it before it could commit (`onPartitionsLost`).
        lost: bool,
    },
    /// `consume.process`: A consumer's application is done with records.
    Processed {
        /// Of which partition.
        partition: TopicPartition,
        /// The first.
        from: Offset,
        /// One past the last.
        to: Offset,
    },
    /// `commit.send`: A consumer sends a commit.
    CommitSent {
        /// Of which group.
        group: GroupId,
        /// In which partition.
        partition: TopicPartition,
        /// The next offset to read.
        offset: Offset,
        /// As whom.
        member: MemberId,
        /// In which generation.
        generation: i32,
        /// For what.
        why: CommitReason,
    },
    /// `commit.ack`: A consumer is told that a commit was taken.
    CommitAcked {
        /// Of which group.
        group: GroupId,
        /// In which partition.
        partition: TopicPartition,
        /// The next offset to read.
        offset: Offset,
    },
    /// `commit.fail`: A consumer is told, or must assume, that a commit was not taken.
    CommitFailed {
        /// Of which group.
        group: GroupId,
        /// In which partition.
        partition: TopicPartition,
        /// The next offset to read.
        offset: Offset,
        /// Why.
        error: ErrorCode,
        /// Whether it tries again.
        retried: bool,
    },
    /// `commit.ask`: A consumer asks how far its group has come.
    CommittedAsked {
        /// Which group.
        group: GroupId,
        /// In which partitions.
        partitions: Vec<TopicPartition>,
    },
    /// `commit.told`: A consumer is told how far its group has come.
    CommittedTold {
        /// Which group.
        group: GroupId,
        /// In which partition.
        partition: TopicPartition,
        /// The next offset to read; nothing if it never committed.
        offset: Option<Offset>,
    },
    /// `admin.done`: An operator's request was answered.
    AdminDone {
        /// What was asked.
        what: String,
        /// Why it failed.
        error: Option<ErrorCode>,
    },
    /// `disk.fail`: A disk operation failed.
    DiskFailed {
        /// On which file.
        file: String,
        /// How.
        error: DiskError,
    },
    /// `node.halt`: A process ends itself.
    Halted {
        /// Why.
        why: Halt,
    },
    /// `log.cleaned`: A log was compacted: of each key the newest record is left.
    LogCleaned {
        /// Which log.
        partition: TopicPartition,
        /// Where its dirty part began; what lies before was looked through, too.
        from: Offset,
        /// Where it ended: below, no key of the dirty part has an older record.
        to: Offset,
        /// How many records below `to` are left.
        kept: u64,
        /// How many were taken out.
        dropped: u64,
    },
    /// `log.uncleanable`: A log cannot be compacted, and is left as it is.
    LogUncleanable {
        /// Which log.
        partition: TopicPartition,
        /// Why.
        why: Uncleanable,
    },
    /// `group.reconcile`: A coordinator moves a member of a KIP-848 group to another epoch or assignment.
    MemberReconciled {
        /// Of which group.
        group: GroupId,
        /// Who.
        member: MemberId,
        /// By which partition's coordinator.
        by: TopicPartition,
        /// The leader epoch it was read in.
        coordinator: LeaderEpoch,
        /// To which member epoch.
        epoch: i32,
        /// What it owns, or is told to own, each with the member epoch in which it was given (KIP-1251).
        assigned: Vec<(TopicPartition, i32)>,
        /// What it is told to give up, likewise.
        revoking: Vec<(TopicPartition, i32)>,
    },
    /// `log.cleaning`: A log begins to be compacted.
    LogCleaning {
        /// Which log.
        partition: TopicPartition,
        /// Where its dirty part begins.
        from: Offset,
        /// Where the part ends that is compacted.
        to: Offset,
    },
}

macro_rules! kinds {
    ($($name:ident = $kind:literal, $about:literal;)*) => {
        /// The kinds of events, by the names that triggers, traces and pages use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum EventKind {
            $(#[doc = concat!("`", $kind, "`: ", $about)] $name,)*
        }

        impl EventKind {
            /// All of them, in the order of the catalogue.
            pub const ALL: &'static [EventKind] = &[$(EventKind::$name,)*];

            /// The name: `hw.advance`.
            pub const fn name(self) -> &'static str {
                match self { $(EventKind::$name => $kind,)* }
            }

            /// What it tells, in a sentence.
            pub const fn about(self) -> &'static str {
                match self { $(EventKind::$name => $about,)* }
            }

            /// The kind of a name.
            pub fn from_name(name: &str) -> Option<EventKind> {
                EventKind::ALL.iter().copied().find(|kind| kind.name() == name)
            }
        }

        impl Event {
            /// Which kind this is.
            pub const fn kind(&self) -> EventKind {
                match self { $(Event::$name { .. } => EventKind::$name,)* }
            }
        }
    };
}

kinds! {
    LeaderStarted = "leader.start", "A broker begins to lead a partition.";
    FollowerStarted = "follower.start", "A broker begins to follow a partition's leader.";
    ReplicaStopped = "replica.stop", "A broker gives up its replica of a partition.";
    Appended = "log.append", "A replica adds a batch to its log, in memory.";
    Written = "log.write", "The operating system has a log up to an offset: it survives the process.";
    Flushed = "log.flush", "The platter has a log up to an offset: it survives the power.";
    Truncated = "log.truncate", "A replica cuts the end off its log.";
    SegmentRolled = "log.roll", "A log begins a new segment.";
    LogStartMoved = "log.start", "A log's beginning moves: what was before is gone.";
    Recovered = "log.recover", "A log was read back from the disk after a start.";
    HighWatermarkAdvanced = "hw.advance", "A leader moves its high watermark: what is below may be read and is acknowledged.";
    HighWatermarkAdopted = "hw.adopt", "A follower takes over its leader's high watermark.";
    HighWatermarkRestored = "hw.restore", "A replica starts from the high watermark that was saved before.";
    IsrProposed = "isr.propose", "A leader asks the controller for another ISR.";
    IsrAdopted = "isr.adopt", "A leader learns of the ISR that the controller has committed.";
    IsrProposalFailed = "isr.refuse", "A leader's proposal was refused or not answered.";
    ProduceAnswered = "produce.answer", "A leader answers a produce request for one partition.";
    DuplicateAnswered = "produce.duplicate", "A leader recognises a batch that it has already, and answers with the offsets it got then.";
    ReadServed = "fetch.read", "A server returns records.";
    FetchRefused = "fetch.refuse", "A server refuses a fetch, for more than being asked too early.";
    DivergenceFound = "fetch.diverge", "A leader finds that a follower's log has parted from its own.";
    BrokerStateChanged = "broker.state", "A broker's life goes on.";
    BrokerEpochReceived = "broker.register", "A broker learns its epoch.";
    MetadataApplied = "metadata.apply", "A broker or controller has applied committed metadata.";
    ProducerIdGiven = "producer.id", "A broker gives a producer its identity.";
    ControllerActivated = "controller.elected", "A controller leads the cluster: it has replayed the log and its own epoch has begun.";
    ControllerResigned = "controller.resigned", "A controller no longer leads the cluster.";
    TopicCreated = "topic.create", "A topic exists, by a committed record.";
    TopicDeleted = "topic.delete", "A topic is gone, by a committed record.";
    LeaderElected = "leader.elected", "A partition has another leader or leader epoch, by a committed record.";
    IsrShrunk = "isr.shrink", "A partition's ISR has lost members, by a committed record.";
    IsrExpanded = "isr.expand", "A partition's ISR has gained members, by a committed record.";
    PartitionChanged = "partition.change", "A partition's state has changed in another way (created, ELR), by a committed record.";
    BrokerRegistered = "broker.registered", "A broker has a new epoch, by a committed record.";
    BrokerFenced = "broker.fenced", "A broker may not lead or be in sync any more, by a committed record.";
    BrokerUnfenced = "broker.unfenced", "A broker may lead and be in sync, by a committed record.";
    BrokerLeaving = "broker.leaving", "A broker is in controlled shutdown, by a committed record.";
    ProducerIdsAllocated = "producer.ids", "A broker was given a block of producer ids, by a committed record.";
    QuorumRoleChanged = "quorum.role", "A quorum member changes its role or epoch.";
    QuorumVoted = "quorum.vote", "A voter grants its vote; it is on the platter.";
    QuorumLeaderElected = "quorum.elected", "A candidate has the votes of a majority.";
    QuorumHighWatermarkAdvanced = "quorum.hw", "A quorum member knows more records to be committed.";
    QuorumResigned = "quorum.resign", "A quorum leader steps down by itself.";
    SnapshotWritten = "snapshot.write", "A metadata snapshot is complete and durable.";
    SnapshotLoaded = "snapshot.load", "A node begins from a metadata snapshot.";
    RecordSent = "produce.send", "A producer takes a record into a batch.";
    RecordAcked = "produce.ack", "A producer is told that a record was appended.";
    RecordFailed = "produce.fail", "A producer gives a record up.";
    BatchRetried = "produce.retry", "A producer sends a batch again.";
    ProducerEpochRaised = "producer.epoch", "A producer has an identity, or raises its epoch (KIP-360).";
    Assigned = "consume.assign", "A consumer is given partitions to read.";
    Delivered = "consume.read", "A consumer hands a record to its application.";
    PositionMoved = "consume.seek", "A consumer's position moves other than by reading.";
    TruncationDetected = "consume.truncated", "A consumer learns that the log was truncated below its position (KIP-320).";
    ReadFailed = "consume.fail", "A consumer cannot go on in a partition until its application seeks.";
    OffsetListed = "consume.offset", "A client is told an offset by ListOffsets.";
    MetadataLearned = "client.metadata", "A client learns of a partition's leader.";
    CoordinatorLoaded = "group.load", "A broker has read a partition of `__consumer_offsets` that it leads, and looks after its groups.";
    CoordinatorUnloaded = "group.unload", "A broker does not look after the groups of a partition any more.";
    GroupStateChanged = "group.state", "A coordinator moves a group to another state or generation.";
    RebalanceStarted = "group.rebalance", "A coordinator has a group's members join again.";
    MemberAdded = "group.join", "A coordinator takes in a member.";
    MemberRemoved = "group.leave", "A coordinator strikes a member off.";
    OffsetAccepted = "group.commit", "A coordinator takes a committed offset into its log.";
    OffsetForgotten = "group.forget", "A coordinator writes down that a committed offset is to be forgotten.";
    GroupJoined = "member.join", "A consumer is told that it is a member of a generation.";
    MembershipLost = "member.lost", "A consumer is told, or finds, that it is no member any more, or that it must join again.";
    PartitionsOwned = "member.own", "A consumer's application is told which partitions it owns now.";
    Processed = "consume.process", "A consumer's application is done with records.";
    CommitSent = "commit.send", "A consumer sends a commit.";
    CommitAcked = "commit.ack", "A consumer is told that a commit was taken.";
    CommitFailed = "commit.fail", "A consumer is told, or must assume, that a commit was not taken.";
    CommittedAsked = "commit.ask", "A consumer asks how far its group has come.";
    CommittedTold = "commit.told", "A consumer is told how far its group has come.";
    AdminDone = "admin.done", "An operator's request was answered.";
    DiskFailed = "disk.fail", "A disk operation failed.";
    Halted = "node.halt", "A process ends itself.";
    LogCleaned = "log.cleaned", "A log was compacted: of each key the newest record is left.";
    LogUncleanable = "log.uncleanable", "A log cannot be compacted, and is left as it is.";
    MemberReconciled = "group.reconcile", "A coordinator moves a member of a KIP-848 group to another epoch or assignment.";
    LogCleaning = "log.cleaning", "A log begins to be compacted.";
}

impl Event {
    /// The partition it is about, if it is about one.
    pub fn partition(&self) -> Option<TopicPartition> {
        match self {
            Event::LeaderStarted { partition, .. }
            | Event::FollowerStarted { partition, .. }
            | Event::ReplicaStopped { partition, .. }
            | Event::Appended { partition, .. }
            | Event::Written { partition, .. }
            | Event::Flushed { partition, .. }
            | Event::Truncated { partition, .. }
            | Event::SegmentRolled { partition, .. }
            | Event::LogStartMoved { partition, .. }
            | Event::Recovered { partition, .. }
            | Event::LogCleaning { partition, .. }
            | Event::LogCleaned { partition, .. }
            | Event::LogUncleanable { partition, .. }
            | Event::HighWatermarkAdvanced { partition, .. }
            | Event::HighWatermarkAdopted { partition, .. }
            | Event::HighWatermarkRestored { partition, .. }
            | Event::IsrProposed { partition, .. }
            | Event::IsrAdopted { partition, .. }
            | Event::IsrProposalFailed { partition, .. }
            | Event::ProduceAnswered { partition, .. }
            | Event::DuplicateAnswered { partition, .. }
            | Event::ReadServed { partition, .. }
            | Event::FetchRefused { partition, .. }
            | Event::DivergenceFound { partition, .. }
            | Event::LeaderElected { partition, .. }
            | Event::IsrShrunk { partition, .. }
            | Event::IsrExpanded { partition, .. }
            | Event::PartitionChanged { partition, .. }
            | Event::RecordSent { partition, .. }
            | Event::RecordAcked { partition, .. }
            | Event::BatchRetried { partition, .. }
            | Event::Delivered { partition, .. }
            | Event::PositionMoved { partition, .. }
            | Event::TruncationDetected { partition, .. }
            | Event::ReadFailed { partition, .. }
            | Event::OffsetListed { partition, .. }
            | Event::CoordinatorLoaded { partition, .. }
            | Event::CoordinatorUnloaded { partition, .. }
            | Event::OffsetAccepted { partition, .. }
            | Event::OffsetForgotten { partition, .. }
            | Event::Processed { partition, .. }
            | Event::CommitSent { partition, .. }
            | Event::CommitAcked { partition, .. }
            | Event::CommitFailed { partition, .. }
            | Event::CommittedTold { partition, .. }
            | Event::MetadataLearned { partition, .. } => Some(*partition),
            Event::RecordFailed { partition, .. } => *partition,
            _ => None,
        }
    }

    /// The consumer group that an event is about, if it is about one.
    pub fn group(&self) -> Option<&GroupId> {
        match self {
            Event::GroupStateChanged { group, .. }
            | Event::RebalanceStarted { group, .. }
            | Event::MemberAdded { group, .. }
            | Event::MemberRemoved { group, .. }
            | Event::OffsetAccepted { group, .. }
            | Event::OffsetForgotten { group, .. }
            | Event::GroupJoined { group, .. }
            | Event::MembershipLost { group, .. }
            | Event::PartitionsOwned { group, .. }
            | Event::CommitSent { group, .. }
            | Event::CommitAcked { group, .. }
            | Event::CommitFailed { group, .. }
            | Event::CommittedAsked { group, .. }
            | Event::CommittedTold { group, .. } => Some(group),
            _ => None,
        }
    }

    /// As a person reads it, with the names of this place: what follows its kind on a line of a trace.
    pub fn show<'a>(&'a self, names: &'a dyn Names) -> Shown<'a> {
        Shown { event: self, names }
    }
}

/// An event with the names to show it by.
pub struct Shown<'a> {
    event: &'a Event,
    names: &'a dyn Names,
}

struct Named<'a, T: ?Sized>(&'a dyn Names, &'a T);

impl fmt::Display for Named<'_, TopicPartition> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.partition(*self.1, f)
    }
}

impl fmt::Display for Named<'_, NodeId> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.node(*self.1, f)
    }
}

impl fmt::Display for Named<'_, Option<NodeId>> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(node) => self.0.node(*node, f),
            None => f.write_str("none"),
        }
    }
}

impl fmt::Display for Named<'_, Vec<TopicPartition>> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, partition) in self.1.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            self.0.partition(*partition, f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Named<'_, Vec<(TopicPartition, i32)>> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let partitions: Vec<TopicPartition> = self.1.iter().map(|(partition, _)| *partition).collect();
        Named(self.0, &partitions).fmt(f)
    }
}

/// `@1226`, or nothing.
struct At<'a>(&'a Option<Offset>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |offset| write!(f, "@{offset}"))
    }
}

/// ` NOT_LEADER_OR_FOLLOWER`, or nothing.
struct Failed<'a>(&'a Option<ErrorCode>);

impl fmt::Display for Failed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |error| write!(f, " {error}"))
    }
}

macro_rules! words {
    ($($ty:ident { $($variant:ident = $word:literal,)* })*) => { $(
        impl fmt::Display for $ty {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($ty::$variant => $word,)* })
            }
        }
    )* };
}

words! {
    Uncleanable { Corrupt = "corrupt", Compressed = "compressed", }
    TruncateReason { Diverged = "diverged", OutOfRange = "out of range", Snapshot = "snapshot", Gap = "gap", }
    LogStartReason { Retention = "retention", DeleteRecords = "delete records", Leader = "leader", Snapshot = "snapshot", }
    SeekReason { Reset = "reset", Committed = "committed", OutOfRange = "out of range", Asked = "asked", Truncated = "truncated", }
    ReadFailure { NoOffsetForPartition = "NO_OFFSET_FOR_PARTITION", OffsetOutOfRange = "OFFSET_OUT_OF_RANGE", LogTruncation = "LOG_TRUNCATION", }
    QuorumRole { Unattached = "unattached", Prospective = "prospective", Candidate = "candidate", Resigned = "resigned", Leader = "leader", Follower = "follower", }
    BrokerState { Recovery = "recovery", Starting = "starting", Running = "running", PendingControlledShutdown = "pending controlled shutdown", ShuttingDown = "shutting down", }
    GroupState { Empty = "Empty", PreparingRebalance = "PreparingRebalance", CompletingRebalance = "CompletingRebalance", Stable = "Stable", Dead = "Dead", Assigning = "Assigning", Reconciling = "Reconciling", }
    RebalanceReason { MemberJoined = "a member joined", MemberRejoined = "a member joined again", MemberLeft = "a member left", SessionExpired = "a member was silent", SyncExpired = "a member did not sync", NotWritten = "the assignment was not written", TooManyMembers = "too many members", TopicsChanged = "a topic changed", }
    RemovalReason { Left = "left", SessionExpired = "silent for too long", RebalanceExpired = "did not join again", SyncExpired = "did not sync", Replaced = "replaced", }
    ForgetReason { Expired = "expired", Deleted = "deleted", TopicDeleted = "topic deleted", }
    MembershipEnd { Rebalance = "rebalance", Fenced = "fenced", SessionExpired = "no coordinator", PollTooLate = "polled too late", Left = "left", InstanceFenced = "instance fenced", Refused = "refused", }
    CommitReason { Auto = "auto", Sync = "sync", Async = "async", Revoked = "revoked", Closed = "closed", }
    Halt { Shutdown = "shutdown", DiskFailed = "disk failed", }
    DiskError { Io = "I/O error", Full = "no space left", NotFound = "not found", }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let n = self.names;
        match self.event {
            Event::LeaderStarted { partition, epoch, log_end, high_watermark, isr } => write!(
                f,
                "{} epoch {epoch} from {log_end}, hw {high_watermark}, isr {isr}",
                Named(n, partition)
            ),
            Event::FollowerStarted { partition, epoch, leader, log_end } => {
                write!(f, "{} epoch {epoch} leader {} from {log_end}", Named(n, partition), Named(n, leader))
            }
            Event::ReplicaStopped { partition, deleted } => {
                write!(f, "{}{}", Named(n, partition), if *deleted { " deleted" } else { "" })
            }
            Event::Appended { partition, base, end, epoch, .. } => {
                write!(f, "{} @{base}..{end} epoch {epoch}", Named(n, partition))
            }
            Event::Written { partition, end } => write!(f, "{} to {end}", Named(n, partition)),
            Event::Flushed { partition, end } => write!(f, "{} to {end}", Named(n, partition)),
            Event::Truncated { partition, from, to, why, .. } => {
                write!(f, "{} {from} → {to} ({})", Named(n, partition), why)
            }
            Event::SegmentRolled { partition, base } => write!(f, "{} at {base}", Named(n, partition)),
            Event::LogStartMoved { partition, from, to, why } => {
                write!(f, "{} {from} → {to} ({})", Named(n, partition), why)
            }
            Event::Recovered { partition, start, end, clean, cut, .. } => write!(
                f,
                "{} {start}..{end}{}, {cut} bytes cut",
                Named(n, partition),
                if *clean { " clean" } else { "" }
            ),
            Event::HighWatermarkAdvanced { partition, from, to, isr, .. } => {
                write!(f, "{} {from} → {to} on {isr}", Named(n, partition))
            }
            Event::HighWatermarkAdopted { partition, to, .. } => write!(f, "{} → {to}", Named(n, partition)),
            Event::HighWatermarkRestored { partition, to } => write!(f, "{} → {to}", Named(n, partition)),
            Event::IsrProposed { partition, from, to, .. } => {
                write!(f, "{} {from} → {to}", Named(n, partition))
            }
            Event::IsrAdopted { partition, isr, .. } => write!(f, "{} {isr}", Named(n, partition)),
            Event::IsrProposalFailed { partition, error, retried, .. } => {
                write!(f, "{} {error}{}", Named(n, partition), if *retried { ", again" } else { "" })
            }
            Event::ProduceAnswered { partition, base, error, .. } => {
                write!(f, "{} {}{}", Named(n, partition), At(base), Failed(error))
            }
            Event::DuplicateAnswered { partition, producer, base } => write!(
                f,
                "{} producer {} sequence {} @{base}",
                Named(n, partition),
                producer.id,
                producer.base_sequence
            ),
            Event::ReadServed { partition, reader, from, end, .. } => {
                write!(f, "{} @{from}..{end} to {}", Named(n, partition), Named(n, reader))
            }
            Event::FetchRefused { partition, reader, error } => {
                write!(f, "{} {error} to {}", Named(n, partition), Named(n, reader))
            }
            Event::DivergenceFound { partition, reader, epoch, end } => {
                write!(f, "{} with {}: epoch {epoch} ends at {end}", Named(n, partition), Named(n, reader))
            }
            Event::BrokerStateChanged { state } => write!(f, "{}", state),
            Event::BrokerEpochReceived { epoch } => write!(f, "epoch {epoch}"),
            Event::MetadataApplied { end, from_snapshot, .. } => {
                write!(f, "to {end}{}", if *from_snapshot { " from a snapshot" } else { "" })
            }
            Event::ProducerIdGiven { id, epoch, to } => write!(f, "{id} epoch {epoch} to {}", Named(n, to)),
            Event::ControllerActivated { epoch, end } => write!(f, "epoch {epoch}, replayed to {end}"),
            Event::ControllerResigned { epoch } => write!(f, "epoch {epoch}"),
            Event::TopicCreated { name, .. } => write!(f, "{name}"),
            Event::TopicDeleted { name, .. } => write!(f, "{name}"),
            Event::LeaderElected { partition, from, state, unclean, .. } => write!(
                f,
                "{} {} → {} epoch {} isr {}{}",
                Named(n, partition),
                Named(n, from),
                Named(n, &state.leader),
                state.leader_epoch,
                state.isr,
                if *unclean { " unclean" } else { "" }
            ),
            Event::IsrShrunk { partition, from, state, .. } => {
                write!(f, "{} {from} → {}", Named(n, partition), state.isr)
            }
            Event::IsrExpanded { partition, from, state, .. } => {
                write!(f, "{} {from} → {}", Named(n, partition), state.isr)
            }
            Event::PartitionChanged { partition, state, .. } => write!(
                f,
                "{} leader {} epoch {} isr {} elr {}",
                Named(n, partition),
                Named(n, &state.leader),
                state.leader_epoch,
                state.isr,
                state.elr
            ),
            Event::BrokerRegistered { broker, epoch, clean, .. } => write!(
                f,
                "{} epoch {epoch}{}",
                Named(n, broker),
                if *clean { "" } else { " after an unclean shutdown" }
            ),
            Event::BrokerFenced { broker, epoch, .. } => write!(f, "{} epoch {epoch}", Named(n, broker)),
            Event::BrokerUnfenced { broker, epoch, .. } => write!(f, "{} epoch {epoch}", Named(n, broker)),
            Event::BrokerLeaving { broker, epoch, .. } => write!(f, "{} epoch {epoch}", Named(n, broker)),
            Event::ProducerIdsAllocated { broker, first, len, .. } => {
                write!(f, "{first}..+{len} to {}", Named(n, broker))
            }
            Event::QuorumRoleChanged { role, epoch, leader } => {
                write!(f, "{} epoch {epoch}, leader {}", role, Named(n, leader))
            }
            Event::QuorumVoted { epoch, candidate } => write!(f, "epoch {epoch} for {}", Named(n, candidate)),
            Event::QuorumLeaderElected { epoch, votes, .. } => write!(f, "epoch {epoch} with {votes}"),
            Event::QuorumHighWatermarkAdvanced { from, to, .. } => write!(f, "{from} → {to}"),
            Event::QuorumResigned { epoch, lost_majority } => {
                write!(f, "epoch {epoch}{}", if *lost_majority { ": no majority fetches" } else { "" })
            }
            Event::SnapshotWritten { end, epoch, size } => write!(f, "@{end} epoch {epoch}, {size} bytes"),
            Event::SnapshotLoaded { end, epoch } => write!(f, "@{end} epoch {epoch}"),
            Event::RecordSent { partition, value, .. } => write!(f, "{} {value}", Named(n, partition)),
            Event::RecordAcked { partition, offset, .. } => {
                write!(f, "{} {}", Named(n, partition), At(offset))
            }
            Event::RecordFailed { tag, error, maybe_written, .. } => {
                write!(f, "{} {error}{}", tag.0, if *maybe_written { ", perhaps written" } else { "" })
            }
            Event::BatchRetried { partition, attempt, error, .. } => {
                write!(f, "{} attempt {attempt} after {error}", Named(n, partition))
            }
            Event::ProducerEpochRaised { id, epoch } => write!(f, "{id} epoch {epoch}"),
            Event::Assigned { partitions } => write!(f, "{}", Named(n, partitions)),
            Event::Delivered { partition, offset, value, .. } => {
                write!(f, "{} @{offset} {value}", Named(n, partition))
            }
            Event::PositionMoved { partition, from, to, why } => {
                write!(f, "{} {} → {to} ({})", Named(n, partition), At(from), why)
            }
            Event::TruncationDetected { partition, position, to } => {
                write!(f, "{} position {position}, agreed to {}", Named(n, partition), At(to))
            }
            Event::ReadFailed { partition, error } => write!(f, "{} {error}", Named(n, partition)),
            Event::OffsetListed { partition, latest, offset, .. } => {
                write!(f, "{} {}{}", Named(n, partition), if *latest { "end " } else { "" }, At(offset))
            }
            Event::MetadataLearned { partition, leader, epoch } => {
                write!(f, "{} leader {} epoch {epoch}", Named(n, partition), Named(n, leader))
            }
            Event::CoordinatorLoaded { partition, epoch, end, groups } => {
                write!(f, "{} epoch {epoch} to {end}, {groups} groups", Named(n, partition))
            }
            Event::CoordinatorUnloaded { partition, epoch } => {
                write!(f, "{} epoch {epoch}", Named(n, partition))
            }
            Event::GroupStateChanged { group, state, generation, members, .. } => {
                write!(f, "{group} {state} generation {generation}, {} members", members.len())
            }
            Event::RebalanceStarted { group, generation, why } => {
                write!(f, "{group} after generation {generation}: {why}")
            }
            Event::MemberAdded { group, member, instance, node } => {
                write!(f, "{group} {member} of {}", Named(n, node))?;
                instance.as_ref().map_or(Ok(()), |instance| write!(f, " as {instance}"))
            }
            Event::MemberRemoved { group, member, why } => write!(f, "{group} {member}: {why}"),
            Event::OffsetAccepted { group, partition, offset, generation, .. } => {
                write!(f, "{group} {} @{offset} generation {generation}", Named(n, partition))
            }
            Event::OffsetForgotten { group, partition, why } => {
                write!(f, "{group} {}: {why}", Named(n, partition))
            }
            Event::GroupJoined { group, member, generation, leads } => {
                write!(
                    f,
                    "{group} as {member} generation {generation}{}",
                    if *leads { ", leads" } else { "" }
                )
            }
            Event::MembershipLost { group, generation, why, .. } => {
                write!(f, "{group} generation {generation}: {why}")
            }
            Event::PartitionsOwned { group, generation, partitions, lost, .. } => write!(
                f,
                "{group} generation {generation}: {}{}",
                Named(n, partitions),
                if *lost { " (lost)" } else { "" }
            ),
            Event::Processed { partition, from, to } => write!(f, "{} @{from}..{to}", Named(n, partition)),
            Event::CommitSent { group, partition, offset, generation, why, .. } => {
                write!(f, "{group} {} @{offset} generation {generation} ({why})", Named(n, partition))
            }
            Event::CommitAcked { group, partition, offset } => {
                write!(f, "{group} {} @{offset}", Named(n, partition))
            }
            Event::CommitFailed { group, partition, offset, error, retried } => write!(
                f,
                "{group} {} @{offset} {error}{}",
                Named(n, partition),
                if *retried { ", again" } else { "" }
            ),
            Event::CommittedAsked { group, partitions } => write!(f, "{group} {}", Named(n, partitions)),
            Event::CommittedTold { group, partition, offset } => {
                write!(f, "{group} {} {}", Named(n, partition), At(offset))
            }
            Event::AdminDone { what, error } => write!(f, "{what}{}", Failed(error)),
            Event::DiskFailed { file, error } => write!(f, "{file} {}", error),
            Event::Halted { why } => write!(f, "{}", why),
            Event::LogCleaning { partition, from, to } => write!(f, "{} {from}..{to}", Named(n, partition)),
            Event::LogCleaned { partition, from, to, kept, dropped } => {
                write!(f, "{} {from}..{to}, {kept} kept, {dropped} dropped", Named(n, partition))
            }
            Event::LogUncleanable { partition, why } => write!(f, "{} ({})", Named(n, partition), why),
            Event::MemberReconciled { group, member, epoch, assigned, revoking, .. } => {
                write!(f, "{group} {member} epoch {epoch}: {}", Named(n, assigned))?;
                if revoking.is_empty() { Ok(()) } else { write!(f, ", gives up {}", Named(n, revoking)) }
            }
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.show(&Nameless).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let names: alloc::collections::BTreeSet<_> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), EventKind::ALL.len());
        assert_eq!(EventKind::from_name("hw.advance"), Some(EventKind::HighWatermarkAdvanced));
    }

    #[test]
    fn an_event_reads_as_in_kafka() {
        let event = Event::HighWatermarkAdvanced {
            partition: TopicPartition::new(TopicId(2), 0),
            epoch: LeaderEpoch(4),
            from: Offset(1226),
            to: Offset(1227),
            isr: [NodeId(1), NodeId(2)].into_iter().collect(),
            log_end: Offset(1227),
        };
        assert_eq!(
            std::format!("{} {event}", event.kind().name()),
            "hw.advance topic#2-0 1226 → 1227 on {1,2}"
        );
    }
}
