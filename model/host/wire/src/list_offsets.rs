//! ListOffsets, key 2.

use kacrab_protocol::generated::{
    list_offsets_request::{ListOffsetsPartition, ListOffsetsRequestData, ListOffsetsTopic},
    list_offsets_response::{
        ListOffsetsPartitionResponse, ListOffsetsResponseData, ListOffsetsTopicResponse,
    },
};
use trial_model::{
    protocol::{
        TopicRef,
        list_offsets::{
            FoundOffset, ListOffsetsRequest, ListOffsetsResponse, OffsetSpec, PartitionListOffsets,
            PartitionOffsets,
        },
    },
    time::Timestamp,
};

use crate::{
    call::Call,
    convert::*,
    frame::{Refused, spells},
};

spells!(list_offsets_request::ListOffsetsRequestData, list_offsets_response::ListOffsetsResponseData);

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// KIP-405: the earliest that is not in another tier. There is none.
const EARLIEST_LOCAL: i64 = -4;
/// KIP-1005: the latest that is in another tier. There is none, so nothing is found.
const LATEST_TIERED: i64 = -5;

pub(crate) fn read(data: ListOffsetsRequestData, _: &mut Call) -> Result<ListOffsetsRequest, Refused> {
    let mut partitions = Vec::new();
    for topic in data.topics {
        let topic_ref = TopicRef::Name(topic.name.as_str().into());
        for asked in topic.partitions {
            partitions.push(PartitionListOffsets {
                partition: partition(topic_ref.clone(), asked.partition_index),
                current_leader_epoch: epoch(asked.current_leader_epoch),
                spec: match asked.timestamp {
                    LATEST => OffsetSpec::Latest,
                    EARLIEST | EARLIEST_LOCAL => OffsetSpec::Earliest,
                    MAX_TIMESTAMP => OffsetSpec::MaxTimestamp,
                    LATEST_TIERED => OffsetSpec::Time(Timestamp(i64::MAX)),
                    time => OffsetSpec::Time(Timestamp(time)),
                },
            });
        }
    }
    Ok(ListOffsetsRequest { replica: node(data.replica_id), partitions })
}

pub(crate) fn spell(request: &ListOffsetsRequest, call: &Call) -> ListOffsetsRequestData {
    let partitions = request.partitions.iter().map(|asked| {
        let data = ListOffsetsPartition {
            partition_index: asked.partition.partition as i32,
            current_leader_epoch: epoch_number(asked.current_leader_epoch),
            timestamp: match asked.spec {
                OffsetSpec::Latest => LATEST,
                OffsetSpec::Earliest => EARLIEST,
                OffsetSpec::MaxTimestamp => MAX_TIMESTAMP,
                OffsetSpec::Time(time) => time.0,
            },
            ..Default::default()
        };
        (asked.partition.topic.clone(), data)
    });
    let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
        let (name, _) = call.foreign.spell(&topic);
        ListOffsetsTopic { name, partitions, ..Default::default() }
    });
    ListOffsetsRequestData {
        replica_id: number(request.replica),
        topics: topics.collect(),
        ..Default::default()
    }
}

pub(crate) fn answer(response: &ListOffsetsResponse, call: &Call) -> ListOffsetsResponseData {
    let answers = response.partitions.iter().map(|told| {
        let found = told.result.as_ref().ok().copied().flatten();
        let data = ListOffsetsPartitionResponse {
            partition_index: told.partition.partition as i32,
            error_code: error_of(&told.result),
            timestamp: timestamp_number(found.and_then(|found| found.timestamp)),
            offset: offset_number(found.map(|found| found.offset)),
            leader_epoch: match call.version {
                4.. => epoch_number(found.and_then(|found| found.leader_epoch)),
                _ => -1,
            },
            ..Default::default()
        };
        (told.partition.topic.clone(), data)
    });
    let topics = by_topic(answers).into_iter().map(|(topic, partitions)| {
        let (name, _) = call.foreign.spell(&topic);
        ListOffsetsTopicResponse { name, partitions, ..Default::default() }
    });
    ListOffsetsResponseData { topics: topics.collect(), ..Default::default() }
}

pub(crate) fn read_answer(data: ListOffsetsResponseData) -> Result<ListOffsetsResponse, Refused> {
    let mut partitions = Vec::new();
    for topic in data.topics {
        let topic_ref = TopicRef::Name(topic.name.as_str().into());
        for told in topic.partitions {
            let found = some_offset(told.offset).map(|offset| FoundOffset {
                offset,
                timestamp: timestamp(told.timestamp),
                leader_epoch: epoch(told.leader_epoch),
            });
            partitions.push(PartitionOffsets {
                partition: partition(topic_ref.clone(), told.partition_index),
                result: result(told.error_code, found),
                leader: None,
            });
        }
    }
    Ok(ListOffsetsResponse { partitions })
}
