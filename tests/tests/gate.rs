//! Is every check seen to fail, and does the gate notice when one looks no more?
//!
//! A witness for each check stands in `scenarios/gate/`. Both engines must say the same of it; and with that one
//! check switched off, the gate must fail.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

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
    trials.push(Trial::test("gate/the_command_names_who_is_missed", the_command_names_who_is_missed));
    trials.push(Trial::test(
        "gate/the_command_refuses_what_is_no_witness",
        the_command_refuses_what_is_no_witness,
    ));
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

/// Runs `trial museum gate` on a directory that has copies of some witnesses; its exit code and what it says.
fn command(name: &str, checks: &[&str], more: &[&str]) -> Result<(Option<i32>, String, String), Failed> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gate").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    for check in checks {
        let file = format!("{check}.scenario.json");
        fs::copy(root().join("scenarios/gate").join(&file), dir.join(&file))?;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_trial-under-test"));
    let output = command.args(["museum", "gate"]).arg(&dir).args(more).output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((output.status.code(), text(output.stdout), text(output.stderr)))
}

fn the_command_names_who_is_missed() -> Result<(), Failed> {
    let off = ["--without-check", "no_duplicates"];
    let (code, said, told) = command("missed", &["no_duplicates", "writes_complete"], &off)?;
    let row = |check: &str| said.lines().find(|line| line.starts_with(check)).unwrap_or_default();
    assert_eq!(code, Some(1), "{said}{told}");
    assert!(row("no_duplicates ").contains("MISSING"), "{said}");
    assert!(row("writes_complete ").ends_with("  ok"), "{said}");
    assert!(told.contains("not seen to fail by its witness: no_duplicates\n"), "{told}");
    assert!(told.contains("without a witness in ") && told.contains("no_panics"), "{told}");
    Ok(())
}

fn the_command_refuses_what_is_no_witness() -> Result<(), Failed> {
    let (code, _, told) = command("goal", &["writes_complete"], &["--without-check", "sometimes"])?;
    assert!(code == Some(2) && told.contains("is a goal, not a check"), "{told}");
    let (code, _, told) = command("typo", &["writes_complete"], &["--without-check", "no_panik"])?;
    assert!(code == Some(2) && told.contains("unknown check `no_panik`"), "{told}");
    let (code, _, told) = command("empty", &[], &[])?;
    assert!(code == Some(2) && told.contains("has no *.scenario.json"), "{told}");
    Ok(())
}
