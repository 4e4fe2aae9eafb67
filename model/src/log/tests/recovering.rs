//! Is everything that was flushed found again, and nothing that was not there?

use super::*;

#[test]
fn a_clean_start_reads_no_segment_and_forgets_nothing() {
    let mut bench = Bench::new(tiny());
    bench.append(10, 2, 1);
    let stamp = ProducerStamp { id: ProducerId(3), epoch: ProducerEpoch(0), base_sequence: Sequence(0) };
    let batch = batch_of(stamp, 2, 2_000);
    bench.log.append_leader(at(0), batch, LeaderEpoch(2), &mut bench.work, &mut bench.events).expect("fits");
    bench.log.close(&mut bench.work);
    assert!(!bench.log.is_closed());
    bench.settle();
    assert!(bench.log.is_closed());
    bench.disk.lose_power();
    let before = bench.log.clone();
    let all = bench.read(0);
    let mut disk = bench.disk.clone();
    // A segment that is read now would be found empty.
    for (file, content) in &mut disk.cache {
        if matches!(file.kind, FileKind::Segment(_)) {
            content.fill(0);
        }
    }
    for disk in [disk, bench.disk.clone()] {
        bench.disk = disk;
        let loaded = bench.load(Hints { clean: true, ..unchecked() });
        assert_eq!((loaded.cut, loaded.topic), (0, Some(PARTITION.topic)));
        assert_eq!((loaded.log.end(), loaded.log.flushed()), (Offset(22), Offset(22)));
        assert_eq!(loaded.log.epochs(), before.epochs());
        assert_eq!(loaded.log.producers(), before.producers());
        assert_eq!(loaded.log.last_batch(), before.last_batch());
    }
    assert_eq!(bench.read(0), all);
}

#[test]
fn flushed_segments_below_the_recovery_point_are_trusted() {
    let mut bench = Bench::new(tiny());
    bench.append(40, 1, 1);
    bench.flush();
    let first = FileName::of_log(PARTITION, FileKind::Segment(Offset(0)));
    bench.disk.cache.get_mut(&first).expect("it is there")[70] ^= 1;
    let mut other = Bench { log: bench.log.clone(), disk: bench.disk.clone(), work: vec![], events: vec![] };
    let loaded = other.load(Hints { recovery_point: Offset(40), ..unchecked() });
    assert_eq!((loaded.cut, loaded.log.end()), (0, Offset(40)));
    assert!(bench.load(unchecked()).cut > 0, "without it, everything is looked at");
    assert_eq!(bench.log.end(), Offset(0));
}

#[test]
fn a_torn_tail_is_cut_to_the_longest_sound_beginning() {
    let mut bench = Bench::new(tiny());
    bench.append(20, 1, 1);
    bench.settle();
    let all = bench.read(0);
    let active = FileName::of_log(PARTITION, FileKind::Segment(bench.log.segments().last().expect("one")));
    let whole = bench.disk.clone();
    let content = whole.cache[&active].clone();
    let base = bench.log.segments().last().expect("one").0;
    let size = content.len() / (20 - base) as usize;
    for cut in 0..content.len() {
        bench.disk = whole.clone();
        bench.disk.cache.insert(active, content[..cut].to_vec());
        let loaded = bench.load(unchecked());
        assert_eq!(loaded.log.end().0, base + (cut / size) as u64);
        assert_eq!(loaded.cut, (cut % size) as u64);
        bench.sound();
        let end = bench.log.end().0 as usize;
        assert_eq!(bench.read(0), all[..end]);
    }
    for flipped in (0..content.len()).step_by(7) {
        bench.disk = whole.clone();
        // Base offset and leader epoch lie outside the CRC.
        bench.disk.cache.get_mut(&active).expect("it is there")[flipped] ^= 0x10;
        bench.load(unchecked());
        let end = bench.log.end().0 as usize;
        assert!(end >= base as usize + flipped / size);
        assert_eq!(bench.read(0)[..base as usize + flipped / size], all[..base as usize + flipped / size]);
    }
}

#[test]
fn a_gap_between_segments_ends_the_log() {
    let mut bench = Bench::new(tiny());
    bench.append(30, 1, 1);
    bench.settle();
    let bases: Vec<Offset> = bench.log.segments().collect();
    bench.disk.cache.remove(&FileName::of_log(PARTITION, FileKind::Segment(bases[1])));
    let loaded = bench.load(unchecked());
    assert_eq!(loaded.log.end(), bases[1]);
    assert!(loaded.cut > 0);
    let left = bench.disk.list().iter().filter(|(f, _)| matches!(f.kind, FileKind::Segment(_))).count();
    assert_eq!(left, 1, "what came after the gap is gone");
}

