//! Does only a member of the current generation say how far a group has come? (`WB-CommitFence`)

use trial_model::{
    event::{Event, EventKind, GroupState},
    units::{MemberId, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::mirror::groups::Group;

pub(super) const INFO: CheckInfo = safety(
    "commits_are_fenced",
    "WB-CommitFence",
    "A coordinator takes commits from members of the group's current generation, or of their own member epoch, and from nobody else while there are any.",
);

struct CommitsAreFenced;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(CommitsAreFenced)
}

impl Check for CommitsAreFenced {
    fn hears(&self) -> Hears {
        Hears { before: &[EventKind::OffsetAccepted], ..Hears::default() }
    }

    fn before(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::OffsetAccepted { group: id, partition, member, generation, offset, by, coordinator, .. } = event
        else {
            return;
        };
        let Some(group) = scene.cluster.groups.group(id) else { return };
        if group.coordinator != (*by, *coordinator, scene.node) {
            // It has said nothing of the group yet: nobody is in it.
            return;
        }
        // Whoever says that it is in no generation may, as long as nobody is: also a former member, under its own id.
        let why = if *generation < 0 {
            (!group.members.is_empty()).then(|| format!("{} members are in it", group.members.len()))
        } else if group.is_modern() {
            why_not(group, member, *generation, *partition)
        } else if *generation != group.generation {
            Some(format!("the group is in generation {}", group.generation))
        } else if !group.members.contains(member) {
            Some("the group has no such member".into())
        } else if group.state == GroupState::CompletingRebalance {
            Some("nobody knows yet who owns what in this generation".into())
        } else {
            None
        };
        let Some(why) = why else { return };
        let node = scene.node;
        found.report(INFO.name, Some(*partition), |n| {
            let who = if member.is_empty() { "nobody in particular".into() } else { member.to_string() };
            (
                format!("{} takes a commit of {id} from who may not commit", Name(n, node)),
                vec![
                    ("commit", format!("@{offset} of {} by {who}, generation {generation}", Name(n, *partition))),
                    ("wrong", why),
                ],
            )
        });
    }
}

/// Why a member of a KIP-848 group may not commit in this member epoch: only in its own, or in an older one in which it
/// had the partition already (KIP-1251).
fn why_not(group: &Group, member: &MemberId, epoch: i32, partition: TopicPartition) -> Option<String> {
    let Some(standing) = group.standing(member) else { return Some("the group has no such member".into()) };
    let since = standing.held.iter().find(|(held, _)| *held == partition).map(|(_, since)| *since);
    let allowed = epoch == standing.epoch || (epoch < standing.epoch && since.is_some_and(|since| since <= epoch));
    (!allowed).then(|| match since {
        Some(since) => format!("it is in epoch {}, and has had that since {since}", standing.epoch),
        None => format!("it is in epoch {}, and does not have that", standing.epoch),
    })
}

#[cfg(test)]
mod tests {
    use trial_model::event::GroupState;

    use super::{super::testing::*, INFO};

    #[test]
    fn a_zombie_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.coordinates(1, 4).group(1, 4, GroupState::Stable, 5, &[C1]);
        bench.accepts(1, 4, C1, 5, 10);
        assert_eq!(bench.fired(), 0);
        bench.accepts(1, 4, C1, 4, 9);
        assert_eq!(bench.fired(), 1);
        bench.accepts(1, 4, C9, 5, 9);
        assert_eq!(bench.fired(), 2);
    }

    #[test]
    fn in_a_kip_848_group_it_is_the_members_own_epoch_that_counts() {
        let mut bench = Bench::of(INFO.name);
        bench.coordinates(1, 4).reconciles(1, 4, C1, 5, &[(P, 3)]).reconciles(1, 4, C9, 7, &[]);
        bench.group(1, 4, GroupState::Reconciling, 7, &[C1, C9]);
        bench.accepts(1, 4, C1, 5, 10).accepts(1, 4, C1, 3, 10).accepts(1, 4, C9, 7, 10);
        assert_eq!(bench.fired(), 0);
        bench.accepts(1, 4, C1, 2, 10);
        assert_eq!(bench.fired(), 1, "it did not have that partition then");
        bench.accepts(1, 4, C1, 7, 10);
        assert_eq!(bench.fired(), 2, "that is another's epoch");
        bench.accepts(1, 4, C9, 6, 10);
        assert_eq!(bench.fired(), 3, "it does not have that partition");
    }

    #[test]
    fn between_two_generations_the_former_may_still_commit() {
        let mut bench = Bench::of(INFO.name);
        bench.coordinates(1, 4).group(1, 4, GroupState::PreparingRebalance, 5, &[C1]);
        bench.accepts(1, 4, C1, 5, 10);
        assert_eq!(bench.fired(), 0);
        bench.group(1, 4, GroupState::CompletingRebalance, 6, &[C1]).accepts(1, 4, C1, 6, 11);
        assert_eq!(bench.fired(), 1);
    }
}
