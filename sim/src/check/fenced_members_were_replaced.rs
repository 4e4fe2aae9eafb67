//! Is a static member fenced only by another process of it? (`WB-Static`)

use trial_model::event::{Event, EventKind, MembershipEnd};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "fenced_members_were_replaced",
    "WB-Static",
    "A static member that is told that another process has its name was replaced by one (KIP-345).",
);

struct FencedMembersWereReplaced;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(FencedMembersWereReplaced)
}

impl Check for FencedMembersWereReplaced {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::MembershipLost], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::MembershipLost { group: id, member, why: MembershipEnd::InstanceFenced, .. } = event else {
            return;
        };
        let Some(group) = scene.cluster.groups.group(id) else { return };
        let Some(instance) = group.instances.iter().rev().find(|it| it.member == *member) else { return };
        // Who joined at a coordinator that died before it wrote that down, or was none any more, was never known.
        if !group.written.contains(member) {
            return;
        }
        let newest = group.instances.iter().rev().find(|it| it.name == instance.name);
        if newest.is_none_or(|newest| newest.member != *member) || scene.forgives_group(id) {
            return;
        }
        // Who answers may have been replaced before the member joined, and know its former process only.
        if scene.cluster.groups.is_mistaken_for(group, instance) {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, None, |n| {
            (
                format!("{} is fenced by its own former process", Name(n, node)),
                vec![
                    ("member", format!("{member}, as {} in {id}", instance.name)),
                    ("wrong", format!("nobody has joined as {} since", instance.name)),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{event::{Event, MembershipEnd}, units::LeaderEpoch};

    use super::{super::testing::*, INFO};

    fn fenced(bench: &mut Bench) {
        let (group, why) = (GROUP.into(), MembershipEnd::InstanceFenced);
        bench.say(C1, Event::MembershipLost { group, member: member(C1), generation: 1, why });
    }

    fn stable(bench: &mut Bench) {
        bench.coordinates(1, 4).group(1, 4, trial_model::event::GroupState::Stable, 1, &[C1]);
    }

    fn added(bench: &mut Bench, node: trial_model::units::NodeId) {
        let (group, member, instance) = (GROUP.into(), member(node), Some("till-1".into()));
        bench.say(b(1), Event::MemberAdded { group, member, instance, node });
    }

    #[test]
    fn being_fenced_by_nobody_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        added(&mut bench, C9);
        added(&mut bench, C1);
        fenced(&mut bench);
        assert_eq!(bench.fired(), 0, "it was never written down");
        stable(&mut bench);
        fenced(&mut bench);
        assert_eq!(bench.fired(), 1);
    }

    /// Broker 1 has not heard that broker 2 looks after the group, and knows the member's former process.
    #[test]
    fn a_coordinator_that_was_replaced_may_know_the_former_process_only() {
        for (unloaded, fired) in [(false, 0), (true, 1)] {
            let mut bench = Bench::of(INFO.name);
            added(&mut bench, C9);
            bench.coordinates(1, 4).group(1, 4, trial_model::event::GroupState::Stable, 1, &[C9]);
            bench.coordinates(2, 5);
            if unloaded {
                bench.say(b(1), Event::CoordinatorUnloaded { partition: G, epoch: LeaderEpoch(4) });
            }
            bench.wait(1);
            added(&mut bench, C1);
            bench.group(2, 5, trial_model::event::GroupState::Stable, 2, &[C1]);
            fenced(&mut bench);
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn who_was_replaced_is_fenced_rightly() {
        let mut bench = Bench::of(INFO.name);
        added(&mut bench, C1);
        stable(&mut bench);
        added(&mut bench, C9);
        fenced(&mut bench);
        assert_eq!(bench.fired(), 0);
    }
}
