//! What does a member tell its coordinator, how often, and what does it make of the answer?
//!
//! Kafka's `ConsumerHeartbeatRequestManager`: everything when it joins and after a failure, and only what has changed
//! otherwise; every so often as the coordinator says, and at once when it has done what it was told. If its
//! application does not poll for `max.poll.interval.ms`, it leaves.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::{Modern, Standing};
use crate::{
    config::ConsumerConfig,
    consumer::{
        Consumer,
        group::{Errand, Group, Stage},
    },
    event::{Event, MembershipEnd},
    machine::Effects,
    protocol::{
        ErrorCode, Request,
        consumer_group::{
            ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, JOIN_EPOCH, LEAVE_EPOCH,
            LEAVE_FOR_A_WHILE_EPOCH, TopicPartitions,
        },
        groups::NO_GENERATION,
    },
    time::{Instant, Now},
    units::{TopicId, TopicPartition},
};

impl Consumer {
    /// Lets the coordinator know that it lives, and what it has done.
    pub(in crate::consumer) fn beat_modern(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        let Some(modern) = &group.modern else { return };
        let (standing, rests_until) = (modern.standing, modern.rests_until);
        if !modern.takes_part() || group.dead || (group.closing.is_some() && standing == Standing::Joining) {
            return;
        }
        if !group.work.is_polling() && group.closing.is_none() {
            let late = group.work.polled_at + self.config.max_poll_interval_ms;
            if late <= now.monotonic {
                return self.leave_modern(now, MembershipEnd::PollTooLate, false, effects);
            }
            group.wait(late);
        }
        if group.beating || group.coordinator.is_none() {
            return;
        }
        let urgent = matches!(standing, Standing::Joining | Standing::Acknowledging);
        let due = if urgent { rests_until } else { group.beats_at.max(rests_until) };
        if due > now.monotonic {
            return group.wait(due);
        }
        let Some(coordinator) = group.ready(now.monotonic) else { return };
        let request = group.heartbeat(&self.config);
        let Some(modern) = &mut group.modern else { return };
        group.beating = true;
        group.beats_at = now.monotonic + modern.interval;
        let errand = Errand::Beat(modern.attempt, now.monotonic);
        if modern.standing == Standing::Acknowledging {
            let owns_all = modern.target.iter().all(|at| modern.owned.contains_key(at));
            let done = owns_all && modern.owned.len() == modern.target.len();
            modern.standing = if done { Standing::Stable } else { Standing::Reconciling };
        }
        let request = Request::ConsumerGroupHeartbeat(request);
        group.net.send(now.monotonic, coordinator, request, errand, effects);
    }

    /// Says that it leaves, if there is somebody to say it to.
    pub(super) fn send_leave(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        let Some(coordinator) = group.ready(now.monotonic) else { return };
        let epoch = if group.instance.is_some() { LEAVE_FOR_A_WHILE_EPOCH } else { LEAVE_EPOCH };
        let request = Request::ConsumerGroupHeartbeat(group.says(epoch));
        group.net.send(now.monotonic, coordinator, request, Errand::Leave, effects);
    }

    pub(in crate::consumer) fn beat_answered(
        &mut self,
        now: Now,
        attempt: u64,
        sent_at: Instant,
        response: ConsumerGroupHeartbeatResponse,
        effects: &mut Effects,
    ) {
        let Some(group) = &mut self.group else { return };
        let Some(modern) = group.modern.as_mut().filter(|modern| modern.attempt == attempt) else { return };
        group.beating = false;
        if let Some(error) = response.error {
            return self.beat_refused(now, error, effects);
        }
        group.beat_failures = 0;
        modern.rests_until = Instant::ZERO;
        if modern.interval != response.interval {
            modern.interval = response.interval;
            group.beats_at = sent_at + response.interval;
        }
        if group.generation != response.epoch {
            group.generation = response.epoch;
            group.stage = Stage::Stable;
            let (group, member) = (group.id.clone(), group.member.clone());
            effects.note(Event::GroupJoined { group, member, generation: response.epoch, leads: false });
        }
        if let Some(assignment) = response.assignment {
            modern.target = set_of(&assignment);
            let same = modern.told
                && modern.underway.is_none()
                && modern.owned.len() == modern.target.len()
                && modern.target.iter().all(|at| modern.owned.contains_key(at));
            modern.standing = match modern.standing {
                Standing::Joining | Standing::Reconciling if same => Standing::Stable,
                standing if same => standing,
                _ => Standing::Reconciling,
            };
        }
    }

