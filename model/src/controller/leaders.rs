//! Who leads a partition, who is in sync, and who else may be elected?
//!
//! A leader comes from the ISR; if that is empty, from the eligible leader replicas, which left the ISR while
//! it was under `min.insync.replicas` and so have everything below the high watermark (KIP-966). If there is
//! none of them either, the last leader may come back, and where `unclean.leader.election.enable` is set any
//! live replica may lead: either may lose records, and counts as unclean.

use alloc::{collections::BTreeSet, vec::Vec};

use super::{
    decide::{Rules, View},
    image::PartitionImage,
    record::{LeaderRecovery, NewEpoch, PartitionChangeRecord, Record},
};
use crate::{
    museum::{Bug, Museum},
    protocol::{
        ErrorCode, NamedPartition,
        topics::{ElectLeadersRequest, ElectLeadersResponse, ElectionKind},
    },
    units::{NodeId, NodeSet, TopicPartition},
};

/// How hard to look for a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Election {
    /// The preferred replica, if it may lead; else as `Online`.
    Preferred,
    /// Whoever leads, if it still may; else the first that may.
    Online,
    /// Whoever is alive, if nobody else may.
    Unclean,
}

impl Election {
    /// The kind that a topic's settings call for when its leader may be gone.
    pub(super) fn by(view: View<'_>, rules: Rules) -> Election {
        // KAFKA-1028: any live replica was elected, whatever the topic had to say.
        let any = view.museum.has(Bug::UncleanElectionAnyReplica);
        if rules.unclean || any { Election::Unclean } else { Election::Online }
    }
}

/// A partition's next state in the making.
pub(super) struct Revision<'a> {
    /// Which.
    pub(super) partition: TopicPartition,
    /// What it is now.
    pub(super) state: &'a PartitionImage,
    /// Who is alive.
    pub(super) may_lead: &'a dyn Fn(NodeId) -> bool,
    /// `min.insync.replicas`; no more than the partition has counts.
    pub(super) min_isr: usize,
    /// Whether eligible leader replicas are kept.
    pub(super) elr_enabled: bool,
    /// How hard to look for a leader.
    pub(super) election: Election,
    /// Who shall be in sync.
    pub(super) isr: NodeSet,
    /// Who may have lost records, and is eligible no more.
    pub(super) unclean_shutdown: Option<NodeId>,
    /// Whether the leader has vouched for itself.
    pub(super) recovery: LeaderRecovery,
    /// The historical bugs that are switched on.
    pub(super) museum: Museum,
}

/// Whom an election found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Elected {
    leader: Option<NodeId>,
    unclean: bool,
}

