//! Does the controller never give an epoch again? (`WB-EpochMono`)

use trial_model::{
    event::{Event, EventKind, PartitionState},
    units::{BrokerEpoch, NodeId, Offset},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "epochs_increase",
    "WB-EpochMono",
    "The controller never gives a leader, partition or broker epoch that it has given before.",
);

struct EpochsIncrease;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(EpochsIncrease)
}

impl Check for EpochsIncrease {
    fn hears(&self) -> Hears {
        Hears {
            before: &[
                EventKind::LeaderElected,
                EventKind::IsrShrunk,
                EventKind::IsrExpanded,
                EventKind::PartitionChanged,
                EventKind::BrokerRegistered,
            ],
            ..Hears::default()
        }
    }

    fn before(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        match event {
            Event::LeaderElected { state, at, .. }
            | Event::IsrShrunk { state, at, .. }
            | Event::IsrExpanded { state, at, .. }
            | Event::PartitionChanged { state, at, .. } => partition(scene, event, state, *at, found),
            Event::BrokerRegistered { broker, epoch, at, .. } => {
                registered(scene, *broker, *epoch, *at, found)
            }
            _ => {}
        }
    }
}

fn is_next(scene: Scene<'_>, at: Offset) -> bool {
    scene.cluster.is_news(scene.node, at) && at > scene.cluster.truth.0
}

fn partition(scene: Scene<'_>, event: &Event, state: &PartitionState, at: Offset, found: &mut Found) {
    let known = event.partition().and_then(|id| scene.cluster.partition(id));
    let Some((known, before)) = known.and_then(|known| Some((known, known.truth.as_ref()?))) else { return };
    if !is_next(scene, at) || state == before {
        return;
    }
    let wrong = if state.leader_epoch < before.leader_epoch {
        format!("leader epoch {} after {}", state.leader_epoch, before.leader_epoch)
    } else if state.partition_epoch <= before.partition_epoch {
        format!("partition epoch {} after {}", state.partition_epoch, before.partition_epoch)
    } else if state.leader != before.leader && state.leader_epoch == before.leader_epoch {
        format!("another leader in leader epoch {}", state.leader_epoch)
    } else {
        return;
    };
    found.report(INFO.name, Some(known.id), |n| {
        let told = |state: &PartitionState| {
            format!(
                "leader {} epoch {}, partition epoch {}, isr {}",
                Name(n, state.leader),
                state.leader_epoch,
                state.partition_epoch,
                state.isr
            )
        };
        (
            format!("the controller goes back in {}: {wrong}", Name(n, known.id)),
            vec![("before", told(before)), ("after", told(state)), ("record", at.to_string())],
        )
    });
}

fn registered(scene: Scene<'_>, broker: NodeId, epoch: BrokerEpoch, at: Offset, found: &mut Found) {
    let before = scene.cluster.broker(broker).and_then(|broker| broker.registered);
    let Some(before) = before.filter(|before| is_next(scene, at) && *before >= epoch) else { return };
    found.report(INFO.name, None, |n| {
        (
            format!("{} gets broker epoch {epoch} after {before}", Name(n, broker)),
            vec![("before", before.to_string()), ("after", epoch.to_string()), ("record", at.to_string())],
        )
    });
}

#[cfg(test)]
mod tests {
    use trial_model::event::Event;

    use super::{super::testing::*, INFO};

    #[test]
    fn a_leader_epoch_that_is_used_again_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.elect(2, 1, &[1, 2, 3]);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn controllers_that_tell_the_same_later_are_well() {
        let mut bench = Bench::of(INFO.name).begun();
        let old = Box::new(bench.state(Some(1), 1, &[1, 2]));
        let at = bench.next_record();
        let shrunk = Event::IsrShrunk { partition: P, from: set(&[1, 2, 3]), state: old, at, active: true };
        bench.say(c(1), shrunk.clone()).elect(2, 2, &[1, 2]).say(c(3), shrunk.clone()).say(c(2), shrunk);
        assert_eq!(bench.fired(), 0);
    }
}
