//! Who leaves a KIP-848 group, and who is struck off?

use alloc::{borrow::ToOwned, vec::Vec};
use core::time::Duration;

use super::{Current, heartbeat::Move};
use crate::{
    event::{Event, GroupState, RebalanceReason, RemovalReason},
    group::{
        Coordinator, Cx, Timer,
        image::{Question, Then},
        record::GroupRecord,
    },
    machine::Caller,
    protocol::{
        ErrorCode, Response,
        consumer_group::{
            ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, LEAVE_FOR_A_WHILE_EPOCH,
        },
    },
    units::{GroupId, MemberId},
};

/// When a member is struck off again whose end could not be written down.
const STRIKE_OFF_AGAIN: Duration = Duration::from_millis(500);

impl Coordinator {
    /// A member leaves, for good or, as a static one may, for a while: then it keeps what it has, and its session runs.
    ///
    /// Refuses with `GroupIdNotFound`, `UnknownMemberId` and `FencedInstanceId`.
    pub(super) fn consumer_leave(
        &mut self,
        caller: Caller,
        request: &ConsumerGroupHeartbeatRequest,
        cx: &mut Cx<'_>,
    ) -> Result<(), ErrorCode> {
        let id = &request.group;
        let state = self.shard.state().ok_or(ErrorCode::NotCoordinator)?;
        let group = state.consumer(id).ok_or(ErrorCode::GroupIdNotFound)?;
        match &request.instance {
            Some(instance) => match group.instance(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(known) if *known != request.member => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            },
            None if !group.members.contains_key(&request.member) => return Err(ErrorCode::UnknownMemberId),
            None => {}
        }
        let answer = Then::Answer(Response::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse {
            error: None,
            member: Some(request.member.clone()),
            epoch: request.epoch,
            interval: Duration::ZERO,
            assignment: None,
        }));
        if request.epoch == LEAVE_FOR_A_WHILE_EPOCH {
            let mut current = group.current(&request.member);
            current.epoch = LEAVE_FOR_A_WHILE_EPOCH;
            current.revoking.clear();
            return self.leave_for_a_while(caller, id, &request.member, current, answer, cx);
        }
        let removal = (RemovalReason::Left, RebalanceReason::MemberLeft);
        self.remove_consumer(Some(caller), id, &request.member, removal, answer, cx)
    }

    fn leave_for_a_while(
        &mut self,
        caller: Caller,
        id: &GroupId,
        member: &MemberId,
        current: Current,
        answer: Then,
        cx: &mut Cx<'_>,
    ) -> Result<(), ErrorCode> {
        let record = GroupRecord::Current { group: id.clone(), member: member.clone(), value: Some(current) };
        let records = [record].to_vec();
        self.write(Some(caller), &Question::Move { records: records.clone(), answer }, cx)?;
        self.timers.cancel(&Timer::Revocation(id.clone(), member.clone()));
        self.note_moved(id, &records, cx);
        Ok(())
    }

    /// Takes a member out of its group, which is in a new epoch then.
    pub(in crate::group) fn remove_consumer(
        &mut self,
        caller: Option<Caller>,
        id: &GroupId,
        member: &MemberId,
        (why, rebalances): (RemovalReason, RebalanceReason),
        answer: Then,
        cx: &mut Cx<'_>,
    ) -> Result<(), ErrorCode> {
        let state = self.shard.state().ok_or(ErrorCode::NotCoordinator)?;
        let group = state.consumer(id).ok_or(ErrorCode::GroupIdNotFound)?;
        let mut next = Move::of(id, group);
        next.remove(member);
        if let Some((classic, classics)) = self.downgraded(id, &next.after, cx.metadata) {
            let mut records = group.tombstones(id);
            records.extend(classics);
            self.write(caller, &Question::Move { records, answer }, cx)?;
            self.forget_timers(id, member);
            self.note_removed(id, member, why, cx);
            self.begin_classic(id, classic, Some(RebalanceReason::MemberLeft), cx);
            return Ok(());
        }
        next.close_ranks(cx.metadata);
        let records = next.records();
        self.write(caller, &Question::Move { records: records.clone(), answer }, cx)?;
        self.forget_timers(id, member);
        self.note_removed(id, member, why, cx);
        self.note_epoch(id, rebalances, cx);
        self.note_moved(id, &records, cx);
        Ok(())
    }

    /// A member has been silent for as long as it may. Says whether it was one of a KIP-848 group.
    pub(in crate::group) fn consumer_session_over(
        &mut self,
        id: &GroupId,
        member: &MemberId,
        cx: &mut Cx<'_>,
    ) -> bool {
        let known = self.shard.state().and_then(|state| state.consumer(id));
        if !known.is_some_and(|group| group.members.contains_key(member)) {
            return false;
        }
        let removal = (RemovalReason::SessionExpired, RebalanceReason::SessionExpired);
        if self.remove_consumer(None, id, member, removal, Then::Nothing, cx).is_err() {
            let timer = Timer::Session(id.clone(), member.clone());
            self.timers.set(cx.now.monotonic + STRIKE_OFF_AGAIN, timer);
        }
        true
    }

    /// A member has not given up in time what it was told to.
    pub(in crate::group) fn revocation_over(&mut self, id: &GroupId, member: &MemberId, cx: &mut Cx<'_>) {
        let known = self.shard.state().and_then(|state| state.consumer(id));
        if !known.is_some_and(|group| group.members.contains_key(member)) {
            return;
        }
        let removal = (RemovalReason::RebalanceExpired, RebalanceReason::MemberLeft);
        if self.remove_consumer(None, id, member, removal, Then::Nothing, cx).is_err() {
            let timer = Timer::Revocation(id.clone(), member.clone());
            self.timers.set(cx.now.monotonic + STRIKE_OFF_AGAIN, timer);
        }
    }

    pub(super) fn forget_timers(&mut self, id: &GroupId, member: &MemberId) {
        self.timers.cancel(&Timer::Session(id.clone(), member.clone()));
        self.timers.cancel(&Timer::Revocation(id.clone(), member.clone()));
    }

    /// Begins to look after the KIP-848 groups that were read: all members have their whole session, and those that
    /// are to give something up their whole time for that.
    pub(in crate::group) fn take_up_consumers(&mut self, cx: &mut Cx<'_>) {
        let groups: Vec<(GroupId, super::ConsumerGroup)> =
            self.shard.committed().consumers().map(|(id, group)| (id.clone(), group.to_owned())).collect();
        for (id, group) in groups {
            let mut records = Vec::new();
            for (member, subscription) in &group.members {
                let classic = subscription.classic.as_ref().map(|it| it.session_timeout);
                let due = cx.now.monotonic + classic.unwrap_or(self.settings.consumer_session);
                self.timers.set(due, Timer::Session(id.clone(), member.clone()));
                let current = group.current(member);
                if current.state == super::MemberState::UnrevokedPartitions
                    && let Some(timeout) = subscription.rebalance_timeout
                {
                    let timer = Timer::Revocation(id.clone(), member.clone());
                    self.timers.set(cx.now.monotonic + timeout, timer);
                }
                records.push(GroupRecord::Current {
                    group: id.clone(),
                    member: member.clone(),
                    value: Some(current),
                });
            }
            self.note_moved(&id, &records, cx);
        }
    }

    /// Tells why a group is in another epoch.
    pub(super) fn note_epoch(&self, id: &GroupId, why: RebalanceReason, cx: &mut Cx<'_>) {
        let epoch = self.shard.state().and_then(|state| state.consumer(id)).map_or(0, |group| group.epoch());
        cx.events.push(Event::RebalanceStarted { group: id.clone(), generation: epoch - 1, why });
    }

    /// Tells where members stand, and how their group does.
    pub(super) fn note_moved(&mut self, id: &GroupId, records: &[GroupRecord], cx: &mut Cx<'_>) {
        for record in records {
            if let GroupRecord::Current { member, value: Some(current), .. } = record {
                cx.events.push(Event::MemberReconciled {
                    group: id.clone(),
                    member: member.clone(),
                    by: self.partition,
                    coordinator: self.epoch,
                    epoch: current.epoch,
                    assigned: current.assigned.iter().map(|(at, epoch)| (*at, *epoch)).collect(),
                    revoking: current.revoking.iter().map(|(at, epoch)| (*at, *epoch)).collect(),
                });
            }
        }
        let Some(group) = self.shard.state().and_then(|state| state.consumer(id)) else { return };
        let stands = (group.state(), group.epoch(), group.members.keys().cloned().collect::<Vec<_>>());
        if self.noted.get(id) == Some(&stands) {
            return;
        }
        self.noted.insert(id.clone(), stands.clone());
        let (state, generation, members) = stands;
        cx.events.push(Event::GroupStateChanged {
            group: id.clone(),
            partition: self.partition,
            coordinator: self.epoch,
            state,
            generation,
            members,
        });
    }

    /// A KIP-848 group is no more.
    pub(in crate::group) fn note_consumer_gone(&mut self, id: &GroupId, cx: &mut Cx<'_>) {
        self.looked.remove(id);
        self.matched.remove(id);
        let Some((_, generation, _)) = self.noted.remove(id) else { return };
        cx.events.push(Event::GroupStateChanged {
            group: id.clone(),
            partition: self.partition,
            coordinator: self.epoch,
            state: GroupState::Dead,
            generation,
            members: Vec::new(),
        });
    }
}
