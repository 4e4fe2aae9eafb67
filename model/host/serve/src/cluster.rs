//! A whole cluster in one process.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use trial_model::units::{NodeId, NodeRole};
use trial_wire::Book;

use crate::{
    home::StartError,
    layout::{Layout, bind},
    node::{Ended, RunningNode},
    setup,
    world::Watch,
};

/// How long an orderly shutdown of all brokers may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long that of all controllers may take. The last of them wait for a successor that does not come, and
/// what they have promised is on the platter.
const CONTROLLERS_PATIENCE: Duration = Duration::from_millis(300);

/// A cluster that runs.
#[derive(Debug)]
pub struct Cluster {
    layout: Layout,
    book: Arc<Book>,
    data: PathBuf,
    watch: Watch,
    nodes: BTreeMap<NodeId, RunningNode>,
}

impl Cluster {
    /// Starts everybody, each with a directory of its own in `data`. Must be called within a tokio runtime.
    ///
    /// Refuses ports that are taken and directories that are somebody else's, and then nobody runs.
    pub fn start(layout: Layout, data: &Path, watch: Watch) -> Result<Cluster, StartError> {
        let (listeners, book) = layout.bind()?;
        let book = Arc::new(book);
        let mut nodes = BTreeMap::new();
        for (id, listener) in listeners {
            let node = RunningNode::with(&layout, id, listener, Arc::clone(&book), data, watch.clone())?;
            nodes.insert(id, node);
        }
        Ok(Cluster { layout, book, data: data.to_owned(), watch, nodes })
    }

    /// What clients begin with: Kafka's `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        let brokers = self.book.endpoints.iter().filter(|(id, _)| id.role() == NodeRole::Broker);
        let addresses: Vec<String> =
            brokers.map(|(_, endpoint)| format!("{}:{}", endpoint.host, endpoint.port)).collect();
        addresses.join(",")
    }

    /// Waits until every broker serves, and creates the layout's topics. One that was there before is left as
    /// it is. Waits for ever if brokers do not come.
    ///
    /// Refuses a topic that cannot be, such as one with a setting that no topic has.
    pub async fn ready(&self) -> Result<(), StartError> {
        setup::brokers_are_there(&self.book).await;
        let created = setup::create(&self.book, self.layout.topics.clone()).await;
        created.map_err(|(topic, error)| StartError::Topic { topic: topic.to_string(), error })
    }

    /// Who runs.
    pub fn running(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().filter(|(_, node)| !node.is_over()).map(|(id, _)| *id)
    }

    /// Ends a node's life at once, and waits until its directory is free. Says whether it was alive.
    pub async fn kill(&mut self, id: NodeId) -> bool {
        let Some(mut node) = self.nodes.remove(&id) else { return false };
        let alive = !node.is_over();
        node.kill();
        node.ended().await;
        alive
    }

    /// Starts a node again that has ended.
    ///
    /// Refuses what [`start`](Cluster::start) refuses.
    pub fn restart(&mut self, id: NodeId) -> Result<(), StartError> {
        if self.nodes.get(&id).is_some_and(|node| !node.is_over()) {
            return Ok(());
        }
        let endpoint = self.book.endpoints.get(&id).ok_or_else(|| StartError::NoSuchNode(id.to_string()))?;
        let listener = bind(&endpoint.host, endpoint.port)?;
        let book = Arc::clone(&self.book);
        let node = RunningNode::with(&self.layout, id, listener, book, &self.data, self.watch.clone())?;
        self.nodes.insert(id, node);
        Ok(())
    }

    /// Waits until a node has ended by itself, and says which and how. For ever if nobody does.
    pub async fn somebody_ends(&mut self) -> (NodeId, Ended) {
        loop {
            if let Some(over) = self.nodes.iter().find(|(_, node)| node.is_over()).map(|(id, _)| *id)
                && let Some(mut node) = self.nodes.remove(&over)
            {
                return (over, node.ended().await);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Shuts everybody down in order: the brokers, who need the controllers for that, and then these. Whoever
    /// takes too long is killed. Says whether all ended in order.
    pub async fn shut_down(mut self) -> bool {
        let mut orderly = true;
        for (role, patience) in [(NodeRole::Broker, PATIENCE), (NodeRole::Controller, CONTROLLERS_PATIENCE)] {
            let ids: Vec<NodeId> = self.nodes.keys().copied().filter(|id| id.role() == role).collect();
            let mut leaving: Vec<RunningNode> = ids.iter().filter_map(|id| self.nodes.remove(id)).collect();
            leaving.iter().for_each(RunningNode::shut_down);
            let until = tokio::time::Instant::now() + patience;
            for node in &mut leaving {
                match tokio::time::timeout_at(until, node.ended()).await {
                    Ok(ended) => orderly &= ended == Ended::Shutdown,
                    Err(_) => {
                        orderly &= role == NodeRole::Controller;
                        node.kill();
                        node.ended().await;
                    }
                }
            }
        }
        orderly
    }
}
