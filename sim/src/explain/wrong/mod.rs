//! Which decision was the wrong one?
//!
//! A decision is wrong where a node acts on a value that a committed one already contradicts. What that means
//! is told for each part of the cluster by itself: replicas and their logs, controllers and their quorum,
//! clients, and what somebody should have done and did not. The promises of `check` are asked as well, all of
//! them and of every event. The first that speaks about what was lost is the one: everything after it follows.
//!
//! Nothing here knows which bugs are planted.

mod replica;
mod controller;
mod client;
mod omitted;
mod group;

use std::collections::BTreeMap;

use trial_model::{
    event::{Event, EventKind},
    time::Instant,
    units::{NodeId, TopicPartition},
};

use super::record::{Record, StepId, What};
use crate::{
    check::{Judge, JudgeSetup, Violation},
    mirror::Cluster,
    names::RunNames,
    report::words::seconds,
};

/// Where in a record something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// An event.
    Entry(usize),
    /// A step that stated nothing about it.
    Step(StepId),
}

/// A decision that a committed value contradicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Where it stands.
    pub place: Place,
    /// When it was taken.
    pub at: Instant,
    /// By whom.
    pub node: NodeId,
    /// About which partition, if about one.
    pub partition: Option<TopicPartition>,
    /// What was decided: `broker-1 moved the high watermark 1226 → 1227 on {1,2}`.
    pub what: String,
    /// What contradicts it: `controller-1 had committed {1,2,3} at 3.060s`.
    pub but: String,
    /// The same in a few words, for the margin: `{1,2,3}`.
    pub mark: String,
    /// The event that committed the other value.
    pub against: Option<usize>,
}

/// What is known while a record is read: the cluster before the event that is looked at.
pub(super) struct Scene<'a> {
    record: &'a Record,
    names: &'a RunNames,
    setup: &'a JudgeSetup,
    cluster: &'a Cluster,
    /// The event that last changed a partition's committed state.
    truths: &'a BTreeMap<TopicPartition, usize>,
    /// The event that last moved a partition's high watermark.
    marks: &'a BTreeMap<TopicPartition, usize>,
    at: Instant,
    node: NodeId,
    entry: usize,
    step: StepId,
}

impl Scene<'_> {
    fn name(&self, node: NodeId) -> String {
        self.names.node_name(node)
    }

    fn part(&self, partition: TopicPartition) -> String {
        if partition.is_metadata() { "the metadata log".into() } else { self.names.partition_name(partition) }
    }

    /// `controller-1 had committed {1,2,3} at 3.060s`: who said so, and when.
    fn told(&self, entry: Option<usize>, what: &str) -> String {
        match entry.and_then(|entry| Some((self.record.entries[entry].event()?.0, entry))) {
            Some((node, entry)) => {
                let at = seconds(self.record.entries[entry].at.0, 3);
                format!("{} had committed {what} at {at}s", self.name(node))
            }
            None => format!("{what} was committed"),
        }
    }

    fn wrong(
        &self,
        partition: Option<TopicPartition>,
        what: String,
        but: String,
        mark: String,
        against: Option<usize>,
    ) -> Option<Wrong> {
        let (at, node, place) = (self.at, self.node, Place::Entry(self.entry));
        Some(Wrong { place, at, node, partition, what, but, mark, against })
    }
}

