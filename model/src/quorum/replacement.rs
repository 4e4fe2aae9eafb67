//! How is a file replaced so that a power failure leaves the old one or the new one, never half of it?

use bytes::Bytes;

use crate::disk::{DiskDone, DiskError, DiskOp, DiskReply, DiskRequest, DiskTag, DiskWork, FileName, Suffix};

/// What a replacement waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Write,
    Flush,
    Rename,
    SyncDir,
}

/// A file on its way into its place: written beside it, flushed, renamed, and its directory synced, each
/// once the step before is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    file: FileName,
    step: Step,
    flush: bool,
}

impl Replacement {
    /// Begins to put `bytes` in the place of `file`, a name without suffix.
    pub(super) fn begin(file: FileName, bytes: Bytes, flush: bool, disk: &mut DiskWork) -> Replacement {
        let replacement = Replacement { file, step: Step::Write, flush };
        replacement.ask(DiskOp::Replace(bytes), disk);
        replacement
    }

    /// Whether a reply is about this.
    pub(super) fn is_mine(&self, reply: &DiskReply) -> bool {
        reply.file == self.temporary()
    }

    /// Takes the reply to the present step; says whether the new file is in its place for good.
    pub(super) fn on_disk(&mut self, reply: &DiskReply, disk: &mut DiskWork) -> Result<bool, DiskError> {
        if let Err(error) = &reply.outcome {
            return Err(*error);
        }
        let synced = matches!(reply.outcome, Ok(DiskDone::Flushed));
        let (next, op) = match self.step {
            Step::Write if self.flush => (Step::Flush, DiskOp::Flush),
            Step::Write => (Step::Rename, DiskOp::Rename(Suffix::None)),
            Step::Flush if synced => (Step::Rename, DiskOp::Rename(Suffix::None)),
            Step::Rename => (Step::SyncDir, DiskOp::SyncDir),
            Step::Flush | Step::SyncDir => return Ok(synced),
        };
        self.step = next;
        self.ask(op, disk);
        Ok(false)
    }

    /// Every step names the temporary file, so that the disk keeps their order.
    fn temporary(&self) -> FileName {
        self.file.with(Suffix::Tmp)
    }

    fn ask(&self, op: DiskOp, disk: &mut DiskWork) {
        disk.push(DiskRequest { tag: DiskTag(0), file: self.temporary(), op });
    }
}
