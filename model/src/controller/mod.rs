//! Who decides about the cluster's metadata?
//!
//! A controller is a voter of the quorum with an image of what is committed. The one that leads the quorum is
//! active once it has replayed everything before its own epoch: it decides from the image, appends what it
//! decides, and answers when that is committed. All of them apply what is committed and tell of it.

// What there is to know.
pub mod record;
pub mod image;
mod fingerprint;
mod snapshot;
mod announce;

// What can be decided.
pub mod decide;
mod brokers;
pub mod heartbeats;
mod leaders;
mod alter_partition;
mod topics;
mod configs;
mod placement;
mod producer_ids;
mod balance;
mod refusal;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

// The machine.
mod connections;

use alloc::{format, string::ToString};
use core::time::Duration;

use bytes::Bytes;

use self::{
    connections::Connections,
    decide::Question,
    heartbeats::Sessions,
    image::Image,
    record::{Malformed, Record},
};
use crate::{
    client::Command,
    config::ControllerConfig,
    disk::{DiskError, FileKind, FileName},
    event::Event,
    machine::{Caller, Effects, Halt, Input, Machine, Outgoing},
    museum::Bug,
    node::Setup,
    protocol::{ErrorCode, Request, Response},
    quorum::{Committed, Context, Quorum, QuorumConfig},
    replicated::{Replicated, shard::Shard},
    rng::Rng,
    time::{Instant, Now, earliest},
    units::{CorrelationId, LeaderEpoch, Offset, ProducerId, TopicPartition},
};

/// How long a controller that shuts down waits for another to lead (Kafka: five seconds, in
/// `KafkaRaftManager.shutdown`).
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// A voter of the metadata quorum, and perhaps the active controller.
#[derive(Clone, Debug)]
pub struct Controller {
    setup: Setup,
    config: ControllerConfig,
    quorum: Quorum,
    correlation: CorrelationId,
    connections: Connections,
    shard: Shard<Image, Caller>,
    active: Option<Active>,
    rng: Rng,
    snapshot: SnapshotDue,
    /// Set once it was told to shut down: when it stops in any case.
    stops_at: Option<Instant>,
    /// The epoch in which it is not active any more although it leads the quorum. Only the museum has one.
    renounced: Option<LeaderEpoch>,
}

/// What only the active controller knows.
#[derive(Clone, Debug)]
struct Active {
    epoch: LeaderEpoch,
    sessions: Sessions,
    /// When to write a no-op record, if nothing else is written before.
    idle_at: Option<Instant>,
    /// When to look whether leaderships should move.
    balance_at: Option<Instant>,
    producer_ids_given: ProducerId,
}

/// How much has been committed since the last snapshot.
#[derive(Clone, Copy, Debug, Default)]
struct SnapshotDue {
    bytes: u64,
    since: Instant,
}

impl Controller {
    /// A process that has not started yet.
    pub fn new(setup: Setup, config: ControllerConfig) -> Controller {
        let quorum = Quorum::new(&setup, QuorumConfig::from(&config), setup.voters.clone());
        let rng = Rng::named(setup.seed, &format!("{}/placement", setup.id));
        Controller {
            setup,
            config,
            quorum,
            correlation: CorrelationId(0),
            connections: Connections::default(),
            shard: Shard::new(Image::new(), Offset::ZERO),
            active: None,
            rng,
            snapshot: SnapshotDue::default(),
            stops_at: None,
            renounced: None,
        }
    }

    /// The cluster's metadata by the committed records that it has applied, and where these end.
    pub fn image(&self) -> (&Image, Offset) {
        (self.shard.committed(), self.shard.applied())
    }

    /// The metadata that it decides from, committed or not; `None` unless it is active.
    pub fn decides_from(&self) -> Option<&Image> {
        self.shard.state()
    }

    /// Whether it is the active controller, by its own knowledge.
    pub fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// Its part in the quorum.
    pub fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    fn take(&mut self, now: Now, input: Input, effects: &mut Effects) {
        match input {
            Input::Request { from, connection, correlation, request } => {
                let caller = Caller { node: from, connection, correlation };
                if let Some((caller, request)) = self.connections.arrived(caller, request) {
                    self.serve(now, caller, request, effects);
                }
            }
            Input::Closed { connection } => {
                self.connections.closed(connection);
                self.quorum.on_closed(connection);
            }
            Input::Deadline => {
                self.quorum.on_deadline(now, &mut Context { effects, correlation: &mut self.correlation });
                self.on_deadline(now, effects);
            }
            other => self.hand_to_quorum(now, other, effects),
        }
    }

