//! What is left of a log after any number of deaths at any moments?
//!
//! Whatever was flushed is there. What is there was a beginning of the log at some moment: no record stands
//! behind another than the one it was appended behind. Epochs and producers' sequences are those that its
//! records tell.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use trial_model::{
    config::{BrokerConfig, TopicConfig},
    disk::{DiskDone, DiskOp, DiskRequest, DiskTag, DiskWork, FileKind, FileName},
    event::{Event, LogStartReason, TruncateReason},
    log::{
        ColdAnswer, Log, Read,
        batch::{Batch, ProducerStamp},
        codec::BatchBuilder,
        config::LogConfig,
        epochs::Epochs,
        producers::{ProducerBatch, Producers},
        recovery::{Hints, Loader, logs_of},
    },
    museum::Museum,
    protocol::ErrorCode,
    time::{Instant, Now, Timestamp},
    units::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TopicId, TopicPartition},
};

use super::disk::{Disk, Draws};

const PARTITION: TopicPartition = TopicPartition::new(TopicId(5), 0);
const NOW: Now = Now { monotonic: Instant(0), wall: Timestamp(1_000_000) };

#[derive(Clone, Debug)]
enum Act {
    /// Append so many batches of so many records.
    Append(u8, u8),
    /// Be elected.
    Elect,
    Flush,
    /// Let the disk carry out so many requests.
    Wait(u8),
    /// Cut off about so many records.
    Cut(u8),
    /// Begin anew so far from the end.
    Reset(u8),
    /// Drop about so many records from the start.
    Advance(u8),
    Retain,
    /// Die and come back.
    Die {
        power: bool,
    },
    /// Shut down in order and come back.
    Restart,
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (1u8..6, 1u8..4).prop_map(|(batches, records)| Act::Append(batches, records)),
        2 => Just(Act::Elect),
        4 => Just(Act::Flush),
        8 => (0u8..30).prop_map(Act::Wait),
        2 => (0u8..30).prop_map(Act::Cut),
        1 => (0u8..9).prop_map(Act::Reset),
        1 => (0u8..30).prop_map(Act::Advance),
        1 => Just(Act::Retain),
        2 => any::<bool>().prop_map(|power| Act::Die { power }),
        1 => Just(Act::Restart),
    ]
}

/// Xorshift: the draws of one case.
struct Dice(u64);

impl Draws for Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// A record batch as far as it matters: where, by which leader, what.
type Name = (Offset, LeaderEpoch, u32);

fn name(batch: &Batch) -> Name {
    (batch.base_offset(), batch.leader_epoch(), batch.header().crc)
}

struct World {
    log: Log,
    config: LogConfig,
    disk: Disk,
    work: DiskWork,
    events: Vec<Event>,
    dice: Dice,
    epoch: u32,
    counter: u64,
    sequences: BTreeMap<u64, u32>,
    /// What the log holds by the model.
    batches: Vec<Batch>,
    /// Behind which batch each batch that ever was was appended.
    behind: BTreeMap<Name, Option<Name>>,
    /// Since when the log's beginning was not moved, so that its records tell everything.
    whole: bool,
    /// Where the log was said to begin: `log-start-offset-checkpoint`.
    start: Offset,
    /// Where it ended when that was last looked at.
    seen: Offset,
    /// Where it was left without a record by a cut and began anew, which takes a while: until something is
    /// flushed there, the disk may still hold the old one, as much of it as was written.
    anew: Option<Offset>,
}

impl World {
    fn new(seed: u64, cache_bytes: usize, flush_messages: u64) -> World {
        let config = LogConfig {
            segment_bytes: 700,
            index_interval_bytes: 150,
            retention_bytes: Some(2_000),
            file_delete_delay_ms: Duration::ZERO,
            cache_bytes,
            flush_messages,
            ..LogConfig::of_partition(&TopicConfig::default(), &BrokerConfig::default())
        };
        let mut work = DiskWork::new();
        let log = Log::create(PARTITION, config.clone(), Offset(0), NOW, Museum::CLOSED, &mut work);
        let mut world = World {
            log,
            config,
            disk: Disk::default(),
            work,
            events: Vec::new(),
            dice: Dice(seed | 1),
            epoch: 0,
            counter: 0,
            sequences: BTreeMap::new(),
            batches: Vec::new(),
            behind: BTreeMap::new(),
            whole: true,
            start: Offset(0),
            seen: Offset(0),
            anew: None,
        };
        world.settle();
        world
    }

