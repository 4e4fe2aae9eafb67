//! What does a follower know of its leader, and how does it catch up?

use alloc::vec::Vec;

use super::leader::Remote;
use crate::{
    time::Instant,
    units::{LeaderEpoch, NodeId, Offset, PartitionEpoch},
};

/// What a follower does about its leader's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pursuit {
    /// It fetches.
    Fetching,
    /// It rests after an error, until then.
    Resting(Instant),
    /// The leader does not have the offset it asked for: it asks where the leader's log begins and ends.
    OutOfRange,
    /// The leader is of a newer epoch: nothing to do until the controller's word arrives.
    Fenced,
}

/// What is true only of a follower of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// In which epoch it follows.
    pub epoch: LeaderEpoch,
    /// The version of the partition's state it knows.
    pub partition_epoch: PartitionEpoch,
    /// Whom, if anybody leads.
    pub leader: Option<NodeId>,
    /// How it is getting on.
    pub pursuit: Pursuit,
    /// The leader's high watermark as last heard in this epoch; it may lie past our own written end.
    pub leader_high_watermark: Option<Offset>,
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
            pursuit: Pursuit::Fetching,
            leader_high_watermark: None,
            tells_last_epoch: true,
            remembered: Vec::new(),
        }
    }

    /// Whether it is to be part of a fetch at `now`.
    pub fn is_ready(&self, now: Instant) -> bool {
        match self.pursuit {
            Pursuit::Fetching => true,
            Pursuit::Resting(until) => until <= now,
            Pursuit::OutOfRange | Pursuit::Fenced => false,
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

    #[test]
    fn who_rests_is_ready_again_in_time() {
        let mut follower = Follower::new(LeaderEpoch(1), PartitionEpoch(0), Some(NodeId(1)));
        follower.pursuit = Pursuit::Resting(Instant(5));
        assert!(!follower.is_ready(Instant(4)) && follower.is_ready(Instant(5)));
        follower.pursuit = Pursuit::Fenced;
        assert!(!follower.is_ready(Instant(9)));
    }
}
