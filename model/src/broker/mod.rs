//! How does a broker serve its partitions?
//!
//! `step` is one `match` from input to handler; afterwards whatever the handlers have set free is carried
//! on: readers who wait for something that is there now, and requests that waited for the one before them.

mod connections;
mod purgatory;
mod replicas;
mod sessions;
mod produce;
mod fetch;
mod list_offsets;
mod delete_records;
mod describe;
mod configs;
mod progress;
mod replica_fetcher;
mod isr_proposals;
mod metadata;
mod lifecycle;
mod controller_channel;
mod forwarding;
mod producer_ids;
mod groups;
mod startup;
mod checkpoints;
mod cleaning;
mod shutdown;
#[cfg(test)]
mod tests;

use alloc::{boxed::Box, collections::BTreeMap, string::ToString};

use self::{
    checkpoints::Checkpoints,
    cleaning::Cleaner,
    connections::Connections,
    controller_channel::ControllerChannel,
    forwarding::Forwarding,
    groups::Coordinators,
    isr_proposals::Proposals,
    lifecycle::Lifecycle,
    metadata::Metadata,
    producer_ids::ProducerIds,
    purgatory::Purgatory,
    replica_fetcher::Fetchers,
    replicas::{Replicas, Slot},
    sessions::Sessions,
    shutdown::Closing,
    startup::Startup,
};
use crate::{
    client::Command,
    config::{BrokerConfig, TopicConfig},
    disk::{Dir, DiskError, DiskReply},
    event::{BrokerState, Event},
    machine::{Caller, Channel, ConnectionId, Disconnect, Effects, Halt, Input, Machine},
    museum::Museum,
    node::Setup,
    protocol::{Request, Response},
    quorum::{Context, Quorum},
    rng::Rng,
    time::{Deadlines, Instant, Now, earliest},
    units::{CorrelationId, Incarnation, NodeId, NodeRole, TopicPartition},
};

/// What a broker wants to be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A replica fetcher may go on, or has waited too long for an answer.
    Fetcher(NodeId),
    /// A log wants to flush or to tidy up.
    Log(Slot),
    /// Followers that lag are to be looked for.
    IsrCheck,
    /// ISR proposals that failed may be sent again.
    ProposalRetry,
    /// Requests for the controller that failed may be sent again.
    ForwardRetry,
    /// A request handed on to the controller has waited long enough.
    Forwarded(CorrelationId),
    /// High watermarks are to be saved.
    HighWatermarks,
    /// Recovery points are to be saved.
    RecoveryPoints,
    /// Log starts are to be saved.
    LogStarts,
    /// Old records are to be deleted.
    Retention,
    /// A coordinator wants to be woken.
    Groups(Slot),
    /// What was to be done about groups when a partition was lost is done now. Only the museum is so late.
    LateUnload(Slot),
    /// The cleaner has rested.
    Cleaner,
}

/// A broker process.
#[derive(Clone, Debug)]
pub struct Broker {
    setup: Setup,
    config: BrokerConfig,
    topic_defaults: TopicConfig,
    correlation: CorrelationId,
    life: Lifecycle,
    quorum: Quorum,
    metadata: Metadata,
    replicas: Replicas,
    connections: Connections,
    sessions: Sessions,
    purgatory: Purgatory,
    /// Reads from the disk that are under way, and for whom.
    cold: BTreeMap<u64, (Slot, fetch::Cold)>,
    last_cold: u64,
    fetchers: Fetchers,
    proposals: Proposals,
    channel: ControllerChannel,
    forwarding: Forwarding,
    producer_ids: ProducerIds,
    coordinators: Coordinators,
    checkpoints: Checkpoints,
    cleaner: Cleaner,
    startup: Option<Box<Startup>>,
    closing: Option<Box<Closing>>,
    timers: Deadlines<Timer>,
    halted: bool,
}

