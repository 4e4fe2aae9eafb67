//! How is the end of a log cut off, or the whole of it begun anew?

use alloc::{boxed::Box, vec::Vec};

use bytes::Bytes;

use super::{Log, producers::Producers, recovery::Loader, segment::Segment};
use crate::{
    disk::{Content, DiskError, DiskOp, DiskReply, DiskWork, FileKind, FileName},
    event::{Event, TruncateReason},
    time::Now,
    units::Offset,
};

impl Log {
    /// Cuts off everything at and after `to`, with the epochs and producers' sequences that stood there.
    /// Returns the new end: less than `to` if that lies inside a batch, for batches are cut whole. With
    /// nothing to cut, an epoch that starts at the log's end is forgotten nevertheless. A log that starts after
    /// `to` begins anew there: its leader has an older log than what was deleted here, and is to be followed.
    ///
    /// What memory does not reach back to is looked up on the disk: until that has
    /// [ended](Log::is_truncating) nothing is appended or read. `high_watermark` is the replica's own, for
    /// the event.
    pub fn truncate_to(
        &mut self,
        _now: Now,
        to: Offset,
        why: TruncateReason,
        high_watermark: Offset,
        disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) -> Offset {
        if self.is_truncating() {
            return self.end;
        }
        if to >= self.end {
            // An epoch that this replica was elected for without appending anything in it is not the leader's.
            // As long as it stood there, the leader's older records would be taken for that epoch's.
            if self.epochs.truncate_from_end(self.end) {
                self.save_epochs(disk);
            }
            return self.end;
        }
        let from = self.end;
        self.stop_cleaning(disk);
        let place = self.place_of(to);
        match place {
            _ if to < self.start => {
                self.begin_anew(to, disk);
                self.save_epochs(disk);
            }
            // The log's start lies inside a batch, and that is cut.
            Some(Place { end, .. }) if end < self.start => self.begin_anew(self.start, disk),
            Some(Place { end, position, .. }) if self.producers.can_truncate(end) => {
                self.cut(end, position, disk);
            }
            _ => self.cut_by_reading(to, high_watermark, disk),
        }
        let partition = self.partition;
        let cut = place.map_or(self.end, |place| place.base.min(to).max(self.end));
        events.push(Event::Truncated { partition, from, to: cut, why, high_watermark });
        self.note_gap(cut, high_watermark, events);
        self.end
    }

    /// Tells that a log that was cut at `cut` ends earlier.
    fn note_gap(&self, cut: Offset, high_watermark: Offset, events: &mut Vec<Event>) {
        if self.end < cut {
            let (partition, why) = (self.partition, TruncateReason::Gap);
            events.push(Event::Truncated { partition, from: cut, to: self.end, why, high_watermark });
        }
    }

    /// Where the batch begins that holds `offset`, and its position in its segment; `None` if memory does
    /// not tell. Where offsets are missing before that batch, the end of the one before it: a log ends where
    /// its last batch does, and is found to after a death.
    fn place_of(&self, offset: Offset) -> Option<Place> {
        if let Some(cached) = self.tail.from(offset).and_then(|mut cached| cached.next()) {
            let before = self.tail.end_before(cached.batch.base_offset());
            let base = cached.batch.base_offset();
            let starts_segment = cached.position == 0;
            let position = cached.position;
            return match before {
                Some(end) => Some(Place { base, end: end.min(base), position }),
                None if starts_segment => {
                    Some(Place { base, end: self.segments[self.segment_of(base)].base, position: 0 })
                }
                None if self.segments[self.segment_of(base)].gaps => None,
                None => Some(Place { base, end: base, position }),
            };
        }
        let position = self.segments[self.segment_of(offset)].position_of(offset)?;
        Some(Place { base: offset, end: offset, position })
    }

    /// Forgets everything at and after `end`, in memory.
    fn forget_from(&mut self, end: Offset) {
        self.end = end;
        self.compaction.truncate(end);
        self.written = self.written.min(end);
        self.flushed = self.flushed.min(end);
        self.tail.truncate(end);
        self.storing.truncate(end);
        self.spoil_colds();
        self.epochs.truncate_from_end(end);
    }

    fn cut(&mut self, end: Offset, position: u32, disk: &mut DiskWork) {
        self.forget_from(end);
        self.producers.truncate(end);
        let kept = self.segment_of(end);
        let mut removed = Vec::new();
        for segment in self.segments.split_off(kept + 1) {
            removed.extend(self.files_of(segment.base));
        }
        let base = self.segments[kept].base;
        if core::mem::replace(&mut self.segments[kept].sealed, false) {
            removed.extend([self.file(FileKind::OffsetIndex(base)), self.file(FileKind::TimeIndex(base))]);
        }
        self.cancel_saves(&removed);
        let last = self.tail.last().cloned();
        self.segments[kept].truncate(end, position, last.as_ref());
        self.storing.delete_behind(self.file(FileKind::Segment(base)));
        self.operate_cut(removed, self.file(FileKind::Segment(base)), u64::from(position), disk);
        self.save_epochs(disk);
    }

    /// Removes files, makes that durable, cuts the file that is left, and makes that durable.
    fn operate_cut(&mut self, removed: Vec<FileName>, file: FileName, position: u64, disk: &mut DiskWork) {
        let sync = if removed.is_empty() { Vec::new() } else { alloc::vec![(file, DiskOp::SyncDir)] };
        let steps = alloc::vec![
            removed.into_iter().map(|file| (file, DiskOp::Remove)).collect(),
            sync,
            // Appending nothing: the file may not have been written yet.
            alloc::vec![(file, DiskOp::Append(Content::Bytes(Bytes::new())))],
            alloc::vec![(file, DiskOp::Truncate(position))],
            alloc::vec![(file, DiskOp::Flush)],
        ];
        self.storing.operate(steps, disk);
    }

