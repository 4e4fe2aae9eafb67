//! What is left of a log after a death, and what of it can be trusted?
//!
//! A segment is *trusted* if its index files were made of a file of just this length, and it was flushed by
//! the word of the recovery point or of a clean shutdown. From the first that is not, everything is read:
//! the log ends where a batch is torn, damaged or does not follow the one before it. Epochs, indexes and
//! producers' sequences are taken from their files as far as the trusted part goes, and made anew from
//! there. What is kept is brought to the platter before the log is handed out, so that another death finds
//! no less.

mod repair;
mod swapping;

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use bytes::Bytes;

use super::{
    Log,
    batch::Batch,
    checkpoints,
    codec::Corrupt,
    config::LogConfig,
    epochs::Epochs,
    producers::{ProducerBatch, Producers},
    segment::Segment,
    tail::Tail,
    underway::Wait,
};
use crate::{
    disk::{Dir, DiskDone, DiskError, DiskOp, DiskReply, DiskRequest, DiskWork, FileKind, FileName, Suffix},
    event::Event,
    museum::{Bug, Museum},
    time::Now,
    units::{LeaderEpoch, Offset, TopicId, TopicPartition},
};

/// How many bytes of a segment are read at once.
const CHUNK: u64 = 256 << 10;

/// A file that the disk has, and its length.
pub type Listed = (FileName, u64);

/// The logs of a disk: what `DiskOp::List` found, by partition. Files of the root directory are left out.
pub fn logs_of(listed: &[Listed]) -> BTreeMap<TopicPartition, Vec<Listed>> {
    let mut logs: BTreeMap<TopicPartition, Vec<Listed>> = BTreeMap::new();
    for (file, length) in listed {
        if let Dir::Log(partition) = file.dir {
            logs.entry(partition).or_default().push((*file, *length));
        }
    }
    logs
}

/// What the root directory's checkpoints say of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Whether the node shut down cleanly (`.kafka_cleanshutdown` stood there, and was removed before this).
    pub clean: bool,
    /// Up to here the log was flushed. Zero if that is not known, as for the metadata log: everything is
    /// checked then.
    pub recovery_point: Offset,
    /// Where the log began. Zero if that is not known.
    pub log_start: Offset,
}

/// A log that was read back.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The log. All of it is flushed.
    pub log: Log,
    /// The topic that `partition.metadata` names; `None` if that file is gone or damaged.
    pub topic: Option<TopicId>,
    /// How many bytes of a torn tail were cut off.
    pub cut: u64,
}

/// Reads one log back: hand it every disk reply of the log's directory until it returns the log.
#[derive(Clone, Debug)]
pub struct Loader {
    partition: TopicPartition,
    config: LogConfig,
    museum: Museum,
    hints: Hints,
    /// For a cut: the log ends here, and nobody is told of a recovery.
    limit: Option<Offset>,
    counter: u64,
    stage: Stage,
    left: usize,
    /// The requests of the present stage have greater numbers; all are answered before the next.
    stage_from: u64,
    found: BTreeMap<FileName, Bytes>,
    /// The small files that are to be read, once swaps are completed.
    small: Vec<Listed>,
    /// Rewritten segments that had not taken their originals' place, and their lengths, last first.
    swaps: Vec<(Offset, u64)>,
    /// The segment files and their lengths, in order.
    files: Vec<(Offset, u64)>,
    snapshots: Vec<Offset>,
    stale: Vec<FileName>,
    saved_epochs: Option<Epochs>,
    /// The same, or what memory knew before a cut.
    known_epochs: Epochs,
    topic: Option<TopicId>,
    // What comes of it.
    segments: Vec<Segment>,
    epochs: Epochs,
    producers: Producers,
    producers_from: Offset,
    /// What producers had written where a segment begins that was read.
    made: Vec<(Offset, Bytes)>,
    tail: Tail,
    cut: u64,
    trusted: usize,
    steps: VecDeque<Vec<(FileName, DiskOp)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Reading the last of the rewritten segments, from a position and offset on, to learn where it ends.
    Swap { at: u64, end: Offset },
    /// Putting it into its originals' place.
    Swapping,
    /// Reading the small files.
    Small,
    /// Reading a producer snapshot.
    Snapshot(Offset),
    /// Reading the segment that comes after those that are known.
    Scan { at: u64, len: u64 },
    /// Making the disk what the log is.
    Repair,
}

