//! Which files are there, and what happens to one?

use bytes::Bytes;
use trial_model::{
    disk::{Content, Dir, DiskError, FileName},
    rng::Rng,
    time::Instant,
    units::Ratio,
};

use super::{
    inode::Inode,
    names::{ByDir, ByName, Change, InodeId, PlatterNames},
};

/// A name that somebody has to do with, found once and not looked for again.
pub(super) type FileId = u32;

/// A directory that somebody has had to do with: where it stands among all of them.
type DirId = u32;

/// All files of a disk, as the page cache has them and as the platter does.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    ids: ByName<FileId>,
    files: Vec<File>,
    free_files: Vec<FileId>,
    dirs: ByDir<DirId>,
    /// Until when each directory is busy at most: when the last operation is done that was asked for in it.
    dirs_busy: Vec<Instant>,
    /// The latest of these times.
    busy: Instant,
    inodes: Vec<Option<Inode>>,
    free_inodes: Vec<InodeId>,
    platter: PlatterNames,
    /// How many bytes the files that have a name take.
    used: u64,
    /// How many names were taken away since the last look for content without any.
    removed: usize,
}

#[derive(Clone, Debug)]
struct File {
    name: FileName,
    dir: DirId,
    /// Its content, if the file is there.
    inode: Option<InodeId>,
    /// How many operations wait for it.
    held: u32,
    /// When the last of them is done.
    busy_until: Instant,
}

/// Who waits for what.
impl Files {
    /// The file of that name, whether it is there or not, until `release`.
    pub(super) fn hold(&mut self, name: FileName) -> FileId {
        let id = self.id(name);
        self.files[id as usize].held += 1;
        id
    }

    /// Takes back one `hold`.
    pub(super) fn release(&mut self, id: FileId) {
        self.files[id as usize].held -= 1;
        self.drop_if_idle(id);
    }

    pub(super) fn busy_until(&self, id: FileId) -> Instant {
        self.files[id as usize].busy_until
    }

    pub(super) fn set_busy(&mut self, id: FileId, until: Instant) {
        let file = &mut self.files[id as usize];
        file.busy_until = until;
        let dir = &mut self.dirs_busy[file.dir as usize];
        *dir = until.max(*dir);
        self.busy = until.max(self.busy);
    }

    /// When everything is done that was asked for of files in the directory of this one.
    pub(super) fn dir_busy_until(&self, id: FileId) -> Instant {
        self.dirs_busy[self.files[id as usize].dir as usize]
    }

    /// When everything is done that was asked for.
    pub(super) fn all_busy_until(&self) -> Instant {
        self.busy
    }

    /// What was asked for of the directories will not be done, or at another time.
    pub(super) fn forget_busy_dirs(&mut self) {
        self.dirs_busy.fill(Instant::ZERO);
        self.busy = Instant::ZERO;
    }

    fn id(&mut self, name: FileName) -> FileId {
        if let Some(id) = self.ids.get(&name) {
            return *id;
        }
        let file = File { name, dir: self.dir(name.dir), inode: None, held: 0, busy_until: Instant::ZERO };
        let id = match self.free_files.pop() {
            Some(id) => {
                self.files[id as usize] = file;
                id
            }
            None => {
                self.files.push(file);
                u32::try_from(self.files.len() - 1).expect("a disk has fewer than 2^32 files")
            }
        };
        self.ids.insert(name, id);
        id
    }

    fn dir(&mut self, dir: Dir) -> DirId {
        *self.dirs.entry(dir).or_insert_with(|| {
            self.dirs_busy.push(Instant::ZERO);
            u32::try_from(self.dirs_busy.len() - 1).expect("a disk has fewer than 2^32 directories")
        })
    }

    fn drop_if_idle(&mut self, id: FileId) {
        let file = &self.files[id as usize];
        if file.held == 0 && file.inode.is_none() {
            self.ids.remove(&file.name);
            self.free_files.push(id);
        }
    }
}

