//! How are consumer groups looked after? KIP-62, KIP-134, KIP-211, KIP-345, KIP-394, KIP-559, KIP-814, KIP-848.
//!
//! Every group belongs to a partition of `__consumer_offsets`, and the broker that leads it is the group's
//! coordinator: a [`Coordinator`], which is a fold over the partition's log ([`image`]) and, beside it, what classic
//! groups keep in memory alone ([`classic`]); KIP-848 groups keep nothing there ([`consumer`]). It decides from what it has appended, committed or not, and answers
//! once everything it saw is committed; what it is asked to read, it reads from what is committed.
//!
//! The broker hands it requests and timers, tells it how far the log is committed, and carries its answers. It has no
//! network and no disk of its own: `Cx` is all it sees.

mod spelling;
pub mod record;
pub mod image;
pub mod classic;
mod joining;
mod syncing;
mod membership;
pub mod consumer;
mod committing;
mod describing;
#[cfg(test)]
mod tests;

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::time::Duration;

use self::{
    classic::Classic,
    image::{Groups, Question, Then, why_not_written},
    record::GroupRecord,
};
use crate::{
    config::{BrokerConfig, MigrationPolicy},
    controller::image::Image,
    event::{Event, GroupState},
    flat::FlatMap,
    log::batch::Batch,
    machine::Caller,
    museum::{Bug, Museum},
    protocol::{
        ErrorCode, NamedPartition, Request, Response,
        consumer_group::ConsumerGroupHeartbeatResponse,
        groups::{HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse, SyncGroupResponse},
        offsets::{GroupOffsets, OffsetCommitResponse, OffsetDeleteResponse, OffsetFetchResponse},
    },
    replicated::{Replicated, shard::Shard},
    rng::Rng,
    time::{Deadlines, Instant, Now, Timestamp, earliest},
    units::{GroupId, LeaderEpoch, MemberId, NodeId, Offset, RecordCount, TopicPartition},
};

/// The name of the topic that groups are written to.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// How long somebody who has never been in a generation may wait for one.
const NEW_MEMBER_TIMEOUT: Duration = Duration::from_secs(300);

/// Which partition of `__consumer_offsets` a group belongs to: Kafka's, which is Java's hash of the name.
pub fn partition_of(group: &GroupId, partitions: u32) -> u32 {
    let hash = group
        .as_str()
        .encode_utf16()
        .fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // Kafka's `Utils.abs`: the least number has no counterpart.
    (hash & i32::MAX).cast_unsigned() % partitions.max(1)
}

/// Writes records where a coordinator's log ends.
pub trait Journal {
    /// Appends all of them or nothing, and says where the first stands. They are not committed yet.
    fn append(&mut self, records: &[GroupRecord]) -> Result<Offset, ErrorCode>;
}

/// What a coordinator sees of the world, and where it leaves what it wants.
pub struct Cx<'a> {
    /// Now.
    pub now: Now,
    /// The cluster's metadata: which topics there are.
    pub metadata: &'a Image,
    /// Up to where its log was read for that.
    pub metadata_end: Offset,
    /// Its log.
    pub journal: &'a mut dyn Journal,
    /// What it tells whoever watches.
    pub events: &'a mut Vec<Event>,
    /// Its answers.
    pub answers: &'a mut Vec<(Caller, Response)>,
}

impl Cx<'_> {
    fn answer(&mut self, caller: Caller, response: Response) {
        self.answers.push((caller, response));
    }
}

/// What a coordinator wants to be woken for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A member, or somebody who was given an id, has been silent for too long.
    Session(GroupId, MemberId),
    /// Whoever has not joined by now is not waited for.
    Join(GroupId),
    /// Whoever has not asked for its share by now is out.
    Sync(GroupId),
    /// Offsets that are too old are to be looked for.
    Expiry,
    /// A member of a KIP-848 group has not given up in time what it is to give up, or, if it speaks the classic
    /// protocol, has not joined again or asked for its share.
    Revocation(GroupId, MemberId),
}

/// What a coordinator is set to.
#[derive(Clone, Copy, Debug)]
struct Settings {
    metadata_max_bytes: u32,
    commit_timeout: Duration,
    retention: Duration,
    retention_interval: Duration,
    initial_delay: Duration,
    min_session: Duration,
    max_session: Duration,
    max_size: u32,
    consumer_session: Duration,
    consumer_interval: Duration,
    consumer_max_size: u32,
    consumer_regex_refresh: Duration,
    migration: MigrationPolicy,
}

