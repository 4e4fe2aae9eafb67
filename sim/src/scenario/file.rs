//! What can a scenario file say?
//!
//! Plain structs and externally tagged enums only: serde keeps the path to a mistake through nothing else.
//! Unknown keys are errors. What a value means, and whether the parts fit together, is looked at elsewhere
//! (`scenario::meaning`).

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trial_model::units::NodeId;

use super::values::{
    AnyKind, Api, Bandwidth, BugName, Chance, CheckName, PartitionName, Rate, Seed, Selector, Setting, Shift,
    Size, Span, Spread,
};

/// The version of the format that this program reads and writes.
pub const VERSION: u32 = 1;

/// Kafka's configuration keys and what they are set to.
pub type Config = BTreeMap<String, Setting>;

/// Settings were checked when the scenario was loaded; one that does not fit is left at its default.
pub(crate) fn apply(all: &Config, own: Option<&Config>, mut set: impl FnMut(&str, &str) -> bool) {
    for (key, setting) in all.iter().chain(own.into_iter().flatten()) {
        let known = set(key, &setting.0);
        debug_assert!(known, "the loader lets no bad setting through: {key}={}", setting.0);
    }
}

/// A scenario: what is tried, on what cluster, and what must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Where an editor finds the schema.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The version of this file's format: 1.
    pub version: u32,
    /// What it is called: the file's name without its ending.
    pub name: String,
    /// What it shows, for whoever reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Pins the seed. A repro has one; a scenario has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Seed>,
    /// Historical bugs that are switched on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plant: Vec<BugName>,
    /// The cluster and the world it stands in.
    pub topology: Topology,
    /// The clients and what they are told to do.
    #[serde(default)]
    pub workload: Vec<Actor>,
    /// What goes wrong, and when.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// What else goes wrong, drawn from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nemesis: Option<Nemesis>,
    /// How long it takes.
    pub phases: Phases,
    /// What must hold, and what must happen; every check there is if it names none.
    #[serde(default)]
    pub properties: Vec<Property>,
    /// How it should end.
    #[serde(default)]
    pub expect: Expect,
    /// Has every message go through Kafka's frames and back, in drawn versions. The run stays the same; it fails if a
    /// message does not arrive as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire: Option<bool>,
    /// Where a repro came from; written by the tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// The cluster and the world it stands in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// How many controllers: controller-1, controller-2 …
    pub controllers: u32,
    /// How many brokers: broker-1, broker-2 …
    pub brokers: u32,
    /// Kafka's keys for every broker.
    #[serde(default)]
    pub broker_config: Config,
    /// Kafka's keys for every controller.
    #[serde(default)]
    pub controller_config: Config,
    /// Kafka's keys for single nodes, by name, over those for all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_config: BTreeMap<String, Config>,
    /// The topics that are created before anything else happens.
    #[serde(default)]
    pub topics: Vec<Topic>,
    /// How messages travel.
    #[serde(default)]
    pub network: Network,
    /// How disks behave.
    #[serde(default)]
    pub disk: Disk,
    /// Clocks that differ from everybody else's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clocks: Vec<Clock>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    #[serde(default = "one")]
    pub partitions: u32,
    /// How many replicas each has.
    #[serde(default = "one")]
    pub replication: u32,
    /// The brokers of each partition by number, the preferred leader first; the controller chooses if left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<Vec<Vec<u32>>>,
    /// Kafka's topic configuration keys.
    #[serde(default)]
    pub config: Config,
}

/// How messages travel on every link that `links` does not name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// How long a message takes, one way.
    pub latency: Spread,
    /// How many bytes a second a link carries each way; unlimited if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// The chance that a segment is lost: TCP sends it again after `retransmit`.
    pub loss: Chance,
    /// How long TCP waits before it sends a lost segment again; doubled each time.
    pub retransmit: Span,
    /// For how long TCP goes on sending a segment that is not acknowledged before it gives the connection up.
    pub give_up: Span,
    /// How long a connection may take to open.
    pub connect_timeout: Span,
    /// Links that are unlike the others, the last that fits deciding.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

impl Default for Network {
    fn default() -> Network {
        Network {
            latency: Spread { min: Span::micros(100), mean: Span::micros(500), max: Span::millis(10) },
            bandwidth: None,
            loss: Chance::NEVER,
            retransmit: Span::millis(200),
            give_up: Span::millis(15_000),
            connect_timeout: Span::millis(10_000),
            links: Vec::new(),
        }
    }
}

