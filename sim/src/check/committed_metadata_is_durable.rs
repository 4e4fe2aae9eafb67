//! Is committed metadata on the platters of a majority? (`WB-Raft-Durability`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "committed_metadata_is_durable",
    "WB-Raft-Durability",
    "What the quorum's leader commits is flushed by a majority of the voters, and stays there.",
);

struct CommittedMetadataIsDurable {
    look: bool,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(CommittedMetadataIsDurable { look: false })
}

impl Check for CommittedMetadataIsDurable {
    fn hears(&self) -> Hears {
        Hears {
            after: &[EventKind::QuorumHighWatermarkAdvanced, EventKind::Recovered],
            truths: true,
            ..Hears::default()
        }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        match event {
            Event::QuorumHighWatermarkAdvanced { leader: true, .. } => self.look = true,
            Event::Recovered { partition, .. } if partition.is_metadata() => judge(scene, found),
            _ => {}
        }
    }

    // At the end of the instant: a step may tell of its flush after what follows from it.
    fn truth(&mut self, scene: Scene<'_>, found: &mut Found) {
        if std::mem::take(&mut self.look) {
            judge(scene, found);
        }
    }
}

fn judge(scene: Scene<'_>, found: &mut Found) {
    let quorum = &scene.cluster.quorum;
    let (log, committed) = (&quorum.log, quorum.log.high_watermark);
    if committed.0 == 0 {
        return;
    }
    let copies = quorum.voters.iter().filter_map(|voter| log.replica(voter.node));
    let durable = copies.clone().filter(|replica| {
        // A snapshot that took the log's place stands for what was before its start.
        let has = replica.opaque || replica.flushed.max(replica.start) >= committed;
        has && !replica.parts(&log.trunk)
    });
    let durable = durable.count() + log.lost_disks as usize;
    if durable >= quorum.majority() {
        return;
    }
    found.report(INFO.name, Some(log.id), |n| {
        let flushed = copies.map(|replica| format!("{} to {}", Name(n, replica.node), replica.flushed));
        (
            format!("committed metadata is flushed by {durable} of {} voters", quorum.voters.len()),
            vec![
                ("committed", format!("up to {committed}")),
                ("flushed", flushed.collect::<Vec<_>>().join(", ")),
            ],
        )
    });
}

#[cfg(test)]
mod tests {
    use trial_model::units::TopicPartition;

    use super::{super::testing::*, INFO};

    const METADATA: TopicPartition = TopicPartition::METADATA;

    #[test]
    fn committing_what_only_one_has_flushed_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.metadata(1, 0, 1, 7).metadata(2, 0, 1, 7).flushed(c(1), METADATA, 1).metadata_hw(1, 1, 1, true);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_majority_that_has_flushed_is_enough() {
        let mut bench = Bench::of(INFO.name);
        bench.metadata(1, 0, 1, 7).metadata(2, 0, 1, 7).flushed(c(1), METADATA, 1).flushed(c(2), METADATA, 1);
        bench.metadata_hw(1, 1, 1, true);
        assert_eq!(bench.fired(), 0);
    }
}
