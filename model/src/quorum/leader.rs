//! What does a leader do of its own accord: begin its epoch, append what was gathered, keep its voters?

use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use super::{Context, Quorum, Role, peers::What};
use crate::{
    log::codec::BatchBuilder,
    museum::Bug,
    protocol::{
        ErrorCode, Request,
        quorum::{BeginQuorumEpochRequest, DescribeQuorumResponse},
    },
    time::{Instant, Now, earliest},
    units::{NodeId, NodeSet, Offset, RecordCount},
};

/// No batch grows larger than this: Kafka's `MAX_BATCH_SIZE_BYTES`.
const MAX_BATCH: usize = 8 << 20;

/// A record takes about this much besides its value; a batch, too.
const OVERHEAD: usize = 64;

/// How long an observer counts that is not heard of: Kafka's `OBSERVER_SESSION_TIMEOUT_MS`.
const OBSERVER_SESSION: core::time::Duration = core::time::Duration::from_secs(300);

/// A control record's key: version 0, type 2, a leader change.
const LEADER_CHANGE: [u8; 4] = [0, 0, 0, 2];

impl Quorum {
    /// Appends records as one: they are committed all or none, and get these offsets if this leader commits
    /// them. They wait `controller.quorum.append.linger.ms` for company. What becomes of them `poll` tells;
    /// all that is not committed when `epoch` changes or `is_leader` ends may be lost.
    ///
    /// Refuses with `NotController` unless it leads and has begun its epoch, with `InvalidRequest` if there
    /// is nothing to append, and with `RecordListTooLarge` if it does not fit a batch or a segment.
    pub fn append(
        &mut self,
        now: Now,
        values: Vec<Bytes>,
        cx: &mut Context<'_>,
    ) -> Result<Range<Offset>, ErrorCode> {
        let (most, end) = (self.max_batch(), self.log.end());
        let Role::Leader(leader) = &mut self.role else { return Err(ErrorCode::NotController) };
        if !leader.begun || self.resigning {
            return Err(ErrorCode::NotController);
        }
        if values.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        if size_of(&values) + OVERHEAD > most {
            return Err(ErrorCode::RecordListTooLarge);
        }
        let base = end + RecordCount(leader.gathered_count);
        leader.gathered_count += values.len() as u64;
        leader.gathered.push(values);
        let range = base..end + RecordCount(leader.gathered_count);
        leader.drain_at.get_or_insert(now.monotonic + self.config.append_linger);
        self.pump(now, cx);
        Ok(range)
    }

    fn max_batch(&self) -> usize {
        MAX_BATCH.min(usize::try_from(self.log.config().segment_bytes).unwrap_or(MAX_BATCH))
    }

    /// Does what a leader does by itself; says whether it is to be asked again.
    pub(super) fn lead(&mut self, now: Now, cx: &mut Context<'_>) -> bool {
        let Role::Leader(leader) = &mut self.role else { return false };
        if !leader.begun {
            leader.begun = true;
            self.begin_epoch(now, cx);
            return true;
        }
        if leader.drain_at.is_some_and(|at| at <= now.monotonic) {
            leader.drain_at = None;
            leader.gathered_count = 0;
            let gathered = core::mem::take(&mut leader.gathered);
            self.drain(now, gathered, cx);
            return true;
        }
        if leader.begin_at <= now.monotonic {
            leader.begin_at = now.monotonic + self.config.fetch_timeout / 2;
            self.announce(now, cx);
        }
        self.advance_high_watermark(cx);
        if core::mem::take(&mut self.stirred) {
            self.wake_readers(now, cx);
        }
        false
    }

    /// The first record of every epoch says who leads it (KIP-595); nothing is committed before it.
    fn begin_epoch(&mut self, now: Now, cx: &mut Context<'_>) {
        let Role::Leader(leader) = &self.role else { return };
        let parties: (NodeId, &NodeSet, &NodeSet) = (self.id, &self.voters, &leader.votes);
        // A triple of numbers and sets has nothing that postcard cannot write.
        let value = postcard::to_allocvec(&parties).unwrap_or_default();
        let mut batch = BatchBuilder::new();
        batch.control().push(now.wall, Some(&LEADER_CHANGE), Some(&value), &[]);
        self.append_as_leader(now, batch, cx);
        self.flush(cx);
    }

