//! Which scenario, and what is changed in it before it runs?

use std::{
    fs,
    path::{Path, PathBuf},
};

use trial_model::museum::Bug;

use super::{
    Exit, Output,
    rundir::{self, Unreadable},
};
use crate::scenario::{
    self, Change, Scenario, Source, diagnostic,
    values::{BugName, CheckName, Seed},
};

/// A scenario and the file it came from.
pub struct Loaded {
    /// The file.
    pub source: Source,
    /// What it says.
    pub scenario: Scenario,
}

/// Reads a scenario, or says what is wrong with it.
pub fn load(path: &Path, changes: &[Change], output: &mut Output) -> Result<Loaded, Exit> {
    let source = Source::read(path).map_err(|why| output.fail(Exit::Usage, &why))?;
    match scenario::load(&source.text, changes) {
        Ok(scenario) => Ok(Loaded { source, scenario }),
        Err(problems) => {
            output.note(&diagnostic::render(&source.path, &source.text, &problems, true));
            let other = problems.iter().any(|problem| problem.other_version);
            Err(if other { Exit::OtherFormat } else { Exit::Usage })
        }
    }
}

/// A scenario and the seed under which it is to run again.
pub struct Again {
    /// What to run, its planted bugs included.
    pub scenario: Scenario,
    /// Under which seed.
    pub seed: Seed,
}

/// What a repro, a scenario or the directory of a run says to run again; `seed` and `plant` are what the
/// command line adds.
pub fn again(what: &Path, seed: Option<Seed>, plant: &[BugName], output: &mut Output) -> Result<Again, Exit> {
    let (file, recorded) = if what.is_dir() {
        let left = rundir::read(what).map_err(|why| match why {
            Unreadable::Damaged(why) => output.fail(Exit::Usage, &why),
            Unreadable::OtherFormat(why) => output.fail(Exit::OtherFormat, &why),
        })?;
        (what.join("scenario.json"), Some(left.summary.seed))
    } else {
        (what.to_path_buf(), None)
    };
    let mut scenario = load(&file, &[], output)?.scenario;
    let told = scenario.origin.as_ref().and_then(|origin| origin.seed);
    let Some(seed) = seed.or(recorded).or(scenario.seed).or(told) else {
        let why = format!("{} pins no seed: say with --seed which run you mean", file.display());
        return Err(output.fail(Exit::Usage, &why));
    };
    for bug in plant.iter().filter(|bug| !scenario.plant.contains(bug)).copied().collect::<Vec<_>>() {
        scenario.plant.push(bug);
    }
    Ok(Again { scenario, seed })
}

/// `PATH=VALUE` of `--set`: a value that is JSON is taken as JSON, any other as a string.
pub fn change(text: &str) -> Result<Change, String> {
    let (path, value) = text.split_once('=').ok_or("write PATH=VALUE, such as faults.0.for=100ms")?;
    let path = self::path(path)?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok(Change { path, value })
}

/// The name of a historical bug; the nearest one is told of one that is not.
pub fn bug_name(text: &str) -> Result<BugName, String> {
    text.parse().map_err(|_| {
        let nearest = diagnostic::suggest(text, Bug::ALL.iter().map(|bug| bug.slug()));
        format!("there is no bug `{text}`: {}", nearest.unwrap_or_else(|| "see `trial list bugs`".into()))
    })
}

/// The name of a check; a goal is none.
pub fn check_name(text: &str) -> Result<CheckName, String> {
    match text.parse::<CheckName>()? {
        CheckName::SOMETIMES => Err("`sometimes` is a goal, not a check: see `trial list properties`".into()),
        check => Ok(check),
    }
}

/// A place in a scenario: `faults.0.for`.
pub fn path(text: &str) -> Result<Vec<String>, String> {
    let path = keys(text);
    if path.iter().any(String::is_empty) {
        return Err("a path is keys and positions with dots between: faults.0.for".into());
    }
    Ok(path)
}

/// Splits at dots; Kafka's keys, which have dots of their own, stand in brackets: `broker_config[a.b.c]`.
fn keys(path: &str) -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut bracketed = false;
    for c in path.chars() {
        match c {
            '[' if !bracketed => {
                bracketed = true;
                keys.push(String::new());
            }
            ']' if bracketed => bracketed = false,
            '.' if !bracketed => keys.push(String::new()),
            c => {
                if let Some(last) = keys.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    keys
}

/// The scenario files that `paths` name: files as they are, directories with everything below them, in order.
pub fn scenarios(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = found.len();
            walk(path, &mut found)?;
            if found.len() == before {
                return Err(format!("{} has no *.scenario.json or *.repro.json", path.display()));
            }
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be read: {error}", dir.display());
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort();
    for path in entries {
        // Not through links: they may lead in circles.
        if path.is_symlink() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            walk(&path, found)?;
        } else if name.ends_with(".scenario.json") || name.ends_with(".repro.json") {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_path_and_a_value() {
        let it = change("faults.0.for=100ms").expect("is one");
        assert_eq!((it.path, it.value), (vec!["faults".into(), "0".into(), "for".into()], "100ms".into()));
        let it = change("topology.broker_config[replica.lag.time.max.ms]=500").expect("is one");
        assert_eq!(it.path, ["topology", "broker_config", "replica.lag.time.max.ms"]);
        assert_eq!(it.value, 500);
        assert!(change("faults.0.for").is_err() && change("=3").is_err() && change("a..b=3").is_err());
    }
}
