//! How is a log read, by followers and by consumers? KIP-74, KIP-227, KIP-320, KIP-595, KIP-903.
//!
//! A fetch first says where its reader is, which may move the high watermark and the ISR. Then it is
//! answered, or waits in its session until there is enough to say.

use alloc::vec::Vec;

use smallvec::SmallVec;

use super::{
    Broker,
    produce::{hint, resolve},
    replicas::{Replicas, Slot},
    sessions::{Assembling, Session},
};
use crate::{
    controller::image::Image,
    event::Event,
    log::{
        ColdAnswer, ColdDone, ColdRead, Read,
        batch::{Batch, Batches},
    },
    machine::{Caller, ConnectionId, Effects},
    museum::{Bug, Museum},
    partition::{
        Partition,
        leader::{Moved, Position, Told},
        truncation::{OutOfRange, divergence},
    },
    protocol::{
        ErrorCode, PartitionRef, Response,
        fetch::{EpochEnd, FetchRequest, FetchResponse, PartitionFetch, PartitionFetched, ReplicaState},
    },
    time::Now,
    units::{BrokerEpoch, LeaderEpoch, NodeId, Offset, TopicPartition},
};

/// For whom the disk reads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cold {
    /// For a fetch.
    Fetch {
        /// By which connection.
        connection: ConnectionId,
        /// Which of its partitions.
        at: u32,
        /// Which of the answer's.
        place: usize,
        /// In which epoch it began.
        epoch: LeaderEpoch,
        /// Up to where it may be read.
        bound: Offset,
    },
    /// For a ListOffsets.
    Lookup(super::replicas::Waiter),
    /// A coordinator of groups, in this leader epoch.
    Groups(LeaderEpoch),
}

/// What there is to say about one partition of a fetch.
enum Look {
    /// Nothing that the reader has not heard.
    Nothing,
    /// Records for which there is no room.
    Later,
    /// Records, or only a high watermark or log start.
    Found { batches: Batches, bound: Offset },
    /// Records that are on the disk only.
    Cold { read: ColdRead, bound: Offset },
    /// The reader's log has parted from ours.
    Diverged(EpochEnd),
    /// It cannot be read.
    Refused(ErrorCode),
}

impl Broker {
    pub(super) fn fetch(&mut self, now: Now, caller: Caller, request: FetchRequest, effects: &mut Effects) {
        let connection = caller.connection;
        let (replica, max_wait) = (request.replica, request.max_wait);
        let taken = self.sessions.take_in(caller, request, now.monotonic, self.setup.museum);
        for (at, slot) in taken.dropped {
            self.stop_reading(connection, at, slot);
        }
        let positions = self.begin_reading(connection, &taken.named, max_wait.is_zero());
        if let Some(state) = replica {
            for (slot, position) in positions {
                self.take_position(now, slot, state.replica, position, effects);
            }
        }
        if self.try_fetch(now, connection, effects) {
            self.sessions.wait(connection, now.monotonic + max_wait);
        }
    }

    pub(super) fn expire_fetch(&mut self, now: Now, connection: ConnectionId, effects: &mut Effects) {
        if let Some(session) = self.sessions.get_mut(connection) {
            session.expired = true;
            self.try_fetch(now, connection, effects);
        }
    }