    /// Appends what was gathered: each append whole in a batch, and as many in one as fit. Whoever is parked
    /// gets them while our own disk still writes: what counts is a majority's flush, not whose.
    fn drain(&mut self, now: Now, gathered: Vec<Vec<Bytes>>, cx: &mut Context<'_>) {
        let most = self.max_batch();
        let (mut batch, mut size) = (BatchBuilder::new(), OVERHEAD);
        for values in gathered {
            let more = size_of(&values);
            if size + more > most && !batch.is_empty() {
                self.append_as_leader(now, core::mem::take(&mut batch), cx);
                size = OVERHEAD;
            }
            size += more;
            for value in &values {
                batch.push(now.wall, None, Some(value), &[]);
            }
        }
        if !batch.is_empty() {
            self.append_as_leader(now, batch, cx);
        }
        self.wake_readers(now, cx);
        self.flush(cx);
    }

    fn append_as_leader(&mut self, now: Now, batch: BatchBuilder, cx: &mut Context<'_>) {
        let (disk, events) = (&mut cx.effects.disk, &mut cx.effects.events);
        if self.log.append_leader(now, batch.build(), self.election.epoch, disk, events).is_err() {
            // The offsets that were promised cannot be kept: another leader shall begin anew.
            self.resigning = true;
        }
    }

    /// Tells voters who leads that do not fetch. Kafka: `maybeSendBeginQuorumEpochRequests`.
    fn announce(&mut self, now: Now, cx: &mut Context<'_>) {
        let Role::Leader(leader) = &self.role else { return };
        let lately = self.config.fetch_timeout / 2;
        let silent: Vec<NodeId> = leader
            .voters
            .iter()
            .filter(|(_, progress)| progress.fetched.is_none_or(|at| at + lately <= now.monotonic))
            .map(|(voter, _)| *voter)
            .collect();
        let request = BeginQuorumEpochRequest { epoch: self.election.epoch, leader: self.id };
        for voter in silent {
            if self.peers.is_ready(voter) {
                self.ask(now, voter, What::Begin, Request::BeginQuorumEpoch(request.clone()), cx);
            }
        }
    }

    /// Steps down if it was asked to, or if no majority fetches any more (check quorum).
    pub(super) fn expire_leader(&mut self, now: Now) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        // KAFKA-15489: without this, one that was cut off from the voters, but not from the brokers, led on.
        let checks = self.peers.ids().next().is_some() && !self.museum.has(Bug::NoCheckQuorum);
        let lost_majority = checks && leader.majority_until <= now.monotonic;
        if core::mem::take(&mut self.resigning) || self.stopping || lost_majority {
            self.become_resigned(now, lost_majority);
            return true;
        }
        false
    }

    /// When a leader has something to do.
    pub(super) fn leader_deadline(&self) -> Option<Instant> {
        let Role::Leader(leader) = &self.role else { return None };
        let checks = self.peers.ids().next().is_some();
        let vigil = (checks && !self.museum.has(Bug::NoCheckQuorum)).then_some(leader.majority_until);
        earliest(leader.drain_at, earliest(vigil, checks.then_some(leader.begin_at)))
    }

    /// How the quorum stands.
    pub(super) fn describe(&self, now: Now) -> DescribeQuorumResponse {
        let mut description = DescribeQuorumResponse {
            error: Some(ErrorCode::NotLeaderOrFollower),
            epoch: self.election.epoch,
            leader: self.leader(),
            high_watermark: self.high_watermark(),
            voters: Vec::new(),
            observers: NodeSet::new(),
        };
        if let Role::Leader(leader) = &self.role {
            let end = |voter| leader.voters.get(&voter).and_then(|p| p.end).unwrap_or(Offset::ZERO);
            let known = |voter| if voter == self.id { self.log.end() } else { end(voter) };
            let heard = |at: Instant| now.monotonic.since(at) < OBSERVER_SESSION;
            description.error = None;
            description.voters = self.voters.iter().map(|voter| (voter, known(voter))).collect();
            description.observers =
                leader.observers.iter().filter(|(_, at)| heard(**at)).map(|(id, _)| *id).collect();
        }
        description
    }
}

/// About how many bytes records of these values take in a batch; not less.
fn size_of(values: &[Bytes]) -> usize {
    values.iter().map(|value| value.len() + OVERHEAD).sum()
}
