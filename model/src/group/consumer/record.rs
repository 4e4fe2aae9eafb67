//! What does the log say of a KIP-848 group, record by record?
//!
//! Kafka's `ConsumerGroupMetadataValue`, `ConsumerGroupMemberMetadataValue`,
//! `ConsumerGroupTargetAssignmentMetadataValue`, `ConsumerGroupTargetAssignmentMemberValue`,
//! `ConsumerGroupCurrentMemberAssignmentValue` and `ConsumerGroupRegularExpressionValue`, in version 0 each.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use core::time::Duration;

use bytes::Bytes;

use crate::{
    group::spelling::{Reader, Writer},
    protocol::{TopicName, groups::GroupProtocol},
    time::Timestamp,
    units::{InstanceId, Offset, TopicId, TopicPartition},
};

/// What a member wants to read, and who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// Its `group.instance.id`.
    pub instance: Option<InstanceId>,
    /// Its `client.rack`.
    pub rack: Option<Arc<str>>,
    /// Its `client.id`.
    pub client: Arc<str>,
    /// Where it connects from.
    pub host: Arc<str>,
    /// What it wants to read, by name, in order.
    pub topics: Vec<TopicName>,
    /// What it wants to read, by a regular expression.
    pub pattern: Option<Arc<str>>,
    /// How long it may take to give partitions up; never over if it has not said.
    pub rebalance_timeout: Option<Duration>,
    /// The assignor that it would like.
    pub assignor: Option<Arc<str>>,
    /// Set while it speaks the classic protocol.
    pub classic: Option<ClassicMember>,
}

/// What is known of a member that speaks the classic protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicMember {
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// What it knows, the one it likes best first.
    pub protocols: Vec<GroupProtocol>,
}

/// A group's epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupEpoch {
    /// It goes up whenever who is in the group, or what they want to read, is another.
    pub epoch: i32,
    /// A hash of what was known then of the topics they want to read; zero for nothing.
    pub metadata_hash: i64,
}

/// How far a member has come on its way to its target assignment (Kafka: `MemberState`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberState {
    /// It has everything that it is to have by the target assignment of its epoch.
    #[default]
    Stable,
    /// It has to give partitions up before it can be in the next epoch.
    UnrevokedPartitions,
    /// It waits for partitions that others have not given up yet.
    UnreleasedPartitions,
}

/// Partitions, with the member epoch that each was given in (KIP-1251).
pub type Held = BTreeMap<TopicPartition, i32>;

/// Where a member stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Current {
    /// Its epoch.
    pub epoch: i32,
    /// The epoch before: it may not have heard of the new one yet.
    pub previous: i32,
    /// How far it has come.
    pub state: MemberState,
    /// What it owns, or is told to own.
    pub assigned: Held,
    /// What it is told to give up.
    pub revoking: Held,
}

/// What a regular expression fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The topics.
    pub topics: BTreeSet<TopicName>,
    /// Up to where the log of the metadata was read when it was looked up.
    pub version: Offset,
    /// When that was.
    pub at: Timestamp,
}

/// Regular expressions, with what they fit.
pub type Patterns = BTreeMap<Arc<str>, Resolved>;

impl MemberState {
    /// Kafka's number.
    fn code(self) -> i8 {
        match self {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
        }
    }

    fn of(code: i8) -> Option<MemberState> {
        match code {
            0 => Some(MemberState::Stable),
            1 => Some(MemberState::UnrevokedPartitions),
            2 => Some(MemberState::UnreleasedPartitions),
            _ => None,
        }
    }
}

impl GroupEpoch {
    pub(in crate::group) fn spell(self, out: &mut Writer) {
        out.i16(0);
        out.i32(self.epoch);
        let mut hash = Writer::default();
        hash.i64(self.metadata_hash);
        // What is as it is by default is not written.
        let tags = [(0, hash.done())];
        out.tags(if self.metadata_hash == 0 { &[] } else { &tags });
    }

