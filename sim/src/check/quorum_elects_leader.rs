//! Do the voters agree on a leader again? (`L-raft-leader`)

use super::{Check, CheckInfo, Hears, Scene, Unsettled, liveness};

pub(super) const INFO: CheckInfo = liveness(
    "quorum_elects_leader",
    "L-raft-leader",
    "While a majority of the voters runs, one of them comes to lead and a majority follows it.",
);

struct QuorumElectsLeader;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(QuorumElectsLeader)
}

/// Whether enough voters run to elect a leader.
pub(super) fn can_elect(scene: Scene<'_>) -> bool {
    let quorum = &scene.cluster.quorum;
    quorum.voters.iter().filter(|voter| voter.process.well()).count() >= quorum.majority()
}

impl Check for QuorumElectsLeader {
    fn hears(&self) -> Hears {
        Hears::default()
    }

    fn unsettled(&self, scene: Scene<'_>) -> Option<Unsettled> {
        let quorum = &scene.cluster.quorum;
        if !can_elect(scene) || quorum.leader().is_some() {
            return None;
        }
        let views = quorum.voters.iter().map(|voter| {
            let state = if voter.process.alive { voter.role.to_string() } else { "stopped".into() };
            let leader = voter.leader.map_or("nobody".into(), |leader| leader.to_string());
            format!("{} {state} epoch {} leader {leader}", voter.node, voter.epoch)
        });
        Some(
            Unsettled::new("no voter leads with a majority".into())
                .line("voters", views.collect::<Vec<_>>().join(", "))
                .line("since", format!("{}s disturbed last", scene.cluster.disturbed)),
        )
    }
}

#[cfg(test)]
mod tests {
    use trial_model::event::QuorumRole;

    use super::{super::testing::*, INFO};
    use crate::world_event::{Phase, Stop};

    #[test]
    fn a_quorum_without_leader_is_not_at_rest() {
        let mut bench = Bench::of(INFO.name);
        bench.phase(Phase::Settle);
        assert!(bench.unsettled().is_empty());
        bench.role(1, QuorumRole::Resigned, 1, None);
        assert_eq!(bench.unsettled().len(), 1);
        bench.finish();
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn without_a_majority_nobody_can_lead() {
        let mut bench = Bench::of(INFO.name);
        bench.phase(Phase::Settle).stop(c(1), Stop::Crash).stop(c(2), Stop::Crash).finish();
        assert_eq!(bench.fired(), 0);
    }
}
