//! Which few events of a run led to its failure?
//!
//! Those that had to come before it and touched what was lost: the partition, the record, who is in sync, who
//! leads, who was registered; and the faults. Of many alike only the last before the wrong decision, and the
//! last before the end, are told.

use std::collections::{BTreeMap, BTreeSet};

use trial_model::{
    event::{Event, QuorumRole, ReplicaRole},
    time::Instant,
    units::{NodeId, NodeRole, NodeSet, Offset},
};

use super::{
    Case,
    focus::Focus,
    record::{Record, Sent, StepId, Taken, What, message},
    wrong::{Place, Wrong, committed_at},
};
use crate::{
    report::words::seconds,
    run::FaultRecord,
    world_event::{Stop, WorldEvent},
};

/// One line of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Instant,
    /// Who: a node, `nemesis`, or a way between two.
    pub who: String,
    /// What happened: an event's kind and what it says.
    pub what: String,
    /// What to notice.
    pub note: String,
    /// Its number in the trace, if it is an event.
    pub entry: Option<usize>,
    /// Where it stands among what happened at the same time: a number in the trace, and before or after it.
    order: (usize, u8),
    /// Whether this is the wrong decision.
    pub wrong: bool,
    /// Whether this is where the promise was seen broken.
    pub broken: bool,
}

/// How much one event says, before others are looked at; nothing of what is not about it.
struct Scale<'a> {
    focus: &'a Focus,
    /// Everybody whose registration, role and death matter.
    nodes: NodeSet,
    /// Whether it is about the controllers.
    quorum: bool,
}

