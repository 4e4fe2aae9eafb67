//! What did clients do, and what were they told? Sent, acknowledged, failed, unknown; read, and where.
//!
//! This is what anybody could write down outside of the cluster: black-box checks judge by it alone. What is
//! in flight, and what failed without a word on whether it was written, is held to be unknown.

use std::{collections::VecDeque, ops::Range};

use trial_model::{
    event::{Event, Payload},
    protocol::TopicName,
    time::Instant,
    units::{NodeId, NodeRole, Offset, TopicId, TopicPartition},
};

use crate::{
    mirror::Lookup,
    world_event::{Phase, WorldEvent},
};

/// What became of a record that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody has said yet.
    InFlight,
    /// Its producer was told that it was appended.
    Acked,
    /// Its producer gave it up, or died; it may be in the log.
    Unknown,
    /// It is not in the log.
    Failed,
}

/// A record that a client sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Who sent it.
    pub node: NodeId,
    /// Its place among the partitions of the history.
    pub place: u32,
    /// Its place among everything that its producer sent.
    pub nth: u32,
    /// Its value.
    pub value: Value,
    /// When it was sent.
    pub at: Instant,
    /// When its outcome was told.
    pub told: Instant,
    /// What became of it.
    pub outcome: Outcome,
    /// The offset it was acknowledged at.
    pub acked_at: Option<Offset>,
    /// The first offset at which anybody read it.
    pub read_at: Option<Offset>,
    /// Whether a client of the audit read it.
    pub audited: bool,
}

/// A value by what names it: what stands before its slash, and the number after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Value {
    prefix: u32,
    width: u8,
    number: u64,
}

/// The places of records by a number that mostly counts up: nothing to hash where it does.
#[derive(Clone, Debug, Default)]
struct Numbered {
    /// The place plus one; zero where there is none.
    close: Vec<u32>,
    /// What is far off.
    far: Lookup<u64, u32>,
}

impl Numbered {
    /// How far ahead of those known a number may be and still be close.
    const LEAP: u64 = 256;

    fn get(&self, number: u64) -> Option<u32> {
        match usize::try_from(number).ok().and_then(|at| self.close.get(at)) {
            Some(0) | None => self.far.get(&number).copied(),
            Some(place) => Some(place - 1),
        }
    }

    fn set(&mut self, number: u64, place: u32) {
        let known = self.close.len() as u64;
        if number < known {
            self.close[number as usize] = place + 1;
        } else if number - known < Numbered::LEAP {
            self.close.resize(number as usize, 0);
            self.close.push(place + 1);
        } else {
            self.far.insert(number, place);
        }
    }
}

/// One partition's history.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Which.
    pub id: TopicPartition,
    /// What was read at an offset: the record's place plus one; zero where nothing was.
    read: Vec<u32>,
    /// What consumers went through: each from where it stood to past what it read, without a jump to elsewhere.
    passed: Vec<Range<Offset>>,
    /// What waits for its outcome, oldest first.
    pending: VecDeque<u32>,
    /// When a record was acknowledged last.
    pub last_ack: Instant,
    /// One past the greatest offset that a client of the audit has read.
    pub audited_to: Offset,
    /// Whether a client of the audit has read a record that a client of the audit wrote: whoever reads from
    /// the start has then seen everything before.
    pub audit_complete: bool,
    /// Records of the audit that were acknowledged.
    pub audit_acked: u32,
}

impl Partition {
    fn pass(&mut self, from: Offset, to: Offset) {
        match self.passed.iter_mut().rev().find(|stretch| stretch.end == from) {
            Some(stretch) => stretch.end = to,
            None => self.passed.push(from..to),
        }
    }
}

/// Where a consumer is in a partition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position {
    /// The offset it should read next; `None` if it may be anywhere.
    pub next: Option<Offset>,
    /// Whether it is assigned the partition.
    pub assigned: bool,
}

/// What the event that is being looked at meant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latest {
    /// The record it was about.
    pub record: Option<u32>,
    /// The place of its partition.
    pub place: u32,
    /// Where its consumer was before.
    pub expected: Option<Offset>,
    /// Which record had been read at the same offset before.
    pub read_before: Option<u32>,
    /// At which offset the record had been read before.
    pub first_read: Option<Offset>,
}

