//! What does this broker tell about the cluster? As it has heard, which may be old.

use alloc::{sync::Arc, vec::Vec};

use super::{Broker, metadata::Metadata};
use crate::{
    controller::image::{Image, PartitionImage, TopicImage},
    group::OFFSETS_TOPIC,
    machine::{Caller, Effects},
    protocol::{
        ErrorCode, Request, Response, TopicName, TopicRef,
        metadata::{MetadataRequest, MetadataResponse, PartitionMetadata, TopicMetadata},
        topics::{
            CreateTopicsRequest, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, NewTopic,
            TopicDescription,
        },
    },
    time::Now,
    units::NodeId,
};

impl Broker {
    pub(super) fn describe_cluster(
        &mut self,
        now: Now,
        caller: Caller,
        request: MetadataRequest,
        effects: &mut Effects,
    ) {
        let creates = request.allow_auto_topic_creation && self.config.auto_create_topics_enable;
        let asked = request.topics.unwrap_or_else(|| {
            self.metadata.image.names().map(|(name, _)| TopicRef::Name(name.clone())).collect()
        });
        let mut topics: Vec<_> = asked.into_iter().map(|asked| self.metadata.describe(asked)).collect();
        if creates {
            topics.iter_mut().for_each(|topic| self.create_unknown(now, topic));
        }
        let image = &self.metadata.image;
        let response = MetadataResponse {
            brokers: image.brokers().filter(|(_, broker)| !broker.fenced).map(|(id, _)| id).collect(),
            controller: self.quorum.leader(),
            topics,
        };
        self.answer(caller, Response::Metadata(response), effects);
    }

    /// Has a topic created that was asked for by a name which none has, and says so where none may have it. Whoever
    /// asked is told that it is unknown, and asks again.
    fn create_unknown(&mut self, now: Now, topic: &mut TopicMetadata) {
        let (TopicRef::Name(name), Some(_)) = (&topic.topic, topic.error) else { return };
        if !name.is_legal() {
            topic.error = Some(ErrorCode::InvalidTopic);
        } else if name.as_str() == OFFSETS_TOPIC {
            self.create_offsets_topic(now);
        } else {
            let new = NewTopic {
                name: name.clone(),
                partitions: self.config.num_partitions,
                replication_factor: self.config.default_replication_factor,
                assignment: Vec::new(),
                config: Vec::new(),
            };
            // One a request, so that what is asked for twice is asked for once.
            let timeout = self.config.request_timeout_ms;
            self.forward_own(
                now,
                Request::CreateTopics(CreateTopicsRequest { topics: [new].into(), timeout }),
            );
        }
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
        let topics = names.into_iter().map(|name| self.metadata.describe_fully(name)).collect();
        let response = DescribeTopicPartitionsResponse { topics };
        self.answer(caller, Response::DescribeTopicPartitions(response), effects);
    }
}

impl Metadata {
    fn describe_fully(&mut self, name: TopicName) -> TopicDescription {
        let metadata = self.describe(TopicRef::Name(name));
        let topic = metadata.id.and_then(|id| self.image.topic(id));
        let partitions = topic.map(|topic| topic.partitions.as_slice()).unwrap_or_default();
        let eligible = partitions
            .iter()
            .map(|partition| (partition.elr.clone(), partition.last_known_elr.clone()))
            .collect();
        TopicDescription { metadata, eligible }
    }

    fn describe(&mut self, asked: TopicRef) -> TopicMetadata {
        let (id, unknown) = match &asked {
            TopicRef::Id(id) => (Some(*id), ErrorCode::UnknownTopicId),
            TopicRef::Name(name) => (self.image.topic_id(name), ErrorCode::UnknownTopicOrPartition),
        };
        match id.and_then(|id| Some((id, self.image.topic(id)?))) {
            Some((id, topic)) => TopicMetadata {
                topic: asked,
                error: None,
                name: Some(topic.name.clone()),
                id: Some(id),
                partitions: self.told.entry(id).or_insert_with(|| partitions(&self.image, topic)).clone(),
            },
            None => TopicMetadata {
                topic: asked,
                error: Some(unknown),
                name: None,
                id: None,
                partitions: [].into(),
            },
        }
    }
}

fn partitions(image: &Image, topic: &TopicImage) -> Arc<[PartitionMetadata]> {
    topic.partitions.iter().zip(0..).map(|(state, number)| partition(image, number, state)).collect()
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
