//! Who is in sync: agreed with the controller, and proposed to it? KIP-497, KIP-841, KIP-903.

use core::time::Duration;

use super::leader::{Leader, Remote};
use crate::{
    museum::{Bug, Museum},
    time::Instant,
    units::{NodeSet, Offset, PartitionEpoch},
};

/// The in-sync replicas as a leader knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isr {
    committed: NodeSet,
    proposed: Option<NodeSet>,
    maximal: NodeSet,
}

impl Isr {
    /// What the controller says, with nothing proposed.
    pub fn agreed(committed: NodeSet) -> Isr {
        Isr { maximal: committed.clone(), proposed: None, committed }
    }

    /// By the controller's last word.
    pub fn committed(&self) -> &NodeSet {
        &self.committed
    }

    /// What has been proposed and not been answered.
    pub fn proposed(&self) -> Option<&NodeSet> {
        self.proposed.as_ref()
    }

    /// Everybody who is, or perhaps already is, in sync: the agreed and the proposed. The high watermark
    /// counts these, because the controller may have agreed without our having heard of it.
    pub fn maximal(&self) -> &NodeSet {
        &self.maximal
    }

    fn propose(&mut self, isr: NodeSet) {
        self.maximal = self.committed.union(&isr);
        self.proposed = Some(isr);
    }
}

/// What became of the controller's answer to a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// It is the state of the partition now.
    Adopted,
    /// It is older than what is known already.
    Stale,
}

impl Leader {
    /// The ISR that `replica` should be added to, if it should.
    ///
    /// It must have everything below the high watermark and everything from before this leader's epoch, and
    /// `eligible` must hold of it: alive, not leaving, and of the registration it fetched with. One proposal
    /// at a time.
    pub fn propose_expand(
        &self,
        replica: &Remote,
        high_watermark: Offset,
        eligible: impl Fn(&Remote) -> bool,
        museum: Museum,
    ) -> Option<NodeSet> {
        if self.waits_for_answer(museum) || self.isr.committed.contains(replica.id) {
            return None;
        }
        let end = replica.log_end?;
        // KAFKA-7128: after an election the local high watermark is behind the true one. Everything below the
        // epoch's start may be committed, so a replica without it must not become electable.
        let has_old_epochs = museum.has(Bug::IsrExpandBeforeEpochStart) || end >= self.epoch_start;
        if end < high_watermark || !has_old_epochs {
            return None;
        }
        // KAFKA-13916, KIP-841: a leader once took in every follower that had caught up, also one that is
        // fenced or about to leave.
        if !museum.has(Bug::FencedBrokerJoinsIsr) && !eligible(replica) {
            return None;
        }
        Some(self.isr.committed.with(replica.id))
    }

    /// The ISR without those who have not been at this leader's `log_end` for `max_lag`, if there are any.
    /// One proposal at a time.
    pub fn propose_shrink(
        &self,
        log_end: Offset,
        now: Instant,
        max_lag: Duration,
        museum: Museum,
    ) -> Option<NodeSet> {
        if self.waits_for_answer(museum) {
            return None;
        }
        let lagging = |replica: &&Remote| {
            self.isr.committed.contains(replica.id) && !replica.is_caught_up(log_end, now, max_lag)
        };
        let out: NodeSet = self.remotes().iter().filter(lagging).map(|replica| replica.id).collect();
        if out.is_empty() { None } else { Some(self.isr.committed.minus(&out)) }
    }

    /// Whether a proposal is before the controller, so that no other may be made.
    fn waits_for_answer(&self, museum: Museum) -> bool {
        // KAFKA-12686: the mark that one is in flight was taken away before its answer had come.
        self.isr.proposed.is_some() && !museum.has(Bug::AlterpartitionInflightCleared)
    }

    /// `isr` has been proposed.
    pub fn proposed(&mut self, isr: NodeSet, museum: Museum) {
        assert!(!self.waits_for_answer(museum), "one proposal at a time");
        assert!(isr.contains(self.me()), "a leader is in its own ISR");
        self.isr.propose(isr);
    }

