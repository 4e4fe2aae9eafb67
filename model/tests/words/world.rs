//! What do nodes live in while they talk? Mail that takes a millisecond, disks that take a tenth of one, and
//! a hand that holds either, cuts links, and ends lives.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use trial_model::{
    client::Command,
    disk::{DiskOp, DiskRequest},
    event::Event,
    machine::{Channel, ConnectionId, Disconnect, Effects, Input, Machine, Outgoing},
    museum::Museum,
    node::{Node, Role, Setup},
    protocol::{ApiKey, Request, Response},
    time::{Instant, Now, Timestamp},
    units::{CorrelationId, NodeId, NodeRole, NodeSet, TopicPartition},
};

use super::{disk::Disk, names::Book};

const MESSAGE: u64 = 1_000_000;
const DISK: u64 = 100_000;
/// What a clock on the wall says when a conversation begins.
const WALL: i64 = 1_000_000;

/// Who asks when no node does.
pub const HAND: NodeId = NodeId::client(1);

/// One end of a connection, and the other, and what for.
type Link = (NodeId, NodeId, Channel);

/// A message between two nodes.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Who sent it.
    pub from: NodeId,
    /// Whom it is for.
    pub to: NodeId,
    /// Which request, or the answer to which.
    pub api: ApiKey,
    /// Whether it is an answer.
    pub answer: bool,
    connection: ConnectionId,
    input: Input,
}

impl Letter {
    /// What is asked, if it is a request.
    pub fn request(&self) -> Option<&Request> {
        match &self.input {
            Input::Request { request, .. } => Some(request),
            _ => None,
        }
    }

    /// What is answered, if it is an answer.
    pub fn response(&self) -> Option<&Response> {
        match &self.input {
            Input::Response { response, .. } => Some(response),
            _ => None,
        }
    }
}

/// Which disk operations a hand holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskHold {
    /// Every one.
    All,
    /// Those that bring something to the platter.
    Flush,
}

impl DiskHold {
    fn holds(self, op: &DiskOp) -> bool {
        self == DiskHold::All || matches!(op, DiskOp::Flush | DiskOp::SyncDir)
    }
}

/// A fact that a node told, or an answer to the hand.
#[derive(Clone, Debug)]
pub enum Heard {
    /// A node told of something.
    Event(NodeId, Event),
    /// The hand was answered.
    Answer(NodeId, Response),
    /// The hand's connection broke.
    Broken(NodeId),
    /// A message was held.
    Held(Letter),
}

/// A small world.
pub struct World {
    /// What things are called.
    pub names: Book,
    /// What was heard since it was last taken.
    pub heard: Vec<Heard>,
    /// Everything that nodes ever told, and when.
    pub told: Vec<(Instant, NodeId, Event)>,
    /// Every message that was ever sent, and when.
    pub mail: Vec<(Instant, Letter)>,
    /// The bugs that nodes have which start from now on.
    pub museum: Museum,
    now: u64,
    seq: u64,
    agenda: BTreeMap<(u64, u64), (NodeId, u32, Input)>,
    nodes: BTreeMap<NodeId, Node>,
    roles: BTreeMap<NodeId, Role>,
    lives: BTreeMap<NodeId, u32>,
    disks: BTreeMap<NodeId, Disk>,
    links: BTreeMap<Link, ConnectionId>,
    ends: BTreeMap<ConnectionId, Link>,
    asked: BTreeMap<(ConnectionId, CorrelationId), ApiKey>,
    cut: BTreeSet<(NodeId, NodeId)>,
    holds: Vec<(NodeId, NodeId, Option<ApiKey>)>,
    held: VecDeque<Letter>,
    disk_holds: BTreeMap<NodeId, DiskHold>,
    held_disk: BTreeMap<NodeId, VecDeque<DiskRequest>>,
    questions: u32,
}

impl Default for World {
    fn default() -> World {
        World {
            names: Book::default(),
            heard: Vec::new(),
            told: Vec::new(),
            mail: Vec::new(),
            museum: Museum::CLOSED,
            now: 1_000_000,
            seq: 0,
            agenda: BTreeMap::new(),
            nodes: BTreeMap::new(),
            roles: BTreeMap::new(),
            lives: BTreeMap::new(),
            disks: BTreeMap::new(),
            links: BTreeMap::new(),
            ends: BTreeMap::new(),
            asked: BTreeMap::new(),
            cut: BTreeSet::new(),
            holds: Vec::new(),
            held: VecDeque::new(),
            disk_holds: BTreeMap::new(),
            held_disk: BTreeMap::new(),
            questions: 0,
        }
    }
}

