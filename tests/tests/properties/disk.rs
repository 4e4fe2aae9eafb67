//! What is a disk at its worst? It carries out requests in any order that is allowed, and forgets everything
//! that nobody asked it to keep.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use trial_model::disk::{Content, DiskDone, DiskError, DiskOp, DiskReply, DiskRequest, DiskWork, FileName};

/// A file's content, as the page cache has it and as the platter does.
#[derive(Clone, Debug, Default)]
struct File {
    cache: Vec<u8>,
    flushed: Vec<u8>,
}

/// Files that are told apart from their names, as names and contents are lost apart.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    names: BTreeMap<FileName, usize>,
    synced: BTreeMap<FileName, usize>,
    queue: VecDeque<DiskRequest>,
}

/// What a draw decides: each call returns less than it is given.
pub trait Draws {
    fn below(&mut self, bound: usize) -> usize;
}

impl Disk {
    /// Takes requests over.
    pub fn ask(&mut self, work: &mut DiskWork) {
        self.queue.extend(work.drain(..));
    }

    /// Carries out one of the requests that may be next; `None` if there is none.
    pub fn go_on(&mut self, draws: &mut impl Draws) -> Option<DiskReply> {
        if self.queue.is_empty() {
            return None;
        }
        let chosen = draws.below(self.queue.len());
        let at = self.first_allowed(chosen);
        let request = self.queue.remove(at)?;
        Some(DiskReply {
            tag: request.tag,
            file: request.file,
            outcome: self.carry_out(request.file, request.op),
        })
    }

    /// What must be done first if that at `chosen` is wanted.
    fn first_allowed(&self, chosen: usize) -> usize {
        let wanted = &self.queue[chosen];
        let before = |other: &DiskRequest| match wanted.op {
            // A directory sync comes after everything that was asked for before it.
            DiskOp::SyncDir | DiskOp::List | DiskOp::RemoveDir => true,
            _ => other.file == wanted.file,
        };
        match self.queue.iter().take(chosen).position(before) {
            Some(earlier) => self.first_allowed(earlier),
            None => chosen,
        }
    }

    fn named(&mut self, name: FileName) -> &mut File {
        let fresh = self.files.len();
        let at = *self.names.entry(name).or_insert(fresh);
        if at == fresh {
            self.files.push(File::default());
        }
        &mut self.files[at]
    }

    fn known(&mut self, name: FileName) -> Result<&mut File, DiskError> {
        let at = *self.names.get(&name).ok_or(DiskError::NotFound)?;
        Ok(&mut self.files[at])
    }

    fn carry_out(&mut self, name: FileName, op: DiskOp) -> Result<DiskDone, DiskError> {
        match op {
            DiskOp::Append(Content::Bytes(bytes)) => self.named(name).cache.extend_from_slice(&bytes),
            DiskOp::Append(Content::Batch(batch)) => {
                self.named(name).cache.extend_from_slice(&batch.encode())
            }
            DiskOp::Replace(bytes) => self.named(name).cache = bytes.to_vec(),
            DiskOp::Truncate(len) => self.known(name)?.cache.truncate(len as usize),
            DiskOp::Flush => {
                let file = self.known(name)?;
                file.flushed = file.cache.clone();
                return Ok(DiskDone::Flushed);
            }
            DiskOp::Read { at, len } => {
                let content = &self.known(name)?.cache;
                let from = (at as usize).min(content.len());
                let to = from.saturating_add(len as usize).min(content.len());
                return Ok(DiskDone::Read(Bytes::copy_from_slice(&content[from..to])));
            }
            DiskOp::Rename(suffix) => {
                let file = self.names.remove(&name).ok_or(DiskError::NotFound)?;
                self.names.insert(name.with(suffix), file);
            }
            DiskOp::Remove => drop(self.names.remove(&name)),
            DiskOp::List => return Ok(DiskDone::Listed(self.list())),
            DiskOp::SyncDir => {
                self.synced = self.names.clone();
                return Ok(DiskDone::Flushed);
            }
            DiskOp::RemoveDir => self.names.retain(|other, _| other.dir != name.dir),
        }
        Ok(DiskDone::Written)
    }

    /// Every file and its length.
    pub fn list(&self) -> Vec<(FileName, u64)> {
        self.names.iter().map(|(name, at)| (*name, self.files[*at].cache.len() as u64)).collect()
    }

    /// The process dies: of what it had asked for, some is still carried out, and some in part.
    pub fn lose_process(&mut self, draws: &mut impl Draws) {
        for _ in 0..draws.below(self.queue.len() + 1) {
            self.go_on(draws);
        }
        if let Some(DiskRequest { file, op: DiskOp::Append(content), .. }) = self.queue.pop_front() {
            let bytes = match content {
                Content::Bytes(bytes) => bytes,
                Content::Batch(batch) => batch.encode(),
            };
            let part = draws.below(bytes.len() + 1);
            // Only if nothing else was to be done with the file before: it was the first of all.
            self.named(file).cache.extend_from_slice(&bytes[..part]);
        }
        self.queue.clear();
    }

    /// The power fails: every name that was not synced is lost or kept by itself, and of every file some
    /// of what was not flushed, perhaps with a hole in it.
    pub fn lose_power(&mut self, draws: &mut impl Draws) {
        self.lose_process(draws);
        let names: Vec<FileName> = self.names.keys().chain(self.synced.keys()).copied().collect();
        for name in names {
            let (now, then) = (self.names.get(&name).copied(), self.synced.get(&name).copied());
            let kept = if draws.below(2) == 0 { now } else { then };
            match kept {
                Some(file) => drop(self.names.insert(name, file)),
                None => drop(self.names.remove(&name)),
            }
        }
        self.synced = self.names.clone();
        for file in &mut self.files {
            if file.cache == file.flushed {
                continue;
            }
            let grown = file.cache.len() > file.flushed.len() && file.cache.starts_with(&file.flushed);
            match draws.below(3) {
                // Everything had been written back by chance.
                0 => {}
                1 if grown => {
                    let from = file.flushed.len();
                    file.cache.truncate(from + draws.below(file.cache.len() - from + 1));
                    if draws.below(2) == 0 {
                        let hole = from + draws.below(file.cache.len() - from + 1);
                        file.cache[from..hole].fill(0);
                    }
                }
                _ => file.cache = file.flushed.clone(),
            }
            file.flushed = file.cache.clone();
        }
    }
}
