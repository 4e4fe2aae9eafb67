//! What does the application do between two polls?
//!
//! The loop around `KafkaConsumer.poll`: it works through what a poll gave it, commits as it likes to, and polls
//! again. While it works it does not poll: heartbeats go on, joins do not, and `max.poll.interval.ms` runs.

use alloc::vec::Vec;
use core::time::Duration;

use super::{
    Consumer,
    group::{Group, Prepare, is_cooperative},
    polling::WORK,
};
use crate::{
    client::{Application, Commits},
    event::{CommitReason, Event, MembershipEnd},
    machine::{Effects, Halt},
    museum::Bug,
    time::{Instant, Now},
    units::{Offset, TopicPartition},
};

/// What it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Doing {
    /// It polls, and is given what comes.
    #[default]
    Polling,
    /// It does something else until then.
    Working(Instant),
    /// It waits for a commit, and then does what is next.
    Committing(Next),
    /// It has closed its consumer.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Work,
    Poll,
    Leave,
}

/// An application at work.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    pub application: Application,
    doing: Doing,
    /// When it polled last; it does at this moment if it polls.
    pub polled_at: Instant,
    /// Whether it has begun to poll since the last poll was looked after.
    pub polls_again: bool,
    /// What the last poll gave it: from where to where.
    given: Vec<(TopicPartition, Offset, Offset)>,
    records: u32,
    /// What it is to do as soon as it is done with that.
    stalls: Duration,
    commits: Option<bool>,
}

impl Work {
    pub fn is_polling(&self) -> bool {
        self.doing == Doing::Polling
    }

    /// It is given records by a poll.
    pub fn give(&mut self, partition: TopicPartition, from: Offset, to: Offset, records: u32) {
        self.given.push((partition, from, to));
        self.records += records;
    }

    /// When the application does something else by itself.
    pub fn goes_on(&self, now: Now) -> Option<Instant> {
        match self.doing {
            Doing::Working(until) => Some(until),
            Doing::Polling if self.polls_again => Some(now.monotonic),
            Doing::Polling | Doing::Committing(_) | Doing::Closed => None,
        }
    }

    fn work(&mut self, now: Now, least: Duration) {
        let wait = self.application.per_record * self.records + core::mem::take(&mut self.stalls);
        self.doing = Doing::Working(now.monotonic + wait.max(least));
    }

    fn poll(&mut self) {
        self.doing = Doing::Polling;
        self.polls_again = true;
    }
}

impl Group {
    /// Whether a poll may return records: not while what it owns is about to be given up, or the position would get
    /// ahead of what is being committed (Kafka: partitions that are pending revocation).
    pub fn may_hand_on(&self, cooperative: bool) -> bool {
        let gives_up = self.prepare == Prepare::Committing && !cooperative;
        self.work.is_polling() && !gives_up && self.closing.is_none() && !self.dead
    }
}

impl Consumer {
    /// Whether the application takes what has come.
    pub(super) fn hands_on(&self) -> bool {
        // KAFKA-14196: an eager member, too, read on while its last commit was under way.
        let reads_on = is_cooperative(&self.config) || self.museum.has(Bug::FetchContinuesDuringRevokeCommit);
        self.group.as_ref().is_none_or(|group| group.may_hand_on(reads_on))
    }

    /// A poll has returned: the application begins with what it was given.
    pub(super) fn begin_work(&mut self, now: Now) {
        let Some(group) = self.group.as_mut().filter(|group| !group.work.given.is_empty()) else { return };
        group.work.polled_at = now.monotonic;
        if group.work.application.commits == Commits::Before {
            self.commit_and(now, Next::Work);
        } else {
            group.work.work(now, WORK);
        }
    }

    /// Commits, waits for the answer, and does what is next.
    fn commit_and(&mut self, now: Now, next: Next) {
        let why = if next == Next::Leave { CommitReason::Closed } else { CommitReason::Sync };
        if let Some(group) = &mut self.group {
            group.work.doing = Doing::Committing(next);
        }
        if !self.commit(now, why) {
            self.work_committed(now);
        }
    }

