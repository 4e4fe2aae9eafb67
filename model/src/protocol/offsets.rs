//! OffsetCommit 8, OffsetFetch 9, OffsetDelete 47: how far a group has come. KIP-211 (expiry), KIP-320 (epochs),
//! KIP-848 (member epochs in place of generations).

use alloc::{sync::Arc, vec::Vec};

use super::{ErrorCode, NamedPartition};
use crate::units::{GroupId, InstanceId, LeaderEpoch, MemberId, Offset};

/// How far a group has come in a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: Offset,
    /// The epoch of the record before, if known.
    pub epoch: Option<LeaderEpoch>,
    /// Whatever the application wants to remember with it; empty for nothing.
    pub metadata: Arc<str>,
}

/// A group has come so far.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetCommitRequest {
    /// Which group.
    pub group: GroupId,
    /// The generation (classic) or member epoch (KIP-848) it commits in; -1 for who is in no group.
    pub generation: i32,
    /// Who; empty for who is in no group.
    pub member: MemberId,
    /// Its `group.instance.id`.
    pub instance: Option<InstanceId>,
    /// How far.
    pub offsets: Vec<(NamedPartition, CommittedOffset)>,
}

/// One answer a partition, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetCommitResponse {
    /// Why each was not taken.
    pub partitions: Vec<(NamedPartition, Option<ErrorCode>)>,
}

/// How far has a group come?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupOffsetsWanted {
    /// Which group.
    pub group: GroupId,
    /// Who asks, where the member epoch is to be checked (KIP-848).
    pub member: Option<MemberId>,
    /// The member epoch; -1 for none.
    pub epoch: i32,
    /// In which partitions; in all of which something is known if `None`.
    pub partitions: Option<Vec<NamedPartition>>,
}

/// How far have groups come?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetFetchRequest {
    /// Which.
    pub groups: Vec<GroupOffsetsWanted>,
    /// Whether offsets of open transactions are to be waited for (KIP-447).
    pub require_stable: bool,
}

/// How far one group has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupOffsets {
    /// Which group.
    pub group: GroupId,
    /// Why nothing can be said of it.
    pub error: Option<ErrorCode>,
    /// In each partition, if anywhere.
    pub partitions: Vec<(NamedPartition, Result<Option<CommittedOffset>, ErrorCode>)>,
}

/// One answer a group, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetFetchResponse {
    /// How far each has come.
    pub groups: Vec<GroupOffsets>,
}

/// What a group has said of partitions is to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetDeleteRequest {
    /// Which group.
    pub group: GroupId,
    /// Of which partitions.
    pub partitions: Vec<NamedPartition>,
}

/// One answer a partition, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetDeleteResponse {
    /// Why nothing was forgotten at all.
    pub error: Option<ErrorCode>,
    /// Why each was not.
    pub partitions: Vec<(NamedPartition, Option<ErrorCode>)>,
}
