//! What is one replica of one partition?

pub mod leader;
pub mod isr;
pub mod high_watermark;
pub mod follower;
pub mod truncation;

use alloc::vec::Vec;
use core::time::Duration;

use self::{
    follower::Follower,
    high_watermark::Bounds,
    isr::Isr,
    leader::{Leader, Remote},
};
use crate::{
    disk::DiskWork,
    event::{Event, LogStartReason, PartitionState, TruncateReason},
    log::{Appended, Log, batch::Batch},
    machine::Effects,
    museum::{Bug, Museum},
    protocol::ErrorCode,
    time::Now,
    units::{LeaderEpoch, NodeId, Offset, TopicPartition},
};

/// What a replica is at the moment.
#[derive(Clone, Debug)]
pub enum Role {
    /// It leads.
    Leader(Leader),
    /// It follows.
    Follower(Follower),
    /// It has a log, and has not heard yet what it is.
    Offline,
}

/// What a replica became by the controller's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// What it was, at most with another ISR.
    Same,
    /// Leader, of a new epoch.
    Leader,
    /// Follower, of a new epoch or leader.
    Follower,
}

/// One replica.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Its log.
    pub log: Log,
    /// What it is.
    pub role: Role,
    /// `min.insync.replicas`
    pub min_isr: u32,
    /// The high watermark when the last segment was begun just there. Only the museum looks.
    pub rolled_at: Option<Offset>,
    high_watermark: Offset,
}

impl Partition {
    /// A replica that has not heard yet what it is, with the high watermark that was saved, as far as its log
    /// allows.
    pub fn new(log: Log, high_watermark: Offset, min_isr: u32) -> Partition {
        let high_watermark = high_watermark.max(log.start()).min(log.written());
        Partition { log, role: Role::Offline, min_isr, rolled_at: None, high_watermark }
    }

    /// Which partition.
    pub fn id(&self) -> TopicPartition {
        self.log.partition()
    }

    /// What is below is committed, as far as this replica knows.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// What is true of it as leader.
    pub fn leader(&self) -> Option<&Leader> {
        match &self.role {
            Role::Leader(leader) => Some(leader),
            _ => None,
        }
    }

    /// What is true of it as leader.
    pub fn leader_mut(&mut self) -> Option<&mut Leader> {
        match &mut self.role {
            Role::Leader(leader) => Some(leader),
            _ => None,
        }
    }

    /// What is true of it as follower.
    pub fn follower(&self) -> Option<&Follower> {
        match &self.role {
            Role::Follower(follower) => Some(follower),
            _ => None,
        }
    }

    /// What is true of it as follower.
    pub fn follower_mut(&mut self) -> Option<&mut Follower> {
        match &mut self.role {
            Role::Follower(follower) => Some(follower),
            _ => None,
        }
    }

    /// The leader epoch it is in.
    pub fn epoch(&self) -> Option<LeaderEpoch> {
        match &self.role {
            Role::Leader(leader) => Some(leader.epoch),
            Role::Follower(follower) => Some(follower.epoch),
            Role::Offline => None,
        }
    }

    /// The leader, for someone who believes in epoch `current`.
    ///
    /// Refuses with `NotLeaderOrFollower` if this replica does not lead, with `FencedLeaderEpoch` who believes
    /// in an older epoch, and with `UnknownLeaderEpoch` who knows of a newer one. KIP-320.
    pub fn leader_in(&self, current: Option<LeaderEpoch>, museum: Museum) -> Result<&Leader, ErrorCode> {
        let ours = self.epoch().ok_or(ErrorCode::NotLeaderOrFollower)?;
        // KIP-320: without this a deposed leader went on counting and answering followers that had heard of
        // the new one, who then cut their logs to what it said.
        if !museum.has(Bug::FetchEpochNotFenced) {
            match current {
                Some(theirs) if theirs < ours => return Err(ErrorCode::FencedLeaderEpoch),
                Some(theirs) if theirs > ours => return Err(ErrorCode::UnknownLeaderEpoch),
                _ => {}
            }
        }
        self.leader().ok_or(ErrorCode::NotLeaderOrFollower)
    }

