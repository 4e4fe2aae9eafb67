//! Does a replica know which leader epoch started where in its log? (`WB-EpochCache`)

use trial_model::{
    event::{Event, EventKind},
    log::{Log, epochs::Epochs},
    node::Node,
    units::{LeaderEpoch, NodeId, Offset, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Inside, Name, Scene, safety};
use crate::{mirror::Lookup, world_event::WorldEvent};

pub(super) const INFO: CheckInfo = safety(
    "epoch_cache_matches_log",
    "WB-EpochCache",
    "A replica's epoch cache says of every epoch in its log where it starts, and of no other but the one it was just elected for (KIP-101).",
);

/// Where the epochs start in a log, by the batches that its owner told of.
#[derive(Clone, Default)]
struct Starts {
    epochs: Vec<Told>,
    end: Offset,
    /// Whether its owner has more than it told of.
    unknown: bool,
    /// Whether its owner was elected and nothing was appended since.
    elected: bool,
    /// What was cut off and may still be on the disk: told is what memory holds.
    cut: Option<Cut>,
    /// Whether it was cleaned, or copied from one that was: the records that an epoch began with may be gone, and
    /// where it is said to start with them.
    gaps: bool,
    /// The furthest that it has begun: after a death it may begin earlier again.
    floor: Offset,
}

/// What was told of an epoch's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    epoch: LeaderEpoch,
    /// Where the first begins.
    base: Offset,
    /// Where the last ends: the next epoch's may begin behind a gap.
    end: Offset,
}

impl Starts {
    /// There is nothing from `end` on.
    fn ends(&mut self, end: Offset) {
        self.epochs.retain(|told| told.base < end);
        for told in &mut self.epochs {
            told.end = told.end.min(end);
        }
        self.end = end;
    }
}

/// Records that were cut off, while nothing written since proves that the disk has cut them off, too.
#[derive(Clone, Copy)]
struct Cut {
    /// What lies before is what it was.
    kept: Offset,
    /// Where the log began anew, if it did.
    begun: Option<Offset>,
}

impl Cut {
    /// Another cut before the disk has done this one.
    fn and(self, later: Cut) -> Cut {
        Cut { kept: self.kept.min(later.kept), begun: later.begun.filter(|_| self.begun.is_some()) }
    }

    /// Whether a log that was read back may hold what was cut off.
    fn may_be_undone(self, start: Offset, end: Offset) -> bool {
        end > self.kept && self.begun.is_none_or(|begun| start < begun)
    }
}

#[derive(Default)]
struct EpochCacheMatchesLog {
    logs: Lookup<(NodeId, TopicPartition), Starts>,
    lost: Vec<NodeId>,
    /// Logs with a cut that the disk may not have done.
    cuts: Vec<(NodeId, TopicPartition)>,
    /// What the step was about, in order, some of it more than once: a broker may begin with thousands of logs.
    touched: Vec<TopicPartition>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(EpochCacheMatchesLog::default())
}

impl Check for EpochCacheMatchesLog {
    fn hears(&self) -> Hears {
        Hears {
            inspects: &[
                EventKind::Appended,
                EventKind::Truncated,
                EventKind::Recovered,
                EventKind::LogCleaning,
                EventKind::LogStartMoved,
                EventKind::LeaderStarted,
                EventKind::FollowerStarted,
                EventKind::ReplicaStopped,
            ],
            ..Hears::default()
        }
    }

    fn world(&mut self, _scene: Scene<'_>, event: &WorldEvent, _found: &mut Found) {
        // What a node tells in its next life is compared with what it told before, unless its disk is another:
        // that has no logs, and none of them is read back.
        match event {
            WorldEvent::NodeStopped { node, lost_disk: true, .. } => {
                self.lost.push(*node);
                self.logs.retain(|(whose, _), _| whose != node);
            }
            WorldEvent::DiskDamaged { node, .. } => self.lost.push(*node),
            _ => {}
        }
    }

