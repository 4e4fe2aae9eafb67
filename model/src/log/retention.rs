//! Which of the oldest segments may go, and what else does a log do as time goes by?

use alloc::vec::Vec;

use bytes::Bytes;

use super::Log;
use crate::{
    disk::{Content, DiskOp, DiskWork, FileKind, FileName, Suffix},
    event::{Event, LogStartReason},
    museum::Bug,
    time::{Instant, Now, earliest},
    units::Offset,
};

impl Log {
    /// Moves the log's start to `to`: what is before can be read no more, and segments that lie wholly
    /// before it go. Never moves it back, nor past the end.
    pub fn advance_start(
        &mut self,
        now: Now,
        to: Offset,
        why: LogStartReason,
        disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) {
        let to = to.min(self.end);
        if to <= self.start || self.is_truncating() {
            return;
        }
        let from = core::mem::replace(&mut self.start, to);
        if self.epochs.truncate_from_start(to) {
            self.save_epochs(disk);
        }
        // KAFKA-7190: a producer was forgotten with its last record, and its retries were news again.
        if self.museum.has(Bug::ProducerExpiredByDataTimestamp) {
            self.producers.forget_before(to);
        }
        self.tail.advance(to);
        events.push(Event::LogStartMoved { partition: self.partition, from, to, why });
        // The last segment stays, for it is appended to.
        let gone = self.segments.iter().skip(1).take_while(|next| next.base <= to).count();
        if gone > 0 {
            self.stop_cleaning(disk);
        }
        self.delete_segments(gone, now, disk);
    }

    /// Deletes the oldest segments: they are renamed now, and removed after `file.delete.delay.ms`.
    fn delete_segments(&mut self, count: usize, now: Now, disk: &mut DiskWork) {
        if count == 0 {
            return;
        }
        let (mut files, mut steps) = (Vec::new(), self.keep_active());
        for segment in self.segments.drain(..count).collect::<Vec<_>>() {
            let [log, index, times, snapshot] = self.files_of(segment.base);
            let renamed = if segment.sealed { alloc::vec![log, index, times] } else { alloc::vec![log] };
            files.extend(renamed.iter().map(|file| file.with(Suffix::Deleted)));
            steps.push(renamed.into_iter().map(|file| (file, DiskOp::Rename(Suffix::Deleted))).collect());
            steps.push(alloc::vec![(log, DiskOp::SyncDir)]);
            if self.config.producers {
                self.remove(snapshot, disk);
            }
        }
        self.storing.delete(steps, disk);
        self.doomed.push_back((now.monotonic + self.config.file_delete_delay_ms, files));
    }

    /// What must be done before others are deleted: the last segment's file must be there for good, or the
    /// log might be found empty and begin at zero.
    fn keep_active(&self) -> Vec<Vec<(FileName, DiskOp)>> {
        let active = self.segments.last().expect("a log has a segment");
        if active.in_directory {
            return Vec::new();
        }
        let file = FileName::of_log(self.partition, FileKind::Segment(active.base));
        let create = DiskOp::Append(Content::Bytes(Bytes::new()));
        alloc::vec![alloc::vec![(file, create)], alloc::vec![(file, DiskOp::SyncDir)]]
    }

    /// Deletes segments that are too old or too many (`retention.ms`, `retention.bytes`), none that reaches
    /// past `high_watermark`, unless the log is only compacted (`cleanup.policy`); and forgets producers that
    /// have been silent for too long.
    pub fn retain(&mut self, now: Now, high_watermark: Offset, disk: &mut DiskWork, events: &mut Vec<Event>) {
        if self.is_truncating() {
            return;
        }
        if self.config.producers {
            self.producers.expire(now.wall, self.config.producer_id_expiration_ms);
        }
        if !self.config.cleanup_policy.deletes() {
            return;
        }
        let to = self.too_old(now).max(self.too_many()).min(high_watermark);
        // Only whole segments go; and if that is all of them, a new one must be there to append to.
        let gone = self.segments.iter().take_while(|segment| segment.end <= to).count();
        let Some(end) = gone.checked_sub(1).map(|last| self.segments[last].end) else { return };
        if gone == self.segments.len() {
            if self.segments.last().is_some_and(|active| active.is_empty()) {
                if gone == 1 {
                    return;
                }
            } else {
                self.roll(disk, events);
            }
        }
        self.advance_start(now, end, LogStartReason::Retention, disk, events);
    }

    /// Where the first segment begins that is young enough.
    fn too_old(&self, now: Now) -> Offset {
        let Some(retention) = self.config.retention_ms else { return self.start };
        let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let young = |max: i64| now.wall.0.saturating_sub(max) <= retention;
        let kept = self.segments.iter().find(|segment| segment.max_timestamp.is_none_or(|max| young(max.0)));
        kept.map_or(self.end, |segment| segment.base)
    }

    /// Where the first segment begins that must stay if `retention.bytes` are to be kept.
    fn too_many(&self) -> Offset {
        let Some(keep) = self.config.retention_bytes else { return self.start };
        let mut excess = self.size().saturating_sub(keep);
        for segment in &self.segments {
            let size = u64::from(segment.size);
            if size == 0 || size > excess {
                return segment.base;
            }
            excess -= size;
        }
        self.end
    }

    /// Does what is due: flushes by time (`flush.ms`), and removes files that were deleted long enough ago.
    pub fn tick(&mut self, now: Now, disk: &mut DiskWork, _events: &mut Vec<Event>) {
        if self.flush_due().is_some_and(|at| at <= now.monotonic) {
            self.flush(disk);
        }
        if self.storing.is_deleting() {
            return;
        }
        while self.doomed.front().is_some_and(|(at, _)| *at <= now.monotonic) {
            let Some((_, files)) = self.doomed.pop_front() else { return };
            for file in files {
                self.remove(file, disk);
            }
        }
    }

    /// When [`Log::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        // A file is removed only once it has been renamed.
        let removal = self.doomed.front().map(|(at, _)| *at).filter(|_| !self.storing.is_deleting());
        earliest(self.flush_due(), removal)
    }

    fn flush_due(&self) -> Option<Instant> {
        let (wait, since) = (self.config.flush_ms?, self.dirty_since?);
        (!self.is_truncating()).then_some(since + wait)
    }
}
