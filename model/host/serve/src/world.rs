//! The world of sockets and files, as one node sees it.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, unbounded_channel};
use trial_host::World;
use trial_model::{
    client::Command,
    disk::DiskReply,
    event::Event,
    machine::{Channel, ConnectionId, Effects, Halt, Input, Outgoing},
    node::Node,
    protocol::Request,
    time::{Instant, Now},
    units::{CorrelationId, NodeId},
};
use trial_wire::Book;

use crate::{
    clock::Clock,
    connection::{FromPeer, ToPeer},
    disk::FileDisk,
    peer::{FromServer, Way, talk},
};

/// Who is told of every event.
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<dyn Fn(NodeId, &Event) + Send + Sync>>);

impl Watch {
    /// `tell` is called with every event of every node, from whichever thread the node runs on. It must not
    /// wait: the node does.
    pub fn new(tell: impl Fn(NodeId, &Event) + Send + Sync + 'static) -> Watch {
        Watch(Some(Arc::new(tell)))
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watch").field(&self.0.is_some()).finish()
    }
}

/// What happens to a node besides the requests of its peers. Not bounded: each is the consequence of
/// something the node has asked for.
pub(crate) enum Happening {
    Start,
    Disk(DiskReply),
    Server(FromServer),
    Told(Command),
}

impl From<FromServer> for Happening {
    fn from(heard: FromServer) -> Happening {
        Happening::Server(heard)
    }
}

/// A connection that we have opened.
struct Peer {
    generation: u64,
    outgoing: UnboundedSender<(CorrelationId, Request)>,
}

pub(crate) struct TcpWorld {
    pub(crate) node: NodeId,
    pub(crate) clock: Clock,
    pub(crate) book: Arc<Book>,
    pub(crate) disk: FileDisk,
    pub(crate) happenings: UnboundedReceiver<Happening>,
    pub(crate) heard: UnboundedSender<Happening>,
    pub(crate) requests: Receiver<FromPeer>,
    pub(crate) connections: HashMap<ConnectionId, UnboundedSender<ToPeer>>,
    peers: HashMap<(NodeId, Channel), Peer>,
    last_generation: u64,
    watch: Watch,
    ended: Arc<std::sync::OnceLock<Halt>>,
}

impl TcpWorld {
    pub(crate) fn new(
        node: NodeId,
        book: Arc<Book>,
        disk: FileDisk,
        happenings: UnboundedReceiver<Happening>,
        heard: UnboundedSender<Happening>,
        requests: Receiver<FromPeer>,
        watch: Watch,
        ended: Arc<std::sync::OnceLock<Halt>>,
    ) -> TcpWorld {
        TcpWorld {
            node,
            clock: Clock::new(),
            book,
            disk,
            happenings,
            heard,
            requests,
            connections: HashMap::new(),
            peers: HashMap::new(),
            last_generation: 0,
            watch,
            ended,
        }
    }

    /// The input that a happening is, unless it is of a connection that we have given up.
    fn input_of(&mut self, happening: Happening) -> Option<Input> {
        Some(match happening {
            Happening::Start => Input::Start,
            Happening::Disk(reply) => Input::Disk(reply),
            Happening::Told(command) => Input::Told(Box::new(command)),
            Happening::Server(FromServer::Response { way, correlation, response }) => {
                self.is_current(way).then_some(())?;
                Input::Response { from: way.peer, channel: way.channel, correlation, response }
            }
            Happening::Server(FromServer::Disconnected { way, why }) => {
                self.is_current(way).then_some(())?;
                self.peers.remove(&(way.peer, way.channel));
                Input::Disconnected { peer: way.peer, channel: way.channel, why }
            }
        })
    }

    fn is_current(&self, way: Way) -> bool {
        self.peers.get(&(way.peer, way.channel)).is_some_and(|peer| peer.generation == way.generation)
    }

    /// The input that news of a peer is, if it is any to the node.
    fn input_from(&mut self, news: FromPeer) -> Option<Input> {
        match news {
            FromPeer::Opened { connection, answers } => {
                self.connections.insert(connection, answers);
                None
            }
            // One that the node has closed says nothing more.
            FromPeer::Request { connection, from, correlation, request } => {
                let open = self.connections.contains_key(&connection);
                open.then_some(Input::Request { from, connection, correlation, request })
            }
            FromPeer::Closed { connection } => {
                self.connections.remove(&connection)?;
                Some(Input::Closed { connection })
            }
        }
    }

    fn send(&mut self, to: NodeId, channel: Channel, correlation: CorrelationId, request: Request) {
        let peer = match self.peers.entry((to, channel)) {
            Entry::Occupied(peer) => peer.into_mut(),
            Entry::Vacant(seat) => {
                self.last_generation += 1;
                let way = Way { peer: to, channel, generation: self.last_generation };
                let (outgoing, queue) = unbounded_channel();
                tokio::spawn(talk(self.node, way, Arc::clone(&self.book), queue, self.heard.clone()));
                seat.insert(Peer { generation: way.generation, outgoing })
            }
        };
        // A task that has ended has said so, and the node will hear of it.
        let _ = peer.outgoing.send((correlation, request));
    }

    fn carry_out(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Request { to, channel, correlation, request } => {
                self.send(to, channel, correlation, request);
            }
            Outgoing::Reply { connection, correlation, response, .. } => {
                if let Some(answers) = self.connections.get(&connection) {
                    let _ = answers.send(ToPeer::Answer { correlation, response });
                }
            }
            Outgoing::Disconnect { peer, channel } => {
                self.peers.remove(&(peer, channel));
            }
            Outgoing::Close { connection } => {
                if let Some(answers) = self.connections.remove(&connection) {
                    let _ = answers.send(ToPeer::Close);
                }
            }
        }
    }
}

impl World for TcpWorld {
    async fn next_input(&mut self, deadline: Option<Instant>) -> Option<(Now, Input)> {
        if self.ended.get().is_some() {
            return None;
        }
        let due = deadline.and_then(|deadline| self.clock.at(deadline));
        loop {
            let input = tokio::select! {
                biased;
                happening = self.happenings.recv() => self.input_of(happening?),
                news = self.requests.recv() => self.input_from(news?),
                () = wait_until(due) => Some(Input::Deadline),
            };
            if let Some(input) = input {
                return Some((self.clock.now(), input));
            }
        }
    }

    fn stepped(&mut self, _now: Now, effects: &mut Effects, _node: &Node) {
        for event in effects.events.drain(..) {
            tracing::debug!(target: "trial::event", node = %self.node, "{event}");
            if let Some(tell) = &self.watch.0 {
                tell(self.node, &event);
            }
        }
    }

    fn perform(&mut self, _now: Now, effects: &mut Effects) {
        if !effects.disk.is_empty() {
            self.disk.ask(std::mem::take(&mut effects.disk));
        }
        for outgoing in effects.mail.drain(..) {
            self.carry_out(outgoing);
        }
        if let Some(why) = effects.halt {
            let _ = self.ended.set(why);
        }
        effects.clear();
    }
}

async fn wait_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