impl Loader {
    /// Begins to read the log of `partition`, whose files are `files`. There is always at least one reply
    /// to come.
    pub fn begin(
        partition: TopicPartition,
        config: LogConfig,
        hints: Hints,
        files: Vec<Listed>,
        museum: Museum,
        disk: &mut DiskWork,
    ) -> Loader {
        let mut loader = Loader::new(partition, config, hints, museum);
        loader.small.push((FileName::of_log(partition, FileKind::PartitionMetadata), 64));
        for (file, length) in files {
            match (file.kind, file.suffix) {
                // These are the quorum's.
                (FileKind::MetadataSnapshot(..), _) | (FileKind::PartitionMetadata, Suffix::None) => {}
                (FileKind::Segment(base), Suffix::None) => loader.files.push((base, length)),
                (FileKind::Segment(base), Suffix::Swap) => loader.swaps.push((base, length)),
                (FileKind::ProducerSnapshot(end), Suffix::None) => loader.snapshots.push(end),
                (_, Suffix::None) => loader.small.push((file, length)),
                _ => loader.stale.push(file),
            }
        }
        loader.files.sort_unstable();
        loader.snapshots.sort_unstable();
        loader.swaps.sort_unstable_by(|a, b| b.cmp(a));
        // Older ones are of segments that were deleted, or of another life of the log.
        let kept = loader.files.first().into_iter().chain(loader.swaps.last());
        let first = kept.map(|(base, _)| *base).min().unwrap_or(hints.log_start);
        let old = loader.snapshots.partition_point(|snapshot| *snapshot < first);
        let old: Vec<Offset> = loader.snapshots.drain(..old).collect();
        loader
            .stale
            .extend(old.into_iter().map(|s| FileName::of_log(partition, FileKind::ProducerSnapshot(s))));
        loader.next_swap(disk);
        loader
    }

    fn read_small(&mut self, disk: &mut DiskWork) {
        self.stage = Stage::Small;
        for (file, len) in core::mem::take(&mut self.small) {
            self.ask(file, DiskOp::Read { at: 0, len }, disk);
        }
    }

    /// Begins to read `log` anew, to end it at `limit`, which memory does not reach back to.
    pub(super) fn cutting(log: &Log, limit: Offset, disk: &mut DiskWork) -> Loader {
        let hints = Hints { log_start: log.start, ..Hints::default() };
        let mut loader = Loader::new(log.partition, log.config.clone(), hints, log.museum);
        loader.limit = Some(limit);
        loader.counter = log.storing.counter();
        loader.files = log.segments.iter().map(|s| (s.base, u64::from(s.size))).collect();
        loader.snapshots = log.segments.iter().map(|s| s.base).collect();
        loader.segments = log.segments.iter().take_while(|s| s.end <= limit).cloned().collect();
        loader.epochs = log.epochs.clone();
        loader.known_epochs = log.epochs.clone();
        loader.topic = Some(log.partition.topic);
        // Its place is looked for like everything else here: in a step of its own.
        let file = FileName::of_log(log.partition, FileKind::PartitionMetadata);
        loader.ask(file, DiskOp::Read { at: 0, len: 64 }, disk);
        loader
    }

