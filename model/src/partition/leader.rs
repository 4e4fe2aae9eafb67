//! What does a leader know of its followers?

use alloc::vec::Vec;
use core::time::Duration;

use super::isr::Isr;
use crate::{
    machine::ConnectionId,
    protocol::ErrorCode,
    time::Instant,
    units::{BrokerEpoch, LeaderEpoch, NodeId, NodeSet, Offset, PartitionEpoch},
};

/// What a leader knows of one of its followers, all of it from fetches in this epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Who.
    pub id: NodeId,
    /// Up to where it has written; unknown until it fetches.
    pub log_end: Option<Offset>,
    /// Where its log begins.
    pub log_start: Option<Offset>,
    /// The registration it fetched with (KIP-903).
    pub broker_epoch: Option<BrokerEpoch>,
    /// When it last was where our log ended.
    last_caught_up: Option<Instant>,
    last_fetch: Option<Instant>,
    end_at_last_fetch: Offset,
    /// What it was last told, by which connection: no need to say it again there.
    pub told: Option<Told>,
}

/// What a follower was told of its leader besides records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// By which connection.
    pub connection: ConnectionId,
    /// The leader's high watermark.
    pub high_watermark: Offset,
    /// The leader's log start.
    pub log_start: Offset,
}

impl Remote {
    fn unknown(id: NodeId, last_caught_up: Option<Instant>) -> Remote {
        Remote {
            id,
            log_end: None,
            log_start: None,
            broker_epoch: None,
            last_caught_up,
            last_fetch: None,
            end_at_last_fetch: Offset::ZERO,
            told: None,
        }
    }

    /// It has fetched again at `at`, from where it was, without being named. If that was our log's end, it was
    /// level with us then.
    pub fn was_level(&mut self, leader_end: Offset, at: Instant) {
        if self.log_end == Some(leader_end) {
            self.last_caught_up = self.last_caught_up.max(Some(at));
            self.last_fetch = self.last_fetch.max(Some(at));
            self.end_at_last_fetch = leader_end;
        }
    }

    /// Whether it has everything up to `leader_end`, or had everything there was within the last `max_lag`.
    pub fn is_caught_up(&self, leader_end: Offset, now: Instant, max_lag: Duration) -> bool {
        self.log_end == Some(leader_end) || self.last_caught_up.is_some_and(|at| now.since(at) <= max_lag)
    }
}

/// One fetch of a follower, which says how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// It has written everything before.
    pub log_end: Offset,
    /// Where its log begins.
    pub log_start: Option<Offset>,
    /// Its registration.
    pub broker_epoch: Option<BrokerEpoch>,
}

/// What a fetch has changed in what the leader knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// The follower is at another offset than before.
    pub log_end: bool,
    /// The follower's log begins elsewhere.
    pub log_start: bool,
}

/// What is true only of the leader of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    me: NodeId,
    /// In which epoch it leads.
    pub epoch: LeaderEpoch,
    /// Where its log ended when the epoch began. What is before may be committed although the local high
    /// watermark does not say so yet.
    pub epoch_start: Offset,
    /// The version of the partition's state it knows.
    pub partition_epoch: PartitionEpoch,
    /// Who is in sync.
    pub isr: Isr,
    remotes: Vec<Remote>,
}

impl Leader {
    /// Broker `me` begins to lead in `epoch`, with its log ending at `epoch_start`.
    ///
    /// Nothing is known of the followers. Those in the ISR count as caught up until now: a new leader gives
    /// them the time to find it.
    pub fn new(
        me: NodeId,
        epoch: LeaderEpoch,
        partition_epoch: PartitionEpoch,
        epoch_start: Offset,
        replicas: impl Iterator<Item = NodeId>,
        isr: NodeSet,
        now: Instant,
    ) -> Leader {
        let remotes = replicas
            .filter(|id| *id != me)
            .map(|id| Remote::unknown(id, isr.contains(id).then_some(now)))
            .collect();
        Leader { me, epoch, epoch_start, partition_epoch, isr: Isr::agreed(isr), remotes }
    }

    /// Who leads.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// What is known of the other replicas.
    pub fn remotes(&self) -> &[Remote] {
        &self.remotes
    }

    /// What is known of `id`.
    pub fn remote(&self, id: NodeId) -> Option<&Remote> {
        self.remotes.iter().find(|remote| remote.id == id)
    }

    /// What is known of `id`, to note what it was told.
    pub fn remote_mut(&mut self, id: NodeId) -> Option<&mut Remote> {
        self.remotes.iter_mut().find(|remote| remote.id == id)
    }

    /// Takes over what was known of the followers in another epoch. Only a bug does.
    pub fn remember(&mut self, remotes: Vec<Remote>) {
        for old in remotes {
            if let Some(remote) = self.remote_mut(old.id) {
                *remote = old;
            }
        }
    }

    /// The replicas are others now; what is known of those that stay is kept.
    pub fn set_replicas(&mut self, replicas: impl Iterator<Item = NodeId>) {
        let me = self.me;
        let mut old = core::mem::take(&mut self.remotes);
        for id in replicas.filter(|id| *id != me) {
            let known = old.iter().position(|remote| remote.id == id);
            self.remotes.push(known.map_or_else(|| Remote::unknown(id, None), |at| old.swap_remove(at)));
        }
    }