/// What is done to one file.
impl Files {
    pub(super) fn len(&self, id: FileId) -> u64 {
        self.inode(id).map_or(0, Inode::len)
    }

    pub(super) fn append(&mut self, at: Instant, id: FileId, content: Content) {
        self.used += content.len();
        self.inode_or_new(at, id).append(at, content);
    }

    pub(super) fn append_part(&mut self, at: Instant, id: FileId, content: &Content, len: u64) {
        self.used += len;
        self.inode_or_new(at, id).append_part(at, content, len);
    }

    pub(super) fn replace(&mut self, at: Instant, id: FileId, bytes: Bytes) {
        self.used = self.used - self.len(id) + bytes.len() as u64;
        self.inode_or_new(at, id).replace(at, bytes);
    }

    pub(super) fn truncate(&mut self, at: Instant, id: FileId, len: u64) -> Result<(), DiskError> {
        let inode = self.inode_mut(id).ok_or(DiskError::NotFound)?;
        let cut = inode.len().saturating_sub(len);
        inode.truncate(at, len);
        self.used -= cut;
        Ok(())
    }

    pub(super) fn rename(&mut self, at: Instant, id: FileId, to: FileName) -> Result<(), DiskError> {
        let File { name, inode, .. } = self.files[id as usize];
        let inode = inode.ok_or(DiskError::NotFound)?;
        if name == to {
            return Ok(());
        }
        let target = self.id(to);
        self.used -= self.len(target);
        self.removed += usize::from(self.files[target as usize].inode.is_some());
        self.files[id as usize].inode = None;
        self.files[target as usize].inode = Some(inode);
        self.platter.change(at, Change::Rename(name, to, inode));
        self.collect();
        Ok(())
    }

    pub(super) fn remove(&mut self, at: Instant, id: FileId) {
        let File { name, inode, .. } = self.files[id as usize];
        if let Some(inode) = inode {
            self.used -= self.len(id);
            self.removed += 1;
            self.files[id as usize].inode = None;
            self.platter.change(at, Change::Remove(name, inode));
            self.collect();
        }
    }

    pub(super) fn flush(&mut self, id: FileId) {
        if let Some(inode) = self.inode_mut(id) {
            inode.flush();
        }
    }

    pub(super) fn write_back(&mut self, id: FileId, until: Instant) {
        if let Some(inode) = self.inode_mut(id) {
            inode.write_back(until);
        }
    }

    pub(super) fn read(&self, id: FileId, at: u64, len: u64) -> Option<Bytes> {
        self.inode(id).map(|inode| inode.read(at, len))
    }

    pub(super) fn flip(&mut self, name: FileName, at: u64, bit: u8) {
        if let Some(id) = self.ids.get(&name).copied()
            && let Some(inode) = self.inode_mut(id)
        {
            inode.flip(at, bit);
        }
    }

    fn inode(&self, id: FileId) -> Option<&Inode> {
        let inode = self.files[id as usize].inode?;
        self.inodes[inode as usize].as_ref()
    }

    fn inode_mut(&mut self, id: FileId) -> Option<&mut Inode> {
        let inode = self.files[id as usize].inode?;
        self.inodes[inode as usize].as_mut()
    }

    #[inline]
    fn inode_or_new(&mut self, at: Instant, id: FileId) -> &mut Inode {
        let inode = match self.files[id as usize].inode {
            Some(inode) => inode,
            None => self.create(at, id),
        };
        self.inodes[inode as usize].as_mut().expect("a file that is there has content")
    }

    fn create(&mut self, at: Instant, id: FileId) -> InodeId {
        let inode = match self.free_inodes.pop() {
            Some(inode) => {
                self.inodes[inode as usize] = Some(Inode::default());
                inode
            }
            None => {
                self.inodes.push(Some(Inode::default()));
                u32::try_from(self.inodes.len() - 1).expect("a disk has fewer than 2^32 files")
            }
        };
        let file = &mut self.files[id as usize];
        file.inode = Some(inode);
        self.platter.change(at, Change::Create(file.name, inode));
        inode
    }
}

