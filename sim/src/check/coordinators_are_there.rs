//! Is every group looked after? (`L-coord`)

use trial_model::group::OFFSETS_TOPIC;

use super::{
    Check, CheckInfo, Hears, Scene, Unsettled, liveness, partitions_have_leaders::is_led,
};

pub(super) const INFO: CheckInfo = liveness(
    "coordinators_are_there",
    "L-coord",
    "At rest every partition of __consumer_offsets that has a leader has a coordinator, which has read it.",
);

struct CoordinatorsAreThere;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(CoordinatorsAreThere)
}

impl Check for CoordinatorsAreThere {
    fn hears(&self) -> Hears {
        Hears::default()
    }

    fn unsettled(&self, scene: Scene<'_>) -> Option<Unsettled> {
        let cluster = scene.cluster;
        for partition in cluster.partitions.iter().filter(|it| !it.deleted) {
            let ours = cluster.topic_name(partition.id.topic) == Some(OFFSETS_TOPIC);
            if !ours || !is_led(scene, partition) {
                continue;
            }
            let Some(state) = &partition.truth else { continue };
            let (Some(leader), epoch) = (state.leader, state.leader_epoch) else { continue };
            let hosted = cluster.groups.hosted.iter().any(|it| {
                it.until.is_none() && it.partition == partition.id && it.node == leader && it.epoch == epoch
            });
            if !hosted {
                let what = format!("nobody looks after the groups of {}", cluster.called(partition.id));
                let unsettled = Unsettled::new(what).of(partition.id);
                return Some(unsettled.line("leader", format!("{leader}, epoch {epoch}")));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};
    use crate::world_event::Phase;

    #[test]
    fn a_partition_nobody_looks_after_is_named() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.phase(Phase::Settle).named("orders");
        assert_eq!(bench.unsettled(), Vec::<String>::new());
        let mut bench = Bench::of(INFO.name).begun();
        bench.phase(Phase::Settle).named("__consumer_offsets");
        assert_eq!(bench.unsettled().len(), 1);
        bench.hosts(2, 1);
        assert_eq!(bench.unsettled().len(), 1, "broker 1 leads");
        bench.hosts(1, 1);
        assert_eq!(bench.unsettled(), Vec::<String>::new());
    }
}
