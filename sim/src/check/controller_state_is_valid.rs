//! Does the controller's own state make sense? (`WB-Controller`)

use trial_model::{
    event::{Event, EventKind, PartitionState},
    units::{NodeId, NodeSet, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::mirror::Partition;

pub(super) const INFO: CheckInfo = safety(
    "controller_state_is_valid",
    "WB-Controller",
    "ISR and ELR are disjoint subsets of the replicas, the leader is in sync and serves, fenced brokers are not in sync, and elections are clean unless allowed otherwise.",
);

/// What changed in this instant. Records of one decision are only looked at together.
#[derive(Default)]
struct ControllerStateIsValid {
    partitions: Vec<TopicPartition>,
    brokers: Vec<NodeId>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(ControllerStateIsValid::default())
}

impl Check for ControllerStateIsValid {
    fn hears(&self) -> Hears {
        Hears {
            after: &[
                EventKind::LeaderElected,
                EventKind::IsrShrunk,
                EventKind::IsrExpanded,
                EventKind::PartitionChanged,
                EventKind::BrokerFenced,
                EventKind::BrokerLeaving,
            ],
            truths: true,
            ..Hears::default()
        }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        match event {
            Event::BrokerFenced { broker, at, .. } | Event::BrokerLeaving { broker, at, .. } => {
                if *at == scene.cluster.truth.0 {
                    self.brokers.push(*broker);
                }
                return;
            }
            Event::LeaderElected { partition, state, unclean: true, at, .. }
                if *at == scene.cluster.truth.0 =>
            {
                let forbidden = |partition: &Partition| {
                    // KIP-966: once nobody is in sync or eligible, the last leader may come back by itself.
                    let last = scene.setup.elr.then(|| last_leader(partition)).flatten();
                    !partition.rules.may_be_unclean() && (last.is_none() || last != state.leader)
                };
                if scene.cluster.partition(*partition).is_some_and(forbidden) {
                    found.report(INFO.name, Some(*partition), |n| {
                        (
                            format!(
                                "an unclean election for {}, which does not allow it",
                                Name(n, *partition)
                            ),
                            vec![("elected", Name(n, state.leader).to_string())],
                        )
                    });
                }
            }
            _ => {}
        }
        self.partitions.extend(event.partition());
    }

    fn truth(&mut self, scene: Scene<'_>, found: &mut Found) {
        if !self.brokers.is_empty() {
            let brokers = std::mem::take(&mut self.brokers);
            let touched = scene.cluster.partitions.iter().filter(|partition| {
                let state = partition.truth.as_ref();
                state.is_some_and(|state| {
                    brokers.iter().any(|broker| state.isr.contains(*broker) || state.leader == Some(*broker))
                })
            });
            self.partitions.extend(touched.map(|partition| partition.id));
        }
        self.partitions.sort_unstable();
        self.partitions.dedup();
        for id in std::mem::take(&mut self.partitions) {
            let Some(partition) = scene.cluster.partition(id).filter(|partition| !partition.deleted) else {
                continue;
            };
            let Some(state) = &partition.truth else { continue };
            if let Some(wrong) = wrong(scene, partition, state) {
                found.report(INFO.name, Some(id), |n| {
                    let replicas: NodeSet = state.replicas.iter().copied().collect();
                    (
                        format!("the controller's state of {} makes no sense: {wrong}", Name(n, id)),
                        vec![
                            ("leader", format!("{} in epoch {}", Name(n, state.leader), state.leader_epoch)),
                            ("in sync", format!("{} elr {} of {replicas}", state.isr, state.elr)),
                            ("wrong", wrong),
                        ],
                    )
                });
            }
        }
    }
}

/// Who led before the newest election.
fn last_leader(partition: &Partition) -> Option<NodeId> {
    partition.elected.iter().rev().skip(1).find_map(|elected| elected.leader)
}

fn wrong(scene: Scene<'_>, partition: &Partition, state: &PartitionState) -> Option<String> {
    let replicas: NodeSet = state.replicas.iter().copied().collect();
    let elr = scene.setup.elr;
    let broker = |node| scene.cluster.broker(node).filter(|broker| broker.registered.is_some());
    if !state.isr.is_subset(&replicas) || !state.elr.is_subset(&replicas) {
        return Some("somebody is in sync who is no replica".into());
    }
    if let Some(both) = state.isr.iter().find(|member| state.elr.contains(*member)) {
        return Some(format!("{both} is in the ISR and in the ELR"));
    }
    if elr && state.isr.len() >= partition.min_insync() && !state.elr.is_empty() {
        return Some("the ELR is kept although enough are in sync".into());
    }
    if !elr && state.isr.is_empty() {
        return Some("nobody is in sync".into());
    }
    if let Some(leader) = state.leader {
        if !state.isr.contains(leader) {
            return Some(format!("{leader} leads and is not in sync"));
        }
        if broker(leader).is_some_and(|broker| broker.fenced) {
            return Some(format!("{leader} leads and is fenced"));
        }
    }
    let fenced = |member: &NodeId| broker(*member).is_some_and(|broker| broker.fenced);
    let leaving = |member: &NodeId| broker(*member).is_some_and(|broker| broker.leaving);
    if state.isr.len() > 1 {
        if let Some(member) = state.isr.iter().find(|member| fenced(member) || leaving(member)) {
            return Some(format!(
                "{member} is in sync and is {}",
                if fenced(&member) { "fenced" } else { "leaving" }
            ));
        }
    } else if elr && state.isr.iter().any(|member| fenced(&member)) {
        return Some("the only one in sync is fenced, and ELR is on".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use trial_model::event::Event;

    use super::{super::testing::*, INFO};

    #[test]
    fn a_fenced_broker_in_the_isr_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.fence(3);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn records_of_one_decision_are_judged_together() {
        let mut bench = Bench::of(INFO.name).begun();
        let state = Box::new(bench.state(Some(1), 1, &[1, 2]));
        let (fenced_at, at) = (bench.next_record(), bench.next_record());
        let epoch = trial_model::units::BrokerEpoch(30);
        let now = trial_model::time::Instant(bench.now().0 + 1_000);
        let both = [
            Event::BrokerFenced { broker: b(3), epoch, at: fenced_at, active: true },
            Event::IsrShrunk { partition: P, from: set(&[1, 2, 3]), state, at, active: true },
        ];
        bench.judge.step(now, c(1), &both);
        bench.judge.end_of_instant(now);
        assert_eq!(bench.fired(), 0);
    }

    #[test]
    fn an_unclean_election_needs_leave() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.elected(3, 2, &[3], true);
        assert_eq!(bench.fired(), 1);
        let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = true).begun();
        bench.elected(3, 2, &[3], true);
        assert_eq!(bench.fired(), 0);
        // An operator's word is leave enough, whatever the topic says: KIP-460.
        let mut bench =
            Bench::with(INFO.name, |setup| setup.topic_defaults.unclean_on_request = true).begun();
        bench.elected(3, 2, &[3], true);
        assert_eq!(bench.fired(), 0);
    }

    #[test]
    fn the_last_leader_may_come_back_without_leave() {
        let mut bench = Bench::with(INFO.name, |setup| setup.elr = true).begun();
        bench.elected(1, 2, &[1], true);
        assert_eq!(bench.fired(), 0);
        bench.elected(3, 3, &[3], true);
        assert_eq!(bench.fired(), 1);
    }
}