    fn end(&self) -> Offset {
        self.log.end()
    }

    fn append(&mut self, records: u8) {
        self.counter += 1;
        let mut builder = BatchBuilder::new();
        for nth in 0..records {
            let value = format!("{}/{nth}/{}", self.counter, "x".repeat(self.dice.below(60)));
            builder.push(Timestamp(1_000_000), None, Some(value.as_bytes()), &[]);
        }
        let id = self.dice.below(4) as u64;
        if id > 0 {
            let base_sequence = Sequence(self.sequences.get(&id).copied().unwrap_or_default());
            builder.producer(ProducerStamp { id: ProducerId(id), epoch: ProducerEpoch(0), base_sequence });
        }
        let before = self.batches.last().map(name);
        let end = self.end();
        let mut batch = builder.build();
        batch.assign(end, LeaderEpoch(self.epoch));
        match self.log.append_follower(NOW, batch.clone(), &mut self.work, &mut self.events) {
            Ok(()) => {
                *self.sequences.entry(id).or_default() += u32::from(records);
                self.behind.insert(name(&batch), before);
                self.batches.push(batch);
            }
            Err(error) => {
                assert!(self.log.is_truncating() && error == ErrorCode::ReplicaNotAvailable, "{error}");
            }
        }
    }

    /// Lets the disk do one thing.
    fn wait(&mut self) -> Option<Vec<Batch>> {
        self.disk.ask(&mut self.work);
        let reply = self.disk.go_on(&mut self.dice)?;
        let progress =
            self.log.on_disk(NOW, &reply, &mut self.work, &mut self.events).expect("the disk is fine");
        self.disk.ask(&mut self.work);
        self.forget_cut();
        match progress.cold.map(|cold| cold.answer) {
            Some(Ok(ColdAnswer::Batches(batches))) => Some(batches.into_vec()),
            Some(other) => panic!("{other:?}"),
            None => Some(Vec::new()),
        }
    }

    fn settle(&mut self) {
        while self.wait().is_some() {}
    }

    fn forget_cut(&mut self) {
        let end = self.end();
        if end < self.seen && end == self.log.start() {
            self.anew = Some(end);
        }
        self.seen = end;
        self.batches.retain(|batch| batch.end_offset() <= end);
    }

    /// Every batch of the log, from memory and from the disk.
    fn read_all(&mut self) -> Vec<Batch> {
        let (mut all, mut from): (Vec<Batch>, Offset) = (Vec::new(), self.log.start());
        while from < self.end() {
            let read = match self.log.read(from, self.end(), 400, true).expect("in range") {
                Read::Batches(batches) => batches.into_vec(),
                Read::Cold(cold) => {
                    self.log.begin_cold(cold, 0, &mut self.work);
                    loop {
                        match self.wait() {
                            Some(batches) if batches.is_empty() => {}
                            Some(batches) => break batches,
                            None => panic!("a cold read is answered"),
                        }
                    }
                }
            };
            from = read.last().expect("there is a batch at every offset").end_offset();
            all.extend(read);
        }
        all
    }

    fn restart(&mut self, clean: bool) {
        let flushed = self.log.flushed();
        let kept: Vec<Name> =
            self.batches.iter().filter(|batch| batch.end_offset() <= flushed).map(name).collect();
        let (start, end, truncating) = (self.log.start(), self.end(), self.log.is_truncating());
        let (epochs, producers) = (self.log.epochs().clone(), self.log.producers().clone());
        if clean {
            self.start = start;
        }
        self.load(Hints { clean, recovery_point: flushed, log_start: self.start });
        self.settle();
        assert!(self.log.flushed() == self.end() && self.log.written() == self.end());
        let all = self.read_all();
        let names: Vec<Name> = all.iter().map(name).collect();
        // Of a log without records, only whoever keeps its start knows where it stood; and a cut that is not
        // done may fall inside a batch.
        assert!(
            self.end() >= flushed || start == end || truncating || self.anew == Some(flushed),
            "flushed offsets are never assigned again"
        );
        for batch in kept.iter().filter(|(base, ..)| *base >= start.max(self.log.start())) {
            assert!(
                names.contains(batch),
                "{batch:?} was flushed; it held {start}..{end}, flushed to {flushed}"
            );
        }
        if clean && !truncating {
            assert_eq!((self.log.start(), self.end()), (start, end));
            assert_eq!(self.log.producers(), &producers);
            let mut epochs = epochs;
            epochs.truncate_from_end(end);
            assert!(start == end || self.log.epochs() == &epochs);
        }
        for pair in names.windows(2) {
            assert_eq!(self.behind.get(&pair[1]), Some(&Some(pair[0])), "it was appended behind another");
        }
        self.tells(&all);
        (self.batches, self.anew) = (all, None);
        self.epoch = self.epoch.max(self.log.last_epoch().unwrap_or_default().0);
        self.follow_sequences();
    }

