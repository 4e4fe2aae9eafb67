//! What does a partition of `__consumer_offsets` say, record by record?
//!
//! Byte for byte as Kafka's, so that whoever reads the topic (a tool, another broker) understands it: a key that
//! says what the record is about, and a value, or none to forget it. What we do not know is passed over, as Kafka
//! does: a newer version may have written it.

use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use super::{
    consumer::record::{
        Current, GroupEpoch, Resolved, Subscription, read_target, read_target_epoch, spell_target,
        spell_target_epoch,
    },
    spelling::{Reader, Writer},
};
use crate::{
    protocol::{NamedPartition, TopicName, offsets::CommittedOffset},
    time::Timestamp,
    units::{GroupId, InstanceId, LeaderEpoch, MemberId, Offset, TopicPartition},
};

/// One statement about a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRecord {
    /// A group has come so far in a partition; or that is forgotten.
    Offset {
        /// Which group.
        group: GroupId,
        /// In which partition.
        partition: NamedPartition,
        /// How far.
        value: Option<StoredOffset>,
    },
    /// A classic group is in this generation, with this assignment; or it is forgotten.
    Classic {
        /// Which group.
        group: GroupId,
        /// How it stands.
        value: Option<ClassicImage>,
    },
    /// A KIP-848 group is in this epoch; or it is forgotten.
    Epoch {
        /// Which group.
        group: GroupId,
        /// Its epoch.
        value: Option<GroupEpoch>,
    },
    /// A member of a KIP-848 group wants to read this; or it is out.
    Member {
        /// Of which group.
        group: GroupId,
        /// Who.
        member: MemberId,
        /// What it wants, and who it is.
        value: Option<Subscription>,
    },
    /// The target assignment of a KIP-848 group is that of this epoch; or it is forgotten.
    TargetEpoch {
        /// Of which group.
        group: GroupId,
        /// The epoch.
        value: Option<i32>,
    },
    /// A member of a KIP-848 group is to own this in the end; or it is out.
    Target {
        /// Of which group.
        group: GroupId,
        /// Who.
        member: MemberId,
        /// What.
        value: Option<BTreeSet<TopicPartition>>,
    },
    /// A member of a KIP-848 group stands here; or it is out.
    Current {
        /// Of which group.
        group: GroupId,
        /// Who.
        member: MemberId,
        /// Where.
        value: Option<Current>,
    },
    /// A regular expression by which members of a KIP-848 group are subscribed fits these topics; or nobody is.
    Pattern {
        /// Of which group.
        group: GroupId,
        /// The regular expression.
        pattern: Arc<str>,
        /// What it fits.
        value: Option<Resolved>,
    },
}

/// A committed offset as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOffset {
    /// What was committed.
    pub committed: CommittedOffset,
    /// When.
    pub at: Timestamp,
    /// When it is to be forgotten, where a former client said so (before KIP-211).
    pub expires: Option<Timestamp>,
}

/// A classic group as the log has it: who does what since the last assignment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicImage {
    /// What kind of group it is.
    pub protocol_type: Arc<str>,
    /// Its generation.
    pub generation: i32,
    /// The agreed protocol; none if nobody is in it.
    pub protocol: Option<Arc<str>>,
    /// Who assigned.
    pub leader: Option<MemberId>,
    /// Since when it is as it is: -1 if that is not known.
    pub since: Timestamp,
    /// Who is in it.
    pub members: Vec<MemberImage>,
}

/// A member of a classic group as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberImage {
    /// Its id.
    pub member: MemberId,
    /// Its `group.instance.id`.
    pub instance: Option<InstanceId>,
    /// Its `client.id`.
    pub client: Arc<str>,
    /// Where it connects from.
    pub host: Arc<str>,
    /// How long others wait for it to join again.
    pub rebalance_timeout: Duration,
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// Its subscription under the agreed protocol.
    pub subscription: Bytes,
    /// What it is to do.
    pub assignment: Bytes,
}