/// A write that is not committed yet.
#[derive(Clone, Debug)]
struct Waiting {
    due: Instant,
    caller: Option<Caller>,
}

/// Looks after the groups of one partition of `__consumer_offsets`, in one leader epoch.
#[derive(Clone, Debug)]
pub struct Coordinator {
    partition: TopicPartition,
    epoch: LeaderEpoch,
    settings: Settings,
    museum: Museum,
    ids: Rng,
    shard: Shard<Groups, u64>,
    /// What is appended and not committed, by where it stands.
    appended: VecDeque<(Offset, GroupRecord)>,
    classic: BTreeMap<GroupId, Classic>,
    /// By which metadata a KIP-848 group was last found to be up to date.
    looked: BTreeMap<GroupId, u64>,
    /// By which metadata its regular expressions were last found to fit nothing new.
    matched: BTreeMap<GroupId, u64>,
    /// How KIP-848 groups stand, as was told last.
    noted: BTreeMap<GroupId, (GroupState, i32, Vec<MemberId>)>,
    timers: Deadlines<Timer>,
    /// By the order in which they were written, which is that in which they are due.
    waiting: FlatMap<u64, Waiting>,
    writes: u64,
    /// Whether the log has been read.
    active: bool,
    /// Groups of which nothing more is read. Only the museum has any.
    installed: Vec<GroupId>,
    /// Offsets that count as pending and are not. Only the museum has any.
    leaked: BTreeSet<(GroupId, NamedPartition)>,
    /// Partitions that look free and are not. Only the museum has any.
    ownerless: BTreeSet<(GroupId, TopicPartition)>,
    /// Its log cannot be read. Only the museum has such ones.
    unreadable: bool,
}

impl Coordinator {
    /// Begins to read the log of a partition from `start`, as its leader in `epoch`. Until
    /// [`activate`](Self::activate) everybody is asked to come again.
    pub fn new(
        partition: TopicPartition,
        epoch: LeaderEpoch,
        start: Offset,
        config: &BrokerConfig,
        ids: Rng,
        museum: Museum,
    ) -> Coordinator {
        let settings = Settings {
            metadata_max_bytes: config.offset_metadata_max_bytes,
            commit_timeout: config.offsets_commit_timeout_ms,
            retention: Duration::from_secs(60 * u64::from(config.offsets_retention_minutes)),
            retention_interval: config.offsets_retention_check_interval_ms,
            initial_delay: config.group_initial_rebalance_delay_ms,
            min_session: config.group_min_session_timeout_ms,
            max_session: config.group_max_session_timeout_ms,
            max_size: config.group_max_size,
            consumer_session: config.group_consumer_session_timeout_ms,
            consumer_interval: config.group_consumer_heartbeat_interval_ms,
            consumer_max_size: config.group_consumer_max_size,
            consumer_regex_refresh: config.group_consumer_regex_refresh_interval_ms,
            migration: config.group_consumer_migration_policy,
        };
        Coordinator {
            partition,
            epoch,
            settings,
            museum,
            ids,
            shard: Shard::new(Groups::default(), start),
            appended: VecDeque::new(),
            classic: BTreeMap::new(),
            looked: BTreeMap::new(),
            matched: BTreeMap::new(),
            noted: BTreeMap::new(),
            timers: Deadlines::new(),
            waiting: FlatMap::new(),
            writes: 0,
            active: false,
            installed: Vec::new(),
            leaked: BTreeSet::new(),
            ownerless: BTreeSet::new(),
            unreadable: false,
        }
    }

    /// Whose groups it looks after.
    pub fn partition(&self) -> TopicPartition {
        self.partition
    }

    /// In which leader epoch.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Whether it has read its log.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// How a classic group stands in memory, if it is one.
    pub fn classic(&self, group: &GroupId) -> Option<&Classic> {
        self.classic.get(group)
    }

    /// Up to where it has read.
    pub fn applied(&self) -> Offset {
        self.shard.applied()
    }

    /// What is committed of its groups.
    pub fn committed(&self) -> &Groups {
        self.shard.committed()
    }

    /// What is so of its groups once everything is committed that it has written; nothing while it leads no log.
    pub fn state(&self) -> Option<&Groups> {
        self.shard.state()
    }

