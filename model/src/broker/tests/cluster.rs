//! What does a broker live in while it is tested? Controllers, other brokers, disks and a network that always
//! work, and a hand that cuts, kills and asks.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;

use crate::{
    client::Command,
    config::{BrokerConfig, ControllerConfig},
    disk::DiskReply,
    event::Event,
    log::{
        batch::{Batch, ProducerStamp},
        codec::BatchBuilder,
        testing::TestDisk,
    },
    machine::{Channel, ConnectionId, Disconnect, Effects, Halt, Input, Machine, Outgoing},
    museum::Museum,
    node::{Node, Role, Setup},
    partition::Partition,
    protocol::{
        Request, Response,
        fetch::{FetchRequest, PartitionFetch, PartitionFetched},
        produce::{Acks, PartitionProduce, PartitionProduced, ProduceRequest},
        topics::{CreateTopicsRequest, NewTopic},
    },
    time::{Instant, Now, Timestamp},
    units::{
        CorrelationId, LeaderEpoch, NodeId, NodeSet, Offset, ProducerEpoch, ProducerId, Sequence,
        TopicPartition,
    },
};

const MESSAGE: u64 = 200_000;
const DISK: u64 = 50_000;

/// Who asks for the hand.
pub const HAND: NodeId = NodeId::client(1);

/// A cluster.
pub struct Cluster {
    pub now: u64,
    seq: u64,
    agenda: BTreeMap<(u64, u64), (NodeId, u32, Input)>,
    nodes: BTreeMap<NodeId, Node>,
    roles: BTreeMap<NodeId, Role>,
    lives: BTreeMap<NodeId, u32>,
    pub disks: BTreeMap<NodeId, TestDisk>,
    connections: BTreeMap<(NodeId, NodeId, Channel), ConnectionId>,
    ends: BTreeMap<ConnectionId, (NodeId, NodeId, Channel)>,
    cut: BTreeSet<(NodeId, NodeId)>,
    pub events: Vec<(u64, NodeId, Event)>,
    replies: BTreeMap<CorrelationId, Response>,
    asked: u32,
    museum: Museum,
    /// How many partitions each fetch of a follower named, and its answer.
    pub sizes: Vec<usize>,
}

impl Cluster {
    /// A cluster of controllers and brokers, all of which start now.
    pub fn new(controllers: u32, brokers: u32, config: &BrokerConfig, museum: Museum) -> Cluster {
        let controller = ControllerConfig {
            broker_session_timeout_ms: config.broker_session_timeout_ms,
            min_insync_replicas: config.min_insync_replicas,
            ..ControllerConfig::default()
        };
        let mut cluster = Cluster {
            now: 0,
            seq: 0,
            agenda: BTreeMap::new(),
            nodes: BTreeMap::new(),
            roles: BTreeMap::new(),
            lives: BTreeMap::new(),
            disks: BTreeMap::new(),
            connections: BTreeMap::new(),
            ends: BTreeMap::new(),
            cut: BTreeSet::new(),
            events: Vec::new(),
            replies: BTreeMap::new(),
            asked: 0,
            museum,
            sizes: Vec::new(),
        };
        for nth in 1..=controllers {
            cluster.roles.insert(NodeId::controller(nth), Role::Controller(controller.clone()));
        }
        for nth in 1..=brokers {
            cluster.roles.insert(NodeId::broker(nth), Role::Broker(config.clone()));
        }
        let ids: Vec<NodeId> = cluster.roles.keys().copied().collect();
        for id in ids {
            cluster.start(id);
        }
        cluster
    }

    /// Gives a node its next life.
    pub fn start(&mut self, id: NodeId) {
        let life = self.lives.entry(id).or_default();
        *life += 1;
        let voters: NodeSet = self.roles.keys().copied().filter(|id| *id >= NodeId::controller(0)).collect();
        let seed = u64::from(*life) * 7;
        let setup = Setup { id, seed, museum: self.museum, voters, bootstrap: NodeSet::new() };
        self.nodes.insert(id, Node::new(setup, self.roles[&id].clone()));
        self.post(0, id, Input::Start);
    }

    /// Ends a node's process. What it wrote stays.
    pub fn kill(&mut self, id: NodeId) {
        self.nodes.remove(&id);
        *self.lives.entry(id).or_default() += 1;
        let gone: Vec<ConnectionId> = self
            .ends
            .iter()
            .filter(|(_, (from, to, _))| *from == id || *to == id)
            .map(|(connection, _)| *connection)
            .collect();
        for connection in gone {
            self.disconnect(connection, Some(id));
        }
    }

