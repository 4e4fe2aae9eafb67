//! Does every group come to rest? (`L-group`, `WB-Orphan`)

use std::collections::BTreeSet;

use trial_model::{
    event::GroupState,
    units::{GroupId, NodeId},
};

use super::{Check, CheckInfo, ClientInfo, Hears, Scene, Unsettled, liveness};
use crate::mirror::groups::Group;

pub(super) const INFO: CheckInfo = liveness(
    "groups_become_stable",
    "L-group",
    "At rest every running member is in its group's generation, nobody else is, and every partition they read has an owner.",
);

struct GroupsBecomeStable;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(GroupsBecomeStable)
}

impl Check for GroupsBecomeStable {
    fn hears(&self) -> Hears {
        Hears::default()
    }

    fn unsettled(&self, scene: Scene<'_>) -> Option<Unsettled> {
        let mut seen: Vec<&GroupId> = Vec::new();
        for client in &scene.setup.clients {
            let Some(member) = &client.member else { continue };
            if !seen.contains(&&member.group) {
                seen.push(&member.group);
                if let Some(unsettled) = look(scene, &member.group) {
                    return Some(unsettled);
                }
            }
        }
        None
    }
}

fn look(scene: Scene<'_>, id: &GroupId) -> Option<Unsettled> {
    let groups = &scene.cluster.groups;
    let runs = |client: &&ClientInfo| {
        client.member.as_ref().is_some_and(|member| member.group == *id)
            && scene.cluster.process(client.node).is_some_and(|process| process.well())
            && !groups.left.contains(&client.node)
    };
    let running: Vec<&ClientInfo> = scene.setup.clients.iter().filter(runs).collect();
    if running.is_empty() {
        return None;
    }
    let Some(group) = groups.group(id) else { return Some(Unsettled::new(format!("{id} has no coordinator"))) };
    let told = |unsettled: Unsettled| {
        unsettled
            .line("group", format!("{}, generation {}, since {}s", group.state, group.generation, group.since))
            .line("members", format!("{} known to the coordinator, {} at work", group.members.len(), running.len()))
    };
    if group.state != GroupState::Stable {
        return Some(told(Unsettled::new(format!("{id} stays in {}", group.state))));
    }
    let members: BTreeSet<NodeId> = group.members.iter().filter_map(|it| group.node_of(it)).collect();
    for client in &running {
        let owner = groups.owner(client.node).filter(|owner| owner.group == *id);
        if !members.contains(&client.node) || owner.is_none_or(|it| it.generation != group.generation) {
            return Some(told(Unsettled::new(format!("{} is not in {id}'s generation", client.name))));
        }
    }
    if group.members.len() > running.len() {
        return Some(told(Unsettled::new(format!("{id} has members that do not run"))));
    }
    orphan(scene, group, &running).map(told)
}

