//! FindCoordinator 10, DescribeGroups 15, ListGroups 16, DeleteGroups 42.

use kacrab_protocol::generated::{
    delete_groups_request::DeleteGroupsRequestData,
    delete_groups_response::{DeletableGroupResult, DeleteGroupsResponseData},
    describe_groups_request::DescribeGroupsRequestData,
    describe_groups_response::{
        DescribeGroupsResponseData, DescribedGroup as Description, DescribedGroupMember,
    },
    find_coordinator_request::FindCoordinatorRequestData,
    find_coordinator_response::{Coordinator, FindCoordinatorResponseData},
    list_groups_request::ListGroupsRequestData,
    list_groups_response::{ListGroupsResponseData, ListedGroup as Listed},
};
use trial_model::{
    protocol::{
        ErrorCode,
        group_admin::{
            CoordinatorKind, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest,
            DescribeGroupsResponse, DescribedGroup, DescribedMember, FindCoordinatorRequest,
            FindCoordinatorResponse, ListGroupsRequest, ListGroupsResponse, ListedGroup,
        },
    },
    units::{GroupId, InstanceId, MemberId, NodeId},
};

use crate::{
    book::Book,
    call::Call,
    convert::*,
    frame::{Refused, spells},
};

spells!(
    find_coordinator_request::FindCoordinatorRequestData,
    find_coordinator_response::FindCoordinatorResponseData,
    describe_groups_request::DescribeGroupsRequestData,
    describe_groups_response::DescribeGroupsResponseData,
    list_groups_request::ListGroupsRequestData,
    list_groups_response::ListGroupsResponseData,
    delete_groups_request::DeleteGroupsRequestData,
    delete_groups_response::DeleteGroupsResponseData,
);

/// Coordinators of transactions since version 1 (KIP-98), many keys at once since version 4 (KIP-699).
const KINDS: i16 = 1;
const MANY_KEYS: i16 = 4;
/// Static members since version 4 (KIP-345).
const STATIC: i16 = 4;
/// A group that is not there is an error since version 6 (KIP-1043).
const NOT_FOUND: i16 = 6;
/// Groups may be listed by their states since version 4 (KIP-518), by their types since version 5 (KIP-848).
const STATES: i16 = 4;
const TYPES: i16 = 5;
/// The state of a group that is not there.
const DEAD: &str = "Dead";
/// Whoever asks what it may do with a group is told nothing: nobody here is authorized, or not.
pub(crate) const NO_OPERATIONS: i32 = i32::MIN;

/// What is looked for, or the refusal of what nobody here looks after.
pub(crate) enum Read {
    Find(FindCoordinatorRequest),
    UnknownKind(FindCoordinatorResponseData),
}

pub(crate) fn read_find(data: &FindCoordinatorRequestData, call: &Call) -> Read {
    let keys: Vec<_> = match call.version {
        MANY_KEYS.. => data.coordinator_keys.iter().map(|key| GroupId(text(key))).collect(),
        _ => vec![GroupId(text(&data.key))],
    };
    let kind = match data.key_type {
        0 => CoordinatorKind::Group,
        1 => CoordinatorKind::Transaction,
        // Share groups among them.
        _ => {
            let refused = keys.into_iter().map(|key| (key, Err(ErrorCode::InvalidRequest)));
            let response = FindCoordinatorResponse { coordinators: refused.collect() };
            return Read::UnknownKind(answer_find(&response, call, &Book::default()));
        }
    };
    Read::Find(FindCoordinatorRequest { kind, keys })
}

pub(crate) fn spell_find(request: &FindCoordinatorRequest, call: &Call) -> FindCoordinatorRequestData {
    let key_type = match request.kind {
        CoordinatorKind::Transaction if call.version >= KINDS => 1,
        _ => 0,
    };
    let mut keys = request.keys.iter().map(|key| string(key.as_str()));
    match call.version {
        MANY_KEYS.. => {
            FindCoordinatorRequestData { key_type, coordinator_keys: keys.collect(), ..Default::default() }
        }
        _ => FindCoordinatorRequestData {
            key_type,
            key: keys.next().unwrap_or_default(),
            ..Default::default()
        },
    }
}

