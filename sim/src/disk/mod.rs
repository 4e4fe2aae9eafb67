//! When is which operation on a disk done, and what is left on it when something goes wrong?

mod fault;
mod files;
mod inode;
mod names;

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use bytes::Bytes;
use trial_model::{
    disk::{Content, Dir, DiskDone, DiskError, DiskOp, DiskReply, DiskRequest, FileName},
    rng::Rng,
    time::Instant,
    units::{NodeId, Ratio},
};

pub use self::fault::{DiskFault, OpKind, RotIn};
use self::files::{FileId, Files};
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
///
/// Operations on one file are carried out one after the other, those on different files beside each other.
/// At one instant, call `advance` first and then `perform`.
#[derive(Clone, Debug)]
pub struct Disk {
    seed: u64,
    node: NodeId,
    config: DiskConfig,
    files: Files,
    /// How long things take.
    pace: Rng,
    /// What is lost, and where.
    loss: Rng,
    faults: Vec<FaultHere>,
    due: BinaryHeap<Reverse<(Instant, u64, u32)>>,
    waiting: Vec<Option<Waiting>>,
    free: Vec<u32>,
    /// How many operations were ever asked for.
    asked: u64,
    /// Until when a directory is being removed: nothing in it happens before.
    removals: Vec<(Dir, Instant)>,
}

/// An operation that is not carried out yet.
#[derive(Clone, Debug)]
struct Waiting {
    file: FileId,
    /// The file whose name it takes, if it is a renaming.
    replaces: Option<FileId>,
    due: Instant,
    /// How long it takes on a disk that nothing is wrong with.
    takes: Duration,
    nth: u64,
    request: DiskRequest,
}

/// A fault with its own dice.
#[derive(Clone, Debug)]
struct FaultHere {
    id: FaultId,
    fault: DiskFault,
    rng: Rng,
    /// Whether it has done all it will do.
    is_spent: bool,
}

/// What the node does.
impl Disk {
    /// An empty disk of `node`.
    pub fn new(seed: u64, node: NodeId, config: DiskConfig) -> Disk {
        Disk {
            seed,
            node,
            config,
            files: Files::default(),
            pace: Rng::named(seed, &format!("disk/{node}")),
            loss: Rng::named(seed, &format!("disk/{node}/loss")),
            faults: Vec::new(),
            due: BinaryHeap::new(),
            waiting: Vec::new(),
            free: Vec::new(),
            asked: 0,
            removals: Vec::new(),
        }
    }

    /// Draws from another seed from now on; what is asked for already takes as long as it was to take.
    pub fn reseed(&mut self, seed: u64) {
        let node = self.node;
        self.seed = seed;
        self.pace = Rng::named(seed, &format!("disk/{node}"));
        self.loss = Rng::named(seed, &format!("disk/{node}/loss"));
        for here in &mut self.faults {
            here.rng = Rng::named(seed, &format!("fault/{}/{node}", here.id.0));
        }
    }

    /// Takes what a step at `now` wants done, in order.
    pub fn perform(&mut self, now: Instant, work: impl IntoIterator<Item = DiskRequest>) {
        for request in work {
            self.ask(now, request);
        }
    }

