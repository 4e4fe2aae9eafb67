//! Which request of a connection is being worked on, and which wait behind it?
//!
//! Kafka mutes a connection from the moment a request is read until its response is sent, so requests of one
//! connection are answered one by one and in order.

use alloc::collections::{BTreeMap, VecDeque};

use crate::{
    machine::{Caller, ConnectionId},
    protocol::Request,
};

/// The connections that have a request in progress, each with the requests behind it.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    busy: BTreeMap<ConnectionId, VecDeque<(Caller, Request)>>,
}

impl Connections {
    /// Takes a request that has arrived. Gives it back if it is its turn.
    pub(super) fn arrived(&mut self, caller: Caller, request: Request) -> Option<(Caller, Request)> {
        match self.busy.get_mut(&caller.connection) {
            Some(waiting) => {
                waiting.push_back((caller, request));
                None
            }
            None => {
                self.busy.insert(caller.connection, VecDeque::new());
                Some((caller, request))
            }
        }
    }

    /// The request in progress is answered. Gives the next, if one waits.
    pub(super) fn answered(&mut self, connection: ConnectionId) -> Option<(Caller, Request)> {
        let next = self.busy.get_mut(&connection)?.pop_front();
        if next.is_none() {
            self.busy.remove(&connection);
        }
        next
    }

    /// The connection is gone, and so is whoever waits on it.
    pub(super) fn closed(&mut self, connection: ConnectionId) {
        self.busy.remove(&connection);
    }
}
