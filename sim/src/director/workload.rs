//! What are clients told to do, and when?
//!
//! Every client has a stream of chance of its own, `workload/p1`, and is told things one at a time; a client
//! whose process is down misses what it is told. Values name their record, `p1/000042`, and are filled up
//! with dots.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    io::Write as _,
    time::Duration,
};

use bytes::Bytes;
use trial_model::{
    client::{Application, Command, Commits, NamedPartition, NewRecord, Topics},
    config::{BrokerConfig, TopicConfig},
    event::RecordTag,
    group::OFFSETS_TOPIC,
    protocol::{
        TopicName,
        list_offsets::OffsetSpec,
        topics::{ElectionKind, NewTopic},
    },
    rng::Rng,
    time::{Instant, Timestamp},
    units::{NodeId, Offset, TopicPartition},
};

use super::view::View;
use crate::{
    clock::EPOCH,
    names::RunNames,
    scenario::{
        Scenario,
        file::{self, AdminAction, Client, CommitPolicy, ConsumerAction, Keys, Start, apply},
        values::{Chance, PartitionName},
    },
};

/// What a client is told next.
pub struct Told {
    pub node: NodeId,
    pub nth: u64,
    pub command: Command,
}

/// The clients' applications.
pub struct Workload {
    actors: Vec<Actor>,
    agenda: BinaryHeap<Reverse<(Instant, usize)>>,
    chaos_ends: Instant,
}

struct Actor {
    node: NodeId,
    name: String,
    told: u64,
    part: Part,
}

enum Part {
    Producer(Box<Producer>),
    Consumer(Consumer),
    Admin(Admin),
    Setup(Setup),
    Auditor { assigned: bool },
    Prober { pending: VecDeque<NamedPartition>, first: Vec<String>, compacted: Vec<String> },
}

struct Producer {
    topic: TopicName,
    partition: Option<u32>,
    keys: Option<KeyDraw>,
    tombstones: Option<Chance>,
    size: usize,
    headers: Vec<(String, Bytes)>,
    interval: Duration,
    records: u64,
    until: Instant,
    next: Instant,
    sent: u64,
    rng: Rng,
}

/// How keys are drawn.
struct KeyDraw {
    keys: Keys,
    /// For Zipf: the running sum of the weights.
    weights: Vec<u64>,
}

struct Consumer {
    /// As a member of a group.
    member: Option<(Topics, Application)>,
    topic: Option<(TopicName, u32)>,
    partitions: Vec<NamedPartition>,
    from: Start,
    steps: VecDeque<(Instant, ConsumerAction)>,
    queue: VecDeque<(Instant, Command)>,
}

struct Admin {
    steps: VecDeque<(Instant, AdminAction)>,
    every: Option<Duration>,
    ops: Vec<AdminAction>,
    next: Instant,
    rng: Rng,
}

/// Creates the scenario's topics, and goes on asking until they are there.
struct Setup {
    topics: Vec<NewTopic>,
    next: Instant,
}

/// How long the topics of a scenario may take before they are asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// The clients that every run has besides those of its scenario.
#[derive(Clone, Copy, Debug)]
pub struct Staff {
    /// Creates the topics.
    pub setup: NodeId,
    /// Reads every partition from its start, once everything is healed.
    pub auditor: NodeId,
    /// Writes to every partition, once everything is healed.
    pub prober: NodeId,
}

impl Staff {
    /// Who they are in every run: far from the scenario's clients, so that one client more does not make them
    /// somebody else.
    pub const HIRED: Staff =
        Staff { setup: NodeId::client(9_001), auditor: NodeId::client(9_002), prober: NodeId::client(9_003) };

    /// Whether a node is one of them.
    pub fn employs(node: NodeId) -> bool {
        let Staff { setup, auditor, prober } = Staff::HIRED;
        [setup, auditor, prober].contains(&node)
    }
}

