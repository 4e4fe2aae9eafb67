//! How does a broker stop in an orderly way?
//!
//! It asks the controller to move its leaderships, closes its logs, saves its checkpoints and only then
//! leaves the mark that says so.

use alloc::boxed::Box;

use super::{Broker, startup::encode_marker};
use crate::{
    event::BrokerState,
    machine::{Effects, Halt},
    time::Now,
};

/// How far a shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The logs are being closed.
    Logs,
    /// The checkpoints are being saved.
    Checkpoints,
    /// The mark is being written.
    Marker,
}

impl Broker {
    pub(super) fn begin_shutdown(&mut self, now: Now, effects: &mut Effects) {
        let controlled = self.config.controlled_shutdown_enable;
        let before = self.life.state();
        if self.life.begin_shutdown(controlled, now.monotonic) {
            self.begin_closing(effects);
        } else if self.life.state() != before {
            self.set_state(self.life.state(), effects);
        }
    }

    /// Closes everything. From here on nobody is served.
    pub(super) fn begin_closing(&mut self, effects: &mut Effects) {
        if self.closing.is_some() {
            return;
        }
        let started = self.startup.is_none();
        self.life.shutting_down();
        self.set_state(BrokerState::ShuttingDown, effects);
        self.connections.stop();
        self.fetchers.stop();
        self.timers = Default::default();
        self.purgatory = Default::default();
        self.sessions = Default::default();
        if !started {
            // Its logs were never whole in memory: there is nothing to leave in order, and no mark.
            return self.halt(Halt::Shutdown, effects);
        }
        for slot in self.replicas.slots() {
            if let Some(replica) = self.replicas.get_mut(slot) {
                replica.partition.log.close(&mut effects.disk);
            }
        }
        self.closing = Some(Box::new(Closing::Logs));
    }

    /// Takes the next step of a shutdown once the one before is done.
    pub(super) fn go_on_closing(&mut self, effects: &mut Effects) {
        let Some(stage) = self.closing.as_deref().copied() else { return };
        match stage {
            Closing::Logs if self.replicas.iter().all(|(_, replica)| replica.partition.log.is_closed()) => {
                self.save_everything(effects);
                self.closing = Some(Box::new(Closing::Checkpoints));
            }
            Closing::Checkpoints if self.checkpoints.are_idle() => {
                self.checkpoints.marker.save(encode_marker(self.life.epoch()), &mut effects.disk);
                self.closing = Some(Box::new(Closing::Marker));
            }
            Closing::Marker if self.checkpoints.are_idle() => self.halt(Halt::Shutdown, effects),
            _ => {}
        }
    }
}
