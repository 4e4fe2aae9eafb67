//! Does a leader ask the controller for one thing at a time? (`WB-PendingAP`)

use trial_model::{
    event::{Event, EventKind},
    units::{NodeId, NodeSet, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::world_event::WorldEvent;

pub(super) const INFO: CheckInfo = safety(
    "one_isr_proposal_in_flight",
    "WB-PendingAP",
    "A leader has at most one ISR proposal for a partition before the controller.",
);

/// The proposals that nobody has answered.
#[derive(Default)]
struct OneIsrProposalInFlight {
    pending: Vec<(NodeId, TopicPartition, NodeSet)>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(OneIsrProposalInFlight::default())
}

impl Check for OneIsrProposalInFlight {
    fn hears(&self) -> Hears {
        Hears {
            after: &[
                EventKind::IsrProposed,
                EventKind::IsrAdopted,
                EventKind::IsrProposalFailed,
                EventKind::LeaderStarted,
                EventKind::FollowerStarted,
                EventKind::ReplicaStopped,
            ],
            ..Hears::default()
        }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Some(id) = event.partition() else { return };
        let node = scene.node;
        let at = self.pending.iter().position(|(who, which, _)| (*who, *which) == (node, id));
        let Event::IsrProposed { from, to, .. } = event else {
            // Adopted, refused or a new role: nothing is before the controller that would count. A retry
            // may say again that it proposes.
            at.map(|at| self.pending.swap_remove(at));
            return;
        };
        let Some(at) = at else {
            self.pending.push((node, id, to.clone()));
            return;
        };
        let before = std::mem::replace(&mut self.pending[at].2, to.clone());
        found.report(INFO.name, Some(id), |n| {
            (
                format!(
                    "{} proposes another ISR of {} before the first is answered",
                    Name(n, node),
                    Name(n, id)
                ),
                vec![("first", before.to_string()), ("second", format!("{from} → {to}"))],
            )
        });
    }

    fn world(&mut self, _scene: Scene<'_>, event: &WorldEvent, _found: &mut Found) {
        if let WorldEvent::NodeStarted { node } | WorldEvent::NodeStopped { node, .. } = event {
            self.pending.retain(|(who, ..)| who != node);
        }
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::Event,
        protocol::ErrorCode,
        units::{LeaderEpoch, PartitionEpoch},
    };

    use super::{super::testing::*, INFO};

    fn proposed(to: &[u32]) -> Event {
        let (epoch, partition_epoch) = (LeaderEpoch(1), PartitionEpoch(1));
        Event::IsrProposed { partition: P, epoch, partition_epoch, from: set(&[1, 2, 3]), to: set(to) }
    }

    #[test]
    fn a_second_proposal_before_the_answer_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.say(b(1), proposed(&[1, 2])).say(b(1), proposed(&[1]));
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn after_an_answer_it_may_propose_again() {
        let mut bench = Bench::of(INFO.name).begun();
        let error = ErrorCode::InvalidUpdateVersion;
        let failed = Event::IsrProposalFailed { partition: P, epoch: LeaderEpoch(1), error, retried: false };
        bench
            .say(b(1), proposed(&[1, 2]))
            .say(b(1), failed)
            .say(b(1), proposed(&[1]))
            .say(b(2), proposed(&[2]));
        assert_eq!(bench.fired(), 0);
    }
}
