//! Where does a consumer stand in each partition, and may it read on from there?
//!
//! Kafka's `SubscriptionState`. A position is an offset and the epoch of the record before it. When a
//! partition's leader changes, the new one is asked where that epoch ends before anything is read from it: if
//! that is before the position, the records read last are not in the log any more (KIP-320).

use super::{Consumer, Place, Subject};
use crate::{
    client::cluster_view::TopicIndex,
    config::AutoOffsetReset,
    event::{Event, ReadFailure, SeekReason},
    flat::FlatSet,
    machine::Effects,
    museum::Bug,
    protocol::list_offsets::OffsetSpec,
    time::Instant,
    units::{LeaderEpoch, Offset, TopicId, TopicPartition},
};

/// A partition that was ever assigned, by its place in the consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionIndex(pub usize);

/// Where a consumer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The next offset to read.
    pub offset: Offset,
    /// The epoch of the record before, if it was read or looked up.
    pub epoch: Option<LeaderEpoch>,
    /// Under which leader it is known to be right.
    pub leader: Option<(TopicId, LeaderEpoch)>,
}

/// What a consumer does about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has no position yet.
    Starting,
    /// The application wants to be here; the topic is not known yet.
    Seeking(Offset),
    /// It has to be told how far its group has come.
    Committed {
        /// The request for it that is in flight.
        asked: Option<u64>,
    },
    /// It looks a position up.
    Resetting {
        /// Which.
        spec: OffsetSpec,
        /// Why.
        why: SeekReason,
        /// Whether a request for it is in flight.
        asked: bool,
    },
    /// It asks a new leader whether its position is still in the log.
    Validating {
        /// Whether a request for it is in flight.
        asked: bool,
    },
    /// It reads.
    Fetching,
    /// It cannot go on until the application seeks.
    Stuck,
}

/// One partition.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Of which topic.
    pub topic: TopicIndex,
    /// Which.
    pub partition: u32,
    /// Whether it is to be read at all.
    pub assigned: bool,
    /// Whether it is not to be read for a while.
    pub paused: bool,
    /// Whether it is about to be given up: nothing of it is read or handed on any more (KIP-848).
    pub pending: bool,
    /// Whether records of it have come that the application has not got yet: it is not fetched meanwhile.
    pub buffered: bool,
    /// What is done about it.
    pub state: State,
    /// Where it stands.
    pub position: Option<Position>,
    /// How many questions about it failed in a row.
    pub failures: u32,
    /// Until when it is left alone after a failure.
    pub rests_until: Instant,
    /// Where what was handed on last begins. Only the museum goes back there.
    pub handed_from: Option<Offset>,
    /// Where it stood when it was last taken away. Only the museum commits that.
    pub stored: Option<Position>,
    /// Its topic's id, as it was known last.
    pub known: Option<TopicPartition>,
    pub(super) place: Place,
}

impl Partition {
    /// Not assigned.
    pub fn new(topic: TopicIndex, partition: u32) -> Partition {
        Partition {
            topic,
            partition,
            assigned: false,
            paused: false,
            pending: false,
            buffered: false,
            state: State::Starting,
            position: None,
            failures: 0,
            rests_until: Instant::ZERO,
            handed_from: None,
            stored: None,
            known: None,
            place: Place::Idle,
        }
    }
}

impl Consumer {
    /// Finds out what a partition needs, given who leads it, and where it stands then.
    pub(super) fn place(&mut self, now: Instant, at: PartitionIndex, effects: &mut Effects) {
        self.adopt_leader(at, effects);
        let partition = &self.partitions[at.0];
        let leader = self.view.leadership(partition.topic, partition.partition).leader;
        let reads = partition.state == State::Fetching;
        let wants = match partition.state {
            _ if !partition.assigned => false,
            State::Fetching => !partition.paused && !partition.buffered && !partition.pending,
            State::Resetting { asked, .. } | State::Validating { asked } => !asked,
            State::Starting | State::Seeking(_) => true,
            // Its coordinator is asked, not its leader.
            State::Committed { .. } | State::Stuck => false,
        };
        let place = match leader {
            _ if !wants => Place::Idle,
            _ if partition.rests_until > now => Place::Resting(partition.rests_until),
            None => Place::Leaderless,
            Some(leader) if reads => Place::Fetch(leader),
            Some(leader) => Place::Ask(leader),
        };
        self.set_place(Subject::Partition(at), place);
    }

