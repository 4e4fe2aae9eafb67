//! Which sequences has each producer written: is this batch the next, one we have, or one too far?
//! KIP-98; KIP-360 for producers whose state is gone.

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};
use core::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{
    batch::{Batch, ProducerStamp},
    segment::{with_crc, without_crc},
};
use crate::{
    flat::FlatMap,
    protocol::ErrorCode,
    time::Timestamp,
    units::{Offset, ProducerEpoch, ProducerId, RecordCount, Sequence},
};

/// How many batches of a producer are remembered; so many requests may be in flight.
pub const REMEMBERED: usize = 5;

/// How many appends can be taken back from memory.
const UNDOABLE: usize = 1024;

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

/// What an append has changed.
#[derive(Clone, Debug)]
struct Undo {
    id: ProducerId,
    base: Offset,
    before: Before,
}

#[derive(Clone, Debug)]
enum Before {
    /// The producer was not known.
    Unknown,
    /// It had another life.
    Life(Box<Producer>),
    /// It had this many batches less; the one that was forgotten for the new one.
    Forgot(Option<ProducerBatch>),
}

/// The producers of a log.
#[derive(Clone, Debug, Default)]
pub struct Producers {
    known: FlatMap<ProducerId, Producer>,
    undo: VecDeque<Undo>,
    /// Every append at or after this offset can be taken back.
    undoable_from: Offset,
}

/// By what is known, not by what can be taken back.
impl PartialEq for Producers {
    fn eq(&self, other: &Producers) -> bool {
        self.known == other.known
    }
}

impl Eq for Producers {}

impl Producers {
    /// None, in a log whose next record is that at `end`.
    pub fn new(end: Offset) -> Producers {
        Producers { undoable_from: end, ..Producers::default() }
    }

    /// Judges a batch of `count` records that a producer sends to the leader.
    ///
    /// A producer that is not known may begin with any sequence: its state may have expired (KIP-360).
    /// Refuses an older life with `InvalidProducerEpoch`, and with `OutOfOrderSequenceNumber` a sequence
    /// that is not the next, or a new life that does not begin at zero.
    pub fn judge(&self, stamp: ProducerStamp, count: RecordCount) -> Result<Verdict, ErrorCode> {
        let Some(known) = self.known.get(&stamp.id) else { return Ok(Verdict::Next) };
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
        match known.batches.last() {
            Some(last) if last.next_sequence() == stamp.base_sequence => Ok(Verdict::Next),
            _ => Err(ErrorCode::OutOfOrderSequenceNumber),
        }
    }

    /// Takes over a batch that was appended, whatever its sequence: what stands in the log counts.
    pub fn append(&mut self, id: ProducerId, epoch: ProducerEpoch, batch: ProducerBatch) {
        let life = || Producer { epoch, batches: SmallVec::from_slice(&[batch]) };
        let before = match self.known.get_mut(&id) {
            None => {
                self.known.insert(id, life());
                Before::Unknown
            }
            Some(known) if known.epoch != epoch => Before::Life(Box::new(core::mem::replace(known, life()))),
            Some(Producer { batches, .. }) => {
                let forgot = (batches.len() == REMEMBERED).then(|| batches.remove(0));
                batches.push(batch);
                Before::Forgot(forgot)
            }
        };
        if self.undo.len() == UNDOABLE
            && let Some(oldest) = self.undo.pop_front()
        {
            self.undoable_from = oldest.base.next();
        }
        self.undo.push_back(Undo { id, base: batch.base, before });
    }

    /// Whether `truncate` can go back to `end`.
    pub fn can_truncate(&self, end: Offset) -> bool {
        end >= self.undoable_from
    }

