//! Is a partition of a KIP-848 group given to one member, in an epoch that there is? (`WB-PartEpoch`)

use std::collections::BTreeMap;

use trial_model::{
    controller::image::Image,
    event::{Event, EventKind},
    group::consumer::ConsumerGroup,
    node::Node,
    units::{GroupId, MemberId, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Inside, Name, safety};

pub(super) const INFO: CheckInfo = safety(
    "partition_epochs_are_valid",
    "WB-PartEpoch",
    "In a KIP-848 group a partition is given, or to be given, to one member that wants it; no member is ahead of the target assignment, and that not of its group.",
);

struct PartitionEpochsAreValid;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(PartitionEpochsAreValid)
}

impl Check for PartitionEpochsAreValid {
    fn hears(&self) -> Hears {
        Hears { inspects: &[EventKind::MemberReconciled, EventKind::GroupStateChanged], ..Hears::default() }
    }

    fn inspect(&mut self, inside: Inside<'_>, found: &mut Found) {
        for (image, id, group) in groups(inside) {
            let Some((wrong, at)) = wrong(group, image) else { continue };
            found.report(INFO.name, at, |n| {
                let of = at.map_or(String::new(), |at| format!(" of {}", Name(n, at)));
                (
                    format!("{} has given out partitions{of} of {id} wrongly", Name(n, inside.node)),
                    vec![("wrong", wrong), ("group", stands(group))],
                )
            });
        }
    }
}

/// The KIP-848 groups that a step was about, as its coordinator has them now, written down or about to be.
pub(super) fn groups(inside: Inside<'_>) -> Vec<(&Image, &GroupId, &ConsumerGroup)> {
    let Node::Broker(broker) = inside.state else { return Vec::new() };
    let mut names: Vec<&GroupId> = Vec::new();
    for event in inside.events {
        let (Event::MemberReconciled { group, .. } | Event::GroupStateChanged { group, .. }) = event else {
            continue;
        };
        if !names.contains(&group) {
            names.push(group);
        }
    }
    let coordinators = broker.coordinators().filter(|it| it.is_active());
    let states = coordinators.filter_map(|it| it.state());
    states
        .flat_map(|state| names.iter().filter_map(|name| Some((*name, state.consumer(name)?))))
        .map(|(name, group)| (broker.image(), name, group))
        .collect()
}

/// How a group stands, for a report.
pub(super) fn stands(group: &ConsumerGroup) -> String {
    let (epoch, assignment) = (group.epoch(), group.assignment_epoch());
    format!("{}, epoch {epoch}, assignment epoch {assignment}, {} members", group.state(), group.members().len())
}

/// What is wrong with who is given what, and in which partition.
fn wrong(group: &ConsumerGroup, image: &Image) -> Option<(String, Option<TopicPartition>)> {
    if group.assignment_epoch() > group.epoch() {
        return Some(("its target assignment is ahead of it".into(), None));
    }
    let (mut owners, mut targets) = (BTreeMap::new(), BTreeMap::new());
    for (member, wants) in group.members() {
        let current = group.current(member);
        if current.epoch > group.assignment_epoch() {
            return Some((format!("{member} is in epoch {}", current.epoch), None));
        }
        for (at, since) in current.assigned.iter().chain(&current.revoking) {
            if *since > group.assignment_epoch() {
                return Some((format!("{member} has had it since epoch {since}"), Some(*at)));
            }
            if let Some(other) = owners.insert(*at, member) {
                return Some((twice("is given to", other, member), Some(*at)));
            }
        }
        for at in group.target(member) {
            if let Some(other) = targets.insert(at, member) {
                return Some((twice("is to be given to", other, member), Some(at)));
            }
            // Of a topic that is gone nobody knows who wanted it.
            let is_known = image.topic(at.topic).is_some();
            let newest = group.assignment_epoch() == group.epoch();
            if newest && is_known && !wants.ids_in(group.resolved(), image).contains(&at.topic) {
                return Some((format!("{member} does not want it"), Some(at)));
            }
        }
    }
    None
}

