//! Does a disk keep what it says, and lose what it may?

use std::collections::BTreeSet;

use trial_model::{
    disk::{Dir, DiskTag, FileKind, Suffix},
    log::{batch::Batch, codec::BatchBuilder},
    time::Timestamp,
    units::{Offset, TopicId, TopicPartition},
};

use super::*;

const NODE: NodeId = NodeId::broker(1);
const ORDERS: TopicPartition = TopicPartition::new(TopicId(7), 0);
const SEGMENT: FileName = FileName::of_log(ORDERS, FileKind::Segment(Offset(0)));
const NEXT_SEGMENT: FileName = FileName::of_log(ORDERS, FileKind::Segment(Offset(90)));
const EPOCHS: FileName = FileName::of_log(ORDERS, FileKind::LeaderEpochs);
const VOTES: FileName = FileName::of_root(FileKind::QuorumState);

/// A disk and its clock: every operation is waited for.
struct Bench {
    disk: Disk,
    now: Instant,
}

impl Bench {
    fn new(seed: u64, config: DiskConfig) -> Bench {
        Bench { disk: Disk::new(seed, NODE, config), now: Instant::ZERO }
    }

    fn seeded(seed: u64) -> Bench {
        Bench::new(seed, DiskConfig::default())
    }

    fn ask(&mut self, file: FileName, op: DiskOp) {
        self.disk.perform(self.now, [DiskRequest { tag: DiskTag(0), file, op }]);
    }

    fn run(&mut self) -> Vec<DiskReply> {
        let mut replies = Vec::new();
        while let Some(due) = self.disk.next_due() {
            self.now = due;
            self.disk.advance(due, &mut replies);
        }
        replies.into_iter().map(|(_, reply)| reply).collect()
    }

    fn act(&mut self, file: FileName, op: DiskOp) -> Result<DiskDone, DiskError> {
        self.ask(file, op);
        self.run().pop().expect("every operation is answered").outcome
    }

    fn write(&mut self, file: FileName, bytes: &'static str) {
        assert_eq!(self.act(file, append(bytes)), Ok(DiskDone::Written));
    }

    fn flush(&mut self, file: FileName) {
        assert_eq!(self.act(file, DiskOp::Flush), Ok(DiskDone::Flushed));
    }

    fn sync(&mut self, file: FileName) {
        assert_eq!(self.act(file, DiskOp::SyncDir), Ok(DiskDone::Flushed));
    }