impl Broker {
    /// A process that has not started yet.
    pub fn new(setup: Setup, config: BrokerConfig) -> Broker {
        let mut incarnations = Rng::named(setup.seed, &alloc::format!("{}/incarnation", setup.id));
        let life = Lifecycle::new(
            setup.id,
            Incarnation(incarnations.next_u64()),
            config.broker_heartbeat_interval_ms,
            config.broker_session_timeout_ms,
            config.initial_broker_registration_timeout_ms,
        );
        Broker {
            quorum: Quorum::new(&setup, (&config).into(), setup.voters.clone()),
            topic_defaults: TopicConfig::of_broker(&config),
            life,
            setup,
            config,
            correlation: CorrelationId(0),
            metadata: Metadata::default(),
            replicas: Replicas::default(),
            connections: Connections::default(),
            sessions: Sessions::default(),
            purgatory: Purgatory::default(),
            cold: BTreeMap::new(),
            last_cold: 0,
            fetchers: Fetchers::default(),
            proposals: Proposals::default(),
            channel: ControllerChannel::default(),
            forwarding: Forwarding::default(),
            producer_ids: ProducerIds::default(),
            coordinators: Coordinators::default(),
            checkpoints: Checkpoints::default(),
            cleaner: Cleaner::default(),
            startup: None,
            closing: None,
            timers: Deadlines::new(),
            halted: false,
        }
    }

    /// This broker's replica of a partition, for whoever looks on.
    pub fn replica(&self, partition: TopicPartition) -> Option<&crate::partition::Partition> {
        self.replicas
            .find(partition)
            .and_then(|slot| self.replicas.get(slot))
            .map(|replica| &replica.partition)
    }

    /// Every replica of this broker, in order of their partitions, for whoever looks on.
    pub fn replicas(&self) -> impl Iterator<Item = &crate::partition::Partition> {
        self.replicas.iter().map(|(_, replica)| &replica.partition)
    }

    /// The metadata that this broker has applied, for whoever looks on.
    pub fn image(&self) -> &crate::controller::image::Image {
        &self.metadata.image
    }

    /// The coordinators of groups that this broker hosts, for whoever looks on.
    pub fn coordinators(&self) -> impl Iterator<Item = &crate::group::Coordinator> {
        self.coordinators.iter()
    }

    /// The leader epoch of a partition by the metadata that this broker has applied, for whoever looks on.
    pub fn epoch_applied(&self, partition: TopicPartition) -> Option<crate::units::LeaderEpoch> {
        self.metadata.image.partition(partition).map(|state| state.leader_epoch)
    }

    fn museum(&self) -> Museum {
        self.setup.museum
    }

    fn next_correlation(&mut self) -> CorrelationId {
        self.correlation = self.correlation.next();
        self.correlation
    }

    fn set_state(&mut self, state: BrokerState, effects: &mut Effects) {
        effects.note(Event::BrokerStateChanged { state });
    }

    fn start(&mut self, now: Now, effects: &mut Effects) {
        self.set_state(BrokerState::Recovery, effects);
        self.life.started(now.monotonic);
        self.quorum.start(now, &mut Context { effects, correlation: &mut self.correlation });
        self.begin_startup(effects);
    }

    fn arrived(&mut self, now: Now, caller: Caller, request: Request, effects: &mut Effects) {
        if self.connections.begins(caller.connection) {
            self.serve(now, caller, request, effects);
        } else {
            self.connections.wait(caller, request);
        }
    }

