//! How does a leader append what producers send, and when does it say so?
//!
//! With acks=1 once the batch is written here, with acks=all once the high watermark has passed it. KIP-98,
//! KIP-951.

use alloc::vec::Vec;
use core::time::Duration;

use smallvec::SmallVec;

use super::{
    Broker,
    purgatory::{Parked, ParkedId, ParkedProduce, ProduceAnswer},
    replicas::{Replicas, Slot, Waiter, insert},
};
use crate::{
    config::TimestampType,
    controller::image::Image,
    event::Event,
    log::{Appended, batch::Batch},
    machine::{Caller, Effects, Outgoing},
    museum::Bug,
    protocol::{
        ErrorCode, LeaderHint, PartitionRef, Response, TopicRef,
        produce::{Acks, PartitionProduce, ProduceRequest, ProduceResponse, Produced},
    },
    time::Now,
    units::{LeaderEpoch, NodeSet, Offset, TopicPartition},
};

/// How far ahead of the broker's clock a record's timestamp may lie: Kafka's default for
/// `message.timestamp.after.max.ms`.
const FUTURE: Duration = Duration::from_secs(3_600);

impl Broker {
    pub(super) fn produce(
        &mut self,
        now: Now,
        caller: Caller,
        request: ProduceRequest,
        effects: &mut Effects,
    ) {
        let acks = request.acks;
        let parked = self.purgatory.next_id();
        let mut answers = SmallVec::with_capacity(request.partitions.len());
        let mut left = 0;
        for (index, partition) in (0u32..).zip(request.partitions) {
            let answer = self.produce_one(now, partition, acks, effects);
            if let (true, Some(slot), Some(until)) = (answer.open, answer.slot, answer.end) {
                left += 1;
                self.wait_for_acks(slot, Waiter { parked, index, until }, acks);
            }
            answers.push(answer);
        }
        let parked = ParkedProduce { caller, acks, answers, left };
        if acks == Acks::None || left == 0 {
            return self.answer_produce(parked, effects);
        }
        let id = self.purgatory.park(Parked::Produce(parked), now.monotonic + request.timeout);
        self.connections.parked(caller.connection, id);
    }

    /// Appends one batch, if that can be; says what the producer is told, and whether that still has to come
    /// true.
    fn produce_one(
        &mut self,
        now: Now,
        asked: PartitionProduce,
        acks: Acks,
        effects: &mut Effects,
    ) -> ProduceAnswer {
        let mut answer = ProduceAnswer {
            named: asked.partition,
            slot: None,
            partition: None,
            result: Err(ErrorCode::UnknownServerError),
            end: None,
            leader: None,
            open: false,
            decided: Default::default(),
        };
        let (partition, slot) = match self.resolve(&answer.named) {
            Ok(found) => found,
            Err(error) => {
                answer.result = Err(error);
                return answer;
            }
        };
        answer.partition = Some(partition);
        answer.slot = slot;
        // Groups are the coordinators' business: Kafka lets no ordinary client write there.
        if self.coordinators.owns(partition.topic) {
            answer.result = Err(ErrorCode::InvalidTopic);
            return answer;
        }
        match self.append(now, slot, asked.batch, acks, effects) {
            Ok((produced, end, open)) => {
                answer.result = Ok(produced);
                answer.end = Some(end);
                answer.open = open;
            }
            Err(error) => {
                answer.result = Err(error);
                answer.leader = self.hint(partition, error);
            }
        }
        answer.decided = self.stands(slot);
        answer
    }

    /// The epoch and the ISR of a replica, for an answer that is decided now.
    fn stands(&self, slot: Option<Slot>) -> (LeaderEpoch, NodeSet) {
        let replica = slot.and_then(|slot| self.replicas.get(slot)).map(|replica| &replica.partition);
        let epoch = replica.and_then(|replica| replica.epoch()).unwrap_or_default();
        let isr = replica.and_then(|replica| replica.isr()).map(|isr| isr.committed().clone());
        (epoch, isr.unwrap_or_default())
    }

    fn append(
        &mut self,
        now: Now,
        slot: Option<Slot>,
        batch: Batch,
        acks: Acks,
        effects: &mut Effects,
    ) -> Result<(Produced, Offset, bool), ErrorCode> {
        let museum = self.museum();
        let replica =
            slot.and_then(|slot| self.replicas.get_mut(slot)).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let partition = &mut replica.partition;
        let config = partition.log.config();
        let append_time = config.timestamp_type == TimestampType::LogAppendTime;
        if batch.size() > config.max_message_bytes as usize {
            return Err(ErrorCode::MessageTooLarge);
        }
        check(&batch, append_time, now)?;
        let stamp = batch.header().producer;
        let (range, duplicate) = match partition.append(now, batch, acks.all(), museum, effects)? {
            Appended::New(range) => (range, false),
            Appended::Duplicate(range) => (range, true),
        };
        if let (true, Some(producer)) = (duplicate, stamp) {
            effects.note(Event::DuplicateAnswered { partition: partition.id(), producer, base: range.start });
        }
        // Found by Jepsen in Bufstream 0.1.0: now and then a write was answered with offset zero.
        let spurious = duplicate && museum.has(Bug::SpuriousZeroOffset);
        let produced = Produced {
            base_offset: if spurious { Offset::ZERO } else { range.start },
            log_append_time: append_time.then_some(now.wall),
            log_start: partition.log.start(),
        };
        let open = match acks {
            Acks::None => false,
            Acks::Leader => partition.log.written() < range.end,
            Acks::All => match partition.acknowledges(range.end, museum) {
                None => true,
                Some(Ok(())) => false,
                Some(Err(error)) => return Err(error),
            },
        };
        self.watch_log(slot);
        Ok((produced, range.end, open))
    }

