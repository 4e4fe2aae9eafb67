//! How does a consumer become a member of the next generation?
//!
//! Kafka's `AbstractCoordinator.joinGroupIfNeeded` and `ConsumerCoordinator`. It prepares (`ownership`), joins, and,
//! if it leads, says who reads what; then it asks for its share. All of that happens while the application polls: an
//! answer that comes while it does something else is kept until it polls again.

use alloc::{boxed::Box, collections::BTreeMap, sync::Arc, vec::Vec};
use core::time::Duration;

use super::{
    Consumer,
    assignor::{self, Member},
    group::{Errand, Group, Held, Prepare, Stage},
    protocol::{Subscription, encode_all, encode_cooperative, encode_sticky},
};
use crate::{
    client::{NamedPartition, Topics},
    config::{Assignor, Value},
    event::{Event, MembershipEnd},
    machine::Effects,
    museum::Bug,
    protocol::{
        ErrorCode, Request, TopicName,
        groups::{
            GroupProtocol, JoinGroupRequest, JoinGroupResponse, NO_GENERATION, SyncGroupRequest,
            SyncGroupResponse,
        },
    },
    time::Now,
    units::MemberId,
};

/// How long after the others' time to join the coordinator may take to answer: Kafka's constant.
const JOIN_LAPSE: Duration = Duration::from_secs(5);

impl Consumer {
    /// What a poll does about the group before it returns records.
    pub(super) fn poll_group(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        if !group.work.is_polling() {
            return;
        }
        group.work.polls_again = false;
        if group.closing.is_some() || group.dead {
            return;
        }
        if group.modern.is_some() {
            self.poll_modern(now, effects);
        } else {
            match group.held.take() {
                Some(Held::Joined(response)) => self.take_place(now, *response, effects),
                Some(Held::Share(share)) => self.take_share(now, &share, effects),
                None => {}
            }
            self.look_again(effects);
            self.join_if_needed(now, effects);
        }
        // Jepsen on Bufstream 0.1.0: some clients commit what this very poll returns, which nobody has worked on yet.
        if !self.museum.has(Bug::AutocommitIncludesCurrentPoll) {
            self.auto_commit(now, effects);
        }
        self.ask_committed(now, effects);
        if !self.buffered.is_empty() {
            self.poll(now, effects);
        }
    }

    /// Whether what it joined with, or, as leader, what it assigned by, is not so any more.
    fn look_again(&mut self, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        if !core::mem::take(&mut group.look_again) || group.rejoin || !matches!(group.stage, Stage::Stable) {
            return;
        }
        let topics = self.wanted_topics();
        let Some(group) = &self.group else { return };
        let other_topics = topics.is_some_and(|topics| topics != group.joined_topics);
        let assigned_by = group.assigned_by.as_ref();
        let other_partitions = assigned_by.is_some_and(|(topics, by)| self.partition_counts(topics) != *by);
        if other_topics || other_partitions {
            self.want_rejoin(effects);
        }
    }

    /// The topics it wants to read, in order; `None` while that is not known.
    pub(super) fn wanted_topics(&self) -> Option<Vec<TopicName>> {
        match self.group.as_ref()?.topics.as_ref()? {
            Topics::Named(topics) => {
                let mut topics = topics.clone();
                topics.sort();
                topics.dedup();
                Some(topics)
            }
            Topics::Pattern(_) => self.view.fitting(),
        }
    }

    /// How many partitions these topics have, those that are there.
    fn partition_counts(&self, topics: &[TopicName]) -> BTreeMap<TopicName, u32> {
        let count = |topic: &TopicName| {
            let count = self.view.view(self.view.find(topic)?).partitions().len();
            (count > 0).then(|| (topic.clone(), u32::try_from(count).unwrap_or(u32::MAX)))
        };
        topics.iter().filter_map(count).collect()
    }

    /// It has to join again, and stays a member until it has.
    pub(super) fn want_rejoin(&mut self, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        if !core::mem::replace(&mut group.rejoin, true) && matches!(group.stage, Stage::Stable) {
            group.tell_lost(MembershipEnd::Rebalance, effects);
        }
    }

    /// It is no member any more, and has lost what it owned; whether its id may still be known.
    pub(super) fn reset_generation(&mut self, keeps_id: bool, why: MembershipEnd, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        // Who does not come back says so, also if it had only asked.
        let for_good = matches!(why, MembershipEnd::Left | MembershipEnd::InstanceFenced);
        if group.generation != NO_GENERATION || for_good {
            group.tell_lost(why, effects);
        }
        group.generation = NO_GENERATION;
        if !keeps_id {
            group.member = MemberId::default();
        }
        let had_its_share = matches!(group.held, Some(Held::Share(_)));
        group.start_over();
        group.prepare = Prepare::Needed;
        // KAFKA-9140: the attempt that had succeeded meanwhile counted as still on, and there was no other.
        if had_its_share && self.museum.has(Bug::RejoinNotRetried) {
            group.stage = Stage::Joining;
        }
    }

