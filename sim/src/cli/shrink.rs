//! `trial shrink`: the least that still fails.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use clap::Args;
use serde_json::json;

use super::{
    Common, Exit, Format, Output, input, interrupt, progress,
    rundir::{self, Unreadable},
    seed::SeedArg,
};
use crate::{
    Scenario,
    report::words::{counted, grouped, seconds, trigger},
    scenario::values::{BugName, Seed, Span},
    shrink::{Limits, Progress, Refusal, SEEDS, Shrunk, Wishes, shrink, written},
};

/// Find the least that still fails: drop and shorten faults, take away nodes, work and settings.
#[derive(Args)]
pub struct Shrink {
    /// A repro, a scenario, or the directory of a run, that breaks a promise.
    what: PathBuf,
    /// For how long to try.
    #[arg(long, value_name = "T", default_value = "60s")]
    time: Span,
    /// How many runs to make at most; with --time 0s the result is then the same on every machine.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// Do not change this: faults.0, topology.brokers, workload.p1, faults.n3.for.
    #[arg(long, value_name = "PATH", value_parser = input::path)]
    keep: Vec<Vec<String>>,
    /// Keep the kind of failure, not only the violated check.
    #[arg(long)]
    same_bucket: bool,
    /// The seed, if the file pins none.
    #[arg(long)]
    seed: Option<SeedArg>,
    /// Switch on a historical bug (`trial list bugs`).
    #[arg(long, value_name = "BUG", value_parser = input::bug_name)]
    plant: Vec<BugName>,
    /// How many runs at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Where to write the repro.
    #[arg(short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn main(it: &Shrink, common: &Common, output: &mut Output) -> Exit {
    match carry_out(it, common, output) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn carry_out(it: &Shrink, common: &Common, output: &mut Output) -> Result<Exit, Exit> {
    let scenario = read(it, output)?;
    if let Some(path) = &it.output {
        writable(path).map_err(|why| output.fail(Exit::Usage, &why))?;
    }
    if it.time.0.is_zero() && it.runs.is_none() {
        return Err(output.fail(Exit::Usage, "--time 0s is no limit, and needs --runs"));
    }
    interrupt::listen();
    let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let limits = Limits {
        runs: it.runs,
        time: (!it.time.0.is_zero()).then_some(it.time.0),
        jobs: it.jobs.map_or(all, usize::from),
    };
    let wishes = Wishes { same_bucket: it.same_bucket, keep: it.keep.clone() };
    let mut watcher = Watcher::new(common, limits);
    let shrunk = shrink(&scenario, limits, &wishes, &mut |told| watcher.told(told));
    watcher.bar.finish_and_clear();
    let shrunk = shrunk.map_err(|refusal| output.fail(Exit::Usage, &refused(&refusal, it, &scenario)))?;
    let path = it
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}.repro.json", shrunk.signature.file_name())));
    let saved = write(&path, &shrunk.scenario);
    say(common, &shrunk, &path, output);
    if let Err(why) = saved {
        // What was found must not be lost with a full disk.
        output.say(&written(&shrunk.scenario));
        return Err(output.fail(Exit::Usage, &format!("{why}; the repro stands above")));
    }
    Ok(if interrupt::interrupted() { Exit::Interrupted } else { Exit::Ok })
}

/// The scenario with the seed under which it is to fail.
fn read(it: &Shrink, output: &mut Output) -> Result<Scenario, Exit> {
    let (file, recorded) = if it.what.is_dir() {
        let left = rundir::read(&it.what).map_err(|why| match why {
            Unreadable::Damaged(why) => output.fail(Exit::Usage, &why),
            Unreadable::OtherFormat(why) => output.fail(Exit::OtherFormat, &why),
        })?;
        (it.what.join("scenario.json"), Some(left.summary.seed))
    } else {
        (it.what.clone(), None)
    };
    let mut scenario = input::load(&file, &[], output)?.scenario;
    let told = scenario.origin.as_ref().and_then(|origin| origin.seed);
    let seed = it.seed.map(|seed| seed.0).or(recorded).or(scenario.seed).or(told);
    let Some(seed) = seed else {
        let why = format!("{} pins no seed: say with --seed which one fails", file.display());
        return Err(output.fail(Exit::Usage, &why));
    };
    scenario.seed = Some(seed);
    for bug in &it.plant {
        if !scenario.plant.contains(bug) {
            scenario.plant.push(*bug);
        }
    }
    Ok(scenario)
}

fn refused(refusal: &Refusal, it: &Shrink, scenario: &Scenario) -> String {
    match refusal {
        Refusal::Passes => {
            let seed = scenario.seed.unwrap_or(Seed(1));
            format!(
                "{} breaks no promise under seed {seed}, so there is nothing to shrink",
                it.what.display()
            )
        }
        Refusal::Keep(why) => format!("--keep: {why}"),
    }
}

/// Whether a file can be written there, before anybody waits for a minute.
fn writable(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Err(format!("{} is a directory", path.display()));
    }
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() && !dir.is_dir() => {
            Err(format!("{} cannot be written: there is no directory {}", path.display(), dir.display()))
        }
        _ => Ok(()),
    }
}