/// What a client has achieved since the cluster was left in peace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Since {
    /// Records it was told to send.
    pub sent: u32,
    /// Records that were acknowledged, or read.
    pub done: u32,
    /// Records that it gave up on because their time was up or the connection was gone.
    pub timed_out: u32,
    /// When it sent the first.
    pub first: Option<Instant>,
}

/// Everything clients did and were told.
#[derive(Default)]
pub struct History {
    /// The records, in the order in which they were sent.
    pub records: Vec<Sent>,
    /// The records of every client, by the number its application gave them.
    by_tag: Vec<Numbered>,
    /// The records of every topic and kind of value, by the value's number; by the value's prefix.
    by_value: Vec<Vec<(TopicId, u8, Numbered)>>,
    /// The partitions, in the order in which they were first heard of.
    pub partitions: Vec<Partition>,
    index: Lookup<TopicPartition, u32>,
    /// The topics, in the order in which they were created: a name may come again with another id.
    topics: Vec<(TopicId, TopicName)>,
    positions: Vec<(NodeId, Vec<(u32, Position)>)>,
    prefixes: Vec<Vec<u8>>,
    by_prefix: Lookup<Vec<u8>, u32>,
    counts: Vec<(NodeId, u32)>,
    /// Since the settle phase began, by client.
    pub since: Vec<(NodeId, Since)>,
    auditors: Vec<NodeId>,
    /// Which client ended when.
    ends: Vec<(NodeId, Instant)>,
    settling: bool,
    /// What the event that is being looked at meant.
    pub latest: Latest,
}

impl History {
    /// Nothing has happened; `auditors` are the clients of the audit.
    pub fn new(auditors: Vec<NodeId>) -> History {
        History { auditors, ..History::default() }
    }

    /// Whether a client belongs to the audit.
    pub fn is_auditor(&self, node: NodeId) -> bool {
        self.auditors.contains(&node)
    }

    /// Whether two records were sent by one client in one life of its process.
    pub fn of_one_life(&self, one: &Sent, another: &Sent) -> bool {
        let between = one.at.min(another.at)..=one.at.max(another.at);
        let ended = |(node, at): &(NodeId, Instant)| *node == one.node && between.contains(at);
        one.node == another.node && !self.ends.iter().any(ended)
    }

    /// The history of a partition.
    pub fn partition(&self, id: TopicPartition) -> Option<&Partition> {
        self.index.get(&id).and_then(|at| self.partitions.get(*at as usize))
    }

    /// The record last heard of at `offset`, by its place.
    pub fn read(&self, place: u32, offset: Offset) -> Option<u32> {
        let read = &self.partitions.get(place as usize)?.read;
        read.get(offset.0 as usize)?.checked_sub(1)
    }

    /// Every offset of a partition at which a record was read, with that record.
    pub fn reads(&self, place: u32) -> impl Iterator<Item = (Offset, &Sent)> {
        let read = self.partitions.get(place as usize).map_or(&[][..], |partition| &partition.read);
        read.iter().enumerate().filter_map(|(offset, record)| {
            Some((Offset(offset as u64), self.records.get(record.checked_sub(1)? as usize)?))
        })
    }

    /// One past the greatest offset at which anything was read.
    pub fn read_end(&self, place: u32) -> Offset {
        Offset(self.partitions.get(place as usize).map_or(0, |partition| partition.read.len() as u64))
    }

    /// Whether a consumer came by an offset: it stood there or before, and read what is behind.
    pub fn was_passed(&self, place: u32, offset: Offset) -> bool {
        let passed = self.partitions.get(place as usize).map_or(&[][..], |partition| &partition.passed);
        passed.iter().any(|stretch| stretch.contains(&offset))
    }

    /// The oldest record of a partition that still waits for its outcome.
    pub fn oldest_pending(&self, place: u32) -> Option<&Sent> {
        let partition = self.partitions.get(place as usize)?;
        partition
            .pending
            .iter()
            .map(|at| &self.records[*at as usize])
            .find(|sent| sent.outcome == Outcome::InFlight && sent.place == place)
    }

