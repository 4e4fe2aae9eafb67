//! Does a broker that is to shut down get there? (`L-shutdown`)

use trial_model::event::BrokerState;

use super::{Check, CheckInfo, Hears, Scene, Unsettled, liveness};

pub(super) const INFO: CheckInfo =
    liveness("shutdown_completes", "L-shutdown", "A broker in controlled shutdown ends its process.");

struct ShutdownCompletes;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(ShutdownCompletes)
}

impl Check for ShutdownCompletes {
    fn hears(&self) -> Hears {
        Hears::default()
    }

    fn unsettled(&self, scene: Scene<'_>) -> Option<Unsettled> {
        let ends = [Some(BrokerState::PendingControlledShutdown), Some(BrokerState::ShuttingDown)];
        let (node, broker) = scene
            .cluster
            .brokers()
            .find(|(_, broker)| broker.process.well() && ends.contains(&broker.state))?;
        let state = broker.state.map_or(String::new(), |state| state.to_string());
        let leads = scene
            .cluster
            .partitions
            .iter()
            .filter(|partition| partition.truth.as_ref().is_some_and(|state| state.leader == Some(node)));
        Some(
            Unsettled::new(format!("{node} is still shutting down"))
                .line("broker", state)
                .line("leads", format!("{} partitions by the controller's word", leads.count())),
        )
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::{BrokerState, Event},
        machine::Halt,
    };

    use super::{super::testing::*, INFO};
    use crate::world_event::{Phase, Stop};

    #[test]
    fn a_shutdown_that_hangs_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.phase(Phase::Settle);
        bench.say(b(1), Event::BrokerStateChanged { state: BrokerState::PendingControlledShutdown });
        assert_eq!(bench.unsettled().len(), 1);
        bench.stop(b(1), Stop::Halted(Halt::Shutdown)).finish();
        assert_eq!(bench.fired(), 0);
    }

    #[test]
    fn one_that_never_ends_is_a_violation() {
        let mut bench = Bench::of(INFO.name);
        bench.say(b(1), Event::BrokerStateChanged { state: BrokerState::ShuttingDown });
        bench.phase(Phase::Settle).finish();
        assert_eq!(bench.fired(), 1);
    }
}
