//! What is a record batch, and what may be done with it without decoding its records?
//!
//! Record batch format v2 (KIP-98): a header of 61 bytes and opaque records. A `Batch` in memory has always
//! been checked: it was either built here or decoded from bytes whose CRC agreed, so nobody on the broker's
//! path computes a CRC twice. Base offset and leader epoch lie outside the CRC and are stamped in place.

use core::hash::{Hash, Hasher};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{
    time::Timestamp,
    units::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, RecordCount, Sequence},
};

/// How the batch header of format v2 is laid out, in bytes.
pub const HEADER_SIZE: usize = 61;

/// Who wrote a batch, for an idempotent producer (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProducerStamp {
    /// The producer's id.
    pub id: ProducerId,
    /// Which life of it.
    pub epoch: ProducerEpoch,
    /// The sequence of the batch's first record.
    pub base_sequence: Sequence,
}

/// The header of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchHeader {
    /// The offset of the first record; assigned by the leader.
    pub base_offset: Offset,
    /// The epoch of the leader that appended it (KIP-101).
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of everything after the CRC field.
    pub crc: u32,
    /// The attribute bits as on the wire: compression 0 to 2, timestamp type 3, transactional 4, control 5,
    /// delete horizon 6.
    pub attributes: u16,
    /// The offset of the last record less `base_offset`. Kept by compaction, so it may exceed the count.
    pub last_offset_delta: u32,
    /// The timestamp of the first record; of a batch whose attributes say so, its delete horizon (KIP-534).
    pub base_timestamp: Timestamp,
    /// The greatest timestamp, or the append time under `LogAppendTime`.
    pub max_timestamp: Timestamp,
    /// The idempotent producer, if there was one.
    pub producer: Option<ProducerStamp>,
    /// How many records there are.
    pub record_count: u32,
}

/// A record batch whose CRC is known to agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    header: BatchHeader,
    records: Bytes,
}

/// Batches that stand one behind the other. Nearly every read and every answer has one, which then needs no
/// memory of its own.
pub type Batches = SmallVec<[Batch; 1]>;

/// By its place and its CRC, which covers everything else: hashed in every input that carries it.
impl Hash for Batch {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.header.base_offset.0);
        state.write_u64(u64::from(self.header.crc) << 32 | u64::from(self.header.leader_epoch.0));
        state.write_u64(self.records.len() as u64);
    }
}

impl Batch {
    /// The attribute bits of the compression; none of them for none.
    pub const COMPRESSION: u16 = 0b111;
    /// The attribute bit of `LogAppendTime`.
    pub const LOG_APPEND_TIME: u16 = 1 << 3;
    /// The attribute bit of a transactional batch.
    pub const TRANSACTIONAL: u16 = 1 << 4;
    /// The attribute bit of a control batch: leader changes, snapshot marks, transaction markers.
    pub const CONTROL: u16 = 1 << 5;

    /// The attribute bit that makes the base timestamp the delete horizon (KIP-534).
    pub const DELETE_HORIZON: u16 = 1 << 6;

    /// A batch of a header and records that belong together: only the codec knows how to say so.
    pub(super) fn checked(header: BatchHeader, records: Bytes) -> Batch {
        Batch { header, records }
    }

    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The records as on the wire, compressed if the attributes say so.
    pub fn records(&self) -> &Bytes {
        &self.records
    }

    /// How many bytes it takes on the wire and on disk.
    pub fn size(&self) -> usize {
        HEADER_SIZE + self.records.len()
    }

    /// The offset of the first record.
    pub fn base_offset(&self) -> Offset {
        self.header.base_offset
    }

    /// The offset of the last record.
    pub fn last_offset(&self) -> Offset {
        self.header.base_offset + RecordCount(u64::from(self.header.last_offset_delta))
    }

    /// One past the last record.
    pub fn end_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// The epoch of the leader that appended it.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.header.leader_epoch
    }

    /// Whether it holds the log's own marks, not a client's records.
    pub fn is_control(&self) -> bool {
        self.header.attributes & Self::CONTROL != 0
    }

    /// Whether its records are compressed: nobody here looks into them.
    pub fn is_compressed(&self) -> bool {
        self.header.attributes & Self::COMPRESSION != 0
    }

    /// From when on its tombstones may be cleaned away, if a cleaning has seen them. KIP-534.
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        (self.header.attributes & Self::DELETE_HORIZON != 0).then_some(self.header.base_timestamp)
    }

    /// Stamps what a leader assigns: both fields lie outside the CRC.
    pub fn assign(&mut self, base_offset: Offset, leader_epoch: LeaderEpoch) {
        self.header.base_offset = base_offset;
        self.header.leader_epoch = leader_epoch;
    }
}
