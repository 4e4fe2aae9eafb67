//! Is nothing committed before it was worked on? (`BB-alo`)

use trial_model::{
    event::{Event, EventKind, SeekReason},
    units::{NodeId, Offset, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::mirror::Lookup;

pub(super) const INFO: CheckInfo = safety(
    "commits_follow_processing",
    "BB-alo",
    "A member commits no record that its application has not worked on, unless the application asks for just that.",
);

/// How far each process may commit.
#[derive(Default)]
struct CommitsFollowProcessing {
    done: Lookup<(NodeId, TopicPartition), Offset>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::<CommitsFollowProcessing>::default()
}

impl Check for CommitsFollowProcessing {
    fn hears(&self) -> Hears {
        Hears {
            after: &[EventKind::PositionMoved, EventKind::Processed, EventKind::CommitSent],
            ..Hears::default()
        }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let node = scene.node;
        match event {
            Event::PositionMoved { partition, to, why: SeekReason::Committed | SeekReason::Reset, .. } => {
                self.done.insert((node, *partition), *to);
            }
            // It may have been moved while it worked on what it had been given before, or while it commits that.
            Event::PositionMoved { partition, to, .. } | Event::Processed { partition, to, .. } => {
                let done = self.done.entry((node, *partition)).or_default();
                *done = (*done).max(*to);
            }
            Event::CommitSent { group, partition, offset, why, .. } => {
                let member = scene.setup.client(node).and_then(|client| client.member.as_ref());
                if member.is_some_and(|member| member.commits_before) && !scene.setup.demands(INFO.name) {
                    return;
                }
                let done = self.done.get(&(node, *partition)).copied().unwrap_or_default();
                // What was cleaned away nobody is given to work on.
                let cleaned = scene.cluster.partition(*partition).map_or(Offset::ZERO, |it| it.trunk.cleaned);
                if *offset <= done.max(cleaned) || scene.cluster.is_ambiguous(partition.topic) {
                    return;
                }
                found.report(INFO.name, Some(*partition), |n| {
                    (
                        format!("{} commits @{offset} of {} for {group} too early", Name(n, node), Name(n, *partition)),
                        vec![
                            ("wrong", format!("its application is done only with what is before @{done}")),
                            ("commit", why.to_string()),
                        ],
                    )
                });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::{Event, SeekReason},
        units::Offset,
    };

    use super::{super::testing::*, INFO};

    #[test]
    fn committing_what_is_still_being_worked_on_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        let (from, to) = (Offset(0), Offset(5));
        let why = SeekReason::Committed;
        bench.say(C1, Event::PositionMoved { partition: P, from: None, to: from, why });
        bench.commit_sent(C1, 0);
        bench.say(C1, Event::Processed { partition: P, from, to }).commit_sent(C1, 5);
        assert_eq!(bench.fired(), 0);
        bench.commit_sent(C1, 6);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn what_was_cleaned_away_nobody_works_on() {
        let mut bench = Bench::of(INFO.name);
        bench.processed(C1, 0, 5).cleans(1, 8).commit_sent(C1, 8);
        assert_eq!(bench.fired(), 0);
        bench.commit_sent(C1, 9);
        assert_eq!(bench.fired(), 1);
    }
}
