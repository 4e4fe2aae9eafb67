//! How do records get from the leader's log into everybody else's?
//!
//! By Fetch, as everywhere in Kafka (KIP-595): the offset asked for says what the asker has on the platter;
//! the leader answers with records, with the point where the logs part, or with the snapshot to begin from.

use alloc::{collections::BTreeMap, vec, vec::Vec};
use core::time::Duration;

use smallvec::SmallVec;

use super::{Context, Quorum, Role, high_watermark, peers::What};
use crate::{
    event::{Event, TruncateReason},
    log::{ColdAnswer, Read, batch::Batches},
    machine::{Caller, ConnectionId},
    museum::Bug,
    protocol::{
        ErrorCode, LeaderHint, PartitionRef, Request, Response, TopicRef,
        fetch::{EpochEnd, FetchRequest, FetchResponse, PartitionFetch, PartitionFetched, ReplicaState},
    },
    time::{Instant, Now},
    units::{CorrelationId, LeaderEpoch, NodeId, Offset, TopicPartition},
};

/// How long a fetch may wait at the leader: Kafka's `MAX_FETCH_WAIT_MS`.
const MAX_FETCH_WAIT: Duration = Duration::from_millis(500);

/// One who fetches, and what.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    caller: Caller,
    replica: Option<NodeId>,
    fetch: PartitionFetch,
    /// When it is answered whatever there is.
    until: Instant,
}

/// Those who wait at a leader.
#[derive(Clone, Debug, Default)]
pub(super) struct Readers {
    /// For something new, by the time at which they wait no longer.
    parked: BTreeMap<(Instant, ConnectionId, CorrelationId), Reader>,
    /// For the disk, by the number that the log knows them by.
    cold: BTreeMap<u64, Reader>,
    last_cold: u64,
}

impl Readers {
    /// When the first is answered whatever there is.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.parked.first_key_value().map(|((until, ..), _)| *until)
    }

    /// Forgets who asked by a connection that is gone.
    pub(super) fn closed(&mut self, connection: ConnectionId) {
        self.parked.retain(|(_, c, _), _| *c != connection);
        self.cold.retain(|_, reader| reader.caller.connection != connection);
    }
}

/// How a follower's log lies to the leader's.
enum Fit {
    /// It is a beginning of it.
    Valid,
    /// It is not after the end of this epoch.
    Diverging(EpochEnd),
    /// It ends before the leader's begins, or has to begin anew.
    Snapshot(EpochEnd),
}

/// Whether a request is a fetch of the metadata log.
pub(super) fn is_metadata(request: &FetchRequest) -> bool {
    matches!(&request.partitions[..], [only] if match &only.partition.topic {
        TopicRef::Id(_) => only.partition.by_id() == Some(TopicPartition::METADATA),
        TopicRef::Name(name) => name.as_str() == "__cluster_metadata",
    })
}

// The leader's side.
impl Quorum {
    /// Answers a fetch, now or when there is something.
    pub(super) fn on_fetch(
        &mut self,
        now: Now,
        caller: Caller,
        request: &FetchRequest,
        cx: &mut Context<'_>,
    ) {
        let Some(fetch) = request.partitions.first().cloned() else { return };
        let until = now.monotonic + request.max_wait;
        let replica = request.replica.map(|state: ReplicaState| state.replica);
        let reader = Reader { caller, replica, fetch, until };
        if let Err(error) = self.judge_reader(&reader) {
            let fetched = self.nothing_of(reader.fetch.partition.clone(), Some(error));
            return self.answer(caller, fetch_response(fetched));
        }
        if let (Some(replica), Fit::Valid) = (replica, self.fit_of(&reader.fetch)) {
            self.has_fetched(now, replica, Some(reader.fetch.fetch_offset));
            self.advance_high_watermark(cx);
        }
        self.serve(now, reader, cx);
    }