    fn new(partition: TopicPartition, config: LogConfig, hints: Hints, museum: Museum) -> Loader {
        Loader {
            partition,
            config,
            museum,
            hints,
            limit: None,
            counter: 0,
            stage: Stage::Small,
            left: 0,
            stage_from: 0,
            found: BTreeMap::new(),
            small: Vec::new(),
            swaps: Vec::new(),
            files: Vec::new(),
            snapshots: Vec::new(),
            stale: Vec::new(),
            saved_epochs: None,
            known_epochs: Epochs::new(),
            topic: None,
            segments: Vec::new(),
            epochs: Epochs::new(),
            producers: Producers::default(),
            producers_from: Offset::ZERO,
            made: Vec::new(),
            tail: Tail::default(),
            cut: 0,
            trusted: 0,
            steps: VecDeque::new(),
        }
    }

    /// Whose log it is.
    pub fn partition(&self) -> TopicPartition {
        self.partition
    }

    /// The number of the newest tag.
    pub(super) fn counter(&self) -> u64 {
        self.counter
    }

    fn file(&self, kind: FileKind) -> FileName {
        FileName::of_log(self.partition, kind)
    }

    fn ask(&mut self, file: FileName, op: DiskOp, disk: &mut DiskWork) {
        if self.left == 0 {
            self.stage_from = self.counter;
        }
        self.counter += 1;
        self.left += 1;
        disk.push(DiskRequest { tag: Wait::Load.tag(self.counter), file, op });
    }

    /// Takes a disk reply of the log's directory; returns the log once it stands.
    ///
    /// An error is the disk's: there will be no log.
    pub fn on_disk(
        &mut self,
        _now: Now,
        reply: &DiskReply,
        disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) -> Result<Option<Loaded>, DiskError> {
        let number = reply.tag.0 & Wait::NUMBER;
        if self.left == 0 || number <= self.stage_from || number > self.counter {
            return Ok(None);
        }
        let bytes = match &reply.outcome {
            Ok(DiskDone::Read(bytes)) => Some(bytes.clone()),
            Ok(_) => None,
            Err(DiskError::NotFound) if !matches!(self.stage, Stage::Repair | Stage::Swapping) => None,
            Err(error) => return Err(*error),
        };
        self.left -= 1;
        match self.stage {
            Stage::Swap { at, end } => self.measure_swap(at, end, bytes.unwrap_or_default(), disk),
            Stage::Swapping => self.go_on_swapping(disk),
            Stage::Small => {
                self.found.extend(bytes.map(|bytes| (reply.file, bytes)));
                if self.left == 0 {
                    self.trust();
                    self.next_snapshot(disk);
                }
            }
            Stage::Snapshot(end) => self.take_snapshot(end, bytes, disk),
            Stage::Scan { at, len } => self.scan(at, len, bytes.unwrap_or_default(), disk),
            Stage::Repair => {}
        }
        if self.stage == Stage::Repair && self.left == 0 && !self.next_step(disk) {
            return Ok(Some(self.finish(disk, events)));
        }
        Ok(None)
    }

    /// Takes the small files at their word where they agree with each other.
    fn trust(&mut self) {
        if self.limit.is_some() {
            // What memory knew of the segments before the cut is as good as ever.
            self.trusted = self.segments.len();
            return;
        }
        let found = core::mem::take(&mut self.found);
        let partition = self.partition;
        let get = |kind| found.get(&FileName::of_log(partition, kind)).map(|bytes| &bytes[..]);
        self.topic = get(FileKind::PartitionMetadata).and_then(checkpoints::decode_partition_metadata);
        self.saved_epochs = get(FileKind::LeaderEpochs).and_then(Epochs::decode);
        self.known_epochs = self.saved_epochs.clone().unwrap_or_default();
        for (nth, (base, length)) in self.files.iter().enumerate() {
            let (index, times) = (get(FileKind::OffsetIndex(*base)), get(FileKind::TimeIndex(*base)));
            let (Some(index), Some(times)) = (index, times) else { break };
            let Some(segment) = Segment::decode(*base, *length, index, times) else { break };
            let follows = self.segments.last().is_none_or(|before| before.end == *base);
            let flushed = segment.end <= self.hints.recovery_point && nth + 1 < self.files.len();
            if !follows || !(flushed || self.hints.clean) {
                break;
            }
            self.segments.push(segment);
        }
        match &self.saved_epochs {
            Some(saved) if self.covers(saved) => self.epochs = saved.clone(),
            // Whoever does not know the epochs of what is trusted must look at it.
            _ => self.segments.clear(),
        }
        let known = |file: &FileName| match file.kind {
            FileKind::OffsetIndex(base) | FileKind::TimeIndex(base) => {
                self.segments.iter().any(|segment| segment.base == base)
            }
            _ => true,
        };
        let stale: Vec<FileName> = found.keys().filter(|file| !known(file)).copied().collect();
        self.stale.extend(stale);
        self.trusted = self.segments.len();
    }

