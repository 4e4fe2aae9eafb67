//! `trial museum gate`: would anybody notice if a check looked no more?

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use clap::Args;
use serde_json::json;

use super::{Common, Exit, Format, Output, input, interrupt};
use crate::{
    Engine, Scenario,
    check::CheckInfo,
    gate::{self, Shown, Wrong},
    report::words::counted,
    scenario::values::{CheckName, Seed},
};

#[derive(Args)]
pub struct Gate {
    /// Where the witnesses are kept, a file for each check.
    #[arg(default_value = "scenarios/gate")]
    dir: PathBuf,
    /// Judge without this check: the gate must then fail (`trial list properties`).
    #[arg(long, value_name = "CHECK", value_parser = input::check_name)]
    without_check: Vec<CheckName>,
}

pub fn main(it: &Gate, common: &Common, output: &mut Output) -> Exit {
    match run(it, common, output) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn run(it: &Gate, common: &Common, output: &mut Output) -> Result<Exit, Exit> {
    let witnesses = read(it, output)?;
    let without: BTreeSet<&str> = it.without_check.iter().map(|check| check.0).collect();
    interrupt::listen();
    if common.format == Format::Human && !common.quiet {
        output.say(&format!("{:<36} {:<40} {:>18} {:>10}  {}\n", "check", "bug", "seed", "found at", "ok"));
    }
    let (mut failed, mut took) = (Vec::new(), Duration::ZERO);
    for (check, scenario) in &witnesses {
        let shown = gate::show(scenario, *check, Engine::Direct, &without);
        took += shown.took;
        if shown.wrong.is_some() {
            failed.push(check.name);
        }
        match common.format {
            Format::Human if common.quiet => {}
            Format::Human => output.say(&row(*check, scenario, &shown)),
            _ => output.say(&line(*check, scenario, &shown)),
        }
        if interrupt::interrupted() {
            return Ok(Exit::Interrupted);
        }
    }
    let seen = witnesses.iter().map(|(check, _)| check.name).collect();
    let missing = gate::without_witness(&seen);
    if common.format == Format::Human {
        output.say(&format!(
            "{} of {} seen to fail, in {}.{} s\n",
            witnesses.len() - failed.len(),
            counted(witnesses.len() + missing.len(), "check"),
            took.as_secs(),
            took.subsec_millis() / 100
        ));
    }
    let mut why = Vec::new();
    if !failed.is_empty() {
        why.push(format!("not seen to fail by its witness: {}", failed.join(", ")));
    }
    if !missing.is_empty() {
        why.push(format!("without a witness in {}: {}", it.dir.display(), missing.join(", ")));
    }
    Ok(if why.is_empty() { Exit::Ok } else { output.fail(Exit::Failed, &why.join("\n")) })
}

/// The witnesses by name of file, each for another check.
fn read(it: &Gate, output: &mut Output) -> Result<Vec<(CheckInfo, Scenario)>, Exit> {
    let files = input::scenarios(std::slice::from_ref(&it.dir));
    let files = files.map_err(|why| output.fail(Exit::Usage, &why))?;
    let mut witnesses: Vec<(CheckInfo, Scenario)> = Vec::new();
    for file in files {
        let scenario = input::load(&file, &[], output)?.scenario;
        let check = gate::check_of(&scenario).and_then(|check| {
            let twice = witnesses.iter().any(|(other, _)| other.name == check.name);
            if twice { Err(format!("there is another witness for {}", check.name)) } else { Ok(check) }
        });
        let check = check.map_err(|why| output.fail(Exit::Usage, &format!("{}: {why}", file.display())))?;
        witnesses.push((check, scenario));
    }
    Ok(witnesses)
}

fn row(check: CheckInfo, scenario: &Scenario, shown: &Shown) -> String {
    let bugs: Vec<String> = scenario.plant.iter().map(ToString::to_string).collect();
    let bugs = if bugs.is_empty() { "none: its faults alone".to_string() } else { bugs.join(", ") };
    let at = shown.fired.as_ref().map_or("-".to_string(), |fired| format!("{}s", fired.at));
    let seed = scenario.seed.unwrap_or(Seed(1)).to_string();
    let ok = match &shown.wrong {
        None => "ok".to_string(),
        Some(Wrong::Silent) if shown.others.is_empty() => "MISSING: nothing is violated".to_string(),
        Some(Wrong::Silent) => {
            let others: Vec<&str> = shown.others.iter().copied().collect();
            format!("MISSING: violated is {}", others.join(", "))
        }
        Some(Wrong::Anyway(other)) => format!("NOT BY IT: {} is violated anyway", other.check),
    };
    format!("{:<36} {bugs:<40} {seed:>18} {at:>10}  {ok}\n", check.name)
}

fn line(check: CheckInfo, scenario: &Scenario, shown: &Shown) -> String {
    let wrong = shown.wrong.as_ref().map(|wrong| match wrong {
        Wrong::Silent => "silent".to_string(),
        Wrong::Anyway(other) => format!("anyway: {}", other.check),
    });
    let told = json!({
        "check": check.name,
        "plant": scenario.plant,
        "seed": scenario.seed.unwrap_or(Seed(1)),
        "at": shown.fired.as_ref().map(|fired| fired.at.0),
        "headline": shown.fired.as_ref().map(|fired| &fired.headline),
        "others": shown.others,
        "wrong": wrong,
        "ok": shown.wrong.is_none(),
        "took_ms": u64::try_from(shown.took.as_millis()).unwrap_or(u64::MAX),
    });
    format!("{told}\n")
}
