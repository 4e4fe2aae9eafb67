//! JoinGroup 11, Heartbeat 12, LeaveGroup 13, SyncGroup 14.

use kacrab_protocol::generated::{
    heartbeat_request::HeartbeatRequestData,
    heartbeat_response::HeartbeatResponseData,
    join_group_request::{JoinGroupRequestData, JoinGroupRequestProtocol},
    join_group_response::{JoinGroupResponseData, JoinGroupResponseMember},
    leave_group_request::{LeaveGroupRequestData, MemberIdentity},
    leave_group_response::{LeaveGroupResponseData, MemberResponse},
    sync_group_request::{SyncGroupRequestAssignment, SyncGroupRequestData},
    sync_group_response::SyncGroupResponseData,
};
use trial_model::{
    protocol::{
        ErrorCode,
        groups::{
            GroupProtocol, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
            JoinedMember, LeaveGroupRequest, LeaveGroupResponse, LeavingMember, SyncGroupRequest,
            SyncGroupResponse,
        },
    },
    units::{GroupId, InstanceId, MemberId},
};

use crate::{call::Call, convert::*, frame::spells};

spells!(
    join_group_request::JoinGroupRequestData,
    join_group_response::JoinGroupResponseData,
    heartbeat_request::HeartbeatRequestData,
    heartbeat_response::HeartbeatResponseData,
    leave_group_request::LeaveGroupRequestData,
    leave_group_response::LeaveGroupResponseData,
    sync_group_request::SyncGroupRequestData,
    sync_group_response::SyncGroupResponseData,
);

/// A JoinGroup says how long others wait for it since version 1 (KIP-62).
const REBALANCE_TIMEOUT: i16 = 1;
/// Whoever joins is given an id first since version 4 (KIP-394).
const ID_FIRST: i16 = 4;
/// Static members since version 5 (KIP-345); of the others since version 3.
const STATIC_JOIN: i16 = 5;
const STATIC: i16 = 3;
/// A leader that is back can be told to let the assignment be since version 9 (KIP-814).
const SKIP_ASSIGNMENT: i16 = 9;
/// Answers to JoinGroup tell the type since version 7, and whoever syncs must say what it joined since version 5
/// (KIP-559).
const TYPED_JOIN: i16 = 7;
const TYPED_SYNC: i16 = 5;
/// Many leave at once since version 3 (KIP-345).
const MANY_LEAVE: i16 = 3;

/// `client` is the client id that the request's header bears.
pub(crate) fn read_join(data: JoinGroupRequestData, call: &Call, client: Option<&str>) -> JoinGroupRequest {
    let session_timeout = millis(data.session_timeout_ms);
    let protocol =
        |known: JoinGroupRequestProtocol| GroupProtocol { name: text(&known.name), metadata: known.metadata };
    JoinGroupRequest {
        group: GroupId(text(&data.group_id)),
        session_timeout,
        rebalance_timeout: match call.version {
            REBALANCE_TIMEOUT.. => millis(data.rebalance_timeout_ms),
            _ => session_timeout,
        },
        member: MemberId(text(&data.member_id)),
        instance: text_or_null(data.group_instance_id.as_ref()).map(InstanceId),
        protocol_type: text(&data.protocol_type),
        protocols: data.protocols.into_iter().map(protocol).collect(),
        client: client.unwrap_or_default().into(),
        id_first: call.version >= ID_FIRST,
        may_skip_assignment: call.version >= SKIP_ASSIGNMENT,
    }
}

/// The client id is for the header to say.
pub(crate) fn spell_join(request: &JoinGroupRequest, call: &Call) -> JoinGroupRequestData {
    let protocol = |known: &GroupProtocol| JoinGroupRequestProtocol {
        name: string(&known.name),
        metadata: known.metadata.clone(),
        ..Default::default()
    };
    JoinGroupRequestData {
        group_id: string(request.group.as_str()),
        session_timeout_ms: millis_number(request.session_timeout),
        rebalance_timeout_ms: millis_number(request.rebalance_timeout),
        member_id: string(request.member.as_str()),
        group_instance_id: instance(request.instance.as_ref(), call, STATIC_JOIN),
        protocol_type: string(&request.protocol_type),
        protocols: request.protocols.iter().map(protocol).collect(),
        ..Default::default()
    }
}