pub(crate) fn answer_find(
    response: &FindCoordinatorResponse,
    call: &Call,
    book: &Book,
) -> FindCoordinatorResponseData {
    let mut coordinators = response.coordinators.iter().map(|(key, found)| coordinator(key, found, book));
    if call.version >= MANY_KEYS {
        return FindCoordinatorResponseData { coordinators: coordinators.collect(), ..Default::default() };
    }
    let unknown = || coordinator(&GroupId::default(), &Err(ErrorCode::InvalidRequest), book);
    let only = coordinators.next().unwrap_or_else(unknown);
    FindCoordinatorResponseData {
        error_code: only.error_code,
        node_id: only.node_id,
        host: only.host,
        port: only.port,
        ..Default::default()
    }
}

fn coordinator(key: &GroupId, found: &Result<NodeId, ErrorCode>, book: &Book) -> Coordinator {
    let (host, port) = match found {
        Ok(node) => {
            let (host, port) = book.endpoint(*node);
            (host, port.into())
        }
        Err(_) => ("", -1),
    };
    Coordinator {
        key: string(key.as_str()),
        node_id: number(found.ok()),
        host: string(host),
        port,
        error_code: error_of(found),
        ..Default::default()
    }
}

pub(crate) fn read_find_answer(
    data: &FindCoordinatorResponseData,
    call: &Call,
) -> Result<FindCoordinatorResponse, Refused> {
    let found = |error_code, node_id| match error(error_code) {
        Some(error) => Ok(Err(error)),
        None => some_node(node_id).map(Ok),
    };
    let coordinators = match call.version {
        MANY_KEYS.. => {
            let each = data.coordinators.iter();
            each.map(|told| Ok((GroupId(text(&told.key)), found(told.error_code, told.node_id)?)))
                .collect::<Result<_, Refused>>()?
        }
        // Which key it was the answer does not say.
        _ => vec![(GroupId::default(), found(data.error_code, data.node_id)?)],
    };
    Ok(FindCoordinatorResponse { coordinators })
}

pub(crate) fn read_describe(data: &DescribeGroupsRequestData) -> DescribeGroupsRequest {
    DescribeGroupsRequest { groups: data.groups.iter().map(|group| GroupId(text(group))).collect() }
}

pub(crate) fn spell_describe(request: &DescribeGroupsRequest) -> DescribeGroupsRequestData {
    let groups = request.groups.iter().map(|group| string(group.as_str()));
    DescribeGroupsRequestData { groups: groups.collect(), ..Default::default() }
}

pub(crate) fn answer_describe(response: &DescribeGroupsResponse, call: &Call) -> DescribeGroupsResponseData {
    let groups = response.groups.iter().map(|group| answer_group(group, call));
    DescribeGroupsResponseData { groups: groups.collect(), ..Default::default() }
}

fn answer_group(group: &DescribedGroup, call: &Call) -> Description {
    let missing = call.version >= NOT_FOUND && group.error.is_none() && group.state == DEAD;
    let member = |member: &DescribedMember| DescribedGroupMember {
        member_id: string(member.member.as_str()),
        group_instance_id: match call.version {
            STATIC.. => member.instance.as_ref().map(|instance| string(instance.as_str())),
            _ => None,
        },
        client_id: string(&member.client),
        client_host: string(&member.host),
        member_metadata: member.metadata.clone(),
        member_assignment: member.assignment.clone(),
        ..Default::default()
    };
    Description {
        error_code: code(group.error.or(missing.then_some(ErrorCode::GroupIdNotFound))),
        error_message: missing.then(|| string(&format!("Group {} not found.", group.group))),
        group_id: string(group.group.as_str()),
        group_state: string(group.state),
        protocol_type: string(&group.protocol_type),
        protocol_data: string(&group.protocol),
        members: group.members.iter().map(member).collect(),
        authorized_operations: NO_OPERATIONS,
        ..Default::default()
    }
}

