//! How is a member that speaks the classic protocol one of a KIP-848 group?
//!
//! Kafka's `classicGroupJoinToConsumerGroup` and its like. For such a member JoinGroup, SyncGroup and Heartbeat stand
//! for what its peers say by one request: it is told by heartbeat to join again when the group is in a new epoch, or it
//! has something to give up or to take over; what it owns it says when it joins, and it learns what to own when it
//! asks for its share. Nobody leads: the coordinator assigns.

use alloc::{collections::BTreeSet, vec::Vec};

use super::{
    ClassicMember, ConsumerGroup, Current, MemberState,
    converting::{PROTOCOL_TYPE, by_id, encoded, in_order, is_supported},
    heartbeat::{Move, Plan},
};
use crate::{
    consumer::protocol::Subscription as Said,
    event::{Event, RebalanceReason, RemovalReason},
    group::{
        Coordinator, Cx, Timer,
        classic::Classic,
        image::{Question, Then},
    },
    machine::Caller,
    protocol::{
        ErrorCode, Response,
        groups::{
            HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
            LeaveGroupResponse, LeavingMember, SyncGroupRequest, SyncGroupResponse,
        },
    },
    units::{GroupId, InstanceId, MemberId, NodeId},
};

impl Coordinator {
    /// Whether a group is one of KIP-848 with members.
    pub(in crate::group) fn is_consumer_group(&self, id: &GroupId) -> bool {
        let group = self.shard.state().and_then(|state| state.consumer(id));
        group.is_some_and(|group| !group.members.is_empty())
    }

    /// A classic member joins a KIP-848 group, or joins it again.
    pub(in crate::group) fn join_consumer(
        &mut self,
        caller: Caller,
        node: NodeId,
        request: &JoinGroupRequest,
        cx: &mut Cx<'_>,
    ) -> Result<(), (ErrorCode, MemberId)> {
        let mut member = request.member.clone();
        if member.is_empty() {
            let of = request.instance.as_ref().map_or(&*request.client, InstanceId::as_str);
            member = self.new_id(of);
            if request.id_first && request.instance.is_none() {
                return Err((ErrorCode::MemberIdRequired, member));
            }
        }
        let refused = |error| (error, request.member.clone());
        let (plan, classic) = self.plan_join(node, request, &member, cx).map_err(refused)?;
        let (id, timeout) = (&request.group, request.rebalance_timeout);
        if let Some(classic) = classic {
            return self.carry_back(caller, node, id, plan, classic, cx).map_err(refused);
        }
        self.carry(caller, node, id, plan, cx).map_err(refused)?;
        // It has as long to ask for its share as it had to join.
        self.timers.set(cx.now.monotonic + timeout, Timer::Revocation(id.clone(), member));
        Ok(())
    }

    /// Writes down that a classic member has taken the place of the last that spoke KIP-848's protocol: the group is a
    /// classic one again. Only if it was in a new epoch its members are to join again.
    fn carry_back(
        &mut self,
        caller: Caller,
        node: NodeId,
        id: &GroupId,
        plan: Plan,
        classic: Classic,
        cx: &mut Cx<'_>,
    ) -> Result<(), ErrorCode> {
        let answer = Then::Answer(plan.answer);
        self.write(Some(caller), &Question::Move { records: plan.records, answer }, cx)?;
        if let Some(former) = &plan.replaces {
            self.forget_timers(id, former);
            self.note_removed(id, former, RemovalReason::Replaced, cx);
        }
        let (group, member, instance) = (id.clone(), plan.member, plan.instance);
        cx.events.push(Event::MemberAdded { group, member, instance, node });
        self.begin_classic(id, classic, plan.rebalances, cx);
        Ok(())
    }

