//! How is the model's disk work done on real files?
//!
//! One thread a node does it in the order it is asked for, which is more order than the model needs. A write
//! is done when the operating system has it, a flush when the device says so.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

use bytes::Bytes;
use trial_model::disk::{
    Content, Dir, DiskDone, DiskError, DiskOp, DiskReply, DiskRequest, DiskWork, FileName,
};

use crate::{
    home::Home,
    paths::{dir_path, file_named, log_named, path_of},
};

/// How many files are kept open: a broker may have more than a process may open.
const OPEN_FILES: usize = 512;

/// A disk whose work is done by a thread of its own.
pub(crate) struct FileDisk {
    work: Option<mpsc::Sender<DiskWork>>,
    thread: Option<JoinHandle<()>>,
}

/// Whether a node has died: then what it has not yet handed to the operating system is lost, and what it has
/// stays, flushed or not.
pub(crate) type Died = Arc<AtomicBool>;

impl FileDisk {
    /// `reply` is told what came of every operation, in the order they were asked for. The directory is kept
    /// until the last is done, or the one that `died` finds under way.
    pub(crate) fn new(
        home: Home,
        died: Died,
        mut reply: impl FnMut(DiskReply) + Send + 'static,
    ) -> io::Result<FileDisk> {
        let (work, todo) = mpsc::channel::<DiskWork>();
        let thread = std::thread::Builder::new().name("disk".into()).spawn(move || {
            let mut files = Files { root: home.path.clone(), open: HashMap::new(), buffer: Vec::new() };
            for work in todo {
                for request in work {
                    if died.load(Ordering::Acquire) {
                        break;
                    }
                    let DiskRequest { tag, file, op } = request;
                    let outcome = files.carry_out(file, op).map_err(|error| in_words(file, &error));
                    reply(DiskReply { tag, file, outcome });
                }
            }
            drop(home);
        })?;
        Ok(FileDisk { work: Some(work), thread: Some(thread) })
    }

    /// Asks for work, and does not wait for it.
    pub(crate) fn ask(&self, work: DiskWork) {
        if let Some(todo) = &self.work {
            // A thread that is gone has panicked, and the node hears nothing more of its disk.
            let _ = todo.send(work);
        }
    }
}