    /// Finds the replicas of partitions that are read, and has them know their reader. Gives back where a
    /// follower says it is. `expired`: the fetch does not wait.
    fn begin_reading(
        &mut self,
        connection: ConnectionId,
        named: &[u32],
        expired: bool,
    ) -> SmallVec<[(Slot, Position); 2]> {
        let (museum, mut positions) = (self.museum(), SmallVec::new());
        let Some(session) = self.sessions.get_mut(connection) else { return positions };
        session.expired |= expired;
        let state = session.replica;
        for at in named {
            let Some(entry) = session.entry_mut(*at) else { continue };
            if entry.slot.is_none() {
                let found = resolve(&self.replicas, &self.metadata.image, &entry.asked.partition);
                entry.slot = found.ok().and_then(|(_, slot)| slot);
                if let Some(replica) = entry.slot.and_then(|slot| self.replicas.get_mut(slot)) {
                    replica.readers.push((connection, *at));
                }
            }
            let Some(slot) = entry.slot else { continue };
            let Some(replica) = self.replicas.get(slot) else { continue };
            let partition = &replica.partition;
            entry.was_level = partition.high_watermark() == partition.log.end();
            if let Some(state) = state
                && says_its_position(partition, &entry.asked, museum)
            {
                let position = Position {
                    log_end: entry.asked.fetch_offset,
                    log_start: entry.asked.log_start,
                    broker_epoch: state.broker_epoch,
                };
                positions.push((slot, position));
            }
        }
        positions
    }

    /// A follower says where it is: it has written everything before the offset it asks for.
    fn take_position(
        &mut self,
        now: Now,
        slot: Slot,
        follower: NodeId,
        position: Position,
        effects: &mut Effects,
    ) {
        if self.museum().has(Bug::IsrEligibilityTwoReads) {
            self.judge_by_two_reads(slot, follower, position.broker_epoch, effects);
        }
        let Some(held) = self.replicas.get_mut(slot) else { return };
        let written = held.partition.log.written();
        let Some(leader) = held.partition.leader_mut() else { return };
        let Ok(Moved { log_end, log_start }) = leader.fetched(follower, position, now.monotonic, written)
        else {
            return;
        };
        self.maybe_expand(slot, follower, effects);
        if log_end {
            self.advance(now, slot, effects);
        }
        if log_start {
            self.check_deletions(slot, effects);
        }
    }

    /// KAFKA-15221: whether a follower had caught up was read before its new life's first fetch was noted, and
    /// whether its broker epoch was right after: each by itself was true, of another life.
    fn judge_by_two_reads(
        &mut self,
        slot: Slot,
        follower: NodeId,
        epoch: Option<BrokerEpoch>,
        effects: &mut Effects,
    ) {
        let Some(leader) = self.replicas.get_mut(slot).and_then(|held| held.partition.leader_mut()) else {
            return;
        };
        if let Some(remote) = leader.remote_mut(follower)
            && remote.broker_epoch < epoch
        {
            remote.broker_epoch = epoch;
            self.maybe_expand(slot, follower, effects);
        }
    }

    /// Answers the fetch that waits in a session, if there is enough to say or it has waited long enough.
    /// Says whether it waits on.
    pub(super) fn try_fetch(&mut self, now: Now, connection: ConnectionId, effects: &mut Effects) -> bool {
        let shelf =
            Shelf { replicas: &self.replicas, image: &self.metadata.image, museum: self.setup.museum };
        let Some(session) = self.sessions.get_mut(connection) else { return false };
        if session.waiting.is_none() {
            return false;
        }
        let (min_bytes, expired) = (session.min_bytes as usize, session.expired);
        let mut room = session.max_bytes.min(self.config.fetch_max_bytes);
        let mut found = Found::new();
        let (mut bytes, mut urgent) = (0, expired);
        for at in session.marked() {
            let look = shelf.look(connection, session, at, room, bytes == 0);
            match &look {
                Look::Nothing => {
                    session.clean(at);
                    continue;
                }
                Look::Later => continue,
                Look::Found { batches, .. } => {
                    let size = batches.iter().map(Batch::size).sum::<usize>();
                    bytes += size;
                    room = room.saturating_sub(size as u32);
                }
                Look::Cold { .. } => {
                    let size = session.entry(at).map_or(0, |entry| entry.asked.max_bytes).min(room);
                    bytes += size.max(1) as usize;
                    room -= size;
                }
                Look::Diverged(_) | Look::Refused(_) => urgent = true,
            }
            found.push((at, look));
        }
        let enough = urgent || bytes >= min_bytes.max(1) || min_bytes == 0;
        if enough {
            self.assemble(now, connection, found, effects);
        }
        !enough
    }

