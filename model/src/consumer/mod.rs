//! How does a consumer read without missing or repeating a record?
//!
//! Kafka's consumer without a group, as one machine: where it stands in each partition and how it gets there
//! (`positions`), asking leaders for offsets and epochs (`lookups`), reading (`fetching`). One fetch is in
//! flight per broker. The application of this consumer always polls (`polling`): what is fetched is handed on
//! at once, as far as one poll may return so much.
//!
//! With `group.id` it has a coordinator (`group`, `coordinator`), remembers there how far it has come (`committing`,
//! `committed`), and, if it subscribes, is a member (`membership`, `ownership`, `heartbeats`) that shares partitions
//! with others (`assignor`, `protocol`), or, with `group.protocol=consumer`, is told which are its own (`modern`). Its
//! application takes its time then (`application`).

pub mod positions;
mod lookups;
mod fetching;
mod polling;
mod group;
mod coordinator;
mod membership;
mod ownership;
mod heartbeats;
mod application;
mod committing;
mod committed;
mod modern;
pub mod protocol;
pub mod assignor;

use alloc::{collections::VecDeque, format, vec::Vec};

use positions::{Partition, PartitionIndex, State};
use smallvec::SmallVec;

use crate::{
    client::{
        Command, NamedPartition,
        backoff::Backoff,
        cluster_view::{ClusterView, TopicIndex},
        in_flight::InFlight,
    },
    config::ConsumerConfig,
    event::{Event, SeekReason},
    flat::{FlatMap, FlatSet},
    machine::{Channel, Effects, Input, Machine},
    museum::{Bug, Museum},
    node::Setup,
    protocol::{ErrorCode, Response, list_offsets::OffsetSpec, metadata::MetadataResponse},
    rng::Rng,
    time::{Deadlines, Instant, Now, earliest},
    units::{NodeId, NodeSet, Offset},
};

/// How many requests to one broker may be unanswered: Kafka's constant.
const MAX_IN_FLIGHT: u32 = 100;

/// What has to be asked about: a partition that is read, or an end offset somebody wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Partition(PartitionIndex),
    End(u64),
}

/// Where a subject stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// It has been asked about, or nothing is wanted.
    #[default]
    Idle,
    /// It may be fetched from this broker.
    Fetch(NodeId),
    /// This broker has to be asked about it.
    Ask(NodeId),
    /// Nobody leads its partition.
    Leaderless,
    /// It rests after a failure.
    Resting(Instant),
}

/// Somebody wants to know where a partition ends.
#[derive(Clone, Copy, Debug)]
struct EndQuery {
    topic: TopicIndex,
    partition: u32,
    failures: u32,
    rests_until: Instant,
    gives_up_at: Instant,
    asked: bool,
    place: Place,
}

/// What a request in flight was for.
#[derive(Clone, Debug)]
enum Asked {
    Metadata,
    /// And how many offsets had been told by then.
    Offsets(Vec<(Subject, OffsetSpec)>, u64),
    Epochs(Vec<(PartitionIndex, positions::Position)>),
    Fetch(SmallVec<[(PartitionIndex, Offset); 2]>),
    Coordinator,
}

/// One consumer process.
#[derive(Clone, Debug)]
pub struct Consumer {
    config: ConsumerConfig,
    museum: Museum,
    view: ClusterView,
    net: InFlight<Asked>,
    backoff: Backoff,
    partitions: Vec<Partition>,
    by_place: FlatMap<(TopicIndex, u32), PartitionIndex>,
    ends: FlatMap<u64, EndQuery>,
    ends_asked: u64,
    /// How many offsets it has been told.
    offsets_told: u64,
    /// Of how many partitions of an assignment was told, until all of its topics are known.
    announced: Option<usize>,
    fetchable: FlatMap<NodeId, FlatSet<PartitionIndex>>,
    askable: FlatMap<NodeId, FlatSet<Subject>>,
    leaderless: FlatSet<Subject>,
    resting: Deadlines<Subject>,
    /// Brokers with something to fetch or to ask, that may not have been asked yet.
    attention: NodeSet,
    /// Brokers with a fetch in flight.
    fetching: NodeSet,
    /// What has come and the application has not got yet, in the order in which it came.
    buffered: VecDeque<polling::Fetched>,
    /// When the application polls, if there is something for it.
    polls_at: Option<Instant>,
    /// Where the next fetch of a broker begins, so that each of its partitions is the first in turn.
    turns: FlatMap<NodeId, PartitionIndex>,
    /// When a broker that is wanted has rested.
    rested: Option<Instant>,
    /// Its group, if it has one.
    group: Option<group::Group>,
}

