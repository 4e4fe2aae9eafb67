//! What is tried, on what cluster, and what must hold: the scenario file.

pub mod diagnostic;
pub mod file;
pub mod load;
mod meaning;
mod text;
pub mod values;

pub use file::Scenario;
pub use load::{Change, Source, load, plain, schema};
