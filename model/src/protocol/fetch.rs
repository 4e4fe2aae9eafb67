//! Fetch, key 1: how everybody reads a log. KIP-74 (size limits), KIP-101, KIP-227 (incremental fetches),
//! KIP-320 (fencing), KIP-595 (diverging epochs, the metadata log), KIP-903 (the follower's broker epoch),
//! KIP-951 (leader hints).

use alloc::vec::Vec;
use core::time::Duration;

use super::{ErrorCode, LeaderHint, PartitionRef};
use crate::{
    log::batch::Batches,
    units::{BrokerEpoch, LeaderEpoch, NodeId, Offset, TopicPartition},
};

/// A replica that fetches, not a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaState {
    /// Who.
    pub replica: NodeId,
    /// Its registration, which tells a restarted follower from its former self (KIP-903). `None` for voters
    /// and observers of the metadata log.
    pub broker_epoch: Option<BrokerEpoch>,
}

/// Reads several partitions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchRequest {
    /// The replica that asks; a consumer has none.
    pub replica: Option<ReplicaState>,
    /// How long to wait for `min_bytes`.
    pub max_wait: Duration,
    /// Answer at once when there is this much.
    pub min_bytes: u32,
    /// No more than this in all, but at least one batch if there is one.
    pub max_bytes: u32,
    /// What to read.
    pub partitions: Vec<PartitionFetch>,
    /// Whether the partitions of the connection's last fetch are meant, too, as they were asked for then:
    /// `partitions` are those that are new or asked for otherwise (KIP-227). Kafka gives such a session a
    /// number; ours belongs to its connection.
    pub incremental: bool,
    /// Partitions of the last fetch that are not meant any more.
    pub forgotten: Vec<TopicPartition>,
}

/// What to read of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionFetch {
    /// Which.
    pub partition: PartitionRef,
    /// The leader epoch the reader believes in; fenced if it is not the leader's (KIP-320).
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// The first offset wanted. From a replica it says that everything before is *written* there (for the
    /// metadata log: *flushed*).
    pub fetch_offset: Offset,
    /// The epoch of the record before `fetch_offset`; lets the leader find a divergence (KIP-595).
    pub last_fetched_epoch: Option<LeaderEpoch>,
    /// Where the replica's log begins.
    pub log_start: Option<Offset>,
    /// No more than this of the partition.
    pub max_bytes: u32,
}

/// One answer a partition. A follower is told only of partitions with something new: records, an error, a
/// divergence, another high watermark or log start. A consumer is answered for every partition it asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchResponse {
    /// The answers, in the order asked for.
    pub partitions: Vec<PartitionFetched>,
}

/// What was read of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionFetched {
    /// Which.
    pub partition: PartitionRef,
    /// Why nothing was read.
    pub error: Option<ErrorCode>,
    /// The leader's high watermark.
    pub high_watermark: Offset,
    /// Where the leader's log begins.
    pub log_start: Offset,
    /// Set when the reader's log has parted from the leader's: truncate to it and ask again (KIP-595).
    pub diverging_epoch: Option<EpochEnd>,
    /// Set when the log no longer begins early enough: fetch this snapshot first (KIP-630). Metadata only.
    pub snapshot: Option<EpochEnd>,
    /// Who leads, where the error is that we do not, or that the epoch is fenced.
    pub leader: Option<LeaderHint>,
    /// Whole batches; the first may begin before the offset asked for.
    pub batches: Batches,
}

/// An epoch and the offset at which it ends (one past its last record).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochEnd {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Where it ends.
    pub end: Offset,
}
