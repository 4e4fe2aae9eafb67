//! Where do records wait until they are sent, and how many fit into a batch?
//!
//! Kafka's `RecordAccumulator`: a queue of batches for every partition, the last of them open for more
//! records. Which queue may send is indexed, so that a step costs the same with one partition and with a
//! thousand.

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};
use core::mem;

use bytes::Bytes;
use smallvec::SmallVec;

use super::idempotence::Sequences;
use crate::{
    client::{NewRecord, cluster_view::TopicIndex},
    event::RecordTag,
    flat::{FlatMap, FlatSet},
    log::{
        batch::{Batch, HEADER_SIZE, ProducerStamp},
        codec::{BatchBuilder, RecordHeader},
        varint,
    },
    protocol::ErrorCode,
    time::{Instant, Timestamp},
    units::{LeaderEpoch, NodeId, RecordCount},
};

/// What a record takes at most besides its key, value and headers: its length, attributes, time and offset.
const MAX_RECORD_OVERHEAD: usize = 21;

/// Names a batch for as long as the producer lives, in the order in which they expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId {
    /// When its first record was taken in.
    pub created: Instant,
    /// Which of all batches.
    pub nth: u64,
}

/// A queue, by its place in the accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueIndex(pub usize);

/// What a batch holds.
#[derive(Clone, Debug)]
enum Content {
    /// More may come.
    Open(BatchBuilder),
    /// As it is sent.
    Closed(Batch),
}

/// Records on their way to one partition.
#[derive(Clone, Debug)]
pub struct ProducerBatch {
    /// Where it waits.
    pub queue: QueueIndex,
    content: Content,
    limit: usize,
    base: Timestamp,
    /// The records' tags, in order.
    pub tags: SmallVec<[RecordTag; 2]>,
    reserved: u64,
    /// How often it was sent and came back.
    pub attempts: u32,
    /// Why it came back last.
    pub last_error: Option<ErrorCode>,
    /// When it may be sent again.
    pub retry_at: Instant,
    /// The epoch of the leader it was sent to last.
    pub sent_to: Option<LeaderEpoch>,
    /// Its number.
    pub stamp: Option<ProducerStamp>,
    /// Whether it is on its way and no answer has come.
    pub on_wire: bool,
    /// Whether it may be in the log, so that its number must not change.
    pub unknown: bool,
    /// Whether some attempt had no certain outcome: what the application is told if it fails.
    pub maybe_written: bool,
}

impl ProducerBatch {
    /// How many records it has.
    pub fn count(&self) -> RecordCount {
        RecordCount(self.tags.len() as u64)
    }

    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        match &self.content {
            Content::Open(builder) => builder.size(),
            Content::Closed(batch) => batch.size(),
        }
    }

    /// Whether no more records fit.
    pub fn is_full(&self) -> bool {
        match &self.content {
            Content::Open(builder) => builder.size() >= self.limit,
            Content::Closed(_) => true,
        }
    }

    /// Closes it if it is open, and gives it as it is sent, with its number.
    pub fn sealed(&mut self) -> Batch {
        let batch = match mem::replace(&mut self.content, Content::Open(BatchBuilder::new())) {
            Content::Open(mut builder) => {
                if let Some(stamp) = self.stamp {
                    builder.producer(stamp);
                }
                builder.build()
            }
            Content::Closed(batch) if batch.header().producer == self.stamp => batch,
            Content::Closed(batch) => batch.with_producer(self.stamp),
        };
        self.content = Content::Closed(batch.clone());
        batch
    }

    fn close_for_appends(&mut self) {
        if let Content::Open(builder) = &self.content {
            self.limit = builder.size();
        }
    }

    fn has_room(&self, timestamp: Timestamp, record: &NewRecord, headers: &[RecordHeader]) -> bool {
        let Content::Open(builder) = &self.content else { return false };
        let size = BatchBuilder::size_of(
            timestamp.0.wrapping_sub(self.base.0),
            builder.len() as u32,
            record.key.as_deref(),
            record.value.as_deref(),
            headers,
        );
        builder.is_empty() || builder.size() + size <= self.limit
    }

    fn push(&mut self, timestamp: Timestamp, record: &NewRecord, headers: &[RecordHeader]) {
        let Content::Open(builder) = &mut self.content else { return };
        if builder.is_empty() {
            self.base = timestamp;
        }
        builder.push(timestamp, record.key.as_deref(), record.value.as_deref(), headers);
        self.tags.push(record.tag);
    }
}

