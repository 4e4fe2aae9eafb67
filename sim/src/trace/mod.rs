//! What happened, step by step? A run is a list of steps; everything people look at is a reading of it.

mod golden;
mod json;

pub use golden::{Golden, is_chatter, is_echo, world_line};
pub use json::JsonLines;
pub(crate) use json::{event_of, header};

use trial_model::{
    event::Event,
    machine::{Disconnect, Input},
    protocol::ApiKey,
    time::Instant,
    units::NodeId,
};

use crate::{names::RunNames, world_event::WorldEvent};

/// One step of one node.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// When.
    pub at: Instant,
    /// Who.
    pub node: NodeId,
    /// Which of its steps, counted over all its lives.
    pub nth: u64,
    /// What happened to it.
    pub input: InputNote,
    /// What it stated.
    pub events: &'a [Event],
}

/// What an input was, without what it carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputNote {
    /// The process started.
    Start,
    /// A request came.
    Request(ApiKey, NodeId),
    /// A response came.
    Response(ApiKey, NodeId),
    /// A connection to a peer is gone.
    Disconnected(NodeId, Disconnect),
    /// A connection from a peer is gone.
    Closed,
    /// The disk answered.
    Disk,
    /// A deadline came.
    Deadline,
    /// It was told something.
    Told,
}

impl From<&Input> for InputNote {
    fn from(input: &Input) -> InputNote {
        match input {
            Input::Start => InputNote::Start,
            Input::Request { from, request, .. } => InputNote::Request(request.api(), *from),
            Input::Response { from, response, .. } => InputNote::Response(response.api(), *from),
            Input::Disconnected { peer, why, .. } => InputNote::Disconnected(*peer, *why),
            Input::Closed { .. } => InputNote::Closed,
            Input::Disk(_) => InputNote::Disk,
            Input::Deadline => InputNote::Deadline,
            Input::Told(_) => InputNote::Told,
        }
    }
}

/// Somebody who reads a run while it happens, in canonical order: by time, then node, then the node's own
/// order.
pub trait Reader: Send {
    /// A step that stated something.
    fn step(&mut self, step: Step<'_>, names: &RunNames);
    /// Something that the world did.
    fn world(&mut self, at: Instant, event: &WorldEvent, names: &RunNames);
}

/// Everybody who reads this run.
#[derive(Default)]
pub struct Recorder {
    readers: Vec<Box<dyn Reader>>,
}

impl Recorder {
    /// Nobody reads.
    pub fn new() -> Recorder {
        Recorder::default()
    }

    /// One reader more.
    pub fn add(&mut self, reader: Box<dyn Reader>) {
        self.readers.push(reader);
    }

    /// Hands a step to every reader.
    pub fn step(&mut self, step: Step<'_>, names: &RunNames) {
        for reader in &mut self.readers {
            reader.step(step, names);
        }
    }

    /// Hands an act of the world to every reader.
    pub fn world(&mut self, at: Instant, event: &WorldEvent, names: &RunNames) {
        for reader in &mut self.readers {
            reader.world(at, event, names);
        }
    }
}
