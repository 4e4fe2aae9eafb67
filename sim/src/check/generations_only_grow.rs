//! Does a group never go back to a former generation? (`WB-GenMono`)

use trial_model::{
    event::{Event, EventKind, GroupState},
    units::{GroupId, MemberId},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "generations_only_grow",
    "WB-GenMono",
    "A group's generation never goes back at one coordinator, an assigned one never at all, and a member is never given a share in an older one.",
);

/// The newest generation that each member was given a share in.
#[derive(Default)]
struct GenerationsOnlyGrow {
    told: Vec<((GroupId, MemberId), i32)>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::<GenerationsOnlyGrow>::default()
}

impl Check for GenerationsOnlyGrow {
    fn hears(&self) -> Hears {
        Hears { before: &[EventKind::GroupStateChanged, EventKind::PartitionsOwned], ..Hears::default() }
    }

    fn before(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        match event {
            Event::GroupStateChanged { group: id, partition, coordinator, state, generation, .. } => {
                let Some(group) = scene.cluster.groups.group(id) else { return };
                let same = group.coordinator == (*partition, *coordinator, scene.node);
                // What was in memory alone dies with the coordinator; what was assigned is in its log.
                let least = if same { group.generation } else { group.settled };
                // One that has been replaced and does not know it may say anything: what it has appended, what it hears late
                // was written down, who of a static member's ids has it now. What counts its successor has read.
                let newer = group.coordinator.0 != *partition || group.coordinator.1 < *coordinator;
                let settles = *state == GroupState::Stable || group.is_modern();
                let counts = same || newer && settles;
                if counts && *generation < least && !scene.forgives_group(id) {
                    let node = scene.node;
                    found.report(INFO.name, Some(*partition), |n| {
                        (
                            format!("{} has {id} in generation {generation}", Name(n, node)),
                            vec![("before", format!("generation {least}, whose members may still be at work"))],
                        )
                    });
                }
            }
            // What it joined may never have been written down; what it was given a share in has.
            Event::PartitionsOwned { group, member, generation, .. } => {
                let key = (group.clone(), member.clone());
                match self.told.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, newest)) if *generation < *newest && !scene.forgives_group(group) => {
                        let newest = *newest;
                        found.report(INFO.name, None, |_| {
                            (
                                format!("{member} of {group} is given a share in generation {generation}"),
                                vec![("before", format!("generation {newest}"))],
                            )
                        });
                    }
                    Some((_, newest)) => *newest = *generation,
                    None => self.told.push((key, *generation)),
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use trial_model::event::GroupState;

    use super::{super::testing::*, INFO};

    #[test]
    fn going_back_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.coordinates(1, 4).group(1, 4, GroupState::Stable, 5, &[C1]).group(1, 4, GroupState::Empty, 4, &[]);
        assert_eq!(bench.fired(), 1);
        bench.owns(C1, 5, &[P]).owns(C1, 4, &[P]);
        assert_eq!(bench.fired(), 2);
    }

    #[test]
    fn a_group_that_was_forgotten_begins_anew() {
        let mut bench = Bench::of(INFO.name);
        bench.coordinates(1, 4).group(1, 4, GroupState::Stable, 5, &[C1]);
        bench.group(1, 4, GroupState::Dead, 6, &[]).group(1, 4, GroupState::PreparingRebalance, 0, &[C1]);
        bench.group(1, 4, GroupState::Stable, 1, &[C1]);
        assert_eq!(bench.fired(), 0);
    }

    #[test]
    fn what_a_coordinator_says_that_was_replaced_is_old_news() {
        let mut bench = Bench::of(INFO.name);
        bench.coordinates(1, 4).group(1, 4, GroupState::CompletingRebalance, 5, &[C1, C9]);
        bench.coordinates(2, 5).group(2, 5, GroupState::Stable, 5, &[C1, C9]);
        bench.group(2, 5, GroupState::Stable, 6, &[C1]).group(1, 4, GroupState::Stable, 5, &[C1, C9]);
        assert_eq!(bench.fired(), 0, "it hears late that it was written down");
        bench.group(1, 4, GroupState::Stable, 5, &[C9]);
        assert_eq!(bench.fired(), 0, "a static member has another id");
        bench.coordinates(3, 6).group(3, 6, GroupState::Stable, 5, &[C1, C9]);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn what_members_of_a_kip_848_group_were_told_the_next_coordinator_has_read() {
        let mut bench = Bench::of(INFO.name);
        bench.coordinates(1, 4).reconciles(1, 4, C1, 5, &[]).group(1, 4, GroupState::Stable, 5, &[C1]);
        bench.joins(C1, 5).reconciles(1, 4, C1, 6, &[]).group(1, 4, GroupState::Stable, 6, &[C1]);
        // Nobody was told of the sixth; and what the former coordinator appends is nobody's concern.
        bench.coordinates(2, 5).reconciles(2, 5, C1, 5, &[]).group(2, 5, GroupState::Stable, 5, &[C1]);
        bench.reconciles(2, 5, C1, 7, &[]).group(2, 5, GroupState::Stable, 7, &[C1]).joins(C1, 7);
        bench.group(1, 4, GroupState::Stable, 6, &[C1]);
        assert_eq!(bench.fired(), 0);
        bench.coordinates(3, 6).reconciles(3, 6, C1, 5, &[]).group(3, 6, GroupState::Stable, 5, &[C1]);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn what_was_never_assigned_may_be_forgotten_with_its_coordinator() {
        let mut bench = Bench::of(INFO.name);
        bench.coordinates(1, 4).group(1, 4, GroupState::Stable, 5, &[C1]);
        bench.group(1, 4, GroupState::CompletingRebalance, 6, &[C1, C9]);
        bench.coordinates(2, 5).group(2, 5, GroupState::Stable, 5, &[C1]);
        bench.group(2, 5, GroupState::Stable, 6, &[C1, C9]);
        assert_eq!(bench.fired(), 0);
        bench.coordinates(3, 6).group(3, 6, GroupState::Stable, 5, &[C1]);
        assert_eq!(bench.fired(), 1);
    }
}