/// Writes a file whole or not at all.
fn write(path: &Path, scenario: &Scenario) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be written: {error}", path.display());
    let draft = path.with_extension(format!("{}.part", std::process::id()));
    fs::write(&draft, written(scenario)).and_then(|()| fs::rename(&draft, path)).map_err(|error| {
        let _ = fs::remove_file(&draft);
        failed(error)
    })
}

/// A bar where somebody watches, and a line now and then where nobody does.
struct Watcher {
    bar: indicatif::ProgressBar,
    limits: Limits,
    lines: bool,
    told: AtomicU64,
}

/// How often a line is written.
const EVERY: Duration = Duration::from_secs(10);

impl Watcher {
    fn new(common: &Common, limits: Limits) -> Watcher {
        let total = match (limits.runs, limits.time) {
            (Some(runs), None) => runs,
            (_, time) => time.unwrap_or_default().as_secs(),
        };
        let shown = progress::shown(common);
        let bar = progress::bar(total, shown);
        Watcher {
            bar,
            limits,
            lines: !shown && !common.quiet && !common.no_progress,
            told: AtomicU64::new(0),
        }
    }

    /// Says whether to go on.
    fn told(&mut self, told: Progress) -> bool {
        self.bar.set_message(told.step);
        self.bar.set_position(if self.limits.time.is_some() { told.elapsed.as_secs() } else { told.runs });
        let nth = told.elapsed.as_secs() / EVERY.as_secs();
        if self.lines && self.told.swap(nth, Ordering::Relaxed) < nth {
            eprintln!("  {}  {} runs, {} s", told.step, grouped(told.runs), told.elapsed.as_secs());
        }
        !interrupt::interrupted()
    }
}

fn say(common: &Common, shrunk: &Shrunk, path: &Path, output: &mut Output) {
    match common.format {
        Format::Human if common.quiet => output.say(&format!("{}\n", path.display())),
        Format::Human => output.say(&human(shrunk, path)),
        Format::Json => output.say(&format!("{:#}\n", document(shrunk, path))),
        Format::Jsonl => output.say(&format!("{}\n", document(shrunk, path))),
    }
}

fn document(shrunk: &Shrunk, path: &Path) -> serde_json::Value {
    let figures = |scenario: &Scenario, strength: usize| {
        json!({
            "faults": scenario.faults.len(),
            "controllers": scenario.topology.controllers,
            "brokers": scenario.topology.brokers,
            "clients": scenario.clients().len(),
            "length": Span(scenario.ends().1),
            "strength": strength,
        })
    };
    json!({
        "bucket": shrunk.signature,
        "runs": shrunk.runs,
        "seconds": shrunk.took.as_secs_f64(),
        "cut_short": shrunk.cut_short,
        "seeds": SEEDS,
        "before": figures(&shrunk.before, shrunk.strength_before),
        "after": figures(&shrunk.scenario, shrunk.strength_after),
        "repro": path.display().to_string(),
    })
}

/// What was cut, in a few lines.
fn human(shrunk: &Shrunk, path: &Path) -> String {
    let (before, after) = (&shrunk.before, &shrunk.scenario);
    let head = format!("shrink  {}", shrunk.signature);
    let cost = format!("{}, {:.1} s", counted(shrunk.runs as usize, "run"), shrunk.took.as_secs_f64());
    let mut out = format!("{head:<70}  {cost}\n");
    let change = |from: String, to: String| if from == to { to } else { format!("{from} → {to}") };
    let nodes = |it: &Scenario| format!("{}+{}", it.topology.controllers, it.topology.brokers);
    let length =
        |it: &Scenario| format!("{} s", seconds(Span(it.ends().1).nanos(), 1).trim_end_matches(".0"));
    let figures = [
        ("faults", change(before.faults.len().to_string(), after.faults.len().to_string())),
        ("nodes", change(nodes(before), nodes(after))),
        ("clients", change(before.clients().len().to_string(), after.clients().len().to_string())),
        ("length", change(length(before), length(after))),
    ];
    let figures = figures.map(|(what, change)| format!("{what}  {change}"));
    out.push_str(&format!("  {}\n", figures.join("     ")));
    for fault in &after.faults {
        let was = before.faults.iter().find(|other| other.id == fault.id);
        let was = was.map(trigger).unwrap_or_default();
        out.push_str(&format!("  {:<12} {}\n", fault.id, change(was, trigger(fault))));
    }
    let strength = |many: usize| format!("{many} of {SEEDS} seeds");
    let change = change(strength(shrunk.strength_before), strength(shrunk.strength_after));
    out.push_str(&format!("  strength     {change}\n"));
    if shrunk.cut_short {
        out.push_str("  not finished: a limit was reached, or it was interrupted; give it more --time\n");
    }
    let shown = path.display();
    out.push_str(&format!("wrote {shown}\n  replay     trial replay {shown}\n"));
    out
}
