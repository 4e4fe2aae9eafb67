//! What stands in a log from an offset on, or from a time on?
//!
//! The newest batches are in memory. What is older is read from the disk in a second step, with a bounded
//! request; its CRC is looked at, for a disk may lose bits.

use bytes::Bytes;

use super::{
    ColdAnswer, ColdDone, ColdRead, FoundTime, Log, Read, TimeLookup,
    batch::{Batch, Batches},
    codec::Corrupt,
    underway::Wait,
};
use crate::{
    disk::{DiskOp, DiskTag, DiskWork, FileKind},
    protocol::ErrorCode,
    time::Timestamp,
    units::Offset,
};

/// How many bytes a search by time reads at once.
const SEARCH_BYTES: u64 = 64 << 10;

/// What a cold read is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Batches { from: Offset, bound: Offset, max_bytes: u32, min_one: bool },
    Time { from: Offset, bound: Offset, time: Timestamp },
}

impl Wanted {
    fn from(&self) -> Offset {
        match self {
            Wanted::Batches { from, .. } | Wanted::Time { from, .. } => *from,
        }
    }
}

/// A cold read under way.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    tag: DiskTag,
    waiter: u64,
    wanted: Wanted,
    segment: Offset,
    at: u64,
    len: u64,
    /// The log was cut meanwhile: what is read may not be its records any more.
    spoilt: bool,
    /// The segment was cleaned meanwhile: its batches stand elsewhere.
    moved: bool,
}

/// What the bytes of one read come to.
enum Next {
    Answer(ColdAnswer),
    /// They end inside what is needed: read so many from that position.
    Read {
        at: u64,
        len: u64,
    },
    /// The segment is at its end: go on after it, from this offset.
    Segment(Offset),
}