const OFFSET_KEY: i16 = 1;
const OFFSET_VALUE: i16 = 3;
const GROUP_KEY: i16 = 2;
const GROUP_VALUE: i16 = 3;
const EPOCH_KEY: i16 = 3;
const MEMBER_KEY: i16 = 5;
const TARGET_EPOCH_KEY: i16 = 6;
const TARGET_KEY: i16 = 7;
const CURRENT_KEY: i16 = 8;
const PATTERN_KEY: i16 = 16;

impl GroupRecord {
    /// Whose it is.
    pub fn group(&self) -> &GroupId {
        match self {
            GroupRecord::Offset { group, .. }
            | GroupRecord::Classic { group, .. }
            | GroupRecord::Epoch { group, .. }
            | GroupRecord::Member { group, .. }
            | GroupRecord::TargetEpoch { group, .. }
            | GroupRecord::Target { group, .. }
            | GroupRecord::Current { group, .. }
            | GroupRecord::Pattern { group, .. } => group,
        }
    }

    /// Its key as Kafka spells it.
    pub fn key(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            GroupRecord::Offset { group, partition, .. } => {
                out.i16(OFFSET_KEY);
                out.string(group.as_str());
                out.string(partition.topic.as_str());
                out.i32(partition.partition.cast_signed());
            }
            GroupRecord::Classic { group, .. } => {
                out.i16(GROUP_KEY);
                out.string(group.as_str());
            }
            GroupRecord::Epoch { group, .. } => {
                out.i16(EPOCH_KEY);
                out.string(group.as_str());
            }
            GroupRecord::TargetEpoch { group, .. } => {
                out.i16(TARGET_EPOCH_KEY);
                out.string(group.as_str());
            }
            GroupRecord::Member { group, member, .. } => {
                spell_member_key(MEMBER_KEY, group, member, &mut out)
            }
            GroupRecord::Target { group, member, .. } => {
                spell_member_key(TARGET_KEY, group, member, &mut out)
            }
            GroupRecord::Current { group, member, .. } => {
                spell_member_key(CURRENT_KEY, group, member, &mut out);
            }
            GroupRecord::Pattern { group, pattern, .. } => {
                out.i16(PATTERN_KEY);
                out.string(group.as_str());
                out.string(pattern);
            }
        }
        out.done()
    }

    /// Its value as Kafka spells it; none for what is forgotten.
    pub fn value(&self) -> Option<Vec<u8>> {
        let mut out = Writer::default();
        match self {
            GroupRecord::Offset { value, .. } => spell_offset(value.as_ref()?, &mut out),
            GroupRecord::Classic { value, .. } => spell_classic(value.as_ref()?, &mut out),
            GroupRecord::Epoch { value, .. } => (*value)?.spell(&mut out),
            GroupRecord::Member { value, .. } => value.as_ref()?.spell(&mut out),
            GroupRecord::TargetEpoch { value, .. } => spell_target_epoch((*value)?, &mut out),
            GroupRecord::Target { value, .. } => spell_target(value.as_ref()?, &mut out),
            GroupRecord::Current { value, .. } => value.as_ref()?.spell(&mut out),
            GroupRecord::Pattern { value, .. } => value.as_ref()?.spell(&mut out),
        }
        Some(out.done())
    }

    /// Reads a record back; `None` for one that we do not know or that makes no sense.
    pub fn decode(key: &[u8], value: Option<&Bytes>) -> Option<GroupRecord> {
        let mut key = Reader::new(key);
        match key.i16()? {
            0 | OFFSET_KEY => {
                let group = GroupId(key.string()?);
                let topic = TopicName(key.string()?);
                let partition = NamedPartition { topic, partition: u32::try_from(key.i32()?).ok()? };
                Some(GroupRecord::Offset { group, partition, value: read(value, |it| read_offset(it))? })
            }
            GROUP_KEY => {
                let group = GroupId(key.string()?);
                Some(GroupRecord::Classic { group, value: read(value, read_classic)? })
            }
            EPOCH_KEY => {
                let group = GroupId(key.string()?);
                Some(GroupRecord::Epoch { group, value: read(value, |it| GroupEpoch::read(it))? })
            }
            TARGET_EPOCH_KEY => {
                let group = GroupId(key.string()?);
                Some(GroupRecord::TargetEpoch { group, value: read(value, |it| read_target_epoch(it))? })
            }
            MEMBER_KEY => {
                let (group, member) = (GroupId(key.string()?), MemberId(key.string()?));
                Some(GroupRecord::Member { group, member, value: read(value, Subscription::read)? })
            }
            TARGET_KEY => {
                let (group, member) = (GroupId(key.string()?), MemberId(key.string()?));
                Some(GroupRecord::Target { group, member, value: read(value, |it| read_target(it))? })
            }
            CURRENT_KEY => {
                let (group, member) = (GroupId(key.string()?), MemberId(key.string()?));
                Some(GroupRecord::Current { group, member, value: read(value, |it| Current::read(it))? })
            }
            PATTERN_KEY => {
                let (group, pattern) = (GroupId(key.string()?), key.string()?);
                Some(GroupRecord::Pattern { group, pattern, value: read(value, |it| Resolved::read(it))? })
            }
            _ => None,
        }
    }
}

