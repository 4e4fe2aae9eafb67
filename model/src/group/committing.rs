//! How far has a group come, who may say so, and when is that forgotten? KIP-211.

use alloc::vec::Vec;

use super::{
    Coordinator, Cx, Timer,
    consumer::ConsumerGroup,
    image::{Groups, Question, Then},
    joining::check_member,
    record::{GroupRecord, StoredOffset},
};
use crate::{
    event::{Event, ForgetReason, GroupState},
    machine::Caller,
    museum::Bug,
    protocol::{
        ErrorCode, NamedPartition, Response,
        groups::NO_GENERATION,
        offsets::{
            GroupOffsets, GroupOffsetsWanted, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
            OffsetDeleteResponse,
        },
    },
    time::{Now, Timestamp},
    units::{GroupId, Offset, TopicPartition},
};

impl Coordinator {
    /// A group has come so far, if who says so may: a member of the current generation, or anybody while nobody is
    /// in the group.
    pub(super) fn commit(&mut self, caller: Caller, request: OffsetCommitRequest, cx: &mut Cx<'_>) {
        let refused = |error: ErrorCode| {
            let each = request.offsets.iter().map(|(partition, _)| (partition.clone(), Some(error)));
            Response::OffsetCommit(OffsetCommitResponse { partitions: each.collect() })
        };
        let may = match self.shard.state().and_then(|state| state.consumer(&request.group)) {
            Some(group) => self.may_commit_to(group, &request, cx),
            None => self.may_commit(&request, cx.now),
        };
        if let Err(error) = may {
            return cx.answer(caller, refused(error));
        }
        let mut offsets = Vec::with_capacity(request.offsets.len());
        let mut partitions = Vec::with_capacity(request.offsets.len());
        for (partition, committed) in &request.offsets {
            let error = if self.known(partition, cx).is_none() {
                Some(ErrorCode::UnknownTopicOrPartition)
            } else if committed.metadata.len() > self.settings.metadata_max_bytes as usize {
                Some(ErrorCode::OffsetMetadataTooLarge)
            } else {
                None
            };
            if error.is_none() {
                let stored = StoredOffset { committed: committed.clone(), at: cx.now.wall, expires: None };
                offsets.push((partition.clone(), stored));
            }
            partitions.push((partition.clone(), error));
        }
        let accepted: Vec<(NamedPartition, Offset)> =
            offsets.iter().map(|(partition, it)| (partition.clone(), it.committed.offset)).collect();
        // KAFKA-16371: what was to be written was noted as pending before it was known that another part was refused,
        // and was never struck off.
        if accepted.len() < partitions.len() && self.museum.has(Bug::PendingCommitLeak) {
            let of = |(partition, _): &(NamedPartition, Offset)| (request.group.clone(), partition.clone());
            self.leaked.extend(accepted.iter().map(of));
        }
        let answer = Then::Answer(Response::OffsetCommit(OffsetCommitResponse { partitions }));
        let group = request.group.clone();
        let base = self.appended_to();
        match self.write(Some(caller), &Question::Commit { group, offsets, answer }, cx) {
            Ok(()) => self.note_accepted(&request, &accepted, base, cx),
            Err(ErrorCode::UnknownServerError) => {
                cx.answer(caller, refused(ErrorCode::InvalidCommitOffsetSize))
            }
            Err(error) => cx.answer(caller, refused(error)),
        }
    }

    fn appended_to(&self) -> Offset {
        self.shard.appended().unwrap_or_default()
    }

    fn may_commit(&mut self, request: &OffsetCommitRequest, now: Now) -> Result<(), ErrorCode> {
        // KAFKA-2555: anybody could say how far a group is, also who was not in it any more.
        if self.museum.has(Bug::OffsetCommitGenerationUnchecked) {
            return Ok(());
        }
        let Some(group) = self.classic.get(&request.group) else {
            // Nobody is in it: whoever assigns partitions to itself may use it to remember offsets by.
            return if request.generation < 0 { Ok(()) } else { Err(ErrorCode::IllegalGeneration) };
        };
        if request.generation < 0 && group.state == GroupState::Empty {
            return Ok(());
        }
        if request.generation >= 0 || !request.member.is_empty() || request.instance.is_some() {
            check_member(group, &request.member, request.instance.as_ref())?;
            if request.generation != group.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
        } else {
            debug_assert_eq!(request.generation, NO_GENERATION);
            return Err(ErrorCode::UnknownMemberId);
        }
        match group.state {
            GroupState::CompletingRebalance => Err(ErrorCode::RebalanceInProgress),
            GroupState::Stable | GroupState::PreparingRebalance => {
                self.keep_session(&request.group, &request.member, now);
                Ok(())
            }
            _ => Err(ErrorCode::UnknownMemberId),
        }
    }