impl Log {
    /// Reads whole batches from the one that holds `from`, up to `bound` and up to `max_bytes`; with
    /// `min_one` the first batch is returned whatever its size.
    ///
    /// No batch is returned that reaches past `bound`. Refuses an offset before the start or after the end
    /// with `OffsetOutOfRange`, and any while the log [is being cut](Log::is_truncating) with
    /// `ReplicaNotAvailable`.
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
        if self.is_truncating() {
            return Err(ErrorCode::ReplicaNotAvailable);
        }
        if from >= bound || from == self.end {
            return Ok(Read::Batches(Batches::new()));
        }
        let Some(cached) = self.tail.from(from) else {
            return Ok(Read::Cold(ColdRead(Wanted::Batches { from, bound, max_bytes, min_one })));
        };
        let (mut batches, mut size) = (Batches::new(), 0);
        for batch in cached.map(|cached| &cached.batch) {
            size += batch.size();
            let fits = size <= max_bytes as usize || (min_one && batches.is_empty());
            if batch.end_offset() > bound || !fits {
                break;
            }
            batches.push(batch.clone());
        }
        Ok(Read::Batches(batches))
    }

    /// Looks for the first record whose timestamp is `time` or later, and returns it if it is below `bound`.
    /// KIP-79.
    pub fn find_time(&self, time: Timestamp, bound: Offset) -> TimeLookup {
        let late = |segment: &&super::Segment| {
            segment.max_timestamp.is_some_and(|max| max >= time) && segment.end > self.start
        };
        let Some(segment) = self.segments.iter().find(late) else { return TimeLookup::Found(None) };
        let from = segment.offset_before(time).max(self.start);
        let Some(cached) = self.tail.from(from) else {
            return TimeLookup::Cold(ColdRead(Wanted::Time { from, bound, time }));
        };
        let mut found = cached.filter_map(|cached| self.record_at(time, &cached.batch));
        TimeLookup::Found(found.next().filter(|found| found.offset < bound))
    }

    /// Looks for the first record with the greatest timestamp, and returns it if it is below `bound`.
    /// KIP-734.
    pub fn find_max_timestamp(&self, bound: Offset) -> TimeLookup {
        match self.segments.iter().filter_map(|segment| segment.max_timestamp).max() {
            Some(greatest) => self.find_time(greatest, bound),
            None => TimeLookup::Found(None),
        }
    }

    /// The first record of `batch` that is late enough, of those that may be read.
    ///
    /// Of a compressed batch, which nobody here looks into, the first: who goes on from there misses nothing,
    /// and reads at most the rest of that batch too early. Kafka finds the record itself.
    fn record_at(&self, time: Timestamp, batch: &Batch) -> Option<FoundTime> {
        if batch.header().max_timestamp < time || batch.end_offset() <= self.start {
            return None;
        }
        if batch.is_compressed() {
            let offset = batch.base_offset().max(self.start);
            let timestamp = batch.header().max_timestamp;
            return Some(FoundTime { offset, timestamp, epoch: batch.leader_epoch() });
        }
        let mut records = batch.decode_records().map_while(Result::ok);
        let record = records.find(|record| record.timestamp >= time && record.offset >= self.start)?;
        Some(FoundTime { offset: record.offset, timestamp: record.timestamp, epoch: batch.leader_epoch() })
    }

    /// Begins a read that needs the disk. The answer comes in a [`Progress`](super::Progress) and bears
    /// `waiter`.
    pub fn begin_cold(&mut self, read: ColdRead, waiter: u64, disk: &mut DiskWork) {
        let ColdRead(wanted) = read;
        let segment = &self.segments[self.segment_of(wanted.from())];
        let at = u64::from(segment.position_before(wanted.from()));
        let len = match wanted {
            // The batch wanted begins within an index interval.
            Wanted::Batches { max_bytes, .. } => {
                u64::from(max_bytes) + 2 * u64::from(self.config.index_interval_bytes)
            }
            Wanted::Time { .. } => SEARCH_BYTES,
        };
        let segment = segment.base;
        let (tag, spoilt, moved) = (DiskTag(0), false, false);
        let pending = Pending { tag, waiter, wanted, segment, at, len, spoilt, moved };
        self.ask_cold(pending, disk);
    }

    fn ask_cold(&mut self, pending: Pending, disk: &mut DiskWork) {
        let pending = Pending { tag: self.storing.tag(Wait::Read), ..pending };
        let file = self.file(FileKind::Segment(pending.segment));
        let op = DiskOp::Read { at: pending.at, len: pending.len };
        self.storing.ask(pending.tag, file, op, disk);
        self.colds.push(pending);
    }

    fn take_cold(&mut self, tag: DiskTag) -> Option<Pending> {
        let at = self.colds.iter().position(|pending| pending.tag == tag)?;
        Some(self.colds.swap_remove(at))
    }

    /// The log is cut: whoever waits for a read is told to ask again.
    pub(super) fn spoil_colds(&mut self) {
        self.colds.iter_mut().for_each(|pending| pending.spoilt = true);
    }

    /// The segments of these bases were cleaned into one: whoever reads them begins again.
    pub(super) fn move_colds(&mut self, bases: &[Offset]) {
        let moved = |pending: &&mut Pending| bases.contains(&pending.segment);
        self.colds.iter_mut().filter(moved).for_each(|pending| pending.moved = true);
    }

    /// The file of a cold read was deleted before it was read.
    pub(super) fn cold_gone(&mut self, tag: DiskTag) -> Option<ColdDone> {
        let pending = self.take_cold(tag)?;
        Some(ColdDone { waiter: pending.waiter, answer: Err(ErrorCode::OffsetOutOfRange) })
    }

    /// The disk has read something; returns the answer if that was all that is needed.
    pub(super) fn cold_read(&mut self, tag: DiskTag, bytes: Bytes, disk: &mut DiskWork) -> Option<ColdDone> {
        let pending = self.take_cold(tag)?;
        let waiter = pending.waiter;
        if pending.spoilt {
            return Some(ColdDone { waiter, answer: Err(ErrorCode::OffsetOutOfRange) });
        }
        if pending.moved {
            self.begin_cold(ColdRead(pending.wanted), waiter, disk);
            return None;
        }
        let next = match pending.wanted {
            Wanted::Batches { .. } => self.collect(&pending, bytes),
            Wanted::Time { .. } => self.search(&pending, bytes),
        };
        let answer = match next {
            Ok(Next::Answer(answer)) => Ok(answer),
            Err(error) => Err(error),
            Ok(Next::Read { at, len }) => {
                self.ask_cold(Pending { at, len, ..pending }, disk);
                return None;
            }
            Ok(Next::Segment(from)) => {
                let at = self.segment_of(from);
                let segment = self.segments.get(at).filter(|s| s.base > pending.segment && !s.is_empty());
                match (segment, pending.wanted) {
                    (Some(segment), wanted) => {
                        let segment = segment.base;
                        self.ask_cold(Pending { wanted, segment, at: 0, len: SEARCH_BYTES, ..pending }, disk);
                        return None;
                    }
                    (None, Wanted::Time { .. }) => Ok(ColdAnswer::Time(None)),
                    (None, Wanted::Batches { .. }) => Ok(ColdAnswer::Batches(Batches::new())),
                }
            }
        };
        Some(ColdDone { waiter, answer })
    }

    fn collect(&self, pending: &Pending, mut bytes: Bytes) -> Result<Next, ErrorCode> {
        let Wanted::Batches { from, bound, max_bytes, min_one } = pending.wanted else {
            return Err(ErrorCode::UnknownServerError);
        };
        let total = bytes.len() as u64;
        let (mut batches, mut size) = (Batches::new(), 0);
        loop {
            let at = pending.at + (total - bytes.len() as u64);
            let batch = match Batch::decode(&mut bytes) {
                Ok(batch) => batch,
                // The first one wanted must come whole; the rest is for the next fetch.
                Err(Corrupt::Incomplete { needs }) if batches.is_empty() && total == pending.len => {
                    return Ok(Next::Read { at, len: (needs as u64).max(pending.len) });
                }
                Err(Corrupt::Incomplete { .. }) => break,
                Err(_) if batches.is_empty() => return Err(ErrorCode::CorruptMessage),
                Err(_) => break,
            };
            if batch.end_offset() <= from {
                continue;
            }
            size += batch.size();
            let fits = size <= max_bytes as usize || (min_one && batches.is_empty());
            if batch.end_offset() > bound || !fits {
                break;
            }
            batches.push(batch);
        }
        Ok(Next::Answer(ColdAnswer::Batches(batches)))
    }

    fn search(&self, pending: &Pending, mut bytes: Bytes) -> Result<Next, ErrorCode> {
        let Wanted::Time { bound, time, .. } = pending.wanted else {
            return Err(ErrorCode::UnknownServerError);
        };
        let total = bytes.len() as u64;
        let mut end = pending.segment;
        loop {
            let at = pending.at + (total - bytes.len() as u64);
            let batch = match Batch::decode(&mut bytes) {
                Ok(batch) => batch,
                Err(Corrupt::Incomplete { needs }) if total == pending.len => {
                    return Ok(Next::Read { at, len: (needs as u64).max(SEARCH_BYTES) });
                }
                // Fewer bytes than asked for: the segment's end.
                Err(Corrupt::Incomplete { .. }) => {
                    return Ok(Next::Segment(self.next_segment(pending.segment, end)));
                }
                Err(_) => return Err(ErrorCode::CorruptMessage),
            };
            end = batch.end_offset();
            if let Some(found) = self.record_at(time, &batch) {
                return Ok(Next::Answer(ColdAnswer::Time(Some(found).filter(|found| found.offset < bound))));
            }
        }
    }

    /// Where the segment after that of `base` begins, or `end` if there is none.
    fn next_segment(&self, base: Offset, end: Offset) -> Offset {
        self.segments.iter().map(|segment| segment.base).find(|next| *next > base).unwrap_or(end)
    }
}