impl Workload {
    pub fn new(scenario: &Scenario, clients: &[Client], staff: Staff, seed: u64) -> Workload {
        let stay: Vec<String> = scenario.topology.topics.iter().map(|topic| topic.name.clone()).collect();
        let chaos_ends = Instant::ZERO + scenario.phases.chaos.0;
        let mut workload = Workload { actors: Vec::new(), agenda: BinaryHeap::new(), chaos_ends };
        for client in clients {
            let rng = Rng::named(seed, &format!("workload/{}", client.name));
            let (part, first) = match &scenario.workload[client.actor] {
                file::Actor::Producer(it) => {
                    let producer = Producer::new(it, chaos_ends, rng);
                    let first = producer.next;
                    (Part::Producer(Box::new(producer)), Some(first))
                }
                file::Actor::Consumer(it) => (Part::Consumer(Consumer::new(it, scenario)), None),
                file::Actor::Admin(it) => {
                    let admin = Admin::new(it, rng);
                    let first = admin.due(chaos_ends);
                    (Part::Admin(admin), first)
                }
            };
            workload.add(client.id, &client.name, part, first);
        }
        let topics: Vec<NewTopic> = scenario.topology.topics.iter().map(new_topic).collect();
        let first = (!topics.is_empty()).then_some(Instant::ZERO + Duration::from_millis(1));
        let setup = Setup { topics, next: first.unwrap_or(Instant::FOREVER) };
        workload.add(staff.setup, "setup", Part::Setup(setup), first);
        workload.add(staff.auditor, "auditor", Part::Auditor { assigned: false }, None);
        workload.add(
            staff.prober,
            "prober",
            Part::Prober { pending: VecDeque::new(), first: stay, compacted: compacted(scenario) },
            None,
        );
        workload
    }

    fn add(&mut self, node: NodeId, name: &str, part: Part, first: Option<Instant>) {
        let at = self.actors.len();
        self.actors.push(Actor { node, name: name.into(), told: 0, part });
        if let Some(first) = first {
            self.agenda.push(Reverse((first, at)));
        }
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.agenda.peek().map(|Reverse((due, _))| *due)
    }

    /// The next thing that somebody is told at or before `now`.
    pub fn next_told(&mut self, now: Instant, view: &View, names: &RunNames) -> Option<Told> {
        while let Some(Reverse((due, at))) = self.agenda.peek().copied()
            && due <= now
        {
            self.agenda.pop();
            let chaos_ends = self.chaos_ends;
            let actor = &mut self.actors[at];
            let (command, next) = actor.part.act(&actor.name, now, chaos_ends, view, names);
            if let Some(next) = next {
                self.agenda.push(Reverse((next.max(due), at)));
            }
            if let Some(command) = command {
                actor.told += 1;
                return Some(Told { node: actor.node, nth: actor.told, command });
            }
        }
        None
    }

    /// Whether every topic of the scenario was created.
    pub fn has_its_topics(&self, names: &RunNames) -> bool {
        self.actors.iter().all(|actor| match &actor.part {
            Part::Setup(setup) => {
                setup.topics.iter().all(|topic| names.topic_named(topic.name.as_str()).is_some())
            }
            _ => true,
        })
    }

    /// A client's process begins: it is told what to read.
    pub fn started(&mut self, node: NodeId, now: Instant) {
        let Some(at) = self.actors.iter().position(|actor| actor.node == node) else { return };
        let soon = now + Duration::from_micros(1);
        match &mut self.actors[at].part {
            Part::Consumer(consumer) => {
                consumer.begin(soon);
                if let Some(due) = consumer.due() {
                    self.agenda.push(Reverse((due, at)));
                }
            }
            Part::Auditor { .. } | Part::Prober { .. } => self.agenda.push(Reverse((soon, at))),
            _ => {}
        }
    }

