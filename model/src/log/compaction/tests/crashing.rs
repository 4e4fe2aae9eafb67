//! Dies after every disk operation of a cleaning, and of the recovery from that.

use super::*;
use crate::disk::{DiskError, DiskOp};

/// What a death leaves of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// The process's: everything that was done.
    Process,
    /// The power's: what was brought to the platter, and of changes to the directory since, these.
    Power { luck: u64 },
}

const DEATHS: [Death; 4] =
    [Death::Process, Death::Power { luck: 0 }, Death::Power { luck: 1 }, Death::Power { luck: 2 }];

/// A disk that remembers what was done to its directory since that was last synced.
#[derive(Clone, Default)]
pub(super) struct Watched {
    pub disk: TestDisk,
    unsynced: Vec<(FileName, DiskOp)>,
}

impl Watched {
    pub fn of(disk: TestDisk) -> Watched {
        Watched { disk, unsynced: Vec::new() }
    }

    pub fn perform(&mut self, request: DiskRequest) -> DiskReply {
        match &request.op {
            DiskOp::SyncDir => self.unsynced.clear(),
            op @ (DiskOp::Rename(_) | DiskOp::Remove) => self.unsynced.push((request.file, op.clone())),
            _ => {}
        }
        self.disk.perform(request)
    }

    fn die(&mut self, death: Death) {
        let Death::Power { luck } = death else { return };
        let mut rng = Rng::named(luck, "luck");
        self.disk.lose_power();
        for (file, op) in core::mem::take(&mut self.unsynced) {
            // None of it, or each with some luck.
            if luck > 0 && rng.below(2) == 0 {
                let tag = DiskTag(0);
                self.disk.perform(DiskRequest { tag, file, op });
            }
        }
        self.disk.platter = self.disk.cache.clone();
        self.disk.lose_power();
    }

    pub fn die_somehow(&mut self, rng: &mut Rng) {
        let luck = rng.below(1_000);
        self.die(if rng.below(2) == 0 { Death::Process } else { Death::Power { luck } });
    }

    /// Reads the log back; `None` if it dies after `limit` operations. Says, too, how many were done.
    pub fn load(&mut self, bench: &mut Bench, limit: usize) -> (usize, Option<Log>) {
        let hints = Hints { recovery_point: bench.log.flushed(), ..Hints::default() };
        let files = logs_of(&self.disk.list()).remove(&PARTITION).unwrap_or_default();
        let mut work = DiskWork::new();
        let config = bench.log.config().clone();
        let mut loader = Loader::begin(PARTITION, config, hints, files, Museum::CLOSED, &mut work);
        let mut log: Option<Log> = None;
        for nth in 0..limit {
            if work.is_empty() {
                return (nth, Some(log.expect("the loader waits for something")));
            }
            let reply = self.perform(work.remove(0));
            let events = &mut bench.events;
            match &mut log {
                Some(log) => drop(log.on_disk(at(bench.now), &reply, &mut work, events).expect("it is fine")),
                None => {
                    let loaded: Result<_, DiskError> =
                        loader.on_disk(at(bench.now), &reply, &mut work, events);
                    log = loaded.expect("the disk is fine").map(|loaded| loaded.log);
                }
            }
        }
        (limit, None)
    }
}

/// A log with tombstones of which some are to be dropped, and with several segments to be made of many.
fn ready() -> Bench {
    let mut bench = Bench::new(LogConfig { file_delete_delay_ms: Duration::from_millis(5), ..compacted() });
    let long = |key: &str, round: u32| alloc::format!("{key}{round} {LONG}{LONG}");
    let keys: Vec<String> = (0..8).map(|nth| alloc::format!("k{nth}")).collect();
    for round in 0..3 {
        for key in &keys {
            bench.say(None, &[(key, Some(&long(key, round)))]);
        }
    }
    bench.say(stamp(3, 0), &[("k0", None), ("k1", None), ("k2", None)]);
    bench.roll();
    assert!(bench.clean());
    bench.now += 2 * HOUR;
    bench.say(stamp(4, 0), &[("k3", None)]);
    for round in 3..6 {
        for key in &keys[4..] {
            bench.say(
                stamp(5, (round - 3) * 4 + key.as_bytes()[1] as u32 - 52),
                &[(key, Some(&long(key, round)))],
            );
        }
    }
    bench.roll();
    bench
}

