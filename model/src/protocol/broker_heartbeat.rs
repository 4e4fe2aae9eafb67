//! BrokerHeartbeat, key 63: a broker is alive, and asks to be unfenced or to leave. KIP-631.

use super::ErrorCode;
use crate::units::{BrokerEpoch, NodeId, Offset};

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BrokerHeartbeatRequest {
    /// Which broker.
    pub broker: NodeId,
    /// Its registration.
    pub broker_epoch: BrokerEpoch,
    /// One past the last metadata record it has applied.
    pub metadata_end: Offset,
    /// Whether it wants to be fenced.
    pub want_fence: bool,
    /// Whether it wants to shut down: its leaderships are moved first.
    pub want_shutdown: bool,
}

/// The controller's answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BrokerHeartbeatResponse {
    /// How it stands, or why it was not heard.
    pub result: Result<BrokerStanding, ErrorCode>,
}

/// How a broker stands with the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BrokerStanding {
    /// Whether it has applied enough metadata to be unfenced.
    pub caught_up: bool,
    /// Whether it is fenced.
    pub fenced: bool,
    /// Whether it may shut down now.
    pub may_shut_down: bool,
}