/// Where a queue stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// It has nothing to send, or must wait for an answer.
    #[default]
    Idle,
    /// It waits for company or rests after a failure, until then.
    Timed(Instant),
    /// It may send to this broker.
    Ready(NodeId),
    /// Nobody leads its partition.
    Leaderless,
}

/// What waits for one partition.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Of which topic.
    pub topic: TopicIndex,
    /// Which partition.
    pub partition: u32,
    /// The batches that wait, in the order in which they go.
    pub waiting: VecDeque<BatchId>,
    /// How many requests with a batch of it are in flight.
    pub on_wire: u32,
    /// How its batches are numbered.
    pub sequences: Sequences,
    place: Place,
}

/// All queues and batches.
#[derive(Clone, Debug, Default)]
pub struct Accumulator {
    queues: Vec<Queue>,
    by_topic: Vec<Vec<Option<QueueIndex>>>,
    batches: FlatMap<BatchId, Box<ProducerBatch>>,
    batches_made: u64,
    reserved: u64,
    /// The queues that are `Timed`, in order.
    timed: FlatSet<(Instant, QueueIndex)>,
    ready: FlatMap<NodeId, VecDeque<QueueIndex>>,
    /// The brokers with queues in `ready`.
    ready_brokers: Vec<NodeId>,
    leaderless: FlatSet<QueueIndex>,
}

/// What became of a record.
pub struct Taken {
    /// In which queue it is.
    pub queue: QueueIndex,
    /// Whether it began a batch.
    pub new_batch: bool,
    /// Whether the queue need not wait for company: a batch of it is full.
    pub ready: bool,
    /// Whether all batches of the queue are full.
    pub full: bool,
    /// How many bytes it added.
    pub bytes: usize,
}

impl Accumulator {
    /// The queue of a partition, if anything was ever sent there.
    pub fn queue_of(&self, topic: TopicIndex, partition: u32) -> Option<QueueIndex> {
        *self.by_topic.get(topic.0)?.get(partition as usize)?
    }

    /// A queue.
    pub fn queue(&self, at: QueueIndex) -> &Queue {
        &self.queues[at.0]
    }

    /// A queue.
    pub fn queue_mut(&mut self, at: QueueIndex) -> &mut Queue {
        &mut self.queues[at.0]
    }

    /// All queues.
    pub fn queues(&self) -> impl Iterator<Item = QueueIndex> + use<> {
        (0..self.queues.len()).map(QueueIndex)
    }

    /// A batch that is not settled.
    pub fn batch(&self, id: BatchId) -> Option<&ProducerBatch> {
        self.batches.get(&id).map(Box::as_ref)
    }

    /// A batch that is not settled.
    pub fn batch_mut(&mut self, id: BatchId) -> Option<&mut ProducerBatch> {
        self.batches.get_mut(&id).map(Box::as_mut)
    }

    /// The batch that expires first.
    pub fn oldest(&self) -> Option<BatchId> {
        self.batches.first().map(|(id, _)| *id)
    }

    /// The batch that was begun last.
    pub fn newest(&self) -> Option<BatchId> {
        self.batches.last().map(|(id, _)| *id)
    }

    /// Whether every batch is settled.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Adds a record to its partition's open batch, or begins another. `None` if that would take more than
    /// `memory` bytes in all.
    pub fn append(
        &mut self,
        now: Instant,
        (topic, partition): (TopicIndex, u32),
        timestamp: Timestamp,
        record: &NewRecord,
        batch_size: u32,
        memory: u64,
    ) -> Option<Taken> {
        let at = self.queue_at(topic, partition);
        let headers = headers_of(record);
        let queue = &mut self.queues[at.0];
        if let Some(last) = queue.waiting.back().and_then(|last| self.batches.get_mut(last)) {
            if last.has_room(timestamp, record, &headers) {
                let before = last.size();
                last.push(timestamp, record, &headers);
                let (full, bytes) = (last.is_full(), last.size() - before);
                let ready = full || queue.waiting.len() > 1;
                return Some(Taken { queue: at, new_batch: false, ready, full, bytes });
            }
            last.close_for_appends();
        }
        let limit = (batch_size as usize).max(size_bound(record));
        let reserved = (limit as u64).min(memory);
        if self.reserved + reserved > memory {
            return None;
        }
        let mut batch = ProducerBatch::open(at, limit, reserved);
        batch.push(timestamp, record, &headers);
        let (full, bytes) = (batch.is_full(), batch.size());
        let ready = full || !queue.waiting.is_empty();
        let id = self.insert(now, batch);
        self.queues[at.0].waiting.push_back(id);
        Some(Taken { queue: at, new_batch: true, ready, full, bytes })
    }