    fn hand_to_quorum(&mut self, now: Now, input: Input, effects: &mut Effects) {
        let Controller { quorum, correlation, .. } = self;
        let cx = &mut Context { effects, correlation };
        match input {
            Input::Start => {
                self.snapshot.since = now.monotonic;
                quorum.start(now, cx);
            }
            Input::Response { from, channel, correlation, response } => {
                quorum.on_response(now, from, channel, correlation, response, cx);
            }
            Input::Disconnected { peer, channel, why } => {
                quorum.on_disconnected(now, peer, channel, why, cx);
            }
            Input::Disk(reply) => {
                quorum.on_disk(now, &reply, cx);
            }
            Input::Told(command) => {
                if *command == Command::Shutdown {
                    self.stops_at = Some(now.monotonic + SHUTDOWN_TIMEOUT);
                    quorum.shut_down(now, cx);
                }
            }
            Input::Request { .. } | Input::Closed { .. } | Input::Deadline => {}
        }
    }

    /// Answers a request whose turn it is, now or once it may.
    fn serve(&mut self, now: Now, caller: Caller, request: Request, effects: &mut Effects) {
        let cx = &mut Context { effects, correlation: &mut self.correlation };
        if self.quorum.on_request(now, caller, &request, cx) {
            return;
        }
        let Some(refusal) = refusal::of_request(&request, ErrorCode::NotController) else {
            // Kafka closes a connection that asks for what its listener does not serve.
            effects.mail.push(Outgoing::Close { connection: caller.connection });
            self.connections.closed(caller.connection);
            return;
        };
        if self.active.is_none() {
            effects.reply(caller, refusal);
            return;
        }
        self.decide(now, &Question::Request(request), Some(caller), effects);
    }

    /// Decides, appends, takes in what was decided, and answers when it is committed. Says how many records
    /// that took.
    fn decide(
        &mut self,
        now: Now,
        question: &Question,
        caller: Option<Caller>,
        effects: &mut Effects,
    ) -> usize {
        let (Some(active), Some(state)) = (&self.active, self.shard.state()) else { return 0 };
        let next = self.next();
        let mut context = decide::Context {
            config: &self.config,
            museum: self.setup.museum,
            sessions: &active.sessions,
            rng: &mut self.rng,
            now: now.monotonic,
            next,
            producer_ids_given: active.producer_ids_given,
        };
        let decision = state.decide(&mut context, question);
        if !decision.records.is_empty()
            && let Err(error) = self.append(now, &decision.records, effects)
        {
            answer(caller, decision.reply.map(|reply| refusal::in_place_of(reply, error)), effects);
            // KAFKA-13104: after an error it was active no more, but went on leading the quorum.
            if self.setup.museum.has(Bug::ControllerRenouncesRaftKeeps) {
                self.renounced = self.active.as_ref().map(|active| active.epoch);
                self.resign(effects);
            }
            return 0;
        }
        self.hear(now, question, decision.reply.as_ref());
        if let Some(caller) = caller
            && let Some((caller, reply)) = self.shard.park(caller, decision.reply)
        {
            answer(Some(caller), reply, effects);
        }
        decision.records.len()
    }

    /// The offset that the next record decided on will get. The log's end may lag: the quorum gathers records
    /// before it appends them.
    fn next(&self) -> Offset {
        self.shard.appended().unwrap_or_default().max(self.quorum.log_end())
    }

    /// Appends records to the log and takes them into the image that it decides from. Refuses as the quorum
    /// does.
    fn append(&mut self, now: Now, records: &[Record], effects: &mut Effects) -> Result<(), ErrorCode> {
        let values = records.iter().map(Record::encode).collect();
        let next = self.next();
        let cx = &mut Context { effects, correlation: &mut self.correlation };
        let range = self.quorum.append(now, values, cx)?;
        assert!(range.start == next, "records get the offsets they were decided for");
        self.shard.append(range.start, records);
        if let Some(active) = &mut self.active {
            active.idle_at = after(now, self.config.metadata_max_idle_interval_ms);
        }
        Ok(())
    }

