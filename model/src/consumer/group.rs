//! What does a consumer know of its group, and of its place in it?
//!
//! The state that the files about membership, commits and the application share (Kafka: `AbstractCoordinator`'s and
//! `ConsumerCoordinator`'s fields). What waits for a time says so while it is looked at, in every step anew.

use alloc::{boxed::Box, collections::VecDeque, format, sync::Arc, vec::Vec};

use alloc::collections::BTreeMap;
use bytes::Bytes;

use super::{application::Work, committing::Commit, modern::Modern, positions::PartitionIndex};
use crate::{
    client::{Topics, backoff::Backoff, in_flight::InFlight},
    config::{Assignor, ConsumerConfig, GroupProtocolChoice},
    flat::FlatSet,
    machine::Channel,
    node::Setup,
    protocol::{
        NamedPartition, TopicName,
        groups::{JoinGroupResponse, NO_GENERATION},
    },
    rng::Rng,
    time::{Instant, earliest},
    units::{GroupId, InstanceId, MemberId, NodeId},
};

/// What a request to the coordinator was for.
#[derive(Clone, Debug)]
pub(super) enum Errand {
    /// To join, in which attempt.
    Join(u64),
    /// To be given a share, in which attempt.
    Sync(u64),
    /// To be seen alive, as whom, in which generation.
    Heartbeat(MemberId, i32),
    /// The same in a KIP-848 group, in which membership, sent when.
    Beat(u64, Instant),
    /// To be gone.
    Leave,
    /// To commit.
    Commit(Box<Commit>),
    /// To be told how far the group has come: of what, by which number.
    Committed(Vec<PartitionIndex>, u64),
}

/// How far a consumer has come on its way into a generation (Kafka: `MemberState`).
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// It is in none.
    Out,
    /// It has asked to join (`PREPARING_REBALANCE`).
    Joining,
    /// It is to assign, as soon as it knows all topics of the group (`COMPLETING_REBALANCE`).
    Leading(Box<JoinGroupResponse>),
    /// It has asked for its share (`COMPLETING_REBALANCE`).
    Syncing,
    /// It has one.
    Stable,
}

/// What has to be done before it joins (Kafka: `onJoinPrepare`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prepare {
    /// Everything.
    Needed,
    /// It waits for the last commit before it gives its partitions up.
    Committing,
    /// Nothing any more.
    Done,
}

/// An answer that came while the application did not poll.
#[derive(Clone, Debug)]
pub(super) enum Held {
    /// To a JoinGroup.
    Joined(Box<JoinGroupResponse>),
    /// To a SyncGroup.
    Share(Bytes),
}

/// The search for the coordinator.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    pub asked: bool,
    pub failures: u32,
    pub rests_until: Instant,
}

/// A consumer's group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub id: GroupId,
    pub instance: Option<InstanceId>,
    /// How it is called by others.
    pub client: Arc<str>,
    pub net: InFlight<Errand>,
    pub backoff: Backoff,
    pub coordinator: Option<NodeId>,
    pub search: Search,

    /// Its membership by KIP-848, if that is what it speaks; `generation` is its member epoch then.
    pub modern: Option<Modern>,
    /// What it is subscribed to; nothing if it reads what it is told to.
    pub topics: Option<Topics>,
    pub member: MemberId,
    pub generation: i32,
    pub stage: Stage,
    /// The number of the latest attempt to join: an answer to another is too late.
    pub attempt: u64,
    pub rejoin: bool,
    pub prepare: Prepare,
    pub joins_at: Instant,
    pub join_failures: u32,
    pub held: Option<Held>,
    /// The topics it has said it wants.
    pub joined_topics: Vec<TopicName>,
    /// Whether these are known since it has subscribed (KIP-848).
    pub knows_topics: bool,
    /// The way to assign that was agreed on.
    pub agreed: Option<Assignor>,
    pub leads: bool,
    /// As leader, the topics of the group, and how many partitions they had when it assigned.
    pub assigned_by: Option<(Vec<TopicName>, BTreeMap<TopicName, u32>)>,
    /// Whether metadata or the subscription may have changed what it has to join with.
    pub look_again: bool,
    /// As whom and when it was given what it owns.
    pub owner: (MemberId, i32),
    /// Whether what it owned last was taken from it.
    pub lost: bool,
    /// What it had, for the sticky assignor.
    pub had: (Vec<NamedPartition>, i32),
    /// Another process has its name: it cannot go on.
    pub dead: bool,

    /// Whether a heartbeat is in flight.
    pub beating: bool,
    pub beats_at: Instant,
    pub heard_at: Instant,
    pub beat_failures: u32,

    pub commits: VecDeque<Commit>,
    pub auto_commit_at: Instant,
    /// Partitions whose committed offset is to be asked for.
    pub uncertain: FlatSet<PartitionIndex>,
    pub committed_asked: u64,
    pub committed_failures: u32,
    pub committed_rests: Instant,

    pub work: Work,
    /// When it ends, whatever it still has to do.
    pub closing: Option<Instant>,
    /// When it wants to be woken.
    pub wakes: Option<Instant>,
}