    fn judge_reader(&self, reader: &Reader) -> Result<(), ErrorCode> {
        let epoch = reader.fetch.current_leader_epoch.unwrap_or(self.election.epoch);
        if reader.fetch.last_fetched_epoch.is_some_and(|last| last > epoch) {
            return Err(ErrorCode::InvalidRequest);
        }
        self.judge_epoch(epoch)
    }

    /// Whether a request that only the leader of `epoch` may answer is for it.
    pub(super) fn judge_epoch(&self, epoch: LeaderEpoch) -> Result<(), ErrorCode> {
        if epoch < self.election.epoch {
            Err(ErrorCode::FencedLeaderEpoch)
        } else if epoch > self.election.epoch {
            Err(ErrorCode::UnknownLeaderEpoch)
        } else if !matches!(self.role, Role::Leader(_)) {
            Err(ErrorCode::NotLeaderOrFollower)
        } else {
            Ok(())
        }
    }

    /// Answers or parks one whose epoch is ours.
    fn serve(&mut self, now: Now, reader: Reader, cx: &mut Context<'_>) {
        let partition = reader.fetch.partition.clone();
        match self.fit_of(&reader.fetch) {
            Fit::Valid => {}
            Fit::Diverging(end) => {
                let fetched =
                    PartitionFetched { diverging_epoch: Some(end), ..self.nothing_of(partition, None) };
                if let Some(replica) = reader.replica {
                    let (partition, reader) = (TopicPartition::METADATA, replica);
                    cx.effects.note(Event::DivergenceFound {
                        partition,
                        reader,
                        epoch: end.epoch,
                        end: end.end,
                    });
                }
                return self.give(&reader, fetched, cx);
            }
            Fit::Snapshot(id) => {
                let fetched = PartitionFetched { snapshot: Some(id), ..self.nothing_of(partition, None) };
                return self.give(&reader, fetched, cx);
            }
        }
        match self.log.read(reader.fetch.fetch_offset, self.log.end(), reader.fetch.max_bytes, true) {
            Ok(Read::Batches(batches)) if batches.is_empty() && self.may_wait(now, &reader) => {
                let Caller { connection, correlation, .. } = reader.caller;
                self.readers.parked.insert((reader.until, connection, correlation), reader);
            }
            Ok(Read::Batches(batches)) => {
                let fetched = PartitionFetched { batches, ..self.nothing_of(partition, None) };
                self.give(&reader, fetched, cx);
            }
            Ok(Read::Cold(read)) => {
                self.readers.last_cold += 1;
                let waiter = self.readers.last_cold;
                self.readers.cold.insert(waiter, reader);
                self.log.begin_cold(read, waiter, &mut cx.effects.disk);
            }
            Err(error) => {
                let fetched = self.nothing_of(partition, Some(error));
                self.give(&reader, fetched, cx);
            }
        }
    }