impl<'a> Revision<'a> {
    /// Leaves the ISR as it is and looks for a leader, as the topic's settings say.
    pub(super) fn of(
        view: View<'_>,
        partition: TopicPartition,
        state: &'a PartitionImage,
        may_lead: &'a dyn Fn(NodeId) -> bool,
    ) -> Revision<'a> {
        let rules = view.rules(partition.topic);
        Revision {
            partition,
            state,
            may_lead,
            min_isr: rules.min_isr,
            // KIP-966 is what ended the last replica standing: the ISR could never become empty, so its last
            // member was taken back as leader even if its log had lost its end.
            elr_enabled: view.config.eligible_leader_replicas_enable
                && !view.museum.has(Bug::LastReplicaStanding),
            election: Election::by(view, rules),
            isr: state.isr.clone(),
            unclean_shutdown: None,
            recovery: state.recovery,
            museum: view.museum,
        }
    }

    /// The record that takes the partition there; `None` if it is there already.
    pub(super) fn build(mut self) -> Option<PartitionChangeRecord> {
        let state = self.state;
        let mut record = PartitionChangeRecord::nothing(self.partition);
        let mut elr = self.eligible();
        let elected = self.elect(&elr);
        if elected.leader != state.leader {
            record.new_epoch = Some(NewEpoch { leader: elected.leader });
            if let Some(leader) = elected.leader {
                if elected.unclean || elr.contains(leader) {
                    self.isr = [leader].into_iter().collect();
                    elr.remove(leader);
                }
                if elected.unclean {
                    elr = NodeSet::new();
                    self.recovery = self.recovery_after_unclean_election();
                }
            }
        }
        // Without eligible leader replicas the last member stays in the ISR for ever.
        if (self.elr_enabled || !self.isr.is_empty()) && self.isr != state.isr {
            record.isr = Some(self.isr.clone());
        }
        record.last_known_elr = self.last_known(&record);
        if elr != state.elr {
            record.elr = Some(elr);
        }
        if self.recovery != state.recovery {
            record.recovery = Some(self.recovery);
        }
        if record.is_nothing() { None } else { Some(record) }
    }

    /// KIP-966: "the ELR is the set of replicas that are not in the ISR but are still eligible": whoever was
    /// in the ISR or eligible stays so until the ISR has `min.insync.replicas` again, or until it restarts
    /// without a clean shutdown.
    fn eligible(&self) -> NodeSet {
        let min_isr = self.min_isr.min(self.state.replicas.len());
        if !self.elr_enabled || self.isr.len() >= min_isr {
            return NodeSet::new();
        }
        let candidates = self.state.elr.union(&self.state.isr).minus(&self.isr);
        candidates.iter().filter(|replica| Some(*replica) != self.unclean_shutdown).collect()
    }

    fn elect(&self, elr: &NodeSet) -> Elected {
        let clean = |replica: &NodeId| {
            let complete = self.isr.contains(*replica) || self.isr.is_empty() && elr.contains(*replica);
            complete && (self.may_lead)(*replica)
        };
        let replicas = &self.state.replicas;
        let preferred = replicas.first().filter(|_| self.election == Election::Preferred);
        let found = [preferred, self.state.leader.as_ref()]
            .into_iter()
            .flatten()
            .chain(replicas)
            .copied()
            .find(|replica| clean(replica));
        if found.is_some() {
            return Elected { leader: found, unclean: false };
        }
        let last = self.last_known_leader(elr);
        let any = || match self.election {
            Election::Unclean => replicas.iter().copied().find(|replica| (self.may_lead)(*replica)),
            _ => None,
        };
        let leader = last.or_else(any);
        Elected { leader, unclean: leader.is_some() }
    }

    /// The last leader, if nobody is in sync or eligible and it is alive. It had everything once, and may
    /// have lost no more than anybody else.
    fn last_known_leader(&self, elr: &NodeSet) -> Option<NodeId> {
        if !self.elr_enabled || !self.isr.is_empty() || !elr.is_empty() {
            return None;
        }
        match self.state.last_known_elr.as_slice() {
            [last] if (self.may_lead)(*last) => Some(*last),
            _ => None,
        }
    }

    /// The last leader is remembered when the ISR becomes empty, and until somebody leads again.
    fn last_known(&self, record: &PartitionChangeRecord) -> Option<NodeSet> {
        let state = self.state;
        if !self.elr_enabled {
            return None;
        }
        if let (Some(isr), Some(leader)) = (&record.isr, state.leader)
            && isr.is_empty()
        {
            let last = [leader].into_iter().collect();
            return if state.last_known_elr == last { None } else { Some(last) };
        }
        let leader = record.new_epoch.map_or(state.leader, |new_epoch| new_epoch.leader);
        if leader.is_some() && !state.last_known_elr.is_empty() { Some(NodeSet::new()) } else { None }
    }

    fn recovery_after_unclean_election(&self) -> LeaderRecovery {
        // KAFKA-1028 again: whoever was elected was taken to be complete.
        if self.museum.has(Bug::UncleanElectionAnyReplica) {
            self.recovery
        } else {
            LeaderRecovery::Recovering
        }
    }
}

/// Takes a broker out of every ISR and every leadership, as when it is fenced or leaves.
///
/// Costs what the broker holds.
pub(super) fn without(view: View<'_>, broker: NodeId) -> Vec<Record> {
    let may_lead = |replica| replica != broker && view.is_active(replica);
    revise(view, broker, |partition, state| {
        let touches = state.isr.contains(broker) || state.leader == Some(broker);
        touches.then(|| {
            let revision = Revision::of(view, partition, state, &may_lead);
            Revision { isr: state.isr.without(broker), ..revision }
        })
    })
}

