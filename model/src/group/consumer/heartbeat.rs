//! What does a member's heartbeat change, and what is it told? KIP-848, KIP-1082.
//!
//! Kafka's `GroupMetadataManager.consumerGroupHeartbeat`: the member is taken in or found; if what anybody wants to
//! read is another by now the group is in a new epoch; a new epoch gets a target assignment; and the member takes its
//! next step towards it. All of that is written down at once, and the member is told when it is committed.

use alloc::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    format,
    vec::Vec,
};
use core::time::Duration;

use super::{
    ConsumerGroup, Current, GroupEpoch, Held, MemberState, Subscription,
    assigning::{ServerAssignor, Wants},
    hash_of,
    reconciling::Situation,
};
use crate::{
    controller::image::Image,
    event::{Event, RebalanceReason, RemovalReason},
    group::{
        Coordinator, Cx, Timer,
        image::{Question, Then},
        record::GroupRecord,
    },
    machine::Caller,
    museum::{Bug, Museum},
    protocol::{
        ErrorCode, Response,
        consumer_group::{
            ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, JOIN_EPOCH,
            LEAVE_FOR_A_WHILE_EPOCH, TopicPartitions,
        },
    },
    units::{GroupId, InstanceId, MemberId, NodeId, TopicId, TopicPartition},
};

/// A group on its way from what is so to what is to be written down.
pub(super) struct Move<'a> {
    pub(super) id: &'a GroupId,
    pub(super) after: Cow<'a, ConsumerGroup>,
    pub(super) records: Vec<GroupRecord>,
}

/// What of the museum a member's next step depends on.
pub(super) struct Flaws<'a> {
    pub(super) museum: Museum,
    pub(super) ownerless: &'a BTreeSet<(GroupId, TopicPartition)>,
}

/// What somebody's request comes to.
pub(super) struct Plan {
    pub(super) member: MemberId,
    pub(super) records: Vec<GroupRecord>,
    pub(super) answer: Response,
    pub(super) joins: bool,
    pub(super) replaces: Option<MemberId>,
    pub(super) rebalances: Option<RebalanceReason>,
    /// The member's `group.instance.id`, as it says.
    pub(super) instance: Option<InstanceId>,
    /// How long it may be silent.
    pub(super) session: Duration,
}

impl Coordinator {
    /// A member is alive, joins or leaves.
    pub(in crate::group) fn consumer_heartbeat(
        &mut self,
        caller: Caller,
        node: NodeId,
        mut request: ConsumerGroupHeartbeatRequest,
        cx: &mut Cx<'_>,
    ) {
        if request.member.is_empty() && request.epoch == JOIN_EPOCH {
            // Before KIP-1082 members did not make their own ids.
            request.member = MemberId(format!("{:016x}", self.new_number()).into());
        }
        let done = match is_valid(&request) {
            Err(error) => Err(error),
            Ok(()) if request.epoch < JOIN_EPOCH => self.consumer_leave(caller, &request, cx),
            Ok(()) => self.stay(caller, node, &request, cx),
        };
        if let Err(error) = done {
            let response = ConsumerGroupHeartbeatResponse::refused(error);
            cx.answer(caller, Response::ConsumerGroupHeartbeat(response));
        }
    }

    fn stay(
        &mut self,
        caller: Caller,
        node: NodeId,
        request: &ConsumerGroupHeartbeatRequest,
        cx: &mut Cx<'_>,
    ) -> Result<(), ErrorCode> {
        let id = &request.group;
        let plan = self.plan(node, request, cx.metadata)?;
        let (member, records) = (plan.member.clone(), plan.records.clone());
        self.carry(caller, node, id, plan, cx)?;
        self.watch_revocation(id, &member, &records, cx);
        self.look_up_patterns(id, cx);
        Ok(())
    }

    /// Writes down what somebody's request comes to, and has it wait for its answer.
    pub(super) fn carry(
        &mut self,
        caller: Caller,
        node: NodeId,
        id: &GroupId,
        plan: Plan,
        cx: &mut Cx<'_>,
    ) -> Result<(), ErrorCode> {
        self.lose_owners(id, &plan.records);
        let answer = Then::Answer(plan.answer);
        self.write(Some(caller), &Question::Move { records: plan.records.clone(), answer }, cx)?;
        self.end_classic(id, cx);
        self.looked.insert(id.clone(), cx.metadata.fingerprint());
        if let Some(former) = &plan.replaces {
            self.forget_timers(id, former);
            self.note_removed(id, former, RemovalReason::Replaced, cx);
        }
        if plan.joins {
            let (group, member, instance) = (id.clone(), plan.member.clone(), plan.instance);
            cx.events.push(Event::MemberAdded { group, member, instance, node });
        }
        if let Some(why) = plan.rebalances {
            self.note_epoch(id, why, cx);
        }
        self.timers.set(cx.now.monotonic + plan.session, Timer::Session(id.clone(), plan.member.clone()));
        self.note_moved(id, &plan.records, cx);
        Ok(())
    }

