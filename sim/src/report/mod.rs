//! What is a person, or a machine, told of a run?

pub mod summary;
pub mod human;
pub mod failure;
pub mod ci;
pub mod campaign;
pub mod words;

pub use summary::{Build, Summary, Verdict};