    /// What is known besides the records agrees with them.
    fn tells(&self, all: &[Batch]) {
        let (mut epochs, mut producers) = (Epochs::new(), Producers::new(Offset(0)));
        for batch in all {
            epochs.assign(batch.leader_epoch(), batch.base_offset());
            if let Some(stamp) = batch.header().producer {
                producers.append(stamp.id, stamp.epoch, ProducerBatch::of(batch, stamp));
            }
        }
        epochs.truncate_from_start(self.log.start());
        // An election after the last record is known only to whoever was elected.
        let mut known = self.log.epochs().clone();
        known.truncate_from_end(self.log.end());
        assert!(all.is_empty() || known == epochs, "{known:?} is not {epochs:?}");
        if self.whole {
            assert_eq!(self.log.producers(), &producers);
        }
    }

    fn follow_sequences(&mut self) {
        self.sequences.clear();
        for (id, producer) in self.log.producers().iter() {
            let next = producer.batches.last().expect("never empty").next_sequence();
            self.sequences.insert(id.0, next.0);
        }
    }

    fn load(&mut self, hints: Hints) {
        self.work.clear();
        let files = logs_of(&self.disk.list()).remove(&PARTITION).unwrap_or_default();
        let config = self.config.clone();
        let mut loader = Loader::begin(PARTITION, config, hints, files, Museum::CLOSED, &mut self.work);
        loop {
            self.disk.ask(&mut self.work);
            let reply = self.disk.go_on(&mut self.dice).expect("the loader waits for something");
            let loaded = loader.on_disk(NOW, &reply, &mut self.work, &mut self.events);
            if let Some(loaded) = loaded.expect("the disk is fine") {
                self.log = loaded.log;
                return;
            }
        }
    }

    fn act(&mut self, act: Act) {
        let (start, end) = (self.log.start(), self.end());
        let (work, events) = (&mut self.work, &mut self.events);
        match act {
            Act::Append(batches, records) => (0..batches).for_each(|_| self.append(records)),
            Act::Elect => {
                self.epoch += 1;
                self.log.assign_epoch(LeaderEpoch(self.epoch), work);
            }
            Act::Flush => self.log.flush(work),
            Act::Wait(count) => (0..count).for_each(|_| drop(self.wait())),
            Act::Cut(back) => {
                let to = Offset(end.0.saturating_sub(u64::from(back)).max(start.0));
                self.log.truncate_to(NOW, to, TruncateReason::Diverged, Offset(0), work, events);
                self.forget_cut();
                self.epoch += 1;
                self.follow_sequences();
            }
            Act::Reset(ahead) => {
                let to = Offset(end.0 + u64::from(ahead));
                self.log.reset_to(NOW, to, TruncateReason::OutOfRange, Offset(0), work, events);
                self.batches.clear();
                self.epoch += 1;
                (self.start, self.whole) = (to, false);
                self.sequences.clear();
                // The owner says where its log begins only once it does.
                self.settle();
            }
            Act::Advance(by) => {
                let to = Offset(start.0 + u64::from(by));
                self.log.advance_start(NOW, to, LogStartReason::DeleteRecords, work, events);
                self.whole = false;
            }
            Act::Retain => {
                self.log.retain(NOW, end, work, events);
                self.log.tick(NOW, work, events);
                self.whole = false;
            }
            Act::Die { power } => {
                self.disk.ask(&mut self.work);
                match power {
                    true => self.disk.lose_power(&mut self.dice),
                    false => self.disk.lose_process(&mut self.dice),
                }
                self.restart(false);
            }
            Act::Restart => {
                self.log.close(&mut self.work);
                self.settle();
                let closed = self.log.is_closed();
                self.disk.lose_power(&mut self.dice);
                self.restart(closed);
            }
        }
        self.seen = self.end();
        let log = &self.log;
        assert!(log.start() <= log.end() && log.flushed() <= log.written() && log.written() <= log.end());
        assert!(log.deadline().is_none_or(|at| at >= Instant(0)));
    }
}

