//! What must hold of every run? One promise a file; this one is the judge that puts them to work.
//!
//! The engine tells the judge what nodes noted and what the world did to them. The judge keeps a picture of
//! the cluster and of what clients were told, and asks the checks that care. Everything across nodes is
//! looked at in canonical order, `(at, node, nth)`, so that a verdict does not hang on who was polled first.

mod found;
mod setup;
mod judge;

pub use found::{Found, Violation};
pub use judge::Judge;
pub use setup::{ClientInfo, ClientKind, JudgeSetup, Patience, TopicRules};

/// Whether a check says that something bad never happens, or that something good happens in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something bad never happens.
    Safety,
    /// Something good happens within bounded time once faults are over.
    Liveness,
}

/// A check as catalogues and reports show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckInfo {
    /// The name that scenarios and reports use.
    pub name: &'static str,
    /// The code that the literature of this project uses: `WB-LC`.
    pub code: &'static str,
    /// Safety or liveness.
    pub kind: Kind,
    /// What it promises, in a sentence.
    pub about: &'static str,
}
