//! Is a committed offset kept until the next one? (`WB-CommitDurable`, `BB-commit-lost`)

use trial_model::{
    event::{Event, EventKind},
    units::Offset,
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "committed_offsets_are_kept",
    "WB-CommitDurable",
    "Whoever asks how far a group has come is told what was acknowledged last before it asked, or something newer.",
);

struct CommittedOffsetsAreKept;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(CommittedOffsetsAreKept)
}

impl Check for CommittedOffsetsAreKept {
    fn hears(&self) -> Hears {
        Hears { before: &[EventKind::CommittedTold], ..Hears::default() }
    }

    fn before(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::CommittedTold { group: id, partition, offset } = event else { return };
        let Some(progress) = scene.cluster.groups.group(id).and_then(|it| it.progress_in(*partition)) else {
            return;
        };
        let asked = progress.asked.iter().find(|(node, _)| *node == scene.node);
        let Some((_, acked)) = asked.copied() else { return };
        // What was acknowledged last by then, and everything that was taken since.
        let known = &progress.commits[acked.saturating_sub(1).min(progress.commits.len())..];
        let fits = |told: Option<Offset>| {
            (acked == 0 && told.is_none())
                || known.iter().any(|it| if it.forgotten { told.is_none() } else { told == Some(it.offset) })
        };
        if fits(*offset) || scene.forgives_group(id) || scene.cluster.is_ambiguous(partition.topic) {
            return;
        }
        let last = acked.checked_sub(1).and_then(|at| progress.commits.get(at)).cloned();
        let node = scene.node;
        found.report(INFO.name, Some(*partition), |n| {
            let told = offset.map_or("has committed nothing".into(), |offset| format!("is at @{offset}"));
            let was = last.map_or("nothing".into(), |it| format!("@{} at {}s, and acknowledged", it.offset, it.at));
            (
                format!("{} is told that {id} {told} in {}", Name(n, node), Name(n, *partition)),
                vec![("committed", was)],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::event::GroupState;

    use super::{super::testing::*, INFO};

    fn committed() -> Bench {
        let mut bench = Bench::of(INFO.name);
        bench.coordinates(1, 4).group(1, 4, GroupState::Stable, 5, &[C1]);
        bench.accepts(1, 4, C1, 5, 10).commit_acked(C1, 10);
        bench
    }

    #[test]
    fn a_commit_that_is_forgotten_is_noticed() {
        let mut bench = committed();
        bench.committed_asked(C9).committed_told(C9, None);
        assert_eq!(bench.fired(), 1);
        bench.accepts(1, 4, C1, 5, 20).commit_acked(C1, 20);
        bench.committed_asked(C9).committed_told(C9, Some(10));
        assert_eq!(bench.fired(), 2);
    }

    #[test]
    fn what_was_not_acknowledged_when_asked_may_be_told_or_not() {
        let mut bench = committed();
        bench.committed_asked(C9).accepts(1, 4, C1, 5, 20).commit_acked(C1, 20).committed_told(C9, Some(10));
        bench.committed_asked(C9).committed_told(C9, Some(20));
        assert_eq!(bench.fired(), 0);
    }

    /// Whoever leads next may have copied it from the old leader, before it heard of any other.
    #[test]
    fn what_a_coordinator_takes_that_has_been_replaced_may_be_told_or_not() {
        for told in [None, Some(10)] {
            let mut bench = Bench::of(INFO.name);
            bench.coordinates(1, 4).group(1, 4, GroupState::Stable, 5, &[C1]).coordinates(2, 5);
            bench.accepts(1, 4, C1, 5, 10).coordinates(3, 6).committed_asked(C9).committed_told(C9, told);
            assert_eq!(bench.fired(), 0);
            bench.committed_asked(C9).committed_told(C9, Some(7));
            assert_eq!(bench.fired(), 1);
        }
        let mut bench = Bench::of(INFO.name);
        bench.coordinates(1, 4).group(1, 4, GroupState::Stable, 5, &[C1]).coordinates(2, 5);
        bench.accepts(1, 4, C1, 5, 10).committed_asked(C9).committed_told(C9, Some(10));
        bench.committed_asked(C9).committed_told(C9, None);
        assert_eq!(bench.fired(), 1, "once it was told, it is there");
    }

    #[test]
    fn who_never_committed_is_nowhere() {
        let mut bench = Bench::of(INFO.name);
        bench.committed_asked(C9).committed_told(C9, None);
        assert_eq!(bench.fired(), 0);
        bench.committed_asked(C9).committed_told(C9, Some(3));
        assert_eq!(bench.fired(), 1);
    }
}
