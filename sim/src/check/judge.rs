//! Who looks at what, and when?

use trial_model::{
    event::{Event, Names},
    node::Node,
    time::Instant,
    units::NodeId,
};

use super::{Found, JudgeSetup, Violation};
use crate::world_event::WorldEvent;

/// Watches a run and says which promises it breaks.
pub struct Judge {
    found: Found,
    setup: JudgeSetup,
}

impl Judge {
    /// A judge of a cluster that has not begun.
    pub fn new(setup: JudgeSetup, names: Box<dyn Names>) -> Judge {
        Judge { found: Found::new(names, setup.keep), setup }
    }

    /// Looks into a node right after a step of it that noted `events`. Nodes of one instant may come in any
    /// order; steps of one node come in theirs.
    pub fn inspect(&mut self, _at: Instant, _node: NodeId, _state: &Node, _events: &[Event]) {}

    /// Takes what a node noted in a step. Called at the end of an instant, in the order of `(node, nth)`.
    pub fn step(&mut self, at: Instant, _node: NodeId, _events: &[Event]) {
        self.found.now(at);
    }

    /// Takes what the world did. Called at the end of an instant, before the steps of the instant.
    pub fn world(&mut self, at: Instant, _event: &WorldEvent) {
        self.found.now(at);
    }

    /// Every node has taken its steps of this instant.
    pub fn end_of_instant(&mut self, at: Instant) {
        self.found.now(at);
    }

    /// What the cluster still has to do to be at rest, in causal order: the first line is the root cause.
    /// Empty once everything is well.
    pub fn unsettled(&self) -> Vec<String> {
        Vec::new()
    }

    /// The run is over: judges what can only be judged at the end.
    pub fn finish(&mut self, at: Instant) {
        self.found.now(at);
        let _ = &self.setup;
    }

    /// What was found, in the order it was found; the first few of every check.
    pub fn violations(&self) -> &[Violation] {
        self.found.violations()
    }

    /// How often every check that found something found something.
    pub fn counts(&self) -> &[(&'static str, u64)] {
        self.found.counts()
    }
}
