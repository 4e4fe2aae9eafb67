//! What does a controller tell of a record that is committed?

use alloc::boxed::Box;

use super::{
    image::{BrokerImage, Change, Image, PartitionImage},
    record::LeaderRecovery,
};
use crate::{
    event::Event,
    units::{NodeId, Offset, TopicPartition},
};

/// Tells what the record at `at` has changed; `image` is the state after it. Every controller tells; `active`
/// says whether this is the one that decided.
pub(super) fn announce(
    image: &Image,
    change: &Change,
    at: Offset,
    active: bool,
    events: &mut alloc::vec::Vec<Event>,
) {
    match change {
        Change::Nothing | Change::Config(_) => {}
        Change::Broker { broker, before } => {
            if let Some(after) = image.broker(*broker) {
                events.extend(broker_event(*broker, before.as_ref(), after, at, active));
            }
        }
        Change::TopicCreated(topic) => {
            if let Some(image) = image.topic(*topic) {
                events.push(Event::TopicCreated { topic: *topic, name: image.name.clone(), at, active });
            }
        }
        Change::TopicDeleted { id, before } => {
            events.push(Event::TopicDeleted { topic: *id, name: before.name.clone(), at, active });
        }
        Change::Partition { partition, before } => {
            if let Some(after) = image.partition(*partition) {
                partition_events(*partition, before.as_deref(), after, at, active, events);
            }
        }
        Change::ProducerIds { broker, block } => {
            // A snapshot's record only says where to go on.
            if block.len > 0 {
                events.push(Event::ProducerIdsAllocated {
                    broker: *broker,
                    first: block.first,
                    len: block.len,
                    at,
                    active,
                });
            }
        }
    }
}

fn broker_event(
    broker: NodeId,
    before: Option<&BrokerImage>,
    after: &BrokerImage,
    at: Offset,
    active: bool,
) -> Option<Event> {
    let epoch = after.epoch;
    let Some(before) = before.filter(|before| before.epoch == epoch) else {
        let BrokerImage { incarnation, clean, .. } = *after;
        return Some(Event::BrokerRegistered { broker, epoch, incarnation, clean, at, active });
    };
    if before.fenced != after.fenced {
        Some(if after.fenced {
            Event::BrokerFenced { broker, epoch, at, active }
        } else {
            Event::BrokerUnfenced { broker, epoch, at, active }
        })
    } else if !before.in_controlled_shutdown && after.in_controlled_shutdown {
        Some(Event::BrokerLeaving { broker, epoch, at, active })
    } else {
        None
    }
}

fn partition_events(
    partition: TopicPartition,
    before: Option<&PartitionImage>,
    after: &PartitionImage,
    at: Offset,
    active: bool,
    events: &mut alloc::vec::Vec<Event>,
) {
    let state = || Box::new(after.state());
    let Some(before) = before else {
        events.push(Event::PartitionChanged { partition, state: state(), at, active });
        return;
    };
    let told = events.len();
    if before.leader_epoch != after.leader_epoch {
        let unclean = after.recovery == LeaderRecovery::Recovering && after.leader.is_some();
        let from = before.leader;
        events.push(Event::LeaderElected { partition, from, state: state(), unclean, at, active });
    }
    if !before.isr.is_subset(&after.isr) {
        events.push(Event::IsrShrunk { partition, from: before.isr.clone(), state: state(), at, active });
    }
    if !after.isr.is_subset(&before.isr) {
        events.push(Event::IsrExpanded { partition, from: before.isr.clone(), state: state(), at, active });
    }
    if events.len() == told {
        events.push(Event::PartitionChanged { partition, state: state(), at, active });
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::controller::fixture::{Cluster, broker, set};

    /// What the last decision's records tell once they are committed.
    fn told(cluster: &Cluster) -> Vec<Event> {
        let mut events = Vec::new();
        for change in &cluster.changes {
            announce(&cluster.image, change, Offset(9), true, &mut events);
        }
        events
    }

    #[test]
    fn a_change_of_leader_and_isr_is_told_as_both() {
        let mut cluster = Cluster::of(2);
        let partition = cluster.topic("orders", &[1, 2], &[("unclean.leader.election.enable", "true")]);
        let made = told(&cluster);
        assert!(matches!(made[0], Event::TopicCreated { topic, .. } if topic == partition.topic));
        assert!(matches!(made.last(), Some(Event::PartitionChanged { .. })));

        cluster.set_isr(partition, &[1]);
        let events = told(&cluster);
        let state = Box::new(cluster.state(partition).state());
        let from = set(&[1, 2]);
        assert_eq!(events, [Event::IsrShrunk { partition, from, state, at: Offset(9), active: true }]);

        // Out of the ISR {1} into the ISR {2}: elected uncleanly, shrunk and expanded, and fenced.
        cluster.expire(1);
        let events = told(&cluster);
        assert!(matches!(&events[..], [
            Event::LeaderElected { from, unclean: true, .. },
            Event::IsrShrunk { .. },
            Event::IsrExpanded { .. },
            Event::BrokerFenced { .. },
        ] if *from == Some(broker(1))));
    }

    #[test]
    fn a_brokers_life_is_told_step_by_step() {
        let mut cluster = Cluster::of(2);
        cluster.topic("orders", &[1, 2], &[]);
        let epoch = cluster.epoch(1);
        let kinds = |cluster: &Cluster| told(cluster).iter().map(|event| event.kind()).collect::<Vec<_>>();
        assert!(cluster.register(1, 1, None).is_ok());
        assert!(kinds(&cluster).is_empty(), "a repeated registration is no news");
        assert!(cluster.heartbeat(1, cluster.next, false, true).is_ok());
        assert!(told(&cluster).contains(&Event::BrokerLeaving {
            broker: broker(1),
            epoch,
            at: Offset(9),
            active: true
        }));
        cluster.expire(1);
        assert!(told(&cluster).contains(&Event::BrokerFenced {
            broker: broker(1),
            epoch,
            at: Offset(9),
            active: true
        }));
        assert!(cluster.register(1, 8, Some(epoch)).is_ok());
        assert!(matches!(told(&cluster)[..], [Event::BrokerRegistered { clean: true, .. }]));
        assert!(cluster.beat(1).is_ok());
        assert!(matches!(told(&cluster)[..], [Event::BrokerUnfenced { .. }]));
    }
}