    /// Makes the answer of what was found, and sends it unless some of it has to be read from the disk.
    fn assemble(&mut self, now: Now, connection: ConnectionId, mut found: Found, effects: &mut Effects) {
        let Some((caller, session)) = self.sessions.take_waiting(connection) else { return };
        let everything = if session.replica.is_some() { SmallVec::new() } else { session.all() };
        let mut partitions = Vec::with_capacity(found.len().max(everything.len()));
        let mut colds = Vec::new();
        let mut found = found.iter_mut().peekable();
        let mut rest = everything.into_iter().peekable();
        let mut desk =
            Desk { replicas: &mut self.replicas, image: &self.metadata.image, connection, session };
        // A consumer is answered for everything it asked for, in its order; a follower for what was found.
        loop {
            let (at, look) = match (found.peek(), rest.peek()) {
                (Some((at, _)), Some(next)) if at > next => (*next, None),
                (Some(_), _) => match found.next() {
                    Some((at, look)) => (*at, Some(look)),
                    None => break,
                },
                (None, Some(next)) => (*next, None),
                (None, None) => break,
            };
            if rest.peek() == Some(&at) {
                rest.next();
            }
            desk.answer(at, look, &mut partitions, &mut colds, effects);
        }
        if colds.is_empty() {
            return self.answer(caller, Response::Fetch(FetchResponse { partitions }), effects);
        }
        session.assembling = Some(Assembling { caller, partitions, left: colds.len() });
        for (slot, read, cold) in colds {
            self.begin_cold(now, slot, read, cold, effects);
        }
    }

    /// Asks the disk for something that memory does not hold any more.
    pub(super) fn begin_cold(
        &mut self,
        _now: Now,
        slot: Slot,
        read: ColdRead,
        cold: Cold,
        effects: &mut Effects,
    ) {
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        self.last_cold += 1;
        self.cold.insert(self.last_cold, (slot, cold));
        replica.partition.log.begin_cold(read, self.last_cold, &mut effects.disk);
    }

    /// The disk has read something for somebody.
    pub(super) fn on_cold(&mut self, now: Now, slot: Slot, done: ColdDone, effects: &mut Effects) {
        match self.cold.remove(&done.waiter) {
            Some((_, Cold::Fetch { connection, at, place, epoch, bound })) => {
                let batches = match done.answer {
                    Ok(ColdAnswer::Batches(batches)) => Ok(batches),
                    Ok(ColdAnswer::Time(_)) => Ok(Batches::new()),
                    Err(error) => Err(error),
                };
                // Whoever does not lead any more in that epoch has no business answering.
                let leads = self.replicas.get(slot).and_then(|replica| replica.partition.leader());
                let batches = match leads {
                    Some(leader) if leader.epoch == epoch => batches,
                    _ => Err(ErrorCode::NotLeaderOrFollower),
                };
                self.complete_fetch(connection, slot, at, place, bound, batches, effects);
            }
            Some((_, Cold::Lookup(waiter))) => self.complete_lookup(now, slot, waiter, done, effects),
            Some((_, Cold::Groups(epoch))) => {
                let batches = match done.answer {
                    Ok(ColdAnswer::Batches(batches)) => Ok(batches),
                    Ok(ColdAnswer::Time(_)) => Ok(Batches::new()),
                    Err(error) => Err(error),
                };
                self.groups_read(now, slot, epoch, batches, effects);
            }
            None => {}
        }
    }

