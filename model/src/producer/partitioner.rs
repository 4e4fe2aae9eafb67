//! Which partition gets a record for which the application named none?
//!
//! With a key: Kafka's murmur2 of the key modulo the number of partitions, so that a key stays where it is
//! whoever sends it. Without one: the same partition until `batch.size` bytes have gone there (KIP-794), then
//! another one by chance. Kafka also weighs partitions by how long their queues are; this one does not.

use crate::{client::cluster_view::Leadership, config::Partitioner, rng::Rng};

/// Kafka's `Utils.murmur2`.
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// Where a key goes among so many partitions: `toPositive(murmur2(key)) % partitions`.
pub fn partition_of_key(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}

/// What the partitioner remembers of one topic.
#[derive(Clone, Debug, Default)]
pub struct TopicChoice {
    sticky: Option<u32>,
    bytes: u64,
    turn: u32,
}

impl TopicChoice {
    /// A partition for a record with this key, or without one. `None` while the topic has no partitions.
    pub fn choose(
        &mut self,
        by: Partitioner,
        key: Option<&[u8]>,
        partitions: &[Leadership],
        rng: &mut Rng,
    ) -> Option<u32> {
        match (by, key) {
            _ if partitions.is_empty() => None,
            (Partitioner::RoundRobin, _) => {
                let turn = u64::from(self.turn & 0x7fff_ffff);
                self.turn = self.turn.wrapping_add(1);
                Some(nth_available(turn, partitions))
            }
            (Partitioner::Default, Some(key)) => Some(partition_of_key(key, partitions.len() as u32)),
            (Partitioner::Default, None) => {
                let stale = self.sticky.is_none_or(|sticky| sticky as usize >= partitions.len());
                if stale {
                    self.switch(partitions, rng);
                }
                self.sticky
            }
        }
    }

    /// Counts what has gone to the sticky partition, and leaves it after `batch_size` bytes if its batches
    /// are full, or after twice as many in any case.
    pub fn sent(
        &mut self,
        bytes: usize,
        batch_size: u32,
        full: bool,
        partitions: &[Leadership],
        rng: &mut Rng,
    ) {
        self.bytes += bytes as u64;
        let enough = u64::from(batch_size);
        if (self.bytes >= enough && full) || self.bytes >= 2 * enough {
            self.switch(partitions, rng);
        }
    }

    fn switch(&mut self, partitions: &[Leadership], rng: &mut Rng) {
        self.sticky = Some(nth_available(rng.next_u64() & 0x7fff_ffff, partitions));
        self.bytes = 0;
    }
}

/// The `nth` partition that has a leader, in turn; of all partitions if none has.
fn nth_available(nth: u64, partitions: &[Leadership]) -> u32 {
    let led = || (0..).zip(partitions).filter(|(_, known)| known.leader.is_some());
    match led().count() as u64 {
        0 => (nth % (partitions.len() as u64).max(1)) as u32,
        count => led().nth((nth % count) as usize).map_or(0, |(at, _)| at),
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;
    use crate::units::NodeId;

    fn led(by: &[Option<u32>]) -> Vec<Leadership> {
        by.iter().map(|leader| Leadership { leader: leader.map(NodeId::broker), epoch: None }).collect()
    }

    #[test]
    fn murmur2_is_kafkas() {
        // The vectors of Kafka's own UtilsTest.
        for (data, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(data.as_bytes()).cast_signed(), hash, "{data}");
        }
    }

    #[test]
    fn a_key_goes_where_kafka_sends_it() {
        // "21" hashes below zero: the sign bit is cleared, not negated.
        assert_eq!(partition_of_key(b"21", 6), ((-973_932_308_i32 & 0x7fff_ffff) % 6) as u32);
        let partitions = led(&[None; 6]);
        let mut rng = Rng::named(1, "p");
        let mut choice = TopicChoice::default();
        let there = choice.choose(Partitioner::Default, Some(b"21"), &partitions, &mut rng);
        assert_eq!(there, Some(partition_of_key(b"21", 6)), "whether or not anybody leads it");
    }

    #[test]
    fn round_robin_takes_turns_among_the_partitions_that_have_a_leader() {
        let partitions = led(&[Some(1), None, Some(2)]);
        let (mut choice, mut rng) = (TopicChoice::default(), Rng::named(1, "p"));
        let turns: Vec<_> = (0..4)
            .map(|_| choice.choose(Partitioner::RoundRobin, Some(b"k"), &partitions, &mut rng))
            .collect();
        assert_eq!(turns, vec![Some(0), Some(2), Some(0), Some(2)]);
    }

    #[test]
    fn without_a_key_a_partition_is_kept_until_its_batch_is_full() {
        let partitions = led(&[Some(1); 50]);
        let (mut choice, mut rng) = (TopicChoice::default(), Rng::named(1, "p"));
        let mut next =
            |choice: &mut TopicChoice| choice.choose(Partitioner::Default, None, &partitions, &mut rng);
        let first = next(&mut choice);
        assert_eq!(next(&mut choice), first);
        let mut dice = Rng::named(1, "q");
        choice.sent(150, 100, false, &partitions, &mut dice);
        assert_eq!(next(&mut choice), first, "enough bytes, but the batch has room");
        choice.sent(50, 100, false, &partitions, &mut dice);
        assert_ne!(next(&mut choice), first, "twice as many are enough in any case");
    }
}
