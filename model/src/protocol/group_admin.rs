//! FindCoordinator 10, DescribeGroups 15, ListGroups 16, DeleteGroups 42: where a group is looked after, and how it
//! stands. KIP-699 (many keys at once), KIP-518 and KIP-848 (states and types).

use alloc::{sync::Arc, vec::Vec};

use bytes::Bytes;

use super::ErrorCode;
use crate::units::{GroupId, InstanceId, MemberId, NodeId};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CoordinatorKind {
    /// A group's coordinator: 0 on the wire.
    Group,
    /// A transaction's: 1.
    Transaction,
}

/// Who looks after these?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FindCoordinatorRequest {
    /// What they are.
    pub kind: CoordinatorKind,
    /// Their names.
    pub keys: Vec<GroupId>,
}

/// One answer a key, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FindCoordinatorResponse {
    /// The broker, or why there is none.
    pub coordinators: Vec<(GroupId, Result<NodeId, ErrorCode>)>,
}

/// How do groups stand?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DescribeGroupsRequest {
    /// Which.
    pub groups: Vec<GroupId>,
}

/// A member as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DescribedMember {
    /// Its id.
    pub member: MemberId,
    /// Its `group.instance.id`.
    pub instance: Option<InstanceId>,
    /// Its `client.id`.
    pub client: Arc<str>,
    /// Where it connects from.
    pub host: Arc<str>,
    /// Its subscription under the agreed protocol.
    pub metadata: Bytes,
    /// What it is to do.
    pub assignment: Bytes,
}

/// A group as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DescribedGroup {
    /// Which.
    pub group: GroupId,
    /// Why nothing can be said of it.
    pub error: Option<ErrorCode>,
    /// Its state in Kafka's spelling: `Stable`; `Dead` for a group that is not there.
    pub state: &'static str,
    /// What kind of group it is.
    pub protocol_type: Arc<str>,
    /// The agreed protocol.
    pub protocol: Arc<str>,
    /// Who is in it.
    pub members: Vec<DescribedMember>,
}

/// One answer a group, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DescribeGroupsResponse {
    /// How each stands.
    pub groups: Vec<DescribedGroup>,
}

/// Which groups does this broker look after?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListGroupsRequest {
    /// Only those in one of these states, in any spelling of upper and lower case; empty for all.
    pub states: Vec<Arc<str>>,
    /// Only those of one of these types (`classic`, `consumer`); empty for all.
    pub types: Vec<Arc<str>>,
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListedGroup {
    /// Which.
    pub group: GroupId,
    /// What kind of group it is.
    pub protocol_type: Arc<str>,
    /// Its state.
    pub state: &'static str,
    /// Its type: `classic` or `consumer`.
    pub kind: &'static str,
}

/// The groups of one broker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListGroupsResponse {
    /// Set if some could not be listed yet.
    pub error: Option<ErrorCode>,
    /// In order of their names.
    pub groups: Vec<ListedGroup>,
}

/// Groups are to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeleteGroupsRequest {
    /// Which.
    pub groups: Vec<GroupId>,
}

/// One answer a group, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeleteGroupsResponse {
    /// Why each was not.
    pub groups: Vec<(GroupId, Option<ErrorCode>)>,
}
