//! What is the cluster like, judging by what its nodes have said so far?
//!
//! Checks read it; only the judge writes it, once for every event. It knows no promise and finds nothing
//! wrong: where two nodes contradict each other it keeps what is needed for a check to notice.

pub mod groups;
mod log;
mod partition;
mod quorum;

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use trial_model::{
    event::{BrokerState, Event, PartitionState},
    group::OFFSETS_TOPIC,
    machine::Halt,
    time::Instant,
    units::{BrokerEpoch, Incarnation, LeaderEpoch, NodeId, NodeRole, Offset, TopicId, TopicPartition},
};

pub use self::groups::Groups;
use self::partition::End;
pub use self::{
    log::{Compared, Entry, Replica, Trunk},
    partition::{Elected, Leadership, Loss, Lossy, Moved, Partition},
    quorum::{Quorum, Voter},
};
use crate::{
    check::{JudgeSetup, TopicRules},
    world_event::{Phase, Stop, WorldEvent},
};

/// A quick hash for small keys. The maps that use it are never iterated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }
    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

/// A map for looking up, never for walking through.
pub type Lookup<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// Something of every partition that a node knows, for looking up.
///
/// Those of one topic lie side by side: a client hears of thousands at a time.
#[derive(Clone, Debug)]
pub struct Known<V> {
    topics: Vec<Vec<Option<V>>>,
    places: Lookup<(NodeId, TopicId), u32>,
    /// Which was changed last: most likely it is the next, too.
    last: ((NodeId, TopicId), u32),
}

impl<V> Default for Known<V> {
    fn default() -> Known<V> {
        Known { topics: Vec::new(), places: Lookup::default(), last: Default::default() }
    }
}

impl<V> Known<V> {
    /// What there is for a node and a partition.
    pub fn get(&self, node: NodeId, of: TopicPartition) -> Option<&V> {
        let place = *self.places.get(&(node, of.topic))?;
        self.topics[place as usize].get(of.partition as usize)?.as_ref()
    }

    /// Where it stands, to be changed.
    pub fn entry(&mut self, node: NodeId, of: TopicPartition) -> &mut Option<V> {
        let key = (node, of.topic);
        if self.last.0 != key || self.topics.is_empty() {
            self.last = (key, self.place(key));
        }
        let topic = &mut self.topics[self.last.1 as usize];
        let at = of.partition as usize;
        if topic.len() <= at {
            topic.resize_with((at + 1).next_power_of_two(), || None);
        }
        &mut topic[at]
    }

    fn place(&mut self, key: (NodeId, TopicId)) -> u32 {
        *self.places.entry(key).or_insert_with(|| {
            self.topics.push(Vec::new());
            self.topics.len() as u32 - 1
        })
    }
}

/// One broker, controller or client process.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Whether it runs.
    pub alive: bool,
    /// Whether it stands still.
    pub paused: bool,
    /// Since when it has been as it is: started, stopped, paused or resumed.
    pub since: Instant,
    /// How its last life ended.
    pub ended: Option<Stop>,
    /// How many lives it has had.
    pub lives: u32,
    /// Up to where it has applied the metadata.
    pub applied: Offset,
}

impl Process {
    /// Whether it runs and moves.
    pub fn well(&self) -> bool {
        self.alive && !self.paused
    }
}

/// How many registrations of a broker are remembered.
const LIVES: usize = 16;

/// A broker, as itself and the controller say.
#[derive(Clone, Debug, Default)]
pub struct Broker {
    /// Its process.
    pub process: Process,
    /// How far its life has come.
    pub state: Option<BrokerState>,
    /// The epoch it was told in this life.
    pub epoch: Option<BrokerEpoch>,
    /// Its newest registration, by the controller's word.
    pub registered: Option<BrokerEpoch>,
    /// The newest registrations, and whose lives they are.
    lives: Vec<(BrokerEpoch, Incarnation)>,
    /// Whether it is fenced, by the controller's word.
    pub fenced: bool,
    /// Whether it is in controlled shutdown, by the controller's word.
    pub leaving: bool,
}

impl Broker {
    /// Whether it serves in the life that the controller knows of: it may lead and count as in sync.
    pub fn serves(&self) -> bool {
        self.process.alive && self.epoch.is_some() && self.epoch == self.registered && !self.fenced
    }

