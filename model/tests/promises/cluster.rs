//! How does a promise speak with a small cluster? By calls, where conversations use words.

use std::{cell::Cell, time::Duration};

use trial_model::{
    client::{Application, Command, NamedPartition, NewRecord, Topics},
    config::{ConsumerConfig, ProducerConfig},
    controller::image::{Image, PartitionImage},
    event::{Event, RecordTag},
    log::{
        batch::{Batch, ProducerStamp},
        codec::BatchBuilder,
    },
    museum::Museum,
    node::{Node, Role},
    partition::Partition,
    protocol::{
        ApiKey, ErrorCode, Request, Response,
        fetch::{FetchRequest, PartitionFetch, PartitionFetched},
        list_offsets::{ListOffsetsRequest, OffsetSpec, PartitionListOffsets, PartitionOffsets},
        produce::{Acks, PartitionProduce, ProduceRequest, Produced},
    },
    time::{Instant, Timestamp},
    units::{NodeId, Offset, TopicPartition},
};

use crate::words::world::{Heard, World};

pub const B1: NodeId = NodeId::broker(1);
pub const B2: NodeId = NodeId::broker(2);
pub const B3: NodeId = NodeId::broker(3);

/// How long a question of the hand is waited for, in milliseconds.
const ANSWER: u64 = 20;

thread_local! {
    /// The bugs that every cluster of this thread has.
    pub static PLANTED: Cell<Museum> = const { Cell::new(Museum::CLOSED) };
}

/// Servers that run, and clients.
pub struct Cluster {
    pub world: World,
    clients: u32,
    sent: u64,
}

/// Which partition of `orders`.
pub fn orders(partition: u32) -> NamedPartition {
    NamedPartition { topic: "orders".into(), partition }
}

/// A batch of these values, of the year 1970.
pub fn batch(values: &[&str]) -> Batch {
    records(values).build()
}

/// The same, as a producer numbers it.
pub fn numbered(values: &[&str], stamp: ProducerStamp) -> Batch {
    let mut builder = records(values);
    builder.producer(stamp);
    builder.build()
}

fn records(values: &[&str]) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder.push(Timestamp(0), None, Some(value.as_bytes()), &[]);
    }
    builder
}

/// The values of these batches' records, in order.
pub fn values<'a>(batches: impl IntoIterator<Item = &'a Batch>) -> Vec<String> {
    let records = batches.into_iter().flat_map(Batch::decode_records);
    let value = |record: trial_model::log::codec::Record| record.value.unwrap_or_default();
    records
        .map(|record| {
            String::from_utf8_lossy(&value(record.expect("what a server returns can be read"))).into()
        })
        .collect()
}

impl Cluster {
    /// One controller and so many brokers, up and running.
    pub fn of(brokers: u32, settings: &[(&str, &str)]) -> Cluster {
        Cluster::with(1, brokers, settings)
    }

    /// So many controllers and brokers, up and running.
    pub fn with(controllers: u32, brokers: u32, settings: &[(&str, &str)]) -> Cluster {
        let mut world = World::default();
        world.museum = PLANTED.get();
        world.make_room(controllers, brokers, settings);
        world.boot(&[]);
        Cluster { world, clients: 0, sent: 0 }
    }

    /// Creates the topic `orders`, whose partitions have these replicas; gives its first.
    pub fn orders(&mut self, replicas: &[&[u32]], config: &[(&str, &str)]) -> TopicPartition {
        let assignment: Vec<Vec<u32>> = replicas.iter().map(|replicas| replicas.to_vec()).collect();
        self.world.create_topic("orders", &assignment, config)
    }

    /// Starts a producer.
    pub fn producer(&mut self, settings: &[(&str, &str)]) -> NodeId {
        let mut config = ProducerConfig::default();
        for (key, value) in settings {
            config.set(key, value).unwrap_or_else(|error| panic!("{key}={value}: {error}"));
        }
        self.client(Role::Producer(config))
    }

    /// Starts a consumer that reads partition 0 of `orders`.
    pub fn consumer(&mut self, settings: &[(&str, &str)]) -> NodeId {
        let mut config = ConsumerConfig::default();
        for (key, value) in settings {
            config.set(key, value).unwrap_or_else(|error| panic!("{key}={value}: {error}"));
        }
        let consumer = self.client(Role::Consumer(config));
        self.tell(consumer, Command::Assign(vec![orders(0)]));
        consumer
    }

    /// Starts a consumer that reads `orders` as a member of the group `billing`.
    pub fn member(&mut self, settings: &[(&str, &str)], application: Application) -> NodeId {
        let mut config = ConsumerConfig::default();
        let brisk =
            [("group.id", "billing"), ("auto.offset.reset", "earliest"), ("session.timeout.ms", "6000")];
        for (key, value) in brisk.iter().chain(settings) {
            config.set(key, value).unwrap_or_else(|error| panic!("{key}={value}: {error}"));
        }
        let member = self.client(Role::Consumer(config));
        self.tell(member, Command::Subscribe(Topics::Named(vec!["orders".into()]), application));
        member
    }

