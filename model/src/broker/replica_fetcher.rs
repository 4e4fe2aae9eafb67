//! How does this broker follow others: ask, append, ask again?
//!
//! There is one loop for every leader, with all partitions that are followed from it. A fetch names only what
//! has moved since the last one (KIP-227). The next is not sent before everything the last one brought is
//! written, because its offsets promise just that.

use alloc::{collections::VecDeque, vec::Vec};

use super::{Broker, replicas::Slot};
use crate::{
    event::TruncateReason,
    flat::{FlatMap, FlatSet},
    machine::{Channel, Effects, Outgoing},
    museum::Bug,
    partition::{Partition, truncation::cut_at},
    protocol::{
        ErrorCode, Request, Response,
        fetch::{EpochEnd, FetchRequest, FetchResponse, PartitionFetch, PartitionFetched, ReplicaState},
        list_offsets::{
            ListOffsetsRequest, ListOffsetsResponse, OffsetSpec, PartitionListOffsets, PartitionOffsets,
        },
    },
    time::{Deadlines, Instant, Now},
    units::{CorrelationId, LeaderEpoch, NodeId, Offset, TopicPartition},
};

/// What the leader's session believes of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named {
    epoch: LeaderEpoch,
    offset: Offset,
}

/// What a fetcher waits for from its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InFlight {
    correlation: CorrelationId,
    until: Instant,
}

/// The loop that fetches from one leader.
#[derive(Clone, Debug, Default)]
struct Fetcher {
    followed: FlatMap<TopicPartition, Slot>,
    /// What the leader's session holds.
    named: FlatMap<TopicPartition, Named>,
    /// What it is to be told with the next fetch.
    changed: FlatSet<TopicPartition>,
    forgotten: FlatSet<TopicPartition>,
    /// Partitions that rest after an error, and until when.
    resting: FlatMap<TopicPartition, Instant>,
    /// Partitions whose offset the leader does not have.
    lost: FlatSet<TopicPartition>,
    /// Partitions whose last records are not written yet.
    writing: FlatSet<TopicPartition>,
    in_flight: Option<InFlight>,
    /// Whether nothing was followed any more while that was waited for.
    abandoned: bool,
    /// The whole loop rests after its connection broke.
    rests_until: Option<Instant>,
    /// Whether the leader has a session of ours.
    connected: bool,
}

impl Fetcher {
    fn drop_partition(&mut self, partition: TopicPartition) {
        self.changed.remove(&partition);
        self.resting.remove(&partition);
        self.lost.remove(&partition);
        self.writing.remove(&partition);
        if self.named.remove(&partition).is_some() {
            self.forgotten.insert(partition);
        }
    }

    fn rest(&mut self, partition: TopicPartition, until: Instant) {
        self.drop_partition(partition);
        self.resting.insert(partition, until);
    }

    fn disconnected(&mut self, until: Instant) {
        (self.in_flight, self.abandoned) = (None, false);
        self.connected = false;
        self.changed.extend(self.named.keys().copied());
        self.named.clear();
        self.forgotten.clear();
        self.rests_until = Some(until);
    }
}

/// All the fetchers of a broker.
#[derive(Clone, Debug, Default)]
pub struct Fetchers {
    by_leader: FlatMap<NodeId, Fetcher>,
    leader_of: FlatMap<TopicPartition, NodeId>,
    /// Fetchers that may be able to go on.
    idle: VecDeque<NodeId>,
    /// When each may go on, or has waited too long for an answer. Set and stopped with every fetch, and so
    /// not among the broker's other timers, where each would have to be found among all.
    timers: Deadlines<NodeId>,
}

impl Fetchers {
    /// A partition is followed from `leader` from now on; `unwritten` if the disk still has to write what is
    /// at the end of its log.
    pub fn join(&mut self, leader: NodeId, partition: TopicPartition, slot: Slot, unwritten: bool) {
        self.leader_of.insert(partition, leader);
        let fetcher = self.by_leader.get_or_insert_with(leader, Fetcher::default);
        if unwritten {
            fetcher.writing.insert(partition);
        }
        fetcher.followed.insert(partition, slot);
        fetcher.changed.insert(partition);
        self.idle.push_back(leader);
    }

