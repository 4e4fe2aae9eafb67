//! Which groups does this broker look after, and how do requests about groups find their coordinator?
//!
//! A broker that leads a partition of `__consumer_offsets` hosts its [`Coordinator`]. It begins when the controller
//! says that we lead: once everything that was in the log then is known to be committed, it is read. Kafka begins to
//! serve as soon as it has read the log, committed or not, and answers a read from what it knows to be committed,
//! which may be less than what its predecessor had acknowledged; here nobody is answered before.

use alloc::{collections::BTreeMap, format, string::ToString, vec, vec::Vec};
use core::time::Duration;

use super::{Broker, Timer, fetch::Cold, replicas::Slot};
use crate::{
    group::{
        Coordinator, Cx, Journal, OFFSETS_TOPIC, consumer::undescribed, partition_of, record::GroupRecord,
        refusal,
    },
    log::{Read, batch::Batches, codec::BatchBuilder},
    machine::{Caller, Effects},
    museum::{Bug, Museum},
    partition::Partition,
    protocol::{
        ErrorCode, Request, Response, TopicName,
        consumer_group::ConsumerGroupDescribeResponse,
        group_admin::{
            CoordinatorKind, DeleteGroupsResponse, DescribeGroupsResponse, DescribedGroup,
            FindCoordinatorResponse, ListGroupsRequest, ListGroupsResponse,
        },
        offsets::{GroupOffsets, GroupOffsetsWanted, OffsetFetchResponse},
        topics::{CreateTopicsRequest, NewTopic},
    },
    rng::Rng,
    time::Now,
    units::{GroupId, LeaderEpoch, NodeId, Offset, TopicId, TopicPartition},
};

/// How long what is to be done about a lost partition takes to begin, where the museum has it begin late.
const UNLOADED_AFTER: Duration = Duration::from_secs(1);

/// The coordinators of this broker.
#[derive(Clone, Debug, Default)]
pub struct Coordinators {
    hosted: BTreeMap<Slot, Coordinator>,
    /// The topic that they write to, once it is there.
    topic: Option<TopicId>,
    /// Whose logs are further than they have heard.
    moved: Vec<Slot>,
    /// Which of them wait for the disk.
    reading: Vec<Slot>,
    /// DeleteGroups requests that are not done: what is left of them, and what came of the rest.
    deleting: BTreeMap<Caller, Deleting>,
}

/// A DeleteGroups request: one group after the other.
#[derive(Clone, Debug)]
struct Deleting {
    groups: Vec<GroupId>,
    /// How many of them a coordinator was asked about.
    asked: usize,
    response: DeleteGroupsResponse,
}

impl Coordinators {
    /// Whether a replica's high watermark matters to a coordinator.
    pub fn high_watermark_moved(&mut self, slot: Slot) {
        if self.hosted.contains_key(&slot) && !self.moved.contains(&slot) {
            self.moved.push(slot);
        }
    }

    /// Whether a topic is the coordinators' own, to which no client may write.
    pub fn owns(&self, topic: TopicId) -> bool {
        self.topic == Some(topic)
    }

    /// The coordinators, for whoever looks on.
    pub fn iter(&self) -> impl Iterator<Item = &Coordinator> {
        self.hosted.values()
    }
}

/// Writes a coordinator's records to its partition.
struct Pen<'a> {
    partition: &'a mut Partition,
    now: Now,
    museum: Museum,
    effects: &'a mut Effects,
}

impl Journal for Pen<'_> {
    fn append(&mut self, records: &[GroupRecord]) -> Result<Offset, ErrorCode> {
        let mut batch = BatchBuilder::new();
        for record in records {
            batch.push(self.now.wall, Some(&record.key()), record.value().as_deref(), &[]);
        }
        let appended = self.partition.append(self.now, batch.build(), true, self.museum, self.effects)?;
        match appended {
            crate::log::Appended::New(range) | crate::log::Appended::Duplicate(range) => Ok(range.start),
        }
    }
}

