//! Is what a leader calls committed the same on everybody it counted? (`WB-StrongIsr`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "isr_members_agree",
    "WB-StrongIsr",
    "What a leader calls committed is present and equal on every running replica that it counted and on every serving ISR member.",
);

struct IsrMembersAgree;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(IsrMembersAgree)
}

impl Check for IsrMembersAgree {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::HighWatermarkAdvanced], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::HighWatermarkAdvanced { partition: id, epoch, to, isr, .. } = event else { return };
        let Some(partition) = scene.cluster.partition(*id).filter(|partition| !partition.deleted) else {
            return;
        };
        if !partition.lawful(*epoch) {
            return;
        }
        for member in isr.iter().filter(|member| *member != scene.node) {
            let Some(replica) = partition.replica(member) else { continue };
            // Who lost its tail in a restart, or follows a newer leader, is counted by what it had.
            let moved_on = replica.epoch > *epoch || replica.lost_to.is_some_and(|lost| lost >= *to);
            if !replica.open || replica.opaque || moved_on || replica.holds(&partition.trunk, *to) {
                continue;
            }
            let node = scene.node;
            found.report(INFO.name, Some(*id), |n| {
                let parts = replica.parts(&partition.trunk);
                (
                    format!(
                        "{} commits records of {} that {} does not have",
                        Name(n, node),
                        Name(n, *id),
                        Name(n, member)
                    ),
                    vec![
                        ("committed", format!("up to {to} by {} in epoch {epoch} on {isr}", Name(n, node))),
                        (
                            "counted",
                            format!(
                                "{}: its log ends at {}, agrees up to {}",
                                Name(n, member),
                                replica.end,
                                replica.agreed
                            ),
                        ),
                        (
                            "content",
                            if parts { "another record stands there" } else { "nothing stands there" }.into(),
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

    #[test]
    fn counting_a_replica_that_has_another_record_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.append(b(1), Leader, 0, 1, 7).append(b(2), Follower, 0, 0, 9).append(b(3), Follower, 0, 1, 7);
        bench.hw(1, 1, 1, &[1, 2, 3]);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn counting_who_had_it_before_a_newer_leader_is_well() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2, 3]).replicated(1, 1, 8, &[3]);
        bench.elect(2, 2, &[2, 3]).leads(2, 2).follows(3, 2, 2).truncate(3, 1, 0).hw(1, 1, 1, &[1, 2, 3]);
        assert_eq!(bench.fired(), 0);
    }
}
