//! Who is told what nodes state, and what becomes of their processes?

use std::{fmt, sync::Arc};

use trial_model::{event::Event, machine::Input, units::NodeId};

/// How a node's process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As it was told to, with everything in order.
    Shutdown,
    /// Its disk failed.
    DiskFailed,
    /// It was killed, or it broke one of its own promises: the log tells which.
    Broken,
}

/// What happens to a node's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It begins.
    Started,
    /// It was killed.
    Crashed,
    /// It has ended by itself.
    Ended(Ended),
    /// It stands still.
    Paused,
    /// It goes on.
    Resumed,
}

type Telling<T> = Option<Arc<dyn Fn(NodeId, T) + Send + Sync>>;
type TellingOf<T> = Option<Arc<dyn Fn(NodeId, &T) + Send + Sync>>;
type TellingOfAll = Option<Arc<dyn Fn(NodeId, &[Event]) + Send + Sync>>;

/// Who is told what happens in a cluster, from whichever thread it happens on. Nobody may wait there: the
/// node does.
#[derive(Clone, Default)]
pub struct Watch {
    events: TellingOf<Event>,
    lives: Telling<Happened>,
    given: TellingOf<Input>,
    stepped: TellingOfAll,
}

impl Watch {
    /// `tell` is called with every event of every node.
    pub fn new(tell: impl Fn(NodeId, &Event) + Send + Sync + 'static) -> Watch {
        Watch { events: Some(Arc::new(tell)), ..Watch::default() }
    }

    /// And `tell` with whatever happens to a process: of its beginning before it takes a step, of its end
    /// when it has taken the last.
    #[must_use]
    pub fn lives(self, tell: impl Fn(NodeId, Happened) + Send + Sync + 'static) -> Watch {
        Watch { lives: Some(Arc::new(tell)), ..self }
    }

    /// And `given` with what a node is about to take a step for, `stepped` with what it then states, if it
    /// states anything: before what it wants is carried out, so that nobody can have heard of it yet.
    #[must_use]
    pub fn steps(
        self,
        given: impl Fn(NodeId, &Input) + Send + Sync + 'static,
        stepped: impl Fn(NodeId, &[Event]) + Send + Sync + 'static,
    ) -> Watch {
        Watch { given: Some(Arc::new(given)), stepped: Some(Arc::new(stepped)), ..self }
    }

    pub(crate) fn given(&self, node: NodeId, input: &Input) {
        if let Some(tell) = &self.given {
            tell(node, input);
        }
    }

    pub(crate) fn stepped(&self, node: NodeId, events: &[Event]) {
        if let Some(tell) = &self.stepped
            && !events.is_empty()
        {
            tell(node, events);
        }
    }

    pub(crate) fn event(&self, node: NodeId, event: &Event) {
        if let Some(tell) = &self.events {
            tell(node, event);
        }
    }

    pub(crate) fn happened(&self, node: NodeId, what: Happened) {
        if let Some(tell) = &self.lives {
            tell(node, what);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("events", &self.events.is_some())
            .field("lives", &self.lives.is_some())
            .field("steps", &self.stepped.is_some())
            .finish()
    }
}