    /// Another piece of its log has been read.
    pub fn begin_piece(&mut self) {
        // KAFKA-5600: what was read was put in place after every piece, and a group that stood there already was left
        // as it was.
        if self.museum.has(Bug::CoordinatorLoadInstallsPerBuffer) {
            self.installed = self.shard.committed().names();
        }
    }

    /// Takes in a committed batch of its log, while it reads it.
    pub fn load(&mut self, batch: &Batch) {
        for record in batch.decode_records().map_while(Result::ok) {
            if record.offset < self.shard.applied() {
                continue;
            }
            let mut read =
                record.key.as_deref().and_then(|key| GroupRecord::decode(key, record.value.as_ref()));
            // KAFKA-8069: that an offset has no time of its own to expire at was read as a time long past.
            if let Some(GroupRecord::Offset { value: Some(value), .. }) = &mut read
                && self.museum.has(Bug::DefaultExpireTimestampLoadedAsReal)
            {
                value.expires.get_or_insert(Timestamp(-1));
            }
            // KAFKA-17306: who is struck off must have been named before.
            if let Some(GroupRecord::Member { group, member, value: None }) = &read
                && self.museum.has(Bug::ReplayAssumesRecordOrder)
            {
                let known = self.shard.committed().consumer(group);
                self.unreadable |= !known.is_some_and(|group| group.members().contains_key(member));
            }
            if let Some(read) = read.filter(|read| !self.installed.contains(read.group())) {
                self.shard.commit(record.offset, &read);
            }
        }
        self.shard.committed_to(batch.end_offset());
    }

    /// It has read everything up to `end`: from now on it looks after its groups. Members that it knows have their
    /// whole session to be heard of.
    pub fn activate(&mut self, end: Offset, cx: &mut Cx<'_>) {
        if self.unreadable {
            return;
        }
        self.active = true;
        self.shard.committed_to(end);
        self.shard.lead(end);
        let images: Vec<(GroupId, Classic)> = (self.shard.committed().classics())
            .map(|(group, image)| (group.clone(), Classic::of_image(image)))
            .collect();
        for (id, mut group) in images {
            // A mutant: it counts generations from the start.
            if self.museum.has(Bug::GenerationForgottenOnLoad) {
                group.generation = 0;
            }
            for (member, it) in &group.members {
                let timer = Timer::Session(id.clone(), member.clone());
                self.timers.set(cx.now.monotonic + it.session_timeout, timer);
            }
            self.classic.insert(id.clone(), group);
            self.note_state(&id, cx);
        }
        self.take_up_consumers(cx);
        self.timers.set(cx.now.monotonic + self.settings.retention_interval, Timer::Expiry);
        cx.events.push(Event::CoordinatorLoaded {
            partition: self.partition,
            epoch: self.epoch,
            end,
            groups: self.shard.committed().names().len() as u32,
        });
    }

    /// It does not lead any more: whoever waits is told to look for another coordinator.
    pub fn resign(mut self, events: &mut Vec<Event>, answers: &mut Vec<(Caller, Response)>) {
        if !self.active {
            return;
        }
        let error = ErrorCode::NotCoordinator;
        for (id, then) in self.shard.depose() {
            let caller = self.waiting.get(&id).and_then(|waiting| waiting.caller);
            if let (Some(caller), Then::Answer(response)) = (caller, then) {
                answers.push((caller, failed(response, error)));
            }
        }
        for group in self.classic.values_mut() {
            for (id, member) in &mut group.members {
                if let Some(joining) = member.joining.take() {
                    let response = JoinGroupResponse::refused(error, id.clone());
                    answers.push((joining.caller, Response::JoinGroup(response)));
                }
                if let Some(caller) = member.syncing.take() {
                    answers.push((caller, Response::SyncGroup(SyncGroupResponse::refused(error))));
                }
            }
        }
        events.push(Event::CoordinatorUnloaded { partition: self.partition, epoch: self.epoch });
    }

