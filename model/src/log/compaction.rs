//! How is a log compacted, so that of each key the newest record is left?
//!
//! As Kafka's `LogCleaner`: the *dirty* part of a log is what was appended since its last cleaning and lies in
//! segments that are full, flushed, below the high watermark and old enough. Its keys are read into a map from
//! key to newest offset; then every segment from the log's first to the dirty part's end is rewritten without
//! the records that the map supersedes, several that have become small into one. Offsets stay: batches keep
//! theirs, and where one is left out there is a gap.
//!
//! A rewritten segment is made as `.cleaned` and flushed; nothing but the cleaning waits for that. Then it takes
//! its originals' place by an operation of six steps, each durable before the next begins: it becomes `.swap`,
//! the originals `.deleted`, and the `.swap` the segment. A death finds the originals (a `.cleaned` counts for
//! nothing) or a whole `.swap`, whose taking of its place recovery brings to its end. Groups of segments follow
//! each other from the oldest on, so that no tombstone is gone for good before what it deletes is.
//!
//! One thing is not Kafka's: the last batch of *each* rewritten segment stays, empty if need be, not only that
//! of the whole. A segment then ends where the next begins, and a start can tell lost records from cleaned ones.

mod rewriting;
#[cfg(test)]
mod tests;

use alloc::{boxed::Box, collections::BTreeMap, collections::VecDeque, vec::Vec};

use bytes::Bytes;

use self::rewriting::Rewriting;
use super::{Log, batch::Batch, codec::Corrupt, segment::Segment, underway::Wait};
use crate::{
    disk::{Content, DiskDone, DiskOp, DiskTag, DiskWork, FileKind, FileName, Suffix},
    event::{Event, Uncleanable},
    museum::Bug,
    time::{Now, Timestamp},
    units::{Offset, Ratio},
};

/// How many bytes of a segment are read at once.
const CHUNK: u64 = 256 << 10;

/// What of a log may be cleaned, and how dirty it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanable {
    /// Where its dirty part begins.
    pub from: Offset,
    /// Where the part ends that may be cleaned.
    pub to: Offset,
    /// How many bytes of it are dirty.
    dirty: u64,
    /// How many bytes are clean or dirty.
    total: u64,
}

impl Cleanable {
    /// Whether a greater part of this log is dirty than of the other.
    pub fn is_filthier_than(&self, other: &Cleanable) -> bool {
        u128::from(self.dirty) * u128::from(other.total) > u128::from(other.dirty) * u128::from(self.total)
    }

    fn exceeds(&self, ratio: Ratio) -> bool {
        u128::from(self.dirty) * u128::from(ratio.1) > u128::from(ratio.0) * u128::from(self.total)
    }
}

/// What a log knows of its cleaning.
#[derive(Clone, Debug, Default)]
pub(super) struct Compaction {
    /// Up to here it was cleaned.
    cleaned: Offset,
    uncleanable: bool,
    job: Option<Box<Job>>,
}

impl Compaction {
    /// The log was cut at `end`: what comes there anew is dirty.
    pub(super) fn truncate(&mut self, end: Offset) {
        self.cleaned = self.cleaned.min(end);
    }
}

/// A cleaning under way.
#[derive(Clone, Debug)]
struct Job {
    from: Offset,
    to: Offset,
    /// When it began.
    now: Timestamp,
    /// The newest record of each key of the dirty part.
    newest: BTreeMap<Bytes, Offset>,
    /// The segments still to be rewritten, by those that become one.
    groups: VecDeque<Vec<Offset>>,
    stage: Stage,
    /// What it waits for, unless it waits for an operation.
    tag: DiskTag,
    kept: u64,
    dropped: u64,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Reading the keys of the dirty part.
    Mapping(Place),
    /// Rewriting a group of segments.
    Copying(Copying),
    /// The rewritten segment is being flushed.
    Flushing(Copying),
    /// It waits for index files of the originals that are just being written.
    Ready(Copying),
    /// The segment of this base takes its originals' place; whether it goes on afterwards.
    Swapping { base: Offset, goes_on: bool },
}

/// Where a segment is being read.
#[derive(Clone, Copy, Debug)]
struct Place {
    segment: Offset,
    at: u64,
    len: u64,
}

