//! How does a KIP-848 group look to an operator?

use alloc::{collections::BTreeSet, vec::Vec};

use super::{ConsumerGroup, assigning::ServerAssignor, heartbeat::by_topic};
use crate::{
    controller::image::Image,
    group::{Coordinator, describing::spelled},
    protocol::{
        ErrorCode, TopicName,
        consumer_group::{ConsumerGroupDescription, ConsumerGroupMember},
    },
    units::{GroupId, TopicId, TopicPartition},
};

/// Nothing can be said of a group.
pub(crate) fn undescribed(group: &GroupId, error: ErrorCode) -> ConsumerGroupDescription {
    ConsumerGroupDescription {
        group: group.clone(),
        error: Some(error),
        state: "",
        epoch: 0,
        assignment_epoch: 0,
        assignor: "".into(),
        members: Vec::new(),
    }
}

impl Coordinator {
    /// How a group stands, by what is committed. Refuses with `GroupIdNotFound` what is no KIP-848 group.
    pub fn describe_consumer(&self, id: &GroupId, metadata: &Image) -> ConsumerGroupDescription {
        if !self.active {
            return undescribed(id, ErrorCode::CoordinatorLoadInProgress);
        }
        match self.shard.committed().consumer(id) {
            Some(group) => group.described(id, metadata),
            None => undescribed(id, ErrorCode::GroupIdNotFound),
        }
    }
}

impl ConsumerGroup {
    fn described(&self, id: &GroupId, metadata: &Image) -> ConsumerGroupDescription {
        let members = self.members.iter().map(|(member, subscription)| {
            let current = self.current(member);
            ConsumerGroupMember {
                member: member.clone(),
                instance: subscription.instance.clone(),
                epoch: current.epoch,
                client: subscription.client.clone(),
                host: subscription.host.clone(),
                rack: subscription.rack.clone(),
                topics: subscription.topics.clone(),
                pattern: subscription.pattern.clone(),
                // What it is still to give up is its own until it has.
                assignment: named(current.assigned.keys().chain(current.revoking.keys()), metadata),
                target: named(self.target(member).iter(), metadata),
                classic: subscription.classic.is_some(),
            }
        });
        ConsumerGroupDescription {
            group: id.clone(),
            error: None,
            state: spelled(self.state()),
            epoch: self.epoch(),
            assignment_epoch: self.assignment_epoch(),
            assignor: self.assignor().unwrap_or_else(|| ServerAssignor::DEFAULT.name().into()),
            members: members.collect(),
        }
    }

    /// Whether somebody wants to read a topic.
    pub(in crate::group) fn reads(&self, metadata: &Image) -> BTreeSet<TopicName> {
        self.topics(metadata)
    }
}

/// Partitions by topic, those of topics that are there.
fn named<'a>(
    partitions: impl Iterator<Item = &'a TopicPartition>,
    metadata: &Image,
) -> Vec<(TopicId, TopicName, Vec<u32>)> {
    let of = |(topic, partitions)| Some((topic, metadata.topic(topic)?.name.clone(), partitions));
    let in_order: BTreeSet<TopicPartition> = partitions.copied().collect();
    by_topic(in_order.into_iter()).into_iter().filter_map(of).collect()
}
