//! A whole cluster in one process.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::{net::TcpSocket, task::JoinHandle};
use trial_model::units::{NodeId, NodeRole, NodeSet};
use trial_wire::Endpoint;

use crate::{
    home::StartError,
    layout::{self, Layout, bind},
    metrics::{self, Metrics},
    node::{RunningNode, Shared},
    setup,
    watch::{Ended, Happened, Watch},
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
    pub(crate) shared: Shared,
    nodes: BTreeMap<NodeId, RunningNode>,
    /// The ports of those who do not run.
    held: BTreeMap<NodeId, TcpSocket>,
    /// The node that is alone in this process.
    only: Option<NodeId>,
    /// Who was told to shut down and has not yet ended.
    pub(crate) leaving: NodeSet,
    telling: Option<Telling>,
}

/// Where metrics are told, as long as there is a cluster.
#[derive(Debug)]
struct Telling {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Telling {
    /// Listens where the layout says.
    fn begin(layout: &Layout) -> Result<Option<(Telling, Arc<Metrics>)>, StartError> {
        let Some(address) = layout.metrics else { return Ok(None) };
        let refused = |error| StartError::bind(&address.ip().to_string(), address.port(), error);
        let listener = bind(&address.ip().to_string(), address.port())?;
        let address = listener.local_addr().map_err(refused)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(refused)?;
        let metrics = Arc::new(Metrics::default());
        let task = tokio::spawn(metrics::serve(listener, Arc::clone(&metrics)));
        Ok(Some((Telling { address, task }, metrics)))
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cluster {
    /// Starts everybody, each with a directory of its own in `data`. Must be called within a tokio runtime.
    ///
    /// Refuses ports that are taken and directories that are somebody else's, and then nobody runs.
    pub fn start(layout: Layout, data: &Path, watch: Watch) -> Result<Cluster, StartError> {
        let (listeners, book) = layout.bind()?;
        let faults = Arc::default();
        let (telling, metrics) = Telling::begin(&layout)?.unzip();
        let book = Arc::new(book);
        let shared = Shared { book, data: data.to_owned(), watch, faults, metrics, alone: false };
        let mut nodes = BTreeMap::new();
        for (id, listener) in listeners {
            let node = RunningNode::with(&layout, id, Some(listener), shared.clone())?;
            nodes.insert(id, node);
        }
        let held = BTreeMap::new();
        Ok(Cluster { layout, shared, nodes, held, only: None, leaving: NodeSet::new(), telling })
    }

    /// Starts one node of a cluster whose others are other processes: everybody's ports are those that the
    /// layout says.
    ///
    /// Refuses what [`start`](Cluster::start) refuses.
    pub fn start_one(layout: Layout, id: NodeId, data: &Path, watch: Watch) -> Result<Cluster, StartError> {
        let book = Arc::new(layout.book()?);
        let faults = Arc::default();
        let (telling, metrics) = Telling::begin(&layout)?.unzip();
        let shared = Shared { book, data: data.to_owned(), watch, faults, metrics, alone: true };
        let (nodes, held, leaving) = (BTreeMap::new(), BTreeMap::new(), NodeSet::new());
        let mut cluster = Cluster { layout, shared, nodes, held, only: Some(id), leaving, telling };
        cluster.restart(id)?;
        Ok(cluster)
    }

    /// What clients begin with: Kafka's `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        let brokers = self.shared.book.endpoints.iter().filter(|(id, _)| id.role() == NodeRole::Broker);
        let addresses: Vec<String> =
            brokers.map(|(_, endpoint)| format!("{}:{}", endpoint.host, endpoint.port)).collect();
        addresses.join(",")
    }

    /// Where metrics are told, if they are.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.telling.as_ref().map(|telling| telling.address)
    }

    /// Waits until every broker serves, and creates the layout's topics. One that was there before is left as
    /// it is. Waits for ever if brokers do not come.
    ///
    /// Refuses a topic that cannot be, such as one with a setting that no topic has.
    pub async fn ready(&self) -> Result<(), StartError> {
        setup::brokers_are_there(&self.shared.book).await;
        let created = setup::create(&self.shared.book, self.layout.topics.clone()).await;
        created.map_err(|(topic, error)| StartError::Topic { topic: topic.to_string(), error })
    }

    /// Who runs.
    pub fn running(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().filter(|(_, node)| !node.is_over()).map(|(id, _)| *id)
    }

