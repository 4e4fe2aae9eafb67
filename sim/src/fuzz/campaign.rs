//! How are very many runs carried out, and what is kept of those that fail?

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant as RealTime},
};

use trial_model::{museum::Museum, time::Instant};

use super::{
    Shard,
    coverage::{Coverage, Watcher},
    draw::Taste,
    search::{Search, Series},
    strategy::{Learned, Manner, Proposal},
};
use crate::{
    bucket::Signature,
    report::campaign::{RUN_CRASH, RUN_MEMORY, RUN_TIMEOUT},
    run::{Engine, Options, Run},
    scenario::Scenario,
    simulate,
};

/// What is run, and for how long.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Where the series of seeds begins: the run at an index has the seed `nth_seed(base, index)`.
    pub base: u64,
    /// The scenarios that take turns; whole clusters are drawn if there are none.
    pub scenarios: Vec<Scenario>,
    /// What decides which clusters are drawn, and which faults.
    pub strategy: Manner,
    /// Whether drawn clusters have any number of faults at once and need not recover.
    pub unlimited: bool,
    /// Whether every drawn cluster has consumer groups.
    pub groups: bool,
    /// Whether messages of drawn clusters go through Kafka's frames.
    pub wire: bool,
    /// Historical bugs that are switched on, besides those of the scenarios.
    pub museum: Museum,
    /// Checks that do not look.
    pub without: BTreeSet<&'static str>,
    /// Which part of it is run here.
    pub shard: Shard,
    /// How many runs at a time.
    pub jobs: usize,
    /// When it ends.
    pub limits: Limits,
}

/// When a campaign ends, and when a run of it has failed by taking too long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// After so many runs, over all shards.
    pub runs: u64,
    /// After so long.
    pub time: Option<Duration>,
    /// After so many kinds of failure.
    pub kinds: Option<usize>,
    /// A run that takes longer has failed (VOPR's rule).
    pub run: Duration,
}

/// A run that was tried.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Its place in the series.
    pub index: u64,
    /// Its seed.
    pub seed: u64,
    /// Which strategy proposed it.
    pub by: &'static str,
    /// Its scenario, with every fault written out.
    pub scenario: Arc<Scenario>,
    /// How many steps were taken.
    pub steps: u64,
    /// How much time was simulated.
    pub simulated: Duration,
    /// How long it took.
    pub took: Duration,
    /// How much time of a processor it took.
    pub cpu: Duration,
    /// Its digest; empty if its process died of it.
    pub digest: String,
    /// How often every kind of event occurred that did.
    pub events: BTreeMap<&'static str, u64>,
    /// What it reached, if its strategy wants to know.
    pub coverage: Option<Coverage>,
    /// How it failed, if it did.
    pub failure: Option<Failure>,
}

/// How a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A promise was broken.
    Broken {
        /// Of which kind.
        signature: Signature,
        /// In a line.
        headline: String,
    },
    /// It did not end in time.
    TooLong,
    /// It wanted more memory than it may have, so far as the process tells that made it.
    Memory(String),
    /// It took the process with it that made it.
    Crashed(String),
}

impl Failure {
    /// Its kind, for telling one from another.
    pub fn kind(&self) -> String {
        match self {
            Failure::Broken { signature, .. } => signature.to_string(),
            Failure::TooLong => RUN_TIMEOUT.into(),
            Failure::Memory(_) => RUN_MEMORY.into(),
            Failure::Crashed(_) => RUN_CRASH.into(),
        }
    }

    /// What happened, in a line.
    pub fn headline(&self) -> &str {
        match self {
            Failure::Broken { headline, .. } | Failure::Memory(headline) | Failure::Crashed(headline) => {
                headline
            }
            Failure::TooLong => "the run did not end in time",
        }
    }
}

/// A kind of failure, and the runs in which it was seen.
#[derive(Clone, Debug)]
pub struct Found {
    /// How the first of them failed.
    pub failure: Failure,
    /// Which run shows it with the fewest faults.
    pub best: Best,
    /// In how many runs it was seen.
    pub times: u64,
    /// After how many runs it was seen first.
    pub after: u64,
    /// After how long.
    pub found_in: Duration,
}

