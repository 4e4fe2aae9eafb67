//! Do three controllers with a real quorum between them behave as one?
//!
//! A network and disks that always work, and a hand that cuts controllers off.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};
use core::time::Duration;

use super::*;
use crate::{
    disk::{Content, DiskDone, DiskOp, DiskReply, DiskRequest, FileName},
    machine::{Channel, ConnectionId, Disconnect},
    museum::Museum,
    protocol::{
        broker_heartbeat::BrokerHeartbeatRequest,
        broker_registration::BrokerRegistrationRequest,
        producer_ids::{AllocateProducerIdsRequest, ProducerIdBlock},
        topics::{CreateTopicsRequest, NewTopic},
    },
    time::Timestamp,
    units::{BrokerEpoch, Incarnation, NodeId},
};

const MESSAGE: u64 = 200_000;
const DISK: u64 = 50_000;

/// Where the hand's own messages come from: a broker that is not there.
const BROKER: NodeId = NodeId::broker(1);

struct World {
    now: u64,
    seq: u64,
    agenda: BTreeMap<(u64, u64), (usize, Input)>,
    nodes: Vec<Controller>,
    disks: Vec<BTreeMap<FileName, Vec<u8>>>,
    wakes: Vec<Option<Instant>>,
    connections: BTreeMap<(NodeId, NodeId, Channel), ConnectionId>,
    ends: BTreeMap<ConnectionId, (NodeId, Channel)>,
    cut: BTreeSet<usize>,
    events: Vec<(usize, Event)>,
    replies: BTreeMap<u32, Response>,
    asked: u32,
}

impl World {
    fn new(controllers: u32, config: &ControllerConfig, museum: Museum) -> World {
        let voters: crate::units::NodeSet = (1..=controllers).map(NodeId::controller).collect();
        let node = |id| {
            let setup = Setup { id, seed: 3, museum, voters: voters.clone(), bootstrap: Default::default() };
            Controller::new(setup, config.clone())
        };
        let nodes: Vec<Controller> = voters.iter().map(node).collect();
        let count = nodes.len();
        let mut world = World {
            now: 0,
            seq: 0,
            agenda: BTreeMap::new(),
            nodes,
            disks: vec![BTreeMap::new(); count],
            wakes: vec![None; count],
            connections: BTreeMap::new(),
            ends: BTreeMap::new(),
            cut: BTreeSet::new(),
            events: Vec::new(),
            replies: BTreeMap::new(),
            asked: 0,
        };
        for nth in 0..count {
            world.post(0, nth, Input::Start);
        }
        world
    }

    fn post(&mut self, delay: u64, to: usize, input: Input) {
        self.seq += 1;
        self.agenda.insert((self.now + delay, self.seq), (to, input));
    }

    fn at(&self, id: NodeId) -> usize {
        id.nth() as usize - 1
    }

    fn run(&mut self, for_millis: u64) {
        self.run_for(for_millis * 1_000_000);
    }

    fn run_for(&mut self, nanos: u64) {
        let end = self.now + nanos;
        loop {
            let mail = self.agenda.first_key_value().map(|(key, _)| key.0);
            let wake = (0..self.nodes.len()).filter_map(|nth| Some((self.wakes[nth]?.0, nth))).min();
            let (due, step) = match (mail, wake) {
                (Some(mail), Some((wake, nth))) if wake < mail => (wake, Some(nth)),
                (Some(mail), _) => (mail, None),
                (None, Some((wake, nth))) => (wake, Some(nth)),
                (None, None) => (u64::MAX, None),
            };
            if due > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(due);
            match step {
                Some(nth) => self.step(nth, Input::Deadline),
                None => {
                    if let Some((_, (nth, input))) = self.agenda.pop_first() {
                        self.step(nth, input);
                    }
                }
            }
        }
    }

    fn step(&mut self, nth: usize, input: Input) {
        let now = Now { monotonic: Instant(self.now), wall: Timestamp(self.now as i64 / 1_000_000) };
        let mut effects = Effects::new();
        self.nodes[nth].step(now, input, &mut effects);
        self.wakes[nth] = self.nodes[nth].deadline();
        for request in effects.disk {
            let reply = self.disk(nth, request);
            self.post(DISK, nth, Input::Disk(reply));
        }
        for mail in effects.mail {
            self.send(nth, mail);
        }
        self.events.extend(effects.events.into_iter().map(|event| (nth, event)));
    }

