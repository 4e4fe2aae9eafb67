//! How does a broker find its feet after a start?
//!
//! It lists its disk, reads the small files of the root directory, takes the mark of a clean shutdown away
//! before anything else can happen, and reads every log back. Each disk reply is a place where it may die.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};

use bytes::Bytes;

use super::{Broker, replicas::Replica};
use crate::{
    disk::{Dir, DiskDone, DiskError, DiskOp, DiskReply, DiskRequest, DiskTag, FileKind, FileName, Suffix},
    event::{BrokerState, Event},
    log::{
        checkpoints::decode_offsets,
        config::LogConfig,
        recovery::{Hints, Listed, Loaded, Loader, logs_of},
    },
    machine::Effects,
    museum::Bug,
    partition::Partition,
    time::Now,
    units::{BrokerEpoch, Offset, TopicPartition},
};

/// The tag of what a start asks of the root directory.
const TAG: DiskTag = DiskTag(1);

/// The files of the root directory that a start reads.
const ROOT_FILES: [FileKind; 5] = [
    FileKind::CleanShutdown,
    FileKind::RecoveryPoints,
    FileKind::HighWatermarks,
    FileKind::LogStarts,
    FileKind::CleanerOffsets,
];

/// How far a start has come.
#[derive(Clone, Debug, Default)]
pub struct Startup {
    logs: BTreeMap<TopicPartition, Vec<Listed>>,
    root: BTreeMap<FileKind, Bytes>,
    /// How many root files are still to be read.
    unread: usize,
    /// Whether the mark of a clean shutdown stood there.
    clean: bool,
    /// Whether the logs are being read.
    loading: bool,
    loaders: BTreeMap<TopicPartition, Loader>,
    high_watermarks: BTreeMap<TopicPartition, Offset>,
}

/// What the mark of a clean shutdown says: the broker epoch of the life that ended (KIP-966).
pub(super) fn encode_marker(epoch: Option<BrokerEpoch>) -> Bytes {
    match epoch {
        Some(epoch) => alloc::format!("version: 0\nbroker_epoch: {epoch}\n").into(),
        None => Bytes::from_static(b"version: 0\n"),
    }
}

fn decode_marker(bytes: &[u8]) -> Option<BrokerEpoch> {
    let text = core::str::from_utf8(bytes).ok()?;
    let epoch = text.strip_prefix("version: 0\nbroker_epoch: ")?.strip_suffix('\n')?;
    epoch.parse().ok().map(BrokerEpoch)
}

fn ask(kind: FileKind, op: DiskOp, effects: &mut Effects) {
    effects.disk.push(DiskRequest { tag: TAG, file: FileName::of_root(kind), op });
}

impl Broker {
    pub(super) fn begin_startup(&mut self, effects: &mut Effects) {
        self.startup = Some(Box::default());
        ask(FileKind::MetaProperties, DiskOp::List, effects);
    }

    pub(super) fn on_root_disk(&mut self, now: Now, reply: &DiskReply, effects: &mut Effects) {
        if reply.tag != TAG {
            return self.on_checkpoint_disk(reply, effects);
        }
        let Some(startup) = &mut self.startup else { return };
        match (&reply.outcome, reply.file.kind) {
            (Ok(DiskDone::Listed(files)), _) => {
                let present = begin_reading(startup, files, effects);
                if !present {
                    self.root_is_read(now, effects);
                }
            }
            (Ok(DiskDone::Read(bytes)), kind) => {
                startup.root.insert(kind, bytes.clone());
                startup.unread -= 1;
                if startup.unread == 0 {
                    self.root_is_read(now, effects);
                }
            }
            // The mark is gone, and durably so: from here on a death is an unclean one.
            (Ok(DiskDone::Flushed), FileKind::CleanShutdown) if !startup.loading => {
                self.load_logs(now, effects);
            }
            (Ok(_), _) => {}
            (Err(error), _) => self.disk_failed(reply, *error, effects),
        }
    }

    /// The small files are in memory: it may register, and read its logs.
    fn root_is_read(&mut self, now: Now, effects: &mut Effects) {
        let museum = self.museum();
        let Some(startup) = &mut self.startup else { return };
        let marker = startup.root.get(&FileKind::CleanShutdown);
        startup.clean = marker.is_some();
        let previous = marker.and_then(|bytes| decode_marker(bytes));
        self.life.may_register(previous, now.monotonic);
        // KAFKA-10471: the mark used to stay until every log was read, and nobody waited for its removal to
        // be durable. After a second death it could still stand there, and what was torn by then was taken
        // for whole.
        if startup.clean && !museum.has(Bug::CleanMarkerSurvivesCrashInLoad) {
            remove_marker(effects);
            ask(FileKind::CleanShutdown, DiskOp::SyncDir, effects);
        } else {
            self.load_logs(now, effects);
        }
    }

