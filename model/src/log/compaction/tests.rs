//! Is of each key the newest record left, and nothing come back that was deleted, whenever the node dies?

mod crashing;
mod drawn;
mod gaps;

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::time::Duration;

use super::*;
use crate::{
    config::CleanupPolicy,
    disk::{DiskReply, DiskRequest},
    log::{
        ColdAnswer, Progress, Read,
        batch::ProducerStamp,
        codec::BatchBuilder,
        config::LogConfig,
        producers::Producers,
        recovery::{Hints, Loader, logs_of},
        testing::{PARTITION, TestDisk, tiny},
    },
    museum::Museum,
    rng::Rng,
    time::Instant,
    units::{LeaderEpoch, ProducerEpoch, ProducerId, Sequence},
};

const HOUR: u64 = 3_600_000;

fn at(millis: u64) -> Now {
    Now { monotonic: Instant(millis * 1_000_000), wall: Timestamp(millis as i64) }
}

/// A log with tiny segments that is cleaned as soon as anything in it is dirty.
fn compacted() -> LogConfig {
    LogConfig {
        cleanup_policy: CleanupPolicy::Compact,
        min_cleanable_dirty_ratio: Ratio(0, 1),
        delete_retention_ms: Duration::from_millis(HOUR),
        ..tiny()
    }
}

/// What a key was last said to be.
type View = BTreeMap<String, (Offset, String)>;

/// A log with its disk, and what was ever appended to it.
#[derive(Clone)]
struct Bench {
    log: Log,
    disk: TestDisk,
    work: DiskWork,
    events: Vec<Event>,
    now: u64,
    said: BTreeMap<String, (Offset, Option<String>)>,
}

impl Bench {
    fn new(config: LogConfig) -> Bench {
        Bench::with(config, Museum::CLOSED)
    }

    fn with(config: LogConfig, museum: Museum) -> Bench {
        let mut work = DiskWork::new();
        let log = Log::create(PARTITION, config, Offset(0), at(0), museum, &mut work);
        let (disk, events, said) = (TestDisk::default(), Vec::new(), BTreeMap::new());
        let mut bench = Bench { log, disk, work, events, now: 1_000, said };
        bench.settle();
        bench
    }

    /// Carries out everything there is to do.
    fn settle(&mut self) -> Vec<Progress> {
        let mut all = Vec::new();
        while !self.work.is_empty() {
            let request = self.work.remove(0);
            all.push(self.perform(request));
        }
        all
    }

    fn perform(&mut self, request: DiskRequest) -> Progress {
        let reply = self.disk.perform(request);
        self.tell(&reply)
    }

    fn tell(&mut self, reply: &DiskReply) -> Progress {
        let now = at(self.now);
        self.log.on_disk(now, reply, &mut self.work, &mut self.events).expect("the disk is fine")
    }

    /// Appends a batch of keys with values, or `None` for a tombstone.
    fn say(&mut self, producer: Option<ProducerStamp>, records: &[(&str, Option<&str>)]) {
        let mut builder = BatchBuilder::new();
        for (key, value) in records {
            let time = Timestamp(self.now as i64);
            builder.push(time, Some(key.as_bytes()), value.map(str::as_bytes), &[]);
        }
        if let Some(stamp) = producer {
            builder.producer(stamp);
        }
        let base = self.log.end();
        let (work, events) = (&mut self.work, &mut self.events);
        self.log
            .append_leader(at(self.now), builder.build(), LeaderEpoch(1), work, events)
            .expect("it fits and follows");
        for (nth, (key, value)) in (0u64..).zip(records) {
            self.said.insert(String::from(*key), (Offset(base.0 + nth), value.map(String::from)));
        }
        self.now += 10;
    }

    /// Fills the last segment so that what is before can be cleaned, and flushes.
    fn roll(&mut self) {
        self.log.roll(&mut self.work, &mut self.events);
        self.say(None, &[("roller", Some("still here"))]);
        self.log.flush(&mut self.work);
        self.settle();
    }

    fn begin(&mut self) -> bool {
        let Some(cleanable) = self.log.cleanable(at(self.now), self.log.end()) else { return false };
        self.log.clean(at(self.now), cleanable, &mut self.work);
        true
    }

    fn clean(&mut self) -> bool {
        let begun = self.begin();
        let ended = self.settle().iter().filter(|progress| progress.cleaned).count();
        assert_eq!(ended, usize::from(begun), "who is told of a beginning is told of an end");
        begun
    }