/// The run that shows a kind of failure best. What guidance proposes depends on the runs before it, so a run
/// that failed is kept whole.
#[derive(Clone, Debug)]
pub struct Best {
    /// Its place in the series.
    pub index: u64,
    /// Its seed.
    pub seed: u64,
    /// Its scenario, with every fault written out.
    pub scenario: Arc<Scenario>,
    /// Its digest; empty if its process died of it.
    pub digest: String,
}

impl Best {
    /// How many faults it has.
    pub fn faults(&self) -> usize {
        self.scenario.faults.len()
    }
}

impl Campaign {
    /// What is tried by this part of the campaign, from its beginning.
    pub fn search(&self) -> Search {
        let series = Series { base: self.base, shard: self.shard, runs: self.limits.runs };
        let Campaign { unlimited, groups, wire, .. } = *self;
        let taste = Taste { unlimited, groups, wire, ..Taste::default() };
        Search::new(series, self.strategy, taste, self.scenarios.clone())
    }

    /// Tries one run.
    pub fn try_one(&self, proposal: &Proposal) -> Tried {
        let (seed, scenario) = (proposal.seed, &proposal.scenario);
        let watcher = proposal.watched.then(|| Watcher::of(scenario));
        let began = RealTime::now();
        let (run, too_long) = self.observed(scenario, seed, Engine::Direct, watcher.as_ref());
        let broken = Signature::of(&run).map(|signature| Failure::Broken {
            signature,
            headline: run.violations.first().map(|violation| violation.headline.clone()).unwrap_or_default(),
        });
        Tried {
            index: proposal.index,
            seed,
            by: proposal.by,
            scenario: scenario.clone(),
            steps: run.steps,
            simulated: run.ended.since(Instant::ZERO),
            took: began.elapsed(),
            cpu: run.cpu,
            digest: run.digest.hex(),
            events: run.events,
            coverage: watcher.map(Watcher::seen),
            failure: broken.or(too_long.then_some(Failure::TooLong)),
        }
    }

    /// Runs a scenario of the campaign, and says whether it took too long.
    pub fn carry_out(&self, scenario: &Scenario, seed: u64, engine: Engine) -> (Run, bool) {
        self.observed(scenario, seed, engine, None)
    }

    fn observed(
        &self,
        scenario: &Scenario,
        seed: u64,
        engine: Engine,
        watcher: Option<&Watcher>,
    ) -> (Run, bool) {
        let (began, limit) = (RealTime::now(), self.limits.run);
        let too_long = Arc::new(AtomicBool::new(false));
        let told = too_long.clone();
        let options = Options {
            engine,
            museum: self.museum,
            without: self.without.clone(),
            readers: watcher.map(Watcher::reader).into_iter().collect(),
            progress: Some(Box::new(move |_| {
                let over = began.elapsed() > limit;
                told.fetch_or(over, Ordering::Relaxed);
                !over
            })),
            ..Options::default()
        };
        let run = simulate(scenario, seed, options);
        (run, too_long.load(Ordering::Relaxed))
    }

    /// Runs it, and hands every run to `tried` as it ends, in whatever order; `going_on` says whether to begin
    /// another. Gives what was found, by kind.
    pub fn run(
        &self,
        going_on: impl Fn() -> bool + Sync,
        tried: impl FnMut(&Tried, &BTreeMap<String, Found>),
    ) -> BTreeMap<String, Found> {
        self.run_by(|| |proposal: &Proposal| Some(self.try_one(proposal)), going_on, tried)
    }

