//! What can a node ask of its disk, and what comes back?
//!
//! The page cache and the platter are different places: a write is *done* when the operating system has it
//! (it survives the process), and *flushed* when the platter has it (it survives the power). A new file, a
//! rename or a removal survives the power only after its directory was synced. Nothing here is a path: a
//! file is named by what it is, and the real disk spells it as Kafka does.

use alloc::vec::Vec;
use core::{
    fmt,
    hash::{Hash, Hasher},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    log::batch::Batch,
    units::{LeaderEpoch, Offset, TopicPartition},
};

/// A directory of a node's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dir {
    /// The `log.dir` itself.
    Root,
    /// The directory of one log, `orders-0`, inside it.
    Log(TopicPartition),
}

/// What a file is. The comment gives Kafka's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// `meta.properties`
    MetaProperties,
    /// `.kafka_cleanshutdown`
    CleanShutdown,
    /// `recovery-point-offset-checkpoint`
    RecoveryPoints,
    /// `replication-offset-checkpoint`
    HighWatermarks,
    /// `log-start-offset-checkpoint`
    LogStarts,
    /// `quorum-state`
    QuorumState,
    /// `partition.metadata`
    PartitionMetadata,
    /// `leader-epoch-checkpoint`
    LeaderEpochs,
    /// `00000000000000000042.log`, by the first offset it may hold
    Segment(Offset),
    /// `00000000000000000042.index`
    OffsetIndex(Offset),
    /// `00000000000000000042.timeindex`
    TimeIndex(Offset),
    /// `00000000000000000042.snapshot`: producer state as of the offset
    ProducerSnapshot(Offset),
    /// `00000000000000000042-0000000007.checkpoint`: the metadata image as of an end offset and its epoch
    MetadataSnapshot(Offset, LeaderEpoch),
    /// `cleaner-offset-checkpoint`
    CleanerOffsets,
}

/// A stage in the life of a file, Kafka's file name suffix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suffix {
    /// The file itself.
    #[default]
    None,
    /// `.tmp`: being written, to be renamed.
    Tmp,
    /// `.cleaned`: being written by the cleaner.
    Cleaned,
    /// `.swap`: about to take the place of what it was cleaned from.
    Swap,
    /// `.deleted`: waiting to be removed.
    Deleted,
}

/// One file of a node's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileName {
    /// Where it lies.
    pub dir: Dir,
    /// What it is.
    pub kind: FileKind,
    /// Which stage of it.
    pub suffix: Suffix,
}

impl FileName {
    /// The file `kind` of the log of `partition`.
    pub const fn of_log(partition: TopicPartition, kind: FileKind) -> FileName {
        FileName { dir: Dir::Log(partition), kind, suffix: Suffix::None }
    }

    /// The file `kind` of the root directory.
    pub const fn of_root(kind: FileKind) -> FileName {
        FileName { dir: Dir::Root, kind, suffix: Suffix::None }
    }

    /// The same file at another stage.
    #[must_use]
    pub const fn with(self, suffix: Suffix) -> FileName {
        FileName { suffix, ..self }
    }
}

/// The path as Kafka spells it, below the log directory.
impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Dir::Log(partition) = self.dir {
            write!(f, "{partition}/")?;
        }
        match self.kind {
            FileKind::MetaProperties => f.write_str("meta.properties"),
            FileKind::CleanShutdown => f.write_str(".kafka_cleanshutdown"),
            FileKind::RecoveryPoints => f.write_str("recovery-point-offset-checkpoint"),
            FileKind::HighWatermarks => f.write_str("replication-offset-checkpoint"),
            FileKind::LogStarts => f.write_str("log-start-offset-checkpoint"),
            FileKind::CleanerOffsets => f.write_str("cleaner-offset-checkpoint"),
            FileKind::QuorumState => f.write_str("quorum-state"),
            FileKind::PartitionMetadata => f.write_str("partition.metadata"),
            FileKind::LeaderEpochs => f.write_str("leader-epoch-checkpoint"),
            FileKind::Segment(base) => write!(f, "{:020}.log", base.0),
            FileKind::OffsetIndex(base) => write!(f, "{:020}.index", base.0),
            FileKind::TimeIndex(base) => write!(f, "{:020}.timeindex", base.0),
            FileKind::ProducerSnapshot(end) => write!(f, "{:020}.snapshot", end.0),
            FileKind::MetadataSnapshot(end, epoch) => write!(f, "{:020}-{:010}.checkpoint", end.0, epoch.0),
        }?;
        f.write_str(match self.suffix {
            Suffix::None => "",
            Suffix::Tmp => ".tmp",
            Suffix::Cleaned => ".cleaned",
            Suffix::Swap => ".swap",
            Suffix::Deleted => ".deleted",
        })
    }
}

