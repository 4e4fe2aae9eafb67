//! ConsumerGroupHeartbeat 68, ConsumerGroupDescribe 69.

use kacrab_protocol::generated::{
    consumer_group_describe_request::ConsumerGroupDescribeRequestData,
    consumer_group_describe_response::{
        Assignment as DescribedAssignment, ConsumerGroupDescribeResponseData, DescribedGroup, Member,
        TopicPartitions as DescribedPartitions,
    },
    consumer_group_heartbeat_request::{
        ConsumerGroupHeartbeatRequestData, TopicPartitions as OwnedPartitions,
    },
    consumer_group_heartbeat_response::{
        Assignment, ConsumerGroupHeartbeatResponseData, TopicPartitions as AssignedPartitions,
    },
};
use trial_model::{
    protocol::{
        ErrorCode, TopicName,
        consumer_group::{
            ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupDescription,
            ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, ConsumerGroupMember,
        },
    },
    units::{GroupId, InstanceId, MemberId, TopicId},
};

use crate::{
    call::{Call, Foreign},
    convert::*,
    frame::spells,
    group_admin::{NO_OPERATIONS, STATE_NAMES, known},
};

spells!(
    consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequestData,
    consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponseData,
    consumer_group_describe_request::ConsumerGroupDescribeRequestData,
    consumer_group_describe_response::ConsumerGroupDescribeResponseData,
);

/// Members make their own ids since version 1 (KIP-1082), and may subscribe by a regular expression (KIP-848).
const OWN_IDS: i16 = 1;
const PATTERNS: i16 = 1;
/// Which protocol a member speaks is told since version 1 (KIP-1099): by these numbers.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

/// What a member says, or the refusal of one that ought to have made an id for itself.
pub(crate) enum Read {
    Heartbeat(ConsumerGroupHeartbeatRequest),
    Nameless(ConsumerGroupHeartbeatResponseData),
}

/// `client` is the client id that the request's header bears.
pub(crate) fn read_heartbeat(
    data: &ConsumerGroupHeartbeatRequestData,
    call: &mut Call,
    client: Option<&str>,
) -> Read {
    if call.version >= OWN_IDS && data.member_id.as_str().is_empty() {
        let refused = ConsumerGroupHeartbeatResponse::refused(ErrorCode::InvalidRequest);
        let mut message = answer_heartbeat(&refused, call);
        message.error_message = Some(string("MemberId can't be empty."));
        return Read::Nameless(message);
    }
    let owned = data.topic_partitions.as_ref().map(|topics| {
        let of = |owned: &OwnedPartitions| (call.foreign.id(owned.topic_id), indexes(&owned.partitions));
        topics.iter().map(of).collect()
    });
    let topics = data.subscribed_topic_names.as_ref();
    Read::Heartbeat(ConsumerGroupHeartbeatRequest {
        group: GroupId(text(&data.group_id)),
        member: MemberId(text(&data.member_id)),
        epoch: data.member_epoch,
        client: client.unwrap_or_default().into(),
        instance: text_or_null(data.instance_id.as_ref()).map(InstanceId),
        rack: text_or_null(data.rack_id.as_ref()),
        rebalance_timeout: (data.rebalance_timeout_ms >= 0).then(|| millis(data.rebalance_timeout_ms)),
        topics: topics.map(|topics| topics.iter().map(|name| TopicName(text(name))).collect()),
        pattern: text_or_null(data.subscribed_topic_regex.as_ref()),
        assignor: text_or_null(data.server_assignor.as_ref()),
        owned,
    })
}

/// The client id is for the header to say.
pub(crate) fn spell_heartbeat(
    request: &ConsumerGroupHeartbeatRequest,
    call: &Call,
) -> ConsumerGroupHeartbeatRequestData {
    let owned = request.owned.as_ref().map(|owned| {
        let of = |(topic, partitions): &(TopicId, Vec<u32>)| OwnedPartitions {
            topic_id: call.foreign.uuid(*topic),
            partitions: numbers(partitions),
            ..Default::default()
        };
        owned.iter().map(of).collect()
    });
    let topics = request.topics.as_ref();
    let pattern = request.pattern.as_deref().filter(|_| call.version >= PATTERNS);
    ConsumerGroupHeartbeatRequestData {
        group_id: string(request.group.as_str()),
        member_id: string(request.member.as_str()),
        member_epoch: request.epoch,
        instance_id: request.instance.as_ref().map(|instance| string(instance.as_str())),
        rack_id: request.rack.as_deref().map(string),
        rebalance_timeout_ms: request.rebalance_timeout.map_or(-1, millis_number),
        subscribed_topic_names: topics
            .map(|topics| topics.iter().map(|name| string(name.as_str())).collect()),
        subscribed_topic_regex: pattern.map(string),
        server_assignor: request.assignor.as_deref().map(string),
        topic_partitions: owned,
        ..Default::default()
    }
}

pub(crate) fn answer_heartbeat(
    response: &ConsumerGroupHeartbeatResponse,
    call: &Call,
) -> ConsumerGroupHeartbeatResponseData {
    let assignment = response.assignment.as_ref().map(|assignment| {
        let of = |(topic, partitions): &(TopicId, Vec<u32>)| AssignedPartitions {
            topic_id: call.foreign.uuid(*topic),
            partitions: numbers(partitions),
            ..Default::default()
        };
        let topic_partitions = assignment.iter().map(of).collect();
        Box::new(Assignment { topic_partitions, ..Default::default() })
    });
    ConsumerGroupHeartbeatResponseData {
        error_code: code(response.error),
        member_id: response.member.as_ref().map(|member| string(member.as_str())),
        member_epoch: response.epoch,
        heartbeat_interval_ms: millis_number(response.interval),
        assignment,
        ..Default::default()
    }
}

