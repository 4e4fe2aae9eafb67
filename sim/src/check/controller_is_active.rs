//! Is there a controller that works? (`L-controller`)

use super::{Check, CheckInfo, Hears, Scene, Unsettled, liveness, quorum_elects_leader::can_elect};

pub(super) const INFO: CheckInfo = liveness(
    "controller_is_active",
    "L-controller",
    "The leader of the quorum becomes the active controller.",
);

struct ControllerIsActive;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(ControllerIsActive)
}

impl Check for ControllerIsActive {
    fn hears(&self) -> Hears {
        Hears::default()
    }

    fn unsettled(&self, scene: Scene<'_>) -> Option<Unsettled> {
        let leader = scene.cluster.quorum.leader();
        if !can_elect(scene) || leader.is_some_and(|leader| leader.active == Some(leader.epoch)) {
            return None;
        }
        let who = leader
            .map_or("nobody leads".into(), |leader| format!("{} leads epoch {}", leader.node, leader.epoch));
        Some(Unsettled::new("no controller is active".into()).line("quorum", who))
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{event::Event, units::LeaderEpoch};

    use super::{super::testing::*, INFO};
    use crate::world_event::Phase;

    #[test]
    fn a_leader_that_resigned_as_controller_is_not_at_rest() {
        let mut bench = Bench::of(INFO.name);
        bench.phase(Phase::Settle);
        assert!(bench.unsettled().is_empty());
        bench.say(c(1), Event::ControllerResigned { epoch: LeaderEpoch(1) }).finish();
        assert_eq!(bench.fired(), 1);
    }
}
