//! How is a member of a KIP-848 group one, with `group.protocol=consumer`?
//!
//! Kafka's `ConsumerMembershipManager`. The member makes its own id (KIP-1082) and is told by heartbeat (`heartbeats`)
//! its epoch and what it is to own; it gives up and takes over piece by piece, while its application polls
//! (`reconciling`), and says so with the next heartbeat. Who is fenced has lost everything, and joins again under the
//! same id from epoch zero.

mod heartbeats;
mod reconciling;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    vec::Vec,
};
use core::time::Duration;

use super::{
    Consumer,
    group::{Group, Prepare, Stage},
};
use crate::{
    client::NamedPartition,
    event::MembershipEnd,
    machine::Effects,
    node::Setup,
    protocol::{ErrorCode, TopicName, groups::NO_GENERATION},
    rng::Rng,
    time::{Instant, Now},
    units::{MemberId, TopicPartition},
};

/// Where a member stands (Kafka: `MemberState`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is subscribed to nothing, or has left.
    #[default]
    Unsubscribed,
    /// It has asked to be a member, or is about to.
    Joining,
    /// It has been told to own something else than it does.
    Reconciling,
    /// It has done what it was told, and is about to say so.
    Acknowledging,
    /// It owns what it is to own.
    Stable,
    /// It is no member any more, and its application has not been told yet.
    Fenced,
    /// It has left because its application did not poll, which has not been told yet.
    Stale,
}

/// What it is about to own, while it commits where it stands in what it gives up.
#[derive(Clone, Debug)]
pub(super) struct Underway {
    owns: BTreeMap<TopicPartition, NamedPartition>,
    committed: bool,
}

/// A member of a KIP-848 group.
#[derive(Clone, Debug)]
pub(super) struct Modern {
    pub standing: Standing,
    /// Its id for as long as the process lives.
    id: MemberId,
    /// What it is to own, as it was told last.
    target: BTreeSet<TopicPartition>,
    /// What it owns.
    owned: BTreeMap<TopicPartition, NamedPartition>,
    underway: Option<Underway>,
    /// Whether its application has been told what it owns since it joined.
    told: bool,
    /// What the coordinator knows of its subscription, and of what it owns; nothing after a failure.
    sent_topics: Option<Vec<TopicName>>,
    sent_owned: Option<BTreeSet<TopicPartition>>,
    /// Which membership this is: an answer to a former one is too late.
    attempt: u64,
    /// How often it is to be heard of.
    interval: Duration,
    rests_until: Instant,
}

impl Modern {
    /// Not a member yet.
    pub fn of(setup: &Setup) -> Modern {
        let mut ids = Rng::named(setup.seed, &format!("{}/group/member", setup.id));
        Modern {
            standing: Standing::default(),
            id: MemberId(format!("{}-{:016x}", setup.id, ids.next_u64()).into()),
            target: BTreeSet::new(),
            owned: BTreeMap::new(),
            underway: None,
            told: false,
            sent_topics: None,
            sent_owned: None,
            attempt: 0,
            interval: Duration::ZERO,
            rests_until: Instant::ZERO,
        }
    }

    /// Whether the coordinator is to hear of it.
    pub fn takes_part(&self) -> bool {
        !matches!(self.standing, Standing::Unsubscribed | Standing::Fenced | Standing::Stale)
    }

    /// The coordinator may not know what it was told last.
    fn forget_sent(&mut self) {
        self.sent_topics = None;
        self.sent_owned = None;
    }

    /// It is no member any more, whatever is still answered.
    fn end(&mut self, standing: Standing) {
        self.attempt += 1;
        self.standing = standing;
        self.target.clear();
        self.underway = None;
        self.rests_until = Instant::ZERO;
        self.forget_sent();
    }
}