pub(crate) fn read_heartbeat_answer(
    data: &ConsumerGroupHeartbeatResponseData,
    call: &mut Call,
) -> ConsumerGroupHeartbeatResponse {
    let assignment = data.assignment.as_ref().map(|assignment| {
        let of = |it: &AssignedPartitions| (call.foreign.id(it.topic_id), indexes(&it.partitions));
        assignment.topic_partitions.iter().map(of).collect()
    });
    ConsumerGroupHeartbeatResponse {
        error: error(data.error_code),
        member: text_or_null(data.member_id.as_ref()).map(MemberId),
        epoch: data.member_epoch,
        interval: millis(data.heartbeat_interval_ms),
        assignment,
    }
}

/// Nobody here is authorized, or not: whether that is asked for changes nothing.
pub(crate) fn read_describe(data: &ConsumerGroupDescribeRequestData) -> ConsumerGroupDescribeRequest {
    ConsumerGroupDescribeRequest { groups: data.group_ids.iter().map(|group| GroupId(text(group))).collect() }
}

pub(crate) fn spell_describe(request: &ConsumerGroupDescribeRequest) -> ConsumerGroupDescribeRequestData {
    let groups = request.groups.iter().map(|group| string(group.as_str()));
    ConsumerGroupDescribeRequestData { group_ids: groups.collect(), ..Default::default() }
}

pub(crate) fn answer_describe(
    response: &ConsumerGroupDescribeResponse,
    call: &Call,
) -> ConsumerGroupDescribeResponseData {
    let group = |group: &ConsumerGroupDescription| {
        // Admin clients repeat this to people, once DescribeGroups does not know the group either.
        let missing = group.error == Some(ErrorCode::GroupIdNotFound);
        DescribedGroup {
            error_code: code(group.error),
            error_message: missing
                .then(|| string(&format!("Group {} is not a consumer group.", group.group))),
            group_id: string(group.group.as_str()),
            group_state: string(group.state),
            group_epoch: group.epoch,
            assignment_epoch: group.assignment_epoch,
            assignor_name: string(&group.assignor),
            members: group.members.iter().map(|member| answer_member(member, &call.foreign)).collect(),
            authorized_operations: NO_OPERATIONS,
            ..Default::default()
        }
    };
    ConsumerGroupDescribeResponseData {
        groups: response.groups.iter().map(group).collect(),
        ..Default::default()
    }
}

fn answer_member(member: &ConsumerGroupMember, foreign: &Foreign) -> Member {
    let assignment = |of: &[(TopicId, TopicName, Vec<u32>)]| {
        let topic = |(topic, name, partitions): &(TopicId, TopicName, Vec<u32>)| DescribedPartitions {
            topic_id: foreign.uuid(*topic),
            topic_name: string(name.as_str()),
            partitions: numbers(partitions),
            ..Default::default()
        };
        DescribedAssignment { topic_partitions: of.iter().map(topic).collect(), ..Default::default() }
    };
    Member {
        member_id: string(member.member.as_str()),
        instance_id: member.instance.as_ref().map(|instance| string(instance.as_str())),
        rack_id: member.rack.as_deref().map(string),
        member_epoch: member.epoch,
        client_id: string(&member.client),
        client_host: string(&member.host),
        subscribed_topic_names: member.topics.iter().map(|name| string(name.as_str())).collect(),
        subscribed_topic_regex: member.pattern.as_deref().map(string),
        assignment: assignment(&member.assignment),
        target_assignment: assignment(&member.target),
        member_type: if member.classic { CLASSIC_MEMBER } else { CONSUMER_MEMBER },
        ..Default::default()
    }
}

pub(crate) fn read_describe_answer(
    data: &ConsumerGroupDescribeResponseData,
    call: &mut Call,
) -> ConsumerGroupDescribeResponse {
    let mut group = |group: &DescribedGroup| ConsumerGroupDescription {
        group: GroupId(text(&group.group_id)),
        error: error(group.error_code),
        state: known(STATE_NAMES, group.group_state.as_str()),
        epoch: group.group_epoch,
        assignment_epoch: group.assignment_epoch,
        assignor: text(&group.assignor_name),
        members: group.members.iter().map(|member| read_member(member, &mut call.foreign)).collect(),
    };
    ConsumerGroupDescribeResponse { groups: data.groups.iter().map(&mut group).collect() }
}

fn read_member(member: &Member, foreign: &mut Foreign) -> ConsumerGroupMember {
    let mut assignment = |of: &DescribedAssignment| {
        let topic = |it: &DescribedPartitions| {
            (foreign.id(it.topic_id), TopicName(text(&it.topic_name)), indexes(&it.partitions))
        };
        of.topic_partitions.iter().map(topic).collect()
    };
    ConsumerGroupMember {
        member: MemberId(text(&member.member_id)),
        instance: text_or_null(member.instance_id.as_ref()).map(InstanceId),
        epoch: member.member_epoch,
        client: text(&member.client_id),
        host: text(&member.client_host),
        rack: text_or_null(member.rack_id.as_ref()),
        topics: member.subscribed_topic_names.iter().map(|name| TopicName(text(name))).collect(),
        pattern: text_or_null(member.subscribed_topic_regex.as_ref()),
        assignment: assignment(&member.assignment),
        target: assignment(&member.target_assignment),
        classic: member.member_type == CLASSIC_MEMBER,
    }
}

/// Partitions' numbers. One below zero is none that a topic has.
fn indexes(partitions: &[i32]) -> Vec<u32> {
    partitions.iter().map(|index| index.cast_unsigned()).collect()
}

fn numbers(partitions: &[u32]) -> Vec<i32> {
    partitions.iter().map(|index| index.cast_signed()).collect()
}