    /// Takes in the controller's word that `me` leads, by `state`.
    ///
    /// A new epoch begins at the log's end, with nothing known of the followers. The word of an older state
    /// changes nothing.
    pub fn lead(
        &mut self,
        me: NodeId,
        state: &PartitionState,
        now: Now,
        museum: Museum,
        effects: &mut Effects,
    ) -> Became {
        let replicas = state.replicas.iter().copied();
        if let Role::Leader(leader) = &mut self.role
            && leader.epoch >= state.leader_epoch
            // KAFKA-13790: every change of the partition, be it of the ISR alone, began the epoch anew.
            && !(museum.has(Bug::PartitionUpdateResetsEpochState)
                && leader.epoch == state.leader_epoch
                && leader.partition_epoch < state.partition_epoch)
        {
            if leader.epoch == state.leader_epoch && leader.partition_epoch < state.partition_epoch {
                leader.set_replicas(replicas);
                // KAFKA-12367: the version of the state was not taken over with the state.
                let known = leader.partition_epoch;
                let stale = museum.has(Bug::PartitionEpochNotPropagated);
                leader.adopt(state.isr.clone(), if stale { known } else { state.partition_epoch });
                effects.note(Event::IsrAdopted {
                    partition: self.log.partition(),
                    epoch: leader.epoch,
                    partition_epoch: leader.partition_epoch,
                    isr: state.isr.clone(),
                });
            }
            return Became::Same;
        }
        self.log.assign_epoch(state.leader_epoch, &mut effects.disk);
        let start = self.log.end();
        let mut leader = Leader::new(
            me,
            state.leader_epoch,
            state.partition_epoch,
            start,
            replicas,
            state.isr.clone(),
            now.monotonic,
        );
        // KIP-320, rule 3 of the specification: what a follower said in another epoch it may have cut off
        // since, so nothing of it is counted until it fetches in this one.
        if museum.has(Bug::HwCountsPositionsFromOldEpoch) {
            leader.remember(self.remembered());
        }
        self.role = Role::Leader(leader);
        effects.note(Event::LeaderStarted {
            partition: self.id(),
            epoch: state.leader_epoch,
            log_end: start,
            high_watermark: self.high_watermark,
            isr: state.isr.clone(),
        });
        Became::Leader
    }

    /// Takes in the controller's word that another broker leads, or nobody, by `state`. The word of an older
    /// state changes nothing.
    pub fn follow(&mut self, state: &PartitionState, museum: Museum, effects: &mut Effects) -> Became {
        if self.epoch() >= Some(state.leader_epoch) {
            if let Some(follower) = self.follower_mut() {
                follower.partition_epoch = follower.partition_epoch.max(state.partition_epoch);
            }
            return Became::Same;
        }
        let mut follower = Follower::new(state.leader_epoch, state.partition_epoch, state.leader);
        // KAFKA-7164: nothing was compared if the leader was the same as before, although another may have led
        // in between. Here it is the leader that compares, by the epoch of our last record.
        let before = self.follower().and_then(|follower| follower.leader);
        if before.is_some() && before == state.leader && museum.has(Bug::SkipTruncateSameLeader) {
            follower.tells_last_epoch = false;
        }
        if museum.has(Bug::HwCountsPositionsFromOldEpoch) {
            follower.remembered = self.remembered();
        }
        self.role = Role::Follower(follower);
        effects.note(Event::FollowerStarted {
            partition: self.id(),
            epoch: state.leader_epoch,
            leader: state.leader,
            log_end: self.log.end(),
        });
        Became::Follower
    }

    fn remembered(&mut self) -> Vec<Remote> {
        match &mut self.role {
            Role::Leader(leader) => leader.remotes().to_vec(),
            Role::Follower(follower) => core::mem::take(&mut follower.remembered),
            Role::Offline => Vec::new(),
        }
    }