    /// Carries out one request about a group of its own. `node` is whose process asks. Until it has read its log it asks
    /// everybody to come again, but takes every heartbeat, as Kafka does.
    pub fn serve(&mut self, caller: Caller, node: NodeId, request: Request, cx: &mut Cx<'_>) {
        if !self.active {
            if let Request::Heartbeat(_) = request {
                // Who is still there is not sent away by a coordinator that does not know yet: clients take this for a
                // beat, and some give up over any error that they do not expect.
                return cx.answer(caller, Response::Heartbeat(HeartbeatResponse { error: None }));
            }
            let error = ErrorCode::CoordinatorLoadInProgress;
            if let Some(response) = refusal(&request, error) {
                cx.answer(caller, response);
            }
            return;
        }
        match request {
            Request::JoinGroup(request) => self.join(caller, node, request, cx),
            Request::SyncGroup(request) => self.sync(caller, &request, cx),
            Request::Heartbeat(request) if self.is_consumer_group(&request.group) => {
                if let Err(error) = self.beat_consumer(caller, &request, cx) {
                    cx.answer(caller, Response::Heartbeat(HeartbeatResponse { error: Some(error) }));
                }
            }
            Request::LeaveGroup(request) if self.is_consumer_group(&request.group) => {
                self.leave_consumer(caller, &request, cx);
            }
            Request::Heartbeat(request) => {
                let error = self.heartbeat(&request, cx.now).err();
                cx.answer(caller, Response::Heartbeat(HeartbeatResponse { error }));
            }
            Request::LeaveGroup(request) => self.leave(caller, &request, cx),
            Request::OffsetCommit(request) => self.commit(caller, request, cx),
            Request::OffsetDelete(request) => self.delete_offsets(caller, &request, cx),
            Request::ConsumerGroupHeartbeat(request) => self.consumer_heartbeat(caller, node, request, cx),
            _ => {}
        }
    }

    /// The log is committed up to `high_watermark`: takes in what is, and answers whoever waited for it.
    pub fn committed_to(&mut self, high_watermark: Offset, cx: &mut Cx<'_>) {
        if !self.active {
            return;
        }
        while let Some((at, _)) = self.appended.front()
            && *at < high_watermark
            && let Some((at, record)) = self.appended.pop_front()
        {
            self.shard.commit(at, &record);
        }
        self.shard.committed_to(high_watermark.min(self.shard.appended().unwrap_or(high_watermark)));
        while let Some((id, then)) = self.shard.pop_ready() {
            let caller = self.waiting.remove(&id).and_then(|waiting| waiting.caller);
            self.carry_out(then, caller, cx);
        }
    }

    /// Does whatever is due by time.
    pub fn on_deadline(&mut self, cx: &mut Cx<'_>) {
        while let Some(timer) = self.timers.pop_due(cx.now.monotonic) {
            match timer {
                Timer::Session(group, member) => {
                    if !self.consumer_session_over(&group, &member, cx) {
                        self.session_over(&group, &member, cx);
                    }
                }
                Timer::Revocation(group, member) => self.revocation_over(&group, &member, cx),
                Timer::Join(group) => self.join_time_over(&group, cx),
                Timer::Sync(group) => self.sync_time_over(&group, cx),
                Timer::Expiry => self.expire_offsets(cx),
            }
        }
        self.time_out_writes(cx);
    }

    /// When it wants to be woken.
    pub fn deadline(&self) -> Option<Instant> {
        let write = self.waiting.first().map(|(_, waiting)| waiting.due);
        earliest(self.timers.next(), write)
    }

    /// Writes down what a question comes to, and has whoever asks wait until it is committed. Says why it could not
    /// be written, if so; then nothing has changed.
    fn write(
        &mut self,
        caller: Option<Caller>,
        question: &Question,
        cx: &mut Cx<'_>,
    ) -> Result<(), ErrorCode> {
        let Some(state) = self.shard.state() else { return Err(ErrorCode::NotCoordinator) };
        let decision = state.decide(&mut (), question);
        if !decision.records.is_empty() {
            let base = cx.journal.append(&decision.records).map_err(why_not_written)?;
            self.shard.append(base, &decision.records);
            let mut at = base;
            for record in decision.records {
                self.note_forgotten(&record, cx);
                self.appended.push_back((at, record));
                at += RecordCount(1);
            }
        }
        self.writes += 1;
        let id = self.writes;
        match self.shard.park(id, decision.reply) {
            Some((_, then)) => self.carry_out(then, caller, cx),
            None => {
                let due = cx.now.monotonic + self.settings.commit_timeout;
                self.waiting.insert(id, Waiting { due, caller });
            }
        }
        Ok(())
    }

