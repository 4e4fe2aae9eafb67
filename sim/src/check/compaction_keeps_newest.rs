//! Does a cleaning leave the newest record of every key? (`WB-Compaction`)
//!
//! What the disk holds when a cleaning begins is compared with what it holds when that has ended, or, if the process
//! died meanwhile, when the log has been read back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use trial_model::{
    disk::{FileKind, FileName},
    event::{Event, EventKind},
    log::{Log, batch::Batch},
    node::Node,
    time::Timestamp,
    units::{LeaderEpoch, NodeId, NodeSet, Offset, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Inside, Name, Scene, safety};
use crate::{disk::Disk, world_event::WorldEvent};

pub(super) const INFO: CheckInfo = safety(
    "compaction_keeps_newest",
    "WB-Compaction",
    "A cleaning stays below the high watermark and leaves the newest record of every key, a tombstone for delete.retention.ms, the log's own marks and its end, and of older records none.",
);

/// The cleanings that are under way.
#[derive(Default)]
struct CompactionKeepsNewest {
    under_way: BTreeMap<(NodeId, TopicPartition), Cleaning>,
    /// The furthest that logs have begun: after a death they may begin earlier again, with what was no cleaner's business.
    floors: BTreeMap<(NodeId, TopicPartition), Offset>,
    /// The disks that may give back something else than was written.
    damaged: NodeSet,
}

/// A cleaning, and what it is to keep of.
struct Cleaning {
    /// Where the part ends that is cleaned.
    to: Offset,
    /// When it began, by its broker's clock.
    began: Timestamp,
    /// `delete.retention.ms`
    retention: Duration,
    /// What was there.
    before: Vec<Held>,
}

/// A batch on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    base: Offset,
    end: Offset,
    epoch: LeaderEpoch,
    /// How many of the log's own marks it holds, if it holds any.
    marks: u32,
    horizon: Option<Timestamp>,
    records: Vec<Kept>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    offset: Offset,
    key: Option<Bytes>,
    value: Option<Bytes>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(CompactionKeepsNewest::default())
}

impl Check for CompactionKeepsNewest {
    fn hears(&self) -> Hears {
        Hears {
            inspects: &[
                EventKind::LogStartMoved,
                EventKind::LogCleaning,
                EventKind::LogCleaned,
                EventKind::LogUncleanable,
                EventKind::Truncated,
                EventKind::Recovered,
                EventKind::ReplicaStopped,
            ],
            ..Hears::default()
        }
    }

    fn world(&mut self, _scene: Scene<'_>, event: &WorldEvent, _found: &mut Found) {
        match event {
            WorldEvent::DiskDamaged { node, .. } => {
                self.damaged.insert(*node);
            }
            WorldEvent::NodeStopped { node, lost_disk: true, .. } => {
                self.under_way.retain(|(whose, _), _| whose != node);
                self.floors.retain(|(whose, _), _| whose != node);
            }
            _ => {}
        }
    }

    fn inspect(&mut self, inside: Inside<'_>, found: &mut Found) {
        let Node::Broker(broker) = inside.state else { return };
        for event in inside.events {
            let Some(id) = event.partition().filter(|id| !id.is_metadata()) else { continue };
            let key = (inside.node, id);
            let (Some(replica), false) = (broker.replica(id), self.damaged.contains(inside.node)) else {
                self.under_way.remove(&key);
                continue;
            };
            let log = &replica.log;
            let wrong = match event {
                Event::LogCleaning { to, .. } => {
                    let retention = log.config().delete_retention_ms;
                    let before = read(inside.disk, log, *to);
                    let cleaning =
                        before.map(|before| Cleaning { to: *to, began: inside.now.wall, retention, before });
                    self.under_way.remove(&key);
                    self.under_way.extend(cleaning.map(|it| (key, it)));
                    let bound = replica.high_watermark();
                    (*to > bound).then(|| format!("up to {to}, and its high watermark is {bound}"))
                }
                Event::LogCleaned { .. } | Event::Recovered { .. } => {
                    let whole = matches!(event, Event::LogCleaned { .. });
                    let floor = self.floors.get(&key).copied().unwrap_or_default();
                    self.under_way.remove(&key).and_then(|cleaning| {
                        let after = read(inside.disk, log, cleaning.to)?;
                        cleaning.wrong(&after, log.start().max(floor), whole)
                    })
                }
                Event::LogStartMoved { to, .. } => {
                    let floor = self.floors.entry(key).or_default();
                    *floor = (*floor).max(*to);
                    None
                }
                // A log that was cut has lost more, and lawfully.
                _ => {
                    self.under_way.remove(&key);
                    if let (Event::Truncated { to, .. }, Some(floor)) = (event, self.floors.get_mut(&key)) {
                        *floor = (*floor).min(*to);
                    }
                    None
                }
            };
            let Some(wrong) = wrong else { continue };
            found.report(INFO.name, Some(id), |n| {
                (
                    format!("{} cleans {} otherwise than it may", Name(n, inside.node), Name(n, id)),
                    vec![("wrong", wrong), ("log", format!("{}..{}", log.start(), log.end()))],
                )
            });
        }
    }
}

