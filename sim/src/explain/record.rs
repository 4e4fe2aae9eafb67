//! What happened in a run, and what caused each step of it?
//!
//! Only a run that is to be explained keeps this: the world tells a `Scribe` of every input, step and effect
//! if it has one, and of nothing otherwise.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use trial_model::{
    disk::{DiskReply, DiskRequest, DiskTag, FileName},
    event::Event,
    log::batch::ProducerStamp,
    machine::{Channel, Input, Outgoing},
    protocol::{ApiKey, PartitionRef, Request, Response, TopicRef, metadata::PartitionMetadata},
    time::Instant,
    units::{CorrelationId, LeaderEpoch, NodeId, Offset, TopicPartition},
};

use crate::{
    names::RunNames,
    network::channel_of,
    trace::{InputNote, Reader, Step},
    world_event::WorldEvent,
};

/// A step by its place in `Record::steps`.
pub type StepId = usize;

/// Something that a node stated or the world did, by its number in the trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When.
    pub at: Instant,
    /// What.
    pub what: What,
}

/// Who speaks in an entry, and what it says.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A node stated it in a step.
    Stated {
        /// Who.
        node: NodeId,
        /// In which step.
        step: StepId,
        /// What.
        event: Event,
    },
    /// The world did it.
    Done(WorldEvent),
}

impl Entry {
    /// The event, if a node stated it.
    pub fn event(&self) -> Option<(NodeId, &Event)> {
        match &self.what {
            What::Stated { node, event, .. } => Some((*node, event)),
            What::Done(_) => None,
        }
    }

    /// The step, if a node stated it.
    pub fn step(&self) -> Option<StepId> {
        match &self.what {
            What::Stated { step, .. } => Some(*step),
            What::Done(_) => None,
        }
    }
}

/// One step of a node, and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// When.
    pub at: Instant,
    /// Who.
    pub node: NodeId,
    /// Which of its steps.
    pub nth: u64,
    /// What happened to it.
    pub input: InputNote,
    /// The step that sent the message, or asked the disk.
    pub cause: Option<StepId>,
    /// The step before of the same life.
    pub before: Option<StepId>,
    /// What it sent that explanations speak of.
    pub sent: Vec<Sent>,
    /// What it was asked or answered that explanations speak of.
    pub got: Vec<Sent>,
}

/// What stood in a message, of what explanations speak of.
#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    /// A producer's batch.
    Batch {
        /// Where to.
        partition: TopicPartition,
        /// Its sequence, if it is idempotent.
        stamp: Option<ProducerStamp>,
        /// A hash of its records, without producer, epoch and sequence.
        content: u64,
        /// How many records it has.
        count: u32,
    },
    /// A replica's or consumer's fetch of one partition.
    Fetch {
        /// Of which.
        partition: TopicPartition,
        /// The leader epoch that it believes in.
        epoch: Option<LeaderEpoch>,
        /// From where.
        offset: Offset,
        /// Whether it is a replica's.
        replica: bool,
    },
    /// What a metadata response says of a partition.
    Leads {
        /// Of which.
        partition: TopicPartition,
        /// Who.
        leader: NodeId,
        /// In which epoch.
        epoch: LeaderEpoch,
    },
}

/// A run as it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Everything stated and done, numbered as in the trace.
    pub entries: Vec<Entry>,
    /// Every step, in the order in which they were taken.
    pub steps: Vec<Taken>,
}

impl Record {
    /// What a step stated.
    pub fn stated(&self, step: StepId) -> impl Iterator<Item = (usize, &Event)> {
        let at = self.steps[step].at;
        let from = self.entries.partition_point(|entry| entry.at < at);
        self.entries[from..]
            .iter()
            .enumerate()
            .take_while(move |(_, entry)| entry.at == at)
            .filter(move |(_, entry)| entry.step() == Some(step))
            .filter_map(move |(nth, entry)| Some((from + nth, entry.event()?.1)))
    }

    /// Every step that had to come before one of `from`, those included: `true` at its place.
    pub fn past_of(&self, from: &[StepId]) -> Vec<bool> {
        let mut past = vec![false; self.steps.len()];
        let mut open: Vec<StepId> = from.to_vec();
        while let Some(step) = open.pop() {
            if std::mem::replace(&mut past[step], true) {
                continue;
            }
            let Taken { cause, before, .. } = &self.steps[step];
            open.extend(cause.iter().chain(before).copied().filter(|before| !past[*before]));
        }
        past
    }
}

/// Where something under way came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Request(NodeId, NodeId, Channel, CorrelationId),
    Reply(NodeId, NodeId, Channel, CorrelationId),
    Disk(NodeId, FileName, DiskTag),
}

#[derive(Default)]
struct Book {
    record: Record,
    under_way: BTreeMap<Way, StepId>,
    /// Of each node: the input it was given and not yet stepped on.
    given: BTreeMap<NodeId, (InputNote, Option<StepId>, Vec<Sent>)>,
    /// Of each node: its last step in this life.
    last: BTreeMap<NodeId, StepId>,
    /// By node and number.
    index: BTreeMap<(NodeId, u64), StepId>,
}

/// Writes a run down, for whoever has to explain it.
#[derive(Clone, Default)]
pub struct Scribe(Arc<Mutex<Book>>);