/// Everything wrong in a record, in the order in which it happened.
pub fn suspects(record: &Record, setup: &JudgeSetup, names: &RunNames) -> Vec<Wrong> {
    let mut found = Vec::new();
    let mut cluster = Cluster::new(setup);
    let (mut truths, mut marks) = (BTreeMap::new(), BTreeMap::new());
    let mut replicas = replica::Memory::default();
    let mut controllers = controller::Memory::default();
    let mut clients = client::Memory::default();
    let broken = broken_at(record, setup, names);
    for (nth, entry) in record.entries.iter().enumerate() {
        let (node, step, event) = match &entry.what {
            What::Done(event) => {
                cluster.world(entry.at, event);
                replicas.world(event);
                controllers.world(event);
                clients.world(event);
                continue;
            }
            What::Stated { node, step, event } => (*node, *step, event),
        };
        let news = committed_at(event).is_some_and(|at| cluster.is_news(node, at));
        {
            let scene = Scene {
                record,
                names,
                setup,
                cluster: &cluster,
                truths: &truths,
                marks: &marks,
                at: entry.at,
                node,
                entry: nth,
                step,
            };
            let own = replicas
                .look(&scene, event)
                .or_else(|| controllers.look(&scene, event, news))
                .or_else(|| clients.look(&scene, event));
            let own_says = own.is_some();
            found.extend(own);
            if let Some(violation) = broken.get(&nth).filter(|_| !own_says) {
                found.push(of_check(&scene, violation));
            }
        }
        cluster.apply(entry.at, node, event);
        if let Some(id) = event.partition() {
            if news {
                truths.insert(id, nth);
            }
            if event.kind() == EventKind::HighWatermarkAdvanced {
                marks.insert(id, nth);
            }
        }
    }
    found
}

/// The first wrong decision that can have to do with a violation; `anchor` is where that was seen.
pub fn choose(
    record: &Record,
    setup: &JudgeSetup,
    names: &RunNames,
    violation: &Violation,
    anchor: Option<usize>,
) -> Option<Wrong> {
    let omitted =
        omitted::omitted(record, names, violation).or_else(|| group::omitted(record, names, violation));
    if omitted.is_some() {
        return omitted;
    }
    let past = anchor.and_then(|entry| record.entries[entry].step()).map(|step| record.past_of(&[step]));
    let reaches = |wrong: &Wrong| {
        let step = match wrong.place {
            Place::Entry(entry) => record.entries[entry].step(),
            Place::Step(step) => Some(step),
        };
        match (&past, step) {
            // What another node does at the same instant may be what was noticed.
            (Some(past), Some(step)) => past[step] || wrong.at == violation.at,
            _ => true,
        }
    };
    let about = |wrong: &Wrong| match (wrong.partition, violation.partition) {
        (Some(one), Some(other)) => one == other || one.is_metadata(),
        _ => true,
    };
    let all = suspects(record, setup, names);
    let mut fitting = all.iter().filter(|wrong| wrong.at <= violation.at && about(wrong));
    let first = fitting.clone().find(|wrong| reaches(wrong));
    first.or_else(|| fitting.next()).cloned().or_else(|| itself(record, violation, anchor))
}

/// Where nothing before it was wrong, what the check saw is itself the decision.
fn itself(record: &Record, violation: &Violation, anchor: Option<usize>) -> Option<Wrong> {
    let entry = anchor.filter(|entry| record.entries[*entry].at == violation.at)?;
    let (node, _) = record.entries[entry].event()?;
    let line = says(violation);
    Some(Wrong {
        place: Place::Entry(entry),
        at: violation.at,
        node,
        partition: violation.partition,
        what: violation.headline.clone(),
        but: long(&line),
        mark: short(&line),
        against: None,
    })
}

