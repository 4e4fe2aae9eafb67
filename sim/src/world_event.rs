//! What happens to the nodes from outside, that no node can tell itself?

use serde::{Deserialize, Serialize};
use trial_model::{
    disk::FileName,
    machine::Halt,
    units::{NodeId, NodeSet},
};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It died; the operating system lives on.
    Crash,
    /// The power went: what was not flushed may be gone.
    PowerLoss,
    /// It ended itself.
    Halted(Halt),
}

/// A stretch of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Anything may break.
    Chaos,
    /// What must heal has been healed; the cluster comes to rest.
    Settle,
    /// Fresh clients write to every partition and read everything.
    Audit,
}

/// What the world did to the cluster, or decided about the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorldEvent {
    /// A process began.
    NodeStarted {
        /// Whose.
        node: NodeId,
    },
    /// A process ended.
    NodeStopped {
        /// Whose.
        node: NodeId,
        /// How.
        how: Stop,
        /// Whether its disk was replaced by an empty one.
        lost_disk: bool,
    },
    /// A process stands still.
    Paused {
        /// Whose.
        node: NodeId,
    },
    /// It goes on.
    Resumed {
        /// Whose.
        node: NodeId,
    },
    /// What was written may no longer be what is read: a bad sector, a flipped bit, a disk that lied.
    DiskDamaged {
        /// Whose disk.
        node: NodeId,
        /// Which byte of which file, if it has happened already.
        hit: Option<(FileName, u64)>,
    },
    /// A fault begins.
    FaultBegan {
        /// Its name in the scenario.
        id: String,
        /// Whom it touches; everybody where that is not known.
        nodes: Option<NodeSet>,
    },
    /// A fault ends.
    FaultEnded {
        /// Its name in the scenario.
        id: String,
    },
    /// The run enters a phase.
    PhaseBegan(Phase),
}
