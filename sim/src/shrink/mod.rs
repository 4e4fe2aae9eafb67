//! What is the least that still fails? Takes away from a scenario that breaks a promise whatever is not needed
//! for it. One kind of simpler a file.

mod ddmin;
mod kept;
mod lab;
pub(crate) mod mend;
mod reading;
mod written;

mod faults;
mod length;
mod roles;
mod triggers;
mod stronger;
mod nodes;
mod load;
mod spans;
mod defaults;
mod round;

use std::time::{Duration, Instant as RealTime};

pub use lab::SEEDS;
pub use written::written;

use crate::{
    Engine, Options, Run, Scenario, Signature,
    check::{CATALOGUE, CheckInfo, Kind},
    director::nemesis,
    report::Build,
    scenario::values::Seed,
    simulate,
};
use kept::Kept;
use lab::{Lab, Wanted};

/// After so many rounds it is simple enough.
const ROUNDS: usize = 4;
/// With that many faults or fewer it is worth while to look for events that they could wait for.
const FEW: usize = 6;

/// How much a shrinking may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many runs. The same limit gives the same result on every machine.
    pub runs: Option<u64>,
    /// How long; the last measuring of the strength may go beyond it.
    pub time: Option<Duration>,
    /// How many runs at once, where many are needed. Does not change the result.
    pub jobs: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { runs: None, time: Some(Duration::from_secs(60)), jobs: 1 }
    }
}

/// How far it has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What is being tried.
    pub step: &'static str,
    /// How many runs there were.
    pub runs: u64,
    /// How long it has taken.
    pub elapsed: Duration,
}

/// What was asked for besides.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Only the same kind of failure counts, not any violation of the same check.
    pub same_bucket: bool,
    /// What may not be changed: keys, positions and names from the root down.
    pub keep: Vec<Vec<String>>,
}

/// A scenario that was made as simple as could be.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The scenario, its seed pinned and its origin told.
    pub scenario: Scenario,
    /// The scenario it began with, its faults written out.
    pub before: Scenario,
    /// The kind of failure of the scenario it began with.
    pub signature: Signature,
    /// How many runs it took.
    pub runs: u64,
    /// How long it took.
    pub took: Duration,
    /// With how many of `SEEDS` other seeds the scenario failed that it began with.
    pub strength_before: usize,
    /// With how many of them it fails now.
    pub strength_after: usize,
    /// Whether a limit ended it before there was nothing left to try.
    pub cut_short: bool,
}

/// Why nothing can be shrunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The scenario breaks no promise under its seed.
    Passes,
    /// What is to be kept is not there.
    Keep(String),
}

/// Takes away from a scenario whatever its failure under its seed does not need; the seed is 1 if it pins
/// none.
///
/// What comes out loads, fails under its own seed with a violation of the same check (of the same kind, if
/// that is wished), and fails for the same reason as far as that can be told: if the failure needed faults or
/// planted bugs, it still does. The same scenario, wishes and limit of runs give the same result; a limit of
/// time only ends it earlier.
///
/// `tell` is told now and then how far it has come, and says whether to go on.
pub fn shrink(
    scenario: &Scenario,
    limits: Limits,
    wishes: &Wishes,
    tell: &mut dyn FnMut(Progress) -> bool,
) -> Result<Shrunk, Refusal> {
    let began = RealTime::now();
    let seed = scenario.seed.unwrap_or(Seed(1));
    let mut before = nemesis::written_out(scenario, seed.0);
    before.seed = Some(seed);
    before.schema = None;
    let written = serde_json::to_value(&before).unwrap_or_default();
    let kept = Kept::new(&written, &wishes.keep).map_err(Refusal::Keep)?;
    let first = simulate(&before, seed.0, options(true));
    let signature = Signature::of(&first).ok_or(Refusal::Passes)?;
    let wanted = Wanted { signature, same_bucket: wishes.same_bucket, in_chaos: in_chaos(&before, &first) };
    let mut lab = Lab::new(&before, wanted, kept, limits, began, tell);
    lab.doing("strength");
    let strength_before = lab.strength(&before);
    let mut now = before.clone();
    rounds(&mut lab, &mut now, strength_before);
    lab.doing("strength");
    let strength_after = lab.strength(&now);
    let last = simulate(&now, now.seed.unwrap_or(seed).0, options(false));
    tell_origin(&mut now, seed, &last);
    Ok(Shrunk {
        scenario: now,
        before,
        signature,
        runs: lab.runs() + 1,
        took: lab.elapsed(),
        strength_before,
        strength_after,
        cut_short: lab.stopped(),
    })
}

