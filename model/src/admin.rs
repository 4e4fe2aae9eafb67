//! How does an operator change the cluster?

use crate::{
    machine::{Effects, Input, Machine},
    node::Setup,
    time::{Instant, Now},
};

/// See the module.
#[derive(Clone, Debug)]
pub struct Admin {
    setup: Setup,
}

impl Admin {
    /// A process that has not started yet.
    pub fn new(setup: Setup) -> Admin {
        Admin { setup }
    }
}

impl Machine for Admin {
    fn step(&mut self, _now: Now, _input: Input, _effects: &mut Effects) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }
}