    /// What the application waited for is committed, or will not be.
    pub(super) fn work_committed(&mut self, now: Now) {
        let Some(group) = &mut self.group else { return };
        match group.work.doing {
            Doing::Committing(Next::Work) => group.work.work(now, WORK),
            Doing::Committing(Next::Poll) => group.work.poll(),
            Doing::Committing(Next::Leave) => group.work.doing = Doing::Closed,
            Doing::Polling | Doing::Working(_) | Doing::Closed => {}
        }
    }

    /// Is the application done with what it was given?
    pub(super) fn go_on_working(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        let Doing::Working(until) = group.work.doing else { return };
        if until > now.monotonic {
            return;
        }
        let given = core::mem::take(&mut group.work.given);
        group.work.records = 0;
        for (partition, from, to) in &given {
            effects.note(Event::Processed { partition: *partition, from: *from, to: *to });
        }
        if group.work.stalls > Duration::ZERO {
            return group.work.work(now, WORK);
        }
        let commits = group.work.application.commits;
        let told = group.work.commits.take();
        if told == Some(true) || (commits == Commits::After && !given.is_empty()) {
            return self.commit_and(now, Next::Poll);
        }
        group.work.poll();
        if told == Some(false) || (commits == Commits::AfterAsync && !given.is_empty()) {
            self.commit(now, CommitReason::Async);
        }
    }

    /// The application does something else for so long.
    pub(super) fn stall(&mut self, now: Now, long: Duration) {
        let Some(group) = &mut self.group else {
            let until = now.monotonic + long;
            self.polls_at = Some(self.polls_at.map_or(until, |at| at.max(until)));
            return;
        };
        match &mut group.work.doing {
            Doing::Polling => {
                group.work.polled_at = now.monotonic;
                group.work.doing = Doing::Working(now.monotonic + long);
            }
            Doing::Working(until) => *until = *until + long,
            Doing::Committing(_) => group.work.stalls += long,
            Doing::Closed => {}
        }
    }

    /// The application is told to commit; as soon as it is done with what it is at.
    pub(super) fn commit_now(&mut self, now: Now, waits: bool) {
        let Some(group) = &mut self.group else { return };
        if !group.work.is_polling() {
            group.work.commits = Some(waits);
        } else if waits {
            group.work.polled_at = now.monotonic;
            self.commit_and(now, Next::Poll);
        } else {
            self.commit(now, CommitReason::Async);
        }
    }

    /// The process is to end: at once, if it has no group; else it finishes what it is at, commits, and leaves.
    pub(super) fn close(&mut self, now: Now, effects: &mut Effects) {
        match &mut self.group {
            Some(group) if !group.dead => {
                let until = now.monotonic + self.config.request_timeout_ms;
                group.closing.get_or_insert(until);
            }
            _ => halt(effects),
        }
    }

    /// What is left to do before the process may end.
    pub(super) fn go_on_closing(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        let Some(until) = group.closing else { return };
        if until <= now.monotonic || group.dead {
            return halt(effects);
        }
        group.wait(until);
        if group.work.is_polling() {
            if self.config.enable_auto_commit {
                self.commit_and(now, Next::Leave);
                self.send_commits(now, effects);
            } else {
                group.work.doing = Doing::Closed;
            }
        }
        let Some(group) = &mut self.group else { return };
        if group.work.doing != Doing::Closed {
            return;
        }
        if group.topics.is_some() {
            self.leave(now, MembershipEnd::Left, true, effects);
        }
        let Some(group) = &mut self.group else { return };
        group.topics = None;
        let waits = group.coordinator.is_some_and(|coordinator| group.net.count(coordinator) > 0);
        if !waits {
            halt(effects);
        }
    }
}

fn halt(effects: &mut Effects) {
    if effects.halt.is_none() {
        effects.note(Event::Halted { why: Halt::Shutdown });
        effects.halt = Some(Halt::Shutdown);
    }
}
