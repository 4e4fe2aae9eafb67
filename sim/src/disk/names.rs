//! Which file has which name, now and on the platter?

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use trial_model::{
    disk::{Dir, FileName},
    rng::Rng,
    time::Instant,
    units::Ratio,
};

/// A file whatever its name: where its content stands.
pub(super) type InodeId = u32;

/// Names as the platter has them, and what was done to them since.
#[derive(Clone, Debug, Default)]
pub(super) struct PlatterNames {
    names: ByName<InodeId>,
    /// What was done, by the directory whose sync makes it durable: a broker has thousands, and syncs one at a time.
    unsynced: ByDir<Vec<Unsynced>>,
    /// How many changes that are.
    count: usize,
    /// How many there ever were.
    changes: u64,
    /// How many were left unsynced when last looked at.
    left: usize,
}

#[derive(Clone, Copy, Debug)]
struct Unsynced {
    at: Instant,
    /// Which of all changes of the disk it is.
    nth: u64,
    change: Change,
}

/// What happens to names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Create(FileName, InodeId),
    Rename(FileName, FileName, InodeId),
    Remove(FileName, InodeId),
    RemoveDir(Dir),
}

impl PlatterNames {
    /// Remembers a change in the page cache.
    pub(super) fn change(&mut self, at: Instant, change: Change) {
        let dir = match change {
            Change::Create(name, _) | Change::Rename(name, ..) | Change::Remove(name, _) => name.dir,
            Change::RemoveDir(_) => Dir::Root,
        };
        self.changes += 1;
        self.count += 1;
        self.unsynced.entry(dir).or_default().push(Unsynced { at, nth: self.changes, change });
    }

    /// Brings every change in `dir` to the platter.
    pub(super) fn sync(&mut self, dir: Dir) {
        let mut settled = self.unsynced.remove(&dir).unwrap_or_default();
        if dir != Dir::Root
            && let Some(in_root) = self.unsynced.get_mut(&Dir::Root)
        {
            // A directory made again under its name is durable only after its predecessor's removal.
            let is_removal = |it: &mut Unsynced| matches!(it.change, Change::RemoveDir(gone) if gone == dir);
            settled.extend(in_root.extract_if(.., is_removal));
        }
        self.settle(settled);
    }

    /// Brings every change up to `until` to the platter.
    pub(super) fn write_back(&mut self, until: Instant) {
        let lists = self.unsynced.values_mut();
        let settled = lists.flat_map(|list| list.extract_if(.., |it| it.at <= until)).collect();
        self.unsynced.retain(|_, list| !list.is_empty());
        self.settle(settled);
    }

    /// Whether many have come to those that were left when last looked at.
    #[inline]
    pub(super) fn has_many_unsynced(&self) -> bool {
        self.count > 2 * self.left + 64
    }

    /// Keeps each unsynced change or loses it, by draw.
    pub(super) fn lose_power(&mut self, rng: &mut Rng) {
        self.count = 0;
        let mut unsynced: Vec<Unsynced> =
            std::mem::take(&mut self.unsynced).into_values().flatten().collect();
        unsynced.sort_unstable_by_key(|it| it.nth);
        for Unsynced { change, .. } in unsynced {
            if rng.chance(Ratio(1, 2)) {
                self.apply(change);
            }
        }
    }

    /// Every name on the platter, in order.
    pub(super) fn sorted(&self) -> Vec<(FileName, InodeId)> {
        let mut all: Vec<_> = self.names.iter().map(|(name, inode)| (*name, *inode)).collect();
        all.sort_unstable();
        all
    }

    /// Every file that may yet be found on the platter, in no order.
    pub(super) fn inodes(&self) -> impl Iterator<Item = InodeId> {
        let unsynced = self.unsynced.values().flatten().filter_map(|unsynced| match unsynced.change {
            Change::Create(_, inode) | Change::Rename(.., inode) | Change::Remove(_, inode) => Some(inode),
            Change::RemoveDir(_) => None,
        });
        self.names.values().copied().chain(unsynced)
    }

    /// Brings changes to the platter that are among the unsynced no more, in the order in which they were made.
    fn settle(&mut self, mut settled: Vec<Unsynced>) {
        self.count -= settled.len();
        settled.sort_unstable_by_key(|it| it.nth);
        for Unsynced { nth, change, .. } in settled {
            if let Change::RemoveDir(gone) = change
                && let Some(inside) = self.unsynced.get_mut(&gone)
            {
                // What had been done in it before does not matter any more.
                let before = inside.len();
                inside.retain(|it| it.nth > nth);
                self.count -= before - inside.len();
            }
            self.apply(change);
        }
        self.left = self.count;
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Create(name, inode) => {
                self.names.insert(name, inode);
            }
            Change::Rename(from, to, inode) => {
                if self.names.get(&from) == Some(&inode) {
                    self.names.remove(&from);
                } else {
                    // An earlier renaming was lost: a file has one name all the same.
                    self.names.retain(|_, other| *other != inode);
                }
                self.names.insert(to, inode);
            }
            Change::Remove(name, inode) => {
                if self.names.get(&name) == Some(&inode) {
                    self.names.remove(&name);
                }
            }
            Change::RemoveDir(dir) => self.names.retain(|name, _| name.dir != dir),
        }
    }
}

/// A table by file name. Whoever goes through one puts it in order first.
pub(super) type ByName<T> = HashMap<FileName, T, BuildHasherDefault<Quick>>;

/// A table by directory. Whoever goes through one puts what is in it in order first.
pub(super) type ByDir<T> = HashMap<Dir, T, BuildHasherDefault<Quick>>;

/// Multiply and rotate: file names come from our own nodes, not from an adversary.
#[derive(Clone, Copy, Default)]
pub(super) struct Quick(u64);

impl Quick {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.mix(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.mix(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.mix(n);
    }

    fn write_isize(&mut self, n: isize) {
        self.mix(n as u64);
    }

    fn finish(&self) -> u64 {
        // The table takes its index from the low bits, the product has its best ones above.
        self.0.rotate_left(26)
    }
}