/// A link that is unlike the others; what it leaves out is as on every link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Who sends: a node's name, or all:brokers and the like.
    pub from: Selector,
    /// Who receives: a node's name, or all:brokers and the like.
    pub to: Selector,
    /// Only from `from` to `to`, not back.
    #[serde(default)]
    pub one_way: bool,
    /// How long a message takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Spread>,
    /// How many bytes a second it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// The chance that a segment is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Chance>,
}

/// How disks behave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Disk {
    /// How long a write takes to reach the page cache.
    pub write: Spread,
    /// How long a flush takes to reach the platter (fsync).
    pub flush: Spread,
    /// How long a read takes.
    pub read: Spread,
    /// After how long the operating system brings a written page to the platter by itself; never if left
    /// out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writeback: Option<Span>,
    /// How many bytes it holds; unlimited if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Size>,
}

impl Default for Disk {
    fn default() -> Disk {
        Disk {
            write: Spread { min: Span::micros(5), mean: Span::micros(20), max: Span::millis(1) },
            flush: Spread { min: Span::micros(500), mean: Span::millis(2), max: Span::millis(40) },
            read: Spread { min: Span::micros(20), mean: Span::micros(100), max: Span::millis(5) },
            writeback: None,
            capacity: None,
        }
    }
}

/// A clock that differs from everybody else's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Whose.
    pub node: Selector,
    /// How far its wall clock is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<Shift>,
    /// How many millionths too fast both its clocks run; negative for too slow.
    #[serde(default)]
    pub drift_ppm: i32,
}

/// One kind of client, `count` times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Sends records.
    Producer(Producer),
    /// Reads records.
    Consumer(Consumer),
    /// Changes the cluster.
    Admin(Admin),
}

impl Actor {
    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Actor::Producer(it) => &it.name,
            Actor::Consumer(it) => &it.name,
            Actor::Admin(it) => &it.name,
        }
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        match self {
            Actor::Producer(it) => it.count,
            Actor::Consumer(it) => it.count,
            Actor::Admin(_) => 1,
        }
    }
}

/// Sends records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Producer {
    /// What it is called; with a count, p becomes p-1, p-2 …
    pub name: String,
    /// How many of them.
    #[serde(default = "one")]
    pub count: u32,
    /// Where to.
    pub topic: String,
    /// To which partition; the partitioner chooses if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// Who must have a record before it counts as sent.
    #[serde(default)]
    pub acks: Acks,
    /// Whether sequence numbers keep retries from duplicating; Kafka's default (yes, if acks and in-flight
    /// requests allow it) if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// How many requests to one broker may be unanswered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// How many records each of them sends.
    pub rate: Rate,
    /// What keys the records have; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// How many of the records say that their key is deleted: they have no value, and a header that names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tombstones: Option<Chance>,
    /// How many bytes a value has.
    #[serde(default = "hundred_bytes")]
    pub size: Size,
    /// Headers on every record, in order; a key may stand twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// After how many records each of them stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// When it begins.
    #[serde(default)]
    pub from: Span,
    /// When it stops; at the end of the chaos phase if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Span>,
    /// Kafka's producer configuration keys.
    #[serde(default)]
    pub config: Config,
}

/// Kafka's `acks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Acks {
    /// Every replica in sync.
    #[default]
    #[serde(rename = "all")]
    All,
    /// The leader.
    #[serde(rename = "1")]
    Leader,
    /// Nobody.
    #[serde(rename = "0")]
    None,
}

impl Acks {
    /// As Kafka's configuration spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Acks::All => "all",
            Acks::Leader => "1",
            Acks::None => "0",
        }
    }
}

/// What keys records have: `k-0` to `k-…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// Each as often as every other.
    Uniform(KeyCount),
    /// The n-th drawn with a weight of 1/n.
    Zipf(KeyCount),
    /// One after another.
    Cycle(KeyCount),
}

/// How many keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyCount {
    /// How many.
    pub count: u32,
}

