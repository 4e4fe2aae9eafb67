//! The world of sockets and files, as one node sees it.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::SocketAddr,
    sync::Arc,
};

use tokio::{
    sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::AbortHandle,
};
use trial_host::World;
use trial_model::{
    client::Command,
    disk::DiskReply,
    machine::{Channel, ConnectionId, Disconnect, Effects, Halt, Input, Outgoing},
    node::Node,
    protocol::{ApiKey, Request},
    time::{Instant, Now},
    units::{CorrelationId, NodeId, NodeRole},
};
use trial_wire::Book;

use crate::{
    clock::Clock,
    connection::{FromPeer, ToPeer},
    disk::FileDisk,
    faults::{Ends, Half, Party},
    gate::{Gate, Line, Parcel, Passing},
    life::Life,
    metrics::Meter,
    peer::{FromServer, Way, talk},
    watch::Watch,
};

/// What happens to a node besides the requests of its peers. Not bounded: each is the consequence of
/// something the node has asked for.
pub(crate) enum Happening {
    Start,
    Disk(DiskReply),
    Server(FromServer),
    Told(Command),
    /// Its connections with these are reset.
    Reset(Ends),
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
    talking: AbortHandle,
}

/// A connection that a peer has opened to us.
pub(crate) struct Caller {
    answers: UnboundedSender<ToPeer>,
    address: SocketAddr,
    /// Who it is, if it has said that it is a node.
    node: Option<NodeId>,
}

impl Caller {
    fn party(&self) -> Party {
        self.node.map_or(Party::Client(self.address), Party::Node)
    }
}

/// What stands around a node, besides its sockets and its disk.
pub(crate) struct Around {
    pub(crate) gate: Gate,
    /// Whether the other nodes are of another process: then what they ask of us passes our gate, too.
    pub(crate) alone: bool,
    pub(crate) life: Arc<Life>,
    pub(crate) meter: Option<Meter>,
    pub(crate) watch: Watch,
}

