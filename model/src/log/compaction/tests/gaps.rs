//! What do those make of gaps who fetch, cut and look up?

use super::*;
use crate::event::TruncateReason;

/// A follower of `leader` that has fetched all of it.
fn follower(leader: &mut Bench) -> Bench {
    let mut follower = Bench::new(LogConfig { cache_bytes: 1, ..compacted() });
    for batch in leader.batches(Offset(0)) {
        let (work, events) = (&mut follower.work, &mut follower.events);
        follower.log.append_follower(at(0), batch, work, events).expect("it begins at the end, or after it");
    }
    follower.log.flush(&mut follower.work);
    follower.settle();
    follower.said = leader.said.clone();
    follower
}

/// A log with gaps, in segments that hold several batches.
fn with_gaps() -> Bench {
    let mut bench = Bench::new(compacted());
    for key in ["a", "b", "c", "d", "e", "f"] {
        for value in ["1", "2", "3"] {
            bench.say(None, &[(key, Some(value))]);
        }
    }
    bench.roll();
    assert!(bench.clean());
    bench
}

#[test]
fn a_follower_takes_a_log_with_gaps_and_finds_it_again() {
    let mut leader = with_gaps();
    let mut follower = follower(&mut leader);
    assert_eq!((follower.view(), follower.log.end()), (leader.truth(), leader.log.end()));
    follower.load(Hints::default());
    assert_eq!((follower.view(), follower.log.end()), (leader.truth(), leader.log.end()));
    follower.log.close(&mut follower.work);
    follower.settle();
    follower.load(Hints { clean: true, recovery_point: follower.log.end(), ..Hints::default() });
    assert_eq!((follower.view(), follower.log.end()), (leader.truth(), leader.log.end()));
}

#[test]
fn a_batch_before_the_end_is_still_refused() {
    let mut leader = with_gaps();
    let mut follower = follower(&mut leader);
    let first = leader.batches(Offset(0)).remove(0);
    let (work, events) = (&mut follower.work, &mut follower.events);
    let refused = follower.log.append_follower(at(0), first, work, events);
    assert_eq!(refused, Err(crate::protocol::ErrorCode::OffsetOutOfRange));
}

#[test]
fn a_log_cut_anywhere_ends_where_its_last_batch_does_and_is_found_so() {
    let mut leader = with_gaps();
    for cache_bytes in [1, 1 << 20] {
        let mut whole = follower(&mut leader);
        whole.log.reconfigure(LogConfig { cache_bytes, ..compacted() });
        whole.load(Hints::default());
        let ends: Vec<Offset> = whole.batches(Offset(0)).iter().map(Batch::end_offset).collect();
        for to in 1..whole.log.end().0 {
            let mut bench = whole.clone();
            let why = TruncateReason::Diverged;
            let (work, events) = (&mut bench.work, &mut bench.events);
            bench.log.truncate_to(at(0), Offset(to), why, Offset(0), work, events);
            bench.settle();
            let last = ends.iter().copied().filter(|end| end.0 <= to).max().unwrap_or(Offset(0));
            assert_eq!(bench.log.end(), last, "cut at {to}");
            let told = bench.events.iter().rev().find_map(|event| match event {
                Event::Truncated { to, .. } => Some(*to),
                _ => None,
            });
            assert_eq!(told, Some(last), "it tells where it ends, cut at {to}");
            let left = bench.batches(Offset(0)).len();
            bench.load(Hints::default());
            assert_eq!((bench.log.end(), bench.batches(Offset(0)).len()), (last, left), "cut at {to}");
            bench.say(None, &[("z", Some("on"))]);
            bench.roll();
            let end = bench.log.end();
            bench.load(Hints::default());
            assert_eq!(bench.log.end(), end, "cut at {to}, and grown");
        }
    }
}

#[test]
fn every_offset_and_time_leads_to_what_is_left_of_it() {
    let mut bench = with_gaps();
    let all = bench.batches(Offset(0));
    for from in 0..bench.log.end().0 {
        let first = bench.batches(Offset(from)).remove(0);
        let expected = all.iter().find(|batch| batch.end_offset().0 > from).expect("the last is later");
        assert_eq!(&first, expected);
    }
    for time in 0..bench.now as i64 + 20 {
        let expected =
            all.iter().flat_map(|batch| batch.decode_records()).map(|record| record.expect("sound"));
        let expected =
            expected.filter(|record| record.timestamp.0 >= time).map(|record| record.offset).next();
        let found = match bench.log.find_time(Timestamp(time), bench.log.end()) {
            crate::log::TimeLookup::Found(found) => found,
            crate::log::TimeLookup::Cold(cold) => {
                bench.log.begin_cold(cold, 1, &mut bench.work);
                let done = bench.settle().into_iter().find_map(|p| p.cold).expect("an answer");
                match done.answer {
                    Ok(ColdAnswer::Time(found)) => found,
                    other => panic!("{other:?}"),
                }
            }
        };
        assert_eq!(found.map(|found| found.offset), expected, "{time}");
    }
}

