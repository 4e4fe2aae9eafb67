//! Is there a snapshot for whatever the metadata log has dropped? (`WB-RaftSnapshot`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "snapshot_covers_log_start",
    "WB-RaftSnapshot",
    "A metadata log that does not begin at zero has a complete snapshot that reaches at least to its start.",
);

struct SnapshotCoversLogStart;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(SnapshotCoversLogStart)
}

impl Check for SnapshotCoversLogStart {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::LogStartMoved, EventKind::Recovered], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let start = match *event {
            Event::LogStartMoved { partition, to, .. } if partition.is_metadata() => to,
            Event::Recovered { partition, start, .. } if partition.is_metadata() => start,
            _ => return,
        };
        let node = scene.node;
        let snapshot = scene.cluster.quorum.snapshot(node);
        if start.0 == 0 || snapshot.is_some_and(|end| end >= start) {
            return;
        }
        found.report(INFO.name, event.partition(), |n| {
            (
                format!(
                    "the metadata log of {} begins at {start} and no snapshot reaches there",
                    Name(n, node)
                ),
                vec![
                    ("log start", start.to_string()),
                    ("snapshot", snapshot.map_or("none".into(), |end| format!("to {end}"))),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::{Event, LogStartReason},
        units::{LeaderEpoch, Offset, TopicPartition},
    };

    use super::{super::testing::*, INFO};

    fn moved(to: u64) -> Event {
        let (from, to, why) = (Offset(0), Offset(to), LogStartReason::Snapshot);
        Event::LogStartMoved { partition: TopicPartition::METADATA, from, to, why }
    }

    #[test]
    fn a_log_cleaned_past_its_snapshot_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        let (end, epoch, size) = (Offset(10), LeaderEpoch(1), 100);
        bench.say(c(1), Event::SnapshotWritten { end, epoch, size }).say(c(1), moved(10));
        assert_eq!(bench.fired(), 0);
        bench.say(c(1), moved(11));
        assert_eq!(bench.fired(), 1);
    }
}
