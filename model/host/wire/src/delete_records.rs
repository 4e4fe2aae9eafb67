//! DeleteRecords, key 21.

use kacrab_protocol::generated::{
    delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequestData, DeleteRecordsTopic},
    delete_records_response::{
        DeleteRecordsPartitionResult, DeleteRecordsResponseData, DeleteRecordsTopicResult,
    },
};
use trial_model::protocol::{
    TopicRef,
    topics::{DeleteRecordsRequest, DeleteRecordsResponse},
};

use crate::{
    call::Call,
    convert::*,
    frame::{Refused, spells},
};

spells!(delete_records_request::DeleteRecordsRequestData, delete_records_response::DeleteRecordsResponseData);

/// Up to the high watermark.
const ALL: i64 = -1;

pub(crate) fn read(data: DeleteRecordsRequestData, _: &mut Call) -> Result<DeleteRecordsRequest, Refused> {
    let mut partitions = Vec::new();
    for topic in data.topics {
        let topic_ref = TopicRef::Name(topic.name.as_str().into());
        for asked in topic.partitions {
            let before = (asked.offset != ALL).then(|| offset(asked.offset));
            partitions.push((partition(topic_ref.clone(), asked.partition_index), before));
        }
    }
    Ok(DeleteRecordsRequest { partitions, timeout: millis(data.timeout_ms) })
}

pub(crate) fn spell(request: &DeleteRecordsRequest, call: &Call) -> DeleteRecordsRequestData {
    let partitions = request.partitions.iter().map(|(partition, before)| {
        let data = DeleteRecordsPartition {
            partition_index: partition.partition as i32,
            offset: before.map_or(ALL, |before| before.0 as i64),
            ..Default::default()
        };
        (partition.topic.clone(), data)
    });
    let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
        let (name, _) = call.foreign.spell(&topic);
        DeleteRecordsTopic { name, partitions, ..Default::default() }
    });
    DeleteRecordsRequestData {
        topics: topics.collect(),
        timeout_ms: millis_number(request.timeout),
        ..Default::default()
    }
}

pub(crate) fn answer(response: &DeleteRecordsResponse, call: &Call) -> DeleteRecordsResponseData {
    let answers = response.partitions.iter().map(|(partition, result, _)| {
        let data = DeleteRecordsPartitionResult {
            partition_index: partition.partition as i32,
            low_watermark: offset_number(result.as_ref().ok().copied()),
            error_code: error_of(result),
            ..Default::default()
        };
        (partition.topic.clone(), data)
    });
    let topics = by_topic(answers).into_iter().map(|(topic, partitions)| {
        let (name, _) = call.foreign.spell(&topic);
        DeleteRecordsTopicResult { name, partitions, ..Default::default() }
    });
    DeleteRecordsResponseData { topics: topics.collect(), ..Default::default() }
}

pub(crate) fn read_answer(data: DeleteRecordsResponseData) -> Result<DeleteRecordsResponse, Refused> {
    let mut partitions = Vec::new();
    for topic in data.topics {
        let topic_ref = TopicRef::Name(topic.name.as_str().into());
        for told in topic.partitions {
            let result = result(told.error_code, offset(told.low_watermark));
            partitions.push((partition(topic_ref.clone(), told.partition_index), result, None));
        }
    }
    Ok(DeleteRecordsResponse { partitions })
}
