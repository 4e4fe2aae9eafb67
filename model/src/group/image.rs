//! What is true of the groups of a partition, by its log?

use alloc::{collections::BTreeMap, vec::Vec};

use super::{
    consumer::ConsumerGroup,
    record::{ClassicImage, GroupRecord, StoredOffset},
};
use crate::{
    protocol::{ErrorCode, NamedPartition, Response},
    replicated::{Decision, Replicated},
    units::{GroupId, Offset},
};

/// The fold over one partition of `__consumer_offsets`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    offsets: BTreeMap<GroupId, BTreeMap<NamedPartition, StoredOffset>>,
    classic: BTreeMap<GroupId, ClassicImage>,
    consumer: BTreeMap<GroupId, ConsumerGroup>,
}

/// What the log is to say, once the coordinator has found that whoever asks may ask it.
#[derive(Clone, Debug)]
pub enum Question {
    /// A group has come so far.
    Commit {
        /// Which group.
        group: GroupId,
        /// How far.
        offsets: Vec<(NamedPartition, StoredOffset)>,
        /// What is answered then.
        answer: Then,
    },
    /// Offsets are to be forgotten. Those that are not known need no record.
    Forget {
        /// Of which group.
        group: GroupId,
        /// In which partitions.
        partitions: Vec<NamedPartition>,
        /// What is answered then.
        answer: Then,
    },
    /// A classic group has this assignment.
    Assign {
        /// Which group.
        group: GroupId,
        /// How it stands.
        image: ClassicImage,
        /// What is done then.
        answer: Then,
    },
    /// A KIP-848 group moves on, as was found by the state that all this was asked of.
    Move {
        /// What is so then.
        records: Vec<GroupRecord>,
        /// What is answered then.
        answer: Then,
    },
    /// A group is to be forgotten, with everything it has committed.
    Delete {
        /// Which group.
        group: GroupId,
        /// What is answered then.
        answer: Then,
    },
}

/// What is done once a record is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Whoever asked is told.
    Answer(Response),
    /// The members of a generation are told what they are to do.
    Assigned {
        /// Of which group.
        group: GroupId,
        /// In which generation.
        generation: i32,
    },
    /// Nobody waits for it.
    Nothing,
}

impl Groups {
    /// How far a group has come in a partition.
    pub fn offset(&self, group: &GroupId, partition: &NamedPartition) -> Option<&StoredOffset> {
        self.offsets.get(group)?.get(partition)
    }

    /// How far a group has come everywhere, in order.
    pub fn offsets(&self, group: &GroupId) -> impl Iterator<Item = (&NamedPartition, &StoredOffset)> {
        self.offsets.get(group).into_iter().flatten()
    }

    /// Whether anything was committed by a group.
    pub fn has_offsets(&self, group: &GroupId) -> bool {
        self.offsets.contains_key(group)
    }

    /// How a classic group stands.
    pub fn classic(&self, group: &GroupId) -> Option<&ClassicImage> {
        self.classic.get(group)
    }

    /// The classic groups, in order.
    pub fn classics(&self) -> impl Iterator<Item = (&GroupId, &ClassicImage)> {
        self.classic.iter()
    }

    /// A KIP-848 group.
    pub fn consumer(&self, group: &GroupId) -> Option<&ConsumerGroup> {
        self.consumer.get(group).filter(|group| group.exists())
    }

    /// The KIP-848 groups, in order.
    pub fn consumers(&self) -> impl Iterator<Item = (&GroupId, &ConsumerGroup)> {
        self.consumer.iter().filter(|(_, group)| group.exists())
    }

    /// Everybody of whom anything is known, in order, each once.
    pub fn names(&self) -> Vec<GroupId> {
        let groups = self.classic.keys().chain(self.consumer.keys());
        let mut names: Vec<GroupId> = self.offsets.keys().chain(groups).cloned().collect();
        names.sort();
        names.dedup();
        names
    }
}

impl Replicated for Groups {
    type Request = Question;
    type Reply = Then;
    type Record = GroupRecord;
    type Change = ();
    type Context<'a> = ();

    fn decide(&self, _: &mut (), question: &Question) -> Decision<Groups> {
        match question.clone() {
            Question::Commit { group, offsets, answer } => {
                let record = |(partition, value)| GroupRecord::Offset {
                    group: group.clone(),
                    partition,
                    value: Some(value),
                };
                Decision { records: offsets.into_iter().map(record).collect(), reply: answer }
            }
            Question::Forget { group, partitions, answer } => {
                let known = partitions.into_iter().filter(|it| self.offset(&group, it).is_some());
                let record = |partition| GroupRecord::Offset { group: group.clone(), partition, value: None };
                Decision { records: known.map(record).collect(), reply: answer }
            }
            Question::Assign { group, image, answer } => Decision {
                records: [GroupRecord::Classic { group, value: Some(image) }].into(),
                reply: answer,
            },
            Question::Delete { group, answer } => {
                let offsets = self.offsets(&group).map(|(partition, _)| GroupRecord::Offset {
                    group: group.clone(),
                    partition: partition.clone(),
                    value: None,
                });
                let mut records: Vec<GroupRecord> = offsets.collect();
                if self.classic.contains_key(&group) {
                    records.push(GroupRecord::Classic { group: group.clone(), value: None });
                }
                if let Some(consumer) = self.consumer.get(&group) {
                    records.extend(consumer.tombstones(&group));
                }
                Decision { records, reply: answer }
            }
            Question::Move { records, answer } => Decision { records, reply: answer },
        }
    }

    fn apply(&mut self, _: Offset, record: &GroupRecord) {
        match record {
            GroupRecord::Offset { group, partition, value: Some(value) } => {
                self.offsets.entry(group.clone()).or_default().insert(partition.clone(), value.clone());
            }
            GroupRecord::Offset { group, partition, value: None } => {
                if let Some(of) = self.offsets.get_mut(group) {
                    of.remove(partition);
                    if of.is_empty() {
                        self.offsets.remove(group);
                    }
                }
            }
            GroupRecord::Classic { group, value: Some(value) } => {
                self.classic.insert(group.clone(), value.clone());
            }
            GroupRecord::Classic { group, value: None } => {
                self.classic.remove(group);
            }
            _ => {
                let group = record.group();
                let consumer = self.consumer.entry(group.clone()).or_default();
                consumer.apply(record);
                if consumer.is_nothing() {
                    self.consumer.remove(group);
                }
            }
        }
    }
}

/// How Kafka tells a client why its group's record could not be written.
pub fn why_not_written(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::ReplicaNotAvailable
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
        other => other,
    }
}
