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

use alloc::{collections::VecDeque, vec::Vec};

use bytes::Bytes;

use super::{Log, Progress, checkpoints};
use crate::{
    disk::{
        Content, DiskDone, DiskError, DiskOp, DiskReply, DiskRequest, DiskTag, DiskWork, FileKind, FileName,
    },
    event::Event,
    log::{batch::Batch, checkpoints::AtomicFile},
    museum::Bug,
    time::Now,
    units::Offset,
};

/// What the log waits for, told by the uppermost bits of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Wait {
    /// Nothing: it is done some time.
    Nothing = 0,
    /// An append.
    Write = 1,
    /// A flush, or the directory sync that goes with it.
    Flush = 2,
    /// A cold read.
    Read = 3,
    /// A step of an operation.
    Operation = 4,
    /// A file that is saved whole.
    Save = 5,
    /// A loader's.
    Load = 6,
    /// A deletion, or what must come before it.
    Deletion = 7,
}

const WAIT_SHIFT: u32 = 60;

impl Wait {
    /// The bits of a tag that hold its number.
    pub(super) const NUMBER: u64 = (1 << WAIT_SHIFT) - 1;

    /// What a tag is of.
    fn of(tag: DiskTag) -> Wait {
        match tag.0 >> WAIT_SHIFT {
            1 => Wait::Write,
            2 => Wait::Flush,
            3 => Wait::Read,
            4 => Wait::Operation,
            5 => Wait::Save,
            6 => Wait::Load,
            7 => Wait::Deletion,
            _ => Wait::Nothing,
        }
    }

    /// The `number`th tag of this kind.
    pub(super) fn tag(self, number: u64) -> DiskTag {
        DiskTag((self as u64) << WAIT_SHIFT | number)
    }
}

#[derive(Clone, Debug)]
struct PendingWrite {
    tag: DiskTag,
    end: Offset,
    done: bool,
}

#[derive(Clone, Debug)]
struct PendingFlush {
    end: Offset,
    tags: core::ops::Range<u64>,
    left: u32,
}

/// Everything that is under way between a log and its disk.
#[derive(Clone, Debug)]
pub(super) struct Storing {
    counter: u64,
    writes: VecDeque<PendingWrite>,
    flushes: VecDeque<PendingFlush>,
    /// Flushes have been asked for up to here.
    flush_asked: Offset,
    saves: Vec<AtomicFile>,
    /// The steps of the operations under way, the one that is waited for not among them.
    steps: VecDeque<Step>,
    /// How many replies the present step waits for; zero when there is no operation.
    step_left: usize,
    deletions: Deletions,
}

/// Deletions of whole segments, oldest first, each durable before the next: a hole in a log would end it.
/// Nothing else waits for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Deletions {
    steps: VecDeque<Vec<(FileName, DiskOp)>>,
    left: usize,
}

/// Requests that may be carried out in any order.
#[derive(Clone, Debug)]
enum Step {
    /// All must be done before the next step.
    Operation(Vec<(FileName, DiskOp)>),
    /// The next step need not wait.
    Free(DiskRequest),
}

impl Storing {
    pub(super) fn new(end: Offset) -> Storing {
        Storing {
            counter: 0,
            writes: VecDeque::new(),
            flushes: VecDeque::new(),
            flush_asked: end,
            saves: Vec::new(),
            steps: VecDeque::new(),
            step_left: 0,
            deletions: Deletions::default(),
        }
    }

    pub(super) fn tag(&mut self, wait: Wait) -> DiskTag {
        self.counter += 1;
        wait.tag(self.counter)
    }

    /// The number of the newest tag.
    pub(super) fn counter(&self) -> u64 {
        self.counter
    }

    /// Goes on with the tags after `counter`.
    pub(super) fn set_counter(&mut self, counter: u64) {
        self.counter = self.counter.max(counter);
    }

    /// Whether an operation is under way.
    pub(super) fn is_operating(&self) -> bool {
        self.step_left > 0 || !self.steps.is_empty()
    }

    /// Does not go on saving a file that is about to be removed.
    pub(super) fn cancel_save(&mut self, file: FileName) {
        self.saves.retain(|save| save.file() != file);
    }

    /// Asks for something as soon as no operation is in its way.
    pub(super) fn ask(&mut self, tag: DiskTag, file: FileName, op: DiskOp, disk: &mut DiskWork) {
        let request = DiskRequest { tag, file, op };
        if self.step_left == 0 {
            disk.push(request);
        } else {
            self.steps.push_back(Step::Free(request));
        }
    }

