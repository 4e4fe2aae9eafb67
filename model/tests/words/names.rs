//! What are the nodes and topics of a conversation called?

use std::{
    collections::BTreeMap,
    fmt::{self, Formatter},
};

use trial_model::{
    event::{Event, Names},
    protocol::{PartitionRef, TopicRef},
    units::{NodeId, TopicId, TopicPartition},
};

/// The names of one conversation.
#[derive(Clone, Debug, Default)]
pub struct Book {
    nodes: BTreeMap<NodeId, String>,
    topics: BTreeMap<TopicId, String>,
}

impl Book {
    /// Calls a node something else than its number says.
    pub fn call(&mut self, node: NodeId, name: &str) {
        self.nodes.insert(node, name.into());
    }

    /// Learns the name of a topic from the event that says so.
    pub fn learn(&mut self, event: &Event) {
        if let Event::TopicCreated { topic, name, .. } = event {
            self.topics.insert(*topic, name.as_str().into());
        }
    }

    /// What a node is called.
    pub fn node_name(&self, node: NodeId) -> String {
        self.nodes.get(&node).cloned().unwrap_or_else(|| node.to_string())
    }

    /// The node of a name: `broker-2`, `controller-1`, `p1`.
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        if let Some((node, _)) = self.nodes.iter().find(|(_, called)| *called == name) {
            return Some(*node);
        }
        let (role, nth) = name.rsplit_once('-')?;
        let nth = nth.parse().ok()?;
        match role {
            "broker" => Some(NodeId::broker(nth)),
            "controller" => Some(NodeId::controller(nth)),
            _ => None,
        }
    }

    /// The partition of a name: `orders-0`.
    pub fn partition_named(&self, name: &str) -> Option<TopicPartition> {
        let (topic, partition) = name.rsplit_once('-')?;
        let (id, _) = self.topics.iter().rfind(|(_, called)| *called == topic)?;
        Some(TopicPartition::new(*id, partition.parse().ok()?))
    }

    /// What a partition that a request names is called.
    pub fn of(&self, partition: &PartitionRef) -> String {
        match &partition.topic {
            TopicRef::Id(topic) => self.partition_name(TopicPartition::new(*topic, partition.partition)),
            TopicRef::Name(name) => format!("{name}-{}", partition.partition),
        }
    }

    /// What a partition is called.
    pub fn partition_name(&self, partition: TopicPartition) -> String {
        match self.topics.get(&partition.topic) {
            Some(name) => format!("{name}-{}", partition.partition),
            None => partition.to_string(),
        }
    }
}

impl Names for Book {
    fn partition(&self, partition: TopicPartition, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.partition_name(partition))
    }

    fn node(&self, node: NodeId, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.node_name(node))
    }
}
