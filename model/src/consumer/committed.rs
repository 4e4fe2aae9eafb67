//! Where does a member begin in a partition that is new to it?
//!
//! Kafka's `ConsumerCoordinator.refreshCommittedOffsetsIfNeeded`: where its group has come to, and if it never
//! committed, where `auto.offset.reset` says.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use super::{
    Consumer,
    group::{Errand, Group},
    positions::{PartitionIndex, Position, State},
};
use crate::{
    client::NamedPartition,
    event::{Event, SeekReason},
    machine::Effects,
    museum::Bug,
    protocol::{
        ErrorCode, Request,
        groups::NO_GENERATION,
        offsets::{CommittedOffset, GroupOffsetsWanted, OffsetFetchRequest, OffsetFetchResponse},
    },
    time::Now,
};

impl Consumer {
    /// Asks how far the group has come in partitions that are new.
    pub(super) fn ask_committed(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        if group.uncertain.is_empty() {
            return;
        }
        if group.committed_rests > now.monotonic {
            return group.wait(group.committed_rests);
        }
        let Some(coordinator) = group.ready(now.monotonic) else { return };
        group.committed_asked += 1;
        let number = group.committed_asked;
        let (mut asked, mut names, mut told) = (Vec::new(), Vec::new(), Vec::new());
        for at in core::mem::take(&mut group.uncertain) {
            let partition = &mut self.partitions[at.0];
            if !partition.assigned || partition.state != (State::Committed { asked: None }) {
                continue;
            }
            partition.state = State::Committed { asked: Some(number) };
            let topic = self.view.view(partition.topic).name().clone();
            names.push(NamedPartition { topic, partition: partition.partition });
            told.extend(partition.known);
            asked.push(at);
        }
        if asked.is_empty() {
            return;
        }
        effects.note(Event::CommittedAsked { group: group.id.clone(), partitions: told });
        let in_epoch = group.modern.is_some() && group.generation != NO_GENERATION;
        let wanted = GroupOffsetsWanted {
            group: group.id.clone(),
            member: in_epoch.then(|| group.member.clone()),
            epoch: if in_epoch { group.generation } else { NO_GENERATION },
            partitions: Some(names),
        };
        let request = Request::OffsetFetch(OffsetFetchRequest { groups: vec![wanted], require_stable: true });
        group.net.send(now.monotonic, coordinator, request, Errand::Committed(asked, number), effects);
    }

    pub(super) fn committed_told(
        &mut self,
        now: Now,
        asked: &[PartitionIndex],
        number: u64,
        response: OffsetFetchResponse,
        effects: &mut Effects,
    ) {
        let of_group = response.groups.into_iter().next();
        let error = of_group.as_ref().map_or(Some(ErrorCode::UnknownServerError), |group| group.error);
        if let Some(error) = error {
            // librdkafka #5586: the coordinator was looked for anew, and then not asked.
            if !(Group::is_elsewhere(error) && self.museum.has(Bug::OffsetFetchNotRetried)) {
                self.committed_lost(now, asked, number);
            }
            if Group::is_elsewhere(error) {
                self.forget_coordinator(now, effects);
            }
            return;
        }
        let told: BTreeMap<NamedPartition, _> = of_group.into_iter().flat_map(|it| it.partitions).collect();
        let mut unanswered = Vec::new();
        for at in asked {
            let partition = &self.partitions[at.0];
            if !partition.assigned || partition.state != (State::Committed { asked: Some(number) }) {
                continue;
            }
            let topic = self.view.view(partition.topic).name().clone();
            match told.get(&NamedPartition { topic, partition: partition.partition }) {
                Some(Ok(committed)) => self.begin_at(now, *at, committed.as_ref(), effects),
                Some(Err(_)) | None => unanswered.push(*at),
            }
        }
        if unanswered.is_empty() {
            if let Some(group) = &mut self.group {
                group.committed_failures = 0;
            }
        } else {
            self.committed_lost(now, &unanswered, number);
        }
    }

    fn begin_at(
        &mut self,
        now: Now,
        at: PartitionIndex,
        committed: Option<&CommittedOffset>,
        effects: &mut Effects,
    ) {
        if let (Some(partition), Some(group)) = (self.known(at), &self.group) {
            let (group, offset) = (group.id.clone(), committed.map(|it| it.offset));
            effects.note(Event::CommittedTold { group, partition, offset });
        }
        match committed {
            // Whether it is still in the log the leader is asked, as if it had changed.
            Some(CommittedOffset { offset, epoch, .. }) => {
                let to = Position { offset: *offset, epoch: *epoch, leader: None };
                self.move_to(at, to, SeekReason::Committed, effects);
            }
            None => self.reset(at, SeekReason::Reset, effects),
        }
        self.place(now.monotonic, at, effects);
    }

    /// Nobody has said how far the group has come: it is asked again.
    pub(super) fn committed_lost(&mut self, now: Now, asked: &[PartitionIndex], number: u64) {
        let Some(group) = &mut self.group else { return };
        for at in asked {
            let partition = &mut self.partitions[at.0];
            if partition.assigned && partition.state == (State::Committed { asked: Some(number) }) {
                partition.state = State::Committed { asked: None };
                group.uncertain.insert(*at);
            }
        }
        group.committed_rests = now.monotonic + group.backoff.rest(group.committed_failures);
        group.committed_failures = group.committed_failures.saturating_add(1);
    }
}
