//! Does at most one broker lead a partition in an epoch, and only who was elected? (`WB-OneLeader`)

use trial_model::{
    event::{Event, EventKind, ReplicaRole},
    units::{LeaderEpoch, NodeId, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::mirror::Lookup;

pub(super) const INFO: CheckInfo = safety(
    "single_leader_per_epoch",
    "WB-OneLeader",
    "At most one broker leads a partition in an epoch: the one that the controller elected for it.",
);

/// Who was seen to lead in the newest few epochs of each partition.
#[derive(Default)]
struct SingleLeaderPerEpoch {
    leaders: Lookup<TopicPartition, Vec<(LeaderEpoch, NodeId)>>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(SingleLeaderPerEpoch::default())
}

impl Check for SingleLeaderPerEpoch {
    fn hears(&self) -> Hears {
        Hears {
            after: &[EventKind::LeaderStarted, EventKind::Appended, EventKind::HighWatermarkAdvanced],
            ..Hears::default()
        }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let (id, epoch) = match *event {
            Event::LeaderStarted { partition, epoch, .. } => (partition, epoch),
            Event::HighWatermarkAdvanced { partition, epoch, .. } => (partition, epoch),
            Event::Appended { partition, role: ReplicaRole::Leader, epoch, .. } => (partition, epoch),
            _ => return,
        };
        if id.is_metadata() {
            return;
        }
        let leaders = self.leaders.entry(id).or_default();
        let other = match leaders.iter().rev().find(|(known, _)| *known == epoch) {
            Some((_, other)) if *other == scene.node => return,
            Some((_, other)) => Some(*other),
            None => {
                leaders.push((epoch, scene.node));
                if leaders.len() > 32 {
                    leaders.remove(0);
                }
                None
            }
        };
        let elected = scene.cluster.partition(id).and_then(|partition| partition.election(epoch));
        if other.is_none() && elected.is_none_or(|elected| elected.leader == Some(scene.node)) {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, Some(id), |n| {
            let elected = elected.map_or("not known".into(), |elected| Name(n, elected.leader).to_string());
            (
                format!("{} leads {} in epoch {epoch}, which is not its own", Name(n, node), Name(n, id)),
                vec![
                    ("epoch", epoch.to_string()),
                    ("one", other.map_or("nobody seen".into(), |other| Name(n, other).to_string())),
                    ("another", Name(n, node).to_string()),
                    ("elected", elected),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};

    #[test]
    fn two_that_lead_in_one_epoch_are_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.append(b(2), Leader, 0, 1, 7);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn an_old_leader_that_goes_on_in_its_own_epoch_is_well() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.elect(2, 2, &[1, 2, 3]).leads(2, 2).append(b(1), Leader, 0, 1, 7).append(b(2), Leader, 0, 2, 8);
        bench.append(b(3), Follower, 0, 2, 8);
        assert_eq!(bench.fired(), 0);
    }
}
