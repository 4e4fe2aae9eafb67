//! What are the nodes and topics of this run called?

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Formatter},
};

use trial_model::{
    event::{Event, Names},
    protocol::TopicName,
    units::{NodeId, TopicId, TopicPartition},
};

/// The names of one run: clients as the scenario calls them, topics as they are created.
#[derive(Clone, Debug, Default)]
pub struct RunNames {
    nodes: BTreeMap<NodeId, String>,
    topics: BTreeMap<TopicId, TopicName>,
    latest: BTreeMap<TopicName, TopicId>,
}

impl RunNames {
    /// Calls a node something else than its number says.
    pub fn call(&mut self, node: NodeId, name: &str) {
        self.nodes.insert(node, name.into());
    }

    /// Learns the name of a topic from the event that says so.
    pub fn learn(&mut self, event: &Event) {
        if let Event::TopicCreated { topic, name, .. } = event {
            self.topics.insert(*topic, name.clone());
            self.latest.insert(name.clone(), *topic);
        }
    }

    /// What a node is called.
    pub fn node_name(&self, node: NodeId) -> String {
        self.nodes.get(&node).cloned().unwrap_or_else(|| node.to_string())
    }

    /// The node of a name.
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().find(|(_, called)| *called == name).map(|(node, _)| *node)
    }

    /// Every name of a node or a topic that was ever given.
    pub fn all(&self) -> BTreeSet<&str> {
        self.nodes.values().map(String::as_str).chain(self.topics.values().map(TopicName::as_str)).collect()
    }

    /// What a partition is called: `orders-0`.
    pub fn partition_name(&self, partition: TopicPartition) -> String {
        match self.topics.get(&partition.topic) {
            Some(topic) => format!("{topic}-{}", partition.partition),
            None => partition.to_string(),
        }
    }

    /// What a topic is called.
    pub fn topic(&self, topic: TopicId) -> Option<TopicName> {
        self.topics.get(&topic).cloned()
    }

    /// The topic that last bore a name.
    pub fn topic_named(&self, name: &str) -> Option<TopicId> {
        self.latest.get(&TopicName::from(name)).copied()
    }

    /// The partition of a name such as `orders-0`.
    pub fn partition_named(&self, name: &str) -> Option<TopicPartition> {
        let (topic, partition) = name.rsplit_once('-')?;
        Some(TopicPartition::new(self.topic_named(topic)?, partition.parse().ok()?))
    }
}

impl Names for RunNames {
    fn partition(&self, partition: TopicPartition, f: &mut Formatter<'_>) -> fmt::Result {
        match self.topics.get(&partition.topic) {
            Some(topic) => write!(f, "{topic}-{}", partition.partition),
            None => write!(f, "{partition}"),
        }
    }

    fn node(&self, node: NodeId, f: &mut Formatter<'_>) -> fmt::Result {
        match self.nodes.get(&node) {
            Some(name) => f.write_str(name),
            None => write!(f, "{node}"),
        }
    }
}

/// The names of a run for those who need them only now and then: a copy that the world keeps up to date.
#[derive(Clone, Default)]
pub struct SharedNames(pub std::sync::Arc<std::sync::Mutex<RunNames>>);

impl SharedNames {
    /// The names as they are now.
    pub fn get(&self) -> std::sync::MutexGuard<'_, RunNames> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Names for SharedNames {
    fn partition(&self, partition: TopicPartition, f: &mut Formatter<'_>) -> fmt::Result {
        self.get().partition(partition, f)
    }

    fn node(&self, node: NodeId, f: &mut Formatter<'_>) -> fmt::Result {
        self.get().node(node, f)
    }
}