    /// Whether there is nothing to tell a reader at the log's end yet. A new high watermark is worth telling
    /// at once (KIP-1166); Kafka's followers say which they know, ours are remembered by what they were told.
    fn may_wait(&self, now: Now, reader: &Reader) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let knows = reader.replica.and_then(|replica| leader.told.get(&replica).copied());
        reader.until > now.monotonic && (self.high_watermark.is_none() || knows == self.high_watermark)
    }

    /// Where a reader's log stands to ours.
    fn fit_of(&self, fetch: &PartitionFetch) -> Fit {
        let (offset, epoch) = (fetch.fetch_offset, fetch.last_fetched_epoch.unwrap_or_default());
        match (self.snapshots.latest_id(), self.snapshots.earliest_id()) {
            (Some(latest), _) if offset == Offset::ZERO => return Fit::Snapshot(latest),
            _ if offset == Offset::ZERO => return Fit::Valid,
            (Some(latest), Some(earliest))
                if offset < self.log.start()
                    || (offset == self.log.start() && epoch != earliest.epoch)
                    || epoch < earliest.epoch =>
            {
                return Fit::Snapshot(latest);
            }
            _ => {}
        }
        // A mutant: a log that is not longer than ours may still have parted from it.
        if self.museum.has(Bug::MetadataEpochNotCompared) && offset <= self.log.end() {
            return Fit::Valid;
        }
        let end = self.end_of_epoch(epoch);
        if end.epoch != epoch || end.end < offset { Fit::Diverging(end) } else { Fit::Valid }
    }

    /// Where `epoch`, or the last one before it, ends in our log.
    fn end_of_epoch(&self, epoch: LeaderEpoch) -> EpochEnd {
        let end = self.log.epochs().end_for(epoch, self.log.end());
        match (end, self.snapshots.earliest_id()) {
            // Before our log begins: what is known of that is the snapshot.
            (Some(end), Some(earliest)) if end.end == earliest.end && end.epoch == epoch => earliest,
            (Some(end), _) => end,
            (None, _) => self.last(),
        }
    }

    /// A replica has shown that it follows; and, if it fetched records, how far its log is flushed.
    pub(super) fn has_fetched(&mut self, now: Now, replica: NodeId, end: Option<Offset>) {
        let timeout = self.check_quorum_timeout();
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.voters.get_mut(&replica) else {
            leader.observers.insert(replica, now.monotonic);
            return;
        };
        progress.fetched = Some(now.monotonic);
        progress.end = end.or(progress.end);
        leader.fetched.insert(replica);
        if high_watermark::is_majority_with_leader(&leader.fetched, &self.voters, self.id) {
            leader.fetched = Default::default();
            leader.majority_until = now.monotonic + timeout;
        }
    }

    /// As leader, moves the high watermark as far as a majority of the voters has flushed.
    pub(super) fn advance_high_watermark(&mut self, cx: &mut Context<'_>) {
        let Role::Leader(leader) = &self.role else { return };
        let own = self.is_voter().then(|| self.durable_end());
        let others = leader.voters.values().map(|progress| progress.end);
        let mut ends: SmallVec<[Option<Offset>; 8]> = own.map(Some).into_iter().chain(others).collect();
        // KAFKA-12619: with the mistake, reaching the first record of the epoch was enough. That says only
        // that a majority has records of former epochs, which another leader may still overwrite.
        let own_record_first = !self.museum.has(Bug::HwBeforeOwnEpochRecord);
        if let Some(to) = high_watermark::committed(&mut ends, leader.epoch_start, own_record_first) {
            self.raise_high_watermark(to, true, cx);
        }
    }

    /// What of its own log a member vouches for.
    pub(super) fn durable_end(&self) -> Offset {
        if self.museum.has(Bug::RaftAckBeforeFlush) {
            // KAFKA-10533: a majority could lose to a power failure what the quorum had called committed.
            self.log.end()
        } else {
            self.log.flushed()
        }
    }

    /// The high watermark never goes back.
    pub(super) fn raise_high_watermark(&mut self, to: Offset, leader: bool, cx: &mut Context<'_>) {
        let from = self.high_watermark.unwrap_or(Offset::ZERO);
        if to <= from {
            return;
        }
        assert!(to <= self.log.end(), "what is committed is in the log");
        self.high_watermark = Some(to);
        let (epoch, log_end) = (self.election.epoch, self.log.end());
        cx.effects.note(Event::QuorumHighWatermarkAdvanced { epoch, from, to, leader, log_end });
        self.stirred |= leader;
    }

    /// Looks again at everybody who is parked: there are new records, or a new high watermark.
    pub(super) fn wake_readers(&mut self, now: Now, cx: &mut Context<'_>) {
        for reader in core::mem::take(&mut self.readers.parked).into_values() {
            self.serve(now, reader, cx);
        }
    }

    /// Answers those who have waited long enough; says whether there were any.
    pub(super) fn expire_readers(&mut self, now: Now, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Some(first) = self.readers.parked.first_entry().filter(|e| e.key().0 <= now.monotonic) {
            let reader = first.remove();
            let fetched = self.nothing_of(reader.fetch.partition.clone(), None);
            self.give(&reader, fetched, cx);
            any = true;
        }
        any
    }

    /// What a reader waited for has come from the disk.
    pub(super) fn on_cold(&mut self, waiter: u64, read: Result<ColdAnswer, ErrorCode>, cx: &mut Context<'_>) {
        let Some(reader) = self.readers.cold.remove(&waiter) else { return };
        let partition = reader.fetch.partition.clone();
        let fetched = match (self.judge_reader(&reader), read) {
            (Ok(()), Ok(ColdAnswer::Batches(batches))) => {
                PartitionFetched { batches, ..self.nothing_of(partition, None) }
            }
            (Err(error), _) | (_, Err(error)) => self.nothing_of(partition, Some(error)),
            (_, Ok(ColdAnswer::Time(_))) => return,
        };
        self.give(&reader, fetched, cx);
    }

    /// Whoever waits for a leader that steps down is told so, after the step is on the platter.
    pub(super) fn refuse_parked(&mut self) {
        let readers = core::mem::take(&mut self.readers);
        self.readers.last_cold = readers.last_cold;
        for reader in readers.parked.into_values().chain(readers.cold.into_values()) {
            let error = Some(ErrorCode::NotLeaderOrFollower);
            let fetched = self.nothing_of(reader.fetch.partition, error);
            self.answer(reader.caller, fetch_response(fetched));
        }
    }

    /// Answers as leader, at once: what a follower is given may be in the air while our own disk writes it.
    fn give(&mut self, reader: &Reader, fetched: PartitionFetched, cx: &mut Context<'_>) {
        if let (Role::Leader(leader), Some(replica), Some(high_watermark)) =
            (&mut self.role, reader.replica, self.high_watermark)
        {
            leader.told.insert(replica, high_watermark);
        }
        cx.effects.reply(reader.caller, fetch_response(fetched));
    }

    fn nothing_of(&self, partition: PartitionRef, error: Option<ErrorCode>) -> PartitionFetched {
        PartitionFetched {
            partition,
            error,
            // Zero says that it is not known: no high watermark is zero, for a leader commits a record first.
            high_watermark: self.high_watermark.unwrap_or(Offset::ZERO),
            log_start: self.log.start(),
            diverging_epoch: None,
            snapshot: None,
            leader: Some(LeaderHint { leader: self.election.leader, epoch: self.election.epoch }),
            batches: Batches::new(),
        }
    }
}