impl World {
    /// Makes room for a node, which is not started.
    pub fn add(&mut self, id: NodeId, role: Role) {
        self.roles.insert(id, role);
    }

    /// Every node there is room for.
    pub fn residents(&self) -> Vec<NodeId> {
        self.roles.keys().copied().collect()
    }

    /// What time it is.
    pub fn now(&self) -> Instant {
        Instant(self.now)
    }

    /// A node that lives.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// All that live.
    pub fn living(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// The active controller, if exactly one believes it is.
    pub fn active(&self) -> Option<NodeId> {
        let mut active = self.living().filter_map(|(id, node)| match node {
            Node::Controller(controller) if controller.is_active() => Some(id),
            _ => None,
        });
        active.next().filter(|_| active.next().is_none())
    }

    /// Gives a node its next life.
    pub fn start(&mut self, id: NodeId) {
        let role = self.roles.get(&id).unwrap_or_else(|| panic!("no such node: {id}")).clone();
        assert!(!self.nodes.contains_key(&id), "{id} runs already");
        let life = self.lives.entry(id).or_default();
        *life += 1;
        let of = |role: NodeRole| -> NodeSet {
            self.roles.keys().copied().filter(|id| id.role() == role).collect()
        };
        let setup = Setup {
            id,
            seed: u64::from(*life) * 7,
            museum: self.museum,
            voters: of(NodeRole::Controller),
            bootstrap: of(NodeRole::Broker),
        };
        self.nodes.insert(id, Node::new(setup, role));
        self.post(0, id, Input::Start);
    }

    /// Ends a node's process; what it wrote stays.
    pub fn crash(&mut self, id: NodeId) {
        if self.nodes.remove(&id).is_none() {
            return;
        }
        *self.lives.entry(id).or_default() += 1;
        // What the process had asked of the operating system is carried out all the same.
        for request in self.held_disk.remove(&id).unwrap_or_default() {
            self.disks.entry(id).or_default().perform(&request);
        }
        self.end_life(id);
    }

    /// Takes the power off a node: its process ends, and what was not flushed is gone.
    pub fn lose_power(&mut self, id: NodeId, torn: Option<usize>) {
        self.held_disk.remove(&id);
        self.crash(id);
        self.disks.entry(id).or_default().lose_power(torn);
    }

    fn end_life(&mut self, id: NodeId) {
        self.disk_holds.remove(&id);
        self.holds.retain(|(from, to, _)| *from != id && *to != id);
        self.held.retain(|letter| letter.from != id && letter.to != id);
        let gone: Vec<ConnectionId> =
            self.ends.iter().filter(|(_, (a, b, _))| *a == id || *b == id).map(|(c, _)| *c).collect();
        for connection in gone {
            self.disconnect(connection, Some(id));
        }
    }

    /// Nothing goes from one to the other any more.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    /// Everything goes everywhere again; connections that were cut are reset.
    pub fn heal(&mut self) {
        let cut = std::mem::take(&mut self.cut);
        let broken: Vec<ConnectionId> = self
            .ends
            .iter()
            .filter(|(_, (a, b, _))| cut.contains(&(*a, *b)) || cut.contains(&(*b, *a)))
            .map(|(connection, _)| *connection)
            .collect();
        for connection in broken {
            self.disconnect(connection, None);
        }
    }

    /// From now on messages from one to another wait for the hand: all of them, or those of one kind.
    pub fn hold(&mut self, from: NodeId, to: NodeId, api: Option<ApiKey>) {
        self.holds.push((from, to, api));
    }

    /// Lets everything go that is held from one to another.
    pub fn release(&mut self, from: NodeId, to: NodeId) {
        self.holds.retain(|(a, b, _)| (*a, *b) != (from, to));
        let (go, stay) = std::mem::take(&mut self.held)
            .into_iter()
            .partition::<VecDeque<_>, _>(|letter| (letter.from, letter.to) == (from, to));
        self.held = stay;
        for letter in go {
            self.post(MESSAGE, letter.to, letter.input);
        }
    }

    /// Takes the first message that is held between two nodes out of its box.
    pub fn take_held(&mut self, from: NodeId, to: NodeId, api: Option<ApiKey>) -> Option<Letter> {
        let at = self.held.iter().position(|letter| {
            (letter.from, letter.to) == (from, to) && api.is_none_or(|api| api == letter.api)
        })?;
        self.held.remove(at)
    }

    /// Hands a message over.
    pub fn deliver(&mut self, letter: Letter) {
        self.post(0, letter.to, letter.input);
    }

    /// Loses a message, and with it its connection.
    pub fn lose(&mut self, letter: &Letter) {
        self.disconnect(letter.connection, None);
    }

    /// From now on a disk does what it is asked only when told to.
    pub fn hold_disk(&mut self, id: NodeId, what: DiskHold) {
        self.disk_holds.insert(id, what);
    }

    /// A disk does what it has been asked and held back.
    pub fn work_disk(&mut self, id: NodeId) -> usize {
        let requests = self.held_disk.remove(&id).unwrap_or_default();
        let count = requests.len();
        for request in requests {
            self.perform(id, &request);
        }
        count
    }

    /// A disk works by itself again.
    pub fn release_disk(&mut self, id: NodeId) {
        self.disk_holds.remove(&id);
        self.work_disk(id);
    }

    /// The segment files of a log, those that are about to be removed among them, and how long they are.
    pub fn files(&self, id: NodeId, partition: TopicPartition) -> Vec<(String, u64)> {
        self.disks.get(&id).map(|disk| disk.segments(partition)).unwrap_or_default()
    }

    fn disconnect(&mut self, connection: ConnectionId, but: Option<NodeId>) {
        let Some((from, to, channel)) = self.ends.remove(&connection) else { return };
        self.links.remove(&(from, to, channel));
        self.held.retain(|letter| letter.connection != connection);
        // What is under way on it does not arrive.
        self.agenda.retain(|_, (at, _, input)| match input {
            Input::Request { connection: by, .. } => *by != connection,
            Input::Response { from: by, channel: on, .. } => (*at, *by, *on) != (from, to, channel),
            _ => true,
        });
        let waits = self.asked.keys().any(|(by, _)| *by == connection);
        self.asked.retain(|(by, _), _| *by != connection);
        // The hand does not care for connections that it needs no more.
        if but != Some(from) && (from != HAND || waits) {
            self.post(MESSAGE, from, Input::Disconnected { peer: to, channel, why: Disconnect::Reset });
        }
        if but != Some(to) {
            self.post(MESSAGE, to, Input::Closed { connection });
        }
    }

    fn post(&mut self, delay: u64, to: NodeId, input: Input) {
        self.seq += 1;
        let life = self.lives.get(&to).copied().unwrap_or_default();
        self.agenda.insert((self.now + delay, self.seq), (to, life, input));
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time.as_nanos() as u64;
        self.run_until(end, |_| false);
    }

    /// Lets time pass until something was heard, but no longer than half a minute; says whether it was.
    pub fn wait(&mut self, done: impl Fn(&World) -> bool) -> bool {
        let end = self.now + 30_000_000_000;
        self.run_until(end, &done);
        done(self)
    }

    fn run_until(&mut self, end: u64, done: impl Fn(&World) -> bool) {
        let mut idle = 0;
        while !done(self) {
            let mail = self.agenda.first_key_value().map(|(key, _)| key.0);
            let wake = self.nodes.iter().filter_map(|(id, node)| Some((node.deadline()?.0, *id))).min();
            let due = mail.into_iter().chain(wake.map(|(at, _)| at)).min().unwrap_or(u64::MAX);
            if due > end {
                self.now = end;
                return;
            }
            idle = if due > self.now { 0 } else { idle + 1 };
            assert!(idle < 100_000, "time stands still for {wake:?}");
            self.now = self.now.max(due);
            match wake {
                Some((at, id)) if mail.is_none_or(|mail| at < mail) => self.step(id, Input::Deadline),
                _ => self.next_mail(),
            }
        }
    }

    fn next_mail(&mut self) {
        if let Some((_, (to, life, input))) = self.agenda.pop_first()
            && self.lives.get(&to).copied().unwrap_or_default() == life
        {
            self.step(to, input);
        }
    }

    fn step(&mut self, id: NodeId, input: Input) {
        if id == HAND {
            match input {
                Input::Response { from, response, .. } => self.heard.push(Heard::Answer(from, response)),
                Input::Disconnected { peer, .. } => self.heard.push(Heard::Broken(peer)),
                _ => {}
            }
            return;
        }
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let wall = Timestamp(WALL + (self.now / 1_000_000) as i64);
        let mut effects = Effects::new();
        node.step(Now { monotonic: Instant(self.now), wall }, input, &mut effects);
        for event in effects.events {
            self.names.learn(&event);
            self.told.push((Instant(self.now), id, event.clone()));
            self.heard.push(Heard::Event(id, event));
        }
        for request in effects.disk {
            self.ask_disk(id, request);
        }
        for mail in effects.mail {
            self.send(id, mail);
        }
        if effects.halt.is_some() {
            self.crash(id);
        }
    }

    fn ask_disk(&mut self, id: NodeId, request: DiskRequest) {
        let held = self.held_disk.get(&id);
        let behind = held.is_some_and(|held| held.iter().any(|other| other.file == request.file));
        if behind || self.disk_holds.get(&id).is_some_and(|hold| hold.holds(&request.op)) {
            self.held_disk.entry(id).or_default().push_back(request);
        } else {
            self.perform(id, &request);
        }
    }

    fn perform(&mut self, id: NodeId, request: &DiskRequest) {
        let reply = self.disks.entry(id).or_default().perform(request);
        self.post(DISK, id, Input::Disk(reply));
    }

    fn send(&mut self, from: NodeId, mail: Outgoing) {
        match mail {
            Outgoing::Request { to, channel, correlation, request } => {
                if !self.nodes.contains_key(&to) {
                    let why = Disconnect::Refused;
                    return self.post(MESSAGE, from, Input::Disconnected { peer: to, channel, why });
                }
                let next = ConnectionId(self.seq + 1_000);
                let connection = *self.links.entry((from, to, channel)).or_insert(next);
                self.ends.insert(connection, (from, to, channel));
                let api = request.api();
                self.asked.insert((connection, correlation), api);
                let input = Input::Request { from, connection, correlation, request };
                self.carry(Letter { from, to, api, answer: false, connection, input });
            }
            Outgoing::Reply { to, connection, correlation, response } => {
                let Some((_, _, channel)) = self.ends.get(&connection).copied() else { return };
                let api = self.asked.remove(&(connection, correlation)).unwrap_or_else(|| response.api());
                let input = Input::Response { from, channel, correlation, response };
                self.carry(Letter { from, to, api, answer: true, connection, input });
            }
            Outgoing::Disconnect { peer, channel } => {
                if let Some(connection) = self.links.get(&(from, peer, channel)).copied() {
                    self.disconnect(connection, Some(from));
                }
            }
            Outgoing::Close { connection } => self.disconnect(connection, Some(from)),
        }
    }

    fn carry(&mut self, letter: Letter) {
        self.mail.push((Instant(self.now), letter.clone()));
        if self.cut.contains(&(letter.from, letter.to)) {
            return;
        }
        let (from, to) = (letter.from, letter.to);
        let named = |(a, b, api): &(NodeId, NodeId, Option<ApiKey>)| {
            (*a, *b) == (from, to) && api.is_none_or(|api| api == letter.api)
        };
        let behind = |other: &Letter| other.to == to && other.connection == letter.connection;
        if self.holds.iter().any(named) || self.held.iter().any(behind) {
            self.heard.push(Heard::Held(letter.clone()));
            self.held.push_back(letter);
        } else {
            self.post(MESSAGE, to, letter.input);
        }
    }

    /// Tells a node something.
    pub fn tell(&mut self, id: NodeId, command: Command) {
        self.post(0, id, Input::Told(Box::new(command)));
    }

    /// Sends a request on the hand's behalf.
    pub fn ask(&mut self, to: NodeId, request: Request) {
        self.questions += 1;
        let correlation = CorrelationId(self.questions);
        // Every question by a connection of its own: none waits for another.
        let channel = Channel((self.questions % 250) as u8);
        self.send(HAND, Outgoing::Request { to, channel, correlation, request });
    }
}
