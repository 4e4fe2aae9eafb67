//! How does one end of a TCP connection live and end?
//!
//! An end is opened by a request or by a peer's knock, sends what it is given in order and until it is
//! acknowledged, and ends: closed by its own process or the peer's, reset by a machine that does not know
//! it, or given up. Acknowledgements ride on whatever goes the other way; only when nothing does, the
//! sender asks.

use std::{collections::VecDeque, time::Duration};

use trial_model::{
    machine::{Channel, ConnectionId, Disconnect, Input},
    protocol::{ApiKey, Request, Response},
    time::Instant,
    units::CorrelationId,
};

use super::{
    channel_of,
    codec::{End, Way},
    connection_id,
    fault::Side,
    link::{BARE, Fate, Link, Wire},
    queue::{Body, Message, Timer, What},
};

/// One machine's end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) channel: Channel,
    /// Whether this is the end that accepted it.
    pub(super) is_server: bool,
    state: State,
    /// How many messages are on the wire or through.
    sent: u64,
    /// How many of them the peer says it has.
    acknowledged: u64,
    /// How many the peer has sent us.
    pub(super) received: u64,
    /// What is still to be put on the wire.
    waiting: VecDeque<Parcel>,
    /// When the last packet arrives: nothing overtakes it.
    pub(super) last_arrival: Instant,
    /// When the last message on the wire arrives.
    last_message_arrival: Instant,
    /// Since when something is outstanding and no progress was seen.
    since: Instant,
    /// How often it was sent again since.
    attempts: u32,
    /// When `Timer::Retransmit` rings; others of it are out of date.
    rings: Option<Instant>,
    /// Whether a message was lost for good: nothing behind it arrives.
    stuck: bool,
    /// What its messages are spelled and read by, where they go as bytes.
    end: Option<Box<End>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// We knock, and wait for an answer.
    Connecting { since: Instant, knocks: u32 },
    /// Both may send.
    Open,
    /// Our process is done with it; the kernel sends the rest.
    Closing,
    /// It is gone, and our process is about to hear of it.
    Broken,
}

#[derive(Clone, Debug)]
enum Parcel {
    Message(CorrelationId, Message),
    Fin,
}

/// After how long a knock is repeated first; doubled each time, as Linux does.
const KNOCK_AGAIN: Duration = Duration::from_secs(1);
const NEXT_INSTANT: Duration = Duration::from_micros(1);

impl Connection {
    fn new(id: ConnectionId, channel: Channel, is_server: bool, state: State) -> Connection {
        Connection {
            id,
            channel,
            is_server,
            state,
            sent: 0,
            acknowledged: 0,
            received: 0,
            waiting: VecDeque::new(),
            last_arrival: Instant::ZERO,
            last_message_arrival: Instant::ZERO,
            since: Instant::ZERO,
            attempts: 0,
            rings: None,
            stuck: false,
            end: None,
        }
    }

    fn is_outstanding(&self) -> bool {
        self.acknowledged < self.sent || !self.waiting.is_empty()
    }

    /// Since when the peer owes us an acknowledgement. What is still travelling is not late.
    fn overdue_since(&self) -> Instant {
        self.since.max(self.last_message_arrival)
    }

    /// What its process hears when it ends, if anything.
    fn ending(&self, wire: &Wire<'_>, why: Disconnect) -> Option<Input> {
        match (self.state, self.is_server) {
            (State::Closing, _) => None,
            (_, false) => Some(Input::Disconnected { peer: wire.peer, channel: self.channel, why }),
            // A process hears of a connection first by a request.
            (_, true) => (self.received > 0).then_some(Input::Closed { connection: self.id }),
        }
    }
}

/// What a process wants.
impl Link {
    /// Sends a request on a connection of ours, which is opened if there is none.
    pub(super) fn request(
        &mut self,
        wire: &mut Wire<'_>,
        channel: Channel,
        correlation: CorrelationId,
        request: Request,
    ) {
        let at = self.ours(channel).unwrap_or_else(|| self.open(wire, channel));
        let message = match wire.codec {
            None => Message::Request(request),
            Some(codec) => {
                let connection = &mut self.connections[at];
                let way = Way { connection: connection.id, from: wire.me, to: wire.peer };
                connection.end.get_or_insert_default().ask(codec, way, correlation, request)
            }
        };
        self.submit(wire, at, Parcel::Message(correlation, message));
    }

    /// Sends a response on a connection of the peer's; drops it if that is gone.
    pub(super) fn respond(
        &mut self,
        wire: &mut Wire<'_>,
        connection: ConnectionId,
        correlation: CorrelationId,
        response: Response,
    ) {
        let Some(at) = self.find(connection, true) else { return };
        let message = match wire.codec {
            None => Message::Response(response),
            Some(codec) => {
                self.connections[at].end.get_or_insert_default().answer(codec, correlation, response)
            }
        };
        self.submit(wire, at, Parcel::Message(correlation, message));
    }