/// A header of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Reads records of the partitions it is assigned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// What it is called; with a count, c becomes c-1, c-2 …
    pub name: String,
    /// How many of them, each reading everything.
    #[serde(default = "one")]
    pub count: u32,
    /// Reads every partition of a topic …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// … or these partitions; or none, until a step assigns some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<Vec<PartitionName>>,
    /// The group it is a member of (`group.id`): it reads its share of the topics, and goes on where the group is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// As a member of a group: reads these topics, in place of `topic`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// As a member of a group: reads every topic whose name fits this pattern (`orders-.*`), in place of `topic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Its lasting name in the group (`group.instance.id`); with a count, till becomes till-1, till-2 …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// How long its application works on a record before it polls again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_record: Option<Span>,
    /// When its application commits; `auto` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commits: Option<CommitPolicy>,
    /// Where it begins; `auto.offset.reset` decides if left out, which is earliest here.
    #[serde(default)]
    pub from: Start,
    /// What its application does besides reading.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ConsumerStep>,
    /// Kafka's consumer configuration keys.
    #[serde(default)]
    pub config: Config,
}

/// When a member of a group commits how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommitPolicy {
    /// By itself, every `auto.commit.interval.ms`, what the polls before gave (`enable.auto.commit`).
    Auto,
    /// Before it works on what a poll gave it, waiting for the answer: what it fails at is lost.
    Before,
    /// When it has worked on what a poll gave it, waiting for the answer: what it fails at is repeated.
    After,
    /// When it has worked on what a poll gave it, without waiting.
    AfterAsync,
    /// Never.
    Never,
}

/// Where a consumer begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At the log's start.
    #[default]
    Earliest,
    /// At the high watermark.
    Latest,
    /// At an offset.
    Offset(u64),
    /// At the first record of this time of the run or later.
    Time(Span),
}

/// Something that a consumer's application does at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumerStep {
    /// When.
    pub at: Span,
    /// What.
    #[serde(rename = "do")]
    pub act: ConsumerAction,
}

/// What a consumer's application does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsumerAction {
    /// Goes on at an offset.
    Seek(Seek),
    /// Goes on at the first record of a time of the run or later.
    SeekToTime(SeekToTime),
    /// Goes on at the log's start.
    SeekToBeginning(OfPartitions),
    /// Goes on at the high watermark.
    SeekToEnd(OfPartitions),
    /// Stops reading for a while.
    Pause(OfPartitions),
    /// Reads again.
    Resume(OfPartitions),
    /// Reads exactly these from now on.
    Assign(Assign),
    /// Asks where partitions end.
    EndOffset(OfPartitions),
    /// As a member of a group: commits where it is.
    Commit(CommitNow),
    /// Does something else for a while, without polling.
    Stall(Stall),
    /// Leaves its group and reads nothing.
    Unsubscribe(Nothing),
    /// Is a member of its group again.
    Subscribe(Nothing),
}

/// A commit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitNow {
    /// Whether it waits for the answer (`commitSync`).
    #[serde(default)]
    pub sync: bool,
}

/// A time without a poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stall {
    /// How long.
    #[serde(rename = "for")]
    pub duration: Span,
}

/// Nothing to say: `{}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Where to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seek {
    /// In which partition.
    pub partition: PartitionName,
    /// At which offset.
    pub offset: u64,
}

/// From when to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeekToTime {
    /// In which partitions; all that it is assigned if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<Vec<PartitionName>>,
    /// The time of the run.
    pub time: Span,
}

/// Some of a consumer's partitions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfPartitions {
    /// Which; all that it is assigned if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<Vec<PartitionName>>,
}

/// What to read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    /// Which.
    pub partitions: Vec<PartitionName>,
}

/// Changes the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// What it is called.
    pub name: String,
    /// What it does at given times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<AdminStep>,
    /// How often it does one of `ops`, until the end of the chaos phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// What it draws from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<AdminAction>,
}

/// Something that an operator does at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminStep {
    /// When.
    pub at: Span,
    /// What.
    #[serde(rename = "do")]
    pub act: AdminAction,
}

/// What an operator does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdminAction {
    /// Creates a topic.
    CreateTopic(Topic),
    /// Deletes a topic.
    DeleteTopic(OfTopic),
    /// Gives a topic more partitions.
    CreatePartitions(CreatePartitions),
    /// Drops the beginning of a log.
    DeleteRecords(DeleteRecords),
    /// Has leaders elected.
    ElectLeaders(ElectLeaders),
    /// Asks how a topic stands.
    DescribeTopic(OfTopic),
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfTopic {
    /// Which.
    pub topic: String,
}

/// How many partitions a topic shall have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePartitions {
    /// Which topic.
    pub topic: String,
    /// How many in all.
    pub total: u32,
}