    /// Carries out one request, which either answers it or leaves it parked.
    fn serve(&mut self, now: Now, caller: Caller, request: Request, effects: &mut Effects) {
        match request {
            Request::Produce(request) => self.produce(now, caller, request, effects),
            Request::Fetch(request) => self.fetch(now, caller, request, effects),
            Request::ListOffsets(request) => self.list_offsets(now, caller, request, effects),
            Request::OffsetForLeaderEpoch(request) => self.epoch_ends(caller, request, effects),
            Request::Metadata(request) => self.describe_cluster(now, caller, request, effects),
            Request::DescribeTopicPartitions(request) => self.describe_topics(caller, request, effects),
            Request::DescribeConfigs(request) => self.describe_configs(caller, request, effects),
            Request::DeleteRecords(request) => self.delete_records(now, caller, request, effects),
            Request::InitProducerId(_) => self.init_producer_id(caller, effects),
            Request::FindCoordinator(it) => {
                self.find_coordinator(now, caller, it.kind, &it.keys, effects);
            }
            Request::JoinGroup(_)
            | Request::SyncGroup(_)
            | Request::Heartbeat(_)
            | Request::LeaveGroup(_)
            | Request::ConsumerGroupHeartbeat(_)
            | Request::OffsetCommit(_)
            | Request::OffsetDelete(_) => self.group_request(now, caller, request, effects),
            Request::OffsetFetch(request) => self.fetch_offsets(caller, &request.groups, effects),
            Request::DescribeGroups(request) => self.describe_groups(caller, &request.groups, effects),
            Request::ConsumerGroupDescribe(request) => {
                self.describe_consumer_groups(caller, &request.groups, effects);
            }
            Request::ListGroups(request) => self.list_groups(caller, &request, effects),
            Request::DeleteGroups(request) => {
                self.delete_groups(caller, request.groups);
                self.go_on_deleting_groups(now, effects);
            }
            Request::CreateTopics(_)
            | Request::DeleteTopics(_)
            | Request::CreatePartitions(_)
            | Request::ElectLeaders(_)
            | Request::DescribeQuorum(_)
            | Request::AlterConfigs(_)
            | Request::IncrementalAlterConfigs(_) => self.forward(now, caller, request, effects),
            // What only controllers are asked: a peer that asks a broker has lost its way.
            _ => {
                effects.mail.push(crate::machine::Outgoing::Close { connection: caller.connection });
                self.closed(caller.connection);
            }
        }
    }

    /// Answers a request, and lets the next one of its connection begin.
    fn answer(&mut self, caller: Caller, response: Response, effects: &mut Effects) {
        if self.connections.done(caller.connection) {
            effects.reply(caller, response);
        }
    }

    fn closed(&mut self, connection: ConnectionId) {
        if let Some(parked) = self.connections.closed(connection) {
            self.purgatory.take(parked);
        }
        for (at, slot) in self.sessions.close(connection) {
            self.stop_reading(connection, at, slot);
        }
    }

    fn on_response(
        &mut self,
        now: Now,
        from: NodeId,
        channel: Channel,
        correlation: CorrelationId,
        response: Response,
        effects: &mut Effects,
    ) {
        if from.role() == NodeRole::Broker {
            return self.on_leader_response(now, from, correlation, response, effects);
        }
        if matches!(channel, Channel::FETCH | Channel::QUORUM) {
            let cx = &mut Context { effects, correlation: &mut self.correlation };
            self.quorum.on_response(now, from, channel, correlation, response, cx);
            return;
        }
        self.on_controller_response(now, correlation, response, effects);
    }

    fn on_disconnected(
        &mut self,
        now: Now,
        peer: NodeId,
        channel: Channel,
        why: Disconnect,
        effects: &mut Effects,
    ) {
        if peer.role() == NodeRole::Broker {
            return self.on_leader_lost(now, peer);
        }
        let cx = &mut Context { effects, correlation: &mut self.correlation };
        if !self.quorum.on_disconnected(now, peer, channel, why, cx) {
            self.on_controller_lost(now, peer, channel, effects);
        }
    }

    fn on_disk(&mut self, now: Now, reply: DiskReply, effects: &mut Effects) {
        match reply.file.dir {
            Dir::Log(TopicPartition::METADATA) => {
                let cx = &mut Context { effects, correlation: &mut self.correlation };
                self.quorum.on_disk(now, &reply, cx);
            }
            Dir::Root => self.on_root_disk(now, &reply, effects),
            Dir::Log(partition) => match self.replicas.find(partition) {
                Some(slot) => self.on_log_disk(now, slot, &reply, effects),
                None => self.on_loading_disk(now, partition, &reply, effects),
            },
        }
    }

    /// The disk failed, and with it the only log directory: Kafka halts.
    fn disk_failed(&mut self, reply: &DiskReply, error: DiskError, effects: &mut Effects) {
        effects.note(Event::DiskFailed { file: reply.file.to_string(), error });
        self.halt(Halt::DiskFailed, effects);
    }

    fn halt(&mut self, why: Halt, effects: &mut Effects) {
        if !self.halted {
            self.halted = true;
            effects.note(Event::Halted { why });
            effects.halt = Some(why);
        }
    }

