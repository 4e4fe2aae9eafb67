//! What does this broker tell about the cluster? As it has heard, which may be old.

use alloc::vec::Vec;

use super::Broker;
use crate::{
    controller::image::{Image, PartitionImage, TopicImage},
    machine::{Caller, Effects},
    protocol::{
        ErrorCode, Response, TopicName, TopicRef,
        metadata::{MetadataRequest, MetadataResponse, PartitionMetadata, TopicMetadata},
        topics::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicDescription},
    },
    units::{NodeId, TopicId},
};

impl Broker {
    pub(super) fn describe_cluster(
        &mut self,
        caller: Caller,
        request: MetadataRequest,
        effects: &mut Effects,
    ) {
        let image = &self.metadata.image;
        let topics = match request.topics {
            None => image.names().map(|(name, id)| topic(image, TopicRef::Name(name.clone()), id)).collect(),
            Some(asked) => asked.into_iter().map(|asked| find(image, asked)).collect(),
        };
        let response = MetadataResponse {
            brokers: image.brokers().filter(|(_, broker)| !broker.fenced).map(|(id, _)| id).collect(),
            controller: self.quorum.leader(),
            topics,
        };
        self.answer(caller, Response::Metadata(response), effects);
    }

    pub(super) fn describe_topics(
        &mut self,
        caller: Caller,
        request: DescribeTopicPartitionsRequest,
        effects: &mut Effects,
    ) {
        let image = &self.metadata.image;
        let names: Vec<TopicName> =
            request.topics.unwrap_or_else(|| image.names().map(|(name, _)| name.clone()).collect());
        let topics = names.into_iter().map(|name| describe(image, name)).collect();
        let response = DescribeTopicPartitionsResponse { topics };
        self.answer(caller, Response::DescribeTopicPartitions(response), effects);
    }
}

fn describe(image: &Image, name: TopicName) -> TopicDescription {
    let metadata = find(image, TopicRef::Name(name));
    let partitions = metadata.id.and_then(|id| image.topic(id)).map(|topic| topic.partitions.as_slice());
    let eligible = partitions
        .unwrap_or_default()
        .iter()
        .map(|partition| (partition.elr.clone(), partition.last_known_elr.clone()))
        .collect();
    TopicDescription { metadata, eligible }
}

fn find(image: &Image, asked: TopicRef) -> TopicMetadata {
    let (id, unknown) = match &asked {
        TopicRef::Id(id) => (image.topic(*id).map(|_| *id), ErrorCode::UnknownTopicId),
        TopicRef::Name(name) => (image.topic_id(name), ErrorCode::UnknownTopicOrPartition),
    };
    match id {
        Some(id) => topic(image, asked, id),
        None => {
            TopicMetadata { topic: asked, error: Some(unknown), name: None, id: None, partitions: Vec::new() }
        }
    }
}

fn topic(image: &Image, asked: TopicRef, id: TopicId) -> TopicMetadata {
    let found: Option<&TopicImage> = image.topic(id);
    TopicMetadata {
        topic: asked,
        error: found.is_none().then_some(ErrorCode::UnknownTopicId),
        name: found.map(|topic| topic.name.clone()),
        id: found.map(|_| id),
        partitions: found
            .map(|topic| topic.partitions.as_slice())
            .unwrap_or_default()
            .iter()
            .zip(0..)
            .map(|(state, number)| partition(image, number, state))
            .collect(),
    }
}

fn partition(image: &Image, number: u32, state: &PartitionImage) -> PartitionMetadata {
    let alive = |id: &NodeId| image.broker(*id).is_some_and(|broker| !broker.fenced);
    let leader = state.leader.filter(alive);
    PartitionMetadata {
        partition: number,
        error: leader.is_none().then_some(ErrorCode::LeaderNotAvailable),
        leader,
        leader_epoch: state.leader_epoch,
        replicas: state.replicas.to_vec(),
        isr: state.isr.clone(),
        offline: state.replicas.iter().filter(|id| !alive(id)).copied().collect(),
    }
}
