//! Has every partition a leader again? (`L-leader`)

use trial_model::event::ReplicaRole;

use super::{Check, CheckInfo, Hears, Scene, Unsettled, liveness};
use crate::mirror::Partition;

pub(super) const INFO: CheckInfo = liveness(
    "partitions_have_leaders",
    "L-leader",
    "Every partition with a serving replica that may lead gets a leader, and that broker takes the lead.",
);

struct PartitionsHaveLeaders;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(PartitionsHaveLeaders)
}

/// Whether somebody who serves may lead.
pub(super) fn can_be_led(scene: Scene<'_>, partition: &Partition) -> bool {
    let serves =
        |node| scene.cluster.serves(node) && !scene.cluster.broker(node).is_some_and(|broker| broker.leaving);
    partition.candidates().any(serves)
        || (partition.rules.unclean
            && partition.truth.as_ref().is_some_and(|state| state.replicas.iter().any(|node| serves(*node))))
}

/// Whether the leader that the controller named serves and has taken the lead.
pub(super) fn is_led(scene: Scene<'_>, partition: &Partition) -> bool {
    let Some(state) = &partition.truth else { return false };
    state.leader.is_some_and(|leader| {
        let leads = partition.replica(leader).is_some_and(|replica| {
            replica.role == Some(ReplicaRole::Leader) && replica.epoch == state.leader_epoch
        });
        leads && scene.cluster.serves(leader)
    })
}

impl Check for PartitionsHaveLeaders {
    fn hears(&self) -> Hears {
        Hears::default()
    }

    fn unsettled(&self, scene: Scene<'_>) -> Option<Unsettled> {
        let partition = scene.cluster.partitions.iter().find(|partition| {
            !partition.deleted
                && partition.truth.is_some()
                && can_be_led(scene, partition)
                && !is_led(scene, partition)
        })?;
        let state = partition.truth.as_ref()?;
        let leader = state.leader.map_or("nobody".into(), |leader| leader.to_string());
        let serving: Vec<String> = state
            .replicas
            .iter()
            .map(|node| {
                format!("{node}{}", if scene.cluster.serves(*node) { "" } else { " (does not serve)" })
            })
            .collect();
        Some(
            Unsettled::new(format!(
                "{} is led by {leader}, which does not lead it",
                scene.cluster.called(partition.id)
            ))
                .of(partition.id)
                .line(
                    "controller",
                    format!(
                        "leader {leader} epoch {} isr {} elr {}",
                        state.leader_epoch, state.isr, state.elr
                    ),
                )
                .line("replicas", serving.join(", "))
                .line("since", format!("{}s", partition.truth_since)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};
    use crate::world_event::{Phase, Stop};

    #[test]
    fn a_partition_whose_leader_is_dead_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.phase(Phase::Settle);
        assert!(bench.unsettled().is_empty());
        bench.stop(b(1), Stop::Crash).finish();
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn one_that_nobody_may_lead_is_not_expected_to_be_led() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.phase(Phase::Settle).shrink(1, 1, &[1]).stop(b(1), Stop::Crash).finish();
        assert_eq!(bench.fired(), 0);
    }
}
