//! Who looks after the group, and what does it mean if nobody answers?
//!
//! Kafka's `AbstractCoordinator.lookupCoordinator` and `markCoordinatorUnknown`. Any broker is asked who it is; the
//! coordinator then has a connection of its own. One that is gone, or says that it is not the one, is looked for
//! again, and whatever was in flight there counts as unanswered.

use alloc::vec;

use super::{
    Asked, Consumer,
    group::{Errand, Group, Search},
    modern::Modern,
};
use crate::{
    machine::Effects,
    museum::Bug,
    protocol::{
        ErrorCode, Request, Response,
        group_admin::{CoordinatorKind, FindCoordinatorRequest, FindCoordinatorResponse},
    },
    time::{Instant, Now},
    units::NodeId,
};

impl Consumer {
    /// What a consumer with a group does in every step.
    pub(super) fn tend(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        group.wakes = None;
        while let Some((peer, lost)) =
            self.group.as_mut().and_then(|it| it.net.time_out(now.monotonic, effects))
        {
            self.coordinator_gone(now, peer, lost.into_iter().map(|(_, errand)| errand).collect(), effects);
        }
        self.go_on_working(now, effects);
        self.poll_group(now, effects);
        self.go_on_closing(now, effects);
        self.stay_alive(now, effects);
        self.send_commits(now, effects);
        self.search(now, effects);
        // What was sent may have come to nothing at once, and have left the application free to poll.
        if let Some(group) = &mut self.group
            && let Some(at) = group.work.goes_on(now)
        {
            group.wait(at);
        }
    }

    /// Asks who the coordinator is, if somebody has to know.
    fn search(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        let polls = group.work.is_polling() && group.topics.is_some() && group.closing.is_none();
        let takes_part = group.is_member() || group.modern.as_ref().is_some_and(Modern::takes_part);
        let wanted = polls || takes_part || !group.commits.is_empty() || !group.uncertain.is_empty();
        if group.coordinator.is_some() || group.search.asked || group.dead || !wanted {
            return;
        }
        if group.search.rests_until > now.monotonic {
            return group.wait(group.search.rests_until);
        }
        match self.view.any_server(now.monotonic, &mut self.net) {
            Ok(server) => {
                group.search.asked = true;
                let request =
                    FindCoordinatorRequest { kind: CoordinatorKind::Group, keys: vec![group.id.clone()] };
                let request = Request::FindCoordinator(request);
                self.net.send(now.monotonic, server, request, Asked::Coordinator, effects);
            }
            Err(Instant::FOREVER) => {}
            Err(rested) => group.wait(rested),
        }
    }

    pub(super) fn coordinator_found(
        &mut self,
        now: Now,
        response: &FindCoordinatorResponse,
        effects: &mut Effects,
    ) {
        let Some(group) = &mut self.group else { return };
        match response.coordinators.first().map(|(_, found)| *found) {
            Some(Ok(node)) => {
                group.search = Search::default();
                group.coordinator = Some(node);
                group.heard_at = now.monotonic;
            }
            Some(Err(error)) => self.search_failed(now, error, effects),
            None => self.search_failed(now, ErrorCode::UnknownServerError, effects),
        }
    }

    pub(super) fn search_failed(&mut self, now: Now, error: ErrorCode, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        let rest = group.backoff.rest(group.search.failures);
        group.search.failures = group.search.failures.saturating_add(1);
        group.search.rests_until = now.monotonic + rest;
        // KAFKA-10793: one that ended before anybody looked at it was never taken for ended.
        let forgotten =
            error == ErrorCode::NetworkException && self.museum.has(Bug::CoordinatorSearchNotCleared);
        group.search.asked = forgotten;
        self.view.want_update();
        self.drop_impatient_commits(now, error, effects);
    }

    /// The coordinator is to be looked for again. Its connection is closed: nothing that was asked there will be
    /// heard.
    pub(super) fn forget_coordinator(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        let Some(former) = group.coordinator.take() else { return };
        let lost = group.net.close(now.monotonic, former, effects);
        for (_, errand) in lost {
            self.errand_lost(now, errand, effects);
        }
    }

    /// The connection to a coordinator is gone.
    pub(super) fn coordinator_gone(
        &mut self,
        now: Now,
        peer: NodeId,
        lost: vec::Vec<Errand>,
        effects: &mut Effects,
    ) {
        if let Some(group) = &mut self.group
            && group.coordinator == Some(peer)
        {
            group.coordinator = None;
        }
        self.view.want_update();
        for errand in lost {
            self.errand_lost(now, errand, effects);
        }
    }

    pub(super) fn group_disconnected(&mut self, now: Now, peer: NodeId, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        let lost = group.net.broken(now.monotonic, peer);
        self.coordinator_gone(now, peer, lost.into_iter().map(|(_, errand)| errand).collect(), effects);
    }

    pub(super) fn group_answered(
        &mut self,
        now: Now,
        errand: Errand,
        response: Response,
        effects: &mut Effects,
    ) {
        match (errand, response) {
            (Errand::Join(attempt), Response::JoinGroup(response)) => {
                self.joined(now, attempt, response, effects);
            }
            (Errand::Sync(attempt), Response::SyncGroup(response)) => {
                self.synced(now, attempt, response, effects);
            }
            (Errand::Heartbeat(member, generation), Response::Heartbeat(response)) => {
                self.heartbeat_answered(now, &member, generation, response.error, effects);
            }
            (Errand::Beat(attempt, sent_at), Response::ConsumerGroupHeartbeat(response)) => {
                self.beat_answered(now, attempt, sent_at, response, effects);
            }
            (Errand::Leave, Response::LeaveGroup(_) | Response::ConsumerGroupHeartbeat(_)) => {}
            (Errand::Commit(commit), Response::OffsetCommit(response)) => {
                self.commit_answered(now, *commit, &response, effects);
            }
            (Errand::Committed(asked, number), Response::OffsetFetch(response)) => {
                self.committed_told(now, &asked, number, response, effects);
            }
            (errand, _) => self.errand_lost(now, errand, effects),
        }
    }

    /// A request to the coordinator will not be answered.
    fn errand_lost(&mut self, now: Now, errand: Errand, effects: &mut Effects) {
        let error = ErrorCode::NetworkException;
        match errand {
            Errand::Join(attempt) | Errand::Sync(attempt) => self.join_failed(now, attempt, error, effects),
            Errand::Heartbeat(..) => self.heartbeat_lost(now),
            Errand::Beat(attempt, _) => self.beat_lost(now, Some(attempt)),
            Errand::Leave => {}
            // KAFKA-6593: it was cancelled before the application waited for it, which then did so for ever.
            Errand::Commit(commit)
                if commit.is_awaited() && self.museum.has(Bug::CommitSyncBlocksOnDisconnect) => {}
            Errand::Commit(commit) => self.commit_failed(now, *commit, error, effects),
            Errand::Committed(asked, number) => self.committed_lost(now, &asked, number),
        }
    }
}

impl Group {
    /// Whether an error says that the coordinator is another, or cannot do its work.
    pub fn is_elsewhere(error: ErrorCode) -> bool {
        matches!(error, ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable)
    }
}
