//! What does a member own, and when does it give it up?
//!
//! Kafka's `ConsumerCoordinator.onJoinPrepare`, `onJoinComplete` and `onLeavePrepare`. An eager member commits and
//! gives everything up before it joins; a cooperative one reads on, gives up what is not its own any more when it
//! is told so, and joins again at once (KIP-429). Who is no member any more has lost what it owned, and commits
//! nothing.

use alloc::vec::Vec;

use super::{
    Consumer,
    group::{Prepare, is_cooperative},
    positions::{PartitionIndex, State},
    protocol::Assignment,
};
use crate::{
    client::{Application, NamedPartition, Topics, pattern::Pattern},
    event::{CommitReason, Event, MembershipEnd},
    flat::FlatSet,
    machine::Effects,
    museum::Bug,
    protocol::groups::NO_GENERATION,
    time::Now,
};

impl Consumer {
    /// The application wants to read as a member of its group. Ignored without `group.id`, which Kafka refuses.
    pub(super) fn subscribe(
        &mut self,
        now: Now,
        topics: Topics,
        application: Application,
        effects: &mut Effects,
    ) {
        let Some(group) = &self.group else { return };
        if group.closing.is_some() || group.dead {
            return;
        }
        if group.topics.is_none() && self.partitions.iter().any(|partition| partition.assigned) {
            self.assign(now, &[], effects);
        }
        let pattern = match &topics {
            Topics::Named(names) => {
                for name in names {
                    self.view.topic(name);
                }
                None
            }
            Topics::Pattern(pattern) => Some(Pattern(pattern.clone())),
        };
        self.view.follow(pattern);
        let Some(group) = &mut self.group else { return };
        group.rejoin |= group.topics.is_none();
        group.look_again = true;
        group.topics = Some(topics);
        group.work.application = application;
        group.auto_commit_at = now.monotonic + self.config.auto_commit_interval_ms;
    }

    /// The application wants to read nothing, and to be no member any more.
    pub(super) fn unsubscribe(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &self.group else { return };
        if group.topics.is_none() {
            return;
        }
        self.leave(now, MembershipEnd::Left, true, effects);
        self.view.follow(None);
        if let Some(group) = &mut self.group {
            group.topics = None;
            group.rejoin = false;
            group.work.application = Application::default();
        }
    }

    /// What it owns, by name.
    pub(super) fn owned_by_name(&self) -> Vec<NamedPartition> {
        let named = |it: &super::Partition| NamedPartition {
            topic: self.view.view(it.topic).name().clone(),
            partition: it.partition,
        };
        self.partitions.iter().filter(|it| it.assigned).map(named).collect()
    }

    /// Gives up, before it joins, what has to be given up; says whether that is done.
    pub(super) fn prepare_to_join(&mut self, now: Now, effects: &mut Effects) -> bool {
        let Some(group) = &self.group else { return false };
        match group.prepare {
            Prepare::Done => return true,
            // It may have to be said again, before more is handed on.
            Prepare::Committing => {
                self.send_commits(now, effects);
                return self.group.as_ref().is_some_and(|group| group.prepare == Prepare::Done);
            }
            Prepare::Needed => {}
        }
        let is_lost = group.generation == NO_GENERATION || group.member.is_empty();
        if !is_lost && self.config.enable_auto_commit && self.commit(now, CommitReason::Revoked) {
            if let Some(group) = &mut self.group {
                group.prepare = Prepare::Committing;
            }
            self.send_commits(now, effects);
            return self.group.as_ref().is_some_and(|group| group.prepare == Prepare::Done);
        }
        self.prepared(now, effects);
        true
    }