    pub(in crate::group) fn read(bytes: &[u8]) -> Option<GroupEpoch> {
        let mut from = versioned(bytes)?;
        let epoch = from.i32()?;
        let metadata_hash = match from.tagged(0)? {
            Some(mut hash) => hash.i64()?,
            None => 0,
        };
        Some(GroupEpoch { epoch, metadata_hash })
    }
}

impl Subscription {
    pub(in crate::group) fn spell(&self, out: &mut Writer) {
        out.i16(0);
        out.compact(self.instance.as_ref().map(InstanceId::as_str));
        out.compact(self.rack.as_deref());
        out.compact(Some(&self.client));
        out.compact(Some(&self.host));
        out.count(Some(self.topics.len()));
        for topic in &self.topics {
            out.compact(Some(topic.as_str()));
        }
        out.compact(self.pattern.as_deref());
        out.i32(self.rebalance_timeout.map_or(-1, millis));
        out.compact(self.assignor.as_deref());
        match &self.classic {
            Some(classic) => out.tags(&[(0, classic.spell())]),
            None => out.tags(&[]),
        }
    }

    pub(in crate::group) fn read(bytes: &Bytes) -> Option<Subscription> {
        let mut from = versioned(bytes)?;
        let instance = from.compact()?.map(InstanceId);
        let rack = from.compact()?;
        let (client, host) = (from.compact()??, from.compact()??);
        let mut topics = Vec::new();
        for _ in 0..from.count()?? {
            topics.push(TopicName(from.compact()??));
        }
        let pattern = from.compact()?;
        let rebalance_timeout = u64::try_from(from.i32()?).ok().map(Duration::from_millis);
        let assignor = from.compact()?;
        let classic = match from.tagged(0)? {
            Some(of) => Some(ClassicMember::read(of, bytes)?),
            None => None,
        };
        Some(Subscription {
            instance,
            rack,
            client,
            host,
            topics,
            pattern,
            rebalance_timeout,
            assignor,
            classic,
        })
    }
}

impl ClassicMember {
    fn spell(&self) -> Vec<u8> {
        let mut out = Writer::default();
        // There, and not null.
        out.i8(1);
        out.i32(millis(self.session_timeout));
        out.count(Some(self.protocols.len()));
        for protocol in &self.protocols {
            out.compact(Some(&protocol.name));
            out.compact_bytes(&protocol.metadata);
            out.tags(&[]);
        }
        out.tags(&[]);
        out.done()
    }

    fn read(mut from: Reader<'_>, whole: &Bytes) -> Option<ClassicMember> {
        if from.i8()? < 0 {
            return None;
        }
        let session_timeout = Duration::from_millis(u64::try_from(from.i32()?).unwrap_or(0));
        let mut protocols = Vec::new();
        for _ in 0..from.count()?? {
            let (name, metadata) = (from.compact()??, from.compact_bytes(whole)?);
            protocols.push(GroupProtocol { name, metadata });
            from.tagged(u32::MAX)?;
        }
        from.tagged(u32::MAX)?;
        Some(ClassicMember { session_timeout, protocols })
    }
}

/// The epoch of a group's target assignment.
pub(in crate::group) fn spell_target_epoch(epoch: i32, out: &mut Writer) {
    out.i16(0);
    out.i32(epoch);
    out.tags(&[]);
}

pub(in crate::group) fn read_target_epoch(bytes: &[u8]) -> Option<i32> {
    let mut from = versioned(bytes)?;
    let epoch = from.i32()?;
    from.tagged(u32::MAX)?;
    Some(epoch)
}

/// What a member is to own in the end.
pub(in crate::group) fn spell_target(partitions: &BTreeSet<TopicPartition>, out: &mut Writer) {
    out.i16(0);
    let held: Held = partitions.iter().map(|it| (*it, 0)).collect();
    spell_held(&held, false, out);
    out.tags(&[]);
}