    /// The nodes that this process has, clients too, whether they run or not.
    pub fn here(&self) -> impl Iterator<Item = NodeId> + '_ {
        let all = self.shared.book.endpoints.keys().chain(self.layout.clients.keys());
        all.copied().filter(|id| self.only.is_none_or(|only| only == *id))
    }

    /// Whether this process has one node of the cluster and no more.
    pub(crate) fn is_one(&self) -> bool {
        self.only.is_some()
    }

    /// Whether a node runs but stands still.
    pub fn stands_still(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(RunningNode::is_paused)
    }

    /// A node that runs.
    pub(crate) fn node(&self, id: NodeId) -> Option<&RunningNode> {
        self.nodes.get(&id).filter(|node| !node.is_over())
    }

    /// Ends a node's life at once, and waits until its directory is free. Says whether it was alive.
    pub async fn kill(&mut self, id: NodeId) -> bool {
        let Some(mut node) = self.nodes.remove(&id) else { return false };
        let alive = !node.is_over();
        node.kill();
        node.ended().await;
        self.hold(node).await;
        self.leaving.remove(id);
        if alive {
            self.shared.watch.happened(id, Happened::Crashed);
        }
        alive
    }

    /// Keeps the port of a node that has ended for its next life. Where it cannot be kept and somebody takes it, that one
    /// is refused.
    async fn hold(&mut self, mut node: RunningNode) {
        node.silent().await;
        let Some(Endpoint { host, port }) = self.shared.book.endpoints.get(&node.id()) else { return };
        if let Ok(held) = layout::hold(host, *port) {
            self.held.insert(node.id(), held);
        }
    }

    /// Starts a node again that has ended, or a client.
    ///
    /// Refuses what [`start`](Cluster::start) refuses.
    pub fn restart(&mut self, id: NodeId) -> Result<(), StartError> {
        if self.nodes.get(&id).is_some_and(|node| !node.is_over()) {
            return Ok(());
        }
        let listener = match self.shared.book.endpoints.get(&id) {
            Some(Endpoint { host, port }) => Some(match self.held.remove(&id) {
                Some(held) => layout::listen(held).map_err(|error| StartError::bind(host, *port, error))?,
                None => bind(host, *port)?,
            }),
            None => None,
        };
        let node = RunningNode::with(&self.layout, id, listener, self.shared.clone())?;
        self.nodes.insert(id, node);
        Ok(())
    }

    /// Waits until a node has ended by itself, and says which and how. For ever if nobody does.
    pub async fn somebody_ends(&mut self) -> (NodeId, Ended) {
        loop {
            if let Some(over) = self.nodes.iter().find(|(_, node)| node.is_over()).map(|(id, _)| *id)
                && let Some(mut node) = self.nodes.remove(&over)
            {
                let how = node.ended().await;
                self.hold(node).await;
                self.shared.watch.happened(over, Happened::Ended(how));
                return (over, how);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether a node that has ended was told to, and did so in order. Asked once.
    pub(crate) fn ended_as_told(&mut self, id: NodeId, how: Ended) -> bool {
        self.leaving.remove(id) && how == Ended::Shutdown
    }

    /// Shuts everybody down in order: the brokers, who need the controllers for that, and then these. Whoever
    /// takes too long is killed. Says whether all ended in order.
    pub async fn shut_down(self) -> bool {
        self.end(PATIENCE, CONTROLLERS_PATIENCE).await
    }

    /// The same, however long it takes.
    pub(crate) async fn shut_down_patiently(self) -> bool {
        const FOR_EVER: Duration = Duration::from_secs(365 * 86_400);
        self.end(FOR_EVER, FOR_EVER).await
    }

    async fn end(mut self, brokers: Duration, controllers: Duration) -> bool {
        // Who is cut off cannot have its leaderships moved.
        self.shared.faults.end_all();
        self.nodes.retain(|id, _| id.role() != NodeRole::Client);
        let mut orderly = true;
        for (role, patience) in [(NodeRole::Broker, brokers), (NodeRole::Controller, controllers)] {
            let ids: Vec<NodeId> = self.nodes.keys().copied().filter(|id| id.role() == role).collect();
            let mut leaving: Vec<RunningNode> = ids.iter().filter_map(|id| self.nodes.remove(id)).collect();
            for node in &leaving {
                node.pause(false);
                node.shut_down();
            }
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