    /// When the disk next wants `advance`.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, ..))| *at)
    }

    /// Carries out what is due up to `now`, and adds the replies, each with its time and in order.
    pub fn advance(&mut self, now: Instant, replies: &mut Vec<(Instant, DiskReply)>) {
        while self.next_due().is_some_and(|at| at <= now) {
            let Some(Reverse((at, _, slot))) = self.due.pop() else { return };
            self.free.push(slot);
            let waiting = self.waiting[slot as usize].take().expect("what is due is waiting");
            let DiskRequest { tag, file, op } = waiting.request;
            let outcome = self.try_carry_out(at, waiting.file, file, op);
            self.files.release(waiting.file);
            waiting.replaces.into_iter().for_each(|file| self.files.release(file));
            replies.push((at, DiskReply { tag, file, outcome }));
        }
    }

    fn ask(&mut self, now: Instant, request: DiskRequest) {
        let takes = self.takes(kind_of(&request.op));
        let file = self.files.hold(request.file);
        let replaces = match request.op {
            DiskOp::Rename(suffix) => Some(self.files.hold(request.file.with(suffix))),
            _ => None,
        };
        self.asked += 1;
        self.line_up(now, Waiting { file, replaces, due: Instant::FOREVER, takes, nth: self.asked, request });
    }

    /// Puts an operation behind those that it has to wait for; it is done no later than was planned before.
    fn line_up(&mut self, now: Instant, mut waiting: Waiting) {
        let (request, file, replaces) = (&waiting.request, waiting.file, waiting.replaces);
        let mut ready = now.max(self.files.busy_until(file));
        if !self.removals.is_empty() {
            self.removals.retain(|(_, until)| *until > now);
            let here = self.removals.iter().filter(|(dir, _)| *dir == request.file.dir);
            ready = here.fold(ready, |ready, (_, until)| ready.max(*until));
        }
        ready = match request.op {
            DiskOp::Rename(_) => replaces.map_or(ready, |file| ready.max(self.files.busy_until(file))),
            DiskOp::SyncDir | DiskOp::RemoveDir if request.file.dir != Dir::Root => {
                ready.max(self.files.dir_busy_until(file))
            }
            DiskOp::SyncDir | DiskOp::RemoveDir | DiskOp::List => ready.max(self.files.all_busy_until()),
            _ => ready,
        };
        let due = (ready + self.slowed(waiting.takes)).min(waiting.due);
        if request.op == DiskOp::RemoveDir {
            self.removals.push((request.file.dir, due));
        }
        self.files.set_busy(file, due);
        replaces.into_iter().for_each(|file| self.files.set_busy(file, due));
        waiting.due = due;
        let nth = waiting.nth;
        let waiting = Some(waiting);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.waiting[slot as usize] = waiting;
                slot
            }
            None => {
                self.waiting.push(waiting);
                u32::try_from(self.waiting.len() - 1).expect("fewer than 2^32 operations wait")
            }
        };
        self.due.push(Reverse((due, nth, slot)));
    }

    fn takes(&mut self, kind: OpKind) -> Duration {
        let latency = match kind {
            OpKind::Write => &self.config.write,
            OpKind::Flush => &self.config.flush,
            OpKind::Read => &self.config.read,
        };
        latency.draw(&mut self.pace)
    }

    fn slowed(&self, takes: Duration) -> Duration {
        if self.faults.is_empty() {
            return takes;
        }
        let takes = self.faults.iter().fold(takes, |takes, here| match here.fault {
            DiskFault::Slow { add, factor } => takes.saturating_mul(factor.max(1)).saturating_add(add),
            _ => takes,
        });
        // The grid is a microsecond, and a fault may have left it.
        Duration::from_micros(u64::try_from(takes.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX))
    }

    fn try_carry_out(
        &mut self,
        at: Instant,
        file: FileId,
        name: FileName,
        op: DiskOp,
    ) -> Result<DiskDone, DiskError> {
        if !self.faults.is_empty() && self.fails(kind_of(&op)) {
            self.carry_out_in_part(at, file, name, op);
            return Err(DiskError::Io);
        }
        let outcome = self.carry_out(at, file, name, op);
        if self.files.has_many_unsynced()
            && let Some(until) = self.written_back(at)
        {
            self.files.write_back_names(until);
        }
        outcome
    }

    fn carry_out(
        &mut self,
        at: Instant,
        file: FileId,
        name: FileName,
        op: DiskOp,
    ) -> Result<DiskDone, DiskError> {
        match op {
            DiskOp::Append(content) => return self.append(at, file, content),
            DiskOp::Replace(bytes) => {
                let room = self.room().saturating_add(self.files.len(file));
                if bytes.len() as u64 > room {
                    self.files.replace(at, file, bytes.slice(..room as usize));
                    return Err(DiskError::Full);
                }
                self.files.replace(at, file, bytes);
            }
            DiskOp::Truncate(len) => self.files.truncate(at, file, len)?,
            DiskOp::Rename(suffix) => self.files.rename(at, file, name.with(suffix))?,
            DiskOp::Remove => self.files.remove(at, file),
            DiskOp::RemoveDir => self.files.remove_dir(at, name.dir),
            DiskOp::Flush => {
                if !self.is_lying() {
                    self.files.flush(file);
                }
                return Ok(DiskDone::Flushed);
            }
            DiskOp::SyncDir => {
                if !self.is_lying() {
                    self.files.sync_dir(name.dir);
                }
                return Ok(DiskDone::Flushed);
            }
            DiskOp::Read { at, len } => {
                let bytes = self.files.read(file, at, len).ok_or(DiskError::NotFound)?;
                return Ok(DiskDone::Read(self.rot_read(&name, bytes)));
            }
            DiskOp::List => return Ok(DiskDone::Listed(self.files())),
        }
        Ok(DiskDone::Written)
    }

    fn append(&mut self, at: Instant, file: FileId, content: Content) -> Result<DiskDone, DiskError> {
        if self.config.capacity.is_some() || !self.faults.is_empty() {
            let room = self.room();
            if content.len() > room {
                self.files.append_part(at, file, &content, room);
                return Err(DiskError::Full);
            }
        }
        if let Some(until) = self.written_back(at) {
            self.files.write_back(file, until);
        }
        self.files.append(at, file, content);
        Ok(DiskDone::Written)
    }

    /// Up to when everything is on the platter without having been flushed.
    fn written_back(&self, now: Instant) -> Option<Instant> {
        let after = self.config.write_back.filter(|_| !self.is_lying())?;
        now.0.checked_sub(u64::try_from(after.as_nanos()).ok()?).map(Instant)
    }

    /// How many more bytes fit.
    fn room(&self) -> u64 {
        if self.faults.iter().any(|f| f.fault == DiskFault::Full) {
            return 0;
        }
        self.config.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.files.used()))
    }
}