/// A value, if there is one; `None` if it makes no sense.
fn read<T>(value: Option<&Bytes>, read: impl Fn(&Bytes) -> Option<T>) -> Option<Option<T>> {
    match value {
        Some(value) => Some(Some(read(value)?)),
        None => Some(None),
    }
}

fn spell_member_key(kind: i16, group: &GroupId, member: &MemberId, out: &mut Writer) {
    out.i16(kind);
    out.string(group.as_str());
    out.string(member.as_str());
}

fn spell_offset(value: &StoredOffset, out: &mut Writer) {
    // Only version 1 has a place for the time at which it is to be forgotten.
    out.i16(if value.expires.is_some() { 1 } else { OFFSET_VALUE });
    out.i64(value.committed.offset.0.cast_signed());
    if value.expires.is_none() {
        out.i32(value.committed.epoch.map_or(-1, |epoch| epoch.0.cast_signed()));
    }
    out.string(&value.committed.metadata);
    out.i64(value.at.0);
    if let Some(expires) = value.expires {
        out.i64(expires.0);
    }
}

fn read_offset(bytes: &[u8]) -> Option<StoredOffset> {
    let mut from = Reader::new(bytes);
    let version = from.i16()?;
    if !(0..=OFFSET_VALUE).contains(&version) {
        return None;
    }
    let offset = Offset(u64::try_from(from.i64()?).ok()?);
    let epoch = if version >= 3 { from.i32()? } else { -1 };
    let metadata = from.string()?;
    let at = Timestamp(from.i64()?);
    // -1 is what clients sent that left it to the broker (KAFKA-4682).
    let expires = if version == 1 { Some(Timestamp(from.i64()?)).filter(|at| at.0 >= 0) } else { None };
    let epoch = u32::try_from(epoch).ok().map(LeaderEpoch);
    Some(StoredOffset { committed: CommittedOffset { offset, epoch, metadata }, at, expires })
}

fn spell_classic(value: &ClassicImage, out: &mut Writer) {
    out.i16(GROUP_VALUE);
    out.string(&value.protocol_type);
    out.i32(value.generation);
    out.nullable(value.protocol.as_deref());
    out.nullable(value.leader.as_ref().map(MemberId::as_str));
    out.i64(value.since.0);
    out.i32(value.members.len() as i32);
    for member in &value.members {
        out.string(member.member.as_str());
        out.nullable(member.instance.as_ref().map(InstanceId::as_str));
        out.string(&member.client);
        out.string(&member.host);
        out.i32(millis(member.rebalance_timeout));
        out.i32(millis(member.session_timeout));
        out.bytes(&member.subscription);
        out.bytes(&member.assignment);
    }
}

