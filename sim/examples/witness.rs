//! Which drawn clusters, with which bug planted, break which promise? Candidates for `scenarios/gate/`.
//!
//! `cargo run --release -p trial --example witness -- RUNS BASE OUT [BUG…]`
//!
//! For every bug RUNS clusters are drawn. What a check says of them is kept under OUT: for each check and bug the
//! run with the fewest faults, as a scenario to be shrunk, which has only that check look. Runs that break a
//! promise without the bug are left out.

use std::{collections::BTreeMap, path::Path, process::ExitCode};

use trial::{
    Engine, Options, Scenario,
    fuzz::{Taste, draw},
    nth_seed,
    scenario::values::{BugName, CheckName, Seed},
    simulate,
};
use trial_model::museum::Bug;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| args.get(at).and_then(|text| text.parse::<u64>().ok());
    let (Some(runs), Some(base), Some(out)) = (number(0), number(1), args.get(2)) else {
        eprintln!("usage: witness RUNS BASE OUT [BUG…]");
        return ExitCode::from(2);
    };
    let mut bugs = Vec::new();
    for name in &args[3..] {
        match Bug::from_slug(name) {
            Some(bug) => bugs.push(bug),
            None => {
                eprintln!("no bug is called {name}");
                return ExitCode::from(2);
            }
        }
    }
    if bugs.is_empty() {
        bugs = Bug::ALL.to_vec();
    }
    for bug in bugs {
        for (check, (times, first)) in seen(bug, runs, base) {
            println!("{:<44} {check:<40} {times:>4}  {} faults", bug.slug(), first.faults.len());
            if let Err(error) = keep(Path::new(out), check, bug, &first) {
                eprintln!("{out}: {error}");
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::SUCCESS
}

/// Every check that fired, in how many runs, and the one with the fewest faults.
fn seen(bug: Bug, runs: u64, base: u64) -> BTreeMap<&'static str, (u64, Scenario)> {
    let mut seen: BTreeMap<&str, (u64, Scenario)> = BTreeMap::new();
    for index in 0..runs {
        let seed = nth_seed(base, index);
        let mut scenario = draw(seed, Taste::default());
        let run = |scenario: &Scenario| {
            let options = Options { engine: Engine::Direct, ..Options::default() };
            simulate(scenario, seed, options).violations
        };
        scenario.plant = vec![BugName(bug)];
        let mut fired: Vec<&str> = run(&scenario).iter().map(|violation| violation.check).collect();
        fired.sort_unstable();
        fired.dedup();
        if fired.is_empty() || !run(&Scenario { plant: Vec::new(), ..scenario.clone() }).is_empty() {
            continue;
        }
        for check in fired {
            let best = seen.entry(check).or_insert_with(|| (0, scenario.clone()));
            best.0 += 1;
            if scenario.faults.len() < best.1.faults.len() {
                best.1 = scenario.clone();
            }
        }
    }
    seen
}

fn keep(out: &Path, check: &str, bug: Bug, scenario: &Scenario) -> std::io::Result<()> {
    let mut scenario = scenario.clone();
    scenario.seed = scenario.seed.or(Some(Seed(1)));
    if let Ok(check) = check.parse::<CheckName>() {
        scenario.properties = vec![trial::scenario::file::Property {
            check,
            topic: None,
            event: None,
            at_least: None,
            when: None,
            within: None,
        }];
    }
    let dir = out.join(check);
    std::fs::create_dir_all(&dir)?;
    let text = trial::shrink::written(&scenario);
    std::fs::write(dir.join(format!("{}.repro.json", bug.slug())), text)
}
