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
            // The older of both is the one that may be lost; it may have been fetched while it was still there.
            let since = record(before).at.min(record(now).at);
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
    use trial_model::{
        event::{Event, LogStartReason},
        units::Offset,
    };

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

    /// One lost record is read from what had been fetched, after another one took its place.
    #[test]
    fn what_is_lost_may_be_read_later_by_who_had_fetched_it() {
        let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = true).begun();
        bench.send(P1, 0).replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]);
        bench.append(b(1), Leader, 1, 1, 8).hw(1, 1, 2, &[1]).elected(2, 2, &[2], true).leads(2, 2);
        bench.wait(1).send(P1, 1).read(C9, 1, P1, 1).read(C1, 1, P1, 0);
        assert_eq!(bench.fired(), 0);
    }

    /// Broker 2, with a record of its own at 0, is elected uncleanly and lacks what is committed from 1 on, or has
    /// something else there; what was before that is deleted.
    #[test]
    fn what_was_deleted_before_the_rest_was_lost_is_gone_with_it() {
        for (deleted, as_long, allowed, fired) in [
            (1, false, true, 0),
            (2, false, true, 0),
            (2, true, true, 0),
            (0, false, false, 1),
            (1, false, false, 1),
            (2, false, false, 1),
            (2, true, false, 1),
        ] {
            let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = allowed).begun();
            bench.send(P1, 0).send(P1, 1).append(b(2), Follower, 0, 0, 9);
            if as_long {
                bench.append(b(2), Follower, 1, 0, 9);
            }
            bench.replicated(0, 1, 7, &[3]).replicated(1, 1, 8, &[3]).hw(1, 1, 2, &[1, 3]).read(C1, 0, P1, 0);
            let (from, to, why) = (Offset(0), Offset(deleted), LogStartReason::DeleteRecords);
            bench.say(b(1), Event::LogStartMoved { partition: P, from, to, why });
            bench.wait(1).elected(2, 2, &[2], true).leads(2, 2).read(C9, 0, P1, 1);
            assert_eq!(bench.fired(), fired);
        }
    }

    /// It hears of its first election when it has been elected once more, or another has.
    #[test]
    fn what_is_lost_by_who_is_elected_uncleanly_and_hears_of_it_late_is_lost() {
        for (unclean, last, fired) in [(true, 2, 0), (true, 3, 0), (false, 3, 1)] {
            let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = true).begun();
            bench.send(P1, 0).send(P1, 1).replicated(0, 1, 7, &[3]).hw(1, 1, 1, &[1, 3]).read(C1, 0, P1, 0);
            bench.wait(1).elected(2, 2, &[2], unclean).elected(last, 4, &[last], last == 2).leads(2, 2);
            bench.append(b(2), Leader, 0, 2, 9).hw(2, 2, 1, &[2]).read(C9, 0, P1, 1);
            assert_eq!(bench.fired(), fired);
        }
    }

    /// Broker 2 is elected, and hears of it when broker 1 has been elected again, which has what was committed before.
    #[test]
    fn what_is_committed_by_who_begins_when_another_has_been_elected_is_lost() {
        for (unclean, behind, fired) in [(true, true, 0), (false, true, 1), (true, false, 1)] {
            let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = true).begun();
            bench.send(P1, 0).send(P1, 1);
            bench.replicated(0, 1, 7, if behind { &[3] } else { &[2, 3] }).hw(1, 1, 1, &[1, 3]).read(C1, 0, P1, 0);
            bench.wait(1).elected(2, 2, &[2], unclean).elected(1, 3, &[1], true).leads(2, 2);
            let next = u64::from(!behind);
            bench.append(b(2), Leader, next, 2, 9).hw(2, 2, next + 1, &[2]).read(C9, 0, P1, 1);
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn the_same_record_read_twice_is_well() {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).send(P1, 1).read(C1, 0, P1, 0).read(C9, 0, P1, 0).read(C9, 1, P1, 1);
        assert_eq!(bench.fired(), 0);
    }
}
