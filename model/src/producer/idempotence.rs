//! How does a producer number its batches, so that a broker can tell a repetition from news?
//!
//! Per partition every batch gets the next sequence (KIP-98) and keeps it through its retries, whatever
//! happens, until its outcome is known. Where a gap is certain the numbering starts again at zero under a
//! raised epoch (KIP-360), but only once no earlier batch can be in the log without our knowing (KAFKA-14034).
//! Kafka's `TransactionManager` and `TxnPartitionEntry`.

use alloc::collections::VecDeque;

use super::accumulator::BatchId;
use crate::{
    log::batch::ProducerStamp,
    units::{ProducerEpoch, ProducerId, RecordCount, Sequence},
};

/// How many batches of one partition may be numbered and not settled: brokers remember no more than this
/// many to recognise repetitions by.
const MAX_TRACKED: usize = 5;

/// Who a producer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The id a broker gave it.
    pub id: ProducerId,
    /// Its epoch, which it raises by itself.
    pub epoch: ProducerEpoch,
}

impl Identity {
    /// The same producer in its next epoch; `None` if there is none left, and a new id is needed.
    pub fn raised(self) -> Option<Identity> {
        let last = i16::MAX as u16;
        (self.epoch.0 < last).then(|| Identity { id: self.id, epoch: self.epoch.next() })
    }

    /// What a batch bears that begins at `base_sequence`.
    pub fn stamp(self, base_sequence: Sequence) -> ProducerStamp {
        ProducerStamp { id: self.id, epoch: self.epoch, base_sequence }
    }

    /// Whose stamp it is.
    pub fn of(stamp: ProducerStamp) -> Identity {
        Identity { id: stamp.id, epoch: stamp.epoch }
    }
}

/// The numbering of one partition.
#[derive(Clone, Debug, Default)]
pub struct Sequences {
    identity: Option<Identity>,
    next: Sequence,
    last_acked: Option<Sequence>,
    tracked: VecDeque<BatchId>,
    unresolved: bool,
    /// Where the last batch ended that was given up with its outcome unknown.
    given_up: Option<Sequence>,
    restarting: bool,
}

impl Sequences {
    /// Under which identity its batches are numbered.
    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// The batches that are numbered and not settled, in the order of their numbers.
    pub fn tracked(&self) -> &VecDeque<BatchId> {
        &self.tracked
    }

    /// Where a batch stands among those that are numbered and not settled.
    pub fn position(&self, batch: BatchId) -> Option<usize> {
        self.tracked.iter().position(|tracked| *tracked == batch)
    }

    /// Whether the numbering is to start again.
    pub fn is_restarting(&self) -> bool {
        self.restarting
    }

    /// Whether another batch may be numbered for `identity` now.
    pub fn may_number(&self, identity: Identity) -> bool {
        !self.restarting
            && !self.unresolved
            && self.tracked.len() < MAX_TRACKED
            // A batch of a new epoch must not overtake those of the old one.
            && (self.tracked.is_empty() || self.identity == Some(identity))
    }

    /// Numbers a batch of `count` records.
    pub fn number(&mut self, identity: Identity, batch: BatchId, count: RecordCount) -> ProducerStamp {
        assert!(self.may_number(identity), "a batch is numbered only when it may be");
        if self.identity != Some(identity) {
            self.identity = Some(identity);
            self.next = Sequence(0);
            self.last_acked = None;
            self.given_up = None;
        }
        let stamp = identity.stamp(self.next);
        self.next = self.next.plus(count);
        self.tracked.push_back(batch);
        stamp
    }

    /// A broker has the records up to `last`, numbered under `identity`.
    pub fn acked(&mut self, identity: Identity, last: Sequence) {
        if self.identity == Some(identity) && self.last_acked.is_none_or(|acked| is_after(last, acked)) {
            self.last_acked = Some(last);
        }
    }

    /// Whether something numbered after `sequence` is in the log, or may be for all we shall ever know: a
    /// leader that does not know the producer takes whatever comes first.
    pub fn is_overtaken(&self, sequence: Sequence) -> bool {
        let after = |other: Option<Sequence>| other.is_some_and(|other| is_after(other, sequence));
        after(self.last_acked) || after(self.given_up)
    }

    /// The outcome of a batch is known, or nobody waits for it any more.
    pub fn settle(&mut self, batch: BatchId) {
        self.tracked.retain(|tracked| *tracked != batch);
    }

    /// Puts `pieces` where `batch` was.
    pub fn split(&mut self, batch: BatchId, pieces: impl DoubleEndedIterator<Item = BatchId>) {
        if let Some(at) = self.position(batch) {
            self.tracked.remove(at);
            for piece in pieces.rev() {
                self.tracked.insert(at, piece);
            }
        }
    }

    /// A batch that was sent, and ended before `end`, is given up with its outcome unknown: nothing new is
    /// numbered until everything numbered is settled, which tells (KAFKA-5494).
    pub fn leave_unresolved(&mut self, end: Sequence) {
        self.unresolved = true;
        if self.given_up.is_none_or(|before| is_after(end, before)) {
            self.given_up = Some(end);
        }
    }

    /// There is a gap in the log: the numbering must start again.
    pub fn want_restart(&mut self) {
        self.restarting = true;
    }

    /// A later batch turned out to be in the log while the restart was waiting: what is before it could only
    /// go in behind it. It is not renumbered, and will time out.
    pub fn call_off_restart(&mut self) {
        self.restarting = false;
        self.unresolved = true;
    }

