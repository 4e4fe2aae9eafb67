//! How are small files kept whole? Offsets by partition, the identity of a log, and a file that is either
//! its old or its new content whatever happens in between.

use alloc::{collections::BTreeMap, format};
use core::fmt::Write as _;

use bytes::Bytes;

use crate::{
    disk::{DiskDone, DiskError, DiskOp, DiskReply, DiskRequest, DiskTag, DiskWork, FileName, Suffix},
    units::{Offset, TopicId, TopicPartition},
};

/// An offset for every partition, as Kafka's checkpoint files have it: a version, how many, and a line for
/// each. Topics are named by id, for a broker learns names only from the metadata log.
pub fn encode_offsets(offsets: &BTreeMap<TopicPartition, Offset>) -> Bytes {
    let mut text = format!("0\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{} {} {offset}", partition.topic, partition.partition);
    }
    text.into()
}

/// From what `encode_offsets` wrote; `None` if it is damaged.
pub fn decode_offsets(bytes: &[u8]) -> Option<BTreeMap<TopicPartition, Offset>> {
    let text = core::str::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
    if lines.next()? != "0" {
        return None;
    }
    let count: usize = lines.next()?.parse().ok()?;
    let mut offsets = BTreeMap::new();
    for line in lines {
        let mut words = line.split(' ');
        let topic = TopicId(words.next()?.parse().ok()?);
        let partition = words.next()?.parse().ok()?;
        let offset = Offset(words.next()?.parse().ok()?);
        if words.next().is_some() {
            return None;
        }
        offsets.insert(TopicPartition { topic, partition }, offset);
    }
    (offsets.len() == count).then_some(offsets)
}

/// The content of `partition.metadata`: whose log the directory holds (KIP-516).
pub fn encode_partition_metadata(topic: TopicId) -> Bytes {
    format!("version: 0\ntopic_id: {topic}\n").into()
}

/// From what `encode_partition_metadata` wrote; `None` if it is damaged.
pub fn decode_partition_metadata(bytes: &[u8]) -> Option<TopicId> {
    let text = core::str::from_utf8(bytes).ok()?;
    let id = text.strip_prefix("version: 0\ntopic_id: ")?.strip_suffix('\n')?;
    id.parse().ok().map(TopicId)
}

/// A small file that is replaced whole: written under another name, flushed, renamed, the directory synced.
/// Whatever happens in between, the disk holds its old content or its new one.
///
/// Saving again while a save is under way is allowed: the latest content wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtomicFile {
    file: FileName,
    tag: DiskTag,
    stage: Stage,
    next: Option<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    Writing,
    Flushing,
    Renaming,
    Syncing,
}

impl AtomicFile {
    /// `file`, whose requests will bear `tag`.
    pub fn new(file: FileName, tag: DiskTag) -> AtomicFile {
        AtomicFile { file, tag, stage: Stage::Idle, next: None }
    }

    /// Which file.
    pub fn file(&self) -> FileName {
        self.file
    }

    /// Makes `content` the file's.
    pub fn save(&mut self, content: Bytes, disk: &mut DiskWork) {
        if self.stage == Stage::Idle {
            self.ask(Stage::Writing, DiskOp::Replace(content), disk);
        } else {
            self.next = Some(content);
        }
    }

    /// Whether nothing is under way: what was saved last is durable.
    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }

    /// Whether `reply` answers a request of this file's.
    pub fn owns(&self, reply: &DiskReply) -> bool {
        self.stage != Stage::Idle && reply.tag == self.tag && reply.file == self.file.with(Suffix::Tmp)
    }

    /// Takes a reply that it `owns` and goes on; says whether a save has become durable by it.
    pub fn on_disk(&mut self, reply: &DiskReply, disk: &mut DiskWork) -> Result<bool, DiskError> {
        let done: &Result<DiskDone, DiskError> = &reply.outcome;
        if let Err(error) = done {
            self.stage = Stage::Idle;
            return Err(*error);
        }
        match self.stage {
            Stage::Idle => {}
            Stage::Writing => self.ask(Stage::Flushing, DiskOp::Flush, disk),
            Stage::Flushing => self.ask(Stage::Renaming, DiskOp::Rename(Suffix::None), disk),
            Stage::Renaming => self.ask(Stage::Syncing, DiskOp::SyncDir, disk),
            Stage::Syncing => {
                self.stage = Stage::Idle;
                if let Some(content) = self.next.take() {
                    self.save(content, disk);
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn ask(&mut self, stage: Stage, op: DiskOp, disk: &mut DiskWork) {
        self.stage = stage;
        disk.push(DiskRequest { tag: self.tag, file: self.file.with(Suffix::Tmp), op });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FileKind;

    #[test]
    fn offsets_come_back_and_damage_is_seen() {
        let at = |topic, partition| TopicPartition::new(TopicId(topic), partition);
        let offsets = BTreeMap::from([(at(7, 0), Offset(12)), (at(7, 1), Offset(0))]);
        let bytes = encode_offsets(&offsets);
        assert_eq!(decode_offsets(&bytes), Some(offsets));
        assert_eq!(decode_offsets(&bytes[..bytes.len() - 3]), None);
        assert_eq!(decode_offsets(b"1\n0\n"), None);
    }

    #[test]
    fn a_log_knows_whose_it_is() {
        let bytes = encode_partition_metadata(TopicId(9));
        assert_eq!(decode_partition_metadata(&bytes), Some(TopicId(9)));
        assert_eq!(decode_partition_metadata(&bytes[..10]), None);
    }

    #[test]
    fn a_file_is_renamed_only_once_its_content_is_flushed() {
        let mut file = AtomicFile::new(FileName::of_root(FileKind::HighWatermarks), DiskTag(3));
        let mut disk = DiskWork::new();
        file.save(Bytes::from_static(b"old"), &mut disk);
        file.save(Bytes::from_static(b"new"), &mut disk);
        let mut ops = alloc::vec::Vec::new();
        while let Some(request) = disk.pop() {
            let reply = DiskReply { tag: request.tag, file: request.file, outcome: Ok(DiskDone::Written) };
            ops.push(request.op);
            assert!(file.owns(&reply));
            file.on_disk(&reply, &mut disk).expect("nothing failed");
        }
        let whole = |content| {
            [DiskOp::Replace(content), DiskOp::Flush, DiskOp::Rename(Suffix::None), DiskOp::SyncDir]
        };
        let expected: alloc::vec::Vec<DiskOp> =
            whole(Bytes::from_static(b"old")).into_iter().chain(whole(Bytes::from_static(b"new"))).collect();
        assert_eq!(ops, expected);
        assert!(file.is_idle());
    }
}