    /// Takes back what was appended at or after `end`, to which `can_truncate` must go.
    pub fn truncate(&mut self, end: Offset) {
        assert!(self.can_truncate(end), "what is taken back is remembered");
        while self.undo.back().is_some_and(|undo| undo.base >= end) {
            let Some(undo) = self.undo.pop_back() else { return };
            match undo.before {
                Before::Unknown => drop(self.known.remove(&undo.id)),
                Before::Life(producer) => drop(self.known.insert(undo.id, *producer)),
                Before::Forgot(forgot) => {
                    // A producer that has expired meanwhile stays so.
                    let Some(producer) = self.known.get_mut(&undo.id) else { continue };
                    producer.batches.pop();
                    if let Some(batch) = forgot {
                        producer.batches.insert(0, batch);
                    }
                    if producer.batches.is_empty() {
                        self.known.remove(&undo.id);
                    }
                }
            }
        }
    }

    /// Forgets producers whose last batch is `expiration` old (`producer.id.expiration.ms`).
    pub fn expire(&mut self, now: Timestamp, expiration: Duration) {
        let expiration = i64::try_from(expiration.as_millis()).unwrap_or(i64::MAX);
        self.known.retain(|_, producer| {
            producer.batches.last().is_some_and(|batch| now.0.saturating_sub(batch.timestamp.0) < expiration)
        });
    }

    /// The bug of KAFKA-7190: forgets producers that have no record at or after `start`.
    pub fn forget_before(&mut self, start: Offset) {
        self.known.retain(|_, producer| producer.batches.last().is_some_and(|last| last.end() > start));
    }

    /// What is known of one producer.
    pub fn get(&self, id: ProducerId) -> Option<&Producer> {
        self.known.get(&id)
    }

