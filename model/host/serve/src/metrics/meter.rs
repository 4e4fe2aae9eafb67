//! What is counted as it goes by: of one node's connections, and of its steps?

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use prometheus::IntGauge;
use trial_model::{
    event::{Event, ReplicaRole},
    node::Node,
    protocol::{Request, Response, TopicRef},
    time::{Instant, Now},
    units::{NodeId, NodeSet, TopicId, TopicPartition},
};

use super::{Metrics, names, sample::Sample};

/// How often it is looked what a node has, as long as it steps.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Counts what goes over a node's connections.
#[derive(Clone)]
pub(crate) struct Traffic {
    node: String,
    all: Arc<Metrics>,
    open: IntGauge,
}

impl Traffic {
    pub(crate) fn new(node: NodeId, all: Arc<Metrics>) -> Traffic {
        let node = node.to_string();
        let open = all.connections.with_label_values(&[&node]);
        Traffic { node, all, open }
    }

    /// Counts a connection until what it returns is dropped.
    pub(crate) fn opened(&self) -> Open {
        self.all.connections_created.with_label_values(&[&self.node]).inc();
        self.open.inc();
        Open(self.clone())
    }

    /// A request has come: `frame` without its size.
    pub(crate) fn asked(&self, frame: &[u8]) -> Asking {
        let word = |at| {
            let bytes = frame.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(-1, i16::from_be_bytes)
        };
        let api = names::api(word(0));
        self.all.socket_in.with_label_values(&[&self.node]).inc_by(frame.len() as u64 + 4);
        self.all.requests.with_label_values(&[self.node.as_str(), api, &word(2).to_string()]).inc();
        Asking { api, began: tokio::time::Instant::now() }
    }

    /// A request has been answered with so many bytes.
    pub(crate) fn answered(&self, asking: &Asking, bytes: usize) {
        self.all.socket_out.with_label_values(&[&self.node]).inc_by(bytes as u64);
        let took = asking.began.elapsed().as_secs_f64() * 1_000.0;
        self.all.total_time.with_label_values(&[self.node.as_str(), asking.api]).observe(took);
    }
}

/// A request on its way.
pub(crate) struct Asking {
    api: &'static str,
    began: tokio::time::Instant,
}

/// A connection that is open.
pub(crate) struct Open(Traffic);

impl Drop for Open {
    fn drop(&mut self) {
        let Open(traffic) = self;
        traffic.all.connections_closed.with_label_values(&[&traffic.node]).inc();
        traffic.open.dec();
    }
}

/// Counts what a node does.
pub(crate) struct Meter {
    id: NodeId,
    node: String,
    all: Arc<Metrics>,
    /// The ISRs of the partitions that it leads, as it last knew them.
    isrs: HashMap<TopicPartition, NodeSet>,
    next_look: Instant,
    topics: HashMap<TopicId, String>,
}

impl Meter {
    pub(crate) fn new(id: NodeId, all: Arc<Metrics>) -> Meter {
        let (isrs, topics) = (HashMap::new(), HashMap::new());
        Meter { id, node: id.to_string(), all, isrs, next_look: Instant::ZERO, topics }
    }

    /// What it is asked.
    pub(crate) fn asked(&self, request: &Request) {
        match request {
            Request::Produce(request) => {
                for part in &request.partitions {
                    let labels = [self.node.as_str(), self.topic(&part.partition.topic)];
                    self.all.produce_requests.with_label_values(&labels).inc();
                    self.all.bytes_in.with_label_values(&labels).inc_by(part.batch.size() as u64);
                }
            }
            Request::Fetch(request) if request.replica.is_none() => {
                for part in &request.partitions {
                    let labels = [self.node.as_str(), self.topic(&part.partition.topic)];
                    self.all.fetch_requests.with_label_values(&labels).inc();
                }
            }
            _ => {}
        }
    }

    /// What it answers, to a replica or a client.
    pub(crate) fn answers(&self, response: &Response, to_replica: bool) {
        let Response::Fetch(response) = response else { return };
        for part in &response.partitions {
            let bytes = part.batches.iter().map(|batch| batch.size() as u64).sum();
            match to_replica {
                true => self.all.replication_bytes_out.with_label_values(&[&self.node]).inc_by(bytes),
                false => {
                    let labels = [self.node.as_str(), self.topic(&part.partition.topic)];
                    self.all.bytes_out.with_label_values(&labels).inc_by(bytes);
                }
            }
        }
    }

