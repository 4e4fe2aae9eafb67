//! How far is the metadata log committed, and does a majority still follow?

use alloc::{collections::BTreeMap, vec::Vec};

use crate::units::{NodeId, NodeSet, Offset};

/// What a leader knows of a voter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Where its flushed log ends; unknown until it has fetched in this epoch.
    pub(super) end: Option<Offset>,
    /// When it last fetched.
    pub(super) fetched: Option<crate::time::Instant>,
}

/// How many of so many voters are a majority.
pub(super) fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// The greatest offset that a majority of voters has on the platter, if it lies beyond the first record of
/// the leader's own epoch.
///
/// Records of former epochs are not committed by counting: another leader could still lack them. They are
/// committed together with the first record of this epoch, which no voter with a lesser log has (KIP-595,
/// Raft 5.4.2). Leaves `ends` in another order.
pub(super) fn committed(
    ends: &mut [Option<Offset>],
    epoch_start: Offset,
    own_record_first: bool,
) -> Option<Offset> {
    ends.sort_unstable_by(|a, b| b.cmp(a));
    let end = ends.get(majority(ends.len()) - 1).copied().flatten()?;
    let exposed = if own_record_first { end > epoch_start } else { end >= epoch_start };
    exposed.then_some(end)
}

/// The other voters, the most caught up first: who should lead next.
pub(super) fn successors(voters: &BTreeMap<NodeId, Progress>, leader: NodeId) -> Vec<NodeId> {
    let mut others: Vec<(NodeId, Progress)> =
        voters.iter().filter(|(id, _)| **id != leader).map(|(id, p)| (*id, *p)).collect();
    others.sort_by_key(|(_, progress)| core::cmp::Reverse(progress.end));
    others.into_iter().map(|(id, _)| id).collect()
}

/// Whether `fetched` and the leader, if it is a voter, are a majority of `voters`.
pub(super) fn is_majority_with_leader(fetched: &NodeSet, voters: &NodeSet, leader: NodeId) -> bool {
    fetched.len() + usize::from(voters.contains(leader)) >= majority(voters.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(of: &[u64]) -> Vec<Option<Offset>> {
        of.iter().map(|end| Some(Offset(*end))).collect()
    }

    #[test]
    fn a_majority_decides() {
        assert_eq!(committed(&mut ends(&[9, 7, 3]), Offset(2), true), Some(Offset(7)));
        assert_eq!(committed(&mut ends(&[9, 7, 5, 3]), Offset(2), true), Some(Offset(5)));
        assert_eq!(committed(&mut [Some(Offset(9)), None, None], Offset(2), true), None);
        assert_eq!(committed(&mut ends(&[9]), Offset(2), true), Some(Offset(9)));
    }

    #[test]
    fn records_of_former_epochs_wait_for_one_of_this() {
        assert_eq!(committed(&mut ends(&[9, 8, 8]), Offset(8), true), None);
        assert_eq!(committed(&mut ends(&[9, 9, 8]), Offset(8), true), Some(Offset(9)));
        // KAFKA-12619, as the museum has it.
        assert_eq!(committed(&mut ends(&[9, 8, 8]), Offset(8), false), Some(Offset(8)));
    }
}