    fn text(&self, file: FileName) -> Option<String> {
        self.disk.read_raw(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn append(text: &'static str) -> DiskOp {
    DiskOp::Append(Content::Bytes(Bytes::from_static(text.as_bytes())))
}

fn batch(value: &str) -> Batch {
    let mut builder = BatchBuilder::new();
    builder.push(Timestamp(5), None, Some(value.as_bytes()), &[]);
    builder.build()
}

#[test]
fn operations_on_one_file_keep_their_order_and_others_overtake() {
    let mut bench = Bench::seeded(1);
    for n in 0..20 {
        let op = if n % 5 == 4 { DiskOp::Flush } else { append("x") };
        bench.disk.perform(bench.now, [DiskRequest { tag: DiskTag(n), file: SEGMENT, op }]);
    }
    bench.disk.perform(bench.now, [DiskRequest { tag: DiskTag(99), file: VOTES, op: append("y") }]);
    let tags: Vec<u64> = bench.run().iter().map(|reply| reply.tag.0).collect();
    let of_segment: Vec<u64> = tags.iter().copied().filter(|tag| *tag != 99).collect();
    assert_eq!(of_segment, (0..20).collect::<Vec<_>>());
    assert_ne!(tags.last(), Some(&99));
    assert_eq!(bench.now.0 % 1_000, 0);
}

#[test]
fn a_batch_is_read_back_as_its_bytes() {
    let mut bench = Bench::seeded(1);
    let (one, two) = (batch("one"), batch("another"));
    let all = [one.encode(), two.encode()].concat();
    for batch in [&one, &two] {
        assert_eq!(bench.act(SEGMENT, DiskOp::Append(Content::Batch(batch.clone()))), Ok(DiskDone::Written));
    }
    for at in 0..all.len() {
        for len in [1, 7, 70, 1_000] {
            let end = (at + len).min(all.len());
            let read = bench.disk.files.read(bench.disk.files.clone().hold(SEGMENT), at as u64, len as u64);
            assert_eq!(read.as_deref(), Some(&all[at..end]));
        }
    }
    let read = bench.act(SEGMENT, DiskOp::Read { at: 0, len: 1_000_000 });
    assert_eq!(read, Ok(DiskDone::Read(all.clone().into())));
    let past = bench.act(SEGMENT, DiskOp::Read { at: all.len() as u64, len: 5 });
    assert_eq!(past, Ok(DiskDone::Read(Bytes::new())));
    let cut = all.len() as u64 - 3;
    assert_eq!(bench.act(SEGMENT, DiskOp::Truncate(cut)), Ok(DiskDone::Written));
    assert_eq!(bench.disk.read_raw(SEGMENT).as_deref(), Some(&all[..cut as usize]));
    assert_eq!(bench.disk.files(), [(SEGMENT, cut)]);
}

#[test]
fn names_come_and_go() {
    let mut bench = Bench::seeded(1);
    let read = DiskOp::Read { at: 0, len: 1 };
    assert_eq!(bench.act(VOTES, read), Err(DiskError::NotFound));
    assert_eq!(bench.act(VOTES, DiskOp::Truncate(0)), Err(DiskError::NotFound));
    assert_eq!(bench.act(VOTES, DiskOp::Rename(Suffix::Tmp)), Err(DiskError::NotFound));
    assert_eq!(bench.act(VOTES, DiskOp::Remove), Ok(DiskDone::Written));
    bench.write(VOTES, "old");
    bench.write(VOTES.with(Suffix::Tmp), "new");
    // Asked for at once: the renaming waits for the write, and the read for the renaming.
    bench.ask(VOTES.with(Suffix::Tmp), append("er"));
    bench.ask(VOTES.with(Suffix::Tmp), DiskOp::Rename(Suffix::None));
    bench.ask(VOTES, DiskOp::Read { at: 0, len: 9 });
    let replies = bench.run();
    assert_eq!(replies[2].outcome, Ok(DiskDone::Read(Bytes::from_static(b"newer"))));
    bench.write(SEGMENT, "a");
    bench.write(EPOCHS, "bc");
    bench.ask(SEGMENT, append("d"));
    bench.ask(SEGMENT, DiskOp::RemoveDir);
    bench.ask(EPOCHS, append("again"));
    bench.run();
    let listed = bench.act(VOTES, DiskOp::List);
    assert_eq!(listed, Ok(DiskDone::Listed(vec![(VOTES, 5), (EPOCHS, 5)])));
}

#[test]
fn what_is_flushed_and_synced_survives_the_power() {
    for seed in 0..200 {
        let mut bench = Bench::seeded(seed);
        bench.write(SEGMENT, "flushed ");
        bench.flush(SEGMENT);
        bench.sync(SEGMENT);
        bench.write(SEGMENT, "and not");
        bench.disk.power_lost(bench.now);
        let text = bench.text(SEGMENT).expect("its name was synced");
        assert!(text.starts_with("flushed "), "{text:?}");
        assert_eq!(bench.disk.files(), [(SEGMENT, text.len() as u64)]);
    }
}

#[test]
fn what_is_written_survives_the_process() {
    for seed in 0..50 {
        let mut bench = Bench::seeded(seed);
        bench.write(SEGMENT, "written");
        bench.disk.process_died(bench.now);
        assert_eq!(bench.text(SEGMENT).as_deref(), Some("written"));
    }
}

#[test]
fn of_what_is_in_flight_a_beginning_is_carried_out() {
    let mut seen = BTreeSet::new();
    for seed in 0..300 {
        let mut bench = Bench::seeded(seed);
        bench.ask(SEGMENT, append("abc"));
        bench.ask(SEGMENT, append("def"));
        bench.ask(SEGMENT, append("ghi"));
        bench.disk.process_died(bench.now);
        assert_eq!(bench.disk.next_due(), None, "nobody gets replies");
        let text = bench.text(SEGMENT).unwrap_or_default();
        assert!("abcdefghi".starts_with(&text), "{text:?}");
        seen.insert(text.len());
    }
    assert_eq!(seen, (0..=9).collect());
}

#[test]
fn every_loss_of_unflushed_bytes_is_drawn_by_some_seed() {
    let (mut nothing, mut all, mut torn, mut hole) = (0, 0, 0, 0);
    for seed in 0..400 {
        let mut bench = Bench::seeded(seed);
        let whole = batch("some value").encode();
        bench.write(SEGMENT, "x");
        bench.sync(SEGMENT);
        bench.flush(SEGMENT);
        let op = DiskOp::Append(Content::Batch(batch("some value")));
        assert_eq!(bench.act(SEGMENT, op), Ok(DiskDone::Written));
        bench.disk.power_lost(bench.now);
        let left = bench.disk.read_raw(SEGMENT).expect("its name was synced").slice(1..);
        match left.len() {
            0 => nothing += 1,
            _ if left == whole => all += 1,
            n if left == whole[..n] => torn += 1,
            _ => hole += 1,
        }
    }
    assert!(nothing > 50 && all > 50 && torn > 50 && hole > 10, "{nothing} {all} {torn} {hole}");
}

#[test]
fn an_unflushed_truncation_may_be_undone() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let mut bench = Bench::seeded(seed);
        bench.write(SEGMENT, "0123456789");
        bench.flush(SEGMENT);
        bench.sync(SEGMENT);
        assert_eq!(bench.act(SEGMENT, DiskOp::Truncate(4)), Ok(DiskDone::Written));
        bench.write(SEGMENT, "ab");
        bench.disk.power_lost(bench.now);
        seen.insert(bench.text(SEGMENT).expect("its name was synced").replace('\0', "_"));
    }
    for wanted in ["0123456789", "0123", "0123a", "0123ab", "0123_b"] {
        assert!(seen.contains(wanted), "{wanted} not in {seen:?}");
    }
    assert!(seen.iter().all(|text| text.starts_with("0123")));
}

#[test]
fn a_replacement_in_place_may_lose_both() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let mut bench = Bench::new(seed, DiskConfig { holes: Ratio::NEVER, ..DiskConfig::default() });
        bench.write(VOTES, "old");
        bench.flush(VOTES);
        bench.sync(VOTES);
        let replaced = bench.act(VOTES, DiskOp::Replace(Bytes::from_static(b"new")));
        assert_eq!(replaced, Ok(DiskDone::Written));
        bench.disk.power_lost(bench.now);
        seen.insert(bench.text(VOTES).expect("its name was synced"));
    }
    let wanted = ["", "n", "ne", "new", "old"].map(String::from);
    assert_eq!(seen, wanted.into_iter().collect());
}

