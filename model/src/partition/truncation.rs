//! Where do our log and the leader's part, and what is cut? KIP-101, KIP-279, KIP-595.

use crate::{
    protocol::fetch::EpochEnd,
    units::{LeaderEpoch, Offset},
};

/// What a leader says to a reader who is at `fetch_offset` after a record of `last_fetched`, if its log does
/// not hold that record there: the greatest epoch not above the reader's, and where it ends.
///
/// `end_for` is the leader's own answer to "where does this epoch end?". Refuses with `None` inside if the
/// leader knows of no such epoch: the reader is out of its range.
pub fn divergence(
    fetch_offset: Offset,
    last_fetched: LeaderEpoch,
    end_for: impl Fn(LeaderEpoch) -> Option<EpochEnd>,
) -> Result<Option<EpochEnd>, OutOfRange> {
    let end = end_for(last_fetched).ok_or(OutOfRange)?;
    let parted = end.epoch < last_fetched || end.end < fetch_offset;
    Ok(parted.then_some(end))
}

/// The leader knows of no epoch that old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

/// Where a follower whose log ends at `log_end` cuts it, told that the leader's part `theirs` is the last it
/// may share.
///
/// If it does not have that very epoch it cuts at the end of the one it has below and asks again, so that
/// each round takes both nearer to where they agree (KIP-279). Never past its own end.
pub fn cut_at(
    log_end: Offset,
    theirs: EpochEnd,
    end_for: impl Fn(LeaderEpoch) -> Option<EpochEnd>,
) -> Offset {
    match end_for(theirs.epoch) {
        // Another epoch of ours lies below theirs, and ends no later than theirs began.
        Some(ours) if ours.epoch != theirs.epoch => ours.end.min(log_end),
        Some(ours) => ours.end.min(theirs.end).min(log_end),
        None => theirs.end.min(log_end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log as the starts of its epochs and its end.
    fn ends<const N: usize>(starts: [(u32, u64); N], end: u64) -> impl Fn(LeaderEpoch) -> Option<EpochEnd> {
        move |asked| {
            let at = starts.iter().rposition(|(epoch, _)| *epoch <= asked.0)?;
            let end = starts.get(at + 1).map_or(end, |(_, start)| *start);
            Some(EpochEnd { epoch: LeaderEpoch(starts[at].0), end: Offset(end) })
        }
    }

    fn end(epoch: u32, end: u64) -> EpochEnd {
        EpochEnd { epoch: LeaderEpoch(epoch), end: Offset(end) }
    }

    #[test]
    fn a_prefix_has_not_diverged() {
        let leader = ends([(0, 0), (2, 5)], 20);
        assert_eq!(divergence(Offset(5), LeaderEpoch(0), &leader), Ok(None));
        assert_eq!(divergence(Offset(7), LeaderEpoch(0), &leader), Ok(Some(end(0, 5))));
        assert_eq!(divergence(Offset(7), LeaderEpoch(1), &leader), Ok(Some(end(0, 5))));
        assert_eq!(divergence(Offset(7), LeaderEpoch(2), &leader), Ok(None));
        assert_eq!(divergence(Offset(7), LeaderEpoch(0), ends([(1, 0)], 9)), Err(OutOfRange));
    }

    #[test]
    fn fast_elections_are_resolved_in_rounds() {
        // KIP-279's own example: one round would leave 5 to 15 different.
        let leader = ends([(0, 0), (1, 5), (3, 15)], 30);
        let told = divergence(Offset(20), LeaderEpoch(2), &leader).expect("known").expect("parted");
        assert_eq!(told, end(1, 15));
        let cut = cut_at(Offset(20), told, ends([(0, 0), (2, 10)], 20));
        assert_eq!(cut, Offset(10));
        let told = divergence(cut, LeaderEpoch(0), &leader).expect("known").expect("parted");
        let cut = cut_at(cut, told, ends([(0, 0)], 10));
        assert_eq!(cut, Offset(5));
        assert_eq!(divergence(cut, LeaderEpoch(0), &leader), Ok(None));
    }

    #[test]
    fn nothing_is_cut_past_the_end() {
        assert_eq!(cut_at(Offset(3), end(1, 9), ends([(1, 0)], 3)), Offset(3));
        assert_eq!(cut_at(Offset(3), end(1, 9), |_| None), Offset(3));
    }
}
