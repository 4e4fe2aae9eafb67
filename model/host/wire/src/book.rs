//! Where does everybody live? What frames tell and the model's values do not.

use std::collections::BTreeMap;

use trial_model::units::NodeId;

use crate::names::Names;

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or an address, as peers are told.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The addresses of a cluster, and what its topics are called.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// Kafka's `cluster.id`.
    pub cluster: String,
    /// Everybody who listens.
    pub endpoints: BTreeMap<NodeId, Endpoint>,
    /// For those who ask.
    pub names: Names,
}

impl Book {
    /// Where a node listens; an empty host at port 0 for one that is not listed, which nobody can reach.
    pub(crate) fn endpoint(&self, node: NodeId) -> (&str, u16) {
        self.endpoints.get(&node).map_or(("", 0), |endpoint| (endpoint.host.as_str(), endpoint.port))
    }
}
