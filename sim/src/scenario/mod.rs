//! What is tried, on what cluster, and what must hold: the scenario file.

pub mod file;
pub mod names;
pub mod values;

pub use file::Scenario;
