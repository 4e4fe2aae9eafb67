//! How does a batch come to stand at a log's end, and when does the log begin a new segment?

use alloc::vec::Vec;

use super::{
    Appended, Log,
    batch::Batch,
    producers::{ProducerBatch, Verdict},
    segment::Segment,
};
use crate::{
    config::TimestampType,
    disk::DiskWork,
    event::{Event, ReplicaRole},
    museum::Bug,
    protocol::ErrorCode,
    time::Now,
    units::{LeaderEpoch, Offset, RecordCount},
};

impl Log {
    /// Notes that this replica was elected: `epoch` starts at the log's end, before anything is appended in
    /// it. KAFKA-7415.
    pub fn assign_epoch(&mut self, epoch: LeaderEpoch, disk: &mut DiskWork) {
        if self.museum.has(Bug::EpochStartNotRecordedOnElection) {
            // The epoch's start was noted only with its first batch. A follower that asked before was told
            // of no such epoch, and cut its log at its own high watermark.
            return;
        }
        if self.epochs.assign(epoch, self.end) {
            self.save_epochs(disk);
        }
    }

    /// Adds `batch` after the log's end as leader of `epoch` and returns the offsets it got.
    ///
    /// Under `LogAppendTime` its records get the leader's time. A sequence that was appended before is not
    /// appended again: its offsets are returned. Refuses a batch that is too large with `MessageTooLarge` or
    /// `RecordListTooLarge`, one that is not the producer's next with `OutOfOrderSequenceNumber` or
    /// `InvalidProducerEpoch`, one whose offsets do not count up one by one, or that has a record without a key
    /// where the log is compacted, with `InvalidRecord`, and any while the log
    /// [is being cut](Log::is_truncating) with `ReplicaNotAvailable`; nothing is changed then. KIP-98, KIP-360.
    pub fn append_leader(
        &mut self,
        now: Now,
        mut batch: Batch,
        epoch: LeaderEpoch,
        disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) -> Result<Appended, ErrorCode> {
        self.check(&batch)?;
        if let Some(stamp) = batch.header().producer.filter(|_| self.config.producers) {
            let count = RecordCount(u64::from(batch.header().record_count));
            // A mutant: what stands in the log already is taken for new.
            if let Verdict::Duplicate(had) = self.producers.judge(stamp, count)?
                && !self.museum.has(Bug::RetryAppendedAgain)
            {
                return Ok(Appended::Duplicate(had.base..had.end()));
            }
        }
        if self.config.timestamp_type == TimestampType::LogAppendTime && !batch.is_control() {
            batch = batch.with_append_time(now.wall);
        }
        batch.assign(self.next_offset(&batch), epoch);
        let range = batch.base_offset()..batch.end_offset();
        self.append(now, batch, ReplicaRole::Leader, disk, events);
        Ok(Appended::New(range))
    }

    /// The offset that the first record of a batch gets.
    fn next_offset(&self, batch: &Batch) -> Offset {
        // KAFKA-7866: a batch was in its file when its index failed, and the end was not moved past it; here it
        // is the first batch of a segment that this befalls.
        if self.museum.has(Bug::DuplicateOffsetAfterIndexFailure)
            && let (Some(last), Some(active)) = (self.tail.last(), self.active())
            && last.base_offset() == active.base
            && active.base > Offset::ZERO
        {
            let again = self.end.0.saturating_sub(u64::from(batch.header().record_count));
            return Offset(again.max(active.base.0));
        }
        self.end
    }

    fn check(&self, batch: &Batch) -> Result<(), ErrorCode> {
        let header = batch.header();
        if self.is_truncating() {
            return Err(ErrorCode::ReplicaNotAvailable);
        }
        if batch.size() > self.config.max_message_bytes as usize {
            return Err(ErrorCode::MessageTooLarge);
        }
        if batch.size() as u64 > self.config.segment_bytes {
            return Err(ErrorCode::RecordListTooLarge);
        }
        if u64::from(header.record_count) != u64::from(header.last_offset_delta) + 1 {
            return Err(ErrorCode::InvalidRecord);
        }
        // A record of no key would never be superseded, and never be kept.
        let compacts = self.config.cleanup_policy.compacts() && !batch.is_control() && !batch.is_compressed();
        if compacts && batch.decode_records().any(|record| record.is_ok_and(|record| record.key.is_none())) {
            return Err(ErrorCode::InvalidRecord);
        }
        Ok(())
    }

