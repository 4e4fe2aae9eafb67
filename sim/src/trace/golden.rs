//! How does a person read a run? One line for what matters, idle chatter counted.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use trial_model::{
    disk::{Dir, FileName},
    event::{Event, EventKind},
    time::Instant,
};

use super::{Reader, Step};
use crate::{
    names::RunNames,
    world_event::{Stop, WorldEvent},
};

/// Writes a trace that a person can read and that a golden file can hold.
///
/// The first of every chatty kind about every partition is shown; the others are counted until something
/// happens that matters, and told in one line.
#[derive(Default)]
pub struct Golden {
    text: Arc<Mutex<String>>,
    shown: BTreeMap<(EventKind, String), ()>,
    counted: BTreeMap<EventKind, u64>,
}

impl Golden {
    /// A reader, and the text that it writes to.
    pub fn new() -> (Golden, Arc<Mutex<String>>) {
        let golden = Golden::default();
        let text = golden.text.clone();
        (golden, text)
    }

    fn line(&mut self, line: &str) {
        let mut text = self.text.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !self.counted.is_empty() {
            let counts: Vec<String> =
                self.counted.iter().map(|(kind, n)| format!("{} ×{n}", kind.name())).collect();
            let _ = writeln!(text, "             … {}", counts.join(", "));
            self.counted.clear();
        }
        text.push_str(line);
        text.push('\n');
    }
}

/// Whether there are so many of these that only the first is worth a line.
pub fn is_chatter(event: &Event) -> bool {
    matches!(
        event.kind(),
        EventKind::Appended
            | EventKind::Written
            | EventKind::Flushed
            | EventKind::SegmentRolled
            | EventKind::HighWatermarkAdvanced
            | EventKind::HighWatermarkAdopted
            | EventKind::ProduceAnswered
            | EventKind::ReadServed
            | EventKind::FetchRefused
            | EventKind::MetadataApplied
            | EventKind::QuorumHighWatermarkAdvanced
            | EventKind::RecordSent
            | EventKind::RecordAcked
            | EventKind::Delivered
            | EventKind::OffsetListed
            | EventKind::MetadataLearned
            | EventKind::BatchRetried
            | EventKind::RecordFailed
    )
}

/// Whether a group does it so often that a golden file would hold little else; who follows a run wants to see it.
fn is_routine(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::CommitSent | EventKind::CommitAcked | EventKind::OffsetAccepted | EventKind::Processed
    )
}

/// Whether a controller repeats what the active one states.
pub fn is_echo(event: &Event) -> bool {
    match event {
        Event::TopicCreated { active, .. }
        | Event::TopicDeleted { active, .. }
        | Event::LeaderElected { active, .. }
        | Event::IsrShrunk { active, .. }
        | Event::IsrExpanded { active, .. }
        | Event::PartitionChanged { active, .. }
        | Event::BrokerRegistered { active, .. }
        | Event::BrokerFenced { active, .. }
        | Event::BrokerUnfenced { active, .. }
        | Event::BrokerLeaving { active, .. }
        | Event::ProducerIdsAllocated { active, .. } => !active,
        _ => false,
    }
}

impl Reader for Golden {
    fn step(&mut self, step: Step<'_>, names: &RunNames) {
        for event in step.events.iter().filter(|event| !is_echo(event)) {
            let kind = event.kind();
            if is_chatter(event) || is_routine(kind) {
                let about = event.partition().map_or(String::new(), |p| names.partition_name(p));
                if self.shown.insert((kind, about), ()).is_some() {
                    *self.counted.entry(kind).or_default() += 1;
                    continue;
                }
            }
            let node = names.node_name(step.node);
            let line = format!("{} {node:<14} {:<18} {}", short(step.at), kind.name(), event.show(names));
            self.line(line.trim_end());
        }
    }

    fn world(&mut self, at: Instant, event: &WorldEvent, names: &RunNames) {
        let line = format!("{} {}", short(at), world_line(event, names));
        self.line(&line);
    }
}

fn file_name(file: &FileName, names: &RunNames) -> String {
    let whole = file.to_string();
    match (file.dir, whole.split_once('/')) {
        (Dir::Log(partition), Some((_, name))) => format!("{}/{name}", names.partition_name(partition)),
        _ => whole,
    }
}

/// What the world did, in words.
pub fn world_line(event: &WorldEvent, names: &RunNames) -> String {
    let of = |node| names.node_name(node);
    match event {
        WorldEvent::NodeStarted { node } => format!("{:<14} node.start", of(*node)),
        WorldEvent::NodeStopped { node, how, lost_disk } => {
            let how = match how {
                Stop::Crash => "node.crash",
                Stop::PowerLoss => "node.crash         power lost",
                Stop::Halted(_) => "node.stop",
            };
            format!("{:<14} {how}{}", of(*node), if *lost_disk { ", disk lost" } else { "" })
        }
        WorldEvent::Paused { node } => format!("{:<14} node.pause", of(*node)),
        WorldEvent::Resumed { node } => format!("{:<14} node.resume", of(*node)),
        WorldEvent::DiskDamaged { node, hit: None } => format!("{:<14} disk.damage", of(*node)),
        WorldEvent::DiskDamaged { node, hit: Some((file, at)) } => {
            format!("{:<14} disk.damage        {} at byte {at}", of(*node), file_name(file, names))
        }
        WorldEvent::FaultBegan { id, nodes } => {
            let nodes: Vec<String> = nodes.iter().flat_map(|nodes| nodes.iter()).map(of).collect();
            format!("{:<14} fault.begin        {id}: {}", "nemesis", nodes.join(" ")).trim_end().into()
        }
        WorldEvent::FaultEnded { id } => format!("{:<14} fault.end          {id}", "nemesis"),
        WorldEvent::PhaseBegan(phase) => format!("── {}", format!("{phase:?}").to_lowercase()),
    }
}

/// Seconds to the microsecond, aligned.
fn short(at: Instant) -> String {
    format!("{:>11}", at.to_string())
}