    /// The controller says what the ISR is, in its answer to a proposal.
    pub fn adopt(&mut self, isr: NodeSet, partition_epoch: PartitionEpoch) -> Adoption {
        if partition_epoch < self.partition_epoch {
            return Adoption::Stale;
        }
        self.partition_epoch = partition_epoch;
        self.isr = Isr::agreed(isr);
        Adoption::Adopted
    }

    /// The proposal was refused for good: what was agreed stays.
    pub fn abandon_proposal(&mut self) {
        self.isr = Isr::agreed(self.isr.committed.clone());
    }

    /// Whether the ISR is smaller than `min_isr`, or than the whole replica set if that is smaller still.
    pub fn is_under_min_isr(&self, min_isr: u32) -> bool {
        self.isr.committed.len() < self.effective_min_isr(min_isr)
    }

    /// `min.insync.replicas`, but no more than there are replicas.
    pub fn effective_min_isr(&self, min_isr: u32) -> usize {
        (min_isr as usize).min(self.remotes().len() + 1)
    }
}

/// All the nodes of `ids`, by their numbers.
#[cfg(test)]
pub(super) fn nodes<const N: usize>(ids: [u32; N]) -> NodeSet {
    ids.into_iter().map(crate::units::NodeId::broker).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::leader::tests::leader, *};
    use crate::units::{LeaderEpoch, NodeId};

    const LAG: Duration = Duration::from_secs(30);

    #[test]
    fn a_follower_joins_only_past_the_epoch_start() {
        let mut leader = leader([1, 2], Offset(10), LeaderEpoch(5));
        leader.fetched_for_test(3, Offset(8), Instant(1), Offset(10));
        let remote = leader.remote(NodeId(3)).expect("a replica");
        let all = |_: &Remote| true;
        assert_eq!(leader.propose_expand(remote, Offset(8), all, Museum::CLOSED), None);
        #[cfg(feature = "museum")]
        assert_eq!(
            leader.propose_expand(
                remote,
                Offset(8),
                all,
                Museum::CLOSED.with(Bug::IsrExpandBeforeEpochStart)
            ),
            Some(nodes([1, 2, 3]))
        );
        leader.fetched_for_test(3, Offset(10), Instant(2), Offset(10));
        let remote = leader.remote(NodeId(3)).expect("a replica");
        assert_eq!(leader.propose_expand(remote, Offset(8), all, Museum::CLOSED), Some(nodes([1, 2, 3])));
        assert_eq!(leader.propose_expand(remote, Offset(8), |_| false, Museum::CLOSED), None);
    }

    #[test]
    fn who_lags_too_long_is_proposed_out_once() {
        let mut leader = leader([1, 2, 3], Offset(0), LeaderEpoch(1));
        leader.fetched_for_test(2, Offset(4), Instant(5), Offset(4));
        let late = Instant(5) + LAG;
        // Broker 3 has never fetched, so it has not been caught up since the epoch began.
        assert_eq!(leader.propose_shrink(Offset(4), late, LAG, Museum::CLOSED), Some(nodes([1, 2])));
        leader.proposed(nodes([1, 2]), Museum::CLOSED);
        assert_eq!(leader.propose_shrink(Offset(4), late, LAG, Museum::CLOSED), None);
        assert_eq!(leader.isr.maximal(), &nodes([1, 2, 3]));
        assert_eq!(leader.adopt(nodes([1, 2]), PartitionEpoch(1)), Adoption::Adopted);
        assert_eq!(leader.isr.maximal(), &nodes([1, 2]));
    }

    #[test]
    fn an_older_state_is_not_adopted() {
        let mut leader = leader([1, 2, 3], Offset(0), LeaderEpoch(1));
        assert_eq!(leader.adopt(nodes([1, 2]), PartitionEpoch(7)), Adoption::Adopted);
        assert_eq!(leader.adopt(nodes([1, 2, 3]), PartitionEpoch(6)), Adoption::Stale);
        assert_eq!(leader.isr.committed(), &nodes([1, 2]));
    }

    #[test]
    fn min_isr_is_no_more_than_there_are_replicas() {
        let leader = leader([1, 2], Offset(0), LeaderEpoch(1));
        assert!(!leader.is_under_min_isr(2));
        assert!(leader.is_under_min_isr(3));
        assert_eq!(leader.effective_min_isr(9), 3);
    }
}