    /// A partition is not followed any more.
    pub fn leave(&mut self, partition: TopicPartition) {
        let Some(leader) = self.leader_of.remove(&partition) else { return };
        let Some(fetcher) = self.by_leader.get_mut(&leader) else { return };
        fetcher.followed.remove(&partition);
        fetcher.drop_partition(partition);
        self.idle.push_back(leader);
    }

    /// Everything a partition has got is written.
    pub fn written(&mut self, partition: TopicPartition) {
        let Some(leader) = self.leader_of.get(&partition) else { return };
        let Some(fetcher) = self.by_leader.get_mut(leader) else { return };
        if fetcher.writing.remove(&partition) && fetcher.writing.is_empty() {
            self.idle.push_back(*leader);
        }
    }

    /// The leader is to be told of a partition, as something of it has changed.
    pub fn moved(&mut self, partition: TopicPartition) {
        let Some(leader) = self.leader_of.get(&partition) else { return };
        if let Some(fetcher) = self.by_leader.get_mut(leader)
            && fetcher.named.contains_key(&partition)
        {
            fetcher.changed.insert(partition);
        }
    }

    /// The next fetcher that may be able to go on.
    pub fn next_idle(&mut self) -> Option<NodeId> {
        self.idle.pop_front()
    }

    /// When the first of them wants to be looked at.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Takes out the first that wanted to be looked at by `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<NodeId> {
        self.timers.pop_due(now)
    }

    /// Nothing is followed any more.
    pub fn stop(&mut self) {
        *self = Fetchers::default();
    }
}

impl Broker {
    /// Sends the next fetch to a leader, unless something has to come first.
    pub(super) fn pump(&mut self, now: Now, leader: NodeId, effects: &mut Effects) {
        let time = now.monotonic;
        let Some(fetcher) = self.fetchers.by_leader.get_mut(&leader) else { return };
        if fetcher.followed.is_empty() {
            fetcher.abandoned = fetcher.in_flight.is_some();
        } else if core::mem::take(&mut fetcher.abandoned) {
            // Kafka shuts an idle fetcher down and begins another when there is something to follow again. An
            // answer that was lost with the broker it led on would be waited for by all that is followed since.
            effects.mail.push(Outgoing::Disconnect { peer: leader, channel: Channel::FETCH });
            fetcher.disconnected(time);
        }
        if fetcher.in_flight.is_some() || !fetcher.writing.is_empty() {
            return;
        }
        if let Some(until) = fetcher.rests_until {
            if until > time {
                return self.fetchers.timers.set(until, leader);
            }
            fetcher.rests_until = None;
        }
        let changed = &mut fetcher.changed;
        fetcher.resting.retain(|partition, until| {
            let rested = *until <= time;
            if rested {
                changed.insert(*partition);
            }
            !rested
        });
        let request =
            if fetcher.lost.is_empty() { self.next_fetch(leader) } else { self.next_search(leader) };
        let Some(fetcher) = self.fetchers.by_leader.get_mut(&leader) else { return };
        let Some(request) = request else {
            // Nothing is ready: some rest, or nothing is followed.
            match fetcher.resting.values().min() {
                Some(until) => self.fetchers.timers.set(*until, leader),
                None if fetcher.followed.is_empty() => self.close_fetcher(leader, effects),
                None => {}
            }
            return;
        };
        let until = time + self.config.replica_socket_timeout_ms;
        self.correlation = self.correlation.next();
        fetcher.in_flight = Some(InFlight { correlation: self.correlation, until });
        self.fetchers.timers.set(until, leader);
        effects.request(leader, Channel::FETCH, self.correlation, request);
    }

