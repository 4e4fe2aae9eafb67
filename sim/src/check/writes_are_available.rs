//! Can a healthy partition be written at all times? (`L-avail`)

use trial_model::{time::Instant, units::TopicPartition};

use super::{
    Check, CheckInfo, Found, Hears, Name, Scene, liveness, quorum_elects_leader::can_elect,
    writes_complete::is_writable,
};

pub(super) const INFO: CheckInfo = liveness(
    "writes_are_available",
    "L-avail",
    "While a majority of the voters and min.insync.replicas of a partition are healthy, no write to it waits longer than failure detection and an election take.",
);

/// When to look again, and which partitions were told of.
#[derive(Default)]
struct WritesAreAvailable {
    next: Instant,
    told: Vec<TopicPartition>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(WritesAreAvailable::default())
}

impl Check for WritesAreAvailable {
    fn hears(&self) -> Hears {
        Hears { ticks: true, ..Hears::default() }
    }

    fn tick(&mut self, scene: Scene<'_>, found: &mut Found) {
        let patience = scene.setup.patience.unavailability;
        if scene.at < self.next {
            return;
        }
        self.next = scene.at + std::time::Duration::from_secs(1);
        if !scene.cluster.faults.is_empty()
            || scene.at.since(scene.cluster.disturbed) < patience
            || !can_elect(scene)
        {
            return;
        }
        for (place, partition) in scene.history.partitions.iter().enumerate() {
            let Some(sent) = scene.history.oldest_pending(place as u32) else { continue };
            let alive = scene.cluster.process(sent.node).is_some_and(|process| process.well());
            let waited = scene.at.since(sent.at);
            let Some(known) = scene.cluster.partition(partition.id) else { continue };
            let healthy = alive
                && is_writable(scene, known)
                && known.candidates().any(|node| scene.cluster.serves(node));
            if !healthy || waited < patience || self.told.contains(&partition.id) {
                continue;
            }
            self.told.push(partition.id);
            found.report(INFO.name, Some(partition.id), |n| {
                let leader = known.truth.as_ref().and_then(|state| state.leader);
                (
                    format!("{} cannot be written although it is healthy", Name(n, partition.id)),
                    vec![
                        (
                            "waits",
                            format!(
                                "{} of {}, sent {}s",
                                scene.history.show(sent.value),
                                Name(n, sent.node),
                                sent.at
                            ),
                        ),
                        ("last", format!("{}s a write was acknowledged", partition.last_ack)),
                        ("leader", Name(n, leader).to_string()),
                        ("calm", format!("since {}s nothing was disturbed", scene.cluster.disturbed)),
                    ],
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};
    use crate::world_event::{Stop, WorldEvent};

    #[test]
    fn a_healthy_partition_that_refuses_writes_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.send(P1, 0).wait(40);
        assert_eq!(bench.fired(), 0);
        bench.wait(10);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn under_a_fault_or_without_enough_replicas_it_may_wait() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.world(WorldEvent::FaultBegan { id: "cut".into(), nodes: None }).send(P1, 0).wait(60);
        let mut other = Bench::of(INFO.name).begun();
        other.stop(b(2), Stop::Crash).stop(b(3), Stop::Crash).fence(2).fence(3).send(P1, 0).wait(60);
        assert_eq!((bench.fired(), other.fired()), (0, 0));
    }
}
