//! Does a log keep its promises, whatever is done to it and whenever it dies?

mod recovering;
#[cfg(feature = "museum")]
mod planted;

use alloc::{vec, vec::Vec};
use core::time::Duration;

use super::{
    testing::{PARTITION, TestDisk, at, batch, batch_at, batch_of, tiny},
    *,
};
use crate::{
    disk::{DiskDone, DiskOp, DiskReply, DiskRequest, FileKind, Suffix},
    event::{Event, LogStartReason, TruncateReason},
    log::{
        batch::ProducerStamp,
        recovery::{Hints, Loaded},
    },
    units::{ProducerEpoch, ProducerId, RecordCount, Sequence},
};

/// A log with its disk.
struct Bench {
    log: Log,
    disk: TestDisk,
    work: DiskWork,
    events: Vec<Event>,
}

impl Bench {
    fn new(config: LogConfig) -> Bench {
        Bench::with(config, Museum::CLOSED)
    }

    fn with(config: LogConfig, museum: Museum) -> Bench {
        let mut work = DiskWork::new();
        let log = Log::create(PARTITION, config, Offset(0), at(0), museum, &mut work);
        let mut bench = Bench { log, disk: TestDisk::default(), work, events: Vec::new() };
        bench.settle();
        bench
    }

    fn settle(&mut self) -> Vec<Progress> {
        self.disk.run(&mut self.log, &mut self.work, &mut self.events)
    }

    /// Appends `count` batches of `records` as leader of `epoch`, without the disk.
    fn append(&mut self, count: u64, records: u64, epoch: u32) {
        for _ in 0..count {
            let time = 1_000 + self.log.end().0 as i64;
            let batch = batch(records, time);
            let (work, events) = (&mut self.work, &mut self.events);
            self.log.append_leader(at(0), batch, LeaderEpoch(epoch), work, events).expect("it fits");
        }
    }