/// What is written: bytes, or record batches that the disk encodes when their bytes are wanted.
///
/// A batch stands for exactly `batch.size()` bytes, those of `Batch::encode`. The simulated disk keeps the
/// value and shares its payload; the real one writes the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Plain bytes.
    Bytes(Bytes),
    /// One batch.
    Batch(Batch),
}

impl Content {
    /// How many bytes it takes on disk.
    pub fn len(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Batch(batch) => batch.size() as u64,
        }
    }

    /// Whether it takes none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Names one operation, so that its reply finds who waits for it. The node's own number: the disk only
/// hands it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskTag(pub u64);

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DiskOp {
    /// Adds to the end of a file, which is created if it is not there.
    Append(Content),
    /// Makes `0` the whole content of a file, which is created if it is not there. Not atomic: write a
    /// `.tmp` file, flush it and rename it where that matters.
    Replace(Bytes),
    /// Cuts a file down to a length. Fails with `NotFound` if it is not there.
    Truncate(u64),
    /// Brings everything written to the file to the platter (`fsync`); not its directory entry.
    Flush,
    /// Reads up to `len` bytes from `at`; fewer at the end of the file.
    Read {
        /// Where to begin, in bytes from the start of the file.
        at: u64,
        /// How many bytes at most.
        len: u64,
    },
    /// Gives the file another stage, replacing a file that stood there.
    Rename(Suffix),
    /// Removes the file. Done also if it was not there.
    Remove,
    /// Lists every file on the disk with its length, in order. The file named is of no meaning.
    List,
    /// Brings creations, renames and removals in the file's directory to the platter.
    SyncDir,
    /// Removes the file's directory and all in it; durable after the root directory was synced.
    RemoveDir,
}

/// One operation on one file. Operations on one file are carried out in the order asked for; those on
/// different files in any order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DiskRequest {
    /// Comes back in the reply.
    pub tag: DiskTag,
    /// Which file.
    pub file: FileName,
    /// What to do with it.
    pub op: DiskOp,
}

/// Everything a step wants of the disk.
pub type DiskWork = Vec<DiskRequest>;

/// What came of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DiskReply {
    /// The request's.
    pub tag: DiskTag,
    /// The request's.
    pub file: FileName,
    /// The answer, or why there is none.
    pub outcome: Result<DiskDone, DiskError>,
}

/// The answer to an operation that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskDone {
    /// An append, replacement, truncation, rename or removal is in the page cache.
    Written,
    /// A flush or directory sync has reached the platter; everything asked for before it on the same file
    /// (or directory) has, too.
    Flushed,
    /// What was read: fewer bytes than asked for at the end of the file.
    Read(Bytes),
    /// Every file and its length, in order.
    Listed(Vec<(FileName, u64)>),
}

/// What was read counts by its length and its two ends: recovery reads whole logs, and what a log holds was
/// hashed when it was written.
impl Hash for DiskDone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        const END: usize = 32;
        match self {
            DiskDone::Written => state.write_u8(0),
            DiskDone::Flushed => state.write_u8(1),
            DiskDone::Read(bytes) => {
                state.write_u8(2);
                state.write_u64(bytes.len() as u64);
                state.write(&bytes[..bytes.len().min(END)]);
                state.write(&bytes[bytes.len().saturating_sub(END)..]);
            }
            DiskDone::Listed(files) => {
                state.write_u8(3);
                files.hash(state);
            }
        }
    }
}

/// Why an operation failed. Nothing is known of how much of it was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskError {
    /// The device failed (`EIO`).
    Io,
    /// No space is left (`ENOSPC`).
    Full,
    /// There is no such file.
    NotFound,
}