    fn join_if_needed(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        if let Stage::Leading(_) = group.stage {
            return self.lead(now, effects);
        }
        let joins = group.topics.is_some() && group.rejoin && !group.is_rebalancing() && group.held.is_none();
        if !joins {
            return;
        }
        if group.joins_at > now.monotonic {
            return group.wait(group.joins_at);
        }
        if group.ready(now.monotonic).is_none() || !self.prepare_to_join(now, effects) {
            return;
        }
        if let Some(topics) = self.wanted_topics() {
            self.send_join(now, topics, effects);
        }
    }

    fn send_join(&mut self, now: Now, topics: Vec<TopicName>, effects: &mut Effects) {
        let owned = self.owned_by_name();
        let Some(group) = &mut self.group else { return };
        let Some(coordinator) = group.ready(now.monotonic) else { return };
        let rebalance_timeout = self.config.max_poll_interval_ms;
        let known = self.config.partition_assignment_strategy.0.iter();
        let protocols = known.map(|how| group.protocol(*how, &topics, &owned)).collect();
        group.joined_topics = topics;
        group.attempt += 1;
        group.stage = Stage::Joining;
        let request = Request::JoinGroup(JoinGroupRequest {
            group: group.id.clone(),
            session_timeout: self.config.session_timeout_ms,
            rebalance_timeout,
            member: group.member.clone(),
            instance: group.instance.clone(),
            protocol_type: "consumer".into(),
            protocols,
            client: group.client.clone(),
            id_first: true,
            may_skip_assignment: true,
        });
        let timeout = self.config.request_timeout_ms.max(rebalance_timeout + JOIN_LAPSE);
        let errand = Errand::Join(group.attempt);
        group.net.send_for(now.monotonic, coordinator, request, errand, timeout, effects);
    }

    pub(super) fn joined(
        &mut self,
        now: Now,
        attempt: u64,
        response: JoinGroupResponse,
        effects: &mut Effects,
    ) {
        let Some(group) = &mut self.group else { return };
        if attempt != group.attempt || !matches!(group.stage, Stage::Joining) {
            return;
        }
        if group.work.is_polling() {
            self.take_place(now, response, effects);
        } else {
            group.held = Some(Held::Joined(Box::new(response)));
        }
    }

    /// A JoinGroup was answered.
    fn take_place(&mut self, now: Now, response: JoinGroupResponse, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        let attempt = group.attempt;
        if let Some(error) = response.error {
            if error == ErrorCode::MemberIdRequired {
                group.member = response.member;
                group.generation = NO_GENERATION;
                return group.start_over();
            }
            return self.join_failed(now, attempt, error, effects);
        }
        let agreed = response.protocol.as_deref().and_then(Assignor::parse);
        let consistent = response.protocol_type.as_deref().is_none_or(|it| it == "consumer");
        let Some(agreed) = agreed.filter(|_| consistent) else {
            return self.join_failed(now, attempt, ErrorCode::InconsistentGroupProtocol, effects);
        };
        group.agreed = Some(agreed);
        group.member = response.member.clone();
        group.generation = response.generation;
        group.leads = response.leader == response.member;
        group.join_failures = 0;
        group.heard_at = now.monotonic;
        group.beats_at = now.monotonic + self.config.heartbeat_interval_ms;
        let (group_id, member) = (group.id.clone(), group.member.clone());
        let (generation, leads) = (group.generation, group.leads);
        effects.note(Event::GroupJoined { group: group_id, member, generation, leads });
        if leads {
            group.stage = Stage::Leading(Box::new(response));
            self.lead(now, effects);
        } else {
            self.send_sync(now, Vec::new(), effects);
        }
    }

    /// Says who reads what, once everything is known about the topics that anybody wants.
    fn lead(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &self.group else { return };
        let (Stage::Leading(joined), Some(how)) = (&group.stage, group.agreed) else { return };
        let members: Vec<Member> = joined.members.iter().map(|it| Member::read(it, how)).collect();
        let skips = joined.skip_assignment;
        let mut topics: Vec<TopicName> = members.iter().flat_map(|it| it.topics.iter().cloned()).collect();
        topics.extend(group.joined_topics.iter().cloned());
        topics.sort();
        topics.dedup();
        // New ones are asked about.
        let at: Vec<_> = topics.iter().map(|topic| self.view.topic(topic)).collect();
        if !at.into_iter().all(|topic| self.view.view(topic).is_heard_of()) {
            return;
        }
        let counts = self.partition_counts(&topics);
        // As a static leader that is back it leaves things as they are, and only looks after them (KIP-814).
        let shares = if skips { Vec::new() } else { assignor::assign(how, &members, &counts) };
        if let Some(group) = &mut self.group {
            group.assigned_by = Some((topics, counts));
        }
        self.send_sync(now, encode_all(shares), effects);
    }

