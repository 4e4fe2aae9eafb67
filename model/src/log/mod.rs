//! What is one replica's log, and how far does it reach?
//!
//! A [`Log`] has a start and three ends. *Appended* ([`Log::end`]) is what memory holds; *written* is what
//! the operating system has, which survives the process; *flushed* is what the platter has, which survives
//! the power: `start <= flushed <= written <= end`. Whoever promises anything to others promises no more
//! than *written* (a partition) or *flushed* (the metadata quorum).
//!
//! The owner of a log (a partition, or the quorum)
//!
//! 1. makes one with [`Log::create`], or reads one back with [`recovery::Loader`];
//! 2. appends with [`Log::append_leader`] or [`Log::append_follower`]: at once in memory, with a request to
//!    the disk; epochs are kept by themselves, but a new leader calls [`Log::assign_epoch`] at its election;
//! 3. hands every disk reply whose directory is the log's to [`Log::on_disk`] and looks at the
//!    [`Progress`] it returns: whether *written* or *flushed* moved, and what a cold read has brought;
//! 4. reads with [`Log::read`]: from memory, or, where that does not reach back far enough, through
//!    [`Log::begin_cold`], whose answer comes in a later `Progress`;
//! 5. calls [`Log::tick`] when [`Log::deadline`] has come, and [`Log::retain`] from its retention timer;
//! 6. ends with [`Log::close`], and writes its clean-shutdown marker once [`Log::is_closed`].
//!
//! An error from `on_disk` is the disk's: the log is of no use any more, and its node halts.

pub mod batch;
pub mod codec;
pub mod config;
pub mod epochs;
pub mod producers;
pub mod checkpoints;
pub mod recovery;
mod crc32c;
mod varint;

use alloc::{collections::VecDeque, vec::Vec};
use core::ops::Range;

use self::{
    batch::Batch,
    config::LogConfig,
    epochs::Epochs,
    producers::{ProducerBatch, Producers, Verdict},
};
use crate::{
    disk::{
        Content, DiskDone, DiskError, DiskOp, DiskReply, DiskRequest, DiskTag, DiskWork, FileKind, FileName,
    },
    event::{Event, LogStartReason, ReplicaRole, TruncateReason},
    museum::Museum,
    protocol::ErrorCode,
    time::{Instant, Now, Timestamp},
    units::{LeaderEpoch, Offset, TopicPartition},
};

/// What became of a batch that a leader was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It was appended, at these offsets.
    New(Range<Offset>),
    /// It had been appended before, at these offsets (KIP-98). Nothing has changed.
    Duplicate(Range<Offset>),
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Whole batches; the first may begin before the offset asked for. Empty at the bound.
    Batches(Vec<Batch>),
    /// They are on the disk only: pass it to [`Log::begin_cold`].
    Cold(ColdRead),
}

/// A read that needs the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColdRead {
    from: Offset,
    bound: Offset,
    max_bytes: u32,
    min_one: bool,
    want: Want,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Batches,
    Time(Timestamp),
}

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundTime {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// The epoch it was appended in.
    pub epoch: LeaderEpoch,
}

/// What looking for a time found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeLookup {
    /// This record; or none is that late.
    Found(Option<FoundTime>),
    /// It is on the disk only: pass it to [`Log::begin_cold`].
    Cold(ColdRead),
}

/// What a cold read has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColdAnswer {
    /// For a [`Log::read`].
    Batches(Vec<Batch>),
    /// For a [`Log::find_time`].
    Time(Option<FoundTime>),
}

/// A cold read that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColdDone {
    /// What `begin_cold` was given.
    pub waiter: u64,
    /// What it brought, or `CorruptMessage` if the disk has lost bits, or `OffsetOutOfRange` if what was to
    /// be read has been deleted meanwhile.
    pub answer: Result<ColdAnswer, ErrorCode>,
}

/// What a disk reply has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// [`Log::written`] has moved.
    pub written: bool,
    /// [`Log::flushed`] has moved.
    pub flushed: bool,
    /// A cold read has ended.
    pub cold: Option<ColdDone>,
}