    /// Notes a follower's fetch at `now`, while our log ended at `leader_end`.
    ///
    /// Refuses with `NotLeaderOrFollower` who is no replica, and with `StaleBrokerEpoch` a registration older
    /// than one that has fetched already (KIP-903).
    pub fn fetched(
        &mut self,
        replica: NodeId,
        position: Position,
        now: Instant,
        leader_end: Offset,
    ) -> Result<Moved, ErrorCode> {
        let Some(remote) = self.remote_mut(replica) else { return Err(ErrorCode::NotLeaderOrFollower) };
        if position.broker_epoch.is_some() && position.broker_epoch < remote.broker_epoch {
            return Err(ErrorCode::StaleBrokerEpoch);
        }
        if position.log_end >= leader_end {
            remote.last_caught_up = remote.last_caught_up.max(Some(now));
        } else if position.log_end >= remote.end_at_last_fetch {
            // It has everything that there was when it asked before, so it was caught up at that time.
            remote.last_caught_up = remote.last_caught_up.max(remote.last_fetch);
        }
        let moved = Moved {
            log_end: remote.log_end != Some(position.log_end),
            log_start: remote.log_start != position.log_start,
        };
        remote.log_end = Some(position.log_end);
        remote.log_start = position.log_start;
        remote.broker_epoch = position.broker_epoch;
        remote.last_fetch = Some(now);
        remote.end_at_last_fetch = leader_end;
        Ok(moved)
    }

    /// The offset below which no replica has anything, where ours begins at `own_start`. Replicas for which
    /// `alive` does not hold are not waited for.
    pub fn low_watermark(&self, own_start: Offset, alive: impl Fn(NodeId) -> bool) -> Offset {
        self.remotes
            .iter()
            .filter(|remote| alive(remote.id))
            .map(|remote| remote.log_start.unwrap_or(Offset::ZERO))
            .fold(own_start, Offset::min)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{super::isr::nodes, *};

    /// Broker 1 leads a partition with replicas on brokers 1 to 3.
    pub fn leader<const N: usize>(isr: [u32; N], epoch_start: Offset, epoch: LeaderEpoch) -> Leader {
        let replicas = (1..=3).map(NodeId::broker);
        Leader::new(
            NodeId::broker(1),
            epoch,
            PartitionEpoch(0),
            epoch_start,
            replicas,
            nodes(isr),
            Instant::ZERO,
        )
    }

    impl Leader {
        /// A follower's fetch with nothing else to say.
        pub fn fetched_for_test(&mut self, replica: u32, at: Offset, now: Instant, leader_end: Offset) {
            let position = Position { log_end: at, log_start: Some(Offset::ZERO), broker_epoch: None };
            self.fetched(NodeId(replica), position, now, leader_end).expect("a replica");
        }
    }

    const LAG: Duration = Duration::from_nanos(10);

    #[test]
    fn who_had_all_there_was_when_it_last_asked_was_caught_up_then() {
        let mut leader = leader([1, 2, 3], Offset(0), LeaderEpoch(1));
        leader.fetched_for_test(2, Offset(4), Instant(20), Offset(6));
        leader.fetched_for_test(2, Offset(6), Instant(40), Offset(9));
        let remote = leader.remote(NodeId(2)).expect("a replica");
        assert!(remote.is_caught_up(Offset(9), Instant(30), LAG));
        assert!(!remote.is_caught_up(Offset(9), Instant(31), LAG));
        assert!(remote.is_caught_up(Offset(6), Instant(99), LAG));
    }

    #[test]
    fn a_former_registration_does_not_move_a_follower() {
        let mut leader = leader([1, 2, 3], Offset(0), LeaderEpoch(1));
        let at = |end, epoch| Position {
            log_end: Offset(end),
            log_start: None,
            broker_epoch: Some(BrokerEpoch(epoch)),
        };
        assert!(leader.fetched(NodeId(2), at(5, 8), Instant(1), Offset(5)).is_ok());
        assert_eq!(
            leader.fetched(NodeId(2), at(9, 7), Instant(2), Offset(9)),
            Err(ErrorCode::StaleBrokerEpoch)
        );
        assert_eq!(leader.remote(NodeId(2)).and_then(|r| r.log_end), Some(Offset(5)));
        assert_eq!(
            leader.fetched(NodeId(7), at(9, 9), Instant(2), Offset(9)),
            Err(ErrorCode::NotLeaderOrFollower)
        );
    }

    #[test]
    fn the_low_watermark_waits_for_the_living() {
        let mut leader = leader([1, 2, 3], Offset(0), LeaderEpoch(1));
        leader.fetched_for_test(2, Offset(9), Instant(1), Offset(9));
        assert_eq!(leader.low_watermark(Offset(5), |_| true), Offset(0));
        assert_eq!(leader.low_watermark(Offset(5), |_| false), Offset(5));
    }
}
