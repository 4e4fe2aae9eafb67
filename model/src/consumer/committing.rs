//! How does a group remember how far it has come?
//!
//! Kafka's `ConsumerCoordinator.commitOffsetsSync`, `commitOffsetsAsync` and `maybeAutoCommitOffsetsAsync`. What is
//! committed is where the consumer stands in every partition: behind the last record that the application was
//! given. A commit that somebody waits for is tried again until `default.api.timeout.ms`; one before partitions are
//! given up, as long as there is time for it, with where it stands by then; the others are not.

use alloc::{boxed::Box, vec::Vec};

use super::{
    Consumer,
    group::{Errand, Group, Prepare, Stage},
    positions::{PartitionIndex, State},
};
use crate::{
    client::NamedPartition,
    event::{CommitReason, Event, MembershipEnd},
    machine::Effects,
    museum::Bug,
    protocol::{
        ErrorCode, Request,
        groups::NO_GENERATION,
        offsets::{CommittedOffset, OffsetCommitRequest, OffsetCommitResponse},
    },
    time::{Instant, Now},
    units::{MemberId, TopicPartition},
};

/// How far in which partitions.
type Offsets = Vec<(NamedPartition, TopicPartition, CommittedOffset)>;

/// A commit on its way.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    offsets: Offsets,
    why: CommitReason,
    /// Whether it was a member's word: nobody else's, once that has unsubscribed.
    as_member: bool,
    /// Until when it is tried again.
    gives_up_at: Option<Instant>,
    failures: u32,
    rests_until: Instant,
    member: MemberId,
    generation: i32,
}

impl Commit {
    /// Whether the application waits for it.
    pub(super) fn is_awaited(&self) -> bool {
        self.why == CommitReason::Sync
    }
}

impl Consumer {
    /// Where it stands in every partition that it reads.
    fn standing(&self) -> Offsets {
        let standing = |at: PartitionIndex| {
            let partition = &self.partitions[at.0];
            let stands = partition.position.filter(|_| partition.state == State::Fetching);
            // librdkafka #2782: until records came it had stored what it had when it last owned the partition.
            let position =
                partition.stored.filter(|_| self.museum.has(Bug::StoredOffsetSurvivesRevoke)).or(stands)?;
            let known = self.known(at).filter(|_| partition.assigned)?;
            let named = NamedPartition {
                topic: self.view.view(partition.topic).name().clone(),
                partition: partition.partition,
            };
            let (offset, epoch) = (position.offset, position.epoch);
            Some((named, known, CommittedOffset { offset, epoch, metadata: "".into() }))
        };
        (0..self.partitions.len()).map(PartitionIndex).filter_map(standing).collect()
    }

    /// Wants to commit where it stands in every partition; says whether there is anything to commit.
    pub(super) fn commit(&mut self, now: Now, why: CommitReason) -> bool {
        let offsets = self.standing();
        let gives_up_at = match why {
            // A mutant: the commit is tried again, also when a later one was taken meanwhile.
            CommitReason::Auto | CommitReason::Async if self.museum.has(Bug::AsyncCommitRetried) => {
                Some(now.monotonic + self.config.default_api_timeout_ms)
            }
            CommitReason::Auto | CommitReason::Async => None,
            CommitReason::Sync => Some(now.monotonic + self.config.default_api_timeout_ms),
            CommitReason::Closed => Some(now.monotonic + self.config.request_timeout_ms),
            CommitReason::Revoked => Some(now.monotonic + self.config.max_poll_interval_ms),
        };
        let Some(group) = self.group.as_mut().filter(|group| !offsets.is_empty() && !group.dead) else {
            return false;
        };
        group.commits.push_back(Commit {
            offsets,
            why,
            as_member: group.topics.is_some(),
            gives_up_at,
            failures: 0,
            rests_until: Instant::ZERO,
            member: MemberId::default(),
            generation: -1,
        });
        true
    }