    /// Where a consumer is in every partition that it ever read or was assigned.
    pub fn positions(&self, node: NodeId) -> impl Iterator<Item = (&Partition, Position)> {
        let list =
            self.positions.iter().find(|(owner, _)| *owner == node).map_or(&[][..], |(_, list)| &list[..]);
        list.iter().map(|(place, position)| (&self.partitions[*place as usize], *position))
    }

    /// A value as it began: `p1/001226`.
    pub fn show(&self, value: Value) -> String {
        let prefix = self
            .prefixes
            .get(value.prefix as usize)
            .map_or("".into(), |bytes| String::from_utf8_lossy(bytes));
        match value.width {
            0 => format!("\"{prefix}\""),
            width => format!("\"{prefix}/{:0width$}\"", value.number, width = usize::from(width)),
        }
    }

    /// Takes what the world did.
    pub fn world(&mut self, at: Instant, event: &WorldEvent) {
        match event {
            WorldEvent::NodeStopped { node, .. } => {
                for pending in self.partitions.iter().flat_map(|partition| &partition.pending) {
                    let sent = &mut self.records[*pending as usize];
                    if sent.node == *node && sent.outcome == Outcome::InFlight {
                        (sent.outcome, sent.told) = (Outcome::Unknown, at);
                    }
                }
                self.positions.retain(|(owner, _)| owner != node);
                if node.role() == NodeRole::Client {
                    self.ends.push((*node, at));
                }
            }
            WorldEvent::PhaseBegan(Phase::Settle) => {
                self.settling = true;
                self.since.clear();
            }
            _ => {}
        }
    }

    /// Takes what a client said.
    pub fn apply(&mut self, now: Instant, node: NodeId, event: &Event) {
        self.latest = Latest::default();
        match event {
            Event::TopicCreated { topic, name, .. }
                if !self.topics.iter().any(|(known, _)| known == topic) =>
            {
                self.topics.push((*topic, name.clone()));
            }
            Event::RecordSent { tag, partition, value, .. } => self.sent(now, node, tag.0, *partition, value),
            Event::RecordAcked { tag, partition, offset } => {
                self.acked(now, node, tag.0, *partition, *offset)
            }
            Event::RecordFailed { tag, maybe_written, error, .. } => {
                let outcome = if *maybe_written { Outcome::Unknown } else { Outcome::Failed };
                let sent = self.told(now, node, tag.0, outcome).map(|at| self.records[at as usize].at);
                let first = self.settling.then(|| self.since(node).first).flatten();
                if error.is_retriable() && first.is_some() && sent >= first {
                    self.since(node).timed_out += 1;
                }
            }
            Event::Delivered { partition, offset, value, .. } => {
                self.delivered(now, node, *partition, *offset, value)
            }
            Event::Assigned { partitions } | Event::PartitionsOwned { partitions, .. } => {
                let places: Vec<u32> = partitions.iter().map(|partition| self.place(*partition)).collect();
                let list = self.positions_of(node);
                list.retain(|(place, _)| places.contains(place));
                for place in places {
                    match list.iter_mut().find(|(known, _)| *known == place) {
                        Some((_, position)) => position.assigned = true,
                        None => list.push((place, Position { next: None, assigned: true })),
                    }
                }
            }
            Event::PositionMoved { partition, to, .. } => {
                let place = self.place(*partition);
                self.position(node, place).next = Some(*to);
                self.latest.place = place;
            }
            Event::TruncationDetected { partition, .. } => {
                let place = self.place(*partition);
                self.position(node, place).next = None;
            }
            _ => {}
        }
    }

    fn place(&mut self, id: TopicPartition) -> u32 {
        if let Some(at) = self.index.get(&id) {
            return *at;
        }
        let at = self.partitions.len() as u32;
        self.partitions.push(Partition {
            id,
            read: Vec::new(),
            passed: Vec::new(),
            pending: VecDeque::new(),
            last_ack: Instant::ZERO,
            audited_to: Offset::ZERO,
            audit_complete: false,
            audit_acked: 0,
        });
        self.index.insert(id, at);
        at
    }

    fn positions_of(&mut self, node: NodeId) -> &mut Vec<(u32, Position)> {
        let at = match self.positions.iter().position(|(owner, _)| *owner == node) {
            Some(at) => at,
            None => {
                self.positions.push((node, Vec::new()));
                self.positions.len() - 1
            }
        };
        &mut self.positions[at].1
    }