#[test]
fn unsynced_names_are_lost_one_by_one() {
    let mut seen = BTreeSet::new();
    for seed in 0..300 {
        let mut bench = Bench::seeded(seed);
        bench.write(SEGMENT, "s");
        bench.write(VOTES, "old");
        bench.flush(SEGMENT);
        bench.flush(VOTES);
        bench.sync(SEGMENT);
        bench.sync(VOTES);
        // A creation, a replacement by renaming, and a removal.
        bench.write(NEXT_SEGMENT, "n");
        bench.flush(NEXT_SEGMENT);
        bench.write(VOTES.with(Suffix::Tmp), "new");
        bench.flush(VOTES.with(Suffix::Tmp));
        bench.act(VOTES.with(Suffix::Tmp), DiskOp::Rename(Suffix::None)).expect("it is there");
        bench.act(SEGMENT, DiskOp::Remove).expect("it is there");
        bench.disk.power_lost(bench.now);
        let votes = bench.text(VOTES).expect("one or the other is there");
        let there = |file| bench.text(file).is_some();
        seen.insert((there(SEGMENT), there(NEXT_SEGMENT), votes));
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn synced_names_are_not_lost() {
    for seed in 0..100 {
        let mut bench = Bench::seeded(seed);
        bench.write(SEGMENT, "s");
        bench.write(VOTES.with(Suffix::Tmp), "new");
        bench.flush(VOTES.with(Suffix::Tmp));
        bench.act(VOTES.with(Suffix::Tmp), DiskOp::Rename(Suffix::None)).expect("it is there");
        bench.act(SEGMENT, DiskOp::RemoveDir).expect("it is there");
        bench.sync(VOTES);
        bench.disk.power_lost(bench.now);
        assert_eq!(bench.disk.files(), [(VOTES, 3)]);
    }
}

#[test]
fn a_directory_made_again_outlives_the_removal_of_its_predecessor() {
    for seed in 0..100 {
        let mut bench = Bench::seeded(seed);
        bench.write(SEGMENT, "old");
        bench.sync(SEGMENT);
        bench.act(SEGMENT, DiskOp::RemoveDir).expect("it is there");
        bench.write(EPOCHS, "new");
        bench.flush(EPOCHS);
        bench.sync(EPOCHS);
        bench.sync(VOTES);
        bench.disk.power_lost(bench.now);
        assert_eq!(bench.disk.files(), [(EPOCHS, 3)]);
    }
}

#[test]
fn what_was_written_long_ago_is_on_the_platter() {
    for seed in 0..100 {
        let mut bench = Bench::seeded(seed);
        bench.write(SEGMENT, "long ago");
        bench.now = bench.now + Duration::from_secs(31);
        bench.write(SEGMENT, " and now");
        bench.disk.power_lost(bench.now);
        let text = bench.text(SEGMENT).expect("its name was written long ago");
        assert!(text.starts_with("long ago"), "{text:?}");
    }
}

#[test]
fn a_lying_flush_loses_what_it_promised() {
    let mut lost = 0;
    for seed in 0..50 {
        let mut bench = Bench::seeded(seed);
        bench.write(SEGMENT, "x");
        bench.sync(SEGMENT);
        bench.disk.begin(bench.now, FaultId(1), DiskFault::LyingFlush);
        bench.flush(SEGMENT);
        assert!(bench.disk.end(FaultId(1), bench.now));
        bench.disk.power_lost(bench.now);
        lost += usize::from(bench.text(SEGMENT).as_deref() == Some(""));
    }
    assert!(lost > 5);
}

#[test]
fn errors_hit_the_named_kind_and_may_leave_a_part() {
    let mut left = BTreeSet::new();
    for seed in 0..100 {
        let mut bench = Bench::seeded(seed);
        bench.write(SEGMENT, "ab");
        let fault = DiskFault::Errors { on: OpKind::Write, chance: Ratio::ALWAYS };
        bench.disk.begin(bench.now, FaultId(3), fault);
        assert_eq!(bench.act(SEGMENT, append("cd")), Err(DiskError::Io));
        bench.flush(SEGMENT);
        assert!(bench.disk.end(FaultId(3), bench.now));
        left.insert(bench.text(SEGMENT).expect("it was there before"));
        bench.write(SEGMENT, "!");
    }
    assert_eq!(left, ["ab", "abc", "abcd"].map(String::from).into_iter().collect());
}

#[test]
fn a_full_disk_takes_what_fits() {
    let mut bench = Bench::new(1, DiskConfig { capacity: Some(5), ..DiskConfig::default() });
    bench.write(VOTES, "abc");
    assert_eq!(bench.act(SEGMENT, append("def")), Err(DiskError::Full));
    assert_eq!(bench.text(SEGMENT).as_deref(), Some("de"));
    bench.act(VOTES, DiskOp::Remove).expect("it is there");
    bench.write(SEGMENT, "fgh");
    bench.disk.begin(bench.now, FaultId(1), DiskFault::Full);
    assert_eq!(bench.act(VOTES, append("x")), Err(DiskError::Full));
}

#[test]
fn a_slow_disk_takes_longer() {
    let latency = Latency::fixed(Duration::from_micros(10));
    let mut bench = Bench::new(1, DiskConfig { write: latency, ..DiskConfig::default() });
    bench.write(SEGMENT, "x");
    assert_eq!(bench.now, Instant(10_000));
    let add = Duration::from_millis(5);
    bench.disk.begin(bench.now, FaultId(1), DiskFault::Slow { add, factor: 3 });
    bench.write(SEGMENT, "x");
    assert_eq!(bench.now, Instant(5_040_000));
}

#[test]
fn what_has_queued_up_on_a_slow_disk_is_done_soon_after() {
    let mut bench = Bench::seeded(1);
    bench.disk.begin(bench.now, FaultId(1), DiskFault::Slow { add: Duration::from_secs(1), factor: 1 });
    for _ in 0..100 {
        bench.ask(SEGMENT, DiskOp::Append(Content::Bytes("x".into())));
    }
    bench.disk.end(FaultId(1), Instant(1_000_000));
    let replies = bench.run();
    assert_eq!(replies.len(), 100);
    assert!(bench.now < Instant(1_000_000_000), "{}", bench.now);
    assert_eq!(bench.disk.read_raw(SEGMENT).expect("it is there").len(), 100);
}

#[test]
fn nobody_waits_for_what_a_dead_process_had_asked_for() {
    let mut bench = Bench::seeded(1);
    bench.disk.begin(bench.now, FaultId(1), DiskFault::Slow { add: Duration::from_secs(1), factor: 1 });
    for _ in 0..100 {
        bench.ask(SEGMENT, append("x"));
    }
    bench.now = Instant(2_500_000_000);
    bench.disk.advance(bench.now, &mut Vec::new());
    bench.disk.process_died(bench.now);
    bench.disk.end(FaultId(1), bench.now);
    bench.write(SEGMENT, "y");
    assert!(bench.now < Instant(2_600_000_000), "{}", bench.now);
    assert!(bench.text(SEGMENT).expect("it is there").ends_with("xy"));
}

/// When the sync of a directory is done that is asked for now.
fn synced_at(bench: &mut Bench, file: FileName) -> Instant {
    bench.disk.perform(bench.now, [DiskRequest { tag: DiskTag(7), file, op: DiskOp::SyncDir }]);
    let (mut disk, mut replies) = (bench.disk.clone(), Vec::new());
    disk.advance(Instant(u64::MAX), &mut replies);
    replies.iter().rfind(|(_, reply)| reply.tag == DiskTag(7)).expect("it is answered").0
}

#[test]
fn a_sync_waits_for_what_is_done_in_its_directory_and_that_of_the_root_for_all() {
    const MS: u64 = 1_000_000;
    let fixed = |millis| Latency::fixed(Duration::from_millis(millis));
    let mut bench =
        Bench::new(1, DiskConfig { write: fixed(1_000), flush: fixed(1), ..DiskConfig::default() });
    let another = FileName::of_log(TopicPartition::METADATA, FileKind::Segment(Offset(0)));
    bench.ask(SEGMENT, append("x"));
    assert_eq!(synced_at(&mut bench, another), Instant(MS), "nothing is done in its directory");
    assert_eq!(
        synced_at(&mut bench, EPOCHS),
        Instant(1_001 * MS),
        "another file of the directory is written"
    );
    assert_eq!(synced_at(&mut bench, VOTES), Instant(1_002 * MS), "the root's waits for that");
    bench.now = Instant(500 * MS);
    bench.disk.advance(bench.now, &mut Vec::new());
    bench.disk.process_died(bench.now);
    assert_eq!(synced_at(&mut bench, EPOCHS), Instant(501 * MS), "nobody waits for the dead");
    bench.disk.process_died(bench.now);
    assert_eq!(synced_at(&mut bench, VOTES), Instant(501 * MS), "nor does the root's");
}

/// Names are synced by directory, and lost one by one in the order in which they were made: which are lost does
/// not hang on where they are.
#[test]
fn directories_that_were_not_synced_lose_names_by_the_same_dice() {
    let log = |n: u32| TopicPartition::new(TopicId(7), n);
    let segment = |n: u32| FileName::of_log(log(n), FileKind::Segment(Offset(0)));
    let left = |seed: u64, places: [u32; 6]| {
        let mut bench = Bench::seeded(seed);
        for n in places {
            bench.write(segment(n), "s");
            bench.flush(segment(n));
        }
        bench.sync(segment(places[2]));
        bench.disk.power_lost(bench.now);
        places.map(|n| bench.text(segment(n)).is_some())
    };
    let mut seen = BTreeSet::new();
    for seed in 0..400 {
        let here = left(seed, [1, 2, 3, 4, 5, 6]);
        assert!(here[2], "its directory was synced");
        assert_eq!(here, left(seed, [60, 11, 50, 22, 41, 35]));
        seen.insert(here);
    }
    assert_eq!(seen.len(), 32, "each of the other five is lost and kept");
}

#[test]
fn rot_flips_one_bit() {
    let flipped = |a: &[u8], b: &[u8]| -> u32 { a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum() };
    let mut bench = Bench::seeded(1);
    assert_eq!(bench.disk.begin(bench.now, FaultId(1), DiskFault::BitRot(RotIn::Segments)), None);
    let whole = batch("some value").encode();
    bench.act(SEGMENT, DiskOp::Append(Content::Batch(batch("some value")))).expect("it is well");
    bench.write(VOTES, "not a segment");
    let hit = bench.disk.begin(bench.now, FaultId(2), DiskFault::BitRot(RotIn::Segments));
    let (file, at) = hit.expect("something is stored");
    let rotten = bench.disk.read_raw(SEGMENT).expect("it is there");
    assert_eq!(file, SEGMENT);
    assert_eq!(flipped(&whole, &rotten), 1);
    assert_ne!(whole[at as usize], rotten[at as usize]);

    bench.disk.begin(bench.now, FaultId(3), DiskFault::BitRotOfRead(RotIn::File(VOTES)));
    let read = DiskOp::Read { at: 0, len: 100 };
    let Ok(DiskDone::Read(once)) = bench.act(VOTES, read.clone()) else { panic!("it is well") };
    let Ok(DiskDone::Read(again)) = bench.act(VOTES, read) else { panic!("it is well") };
    assert_eq!(flipped(&once, &again), 1);
    assert_eq!(again, "not a segment");
}

#[test]
fn rot_of_one_log_leaves_the_others_alone() {
    let mut bench = Bench::seeded(1);
    let another = FileName::of_log(TopicPartition::METADATA, FileKind::Segment(Offset(0)));
    bench.write(another, "of another log");
    bench.write(VOTES, "no log at all");
    let FileName { dir: Dir::Log(log), .. } = SEGMENT else { panic!("a segment is a log's") };
    let rot = DiskFault::BitRot(RotIn::Log(log));
    assert_eq!(bench.disk.begin(bench.now, FaultId(1), rot), None);
    bench.act(SEGMENT, DiskOp::Append(Content::Batch(batch("some value")))).expect("it is well");
    let hit = bench.disk.begin(bench.now, FaultId(2), rot).expect("it has a segment now");
    assert_eq!(hit.0, SEGMENT);
}

#[test]
fn a_replaced_disk_is_empty() {
    let mut bench = Bench::seeded(1);
    bench.write(SEGMENT, "x");
    bench.ask(SEGMENT, append("y"));
    bench.disk.replaced(bench.now);
    assert!(bench.disk.files().is_empty());
    assert_eq!(bench.disk.next_due(), None);
    bench.write(SEGMENT, "z");
    assert_eq!(bench.text(SEGMENT).as_deref(), Some("z"));
}

#[test]
fn what_was_removed_is_forgotten() {
    let mut bench = Bench::seeded(1);
    for base in 0..2_000 {
        let segment = FileName::of_log(ORDERS, FileKind::Segment(Offset(base)));
        bench.write(segment, "some bytes");
        bench.act(segment, DiskOp::Rename(Suffix::Deleted)).expect("it is there");
        bench.act(segment.with(Suffix::Deleted), DiskOp::Remove).expect("it is there");
        bench.now = bench.now + Duration::from_secs(1);
    }
    assert!(bench.disk.files().is_empty());
    assert_eq!(bench.disk.files.used(), 0);
    let kept = bench.disk.files.inodes_kept();
    assert!(kept < 400, "{kept} of 2000 removed files are still held");
}