    /// Begins an operation: each step waits for the one before it, and whatever is asked for later waits
    /// for all of them.
    pub(super) fn operate(&mut self, steps: Vec<Vec<(FileName, DiskOp)>>, disk: &mut DiskWork) {
        let steps = steps.into_iter().filter(|step| !step.is_empty()).map(Step::Operation);
        self.steps.extend(steps);
        if self.step_left == 0 {
            self.go_on(disk);
        }
    }

    fn go_on(&mut self, disk: &mut DiskWork) {
        while let Some(step) = self.steps.pop_front() {
            match step {
                Step::Free(request) => disk.push(request),
                Step::Operation(requests) => {
                    self.step_left = requests.len();
                    for (file, op) in requests {
                        let tag = self.tag(Wait::Operation);
                        disk.push(DiskRequest { tag, file, op });
                    }
                    return;
                }
            }
        }
        self.go_on_deleting(disk);
    }

    /// One step's request is done.
    fn step_done(&mut self, disk: &mut DiskWork) {
        self.step_left = self.step_left.saturating_sub(1);
        if self.step_left == 0 {
            self.go_on(disk);
        }
    }

    /// Deletes, step by step, without anything else waiting for it.
    pub(super) fn delete(&mut self, steps: Vec<Vec<(FileName, DiskOp)>>, disk: &mut DiskWork) {
        self.deletions.steps.extend(steps.into_iter().filter(|step| !step.is_empty()));
        self.go_on_deleting(disk);
    }

    /// Takes the next step, if its turn has come: an operation may hold back what must be done with a file
    /// before it goes, and a snapshot that takes its place may not be saved yet.
    fn go_on_deleting(&mut self, disk: &mut DiskWork) {
        if self.deletions.left > 0 || self.is_operating() || !self.saves.is_empty() {
            return;
        }
        let Some(step) = self.deletions.steps.pop_front() else { return };
        self.deletions.left = step.len();
        for (file, op) in step {
            let tag = self.tag(Wait::Deletion);
            disk.push(DiskRequest { tag, file, op });
        }
    }

    fn deletion_done(&mut self, disk: &mut DiskWork) {
        self.deletions.left = self.deletions.left.saturating_sub(1);
        self.go_on_deleting(disk);
    }

    /// Whether files are still to get their `.deleted`.
    pub(super) fn is_deleting(&self) -> bool {
        self.deletions.left > 0 || !self.deletions.steps.is_empty()
    }

    /// Gives up the deletions that have not begun; returns the files that they were about.
    pub(super) fn stop_deleting(&mut self) -> Vec<FileName> {
        let steps = core::mem::take(&mut self.deletions.steps);
        let renamed = steps.into_iter().flatten().filter(|(_, op)| matches!(op, DiskOp::Rename(_)));
        renamed.map(|(file, _)| file).collect()
    }

    /// Goes on with the deletions of a former life.
    pub(super) fn take_over_deletions(&mut self, other: &mut Storing) {
        self.deletions = core::mem::take(&mut other.deletions);
    }

    /// Forgets what was under way for offsets past `end`: it was cut off.
    pub(super) fn truncate(&mut self, end: Offset) {
        self.writes.retain(|write| write.end <= end);
        for flush in &mut self.flushes {
            flush.end = flush.end.min(end);
        }
        self.flush_asked = self.flush_asked.min(end);
    }

    /// Writes and flushes that are under way count for nothing: the log goes on at `start`.
    pub(super) fn restart_at(&mut self, start: Offset) {
        self.writes.clear();
        self.flushes.clear();
        self.flush_asked = start;
    }

    /// Saves a small file whole.
    pub(super) fn save(&mut self, file: FileName, content: Bytes, disk: &mut DiskWork) {
        if let Some(save) = self.saves.iter_mut().find(|save| save.file() == file) {
            return save.save(content, disk);
        }
        let mut save = AtomicFile::new(file, self.tag(Wait::Save));
        save.save(content, disk);
        self.saves.push(save);
    }