    pub(super) fn flaws(&self) -> Flaws<'_> {
        Flaws { museum: self.museum, ownerless: &self.ownerless }
    }

    /// KAFKA-16147: a partition that a member was to give up and has again has no owner until that member is written
    /// down once more.
    fn lose_owners(&mut self, id: &GroupId, records: &[GroupRecord]) {
        if !self.museum.has(Bug::PartitionEpochLost) {
            return;
        }
        let Some(group) = self.shard.state().and_then(|state| state.consumer(id)) else { return };
        for record in records {
            let GroupRecord::Current { member, value, .. } = record else { continue };
            let before = group.current(member);
            let now = value.clone().unwrap_or_default();
            for at in before.assigned.keys().chain(now.assigned.keys()).chain(now.revoking.keys()) {
                self.ownerless.remove(&(id.clone(), *at));
            }
            let again = before.revoking.keys().filter(|at| now.assigned.contains_key(at));
            self.ownerless.extend(again.map(|at| (id.clone(), *at)));
        }
    }

    /// Answers what is so already, once all that it is seen from is committed.
    pub(super) fn say_when_committed(
        &mut self,
        caller: Caller,
        answer: Then,
        cx: &mut Cx<'_>,
    ) -> Result<(), ErrorCode> {
        self.write(Some(caller), &Question::Move { records: Vec::new(), answer }, cx)
    }

    /// A group goes on after a member has said something: it is in a new epoch, if there is a reason (which is said),
    /// has a target assignment for it, and the member takes its next step.
    pub(super) fn move_on(
        &self,
        next: &mut Move<'_>,
        rebalances: Option<RebalanceReason>,
        member: &MemberId,
        owned: Option<&BTreeSet<TopicPartition>>,
        metadata: &Image,
    ) -> Option<RebalanceReason> {
        let rebalances = self.renew(next, rebalances, metadata);
        next.assign_if_due(metadata);
        next.reconcile(member, owned, metadata, &self.flaws());
        rebalances
    }

    /// A group is in a new epoch, if there is a reason. Says which.
    pub(super) fn renew(
        &self,
        next: &mut Move<'_>,
        mut rebalances: Option<RebalanceReason>,
        metadata: &Image,
    ) -> Option<RebalanceReason> {
        next.forget_patterns();
        if rebalances.is_some() || self.looked.get(next.id) != Some(&metadata.fingerprint()) {
            let hash = hash_of(&next.after.topics(metadata), metadata);
            if rebalances.is_none() && hash != next.after.metadata_hash() {
                rebalances = Some(RebalanceReason::TopicsChanged);
            }
            if rebalances.is_some() {
                next.bump(hash);
            }
        }
        rebalances
    }

    /// A member that is to give something up has its rebalance timeout for that.
    fn watch_revocation(&mut self, id: &GroupId, member: &MemberId, records: &[GroupRecord], cx: &Cx<'_>) {
        let said = records.iter().rev().find_map(|record| match record {
            GroupRecord::Current { member: of, value: Some(value), .. } if of == member => Some(value.state),
            _ => None,
        });
        let Some(state) = said else { return };
        let timer = Timer::Revocation(id.clone(), member.clone());
        let group = self.shard.state().and_then(|state| state.consumer(id));
        let timeout = group.and_then(|group| group.members.get(member)?.rebalance_timeout);
        match timeout.filter(|_| state == MemberState::UnrevokedPartitions) {
            Some(timeout) => self.timers.set(cx.now.monotonic + timeout, timer),
            None => {
                self.timers.cancel(&timer);
            }
        }
    }

    /// What a heartbeat comes to.
    ///
    /// Refuses with `GroupIdNotFound` a group that is not there or is a classic one, with `GroupMaxSizeReached` one
    /// member too many, with `InvalidRegularExpression` what is none, with `UnknownMemberId` who is not in it, with `FencedMemberEpoch` who is not in the epoch that
    /// it says, with `UnreleasedInstanceId` a static member whose former process has not left, and with
    /// `FencedInstanceId` a process whose `group.instance.id` another has by now.
    fn plan(
        &self,
        node: NodeId,
        request: &ConsumerGroupHeartbeatRequest,
        metadata: &Image,
    ) -> Result<Plan, ErrorCode> {
        let (id, joins) = (&request.group, request.epoch == JOIN_EPOCH);
        let state = self.shard.state().ok_or(ErrorCode::NotCoordinator)?;
        let nobody = ConsumerGroup::default();
        let mut next = match (state.consumer(id), self.classic.get(id)) {
            (Some(group), _) => Move::of(id, group),
            (None, Some(classic)) if joins => self.upgraded(id, classic, metadata)?,
            (None, None) if joins => Move::of(id, &nobody),
            (None, _) => return Err(ErrorCode::GroupIdNotFound),
        };
        let is_full = next.after.members.len() >= self.settings.consumer_max_size as usize;
        if is_full && !next.after.members.contains_key(&request.member) {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        let owned = request.owned.as_ref().map(set_of);
        let former = find_member(&next.after, request, owned.as_ref())?;
        next.after.check_pattern(request)?;
        let replaces = former.filter(|former| *former != request.member);
        if let Some(former) = &replaces {
            next.replace(former, &request.member);
        }
        let is_new = !next.after.members.contains_key(&request.member);
        let was = next.after.current(&request.member);
        let rebalances = next.subscribe(node, request);
        let rebalances = self.move_on(&mut next, rebalances, &request.member, owned.as_ref(), metadata);
        let current = next.after.current(&request.member);
        let asks_all = request.rebalance_timeout.is_some()
            && (request.topics.is_some() || request.pattern.is_some())
            && owned.is_some();
        let told = joins || asks_all || !same_partitions(&was.assigned, &current.assigned);
        let answer = ConsumerGroupHeartbeatResponse {
            error: None,
            member: Some(request.member.clone()),
            epoch: current.epoch,
            interval: self.settings.consumer_interval,
            assignment: told.then(|| by_topic(current.assigned.keys().copied())),
        };
        Ok(Plan {
            member: request.member.clone(),
            records: next.records,
            answer: Response::ConsumerGroupHeartbeat(answer),
            instance: request.instance.clone(),
            session: self.settings.consumer_session,
            joins: is_new || replaces.is_some(),
            replaces,
            rebalances,
        })
    }
}