    /// Everybody who sends is told to send once more: the clients that lived through the faults must still
    /// work.
    pub fn ask_for_signs_of_life(&mut self, now: Instant) {
        for at in 0..self.actors.len() {
            if let Part::Producer(producer) = &mut self.actors[at].part {
                producer.records = producer.sent + 1;
                producer.until = Instant::FOREVER;
                producer.next = now;
                self.agenda.push(Reverse((now, at)));
            }
        }
    }
}

impl Part {
    fn act(
        &mut self,
        name: &str,
        now: Instant,
        chaos_ends: Instant,
        view: &View,
        names: &RunNames,
    ) -> (Option<Command>, Option<Instant>) {
        match self {
            Part::Producer(producer) => producer.act(name, now),
            Part::Consumer(consumer) => consumer.act(now),
            Part::Admin(admin) => admin.act(now, chaos_ends),
            Part::Setup(setup) => setup.act(now, names),
            Part::Auditor { assigned } => {
                if std::mem::replace(assigned, true) {
                    return (None, None);
                }
                (Some(Command::Assign(every_partition(view, names))), None)
            }
            Part::Prober { pending, first, compacted } => {
                if pending.is_empty() {
                    // A topic that somebody makes for a while may be gone when it is written to, and a send waits
                    // for that: those that are there to stay go first.
                    let mut all = every_partition(view, names);
                    all.sort_by_key(|partition| !first.iter().any(|name| partition.topic.as_str() == name));
                    pending.extend(all);
                }
                let Some(partition) = pending.pop_front() else { return (None, None) };
                let number = pending.len() as u64;
                let next = (!pending.is_empty()).then_some(now);
                let has_keys = compacted.iter().any(|topic| partition.topic.as_str() == topic);
                let mut record = record(name, number, partition.topic, Some(partition.partition), 32);
                record.key = record.value.clone().filter(|_| has_keys);
                (Some(Command::Send(record)), next)
            }
        }
    }
}

/// The topics that take records with keys only.
fn compacted(scenario: &Scenario) -> Vec<String> {
    let mut broker = BrokerConfig::default();
    apply(&scenario.topology.broker_config, None, |key, value| broker.set(key, value).is_ok());
    let is_compacted = |topic: &&file::Topic| {
        let mut config = TopicConfig::of_broker(&broker);
        apply(&topic.config, None, |key, value| config.set(key, value).is_ok());
        config.cleanup_policy.compacts()
    };
    let topics = scenario.topology.topics.iter().chain(scenario.created_topics());
    topics.filter(is_compacted).map(|topic| topic.name.clone()).collect()
}

fn every_partition(view: &View, names: &RunNames) -> Vec<NamedPartition> {
    let known = view.partitions().filter_map(|(partition, _)| named(partition, names));
    // What brokers write for themselves is nobody's to write to, and holds no records of the workload.
    known.filter(|partition| partition.topic.as_str() != OFFSETS_TOPIC).collect()
}

fn named(partition: TopicPartition, names: &RunNames) -> Option<NamedPartition> {
    Some(NamedPartition { topic: names.topic(partition.topic)?, partition: partition.partition })
}

/// The record `number` of `name`: its value says so.
fn record(name: &str, number: u64, topic: TopicName, partition: Option<u32>, size: usize) -> NewRecord {
    NewRecord {
        tag: RecordTag(number),
        topic,
        partition,
        key: None,
        value: Some(named_by(name, number, size).into()),
        headers: Vec::new(),
        timestamp: None,
    }
}

/// What names the record `number` of `name`, as many bytes long as it says at least.
fn named_by(name: &str, number: u64, size: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(size.max(name.len() + 24));
    // A vector can always be written to.
    let _ = write!(value, "{name}/{number:06}");
    value.resize(size.max(value.len()), b'.');
    value
}

