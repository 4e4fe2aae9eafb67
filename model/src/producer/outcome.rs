//! What becomes of a batch when its answer comes, or none?
//!
//! Kafka's `Sender.completeBatch`, `TransactionManager.canRetry` and `handleFailedBatch`.

use super::{
    Producer,
    accumulator::{BatchId, QueueIndex},
    idempotence::Identity,
    sender::Sent,
};
use crate::{
    client::is_invalid_metadata,
    event::Event,
    machine::Effects,
    museum::Bug,
    protocol::{ErrorCode, LeaderHint},
    time::Now,
    units::{Offset, RecordCount, Sequence},
};

impl Producer {
    /// Deals with the outcome of one attempt: the offset of the first record (none without acks), or why not.
    pub(super) fn complete(
        &mut self,
        now: Now,
        sent: &Sent,
        result: Result<Option<Offset>, ErrorCode>,
        hint: Option<LeaderHint>,
        effects: &mut Effects,
    ) {
        let queue = self.accumulator.queue_mut(sent.queue);
        queue.on_wire = queue.on_wire.saturating_sub(1);
        let (topic, partition) = (queue.topic, queue.partition);
        match result {
            Ok(base) => self.succeed(sent, base, effects),
            // It was appended so long ago that the broker does not know where.
            Err(ErrorCode::DuplicateSequenceNumber) => self.succeed(sent, None, effects),
            Err(error) => self.failed_attempt(now, sent, error, effects),
        }
        if let Err(error) = result
            && is_invalid_metadata(error)
        {
            self.view.want_update();
            if let Some(hint) = hint {
                self.view.learn_hint(topic, partition, hint, effects);
            }
        }
        self.settle(sent.queue, effects);
        self.place(now.monotonic, sent.queue);
        if self.starved {
            self.unblock(now, effects);
        }
    }

    /// After something about a queue's batches has become certain.
    fn settle(&mut self, at: QueueIndex, effects: &mut Effects) {
        if self.idempotent {
            self.accumulator.queue_mut(at).sequences.resolve();
            self.restart_numbers(at, effects);
        }
    }

    fn succeed(&mut self, sent: &Sent, base: Option<Offset>, effects: &mut Effects) {
        if let Some(stamp) = sent.stamp {
            let last = stamp.base_sequence.plus(RecordCount(sent.count.0.saturating_sub(1)));
            self.accumulator.queue_mut(sent.queue).sequences.acked(Identity::of(stamp), last);
        }
        // Its records may have been reported as failed already; they stay so.
        let Some(batch) = self.accumulator.remove(sent.batch) else { return };
        for (nth, tag) in (0..).zip(batch.tags) {
            effects.note(Event::RecordAcked {
                tag,
                partition: sent.partition,
                offset: base.map(|base| base + RecordCount(nth)),
            });
        }
    }

    fn failed_attempt(&mut self, now: Now, sent: &Sent, error: ErrorCode, effects: &mut Effects) {
        let refused = is_refused(error);
        let Some(batch) = self.accumulator.batch_mut(sent.batch) else { return };
        if !refused {
            batch.unknown = true;
            batch.maybe_written = true;
        }
        let absent = refused && !batch.unknown;
        let retries_left = batch.attempts < self.config.retries;
        if error == ErrorCode::MessageTooLarge && batch.tags.len() > 1 {
            self.accumulator.split(sent.batch, self.config.batch_size);
        } else if retries_left && self.may_retry(sent, error) {
            let Some(batch) = self.accumulator.batch_mut(sent.batch) else { return };
            batch.on_wire = false;
            batch.last_error = Some(error);
            batch.retry_at = now.monotonic + self.backoff.rest(batch.attempts);
            batch.attempts += 1;
            self.accumulator.put_back(sent.batch);
        } else {
            self.fail_batch(now, sent.batch, error, absent && retries_left, effects);
        }
    }

