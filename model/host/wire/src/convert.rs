//! How do Kafka's numbers and the model's units turn into each other?

use core::time::Duration;
use std::sync::Arc;

use kacrab_protocol::KafkaString;
use trial_model::{
    protocol::{ErrorCode, LeaderHint, NamedPartition, PartitionRef, TopicName, TopicRef, fetch::EpochEnd},
    time::Timestamp,
    units::{BrokerEpoch, LeaderEpoch, NodeId, NodeSet, Offset},
};

use crate::frame::Refused;

pub(crate) fn string(text: &str) -> KafkaString {
    KafkaString::from(text.to_owned())
}

/// What a frame spells, on its own: a slice of it would keep the whole frame.
pub(crate) fn text(text: &KafkaString) -> Arc<str> {
    text.as_str().into()
}

pub(crate) fn text_or_null(text: Option<&KafkaString>) -> Option<Arc<str>> {
    text.map(self::text)
}

/// The number of an error; zero for none.
pub(crate) fn code(error: Option<ErrorCode>) -> i16 {
    error.map_or(0, ErrorCode::code)
}

/// The error of a number; one that we have no word for is `UnknownServerError`.
pub(crate) fn error(code: i16) -> Option<ErrorCode> {
    (code != 0).then(|| ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError))
}

/// An answer, or the error it bears.
pub(crate) fn result<T>(code: i16, value: T) -> Result<T, ErrorCode> {
    error(code).map_or(Ok(value), Err)
}

pub(crate) fn error_of<T>(result: &Result<T, ErrorCode>) -> i16 {
    code(result.as_ref().err().copied())
}

/// A node's number; -1 for none.
pub(crate) fn number(node: Option<NodeId>) -> i32 {
    node.map_or(-1, |node| node.0 as i32)
}

/// The node of a number; none for what is below zero.
pub(crate) fn node(number: i32) -> Option<NodeId> {
    u32::try_from(number).ok().map(NodeId)
}

pub(crate) fn numbers(nodes: &NodeSet) -> Vec<i32> {
    nodes.iter().map(|node| node.0 as i32).collect()
}

pub(crate) fn nodes(numbers: &[i32]) -> NodeSet {
    numbers.iter().filter_map(|number| node(*number)).collect()
}

/// Who is meant by a number that must be there.
pub(crate) fn some_node(number: i32) -> Result<NodeId, Refused> {
    node(number).ok_or(Refused::Malformed)
}

pub(crate) fn epoch_number(epoch: Option<LeaderEpoch>) -> i32 {
    epoch.map_or(-1, |epoch| epoch.0 as i32)
}

pub(crate) fn epoch(number: i32) -> Option<LeaderEpoch> {
    u32::try_from(number).ok().map(LeaderEpoch)
}

pub(crate) fn broker_epoch_number(epoch: Option<BrokerEpoch>) -> i64 {
    epoch.map_or(-1, |epoch| epoch.0 as i64)
}

pub(crate) fn broker_epoch(number: i64) -> Option<BrokerEpoch> {
    u64::try_from(number).ok().map(BrokerEpoch)
}

/// An offset as asked for. Below zero there is none: such a wish is one for an offset that no log reaches,
/// and is refused like it, `OffsetOutOfRange`.
pub(crate) fn offset(number: i64) -> Offset {
    Offset(u64::try_from(number).unwrap_or(i64::MAX as u64))
}

pub(crate) fn some_offset(number: i64) -> Option<Offset> {
    u64::try_from(number).ok().map(Offset)
}

pub(crate) fn offset_number(offset: Option<Offset>) -> i64 {
    offset.map_or(-1, |offset| offset.0 as i64)
}

pub(crate) fn timestamp_number(timestamp: Option<Timestamp>) -> i64 {
    timestamp.map_or(-1, |timestamp| timestamp.0)
}

pub(crate) fn timestamp(number: i64) -> Option<Timestamp> {
    (number >= 0).then_some(Timestamp(number))
}

/// Milliseconds; none below zero.
pub(crate) fn millis(number: i32) -> Duration {
    Duration::from_millis(u64::try_from(number).unwrap_or(0))
}

pub(crate) fn millis_number(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// A limit in bytes; none below zero, which is a limit of nothing.
pub(crate) fn bytes(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

pub(crate) fn bytes_number(bytes: u32) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

/// An epoch and its end; none where the epoch is below zero, as frames say "none".
pub(crate) fn epoch_end(epoch: i32, end: i64) -> Option<EpochEnd> {
    let epoch = self::epoch(epoch)?;
    Some(EpochEnd { epoch, end: some_offset(end)? })
}

/// A hint of who leads; none where frames say "none".
pub(crate) fn hint(leader: i32, epoch: i32) -> Option<LeaderHint> {
    Some(LeaderHint { leader: node(leader), epoch: self::epoch(epoch)? })
}

pub(crate) fn hint_numbers(hint: Option<LeaderHint>) -> (i32, i32) {
    hint.map_or((-1, -1), |hint| (number(hint.leader), hint.epoch.0 as i32))
}

/// A partition's number. One below zero is none that a topic has, and comes back as it was.
pub(crate) fn partition(topic: TopicRef, index: i32) -> PartitionRef {
    PartitionRef { topic, partition: index as u32 }
}

/// [`partition`], by name.
pub(crate) fn named(topic: &TopicName, index: i32) -> NamedPartition {
    NamedPartition { topic: topic.clone(), partition: index as u32 }
}

/// Groups neighbours of one topic, as frames do.
pub(crate) fn by_topic<K: PartialEq, T>(items: impl IntoIterator<Item = (K, T)>) -> Vec<(K, Vec<T>)> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for (topic, item) in items {
        match groups.last_mut() {
            Some((last, group)) if *last == topic => group.push(item),
            _ => groups.push((topic, vec![item])),
        }
    }
    groups
}
