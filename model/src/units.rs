//! What do the numbers of the protocol mean, and which of them may be added?
//!
//! Every kind of number is a type of its own, so an offset is never compared with an epoch. A name that
//! ends in `end` is one past the last; a stretch of log is a `Range<Offset>`.

use alloc::sync::Arc;
use core::{
    fmt,
    ops::{Add, AddAssign, Sub},
};

use serde::{Deserialize, Serialize};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

macro_rules! counts_up {
    ($name:ident) => {
        impl $name {
            /// The one after this.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
    };
}

unit! {
    /// A position in a log, counted in records from zero.
    Offset(u64)
}
unit! {
    /// How many records.
    RecordCount(u64)
}
unit! {
    /// The term of a partition's leader, or of a quorum's. Raised by every election.
    LeaderEpoch(u32)
}
unit! {
    /// The version of a partition's leader and ISR, raised by the controller at every change (KIP-497).
    PartitionEpoch(u32)
}
unit! {
    /// One registration of a broker with the controller; a restart gets a greater one (KIP-380, KIP-631).
    BrokerEpoch(u64)
}
unit! {
    /// An idempotent producer, named by the controller (KIP-98).
    ProducerId(u64)
}
unit! {
    /// One life of a producer id (KIP-98, KIP-360).
    ProducerEpoch(u16)
}
unit! {
    /// A topic for as long as it exists; a topic created again under its name gets another (KIP-516).
    ///
    /// The lower half of Kafka's UUID; the upper half is fixed.
    TopicId(u64)
}
unit! {
    /// Which request a response answers, on one connection.
    CorrelationId(u32)
}
unit! {
    /// One life of a broker process, drawn afresh at every start (KIP-631, `IncarnationId`).
    Incarnation(u64)
}

counts_up!(Offset);
counts_up!(LeaderEpoch);
counts_up!(PartitionEpoch);
counts_up!(BrokerEpoch);
counts_up!(ProducerEpoch);
counts_up!(CorrelationId);

impl Offset {
    /// Where every log begins.
    pub const ZERO: Offset = Offset(0);

    /// The offset before this one, or `None` at zero.
    pub fn before(self) -> Option<Offset> {
        self.0.checked_sub(1).map(Offset)
    }
}

impl Add<RecordCount> for Offset {
    type Output = Offset;
    fn add(self, count: RecordCount) -> Offset {
        Offset(self.0 + count.0)
    }
}

impl AddAssign<RecordCount> for Offset {
    fn add_assign(&mut self, count: RecordCount) {
        self.0 += count.0;
    }
}

impl Sub for Offset {
    type Output = RecordCount;
    /// How many records lie from `earlier` up to here; zero if `earlier` is not earlier.
    fn sub(self, earlier: Offset) -> RecordCount {
        RecordCount(self.0.saturating_sub(earlier.0))
    }
}

impl TopicId {
    /// `__cluster_metadata`, the controllers' own log (KIP-595: Kafka's UUID of value 1).
    pub const METADATA: TopicId = TopicId(1);
}

/// The position of a record among those of one producer in one partition (KIP-98).
///
/// Counts from zero to `i32::MAX` and then starts again at zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u32);

impl Sequence {
    const WRAP: u64 = i32::MAX as u64 + 1;

    /// The sequence `count` records later, wrapping after `i32::MAX`.
    #[must_use]
    pub fn plus(self, count: RecordCount) -> Sequence {
        Sequence(((u64::from(self.0) + count.0) % Self::WRAP) as u32)
    }

    /// How many records later `self` is than `earlier`, counted forward round the wrap.
    pub fn since(self, earlier: Sequence) -> RecordCount {
        RecordCount((u64::from(self.0) + Self::WRAP - u64::from(earlier.0)) % Self::WRAP)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A member of the cluster or one of its clients: Kafka's `node.id`, from a range that tells the role.
///
/// Serialized as its name where people may read it, `"broker-2"`, and as its number elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl Serialize for NodeId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { s.serialize_u32(self.0) }
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<NodeId, D::Error> {
        if !d.is_human_readable() {
            return u32::deserialize(d).map(NodeId);
        }
        let name = alloc::string::String::deserialize(d)?;
        let (role, nth) = name.rsplit_once('-').unwrap_or_default();
        match (role, nth.parse()) {
            ("broker", Ok(nth)) => Ok(NodeId::broker(nth)),
            ("controller", Ok(nth)) => Ok(NodeId::controller(nth)),
            ("client", Ok(nth)) => Ok(NodeId::client(nth)),
            _ => Err(serde::de::Error::custom("expected a node, such as \"broker-2\"")),
        }
    }
}

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeRole {
    /// Serves partitions.
    Broker,
    /// A voter of the metadata quorum.
    Controller,
    /// A producer, consumer or admin.
    Client,
}

impl NodeId {
    const CONTROLLERS: u32 = 10_000;
    const CLIENTS: u32 = 20_000;

    /// The `nth` broker, counted from one.
    pub const fn broker(nth: u32) -> NodeId {
        NodeId(nth)
    }

    /// The `nth` controller, counted from one.
    pub const fn controller(nth: u32) -> NodeId {
        NodeId(Self::CONTROLLERS + nth)
    }

    /// The `nth` client, counted from one.
    pub const fn client(nth: u32) -> NodeId {
        NodeId(Self::CLIENTS + nth)
    }

    /// Which range the number lies in.
    #[inline]
    pub const fn role(self) -> NodeRole {
        match self.0 {
            0..Self::CONTROLLERS => NodeRole::Broker,
            Self::CONTROLLERS..Self::CLIENTS => NodeRole::Controller,
            _ => NodeRole::Client,
        }
    }

    /// The number within its role, counted from one.
    #[inline]
    pub const fn nth(self) -> u32 {
        match self.role() {
            NodeRole::Broker => self.0,
            NodeRole::Controller => self.0 - Self::CONTROLLERS,
            NodeRole::Client => self.0 - Self::CLIENTS,
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role() {
            NodeRole::Broker => write!(f, "broker-{}", self.nth()),
            NodeRole::Controller => write!(f, "controller-{}", self.nth()),
            NodeRole::Client => write!(f, "client-{}", self.nth()),
        }
    }
}

/// One partition of one topic.
///
/// Serialized as `"topic#2-0"` where people may read it, and as its numbers elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// Which partition, counted from zero.
    pub partition: u32,
}

impl TopicPartition {
    /// The only partition of the controllers' log.
    pub const METADATA: TopicPartition = TopicPartition { topic: TopicId::METADATA, partition: 0 };

    /// The partition `partition` of `topic`.
    pub const fn new(topic: TopicId, partition: u32) -> TopicPartition {
        TopicPartition { topic, partition }
    }

    /// Whether this is the controllers' log.
    pub fn is_metadata(self) -> bool {
        self.topic == TopicId::METADATA
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_metadata() {
            f.write_str("__cluster_metadata-0")
        } else {
            write!(f, "topic#{}-{}", self.topic.0, self.partition)
        }
    }
}

impl Serialize for TopicPartition {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { (self.topic, self.partition).serialize(s) }
    }
}

impl<'de> Deserialize<'de> for TopicPartition {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<TopicPartition, D::Error> {
        if !d.is_human_readable() {
            return <(TopicId, u32)>::deserialize(d)
                .map(|(topic, partition)| TopicPartition { topic, partition });
        }
        let name = alloc::string::String::deserialize(d)?;
        if name == "__cluster_metadata-0" {
            return Ok(TopicPartition::METADATA);
        }
        let numbers = name.strip_prefix("topic#").and_then(|rest| rest.rsplit_once('-'));
        match numbers.map(|(topic, partition)| (topic.parse(), partition.parse())) {
            Some((Ok(topic), Ok(partition))) => Ok(TopicPartition::new(TopicId(topic), partition)),
            _ => Err(serde::de::Error::custom("expected a partition, such as \"topic#2-0\"")),
        }
    }
}

/// A chance of `.0` in `.1`. No float decides anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ratio(pub u64, pub u64);

impl Ratio {
    /// It never happens.
    pub const NEVER: Ratio = Ratio(0, 1);
    /// It always happens.
    pub const ALWAYS: Ratio = Ratio(1, 1);
}

/// A set of nodes in ascending order: an ISR, a set of voters.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeSet(smallvec::SmallVec<[NodeId; 6]>);

/// In one piece, where `SmallVec` clones one by one: events and answers carry ISRs.
impl Clone for NodeSet {
    fn clone(&self) -> NodeSet {
        NodeSet(smallvec::SmallVec::from_slice(&self.0))
    }
}

impl NodeSet {
    /// The empty set.
    pub fn new() -> NodeSet {
        NodeSet::default()
    }

    /// Adds `node`; says whether it was not there before.
    pub fn insert(&mut self, node: NodeId) -> bool {
        match self.0.binary_search(&node) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, node);
                true
            }
        }
    }

    /// Takes `node` out; says whether it was there.
    pub fn remove(&mut self, node: NodeId) -> bool {
        match self.0.binary_search(&node) {
            Ok(at) => {
                self.0.remove(at);
                true
            }
            Err(_) => false,
        }
    }

    /// Whether `node` is in it.
    pub fn contains(&self, node: NodeId) -> bool {
        self.0.binary_search(&node).is_ok()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = NodeId> + DoubleEndedIterator + '_ {
        self.0.iter().copied()
    }

    /// All of them, in ascending order.
    pub fn as_slice(&self) -> &[NodeId] {
        &self.0
    }

    /// Everything in either.
    #[must_use]
    pub fn union(&self, other: &NodeSet) -> NodeSet {
        self.iter().chain(other.iter()).collect()
    }

    /// What is here and not in `other`.
    #[must_use]
    pub fn minus(&self, other: &NodeSet) -> NodeSet {
        self.iter().filter(|n| !other.contains(*n)).collect()
    }

    /// Whether everything here is also in `other`.
    pub fn is_subset(&self, other: &NodeSet) -> bool {
        self.iter().all(|n| other.contains(n))
    }

    /// This set with `node` added.
    #[must_use]
    pub fn with(&self, node: NodeId) -> NodeSet {
        let mut set = self.clone();
        set.insert(node);
        set
    }

    /// This set with `node` taken out.
    #[must_use]
    pub fn without(&self, node: NodeId) -> NodeSet {
        let mut set = self.clone();
        set.remove(node);
        set
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> NodeSet {
        let mut set = NodeSet::new();
        for node in nodes {
            set.insert(node);
        }
        set
    }
}