fn read_classic(bytes: &Bytes) -> Option<ClassicImage> {
    let mut from = Reader::new(bytes);
    let version = from.i16()?;
    if !(0..=GROUP_VALUE).contains(&version) {
        return None;
    }
    let protocol_type = from.string()?;
    let generation = from.i32()?;
    let protocol = from.nullable()?;
    let leader = from.nullable()?.map(MemberId);
    let since = Timestamp(if version >= 2 { from.i64()? } else { -1 });
    let count = from.i32()?;
    let mut members = Vec::new();
    for _ in 0..count.max(0) {
        let member = MemberId(from.string()?);
        let instance = if version >= 3 { from.nullable()?.map(InstanceId) } else { None };
        let (client, host) = (from.string()?, from.string()?);
        let rebalance = if version >= 1 { Some(from.i32()?) } else { None };
        let session_timeout = duration(from.i32()?);
        members.push(MemberImage {
            member,
            instance,
            client,
            host,
            rebalance_timeout: rebalance.map_or(session_timeout, duration),
            session_timeout,
            subscription: from.shared(bytes)?,
            assignment: from.shared(bytes)?,
        });
    }
    Some(ClassicImage { protocol_type, generation, protocol, leader, since, members })
}

fn millis(of: Duration) -> i32 {
    i32::try_from(of.as_millis()).unwrap_or(i32::MAX)
}