    fn disk(&mut self, nth: usize, request: DiskRequest) -> DiskReply {
        let DiskRequest { tag, file, op } = request;
        let files = &mut self.disks[nth];
        let done = match op {
            DiskOp::Append(content) => {
                let bytes = match content {
                    Content::Bytes(bytes) => bytes,
                    Content::Batch(batch) => batch.encode(),
                };
                files.entry(file).or_default().extend_from_slice(&bytes);
                DiskDone::Written
            }
            DiskOp::Replace(bytes) => {
                files.insert(file, bytes.to_vec());
                DiskDone::Written
            }
            DiskOp::Truncate(len) => {
                files.entry(file).or_default().truncate(len as usize);
                DiskDone::Written
            }
            DiskOp::Flush | DiskOp::SyncDir => DiskDone::Flushed,
            DiskOp::Read { at, len } => {
                let bytes = files.get(&file).map_or(&[][..], |bytes| bytes);
                let from = bytes.len().min(at as usize);
                let to = bytes.len().min(at.saturating_add(len) as usize);
                DiskDone::Read(Bytes::copy_from_slice(&bytes[from..to]))
            }
            DiskOp::Rename(suffix) => {
                if let Some(bytes) = files.remove(&file) {
                    files.insert(file.with(suffix), bytes);
                }
                DiskDone::Written
            }
            DiskOp::Remove => {
                files.remove(&file);
                DiskDone::Written
            }
            DiskOp::List => {
                DiskDone::Listed(files.iter().map(|(name, bytes)| (*name, bytes.len() as u64)).collect())
            }
            DiskOp::RemoveDir => {
                files.retain(|name, _| name.dir != file.dir);
                DiskDone::Written
            }
        };
        DiskReply { tag, file, outcome: Ok(done) }
    }

    fn send(&mut self, from: usize, mail: Outgoing) {
        let me = NodeId::controller(from as u32 + 1);
        match mail {
            Outgoing::Request { to, channel, correlation, request } => {
                let target = self.at(to);
                if self.cut.contains(&from) || self.cut.contains(&target) {
                    let why = Disconnect::TimedOut;
                    self.post(MESSAGE, from, Input::Disconnected { peer: to, channel, why });
                    return;
                }
                let fresh = ConnectionId(1_000 + self.connections.len() as u64);
                let connection = *self.connections.entry((me, to, channel)).or_insert(fresh);
                self.ends.insert(connection, (me, channel));
                self.post(MESSAGE, target, Input::Request { from: me, connection, correlation, request });
            }
            Outgoing::Reply { connection, correlation, response, .. } => match self.ends.get(&connection) {
                Some((to, channel)) => {
                    let (target, channel) = (self.at(*to), *channel);
                    if !self.cut.contains(&from) && !self.cut.contains(&target) {
                        self.post(
                            MESSAGE,
                            target,
                            Input::Response { from: me, channel, correlation, response },
                        );
                    }
                }
                None => {
                    self.replies.insert(correlation.0, response);
                }
            },
            Outgoing::Disconnect { .. } | Outgoing::Close { .. } => {}
        }
    }

    /// Puts a request on a connection of its own, and says how its reply is found.
    fn ask(&mut self, nth: usize, request: Request) -> u32 {
        self.asked += 1;
        self.ask_on(nth, ConnectionId(self.asked.into()), request)
    }

    fn ask_on(&mut self, nth: usize, connection: ConnectionId, request: Request) -> u32 {
        self.asked += 1;
        let correlation = CorrelationId(self.asked);
        self.post(0, nth, Input::Request { from: BROKER, connection, correlation, request });
        self.asked
    }

    fn active(&self) -> usize {
        let active: Vec<usize> = (0..self.nodes.len())
            .filter(|nth| self.nodes[*nth].is_active() && !self.cut.contains(nth))
            .collect();
        assert_eq!(active.len(), 1, "one controller is active");
        active[0]
    }

    fn register(&mut self, nth: usize) -> u32 {
        let incarnation = Incarnation(5);
        let request = BrokerRegistrationRequest { broker: BROKER, incarnation, previous_broker_epoch: None };
        self.ask(nth, Request::BrokerRegistration(request))
    }

    fn beat(&mut self, nth: usize, broker_epoch: BrokerEpoch) -> u32 {
        let request = heartbeat(broker_epoch);
        self.ask(nth, request)
    }

    /// Registers the broker and has it unfenced.
    fn serving(&mut self) -> BrokerEpoch {
        let active = self.active();
        let asked = self.register(active);
        self.run(500);
        let Some(Response::BrokerRegistration(response)) = self.replies.get(&asked) else {
            panic!("registered")
        };
        let epoch = response.result.expect("a new broker");
        self.beat(active, epoch);
        self.run(500);
        epoch
    }

    fn allocate(&mut self, nth: usize, broker_epoch: BrokerEpoch) -> u32 {
        self.ask(
            nth,
            Request::AllocateProducerIds(AllocateProducerIdsRequest { broker: BROKER, broker_epoch }),
        )
    }

