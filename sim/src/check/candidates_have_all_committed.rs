//! Has everybody who may be elected everything that was committed? (`WB-LCC`)

use trial_model::{
    event::{Event, EventKind},
    units::NodeId,
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, leader_has_all_committed::moved, safety};
use crate::mirror::Partition;

pub(super) const INFO: CheckInfo = safety(
    "candidates_have_all_committed",
    "WB-LCC",
    "Every serving member of the ISR and of the ELR holds every committed record, unless an unclean election was allowed or min.insync.replicas disks lost records.",
);

struct CandidatesHaveAllCommitted;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(CandidatesHaveAllCommitted)
}

impl Check for CandidatesHaveAllCommitted {
    fn hears(&self) -> Hears {
        Hears {
            after: &[
                EventKind::HighWatermarkAdvanced,
                EventKind::Truncated,
                EventKind::IsrExpanded,
                EventKind::LeaderElected,
                EventKind::PartitionChanged,
                EventKind::BrokerUnfenced,
                EventKind::BrokerEpochReceived,
            ],
            ..Hears::default()
        }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        match event {
            Event::BrokerUnfenced { broker, .. } => all_of(scene, *broker, found),
            Event::BrokerEpochReceived { .. } => all_of(scene, scene.node, found),
            Event::Truncated { partition, .. } => {
                if let Some(partition) = scene.cluster.partition(*partition)
                    && partition.candidates().any(|candidate| candidate == scene.node) {
                        look(scene, partition, scene.node, found);
                    }
            }
            _ => {
                let Some(partition) = event.partition().and_then(|id| scene.cluster.partition(id)) else {
                    return;
                };
                partition.candidates().for_each(|candidate| look(scene, partition, candidate, found));
            }
        }
    }
}

fn all_of(scene: Scene<'_>, broker: NodeId, found: &mut Found) {
    for partition in &scene.cluster.partitions {
        if partition.candidates().any(|candidate| candidate == broker) {
            look(scene, partition, broker, found);
        }
    }
}

fn look(scene: Scene<'_>, partition: &Partition, candidate: NodeId, found: &mut Found) {
    let Some(replica) = partition.replica(candidate).filter(|replica| replica.open) else { return };
    if partition.deleted
        || replica.holds(&partition.trunk, partition.high_watermark)
        || !scene.cluster.serves(candidate)
        || scene.forgives(partition)
        // What an unclean election gave up, the one it elected need not have (`unclean.leader.election.enable`).
        || (partition.rules.may_be_unclean() && partition.conceded)
    {
        return;
    }
    found.report(INFO.name, Some(partition.id), |n| {
        (
            format!(
                "{} could be elected for {} without every committed record",
                Name(n, candidate),
                Name(n, partition.id)
            ),
            vec![
                (
                    "candidate",
                    format!(
                        "{}: its log ends at {}, agrees up to {}",
                        Name(n, candidate),
                        replica.end,
                        replica.agreed
                    ),
                ),
                ("committed", format!("up to {}{}", partition.high_watermark, moved(partition, n))),
                (
                    "in sync",
                    partition
                        .truth
                        .as_ref()
                        .map_or(String::new(), |state| format!("{} elr {}", state.isr, state.elr)),
                ),
                ("lossy", format!("{} restarts lost records on a disk", partition.lossy_restarts)),
            ],
        )
    });
}

#[cfg(test)]
mod tests {
    use trial_model::event::ReplicaRole;

    use super::{super::testing::*, INFO};
    use crate::world_event::Stop;

    #[test]
    fn an_isr_member_without_a_committed_record_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2, 3]).replicated(1, 1, 8, &[2]).hw(1, 1, 2, &[1, 2]);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_member_that_has_left_or_restarts_is_not_counted() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).shrink(1, 1, &[1, 2]);
        bench.replicated(1, 1, 8, &[2]).hw(1, 1, 2, &[1, 2]);
        // Broker 2 comes back without what it had not flushed, and is in the ISR until it registers.
        bench.stop(b(2), Stop::PowerLoss).start(b(2)).recovered(2, 0, None).hw(1, 1, 2, &[1, 2]);
        assert_eq!(bench.fired(), 0);
    }

    /// Broker 3 has left and has not the last record; it is elected all the same, leads or not, and a third
    /// record is committed by then or not.
    fn elected(allowed: bool, unclean: bool, leads: bool) -> u64 {
        let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = allowed).begun();
        bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).shrink(1, 1, &[1, 2]);
        bench.replicated(1, 1, 8, &[2]).hw(1, 1, 2, &[1, 2]).elected(3, 2, &[3], unclean);
        let before = bench.fired();
        if leads {
            // From here on broker 3 says what is committed, and broker 2 lacks it.
            bench.leads(3, 2).append(b(3), ReplicaRole::Leader, 1, 2, 9).expand(3, 2, &[2, 3]);
            bench.hw(3, 2, 2, &[3]);
        }
        bench.fired() - if leads { before } else { 0 }
    }

    #[test]
    fn an_unclean_election_gives_up_what_its_leader_lacks_until_it_leads() {
        assert_eq!(elected(true, true, false), 0);
        assert_eq!(elected(true, false, false), 1, "the controller calls it clean");
        assert_eq!(elected(false, true, false), 1, "the topic does not allow it");
        assert!(elected(true, true, true) > 0, "what is committed afterwards is committed");
    }
}
