//! AlterPartition, key 56: a leader proposes an ISR. KIP-497, KIP-841 (fenced brokers), KIP-903 (broker
//! epochs), KIP-966.

use alloc::vec::Vec;

use super::ErrorCode;
use crate::units::{BrokerEpoch, LeaderEpoch, NodeId, NodeSet, PartitionEpoch, TopicPartition};

/// A broker's proposals for partitions it leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AlterPartitionRequest {
    /// Who proposes.
    pub broker: NodeId,
    /// Its registration.
    pub broker_epoch: BrokerEpoch,
    /// What it proposes, one a partition.
    pub partitions: Vec<IsrProposal>,
}

/// A proposed ISR.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IsrProposal {
    /// Of which partition.
    pub partition: TopicPartition,
    /// The proposer's epoch as its leader.
    pub leader_epoch: LeaderEpoch,
    /// The state it started from.
    pub partition_epoch: PartitionEpoch,
    /// Who should be in sync, each with the registration by which the leader knows it (KIP-903).
    pub isr: Vec<(NodeId, Option<BrokerEpoch>)>,
}

/// The controller's answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AlterPartitionResponse {
    /// Why none of it was looked at: `NotController`, `StaleBrokerEpoch`.
    pub error: Option<ErrorCode>,
    /// One answer a proposal, in order.
    pub partitions: Vec<(TopicPartition, Result<AlteredPartition, ErrorCode>)>,
}

/// The state of a partition after the proposal was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AlteredPartition {
    /// Its leader.
    pub leader: Option<NodeId>,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// Who is in sync now.
    pub isr: NodeSet,
    /// The state's version.
    pub partition_epoch: PartitionEpoch,
}
