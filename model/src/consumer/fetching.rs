//! How are records read?
//!
//! Kafka's `Fetcher`.

use alloc::vec::Vec;

use smallvec::SmallVec;

use super::{
    Asked, Consumer,
    polling::Fetched,
    positions::{Partition, PartitionIndex, State},
};
use crate::{
    client::is_invalid_metadata,
    event::SeekReason,
    machine::Effects,
    museum::Bug,
    protocol::{
        ErrorCode, LeaderHint, PartitionRef, Request,
        fetch::{FetchRequest, FetchResponse, PartitionFetch},
    },
    time::{Instant, Now},
    units::{NodeId, Offset},
};

impl Consumer {
    /// Asks a broker for the records of all partitions that may be fetched from it, unless a fetch is in
    /// flight there.
    pub(super) fn fetch(&mut self, now: Now, broker: NodeId, effects: &mut Effects) {
        let Some(wanted) = self.fetchable.get(&broker) else { return };
        if wanted.is_empty() || self.fetching.contains(broker) {
            return;
        }
        let turn = self.turns.get(&broker).copied().unwrap_or(PartitionIndex(0));
        let wanted = wanted.as_slice();
        let mut partitions = Vec::with_capacity(wanted.len());
        let mut asked: SmallVec<[(PartitionIndex, Offset); 2]> = SmallVec::new();
        let (before, from) = wanted.split_at(wanted.partition_point(|at| *at < turn));
        // A mutant: nobody gets a turn but the first.
        let only = self.museum.has(Bug::FirstPartitionOnly).then(|| self.first_of(broker));
        for at in from.iter().chain(before).filter(|at| only.is_none_or(|it| it == **at)) {
            let partition = &self.partitions[at.0];
            let (Some(position), Some(known)) =
                (partition.position, self.view.partition(partition.topic, partition.partition))
            else {
                continue;
            };
            partitions.push(PartitionFetch {
                partition: PartitionRef::from(known),
                current_leader_epoch: self.view.leadership(partition.topic, partition.partition).epoch,
                fetch_offset: position.offset,
                last_fetched_epoch: None,
                log_start: None,
                max_bytes: self.config.max_partition_fetch_bytes,
            });
            asked.push((*at, position.offset));
        }
        let Some((first, _)) = asked.first() else { return };
        self.turns.insert(broker, PartitionIndex(first.0 + 1));
        let request = Request::Fetch(FetchRequest {
            replica: None,
            max_wait: self.config.fetch_max_wait_ms,
            min_bytes: self.config.fetch_min_bytes,
            max_bytes: self.config.fetch_max_bytes,
            partitions,
            incremental: false,
            forgotten: Vec::new(),
        });
        self.fetching.insert(broker);
        self.net.send(now.monotonic, broker, request, Asked::Fetch(asked), effects);
    }

    /// The first assigned partition that a broker leads.
    fn first_of(&self, broker: NodeId) -> PartitionIndex {
        let leads = |it: &Partition| self.view.leadership(it.topic, it.partition).leader == Some(broker);
        PartitionIndex(self.partitions.iter().position(|it| it.assigned && leads(it)).unwrap_or(0))
    }

    pub(super) fn fetched(
        &mut self,
        now: Now,
        from: NodeId,
        asked: SmallVec<[(PartitionIndex, Offset); 2]>,
        response: FetchResponse,
        effects: &mut Effects,
    ) {
        self.fetching.remove(from);
        self.attention.insert(from);
        for ((at, offset), fetched) in asked.into_iter().zip(response.partitions) {
            let partition = &mut self.partitions[at.0];
            let wanted = partition.assigned && !partition.buffered && partition.state == State::Fetching;
            // KAFKA-2342: whatever was fetched was read, and the position set behind it.
            if let Some(position) = partition.position.as_mut().filter(|_| wanted && self.group.is_some())
                && self.museum.has(Bug::FetchAcrossRebalanceMovesPosition)
            {
                position.offset = offset;
            }
            let here = partition.position.is_some_and(|position| position.offset == offset);
            let known = self.view.partition(partition.topic, partition.partition);
            let Some(known) = known.filter(|known| {
                // Who asked for another offset, or another topic of the name, has moved on since.
                here && wanted && fetched.partition.by_id().is_none_or(|id| id == *known)
            }) else {
                continue;
            };
            match fetched.error {
                None => {
                    self.partitions[at.0].failures = 0;
                    if !fetched.batches.is_empty() {
                        let batches = fetched.batches.into_iter();
                        self.buffered.push_back(Fetched { at, known, next: offset, batches });
                    }
                }
                Some(error) => self.fetch_failed(now, at, error, fetched.leader, effects),
            }
        }
        match self.polls_at {
            // The application is at work on what it got last.
            Some(_) => self.keep(now, effects),
            None => self.poll(now, effects),
        }
    }

    fn fetch_failed(
        &mut self,
        now: Now,
        at: PartitionIndex,
        error: ErrorCode,
        leader: Option<LeaderHint>,
        effects: &mut Effects,
    ) {
        let (topic, number) = (self.partitions[at.0].topic, self.partitions[at.0].partition);
        if error == ErrorCode::OffsetOutOfRange {
            self.reset(at, SeekReason::OutOfRange, effects);
        } else {
            if is_invalid_metadata(error) || error == ErrorCode::OffsetNotAvailable {
                self.view.want_update();
            }
            let news = leader.is_some_and(|hint| self.view.learn_hint(topic, number, hint, effects));
            let partition = &mut self.partitions[at.0];
            if !news {
                partition.rests_until = now.monotonic + self.backoff.rest(partition.failures);
                partition.failures = partition.failures.saturating_add(1);
            } else {
                partition.rests_until = Instant::ZERO;
            }
        }
        self.place(now.monotonic, at, effects);
    }
}