/// A group of segments that becomes one.
#[derive(Clone, Debug)]
struct Copying {
    bases: Vec<Offset>,
    end: Offset,
    place: Place,
    out: Segment,
}

impl Log {
    /// Up to where it was cleaned, for the cleaner's checkpoint.
    pub fn cleaned(&self) -> Offset {
        self.compaction.cleaned
    }

    /// Takes over from the cleaner's checkpoint up to where it was cleaned in a former life.
    pub fn restore_cleaned(&mut self, to: Offset) {
        self.compaction.cleaned = to;
    }

    /// Whether a cleaning is under way.
    pub fn is_cleaning(&self) -> bool {
        self.compaction.job.is_some()
    }

    /// What may be cleaned, if the log is compacted and its dirty part is great enough
    /// (`min.cleanable.dirty.ratio`) or old enough (`max.compaction.lag.ms`, KIP-354) to be worth it.
    ///
    /// Nothing at or above `high_watermark` may be, nothing of the last segment, and nothing from the first
    /// segment on that has a record younger than `min.compaction.lag.ms` (KIP-58). Nothing at all while the log
    /// is being cleaned or cut, and once it was found [uncleanable](Event::LogUncleanable).
    pub fn cleanable(&self, now: Now, high_watermark: Offset) -> Option<Cleanable> {
        let config = &self.config;
        if !config.cleanup_policy.compacts() || self.compaction.uncleanable || self.is_cleaning() {
            return None;
        }
        if self.is_truncating() || self.storing.is_operating() || self.storing.is_deleting() {
            return None;
        }
        // A log that was cut below, or lost what was cleaned, is cleaned from its start.
        let cleaned = self.compaction.cleaned;
        let from = if cleaned > self.end { self.start } else { cleaned.max(self.start) };
        // KAFKA-13194: without open transactions nobody looked at the high watermark.
        let bound = match self.museum.has(Bug::CompactionPastHw) {
            true => self.flushed,
            false => high_watermark.min(self.flushed),
        };
        let ago = |lag: core::time::Duration| {
            now.wall.0.saturating_sub(i64::try_from(lag.as_millis()).unwrap_or(i64::MAX))
        };
        let lag = config.min_compaction_lag_ms;
        let young = |s: &Segment| !lag.is_zero() && s.max_timestamp.is_some_and(|max| max.0 > ago(lag));
        let full = &self.segments[..self.segments.len().saturating_sub(1)];
        let may = |s: &&Segment| s.end <= bound && !s.is_empty() && !(s.end > from && young(s));
        let count = full.iter().take_while(may).count();
        let to = full[..count].last()?.end;
        if to <= from {
            return None;
        }
        let size = |segments: &mut dyn Iterator<Item = &Segment>| segments.map(|s| u64::from(s.size)).sum();
        let dirty: u64 = size(&mut full[..count].iter().filter(|s| s.end > from));
        let clean: u64 = size(&mut full[..count].iter().filter(|s| s.base < from));
        let cleanable = Cleanable { from, to, dirty, total: dirty + clean };
        let oldest = full.iter().filter(|s| s.end > from).filter_map(|s| s.first_timestamp).min();
        let overdue = oldest.is_some_and(|oldest| oldest.0 < ago(config.max_compaction_lag_ms));
        (overdue || cleanable.exceeds(config.min_cleanable_dirty_ratio)).then_some(cleanable)
    }

    /// Begins to clean what [`Log::cleanable`] has just said. [`Progress::cleaned`](super::Progress::cleaned)
    /// tells when that has ended.
    ///
    /// A cleaning is given up when the log is cut, loses its first segments or is closed meanwhile. A log in
    /// which damage is found stays as it is, and is not cleaned again in this life.
    pub fn clean(&mut self, now: Now, cleanable: Cleanable, disk: &mut DiskWork) {
        let Cleanable { from, to, .. } = cleanable;
        let segment = &self.segments[self.segment_of(from)];
        let place = Place { segment: segment.base, at: segment.position_before(from).into(), len: CHUNK };
        let mut job = Job {
            from,
            to,
            now: now.wall,
            newest: BTreeMap::new(),
            groups: self.groups(to),
            stage: Stage::Mapping(place),
            tag: DiskTag(0),
            kept: 0,
            dropped: 0,
        };
        self.read_for(&mut job, place, disk);
        self.compaction.job = Some(Box::new(job));
    }

