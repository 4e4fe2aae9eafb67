//! A whole Kafka cluster on a simulated network and disk: run it, break it, judge it, replay it.

pub mod scenario;

pub mod clock;
pub mod disk;
pub mod latency;
pub mod network;

pub mod check;
pub mod history;
pub mod mirror;
pub mod world_event;

pub mod digest;
pub mod names;
pub mod trace;
pub mod director;
pub mod world;
pub mod engine;
pub mod panics;
pub mod run;
pub mod simulate;

pub mod bucket;
pub mod explain;
pub mod diff;
pub mod shrink;
pub mod fuzz;
pub mod gate;
pub mod museum;

pub mod report;
pub mod recording;
pub mod real;
pub mod cli;

pub use bucket::Signature;
pub use digest::Digest;
pub use run::{Engine, Options, Run};
pub use scenario::Scenario;
pub use simulate::{nth_seed, simulate};
