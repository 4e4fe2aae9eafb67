//! How do replicas, brokers and the quorum stand, as a person reads it?

use std::fmt::Write as _;

use trial_model::{controller::image::Image, event::Event, node::Node, units::NodeSet};

use super::world::World;

/// Whether an event is the active controller's telling, where every controller tells it.
pub fn is_told_by_the_active_one(event: &Event) -> bool {
    match event {
        Event::TopicCreated { active, .. }
        | Event::TopicDeleted { active, .. }
        | Event::LeaderElected { active, .. }
        | Event::IsrShrunk { active, .. }
        | Event::IsrExpanded { active, .. }
        | Event::PartitionChanged { active, .. }
        | Event::BrokerRegistered { active, .. }
        | Event::BrokerFenced { active, .. }
        | Event::BrokerUnfenced { active, .. }
        | Event::BrokerLeaving { active, .. }
        | Event::ProducerIdsAllocated { active, .. } => *active,
        _ => true,
    }
}

/// Every living broker's replica of a partition: what it is, what it has, what it knows.
pub fn replicas(world: &World, name: &str) -> String {
    let partition = world.names.partition_named(name).unwrap_or_else(|| panic!("there is no {name}"));
    let mut out = String::new();
    for (id, node) in world.living() {
        let Node::Broker(broker) = node else { continue };
        let Some(replica) = broker.replica(partition) else { continue };
        let role = match (replica.leader(), replica.follower()) {
            (Some(_), _) => "leads",
            (_, Some(_)) => "follows",
            _ => "offline",
        };
        let log = &replica.log;
        let _ = write!(out, "{id} {role}");
        if let Some(epoch) = replica.epoch() {
            let _ = write!(out, " in epoch {epoch}");
        }
        let _ = write!(
            out,
            ", log {}..{}, flushed {}, hw {}",
            log.start(),
            log.end(),
            log.flushed(),
            replica.high_watermark()
        );
        if let Some(isr) = replica.isr() {
            let _ = write!(out, ", isr {}", isr.committed());
            if let Some(proposed) = isr.proposed() {
                let _ = write!(out, " proposed {proposed}");
            }
        }
        let epochs: Vec<String> =
            log.epochs().entries().iter().map(|(epoch, start)| format!("{epoch}@{start}")).collect();
        let _ =
            writeln!(out, ", epochs {}", if epochs.is_empty() { "none".into() } else { epochs.join(" ") });
    }
    out
}

fn image(world: &World) -> Option<&Image> {
    let active = world.active()?;
    match world.node(active)? {
        Node::Controller(controller) => Some(controller.image().0),
        _ => None,
    }
}

/// A partition by the active controller's word.
pub fn state(world: &World, name: &str) -> String {
    let partition = world.names.partition_named(name).unwrap_or_else(|| panic!("there is no {name}"));
    let state = image(world).and_then(|image| image.partition(partition));
    let Some(state) = state else { return "no active controller knows of it\n".into() };
    let leader = state.leader.map_or_else(|| "none".into(), |leader| leader.to_string());
    let lost = |set: &NodeSet| if set.is_empty() { String::new() } else { format!(" last known elr {set}") };
    format!(
        "leader {leader} epoch {} isr {} elr {}{}\n",
        state.leader_epoch,
        state.isr,
        state.elr,
        lost(&state.last_known_elr)
    )
}

/// Every registered broker by the active controller's word.
pub fn brokers(world: &World) -> String {
    let Some(image) = image(world) else { return "no controller is active\n".into() };
    let mut out = String::new();
    for (id, broker) in image.brokers() {
        let standing = match (broker.fenced, broker.in_controlled_shutdown) {
            (true, _) => "fenced",
            (_, true) => "leaving",
            _ => "active",
        };
        let _ =
            writeln!(out, "{id} {standing}{}", if broker.clean { "" } else { " after an unclean shutdown" });
    }
    out
}

/// Every living controller's part in the quorum.
pub fn quorum(world: &World) -> String {
    let mut out = String::new();
    for (id, node) in world.living() {
        let Node::Controller(controller) = node else { continue };
        let quorum = controller.quorum();
        let leader = quorum.leader().map_or_else(|| "none".into(), |leader| leader.to_string());
        let active = if controller.is_active() { ", active" } else { "" };
        let _ = writeln!(out, "{id} epoch {} leader {leader}{active}", quorum.epoch());
    }
    out
}
