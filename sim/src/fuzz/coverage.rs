//! What did a run reach? Which events, which of them one after the other, and in which states.
//!
//! A reader of the run like any other: a run that is not watched pays nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use trial_model::{
    event::{Event, EventKind, QuorumRole, SeekReason, TruncateReason},
    protocol::{ErrorCode, TopicName},
    time::Instant,
    units::{LeaderEpoch, NodeId, NodeRole, Offset, TopicPartition},
};

use super::landmarks::{Landmark, Landmarks};
use crate::{
    names::RunNames,
    scenario::Scenario,
    trace::{Reader, Step, is_chatter, is_echo},
    world_event::{Phase, Stop, WorldEvent},
};

/// Something that a run reached, and when for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// What it was: a number that stands for the same in every run.
    pub feature: u64,
    /// When.
    pub at: Instant,
    /// With which event, and the how many-th of its kind in the run that was.
    pub event: Option<(EventKind, u32)>,
}

/// What a run reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Each thing once, in ascending order.
    pub moments: Vec<Moment>,
    /// The situations with a name.
    pub landmarks: Landmarks,
}

/// Watches a run.
pub struct Watcher {
    faults: BTreeMap<String, u32>,
    seen: Arc<Mutex<Coverage>>,
}

impl Watcher {
    /// One for a run of `scenario`.
    pub fn of(scenario: &Scenario) -> Watcher {
        let kinds = scenario.faults.iter().map(|fault| (fault.id.clone(), super::kinds::number(&fault.act)));
        Watcher { faults: kinds.collect(), seen: Arc::default() }
    }

    /// What reads the run.
    pub fn reader(&self) -> Box<dyn Reader> {
        let mut eye = Eye::default();
        eye.faults = self.faults.clone();
        eye.seen = self.seen.clone();
        Box::new(eye)
    }

