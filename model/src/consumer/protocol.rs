//! What do the members of a group tell each other, byte by byte?
//!
//! Kafka's `ConsumerProtocol`: subscriptions and assignments of versions 0 to 3, and what the sticky assignors add
//! to them (`StickyAssignorUserData`). Whatever clients share a group must spell them alike. The coordinator
//! carries them and does not read them.

use alloc::{sync::Arc, vec::Vec};

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    protocol::{NamedPartition, TopicName, groups::NO_GENERATION},
    units::MemberId,
};

/// The greatest version of both that is spoken.
const VERSION: i16 = 3;

/// What a member tells its leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The topics it wants to read.
    pub topics: Vec<TopicName>,
    /// What its assignor adds.
    pub user_data: Option<Bytes>,
    /// What it owns and goes on reading while it joins (version 1 and later, KIP-429).
    pub owned: Vec<NamedPartition>,
    /// The generation it owns that by; -1 for none (version 2 and later).
    pub generation: i32,
    /// Where it is (version 3 and later, KIP-881).
    pub rack: Option<Arc<str>>,
}

/// What a member is to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// These.
    pub partitions: Vec<NamedPartition>,
    /// What its assignor adds.
    pub user_data: Option<Bytes>,
}

impl Subscription {
    /// As Kafka spells it, in the latest version: topics and partitions in order.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        let mut topics: Vec<&TopicName> = self.topics.iter().collect();
        topics.sort();
        let mut owned = self.owned.clone();
        owned.sort();
        out.put_i16(VERSION);
        put_count(&mut out, topics.len());
        for topic in topics {
            put_text(&mut out, topic.as_str());
        }
        put_bytes(&mut out, self.user_data.as_ref());
        put_partitions(&mut out, &owned);
        out.put_i32(self.generation);
        match &self.rack {
            Some(rack) => put_text(&mut out, rack),
            None => out.put_i16(-1),
        }
        out.freeze()
    }

    /// Reads one of any version; `None` if it makes no sense. Of a version that is greater than ours what ours
    /// has is read.
    pub fn decode(bytes: &[u8]) -> Option<Subscription> {
        let mut input = Input(bytes);
        let version = input.i16().filter(|version| *version >= 0)?;
        let topics = input.many(|input| input.text().map(TopicName))?;
        let user_data = input.bytes()?;
        let owned = if version >= 1 { input.partitions()? } else { Vec::new() };
        let generation = if version >= 2 { input.i32()? } else { NO_GENERATION };
        let rack = if version >= 3 { input.nullable_text()? } else { None };
        Some(Subscription { topics, user_data, owned, generation, rack })
    }
}

impl Assignment {
    /// As Kafka spells it, in the latest version.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_i16(VERSION);
        let mut partitions = self.partitions.clone();
        partitions.sort();
        put_partitions(&mut out, &partitions);
        put_bytes(&mut out, self.user_data.as_ref());
        out.freeze()
    }

    /// Reads one of any version; `None` if it makes no sense.
    pub fn decode(bytes: &[u8]) -> Option<Assignment> {
        let mut input = Input(bytes);
        input.i16().filter(|version| *version >= 0)?;
        Some(Assignment { partitions: input.partitions()?, user_data: input.bytes()? })
    }
}

/// What a member of an eager group adds under `sticky`: what it had, and in which generation (version 1).
pub fn encode_sticky(had: &[NamedPartition], generation: i32) -> Bytes {
    let mut had = had.to_vec();
    had.sort();
    let mut out = BytesMut::new();
    put_partitions(&mut out, &had);
    out.put_i32(generation);
    out.freeze()
}

/// What a member had, and in which generation, as it says under `sticky`; of version 0, which has no generation,
/// -1. `None` if it makes no sense.
pub fn decode_sticky(bytes: &[u8]) -> Option<(Vec<NamedPartition>, i32)> {
    let mut input = Input(bytes);
    let had = input.partitions()?;
    Some((had, input.i32().unwrap_or(NO_GENERATION)))
}

/// What a member adds under `cooperative-sticky`: the generation it owns what it owns by.
pub fn encode_cooperative(generation: i32) -> Bytes {
    Bytes::copy_from_slice(&generation.to_be_bytes())
}

/// What a leader sends along for everybody.
pub fn encode_all(assigned: Vec<(MemberId, Vec<NamedPartition>)>) -> Vec<(MemberId, Bytes)> {
    let encode = |partitions| Assignment { partitions, user_data: None }.encode();
    assigned.into_iter().map(|(member, partitions)| (member, encode(partitions))).collect()
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
}

fn put_text(out: &mut BytesMut, text: &str) {
    // A name in Kafka is never that long: what does not fit would have been refused elsewhere.
    let text = text.as_bytes();
    let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
    out.put_i16(length);
    out.put_slice(&text[..usize::from(length.unsigned_abs())]);
}

fn put_bytes(out: &mut BytesMut, bytes: Option<&Bytes>) {
    match bytes {
        Some(bytes) => {
            put_count(out, bytes.len());
            out.put_slice(bytes);
        }
        None => out.put_i32(-1),
    }
}

