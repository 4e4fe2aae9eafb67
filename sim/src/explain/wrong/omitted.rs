//! What should have been done, and was not?
//!
//! Where something never comes to rest nobody did anything wrong: somebody did nothing. The decision is the
//! last occasion that was let pass.

use trial_model::{
    event::Event,
    protocol::ApiKey,
    units::{NodeId, TopicPartition},
};

use super::{
    super::record::{Record, Sent, What},
    Place, Wrong,
};
use crate::{
    check::Violation, names::RunNames, report::words::seconds, trace::InputNote, world_event::WorldEvent,
};

pub(super) fn omitted(record: &Record, names: &RunNames, violation: &Violation) -> Option<Wrong> {
    match violation.check {
        "isr_is_full" | "writes_complete" | "writes_are_available" => {
            violation.partition.and_then(|id| proposal(record, names, id))
        }
        "brokers_are_unfenced" => heartbeat(record, names),
        "snapshot_covers_log_start" => snapshot(record, names, violation),
        "clients_recover" | "consumers_reach_the_end" => metadata(record, names, violation),
        _ => None,
    }
}

/// A snapshot that was said to be durable, and was not there after the node had died.
fn snapshot(record: &Record, names: &RunNames, violation: &Violation) -> Option<Wrong> {
    let stopped = record.entries.iter().enumerate().rev().find_map(|(nth, entry)| match &entry.what {
        What::Done(WorldEvent::NodeStopped { node, .. })
            if entry.at <= violation.at && violation.headline.contains(&names.node_name(*node)) =>
        {
            Some((nth, *node))
        }
        _ => None,
    });
    let (died, node) = stopped?;
    let (nth, end) =
        record.entries[..died].iter().enumerate().rev().find_map(|(nth, entry)| match entry.event()? {
            (of, Event::SnapshotWritten { end, .. }) if of == node => Some((nth, *end)),
            _ => None,
        })?;
    Some(Wrong {
        place: Place::Entry(nth),
        at: record.entries[nth].at,
        node,
        partition: None,
        what: format!("{} took its metadata snapshot @{end} for durable", names.node_name(node)),
        but: format!(
            "after it had died at {}s the snapshot was not on its disk",
            seconds(record.entries[died].at.0, 3)
        ),
        mark: "not on the platter".into(),
        against: None,
    })
}

/// A proposal that was to be tried again, and never was.
fn proposal(record: &Record, names: &RunNames, id: TopicPartition) -> Option<Wrong> {
    let failed = record.entries.iter().enumerate().rev().find_map(|(nth, entry)| match entry.event()? {
        (node, Event::IsrProposalFailed { partition, retried: true, error, .. }) if *partition == id => {
            Some((nth, node, *error))
        }
        _ => None,
    });
    let (nth, node, error) = failed?;
    let later = record.entries[nth..].iter().any(
        |entry| matches!(entry.event(), Some((_, Event::IsrProposed { partition, .. })) if *partition == id),
    );
    let dead = record.entries[nth..].iter().any(
        |entry| matches!(&entry.what, What::Done(WorldEvent::NodeStopped { node: of, .. }) if *of == node),
    );
    if later || dead {
        return None;
    }
    let proposed = record.entries[..nth].iter().rposition(
        |entry| matches!(entry.event(), Some((_, Event::IsrProposed { partition, .. })) if *partition == id),
    );
    Some(Wrong {
        place: Place::Entry(nth),
        at: record.entries[nth].at,
        node,
        partition: Some(id),
        what: format!(
            "{} put off its proposal for the ISR of {} after {error}",
            names.node_name(node),
            names.partition_name(id)
        ),
        but: "it never proposed again, to the end of the run".into(),
        mark: "never proposed again".into(),
        against: proposed,
    })
}

/// A heartbeat of a broker that has caught up, after which it is still fenced.
fn heartbeat(record: &Record, names: &RunNames) -> Option<Wrong> {
    // Whoever is fenced last and stays so.
    let fenced = record.entries.iter().enumerate().rev().find_map(|(nth, entry)| match entry.event()?.1 {
        Event::BrokerRegistered { broker, at, .. } | Event::BrokerFenced { broker, at, .. } => {
            let freed = record.entries[nth..].iter().any(|later| {
                matches!(later.event(), Some((_, Event::BrokerUnfenced { broker: other, .. })) if other == broker)
            });
            (!freed).then_some((nth, *broker, *at))
        }
        _ => None,
    });
    let (nth, broker, at) = fenced?;
    // From when on it has applied its own registration.
    let applied = record.entries[nth..].iter().position(|entry| {
        matches!(entry.event(), Some((node, Event::MetadataApplied { end, .. })) if node == broker && *end > at)
    })? + nth;
    let since = record.entries[applied].at;
    let step = record.steps.iter().position(|step| {
        step.at > since
            && matches!(step.input, InputNote::Request(ApiKey::BrokerHeartbeat, from) if from == broker)
    })?;
    let by = &record.steps[step];
    Some(Wrong {
        place: Place::Step(step),
        at: by.at,
        node: by.node,
        partition: None,
        what: format!(
            "{} left {} fenced at its heartbeat",
            names.node_name(by.node),
            names.node_name(broker)
        ),
        but: format!(
            "{} had applied its own registration at {}s, and waits to be unfenced",
            names.node_name(broker),
            seconds(since.0, 3)
        ),
        mark: "it has caught up".into(),
        against: Some(applied),
    })
}

/// A client that is told of a leader and takes no notice.
fn metadata(record: &Record, names: &RunNames, violation: &Violation) -> Option<Wrong> {
    let clients: Vec<NodeId> = record
        .steps
        .iter()
        .map(|step| step.node)
        .filter(|node| node.role() == trial_model::units::NodeRole::Client)
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    for client in clients {
        let mut known: std::collections::BTreeMap<TopicPartition, NodeId> = Default::default();
        for (nth, step) in record.steps.iter().enumerate().filter(|(_, step)| step.node == client) {
            for (_, event) in record.stated(nth) {
                match event {
                    Event::MetadataLearned { partition, leader: Some(leader), .. } => {
                        known.insert(*partition, *leader);
                    }
                    Event::MetadataLearned { partition, leader: None, .. } => {
                        known.remove(partition);
                    }
                    _ => {}
                }
            }
            for got in &step.got {
                let Sent::Leads { partition, leader, epoch } = got else { continue };
                let about = violation.partition.is_none_or(|id| id == *partition);
                // Only a topic of which it knows a former namesake: what nobody reads or writes is not learnt.
                let name = names.topic(partition.topic);
                let namesake =
                    known.keys().any(|id| id.topic != partition.topic && names.topic(id.topic) == name);
                if about && namesake && !known.contains_key(partition) {
                    let told = names.partition_name(*partition);
                    return Some(Wrong {
                        place: Place::Step(nth),
                        at: step.at,
                        node: client,
                        partition: Some(*partition),
                        what: format!(
                            "{} was told that {} leads {told} in epoch {epoch}, and took no notice",
                            names.node_name(client),
                            names.node_name(*leader)
                        ),
                        but: "the topic was created anew: epochs of the former one say nothing".into(),
                        mark: "of the new topic".into(),
                        against: None,
                    });
                }
            }
        }
    }
    None
}
