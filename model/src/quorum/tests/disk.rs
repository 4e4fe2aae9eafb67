//! What does a small disk keep: a page cache, a platter, and directory entries apart from both?

use std::{collections::BTreeMap, vec::Vec};

use bytes::Bytes;

use crate::{
    disk::{Content, Dir, DiskDone, DiskError, DiskOp, DiskReply, DiskRequest, FileName},
    rng::Rng,
    units::Ratio,
};

/// A file's bytes, in the page cache and on the platter.
#[derive(Clone, Debug, Default)]
struct Inode {
    cache: Vec<u8>,
    platter: Vec<u8>,
}

/// A disk; only what was flushed and whose directory was synced survives `lose_power` for sure.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    inodes: Vec<Inode>,
    entries: BTreeMap<FileName, usize>,
    synced: BTreeMap<FileName, usize>,
}

impl Disk {
    /// Carries out one operation.
    pub(super) fn perform(&mut self, request: &DiskRequest) -> DiskReply {
        let outcome = self.outcome(request);
        DiskReply { tag: request.tag, file: request.file, outcome }
    }

    fn outcome(&mut self, request: &DiskRequest) -> Result<DiskDone, DiskError> {
        let file = request.file;
        match &request.op {
            DiskOp::Append(content) => {
                let bytes = match content {
                    Content::Bytes(bytes) => bytes.clone(),
                    Content::Batch(batch) => batch.encode(),
                };
                self.create(file).cache.extend_from_slice(&bytes);
            }
            DiskOp::Replace(bytes) => self.create(file).cache = bytes.to_vec(),
            DiskOp::Truncate(len) => {
                let len = usize::try_from(*len).expect("a small file");
                self.find(file)?.cache.truncate(len);
            }
            DiskOp::Flush => {
                let inode = self.find(file)?;
                inode.platter = inode.cache.clone();
                return Ok(DiskDone::Flushed);
            }
            DiskOp::Read { at, len } => {
                let cache = &self.find(file)?.cache;
                let from = cache.len().min(usize::try_from(*at).expect("a small file"));
                let to = cache.len().min(from.saturating_add(usize::try_from(*len).unwrap_or(usize::MAX)));
                return Ok(DiskDone::Read(Bytes::copy_from_slice(&cache[from..to])));
            }
            DiskOp::Rename(suffix) => {
                let inode = self.entries.remove(&file).ok_or(DiskError::NotFound)?;
                self.entries.insert(file.with(*suffix), inode);
            }
            DiskOp::Remove => {
                self.entries.remove(&file);
            }
            DiskOp::List => {
                let list =
                    |(file, inode): (&FileName, &usize)| (*file, self.inodes[*inode].cache.len() as u64);
                return Ok(DiskDone::Listed(self.entries.iter().map(list).collect()));
            }
            DiskOp::SyncDir => {
                self.sync(file.dir);
                return Ok(DiskDone::Flushed);
            }
            DiskOp::RemoveDir => self.entries.retain(|name, _| name.dir != file.dir),
        }
        Ok(DiskDone::Written)
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

    fn sync(&mut self, dir: Dir) {
        self.synced.retain(|name, _| name.dir != dir);
        self.synced.extend(self.entries.iter().filter(|(name, _)| name.dir == dir));
    }

    /// Loses what the platter does not have; each file and the directory may be lucky.
    pub(super) fn lose_power(&mut self, rng: &mut Rng) {
        if rng.chance(Ratio(1, 2)) {
            self.entries = self.synced.clone();
        }
        self.synced = self.entries.clone();
        for inode in &mut self.inodes {
            match rng.below(4) {
                0 => {}
                1 if inode.cache.len() > inode.platter.len() => {
                    // A torn tail.
                    let len = rng.between(inode.platter.len() as u64, inode.cache.len() as u64);
                    inode.cache.truncate(usize::try_from(len).expect("a small file"));
                }
                _ => inode.cache = inode.platter.clone(),
            }
            inode.platter = inode.cache.clone();
        }
    }
}