    /// Commits what the application was given by the polls before this one, if it is time to.
    pub(super) fn auto_commit(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        let stable = group.topics.is_none() || matches!(group.stage, Stage::Stable);
        // Before it joins again it commits anyway.
        let joins = group.topics.is_some() && (group.rejoin || group.prepare == Prepare::Committing);
        if !self.config.enable_auto_commit || !stable || joins || group.coordinator.is_none() {
            return;
        }
        if group.auto_commit_at <= now.monotonic {
            group.auto_commit_at = now.monotonic + self.config.auto_commit_interval_ms;
            if self.commit(now, CommitReason::Auto) {
                self.send_commits(now, effects);
            }
        }
        let Some(group) = &mut self.group else { return };
        if self.partitions.iter().any(|partition| partition.assigned) {
            group.wait(group.auto_commit_at);
        }
    }

    /// Sends what there is to commit and may be sent.
    pub(super) fn send_commits(&mut self, now: Now, effects: &mut Effects) {
        let waiting = self.group.as_mut().map(|group| core::mem::take(&mut group.commits));
        for commit in waiting.into_iter().flatten() {
            self.send_commit(now, commit, effects);
        }
    }

    fn send_commit(&mut self, now: Now, mut commit: Commit, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        if commit.gives_up_at.is_some_and(|at| at <= now.monotonic) {
            return self.commit_failed(now, commit, ErrorCode::RequestTimedOut, effects);
        }
        // What was to be said before partitions were given up that are lost meanwhile, or by a member that has
        // unsubscribed: an application that waits for it cannot do that in Kafka. One that does not wait can while
        // the coordinator is looked for, and Kafka then sends it as nobody's, which an empty group takes whatever
        // it has heard since; not so here.
        let lost = commit.why == CommitReason::Revoked && group.prepare != Prepare::Committing;
        if lost || (group.topics.is_none() && commit.as_member) {
            return self.commit_failed(now, commit, ErrorCode::UnknownMemberId, effects);
        }
        let resting = commit.rests_until > now.monotonic;
        if resting {
            group.wait(commit.rests_until);
        }
        // What is said again before partitions are given up is where it stands by then: a cooperative member reads on,
        // and its application may have committed more. It is said while the application polls, since what that is
        // still at is not to be committed.
        let anew = commit.why == CommitReason::Revoked && commit.failures > 0;
        let waits = resting || (anew && !group.work.is_polling());
        let coordinator = if waits { None } else { group.ready(now.monotonic) };
        let Some(coordinator) = coordinator else {
            if let Some(at) = commit.gives_up_at {
                group.wait(at);
            }
            group.commits.push_back(commit);
            return;
        };
        if group.topics.is_some() && !matches!(group.stage, Stage::Stable) {
            let rebalances = group.is_rebalancing();
            let error = if rebalances { ErrorCode::RebalanceInProgress } else { ErrorCode::UnknownMemberId };
            return self.commit_failed(now, commit, error, effects);
        }
        if anew {
            commit.offsets = self.standing();
            if commit.offsets.is_empty() {
                return self.commit_over(now, commit.why, None, effects);
            }
        }
        let Some(group) = &mut self.group else { return };
        commit.member = group.member.clone();
        commit.generation = group.generation;
        for (_, partition, committed) in &commit.offsets {
            effects.note(Event::CommitSent {
                group: group.id.clone(),
                partition: *partition,
                offset: committed.offset,
                member: commit.member.clone(),
                generation: commit.generation,
                why: commit.why,
            });
        }
        let offsets = commit.offsets.iter().map(|(named, _, at)| (named.clone(), at.clone()));
        let request = Request::OffsetCommit(OffsetCommitRequest {
            group: group.id.clone(),
            generation: group.generation,
            member: group.member.clone(),
            instance: group.instance.clone(),
            offsets: offsets.collect(),
        });
        group.net.send(now.monotonic, coordinator, request, Errand::Commit(Box::new(commit)), effects);
    }

