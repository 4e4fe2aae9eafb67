//! One cluster of nodes on simulated sockets, a producer, a consumer, and somebody who kills nodes.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use madsim::runtime::{Handle, Runtime};
use tokio::{
    sync::mpsc::{UnboundedSender, channel, unbounded_channel},
    time,
};
use trial::disk::{Disk, DiskConfig};
use trial_model::{
    client::{Command, NewRecord},
    config::{BrokerConfig, ConsumerConfig, ControllerConfig, ProducerConfig},
    event::{Event, RecordTag},
    museum::Museum,
    node::{Node, Role, Setup},
    protocol::{NamedPartition, topics::NewTopic},
    rng::Rng,
    units::{NodeId, NodeRole, Offset, TopicPartition},
};
use trial_wire::{Book, Endpoint, Listener, Names};

use crate::{
    acceptor::accept,
    connection::Server,
    disk::{FileDisk, Platter},
    gate::Gate,
    life::Life,
    limits::Limits,
    runtime::TcpListener,
    watch::Watch,
    world::{Around, Happening, TcpWorld},
};

/// How many records are sent.
pub(crate) const RECORDS: u64 = 400;
const EVERY: Duration = Duration::from_millis(15);
const PARTITIONS: u32 = 2;
const BROKERS: u32 = 3;
const CONTROLLERS: u32 = 3;
const OPERATOR: NodeId = NodeId::client(1);
const PRODUCER: NodeId = NodeId::client(2);
const CONSUMER: NodeId = NodeId::client(3);
/// How long the cluster may take, from its birth to the last record read.
const PATIENCE: Duration = Duration::from_secs(120);

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Of every event of every node, when it was and who told it.
    pub(crate) hash: u64,
    /// How often somebody was killed.
    pub(crate) kills: u64,
    /// How often a leader was elected after the first.
    pub(crate) elections: u64,
    acked: BTreeMap<u64, (TopicPartition, Offset)>,
    failed: Vec<u64>,
    read: BTreeMap<u64, Vec<(TopicPartition, Offset)>>,
    topic: bool,
}

impl Told {
    fn is_over(&self) -> bool {
        self.acked.len() as u64 == RECORDS && self.read.len() as u64 == RECORDS
    }

    /// What is not as it should be.
    pub(crate) fn wrong(&self) -> Option<String> {
        if !self.topic {
            return Some("there is no topic".into());
        }
        if let Some(tag) = self.failed.first() {
            return Some(format!("record {tag} was given up"));
        }
        for tag in 0..RECORDS {
            let Some(acked) = self.acked.get(&tag) else {
                return Some(format!("record {tag} was not acknowledged"));
            };
            let read = self.read.get(&tag).map_or(&[][..], Vec::as_slice);
            if read != [*acked] {
                return Some(format!("record {tag} was acknowledged at {acked:?} and read at {read:?}"));
            }
        }
        None
    }

    fn note(&mut self, hasher: &mut DefaultHasher, at: Duration, node: NodeId, event: &Event) {
        (at, node, event).hash(hasher);
        match event {
            Event::TopicCreated { .. } => self.topic = true,
            Event::LeaderElected { from: Some(_), .. } if node.role() == NodeRole::Controller => {
                self.elections += 1;
            }
            Event::RecordAcked { tag, partition, offset: Some(offset) } => {
                self.acked.insert(tag.0, (*partition, *offset));
            }
            Event::RecordFailed { tag, .. } => self.failed.push(tag.0),
            Event::Delivered { partition, offset, value, .. } => {
                let text = std::str::from_utf8(&value.0).ok().and_then(|text| text.parse().ok());
                let tag = text.expect("values are their tags");
                self.read.entry(tag).or_default().push((*partition, *offset));
            }
            _ => {}
        }
    }
}

#[derive(Default)]
struct Diary {
    told: Told,
    hasher: DefaultHasher,
}

/// A process and the machine it runs on.
struct Machine {
    host: madsim::task::NodeId,
    platter: Platter,
    lives: u64,
    /// `None` while it is dead.
    tell: Option<UnboundedSender<Happening>>,
}

struct Lab {
    seed: u64,
    handle: Handle,
    began: time::Instant,
    book: Arc<Book>,
    machines: BTreeMap<NodeId, Machine>,
    diary: Arc<Mutex<Diary>>,
}

/// A whole run. Everything in it comes from the seed.
pub(crate) fn run(seed: u64) -> Told {
    let mut runtime = Runtime::with_seed_and_config(seed, Default::default());
    runtime.set_time_limit(PATIENCE * 2);
    runtime.block_on(async move {
        let mut lab = Lab::new(seed);
        lab.live().await;
        lab.bury().await
    })
}