    fn load_logs(&mut self, now: Now, effects: &mut Effects) {
        let museum = self.museum();
        let config = LogConfig::of_partition(&self.topic_defaults, &self.config);
        let Some(startup) = &mut self.startup else { return };
        startup.loading = true;
        let offsets =
            |kind| startup.root.get(&kind).and_then(|bytes| decode_offsets(bytes)).unwrap_or_default();
        let recovery_points: BTreeMap<TopicPartition, Offset> = offsets(FileKind::RecoveryPoints);
        let log_starts: BTreeMap<TopicPartition, Offset> = offsets(FileKind::LogStarts);
        startup.high_watermarks = offsets(FileKind::HighWatermarks);
        let cleaned = offsets(FileKind::CleanerOffsets);
        for (partition, files) in core::mem::take(&mut startup.logs) {
            let hints = Hints {
                clean: startup.clean,
                recovery_point: recovery_points.get(&partition).copied().unwrap_or_default(),
                log_start: log_starts.get(&partition).copied().unwrap_or_default(),
            };
            let loader = Loader::begin(partition, config.clone(), hints, files, museum, &mut effects.disk);
            startup.loaders.insert(partition, loader);
        }
        self.restore_cleaner(cleaned);
        self.finish_startup_if_loaded(now, effects);
    }

    /// The disk has answered about a log that has no replica yet, or none any more.
    pub(super) fn on_loading_disk(
        &mut self,
        now: Now,
        partition: TopicPartition,
        reply: &DiskReply,
        effects: &mut Effects,
    ) {
        let loader = self.startup.as_mut().and_then(|startup| startup.loaders.get_mut(&partition));
        let outcome = match loader {
            Some(loader) => loader.on_disk(now, reply, &mut effects.disk, &mut effects.events),
            None => match &reply.outcome {
                Err(error) if *error != DiskError::NotFound => Err(*error),
                _ => Ok(None),
            },
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(loaded)) => {
                self.loaded(partition, loaded, effects);
                self.finish_startup_if_loaded(now, effects);
            }
            Err(error) => self.disk_failed(reply, error, effects),
        }
    }

    fn loaded(&mut self, partition: TopicPartition, mut loaded: Loaded, effects: &mut Effects) {
        loaded.log.restore_cleaned(self.cleaned_before(partition));
        let min_isr = self.topic_defaults.min_insync_replicas;
        let Some(startup) = &mut self.startup else { return };
        startup.loaders.remove(&partition);
        let saved = startup.high_watermarks.get(&partition).copied().unwrap_or_default();
        let replica = Partition::new(loaded.log, saved, min_isr);
        effects.note(Event::HighWatermarkRestored { partition, to: replica.high_watermark() });
        let slot = self.replicas.add(Replica::new(replica));
        self.watch_log(Some(slot));
    }

    fn finish_startup_if_loaded(&mut self, _now: Now, effects: &mut Effects) {
        let Some(startup) = &self.startup else { return };
        if !startup.loading || !startup.loaders.is_empty() {
            return;
        }
        if startup.clean && self.museum().has(Bug::CleanMarkerSurvivesCrashInLoad) {
            remove_marker(effects);
        }
        self.startup = None;
        self.life.recovered();
        self.set_state(BrokerState::Starting, effects);
    }
}

/// Asks for the root files that are there; says whether there is any.
fn begin_reading(startup: &mut Startup, files: &[Listed], effects: &mut Effects) -> bool {
    startup.logs = logs_of(files);
    startup.logs.remove(&TopicPartition::METADATA);
    for (file, length) in files {
        if file.dir == Dir::Root && file.suffix == Suffix::None && ROOT_FILES.contains(&file.kind) {
            ask(file.kind, DiskOp::Read { at: 0, len: *length }, effects);
            startup.unread += 1;
        }
    }
    startup.unread > 0
}

fn remove_marker(effects: &mut Effects) {
    ask(FileKind::CleanShutdown, DiskOp::Remove, effects);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_of_a_clean_shutdown_bears_the_epoch() {
        assert_eq!(decode_marker(&encode_marker(Some(BrokerEpoch(17)))), Some(BrokerEpoch(17)));
        assert_eq!(decode_marker(&encode_marker(None)), None);
        assert_eq!(decode_marker(b"version: 0\nbroker_epoch: 1"), None, "torn");
    }
}