impl Producer {
    fn new(it: &file::Producer, chaos_ends: Instant, mut rng: Rng) -> Producer {
        let interval = it.rate.interval();
        // Producers of one rate do not all send at the same instant.
        let phase = Duration::from_micros(rng.below(interval.as_micros() as u64));
        Producer {
            topic: it.topic.as_str().into(),
            partition: it.partition,
            keys: it.keys.map(KeyDraw::new),
            tombstones: it.tombstones,
            size: usize::try_from(it.size.0).unwrap_or(usize::MAX),
            headers: it.headers.iter().map(|h| (h.key.clone(), Bytes::from(h.value.clone()))).collect(),
            interval,
            records: it.records.unwrap_or(u64::MAX),
            until: it.until.map_or(chaos_ends, |until| (Instant::ZERO + until.0).min(chaos_ends)),
            next: Instant::ZERO + it.from.0 + phase,
            sent: 0,
            rng,
        }
    }

    fn act(&mut self, name: &str, now: Instant) -> (Option<Command>, Option<Instant>) {
        if self.sent >= self.records || now >= self.until || now < self.next {
            return (None, None);
        }
        let mut record = record(name, self.sent, self.topic.clone(), self.partition, self.size);
        record.key = self.keys.as_ref().map(|keys| keys.draw(self.sent, &mut self.rng));
        record.headers = self.headers.clone();
        if self.tombstones.is_some_and(|chance| self.rng.chance(chance.0)) {
            // A record without a value is known by its first header.
            record.value = None;
            record.headers.insert(0, ("name".into(), named_by(name, self.sent, 0).into()));
        }
        self.sent += 1;
        self.next = now + self.interval;
        (Some(Command::Send(record)), Some(self.next))
    }
}

impl KeyDraw {
    fn new(keys: Keys) -> KeyDraw {
        let weights = match keys {
            Keys::Zipf(of) => (1..=u64::from(of.count))
                .scan(0, |sum, n| {
                    *sum += 1_000_000_000 / n;
                    Some(*sum)
                })
                .collect(),
            _ => Vec::new(),
        };
        KeyDraw { keys, weights }
    }

    fn draw(&self, nth: u64, rng: &mut Rng) -> Bytes {
        let key = match self.keys {
            Keys::Uniform(of) => rng.below(u64::from(of.count)),
            Keys::Cycle(of) => nth % u64::from(of.count.max(1)),
            Keys::Zipf(_) => {
                let drawn = rng.below(self.weights.last().copied().unwrap_or(1));
                self.weights.partition_point(|sum| *sum <= drawn) as u64
            }
        };
        format!("k-{key}").into()
    }
}

impl Consumer {
    fn new(it: &file::Consumer, scenario: &Scenario) -> Consumer {
        let of_topic = it.topic.as_ref().map(|topic| {
            let count =
                scenario.topology.topics.iter().find(|t| t.name == *topic).map_or(1, |t| t.partitions);
            (TopicName::from(topic.as_str()), count)
        });
        let named = it.partitions.iter().flatten().map(by_name).collect();
        let steps = it.steps.iter().map(|step| (Instant::ZERO + step.at.0, step.act.clone()));
        let mut steps: Vec<_> = steps.collect();
        steps.sort_by_key(|(at, _)| *at);
        Consumer {
            member: it.group.is_some().then(|| (topics_of(it), application_of(it))),
            topic: of_topic,
            partitions: named,
            from: it.from,
            steps: steps.into(),
            queue: VecDeque::new(),
        }
    }

    fn assigned(&self) -> Vec<NamedPartition> {
        let whole = self.topic.iter().flat_map(|(topic, count)| {
            (0..*count).map(|partition| NamedPartition { topic: topic.clone(), partition })
        });
        self.partitions.iter().cloned().chain(whole).collect()
    }

