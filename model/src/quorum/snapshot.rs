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

/// A snapshot on the platter.
#[derive(Clone, Debug)]
struct Stored {
    id: EpochEnd,
    size: u64,
    /// What is in it; of those from a former life only the newest is read.
    bytes: Option<Bytes>,
}

/// The snapshots that a member has.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    /// Every one on the disk, the oldest first.
    stored: Vec<Stored>,
    /// One that our application took.
    taking: Option<Writing>,
    /// One that was fetched, in whose favour the log will be dropped.
    installing: Option<Writing>,
}

impl Snapshots {
    /// Those found on the disk and their sizes, with the newest one's bytes.
    pub(super) fn loaded(mut found: Vec<(EpochEnd, u64)>, newest: Bytes) -> Snapshots {
        found.sort();
        let mut stored: Vec<Stored> =
            found.into_iter().map(|(id, size)| Stored { id, size, bytes: None }).collect();
        if let Some(last) = stored.last_mut() {
            last.bytes = Some(newest);
        }
        Snapshots { stored, taking: None, installing: None }
    }

    /// The newest.
    pub(super) fn latest_id(&self) -> Option<EpochEnd> {
        self.stored.last().map(|stored| stored.id)
    }

    /// The oldest.
    pub(super) fn earliest_id(&self) -> Option<EpochEnd> {
        self.stored.first().map(|stored| stored.id)
    }

    /// The newest, with what is in it.
    pub(super) fn latest(&self) -> Option<(EpochEnd, Bytes)> {
        self.stored.last().and_then(|stored| Some((stored.id, stored.bytes.clone()?)))
    }

    fn bytes_of(&self, id: EpochEnd) -> Option<&Bytes> {
        self.stored.iter().find(|stored| stored.id == id)?.bytes.as_ref()
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
        self.stored.iter().any(|stored| stored.id == id)
    }

    fn store(&mut self, id: EpochEnd, bytes: Bytes) {
        self.stored.push(Stored { id, size: bytes.len() as u64, bytes: Some(bytes) });
        self.stored.sort_by_key(|stored| stored.id);
    }

    /// Removes those before `id`.
    fn forget_before(&mut self, id: EpochEnd, disk: &mut DiskWork) {
        let keep = self.stored.partition_point(|stored| stored.id < id);
        for old in self.stored.drain(..keep) {
            disk.push(DiskRequest { tag: DiskTag(0), file: file(old.id), op: DiskOp::Remove });
        }
    }

    fn size(&self) -> u64 {
        self.stored.iter().map(|stored| stored.size).sum()
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
        let Some(Writing { id, bytes, .. }) = taken.or(installed) else { return Ok(()) };
        let size = bytes.len() as u64;
        self.snapshots.store(id, bytes);
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
        // KAFKA-14238: the retention of ordinary logs went over the metadata log, too, and knew of no snapshot.
        if self.log.size() > most
            && self.museum.has(Bug::LogCleanedPastSnapshot)
            && let Some(to) = self.high_watermark
        {
            let (disk, events) = (&mut cx.effects.disk, &mut cx.effects.events);
            self.log.advance_start(now, to, LogStartReason::Retention, disk, events);
        }
        while let [_, next, ..] = &self.snapshots.stored[..]
            && self.log.size() + self.snapshots.size() > most
        {
            let next = next.id;
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
        let error = piece.as_ref().err().copied();
        let (size, bytes) = piece.unwrap_or_default();
        FetchSnapshotResponse {
            error,
            epoch: self.election.epoch,
            leader: self.election.leader,
            snapshot: request.snapshot,
            size,
            position: request.position,
            bytes,
        }
    }

    /// The size of the whole, and a piece.
    fn piece_of(&self, request: &FetchSnapshotRequest) -> Result<(u64, Bytes), ErrorCode> {
        self.judge_epoch(request.current_leader_epoch)?;
        let whole = self.snapshots.bytes_of(request.snapshot).ok_or(ErrorCode::SnapshotNotFound)?;
        match usize::try_from(request.position) {
            Ok(from) if from < whole.len() => {
                let to = whole.len().min(from.saturating_add(request.max_bytes as usize));
                Ok((whole.len() as u64, whole.slice(from..to)))
            }
            _ => Err(ErrorCode::PositionOutOfRange),
        }
    }
}
