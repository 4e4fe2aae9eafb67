//! How does a log get to the disk: in which order is it written, what is waited for, and what counts as
//! flushed?
//!
//! Appends to a file and flushes of it go out as they come. Three things wait for others:
//!
//! - A segment counts as flushed only with its directory entry: the first flush syncs that, too.
//! - A cut is an *operation*: files are removed, that is made durable, the file that is left is cut, that is
//!   made durable, and only then what was appended meanwhile goes out. A death in between leaves the old log,
//!   or a beginning of it; never new records before old ones.
//! - The index files of a segment, its *seal*, are written once it is flushed whole.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Log, Progress, batch::Batch, checkpoints, underway::Wait};
use crate::{
    disk::{
        Content, DiskDone, DiskError, DiskOp, DiskReply, DiskRequest, DiskTag, DiskWork, FileKind, FileName,
    },
    event::Event,
    museum::Bug,
    time::Now,
    units::Offset,
};

impl Log {
    pub(super) fn file(&self, kind: FileKind) -> FileName {
        FileName::of_log(self.partition, kind)
    }

    pub(super) fn save_partition_metadata(&mut self, disk: &mut DiskWork) {
        let content = checkpoints::encode_partition_metadata(self.partition.topic);
        self.storing.save(self.file(FileKind::PartitionMetadata), content, disk);
    }

    pub(super) fn save_epochs(&mut self, disk: &mut DiskWork) {
        let content = self.epochs.encode();
        self.storing.save(self.file(FileKind::LeaderEpochs), content, disk);
    }

    /// Saves what producers wrote up to the log's end.
    pub(super) fn save_producers(&mut self, disk: &mut DiskWork) {
        if !self.config.producers {
            return;
        }
        let (file, content) = (self.file(FileKind::ProducerSnapshot(self.end)), self.producers.encode());
        if self.museum.has(Bug::ProducerSnapshotNotSynced) {
            // KAFKA-9892: the snapshot was closed but not forced to disk, and after a power failure a short
            // or empty one was taken for "no producers". Recovery has the other half.
            let tag = self.storing.tag(Wait::Nothing);
            return self.storing.ask(tag, file, DiskOp::Replace(content), disk);
        }
        self.storing.save(file, content, disk);
    }

    /// Makes the last segment's file, empty, so that it tells where the log stands.
    pub(super) fn create_segment_file(&mut self, disk: &mut DiskWork) {
        let Some(segment) = self.segments.last() else { return };
        let file = FileName::of_log(self.partition, FileKind::Segment(segment.base));
        let tag = self.storing.tag(Wait::Nothing);
        self.storing.ask(tag, file, DiskOp::Append(Content::Bytes(Bytes::new())), disk);
    }

    pub(super) fn write(&mut self, segment: Offset, batch: Batch, disk: &mut DiskWork) {
        let tag = self.storing.tag(Wait::Write);
        self.storing.expect_write(tag, batch.end_offset());
        let file = FileName::of_log(self.partition, FileKind::Segment(segment));
        self.storing.ask(tag, file, DiskOp::Append(Content::Batch(batch)), disk);
    }

    /// Asks the disk to flush everything appended so far; [`Log::flushed`] tells when it has.
    pub fn flush(&mut self, disk: &mut DiskWork) {
        let asked = self.flush_asked();
        if asked >= self.end || self.is_truncating() {
            return;
        }
        let before = self.storing.counter();
        for at in self.segment_of(asked)..self.segments.len() {
            let segment = &mut self.segments[at];
            let file = FileName::of_log(self.partition, FileKind::Segment(segment.base));
            if segment.end > asked {
                let tag = self.storing.tag(Wait::Flush);
                self.storing.ask(tag, file, DiskOp::Flush, disk);
                // KAFKA-3968: without its directory entry a new file is lost with all that was flushed.
                let named = core::mem::replace(&mut segment.in_directory, true);
                if !named && !self.museum.has(Bug::DirEntryNotSynced) {
                    let tag = self.storing.tag(Wait::Flush);
                    self.storing.ask(tag, file, DiskOp::SyncDir, disk);
                }
            }
        }
        self.storing.expect_flush(before, self.end);
        self.dirty_since = None;
    }

    /// Up to where the log has been asked to be flushed.
    pub(super) fn flush_asked(&self) -> Offset {
        self.storing.flush_asked()
    }

    /// Makes everything durable, so that the next start need not look at it. Nothing is appended any more.
    pub fn close(&mut self, disk: &mut DiskWork) {
        if self.is_truncating() {
            self.close_after_cut = true;
            return;
        }
        self.stop_cleaning(disk);
        self.flush(disk);
        self.save_producers(disk);
        self.save_epochs(disk);
        if let Some(active) = self.segments.len().checked_sub(1) {
            self.seal(active, disk);
        }
    }

    /// Whether everything that was asked for, by `close` among others, is done.
    pub fn is_closed(&self) -> bool {
        self.storing.is_idle() && self.flushed == self.end && !self.is_truncating()
    }

