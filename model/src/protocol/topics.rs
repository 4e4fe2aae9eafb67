//! CreateTopics 19, DeleteTopics 20, DeleteRecords 21, CreatePartitions 37, ElectLeaders 43,
//! DescribeTopicPartitions 75: what operators ask. A broker hands those that change the cluster on to the
//! active controller (KIP-590).

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use super::{ErrorCode, LeaderHint, NamedPartition, PartitionRef, TopicName, metadata::TopicMetadata};
use crate::units::{NodeId, NodeSet, Offset, TopicId};

/// Creates topics.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CreateTopicsRequest {
    /// What to create.
    pub topics: Vec<NewTopic>,
    /// How long the controller may take.
    pub timeout: Duration,
}

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions, `u32::MAX` (Kafka: -1) for `num.partitions`; ignored where an assignment is given.
    pub partitions: u32,
    /// How many replicas of each, `u16::MAX` (Kafka: -1) for `default.replication.factor`; ignored where an
    /// assignment is given.
    pub replication_factor: u16,
    /// The replicas of every partition, the preferred leader first; empty to let the controller choose.
    pub assignment: Vec<Vec<NodeId>>,
    /// Kafka's topic configuration keys and their values.
    pub config: Vec<(String, String)>,
}

/// One answer a topic, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CreateTopicsResponse {
    /// The id of each new topic, or why there is none.
    pub topics: Vec<(TopicName, Result<TopicId, ErrorCode>)>,
}

/// Deletes topics.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeleteTopicsRequest {
    /// Which.
    pub topics: Vec<TopicName>,
    /// How long the controller may take.
    pub timeout: Duration,
}

/// One answer a topic, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeleteTopicsResponse {
    /// What came of each.
    pub topics: Vec<(TopicName, Result<(), ErrorCode>)>,
}

/// Gives topics more partitions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CreatePartitionsRequest {
    /// Which topics, and how many partitions each shall have in all.
    pub topics: Vec<(TopicName, u32)>,
    /// How long the controller may take.
    pub timeout: Duration,
}

/// One answer a topic, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CreatePartitionsResponse {
    /// What came of each.
    pub topics: Vec<(TopicName, Result<(), ErrorCode>)>,
}

/// Drops the beginning of logs. Goes to each partition's leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeleteRecordsRequest {
    /// Which partitions, and the first offset to keep; `None` for the high watermark.
    pub partitions: Vec<(PartitionRef, Option<Offset>)>,
    /// How long the leader waits for the replicas.
    pub timeout: Duration,
}

/// One answer a partition, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeleteRecordsResponse {
    /// Where each log begins now.
    pub partitions: Vec<(PartitionRef, Result<Offset, ErrorCode>, Option<LeaderHint>)>,
}

/// Which kind of election (KIP-460).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ElectionKind {
    /// The preferred replica, if it is in sync.
    Preferred,
    /// Any live replica, if no replica in sync is alive.
    Unclean,
}

/// Has leaders elected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ElectLeadersRequest {
    /// How.
    pub kind: ElectionKind,
    /// Of which partitions, which every version names by their topic's name; `None` for all.
    pub partitions: Option<Vec<NamedPartition>>,
    /// How long the controller may take.
    pub timeout: Duration,
}

/// One answer a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ElectLeadersResponse {
    /// Why nothing was looked at.
    pub error: Option<ErrorCode>,
    /// What came of each.
    pub partitions: Vec<(NamedPartition, Result<(), ErrorCode>)>,
}

/// Describes topics (KIP-966).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DescribeTopicPartitionsRequest {
    /// Which; `None` for all.
    pub topics: Option<Vec<TopicName>>,
}

/// The description, as the answering broker has heard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DescribeTopicPartitionsResponse {
    /// The topics.
    pub topics: Vec<TopicDescription>,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicDescription {
    /// Everything that Metadata tells.
    pub metadata: TopicMetadata,
    /// Eligible leader replicas and last known ones of each partition, in order (KIP-966).
    pub eligible: Vec<(NodeSet, NodeSet)>,
}