    #[allow(clippy::too_many_arguments, reason = "they are one answer's coordinates")]
    fn complete_fetch(
        &mut self,
        connection: ConnectionId,
        slot: Slot,
        at: u32,
        place: usize,
        bound: Offset,
        batches: Result<Batches, ErrorCode>,
        effects: &mut Effects,
    ) {
        let id = self.replicas.get(slot).map(|replica| replica.partition.id());
        let epoch = self.replicas.get(slot).and_then(|replica| replica.partition.epoch());
        let hint = match (&batches, id) {
            (Err(error), Some(id)) => self.hint(id, *error),
            _ => None,
        };
        let Some(session) = self.sessions.get_mut(connection) else { return };
        let (reader, is_replica) = (session.reader, session.replica.is_some());
        if matches!(&batches, Ok(batches) if batches.is_empty()) {
            // There was no room for a batch. A follower that is told nothing asks for nothing: it is looked
            // at again with its next fetch.
            session.mark(at);
        } else {
            session.clean(at);
        }
        let Some(assembling) = &mut session.assembling else { return };
        if let Some(answer) = assembling.partitions.get_mut(place) {
            match batches {
                Ok(batches) => {
                    if let Some(id) = id {
                        let epoch = epoch.unwrap_or_default();
                        note_read(id, reader, is_replica, epoch, bound, &batches, effects);
                    }
                    answer.batches = batches;
                }
                Err(error) => {
                    answer.error = Some(error);
                    answer.leader = hint;
                    if let Some(partition) = id {
                        effects.note(Event::FetchRefused { partition, reader, error });
                    }
                }
            }
        }
        assembling.left -= 1;
        if assembling.left == 0
            && let Some(Assembling { caller, partitions, .. }) = session.assembling.take()
        {
            self.answer(caller, Response::Fetch(FetchResponse { partitions }), effects);
        }
    }

    /// A replica is gone: what the disk was to read of it will not come.
    pub(super) fn fail_cold(&mut self, now: Now, slot: Slot, effects: &mut Effects) {
        let waiting: Vec<u64> =
            self.cold.iter().filter(|(_, (of, _))| *of == slot).map(|(waiter, _)| *waiter).collect();
        for waiter in waiting {
            let answer = Err(ErrorCode::NotLeaderOrFollower);
            self.on_cold(now, slot, ColdDone { waiter, answer }, effects);
        }
    }
}

/// What was found for the partitions of a fetch.
type Found = SmallVec<[(u32, Look); 2]>;

/// What a fetch is answered from.
#[derive(Clone, Copy)]
struct Shelf<'a> {
    replicas: &'a Replicas,
    image: &'a Image,
    museum: Museum,
}

