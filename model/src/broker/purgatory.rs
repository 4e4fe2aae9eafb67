//! Which requests are parked until something happens elsewhere, and what are they waiting to say?
//!
//! A parked request knows its answer partition by partition; the replicas hold who waits for what. What is
//! complete is answered, and what takes too long is answered with what there is.

use alloc::vec::Vec;

use smallvec::SmallVec;

use super::replicas::Slot;
use crate::{
    flat::{FlatMap, FlatSet},
    machine::Caller,
    protocol::{
        ErrorCode, LeaderHint, PartitionRef,
        list_offsets::PartitionOffsets,
        produce::{Acks, PartitionProduced, Produced},
    },
    time::Instant,
    units::{LeaderEpoch, NodeSet, Offset, TopicPartition},
};

/// Names one parked request, ascending with the time it was parked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParkedId(pub u64);

/// A parked request.
#[derive(Clone, Debug)]
pub enum Parked {
    /// A Produce.
    Produce(ParkedProduce),
    /// A DeleteRecords.
    DeleteRecords(ParkedDelete),
    /// A ListOffsets that needs the disk.
    ListOffsets(ParkedLookup),
}

/// A Produce that waits for disks or replicas.
#[derive(Clone, Debug)]
pub struct ParkedProduce {
    /// Who is answered.
    pub caller: Caller,
    /// What must have happened.
    pub acks: Acks,
    /// The answers, as far as they are known.
    pub answers: SmallVec<[ProduceAnswer; 1]>,
    /// How many are not known yet.
    pub left: usize,
}

/// The answer for one partition of a Produce.
#[derive(Clone, Debug)]
pub struct ProduceAnswer {
    /// As the request names it.
    pub named: PartitionRef,
    /// Its replica here, if there is one.
    pub slot: Option<Slot>,
    /// Its partition, if known.
    pub partition: Option<TopicPartition>,
    /// What is to be said, if nothing fails.
    pub result: Result<Produced, ErrorCode>,
    /// One past the batch.
    pub end: Option<Offset>,
    /// Who leads, where we do not.
    pub leader: Option<LeaderHint>,
    /// Whether it is not known yet whether that holds.
    pub open: bool,
    /// The leader epoch and the ISR at the time when it became known.
    pub decided: (LeaderEpoch, NodeSet),
}

impl ProduceAnswer {
    /// As the producer is told.
    pub fn told(self) -> PartitionProduced {
        PartitionProduced { partition: self.named, result: self.result, leader: self.leader }
    }
}

/// A DeleteRecords that waits until no live replica has what was deleted.
#[derive(Clone, Debug)]
pub struct ParkedDelete {
    /// Who is answered.
    pub caller: Caller,
    /// The answers, as far as they are known.
    pub answers: Vec<(PartitionRef, Result<Offset, ErrorCode>, Option<LeaderHint>)>,
    /// How many are not known yet.
    pub left: usize,
}

/// A ListOffsets that waits for the disk.
#[derive(Clone, Debug)]
pub struct ParkedLookup {
    /// Who is answered.
    pub caller: Caller,
    /// The answers, as far as they are known.
    pub answers: Vec<PartitionOffsets>,
    /// How many are not known yet.
    pub left: usize,
}

/// Everything that is parked, but for fetches, which `sessions.rs` keeps.
#[derive(Clone, Debug, Default)]
pub struct Purgatory {
    last: ParkedId,
    parked: FlatMap<ParkedId, (Instant, Parked)>,
    by_expiry: FlatSet<(Instant, ParkedId)>,
}

impl Purgatory {
    /// The id under which the next request will be parked.
    pub fn next_id(&self) -> ParkedId {
        ParkedId(self.last.0 + 1)
    }

    /// Parks a request, which waits no longer than until `expires`.
    pub fn park(&mut self, parked: Parked, expires: Instant) -> ParkedId {
        self.last = self.next_id();
        self.parked.insert(self.last, (expires, parked));
        self.by_expiry.insert((expires, self.last));
        self.last
    }

    /// A parked request, if it is parked still.
    pub fn get_mut(&mut self, id: ParkedId) -> Option<&mut Parked> {
        self.parked.get_mut(&id).map(|(_, parked)| parked)
    }

    /// Takes a request out.
    pub fn take(&mut self, id: ParkedId) -> Option<Parked> {
        let (expires, parked) = self.parked.remove(&id)?;
        self.by_expiry.remove(&(expires, id));
        Some(parked)
    }

    /// When the first of them has waited long enough.
    pub fn deadline(&self) -> Option<Instant> {
        self.by_expiry.first().map(|(expires, _)| *expires)
    }

    /// The first that has waited long enough at `now`; it stays until it is taken.
    pub fn expired(&self, now: Instant) -> Option<ParkedId> {
        self.by_expiry.first().filter(|(expires, _)| *expires <= now).map(|(_, id)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        machine::ConnectionId,
        units::{CorrelationId, NodeId},
    };

    #[test]
    fn requests_expire_in_order_of_their_time() {
        let caller =
            Caller { node: NodeId::client(1), connection: ConnectionId(1), correlation: CorrelationId(1) };
        let parked = || Parked::DeleteRecords(ParkedDelete { caller, answers: Vec::new(), left: 1 });
        let mut purgatory = Purgatory::default();
        let late = purgatory.park(parked(), Instant(9));
        let early = purgatory.park(parked(), Instant(5));
        assert_eq!(purgatory.deadline(), Some(Instant(5)));
        assert_eq!(purgatory.expired(Instant(9)), Some(early));
        assert!(purgatory.take(early).is_some() && purgatory.take(early).is_none());
        assert_eq!(purgatory.expired(Instant(8)), None);
        assert_eq!(purgatory.expired(Instant(9)), Some(late));
    }
}
