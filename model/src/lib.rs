//! The protocol of Kafka as pure state machines, in reading order.
//!
//! No clock, no sockets, no threads, no hash maps, no floats: `core` and `alloc` do not have them. A node is
//! a value, a step is a function; what carries its wishes out is somebody else's (`trial-host`, `trial`).
#![no_std]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

// The contract.
pub mod machine;
pub mod node;
pub mod event;
pub mod units;
pub mod time;
pub mod flat;
pub mod rng;
pub mod disk;
pub mod config;
pub mod museum;

// What nodes say to each other.
pub mod protocol;

// The data plane, from one log up.
pub mod log;
pub mod partition;
pub mod broker;

// The metadata plane.
pub mod quorum;
pub mod replicated;
pub mod controller;

// The coordination plane.
pub mod group;

// The clients.
pub mod client;
pub mod producer;
pub mod consumer;
pub mod admin;
