//! Is a high watermark within its log, and does a leader's only go forward? (`WB-HW`)

use trial_model::{
    event::{Event, EventKind, LogStartReason, ReplicaRole},
    units::{Offset, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "high_watermark_in_bounds",
    "WB-HW",
    "Log start ≤ high watermark ≤ log end, and a leader's high watermark never moves back in its epoch.",
);

struct HighWatermarkInBounds;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(HighWatermarkInBounds)
}

impl Check for HighWatermarkInBounds {
    fn hears(&self) -> Hears {
        Hears {
            before: &[
                EventKind::HighWatermarkAdvanced,
                EventKind::HighWatermarkAdopted,
                EventKind::LeaderStarted,
                EventKind::LogStartMoved,
            ],
            ..Hears::default()
        }
    }

    fn before(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let partition = event.partition().and_then(|id| scene.cluster.partition(id));
        let replica = partition.and_then(|partition| partition.replica(scene.node));
        match *event {
            Event::HighWatermarkAdvanced { partition, epoch, from, to, log_end, .. } => {
                let led = replica.filter(|own| own.role == Some(ReplicaRole::Leader) && own.epoch == epoch);
                let known = led.and_then(|own| own.high_watermark).unwrap_or(from);
                if to < from || to < known {
                    tell(scene, partition, found, format!("moves back {} → {to}", known.max(from)));
                }
                over(scene, partition, to, log_end, found);
            }
            Event::HighWatermarkAdopted { partition, to, log_end, .. } => {
                over(scene, partition, to, log_end, found)
            }
            Event::LeaderStarted { partition, log_end, high_watermark, .. } => {
                over(scene, partition, high_watermark, log_end, found);
            }
            Event::LogStartMoved { partition, to, why, .. } => {
                let own = matches!(why, LogStartReason::Retention | LogStartReason::DeleteRecords);
                let known = replica.and_then(|own| own.high_watermark).filter(|known| own && to > *known);
                if let Some(known) = known {
                    tell(scene, partition, found, format!("{known} falls before the log start {to}"));
                }
            }
            _ => {}
        }
    }
}

fn over(scene: Scene<'_>, partition: TopicPartition, to: Offset, log_end: Offset, found: &mut Found) {
    if to > log_end {
        tell(scene, partition, found, format!("{to} lies beyond the log end {log_end}"));
    }
}

fn tell(scene: Scene<'_>, id: TopicPartition, found: &mut Found, what: String) {
    found.report(INFO.name, Some(id), |n| {
        (
            format!("the high watermark of {} on {} {what}", Name(n, id), Name(n, scene.node)),
            vec![("replica", Name(n, scene.node).to_string()), ("wrong", what)],
        )
    });
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};

    #[test]
    fn a_leader_whose_high_watermark_goes_back_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2, 3]).replicated(1, 1, 8, &[2, 3]).hw(1, 1, 2, &[1, 2, 3]).hw(
            1,
            1,
            1,
            &[1, 2, 3],
        );
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_follower_that_becomes_leader_with_less_is_well() {
        let mut bench = Bench::of(INFO.name).begun();
        bench
            .replicated(0, 1, 7, &[2, 3])
            .replicated(1, 1, 8, &[2, 3])
            .hw(1, 1, 2, &[1, 2, 3])
            .adopt(2, 1, 1);
        bench.elect(2, 2, &[2, 3]).leads(2, 2).hw(2, 2, 2, &[2, 3]);
        assert_eq!(bench.fired(), 0);
    }

    #[test]
    fn a_high_watermark_beyond_the_log_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[]).adopt(2, 1, 1);
        assert_eq!(bench.fired(), 1);
    }
}