pub(crate) fn answer_join(response: &JoinGroupResponse, call: &Call) -> JoinGroupResponseData {
    let member = |joined: &JoinedMember| JoinGroupResponseMember {
        member_id: string(joined.member.as_str()),
        group_instance_id: instance(joined.instance.as_ref(), call, STATIC_JOIN),
        metadata: joined.metadata.clone(),
        ..Default::default()
    };
    let protocol_name = response.protocol.as_deref().map(string);
    JoinGroupResponseData {
        error_code: code(response.error),
        generation_id: response.generation,
        protocol_type: response.protocol_type.as_deref().map(string),
        // Before there was a type there was no null either.
        protocol_name: match call.version {
            TYPED_JOIN.. => protocol_name,
            _ => Some(protocol_name.unwrap_or_default()),
        },
        leader: string(response.leader.as_str()),
        skip_assignment: call.version >= SKIP_ASSIGNMENT && response.skip_assignment,
        member_id: string(response.member.as_str()),
        members: response.members.iter().map(member).collect(),
        ..Default::default()
    }
}

pub(crate) fn read_join_answer(data: JoinGroupResponseData, call: &Call) -> JoinGroupResponse {
    let member = |joined: JoinGroupResponseMember| JoinedMember {
        member: MemberId(text(&joined.member_id)),
        instance: text_or_null(joined.group_instance_id.as_ref()).map(InstanceId),
        metadata: joined.metadata,
    };
    let protocol = text_or_null(data.protocol_name.as_ref());
    JoinGroupResponse {
        error: error(data.error_code),
        generation: data.generation_id,
        protocol_type: text_or_null(data.protocol_type.as_ref()),
        protocol: protocol.filter(|name| call.version >= TYPED_JOIN || !name.is_empty()),
        leader: MemberId(text(&data.leader)),
        skip_assignment: data.skip_assignment,
        member: MemberId(text(&data.member_id)),
        members: data.members.into_iter().map(member).collect(),
    }
}

/// A member that asks for its share, or the refusal of one that does not say what it has joined.
pub(crate) enum ReadSync {
    Sync(SyncGroupRequest),
    Untyped(SyncGroupResponseData),
}

pub(crate) fn read_sync(data: SyncGroupRequestData, call: &Call) -> ReadSync {
    if call.version >= TYPED_SYNC && (data.protocol_type.is_none() || data.protocol_name.is_none()) {
        return ReadSync::Untyped(answer_sync(&SyncGroupResponse::refused(
            ErrorCode::InconsistentGroupProtocol,
        )));
    }
    let assignment = |given: SyncGroupRequestAssignment| (MemberId(text(&given.member_id)), given.assignment);
    ReadSync::Sync(SyncGroupRequest {
        group: GroupId(text(&data.group_id)),
        generation: data.generation_id,
        member: MemberId(text(&data.member_id)),
        instance: text_or_null(data.group_instance_id.as_ref()).map(InstanceId),
        protocol_type: text_or_null(data.protocol_type.as_ref()),
        protocol: text_or_null(data.protocol_name.as_ref()),
        assignments: data.assignments.into_iter().map(assignment).collect(),
    })
}

pub(crate) fn spell_sync(request: &SyncGroupRequest, call: &Call) -> SyncGroupRequestData {
    let assignment = |(member, assignment): &(MemberId, bytes::Bytes)| SyncGroupRequestAssignment {
        member_id: string(member.as_str()),
        assignment: assignment.clone(),
        ..Default::default()
    };
    SyncGroupRequestData {
        group_id: string(request.group.as_str()),
        generation_id: request.generation,
        member_id: string(request.member.as_str()),
        group_instance_id: instance(request.instance.as_ref(), call, STATIC),
        protocol_type: request.protocol_type.as_deref().map(string),
        protocol_name: request.protocol.as_deref().map(string),
        assignments: request.assignments.iter().map(assignment).collect(),
        ..Default::default()
    }
}

pub(crate) fn answer_sync(response: &SyncGroupResponse) -> SyncGroupResponseData {
    SyncGroupResponseData {
        error_code: code(response.error),
        protocol_type: response.protocol_type.as_deref().map(string),
        protocol_name: response.protocol.as_deref().map(string),
        assignment: response.assignment.clone(),
        ..Default::default()
    }
}

