//! What does every replica's log hold, as far as its owner has said?
//!
//! What is committed is kept once, in the partition's `Trunk`; a replica remembers up to where it agrees
//! with the trunk and only what it has beyond. So a log costs two dozen bytes a batch, not that much a replica.

use std::collections::VecDeque;

use trial_model::{
    event::ReplicaRole,
    log::batch::ProducerStamp,
    units::{LeaderEpoch, NodeId, Offset},
};

/// A batch in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The offset of its first record.
    pub base: Offset,
    /// One past its last record.
    pub end: Offset,
    /// The epoch it bears.
    pub epoch: LeaderEpoch,
    /// Its CRC, which names its content.
    pub crc: u32,
    /// Who produced it, if idempotent.
    pub producer: Option<ProducerStamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    base: Offset,
    len: u32,
    epoch: LeaderEpoch,
    crc: u32,
}

impl Kept {
    fn end(&self) -> Offset {
        Offset(self.base.0 + u64::from(self.len))
    }

    /// Whether it is this batch; after a cleaning another CRC says nothing.
    fn is(&self, entry: &Entry, cleaned: Offset) -> bool {
        self.base == entry.base
            && self.end() == entry.end
            && self.epoch == entry.epoch
            && (self.crc == entry.crc || self.base < cleaned)
    }
}

/// What is committed: the batches below the true high watermark.
#[derive(Clone, Debug, Default)]
pub struct Trunk {
    batches: Vec<Kept>,
    /// One past the last committed batch that is known whole.
    pub end: Offset,
    /// What was before was deleted lawfully: by retention or on demand.
    pub start: Offset,
    /// What is before may have been cleaned somewhere: a batch may have lost records, or be gone, and be the same
    /// batch all the same.
    pub cleaned: Offset,
    /// What is before may have been copied after it was cleaned. Whoever has copied it so does not know where the
    /// epochs of what was gone began, and cannot tell a follower that parted there. Kafka's cannot either.
    pub copied: Offset,
}

/// How a batch compares with what is committed at its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// The same batch.
    Same,
    /// Another batch is committed there.
    Other,
    /// Nothing is known of the place.
    Unknown,
}

impl Trunk {
    /// Compares a batch with what is committed at its offset.
    pub fn compare(&self, entry: &Entry) -> Compared {
        let at = self.batches.partition_point(|kept| kept.base < entry.base);
        match self.batches.get(at) {
            Some(kept) if kept.is(entry, self.cleaned) => Compared::Same,
            Some(kept) if kept.base < entry.end => Compared::Other,
            _ => match at.checked_sub(1).and_then(|before| self.batches.get(before)) {
                Some(before) if before.end() > entry.base => Compared::Other,
                _ => Compared::Unknown,
            },
        }
    }

    /// The epoch and CRC of the committed batch that holds `offset`.
    pub fn at(&self, offset: Offset) -> Option<(LeaderEpoch, u32)> {
        let at = self.batches.partition_point(|kept| kept.base <= offset).checked_sub(1)?;
        let kept = self.batches.get(at)?;
        (offset < kept.end()).then_some((kept.epoch, kept.crc))
    }

    /// Whether a batch of this epoch and CRC may stand at `offset`, by what is known of it: none, if nothing is.
    pub fn may_be(&self, offset: Offset, (epoch, crc): (LeaderEpoch, u32)) -> Option<bool> {
        let (known, content) = self.at(offset)?;
        Some(known == epoch && (content == crc || offset < self.cleaned))
    }

    /// What is before need not agree: it was deleted, or no leader can tell that it does not.
    pub fn need_agree_from(&self) -> Offset {
        self.start.max(self.copied)
    }

    fn push(&mut self, entry: &Entry) {
        let len = (entry.end - entry.base).0 as u32;
        self.batches.push(Kept { base: entry.base, len, epoch: entry.epoch, crc: entry.crc });
        self.end = entry.end;
    }

