//! What do the log's historical bugs do?

use super::*;
use crate::museum::Bug;

/// What a log with `museum` is after one batch of each of 30 producers, a flush, and no power for a
/// moment.
fn recovered(museum: Museum) -> Log {
    let mut bench = Bench::with(tiny(), museum);
    for nth in 0..30u64 {
        let stamp =
            ProducerStamp { id: ProducerId(nth), epoch: ProducerEpoch(0), base_sequence: Sequence(0) };
        let batch = batch_of(stamp, 1, 1_000);
        let (work, events) = (&mut bench.work, &mut bench.events);
        bench.log.append_leader(at(0), batch, LeaderEpoch(0), work, events).expect("it fits");
    }
    bench.flush();
    bench.disk.lose_power();
    let mut work = DiskWork::new();
    let files = recovery::logs_of(&bench.disk.list()).remove(&PARTITION).unwrap_or_default();
    let hints = Hints { recovery_point: bench.log.flushed(), ..unchecked() };
    let mut loader = recovery::Loader::begin(PARTITION, tiny(), hints, files, museum, &mut work);
    loop {
        let reply = bench.disk.perform(work.remove(0));
        if let Some(loaded) = loader.on_disk(at(0), &reply, &mut work, &mut vec![]).expect("fine") {
            return loaded.log;
        }
    }
}

#[test]
fn a_snapshot_that_was_not_synced_forgets_producers() {
    assert_eq!(recovered(Museum::CLOSED).producers().len(), 30);
    assert!(recovered(Museum::CLOSED.with(Bug::ProducerSnapshotNotSynced)).producers().len() < 30);
}

#[test]
fn epoch_zero_is_lost() {
    assert_eq!(recovered(Museum::CLOSED).last_epoch(), Some(LeaderEpoch(0)));
    let museum = Museum::CLOSED.with(Bug::EpochZeroLostOnRecovery);
    let mut bench = Bench::with(tiny(), museum);
    bench.append(3, 1, 0);
    bench.flush();
    let mut work = DiskWork::new();
    bench.disk.cache.remove(&FileName::of_log(PARTITION, FileKind::LeaderEpochs));
    let files = recovery::logs_of(&bench.disk.list()).remove(&PARTITION).unwrap_or_default();
    let mut loader = recovery::Loader::begin(PARTITION, tiny(), unchecked(), files, museum, &mut work);
    let log = loop {
        let reply = bench.disk.perform(work.remove(0));
        if let Some(loaded) = loader.on_disk(at(0), &reply, &mut work, &mut vec![]).expect("fine") {
            break loaded.log;
        }
    };
    assert_eq!((log.end(), log.last_epoch()), (Offset(3), None));
}

#[test]
fn a_snapshot_tells_of_a_batch_that_was_not_appended() {
    let museum = Museum::CLOSED.with(Bug::ProducerStateMutatedBeforeAppend);
    let mut bench = Bench::with(tiny(), museum);
    let mut sequence = 0;
    let mut append = |bench: &mut Bench| {
        let base_sequence = Sequence(sequence);
        sequence += 1;
        let stamp = ProducerStamp { id: ProducerId(1), epoch: ProducerEpoch(0), base_sequence };
        let (work, events) = (&mut bench.work, &mut bench.events);
        bench
            .log
            .append_leader(at(0), batch_of(stamp, 1, 1_000), LeaderEpoch(0), work, events)
            .expect("fits");
    };
    while bench.log.segments().count() == 1 {
        append(&mut bench);
    }
    bench.settle();
    let rolled = bench.log.segments().last().expect("one");
    let snapshot = &bench.disk.cache[&FileName::of_log(PARTITION, FileKind::ProducerSnapshot(rolled))];
    let told = Producers::decode(snapshot, rolled).expect("whole");
    let last = told.get(ProducerId(1)).and_then(|p| p.batches.last().copied()).expect("known");
    assert!(last.end() > rolled);
}

#[test]
fn an_election_leaves_no_trace_until_the_first_batch() {
    let mut bench = Bench::with(tiny(), Museum::CLOSED.with(Bug::EpochStartNotRecordedOnElection));
    bench.log.assign_epoch(LeaderEpoch(4), &mut bench.work);
    assert_eq!(bench.log.last_epoch(), None);
    bench.append(1, 1, 4);
    assert_eq!(bench.log.last_epoch(), Some(LeaderEpoch(4)));
}