    /// If everything is settled after something was left unresolved: either the last number given is in the
    /// log, and all is well, or the numbering must start again.
    pub fn resolve(&mut self) {
        if self.unresolved && self.tracked.is_empty() {
            self.unresolved = false;
            self.given_up = None;
            let expected = self.last_acked.map_or(Sequence(0), |acked| acked.plus(RecordCount(1)));
            self.restarting |= self.next != expected;
        }
    }

    /// Starts again at zero under `identity`; what is tracked is renumbered by calling `renumber` for each.
    pub fn restart(
        &mut self,
        identity: Identity,
        mut renumber: impl FnMut(BatchId, ProducerStamp) -> RecordCount,
    ) {
        self.identity = Some(identity);
        self.next = Sequence(0);
        self.last_acked = None;
        self.unresolved = false;
        self.given_up = None;
        self.restarting = false;
        for batch in &self.tracked {
            self.next = self.next.plus(renumber(*batch, identity.stamp(self.next)));
        }
    }

    /// The bug of KAFKA-14397: takes `count` numbers back, as if the batch that bore them from `base` on had
    /// never been sent.
    pub fn take_back(
        &mut self,
        base: Sequence,
        mut renumber: impl FnMut(BatchId, Sequence) -> Option<RecordCount>,
    ) {
        self.next = base;
        for batch in &self.tracked {
            if let Some(count) = renumber(*batch, self.next) {
                self.next = self.next.plus(count);
            }
        }
    }

    /// The bug of KAFKA-8483: the batches are gone through as a heap holds them whose least was taken out, where
    /// the second may lie behind the third.
    pub fn lie_as_in_a_heap(&mut self) {
        if self.tracked.len() > 2 {
            self.tracked.swap(1, 2);
        }
    }

    /// The bug of librdkafka 1.9.0: forgets all numbers, but not the identity.
    pub fn forget(&mut self) {
        self.next = Sequence(0);
        self.last_acked = None;
    }
}

/// Whether `a` comes after `b`, round the wrap by the shorter way.
fn is_after(a: Sequence, b: Sequence) -> bool {
    a != b && a.since(b).0 < 1 << 30
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::time::Instant;

    const ME: Identity = Identity { id: ProducerId(7), epoch: ProducerEpoch(0) };

    fn batch(nth: u64) -> BatchId {
        BatchId { created: Instant(0), nth }
    }

    fn number(sequences: &mut Sequences, nth: u64, count: u64) -> u32 {
        sequences.number(ME, batch(nth), RecordCount(count)).base_sequence.0
    }

    #[test]
    fn no_more_than_five_batches_are_numbered_at_once() {
        let mut sequences = Sequences::default();
        for nth in 0..5 {
            assert_eq!(number(&mut sequences, nth, 2), nth as u32 * 2);
        }
        assert!(!sequences.may_number(ME));
        sequences.settle(batch(3));
        assert!(sequences.may_number(ME));
    }

    #[test]
    fn a_new_epoch_waits_for_the_old_ones_batches_and_begins_at_zero() {
        let mut sequences = Sequences::default();
        number(&mut sequences, 0, 3);
        let raised = ME.raised().expect("there are epochs left");
        assert!(!sequences.may_number(raised));
        sequences.settle(batch(0));
        assert_eq!(sequences.number(raised, batch(1), RecordCount(1)), raised.stamp(Sequence(0)));
    }

    #[test]
    fn a_batch_given_up_is_resolved_by_those_after_it() {
        for (acked, restarts) in [(Some(4), false), (Some(1), true), (None, true)] {
            let mut sequences = Sequences::default();
            number(&mut sequences, 0, 2);
            number(&mut sequences, 1, 3);
            sequences.leave_unresolved(Sequence(2));
            sequences.settle(batch(0));
            sequences.resolve();
            assert!(!sequences.may_number(ME) && !sequences.is_restarting(), "one is still out");
            if let Some(acked) = acked {
                sequences.acked(ME, Sequence(acked));
            }
            sequences.settle(batch(1));
            sequences.resolve();
            assert_eq!(sequences.is_restarting(), restarts, "{acked:?}");
        }
    }

    #[test]
    fn numbers_wrap_and_keep_their_order() {
        let mut sequences = Sequences { next: Sequence(i32::MAX as u32 - 1), ..Sequences::default() };
        sequences.identity = Some(ME);
        assert_eq!(number(&mut sequences, 0, 3), i32::MAX as u32 - 1);
        assert_eq!(number(&mut sequences, 1, 1), 1);
        sequences.acked(ME, Sequence(i32::MAX as u32));
        sequences.acked(ME, Sequence(1));
        assert!(sequences.is_overtaken(Sequence(i32::MAX as u32 - 1)));
        assert!(!sequences.is_overtaken(Sequence(1)));
    }

    #[test]
    fn a_restart_renumbers_in_order() {
        let mut sequences = Sequences::default();
        number(&mut sequences, 0, 2);
        number(&mut sequences, 1, 3);
        sequences.want_restart();
        let raised = ME.raised().expect("there are epochs left");
        let mut given = Vec::new();
        sequences.restart(raised, |batch, stamp| {
            given.push((batch.nth, stamp.base_sequence.0));
            RecordCount(if batch.nth == 0 { 2 } else { 3 })
        });
        assert_eq!(given, [(0, 0), (1, 2)]);
        assert_eq!(sequences.number(raised, batch(2), RecordCount(1)).base_sequence, Sequence(5));
    }

    #[test]
    fn the_last_epoch_has_no_next() {
        assert_eq!(Identity { epoch: ProducerEpoch(i16::MAX as u16), ..ME }.raised(), None);
    }
}