    /// What a JoinGroup comes to, and the classic group that a KIP-848 group is from then on, if it is one. Refuses as
    /// a classic group does.
    fn plan_join(
        &self,
        node: NodeId,
        request: &JoinGroupRequest,
        member: &MemberId,
        cx: &Cx<'_>,
    ) -> Result<(Plan, Option<Classic>), ErrorCode> {
        let id = &request.group;
        let state = self.shard.state().ok_or(ErrorCode::NotCoordinator)?;
        let before = state.consumer(id).ok_or(ErrorCode::UnknownMemberId)?;
        let former = match &request.instance {
            Some(instance) => before.instance(instance).cloned(),
            None => before.members.contains_key(member).then(|| member.clone()),
        };
        if former.as_ref().is_some_and(|it| it != member) && !request.member.is_empty() {
            return Err(ErrorCode::FencedInstanceId);
        }
        if former.is_none() && before.members.len() >= self.settings.consumer_max_size as usize {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        let consumes = &*request.protocol_type == PROTOCOL_TYPE;
        if !consumes || !is_supported(before, member, &request.protocols) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let liked = request.protocols.first().ok_or(ErrorCode::InconsistentGroupProtocol)?;
        let said = Said::decode(&liked.metadata).ok_or(ErrorCode::InconsistentGroupProtocol)?;
        let owned = by_id(&said.owned, cx.metadata);
        let mut next = Move::of(id, before);
        let replaces = former.filter(|former| former != member);
        if let Some(former) = &replaces {
            next.replace(former, member);
        }
        let is_new = !next.after.members.contains_key(member);
        let mut now = next.after.members.get(member).cloned().unwrap_or_default();
        now.client = request.client.clone();
        now.host = alloc::format!("/{node}").into();
        now.instance.clone_from(&request.instance);
        now.rack = said.rack;
        now.topics = in_order(said.topics);
        now.pattern = None;
        now.rebalance_timeout = Some(request.rebalance_timeout);
        now.classic = Some(ClassicMember {
            session_timeout: request.session_timeout,
            protocols: request.protocols.clone(),
        });
        let mut rebalances = next.update(member, now);
        let was_last = |former| before.members.get(former).is_some_and(|it| it.classic.is_none());
        let goes_back = replaces.as_ref().is_some_and(was_last) && self.may_go_back(&next.after);
        if goes_back {
            rebalances = self.renew(&mut next, rebalances, cx.metadata);
            if next.after.epoch() == next.after.assignment_epoch() {
                next.reconcile(member, Some(&owned), cx.metadata, &self.flaws());
            }
        } else {
            rebalances = self.move_on(&mut next, rebalances, member, Some(&owned), cx.metadata);
        }
        let answer = Response::JoinGroup(JoinGroupResponse {
            error: None,
            generation: next.after.current(member).epoch,
            protocol_type: Some(PROTOCOL_TYPE.into()),
            protocol: Some(liked.name.clone()),
            leader: MemberId::default(),
            skip_assignment: false,
            member: member.clone(),
            members: Vec::new(),
        });
        let mut classic = None;
        if goes_back && let Some((group, said)) = self.downgraded(id, &next.after, cx.metadata) {
            for record in next.after.tombstones(id).into_iter().chain(said) {
                next.say(record);
            }
            classic = Some(group);
        }
        let plan = Plan {
            member: member.clone(),
            records: next.records(),
            answer,
            instance: request.instance.clone(),
            session: request.session_timeout,
            joins: is_new || replaces.is_some(),
            replaces,
            rebalances,
        };
        Ok((plan, classic))
    }

    /// A classic member of a KIP-848 group asks what it is to own.
    pub(in crate::group) fn sync_consumer(
        &mut self,
        caller: Caller,
        request: &SyncGroupRequest,
        cx: &mut Cx<'_>,
    ) -> Result<(), ErrorCode> {
        let (id, member) = (&request.group, &request.member);
        let state = self.shard.state().ok_or(ErrorCode::NotCoordinator)?;
        let group = state.consumer(id).ok_or(ErrorCode::UnknownMemberId)?;
        let (classic, current) = classic_member(group, member, request.instance.as_ref())?;
        if request.generation != current.epoch {
            return Err(ErrorCode::IllegalGeneration);
        }
        let liked = classic.protocols.first().map(|it| it.name.clone());
        let other = |said: &Option<alloc::sync::Arc<str>>, ours: Option<&str>| {
            said.as_deref().is_some_and(|said| Some(said) != ours)
        };
        if other(&request.protocol_type, Some(PROTOCOL_TYPE)) || other(&request.protocol, liked.as_deref()) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if group.epoch() > current.epoch && current.state != MemberState::UnrevokedPartitions {
            return Err(ErrorCode::RebalanceInProgress);
        }
        let held: BTreeSet<_> = current.assigned.keys().copied().collect();
        let answer = Then::Answer(Response::SyncGroup(SyncGroupResponse {
            error: None,
            protocol_type: Some(PROTOCOL_TYPE.into()),
            protocol: liked,
            assignment: encoded(&held, cx.metadata),
        }));
        let session = classic.session_timeout;
        self.say_when_committed(caller, answer, cx)?;
        self.timers.cancel(&Timer::Revocation(id.clone(), member.clone()));
        self.timers.set(cx.now.monotonic + session, Timer::Session(id.clone(), member.clone()));
        Ok(())
    }

    /// A classic member of a KIP-848 group is alive, and hears whether it is to join again.
    pub(in crate::group) fn beat_consumer(
        &mut self,
        caller: Caller,
        request: &HeartbeatRequest,
        cx: &mut Cx<'_>,
    ) -> Result<(), ErrorCode> {
        let (id, member) = (&request.group, &request.member);
        let state = self.shard.state().ok_or(ErrorCode::NotCoordinator)?;
        let group = state.consumer(id).ok_or(ErrorCode::UnknownMemberId)?;
        let (classic, current) = classic_member(group, member, request.instance.as_ref())?;
        if request.generation != current.epoch {
            return Err(ErrorCode::IllegalGeneration);
        }
        let rejoins = group.epoch() > current.epoch
            || match current.state {
                MemberState::Stable => false,
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !group.waits(member, current),
            };
        let timeout = group.members.get(member).and_then(|it| it.rebalance_timeout).unwrap_or_default();
        let session = classic.session_timeout;
        self.timers.set(cx.now.monotonic + session, Timer::Session(id.clone(), member.clone()));
        let timer = Timer::Revocation(id.clone(), member.clone());
        if rejoins && self.timers.get(&timer).is_none() {
            self.timers.set(cx.now.monotonic + timeout, timer);
        }
        let error = rejoins.then_some(ErrorCode::RebalanceInProgress);
        let answer = Then::Answer(Response::Heartbeat(HeartbeatResponse { error }));
        self.say_when_committed(caller, answer, cx)
    }

    /// Members leave a KIP-848 group by the classic protocol, each by itself.
    pub(in crate::group) fn leave_consumer(
        &mut self,
        caller: Caller,
        request: &LeaveGroupRequest,
        cx: &mut Cx<'_>,
    ) {
        let id = &request.group;
        let mut members = Vec::with_capacity(request.members.len());
        for leaving in &request.members {
            let left = self.leave_consumer_one(id, leaving, cx);
            members.push((leaving.clone(), left.err()));
        }
        cx.answer(caller, Response::LeaveGroup(LeaveGroupResponse { error: None, members }));
    }

    fn leave_consumer_one(
        &mut self,
        id: &GroupId,
        leaving: &LeavingMember,
        cx: &mut Cx<'_>,
    ) -> Result<(), ErrorCode> {
        let state = self.shard.state().ok_or(ErrorCode::NotCoordinator)?;
        let group = state.consumer(id).ok_or(ErrorCode::UnknownMemberId)?;
        let member = match &leaving.instance {
            Some(instance) => {
                let known = group.instance(instance).ok_or(ErrorCode::UnknownMemberId)?;
                if !leaving.member.is_empty() && leaving.member != *known {
                    return Err(ErrorCode::FencedInstanceId);
                }
                known.clone()
            }
            None => {
                classic_member(group, &leaving.member, None)?;
                leaving.member.clone()
            }
        };
        let removal = (RemovalReason::Left, RebalanceReason::MemberLeft);
        self.remove_consumer(None, id, &member, removal, Then::Nothing, cx)
    }
}

impl ConsumerGroup {
    /// Whether anything that a member is to have is still somebody else's.
    fn waits(&self, member: &MemberId, current: &Current) -> bool {
        let owners = self.owners();
        let missing = self.target.get(member).into_iter().flatten();
        missing.filter(|at| !current.assigned.contains_key(at)).any(|at| owners.contains_key(at))
    }
}

/// A member that speaks the classic protocol, and where it stands.
fn classic_member<'a>(
    group: &'a ConsumerGroup,
    member: &MemberId,
    instance: Option<&InstanceId>,
) -> Result<(&'a ClassicMember, &'a Current), ErrorCode> {
    if let Some(instance) = instance {
        match group.instance(instance) {
            None => return Err(ErrorCode::UnknownMemberId),
            Some(known) if known != member => return Err(ErrorCode::FencedInstanceId),
            Some(_) => {}
        }
    }
    let classic = group.members.get(member).and_then(|it| it.classic.as_ref());
    classic.zip(group.current.get(member)).ok_or(ErrorCode::UnknownMemberId)
}
