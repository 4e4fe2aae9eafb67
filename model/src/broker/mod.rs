//! How does a broker serve its partitions?

use crate::{
    config::BrokerConfig,
    machine::{Effects, Input, Machine},
    node::Setup,
    time::{Instant, Now},
};

/// See the module.
#[derive(Clone, Debug)]
pub struct Broker {
    setup: Setup,
    config: BrokerConfig,
}

impl Broker {
    /// A process that has not started yet.
    pub fn new(setup: Setup, config: BrokerConfig) -> Broker {
        Broker { setup, config }
    }
}

impl Machine for Broker {
    fn step(&mut self, _now: Now, _input: Input, _effects: &mut Effects) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }
}