impl Scribe {
    /// Nothing is written yet.
    pub fn new() -> Scribe {
        Scribe::default()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever reads along on its behalf.
    pub fn reader(&self) -> Box<dyn Reader> {
        Box::new(self.clone())
    }

    /// What was written.
    pub fn take(&self) -> Record {
        std::mem::take(&mut self.book().record)
    }

    /// A node is given something, before it steps on it.
    pub fn given(&self, node: NodeId, input: &Input) {
        let mut book = self.book();
        if matches!(input, Input::Start) {
            book.last.remove(&node);
        }
        let cause = way_to(node, input).and_then(|way| book.under_way.get(&way).copied());
        let got = match input {
            Input::Request { request, .. } => of_request(request),
            Input::Response { response, .. } => of_response(response),
            _ => Vec::new(),
        };
        book.given.insert(node, (InputNote::from(input), cause, got));
    }

    /// It has stepped.
    pub fn stepped(&self, at: Instant, node: NodeId, nth: u64) {
        let mut book = self.book();
        let Some((input, cause, got)) = book.given.remove(&node) else { return };
        let step = book.record.steps.len();
        let before = book.last.insert(node, step);
        book.record.steps.push(Taken { at, node, nth, input, cause, before, sent: Vec::new(), got });
        book.index.insert((node, nth), step);
    }

    /// What the step wants done.
    pub fn wants(&self, node: NodeId, mail: &[Outgoing], disk: &[DiskRequest]) {
        let mut book = self.book();
        let Some(step) = book.last.get(&node).copied() else { return };
        for outgoing in mail {
            let way = match outgoing {
                Outgoing::Request { to, channel, correlation, request } => {
                    let sent = of_request(request);
                    book.record.steps[step].sent.extend(sent);
                    Way::Request(node, *to, *channel, *correlation)
                }
                Outgoing::Reply { to, connection, correlation, .. } => {
                    Way::Reply(node, *to, channel_of(*connection), *correlation)
                }
                Outgoing::Disconnect { .. } | Outgoing::Close { .. } => continue,
            };
            book.under_way.insert(way, step);
        }
        for request in disk {
            book.under_way.insert(Way::Disk(node, request.file, request.tag), step);
        }
    }
}

impl Reader for Scribe {
    fn step(&mut self, step: Step<'_>, _: &RunNames) {
        let mut book = self.book();
        let Some(id) = book.index.get(&(step.node, step.nth)).copied() else { return };
        let stated = step.events.iter().map(|event| Entry {
            at: step.at,
            what: What::Stated { node: step.node, step: id, event: event.clone() },
        });
        book.record.entries.extend(stated);
    }

    fn world(&mut self, at: Instant, event: &WorldEvent, _: &RunNames) {
        self.book().record.entries.push(Entry { at, what: What::Done(event.clone()) });
    }
}

fn way_to(node: NodeId, input: &Input) -> Option<Way> {
    match input {
        Input::Request { from, connection, correlation, .. } => {
            Some(Way::Request(*from, node, channel_of(*connection), *correlation))
        }
        Input::Response { from, channel, correlation, .. } => {
            Some(Way::Reply(*from, node, *channel, *correlation))
        }
        Input::Disk(DiskReply { tag, file, .. }) => Some(Way::Disk(node, *file, *tag)),
        _ => None,
    }
}

fn of_request(request: &Request) -> Vec<Sent> {
    match request {
        Request::Produce(produce) => produce
            .partitions
            .iter()
            .filter_map(|it| {
                Some(Sent::Batch {
                    partition: partition(&it.partition)?,
                    stamp: it.batch.header().producer,
                    content: content(it.batch.records()),
                    count: it.batch.header().record_count,
                })
            })
            .collect(),
        Request::Fetch(fetch) => fetch
            .partitions
            .iter()
            .filter_map(|it| {
                Some(Sent::Fetch {
                    partition: partition(&it.partition)?,
                    epoch: it.current_leader_epoch,
                    offset: it.fetch_offset,
                    replica: fetch.replica.is_some(),
                })
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn of_response(response: &Response) -> Vec<Sent> {
    match response {
        Response::Metadata(metadata) => metadata
            .topics
            .iter()
            .flat_map(|topic| {
                let of_topic = move |it: &PartitionMetadata| {
                    Some(Sent::Leads {
                        partition: TopicPartition::new(topic.id?, it.partition),
                        leader: it.leader?,
                        epoch: it.leader_epoch,
                    })
                };
                topic.partitions.iter().filter_map(of_topic)
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The partition, where it is named by its topic's id.
fn partition(named: &PartitionRef) -> Option<TopicPartition> {
    match named.topic {
        TopicRef::Id(topic) => Some(TopicPartition::new(topic, named.partition)),
        TopicRef::Name(_) => None,
    }
}

fn content(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight bytes"))
}

/// What an input was, in Kafka's words: `alter_partition reply`.
pub fn message(input: InputNote) -> Option<(ApiKey, NodeId, &'static str)> {
    match input {
        InputNote::Request(api, from) => Some((api, from, "request")),
        InputNote::Response(api, from) => Some((api, from, "reply")),
        _ => None,
    }
}