    fn queue_at(&mut self, topic: TopicIndex, partition: u32) -> QueueIndex {
        if let Some(at) = self.queue_of(topic, partition) {
            return at;
        }
        let at = QueueIndex(self.queues.len());
        self.queues.push(Queue {
            topic,
            partition,
            waiting: VecDeque::new(),
            on_wire: 0,
            sequences: Sequences::default(),
            place: Place::Idle,
        });
        if self.by_topic.len() <= topic.0 {
            self.by_topic.resize(topic.0 + 1, Vec::new());
        }
        let partitions = &mut self.by_topic[topic.0];
        if partitions.len() <= partition as usize {
            partitions.resize(partition as usize + 1, None);
        }
        partitions[partition as usize] = Some(at);
        at
    }

    fn insert(&mut self, created: Instant, batch: ProducerBatch) -> BatchId {
        let id = BatchId { created, nth: self.batches_made };
        self.batches_made += 1;
        self.reserved += batch.reserved;
        self.batches.insert(id, Box::new(batch));
        id
    }

    /// Puts a batch that came back where it belongs: among numbered ones in the order of their numbers, else
    /// in front, as Kafka does, even if that is before an older one.
    pub fn put_back(&mut self, id: BatchId) {
        let Some(batch) = self.batches.get(&id) else { return };
        let queue = &mut self.queues[batch.queue.0];
        let sequences = &queue.sequences;
        let at = match sequences.position(id) {
            None => 0,
            Some(mine) => queue
                .waiting
                .iter()
                .take_while(|other| sequences.position(**other).is_some_and(|theirs| theirs < mine))
                .count(),
        };
        queue.waiting.insert(at, id);
    }

    /// Takes a batch out for good, and gives its memory back.
    pub fn remove(&mut self, id: BatchId) -> Option<Box<ProducerBatch>> {
        let batch = self.batches.remove(&id)?;
        self.reserved -= batch.reserved;
        let queue = &mut self.queues[batch.queue.0];
        if !batch.on_wire {
            queue.waiting.retain(|waiting| *waiting != id);
        }
        queue.sequences.settle(id);
        Some(batch)
    }

    /// Cuts a batch that a broker found too large into smaller ones, which take its place and its numbers.
    pub fn split(&mut self, id: BatchId, batch_size: u32) {
        let Some(mut big) = self.batches.remove(&id) else { return };
        self.reserved -= big.reserved;
        let limit = (batch_size as usize).min(big.size() / 2).max(HEADER_SIZE + 1);
        let sealed = big.sealed();
        let mut pieces = Vec::new();
        let mut piece = ProducerBatch::open(big.queue, limit, mem::take(&mut big.reserved));
        let mut done = 0;
        for (record, tag) in sealed.decode_records().map_while(Result::ok).zip(&big.tags) {
            let again = NewRecord {
                tag: *tag,
                topic: "".into(),
                partition: None,
                key: record.key,
                value: record.value,
                headers: Vec::new(),
                timestamp: None,
            };
            if !piece.has_room(record.timestamp, &again, &record.headers) {
                let next = ProducerBatch::open(big.queue, limit, 0);
                pieces.push(mem::replace(&mut piece, next));
            }
            piece.push(record.timestamp, &again, &record.headers);
        }
        pieces.push(piece);
        let mut ids = Vec::new();
        for mut piece in pieces {
            piece.stamp = big.stamp.map(|stamp| ProducerStamp {
                base_sequence: stamp.base_sequence.plus(RecordCount(done)),
                ..stamp
            });
            piece.maybe_written = big.maybe_written;
            piece.unknown = big.unknown;
            done += piece.count().0;
            piece.sealed();
            ids.push(self.insert(id.created, piece));
        }
        self.queues[big.queue.0].sequences.split(id, ids.iter().copied());
        for piece in ids.into_iter().rev() {
            self.put_back(piece);
        }
    }

