//! Does a leader count everybody whom the controller may elect? (`WB-RQS`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "maximal_isr_covers_isr",
    "WB-RQS",
    "A leader moves its high watermark only on a set that contains the ISR the controller has committed (KIP-497).",
);

struct MaximalIsrCoversIsr;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(MaximalIsrCoversIsr)
}

impl Check for MaximalIsrCoversIsr {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::HighWatermarkAdvanced], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::HighWatermarkAdvanced { partition: id, epoch, from, to, isr, .. } = event else { return };
        let Some(partition) = scene.cluster.partition(*id) else { return };
        let Some(truth) = partition.truth.as_ref().filter(|_| partition.is_newest(scene.node, *epoch)) else {
            return;
        };
        if partition.deleted || truth.isr.is_subset(isr) {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, Some(*id), |n| {
            (
                format!(
                    "{} moves the high watermark of {} without asking all of the ISR",
                    Name(n, node),
                    Name(n, *id)
                ),
                vec![
                    ("moved", format!("{} moved the high watermark {from} → {to} on {isr}", Name(n, node))),
                    (
                        "in sync",
                        format!("the controller had committed {} at {}s", truth.isr, partition.truth_since),
                    ),
                    ("missing", truth.isr.minus(isr).to_string()),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};

    #[test]
    fn a_leader_that_forgets_a_member_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2]).hw(1, 1, 1, &[1, 2]);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn more_than_the_isr_and_a_deposed_leader_are_well() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.shrink(1, 1, &[1, 2]).replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]);
        bench.elect(2, 2, &[2, 3]).replicated(1, 1, 8, &[2]).hw(1, 1, 2, &[1, 2]);
        assert_eq!(bench.fired(), 0);
    }
}