    /// The same in a KIP-848 group: one partition that may not be committed, and none may.
    fn may_commit_to(
        &self,
        group: &ConsumerGroup,
        request: &OffsetCommitRequest,
        cx: &Cx<'_>,
    ) -> Result<(), ErrorCode> {
        // KAFKA-2555, as above.
        if self.museum.has(Bug::OffsetCommitGenerationUnchecked) {
            return Ok(());
        }
        let mut each = request.offsets.iter().map(|(partition, _)| self.known(partition, cx));
        each.try_for_each(|partition| group.may_commit(&request.member, request.generation, partition))
    }

    fn known(&self, partition: &NamedPartition, cx: &Cx<'_>) -> Option<TopicPartition> {
        let topic = cx.metadata.topic_id(&partition.topic)?;
        let exists = (partition.partition as usize) < cx.metadata.topic(topic)?.partitions.len();
        exists.then(|| TopicPartition::new(topic, partition.partition))
    }

    fn note_accepted(
        &self,
        request: &OffsetCommitRequest,
        accepted: &[(NamedPartition, Offset)],
        base: Offset,
        cx: &mut Cx<'_>,
    ) {
        for (at, (partition, offset)) in (base.0..).map(Offset).zip(accepted) {
            let Some(partition) = self.known(partition, cx) else { continue };
            cx.events.push(Event::OffsetAccepted {
                group: request.group.clone(),
                partition,
                offset: *offset,
                member: request.member.clone(),
                generation: request.generation,
                by: self.partition,
                coordinator: self.epoch,
                at,
            });
        }
    }

    /// How far a group has come, by what is committed of its log.
    pub fn fetch(&self, wanted: &GroupOffsetsWanted) -> GroupOffsets {
        let group = wanted.group.clone();
        if !self.active {
            let error = Some(ErrorCode::CoordinatorLoadInProgress);
            return GroupOffsets { group, error, partitions: Vec::new() };
        }
        let committed = self.shard.committed();
        if let Some(consumer) = committed.consumer(&group)
            && let Err(error) = consumer.may_fetch(wanted.member.as_ref(), wanted.epoch)
        {
            return GroupOffsets { group, error: Some(error), partitions: Vec::new() };
        }
        let is_pending = |it: &NamedPartition| self.leaked.contains(&(group.clone(), it.clone()));
        let told = |it: &NamedPartition| match is_pending(it) {
            true => Err(ErrorCode::UnstableOffsetCommit),
            false => Ok(committed.offset(&group, it).map(|it| it.committed.clone())),
        };
        let partitions = match &wanted.partitions {
            Some(wanted) => wanted.iter().map(|it| (it.clone(), told(it))).collect(),
            None => committed
                .offsets(&group)
                .map(|(partition, it)| (partition.clone(), Ok(Some(it.committed.clone()))))
                .collect(),
        };
        GroupOffsets { group, error: None, partitions }
    }

    /// An operator wants offsets forgotten: not those of topics that the group reads.
    pub(super) fn delete_offsets(&mut self, caller: Caller, request: &OffsetDeleteRequest, cx: &mut Cx<'_>) {
        let group_id = &request.group;
        let refused = |error| {
            Response::OffsetDelete(OffsetDeleteResponse { error: Some(error), partitions: Vec::new() })
        };
        let Some(state) = self.shard.state() else {
            return cx.answer(caller, refused(ErrorCode::NotCoordinator));
        };
        let group = self.classic.get(group_id);
        let consumer = state.consumer(group_id);
        if group.is_none() && consumer.is_none() && !state.has_offsets(group_id) {
            return cx.answer(caller, refused(ErrorCode::GroupIdNotFound));
        }
        let members = group.is_some_and(|group| !group.members.is_empty());
        let consumes = group.and_then(|it| it.protocol_type.as_deref()) == Some("consumer");
        if members && !consumes {
            return cx.answer(caller, refused(ErrorCode::NonEmptyGroup));
        }
        let mut subscribed = group.map(super::describing::subscribed).unwrap_or_default();
        subscribed.extend(consumer.map(|it| it.reads(cx.metadata)).unwrap_or_default());
        let members = members || consumer.is_some_and(|it| !it.members().is_empty());
        let mut partitions = Vec::new();
        let mut forgotten = Vec::new();
        for partition in &request.partitions {
            let error = if members && subscribed.contains(&partition.topic) {
                Some(ErrorCode::GroupSubscribedToTopic)
            } else {
                forgotten.push(partition.clone());
                None
            };
            partitions.push((partition.clone(), error));
        }
        let answer = Then::Answer(Response::OffsetDelete(OffsetDeleteResponse { error: None, partitions }));
        let question = Question::Forget { group: group_id.clone(), partitions: forgotten, answer };
        if let Err(error) = self.write(Some(caller), &question, cx) {
            cx.answer(caller, refused(error));
        }
    }