    pub(super) fn commit_answered(
        &mut self,
        now: Now,
        mut commit: Commit,
        response: &OffsetCommitResponse,
        effects: &mut Effects,
    ) {
        let Some(group) = &self.group else { return };
        let mut failed = None;
        let mut answers = response.partitions.iter().map(|(_, error)| *error);
        commit.offsets.retain(|(_, partition, committed)| {
            let error = answers.next().unwrap_or(Some(ErrorCode::UnknownServerError));
            failed = failed.or(error);
            if error.is_none() {
                let (group, partition, offset) = (group.id.clone(), *partition, committed.offset);
                effects.note(Event::CommitAcked { group, partition, offset });
            }
            error.is_some()
        });
        let Some(error) = failed else { return self.commit_over(now, commit.why, None, effects) };
        let current = group.is_as_before(&commit.member, commit.generation);
        let joining = matches!(group.stage, Stage::Joining);
        let mut told = error;
        match error {
            // Whether it still is a member its heartbeats tell (KIP-848).
            ErrorCode::UnknownMemberId | ErrorCode::StaleMemberEpoch if group.modern.is_some() => {}
            ErrorCode::RebalanceInProgress => self.want_rejoin(effects),
            ErrorCode::FencedInstanceId if current => {
                self.commit_failed(now, commit, error, effects);
                return self.die(now, effects);
            }
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration if !current && joining => {
                told = ErrorCode::RebalanceInProgress;
            }
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration if current => {
                let keeps_id = error == ErrorCode::IllegalGeneration;
                self.commit_failed(now, commit, error, effects);
                return self.fenced_by_commit(keeps_id, effects);
            }
            ErrorCode::RequestTimedOut => self.forget_coordinator(now, effects),
            error if Group::is_elsewhere(error) => self.forget_coordinator(now, effects),
            _ => {}
        }
        self.commit_failed(now, commit, told, effects);
    }

    fn fenced_by_commit(&mut self, keeps_id: bool, effects: &mut Effects) {
        // Who commits without being a member has no membership to lose.
        if self.group.as_ref().is_some_and(|group| group.topics.is_some()) {
            self.reset_generation(keeps_id, MembershipEnd::Fenced, effects);
        }
    }

    /// A commit was not taken, or nobody knows whether it was.
    pub(super) fn commit_failed(
        &mut self,
        now: Now,
        mut commit: Commit,
        error: ErrorCode,
        effects: &mut Effects,
    ) {
        let Some(group) = &mut self.group else { return };
        let in_time = commit.gives_up_at.is_some_and(|at| at > now.monotonic);
        // KIP-848: it may be in another epoch by now, and still have what it is to give up.
        let in_another_epoch = error == ErrorCode::StaleMemberEpoch
            && commit.why == CommitReason::Revoked
            && group.generation != NO_GENERATION;
        // KIP-848: what is gone nobody could give up in time, if it were said again and again.
        let is_gone = error == ErrorCode::UnknownTopicOrPartition
            && commit.why == CommitReason::Revoked
            && group.modern.is_some();
        let may_be_taken = (error.is_retriable() && !is_gone) || in_another_epoch;
        let retried = in_time && may_be_taken && !group.dead;
        for (_, partition, committed) in &commit.offsets {
            let (group, partition, offset) = (group.id.clone(), *partition, committed.offset);
            effects.note(Event::CommitFailed { group, partition, offset, error, retried });
        }
        if retried {
            commit.rests_until = now.monotonic + group.backoff.rest(commit.failures);
            commit.failures = commit.failures.saturating_add(1);
            group.wait(commit.rests_until);
            group.commits.push_back(commit);
        } else {
            self.commit_over(now, commit.why, Some(error), effects);
        }
    }

    /// Nothing more will become of a commit.
    fn commit_over(&mut self, now: Now, why: CommitReason, error: Option<ErrorCode>, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        match why {
            CommitReason::Sync | CommitReason::Closed => self.work_committed(now),
            CommitReason::Revoked if group.modern.is_some() => self.committed_before_giving_up(now, effects),
            CommitReason::Revoked if group.prepare == Prepare::Committing => self.prepared(now, effects),
            CommitReason::Auto if error.is_some_and(ErrorCode::is_retriable) => {
                let soon = now.monotonic + self.config.retry_backoff_ms;
                group.auto_commit_at = group.auto_commit_at.min(soon);
            }
            CommitReason::Auto | CommitReason::Async | CommitReason::Revoked => {}
        }
    }

    /// Commits that nobody waits for come to nothing if the coordinator cannot be found.
    pub(super) fn drop_impatient_commits(&mut self, now: Now, error: ErrorCode, effects: &mut Effects) {
        let waiting = self.group.as_mut().map(|group| core::mem::take(&mut group.commits));
        for commit in waiting.into_iter().flatten() {
            match (&mut self.group, commit.gives_up_at) {
                (Some(group), Some(_)) => group.commits.push_back(commit),
                _ => self.commit_failed(now, commit, error, effects),
            }
        }
    }
}
