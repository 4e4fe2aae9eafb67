//! Does every producer's sequence run through the log without gap or repetition? (`WB-Producer`)

use std::collections::BTreeMap;

use trial_model::{
    event::{Event, EventKind},
    log::batch::ProducerStamp,
    time::Instant,
    units::{Offset, ProducerEpoch, ProducerId, Sequence, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::mirror::{Entry, Lookup, Partition};

pub(super) const INFO: CheckInfo = safety(
    "producer_state_matches_log",
    "WB-Producer",
    "In the committed log the sequences of a producer epoch are contiguous and none stands twice (KIP-98).",
);

#[derive(Clone, Copy)]
struct Last {
    epoch: ProducerEpoch,
    next: Sequence,
    end: Offset,
    at: Instant,
}

/// The last sequence of each producer in each partition, and how many losses the partition had when it was noted.
#[derive(Default)]
struct ProducerStateMatchesLog {
    partitions: Lookup<TopicPartition, (usize, BTreeMap<ProducerId, Last>)>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(ProducerStateMatchesLog::default())
}

impl Check for ProducerStateMatchesLog {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::HighWatermarkAdvanced], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Some(partition) = event.partition().and_then(|id| scene.cluster.partition(id)) else { return };
        for entry in &partition.grown {
            if let Some(stamp) = &entry.producer {
                self.committed(scene, partition, entry, stamp, found);
            }
        }
    }
}

impl ProducerStateMatchesLog {
    fn committed(
        &mut self,
        scene: Scene<'_>,
        partition: &Partition,
        entry: &Entry,
        stamp: &ProducerStamp,
        found: &mut Found,
    ) {
        let (losses, producers) = self.partitions.entry(partition.id).or_default();
        if *losses != partition.losses.len() {
            *losses = partition.losses.len();
            producers.clear();
        }
        let next = stamp.base_sequence.plus(entry.end - entry.base);
        let now = Last { epoch: stamp.epoch, next, end: entry.end, at: scene.at };
        let Some(last) = producers.insert(stamp.id, now) else { return };
        // What a producer wrote is known from its records: once all are deleted, a replica that begins anew where
        // the log begins now has never heard of it, and takes any sequence, a repeated one, too (KIP-360).
        let forgotten = last.end <= partition.trunk.start
            || scene.at.since(last.at) >= scene.setup.patience.producer_expiration;
        let wrong = if stamp.epoch < last.epoch {
            (!forgotten).then_some("comes from an epoch that is over")
        } else if stamp.epoch > last.epoch {
            (stamp.base_sequence != Sequence(0) && !forgotten).then_some("begins a new epoch in the middle")
        } else if stamp.base_sequence == last.next {
            None
        } else if stamp.base_sequence.since(last.next).0 > u64::from(u32::MAX / 4) {
            (!forgotten).then_some("stands there twice")
        } else {
            (!forgotten).then_some("leaves a gap")
        };
        let Some(wrong) = wrong else { return };
        found.report(INFO.name, Some(partition.id), |n| {
            (
                format!(
                    "producer {} sequence {} {wrong} in {}",
                    stamp.id,
                    stamp.base_sequence,
                    Name(n, partition.id)
                ),
                vec![
                    ("batch", format!("@{}..{} epoch {}", entry.base, entry.end, entry.epoch)),
                    (
                        "producer",
                        format!("{} epoch {} sequence {}", stamp.id, stamp.epoch, stamp.base_sequence),
                    ),
                    (
                        "before it",
                        format!("epoch {}, next sequence {}, to @{}", last.epoch, last.next, last.end),
                    ),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::event::LogStartReason;

    use super::{super::testing::*, Event, INFO, Offset};

    fn commit(bench: &mut Bench, base: u64, epoch: u16, sequence: u32) {
        let crc = base as u32;
        for (node, role) in [(b(1), Leader), (b(2), Follower), (b(3), Follower)] {
            bench.append_as(node, role, P, base, 1, crc, stamp(9, epoch, sequence));
        }
        bench.hw(1, 1, base + 1, &[1, 2, 3]);
    }

    #[test]
    fn a_sequence_that_is_committed_twice_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        commit(&mut bench, 0, 0, 0);
        commit(&mut bench, 1, 0, 0);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn what_was_deleted_may_be_written_again() {
        for (start, fired) in [(1, 0), (0, 1)] {
            let mut bench = Bench::of(INFO.name).begun();
            commit(&mut bench, 0, 0, 0);
            let (from, to, why) = (Offset(0), Offset(start), LogStartReason::DeleteRecords);
            bench.say(b(1), Event::LogStartMoved { partition: P, from, to, why });
            commit(&mut bench, 1, 0, 0);
            assert_eq!(bench.fired(), fired);
        }
    }

    /// A request that was given up long ago arrives at a leader that has never heard of the producer's next epoch.
    #[test]
    fn of_an_epoch_whose_records_were_deleted_nobody_knows() {
        for (start, fired) in [(2, 0), (1, 1)] {
            let mut bench = Bench::of(INFO.name).begun();
            commit(&mut bench, 0, 0, 0);
            commit(&mut bench, 1, 1, 0);
            let (from, to, why) = (Offset(0), Offset(start), LogStartReason::DeleteRecords);
            bench.say(b(1), Event::LogStartMoved { partition: P, from, to, why });
            commit(&mut bench, 2, 0, 1);
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn contiguous_sequences_and_a_new_epoch_are_well() {
        let mut bench = Bench::of(INFO.name).begun();
        for (base, epoch, sequence) in [(0, 0, 0), (1, 0, 1), (2, 1, 0), (3, 1, 1)] {
            commit(&mut bench, base, epoch, sequence);
        }
        assert_eq!(bench.fired(), 0);
    }

    #[test]
    fn a_gap_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        commit(&mut bench, 0, 0, 0);
        commit(&mut bench, 1, 0, 2);
        assert_eq!(bench.fired(), 1);
    }
}
