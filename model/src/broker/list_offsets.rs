//! Which offset belongs to a time, and where does an epoch end? KIP-79, KIP-101, KIP-207, KIP-320, KIP-734.

use alloc::vec::Vec;

use super::{
    Broker,
    fetch::Cold,
    purgatory::{Parked, ParkedLookup},
    replicas::{Slot, Waiter},
};
use crate::{
    log::{ColdAnswer, ColdDone, ColdRead, FoundTime, TimeLookup},
    machine::{Caller, Effects},
    museum::{Bug, Museum},
    partition::{Partition, leader::Leader},
    protocol::{
        ErrorCode, PartitionRef, Response,
        fetch::EpochEnd,
        list_offsets::{
            FoundOffset, ListOffsetsRequest, ListOffsetsResponse, OffsetSpec, PartitionListOffsets,
            PartitionOffsets,
        },
        offset_for_leader_epoch::{
            OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, PartitionEpochEnd, PartitionEpochQuery,
        },
    },
    time::Now,
    units::{Offset, TopicPartition},
};

/// What a look-up came to.
enum Lookup {
    Known(Option<FoundOffset>),
    Cold(Slot, ColdRead),
}

impl Broker {
    pub(super) fn list_offsets(
        &mut self,
        now: Now,
        caller: Caller,
        request: ListOffsetsRequest,
        effects: &mut Effects,
    ) {
        let consumer = request.replica.is_none();
        let parked = self.purgatory.next_id();
        let mut answers = Vec::with_capacity(request.partitions.len());
        let mut colds = Vec::new();
        for (index, asked) in (0u32..).zip(request.partitions) {
            let mut answer =
                PartitionOffsets { partition: asked.partition.clone(), result: Ok(None), leader: None };
            match self.look_up(&asked, consumer) {
                Ok(Lookup::Known(found)) => answer.result = Ok(found),
                Ok(Lookup::Cold(slot, read)) => {
                    answer.result = Err(ErrorCode::RequestTimedOut);
                    colds.push((slot, read, Waiter { parked, index, until: Offset::ZERO }));
                }
                Err(error) => {
                    answer.result = Err(error);
                    answer.leader = self.hint_for(&asked.partition, error);
                }
            }
            answers.push(answer);
        }
        let parked = ParkedLookup { caller, answers, left: colds.len() };
        if colds.is_empty() {
            return self.answer_lookup(parked, effects);
        }
        let expires = now.monotonic + self.config.request_timeout_ms;
        let id = self.purgatory.park(Parked::ListOffsets(parked), expires);
        self.connections.parked(caller.connection, id);
        for (slot, read, waiter) in colds {
            self.begin_cold(now, slot, read, Cold::Lookup(waiter), effects);
        }
    }

    fn look_up(&self, asked: &PartitionListOffsets, consumer: bool) -> Result<Lookup, ErrorCode> {
        let (_, slot) = self.resolve(&asked.partition)?;
        let slot = slot.ok_or(ErrorCode::NotLeaderOrFollower)?;
        let partition = &self.replicas.get(slot).ok_or(ErrorCode::NotLeaderOrFollower)?.partition;
        let leader = partition.leader_in(asked.current_leader_epoch, self.museum())?;
        let end = if consumer { partition.high_watermark() } else { partition.log.written() };
        let unsure = consumer && is_unsure(leader, partition, self.museum());
        let lookup = match asked.spec {
            OffsetSpec::Earliest => {
                let start = partition.log.start();
                let leader_epoch = partition.log.epochs().epoch_of(start);
                return Ok(Lookup::Known(Some(FoundOffset { offset: start, timestamp: None, leader_epoch })));
            }
            OffsetSpec::Latest if unsure => return Err(ErrorCode::OffsetNotAvailable),
            OffsetSpec::Latest => {
                // Of the leader, not of the last record: what will stand there is of this epoch or a later one.
                let leader_epoch = Some(leader.epoch);
                return Ok(Lookup::Known(Some(FoundOffset { offset: end, timestamp: None, leader_epoch })));
            }
            OffsetSpec::MaxTimestamp => partition.log.find_max_timestamp(end),
            OffsetSpec::Time(time) => partition.log.find_time(time, end),
        };
        match lookup {
            // What lies between the high watermark and the epoch's start may be the record looked for.
            TimeLookup::Found(None) if unsure => Err(ErrorCode::OffsetNotAvailable),
            TimeLookup::Found(found) => Ok(Lookup::Known(found.map(found_by_time))),
            TimeLookup::Cold(read) => Ok(Lookup::Cold(slot, read)),
        }
    }

    pub(super) fn complete_lookup(
        &mut self,
        _now: Now,
        _slot: Slot,
        waiter: Waiter,
        done: ColdDone,
        effects: &mut Effects,
    ) {
        let Some(Parked::ListOffsets(parked)) = self.purgatory.get_mut(waiter.parked) else { return };
        if let Some(answer) = parked.answers.get_mut(waiter.index as usize) {
            answer.result = match done.answer {
                Ok(ColdAnswer::Time(found)) => Ok(found.map(found_by_time)),
                Ok(ColdAnswer::Batches(_)) => Ok(None),
                Err(error) => Err(error),
            };
        }
        parked.left -= 1;
        if parked.left == 0
            && let Some(Parked::ListOffsets(parked)) = self.purgatory.take(waiter.parked)
        {
            self.answer_lookup(parked, effects);
        }
    }

    pub(super) fn answer_lookup(&mut self, parked: ParkedLookup, effects: &mut Effects) {
        let response = ListOffsetsResponse { partitions: parked.answers };
        self.answer(parked.caller, Response::ListOffsets(response), effects);
    }

    pub(super) fn epoch_ends(
        &mut self,
        caller: Caller,
        request: OffsetForLeaderEpochRequest,
        effects: &mut Effects,
    ) {
        let answer = |asked: PartitionEpochQuery| PartitionEpochEnd {
            result: self.epoch_end(&asked),
            partition: asked.partition,
        };
        let partitions = request.partitions.into_iter().map(answer).collect();
        let response = Response::OffsetForLeaderEpoch(OffsetForLeaderEpochResponse { partitions });
        self.answer(caller, response, effects);
    }

    fn epoch_end(&self, asked: &PartitionEpochQuery) -> Result<Option<EpochEnd>, ErrorCode> {
        let (_, slot) = self.resolve(&asked.partition)?;
        let replica = slot.and_then(|slot| self.replicas.get(slot)).ok_or(ErrorCode::NotLeaderOrFollower)?;
        replica.partition.leader_in(asked.current_leader_epoch, self.museum())?;
        let log = &replica.partition.log;
        Ok(log.epochs().end_for(asked.leader_epoch, log.end()))
    }

    fn hint_for(&self, named: &PartitionRef, error: ErrorCode) -> Option<crate::protocol::LeaderHint> {
        let (partition, _): (TopicPartition, _) = self.resolve(named).ok()?;
        self.hint(partition, error)
    }
}

/// Whether the high watermark is not sure yet: a new leader's may be behind the one that was told before.
fn is_unsure(leader: &Leader, partition: &Partition, museum: Museum) -> bool {
    // KIP-207: it used to be told all the same, and the end of a log went back after a failover.
    partition.high_watermark() < leader.epoch_start && !museum.has(Bug::ListoffsetsStaleHw)
}

fn found_by_time(found: FoundTime) -> FoundOffset {
    FoundOffset { offset: found.offset, timestamp: Some(found.timestamp), leader_epoch: Some(found.epoch) }
}