impl Scale<'_> {
    fn weigh(&self, node: NodeId, event: &Event) -> i32 {
        let quorum = |weight: i32| if self.quorum { weight } else { weight / 2 };
        let of_node = |of: &NodeId, weight: i32| if self.nodes.contains(*of) { weight } else { 0 };
        match event {
            Event::BrokerRegistered { broker, .. } => of_node(broker, 50),
            Event::BrokerFenced { broker, .. } => of_node(broker, 50),
            Event::BrokerUnfenced { broker, .. } | Event::BrokerLeaving { broker, .. } => of_node(broker, 42),
            Event::ControllerActivated { .. } => quorum(80),
            Event::ControllerResigned { .. } => quorum(45),
            Event::QuorumLeaderElected { .. } => quorum(85),
            Event::QuorumVoted { .. } => quorum(55),
            Event::QuorumRoleChanged { role, .. } => match role {
                QuorumRole::Leader | QuorumRole::Candidate => quorum(62),
                QuorumRole::Resigned => quorum(50),
                _ => quorum(20),
            },
            Event::QuorumResigned { .. } => quorum(60),
            Event::QuorumHighWatermarkAdvanced { leader, .. } => quorum(if *leader { 48 } else { 10 }),
            Event::SnapshotWritten { .. } | Event::SnapshotLoaded { .. } => quorum(of_node(&node, 56)),
            Event::ProducerIdsAllocated { .. } => quorum(60),
            Event::ProducerEpochRaised { .. } => of_node(&node, 50),
            Event::ProducerIdGiven { .. } => of_node(&node, 36),
            Event::Halted { .. } | Event::DiskFailed { .. } => of_node(&node, 60),
            Event::RecordFailed { .. } => of_node(&node, 34),
            _ if event.group().is_some() && event.group() == self.focus.group.as_ref() => {
                self.of_group(node, event)
            }
            Event::CoordinatorLoaded { partition, .. } | Event::CoordinatorUnloaded { partition, .. }
                if self.focus.group.is_some() || Some(*partition) == self.focus.partition =>
            {
                70
            }
            _ if event.partition().is_some() && event.partition() == self.focus.partition => {
                self.of_partition(node, event)
            }
            _ => 0,
        }
    }

    fn of_group(&self, node: NodeId, event: &Event) -> i32 {
        let named = if self.nodes.contains(node) { 8 } else { 0 };
        let here = event.partition().is_none_or(|id| self.focus.partition.is_none_or(|it| it == id));
        match event {
            Event::MemberRemoved { .. } | Event::MembershipLost { .. } => 66 + named,
            Event::PartitionsOwned { .. } => 64 + named,
            Event::RebalanceStarted { .. } => 58,
            Event::GroupStateChanged { .. } | Event::MemberAdded { .. } => 52,
            Event::GroupJoined { .. } => 48 + named,
            Event::CommittedTold { .. } | Event::CommitFailed { .. } if here => 56 + named,
            Event::CommitAcked { .. } | Event::OffsetForgotten { .. } if here => 62,
            Event::OffsetAccepted { .. } if here => 50,
            Event::CommittedAsked { .. } => 40 + named,
            _ => 0,
        }
    }

    fn of_partition(&self, node: NodeId, event: &Event) -> i32 {
        let lost = self.focus.offset;
        let covers = |from, to| lost.is_some_and(|lost| from <= lost && lost < to);
        let here = |weight, otherwise, from, to| if covers(from, to) { weight } else { otherwise };
        match event {
            Event::LeaderElected { .. } => 90,
            Event::IsrShrunk { .. } | Event::IsrExpanded { .. } => 80,
            Event::LeaderStarted { .. } => 72,
            Event::Truncated { .. } => 80,
            Event::Appended { role, base, end, .. } => {
                here(if *role == ReplicaRole::Leader { 85 } else { 56 }, 0, *base, *end)
            }
            Event::HighWatermarkAdvanced { from, to, .. } => here(76, 20, *from, *to),
            Event::Recovered { .. } => {
                if self.nodes.contains(node) {
                    58
                } else {
                    30
                }
            }
            Event::IsrProposed { .. } => 54,
            Event::IsrAdopted { .. } | Event::DivergenceFound { .. } => 50,
            Event::IsrProposalFailed { .. } => 46,
            Event::ProduceAnswered { base: Some(base), end: Some(end), .. } => here(48, 0, *base, *end),
            Event::DuplicateAnswered { .. } => 60,
            Event::ReadServed { replica, from, end, .. } => {
                here(if *replica { 40 } else { 36 }, 0, *from, *end)
            }
            Event::RecordAcked { offset: Some(offset), .. } => here(74, 0, *offset, offset.next()),
            Event::Delivered { offset, .. } => here(70, 0, *offset, offset.next()),
            Event::BatchRetried { .. } => 44,
            Event::TruncationDetected { .. } => 58,
            Event::PositionMoved { .. } | Event::ReadFailed { .. } => 40,
            Event::OffsetListed { latest: true, .. } => 38,
            Event::MetadataLearned { .. } => 33,
            Event::Processed { from, to, .. } => here(66, 0, *from, *to),
            Event::PartitionChanged { .. } | Event::ReplicaStopped { .. } => 32,
            _ => 0,
        }
    }
}

/// What weighs less is left out even if there is room.
const LEAST: i32 = 34;

/// The chain of a case: at most `depth` lines, in order of time.
pub fn chain(case: &Case, depth: usize) -> Vec<Line> {
    let Case { focus, wrong, .. } = case;
    let wrong_entry = wrong.as_ref().and_then(|wrong| match wrong.place {
        Place::Entry(entry) => Some(entry),
        Place::Step(_) => None,
    });
    let fixed: BTreeSet<usize> = [wrong_entry, wrong.as_ref().and_then(|wrong| wrong.against), focus.anchor]
        .into_iter()
        .flatten()
        .collect();
    let mut messages = Vec::new();
    if let Some(wrong) = wrong {
        messages.extend(late(case, wrong));
        let stands = wrong_entry.unwrap_or(usize::MAX);
        messages.extend(trigger(case, wrong).map(|line| Line { order: (stands, 0), ..line }));
        if let Place::Step(step) = wrong.place {
            messages.push(Line { wrong: true, note: wrong.mark.clone(), ..of_step(case, step) });
        }
    }
    let end = usize::from(focus.anchor.is_none());
    let room = depth.saturating_sub(fixed.len() + messages.len() + end);
    let mut chosen: BTreeSet<usize> = best(case, &fixed, room).into_iter().collect();
    chosen.extend(&fixed);
    let mut lines: Vec<Line> = chosen.iter().filter_map(|entry| of_entry(case, *entry)).collect();
    lines.extend(messages);
    lines.sort_by_key(|line| (line.at, line.order));
    for line in &mut lines {
        if line.entry.is_some() && line.entry == wrong_entry {
            line.wrong = true;
            line.note = wrong.as_ref().map_or(String::new(), |wrong| wrong.mark.clone());
        }
        line.broken = line.entry.is_some() && line.entry == focus.anchor;
    }
    if focus.anchor.is_none() {
        lines.push(Line {
            at: case.violation.at,
            who: "check".into(),
            what: case.violation.headline.clone(),
            note: String::new(),
            entry: None,
            order: (usize::MAX, 1),
            wrong: false,
            broken: true,
        });
    }
    since(&mut lines, wrong.as_ref().and_then(|wrong| wrong.against));
    lines
}

