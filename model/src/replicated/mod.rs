//! What is state that is a fold over a log?
//!
//! Deciding looks at the state, may refuse, and changes nothing; applying changes the state and cannot
//! refuse. Whoever holds the log's records holds the state, so a leader that fails takes nothing along.

pub mod shard;

use alloc::vec::Vec;
use core::fmt::Debug;

use crate::units::Offset;

/// State that is a fold over a log: the controller's metadata; later groups and transactions.
pub trait Replicated: Clone + Debug {
    /// What it can be asked to do.
    type Request;
    /// What it answers.
    type Reply: Clone + Debug + Eq;
    /// What its log says.
    type Record: Clone + Debug + Eq;
    /// What one record changed.
    type Change;
    /// What a decision leans on besides the state: configuration, time, chance, who is alive.
    type Context<'a>;

    /// Chooses what to do about a request. Changes nothing: the records of the decision do, once applied.
    fn decide(&self, context: &mut Self::Context<'_>, request: &Self::Request) -> Decision<Self>;

    /// Takes in the record at offset `at`, and says what that changed. Cannot refuse.
    fn apply(&mut self, at: Offset, record: &Self::Record) -> Self::Change;
}

/// What is to be done about a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision<S: Replicated> {
    /// What the log is to say, all of it or nothing.
    pub records: Vec<S::Record>,
    /// What is answered once the log says so.
    pub reply: S::Reply,
}

impl<S: Replicated> Decision<S> {
    /// Writes nothing, and answers `reply` when everything it was chosen from is committed.
    pub fn answer(reply: S::Reply) -> Decision<S> {
        Decision { records: Vec::new(), reply }
    }
}
