//! What do clients share, and what can whoever runs a node tell it?

pub mod backoff;
pub mod in_flight;
pub mod cluster_view;
#[cfg(test)]
pub(crate) mod scripted;

use alloc::{string::String, vec::Vec};

use bytes::Bytes;

use crate::{
    event::RecordTag,
    protocol::{
        ErrorCode, TopicName,
        list_offsets::OffsetSpec,
        topics::{ElectionKind, NewTopic},
    },
    time::Timestamp,
    units::{Offset, TopicPartition},
};

/// Whether an error says that a client's view of the cluster is wrong (Kafka: `InvalidMetadataException`).
pub fn is_invalid_metadata(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::InconsistentTopicId
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::ReplicaNotAvailable
            | ErrorCode::KafkaStorageError
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::NetworkException
    )
}

/// A partition by its topic's name, as applications name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedPartition {
    /// The topic's name.
    pub topic: TopicName,
    /// Which of its partitions.
    pub partition: u32,
}

/// A record that an application wants sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewRecord {
    /// The application's own number for it, which events repeat.
    pub tag: RecordTag,
    /// Where to.
    pub topic: TopicName,
    /// To which partition; `None` to let the partitioner choose.
    pub partition: Option<u32>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers, in order; a key may stand twice.
    pub headers: Vec<(String, Bytes)>,
    /// Its time; `None` for the producer's clock.
    pub timestamp: Option<Timestamp>,
}

/// What whoever runs a node can tell it. A node ignores what is not for its role.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Producer: send a record.
    Send(NewRecord),
    /// Producer: send what is gathered without waiting for `linger.ms`.
    Flush,
    /// Consumer: read exactly these partitions from now on. What was assigned before and still is keeps its
    /// position.
    Assign(Vec<NamedPartition>),
    /// Consumer: go on at an offset.
    Seek(NamedPartition, Offset),
    /// Consumer: go on at what ListOffsets says: the start, the end, or the first record of a time.
    SeekTo(NamedPartition, OffsetSpec),
    /// Consumer: stop reading these for a while.
    Pause(Vec<NamedPartition>),
    /// Consumer: read them again.
    Resume(Vec<NamedPartition>),
    /// Consumer: ask where a partition ends; answered by an event.
    EndOffset(NamedPartition),
    /// Admin: create a topic.
    CreateTopic(NewTopic),
    /// Admin: delete a topic.
    DeleteTopic(TopicName),
    /// Admin: give a topic so many partitions in all.
    CreatePartitions(TopicName, u32),
    /// Admin: drop what is before an offset; `None` for everything below the high watermark.
    DeleteRecords(NamedPartition, Option<Offset>),
    /// Admin: have leaders elected; of all partitions if none is named.
    ElectLeaders(ElectionKind, Vec<TopicPartition>),
    /// Admin: ask for a description of a topic.
    DescribeTopic(TopicName),
    /// Any node: shut down in an orderly way (SIGTERM).
    Shutdown,
}