    /// What was reached, once the run is over.
    pub fn seen(self) -> Coverage {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a feature is about; the numbers keep features of different kinds apart.
mod about {
    pub const EVENT: u64 = 1;
    pub const AFTER_ON_NODE: u64 = 2;
    pub const AFTER_ON_PARTITION: u64 = 3;
    pub const STATE: u64 = 4;
    pub const ROLE: u64 = 5;
    pub const UNDER_FAULT: u64 = 6;
    pub const SERVERS_DOWN: u64 = 7;
    pub const RECOVERY: u64 = 8;
    pub const OFTEN: u64 = 9;
}

fn feature(about: u64, parts: [u64; 3]) -> u64 {
    about << 60 | parts[0] << 40 | parts[1] << 20 | parts[2]
}

#[derive(Default)]
struct Eye {
    faults: BTreeMap<String, u32>,
    seen: Arc<Mutex<Coverage>>,
    reached: HashMap<u64, (Instant, Option<(EventKind, u32)>)>,
    landmarks: Landmarks,
    counts: BTreeMap<EventKind, u32>,
    /// What each node stated last, chatter aside.
    of_node: BTreeMap<NodeId, u64>,
    /// What was last stated about each partition, chatter aside, and by whom.
    of_partition: BTreeMap<TopicPartition, (u64, NodeId)>,
    roles: BTreeMap<NodeId, (QuorumRole, LeaderEpoch)>,
    leading: BTreeMap<TopicPartition, BTreeMap<NodeId, LeaderEpoch>>,
    /// Where each replica's log ended last; cut since it last appended.
    logs: BTreeMap<(TopicPartition, NodeId), (Offset, bool)>,
    died: BTreeMap<NodeId, Stop>,
    down: BTreeSet<NodeId>,
    brokers: BTreeSet<NodeId>,
    active: BTreeMap<String, u32>,
    controllers: BTreeSet<NodeId>,
    deleted: BTreeSet<TopicName>,
    audit: bool,
}

impl Drop for Eye {
    fn drop(&mut self) {
        for (kind, count) in &self.counts {
            // Some or many: one more of something common is nothing new.
            let often = u64::from(32 - (*count).min(255).leading_zeros()) / 2;
            self.reached
                .entry(feature(about::OFTEN, [*kind as u64, often, 0]))
                .or_insert((Instant::ZERO, None));
        }
        let mut moments: Vec<Moment> = self
            .reached
            .iter()
            .map(|(feature, (at, event))| Moment { feature: *feature, at: *at, event: *event })
            .collect();
        moments.sort_unstable_by_key(|moment| moment.feature);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            Coverage { moments, landmarks: self.landmarks };
    }
}

impl Reader for Eye {
    fn step(&mut self, step: Step<'_>, _: &RunNames) {
        // What clients do once all is over says nothing of the chaos.
        if self.audit {
            return;
        }
        for event in step.events {
            if !is_echo(event) {
                self.event(step.at, step.node, event);
            }
        }
    }

    fn world(&mut self, at: Instant, event: &WorldEvent, _: &RunNames) {
        match event {
            WorldEvent::NodeStarted { node } => {
                self.down.remove(node);
                if node.role() == NodeRole::Broker {
                    self.brokers.insert(*node);
                }
            }
            WorldEvent::NodeStopped { node, how, lost_disk: _ } => {
                self.died.insert(*node, *how);
                self.down.insert(*node);
                self.roles.remove(node);
                self.controllers.remove(node);
                for leaders in self.leading.values_mut() {
                    leaders.remove(node);
                }
                if self.brokers.iter().all(|broker| self.down.contains(broker)) {
                    self.landmarks.reach(Landmark::AllDown);
                }
                let last = self.of_node.remove(node).unwrap_or(0);
                let how = match how {
                    Stop::Crash => 1,
                    Stop::PowerLoss => 2,
                    Stop::Halted(_) => 3,
                };
                self.reach(at, None, feature(about::AFTER_ON_NODE, [role(*node), last, 0xf_0000 + how]));
            }
            WorldEvent::FaultBegan { id, .. } => {
                let kind = self.faults.get(id).copied().unwrap_or(0);
                self.active.insert(id.clone(), kind);
            }
            WorldEvent::FaultEnded { id } => {
                self.active.remove(id);
            }
            WorldEvent::PhaseBegan(phase) => self.audit = *phase == Phase::Audit,
            _ => {}
        }
    }
}

impl Eye {
    fn reach(&mut self, at: Instant, event: Option<(EventKind, u32)>, feature: u64) {
        self.reached.entry(feature).or_insert((at, event));
    }

    fn event(&mut self, at: Instant, node: NodeId, event: &Event) {
        let kind = event.kind();
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let which = Some((kind, *count));
        let first = *count == 1;
        self.note(node, event);
        if is_chatter(event) {
            if first {
                self.reach(at, which, feature(about::EVENT, [kind as u64, 0, 0]));
            }
            if let Some(state) = chatter_state(event) {
                self.reach(at, which, feature(about::STATE, [kind as u64, state, 0]));
            }
            return;
        }
        let told = kind as u64 | detail(event) << 7;
        let role = role(node);
        self.reach(at, which, feature(about::EVENT, [told, role, 1]));
        let last = self.of_node.insert(node, told).unwrap_or(0);
        self.reach(at, which, feature(about::AFTER_ON_NODE, [role, last, told]));
        if let Some(partition) = event.partition() {
            let (last, by) = self.of_partition.insert(partition, (told, node)).unwrap_or((0, node));
            self.reach(at, which, feature(about::AFTER_ON_PARTITION, [u64::from(by == node), last, told]));
        }
        if let Some(state) = state(event) {
            self.reach(at, which, feature(about::STATE, [told, state, 1]));
        }
        if let Event::QuorumRoleChanged { role: to, epoch, leader } = event {
            let from = self.roles.insert(node, (*to, *epoch)).map_or(15, |(from, _)| from as u64);
            let parts = [role, from << 4 | *to as u64, u64::from(leader.is_some())];
            self.reach(at, which, feature(about::ROLE, parts));
        }
        if let Event::Recovered { end, clean, cut, partition, .. } = event {
            let died = match self.died.get(&node) {
                None => 0,
                Some(Stop::Crash) => 1,
                Some(Stop::PowerLoss) => 2,
                Some(Stop::Halted(_)) => 3,
            };
            let before = self.logs.get(&(*partition, node)).map_or(Offset(0), |(end, _)| *end);
            let lost = if *end < before { 1 + u64::from(end.0 == 0) } else { 0 };
            if died == 2 && lost == 2 {
                self.landmarks.reach(Landmark::RecoveredEmpty);
            }
            let parts = [u64::from(*clean) << 1 | u64::from(*cut > 0), died, lost];
            self.reach(at, which, feature(about::RECOVERY, parts));
        }
        let down = (self.down.len() as u64).min(3);
        self.reach(at, which, feature(about::SERVERS_DOWN, [told, role, down]));
        let faults: u32 = self.active.values().fold(0, |all, kind| all | 1 << kind);
        for fault in 0..32 {
            if faults & 1 << fault != 0 {
                self.reach(at, which, feature(about::UNDER_FAULT, [kind as u64, fault, 0]));
            }
        }
    }

    /// Keeps up with who does what, and notes situations with a name.
    fn note(&mut self, node: NodeId, event: &Event) {
        let marks = &mut self.landmarks;
        match event {
            Event::LeaderStarted { partition, epoch, log_end, high_watermark, isr } => {
                if isr.len() == 1 {
                    marks.reach(Landmark::AloneInSync);
                }
                if high_watermark < log_end {
                    marks.reach(Landmark::StartsBehind);
                }
                if log_end.0 == 0 && epoch.0 > 1 {
                    marks.reach(Landmark::StartsEmpty);
                }
                let leaders = self.leading.entry(*partition).or_default();
                leaders.insert(node, *epoch);
                if leaders.len() > 1 {
                    marks.reach(Landmark::LeadsUnaware);
                }
            }
            Event::FollowerStarted { partition, leader, .. } => {
                if leader.is_none() {
                    marks.reach(Landmark::FollowsNobody);
                }
                self.leading.entry(*partition).or_default().remove(&node);
            }
            Event::Appended { partition, end, .. } => {
                self.logs.insert((*partition, node), (*end, false));
            }
            Event::Truncated { partition, to, why, high_watermark, .. } => {
                let was = self.logs.insert((*partition, node), (*to, true));
                if was.is_some_and(|(_, cut)| cut) {
                    marks.reach(Landmark::CutsTwice);
                }
                if to < high_watermark {
                    marks.reach(Landmark::CutBelowHw);
                }
                if *why == TruncateReason::OutOfRange {
                    marks.reach(Landmark::CutOutOfRange);
                }
            }
            Event::QuorumRoleChanged { role: QuorumRole::Candidate, epoch, .. } => {
                let rival = |(other, role): (&NodeId, &(QuorumRole, LeaderEpoch))| {
                    *other != node && *role == (QuorumRole::Candidate, *epoch)
                };
                if self.roles.iter().any(rival) {
                    marks.reach(Landmark::VoteSplit);
                }
            }
            Event::ControllerActivated { .. } => {
                self.controllers.insert(node);
                if self.controllers.len() > 1 {
                    marks.reach(Landmark::TwoControllers);
                }
            }
            Event::ControllerResigned { .. } => drop(self.controllers.remove(&node)),
            Event::TopicDeleted { name, .. } => drop(self.deleted.insert(name.clone())),
            Event::TopicCreated { name, .. } if self.deleted.contains(name) => {
                marks.reach(Landmark::TopicAgain);
            }
            _ => {
                if let Some(landmark) = landmark(event) {
                    marks.reach(landmark);
                }
            }
        }
    }
}

/// The situation that an event alone shows.
fn landmark(event: &Event) -> Option<Landmark> {
    Some(match event {
        Event::IsrAdopted { isr, .. } if isr.len() == 1 => Landmark::AloneInSync,
        Event::LeaderElected { state, .. } if state.leader.is_none() => Landmark::NoLeader,
        Event::LeaderElected { unclean: true, .. } => Landmark::Unclean,
        Event::PartitionChanged { state, .. } | Event::IsrShrunk { state, .. } if !state.elr.is_empty() => {
            Landmark::Eligible
        }
        Event::Recovered { cut, .. } if *cut > 0 => Landmark::TornTail,
        Event::Recovered { clean: true, .. } => Landmark::RecoveredClean,
        Event::IsrProposalFailed { retried: true, .. } => Landmark::ProposalRetried,
        Event::IsrProposalFailed { retried: false, .. } => Landmark::ProposalFenced,
        Event::DuplicateAnswered { .. } => Landmark::Duplicate,
        Event::BatchRetried { attempt, .. } if *attempt > 2 => Landmark::RetriedTwice,
        Event::RecordFailed { maybe_written: true, .. } => Landmark::PerhapsWritten,
        Event::ProducerEpochRaised { epoch, .. } if epoch.0 > 0 => Landmark::EpochRaised,
        Event::ProduceAnswered { error: Some(ErrorCode::NotEnoughReplicas), .. } => {
            Landmark::NotEnoughReplicas
        }
        Event::FetchRefused { error: ErrorCode::FencedLeaderEpoch, .. } => Landmark::FetchFenced,
        Event::FetchRefused { error: ErrorCode::UnknownLeaderEpoch, .. } => Landmark::FetchAhead,
        Event::LogStartMoved { why: trial_model::event::LogStartReason::Retention, .. } => {
            Landmark::RetentionCuts
        }
        Event::LogStartMoved { why: trial_model::event::LogStartReason::DeleteRecords, .. } => {
            Landmark::RecordsDeleted
        }
        Event::TruncationDetected { .. } => Landmark::ReaderTruncated,
        Event::PositionMoved { why: SeekReason::OutOfRange, .. } => Landmark::ReaderOutOfRange,
        Event::QuorumResigned { lost_majority: true, .. } => Landmark::LostMajority,
        Event::SnapshotLoaded { .. } => Landmark::SnapshotLoaded,
        Event::DiskFailed { .. } => Landmark::DiskFailed,
        _ => return None,
    })
}

fn role(node: NodeId) -> u64 {
    match node.role() {
        NodeRole::Broker => 1,
        NodeRole::Controller => 2,
        NodeRole::Client => 3,
    }
}

fn error(code: ErrorCode) -> u64 {
    u64::from(code.code() as u16 & 0xff)
}

/// What of an event tells it from others of its kind: at most nine bits.
fn detail(event: &Event) -> u64 {
    match event {
        Event::FollowerStarted { leader, .. } => u64::from(leader.is_some()),
        Event::Truncated { why, .. } => *why as u64,
        Event::LogStartMoved { why, .. } => *why as u64,
        Event::Recovered { clean, cut, .. } => u64::from(*clean) << 1 | u64::from(*cut > 0),
        Event::IsrProposed { from, to, .. } => u64::from(to.len() < from.len()),
        Event::IsrProposalFailed { error: code, retried, .. } => error(*code) << 1 | u64::from(*retried),
        Event::BrokerStateChanged { state } => *state as u64,
        Event::LeaderElected { from, state, unclean, .. } => {
            u64::from(from.is_some()) << 2 | u64::from(state.leader.is_some()) << 1 | u64::from(*unclean)
        }
        Event::BrokerRegistered { clean, .. } => u64::from(*clean),
        Event::QuorumRoleChanged { role, .. } => *role as u64,
        Event::QuorumResigned { lost_majority, .. } => u64::from(*lost_majority),
        Event::ProducerEpochRaised { epoch, .. } => u64::from(epoch.0 > 0),
        Event::PositionMoved { why, .. } => *why as u64,
        Event::TruncationDetected { to, .. } => u64::from(to.is_some()),
        Event::ReadFailed { error, .. } => *error as u64,
        Event::AdminDone { error: code, .. } => code.map_or(0, error),
        Event::DiskFailed { error, .. } => *error as u64,
        Event::Halted { why } => *why as u64,
        _ => 0,
    }
}

/// How far one offset is from another: not at all, a little, far.
fn gap(from: Offset, to: Offset) -> u64 {
    match to.0.saturating_sub(from.0) {
        0 => 0,
        1..=3 => 1,
        4..=30 => 2,
        _ => 3,
    }
}

/// The state that an event tells of: the size of the ISR, how far the high watermark is behind, how many
/// epochs there have been.
fn state(event: &Event) -> Option<u64> {
    let size = |count: usize| count.min(7) as u64;
    let epochs = |epoch: LeaderEpoch| u64::from(epoch.0 > 1) + u64::from(epoch.0 > 3);
    Some(match event {
        Event::LeaderStarted { epoch, log_end, high_watermark, isr, .. } => {
            size(isr.len()) << 4 | gap(*high_watermark, *log_end) << 2 | epochs(*epoch)
        }
        Event::FollowerStarted { epoch, log_end, .. } => gap(Offset(0), *log_end) << 2 | epochs(*epoch),
        Event::Truncated { from, to, high_watermark, .. } => {
            gap(*to, *from) << 4 | gap(*to, *high_watermark) << 2 | u64::from(to.0 == 0)
        }
        Event::IsrProposed { from, to, .. } => size(from.len()) << 3 | size(to.len()),
        Event::LeaderElected { state, .. }
        | Event::IsrShrunk { state, .. }
        | Event::IsrExpanded { state, .. }
        | Event::PartitionChanged { state, .. } => {
            size(state.isr.len()) << 6 | size(state.elr.len()) << 3 | size(state.replicas.len())
        }
        _ => return None,
    })
}

/// What of very common events is worth telling apart.
fn chatter_state(event: &Event) -> Option<u64> {
    Some(match event {
        Event::HighWatermarkAdvanced { from, to, isr, log_end, .. } => {
            (isr.len().min(7) as u64) << 4 | gap(*from, *to) << 2 | gap(*to, *log_end)
        }
        Event::ProduceAnswered { error: Some(code), .. } => 0x100 | error(*code),
        Event::FetchRefused { error: code, .. } => error(*code),
        Event::BatchRetried { attempt, error: code, .. } => u64::from((*attempt).min(3)) << 8 | error(*code),
        Event::RecordFailed { error: code, maybe_written, .. } => {
            u64::from(*maybe_written) << 8 | error(*code)
        }
        Event::ReadServed { replica, end, bound, .. } => u64::from(*replica) << 1 | u64::from(end < bound),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Engine, Options,
        fuzz::draw::{Taste, draw},
        simulate,
    };

    fn watch(scenario: &Scenario, seed: u64) -> Coverage {
        let watcher = Watcher::of(scenario);
        let readers = vec![watcher.reader()];
        simulate(scenario, seed, Options { engine: Engine::Direct, readers, ..Options::default() });
        watcher.seen()
    }

    #[test]
    fn the_same_run_reaches_the_same_and_another_something_else() {
        let (one, other) = (draw(3, Taste::default()), draw(4, Taste::default()));
        let (seen, again, else_where) = (watch(&one, 3), watch(&one, 3), watch(&other, 4));
        assert_eq!(seen, again);
        assert!(seen.moments.is_sorted_by(|a, b| a.feature < b.feature), "each once");
        assert!(seen.moments.len() > 100, "{}", seen.moments.len());
        let features = |of: &Coverage| of.moments.iter().map(|it| it.feature).collect::<BTreeSet<u64>>();
        assert!(features(&else_where).difference(&features(&seen)).next().is_some());
    }

    #[test]
    fn a_run_without_its_faults_reaches_less() {
        let broken = draw(7, Taste::default());
        assert!(broken.faults.len() > 3, "{}", broken.faults.len());
        let calm = Scenario { faults: Vec::new(), ..broken.clone() };
        let (broken, calm) = (watch(&broken, 7), watch(&calm, 7));
        assert!(calm.moments.len() < broken.moments.len(), "{} {}", calm.moments.len(), broken.moments.len());
        let first = |kind| {
            let at = |it: &&Moment| it.event == Some((kind, 1));
            broken.moments.iter().find(at).map(|moment| moment.at)
        };
        assert!(first(EventKind::LeaderStarted) > Some(Instant::ZERO), "it is known when");
    }
}