    fn close_fetcher(&mut self, leader: NodeId, effects: &mut Effects) {
        if let Some(fetcher) = self.fetchers.by_leader.remove(&leader)
            && fetcher.connected
        {
            effects.mail.push(Outgoing::Disconnect { peer: leader, channel: Channel::FETCH });
        }
        self.fetchers.timers.cancel(&leader);
    }

    fn next_fetch(&mut self, leader: NodeId) -> Option<Request> {
        let replica = ReplicaState { replica: self.setup.id, broker_epoch: self.life.epoch() };
        let max_bytes = self.config.replica_fetch_max_bytes;
        let fetcher = self.fetchers.by_leader.get_mut(&leader)?;
        let incremental = fetcher.connected;
        let mut partitions = Vec::with_capacity(fetcher.changed.len());
        for partition in fetcher.changed.drain() {
            let Some(slot) = fetcher.followed.get(&partition) else { continue };
            let Some(held) = self.replicas.get(*slot).map(|replica| &replica.partition) else { continue };
            let Some(asked) = ask(held, max_bytes) else { continue };
            let epoch = asked.current_leader_epoch.unwrap_or_default();
            fetcher.named.insert(partition, Named { epoch, offset: asked.fetch_offset });
            fetcher.forgotten.remove(&partition);
            partitions.push(asked);
        }
        if fetcher.named.is_empty() {
            return None;
        }
        fetcher.connected = true;
        Some(Request::Fetch(FetchRequest {
            replica: Some(replica),
            max_wait: self.config.replica_fetch_wait_max_ms,
            min_bytes: self.config.replica_fetch_min_bytes,
            max_bytes: self.config.replica_fetch_response_max_bytes,
            partitions,
            incremental,
            forgotten: fetcher.forgotten.drain().filter(|_| incremental).collect(),
        }))
    }

    /// Asks where the logs begin and end that do not hold our offset.
    fn next_search(&mut self, leader: NodeId) -> Option<Request> {
        let fetcher = self.fetchers.by_leader.get_mut(&leader)?;
        let mut partitions = Vec::new();
        for partition in &fetcher.lost {
            let slot = fetcher.followed.get(partition)?;
            let epoch = self.replicas.get(*slot)?.partition.epoch();
            for spec in [OffsetSpec::Earliest, OffsetSpec::Latest] {
                let partition = (*partition).into();
                partitions.push(PartitionListOffsets { partition, current_leader_epoch: epoch, spec });
            }
        }
        Some(Request::ListOffsets(ListOffsetsRequest { replica: Some(self.setup.id), partitions }))
    }

    pub(super) fn on_leader_response(
        &mut self,
        now: Now,
        from: NodeId,
        correlation: CorrelationId,
        response: Response,
        effects: &mut Effects,
    ) {
        let Some(fetcher) = self.fetchers.by_leader.get_mut(&from) else { return };
        if fetcher.in_flight.is_none_or(|sent| sent.correlation != correlation) {
            return;
        }
        (fetcher.in_flight, fetcher.abandoned) = (None, false);
        self.fetchers.timers.cancel(&from);
        match response {
            Response::Fetch(FetchResponse { partitions }) => {
                for mut fetched in partitions {
                    self.take_fetched(now, from, &mut fetched, effects);
                }
            }
            Response::ListOffsets(ListOffsetsResponse { partitions }) => {
                for ends in partitions.chunks_exact(2) {
                    self.take_range(now, from, &ends[0], &ends[1], effects);
                }
            }
            _ => {}
        }
        self.fetchers.idle.push_back(from);
    }

