//! What can go wrong with a disk?

use std::time::Duration;

use trial_model::{
    disk::{Dir, FileKind, FileName},
    units::{Ratio, TopicPartition},
};

/// What a faulty disk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// Operations of a kind fail with this chance (`EIO`). Of a failed write a part may have been carried
    /// out.
    Errors {
        /// Which kind.
        on: OpKind,
        /// How likely.
        chance: Ratio,
    },
    /// No space is left for anything new.
    Full,
    /// Every operation takes `factor` times as long, and `add` more.
    Slow {
        /// Longer by this much.
        add: Duration,
        /// Longer by this factor; 1 leaves it at that.
        factor: u32,
    },
    /// What is flushed while this lasts is not, though the disk says so: a volatile write cache.
    LyingFlush,
    /// Flips one drawn bit of one drawn stored file, once, when the fault begins.
    BitRot(RotIn),
    /// Flips one drawn bit of the next read of such a file that returns anything; what is stored is good.
    BitRotOfRead(RotIn),
}

/// What an operation does, as faults tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpKind {
    /// Changes files or names.
    Write,
    /// Brings something to the platter: a flush or directory sync.
    Flush,
    /// Reads or lists.
    Read,
}

/// Which files rot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RotIn {
    /// Segments of partitions, not of the controllers' log.
    #[default]
    Segments,
    /// Segments of the controllers' log.
    MetadataSegments,
    /// Segments of this log.
    Log(TopicPartition),
    /// Any file.
    Anything,
    /// This one.
    File(FileName),
}

impl RotIn {
    /// Whether `file` is one of them.
    pub fn includes(self, file: &FileName) -> bool {
        let of_metadata = matches!(file.dir, Dir::Log(partition) if partition.is_metadata());
        match self {
            RotIn::Segments => matches!(file.kind, FileKind::Segment(_)) && !of_metadata,
            RotIn::MetadataSegments => matches!(file.kind, FileKind::Segment(_)) && of_metadata,
            RotIn::Log(log) => matches!(file.kind, FileKind::Segment(_)) && file.dir == Dir::Log(log),
            RotIn::Anything => true,
            RotIn::File(wanted) => wanted == *file,
        }
    }
}
