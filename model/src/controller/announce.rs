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