impl Lab {
    fn new(seed: u64) -> Lab {
        let began = time::Instant::now();
        let handle = Handle::current();
        let brokers = (1..=BROKERS).map(NodeId::broker);
        let servers: Vec<NodeId> = brokers.chain((1..=CONTROLLERS).map(NodeId::controller)).collect();
        let address = |nth: usize| format!("10.0.0.{}", nth + 1);
        let endpoint = |(nth, id): (usize, &NodeId)| (*id, Endpoint { host: address(nth), port: 9092 });
        let book = Book {
            cluster: "lab".into(),
            endpoints: servers.iter().enumerate().map(endpoint).collect(),
            names: Names::default(),
        };
        let everybody = servers.iter().copied().chain([OPERATOR, PRODUCER, CONSUMER]);
        let machines = everybody.enumerate().map(|(nth, id)| {
            let ip = address(nth).parse().expect("it is an address");
            let host = handle.create_node().name(id.to_string()).ip(ip).build().id();
            let platter = Platter::new(Disk::new(seed, id, DiskConfig::default()), began);
            (id, Machine { host, platter, lives: 0, tell: None })
        });
        let machines = machines.collect();
        Lab { seed, handle, began, book: Arc::new(book), machines, diary: Arc::default() }
    }

    /// Clusters elect and give up sooner than Kafka's do, so that more happens.
    fn role(&self, id: NodeId) -> Role {
        match id {
            OPERATOR => Role::Admin,
            PRODUCER => {
                let mut config = ProducerConfig::default();
                config.set("request.timeout.ms", "1000").expect("it is a setting");
                Role::Producer(config)
            }
            CONSUMER => {
                let mut config = ConsumerConfig::default();
                config.set("auto.offset.reset", "earliest").expect("it is a setting");
                Role::Consumer(config)
            }
            _ if id.role() == NodeRole::Broker => {
                let mut config = BrokerConfig::default();
                config.set("broker.heartbeat.interval.ms", "200").expect("it is a setting");
                Role::Broker(config)
            }
            _ => {
                let mut config = ControllerConfig::default();
                config.set("broker.session.timeout.ms", "1000").expect("it is a setting");
                Role::Controller(config)
            }
        }
    }

    /// A process begins, in the adapter's own words (`model/host/serve/src/node.rs`).
    fn begin(&mut self, id: NodeId) {
        let role = self.role(id);
        let machine = self.machines.get_mut(&id).expect("it is one of us");
        machine.lives += 1;
        let mut life = Rng::named(self.seed, &format!("{id}/life/{}", machine.lives));
        let setup = Setup {
            id,
            seed: life.next_u64(),
            museum: Museum::CLOSED,
            voters: (1..=CONTROLLERS).map(NodeId::controller).collect(),
            bootstrap: (1..=BROKERS).map(NodeId::broker).collect(),
        };
        let (tell, happenings) = unbounded_channel();
        machine.tell = Some(tell.clone());
        let (book, platter) = (Arc::clone(&self.book), machine.platter.clone());
        let (diary, began) = (Arc::clone(&self.diary), self.began);
        let watch = Watch::new(move |node, event| {
            let Diary { told, hasher } = &mut *diary.lock().expect("nobody panicked");
            told.note(hasher, began.elapsed(), node, event);
        });
        let host = self.handle.get_node(machine.host).expect("it was made");
        host.spawn(async move {
            let limits = Limits::default();
            let (requests, arriving) = channel(limits.queued_max_requests);
            let replies = tell.clone();
            let disk = FileDisk::new(platter, move |reply| {
                let _ = replies.send(Happening::Disk(reply));
            });
            let life = Arc::new(Life::default());
            let around = Around {
                gate: Gate::new(id, Arc::default()),
                alone: true,
                life: Arc::clone(&life),
                meter: None,
                watch,
            };
            let endpoint = book.endpoints.get(&id).cloned();
            let world = TcpWorld::new(
                id,
                Arc::clone(&book),
                disk,
                happenings,
                tell.clone(),
                arriving,
                around,
                Arc::default(),
            );
            if let Some(Endpoint { host, port }) = endpoint {
                let listener = TcpListener::bind((host.as_str(), port)).await.expect("the port is free");
                let listens = match id.role() {
                    NodeRole::Controller => Listener::Controller,
                    _ => Listener::Broker,
                };
                let requests = requests.clone();
                let traffic = None;
                let server = Server { node: id, listener: listens, book, limits, life, traffic, requests };
                tokio::spawn(accept(listener, Arc::new(server)));
            }
            let _ = tell.send(Happening::Start);
            let _ = trial_host::run(Node::new(setup, role), world).await;
            // Nobody connects to a client, and that is not the end of it.
            drop(requests);
        });
    }

