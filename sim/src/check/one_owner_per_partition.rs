//! Does a partition belong to one member of a group at a time? (`WB-TwoOwners`)

use std::collections::BTreeMap;

use trial_model::{
    event::{Event, EventKind},
    units::{NodeId, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "one_owner_per_partition",
    "WB-TwoOwners",
    "No two members of one generation of a group own a partition at the same time.",
);

struct OneOwnerPerPartition;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(OneOwnerPerPartition)
}

impl Check for OneOwnerPerPartition {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::PartitionsOwned, EventKind::GroupJoined], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let (Event::PartitionsOwned { group, .. } | Event::GroupJoined { group, .. }) = event else { return };
        let groups = &scene.cluster.groups;
        let Some(mine) = groups.owner(scene.node) else { return };
        // Who has a partition of mine, and which: mostly nobody.
        let mut others: BTreeMap<NodeId, TopicPartition> = BTreeMap::new();
        for partition in &mine.partitions {
            for other in groups.holders(group, *partition).filter(|it| it.node != mine.node) {
                others.entry(other.node).or_insert(*partition);
            }
        }
        if others.is_empty() {
            return;
        }
        for (other, both) in groups.owners.iter().filter_map(|it| Some((it, *others.get(&it.node)?))) {
            if other.generation != mine.generation {
                continue;
            }
            // A coordinator that has been replaced and does not know it makes generations of its own.
            let known = groups.group(group);
            if !known.is_some_and(|it| it.had(mine.generation, &mine.member, &other.member)) {
                continue;
            }
            // A log that has lost the group counts its generations anew.
            if scene.forgives_group(group) {
                return;
            }
            found.report(INFO.name, Some(both), |n| {
                let owner = |it: &crate::mirror::groups::Owner| {
                    format!("{} since {}s, in generation {}, as {}", Name(n, it.node), it.since, it.generation, it.member)
                };
                (
                    format!("{} has two owners in {group}", Name(n, both)),
                    vec![("first", owner(other)), ("second", owner(mine))],
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use trial_model::event::GroupState;

    use super::{super::testing::*, INFO};
    use crate::world_event::Stop;

    fn both(generation: i32) -> Bench {
        let mut bench = Bench::of(INFO.name);
        bench.coordinates(1, 4).group(1, 4, GroupState::Stable, generation, &[C1, C9]);
        bench
    }

    #[test]
    fn two_owners_in_one_generation_are_noticed() {
        let mut bench = both(3);
        bench.owns(C1, 3, &[P]).owns(C9, 3, &[P]);
        assert_eq!(bench.fired(), 1);
    }

    /// In a KIP-848 group that is just when it goes wrong.
    #[test]
    fn two_owners_while_a_group_reconciles_are_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.coordinates(1, 4).group(1, 4, GroupState::Reconciling, 3, &[C1, C9]);
        bench.owns(C1, 3, &[P]).owns(C9, 3, &[P]);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn who_keeps_what_it_has_in_the_next_generation_still_owns_it() {
        let mut bench = both(3);
        bench.owns(C1, 3, &[P]).group(1, 4, GroupState::CompletingRebalance, 4, &[C1, C9]);
        bench.joins(C1, 4).owns(C9, 4, &[P]);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_former_owner_that_has_not_heard_yet_is_none() {
        let mut bench = both(4);
        bench.owns(C1, 3, &[P]).owns(C9, 4, &[P]);
        bench.owns(C9, 4, &[]).owns(C1, 4, &[P]).stop(C1, Stop::Crash).owns(C9, 4, &[P]);
        assert_eq!(bench.fired(), 0);
    }

    #[test]
    fn two_coordinators_count_their_generations_apart() {
        let mut bench = Bench::of(INFO.name);
        bench.coordinates(1, 4).group(1, 4, GroupState::Stable, 3, &[C1]).owns(C1, 3, &[P]);
        bench.coordinates(2, 5).group(2, 5, GroupState::Stable, 3, &[C9]).owns(C9, 3, &[P]);
        assert_eq!(bench.fired(), 0);
    }

    /// What a coordinator counted and could not write down before another took over, that one counts again.
    #[test]
    fn a_generation_that_a_successor_counts_again_is_another() {
        let mut bench = both(3);
        bench.owns(C1, 3, &[P]).group(1, 4, GroupState::CompletingRebalance, 4, &[C1, C9]).joins(C1, 4);
        bench.coordinates(2, 5).group(2, 5, GroupState::Stable, 4, &[C9]).joins(C9, 4).owns(C9, 4, &[P]);
        // The first hears late that it has joined, of whomever.
        bench.joins(C1, 4);
        assert_eq!(bench.fired(), 0);
        bench.group(2, 5, GroupState::Stable, 5, &[C1, C9]).owns(C1, 5, &[P]).owns(C9, 5, &[P]);
        assert_eq!(bench.fired(), 1);
    }
}