    /// Takes into account what is known of the topic and its leader.
    fn adopt_leader(&mut self, at: PartitionIndex, effects: &mut Effects) {
        let partition = &mut self.partitions[at.0];
        let Some(known) = self.view.partition(partition.topic, partition.partition) else { return };
        partition.known = Some(known);
        if !partition.assigned {
            return;
        }
        let leadership = self.view.leadership(partition.topic, partition.partition);
        let leader = leadership.leader.and(leadership.epoch).map(|leader_epoch| (known.topic, leader_epoch));
        match partition.state {
            State::Starting if self.group.is_some() => self.want_committed(at),
            State::Starting => self.reset(at, SeekReason::Reset, effects),
            State::Seeking(offset) => {
                self.move_to(at, Position { offset, epoch: None, leader }, SeekReason::Asked, effects);
            }
            State::Fetching | State::Validating { .. } => {
                let Some(position) = &mut partition.position else { return };
                if leader.is_none() || position.leader == leader {
                    return;
                }
                position.leader = leader;
                // KIP-320: before it, consumers read on at the same number, whatever stood there now.
                let checks = !self.museum.has(Bug::NoTruncationCheckAfterLeaderChange);
                partition.state = match position.epoch {
                    Some(_) if checks => State::Validating { asked: false },
                    _ => State::Fetching,
                };
            }
            State::Committed { .. } | State::Resetting { .. } | State::Stuck => {}
        }
    }

    /// A partition as it is known now; or as it was known last, when somebody who has not heard of its topic has
    /// just said that there is none.
    pub(super) fn known(&self, at: PartitionIndex) -> Option<TopicPartition> {
        let partition = &self.partitions[at.0];
        self.view.partition(partition.topic, partition.partition).or(partition.known)
    }

    /// Goes where `auto.offset.reset` says.
    pub(super) fn reset(&mut self, at: PartitionIndex, why: SeekReason, effects: &mut Effects) {
        let spec = match self.config.auto_offset_reset {
            AutoOffsetReset::Earliest => OffsetSpec::Earliest,
            AutoOffsetReset::Latest => OffsetSpec::Latest,
            AutoOffsetReset::None => return self.get_stuck(at, why, effects),
        };
        self.partitions[at.0].state = State::Resetting { spec, why, asked: false };
    }

    /// There is no policy that says where to go on.
    pub(super) fn get_stuck(&mut self, at: PartitionIndex, why: SeekReason, effects: &mut Effects) {
        let partition = &mut self.partitions[at.0];
        partition.state = State::Stuck;
        if let Some(partition) = self.known(at) {
            let error = match why {
                SeekReason::OutOfRange => ReadFailure::OffsetOutOfRange,
                SeekReason::Truncated => ReadFailure::LogTruncation,
                SeekReason::Reset | SeekReason::Asked | SeekReason::Committed => {
                    ReadFailure::NoOffsetForPartition
                }
            };
            effects.note(Event::ReadFailed { partition, error });
        }
    }

    /// Goes on at a position that is known to be right.
    pub(super) fn move_to(
        &mut self,
        at: PartitionIndex,
        to: Position,
        why: SeekReason,
        effects: &mut Effects,
    ) {
        let partition = &mut self.partitions[at.0];
        let from = partition.position.map(|position| position.offset);
        partition.position = Some(to);
        partition.state = State::Fetching;
        partition.failures = 0;
        if let Some(partition) = self.known(at) {
            effects.note(Event::PositionMoved { partition, from, to: to.offset, why });
        }
    }

    /// Where a subject stands, as `place` or `place_end` finds it.
    pub(super) fn place_subject(&mut self, now: Instant, subject: Subject, effects: &mut Effects) {
        match subject {
            Subject::Partition(at) => self.place(now, at, effects),
            Subject::End(which) => self.place_end(now, which),
        }
    }

    /// Moves a subject to another place.
    pub(super) fn set_place(&mut self, subject: Subject, place: Place) {
        let slot = match subject {
            Subject::Partition(at) => &mut self.partitions[at.0].place,
            Subject::End(which) => match self.ends.get_mut(&which) {
                Some(end) => &mut end.place,
                None => return,
            },
        };
        let before = core::mem::replace(slot, place);
        if before == place {
            return;
        }
        match (before, subject) {
            (Place::Fetch(broker), Subject::Partition(at)) => {
                if let Some(of) = self.fetchable.get_mut(&broker) {
                    of.remove(&at);
                }
            }
            (Place::Ask(broker), _) => {
                if let Some(of) = self.askable.get_mut(&broker) {
                    of.remove(&subject);
                }
            }
            (Place::Leaderless, _) => {
                self.leaderless.remove(&subject);
            }
            (Place::Resting(_), _) => {
                self.resting.cancel(&subject);
            }
            (Place::Idle | Place::Fetch(_), _) => {}
        }
        match (place, subject) {
            (Place::Fetch(broker), Subject::Partition(at)) => {
                self.fetchable.get_or_insert_with(broker, FlatSet::new).insert(at);
                self.attention.insert(broker);
            }
            (Place::Ask(broker), _) => {
                self.askable.get_or_insert_with(broker, FlatSet::new).insert(subject);
                self.attention.insert(broker);
            }
            (Place::Leaderless, _) => {
                self.leaderless.insert(subject);
            }
            (Place::Resting(until), _) => self.resting.set(until, subject),
            (Place::Idle | Place::Fetch(_), _) => {}
        }
    }
}