    /// Writes the index files of a segment.
    pub(super) fn seal(&mut self, at: usize, disk: &mut DiskWork) {
        let segment = &mut self.segments[at];
        segment.sealed = true;
        let (base, index, times) = (segment.base, segment.encode_index(), segment.encode_times());
        self.storing.save(self.file(FileKind::OffsetIndex(base)), index, disk);
        self.storing.save(self.file(FileKind::TimeIndex(base)), times, disk);
    }

    /// Writes the index files of the segments that are full and flushed.
    pub(super) fn seal_flushed(&mut self, disk: &mut DiskWork) {
        let full = self.segments.len().saturating_sub(1);
        for at in (0..full).rev() {
            if self.segments[at].sealed {
                break;
            }
            if self.segments[at].end <= self.flushed {
                self.seal(at, disk);
            }
        }
    }

    /// Takes a disk reply for one of the log's files.
    ///
    /// An error is the disk's, after which the log is of no use: its node halts.
    pub fn on_disk(
        &mut self,
        now: Now,
        reply: &DiskReply,
        disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) -> Result<Progress, DiskError> {
        let mut progress = Progress::default();
        let wait = Wait::of(reply.tag);
        match (&reply.outcome, wait) {
            (_, Wait::Load) => {
                let ended = self.truncation_reply(now, reply, disk, events)?;
                (progress.written, progress.flushed, progress.truncated) = (ended, ended, ended);
            }
            (Err(DiskError::NotFound), Wait::Read) => progress.cold = self.cold_gone(reply.tag),
            (Err(DiskError::NotFound), Wait::Nothing) => {}
            (Err(DiskError::NotFound), Wait::Cleaning) => {
                progress.cleaned = self.go_on_cleaning(now, reply.tag, None, disk, events);
            }
            // A segment that nothing was ever written to has no file.
            (Err(DiskError::NotFound), Wait::Deletion) => self.storing.deletion_done(disk),
            (Err(error), _) => return Err(*error),
            (Ok(_), Wait::Nothing) => {}
            (Ok(_), Wait::Write) => progress.written = self.on_written(reply.tag, events),
            (Ok(_), Wait::Flush) => {
                (progress.written, progress.flushed) = self.on_flushed(reply.tag, disk, events);
            }
            (Ok(DiskDone::Read(bytes)), Wait::Read) => {
                progress.cold = self.cold_read(reply.tag, bytes.clone(), disk);
            }
            (Ok(_), Wait::Read) => {}
            (Ok(_), Wait::Operation) => {
                self.storing.step_done(disk);
                self.begin_reading_cut(disk);
                progress.cleaned = self.swap_done(disk, events);
            }
            (Ok(done), Wait::Cleaning) => {
                progress.cleaned = self.go_on_cleaning(now, reply.tag, Some(done), disk, events);
            }
            (Ok(_), Wait::Deletion) => self.storing.deletion_done(disk),
            (Ok(_), Wait::Save) => {
                self.storing.saved(reply, disk)?;
                self.swap_if_ready(now, disk);
            }
        }
        Ok(progress)
    }

    fn on_written(&mut self, tag: DiskTag, events: &mut Vec<Event>) -> bool {
        let end = self.storing.written(tag);
        self.written_up_to(end, events)
    }

    fn written_up_to(&mut self, end: Option<Offset>, events: &mut Vec<Event>) -> bool {
        let before = self.written;
        self.written = end.map_or(before, |end| end.max(before));
        assert!(self.written <= self.end, "nothing is written that was not appended");
        if self.written > before {
            events.push(Event::Written { partition: self.partition, end: self.written });
        }
        self.written > before
    }

    /// Says whether more is written, and whether more is flushed.
    fn on_flushed(&mut self, tag: DiskTag, disk: &mut DiskWork, events: &mut Vec<Event>) -> (bool, bool) {
        let before = self.flushed;
        self.flushed = self.storing.flushed(tag).map_or(before, |end| end.max(before));
        if self.flushed == before {
            return (false, false);
        }
        let end = self.storing.written_as_flushed(self.flushed);
        let written = self.written_up_to(end, events);
        assert!(self.flushed <= self.end, "nothing is flushed that was not appended");
        events.push(Event::Flushed { partition: self.partition, end: self.flushed });
        self.seal_flushed(disk);
        (written, true)
    }

    /// Removes the log's directory with everything in it. The log is of no use any more. Durable once the
    /// root directory was synced.
    pub fn delete(self, disk: &mut DiskWork) {
        let file = self.file(FileKind::PartitionMetadata);
        disk.push(DiskRequest { tag: DiskTag(0), file, op: DiskOp::RemoveDir });
    }

    /// Every file that a segment may have.
    pub(super) fn files_of(&self, base: Offset) -> [FileName; 4] {
        [
            self.file(FileKind::Segment(base)),
            self.file(FileKind::OffsetIndex(base)),
            self.file(FileKind::TimeIndex(base)),
            self.file(FileKind::ProducerSnapshot(base)),
        ]
    }

    /// Removes a file, some time.
    pub(super) fn remove(&mut self, file: FileName, disk: &mut DiskWork) {
        let tag = self.storing.tag(Wait::Nothing);
        self.storing.ask(tag, file, DiskOp::Remove, disk);
    }
}