pub(crate) struct TcpWorld {
    pub(crate) node: NodeId,
    pub(crate) clock: Clock,
    pub(crate) book: Arc<Book>,
    pub(crate) disk: FileDisk,
    pub(crate) happenings: UnboundedReceiver<Happening>,
    pub(crate) heard: UnboundedSender<Happening>,
    pub(crate) requests: Receiver<FromPeer>,
    pub(crate) connections: HashMap<ConnectionId, Caller>,
    gate: Gate,
    alone: bool,
    life: Arc<Life>,
    meter: Option<Meter>,
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
        around: Around,
        ended: Arc<std::sync::OnceLock<Halt>>,
    ) -> TcpWorld {
        let Around { gate, alone, life, meter, watch } = around;
        TcpWorld {
            node,
            clock: Clock::new(),
            book,
            disk,
            happenings,
            heard,
            requests,
            connections: HashMap::new(),
            gate,
            alone,
            life,
            meter,
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
            Happening::Server(heard) => return self.let_in(heard),
            Happening::Reset(with) => {
                self.reset(&with);
                return None;
            }
        })
    }

    fn let_in(&mut self, heard: FromServer) -> Option<Input> {
        let (way, about) = match &heard {
            FromServer::Response { way, response, .. } => (*way, Some(response.api())),
            FromServer::Disconnected { way, .. } => (*way, None),
        };
        let passed = self.gate.pass(Parcel {
            line: Line::Ours(way.peer, way.channel),
            half: Half::Response,
            peer: Party::Node(way.peer),
            about,
            open: true,
            what: Passing::Heard(heard),
        });
        passed.and_then(|passed| self.passed(passed))
    }

    /// What has come through the gate: the input that it is, if it is for the node.
    fn passed(&mut self, passed: Passing) -> Option<Input> {
        match passed {
            Passing::Ask { to, channel, correlation, request } => {
                self.send(to, channel, correlation, request);
                None
            }
            Passing::Answer { connection, correlation, response } => {
                if let Some(caller) = self.connections.get(&connection) {
                    if let Some(meter) = &self.meter {
                        meter.answers(&response, caller.node.is_some());
                    }
                    let _ = caller.answers.send(ToPeer::Answer { correlation, response });
                }
                None
            }
            Passing::Come { connection, from, correlation, request } => {
                // One that the node has closed says nothing more.
                self.connections.contains_key(&connection).then_some(())?;
                if let Some(meter) = &self.meter {
                    meter.asked(&request);
                }
                Some(Input::Request { from, connection, correlation, request })
            }
            Passing::Heard(FromServer::Response { way, correlation, response }) => {
                let (from, channel) = (way.peer, way.channel);
                self.is_current(way).then_some(())?;
                if let Some(meter) = &self.meter {
                    meter.hears(&response);
                }
                Some(Input::Response { from, channel, correlation, response })
            }
            Passing::Heard(FromServer::Disconnected { way, why }) => {
                self.is_current(way).then_some(())?;
                self.give_up(way.peer, way.channel);
                Some(Input::Disconnected { peer: way.peer, channel: way.channel, why })
            }
            Passing::GivenUp { peer, channel } => {
                self.give_up(peer, channel);
                Some(Input::Disconnected { peer, channel, why: Disconnect::TimedOut })
            }
        }
    }

    fn give_up(&mut self, peer: NodeId, channel: Channel) {
        if let Some(gone) = self.peers.remove(&(peer, channel)) {
            gone.talking.abort();
        }
        self.gate.close(Line::Ours(peer, channel));
    }

    fn reset(&mut self, with: &Ends) {
        for ((peer, channel), connection) in &self.peers {
            if with.has(Party::Node(*peer)) {
                let way = Way { peer: *peer, channel: *channel, generation: connection.generation };
                let _ = self.heard.send(FromServer::Disconnected { way, why: Disconnect::Reset }.into());
            }
        }
        for caller in self.connections.values().filter(|caller| with.has(caller.party())) {
            let _ = caller.answers.send(ToPeer::Close);
        }
    }

    fn is_current(&self, way: Way) -> bool {
        self.peers.get(&(way.peer, way.channel)).is_some_and(|peer| peer.generation == way.generation)
    }

    /// The input that news of a peer is, if it is any to the node.
    fn input_from(&mut self, news: FromPeer) -> Option<Input> {
        match news {
            FromPeer::Opened { connection, address, answers } => {
                self.connections.insert(connection, Caller { answers, address, node: None });
                None
            }
            FromPeer::Request { connection, from, correlation, request } => {
                let caller = self.connections.get_mut(&connection)?;
                if caller.node.is_none() && from.role() != NodeRole::Client {
                    caller.node = Some(from);
                }
                let peer = caller.party();
                let about = Some(request.api());
                let what = Passing::Come { connection, from, correlation, request };
                let passed = self.pass_theirs(connection, Half::Request, peer, about, what)?;
                self.passed(passed)
            }
            FromPeer::Closed { connection } => {
                self.gate.close(Line::Theirs(connection));
                self.connections.remove(&connection)?;
                Some(Input::Closed { connection })
            }
        }
    }

    /// Lets a message of a peer's connection, or to it, through the gate. What nodes of one process say to each
    /// other passes only the gate of whoever has opened the connection.
    fn pass_theirs(
        &mut self,
        connection: ConnectionId,
        half: Half,
        peer: Party,
        about: Option<ApiKey>,
        what: Passing,
    ) -> Option<Passing> {
        if !self.alone && matches!(peer, Party::Node(_)) {
            return Some(what);
        }
        self.gate.pass(Parcel { line: Line::Theirs(connection), half, peer, about, open: true, what })
    }

    fn send(&mut self, to: NodeId, channel: Channel, correlation: CorrelationId, request: Request) {
        let peer = match self.peers.entry((to, channel)) {
            Entry::Occupied(peer) => peer.into_mut(),
            Entry::Vacant(seat) => {
                self.last_generation += 1;
                let way = Way { peer: to, channel, generation: self.last_generation };
                let (outgoing, queue) = unbounded_channel();
                let talking =
                    tokio::spawn(talk(self.node, way, Arc::clone(&self.book), queue, self.heard.clone()));
                let talking = talking.abort_handle();
                seat.insert(Peer { generation: way.generation, outgoing, talking })
            }
        };
        // A task that has ended has said so, and the node will hear of it.
        let _ = peer.outgoing.send((correlation, request));
    }

    fn carry_out(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Request { to, channel, correlation, request } => {
                let passed = self.gate.pass(Parcel {
                    line: Line::Ours(to, channel),
                    half: Half::Request,
                    peer: Party::Node(to),
                    about: Some(request.api()),
                    open: self.peers.contains_key(&(to, channel)),
                    what: Passing::Ask { to, channel, correlation, request },
                });
                passed.and_then(|passed| self.passed(passed));
            }
            Outgoing::Reply { connection, correlation, response, .. } => {
                let Some(peer) = self.connections.get(&connection).map(Caller::party) else { return };
                let about = Some(response.api());
                let what = Passing::Answer { connection, correlation, response };
                let passed = self.pass_theirs(connection, Half::Response, peer, about, what);
                passed.and_then(|passed| self.passed(passed));
            }
            Outgoing::Disconnect { peer, channel } => self.give_up(peer, channel),
            Outgoing::Close { connection } => {
                self.gate.close(Line::Theirs(connection));
                if let Some(caller) = self.connections.remove(&connection) {
                    let _ = caller.answers.send(ToPeer::Close);
                }
            }
        }
    }
}

/// Who dies sends nothing more; what somebody has said who ends in order still goes out.
impl Drop for TcpWorld {
    fn drop(&mut self) {
        if self.ended.get().is_none() {
            self.peers.values().for_each(|peer| peer.talking.abort());
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
            let input = match self.gate.take() {
                Some(passed) => self.passed(passed),
                None => tokio::select! {
                    biased;
                    happening = self.happenings.recv() => self.input_of(happening?),
                    () = self.gate.stirs() => None,
                    news = self.requests.recv() => self.input_from(news?),
                    () = wait_until(due) => Some(Input::Deadline),
                },
            };
            if let Some(input) = input {
                self.life.turn().await;
                self.watch.given(self.node, &input);
                return Some((self.clock.now(), input));
            }
        }
    }

    fn stepped(&mut self, now: Now, effects: &mut Effects, node: &Node) {
        if let Some(meter) = &mut self.meter {
            meter.stepped(now, &effects.events, node);
        }
        self.watch.stepped(self.node, &effects.events);
        for event in effects.events.drain(..) {
            tracing::debug!(target: "trial::event", node = %self.node, "{event}");
            self.watch.event(self.node, &event);
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
