//! Which request of a connection is being worked on, and which wait behind it?
//!
//! Kafka mutes a connection from the moment a request is read until its response is sent, so requests of one
//! connection are answered one by one and in order.

use alloc::collections::{BTreeMap, VecDeque};

use crate::{
    machine::{Caller, ConnectionId},
    protocol::Request,
};

/// The connections that peers have opened, as far as requests came by them.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    open: BTreeMap<ConnectionId, Connection>,
}

#[derive(Clone, Debug, Default)]
struct Connection {
    /// Whether a request of it is being worked on.
    busy: bool,
    /// Those that wait behind it.
    waiting: VecDeque<(Caller, Request)>,
}

impl Connections {
    /// Takes a request that has arrived. Gives it back if it is its turn.
    pub(super) fn arrived(&mut self, caller: Caller, request: Request) -> Option<(Caller, Request)> {
        let connection = self.open.entry(caller.connection).or_default();
        if connection.busy {
            connection.waiting.push_back((caller, request));
            return None;
        }
        connection.busy = true;
        Some((caller, request))
    }

    /// The request in progress is answered. Gives the next, if one waits.
    pub(super) fn answered(&mut self, connection: ConnectionId) -> Option<(Caller, Request)> {
        let connection = self.open.get_mut(&connection)?;
        let next = connection.waiting.pop_front();
        connection.busy = next.is_some();
        next
    }

    /// The connection is gone, and so is whoever waits on it.
    pub(super) fn closed(&mut self, connection: ConnectionId) {
        self.open.remove(&connection);
    }
}
