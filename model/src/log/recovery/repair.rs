//! What must be done to the disk before a log that was read back is used?

use alloc::{collections::VecDeque, vec::Vec};

use bytes::Bytes;

use super::{Loaded, Loader, Stage};
use crate::{
    disk::{Content, DiskOp, DiskWork, FileKind, FileName},
    event::Event,
    log::{Log, segment::Segment},
    museum::Bug,
    units::Offset,
};

impl Loader {
    /// Plans what makes the disk agree with what is known: the last known segment is cut at `cut`, and what
    /// comes after it goes.
    pub(super) fn repair(&mut self, cut: Option<u64>) {
        self.stage = Stage::Repair;
        let known = self.segments.len();
        if let (Some(position), Some(at)) = (cut, known.checked_sub(1)) {
            self.cut += self.files[at].1 - position;
        }
        self.cut += self.files[known..].iter().map(|(_, length)| length).sum::<u64>();
        if self.segments.is_empty() {
            self.segments.push(Segment::new(self.hints.log_start));
        }
        let scanned = &self.segments[self.trusted..];
        let removed: Vec<_> = self.useless(known).into_iter().map(|file| (file, DiskOp::Remove)).collect();
        let touch =
            |segment: &Segment| (self.file(FileKind::Segment(segment.base)), Content::Bytes(Bytes::new()));
        let touched: Vec<_> = scanned
            .iter()
            .filter(|segment| segment.is_empty())
            .map(touch)
            .map(|(file, nothing)| (file, DiskOp::Append(nothing)))
            .collect();
        let cut = cut.zip(scanned.last()).map(|(position, segment)| {
            (self.file(FileKind::Segment(segment.base)), DiskOp::Truncate(position))
        });
        // KAFKA-10101: the recovery point went to the end of what was read back, whether that was on the
        // platter or not.
        let flushes = !self.museum.has(Bug::RecoveryPointAdvancedUnflushed);
        let flushed: Vec<_> = scanned
            .iter()
            .filter(|_| flushes)
            .map(|segment| (self.file(FileKind::Segment(segment.base)), DiskOp::Flush))
            .collect();
        let sync = |needed: bool| {
            let file = self.file(FileKind::LeaderEpochs);
            if needed { alloc::vec![(file, DiskOp::SyncDir)] } else { Vec::new() }
        };
        // What was cut off must be gone for good before anything is written in its place.
        let (gone, kept) = (sync(!removed.is_empty()), sync(!flushed.is_empty()));
        self.steps = VecDeque::from([removed, gone, touched, cut.into_iter().collect(), flushed, kept]);
    }

    /// The files that do not belong to the log as it is known, whose segments are the first `known`.
    fn useless(&self, known: usize) -> Vec<FileName> {
        let end = self.trusted_end();
        let mut useless = self.stale.clone();
        for (base, _) in &self.files[known..] {
            useless
                .extend([FileKind::Segment(*base), FileKind::ProducerSnapshot(*base)].map(|k| self.file(k)));
        }
        // Index files of what was read anew speak of another state; so do those of what is gone.
        let bases = self.files.iter().map(|(base, _)| *base).filter(|_| self.limit.is_some());
        for base in bases.skip(self.trusted) {
            useless.extend([FileKind::OffsetIndex(base), FileKind::TimeIndex(base)].map(|k| self.file(k)));
        }
        // A snapshot that is not at a segment's start was made for one clean start: the log may be cut below
        // it and grow again.
        let at_start = |snapshot: &Offset| self.segments.iter().any(|segment| segment.base == *snapshot);
        let later = self.snapshots.iter().filter(|snapshot| **snapshot > end || !at_start(snapshot));
        useless.extend(later.map(|snapshot| self.file(FileKind::ProducerSnapshot(*snapshot))));
        useless
    }

    /// Asks for the next step of the repair; says whether there is one.
    pub(super) fn next_step(&mut self, disk: &mut DiskWork) -> bool {
        while let Some(step) = self.steps.pop_front() {
            for (file, op) in step {
                self.ask(file, op, disk);
            }
            if self.left > 0 {
                return true;
            }
        }
        false
    }

    pub(super) fn finish(&mut self, disk: &mut DiskWork, events: &mut Vec<Event>) -> Loaded {
        let mut segments = core::mem::take(&mut self.segments);
        for segment in &mut segments {
            segment.in_directory = true;
        }
        let mut log = Log::of_segments(self.partition, self.config.clone(), self.museum, segments);
        log.storing.set_counter(self.counter);
        log.epochs = core::mem::take(&mut self.epochs);
        log.producers = core::mem::take(&mut self.producers);
        log.tail = core::mem::take(&mut self.tail);
        if self.hints.log_start > log.end {
            // The log has lost everything up to where it is said to begin: it begins there.
            log.begin_anew(self.hints.log_start, disk);
        }
        log.start = log.start.max(self.hints.log_start);
        // An epoch that began at the end has no record to prove it: a new election will tell.
        log.epochs.truncate_from_end(log.end);
        log.epochs.truncate_from_start(log.start);
        if self.saved_epochs.as_ref() != Some(&log.epochs) {
            log.save_epochs(disk);
        }
        if self.topic.is_none() {
            log.save_partition_metadata(disk);
        }
        // Before the first segments go, what only their records tell must be elsewhere.
        for (base, producers) in core::mem::take(&mut self.made) {
            log.storing.save(self.file(FileKind::ProducerSnapshot(base)), producers, disk);
        }
        log.seal_flushed(disk);
        if self.limit.is_none() {
            let last = log.last_batch();
            events.push(Event::Recovered {
                partition: self.partition,
                start: log.start,
                end: log.end,
                clean: self.hints.clean,
                cut: self.cut,
                last_epoch: last.map(|(epoch, _)| epoch),
                last_crc: last.map(|(_, crc)| crc),
            });
        }
        Loaded { log, topic: self.topic, cut: self.cut }
    }
}
