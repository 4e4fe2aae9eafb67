//! Does every voter catch up with the metadata log? (`L-raft-voter`)

use trial_model::units::Offset;

use super::{
    Check, CheckInfo, Found, Hears, Scene, Unsettled, lag::Lag, liveness, quorum_elects_leader::can_elect,
};

pub(super) const INFO: CheckInfo = liveness(
    "voters_catch_up",
    "L-raft-voter",
    "Every running voter comes to hold all committed metadata and to know it committed.",
);

/// How far metadata was committed a while ago.
#[derive(Default)]
struct VotersCatchUp {
    committed: Lag<Offset>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(VotersCatchUp::default())
}

impl Check for VotersCatchUp {
    fn hears(&self) -> Hears {
        Hears { ticks: true, ..Hears::default() }
    }

    fn tick(&mut self, scene: Scene<'_>, _found: &mut Found) {
        let committed = scene.cluster.quorum.log.high_watermark;
        self.committed.look(scene.at, scene.setup.patience.lag, || committed);
    }

    fn unsettled(&self, scene: Scene<'_>) -> Option<Unsettled> {
        let mark = *self.committed.then(scene.at, scene.setup.patience.lag)?;
        let quorum = &scene.cluster.quorum;
        let behind = quorum.voters.iter().find(|voter| {
            let end = quorum.log.replica(voter.node).map_or(Offset::ZERO, |replica| replica.end);
            voter.process.well() && (end < mark || voter.high_watermark < mark)
        });
        let voter = behind.filter(|_| can_elect(scene))?;
        let end = quorum.log.replica(voter.node).map_or(0, |replica| replica.end.0);
        let what = format!("{} is behind with the metadata log: {end} of {mark}", voter.node);
        let knows =
            format!("committed up to {}, {} in epoch {}", voter.high_watermark, voter.role, voter.epoch);
        Some(Unsettled::new(what).line("knows", knows))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};
    use crate::world_event::{Phase, Stop};

    fn committed() -> Bench {
        let mut bench = Bench::of(INFO.name);
        bench
            .metadata(1, 0, 1, 7)
            .metadata(2, 0, 1, 7)
            .metadata_hw(1, 1, 1, true)
            .metadata_hw(2, 1, 1, false);
        bench.phase(Phase::Settle);
        bench
    }

    #[test]
    fn a_voter_that_stays_behind_is_noticed() {
        let mut bench = committed();
        assert!(bench.unsettled().is_empty(), "it was committed just now");
        bench.wait(5).finish();
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn one_that_has_caught_up_or_is_stopped_is_well() {
        let mut bench = committed();
        bench.metadata(3, 0, 1, 7).metadata_hw(3, 1, 1, false).wait(5).finish();
        assert_eq!(bench.fired(), 0);
        let mut bench = committed();
        bench.stop(c(3), Stop::Crash).wait(5).finish();
        assert_eq!(bench.fired(), 0);
    }
}
