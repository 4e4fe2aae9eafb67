//! OffsetCommit 8, OffsetFetch 9, OffsetDelete 47.

use kacrab_protocol::{
    KafkaString,
    generated::{
        offset_commit_request::{
            OffsetCommitRequestData, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
        },
        offset_commit_response::{
            OffsetCommitResponseData, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
        },
        offset_delete_request::{
            OffsetDeleteRequestData, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
        },
        offset_delete_response::{
            OffsetDeleteResponseData, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
        },
        offset_fetch_request::{
            OffsetFetchRequestData, OffsetFetchRequestGroup, OffsetFetchRequestTopic,
            OffsetFetchRequestTopics,
        },
        offset_fetch_response::{
            OffsetFetchResponseData, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
            OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
        },
    },
};
use trial_model::{
    protocol::{
        ErrorCode, NamedPartition, PartitionRef, TopicName, TopicRef,
        groups::NO_GENERATION,
        offsets::{
            CommittedOffset, GroupOffsets, GroupOffsetsWanted, OffsetCommitRequest, OffsetCommitResponse,
            OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse,
        },
    },
    units::{GroupId, InstanceId, MemberId, Offset},
};

use crate::{
    call::{Call, Echo},
    convert::*,
    frame::spells,
};

spells!(
    offset_commit_request::OffsetCommitRequestData,
    offset_commit_response::OffsetCommitResponseData,
    offset_fetch_request::OffsetFetchRequestData,
    offset_fetch_response::OffsetFetchResponseData,
    offset_delete_request::OffsetDeleteRequestData,
    offset_delete_response::OffsetDeleteResponseData,
);

/// Static members commit since version 7 (KIP-345).
const STATIC: i16 = 7;
/// An OffsetFetch can fail as a whole since version 2 (KIP-88), may wait for transactions since version 7 (KIP-447),
/// asks for many groups since version 8 (KIP-709), and as a member since version 9 (KIP-848).
const WHOLE_ERROR: i16 = 2;
const STABLE: i16 = 7;
const MANY_GROUPS: i16 = 8;
const MEMBERS: i16 = 9;

pub(crate) fn read_commit(data: OffsetCommitRequestData, call: &mut Call) -> OffsetCommitRequest {
    let mut offsets = Vec::new();
    let mut refused = Vec::new();
    for topic in data.topics {
        let name = TopicName(text(&topic.name));
        for told in topic.partitions {
            let partition = named(&name, told.partition_index);
            // Below zero there is nothing to go on from. Kafka takes it, and then takes it for nothing.
            let Some(offset) = some_offset(told.committed_offset) else {
                refused.push((by_name(&partition), ErrorCode::InvalidRequest.code()));
                continue;
            };
            let metadata = text_or_null(told.committed_metadata.as_ref()).unwrap_or_default();
            let epoch = epoch(told.committed_leader_epoch);
            offsets.push((partition, CommittedOffset { offset, epoch, metadata }));
        }
    }
    call.echo = Echo::Refused(refused);
    OffsetCommitRequest {
        group: GroupId(text(&data.group_id)),
        // All that is below zero is none.
        generation: data.generation_id_or_member_epoch.max(NO_GENERATION),
        member: MemberId(text(&data.member_id)),
        instance: text_or_null(data.group_instance_id.as_ref()).map(InstanceId),
        offsets,
    }
}

pub(crate) fn spell_commit(request: &OffsetCommitRequest, call: &Call) -> OffsetCommitRequestData {
    let offsets = request.offsets.iter().map(|(partition, committed)| {
        let data = OffsetCommitRequestPartition {
            partition_index: partition.partition as i32,
            committed_offset: committed.offset.0 as i64,
            committed_leader_epoch: epoch_number(committed.epoch),
            committed_metadata: Some(string(&committed.metadata)),
            ..Default::default()
        };
        (partition.topic.clone(), data)
    });
    let topics = by_topic(offsets).into_iter().map(|(topic, partitions)| OffsetCommitRequestTopic {
        name: string(topic.as_str()),
        partitions,
        ..Default::default()
    });
    let instance = request.instance.as_ref().filter(|_| call.version >= STATIC);
    OffsetCommitRequestData {
        group_id: string(request.group.as_str()),
        generation_id_or_member_epoch: request.generation,
        member_id: string(request.member.as_str()),
        group_instance_id: instance.map(|instance| string(instance.as_str())),
        topics: topics.collect(),
        ..Default::default()
    }
}

