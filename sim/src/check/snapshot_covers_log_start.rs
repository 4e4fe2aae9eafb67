//! Is there a snapshot for whatever the metadata log has dropped? (`WB-RaftSnapshot`)

use std::time::Duration;

use trial_model::{
    event::{Event, EventKind},
    time::Instant,
    units::{NodeId, NodeSet, Offset, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::world_event::WorldEvent;

/// How long a node may know that more is committed than its log has, before it begins from a snapshot.
const BEGIN_WITHIN: Duration = Duration::from_secs(1);

pub(super) const INFO: CheckInfo = safety(
    "snapshot_covers_log_start",
    "WB-RaftSnapshot",
    "A metadata log that does not begin at zero has a complete snapshot that reaches at least to its start, and a snapshot that is there can be read.",
);

/// Which nodes came back with a log that begins later, where, and since when they have known more to be
/// committed; they must then begin from a snapshot.
#[derive(Default)]
struct SnapshotCoversLogStart {
    back: Vec<(NodeId, Offset, Option<Instant>)>,
    /// The snapshot that each node began from last, and when.
    loaded: Vec<(NodeId, Offset, Instant)>,
    /// The disks that may give back something else than was written.
    damaged: NodeSet,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(SnapshotCoversLogStart::default())
}

impl Check for SnapshotCoversLogStart {
    fn hears(&self) -> Hears {
        Hears {
            after: &[
                EventKind::LogStartMoved,
                EventKind::Recovered,
                EventKind::SnapshotLoaded,
                EventKind::SnapshotWritten,
                EventKind::QuorumHighWatermarkAdvanced,
                EventKind::DiskFailed,
            ],
            ticks: true,
            ..Hears::default()
        }
    }

    fn world(&mut self, _scene: Scene<'_>, event: &WorldEvent, _found: &mut Found) {
        match event {
            WorldEvent::NodeStopped { node, .. } => self.back.retain(|(who, ..)| who != node),
            WorldEvent::DiskDamaged { node, .. } => {
                self.damaged.insert(*node);
            }
            _ => {}
        }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let node = scene.node;
        let start = match *event {
            Event::LogStartMoved { partition, to, .. } if partition.is_metadata() => to,
            Event::Recovered { partition, start, .. } if partition.is_metadata() => {
                if start.0 > 0 {
                    self.back.push((node, start, None));
                }
                start
            }
            Event::SnapshotLoaded { end, .. } | Event::SnapshotWritten { end, .. } => {
                self.back.retain(|(who, start, _)| *who != node || *start > end);
                if matches!(event, Event::SnapshotLoaded { .. }) {
                    self.loaded.retain(|(who, ..)| *who != node);
                    self.loaded.push((node, end, scene.at));
                }
                return;
            }
            Event::DiskFailed { ref file, .. } => return self.unread(scene, file, found),
            Event::QuorumHighWatermarkAdvanced { to, .. } => {
                let known = self
                    .back
                    .iter_mut()
                    .find(|(who, start, since)| *who == node && *start < to && since.is_none());
                if let Some((.., since)) = known {
                    *since = Some(scene.at);
                }
                return;
            }
            _ => return,
        };
        let snapshot = scene.cluster.quorum.snapshot(node);
        if start.0 > 0 && snapshot.is_none_or(|end| end < start) {
            tell(node, start, snapshot, found);
        }
    }

    fn tick(&mut self, scene: Scene<'_>, found: &mut Found) {
        let late = |since: &Option<Instant>| since.is_some_and(|since| scene.at.since(since) >= BEGIN_WITHIN);
        let due = self.back.iter().position(|(node, _, since)| late(since) && scene.cluster.alive(*node));
        if let Some(at) = due {
            let (node, start, _) = self.back.swap_remove(at);
            tell(node, start, None, found);
        }
    }
}

impl SnapshotCoversLogStart {
    /// Whoever begins from a snapshot and halts over it has found something else than a snapshot in its file.
    fn unread(&self, scene: Scene<'_>, file: &str, found: &mut Found) {
        let node = scene.node;
        let now = self.loaded.iter().find(|(who, _, at)| *who == node && *at == scene.at);
        let Some((_, end, _)) = now.filter(|_| file.contains(".checkpoint") && !self.damaged.contains(node))
        else {
            return;
        };
        found.report(INFO.name, Some(TopicPartition::METADATA), |n| {
            (
                format!("the metadata snapshot of {} to {end} cannot be read", Name(n, node)),
                vec![("snapshot", format!("to {end}")), ("file", file.to_string())],
            )
        });
    }
}

fn tell(node: NodeId, start: Offset, snapshot: Option<Offset>, found: &mut Found) {
    found.report(INFO.name, Some(TopicPartition::METADATA), |n| {
        (
            format!("the metadata log of {} begins at {start} and no snapshot reaches there", Name(n, node)),
            vec![
                ("log start", start.to_string()),
                ("snapshot", snapshot.map_or("none".into(), |end| format!("to {end}"))),
            ],
        )
    });
}

#[cfg(test)]
mod tests {
    use trial_model::{
        disk::DiskError,
        event::{Event, LogStartReason},
        units::{LeaderEpoch, Offset, TopicPartition},
    };

    use super::{super::testing::*, INFO};
    use crate::world_event::{Stop, WorldEvent};

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

    #[test]
    fn a_snapshot_that_went_with_the_power_is_noticed() {
        for loaded in [true, false] {
            let mut bench = Bench::of(INFO.name);
            let (end, epoch, size) = (Offset(10), LeaderEpoch(1), 100);
            bench.say(c(1), Event::SnapshotWritten { end, epoch, size }).say(c(1), moved(10));
            bench.stop(c(1), Stop::PowerLoss).start(c(1));
            let (partition, start, end) = (TopicPartition::METADATA, Offset(10), Offset(12));
            let (clean, cut, last_epoch, last_crc) = (false, 0, None, None);
            bench.say(c(1), Event::Recovered { partition, start, end, clean, cut, last_epoch, last_crc });
            bench.metadata_hw(1, 2, 12, false);
            if loaded {
                bench.say(c(1), Event::SnapshotLoaded { end: Offset(10), epoch });
            }
            bench.wait(2);
            assert_eq!(bench.fired(), u64::from(!loaded));
        }
    }

    #[test]
    fn a_snapshot_that_came_back_empty_is_noticed_unless_the_disk_is_known_to_lie() {
        for (file, lies, times) in [("0-10.checkpoint", false, 1), ("0-10.checkpoint", true, 0), ("0.log", false, 0)]
        {
            let mut bench = Bench::of(INFO.name);
            if lies {
                bench.world(WorldEvent::DiskDamaged { node: c(1), hit: None });
            }
            // In one step, as a node that halts over what it has just read.
            let loaded = Event::SnapshotLoaded { end: Offset(10), epoch: LeaderEpoch(1) };
            let failed = Event::DiskFailed { file: file.into(), error: DiskError::Io };
            let at = bench.now();
            bench.judge.step(at, c(1), &[loaded, failed]);
            bench.judge.end_of_instant(at);
            assert_eq!(bench.fired(), times, "{file} {lies}");
        }
    }
}