/// Whether something bad happened while anything may break: then nobody has to wait for the rest of a run.
fn in_chaos(scenario: &Scenario, run: &Run) -> bool {
    run.violations.first().is_some_and(|first| {
        let safety = |info: &CheckInfo| info.name == first.check && info.kind == Kind::Safety;
        Duration::from_nanos(first.at.0) < scenario.phases.chaos.0 && CATALOGUE.iter().any(safety)
    })
}

fn options(stop_at_first: bool) -> Options {
    Options { engine: Engine::Direct, stop_at_first, ..Options::default() }
}

fn rounds(lab: &mut Lab<'_>, now: &mut Scenario, strength_before: usize) {
    let mut strength = strength_before;
    if !lab.needs_plant() {
        lab.adopt(now, Scenario { plant: Vec::new(), ..now.clone() });
    }
    if now.wire.is_some() {
        lab.adopt(now, Scenario { wire: None, ..now.clone() });
    }
    for round in 0..ROUNDS {
        let before = now.clone();
        lab.doing("faults");
        faults::pass(lab, now);
        lab.doing("length");
        length::pass(lab, now, round == 0);
        if round == 0 {
            // First what makes every further run cheaper.
            size(lab, now);
            faults::pass(lab, now);
        }
        if round == 0 || now.faults.len() > faults::MANY {
            lab.doing("faults");
            lab.unguard();
            faults::with_other_seeds(lab, now);
        }
        if now.faults.len() <= FEW && strength_of(lab, now, &mut strength) < SEEDS {
            lab.doing("nodes by their part");
            strength = roles::pass(lab, now, strength);
            lab.doing("times to triggers");
            strength = triggers::pass(lab, now, strength);
            lab.doing("more often");
            strength = stronger::pass(lab, now, strength);
        }
        lab.guard(now);
        size(lab, now);
        load::pass(lab, now);
        lab.doing("shorter faults");
        spans::pass(lab, now);
        lab.doing("settings");
        defaults::pass(lab, now);
        lab.doing("round numbers");
        round::pass(lab, now);
        if *now == before || lab.stopped() {
            return;
        }
    }
}

fn size(lab: &mut Lab<'_>, now: &mut Scenario) {
    lab.doing("nodes");
    nodes::pass(lab, now);
    lab.doing("work");
    load::fewer(lab, now);
}

fn strength_of(lab: &mut Lab<'_>, now: &Scenario, strength: &mut usize) -> usize {
    if !lab.stopped() {
        *strength = lab.count(now, SEEDS, 0).unwrap_or(0);
    }
    *strength
}

/// Writes down where a repro comes from; what is known of an earlier origin stays.
fn tell_origin(scenario: &mut Scenario, seed: Seed, run: &Run) {
    let mut origin = scenario.origin.take().unwrap_or_default();
    origin.found_by.get_or_insert_with(|| "trial shrink".into());
    origin.seed.get_or_insert(seed);
    let Build { trial, binary } = Build::this();
    origin.build = [("trial".to_string(), trial), ("binary".to_string(), binary)].into();
    origin.trace_hash = Some(format!("blake3:{}", run.digest.hex()));
    origin.bucket = Signature::of(run).map(|kind| kind.to_string());
    scenario.origin = Some(origin);
}