    /// Whether the registration of an earlier process came so late that it took the id from the present one, whose
    /// session was over: that one's heartbeats are stale from then on, and it does not ask again, as Kafka's does not
    /// (`BrokerLifecycleManager`).
    pub fn is_shut_out(&self) -> bool {
        let life = |epoch: Option<BrokerEpoch>| {
            self.lives.iter().find(|(known, _)| Some(*known) == epoch).map(|(_, incarnation)| *incarnation)
        };
        match (life(self.epoch), life(self.registered)) {
            (Some(mine), Some(other)) => self.epoch < self.registered && mine != other,
            _ => false,
        }
    }
}

/// The whole cluster.
pub struct Cluster {
    setup: JudgeSetup,
    brokers: Vec<Broker>,
    clients: Vec<Process>,
    /// The data partitions, in the order in which they were first heard of.
    pub partitions: Vec<Partition>,
    index: Lookup<TopicPartition, u32>,
    names: Vec<(TopicId, String, bool)>,
    /// The controllers and their log.
    pub quorum: Quorum,
    /// The consumer groups.
    pub groups: Groups,
    /// The offset of the newest metadata record that a controller has told of, and who told of it.
    pub truth: (Offset, NodeId),
    /// When that was.
    pub truth_at: Instant,
    /// The phase and since when.
    pub phase: (Phase, Instant),
    /// When somebody last died, started, stood still, went on, or a fault began or ended.
    pub disturbed: Instant,
    /// The faults that are going on.
    pub faults: Vec<String>,
}

impl Cluster {
    /// A cluster in which nobody runs yet.
    pub fn new(setup: &JudgeSetup) -> Cluster {
        let most = |nodes: &mut dyn Iterator<Item = NodeId>| {
            nodes.map(|node| node.nth() as usize).max().unwrap_or(0)
        };
        Cluster {
            brokers: vec![Broker::default(); most(&mut setup.brokers.iter().copied())],
            clients: vec![Process::default(); most(&mut setup.clients.iter().map(|client| client.node))],
            partitions: Vec::new(),
            index: Lookup::default(),
            names: Vec::new(),
            quorum: Quorum::new(&setup.controllers),
            groups: Groups::default(),
            truth: (Offset::ZERO, NodeId(0)),
            truth_at: Instant::ZERO,
            phase: (Phase::Chaos, Instant::ZERO),
            disturbed: Instant::ZERO,
            faults: Vec::new(),
            setup: setup.clone(),
        }
    }

    /// The brokers by id.
    pub fn brokers(&self) -> impl Iterator<Item = (NodeId, &Broker)> {
        self.setup.brokers.iter().filter_map(|id| Some((*id, self.broker(*id)?)))
    }

    /// One broker.
    pub fn broker(&self, node: NodeId) -> Option<&Broker> {
        if node.role() != NodeRole::Broker {
            return None;
        }
        self.brokers.get((node.nth() as usize).checked_sub(1)?)
    }

    fn broker_mut(&mut self, node: NodeId) -> Option<&mut Broker> {
        if node.role() != NodeRole::Broker {
            return None;
        }
        let at = (node.nth() as usize).checked_sub(1)?;
        if at >= self.brokers.len() && at < 10_000 {
            self.brokers.resize(at + 1, Broker::default());
        }
        self.brokers.get_mut(at)
    }

    /// One process of whatever role.
    pub fn process(&self, node: NodeId) -> Option<&Process> {
        match node.role() {
            NodeRole::Broker => self.broker(node).map(|broker| &broker.process),
            NodeRole::Controller => self.quorum.voter(node).map(|voter| &voter.process),
            NodeRole::Client => self.clients.get((node.nth() as usize).checked_sub(1)?),
        }
    }

    fn process_mut(&mut self, node: NodeId) -> Option<&mut Process> {
        match node.role() {
            NodeRole::Broker => self.broker_mut(node).map(|broker| &mut broker.process),
            NodeRole::Controller => self.quorum.voter_mut(node).map(|voter| &mut voter.process),
            NodeRole::Client => {
                let at = (node.nth() as usize).checked_sub(1)?;
                if at >= self.clients.len() && at < 100_000 {
                    self.clients.resize(at + 1, Process::default());
                }
                self.clients.get_mut(at)
            }
        }
    }

    /// Whether a process runs.
    pub fn alive(&self, node: NodeId) -> bool {
        self.process(node).is_some_and(|process| process.alive)
    }

