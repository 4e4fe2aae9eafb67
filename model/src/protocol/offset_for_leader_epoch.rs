//! OffsetForLeaderEpoch, key 23: where does an epoch end? KIP-101, KIP-279 (answers with the epoch it is
//! about), KIP-320 (fencing; asked by consumers too).

use alloc::vec::Vec;

use super::{ErrorCode, PartitionRef, fetch::EpochEnd};
use crate::units::{LeaderEpoch, NodeId};

/// Asks where epochs end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetForLeaderEpochRequest {
    /// The replica that asks; a consumer has none.
    pub replica: Option<NodeId>,
    /// What to look up.
    pub partitions: Vec<PartitionEpochQuery>,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionEpochQuery {
    /// Where.
    pub partition: PartitionRef,
    /// The leader epoch the asker believes in.
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// The epoch whose end is wanted.
    pub leader_epoch: LeaderEpoch,
}

/// One answer a question, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetForLeaderEpochResponse {
    /// The answers.
    pub partitions: Vec<PartitionEpochEnd>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionEpochEnd {
    /// Where.
    pub partition: PartitionRef,
    /// The greatest epoch known that is not greater than the one asked for, and its end; `None` inside if
    /// there is no such epoch.
    pub result: Result<Option<EpochEnd>, ErrorCode>,
}
