//! What do tests of logs need? Batches, and a disk that does what it is asked, or only some of it.

use alloc::{collections::BTreeMap, vec::Vec};
use std::string::ToString;

use bytes::Bytes;

use super::{
    Log, Progress,
    batch::{Batch, ProducerStamp},
    codec::BatchBuilder,
    config::LogConfig,
    recovery::{Hints, Loaded, Loader, logs_of},
};
use crate::{
    config::{BrokerConfig, TopicConfig},
    disk::{Content, DiskDone, DiskError, DiskOp, DiskReply, DiskRequest, DiskWork, FileName},
    event::Event,
    museum::Museum,
    time::{Instant, Now, Timestamp},
    units::{LeaderEpoch, Offset, TopicId, TopicPartition},
};

/// A partition like any other.
pub const PARTITION: TopicPartition = TopicPartition::new(TopicId(5), 0);

/// A moment.
pub fn at(millis: u64) -> Now {
    Now { monotonic: Instant(millis * 1_000_000), wall: Timestamp(1_000 + millis as i64) }
}

/// A batch of `count` records of 100 bytes, none of which is like another's.
pub fn batch(count: u64, timestamp: i64) -> Batch {
    let mut builder = BatchBuilder::new();
    for nth in 0..count {
        let value = std::format!("{timestamp}/{nth}{}", "x".repeat(90));
        builder.push(
            Timestamp(timestamp),
            Some(nth.to_string().as_bytes()),
            Some(&value.as_bytes()[..100.min(value.len())]),
            &[],
        );
    }
    builder.build()
}

/// One that a leader of epoch 1 has appended at `base`.
pub fn batch_at(base: u64, count: u64, timestamp: i64) -> Batch {
    let mut batch = batch(count, timestamp);
    batch.assign(Offset(base), LeaderEpoch(1));
    batch
}

/// One of an idempotent producer.
pub fn batch_of(stamp: ProducerStamp, count: u64, timestamp: i64) -> Batch {
    batch(count, timestamp).with_producer(Some(stamp))
}

/// The settings of a log with tiny segments and a tiny cache.
pub fn tiny() -> LogConfig {
    LogConfig {
        segment_bytes: 1_000,
        index_interval_bytes: 200,
        cache_bytes: 400,
        file_delete_delay_ms: core::time::Duration::from_millis(10),
        ..LogConfig::of_partition(&TopicConfig::default(), &BrokerConfig::default())
    }
}

/// A disk in memory: every file with its content as the page cache has it, and as the platter does.
#[derive(Clone, Debug, Default)]
pub struct TestDisk {
    /// What the operating system has.
    pub cache: BTreeMap<FileName, Vec<u8>>,
    /// What survives the power: files whose directory entry was synced, with what was flushed of them.
    pub platter: BTreeMap<FileName, Vec<u8>>,
    flushed: BTreeMap<FileName, Vec<u8>>,
}

impl TestDisk {
    /// Carries out one request.
    pub fn perform(&mut self, request: DiskRequest) -> DiskReply {
        let DiskRequest { tag, file, op } = request;
        DiskReply { tag, file, outcome: self.carry_out(file, op) }
    }

    fn carry_out(&mut self, file: FileName, op: DiskOp) -> Result<DiskDone, DiskError> {
        match op {
            DiskOp::Append(content) => {
                let bytes = match content {
                    Content::Bytes(bytes) => bytes,
                    Content::Batch(batch) => batch.encode(),
                };
                self.cache.entry(file).or_default().extend_from_slice(&bytes);
            }
            DiskOp::Replace(bytes) => drop(self.cache.insert(file, bytes.to_vec())),
            DiskOp::Truncate(len) => {
                self.cache.get_mut(&file).ok_or(DiskError::NotFound)?.truncate(len as usize);
            }
            DiskOp::Flush => {
                let content = self.cache.get(&file).cloned().unwrap_or_default();
                if self.platter.contains_key(&file) {
                    self.platter.insert(file, content.clone());
                }
                self.flushed.insert(file, content);
                return Ok(DiskDone::Flushed);
            }
            DiskOp::Read { at, len } => {
                let content = self.cache.get(&file).ok_or(DiskError::NotFound)?;
                let from = (at as usize).min(content.len());
                let to = from.saturating_add(len as usize).min(content.len());
                return Ok(DiskDone::Read(Bytes::copy_from_slice(&content[from..to])));
            }
            DiskOp::Rename(suffix) => {
                let content = self.cache.remove(&file).ok_or(DiskError::NotFound)?;
                self.cache.insert(file.with(suffix), content);
                let flushed = self.flushed.remove(&file).unwrap_or_default();
                self.flushed.insert(file.with(suffix), flushed);
            }
            DiskOp::Remove => {
                self.cache.remove(&file);
                self.flushed.remove(&file);
            }
            DiskOp::List => return Ok(DiskDone::Listed(self.list())),
            DiskOp::SyncDir => {
                let names: Vec<FileName> = self.cache.keys().copied().filter(|f| f.dir == file.dir).collect();
                self.platter.retain(|name, _| name.dir != file.dir);
                for name in names {
                    self.platter.insert(name, self.flushed.get(&name).cloned().unwrap_or_default());
                }
                return Ok(DiskDone::Flushed);
            }
            DiskOp::RemoveDir => self.cache.retain(|name, _| name.dir != file.dir),
        }
        Ok(DiskDone::Written)
    }

    /// Every file and its length.
    pub fn list(&self) -> Vec<(FileName, u64)> {
        self.cache.iter().map(|(name, content)| (*name, content.len() as u64)).collect()
    }

    /// The power fails and comes back: nothing is left but what was brought to the platter.
    pub fn lose_power(&mut self) {
        self.cache = self.platter.clone();
        self.flushed = self.platter.clone();
    }

    /// Reads a log back.
    pub fn load(&mut self, config: LogConfig, hints: Hints, events: &mut Vec<Event>) -> Loaded {
        let mut work = DiskWork::new();
        let files = logs_of(&self.list()).remove(&PARTITION).unwrap_or_default();
        let mut loader = Loader::begin(PARTITION, config, hints, files, Museum::CLOSED, &mut work);
        loop {
            assert!(!work.is_empty(), "the loader waits for something");
            let reply = self.perform(work.remove(0));
            if let Some(mut loaded) =
                loader.on_disk(at(0), &reply, &mut work, events).expect("the disk is fine")
            {
                self.run(&mut loaded.log, &mut work, events);
                return loaded;
            }
        }
    }

    /// Carries out everything that `log` wants, and tells it.
    pub fn run(&mut self, log: &mut Log, work: &mut DiskWork, events: &mut Vec<Event>) -> Vec<Progress> {
        let mut all = Vec::new();
        while !work.is_empty() {
            let reply = self.perform(work.remove(0));
            all.push(log.on_disk(at(0), &reply, work, events).expect("the disk is fine"));
        }
        all
    }
}
