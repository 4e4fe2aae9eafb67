//! JoinGroup 11, Heartbeat 12, LeaveGroup 13, SyncGroup 14: how the members of a classic group agree on who does
//! what. KIP-345 (static members), KIP-394 (member ids first), KIP-814 (a static leader need not assign again).
//!
//! What members tell each other (subscriptions and assignments) the coordinator carries and does not read.

use alloc::{sync::Arc, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use super::ErrorCode;
use crate::units::{GroupId, InstanceId, MemberId};

/// The generation of who is in no group: -1 on the wire.
pub const NO_GENERATION: i32 = -1;

/// A way to assign that a member knows, with what it tells the leader under it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupProtocol {
    /// Its name: `range`.
    pub name: Arc<str>,
    /// The member's subscription, in the protocol's own spelling.
    pub metadata: Bytes,
}

/// A consumer wants to be a member of the next generation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JoinGroupRequest {
    /// Of which group.
    pub group: GroupId,
    /// How long it may be silent: `session.timeout.ms`.
    pub session_timeout: Duration,
    /// How long others wait for it to join again: `max.poll.interval.ms`.
    pub rebalance_timeout: Duration,
    /// Its id; empty if it has none yet.
    pub member: MemberId,
    /// Its `group.instance.id`, if it is a static member.
    pub instance: Option<InstanceId>,
    /// What kind of group it expects: `consumer`.
    pub protocol_type: Arc<str>,
    /// The ways to assign that it knows, the one it likes best first.
    pub protocols: Vec<GroupProtocol>,
    /// Its `client.id`, of which ids are made.
    pub client: Arc<str>,
    /// Whether it is to be given an id before it may join (version 4 and later, KIP-394).
    pub id_first: bool,
    /// Whether it can be told, as leader, that the old assignment stands (version 9 and later, KIP-814).
    pub may_skip_assignment: bool,
}

/// A member as its leader is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JoinedMember {
    /// Its id.
    pub member: MemberId,
    /// Its `group.instance.id`.
    pub instance: Option<InstanceId>,
    /// Its subscription.
    pub metadata: Bytes,
}

/// What became of a JoinGroup.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JoinGroupResponse {
    /// Why it is no member. With `MEMBER_ID_REQUIRED` comes the id to join with.
    pub error: Option<ErrorCode>,
    /// The generation.
    pub generation: i32,
    /// What kind of group it is.
    pub protocol_type: Option<Arc<str>>,
    /// The way to assign that all members know.
    pub protocol: Option<Arc<str>>,
    /// Who assigns.
    pub leader: MemberId,
    /// Whether the leader is to leave the assignment as it is.
    pub skip_assignment: bool,
    /// The id of whom this answers.
    pub member: MemberId,
    /// For the leader: everybody.
    pub members: Vec<JoinedMember>,
}

impl JoinGroupResponse {
    /// It may not join.
    pub fn refused(error: ErrorCode, member: MemberId) -> JoinGroupResponse {
        JoinGroupResponse {
            error: Some(error),
            generation: NO_GENERATION,
            protocol_type: None,
            protocol: None,
            leader: MemberId::default(),
            skip_assignment: false,
            member,
            members: Vec::new(),
        }
    }
}

/// A member asks for its share; the leader brings everybody's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SyncGroupRequest {
    /// Of which group.
    pub group: GroupId,
    /// In which generation.
    pub generation: i32,
    /// Who asks.
    pub member: MemberId,
    /// Its `group.instance.id`.
    pub instance: Option<InstanceId>,
    /// What kind of group it takes it for (version 5 and later).
    pub protocol_type: Option<Arc<str>>,
    /// Which way to assign it takes for agreed (version 5 and later).
    pub protocol: Option<Arc<str>>,
    /// From the leader: what each member is to do.
    pub assignments: Vec<(MemberId, Bytes)>,
}

/// A member's share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SyncGroupResponse {
    /// Why there is none.
    pub error: Option<ErrorCode>,
    /// What kind of group it is.
    pub protocol_type: Option<Arc<str>>,
    /// The way it was assigned.
    pub protocol: Option<Arc<str>>,
    /// What it is to do.
    pub assignment: Bytes,
}

impl SyncGroupResponse {
    /// There is nothing for it.
    pub fn refused(error: ErrorCode) -> SyncGroupResponse {
        SyncGroupResponse {
            error: Some(error),
            protocol_type: None,
            protocol: None,
            assignment: Bytes::new(),
        }
    }
}

/// A member is alive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeartbeatRequest {
    /// Of which group.
    pub group: GroupId,
    /// In which generation.
    pub generation: i32,
    /// Who.
    pub member: MemberId,
    /// Its `group.instance.id`.
    pub instance: Option<InstanceId>,
}

/// Whether it still is a member, and whether it is to join again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeartbeatResponse {
    /// `REBALANCE_IN_PROGRESS` if it is to join again; why it is no member otherwise.
    pub error: Option<ErrorCode>,
}

/// A member that leaves, by its id, or by its `group.instance.id` with any id (KIP-345).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeavingMember {
    /// Its id; empty to name it by its instance alone.
    pub member: MemberId,
    /// Its `group.instance.id`.
    pub instance: Option<InstanceId>,
}

/// Members leave.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaveGroupRequest {
    /// Which group.
    pub group: GroupId,
    /// Who.
    pub members: Vec<LeavingMember>,
}

/// What became of each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaveGroupResponse {
    /// Why nobody could leave.
    pub error: Option<ErrorCode>,
    /// One answer a member, in order.
    pub members: Vec<(LeavingMember, Option<ErrorCode>)>,
}