    fn block(&self, asked: u32) -> Result<ProducerIdBlock, ErrorCode> {
        match self.replies.get(&asked) {
            Some(Response::AllocateProducerIds(response)) => response.result,
            other => panic!("{other:?}"),
        }
    }
}

fn heartbeat(broker_epoch: BrokerEpoch) -> Request {
    Request::BrokerHeartbeat(BrokerHeartbeatRequest {
        broker: BROKER,
        broker_epoch,
        metadata_end: Offset(broker_epoch.0 + 1),
        want_fence: false,
        want_shutdown: false,
    })
}

fn world() -> World {
    let mut world = World::new(3, &ControllerConfig::default(), Museum::CLOSED);
    world.run(5_000);
    world
}

#[test]
fn one_of_three_is_active_and_all_apply_the_same() {
    let mut world = world();
    let epoch = world.serving();
    assert!(epoch.0 > 0);
    let images: Vec<_> = world.nodes.iter().map(|node| node.image().0.fingerprint()).collect();
    assert!(images.iter().all(|image| *image == images[0] && *image != 0));
    let unfenced = |event: &Event| matches!(event, Event::BrokerUnfenced { .. });
    let mut told: Vec<_> =
        world.events.iter().filter(|(_, event)| unfenced(event)).map(|(nth, _)| *nth).collect();
    told.sort_unstable();
    assert_eq!(told, [0, 1, 2], "every controller tells of it once");
}

#[test]
fn who_is_not_active_says_so() {
    let mut world = world();
    let other = (world.active() + 1) % 3;
    let asked = world.register(other);
    world.run(10);
    let Some(Response::BrokerRegistration(response)) = world.replies.get(&asked) else { panic!("an answer") };
    assert_eq!(response.result, Err(ErrorCode::NotController));
}

#[test]
fn a_silent_broker_is_fenced_when_its_session_ends() {
    let mut world = world();
    world.serving();
    world.run(8_000);
    assert!(world.nodes[0].image().0.broker(BROKER).is_some_and(|broker| !broker.fenced));
    world.run(1_500);
    assert!(world.nodes[0].image().0.broker(BROKER).is_some_and(|broker| broker.fenced));
}

#[test]
fn an_idle_controller_writes_a_no_op_now_and_then() {
    let mut world = world();
    let before = world.nodes[0].image().1;
    world.run(10_000);
    let written = world.nodes[0].image().1 - before;
    assert!((18..=20).contains(&written.0), "{written}");
}

#[test]
fn the_deposed_forget_and_refuse_what_was_not_committed() {
    let mut world = world();
    let epoch = world.serving();
    let old = world.active();
    let committed = world.nodes[old].image().0.clone();
    world.cut.insert(old);
    let asked = world.allocate(old, epoch);
    world.run(100);
    assert!(!world.replies.contains_key(&asked), "nothing is committed, so nothing is promised");
    let speculative =
        world.nodes[old].decides_from().expect("it does not know better yet").next_producer_id();
    assert_eq!(speculative, ProducerId(1_000));
    world.run(10_000);
    assert_eq!(world.block(asked), Err(ErrorCode::NotController));
    assert_eq!(world.nodes[old].image().0, &committed);
    assert_eq!(world.nodes[old].decides_from(), None);

    // Another took over, and gives the block that was never given.
    let new = world.active();
    assert_ne!(new, old);
    let asked = world.allocate(new, epoch);
    world.run(500);
    assert_eq!(world.block(asked), Ok(ProducerIdBlock { first: ProducerId(0), len: 1_000 }));
    world.cut.clear();
    world.run(5_000);
    let images: Vec<_> = world.nodes.iter().map(|node| node.image().0.fingerprint()).collect();
    assert!(images.iter().all(|image| *image == images[0]));
}

#[test]
fn requests_of_one_connection_are_answered_one_by_one() {
    let mut world = world();
    let epoch = world.serving();
    let active = world.active();
    let connection = ConnectionId(500);
    let block = AllocateProducerIdsRequest { broker: BROKER, broker_epoch: epoch };
    let first = world.ask_on(active, connection, Request::AllocateProducerIds(block));
    let second = world.ask_on(active, connection, heartbeat(epoch));
    world.run(20);
    assert!(!world.replies.contains_key(&first) && !world.replies.contains_key(&second));
    world.run(500);
    assert!(world.replies.contains_key(&first) && world.replies.contains_key(&second));
}

