//! Is every check seen to fail, and does the gate notice when one looks no more?
//!
//! A witness for each check stands in `scenarios/gate/`. Both engines must say the same of it; and with that one
//! check switched off, the gate must fail.

use std::collections::BTreeSet;

use libtest_mimic::{Arguments, Failed, Trial};
use trial::{
    Engine, Options,
    check::CATALOGUE,
    gate::{self, Wrong},
};
use trial_tests::{load, root, scenario_files, seed_of};

fn main() {
    let args = Arguments::from_args();
    let mut trials: Vec<Trial> = CATALOGUE
        .iter()
        .map(|info| Trial::test(format!("gate/{}", info.name), || witness(info.name)))
        .collect();
    trials.push(Trial::test("gate/every_file_is_a_witness", every_file_is_a_witness));
    libtest_mimic::run(&args, trials).exit();
}

fn witness(check: &'static str) -> Result<(), Failed> {
    let path = root().join(format!("scenarios/gate/{check}.scenario.json"));
    if !path.is_file() {
        return Err(format!("nothing shows that {check} can fail: there is no {}", path.display()).into());
    }
    let scenario = load(&path);
    let info = gate::check_of(&scenario)?;
    let shown = gate::show(&scenario, info, Engine::Direct, &BTreeSet::new());
    match shown.wrong {
        None => {}
        Some(Wrong::Silent) => return Err(format!("{check} says nothing; {:?}", shown.others).into()),
        Some(Wrong::Anyway(other)) => {
            return Err(format!("violated also without the bug: {}: {}", other.check, other.headline).into());
        }
    }
    let options = Options { engine: Engine::default(), ..Options::default() };
    let other = trial::simulate(&scenario, seed_of(&scenario), options);
    let first = other.violations.iter().find(|violation| violation.check == check);
    if first.map(|it| &it.headline) != shown.fired.as_ref().map(|it| &it.headline) {
        return Err(format!("the engines differ: {first:?} and {:?}", shown.fired).into());
    }
    // Who looks no more is missed.
    let blind = gate::show(&scenario, info, Engine::Direct, &BTreeSet::from([check]));
    match blind.wrong {
        Some(Wrong::Silent) => Ok(()),
        _ => Err(format!("{check} is switched off and speaks").into()),
    }
}

fn every_file_is_a_witness() -> Result<(), Failed> {
    for path in scenario_files("gate") {
        let scenario = load(&path);
        let info = gate::check_of(&scenario).map_err(|why| format!("{}: {why}", path.display()))?;
        let file = format!("{}.scenario.json", info.name);
        if path.file_name().is_none_or(|name| name.to_string_lossy() != file) {
            return Err(format!("{} is not called {file}", path.display()).into());
        }
        if scenario.about.as_ref().is_none_or(|about| about.len() < 60) {
            return Err(format!("{} does not say what it shows", path.display()).into());
        }
        let (_, end) = scenario.ends();
        if end.as_secs() > 75 {
            return Err(format!("{} takes {} s", path.display(), end.as_secs()).into());
        }
    }
    Ok(())
}
