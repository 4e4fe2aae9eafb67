//! Does a log come back from the disk as it was? (`WB-Recovery`)

use trial_model::{
    event::{Event, EventKind},
    machine::Halt,
    units::{LeaderEpoch, NodeSet, Offset},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::{
    mirror::{Partition, Replica},
    world_event::{Stop, WorldEvent},
};

pub(super) const INFO: CheckInfo = safety(
    "recovery_keeps_flushed",
    "WB-Recovery",
    "After a restart a log is a prefix of what it was, ends with a whole batch, and holds all that was flushed, or all that was written if only the process died.",
);

/// The disks that may give back something else than was written.
#[derive(Default)]
struct RecoveryKeepsFlushed {
    damaged: NodeSet,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(RecoveryKeepsFlushed::default())
}

impl Check for RecoveryKeepsFlushed {
    fn hears(&self) -> Hears {
        Hears { before: &[EventKind::Recovered], ..Hears::default() }
    }

    fn world(&mut self, _scene: Scene<'_>, event: &WorldEvent, _found: &mut Found) {
        if let WorldEvent::DiskDamaged { node, .. } = event {
            self.damaged.insert(*node);
        }
    }

    fn before(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::Recovered { partition: id, start, end, last_epoch, last_crc, .. } = *event else { return };
        let Some(partition) = scene.cluster.partition(id).filter(|partition| !partition.deleted) else {
            return;
        };
        let Some(replica) = partition.replica(scene.node).filter(|replica| !replica.opaque) else { return };
        let Some(ended) = scene.cluster.process(scene.node).and_then(|process| process.ended) else { return };
        if self.damaged.contains(scene.node) || ended == Stop::Halted(Halt::DiskFailed) {
            return;
        }
        // A process that dies while it reads back what a power failure left has not lost it.
        let floor = if replica.lost_power { replica.flushed } else { replica.written };
        let wrong = if end < floor && floor > partition.trunk.start && floor > replica.start {
            let what = if replica.lost_power { "flushed" } else { "written" };
            Some(format!("it ends at {end}, but {floor} was {what}"))
        } else if end > replica.end && !replica.cut_since_flush {
            Some(format!("it ends at {end}, but only {} was appended", replica.end))
        } else if end > start && !replica.cut_since_flush {
            content(partition, replica, end, last_epoch.zip(last_crc))
        } else {
            None
        };
        let Some(wrong) = wrong else { return };
        let node = scene.node;
        found.report(INFO.name, Some(id), |n| {
            (
                format!("{} comes back with another log of {}: {wrong}", Name(n, node), Name(n, id)),
                vec![
                    (
                        "before",
                        format!(
                            "{}..{}, written {}, flushed {}",
                            replica.start, replica.end, replica.written, replica.flushed
                        ),
                    ),
                    ("after", format!("{start}..{end}")),
                    ("ended by", how(ended).into()),
                ],
            )
        });
    }
}

fn content(
    partition: &Partition,
    replica: &Replica,
    end: Offset,
    found: Option<(LeaderEpoch, u32)>,
) -> Option<String> {
    let last = end.before()?;
    let same = if end > replica.agreed {
        let at = replica.tail.partition_point(|entry| entry.end <= last);
        let entry = replica.tail.get(at)?;
        if entry.end != end {
            return Some(format!("it ends at {end}, inside a batch @{}..{}", entry.base, entry.end));
        }
        found? == (entry.epoch, entry.crc)
    } else if last >= partition.trunk.need_agree_from() {
        partition.trunk.may_be(last, found?)?
    } else {
        // What was deleted meanwhile need not agree, nor what no leader can tell apart any more.
        return None;
    };
    (!same).then(|| format!("its last batch before {end} is another one"))
}

fn how(ended: Stop) -> &'static str {
    match ended {
        Stop::Crash => "a crash of the process",
        Stop::PowerLoss => "a power loss",
        Stop::Halted(_) => "its own will",
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};
    use crate::world_event::Stop;

    fn two_records() -> Bench {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2, 3]).replicated(1, 1, 8, &[2, 3]).flushed(b(2), P, 1);
        bench
    }

    #[test]
    fn what_was_flushed_and_is_gone_is_noticed() {
        let mut bench = two_records();
        bench.stop(b(2), Stop::PowerLoss).start(b(2)).recovered(2, 0, None);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn what_was_not_flushed_may_go() {
        let mut bench = two_records();
        bench.stop(b(2), Stop::PowerLoss).start(b(2)).recovered(2, 1, Some(7));
        assert_eq!(bench.fired(), 0);
    }

    #[test]
    fn a_crash_on_the_way_back_from_a_power_loss_may_lose_what_that_has_lost() {
        let mut bench = two_records();
        bench.stop(b(2), Stop::PowerLoss).start(b(2)).stop(b(2), Stop::Crash).start(b(2));
        bench.recovered(2, 1, Some(7));
        assert_eq!(bench.fired(), 0);
        bench.append(b(2), Follower, 1, 1, 8).stop(b(2), Stop::Crash).start(b(2)).recovered(2, 1, Some(7));
        assert_eq!(bench.fired(), 0, "nobody said that the second was written");
        let mut bench = two_records();
        bench.stop(b(2), Stop::PowerLoss).start(b(2)).stop(b(2), Stop::Crash).start(b(2));
        bench.recovered(2, 0, None);
        assert_eq!(bench.fired(), 1, "the first was flushed");
    }

    #[test]
    fn another_record_in_its_place_is_noticed() {
        let mut bench = two_records();
        bench.stop(b(2), Stop::Crash).start(b(2)).recovered(2, 2, Some(9));
        assert_eq!(bench.fired(), 1);
    }

    /// Its last batch was cleaned meanwhile, and has fewer records: it is the same by its epoch.
    #[test]
    fn another_content_of_what_was_cleaned_is_the_same_batch() {
        for (cleaned, fired) in [(2, 0), (1, 1)] {
            let mut bench = two_records();
            bench.hw(1, 1, 2, &[1, 2, 3]).cleans(2, cleaned);
            bench.stop(b(2), Stop::Crash).start(b(2)).recovered(2, 2, Some(9));
            assert_eq!(bench.fired(), fired);
        }
    }

    /// Broker 2 has parted where broker 3 has copied a gap: who leads cannot tell, and what it has is its own.
    #[test]
    fn what_nobody_can_tell_apart_comes_back_as_it_was() {
        for (copied, crc, fired) in [(true, 9, 0), (false, 9, 0), (false, 7, 1)] {
            let mut bench = Bench::of(INFO.name).begun();
            bench.replicated(0, 1, 7, &[2, 3]).append(b(2), Follower, 1, 1, 9).stop(b(2), Stop::Crash);
            bench.elected(1, 2, &[1, 3], false).leads(1, 2);
            for at in 1..4 {
                bench.replicated(at, 2, 8, &[3]);
            }
            bench.hw(1, 2, 4, &[1, 3]).cleans(1, 4).truncate(3, 1, 0);
            for at in if copied { 3..5 } else { 1..5 } {
                if at == 4 {
                    bench.append(b(1), Leader, at, 2, 8);
                }
                bench.append(b(3), Follower, at, 2, 8);
            }
            bench.hw(1, 2, 5, &[1, 3]).start(b(2)).recovered(2, 2, Some(crc));
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn a_cut_that_was_not_flushed_may_come_undone() {
        let mut bench = two_records();
        bench.truncate(2, 1, 0).stop(b(2), Stop::PowerLoss).start(b(2)).recovered(2, 2, Some(8));
        assert_eq!(bench.fired(), 0);
    }
}