impl Broker {
    /// A replica leads a new epoch: if groups are written to it, their coordinator begins.
    pub(super) fn host_groups(&mut self, slot: Slot, effects: &mut Effects) {
        let Some(replica) = self.replicas.get(slot) else { return };
        let partition = replica.partition.id();
        if !self.coordinators.owns(partition.topic) {
            return;
        }
        let Some(epoch) = replica.partition.epoch() else { return };
        let start = replica.partition.log.start();
        self.unhost_groups(slot, effects);
        let stream = format!("{}/group/{}/{}", self.setup.id, partition.partition, epoch);
        let ids = Rng::named(self.setup.seed, &stream);
        let coordinator = Coordinator::new(partition, epoch, start, &self.config, ids, self.museum());
        self.coordinators.hosted.insert(slot, coordinator);
        self.coordinators.high_watermark_moved(slot);
    }

    /// A replica does not lead any more: the groups are somebody else's.
    pub(super) fn unhost_groups(&mut self, slot: Slot, effects: &mut Effects) {
        let Some(coordinator) = self.coordinators.hosted.remove(&slot) else { return };
        self.coordinators.reading.retain(|it| *it != slot);
        self.timers.cancel(&Timer::Groups(slot));
        let mut answers = Vec::new();
        coordinator.resign(&mut effects.events, &mut answers);
        for (caller, response) in answers {
            self.group_answered(caller, response, effects);
        }
    }

    /// A replica follows in a new epoch.
    pub(super) fn stop_hosting_groups(&mut self, now: Now, slot: Slot, effects: &mut Effects) {
        let museum = self.museum();
        let late = museum.has(Bug::CoordinatorLoadUnloadReordered);
        // KAFKA-20634: until somebody got round to it a coordinator went on, and what its log, cut and copied anew,
        // committed counted for what it had written itself.
        let goes_on = museum.has(Bug::CoordinatorTrustsFollowerHw);
        if (late || goes_on) && self.coordinators.hosted.contains_key(&slot) {
            self.set_timer(now, UNLOADED_AFTER, Timer::LateUnload(slot));
        }
        if !goes_on {
            self.unhost_groups(slot, effects);
        }
    }

    /// What was to be done when the partition was lost.
    pub(super) fn unload_late(&mut self, slot: Slot, effects: &mut Effects) {
        // KAFKA-10614: nobody asked whether the partition had been won again meanwhile.
        let leads = self.replicas.get(slot).is_some_and(|it| it.partition.leader().is_some());
        if !leads || self.museum().has(Bug::CoordinatorLoadUnloadReordered) {
            self.unhost_groups(slot, effects);
        }
    }

    /// Notices which topic groups are written to: its id is another if it was deleted and made anew.
    pub(super) fn notice_offsets_topic(&mut self) {
        self.coordinators.topic = self.metadata.image.topic_id(&TopicName::from(OFFSETS_TOPIC));
    }

    /// A topic is gone, and what groups have committed in it.
    pub(super) fn forget_topic(&mut self, now: Now, topic: &TopicName, effects: &mut Effects) {
        let slots: Vec<Slot> = self.coordinators.hosted.keys().copied().collect();
        for slot in slots {
            self.with_groups(now, slot, effects, |coordinator, cx| coordinator.topic_deleted(topic, cx));
        }
    }

    /// Carries on the coordinators whose logs have moved.
    pub(super) fn coordinate(&mut self, now: Now, effects: &mut Effects) {
        while let Some(slot) = self.coordinators.moved.pop() {
            let Some(replica) = self.replicas.get(slot) else { continue };
            let high_watermark = replica.partition.high_watermark();
            match self.coordinators.hosted.get(&slot).map(Coordinator::is_active) {
                Some(true) => {
                    self.with_groups(now, slot, effects, |it, cx| it.committed_to(high_watermark, cx));
                }
                Some(false) => self.load_groups(now, slot, effects),
                None => {}
            }
        }
    }

