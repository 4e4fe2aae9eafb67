//! What does every node say of itself at a moment?

use std::collections::BTreeMap;

use trial_model::{
    event::{Event, ReplicaRole},
    time::Instant,
    units::{NodeId, ProducerId, TopicPartition},
};

use crate::{
    explain::{Record, What},
    names::RunNames,
    world_event::WorldEvent,
};

/// A moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After everything that happened up to this time.
    Time(Instant),
    /// After the event of this number.
    Event(usize),
}

/// `3.066s`, `66ms`: a time. `#21338`: an event by its number in the trace.
impl std::str::FromStr for Moment {
    type Err = String;
    fn from_str(text: &str) -> Result<Moment, String> {
        match text.strip_prefix('#') {
            Some(number) => number
                .replace(',', "")
                .parse()
                .map(Moment::Event)
                .map_err(|_| format!("`{text}` is no event: write #21338")),
            None => text
                .parse::<crate::scenario::values::Span>()
                .map(|span| Moment::Time(Instant(span.nanos())))
                .map_err(|why| format!("{why}; an event is written #21338")),
        }
    }
}

impl Moment {
    /// How many entries of a record belong to it.
    pub fn entries(self, record: &Record) -> usize {
        match self {
            Moment::Time(at) => record.entries.partition_point(|entry| entry.at <= at),
            Moment::Event(number) => number.saturating_add(1).min(record.entries.len()),
        }
    }
}

/// Whose fact it is, of which partition, and which.
pub type Key = (NodeId, Option<TopicPartition>, &'static str);

/// Everything that nodes have said of themselves and that still holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    facts: BTreeMap<Key, String>,
    producers: BTreeMap<(NodeId, TopicPartition), BTreeMap<ProducerId, String>>,
}

/// What a process forgets when it ends; what is on its disk it may find again.
const ON_DISK: [&str; 4] = ["log start", "log end", "written", "flushed"];

impl State {
    /// The state at a moment of a record.
    pub fn at(record: &Record, names: &RunNames, moment: Moment) -> State {
        let mut state = State::default();
        for entry in &record.entries[..moment.entries(record)] {
            match &entry.what {
                What::Done(event) => state.world(event),
                What::Stated { node, event, .. } => state.stated(names, *node, event),
            }
        }
        state
    }

    /// The facts, in order: by node, then partition, then fact.
    pub fn facts(&self) -> BTreeMap<Key, String> {
        let mut facts = self.facts.clone();
        for ((node, partition), producers) in &self.producers {
            let all: Vec<String> = producers.iter().map(|(id, last)| format!("{id}: {last}")).collect();
            if !all.is_empty() {
                facts.insert((*node, Some(*partition), "producers"), all.join(", "));
            }
        }
        facts
    }

    fn set(&mut self, node: NodeId, partition: Option<TopicPartition>, what: &'static str, value: String) {
        self.facts.insert((node, partition, what), value);
    }

    fn drop(&mut self, node: NodeId, partition: Option<TopicPartition>, what: &'static str) {
        self.facts.remove(&(node, partition, what));
    }

    fn world(&mut self, event: &WorldEvent) {
        match event {
            WorldEvent::NodeStarted { node } => self.set(*node, None, "process", "up".into()),
            WorldEvent::NodeStopped { node, lost_disk, .. } => {
                self.facts.retain(|(of, _, what), _| of != node || (!lost_disk && ON_DISK.contains(what)));
                self.producers.retain(|(of, _), _| of != node);
                self.set(*node, None, "process", "down".into());
            }
            WorldEvent::Paused { node } => self.set(*node, None, "process", "stands still".into()),
            WorldEvent::Resumed { node } => self.set(*node, None, "process", "up".into()),
            _ => {}
        }
    }

