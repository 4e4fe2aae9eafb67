//! Does a group never take back how far it has come? (`BB-commit-regress`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::mirror::groups::Commit;

pub(super) const INFO: CheckInfo = safety(
    "committed_offsets_never_go_back",
    "BB-commit-regress",
    "A group's committed offset in a partition never goes back, unless who commits was moved back itself.",
);

struct CommittedOffsetsNeverGoBack;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(CommittedOffsetsNeverGoBack)
}

impl Check for CommittedOffsetsNeverGoBack {
    fn hears(&self) -> Hears {
        Hears { before: &[EventKind::OffsetAccepted], ..Hears::default() }
    }

    fn before(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::OffsetAccepted { group: id, partition, offset, member, generation, by, coordinator, .. } = event
        else {
            return;
        };
        if scene.cluster.groups.is_former(*by, *coordinator) {
            return;
        }
        let Some(group) = scene.cluster.groups.group(id) else { return };
        let Some(progress) = group.progress_in(*partition) else { return };
        // What another coordinator took and told nobody of may never have been committed.
        let counts = |it: &(usize, &Commit)| it.0 < progress.acked || it.1.coordinator == *coordinator;
        let last = progress.commits.iter().enumerate().rev().find(counts).map(|(_, last)| last);
        let Some(last) = last.filter(|last| !last.forgotten && last.offset > *offset) else { return };
        let excused =
            |node| progress.was_moved(node) || progress.is_adrift(node, *offset);
        if group.node_of(member).is_some_and(excused) || scene.forgives_group(id) || scene.cluster.is_ambiguous(partition.topic) {
            return;
        }
        let last = last.clone();
        found.report(INFO.name, Some(*partition), |n| {
            let by = last.by.map_or("nobody".into(), |node| format!("{}", Name(n, node)));
            (
                format!("{id} goes back to @{offset} in {}", Name(n, *partition)),
                vec![
                    ("before", format!("@{}, committed at {}s by {by}", last.offset, last.at)),
                    ("now", format!("@{offset}, committed by {member} in generation {generation}")),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::{Event, GroupState, SeekReason},
        protocol::ErrorCode,
        units::Offset,
    };

    use super::{super::testing::*, INFO};

    fn committed() -> Bench {
        let mut bench = Bench::of(INFO.name);
        bench.coordinates(1, 4).group(1, 4, GroupState::Stable, 5, &[C1]).owns(C1, 5, &[P]);
        bench.accepts(1, 4, C1, 5, 10);
        bench
    }

    #[test]
    fn going_back_is_noticed() {
        let mut bench = committed();
        bench.accepts(1, 4, C1, 5, 10).accepts(1, 4, C1, 5, 9);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn what_the_former_coordinator_told_nobody_of_may_be_lost() {
        let mut bench = committed();
        bench.coordinates(2, 5).group(2, 5, GroupState::Stable, 5, &[C1]).accepts(2, 5, C1, 5, 9);
        assert_eq!(bench.fired(), 0);
        bench.commit_acked(C1, 9).coordinates(3, 6).group(3, 6, GroupState::Stable, 5, &[C1]);
        bench.accepts(3, 6, C1, 5, 8);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn what_its_sender_gave_up_may_arrive_late_and_what_it_says_again_may_not() {
        let mut bench = committed();
        bench.commit_sent(C1, 9).commit_fails(C1, 9, ErrorCode::NetworkException);
        bench.accepts(1, 4, C1, 5, 9);
        assert_eq!(bench.fired(), 0);
        bench.commit_sent(C1, 9).accepts(1, 4, C1, 5, 9).commit_acked(C1, 9).accepts(1, 4, C1, 5, 10);
        bench.accepts(1, 4, C1, 5, 9);
        assert_eq!(bench.fired(), 0, "the one that was given up, again");
        bench.accepts(1, 4, C1, 5, 10).commit_sent(C1, 9).accepts(1, 4, C1, 5, 9);
        assert_eq!(bench.fired(), 1);
    }

    /// It says the same several times, and is answered once before it closes the connection.
    #[test]
    fn of_what_is_said_several_times_each_may_arrive_late() {
        for (given_up, fired) in [(2, 0), (1, 1)] {
            let mut bench = committed();
            bench.commit_sent(C1, 10).commit_sent(C1, 10).commit_sent(C1, 10);
            bench.accepts(1, 4, C1, 5, 10).commit_acked(C1, 10);
            for _ in 0..given_up {
                bench.commit_fails(C1, 10, ErrorCode::NetworkException);
            }
            bench.accepts(1, 4, C1, 5, 12).accepts(1, 4, C1, 5, 10);
            assert_eq!(bench.fired(), fired);
        }
    }

    /// Each record is committed by itself, nothing is answered, and then the connection is gone.
    #[test]
    fn of_however_many_that_are_given_up_each_may_arrive_late() {
        let mut bench = committed();
        for offset in 11..611 {
            bench.commit_sent(C1, offset);
        }
        for offset in 11..611 {
            bench.commit_fails(C1, offset, ErrorCode::NetworkException);
        }
        bench.commit_sent(C1, 610).accepts(1, 4, C1, 5, 610);
        for offset in 11..611 {
            bench.accepts(1, 4, C1, 5, offset);
        }
        assert_eq!(bench.fired(), 0);
        bench.accepts(1, 4, C1, 5, 10);
        assert_eq!(bench.fired(), 1, "that was not given up");
    }

    #[test]
    fn what_a_former_coordinator_takes_is_never_committed() {
        let mut bench = committed();
        bench.coordinates(2, 5).group(2, 5, GroupState::Stable, 6, &[C1]).accepts(2, 5, C1, 6, 12);
        bench.accepts(1, 4, C1, 5, 11);
        assert_eq!(bench.fired(), 0);
        bench.accepts(2, 5, C1, 6, 11);
        assert_eq!(bench.fired(), 1);
    }

    /// A commit that was told nobody of is in the log when the next coordinator reads it.
    #[test]
    fn what_a_coordinator_says_is_committed_is() {
        for (told, fired) in [(9, 0), (10, 1)] {
            let mut bench = committed();
            let why = SeekReason::Truncated;
            bench.commit_acked(C1, 10);
            bench.say(C1, Event::PositionMoved { partition: P, from: Some(Offset(10)), to: Offset(9), why });
            bench.commit_sent(C1, 9).accepts(1, 4, C1, 5, 9).coordinates(2, 5);
            bench.group(2, 5, GroupState::Stable, 6, &[C9]).owns(C9, 6, &[P]).committed_asked(C9);
            bench.committed_told(C9, Some(told)).accepts(2, 5, C9, 6, 9);
            assert_eq!(bench.fired(), fired);
        }
    }

    /// What it could not send for want of a coordinator it sends after it was moved.
    #[test]
    fn what_it_decided_before_it_was_moved_may_be_said_after() {
        for (sent, fired) in [(9, 0), (3, 1)] {
            let mut bench = committed();
            let why = SeekReason::Truncated;
            bench.say(C1, Event::PositionMoved { partition: P, from: Some(Offset(20)), to: Offset(2), why });
            bench.read(C1, 2, P1, 0).commit_sent(C1, sent).accepts(1, 4, C1, 5, 12).commit_acked(C1, sent);
            bench.accepts(1, 4, C1, 5, 3);
            assert_eq!(bench.fired(), fired);
        }
    }

    /// It has a coordinator again only after it was moved, and says all that it could not, and then where it is.
    #[test]
    fn what_it_says_of_where_it_was_moved_to_it_may_have_meant_before() {
        let mut bench = committed();
        let why = SeekReason::Truncated;
        bench.say(C1, Event::PositionMoved { partition: P, from: Some(Offset(13)), to: Offset(12), why });
        for offset in [11, 12, 13, 12] {
            bench.commit_sent(C1, offset);
        }
        for offset in [11, 12, 13, 12] {
            bench.accepts(1, 4, C1, 5, offset).commit_acked(C1, offset);
        }
        assert_eq!(bench.fired(), 0);
        bench.read(C1, 12, P1, 0).commit_sent(C1, 13).accepts(1, 4, C1, 5, 13).commit_acked(C1, 13);
        bench.accepts(1, 4, C1, 5, 12);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn who_was_moved_back_may_say_so_once() {
        let mut bench = committed();
        bench.commit_sent(C1, 9).commit_sent(C1, 10);
        let why = SeekReason::Asked;
        bench.say(C1, Event::PositionMoved { partition: P, from: Some(Offset(10)), to: Offset(2), why });
        bench.accepts(1, 4, C1, 5, 9).accepts(1, 4, C1, 5, 10);
        bench.read(C1, 2, P1, 0).commit_sent(C1, 3).accepts(1, 4, C1, 5, 3);
        assert_eq!(bench.fired(), 0, "what it said before it was moved may come first");
        bench.accepts(1, 4, C1, 5, 3).commit_acked(C1, 3);
        assert_eq!(bench.fired(), 0, "it may have to say it again");
        bench.accepts(1, 4, C1, 5, 2);
        assert_eq!(bench.fired(), 1);
    }
}
