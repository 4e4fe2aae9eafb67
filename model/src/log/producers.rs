//! Which sequences has each producer written: is this batch the next, one we have, or one too far?
//! KIP-98; KIP-360 for producers whose state is gone.

use alloc::collections::BTreeMap;

use smallvec::SmallVec;

use super::batch::{Batch, ProducerStamp};
use crate::{
    protocol::ErrorCode,
    time::Timestamp,
    units::{Offset, ProducerEpoch, ProducerId, RecordCount, Sequence},
};

/// How many batches of a producer are remembered; so many requests may be in flight.
pub const REMEMBERED: usize = 5;

/// One batch of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProducerBatch {
    /// The sequence of its first record.
    pub base_sequence: Sequence,
    /// The offset of its first record.
    pub base: Offset,
    /// How many records it has.
    pub count: RecordCount,
    /// Its greatest timestamp.
    pub timestamp: Timestamp,
}

impl ProducerBatch {
    /// What `batch` of an idempotent producer is.
    pub fn of(batch: &Batch, stamp: ProducerStamp) -> ProducerBatch {
        ProducerBatch {
            base_sequence: stamp.base_sequence,
            base: batch.base_offset(),
            count: batch.end_offset() - batch.base_offset(),
            timestamp: batch.header().max_timestamp,
        }
    }

    /// The sequence that comes after it.
    pub fn next_sequence(&self) -> Sequence {
        self.base_sequence.plus(self.count)
    }

    /// One past its last record.
    pub fn end(&self) -> Offset {
        self.base + self.count
    }
}

/// What is known of one producer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Producer {
    /// Its current life.
    pub epoch: ProducerEpoch,
    /// The last batches of that life, oldest first; never empty.
    pub batches: SmallVec<[ProducerBatch; REMEMBERED]>,
}

/// What a batch is to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be appended.
    Next,
    /// It was appended, here.
    Duplicate(ProducerBatch),
}

/// The producers of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers(BTreeMap<ProducerId, Producer>);

impl Producers {
    /// None.
    pub fn new() -> Producers {
        Producers::default()
    }

    /// Judges a batch of `count` records that a producer sends to the leader.
    ///
    /// A producer that is not known may begin with any sequence: its state may have expired (KIP-360).
    /// Refuses an older life with `InvalidProducerEpoch`, and with `OutOfOrderSequenceNumber` a sequence
    /// that is not the next, or a new life that does not begin at zero.
    pub fn judge(&self, stamp: ProducerStamp, count: RecordCount) -> Result<Verdict, ErrorCode> {
        let Some(known) = self.0.get(&stamp.id) else { return Ok(Verdict::Next) };
        if stamp.epoch < known.epoch {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        if stamp.epoch > known.epoch {
            let first = stamp.base_sequence == Sequence(0);
            return if first { Ok(Verdict::Next) } else { Err(ErrorCode::OutOfOrderSequenceNumber) };
        }
        let same = |b: &&ProducerBatch| b.base_sequence == stamp.base_sequence && b.count == count;
        if let Some(batch) = known.batches.iter().find(same) {
            return Ok(Verdict::Duplicate(*batch));
        }
        let next = known.batches.last().map(ProducerBatch::next_sequence);
        if next == Some(stamp.base_sequence) {
            Ok(Verdict::Next)
        } else {
            Err(ErrorCode::OutOfOrderSequenceNumber)
        }
    }

    /// Takes over a batch that was appended, whatever its sequence: what stands in the log counts.
    pub fn append(&mut self, id: ProducerId, epoch: ProducerEpoch, batch: ProducerBatch) {
        let producer = self.0.entry(id).or_insert_with(|| Producer { epoch, batches: SmallVec::new() });
        if producer.epoch != epoch {
            producer.epoch = epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == REMEMBERED {
            producer.batches.remove(0);
        }
        producer.batches.push(batch);
    }

    /// Every producer, by id.
    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &Producer)> {
        self.0.iter().map(|(id, producer)| (*id, producer))
    }

    /// How many producers are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
