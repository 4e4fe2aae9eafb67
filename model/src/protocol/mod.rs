//! What do nodes say to each other? Kafka's requests and responses in the model's own small types.
//!
//! `host/wire` maps them to Kafka's frames and versions; in the simulation they travel as values. One file
//! an API, headed by its key and the KIPs that shaped it.

pub mod alter_partition;
pub mod broker_heartbeat;
pub mod broker_registration;
pub mod configs;
pub mod consumer_group;
pub mod error;
pub mod fetch;
pub mod group_admin;
pub mod groups;
pub mod list_offsets;
pub mod metadata;
pub mod offset_for_leader_epoch;
pub mod offsets;
pub mod produce;
pub mod producer_ids;
pub mod quorum;
pub mod topics;

use alloc::sync::Arc;
use core::fmt;

pub use error::ErrorCode;
use serde::{Deserialize, Serialize};

use crate::units::{NodeId, TopicId, TopicPartition};

/// A topic's name. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicName(#[serde(with = "arc_str")] pub Arc<str>);

impl TopicName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a topic may bear it: 1 to 249 ASCII letters, digits, `.`, `_` and `-`, and neither `.` nor `..`
    /// (Kafka's `Topic.validate`).
    pub fn is_legal(&self) -> bool {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name = self.as_str();
        (1..=249).contains(&name.len()) && name != "." && name != ".." && name.chars().all(legal)
    }
}

impl From<&str> for TopicName {
    fn from(name: &str) -> TopicName {
        TopicName(name.into())
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

mod arc_str {
    use alloc::{string::String, sync::Arc};

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(name: &Arc<str>, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(name)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Arc<str>, D::Error> {
        Ok(String::deserialize(d)?.into())
    }
}

/// A topic as a request names it: by its id since Produce 13 and Fetch 13 (KIP-516), by its name before.
///
/// A response repeats what the request said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicRef {
    /// By id.
    Id(TopicId),
    /// By name.
    Name(TopicName),
}

/// A partition as a request names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionRef {
    /// The topic.
    pub topic: TopicRef,
    /// Which of its partitions.
    pub partition: u32,
}

impl From<TopicPartition> for PartitionRef {
    fn from(of: TopicPartition) -> PartitionRef {
        PartitionRef { topic: TopicRef::Id(of.topic), partition: of.partition }
    }
}

impl PartitionRef {
    /// The partition, if it is named by id.
    pub fn by_id(&self) -> Option<TopicPartition> {
        match self.topic {
            TopicRef::Id(topic) => Some(TopicPartition::new(topic, self.partition)),
            TopicRef::Name(_) => None,
        }
    }
}

impl fmt::Display for PartitionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.topic {
            TopicRef::Id(topic) => write!(f, "{}", TopicPartition::new(*topic, self.partition)),
            TopicRef::Name(name) => write!(f, "{name}-{}", self.partition),
        }
    }
}

/// A partition by its topic's name, as applications and groups name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NamedPartition {
    /// The topic's name.
    pub topic: TopicName,
    /// Which of its partitions.
    pub partition: u32,
}

impl fmt::Display for NamedPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Where the leader of a partition is, sent along with an error so that a client need not ask (KIP-951).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderHint {
    /// The leader, if there is one.
    pub leader: Option<NodeId>,
    /// Its epoch.
    pub epoch: crate::units::LeaderEpoch,
}

