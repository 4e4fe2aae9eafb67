//! What is saved of all replicas together: high watermarks, recovery points, log starts, and up to where logs
//! were cleaned.

use alloc::collections::BTreeMap;
use core::time::Duration;

use super::{Broker, Timer};
use crate::{
    disk::{DiskReply, DiskTag, FileKind, FileName},
    log::checkpoints::{AtomicFile, encode_offsets},
    machine::Effects,
    partition::Partition,
    time::Now,
    units::{Offset, TopicPartition},
};

/// The files, and whether what they say has changed since they were saved.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    high_watermarks: AtomicFile,
    recovery_points: AtomicFile,
    log_starts: AtomicFile,
    /// Up to where logs were cleaned.
    pub cleaner: AtomicFile,
    /// The mark of a clean shutdown, written when everything else is.
    pub marker: AtomicFile,
    /// Some high watermark has moved.
    pub high_watermarks_moved: bool,
    /// Some log has been flushed.
    pub recovery_points_moved: bool,
    /// Some log begins elsewhere.
    pub log_starts_moved: bool,
}

impl Default for Checkpoints {
    fn default() -> Self {
        let file = |kind, tag| AtomicFile::new(FileName::of_root(kind), DiskTag(tag));
        Checkpoints {
            high_watermarks: file(FileKind::HighWatermarks, 2),
            recovery_points: file(FileKind::RecoveryPoints, 3),
            log_starts: file(FileKind::LogStarts, 4),
            cleaner: file(FileKind::CleanerOffsets, 6),
            marker: file(FileKind::CleanShutdown, 5),
            high_watermarks_moved: false,
            recovery_points_moved: false,
            log_starts_moved: false,
        }
    }
}

impl Checkpoints {
    /// Whether nothing is being saved.
    pub fn are_idle(&self) -> bool {
        self.high_watermarks.is_idle()
            && self.recovery_points.is_idle()
            && self.log_starts.is_idle()
            && self.cleaner.is_idle()
            && self.marker.is_idle()
    }
}

impl Broker {
    pub(super) fn begin_timers(&mut self, now: Now) {
        self.set_isr_timer(now);
        self.set_timer(now, self.config.replica_high_watermark_checkpoint_interval_ms, Timer::HighWatermarks);
        self.set_timer(now, self.config.log_flush_offset_checkpoint_interval_ms, Timer::RecoveryPoints);
        self.set_timer(now, self.config.log_flush_start_offset_checkpoint_interval_ms, Timer::LogStarts);
        self.set_timer(now, self.config.log_retention_check_interval_ms, Timer::Retention);
    }

    pub(super) fn set_timer(&mut self, now: Now, interval: Duration, timer: Timer) {
        // An interval of zero would never let time pass.
        self.timers.set(now.monotonic + interval.max(Duration::from_millis(1)), timer);
    }

    fn offsets(&self, of: impl Fn(&Partition) -> Offset) -> bytes::Bytes {
        let offsets: BTreeMap<TopicPartition, Offset> = self
            .replicas
            .iter()
            .map(|(_, replica)| (replica.partition.id(), of(&replica.partition)))
            .collect();
        encode_offsets(&offsets)
    }

    pub(super) fn save_high_watermarks(&mut self, now: Now, effects: &mut Effects) {
        if core::mem::take(&mut self.checkpoints.high_watermarks_moved) {
            let content = self.offsets(Partition::high_watermark);
            self.checkpoints.high_watermarks.save(content, &mut effects.disk);
        }
        self.set_timer(now, self.config.replica_high_watermark_checkpoint_interval_ms, Timer::HighWatermarks);
    }

    pub(super) fn save_recovery_points(&mut self, now: Now, effects: &mut Effects) {
        if core::mem::take(&mut self.checkpoints.recovery_points_moved) {
            let content = self.offsets(|partition| partition.log.flushed());
            self.checkpoints.recovery_points.save(content, &mut effects.disk);
        }
        self.set_timer(now, self.config.log_flush_offset_checkpoint_interval_ms, Timer::RecoveryPoints);
    }

    pub(super) fn save_log_starts(&mut self, now: Now, effects: &mut Effects) {
        if core::mem::take(&mut self.checkpoints.log_starts_moved) {
            let content = self.offsets(|partition| partition.log.start());
            self.checkpoints.log_starts.save(content, &mut effects.disk);
        }
        self.set_timer(now, self.config.log_flush_start_offset_checkpoint_interval_ms, Timer::LogStarts);
    }

    /// Saves all three, for a shutdown.
    pub(super) fn save_everything(&mut self, effects: &mut Effects) {
        let content = self.offsets(Partition::high_watermark);
        self.checkpoints.high_watermarks.save(content, &mut effects.disk);
        let content = self.offsets(|partition| partition.log.flushed());
        self.checkpoints.recovery_points.save(content, &mut effects.disk);
        let content = self.offsets(|partition| partition.log.start());
        self.checkpoints.log_starts.save(content, &mut effects.disk);
    }

    pub(super) fn on_checkpoint_disk(&mut self, reply: &DiskReply, effects: &mut Effects) {
        let files = &mut self.checkpoints;
        let all = [
            &mut files.high_watermarks,
            &mut files.recovery_points,
            &mut files.log_starts,
            &mut files.cleaner,
            &mut files.marker,
        ];
        let owner = all.into_iter().find(|file| file.owns(reply));
        if let Some(Err(error)) = owner.map(|file| file.on_disk(reply, &mut effects.disk)) {
            self.disk_failed(reply, error, effects);
        }
    }

    /// Deletes what is older than it need be, below each high watermark.
    pub(super) fn retain(&mut self, now: Now, effects: &mut Effects) {
        for slot in self.replicas.slots() {
            let Some(replica) = self.replicas.get_mut(slot) else { continue };
            let partition = &mut replica.partition;
            let (before, high_watermark) = (partition.log.start(), partition.high_watermark());
            partition.log.retain(now, high_watermark, &mut effects.disk, &mut effects.events);
            if partition.log.start() != before {
                self.checkpoints.log_starts_moved = true;
                self.wake_all_readers(slot);
                self.check_deletions(slot, effects);
            }
            self.watch_log(Some(slot));
        }
        self.set_timer(now, self.config.log_retention_check_interval_ms, Timer::Retention);
    }
}
