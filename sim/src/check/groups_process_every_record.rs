//! Does somebody in a group work on every record that the group says it is past? (`BB-alo`)

use trial_model::units::{GroupId, Offset};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, acked_records_are_readable::is_deleted, safety};
use crate::mirror::groups::{Commit, Group, Progress};

pub(super) const INFO: CheckInfo = safety(
    "groups_process_every_record",
    "BB-alo-end",
    "Of every record before a group's committed offset some member's application was done with it, unless it was jumped over when asked to.",
);

struct GroupsProcessEveryRecord;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(GroupsProcessEveryRecord)
}

impl Check for GroupsProcessEveryRecord {
    fn hears(&self) -> Hears {
        Hears::default()
    }

    fn finish(&mut self, scene: Scene<'_>, found: &mut Found) {
        for group in &scene.cluster.groups.all {
            if !commits_after(scene, &group.id) && !scene.setup.demands(INFO.name) {
                continue;
            }
            for progress in &group.progress {
                self.look(scene, group, progress, found);
            }
        }
    }
}

/// Whether every member of a group commits only what its application is done with.
fn commits_after(scene: Scene<'_>, group: &GroupId) -> bool {
    let members = scene.setup.clients.iter().filter_map(|client| client.member.as_ref());
    members.filter(|member| member.group == *group).all(|member| !member.commits_before)
}

impl GroupsProcessEveryRecord {
    fn look(&self, scene: Scene<'_>, group: &Group, progress: &Progress, found: &mut Found) {
        let stands = |commit: &&Commit| !commit.forgotten && !commit.doubtful;
        let Some(last) = progress.commits.iter().rev().find(stands) else { return };
        let Some(place) = scene.history.partitions.iter().position(|it| it.id == progress.partition) else {
            return;
        };
        let place = place as u32;
        let partition = &scene.history.partitions[place as usize];
        let began = progress.began.unwrap_or(Offset::ZERO);
        let covered = |offset: Offset| {
            let inside = |(from, to): &(Offset, Offset)| *from <= offset && offset < *to;
            progress.processed.iter().chain(&progress.jumped).any(inside)
        };
        let missed = scene
            .history
            .reads(place)
            .map(|(offset, _)| offset)
            .filter(|offset| *offset >= began && *offset < last.offset && !covered(*offset))
            .find(|offset| !is_deleted(scene, partition, *offset));
        let Some(missed) = missed else { return };
        if scene.cluster.partition(partition.id).is_none_or(|it| !it.losses.is_empty())
            || scene.cluster.is_ambiguous(partition.id.topic) {
            return;
        }
        let value = scene.history.read(place, missed).map(|at| scene.history.records[at as usize].value);
        found.report(INFO.name, Some(partition.id), |n| {
            let value = value.map_or(String::new(), |value| format!(" = {}", scene.history.show(value)));
            (
                format!("{} has lost a record of {}", group.id, Name(n, partition.id)),
                vec![
                    ("lost", format!("@{missed}{value}, with which nobody was ever done")),
                    ("committed", format!("{}s  @{}", last.at, last.offset)),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::{Event, GroupState, SeekReason},
        units::Offset,
    };

    use super::{super::testing::*, INFO};

    /// Three records, of which one member of a group is done with the first.
    fn begun() -> Bench {
        let mut bench = Bench::of(INFO.name).begun();
        bench.send(P1, 0).send(P1, 1).send(P1, 2);
        bench.read(C9, 0, P1, 0).read(C9, 1, P1, 1).read(C9, 2, P1, 2);
        bench.coordinates(1, 4).group(1, 4, GroupState::Stable, 5, &[C1]).owns(C1, 5, &[P]);
        bench.processed(C1, 0, 1);
        bench
    }

    #[test]
    fn a_record_nobody_was_done_with_is_noticed() {
        let mut bench = begun();
        bench.accepts(1, 4, C1, 5, 2).finish();
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn what_was_done_or_jumped_over_is_well() {
        let mut bench = begun();
        bench.processed(C1, 1, 2).accepts(1, 4, C1, 5, 2).finish();
        assert_eq!(bench.fired(), 0);
        let mut bench = begun();
        let why = SeekReason::Asked;
        bench.say(C1, Event::PositionMoved { partition: P, from: Some(Offset(1)), to: Offset(3), why });
        bench.accepts(1, 4, C1, 5, 3).finish();
        assert_eq!(bench.fired(), 0);
    }
}
