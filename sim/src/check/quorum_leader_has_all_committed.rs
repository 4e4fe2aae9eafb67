//! Has every quorum leader all committed metadata? (`WB-Raft-LC`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "quorum_leader_has_all_committed",
    "WB-Raft-LC",
    "Whoever is elected to lead the quorum holds every committed metadata record, as long as no voter lost its disk.",
);

struct QuorumLeaderHasAllCommitted;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(QuorumLeaderHasAllCommitted)
}

impl Check for QuorumLeaderHasAllCommitted {
    fn hears(&self) -> Hears {
        Hears { before: &[EventKind::QuorumLeaderElected], ..Hears::default() }
    }

    fn before(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::QuorumLeaderElected { epoch, votes, log_end } = event else { return };
        let quorum = &scene.cluster.quorum;
        let log = &quorum.log;
        if log.lost_disks > 0 || quorum.elections.iter().any(|(known, ..)| known > epoch) {
            return;
        }
        let replica = log.replica(scene.node);
        let parts = replica.is_some_and(|replica| replica.parts(&log.trunk));
        if *log_end >= log.high_watermark && !parts {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, Some(log.id), |n| {
            (
                format!("{} leads the quorum without all committed metadata", Name(n, node)),
                vec![
                    (
                        "elected",
                        format!("{} in epoch {epoch} with {votes}, its log ends at {log_end}", Name(n, node)),
                    ),
                    ("committed", format!("up to {}", log.high_watermark)),
                    ("agrees", format!("up to {}", replica.map_or(0, |replica| replica.agreed.0))),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};

    #[test]
    fn a_leader_without_committed_metadata_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.metadata(1, 0, 1, 7).metadata(2, 0, 1, 7).metadata_hw(1, 1, 1, true).quorum(3, 2);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_leader_without_what_was_not_committed_is_well() {
        let mut bench = Bench::of(INFO.name);
        bench
            .metadata(1, 0, 1, 7)
            .metadata(2, 0, 1, 7)
            .metadata(1, 1, 1, 8)
            .metadata_hw(1, 1, 1, true)
            .quorum(2, 2);
        assert_eq!(bench.fired(), 0);
    }
}