/// What the world does to it.
impl Disk {
    /// The process died: of what it had asked for, a drawn part is still carried out, at once; nobody gets
    /// replies, and the next process waits for none of it.
    ///
    /// Of each file it is the beginning of what was asked for, and the last of that may be a part of a write.
    pub fn process_died(&mut self, now: Instant) {
        let mut waiting: Vec<Waiting> = std::mem::take(&mut self.waiting).into_iter().flatten().collect();
        self.due.clear();
        self.free.clear();
        self.removals.clear();
        self.files.forget_busy_dirs();
        waiting.sort_unstable_by_key(|w| (w.request.file, w.nth));
        let mut waiting = waiting.into_iter().peekable();
        while let Some(first) = waiting.next() {
            let name = first.request.file;
            let mut of_file = vec![first];
            while let Some(more) = waiting.next_if(|w| w.request.file == name) {
                of_file.push(more);
            }
            let done = self.loss.below(of_file.len() as u64 + 1) as usize;
            let torn = self.loss.chance(Ratio(1, 4));
            for (nth, Waiting { file, replaces, request, .. }) in of_file.into_iter().enumerate() {
                if nth < done {
                    // Whether it went well, nobody will know.
                    let _ = self.try_carry_out(now, file, name, request.op);
                } else if nth == done && torn {
                    self.carry_out_in_part(now, file, name, request.op);
                }
                for file in [file].into_iter().chain(replaces) {
                    self.files.set_busy(file, now);
                    self.files.release(file);
                }
            }
        }
    }

    /// The power failed, and the process died of it: of what was not flushed, a drawn part is lost. Names
    /// that were not synced are kept or lost one by one.
    pub fn power_lost(&mut self, now: Instant) {
        self.process_died(now);
        if let Some(until) = self.written_back(now) {
            self.files.write_back_all(until);
        }
        self.files.lose_power(&mut self.loss, self.config.holes);
    }

    /// The disk was replaced by an empty one, which nothing is wrong with but what is on from now.
    pub fn replaced(&mut self, _now: Instant) {
        self.files = Files::default();
        self.due.clear();
        self.waiting.clear();
        self.free.clear();
        self.removals.clear();
    }

    /// From now on, `fault` is on. For rot in what is stored: which byte of which file it hit; `None` if
    /// nothing is stored in such a file.
    pub fn begin(&mut self, _now: Instant, id: FaultId, fault: DiskFault) -> Option<(FileName, u64)> {
        let mut rng = Rng::named(self.seed, &format!("fault/{}/{}", id.0, self.node));
        if let DiskFault::BitRot(rot) = fault {
            return self.rot(&mut rng, rot);
        }
        self.faults.retain(|other| other.id != id);
        self.faults.push(FaultHere { id, fault, rng, is_spent: false });
        self.faults.sort_by_key(|fault| fault.id);
        None
    }