    fn inspect(&mut self, inside: Inside<'_>, found: &mut Found) {
        let Inside { node, state, events, .. } = inside;
        let Node::Broker(broker) = state else { return };
        for event in events {
            self.take(node, event);
        }
        let logs = &mut self.logs;
        self.cuts.retain(|key| {
            let Some(starts) = logs.get_mut(key) else { return false };
            let replica = broker.replica(key.1).filter(|_| key.0 == node);
            // A log's operations are done one after the other.
            let after = starts.cut.map_or(Offset::ZERO, |cut| cut.begun.unwrap_or(cut.kept));
            if replica.is_some_and(|replica| !replica.log.is_truncating() && replica.log.written() > after) {
                starts.cut = None;
            }
            starts.cut.is_some()
        });
        let mut seen = Lookup::default();
        for id in std::mem::take(&mut self.touched) {
            if seen.insert(id, ()).is_some() {
                continue;
            }
            let Some(replica) = broker.replica(id) else { continue };
            let Some(starts) = self.logs.get(&(node, id)) else { continue };
            if replica.log.is_truncating() || starts.unknown || starts.end != replica.log.end() {
                continue;
            }
            let elected = replica.leader().is_some().then(|| replica.epoch()).flatten();
            let Some(wrong) = wrong(&replica.log, starts, elected) else { continue };
            found.report(INFO.name, Some(id), |n| {
                let list = |epochs: &[(LeaderEpoch, Offset)]| {
                    let last = &epochs[epochs.len().saturating_sub(6)..];
                    last.iter().map(|(epoch, start)| format!("{epoch} from {start}")).collect::<Vec<_>>().join(", ")
                };
                let told: Vec<_> = starts.epochs.iter().map(|told| (told.epoch, told.base)).collect();
                (
                    format!("the epoch cache of {} on {} is wrong: {wrong}", Name(n, id), Name(n, node)),
                    vec![
                        ("cache", list(replica.log.epochs().entries())),
                        ("log", list(&told)),
                        ("reaches", format!("{}..{}", replica.log.start(), replica.log.end())),
                    ],
                )
            });
        }
    }
}

impl EpochCacheMatchesLog {
    fn take(&mut self, node: NodeId, event: &Event) {
        let Some(id) = event.partition().filter(|id| !id.is_metadata()) else { return };
        let key = (node, id);
        match *event {
            Event::Appended { base, end, epoch, .. } => {
                let starts = self.logs.entry(key).or_default();
                starts.gaps |= base > starts.end;
                starts.end = end;
                let first = std::mem::take(&mut starts.elected);
                let last = starts.epochs.last_mut().filter(|last| last.epoch == epoch);
                let begins = last.is_none();
                match last {
                    Some(last) => last.end = end,
                    None => starts.epochs.push(Told { epoch, base, end }),
                }
                if first || begins {
                    self.touched.push(id);
                }
            }
            Event::Truncated { to, from, .. } => {
                let starts = self.logs.entry(key).or_default();
                if to > from {
                    starts.epochs.clear();
                }
                starts.ends(to);
                starts.floor = starts.floor.min(to);
                let cut = match to > from {
                    true => Cut { kept: Offset::ZERO, begun: Some(to) },
                    false => Cut { kept: to, begun: None },
                };
                starts.cut = Some(starts.cut.map_or(cut, |before| before.and(cut)));
                if !self.cuts.contains(&key) {
                    self.cuts.push(key);
                }
                self.touched.push(id);
            }
            Event::Recovered { start, end, .. } => {
                let starts = self.logs.entry(key).or_default();
                let undone = starts.cut.take().is_some_and(|cut| cut.may_be_undone(start, end));
                let more = end > starts.end || start > starts.end || self.lost.contains(&node) || undone;
                starts.unknown = (starts.unknown || more) && end > start;
                if start == end {
                    starts.epochs.clear();
                }
                starts.ends(end);
                self.touched.push(id);
            }
            Event::LogCleaning { .. } => self.logs.entry(key).or_default().gaps = true,
            Event::LogStartMoved { to, .. } => {
                let starts = self.logs.entry(key).or_default();
                starts.floor = starts.floor.max(to);
            }
            Event::LeaderStarted { .. } => {
                self.logs.entry(key).or_default().elected = true;
                self.touched.push(id);
            }
            Event::FollowerStarted { .. } => self.touched.push(id),
            Event::ReplicaStopped { deleted: true, .. } => {
                self.logs.remove(&key);
            }
            _ => {}
        }
    }
}

/// What of a log's cache contradicts where its epochs start, if anything does.
fn wrong(log: &Log, starts: &Starts, elected: Option<LeaderEpoch>) -> Option<String> {
    let gone = starts.gaps.then(|| starts.floor.max(log.start()));
    compare(log.epochs(), (log.start(), log.end()), gone, &starts.epochs, elected)
}