    /// What it is answered.
    pub(crate) fn hears(&self, response: &Response) {
        if let Response::Fetch(response) = response {
            let batches = response.partitions.iter().flat_map(|part| &part.batches);
            let bytes = batches.map(|batch| batch.size() as u64).sum();
            self.all.replication_bytes_in.with_label_values(&[&self.node]).inc_by(bytes);
        }
    }

    fn topic<'a>(&'a self, topic: &'a TopicRef) -> &'a str {
        match topic {
            TopicRef::Name(name) => name.as_str(),
            TopicRef::Id(id) => self.topics.get(id).map_or("", String::as_str),
        }
    }

    /// A step of it: what it states, and now and then what it has.
    pub(crate) fn stepped(&mut self, now: Now, events: &[Event], node: &Node) {
        for event in events {
            if matches!(event, Event::MetadataApplied { .. }) {
                self.learn(node);
            }
            self.event(event);
        }
        if now.monotonic >= self.next_look {
            self.next_look = now.monotonic + LOOK_EVERY;
            self.all.sampled(self.id, Sample::of(node));
        }
    }

    /// What topics are called.
    fn learn(&mut self, node: &Node) {
        let Node::Broker(broker) = node else { return };
        let topics = broker.image().topics();
        // Ids are given in order: as many and the same last one are the same.
        let last = broker.image().topics().last().is_none_or(|(id, _)| self.topics.contains_key(&id));
        if topics.len() != self.topics.len() || !last {
            self.topics = topics.map(|(id, topic)| (id, topic.name.to_string())).collect();
        }
    }

    fn event(&mut self, event: &Event) {
        let node = [self.node.as_str()];
        let of = |partition: &TopicPartition| [self.node.as_str(), self.topic_of(*partition)];
        match event {
            Event::Appended { partition, role: ReplicaRole::Leader, base, end, control: false, .. }
                if !partition.is_metadata() =>
            {
                self.all.messages_in.with_label_values(&of(partition)).inc_by(end.0.saturating_sub(base.0));
            }
            Event::ProduceAnswered { partition, error: Some(_), .. } => {
                self.all.failed_produce.with_label_values(&of(partition)).inc();
            }
            Event::FetchRefused { partition, .. } => {
                self.all.failed_fetch.with_label_values(&of(partition)).inc();
            }
            Event::IsrProposalFailed { .. } => self.all.failed_isr_updates.with_label_values(&node).inc(),
            Event::LeaderElected { from: Some(_), active: true, unclean, .. } => {
                self.all.elections.with_label_values(&node).inc();
                self.all.unclean_elections.with_label_values(&node).inc_by(u64::from(*unclean));
            }
            Event::LeaderStarted { partition, isr, .. } => {
                self.isrs.insert(*partition, isr.clone());
            }
            Event::IsrAdopted { partition, isr, .. } => self.adopted(*partition, isr),
            Event::FollowerStarted { partition, .. } | Event::ReplicaStopped { partition, .. } => {
                self.isrs.remove(partition);
            }
            _ => {}
        }
    }

    fn adopted(&mut self, partition: TopicPartition, isr: &NodeSet) {
        let node = [self.node.as_str()];
        match self.isrs.entry(partition) {
            Entry::Occupied(mut before) => {
                if !before.get().is_subset(isr) {
                    self.all.isr_shrinks.with_label_values(&node).inc();
                }
                if !isr.is_subset(before.get()) {
                    self.all.isr_expands.with_label_values(&node).inc();
                }
                before.insert(isr.clone());
            }
            Entry::Vacant(seat) => {
                seat.insert(isr.clone());
            }
        }
    }

    fn topic_of(&self, partition: TopicPartition) -> &str {
        self.topics.get(&partition.topic).map_or("", String::as_str)
    }
}

/// What it had is told no more.
impl Drop for Meter {
    fn drop(&mut self) {
        self.all.gone(self.id);
    }
}
