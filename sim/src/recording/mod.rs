//! What is left of a cluster that ran in real time, and was it right?
//!
//! A recording is a directory with the scenario and a trace like a simulated run's, only exact: everything
//! that nodes stated and that was done to them, with the time it happened at. It cannot be run again, but the
//! checks and the views read it.

mod judged;
mod read;
mod write;

pub use judged::{Judged, judge};
pub use read::{Entry, Trace, Unreadable, is_one};
pub use write::{Recording, simulated};

/// The trace's name in its directory.
const TRACE: &str = "trace.jsonl.zst";
/// The scenario's.
const SCENARIO: &str = "scenario.json";
