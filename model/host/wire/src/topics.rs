//! CreateTopics 19, DeleteTopics 20, CreatePartitions 37.
//!
//! What the node's own request cannot say (`validate_only`, a deletion by id) is refused here, topic by
//! topic, rather than carried out in another way.

use kacrab_protocol::{
    KafkaString, KafkaUuid,
    generated::{
        create_partitions_request::{CreatePartitionsRequestData, CreatePartitionsTopic},
        create_partitions_response::{CreatePartitionsResponseData, CreatePartitionsTopicResult},
        create_topics_request::{
            CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequestData,
        },
        create_topics_response::{CreatableTopicResult, CreateTopicsResponseData},
        delete_topics_request::{DeleteTopicState, DeleteTopicsRequestData},
        delete_topics_response::{DeletableTopicResult, DeleteTopicsResponseData},
    },
};
use trial_model::{
    protocol::{
        ErrorCode, TopicName,
        topics::{
            CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
            DeleteTopicsRequest, DeleteTopicsResponse, NewTopic,
        },
    },
    units::{NodeId, TopicId},
};

use crate::{
    call::{Call, Echo, RefusedTopic},
    convert::*,
    frame::{Refused, spells},
};

spells!(
    create_topics_request::CreateTopicsRequestData,
    create_topics_response::CreateTopicsResponseData,
    delete_topics_request::DeleteTopicsRequestData,
    delete_topics_response::DeleteTopicsResponseData,
    create_partitions_request::CreatePartitionsRequestData,
    create_partitions_response::CreatePartitionsResponseData,
);

const DRY_RUN: &str = "validate_only is not carried out here";

fn refuse(name: &KafkaString, error: ErrorCode, why: &'static str) -> RefusedTopic {
    RefusedTopic { name: Some(name.clone()), id: KafkaUuid::ZERO, error: error.code(), why }
}

fn refused(call: &Call) -> &[RefusedTopic] {
    match &call.echo {
        Echo::RefusedTopics(refused) => refused,
        _ => &[],
    }
}

/// What people read beside an error's number.
fn message(error: Option<ErrorCode>) -> Option<KafkaString> {
    error.map(|error| KafkaString::from_static(error.name()))
}

pub(crate) fn read_create(
    data: CreateTopicsRequestData,
    call: &mut Call,
) -> Result<CreateTopicsRequest, Refused> {
    let mut topics = Vec::new();
    let mut refused = Vec::new();
    for topic in data.topics {
        match new_topic(&topic) {
            _ if data.validate_only => refused.push(refuse(&topic.name, ErrorCode::InvalidRequest, DRY_RUN)),
            Ok(new) => topics.push(new),
            Err((error, why)) => refused.push(refuse(&topic.name, error, why)),
        }
    }
    call.echo = Echo::RefusedTopics(refused);
    Ok(CreateTopicsRequest { topics, timeout: millis(data.timeout_ms) })
}

fn new_topic(topic: &CreatableTopic) -> Result<NewTopic, (ErrorCode, &'static str)> {
    let partitions = match topic.num_partitions {
        -1 => u32::MAX,
        count => u32::try_from(count)
            .map_err(|_| (ErrorCode::InvalidPartitions, "the number of partitions is below zero"))?,
    };
    let replication_factor = match topic.replication_factor {
        -1 => u16::MAX,
        factor => u16::try_from(factor)
            .map_err(|_| (ErrorCode::InvalidReplicationFactor, "the replication factor is below zero"))?,
    };
    let mut assignments: Vec<&CreatableReplicaAssignment> = topic.assignments.iter().collect();
    assignments.sort_by_key(|assignment| assignment.partition_index);
    let mut assignment = Vec::new();
    for (assigned, nth) in assignments.into_iter().zip(0..) {
        let brokers: Option<Vec<NodeId>> = assigned.broker_ids.iter().map(|number| node(*number)).collect();
        let in_order = assigned.partition_index == nth;
        assignment.push(brokers.filter(|_| in_order).ok_or((
            ErrorCode::InvalidReplicaAssignment,
            "partitions are to be assigned from 0 on, to brokers",
        ))?);
    }
    let config = topic.configs.iter().map(|config| {
        let value = config.value.as_ref().ok_or((ErrorCode::InvalidConfig, "a setting without a value"))?;
        Ok((config.name.as_str().to_owned(), value.as_str().to_owned()))
    });
    Ok(NewTopic {
        name: topic.name.as_str().into(),
        partitions,
        replication_factor,
        assignment,
        config: config.collect::<Result<_, _>>()?,
    })
}