    /// Looks a time up, on the disk if need be.
    fn find_time(&mut self, time: Timestamp, bound: Offset) -> Option<FoundTime> {
        match self.log.find_time(time, bound) {
            TimeLookup::Found(found) => found,
            TimeLookup::Cold(cold) => {
                self.log.begin_cold(cold, 1, &mut self.work);
                let done = self.settle().into_iter().find_map(|p| p.cold).expect("an answer");
                match done.answer {
                    Ok(ColdAnswer::Time(found)) => found,
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn flush(&mut self) {
        self.log.flush(&mut self.work);
        self.settle();
    }

    fn truncate(&mut self, to: u64) {
        let (work, events) = (&mut self.work, &mut self.events);
        self.log.truncate_to(at(0), Offset(to), TruncateReason::Diverged, Offset(0), work, events);
    }

    /// The base offset, epoch and CRC of every batch from `from` on, through the disk if need be.
    fn read(&mut self, from: u64) -> Vec<(u64, u32, u32)> {
        let mut all: Vec<Batch> = Vec::new();
        let mut next = Offset(from);
        while next < self.log.end() {
            let batches = match self.log.read(next, self.log.end(), 300, true).expect("in range") {
                Read::Batches(batches) => batches,
                Read::Cold(cold) => {
                    self.log.begin_cold(cold, 77, &mut self.work);
                    let done = self.settle().into_iter().find_map(|p| p.cold).expect("an answer");
                    assert_eq!(done.waiter, 77);
                    match done.answer {
                        Ok(ColdAnswer::Batches(batches)) => batches,
                        other => panic!("{other:?}"),
                    }
                }
            };
            next = batches.last().expect("at least one").end_offset();
            all.extend(batches);
        }
        all.iter().map(|b| (b.base_offset().0, b.leader_epoch().0, b.header().crc)).collect()
    }

    fn load(&mut self, hints: Hints) -> Loaded {
        let config = self.log.config().clone();
        self.work.clear();
        let loaded = self.disk.load(config, hints, &mut self.events);
        self.log = loaded.log.clone();
        loaded
    }

    fn sound(&self) {
        let log = &self.log;
        assert!(log.start() <= log.end() && log.flushed() <= log.written() && log.written() <= log.end());
        let mut end = None;
        for segment in &log.segments {
            assert!(end.is_none_or(|end| end == segment.base), "segments follow each other");
            end = Some(segment.end);
        }
        assert_eq!(end, Some(log.end()));
    }
}

fn unchecked() -> Hints {
    Hints::default()
}

#[test]
fn the_three_ends_move_one_after_the_other() {
    let mut bench = Bench::new(tiny());
    bench.append(1, 3, 1);
    let ends = |log: &Log| (log.flushed().0, log.written().0, log.end().0);
    assert_eq!(ends(&bench.log), (0, 0, 3));
    bench.settle();
    assert_eq!(ends(&bench.log), (0, 3, 3));
    bench.flush();
    assert_eq!(ends(&bench.log), (3, 3, 3));
}

#[test]
fn written_has_no_gap_when_segments_answer_out_of_order() {
    let mut bench = Bench::new(tiny());
    bench.append(12, 1, 1);
    let writes: Vec<DiskRequest> =
        bench.work.drain(..).filter(|r| matches!(r.op, DiskOp::Append(_))).collect();
    let (first, later): (Vec<_>, Vec<_>) =
        writes.into_iter().partition(|r| r.file.kind == FileKind::Segment(Offset(0)));
    assert!(!later.is_empty(), "the log has rolled");
    for request in later.into_iter().chain(first.clone()) {
        let before = bench.log.written();
        let reply = DiskReply { tag: request.tag, file: request.file, outcome: Ok(DiskDone::Written) };
        bench.log.on_disk(at(0), &reply, &mut bench.work, &mut bench.events).expect("fine");
        if request.file.kind != FileKind::Segment(Offset(0)) {
            assert_eq!(bench.log.written(), before);
        }
    }
    assert_eq!(bench.log.written(), Offset(12));
}

#[test]
fn a_log_reads_alike_from_memory_and_from_the_disk() {
    let mut bench = Bench::new(tiny());
    bench.append(30, 2, 1);
    bench.settle();
    assert!(bench.log.segments().count() > 3);
    let from_disk = bench.read(0);
    assert_eq!(from_disk.len(), 30);
    bench.log.config.cache_bytes = usize::MAX;
    for from in 0..60 {
        assert_eq!(bench.read(from), from_disk[from as usize / 2..], "from {from}");
    }
    assert_eq!(bench.log.read(Offset(61), Offset(60), 1, true), Err(ErrorCode::OffsetOutOfRange));
    bench.sound();
}

#[test]
fn no_read_reaches_past_its_bound() {
    let mut bench = Bench::new(LogConfig { cache_bytes: 1 << 20, ..tiny() });
    bench.append(5, 2, 1);
    for bound in 0..=10 {
        let Ok(Read::Batches(batches)) = bench.log.read(Offset(0), Offset(bound), u32::MAX, true) else {
            panic!("it is in memory")
        };
        assert_eq!(batches.last().map_or(0, |b| b.end_offset().0), bound / 2 * 2);
    }
}

#[test]
fn a_batch_greater_than_the_read_is_read_whole() {
    let mut bench = Bench::new(LogConfig { segment_bytes: 1 << 20, ..tiny() });
    bench.append(1, 40, 1);
    bench.append(3, 1, 1);
    bench.settle();
    assert_eq!(bench.read(5).first().map(|b| b.0), Some(0));
}

#[test]
fn a_time_is_found_in_memory_and_on_the_disk() {
    let mut bench = Bench::new(tiny());
    bench.append(40, 1, 1);
    bench.settle();
    for time in 990..1_050i64 {
        let found = bench.find_time(Timestamp(time), Offset(40));
        let expected = (time < 1_040).then(|| (time - 1_000).max(0) as u64);
        assert_eq!(found.map(|f| f.offset.0), expected, "at {time}");
    }
    assert!(
        matches!(bench.log.find_max_timestamp(Offset(40)), TimeLookup::Found(Some(f)) if f.offset.0 == 39)
    );
    assert_eq!(bench.log.find_max_timestamp(Offset(39)), TimeLookup::Found(None), "not below the bound");
}

#[test]
fn a_time_within_a_compressed_batch_is_found_at_its_start() {
    let mut bench = Bench::new(tiny());
    bench.append(1, 2, 1);
    let mut bytes = batch(3, 2_000).encode().to_vec();
    // Said to be compressed: nobody looks whether it is.
    bytes[22] |= 1;
    let crc = super::crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let compressed = Batch::decode(&mut bytes.into()).expect("its CRC agrees");
    let last = compressed.header().max_timestamp;
    let appended =
        bench.log.append_leader(at(0), compressed, LeaderEpoch(1), &mut bench.work, &mut bench.events);
    assert_eq!(appended, Ok(Appended::New(Offset(2)..Offset(5))));
    bench.append(1, 1, 1);
    bench.settle();
    let found = bench.find_time(last, Offset(6)).map(|found| (found.offset, found.timestamp));
    assert_eq!(found, Some((Offset(2), last)));
}

#[test]
fn a_duplicate_gets_the_offsets_it_had() {
    let mut bench = Bench::new(tiny());
    let stamp = |sequence| ProducerStamp {
        id: ProducerId(3),
        epoch: ProducerEpoch(0),
        base_sequence: Sequence(sequence),
    };
    let mut append = |sequence| {
        let batch = batch_of(stamp(sequence), 2, 1_000);
        bench.log.append_leader(at(0), batch, LeaderEpoch(1), &mut bench.work, &mut bench.events)
    };
    assert_eq!(append(0), Ok(Appended::New(Offset(0)..Offset(2))));
    assert_eq!(append(2), Ok(Appended::New(Offset(2)..Offset(4))));
    assert_eq!(append(0), Ok(Appended::Duplicate(Offset(0)..Offset(2))));
    assert_eq!(append(6), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(bench.log.end(), Offset(4));
}

#[test]
fn what_is_too_large_is_refused() {
    let mut bench = Bench::new(LogConfig { max_message_bytes: 500, segment_bytes: 300, ..tiny() });
    let mut append = |records| {
        let batch = batch(records, 1_000);
        bench.log.append_leader(at(0), batch, LeaderEpoch(1), &mut bench.work, &mut bench.events)
    };
    assert_eq!(append(9), Err(ErrorCode::MessageTooLarge));
    assert_eq!(append(3), Err(ErrorCode::RecordListTooLarge));
    assert!(append(1).is_ok());
}

#[test]
fn log_append_time_is_the_leaders() {
    let config = LogConfig { timestamp_type: crate::config::TimestampType::LogAppendTime, ..tiny() };
    let mut bench = Bench::new(config);
    bench.append(1, 2, 1);
    let batch = bench.log.cached().next().expect("it is cached").clone();
    let times: Vec<_> = batch.decode_records().map(|r| r.expect("sound").timestamp).collect();
    assert_eq!(times, [at(0).wall; 2]);
    assert_eq!(Batch::decode(&mut batch.encode()), Ok(batch), "the CRC is that of the new time");
}

#[test]
fn a_follower_appends_only_at_its_end() {
    let mut bench = Bench::new(tiny());
    let mut append =
        |base| bench.log.append_follower(at(0), batch_at(base, 2, 1), &mut bench.work, &mut bench.events);
    assert_eq!(append(0), Ok(()));
    assert_eq!(append(4), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(append(0), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(append(2), Ok(()));
}

#[test]
fn a_follower_may_begin_with_a_batch_that_holds_the_start() {
    let mut bench = Bench::new(tiny());
    bench.log.reset_to(
        at(0),
        Offset(5),
        TruncateReason::OutOfRange,
        Offset(0),
        &mut bench.work,
        &mut bench.events,
    );
    let batch = batch_at(4, 3, 1);
    bench.log.append_follower(at(0), batch, &mut bench.work, &mut bench.events).expect("it holds 5");
    bench.flush();
    assert_eq!((bench.log.start(), bench.log.end()), (Offset(5), Offset(7)));
    let loaded = bench.load(Hints { log_start: Offset(5), ..unchecked() });
    assert_eq!((loaded.log.start(), loaded.log.end(), loaded.cut), (Offset(5), Offset(7), 0));
}

#[test]
fn flush_by_count_and_by_time() {
    let mut bench = Bench::new(LogConfig { flush_messages: 4, ..tiny() });
    bench.append(3, 1, 1);
    bench.settle();
    assert_eq!(bench.log.flushed(), Offset(0));
    bench.append(1, 1, 1);
    bench.settle();
    assert_eq!(bench.log.flushed(), Offset(4));

    let mut bench = Bench::new(LogConfig { flush_ms: Some(Duration::from_millis(5)), ..tiny() });
    assert_eq!(bench.log.deadline(), None);
    bench.append(1, 1, 1);
    assert_eq!(bench.log.deadline(), Some(at(5).monotonic));
    bench.log.tick(at(5), &mut bench.work, &mut bench.events);
    bench.settle();
    assert_eq!(bench.log.flushed(), Offset(1));
    assert_eq!(bench.log.deadline(), None);
}

#[test]
fn what_must_be_flushed_is_not_written_before() {
    let mut bench = Bench::new(LogConfig { flush_messages: 2, ..tiny() });
    bench.append(3, 1, 1);
    // The epoch is saved, too, and that is nobody's business here.
    bench.work.retain(|request| matches!(request.file.kind, FileKind::Segment(_)));
    let mut seen = Vec::new();
    for request in core::mem::take(&mut bench.work) {
        let flushes = matches!(request.op, DiskOp::Flush | DiskOp::SyncDir);
        let reply = bench.disk.perform(request);
        bench.log.on_disk(at(0), &reply, &mut bench.work, &mut bench.events).expect("it is well");
        seen.push((flushes, bench.log.written().0, bench.log.flushed().0));
    }
    let appends = [(false, 1, 0), (false, 1, 0)];
    let flushes = [(true, 1, 0), (true, 2, 2)];
    assert_eq!(seen, [&appends[..], &flushes, &[(false, 3, 2)]].concat());
}

#[test]
fn a_segment_rolls_when_its_records_span_too_long() {
    let mut bench = Bench::new(LogConfig { segment_ms: Duration::from_millis(10), ..tiny() });
    for time in [1_000, 1_010, 1_011, 1_012] {
        let batch = batch(1, time);
        bench
            .log
            .append_leader(at(0), batch, LeaderEpoch(1), &mut bench.work, &mut bench.events)
            .expect("fits");
    }
    assert_eq!(bench.log.segments().collect::<Vec<_>>(), [Offset(0), Offset(2)]);
    assert!(bench.events.iter().any(|e| matches!(e, Event::SegmentRolled { base: Offset(2), .. })));
}

#[test]
fn a_cut_forgets_everything_behind_it_wherever_it_falls() {
    for clean in [false, true] {
        for to in 0..=40 {
            let mut bench = Bench::new(tiny());
            bench.append(10, 2, 1);
            bench.append(10, 2, 2);
            bench.settle();
            let all = bench.read(0);
            if clean {
                // After a clean start memory knows no batch, so every place is looked for on the disk.
                bench.log.close(&mut bench.work);
                bench.settle();
                bench.load(Hints { clean: true, ..unchecked() });
            }
            bench.truncate(to);
            bench.settle();
            let end = to / 2 * 2;
            assert_eq!(bench.log.end(), Offset(end), "cut at {to}");
            assert_eq!(
                bench.log.last_epoch(),
                [None, Some(LeaderEpoch(1)), Some(LeaderEpoch(2))][end.div_ceil(20) as usize]
            );
            bench.sound();
            assert_eq!(bench.read(0), all[..end as usize / 2]);
            bench.append(3, 1, 3);
            bench.settle();
            bench.sound();
            let expected = bench.read(0);
            assert_eq!(expected.len(), end as usize / 2 + 3);
            let loaded = bench.load(unchecked());
            assert_eq!((loaded.cut, loaded.log.end()), (0, Offset(end + 3)), "cut at {to}, clean {clean}");
            assert_eq!(bench.read(0), expected);
        }
    }
}

#[test]
fn what_is_appended_after_a_cut_waits_until_the_cut_is_durable() {
    let mut bench = Bench::new(LogConfig { cache_bytes: 1 << 20, ..tiny() });
    bench.append(20, 1, 1);
    bench.flush();
    bench.truncate(3);
    bench.append(1, 1, 2);
    let appends =
        |work: &DiskWork| work.iter().filter(|r| matches!(&r.op, DiskOp::Append(c) if !c.is_empty())).count();
    let mut flushed_cut = false;
    while let Some(request) = (!bench.work.is_empty()).then(|| bench.work.remove(0)) {
        let of_cut = request.op == DiskOp::Flush && request.file.kind == FileKind::Segment(Offset(0));
        assert!(flushed_cut || of_cut || appends(&bench.work) == 0);
        flushed_cut |= of_cut;
        let reply = bench.disk.perform(request);
        bench.log.on_disk(at(0), &reply, &mut bench.work, &mut bench.events).expect("fine");
    }
    assert_eq!(bench.log.written(), Offset(4));
}

#[test]
fn a_read_that_a_cut_overtakes_is_answered() {
    for to in [3, 19] {
        let mut bench = Bench::new(tiny());
        bench.append(20, 1, 1);
        bench.settle();
        let Ok(Read::Cold(cold)) = bench.log.read(Offset(0), Offset(20), 300, true) else {
            panic!("it is on the disk only")
        };
        bench.log.begin_cold(cold, 9, &mut bench.work);
        bench.truncate(to);
        let done = bench.settle().into_iter().find_map(|progress| progress.cold);
        assert_eq!(done, Some(ColdDone { waiter: 9, answer: Err(ErrorCode::OffsetOutOfRange) }));
    }
}

#[test]
fn a_log_begun_anew_has_nothing_of_the_old() {
    let mut bench = Bench::new(tiny());
    bench.append(20, 1, 1);
    bench.settle();
    bench.log.reset_to(
        at(0),
        Offset(100),
        TruncateReason::OutOfRange,
        Offset(0),
        &mut bench.work,
        &mut bench.events,
    );
    bench.settle();
    assert_eq!((bench.log.start(), bench.log.end(), bench.log.size()), (Offset(100), Offset(100), 0));
    let loaded = bench.load(unchecked());
    assert_eq!((loaded.log.start(), loaded.log.end(), loaded.cut), (Offset(100), Offset(100), 0));
    bench.append(2, 1, 3);
    bench.flush();
    assert_eq!(bench.load(unchecked()).log.end(), Offset(102));
}

#[test]
fn retention_deletes_whole_segments_below_the_high_watermark() {
    let config = LogConfig { retention_bytes: Some(1_500), ..tiny() };
    let mut bench = Bench::new(config);
    bench.append(40, 1, 1);
    bench.flush();
    let before = bench.log.size();
    bench.log.retain(at(0), Offset(9), &mut bench.work, &mut bench.events);
    assert!(bench.log.start() <= Offset(9) && bench.log.start() > Offset(0));
    bench.log.retain(at(0), Offset(40), &mut bench.work, &mut bench.events);
    bench.settle();
    assert!(bench.log.size() < before && bench.log.size() >= 1_500 && bench.log.size() < 1_500 + 1_000);
    assert_eq!(bench.log.epochs().entries(), [(LeaderEpoch(1), bench.log.start())]);
    let deleted = |disk: &TestDisk| disk.list().iter().filter(|(f, _)| f.suffix == Suffix::Deleted).count();
    assert!(deleted(&bench.disk) > 0);
    assert_eq!(bench.log.deadline(), Some(at(10).monotonic), "file.delete.delay.ms");
    bench.log.tick(at(10), &mut bench.work, &mut bench.events);
    bench.settle();
    assert_eq!(deleted(&bench.disk), 0);
    bench.sound();
}

#[test]
fn a_log_whose_records_are_all_too_old_keeps_its_end() {
    let mut bench = Bench::new(LogConfig { retention_ms: Some(Duration::from_millis(100)), ..tiny() });
    bench.append(20, 1, 1);
    bench.settle();
    bench.log.retain(at(1_000), Offset(20), &mut bench.work, &mut bench.events);
    bench.settle();
    assert_eq!((bench.log.start(), bench.log.end()), (Offset(20), Offset(20)));
    bench.disk.lose_power();
    let loaded = bench.load(unchecked());
    assert_eq!(loaded.log.end(), Offset(20), "offsets are never assigned twice");
}

#[test]
fn delete_records_moves_the_start_into_a_batch() {
    let mut bench = Bench::new(tiny());
    bench.append(20, 2, 1);
    bench.settle();
    bench.log.advance_start(
        at(0),
        Offset(23),
        LogStartReason::DeleteRecords,
        &mut bench.work,
        &mut bench.events,
    );
    bench.settle();
    assert_eq!(bench.log.start(), Offset(23));
    assert_eq!(bench.log.read(Offset(22), Offset(40), 1, true), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(bench.read(23)[0].0, 22, "the batch that holds it is read whole");
    let loaded = bench.load(Hints { log_start: Offset(23), ..unchecked() });
    assert_eq!(loaded.log.start(), Offset(23));
}

/// As Kafka does: the leader has lost what was deleted here, and an older log than ours begins.
#[test]
fn a_cut_below_the_start_begins_the_log_anew_there() {
    let mut bench = Bench::new(tiny());
    bench.append(20, 2, 1);
    bench.settle();
    let why = LogStartReason::DeleteRecords;
    bench.log.advance_start(at(0), Offset(23), why, &mut bench.work, &mut bench.events);
    bench.settle();
    let why = TruncateReason::OutOfRange;
    let end = bench.log.truncate_to(at(0), Offset(4), why, Offset(30), &mut bench.work, &mut bench.events);
    assert_eq!((end, bench.log.start(), bench.log.end()), (Offset(4), Offset(4), Offset(4)));
    let batch = batch_at(4, 2, 2);
    bench.log.append_follower(at(0), batch, &mut bench.work, &mut bench.events).expect("it follows");
    bench.flush();
    let loaded = bench.load(unchecked());
    assert_eq!((loaded.log.start(), loaded.log.end(), loaded.cut), (Offset(4), Offset(6), 0));
}