pub(crate) fn read_sync_answer(data: SyncGroupResponseData) -> SyncGroupResponse {
    SyncGroupResponse {
        error: error(data.error_code),
        protocol_type: text_or_null(data.protocol_type.as_ref()),
        protocol: text_or_null(data.protocol_name.as_ref()),
        assignment: data.assignment,
    }
}

pub(crate) fn read_heartbeat(data: &HeartbeatRequestData) -> HeartbeatRequest {
    HeartbeatRequest {
        group: GroupId(text(&data.group_id)),
        generation: data.generation_id,
        member: MemberId(text(&data.member_id)),
        instance: text_or_null(data.group_instance_id.as_ref()).map(InstanceId),
    }
}

pub(crate) fn spell_heartbeat(request: &HeartbeatRequest, call: &Call) -> HeartbeatRequestData {
    HeartbeatRequestData {
        group_id: string(request.group.as_str()),
        generation_id: request.generation,
        member_id: string(request.member.as_str()),
        group_instance_id: instance(request.instance.as_ref(), call, STATIC),
        ..Default::default()
    }
}

pub(crate) fn answer_heartbeat(response: HeartbeatResponse) -> HeartbeatResponseData {
    HeartbeatResponseData { error_code: code(response.error), ..Default::default() }
}

pub(crate) fn read_heartbeat_answer(data: &HeartbeatResponseData) -> HeartbeatResponse {
    HeartbeatResponse { error: error(data.error_code) }
}

pub(crate) fn read_leave(data: &LeaveGroupRequestData, call: &Call) -> LeaveGroupRequest {
    let member = |leaving: &MemberIdentity| LeavingMember {
        member: MemberId(text(&leaving.member_id)),
        instance: text_or_null(leaving.group_instance_id.as_ref()).map(InstanceId),
    };
    let members = match call.version {
        MANY_LEAVE.. => data.members.iter().map(member).collect(),
        _ => vec![LeavingMember { member: MemberId(text(&data.member_id)), instance: None }],
    };
    LeaveGroupRequest { group: GroupId(text(&data.group_id)), members }
}

pub(crate) fn spell_leave(request: &LeaveGroupRequest, call: &Call) -> LeaveGroupRequestData {
    let group_id = string(request.group.as_str());
    if call.version < MANY_LEAVE {
        let first = request.members.first().map(|leaving| string(leaving.member.as_str()));
        return LeaveGroupRequestData {
            group_id,
            member_id: first.unwrap_or_default(),
            ..Default::default()
        };
    }
    let member = |leaving: &LeavingMember| MemberIdentity {
        member_id: string(leaving.member.as_str()),
        group_instance_id: instance(leaving.instance.as_ref(), call, STATIC),
        ..Default::default()
    };
    LeaveGroupRequestData {
        group_id,
        members: request.members.iter().map(member).collect(),
        ..Default::default()
    }
}

pub(crate) fn answer_leave(response: &LeaveGroupResponse, call: &Call) -> LeaveGroupResponseData {
    if call.version < MANY_LEAVE {
        let first = response.members.first().and_then(|(_, error)| *error);
        return LeaveGroupResponseData { error_code: code(response.error.or(first)), ..Default::default() };
    }
    let member = |(left, error): &(LeavingMember, Option<ErrorCode>)| MemberResponse {
        member_id: string(left.member.as_str()),
        group_instance_id: instance(left.instance.as_ref(), call, STATIC),
        error_code: code(*error),
        ..Default::default()
    };
    LeaveGroupResponseData {
        error_code: code(response.error),
        members: response.members.iter().map(member).collect(),
        ..Default::default()
    }
}

pub(crate) fn read_leave_answer(data: &LeaveGroupResponseData) -> LeaveGroupResponse {
    let member = |told: &MemberResponse| {
        let member = MemberId(text(&told.member_id));
        let instance = text_or_null(told.group_instance_id.as_ref()).map(InstanceId);
        (LeavingMember { member, instance }, error(told.error_code))
    };
    LeaveGroupResponse { error: error(data.error_code), members: data.members.iter().map(member).collect() }
}

/// A `group.instance.id`, where the version has a field for it.
fn instance(instance: Option<&InstanceId>, call: &Call, since: i16) -> Option<kacrab_protocol::KafkaString> {
    instance.filter(|_| call.version >= since).map(|instance| string(instance.as_str()))
}