    /// What was to be done when something is committed, is.
    fn carry_out(&mut self, then: Then, caller: Option<Caller>, cx: &mut Cx<'_>) {
        match then {
            Then::Answer(response) => {
                if let Some(caller) = caller {
                    cx.answer(caller, response);
                }
            }
            Then::Assigned { group, generation } => self.assigned(&group, generation, Ok(()), cx),
            Then::Nothing => {}
        }
    }

    /// Writes that are not committed in time: whoever waits is told, although they may be committed yet.
    fn time_out_writes(&mut self, cx: &mut Cx<'_>) {
        while let Some((id, waiting)) = self.waiting.first()
            && waiting.due <= cx.now.monotonic
        {
            let (id, caller) = (*id, waiting.caller);
            self.waiting.remove(&id);
            let then = self.shard.parked(&id).cloned();
            match then {
                Some(Then::Answer(response)) => {
                    if let Some(caller) = caller {
                        cx.answer(caller, failed(response, ErrorCode::CoordinatorNotAvailable));
                    }
                }
                Some(Then::Assigned { group, generation }) => {
                    self.assigned(&group, generation, Err(ErrorCode::CoordinatorNotAvailable), cx);
                }
                Some(Then::Nothing) | None => {}
            }
        }
    }

    fn note_state(&self, id: &GroupId, cx: &mut Cx<'_>) {
        let Some(group) = self.classic.get(id) else { return };
        cx.events.push(Event::GroupStateChanged {
            group: id.clone(),
            partition: self.partition,
            coordinator: self.epoch,
            state: group.state,
            generation: group.generation,
            members: group.members.keys().cloned().collect(),
        });
    }

    fn set_state(&mut self, id: &GroupId, state: GroupState, cx: &mut Cx<'_>) {
        let Some(group) = self.classic.get_mut(id) else { return };
        group.state = state;
        group.since = cx.now.wall;
        self.note_state(id, cx);
    }
}

/// The answer that refuses all of a request, for those that a coordinator answers; `None` for others.
pub fn refusal(request: &Request, error: ErrorCode) -> Option<Response> {
    Some(match request {
        Request::JoinGroup(r) => Response::JoinGroup(JoinGroupResponse::refused(error, r.member.clone())),
        Request::SyncGroup(_) => Response::SyncGroup(SyncGroupResponse::refused(error)),
        Request::Heartbeat(_) => Response::Heartbeat(HeartbeatResponse { error: Some(error) }),
        Request::ConsumerGroupHeartbeat(_) => {
            Response::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse::refused(error))
        }
        Request::LeaveGroup(_) => {
            Response::LeaveGroup(LeaveGroupResponse { error: Some(error), members: Vec::new() })
        }
        Request::OffsetCommit(r) => Response::OffsetCommit(OffsetCommitResponse {
            partitions: r.offsets.iter().map(|(partition, _)| (partition.clone(), Some(error))).collect(),
        }),
        Request::OffsetDelete(_) => {
            Response::OffsetDelete(OffsetDeleteResponse { error: Some(error), partitions: Vec::new() })
        }
        Request::OffsetFetch(r) => {
            let refused = |wanted: &crate::protocol::offsets::GroupOffsetsWanted| GroupOffsets {
                group: wanted.group.clone(),
                error: Some(error),
                partitions: Vec::new(),
            };
            Response::OffsetFetch(OffsetFetchResponse { groups: r.groups.iter().map(refused).collect() })
        }
        _ => return None,
    })
}

/// The answer that was to be given, as a failure.
fn failed(response: Response, error: ErrorCode) -> Response {
    match response {
        Response::OffsetCommit(mut response) => {
            // What was refused at once stays refused for its own reason.
            for (_, why) in response.partitions.iter_mut().filter(|(_, why)| why.is_none()) {
                *why = Some(error);
            }
            Response::OffsetCommit(response)
        }
        Response::JoinGroup(response) => {
            Response::JoinGroup(JoinGroupResponse::refused(error, response.member))
        }
        Response::SyncGroup(_) => Response::SyncGroup(SyncGroupResponse::refused(error)),
        Response::ConsumerGroupHeartbeat(_) => {
            Response::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse::refused(error))
        }
        Response::OffsetDelete(mut response) => {
            response.error = Some(error);
            response.partitions.clear();
            Response::OffsetDelete(response)
        }
        Response::DeleteGroups(mut response) => {
            for (_, why) in &mut response.groups {
                *why = why.or(Some(error));
            }
            Response::DeleteGroups(response)
        }
        other => other,
    }
}
