//! Who decides about the cluster's metadata?

pub mod image;
pub mod record;
mod snapshot;

use crate::{
    config::ControllerConfig,
    machine::{Effects, Input, Machine},
    node::Setup,
    time::{Instant, Now},
};

/// See the module.
#[derive(Clone, Debug)]
pub struct Controller {
    setup: Setup,
    config: ControllerConfig,
}

impl Controller {
    /// A process that has not started yet.
    pub fn new(setup: Setup, config: ControllerConfig) -> Controller {
        Controller { setup, config }
    }
}

impl Machine for Controller {
    fn step(&mut self, _now: Now, _input: Input, _effects: &mut Effects) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }
}
