//! Which request of a connection is in progress, and which wait for it?
//!
//! Kafka reads the next request of a connection only when the one before is answered (its channel is muted
//! until then). So a connection has one request in progress, and the others stand in a queue.

use alloc::collections::VecDeque;

use super::purgatory::ParkedId;
use crate::{
    flat::FlatMap,
    machine::{Caller, ConnectionId},
    protocol::Request,
};

#[derive(Clone, Debug, Default)]
struct Connection {
    busy: bool,
    parked: Option<ParkedId>,
    queue: VecDeque<(Caller, Request)>,
}

/// The connections that peers have opened to this server.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    serving: bool,
    open: FlatMap<ConnectionId, Connection>,
    free: VecDeque<ConnectionId>,
}

impl Connections {
    /// From now on requests are carried out, those first that have come before.
    pub fn serve(&mut self) {
        self.serving = true;
        for (id, connection) in &mut self.open {
            if !connection.busy && !connection.queue.is_empty() {
                connection.busy = true;
                self.free.push_back(*id);
            }
        }
    }

    /// From now on no request begins any more.
    pub fn stop(&mut self) {
        self.serving = false;
        self.free.clear();
    }

    /// A request has arrived. Says whether it may begin now; if not, it is to [wait](Self::wait).
    pub fn begins(&mut self, id: ConnectionId) -> bool {
        let connection = self.open.get_or_insert_with(id, Connection::default);
        let begins = !connection.busy && self.serving;
        connection.busy |= begins;
        begins
    }

    /// Takes a request that may not begin yet.
    pub fn wait(&mut self, caller: Caller, request: Request) {
        if let Some(connection) = self.open.get_mut(&caller.connection) {
            connection.queue.push_back((caller, request));
        }
    }

    /// The request in progress is answered, or needs no answer: the next may begin. Says whether the
    /// connection is open, so that an answer reaches somebody.
    pub fn done(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.open.get_mut(&id) else { return false };
        connection.parked = None;
        if connection.queue.is_empty() {
            connection.busy = false;
        } else {
            self.free.push_back(id);
        }
        true
    }

    /// The next request that may begin because the one before it is done.
    #[inline]
    pub fn next(&mut self) -> Option<(Caller, Request)> {
        if !self.serving || self.free.is_empty() {
            return None;
        }
        while let Some(id) = self.free.pop_front() {
            if let Some(next) = self.open.get_mut(&id).and_then(|connection| connection.queue.pop_front()) {
                return Some(next);
            }
        }
        None
    }

    /// The request in progress waits in the purgatory.
    pub fn parked(&mut self, id: ConnectionId, parked: ParkedId) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.parked = Some(parked);
        }
    }

    /// The connection is gone, with everything that waited on it. Says what is in the purgatory for it.
    pub fn closed(&mut self, id: ConnectionId) -> Option<ParkedId> {
        self.open.remove(&id)?.parked
    }

    /// Whether replies to it reach anybody.
    pub fn is_open(&self, id: ConnectionId) -> bool {
        self.open.contains_key(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::metadata::MetadataRequest,
        units::{CorrelationId, NodeId},
    };

    fn caller(connection: u64, correlation: u32) -> Caller {
        Caller {
            node: NodeId::client(1),
            connection: ConnectionId(connection),
            correlation: CorrelationId(correlation),
        }
    }

    fn request() -> Request {
        Request::Metadata(MetadataRequest { topics: None, allow_auto_topic_creation: false })
    }

    /// Says whether it begins.
    fn arrives(connections: &mut Connections, connection: u64, correlation: u32) -> bool {
        let caller = caller(connection, correlation);
        let begins = connections.begins(caller.connection);
        if !begins {
            connections.wait(caller, request());
        }
        begins
    }

    #[test]
    fn one_request_of_a_connection_is_in_progress() {
        let mut connections = Connections::default();
        assert!(!arrives(&mut connections, 1, 1), "nobody is served yet");
        connections.serve();
        assert_eq!(connections.next().map(|(c, _)| c), Some(caller(1, 1)));
        assert!(!arrives(&mut connections, 1, 2));
        assert!(!arrives(&mut connections, 1, 3));
        assert!(arrives(&mut connections, 2, 1), "another connection does not wait");
        assert!(connections.next().is_none());
        connections.done(ConnectionId(1));
        assert_eq!(connections.next().map(|(c, _)| c), Some(caller(1, 2)));
        assert!(connections.next().is_none());
        connections.done(ConnectionId(1));
        assert_eq!(connections.next().map(|(c, _)| c), Some(caller(1, 3)));
        connections.done(ConnectionId(1));
        assert!(arrives(&mut connections, 1, 4));
    }

    #[test]
    fn what_waits_dies_with_the_connection() {
        let mut connections = Connections::default();
        connections.serve();
        assert!(arrives(&mut connections, 1, 1));
        assert!(!arrives(&mut connections, 1, 2));
        connections.parked(ConnectionId(1), ParkedId(7));
        assert_eq!(connections.closed(ConnectionId(1)), Some(ParkedId(7)));
        connections.done(ConnectionId(1));
        assert!(connections.next().is_none());
        assert!(!connections.is_open(ConnectionId(1)));
    }
}