fn fetch_response(fetched: PartitionFetched) -> Response {
    Response::Fetch(FetchResponse { partitions: vec![fetched] })
}

// The follower's side.
impl Quorum {
    /// Asks for what comes next, unless it is being asked for already.
    pub(super) fn fetch(&mut self, now: Now, cx: &mut Context<'_>) {
        let Some(from) = self.whom_to_ask(now) else { return };
        if let Role::Follower(follower) = &self.role
            && let Some(download) = &follower.download
            && self.election.leader == Some(from)
        {
            let request = download.next_request(self.id, self.election.epoch, self.config.max_fetch_bytes);
            return self.ask(now, from, What::FetchSnapshot, Request::FetchSnapshot(request), cx);
        }
        let request = FetchRequest {
            replica: Some(ReplicaState { replica: self.id, broker_epoch: None }),
            // Not longer than anybody waits for the answer, should a scenario set that so low.
            max_wait: MAX_FETCH_WAIT.min(self.config.fetch_timeout / 2).min(self.config.request_timeout / 2),
            min_bytes: 1,
            max_bytes: self.config.max_fetch_bytes,
            partitions: vec![PartitionFetch {
                partition: TopicPartition::METADATA.into(),
                current_leader_epoch: Some(self.election.epoch),
                fetch_offset: self.durable_end(),
                last_fetched_epoch: Some(self.last_epoch()),
                log_start: Some(self.log.start()),
                max_bytes: self.config.max_fetch_bytes,
            }],
            incremental: false,
            forgotten: Vec::new(),
        };
        self.ask(now, from, What::Fetch, Request::Fetch(request), cx);
    }

