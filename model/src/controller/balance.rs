//! Which leaderships should go back to the replica that comes first?

use alloc::{collections::BTreeMap, vec::Vec};

use super::{
    decide::View,
    leaders::{Election, Revision},
    record::Record,
};
use crate::units::{NodeId, TopicPartition};

/// How many leaders are moved at most before others get a turn (Kafka: `MAX_ELECTIONS_PER_IMBALANCE`).
pub(super) const MAX_ELECTIONS: usize = 1_000;

/// Elects the preferred replica wherever it is in sync and alive but does not lead, for those brokers of whose
/// preferred leaderships more than `leader.imbalance.per.broker.percentage` are elsewhere.
///
/// Looks at every partition: it is asked once in `leader.imbalance.check.interval.seconds`.
pub(super) fn balance(view: View<'_>) -> Vec<Record> {
    let unbalanced = unbalanced_brokers(view);
    let may_lead = |replica| view.is_active(replica);
    let mut records = Vec::new();
    for (topic, image) in view.image.topics() {
        for (number, state) in (0u32..).zip(&image.partitions) {
            let Some(preferred) = state.preferred() else { continue };
            if state.leader == Some(preferred) || !unbalanced.contains(&preferred) {
                continue;
            }
            let revision = Revision::of(view, TopicPartition::new(topic, number), state, &may_lead);
            let change = Revision { election: Election::Preferred, ..revision }.build();
            records.extend(change.map(Record::PartitionChange));
            if records.len() >= MAX_ELECTIONS {
                return records;
            }
        }
    }
    records
}

fn unbalanced_brokers(view: View<'_>) -> Vec<NodeId> {
    let mut counts: BTreeMap<NodeId, (u64, u64)> = BTreeMap::new();
    for state in view.image.topics().flat_map(|(_, topic)| &topic.partitions) {
        let Some(preferred) = state.preferred() else { continue };
        let (all, elsewhere) = counts.entry(preferred).or_default();
        *all += 1;
        *elsewhere += u64::from(state.leader != Some(preferred));
    }
    let percentage = u64::from(view.config.leader_imbalance_per_broker_percentage);
    counts
        .into_iter()
        .filter(|(_, (all, elsewhere))| elsewhere * 100 > percentage * all)
        .map(|(broker, _)| broker)
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::controller::{
        decide::Question,
        fixture::{Cluster, broker},
    };

    #[test]
    fn leaderships_go_back_once_enough_of_them_are_elsewhere() {
        for (percentage, back) in [(10, true), (100, false)] {
            let mut cluster = Cluster::of(2);
            cluster.config.leader_imbalance_per_broker_percentage = percentage;
            let partition = cluster.topic("orders", &[1, 2], &[]);
            cluster.expire(1);
            cluster.ask(Question::Balance);
            assert!(cluster.records.is_empty(), "the preferred replica is not alive");
            cluster.beat(1).expect("registered");
            cluster.ask(Question::Balance);
            assert!(cluster.records.is_empty(), "the preferred replica is not in sync");
            cluster.set_isr(partition, &[1, 2]);
            cluster.ask(Question::Balance);
            let leader = cluster.state(partition).leader;
            assert_eq!(leader, Some(if back { broker(1) } else { broker(2) }));
        }
    }
}
