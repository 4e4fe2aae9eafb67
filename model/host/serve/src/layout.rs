//! Who is in the cluster, where does everybody listen, and what is it set to?

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
};

use tokio::net::TcpSocket;
use trial_model::{
    config::{BrokerConfig, ControllerConfig},
    node::Role,
    protocol::topics::NewTopic,
    units::{NodeId, NodeSet},
};
use trial_wire::{Book, Endpoint, Listener, Names};

use crate::{home::StartError, limits::Limits};

/// A cluster to be started.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Kafka's `cluster.id`. A data directory belongs to one cluster.
    pub cluster: String,
    /// The address that all listen at, and that clients are told.
    pub host: String,
    /// The first broker's port; the next broker's is the next one, and the controllers' follow the
    /// brokers'. 0 for any that are free.
    pub port: u16,
    /// The brokers and what each is set to, by node.
    pub brokers: BTreeMap<NodeId, BrokerConfig>,
    /// The controllers and what each is set to, by node.
    pub controllers: BTreeMap<NodeId, ControllerConfig>,
    /// The model's own clients, who run only once they are started, in the same process, and do what they are
    /// told.
    pub clients: BTreeMap<NodeId, Role>,
    /// The topics that are created once the brokers are there.
    pub topics: Vec<NewTopic>,
    /// What each server takes.
    pub limits: Limits,
    /// Where Prometheus asks for metrics; port 0 is any that is free. Nothing is counted if nobody may ask.
    pub metrics: Option<SocketAddr>,
}

impl Layout {
    /// So many brokers and controllers with Kafka's defaults, on free ports of this machine alone. Only the first
    /// election is sooner: see [`SERVED`].
    pub fn of(brokers: u32, controllers: u32) -> Layout {
        Layout {
            cluster: "trial".into(),
            host: "127.0.0.1".into(),
            port: 0,
            brokers: (1..=brokers).map(|nth| (NodeId::broker(nth), BrokerConfig::default())).collect(),
            controllers: (1..=controllers).map(|nth| (NodeId::controller(nth), served())).collect(),
            clients: BTreeMap::new(),
            topics: Vec::new(),
            limits: Limits::default(),
            metrics: None,
        }
    }

    /// Every server, brokers first.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.brokers.keys().chain(self.controllers.keys()).copied()
    }

    /// The voters of the metadata quorum.
    pub(crate) fn voters(&self) -> NodeSet {
        self.controllers.keys().copied().collect()
    }

    /// Where everybody listens, if that is known before they do.
    ///
    /// Refuses ports that do not fit, and `port` 0.
    pub fn book(&self) -> Result<Book, StartError> {
        let mut endpoints = BTreeMap::new();
        for (node, nth) in self.nodes().zip(0u16..) {
            let port = self.port.checked_add(nth).filter(|_| self.port != 0).ok_or(StartError::Port)?;
            endpoints.insert(node, Endpoint { host: self.host.clone(), port });
        }
        Ok(Book { cluster: self.cluster.clone(), endpoints, names: Names::default() })
    }

    /// Takes everybody's port, and says which they are.
    ///
    /// Refuses ports that are taken.
    pub(crate) fn bind(&self) -> Result<(BTreeMap<NodeId, TcpListener>, Book), StartError> {
        let mut listeners = BTreeMap::new();
        let mut endpoints = BTreeMap::new();
        for (node, nth) in self.nodes().zip(0u16..) {
            let port = match self.port {
                0 => 0,
                first => first.checked_add(nth).ok_or(StartError::Port)?,
            };
            let listener = bind(&self.host, port)?;
            let port =
                listener.local_addr().map_err(|error| StartError::bind(&self.host, port, error))?.port();
            endpoints.insert(node, Endpoint { host: self.host.clone(), port });
            listeners.insert(node, listener);
        }
        Ok((listeners, Book { cluster: self.cluster.clone(), endpoints, names: Names::default() }))
    }
}

/// A setting of controllers that are served, key and value, where nobody says otherwise: for how long a voter waits at
/// first before the first election of all. Long enough for the others to be up, which are on this machine, and not so
/// long that whoever starts a cluster waits for it.
pub const SERVED: (&str, &str) = ("controller.quorum.first.election.timeout.ms", "50");

fn served() -> ControllerConfig {
    let mut config = ControllerConfig::default();
    config.set(SERVED.0, SERVED.1).expect("it is a controller's setting");
    config
}

/// Takes a port.
pub(crate) fn bind(host: &str, port: u16) -> Result<TcpListener, StartError> {
    let bind = || -> io::Result<TcpListener> {
        let listener = TcpListener::bind((host, port))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|error| StartError::bind(host, port, error))
}

/// Takes a port for later: who connects is refused, and the system gives it to nobody who asks for any that is free, as
/// whoever connects somewhere does.
pub(crate) fn hold(host: &str, port: u16) -> io::Result<TcpSocket> {
    let address = (host, port).to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // What is left of former connections does not count, as for who listens.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Listens at a port that was held.
pub(crate) fn listen(held: TcpSocket) -> io::Result<TcpListener> {
    const BACKLOG: u32 = 128;
    held.listen(BACKLOG)?.into_std()
}

/// Which APIs a node speaks.
pub(crate) fn listener_of(node: NodeId) -> Listener {
    match node.role() {
        trial_model::units::NodeRole::Controller => Listener::Controller,
        _ => Listener::Broker,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[test]
    fn who_starts_a_cluster_does_not_wait_for_its_first_election_unless_told_to() {
        let mut layout = Layout::of(1, 3);
        for config in layout.controllers.values_mut() {
            let set = config.controller_quorum_first_election_timeout_ms;
            assert!(
                set.is_some_and(|first| first * 4 < config.controller_quorum_election_timeout_ms),
                "{set:?}"
            );
            config.set(SERVED.0, "-1").expect("as Kafka");
            assert_eq!(config.controller_quorum_first_election_timeout_ms, None);
        }
    }

    #[tokio::test]
    async fn a_port_that_is_held_is_closed_and_nobody_elses() -> io::Result<()> {
        let address = hold("127.0.0.1", 0)?.local_addr()?;
        let held = hold("127.0.0.1", address.port())?;
        let refused = TcpStream::connect(address).await.err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused));
        let another = TcpSocket::new_v4()?.bind(address).err().map(|error| error.kind());
        assert_eq!(another, Some(io::ErrorKind::AddrInUse));
        let listener = listen(held)?;
        TcpStream::connect(address).await?;
        assert_eq!(listener.local_addr()?, address);
        Ok(())
    }
}
