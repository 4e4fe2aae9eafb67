//! Which offset belongs to a place in time, and where does an epoch end? What a consumer asks leaders besides
//! records.
//!
//! Kafka's `OffsetFetcher` and `OffsetsForLeaderEpochClient`.

use alloc::vec::Vec;
use core::time::Duration;

use super::{
    Asked, Consumer, EndQuery, Place, Subject,
    positions::{PartitionIndex, Position, State},
};
use crate::{
    client::{NamedPartition, cluster_view::TopicIndex, is_invalid_metadata},
    config::AutoOffsetReset,
    event::{Event, SeekReason},
    machine::Effects,
    protocol::{
        ErrorCode, LeaderHint, PartitionRef, Request,
        fetch::EpochEnd,
        list_offsets::{
            FoundOffset, ListOffsetsRequest, ListOffsetsResponse, OffsetSpec, PartitionListOffsets,
        },
        offset_for_leader_epoch::{
            OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, PartitionEpochQuery,
        },
    },
    time::{Instant, Now},
    units::{LeaderEpoch, NodeId},
};

/// How long an end offset is asked for: Kafka's `default.api.timeout.ms`.
const API_TIMEOUT: Duration = Duration::from_secs(60);

impl Consumer {
    /// Somebody wants to know where a partition ends.
    pub(super) fn want_end(&mut self, now: Now, named: &NamedPartition) {
        let which = self.ends_asked;
        self.ends_asked += 1;
        let query = EndQuery {
            topic: self.view.topic(&named.topic),
            partition: named.partition,
            failures: 0,
            rests_until: Instant::ZERO,
            gives_up_at: now.monotonic + API_TIMEOUT,
            asked: false,
            place: Place::Idle,
        };
        self.ends.insert(which, query);
        self.place_end(now.monotonic, which);
    }

    pub(super) fn place_end(&mut self, now: Instant, which: u64) {
        let Some(end) = self.ends.get(&which) else { return };
        let place = match self.view.leadership(end.topic, end.partition).leader {
            _ if end.asked || end.gives_up_at <= now => Place::Idle,
            _ if end.rests_until > now => Place::Resting(end.rests_until),
            None => Place::Leaderless,
            Some(leader) => Place::Ask(leader),
        };
        let given_up = end.gives_up_at <= now;
        self.set_place(Subject::End(which), place);
        if given_up {
            self.ends.remove(&which);
        }
    }

    /// Asks a broker everything it has to be asked besides records.
    pub(super) fn ask(&mut self, now: Now, broker: NodeId, effects: &mut Effects) {
        let Some(subjects) = self.askable.remove(&broker) else { return };
        let (mut offsets, mut epochs) = (Vec::new(), Vec::new());
        for subject in subjects {
            match subject {
                Subject::End(which) => {
                    if let Some(end) = self.ends.get_mut(&which) {
                        end.asked = true;
                        end.place = Place::Idle;
                        offsets.push((subject, OffsetSpec::Latest));
                    }
                }
                Subject::Partition(at) => {
                    let partition = &mut self.partitions[at.0];
                    partition.place = Place::Idle;
                    match (&mut partition.state, partition.position) {
                        (State::Resetting { spec, asked, .. }, _) => {
                            *asked = true;
                            offsets.push((subject, *spec));
                        }
                        (State::Validating { asked }, Some(position)) => {
                            *asked = true;
                            epochs.push((at, position));
                        }
                        _ => {}
                    }
                }
            }
        }
        self.ask_offsets(now, broker, offsets, effects);
        self.ask_epochs(now, broker, epochs, effects);
    }

    fn ask_offsets(
        &mut self,
        now: Now,
        broker: NodeId,
        asked: Vec<(Subject, OffsetSpec)>,
        effects: &mut Effects,
    ) {
        let (mut partitions, mut known) = (Vec::new(), Vec::new());
        for (subject, spec) in asked {
            let Some((partition, current_leader_epoch)) = self.named(subject) else {
                self.lookup_failed(now, subject, ErrorCode::UnknownTopicOrPartition, None, effects);
                continue;
            };
            partitions.push(PartitionListOffsets { partition, current_leader_epoch, spec });
            known.push((subject, spec));
        }
        if !known.is_empty() {
            let request = Request::ListOffsets(ListOffsetsRequest { replica: None, partitions });
            self.net.send(now.monotonic, broker, request, Asked::Offsets(known, self.offsets_told), effects);
        }
    }

