//! What can happen to a node, and what can it want done? The contract between the protocol and its worlds.
//!
//! A node is a value. Something happens to it, it steps, and it says what it wants done; a world carries
//! that out: the simulated one, or sockets and files. A node cannot tell which.

use alloc::{boxed::Box, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    client::Command,
    disk::{DiskReply, DiskWork},
    event::Event,
    protocol::{Request, Response},
    time::{Instant, Now},
    units::{CorrelationId, NodeId},
};

/// A protocol machine: broker, controller, producer, consumer, admin.
pub trait Machine {
    /// Takes one thing that happened; says everything the node wants done about it.
    ///
    /// Never waits and never fails: a stale or malformed message is an ordinary input.
    fn step(&mut self, now: Now, input: Input, effects: &mut Effects);

    /// When it wants `Input::Deadline` if nothing else happens first, on its own monotonic clock. A moment
    /// that has passed means at once.
    fn deadline(&self) -> Option<Instant>;
}

/// Which of its connections to one peer a client side means: each is ordered by itself, as a Kafka process
/// has one connection for every purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(pub u8);

impl Channel {
    /// A client's only one; a broker's to the controller.
    pub const MAIN: Channel = Channel(0);
    /// The replica fetcher's, or an observer's or voter's for the metadata log.
    pub const FETCH: Channel = Channel(1);
    /// Heartbeats, which must not wait behind anything.
    pub const HEARTBEAT: Channel = Channel(2);
    /// Votes and other quorum requests.
    pub const QUORUM: Channel = Channel(3);
    /// A consumer's to the coordinator of its group, where a JoinGroup may wait for minutes.
    pub const GROUP: Channel = Channel(5);
}

/// A connection as its server side knows it: unique within a world for all time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Everything that can happen to a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Its process has started. Memory is empty; the disk holds what survived.
    Start,
    /// A request arrived on a connection that a peer opened to us. Requests of one connection arrive in the
    /// order they were sent.
    Request {
        /// Who asks.
        from: NodeId,
        /// Where the reply goes.
        connection: ConnectionId,
        /// What the reply names.
        correlation: CorrelationId,
        /// What is asked.
        request: Request,
    },
    /// A response arrived on a connection that we opened. Responses come in the order of the requests.
    Response {
        /// Who answers.
        from: NodeId,
        /// Which of our connections to it.
        channel: Channel,
        /// Which request.
        correlation: CorrelationId,
        /// What it says.
        response: Response,
    },
    /// Our connection to a peer could not be opened, or is gone. Whatever is unanswered on it was perhaps
    /// carried out and perhaps not. The next request on the channel opens another.
    Disconnected {
        /// Whose.
        peer: NodeId,
        /// Which of our connections to it.
        channel: Channel,
        /// How we know.
        why: Disconnect,
    },
    /// A connection that a peer had opened to us is gone: replies to it reach nobody.
    Closed {
        /// Which.
        connection: ConnectionId,
    },
    /// The disk has done something, or failed to.
    Disk(DiskReply),
    /// `Machine::deadline` has come.
    Deadline,
    /// Whoever runs this node wants something: a client's application, or an operator.
    Told(Box<Command>),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disconnect {
    /// Nobody listens there.
    Refused,
    /// Nobody answered in time: while connecting, or while our bytes went unacknowledged.
    TimedOut,
    /// The peer's machine says that it knows of no such connection.
    Reset,
    /// The peer closed it.
    Closed,
}

/// One message for the network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outgoing {
    /// A request, on our connection to `to`; opened if it is not open.
    Request {
        /// Whom to ask.
        to: NodeId,
        /// On which of our connections to it.
        channel: Channel,
        /// What the response will name.
        correlation: CorrelationId,
        /// What to ask.
        request: Request,
    },
    /// A reply, on the connection the request came by; lost if that is gone.
    Reply {
        /// Who asked.
        to: NodeId,
        /// Where it came by.
        connection: ConnectionId,
        /// The request's.
        correlation: CorrelationId,
        /// The answer.
        response: Response,
    },
    /// Closes our connection to a peer: what is unanswered there will not be heard. No `Disconnected`
    /// follows.
    Disconnect {
        /// Whose.
        peer: NodeId,
        /// Which.
        channel: Channel,
    },
    /// Closes a connection that a peer opened to us; it gets `Disconnected`. No `Closed` follows.
    Close {
        /// Which.
        connection: ConnectionId,
    },
}

/// Why a node ends its own process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Halt {
    /// It was asked to, and is done.
    Shutdown,
    /// Its disk failed; Kafka halts when its only log directory goes offline.
    DiskFailed,
}

/// Everything a step wants done. A set, not a program: what must wait for the disk waits for `Input::Disk`.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// For the network, in order for each connection.
    pub mail: Vec<Outgoing>,
    /// For the disk, in order for each file.
    pub disk: DiskWork,
    /// For whoever watches.
    pub events: Vec<Event>,
    /// Whether the process ends after this step; whatever else the step wants is still carried out.
    pub halt: Option<Halt>,
}

impl Effects {
    /// Nothing.
    pub fn new() -> Effects {
        Effects::default()
    }

    /// Asks `to` something.
    pub fn request(&mut self, to: NodeId, channel: Channel, correlation: CorrelationId, request: Request) {
        self.mail.push(Outgoing::Request { to, channel, correlation, request });
    }

    /// Answers a request.
    pub fn reply(&mut self, caller: Caller, response: Response) {
        let Caller { node, connection, correlation } = caller;
        self.mail.push(Outgoing::Reply { to: node, connection, correlation, response });
    }

    /// Tells whoever watches.
    pub fn note(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Forgets everything, for the next step.
    pub fn clear(&mut self) {
        self.mail.clear();
        self.disk.clear();
        self.events.clear();
        self.halt = None;
    }
}

/// Who waits for an answer, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller {
    /// Who asked.
    pub node: NodeId,
    /// By which connection.
    pub connection: ConnectionId,
    /// What the reply must name.
    pub correlation: CorrelationId,
}
