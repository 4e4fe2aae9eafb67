//! How far may the high watermark move, and why not further? KIP-966.

use core::time::Duration;

use super::leader::{Leader, Remote};
use crate::{
    museum::{Bug, Museum},
    time::Instant,
    units::Offset,
};

/// What the high watermark depends on besides the leader's knowledge of its followers.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Where it stands.
    pub current: Offset,
    /// Up to where the leader itself has written.
    pub written: Offset,
    /// `min.insync.replicas`.
    pub min_isr: u32,
    /// The time.
    pub now: Instant,
    /// `replica.lag.time.max.ms`.
    pub max_lag: Duration,
}

impl Leader {
    /// Where the high watermark moves to, if it moves: to the least written end of the leader, of everybody in
    /// the maximal ISR, and of those who are about to join it.
    ///
    /// It never moves back. While the ISR is under `min.insync.replicas` it does not move at all: what is
    /// below it is on enough replicas for an eligible leader to have it (KIP-966).
    pub fn next_high_watermark(
        &self,
        bounds: Bounds,
        eligible: impl Fn(&Remote) -> bool,
        museum: Museum,
    ) -> Option<Offset> {
        // KAFKA-1555: nothing was asked of the ISR's size at first, so that a leader alone committed alone.
        if !museum.has(Bug::AcksAllWithoutMinIsr) && self.is_under_min_isr(bounds.min_isr) {
            return None;
        }
        let mut end = bounds.written;
        for remote in self.remotes() {
            if self.counts(remote, bounds, &eligible, museum) {
                end = end.min(remote.log_end?);
            }
        }
        // A mutant: whoever lags and is about to join took it back.
        let moves = end > bounds.current || museum.has(Bug::HwGoesBack) && end < bounds.current;
        moves.then_some(end)
    }

    fn counts(
        &self,
        remote: &Remote,
        bounds: Bounds,
        eligible: &impl Fn(&Remote) -> bool,
        museum: Museum,
    ) -> bool {
        if museum.has(Bug::HwIgnoresPendingIsr) {
            // KIP-497: the controller may have put a replica in that is behind, and elect it, before we hear
            // that it has.
            return self.isr.committed().contains(remote.id);
        }
        if self.isr.maximal().contains(remote.id) {
            return true;
        }
        // Somebody who has caught up will ask to join; without waiting for it the high watermark would run
        // ahead of it again and again, and it would never be let in.
        remote.log_end.is_some()
            && remote.is_caught_up(bounds.written, bounds.now, bounds.max_lag)
            && eligible(remote)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{isr::nodes, leader::tests::leader},
        *,
    };
    use crate::units::{LeaderEpoch, NodeId};

    fn bounds(current: u64, written: u64, min_isr: u32) -> Bounds {
        Bounds {
            current: Offset(current),
            written: Offset(written),
            min_isr,
            now: Instant(100),
            max_lag: Duration::from_nanos(10),
        }
    }

    fn nobody(_: &Remote) -> bool {
        false
    }

    #[test]
    fn it_waits_for_everybody_in_sync() {
        let mut leader = leader([1, 2, 3], Offset(0), LeaderEpoch(1));
        leader.fetched_for_test(2, Offset(9), Instant(1), Offset(9));
        assert_eq!(leader.next_high_watermark(bounds(0, 9, 1), nobody, Museum::CLOSED), None);
        leader.fetched_for_test(3, Offset(7), Instant(1), Offset(9));
        assert_eq!(leader.next_high_watermark(bounds(0, 9, 1), nobody, Museum::CLOSED), Some(Offset(7)));
        assert_eq!(leader.next_high_watermark(bounds(7, 9, 1), nobody, Museum::CLOSED), None);
        assert_eq!(leader.next_high_watermark(bounds(0, 5, 1), nobody, Museum::CLOSED), Some(Offset(5)));
    }

    #[test]
    fn it_counts_whoever_is_proposed() {
        let mut leader = leader([1, 2], Offset(0), LeaderEpoch(1));
        leader.fetched_for_test(2, Offset(9), Instant(1), Offset(9));
        leader.fetched_for_test(3, Offset(4), Instant(1), Offset(9));
        leader.proposed(nodes([1, 2, 3]), Museum::CLOSED);
        assert_eq!(leader.next_high_watermark(bounds(0, 9, 1), nobody, Museum::CLOSED), Some(Offset(4)));
        #[cfg(feature = "museum")]
        assert_eq!(
            leader.next_high_watermark(
                bounds(0, 9, 1),
                nobody,
                Museum::CLOSED.with(Bug::HwIgnoresPendingIsr)
            ),
            Some(Offset(9))
        );
    }

    #[test]
    fn it_stands_still_under_min_isr() {
        let mut leader = leader([1, 2], Offset(0), LeaderEpoch(1));
        leader.fetched_for_test(2, Offset(9), Instant(1), Offset(9));
        assert_eq!(leader.next_high_watermark(bounds(0, 9, 3), nobody, Museum::CLOSED), None);
        assert_eq!(leader.next_high_watermark(bounds(0, 9, 2), nobody, Museum::CLOSED), Some(Offset(9)));
    }

    #[test]
    fn it_waits_for_who_is_about_to_join() {
        let mut leader = leader([1], Offset(0), LeaderEpoch(1));
        leader.fetched_for_test(2, Offset(6), Instant(99), Offset(6));
        let only_2 = |remote: &Remote| remote.id == NodeId(2);
        assert_eq!(leader.next_high_watermark(bounds(0, 9, 1), only_2, Museum::CLOSED), Some(Offset(6)));
        assert_eq!(leader.next_high_watermark(bounds(0, 9, 1), nobody, Museum::CLOSED), Some(Offset(9)));
    }
}
