//! Metadata, key 3.

use kacrab_protocol::{
    KafkaUuid,
    generated::{
        metadata_request::{MetadataRequestData, MetadataRequestTopic},
        metadata_response::{
            MetadataResponseBroker, MetadataResponseData, MetadataResponsePartition, MetadataResponseTopic,
        },
    },
};
use trial_model::{
    group::OFFSETS_TOPIC,
    protocol::{
        TopicName, TopicRef,
        metadata::{MetadataRequest, MetadataResponse, PartitionMetadata, TopicMetadata},
    },
    units::{NodeId, NodeRole},
};

use crate::{
    book::Book,
    call::Call,
    convert::*,
    frame::{Refused, spells},
};

spells!(metadata_request::MetadataRequestData, metadata_response::MetadataResponseData);

/// Topics may be asked for by id, and be told without a name, since version 12 (KIP-516).
const BY_ID: i16 = 12;
/// Since this version a request says whether what it asks for may be created.
const AUTO_CREATION: i16 = 4;

fn has_id(topic: &MetadataRequestTopic) -> bool {
    topic.topic_id != KafkaUuid::ZERO
}

pub(crate) fn read(data: MetadataRequestData, call: &mut Call) -> Result<MetadataRequest, Refused> {
    // Before version 4 nobody could say otherwise (KIP-204).
    let allow_auto_topic_creation = call.version < AUTO_CREATION || data.allow_auto_topic_creation;
    let topics = match data.topics {
        // Before version 1 no topics meant all of them.
        Some(topics) if topics.is_empty() && call.version == 0 => None,
        // One id, and only ids count: clients leave the names empty beside them, or null.
        Some(topics) if call.version >= BY_ID && topics.iter().any(has_id) => {
            let asked = topics.into_iter().filter(has_id);
            Some(asked.map(|topic| TopicRef::Id(call.foreign.id(topic.topic_id))).collect())
        }
        Some(topics) => {
            let asked = topics.into_iter().map(|topic| match topic.name {
                Some(name) => Ok(TopicRef::Name(name.as_str().into())),
                None if call.version >= BY_ID => Ok(TopicRef::Id(call.foreign.id(topic.topic_id))),
                None => Err(Refused::Malformed),
            });
            Some(asked.collect::<Result<_, _>>()?)
        }
        None => None,
    };
    Ok(MetadataRequest { topics, allow_auto_topic_creation })
}

pub(crate) fn spell(request: &MetadataRequest, call: &Call) -> MetadataRequestData {
    let topic = |topic: &TopicRef| match topic {
        TopicRef::Name(name) => {
            MetadataRequestTopic { name: Some(string(name.as_str())), ..Default::default() }
        }
        TopicRef::Id(id) => {
            MetadataRequestTopic { topic_id: call.foreign.uuid(*id), name: None, ..Default::default() }
        }
    };
    let topics = request.topics.as_ref().map(|topics| topics.iter().map(topic).collect());
    MetadataRequestData {
        topics: if call.version == 0 { topics.or_else(|| Some(Vec::new())) } else { topics },
        // Its default is what older versions mean, and they refuse anything else.
        allow_auto_topic_creation: call.version < AUTO_CREATION || request.allow_auto_topic_creation,
        ..Default::default()
    }
}

/// The broker that clients are told for the controller: any will do, since all hand on what is for it, and
/// clients cannot reach the real one.
pub(crate) fn stand_in(response: &MetadataResponse) -> i32 {
    let nth = response.controller.map_or(0, |controller| controller.nth().saturating_sub(1) as usize);
    let brokers = response.brokers.len();
    number(response.brokers.iter().nth(if brokers == 0 { 0 } else { nth % brokers }))
}