impl Group {
    /// The group that a consumer's configuration names, if it does. It is no member yet.
    pub fn of(setup: &Setup, config: &ConsumerConfig) -> Option<Group> {
        let id = GroupId(config.group_id.0.clone());
        if id.is_empty() {
            return None;
        }
        let stream = |name: &str| Rng::named(setup.seed, &format!("{}/group/{name}", setup.id));
        let retry = Backoff::new(config.retry_backoff_ms, config.retry_backoff_max_ms, stream("retry"));
        let reconnect =
            Backoff::new(config.reconnect_backoff_ms, config.reconnect_backoff_max_ms, stream("reconnect"));
        Some(Group {
            id,
            instance: Some(InstanceId(config.group_instance_id.0.clone())).filter(|it| !it.is_empty()),
            client: match config.client_id.0.is_empty() {
                true => format!("{}", setup.id).into(),
                false => config.client_id.0.clone(),
            },
            net: InFlight::new(Channel::GROUP, config.request_timeout_ms, reconnect, stream("server")),
            backoff: retry,
            coordinator: None,
            search: Search::default(),
            modern: (config.group_protocol == GroupProtocolChoice::Consumer).then(|| Modern::of(setup)),
            topics: None,
            member: MemberId::default(),
            generation: NO_GENERATION,
            stage: Stage::Out,
            attempt: 0,
            rejoin: false,
            prepare: Prepare::Needed,
            joins_at: Instant::ZERO,
            join_failures: 0,
            held: None,
            joined_topics: Vec::new(),
            knows_topics: false,
            agreed: None,
            leads: false,
            assigned_by: None,
            look_again: false,
            owner: (MemberId::default(), NO_GENERATION),
            lost: false,
            had: (Vec::new(), NO_GENERATION),
            dead: false,
            beating: false,
            beats_at: Instant::ZERO,
            heard_at: Instant::ZERO,
            beat_failures: 0,
            commits: VecDeque::new(),
            auto_commit_at: Instant::ZERO,
            uncertain: FlatSet::new(),
            committed_asked: 0,
            committed_failures: 0,
            committed_rests: Instant::ZERO,
            work: Work::default(),
            closing: None,
            wakes: None,
        })
    }

    /// Wants to be woken at `at`, if nothing happens before.
    pub fn wait(&mut self, at: Instant) {
        self.wakes = earliest(self.wakes, Some(at));
    }

    /// Whether it is awaited at its coordinator: then it has to be seen alive.
    pub fn is_member(&self) -> bool {
        matches!(self.stage, Stage::Leading(_) | Stage::Syncing | Stage::Stable)
    }

    /// Whether it is between two generations.
    pub fn is_rebalancing(&self) -> bool {
        matches!(self.stage, Stage::Joining | Stage::Leading(_) | Stage::Syncing)
    }

    /// Whether it is in the generation that it was in when it asked.
    pub fn is_as_before(&self, member: &MemberId, generation: i32) -> bool {
        self.member == *member && self.generation == generation
    }

    /// The coordinator, if it may be asked now; waits for it to have rested otherwise.
    pub fn ready(&mut self, now: Instant) -> Option<NodeId> {
        let coordinator = self.coordinator?;
        match self.net.rests_until(now, coordinator) {
            Some(until) => {
                self.wait(until);
                None
            }
            None => Some(coordinator),
        }
    }
}

/// Whether members go on reading what they keep while they join: only if every way to assign that they know allows
/// it (Kafka: the highest protocol that all assignors support, KIP-429).
pub(super) fn is_cooperative(config: &ConsumerConfig) -> bool {
    let known = &config.partition_assignment_strategy.0;
    !known.is_empty() && known.iter().all(|it| *it == Assignor::CooperativeSticky)
}