pub(crate) fn read_describe_answer(data: DescribeGroupsResponseData) -> DescribeGroupsResponse {
    let member = |member: DescribedGroupMember| DescribedMember {
        member: MemberId(text(&member.member_id)),
        instance: text_or_null(member.group_instance_id.as_ref()).map(InstanceId),
        client: text(&member.client_id),
        host: text(&member.client_host),
        metadata: member.member_metadata,
        assignment: member.member_assignment,
    };
    let group = |group: Description| {
        let state = known(STATE_NAMES, group.group_state.as_str());
        DescribedGroup {
            group: GroupId(text(&group.group_id)),
            error: error(group.error_code)
                .filter(|error| *error != ErrorCode::GroupIdNotFound || state != DEAD),
            state,
            protocol_type: text(&group.protocol_type),
            protocol: text(&group.protocol_data),
            members: group.members.into_iter().map(member).collect(),
        }
    };
    DescribeGroupsResponse { groups: data.groups.into_iter().map(group).collect() }
}

pub(crate) fn read_list(data: &ListGroupsRequestData) -> ListGroupsRequest {
    ListGroupsRequest {
        states: data.states_filter.iter().map(text).collect(),
        types: data.types_filter.iter().map(text).collect(),
    }
}

pub(crate) fn spell_list(request: &ListGroupsRequest, call: &Call) -> ListGroupsRequestData {
    let states = request.states.iter().filter(|_| call.version >= STATES);
    let types = request.types.iter().filter(|_| call.version >= TYPES);
    ListGroupsRequestData {
        states_filter: states.map(|state| string(state)).collect(),
        types_filter: types.map(|kind| string(kind)).collect(),
        ..Default::default()
    }
}

pub(crate) fn answer_list(response: &ListGroupsResponse) -> ListGroupsResponseData {
    let group = |group: &ListedGroup| Listed {
        group_id: string(group.group.as_str()),
        protocol_type: string(&group.protocol_type),
        group_state: string(group.state),
        group_type: string(group.kind),
        ..Default::default()
    };
    ListGroupsResponseData {
        error_code: code(response.error),
        groups: response.groups.iter().map(group).collect(),
        ..Default::default()
    }
}

pub(crate) fn read_list_answer(data: &ListGroupsResponseData) -> ListGroupsResponse {
    let group = |group: &Listed| ListedGroup {
        group: GroupId(text(&group.group_id)),
        protocol_type: text(&group.protocol_type),
        state: known(STATE_NAMES, group.group_state.as_str()),
        kind: known(TYPE_NAMES, group.group_type.as_str()),
    };
    ListGroupsResponse { error: error(data.error_code), groups: data.groups.iter().map(group).collect() }
}

/// Kafka's `GroupState`, and nothing.
pub(crate) const STATE_NAMES: &[&str] = &[
    "",
    "Assigning",
    "CompletingRebalance",
    DEAD,
    "Empty",
    "NotReady",
    "PreparingRebalance",
    "Reconciling",
    "Stable",
];
/// Kafka's `GroupType`, and nothing.
const TYPE_NAMES: &[&str] = &["", "classic", "consumer", "share", "streams"];

/// One of the `names` in its own spelling; Kafka's word for what it does not know otherwise.
pub(crate) fn known(names: &[&'static str], name: &str) -> &'static str {
    names.iter().find(|known| known.eq_ignore_ascii_case(name)).copied().unwrap_or("Unknown")
}

pub(crate) fn read_delete(data: &DeleteGroupsRequestData) -> DeleteGroupsRequest {
    DeleteGroupsRequest { groups: data.groups_names.iter().map(|group| GroupId(text(group))).collect() }
}

pub(crate) fn spell_delete(request: &DeleteGroupsRequest) -> DeleteGroupsRequestData {
    let groups = request.groups.iter().map(|group| string(group.as_str()));
    DeleteGroupsRequestData { groups_names: groups.collect(), ..Default::default() }
}

pub(crate) fn answer_delete(response: &DeleteGroupsResponse) -> DeleteGroupsResponseData {
    let result = |(group, error): &(GroupId, Option<ErrorCode>)| DeletableGroupResult {
        group_id: string(group.as_str()),
        error_code: code(*error),
        ..Default::default()
    };
    DeleteGroupsResponseData { results: response.groups.iter().map(result).collect(), ..Default::default() }
}

pub(crate) fn read_delete_answer(data: &DeleteGroupsResponseData) -> DeleteGroupsResponse {
    let groups = data.results.iter().map(|told| (GroupId(text(&told.group_id)), error(told.error_code)));
    DeleteGroupsResponse { groups: groups.collect() }
}