    /// Adds a batch that the leader sent: its offsets and epoch stay.
    ///
    /// If the log is compacted, it may begin after the log's end: what lies between was cleaned away where it
    /// comes from. Elsewhere nothing is ever missing, and Kafka, which takes such a batch for any topic, would
    /// not notice. Refuses a batch that begins anywhere else with `OffsetOutOfRange`, unless the log is empty and
    /// the batch holds its start (which may lie inside a batch, after DeleteRecords); and any while the log
    /// [is being cut](Log::is_truncating) with `ReplicaNotAvailable`. Nothing is changed then.
    pub fn append_follower(
        &mut self,
        now: Now,
        batch: Batch,
        disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) -> Result<(), ErrorCode> {
        if self.is_truncating() {
            return Err(ErrorCode::ReplicaNotAvailable);
        }
        let goes_on = match self.config.cleanup_policy.compacts() {
            true => batch.base_offset() >= self.end,
            false => batch.base_offset() == self.end,
        };
        if !goes_on {
            // KAFKA-6975: a batch that begins before the log's start was refused by an empty log, too, for ever.
            let holds_start = batch.base_offset() < self.start
                && batch.end_offset() > self.start
                && !self.museum.has(Bug::LogStartMidBatchFetch);
            if self.start != self.end || !holds_start || self.segments.len() > 1 || self.size() > 0 {
                return Err(ErrorCode::OffsetOutOfRange);
            }
            self.begin_at(batch.base_offset(), disk);
        }
        self.append(now, batch, ReplicaRole::Follower, disk, events);
        Ok(())
    }

    /// Gives an empty log a segment that begins before its start.
    fn begin_at(&mut self, base: Offset, disk: &mut DiskWork) {
        for empty in core::mem::replace(&mut self.segments, alloc::vec![Segment::new(base)]) {
            for file in self.files_of(empty.base) {
                self.remove(file, disk);
            }
        }
    }

    fn append(
        &mut self,
        now: Now,
        batch: Batch,
        role: ReplicaRole,
        disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) {
        let header = *batch.header();
        // KAFKA-6683: what is known of producers was changed while the batch was still being checked, so the
        // snapshot taken at a roll in between told of a batch that stands behind it.
        let early = self.museum.has(Bug::ProducerStateMutatedBeforeAppend);
        if early {
            self.remember_producer(&batch);
        }
        if self.must_roll(now, &batch) {
            self.roll(disk, events);
        }
        // Rebuilt from the data after a death: this file need not be there before the batch is.
        if self.epochs.latest() != Some(header.leader_epoch)
            && self.epochs.assign(header.leader_epoch, header.base_offset)
        {
            self.save_epochs(disk);
        }
        if !early {
            self.remember_producer(&batch);
        }
        let active = self.segments.last_mut().expect("a log has a segment");
        let (base, position) = (active.base, active.append(&batch, self.config.index_interval_bytes));
        self.end = batch.end_offset();
        self.write(base, batch.clone(), disk);
        self.tail.push(batch, position, self.config.cache_bytes);
        events.push(Event::Appended {
            partition: self.partition,
            role,
            base: header.base_offset,
            end: self.end,
            epoch: header.leader_epoch,
            crc: header.crc,
            producer: header.producer,
            control: header.attributes & Batch::CONTROL != 0,
            max_timestamp: header.max_timestamp,
        });
        self.flush_if_many(now, disk);
    }

    fn remember_producer(&mut self, batch: &Batch) {
        if let Some(stamp) = batch.header().producer.filter(|_| self.config.producers && !batch.is_control())
        {
            self.producers.append(stamp.id, stamp.epoch, ProducerBatch::of(batch, stamp));
        }
    }

    /// `flush.messages`, and the beginning of `flush.ms`.
    ///
    /// An append that makes it too many is not over before it is flushed, as Kafka flushes before it returns:
    /// with `flush.messages` 1 nothing is acknowledged, or vouched for by a follower, that could still be lost.
    fn flush_if_many(&mut self, now: Now, disk: &mut DiskWork) {
        if (self.end - self.flush_asked()).0 >= self.config.flush_messages {
            self.flush(disk);
            if self.flush_asked() == self.end {
                self.storing.await_flush();
            }
        } else if self.dirty_since.is_none() {
            self.dirty_since = Some(now.monotonic);
        }
    }

    /// Whether `batch` must not go into the last segment: `segment.bytes`, `segment.ms`.
    fn must_roll(&self, now: Now, batch: &Batch) -> bool {
        let Some(active) = self.active().filter(|active| !active.is_empty()) else { return false };
        let full = u64::from(active.size) + batch.size() as u64 > self.config.segment_bytes;
        // By the records' own time, so that a restart or a replayed topic rolls as it did before.
        let first = active.first_timestamp.unwrap_or(now.wall);
        let age = batch.header().max_timestamp.0.saturating_sub(first.0);
        let limit = i64::try_from(self.config.segment_ms.as_millis()).unwrap_or(i64::MAX);
        let too_far = (batch.last_offset() - active.base).0 > i32::MAX as u64;
        full || age > limit || too_far
    }

    /// Begins a new segment at the log's end. What the full one holds is flushed, and so is what is known of
    /// producers up to here.
    pub(super) fn roll(&mut self, disk: &mut DiskWork, events: &mut Vec<Event>) {
        self.flush(disk);
        self.save_producers(disk);
        self.segments.push(Segment::new(self.end));
        events.push(Event::SegmentRolled { partition: self.partition, base: self.end });
    }
}