    /// Says where a queue stands now.
    pub fn place(&mut self, at: QueueIndex, place: Place) {
        let before = mem::replace(&mut self.queues[at.0].place, place);
        if before == place {
            return;
        }
        match before {
            Place::Timed(due) => {
                self.timed.remove(&(due, at));
            }
            Place::Leaderless => {
                self.leaderless.remove(&at);
            }
            // Its entry in the list of the ready is passed over when its turn comes.
            Place::Idle | Place::Ready(_) => {}
        }
        match place {
            Place::Idle => {}
            Place::Timed(due) => {
                self.timed.insert((due, at));
            }
            Place::Ready(broker) => {
                let ready = self.ready.get_or_insert_with(broker, VecDeque::new);
                if ready.is_empty() && !self.ready_brokers.contains(&broker) {
                    self.ready_brokers.push(broker);
                }
                ready.push_back(at);
            }
            Place::Leaderless => {
                self.leaderless.insert(at);
            }
        }
    }

    /// The next queue that has waited long enough; it stands idle until it is placed again.
    pub fn pop_due(&mut self, now: Instant) -> Option<QueueIndex> {
        self.next_due().filter(|due| *due <= now)?;
        let (_, at) = self.timed.pop_first()?;
        self.queues[at.0].place = Place::Idle;
        Some(at)
    }

    /// When the next queue has waited long enough.
    pub fn next_due(&self) -> Option<Instant> {
        self.timed.first().map(|(due, _)| *due)
    }

    /// Whether queues wait whose partitions nobody leads.
    pub fn has_leaderless(&self) -> bool {
        !self.leaderless.is_empty()
    }

    /// The brokers that queues may send to.
    pub fn ready_brokers(&self) -> &[NodeId] {
        &self.ready_brokers
    }

    /// The next queue that may send to `broker`, in turn; it stands idle until it is placed again.
    pub fn pop_ready(&mut self, broker: NodeId) -> Option<QueueIndex> {
        let ready = self.ready.get_mut(&broker)?;
        while let Some(at) = ready.pop_front() {
            if self.queues[at.0].place == Place::Ready(broker) {
                self.queues[at.0].place = Place::Idle;
                return Some(at);
            }
        }
        self.ready_brokers.retain(|of| *of != broker);
        None
    }
}

impl ProducerBatch {
    fn open(queue: QueueIndex, limit: usize, reserved: u64) -> ProducerBatch {
        ProducerBatch {
            queue,
            content: Content::Open(BatchBuilder::new()),
            limit,
            base: Timestamp(0),
            tags: SmallVec::new(),
            reserved,
            attempts: 0,
            last_error: None,
            retry_at: Instant::ZERO,
            sent_to: None,
            stamp: None,
            on_wire: false,
            unknown: false,
            maybe_written: false,
        }
    }
}

/// What a batch of nothing but this record takes at most: Kafka's `estimateSizeInBytesUpperBound`.
pub fn size_bound(record: &NewRecord) -> usize {
    let sized = |len: usize| varint::size(len as i64) + len;
    let bytes = |bytes: &Option<Bytes>| bytes.as_ref().map_or(varint::size(-1), |bytes| sized(bytes.len()));
    let headers: usize =
        record.headers.iter().map(|(key, value)| sized(key.len()) + sized(value.len())).sum();
    let count = varint::size(record.headers.len() as i64);
    HEADER_SIZE + MAX_RECORD_OVERHEAD + bytes(&record.key) + bytes(&record.value) + count + headers
}

fn headers_of(record: &NewRecord) -> Vec<RecordHeader> {
    let header = |(key, value): &(_, Bytes)| RecordHeader {
        key: Bytes::copy_from_slice(alloc::string::String::as_bytes(key)),
        value: Some(value.clone()),
    };
    record.headers.iter().map(header).collect()
}