    /// Adds a producer's batch after the log's end.
    ///
    /// Refuses with `NotLeaderOrFollower` if it does not lead, with `NotEnoughReplicas` if all must have it
    /// and the ISR is under `min.insync.replicas`, and with what the log refuses.
    pub fn append(
        &mut self,
        now: Now,
        batch: Batch,
        acks_all: bool,
        museum: Museum,
        effects: &mut Effects,
    ) -> Result<Appended, ErrorCode> {
        let leader = self.leader().ok_or(ErrorCode::NotLeaderOrFollower)?;
        // KAFKA-1555: without this check, and its twin after the append, a leader alone acknowledged.
        if acks_all && leader.is_under_min_isr(self.min_isr) && !museum.has(Bug::AcksAllWithoutMinIsr) {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        // A mutant: just enough are enough.
        let just_enough = || leader.isr.committed().len() <= leader.effective_min_isr(self.min_isr);
        if acks_all && museum.has(Bug::MinIsrOffByOne) && just_enough() {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        let epoch = leader.epoch;
        let appended = self.log.append_leader(now, batch, epoch, &mut effects.disk, &mut effects.events)?;
        if let Appended::New(range) = &appended
            && museum.has(Bug::HwMetadataStaleAfterRoll)
            && self.log.active().is_some_and(|active| active.base == range.start)
        {
            self.rolled_at = Some(range.start).filter(|start| *start == self.high_watermark);
        }
        Ok(appended)
    }

    /// Moves the high watermark of a leader as far as it may go; says whether it moved.
    pub fn advance(
        &mut self,
        now: Now,
        max_lag: Duration,
        eligible: impl Fn(&Remote) -> bool,
        museum: Museum,
        events: &mut Vec<Event>,
    ) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let bounds = Bounds {
            current: self.high_watermark,
            written: self.log.written(),
            min_isr: self.min_isr,
            now: now.monotonic,
            max_lag,
        };
        let Some(to) = leader.next_high_watermark(bounds, eligible, museum) else { return false };
        assert!(to <= self.log.written(), "the high watermark is within what is written");
        let from = core::mem::replace(&mut self.high_watermark, to);
        events.push(Event::HighWatermarkAdvanced {
            partition: self.log.partition(),
            epoch: leader.epoch,
            from,
            to,
            isr: leader.isr.maximal().clone(),
            log_end: self.log.end(),
        });
        true
    }

    /// Takes over the leader's high watermark, as far as it has written; says whether anything changed.
    ///
    /// It may go back: a new leader's may lag behind that of the one before.
    pub fn adopt_high_watermark(&mut self, events: &mut Vec<Event>) -> bool {
        let Role::Follower(follower) = &self.role else { return false };
        let Some(to) = follower.high_watermark(self.log.written()) else { return false };
        let to = to.max(self.log.start());
        if to == self.high_watermark {
            return false;
        }
        self.high_watermark = to;
        events.push(Event::HighWatermarkAdopted {
            partition: self.log.partition(),
            epoch: follower.epoch,
            to,
            log_end: self.log.end(),
        });
        true
    }

    /// Moves the log's start to `to`, no further than the high watermark.
    pub fn advance_start(&mut self, now: Now, to: Offset, why: LogStartReason, effects: &mut Effects) {
        let to = to.min(self.high_watermark);
        self.log.advance_start(now, to, why, &mut effects.disk, &mut effects.events);
    }

    /// Cuts the log off at `to`. A high watermark above goes down with it.
    pub fn truncate(
        &mut self,
        now: Now,
        to: Offset,
        why: TruncateReason,
        disk: &mut DiskWork,
        events: &mut Vec<Event>,
    ) {
        self.log.truncate_to(now, to, why, self.high_watermark, disk, events);
        self.bound_high_watermark();
    }

    /// The log has been cut: the high watermark is no further than it.
    pub fn bound_high_watermark(&mut self) {
        self.high_watermark = self.high_watermark.min(self.log.written());
    }

    /// Drops the log and begins it anew at `start`.
    pub fn reset(&mut self, now: Now, start: Offset, disk: &mut DiskWork, events: &mut Vec<Event>) {
        self.log.reset_to(now, start, TruncateReason::OutOfRange, self.high_watermark, disk, events);
        self.high_watermark = start;
    }

    /// Whether all that must have what is below `end` have it, so that a producer that asked for all is
    /// answered; with an error if the ISR has become too small meanwhile.
    pub fn acknowledges(&self, end: Offset, museum: Museum) -> Option<Result<(), ErrorCode>> {
        let Some(leader) = self.leader() else { return Some(Err(ErrorCode::NotLeaderOrFollower)) };
        if self.high_watermark < end {
            return None;
        }
        if leader.is_under_min_isr(self.min_isr) && !museum.has(Bug::AcksAllWithoutMinIsr) {
            return Some(Err(ErrorCode::NotEnoughReplicasAfterAppend));
        }
        Some(Ok(()))
    }

    /// The ISR as last agreed, if it leads.
    pub fn isr(&self) -> Option<&Isr> {
        self.leader().map(|leader| &leader.isr)
    }
}