    /// Reads on in a coordinator's log, once all that was there when it began is known to be committed.
    fn load_groups(&mut self, now: Now, slot: Slot, effects: &mut Effects) {
        if self.coordinators.reading.contains(&slot) {
            return;
        }
        loop {
            let Some(replica) = self.replicas.get(slot) else { return };
            let end = match replica.partition.leader() {
                Some(leader) => leader.epoch_start,
                None if self.museum().has(Bug::FollowerLooksAfterGroups) => {
                    replica.partition.high_watermark()
                }
                None => return,
            };
            let Some(coordinator) = self.coordinators.hosted.get_mut(&slot) else { return };
            if replica.partition.high_watermark() < end {
                return;
            }
            let from = coordinator.applied().max(replica.partition.log.start());
            if from >= end {
                let _ = self.with_groups(now, slot, effects, |it, cx| it.activate(end, cx));
                return;
            }
            match replica.partition.log.read(from, end, self.config.offsets_load_buffer_size, true) {
                Ok(Read::Batches(batches)) if !batches.is_empty() => {
                    coordinator.begin_piece();
                    batches.iter().for_each(|batch| coordinator.load(batch));
                }
                // What stood last was compacted away: there is nothing more to read (KAFKA-9065).
                Ok(Read::Batches(_)) => {
                    let _ = self.with_groups(now, slot, effects, |it, cx| it.activate(end, cx));
                    return;
                }
                Ok(Read::Cold(read)) => {
                    let epoch = coordinator.epoch();
                    self.coordinators.reading.push(slot);
                    return self.begin_cold(now, slot, read, Cold::Groups(epoch), effects);
                }
                // Its log cannot be read: another replica may do better.
                Err(_) => return self.unhost_groups(slot, effects),
            }
        }
    }

    /// What a coordinator has asked the disk for is there.
    pub(super) fn groups_read(
        &mut self,
        now: Now,
        slot: Slot,
        epoch: LeaderEpoch,
        batches: Result<Batches, ErrorCode>,
        effects: &mut Effects,
    ) {
        let museum = self.museum();
        let Some(coordinator) = self.coordinators.hosted.get_mut(&slot) else { return };
        // A mutant: nobody takes in what the disk has read.
        if coordinator.epoch() != epoch || coordinator.is_active() || museum.has(Bug::GroupsReadForgotten) {
            return;
        }
        self.coordinators.reading.retain(|it| *it != slot);
        match batches {
            Ok(batches) => {
                coordinator.begin_piece();
                batches.iter().for_each(|batch| coordinator.load(batch));
                if batches.is_empty() {
                    let end =
                        self.replicas.get(slot).and_then(|it| it.partition.leader()).map(|it| it.epoch_start);
                    let end = end.unwrap_or_default();
                    let _ = self.with_groups(now, slot, effects, |it, cx| it.activate(end, cx));
                    return;
                }
                self.load_groups(now, slot, effects);
            }
            Err(_) => self.unhost_groups(slot, effects),
        }
    }

    pub(super) fn on_groups_timer(&mut self, now: Now, slot: Slot, effects: &mut Effects) {
        self.with_groups(now, slot, effects, |coordinator, cx| coordinator.on_deadline(cx));
    }