    fn tell(&self, id: NodeId, command: Command) {
        if let Some(tell) = self.machines.get(&id).and_then(|machine| machine.tell.as_ref()) {
            let _ = tell.send(Happening::Told(command));
        }
    }

    /// `kill -9`.
    fn kill(&mut self, id: NodeId) {
        let machine = self.machines.get_mut(&id).expect("it is one of us");
        machine.tell = None;
        self.handle.kill(machine.host);
        machine.platter.process_died();
        self.diary.lock().expect("nobody panicked").told.kills += 1;
    }

    fn revive(&mut self, id: NodeId) {
        self.handle.restart(self.machines[&id].host);
        self.begin(id);
    }

    fn servers(&self, alive: bool) -> Vec<NodeId> {
        let servers = self.machines.iter().filter(|(id, _)| id.role() != NodeRole::Client);
        servers.filter(|(_, machine)| machine.tell.is_some() == alive).map(|(id, _)| *id).collect()
    }

    fn look<T>(&self, at: impl FnOnce(&Told) -> T) -> T {
        at(&self.diary.lock().expect("nobody panicked").told)
    }

    async fn live(&mut self) {
        let everybody: Vec<NodeId> = self.machines.keys().copied().filter(|id| *id != CONSUMER).collect();
        everybody.into_iter().for_each(|id| self.begin(id));
        let topic = NewTopic {
            name: "orders".into(),
            partitions: PARTITIONS,
            replication_factor: 3,
            assignment: Vec::new(),
            config: vec![("min.insync.replicas".into(), "2".into())],
        };
        while !self.look(|told| told.topic) && self.began.elapsed() < PATIENCE {
            self.tell(OPERATOR, Command::CreateTopic(topic.clone()));
            time::sleep(Duration::from_secs(1)).await;
        }
        self.send_and_kill().await;
        self.begin(CONSUMER);
        let all = (0..PARTITIONS).map(|partition| NamedPartition { topic: "orders".into(), partition });
        self.tell(CONSUMER, Command::Assign(all.collect()));
        while !self.look(Told::is_over) && self.began.elapsed() < PATIENCE {
            time::sleep(Duration::from_millis(100)).await;
        }
        // What is read twice would be read soon.
        time::sleep(Duration::from_secs(2)).await;
    }

    /// Sends every record; now and then somebody dies, one broker and one controller at a time, and is back soon.
    async fn send_and_kill(&mut self) {
        let mut dice = Rng::named(self.seed, "adapter/kills");
        let mut between = |least: u64, most: u64| Duration::from_millis(least + dice.below(most - least));
        let mut next_kill = time::Instant::now() + between(100, 800);
        let mut back: Vec<(time::Instant, NodeId)> = Vec::new();
        let mut which = Rng::named(self.seed, "adapter/victims");
        for tag in 0..RECORDS {
            time::sleep(EVERY).await;
            self.tell(PRODUCER, Command::Send(record(tag)));
            let now = time::Instant::now();
            while let Some(at) = back.iter().position(|(due, _)| *due <= now) {
                let (_, id) = back.remove(at);
                self.revive(id);
            }
            if now < next_kill {
                continue;
            }
            next_kill = now + between(100, 1_200);
            let alive = self.servers(true);
            let victim = alive[which.below(alive.len() as u64) as usize];
            if back.iter().all(|(_, dead)| dead.role() != victim.role()) {
                self.kill(victim);
                back.push((now + between(50, 2_000), victim));
            }
        }
        time::sleep(Duration::from_millis(10)).await;
        self.servers(false).into_iter().for_each(|id| self.revive(id));
    }

    /// Everybody ends, and what they had is freed.
    async fn bury(self) -> Told {
        for machine in self.machines.values() {
            self.handle.kill(machine.host);
        }
        time::sleep(Duration::from_millis(1)).await;
        let Diary { told, hasher } = &*self.diary.lock().expect("nobody panicked");
        Told { hash: hasher.finish(), ..told.clone() }
    }
}

fn record(tag: u64) -> NewRecord {
    NewRecord {
        tag: RecordTag(tag),
        topic: "orders".into(),
        partition: Some((tag % u64::from(PARTITIONS)) as u32),
        key: None,
        value: Some(Bytes::from(tag.to_string())),
        headers: Vec::new(),
        timestamp: None,
    }
}