    fn client(&mut self, role: Role) -> NodeId {
        self.clients += 1;
        let id = NodeId::client(1 + self.clients);
        self.world.add(id, role);
        self.world.start(id);
        self.run(ANSWER);
        id
    }

    /// Tells a node something, without letting time pass.
    pub fn tell(&mut self, to: NodeId, command: Command) {
        self.world.tell(to, command);
    }

    /// Has a producer send a record to `orders`; what events call it.
    pub fn send(&mut self, by: NodeId, partition: Option<u32>, key: Option<&str>, value: &str) -> RecordTag {
        self.sent += 1;
        let tag = RecordTag(self.sent);
        let record = NewRecord {
            tag,
            topic: "orders".into(),
            partition,
            key: key.map(|key| key.to_owned().into()),
            value: Some(value.to_owned().into()),
            headers: Vec::new(),
            timestamp: None,
        };
        self.tell(by, Command::Send(record));
        tag
    }

    /// Lets so many milliseconds pass.
    pub fn run(&mut self, millis: u64) {
        self.world.run(Duration::from_millis(millis));
    }

    /// What time it is.
    pub fn now(&self) -> Instant {
        self.world.now()
    }

    /// Waits until some node has told of something since a moment; which, and when.
    pub fn until(&mut self, since: Instant, what: impl Fn(NodeId, &Event) -> bool) -> (Instant, NodeId) {
        let find = |world: &World| {
            let hit = |(at, node, event): &&(Instant, NodeId, Event)| *at >= since && what(*node, event);
            world.told.iter().rfind(hit).map(|(at, node, _)| (*at, *node))
        };
        self.world.wait(|world| find(world).is_some());
        find(&self.world).expect("it never came")
    }

    /// Everything that nodes told from a moment on.
    pub fn told(&self, since: Instant) -> impl Iterator<Item = &(Instant, NodeId, Event)> {
        self.world.told.iter().filter(move |(at, _, _)| *at >= since)
    }

    /// How a record fared: acknowledged with an offset or without, or failed; and when.
    pub fn outcome(&self, tag: RecordTag) -> Option<(Instant, Result<Option<Offset>, ErrorCode>)> {
        self.world.told.iter().find_map(|(at, _, event)| match event {
            Event::RecordAcked { tag: of, offset, .. } if *of == tag => Some((*at, Ok(*offset))),
            Event::RecordFailed { tag: of, error, .. } if *of == tag => Some((*at, Err(*error))),
            _ => None,
        })
    }

    /// What a consumer has handed on, and when.
    pub fn delivered(&self, by: NodeId) -> Vec<(Instant, Offset, String)> {
        let read = |(at, node, event): &(Instant, NodeId, Event)| match event {
            Event::Delivered { offset, value, .. } if *node == by => Some((*at, *offset, value.0.to_vec())),
            _ => None,
        };
        let text = |value: Vec<u8>| String::from_utf8(value).expect("values are text");
        self.world.told.iter().filter_map(read).map(|(at, offset, value)| (at, offset, text(value))).collect()
    }

    /// The requests of a kind that a node has sent, and when.
    pub fn asked(&self, by: NodeId, api: ApiKey) -> Vec<(Instant, Request)> {
        let letters = self.world.mail.iter().filter(|(_, letter)| letter.from == by && letter.api == api);
        letters.filter_map(|(at, letter)| Some((*at, letter.request()?.clone()))).collect()
    }

    /// The answers of a kind that a node was sent, and when.
    pub fn answered(&self, to: NodeId, api: ApiKey) -> Vec<(Instant, Response)> {
        let letters = self.world.mail.iter().filter(|(_, letter)| letter.to == to && letter.api == api);
        letters.filter_map(|(at, letter)| Some((*at, letter.response()?.clone()))).collect()
    }

    /// The produce requests that a producer has sent, and when.
    pub fn produced(&self, by: NodeId) -> Vec<(Instant, ProduceRequest)> {
        let requests = self.asked(by, ApiKey::Produce).into_iter();
        requests
            .filter_map(|(at, request)| match request {
                Request::Produce(request) => Some((at, request)),
                _ => None,
            })
            .collect()
    }

    /// Asks a server, and waits so long for its answer.
    pub fn ask_for(&mut self, millis: u64, to: NodeId, request: Request) -> Option<Response> {
        self.world.heard.clear();
        self.world.ask(to, request);
        self.run(millis);
        self.answer()
    }

    /// The first answer to the hand that it has not looked at yet.
    pub fn answer(&mut self) -> Option<Response> {
        let heard = std::mem::take(&mut self.world.heard).into_iter();
        heard
            .filter_map(|heard| match heard {
                Heard::Answer(_, response) => Some(response),
                _ => None,
            })
            .next()
    }

    /// Asks a server.
    pub fn ask(&mut self, to: NodeId, request: Request) -> Option<Response> {
        self.ask_for(ANSWER, to, request)
    }

