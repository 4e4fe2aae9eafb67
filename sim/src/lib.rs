//! A whole Kafka cluster on a simulated network and disk: run it, break it, judge it, replay it.

pub mod scenario;

pub mod clock;
pub mod disk;
pub mod latency;
pub mod network;

pub mod check;
pub mod world_event;
