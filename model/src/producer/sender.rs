//! Which batches may go now, and to whom?
//!
//! Kafka's `Sender` and the draining half of its `RecordAccumulator`: one batch of a partition in a request,
//! as many partitions of a leader as fit into `max.request.size`, as many requests as may be in flight.

use alloc::vec::Vec;

use smallvec::SmallVec;

use super::{
    Me, Producer,
    accumulator::{BatchId, Place, QueueIndex},
    idempotence::Identity,
};
use crate::{
    event::Event,
    log::batch::{Batch, ProducerStamp},
    machine::Effects,
    museum::Bug,
    protocol::{
        ErrorCode, PartitionRef, Request,
        produce::{PartitionProduce, ProduceRequest, Produced},
    },
    time::{Instant, Now, earliest},
    units::{NodeId, RecordCount, TopicPartition},
};

/// A batch that was sent, as its request remembers it: the producer may have given it up in the meantime.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// Which batch.
    pub batch: BatchId,
    /// Where it waited.
    pub queue: QueueIndex,
    /// Where it was sent.
    pub partition: TopicPartition,
    /// The number it bore.
    pub stamp: Option<ProducerStamp>,
    /// How many records it had.
    pub count: RecordCount,
}

impl Producer {
    /// Finds out where a queue stands.
    pub(super) fn place(&mut self, now: Instant, at: QueueIndex) {
        let place = self.place_of(now, at).0;
        self.accumulator.place(at, place);
    }

    /// Finds out where every queue stands: for what concerns all of them.
    pub(super) fn place_all(&mut self, now: Instant) {
        for at in self.accumulator.queues() {
            self.place(now, at);
        }
    }

    /// Where a queue stands, and which of its batches is next.
    fn place_of(&self, now: Instant, at: QueueIndex) -> (Place, Option<BatchId>) {
        let queue = self.accumulator.queue(at);
        // With one request in flight the order is kept by having one batch of a partition out at a time.
        // KAFKA-3197: one request a connection is not enough, for the next leader is another connection.
        let in_order = self.config.max_in_flight_requests_per_connection == 1
            && !self.museum.has(Bug::ReorderWithoutIdempotence);
        if in_order && queue.on_wire > 0 {
            return (Place::Idle, None);
        }
        let Some(next) = self.next_of(at) else { return (Place::Idle, None) };
        let Some(batch) = self.accumulator.batch(next) else { return (Place::Idle, None) };
        let known = self.view.leadership(queue.topic, queue.partition);
        let Some(leader) = known.leader else { return (Place::Leaderless, None) };
        let due = if batch.attempts > 0 {
            // Another leader is worth a try at once (KIP-951).
            if known.epoch > batch.sent_to { now } else { batch.retry_at }
        } else if batch.is_full()
            || queue.waiting.len() > 1
            || self.closing
            || self.starved
            || self.flushed >= Some(next)
        {
            now
        } else {
            next.created + self.config.linger_ms
        };
        (if due > now { Place::Timed(due) } else { Place::Ready(leader) }, Some(next))
    }

    /// The batch of a queue that may go next, if its number allows.
    fn next_of(&self, at: QueueIndex) -> Option<BatchId> {
        let queue = self.accumulator.queue(at);
        let first = *queue.waiting.front()?;
        if !self.idempotent {
            return Some(first);
        }
        let Me::Known(me) = self.me else { return None };
        let sequences = &queue.sequences;
        if sequences.is_restarting() {
            // Only those whose outcome has to be found out before anything is renumbered.
            let unknown = |id: &&BatchId| self.accumulator.batch(**id).is_some_and(|batch| batch.unknown);
            return queue.waiting.iter().find(unknown).copied();
        }
        match self.accumulator.batch(first)?.stamp {
            // One that came back goes when it is the first of those numbered: this leaves one in flight.
            Some(_) => (sequences.tracked().front() == Some(&first)).then_some(first),
            None => sequences.may_number(me).then_some(first),
        }
    }

    /// Sends whatever may be sent.
    pub(super) fn send(&mut self, now: Now, effects: &mut Effects) {
        self.rested = None;
        if self.accumulator.ready_brokers().is_empty() {
            return;
        }
        let brokers: SmallVec<[NodeId; 8]> = SmallVec::from_slice(self.accumulator.ready_brokers());
        for broker in brokers {
            match self.net.rests_until(now.monotonic, broker) {
                Some(until) => self.rested = earliest(self.rested, Some(until)),
                None => self.send_to(now, broker, effects),
            }
        }
    }