/// As people write an ISR: `{1,2,3}` for brokers 1 to 3.
impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, node) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}", node.nth())?;
        }
        f.write_str("}")
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        /// Cheap to clone.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Arc<str>);

        impl $name {
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether nothing is named.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $name("".into())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                Ok($name(alloc::string::String::deserialize(d)?.into()))
            }
        }
    )* };
}

names! {
    /// A consumer group: `group.id`.
    GroupId
    /// A member of a group, as its coordinator knows it. Empty for who is no member yet.
    MemberId
    /// A static member's lasting name: `group.instance.id` (KIP-345).
    InstanceId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_wraps_after_i32_max() {
        let last = Sequence(i32::MAX as u32);
        assert_eq!(last.plus(RecordCount(1)), Sequence(0));
        assert_eq!(Sequence(2).since(Sequence(i32::MAX as u32)), RecordCount(3));
    }

    #[test]
    fn a_node_set_is_ordered_and_prints_as_an_isr() {
        let set: NodeSet = [NodeId::broker(3), NodeId::broker(1), NodeId::broker(3)].into_iter().collect();
        assert_eq!(std::format!("{set}"), "{1,3}");
        assert!(set.contains(NodeId::broker(3)) && !set.contains(NodeId::broker(2)));
    }

    #[test]
    fn a_node_tells_its_role() {
        assert_eq!(std::format!("{}", NodeId::controller(2)), "controller-2");
        assert_eq!(NodeId::client(7).role(), NodeRole::Client);
    }
}
