//! Has everybody in a stable KIP-848 group what it is to have? (`WB-Group848`)

use trial_model::{
    controller::image::Image,
    event::{EventKind, GroupState},
    group::consumer::ConsumerGroup,
    units::TopicPartition,
};

use super::{
    Check, CheckInfo, Found, Hears, Inside, Name,
    partition_epochs_are_valid::{groups, stands},
    safety,
};

pub(super) const INFO: CheckInfo = safety(
    "stable_groups_are_reconciled",
    "WB-Group848",
    "In a KIP-848 group that is called stable every member is in the group's epoch and has what it is to have; an empty one has nothing left to assign.",
);

struct StableGroupsAreReconciled;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(StableGroupsAreReconciled)
}

impl Check for StableGroupsAreReconciled {
    fn hears(&self) -> Hears {
        Hears { inspects: &[EventKind::MemberReconciled, EventKind::GroupStateChanged], ..Hears::default() }
    }

    fn inspect(&mut self, inside: Inside<'_>, found: &mut Found) {
        for (image, id, group) in groups(inside) {
            let Some((wrong, at)) = wrong(group, image) else { continue };
            found.report(INFO.name, at, |n| {
                let of = at.map_or(String::new(), |at| format!(", of {}", Name(n, at)));
                (
                    format!("{} calls {id} {} and it is not", Name(n, inside.node), group.state()),
                    vec![("wrong", format!("{wrong}{of}")), ("group", stands(group))],
                )
            });
        }
    }
}

/// What is missing in a group that is said to be at rest, and of which partition.
fn wrong(group: &ConsumerGroup, image: &Image) -> Option<(String, Option<TopicPartition>)> {
    match group.state() {
        // KAFKA-20442.
        GroupState::Empty if group.epoch() != group.assignment_epoch() => {
            return Some(("nobody is left and an epoch waits for its assignment".into(), None));
        }
        GroupState::Stable => {}
        _ => return None,
    }
    for (member, wants) in group.members() {
        let (current, target) = (group.current(member), group.target(member));
        if current.epoch != group.epoch() {
            return Some((format!("{member} is in epoch {}", current.epoch), None));
        }
        if let Some(at) = current.revoking.keys().next() {
            return Some((format!("{member} has still to give something up"), Some(*at)));
        }
        if let Some(at) = current.assigned.keys().find(|at| !target.contains(at)) {
            return Some((format!("{member} owns what it is not to own"), Some(*at)));
        }
        // What it does not want any more, or is gone, it need not be given.
        let wanted = wants.ids_in(group.resolved(), image);
        let missing = target.iter().filter(|at| wanted.contains(&at.topic));
        if let Some(at) = missing.into_iter().find(|at| !current.assigned.contains_key(at)) {
            return Some((format!("{member} does not own what it is to own"), Some(*at)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use trial_model::{
        controller::record::{Record, TopicRecord},
        group::{
            consumer::{GroupEpoch, Subscription},
            record::GroupRecord,
        },
        units::Offset,
    };

    use super::{
        super::partition_epochs_are_valid::tests::{HERE, group, member},
        *,
    };

    /// What is said of a group with these records, where there is a topic.
    fn judged(epoch: i32, records: &[GroupRecord]) -> Option<String> {
        let mut image = Image::default();
        let topic = Record::Topic(TopicRecord { topic: HERE.topic, name: "orders".into() });
        image.apply(Offset(0), &topic);
        let groups = group(epoch, records);
        Some(wrong(groups.consumer(&"billing".into())?, &image)?.0)
    }

    /// A member that reads the topic.
    fn reader(epoch: i32, own: [&[TopicPartition]; 3]) -> Vec<GroupRecord> {
        let mut records = member("a", epoch, own);
        if let Some(GroupRecord::Member { value, .. }) = records.first_mut() {
            *value = Some(Subscription { topics: vec!["orders".into()], ..Subscription::default() });
        }
        records
    }

    #[test]
    fn who_has_what_it_is_to_have_is_at_rest() {
        assert_eq!(judged(4, &reader(4, [&[HERE], &[HERE], &[]])), None);
        // It does not read the topic any more.
        assert_eq!(judged(4, &member("a", 4, [&[HERE], &[], &[]])), None);
        // Nobody calls it stable.
        assert_eq!(judged(4, &reader(3, [&[HERE], &[], &[]])), None);
    }

    #[test]
    fn what_is_missing_in_a_stable_group_is_noticed() {
        let missing = judged(4, &reader(4, [&[HERE], &[], &[]]));
        assert!(missing.is_some_and(|it| it.contains("does not own what it is to own")));
        let more = judged(4, &reader(4, [&[], &[HERE], &[]]));
        assert!(more.is_some_and(|it| it.contains("owns what it is not to own")));
    }

    #[test]
    fn an_empty_group_has_nothing_left_to_assign() {
        let value = Some(GroupEpoch { epoch: 5, metadata_hash: 0 });
        let ahead = GroupRecord::Epoch { group: "billing".into(), value };
        assert!(judged(4, &[ahead]).is_some_and(|it| it.contains("nobody is left")));
        assert_eq!(judged(4, &[]), None);
    }
}