impl Shelf<'_> {
    /// Reads one partition for a session. `min_one`: the first batch is returned whatever its size.
    fn look(&self, connection: ConnectionId, session: &Session, at: u32, room: u32, min_one: bool) -> Look {
        let Some(entry) = session.entry(at) else { return Look::Nothing };
        let Some(replica) = entry.slot.and_then(|slot| self.replicas.get(slot)) else {
            let unknown = resolve(self.replicas, self.image, &entry.asked.partition).err();
            return Look::Refused(unknown.unwrap_or(ErrorCode::NotLeaderOrFollower));
        };
        let partition = &replica.partition;
        if let Err(error) = self.may_read(partition, &entry.asked, session.replica) {
            return Look::Refused(error);
        }
        match parted(partition, &entry.asked, self.museum) {
            Ok(None) => {}
            Ok(Some(end)) => return Look::Diverged(end),
            Err(OutOfRange) => return Look::Refused(ErrorCode::OffsetOutOfRange),
        }
        let bound = match session.replica {
            Some(_) => partition.log.written(),
            None => partition.high_watermark(),
        };
        // KAFKA-9807: whether the read needs a limit was decided once, by where the log ended then, and how
        // far it went was looked up again when it was made.
        let twice = entry.was_level && self.museum.has(Bug::ReadLimitComputedTwice);
        // KAFKA-9196: the place of the high watermark was that of the log's end in the segment before a roll, and
        // a reader in the segment after it had no limit.
        let stale = session.replica.is_none()
            && self.museum.has(Bug::HwMetadataStaleAfterRoll)
            && partition.rolled_at == Some(bound);
        let limit = if twice || stale { partition.log.written() } else { bound };
        let from = entry.asked.fetch_offset;
        if from >= bound && !stale && (partition.log.start()..=partition.log.end()).contains(&from) {
            return look_at_bound(connection, session, partition, bound);
        }
        match partition.log.read(from, limit, entry.asked.max_bytes.min(room), min_one) {
            Ok(Read::Batches(batches)) if batches.is_empty() => Look::Later,
            Ok(Read::Batches(batches)) => Look::Found { batches, bound },
            Ok(Read::Cold(_)) if room == 0 && !min_one => Look::Later,
            Ok(Read::Cold(read)) => Look::Cold { read, bound },
            Err(error) => Look::Refused(error),
        }
    }

    /// Refuses who may not read: in the wrong epoch, or a follower that is no replica or of a former
    /// registration.
    fn may_read(
        &self,
        partition: &Partition,
        asked: &PartitionFetch,
        replica: Option<ReplicaState>,
    ) -> Result<(), ErrorCode> {
        let leader = partition.leader_in(asked.current_leader_epoch, self.museum)?;
        let Some(state) = replica else { return Ok(()) };
        let remote = leader.remote(state.replica).ok_or(ErrorCode::NotLeaderOrFollower)?;
        if state.broker_epoch.is_some() && state.broker_epoch < remote.broker_epoch {
            return Err(ErrorCode::StaleBrokerEpoch);
        }
        Ok(())
    }
}

/// There are no records to return: a follower may still have to hear of a high watermark or log start.
fn look_at_bound(connection: ConnectionId, session: &Session, partition: &Partition, bound: Offset) -> Look {
    let Some(state) = session.replica else { return Look::Nothing };
    let now_told = told(connection, partition);
    let remote = partition.leader().and_then(|leader| leader.remote(state.replica));
    if remote.is_none_or(|remote| remote.told == Some(now_told)) {
        return Look::Nothing;
    }
    Look::Found { batches: Batches::new(), bound }
}

/// What the answer of one session is made with.
struct Desk<'a> {
    replicas: &'a mut Replicas,
    image: &'a Image,
    connection: ConnectionId,
    session: &'a mut Session,
}

impl Desk<'_> {
    fn answer(
        &mut self,
        at: u32,
        look: Option<&mut Look>,
        answers: &mut Vec<PartitionFetched>,
        colds: &mut Vec<(Slot, ColdRead, Cold)>,
        effects: &mut Effects,
    ) {
        let (connection, session) = (self.connection, &mut *self.session);
        let (reader, state) = (session.reader, session.replica);
        if look.is_some() {
            session.clean(at);
            session.begin_after(at);
        }
        let Some(entry) = session.entry(at) else { return };
        let (named, slot) = (entry.asked.partition.clone(), entry.slot);
        let Some(replica) = slot.and_then(|slot| self.replicas.get_mut(slot)) else {
            let error = match look {
                Some(Look::Refused(error)) => *error,
                _ => ErrorCode::NotLeaderOrFollower,
            };
            return answers.push(refusal(self.replicas, self.image, named, error));
        };
        let partition = &mut replica.partition;
        let id = partition.id();
        let epoch = partition.epoch().unwrap_or_default();
        let place = answers.len();
        answers.push(PartitionFetched {
            partition: named,
            error: None,
            high_watermark: partition.high_watermark(),
            log_start: partition.log.start(),
            diverging_epoch: None,
            snapshot: None,
            leader: None,
            batches: Batches::new(),
        });
        let answer = &mut answers[place];
        match look {
            Some(Look::Refused(error)) => {
                let error = *error;
                effects.note(Event::FetchRefused { partition: id, reader, error });
                answer.error = Some(error);
                answer.leader = hint(self.image, id, error);
                return;
            }
            Some(Look::Diverged(EpochEnd { epoch, end })) => {
                let (epoch, end) = (*epoch, *end);
                effects.note(Event::DivergenceFound { partition: id, reader, epoch, end });
                answer.diverging_epoch = Some(EpochEnd { epoch, end });
                return;
            }
            Some(Look::Found { batches, bound }) => {
                note_read(id, reader, state.is_some(), epoch, *bound, batches, effects);
                core::mem::swap(&mut answer.batches, batches);
            }
            Some(Look::Cold { read, bound }) => {
                if let Some(slot) = slot {
                    let cold = Cold::Fetch { connection, at, place, epoch, bound: *bound };
                    colds.push((slot, *read, cold));
                }
            }
            Some(Look::Nothing | Look::Later) | None => {}
        }
        if let Some(state) = state {
            let told = told(connection, partition);
            if let Some(remote) = partition.leader_mut().and_then(|leader| leader.remote_mut(state.replica)) {
                remote.told = Some(told);
            }
        }
    }
}