    /// What it had to commit before it joins is committed, or cannot be.
    pub(super) fn prepared(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        let is_lost = group.generation == NO_GENERATION || group.member.is_empty();
        group.prepare = Prepare::Done;
        group.leads = false;
        // A mutant: an eager member keeps what it has until it is told its new share.
        let keeps = is_cooperative(&self.config) || self.museum.has(Bug::EagerKeepsItsPartitions);
        // KAFKA-12984: a cooperative member kept what it had owned also when it had been thrown out.
        let clings = self.museum.has(Bug::CooperativeStaleOwnedPartitions);
        if (is_lost && !clings) || !keeps {
            return self.give_everything_up(now, is_lost, effects);
        }
        let Some(topics) = self.wanted_topics() else { return };
        let is_kept = |named: &NamedPartition| topics.contains(&named.topic);
        let owned = self.owned_by_name();
        if !owned.iter().all(is_kept) {
            let kept: Vec<NamedPartition> = owned.into_iter().filter(is_kept).collect();
            self.own(now, &kept, false, effects);
        }
    }

    /// It owns nothing any more; whether that was taken from it before it could commit.
    pub(super) fn give_everything_up(&mut self, now: Now, lost: bool, effects: &mut Effects) {
        if self.partitions.iter().any(|partition| partition.assigned) {
            self.own(now, &[], lost, effects);
        }
    }

    /// A member is told its share.
    pub(super) fn take_share(&mut self, now: Now, share: &[u8], effects: &mut Effects) {
        // A share that makes no sense is none.
        let share = Assignment::decode(share).unwrap_or_default().partitions;
        let Some(group) = &mut self.group else { return };
        group.prepare = Prepare::Needed;
        if !group.leads {
            group.assigned_by = None;
        }
        let wanted = |named: &NamedPartition| match &group.topics {
            Some(Topics::Named(topics)) => topics.contains(&named.topic),
            Some(Topics::Pattern(pattern)) => Pattern(pattern.clone()).fits(named.topic.as_str()),
            None => false,
        };
        if !share.iter().all(wanted) {
            // It has subscribed to other topics since it joined.
            group.rejoin = true;
            return;
        }
        group.owner = (group.member.clone(), group.generation);
        group.had = (share.clone(), group.generation);
        group.auto_commit_at = now.monotonic + self.config.auto_commit_interval_ms;
        if let Some(Topics::Pattern(_)) = group.topics {
            // The leader may know of topics that fit and that we have not heard of.
            for named in &share {
                if !group.joined_topics.contains(&named.topic) {
                    group.joined_topics.push(named.topic.clone());
                    self.view.want_update();
                }
            }
            group.joined_topics.sort();
        }
        let gives_up =
            is_cooperative(&self.config) && self.owned_by_name().iter().any(|owned| !share.contains(owned));
        self.own(now, &share, false, effects);
        if let Some(group) = &mut self.group {
            group.rejoin |= gives_up;
        }
    }

    /// It owns these, and nothing else.
    pub(super) fn own(&mut self, now: Now, wanted: &[NamedPartition], lost: bool, effects: &mut Effects) {
        let mut owned = FlatSet::new();
        for named in wanted {
            owned.insert(self.index_of(named));
        }
        if let Some(group) = &mut self.group {
            group.lost = lost;
        }
        self.reassign(now, &owned, effects);
    }

    /// A member of a KIP-848 group goes on to later epochs with what it has: what it tells of only now, since it has
    /// just heard of the topic, it has in the epoch it is in.
    pub(super) fn owns_by_now(&mut self) {
        if let Some(group) = &mut self.group
            && group.modern.is_some()
            && group.owner.0 == group.member
            && group.generation != NO_GENERATION
        {
            group.owner.1 = group.generation;
        }
    }

    /// Tells of what it owns.
    pub(super) fn tell_owned(
        &mut self,
        partitions: Vec<crate::units::TopicPartition>,
        effects: &mut Effects,
    ) {
        let Some(group) = &mut self.group else { return };
        let (member, generation) = group.owner.clone();
        let lost = core::mem::take(&mut group.lost);
        effects.note(Event::PartitionsOwned {
            group: group.id.clone(),
            member,
            generation,
            partitions,
            lost,
        });
    }

    /// Has to be told how far its group has come in a partition.
    pub(super) fn want_committed(&mut self, at: PartitionIndex) {
        if let Some(group) = &mut self.group {
            self.partitions[at.0].state = State::Committed { asked: None };
            group.uncertain.insert(at);
        }
    }
}