pub(crate) fn answer_commit(response: &OffsetCommitResponse, call: &Call) -> OffsetCommitResponseData {
    let told = response.partitions.iter().map(|(partition, error)| (by_name(partition), code(*error)));
    let refused = match &call.echo {
        Echo::Refused(refused) => refused.as_slice(),
        _ => &[],
    };
    let answers = told.chain(refused.iter().cloned()).map(|(partition, error_code)| {
        let partition_index = partition.partition as i32;
        (partition.topic, OffsetCommitResponsePartition { partition_index, error_code, ..Default::default() })
    });
    let topics = by_topic(answers).into_iter().map(|(topic, partitions)| {
        let (name, _) = call.foreign.spell(&topic);
        OffsetCommitResponseTopic { name, partitions, ..Default::default() }
    });
    OffsetCommitResponseData { topics: topics.collect(), ..Default::default() }
}

fn by_name(partition: &NamedPartition) -> PartitionRef {
    PartitionRef { topic: TopicRef::Name(partition.topic.clone()), partition: partition.partition }
}

pub(crate) fn read_commit_answer(data: &OffsetCommitResponseData) -> OffsetCommitResponse {
    let mut partitions = Vec::new();
    for topic in &data.topics {
        let name = TopicName(text(&topic.name));
        let told = topic.partitions.iter();
        partitions.extend(told.map(|told| (named(&name, told.partition_index), error(told.error_code))));
    }
    OffsetCommitResponse { partitions }
}

pub(crate) fn read_fetch(data: &OffsetFetchRequestData, call: &mut Call) -> OffsetFetchRequest {
    let groups = match call.version {
        MANY_GROUPS.. => data.groups.iter().map(read_wanted).collect(),
        _ => {
            let topics = data.topics.as_ref().map(|topics| {
                partitions(topics.iter().map(|topic| (&topic.name, topic.partition_indexes.as_slice())))
            });
            if call.version < WHOLE_ERROR {
                call.echo = Echo::Asked(topics.clone().unwrap_or_default());
            }
            vec![GroupOffsetsWanted {
                group: GroupId(text(&data.group_id)),
                member: None,
                epoch: NO_GENERATION,
                partitions: topics,
            }]
        }
    };
    OffsetFetchRequest { groups, require_stable: data.require_stable }
}

fn read_wanted(group: &OffsetFetchRequestGroup) -> GroupOffsetsWanted {
    let topics = group.topics.as_ref().map(|topics| {
        partitions(topics.iter().map(|topic| (&topic.name, topic.partition_indexes.as_slice())))
    });
    GroupOffsetsWanted {
        group: GroupId(text(&group.group_id)),
        member: text_or_null(group.member_id.as_ref()).map(MemberId),
        epoch: group.member_epoch.max(NO_GENERATION),
        partitions: topics,
    }
}

fn partitions<'a>(topics: impl Iterator<Item = (&'a KafkaString, &'a [i32])>) -> Vec<NamedPartition> {
    let mut partitions = Vec::new();
    for (name, indexes) in topics {
        let name = TopicName(text(name));
        partitions.extend(indexes.iter().map(|index| named(&name, *index)));
    }
    partitions
}

pub(crate) fn spell_fetch(request: &OffsetFetchRequest, call: &Call) -> OffsetFetchRequestData {
    let require_stable = call.version >= STABLE && request.require_stable;
    if call.version >= MANY_GROUPS {
        let groups = request.groups.iter().map(|wanted| spell_wanted(wanted, call));
        return OffsetFetchRequestData { groups: groups.collect(), require_stable, ..Default::default() };
    }
    let Some(wanted) = request.groups.first() else { return OffsetFetchRequestData::default() };
    let topics = wanted.partitions.as_ref().map(|partitions| {
        let topics = indexes(partitions).into_iter();
        topics.map(|(name, partition_indexes)| OffsetFetchRequestTopic {
            name,
            partition_indexes,
            ..Default::default()
        })
    });
    OffsetFetchRequestData {
        group_id: string(wanted.group.as_str()),
        topics: topics.map(Iterator::collect),
        require_stable,
        ..Default::default()
    }
}

