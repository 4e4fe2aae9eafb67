//! Whom does a selector mean, at the moment when a fault begins?

use std::collections::BTreeMap;

use trial_model::{
    group::{OFFSETS_TOPIC, partition_of},
    rng::Rng,
    units::{NodeId, NodeRole, TopicPartition},
};

use super::view::View;
use crate::{
    names::RunNames,
    scenario::values::{PartitionName, Selector},
};

/// What a selector is resolved with.
pub struct Chooser<'a> {
    /// The cluster as it is.
    pub view: &'a View,
    /// What things are called.
    pub names: &'a RunNames,
    /// Whom each fault hit last.
    pub victims: &'a BTreeMap<String, Vec<NodeId>>,
    /// The fault's own dice.
    pub rng: &'a mut Rng,
}

/// The nodes that a selector means, in order; none if there is nobody like that. `taken` are those whom other
/// selectors of the same fault have named: a draw leaves them out.
pub fn resolve(selector: &Selector, chooser: &mut Chooser<'_>, taken: &[NodeId]) -> Vec<NodeId> {
    let view = chooser.view;
    let known = |node: NodeId| if view.all().contains(&node) { vec![node] } else { Vec::new() };
    match selector {
        Selector::Broker(nth) => known(NodeId::broker(*nth)),
        Selector::Controller(nth) => known(NodeId::controller(*nth)),
        Selector::Client(name) => chooser.names.node_named(name).into_iter().collect(),
        Selector::Leader(partition) => {
            state(partition, chooser).and_then(|state| state.leader).into_iter().collect()
        }
        Selector::Follower(partition) => {
            let followers = followers(partition, chooser);
            draw(followers, chooser, taken)
        }
        Selector::Followers(partition) => followers(partition, chooser),
        Selector::Isr(partition) => {
            state(partition, chooser).map_or(Vec::new(), |state| state.isr.iter().collect())
        }
        Selector::Coordinator(group) => coordinator(group, chooser).into_iter().collect(),
        Selector::ActiveController => view.controller().into_iter().collect(),
        Selector::StandbyController => {
            let active = view.controller();
            let standby = view.of_role(NodeRole::Controller).filter(|node| Some(*node) != active).collect();
            draw(standby, chooser, taken)
        }
        Selector::Any(group) => {
            let members = view.all().iter().copied().filter(|node| group.has(*node)).collect();
            draw(members, chooser, taken)
        }
        Selector::All(group) => view.all().iter().copied().filter(|node| group.has(*node)).collect(),
        Selector::Victim(fault) => chooser.victims.get(fault).cloned().unwrap_or_default(),
        Selector::Rest => view.all().iter().copied().filter(|node| !taken.contains(node)).collect(),
    }
}

/// The leader of the partition that a group is written to.
fn coordinator(group: &str, chooser: &Chooser<'_>) -> Option<NodeId> {
    let topic = chooser.names.topic_named(OFFSETS_TOPIC)?;
    let partitions = chooser.view.partitions().filter(|(partition, _)| partition.topic == topic).count();
    let at = partition_of(&group.into(), u32::try_from(partitions).ok()?);
    chooser.view.partition(TopicPartition::new(topic, at))?.leader
}

fn state<'a>(
    partition: &PartitionName,
    chooser: &Chooser<'a>,
) -> Option<&'a trial_model::event::PartitionState> {
    chooser.view.partition(chooser.names.partition_named(&partition.to_string())?)
}

fn followers(partition: &PartitionName, chooser: &Chooser<'_>) -> Vec<NodeId> {
    let Some(state) = state(partition, chooser) else { return Vec::new() };
    let mut followers: Vec<NodeId> =
        state.replicas.iter().copied().filter(|node| Some(*node) != state.leader).collect();
    followers.sort_unstable();
    followers
}

/// One of them, those that are alive first of all.
fn draw(mut from: Vec<NodeId>, chooser: &mut Chooser<'_>, taken: &[NodeId]) -> Vec<NodeId> {
    from.retain(|node| !taken.contains(node));
    if from.iter().any(|node| chooser.view.is_alive(*node)) {
        from.retain(|node| chooser.view.is_alive(*node));
    }
    chooser.rng.pick(&from).copied().into_iter().collect()
}