    fn send_to(&mut self, now: Now, broker: NodeId, effects: &mut Effects) {
        let limit = self.config.max_in_flight_requests_per_connection;
        while self.net.can_send(now.monotonic, broker, limit) {
            let (partitions, sent) = self.drain(now.monotonic, broker, effects);
            if sent.is_empty() {
                return;
            }
            let request = Request::Produce(ProduceRequest {
                acks: self.acks,
                timeout: self.config.request_timeout_ms,
                partitions,
            });
            let queues: SmallVec<[QueueIndex; 8]> = sent.iter().map(|sent| sent.queue).collect();
            if self.acks == crate::protocol::produce::Acks::None {
                self.net.post(broker, request, effects);
                for sent in sent {
                    self.complete(now, &sent, Ok(None), None, effects);
                }
            } else {
                self.net.send(now.monotonic, broker, request, super::Asked::Produce(sent), effects);
            }
            for queue in queues {
                self.place(now.monotonic, queue);
            }
        }
    }

    /// Takes one batch from every queue that may send to `broker`, as far as a request goes.
    fn drain(
        &mut self,
        now: Instant,
        broker: NodeId,
        effects: &mut Effects,
    ) -> (Vec<PartitionProduce>, SmallVec<[Sent; 1]>) {
        let (mut partitions, mut sent) = (Vec::new(), SmallVec::new());
        let mut size = 0;
        while let Some(at) = self.accumulator.pop_ready(broker) {
            // Things may have changed since it was placed.
            let (place, next) = self.place_of(now, at);
            let Some(next) = next.filter(|_| place == Place::Ready(broker)) else {
                self.accumulator.place(at, place);
                continue;
            };
            let bytes = self.accumulator.batch(next).map_or(0, |batch| batch.size());
            if !sent.is_empty() && size + bytes > self.config.max_request_size as usize {
                self.accumulator.place(at, place);
                break;
            }
            size += bytes;
            if let Some((produce, one)) = self.take_out(at, next, effects) {
                if sent.is_empty() {
                    // Most requests have one batch; a vector that grows makes room for four.
                    partitions.reserve_exact(1);
                }
                partitions.push(produce);
                sent.push(one);
            }
        }
        (partitions, sent)
    }

    fn take_out(
        &mut self,
        at: QueueIndex,
        id: BatchId,
        effects: &mut Effects,
    ) -> Option<(PartitionProduce, Sent)> {
        let queue = self.accumulator.queue(at);
        let partition = self.view.partition(queue.topic, queue.partition)?;
        let epoch = self.view.leadership(queue.topic, queue.partition).epoch;
        let queue = self.accumulator.queue_mut(at);
        queue.waiting.retain(|waiting| *waiting != id);
        queue.on_wire += 1;
        // sarama #3354: what had gathered while a batch was retried never came by the place where numbers are
        // given.
        let retried = |id: &BatchId| self.accumulator.batch(*id).is_some_and(|batch| batch.attempts > 0);
        let bypassed = self.museum.has(Bug::BufferedMessagesUnsequenced)
            && self.accumulator.queue(at).sequences.tracked().iter().any(retried);
        let batch = self.accumulator.batch(id)?;
        if let (true, None, Me::Known(me), false) = (self.idempotent, batch.stamp, self.me, bypassed) {
            let count = batch.count();
            let stamp = self.accumulator.queue_mut(at).sequences.number(me, id, count);
            self.accumulator.batch_mut(id)?.stamp = Some(stamp);
        }
        let batch = self.accumulator.batch_mut(id)?;
        batch.on_wire = true;
        batch.sent_to = epoch;
        if let Some(error) = batch.last_error {
            let base_sequence = batch.stamp.map(|stamp| stamp.base_sequence);
            effects.note(Event::BatchRetried { partition, attempt: batch.attempts, error, base_sequence });
        }
        let sent = Sent { batch: id, queue: at, partition, stamp: batch.stamp, count: batch.count() };
        let (again, mut sealed) = (batch.attempts > 0, batch.sealed());
        if again && self.museum.has(Bug::BufferReusedWhileInFlight) {
            sealed = self.overwritten(at, sealed);
        }
        Some((PartitionProduce { partition: PartitionRef::from(partition), batch: sealed }, sent))
    }