    /// Whether `epochs` may be those of the trusted segments: it has one for the first record, and that of
    /// the last for the last.
    fn covers(&self, epochs: &Epochs) -> bool {
        let mut filled = self.segments.iter().filter(|segment| !segment.is_empty());
        let Some(first) = filled.next() else { return true };
        let last = filled.next_back().unwrap_or(first);
        let start = first.base.max(self.hints.log_start);
        let at_end = last.end.before().and_then(|at| epochs.epoch_of(at));
        let at_start = epochs.epoch_of(start).is_some() || first.gaps;
        start >= last.end || (at_start && at_end == Some(last.last_epoch))
    }

    fn trusted_end(&self) -> Offset {
        match (self.segments.last(), self.files.first()) {
            (Some(segment), _) => segment.end,
            (None, Some((base, _))) => *base,
            (None, None) => self.hints.log_start,
        }
    }

    /// Reads the newest producer snapshot that is of use, or goes on without.
    fn next_snapshot(&mut self, disk: &mut DiskWork) {
        let end = self.trusted_end();
        let at = self.snapshots.partition_point(|snapshot| *snapshot <= end);
        match at.checked_sub(1).filter(|_| self.config.producers) {
            Some(at) => {
                let snapshot = self.snapshots[at];
                self.stage = Stage::Snapshot(snapshot);
                let file = self.file(FileKind::ProducerSnapshot(snapshot));
                self.ask(file, DiskOp::Read { at: 0, len: u64::from(u32::MAX) }, disk);
            }
            None => {
                if self.config.producers {
                    // Without one, everything must be looked at.
                    self.segments.clear();
                }
                let start = self.trusted_end();
                self.begin_scan(Producers::new(start), start, disk);
            }
        }
    }

    fn take_snapshot(&mut self, end: Offset, bytes: Option<Bytes>, disk: &mut DiskWork) {
        let producers = bytes.and_then(|bytes| Producers::decode(&bytes, end));
        match producers {
            Some(producers) => self.begin_scan(producers, end, disk),
            // KAFKA-9892: see where snapshots are saved.
            None if self.museum.has(Bug::ProducerSnapshotNotSynced) => {
                self.begin_scan(Producers::new(end), end, disk);
            }
            None => {
                self.stale.push(self.file(FileKind::ProducerSnapshot(end)));
                self.snapshots.retain(|snapshot| *snapshot != end);
                self.next_snapshot(disk);
            }
        }
    }

    /// Reads everything from the end of the segments that are known, or that the producers are known at.
    fn begin_scan(&mut self, producers: Producers, from: Offset, disk: &mut DiskWork) {
        (self.producers, self.producers_from) = (producers, from);
        while self.config.producers && self.segments.last().is_some_and(|segment| segment.end > from) {
            self.segments.pop();
        }
        self.trusted = self.segments.len();
        if self.segments.is_empty() {
            self.epochs.clear();
        } else {
            self.epochs.truncate_from_end(self.trusted_end());
        }
        self.next_segment(disk);
    }