    fn stated(&mut self, names: &RunNames, node: NodeId, event: &Event) {
        let name = |node: &Option<NodeId>| node.map_or("nobody".into(), |node| names.node_name(node));
        match event {
            Event::LeaderStarted { partition, epoch, log_end, high_watermark, isr } => {
                let id = Some(*partition);
                self.set(node, id, "role", format!("leader, epoch {epoch}"));
                self.set(node, id, "log end", log_end.to_string());
                self.set(node, id, "high watermark", high_watermark.to_string());
                self.set(node, id, "in-sync set", isr.to_string());
                self.drop(node, id, "ISR proposed");
            }
            Event::FollowerStarted { partition, epoch, leader, log_end } => {
                let id = Some(*partition);
                self.set(node, id, "role", format!("follower of {}, epoch {epoch}", name(leader)));
                self.set(node, id, "log end", log_end.to_string());
                self.drop(node, id, "in-sync set");
                self.drop(node, id, "ISR proposed");
            }
            Event::ReplicaStopped { partition, deleted } => {
                self.facts.retain(|(of, id, what), _| {
                    *of != node || *id != Some(*partition) || (!deleted && ON_DISK.contains(what))
                });
            }
            Event::Appended { partition, role, end, producer, .. } => {
                self.set(node, Some(*partition), "log end", end.to_string());
                if let (Some(stamp), ReplicaRole::Leader | ReplicaRole::Follower) = (producer, role) {
                    let last = format!("epoch {} sequence {}", stamp.epoch, stamp.base_sequence);
                    self.producers.entry((node, *partition)).or_default().insert(stamp.id, last);
                }
            }
            Event::Written { partition, end } => {
                self.set(node, Some(*partition), "written", end.to_string());
            }
            Event::Flushed { partition, end } => {
                self.set(node, Some(*partition), "flushed", end.to_string());
            }
            Event::Truncated { partition, to, .. } => {
                self.set(node, Some(*partition), "log end", to.to_string());
            }
            Event::Recovered { partition, start, end, .. } => {
                self.set(node, Some(*partition), "log start", start.to_string());
                self.set(node, Some(*partition), "log end", end.to_string());
            }
            Event::LogStartMoved { partition, to, .. } => {
                self.set(node, Some(*partition), "log start", to.to_string());
            }
            Event::HighWatermarkAdvanced { partition, to, .. }
            | Event::HighWatermarkAdopted { partition, to, .. }
            | Event::HighWatermarkRestored { partition, to } => {
                self.set(node, Some(*partition), "high watermark", to.to_string());
            }
            Event::IsrProposed { partition, from, to, .. } => {
                self.set(node, Some(*partition), "ISR proposed", format!("{from} → {to}"));
            }
            Event::IsrAdopted { partition, isr, .. } => {
                self.set(node, Some(*partition), "in-sync set", isr.to_string());
                self.drop(node, Some(*partition), "ISR proposed");
            }
            Event::IsrProposalFailed { partition, .. } => self.drop(node, Some(*partition), "ISR proposed"),
            Event::BrokerStateChanged { state } => self.set(node, None, "broker state", state.to_string()),
            Event::BrokerEpochReceived { epoch } => self.set(node, None, "broker epoch", epoch.to_string()),
            Event::MetadataApplied { end, .. } => {
                self.set(node, None, "metadata applied", format!("to {end}"));
            }
            Event::ControllerActivated { epoch, .. } => {
                self.set(node, None, "controller", format!("active, epoch {epoch}"));
            }
            Event::ControllerResigned { .. } => self.drop(node, None, "controller"),
            Event::LeaderElected { partition, state, .. }
            | Event::IsrShrunk { partition, state, .. }
            | Event::IsrExpanded { partition, state, .. }
            | Event::PartitionChanged { partition, state, .. } => {
                let told = format!(
                    "leader {} epoch {}, isr {}, elr {}",
                    name(&state.leader),
                    state.leader_epoch,
                    state.isr,
                    state.elr
                );
                self.set(node, Some(*partition), "committed state", told);
            }
            Event::QuorumRoleChanged { role, epoch, leader } => {
                self.set(
                    node,
                    None,
                    "quorum role",
                    format!("{role}, epoch {epoch}, leader {}", name(leader)),
                );
            }
            Event::QuorumVoted { epoch, candidate } => {
                let whom = names.node_name(*candidate);
                self.set(node, None, "quorum vote", format!("for {whom} in epoch {epoch}"));
            }
            Event::QuorumHighWatermarkAdvanced { to, .. } => {
                self.set(node, None, "quorum high watermark", to.to_string());
            }
            Event::SnapshotWritten { end, .. } | Event::SnapshotLoaded { end, .. } => {
                self.set(node, None, "metadata snapshot", format!("@{end}"));
            }
            Event::ProducerEpochRaised { id, epoch } => {
                self.set(node, None, "producer identity", format!("{id}, epoch {epoch}"));
            }
            Event::MetadataLearned { partition, leader, epoch } => {
                self.set(node, Some(*partition), "leader known", format!("{}, epoch {epoch}", name(leader)));
            }
            Event::Delivered { partition, offset, .. } => {
                self.set(node, Some(*partition), "position", offset.next().to_string());
            }
            Event::PositionMoved { partition, to, .. } => {
                self.set(node, Some(*partition), "position", to.to_string());
            }
            Event::RecordAcked { partition, offset: Some(offset), .. } => {
                self.set(node, Some(*partition), "last acknowledged", format!("@{offset}"));
            }
            Event::Halted { why } => self.set(node, None, "process", format!("halts: {why}")),
            _ => {}
        }
    }
}

/// A fact's name with its partition: `in-sync set of orders-0`.
pub fn title((_, partition, what): &Key, names: &RunNames) -> String {
    match partition {
        Some(id) if id.is_metadata() => format!("{what} of the metadata log"),
        Some(id) => format!("{what} of {}", names.partition_name(*id)),
        None => (*what).into(),
    }
}