pub(crate) fn answer(response: &MetadataResponse, call: &Call, book: &Book) -> MetadataResponseData {
    let broker = |node: NodeId| {
        let (host, port) = book.endpoint(node);
        MetadataResponseBroker {
            node_id: node.0 as i32,
            host: string(host),
            port: port.into(),
            ..Default::default()
        }
    };
    MetadataResponseData {
        brokers: response.brokers.iter().map(broker).collect(),
        cluster_id: Some(string(&book.cluster)),
        controller_id: stand_in(response),
        topics: response.topics.iter().map(|topic| answer_topic(topic, call)).collect(),
        ..Default::default()
    }
}

/// A topic's name and id, as far as the answer can tell them.
pub(crate) fn identify(topic: &TopicMetadata, call: &Call) -> (Option<TopicName>, KafkaUuid) {
    let (mut name, mut id) = (topic.name.clone(), topic.id.map(|id| call.foreign.uuid(id)));
    match &topic.topic {
        TopicRef::Name(asked) => name = name.or_else(|| Some(asked.clone())),
        TopicRef::Id(asked) => id = id.or_else(|| Some(call.foreign.uuid(*asked))),
    }
    (name, id.unwrap_or(KafkaUuid::ZERO))
}

/// Whether brokers keep a topic for themselves, and clients that want everything leave it out.
pub(crate) fn is_internal(name: &TopicName) -> bool {
    matches!(name.as_str(), OFFSETS_TOPIC | "__transaction_state")
}

fn answer_topic(topic: &TopicMetadata, call: &Call) -> MetadataResponseTopic {
    let (name, topic_id) = identify(topic, call);
    let name = name.map(|name| string(name.as_str()));
    MetadataResponseTopic {
        error_code: code(topic.error),
        name: if call.version < BY_ID { Some(name.unwrap_or_default()) } else { name },
        topic_id,
        is_internal: topic.name.as_ref().is_some_and(is_internal),
        partitions: topic.partitions.iter().map(answer_partition).collect(),
        ..Default::default()
    }
}

fn answer_partition(partition: &PartitionMetadata) -> MetadataResponsePartition {
    MetadataResponsePartition {
        error_code: code(partition.error),
        partition_index: partition.partition as i32,
        leader_id: number(partition.leader),
        leader_epoch: partition.leader_epoch.0 as i32,
        replica_nodes: partition.replicas.iter().map(|node| node.0 as i32).collect(),
        isr_nodes: numbers(&partition.isr),
        offline_replicas: numbers(&partition.offline),
        ..Default::default()
    }
}

pub(crate) fn read_answer(data: MetadataResponseData, call: &mut Call) -> Result<MetadataResponse, Refused> {
    let mut topics = Vec::new();
    for topic in data.topics {
        let name = topic.name.map(|name| TopicName::from(name.as_str()));
        let id = (!topic.topic_id.is_nil()).then(|| call.foreign.id(topic.topic_id));
        let asked = match (&name, id) {
            (Some(name), _) => TopicRef::Name(name.clone()),
            (None, Some(id)) => TopicRef::Id(id),
            (None, None) => return Err(Refused::Malformed),
        };
        let known = topic.error_code == 0;
        topics.push(TopicMetadata {
            topic: asked,
            error: error(topic.error_code),
            name: name.filter(|_| known),
            id: id.filter(|_| known),
            partitions: topic.partitions.into_iter().map(read_partition).collect::<Result<_, _>>()?,
        });
    }
    let brokers = data.brokers.iter().filter_map(|broker| node(broker.node_id));
    Ok(MetadataResponse {
        brokers: brokers.filter(|broker| broker.role() == NodeRole::Broker).collect(),
        // What clients are told is a stand-in, whom it would be wrong to take for the controller.
        controller: None,
        topics,
    })
}

fn read_partition(data: MetadataResponsePartition) -> Result<PartitionMetadata, Refused> {
    Ok(PartitionMetadata {
        partition: data.partition_index as u32,
        error: error(data.error_code),
        leader: node(data.leader_id),
        leader_epoch: epoch(data.leader_epoch).unwrap_or_default(),
        replicas: data.replica_nodes.iter().filter_map(|number| node(*number)).collect(),
        isr: nodes(&data.isr_nodes),
        offline: nodes(&data.offline_replicas),
    })
}