    /// What a question and its answer tell about who is alive.
    fn hear(&mut self, now: Now, question: &Question, reply: Option<&Response>) {
        let (Some(active), Some(image)) = (&mut self.active, self.shard.state()) else { return };
        let now = now.monotonic;
        match (question, reply) {
            (
                Question::Request(Request::BrokerRegistration(request)),
                Some(Response::BrokerRegistration(reply)),
            ) => {
                let fenced = image.broker(request.broker).is_none_or(|registration| registration.fenced);
                match reply.result {
                    Ok(_) if fenced => active.sessions.begin(now, request.broker, fenced),
                    Ok(_) => active.sessions.touch(now, request.broker, fenced, Offset::ZERO),
                    Err(_) => {}
                }
            }
            (
                Question::Request(Request::BrokerHeartbeat(request)),
                Some(Response::BrokerHeartbeat(reply)),
            ) => {
                let Ok(standing) = reply.result else { return };
                active.sessions.touch(now, request.broker, standing.fenced, request.metadata_end);
                if standing.may_shut_down {
                    active.sessions.gone(request.broker);
                }
                if request.want_shutdown && !standing.fenced {
                    let end = self.shard.appended().unwrap_or_default();
                    // KAFKA-14292: each heartbeat raised it, and the others were never seen to have it.
                    if self.setup.museum.has(Bug::ControlledShutdownOffsetMoves) {
                        active.sessions.leave_later(request.broker, end);
                    } else {
                        active.sessions.leave(request.broker, end);
                    }
                }
            }
            (Question::Request(_), Some(Response::AllocateProducerIds(reply))) => {
                if let Ok(block) = reply.result {
                    active.producer_ids_given = producer_ids::end(block);
                }
            }
            (Question::Expired(broker), _) => active.sessions.fence(*broker),
            _ => {}
        }
    }

    fn on_deadline(&mut self, now: Now, effects: &mut Effects) {
        while let Some(broker) =
            self.active.as_mut().and_then(|active| active.sessions.pop_expired(now.monotonic))
        {
            self.decide(now, &Question::Expired(broker), None, effects);
        }
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now.monotonic);
        if self.active.as_ref().is_some_and(|active| due(active.balance_at)) {
            while self.decide(now, &Question::Balance, None, effects) >= balance::MAX_ELECTIONS {}
            if let Some(active) = &mut self.active {
                active.balance_at = balance_at(&self.config, now);
            }
        }
        if self.active.as_ref().is_some_and(|active| due(active.idle_at)) {
            self.decide(now, &Question::Idle, None, effects);
            if let Some(active) = &mut self.active {
                active.idle_at = after(now, self.config.metadata_max_idle_interval_ms);
            }
        }
    }

    /// Takes in what the quorum has come to: who leads, and what is committed.
    fn follow(&mut self, now: Now, effects: &mut Effects) {
        // First, since what is committed from here on may be somebody else's.
        let leads = self.quorum.is_leader().then(|| self.quorum.epoch());
        if self.active.as_ref().is_some_and(|active| Some(active.epoch) != leads) {
            self.resign(effects);
        }
        let mut applied = None;
        while let Some(committed) = self.quorum.poll() {
            applied = Some(self.apply(now, committed, effects));
        }
        if let Some((epoch, from_snapshot)) = applied {
            let (end, fingerprint) = (self.shard.applied(), self.shard.committed().fingerprint());
            effects.note(Event::MetadataApplied { end, epoch, fingerprint, from_snapshot });
            while let Some((caller, reply)) = self.shard.pop_ready() {
                answer(Some(caller), reply, effects);
            }
            self.take_snapshot(now, effects);
        }
        // KAFKA-17333: a controller was active as soon as it led the quorum, with whatever it had replayed.
        let early = self.setup.museum.has(Bug::ControllerActiveBeforeReplay);
        if let Some(epoch) = leads
            && self.active.is_none()
            && self.stops_at.is_none()
            && self.renounced != Some(epoch)
            && (early || self.quorum.has_committed_own_epoch())
        {
            self.activate(now, epoch, effects);
        }
    }

    /// Applies something committed; says the epoch of its last record and whether it was a snapshot.
    fn apply(&mut self, now: Now, committed: Committed, effects: &mut Effects) -> (LeaderEpoch, bool) {
        match committed {
            Committed::Records { range, epoch, values } => {
                let active = self.active.is_some();
                for (at, value) in (range.start.0..range.end.0).map(Offset).zip(&values) {
                    self.snapshot.bytes += value.len() as u64;
                    // What this version cannot read is skipped, as a record of a kind yet to come.
                    let record = Record::decode(value).unwrap_or(Record::NoOp);
                    let change = self.shard.commit(at, &record);
                    announce::announce(self.shard.committed(), &change, at, active, &mut effects.events);
                }
                self.shard.committed_to(range.end);
                (epoch, false)
            }
            Committed::Snapshot { end, epoch, bytes } => {
                if self.active.is_some() {
                    // Only one that was active too early has not had what a snapshot stands for.
                    self.resign(effects);
                }
                match Image::from_snapshot(&bytes) {
                    Ok(image) => self.shard.restore(image, end),
                    Err(Malformed) => damaged(end, epoch, effects),
                }
                self.snapshot = SnapshotDue { bytes: 0, since: now.monotonic };
                (epoch, true)
            }
        }
    }

    fn activate(&mut self, now: Now, epoch: LeaderEpoch, effects: &mut Effects) {
        self.shard.lead(self.quorum.log_end());
        let mut sessions = Sessions::new(self.config.broker_session_timeout_ms);
        for (broker, registration) in self.shard.committed().brokers() {
            sessions.find(now.monotonic, broker, registration.fenced);
        }
        self.active = Some(Active {
            epoch,
            sessions,
            idle_at: after(now, self.config.metadata_max_idle_interval_ms),
            balance_at: balance_at(&self.config, now),
            producer_ids_given: ProducerId(0),
        });
        effects.note(Event::ControllerActivated { epoch, end: self.shard.applied() });
    }

    /// Is not active any more. Whoever waits does not learn what became of the request: only the next
    /// controller knows.
    fn resign(&mut self, effects: &mut Effects) {
        for (caller, reply) in self.shard.depose() {
            let refused = reply.map(|reply| refusal::in_place_of(reply, ErrorCode::NotController));
            answer(Some(caller), refused, effects);
        }
        if let Some(active) = self.active.take() {
            effects.note(Event::ControllerResigned { epoch: active.epoch });
        }
    }

    /// Takes a snapshot if enough was committed since the last, by bytes or by time.
    fn take_snapshot(&mut self, now: Now, effects: &mut Effects) {
        let SnapshotDue { bytes, since } = self.snapshot;
        let interval = self.config.metadata_log_max_snapshot_interval_ms;
        let by_bytes = bytes >= self.config.metadata_log_max_record_bytes_between_snapshots;
        let by_time = !interval.is_zero() && now.monotonic.since(since) >= interval;
        if bytes > 0 && (by_bytes || by_time) {
            self.snapshot = SnapshotDue { bytes: 0, since: now.monotonic };
            let image: Bytes = self.shard.committed().to_snapshot();
            let cx = &mut Context { effects, correlation: &mut self.correlation };
            // KAFKA-14618: the id was that of the last record in it, not of the one after.
            let early = self.setup.museum.has(Bug::SnapshotIdOffByOne);
            let end = self.shard.applied();
            self.quorum.take_snapshot(now, end.before().filter(|_| early).unwrap_or(end), image, cx);
        }
    }

    /// Serves whoever waited behind a request that the mail from `told` on answers.
    fn serve_next(&mut self, now: Now, told: usize, effects: &mut Effects) {
        let mut seen = told;
        while let Some(mail) = effects.mail.get(seen) {
            seen += 1;
            if let Outgoing::Reply { connection, .. } = *mail
                && let Some((caller, request)) = self.connections.answered(connection)
            {
                self.serve(now, caller, request, effects);
                self.follow(now, effects);
            }
        }
    }
}