    /// Gives up what is committed from `to` on; returns it.
    fn cut(&mut self, to: Offset) -> Vec<Entry> {
        let at = self.batches.partition_point(|kept| kept.end() <= to);
        let gone = self.batches.split_off(at);
        self.end = self.end.min(to);
        gone.iter()
            .map(|kept| Entry {
                base: kept.base,
                end: kept.end(),
                epoch: kept.epoch,
                crc: kept.crc,
                producer: None,
            })
            .collect()
    }
}

/// One replica's log, as its owner has told of it.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Whose.
    pub node: NodeId,
    /// Where it begins.
    pub start: Offset,
    /// Where it ends, in memory; after a stop, where it ended.
    pub end: Offset,
    /// What survives the process.
    pub written: Offset,
    /// What survives the power.
    pub flushed: Offset,
    /// Below this it holds what the trunk holds.
    pub agreed: Offset,
    /// Its batches from `agreed` on.
    pub tail: VecDeque<Entry>,
    /// Whether what it holds beyond `agreed` is not known.
    pub opaque: bool,
    /// Its high watermark in this life, as far as told.
    pub high_watermark: Option<Offset>,
    /// What it does, if it does anything.
    pub role: Option<ReplicaRole>,
    /// In which epoch.
    pub epoch: LeaderEpoch,
    /// Whether it lost records with the power or the disk and has not been in step with the trunk since.
    pub lossy: bool,
    /// Whether its process died uncleanly and it has not joined the ISR or led since.
    pub unclean: bool,
    /// Whether it has come back after that and begun to register: the controller may learn of it.
    pub returned: bool,
    /// Whether its disk has lied: what it lost, no protocol could know of.
    pub deceived: bool,
    /// Whether the power was lost since it was last read back.
    pub lost_power: bool,
    /// Up to where it reached before it lost records, while it has not reached there again: whoever counts it
    /// may not know yet.
    pub lost_to: Option<Offset>,
    /// Whether its log is open in this life.
    pub open: bool,
    /// Batches cut off since the last flush: the platter may still have them.
    pub ghosts: Vec<Entry>,
    /// Whether something was cut off since the last flush.
    pub cut_since_flush: bool,
}

impl Replica {
    /// An empty log.
    pub fn new(node: NodeId) -> Replica {
        Replica {
            node,
            start: Offset::ZERO,
            end: Offset::ZERO,
            written: Offset::ZERO,
            flushed: Offset::ZERO,
            agreed: Offset::ZERO,
            tail: VecDeque::new(),
            opaque: false,
            high_watermark: None,
            role: None,
            epoch: LeaderEpoch(0),
            lossy: false,
            unclean: false,
            returned: false,
            deceived: false,
            lost_power: false,
            lost_to: None,
            open: false,
            ghosts: Vec::new(),
            cut_since_flush: false,
        }
    }

    /// Whether its log departs from the trunk below the trunk's end.
    pub fn parts(&self, trunk: &Trunk) -> bool {
        self.departs(trunk).is_some()
    }

    /// The first batch in which its log departs from the trunk.
    ///
    /// What was deleted lawfully need not agree: nobody can read it, and a leader that has forgotten its epochs
    /// cannot tell a follower that it has others. Nor need what was copied after it had been cleaned.
    pub fn departs(&self, trunk: &Trunk) -> Option<&Entry> {
        let first = self.tail.iter().find(|entry| entry.end > trunk.need_agree_from());
        first.filter(|first| !self.opaque && first.base < trunk.end)
    }

    /// Whether it holds everything committed up to `to`; benefit of the doubt where it is not known.
    pub fn holds(&self, trunk: &Trunk, to: Offset) -> bool {
        self.opaque || (self.end >= to && (self.agreed >= to.min(trunk.end) || !self.parts(trunk)))
    }

    /// The last batch it is known to have.
    pub fn last(&self) -> Option<&Entry> {
        self.tail.back()
    }

    /// The batch at `base`, if it lies beyond `agreed`.
    pub fn entry(&self, base: Offset) -> Option<&Entry> {
        let at = self.tail.partition_point(|entry| entry.base < base);
        self.tail.get(at).filter(|entry| entry.base == base)
    }