    /// Whether a broker serves in the life that the controller knows of.
    pub fn serves(&self, node: NodeId) -> bool {
        self.broker(node).is_some_and(Broker::serves)
    }

    /// One partition, the metadata log included, if it was heard of.
    pub fn partition(&self, id: TopicPartition) -> Option<&Partition> {
        if id.is_metadata() {
            return Some(&self.quorum.log);
        }
        self.index.get(&id).and_then(|at| self.partitions.get(*at as usize))
    }

    /// Where a data partition stands in `partitions`.
    pub fn place(&self, id: TopicPartition) -> Option<usize> {
        self.index.get(&id).map(|at| *at as usize)
    }

    fn partition_mut(&mut self, id: TopicPartition) -> &mut Partition {
        if id.is_metadata() {
            return &mut self.quorum.log;
        }
        let at = match self.index.get(&id) {
            Some(at) => *at as usize,
            None => {
                let rules = self.rules_of(id.topic);
                let at = self.partitions.len();
                let mut partition = Partition::new(id, rules);
                partition.deleted = self.names.iter().any(|(topic, _, gone)| *topic == id.topic && *gone);
                self.partitions.push(partition);
                self.index.insert(id, at as u32);
                at
            }
        };
        &mut self.partitions[at]
    }

    fn rules_of(&self, topic: TopicId) -> TopicRules {
        let name = self.names.iter().find(|(id, ..)| *id == topic).map(|(_, name, _)| name.as_str());
        name.map_or(&self.setup.topic_defaults, |name| self.setup.rules(name)).clone()
    }

    /// Whether a topic is gone, or another had its name before: who knows it by name alone may mean either.
    pub fn is_ambiguous(&self, topic: TopicId) -> bool {
        let name = self.topic_name(topic);
        let namesakes = self.names.iter().filter(|(_, known, _)| Some(known.as_str()) == name).count();
        self.is_deleted(topic) || self.is_gone(topic) || namesakes > 1
    }

    /// Whether brokers keep a topic for themselves: no client may write to it.
    pub fn is_internal(&self, topic: TopicId) -> bool {
        self.topic_name(topic) == Some(OFFSETS_TOPIC)
    }

    /// What a topic is called.
    pub fn topic_name(&self, topic: TopicId) -> Option<&str> {
        self.names.iter().find(|(id, ..)| *id == topic).map(|(_, name, _)| name.as_str())
    }

    /// What people call a partition: by its topic's name, or by its number until that is heard.
    pub fn called(&self, partition: TopicPartition) -> String {
        match self.topic_name(partition.topic) {
            Some(topic) => format!("{topic}-{}", partition.partition),
            None => partition.to_string(),
        }
    }

    /// Whether a topic was deleted.
    pub fn is_deleted(&self, topic: TopicId) -> bool {
        self.names.iter().any(|(id, _, gone)| *id == topic && *gone)
    }

    /// Whether a topic was deleted, and none has its name now: who sends there can only wait.
    pub fn is_gone(&self, topic: TopicId) -> bool {
        let name = self.names.iter().find(|(id, ..)| *id == topic).map(|(_, name, _)| name);
        name.is_some_and(|name| self.names.iter().all(|(_, other, gone)| other != name || *gone))
    }

    /// Whether what `node` says of a committed metadata record at `at` is news.
    pub fn is_news(&self, node: NodeId, at: Offset) -> bool {
        node.role() == NodeRole::Controller
            && (at > self.truth.0
                || (self.truth.1 == node && at == self.truth.0)
                || self.truth.1 == NodeId(0))
    }

    fn news(&mut self, now: Instant, node: NodeId, at: Offset) -> bool {
        let news = self.is_news(node, at);
        if news {
            self.truth = (at, node);
            self.truth_at = now;
        }
        news
    }