    fn ask_epochs(
        &mut self,
        now: Now,
        broker: NodeId,
        asked: Vec<(PartitionIndex, Position)>,
        effects: &mut Effects,
    ) {
        let (mut partitions, mut known) = (Vec::new(), Vec::new());
        for (at, position) in asked {
            let subject = Subject::Partition(at);
            let (Some((partition, current_leader_epoch)), Some(leader_epoch)) =
                (self.named(subject), position.epoch)
            else {
                self.lookup_failed(now, subject, ErrorCode::UnknownTopicOrPartition, None, effects);
                continue;
            };
            partitions.push(PartitionEpochQuery { partition, current_leader_epoch, leader_epoch });
            known.push((at, position));
        }
        if !known.is_empty() {
            let request = OffsetForLeaderEpochRequest { replica: None, partitions };
            let request = Request::OffsetForLeaderEpoch(request);
            self.net.send(now.monotonic, broker, request, Asked::Epochs(known), effects);
        }
    }

    /// A subject as a request names it, with the epoch of its leader.
    fn named(&self, subject: Subject) -> Option<(PartitionRef, Option<LeaderEpoch>)> {
        let (topic, number) = self.whereabouts(subject)?;
        let known = self.view.partition(topic, number)?;
        Some((PartitionRef::from(known), self.view.leadership(topic, number).epoch))
    }

    fn whereabouts(&self, subject: Subject) -> Option<(TopicIndex, u32)> {
        match subject {
            Subject::Partition(at) => {
                self.partitions.get(at.0).map(|partition| (partition.topic, partition.partition))
            }
            Subject::End(which) => self.ends.get(&which).map(|end| (end.topic, end.partition)),
        }
    }

    /// A question about a subject was answered with an error, or not at all: it is asked again later.
    pub(super) fn lookup_failed(
        &mut self,
        now: Now,
        subject: Subject,
        error: ErrorCode,
        hint: Option<LeaderHint>,
        effects: &mut Effects,
    ) {
        if is_invalid_metadata(error) {
            self.view.want_update();
        }
        let Some((topic, number)) = self.whereabouts(subject) else { return };
        let news = hint.is_some_and(|hint| self.view.learn_hint(topic, number, hint, effects));
        let (failures, rests_until) = match subject {
            Subject::Partition(at) => {
                let partition = &mut self.partitions[at.0];
                match &mut partition.state {
                    State::Resetting { asked, .. } | State::Validating { asked } => *asked = false,
                    _ => {}
                }
                (&mut partition.failures, &mut partition.rests_until)
            }
            Subject::End(which) => {
                let Some(end) = self.ends.get_mut(&which) else { return };
                end.asked = false;
                (&mut end.failures, &mut end.rests_until)
            }
        };
        let rest = self.backoff.rest(*failures);
        *failures = failures.saturating_add(1);
        *rests_until = if news { Instant::ZERO } else { now.monotonic + rest };
        self.place_subject(now.monotonic, subject, effects);
    }

    pub(super) fn offsets_found(
        &mut self,
        now: Now,
        asked: Vec<(Subject, OffsetSpec)>,
        after: u64,
        response: ListOffsetsResponse,
        effects: &mut Effects,
    ) {
        let mut answers = response.partitions.into_iter();
        for (subject, spec) in asked {
            match answers.next().map(|answer| (answer.result, answer.leader)) {
                Some((Ok(found), _)) => self.offset_found(now, subject, spec, after, found, effects),
                Some((Err(error), hint)) => self.lookup_failed(now, subject, error, hint, effects),
                None => self.lookup_failed(now, subject, ErrorCode::UnknownServerError, None, effects),
            }
        }
    }