    fn begin(&mut self, at: Instant) {
        if let Some((topics, application)) = &self.member {
            return self.queue.push_back((at, Command::Subscribe(topics.clone(), *application)));
        }
        let partitions = self.assigned();
        if partitions.is_empty() {
            return;
        }
        let seek = |spec| partitions.iter().map(move |p| Command::SeekTo(p.clone(), spec));
        let starts: Vec<Command> = match self.from {
            Start::Earliest | Start::Latest => Vec::new(),
            Start::Offset(offset) => {
                partitions.iter().map(|p| Command::Seek(p.clone(), Offset(offset))).collect()
            }
            Start::Time(time) => seek(OffsetSpec::Time(wall(time.0))).collect(),
        };
        self.queue.push_back((at, Command::Assign(partitions.clone())));
        self.queue.extend(starts.into_iter().map(|start| (at, start)));
    }

    fn due(&self) -> Option<Instant> {
        let queued = self.queue.front().map(|(at, _)| *at);
        let step = self.steps.front().map(|(at, _)| *at);
        trial_model::time::earliest(queued, step)
    }

    fn act(&mut self, now: Instant) -> (Option<Command>, Option<Instant>) {
        while self.queue.front().is_none_or(|(at, _)| *at > now)
            && self.steps.front().is_some_and(|(at, _)| *at <= now)
        {
            let Some((_, action)) = self.steps.pop_front() else { break };
            let commands = self.commands(action);
            self.queue.extend(commands.into_iter().map(|command| (now, command)));
        }
        let due = self.queue.front().is_some_and(|(at, _)| *at <= now);
        let command = if due { self.queue.pop_front().map(|(_, command)| command) } else { None };
        (command, self.due())
    }

    fn commands(&self, action: ConsumerAction) -> Vec<Command> {
        let these = |named: &Option<Vec<PartitionName>>| match named {
            Some(named) => named.iter().map(by_name).collect(),
            None => self.assigned(),
        };
        let seek = |partitions: Vec<NamedPartition>, spec| {
            partitions.into_iter().map(|p| Command::SeekTo(p, spec)).collect()
        };
        match action {
            ConsumerAction::Seek(it) => vec![Command::Seek(by_name(&it.partition), Offset(it.offset))],
            ConsumerAction::SeekToTime(it) => seek(these(&it.partitions), OffsetSpec::Time(wall(it.time.0))),
            ConsumerAction::SeekToBeginning(it) => seek(these(&it.partitions), OffsetSpec::Earliest),
            ConsumerAction::SeekToEnd(it) => seek(these(&it.partitions), OffsetSpec::Latest),
            ConsumerAction::Pause(it) => vec![Command::Pause(these(&it.partitions))],
            ConsumerAction::Resume(it) => vec![Command::Resume(these(&it.partitions))],
            ConsumerAction::Assign(it) => vec![Command::Assign(it.partitions.iter().map(by_name).collect())],
            ConsumerAction::EndOffset(it) => {
                these(&it.partitions).into_iter().map(Command::EndOffset).collect()
            }
            ConsumerAction::Commit(it) => vec![Command::Commit(it.sync)],
            ConsumerAction::Stall(it) => vec![Command::Stall(it.duration.0)],
            ConsumerAction::Unsubscribe(_) => vec![Command::Unsubscribe],
            ConsumerAction::Subscribe(_) => {
                let of = |(topics, application): &(Topics, Application)| {
                    Command::Subscribe(topics.clone(), *application)
                };
                self.member.iter().map(of).collect()
            }
        }
    }
}

/// What a member of a group wants to read.
fn topics_of(it: &file::Consumer) -> Topics {
    match &it.pattern {
        Some(pattern) => Topics::Pattern(pattern.as_str().into()),
        None => Topics::Named(it.topic.iter().chain(&it.topics).map(|name| name.as_str().into()).collect()),
    }
}

/// What its application does with records.
fn application_of(it: &file::Consumer) -> Application {
    let commits = match it.commits {
        Some(CommitPolicy::Before) => Commits::Before,
        Some(CommitPolicy::After) => Commits::After,
        Some(CommitPolicy::AfterAsync) => Commits::AfterAsync,
        Some(CommitPolicy::Auto | CommitPolicy::Never) | None => Commits::Never,
    };
    Application { per_record: it.per_record.map_or(Duration::ZERO, |span| span.0), commits }
}