    /// Closes our connection on a channel.
    pub(super) fn disconnect(&mut self, wire: &mut Wire<'_>, channel: Channel) {
        if let Some(at) = self.ours(channel) {
            self.close(wire, at);
        }
    }

    /// Closes a connection of the peer's.
    pub(super) fn close_accepted(&mut self, wire: &mut Wire<'_>, connection: ConnectionId) {
        if let Some(at) = self.find(connection, true) {
            self.close(wire, at);
        }
    }

    /// Closes everything, as a kernel does for a process that ended.
    pub(super) fn close_all(&mut self, wire: &mut Wire<'_>) {
        let all: Vec<_> = self.connections.iter().map(|c| (c.id, c.is_server)).collect();
        for (id, is_server) in all {
            if let Some(at) = self.find(id, is_server) {
                self.close(wire, at);
            }
        }
    }

    /// Breaks every connection; the process hears of it an instant later.
    pub(super) fn reset_all(&mut self, wire: &mut Wire<'_>) {
        let all: Vec<_> = self.connections.iter().map(|c| (c.id, c.is_server)).collect();
        for (id, is_server) in all {
            if let Some(at) = self.find(id, is_server) {
                self.break_off(wire, at);
            }
        }
    }

    /// Forgets everything, and tells nobody.
    pub(super) fn forget_all(&mut self) {
        self.connections.clear();
    }

    fn ours(&self, channel: Channel) -> Option<usize> {
        self.connections
            .iter()
            .position(|c| c.channel == channel && !c.is_server && c.state != State::Closing)
    }

    fn find(&self, id: ConnectionId, is_server: bool) -> Option<usize> {
        self.connections.iter().position(|c| c.id == id && c.is_server == is_server)
    }

    fn open(&mut self, wire: &mut Wire<'_>, channel: Channel) -> usize {
        let opened = match self.opens.iter_mut().find(|(of, _)| *of == channel.0) {
            Some((_, opened)) => opened,
            None => {
                self.opens.push((channel.0, 0));
                &mut self.opens.last_mut().expect("it was just pushed").1
            }
        };
        *opened += 1;
        let id = connection_id(wire.me, wire.peer, channel, *opened);
        let state = State::Connecting { since: wire.now, knocks: 0 };
        self.connections.push(Connection::new(id, channel, false, state));
        let at = self.connections.len() - 1;
        self.knock(wire, at, wire.now, 0);
        at
    }

    fn close(&mut self, wire: &mut Wire<'_>, at: usize) {
        match self.connections[at].state {
            State::Connecting { .. } | State::Broken => {
                self.connections.remove(at);
            }
            State::Open if self.connections[at].stuck => {
                // What is lost for good would hold the end back for ever.
                let gone = self.connections.remove(at);
                self.send_stray(wire, gone.id, !gone.is_server, Body::Rst);
            }
            State::Open => {
                self.connections[at].state = State::Closing;
                self.submit(wire, at, Parcel::Fin);
            }
            State::Closing => {}
        }
    }
}

/// Sending, and sending again.
impl Link {
    fn knock(&mut self, wire: &mut Wire<'_>, at: usize, since: Instant, knocks: u32) {
        self.send_bare(wire, at, Body::Syn);
        let connection = &mut self.connections[at];
        connection.state = State::Connecting { since, knocks: knocks + 1 };
        let again = since + backed_off(KNOCK_AGAIN, knocks + 1);
        let rings = again.min(since + wire.config.connect_timeout).max(wire.now + NEXT_INSTANT);
        let (connection, is_server) = (connection.id, connection.is_server);
        let what = What::Timer { peer: wire.peer, connection, is_server, timer: Timer::Connect };
        wire.remind(rings, what);
    }

    /// Sends `parcel` behind everything else, or keeps it until that is through.
    fn submit(&mut self, wire: &mut Wire<'_>, at: usize, parcel: Parcel) {
        let connection = &mut self.connections[at];
        if connection.state == State::Broken {
            return;
        }
        if !connection.is_outstanding() {
            connection.since = wire.now;
            connection.attempts = 0;
        }
        let is_connecting = matches!(connection.state, State::Connecting { .. });
        if is_connecting || connection.stuck || !connection.waiting.is_empty() {
            connection.waiting.push_back(parcel);
        } else if self.send_parcel(wire, at, parcel) {
            self.wind_up(wire, at);
        }
    }