    fn send_sync(&mut self, now: Now, assignments: Vec<(MemberId, bytes::Bytes)>, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        group.stage = Stage::Syncing;
        let attempt = group.attempt;
        let Some(coordinator) = group.coordinator else {
            return self.join_failed(now, attempt, ErrorCode::CoordinatorNotAvailable, effects);
        };
        let request = Request::SyncGroup(SyncGroupRequest {
            group: group.id.clone(),
            generation: group.generation,
            member: group.member.clone(),
            instance: group.instance.clone(),
            protocol_type: Some("consumer".into()),
            protocol: group.agreed.map(|it| it.show().into()),
            assignments,
        });
        group.net.send(now.monotonic, coordinator, request, Errand::Sync(attempt), effects);
    }

    pub(super) fn synced(
        &mut self,
        now: Now,
        attempt: u64,
        response: SyncGroupResponse,
        effects: &mut Effects,
    ) {
        let Some(group) = &mut self.group else { return };
        if attempt != group.attempt || !matches!(group.stage, Stage::Syncing) {
            return;
        }
        let other = |said: &Option<Arc<str>>, ours: Option<&str>| {
            said.as_deref().is_some_and(|said| ours.is_some_and(|ours| ours != said))
        };
        let agreed = group.agreed.map(|it| it.show());
        let error = match response.error {
            None if other(&response.protocol_type, Some("consumer")) => {
                Some(ErrorCode::InconsistentGroupProtocol)
            }
            None if other(&response.protocol, agreed.as_deref()) => {
                Some(ErrorCode::InconsistentGroupProtocol)
            }
            error => error,
        };
        match error {
            Some(error) => self.join_failed(now, attempt, error, effects),
            None => {
                group.stage = Stage::Stable;
                group.rejoin = false;
                group.look_again = true;
                group.held = Some(Held::Share(response.assignment));
            }
        }
    }

    /// A JoinGroup or SyncGroup was answered with an error, or not at all: it joins again, at once or later.
    pub(super) fn join_failed(&mut self, now: Now, attempt: u64, error: ErrorCode, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        if attempt != group.attempt || !group.is_rebalancing() {
            return;
        }
        match error {
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => {
                let keeps_id = error == ErrorCode::IllegalGeneration;
                return self.reset_generation(keeps_id, MembershipEnd::Fenced, effects);
            }
            ErrorCode::FencedInstanceId => return self.die(now, effects),
            _ => group.start_over(),
        }
        if error != ErrorCode::RebalanceInProgress {
            // Also what Kafka's consumer tells its application of: that polls again.
            let rest = group.backoff.rest(group.join_failures);
            group.join_failures = group.join_failures.saturating_add(1);
            group.joins_at = now.monotonic + rest;
            group.wait(group.joins_at);
        }
        if Group::is_elsewhere(error) {
            self.forget_coordinator(now, effects);
        }
    }

    /// Another process has its name: it stops for good.
    pub(super) fn die(&mut self, now: Now, effects: &mut Effects) {
        self.reset_generation(false, MembershipEnd::InstanceFenced, effects);
        if let Some(group) = &mut self.group {
            group.dead = true;
        }
        self.give_everything_up(now, true, effects);
        let commits = self.group.as_mut().map(|group| core::mem::take(&mut group.commits));
        for commit in commits.into_iter().flatten() {
            self.commit_failed(now, commit, ErrorCode::FencedInstanceId, effects);
        }
    }
}

impl Group {
    /// What was asked on the way into a generation is for nobody any more: it joins anew.
    pub fn start_over(&mut self) {
        self.stage = Stage::Out;
        self.attempt += 1;
        self.held = None;
        self.rejoin = true;
    }

    pub fn tell_lost(&self, why: MembershipEnd, effects: &mut Effects) {
        let (group, member, generation) = (self.id.clone(), self.member.clone(), self.generation);
        effects.note(Event::MembershipLost { group, member, generation, why });
    }

    /// What it tells the leader under one way to assign.
    fn protocol(&self, how: Assignor, topics: &[TopicName], owned: &[NamedPartition]) -> GroupProtocol {
        let user_data = match how {
            Assignor::Range | Assignor::RoundRobin => None,
            Assignor::Sticky => {
                let (had, generation) = &self.had;
                (*generation != NO_GENERATION).then(|| encode_sticky(had, *generation))
            }
            Assignor::CooperativeSticky => Some(encode_cooperative(self.generation)),
        };
        let subscription = Subscription {
            topics: topics.to_vec(),
            user_data,
            owned: owned.to_vec(),
            generation: self.generation,
            rack: None,
        };
        GroupProtocol { name: how.show().into(), metadata: subscription.encode() }
    }
}