    /// From `now` on, the fault `id` is off. Says whether it was on; rot in what is stored never is.
    pub fn end(&mut self, id: FaultId, now: Instant) -> bool {
        let Some(at) = self.faults.iter().position(|other| other.id == id) else { return false };
        if let DiskFault::Slow { .. } = self.faults.remove(at).fault {
            self.hurry(now);
        }
        true
    }

    /// The disk is as fast as it was: whatever has queued up while it was slow takes its time from now.
    fn hurry(&mut self, now: Instant) {
        let mut waiting: Vec<Waiting> = std::mem::take(&mut self.waiting).into_iter().flatten().collect();
        waiting.sort_unstable_by_key(|w| w.nth);
        self.due.clear();
        self.free.clear();
        self.removals.clear();
        self.files.forget_busy_dirs();
        for Waiting { file, replaces, .. } in &waiting {
            replaces.iter().chain([file]).for_each(|file| self.files.set_busy(*file, now));
        }
        for waiting in waiting {
            self.line_up(now, waiting);
        }
    }

    /// Every file as the page cache has it, with its length, in order.
    pub fn files(&self) -> Vec<(FileName, u64)> {
        self.files.sorted()
    }

    /// The whole content of a file as the page cache has it; `None` if it is not there.
    pub fn read_raw(&self, file: FileName) -> Option<Bytes> {
        self.files.read_named(file)
    }

    fn fails(&mut self, kind: OpKind) -> bool {
        let mut fails = false;
        for here in &mut self.faults {
            if let DiskFault::Errors { on, chance } = here.fault
                && on == kind
            {
                fails |= here.rng.chance(chance);
            }
        }
        fails
    }

    /// Leaves an operation somewhere between not begun and done.
    fn carry_out_in_part(&mut self, at: Instant, file: FileId, name: FileName, op: DiskOp) {
        match op {
            DiskOp::Append(content) => {
                let part = self.loss.below(content.len().min(self.room()) + 1);
                self.files.append_part(at, file, &content, part);
            }
            DiskOp::Replace(bytes) if self.loss.chance(Ratio(1, 2)) => {
                let room = self.room().saturating_add(self.files.len(file));
                let part = self.loss.below((bytes.len() as u64).min(room) + 1);
                self.files.replace(at, file, bytes.slice(..part as usize));
            }
            DiskOp::Truncate(_) | DiskOp::Rename(_) | DiskOp::Remove | DiskOp::RemoveDir
                if self.loss.chance(Ratio(1, 2)) =>
            {
                let _ = self.carry_out(at, file, name, op);
            }
            _ => {}
        }
    }

    fn is_lying(&self) -> bool {
        self.faults.iter().any(|f| f.fault == DiskFault::LyingFlush)
    }

    fn rot(&mut self, rng: &mut Rng, rot: RotIn) -> Option<(FileName, u64)> {
        let files = self.files();
        let files: Vec<_> = files.into_iter().filter(|(name, len)| *len > 0 && rot.includes(name)).collect();
        let (name, len) = *rng.pick(&files)?;
        let at = rng.below(len);
        self.files.flip(name, at, rng.below(8) as u8);
        Some((name, at))
    }

    fn rot_read(&mut self, name: &FileName, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        let due = self
            .faults
            .iter_mut()
            .find(|f| matches!(f.fault, DiskFault::BitRotOfRead(rot) if !f.is_spent && rot.includes(name)));
        let Some(FaultHere { rng, is_spent, .. }) = due else { return bytes };
        *is_spent = true;
        let mut rotten = bytes.to_vec();
        let at = rng.below(rotten.len() as u64) as usize;
        rotten[at] ^= 1 << rng.below(8);
        rotten.into()
    }
}

fn kind_of(op: &DiskOp) -> OpKind {
    match op {
        DiskOp::Append(_)
        | DiskOp::Replace(_)
        | DiskOp::Truncate(_)
        | DiskOp::Rename(_)
        | DiskOp::Remove
        | DiskOp::RemoveDir => OpKind::Write,
        DiskOp::Flush | DiskOp::SyncDir => OpKind::Flush,
        DiskOp::Read { .. } | DiskOp::List => OpKind::Read,
    }
}

#[cfg(test)]
mod tests;