    fn take_fetched(
        &mut self,
        now: Now,
        from: NodeId,
        fetched: &mut PartitionFetched,
        effects: &mut Effects,
    ) {
        let museum = self.museum();
        let Some(partition) = fetched.partition.by_id() else { return };
        let Some(fetcher) = self.fetchers.by_leader.get_mut(&from) else { return };
        // KAFKA-7786: a refusal of what was asked in a former epoch stopped the partition in the present one,
        // and nobody started it again.
        if fetched.error == Some(ErrorCode::FencedLeaderEpoch)
            && fetcher.followed.contains_key(&partition)
            && museum.has(Bug::LateEpochLookupResponseKillsFetcher)
        {
            return fetcher.drop_partition(partition);
        }
        let (Some(named), Some(slot)) =
            (fetcher.named.get(&partition).copied(), fetcher.followed.get(&partition).copied())
        else {
            // KAFKA-13207: nobody looked whether the partition was still this fetcher's. By now we may lead it.
            if let (Some(theirs), Some(slot)) = (fetched.diverging_epoch, self.replicas.find(partition))
                && museum.has(Bug::TruncateAfterPartitionMoved)
            {
                self.cut(now, slot, theirs, effects);
            }
            return;
        };
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        let held = &mut replica.partition;
        // It was asked in another epoch, or for another offset than it would be now: it says nothing.
        if held.epoch() != Some(named.epoch) || held.log.end() != named.offset {
            fetcher.changed.insert(partition);
            return;
        }
        if let Some(error) = fetched.error {
            return self.fetch_failed(now, from, partition, error);
        }
        if let Some(theirs) = fetched.diverging_epoch {
            self.cut(now, slot, theirs, effects);
            let cutting =
                self.replicas.get(slot).is_some_and(|replica| replica.partition.log.is_truncating());
            if let Some(fetcher) = self.fetchers.by_leader.get_mut(&from) {
                fetcher.changed.insert(partition);
                if cutting {
                    fetcher.writing.insert(partition);
                }
            }
            return;
        }
        self.append_fetched(now, from, slot, fetched, effects);
    }

    /// Our log has parted from the leader's: back to where they may agree.
    fn cut(&mut self, now: Now, slot: Slot, theirs: EpochEnd, effects: &mut Effects) {
        let single_round = self.museum().has(Bug::EpochLookupSingleRound);
        let forbidden = self.museum().has(Bug::LogTruncationNotAllowed);
        let Some(held) = self.replicas.get_mut(slot).map(|replica| &mut replica.partition) else { return };
        let end = held.log.end();
        let to = if single_round {
            // KIP-279: cut once to whatever the leader said, and never asked again.
            if let Some(follower) = held.follower_mut() {
                follower.tells_last_epoch = false;
            }
            theirs.end.min(end)
        } else {
            cut_at(end, theirs, |epoch| held.log.epochs().end_for(epoch, end))
        };
        // KAFKA-3410: with unclean elections forbidden a broker halted rather than cut what its leader lacks.
        assert!(!forbidden, "halting because log truncation is not allowed for {}", held.id());
        let why = TruncateReason::Diverged;
        held.truncate(now, to, why, &mut effects.disk, &mut effects.events);
        self.note_cleaned(slot, effects);
        self.watch_log(Some(slot));
    }

    fn append_fetched(
        &mut self,
        now: Now,
        from: NodeId,
        slot: Slot,
        fetched: &mut PartitionFetched,
        effects: &mut Effects,
    ) {
        let museum = self.museum();
        let backoff = now.monotonic + self.config.replica_fetch_backoff_ms;
        let Some(held) = self.replicas.get_mut(slot).map(|replica| &mut replica.partition) else { return };
        let partition = held.id();
        let mut failed = None;
        let brought = !fetched.batches.is_empty();
        for batch in fetched.batches.drain(..) {
            if batch.end_offset() <= held.log.end() {
                continue;
            }
            if let Err(error) = held.log.append_follower(now, batch, &mut effects.disk, &mut effects.events) {
                failed = Some(error);
                break;
            }
        }
        let unwritten = held.log.written() < held.log.end();
        if let Some(follower) = held.follower_mut() {
            // A mutant: as far as it has written itself.
            let own = museum.has(Bug::FollowerHwIsLogEnd);
            let theirs = if own { Offset(u64::MAX) } else { fetched.high_watermark };
            follower.leader_high_watermark = Some(theirs);
            follower.leader_log_start = Some(fetched.log_start);
            if museum.has(Bug::EpochLookupSingleRound) {
                follower.tells_last_epoch = false;
            }
        }
        if let Some(fetcher) = self.fetchers.by_leader.get_mut(&from) {
            if brought {
                fetcher.changed.insert(partition);
            }
            if unwritten {
                fetcher.writing.insert(partition);
            }
            if failed.is_some() {
                fetcher.rest(partition, backoff);
            }
        }
        self.adopt_high_watermark(now, slot, effects);
        self.watch_log(Some(slot));
    }

