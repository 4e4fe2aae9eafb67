//! What is a violation about: which partition, which record, who?

use trial_model::{
    event::Event,
    units::{GroupId, NodeId, NodeSet, Offset, TopicPartition},
};

use super::{record::Record, wrong::watch};
use crate::{
    check::{JudgeSetup, Violation, hears},
    names::RunNames,
};

/// What an explanation looks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Focus {
    /// The partition, if it is about one; the metadata log is one, too.
    pub partition: Option<TopicPartition>,
    /// The record, if it is about one.
    pub offset: Option<Offset>,
    /// The consumer group, if it is about one.
    pub group: Option<GroupId>,
    /// Everybody who is named.
    pub nodes: NodeSet,
    /// The event at which it was seen, if it was seen at one.
    pub anchor: Option<usize>,
}

impl Focus {
    /// What `violation` is about.
    pub fn of(record: &Record, setup: &JudgeSetup, names: &RunNames, violation: &Violation) -> Focus {
        let texts = || violation.lines.iter().map(|(_, text)| text).chain([&violation.headline]);
        let anchor = seen_at(record, setup, names, violation);
        let offset = texts()
            .find_map(|text| offset_in(text))
            .or_else(|| anchor.and_then(|entry| offset_of(record.entries[entry].event()?.1)));
        let mut nodes: NodeSet = texts().flat_map(|text| nodes_in(text, names)).collect();
        if let Some((node, _)) = anchor.and_then(|entry| record.entries[entry].event()) {
            nodes.insert(node);
        }
        let partition = violation.partition;
        let group = anchor.and_then(|entry| record.entries[entry].event()?.1.group().cloned());
        let group = group.or_else(|| group_in(record, violation));
        let anchor = anchor.or_else(|| missed_at(record, partition, offset));
        Focus { partition, offset, group, nodes, anchor }
    }
}

/// The event at which a check spoke.
fn seen_at(record: &Record, setup: &JudgeSetup, names: &RunNames, violation: &Violation) -> Option<usize> {
    let mut seen = None;
    watch(record, setup, names, |entry, other| {
        let same =
            (other.check, other.at, &other.headline) == (violation.check, violation.at, &violation.headline);
        if same && seen.is_none() {
            seen = Some(entry);
        }
    });
    // Checks that look into a node speak of what it had just stated.
    seen.or_else(|| {
        let inspects = hears(violation.check).inspects;
        let named: Vec<NodeId> = nodes_in(&violation.headline, names).collect();
        record.entries.iter().position(|entry| {
            entry.at == violation.at
                && entry.event().is_some_and(|(node, event)| {
                    inspects.contains(&event.kind())
                        && (violation.partition.is_none() || event.partition() == violation.partition)
                        && (named.is_empty() || named.contains(&node))
                })
        })
    })
}

/// Where a reader came by the place of a record that is gone, or else where it was acknowledged.
fn missed_at(record: &Record, partition: Option<TopicPartition>, offset: Option<Offset>) -> Option<usize> {
    let (id, at) = (partition?, offset?);
    let there = |event: &Event| match event {
        Event::Delivered { partition, offset, .. } => *partition == id && *offset >= at,
        _ => false,
    };
    let acked = record.entries.iter().rposition(|entry| {
        matches!(entry.event(), Some((_, Event::RecordAcked { partition, offset: Some(offset), .. }))
            if *partition == id && *offset == at)
    })?;
    let after = &record.entries[acked..];
    let read = after.iter().rposition(|entry| entry.event().is_some_and(|(_, event)| there(event)));
    // The last reader's first record at or behind the place.
    let reader = read.and_then(|nth| after[nth].event()).map(|(node, _)| node);
    let first = after
        .iter()
        .position(|entry| entry.event().is_some_and(|(node, event)| Some(node) == reader && there(event)));
    Some(first.map_or(acked, |nth| acked + nth))
}

/// The first `@1226` of a text.
fn offset_in(text: &str) -> Option<Offset> {
    text.split('@').skip(1).find_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().map(Offset)
    })
}

/// The first group of a run that a violation names.
pub fn group_in(record: &Record, violation: &Violation) -> Option<GroupId> {
    let outer = |c: char| !(c.is_alphanumeric() || "._-".contains(c));
    let texts = || violation.lines.iter().map(|(_, text)| text).chain([&violation.headline]);
    let named = |group: &GroupId| texts().any(|text| text.split(outer).any(|word| word == group.as_str()));
    let groups = record.entries.iter().filter_map(|entry| entry.event()?.1.group());
    let mut seen: Option<&GroupId> = None;
    groups.filter(|group| seen.replace(group) != Some(group)).find(|group| named(group)).cloned()
}

pub(super) fn nodes_in<'a>(text: &'a str, names: &'a RunNames) -> impl Iterator<Item = NodeId> + 'a {
    let outer = |c: char| !(c.is_alphanumeric() || "_-".contains(c));
    text.split(outer).filter(|word| !word.is_empty()).filter_map(|word| {
        let numbered = |(role, nth): (&str, &str)| {
            let nth = nth.parse().ok()?;
            match role {
                "broker" => Some(NodeId::broker(nth)),
                "controller" => Some(NodeId::controller(nth)),
                _ => None,
            }
        };
        names.node_named(word).or_else(|| word.rsplit_once('-').and_then(numbered))
    })
}

/// Which record an event is about, if about one more than others.
pub fn offset_of(event: &Event) -> Option<Offset> {
    match event {
        Event::HighWatermarkAdvanced { to, .. } => to.before(),
        Event::Truncated { to, .. } => Some(*to),
        Event::Appended { base, .. } | Event::DuplicateAnswered { base, .. } => Some(*base),
        Event::Delivered { offset, .. } => Some(*offset),
        Event::RecordAcked { offset, .. } => *offset,
        Event::ReadServed { end, .. } => end.before(),
        Event::LeaderStarted { log_end, .. } => Some(*log_end),
        Event::ProduceAnswered { base, .. } => *base,
        _ => None,
    }
}
