//! InitProducerId, key 22 (KIP-98, KIP-360), and AllocateProducerIds, key 67 (KIP-730).

use super::ErrorCode;
use crate::units::{BrokerEpoch, NodeId, ProducerEpoch, ProducerId};

/// A producer wants an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InitProducerIdRequest {
    /// Its present identity, to get the next epoch of it; `None` for a new one. An idempotent producer
    /// without transactions always asks for a new one (KIP-360 raises its epoch by itself).
    pub current: Option<(ProducerId, ProducerEpoch)>,
}

/// Its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InitProducerIdResponse {
    /// The identity, or why there is none.
    pub result: Result<(ProducerId, ProducerEpoch), ErrorCode>,
}

/// A broker wants producer ids to hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AllocateProducerIdsRequest {
    /// Which broker.
    pub broker: NodeId,
    /// Its registration.
    pub broker_epoch: BrokerEpoch,
}

/// A block of ids that nobody else gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AllocateProducerIdsResponse {
    /// The block, or why there is none.
    pub result: Result<ProducerIdBlock, ErrorCode>,
}

/// Ids `first` up to, not including, `first + len`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ProducerIdBlock {
    /// The first id.
    pub first: ProducerId,
    /// How many.
    pub len: u32,
}
