//! Produce, key 0. KIP-98 (idempotence), KIP-516 (topic ids), KIP-951 (leader hints).

use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ErrorCode, LeaderHint, PartitionRef};
use crate::{log::batch::Batch, time::Timestamp, units::Offset};

/// Who must have the records before the producer is told so: Kafka's `acks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acks {
    /// `0`: nobody; there is no response at all.
    None,
    /// `1`: the leader's log.
    Leader,
    /// `all`, `-1`: every replica in sync, and at least `min.insync.replicas` of them.
    All,
}

impl Acks {
    /// Whether every replica in sync must have them.
    pub fn all(self) -> bool {
        self == Acks::All
    }
}

/// Appends batches, one a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProduceRequest {
    /// Who must have them.
    pub acks: Acks,
    /// How long the leader waits for replicas (`request.timeout.ms`).
    pub timeout: Duration,
    /// What to append where.
    pub partitions: Vec<PartitionProduce>,
}

/// The batch for one partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionProduce {
    /// Where.
    pub partition: PartitionRef,
    /// What.
    pub batch: Batch,
}

/// One answer a partition, in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProduceResponse {
    /// The answers.
    pub partitions: Vec<PartitionProduced>,
}

/// What came of one partition's batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionProduced {
    /// Where.
    pub partition: PartitionRef,
    /// Where the records stand, or why they do not.
    pub result: Result<Produced, ErrorCode>,
    /// Who leads, where the error is that we do not.
    pub leader: Option<LeaderHint>,
}

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Produced {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// When it was appended, under `LogAppendTime`.
    pub log_append_time: Option<Timestamp>,
    /// Where the log begins.
    pub log_start: Offset,
}