    /// Every batch from `from` on, through the disk if need be.
    fn batches(&mut self, from: Offset) -> Vec<Batch> {
        let (mut all, mut next): (Vec<Batch>, _) = (Vec::new(), from);
        while next < self.log.end() {
            let batches = match self.log.read(next, self.log.end(), 300, true).expect("in range") {
                Read::Batches(batches) => batches,
                Read::Cold(cold) => {
                    self.log.begin_cold(cold, 7, &mut self.work);
                    let done = self.settle().into_iter().find_map(|p| p.cold).expect("an answer");
                    match done.answer {
                        Ok(ColdAnswer::Batches(batches)) => batches,
                        other => panic!("{other:?}"),
                    }
                }
            };
            next = batches.last().expect("at least one").end_offset();
            all.extend(batches);
        }
        all
    }

    /// What a reader of all of it comes to know.
    fn view(&mut self) -> View {
        let mut view = View::new();
        for batch in self.batches(self.log.start()) {
            for record in batch.decode_records() {
                let record = record.expect("sound");
                let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).expect("text");
                let key = text(record.key.expect("keyed"));
                match record.value {
                    Some(value) => drop(view.insert(key, (record.offset, text(value)))),
                    None => drop(view.remove(&key)),
                }
            }
        }
        view
    }

    /// What was said, which is what must be read.
    fn truth(&self) -> View {
        let valued = |(key, (offset, value)): (&String, &(Offset, Option<String>))| {
            Some((key.clone(), (*offset, value.clone()?)))
        };
        self.said.iter().filter_map(valued).collect()
    }

    fn records(&mut self) -> usize {
        self.batches(Offset(0)).iter().map(|batch| batch.header().record_count as usize).sum()
    }

    fn load(&mut self, hints: Hints) {
        self.work.clear();
        let cleaned = self.log.cleaned();
        let mut loaded = self.disk.load(self.log.config().clone(), hints, &mut self.events);
        loaded.log.restore_cleaned(cleaned);
        self.log = loaded.log;
    }
}

fn stamp(id: u64, sequence: u32) -> Option<ProducerStamp> {
    Some(ProducerStamp { id: ProducerId(id), epoch: ProducerEpoch(0), base_sequence: Sequence(sequence) })
}

const LONG: &str = "a value that takes some room, so that segments come to their end soon enough";

/// Keys that are said again and again, some of them deleted in the end.
fn busy() -> Bench {
    let mut bench = Bench::new(compacted());
    for round in 0..12 {
        for key in ["a", "b", "c"] {
            let value = alloc::format!("{key}{round} {LONG}");
            bench.say(None, &[(key, Some(&value)), ("x", Some(&value))]);
        }
    }
    bench.say(None, &[("b", None), ("x", None)]);
    bench.roll();
    bench
}

#[test]
fn of_each_key_the_newest_record_is_left_where_it_was() {
    let mut bench = busy();
    let (end, before, size) = (bench.log.end(), bench.records(), bench.log.size());
    assert!(bench.log.segments().count() > 5);
    assert!(bench.clean());
    assert_eq!((bench.view(), bench.log.end()), (bench.truth(), end));
    assert!(bench.log.size() < size / 2);
    // a, c, the tombstones of b and x, and what was appended to the last segment.
    assert_eq!(bench.records(), 5);
    let cleaned = Event::LogCleaned {
        partition: PARTITION,
        from: Offset(0),
        to: Offset(end.0 - 1),
        kept: 4,
        dropped: before as u64 - 5,
    };
    assert!(bench.events.contains(&cleaned), "{:?}", bench.events.last());
    assert!(!bench.clean(), "nothing is dirty");
    bench.roll();
    assert!(bench.clean());
    assert_eq!(bench.log.segments().count(), 2, "small ones become one");
    assert_eq!(bench.view(), bench.truth());
}

#[test]
fn a_tombstone_goes_when_its_time_is_over_and_not_before() {
    let mut bench = busy();
    bench.clean();
    let horizon = bench.batches(Offset(0)).iter().find_map(Batch::delete_horizon);
    assert_eq!(horizon, Some(Timestamp(bench.now as i64 + HOUR as i64)));
    bench.roll();
    bench.now += HOUR - 1_000;
    assert!(bench.clean());
    let tombstones = |bench: &mut Bench| {
        let all = bench.batches(Offset(0));
        all.iter().flat_map(|b| b.decode_records()).filter(|r| r.as_ref().unwrap().value.is_none()).count()
    };
    assert_eq!(tombstones(&mut bench), 2, "delete.retention.ms is not over");
    bench.now += 1_000;
    bench.roll();
    assert!(bench.clean());
    assert_eq!(tombstones(&mut bench), 0);
    assert_eq!(bench.view(), bench.truth());
}

