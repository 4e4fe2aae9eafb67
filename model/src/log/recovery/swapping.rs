//! A cleaning was about to put a rewritten segment into its originals' place: how is that brought to its end?

use alloc::{collections::VecDeque, vec::Vec};

use bytes::Bytes;

use super::{CHUNK, Loader, Stage};
use crate::{
    disk::{DiskOp, DiskWork, FileKind, FileName, Suffix},
    log::{batch::Batch, codec::Corrupt},
    units::Offset,
};

impl Loader {
    /// Looks at the first rewritten segment that is left, or goes on without.
    pub(super) fn next_swap(&mut self, disk: &mut DiskWork) {
        let Some((base, _)) = self.swaps.last().copied() else { return self.read_small(disk) };
        self.measure(0, base, CHUNK, disk);
    }

    fn swap_file(&self, base: Offset) -> FileName {
        self.file(FileKind::Segment(base)).with(Suffix::Swap)
    }

    fn measure(&mut self, at: u64, end: Offset, len: u64, disk: &mut DiskWork) {
        let Some((base, _)) = self.swaps.last().copied() else { return };
        self.stage = Stage::Swap { at, end };
        self.ask(self.swap_file(base), DiskOp::Read { at, len }, disk);
    }

    /// Takes the bytes of a rewritten segment from `at` on, which is whole up to `end`.
    pub(super) fn measure_swap(&mut self, at: u64, mut end: Offset, mut bytes: Bytes, disk: &mut DiskWork) {
        let Some((_, length)) = self.swaps.last().copied() else { return };
        let got = bytes.len() as u64;
        loop {
            let position = at + (got - bytes.len() as u64);
            match Batch::decode(&mut bytes) {
                Ok(batch) => end = batch.end_offset(),
                Err(Corrupt::Incomplete { needs }) if got > 0 && position + needs as u64 <= length => {
                    return self.measure(position, end, CHUNK.max(needs as u64), disk);
                }
                Err(_) => return self.swap(end, position == length, disk),
            }
        }
    }

    /// Puts the rewritten segment, which ends at `end`, into the place of whatever begins before that. One that
    /// is damaged does not take the place of an original that is still there.
    fn swap(&mut self, end: Offset, whole: bool, disk: &mut DiskWork) {
        let Some((base, length)) = self.swaps.pop() else { return };
        let swap = self.swap_file(base);
        self.stage = Stage::Swapping;
        if !whole && self.files.iter().any(|(original, _)| *original == base) {
            self.steps = VecDeque::from([alloc::vec![(swap, DiskOp::Remove)]]);
            return self.go_on_swapping(disk);
        }
        let replaced = |at: Offset| at == base || at > base && at < end;
        let mut gone = Vec::new();
        for (original, _) in self.files.iter().filter(|(original, _)| replaced(*original)) {
            gone.push(self.file(FileKind::Segment(*original)));
        }
        self.files.retain(|(original, _)| !replaced(*original));
        self.files.push((base, length));
        self.files.sort_unstable();
        self.small.retain(|(file, _)| match file.kind {
            FileKind::OffsetIndex(at) | FileKind::TimeIndex(at) if replaced(at) => {
                gone.push(*file);
                false
            }
            _ => true,
        });
        let removed = gone.into_iter().map(|file| (file, DiskOp::Remove)).collect();
        let sync = || alloc::vec![(swap, DiskOp::SyncDir)];
        // The process may have died before its new name was there for good: without it, nothing may go.
        let place = alloc::vec![(swap, DiskOp::Rename(Suffix::None))];
        self.steps = VecDeque::from([sync(), removed, sync(), place, sync()]);
        self.go_on_swapping(disk);
    }

    /// Takes the next step once all replies to the one before are there.
    pub(super) fn go_on_swapping(&mut self, disk: &mut DiskWork) {
        if self.left == 0 && !self.next_step(disk) {
            self.next_swap(disk);
        }
    }
}
