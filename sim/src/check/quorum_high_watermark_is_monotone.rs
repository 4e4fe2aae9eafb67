//! Does the quorum's high watermark only go forward? (`WB-Raft-HW`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "quorum_high_watermark_is_monotone",
    "WB-Raft-HW",
    "A member's high watermark never moves back, and a leader commits nothing before a record of its own epoch, nor less than its predecessors.",
);

struct QuorumHighWatermarkIsMonotone;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(QuorumHighWatermarkIsMonotone)
}

impl Check for QuorumHighWatermarkIsMonotone {
    fn hears(&self) -> Hears {
        Hears { before: &[EventKind::QuorumHighWatermarkAdvanced], ..Hears::default() }
    }

    fn before(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::QuorumHighWatermarkAdvanced { epoch, from, to, leader, log_end } = *event else { return };
        let (quorum, node) = (&scene.cluster.quorum, scene.node);
        let log = &quorum.log;
        let known = log.replica(node).and_then(|replica| replica.high_watermark);
        let begun = quorum.elections.iter().rev().find(|(known, who, ..)| (*known, *who) == (epoch, node));
        let earlier = log.moved.as_ref().filter(|moved| moved.epoch < epoch);
        let wrong = if to < from || known.is_some_and(|known| to < known) {
            format!("goes back from {} to {to}", known.unwrap_or(from))
        } else if to > log_end {
            format!("{to} lies beyond the log end {log_end}")
        } else if let Some((.., end)) = begun.filter(|(.., end)| leader && to <= *end) {
            format!("{to} is committed, but epoch {epoch} begins at {end}")
        } else if earlier.is_some_and(|moved| leader && log.lost_disks == 0 && to < moved.to) {
            format!("{to} is less than {}, which was committed before", log.high_watermark)
        } else {
            return;
        };
        found.report(INFO.name, Some(log.id), |n| {
            (
                format!("the quorum's high watermark on {} is wrong: {wrong}", Name(n, node)),
                vec![
                    ("moved", format!("{} {from} → {to} in epoch {epoch}", Name(n, node))),
                    ("wrong", wrong),
                    ("committed", format!("up to {}", log.high_watermark)),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};

    #[test]
    fn a_leader_that_commits_before_a_record_of_its_epoch_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench
            .metadata(1, 0, 1, 7)
            .metadata(2, 0, 1, 7)
            .quorum(2, 2)
            .metadata(2, 1, 2, 8)
            .metadata_hw(2, 2, 1, true);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn once_its_own_record_is_committed_so_is_what_was_before() {
        let mut bench = Bench::of(INFO.name);
        bench
            .metadata(1, 0, 1, 7)
            .metadata(2, 0, 1, 7)
            .quorum(2, 2)
            .metadata(2, 1, 2, 8)
            .metadata_hw(2, 2, 2, true);
        bench.metadata_hw(2, 2, 2, true);
        assert_eq!(bench.fired(), 0);
        bench.metadata_hw(2, 2, 1, false);
        assert_eq!(bench.fired(), 1);
    }
}