    fn told(&mut self, now: Now, command: Command, effects: &mut Effects) {
        if command == Command::Shutdown {
            self.begin_shutdown(now, effects);
        }
    }

    /// Takes out the first timer that is due, a fetcher's first of those that are due at one time.
    fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let fetcher_first = match (self.fetchers.deadline(), self.timers.next()) {
            (Some(fetcher), Some(other)) => fetcher <= other,
            (fetcher, _) => fetcher.is_some(),
        };
        if fetcher_first { self.fetchers.pop_due(now).map(Timer::Fetcher) } else { self.timers.pop_due(now) }
    }

    fn run_due(&mut self, now: Now, effects: &mut Effects) {
        while let Some(timer) = self.pop_due(now.monotonic) {
            match timer {
                Timer::Fetcher(leader) => self.on_fetcher_timer(now, leader, effects),
                Timer::Log(slot) => self.tick_log(now, slot, effects),
                Timer::IsrCheck => self.check_isrs(now, effects),
                Timer::ProposalRetry => self.channel.proposals_rest = false,
                Timer::ForwardRetry => self.forwarding.rested(),
                Timer::Forwarded(id) => self.forward_timed_out(id, effects),
                Timer::HighWatermarks => self.save_high_watermarks(now, effects),
                Timer::RecoveryPoints => self.save_recovery_points(now, effects),
                Timer::LogStarts => self.save_log_starts(now, effects),
                Timer::Retention => self.retain(now, effects),
                Timer::Groups(slot) => self.on_groups_timer(now, slot, effects),
                Timer::LateUnload(slot) => self.unload_late(slot, effects),
                Timer::Cleaner => self.look_for_filth(now, effects),
            }
        }
        while let Some(id) = self.purgatory.expired(now.monotonic) {
            self.expire(id, effects);
        }
        while let Some(connection) = self.sessions.pop_expired(now.monotonic) {
            self.expire_fetch(now, connection, effects);
        }
        if self.quorum.deadline().is_some_and(|at| at <= now.monotonic) {
            self.quorum.on_deadline(now, &mut Context { effects, correlation: &mut self.correlation });
        }
    }

    /// Carries on what the handlers have set free.
    fn settle(&mut self, now: Now, effects: &mut Effects) {
        self.follow_metadata(now, effects);
        loop {
            self.coordinate(now, effects);
            if let Some(connection) = self.sessions.next_awake() {
                self.try_fetch(now, connection, effects);
            } else if let Some((caller, request)) = self.connections.next() {
                self.serve(now, caller, request, effects);
            } else if let Some(leader) = self.fetchers.next_idle() {
                self.pump(now, leader, effects);
            } else {
                break;
            }
        }
        self.go_on_deleting_groups(now, effects);
        self.talk_to_controller(now, effects);
        self.go_on_closing(effects);
    }
}

impl Machine for Broker {
    fn step(&mut self, now: Now, input: Input, effects: &mut Effects) {
        if self.halted {
            return;
        }
        match input {
            Input::Start => self.start(now, effects),
            Input::Request { from, connection, correlation, request } => {
                self.arrived(now, Caller { node: from, connection, correlation }, request, effects);
            }
            Input::Response { from, channel, correlation, response } => {
                self.on_response(now, from, channel, correlation, response, effects);
            }
            Input::Disconnected { peer, channel, why } => {
                self.on_disconnected(now, peer, channel, why, effects);
            }
            Input::Closed { connection } => self.closed(connection),
            Input::Disk(reply) => self.on_disk(now, reply, effects),
            Input::Deadline => {}
            Input::Told(command) => self.told(now, *command, effects),
        }
        self.run_due(now, effects);
        self.settle(now, effects);
    }

    fn deadline(&self) -> Option<Instant> {
        if self.halted {
            return None;
        }
        let waiting = earliest(self.purgatory.deadline(), self.sessions.deadline());
        let timers = earliest(self.timers.next(), self.fetchers.deadline());
        let own = earliest(waiting, earliest(timers, self.channel.deadline()));
        let life = self.life.deadline(self.quorum.leader().is_some());
        earliest(own, earliest(life, self.quorum.deadline()))
    }
}