/// One replica's log.
#[derive(Clone, Debug)]
pub struct Log {
    partition: TopicPartition,
    config: LogConfig,
    start: Offset,
    end: Offset,
    written: Offset,
    flushed: Offset,
    epochs: Epochs,
    producers: Producers,
    tail: VecDeque<Batch>,
    pending: VecDeque<(DiskTag, Offset)>,
    next_tag: u64,
}

impl Log {
    /// A log that holds nothing and begins at `start`; asks the disk for its files.
    pub fn create(
        partition: TopicPartition,
        config: LogConfig,
        start: Offset,
        _now: Now,
        _museum: Museum,
        _disk: &mut DiskWork,
    ) -> Log {
        Log {
            partition,
            config,
            start,
            end: start,
            written: start,
            flushed: start,
            epochs: Epochs::new(),
            producers: Producers::new(),
            tail: VecDeque::new(),
            pending: VecDeque::new(),
            next_tag: 0,
        }
    }

    /// Whose log it is.
    pub fn partition(&self) -> TopicPartition {
        self.partition
    }

    /// The first offset that may be read.
    pub fn start(&self) -> Offset {
        self.start
    }

    /// One past the last record appended.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// One past the last record that the operating system has.
    pub fn written(&self) -> Offset {
        self.written
    }

    /// One past the last record that the platter has.
    pub fn flushed(&self) -> Offset {
        self.flushed
    }