impl Cleaning {
    /// What it has done that it may not, if anything: `after` is what there is now of what it looked through, of which
    /// all before `start` was deleted. A cleaning that is not `whole` was broken off.
    fn wrong(&self, after: &[Held], start: Offset, whole: bool) -> Option<String> {
        let mut newest: BTreeMap<&Bytes, Offset> = BTreeMap::new();
        for record in self.before.iter().flat_map(|held| &held.records) {
            newest.extend(record.key.as_ref().map(|key| (key, record.offset)));
        }
        let is_newest = |record: &Kept| record.key.as_ref().is_some_and(|key| newest[key] == record.offset);
        let there: BTreeMap<Offset, &Held> = after.iter().map(|held| (held.base, held)).collect();
        for held in self.before.iter().filter(|held| held.end > start) {
            let now = there.get(&held.base).filter(|now| (now.epoch, now.end) == (held.epoch, held.end));
            if now.map_or(0, |now| now.marks) != held.marks {
                return Some(format!("the log's own mark @{} is gone", held.base));
            }
            let left: BTreeSet<Offset> =
                now.iter().flat_map(|now| &now.records).map(|record| record.offset).collect();
            for record in held.records.iter().filter(|it| it.offset >= start && is_newest(it)) {
                let is_over = held.horizon.is_some_and(|horizon| horizon <= self.began);
                if left.contains(&record.offset) || (record.value.is_none() && is_over) {
                    continue;
                }
                let key = show(record.key.as_ref());
                return Some(match record.value {
                    Some(_) => format!("@{} is gone, the newest record of {key}", record.offset),
                    None => format!(
                        "@{} is gone, the tombstone of {key}, {}",
                        record.offset,
                        match held.horizon {
                            Some(horizon) => format!("which stays until {}", horizon.0),
                            None => "which no cleaning had seen".into(),
                        }
                    ),
                });
            }
        }
        self.wrong_in(after, start, whole, &is_newest)
    }

    /// The same of what there is now.
    fn wrong_in(
        &self,
        after: &[Held],
        start: Offset,
        whole: bool,
        is_newest: &dyn Fn(&Kept) -> bool,
    ) -> Option<String> {
        let there: BTreeMap<Offset, &Held> = self.before.iter().map(|held| (held.base, held)).collect();
        let retention = i64::try_from(self.retention.as_millis()).unwrap_or(i64::MAX);
        let from_now = Timestamp(self.began.0.saturating_add(retention));
        for held in after.iter().filter(|held| held.end > start && held.base < self.to) {
            let Some(was) = there.get(&held.base).filter(|was| was.epoch == held.epoch) else {
                return Some(format!("the batch @{} was not there before", held.base));
            };
            let due = was.horizon.unwrap_or(from_now);
            // What is not cleaned yet bears what it bore.
            let is_seen = whole || held.horizon.is_some();
            let tombstone = held.records.iter().find(|record| record.value.is_none() && is_seen);
            if let Some(tombstone) = tombstone.filter(|_| held.horizon != Some(due)) {
                let when = held.horizon.map_or("never".into(), |horizon| format!("at {}", horizon.0));
                return Some(format!("the tombstone @{} goes {when}, and not at {}", tombstone.offset, due.0));
            }
            for record in &held.records {
                if !was.records.contains(record) {
                    return Some(format!("@{} is another record than before", record.offset));
                }
                if whole && record.offset >= start && !is_newest(record) {
                    let key = show(record.key.as_ref());
                    return Some(format!("@{} is left, and {key} has a newer record", record.offset));
                }
            }
        }
        let end = |all: &[Held]| all.iter().filter(|held| held.base < self.to).map(|held| held.end).max();
        (end(after) != end(&self.before) && end(&self.before) > Some(start))
            .then(|| format!("the last batch before {} is gone, and with it where the log ends", self.to))
    }
}

fn show(key: Option<&Bytes>) -> String {
    match key.map(|key| std::str::from_utf8(key)) {
        Some(Ok(key)) if !key.chars().any(char::is_control) => format!("\"{key}\""),
        Some(_) => format!("a key of {} bytes", key.map_or(0, Bytes::len)),
        None => "no key".into(),
    }
}

/// What a disk holds of a log in the segments that begin before `to`; nothing if that is not known.
fn read(disk: &Disk, log: &Log, to: Offset) -> Option<Vec<Held>> {
    let mut all = Vec::new();
    for base in log.segments().filter(|base| *base < to) {
        let mut bytes = disk.read_raw(FileName::of_log(log.partition(), FileKind::Segment(base)))?;
        while !bytes.is_empty() {
            all.push(held(&Batch::decode(&mut bytes).ok()?)?);
        }
    }
    Some(all)
}

