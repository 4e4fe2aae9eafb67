//! Does no node unlearn metadata? (`WB-MetaMono`)

use trial_model::{
    event::{Event, EventKind},
    units::LeaderEpoch,
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::mirror::Known;

pub(super) const INFO: CheckInfo = safety(
    "metadata_never_goes_back",
    "WB-MetaMono",
    "The metadata offset of a broker or controller, and the leader epochs that a broker or client acts on, never go back in one life.",
);

/// The newest epoch that each client learned of each partition, and in which of its lives.
#[derive(Default)]
struct MetadataNeverGoesBack {
    learned: Known<(u32, LeaderEpoch)>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(MetadataNeverGoesBack::default())
}

impl Check for MetadataNeverGoesBack {
    fn hears(&self) -> Hears {
        Hears {
            before: &[
                EventKind::MetadataApplied,
                EventKind::MetadataLearned,
                EventKind::LeaderStarted,
                EventKind::FollowerStarted,
            ],
            ..Hears::default()
        }
    }

    fn before(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let process = scene.cluster.process(scene.node);
        let wrong = match *event {
            Event::MetadataApplied { end, .. } => {
                let applied = process.map(|process| process.applied);
                applied
                    .filter(|applied| *applied > end)
                    .map(|applied| (format!("offset {applied}"), format!("offset {end}")))
            }
            Event::MetadataLearned { partition, epoch, .. } => {
                let life = process.map_or(0, |process| process.lives);
                let known = self.learned.entry(scene.node, partition).replace((life, epoch));
                // Who has heard that a topic is unknown forgets what it knew, and may then ask somebody to whom
                // it is not unknown yet.
                let gone = || scene.cluster.is_deleted(partition.topic);
                let newer = known.filter(|(then, known)| *then == life && *known > epoch && !gone());
                newer.map(|(_, known)| (format!("epoch {known}"), format!("epoch {epoch}")))
            }
            Event::LeaderStarted { partition, epoch, .. }
            | Event::FollowerStarted { partition, epoch, .. } => {
                let replica = scene.cluster.partition(partition).and_then(|known| known.replica(scene.node));
                let newer = replica.map(|replica| replica.epoch).filter(|known| *known > epoch);
                newer.map(|known| (format!("epoch {known}"), format!("epoch {epoch}")))
            }
            _ => return,
        };
        let Some((known, now)) = wrong else { return };
        let node = scene.node;
        found.report(INFO.name, event.partition(), |n| {
            (
                format!("{} goes back to older metadata: {known}, then {now}", Name(n, node)),
                vec![("knew", known), ("then", now)],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::Event,
        units::{LeaderEpoch, NodeId, Offset},
    };

    use super::{super::testing::*, INFO};
    use crate::world_event::Stop;

    fn applied(end: u64) -> Event {
        Event::MetadataApplied {
            end: Offset(end),
            epoch: LeaderEpoch(1),
            fingerprint: 1,
            from_snapshot: false,
        }
    }

    fn learned(epoch: u32) -> Event {
        Event::MetadataLearned { partition: P, leader: Some(b(1)), epoch: LeaderEpoch(epoch) }
    }

    #[test]
    fn going_back_in_one_life_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.say(b(1), applied(9)).say(b(1), applied(8)).say(C1, learned(4)).say(C1, learned(3));
        assert_eq!(bench.fired(), 2);
    }

    #[test]
    fn a_new_life_begins_anew() {
        let mut bench = Bench::of(INFO.name);
        bench.say(b(1), applied(9)).stop(b(1), Stop::Crash).start(b(1)).say(b(1), applied(8));
        bench.say(C1, learned(4)).stop(C1, Stop::Crash).start(C1).say(C1, learned(3)).say(P1, learned(2));
        assert_eq!(bench.fired(), 0);
    }

    #[test]
    fn a_topic_that_is_gone_may_be_told_of_by_one_who_has_not_heard() {
        let mut bench = Bench::of(INFO.name);
        let (topic, name, controller) = (P.topic, || "orders".into(), NodeId::controller(1));
        bench.say(controller, Event::TopicCreated { topic, name: name(), at: Offset(8), active: true });
        bench.say(C1, learned(4));
        bench.say(controller, Event::TopicDeleted { topic, name: name(), at: Offset(9), active: true });
        bench.say(C1, learned(3));
        assert_eq!(bench.fired(), 0);
    }
}