    /// The segments below `to`, as many together as fit into one (`segment.bytes`).
    fn groups(&self, to: Offset) -> VecDeque<Vec<Offset>> {
        let mut groups: VecDeque<Vec<Offset>> = VecDeque::new();
        let mut size = 0;
        // Not one that begins there: the last may be empty.
        for segment in self.segments.iter().filter(|segment| segment.base < to) {
            size += u64::from(segment.size);
            let fits = |group: &&mut Vec<Offset>| {
                size <= self.config.segment_bytes && (segment.end - group[0]).0 <= i32::MAX as u64
            };
            match groups.back_mut().filter(fits) {
                Some(group) => group.push(segment.base),
                None => {
                    size = u64::from(segment.size);
                    groups.push_back(alloc::vec![segment.base]);
                }
            }
        }
        groups
    }

    /// Gives up a cleaning, if one is under way. A segment that is taking its originals' place does so.
    pub(super) fn stop_cleaning(&mut self, disk: &mut DiskWork) {
        let written = match self.compaction.job.as_mut().map(|job| &mut job.stage) {
            None => return,
            Some(Stage::Swapping { goes_on, .. }) => return *goes_on = false,
            Some(Stage::Mapping(_)) => None,
            Some(Stage::Copying(copying) | Stage::Flushing(copying) | Stage::Ready(copying)) => {
                Some(copying.out.base)
            }
        };
        self.compaction.job = None;
        if let Some(base) = written {
            self.remove(self.file(FileKind::Segment(base)).with(Suffix::Cleaned), disk);
        }
    }

    fn ask_for(&mut self, job: &mut Job, file: FileName, op: DiskOp, disk: &mut DiskWork) {
        job.tag = self.storing.tag(Wait::Cleaning);
        self.storing.ask(job.tag, file, op, disk);
    }

    fn read_for(&mut self, job: &mut Job, place: Place, disk: &mut DiskWork) {
        let file = self.file(FileKind::Segment(place.segment));
        self.ask_for(job, file, DiskOp::Read { at: place.at, len: place.len }, disk);
    }

    /// A step of a cleaning is done; says whether the cleaning has ended by it.
    pub(super) fn go_on_cleaning(
        &mut self,
        now: Now,
        tag: DiskTag,
        done: Option<&DiskDone>,
        disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) -> bool {
        let Some(mut job) = self.compaction.job.take_if(|job| job.tag == tag) else { return false };
        match self.clean_on(now, &mut job, done, disk) {
            Ok(()) => {
                self.compaction.job = Some(job);
                false
            }
            Err(why) => {
                // Whoever stops takes away what was written.
                self.compaction.job = Some(job);
                self.stop_cleaning(disk);
                self.compaction.uncleanable = true;
                events.push(Event::LogUncleanable { partition: self.partition, why });
                true
            }
        }
    }