#[test]
fn the_last_batch_of_a_producer_stays_without_records_and_its_sequence_is_known_after_a_start() {
    let mut bench = Bench::new(compacted());
    bench.say(stamp(7, 0), &[("a", Some("1"))]);
    bench.say(stamp(7, 1), &[("a", Some("2")), ("a", Some("3"))]);
    bench.say(None, &[("a", Some("4"))]);
    bench.roll();
    bench.clean();
    let left = bench.batches(Offset(0));
    let empty = left.iter().find(|batch| batch.header().producer.is_some()).expect("the last of it");
    assert_eq!(
        (empty.header().record_count, empty.base_offset(), empty.last_offset()),
        (0, Offset(1), Offset(2))
    );
    bench.load(Hints::default());
    let producer = bench.log.producers().get(ProducerId(7)).expect("known");
    assert_eq!(producer.batches.last().map(|batch| batch.next_sequence()), Some(Sequence(3)));
    bench.say(stamp(7, 3), &[("a", Some("5"))]);
    assert_eq!(bench.view(), bench.truth());
}

#[test]
fn a_record_without_a_key_is_refused_and_one_from_before_is_dropped() {
    let keyless = || {
        let mut builder = BatchBuilder::new();
        builder.push(Timestamp(1), None, Some(b"?"), &[]);
        builder.build()
    };
    let mut bench = Bench::new(tiny());
    let append = |bench: &mut Bench| {
        let (work, events) = (&mut bench.work, &mut bench.events);
        bench.log.append_leader(at(0), keyless(), LeaderEpoch(1), work, events)
    };
    append(&mut bench).expect("not compacted yet");
    bench.log.reconfigure(compacted());
    assert_eq!(append(&mut bench), Err(crate::protocol::ErrorCode::InvalidRecord));
    bench.say(None, &[("a", Some("1"))]);
    bench.roll();
    bench.clean();
    assert_eq!(bench.view(), bench.truth());
}

#[test]
fn what_is_not_committed_or_young_or_in_the_last_segment_is_not_cleaned() {
    let mut bench = busy();
    let bases: Vec<Offset> = bench.log.segments().collect();
    let to = |bench: &Bench, high_watermark: u64| {
        bench.log.cleanable(at(bench.now), Offset(high_watermark)).map(|cleanable| cleanable.to)
    };
    assert_eq!(to(&bench, u64::MAX), bases.last().copied());
    assert_eq!(to(&bench, bases[3].0 + 1), Some(bases[3]), "the high watermark lies in a segment");
    assert_eq!(to(&bench, bases[1].0 - 1), None);
    bench.log.reconfigure(LogConfig { min_compaction_lag_ms: Duration::from_millis(200), ..compacted() });
    let young = to(&bench, u64::MAX).expect("the first are old enough");
    assert!(young < *bases.last().expect("some") && bases.contains(&young));
    bench.log.reconfigure(LogConfig { min_cleanable_dirty_ratio: Ratio(1, 1), ..compacted() });
    assert_eq!(to(&bench, u64::MAX), None, "no more than all of it is dirty");
    let max_compaction_lag_ms = Duration::from_millis(100);
    let config = LogConfig { min_cleanable_dirty_ratio: Ratio(1, 1), max_compaction_lag_ms, ..compacted() };
    bench.log.reconfigure(config);
    assert_eq!(to(&bench, u64::MAX), bases.last().copied(), "KIP-354: it is too old to stay");
    bench.log.reconfigure(tiny());
    assert_eq!(to(&bench, u64::MAX), None, "cleanup.policy=delete");
}

#[test]
fn damage_stops_the_cleaning_for_good_and_leaves_the_log_as_it_is() {
    let mut bench = busy();
    let before = bench.disk.clone();
    let second = bench.log.segments().nth(1).expect("several");
    let file = FileName::of_log(PARTITION, FileKind::Segment(second));
    bench.disk.cache.get_mut(&file).expect("it is there")[70] ^= 1;
    assert!(bench.begin());
    let ended = bench.settle();
    assert!(ended.iter().any(|progress| progress.cleaned));
    let why = Uncleanable::Corrupt;
    assert!(bench.events.contains(&Event::LogUncleanable { partition: PARTITION, why }));
    assert!(!bench.begin());
    assert_eq!(bench.disk.list(), before.list(), "nothing is left of it");
    bench.disk = before;
    assert_eq!(bench.view(), bench.truth());
}

#[test]
fn only_a_log_whose_policy_says_so_loses_records_by_age() {
    let retention_ms = Some(Duration::from_millis(1));
    for (policy, loses) in [(CleanupPolicy::Compact, false), (CleanupPolicy::CompactDelete, true)] {
        let mut bench = busy();
        bench.log.reconfigure(LogConfig { cleanup_policy: policy, retention_ms, ..compacted() });
        let now = at(bench.now + HOUR);
        bench.log.retain(now, bench.log.end(), &mut bench.work, &mut bench.events);
        bench.settle();
        assert_eq!(bench.log.start() > Offset(0), loses);
    }
}