impl Consumer {
    /// A process that has not started yet.
    pub fn new(setup: Setup, config: ConsumerConfig) -> Consumer {
        let stream = |name: &str| Rng::named(setup.seed, &format!("{}/{name}", setup.id));
        let retry =
            |name: &str| Backoff::new(config.retry_backoff_ms, config.retry_backoff_max_ms, stream(name));
        let reconnect =
            Backoff::new(config.reconnect_backoff_ms, config.reconnect_backoff_max_ms, stream("reconnect"));
        Consumer {
            group: group::Group::of(&setup, &config),
            museum: setup.museum,
            view: ClusterView::new(
                setup.bootstrap.clone(),
                config.metadata_max_age_ms,
                retry("metadata"),
                setup.museum,
            ),
            net: InFlight::new(Channel::MAIN, config.request_timeout_ms, reconnect, stream("server")),
            backoff: retry("retry"),
            partitions: Vec::new(),
            by_place: FlatMap::new(),
            ends: FlatMap::new(),
            ends_asked: 0,
            offsets_told: 0,
            announced: None,
            fetchable: FlatMap::new(),
            askable: FlatMap::new(),
            leaderless: FlatSet::new(),
            resting: Deadlines::new(),
            attention: NodeSet::new(),
            fetching: NodeSet::new(),
            buffered: VecDeque::new(),
            polls_at: None,
            turns: FlatMap::new(),
            rested: None,
            config,
        }
    }

    fn told(&mut self, now: Now, command: Command, effects: &mut Effects) {
        match command {
            Command::Assign(wanted) => self.assign(now, &wanted, effects),
            Command::Subscribe(topics, application) => self.subscribe(now, topics, application, effects),
            Command::Unsubscribe => self.unsubscribe(now, effects),
            Command::Commit(waits) => self.commit_now(now, waits),
            Command::Stall(long) => self.stall(now, long),
            Command::Seek(named, to) => self.seek(now, &named, State::Seeking(to), effects),
            Command::SeekTo(named, spec) => {
                let state = State::Resetting { spec, why: SeekReason::Asked, asked: false };
                self.seek(now, &named, state, effects);
            }
            Command::Pause(which) => self.pause(now, &which, true, effects),
            Command::Resume(which) => self.pause(now, &which, false, effects),
            Command::EndOffset(named) => self.want_end(now, &named),
            Command::Shutdown => self.close(now, effects),
            _ => {}
        }
    }

    /// The application wants to read these. Ignored while it is subscribed, which Kafka refuses.
    fn assign(&mut self, now: Now, wanted: &[NamedPartition], effects: &mut Effects) {
        if self.is_subscribed() {
            return;
        }
        let mut assigned = FlatSet::new();
        for named in wanted {
            assigned.insert(self.index_of(named));
        }
        self.reassign(now, &assigned, effects);
    }

