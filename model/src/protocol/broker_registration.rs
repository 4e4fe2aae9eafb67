//! BrokerRegistration, key 62: a broker starts. KIP-631, KIP-903, KIP-966 (was the last shutdown clean?).

use super::ErrorCode;
use crate::units::{BrokerEpoch, Incarnation, NodeId};

/// A broker process announces itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BrokerRegistrationRequest {
    /// Which broker.
    pub broker: NodeId,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// The broker epoch it had when it shut down cleanly; `None` after a crash (KIP-966).
    pub previous_broker_epoch: Option<BrokerEpoch>,
}

/// The controller's answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BrokerRegistrationResponse {
    /// The broker's epoch from now on.
    pub result: Result<BrokerEpoch, ErrorCode>,
}
