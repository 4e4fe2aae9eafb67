//! Whatever is drawn to happen to a log that is being compacted: is what was committed still what is read?

use super::{crashing::Watched, *};
use crate::event::TruncateReason;

struct Run {
    bench: Bench,
    disk: Watched,
    rng: Rng,
    /// Everything in the log as if nobody cleaned it.
    history: Vec<(Offset, String, Option<String>)>,
    /// Below this nothing is ever cut or lost.
    committed: Offset,
    sequences: [u32; 2],
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut rng = Rng::named(seed, "compaction");
        let config = LogConfig {
            segment_bytes: rng.between(200, 1_200),
            index_interval_bytes: rng.between(1, 300) as u32,
            cache_bytes: rng.between(1, 2_000) as usize,
            delete_retention_ms: Duration::from_millis(rng.below(2_000)),
            file_delete_delay_ms: Duration::from_millis(rng.below(50)),
            ..compacted()
        };
        let mut bench = Bench::new(config);
        let disk = Watched::of(core::mem::take(&mut bench.disk));
        Run { bench, disk, rng, history: Vec::new(), committed: Offset(0), sequences: [0; 2] }
    }

    fn say(&mut self) {
        let count = self.rng.between(1, 3) as usize;
        let records: Vec<(String, Option<String>)> = (0..count)
            .map(|_| {
                let key = alloc::format!("k{}", self.rng.below(7));
                let value = alloc::format!("{} {}", self.rng.below(1_000), "~".repeat(30));
                (key, (self.rng.below(4) > 0).then_some(value))
            })
            .collect();
        let stamp = match self.rng.below(4) {
            id @ 0..2 => {
                let sequence = self.sequences[id as usize];
                self.sequences[id as usize] += count as u32;
                stamp(id, sequence)
            }
            _ => None,
        };
        let base = self.bench.log.end();
        let borrowed: Vec<(&str, Option<&str>)> =
            records.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        self.bench.say(stamp, &borrowed);
        for (nth, (key, value)) in (0..).zip(records) {
            self.history.push((Offset(base.0 + nth), key, value));
        }
    }

    /// Has the disk do some of what it was asked for, in any order that it may.
    fn work(&mut self, most: u64) {
        for _ in 0..self.rng.below(most + 1) {
            let work = &mut self.bench.work;
            let first = |at: &usize| !work[..*at].iter().any(|request| request.file == work[*at].file);
            let may: Vec<usize> = (0..work.len()).filter(first).collect();
            let Some(at) = self.rng.pick(&may).copied() else { return };
            let reply = self.disk.perform(work.remove(at));
            self.bench.tell(&reply);
        }
    }

    fn settle(&mut self) {
        while !self.bench.work.is_empty() {
            self.work(50);
        }
        self.committed = self.committed.max(self.bench.log.flushed());
    }

    fn cut(&mut self) {
        let to = Offset(self.rng.between(self.committed.0, self.bench.log.end().0));
        let (now, why) = (at(self.bench.now), TruncateReason::Diverged);
        let (work, events) = (&mut self.bench.work, &mut self.bench.events);
        self.bench.log.truncate_to(now, to, why, self.committed, work, events);
        // Until the platter has it, what was cut off may come back.
        self.settle();
        self.forget();
    }

    /// What was behind the log's end is no more.
    fn forget(&mut self) {
        let end = self.bench.log.end();
        assert!(end >= self.committed, "{end} is before {}", self.committed);
        self.history.retain(|(offset, ..)| *offset < end);
        for id in 0..2 {
            let known = self.bench.log.producers().get(ProducerId(id)).and_then(|p| p.batches.last());
            self.sequences[id as usize] = known.map_or(0, |last| last.next_sequence().0);
        }
    }

    fn die(&mut self) {
        self.committed = self.committed.max(self.bench.log.flushed());
        self.disk.die_somehow(&mut self.rng);
        self.bench.work.clear();
        let cleaned = self.bench.log.cleaned();
        let (_, log) = self.disk.load(&mut self.bench, usize::MAX);
        self.bench.log = log.expect("it is read back");
        self.bench.log.restore_cleaned(cleaned);
        self.forget();
    }

    fn happen(&mut self) {
        match self.rng.below(40) {
            0..18 => self.say(),
            18..28 => self.work(8),
            28 | 29 => self.bench.log.flush(&mut self.bench.work),
            30..36 => {
                let now = at(self.bench.now);
                if let Some(cleanable) = self.bench.log.cleanable(now, self.committed) {
                    self.bench.log.clean(now, cleanable, &mut self.bench.work);
                }
            }
            36 => self.bench.now += self.rng.below(3_000),
            37 => self.cut(),
            38 => self.die(),
            _ => {
                let now = at(self.bench.now);
                self.bench.log.tick(now, &mut self.bench.work, &mut self.bench.events);
                self.settle();
            }
        }
    }

    fn check(&mut self) {
        self.settle();
        let mut truth = View::new();
        for (offset, key, value) in &self.history {
            match value {
                Some(value) => drop(truth.insert(key.clone(), (*offset, value.clone()))),
                None => drop(truth.remove(key)),
            }
        }
        self.bench.disk = self.disk.disk.clone();
        assert_eq!(self.bench.view(), truth);
        self.bench.disk = TestDisk::default();
    }
}

#[test]
fn what_was_committed_is_read_whatever_happens() {
    let (mut cleanings, mut dropped) = (0, 0);
    for seed in 0..150 {
        let mut run = Run::new(seed);
        for _ in 0..400 {
            run.happen();
            if run.rng.below(25) == 0 {
                run.check();
            }
        }
        run.check();
        for event in &run.bench.events {
            if let Event::LogCleaned { dropped: some, .. } = event {
                (cleanings, dropped) = (cleanings + 1, dropped + some);
            }
            assert!(!matches!(event, Event::LogUncleanable { .. }), "seed {seed}: {event}");
        }
    }
    assert!(cleanings > 500 && dropped > 3_000, "{cleanings} cleanings, {dropped} dropped");
}