/// Takes a broker out of every ISR, every leadership, and every set of eligible replicas: it may have lost
/// the end of its logs (KIP-966).
pub(super) fn without_unclean(view: View<'_>, broker: NodeId) -> Vec<Record> {
    let may_lead = |replica| replica != broker && view.is_active(replica);
    revise(view, broker, |partition, state| {
        let touches =
            state.isr.contains(broker) || state.elr.contains(broker) || state.leader == Some(broker);
        touches.then(|| {
            let revision = Revision::of(view, partition, state, &may_lead);
            Revision { isr: state.isr.without(broker), unclean_shutdown: Some(broker), ..revision }
        })
    })
}

/// Gives a leader to those partitions of a broker that have none, now that it may lead. It may not if it is
/// about to leave, as when a heartbeat comes late.
pub(super) fn with(view: View<'_>, broker: NodeId) -> Vec<Record> {
    let leaving = view.image.broker(broker).is_none_or(|registration| registration.in_controlled_shutdown);
    let may_lead = |replica| replica == broker && !leaving || view.is_active(replica);
    revise(view, broker, |partition, state| {
        state.leader.is_none().then(|| Revision::of(view, partition, state, &may_lead))
    })
}

fn revise<'a>(
    view: View<'a>,
    broker: NodeId,
    revision: impl Fn(TopicPartition, &'a PartitionImage) -> Option<Revision<'a>>,
) -> Vec<Record> {
    view.image
        .held_by(broker)
        .filter_map(|partition| revision(partition, view.image.partition(partition)?)?.build())
        .map(Record::PartitionChange)
        .collect()
}

/// Whether a broker leads anything.
pub(super) fn leads_any(view: View<'_>, broker: NodeId) -> bool {
    view.image
        .held_by(broker)
        .filter_map(|partition| view.image.partition(partition))
        .any(|state| state.leader == Some(broker))
}

