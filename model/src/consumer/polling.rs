//! Which of the records that have come does the application get, and when?
//!
//! Kafka's `FetchBuffer` and `FetchCollector`. A poll returns at most `max.poll.records`; the rest waits for
//! the next one, and its partition is not fetched meanwhile. The position is where the next record is that the
//! application has not got.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::{
    Consumer,
    positions::{PartitionIndex, State},
};
use crate::{
    event::{Event, Payload},
    log::batch::{Batch, Batches},
    machine::Effects,
    museum::Bug,
    time::Now,
    units::{Offset, TopicPartition},
};

/// How long the application is at work on what one poll returned before it polls again.
pub(super) const WORK: Duration = Duration::from_micros(1);

/// What has come of one partition, as far as the application has not got it.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Of which partition.
    pub at: PartitionIndex,
    /// The same, as it was known when it was asked for.
    pub known: TopicPartition,
    /// The offset that is handed on next.
    pub next: Offset,
    /// The records, from the batch on that holds `next`.
    pub batches: smallvec::IntoIter<[Batch; 1]>,
}

impl Consumer {
    /// One poll: hands on at most `max.poll.records` of what has come, in the order in which it came.
    pub(super) fn poll(&mut self, now: Now, effects: &mut Effects) {
        if !self.hands_on() {
            self.polls_at = None;
            return self.keep(now, effects);
        }
        let mut left = self.config.max_poll_records;
        let mut paused = VecDeque::new();
        while left > 0
            && let Some(mut fetched) = self.buffered.pop_front()
        {
            let at = fetched.at;
            if self.partitions[at.0].paused || self.partitions[at.0].pending {
                // It is kept until the application wants it again. KAFKA-7548.
                paused.push_back(fetched);
                continue;
            }
            left -= self.hand_on(now, &mut fetched, left, effects);
            if fetched.batches.len() > 0 {
                self.buffered.push_front(fetched);
            } else if core::mem::take(&mut self.partitions[at.0].buffered) {
                self.place(now.monotonic, at, effects);
            }
        }
        self.polls_at = (self.group.is_none() && !self.buffered.is_empty()).then(|| now.monotonic + WORK);
        self.buffered.append(&mut paused);
        if self.museum.has(Bug::AutocommitIncludesCurrentPoll) {
            self.auto_commit(now, effects);
        }
        self.begin_work(now);
        self.keep(now, effects);
    }

    /// No partition is fetched of which records wait.
    pub(super) fn keep(&mut self, now: Now, effects: &mut Effects) {
        for nth in 0..self.buffered.len() {
            let at = self.buffered[nth].at;
            if !core::mem::replace(&mut self.partitions[at.0].buffered, true) {
                self.place(now.monotonic, at, effects);
            }
        }
    }

    /// Hands on at most so many records of one partition, from the position on; the position follows them.
    /// Says how many they were.
    ///
    /// If the position is not where these records begin any more, or is not known to be right, nobody wants
    /// them.
    fn hand_on(&mut self, now: Now, fetched: &mut Fetched, most: u32, effects: &mut Effects) -> u32 {
        let begin = effects.events.len();
        let given = self.hand_on_records(now, fetched, most, effects);
        if let Some(group) = self.group.as_mut().filter(|_| given > 0) {
            let offset = |event: &Event| match event {
                Event::Delivered { offset, .. } => Some(*offset),
                _ => None,
            };
            let mut offsets = effects.events[begin..].iter().filter_map(offset);
            if let Some(first) = offsets.next() {
                let last = offsets.next_back().unwrap_or(first);
                group.work.give(fetched.known, first, last.next(), given);
            }
        }
        given
    }

    fn hand_on_records(&mut self, now: Now, fetched: &mut Fetched, most: u32, effects: &mut Effects) -> u32 {
        let partition = &mut self.partitions[fetched.at.0];
        let reads = partition.assigned && partition.state == State::Fetching;
        partition.handed_from = Some(fetched.next);
        partition.stored = None;
        let here = partition.position.as_mut().filter(|position| reads && position.offset == fetched.next);
        let Some(position) = here else {
            fetched.batches = Batches::new().into_iter();
            return 0;
        };
        let mut given = 0;
        while let Some(batch) = fetched.batches.as_slice().first() {
            // A log's own marks are not for applications; the position steps over them.
            let for_us = batch.end_offset() > position.offset && !batch.is_control();
            let mut records = batch.decode_records();
            while for_us && let Some(record) = records.next() {
                let Ok(record) = record else {
                    // As Kafka's: it is stuck before a record that makes no sense, and tries again.
                    partition.rests_until = now.monotonic + self.backoff.rest(partition.failures);
                    partition.failures = partition.failures.saturating_add(1);
                    fetched.batches = Batches::new().into_iter();
                    self.place(now.monotonic, fetched.at, effects);
                    return given;
                };
                // A batch is sent whole; what was read before is passed over.
                if record.offset < position.offset {
                    continue;
                }
                if given == most {
                    // A mutant: what is left of a batch is for the next poll.
                    if self.museum.has(Bug::PollDropsTheRest) {
                        position.offset = batch.end_offset();
                    }
                    fetched.next = position.offset;
                    return given;
                }
                given += 1;
                position.offset = record.offset.next();
                position.epoch = Some(batch.leader_epoch());
                effects.note(Event::Delivered {
                    partition: fetched.known,
                    offset: record.offset,
                    epoch: batch.leader_epoch(),
                    timestamp: record.timestamp,
                    value: Payload::of(
                        record.value,
                        record.headers.into_iter().next().and_then(|it| it.value),
                    ),
                });
            }
            if batch.end_offset() > position.offset {
                position.offset = batch.end_offset();
                position.epoch = Some(batch.leader_epoch());
            }
            fetched.batches.next();
        }
        given
    }
}
