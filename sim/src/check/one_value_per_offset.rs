//! Does everybody read the same record at an offset? (`BB-inconsistent`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "one_value_per_offset",
    "BB-inconsistent",
    "Whoever reads an offset of a partition, at whatever time, reads the same record.",
);

struct OneValuePerOffset;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(OneValuePerOffset)
}

impl Check for OneValuePerOffset {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::Delivered], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::Delivered { partition: id, offset, epoch, .. } = *event else { return };
        let latest = scene.history.latest;
        let (Some(now), Some(before)) = (latest.record, latest.read_before) else { return };
        let record = |at: u32| &scene.history.records[at as usize];
        if now == before || record(now).value == record(before).value {
            return;
        }
        if scene.cluster.partition(id).is_some_and(|known| {
            let since = record(before).at;
            scene.forgives_loss_at(known, offset, since)
        }) {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, Some(id), |n| {
            let show = |at: u32| scene.history.show(record(at).value);
            (
                format!("two records were read at {} @{offset}", Name(n, id)),
                vec![
                    ("first", show(before)),
                    ("then", format!("{} to {} in epoch {epoch}", show(now), Name(n, node))),
                    ("losses", losses(scene, id, n)),
                ],
            )
        });
    }
}

/// What committed records the partition has lost, for a report.
fn losses(
    scene: Scene<'_>,
    id: trial_model::units::TopicPartition,
    n: &dyn trial_model::event::Names,
) -> String {
    let known = scene.cluster.partition(id).map_or(&[][..], |partition| &partition.losses);
    let told = known.iter().map(|loss| {
        format!("{}s @{}..{} when {} came to lead", loss.by.at, loss.from, loss.to, Name(n, loss.by.node))
    });
    let told: Vec<String> = told.take(2).collect();
    if told.is_empty() { "none were noticed".into() } else { told.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};

    #[test]
    fn two_records_at_one_offset_are_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).send(P1, 1).read(C1, 0, P1, 0).read(C9, 0, P1, 1);
        assert_eq!(bench.fired(), 1);
    }

    /// Broker 1 goes on after broker 2 was elected, and commits a record that is then another's place.
    fn strays(allowed: bool, unclean: bool) -> u64 {
        let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = allowed).begun();
        bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).elected(2, 2, &[2], unclean).leads(2, 2);
        bench.send(P1, 0).send(P1, 1).append(b(1), Leader, 1, 1, 8).hw(1, 1, 2, &[1]);
        bench.read(C1, 1, P1, 0).read(C9, 1, P1, 1);
        bench.fired()
    }

    #[test]
    fn what_a_leader_commits_after_an_unclean_election_is_lost_if_that_is_allowed() {
        assert_eq!((strays(true, true), strays(false, true), strays(true, false)), (0, 1, 1));
    }

    #[test]
    fn what_is_sent_after_the_earlier_leader_has_ended_is_not_lost() {
        let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = true).begun();
        bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).elected(2, 2, &[2], true).leads(2, 2);
        bench.append(b(1), Leader, 1, 1, 8).hw(1, 1, 2, &[1]).send(P1, 0).send(P1, 1);
        bench.read(C1, 1, P1, 0).read(C9, 1, P1, 1);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn the_same_record_read_twice_is_well() {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).send(P1, 1).read(C1, 0, P1, 0).read(C9, 0, P1, 0).read(C9, 1, P1, 1);
        assert_eq!(bench.fired(), 0);
    }
}
