//! Who is in the cluster, where does everybody listen, and what is it set to?

use std::{collections::BTreeMap, io, net::TcpListener};

use trial_model::{
    config::{BrokerConfig, ControllerConfig},
    protocol::topics::NewTopic,
    units::{NodeId, NodeSet},
};
use trial_wire::{Book, Endpoint, Listener};

use crate::home::StartError;

/// What one server takes before it refuses or waits, under Kafka's names and defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `socket.request.max.bytes`: a larger frame closes its connection.
    pub socket_request_max_bytes: usize,
    /// `queued.max.requests`: when so many wait for a node, nobody's next is read.
    pub queued_max_requests: usize,
    /// `max.connections`: one more is closed at once.
    pub max_connections: usize,
    /// `connections.max.idle.ms`: a connection that says nothing for so long is closed.
    pub connections_max_idle: std::time::Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            socket_request_max_bytes: 100 << 20,
            queued_max_requests: 500,
            max_connections: 10_000,
            connections_max_idle: std::time::Duration::from_secs(600),
        }
    }
}

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
    /// The topics that are created once the brokers are there.
    pub topics: Vec<NewTopic>,
    /// What each server takes.
    pub limits: Limits,
}

impl Layout {
    /// So many brokers and controllers with Kafka's defaults, on free ports of this machine alone.
    pub fn of(brokers: u32, controllers: u32) -> Layout {
        Layout {
            cluster: "trial".into(),
            host: "127.0.0.1".into(),
            port: 0,
            brokers: (1..=brokers).map(|nth| (NodeId::broker(nth), BrokerConfig::default())).collect(),
            controllers: (1..=controllers)
                .map(|nth| (NodeId::controller(nth), ControllerConfig::default()))
                .collect(),
            topics: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// Everybody, brokers first.
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
        Ok(Book { cluster: self.cluster.clone(), endpoints })
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
        Ok((listeners, Book { cluster: self.cluster.clone(), endpoints }))
    }
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

/// Which APIs a node speaks.
pub(crate) fn listener_of(node: NodeId) -> Listener {
    match node.role() {
        trial_model::units::NodeRole::Controller => Listener::Controller,
        _ => Listener::Broker,
    }
}