    fn offset_found(
        &mut self,
        now: Now,
        subject: Subject,
        spec: OffsetSpec,
        asked_after: u64,
        found: Option<FoundOffset>,
        effects: &mut Effects,
    ) {
        let Some((topic, number)) = self.whereabouts(subject) else { return };
        let named = match subject {
            Subject::Partition(at) => self.known(at),
            Subject::End(_) => self.view.partition(topic, number),
        };
        if let Some(partition) = named {
            let (latest, offset) = (spec == OffsetSpec::Latest, found.map(|found| found.offset));
            self.offsets_told += 1;
            effects.note(Event::OffsetListed { partition, latest, offset, asked_after });
        }
        let Subject::Partition(at) = subject else {
            if let Subject::End(which) = subject {
                self.ends.remove(&which);
            }
            return;
        };
        let partition = &mut self.partitions[at.0];
        let State::Resetting { spec: wanted, why, asked: true } = partition.state else { return };
        if wanted != spec {
            return;
        }
        match found {
            Some(found) => {
                let known = self.view.leadership(topic, number);
                let id = self.view.view(topic).id();
                let leader = id.and_then(|id| Some((id, known.leader.and(known.epoch)?)));
                let to = Position { offset: found.offset, epoch: found.leader_epoch, leader };
                self.move_to(at, to, why, effects);
            }
            // No record is that late: the end is where the next one will be.
            None => {
                partition.state = State::Resetting { spec: OffsetSpec::Latest, why, asked: false };
            }
        }
        self.place(now.monotonic, at, effects);
    }

    pub(super) fn epochs_found(
        &mut self,
        now: Now,
        asked: Vec<(PartitionIndex, Position)>,
        response: OffsetForLeaderEpochResponse,
        effects: &mut Effects,
    ) {
        let mut answers = response.partitions.into_iter();
        for (at, position) in asked {
            match answers.next().map(|answer| answer.result) {
                Some(Ok(end)) => self.epoch_found(now, at, position, end, effects),
                Some(Err(error)) => {
                    self.view.want_update();
                    self.lookup_failed(now, Subject::Partition(at), error, None, effects);
                }
                None => self.lookup_failed(
                    now,
                    Subject::Partition(at),
                    ErrorCode::UnknownServerError,
                    None,
                    effects,
                ),
            }
        }
    }

    /// A leader says where the epoch of the record before our position ends.
    fn epoch_found(
        &mut self,
        now: Now,
        at: PartitionIndex,
        asked_for: Position,
        end: Option<EpochEnd>,
        effects: &mut Effects,
    ) {
        let partition = &mut self.partitions[at.0];
        let (State::Validating { asked: true }, Some(position)) = (partition.state, partition.position)
        else {
            return;
        };
        if position != asked_for {
            // The leader has changed again meanwhile, or the application has been elsewhere.
            partition.state = State::Validating { asked: false };
        } else if end.is_some_and(|end| end.end >= position.offset) {
            partition.state = State::Fetching;
            partition.failures = 0;
        } else {
            self.truncated(at, position, end, effects);
        }
        self.place(now.monotonic, at, effects);
    }

    /// The log does not reach our position any more in the epoch we read there.
    fn truncated(
        &mut self,
        at: PartitionIndex,
        position: Position,
        end: Option<EpochEnd>,
        effects: &mut Effects,
    ) {
        if let Some(partition) = self.known(at) {
            let to = end.map(|end| end.end);
            effects.note(Event::TruncationDetected { partition, position: position.offset, to });
        }
        match end {
            _ if self.config.auto_offset_reset == AutoOffsetReset::None => {
                self.get_stuck(at, SeekReason::Truncated, effects);
            }
            Some(EpochEnd { epoch, end }) => {
                let to = Position { offset: end, epoch: Some(epoch), leader: position.leader };
                self.move_to(at, to, SeekReason::Truncated, effects);
            }
            None => self.reset(at, SeekReason::Truncated, effects),
        }
    }
}
