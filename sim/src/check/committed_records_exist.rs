//! Is every committed record somewhere? (`WB-NoLoss`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

use crate::{mirror::Partition, world_event::WorldEvent};

pub(super) const INFO: CheckInfo = safety(
    "committed_records_exist",
    "WB-NoLoss",
    "Every committed record is on some replica, running or not, as long as fewer disks lost records than min.insync.replicas.",
);

struct CommittedRecordsExist;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(CommittedRecordsExist)
}

impl Check for CommittedRecordsExist {
    fn hears(&self) -> Hears {
        Hears {
            after: &[EventKind::Truncated, EventKind::Recovered, EventKind::ReplicaStopped],
            ..Hears::default()
        }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        if let Some(partition) = event.partition().and_then(|id| scene.cluster.partition(id)) {
            look(partition, found);
        }
    }

    fn world(&mut self, scene: Scene<'_>, event: &WorldEvent, found: &mut Found) {
        if let WorldEvent::NodeStopped { lost_disk: true, .. } = event {
            scene.cluster.partitions.iter().for_each(|partition| look(partition, found));
        }
    }
}

fn look(partition: &Partition, found: &mut Found) {
    let excused = partition.deleted
        || partition.id.is_metadata()
        || partition.lossy_restarts as usize >= partition.min_insync()
        || (partition.rules.may_be_unclean() && partition.conceded)
        || partition.trunk.end <= partition.trunk.start;
    if excused
        || partition.replicas.iter().any(|replica| replica.holds(&partition.trunk, partition.high_watermark))
    {
        return;
    }
    found.report(INFO.name, Some(partition.id), |n| {
        let kept = partition
            .replicas
            .iter()
            .map(|replica| format!("{} to {}", Name(n, replica.node), replica.agreed));
        (
            format!("committed records of {} are on no replica", Name(n, partition.id)),
            vec![
                ("committed", format!("up to {}", partition.high_watermark)),
                ("kept", kept.collect::<Vec<_>>().join(", ")),
                ("lossy", format!("{} restarts lost records on a disk", partition.lossy_restarts)),
            ],
        )
    });
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};
    use crate::world_event::Stop;

    #[test]
    fn a_disk_counts_that_lost_a_record_before_it_was_committed_with_it() {
        for (counted, fired) in [([1, 2], 0), ([1, 3], 1)] {
            let mut bench = Bench::of(INFO.name).begun();
            bench.replicated(0, 1, 7, &[2]).stop(b(2), Stop::PowerLoss).start(b(2)).recovered(2, 0, None);
            bench.hw(1, 1, 1, &counted).stop(b(1), Stop::PowerLoss).start(b(1)).recovered(1, 0, None);
            assert_eq!(bench.fired(), fired, "min.insync.replicas is 2");
        }
    }

    #[test]
    fn the_last_copy_of_a_committed_record_must_not_go() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2]).hw(1, 1, 1, &[1, 2]).truncate(1, 0, 0);
        assert_eq!(bench.fired(), 0, "broker 2 has it");
        bench.truncate(2, 0, 0);
        assert_eq!(bench.fired(), 1);
    }
}