fn held(batch: &Batch) -> Option<Held> {
    if batch.is_compressed() {
        return None;
    }
    let control = batch.is_control();
    let mut records = Vec::new();
    for record in batch.decode_records().filter(|_| !control) {
        let record = record.ok()?;
        records.push(Kept { offset: record.offset, key: record.key, value: record.value });
    }
    Some(Held {
        base: batch.base_offset(),
        end: batch.end_offset(),
        epoch: batch.leader_epoch(),
        marks: if control { batch.header().record_count } else { 0 },
        horizon: batch.delete_horizon(),
        records,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: Timestamp = Timestamp(1_000);

    /// A batch of records with these keys from `base` on; a tombstone has a `-` before its key.
    fn batch(base: u64, keys: &[&str]) -> Held {
        let records: Vec<Kept> = (base..)
            .zip(keys)
            .map(|(offset, key)| {
                let value = (!key.starts_with('-')).then(|| format!("{key}@{offset}").into());
                let key = key.trim_start_matches('-').as_bytes();
                Kept { offset: Offset(offset), key: Some(Bytes::copy_from_slice(key)), value }
            })
            .collect();
        let (end, epoch) = (Offset(base + keys.len() as u64), LeaderEpoch(1));
        Held { base: Offset(base), end, epoch, marks: 0, horizon: None, records }
    }

    fn without(mut held: Held, offsets: &[u64]) -> Held {
        held.records.retain(|record| !offsets.contains(&record.offset.0));
        held
    }

    fn until(mut held: Held, horizon: i64) -> Held {
        held.horizon = Some(Timestamp(horizon));
        held
    }

    fn wrong(before: Vec<Held>, after: &[Held]) -> Option<String> {
        let to = before.last().map_or(Offset::ZERO, |last| last.end);
        let retention = Duration::from_millis(500);
        Cleaning { to, began: BEGAN, retention, before }.wrong(after, Offset::ZERO, true)
    }

    #[test]
    fn of_each_key_the_newest_is_left() {
        let before = || vec![batch(0, &["a", "b"]), batch(2, &["a", "c"])];
        let after = [without(batch(0, &["a", "b"]), &[0]), batch(2, &["a", "c"])];
        assert_eq!(wrong(before(), &after), None);
        let lost = [without(batch(0, &["a", "b"]), &[0, 1]), batch(2, &["a", "c"])];
        assert!(wrong(before(), &lost).is_some_and(|it| it.contains("@1 is gone")));
        assert!(wrong(before(), &before()).is_some_and(|it| it.contains("@0 is left")));
        let other = [without(batch(0, &["a", "b"]), &[0]), batch(2, &["a", "d"])];
        assert!(wrong(before(), &other).is_some());
    }

    #[test]
    fn a_batch_that_has_lost_everything_may_go_but_not_the_last() {
        let before = || vec![batch(0, &["a"]), batch(1, &["b"]), batch(2, &["b"]), batch(3, &["a"])];
        let after = [batch(2, &["b"]), batch(3, &["a"])];
        assert_eq!(wrong(before(), &after), None);
        let before = || vec![batch(0, &["a"]), until(batch(1, &["-b"]), 900)];
        assert_eq!(wrong(before(), &[batch(0, &["a"]), until(without(batch(1, &["-b"]), &[1]), 900)]), None);
        assert!(wrong(before(), &[batch(0, &["a"])]).is_some_and(|it| it.contains("where the log ends")));
    }

    #[test]
    fn a_tombstone_stays_until_its_time_is_over() {
        let tombstone = || batch(0, &["-a"]);
        let then = |horizon| [until(tombstone(), horizon), batch(1, &["b"])];
        let before = |first: Held| vec![first, batch(1, &["b"])];
        let gone = [batch(1, &["b"])];
        assert_eq!(wrong(before(tombstone()), &then(1_500)), None);
        assert!(wrong(before(tombstone()), &then(700)).is_some_and(|it| it.contains("goes at 700")));
        assert!(wrong(before(tombstone()), &gone).is_some_and(|it| it.contains("no cleaning had seen")));
        assert!(wrong(before(until(tombstone(), 1_001)), &gone).is_some_and(|it| it.contains("until 1001")));
        assert_eq!(wrong(before(until(tombstone(), 1_000)), &gone), None);
    }

    #[test]
    fn the_marks_of_the_log_stay() {
        let mark = || Held { marks: 1, records: Vec::new(), ..batch(0, &["m"]) };
        let before = || vec![mark(), batch(1, &["b"])];
        assert_eq!(wrong(before(), &before()), None);
        assert!(wrong(before(), &[batch(1, &["b"])]).is_some_and(|it| it.contains("mark")));
    }

    #[test]
    fn who_died_meanwhile_may_have_cleaned_a_part() {
        let before = vec![batch(0, &["a", "b"]), batch(2, &["a", "c"])];
        let (to, retention) = (Offset(4), Duration::ZERO);
        let cleaning = Cleaning { to, began: BEGAN, retention, before: before.clone() };
        assert_eq!(cleaning.wrong(&before, Offset::ZERO, false), None);
        assert!(cleaning.wrong(&before[1..], Offset::ZERO, false).is_some());
        // What was deleted meanwhile is gone.
        assert_eq!(cleaning.wrong(&before[1..], Offset(2), false), None);
    }
}
