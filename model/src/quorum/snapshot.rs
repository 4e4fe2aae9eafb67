//! How does a log lose its beginning without anybody missing it?
//!
//! The application gives a snapshot of everything before an offset. Once that is on the platter the log may
//! begin there; whoever needs older records fetches the snapshot instead, in pieces (KIP-630).

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Context, Quorum, Role, replacement::Replacement};
use crate::{
    disk::{DiskError, DiskOp, DiskReply, DiskRequest, DiskTag, DiskWork, FileKind, FileName},
    event::{Event, LogStartReason, TruncateReason},
    museum::Bug,
    protocol::{
        ErrorCode,
        fetch::EpochEnd,
        quorum::{FetchSnapshotRequest, FetchSnapshotResponse},
    },
    time::Now,
    units::{LeaderEpoch, NodeId, Offset, TopicPartition},
};

/// A snapshot's file.
pub(super) fn file(id: EpochEnd) -> FileName {
    FileName::of_log(TopicPartition::METADATA, FileKind::MetadataSnapshot(id.end, id.epoch))
}

/// A snapshot that is being fetched.
#[derive(Clone, Debug)]
pub(super) struct Download {
    id: EpochEnd,
    bytes: Vec<u8>,
}

impl Download {
    /// What to ask for next.
    pub(super) fn next_request(
        &self,
        own: NodeId,
        epoch: LeaderEpoch,
        max_bytes: u32,
    ) -> FetchSnapshotRequest {
        FetchSnapshotRequest {
            replica: own,
            current_leader_epoch: epoch,
            snapshot: self.id,
            position: self.bytes.len() as u64,
            max_bytes,
        }
    }
}

/// A snapshot on its way to the platter.
#[derive(Clone, Debug)]
struct Writing {
    id: EpochEnd,
    bytes: Bytes,
    replacement: Replacement,
}

/// The snapshots that a member has.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    /// Every one on the disk and its size, the oldest first.
    stored: Vec<(EpochEnd, u64)>,
    /// The newest one's bytes.
    bytes: Bytes,
    /// One that our application took.
    taking: Option<Writing>,
    /// One that was fetched, in whose favour the log will be dropped.
    installing: Option<Writing>,
}

impl Snapshots {
    /// Those found on the disk, with the newest one's bytes.
    pub(super) fn loaded(mut stored: Vec<(EpochEnd, u64)>, bytes: Bytes) -> Snapshots {
        stored.sort_by_key(|(id, _)| *id);
        Snapshots { stored, bytes, taking: None, installing: None }
    }

    /// The newest.
    pub(super) fn latest_id(&self) -> Option<EpochEnd> {
        self.stored.last().map(|(id, _)| *id)
    }

    /// The oldest.
    pub(super) fn earliest_id(&self) -> Option<EpochEnd> {
        self.stored.first().map(|(id, _)| *id)
    }

    /// The newest, with what is in it.
    pub(super) fn latest(&self) -> Option<(EpochEnd, Bytes)> {
        self.latest_id().map(|id| (id, self.bytes.clone()))
    }

    /// Whether a fetched one is on its way to the platter.
    pub(super) fn is_installing(&self) -> bool {
        self.installing.is_some()
    }

    /// Whether a reply is about one that is being written.
    pub(super) fn is_mine(&self, reply: &DiskReply) -> bool {
        [&self.taking, &self.installing].into_iter().flatten().any(|w| w.replacement.is_mine(reply))
    }

    fn has(&self, id: EpochEnd) -> bool {
        self.stored.iter().any(|(stored, _)| *stored == id)
    }

    fn store(&mut self, writing: Writing) -> EpochEnd {
        self.stored.push((writing.id, writing.bytes.len() as u64));
        self.stored.sort_by_key(|(id, _)| *id);
        if self.latest_id() == Some(writing.id) {
            self.bytes = writing.bytes;
        }
        writing.id
    }

