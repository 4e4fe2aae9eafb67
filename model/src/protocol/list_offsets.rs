//! ListOffsets, key 2: which offset belongs to a time? KIP-79, KIP-207 (not before the leader is sure),
//! KIP-320 (fencing), KIP-734 (the greatest timestamp).

use alloc::vec::Vec;

use super::{ErrorCode, LeaderHint, PartitionRef};
use crate::{
    time::Timestamp,
    units::{LeaderEpoch, NodeId, Offset},
};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OffsetSpec {
    /// `-2`: the log's start.
    Earliest,
    /// `-1`: the high watermark for a consumer, the log's end for a replica.
    Latest,
    /// `-3`: the record with the greatest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record whose timestamp is this or later.
    Time(Timestamp),
}

/// Looks offsets up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListOffsetsRequest {
    /// The replica that asks; a consumer has none.
    pub replica: Option<NodeId>,
    /// What to look up.
    pub partitions: Vec<PartitionListOffsets>,
}

/// One look-up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionListOffsets {
    /// Where.
    pub partition: PartitionRef,
    /// The leader epoch the asker believes in.
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// What.
    pub spec: OffsetSpec,
}

/// One answer a look-up, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListOffsetsResponse {
    /// The answers.
    pub partitions: Vec<PartitionOffsets>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionOffsets {
    /// Where.
    pub partition: PartitionRef,
    /// The offset; `None` inside if no record is that late.
    pub result: Result<Option<FoundOffset>, ErrorCode>,
    /// Who leads, where the error is that we do not.
    pub leader: Option<LeaderHint>,
}

/// An offset that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FoundOffset {
    /// The offset.
    pub offset: Offset,
    /// The record's timestamp, where one was looked for.
    pub timestamp: Option<Timestamp>,
    /// The epoch of the record before the offset, or of the offset's own record.
    pub leader_epoch: Option<LeaderEpoch>,
}