fn compare(
    cache: &Epochs,
    (start, end): (Offset, Offset),
    gone: Option<Offset>,
    told: &[Told],
    elected: Option<LeaderEpoch>,
) -> Option<String> {
    for Told { epoch, base, end: until } in told {
        let until = *until;
        if until <= gone.unwrap_or(start) {
            continue;
        }
        match cache.start_of(*epoch) {
            Some(known) if known == *base || (*base <= start && known <= start) => {}
            Some(known) if gone.is_some_and(|gone| *base <= gone) && known < until => {}
            // An epoch begins where its leader was elected; a leader may have been elected at its own log start.
            Some(known) => return Some(format!("epoch {epoch} starts at {base}, not at {known}")),
            None => return Some(format!("epoch {epoch} starts at {base}, and it does not know")),
        }
    }
    for (epoch, known) in cache.entries() {
        let empty = *known >= end && Some(*epoch) != elected;
        if empty && elected.is_some() {
            return Some(format!("epoch {epoch} is said to start at {known}, where the log ends"));
        }
        let within = start < *known && *known < end;
        if within && !told.iter().any(|told| told.epoch == *epoch) {
            return Some(format!("epoch {epoch} is said to start at {known}, and has no record"));
        }
    }
    match elected {
        Some(epoch) if cache.start_of(epoch).is_none() => {
            Some(format!("it was elected for {epoch} and did not note it"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(u32, u64)]) -> Epochs {
        let mut epochs = Epochs::new();
        for (epoch, start) in entries {
            epochs.assign(LeaderEpoch(*epoch), Offset(*start));
        }
        epochs
    }

    fn told(epoch: u32, base: u64, end: u64) -> Told {
        Told { epoch: LeaderEpoch(epoch), base: Offset(base), end: Offset(end) }
    }

    /// Epochs of a log that ends at 9, each of which reaches to the next.
    fn without_gaps(begun: &[(u32, u64)]) -> Vec<Told> {
        let ends = begun.iter().skip(1).map(|(_, base)| *base).chain([9]);
        begun.iter().zip(ends).map(|((epoch, base), end)| told(*epoch, *base, end)).collect()
    }

    fn judged(cache: &[(u32, u64)], told: &[(u32, u64)], elected: Option<u32>) -> Option<String> {
        compare(&epochs(cache), (Offset(2), Offset(9)), None, &without_gaps(told), elected.map(LeaderEpoch))
    }

    #[test]
    fn an_epoch_that_is_not_known_is_noticed() {
        assert!(judged(&[(1, 4)], &[(0, 0), (1, 4)], None).is_some());
        assert!(judged(&[(0, 0), (1, 5)], &[(0, 0), (1, 4)], None).is_some());
        assert!(judged(&[(0, 0), (1, 4)], &[(0, 0), (1, 4)], Some(2)).is_some(), "elected for epoch 2");
    }

    #[test]
    fn an_epoch_without_a_record_may_only_stand_at_the_end() {
        assert!(judged(&[(0, 0), (1, 4)], &[(0, 0)], None).is_some());
        assert_eq!(judged(&[(0, 0), (1, 9)], &[(0, 0)], None), None, "until the leader has said where to cut");
    }

    #[test]
    fn the_log_start_and_an_election_move_what_is_known() {
        assert_eq!(judged(&[(0, 2), (1, 4)], &[(0, 0), (1, 4)], None), None);
        assert_eq!(judged(&[(0, 2), (1, 4), (3, 9)], &[(0, 0), (1, 4)], Some(3)), None);
        // What lies before the log start need not be known.
        assert_eq!(judged(&[(1, 2)], &[(0, 0), (1, 1)], None), None);
    }

    fn appended(partition: TopicPartition, base: u64, epoch: u32) -> Event {
        Event::Appended {
            partition,
            role: trial_model::event::ReplicaRole::Follower,
            base: Offset(base),
            end: Offset(base + 1),
            epoch: LeaderEpoch(epoch),
            crc: 1,
            producer: None,
            control: false,
            max_timestamp: trial_model::time::Timestamp(0),
        }
    }

    #[test]
    fn what_a_node_tells_adds_up() {
        let (mut check, node, id) = (EpochCacheMatchesLog::default(), NodeId(1), super::super::testing::P);
        let appended = |base: u64, epoch: u32| appended(id, base, epoch);
        let (start, end, clean, cut, last_epoch, last_crc) = (Offset(0), Offset(1), false, 0, None, None);
        for event in [
            appended(0, 1),
            appended(1, 1),
            appended(2, 3),
            Event::Recovered { partition: id, start, end, clean, cut, last_epoch, last_crc },
            appended(1, 4),
            appended(2, 4),
        ] {
            check.take(node, &event);
        }
        let starts = &check.logs[&(node, id)];
        assert_eq!(starts.epochs, [told(1, 0, 1), told(4, 1, 3)]);
        assert!(!starts.unknown && starts.end == Offset(3));
        // More came back than was told of.
        check.take(node, &Event::Recovered { partition: id, start, end: Offset(7), clean, cut, last_epoch, last_crc });
        assert!(check.logs[&(node, id)].unknown);
    }

    /// Whether what a log of five records holds is known after it was cut from `from` to `to` and read back.
    fn known(from: u64, to: u64, recovered: std::ops::Range<u64>) -> bool {
        let (mut check, node, partition) =
            (EpochCacheMatchesLog::default(), NodeId(1), super::super::testing::P);
        check.logs.insert((node, partition), Starts { end: Offset(from), ..Starts::default() });
        let (why, high_watermark) = (trial_model::event::TruncateReason::Diverged, Offset(0));
        let (start, end) = (Offset(recovered.start), Offset(recovered.end));
        let (clean, cut, last_epoch, last_crc) = (false, 0, None, None);
        check.take(
            node,
            &Event::Truncated { partition, from: Offset(from), to: Offset(to), why, high_watermark },
        );
        check.logs.get_mut(&(node, partition)).expect("it was put there").end = Offset(to + 2);
        check.take(node, &Event::Recovered { partition, start, end, clean, cut, last_epoch, last_crc });
        !check.logs[&(node, partition)].unknown
    }

    #[test]
    fn a_death_may_undo_a_cut() {
        assert!(known(5, 3, 0..3), "what was cut off is gone");
        assert!(!known(5, 3, 0..4), "that may be the old record or the new one");
        assert!(known(5, 9, 9..10), "it began anew");
        assert!(!known(5, 9, 2..5), "the old log");
    }

    /// What is said of a log that was cleaned, and has begun up to offset 4 before a death.
    fn judged_cleaned(cache: &[(u32, u64)], told: &[(u32, u64)]) -> Option<String> {
        compare(&epochs(cache), (Offset(2), Offset(9)), Some(Offset(4)), &without_gaps(told), None)
    }

    #[test]
    fn a_log_that_was_cleaned_may_have_lost_what_an_epoch_began_with() {
        assert_eq!(judged_cleaned(&[(0, 6)], &[(0, 0)]), None, "what is left of it begins there");
        assert_eq!(judged_cleaned(&[(1, 4)], &[(0, 0), (1, 4)]), None, "nothing is left of the first");
        assert!(judged_cleaned(&[(0, 0), (1, 6)], &[(0, 0), (1, 5)]).is_some(), "nobody has deleted @5");
        assert!(judged_cleaned(&[(0, 0)], &[(0, 0), (1, 5)]).is_some());
    }

    #[test]
    fn who_cleans_or_copies_gaps_is_known_to() {
        let (mut check, node, partition) =
            (EpochCacheMatchesLog::default(), NodeId(1), super::super::testing::P);
        let key = (node, partition);
        let why = trial_model::event::LogStartReason::Retention;
        let (from, to) = (Offset(0), Offset(3));
        check.take(node, &Event::LogStartMoved { partition, from, to, why });
        assert!(!check.logs[&key].gaps && check.logs[&key].floor == to);
        check.take(node, &Event::LogCleaning { partition, from, to });
        assert!(check.logs[&key].gaps);
        // Everything was deleted, and what is copied then begins behind a gap.
        let starts = check.logs.get_mut(&key).expect("it was put there");
        (starts.end, starts.epochs) = (to, vec![told(0, 0, 3)]);
        check.take(node, &appended(partition, 9, 1));
        assert_eq!(check.logs[&key].epochs, [told(0, 0, 3), told(1, 9, 10)]);
    }

    /// What it had ends at 4, where its log begins now; what it copied then begins behind a gap.
    #[test]
    fn an_epoch_ends_before_the_gap_that_follows() {
        let judged = |end| {
            let (log, gone) = ((Offset(4), Offset(9)), Some(Offset(4)));
            compare(&epochs(&[(2, 4), (3, 7)]), log, gone, &[told(1, 2, end), told(3, 7, 9)], None)
        };
        assert_eq!(judged(4), None);
        assert!(judged(5).is_some(), "a record of it is left");
    }
}