impl<'a> Move<'a> {
    /// From how a group stands.
    pub(super) fn of(id: &'a GroupId, before: &'a ConsumerGroup) -> Move<'a> {
        Move { id, after: Cow::Borrowed(before), records: Vec::new() }
    }

    /// What is to be written down.
    pub(super) fn records(self) -> Vec<GroupRecord> {
        self.records
    }

    pub(super) fn say(&mut self, record: GroupRecord) {
        self.after.to_mut().apply(&record);
        self.records.push(record);
    }

    /// Strikes a member off.
    pub(super) fn remove(&mut self, member: &MemberId) {
        let (group, member) = (self.id.clone(), member.clone());
        if self.after.current.contains_key(&member) {
            self.say(GroupRecord::Current { group: group.clone(), member: member.clone(), value: None });
        }
        if self.after.target.contains_key(&member) {
            self.say(GroupRecord::Target { group: group.clone(), member: member.clone(), value: None });
        }
        self.say(GroupRecord::Member { group, member, value: None });
    }

    /// Another process of a static member takes its place, and everything that was to be its own.
    pub(super) fn replace(&mut self, former: &MemberId, member: &MemberId) {
        let subscription = self.after.members.get(former).cloned().unwrap_or_default();
        let target = self.after.target(former);
        let current = Current { epoch: JOIN_EPOCH, previous: JOIN_EPOCH, ..self.after.current(former) };
        self.remove(former);
        let (group, member) = (self.id.clone(), member.clone());
        self.say(GroupRecord::Member {
            group: group.clone(),
            member: member.clone(),
            value: Some(subscription),
        });
        self.say(GroupRecord::Target { group: group.clone(), member: member.clone(), value: Some(target) });
        self.say(GroupRecord::Current { group, member, value: Some(current) });
    }

    /// Takes in what a member says of itself. Says why the group is to be in a new epoch, if it is.
    fn subscribe(
        &mut self,
        node: NodeId,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Option<RebalanceReason> {
        let former = self.after.members.get(&request.member);
        let mut now = former.cloned().unwrap_or_default();
        now.client = request.client.clone();
        now.host = format!("/{node}").into();
        // Whoever says so speaks KIP-848 by now.
        now.classic = None;
        if request.instance.is_some() {
            now.instance.clone_from(&request.instance);
        }
        if request.rack.is_some() {
            now.rack.clone_from(&request.rack);
        }
        if request.rebalance_timeout.is_some() {
            now.rebalance_timeout = request.rebalance_timeout;
        }
        if request.assignor.is_some() {
            now.assignor.clone_from(&request.assignor);
        }
        if let Some(topics) = &request.topics {
            now.topics.clone_from(topics);
            now.topics.sort();
            now.topics.dedup();
        }
        if request.pattern.is_some() {
            now.pattern = request.pattern.clone().filter(|it| !it.is_empty());
        }
        self.update(&request.member, now)
    }

    /// A member is now so. Says why the group is to be in a new epoch, if it is.
    pub(super) fn update(&mut self, member: &MemberId, now: Subscription) -> Option<RebalanceReason> {
        // Once its regular expression has been looked up there is a new epoch anyway; only a group needs a first.
        let waits = self.after.exists() && self.after.is_to_be_looked_up(&now);
        let why = match self.after.members.get(member) {
            None if waits && now.topics.is_empty() => None,
            None => Some(RebalanceReason::MemberJoined),
            Some(former) if waits && former.topics == now.topics && *former != now => None,
            Some(former) if reads(former) != reads(&now) => Some(RebalanceReason::MemberRejoined),
            Some(former) if *former == now => return None,
            Some(_) => None,
        };
        let (group, member) = (self.id.clone(), member.clone());
        self.say(GroupRecord::Member { group, member, value: Some(now) });
        why
    }

    /// The group is in a new epoch.
    pub(super) fn bump(&mut self, metadata_hash: i64) {
        let value = GroupEpoch { epoch: self.after.epoch() + 1, metadata_hash };
        self.say(GroupRecord::Epoch { group: self.id.clone(), value: Some(value) });
    }

    /// A group that somebody is out of is in a new epoch; if nobody is left, there is nothing to assign (KAFKA-20442).
    pub(super) fn close_ranks(&mut self, metadata: &Image) {
        self.forget_patterns();
        self.bump(hash_of(&self.after.topics(metadata), metadata));
        if self.after.members.is_empty() {
            let value = Some(self.after.epoch());
            self.say(GroupRecord::TargetEpoch { group: self.id.clone(), value });
        }
    }

    /// A group in an epoch without a target assignment gets one.
    fn assign_if_due(&mut self, metadata: &Image) {
        if self.after.epoch() <= self.after.assignment_epoch() {
            return;
        }
        let wants: Vec<Wants> = (self.after.members.iter())
            .map(|(member, subscription)| Wants {
                member: member.clone(),
                instance: subscription.instance.clone(),
                topics: subscription.ids_in(&self.after.resolved, metadata),
                before: self.after.target(member),
            })
            .collect();
        let topics: BTreeSet<TopicId> = wants.iter().flat_map(|it| it.topics.iter().copied()).collect();
        let counts: BTreeMap<TopicId, u32> = (topics.into_iter())
            .filter_map(|topic| Some((topic, metadata.topic(topic)?.partitions.len() as u32)))
            .collect();
        let liked = self.after.assignor().and_then(|name| ServerAssignor::named(&name));
        let shares = liked.unwrap_or(ServerAssignor::DEFAULT).assign(&wants, &counts);
        let group = self.id;
        for (wants, share) in wants.into_iter().zip(shares) {
            if wants.before != share || !self.after.target.contains_key(&wants.member) {
                let (group, member) = (group.clone(), wants.member);
                self.say(GroupRecord::Target { group, member, value: Some(share) });
            }
        }
        let value = Some(self.after.epoch());
        self.say(GroupRecord::TargetEpoch { group: group.clone(), value });
    }

    /// A member takes its next step.
    pub(super) fn reconcile(
        &mut self,
        member: &MemberId,
        owned: Option<&BTreeSet<TopicPartition>>,
        metadata: &Image,
        flaws: &Flaws<'_>,
    ) {
        let Some(subscription) = self.after.members.get(member) else { return };
        let subscribed = subscription.ids_in(&self.after.resolved, metadata);
        let current = self.after.current(member);
        let mut owners = if self.after.is_reconciled(member) { BTreeMap::new() } else { self.after.owners() };
        if flaws.museum.has(Bug::PartitionEpochLost) {
            owners.retain(|at, _| !flaws.ownerless.contains(&(self.id.clone(), *at)));
        }
        let situation = Situation {
            member,
            target_epoch: self.after.assignment_epoch(),
            target: &self.after.target(member),
            subscribed: &subscribed,
            owners: &owners,
            owned,
            museum: flaws.museum,
        };
        let next = current.next(&situation);
        if next != current || current.is_ignored(&situation) {
            let (group, member) = (self.id.clone(), member.clone());
            self.say(GroupRecord::Current { group, member, value: Some(next) });
        }
    }
}