    /// Ends a node's process and takes the power off its disk.
    pub fn lose_power(&mut self, id: NodeId) {
        self.kill(id);
        self.disks.entry(id).or_default().lose_power();
    }

    /// Nothing goes from one to the other, either way.
    pub fn cut(&mut self, a: NodeId, b: NodeId) {
        self.cut.extend([(a, b), (b, a)]);
    }

    /// Everything goes everywhere again.
    pub fn heal(&mut self) {
        self.cut.clear();
        let all: Vec<ConnectionId> = self.ends.keys().copied().collect();
        for connection in all {
            self.disconnect(connection, None);
        }
    }

    /// Everything goes everywhere again, and nobody has noticed anything: who waits for an answer waits on.
    pub fn heal_unnoticed(&mut self) {
        self.cut.clear();
    }

    fn disconnect(&mut self, connection: ConnectionId, but: Option<NodeId>) {
        let Some((from, to, channel)) = self.ends.remove(&connection) else { return };
        self.connections.remove(&(from, to, channel));
        if but != Some(from) {
            self.post(MESSAGE, from, Input::Disconnected { peer: to, channel, why: Disconnect::Closed });
        }
        if but != Some(to) {
            self.post(MESSAGE, to, Input::Closed { connection });
        }
    }

    fn post(&mut self, delay: u64, to: NodeId, input: Input) {
        self.seq += 1;
        let life = self.lives.get(&to).copied().unwrap_or_default();
        self.agenda.insert((self.now + delay, self.seq), (to, life, input));
    }

    /// Lets time pass.
    pub fn run(&mut self, millis: u64) {
        let end = self.now + millis * 1_000_000;
        self.run_until(end, |_| false);
    }

    /// Lets time pass until something holds, but no more than ten seconds.
    pub fn wait(&mut self, done: impl Fn(&Cluster) -> bool) {
        let end = self.now + 10_000_000_000;
        self.run_until(end, &done);
        assert!(done(self), "it does not come about");
    }

    fn run_until(&mut self, end: u64, done: impl Fn(&Cluster) -> bool) {
        let mut idle = 0;
        while !done(self) {
            let mail = self.agenda.first_key_value().map(|(key, _)| key.0);
            let wake = self.nodes.iter().filter_map(|(id, node)| Some((node.deadline()?.0, *id))).min();
            let due = match (mail, wake) {
                (Some(mail), Some((wake, _))) => mail.min(wake),
                (Some(mail), None) => mail,
                (None, Some((wake, _))) => wake,
                (None, None) => end + 1,
            };
            if due > end {
                self.now = end;
                return;
            }
            idle = if due > self.now { 0 } else { idle + 1 };
            assert!(idle < 100_000, "time stands still for {wake:?}");
            self.now = self.now.max(due);
            match wake {
                Some((at, id)) if mail.is_none_or(|mail| at < mail) => self.step(id, Input::Deadline),
                _ => {
                    if let Some((_, (to, life, input))) = self.agenda.pop_first()
                        && self.lives.get(&to).copied().unwrap_or_default() == life
                    {
                        self.step(to, input);
                    }
                }
            }
        }
    }

    fn step(&mut self, id: NodeId, input: Input) {
        if id == HAND {
            if let Input::Response { correlation, response, .. } = input {
                self.replies.insert(correlation, response);
            }
            return;
        }
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let now = Now { monotonic: Instant(self.now), wall: Timestamp(self.now as i64 / 1_000_000) };
        let mut effects = Effects::new();
        node.step(now, input, &mut effects);
        for request in effects.disk {
            let reply: DiskReply = self.disks.entry(id).or_default().perform(request);
            self.post(DISK, id, Input::Disk(reply));
        }
        for mail in effects.mail {
            self.send(id, mail);
        }
        let time = self.now;
        self.events.extend(effects.events.into_iter().map(|event| (time, id, event)));
        if effects.halt.is_some() {
            self.kill(id);
        }
    }