    /// KAFKA-19012: a batch's buffer went back to the pool while it was in flight, and what was sent then was
    /// what another partition had put there.
    fn overwritten(&mut self, at: QueueIndex, sealed: Batch) -> Batch {
        let others = self.accumulator.queues().filter(|other| *other != at);
        let fronts = others.filter_map(|other| {
            let queue = self.accumulator.queue(other);
            queue.sequences.tracked().front().or(queue.waiting.front()).copied()
        });
        let Some(other) = fronts.into_iter().next() else { return sealed };
        let stamp = sealed.header().producer;
        let count = sealed.header().record_count;
        match self.accumulator.batch_mut(other).map(|batch| batch.sealed()) {
            Some(foreign) if foreign.header().record_count == count => foreign.with_producer(stamp),
            _ => sealed,
        }
    }

    /// Starts a queue's numbers again if that is wanted and nothing it numbered can be in the log without our
    /// knowing; raises our epoch for it if need be (KIP-360).
    pub(super) fn restart_numbers(&mut self, at: QueueIndex, effects: &mut Effects) {
        let sequences = &self.accumulator.queue(at).sequences;
        if !sequences.is_restarting() {
            return;
        }
        let open = |id: &BatchId| self.accumulator.batch(*id).is_some_and(|b| b.on_wire || b.unknown);
        // KAFKA-14034: the epoch was raised at once, and batches that were in the log already got another
        // number, by which no broker could know them.
        let may = self.museum.has(Bug::RenumberWithRetriesInFlight) || !sequences.tracked().iter().any(open);
        let Me::Known(me) = self.me else { return };
        if !may {
            return;
        }
        let first = sequences.tracked().front().and_then(|id| self.accumulator.batch(*id)?.stamp);
        if first.is_some_and(|first| sequences.is_overtaken(first.base_sequence)) {
            return self.accumulator.queue_mut(at).sequences.call_off_restart();
        }
        let used = sequences.identity() == Some(me);
        let next = if used { me.raised() } else { Some(me) };
        let Some(identity) = next else {
            self.me = Me::Wanted { at: Instant::ZERO, failures: 0 };
            return;
        };
        if used {
            self.become_known(identity, effects);
        }
        self.renumber(at, identity);
        if used && self.museum.has(Bug::EpochBumpRewritesOtherPartitions) {
            // librdkafka #4953: batches of partitions where nothing was amiss got new numbers, too, and those
            // that were in the log already went in again.
            for other in self.accumulator.queues().filter(|other| *other != at) {
                self.renumber(other, identity);
            }
        }
    }

    fn renumber(&mut self, at: QueueIndex, identity: Identity) {
        let mut sequences = core::mem::take(&mut self.accumulator.queue_mut(at).sequences);
        if self.museum.has(Bug::SequenceReassignedInHeapOrder) {
            sequences.lie_as_in_a_heap();
        }
        sequences.restart(identity, |id, stamp| {
            self.accumulator.batch_mut(id).map_or(RecordCount(0), |batch| {
                batch.stamp = Some(stamp);
                batch.unknown = false;
                batch.count()
            })
        });
        let queue = self.accumulator.queue_mut(at);
        if self.museum.has(Bug::SequenceReassignedInHeapOrder) {
            queue.waiting.make_contiguous().sort_by_key(|id| sequences.position(*id).unwrap_or(usize::MAX));
        }
        queue.sequences = sequences;
    }

    /// Gives up batches that are older than `delivery.timeout.ms`.
    pub(super) fn expire_batches(&mut self, now: Now, effects: &mut Effects) {
        let mut any = false;
        while let Some(oldest) = self.accumulator.oldest() {
            if oldest.created + self.config.delivery_timeout_ms > now.monotonic {
                break;
            }
            self.fail_batch(now, oldest, ErrorCode::RequestTimedOut, false, effects);
            any = true;
        }
        if any && !self.blocked.is_empty() {
            self.unblock(now, effects);
        }
    }

    /// What a batch became, by the answer for it.
    pub(super) fn answered(
        &mut self,
        now: Now,
        sent: SmallVec<[Sent; 1]>,
        response: crate::protocol::produce::ProduceResponse,
        effects: &mut Effects,
    ) {
        let mut answers = response.partitions.into_iter();
        for sent in &sent {
            let (result, hint) = match answers.next() {
                Some(answer) => {
                    (answer.result.map(|Produced { base_offset, .. }| Some(base_offset)), answer.leader)
                }
                None => (Err(ErrorCode::UnknownServerError), None),
            };
            self.complete(now, sent, result, hint, effects);
        }
    }
}
