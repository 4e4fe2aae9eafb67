//! What is under way between a log and its disk, and what must wait for what?

use alloc::{collections::VecDeque, vec::Vec};
use core::ops::Range;

use bytes::Bytes;

use super::checkpoints::AtomicFile;
use crate::{
    disk::{DiskError, DiskOp, DiskReply, DiskRequest, DiskTag, DiskWork, FileName},
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
    /// A step of a cleaning that nothing else waits for.
    Cleaning = 8,
}

const WAIT_SHIFT: u32 = 60;

impl Wait {
    /// The bits of a tag that hold its number.
    pub(super) const NUMBER: u64 = (1 << WAIT_SHIFT) - 1;

    /// What a tag is of.
    pub(super) fn of(tag: DiskTag) -> Wait {
        match tag.0 >> WAIT_SHIFT {
            1 => Wait::Write,
            2 => Wait::Flush,
            3 => Wait::Read,
            4 => Wait::Operation,
            5 => Wait::Save,
            6 => Wait::Load,
            7 => Wait::Deletion,
            8 => Wait::Cleaning,
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
    /// Whether it counts only once it is flushed, too.
    until_flushed: bool,
}

#[derive(Clone, Debug)]
struct PendingFlush {
    end: Offset,
    tags: Range<u64>,
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
    /// Deletions wait, for a cut is still looking for what it keeps.
    deletions_held: bool,
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
            deletions_held: false,
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

    /// Whether a file is being saved.
    pub(super) fn is_saving(&self, file: FileName) -> bool {
        self.saves.iter().any(|save| save.file() == file)
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
    pub(super) fn step_done(&mut self, disk: &mut DiskWork) {
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
        let busy = self.deletions.left > 0 || self.is_operating() || !self.saves.is_empty();
        if busy || self.deletions_held {
            return;
        }
        let Some(step) = self.deletions.steps.pop_front() else { return };
        self.deletions.left = step.len();
        for (file, op) in step {
            let tag = self.tag(Wait::Deletion);
            disk.push(DiskRequest { tag, file, op });
        }
    }

    pub(super) fn deletion_done(&mut self, disk: &mut DiskWork) {
        self.deletions.left = self.deletions.left.saturating_sub(1);
        self.go_on_deleting(disk);
    }

    /// Whether files are still to get their `.deleted`.
    pub(super) fn is_deleting(&self) -> bool {
        self.deletions.left > 0 || !self.deletions.steps.is_empty()
    }

    /// The log's last segment is `active` now: what deletions had to make sure of for another before they
    /// begin, they make sure of for it. The other is gone, and must not be made anew.
    pub(super) fn delete_behind(&mut self, active: FileName) {
        for (file, op) in self.deletions.steps.iter_mut().flatten() {
            if matches!(op, DiskOp::Append(_)) {
                *file = active;
            }
        }
    }

    /// Begins no deletion until the log goes on elsewhere ([`Storing::restart_at`]) or in another life.
    pub(super) fn hold_deletions(&mut self) {
        self.deletions_held = true;
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
        self.deletions_held = false;
    }

    /// An append was asked for that brings the log to `end`.
    pub(super) fn expect_write(&mut self, tag: DiskTag, end: Offset) {
        self.writes.push_back(PendingWrite { tag, end, done: false, until_flushed: false });
    }

    /// An append is done; returns up to where the log is written without a gap, if that is news. Segments
    /// are different files and may answer in any order.
    pub(super) fn written(&mut self, tag: DiskTag) -> Option<Offset> {
        self.writes.iter_mut().find(|write| write.tag == tag)?.done = true;
        self.written_by_now()
    }

    fn written_by_now(&mut self) -> Option<Offset> {
        let mut end = None;
        while let Some(write) = self.writes.front().filter(|write| write.done && !write.until_flushed) {
            end = Some(write.end);
            self.writes.pop_front();
        }
        end
    }

    /// The newest append does not count as written before it is flushed.
    pub(super) fn await_flush(&mut self) {
        if let Some(write) = self.writes.back_mut() {
            write.until_flushed = true;
        }
    }

    /// The log is flushed up to `end`; returns up to where it is written, if that is news.
    pub(super) fn written_as_flushed(&mut self, end: Offset) -> Option<Offset> {
        for write in self.writes.iter_mut().filter(|write| write.until_flushed && write.end <= end) {
            write.until_flushed = false;
        }
        self.written_by_now()
    }

    /// Flushes were asked for, in the requests after number `before`, of everything up to `end`.
    pub(super) fn expect_flush(&mut self, before: u64, end: Offset) {
        let tags = before + 1..self.counter + 1;
        let left = (tags.end - tags.start) as u32;
        self.flushes.push_back(PendingFlush { end, tags, left });
        self.flush_asked = end;
    }

    /// Up to where flushes have been asked for.
    pub(super) fn flush_asked(&self) -> Offset {
        self.flush_asked
    }

    /// One file is flushed, or its directory; returns up to where the log is, if that is news.
    pub(super) fn flushed(&mut self, tag: DiskTag) -> Option<Offset> {
        let number = tag.0 & Wait::NUMBER;
        let flush = self.flushes.iter_mut().find(|flush| flush.tags.contains(&number))?;
        flush.left -= 1;
        let mut end = None;
        while let Some(flush) = self.flushes.front().filter(|flush| flush.left == 0) {
            end = end.max(Some(flush.end));
            self.flushes.pop_front();
        }
        end
    }

    /// A step of saving a file is done.
    pub(super) fn saved(&mut self, reply: &DiskReply, disk: &mut DiskWork) -> Result<(), DiskError> {
        if let Some(at) = self.saves.iter().position(|save| save.owns(reply)) {
            self.saves[at].on_disk(reply, disk)?;
            if self.saves[at].is_idle() {
                self.saves.remove(at);
                self.go_on_deleting(disk);
            }
        }
        Ok(())
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

    /// Whether nothing at all is.
    pub(super) fn is_idle(&self) -> bool {
        self.writes.is_empty()
            && self.flushes.is_empty()
            && self.saves.is_empty()
            && !self.is_operating()
            && !self.is_deleting()
    }
}