/// What was asked for is done before the disk is gone.
impl Drop for FileDisk {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn in_words(file: FileName, error: &io::Error) -> DiskError {
    match error.kind() {
        io::ErrorKind::NotFound => DiskError::NotFound,
        kind => {
            tracing::error!(%file, %error, "the disk failed");
            match kind {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::Full,
                _ => DiskError::Io,
            }
        }
    }
}

struct Files {
    root: PathBuf,
    open: HashMap<FileName, File>,
    buffer: Vec<u8>,
}

impl Files {
    fn carry_out(&mut self, file: FileName, op: DiskOp) -> io::Result<DiskDone> {
        match op {
            DiskOp::Append(content) => self.append(file, &content).map(|()| DiskDone::Written),
            DiskOp::Replace(bytes) => {
                let mut handle = self.opened(file, true)?;
                handle.set_len(0)?;
                handle.write_all(&bytes)?;
                Ok(DiskDone::Written)
            }
            DiskOp::Truncate(len) => {
                let handle = self.opened(file, false)?;
                let now = handle.metadata()?.len();
                handle.set_len(len.min(now))?;
                Ok(DiskDone::Written)
            }
            DiskOp::Flush => match self.opened(file, false) {
                Ok(handle) => handle.sync_data().map(|()| DiskDone::Flushed),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(DiskDone::Flushed),
                Err(error) => Err(error),
            },
            DiskOp::Read { at, len } => self.read(file, at, len).map(DiskDone::Read),
            DiskOp::Rename(suffix) => {
                let to = file.with(suffix);
                fs::rename(path_of(&self.root, file), path_of(&self.root, to))?;
                self.open.remove(&to);
                if let Some(handle) = self.open.remove(&file) {
                    self.open.insert(to, handle);
                }
                Ok(DiskDone::Written)
            }
            DiskOp::Remove => {
                self.open.remove(&file);
                unless_missing(fs::remove_file(path_of(&self.root, file))).map(|()| DiskDone::Written)
            }
            DiskOp::List => self.list().map(DiskDone::Listed),
            DiskOp::SyncDir => self.sync_dir(file.dir).map(|()| DiskDone::Flushed),
            DiskOp::RemoveDir => {
                self.open.retain(|open, _| open.dir != file.dir);
                if file.dir == Dir::Root {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
                unless_missing(fs::remove_dir_all(dir_path(&self.root, file.dir))).map(|()| DiskDone::Written)
            }
        }
    }

    /// The file, opened; made if it is not there and `make` says so.
    fn opened(&mut self, name: FileName, make: bool) -> io::Result<&File> {
        if !self.open.contains_key(&name) {
            if self.open.len() >= OPEN_FILES {
                // They are opened again as they are asked for.
                self.open.clear();
            }
            let path = path_of(&self.root, name);
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(make);
            let handle = match options.open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && make => {
                    fs::create_dir_all(dir_path(&self.root, name.dir))?;
                    options.open(&path)?
                }
                other => other?,
            };
            self.open.insert(name, handle);
        }
        self.open.get(&name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn append(&mut self, file: FileName, content: &Content) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let bytes: &[u8] = match content {
            Content::Bytes(bytes) => bytes,
            Content::Batch(batch) => {
                batch.encode_into(&mut buffer);
                &buffer
            }
        };
        let done = self.opened(file, true).and_then(|mut handle| handle.write_all(bytes));
        if buffer.capacity() <= 1 << 20 {
            self.buffer = buffer;
        }
        done
    }

    fn read(&mut self, file: FileName, at: u64, len: u64) -> io::Result<Bytes> {
        let handle = self.opened(file, false)?;
        let there = handle.metadata()?.len().saturating_sub(at).min(len);
        let mut bytes = vec![0; usize::try_from(there).map_err(io::Error::other)?];
        let mut read = 0;
        while read < bytes.len() {
            match handle.read_at(&mut bytes[read..], at + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(read);
        Ok(bytes.into())
    }

    /// Every file that the model knows of. Others are left alone.
    fn list(&self) -> io::Result<Vec<(FileName, u64)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if !entry.file_type()?.is_dir() {
                let file = file_named(Dir::Root, name);
                found.extend(
                    file.map(|file| Ok::<_, io::Error>((file, entry.metadata()?.len()))).transpose()?,
                );
                continue;
            }
            let Some(log) = log_named(name) else { continue };
            for entry in fs::read_dir(entry.path())? {
                let entry = entry?;
                let name = entry.file_name();
                if let Some(file) = name.to_str().and_then(|name| file_named(Dir::Log(log), name)) {
                    found.push((file, entry.metadata()?.len()));
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn sync_dir(&self, dir: Dir) -> io::Result<()> {
        let path = dir_path(&self.root, dir);
        unless_missing(File::open(&path).and_then(|dir| dir.sync_all()))?;
        if dir != Dir::Root {
            // The directory itself may be new.
            File::open(&self.root)?.sync_all()?;
        }
        Ok(())
    }
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        disk::{FileKind, Suffix},
        units::{NodeId, Offset, TopicId, TopicPartition},
    };

    use super::*;

    type Tested = Result<(), Box<dyn std::error::Error>>;

    const LOG: FileName = FileName::of_log(TopicPartition::new(TopicId(3), 0), FileKind::Segment(Offset(0)));

    fn files(root: &std::path::Path) -> Files {
        Files { root: root.to_owned(), open: HashMap::new(), buffer: Vec::new() }
    }

    fn append(text: &'static str) -> DiskOp {
        DiskOp::Append(Content::Bytes(Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn what_is_written_is_read_back() -> Tested {
        let directory = tempfile::tempdir()?;
        let mut files = files(directory.path());
        assert!(files.carry_out(LOG, DiskOp::Truncate(0)).is_err());
        files.carry_out(LOG, append("hello "))?;
        files.carry_out(LOG, append("world"))?;
        files.carry_out(LOG, DiskOp::Flush)?;
        files.carry_out(LOG, DiskOp::SyncDir)?;
        let read = |files: &mut Files, at, len| files.carry_out(LOG, DiskOp::Read { at, len });
        assert_eq!(read(&mut files, 6, 100)?, DiskDone::Read(Bytes::from_static(b"world")));
        assert_eq!(read(&mut files, 600, 100)?, DiskDone::Read(Bytes::new()));
        files.carry_out(LOG, DiskOp::Truncate(5))?;
        files.carry_out(LOG, DiskOp::Truncate(500))?;
        assert_eq!(read(&mut files, 0, 100)?, DiskDone::Read(Bytes::from_static(b"hello")));
        assert_eq!(files.carry_out(LOG, DiskOp::List)?, DiskDone::Listed(vec![(LOG, 5)]));
        files.carry_out(LOG, DiskOp::Replace(Bytes::from_static(b"new")))?;
        files.carry_out(LOG, append("er"))?;
        assert_eq!(read(&mut files, 0, 100)?, DiskDone::Read(Bytes::from_static(b"newer")));
        Ok(())
    }

    #[test]
    fn a_renamed_file_goes_on_under_its_new_name() -> Tested {
        let directory = tempfile::tempdir()?;
        let mut files = files(directory.path());
        let gone = LOG.with(Suffix::Deleted);
        files.carry_out(LOG, append("old"))?;
        files.carry_out(LOG, DiskOp::Rename(Suffix::Deleted))?;
        files.carry_out(LOG, append("new"))?;
        files.carry_out(gone, append("er"))?;
        assert_eq!(files.carry_out(LOG, DiskOp::List)?, DiskDone::Listed(vec![(LOG, 3), (gone, 5)]));
        files.carry_out(gone, DiskOp::Remove)?;
        files.carry_out(gone, DiskOp::Remove)?;
        files.carry_out(LOG, DiskOp::RemoveDir)?;
        assert_eq!(files.carry_out(LOG, DiskOp::List)?, DiskDone::Listed(vec![]));
        assert!(files.carry_out(FileName::of_root(FileKind::QuorumState), DiskOp::RemoveDir).is_err());
        Ok(())
    }

    #[test]
    fn what_was_asked_for_is_done_before_the_disk_is_gone() -> Tested {
        let directory = tempfile::tempdir()?;
        let home = Home::enter(directory.path().to_owned(), "lab", NodeId::broker(1))?;
        let disk = FileDisk::new(home, Died::default(), |_| ())?;
        for tag in 0..100 {
            let tag = trial_model::disk::DiskTag(tag);
            disk.ask(vec![DiskRequest { tag, file: LOG, op: append("x") }]);
        }
        drop(disk);
        assert_eq!(fs::read(path_of(directory.path(), LOG))?.len(), 100);
        Ok(())
    }

    #[test]
    fn who_dies_leaves_what_the_system_has_and_no_more() -> Tested {
        let directory = tempfile::tempdir()?;
        let home = Home::enter(directory.path().to_owned(), "lab", NodeId::broker(1))?;
        let (died, (tell, told)) = (Died::default(), mpsc::channel());
        let seen = Arc::clone(&died);
        let disk = FileDisk::new(home, Arc::clone(&died), move |reply| {
            // Dies once the third is done.
            seen.store(reply.tag.0 == 2, Ordering::Release);
            let _ = tell.send(reply.tag.0);
        })?;
        for tag in 0..100 {
            let tag = trial_model::disk::DiskTag(tag);
            disk.ask(vec![DiskRequest { tag, file: LOG, op: append("x") }]);
        }
        drop(disk);
        assert_eq!(fs::read(path_of(directory.path(), LOG))?, b"xxx");
        assert_eq!(told.iter().collect::<Vec<_>>(), [0, 1, 2]);
        Home::enter(directory.path().to_owned(), "lab", NodeId::broker(1))?;
        Ok(())
    }
}
