//! May every running broker serve again? (`L-unfence`)

use trial_model::event::BrokerState;

use super::{Check, CheckInfo, Hears, Scene, Unsettled, liveness};

pub(super) const INFO: CheckInfo = liveness(
    "brokers_are_unfenced",
    "L-unfence",
    "Every running broker registers in its present life and is unfenced, unless an earlier life's registration came so late that it took the id.",
);

struct BrokersAreUnfenced;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(BrokersAreUnfenced)
}

impl Check for BrokersAreUnfenced {
    fn hears(&self) -> Hears {
        Hears::default()
    }

    fn unsettled(&self, scene: Scene<'_>) -> Option<Unsettled> {
        let (node, broker) = scene.cluster.brokers().find(|(_, broker)| {
            let ends = matches!(
                broker.state,
                Some(BrokerState::PendingControlledShutdown | BrokerState::ShuttingDown)
            );
            broker.process.well() && !ends && (!broker.serves() || broker.leaving) && !broker.is_shut_out()
        })?;
        let state = broker.state.map_or("not told".into(), |state| state.to_string());
        let what = if broker.epoch.is_none() || broker.epoch != broker.registered {
            "not registered"
        } else {
            "fenced"
        };
        let epoch = |epoch: Option<trial_model::units::BrokerEpoch>| {
            epoch.map_or("none".into(), |epoch| epoch.to_string())
        };
        Some(
            Unsettled::new(format!("{node} runs and is {what}"))
                .line(
                    "broker",
                    format!("{state}, epoch {}, metadata to {}", epoch(broker.epoch), broker.process.applied),
                )
                .line(
                    "controller",
                    format!(
                        "epoch {}, {}",
                        epoch(broker.registered),
                        if broker.fenced { "fenced" } else { "not fenced" }
                    ),
                ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};
    use crate::world_event::{Phase, Stop};

    #[test]
    fn a_broker_that_stays_fenced_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.phase(Phase::Settle);
        assert!(bench.unsettled().is_empty());
        bench.fence(2).finish();
        assert_eq!(bench.fired(), 1);
    }

    /// Nor does Kafka's ask again.
    #[test]
    fn one_whose_former_life_took_its_id_is_not_expected_back() {
        let mut bench = Bench::of(INFO.name);
        bench.phase(Phase::Settle).start(b(2)).registered(2, 70).fence(2);
        assert_eq!(bench.unsettled().len(), 1, "it does not know of it");
        bench.told_epoch(2);
        assert_eq!(bench.unsettled().len(), 1, "it is fenced");
        bench.registered(2, 60);
        assert!(bench.unsettled().is_empty());
        // The same life under another epoch is another matter (KAFKA-16952).
        bench.registered(2, 70);
        assert_eq!(bench.unsettled().len(), 1);
        bench.registered(2, 60).start(b(2));
        assert_eq!(bench.unsettled().len(), 1, "its next life can ask");
    }

    #[test]
    fn a_stopped_broker_is_not_expected_back() {
        let mut bench = Bench::of(INFO.name);
        bench.phase(Phase::Settle).fence(2).stop(b(2), Stop::Crash).finish();
        assert_eq!(bench.fired(), 0);
        bench.start(b(2));
        assert_eq!(bench.unsettled().len(), 1, "its new life has not registered");
    }
}
