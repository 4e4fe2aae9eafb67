//! Vote 52, BeginQuorumEpoch 53, EndQuorumEpoch 54, DescribeQuorum 55, FetchSnapshot 59: how the controllers
//! agree. KIP-595, KIP-630 (snapshots), KIP-996 (pre-vote). Replication itself is Fetch.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{ErrorCode, fetch::EpochEnd};
use crate::units::{LeaderEpoch, NodeId, NodeSet, Offset};

/// Asks for a vote.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VoteRequest {
    /// The epoch to be led; in a pre-vote the asker's present one.
    pub epoch: LeaderEpoch,
    /// Who wants to lead it.
    pub candidate: NodeId,
    /// Where the candidate's log ends.
    pub last: EpochEnd,
    /// Whether this only asks how a vote would go (KIP-996).
    pub pre_vote: bool,
}

/// A vote.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VoteResponse {
    /// Why the question was not looked at: `FencedLeaderEpoch`, `InconsistentVoterSet`.
    pub error: Option<ErrorCode>,
    /// The voter's epoch.
    pub epoch: LeaderEpoch,
    /// The leader it knows in that epoch.
    pub leader: Option<NodeId>,
    /// Whether the vote is granted.
    pub granted: bool,
}

/// Tells a voter who leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BeginQuorumEpochRequest {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Its leader: the sender.
    pub leader: NodeId,
}

/// The voter's answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BeginQuorumEpochResponse {
    /// Why it does not follow: `FencedLeaderEpoch`.
    pub error: Option<ErrorCode>,
    /// The voter's epoch.
    pub epoch: LeaderEpoch,
    /// The leader it knows in that epoch.
    pub leader: Option<NodeId>,
}

/// Tells a voter that the leader resigns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndQuorumEpochRequest {
    /// The epoch that ends.
    pub epoch: LeaderEpoch,
    /// Its leader: the sender.
    pub leader: NodeId,
    /// Who should stand for election, the most caught up first.
    pub preferred_successors: Vec<NodeId>,
}

/// The voter's answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndQuorumEpochResponse {
    /// Why it does not care: `FencedLeaderEpoch`.
    pub error: Option<ErrorCode>,
    /// The voter's epoch.
    pub epoch: LeaderEpoch,
    /// The leader it knows in that epoch.
    pub leader: Option<NodeId>,
}

/// Asks how the quorum stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DescribeQuorumRequest {}

/// How the quorum stands, by its leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DescribeQuorumResponse {
    /// `NotLeaderOrFollower` from anybody else.
    pub error: Option<ErrorCode>,
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The leader.
    pub leader: Option<NodeId>,
    /// Its high watermark.
    pub high_watermark: Offset,
    /// Every voter and where its log ends, as the leader knows it.
    pub voters: Vec<(NodeId, Offset)>,
    /// The observers heard of lately.
    pub observers: NodeSet,
}

/// Reads a piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchSnapshotRequest {
    /// Who reads.
    pub replica: NodeId,
    /// The epoch it believes in.
    pub current_leader_epoch: LeaderEpoch,
    /// Which snapshot: the end offset it stands for and the epoch of the record before.
    pub snapshot: EpochEnd,
    /// From which byte.
    pub position: u64,
    /// No more than this.
    pub max_bytes: u32,
}

/// A piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchSnapshotResponse {
    /// Why there is none: `SnapshotNotFound`, `PositionOutOfRange`, `FencedLeaderEpoch`, `UnknownLeaderEpoch`,
    /// `NotLeaderOrFollower`.
    pub error: Option<ErrorCode>,
    /// The answerer's epoch.
    pub epoch: LeaderEpoch,
    /// The leader it knows in that epoch.
    pub leader: Option<NodeId>,
    /// Which snapshot.
    pub snapshot: EpochEnd,
    /// How long the whole is.
    pub size: u64,
    /// From which byte this is.
    pub position: u64,
    /// The piece.
    pub bytes: Bytes,
}