fn spell_wanted(wanted: &GroupOffsetsWanted, call: &Call) -> OffsetFetchRequestGroup {
    let topics = wanted.partitions.as_ref().map(|partitions| {
        let topics = indexes(partitions).into_iter();
        topics.map(|(name, partition_indexes)| OffsetFetchRequestTopics {
            name,
            partition_indexes,
            ..Default::default()
        })
    });
    let member = wanted.member.as_ref().filter(|_| call.version >= MEMBERS);
    OffsetFetchRequestGroup {
        group_id: string(wanted.group.as_str()),
        member_id: member.map(|member| string(member.as_str())),
        member_epoch: if call.version >= MEMBERS { wanted.epoch } else { NO_GENERATION },
        topics: topics.map(Iterator::collect),
        ..Default::default()
    }
}

fn indexes(partitions: &[NamedPartition]) -> Vec<(KafkaString, Vec<i32>)> {
    by_topic(partitions.iter().map(|it| (string(it.topic.as_str()), it.partition as i32)))
}

/// What is said of one partition.
struct Told {
    index: i32,
    offset: i64,
    epoch: i32,
    metadata: Option<KafkaString>,
    error: i16,
}

fn told(partition: &NamedPartition, result: &Result<Option<CommittedOffset>, ErrorCode>) -> Told {
    let committed = result.as_ref().ok().and_then(Option::as_ref);
    Told {
        index: partition.partition as i32,
        offset: offset_number(committed.map(|it| it.offset)),
        epoch: epoch_number(committed.and_then(|it| it.epoch)),
        metadata: Some(string(committed.map_or("", |it| &it.metadata))),
        error: error_of(result),
    }
}

/// What is said of a group's partitions, under their topics.
fn told_of(group: &GroupOffsets, call: &Call) -> Vec<(KafkaString, Vec<Told>)> {
    let topic = |partition: &NamedPartition| string(partition.topic.as_str());
    match (group.error, &call.echo) {
        (Some(error), Echo::Asked(asked)) => {
            by_topic(asked.iter().map(|it| (topic(it), told(it, &Err(error)))))
        }
        _ => by_topic(group.partitions.iter().map(|(it, result)| (topic(it), told(it, result)))),
    }
}

pub(crate) fn answer_fetch(response: &OffsetFetchResponse, call: &Call) -> OffsetFetchResponseData {
    if call.version >= MANY_GROUPS {
        let groups = response.groups.iter().map(|group| answer_group(group, call));
        return OffsetFetchResponseData { groups: groups.collect(), ..Default::default() };
    }
    let Some(group) = response.groups.first() else { return OffsetFetchResponseData::default() };
    let partition = |told: Told| OffsetFetchResponsePartition {
        partition_index: told.index,
        committed_offset: told.offset,
        committed_leader_epoch: told.epoch,
        metadata: told.metadata,
        error_code: told.error,
        ..Default::default()
    };
    let topics = told_of(group, call).into_iter().map(|(name, told)| OffsetFetchResponseTopic {
        name,
        partitions: told.into_iter().map(partition).collect(),
        ..Default::default()
    });
    OffsetFetchResponseData { topics: topics.collect(), error_code: code(group.error), ..Default::default() }
}

fn answer_group(group: &GroupOffsets, call: &Call) -> OffsetFetchResponseGroup {
    let partition = |told: Told| OffsetFetchResponsePartitions {
        partition_index: told.index,
        committed_offset: told.offset,
        committed_leader_epoch: told.epoch,
        metadata: told.metadata,
        error_code: told.error,
        ..Default::default()
    };
    let topics = told_of(group, call).into_iter().map(|(name, told)| OffsetFetchResponseTopics {
        name,
        partitions: told.into_iter().map(partition).collect(),
        ..Default::default()
    });
    OffsetFetchResponseGroup {
        group_id: string(group.group.as_str()),
        topics: topics.collect(),
        error_code: code(group.error),
        ..Default::default()
    }
}