macro_rules! apis {
    ($($(#[$doc:meta])* $name:ident = $key:literal $spelled:literal ($request:ty, $response:ty),)*) => {
        /// One kind of request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum ApiKey { $($(#[$doc])* $name,)* }

        impl ApiKey {
            /// All of them, in the order of their numbers' files.
            pub const ALL: &'static [ApiKey] = &[$(ApiKey::$name,)*];

            /// The number on the wire.
            pub const fn code(self) -> i16 {
                match self { $(ApiKey::$name => $key,)* }
            }

            /// Kafka's spelling: `ALTER_PARTITION`.
            pub const fn name(self) -> &'static str {
                match self { $(ApiKey::$name => $spelled,)* }
            }
        }

        /// Everything a node can be asked.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Request { $($(#[$doc])* $name($request),)* }

        /// Everything a node can answer.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Response { $($(#[$doc])* $name($response),)* }

        impl Request {
            /// Which kind this is.
            pub const fn api(&self) -> ApiKey {
                match self { $(Request::$name(_) => ApiKey::$name,)* }
            }
        }

        impl Response {
            /// Which kind of request this answers.
            pub const fn api(&self) -> ApiKey {
                match self { $(Response::$name(_) => ApiKey::$name,)* }
            }
        }
    };
}

apis! {
    /// Append records.
    Produce = 0 "PRODUCE" (produce::ProduceRequest, produce::ProduceResponse),
    /// Read records: a consumer, a follower, a voter or an observer.
    Fetch = 1 "FETCH" (fetch::FetchRequest, fetch::FetchResponse),
    /// Find offsets by time.
    ListOffsets = 2 "LIST_OFFSETS" (list_offsets::ListOffsetsRequest, list_offsets::ListOffsetsResponse),
    /// Who leads what.
    Metadata = 3 "METADATA" (metadata::MetadataRequest, metadata::MetadataResponse),
    /// A group has come so far.
    OffsetCommit = 8 "OFFSET_COMMIT" (offsets::OffsetCommitRequest, offsets::OffsetCommitResponse),
    /// How far groups have come.
    OffsetFetch = 9 "OFFSET_FETCH" (offsets::OffsetFetchRequest, offsets::OffsetFetchResponse),
    /// Who looks after a group.
    FindCoordinator = 10 "FIND_COORDINATOR" (group_admin::FindCoordinatorRequest, group_admin::FindCoordinatorResponse),
    /// Be a member of the next generation.
    JoinGroup = 11 "JOIN_GROUP" (groups::JoinGroupRequest, groups::JoinGroupResponse),
    /// A member is alive.
    Heartbeat = 12 "HEARTBEAT" (groups::HeartbeatRequest, groups::HeartbeatResponse),
    /// Members leave.
    LeaveGroup = 13 "LEAVE_GROUP" (groups::LeaveGroupRequest, groups::LeaveGroupResponse),
    /// What each member is to do.
    SyncGroup = 14 "SYNC_GROUP" (groups::SyncGroupRequest, groups::SyncGroupResponse),
    /// How groups stand.
    DescribeGroups = 15 "DESCRIBE_GROUPS" (group_admin::DescribeGroupsRequest, group_admin::DescribeGroupsResponse),
    /// Which groups a broker looks after.
    ListGroups = 16 "LIST_GROUPS" (group_admin::ListGroupsRequest, group_admin::ListGroupsResponse),
    /// Create topics.
    CreateTopics = 19 "CREATE_TOPICS" (topics::CreateTopicsRequest, topics::CreateTopicsResponse),
    /// Delete topics.
    DeleteTopics = 20 "DELETE_TOPICS" (topics::DeleteTopicsRequest, topics::DeleteTopicsResponse),
    /// Drop the beginning of logs.
    DeleteRecords = 21 "DELETE_RECORDS" (topics::DeleteRecordsRequest, topics::DeleteRecordsResponse),
    /// Get a producer id, or a new epoch of one.
    InitProducerId = 22 "INIT_PRODUCER_ID" (producer_ids::InitProducerIdRequest, producer_ids::InitProducerIdResponse),
    /// Where an epoch ends.
    OffsetForLeaderEpoch = 23 "OFFSET_FOR_LEADER_EPOCH" (offset_for_leader_epoch::OffsetForLeaderEpochRequest, offset_for_leader_epoch::OffsetForLeaderEpochResponse),
    /// Add partitions to topics.
    CreatePartitions = 37 "CREATE_PARTITIONS" (topics::CreatePartitionsRequest, topics::CreatePartitionsResponse),
    /// Forget groups.
    DeleteGroups = 42 "DELETE_GROUPS" (group_admin::DeleteGroupsRequest, group_admin::DeleteGroupsResponse),
    /// Have leaders elected.
    ElectLeaders = 43 "ELECT_LEADERS" (topics::ElectLeadersRequest, topics::ElectLeadersResponse),
    /// Forget what a group has said of partitions.
    OffsetDelete = 47 "OFFSET_DELETE" (offsets::OffsetDeleteRequest, offsets::OffsetDeleteResponse),
    /// Ask for a vote in the quorum.
    Vote = 52 "VOTE" (quorum::VoteRequest, quorum::VoteResponse),
    /// Tell a voter that we lead.
    BeginQuorumEpoch = 53 "BEGIN_QUORUM_EPOCH" (quorum::BeginQuorumEpochRequest, quorum::BeginQuorumEpochResponse),
    /// Tell a voter that we resign.
    EndQuorumEpoch = 54 "END_QUORUM_EPOCH" (quorum::EndQuorumEpochRequest, quorum::EndQuorumEpochResponse),
    /// Tell how the quorum stands.
    DescribeQuorum = 55 "DESCRIBE_QUORUM" (quorum::DescribeQuorumRequest, quorum::DescribeQuorumResponse),
    /// A partition leader proposes an ISR.
    AlterPartition = 56 "ALTER_PARTITION" (alter_partition::AlterPartitionRequest, alter_partition::AlterPartitionResponse),
    /// Read a metadata snapshot.
    FetchSnapshot = 59 "FETCH_SNAPSHOT" (quorum::FetchSnapshotRequest, quorum::FetchSnapshotResponse),
    /// A broker starts.
    BrokerRegistration = 62 "BROKER_REGISTRATION" (broker_registration::BrokerRegistrationRequest, broker_registration::BrokerRegistrationResponse),
    /// A broker is alive.
    BrokerHeartbeat = 63 "BROKER_HEARTBEAT" (broker_heartbeat::BrokerHeartbeatRequest, broker_heartbeat::BrokerHeartbeatResponse),
    /// A broker wants a block of producer ids.
    AllocateProducerIds = 67 "ALLOCATE_PRODUCER_IDS" (producer_ids::AllocateProducerIdsRequest, producer_ids::AllocateProducerIdsResponse),
    /// A member is alive, and learns what to own (KIP-848).
    ConsumerGroupHeartbeat = 68 "CONSUMER_GROUP_HEARTBEAT" (consumer_group::ConsumerGroupHeartbeatRequest, consumer_group::ConsumerGroupHeartbeatResponse),
    /// How groups of KIP-848 stand.
    ConsumerGroupDescribe = 69 "CONSUMER_GROUP_DESCRIBE" (consumer_group::ConsumerGroupDescribeRequest, consumer_group::ConsumerGroupDescribeResponse),
    /// Describe topics and their partitions.
    DescribeTopicPartitions = 75 "DESCRIBE_TOPIC_PARTITIONS" (topics::DescribeTopicPartitionsRequest, topics::DescribeTopicPartitionsResponse),
    // Behind the others, which keep their places: runs are hashed by these.
    /// Tell what things are set to.
    DescribeConfigs = 32 "DESCRIBE_CONFIGS" (configs::DescribeConfigsRequest, configs::DescribeConfigsResponse),
    /// Give things these settings and no others.
    AlterConfigs = 33 "ALTER_CONFIGS" (configs::AlterConfigsRequest, configs::AlterConfigsResponse),
    /// Change single settings.
    IncrementalAlterConfigs = 44 "INCREMENTAL_ALTER_CONFIGS" (configs::IncrementalAlterConfigsRequest, configs::AlterConfigsResponse),
}

/// What a request or response takes on the wire besides record batches: an estimate for bandwidth, exact
/// only where the codec is asked.
const FRAME: usize = 40;
const PER_PARTITION: usize = 48;

impl Request {
    /// About how many bytes it takes on the wire.
    pub fn size(&self) -> usize {
        FRAME
            + match self {
                Request::Produce(r) => r.partitions.iter().map(|p| PER_PARTITION + p.batch.size()).sum(),
                Request::Fetch(r) => r.partitions.len() * PER_PARTITION,
                Request::CreateTopics(r) => r.topics.len() * 2 * PER_PARTITION,
                Request::AlterPartition(r) => r.partitions.len() * 2 * PER_PARTITION,
                Request::OffsetCommit(r) => {
                    PER_PARTITION
                        + r.offsets.iter().map(|(_, it)| PER_PARTITION + it.metadata.len()).sum::<usize>()
                }
                Request::JoinGroup(r) => {
                    2 * PER_PARTITION
                        + r.protocols.iter().map(|it| it.name.len() + it.metadata.len()).sum::<usize>()
                }
                Request::SyncGroup(r) => {
                    2 * PER_PARTITION
                        + r.assignments.iter().map(|(id, it)| id.as_str().len() + it.len()).sum::<usize>()
                }
                _ => PER_PARTITION,
            }
    }
}

impl Response {
    /// About how many bytes it takes on the wire.
    pub fn size(&self) -> usize {
        FRAME
            + match self {
                Response::Fetch(r) => r
                    .partitions
                    .iter()
                    .map(|p| PER_PARTITION + p.batches.iter().map(|b| b.size()).sum::<usize>())
                    .sum(),
                Response::FetchSnapshot(r) => PER_PARTITION + r.bytes.len(),
                Response::Produce(r) => r.partitions.len() * PER_PARTITION,
                Response::OffsetFetch(r) => {
                    r.groups.iter().map(|group| (1 + group.partitions.len()) * PER_PARTITION).sum()
                }
                Response::JoinGroup(r) => {
                    2 * PER_PARTITION
                        + r.members.iter().map(|it| PER_PARTITION + it.metadata.len()).sum::<usize>()
                }
                Response::SyncGroup(r) => PER_PARTITION + r.assignment.len(),
                Response::Metadata(r) => {
                    r.topics.iter().map(|t| (1 + t.partitions.len()) * PER_PARTITION).sum::<usize>()
                }
                _ => PER_PARTITION,
            }
    }
}