    /// Puts on the wire what waits, up to the first that gets lost.
    fn send_waiting(&mut self, wire: &mut Wire<'_>, at: usize) {
        while !self.connections[at].stuck
            && let Some(parcel) = self.connections[at].waiting.pop_front()
        {
            let before = self.connections[at].waiting.len();
            if !self.send_parcel(wire, at, parcel) {
                return;
            }
            if self.connections[at].waiting.len() > before {
                break;
            }
        }
        self.wind_up(wire, at);
    }

    /// Puts `parcel` on the wire, or before what waits if it gets lost. Says whether the connection goes on:
    /// the last parcel of a closed one is its end, and it may be reset.
    #[inline]
    fn send_parcel(&mut self, wire: &mut Wire<'_>, at: usize, parcel: Parcel) -> bool {
        let (size, about) = parcel.shape();
        match self.carry(wire.now, size, about) {
            Fate::Arrives(arrival) => {
                let Parcel::Message(correlation, message) = parcel else {
                    self.put_in_order(wire, at, arrival, Body::Fin);
                    self.connections.remove(at);
                    return false;
                };
                self.connections[at].sent += 1;
                self.put_in_order(wire, at, arrival, Body::Data(correlation, message));
                let connection = &mut self.connections[at];
                connection.last_message_arrival = connection.last_arrival;
            }
            Fate::Resets => {
                let gone = &self.connections[at];
                let (id, to_server) = (gone.id, !gone.is_server);
                self.send_stray(wire, id, to_server, Body::Rst);
                self.break_off(wire, at);
                return false;
            }
            lost => {
                let connection = &mut self.connections[at];
                connection.waiting.push_front(parcel);
                connection.stuck = lost == Fate::LostForGood;
            }
        }
        true
    }

    /// Has the retransmission timer ring when it must.
    fn wind_up(&mut self, wire: &mut Wire<'_>, at: usize) {
        let connection = &mut self.connections[at];
        let since = connection.overdue_since();
        let again = since + backed_off(wire.config.retransmit_after, connection.attempts + 1);
        let rings = again.min(since + wire.config.give_up_after).max(wire.now + NEXT_INSTANT);
        // An earlier ring looks again; a later one would be too late.
        if connection.rings.is_none_or(|earlier| rings < earlier) {
            connection.rings = Some(rings);
            let (connection, is_server) = (connection.id, connection.is_server);
            let what = What::Timer { peer: wire.peer, connection, is_server, timer: Timer::Retransmit };
            wire.remind(rings, what);
        }
    }

    fn break_off(&mut self, wire: &mut Wire<'_>, at: usize) {
        let connection = &mut self.connections[at];
        match connection.state {
            State::Broken => {}
            State::Closing => drop(self.connections.remove(at)),
            State::Open | State::Connecting { .. } => {
                connection.state = State::Broken;
                connection.waiting.clear();
                let (connection, is_server) = (connection.id, connection.is_server);
                let timer = Timer::Tell(Disconnect::Reset);
                let what = What::Timer { peer: wire.peer, connection, is_server, timer };
                wire.remind(wire.now + NEXT_INSTANT, what);
            }
        }
    }
}

/// Receiving, and waking up.
impl Link {
    /// Takes a packet from the peer; says what the process is told.
    pub(super) fn receive(
        &mut self,
        wire: &mut Wire<'_>,
        id: ConnectionId,
        to_server: bool,
        received: u64,
        body: Body,
        is_listening: bool,
    ) -> Option<Input> {
        let Some(at) = self.find(id, to_server) else {
            self.receive_stray(wire, id, to_server, &body, is_listening);
            return None;
        };
        if self.connections[at].state == State::Broken {
            return None;
        }
        self.acknowledge(wire, at, received);
        match body {
            Body::Data(correlation, message) => return self.receive_data(wire, at, correlation, message),
            Body::Syn => drop(self.send_bare(wire, at, Body::SynAck)),
            Body::SynAck => self.opened(wire, at),
            Body::Probe => drop(self.send_bare(wire, at, Body::Ack)),
            Body::Ack => {}
            Body::Fin => return self.end(wire, at, Disconnect::Closed),
            Body::Rst => {
                let is_knocking = matches!(self.connections[at].state, State::Connecting { .. });
                return self.end(wire, at, if is_knocking { Disconnect::Refused } else { Disconnect::Reset });
            }
        }
        None
    }

    /// Lets a timer ring; says what the process is told.
    pub(super) fn ring(
        &mut self,
        wire: &mut Wire<'_>,
        id: ConnectionId,
        is_server: bool,
        timer: Timer,
    ) -> Option<Input> {
        let at = self.find(id, is_server)?;
        match (timer, self.connections[at].state) {
            (Timer::Tell(why), State::Broken) => self.end(wire, at, why),
            (Timer::Connect, State::Connecting { since, .. })
                if wire.now >= since + wire.config.connect_timeout =>
            {
                self.end(wire, at, Disconnect::TimedOut)
            }
            (Timer::Connect, State::Connecting { since, knocks }) => {
                self.knock(wire, at, since, knocks);
                None
            }
            (Timer::Retransmit, State::Open | State::Closing) => self.retransmit(wire, at),
            _ => None,
        }
    }