#[test]
fn snapshots_are_taken_and_a_controller_begins_from_one() {
    let config =
        ControllerConfig { metadata_log_max_record_bytes_between_snapshots: 40, ..Default::default() };
    let mut world = World::new(3, &config, Museum::CLOSED);
    world.run(5_000);
    let epoch = world.serving();
    for _ in 0..10 {
        let active = world.active();
        world.allocate(active, epoch);
        world.beat(active, epoch);
        world.run(500);
    }
    assert!(world.events.iter().any(|(_, event)| matches!(event, Event::SnapshotWritten { .. })));
    // A controller dies and comes back with its disk.
    let old = world.active();
    let image = world.nodes[old].image().0.clone();
    world.agenda.retain(|_, (nth, _)| *nth != old);
    world.nodes[old] = Controller::new(world.nodes[old].setup.clone(), config);
    world.post(0, old, Input::Start);
    world.run(5_000);
    assert_eq!(world.nodes[old].image().0, &image);
    let from_snapshot = |event: &Event| matches!(event, Event::MetadataApplied { from_snapshot: true, .. });
    assert!(world.events.iter().any(|(nth, event)| *nth == old && from_snapshot(event)));
}

#[test]
fn ten_thousand_partitions_reach_every_controller() {
    let mut world = world();
    world.serving();
    let active = world.active();
    for nth in 0..10 {
        let name = alloc::format!("topic-{nth}").as_str().into();
        let topic =
            NewTopic { name, partitions: 1_000, replication_factor: 1, assignment: vec![], config: vec![] };
        world.ask(
            active,
            Request::CreateTopics(CreateTopicsRequest { topics: vec![topic], timeout: Duration::ZERO }),
        );
    }
    world.run(1_000);
    let partitions = |node: &Controller| node.image().0.held_by(BROKER).count();
    assert_eq!(world.nodes.iter().map(partitions).collect::<Vec<_>>(), [10_000; 3]);
}

#[cfg(feature = "museum")]
#[test]
fn what_the_museum_serves_twice_after_a_failover() {
    let museum = Museum::CLOSED.with(Bug::ProducerIdBlockServedTwice);
    let mut world = World::new(3, &ControllerConfig::default(), museum);
    world.run(5_000);
    let epoch = world.serving();
    let old = world.active();
    let blocks = [world.allocate(old, epoch), world.allocate(old, epoch)];
    world.run(500);
    assert_ne!(world.block(blocks[0]), world.block(blocks[1]), "from its memory");
    world.cut.insert(old);
    world.run(10_000);
    let new = world.active();
    let asked = world.allocate(new, epoch);
    world.run(500);
    assert_eq!(world.block(asked), world.block(blocks[1]), "from the log");
}

/// A leader dies right after it has committed something that the others do not know to be committed.
fn block_after_a_failover(museum: Museum) -> [Result<ProducerIdBlock, ErrorCode>; 2] {
    let mut world = World::new(3, &ControllerConfig::default(), museum);
    world.run(5_000);
    let epoch = world.serving();
    let old = world.active();
    let first = world.allocate(old, epoch);
    while !world.replies.contains_key(&first) {
        world.run_for(DISK);
    }
    world.cut.insert(old);
    // What it had just sent is lost, too.
    let gone = NodeId::controller(old as u32 + 1);
    world.agenda.retain(|_, (_, input)| !matches!(input, Input::Response { from, .. } if *from == gone));
    // Everybody asks at once, so that whoever becomes active does so with a question waiting.
    let mut second = None;
    while second.is_none() {
        let asked: Vec<u32> =
            (0..3).filter(|nth| *nth != old).map(|nth| world.allocate(nth, epoch)).collect();
        world.run(100);
        second =
            asked.into_iter().find(|asked| world.replies.contains_key(asked) && world.block(*asked).is_ok());
    }
    [world.block(first), world.block(second.unwrap_or_default())]
}

#[test]
fn what_was_committed_is_replayed_before_anything_is_decided() {
    let [first, second] = block_after_a_failover(Museum::CLOSED);
    assert!(first.is_ok_and(|block| block.first == ProducerId(0)));
    assert!(second.is_ok_and(|block| block.first == ProducerId(1_000)));
}

#[cfg(feature = "museum")]
#[test]
fn what_the_museum_decides_before_it_has_replayed() {
    let [first, second] = block_after_a_failover(Museum::CLOSED.with(Bug::ControllerActiveBeforeReplay));
    assert_eq!(first, second);
}

#[test]
fn a_controller_that_is_told_to_stop_hands_over_first() {
    let mut world = world();
    world.serving();
    let old = world.active();
    world.post(0, old, Input::Told(alloc::boxed::Box::new(Command::Shutdown)));
    world.run(3_000);
    let halted = |(nth, event): &(usize, Event)| *nth == old && matches!(event, Event::Halted { .. });
    assert!(world.events.iter().any(halted));
    let resigned =
        |(nth, event): &(usize, Event)| *nth == old && matches!(event, Event::ControllerResigned { .. });
    assert!(world.events.iter().any(resigned));
    assert!(!world.nodes[old].is_active());
    world.active();
}