pub(crate) fn read_fetch_answer(data: &OffsetFetchResponseData, call: &Call) -> OffsetFetchResponse {
    if call.version >= MANY_GROUPS {
        return OffsetFetchResponse { groups: data.groups.iter().map(read_group).collect() };
    }
    let mut partitions = Vec::new();
    for topic in &data.topics {
        let name = TopicName(text(&topic.name));
        partitions.extend(topic.partitions.iter().map(|it| {
            let committed = committed(it.committed_offset, it.committed_leader_epoch, it.metadata.as_ref());
            (named(&name, it.partition_index), result(it.error_code, committed))
        }));
    }
    // Which group it was the answer does not say.
    let group = GroupOffsets { group: GroupId::default(), error: error(data.error_code), partitions };
    OffsetFetchResponse { groups: vec![group] }
}

fn read_group(group: &OffsetFetchResponseGroup) -> GroupOffsets {
    let mut partitions = Vec::new();
    for topic in &group.topics {
        let name = TopicName(text(&topic.name));
        partitions.extend(topic.partitions.iter().map(|it| {
            let committed = committed(it.committed_offset, it.committed_leader_epoch, it.metadata.as_ref());
            (named(&name, it.partition_index), result(it.error_code, committed))
        }));
    }
    GroupOffsets { group: GroupId(text(&group.group_id)), error: error(group.error_code), partitions }
}

fn committed(offset: i64, leader_epoch: i32, metadata: Option<&KafkaString>) -> Option<CommittedOffset> {
    let offset: Offset = some_offset(offset)?;
    let metadata = text_or_null(metadata).unwrap_or_default();
    Some(CommittedOffset { offset, epoch: epoch(leader_epoch), metadata })
}

pub(crate) fn read_delete(data: &OffsetDeleteRequestData) -> OffsetDeleteRequest {
    let mut partitions = Vec::new();
    for topic in &data.topics {
        let name = TopicName(text(&topic.name));
        partitions.extend(topic.partitions.iter().map(|it| named(&name, it.partition_index)));
    }
    OffsetDeleteRequest { group: GroupId(text(&data.group_id)), partitions }
}

pub(crate) fn spell_delete(request: &OffsetDeleteRequest) -> OffsetDeleteRequestData {
    let partition = |partition_index| OffsetDeleteRequestPartition { partition_index, ..Default::default() };
    let topics = indexes(&request.partitions).into_iter().map(|(name, indexes)| OffsetDeleteRequestTopic {
        name,
        partitions: indexes.into_iter().map(partition).collect(),
        ..Default::default()
    });
    OffsetDeleteRequestData {
        group_id: string(request.group.as_str()),
        topics: topics.collect(),
        ..Default::default()
    }
}

pub(crate) fn answer_delete(response: &OffsetDeleteResponse) -> OffsetDeleteResponseData {
    let answers = response.partitions.iter().map(|(partition, error)| {
        let data = OffsetDeleteResponsePartition {
            partition_index: partition.partition as i32,
            error_code: code(*error),
            ..Default::default()
        };
        (partition.topic.clone(), data)
    });
    let topics = by_topic(answers).into_iter().map(|(topic, partitions)| OffsetDeleteResponseTopic {
        name: string(topic.as_str()),
        partitions,
        ..Default::default()
    });
    OffsetDeleteResponseData {
        error_code: code(response.error),
        topics: topics.collect(),
        ..Default::default()
    }
}

pub(crate) fn read_delete_answer(data: &OffsetDeleteResponseData) -> OffsetDeleteResponse {
    let mut partitions = Vec::new();
    for topic in &data.topics {
        let name = TopicName(text(&topic.name));
        let told = topic.partitions.iter();
        partitions.extend(told.map(|told| (named(&name, told.partition_index), error(told.error_code))));
    }
    OffsetDeleteResponse { error: error(data.error_code), partitions }
}