/// Where a log shall begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteRecords {
    /// Of which partition.
    pub partition: PartitionName,
    /// The first offset to keep; the high watermark if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// An election asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ElectLeaders {
    /// Which kind (KIP-460).
    #[serde(default)]
    pub kind: Election,
    /// Of which partitions; of all if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<Vec<PartitionName>>,
}

/// Which kind of election.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Election {
    /// The preferred replica, if it is in sync.
    #[default]
    Preferred,
    /// Any live replica, if none in sync is alive.
    Unclean,
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What it is called; other faults and the report name it so.
    pub id: String,
    /// When it begins.
    pub when: When,
    /// What it does.
    #[serde(rename = "do")]
    pub act: Action,
    /// How long it lasts; until the end of the chaos phase if left out.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
    /// How often it may fire; once if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

/// When a fault begins: exactly one of `at`, `event` and `step`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// At a time of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// At an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventPattern>,
    /// At the beginning of the fault with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// That much later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Span>,
}

/// What a fault waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trigger<'a> {
    /// A time of the run.
    At(Duration),
    /// An event.
    Event(&'a EventPattern),
    /// The beginning of another fault.
    Step(&'a str),
}

impl When {
    /// What it waits for; `None` if it does not say exactly one thing, which no loaded scenario has.
    pub fn trigger(&self) -> Option<Trigger<'_>> {
        match (&self.at, &self.event, &self.step) {
            (Some(at), None, None) => Some(Trigger::At(at.0)),
            (None, Some(event), None) => Some(Trigger::Event(event)),
            (None, None, Some(step)) => Some(Trigger::Step(step)),
            _ => None,
        }
    }

    /// How much later.
    pub fn delay(&self) -> Duration {
        self.delay.map_or(Duration::ZERO, |delay| delay.0)
    }
}

/// Which events a trigger waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventPattern {
    /// Of which kind.
    pub kind: AnyKind,
    /// About which partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionName>,
    /// Stated by which node, or happening to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Selector>,
    /// Only the n-th of them, counted from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u32>,
    /// Only every n-th of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u32>,
    /// Only once the fault with this id has begun; counting starts there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A process dies; it starts again after `for`.
    Crash(Crash),
    /// A process dies and everything on its disk is gone; it starts again after `for`.
    LoseDisk(OnNode),
    /// A process that is not running starts.
    Restart(OnNode),
    /// A process is asked to shut down in an orderly way (SIGTERM); it starts again after `for`.
    Shutdown(OnNode),
    /// A process stands still, as in a long garbage collection.
    Pause(OnNode),
    /// A process takes that much longer to get to each of its inputs.
    SlowNode(SlowNode),
    /// Nothing gets from one side to another.
    Cut(Cut),
    /// Ends faults of the network before their time.
    Heal(Heal),
    /// Messages of one kind are lost.
    Drop(DropMessages),
    /// Messages of one kind are late.
    Delay(DelayMessages),
    /// Every message is late.
    SlowLink(SlowLink),
    /// Segments are lost.
    LossyLink(LossyLink),
    /// Only so much gets through.
    LimitLink(LimitLink),
    /// Open connections are reset.
    Reset(BetweenNodes),
    /// Every disk operation takes longer.
    SlowDisk(SlowNode),
    /// Disk operations fail.
    DiskError(FailDisk),
    /// No space is left on the disk.
    FullDisk(OnNode),
    /// Flushes are acknowledged and not done.
    LyingFlush(OnNode),
    /// A bit on the platter flips.
    BitRot(BitRot),
    /// The wall clock is put forward or back, and stays so.
    ClockJump(ShiftClock),
    /// The wall clock is off as long as the fault lasts.
    ClockOffset(ShiftClock),
    /// Both clocks run too fast or too slow.
    ClockDrift(DriftClock),
}

/// A process dies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    /// Whose.
    pub node: Selector,
    /// Whether the machine loses its power, and so what was not flushed.
    #[serde(default)]
    pub lose_unsynced: bool,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnNode {
    /// Which.
    pub node: Selector,
}

/// A node is slow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowNode {
    /// Which.
    pub node: Selector,
    /// By how much.
    pub by: Spread,
}

/// Nothing gets from one side to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// Who is with whom. A node on no side is not cut off from anybody.
    pub sides: Vec<Vec<Selector>>,
    /// Only what the first side sends to the second is lost.
    #[serde(default)]
    pub one_way: bool,
}