/// What is done to all of them.
impl Files {
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Every file with its length, in order.
    pub(super) fn sorted(&self) -> Vec<(FileName, u64)> {
        let there = self.ids.values().filter(|id| self.files[**id as usize].inode.is_some());
        let mut all: Vec<_> = there.map(|id| (self.files[*id as usize].name, self.len(*id))).collect();
        all.sort_unstable();
        all
    }

    pub(super) fn read_named(&self, name: FileName) -> Option<Bytes> {
        self.ids.get(&name).and_then(|id| self.read(*id, 0, u64::MAX))
    }

    pub(super) fn remove_dir(&mut self, at: Instant, dir: Dir) {
        let is_there = |id: FileId| self.files[id as usize].inode.is_some();
        let inside = self.ids.iter().filter(|(name, id)| name.dir == dir && is_there(**id));
        let mut inside: Vec<(FileName, FileId)> = inside.map(|(name, id)| (*name, *id)).collect();
        inside.sort_unstable();
        for (_, id) in inside {
            self.used -= self.len(id);
            self.removed += 1;
            self.files[id as usize].inode = None;
            self.drop_if_idle(id);
        }
        self.platter.change(at, Change::RemoveDir(dir));
        self.collect();
    }

    pub(super) fn sync_dir(&mut self, dir: Dir) {
        self.platter.sync(dir);
        self.collect();
    }

    /// Whether it is worth a look whether some changes of names have reached the platter by themselves.
    pub(super) fn has_many_unsynced(&self) -> bool {
        self.platter.has_many_unsynced()
    }

    /// Brings to the platter what was done to names up to `until`.
    pub(super) fn write_back_names(&mut self, until: Instant) {
        self.platter.write_back(until);
    }

    /// Brings to the platter whatever was done up to `until`.
    pub(super) fn write_back_all(&mut self, until: Instant) {
        self.platter.write_back(until);
        self.inodes.iter_mut().flatten().for_each(|inode| inode.write_back(until));
    }

    /// Goes on with what the platter has, and a drawn part of what it does not.
    pub(super) fn lose_power(&mut self, rng: &mut Rng, holes: Ratio) {
        self.platter.lose_power(rng);
        self.ids.clear();
        self.files.clear();
        self.free_files.clear();
        self.dirs.clear();
        self.dirs_busy.clear();
        self.busy = Instant::ZERO;
        self.used = 0;
        for (name, inode) in self.platter.sorted() {
            let id = self.id(name);
            self.files[id as usize].inode = Some(inode);
            let inode = self.inodes[inode as usize].as_mut().expect("a name on the platter has content");
            inode.lose_power(rng, holes);
            self.used += inode.len();
        }
        self.forget_nameless();
    }

    /// Now and then, frees what has no name any more, neither here nor on the platter.
    fn collect(&mut self) {
        if self.removed > 64 + self.inodes.len() / 4 {
            self.forget_nameless();
        }
    }

    fn forget_nameless(&mut self) {
        self.removed = 0;
        let mut is_named = vec![false; self.inodes.len()];
        let live = self.files.iter().filter_map(|file| file.inode);
        live.chain(self.platter.inodes()).for_each(|inode| is_named[inode as usize] = true);
        for (inode, is_named) in is_named.into_iter().enumerate() {
            if !is_named && self.inodes[inode].take().is_some() {
                self.free_inodes.push(inode as InodeId);
            }
        }
    }
}

#[cfg(test)]
impl Files {
    /// How much content is held, with a name or without.
    pub(super) fn inodes_kept(&self) -> usize {
        self.inodes.iter().flatten().count()
    }
}