    fn send(&mut self, from: NodeId, mail: Outgoing) {
        match &mail {
            Outgoing::Request { request: Request::Fetch(fetch), to, .. } if *to < NodeId::controller(0) => {
                self.sizes.push(fetch.partitions.len());
            }
            Outgoing::Reply { response: Response::Fetch(fetch), .. } => {
                self.sizes.push(fetch.partitions.len());
            }
            _ => {}
        }
        match mail {
            Outgoing::Request { to, channel, correlation, request } => {
                if self.cut.contains(&(from, to)) {
                    return;
                }
                if !self.nodes.contains_key(&to) {
                    let why = Disconnect::Refused;
                    return self.post(MESSAGE, from, Input::Disconnected { peer: to, channel, why });
                }
                let next = ConnectionId(self.seq + 1_000);
                let connection = *self.connections.entry((from, to, channel)).or_insert(next);
                self.ends.insert(connection, (from, to, channel));
                self.post(MESSAGE, to, Input::Request { from, connection, correlation, request });
            }
            Outgoing::Reply { to, connection, correlation, response } => {
                let Some((_, _, channel)) = self.ends.get(&connection).copied() else { return };
                if !self.cut.contains(&(from, to)) {
                    self.post(MESSAGE, to, Input::Response { from, channel, correlation, response });
                }
            }
            Outgoing::Disconnect { peer, channel } => {
                if let Some(connection) = self.connections.get(&(from, peer, channel)).copied() {
                    self.disconnect(connection, Some(from));
                }
            }
            Outgoing::Close { connection } => self.disconnect(connection, Some(from)),
        }
    }

    /// Tells a node something.
    pub fn tell(&mut self, id: NodeId, command: Command) {
        self.post(0, id, Input::Told(alloc::boxed::Box::new(command)));
    }

    /// Sends a request on the hand's behalf; the number of its answer.
    pub fn send_request(&mut self, to: NodeId, channel: u8, request: Request) -> CorrelationId {
        self.asked += 1;
        let correlation = CorrelationId(self.asked);
        self.send(HAND, Outgoing::Request { to, channel: Channel(channel), correlation, request });
        correlation
    }

    /// The answer, once there is one.
    pub fn reply(&mut self, id: CorrelationId) -> Option<Response> {
        self.replies.remove(&id)
    }

    /// Asks and waits for the answer.
    pub fn ask(&mut self, to: NodeId, request: Request) -> Response {
        let id = self.send_request(to, 0, request);
        self.wait(|cluster| cluster.replies.contains_key(&id));
        self.reply(id).expect("it was waited for")
    }

    /// Whether a node has told of something.
    pub fn has(&self, id: NodeId, what: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(|(_, node, event)| *node == id && what(event))
    }

