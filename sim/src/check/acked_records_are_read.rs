//! Has somebody read every acknowledged record by the end? (`BB-unseen`)

use super::{
    Check, CheckInfo, Found, Hears, Name, Scene,
    acked_records_are_readable::{is_binding, is_deleted, is_lost},
    safety,
};
use crate::world_event::Phase;

pub(super) const INFO: CheckInfo = safety(
    "acked_records_are_read",
    "BB-unseen",
    "When the audit is over, somebody has read every record that was acknowledged to acks=all.",
);

struct AckedRecordsAreRead;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(AckedRecordsAreRead)
}

impl Check for AckedRecordsAreRead {
    fn hears(&self) -> Hears {
        Hears::default()
    }

    fn finish(&mut self, scene: Scene<'_>, found: &mut Found) {
        let (phase, since) = scene.cluster.phase;
        if phase != Phase::Audit {
            return;
        }
        // What is proven lost, another check tells; what came while the audit ran, nobody need have read.
        let unseen = scene.history.records.iter().filter(|sent| {
            is_binding(scene, sent) && sent.read_at.is_none() && sent.told < since && !is_lost(scene, sent)
        });
        for sent in unseen {
            let partition = &scene.history.partitions[sent.place as usize];
            let offset = sent.acked_at.unwrap_or_default();
            if scene.forgives_loss_of(INFO.name, sent) || is_deleted(scene, partition, offset) {
                continue;
            }
            found.report(INFO.name, Some(partition.id), |n| {
                (
                    format!("nobody has read an acknowledged record of {}", Name(n, partition.id)),
                    vec![
                        (
                            "unseen",
                            format!(
                                "{} @{offset}  value {}",
                                Name(n, partition.id),
                                scene.history.show(sent.value)
                            ),
                        ),
                        ("acked", format!("{}s → {}", sent.told, Name(n, sent.node))),
                        (
                            "read",
                            format!(
                                "to {}, by the audit to {}",
                                scene.history.read_end(sent.place),
                                partition.audited_to
                            ),
                        ),
                    ],
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};
    use crate::world_event::Phase;

    #[test]
    fn an_acknowledged_record_that_nobody_came_to_read_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench
            .send(P1, 0)
            .send(P1, 1)
            .ack(P1, 0, 0)
            .ack(P1, 1, 1)
            .read(C1, 0, P1, 0)
            .phase(Phase::Audit)
            .finish();
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn what_was_read_or_is_unknown_is_well() {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).send(P1, 1).ack(P1, 0, 0).read(C1, 0, P1, 0).phase(Phase::Audit).finish();
        assert_eq!(bench.fired(), 0);
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).ack(P1, 0, 0).finish();
        assert_eq!(bench.fired(), 0, "there was no audit");
    }
}
