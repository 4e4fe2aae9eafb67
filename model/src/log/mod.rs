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
//! 5. calls [`Log::tick`] when [`Log::deadline`] has come, [`Log::retain`] from its retention timer, and
//!    [`Log::clean`] from its cleaner's, where [`Log::cleanable`] says that it is worth it;
//! 6. ends with [`Log::close`], and writes its clean-shutdown marker once [`Log::is_closed`].
//!
//! An error from `on_disk` is the disk's: the log is of no use any more, and its node halts.

// What stands in it.
pub mod batch;
pub mod codec;
pub(crate) mod varint;
pub(crate) mod crc32c;

// What is known of it.
pub mod config;
mod segment;
mod tail;
pub mod epochs;
pub mod producers;

// What is done with it.
mod appending;
mod reading;
mod truncation;
mod retention;
mod compaction;
mod storing;
mod underway;
pub mod recovery;
pub mod checkpoints;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use alloc::{collections::VecDeque, vec::Vec};
use core::ops::Range;

pub use self::compaction::Cleanable;
use self::{
    batch::{Batch, Batches},
    config::LogConfig,
    epochs::Epochs,
    producers::Producers,
    segment::Segment,
    tail::Tail,
    underway::Storing,
};
use crate::{
    disk::{DiskWork, FileName},
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
    Batches(Batches),
    /// They are on the disk only: pass it to [`Log::begin_cold`].
    Cold(ColdRead),
}

/// A read that needs the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColdRead(reading::Wanted);

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
    Batches(Batches),
    /// For a [`Log::find_time`].
    Time(Option<FoundTime>),
}

/// A cold read that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColdDone {
    /// What `begin_cold` was given.
    pub waiter: u64,
    /// What it brought, or `CorruptMessage` if the disk has lost bits, or `OffsetOutOfRange` if the log was
    /// cut, or what was to be read deleted, meanwhile. Every read that was begun is answered.
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
    /// A truncation that had to look at the disk has ended: [`Log::is_truncating`] is over. What is left is
    /// written and flushed.
    pub truncated: bool,
    /// A cleaning has ended, whether it came to its end or was given up: [`Log::is_cleaning`] is over.
    pub cleaned: bool,
}

/// One replica's log.
#[derive(Clone, Debug)]
pub struct Log {
    partition: TopicPartition,
    config: LogConfig,
    museum: Museum,
    start: Offset,
    end: Offset,
    written: Offset,
    flushed: Offset,
    epochs: Epochs,
    producers: Producers,
    /// In order, each beginning where the one before ends; the last is appended to. Never empty.
    segments: Vec<Segment>,
    tail: Tail,
    storing: Storing,
    /// The oldest record that is not flushed was appended then.
    dirty_since: Option<Instant>,
    /// Files that were deleted, and when they go.
    doomed: VecDeque<(Instant, Vec<FileName>)>,
    colds: Vec<reading::Pending>,
    /// Reads the log anew after a cut that memory did not reach back to.
    truncating: Option<truncation::Truncating>,
    compaction: compaction::Compaction,
    /// Was asked to close while a cut was looking for its place: closes when that has ended.
    close_after_cut: bool,
}

impl Log {
    /// A log that holds nothing and begins at `start`; asks the disk for its files.
    pub fn create(
        partition: TopicPartition,
        config: LogConfig,
        start: Offset,
        _now: Now,
        museum: Museum,
        disk: &mut DiskWork,
    ) -> Log {
        let mut log = Log::of_segments(partition, config, museum, alloc::vec![Segment::new(start)]);
        log.save_partition_metadata(disk);
        log.create_segment_file(disk);
        log
    }

    /// The log of `segments`, of which the disk has all.
    fn of_segments(
        partition: TopicPartition,
        config: LogConfig,
        museum: Museum,
        segments: Vec<Segment>,
    ) -> Log {
        let start = segments.first().expect("a log has a segment").base;
        let end = segments.last().expect("a log has a segment").end;
        Log {
            partition,
            config,
            museum,
            start,
            end,
            written: end,
            flushed: end,
            epochs: Epochs::new(),
            producers: Producers::new(end),
            segments,
            tail: Tail::default(),
            storing: Storing::new(end),
            dirty_since: None,
            doomed: VecDeque::new(),
            colds: Vec::new(),
            truncating: None,
            compaction: compaction::Compaction::default(),
            close_after_cut: false,
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

    /// How many bytes its segments take on disk.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.size)).sum()
    }

    /// Where its segments begin.
    pub fn segments(&self) -> impl Iterator<Item = Offset> {
        self.segments.iter().map(|segment| segment.base)
    }

    /// The epoch and the CRC of its last batch, if it has one and they are known.
    pub fn last_batch(&self) -> Option<(LeaderEpoch, u32)> {
        let cached = self.tail.last().map(|batch| (batch.header().leader_epoch, batch.header().crc));
        let known = || self.active().filter(|s| !s.is_empty() && s.last_crc != 0);
        cached.or_else(|| known().map(|s| (s.last_epoch, s.last_crc)))
    }

    /// The newest batches, as far as they are in memory, oldest first.
    pub fn cached(&self) -> impl DoubleEndedIterator<Item = &Batch> {
        self.tail.iter().map(|cached| &cached.batch)
    }

    /// Whether a cut is still looking for its place on the disk: until then nothing is appended or read.
    pub fn is_truncating(&self) -> bool {
        self.truncating.is_some()
    }

    /// The last segment.
    pub fn active(&self) -> Option<&Segment> {
        self.segments.last()
    }

    /// The segment that holds `offset`, or the last before it.
    fn segment_of(&self, offset: Offset) -> usize {
        self.segments.partition_point(|segment| segment.base <= offset).saturating_sub(1)
    }
}