    fn fetch_failed(&mut self, now: Now, from: NodeId, partition: TopicPartition, error: ErrorCode) {
        let until = now.monotonic + self.config.replica_fetch_backoff_ms;
        let Some(fetcher) = self.fetchers.by_leader.get_mut(&from) else { return };
        match error {
            ErrorCode::OffsetOutOfRange => {
                fetcher.drop_partition(partition);
                fetcher.lost.insert(partition);
            }
            // The leader is ahead of what the controller has told us: its word will come.
            ErrorCode::FencedLeaderEpoch => fetcher.drop_partition(partition),
            _ => fetcher.rest(partition, until),
        }
    }

    /// The leader has said where its log begins and ends; ours lies outside.
    fn take_range(
        &mut self,
        now: Now,
        from: NodeId,
        start: &PartitionOffsets,
        end: &PartitionOffsets,
        effects: &mut Effects,
    ) {
        let backoff = now.monotonic + self.config.replica_fetch_backoff_ms;
        let Some(partition) = start.partition.by_id() else { return };
        let Some(fetcher) = self.fetchers.by_leader.get_mut(&from) else { return };
        let Some(slot) = fetcher.followed.get(&partition).copied() else { return };
        if !fetcher.lost.remove(&partition) {
            return;
        }
        let (Ok(Some(start)), Ok(Some(end))) = (start.result, end.result) else {
            return fetcher.rest(partition, backoff);
        };
        fetcher.changed.insert(partition);
        let Some(held) = self.replicas.get_mut(slot).map(|replica| &mut replica.partition) else { return };
        let ours = held.log.end();
        if end.offset < ours {
            // The leader has less than we: it was elected uncleanly, or has lost its disk.
            let why = TruncateReason::OutOfRange;
            held.truncate(now, end.offset, why, &mut effects.disk, &mut effects.events);
        } else if start.offset > ours {
            held.reset(now, start.offset, &mut effects.disk, &mut effects.events);
        }
        if held.log.is_truncating() {
            fetcher.writing.insert(partition);
        }
        self.checkpoints.high_watermarks_moved = true;
        self.note_cleaned(slot, effects);
        self.watch_log(Some(slot));
    }

    pub(super) fn on_leader_lost(&mut self, now: Now, leader: NodeId) {
        let until = now.monotonic + self.config.replica_fetch_backoff_ms;
        if let Some(fetcher) = self.fetchers.by_leader.get_mut(&leader) {
            fetcher.disconnected(until);
            self.fetchers.idle.push_back(leader);
        }
    }

    /// A fetcher has rested, or has waited for an answer for too long.
    pub(super) fn on_fetcher_timer(&mut self, now: Now, leader: NodeId, effects: &mut Effects) {
        let Some(fetcher) = self.fetchers.by_leader.get_mut(&leader) else { return };
        if fetcher.in_flight.is_some_and(|sent| sent.until <= now.monotonic) {
            effects.mail.push(Outgoing::Disconnect { peer: leader, channel: Channel::FETCH });
            self.on_leader_lost(now, leader);
        }
        self.fetchers.idle.push_back(leader);
    }
}

/// What to ask the leader of a partition that is followed.
fn ask(held: &Partition, max_bytes: u32) -> Option<PartitionFetch> {
    let follower = held.follower()?;
    Some(PartitionFetch {
        partition: held.id().into(),
        current_leader_epoch: Some(follower.epoch),
        fetch_offset: held.log.end(),
        last_fetched_epoch: held.log.last_epoch().filter(|_| follower.tells_last_epoch),
        log_start: Some(held.log.start()),
        max_bytes,
    })
}