/// Adds to the mark of the wrong decision on which line the other value stands.
fn since(lines: &mut [Line], against: Option<usize>) {
    let Some(nth) = against.and_then(|entry| lines.iter().position(|line| line.entry == Some(entry))) else {
        return;
    };
    if let Some(line) = lines.iter_mut().find(|line| line.wrong) {
        line.note = format!("{} since {}", line.note, nth + 1);
    }
}

/// The entries that say most.
fn best(case: &Case, fixed: &BTreeSet<usize>, room: usize) -> Vec<usize> {
    let Case { record, focus, wrong, violation, .. } = case;
    let mut nodes = focus.nodes.clone();
    wrong.iter().for_each(|wrong| {
        nodes.insert(wrong.node);
    });
    for entry in &record.entries {
        if let Some((_, Event::LeaderElected { partition, state, from, .. })) = entry.event()
            && Some(*partition) == focus.partition
        {
            state.leader.iter().chain(from).for_each(|node| {
                nodes.insert(*node);
            });
        }
    }
    let metadata = focus.partition.is_none_or(|id| id.is_metadata());
    let by_controller = wrong.as_ref().is_some_and(|wrong| wrong.node.role() == NodeRole::Controller);
    let scale = Scale {
        focus,
        quorum: metadata || (by_controller && wrong.as_ref().is_some_and(|w| w.partition.is_none())),
        nodes,
    };
    let pivot = wrong.as_ref().map_or(violation.at, |wrong| wrong.at);
    let from = [
        focus.anchor.and_then(|entry| record.entries[entry].step()),
        wrong.as_ref().map(|wrong| step_of(case, wrong)),
    ];
    let from: Vec<StepId> = from.into_iter().flatten().collect();
    let past = (!from.is_empty()).then(|| record.past_of(&from));
    let last = focus.anchor.unwrap_or(record.entries.len().saturating_sub(1));
    let mut scored: Vec<(i32, usize)> = Vec::new();
    let news = news(record);
    // Backwards, so that how many like it come later is known.
    let mut alike: BTreeMap<(bool, &'static str, Option<NodeId>), i32> = BTreeMap::new();
    for (nth, entry) in record.entries.iter().enumerate().take(last + 1).rev() {
        let after = entry.at > pivot;
        let (mut weight, key) = match &entry.what {
            What::Stated { node, event, .. } => {
                (if news[nth] { scale.weigh(*node, event) } else { 0 }, (after, event.kind().name(), None))
            }
            What::Done(event) => {
                let (weight, kind, node) = of_world(entry.at, event, &scale.nodes);
                (weight, (after, kind, node))
            }
        };
        if weight == 0 || fixed.contains(&nth) {
            continue;
        }
        if let (Some(past), Some(step)) = (&past, entry.step())
            && !past[step]
        {
            weight -= 30;
        }
        // What lies long before the decision rarely has to do with it; what was done to the cluster may.
        if entry.event().is_some() {
            let before = pivot.0.saturating_sub(entry.at.0) / 1_000_000_000;
            weight -= i32::try_from(before.min(4)).unwrap_or(4) * 7;
        }
        let later = alike.entry(key).or_insert(0);
        weight -= 11 * (*later).min(6);
        *later += 1;
        scored.push((weight, nth));
    }
    scored.sort_by_key(|(weight, nth)| (std::cmp::Reverse(*weight), std::cmp::Reverse(*nth)));
    scored.into_iter().filter(|(weight, _)| *weight >= LEAST).take(room).map(|(_, nth)| nth).collect()
}

/// Which entries tell of something for the first time: every controller and broker tells of a committed record.
fn news(record: &Record) -> Vec<bool> {
    let mut newest: Option<(Offset, NodeId)> = None;
    let told = record.entries.iter().map(|entry| {
        let Some((node, at)) = entry.event().and_then(|(node, event)| Some((node, committed_at(event)?)))
        else {
            return true;
        };
        let news = newest.is_none_or(|(known, by)| at > known || (at == known && node == by));
        if news {
            newest = Some((at, node));
        }
        news
    });
    told.collect()
}

fn of_world(at: Instant, event: &WorldEvent, nodes: &NodeSet) -> (i32, &'static str, Option<NodeId>) {
    match event {
        WorldEvent::FaultBegan { nodes: hit, .. } => {
            let touches = hit.as_ref().is_none_or(|hit| hit.iter().any(|node| nodes.contains(node)));
            (if touches { 86 } else { 70 }, "fault", None)
        }
        WorldEvent::NodeStarted { .. } if at == Instant::ZERO => (0, "started", None),
        WorldEvent::NodeStarted { node } => {
            (if nodes.contains(*node) { 36 } else { 0 }, "started", Some(*node))
        }
        WorldEvent::NodeStopped { node, how: Stop::Halted(_), .. } => {
            (if nodes.contains(*node) { 50 } else { 0 }, "stopped", Some(*node))
        }
        WorldEvent::Resumed { node } => (if nodes.contains(*node) { 38 } else { 0 }, "resumed", Some(*node)),
        WorldEvent::DiskDamaged { .. } => (46, "damaged", None),
        _ => (0, "", None),
    }
}

/// The step in which a wrong decision was taken.
pub fn step_of(case: &Case, wrong: &Wrong) -> StepId {
    match wrong.place {
        Place::Entry(entry) => case.record.entries[entry].step().unwrap_or(0),
        Place::Step(step) => step,
    }
}

/// The message that would have told in time, and came too late.
pub fn late(case: &Case, wrong: &Wrong) -> Option<Line> {
    let (told, step) = news_for(case, wrong)?;
    let Taken { at, .. } = case.record.steps[told];
    let sent = case.record.steps[step].at;
    let mut line = of_message(case, told)?;
    line.at = sent;
    line.note = format!("on the wire {}ms", seconds(at.0.saturating_sub(sent.0) * 1_000, 1));
    Some(line)
}

/// The step in which whoever was wrong was told better, after it, and the step that told it, before it.
pub fn news_for(case: &Case, wrong: &Wrong) -> Option<(StepId, StepId)> {
    let record = &case.record;
    let against = wrong.against?;
    let from = record.entries[against].event()?.0;
    if from == wrong.node {
        return None;
    }
    let committed = record.entries[against].at;
    record.steps.iter().enumerate().find_map(|(nth, step)| {
        let cause = step.cause?;
        let by = &record.steps[cause];
        let in_time = by.node == from && by.at >= committed && by.at <= wrong.at;
        (step.node == wrong.node && step.at > wrong.at && in_time && message(step.input).is_some())
            .then_some((nth, cause))
    })
}

/// The message on which the wrong decision was taken.
fn trigger(case: &Case, wrong: &Wrong) -> Option<Line> {
    let step = step_of(case, wrong);
    if matches!(wrong.place, Place::Step(_)) && message(case.record.steps[step].input).is_some() {
        // The line of the step says it.
        return None;
    }
    of_message(case, step)
}

/// The line of a message, where it arrives.
fn of_message(case: &Case, step: StepId) -> Option<Line> {
    let Taken { at, node, input, got, cause, .. } = &case.record.steps[step];
    let (api, from, what) = message(*input)?;
    let name = |node| case.names.node_name(node);
    let detail = got.iter().find_map(|got| match got {
        Sent::Fetch { partition, offset, .. } if case.focus.partition == Some(*partition) => {
            Some(format!(" {} @{offset}", case.names.partition_name(*partition)))
        }
        _ => None,
    });
    let what = if what == "request" { String::new() } else { format!(" {what}") };
    let wire = cause.map(|cause| at.0.saturating_sub(case.record.steps[cause].at.0));
    Some(Line {
        at: *at,
        who: format!("{} → {}", name(from), name(*node)),
        what: format!("{}{what}{}", api.name().to_lowercase(), detail.unwrap_or_default()),
        note: wire.map_or(String::new(), |wire| format!("on the wire {}ms", seconds(wire * 1_000, 1))),
        entry: None,
        order: (usize::MAX, 0),
        wrong: false,
        broken: false,
    })
}

/// The line of a step that stated nothing about it.
fn of_step(case: &Case, step: StepId) -> Line {
    let Taken { at, node, .. } = &case.record.steps[step];
    of_message(case, step).unwrap_or_else(|| Line {
        at: *at,
        who: case.names.node_name(*node),
        what: case.wrong.as_ref().map_or(String::new(), |wrong| {
            let name = format!("{} ", case.names.node_name(*node));
            wrong.what.strip_prefix(&name).unwrap_or(&wrong.what).to_string()
        }),
        note: String::new(),
        entry: None,
        order: (usize::MAX, 0),
        wrong: false,
        broken: false,
    })
}

fn of_entry(case: &Case, nth: usize) -> Option<Line> {
    let entry = &case.record.entries[nth];
    let (who, what, note) = match &entry.what {
        What::Stated { node, event, .. } => {
            let kind = event.kind().name();
            (case.names.node_name(*node), format!("{kind:<14} {}", event.show(&case.names)), noted(event))
        }
        What::Done(event) => done(case, event)?,
    };
    Some(Line {
        at: entry.at,
        who,
        what,
        note,
        entry: Some(nth),
        order: (nth, 1),
        wrong: false,
        broken: false,
    })
}

/// What to notice about an event, besides what it says of itself.
fn noted(event: &Event) -> String {
    match event {
        Event::IsrShrunk { at, .. } | Event::IsrExpanded { at, .. } | Event::LeaderElected { at, .. } => {
            format!("metadata @{at}")
        }
        _ => String::new(),
    }
}

fn done(case: &Case, event: &WorldEvent) -> Option<(String, String, String)> {
    let name = |node: &NodeId| case.names.node_name(*node);
    Some(match event {
        WorldEvent::FaultBegan { id, .. } => {
            let record = case.faults.iter().find(|fault| fault.id == *id);
            ("nemesis".into(), record.map_or_else(|| id.clone(), fault), String::new())
        }
        WorldEvent::NodeStarted { node } => (name(node), "starts again".into(), String::new()),
        WorldEvent::NodeStopped { node, .. } => (name(node), "stops".into(), String::new()),
        WorldEvent::Resumed { node } => (name(node), "goes on".into(), String::new()),
        WorldEvent::Paused { node } => (name(node), "stands still".into(), String::new()),
        WorldEvent::DiskDamaged { node, .. } => (name(node), "its disk is damaged".into(), String::new()),
        _ => return None,
    })
}

/// A fault with how long it lasted: `pause broker-3 for 900ms`.
pub fn fault(fault: &FaultRecord) -> String {
    let lasted = fault.ended.map(|ended| ended.0.saturating_sub(fault.at.0) / 1_000_000);
    match lasted.filter(|_| !fault.what.contains(" for ")) {
        Some(millis) if millis > 0 => format!("{} for {millis}ms", fault.what),
        _ => fault.what.clone(),
    }
}