fn duration(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn offset(expires: Option<i64>) -> GroupRecord {
        GroupRecord::Offset {
            group: "billing".into(),
            partition: NamedPartition { topic: "orders".into(), partition: 3 },
            value: Some(StoredOffset {
                committed: CommittedOffset {
                    offset: Offset(1226),
                    epoch: expires.is_none().then_some(LeaderEpoch(4)),
                    metadata: "noted".into(),
                },
                at: Timestamp(1_000),
                expires: expires.map(Timestamp),
            }),
        }
    }

    fn classic() -> GroupRecord {
        let member = MemberImage {
            member: "c1-0001".into(),
            instance: Some("till-1".into()),
            client: "c1".into(),
            host: "/10.0.0.1".into(),
            rebalance_timeout: Duration::from_millis(300_000),
            session_timeout: Duration::from_millis(45_000),
            subscription: Bytes::from_static(b"what it reads"),
            assignment: Bytes::from_static(b"what it got"),
        };
        GroupRecord::Classic {
            group: "billing".into(),
            value: Some(ClassicImage {
                protocol_type: "consumer".into(),
                generation: 7,
                protocol: Some("range".into()),
                leader: Some("c1-0001".into()),
                since: Timestamp(99),
                members: vec![member],
            }),
        }
    }

    /// One of each kind that KIP-848 brought.
    fn consumer() -> Vec<GroupRecord> {
        use crate::{
            group::consumer::{ClassicMember, MemberState},
            protocol::groups::GroupProtocol,
            units::TopicId,
        };
        let (group, member): (GroupId, MemberId) = ("billing".into(), "m1".into());
        let at = |topic, partition| TopicPartition::new(TopicId(topic), partition);
        let subscription = Subscription {
            instance: Some("till-1".into()),
            rack: None,
            client: "c1".into(),
            host: "/c1".into(),
            topics: vec!["orders".into()],
            pattern: Some("aud.*".into()),
            rebalance_timeout: Some(Duration::from_millis(300_000)),
            assignor: Some("uniform".into()),
            classic: Some(ClassicMember {
                session_timeout: Duration::from_millis(45_000),
                protocols: vec![GroupProtocol {
                    name: "range".into(),
                    metadata: Bytes::from_static(b"what"),
                }],
            }),
        };
        let current = Current {
            epoch: 7,
            previous: 6,
            state: MemberState::UnreleasedPartitions,
            assigned: [(at(7, 0), 5), (at(7, 3), 7), (at(9, 1), 2)].into(),
            revoking: [(at(7, 4), 6)].into(),
        };
        let target = [at(7, 0), at(7, 3)].into();
        let topics = ["audit".into(), "audits".into()].into();
        let fits = Resolved { topics, version: Offset(44), at: Timestamp(1_000) };
        vec![
            GroupRecord::Epoch {
                group: group.clone(),
                value: Some(GroupEpoch { epoch: 7, metadata_hash: -5 }),
            },
            GroupRecord::Member { group: group.clone(), member: member.clone(), value: Some(subscription) },
            GroupRecord::TargetEpoch { group: group.clone(), value: Some(7) },
            GroupRecord::Target { group: group.clone(), member: member.clone(), value: Some(target) },
            GroupRecord::Current { group: group.clone(), member, value: Some(current) },
            GroupRecord::Pattern { group, pattern: "aud.*".into(), value: Some(fits) },
        ]
    }

    #[test]
    fn kip_848s_are_spelled_as_kafka_spells_them() {
        let records = consumer();
        assert_eq!(records[0].key(), b"\x00\x03\x00\x07billing");
        let epoch = records[0].value().expect("it is not forgotten");
        assert_eq!(epoch, b"\x00\x00\x00\x00\x00\x07\x01\x00\x08\xff\xff\xff\xff\xff\xff\xff\xfb");
        assert_eq!(records[4].key(), b"\x00\x08\x00\x07billing\x00\x02m1");
        let target = records[3].value().expect("it is not forgotten");
        // One topic, by its UUID, and two partitions of it.
        let expected = b"\x00\x00\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07\x03\0\0\0\0\0\0\0\x03\x00\x00";
        assert_eq!(target, expected);
        assert_eq!(records[5].key(), b"\x00\x10\x00\x07billing\x00\x05aud.*");
        let fits = records[5].value().expect("it is not forgotten");
        // Two topics, the offset of the last record of the metadata that was known, and when that was.
        assert_eq!(fits[..16], *b"\x00\x00\x03\x06audit\x07audits");
        assert_eq!(fits[16..], *b"\0\0\0\0\0\0\0\x2b\0\0\0\0\0\0\x03\xe8\x00");
    }

    fn again(record: &GroupRecord) -> Option<GroupRecord> {
        GroupRecord::decode(&record.key(), record.value().map(Bytes::from).as_ref())
    }

    #[test]
    fn what_is_spelled_is_read_back() {
        let forgotten = GroupRecord::Classic { group: "billing".into(), value: None };
        let known = [offset(None), offset(Some(5_000)), classic(), forgotten];
        for record in known.into_iter().chain(consumer()) {
            assert_eq!(again(&record).as_ref(), Some(&record));
        }
    }

    #[test]
    fn an_offset_is_spelled_as_kafka_spells_it() {
        let record = offset(None);
        assert_eq!(record.key(), b"\x00\x01\x00\x07billing\x00\x06orders\x00\x00\x00\x03");
        let value = record.value().expect("it is not forgotten");
        assert_eq!(value[..14], *b"\x00\x03\x00\x00\x00\x00\x00\x00\x04\xca\x00\x00\x00\x04");
        assert_eq!(value[14..], *b"\x00\x05noted\x00\x00\x00\x00\x00\x00\x03\xe8");
    }

    #[test]
    fn bytes_cut_anywhere_are_no_record() {
        for record in [offset(None), classic()].into_iter().chain(consumer()) {
            let (key, value) = (record.key(), Bytes::from(record.value().expect("a value")));
            for end in 0..key.len() {
                assert_eq!(GroupRecord::decode(&key[..end], Some(&value)), None);
            }
            for end in 0..value.len() {
                assert_eq!(GroupRecord::decode(&key, Some(&value.slice(..end))), None);
            }
        }
        assert_eq!(GroupRecord::decode(b"\x00\x63what a later version wrote", None), None);
    }
}
