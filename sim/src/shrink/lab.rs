//! Does it still fail, and for the same reason?

use std::{
    collections::HashMap,
    time::{Duration, Instant as RealTime},
};

use trial_model::time::Instant;

use super::{Limits, Progress, kept::Kept};
use crate::{
    Engine, Options, Run, Scenario, Signature, nth_seed,
    scenario::{
        self,
        values::{Seed, Span},
    },
    simulate,
};

/// With how many other seeds a repro's strength is measured.
pub const SEEDS: usize = 50;
/// How many of them look after that strength while the rest is made simpler.
const GUARDS: usize = 20;
/// So many runs are begun before anybody looks how they ended: the same on every machine.
const TOGETHER: usize = 5;

type Hash = [u8; 32];

/// What counts as the same failure.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// The kind.
    pub signature: Signature,
    /// Whether only that kind counts, and not any violation of its check.
    pub same_bucket: bool,
    /// Whether it must happen before the chaos phase is over: then runs end there.
    pub in_chaos: bool,
}

/// Tries candidates and counts what that costs.
pub struct Lab<'a> {
    wanted: Wanted,
    kept: Kept,
    limits: Limits,
    began: RealTime,
    runs: u64,
    stopped: bool,
    /// What is asked without regard to limits.
    urgent: bool,
    seeds: Vec<u64>,
    /// Whether the failure needs faults, and planted bugs: then what fails without them is something else.
    needs_faults: bool,
    needs_plant: bool,
    /// How long the chaos phase was at first.
    chaos: Span,
    /// How many of the guards must fail.
    floor: usize,
    failing: HashMap<Hash, bool>,
    innocent: HashMap<Hash, bool>,
    others: HashMap<Hash, Vec<bool>>,
    step: &'static str,
    tell: &'a mut dyn FnMut(Progress) -> bool,
}

