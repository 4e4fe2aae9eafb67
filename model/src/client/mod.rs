//! What do clients share, and what can whoever runs a node tell it?

pub mod backoff;
pub mod in_flight;
pub mod pattern;
pub mod cluster_view;
#[cfg(test)]
pub(crate) mod scripted;

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

pub use crate::protocol::NamedPartition;
use crate::{
    event::RecordTag,
    protocol::{
        ErrorCode, TopicName,
        list_offsets::OffsetSpec,
        topics::{ElectionKind, NewTopic},
    },
    time::Timestamp,
    units::{GroupId, Offset},
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

/// What a consumer wants to read as a member of its group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topics {
    /// These, by name.
    Named(Vec<TopicName>),
    /// All whose whole name fits this regular expression ([`pattern::Pattern`]).
    Pattern(alloc::sync::Arc<str>),
}

/// When an application commits by itself, besides `enable.auto.commit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Commits {
    /// Never.
    #[default]
    Never,
    /// Before it begins with what a poll gave it, and waits for the answer (`commitSync`): what it fails at is
    /// lost.
    Before,
    /// When it is done with what a poll gave it, and waits for the answer (`commitSync`): what it fails at is
    /// repeated.
    After,
    /// When it is done with what a poll gave it, and polls on at once (`commitAsync`).
    AfterAsync,
}

/// What a consumer's application does with records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Application {
    /// How long it takes for one record.
    pub per_record: Duration,
    /// When it commits.
    pub commits: Commits,
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
    /// Consumer: be a member of its group and read what that gives it, of these topics. What was assigned by hand
    /// is not read any more.
    Subscribe(Topics, Application),
    /// Consumer: leave the group and read nothing.
    Unsubscribe,
    /// Consumer: commit where the application is, now; wait for the answer if `true`.
    Commit(bool),
    /// Consumer: the application does something else for so long, and does not poll.
    Stall(Duration),
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
    /// Admin: forget groups.
    DeleteGroups(Vec<GroupId>),
    /// Admin: forget what a group has committed in partitions.
    DeleteOffsets(GroupId, Vec<NamedPartition>),
    /// Admin: have leaders elected; of all partitions if none is named.
    ElectLeaders(ElectionKind, Vec<NamedPartition>),
    /// Admin: ask for a description of a topic.
    DescribeTopic(TopicName),
    /// Any node: shut down in an orderly way (SIGTERM).
    Shutdown,
}
