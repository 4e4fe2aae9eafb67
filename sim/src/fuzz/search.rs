//! In which order are runs proposed and learned from, so that the same series comes out on every machine?
//!
//! Runs end in any order. A strategy is told of them in the order of the series, and always just so many runs
//! later; so what it knows when it proposes a run does not depend on how many are made at a time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{
    Shard,
    draw::Taste,
    strategy::{Learned, Manner, Proposal, Proposed, Strategy},
};
use crate::{director::nemesis, nth_seed, scenario::Scenario};

/// The run at a place is proposed when exactly those so many places before it, and all before those, have been
/// learned from: at most so many runs are made at a time.
pub const LAG: u64 = 32;

/// Which runs belong to a part of a campaign.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// Where the seeds begin: that of the run at an index is `nth_seed(base, index)`.
    pub base: u64,
    /// Which part.
    pub shard: Shard,
    /// How many runs there are over all parts.
    pub runs: u64,
}

/// The runs of one part of a campaign, one after the other.
pub struct Search {
    series: Series,
    strategy: Box<dyn Strategy>,
    next: u64,
    /// How many were learned from.
    learned: u64,
    /// What came of later ones.
    waiting: BTreeMap<u64, Option<Learned>>,
}

impl Search {
    /// The runs of a series that a strategy proposes; scenarios take turns instead, if there are any.
    pub fn new(series: Series, manner: Manner, taste: Taste, scenarios: Vec<Scenario>) -> Search {
        let strategy: Box<dyn Strategy> =
            if scenarios.is_empty() { manner.begin(taste) } else { Box::new(Given { scenarios, series }) };
        Search { series, strategy, next: 0, learned: 0, waiting: BTreeMap::new() }
    }

    /// The next run; `None` if there is none any more, or it must wait for what comes of an earlier one.
    pub fn propose(&mut self) -> Option<Proposal> {
        if self.must_wait() || self.is_over() {
            return None;
        }
        let nth = self.next;
        if self.strategy.listens() {
            while self.learned + LAG <= nth {
                // A run of which nothing came taught nothing.
                if let Some(Some(learned)) = self.waiting.remove(&self.learned) {
                    self.strategy.learn(self.learned, &learned);
                }
                self.learned += 1;
            }
        }
        self.next += 1;
        let index = self.series.shard.index(nth);
        let Proposed { by, seed, scenario, watched } =
            self.strategy.propose(nth, nth_seed(self.series.base, index));
        Some(Proposal { index, nth, by, seed, scenario: Arc::new(scenario), watched })
    }

    /// What came of a run that was proposed; `None` if nobody knows.
    pub fn told(&mut self, proposal: &Proposal, learned: Option<Learned>) {
        if self.strategy.listens() {
            self.waiting.insert(proposal.nth, learned);
        }
    }

    fn is_over(&self) -> bool {
        self.series.shard.index(self.next) >= self.series.runs
    }

    fn must_wait(&self) -> bool {
        self.strategy.listens()
            && (self.learned..(self.next + 1).saturating_sub(LAG)).any(|nth| !self.waiting.contains_key(&nth))
    }

    /// For several threads that each take a run and tell what came of it.
    pub fn shared(self) -> Shared {
        Shared { search: Mutex::new(self), told: Condvar::new() }
    }
}

/// A search that several threads carry out.
pub struct Shared {
    search: Mutex<Search>,
    told: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Search> {
        self.search.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next run, as soon as it is known; `None` if there is none any more.
    pub fn next(&self) -> Option<Turn<'_>> {
        let search = self.lock();
        let wait = |search: &mut Search| search.must_wait() && !search.is_over();
        let mut search = self.told.wait_while(search, wait).unwrap_or_else(PoisonError::into_inner);
        let proposal = search.propose()?;
        Some(Turn { of: self, proposal, learned: None })
    }
}

/// A run that one of several threads carries out. Others wait for what comes of it until it is dropped.
pub struct Turn<'a> {
    of: &'a Shared,
    /// The run.
    pub proposal: Proposal,
    learned: Option<Learned>,
}

impl Turn<'_> {
    /// What came of it.
    pub fn told(mut self, learned: Learned) {
        self.learned = Some(learned);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let learned = self.learned.take();
        self.of.lock().told(&self.proposal, learned);
        self.of.told.notify_all();
    }
}

/// Scenarios that take turns, each under the faults that a seed draws for it.
struct Given {
    scenarios: Vec<Scenario>,
    series: Series,
}

impl Strategy for Given {
    fn propose(&mut self, nth: u64, _seed: u64) -> Proposed {
        let index = self.series.shard.index(nth);
        let turns = self.scenarios.len() as u64;
        let scenario = &self.scenarios[(index % turns) as usize];
        let seed = nth_seed(self.series.base, index / turns);
        Proposed { by: "given", seed, scenario: nemesis::written_out(scenario, seed), watched: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proposes seeds that name what it has learned so far.
    struct Counting {
        learned: Vec<u64>,
    }

    impl Strategy for Counting {
        fn propose(&mut self, nth: u64, _seed: u64) -> Proposed {
            assert!(self.learned.is_sorted());
            let seed = nth * 1_000 + self.learned.len() as u64;
            Proposed {
                by: "counting",
                seed,
                scenario: super::super::draw::draw(1, Taste::default()),
                watched: false,
            }
        }
        fn learn(&mut self, nth: u64, learned: &Learned) {
            assert_eq!(learned.steps, nth);
            self.learned.push(nth);
        }
        fn listens(&self) -> bool {
            true
        }
    }

    fn counting(runs: u64) -> Search {
        let series = Series { base: 1, shard: Shard::WHOLE, runs };
        let strategy = Box::new(Counting { learned: Vec::new() });
        Search { series, strategy, next: 0, learned: 0, waiting: BTreeMap::new() }
    }

    fn taught(proposal: &Proposal) -> Learned {
        let Proposal { nth, seed, ref scenario, .. } = *proposal;
        Learned { failed: None, steps: nth, scenario: scenario.clone(), seed, coverage: None }
    }

    #[test]
    fn what_is_known_does_not_depend_on_how_many_run_at_a_time() {
        let mut one = counting(100);
        let mut expected = Vec::new();
        while let Some(proposal) = one.propose() {
            one.told(&proposal, Some(taught(&proposal)));
            expected.push(proposal.seed);
        }
        assert_eq!(expected.len(), 100);
        assert_eq!(expected[99], 99_000 + 100 - LAG);
        let many = counting(100).shared();
        let seeds = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..7 {
                scope.spawn(|| {
                    while let Some(turn) = many.next() {
                        seeds.lock().expect("no panic").push(turn.proposal.seed);
                        let learned = taught(&turn.proposal);
                        turn.told(learned);
                    }
                });
            }
        });
        let mut seeds = seeds.into_inner().expect("no panic");
        seeds.sort_unstable();
        assert_eq!(seeds, expected);
    }

    #[test]
    fn a_run_waits_for_those_long_before_it() {
        let mut search = counting(100);
        let first: Vec<Proposal> = std::iter::from_fn(|| search.propose()).collect();
        assert_eq!(first.len() as u64, LAG);
        search.told(&first[1], Some(taught(&first[1])));
        assert!(search.propose().is_none(), "the very first is still missing");
        search.told(&first[0], None);
        assert!(search.propose().is_some() && search.propose().is_some());
        assert!(search.propose().is_none());
    }
}