    /// Runs it with other hands than its own: `hands` gives each job one, which makes a run, or gives up and
    /// ends its job.
    pub fn run_by<H: FnMut(&Proposal) -> Option<Tried>>(
        &self,
        hands: impl Fn() -> H + Sync,
        going_on: impl Fn() -> bool + Sync,
        mut tried: impl FnMut(&Tried, &BTreeMap<String, Found>),
    ) -> BTreeMap<String, Found> {
        let began = RealTime::now();
        let search = self.search().shared();
        let enough = AtomicBool::new(false);
        let (tell, told) = mpsc::channel::<Tried>();
        let mut found = BTreeMap::new();
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                let tell = tell.clone();
                let (search, enough, going_on, hands) = (&search, &enough, &going_on, &hands);
                scope.spawn(move || {
                    let mut hand = hands();
                    let over = || {
                        self.limits.time.is_some_and(|time| began.elapsed() >= time)
                            || enough.load(Ordering::Relaxed)
                            || !going_on()
                    };
                    while !over()
                        && let Some(turn) = search.next()
                    {
                        let Some(tried) = hand(&turn.proposal) else { return };
                        turn.told(Learned::of(&tried));
                        // Nobody listens any more once the campaign has ended by itself.
                        if tell.send(tried).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(tell);
            let mut runs = 0;
            for run in told {
                runs += 1;
                take(&run, runs, began.elapsed(), &mut found);
                if self.limits.kinds.is_some_and(|most| found.len() >= most) {
                    enough.store(true, Ordering::Relaxed);
                }
                tried(&run, &found);
            }
        });
        found
    }
}

fn take(run: &Tried, runs: u64, elapsed: Duration, found: &mut BTreeMap<String, Found>) {
    let Some(failure) = &run.failure else { return };
    let here =
        Best { index: run.index, seed: run.seed, scenario: run.scenario.clone(), digest: run.digest.clone() };
    let of_kind = found.entry(failure.kind()).or_insert_with(|| Found {
        failure: failure.clone(),
        best: here.clone(),
        times: 0,
        after: runs,
        found_in: elapsed,
    });
    of_kind.times += 1;
    // Among equals the first of the series: which comes first off the machine is chance.
    if (here.faults(), here.index) < (of_kind.best.faults(), of_kind.best.index) {
        of_kind.best = here;
        of_kind.failure = failure.clone();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use trial_model::museum::Bug;

    use super::*;
    use crate::nth_seed;

    fn campaign(runs: u64) -> Campaign {
        Campaign {
            base: 1,
            scenarios: Vec::new(),
            strategy: Manner::Swarm,
            unlimited: false,
            groups: false,
            wire: false,
            museum: Museum::default(),
            without: BTreeSet::new(),
            shard: Shard::WHOLE,
            jobs: 2,
            limits: Limits { runs, time: None, kinds: None, run: Duration::from_secs(60) },
        }
    }

    #[test]
    fn every_run_of_every_part_is_tried_once() {
        let tried = Mutex::new(Vec::new());
        for nth in 1..=3 {
            let part = Campaign { shard: Shard { nth, of: 3 }, ..campaign(7) };
            part.run(|| true, |run, _| tried.lock().expect("no panic").push((run.index, run.seed)));
        }
        let mut tried = tried.into_inner().expect("no panic");
        tried.sort_unstable();
        let whole = campaign(7);
        let expected: Vec<(u64, u64)> = (0..7).map(|index| (index, nth_seed(whole.base, index))).collect();
        assert_eq!(tried, expected);
    }

    #[test]
    fn a_planted_bug_is_found_and_the_campaign_ends_with_it() {
        let planted = Campaign {
            museum: Museum::default().with(Bug::TruncateToLocalHw),
            limits: Limits { kinds: Some(1), ..campaign(400).limits },
            ..campaign(400)
        };
        let mut runs = 0;
        let found = planted.run(|| true, |_, _| runs += 1);
        assert!(!found.is_empty() && runs < 400, "{runs} runs: {found:?}");
        let first = found.values().next().expect("it was found");
        let signature =
            Signature::of(&planted.carry_out(&first.best.scenario, first.best.seed, Engine::Direct).0);
        assert_eq!(signature.map(|it| it.to_string()), Some(first.failure.kind()), "it can be run again");
    }

    #[test]
    fn a_run_that_takes_too_long_has_failed() {
        let hasty = Campaign { limits: Limits { run: Duration::ZERO, ..campaign(1).limits }, ..campaign(1) };
        let first = hasty.search().propose().expect("there is one");
        assert_eq!(hasty.try_one(&first).failure, Some(Failure::TooLong));
    }

    #[test]
    fn nothing_begins_once_it_is_told_to_stop() {
        let mut runs = 0;
        campaign(1_000).run(|| false, |_, _| runs += 1);
        assert_eq!(runs, 0);
    }
}