    fn position(&mut self, node: NodeId, place: u32) -> &mut Position {
        let list = self.positions_of(node);
        let at = match list.iter().position(|(known, _)| *known == place) {
            Some(at) => at,
            None => {
                list.push((place, Position::default()));
                list.len() - 1
            }
        };
        &mut list[at].1
    }

    /// The name of a value: what stands before the first slash, and the digits after it; or what it begins
    /// with, if it is not of that form.
    fn value(&mut self, payload: &Payload) -> Value {
        let bytes = &payload.0[..payload.0.len().min(64)];
        let named = bytes.iter().position(|byte| *byte == b'/').and_then(|slash| {
            let digits = bytes[slash + 1..].iter().take_while(|byte| byte.is_ascii_digit()).take(18).count();
            (digits > 0).then_some((slash, digits))
        });
        let (prefix, width, number) = match named {
            Some((slash, digits)) => {
                let number = bytes[slash + 1..][..digits]
                    .iter()
                    .fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0'));
                (&bytes[..slash], digits as u8, number)
            }
            None => (bytes, 0, 0),
        };
        let prefix = match self.by_prefix.get(prefix) {
            Some(at) => *at,
            None => {
                let at = self.prefixes.len() as u32;
                self.prefixes.push(prefix.to_vec());
                self.by_value.push(Vec::new());
                self.by_prefix.insert(prefix.to_vec(), at);
                at
            }
        };
        Value { prefix, width, number }
    }

    fn tagged(&self, node: NodeId, tag: u64) -> Option<u32> {
        self.by_tag.get(node.nth() as usize)?.get(tag)
    }

    fn valued(&self, topic: TopicId, value: Value) -> Option<u32> {
        let mut kinds = self.by_value.get(value.prefix as usize)?.iter();
        kinds.find(|(of, width, _)| (*of, *width) == (topic, value.width))?.2.get(value.number)
    }

    /// Whether `former` was deleted, and `id` created in its place under the same name.
    pub fn replaces(&self, id: TopicPartition, former: TopicPartition) -> bool {
        if id.topic == former.topic || id.partition != former.partition {
            return false;
        }
        let of = |topic| self.topics.iter().position(|(known, _)| *known == topic);
        let (Some(new), Some(old)) = (of(id.topic), of(former.topic)) else { return false };
        old < new && self.topics[old].1 == self.topics[new].1
    }

    /// A record with this value that was sent to a topic deleted since, and went to the one that bears its
    /// name now: producers know topics by name, and try again at the new id. One that has an answer did not.
    fn followed(&mut self, id: TopicPartition, value: Value) -> Option<u32> {
        let former: Vec<TopicId> = self.topics.iter().map(|(topic, _)| *topic).collect();
        let at = former.into_iter().rev().find_map(|topic| {
            let at = self.valued(topic, value)?;
            let sent = &self.records[at as usize];
            let open = matches!(sent.outcome, Outcome::InFlight | Outcome::Unknown);
            (open && self.replaces(id, self.partitions[sent.place as usize].id)).then_some(at)
        })?;
        self.follow(at, id);
        Some(at)
    }

    /// A record was sent to `id` in the end, which has the name of where it was sent to first.
    fn follow(&mut self, at: u32, id: TopicPartition) {
        let place = self.place(id);
        let sent = &mut self.records[at as usize];
        (sent.place, sent.read_at, sent.audited) = (place, None, false);
        let value = sent.value;
        if sent.outcome == Outcome::InFlight {
            self.partitions[place as usize].pending.push_back(at);
        }
        self.name_value(id.topic, value, at);
    }

    fn name_value(&mut self, topic: TopicId, value: Value, at: u32) {
        let kinds = &mut self.by_value[value.prefix as usize];
        match kinds.iter_mut().find(|(of, width, _)| (*of, *width) == (topic, value.width)) {
            Some((.., records)) => records.set(value.number, at),
            None => {
                let mut records = Numbered::default();
                records.set(value.number, at);
                kinds.push((topic, value.width, records));
            }
        }
    }