    fn is_subscribed(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.topics.is_some())
    }

    fn reassign(&mut self, now: Now, assigned: &FlatSet<PartitionIndex>, effects: &mut Effects) {
        for at in (0..self.partitions.len()).map(PartitionIndex) {
            let partition = &mut self.partitions[at.0];
            match (partition.assigned, assigned.contains(&at)) {
                (false, true) => partition.assigned = true,
                // A mutant: it goes on where it was, should it be given the partition again.
                (true, false) if self.museum.has(Bug::StalePositionAfterRebalance) => {
                    partition.assigned = false;
                    partition.buffered = false;
                }
                (true, false) => {
                    partition.assigned = false;
                    partition.paused = false;
                    partition.pending = false;
                    // KAFKA-2978: as if what is dropped below were still to be handed on.
                    partition.buffered &= self.museum.has(Bug::FetchedPositionOutlivesRebalance);
                    partition.state = State::Starting;
                    partition.stored = partition.position.take();
                }
                _ => {}
            }
        }
        self.buffered.retain(|fetched| assigned.contains(&fetched.at));
        self.announced = Some(0);
        // Told before anything else is told of these partitions.
        self.announce(effects);
        if self.announced == Some(0) && self.is_subscribed() {
            // A member tells of its generation even if it has never heard of the topics.
            self.tell_owned(Vec::new(), effects);
        }
        for at in (0..self.partitions.len()).map(PartitionIndex) {
            self.place(now.monotonic, at, effects);
        }
    }

    /// Tells of an assignment as far as the ids of its topics are known, and again when more are: a topic that
    /// is not there keeps nobody from reading the others.
    fn announce(&mut self, effects: &mut Effects) {
        let Some(announced) = self.announced else { return };
        // What is kept is kept also while somebody says that there is no such topic; of what is new, the id is to
        // be heard first.
        let known = |at: PartitionIndex| match &self.partitions[at.0] {
            new if new.state == State::Starting => self.view.partition(new.topic, new.partition),
            _ => self.known(at),
        };
        let assigned = (0..self.partitions.len()).filter(|at| self.partitions[*at].assigned);
        let all = assigned.clone().count();
        let partitions: Vec<_> = assigned.map(PartitionIndex).filter_map(known).collect();
        if partitions.len() == all || partitions.len() > announced {
            self.announced = Some(partitions.len()).filter(|known| *known < all);
            if self.is_subscribed() {
                self.owns_by_now();
                self.tell_owned(partitions, effects);
            } else {
                effects.note(Event::Assigned { partitions });
            }
        }
    }

    fn index_of(&mut self, named: &NamedPartition) -> PartitionIndex {
        let topic = self.view.topic(&named.topic);
        *self.by_place.get_or_insert_with((topic, named.partition), || {
            self.partitions.push(Partition::new(topic, named.partition));
            PartitionIndex(self.partitions.len() - 1)
        })
    }

    fn seek(&mut self, now: Now, named: &NamedPartition, state: State, effects: &mut Effects) {
        let at = self.index_of(named);
        let partition = &mut self.partitions[at.0];
        if partition.assigned {
            partition.state = state;
            partition.rests_until = Instant::ZERO;
            self.place(now.monotonic, at, effects);
        }
    }

    fn pause(&mut self, now: Now, which: &[NamedPartition], paused: bool, effects: &mut Effects) {
        for named in which {
            let at = self.index_of(named);
            let partition = &mut self.partitions[at.0];
            let resumes = core::mem::replace(&mut partition.paused, paused) && !paused;
            if resumes && self.museum.has(Bug::ResumeAtStaleFetchPosition) {
                // librdkafka #4686: it went on where it had fetched last, not where the application was.
                let stale = partition.handed_from.filter(|_| partition.state == State::Fetching);
                if let (Some(position), Some(stale)) = (&mut partition.position, stale) {
                    position.offset = stale;
                }
            }
            self.place(now.monotonic, at, effects);
        }
        if !paused && !self.buffered.is_empty() {
            self.polls_at = earliest(self.polls_at, Some(now.monotonic));
        }
    }

    fn response(&mut self, now: Now, from: NodeId, asked: Asked, response: Response, effects: &mut Effects) {
        match (asked, response) {
            (Asked::Metadata, Response::Metadata(response)) => self.learn(now, &response, effects),
            (Asked::Offsets(asked, after), Response::ListOffsets(response)) => {
                self.offsets_found(now, asked, after, response, effects);
            }
            (Asked::Epochs(asked), Response::OffsetForLeaderEpoch(response)) => {
                self.epochs_found(now, asked, response, effects);
            }
            (Asked::Fetch(asked), Response::Fetch(response)) => {
                self.fetched(now, from, asked, response, effects);
            }
            (Asked::Coordinator, Response::FindCoordinator(response)) => {
                self.coordinator_found(now, &response, effects);
            }
            // An answer to another question: as if there had been none.
            (asked, _) => self.lost(now, from, asked, effects),
        }
    }

    /// A request will not be answered.
    fn lost(&mut self, now: Now, peer: NodeId, asked: Asked, effects: &mut Effects) {
        let error = ErrorCode::NetworkException;
        match asked {
            Asked::Metadata => self.view.ask_failed(now.monotonic),
            Asked::Offsets(asked, _) => {
                for (subject, _) in asked {
                    self.lookup_failed(now, subject, error, None, effects);
                }
            }
            Asked::Epochs(asked) => {
                for (at, _) in asked {
                    self.lookup_failed(now, Subject::Partition(at), error, None, effects);
                }
            }
            Asked::Coordinator => self.search_failed(now, error, effects),
            Asked::Fetch(_) => {
                self.fetching.remove(peer);
                self.attention.insert(peer);
            }
        }
    }

    fn disconnected(&mut self, now: Now, peer: NodeId, effects: &mut Effects) {
        for (_, asked) in self.net.broken(now.monotonic, peer) {
            self.lost(now, peer, asked, effects);
        }
        self.view.want_update();
    }

    fn learn(&mut self, now: Now, response: &MetadataResponse, effects: &mut Effects) {
        let changed = self.view.learn(now.monotonic, response, effects);
        self.announce(effects);
        if let Some(group) = &mut self.group {
            group.look_again = true;
        }
        for (topic, partition) in changed {
            if let Some(at) = self.by_place.get(&(topic, partition)).copied() {
                self.partitions[at.0].rests_until = Instant::ZERO;
                self.place(now.monotonic, at, effects);
            }
        }
        let waiting: Vec<Subject> = self.leaderless.iter().copied().collect();
        for subject in waiting {
            self.place_subject(now.monotonic, subject, effects);
        }
    }

    /// What every step ends with: whatever is due by time, and whatever can be asked now.
    fn go_on(&mut self, now: Now, effects: &mut Effects) {
        while let Some((peer, lost)) = self.net.time_out(now.monotonic, effects) {
            for (_, asked) in lost {
                self.lost(now, peer, asked, effects);
            }
            self.view.want_update();
        }
        while let Some(subject) = self.resting.pop_due(now.monotonic) {
            self.set_place(subject, Place::Idle);
            self.place_subject(now.monotonic, subject, effects);
        }
        if self.polls_at.is_some_and(|at| at <= now.monotonic) {
            self.poll(now, effects);
        }
        self.tend(now, effects);
        self.rested = None;
        for broker in self.attention.clone().iter() {
            if let Some(until) = self.net.rests_until(now.monotonic, broker) {
                self.rested = earliest(self.rested, Some(until));
            } else if self.net.can_send(now.monotonic, broker, MAX_IN_FLIGHT) {
                self.attention.remove(broker);
                self.ask(now, broker, effects);
                self.fetch(now, broker, effects);
            }
        }
        if !self.leaderless.is_empty() {
            self.view.want_update();
        }
        self.view.ask(now.monotonic, &mut self.net, Asked::Metadata, effects);
    }
}