/// A partition that members read and nobody owns.
fn orphan(scene: Scene<'_>, group: &Group, running: &[&ClientInfo]) -> Option<Unsettled> {
    let topics: BTreeSet<&str> =
        running.iter().filter_map(|client| client.member.as_ref()).flat_map(|it| &it.topics).map(String::as_str).collect();
    let orphan = scene.cluster.partitions.iter().find(|partition| {
        let name = scene.cluster.topic_name(partition.id.topic);
        // Who assigns hears of a partition with its next metadata, which may be minutes old.
        let groups = &scene.cluster.groups;
        let heard_by = |node: NodeId| {
            let began = scene.cluster.process(node)?.since;
            groups.heard.get(node, partition.id).map(|at| (*at, began.max(*at)))
        };
        // In a KIP-848 group that is the coordinator, which has heard of it when anybody else could.
        let heard = if group.is_modern() {
            running.iter().filter_map(|client| heard_by(client.node)).map(|(_, at)| at).min()
        } else {
            let leader = groups.leaders.iter().find(|(id, ..)| *id == group.id);
            leader.and_then(|(_, leader, joined)| {
                let (heard, at) = heard_by(*leader)?;
                // A static leader that is back does not assign, and takes what it knows for what the others have: what
                // has come since they were given their shares waits for the next rebalance (KIP-814). It knows that when
                // it has its own share.
                let own = groups.owner(*leader).filter(|own| own.generation == group.generation);
                let knew = own.map_or(*joined, |own| own.since.max(*joined));
                let made = group.assigned();
                let skipped = made < heard && heard <= knew && made < *joined;
                (!skipped).then_some(at)
            })
        };
        let young = heard.is_none_or(|at| scene.at.since(at) <= scene.setup.patience.lag);
        let ambiguous = scene.cluster.is_ambiguous(partition.id.topic);
        let read = !young && !ambiguous && name.is_some_and(|name| topics.contains(name));
        read && groups.holders(&group.id, partition.id).next().is_none()
    })?;
    let what = format!("nobody in {} owns {}", group.id, scene.cluster.called(orphan.id));
    Some(Unsettled::new(what).of(orphan.id))
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::{Event, GroupState},
        units::LeaderEpoch,
    };

    use super::{super::testing::*, INFO};
    use crate::world_event::Phase;

    /// It hears of a partition, and is told that it leads.
    fn joins(bench: &mut Bench) {
        let (leader, epoch) = (Some(b(1)), LeaderEpoch(1));
        bench.say(C1, Event::MetadataLearned { partition: P, leader, epoch });
        let (group, member) = (GROUP.into(), member(C1));
        bench.say(C1, Event::GroupJoined { group, member, generation: 5, leads: true });
    }

    fn settled() -> Bench {
        let mut bench = Bench::of(INFO.name).begun();
        joins(&mut bench);
        bench.phase(Phase::Settle).wait(4).named("orders").coordinates(1, 4).group(1, 4, GroupState::Stable, 5, &[C1]).owns(C1, 5, &[P]);
        bench
    }

    #[test]
    fn a_group_at_rest_is_well() {
        assert_eq!(settled().unsettled(), Vec::<String>::new());
    }

    #[test]
    fn what_has_not_come_to_rest_is_named() {
        let mut bench = settled();
        bench.group(1, 4, GroupState::PreparingRebalance, 5, &[C1]);
        assert_eq!(bench.unsettled(), ["groups_become_stable: billing stays in PreparingRebalance"]);
        bench.group(1, 4, GroupState::Stable, 6, &[C1]);
        assert_eq!(bench.unsettled(), ["groups_become_stable: c1 is not in billing's generation"]);
        bench.owns(C1, 6, &[]);
        assert!(bench.unsettled()[0].contains("nobody in billing owns"));
    }

    #[test]
    fn what_came_while_a_static_leader_was_away_waits_for_the_next_rebalance() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.phase(Phase::Settle).named("orders").coordinates(1, 4);
        bench.group(1, 4, GroupState::Stable, 5, &[C1]).wait(1);
        joins(&mut bench);
        bench.owns(C1, 5, &[]).wait(4);
        assert_eq!(bench.unsettled(), Vec::<String>::new());
        bench.group(1, 4, GroupState::CompletingRebalance, 6, &[C1]).group(1, 4, GroupState::Stable, 6, &[C1]);
        bench.owns(C1, 6, &[]);
        assert!(bench.unsettled()[0].contains("nobody in billing owns"));
    }

    /// It was to make shares when it had not heard of the topic, and hears of it before they are given out. Then it
    /// leaves, and is back in the same generation.
    #[test]
    fn what_a_static_leader_heard_of_too_late_waits_for_the_next_rebalance() {
        for (back, unsettled) in [(true, 0), (false, 1)] {
            let mut bench = Bench::of(INFO.name).begun();
            bench.phase(Phase::Settle).named("orders").coordinates(1, 4);
            bench.group(1, 4, GroupState::CompletingRebalance, 5, &[C1]);
            let leads = || Event::GroupJoined { group: GROUP.into(), member: member(C1), generation: 5, leads: true };
            bench.say(C1, leads()).wait(1);
            let (leader, epoch) = (Some(b(1)), LeaderEpoch(1));
            bench.say(C1, Event::MetadataLearned { partition: P, leader, epoch }).wait(1);
            bench.group(1, 4, GroupState::Stable, 5, &[C1]).wait(1);
            if back {
                bench.say(C1, leads());
            }
            bench.owns(C1, 5, &[]).wait(4);
            assert_eq!(bench.unsettled().len(), unsettled);
        }
    }

    /// What was written of a newer generation is lost with its coordinator's power: the shares are older than it seemed.
    #[test]
    fn what_came_after_the_shares_of_a_generation_that_is_back_waits_for_the_next_rebalance() {
        for (lost, unsettled) in [(true, 0), (false, 1)] {
            let mut bench = Bench::of(INFO.name).begun();
            bench.phase(Phase::Settle).named("orders").coordinates(1, 4);
            bench.group(1, 4, GroupState::CompletingRebalance, 5, &[C1]).wait(1);
            bench.group(1, 4, GroupState::Stable, 5, &[C1]).wait(1);
            joins(&mut bench);
            bench.group(1, 4, GroupState::CompletingRebalance, 6, &[C1]).wait(1);
            bench.group(1, 4, GroupState::Stable, 6, &[C1]).wait(1);
            let generation = if lost { 5 } else { 6 };
            bench.coordinates(2, 5).group(2, 5, GroupState::Stable, generation, &[C1]).wait(1);
            let (group, member) = (GROUP.into(), member(C1));
            bench.say(C1, Event::GroupJoined { group, member, generation, leads: true });
            bench.owns(C1, generation, &[]).wait(4);
            assert_eq!(bench.unsettled().len(), unsettled, "{:?}", bench.unsettled());
        }
    }

    /// It makes the shares of a generation of that number once more, and leaves out what it knows by now.
    #[test]
    fn what_is_left_out_of_a_generation_that_is_made_again_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.phase(Phase::Settle).named("orders").coordinates(1, 4);
        let leads = |bench: &mut Bench| {
            let (group, member) = (GROUP.into(), member(C1));
            bench.say(C1, Event::GroupJoined { group, member, generation: 6, leads: true }).wait(1);
        };
        bench.group(1, 4, GroupState::Stable, 5, &[C1]).wait(1);
        bench.group(1, 4, GroupState::CompletingRebalance, 6, &[C1]).wait(1);
        leads(&mut bench);
        bench.group(1, 4, GroupState::Stable, 6, &[C1]).wait(1);
        bench.coordinates(2, 5).group(2, 5, GroupState::Stable, 5, &[C1]).wait(1);
        let (leader, epoch) = (Some(b(1)), LeaderEpoch(1));
        bench.say(C1, Event::MetadataLearned { partition: P, leader, epoch }).wait(1);
        bench.group(2, 5, GroupState::CompletingRebalance, 6, &[C1]).wait(1);
        leads(&mut bench);
        bench.group(2, 5, GroupState::Stable, 6, &[C1]).owns(C1, 6, &[]).wait(4);
        assert_eq!(bench.unsettled().len(), 1, "{:?}", bench.unsettled());
    }

    /// It asks about the topics of the others before it has its share, and takes that for what they have.
    #[test]
    fn what_a_static_leader_hears_of_before_its_share_waits_for_the_next_rebalance() {
        for (first, unsettled) in [(true, 0), (false, 1)] {
            let mut bench = Bench::of(INFO.name).begun();
            bench.phase(Phase::Settle).named("orders").coordinates(1, 4);
            bench.group(1, 4, GroupState::CompletingRebalance, 5, &[C1]);
            bench.group(1, 4, GroupState::Stable, 5, &[C1]).wait(1);
            bench.say(C1, Event::GroupJoined { group: GROUP.into(), member: member(C1), generation: 5, leads: true });
            let (leader, epoch) = (Some(b(1)), LeaderEpoch(1));
            let heard = Event::MetadataLearned { partition: P, leader, epoch };
            if first {
                bench.wait(1).say(C1, heard).wait(1).owns(C1, 5, &[]);
            } else {
                bench.owns(C1, 5, &[]).wait(1).say(C1, heard);
            }
            bench.wait(4);
            assert_eq!(bench.unsettled().len(), unsettled);
        }
    }
}
