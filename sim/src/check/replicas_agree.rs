//! Do replicas hold the same records below their high watermarks? (`WB-LM`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "replicas_agree",
    "WB-LM",
    "Any two replicas hold the same records below both their high watermarks.",
);

struct ReplicasAgree;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(ReplicasAgree)
}

impl Check for ReplicasAgree {
    fn hears(&self) -> Hears {
        Hears {
            after: &[
                EventKind::HighWatermarkAdvanced,
                EventKind::HighWatermarkAdopted,
                EventKind::HighWatermarkRestored,
            ],
            ..Hears::default()
        }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let (id, to, epoch) = match *event {
            Event::HighWatermarkAdvanced { partition, epoch, to, .. } => (partition, to, Some(epoch)),
            Event::HighWatermarkAdopted { partition, epoch, to, .. } => (partition, to, Some(epoch)),
            Event::HighWatermarkRestored { partition, to } => (partition, to, None),
            _ => return,
        };
        let Some(partition) = scene.cluster.partition(id).filter(|partition| !partition.deleted) else {
            return;
        };
        let Some(own) = partition.replica(scene.node).and_then(|replica| replica.departs(&partition.trunk))
        else {
            return;
        };
        let lawful = match epoch {
            Some(epoch) => partition.lawful(epoch),
            None => partition.losses.is_empty(),
        };
        if own.base >= to || !lawful {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, Some(id), |n| {
            let other = partition.trunk.at(own.base);
            (
                format!(
                    "{} holds another record of {} @{} than was committed",
                    Name(n, node),
                    Name(n, id),
                    own.base
                ),
                vec![
                    ("own", format!("@{}..{} epoch {} crc {:08x}", own.base, own.end, own.epoch, own.crc)),
                    (
                        "committed",
                        other.map_or("?".into(), |(epoch, crc)| format!("epoch {epoch} crc {crc:08x}")),
                    ),
                    ("below", format!("high watermark {to} of {}", Name(n, node))),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};

    #[test]
    fn a_follower_whose_log_parted_below_its_high_watermark_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2]).append(b(3), Follower, 0, 0, 9).hw(1, 1, 1, &[1, 2]).adopt(3, 1, 1);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_leader_that_has_not_heard_of_an_unclean_election_commits_nothing_any_more() {
        for (unclean, fired) in [(true, 0), (false, 1)] {
            let mut bench = Bench::of(INFO.name).begun();
            bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).elected(2, 2, &[2], unclean).leads(2, 2);
            bench.append(b(2), Leader, 1, 2, 9).hw(2, 2, 2, &[2]).append(b(1), Leader, 1, 1, 8);
            bench.hw(1, 1, 2, &[1]);
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn who_was_elected_uncleanly_and_replaced_before_it_led_need_not_agree() {
        for (allowed, fired) in [(true, 0), (false, 1)] {
            let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = allowed).begun();
            bench.replicated(0, 1, 7, &[3]).hw(1, 1, 1, &[1, 3]);
            bench.elected(2, 2, &[2], true).elected(3, 3, &[3], true).leads(2, 2);
            bench.append(b(2), Leader, 0, 2, 9).hw(2, 2, 1, &[2]);
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn a_log_that_parts_above_the_high_watermark_is_well() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]);
        bench.replicated(1, 1, 8, &[2]).append(b(3), Follower, 1, 0, 9).hw(1, 1, 2, &[1, 2]).adopt(3, 1, 1);
        assert_eq!(bench.fired(), 0);
    }
}