    /// Looks for offsets that nobody has needed for too long: of a group without members since it has had none, of
    /// one that reads other topics by now since they were committed.
    pub(super) fn expire_offsets(&mut self, cx: &mut Cx<'_>) {
        self.timers.set(cx.now.monotonic + self.settings.retention_interval, Timer::Expiry);
        let names = self.shard.state().map(Groups::names).unwrap_or_default();
        for group_id in names {
            let expired = self.expired(&group_id, cx);
            let all = self.shard.state().is_some_and(|it| it.offsets(&group_id).count() == expired.len());
            let group = self.classic.get(&group_id);
            let consumer = self.shard.state().and_then(|state| state.consumer(&group_id));
            let vacant = group
                .is_none_or(|group| group.state == GroupState::Empty && group.pending.is_empty())
                && consumer.is_none_or(|consumer| consumer.members().is_empty());
            if all && vacant {
                let question = Question::Delete { group: group_id.clone(), answer: Then::Nothing };
                if self.write(None, &question, cx).is_ok() {
                    self.set_state(&group_id, GroupState::Dead, cx);
                    self.classic.remove(&group_id);
                    self.note_consumer_gone(&group_id, cx);
                }
            } else if !expired.is_empty() {
                let question =
                    Question::Forget { group: group_id, partitions: expired, answer: Then::Nothing };
                // What cannot be written now is looked for again.
                let _ = self.write(None, &question, cx);
            }
        }
    }

    fn expired(&self, group_id: &GroupId, cx: &Cx<'_>) -> Vec<NamedPartition> {
        let Some(state) = self.shard.state() else { return Vec::new() };
        let now = cx.now.wall;
        // A KIP-848 group needs what it reads; for everything else it counts when it was committed.
        let read_by_consumers =
            state.consumer(group_id).map(|consumer| consumer.reads(cx.metadata)).unwrap_or_default();
        let group = self.classic.get(group_id);
        let kept = i64::try_from(self.settings.retention.as_millis()).unwrap_or(i64::MAX);
        let over = |since: Timestamp| now.0.saturating_sub(since.0) >= kept;
        let subscribed = group.map(super::describing::subscribed);
        let unread =
            |(partition, _): &(&NamedPartition, &StoredOffset)| !read_by_consumers.contains(&partition.topic);
        let offsets = state.offsets(group_id).filter(unread);
        let expired = offsets.filter(|(partition, stored)| match (group, stored.expires) {
            (_, Some(expires)) => now >= expires,
            // Whoever assigns partitions to itself is in no group: what counts is when it committed.
            (None, None) => over(stored.at),
            (Some(group), None) if group.protocol_type.is_none() => over(stored.at),
            (Some(group), None) if group.state == GroupState::Empty => over(stored.at.max(group.since)),
            (Some(_), None) => {
                let reads = subscribed.as_ref().is_none_or(|it| it.contains(&partition.topic));
                !reads && over(stored.at)
            }
        });
        expired.map(|(partition, _)| partition.clone()).collect()
    }

    /// A topic is gone: what groups have committed in it is forgotten.
    pub fn topic_deleted(&mut self, topic: &crate::protocol::TopicName, cx: &mut Cx<'_>) {
        let names = self.shard.state().map(Groups::names).unwrap_or_default();
        for group in names {
            let of = self.shard.state().into_iter().flat_map(|state| state.offsets(&group));
            let partitions: Vec<NamedPartition> =
                of.map(|(partition, _)| partition.clone()).filter(|it| it.topic == *topic).collect();
            if !partitions.is_empty() {
                let question = Question::Forget { group, partitions, answer: Then::Nothing };
                let _ = self.write(None, &question, cx);
            }
        }
    }

    /// Tells of what is to be forgotten.
    pub(super) fn note_forgotten(&self, record: &GroupRecord, cx: &mut Cx<'_>) {
        let GroupRecord::Offset { group, partition, value: None } = record else { return };
        let why = match self.known(partition, cx) {
            None => return,
            Some(_) if self.expired_by_now(group, partition, cx.now.wall) => ForgetReason::Expired,
            Some(_) => ForgetReason::Deleted,
        };
        let Some(partition) = self.known(partition, cx) else { return };
        cx.events.push(Event::OffsetForgotten { group: group.clone(), partition, why });
    }

    fn expired_by_now(&self, group: &GroupId, partition: &NamedPartition, now: Timestamp) -> bool {
        let kept = i64::try_from(self.settings.retention.as_millis()).unwrap_or(i64::MAX);
        let stored = self.shard.committed().offset(group, partition);
        stored.is_some_and(|it| now.0.saturating_sub(it.at.0) >= kept)
    }
}
