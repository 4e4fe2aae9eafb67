//! Is a replica that lost records kept out until it has caught up? (`WB-UncleanExcl`)

use trial_model::{
    event::{Event, EventKind},
    units::NodeId,
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::mirror::Partition;

pub(super) const INFO: CheckInfo = safety(
    "unclean_replica_is_excluded",
    "WB-UncleanExcl",
    "With ELR a replica that lost committed records in a restart is in no ISR or ELR and leads nothing until it has caught up (KIP-966).",
);

struct UncleanReplicaIsExcluded;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(UncleanReplicaIsExcluded)
}

impl Check for UncleanReplicaIsExcluded {
    fn hears(&self) -> Hears {
        Hears {
            after: &[EventKind::BrokerUnfenced, EventKind::LeaderElected, EventKind::IsrExpanded],
            ..Hears::default()
        }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        // What a controller that lags tells again was judged when it was news.
        let at = match event {
            Event::BrokerUnfenced { at, .. }
            | Event::LeaderElected { at, .. }
            | Event::IsrExpanded { at, .. } => *at,
            _ => return,
        };
        if !scene.setup.elr || scene.cluster.truth != (at, scene.node) {
            return;
        }
        match event {
            Event::BrokerUnfenced { broker, .. } => {
                for partition in &scene.cluster.partitions {
                    if partition.candidates().any(|candidate| candidate == *broker) {
                        look(scene, partition, *broker, "is let in again", found);
                    }
                }
            }
            Event::LeaderElected { partition, state, unclean: false, .. } => {
                if let (Some(partition), Some(leader)) = (scene.cluster.partition(*partition), state.leader) {
                    look(scene, partition, leader, "is elected", found);
                }
            }
            Event::IsrExpanded { partition, state, from, .. } => {
                if let Some(partition) = scene.cluster.partition(*partition) {
                    for member in state.isr.minus(from).iter() {
                        look(scene, partition, member, "joins the ISR", found);
                    }
                }
            }
            _ => {}
        }
    }
}

fn look(scene: Scene<'_>, partition: &Partition, node: NodeId, what: &str, found: &mut Found) {
    // Until it has registered in its new life, the controller cannot know.
    let Some(replica) = partition.replica(node).filter(|_| scene.cluster.serves(node)) else { return };
    // Whoever was elected uncleanly is alone in sync: it did not catch up, and need not have.
    if partition.deleted
        || partition.is_conceded_to(node)
        || scene.forgives(partition)
        || !replica.lossy
        || replica.opaque
        || replica.agreed >= partition.high_watermark
    {
        return;
    }
    found.report(INFO.name, Some(partition.id), |n| {
        (
            format!(
                "{} {what} for {} although it lost records in a restart",
                Name(n, node),
                Name(n, partition.id)
            ),
            vec![
                (
                    "replica",
                    format!(
                        "{}: its log ends at {}, agrees up to {}",
                        Name(n, node),
                        replica.end,
                        replica.agreed
                    ),
                ),
                ("committed", format!("up to {}", partition.high_watermark)),
            ],
        )
    });
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};
    use crate::world_event::Stop;

    fn lossy(elr: bool) -> Bench {
        let mut bench = Bench::with(INFO.name, |setup| setup.elr = elr).begun();
        bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]);
        bench.stop(b(2), Stop::PowerLoss).start(b(2)).recovered(2, 0, None);
        // The controller does not know yet that it died.
        bench.elect(2, 2, &[2]);
        assert_eq!(bench.fired(), 0);
        bench.elect(1, 3, &[1, 3]).join(2);
        bench
    }

    #[test]
    fn a_replica_that_lost_records_must_not_lead() {
        let mut bench = lossy(true);
        bench.elect(2, 4, &[2]);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn whoever_is_elected_uncleanly_is_in_sync_alone_and_nobody_else_joins_so() {
        let mut bench = lossy(true);
        bench.elected(2, 4, &[2], true).expand(2, 4, &[2]);
        assert_eq!(bench.fired(), 0);
        let mut bench = lossy(true);
        bench.elected(3, 4, &[3], true).expand(3, 4, &[2, 3]);
        assert_eq!(bench.fired(), 1, "it did not catch up with the one that was elected");
    }

    /// It is fenced and let in again before it hears of its election.
    #[test]
    fn whoever_was_elected_uncleanly_may_come_back_as_it_left() {
        for (unclean, fired) in [(true, 0), (false, 1)] {
            let mut bench = lossy(true);
            bench.elected(if unclean { 2 } else { 3 }, 4, &[2], true).unfence(2);
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn once_it_has_caught_up_it_may() {
        let mut bench = lossy(true);
        bench.append(b(2), Follower, 0, 1, 7).elect(2, 4, &[2]);
        assert_eq!(bench.fired(), 0);
        let mut bench = lossy(false);
        bench.elect(2, 4, &[2]);
        assert_eq!(bench.fired(), 0, "nobody promised it without ELR");
    }
}
