//! Metadata, key 3: who leads what? KIP-320 (leader epochs), KIP-516 (topic ids).

use alloc::{sync::Arc, vec::Vec};

use super::{ErrorCode, TopicName, TopicRef};
use crate::units::{LeaderEpoch, NodeId, NodeSet, TopicId};

/// Asks about topics.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetadataRequest {
    /// Which; `None` for all.
    pub topics: Option<Vec<TopicRef>>,
    /// Whether a topic that is asked for by a name that none has may be created (`allow.auto.create.topics`). Our own
    /// clients never want it: a scenario's topics are those that it names.
    pub allow_auto_topic_creation: bool,
}

/// What the answering broker has heard, which may be old.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetadataResponse {
    /// The brokers that are registered and not fenced, in order.
    pub brokers: NodeSet,
    /// The active controller as far as the broker knows. Not one that a client could ask.
    pub controller: Option<NodeId>,
    /// The topics asked for, in the order asked; all of them in order of name, if all were.
    pub topics: Vec<TopicMetadata>,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicMetadata {
    /// What was asked for.
    pub topic: TopicRef,
    /// Why there is no more to say.
    pub error: Option<ErrorCode>,
    /// Its name, if known.
    pub name: Option<TopicName>,
    /// Its id, if known.
    pub id: Option<TopicId>,
    /// Its partitions, in order: one list for everybody who is told the same.
    pub partitions: Arc<[PartitionMetadata]>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionMetadata {
    /// Which.
    pub partition: u32,
    /// `LeaderNotAvailable` if there is no leader or it is not alive.
    pub error: Option<ErrorCode>,
    /// Its leader.
    pub leader: Option<NodeId>,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// Who should have it, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// Who is in sync.
    pub isr: NodeSet,
    /// Which replicas are on brokers that are fenced or gone.
    pub offline: NodeSet,
}