    /// Reads the segment after the last that is known; or, after the last of all, goes on.
    fn next_segment(&mut self, disk: &mut DiskWork) {
        let Some((base, _)) = self.files.get(self.segments.len()).copied() else { return self.repair(None) };
        if !self.segments.is_empty() && base != self.trusted_end() {
            return self.repair(None);
        }
        if self.config.producers && base > self.producers_from {
            // KAFKA-5249: a snapshot was filed under another offset than that up to which it counted.
            let before = self.made.last().filter(|_| self.museum.has(Bug::ProducerSnapshotWrongOffset));
            let state = before.map_or_else(|| self.producers.encode(), |(_, before)| before.clone());
            self.made.push((base, state));
        }
        self.segments.push(Segment::new(base));
        self.read_on(0, CHUNK, disk);
    }

    fn read_on(&mut self, at: u64, len: u64, disk: &mut DiskWork) {
        let Some(segment) = self.segments.last() else { return };
        self.stage = Stage::Scan { at, len };
        self.ask(self.file(FileKind::Segment(segment.base)), DiskOp::Read { at, len }, disk);
    }

    /// Takes the bytes of the last segment from `at` on, of which `len` were asked for.
    fn scan(&mut self, at: u64, len: u64, mut bytes: Bytes, disk: &mut DiskWork) {
        let got = bytes.len() as u64;
        // A mutant: where a read ends, a batch is cut in two that is whole on the disk.
        let goes_on = got == len && !self.museum.has(Bug::ReadEndTakenForTorn);
        loop {
            let position = at + (got - bytes.len() as u64);
            match Batch::decode(&mut bytes) {
                Ok(batch) if self.follows(&batch) => self.accept(batch),
                Err(Corrupt::Incomplete { needs }) if goes_on => {
                    // The read ends inside a batch, or just before one.
                    return self.read_on(position, CHUNK.max(needs as u64), disk);
                }
                Err(Corrupt::Incomplete { .. }) if bytes.is_empty() => return self.next_segment(disk),
                Ok(_) | Err(_) => {
                    return self.repair(Some(position));
                }
            }
        }
    }

    /// Whether a batch may stand behind what is known.
    fn follows(&self, batch: &Batch) -> bool {
        let epoch = self.epochs.latest().is_none_or(|latest| batch.leader_epoch() >= latest);
        let within = self.limit.is_none_or(|limit| batch.end_offset() <= limit);
        // Within a file offsets may be missing, for cleaning leaves gaps. Between files they may not: there, what
        // is missing was lost.
        epoch && within && batch.base_offset() >= self.trusted_end()
    }

    /// Epochs that began among records that were cleaned away are known from their file alone: without them
    /// an epoch before would seem to reach further than it did, and a log that parted from this one there would
    /// not be cut.
    fn recall_epochs(&mut self, missing: core::ops::Range<Offset>, newest: LeaderEpoch) {
        let known = self.known_epochs.entries().iter();
        for (epoch, start) in known.filter(|(epoch, start)| *epoch <= newest && missing.contains(start)) {
            self.epochs.assign(*epoch, *start);
        }
    }

    fn accept(&mut self, batch: Batch) {
        let header = *batch.header();
        // KAFKA-10432: a batch of epoch zero was passed over, for zero was taken for "no epoch".
        let lost = self.museum.has(Bug::EpochZeroLostOnRecovery) && header.leader_epoch.0 == 0;
        let missing = self.trusted_end()..header.base_offset;
        if !lost && !missing.is_empty() {
            self.recall_epochs(missing, header.leader_epoch);
        }
        if !lost {
            self.epochs.assign(header.leader_epoch, header.base_offset);
        }
        if let Some(stamp) = header.producer.filter(|_| self.config.producers && !batch.is_control())
            && header.base_offset >= self.producers_from
        {
            self.producers.append(stamp.id, stamp.epoch, ProducerBatch::of(&batch, stamp));
        }
        let segment = self.segments.last_mut().expect("the segment that is read is the last");
        let position = segment.append(&batch, self.config.index_interval_bytes);
        self.tail.push(batch, position, self.config.cache_bytes);
    }
}
