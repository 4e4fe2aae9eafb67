//! How do members come together in a new generation?

use alloc::{format, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use super::{
    Coordinator, Cx, NEW_MEMBER_TIMEOUT, Timer,
    classic::{Classic, FirstDelay, Joining, Member},
    image::{Question, Then},
};
use crate::{
    event::{Event, GroupState, RebalanceReason, RemovalReason},
    machine::Caller,
    museum::Bug,
    protocol::{
        ErrorCode, Response,
        groups::{JoinGroupRequest, JoinGroupResponse, SyncGroupResponse},
    },
    units::{GroupId, InstanceId, MemberId, NodeId},
};

impl Coordinator {
    /// Somebody wants to be in the next generation.
    pub(super) fn join(&mut self, caller: Caller, node: NodeId, request: JoinGroupRequest, cx: &mut Cx<'_>) {
        let group = request.group.clone();
        if let Err((error, member)) = self.try_join(caller, node, request, cx) {
            cx.answer(caller, Response::JoinGroup(JoinGroupResponse::refused(error, member)));
        }
        self.drop_if_unused(&group);
    }

    fn try_join(
        &mut self,
        caller: Caller,
        node: NodeId,
        request: JoinGroupRequest,
        cx: &mut Cx<'_>,
    ) -> Result<(), (ErrorCode, MemberId)> {
        let id = &request.group;
        let refuse = |error| Err((error, request.member.clone()));
        if !(self.settings.min_session..=self.settings.max_session).contains(&request.session_timeout) {
            return refuse(ErrorCode::InvalidSessionTimeout);
        }
        if self.is_consumer_group(id) {
            return self.join_consumer(caller, node, &request, cx);
        }
        let unknown = request.member.is_empty();
        if unknown && let Err(error) = self.forget_empty_consumer(id, cx) {
            return refuse(error);
        }
        if !self.classic.contains_key(id) {
            if !unknown {
                return refuse(ErrorCode::UnknownMemberId);
            }
            self.classic.insert(id.clone(), Classic::new(cx.now.wall));
        }
        let Some(group) = self.classic.get(id) else { return refuse(ErrorCode::UnknownMemberId) };
        if !self.has_room(group, &request) {
            return refuse(ErrorCode::GroupMaxSizeReached);
        }
        if !group.supports(&request.protocol_type, &request.protocols) {
            return refuse(ErrorCode::InconsistentGroupProtocol);
        }
        match (unknown, &request.instance) {
            (true, Some(instance)) => {
                let instance = instance.clone();
                self.join_static(caller, node, request, instance, cx);
            }
            (true, None) => return self.join_new(caller, node, request, cx),
            (false, _) => {
                if let Err(error) = self.join_again(caller, node, &request, cx) {
                    return Err((error, request.member));
                }
            }
        }
        Ok(())
    }

    /// Whether one more may join: who is expected has a place.
    fn has_room(&self, group: &Classic, request: &JoinGroupRequest) -> bool {
        let max = self.settings.max_size as usize;
        let member = group.members.get(&request.member);
        let replaces = request.instance.as_ref().is_some_and(|it| group.instances.contains_key(it));
        match group.state {
            // While members join again only those count that have (KAFKA-7862).
            GroupState::PreparingRebalance => {
                let joined = group.members.values().filter(|it| it.joining.is_some()).count();
                member.is_some_and(|it| it.joining.is_some()) || replaces || joined < max
            }
            _ => member.is_some() || replaces || group.members.len() < max,
        }
    }

    pub(super) fn new_id(&mut self, of: &str) -> MemberId {
        MemberId(format!("{of}-{:016x}", self.new_number()).into())
    }

    /// A number that no other member of this coordinator is named by.
    pub(super) fn new_number(&mut self) -> u64 {
        self.ids.next_u64()
    }

    /// Somebody new: with an id first, or at once (KIP-394).
    fn join_new(
        &mut self,
        caller: Caller,
        node: NodeId,
        request: JoinGroupRequest,
        cx: &mut Cx<'_>,
    ) -> Result<(), (ErrorCode, MemberId)> {
        let id = self.new_id(&request.client);
        if !request.id_first {
            self.add_member(caller, node, &request, id, cx);
            return Ok(());
        }
        if let Some(group) = self.classic.get_mut(&request.group) {
            group.pending.insert(id.clone());
        }
        let timer = Timer::Session(request.group, id.clone());
        self.timers.set(cx.now.monotonic + request.session_timeout, timer);
        Err((ErrorCode::MemberIdRequired, id))
    }

    /// A static member without an id: a new one, or the next process of one that is known (KIP-345).
    fn join_static(
        &mut self,
        caller: Caller,
        node: NodeId,
        request: JoinGroupRequest,
        instance: InstanceId,
        cx: &mut Cx<'_>,
    ) {
        let id = self.new_id(instance.as_str());
        let known =
            self.classic.get(&request.group).and_then(|group| group.instances.get(&instance).cloned());
        match known {
            None => self.add_member(caller, node, &request, id, cx),
            Some(former) => self.replace_static(caller, node, &request, &former, id, cx),
        }
    }

    /// Another process of a static member takes its place. In a stable group, with the same subscription, nothing
    /// else changes: nobody joins again, and the new id is written down.
    fn replace_static(
        &mut self,
        caller: Caller,
        node: NodeId,
        request: &JoinGroupRequest,
        former: &MemberId,
        id: MemberId,
        cx: &mut Cx<'_>,
    ) {
        let group_id = &request.group;
        let Some(group) = self.classic.get_mut(group_id) else { return };
        let led = group.leader.as_ref() == Some(former);
        let Some(member) = group.replace(former, id.clone()) else { return };
        let (joining, syncing) = (member.joining.take(), member.syncing.take());
        update(member, request);
        if let Some(joining) = joining {
            let response = JoinGroupResponse::refused(ErrorCode::FencedInstanceId, former.clone());
            cx.answer(joining.caller, Response::JoinGroup(response));
        }
        if let Some(caller) = syncing {
            let response = SyncGroupResponse::refused(ErrorCode::FencedInstanceId);
            cx.answer(caller, Response::SyncGroup(response));
        }
        self.timers.cancel(&Timer::Session(group_id.clone(), former.clone()));
        self.keep_session(group_id, &id, cx.now);
        self.note_removed(group_id, former, RemovalReason::Replaced, cx);
        self.note_added(group_id, &id, Some(node), cx);
        let Some(group) = self.classic.get(group_id) else { return };
        // KAFKA-9801: whoever was back while shares were told joined as it was, and its share went to its former id.
        if group.state == GroupState::CompletingRebalance
            && self.museum.has(Bug::StaticJoinDuringCompletingGetsEmpty)
        {
            cx.answer(caller, Response::JoinGroup(group.joined(&id)));
            return self.note_state(group_id, cx);
        }
        if group.state != GroupState::Stable {
            return self.waits_to_join(caller, group_id, &id, RebalanceReason::MemberRejoined, cx);
        }
        // Only a leader is asked to assign again, and only if the way to assign is another one now.
        if group.choose_protocol() != group.protocol {
            return self.waits_to_join(caller, group_id, &id, RebalanceReason::MemberRejoined, cx);
        }
        let mut answer = group.joined(&id);
        if led && request.may_skip_assignment {
            answer.skip_assignment = true;
        } else if led {
            // It must not assign: it is told that its former self leads.
            answer.leader = former.clone();
            answer.members = Vec::new();
        }
        let image = group.image(&group.assignments());
        let response = Response::JoinGroup(answer);
        // KAFKA-10284: the new id took the place of the former in memory alone, and the next coordinator knew only
        // the former.
        if self.museum.has(Bug::StaticRejoinNotPersisted) {
            cx.answer(caller, response);
            return self.note_state(group_id, cx);
        }
        let answer = Then::Answer(response);
        let question = Question::Assign { group: group_id.clone(), image, answer };
        if let Err(error) = self.write(Some(caller), &question, cx) {
            cx.answer(caller, Response::JoinGroup(JoinGroupResponse::refused(error, id.clone())));
        }
        self.note_state(group_id, cx);
    }

    /// Somebody with an id.
    fn join_again(
        &mut self,
        caller: Caller,
        node: NodeId,
        request: &JoinGroupRequest,
        cx: &mut Cx<'_>,
    ) -> Result<(), ErrorCode> {
        let (group_id, id) = (&request.group, &request.member);
        let Some(group) = self.classic.get_mut(group_id) else { return Err(ErrorCode::UnknownMemberId) };
        if group.pending.remove(id) {
            if request.instance.is_some() {
                return Err(ErrorCode::UnknownMemberId);
            }
            self.add_member(caller, node, request, id.clone(), cx);
            return Ok(());
        }
        check_member(group, id, request.instance.as_ref())?;
        let (state, leads) = (group.state, group.leader.as_ref() == Some(id));
        let Some(member) = group.members.get_mut(id) else { return Err(ErrorCode::UnknownMemberId) };
        let same = member.protocols == request.protocols;
        match state {
            // It has not heard the answer to a former attempt: it is told again.
            GroupState::CompletingRebalance if same => {
                let answer = group.joined(id);
                self.keep_session(group_id, id, cx.now);
                cx.answer(caller, Response::JoinGroup(answer));
            }
            GroupState::Stable if same && !leads => {
                let answer = group.joined(id);
                self.keep_session(group_id, id, cx.now);
                cx.answer(caller, Response::JoinGroup(answer));
            }
            GroupState::PreparingRebalance | GroupState::CompletingRebalance | GroupState::Stable => {
                update(member, request);
                self.waits_to_join(caller, group_id, id, RebalanceReason::MemberRejoined, cx);
            }
            _ => return Err(ErrorCode::UnknownMemberId),
        }
        Ok(())
    }

    fn add_member(
        &mut self,
        caller: Caller,
        node: NodeId,
        request: &JoinGroupRequest,
        id: MemberId,
        cx: &mut Cx<'_>,
    ) {
        let group_id = &request.group;
        let Some(group) = self.classic.get_mut(group_id) else { return };
        let member = Member {
            instance: request.instance.clone(),
            client: request.client.clone(),
            host: format!("/{node}").into(),
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: request.protocols.clone(),
            assignment: Bytes::new(),
            joining: None,
            syncing: None,
            new: true,
            heard: false,
        };
        group.add(id.clone(), member, &request.protocol_type);
        if let Some(delay) = &mut group.first_delay {
            delay.joined = true;
        }
        let timer = Timer::Session(group_id.clone(), id.clone());
        self.timers.set(cx.now.monotonic + NEW_MEMBER_TIMEOUT.max(request.session_timeout), timer);
        self.note_added(group_id, &id, Some(node), cx);
        self.waits_to_join(caller, group_id, &id, RebalanceReason::MemberJoined, cx);
    }

    /// A member is answered when the next generation begins, which it may be the last to join.
    fn waits_to_join(
        &mut self,
        caller: Caller,
        group_id: &GroupId,
        id: &MemberId,
        why: RebalanceReason,
        cx: &mut Cx<'_>,
    ) {
        let Some(member) = self.classic.get_mut(group_id).and_then(|group| group.members.get_mut(id)) else {
            return;
        };
        if let Some(former) = member.joining.replace(Joining { caller })
            && former.caller != caller
        {
            // Whoever asked before under this id is not listening any more, or is another process.
            let response = JoinGroupResponse::refused(ErrorCode::RebalanceInProgress, id.clone());
            cx.answer(former.caller, Response::JoinGroup(response));
        }
        self.rebalance_or_complete(group_id, why, cx);
    }

    /// A member has come, changed or gone: a rebalance begins, or the one that is on may be over.
    pub(super) fn rebalance_or_complete(
        &mut self,
        group_id: &GroupId,
        why: RebalanceReason,
        cx: &mut Cx<'_>,
    ) {
        match self.classic.get(group_id).map(|group| group.state) {
            Some(GroupState::Stable | GroupState::CompletingRebalance | GroupState::Empty) => {
                self.begin_rebalance(group_id, why, cx);
            }
            Some(GroupState::PreparingRebalance) => self.complete_if_all_joined(group_id, cx),
            _ => {}
        }
    }

    /// Everybody is to join again. Who waits for its share is told so; the others hear of it by heartbeat.
    pub(super) fn begin_rebalance(&mut self, group_id: &GroupId, why: RebalanceReason, cx: &mut Cx<'_>) {
        let Some(group) = self.classic.get_mut(group_id) else { return };
        if group.state == GroupState::CompletingRebalance {
            for member in group.members.values_mut() {
                member.assignment = Bytes::new();
                if let Some(caller) = member.syncing.take() {
                    let response = SyncGroupResponse::refused(ErrorCode::RebalanceInProgress);
                    cx.answer(caller, Response::SyncGroup(response));
                }
            }
        }
        group.unsynced.clear();
        self.timers.cancel(&Timer::Sync(group_id.clone()));
        let first = group.state == GroupState::Empty;
        let (generation, timeout) = (group.generation, group.rebalance_timeout());
        cx.events.push(Event::RebalanceStarted { group: group_id.clone(), generation, why });
        let wait = if first {
            let delay = self.settings.initial_delay.min(timeout);
            let left = timeout.saturating_sub(self.settings.initial_delay);
            group.first_delay = Some(FirstDelay { left, joined: false });
            delay
        } else {
            timeout
        };
        self.timers.set(cx.now.monotonic + wait, Timer::Join(group_id.clone()));
        self.set_state(group_id, GroupState::PreparingRebalance, cx);
        if !first {
            self.complete_if_all_joined(group_id, cx);
        } else if wait == Duration::ZERO {
            self.join_time_over(group_id, cx);
        }
    }

    pub(super) fn complete_if_all_joined(&mut self, group_id: &GroupId, cx: &mut Cx<'_>) {
        let Some(group) = self.classic.get(group_id) else { return };
        // A group that waits for its first members waits its time.
        if group.state == GroupState::PreparingRebalance && group.first_delay.is_none() && group.all_joined()
        {
            self.complete_join(group_id, cx);
        }
    }

    /// Nobody is waited for any longer; but the first members of a group wait again if others came meanwhile.
    pub(super) fn join_time_over(&mut self, group_id: &GroupId, cx: &mut Cx<'_>) {
        let Some(group) = self.classic.get_mut(group_id) else { return };
        if group.state != GroupState::PreparingRebalance {
            return;
        }
        if let Some(delay) = &mut group.first_delay
            && core::mem::take(&mut delay.joined)
            && !delay.left.is_zero()
        {
            let wait = self.settings.initial_delay.min(delay.left);
            delay.left = delay.left.saturating_sub(wait);
            return self.timers.set(cx.now.monotonic + wait, Timer::Join(group_id.clone()));
        }
        if !group.pending.is_empty() && self.museum.has(Bug::PendingMemberBlocksRebalance) {
            return;
        }
        self.complete_join(group_id, cx);
    }

    /// The next generation begins with everybody who has joined; dynamic members that have not are out, static ones
    /// stay until their session is over (KIP-345).
    fn complete_join(&mut self, group_id: &GroupId, cx: &mut Cx<'_>) {
        let Some(group) = self.classic.get_mut(group_id) else { return };
        group.first_delay = None;
        group.pending.clear();
        let late: Vec<MemberId> = (group.members.iter())
            .filter(|(_, member)| member.joining.is_none() && member.instance.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for id in late {
            self.strike_off(group_id, &id, RemovalReason::RebalanceExpired, cx);
        }
        let Some(group) = self.classic.get_mut(group_id) else { return };
        if !group.members.is_empty() && !group.elect_leader() {
            // Only static members, and none has joined: their sessions decide.
            let wait = group.rebalance_timeout();
            return self.timers.set(cx.now.monotonic + wait, Timer::Join(group_id.clone()));
        }
        self.timers.cancel(&Timer::Join(group_id.clone()));
        group.generation = group.generation.saturating_add(1);
        if group.members.is_empty() {
            return self.becomes_empty(group_id, cx);
        }
        group.protocol = group.choose_protocol();
        let ids: Vec<MemberId> = group.members.keys().cloned().collect();
        group.unsynced = ids.iter().cloned().collect();
        let timeout = group.rebalance_timeout();
        // KAFKA-12890: nobody waits only so long for who does not ask.
        if !self.museum.has(Bug::NoSyncTimeout) {
            self.timers.set(cx.now.monotonic + timeout, Timer::Sync(group_id.clone()));
        }
        self.set_state(group_id, GroupState::CompletingRebalance, cx);
        for id in ids {
            let Some(group) = self.classic.get_mut(group_id) else { return };
            let answer = group.joined(&id);
            let Some(member) = group.members.get_mut(&id) else { continue };
            member.new = false;
            if let Some(joining) = member.joining.take() {
                cx.answer(joining.caller, Response::JoinGroup(answer));
                self.keep_session(group_id, &id, cx.now);
            }
        }
    }

    /// Nobody is in the group: its generation is written down, so that the next coordinator does not repeat it.
    fn becomes_empty(&mut self, group_id: &GroupId, cx: &mut Cx<'_>) {
        let Some(group) = self.classic.get_mut(group_id) else { return };
        group.protocol = None;
        group.leader = None;
        self.set_state(group_id, GroupState::Empty, cx);
        let Some(group) = self.classic.get(group_id) else { return };
        let image = group.image(&Default::default());
        let question = Question::Assign { group: group_id.clone(), image, answer: Then::Nothing };
        // Nobody waits for it, and nothing hangs on it that the next member's record does not say as well.
        let _ = self.write(None, &question, cx);
    }

    pub(super) fn note_added(&self, group: &GroupId, id: &MemberId, node: Option<NodeId>, cx: &mut Cx<'_>) {
        let instance = self.classic.get(group).and_then(|it| it.members.get(id)?.instance.clone());
        let node = node.unwrap_or_default();
        cx.events.push(Event::MemberAdded { group: group.clone(), member: id.clone(), instance, node });
    }

    pub(super) fn note_removed(&self, group: &GroupId, id: &MemberId, why: RemovalReason, cx: &mut Cx<'_>) {
        cx.events.push(Event::MemberRemoved { group: group.clone(), member: id.clone(), why });
    }
}

fn update(member: &mut Member, request: &JoinGroupRequest) {
    member.protocols.clone_from(&request.protocols);
    member.session_timeout = request.session_timeout;
    member.rebalance_timeout = request.rebalance_timeout;
    member.client = request.client.clone();
}

/// Whether somebody is the member that it says it is.
///
/// Refuses with `UnknownMemberId` who is not known, and with `FencedInstanceId` whose `group.instance.id` is another
/// member's by now.
pub(super) fn check_member(
    group: &Classic,
    id: &MemberId,
    instance: Option<&InstanceId>,
) -> Result<(), ErrorCode> {
    if let Some(instance) = instance {
        match group.instances.get(instance) {
            None => return Err(ErrorCode::UnknownMemberId),
            Some(known) if known != id => return Err(ErrorCode::FencedInstanceId),
            Some(_) => {}
        }
    }
    match group.members.get(id) {
        None => Err(ErrorCode::UnknownMemberId),
        // One that says nothing of its instance, but is a static member, is who it says by its id.
        Some(_) => Ok(()),
    }
}