fn twice(what: &str, one: &MemberId, other: &MemberId) -> String {
    if one == other {
        return format!("it {what} {one} and is to be given up by it");
    }
    format!("it {what} {one} and {other}")
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use trial_model::{
        group::{
            consumer::{Current, GroupEpoch, MemberState, Subscription},
            image::Groups,
            record::GroupRecord,
        },
        replicated::Replicated,
        units::{Offset, TopicId},
    };

    use super::*;

    pub const HERE: TopicPartition = TopicPartition::new(TopicId(7), 0);

    /// A group in `epoch` whose target assignment is of that epoch.
    pub fn group(epoch: i32, more: &[GroupRecord]) -> Groups {
        let mut groups = Groups::default();
        let value = Some(GroupEpoch { epoch, metadata_hash: 1 });
        groups.apply(Offset(0), &GroupRecord::Epoch { group: "billing".into(), value });
        groups.apply(Offset(1), &GroupRecord::TargetEpoch { group: "billing".into(), value: Some(epoch) });
        more.iter().for_each(|record| groups.apply(Offset(2), record));
        groups
    }

    /// A member in `epoch` that owns some of what it is to own, and has to give up others.
    pub fn member(name: &str, epoch: i32, own: [&[TopicPartition]; 3]) -> Vec<GroupRecord> {
        let (group, member): (GroupId, MemberId) = ("billing".into(), name.into());
        let [target, assigned, revoking] = own;
        let held = |of: &[TopicPartition]| of.iter().map(|at| (*at, epoch)).collect();
        let current = Current {
            epoch,
            previous: epoch,
            state: if revoking.is_empty() { MemberState::Stable } else { MemberState::UnrevokedPartitions },
            assigned: held(assigned),
            revoking: held(revoking),
        };
        let target: BTreeSet<TopicPartition> = target.iter().copied().collect();
        vec![
            GroupRecord::Member {
                group: group.clone(),
                member: member.clone(),
                value: Some(Subscription::default()),
            },
            GroupRecord::Target { group: group.clone(), member: member.clone(), value: Some(target) },
            GroupRecord::Current { group, member, value: Some(current) },
        ]
    }

    fn judged(epoch: i32, members: &[Vec<GroupRecord>]) -> Option<String> {
        let groups = group(epoch, &members.concat());
        let (wrong, _) = wrong(groups.consumer(&"billing".into())?, &Image::default())?;
        Some(wrong)
    }

    #[test]
    fn one_member_has_a_partition_and_the_other_waits() {
        let (has, waits) = (member("a", 3, [&[], &[], &[HERE]]), member("b", 4, [&[HERE], &[], &[]]));
        assert_eq!(judged(4, &[has, waits]), None);
    }

    #[test]
    fn two_owners_are_noticed() {
        let none: &[TopicPartition] = &[];
        for other in [[none, &[HERE], none], [none, none, &[HERE]]] {
            let (one, other) = (member("a", 4, [&[HERE], &[HERE], &[]]), member("b", 4, other));
            assert!(judged(4, &[one, other]).is_some_and(|it| it.contains("given to a and b")));
        }
        let (one, other) = (member("a", 4, [&[HERE], &[], &[]]), member("b", 4, [&[HERE], &[], &[]]));
        assert!(judged(4, &[one, other]).is_some_and(|it| it.contains("to be given to a and b")));
        let both = member("a", 4, [&[HERE], &[HERE], &[HERE]]);
        assert!(judged(4, &[both]).is_some_and(|it| it.contains("given up by it")));
    }

    #[test]
    fn who_is_ahead_is_noticed() {
        assert!(judged(4, &[member("a", 5, [&[], &[], &[]])]).is_some_and(|it| it.contains("epoch 5")));
        let mut groups = group(4, &[]);
        groups.apply(Offset(3), &GroupRecord::TargetEpoch { group: "billing".into(), value: Some(5) });
        let ahead = groups.consumer(&"billing".into()).expect("it is there");
        assert!(wrong(ahead, &Image::default()).is_some());
    }
}