/// What an unskewed wall clock shows at a time of the run.
fn wall(time: Duration) -> Timestamp {
    Timestamp(EPOCH.0 + i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

fn by_name(name: &PartitionName) -> NamedPartition {
    NamedPartition { topic: name.topic.as_str().into(), partition: name.partition }
}

impl Admin {
    fn new(it: &file::Admin, rng: Rng) -> Admin {
        let mut steps: Vec<_> =
            it.steps.iter().map(|step| (Instant::ZERO + step.at.0, step.act.clone())).collect();
        steps.sort_by_key(|(at, _)| *at);
        let every = it.every.map(|every| every.0);
        let next = every.map_or(Instant::FOREVER, |every| Instant::ZERO + every);
        Admin { steps: steps.into(), every, ops: it.ops.clone(), next, rng }
    }

    fn due(&self, chaos_ends: Instant) -> Option<Instant> {
        let drawn = (self.next < chaos_ends).then_some(self.next);
        trial_model::time::earliest(self.steps.front().map(|(at, _)| *at), drawn)
    }

    fn act(&mut self, now: Instant, chaos_ends: Instant) -> (Option<Command>, Option<Instant>) {
        let action = if self.steps.front().is_some_and(|(at, _)| *at <= now) {
            self.steps.pop_front().map(|(_, action)| action)
        } else if self.next <= now {
            self.next = now + self.every.unwrap_or(Duration::MAX);
            self.rng.pick(&self.ops).cloned()
        } else {
            None
        };
        (action.map(admin_command), self.due(chaos_ends))
    }
}

fn admin_command(action: AdminAction) -> Command {
    match action {
        AdminAction::CreateTopic(topic) => Command::CreateTopic(new_topic(&topic)),
        AdminAction::DeleteTopic(of) => Command::DeleteTopic(of.topic.as_str().into()),
        AdminAction::CreatePartitions(it) => Command::CreatePartitions(it.topic.as_str().into(), it.total),
        AdminAction::DeleteRecords(it) => {
            Command::DeleteRecords(by_name(&it.partition), it.before.map(Offset))
        }
        AdminAction::ElectLeaders(it) => {
            let kind = match it.kind {
                file::Election::Preferred => ElectionKind::Preferred,
                file::Election::Unclean => ElectionKind::Unclean,
            };
            Command::ElectLeaders(kind, it.partitions.iter().flatten().map(by_name).collect())
        }
        AdminAction::DescribeTopic(of) => Command::DescribeTopic(of.topic.as_str().into()),
    }
}

/// A topic of a scenario as it is asked for.
pub(crate) fn new_topic(topic: &file::Topic) -> NewTopic {
    let assignment = topic.assignment.iter().flatten();
    NewTopic {
        name: topic.name.as_str().into(),
        partitions: topic.partitions,
        replication_factor: u16::try_from(topic.replication).unwrap_or(u16::MAX),
        assignment: assignment
            .map(|replicas| replicas.iter().copied().map(NodeId::broker).collect())
            .collect(),
        config: topic.config.iter().map(|(key, setting)| (key.clone(), setting.0.clone())).collect(),
    }
}

impl Setup {
    fn act(&mut self, now: Instant, names: &RunNames) -> (Option<Command>, Option<Instant>) {
        self.topics.retain(|topic| names.topic_named(topic.name.as_str()).is_none());
        let Some(topic) = self.topics.first().cloned() else { return (None, None) };
        self.topics.rotate_left(1);
        // All of them at once, then again after a while those that are not there yet.
        self.next = now + ASK_AGAIN / u32::try_from(self.topics.len()).unwrap_or(1);
        (Some(Command::CreateTopic(topic)), Some(self.next))
    }
}
