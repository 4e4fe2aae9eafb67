//! Does a follower call only that committed which it shares with its leader? (`WB-HWLM`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "follower_high_watermark_is_shared",
    "WB-HWLM",
    "A follower's high watermark lies within what it shares with the leaders, and never beyond what one of them announced.",
);

struct FollowerHighWatermarkIsShared;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(FollowerHighWatermarkIsShared)
}

impl Check for FollowerHighWatermarkIsShared {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::HighWatermarkAdopted], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::HighWatermarkAdopted { partition: id, epoch, to, .. } = *event else { return };
        let Some(partition) = scene.cluster.partition(id) else { return };
        let Some(replica) = partition.replica(scene.node) else { return };
        if partition.deleted || id.is_metadata() || !partition.lawful(epoch) {
            return;
        }
        let unannounced = to > partition.high_watermark && !partition.leaderships.is_empty();
        let parts = replica.parts(&partition.trunk) && replica.agreed < to;
        if !unannounced && !parts {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, Some(id), |n| {
            (
                format!(
                    "{} takes for committed in {} what it does not share with its leader",
                    Name(n, node),
                    Name(n, id)
                ),
                vec![
                    ("adopted", format!("{to} in epoch {epoch} by {}", Name(n, node))),
                    ("announced", format!("at most {}", partition.high_watermark)),
                    ("shared", format!("up to {}", replica.agreed)),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};

    #[test]
    fn a_high_watermark_that_nobody_announced_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2, 3]).adopt(2, 1, 1);
        assert_eq!(bench.fired(), 1);
    }

    /// Broker 2, elected uncleanly, begins when broker 1 has been elected again, and broker 3 follows it.
    #[test]
    fn who_follows_a_leader_whose_time_is_over_may_have_what_it_has() {
        for (unclean, fired) in [(true, 0), (false, 1)] {
            let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = true).begun();
            bench.replicated(0, 1, 7, &[4]).hw(1, 1, 1, &[1, 4]);
            bench.elected(2, 2, &[2], unclean).elected(1, 3, &[1], true).leads(2, 2);
            bench.append(b(2), Leader, 0, 2, 9).append(b(3), Follower, 0, 2, 9).hw(2, 2, 1, &[2]).adopt(3, 2, 1);
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn an_older_high_watermark_is_well() {
        let mut bench = Bench::of(INFO.name).begun();
        bench
            .replicated(0, 1, 7, &[2, 3])
            .replicated(1, 1, 8, &[2, 3])
            .hw(1, 1, 2, &[1, 2, 3])
            .adopt(2, 1, 1);
        assert_eq!(bench.fired(), 0);
    }
}