    /// How often a node has told of something.
    pub fn count(&self, id: NodeId, what: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, node, event)| *node == id && what(event)).count()
    }

    /// Waits until a broker serves.
    pub fn settle_one(&mut self, id: NodeId) {
        use crate::event::BrokerState;
        let running =
            |event: &Event| matches!(event, Event::BrokerStateChanged { state: BrokerState::Running });
        self.wait(|cluster| cluster.has(id, running));
    }

    /// Waits until every broker that runs serves.
    pub fn settle(&mut self) {
        let brokers: Vec<NodeId> =
            self.nodes.keys().copied().filter(|id| *id < NodeId::controller(0)).collect();
        for id in brokers {
            self.settle_one(id);
        }
    }

    /// Creates a topic with the replicas of its partitions, and waits until it is led.
    pub fn create(
        &mut self,
        name: &str,
        assignment: &[&[u32]],
        config: &[(&str, &str)],
    ) -> crate::units::TopicId {
        let topic = NewTopic {
            name: name.into(),
            partitions: 0,
            replication_factor: 0,
            assignment: assignment
                .iter()
                .map(|replicas| replicas.iter().copied().map(NodeId::broker).collect())
                .collect(),
            config: config.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        };
        let timeout = Duration::from_secs(5);
        let request = Request::CreateTopics(CreateTopicsRequest { topics: alloc::vec![topic], timeout });
        let Response::CreateTopics(response) = self.ask(NodeId::broker(1), request) else {
            panic!("another answer")
        };
        let id = response.topics[0].1.expect("it is created");
        let partitions = assignment.len() as u32;
        self.wait(|cluster| {
            (0..partitions).all(|number| cluster.leader(TopicPartition::new(id, number)).is_some())
        });
        id
    }

    /// Who began to lead a partition last, and in which epoch.
    pub fn leader(&self, of: TopicPartition) -> Option<(NodeId, LeaderEpoch)> {
        let led = self.events.iter().filter_map(|(_, node, event)| match event {
            Event::LeaderStarted { partition, epoch, .. } if *partition == of => Some((*epoch, *node)),
            _ => None,
        });
        led.max().map(|(epoch, node)| (node, epoch))
    }

    fn replica(&self, broker: NodeId, of: TopicPartition) -> Option<&Partition> {
        let Some(Node::Broker(broker)) = self.nodes.get(&broker) else { return None };
        let slot = broker.replicas.find(of)?;
        broker.replicas.get(slot).map(|replica| &replica.partition)
    }

    /// Where a leader believes a follower's log to end.
    #[cfg(feature = "museum")]
    pub fn follower_end(&self, leader: NodeId, of: TopicPartition, follower: NodeId) -> Option<Offset> {
        self.replica(leader, of)?.leader()?.remote(follower)?.log_end
    }

    /// Whether a follower tells its leader the epoch of its last record.
    #[cfg(feature = "museum")]
    pub fn tells_last_epoch(&self, follower: NodeId, of: TopicPartition) -> Option<bool> {
        Some(self.replica(follower, of)?.follower()?.tells_last_epoch)
    }

    /// Where a replica's high watermark stands.
    pub fn high_watermark(&self, broker: NodeId, of: TopicPartition) -> Option<Offset> {
        Some(self.replica(broker, of)?.high_watermark())
    }

    /// Sends records; the number of the answer.
    pub fn produce(
        &mut self,
        to: NodeId,
        partition: TopicPartition,
        acks: Acks,
        batch: Batch,
    ) -> CorrelationId {
        let partitions = alloc::vec![PartitionProduce { partition: partition.into(), batch }];
        let timeout = Duration::from_secs(3);
        self.send_request(to, 1, Request::Produce(ProduceRequest { acks, timeout, partitions }))
    }

    /// Sends records and waits for the answer.
    pub fn produced(
        &mut self,
        to: NodeId,
        partition: TopicPartition,
        acks: Acks,
        batch: Batch,
    ) -> PartitionProduced {
        let id = self.produce(to, partition, acks, batch);
        self.wait(|cluster| cluster.replies.contains_key(&id));
        match self.reply(id) {
            Some(Response::Produce(mut response)) => response.partitions.remove(0),
            other => panic!("another answer: {other:?}"),
        }
    }

    /// Reads as a consumer does, and waits for the answer.
    pub fn fetched(
        &mut self,
        from: NodeId,
        partition: TopicPartition,
        offset: u64,
        wait_millis: u64,
    ) -> PartitionFetched {
        let asked = PartitionFetch {
            partition: partition.into(),
            current_leader_epoch: None,
            fetch_offset: Offset(offset),
            last_fetched_epoch: None,
            log_start: None,
            max_bytes: 1 << 20,
        };
        let request = FetchRequest {
            replica: None,
            max_wait: Duration::from_millis(wait_millis),
            min_bytes: 1,
            max_bytes: 1 << 20,
            partitions: alloc::vec![asked],
            incremental: false,
            forgotten: Vec::new(),
        };
        match self.ask(from, Request::Fetch(request)) {
            Response::Fetch(mut response) => response.partitions.remove(0),
            other => panic!("another answer: {other:?}"),
        }
    }

    /// Every event of a node as text, for a person who looks for what went wrong.
    pub fn told(&self, id: NodeId) -> std::string::String {
        let lines = self
            .events
            .iter()
            .filter(|(_, node, _)| *node == id)
            .map(|(at, _, event)| std::format!("{:>9} {} {event}\n", at / 1_000, event.kind().name()));
        lines.collect()
    }

    /// Why a node has ended, if it has.
    pub fn halted(&self, id: NodeId) -> Option<Halt> {
        self.events.iter().rev().find_map(|(_, node, event)| match event {
            Event::Halted { why } if *node == id => Some(*why),
            _ => None,
        })
    }
}

/// A batch of one producer's records.
pub fn records(count: u32, producer: Option<(u64, u32)>) -> Batch {
    let mut builder = BatchBuilder::new();
    for nth in 0..count {
        builder.push(
            Timestamp(i64::from(nth)),
            None,
            Some(std::format!("{producer:?}/{nth}").as_bytes()),
            &[],
        );
    }
    if let Some((id, base)) = producer {
        builder.producer(ProducerStamp {
            id: ProducerId(id),
            epoch: ProducerEpoch(0),
            base_sequence: Sequence(base),
        });
    }
    builder.build()
}
