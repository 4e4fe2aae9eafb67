//! How does a consumer read without missing or repeating a record?

use crate::{
    config::ConsumerConfig,
    machine::{Effects, Input, Machine},
    node::Setup,
    time::{Instant, Now},
};

/// See the module.
#[derive(Clone, Debug)]
pub struct Consumer {
    setup: Setup,
    config: ConsumerConfig,
}

impl Consumer {
    /// A process that has not started yet.
    pub fn new(setup: Setup, config: ConsumerConfig) -> Consumer {
        Consumer { setup, config }
    }
}

impl Machine for Consumer {
    fn step(&mut self, _now: Now, _input: Input, _effects: &mut Effects) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }
}
