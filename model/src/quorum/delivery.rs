//! What is committed, in which order does the application get it, and what has it had?

use alloc::collections::VecDeque;
use core::ops::Range;

use bytes::Bytes;

use super::{Context, Quorum};
use crate::{
    disk::DiskError,
    event::Event,
    log::{ColdAnswer, Read, batch::Batch},
    protocol::ErrorCode,
    units::{LeaderEpoch, Offset},
};

/// How much is read at once.
const PIECE: u32 = 1 << 20;

/// By which number the log knows the application's cold reads. Fetches count from one.
pub(super) const WAITER: u64 = 0;

/// Something committed, for whoever folds the log into an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// One batch. A mark of the log's own (a leader change) has no values.
    Records {
        /// Its offsets.
        range: Range<Offset>,
        /// The epoch of the leader that appended it.
        epoch: LeaderEpoch,
        /// The records' values, one an offset.
        values: alloc::vec::Vec<Bytes>,
    },
    /// A snapshot: whatever was folded so far is to be forgotten.
    Snapshot {
        /// One past the last offset it stands for.
        end: Offset,
        /// The epoch of that offset's record.
        epoch: LeaderEpoch,
        /// The snapshot as `take_snapshot` was given it.
        bytes: Bytes,
    },
}

/// What the application has had, and what it gets next.
#[derive(Clone, Debug, Default)]
pub(super) struct Delivery {
    /// Up to here it has polled.
    pub(super) given: Offset,
    /// Up to here it is `ready`, or given.
    next: Offset,
    /// Whether anything has been made ready: until then a snapshot comes first.
    begun: bool,
    /// What it polls next.
    ready: VecDeque<Committed>,
    /// Whether the disk is reading what comes after.
    cold: bool,
}

impl Quorum {
    /// The next thing committed, each once since `start`, in order. To be asked until `None` after every call
    /// that takes a `Context`.
    pub fn poll(&mut self) -> Option<Committed> {
        let committed = self.delivery.ready.pop_front()?;
        self.delivery.given = match &committed {
            Committed::Records { range, .. } => range.end,
            Committed::Snapshot { end, .. } => *end,
        };
        Some(committed)
    }

    /// Makes ready what has become committed. Nothing is, as Kafka has it, before a high watermark is known.
    pub(super) fn deliver(&mut self, cx: &mut Context<'_>) {
        let Some(high_watermark) = self.high_watermark.filter(|to| *to > self.delivery.next) else { return };
        let needs_snapshot = !self.delivery.begun || self.delivery.next < self.log.start();
        self.delivery.begun = true;
        if needs_snapshot
            && let Some((id, bytes)) = self.snapshots.latest()
            && id.end > self.delivery.next
        {
            cx.effects.note(Event::SnapshotLoaded { end: id.end, epoch: id.epoch });
            self.delivery.ready.push_back(Committed::Snapshot { end: id.end, epoch: id.epoch, bytes });
            self.delivery.next = id.end;
        }
        while self.delivery.next < high_watermark && !self.delivery.cold {
            match self.log.read(self.delivery.next, high_watermark, PIECE, true) {
                Ok(Read::Batches(batches)) if batches.is_empty() => break,
                Ok(Read::Batches(batches)) => batches.iter().for_each(|batch| self.make_ready(batch)),
                Ok(Read::Cold(read)) => {
                    self.delivery.cold = true;
                    self.log.begin_cold(read, WAITER, &mut cx.effects.disk);
                }
                Err(_) => break,
            }
        }
    }

    /// What the disk has read for the application, which can do nothing without what it has lost.
    pub(super) fn on_cold_delivery(&mut self, read: Result<ColdAnswer, ErrorCode>) -> Result<(), DiskError> {
        self.delivery.cold = false;
        match read {
            Ok(ColdAnswer::Batches(batches)) => batches.iter().for_each(|batch| self.make_ready(batch)),
            // The log has begun anew meanwhile, from a snapshot.
            Ok(ColdAnswer::Time(_)) | Err(ErrorCode::OffsetOutOfRange) => {}
            Err(_) => return Err(DiskError::Io),
        }
        Ok(())
    }

    fn make_ready(&mut self, batch: &Batch) {
        let (next, end) = (self.delivery.next, batch.end_offset());
        // A snapshot may have gone ahead of a cold read, or end inside a batch.
        if end <= next || batch.base_offset() > next {
            return;
        }
        let values = match batch.is_control() {
            true => Default::default(),
            false => batch
                .decode_records()
                .flatten()
                .filter(|record| record.offset >= next)
                .map(|record| record.value.unwrap_or_default())
                .collect(),
        };
        self.delivery.ready.push_back(Committed::Records {
            range: next..end,
            epoch: batch.leader_epoch(),
            values,
        });
        self.delivery.next = end;
    }
}