/// Ends faults of the network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heal {
    /// Which fault; all of them if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Messages of one kind are lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropMessages {
    /// Who sends them.
    pub from: Selector,
    /// Whom to.
    pub to: Selector,
    /// Which kind of request; any if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    /// The responses to such requests and not the requests.
    #[serde(default)]
    pub response: bool,
    /// The chance for each of them.
    #[serde(default = "always")]
    pub chance: Chance,
}

/// Messages of one kind are late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelayMessages {
    /// Who sends them.
    pub from: Selector,
    /// Whom to.
    pub to: Selector,
    /// Which kind of request; any if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    /// The responses to such requests and not the requests.
    #[serde(default)]
    pub response: bool,
    /// The chance for each of them.
    #[serde(default = "always")]
    pub chance: Chance,
    /// By how much.
    pub by: Spread,
}

/// Every message is late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowLink {
    /// Who sends.
    pub from: Selector,
    /// Who receives.
    pub to: Selector,
    /// Only in that direction.
    #[serde(default)]
    pub one_way: bool,
    /// By how much.
    pub by: Spread,
}

/// Segments are lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LossyLink {
    /// Who sends.
    pub from: Selector,
    /// Who receives.
    pub to: Selector,
    /// Only in that direction.
    #[serde(default)]
    pub one_way: bool,
    /// The chance for each.
    pub loss: Chance,
}

/// Only so much gets through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitLink {
    /// Who sends.
    pub from: Selector,
    /// Who receives.
    pub to: Selector,
    /// Only in that direction.
    #[serde(default)]
    pub one_way: bool,
    /// How much.
    pub bandwidth: Bandwidth,
}

/// Two nodes, or two sets of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BetweenNodes {
    /// One.
    pub from: Selector,
    /// The other.
    pub to: Selector,
}

/// Disk operations fail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailDisk {
    /// Whose.
    pub node: Selector,
    /// Which operations.
    pub kind: DiskErrorKind,
    /// The chance for each of them.
    #[serde(default = "always")]
    pub chance: Chance,
}

/// Which disk operations fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiskErrorKind {
    /// Reads.
    Read,
    /// Everything that changes the page cache.
    Write,
    /// Flushes and directory syncs.
    Flush,
}

/// A bit on the platter flips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BitRot {
    /// Whose.
    pub node: Selector,
    /// In the log of which partition; in any file if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionName>,
}

/// A clock is put.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShiftClock {
    /// Whose.
    pub node: Selector,
    /// By how much; back with a minus.
    pub by: Shift,
}

/// A clock runs too fast or too slow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftClock {
    /// Whose.
    pub node: Selector,
    /// By how many millionths; negative for too slow.
    pub ppm: i32,
}

/// Faults that the seed draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nemesis {
    /// From when until when they begin.
    pub between: [Span; 2],
    /// How long from one to the next.
    pub every: Spread,
    /// How long each lasts.
    #[serde(default = "nemesis_lasts")]
    pub lasts: Spread,
    /// How many at once.
    #[serde(default = "one")]
    pub at_most: u32,
    /// The chance that a kind is used at all under a seed; every kind is if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<Chance>,
    /// What must be left standing.
    #[serde(default)]
    pub keep: Keep,
    /// How often each kind is drawn, against the others.
    pub weights: BTreeMap<NemesisKind, u32>,
}

/// A kind of fault that a nemesis draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NemesisKind {
    /// A server's process dies and starts again.
    Crash,
    /// A server loses its power and starts again.
    PowerLoss,
    /// A server is restarted in an orderly way.
    Shutdown,
    /// A server stands still.
    Pause,
    /// The servers fall into two sides.
    Cut,
    /// What one server sends to another is lost.
    OneWayCut,
    /// The messages between two servers are late.
    SlowLink,
    /// Segments between two servers are lost.
    LossyLink,
    /// Connections of a server are reset.
    Reset,
    /// A server's disk is slow.
    SlowDisk,
    /// A server's disk fails some operations.
    DiskError,
    /// A server's wall clock jumps.
    ClockJump,
    /// A client starts anew.
    ClientRestart,
    /// A client stands still.
    ClientPause,
    /// Some requests of a kind are lost, or some responses.
    Drop,
    /// Some requests of a kind are late, or some responses, and whatever is behind them on their connections.
    Delay,
}

