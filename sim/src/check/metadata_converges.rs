//! Do all brokers come to see the controller's metadata? (`L-meta`)

use trial_model::units::Offset;

use super::{Check, CheckInfo, Found, Hears, Scene, Unsettled, lag::Lag, liveness};

pub(super) const INFO: CheckInfo =
    liveness("metadata_converges", "L-meta", "Every running broker comes to apply all committed metadata.");

/// The newest metadata record a while ago.
#[derive(Default)]
struct MetadataConverges {
    truth: Lag<Offset>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(MetadataConverges::default())
}

impl Check for MetadataConverges {
    fn hears(&self) -> Hears {
        Hears { ticks: true, ..Hears::default() }
    }

    fn tick(&mut self, scene: Scene<'_>, _found: &mut Found) {
        let truth = scene.cluster.truth.0;
        self.truth.look(scene.at, scene.setup.patience.lag, || truth);
    }

    fn unsettled(&self, scene: Scene<'_>) -> Option<Unsettled> {
        let mark = *self.truth.then(scene.at, scene.setup.patience.lag).filter(|mark| mark.0 > 0)?;
        let behind = |node: &trial_model::units::NodeId| {
            scene.cluster.process(*node).filter(|process| process.well() && process.applied <= mark)
        };
        let brokers = scene.setup.brokers.iter();
        let late: Vec<String> = brokers
            .filter_map(|node| behind(node).map(|process| format!("{node} at {}", process.applied)))
            .collect();
        (!late.is_empty()).then(|| {
            Unsettled::new(format!("brokers are behind with the metadata @{mark}: {}", late.join(", ")))
                .line("behind", late.join(", "))
                .line("since", format!("{}s the newest record was told", scene.cluster.truth_at))
        })
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::Event,
        units::{LeaderEpoch, Offset},
    };

    use super::{super::testing::*, INFO};
    use crate::world_event::Phase;

    fn applied(end: u64) -> Event {
        Event::MetadataApplied {
            end: Offset(end),
            epoch: LeaderEpoch(1),
            fingerprint: end,
            from_snapshot: false,
        }
    }

    #[test]
    fn a_broker_that_stays_behind_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench
            .phase(Phase::Settle)
            .say(b(1), applied(50))
            .say(b(2), applied(50))
            .say(b(3), applied(2))
            .wait(5)
            .finish();
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn brokers_that_have_applied_the_newest_record_are_well() {
        let mut bench = Bench::of(INFO.name);
        let end = bench.next_record().0;
        bench.phase(Phase::Settle);
        (1..=3).for_each(|nth| {
            bench.say(b(nth), applied(end));
        });
        bench.wait(5).finish();
        assert_eq!(bench.fired(), 0);
    }
}
