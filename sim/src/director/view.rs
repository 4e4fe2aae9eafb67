//! Who is who at this moment? What selectors and triggers look at.
//!
//! Built from what nodes state, at the end of every instant; so both engines show the same.

use std::collections::BTreeMap;

use trial_model::{
    event::{Event, PartitionState},
    units::{LeaderEpoch, NodeId, NodeRole, NodeSet, Offset, TopicPartition},
};

/// The cluster as the committed metadata and the controllers' own words have it.
#[derive(Clone, Debug, Default)]
pub struct View {
    partitions: BTreeMap<TopicPartition, (Offset, PartitionState)>,
    controller: Option<(LeaderEpoch, NodeId)>,
    alive: NodeSet,
    all: Vec<NodeId>,
}

impl View {
    /// A view of a cluster in which nobody lives yet.
    pub fn of(nodes: impl IntoIterator<Item = NodeId>) -> View {
        View { all: nodes.into_iter().collect(), ..View::default() }
    }

    /// Takes in what a node states.
    pub fn observe(&mut self, node: NodeId, event: &Event) {
        match event {
            Event::LeaderElected { partition, state, at, .. }
            | Event::IsrShrunk { partition, state, at, .. }
            | Event::IsrExpanded { partition, state, at, .. }
            | Event::PartitionChanged { partition, state, at, .. } => {
                let known = self.partitions.get(partition).map(|(known, _)| *known);
                // Every controller states every record; the first one counts.
                if known.is_none_or(|known| *at > known) {
                    self.partitions.insert(*partition, (*at, (**state).clone()));
                }
            }
            Event::TopicDeleted { topic, .. } => self.partitions.retain(|p, _| p.topic != *topic),
            Event::ControllerActivated { epoch, .. }
                if self.controller.is_none_or(|(known, _)| known < *epoch) =>
            {
                self.controller = Some((*epoch, node));
            }
            _ => {}
        }
    }

    /// A process began.
    pub fn started(&mut self, node: NodeId) {
        self.alive.insert(node);
    }

    /// A process ended.
    pub fn stopped(&mut self, node: NodeId) {
        self.alive.remove(node);
    }

    /// Whether a node's process is there.
    pub fn is_alive(&self, node: NodeId) -> bool {
        self.alive.contains(node)
    }

    /// The state of a partition.
    pub fn partition(&self, partition: TopicPartition) -> Option<&PartitionState> {
        self.partitions.get(&partition).map(|(_, state)| state)
    }

    /// Every partition there is, in order.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicPartition, &PartitionState)> {
        self.partitions.iter().map(|(partition, (_, state))| (*partition, state))
    }

    /// The controller that was activated last.
    pub fn controller(&self) -> Option<NodeId> {
        self.controller.map(|(_, node)| node)
    }

    /// Every node of a role, in order.
    pub fn of_role(&self, role: NodeRole) -> impl Iterator<Item = NodeId> + '_ {
        self.all.iter().copied().filter(move |node| node.role() == role)
    }

    /// Every node, in order.
    pub fn all(&self) -> &[NodeId] {
        &self.all
    }
}