/// What a nemesis must leave standing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// How many controllers stay unharmed.
    pub controllers: KeepRule,
    /// How many brokers stay unharmed.
    pub brokers: KeepRule,
}

/// How many of a kind stay unharmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeepRule {
    /// More than half.
    #[default]
    Majority,
    /// All but one.
    AllButOne,
    /// One.
    One,
    /// None.
    Nothing,
}

/// How long it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phases {
    /// For how long anything may break.
    pub chaos: Span,
    /// For how long afterwards, with every fault ended and every node running, the cluster has time to come
    /// to rest.
    #[serde(default = "ten_seconds")]
    pub settle: Span,
}

/// A promise, or a goal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Property {
    /// Which check; `sometimes` for a goal.
    pub check: CheckName,
    /// Only about this topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// `sometimes`: which event must occur.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<AnyKind>,
    /// `sometimes`: how often, at least; once if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<u32>,
    /// When it must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<CheckWhen>,
    /// How soon after the faults have ended it must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
}

/// When a promise must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckWhen {
    /// At every step.
    Always,
    /// Once the cluster has come to rest.
    Settled,
}

/// How a scenario should end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// Everything holds.
    #[default]
    Pass,
    /// A promise is broken: for setups that are known to be bad, and lessons.
    Violates(CheckName),
}

/// Where a repro came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Origin {
    /// By which command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found_by: Option<String>,
    /// Under which seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<Seed>,
    /// At which place in the series of seeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// With which build: `trial`, `commit`, `rustc`, `madsim`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub build: BTreeMap<String, String>,
    /// The digest of its trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_hash: Option<String>,
    /// The name of its kind of failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
}

fn one() -> u32 {
    1
}

fn hundred_bytes() -> Size {
    Size(100)
}

fn always() -> Chance {
    Chance::ALWAYS
}

fn nemesis_lasts() -> Spread {
    Spread { min: Span::millis(100), mean: Span::millis(1_000), max: Span::millis(5_000) }
}

fn ten_seconds() -> Span {
    Span::millis(10_000)
}

/// One client process of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// What it is called: `p1`, or `p1-2` where the actor's count is more than one.
    pub name: String,
    /// Its number.
    pub id: NodeId,
    /// Which actor of the workload it belongs to, by position.
    pub actor: usize,
    /// Which of that actor's processes it is, counted from zero.
    pub nth: u32,
}

impl Scenario {
    /// Every client process, in the order of the workload; numbered from one.
    pub fn clients(&self) -> Vec<Client> {
        let mut clients = Vec::new();
        for (actor, it) in self.workload.iter().enumerate() {
            for nth in 0..it.count() {
                let name =
                    if it.count() == 1 { it.name().into() } else { format!("{}-{}", it.name(), nth + 1) };
                let id = NodeId::client(u32::try_from(clients.len()).unwrap_or(u32::MAX) + 1);
                clients.push(Client { name, id, actor, nth });
            }
        }
        clients
    }

    /// Everything that operators ask for.
    pub fn admin_actions(&self) -> impl Iterator<Item = &AdminAction> {
        let admins = self.workload.iter().filter_map(|actor| match actor {
            Actor::Admin(admin) => Some(admin),
            _ => None,
        });
        admins.flat_map(|admin| admin.steps.iter().map(|step| &step.act).chain(&admin.ops))
    }

    /// The topics that operators create.
    pub fn created_topics(&self) -> impl Iterator<Item = &Topic> {
        self.admin_actions().filter_map(|action| match action {
            AdminAction::CreateTopic(topic) => Some(topic),
            _ => None,
        })
    }

    /// Every node: controllers, then brokers, then clients, each with its name.
    pub fn nodes(&self) -> Vec<(NodeId, String)> {
        let controllers = (1..=self.topology.controllers).map(NodeId::controller);
        let brokers = (1..=self.topology.brokers).map(NodeId::broker);
        let servers = controllers.chain(brokers).map(|node| (node, node.to_string()));
        servers.chain(self.clients().into_iter().map(|client| (client.id, client.name))).collect()
    }

    /// When the chaos phase ends and when the run ends, counted from its beginning.
    pub fn ends(&self) -> (Duration, Duration) {
        (self.phases.chaos.0, self.phases.chaos.0 + self.phases.settle.0)
    }
}
