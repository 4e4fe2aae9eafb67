//! How does what the leader says become what the members do?

use alloc::collections::BTreeMap;

use bytes::Bytes;

use super::{
    Coordinator, Cx, Timer,
    image::{Question, Then},
    joining::check_member,
};
use crate::{
    event::{GroupState, RebalanceReason, RemovalReason},
    machine::Caller,
    protocol::{
        ErrorCode, Response,
        groups::{SyncGroupRequest, SyncGroupResponse},
    },
    units::{GroupId, MemberId},
};

impl Coordinator {
    /// A member asks for its share; with the leader come the shares of all, which are written down first.
    pub(super) fn sync(&mut self, caller: Caller, request: &SyncGroupRequest, cx: &mut Cx<'_>) {
        let done = match self.is_consumer_group(&request.group) {
            true => self.sync_consumer(caller, request, cx),
            false => self.try_sync(caller, request, cx),
        };
        if let Err(error) = done {
            cx.answer(caller, Response::SyncGroup(SyncGroupResponse::refused(error)));
        }
    }

    fn try_sync(
        &mut self,
        caller: Caller,
        request: &SyncGroupRequest,
        cx: &mut Cx<'_>,
    ) -> Result<(), ErrorCode> {
        let (group_id, id) = (&request.group, &request.member);
        let group = self.classic.get_mut(group_id).ok_or(ErrorCode::UnknownMemberId)?;
        check_member(group, id, request.instance.as_ref())?;
        if request.generation != group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let says = |said: &Option<_>, known: &Option<_>| said.is_none() || said == known;
        if !says(&request.protocol_type, &group.protocol_type) || !says(&request.protocol, &group.protocol) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match group.state {
            GroupState::PreparingRebalance => return Err(ErrorCode::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => {}
            _ => return Err(ErrorCode::UnknownMemberId),
        }
        group.unsynced.remove(id);
        let (state, leads) = (group.state, group.leader.as_ref() == Some(id));
        let Some(member) = group.members.get_mut(id) else { return Err(ErrorCode::UnknownMemberId) };
        if state == GroupState::Stable {
            let assignment = member.assignment.clone();
            self.keep_session(group_id, id, cx.now);
            self.share(group_id, caller, assignment, cx);
            return Ok(());
        }
        if let Some(former) = member.syncing.replace(caller).filter(|former| *former != caller) {
            let response = SyncGroupResponse::refused(ErrorCode::RebalanceInProgress);
            cx.answer(former, Response::SyncGroup(response));
        }
        if leads {
            self.write_assignment(group_id, request, cx);
        }
        Ok(())
    }

    fn write_assignment(&mut self, group_id: &GroupId, request: &SyncGroupRequest, cx: &mut Cx<'_>) {
        let Some(group) = self.classic.get(group_id) else { return };
        let given: BTreeMap<MemberId, Bytes> = request.assignments.iter().cloned().collect();
        let generation = group.generation;
        let image = group.image(&given);
        let answer = Then::Assigned { group: group_id.clone(), generation };
        let question = Question::Assign { group: group_id.clone(), image, answer };
        if let Err(error) = self.write(None, &question, cx) {
            self.assigned(group_id, generation, Err(error), cx);
        }
    }

    /// The assignment of a generation is committed, or is not going to be: its members are told, if the group still
    /// is in that generation.
    pub(super) fn assigned(
        &mut self,
        group_id: &GroupId,
        generation: i32,
        result: Result<(), ErrorCode>,
        cx: &mut Cx<'_>,
    ) {
        let Some(group) = self.classic.get_mut(group_id) else { return };
        if group.state != GroupState::CompletingRebalance || group.generation != generation {
            return;
        }
        if let Err(error) = result {
            for member in group.members.values_mut() {
                member.assignment = Bytes::new();
                if let Some(caller) = member.syncing.take() {
                    cx.answer(caller, Response::SyncGroup(SyncGroupResponse::refused(error)));
                }
            }
            return self.begin_rebalance(group_id, RebalanceReason::NotWritten, cx);
        }
        let Some(image) = self.shard.committed().classic(group_id).filter(|it| it.generation == generation)
        else {
            return;
        };
        let given: BTreeMap<MemberId, Bytes> =
            image.members.iter().map(|it| (it.member.clone(), it.assignment.clone())).collect();
        let mut told = alloc::vec::Vec::new();
        for (id, member) in &mut group.members {
            member.assignment = given.get(id).cloned().unwrap_or_default();
            if let Some(caller) = member.syncing.take() {
                told.push((id.clone(), caller, member.assignment.clone()));
            }
        }
        self.set_state(group_id, GroupState::Stable, cx);
        for (id, caller, assignment) in told {
            self.keep_session(group_id, &id, cx.now);
            self.share(group_id, caller, assignment, cx);
        }
    }

    fn share(&self, group_id: &GroupId, caller: Caller, assignment: Bytes, cx: &mut Cx<'_>) {
        let Some(group) = self.classic.get(group_id) else { return };
        let response = SyncGroupResponse {
            error: None,
            protocol_type: group.protocol_type.clone(),
            protocol: group.protocol.clone(),
            assignment,
        };
        cx.answer(caller, Response::SyncGroup(response));
    }

    /// Whoever has not asked for its share by now is out, and the others begin anew (KAFKA-13373).
    pub(super) fn sync_time_over(&mut self, group_id: &GroupId, cx: &mut Cx<'_>) {
        let Some(group) = self.classic.get_mut(group_id) else { return };
        if !matches!(group.state, GroupState::CompletingRebalance | GroupState::Stable) {
            return;
        }
        let late = core::mem::take(&mut group.unsynced);
        if late.is_empty() {
            return;
        }
        for id in &late {
            self.strike_off(group_id, id, RemovalReason::SyncExpired, cx);
        }
        self.rebalance_or_complete(group_id, RebalanceReason::SyncExpired, cx);
    }

    /// Forgets a timer that nobody needs: everybody has asked for its share.
    pub(super) fn all_synced(&mut self, group_id: &GroupId) {
        if self.classic.get(group_id).is_some_and(|group| group.unsynced.is_empty()) {
            self.timers.cancel(&Timer::Sync(group_id.clone()));
        }
    }
}