    fn beat_refused(&mut self, now: Now, error: ErrorCode, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        let Some(modern) = &mut group.modern else { return };
        modern.forget_sent();
        match error {
            // A group that is gone has no such member either.
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId | ErrorCode::GroupIdNotFound => {
                self.fence_modern(effects);
            }
            ErrorCode::FencedInstanceId | ErrorCode::UnreleasedInstanceId => {
                self.die_modern(now, MembershipEnd::InstanceFenced, effects);
            }
            error if Group::is_elsewhere(error) => {
                group.beats_at = now.monotonic;
                self.forget_coordinator(now, effects);
            }
            error if error.is_retriable() => self.beat_lost(now, None),
            _ => self.die_modern(now, MembershipEnd::Refused, effects),
        }
    }

    /// A heartbeat was not answered, or with an error that another one may not be: the next says everything.
    pub(in crate::consumer) fn beat_lost(&mut self, now: Now, attempt: Option<u64>) {
        let Some(group) = &mut self.group else { return };
        let Some(modern) = &mut group.modern else { return };
        if attempt.is_some_and(|attempt| attempt != modern.attempt) {
            return;
        }
        modern.forget_sent();
        group.beating = false;
        group.beats_at = now.monotonic;
        modern.rests_until = now.monotonic + group.backoff.rest(group.beat_failures);
        group.beat_failures = group.beat_failures.saturating_add(1);
    }
}

impl Group {
    /// A heartbeat that says nothing new.
    fn says(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            group: self.id.clone(),
            member: self.member.clone(),
            epoch,
            client: self.client.clone(),
            instance: self.instance.clone(),
            rack: None,
            rebalance_timeout: None,
            topics: None,
            pattern: None,
            assignor: None,
            owned: None,
        }
    }

    /// The next heartbeat, with what the coordinator does not know yet.
    fn heartbeat(&mut self, config: &ConsumerConfig) -> ConsumerGroupHeartbeatRequest {
        let joins = self.generation == NO_GENERATION;
        let mut request = self.says(if joins { JOIN_EPOCH } else { self.generation });
        let topics = self.joined_topics.clone();
        let Some(modern) = &mut self.modern else { return request };
        let everything = modern.sent_topics.is_none();
        if everything {
            request.rebalance_timeout = Some(config.max_poll_interval_ms);
            request.assignor = Some(config.group_remote_assignor.0.clone()).filter(|it| !it.is_empty());
        }
        if modern.sent_topics.as_ref() != Some(&topics) {
            request.topics = Some(topics.clone());
            modern.sent_topics = Some(topics);
        }
        let owned = modern.owned_set();
        if modern.sent_owned.as_ref() != Some(&owned) {
            request.owned = Some(by_topic(&owned));
            modern.sent_owned = Some(owned);
        }
        request
    }
}

impl Modern {
    fn owned_set(&self) -> BTreeSet<TopicPartition> {
        self.owned.keys().copied().collect()
    }
}

fn set_of(by_topic: &TopicPartitions) -> BTreeSet<TopicPartition> {
    let of = |(topic, partitions): &(TopicId, Vec<u32>)| -> Vec<_> {
        partitions.iter().map(|partition| TopicPartition::new(*topic, *partition)).collect()
    };
    by_topic.iter().flat_map(of).collect()
}

fn by_topic(partitions: &BTreeSet<TopicPartition>) -> TopicPartitions {
    let mut topics: BTreeMap<TopicId, Vec<u32>> = BTreeMap::new();
    for at in partitions {
        topics.entry(at.topic).or_default().push(at.partition);
    }
    topics.into_iter().collect()
}