impl Machine for Consumer {
    fn step(&mut self, now: Now, input: Input, effects: &mut Effects) {
        match input {
            Input::Told(command) => self.told(now, *command, effects),
            Input::Response { from, channel: Channel::MAIN, correlation, response } => {
                if let Some(asked) = self.net.answered(from, correlation) {
                    self.response(now, from, asked, response, effects);
                }
            }
            Input::Disconnected { peer, channel: Channel::MAIN, .. } => {
                self.disconnected(now, peer, effects);
            }
            Input::Response { from, channel: Channel::GROUP, correlation, response } => {
                let errand = self.group.as_mut().and_then(|group| group.net.answered(from, correlation));
                if let Some(errand) = errand {
                    self.group_answered(now, errand, response, effects);
                }
            }
            Input::Disconnected { peer, channel: Channel::GROUP, .. } => {
                self.group_disconnected(now, peer, effects);
            }
            _ => {}
        }
        self.go_on(now, effects);
    }

    fn deadline(&self) -> Option<Instant> {
        let group = self.group.as_ref();
        let of_group = group.map(|group| earliest(group.net.deadline(), group.wakes));
        [self.view.deadline(), self.net.deadline(), self.resting.next(), self.polls_at]
            .into_iter()
            .chain(of_group)
            .fold(self.rested, earliest)
    }
}

#[cfg(test)]
mod tests;
