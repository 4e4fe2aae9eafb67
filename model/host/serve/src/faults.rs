//! What is wrong with the links of a cluster?

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use trial_model::{
    protocol::ApiKey,
    units::{NodeId, NodeRole, NodeSet, Ratio},
};

/// Who is at an end of a connection. Of a client nobody knows more than its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    Node(NodeId),
    Client(SocketAddr),
}

/// The parties at one end of a faulty link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Nodes of the cluster.
    pub nodes: NodeSet,
    /// Whoever connects from such an address and is no node.
    pub addresses: Vec<IpAddr>,
    /// All clients.
    pub clients: bool,
}

impl Ends {
    /// These nodes, and no clients.
    pub fn nodes(nodes: impl IntoIterator<Item = NodeId>) -> Ends {
        Ends { nodes: nodes.into_iter().collect(), ..Ends::default() }
    }

    pub(crate) fn has(&self, party: Party) -> bool {
        match party {
            Party::Node(node) => {
                self.nodes.contains(node) || (self.clients && node.role() == NodeRole::Client)
            }
            Party::Client(address) => self.clients || self.addresses.contains(&address.ip()),
        }
    }

    /// Whether nobody is meant.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.addresses.is_empty() && !self.clients
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.nodes.iter().map(|node| node.to_string());
        let addresses = self.addresses.iter().map(IpAddr::to_string);
        let all: Vec<String> =
            nodes.chain(addresses).chain(self.clients.then(|| "clients".to_owned())).collect();
        f.write_str(&all.join(","))
    }
}

/// Which half of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// What is asked.
    Request,
    /// What is answered.
    Response,
}

/// What a faulty link does to the messages that go over it, whole ones: what TCP does with a lost segment is
/// the machine's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkFaultKind {
    /// Nothing arrives as long as it lasts. What was sent meanwhile comes afterwards, as TCP sends it again;
    /// a connection that cannot be opened within Kafka's `socket.connection.setup.timeout.ms` is given up.
    Cut,
    /// Everything comes so much later.
    Slow(Duration),
    /// Messages of one kind come later, each with this chance, and what is behind them on their connections.
    Delay {
        /// Which kind.
        api: ApiKey,
        /// The request or its response.
        half: Half,
        /// How likely.
        chance: Ratio,
        /// By how much.
        by: Duration,
    },
    /// Messages of one kind are lost, each with this chance, and what is behind them on their connections.
    Drop {
        /// Which kind.
        api: ApiKey,
        /// The request or its response.
        half: Half,
        /// How likely.
        chance: Ratio,
    },
}

/// One fault of every link from a party of `from` to one of `to`. The way back is not touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFault {
    /// Where messages come from.
    pub from: Ends,
    /// Where they go.
    pub to: Ends,
    /// What happens to them.
    pub kind: LinkFaultKind,
}

impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LinkFault { from, to, kind } = self;
        match kind {
            LinkFaultKind::Cut => write!(f, "cut {from} > {to}"),
            LinkFaultKind::Slow(by) => write!(f, "delay {from} > {to} {by:?}"),
            LinkFaultKind::Delay { api, by, .. } => write!(f, "delay {} {from} > {to} {by:?}", api.name()),
            LinkFaultKind::Drop { api, .. } => write!(f, "drop {} {from} > {to}", api.name()),
        }
    }
}

/// The faults of a cluster's links that are on, as every node of it sees them.
#[derive(Debug)]
pub(crate) struct Faults {
    active: Mutex<Active>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Active {
    by_number: BTreeMap<u64, LinkFault>,
    shared: Arc<[LinkFault]>,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults { active: Mutex::default(), changed: watch::Sender::new(0) }
    }
}

impl Faults {
    fn change(&self, change: impl FnOnce(&mut BTreeMap<u64, LinkFault>)) {
        let mut active = self.lock();
        change(&mut active.by_number);
        active.shared = active.by_number.values().cloned().collect();
        self.changed.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a fault, under a number by which it can be ended.
    pub(crate) fn begin(&self, number: u64, fault: LinkFault) {
        self.change(|all| {
            all.insert(number, fault);
        });
    }

    pub(crate) fn end(&self, number: u64) {
        self.change(|all| {
            all.remove(&number);
        });
    }

    /// Ends all of them, and says how many there were.
    pub(crate) fn end_all(&self) -> usize {
        let mut many = 0;
        self.change(|all| {
            many = all.len();
            all.clear();
        });
        many
    }

    /// Those that are on.
    pub(crate) fn list(&self) -> Arc<[LinkFault]> {
        Arc::clone(&self.lock().shared)
    }

    /// Tells of every change.
    pub(crate) fn listen(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