    /// Whether an error is worth another try; notes what it tells about the numbering.
    fn may_retry(&mut self, sent: &Sent, error: ErrorCode) -> bool {
        let sequence_error =
            matches!(error, ErrorCode::OutOfOrderSequenceNumber | ErrorCode::UnknownProducerId);
        let (true, true, Some(stamp)) = (self.idempotent, sequence_error, sent.stamp) else {
            return error.is_retriable();
        };
        let Some(batch) = self.accumulator.batch(sent.batch) else { return false };
        if batch.stamp != Some(stamp) {
            // It was renumbered while it was out.
            return true;
        }
        let first = self.accumulator.queue(sent.queue).sequences.tracked().front() == Some(&sent.batch);
        if first || self.is_cut_off(sent) {
            // The leader does not have it, or it would have called it a duplicate, and it will not take an
            // older copy of it that is still on its way, for what is missing before it does not come any more.
            if let Some(batch) = self.accumulator.batch_mut(sent.batch) {
                batch.unknown = false;
            }
        }
        let sequences = &mut self.accumulator.queue_mut(sent.queue).sequences;
        let gap = first && !sequences.is_overtaken(stamp.base_sequence);
        if gap || error == ErrorCode::UnknownProducerId {
            // What was acknowledged before it is lost, or forgotten, over there. Otherwise an earlier batch
            // is still on its way, or a later one went first, and then it cannot go in its place any more.
            sequences.want_restart();
        }
        true
    }

    /// Whether nothing numbered before a batch is sent again under its number: the numbering is to start
    /// again, and of all before it the outcome is known.
    fn is_cut_off(&self, sent: &Sent) -> bool {
        let sequences = &self.accumulator.queue(sent.queue).sequences;
        let open = |id: &BatchId| self.accumulator.batch(*id).is_some_and(|b| b.on_wire || b.unknown);
        sequences.is_restarting() && !sequences.tracked().iter().take_while(|id| **id != sent.batch).any(open)
    }

    /// Gives a batch up. `restart` says that it is certainly not in the log and leaves a gap in the numbers.
    pub(super) fn fail_batch(
        &mut self,
        now: Now,
        id: BatchId,
        error: ErrorCode,
        restart: bool,
        effects: &mut Effects,
    ) {
        let Some(batch) = self.accumulator.remove(id) else { return };
        let at = batch.queue;
        let queue = self.accumulator.queue_mut(at);
        let partition = self.view.partition(queue.topic, queue.partition);
        let maybe_written = batch.maybe_written || batch.on_wire && error == ErrorCode::RequestTimedOut;
        for tag in &batch.tags {
            effects.note(Event::RecordFailed { tag: *tag, partition, error, maybe_written });
        }
        if let Some(stamp) = batch.stamp {
            if restart {
                queue.sequences.want_restart();
            } else if self.museum.has(Bug::SequenceResetOnDeliveryTimeout) {
                // KAFKA-14397: its numbers were given to the batches after it, although it may be in the log.
                self.take_numbers_back(at, stamp.base_sequence);
            } else {
                queue.sequences.leave_unresolved(stamp.base_sequence.plus(batch.count()));
            }
        }
        self.settle(at, effects);
        self.place(now.monotonic, at);
    }

    fn take_numbers_back(&mut self, at: QueueIndex, base: Sequence) {
        let mut sequences = core::mem::take(&mut self.accumulator.queue_mut(at).sequences);
        sequences.take_back(base, |id, next| {
            let batch = self.accumulator.batch_mut(id)?;
            let stamp = batch.stamp.as_mut()?;
            if stamp.base_sequence < base {
                return None;
            }
            stamp.base_sequence = next;
            Some(batch.count())
        });
        self.accumulator.queue_mut(at).sequences = sequences;
    }
}

/// Whether an error says for sure that nothing was appended by this attempt. A leader that loses its place
/// while it waits for its followers answers `NotLeaderOrFollower` for what it has appended.
fn is_refused(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::NotEnoughReplicas
            | ErrorCode::MessageTooLarge
            | ErrorCode::RecordListTooLarge
            | ErrorCode::InvalidTopic
            | ErrorCode::InvalidRequiredAcks
            | ErrorCode::InvalidTimestamp
            | ErrorCode::InvalidRecord
            | ErrorCode::InvalidRequest
            | ErrorCode::CorruptMessage
            | ErrorCode::UnsupportedVersion
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::OutOfOrderSequenceNumber
            | ErrorCode::UnknownProducerId
            | ErrorCode::InvalidProducerEpoch
    )
}