    fn is_idle(&self) -> bool {
        self.writes.is_empty()
            && self.flushes.is_empty()
            && self.saves.is_empty()
            && !self.is_operating()
            && !self.is_deleting()
    }
}

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
        self.storing.writes.push_back(PendingWrite { tag, end: batch.end_offset(), done: false });
        let file = FileName::of_log(self.partition, FileKind::Segment(segment));
        self.storing.ask(tag, file, DiskOp::Append(Content::Batch(batch)), disk);
    }

    /// Asks the disk to flush everything appended so far; [`Log::flushed`] tells when it has.
    pub fn flush(&mut self, disk: &mut DiskWork) {
        let asked = self.storing.flush_asked;
        if asked >= self.end || self.is_truncating() {
            return;
        }
        let first = self.storing.counter + 1;
        for at in self.segment_of(asked)..self.segments.len() {
            let segment = &mut self.segments[at];
            let file = FileName::of_log(self.partition, FileKind::Segment(segment.base));
            if segment.end > asked {
                let tag = self.storing.tag(Wait::Flush);
                self.storing.ask(tag, file, DiskOp::Flush, disk);
                // KAFKA-3968: without its directory entry a new file is lost with all that was flushed.
                if !core::mem::replace(&mut segment.in_directory, true) {
                    let tag = self.storing.tag(Wait::Flush);
                    self.storing.ask(tag, file, DiskOp::SyncDir, disk);
                }
            }
        }
        let tags = first..self.storing.counter + 1;
        let left = (tags.end - tags.start) as u32;
        self.storing.flushes.push_back(PendingFlush { end: self.end, tags, left });
        self.storing.flush_asked = self.end;
        self.dirty_since = None;
    }

    /// Up to where the log has been asked to be flushed.
    pub(super) fn flush_asked(&self) -> Offset {
        self.storing.flush_asked
    }

    /// Makes everything durable, so that the next start need not look at it. Nothing is appended any more.
    pub fn close(&mut self, disk: &mut DiskWork) {
        if self.is_truncating() {
            // What is left will be flushed; the next start will look at it.
            return;
        }
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
    fn seal(&mut self, at: usize, disk: &mut DiskWork) {
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
            // A segment that nothing was ever written to has no file.
            (Err(DiskError::NotFound), Wait::Deletion) => self.storing.deletion_done(disk),
            (Err(error), _) => return Err(*error),
            (Ok(_), Wait::Nothing) => {}
            (Ok(_), Wait::Write) => progress.written = self.on_written(reply.tag, events),
            (Ok(_), Wait::Flush) => progress.flushed = self.on_flushed(reply.tag, disk, events),
            (Ok(DiskDone::Read(bytes)), Wait::Read) => {
                progress.cold = self.cold_read(reply.tag, bytes.clone(), disk);
            }
            (Ok(_), Wait::Read) => {}
            (Ok(_), Wait::Operation) => {
                self.storing.step_done(disk);
                self.begin_reading_cut(disk);
            }
            (Ok(_), Wait::Deletion) => self.storing.deletion_done(disk),
            (Ok(_), Wait::Save) => self.on_saved(reply, disk)?,
        }
        Ok(progress)
    }

    fn on_saved(&mut self, reply: &DiskReply, disk: &mut DiskWork) -> Result<(), DiskError> {
        if let Some(at) = self.storing.saves.iter().position(|save| save.owns(reply)) {
            self.storing.saves[at].on_disk(reply, disk)?;
            if self.storing.saves[at].is_idle() {
                self.storing.saves.remove(at);
                self.storing.go_on_deleting(disk);
            }
        }
        Ok(())
    }

    fn on_written(&mut self, tag: DiskTag, events: &mut Vec<Event>) -> bool {
        let writes = &mut self.storing.writes;
        let Some(write) = writes.iter_mut().find(|write| write.tag == tag) else { return false };
        write.done = true;
        let before = self.written;
        // Segments are different files and may answer in any order: written is what has no gap before it.
        while let Some(write) = writes.front().filter(|write| write.done) {
            self.written = write.end;
            writes.pop_front();
        }
        assert!(self.written <= self.end, "nothing is written that was not appended");
        if self.written > before {
            events.push(Event::Written { partition: self.partition, end: self.written });
        }
        self.written > before
    }

    fn on_flushed(&mut self, tag: DiskTag, disk: &mut DiskWork, events: &mut Vec<Event>) -> bool {
        let number = tag.0 & Wait::NUMBER;
        let flushes = &mut self.storing.flushes;
        let Some(flush) = flushes.iter_mut().find(|flush| flush.tags.contains(&number)) else { return false };
        flush.left -= 1;
        let before = self.flushed;
        while let Some(flush) = flushes.front().filter(|flush| flush.left == 0) {
            self.flushed = self.flushed.max(flush.end);
            flushes.pop_front();
        }
        if self.flushed == before {
            return false;
        }
        assert!(self.flushed <= self.end, "nothing is flushed that was not appended");
        events.push(Event::Flushed { partition: self.partition, end: self.flushed });
        self.seal_flushed(disk);
        true
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
