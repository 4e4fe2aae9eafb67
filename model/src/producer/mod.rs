//! How do records get into the log, once each and in order?

pub mod partitioner;

use crate::{
    config::ProducerConfig,
    machine::{Effects, Input, Machine},
    node::Setup,
    time::{Instant, Now},
};

/// See the module.
#[derive(Clone, Debug)]
pub struct Producer {
    setup: Setup,
    config: ProducerConfig,
}

impl Producer {
    /// A process that has not started yet.
    pub fn new(setup: Setup, config: ProducerConfig) -> Producer {
        Producer { setup, config }
    }
}

impl Machine for Producer {
    fn step(&mut self, _now: Now, _input: Input, _effects: &mut Effects) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }
}