/// Which member a heartbeat is of: `None` for a new one, and another's id for who takes its place.
fn find_member(
    group: &ConsumerGroup,
    request: &ConsumerGroupHeartbeatRequest,
    owned: Option<&BTreeSet<TopicPartition>>,
) -> Result<Option<MemberId>, ErrorCode> {
    let joins = request.epoch == JOIN_EPOCH;
    let Some(instance) = &request.instance else {
        if !group.members.contains_key(&request.member) {
            return if joins { Ok(None) } else { Err(ErrorCode::UnknownMemberId) };
        }
        check_epoch(&group.current(&request.member), request.epoch, owned)?;
        return Ok(Some(request.member.clone()));
    };
    match group.instance(instance) {
        None if joins => Ok(None),
        None => Err(ErrorCode::UnknownMemberId),
        Some(known) if *known == request.member => {
            check_epoch(&group.current(known), request.epoch, owned)?;
            Ok(Some(known.clone()))
        }
        Some(_) if !joins => Err(ErrorCode::FencedInstanceId),
        Some(known) => {
            let classic = group.members.get(known).is_some_and(|it| it.classic.is_some());
            // Its former process may still read, unless it has said that it does not.
            if classic || group.current(known).is_away() {
                Ok(Some(known.clone()))
            } else {
                Err(ErrorCode::UnreleasedInstanceId)
            }
        }
    }
}