    fn clean_on(
        &mut self,
        now: Now,
        job: &mut Job,
        done: Option<&DiskDone>,
        disk: &mut DiskWork,
    ) -> Result<(), Uncleanable> {
        let bytes = match done {
            Some(DiskDone::Read(bytes)) => Some(bytes.clone()),
            Some(_) => None,
            None => return Err(Uncleanable::Corrupt),
        };
        match (&mut job.stage, bytes) {
            (Stage::Mapping(_), Some(bytes)) => self.map(job, bytes, disk),
            (Stage::Copying(_), Some(bytes)) => self.copy(job, bytes, disk),
            (Stage::Copying(_), None) => self.copy_on(job, disk),
            (Stage::Flushing(copying), None) => {
                job.stage = Stage::Ready(copying.clone());
                self.swap(now, job, disk);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes up the keys in `bytes`.
    fn map(&mut self, job: &mut Job, bytes: Bytes, disk: &mut DiskWork) -> Result<(), Uncleanable> {
        let Stage::Mapping(place) = &mut job.stage else { return Ok(()) };
        for batch in self.batches_in(place, bytes)? {
            if batch.is_control() {
                continue;
            }
            for record in batch.decode_records() {
                let record = record.map_err(|_| Uncleanable::Corrupt)?;
                if let Some(key) = record.key.filter(|_| (job.from..job.to).contains(&record.offset)) {
                    // A copy, for the key shares the memory of all that was read with it.
                    job.newest.insert(Bytes::copy_from_slice(&key), record.offset);
                }
            }
        }
        let next = self.place_after(place).filter(|next| next.segment < job.to);
        match next {
            Some(next) => {
                *place = next;
                self.read_for(job, next, disk);
            }
            None => self.next_group(job, disk),
        }
        Ok(())
    }

    /// Where to read on: in the same segment, or the next.
    fn place_after(&self, place: &Place) -> Option<Place> {
        let segment = self.segments.iter().find(|segment| segment.base == place.segment)?;
        if place.at < u64::from(segment.size) {
            return Some(*place);
        }
        let next = self.segments.iter().find(|next| next.base > place.segment)?;
        Some(Place { segment: next.base, at: 0, len: CHUNK })
    }

    /// The whole batches that were read at `place`, which then lies behind them.
    fn batches_in(&self, place: &mut Place, mut bytes: Bytes) -> Result<Vec<Batch>, Uncleanable> {
        let segment = self.segments.iter().find(|segment| segment.base == place.segment);
        let size = segment.map_or(0, |segment| u64::from(segment.size));
        let got = bytes.len() as u64;
        if got != place.len.min(size.saturating_sub(place.at)) {
            return Err(Uncleanable::Corrupt);
        }
        let mut batches = Vec::new();
        let mut needs = 0;
        while !bytes.is_empty() {
            match Batch::decode(&mut bytes) {
                Ok(batch) if batch.is_compressed() => return Err(Uncleanable::Compressed),
                Ok(batch) => batches.push(batch),
                Err(Corrupt::Incomplete { needs: all }) => {
                    needs = all as u64;
                    break;
                }
                Err(_) => return Err(Uncleanable::Corrupt),
            }
        }
        place.at += got - bytes.len() as u64;
        place.len = CHUNK.max(needs);
        // More than there is: it was cut off.
        if place.at + needs > size { Err(Uncleanable::Corrupt) } else { Ok(batches) }
    }

    /// Begins to rewrite the next group. There is one as long as this is called.
    fn next_group(&mut self, job: &mut Job, disk: &mut DiskWork) {
        let Some(bases) = job.groups.pop_front() else { return };
        let base = bases[0];
        let last = bases.last().copied().unwrap_or(base);
        let end =
            self.segments.iter().find(|segment| segment.base == last).map_or(last, |segment| segment.end);
        let place = Place { segment: base, at: 0, len: CHUNK };
        job.stage = Stage::Copying(Copying { bases, end, place, out: Segment::new(base) });
        // Something of that name may be left of a cleaning that was given up.
        let file = self.file(FileKind::Segment(base)).with(Suffix::Cleaned);
        self.ask_for(job, file, DiskOp::Replace(Bytes::new()), disk);
    }

    /// Writes what stays of `bytes`.
    fn copy(&mut self, job: &mut Job, bytes: Bytes, disk: &mut DiskWork) -> Result<(), Uncleanable> {
        let Stage::Copying(copying) = &mut job.stage else { return Ok(()) };
        let mut rewriting = Rewriting {
            newest: &job.newest,
            end: job.to,
            now: job.now,
            delete_retention: self.config.delete_retention_ms,
            producers: &self.producers,
            last: copying.end,
            kept: 0,
            dropped: 0,
            museum: self.museum,
        };
        let mut written = Vec::new();
        for batch in self.batches_in(&mut copying.place, bytes)? {
            if let Some(batch) = rewriting.rewrite(batch)? {
                copying.out.append(&batch, self.config.index_interval_bytes);
                written.extend_from_slice(&batch.encode());
            }
        }
        (job.kept, job.dropped) = (job.kept + rewriting.kept, job.dropped + rewriting.dropped);
        if written.is_empty() {
            return self.copy_on(job, disk);
        }
        let file = self.file(FileKind::Segment(copying.out.base)).with(Suffix::Cleaned);
        self.ask_for(job, file, DiskOp::Append(Content::Bytes(written.into())), disk);
        Ok(())
    }

    /// Reads on in the group, or flushes what was made of it.
    fn copy_on(&mut self, job: &mut Job, disk: &mut DiskWork) -> Result<(), Uncleanable> {
        let Stage::Copying(copying) = &mut job.stage else { return Ok(()) };
        if let Some(next) = self.place_after(&copying.place).filter(|next| next.segment < copying.end) {
            copying.place = next;
            self.read_for(job, next, disk);
            return Ok(());
        }
        if copying.out.end != copying.end && !self.museum.has(Bug::LeoLostByCompaction) {
            // The last batch is not where memory has it.
            return Err(Uncleanable::Corrupt);
        }
        let file = self.file(FileKind::Segment(copying.out.base)).with(Suffix::Cleaned);
        job.stage = Stage::Flushing(copying.clone());
        self.ask_for(job, file, DiskOp::Flush, disk);
        Ok(())
    }

    /// A small file was saved: a cleaning may have waited for it.
    pub(super) fn swap_if_ready(&mut self, now: Now, disk: &mut DiskWork) {
        if let Some(mut job) = self.compaction.job.take_if(|job| matches!(job.stage, Stage::Ready(_))) {
            self.swap(now, &mut job, disk);
            self.compaction.job = Some(job);
        }
    }

    /// Puts the rewritten segment into its originals' place: in memory now, on the disk by an operation that
    /// whatever is asked for later waits for.
    fn swap(&mut self, now: Now, job: &mut Job, disk: &mut DiskWork) {
        let Stage::Ready(Copying { bases, out, .. }) = &mut job.stage else { return };
        let files = || bases.iter().flat_map(|base| self.files_of(*base));
        if files().any(|file| self.storing.is_saving(file)) {
            return;
        }
        let base = out.base;
        let at = self.segment_of(base);
        let (mut out, end) = (out.clone(), out.end);
        out.in_directory = true;
        self.segments.splice(at..at + bases.len(), [out]);
        self.move_colds(bases);
        self.tail.advance(end);
        let originals: Vec<FileName> = bases.iter().map(|base| self.file(FileKind::Segment(*base))).collect();
        let indexes =
            bases.iter().flat_map(|base| [FileKind::OffsetIndex(*base), FileKind::TimeIndex(*base)]);
        let indexes = indexes.map(|kind| (self.file(kind), DiskOp::Remove));
        let cleaned = originals[0].with(Suffix::Cleaned);
        let sync = || alloc::vec![(originals[0], DiskOp::SyncDir)];
        let steps = alloc::vec![
            alloc::vec![(cleaned, DiskOp::Rename(Suffix::Swap))],
            sync(),
            originals.iter().map(|file| (*file, DiskOp::Rename(Suffix::Deleted))).chain(indexes).collect(),
            sync(),
            alloc::vec![(originals[0].with(Suffix::Swap), DiskOp::Rename(Suffix::None))],
            sync(),
        ];
        self.storing.operate(steps, disk);
        for merged in bases.iter().skip(1).filter(|_| self.config.producers) {
            let snapshot = FileName::of_log(self.partition, FileKind::ProducerSnapshot(*merged));
            let tag = self.storing.tag(Wait::Nothing);
            self.storing.ask(tag, snapshot, DiskOp::Remove, disk);
        }
        let deleted = originals.iter().map(|file| file.with(Suffix::Deleted)).collect();
        self.doomed.push_back((now.monotonic + self.config.file_delete_delay_ms, deleted));
        job.stage = Stage::Swapping { base, goes_on: true };
    }

    /// An operation may have ended, and with it a segment have taken its originals' place; says whether the
    /// cleaning has ended by it.
    pub(super) fn swap_done(&mut self, disk: &mut DiskWork, events: &mut Vec<Event>) -> bool {
        if self.storing.is_operating() {
            return false;
        }
        let swapping = |job: &mut Box<Job>| matches!(job.stage, Stage::Swapping { .. });
        let Some(mut job) = self.compaction.job.take_if(swapping) else { return false };
        let Stage::Swapping { base, goes_on } = job.stage else { return false };
        let full = self.segments.len() - 1;
        if let Some(at) = self.segments[..full].iter().position(|segment| segment.base == base)
            && !self.is_truncating()
        {
            self.seal(at, disk);
        }
        if !goes_on {
            return true;
        }
        if !job.groups.is_empty() {
            self.next_group(&mut job, disk);
            self.compaction.job = Some(job);
            return false;
        }
        self.compaction.cleaned = job.to;
        let Job { from, to, kept, dropped, .. } = *job;
        events.push(Event::LogCleaned { partition: self.partition, from, to, kept, dropped });
        true
    }
}