/// A snapshot is not what was written: the disk cannot be trusted.
fn damaged(end: Offset, epoch: LeaderEpoch, effects: &mut Effects) {
    let file = FileName::of_log(TopicPartition::METADATA, FileKind::MetadataSnapshot(end, epoch));
    effects.note(Event::DiskFailed { file: file.to_string(), error: DiskError::Io });
    effects.note(Event::Halted { why: Halt::DiskFailed });
    effects.halt = Some(Halt::DiskFailed);
}

fn answer(caller: Option<Caller>, reply: Option<Response>, effects: &mut Effects) {
    if let (Some(caller), Some(reply)) = (caller, reply) {
        effects.reply(caller, reply);
    }
}

/// A moment `wait` from now; never, if it is zero.
fn after(now: Now, wait: Duration) -> Option<Instant> {
    (!wait.is_zero()).then(|| now.monotonic + wait)
}

fn balance_at(config: &ControllerConfig, now: Now) -> Option<Instant> {
    let interval = Duration::from_secs(config.leader_imbalance_check_interval_seconds);
    if config.auto_leader_rebalance_enable { after(now, interval) } else { None }
}

impl Machine for Controller {
    fn step(&mut self, now: Now, input: Input, effects: &mut Effects) {
        let told = effects.mail.len();
        self.take(now, input, effects);
        self.follow(now, effects);
        self.serve_next(now, told, effects);
        let stops = self.stops_at.is_some_and(|at| self.quorum.may_stop() || at <= now.monotonic);
        if stops && effects.halt.is_none() {
            effects.note(Event::Halted { why: Halt::Shutdown });
            effects.halt = Some(Halt::Shutdown);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let quorum = earliest(self.quorum.deadline(), self.stops_at);
        match &self.active {
            None => quorum,
            Some(active) => {
                let timers = earliest(active.idle_at, active.balance_at);
                earliest(quorum, earliest(active.sessions.next(), timers))
            }
        }
    }
}
