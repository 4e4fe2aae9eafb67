//! ConsumerGroupHeartbeat 68, ConsumerGroupDescribe 69: the protocol of KIP-848, where the coordinator assigns and a
//! member learns by heartbeat what to give up and what to take.

use alloc::{sync::Arc, vec::Vec};
use core::time::Duration;

use super::{ErrorCode, TopicName};
use crate::units::{GroupId, InstanceId, MemberId, TopicId};

/// The member epoch of who joins.
pub const JOIN_EPOCH: i32 = 0;
/// The member epoch of who leaves.
pub const LEAVE_EPOCH: i32 = -1;
/// The member epoch of a static member that leaves and will be back.
pub const LEAVE_FOR_A_WHILE_EPOCH: i32 = -2;

/// Partitions by topic, both in order.
pub type TopicPartitions = Vec<(TopicId, Vec<u32>)>;

/// A member is alive, and tells what has changed. `None` stands for what is as it was said before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerGroupHeartbeatRequest {
    /// Of which group.
    pub group: GroupId,
    /// Its id; it makes its own since version 1 (KIP-1082), and is given one by version 0 if empty.
    pub member: MemberId,
    /// Its epoch, or one of the constants above.
    pub epoch: i32,
    /// Its `client.id`, by which operators know it.
    pub client: Arc<str>,
    /// Its `group.instance.id`.
    pub instance: Option<InstanceId>,
    /// Its `client.rack`.
    pub rack: Option<Arc<str>>,
    /// How long it may take to give partitions up.
    pub rebalance_timeout: Option<Duration>,
    /// What it wants to read, by name.
    pub topics: Option<Vec<TopicName>>,
    /// What it wants to read, by a regular expression that the coordinator applies.
    pub pattern: Option<Arc<str>>,
    /// `group.remote.assignor`
    pub assignor: Option<Arc<str>>,
    /// What it owns.
    pub owned: Option<TopicPartitions>,
}

/// What a member is to own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerGroupHeartbeatResponse {
    /// Why it is no member.
    pub error: Option<ErrorCode>,
    /// Its id.
    pub member: Option<MemberId>,
    /// Its epoch.
    pub epoch: i32,
    /// How often it is to say that it is alive.
    pub interval: Duration,
    /// What it is to own, if that has changed.
    pub assignment: Option<TopicPartitions>,
}

impl ConsumerGroupHeartbeatResponse {
    /// It is no member.
    pub fn refused(error: ErrorCode) -> ConsumerGroupHeartbeatResponse {
        ConsumerGroupHeartbeatResponse {
            error: Some(error),
            member: None,
            epoch: 0,
            interval: Duration::ZERO,
            assignment: None,
        }
    }
}

/// How do groups stand?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerGroupDescribeRequest {
    /// Which.
    pub groups: Vec<GroupId>,
}

/// A member as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerGroupMember {
    /// Its id.
    pub member: MemberId,
    /// Its `group.instance.id`.
    pub instance: Option<InstanceId>,
    /// Its epoch.
    pub epoch: i32,
    /// Its `client.id`.
    pub client: Arc<str>,
    /// Where it connects from.
    pub host: Arc<str>,
    /// Its `client.rack`.
    pub rack: Option<Arc<str>>,
    /// What it wants to read, by name.
    pub topics: Vec<TopicName>,
    /// What it wants to read, by a regular expression.
    pub pattern: Option<Arc<str>>,
    /// What it owns, and what it is still to give up.
    pub assignment: Vec<(TopicId, TopicName, Vec<u32>)>,
    /// What it is to own.
    pub target: Vec<(TopicId, TopicName, Vec<u32>)>,
    /// Whether it still speaks the classic protocol.
    pub classic: bool,
}

/// A group as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerGroupDescription {
    /// Which.
    pub group: GroupId,
    /// Why nothing can be said of it.
    pub error: Option<ErrorCode>,
    /// Its state in Kafka's spelling.
    pub state: &'static str,
    /// Its epoch.
    pub epoch: i32,
    /// The epoch of its target assignment.
    pub assignment_epoch: i32,
    /// Who assigns.
    pub assignor: Arc<str>,
    /// Who is in it.
    pub members: Vec<ConsumerGroupMember>,
}

/// One answer a group, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerGroupDescribeResponse {
    /// How each stands.
    pub groups: Vec<ConsumerGroupDescription>,
}
