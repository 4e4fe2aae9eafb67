//! Does the codec lose anything? A run whose messages go through Kafka's frames is the same run.
//!
//! Every scenario of the repository, those of the museum with their bug, too, and drawn clusters: the digest names every
//! value that a node was ever given. Versions are drawn, so what older ones leave out would show.

use libtest_mimic::{Arguments, Failed, Trial};
use trial::{
    Engine, Options, Run, Scenario,
    fuzz::{Manner, Taste},
    nth_seed,
    scenario::values::BugName,
    simulate,
};
use trial_model::museum::Bug;
use trial_tests::{load, root, scenario_files, seed_of};

/// How many clusters are drawn, and how many of them are a test by themselves.
const DRAWN: u64 = 160;
const AT_ONCE: u64 = 10;

fn main() {
    let args = Arguments::from_args();
    let mut trials: Vec<Trial> = Vec::new();
    for path in scenario_files("") {
        let name = path.strip_prefix(root().join("scenarios")).expect("below scenarios").to_string_lossy();
        let name = name.replace(".scenario.json", "").replace(".repro.json", "");
        // What speed is measured on is as large as that takes.
        if name.starts_with("bench/") {
            continue;
        }
        trials.push(Trial::test(name, move || corpus(&load(&path))));
    }
    for part in 0..DRAWN / AT_ONCE {
        trials.push(Trial::test(format!("drawn/{part}"), move || drawn(part)));
    }
    trials.push(Trial::test("engines", engines));
    libtest_mimic::run(&args, trials).exit();
}

fn run(scenario: &Scenario, seed: u64, engine: Engine) -> Run {
    simulate(scenario, seed, Options { engine, ..Options::default() })
}

fn framed(scenario: &Scenario) -> Scenario {
    Scenario { wire: Some(true), ..scenario.clone() }
}

fn same(scenario: &Scenario, seed: u64) -> Result<(), Failed> {
    let plain = run(&Scenario { wire: None, ..scenario.clone() }, seed, Engine::Direct);
    let wired = run(&framed(scenario), seed, Engine::Direct);
    if plain.violations != wired.violations {
        return Err(format!("{} with seed {seed:#x}: {:#?}", scenario.name, wired.violations).into());
    }
    if plain.digest != wired.digest {
        let differ = plain.chains.iter().filter(|(node, chain)| wired.chains.get(*node) != Some(*chain));
        let nodes: Vec<&String> = differ.map(|(node, _)| node).collect();
        return Err(format!("{} with seed {seed:#x}: other runs of {nodes:?}", scenario.name).into());
    }
    Ok(())
}

fn corpus(scenario: &Scenario) -> Result<(), Failed> {
    let seed = seed_of(scenario);
    same(scenario, seed)?;
    match Bug::from_slug(&scenario.name).filter(|_| scenario.plant.is_empty()) {
        Some(bug) => same(&Scenario { plant: vec![BugName(bug)], ..scenario.clone() }, seed),
        None => Ok(()),
    }
}

fn drawn(part: u64) -> Result<(), Failed> {
    const MANNERS: [Manner; 4] = [Manner::Swarm, Manner::Pct, Manner::Story, Manner::Uniform];
    for index in part * AT_ONCE..(part + 1) * AT_ONCE {
        let seed = nth_seed(71, index);
        // A group in half of them: its members say the most.
        let taste = Taste { groups: index % 2 == 0, ..Taste::default() };
        let manner = MANNERS[(index / 2 % MANNERS.len() as u64) as usize];
        same(&manner.begin(taste).propose(index, seed).scenario, seed)?;
    }
    Ok(())
}

/// The other engine makes the same of it.
fn engines() -> Result<(), Failed> {
    let scenario = framed(&trial_tests::scenario("regressions/short-with-everything"));
    for index in 0..20 {
        let seed = nth_seed(72, index);
        let (one, other) = (run(&scenario, seed, Engine::Direct), run(&scenario, seed, Engine::default()));
        if (one.digest, &one.violations) != (other.digest, &other.violations) {
            return Err(format!("seed {seed:#x}: {} and {}", one.digest, other.digest).into());
        }
    }
    Ok(())
}