/// Whether a member is in the epoch that it says.
///
/// The one before is as good if it owns nothing that it should not: the answer with the new one may have been lost.
/// And whoever owns nothing may always join again (KAFKA-19233). Refuses with `FencedMemberEpoch`.
fn check_epoch(
    current: &Current,
    said: i32,
    owned: Option<&BTreeSet<TopicPartition>>,
) -> Result<(), ErrorCode> {
    let owns_its_own = || owned.is_some_and(|it| it.iter().all(|at| current.assigned.contains_key(at)));
    let is_former = said < current.epoch && said == current.previous && owns_its_own();
    if said == JOIN_EPOCH || said == current.epoch || is_former {
        Ok(())
    } else {
        Err(ErrorCode::FencedMemberEpoch)
    }
}

/// Whether a heartbeat makes sense.
///
/// Refuses with `InvalidRequest` what does not, and with `UnsupportedAssignor` an assignor that nobody knows.
fn is_valid(request: &ConsumerGroupHeartbeatRequest) -> Result<(), ErrorCode> {
    let is_empty = |text: Option<&str>| text.is_some_and(str::is_empty);
    let instance = request.instance.as_ref().map(|it| it.as_str());
    if request.member.is_empty() || is_empty(instance) || is_empty(request.rack.as_deref()) {
        return Err(ErrorCode::InvalidRequest);
    }
    let makes_sense = match request.epoch {
        JOIN_EPOCH => {
            request.rebalance_timeout.is_some()
                && request.owned.as_ref().is_some_and(Vec::is_empty)
                && (request.topics.is_some() || request.pattern.is_some())
        }
        LEAVE_FOR_A_WHILE_EPOCH => request.instance.is_some(),
        epoch => epoch > LEAVE_FOR_A_WHILE_EPOCH,
    };
    if !makes_sense {
        return Err(ErrorCode::InvalidRequest);
    }
    match request.assignor.as_deref() {
        Some(name) if ServerAssignor::named(name).is_none() => Err(ErrorCode::UnsupportedAssignor),
        _ => Ok(()),
    }
}

/// What somebody wants to read.
fn reads(of: &Subscription) -> (&[crate::protocol::TopicName], Option<&str>) {
    (&of.topics, of.pattern.as_deref())
}

fn same_partitions(a: &Held, b: &Held) -> bool {
    a.keys().eq(b.keys())
}

fn set_of(by_topic: &TopicPartitions) -> BTreeSet<TopicPartition> {
    let of = |(topic, partitions): &(TopicId, Vec<u32>)| -> Vec<_> {
        partitions.iter().map(|partition| TopicPartition::new(*topic, *partition)).collect()
    };
    by_topic.iter().flat_map(of).collect()
}

/// Partitions by topic.
pub(super) fn by_topic(partitions: impl Iterator<Item = TopicPartition>) -> TopicPartitions {
    let mut topics: BTreeMap<TopicId, Vec<u32>> = BTreeMap::new();
    for at in partitions {
        topics.entry(at.topic).or_default().push(at.partition);
    }
    topics.into_iter().collect()
}
