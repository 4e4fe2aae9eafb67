//! How is the beginning of a log dropped? KIP-107.
//!
//! The leader moves its log's start and answers once no live replica has what was dropped: followers learn of
//! it with their next fetch, and say so with the one after.

use alloc::vec::Vec;

use super::{
    Broker,
    purgatory::{Parked, ParkedDelete},
    replicas::{Slot, Waiter},
};
use crate::{
    event::LogStartReason,
    machine::{Caller, Effects},
    protocol::{
        ErrorCode, LeaderHint, PartitionRef, Response,
        topics::{DeleteRecordsRequest, DeleteRecordsResponse},
    },
    time::Now,
    units::Offset,
};

impl Broker {
    pub(super) fn delete_records(
        &mut self,
        now: Now,
        caller: Caller,
        request: DeleteRecordsRequest,
        effects: &mut Effects,
    ) {
        let parked = self.purgatory.next_id();
        let mut answers = Vec::with_capacity(request.partitions.len());
        let mut left = 0;
        for (index, (named, before)) in (0u32..).zip(request.partitions) {
            let hinted = self.resolve(&named).ok();
            let mut result = self.delete_before(now, &named, before, effects);
            if let Ok((slot, until)) = result
                && self.low_watermark(slot) < until
            {
                left += 1;
                if let Some(replica) = self.replicas.get_mut(slot) {
                    replica.until_deleted.push(Waiter { parked, index, until });
                }
                result = Ok((slot, until));
            }
            let leader = match (&result, hinted) {
                (Err(error), Some((partition, _))) => self.hint(partition, *error),
                _ => None,
            };
            answers.push((named, result.map(|(_, until)| until), leader));
        }
        let parked = ParkedDelete { caller, answers, left };
        if left == 0 {
            return self.answer_delete(parked, effects);
        }
        let id = self.purgatory.park(Parked::DeleteRecords(parked), now.monotonic + request.timeout);
        self.connections.parked(caller.connection, id);
    }

    /// Moves a log's start here. Refuses with `OffsetOutOfRange` what is above the high watermark.
    fn delete_before(
        &mut self,
        now: Now,
        named: &PartitionRef,
        before: Option<Offset>,
        effects: &mut Effects,
    ) -> Result<(Slot, Offset), ErrorCode> {
        let (_, slot) = self.resolve(named)?;
        let slot = slot.ok_or(ErrorCode::NotLeaderOrFollower)?;
        let replica = self.replicas.get_mut(slot).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let partition = &mut replica.partition;
        partition.leader().ok_or(ErrorCode::NotLeaderOrFollower)?;
        let before = before.unwrap_or(partition.high_watermark());
        if before > partition.high_watermark() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        partition.advance_start(now, before, LogStartReason::DeleteRecords, effects);
        let start = partition.log.start();
        self.checkpoints.log_starts_moved = true;
        self.watch_log(Some(slot));
        // Followers hear of it with their next answer.
        self.wake_all_readers(slot);
        Ok((slot, before.max(start)))
    }

    fn low_watermark(&self, slot: Slot) -> Offset {
        let Some(partition) = self.replicas.get(slot).map(|replica| &replica.partition) else {
            return Offset::ZERO;
        };
        let start = partition.log.start();
        let alive = |id| self.metadata.image.broker(id).is_some_and(|broker| !broker.fenced);
        partition.leader().map_or(start, |leader| leader.low_watermark(start, alive))
    }

    /// A replica's log begins elsewhere: perhaps somebody waited for that.
    pub(super) fn check_deletions(&mut self, slot: Slot, effects: &mut Effects) {
        let Some(replica) = self.replicas.get(slot) else { return };
        if replica.until_deleted.is_empty() {
            return;
        }
        let low = self.low_watermark(slot);
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        let done: Vec<Waiter> = replica.until_deleted.extract_if(.., |waiter| waiter.until <= low).collect();
        for waiter in done {
            self.settle_delete(waiter, Ok(()), effects);
        }
    }

    pub(super) fn settle_delete(
        &mut self,
        waiter: Waiter,
        result: Result<(), (ErrorCode, Option<LeaderHint>)>,
        effects: &mut Effects,
    ) {
        let Some(Parked::DeleteRecords(parked)) = self.purgatory.get_mut(waiter.parked) else { return };
        if let (Some(answer), Err((error, hint))) = (parked.answers.get_mut(waiter.index as usize), result) {
            (answer.1, answer.2) = (Err(error), hint);
        }
        parked.left -= 1;
        if parked.left == 0
            && let Some(Parked::DeleteRecords(parked)) = self.purgatory.take(waiter.parked)
        {
            self.answer_delete(parked, effects);
        }
    }

    pub(super) fn answer_delete(&mut self, parked: ParkedDelete, effects: &mut Effects) {
        let response = DeleteRecordsResponse { partitions: parked.answers };
        self.answer(parked.caller, Response::DeleteRecords(response), effects);
    }
}
