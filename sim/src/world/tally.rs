//! What is counted of a run?

use std::collections::BTreeMap;

use trial_model::{
    event::{Event, EventKind},
    time::Instant,
    units::{NodeId, Offset, TopicPartition},
};

use crate::{
    names::RunNames,
    scenario::values::WorldKind,
    world_event::{Phase, Stop, WorldEvent},
};

/// How many at most are told of the elections of a run.
const ELECTIONS: usize = 1_000;

/// Counts.
#[derive(Debug, Default)]
pub struct Tally {
    kinds: Vec<u64>,
    world: BTreeMap<&'static str, u64>,
    acked: Vec<u64>,
    delivered: u64,
    elections: Vec<(Instant, String)>,
    elected: BTreeMap<TopicPartition, Offset>,
    auditor: Option<NodeId>,
    settle_began: Option<Instant>,
}

impl Tally {
    /// Nothing counted yet; what `auditor` reads does not count as delivered.
    pub fn new(auditor: NodeId) -> Tally {
        Tally { kinds: vec![0; EventKind::ALL.len()], auditor: Some(auditor), ..Tally::default() }
    }

    /// Counts what a node stated.
    pub fn step(&mut self, at: Instant, node: NodeId, events: &[Event], names: &RunNames) {
        for event in events {
            self.kinds[event.kind() as usize] += 1;
            match event {
                Event::RecordAcked { .. } => {
                    let second = (at.0 / 1_000_000_000) as usize;
                    if self.acked.len() <= second {
                        self.acked.resize(second + 1, 0);
                    }
                    self.acked[second] += 1;
                }
                Event::Delivered { .. } if Some(node) != self.auditor => self.delivered += 1,
                Event::LeaderElected { partition, from, state, at: record, unclean, .. } => {
                    // Every controller states it; the first one counts.
                    if self.elected.insert(*partition, *record).is_some_and(|known| known >= *record) {
                        continue;
                    }
                    if from.is_some() && self.elections.len() < ELECTIONS {
                        let name =
                            |node: Option<NodeId>| node.map_or("nobody".into(), |node| names.node_name(node));
                        let partition = names.partition_name(*partition);
                        let unclean = if *unclean { ", unclean" } else { "" };
                        let (from, to, epoch) = (name(*from), name(state.leader), state.leader_epoch);
                        self.elections
                            .push((at, format!("{partition}: {from} → {to} (epoch {epoch}{unclean})")));
                    }
                }
                _ => {}
            }
        }
    }

    /// Counts what the world did.
    pub fn world(&mut self, at: Instant, event: &WorldEvent) {
        let kind = match event {
            WorldEvent::NodeStarted { .. } => WorldKind::Start,
            WorldEvent::NodeStopped { how: Stop::Crash | Stop::PowerLoss, .. } => WorldKind::Crash,
            WorldEvent::Paused { .. } => WorldKind::Pause,
            WorldEvent::Resumed { .. } => WorldKind::Resume,
            WorldEvent::PhaseBegan(Phase::Settle) => {
                self.settle_began = Some(at);
                return;
            }
            _ => return,
        };
        *self.world.entry(kind.name()).or_default() += 1;
    }

    /// How often every kind of event occurred that did.
    pub fn events(&self) -> BTreeMap<&'static str, u64> {
        let model = EventKind::ALL.iter().map(|kind| (kind.name(), self.kinds[*kind as usize]));
        model
            .filter(|(_, count)| *count > 0)
            .chain(self.world.iter().map(|(kind, count)| (*kind, *count)))
            .collect()
    }

    /// Records acknowledged in each simulated second.
    pub fn acked(&self) -> &[u64] {
        &self.acked
    }

    /// Records handed to the scenario's consumers.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Leaders elected after the first of each partition.
    pub fn elections(&self) -> &[(Instant, String)] {
        &self.elections
    }

    /// When the settle phase began.
    pub fn settle_began(&self) -> Option<Instant> {
        self.settle_began
    }
}