/// See the head of this file.
fn hold(seed: u64, cache_bytes: usize, flush_messages: u64, acts: Vec<Act>) {
    let mut world = World::new(seed, cache_bytes, flush_messages);
    for act in acts {
        world.act(act);
    }
    world.settle();
    let all: Vec<Name> = world.read_all().iter().map(name).collect();
    let start = world.log.start();
    let expected: Vec<Name> =
        world.batches.iter().filter(|batch| batch.end_offset() > start).map(name).collect();
    assert_eq!(all, expected);
    world.tells(&world.batches.iter().filter(|b| b.end_offset() > start).cloned().collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(super::drawn())]

    /// See the head of this file.
    #[test]
    fn what_was_flushed_survives_and_nothing_is_made_up(
        seed: u64,
        cache in prop_oneof![Just(1usize), Just(500), Just(1 << 20)],
        flush_messages in prop_oneof![Just(1u64), Just(7), Just(u64::MAX)],
        acts in proptest::collection::vec(any_act(), 1..60),
    ) {
        hold(seed, cache, flush_messages, acts);
    }
}

/// The deletion of old segments waits for the last one to be there for good. A cut removed that one meanwhile,
/// and the deletion made it anew, empty: at the next start the log ended before it.
#[test]
fn a_deletion_does_not_bring_back_what_was_cut() {
    use Act::{Advance, Append, Cut, Elect, Restart, Wait};
    let before = [Elect, Append(4, 3), Append(3, 2), Append(4, 1), Wait(5), Advance(14), Append(2, 1)];
    let acts = before.into_iter().chain([Cut(4), Append(4, 3), Restart]).collect();
    hold(88321924353965472, 1 << 20, 7, acts);
}

/// A log was asked to close while a cut was looking for its place on the disk, and was closed once that had ended,
/// but without what the next start would trust.
#[test]
fn who_closes_during_a_cut_closes_after_it() {
    use Act::{Advance, Append, Cut, Die, Flush, Reset, Restart, Wait};
    let before = [Append(4, 3), Die { power: true }, Reset(0), Append(2, 2), Append(5, 1), Append(2, 2)];
    let then = [Append(3, 1), Append(3, 3), Append(3, 2), Advance(27), Flush, Wait(3), Cut(3), Wait(5)];
    let acts = before.into_iter().chain(then).chain([Append(4, 2), Append(2, 2), Restart]).collect();
    hold(12381461966647952004, 1, 7, acts);
}

/// The disk of these tests takes things at their word.
#[test]
fn the_disk_forgets_what_was_not_flushed() {
    let (mut disk, mut dice) = (Disk::default(), Dice(3));
    let file = FileName::of_log(PARTITION, FileKind::Segment(Offset(0)));
    let ask = |op| DiskRequest { tag: DiskTag(0), file, op };
    let bytes =
        |text: &'static str| trial_model::disk::Content::Bytes(bytes::Bytes::from_static(text.as_bytes()));
    let mut work = vec![ask(DiskOp::Append(bytes("kept"))), ask(DiskOp::Flush), ask(DiskOp::SyncDir)];
    disk.ask(&mut work);
    while disk.go_on(&mut dice).is_some() {}
    work.push(ask(DiskOp::Append(bytes("lost"))));
    disk.ask(&mut work);
    while disk.go_on(&mut dice).is_some() {}
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let mut disk = disk.clone();
        disk.lose_power(&mut Dice(seed * 2 + 1));
        disk.ask(&mut vec![ask(DiskOp::Read { at: 0, len: 100 })]);
        let Some(Ok(DiskDone::Read(read))) = disk.go_on(&mut dice).map(|reply| reply.outcome) else {
            panic!("the file is there")
        };
        assert!(read.starts_with(b"kept"));
        lengths.insert(read.len());
    }
    assert!(lengths.len() > 2, "sometimes less is lost, sometimes more");
}