    /// Every producer, by id.
    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &Producer)> {
        self.known.iter().map(|(id, producer)| (*id, producer))
    }

    /// How many producers are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The content of a snapshot file. Kafka saves only the last batch of each producer; all that are
    /// remembered are saved here, so that a restart forgets nothing.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        for (id, producer) in &self.known {
            for batch in &producer.batches {
                out.extend_from_slice(&id.0.to_be_bytes());
                out.extend_from_slice(&producer.epoch.0.to_be_bytes());
                out.extend_from_slice(&batch.base_sequence.0.to_be_bytes());
                out.extend_from_slice(&batch.base.0.to_be_bytes());
                out.extend_from_slice(&batch.count.0.to_be_bytes());
                out.extend_from_slice(&batch.timestamp.0.to_be_bytes());
            }
        }
        with_crc(out)
    }

    /// The producers of a log up to `end`, from what `encode` wrote; `None` if it is damaged.
    pub fn decode(bytes: &[u8], end: Offset) -> Option<Producers> {
        const SIZE: usize = 38;
        let body = without_crc(bytes)?;
        if body.len() % SIZE != 0 {
            return None;
        }
        let mut producers = Producers::new(end);
        for entry in body.chunks_exact(SIZE) {
            let long = |at: usize| Some(u64::from_be_bytes(entry[at..at + 8].try_into().ok()?));
            let epoch = ProducerEpoch(u16::from_be_bytes(entry[8..10].try_into().ok()?));
            let batch = ProducerBatch {
                base_sequence: Sequence(u32::from_be_bytes(entry[10..14].try_into().ok()?)),
                base: Offset(long(14)?),
                count: RecordCount(long(22)?),
                timestamp: Timestamp(long(30)? as i64),
            };
            producers.append(ProducerId(long(0)?), epoch, batch);
        }
        producers.undo.clear();
        producers.undoable_from = end;
        Some(producers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ProducerId = ProducerId(7);

    fn stamp(epoch: u16, sequence: u32) -> ProducerStamp {
        ProducerStamp { id: ID, epoch: ProducerEpoch(epoch), base_sequence: Sequence(sequence) }
    }

    fn appended(producers: &mut Producers, epoch: u16, sequence: u32, base: u64, count: u64) {
        let batch = ProducerBatch {
            base_sequence: Sequence(sequence),
            base: Offset(base),
            count: RecordCount(count),
            timestamp: Timestamp(base as i64),
        };
        producers.append(ID, ProducerEpoch(epoch), batch);
    }

    fn judge(producers: &Producers, epoch: u16, sequence: u32) -> Result<Option<u64>, ErrorCode> {
        match producers.judge(stamp(epoch, sequence), RecordCount(2))? {
            Verdict::Next => Ok(None),
            Verdict::Duplicate(batch) => Ok(Some(batch.base.0)),
        }
    }

    #[test]
    fn the_next_is_taken_a_duplicate_known_and_a_gap_refused() {
        let mut producers = Producers::new(Offset(0));
        assert_eq!(judge(&producers, 0, 40), Ok(None), "an unknown producer begins anywhere");
        for nth in 0..7 {
            appended(&mut producers, 0, nth * 2, 100 + u64::from(nth) * 2, 2);
        }
        assert_eq!(judge(&producers, 0, 14), Ok(None));
        assert_eq!(judge(&producers, 0, 16), Err(ErrorCode::OutOfOrderSequenceNumber));
        assert_eq!(judge(&producers, 0, 12), Ok(Some(112)));
        assert_eq!(judge(&producers, 0, 4), Ok(Some(104)), "the fifth last");
        assert_eq!(judge(&producers, 0, 2), Err(ErrorCode::OutOfOrderSequenceNumber), "too long ago");
    }

    #[test]
    fn a_new_life_begins_at_zero_and_fences_the_old() {
        let mut producers = Producers::new(Offset(0));
        appended(&mut producers, 3, 10, 0, 2);
        assert_eq!(judge(&producers, 4, 12), Err(ErrorCode::OutOfOrderSequenceNumber));
        assert_eq!(judge(&producers, 4, 0), Ok(None));
        appended(&mut producers, 4, 0, 2, 2);
        assert_eq!(judge(&producers, 3, 12), Err(ErrorCode::InvalidProducerEpoch));
    }

    #[test]
    fn a_sequence_goes_on_after_the_wrap() {
        let mut producers = Producers::new(Offset(0));
        appended(&mut producers, 0, i32::MAX as u32, 0, 2);
        assert_eq!(judge(&producers, 0, 1), Ok(None));
        assert_eq!(judge(&producers, 0, 2), Err(ErrorCode::OutOfOrderSequenceNumber));
    }

    #[test]
    fn what_is_cut_off_is_taken_back() {
        let mut producers = Producers::new(Offset(0));
        let mut states = alloc::vec![producers.clone()];
        for nth in 0..12u64 {
            let epoch = u16::from(nth >= 8);
            appended(&mut producers, epoch, (nth % 8) as u32, nth, 1);
            states.push(producers.clone());
        }
        for end in (0..=12).rev() {
            producers.truncate(Offset(end));
            assert_eq!(producers, states[end as usize], "cut at {end}");
        }
    }

    #[test]
    fn only_so_much_can_be_taken_back() {
        let mut producers = Producers::new(Offset(0));
        for nth in 0..UNDOABLE as u64 + 1 {
            appended(&mut producers, 0, nth as u32, nth, 1);
        }
        assert!(producers.can_truncate(Offset(1)) && !producers.can_truncate(Offset(0)));
    }

    #[test]
    fn a_silent_producer_is_forgotten() {
        let mut producers = Producers::new(Offset(0));
        appended(&mut producers, 0, 0, 50, 1);
        producers.expire(Timestamp(149), Duration::from_millis(100));
        assert_eq!(producers.len(), 1);
        producers.expire(Timestamp(150), Duration::from_millis(100));
        assert!(producers.is_empty());
    }

    #[test]
    fn a_snapshot_comes_back_and_damage_is_seen() {
        let mut producers = Producers::new(Offset(0));
        for nth in 0..7 {
            appended(&mut producers, 2, nth, u64::from(nth), 1);
        }
        let bytes = producers.encode();
        assert_eq!(Producers::decode(&bytes, Offset(7)), Some(producers));
        assert_eq!(Producers::decode(&bytes[..bytes.len() - 1], Offset(7)), None);
        assert_eq!(Producers::decode(b"", Offset(7)), None);
    }
}
