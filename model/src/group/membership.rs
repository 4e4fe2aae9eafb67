//! Who is alive, who has left, and who is struck off?

use alloc::vec::Vec;

use super::{Coordinator, Cx, Timer, joining::check_member};
use crate::{
    event::{GroupState, RebalanceReason, RemovalReason},
    machine::Caller,
    museum::Bug,
    protocol::{
        ErrorCode, Response,
        groups::{
            HeartbeatRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, LeavingMember,
            SyncGroupResponse,
        },
    },
    time::Now,
    units::{GroupId, MemberId},
};

impl Coordinator {
    /// A member says that it is alive, and hears whether it is to join again.
    pub(super) fn heartbeat(&mut self, request: &HeartbeatRequest, now: Now) -> Result<(), ErrorCode> {
        let (group_id, id) = (&request.group, &request.member);
        let group = self.classic.get(group_id).ok_or(ErrorCode::UnknownMemberId)?;
        check_member(group, id, request.instance.as_ref())?;
        if request.generation != group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let state = group.state;
        match state {
            GroupState::Stable | GroupState::CompletingRebalance => {
                self.keep_session(group_id, id, now);
                Ok(())
            }
            GroupState::PreparingRebalance => {
                self.keep_session(group_id, id, now);
                Err(ErrorCode::RebalanceInProgress)
            }
            _ => Err(ErrorCode::UnknownMemberId),
        }
    }

    /// A member was heard of: its session begins anew.
    pub(super) fn keep_session(&mut self, group_id: &GroupId, id: &MemberId, now: Now) {
        let Some(group) = self.classic.get_mut(group_id) else { return };
        let Some(member) = group.members.get_mut(id) else { return };
        member.heard = true;
        let due = now.monotonic + member.session_timeout;
        self.timers.set(due, Timer::Session(group_id.clone(), id.clone()));
        self.all_synced(group_id);
    }

    /// A member has been silent for as long as it may. Who waits for our answer is not silent: we are.
    pub(super) fn session_over(&mut self, group_id: &GroupId, id: &MemberId, cx: &mut Cx<'_>) {
        let Some(group) = self.classic.get_mut(group_id) else { return };
        // KAFKA-7909: who was given an id and never came back with it was waited for, for ever.
        if group.pending.contains(id) && self.museum.has(Bug::PendingMemberBlocksRebalance) {
            return;
        }
        if group.pending.remove(id) {
            self.complete_if_all_joined(group_id, cx);
            return self.drop_if_unused(group_id);
        }
        let Some(member) = group.members.get(id) else { return };
        if member.is_waiting() {
            let due = cx.now.monotonic + member.session_timeout;
            return self.timers.set(due, Timer::Session(group_id.clone(), id.clone()));
        }
        self.strike_off(group_id, id, RemovalReason::SessionExpired, cx);
        self.rebalance_or_complete(group_id, RebalanceReason::SessionExpired, cx);
    }

    /// Takes a member out of its group. What it waits for it does not get.
    pub(super) fn strike_off(
        &mut self,
        group_id: &GroupId,
        id: &MemberId,
        why: RemovalReason,
        cx: &mut Cx<'_>,
    ) {
        let Some(member) = self.classic.get_mut(group_id).and_then(|group| group.remove(id)) else { return };
        self.timers.cancel(&Timer::Session(group_id.clone(), id.clone()));
        let error = ErrorCode::UnknownMemberId;
        if let Some(joining) = member.joining {
            cx.answer(
                joining.caller,
                Response::JoinGroup(JoinGroupResponse::refused(error, MemberId::default())),
            );
        }
        if let Some(caller) = member.syncing {
            cx.answer(caller, Response::SyncGroup(SyncGroupResponse::refused(error)));
        }
        self.note_removed(group_id, id, why, cx);
    }

    /// Members leave, each by itself.
    pub(super) fn leave(&mut self, caller: Caller, request: &LeaveGroupRequest, cx: &mut Cx<'_>) {
        let group_id = &request.group;
        let mut members = Vec::with_capacity(request.members.len());
        let mut gone = false;
        for leaving in &request.members {
            let left = self.leave_one(group_id, leaving, cx);
            gone |= left == Ok(true);
            members.push((leaving.clone(), left.err()));
        }
        if gone {
            self.rebalance_or_complete(group_id, RebalanceReason::MemberLeft, cx);
        }
        self.drop_if_unused(group_id);
        cx.answer(caller, Response::LeaveGroup(LeaveGroupResponse { error: None, members }));
    }

    /// One member leaves; says whether the group is another one without it.
    fn leave_one(
        &mut self,
        group_id: &GroupId,
        leaving: &LeavingMember,
        cx: &mut Cx<'_>,
    ) -> Result<bool, ErrorCode> {
        let group = self.classic.get_mut(group_id).ok_or(ErrorCode::UnknownMemberId)?;
        if group.pending.remove(&leaving.member) {
            self.timers.cancel(&Timer::Session(group_id.clone(), leaving.member.clone()));
            return Ok(true);
        }
        let id = match &leaving.instance {
            // An operator knows a static member by its lasting name.
            Some(instance) if leaving.member.is_empty() => {
                group.instances.get(instance).cloned().ok_or(ErrorCode::UnknownMemberId)?
            }
            instance => {
                check_member(group, &leaving.member, instance.as_ref())?;
                leaving.member.clone()
            }
        };
        self.strike_off(group_id, &id, RemovalReason::Left, cx);
        Ok(true)
    }

    /// A group that somebody asked about and that came to nothing is none.
    pub(super) fn drop_if_unused(&mut self, group_id: &GroupId) {
        let Some(group) = self.classic.get(group_id) else { return };
        let idle = group.state == GroupState::Empty && group.members.is_empty() && group.pending.is_empty();
        let known = self.shard.state().is_some_and(|state| state.classic(group_id).is_some());
        if idle && !known && group.generation == 0 {
            self.classic.remove(group_id);
        }
    }
}
