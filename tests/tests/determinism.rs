//! Is it the same run? The same seed again, on another scheduler, on no scheduler, with strangers in the
//! room, in another process, in debug and release.
//!
//! Debug and release are compared by `.ci/digests`, which runs this build's and the other's program; the
//! other five are here.

use std::process::Command;

use trial::{Digest, Engine, Options, Scenario, nth_seed, simulate};
use trial_tests::{root, scenario};

/// How many seeds each way is tried with.
const SEEDS: u64 = 200;

fn digest(scenario: &Scenario, seed: u64, engine: Engine) -> Digest {
    simulate(scenario, seed, Options { engine, ..Options::default() }).digest
}

/// A short run with everything in it: a drawn plan of faults, all clients.
fn short() -> Scenario {
    scenario("regressions/short-with-everything")
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let scenario = short();
    for index in 0..SEEDS {
        let seed = nth_seed(1, index);
        assert_eq!(
            digest(&scenario, seed, Engine::Direct),
            digest(&scenario, seed, Engine::Direct),
            "seed {seed:#x}"
        );
    }
}

#[test]
fn another_seed_gives_another_run() {
    let scenario = short();
    let digests: std::collections::BTreeSet<_> =
        (0..20).map(|index| digest(&scenario, nth_seed(2, index), Engine::Direct)).collect();
    assert_eq!(digests.len(), 20);
}

#[cfg(madsim)]
#[test]
fn the_scheduler_changes_nothing() {
    use trial::engine::madsim::Scheduling;

    let scenario = short();
    for index in 0..SEEDS {
        let seed = nth_seed(3, index);
        let direct = digest(&scenario, seed, Engine::Direct);
        let noise = [0, 3, 50][index as usize % 3];
        let madsim = Engine::Madsim(Scheduling { seed: index, noise });
        assert_eq!(
            direct,
            digest(&scenario, seed, madsim),
            "seed {seed:#x}, scheduler seed {index}, {noise} noise tasks"
        );
    }
}

/// A node that nobody talks to moves nobody else's dice: the chains of all others stay what they were.
#[test]
fn strangers_change_nothing() {
    use trial::scenario::file::{Actor, Admin};

    // Drawn faults choose among all clients, so a run with a nemesis may well look at a stranger.
    let quiet = Scenario { nemesis: None, ..short() };
    let mut with_stranger = quiet.clone();
    with_stranger.workload.push(Actor::Admin(Admin {
        name: "stranger".into(),
        steps: Vec::new(),
        every: None,
        ops: Vec::new(),
    }));
    for index in 0..SEEDS {
        let seed = nth_seed(4, index);
        let without = simulate(&quiet, seed, Options { engine: Engine::Direct, ..Options::default() });
        let with = simulate(&with_stranger, seed, Options { engine: Engine::Direct, ..Options::default() });
        let mut others = with.chains;
        assert!(others.remove("stranger").is_some());
        assert_eq!(without.chains, others, "seed {seed:#x}");
    }
}

#[test]
fn another_process_gives_the_same_run() {
    let scenario = short();
    let path = root().join("scenarios/regressions/short-with-everything.scenario.json");
    for index in 0..SEEDS / 20 {
        let seed = nth_seed(5, index);
        let here = digest(&scenario, seed, Engine::Direct);
        let output = Command::new(env!("CARGO_BIN_EXE_trial-under-test"))
            .args(["run", "--engine", "direct", "--no-progress", "--out"])
            .arg(root().join("target/trial/determinism"))
            .arg("--seed")
            .arg(format!("{seed:#x}"))
            .arg(&path)
            .output()
            .expect("the program runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            said.contains(&here.to_string()),
            "seed {seed:#x}: {here} here, there {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