#[test]
fn a_reader_that_began_before_the_swap_reads_what_is_there_after_it() {
    let mut bench = busy();
    assert!(bench.begin());
    let Ok(Read::Cold(cold)) = bench.log.read(Offset(0), bench.log.end(), 100_000, true) else {
        panic!("it is on the disk only")
    };
    let swapping = |bench: &Bench| bench.work.iter().any(|r| r.op == DiskOp::Rename(Suffix::Swap));
    bench.log.begin_cold(cold, 7, &mut bench.work);
    let read = bench.work.pop().expect("the read");
    while !swapping(&bench) {
        let request = bench.work.remove(0);
        bench.perform(request);
    }
    let late = bench.perform(read);
    assert_eq!(late.cold, None, "it begins again");
    let done = bench.settle().into_iter().find_map(|p| p.cold).expect("an answer");
    assert!(matches!(done.answer, Ok(ColdAnswer::Batches(batches)) if !batches.is_empty()));
}

#[test]
fn epochs_that_began_among_what_is_gone_are_known_after_a_start() {
    let mut bench = Bench::new(compacted());
    bench.say(None, &[("a", Some("1"))]);
    bench.log.assign_epoch(LeaderEpoch(1), &mut bench.work);
    let say = |bench: &mut Bench, epoch: u32, value: &str| {
        bench.log.assign_epoch(LeaderEpoch(epoch), &mut bench.work);
        let mut builder = BatchBuilder::new();
        builder.push(Timestamp(5), Some(b"b"), Some(value.as_bytes()), &[]);
        let (work, events) = (&mut bench.work, &mut bench.events);
        bench.log.append_leader(at(0), builder.build(), LeaderEpoch(epoch), work, events).expect("it fits");
    };
    for (epoch, value) in [(2, "1"), (2, "2"), (4, "3"), (4, "4"), (5, "5")] {
        say(&mut bench, epoch, value);
    }
    bench.log.roll(&mut bench.work, &mut bench.events);
    say(&mut bench, 5, "6");
    bench.log.flush(&mut bench.work);
    bench.settle();
    let before = bench.log.epochs().clone();
    assert!(bench.clean());
    assert_eq!(bench.log.epochs(), &before);
    bench.load(Hints::default());
    assert_eq!(bench.log.epochs(), &before);
}

#[test]
fn a_cut_a_deletion_and_a_close_give_a_cleaning_up() {
    for how in 0..3 {
        for steps in 0..60 {
            let mut bench = busy();
            assert!(bench.begin());
            for _ in 0..steps {
                if !bench.work.is_empty() {
                    let request = bench.work.remove(0);
                    bench.perform(request);
                }
            }
            let (now, work, events) = (at(bench.now), &mut bench.work, &mut bench.events);
            let why = TruncateReason::Diverged;
            match how {
                0 => drop(bench.log.truncate_to(now, Offset(9), why, Offset(0), work, events)),
                1 => bench.log.reset_to(now, Offset(500), why, Offset(0), work, events),
                _ => bench.log.close(work),
            }
            bench.settle();
            let end = bench.log.end();
            assert!(!bench.log.is_cleaning(), "{how} after {steps}");
            let left: Vec<_> = bench.batches(bench.log.start());
            assert!(bench.log.cleaned() <= end);
            let clean = how == 2;
            assert!(!clean || bench.log.is_closed());
            bench.load(Hints { clean, ..Hints::default() });
            assert_eq!(bench.log.end(), end, "{how} after {steps}");
            assert_eq!(bench.batches(bench.log.start()), left);
            assert!(bench.log.segments().all(|base| base <= end));
        }
    }
}

/// Who copies a cleaned log knows of producers what is left of them.
#[cfg(feature = "museum")]
#[test]
fn a_producer_whose_last_batch_was_cleaned_away_is_forgotten_by_followers() {
    use crate::museum::Bug;
    let planted = Museum::CLOSED.with(Bug::CleanerDropsProducerTail);
    for (museum, known) in [(Museum::CLOSED, true), (planted, false)] {
        let mut leader = Bench::with(compacted(), museum);
        leader.say(stamp(7, 0), &[("a", Some("1"))]);
        leader.say(None, &[("a", Some("2"))]);
        leader.roll();
        assert!(leader.clean());
        let follower = follower(&mut leader);
        assert_eq!(follower.log.producers().get(ProducerId(7)).is_some(), known);
    }
}
