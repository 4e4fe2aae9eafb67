//! Is every offset of a log used once, in order? (`WB-LogShape`)

use trial_model::{
    event::{Event, EventKind, ReplicaRole},
    machine::Halt,
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::world_event::Stop;

pub(super) const INFO: CheckInfo = safety(
    "log_offsets_increase",
    "WB-LogShape",
    "A log grows at its end only, a leader's without gaps, and a clean restart leaves its end where it was.",
);

struct LogOffsetsIncrease;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(LogOffsetsIncrease)
}

impl Check for LogOffsetsIncrease {
    fn hears(&self) -> Hears {
        Hears { before: &[EventKind::Appended, EventKind::Recovered], ..Hears::default() }
    }

    fn before(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Some(id) = event.partition() else { return };
        let replica = scene.cluster.partition(id).and_then(|partition| partition.replica(scene.node));
        let Some(replica) = replica.filter(|replica| !replica.opaque) else { return };
        let wrong = match *event {
            Event::Appended { base, end, .. } if end <= base => {
                format!("a batch @{base}..{end} has no records")
            }
            // An empty log that begins inside a batch, after DeleteRecords, gets that batch whole (KAFKA-6975).
            Event::Appended { base, end, role: ReplicaRole::Follower, .. }
                if replica.start == replica.end && base < replica.start && replica.start < end =>
            {
                return;
            }
            Event::Appended { base, .. } if replica.open && base < replica.end => {
                format!("a batch goes in at {base}, but the log ends at {}", replica.end)
            }
            Event::Appended { base, role: ReplicaRole::Leader, .. } if replica.open && base > replica.end => {
                format!("the leader skips from {} to {base}", replica.end)
            }
            Event::Recovered { end, clean: true, .. } if end != replica.end => {
                let ended = scene.cluster.process(scene.node).and_then(|process| process.ended);
                if ended != Some(Stop::Halted(Halt::Shutdown)) || replica.cut_since_flush {
                    return;
                }
                format!("a clean restart moves the log's end from {} to {end}", replica.end)
            }
            _ => return,
        };
        let node = scene.node;
        found.report(INFO.name, Some(id), |n| {
            (
                format!("the log of {} on {} is out of order: {wrong}", Name(n, id), Name(n, node)),
                vec![
                    ("log", format!("{}..{} on {}", replica.start, replica.end, Name(n, node))),
                    ("wrong", wrong),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        time::Timestamp,
        units::{LeaderEpoch, Offset},
    };

    use super::{super::testing::*, *};

    #[test]
    fn an_offset_given_twice_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.append(b(1), Leader, 0, 1, 7).append(b(1), Leader, 0, 1, 8);
        assert_eq!(bench.fired(), 1);
    }

    /// The process dies while its disk is to make the directory: the next finds nothing to read back.
    #[test]
    fn a_log_that_was_not_on_the_disk_begins_anew() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.append(b(2), Follower, 0, 1, 7).stop(b(2), Stop::Crash).start(b(2));
        let follows = |log_end| Event::FollowerStarted {
            partition: P,
            epoch: LeaderEpoch(1),
            leader: Some(b(1)),
            log_end: Offset(log_end),
        };
        bench.say(b(2), follows(0)).append(b(2), Follower, 0, 1, 7);
        assert_eq!(bench.fired(), 0);
        bench.say(b(2), follows(0)).append(b(2), Follower, 0, 1, 7);
        assert_eq!(bench.fired(), 1, "it has not died since");
    }

    /// KAFKA-6975: the start of a log may lie inside a batch, and an empty log that begins there gets it whole.
    #[test]
    fn the_first_batch_of_an_empty_log_may_begin_before_its_start() {
        let mut bench = Bench::of(INFO.name).begun();
        let batch = |base, end| Event::Appended {
            partition: P,
            role: Follower,
            base: Offset(base),
            end: Offset(end),
            epoch: LeaderEpoch(1),
            crc: 8,
            producer: None,
            control: false,
            max_timestamp: Timestamp(0),
        };
        bench.append(b(2), Follower, 0, 1, 7).truncate(2, 5, 0).say(b(2), batch(3, 7));
        assert_eq!(bench.fired(), 0);
        bench.say(b(2), batch(6, 9));
        assert_eq!(bench.fired(), 1, "only the first");
        let mut bench = Bench::of(INFO.name).begun();
        bench.append(b(2), Follower, 0, 1, 7).truncate(2, 5, 0).say(b(2), batch(3, 5));
        assert_eq!(bench.fired(), 1, "only one that holds the start");
    }

    #[test]
    fn after_a_cut_an_offset_is_free_again() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.append(b(2), Follower, 0, 1, 7).truncate(2, 0, 0).append(b(2), Follower, 0, 2, 8);
        // A follower of a compacted log sees gaps.
        bench.append(b(2), Follower, 5, 2, 9);
        assert_eq!(bench.fired(), 0);
    }
}