    fn receive_stray(
        &mut self,
        wire: &mut Wire<'_>,
        id: ConnectionId,
        to_server: bool,
        body: &Body,
        is_listening: bool,
    ) {
        match body {
            Body::Syn if is_listening => {
                self.connections.push(Connection::new(id, channel_of(id), true, State::Open));
                self.send_bare(wire, self.connections.len() - 1, Body::SynAck);
            }
            Body::Syn | Body::SynAck | Body::Data(..) | Body::Probe => {
                self.send_stray(wire, id, !to_server, Body::Rst);
            }
            Body::Ack | Body::Fin | Body::Rst => {}
        }
    }

    fn receive_data(
        &mut self,
        wire: &mut Wire<'_>,
        at: usize,
        correlation: CorrelationId,
        message: Message,
    ) -> Option<Input> {
        if self.connections[at].state == State::Closing {
            // Nobody will read it any more, and the peer should know.
            let gone = self.connections.remove(at);
            self.send_stray(wire, gone.id, !gone.is_server, Body::Rst);
            return None;
        }
        let connection = &mut self.connections[at];
        connection.received += 1;
        let message = match (message, wire.codec) {
            (Message::Framed(framed), Some(codec)) => {
                let way = Way { connection: connection.id, from: wire.peer, to: wire.me };
                connection.end.get_or_insert_default().hear(codec, way, correlation, *framed)
            }
            (message, _) => message,
        };
        Some(match message {
            Message::Request(request) => {
                Input::Request { from: wire.peer, connection: connection.id, correlation, request }
            }
            Message::Response(response) => {
                Input::Response { from: wire.peer, channel: connection.channel, correlation, response }
            }
            Message::Framed(_) => unreachable!("frames are read by whoever spells them"),
        })
    }

    #[inline]
    fn acknowledge(&mut self, wire: &mut Wire<'_>, at: usize, received: u64) {
        let connection = &mut self.connections[at];
        if received > connection.acknowledged {
            connection.acknowledged = received;
            connection.since = wire.now;
            connection.attempts = 0;
            if !connection.waiting.is_empty() {
                self.wind_up(wire, at);
            }
        }
    }

    fn opened(&mut self, wire: &mut Wire<'_>, at: usize) {
        let connection = &mut self.connections[at];
        if matches!(connection.state, State::Connecting { .. }) {
            connection.state = State::Open;
            connection.since = wire.now;
            connection.attempts = 0;
            if !connection.waiting.is_empty() {
                self.send_waiting(wire, at);
            }
        }
    }

    fn retransmit(&mut self, wire: &mut Wire<'_>, at: usize) -> Option<Input> {
        let connection = &mut self.connections[at];
        if connection.rings != Some(wire.now) {
            return None;
        }
        connection.rings = None;
        if !connection.is_outstanding() {
            return None;
        }
        let since = connection.overdue_since();
        if wire.now >= since + wire.config.give_up_after {
            return self.end(wire, at, Disconnect::TimedOut);
        }
        if wire.now < since + backed_off(wire.config.retransmit_after, connection.attempts + 1) {
            self.wind_up(wire, at);
            return None;
        }
        connection.attempts += 1;
        // Asked first: after the last parcel of a closed connection there is nobody left to ask.
        if connection.acknowledged < connection.sent {
            self.send_bare(wire, at, Body::Probe);
        }
        self.send_waiting(wire, at);
        None
    }

    fn end(&mut self, wire: &Wire<'_>, at: usize, why: Disconnect) -> Option<Input> {
        let told = self.connections[at].ending(wire, why);
        self.connections.remove(at);
        told
    }
}

impl Parcel {
    /// How many bytes it takes, and what it is about.
    fn shape(&self) -> (usize, Option<(ApiKey, Side)>) {
        match self {
            Parcel::Message(_, message) => message.shape(),
            Parcel::Fin => (BARE, None),
        }
    }
}

impl Message {
    /// How many bytes it takes as the model counts them, and what it is about.
    fn shape(&self) -> (usize, Option<(ApiKey, Side)>) {
        match self {
            Message::Request(request) => (request.size(), Some((request.api(), Side::Request))),
            Message::Response(response) => (response.size(), Some((response.api(), Side::Response))),
            Message::Framed(framed) => framed.sent.shape(),
        }
    }
}

/// How long after the first attempt the `nth` repetition is due, when pauses double.
fn backed_off(first: Duration, nth: u32) -> Duration {
    first.saturating_mul((1u32 << nth.min(20)) - 1)
}