    /// The epoch of the last record, or of an election after it.
    pub fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest()
    }

    /// Where each epoch starts.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// What is known of idempotent producers.
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// What it is set to.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Sets it anew; what has been decided by the old settings stays so.
    pub fn reconfigure(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// How many bytes it takes on disk.
    pub fn size(&self) -> u64 {
        self.tail.iter().map(|batch| batch.size() as u64).sum()
    }

    /// The CRC of its last batch, if that is in memory.
    pub fn last_crc(&self) -> Option<u32> {
        self.tail.back().map(|batch| batch.header().crc)
    }

    /// The newest batches, as far as they are in memory, oldest first.
    pub fn cached(&self) -> impl DoubleEndedIterator<Item = &Batch> {
        self.tail.iter()
    }

    /// Notes that this replica was elected: `epoch` starts at the log's end, before anything is appended in
    /// it. KAFKA-7415.
    pub fn assign_epoch(&mut self, epoch: LeaderEpoch, _disk: &mut DiskWork) {
        self.epochs.assign(epoch, self.end);
    }

    /// Adds `batch` after the log's end as leader of `epoch` and returns the offsets it got.
    ///
    /// Refuses a batch that is too large with `MessageTooLarge` or `RecordListTooLarge`, one that is not
    /// the producer's next with `OutOfOrderSequenceNumber` or `InvalidProducerEpoch`, and one whose offsets
    /// do not count up one by one with `InvalidRecord`; nothing is changed then. KIP-98, KIP-360.
    pub fn append_leader(
        &mut self,
        now: Now,
        mut batch: Batch,
        epoch: LeaderEpoch,
        disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) -> Result<Appended, ErrorCode> {
        if let Some(stamp) = batch.header().producer.filter(|_| self.config.producers) {
            match self.producers.judge(stamp, batch.end_offset() - batch.base_offset())? {
                Verdict::Duplicate(had) => return Ok(Appended::Duplicate(had.base..had.end())),
                Verdict::Next => {}
            }
        }
        batch.assign(self.end, epoch);
        let range = batch.base_offset()..batch.end_offset();
        self.append(now, batch, ReplicaRole::Leader, disk, events);
        Ok(Appended::New(range))
    }

    /// Adds a batch that the leader sent: its offsets and epoch stay.
    ///
    /// Refuses one that does not begin at the log's end with `OffsetOutOfRange`; nothing is changed then.
    pub fn append_follower(
        &mut self,
        now: Now,
        batch: Batch,
        disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) -> Result<(), ErrorCode> {
        if batch.base_offset() != self.end {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        self.append(now, batch, ReplicaRole::Follower, disk, events);
        Ok(())
    }

    fn append(
        &mut self,
        _now: Now,
        batch: Batch,
        role: ReplicaRole,
        disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) {
        let header = *batch.header();
        self.epochs.assign(header.leader_epoch, header.base_offset);
        if let Some(stamp) = header.producer.filter(|_| self.config.producers) {
            self.producers.append(stamp.id, stamp.epoch, ProducerBatch::of(&batch, stamp));
        }
        self.end = batch.end_offset();
        let tag = self.tag();
        self.pending.push_back((tag, self.end));
        disk.push(DiskRequest {
            tag,
            file: FileName::of_log(self.partition, FileKind::Segment(Offset::ZERO)),
            op: DiskOp::Append(Content::Batch(batch.clone())),
        });
        self.tail.push_back(batch);
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
    }

    fn tag(&mut self) -> DiskTag {
        self.next_tag += 1;
        DiskTag(self.next_tag)
    }

    /// Reads whole batches from the one that holds `from`, up to `bound` and up to `max_bytes`; with
    /// `min_one` the first batch is returned whatever its size.
    ///
    /// No batch is returned that reaches past `bound`. Refuses an offset before the start or after the end
    /// with `OffsetOutOfRange`.
    pub fn read(
        &self,
        from: Offset,
        bound: Offset,
        max_bytes: u32,
        min_one: bool,
    ) -> Result<Read, ErrorCode> {
        if from < self.start || from > self.end {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let first = self.tail.partition_point(|batch| batch.end_offset() <= from);
        let (mut batches, mut size) = (Vec::new(), 0);
        for batch in self.tail.range(first..) {
            size += batch.size();
            let fits = size <= max_bytes as usize || (min_one && batches.is_empty());
            if batch.end_offset() > bound || !fits {
                break;
            }
            batches.push(batch.clone());
        }
        Ok(Read::Batches(batches))
    }

    /// Looks for the first record below `bound` whose timestamp is `time` or later. KIP-79.
    pub fn find_time(&self, time: Timestamp, bound: Offset) -> TimeLookup {
        let found = self
            .tail
            .iter()
            .filter(|batch| batch.header().max_timestamp >= time)
            .flat_map(|batch| batch.decode_records().flatten().map(|r| (r, batch.leader_epoch())))
            .find(|(record, _)| record.timestamp >= time && record.offset >= self.start)
            .filter(|(record, _)| record.offset < bound)
            .map(|(record, epoch)| FoundTime { offset: record.offset, timestamp: record.timestamp, epoch });
        TimeLookup::Found(found)
    }

    /// Looks for the record with the greatest timestamp below `bound`. KIP-734.
    pub fn find_max_timestamp(&self, bound: Offset) -> TimeLookup {
        let greatest = self.tail.iter().filter(|b| b.end_offset() <= bound).map(|b| b.header().max_timestamp);
        greatest.max().map_or(TimeLookup::Found(None), |time| self.find_time(time, bound))
    }

    /// Begins a read that needs the disk. The answer comes in a [`Progress`] and bears `waiter`.
    pub fn begin_cold(&mut self, read: ColdRead, waiter: u64, disk: &mut DiskWork) {
        let ColdRead { .. } = read;
        let tag = DiskTag(waiter);
        disk.push(DiskRequest {
            tag,
            file: FileName::of_log(self.partition, FileKind::Segment(Offset::ZERO)),
            op: DiskOp::Read { at: 0, len: 0 },
        });
    }

    /// Cuts off everything at and after `to`, with the epochs and producers' sequences that stood there.
    /// Returns the new end: less than `to` if that lies inside a batch, as batches are cut whole.
    ///
    /// `high_watermark` is the replica's own, for the event.
    pub fn truncate_to(
        &mut self,
        _now: Now,
        to: Offset,
        why: TruncateReason,
        high_watermark: Offset,
        _disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) -> Offset {
        if to >= self.end {
            return self.end;
        }
        let from = self.end;
        while self.tail.back().is_some_and(|batch| batch.end_offset() > to) {
            self.tail.pop_back();
        }
        self.end = self.tail.back().map_or(self.start, Batch::end_offset);
        self.written = self.written.min(self.end);
        self.flushed = self.flushed.min(self.end);
        self.pending.retain(|(_, end)| *end <= self.end);
        self.epochs.truncate_from_end(self.end);
        events.push(Event::Truncated { partition: self.partition, from, to: self.end, why, high_watermark });
        self.end
    }

    /// Drops everything and begins anew at `start`: the leader's log, or a snapshot, lies elsewhere.
    pub fn reset_to(
        &mut self,
        _now: Now,
        start: Offset,
        why: TruncateReason,
        high_watermark: Offset,
        _disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) {
        let from = self.end;
        (self.start, self.end, self.written, self.flushed) = (start, start, start, start);
        self.tail.clear();
        self.pending.clear();
        self.epochs.clear();
        self.producers = Producers::new();
        events.push(Event::Truncated { partition: self.partition, from, to: start, why, high_watermark });
    }

    /// Moves the log's start to `to`: what is before can be read no more, and its segments go. Never moves
    /// it back, nor past the end.
    pub fn advance_start(
        &mut self,
        _now: Now,
        to: Offset,
        why: LogStartReason,
        _disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) {
        let to = to.min(self.end);
        if to <= self.start {
            return;
        }
        let from = core::mem::replace(&mut self.start, to);
        self.epochs.truncate_from_start(to);
        events.push(Event::LogStartMoved { partition: self.partition, from, to, why });
    }

    /// Deletes segments that are too old or too many (`retention.ms`, `retention.bytes`), none that reaches
    /// past `high_watermark`; and forgets producers that have been silent for too long.
    pub fn retain(
        &mut self,
        _now: Now,
        _high_watermark: Offset,
        _disk: &mut DiskWork,
        _events: &mut Vec<Event>,
    ) {
    }

    /// Asks the disk to flush everything appended so far; [`Log::flushed`] tells when it has.
    pub fn flush(&mut self, disk: &mut DiskWork) {
        let tag = self.tag();
        disk.push(DiskRequest {
            tag,
            file: FileName::of_log(self.partition, FileKind::Segment(Offset::ZERO)),
            op: DiskOp::Flush,
        });
        self.pending.push_back((tag, self.end));
    }

    /// Takes a disk reply for one of the log's files.
    pub fn on_disk(
        &mut self,
        _now: Now,
        reply: &DiskReply,
        _disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) -> Result<Progress, DiskError> {
        let done = reply.outcome.as_ref().map_err(|error| *error)?;
        let mut progress = Progress::default();
        let Some(at) = self.pending.iter().position(|(tag, _)| *tag == reply.tag) else {
            return Ok(progress);
        };
        let Some((_, end)) = self.pending.remove(at) else { return Ok(progress) };
        if *done == DiskDone::Flushed && end > self.flushed {
            self.flushed = end;
            progress.flushed = true;
            events.push(Event::Flushed { partition: self.partition, end });
        } else if *done == DiskDone::Written && end > self.written {
            self.written = end;
            progress.written = true;
            events.push(Event::Written { partition: self.partition, end });
        }
        Ok(progress)
    }

    /// Does what is due: flushes by time, and removes files that were deleted long enough ago.
    pub fn tick(&mut self, _now: Now, _disk: &mut DiskWork, _events: &mut Vec<Event>) {}

    /// When [`Log::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Makes everything durable, so that the next start need not look at it. Nothing is appended any more.
    pub fn close(&mut self, disk: &mut DiskWork) {
        self.flush(disk);
    }

    /// Whether everything that `close` asked for is done.
    pub fn is_closed(&self) -> bool {
        self.flushed == self.end
    }

    /// Removes the log's directory with everything in it. The log is of no use any more.
    pub fn delete(self, disk: &mut DiskWork) {
        let file = FileName::of_log(self.partition, FileKind::PartitionMetadata);
        disk.push(DiskRequest { tag: DiskTag(0), file, op: DiskOp::RemoveDir });
    }
}
