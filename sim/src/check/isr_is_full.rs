//! Do all replicas come to be in sync again? (`L-isr`)

use trial_model::units::NodeSet;

use super::{Check, CheckInfo, Hears, Scene, Unsettled, liveness, partitions_have_leaders::is_led};

pub(super) const INFO: CheckInfo =
    liveness("isr_is_full", "L-isr", "Every serving replica of a led partition returns to the ISR.");

struct IsrIsFull;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(IsrIsFull)
}

impl Check for IsrIsFull {
    fn hears(&self) -> Hears {
        Hears::default()
    }

    fn unsettled(&self, scene: Scene<'_>) -> Option<Unsettled> {
        scene.cluster.partitions.iter().filter(|partition| !partition.deleted).find_map(|partition| {
            let state = partition.truth.as_ref().filter(|_| is_led(scene, partition))?;
            let stays = |node: &trial_model::units::NodeId| {
                let leaving = scene.cluster.broker(*node).is_some_and(|broker| broker.leaving);
                scene.cluster.serves(*node) && !leaving && !state.isr.contains(*node)
            };
            let out: NodeSet = state.replicas.iter().copied().filter(stays).collect();
            if out.is_empty() {
                return None;
            }
            let views = out.iter().filter_map(|node| {
                let replica = partition.replica(node)?;
                let role = replica.role.map_or("idle", |_| "follows");
                Some(format!("{node} {role} in epoch {}, log ends at {}", replica.epoch, replica.end))
            });
            let leader =
                state.leader.and_then(|leader| partition.replica(leader)).map_or(0, |leader| leader.end.0);
            Some(
                Unsettled::new(format!(
                    "{out} of {} serve and are not in its ISR {}",
                    scene.cluster.called(partition.id),
                    state.isr
                ))
                .of(partition.id)
                .line("outside", views.collect::<Vec<_>>().join(", "))
                .line("leader", format!("epoch {}, log ends at {leader}", state.leader_epoch))
                .line(
                    "since",
                    format!("{}s the ISR is {} elr {}", partition.truth_since, state.isr, state.elr),
                ),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};
    use crate::world_event::{Phase, Stop};

    #[test]
    fn a_replica_that_stays_out_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.phase(Phase::Settle);
        assert!(bench.unsettled().is_empty());
        bench.shrink(1, 1, &[1, 2]).finish();
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_dead_replica_is_not_expected() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.phase(Phase::Settle).stop(b(3), Stop::Crash).shrink(1, 1, &[1, 2]).finish();
        assert_eq!(bench.fired(), 0);
    }
}