pub(in crate::group) fn read_target(bytes: &[u8]) -> Option<BTreeSet<TopicPartition>> {
    let mut from = versioned(bytes)?;
    let held = read_held(&mut from, 0)?;
    from.tagged(u32::MAX)?;
    Some(held.into_keys().collect())
}

impl Current {
    pub(in crate::group) fn spell(&self, out: &mut Writer) {
        out.i16(0);
        out.i32(self.epoch);
        out.i32(self.previous);
        out.i8(self.state.code());
        spell_held(&self.assigned, true, out);
        spell_held(&self.revoking, true, out);
        out.tags(&[]);
    }

    pub(in crate::group) fn read(bytes: &[u8]) -> Option<Current> {
        let mut from = versioned(bytes)?;
        let (epoch, previous) = (from.i32()?, from.i32()?);
        let state = MemberState::of(from.i8()?)?;
        // Before KIP-1251 nobody wrote down since when.
        let assigned = read_held(&mut from, epoch)?;
        let revoking = read_held(&mut from, epoch)?;
        from.tagged(u32::MAX)?;
        Some(Current { epoch, previous, state, assigned, revoking })
    }
}

impl Resolved {
    pub(in crate::group) fn spell(&self, out: &mut Writer) {
        out.i16(0);
        out.count(Some(self.topics.len()));
        for topic in &self.topics {
            out.compact(Some(topic.as_str()));
        }
        // Kafka's version of an image is the offset of the last record in it.
        out.i64(self.version.0.cast_signed() - 1);
        out.i64(self.at.0);
        out.tags(&[]);
    }

    pub(in crate::group) fn read(bytes: &[u8]) -> Option<Resolved> {
        let mut from = versioned(bytes)?;
        let mut topics = BTreeSet::new();
        for _ in 0..from.count()?? {
            topics.insert(TopicName(from.compact()??));
        }
        let version = Offset(u64::try_from(from.i64()?.checked_add(1)?).ok()?);
        let at = Timestamp(from.i64()?);
        from.tagged(u32::MAX)?;
        Some(Resolved { topics, version, at })
    }
}

fn versioned(bytes: &[u8]) -> Option<Reader<'_>> {
    let mut from = Reader::new(bytes);
    (from.i16()? == 0).then_some(from)
}

fn spell_held(held: &Held, with_epochs: bool, out: &mut Writer) {
    let mut topics: BTreeMap<TopicId, Vec<(u32, i32)>> = BTreeMap::new();
    for (at, epoch) in held {
        topics.entry(at.topic).or_default().push((at.partition, *epoch));
    }
    out.count(Some(topics.len()));
    for (topic, partitions) in topics {
        out.topic(topic);
        out.count(Some(partitions.len()));
        let mut epochs = Writer::default();
        epochs.count(Some(partitions.len()));
        for (partition, epoch) in partitions {
            out.i32(partition.cast_signed());
            epochs.i32(epoch);
        }
        let tags = [(0, epochs.done())];
        out.tags(if with_epochs { &tags } else { &[] });
    }
}

fn read_held(from: &mut Reader<'_>, unknown: i32) -> Option<Held> {
    let mut held = Held::new();
    for _ in 0..from.count()?? {
        let topic = from.topic()?;
        let mut partitions = Vec::new();
        for _ in 0..from.count()?? {
            partitions.push(u32::try_from(from.i32()?).ok()?);
        }
        let mut epochs = from.tagged(0)?;
        if let Some(epochs) = &mut epochs {
            epochs.count()?;
        }
        for partition in partitions {
            let epoch = match &mut epochs {
                Some(epochs) => epochs.i32()?,
                None => unknown,
            };
            held.insert(TopicPartition::new(topic, partition), epoch);
        }
    }
    Some(held)
}

fn millis(of: Duration) -> i32 {
    i32::try_from(of.as_millis()).unwrap_or(i32::MAX)
}