    pub(super) fn settle(&mut self, trunk: &Trunk) {
        while let Some(first) = self.tail.front() {
            let is_excused = first.end <= trunk.need_agree_from();
            if first.base >= trunk.end || (trunk.compare(first) == Compared::Other && !is_excused) {
                return;
            }
            self.agreed = first.end;
            self.tail.pop_front();
        }
    }

    pub(super) fn append(&mut self, entry: Entry, trunk: &Trunk) {
        if self.opaque && entry.base < trunk.end && trunk.compare(&entry) == Compared::Same {
            // The leader only sends what follows on what both have: it is in step again.
            self.opaque = false;
            self.tail.clear();
            self.agreed = entry.end;
        } else if !self.opaque {
            if entry.base < self.end {
                self.cut(entry.base);
            }
            self.tail.push_back(entry);
            if entry.base < trunk.end {
                self.settle(trunk);
            }
        }
        self.end = entry.end;
        self.in_step(trunk);
    }

    fn in_step(&mut self, trunk: &Trunk) {
        if self.lossy && !self.opaque && self.agreed >= trunk.end {
            self.lossy = false;
        }
        if self.lost_to.is_some_and(|to| self.end >= to) {
            self.lost_to = None;
        }
    }

    /// Cuts the log at `to`, which may lie beyond its end: then it begins anew there.
    pub(super) fn truncate(&mut self, to: Offset) {
        self.cut_since_flush = true;
        if to > self.end || to < self.start {
            self.wipe(to);
            return;
        }
        self.cut(to);
        self.end = to;
        if self.agreed >= to {
            self.agreed = to;
            self.opaque = false;
        }
        self.written = self.written.min(to);
        self.flushed = self.flushed.min(to);
        self.high_watermark = self.high_watermark.map(|hw| hw.min(to));
    }

    /// Everything is gone; the log begins at `start`.
    pub(super) fn wipe(&mut self, start: Offset) {
        let node = self.node;
        let (role, epoch, open) = (self.role, self.epoch, self.open);
        let (lossy, unclean, lost_to) = (self.lossy, self.unclean, self.lost_to);
        let (deceived, lost_power, returned) = (self.deceived, self.lost_power, self.returned);
        let empty = Replica { deceived, lost_power, returned, ..Replica::new(node) };
        *self = Replica { role, epoch, open, lossy, unclean, lost_to, cut_since_flush: true, ..empty };
        (self.start, self.end, self.agreed) = (start, start, start);
    }

    fn cut(&mut self, to: Offset) {
        while let Some(last) = self.tail.back().filter(|last| last.end > to).copied() {
            self.tail.pop_back();
            if self.ghosts.len() < 4_096 {
                self.ghosts.push(last);
            }
        }
        self.agreed = self.agreed.min(to);
    }

    /// Takes back what the trunk has given up and this replica holds, too.
    pub(super) fn keep(&mut self, given_up: &[Entry], to: Offset) {
        if self.agreed > to {
            for entry in given_up.iter().rev().filter(|entry| entry.end <= self.agreed) {
                self.tail.push_front(*entry);
            }
            self.agreed = to;
        }
    }

    pub(super) fn flushed_to(&mut self, end: Offset) {
        self.flushed = end;
        self.written = self.written.max(end);
        if end >= self.end {
            self.ghosts.clear();
            self.cut_since_flush = false;
        }
    }