    /// Removes those before `id`.
    fn forget_before(&mut self, id: EpochEnd, disk: &mut DiskWork) {
        let keep = self.stored.partition_point(|(stored, _)| *stored < id);
        for (old, _) in self.stored.drain(..keep) {
            disk.push(DiskRequest { tag: DiskTag(0), file: file(old), op: DiskOp::Remove });
        }
    }

    fn size(&self) -> u64 {
        self.stored.iter().map(|(_, size)| size).sum()
    }
}

impl Quorum {
    /// Writes a snapshot of everything before `end`, which must be committed and polled. The log's beginning
    /// follows when log and snapshots outgrow `metadata.max.retention.bytes`.
    ///
    /// Does nothing if there is one that reaches as far, if one is being written, or without bytes.
    pub fn take_snapshot(&mut self, _now: Now, end: Offset, bytes: Bytes, cx: &mut Context<'_>) {
        let last = end.before().filter(|_| end <= self.delivery.given);
        let Some(epoch) = last.and_then(|last| self.log.epochs().epoch_of(last)) else { return };
        let id = EpochEnd { epoch, end };
        let newer = self.snapshots.latest_id().is_none_or(|latest| latest.end < end) && !bytes.is_empty();
        if newer && self.snapshots.taking.is_none() && self.snapshots.installing.is_none() {
            self.snapshots.taking = Some(self.write_snapshot(id, bytes, cx));
        }
    }

    fn write_snapshot(&self, id: EpochEnd, bytes: Bytes, cx: &mut Context<'_>) -> Writing {
        // KAFKA-15312: renamed into its place without a flush, it could be empty after a power failure, when
        // the log that it stood for was gone already.
        let flush = !self.museum.has(Bug::SnapshotFileNotSynced);
        let replacement = Replacement::begin(file(id), bytes.clone(), flush, &mut cx.effects.disk);
        Writing { id, bytes, replacement }
    }

    /// Takes a reply about a snapshot that is being written.
    pub(super) fn on_snapshot_disk(
        &mut self,
        now: Now,
        reply: &DiskReply,
        cx: &mut Context<'_>,
    ) -> Result<(), DiskError> {
        let disk = &mut cx.effects.disk;
        for slot in [&mut self.snapshots.taking, &mut self.snapshots.installing] {
            let Some(writing) = slot.as_mut().filter(|w| w.replacement.is_mine(reply)) else { continue };
            if !writing.replacement.on_disk(reply, disk)? {
                return Ok(());
            }
        }
        let taken = self.snapshots.taking.take_if(|w| w.replacement.is_mine(reply));
        let installed = self.snapshots.installing.take_if(|w| w.replacement.is_mine(reply));
        let fetched = installed.is_some();
        let Some(writing) = taken.or(installed) else { return Ok(()) };
        let size = writing.bytes.len() as u64;
        let id = self.snapshots.store(writing);
        cx.effects.note(Event::SnapshotWritten { end: id.end, epoch: id.epoch, size });
        if fetched {
            self.begin_from(now, id, cx);
        } else {
            self.clean(now, cx);
        }
        Ok(())
    }

    /// Drops the oldest snapshots, and the log before the next of them, while all together is too large.
    fn clean(&mut self, now: Now, cx: &mut Context<'_>) {
        let Some(most) = self.config.retention_bytes else { return };
        while let [_, (next, _), ..] = self.snapshots.stored[..]
            && self.log.size() + self.snapshots.size() > most
        {
            let (disk, events) = (&mut cx.effects.disk, &mut cx.effects.events);
            self.log.advance_start(now, next.end, LogStartReason::Snapshot, disk, events);
            self.snapshots.forget_before(next, disk);
        }
    }

    /// A snapshot from the leader is there: the log begins at its end, unless it has it all.
    pub(super) fn begin_from(&mut self, now: Now, id: EpochEnd, cx: &mut Context<'_>) {
        self.drop_log_for(now, id, cx);
        self.raise_high_watermark(id.end, false, cx);
    }

