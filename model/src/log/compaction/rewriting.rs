//! Which records of a batch stay when its log is cleaned?

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use crate::{
    event::Uncleanable,
    log::{batch::Batch, codec::Record, producers::Producers},
    museum::{Bug, Museum},
    time::Timestamp,
    units::Offset,
};

/// What a batch is judged by.
pub(super) struct Rewriting<'a> {
    /// The newest record of each key of the dirty part.
    pub newest: &'a BTreeMap<Bytes, Offset>,
    /// Where the dirty part ends: what is behind is not known here.
    pub end: Offset,
    /// When the cleaning began.
    pub now: Timestamp,
    /// `delete.retention.ms`
    pub delete_retention: Duration,
    /// What is known of producers at the log's end.
    pub producers: &'a Producers,
    /// Where the segment ends: its last batch stays.
    pub last: Offset,
    /// How many records stayed.
    pub kept: u64,
    /// How many did not.
    pub dropped: u64,
    /// Bugs that are switched on.
    pub museum: Museum,
}

impl Rewriting<'_> {
    /// What stays of `batch`, if anything does.
    ///
    /// A batch that loses all its records goes, too, unless it is the last of its segment, so that the log's end
    /// stays where it is, or the last of its producer, so that its sequence is still known: such a batch stays
    /// without records. A tombstone that is seen for the first time gives its batch a delete horizon, and is
    /// dropped by the first cleaning that begins after it (KIP-534). The log's own marks stay.
    pub fn rewrite(&mut self, batch: Batch) -> Result<Option<Batch>, Uncleanable> {
        if batch.is_control() {
            self.kept += u64::from(batch.header().record_count);
            return Ok(Some(batch));
        }
        let mut kept: Vec<Record> = Vec::with_capacity(batch.header().record_count as usize);
        for record in batch.decode_records() {
            let record = record.map_err(|_| Uncleanable::Corrupt)?;
            if self.stays(&batch, &record) {
                kept.push(record);
            }
        }
        let all = u64::from(batch.header().record_count);
        self.kept += kept.len() as u64;
        self.dropped += all - kept.len() as u64;
        if kept.is_empty() {
            return Ok(self.is_needed_empty(&batch).then(|| batch.with_records(&[], None)));
        }
        let horizon = batch.delete_horizon();
        let new = horizon.is_none() && kept.iter().any(|record| record.value.is_none());
        if kept.len() as u64 == all && !new {
            return Ok(Some(batch));
        }
        let retention = i64::try_from(self.delete_retention.as_millis()).unwrap_or(i64::MAX);
        // KAFKA-4529: it was counted from the records' own time.
        let since = match self.museum.has(Bug::TombstoneDroppedEarly) {
            true => batch.header().max_timestamp,
            false => self.now,
        };
        let from_now = Timestamp(since.0.saturating_add(retention));
        Ok(Some(batch.with_records(&kept, horizon.or(new.then_some(from_now)))))
    }

    fn stays(&self, batch: &Batch, record: &Record) -> bool {
        if record.offset >= self.end {
            return true;
        }
        // No record without a key is ever the newest of its key.
        let Some(key) = &record.key else { return false };
        let newest = self.newest.get(key).is_none_or(|newest| record.offset >= *newest);
        let expired = record.value.is_none() && batch.delete_horizon().is_some_and(|at| at <= self.now);
        newest && !expired
    }

    fn is_needed_empty(&self, batch: &Batch) -> bool {
        let of_producer = batch.header().producer.and_then(|stamp| self.producers.get(stamp.id));
        let newest = of_producer.and_then(|producer| producer.batches.last());
        // KAFKA-17076: nor was the last batch of all that is cleaned kept.
        let goes = self.last == self.end && self.museum.has(Bug::LeoLostByCompaction);
        let is_last = batch.end_offset() == self.last && !goes;
        // KAFKA-5490: nor the last of a producer.
        let newest = newest.filter(|_| !self.museum.has(Bug::CleanerDropsProducerTail));
        is_last || newest.is_some_and(|newest| newest.end() == batch.end_offset())
    }
}