/// Begins a cleaning and dies after `limit` operations; `None` if it had ended by then.
fn die_cleaning(mut bench: Bench, limit: usize, order: u64, death: Death) -> Option<(Bench, Watched)> {
    let mut disk = Watched::of(core::mem::take(&mut bench.disk));
    let mut rng = Rng::named(order, "order");
    assert!(bench.begin());
    for _ in 0..limit {
        if bench.work.is_empty() {
            return None;
        }
        // Those on one file in their order, others in any.
        let first = |at: &usize| !bench.work[..*at].iter().any(|r| r.file == bench.work[*at].file);
        let may: Vec<usize> = (0..bench.work.len()).filter(first).collect();
        let at = if order == 0 { 0 } else { *rng.pick(&may).expect("one") };
        let reply = disk.perform(bench.work.remove(at));
        bench.tell(&reply);
    }
    bench.work.clear();
    disk.die(death);
    Some((bench, disk))
}

fn check(mut bench: Bench, disk: Watched, log: Log, what: &str) -> Bench {
    let (cleaned, end, producers): (_, _, Producers) =
        (bench.log.cleaned(), bench.log.end(), bench.log.producers().clone());
    bench.log = log;
    bench.log.restore_cleaned(cleaned);
    bench.disk = disk.disk;
    assert_eq!(bench.log.end(), end, "{what}: the log's end");
    assert_eq!(bench.view(), bench.truth(), "{what}");
    for (id, producer) in producers.iter() {
        let found = bench.log.producers().get(id).and_then(|found| found.batches.last());
        assert_eq!(found, producer.batches.last(), "{what}: a producer's sequence");
    }
    let stages = [Suffix::Cleaned, Suffix::Swap];
    let left = bench.disk.list().into_iter().find(|(file, _)| stages.contains(&file.suffix));
    assert_eq!(left, None, "{what}");
    bench
}

#[test]
fn whenever_it_dies_nothing_that_counts_is_lost_and_nothing_deleted_comes_back() {
    let ready = ready();
    let mut most = 0;
    for (order, death) in (0..3).flat_map(|order| DEATHS.map(|death| (order, death))) {
        for limit in 0.. {
            let Some((mut bench, mut disk)) = die_cleaning(ready.clone(), limit, order, death) else { break };
            most = most.max(limit);
            let what = alloc::format!("order {order}, {death:?} after {limit}");
            let (_, log) = disk.load(&mut bench, usize::MAX);
            let mut bench = check(bench, disk, log.expect("it is read back"), &what);
            // It goes on as if nothing had been.
            bench.clean();
            assert_eq!(bench.view(), bench.truth(), "{what}, cleaned again");
            bench.say(None, &[("k7", Some("the end"))]);
            bench.roll();
            bench.load(Hints::default());
            assert_eq!(bench.view(), bench.truth(), "{what}, and read back");
        }
    }
    assert!(most > 30, "{most} operations");
}

#[test]
fn dying_again_while_it_is_read_back_loses_no_more() {
    let ready = ready();
    let first_deaths = [Death::Process, Death::Power { luck: 1 }];
    let second_deaths = [Death::Power { luck: 0 }, Death::Power { luck: 2 }];
    for (first, second) in first_deaths.into_iter().flat_map(|f| second_deaths.map(|second| (f, second))) {
        for limit in 0.. {
            let Some((bench, disk)) = die_cleaning(ready.clone(), limit, 0, first) else { break };
            // Else it is read back as after any other death.
            if !disk.disk.list().iter().any(|(file, _)| file.suffix == Suffix::Swap) {
                continue;
            }
            for again in 0.. {
                let (mut bench, mut disk) = (bench.clone(), disk.clone());
                let (_, log) = disk.load(&mut bench, again);
                if log.is_some() {
                    break;
                }
                disk.die(second);
                let (_, log) = disk.load(&mut bench, usize::MAX);
                let what = alloc::format!("{first:?} after {limit}, {second:?} after {again}");
                check(bench, disk, log.expect("it is read back"), &what);
            }
        }
    }
}