impl Group {
    /// A former membership is over: it is in no epoch.
    fn leave_epoch(&mut self, standing: Standing, why: MembershipEnd, effects: &mut Effects) {
        if self.generation != NO_GENERATION {
            self.tell_lost(why, effects);
        }
        self.generation = NO_GENERATION;
        self.stage = Stage::Out;
        self.beating = false;
        self.beats_at = Instant::ZERO;
        if self.prepare == Prepare::Committing {
            self.prepare = Prepare::Needed;
        }
        if let Some(modern) = &mut self.modern {
            modern.end(standing);
        }
    }
}

impl Consumer {
    /// Whether it speaks KIP-848's protocol.
    pub(super) fn is_modern(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.modern.is_some())
    }

    /// What a poll does about its membership before it returns records.
    pub(super) fn poll_modern(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        group.rejoin = false;
        let Some(modern) = &mut group.modern else { return };
        match modern.standing {
            Standing::Fenced | Standing::Stale => {
                modern.standing = Standing::Unsubscribed;
                self.lose_everything(now, effects);
            }
            Standing::Unsubscribed
            | Standing::Joining
            | Standing::Reconciling
            | Standing::Acknowledging
            | Standing::Stable => {}
        }
        let looks = self.group.as_mut().is_some_and(|group| core::mem::take(&mut group.look_again));
        let topics = if looks { self.wanted_topics() } else { None };
        let Some(group) = &mut self.group else { return };
        let (Some(modern), true) = (&mut group.modern, group.topics.is_some()) else { return };
        if let Some(topics) = topics {
            group.joined_topics = topics;
            group.knows_topics = true;
        }
        if modern.standing == Standing::Unsubscribed && group.knows_topics {
            modern.standing = Standing::Joining;
            modern.told = false;
            group.member = modern.id.clone();
        }
        self.reconcile(now, effects);
    }

    /// What it owned it has lost: nobody asks it to commit any more.
    fn lose_everything(&mut self, now: Now, effects: &mut Effects) {
        self.release_pending();
        if let Some(modern) = self.group.as_mut().and_then(|group| group.modern.as_mut()) {
            modern.owned.clear();
        }
        self.give_everything_up(now, true, effects);
    }

    /// Is no member any more by its own will, and says so: a static one that it will be back (epoch -2).
    pub(super) fn leave_modern(
        &mut self,
        now: Now,
        why: MembershipEnd,
        gives_up: bool,
        effects: &mut Effects,
    ) {
        let Some(group) = &mut self.group else { return };
        let lost = group.generation == NO_GENERATION;
        let asked = group.modern.as_ref().is_some_and(|modern| modern.standing == Standing::Joining);
        if gives_up {
            self.release_pending();
            if let Some(modern) = self.group.as_mut().and_then(|group| group.modern.as_mut()) {
                modern.owned.clear();
            }
            self.give_everything_up(now, lost, effects);
        }
        if !lost || asked {
            self.send_leave(now, effects);
        }
        let Some(group) = &mut self.group else { return };
        group.leave_epoch(if gives_up { Standing::Unsubscribed } else { Standing::Stale }, why, effects);
        if gives_up {
            group.knows_topics = false;
        }
    }

    /// The coordinator does not know it in its epoch: everything is lost, and it joins again when its application
    /// has been told.
    fn fence_modern(&mut self, effects: &mut Effects) {
        if let Some(group) = &mut self.group {
            group.leave_epoch(Standing::Fenced, MembershipEnd::Fenced, effects);
        }
    }

    /// It cannot go on, and stops for good.
    fn die_modern(&mut self, now: Now, why: MembershipEnd, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        group.tell_lost(why, effects);
        group.generation = NO_GENERATION;
        group.leave_epoch(Standing::Unsubscribed, why, effects);
        group.dead = true;
        self.lose_everything(now, effects);
        let commits = self.group.as_mut().map(|group| core::mem::take(&mut group.commits));
        for commit in commits.into_iter().flatten() {
            self.commit_failed(now, commit, ErrorCode::FencedInstanceId, effects);
        }
    }
}