    /// The log was read back: it reaches from `start` to `end`, and `last` are the epoch and the CRC of its last
    /// batch.
    pub(super) fn recovered(
        &mut self,
        start: Offset,
        end: Offset,
        last: Option<(LeaderEpoch, u32)>,
        trunk: &Trunk,
    ) {
        let before = self.end;
        let was_cut_in_vain = self.was_cut_in_vain(end, last, trunk);
        if end < self.end {
            self.cut(end);
            self.lossy |= self.agreed < trunk.end;
            self.lost_to = Some(before);
        }
        if end > before || was_cut_in_vain {
            self.revive(end);
        }
        self.start = start;
        self.end = end;
        self.written = end;
        // What is read back is brought to the platter before it is used.
        let flushed_before = std::mem::replace(&mut self.flushed, end);
        self.open = true;
        self.lost_power = false;
        self.high_watermark = None;
        self.settle(trunk);
        let known = self.tail.back().map_or(self.agreed, |last| last.end);
        let named = match self.tail.back() {
            Some(known) => last.is_none_or(|last| last == (known.epoch, known.crc)),
            None => {
                end == start
                    || last
                        .is_none_or(|last| end.before().and_then(|at| trunk.may_be(at, last)).unwrap_or(true))
            }
        };
        if known != end || !named {
            self.opaque = true;
            self.tail.clear();
            if self.deceived {
                // The disk may have given back anything it ever had.
                self.agreed = start;
            } else if end <= before {
                self.agreed = self.agreed.min(flushed_before).min(end);
            }
        }
    }

    /// Whether a log that was read back ends with a batch that had been cut off, not with the one that it knows to
    /// stand there.
    fn was_cut_in_vain(&self, end: Offset, last: Option<(LeaderEpoch, u32)>, trunk: &Trunk) -> bool {
        let (Some(last), Some(at)) = (last, end.before()) else { return false };
        let own = self.tail.iter().find(|entry| entry.end > at).map(|entry| (entry.epoch, entry.crc));
        let stands = match end <= self.agreed {
            true => trunk.may_be(at, last) == Some(true),
            false => own == Some(last),
        };
        !stands && self.ghosts.iter().any(|it| it.end == end && (it.epoch, it.crc) == last)
    }

    /// The platter still had what was cut off: takes it back as far as it is remembered. What had been appended
    /// in its place is not there, then: one file is cut before it is written to again.
    fn revive(&mut self, end: Offset) {
        let cut_at = self.ghosts.iter().map(|ghost| ghost.base).min().unwrap_or(self.end);
        while self.tail.back().is_some_and(|last| last.end > cut_at) {
            self.tail.pop_back();
        }
        self.agreed = self.agreed.min(cut_at);
        let mut at = self.tail.back().map_or(self.agreed, |last| last.end);
        while at < end {
            let Some(ghost) = self.ghosts.iter().find(|ghost| ghost.base == at && ghost.end <= end).copied()
            else {
                return;
            };
            self.tail.push_back(ghost);
            at = ghost.end;
        }
    }
}

/// Moves the trunk on to `to` with what `leader` has, and lets every replica compare.
///
/// Does nothing where the leader itself departs from the trunk: that is for a check to say. Calls `grown`
/// with every batch that is committed now.
pub(super) fn commit(
    trunk: &mut Trunk,
    replicas: &mut [Replica],
    leader: NodeId,
    to: Offset,
    mut grown: impl FnMut(&Entry),
) {
    if let Some(source) = replicas.iter().find(|replica| replica.node == leader) {
        if source.parts(trunk) {
            return;
        }
        let first = source.tail.partition_point(|entry| entry.base < trunk.end);
        for entry in source.tail.range(first..) {
            if entry.end > to {
                break;
            }
            grown(entry);
            trunk.push(entry);
        }
    }
    for replica in replicas {
        replica.settle(trunk);
        replica.in_step(trunk);
    }
}

