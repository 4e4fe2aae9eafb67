//! Which replicas does this broker have, and who waits for something to happen to one of them?

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use super::purgatory::ParkedId;
use crate::{
    machine::ConnectionId,
    partition::Partition,
    time::Instant,
    units::{Offset, TopicPartition},
};

/// Where a replica stands in `Replicas`: found once by name, and then at no cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u32);

/// One replica and who waits for it.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The replica.
    pub partition: Partition,
    /// Which fetch sessions read it, and as which of their partitions.
    pub readers: Vec<(ConnectionId, u32)>,
    /// Produce requests that wait until their batch is written, in order of its end.
    pub until_written: VecDeque<Waiter>,
    /// Produce requests that wait until their batch is committed, in order of its end.
    pub until_committed: VecDeque<Waiter>,
    /// DeleteRecords requests that wait for the replicas' log starts.
    pub until_deleted: Vec<Waiter>,
    /// When its log wants to be woken, as the timers have it.
    pub wakes_at: Option<Instant>,
}

/// A parked request that waits for an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// Which.
    pub parked: ParkedId,
    /// Which of its partitions.
    pub index: u32,
    /// What it waits for.
    pub until: Offset,
}

impl Replica {
    /// A replica for which nobody waits.
    pub fn new(partition: Partition) -> Replica {
        Replica {
            partition,
            readers: Vec::new(),
            until_written: VecDeque::new(),
            until_committed: VecDeque::new(),
            until_deleted: Vec::new(),
            wakes_at: None,
        }
    }
}

/// Adds a waiter behind those that wait for no more than it does.
pub fn insert(queue: &mut VecDeque<Waiter>, waiter: Waiter) {
    let at = queue.iter().rposition(|before| before.until <= waiter.until).map_or(0, |at| at + 1);
    queue.insert(at, waiter);
}

/// The replicas of one broker.
#[derive(Clone, Debug, Default)]
pub struct Replicas {
    index: BTreeMap<TopicPartition, Slot>,
    slots: Vec<Option<Replica>>,
    free: Vec<Slot>,
}

impl Replicas {
    /// Where the replica of a partition stands.
    pub fn find(&self, partition: TopicPartition) -> Option<Slot> {
        self.index.get(&partition).copied()
    }

    /// The replica in a slot, if there is one still.
    pub fn get(&self, slot: Slot) -> Option<&Replica> {
        self.slots.get(slot.0 as usize)?.as_ref()
    }

    /// The replica in a slot, if there is one still.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Replica> {
        self.slots.get_mut(slot.0 as usize)?.as_mut()
    }

    /// Adds a replica of a partition that has none.
    pub fn add(&mut self, replica: Replica) -> Slot {
        let partition = replica.partition.id();
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot.0 as usize] = Some(replica);
                slot
            }
            None => {
                self.slots.push(Some(replica));
                Slot((self.slots.len() - 1) as u32)
            }
        };
        let before = self.index.insert(partition, slot);
        assert!(before.is_none(), "a partition has one replica on a broker");
        slot
    }

    /// Takes a replica out.
    pub fn remove(&mut self, partition: TopicPartition) -> Option<(Slot, Replica)> {
        let slot = self.index.remove(&partition)?;
        let replica = self.slots[slot.0 as usize].take()?;
        self.free.push(slot);
        Some((slot, replica))
    }

    /// All of them, in order of their partitions.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Replica)> {
        self.index.values().filter_map(|slot| Some((*slot, self.get(*slot)?)))
    }

    /// Where all of them stand, in order of their partitions.
    pub fn slots(&self) -> Vec<Slot> {
        self.index.values().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiters_stand_in_order_of_what_they_wait_for() {
        let waiter = |parked, until| Waiter { parked: ParkedId(parked), index: 0, until: Offset(until) };
        let mut queue = VecDeque::new();
        for (parked, until) in [(1, 5), (2, 9), (3, 5), (4, 1)] {
            insert(&mut queue, waiter(parked, until));
        }
        assert_eq!(queue, [waiter(4, 1), waiter(1, 5), waiter(3, 5), waiter(2, 9)]);
    }
}
