//! What the tests share: where the repository keeps its files, and how its scenarios are run.

use std::path::{Path, PathBuf};

use trial::{Engine, Options, Run, Scenario, trace::Golden};

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Every scenario file below a folder of `scenarios/`, in order of path; all of them for `""`.
pub fn scenario_files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("scenarios").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("a folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(".scenario.json")
                || path.to_string_lossy().ends_with(".repro.json")
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A scenario of the repository.
pub fn load(path: &Path) -> Scenario {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    trial::scenario::load(&text, &[]).unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display()))
}

/// A scenario of the repository by its path below `scenarios/`, without its ending.
pub fn scenario(name: &str) -> Scenario {
    load(&root().join(format!("scenarios/{name}.scenario.json")))
}

/// The seed that a scenario is run with: its own, or 1.
pub fn seed_of(scenario: &Scenario) -> u64 {
    scenario.seed.map_or(1, |seed| seed.0)
}

/// Runs a scenario; gives its golden trace, too.
pub fn run_with_golden(scenario: &Scenario, seed: u64, engine: Engine) -> (Run, String) {
    let (golden, text) = Golden::new();
    let run = trial::simulate(
        scenario,
        seed,
        Options { engine, readers: vec![Box::new(golden)], ..Options::default() },
    );
    let text = text.lock().expect("the run is over").clone();
    (run, text)
}

/// Whether a run ended as its scenario expects; says why not.
pub fn verdict(scenario: &Scenario, run: &Run) -> Result<(), String> {
    use trial::scenario::file::Expect;

    if let Some(goal) = run.goals.iter().find(|goal| !goal.reached()) {
        return Err(format!("{} occurred {} times, not {}", goal.event, goal.seen, goal.at_least));
    }
    match scenario.expect {
        Expect::Pass if run.violations.is_empty() => Ok(()),
        Expect::Pass => Err(run
            .violations
            .iter()
            .map(|v| format!("{}: {}\n  {:?}\n", v.check, v.headline, v.lines))
            .collect()),
        Expect::Violates(check) if run.violations.iter().any(|v| v.check == check.0) => Ok(()),
        Expect::Violates(check) => Err(format!("{} was not violated; {:?}", check.0, run.violations)),
    }
}
