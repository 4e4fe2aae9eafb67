//! Is every check seen to fail? For each there is a witness: a scenario whose run breaks that promise, by a
//! planted bug or by more than the promise forgives. A check that says nothing of its witness looks no more.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant as RealTime},
};

use crate::{
    Engine, Options, Run, Scenario,
    check::{CATALOGUE, CheckInfo, Violation},
    scenario::{
        file::Expect,
        values::{CheckName, Seed},
    },
    simulate,
};

/// What a witness showed.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What its check said first.
    pub fired: Option<Violation>,
    /// The other checks that fired.
    pub others: BTreeSet<&'static str>,
    /// What is wrong with it, if anything is.
    pub wrong: Option<Wrong>,
    /// How long the two runs took.
    pub took: Duration,
}

/// Why a witness shows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Its check says nothing of it.
    Silent,
    /// Without what is planted in it (without its faults, if nothing is) it breaks a promise just the same.
    Anyway(Violation),
}

/// The check that a scenario is a witness for: the one that it expects to be violated.
///
/// Refuses a scenario that has another name than its check, has only some of the checks look, or could break
/// nothing.
pub fn check_of(scenario: &Scenario) -> Result<CheckInfo, String> {
    let Expect::Violates(check) = scenario.expect else {
        return Err("a witness says which check it is for: \"expect\": { \"violates\": CHECK }".into());
    };
    let info = CATALOGUE.iter().find(|info| info.name == check.0);
    let info = info.ok_or_else(|| format!("`{check}` is a goal, not a check"))?;
    if scenario.name != info.name {
        return Err(format!("it is called {} and is a witness for {}", scenario.name, info.name));
    }
    if scenario.properties.iter().any(|property| property.check != CheckName::SOMETIMES) {
        return Err("it names properties, but all checks look at a witness".into());
    }
    if scenario.plant.is_empty() && scenario.faults.is_empty() {
        return Err("it has neither a planted bug nor a fault, so nothing could break".into());
    }
    Ok(*info)
}

/// Runs a witness for `check`, and again without what makes it fail; all checks look but those in `without`.
pub fn show(
    scenario: &Scenario,
    check: CheckInfo,
    engine: Engine,
    without: &BTreeSet<&'static str>,
) -> Shown {
    let began = RealTime::now();
    let run = run(scenario, engine, without);
    let others = run.violations.iter().map(|it| it.check).filter(|it| *it != check.name).collect();
    let fired = run.violations.into_iter().find(|violation| violation.check == check.name);
    let anyway = || self::run(&innocent(scenario), engine, without).violations.into_iter().next();
    let wrong = match fired {
        None => Some(Wrong::Silent),
        Some(_) => anyway().map(Wrong::Anyway),
    };
    Shown { fired, others, wrong, took: began.elapsed() }
}

fn run(scenario: &Scenario, engine: Engine, without: &BTreeSet<&'static str>) -> Run {
    let options = Options { engine, without: without.clone(), ..Options::default() };
    simulate(scenario, scenario.seed.unwrap_or(Seed(1)).0, options)
}

/// The same without the bugs that are planted in it; without its faults, if none is.
fn innocent(scenario: &Scenario) -> Scenario {
    let mut innocent = Scenario { expect: Expect::Pass, plant: Vec::new(), ..scenario.clone() };
    if scenario.plant.is_empty() {
        innocent.faults.clear();
    }
    innocent
}

/// The checks that none of these is.
pub fn without_witness(seen: &BTreeSet<&'static str>) -> Vec<&'static str> {
    CATALOGUE.iter().map(|info| info.name).filter(|name| !seen.contains(name)).collect()
}