/// Gives up what is committed beyond what `leader` holds: it leads now, lawfully or not. What a disk that lied
/// has given its leader back nobody knows, and so not what is committed from then on.
pub(super) fn give_up(trunk: &mut Trunk, replicas: &mut [Replica], leader: NodeId) -> Option<Offset> {
    let source = replicas.iter_mut().find(|replica| replica.node == leader)?;
    source.settle(trunk);
    if (source.opaque && !source.deceived) || source.agreed >= trunk.end {
        return None;
    }
    let to = source.agreed;
    let gone = trunk.cut(to);
    for replica in replicas {
        replica.keep(&gone, to);
        replica.lossy = replica.lossy && replica.agreed < to;
    }
    Some(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(base: u64, epoch: u32, crc: u32) -> Entry {
        Entry { base: Offset(base), end: Offset(base + 1), epoch: LeaderEpoch(epoch), crc, producer: None }
    }

    #[test]
    fn a_replica_that_parts_from_the_trunk_is_seen() {
        let mut trunk = Trunk::default();
        let mut replicas = vec![Replica::new(NodeId(1)), Replica::new(NodeId(2))];
        replicas[0].append(entry(0, 1, 7), &trunk);
        replicas[0].append(entry(1, 1, 8), &trunk);
        replicas[1].append(entry(0, 1, 7), &trunk);
        commit(&mut trunk, &mut replicas, NodeId(1), Offset(2), |_| ());
        assert!(replicas[0].holds(&trunk, Offset(2)) && !replicas[1].holds(&trunk, Offset(2)));
        replicas[1].append(entry(1, 2, 9), &trunk);
        assert!(replicas[1].parts(&trunk) && !replicas[1].holds(&trunk, Offset(2)));
        assert!(replicas[1].tail.len() == 1 && replicas[0].tail.is_empty());
    }

    #[test]
    fn what_the_trunk_gives_up_stays_with_those_who_have_it() {
        let mut trunk = Trunk::default();
        let mut replicas = vec![Replica::new(NodeId(1)), Replica::new(NodeId(2))];
        for at in 0..3 {
            replicas[0].append(entry(at, 1, 7), &trunk);
        }
        replicas[1].append(entry(0, 1, 7), &trunk);
        commit(&mut trunk, &mut replicas, NodeId(1), Offset(3), |_| ());
        assert_eq!(give_up(&mut trunk, &mut replicas, NodeId(2)), Some(Offset(1)));
        assert_eq!((trunk.end, replicas[0].tail.len(), replicas[0].end), (Offset(1), 2, Offset(3)));
    }

    #[test]
    fn what_a_lying_disk_gives_a_leader_back_nobody_knows() {
        for (deceived, left) in [(false, 2), (true, 0)] {
            let mut trunk = Trunk::default();
            let mut replicas = vec![Replica::new(NodeId(1)), Replica::new(NodeId(2))];
            for replica in &mut replicas {
                replica.append(entry(0, 1, 7), &trunk);
                replica.append(entry(1, 1, 8), &trunk);
            }
            commit(&mut trunk, &mut replicas, NodeId(1), Offset(2), |_| ());
            replicas[0].deceived = deceived;
            replicas[0].recovered(Offset(0), Offset(2), Some((LeaderEpoch(1), 9)), &trunk);
            assert!(replicas[0].opaque, "it ends with another record");
            give_up(&mut trunk, &mut replicas, NodeId(1));
            assert_eq!((trunk.end, replicas[1].tail.len()), (Offset(left), 2 - left as usize));
        }
    }

    #[test]
    fn a_log_read_back_is_on_the_platter() {
        let trunk = Trunk::default();
        let mut replica = Replica::new(NodeId(1));
        replica.append(entry(0, 1, 7), &trunk);
        replica.append(entry(1, 1, 8), &trunk);
        replica.recovered(Offset(0), Offset(2), Some((LeaderEpoch(1), 8)), &trunk);
        assert_eq!(replica.flushed, Offset(2));
    }

    #[test]
    fn what_replaced_a_cut_that_never_reached_the_platter_is_not_there() {
        let mut trunk = Trunk::default();
        let mut replicas = vec![Replica::new(NodeId(1)), Replica::new(NodeId(2))];
        replicas[0].append(entry(0, 1, 7), &trunk);
        replicas[0].append(entry(1, 2, 9), &trunk);
        for at in 0..3 {
            replicas[1].append(entry(at, 1, 7), &trunk);
        }
        replicas[1].truncate(Offset(1));
        replicas[1].append(entry(1, 2, 9), &trunk);
        commit(&mut trunk, &mut replicas, NodeId(1), Offset(2), |_| ());
        assert!(replicas[1].holds(&trunk, Offset(2)));
        replicas[1].recovered(Offset(0), Offset(3), Some((LeaderEpoch(1), 7)), &trunk);
        assert!(!replicas[1].opaque && !replicas[1].holds(&trunk, Offset(2)));
    }

    /// A producer has sent again, to a new leader, what the earlier one had taken: byte for byte the same batch.
    #[test]
    fn a_cut_that_never_reached_the_platter_is_known_by_the_epoch() {
        for (came_back, agreed) in [(1, 1), (2, 2)] {
            let mut trunk = Trunk::default();
            let mut replicas = vec![Replica::new(NodeId(1)), Replica::new(NodeId(2))];
            replicas[1].append(entry(0, 1, 7), &trunk);
            replicas[1].append(entry(1, 1, 9), &trunk);
            replicas[1].truncate(Offset(1));
            for (at, epoch, crc) in [(0, 1, 7), (1, 2, 9), (2, 2, 8)] {
                replicas[0].append(entry(at, epoch, crc), &trunk);
                if at > 0 {
                    replicas[1].append(entry(at, epoch, crc), &trunk);
                }
            }
            commit(&mut trunk, &mut replicas, NodeId(1), Offset(3), |_| ());
            replicas[1].recovered(Offset(0), Offset(2), Some((LeaderEpoch(came_back), 9)), &trunk);
            assert_eq!((replicas[1].opaque, replicas[1].agreed), (false, Offset(agreed)));
        }
    }

    #[test]
    fn a_log_read_back_longer_than_told_is_known_by_its_ghosts() {
        let trunk = Trunk::default();
        let mut replica = Replica::new(NodeId(1));
        replica.append(entry(0, 1, 7), &trunk);
        replica.append(entry(1, 1, 8), &trunk);
        replica.truncate(Offset(1));
        replica.recovered(Offset(0), Offset(2), Some((LeaderEpoch(1), 8)), &trunk);
        assert!(!replica.opaque && replica.tail.len() == 2);
        replica.recovered(Offset(0), Offset(3), Some((LeaderEpoch(1), 5)), &trunk);
        assert!(replica.opaque, "nobody told of a third record");
    }

    /// A batch that was cleaned has another CRC, and is the same: by its place and epoch.
    #[test]
    fn what_was_cleaned_is_known_by_its_epoch() {
        for (cleaned, same) in [(1, true), (0, false)] {
            let mut trunk = Trunk::default();
            let mut replicas = vec![Replica::new(NodeId(1)), Replica::new(NodeId(2))];
            replicas[0].append(entry(0, 1, 7), &trunk);
            commit(&mut trunk, &mut replicas, NodeId(1), Offset(1), |_| ());
            trunk.cleaned = Offset(cleaned);
            replicas[1].append(entry(0, 1, 8), &trunk);
            assert_eq!(replicas[1].departs(&trunk).is_none(), same);
            assert_eq!(trunk.may_be(Offset(0), (LeaderEpoch(1), 8)), Some(same));
            assert_eq!(trunk.may_be(Offset(0), (LeaderEpoch(2), 7)), Some(false));
            replicas[0].recovered(Offset(0), Offset(1), Some((LeaderEpoch(1), 8)), &trunk);
            assert_eq!(replicas[0].opaque, !same);
        }
    }

    /// Where a log was copied with gaps, its owner does not know which epoch the records were of that are gone, and
    /// cannot tell a follower that it has others.
    #[test]
    fn who_copies_gaps_cannot_tell_where_another_parted() {
        for (copied, parts) in [(2, false), (0, true)] {
            let mut trunk = Trunk::default();
            let mut replicas = vec![Replica::new(NodeId(1)), Replica::new(NodeId(2))];
            replicas[1].append(entry(0, 1, 9), &trunk);
            for at in 0..3 {
                replicas[0].append(entry(at, 2, 7), &trunk);
            }
            commit(&mut trunk, &mut replicas, NodeId(1), Offset(3), |_| ());
            trunk.copied = Offset(copied);
            assert_eq!(replicas[1].parts(&trunk), parts);
            replicas[1].append(entry(2, 2, 7), &trunk);
            assert_eq!(replicas[1].agreed == Offset(3), !parts);
        }
    }
}