impl<'a> Lab<'a> {
    /// A laboratory for a scenario with a seed that is known to fail as `wanted`.
    pub fn new(
        scenario: &Scenario,
        wanted: Wanted,
        kept: Kept,
        limits: Limits,
        began: RealTime,
        tell: &'a mut dyn FnMut(Progress) -> bool,
    ) -> Lab<'a> {
        let base = scenario.seed.unwrap_or(Seed(1)).0;
        let mut lab = Lab {
            wanted,
            kept,
            limits,
            began,
            runs: 1,
            stopped: false,
            urgent: false,
            seeds: (1..=SEEDS as u64).map(|nth| nth_seed(base, nth)).collect(),
            needs_faults: false,
            needs_plant: false,
            chaos: scenario.phases.chaos,
            floor: 0,
            failing: HashMap::new(),
            innocent: HashMap::new(),
            others: HashMap::new(),
            step: "",
            tell,
        };
        lab.needs_faults = !scenario.faults.is_empty() && !lab.breaks(&without_faults(scenario));
        lab.needs_plant = !scenario.plant.is_empty() && !lab.breaks(&without_plant(scenario));
        lab
    }

    /// Whether the failure goes away without the planted bugs.
    pub fn needs_plant(&self) -> bool {
        self.needs_plant
    }

    /// Whether a scenario takes no longer than the one it all began with.
    pub fn in_time(&self, scenario: &Scenario) -> bool {
        scenario.phases.chaos <= self.chaos
    }

    /// What is being done now, for whoever watches.
    pub fn doing(&mut self, step: &'static str) {
        self.step = step;
    }

    /// How many runs there were.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Whether a limit was reached, or somebody has seen enough.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Takes `candidate` for `now` if it can be loaded, keeps what is to be kept, still fails for the same
    /// reason, and is not much weaker.
    pub fn adopt(&mut self, now: &mut Scenario, candidate: Scenario) -> bool {
        if candidate == *now || !self.fails(&candidate) || !self.guarded(&candidate) {
            return false;
        }
        *now = candidate;
        true
    }

    /// Whether a candidate can be loaded, keeps what is to be kept, and fails for the same reason.
    pub fn fails(&mut self, candidate: &Scenario) -> bool {
        let Some(hash) = self.admitted(candidate) else { return false };
        if let Some(known) = self.failing.get(&hash) {
            return *known;
        }
        let Some(run) = self.run(candidate, seed_of(candidate)) else { return false };
        let same = Signature::of(&run).is_some_and(|found| self.is_wanted(found));
        let fails = same && self.innocent_without(candidate);
        if !self.stopped {
            self.failing.insert(hash, fails);
        }
        fails
    }

    /// From now on nothing is adopted that is clearly weaker than `scenario`.
    pub fn guard(&mut self, scenario: &Scenario) {
        self.floor = self.count(scenario, GUARDS, 0).unwrap_or(0);
    }

    /// Whatever fails is adopted again, however weak.
    pub fn unguard(&mut self) {
        self.floor = 0;
    }

    /// With how many of the first `of` other seeds a scenario fails; `None` if it is less than `need`, or a
    /// limit was reached before it was known.
    pub fn count(&mut self, scenario: &Scenario, of: usize, need: usize) -> Option<usize> {
        let hash = self.admitted(scenario)?;
        let mut known = self.others.remove(&hash).unwrap_or_default();
        let failed = |known: &[bool]| known.iter().take(of).filter(|fails| **fails).count();
        while known.len() < of && failed(&known) + of - known.len() >= need && !self.spent(TOGETHER as u64) {
            let next = self.seeds[known.len()..(known.len() + TOGETHER).min(SEEDS)].to_vec();
            known.extend(self.together(scenario, &next));
        }
        let (known_of, count) = (known.len(), failed(&known));
        self.others.insert(hash, known);
        (known_of >= of && count >= need).then_some(count)
    }

    /// With how many of the other seeds a scenario fails, whatever that costs.
    pub fn strength(&mut self, scenario: &Scenario) -> usize {
        self.urgent = true;
        let count = self.count(scenario, SEEDS, 0).unwrap_or(0);
        self.urgent = false;
        count
    }

    /// The run of a scenario that fails, with somebody who reads it.
    pub fn watch(&mut self, scenario: &Scenario, reader: Box<dyn crate::trace::Reader>) -> Option<Run> {
        if self.spent(1) {
            return None;
        }
        self.runs += 1;
        Some(simulate(
            scenario,
            seed_of(scenario),
            Options { readers: vec![reader], ..self.options(scenario).begin() },
        ))
    }

    /// The hash of a candidate that can be loaded and keeps what is to be kept.
    fn admitted(&self, candidate: &Scenario) -> Option<Hash> {
        let text = serde_json::to_string(candidate).ok()?;
        // As a file that is read again: what is written at the end must load, too.
        scenario::load(&text, &[]).ok()?;
        let value = serde_json::to_value(candidate).ok()?;
        self.kept.stands(&value).then(|| *blake3::hash(text.as_bytes()).as_bytes())
    }

    fn guarded(&mut self, candidate: &Scenario) -> bool {
        // One or two of so many say nothing.
        self.floor <= 2 || self.count(candidate, GUARDS, self.floor).is_some()
    }

    /// Whether the failure goes away with the faults and with the planted bugs: if it needed them before, a
    /// candidate that fails without them fails for another reason.
    fn innocent_without(&mut self, candidate: &Scenario) -> bool {
        let mut twins = Vec::new();
        if self.needs_faults && !candidate.faults.is_empty() {
            twins.push(without_faults(candidate));
        }
        if self.needs_plant {
            twins.push(without_plant(candidate));
        }
        if self.needs_faults && candidate.faults.is_empty() {
            return false;
        }
        twins.iter().all(|twin| !self.breaks(twin))
    }

    fn breaks(&mut self, twin: &Scenario) -> bool {
        let Ok(text) = serde_json::to_string(twin) else { return true };
        let hash = *blake3::hash(text.as_bytes()).as_bytes();
        if let Some(known) = self.innocent.get(&hash) {
            return !known;
        }
        let Some(run) = self.run(twin, seed_of(twin)) else { return true };
        let breaks = Signature::of(&run).is_some_and(|found| found.check() == self.wanted.signature.check());
        if !self.stopped {
            self.innocent.insert(hash, !breaks);
        }
        breaks
    }

    fn is_wanted(&self, found: Signature) -> bool {
        let wanted = self.wanted.signature;
        if self.wanted.same_bucket { found == wanted } else { found.check() == wanted.check() }
    }

    /// Whether the next so many runs are more than there may be.
    fn spent(&mut self, more: u64) -> bool {
        if self.urgent {
            return false;
        }
        let runs = self.limits.runs.is_some_and(|most| self.runs + more > most);
        self.stopped |= runs || self.late();
        if !self.stopped {
            let told = Progress { step: self.step, runs: self.runs, elapsed: self.began.elapsed() };
            self.stopped = !(self.tell)(told);
        }
        self.stopped
    }

    fn late(&self) -> bool {
        self.limits.time.is_some_and(|most| self.began.elapsed() >= most)
    }

    fn options(&self, scenario: &Scenario) -> Ends {
        let chaos = u64::try_from(scenario.phases.chaos.0.as_nanos()).unwrap_or(u64::MAX);
        Ends {
            late: self.limits.time.filter(|_| !self.urgent).map(|most| self.began + most),
            until: self.wanted.in_chaos.then_some(Instant(chaos)),
        }
    }

    fn run(&mut self, scenario: &Scenario, seed: u64) -> Option<Run> {
        if self.spent(1) {
            return None;
        }
        self.runs += 1;
        let run = simulate(scenario, seed, self.options(scenario).begin());
        // It may have been cut short: then nothing is known.
        self.stopped |= self.late();
        (!self.stopped).then_some(run)
    }

    /// Whether a scenario fails with each of some seeds; nothing if that took too long.
    fn together(&mut self, scenario: &Scenario, seeds: &[u64]) -> Vec<bool> {
        self.runs += seeds.len() as u64;
        let (check, options) = (self.wanted.signature.check(), self.options(scenario));
        let fails = move |seed: &u64| {
            let run = simulate(scenario, *seed, options.begin());
            run.violations.first().is_some_and(|first| first.check == check)
        };
        let share = seeds.len().div_ceil(self.limits.jobs.max(1)).max(1);
        let found = std::thread::scope(|scope| {
            let begun: Vec<_> = seeds
                .chunks(share)
                .map(|seeds| scope.spawn(move || seeds.iter().map(fails).collect::<Vec<bool>>()))
                .collect();
            let ended =
                begun.into_iter().map(|it| it.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
            ended.flatten().collect()
        });
        self.stopped |= !self.urgent && self.late();
        if self.stopped && !self.urgent { Vec::new() } else { found }
    }

    /// How long it has taken so far.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// When a run ends, besides with the first violation.
#[derive(Clone, Copy)]
struct Ends {
    /// Unfinished, when time is up.
    late: Option<RealTime>,
    until: Option<Instant>,
}

impl Ends {
    fn begin(self) -> Options {
        let progress = self.late.map(|late| -> Box<dyn FnMut(crate::run::Progress) -> bool + Send> {
            Box::new(move |_| RealTime::now() < late)
        });
        Options {
            engine: Engine::Direct,
            stop_at_first: true,
            until: self.until,
            progress,
            ..Options::default()
        }
    }
}

fn seed_of(scenario: &Scenario) -> u64 {
    scenario.seed.unwrap_or(Seed(1)).0
}

fn without_faults(scenario: &Scenario) -> Scenario {
    Scenario { faults: Vec::new(), ..scenario.clone() }
}

fn without_plant(scenario: &Scenario) -> Scenario {
    Scenario { plant: Vec::new(), ..scenario.clone() }
}
