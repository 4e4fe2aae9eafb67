//! What does a follower know of its leader?

use alloc::vec::Vec;

use super::leader::Remote;
use crate::units::{LeaderEpoch, NodeId, Offset, PartitionEpoch};

/// What is true only of a follower of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// In which epoch it follows.
    pub epoch: LeaderEpoch,
    /// The version of the partition's state it knows.
    pub partition_epoch: PartitionEpoch,
    /// Whom, if anybody leads.
    pub leader: Option<NodeId>,
    /// The leader's high watermark as last heard in this epoch; it may lie past our own written end.
    pub leader_high_watermark: Option<Offset>,
    /// Where the leader's log begins, as last heard in this epoch.
    pub leader_log_start: Option<Offset>,
    /// Whether the leader is told the epoch of our last record, so that it sees where the logs part. Only the
    /// museum has it otherwise.
    pub tells_last_epoch: bool,
    /// Where followers were when this broker led. Only the museum remembers.
    pub remembered: Vec<Remote>,
}

impl Follower {
    /// Begins to follow `leader` in `epoch`.
    pub fn new(epoch: LeaderEpoch, partition_epoch: PartitionEpoch, leader: Option<NodeId>) -> Follower {
        Follower {
            epoch,
            partition_epoch,
            leader,
            leader_high_watermark: None,
            leader_log_start: None,
            tells_last_epoch: true,
            remembered: Vec::new(),
        }
    }

    /// The high watermark of a follower that has written up to `written`: the leader's, no further than that.
    pub fn high_watermark(&self, written: Offset) -> Option<Offset> {
        self.leader_high_watermark.map(|theirs| theirs.min(written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_high_watermark_waits_for_the_write() {
        let mut follower = Follower::new(LeaderEpoch(1), PartitionEpoch(0), Some(NodeId(1)));
        assert_eq!(follower.high_watermark(Offset(5)), None);
        follower.leader_high_watermark = Some(Offset(7));
        assert_eq!(follower.high_watermark(Offset(5)), Some(Offset(5)));
        assert_eq!(follower.high_watermark(Offset(9)), Some(Offset(7)));
    }
}
