//! Is it still a member, and does anybody else know?
//!
//! Kafka's `Heartbeat` and `HeartbeatThread`: a member is seen every `heartbeat.interval.ms`, whatever its
//! application does; but if that has not polled for `max.poll.interval.ms`, the member leaves, so that somebody else
//! gets on with its partitions.

use super::{
    Consumer,
    group::{Errand, Group, Stage},
};
use crate::{
    event::MembershipEnd,
    machine::Effects,
    protocol::{
        ErrorCode, Request,
        groups::{HeartbeatRequest, LeaveGroupRequest, LeavingMember, NO_GENERATION},
    },
    time::Now,
    units::MemberId,
};

impl Consumer {
    /// Lets the coordinator know that it lives.
    pub(super) fn stay_alive(&mut self, now: Now, effects: &mut Effects) {
        if self.is_modern() {
            return self.beat_modern(now, effects);
        }
        let Some(group) = &mut self.group else { return };
        if !group.is_member() || group.dead || group.coordinator.is_none() {
            return;
        }
        let expires = group.heard_at + self.config.session_timeout_ms;
        if expires <= now.monotonic {
            // It stays a member as far as it knows: perhaps the coordinator is another by now.
            return self.forget_coordinator(now, effects);
        }
        group.wait(expires);
        if !group.work.is_polling() && group.closing.is_none() {
            let late = group.work.polled_at + self.config.max_poll_interval_ms;
            if late <= now.monotonic {
                return self.leave(now, MembershipEnd::PollTooLate, false, effects);
            }
            group.wait(late);
        }
        if group.beating {
            return;
        }
        if group.beats_at > now.monotonic {
            return group.wait(group.beats_at);
        }
        let Some(coordinator) = group.ready(now.monotonic) else { return };
        group.beating = true;
        group.beats_at = now.monotonic + self.config.heartbeat_interval_ms;
        let (member, generation) = (group.member.clone(), group.generation);
        let request = Request::Heartbeat(HeartbeatRequest {
            group: group.id.clone(),
            generation,
            member: member.clone(),
            instance: group.instance.clone(),
        });
        group.net.send(now.monotonic, coordinator, request, Errand::Heartbeat(member, generation), effects);
    }

    pub(super) fn heartbeat_answered(
        &mut self,
        now: Now,
        member: &MemberId,
        generation: i32,
        error: Option<ErrorCode>,
        effects: &mut Effects,
    ) {
        let Some(group) = &mut self.group else { return };
        let current = group.is_as_before(member, generation);
        match error {
            None => group.heartbeat_heard(now),
            Some(ErrorCode::RebalanceInProgress) => {
                group.heartbeat_heard(now);
                if matches!(group.stage, Stage::Stable) {
                    self.want_rejoin(effects);
                }
            }
            Some(ErrorCode::IllegalGeneration | ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId)
                if !current =>
            {
                group.heartbeat_heard(now);
            }
            Some(ErrorCode::FencedInstanceId) => self.die(now, effects),
            Some(error @ (ErrorCode::IllegalGeneration | ErrorCode::UnknownMemberId)) => {
                group.beating = false;
                let keeps_id = error == ErrorCode::IllegalGeneration;
                self.reset_generation(keeps_id, MembershipEnd::Fenced, effects);
            }
            Some(error) => {
                self.heartbeat_lost(now);
                if Group::is_elsewhere(error) {
                    self.forget_coordinator(now, effects);
                }
            }
        }
    }

    /// A heartbeat was not answered, or with an error that another one may not be.
    pub(super) fn heartbeat_lost(&mut self, now: Now) {
        let Some(group) = &mut self.group else { return };
        group.beating = false;
        group.beats_at = now.monotonic + group.backoff.rest(group.beat_failures);
        group.beat_failures = group.beat_failures.saturating_add(1);
    }

    /// Is no member any more by its own will. A static member does not say so: it is expected back (KIP-345).
    ///
    /// What it owns it gives up now if the application is there to be told, and when that polls next otherwise.
    pub(super) fn leave(&mut self, now: Now, why: MembershipEnd, gives_up: bool, effects: &mut Effects) {
        if self.is_modern() {
            return self.leave_modern(now, why, gives_up, effects);
        }
        let Some(group) = &mut self.group else { return };
        if gives_up {
            let lost = group.generation == NO_GENERATION || group.member.is_empty() || group.is_rebalancing();
            self.give_everything_up(now, lost, effects);
        }
        let Some(group) = &mut self.group else { return };
        let is_known = !matches!(group.stage, Stage::Out) && !group.member.is_empty();
        if group.instance.is_none()
            && is_known
            && let Some(coordinator) = group.ready(now.monotonic)
        {
            let leaving = LeavingMember { member: group.member.clone(), instance: None };
            let members = alloc::vec![leaving];
            let request = Request::LeaveGroup(LeaveGroupRequest { group: group.id.clone(), members });
            group.net.send(now.monotonic, coordinator, request, Errand::Leave, effects);
        }
        self.reset_generation(false, why, effects);
    }
}

impl Group {
    fn heartbeat_heard(&mut self, now: Now) {
        self.beating = false;
        self.beat_failures = 0;
        self.heard_at = now.monotonic;
    }
}