/// Partitions topic by topic; they come in order.
fn put_partitions(out: &mut BytesMut, partitions: &[NamedPartition]) {
    let topics = partitions.chunk_by(|a, b| a.topic == b.topic);
    put_count(out, topics.clone().count());
    for of in topics {
        put_text(out, of[0].topic.as_str());
        put_count(out, of.len());
        for named in of {
            out.put_i32(named.partition.cast_signed());
        }
    }
}

/// Bytes that anybody may have sent.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(count)?;
        self.0 = left;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<Arc<str>> {
        self.nullable_text()?
    }

    fn nullable_text(&mut self) -> Option<Option<Arc<str>>> {
        match usize::try_from(self.i16()?) {
            Ok(length) => Some(Some(core::str::from_utf8(self.take(length)?).ok()?.into())),
            Err(_) => Some(None),
        }
    }

    fn bytes(&mut self) -> Option<Option<Bytes>> {
        match usize::try_from(self.i32()?) {
            Ok(length) => Some(Some(Bytes::copy_from_slice(self.take(length)?))),
            Err(_) => Some(None),
        }
    }

    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.i32()?.max(0);
        // Not reserved: the count is what somebody says.
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(one(self)?);
        }
        Some(all)
    }

    fn partitions(&mut self) -> Option<Vec<NamedPartition>> {
        let topics = self.many(|input| {
            let topic = TopicName(input.text()?);
            let numbers = input.many(|input| u32::try_from(input.i32()?).ok())?;
            Some((topic, numbers))
        })?;
        let named = |topic: &TopicName, partition| NamedPartition { topic: topic.clone(), partition };
        Some(
            topics
                .iter()
                .flat_map(|(topic, of)| of.iter().map(move |number| named(topic, *number)))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::rng::Rng;

    fn named(topic: &str, partition: u32) -> NamedPartition {
        NamedPartition { topic: topic.into(), partition }
    }

    fn subscription() -> Subscription {
        Subscription {
            topics: vec!["a".into(), "b".into()],
            user_data: Some(Bytes::from_static(&[9])),
            owned: vec![named("a", 0), named("a", 2), named("b", 1)],
            generation: 7,
            rack: None,
        }
    }

    #[test]
    fn a_subscription_is_spelled_as_kafka_spells_it() {
        let bytes: &[u8] = &[
            0, 3, // version
            0, 0, 0, 2, 0, 1, b'a', 0, 1, b'b', // topics
            0, 0, 0, 1, 9, // user data
            0, 0, 0, 2, 0, 1, b'a', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, b'b', 0, 0, 0, 1, 0, 0, 0, 1,
            0, 0, 0, 7, // generation
            0xff, 0xff, // no rack
        ];
        assert_eq!(subscription().encode(), bytes);
        assert_eq!(Subscription::decode(bytes), Some(subscription()));
    }

    #[test]
    fn an_assignment_is_spelled_as_kafka_spells_it() {
        let assignment = Assignment { partitions: vec![named("a", 1)], user_data: None };
        let bytes: &[u8] = &[0, 3, 0, 0, 0, 1, 0, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(assignment.encode(), bytes);
        assert_eq!(Assignment::decode(bytes), Some(assignment));
    }

    #[test]
    fn older_versions_lack_what_came_later_and_newer_ones_may_have_more() {
        let old: &[u8] = &[0, 0, 0, 0, 0, 1, 0, 1, b'a', 0xff, 0xff, 0xff, 0xff];
        let read = Subscription::decode(old).expect("version 0");
        assert_eq!((read.owned, read.generation, read.user_data), (vec![], -1, None));
        let mut newer = subscription().encode().to_vec();
        newer[1] = 9;
        newer.extend([1, 2, 3]);
        assert_eq!(Subscription::decode(&newer), Some(subscription()));
    }

    #[test]
    fn what_a_sticky_member_had_comes_back() {
        let had = vec![named("a", 0), named("b", 3)];
        assert_eq!(decode_sticky(&encode_sticky(&had, 4)), Some((had.clone(), 4)));
        let version_0 = &encode_sticky(&had, 4)[..];
        assert_eq!(decode_sticky(&version_0[..version_0.len() - 4]), Some((had, -1)));
    }

    #[test]
    fn no_bytes_are_too_strange() {
        let mut rng = Rng::named(1, "bytes");
        let whole = subscription().encode();
        for _ in 0..20_000 {
            let mut bytes = whole[..rng.below(whole.len() as u64 + 1) as usize].to_vec();
            for _ in 0..rng.below(4) {
                let at = rng.below(bytes.len() as u64) as usize;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = rng.next_u64() as u8;
                }
            }
            let _ = (Subscription::decode(&bytes), Assignment::decode(&bytes), decode_sticky(&bytes));
        }
        assert_eq!(Subscription::decode(&[0, 3, 0x7f, 0xff, 0xff, 0xff]), None);
    }
}