/// Has leaders elected, as an operator asked (KIP-460).
///
/// Asked for all partitions it does not tell of those that need no election.
pub(super) fn elect(view: View<'_>, request: &ElectLeadersRequest) -> (Vec<Record>, ElectLeadersResponse) {
    let mut records = Vec::new();
    let mut one = |partition: &NamedPartition| {
        let topic = view.image.topic_id(&partition.topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let record = elect_one(view, TopicPartition::new(topic, partition.partition), request.kind)?;
        records.push(Record::PartitionChange(record));
        Ok(())
    };
    let mut answers = Vec::new();
    match &request.partitions {
        Some(partitions) => {
            let mut asked = BTreeSet::new();
            for partition in partitions {
                // Twice the same would be two changes of one state.
                if asked.insert(partition) {
                    answers.push((partition.clone(), one(partition)));
                }
            }
        }
        None => {
            for (name, topic) in view.image.names() {
                let count = view.image.topic(topic).map_or(0, |topic| topic.partitions.len() as u32);
                for number in 0..count {
                    let partition = NamedPartition { topic: name.clone(), partition: number };
                    let result = one(&partition);
                    if result != Err(ErrorCode::ElectionNotNeeded) {
                        answers.push((partition, result));
                    }
                }
            }
        }
    }
    (records, ElectLeadersResponse { error: None, partitions: answers })
}

fn elect_one(
    view: View<'_>,
    partition: TopicPartition,
    kind: ElectionKind,
) -> Result<PartitionChangeRecord, ErrorCode> {
    let state = view.image.partition(partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let (needed, election, otherwise) = match kind {
        ElectionKind::Preferred => {
            let needed = state.leader != state.preferred();
            (needed, Election::Preferred, ErrorCode::PreferredLeaderNotAvailable)
        }
        ElectionKind::Unclean => {
            (state.leader.is_none(), Election::Unclean, ErrorCode::EligibleLeadersNotAvailable)
        }
    };
    if !needed {
        return Err(ErrorCode::ElectionNotNeeded);
    }
    let may_lead = |replica| view.is_active(replica);
    let revision = Revision::of(view, partition, state, &may_lead);
    Revision { election, ..revision }.build().ok_or(otherwise)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::{
        controller::{
            decide::Question,
            fixture::{Cluster, broker, set},
            record::LeaderRecovery,
        },
        protocol::{Request, Response},
        units::LeaderEpoch,
    };

    const UNCLEAN: (&str, &str) = ("unclean.leader.election.enable", "true");

    fn elect_leaders(
        cluster: &mut Cluster,
        kind: ElectionKind,
        number: Option<u32>,
    ) -> Vec<(NamedPartition, Result<(), ErrorCode>)> {
        let partitions =
            number.map(|partition| [NamedPartition { topic: "orders".into(), partition }].into());
        let request = ElectLeadersRequest { kind, partitions, timeout: Duration::ZERO };
        match cluster.ask(Question::Request(Request::ElectLeaders(request))) {
            Some(Response::ElectLeaders(response)) => response.partitions,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_next_in_sync_leads_when_a_leader_is_fenced() {
        let mut cluster = Cluster::of(3);
        let partition = cluster.topic("orders", &[1, 2, 3], &[]);
        cluster.expire(1);
        let state = cluster.state(partition);
        assert_eq!((state.leader, state.leader_epoch), (Some(broker(2)), LeaderEpoch(1)));
        assert_eq!((&state.isr, &state.elr), (&set(&[2, 3]), &set(&[])));
    }

    /// A shrink that leaves the leader leaves its epoch (KAFKA-15021).
    #[test]
    fn a_follower_that_is_fenced_raises_no_leader_epoch() {
        let mut cluster = Cluster::of(3);
        let partition = cluster.topic("orders", &[1, 2, 3], &[]);
        cluster.expire(3);
        let state = cluster.state(partition);
        assert_eq!((state.leader_epoch, state.partition_epoch.0), (LeaderEpoch(0), 1));
    }

    /// KIP-966: replicas that leave the ISR below `min.insync.replicas` stay eligible, and one of them may
    /// lead once nobody is in sync.
    #[test]
    fn who_leaves_a_small_isr_stays_eligible_and_may_lead() {
        let mut cluster = Cluster::of(3).set_min_isr(2);
        let partition = cluster.topic("orders", &[1, 2, 3], &[]);
        cluster.expire(3);
        assert_eq!(cluster.state(partition).elr, set(&[]));
        cluster.expire(2);
        assert_eq!(cluster.state(partition).elr, set(&[2]));
        cluster.expire(1);
        let state = cluster.state(partition);
        assert_eq!((state.leader, &state.isr, &state.elr), (None, &set(&[]), &set(&[1, 2])));
        // Broker 3 left while two others stayed, so it may lack what they have.
        cluster.beat(3).expect("registered");
        assert_eq!(cluster.state(partition).leader, None);
        cluster.beat(2).expect("registered");
        let state = cluster.state(partition);
        assert_eq!((state.leader, &state.isr, &state.elr), (Some(broker(2)), &set(&[2]), &set(&[1])));
        assert_eq!((state.recovery, &state.last_known_elr), (LeaderRecovery::Recovered, &set(&[])));
        cluster.set_isr(partition, &[2, 3]);
        assert_eq!(cluster.state(partition).elr, set(&[]));
    }

    /// KIP-966: "ELR members that had an unclean shutdown are removed"; then the last leader may come back.
    #[test]
    fn who_restarts_uncleanly_is_eligible_no_more_and_the_last_leader_comes_back() {
        let mut cluster = Cluster::of(2).set_min_isr(2);
        let partition = cluster.topic("orders", &[1, 2], &[]);
        cluster.expire(2);
        cluster.lose_power(1);
        let state = cluster.state(partition);
        assert_eq!((&state.elr, &state.last_known_elr), (&set(&[2]), &set(&[1])));
        cluster.beat(1).expect("registered");
        assert_eq!(cluster.state(partition).leader, None);
        // Now nobody is left who is known to have everything. Broker 1 led last, so it leads again.
        cluster.lose_power(2);
        let state = cluster.state(partition);
        assert_eq!((state.leader, &state.isr), (Some(broker(1)), &set(&[1])));
        assert_eq!((state.recovery, &state.last_known_elr), (LeaderRecovery::Recovering, &set(&[])));
    }

    /// `unclean.leader.election.enable`: "whether to enable replicas not in the ISR set to be elected as
    /// leader as a last resort, even though doing so may result in data loss".
    #[test]
    fn a_replica_out_of_sync_leads_only_where_the_topic_allows_it() {
        for (config, leader) in [(&[][..], None), (&[UNCLEAN][..], Some(broker(2)))] {
            let mut cluster = Cluster::of(2);
            cluster.config.eligible_leader_replicas_enable = false;
            let partition = cluster.topic("orders", &[1, 2], config);
            cluster.set_isr(partition, &[1]);
            cluster.expire(1);
            let state = cluster.state(partition);
            assert_eq!(state.leader, leader);
            match leader {
                None => assert_eq!(state.isr, set(&[1]), "the last member stays"),
                Some(_) => assert_eq!(
                    (&state.isr, state.recovery),
                    (&set(&[2]), LeaderRecovery::Recovering),
                    "the ISR is the new leader alone"
                ),
            }
        }
    }

    #[test]
    fn an_operator_may_ask_for_the_preferred_leader_or_for_any() {
        let mut cluster = Cluster::of(2);
        let partition = cluster.topic("orders", &[1, 2], &[]);
        let named = |partition| NamedPartition { topic: "orders".into(), partition };
        let one = |result| [(named(0), result)];
        let preferred = elect_leaders(&mut cluster, ElectionKind::Preferred, Some(0));
        assert_eq!(preferred, one(Err(ErrorCode::ElectionNotNeeded)));
        assert_eq!(elect_leaders(&mut cluster, ElectionKind::Preferred, None), []);
        cluster.expire(1);
        let preferred = elect_leaders(&mut cluster, ElectionKind::Preferred, Some(0));
        assert_eq!(preferred, one(Err(ErrorCode::PreferredLeaderNotAvailable)));
        cluster.beat(1).expect("registered");
        cluster.set_isr(partition, &[1, 2]);
        assert_eq!(elect_leaders(&mut cluster, ElectionKind::Preferred, None), one(Ok(())));
        assert_eq!(cluster.state(partition).leader, Some(broker(1)));

        cluster.set_isr(partition, &[1]);
        cluster.expire(1);
        let unclean = elect_leaders(&mut cluster, ElectionKind::Unclean, Some(0));
        assert_eq!(unclean, one(Ok(())));
        let state = cluster.state(partition);
        assert_eq!((state.leader, state.recovery), (Some(broker(2)), LeaderRecovery::Recovering));
        cluster.expire(2);
        let unclean = elect_leaders(&mut cluster, ElectionKind::Unclean, Some(0));
        assert_eq!(unclean, one(Err(ErrorCode::EligibleLeadersNotAvailable)));
        let unknown = elect_leaders(&mut cluster, ElectionKind::Unclean, Some(5));
        assert_eq!(unknown, [(named(5), Err(ErrorCode::UnknownTopicOrPartition))]);
    }

    #[cfg(feature = "museum")]
    #[test]
    fn what_the_museum_elects() {
        let mut cluster = Cluster::of(2).planted(Bug::UncleanElectionAnyReplica);
        let partition = cluster.topic("orders", &[1, 2], &[]);
        cluster.set_isr(partition, &[1]);
        cluster.lose_power(1);
        let state = cluster.state(partition);
        assert_eq!((state.leader, state.recovery), (Some(broker(2)), LeaderRecovery::Recovered));

        let mut cluster = Cluster::of(2).planted(Bug::LastReplicaStanding);
        let partition = cluster.topic("orders", &[1, 2], &[]);
        cluster.set_isr(partition, &[1]);
        cluster.lose_power(1);
        cluster.beat(1).expect("registered");
        let state = cluster.state(partition);
        assert_eq!((state.leader, state.recovery), (Some(broker(1)), LeaderRecovery::Recovered));
    }
}