    fn cut_by_reading(&mut self, to: Offset, high_watermark: Offset, disk: &mut DiskWork) {
        self.forget_from(to);
        self.tail.clear();
        // Whatever is under way, what is left will be flushed when it is read.
        self.storing.restart_at(to);
        self.storing.hold_deletions();
        self.truncating = Some(Truncating::Waiting(to, high_watermark));
        self.begin_reading_cut(disk);
    }

    /// Begins to look for the place of a cut, once no operation is in the way.
    pub(super) fn begin_reading_cut(&mut self, disk: &mut DiskWork) {
        if let Some(Truncating::Waiting(to, high_watermark)) = self.truncating
            && !self.storing.is_operating()
        {
            let loader = Box::new(Loader::cutting(self, to, disk));
            self.truncating = Some(Truncating::Reading(loader, high_watermark));
        }
    }

    /// A cut that reads the disk has got a reply; says whether it has ended.
    pub(super) fn truncation_reply(
        &mut self,
        now: Now,
        reply: &DiskReply,
        disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) -> Result<bool, DiskError> {
        let Some(Truncating::Reading(loader, high_watermark)) = &mut self.truncating else {
            return Ok(false);
        };
        let high_watermark = *high_watermark;
        let Some(loaded) = loader.on_disk(now, reply, disk, events)? else { return Ok(false) };
        let doomed = core::mem::take(&mut self.doomed);
        let mut before = core::mem::replace(self, loaded.log);
        self.storing.set_counter(before.storing.counter());
        self.storing.take_over_deletions(&mut before.storing);
        if let Some(active) = self.active() {
            self.storing.delete_behind(self.file(FileKind::Segment(active.base)));
        }
        self.colds = core::mem::take(&mut before.colds);
        self.doomed = doomed;
        self.compaction = before.compaction;
        self.compaction.truncate(self.end);
        // An epoch that starts where the log was said to end is that of an election meanwhile.
        if let Some(elected) =
            before.epochs.latest().filter(|_| before.epochs.latest_start() == Some(before.end))
        {
            self.assign_epoch(elected, disk);
        }
        if before.close_after_cut {
            self.close(disk);
        }
        let (partition, end) = (self.partition, self.end);
        self.note_gap(before.end, high_watermark, events);
        if before.written < end {
            events.push(Event::Written { partition, end });
        }
        if before.flushed < end {
            events.push(Event::Flushed { partition, end });
        }
        Ok(true)
    }

    /// Drops everything and begins anew at `start`: the leader's log, or a snapshot, lies elsewhere.
    pub fn reset_to(
        &mut self,
        _now: Now,
        start: Offset,
        why: TruncateReason,
        high_watermark: Offset,
        disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) {
        let from = self.end;
        self.begin_anew(start, disk);
        self.save_epochs(disk);
        events.push(Event::Truncated { partition: self.partition, from, to: start, why, high_watermark });
    }

    /// Drops everything, and begins at `start`.
    ///
    /// The new segment is there for good before the old ones go, oldest first, each for good: whenever the
    /// power fails, the end of the old log or the new one is found, never an end before both.
    pub(super) fn begin_anew(&mut self, start: Offset, disk: &mut DiskWork) {
        self.stop_cleaning(disk);
        let fresh = self.file(FileKind::Segment(start));
        let create = DiskOp::Append(Content::Bytes(Bytes::new()));
        let mut steps = alloc::vec![alloc::vec![(fresh, create)], alloc::vec![(fresh, DiskOp::SyncDir)]];
        let mut doomed: Vec<Vec<FileName>> =
            self.storing.stop_deleting().into_iter().map(|f| alloc::vec![f]).collect();
        for segment in core::mem::replace(&mut self.segments, alloc::vec![Segment::new(start)]) {
            doomed.push(self.files_of(segment.base).to_vec());
        }
        doomed.push(alloc::vec![self.file(FileKind::ProducerSnapshot(self.end))]);
        for mut files in doomed {
            self.cancel_saves(&files);
            files.retain(|file| *file != fresh);
            steps.push(files.into_iter().map(|file| (file, DiskOp::Remove)).collect());
            steps.push(alloc::vec![(fresh, DiskOp::SyncDir)]);
        }
        // The old log may have had a segment of this name.
        steps.push(alloc::vec![(fresh, DiskOp::Truncate(0))]);
        steps.push(alloc::vec![(fresh, DiskOp::Flush)]);
        if let Some(Truncating::Reading(loader, _)) = self.truncating.take() {
            // Its replies are still to come, and are nobody's.
            self.storing.set_counter(loader.counter());
        }
        self.forget_from(Offset::ZERO);
        (self.start, self.end, self.written, self.flushed) = (start, start, start, start);
        self.tail.clear();
        self.epochs.clear();
        self.producers = Producers::new(start);
        self.storing.restart_at(start);
        self.dirty_since = None;
        self.segments[0].in_directory = true;
        self.storing.operate(steps, disk);
    }

    fn cancel_saves(&mut self, files: &[FileName]) {
        for file in files {
            self.storing.cancel_save(*file);
        }
    }
}

/// A cut that memory does not reach back to.
#[derive(Clone, Debug)]
pub(super) enum Truncating {
    /// To here, once the operation under way has ended; with the replica's high watermark when it was cut.
    Waiting(Offset, Offset),
    /// The log is being read anew.
    Reading(Box<Loader>, Offset),
}

/// Where a log may be cut.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Where the first batch begins that goes.
    base: Offset,
    /// Where the log ends then.
    end: Offset,
    /// Where that batch stands in its segment.
    position: u32,
}
