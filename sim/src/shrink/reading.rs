//! What happened in the failing run, and when?

use std::sync::{Arc, Mutex};

use trial_model::time::Instant;

use super::lab::Lab;
use crate::{
    Run, Scenario,
    names::RunNames,
    scenario::values::{AnyKind, PartitionName, WorldKind},
    trace::{Reader, Step, is_chatter},
    world_event::WorldEvent,
};

/// Something that a trigger could wait for.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// When.
    pub at: Instant,
    /// What.
    pub kind: AnyKind,
    /// About which partition.
    pub partition: Option<PartitionName>,
    /// Whether there are so many of these that one more tells nothing.
    pub chatter: bool,
}

struct Listener(Arc<Mutex<Vec<Happening>>>);

impl Listener {
    fn note(&self, happening: Happening) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(happening);
    }
}

impl Reader for Listener {
    fn step(&mut self, step: Step<'_>, names: &RunNames) {
        for event in step.events {
            let partition = event.partition().and_then(|it| {
                let topic = names.topic(it.topic)?.to_string();
                Some(PartitionName { topic, partition: it.partition })
            });
            let kind = AnyKind::Node(event.kind());
            self.note(Happening { at: step.at, kind, partition, chatter: is_chatter(event) });
        }
    }

    fn world(&mut self, at: Instant, event: &WorldEvent, _names: &RunNames) {
        let kind = match event {
            WorldEvent::NodeStarted { .. } => WorldKind::Start,
            WorldEvent::NodeStopped { .. } => WorldKind::Crash,
            WorldEvent::Paused { .. } => WorldKind::Pause,
            WorldEvent::Resumed { .. } => WorldKind::Resume,
            _ => return,
        };
        self.note(Happening { at, kind: AnyKind::World(kind), partition: None, chatter: false });
    }
}

/// The run of a scenario and everything that happened in it, in order.
pub fn read(lab: &mut Lab<'_>, scenario: &Scenario) -> Option<(Run, Vec<Happening>)> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let run = lab.watch(scenario, Box::new(Listener(all.clone())))?;
    let happenings = std::mem::take(&mut *all.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    Some((run, happenings))
}
