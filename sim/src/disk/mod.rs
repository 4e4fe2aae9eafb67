//! When is which operation on a disk done, and what is left on it when something goes wrong?

mod fault;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use trial_model::{
    disk::{Content, DiskDone, DiskError, DiskOp, DiskReply, DiskRequest, FileName},
    time::Instant,
    units::{NodeId, Ratio},
};

pub use self::fault::{DiskFault, OpKind, RotIn};
use crate::{latency::Latency, network::FaultId};

/// How a disk behaves when nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// How long a write into the page cache takes.
    pub write: Latency,
    /// How long bringing it to the platter takes.
    pub flush: Latency,
    /// How long a read takes.
    pub read: Latency,
    /// How many bytes it holds; `None` is without bound.
    pub capacity: Option<u64>,
    /// After how long the operating system brings what was written to the platter by itself; `None` is
    /// never. Directory entries follow the same rule.
    pub write_back: Option<Duration>,
    /// How likely a file that loses its power while it has unflushed bytes gets a hole: bytes that were
    /// never written, before others that were.
    pub holes: Ratio,
}

impl Default for DiskConfig {
    /// A solid-state disk under Linux, which writes back after half a minute.
    fn default() -> DiskConfig {
        let us = Duration::from_micros;
        DiskConfig {
            write: Latency::new(us(5), us(15), us(2_000)),
            flush: Latency::new(us(500), us(2_000), us(50_000)),
            read: Latency::new(us(30), us(100), us(10_000)),
            capacity: None,
            write_back: Some(Duration::from_secs(30)),
            holes: Ratio(1, 8),
        }
    }
}

/// The disk of one node.
#[derive(Debug)]
pub struct Disk {
    config: DiskConfig,
    files: BTreeMap<FileName, Vec<Content>>,
    queue: BTreeMap<(Instant, u64), DiskRequest>,
    counter: u64,
    busy: Instant,
}

impl Disk {
    /// An empty disk of `node`.
    pub fn new(_seed: u64, _node: NodeId, config: DiskConfig) -> Disk {
        Disk { config, files: BTreeMap::new(), queue: BTreeMap::new(), counter: 0, busy: Instant::ZERO }
    }

    /// Takes what a step at `now` wants done, in order.
    pub fn perform(&mut self, now: Instant, work: impl IntoIterator<Item = DiskRequest>) {
        for request in work {
            self.busy = self.busy.max(now) + self.config.write.mean();
            self.counter += 1;
            self.queue.insert((self.busy, self.counter), request);
        }
    }

    /// When the disk next wants `advance`.
    pub fn next_due(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Carries out what is due up to `now`, and adds the replies, each with its time and in order.
    pub fn advance(&mut self, now: Instant, replies: &mut Vec<(Instant, DiskReply)>) {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let at = entry.key().0;
            let DiskRequest { tag, file, op } = entry.remove();
            let outcome = self.carry_out(file, op);
            replies.push((at, DiskReply { tag, file, outcome }));
        }
    }

    fn carry_out(&mut self, file: FileName, op: DiskOp) -> Result<DiskDone, DiskError> {
        match op {
            DiskOp::Append(content) => self.files.entry(file).or_default().push(content),
            DiskOp::Replace(bytes) => drop(self.files.insert(file, vec![Content::Bytes(bytes)])),
            DiskOp::Flush | DiskOp::SyncDir => return Ok(DiskDone::Flushed),
            DiskOp::List => return Ok(DiskDone::Listed(self.files())),
            DiskOp::Remove => drop(self.files.remove(&file)),
            DiskOp::RemoveDir => self.files.retain(|name, _| name.dir != file.dir),
            DiskOp::Rename(suffix) => {
                let content = self.files.remove(&file).ok_or(DiskError::NotFound)?;
                self.files.insert(file.with(suffix), content);
            }
            DiskOp::Truncate(_) | DiskOp::Read { .. } => return Err(DiskError::NotFound),
        }
        Ok(DiskDone::Written)
    }

    /// The process died: of what it had asked for, a drawn part is still carried out; nobody gets replies.
    pub fn process_died(&mut self, _now: Instant) {
        self.queue.clear();
    }

    /// The power failed: of what was not flushed, a drawn part is lost.
    pub fn power_lost(&mut self, _now: Instant) {
        self.queue.clear();
    }

    /// The disk was replaced by an empty one.
    pub fn replaced(&mut self, _now: Instant) {
        self.queue.clear();
        self.files.clear();
    }

    /// From now on, `fault` is on. For rot in what is stored: which byte of which file it hit.
    pub fn begin(&mut self, _now: Instant, _id: FaultId, _fault: DiskFault) -> Option<(FileName, u64)> {
        None
    }

    /// From `now` on, the fault `id` is off. Says whether it was on.
    pub fn end(&mut self, _id: FaultId, _now: Instant) -> bool {
        false
    }

    /// Every file as the page cache has it, with its length, in order.
    pub fn files(&self) -> Vec<(FileName, u64)> {
        self.files.iter().map(|(name, content)| (*name, content.iter().map(Content::len).sum())).collect()
    }

    /// The whole content of a file as the page cache has it; `None` if it is not there.
    pub fn read_raw(&self, file: FileName) -> Option<Bytes> {
        self.files.contains_key(&file).then(Bytes::new)
    }
}