    /// Drops the log in favour of a snapshot, unless the log holds what the snapshot stands for.
    pub(super) fn drop_log_for(&mut self, now: Now, id: EpochEnd, cx: &mut Context<'_>) {
        let agrees = id.end <= self.log.start()
            || id.end.before().and_then(|last| self.log.epochs().epoch_of(last)) == Some(id.epoch);
        if id.end <= self.log.end() && agrees {
            return;
        }
        let high_watermark = self.high_watermark.unwrap_or(self.log.start());
        let (disk, events) = (&mut cx.effects.disk, &mut cx.effects.events);
        self.log.reset_to(now, id.end, TruncateReason::Snapshot, high_watermark, disk, events);
        self.snapshots.forget_before(id, disk);
    }

    /// Begins to fetch the snapshot that the leader names.
    pub(super) fn begin_download(&mut self, now: Now, from: NodeId, id: EpochEnd, cx: &mut Context<'_>) {
        if self.snapshots.has(id) {
            return self.begin_from(now, id, cx);
        }
        if self.snapshots.taking.is_some() {
            // Not two at a time: ours may be the very same.
            self.peers.rest(from, now.monotonic + self.config.retry_backoff);
        } else if let Role::Follower(follower) = &mut self.role {
            follower.download = Some(Download { id, bytes: Vec::new() });
        }
    }

    /// Takes a piece.
    pub(super) fn on_snapshot_fetched(
        &mut self,
        now: Now,
        from: NodeId,
        response: &FetchSnapshotResponse,
        cx: &mut Context<'_>,
    ) {
        let settled = self.settles(now, response.error, response.epoch, response.leader);
        if response.error.is_some() {
            self.peers.rest(from, now.monotonic + self.config.retry_backoff);
        }
        let Role::Follower(follower) = &mut self.role else { return };
        if settled || self.election.leader != Some(from) {
            return;
        }
        follower.until = now.monotonic + self.config.fetch_timeout;
        let Some(download) = &mut follower.download else { return };
        if response.error.is_some() {
            // It is gone, or another by now: the next fetch tells.
            follower.download = None;
            return;
        }
        if response.snapshot != download.id || response.position != download.bytes.len() as u64 {
            return;
        }
        download.bytes.extend_from_slice(&response.bytes);
        if download.bytes.len() as u64 >= response.size
            && let Some(Download { id, bytes }) = follower.download.take()
        {
            self.snapshots.installing = Some(self.write_snapshot(id, bytes.into(), cx));
        }
    }

    /// Gives a piece.
    pub(super) fn on_fetch_snapshot(
        &mut self,
        now: Now,
        request: &FetchSnapshotRequest,
    ) -> FetchSnapshotResponse {
        let piece = self.piece_of(request);
        if piece.is_ok() {
            self.has_fetched(now, request.replica, None);
        }
        FetchSnapshotResponse {
            error: piece.as_ref().err().copied(),
            epoch: self.election.epoch,
            leader: self.election.leader,
            snapshot: request.snapshot,
            size: if piece.is_ok() { self.snapshots.bytes.len() as u64 } else { 0 },
            position: request.position,
            bytes: piece.unwrap_or_default(),
        }
    }

    fn piece_of(&self, request: &FetchSnapshotRequest) -> Result<Bytes, ErrorCode> {
        self.judge_epoch(request.current_leader_epoch)?;
        if self.snapshots.latest_id() != Some(request.snapshot) {
            return Err(ErrorCode::SnapshotNotFound);
        }
        let bytes = &self.snapshots.bytes;
        match usize::try_from(request.position) {
            Ok(from) if from < bytes.len() => {
                Ok(bytes.slice(from..bytes.len().min(from.saturating_add(request.max_bytes as usize))))
            }
            _ => Err(ErrorCode::PositionOutOfRange),
        }
    }
}