    /// Lets a coordinator do something, and carries out what it wants.
    fn with_groups<R>(
        &mut self,
        now: Now,
        slot: Slot,
        effects: &mut Effects,
        act: impl FnOnce(&mut Coordinator, &mut Cx<'_>) -> R,
    ) -> Option<R> {
        let museum = self.museum();
        let coordinator = self.coordinators.hosted.get_mut(&slot)?;
        let partition = &mut self.replicas.get_mut(slot)?.partition;
        let (mut events, mut answers) = (Vec::new(), Vec::new());
        let mut pen = Pen { partition, now, museum, effects };
        let done = act(
            coordinator,
            &mut Cx {
                now,
                metadata: &self.metadata.image,
                metadata_end: self.metadata.end,
                journal: &mut pen,
                events: &mut events,
                answers: &mut answers,
            },
        );
        effects.events.append(&mut events);
        match coordinator.deadline() {
            Some(at) => self.timers.set(at, Timer::Groups(slot)),
            None => {
                self.timers.cancel(&Timer::Groups(slot));
            }
        }
        self.watch_log(Some(slot));
        for (caller, response) in answers {
            self.group_answered(caller, response, effects);
        }
        Some(done)
    }

    fn group_answered(&mut self, caller: Caller, response: Response, effects: &mut Effects) {
        if let Response::DeleteGroups(part) = &response
            && let Some(deleting) = self.coordinators.deleting.get_mut(&caller)
        {
            deleting.response.groups.extend(part.groups.iter().cloned());
            return;
        }
        self.answer(caller, response, effects);
    }

    /// Where the coordinator of a group stands, if it is here.
    ///
    /// Refuses with `InvalidGroupId` an empty name, and with `NotCoordinator` a group that another broker looks after.
    fn coordinator_of(&self, group: &GroupId) -> Result<Slot, ErrorCode> {
        if group.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        let partition = self.partition_of(group).ok_or(ErrorCode::NotCoordinator)?;
        let slot = self.replicas.find(partition).ok_or(ErrorCode::NotCoordinator)?;
        self.coordinators.hosted.contains_key(&slot).then_some(slot).ok_or(ErrorCode::NotCoordinator)
    }

    /// The partition that a group is written to, once there is one.
    fn partition_of(&self, group: &GroupId) -> Option<TopicPartition> {
        let topic = self.coordinators.topic?;
        let partitions = self.metadata.image.topic(topic)?.partitions.len() as u32;
        Some(TopicPartition::new(topic, partition_of(group, partitions)))
    }

    /// Carries out a request about one group.
    pub(super) fn group_request(
        &mut self,
        now: Now,
        caller: Caller,
        request: Request,
        effects: &mut Effects,
    ) {
        let group = match &request {
            Request::JoinGroup(it) => &it.group,
            Request::SyncGroup(it) => &it.group,
            Request::Heartbeat(it) => &it.group,
            Request::LeaveGroup(it) => &it.group,
            Request::OffsetCommit(it) => &it.group,
            Request::OffsetDelete(it) => &it.group,
            Request::ConsumerGroupHeartbeat(it) => &it.group,
            _ => return,
        };
        match self.coordinator_of(group) {
            Ok(slot) => {
                self.with_groups(now, slot, effects, |it, cx| it.serve(caller, caller.node, request, cx));
            }
            Err(error) => {
                // Only here an empty name is a request that makes no sense.
                let nameless = matches!(&request, Request::ConsumerGroupHeartbeat(it) if it.group.is_empty());
                let error = if nameless { ErrorCode::InvalidRequest } else { error };
                if let Some(response) = refusal(&request, error) {
                    self.answer(caller, response, effects);
                }
            }
        }
    }

    pub(super) fn fetch_offsets(
        &mut self,
        caller: Caller,
        groups: &[GroupOffsetsWanted],
        effects: &mut Effects,
    ) {
        let each = groups.iter().map(|wanted| {
            let slot = self.coordinator_of(&wanted.group);
            match slot.map(|slot| self.coordinators.hosted.get(&slot)) {
                Ok(Some(coordinator)) => coordinator.fetch(wanted),
                Ok(None) => refused_offsets(wanted, ErrorCode::NotCoordinator),
                Err(error) => refused_offsets(wanted, error),
            }
        });
        let response = OffsetFetchResponse { groups: each.collect() };
        self.answer(caller, Response::OffsetFetch(response), effects);
    }

    pub(super) fn describe_groups(&mut self, caller: Caller, groups: &[GroupId], effects: &mut Effects) {
        let each = groups.iter().map(|group| match self.coordinator_of(group) {
            Ok(slot) => self.coordinators.hosted.get(&slot).map(|it| it.describe(group)),
            Err(error) => Some(DescribedGroup {
                group: group.clone(),
                error: Some(error),
                state: "",
                protocol_type: "".into(),
                protocol: "".into(),
                members: Vec::new(),
            }),
        });
        let response = DescribeGroupsResponse { groups: each.flatten().collect() };
        self.answer(caller, Response::DescribeGroups(response), effects);
    }

    pub(super) fn describe_consumer_groups(
        &mut self,
        caller: Caller,
        groups: &[GroupId],
        effects: &mut Effects,
    ) {
        let metadata = &self.metadata.image;
        let each = groups.iter().map(|group| match self.coordinator_of(group) {
            Ok(slot) => match self.coordinators.hosted.get(&slot) {
                Some(coordinator) => coordinator.describe_consumer(group, metadata),
                None => undescribed(group, ErrorCode::NotCoordinator),
            },
            Err(error) => undescribed(group, error),
        });
        let response = ConsumerGroupDescribeResponse { groups: each.collect() };
        self.answer(caller, Response::ConsumerGroupDescribe(response), effects);
    }

    pub(super) fn list_groups(&mut self, caller: Caller, request: &ListGroupsRequest, effects: &mut Effects) {
        let mut response = ListGroupsResponse { error: None, groups: Vec::new() };
        for coordinator in self.coordinators.hosted.values() {
            match coordinator.list() {
                Ok(groups) => response.groups.extend(groups),
                Err(error) => response.error = Some(error),
            }
        }
        let wanted = |these: &[alloc::sync::Arc<str>], it: &str| {
            these.is_empty() || these.iter().any(|this| this.eq_ignore_ascii_case(it))
        };
        response.groups.retain(|it| wanted(&request.states, it.state) && wanted(&request.types, it.kind));
        response.groups.sort_by(|a, b| a.group.cmp(&b.group));
        self.answer(caller, Response::ListGroups(response), effects);
    }

    pub(super) fn delete_groups(&mut self, caller: Caller, groups: Vec<GroupId>) {
        let response = DeleteGroupsResponse { groups: Vec::new() };
        self.coordinators.deleting.insert(caller, Deleting { groups, asked: 0, response });
    }

    /// Goes on with requests to delete groups.
    pub(super) fn go_on_deleting_groups(&mut self, now: Now, effects: &mut Effects) {
        let callers: Vec<Caller> = self.coordinators.deleting.keys().copied().collect();
        for caller in callers {
            while let Some(deleting) = self.coordinators.deleting.get_mut(&caller) {
                if deleting.response.groups.len() < deleting.asked {
                    break;
                }
                let Some(group) = deleting.groups.get(deleting.asked).cloned() else {
                    let response = core::mem::replace(
                        &mut deleting.response,
                        DeleteGroupsResponse { groups: Vec::new() },
                    );
                    self.coordinators.deleting.remove(&caller);
                    self.answer(caller, Response::DeleteGroups(response), effects);
                    break;
                };
                deleting.asked += 1;
                match self.coordinator_of(&group) {
                    Ok(slot) => {
                        self.with_groups(now, slot, effects, |it, cx| it.delete_group(caller, &group, cx));
                    }
                    Err(error) => deleting_refused(&mut self.coordinators, caller, group, error),
                }
            }
        }
    }

    /// Says who looks after groups. If there is nowhere to write to, that is made first.
    pub(super) fn find_coordinator(
        &mut self,
        now: Now,
        caller: Caller,
        kind: CoordinatorKind,
        keys: &[GroupId],
        effects: &mut Effects,
    ) {
        if kind == CoordinatorKind::Group && self.coordinators.topic.is_none() {
            self.create_offsets_topic(now);
        }
        let each = keys.iter().map(|key| {
            let found = match kind {
                CoordinatorKind::Transaction => Err(ErrorCode::InvalidRequest),
                CoordinatorKind::Group if key.is_empty() => Err(ErrorCode::InvalidGroupId),
                CoordinatorKind::Group => self.leader_of(key).ok_or(ErrorCode::CoordinatorNotAvailable),
            };
            (key.clone(), found)
        });
        let response = FindCoordinatorResponse { coordinators: each.collect() };
        self.answer(caller, Response::FindCoordinator(response), effects);
    }

    fn leader_of(&self, group: &GroupId) -> Option<NodeId> {
        self.metadata.image.partition(self.partition_of(group)?)?.leader
    }

    pub(super) fn create_offsets_topic(&mut self, now: Now) {
        let topic = NewTopic {
            name: OFFSETS_TOPIC.into(),
            partitions: self.config.offsets_topic_num_partitions,
            replication_factor: self.config.offsets_topic_replication_factor,
            assignment: Vec::new(),
            config: vec![
                ("cleanup.policy".into(), "compact".into()),
                ("segment.bytes".into(), self.config.offsets_topic_segment_bytes.to_string()),
            ],
        };
        let timeout = self.config.request_timeout_ms;
        let request = Request::CreateTopics(CreateTopicsRequest { topics: vec![topic], timeout });
        self.forward_own(now, request);
    }
}

fn refused_offsets(wanted: &GroupOffsetsWanted, error: ErrorCode) -> GroupOffsets {
    GroupOffsets { group: wanted.group.clone(), error: Some(error), partitions: Vec::new() }
}

fn deleting_refused(coordinators: &mut Coordinators, caller: Caller, group: GroupId, error: ErrorCode) {
    if let Some(deleting) = coordinators.deleting.get_mut(&caller) {
        deleting.response.groups.push((group, Some(error)));
    }
}