    /// A voter fetches from its leader; an observer that knows none, or hears nothing from it, from any voter.
    fn whom_to_ask(&mut self, now: Now) -> Option<NodeId> {
        let leader = match &self.role {
            Role::Follower(follower) => {
                let leader = self.election.leader;
                if self.is_voter() {
                    return leader.filter(|leader| self.peers.is_ready(*leader));
                }
                leader.filter(|leader| follower.until > now.monotonic && !self.peers.is_resting(*leader))
            }
            Role::Unattached { .. } if !self.is_voter() => None,
            _ => return None,
        };
        if self.peers.is_fetching() {
            return None;
        }
        match leader {
            Some(leader) => self.peers.is_ready(leader).then_some(leader),
            None => {
                let ready = self.peers.ready();
                self.rng.pick(&ready).copied()
            }
        }
    }

    /// Takes what the leader sent.
    pub(super) fn on_fetched(
        &mut self,
        now: Now,
        from: NodeId,
        response: FetchResponse,
        cx: &mut Context<'_>,
    ) {
        let Some(fetched) = response.partitions.into_iter().next() else { return };
        let hint = fetched.leader.unwrap_or(LeaderHint { leader: None, epoch: self.election.epoch });
        let settled = self.settles(now, fetched.error, hint.epoch, hint.leader);
        if fetched.error.is_some() {
            self.peers.rest(from, now.monotonic + self.config.retry_backoff);
        }
        if settled || fetched.error.is_some() || self.election.leader != Some(from) {
            return;
        }
        let Role::Follower(follower) = &mut self.role else { return };
        follower.until = now.monotonic + self.config.fetch_timeout;
        follower.has_fetched = true;
        if let Some(diverging) = fetched.diverging_epoch {
            self.truncate_to_leader(now, from, diverging, cx);
        } else if let Some(id) = fetched.snapshot {
            self.begin_download(now, from, id, cx);
        } else {
            if fetched.high_watermark > Offset::ZERO {
                follower.leader_high_watermark = Some(fetched.high_watermark);
            }
            self.append_from_leader(now, fetched.batches, cx);
        }
    }

    fn append_from_leader(&mut self, now: Now, batches: Batches, cx: &mut Context<'_>) {
        let end = self.log.end();
        for batch in batches {
            let (disk, events) = (&mut cx.effects.disk, &mut cx.effects.events);
            if batch.base_offset() != self.log.end()
                || self.log.append_follower(now, batch, disk, events).is_err()
            {
                break;
            }
        }
        if self.log.end() > end {
            self.flush(cx);
        }
    }

    /// Cuts its log back to where the leader says that it parts from the leader's.
    fn truncate_to_leader(&mut self, now: Now, from: NodeId, leaders: EpochEnd, cx: &mut Context<'_>) {
        let own = self.end_of_epoch(leaders.epoch);
        let to = if own.epoch == leaders.epoch { own.end.min(leaders.end) } else { own.end };
        let high_watermark = self.high_watermark.unwrap_or(self.log.start());
        // A mutant: what is not committed begins right at the high watermark, and may be cut off.
        let refused = to == high_watermark && self.museum.has(Bug::TruncationRefusedAtHw);
        if to < high_watermark || refused {
            // Somebody has lost what was committed. Kafka ends the process here (KAFKA-12460); this one stays,
            // refuses, and does not catch up.
            self.peers.rest(from, now.monotonic + self.config.fetch_timeout);
            return;
        }
        let (disk, events) = (&mut cx.effects.disk, &mut cx.effects.events);
        self.log.truncate_to(now, to, TruncateReason::Diverged, high_watermark, disk, events);
    }

    /// As follower, adopts the leader's high watermark as far as its own log reaches.
    pub(super) fn adopt_high_watermark(&mut self, cx: &mut Context<'_>) {
        if let Role::Follower(follower) = &self.role
            && let Some(leaders) = follower.leader_high_watermark
        {
            self.raise_high_watermark(leaders.min(self.durable_end()), false, cx);
        }
    }
}
