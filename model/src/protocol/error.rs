//! Which errors may a peer answer, under which numbers, and which of them are worth another try?

use core::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal $spelled:literal $retriable:literal,)*) => {
        /// Kafka's error codes, those that this model answers. Success is the absence of one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }

        impl ErrorCode {
            /// The number on the wire.
            pub const fn code(self) -> i16 {
                match self { $(ErrorCode::$name => $code,)* }
            }

            /// The error of a number on the wire; `None` for success and for what we do not know.
            pub const fn from_code(code: i16) -> Option<ErrorCode> {
                match code { $($code => Some(ErrorCode::$name),)* _ => None }
            }

            /// Whether Kafka's clients try again (`RetriableException`).
            pub const fn is_retriable(self) -> bool {
                match self { $(ErrorCode::$name => $retriable,)* }
            }

            /// Kafka's spelling: `NOT_LEADER_OR_FOLLOWER`.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorCode::$name => $spelled,)* }
            }
        }
    };
}

codes! {
    /// Something unexpected happened at the server.
    UnknownServerError = -1 "UNKNOWN_SERVER_ERROR" false,
    /// The offset is outside the range the server keeps.
    OffsetOutOfRange = 1 "OFFSET_OUT_OF_RANGE" false,
    /// A batch failed its CRC or size check.
    CorruptMessage = 2 "CORRUPT_MESSAGE" true,
    /// The server does not know such a topic or partition.
    UnknownTopicOrPartition = 3 "UNKNOWN_TOPIC_OR_PARTITION" true,
    /// No leader at the moment.
    LeaderNotAvailable = 5 "LEADER_NOT_AVAILABLE" true,
    /// The server is not the leader, or not a replica.
    NotLeaderOrFollower = 6 "NOT_LEADER_OR_FOLLOWER" true,
    /// Not enough replicas answered in time.
    RequestTimedOut = 7 "REQUEST_TIMED_OUT" true,
    /// The replica is not available.
    ReplicaNotAvailable = 9 "REPLICA_NOT_AVAILABLE" true,
    /// A batch is larger than `max.message.bytes`.
    MessageTooLarge = 10 "MESSAGE_TOO_LARGE" false,
    /// The metadata of a committed offset is longer than `offset.metadata.max.bytes`.
    OffsetMetadataTooLarge = 12 "OFFSET_METADATA_TOO_LARGE" false,
    /// The connection broke before an answer came. Never on the wire: how a client tells itself.
    NetworkException = 13 "NETWORK_EXCEPTION" true,
    /// The coordinator has not read its log yet.
    CoordinatorLoadInProgress = 14 "COORDINATOR_LOAD_IN_PROGRESS" true,
    /// There is no coordinator, or it cannot write to its log.
    CoordinatorNotAvailable = 15 "COORDINATOR_NOT_AVAILABLE" true,
    /// This broker is not the coordinator.
    NotCoordinator = 16 "NOT_COORDINATOR" true,
    /// The topic name is not a legal one.
    InvalidTopic = 17 "INVALID_TOPIC_EXCEPTION" false,
    /// A batch is larger than a segment.
    RecordListTooLarge = 18 "RECORD_LIST_TOO_LARGE" false,
    /// The ISR is under `min.insync.replicas`; nothing was appended.
    NotEnoughReplicas = 19 "NOT_ENOUGH_REPLICAS" true,
    /// It was appended, but the ISR has fallen under `min.insync.replicas`.
    NotEnoughReplicasAfterAppend = 20 "NOT_ENOUGH_REPLICAS_AFTER_APPEND" true,
    /// `acks` was none of -1, 0, 1.
    InvalidRequiredAcks = 21 "INVALID_REQUIRED_ACKS" false,
    /// The generation is not the group's.
    IllegalGeneration = 22 "ILLEGAL_GENERATION" false,
    /// The members of the group know no common protocol with this one.
    InconsistentGroupProtocol = 23 "INCONSISTENT_GROUP_PROTOCOL" false,
    /// The group id is empty, or not a legal one.
    InvalidGroupId = 24 "INVALID_GROUP_ID" false,
    /// The group knows no such member.
    UnknownMemberId = 25 "UNKNOWN_MEMBER_ID" false,
    /// `session.timeout.ms` is out of the range that the broker allows.
    InvalidSessionTimeout = 26 "INVALID_SESSION_TIMEOUT" false,
    /// The group is between two generations: join again.
    RebalanceInProgress = 27 "REBALANCE_IN_PROGRESS" false,
    /// The committed offsets are too large for a batch.
    InvalidCommitOffsetSize = 28 "INVALID_COMMIT_OFFSET_SIZE" false,
    /// A record's timestamp is out of the range the topic accepts.
    InvalidTimestamp = 32 "INVALID_TIMESTAMP" false,
    /// The server does not support this version.
    UnsupportedVersion = 35 "UNSUPPORTED_VERSION" false,
    /// There is such a topic already.
    TopicAlreadyExists = 36 "TOPIC_ALREADY_EXISTS" false,
    /// The number of partitions is not a legal one.
    InvalidPartitions = 37 "INVALID_PARTITIONS" false,
    /// The replication factor is below one or above the number of brokers.
    InvalidReplicationFactor = 38 "INVALID_REPLICATION_FACTOR" false,
    /// The replica assignment is not a legal one.
    InvalidReplicaAssignment = 39 "INVALID_REPLICA_ASSIGNMENT" false,
    /// A configuration is not a legal one.
    InvalidConfig = 40 "INVALID_CONFIG" false,
    /// This controller is not the active one.
    NotController = 41 "NOT_CONTROLLER" true,
    /// The request makes no sense.
    InvalidRequest = 42 "INVALID_REQUEST" false,
    /// The request asks for more than one request may.
    PolicyViolation = 44 "POLICY_VIOLATION" false,
    /// A sequence number is not the next one.
    OutOfOrderSequenceNumber = 45 "OUT_OF_ORDER_SEQUENCE_NUMBER" false,
    /// A sequence was appended already, too long ago to know where.
    DuplicateSequenceNumber = 46 "DUPLICATE_SEQUENCE_NUMBER" false,
    /// A newer life of the producer is known.
    InvalidProducerEpoch = 47 "INVALID_PRODUCER_EPOCH" false,
    /// The disk of the log failed.
    KafkaStorageError = 56 "KAFKA_STORAGE_ERROR" true,
    /// The producer's state is not known here any more.
    UnknownProducerId = 59 "UNKNOWN_PRODUCER_ID" false,
    /// The group still has members.
    NonEmptyGroup = 68 "NON_EMPTY_GROUP" false,
    /// There is no such group.
    GroupIdNotFound = 69 "GROUP_ID_NOT_FOUND" false,
    /// The request's leader epoch is older than the server's.
    FencedLeaderEpoch = 74 "FENCED_LEADER_EPOCH" true,
    /// The request's leader epoch is newer than the server's.
    UnknownLeaderEpoch = 75 "UNKNOWN_LEADER_EPOCH" true,
    /// The request's broker epoch is not that of the latest registration.
    StaleBrokerEpoch = 77 "STALE_BROKER_EPOCH" false,
    /// The leader has not yet heard enough to know the offset for sure (KIP-207).
    OffsetNotAvailable = 78 "OFFSET_NOT_AVAILABLE" true,
    /// The member is to join again with the id that it is given (KIP-394).
    MemberIdRequired = 79 "MEMBER_ID_REQUIRED" false,
    /// The preferred leader is not in the ISR or not alive.
    PreferredLeaderNotAvailable = 80 "PREFERRED_LEADER_NOT_AVAILABLE" true,
    /// The group has as many members as it may (`group.max.size`).
    GroupMaxSizeReached = 81 "GROUP_MAX_SIZE_REACHED" false,
    /// Another process has taken the place of this static member (KIP-345).
    FencedInstanceId = 82 "FENCED_INSTANCE_ID" false,
    /// No replica may become leader.
    EligibleLeadersNotAvailable = 83 "ELIGIBLE_LEADERS_NOT_AVAILABLE" true,
    /// The partition already has the leader that was asked for.
    ElectionNotNeeded = 84 "ELECTION_NOT_NEEDED" true,
    /// The group is subscribed to the topic whose offsets are to be forgotten.
    GroupSubscribedToTopic = 86 "GROUP_SUBSCRIBED_TO_TOPIC" false,
    /// A record does not fit the topic.
    InvalidRecord = 87 "INVALID_RECORD" false,
    /// The server is not in a state to answer this offset.
    UnstableOffsetCommit = 88 "UNSTABLE_OFFSET_COMMIT" true,
    /// A newer producer has fenced this one.
    ProducerFenced = 90 "PRODUCER_FENCED" false,
    /// The quorum does not know this voter, or the request names another.
    InconsistentVoterSet = 94 "INCONSISTENT_VOTER_SET" false,
    /// The partition epoch is not the current one.
    InvalidUpdateVersion = 95 "INVALID_UPDATE_VERSION" false,
    /// There is no such snapshot.
    SnapshotNotFound = 98 "SNAPSHOT_NOT_FOUND" false,
    /// The position is past the end of the snapshot.
    PositionOutOfRange = 99 "POSITION_OUT_OF_RANGE" false,
    /// There is no such topic id.
    UnknownTopicId = 100 "UNKNOWN_TOPIC_ID" true,
    /// This broker is registered by another process.
    DuplicateBrokerRegistration = 101 "DUPLICATE_BROKER_REGISTRATION" false,
    /// There is no such broker.
    BrokerIdNotRegistered = 102 "BROKER_ID_NOT_REGISTERED" false,
    /// The topic id is not that of the log.
    InconsistentTopicId = 103 "INCONSISTENT_TOPIC_ID" true,
    /// The cluster id is not ours.
    InconsistentClusterId = 104 "INCONSISTENT_CLUSTER_ID" false,
    /// A proposed ISR holds a replica that may not be in it (KIP-841, KIP-903).
    IneligibleReplica = 107 "INELIGIBLE_REPLICA" false,
    /// The controller gave the partition another leader while this request was in the air.
    NewLeaderElected = 108 "NEW_LEADER_ELECTED" false,
    /// The member's epoch is older than the one the coordinator knows: it is out (KIP-848).
    FencedMemberEpoch = 110 "FENCED_MEMBER_EPOCH" false,
    /// Another process still holds this static membership (KIP-848).
    UnreleasedInstanceId = 111 "UNRELEASED_INSTANCE_ID" false,
    /// The coordinator has no such assignor (KIP-848).
    UnsupportedAssignor = 112 "UNSUPPORTED_ASSIGNOR" false,
    /// The member's epoch is not that of its last heartbeat's answer (KIP-848).
    StaleMemberEpoch = 113 "STALE_MEMBER_EPOCH" false,
    /// The regular expression is none (KIP-848).
    InvalidRegularExpression = 128 "INVALID_REGULAR_EXPRESSION" false,
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_by_its_number() {
        assert_eq!(ErrorCode::from_code(6), Some(ErrorCode::NotLeaderOrFollower));
        assert_eq!(ErrorCode::from_code(0), None);
        assert_eq!(ErrorCode::NotLeaderOrFollower.code(), 6);
    }
}