#[test]
fn damaged_small_files_are_made_anew() {
    let mut bench = Bench::new(tiny());
    bench.append(10, 1, 1);
    bench.append(10, 1, 3);
    bench.log.close(&mut bench.work);
    bench.settle();
    let whole = bench.disk.clone();
    let (log, all) = (bench.log.clone(), bench.read(0));
    let small: Vec<FileName> =
        whole.cache.keys().filter(|f| !matches!(f.kind, FileKind::Segment(_))).copied().collect();
    assert!(small.len() > 4);
    for file in small {
        for content in [None, Some(vec![]), Some(b"0\n1\n9 9\n".to_vec())] {
            bench.disk = whole.clone();
            match content {
                Some(content) => drop(bench.disk.cache.insert(file, content)),
                None => drop(bench.disk.cache.remove(&file)),
            }
            bench.load(Hints { clean: true, ..unchecked() });
            assert_eq!(bench.log.epochs(), log.epochs(), "{file}");
            assert_eq!(bench.log.producers(), log.producers(), "{file}");
            assert_eq!(bench.read(0), all, "{file}");
        }
    }
}

#[test]
fn flushed_records_survive_the_power_whenever_it_fails() {
    // The same run is cut off after every single disk operation.
    let run = |bench: &mut Bench| {
        bench.append(9, 1, 1);
        bench.log.flush(&mut bench.work);
        bench.append(7, 2, 2);
        bench.log.flush(&mut bench.work);
        bench.truncate(12);
        bench.append(6, 1, 4);
        bench.log.flush(&mut bench.work);
    };
    for steps in 0.. {
        let mut bench = Bench::new(LogConfig { cache_bytes: 1 << 20, ..tiny() });
        run(&mut bench);
        let mut done = 0;
        let mut flushed = Offset(0);
        while done < steps && !bench.work.is_empty() {
            let reply = bench.disk.perform(bench.work.remove(0));
            bench.log.on_disk(at(0), &reply, &mut bench.work, &mut bench.events).expect("fine");
            (done, flushed) = (done + 1, bench.log.flushed());
        }
        let ended = bench.work.is_empty();
        let before = bench.log.clone();
        bench.disk.lose_power();
        let loaded = bench.load(unchecked());
        assert!(loaded.log.end() >= flushed, "after {done} operations, flushed to {flushed}");
        bench.sound();
        for batch in before.cached().filter(|b| b.end_offset() <= flushed) {
            let read = bench.read(batch.base_offset().0);
            assert_eq!(read[0].2, batch.header().crc, "what was flushed is what is read");
        }
        let epochs = bench.log.epochs().clone();
        let mut rebuilt = Epochs::new();
        for (base, epoch, _) in bench.read(0) {
            rebuilt.assign(LeaderEpoch(epoch), Offset(base));
        }
        assert_eq!(epochs, rebuilt);
        // And once more, at once.
        bench.disk.lose_power();
        assert_eq!(bench.load(unchecked()).log.end(), loaded.log.end());
        if ended {
            assert!(done > 20);
            break;
        }
    }
}

#[test]
fn producers_survive_a_restart_of_any_kind() {
    let mut bench = Bench::new(tiny());
    for nth in 0..30u32 {
        let stamp = ProducerStamp {
            id: ProducerId(u64::from(nth % 3)),
            epoch: ProducerEpoch(0),
            base_sequence: Sequence(nth / 3),
        };
        let batch = batch_of(stamp, 1, 1_000);
        bench
            .log
            .append_leader(at(0), batch, LeaderEpoch(1), &mut bench.work, &mut bench.events)
            .expect("fits");
    }
    bench.flush();
    let producers = bench.log.producers().clone();
    let snapshots =
        bench.disk.list().iter().filter(|(f, _)| matches!(f.kind, FileKind::ProducerSnapshot(_))).count();
    assert!(snapshots > 2, "one at every roll");
    assert_eq!(bench.load(unchecked()).log.producers(), &producers);
    let hints = Hints { recovery_point: Offset(30), ..unchecked() };
    assert_eq!(bench.load(hints).log.producers(), &producers);
    assert_eq!(producers.get(ProducerId(1)).map(|p| p.batches.len()), Some(5));
    assert_eq!(
        producers.get(ProducerId(1)).and_then(|p| p.batches.last()).map(|b| b.count),
        Some(RecordCount(1))
    );
}
