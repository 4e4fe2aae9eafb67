//! Which leader epoch started where? Answers "where do our logs part?" (KIP-101, KIP-279).

use alloc::vec::Vec;
use core::fmt::Write as _;

use bytes::Bytes;

use crate::{
    protocol::fetch::EpochEnd,
    units::{LeaderEpoch, Offset},
};

/// The start of every epoch of a log, both strictly ascending.
///
/// An entry is made when a leader is elected, before it appends anything, and when a follower appends the
/// first batch of an epoch. Only the newest entry may start at the log's end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs(Vec<(LeaderEpoch, Offset)>);

impl Epochs {
    /// None.
    pub fn new() -> Epochs {
        Epochs::default()
    }

    /// Notes that `epoch` starts at `start`; says whether that was news.
    ///
    /// An epoch that is known, or older than the newest, is left as it is. Entries that do not start before
    /// `start` held no records: they give way.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if self.0.last().is_some_and(|(last, _)| epoch <= *last) {
            return false;
        }
        while self.0.last().is_some_and(|(_, begun)| *begun >= start) {
            self.0.pop();
        }
        self.0.push((epoch, start));
        true
    }

    /// The newest epoch.
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.0.last().map(|(epoch, _)| *epoch)
    }

    /// Where the newest epoch starts.
    pub fn latest_start(&self) -> Option<Offset> {
        self.0.last().map(|(_, start)| *start)
    }

    /// The epoch before `epoch`.
    pub fn before(&self, epoch: LeaderEpoch) -> Option<LeaderEpoch> {
        let at = self.0.partition_point(|(e, _)| *e < epoch);
        at.checked_sub(1).map(|at| self.0[at].0)
    }

    /// The epoch that the record at `offset` bears, if the log reaches there; `None` before the first entry.
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let at = self.0.partition_point(|(_, start)| *start <= offset);
        at.checked_sub(1).map(|at| self.0[at].0)
    }

    /// Where `epoch` starts.
    pub fn start_of(&self, epoch: LeaderEpoch) -> Option<Offset> {
        self.0.binary_search_by_key(&epoch, |(e, _)| *e).ok().map(|at| self.0[at].1)
    }

    /// The greatest epoch that is not greater than `epoch`, and where it ends.
    ///
    /// The newest epoch ends at `log_end`. An epoch before the first entry ends where that one starts, and
    /// is answered as asked for. `None` for an epoch newer than all, and while there are no entries.
    /// KIP-101, KIP-279.
    pub fn end_for(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<EpochEnd> {
        let (latest, _) = *self.0.last()?;
        if epoch > latest {
            return None;
        }
        if epoch == latest {
            return Some(EpochEnd { epoch, end: log_end });
        }
        // The first entry of a greater epoch: it exists, for `epoch` is less than the latest.
        let at = self.0.partition_point(|(e, _)| *e <= epoch);
        let end = self.0[at].1;
        let epoch = at.checked_sub(1).map_or(epoch, |at| self.0[at].0);
        Some(EpochEnd { epoch, end })
    }

    /// Forgets what starts at or after `end`: the log was cut there.
    pub fn truncate_from_end(&mut self, end: Offset) -> bool {
        let before = self.0.len();
        while self.0.last().is_some_and(|(_, start)| *start >= end) {
            self.0.pop();
        }
        self.0.len() != before
    }

    /// Forgets epochs that end at or before `start`; the one that holds `start` now starts there.
    pub fn truncate_from_start(&mut self, start: Offset) -> bool {
        let at = self.0.partition_point(|(_, begun)| *begun <= start);
        let Some(holds) = at.checked_sub(1) else { return false };
        if self.0[holds].1 == start && holds == 0 {
            return false;
        }
        self.0[holds].1 = start;
        self.0.drain(..holds);
        true
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Every epoch and its start, oldest first.
    pub fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.0
    }

    /// As in Kafka's `leader-epoch-checkpoint`: a version, how many, and a line for each.
    pub fn encode(&self) -> Bytes {
        let mut text = alloc::format!("0\n{}\n", self.0.len());
        for (epoch, start) in &self.0 {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{epoch} {start}");
        }
        text.into()
    }

    /// From what `encode` wrote; `None` if it is damaged or the entries do not ascend.
    pub fn decode(bytes: &[u8]) -> Option<Epochs> {
        let text = core::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        if lines.next()? != "0" {
            return None;
        }
        let count: usize = lines.next()?.parse().ok()?;
        let mut epochs = Epochs::new();
        for line in lines {
            let (epoch, start) = line.split_once(' ')?;
            let (epoch, start) = (LeaderEpoch(epoch.parse().ok()?), Offset(start.parse().ok()?));
            if epochs.0.last().is_some_and(|(e, s)| *e >= epoch || *s >= start) {
                return None;
            }
            epochs.0.push((epoch, start));
        }
        (epochs.0.len() == count).then_some(epochs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[(u32, u64)]) -> Epochs {
        let mut epochs = Epochs::new();
        for (epoch, start) in entries {
            epochs.assign(LeaderEpoch(*epoch), Offset(*start));
        }
        epochs
    }

    fn end(epoch: u32, end: u64) -> Option<EpochEnd> {
        Some(EpochEnd { epoch: LeaderEpoch(epoch), end: Offset(end) })
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins_and_the_newest_at_the_log_end() {
        let epochs = of(&[(2, 0), (4, 10), (7, 25)]);
        assert_eq!(epochs.end_for(LeaderEpoch(2), Offset(30)), end(2, 10));
        assert_eq!(epochs.end_for(LeaderEpoch(5), Offset(30)), end(4, 25), "KIP-279: the epoch it is about");
        assert_eq!(epochs.end_for(LeaderEpoch(7), Offset(30)), end(7, 30));
        assert_eq!(epochs.end_for(LeaderEpoch(8), Offset(30)), None);
        assert_eq!(epochs.end_for(LeaderEpoch(1), Offset(30)), end(1, 0), "before the first entry");
    }

    #[test]
    fn an_epoch_without_records_gives_way_to_the_next() {
        let epochs = of(&[(1, 0), (2, 5), (3, 5)]);
        assert_eq!(epochs.entries(), &[(LeaderEpoch(1), Offset(0)), (LeaderEpoch(3), Offset(5))]);
        assert_eq!(epochs.epoch_of(Offset(4)), Some(LeaderEpoch(1)));
        assert_eq!(epochs.epoch_of(Offset(5)), Some(LeaderEpoch(3)));
    }

    #[test]
    fn an_older_epoch_is_never_noted() {
        let mut epochs = of(&[(3, 0)]);
        assert!(!epochs.assign(LeaderEpoch(2), Offset(9)));
        assert!(!epochs.assign(LeaderEpoch(3), Offset(9)));
    }

    #[test]
    fn cutting_either_end_keeps_what_still_has_records() {
        let mut epochs = of(&[(1, 0), (2, 5), (3, 9)]);
        epochs.truncate_from_end(Offset(9));
        assert_eq!(epochs.latest(), Some(LeaderEpoch(2)));
        epochs.truncate_from_start(Offset(7));
        assert_eq!(epochs.entries(), &[(LeaderEpoch(2), Offset(7))]);
    }

    #[test]
    fn a_damaged_checkpoint_is_refused() {
        let epochs = of(&[(1, 0), (2, 5)]);
        assert_eq!(Epochs::decode(&epochs.encode()), Some(epochs.clone()));
        assert_eq!(Epochs::decode(b"0\n2\n1 0\n"), None, "one line is missing");
        assert_eq!(Epochs::decode(b"0\n2\n1 5\n2 5\n"), None, "starts must ascend");
        assert_eq!(Epochs::decode(b""), None);
    }
}