    fn wait_for_acks(&mut self, slot: Slot, waiter: Waiter, acks: Acks) {
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        let queue = if acks.all() { &mut replica.until_committed } else { &mut replica.until_written };
        insert(queue, waiter);
    }

    /// It is known what the producer is told about one of its batches.
    pub(super) fn settle_produce(
        &mut self,
        slot: Slot,
        waiter: Waiter,
        result: Result<(), (ErrorCode, Option<LeaderHint>)>,
        effects: &mut Effects,
    ) {
        let stands = self.stands(Some(slot));
        let Some(Parked::Produce(parked)) = self.purgatory.get_mut(waiter.parked) else { return };
        let Some(answer) = parked.answers.get_mut(waiter.index as usize).filter(|answer| answer.open) else {
            return;
        };
        answer.open = false;
        answer.decided = stands;
        if let Err((error, leader)) = result {
            answer.result = Err(error);
            answer.leader = leader;
        }
        parked.left -= 1;
        if parked.left == 0
            && let Some(Parked::Produce(parked)) = self.purgatory.take(waiter.parked)
        {
            self.answer_produce(parked, effects);
        }
    }

    /// A parked request has waited long enough: what is not known yet is a timeout.
    pub(super) fn expire(&mut self, id: ParkedId, effects: &mut Effects) {
        match self.purgatory.take(id) {
            Some(Parked::Produce(mut parked)) => {
                for answer in parked.answers.iter_mut().filter(|answer| answer.open) {
                    answer.result = Err(ErrorCode::RequestTimedOut);
                }
                self.answer_produce(parked, effects);
            }
            Some(Parked::DeleteRecords(parked)) => self.answer_delete(parked, effects),
            Some(Parked::ListOffsets(parked)) => self.answer_lookup(parked, effects),
            None => {}
        }
    }

    fn answer_produce(&mut self, parked: ParkedProduce, effects: &mut Effects) {
        let ParkedProduce { caller, acks, answers, .. } = parked;
        for answer in &answers {
            note_produced(answer, acks, effects);
        }
        if acks == Acks::None {
            // There is no answer that could tell of an error: Kafka closes the connection, so that the
            // producer looks for the leader anew.
            if answers.iter().any(|answer| answer.result.is_err()) {
                effects.mail.push(Outgoing::Close { connection: caller.connection });
                self.closed(caller.connection);
            } else {
                self.connections.done(caller.connection);
            }
            return;
        }
        // Room for one, where `collect` makes it for four.
        let mut partitions = Vec::with_capacity(answers.len());
        partitions.extend(answers.into_iter().map(ProduceAnswer::told));
        self.answer(caller, Response::Produce(ProduceResponse { partitions }), effects);
    }

    /// Which partition is meant, and where its replica stands if this broker has one.
    ///
    /// Refuses with `UnknownTopicId` or `UnknownTopicOrPartition` what the metadata does not know.
    pub(super) fn resolve(&self, named: &PartitionRef) -> Result<(TopicPartition, Option<Slot>), ErrorCode> {
        resolve(&self.replicas, &self.metadata.image, named)
    }

    /// Who leads, for a client that was refused because we do not, or because its epoch is old (KIP-951).
    pub(super) fn hint(&self, partition: TopicPartition, error: ErrorCode) -> Option<LeaderHint> {
        hint(&self.metadata.image, partition, error)
    }
}

/// [`Broker::resolve`], for who holds other parts of the broker.
pub(super) fn resolve(
    replicas: &Replicas,
    image: &Image,
    named: &PartitionRef,
) -> Result<(TopicPartition, Option<Slot>), ErrorCode> {
    let topic = match &named.topic {
        TopicRef::Id(topic) => *topic,
        TopicRef::Name(name) => image.topic_id(name).ok_or(ErrorCode::UnknownTopicOrPartition)?,
    };
    let partition = TopicPartition::new(topic, named.partition);
    if let Some(slot) = replicas.find(partition) {
        return Ok((partition, Some(slot)));
    }
    let topic = image.topic(topic).ok_or(match named.topic {
        TopicRef::Id(_) => ErrorCode::UnknownTopicId,
        TopicRef::Name(_) => ErrorCode::UnknownTopicOrPartition,
    })?;
    if topic.partitions.len() <= named.partition as usize {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    Ok((partition, None))
}

/// [`Broker::hint`], for who holds other parts of the broker.
pub(super) fn hint(image: &Image, partition: TopicPartition, error: ErrorCode) -> Option<LeaderHint> {
    if !matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch) {
        return None;
    }
    let state = image.partition(partition)?;
    Some(LeaderHint { leader: state.leader, epoch: state.leader_epoch })
}

fn note_produced(answer: &ProduceAnswer, acks: Acks, effects: &mut Effects) {
    let Some(partition) = answer.partition else { return };
    let error = answer.result.err();
    effects.note(Event::ProduceAnswered {
        partition,
        epoch: answer.decided.0,
        acks,
        base: answer.result.ok().map(|produced| produced.base_offset),
        end: answer.end.filter(|_| error.is_none()),
        error,
        isr: answer.decided.1.clone(),
    });
}

/// Refuses what no producer may send: marks of the log's own, offsets that do not count up one by one, and
/// timestamps too far in the future.
fn check(batch: &Batch, append_time: bool, now: Now) -> Result<(), ErrorCode> {
    let header = batch.header();
    let count = u64::from(header.record_count);
    if batch.is_control() || count == 0 || u64::from(header.last_offset_delta) + 1 != count {
        return Err(ErrorCode::InvalidRecord);
    }
    let limit = now.wall.0.saturating_add(FUTURE.as_millis() as i64);
    if !append_time && header.max_timestamp.0 > limit {
        return Err(ErrorCode::InvalidTimestamp);
    }
    Ok(())
}