fn long((label, text): &(&'static str, String)) -> String {
    if label.is_empty() { text.clone() } else { format!("{label}: {text}") }
}

fn short((label, text): &(&'static str, String)) -> String {
    match *label {
        "wrong" | "" => text.clone(),
        label => format!("{label} {text}"),
    }
}

/// What contradicts, by a violation's own word: the line that says it, or else the end of its headline.
fn says(violation: &Violation) -> (&'static str, String) {
    const SAYS: [&str; 9] =
        ["wrong", "in sync", "committed", "counted", "bound", "content", "before", "first", "knew"];
    let said = |label: &&str| violation.lines.iter().find(|(said, text)| said == label && !text.is_empty());
    let tail = || violation.headline.split_once(": ").map(|(_, tail)| ("", tail.to_string()));
    let any = || violation.lines.iter().find(|(_, text)| !text.is_empty()).cloned();
    SAYS.iter().find_map(said).cloned().or_else(tail).or_else(any).unwrap_or_default()
}

/// The violations of all checks, whether or not the scenario names them, by the event at which they were seen.
fn broken_at(record: &Record, setup: &JudgeSetup, names: &RunNames) -> BTreeMap<usize, Violation> {
    let mut broken = BTreeMap::new();
    watch(record, setup, names, |entry, violation| {
        broken.entry(entry).or_insert_with(|| violation.clone());
    });
    broken
}

/// Judges a record again, and tells at which event each violation was seen.
pub(super) fn watch(
    record: &Record,
    setup: &JudgeSetup,
    names: &RunNames,
    mut tell: impl FnMut(usize, &Violation),
) {
    let all = JudgeSetup { only: None, keep: 64, ..setup.clone() };
    let mut judge = Judge::new(all, Box::new(names.clone()));
    let (mut seen, mut now) = (0, Instant::ZERO);
    for (nth, entry) in record.entries.iter().enumerate() {
        if entry.at != now {
            judge.end_of_instant(now);
            now = entry.at;
            let late = &judge.violations()[seen..];
            late.iter().for_each(|violation| tell(last_about(record, nth, violation.partition), violation));
            seen = judge.violations().len();
        }
        match &entry.what {
            What::Done(event) => judge.world(entry.at, event),
            What::Stated { node, event, .. } => judge.step(entry.at, *node, std::slice::from_ref(event)),
        }
        judge.violations()[seen..].iter().for_each(|violation| tell(nth, violation));
        seen = judge.violations().len();
    }
}

/// Of the instant that ended before an entry: its last event about a partition, or else the last that tells of
/// committed metadata, or of a high watermark, or the last of all.
fn last_about(record: &Record, end: usize, partition: Option<TopicPartition>) -> usize {
    let Some(last) = end.checked_sub(1) else { return 0 };
    let instant = || (0..=last).rev().take_while(|nth| record.entries[*nth].at == record.entries[last].at);
    let about = instant().find(|nth| {
        let event = record.entries[*nth].event().map(|(_, event)| event);
        event.is_some_and(|event| partition.is_some() && event.partition() == partition)
    });
    let committed = instant().find(|nth| {
        record.entries[*nth].event().is_some_and(|(_, event)| {
            committed_at(event).is_some() || event.kind() == EventKind::QuorumHighWatermarkAdvanced
        })
    });
    about.or(committed).unwrap_or(last)
}

/// What a check says, as a wrong decision.
fn of_check(scene: &Scene<'_>, violation: &Violation) -> Wrong {
    let line = says(violation);
    // Either what is committed in a log, or who is in sync.
    let of_log = ["committed", "counted", "bound"].contains(&line.0);
    let known = if of_log { scene.marks } else { scene.truths };
    Wrong {
        place: Place::Entry(scene.entry),
        at: scene.at,
        node: scene.node,
        partition: violation.partition,
        what: violation.headline.clone(),
        mark: short(&line),
        but: long(&line),
        against: violation.partition.and_then(|id| known.get(&id).copied()),
    }
}

/// Where the metadata record stands that an event tells of.
pub(super) fn committed_at(event: &Event) -> Option<trial_model::units::Offset> {
    match event {
        Event::LeaderElected { at, .. }
        | Event::IsrShrunk { at, .. }
        | Event::IsrExpanded { at, .. }
        | Event::PartitionChanged { at, .. }
        | Event::BrokerRegistered { at, .. }
        | Event::BrokerFenced { at, .. }
        | Event::BrokerUnfenced { at, .. }
        | Event::BrokerLeaving { at, .. }
        | Event::ProducerIdsAllocated { at, .. }
        | Event::TopicCreated { at, .. }
        | Event::TopicDeleted { at, .. } => Some(*at),
        _ => None,
    }
}
