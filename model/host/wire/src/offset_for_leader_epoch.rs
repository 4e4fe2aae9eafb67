//! OffsetForLeaderEpoch, key 23.

use kacrab_protocol::generated::{
    offset_for_leader_epoch_request::{
        OffsetForLeaderEpochRequestData, OffsetForLeaderPartition, OffsetForLeaderTopic,
    },
    offset_for_leader_epoch_response::{
        EpochEndOffset, OffsetForLeaderEpochResponseData, OffsetForLeaderTopicResult,
    },
};
use trial_model::{
    protocol::{
        TopicRef,
        offset_for_leader_epoch::{
            OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, PartitionEpochEnd, PartitionEpochQuery,
        },
    },
    units::LeaderEpoch,
};

use crate::{
    call::Call,
    convert::*,
    frame::{Refused, spells},
};

spells!(
    offset_for_leader_epoch_request::OffsetForLeaderEpochRequestData,
    offset_for_leader_epoch_response::OffsetForLeaderEpochResponseData,
);

pub(crate) fn read(
    data: OffsetForLeaderEpochRequestData,
    _: &mut Call,
) -> Result<OffsetForLeaderEpochRequest, Refused> {
    let mut partitions = Vec::new();
    for topic in data.topics {
        let topic_ref = TopicRef::Name(topic.topic.as_str().into());
        for asked in topic.partitions {
            partitions.push(PartitionEpochQuery {
                partition: partition(topic_ref.clone(), asked.partition),
                current_leader_epoch: epoch(asked.current_leader_epoch),
                // No epoch is below zero, and none is known that is not above it.
                leader_epoch: epoch(asked.leader_epoch).unwrap_or(LeaderEpoch(0)),
            });
        }
    }
    // -2 is a debugging consumer.
    Ok(OffsetForLeaderEpochRequest { replica: node(data.replica_id), partitions })
}

pub(crate) fn spell(request: &OffsetForLeaderEpochRequest, call: &Call) -> OffsetForLeaderEpochRequestData {
    let partitions = request.partitions.iter().map(|asked| {
        let data = OffsetForLeaderPartition {
            partition: asked.partition.partition as i32,
            current_leader_epoch: epoch_number(asked.current_leader_epoch),
            leader_epoch: asked.leader_epoch.0 as i32,
            ..Default::default()
        };
        (asked.partition.topic.clone(), data)
    });
    let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
        let (topic, _) = call.foreign.spell(&topic);
        OffsetForLeaderTopic { topic, partitions, ..Default::default() }
    });
    OffsetForLeaderEpochRequestData {
        replica_id: number(request.replica),
        topics: topics.collect(),
        ..Default::default()
    }
}

pub(crate) fn answer(
    response: &OffsetForLeaderEpochResponse,
    call: &Call,
) -> OffsetForLeaderEpochResponseData {
    let answers = response.partitions.iter().map(|told| {
        let end = told.result.as_ref().ok().copied().flatten();
        let data = EpochEndOffset {
            error_code: error_of(&told.result),
            partition: told.partition.partition as i32,
            leader_epoch: epoch_number(end.map(|end| end.epoch)),
            end_offset: offset_number(end.map(|end| end.end)),
            ..Default::default()
        };
        (told.partition.topic.clone(), data)
    });
    let topics = by_topic(answers).into_iter().map(|(topic, partitions)| {
        let (topic, _) = call.foreign.spell(&topic);
        OffsetForLeaderTopicResult { topic, partitions, ..Default::default() }
    });
    OffsetForLeaderEpochResponseData { topics: topics.collect(), ..Default::default() }
}

pub(crate) fn read_answer(
    data: OffsetForLeaderEpochResponseData,
) -> Result<OffsetForLeaderEpochResponse, Refused> {
    let mut partitions = Vec::new();
    for topic in data.topics {
        let topic_ref = TopicRef::Name(topic.topic.as_str().into());
        for told in topic.partitions {
            partitions.push(PartitionEpochEnd {
                partition: partition(topic_ref.clone(), told.partition),
                result: result(told.error_code, epoch_end(told.leader_epoch, told.end_offset)),
            });
        }
    }
    Ok(OffsetForLeaderEpochResponse { partitions })
}