pub(crate) fn spell_create(request: &CreateTopicsRequest) -> CreateTopicsRequestData {
    let topic = |topic: &NewTopic| {
        let assignments =
            topic.assignment.iter().zip(0..).map(|(brokers, partition_index)| CreatableReplicaAssignment {
                partition_index,
                broker_ids: brokers.iter().map(|node| node.0 as i32).collect(),
                ..Default::default()
            });
        let configs = topic.config.iter().map(|(name, value)| CreatableTopicConfig {
            name: string(name),
            value: Some(string(value)),
            ..Default::default()
        });
        CreatableTopic {
            name: string(topic.name.as_str()),
            num_partitions: i32::try_from(topic.partitions).unwrap_or(-1),
            replication_factor: i16::try_from(topic.replication_factor).unwrap_or(-1),
            assignments: assignments.collect(),
            configs: configs.collect(),
            ..Default::default()
        }
    };
    CreateTopicsRequestData {
        topics: request.topics.iter().map(topic).collect(),
        timeout_ms: millis_number(request.timeout),
        ..Default::default()
    }
}

pub(crate) fn answer_create(response: &CreateTopicsResponse, call: &Call) -> CreateTopicsResponseData {
    let told = response.topics.iter().map(|(name, result)| CreatableTopicResult {
        name: string(name.as_str()),
        topic_id: result.as_ref().map_or(KafkaUuid::ZERO, |id| call.foreign.uuid(*id)),
        error_code: error_of(result),
        error_message: message(result.as_ref().err().copied()),
        configs: Some(Vec::new()),
        ..Default::default()
    });
    let refused = refused(call).iter().map(|topic| CreatableTopicResult {
        name: topic.name.clone().unwrap_or_default(),
        error_code: topic.error,
        error_message: Some(KafkaString::from_static(topic.why)),
        configs: Some(Vec::new()),
        ..Default::default()
    });
    CreateTopicsResponseData { topics: told.chain(refused).collect(), ..Default::default() }
}

pub(crate) fn read_create_answer(
    data: CreateTopicsResponseData,
    call: &mut Call,
) -> Result<CreateTopicsResponse, Refused> {
    let topics = data.topics.into_iter().map(|topic| {
        let id: TopicId = call.foreign.id(topic.topic_id);
        (TopicName::from(topic.name.as_str()), result(topic.error_code, id))
    });
    Ok(CreateTopicsResponse { topics: topics.collect() })
}

pub(crate) fn read_delete(
    data: DeleteTopicsRequestData,
    call: &mut Call,
) -> Result<DeleteTopicsRequest, Refused> {
    let mut topics: Vec<TopicName> = data.topic_names.iter().map(|name| name.as_str().into()).collect();
    let mut refused = Vec::new();
    for DeleteTopicState { name, topic_id, .. } in data.topics {
        match name {
            Some(name) if topic_id.is_nil() => topics.push(name.as_str().into()),
            name => {
                let why = "topics are deleted by name here";
                refused.push(RefusedTopic {
                    name,
                    id: topic_id,
                    error: ErrorCode::InvalidRequest.code(),
                    why,
                });
            }
        }
    }
    call.echo = Echo::RefusedTopics(refused);
    Ok(DeleteTopicsRequest { topics, timeout: millis(data.timeout_ms) })
}

pub(crate) fn spell_delete(request: &DeleteTopicsRequest, call: &Call) -> DeleteTopicsRequestData {
    let names = request.topics.iter().map(|name| string(name.as_str()));
    let mut data =
        DeleteTopicsRequestData { timeout_ms: millis_number(request.timeout), ..Default::default() };
    if call.version >= 6 {
        let state = |name| DeleteTopicState { name: Some(name), ..Default::default() };
        data.topics = names.map(state).collect();
    } else {
        data.topic_names = names.collect();
    }
    data
}