    /// Takes what a node said.
    pub fn apply(&mut self, now: Instant, node: NodeId, event: &Event) {
        match event {
            Event::Truncated { partition, from, to, .. } => {
                let partition = self.partition_mut(*partition);
                partition.log_event(node, event);
                if to > from {
                    partition.forgetful_since.get_or_insert(now);
                }
            }
            Event::Appended { partition, .. }
            | Event::Written { partition, .. }
            | Event::Flushed { partition, .. }
            | Event::Recovered { partition, .. }
            | Event::HighWatermarkAdopted { partition, .. }
            | Event::HighWatermarkRestored { partition, .. }
            | Event::ReplicaStopped { partition, .. } => {
                self.partition_mut(*partition).log_event(node, event)
            }
            Event::LogStartMoved { partition, to, why, .. } => {
                use trial_model::event::LogStartReason::{DeleteRecords, Retention};
                let partition = self.partition_mut(*partition);
                partition.log_event(node, event);
                if matches!(why, Retention | DeleteRecords) {
                    partition.trunk.start = partition.trunk.start.max(*to);
                }
            }
            Event::LogCleaning { partition, to, .. } => {
                let trunk = &mut self.partition_mut(*partition).trunk;
                trunk.cleaned = trunk.cleaned.max(*to);
            }
            Event::HighWatermarkAdvanced { partition, epoch, from, to, isr, .. } => {
                let partition = self.partition_mut(*partition);
                partition.log_event(node, event);
                partition.announce(Moved {
                    at: now,
                    node,
                    epoch: *epoch,
                    from: *from,
                    to: *to,
                    counted: isr.clone(),
                });
            }
            Event::LeaderStarted { partition, epoch, log_end, high_watermark, .. } => {
                let by = Leadership { at: now, node, epoch: *epoch, log_end: *log_end };
                let partition = self.partition_mut(*partition);
                partition.begins(node, *log_end);
                partition.led(by, *high_watermark);
            }
            Event::FollowerStarted { partition, epoch, log_end, .. } => {
                let partition = self.partition_mut(*partition);
                partition.begins(node, *log_end);
                partition.follows(node, *epoch);
            }
            Event::LeaderElected { partition, state, unclean, at, .. } => {
                self.state(now, node, *at, *partition, state, *unclean);
            }
            Event::IsrShrunk { partition, state, at, .. }
            | Event::IsrExpanded { partition, state, at, .. }
            | Event::PartitionChanged { partition, state, at, .. } => {
                self.state(now, node, *at, *partition, state, false);
            }
            Event::TopicCreated { topic, name, at, .. }
                if self.news(now, node, *at) && !self.names.iter().any(|(id, ..)| id == topic) =>
            {
                self.names.push((*topic, name.to_string(), false));
                let rules = self.rules_of(*topic);
                for partition in self.partitions.iter_mut().filter(|partition| partition.id.topic == *topic) {
                    partition.rules = rules.clone();
                }
            }
            Event::TopicDeleted { topic, at, .. } if self.news(now, node, *at) => {
                self.names.iter_mut().filter(|(id, ..)| id == topic).for_each(|(.., gone)| *gone = true);
                for partition in self.partitions.iter_mut().filter(|partition| partition.id.topic == *topic) {
                    partition.deleted = true;
                }
            }
            Event::BrokerRegistered { .. }
            | Event::BrokerFenced { .. }
            | Event::BrokerUnfenced { .. }
            | Event::BrokerLeaving { .. } => self.registration(now, node, event),
            Event::ProducerIdsAllocated { at, .. } => {
                self.news(now, node, *at);
            }
            Event::BrokerStateChanged { state } => {
                if let Some(broker) = self.broker_mut(node) {
                    broker.state = Some(*state);
                }
                // It registers while it still reads its logs back.
                if matches!(state, BrokerState::Recovery | BrokerState::Starting) {
                    self.partitions.iter_mut().for_each(|partition| partition.registers(node));
                }
            }
            Event::BrokerEpochReceived { epoch } => {
                if let Some(broker) = self.broker_mut(node) {
                    broker.epoch = Some(*epoch);
                }
            }
            Event::MetadataApplied { end, .. } => {
                if let Some(process) = self.process_mut(node) {
                    process.applied = *end;
                }
            }
            Event::ControllerActivated { .. }
            | Event::ControllerResigned { .. }
            | Event::QuorumRoleChanged { .. }
            | Event::QuorumLeaderElected { .. }
            | Event::QuorumHighWatermarkAdvanced { .. }
            | Event::SnapshotWritten { .. }
            | Event::SnapshotLoaded { .. } => self.quorum.apply(now, node, event),
            Event::CoordinatorLoaded { .. }
            | Event::CoordinatorUnloaded { .. }
            | Event::GroupStateChanged { .. }
            | Event::MemberReconciled { .. }
            | Event::MemberAdded { .. }
            | Event::OffsetAccepted { .. }
            | Event::OffsetForgotten { .. }
            | Event::GroupJoined { .. }
            | Event::MembershipLost { .. }
            | Event::PartitionsOwned { .. }
            | Event::Processed { .. }
            | Event::PositionMoved { .. }
            | Event::Delivered { .. }
            | Event::CommitSent { .. }
            | Event::CommitFailed { .. }
            | Event::CommitAcked { .. }
            | Event::MetadataLearned { .. }
            | Event::CommittedAsked { .. }
            | Event::CommittedTold { .. } => self.groups.apply(now, node, event),
            _ => {}
        }
    }

