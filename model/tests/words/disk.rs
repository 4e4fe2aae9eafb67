//! What does a disk in memory keep? A page cache, a platter, and directory entries apart from both.

use std::collections::BTreeMap;

use bytes::Bytes;
use trial_model::{
    disk::{Content, Dir, DiskDone, DiskError, DiskOp, DiskReply, DiskRequest, FileKind, FileName},
    units::TopicPartition,
};

/// A file's bytes, in the page cache and on the platter.
#[derive(Clone, Debug, Default)]
struct Inode {
    cache: Vec<u8>,
    platter: Vec<u8>,
}

/// A disk that does everything it is asked, and forgets at a loss of power whatever it may.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    inodes: Vec<Inode>,
    entries: BTreeMap<FileName, usize>,
    synced: BTreeMap<FileName, usize>,
}

impl Disk {
    /// Carries out one request.
    pub fn perform(&mut self, request: &DiskRequest) -> DiskReply {
        DiskReply { tag: request.tag, file: request.file, outcome: self.outcome(request) }
    }

    fn outcome(&mut self, request: &DiskRequest) -> Result<DiskDone, DiskError> {
        let file = request.file;
        match &request.op {
            DiskOp::Append(Content::Bytes(bytes)) => self.create(file).cache.extend_from_slice(bytes),
            DiskOp::Append(Content::Batch(batch)) => {
                self.create(file).cache.extend_from_slice(&batch.encode())
            }
            DiskOp::Replace(bytes) => self.create(file).cache = bytes.to_vec(),
            DiskOp::Truncate(len) => self.find(file)?.cache.truncate(*len as usize),
            DiskOp::Flush => {
                let inode = self.find(file)?;
                inode.platter = inode.cache.clone();
                return Ok(DiskDone::Flushed);
            }
            DiskOp::Read { at, len } => {
                let cache = &self.find(file)?.cache;
                let from = cache.len().min(*at as usize);
                let to = cache.len().min(from.saturating_add(*len as usize));
                return Ok(DiskDone::Read(Bytes::copy_from_slice(&cache[from..to])));
            }
            DiskOp::Rename(suffix) => {
                let inode = self.entries.remove(&file).ok_or(DiskError::NotFound)?;
                self.entries.insert(file.with(*suffix), inode);
            }
            DiskOp::Remove => drop(self.entries.remove(&file)),
            DiskOp::List => {
                let len = |inode: usize| self.inodes[inode].cache.len() as u64;
                let list = self.entries.iter().map(|(file, inode)| (*file, len(*inode)));
                return Ok(DiskDone::Listed(list.collect()));
            }
            DiskOp::SyncDir => {
                self.synced.retain(|name, _| name.dir != file.dir);
                self.synced.extend(self.entries.iter().filter(|(name, _)| name.dir == file.dir));
                return Ok(DiskDone::Flushed);
            }
            DiskOp::RemoveDir => self.entries.retain(|name, _| name.dir != file.dir),
        }
        Ok(DiskDone::Written)
    }

    /// The segment files of a log and how long they are.
    pub fn segments(&self, partition: TopicPartition) -> Vec<(String, u64)> {
        let of_log =
            |name: &FileName| name.dir == Dir::Log(partition) && matches!(name.kind, FileKind::Segment(_));
        let files = self.entries.iter().filter(|(name, _)| of_log(name));
        files.map(|(name, inode)| (name.to_string(), self.inodes[*inode].cache.len() as u64)).collect()
    }

    fn create(&mut self, file: FileName) -> &mut Inode {
        let inodes = &mut self.inodes;
        let at = *self.entries.entry(file).or_insert_with(|| {
            inodes.push(Inode::default());
            inodes.len() - 1
        });
        &mut self.inodes[at]
    }

    fn find(&mut self, file: FileName) -> Result<&mut Inode, DiskError> {
        let at = *self.entries.get(&file).ok_or(DiskError::NotFound)?;
        Ok(&mut self.inodes[at])
    }

    /// Loses everything that was not flushed and every directory entry that was not synced.
    ///
    /// With `torn`, the unflushed end of each `.log` file keeps all but so many of its last bytes, as when the
    /// operating system had begun to write it back.
    pub fn lose_power(&mut self, torn: Option<usize>) {
        let logs: Vec<usize> = self
            .entries
            .iter()
            .filter(|(name, _)| matches!(name.kind, FileKind::Segment(_)))
            .map(|(_, inode)| *inode)
            .collect();
        if torn.is_none() {
            self.entries = self.synced.clone();
        }
        self.synced = self.entries.clone();
        for (nth, inode) in self.inodes.iter_mut().enumerate() {
            match torn.filter(|_| logs.contains(&nth)) {
                Some(lost) => {
                    let kept = inode.cache.len().saturating_sub(lost).max(inode.platter.len());
                    inode.cache.truncate(kept);
                }
                None => inode.cache = inode.platter.clone(),
            }
            inode.platter = inode.cache.clone();
        }
    }
}