fn refusal(replicas: &Replicas, image: &Image, named: PartitionRef, error: ErrorCode) -> PartitionFetched {
    let partition = resolve(replicas, image, &named).ok().map(|(partition, _)| partition);
    PartitionFetched {
        partition: named,
        error: Some(error),
        high_watermark: Offset::ZERO,
        log_start: Offset::ZERO,
        diverging_epoch: None,
        snapshot: None,
        leader: partition.and_then(|partition| hint(image, partition, error)),
        batches: Batches::new(),
    }
}

/// Whether a follower's fetch tells where its log ends: it asks in our epoch, within our log, and has not
/// parted from it.
fn says_its_position(partition: &Partition, asked: &PartitionFetch, museum: Museum) -> bool {
    if partition.leader_in(asked.current_leader_epoch, museum).is_err() {
        return false;
    }
    match parted(partition, asked, museum) {
        Ok(None) => (partition.log.start()..=partition.log.end()).contains(&asked.fetch_offset),
        // KAFKA-13141: a follower that has parted from us stands at an offset whose records it is about to
        // cut off, so it does not have what we have there.
        Ok(Some(_)) => museum.has(Bug::DivergingFetchMovesFollowerPosition),
        Err(OutOfRange) => false,
    }
}

/// Where the reader's log has parted from ours, if it says which epoch it read last.
fn parted(
    partition: &Partition,
    asked: &PartitionFetch,
    museum: Museum,
) -> Result<Option<EpochEnd>, OutOfRange> {
    let Some(last) = asked.last_fetched_epoch else { return Ok(None) };
    let end = partition.log.end();
    let epochs = partition.log.epochs();
    if museum.has(Bug::EpochLookupSingleRound) {
        // KIP-279: the start of the next epoch we know, without saying which epoch ends there.
        let next = epochs.entries().iter().find(|(epoch, _)| *epoch > last).map_or(end, |(_, start)| *start);
        return Ok((next < asked.fetch_offset).then_some(EpochEnd { epoch: last, end: next }));
    }
    divergence(asked.fetch_offset, last, |epoch| epochs.end_for(epoch, end))
}

fn told(connection: ConnectionId, partition: &Partition) -> Told {
    Told { connection, high_watermark: partition.high_watermark(), log_start: partition.log.start() }
}

fn note_read(
    partition: TopicPartition,
    reader: NodeId,
    replica: bool,
    epoch: LeaderEpoch,
    bound: Offset,
    batches: &[Batch],
    effects: &mut Effects,
) {
    if let (Some(first), Some(last)) = (batches.first(), batches.last()) {
        let (from, end) = (first.base_offset(), last.end_offset());
        effects.note(Event::ReadServed { partition, reader, replica, epoch, from, end, bound });
    }
}