    fn state(
        &mut self,
        now: Instant,
        node: NodeId,
        at: Offset,
        id: TopicPartition,
        state: &PartitionState,
        unclean: bool,
    ) {
        if self.news(now, node, at) {
            let serving = state.isr.iter().filter(|node| self.serves(*node)).collect();
            self.partition_mut(id).told(now, state, unclean, &serving);
        }
    }

    fn registration(&mut self, now: Instant, node: NodeId, event: &Event) {
        let (id, at) = match event {
            Event::BrokerRegistered { broker, at, .. }
            | Event::BrokerFenced { broker, at, .. }
            | Event::BrokerUnfenced { broker, at, .. }
            | Event::BrokerLeaving { broker, at, .. } => (*broker, *at),
            _ => return,
        };
        if !self.news(now, node, at) {
            return;
        }
        let Some(broker) = self.broker_mut(id) else { return };
        match event {
            Event::BrokerRegistered { epoch, incarnation, .. } => {
                if broker.lives.len() == LIVES {
                    broker.lives.remove(0);
                }
                broker.lives.push((*epoch, *incarnation));
                (broker.registered, broker.fenced, broker.leaving) = (Some(*epoch), true, false);
            }
            Event::BrokerFenced { .. } => broker.fenced = true,
            Event::BrokerUnfenced { .. } => (broker.fenced, broker.leaving) = (false, false),
            Event::BrokerLeaving { .. } => broker.leaving = true,
            _ => {}
        }
    }

    /// Takes what the world did.
    pub fn world(&mut self, now: Instant, event: &WorldEvent) {
        match event {
            WorldEvent::PhaseBegan(phase) => self.phase = (*phase, now),
            WorldEvent::DiskDamaged { .. } => {}
            _ => self.disturbed = now,
        }
        match event {
            WorldEvent::NodeStarted { node } => {
                if let Some(process) = self.process_mut(*node) {
                    let lives = process.lives + 1;
                    *process = Process {
                        alive: true,
                        since: now,
                        lives,
                        ended: process.ended,
                        ..Process::default()
                    };
                }
                if let Some(broker) = self.broker_mut(*node) {
                    (broker.state, broker.epoch) = (None, None);
                }
            }
            WorldEvent::NodeStopped { node, how, lost_disk } => self.stopped(now, *node, *how, *lost_disk),
            WorldEvent::Paused { node } | WorldEvent::Resumed { node } => {
                let paused = matches!(event, WorldEvent::Paused { .. });
                if let Some(process) = self.process_mut(*node) {
                    (process.paused, process.since) = (paused, now);
                }
            }
            WorldEvent::FaultBegan { id, .. } => self.faults.push(id.clone()),
            WorldEvent::FaultEnded { id } => self.faults.retain(|fault| fault != id),
            WorldEvent::DiskDamaged { node, .. } => {
                let logs = self.partitions.iter_mut().chain([&mut self.quorum.log]);
                logs.filter(|log| log.replica(*node).is_some()).for_each(|log| log.deceived(*node));
            }
            WorldEvent::PhaseBegan(_) => {}
        }
    }

    fn stopped(&mut self, now: Instant, node: NodeId, how: Stop, lost_disk: bool) {
        if let Some(process) = self.process_mut(node) {
            (process.alive, process.paused, process.since, process.ended) = (false, false, now, Some(how));
        }
        if let Some(broker) = self.broker_mut(node) {
            (broker.state, broker.epoch) = (None, None);
        }
        let (unclean, lost_power) = (how != Stop::Halted(Halt::Shutdown), how == Stop::PowerLoss);
        let end = End { unclean, lost_power, lost_disk };
        for partition in &mut self.partitions {
            partition.stopped(node, end);
        }
        self.quorum.stopped(node, end);
        self.groups.stopped(now, node);
    }
}

/// Which quorum epoch a metadata leader leads in; a partition's epoch and a quorum's are one type.
pub type QuorumEpoch = LeaderEpoch;