    fn since(&mut self, node: NodeId) -> &mut Since {
        let at = match self.since.iter().position(|(owner, _)| *owner == node) {
            Some(at) => at,
            None => {
                self.since.push((node, Since::default()));
                self.since.len() - 1
            }
        };
        &mut self.since[at].1
    }

    fn sent(&mut self, now: Instant, node: NodeId, tag: u64, id: TopicPartition, payload: &Payload) {
        let place = self.place(id);
        self.latest.place = place;
        let value = self.value(payload);
        if let Some(known) = self.tagged(node, tag) {
            let sent = &self.records[known as usize];
            if sent.value == value && sent.place == place && sent.outcome == Outcome::InFlight {
                return;
            }
        }
        let nth = match self.counts.iter_mut().find(|(owner, _)| *owner == node) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.counts.push((node, 0));
                0
            }
        };
        let at = self.records.len() as u32;
        self.records.push(Sent {
            node,
            place,
            nth,
            value,
            at: now,
            told: now,
            outcome: Outcome::InFlight,
            acked_at: None,
            read_at: None,
            audited: false,
        });
        let client = node.nth() as usize;
        if self.by_tag.len() <= client {
            self.by_tag.resize_with(client + 1, Numbered::default);
        }
        self.by_tag[client].set(tag, at);
        self.name_value(id.topic, value, at);
        self.partitions[place as usize].pending.push_back(at);
        self.latest.record = Some(at);
        if self.settling {
            let since = self.since(node);
            since.sent += 1;
            since.first.get_or_insert(now);
        }
    }

    fn told(&mut self, now: Instant, node: NodeId, tag: u64, outcome: Outcome) -> Option<u32> {
        let at = self.tagged(node, tag)?;
        let sent = &mut self.records[at as usize];
        (sent.outcome, sent.told) = (outcome, now);
        let records = &self.records;
        let partition = &mut self.partitions[records[at as usize].place as usize];
        while partition
            .pending
            .front()
            .is_some_and(|first| records[*first as usize].outcome != Outcome::InFlight)
        {
            partition.pending.pop_front();
        }
        self.latest.record = Some(at);
        self.latest.place = records[at as usize].place;
        Some(at)
    }

    fn acked(&mut self, now: Instant, node: NodeId, tag: u64, id: TopicPartition, offset: Option<Offset>) {
        if let Some(at) = self.tagged(node, tag)
            && self.replaces(id, self.partitions[self.records[at as usize].place as usize].id)
        {
            self.follow(at, id);
        }
        let Some(at) = self.told(now, node, tag, Outcome::Acked) else { return };
        self.records[at as usize].acked_at = offset;
        let auditor = self.is_auditor(node);
        let place = self.place(id);
        let partition = &mut self.partitions[place as usize];
        partition.last_ack = now;
        partition.audit_acked += u32::from(auditor);
        if self.settling {
            self.since(node).done += 1;
        }
    }

    fn delivered(
        &mut self,
        _now: Instant,
        node: NodeId,
        id: TopicPartition,
        offset: Offset,
        payload: &Payload,
    ) {
        let place = self.place(id);
        let value = self.value(payload);
        let record = self.valued(id.topic, value).or_else(|| self.followed(id, value));
        let auditor = self.is_auditor(node);
        if self.settling {
            self.since(node).done += 1;
        }
        let position = self.position(node, place);
        let expected = position.next.replace(offset.next());
        let partition = &mut self.partitions[place as usize];
        partition.pass(expected.map_or(offset, |expected| expected.min(offset)), offset.next());
        let mut latest = Latest { record, place, expected, read_before: None, first_read: None };
        if let (Some(at), true) = (record, offset.0 < 1 << 28) {
            let slot = offset.0 as usize;
            if partition.read.len() <= slot {
                partition.read.resize(slot + 1, 0);
            }
            latest.read_before = partition.read[slot].checked_sub(1);
            if latest.read_before.is_none() {
                partition.read[slot] = at + 1;
            }
            let sent = &mut self.records[at as usize];
            if sent.place == place {
                latest.first_read = sent.read_at;
                sent.read_at.get_or_insert(offset);
                sent.audited |= auditor;
            }
            if auditor {
                let wrote = sent.node;
                partition.audited_to = partition.audited_to.max(offset.next());
                partition.audit_complete |= self.auditors.contains(&wrote);
            }
        }
        self.latest = latest;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use trial_model::{
        event::RecordTag,
        time::Timestamp,
        units::{LeaderEpoch, TopicId},
    };

    use super::*;

    #[test]
    fn numbers_are_found_near_and_far_and_the_last_place_counts() {
        let mut numbered = Numbered::default();
        for (number, place) in [(3, 0), (1 << 40, 1), (4, 2), (3, 7), (900, 4), (u64::MAX, 5)] {
            numbered.set(number, place);
        }
        let found: Vec<_> = [0, 3, 4, 900, 1 << 40, u64::MAX, 5].map(|number| numbered.get(number)).into();
        assert_eq!(found, [None, Some(7), Some(2), Some(4), Some(1), Some(5), None]);
        // What was far keeps its place when the others have come close.
        (5..=900).for_each(|number| numbered.set(number, 9));
        assert_eq!((numbered.get(900), numbered.get(899), numbered.close.len()), (Some(9), Some(9), 901));
    }

    #[test]
    fn a_record_follows_the_name_of_its_topic_until_it_has_an_answer() {
        let (old, new, other) = [2, 3, 4].map(|topic| TopicPartition::new(TopicId(topic), 1)).into();
        let (p1, c1) = (NodeId::client(1), NodeId::client(2));
        let value = |tag: u64| Payload(Bytes::from(format!("p1/{tag:06}....")));
        let (timestamp, epoch) = (Timestamp(0), LeaderEpoch(0));
        let mut history = History::new(vec![]);
        for (id, name) in [(old, "orders"), (new, "orders"), (other, "clicks")] {
            let (topic, name) = (id.topic, TopicName::from(name));
            history.apply(Instant(0), p1, &Event::TopicCreated { topic, name, at: Offset(1), active: true });
        }
        for tag in 0..4 {
            let sent =
                Event::RecordSent { tag: RecordTag(tag), partition: old, value: value(tag), timestamp };
            history.apply(Instant(1), p1, &sent);
        }
        let acked =
            |tag, partition| Event::RecordAcked { tag: RecordTag(tag), partition, offset: Some(Offset(0)) };
        let mut place_of = |event: Option<Event>, at: TopicPartition, tag: u64| {
            event.iter().for_each(|event| history.apply(Instant(2), p1, event));
            let read =
                Event::Delivered { partition: at, offset: Offset(tag), epoch, value: value(tag), timestamp };
            history.apply(Instant(3), c1, &read);
            let record = history.latest.record;
            record.map(|record| history.partitions[history.records[record as usize].place as usize].id)
        };
        assert_eq!(place_of(None, new, 0), Some(new), "read before its producer is told");
        assert_eq!(place_of(Some(acked(1, new)), new, 1), Some(new));
        assert_eq!(place_of(Some(acked(2, old)), new, 2), None, "it was written to the former topic");
        assert_eq!(place_of(None, other, 3), None, "that has another name");
        assert_eq!(place_of(None, old, 3), Some(old));
    }

    #[test]
    fn a_record_is_unknown_until_somebody_says() {
        let (p1, id) = (NodeId::client(1), TopicPartition::new(TopicId(2), 0));
        let mut history = History::new(vec![]);
        for tag in 0..2u64 {
            let value = Payload(Bytes::from(format!("p1/{tag:06}....")));
            let event =
                Event::RecordSent { tag: RecordTag(tag), partition: id, value, timestamp: Timestamp(0) };
            history.apply(Instant(tag), p1, &event);
        }
        history.apply(
            Instant(5),
            p1,
            &Event::RecordAcked { tag: RecordTag(0), partition: id, offset: Some(Offset(9)) },
        );
        assert_eq!(history.records[0].acked_at, Some(Offset(9)));
        assert_eq!(history.oldest_pending(0).map(|sent| sent.at), Some(Instant(1)));
        assert_eq!(history.show(history.records[1].value), "\"p1/000001\"");
        let stopped =
            WorldEvent::NodeStopped { node: p1, how: crate::world_event::Stop::Crash, lost_disk: false };
        history.world(Instant(6), &stopped);
        assert_eq!(history.records[1].outcome, Outcome::Unknown);
        assert!(history.oldest_pending(0).is_none());
    }
}