    /// Appends a batch at a broker, which answers at once or not at all.
    pub fn produce(
        &mut self,
        to: NodeId,
        partition: TopicPartition,
        acks: Acks,
        batch: Batch,
    ) -> Option<Result<Produced, ErrorCode>> {
        let partitions = vec![PartitionProduce { partition: partition.into(), batch }];
        let request = ProduceRequest { acks, timeout: Duration::from_secs(30), partitions };
        produced(self.ask(to, Request::Produce(request))?)
    }

    /// Appends these values at a broker with acks=all; they must be acknowledged.
    pub fn write(&mut self, to: NodeId, partition: TopicPartition, values: &[&str]) -> Offset {
        let answer = self.produce(to, partition, Acks::All, batch(values)).expect("it is answered");
        answer.expect("it is written").base_offset
    }

    /// Reads a partition as a consumer does.
    pub fn fetch(&mut self, from: NodeId, partition: TopicPartition, offset: u64) -> PartitionFetched {
        let request = fetch(&[(partition, offset)], |_| {});
        let answer = self.ask(from, Request::Fetch(request)).expect("it does not wait");
        fetched(answer).remove(0)
    }

    /// All that a consumer can read of a partition.
    pub fn read(&mut self, from: NodeId, partition: TopicPartition) -> Vec<String> {
        let fetched = self.fetch(from, partition, 0);
        assert_eq!(fetched.error, None);
        values(&fetched.batches)
    }

    /// Asks for an offset.
    pub fn offset(&mut self, from: NodeId, partition: TopicPartition, spec: OffsetSpec) -> PartitionOffsets {
        let asked = PartitionListOffsets { partition: partition.into(), current_leader_epoch: None, spec };
        let request = ListOffsetsRequest { replica: None, partitions: vec![asked] };
        match self.ask(from, Request::ListOffsets(request)) {
            Some(Response::ListOffsets(mut response)) => response.partitions.remove(0),
            other => panic!("another answer: {other:?}"),
        }
    }

    /// A broker's replica of a partition.
    pub fn replica(&self, broker: NodeId, partition: TopicPartition) -> &Partition {
        let replica = match self.world.node(broker) {
            Some(Node::Broker(broker)) => broker.replica(partition),
            _ => None,
        };
        replica.unwrap_or_else(|| panic!("{broker} has no {partition}"))
    }

    /// The values in a replica's log, committed or not.
    pub fn log(&self, broker: NodeId, partition: TopicPartition) -> Vec<String> {
        values(self.replica(broker, partition).log.cached())
    }

    /// The cluster by the active controller's word.
    pub fn image(&self) -> &Image {
        let active = self.world.active().expect("a controller is active");
        let Some(Node::Controller(controller)) = self.world.node(active) else { panic!("no controller") };
        controller.image().0
    }

    /// A partition by the active controller's word.
    pub fn state(&self, partition: TopicPartition) -> PartitionImage {
        self.image().partition(partition).expect("it knows of it").clone()
    }

    /// Waits until a partition is as wanted by the active controller's word; how it is then.
    pub fn until_state(
        &mut self,
        partition: TopicPartition,
        wanted: impl Fn(&PartitionImage) -> bool,
    ) -> PartitionImage {
        for _ in 0..3_000 {
            if self.world.active().is_some() && wanted(&self.state(partition)) {
                break;
            }
            self.run(10);
        }
        let state = self.state(partition);
        assert!(wanted(&state), "{state:?}");
        state
    }

    /// Ends a broker's process and waits until another leads.
    pub fn fail_over(&mut self, from: NodeId, partition: TopicPartition) -> NodeId {
        self.world.crash(from);
        let state = self.until_state(partition, |state| state.leader.is_some_and(|leader| leader != from));
        self.run(100);
        state.leader.expect("that was waited for")
    }
}

/// What was answered about the one partition that was produced to.
pub fn produced(response: Response) -> Option<Result<Produced, ErrorCode>> {
    match response {
        Response::Produce(mut response) => Some(response.partitions.remove(0).result),
        other => panic!("another answer: {other:?}"),
    }
}

/// What was answered about each partition that was fetched.
pub fn fetched(response: Response) -> Vec<PartitionFetched> {
    match response {
        Response::Fetch(response) => response.partitions,
        other => panic!("another answer: {other:?}"),
    }
}

/// A consumer's fetch that waits for nothing and has no limits, except as changed.
pub fn fetch(from: &[(TopicPartition, u64)], change: impl Fn(&mut FetchRequest)) -> FetchRequest {
    let asked = |(partition, offset): &(TopicPartition, u64)| PartitionFetch {
        partition: (*partition).into(),
        current_leader_epoch: None,
        fetch_offset: Offset(*offset),
        last_fetched_epoch: None,
        log_start: None,
        max_bytes: 1 << 20,
    };
    let mut request = FetchRequest {
        replica: None,
        max_wait: Duration::ZERO,
        min_bytes: 0,
        max_bytes: 1 << 20,
        partitions: from.iter().map(asked).collect(),
        incremental: false,
        forgotten: Vec::new(),
    };
    change(&mut request);
    request
}