pub(crate) fn answer_delete(response: &DeleteTopicsResponse, call: &Call) -> DeleteTopicsResponseData {
    let told = response.topics.iter().map(|(name, result)| DeletableTopicResult {
        name: Some(string(name.as_str())),
        error_code: error_of(result),
        error_message: message(result.as_ref().err().copied()),
        ..Default::default()
    });
    let refused = refused(call).iter().map(|topic| DeletableTopicResult {
        name: topic.name.clone(),
        topic_id: topic.id,
        error_code: topic.error,
        error_message: Some(KafkaString::from_static(topic.why)),
        ..Default::default()
    });
    DeleteTopicsResponseData { responses: told.chain(refused).collect(), ..Default::default() }
}

pub(crate) fn read_delete_answer(data: DeleteTopicsResponseData) -> Result<DeleteTopicsResponse, Refused> {
    let topics = data.responses.into_iter().map(|topic| {
        let name = topic.name.ok_or(Refused::Malformed)?;
        Ok((TopicName::from(name.as_str()), result(topic.error_code, ())))
    });
    Ok(DeleteTopicsResponse { topics: topics.collect::<Result<_, Refused>>()? })
}

pub(crate) fn read_grow(
    data: CreatePartitionsRequestData,
    call: &mut Call,
) -> Result<CreatePartitionsRequest, Refused> {
    let mut topics = Vec::new();
    let mut refused = Vec::new();
    for topic in data.topics {
        match u32::try_from(topic.count) {
            _ if data.validate_only => refused.push(refuse(&topic.name, ErrorCode::InvalidRequest, DRY_RUN)),
            _ if topic.assignments.is_some() => {
                let why = "new partitions cannot be assigned by hand here";
                refused.push(refuse(&topic.name, ErrorCode::InvalidReplicaAssignment, why));
            }
            Ok(count) => topics.push((TopicName::from(topic.name.as_str()), count)),
            Err(_) => {
                let why = "the number of partitions is below zero";
                refused.push(refuse(&topic.name, ErrorCode::InvalidPartitions, why));
            }
        }
    }
    call.echo = Echo::RefusedTopics(refused);
    Ok(CreatePartitionsRequest { topics, timeout: millis(data.timeout_ms) })
}

pub(crate) fn spell_grow(request: &CreatePartitionsRequest) -> CreatePartitionsRequestData {
    let topics = request.topics.iter().map(|(name, count)| CreatePartitionsTopic {
        name: string(name.as_str()),
        count: bytes_number(*count),
        assignments: None,
        ..Default::default()
    });
    CreatePartitionsRequestData {
        topics: topics.collect(),
        timeout_ms: millis_number(request.timeout),
        ..Default::default()
    }
}

pub(crate) fn answer_grow(response: &CreatePartitionsResponse, call: &Call) -> CreatePartitionsResponseData {
    let told = response.topics.iter().map(|(name, result)| CreatePartitionsTopicResult {
        name: string(name.as_str()),
        error_code: error_of(result),
        error_message: message(result.as_ref().err().copied()),
        ..Default::default()
    });
    let refused = refused(call).iter().map(|topic| CreatePartitionsTopicResult {
        name: topic.name.clone().unwrap_or_default(),
        error_code: topic.error,
        error_message: Some(KafkaString::from_static(topic.why)),
        ..Default::default()
    });
    CreatePartitionsResponseData { results: told.chain(refused).collect(), ..Default::default() }
}

pub(crate) fn read_grow_answer(
    data: CreatePartitionsResponseData,
) -> Result<CreatePartitionsResponse, Refused> {
    let topics = data.results.into_iter();
    let topics = topics.map(|topic| (TopicName::from(topic.name.as_str()), result(topic.error_code, ())));
    Ok(CreatePartitionsResponse { topics: topics.collect() })
}
