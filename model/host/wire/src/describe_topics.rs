//! DescribeTopicPartitions, key 75: topics, page by page. KIP-966.

use kacrab_protocol::{
    KafkaString,
    generated::{
        describe_topic_partitions_request::{
            Cursor as From, DescribeTopicPartitionsRequestData, TopicRequest,
        },
        describe_topic_partitions_response::{
            Cursor, DescribeTopicPartitionsResponseData, DescribeTopicPartitionsResponsePartition,
            DescribeTopicPartitionsResponseTopic,
        },
    },
};
use trial_model::{
    protocol::{
        TopicName, TopicRef,
        metadata::{PartitionMetadata, TopicMetadata},
        topics::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicDescription},
    },
    units::NodeSet,
};

use crate::{
    call::{Call, Echo},
    convert::*,
    frame::{Refused, spells},
    metadata::{identify, is_internal},
};

spells!(
    describe_topic_partitions_request::DescribeTopicPartitionsRequestData,
    describe_topic_partitions_response::DescribeTopicPartitionsResponseData,
);

/// Kafka's `max.request.partition.size.limit`.
const MOST: i32 = 2000;

pub(crate) fn read(
    data: DescribeTopicPartitionsRequestData,
    call: &mut Call,
) -> Result<DescribeTopicPartitionsRequest, Refused> {
    let from = data.cursor.map(|cursor| (cursor.topic_name, cursor.partition_index));
    if from.as_ref().is_some_and(|(_, partition)| *partition < 0) {
        return Err(Refused::Malformed);
    }
    let mut names: Vec<TopicName> = data.topics.iter().map(|topic| topic.name.as_str().into()).collect();
    names.sort_unstable();
    names.dedup();
    if let Some((first, _)) = &from {
        names.retain(|name| name.as_str() >= first.as_str());
    }
    call.echo = Echo::Page { limit: data.response_partition_limit.clamp(1, MOST), from };
    let topics = (!data.topics.is_empty()).then_some(names);
    Ok(DescribeTopicPartitionsRequest { topics })
}

pub(crate) fn spell(request: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsRequestData {
    let topics = request.topics.iter().flatten();
    DescribeTopicPartitionsRequestData {
        topics: topics
            .map(|name| TopicRequest { name: string(name.as_str()), ..Default::default() })
            .collect(),
        response_partition_limit: MOST,
        cursor: None::<Box<From>>,
        ..Default::default()
    }
}

pub(crate) fn answer(
    response: &DescribeTopicPartitionsResponse,
    call: &Call,
) -> DescribeTopicPartitionsResponseData {
    let (limit, from) = match &call.echo {
        Echo::Page { limit, from } => (*limit, from.clone()),
        _ => (MOST, None),
    };
    let mut left = usize::try_from(limit).unwrap_or(1);
    let mut data = DescribeTopicPartitionsResponseData::default();
    for topic in &response.topics {
        let (name, topic_id) = identify(&topic.metadata, call);
        let name = name.map(|name| string(name.as_str()));
        let skip = match &from {
            Some((first, _)) if name.as_ref().is_some_and(|name| name.as_bytes() < first.as_bytes()) => {
                continue;
            }
            Some((first, partition)) if name.as_ref() == Some(first) => {
                usize::try_from(*partition).unwrap_or(0)
            }
            _ => 0,
        };
        if left == 0 {
            data.next_cursor = Some(Box::new(cursor(name.unwrap_or_default(), 0)));
            break;
        }
        let all = topic.metadata.partitions.iter().zip(&topic.eligible).skip(skip);
        let partitions: Vec<_> = all.take(left).map(|(partition, elr)| answer_one(partition, elr)).collect();
        left -= partitions.len();
        let next = skip + partitions.len();
        data.topics.push(DescribeTopicPartitionsResponseTopic {
            error_code: code(topic.metadata.error),
            name: name.clone(),
            topic_id,
            is_internal: topic.metadata.name.as_ref().is_some_and(is_internal),
            partitions,
            ..Default::default()
        });
        if next < topic.metadata.partitions.len() {
            data.next_cursor = Some(Box::new(cursor(name.unwrap_or_default(), next as i32)));
            break;
        }
    }
    data
}

fn cursor(topic_name: KafkaString, partition_index: i32) -> Cursor {
    Cursor { topic_name, partition_index, ..Default::default() }
}

fn answer_one(
    partition: &PartitionMetadata,
    (elr, last_known): &(NodeSet, NodeSet),
) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition {
        error_code: code(partition.error),
        partition_index: partition.partition as i32,
        leader_id: number(partition.leader),
        leader_epoch: partition.leader_epoch.0 as i32,
        replica_nodes: partition.replicas.iter().map(|node| node.0 as i32).collect(),
        isr_nodes: numbers(&partition.isr),
        eligible_leader_replicas: Some(numbers(elr)),
        last_known_elr: Some(numbers(last_known)),
        offline_replicas: numbers(&partition.offline),
        ..Default::default()
    }
}

pub(crate) fn read_answer(
    data: DescribeTopicPartitionsResponseData,
    call: &mut Call,
) -> Result<DescribeTopicPartitionsResponse, Refused> {
    let mut topics = Vec::new();
    for topic in data.topics {
        let name = TopicName::from(topic.name.ok_or(Refused::Malformed)?.as_str());
        let known = topic.error_code == 0;
        let eligible = topic.partitions.iter().map(|partition| {
            let set = |numbers: &Option<Vec<i32>>| nodes(numbers.as_deref().unwrap_or_default());
            (set(&partition.eligible_leader_replicas), set(&partition.last_known_elr))
        });
        topics.push(TopicDescription {
            eligible: eligible.collect(),
            metadata: TopicMetadata {
                topic: TopicRef::Name(name.clone()),
                error: error(topic.error_code),
                id: known.then(|| call.foreign.id(topic.topic_id)),
                name: known.then_some(name),
                partitions: topic.partitions.iter().map(read_partition).collect(),
            },
        });
    }
    Ok(DescribeTopicPartitionsResponse { topics })
}

fn read_partition(data: &DescribeTopicPartitionsResponsePartition) -> PartitionMetadata {
    PartitionMetadata {
        partition: data.partition_index as u32,
        error: error(data.error_code),
        leader: node(data.leader_id),
        leader_epoch: epoch(data.leader_epoch).unwrap_or_default(),
        replicas: data.replica_nodes.iter().filter_map(|number| node(*number)).collect(),
        isr: nodes(&data.isr_nodes),
        offline: nodes(&data.offline_replicas),
    }
}
