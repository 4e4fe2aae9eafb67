//! `trial check-determinism`: does the same seed always give the same run?
//!
//! Each seed is run on a fresh thread, in a process that is busy with other runs, in a fresh process, and on
//! every engine that this build has. Where two runs part, the first event that differs is shown.

use std::{
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use clap::Args;

use super::{
    Common, Exit, Format, Output,
    compare::{self, Kept, Parted},
    input, interrupt,
    launch::EngineName,
    progress,
    seed::SeedArg,
};
use crate::{
    nth_seed,
    run::{Engine, Options},
    scenario::{
        Scenario,
        values::{BugName, CheckName, Seed},
    },
    simulate,
    trace::{JsonLines, Reader},
};

/// Run scenarios again and again, and find the first event where two runs part.
#[derive(Args)]
pub struct CheckDeterminism {
    /// Scenario files, or directories of them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How many seeds of each.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// How many runs of each seed besides those on other engines.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(2..))]
    runs: u64,
    /// Where the series of seeds begins.
    #[arg(long, default_value = "1")]
    base: SeedArg,
}

/// The digest of one run.
#[derive(Args)]
pub struct DigestOf {
    file: PathBuf,
    #[arg(long)]
    seed: SeedArg,
    #[arg(long, value_enum, default_value_t = EngineName::usual())]
    engine: EngineName,
    #[arg(long)]
    plant: Vec<BugName>,
    #[arg(long, value_parser = input::check_name)]
    without_check: Vec<CheckName>,
    /// The events, one a line, instead.
    #[arg(long)]
    lines: bool,
}

/// How a run is done, apart from what must not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    FreshThread,
    BusyProcess,
    FreshProcess,
    OtherEngine,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Way::FreshThread => "fresh thread",
            Way::BusyProcess => "busy process",
            Way::FreshProcess => "fresh process",
            Way::OtherEngine => "other engine",
        }
    }
}

/// The ways of so many runs: the first three in turn, and the other engine where there is one.
fn ways(runs: u64) -> Vec<Way> {
    let turn = [Way::FreshThread, Way::BusyProcess, Way::FreshProcess].into_iter().cycle();
    let runs = usize::try_from(runs).unwrap_or(usize::MAX);
    turn.take(runs).chain(cfg!(madsim).then_some(Way::OtherEngine)).collect()
}

pub fn main(it: &CheckDeterminism, common: &Common, output: &mut Output) -> Exit {
    match check(it, common, output) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn check(it: &CheckDeterminism, common: &Common, output: &mut Output) -> Result<Exit, Exit> {
    interrupt::listen();
    let files = input::scenarios(&it.files).map_err(|why| output.fail(Exit::Usage, &why))?;
    let ways = ways(it.runs);
    let mut worst = Exit::Ok;
    for file in files {
        let scenario = input::load(&file, &[], output)?.scenario;
        let bar = progress::bar(it.seeds, progress::shown(common));
        bar.set_message(scenario.name.clone());
        let mut parted = None;
        let mut done = 0;
        for index in 0..it.seeds {
            let seed = scenario.seed.filter(|_| index == 0).unwrap_or(Seed(nth_seed(it.base.0.0, index)));
            parted =
                one_seed(&file, &scenario, seed, &ways).map_err(|why| output.fail(Exit::Internal, &why))?;
            if parted.is_some() || interrupt::interrupted() {
                break;
            }
            done += 1;
            bar.inc(1);
        }
        bar.finish_and_clear();
        output.say(&said(&scenario, done, &ways, parted.as_ref(), common));
        if parted.is_some() {
            worst = Exit::NotDeterministic;
        }
        if interrupt::interrupted() {
            return Ok(Exit::Interrupted);
        }
    }
    Ok(worst)
}

/// A seed under which two runs differ.
struct Leak {
    seed: Seed,
    ways: (Way, Way),
    /// The first event; nothing if the runs were the same when they were looked at.
    parted: Option<Parted>,
}

fn said(scenario: &Scenario, done: u64, ways: &[Way], leak: Option<&Leak>, common: &Common) -> String {
    if common.format != Format::Human {
        let leak = leak.map(|leak| {
            serde_json::json!({
                "seed": leak.seed, "runs": [leak.ways.0.name(), leak.ways.1.name()],
                "event": leak.parted.as_ref().map(|parted| parted.nth),
            })
        });
        return serde_json::json!({ "scenario": scenario.name, "seeds": done, "runs": ways.len(), "parts": leak }).to_string() + "\n";
    }
    let Some(Leak { seed, ways: (first, second), parted }) = leak else {
        let mut names: Vec<&str> = Vec::new();
        ways.iter().map(|way| way.name()).for_each(|name| {
            if !names.contains(&name) {
                names.push(name)
            }
        });
        let seeds = if done == 1 { "seed" } else { "seeds" };
        return format!(" ✓ {:<36} {done} {seeds} × {} ({})\n", scenario.name, ways.len(), names.join(", "));
    };
    let head = format!(" ✗ {}  seed {seed}  {} parts from {}\n", scenario.name, second.name(), first.name());
    match parted {
        Some(parted) => head + &parted.show((first.name(), second.name())),
        None => head + "     looked at again, they were the same: it does not happen every time\n",
    }
}

fn one_seed(file: &Path, scenario: &Scenario, seed: Seed, ways: &[Way]) -> Result<Option<Leak>, String> {
    let mut first: Option<(Way, String)> = None;
    for way in ways {
        let digest = digest_of(file, scenario, seed, *way)?;
        match &first {
            None => first = Some((*way, digest)),
            Some((_, expected)) if *expected == digest => {}
            Some((before, _)) => {
                let parted = find(file, scenario, seed, *before, *way)?;
                return Ok(Some(Leak { seed, ways: (*before, *way), parted }));
            }
        }
    }
    Ok(None)
}

fn usual(seed: Seed) -> Result<Engine, String> {
    EngineName::usual().engine(seed)
}

/// Runs in this process, in some way, with somebody reading along.
fn here(scenario: &Scenario, seed: Seed, way: Way, readers: Vec<Box<dyn Reader>>) -> Result<String, String> {
    let engine = match way {
        Way::OtherEngine => Engine::Direct,
        // Another order of the scheduler must not matter either.
        Way::BusyProcess => usual(Seed(!seed.0))?,
        _ => usual(seed)?,
    };
    let run = |engine, seed: Seed, readers| {
        simulate(scenario, seed.0, Options { engine, readers, ..Options::default() })
    };
    if way != Way::BusyProcess {
        return Ok(run(engine, seed, readers).digest.hex());
    }
    // Two other runs at the same time, and one that has left behind whatever it leaves.
    run(Engine::Direct, Seed(seed.0.wrapping_add(1)), Vec::new());
    thread::scope(|scope| {
        let busy = scope.spawn(|| run(Engine::Direct, Seed(seed.0.wrapping_add(2)), Vec::new()).steps);
        let digest = run(engine, seed, readers).digest.hex();
        let _ = busy.join();
        Ok(digest)
    })
}

/// Another process of this program, asked for one run.
fn elsewhere(file: &Path, scenario: &Scenario, seed: Seed, lines: bool) -> Result<Command, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
    let mut command = Command::new(program);
    command
        .arg("digest")
        .arg(file)
        .arg("--seed")
        .arg(seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    command.env_remove("RUST_LOG");
    scenario.plant.iter().for_each(|bug| {
        command.arg("--plant").arg(bug.to_string());
    });
    if lines {
        command.arg("--lines");
    }
    Ok(command)
}

fn digest_of(file: &Path, scenario: &Scenario, seed: Seed, way: Way) -> Result<String, String> {
    if way != Way::FreshProcess {
        return here(scenario, seed, way, Vec::new());
    }
    let failed = |error: io::Error| format!("another process cannot be asked: {error}");
    let output = elsewhere(file, scenario, seed, false)?.output().map_err(failed)?;
    if !output.status.success() {
        return Err(format!("another process failed: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// The first event that differs between two ways, of two further runs.
fn find(
    file: &Path,
    scenario: &Scenario,
    seed: Seed,
    first: Way,
    second: Way,
) -> Result<Option<Parted>, String> {
    let failed = |error: io::Error| format!("the runs cannot be compared: {error}");
    let kept = Kept::default();
    here(scenario, seed, first, vec![kept.reader().map_err(failed)?])?;
    let lines = kept.lines().map_err(failed)?;
    if second != Way::FreshProcess {
        let (reader, verdict) = compare::against(lines);
        here(scenario, seed, second, vec![reader])?;
        return verdict.parted().map_err(failed);
    }
    let mut child = elsewhere(file, scenario, seed, true)?.spawn().map_err(failed)?;
    let told = child.stdout.take().ok_or("another process says nothing")?;
    let parted = first_difference(lines, BufReader::new(told)).map_err(failed)?;
    // It may still be writing what nobody reads any more.
    let _ = child.kill();
    let _ = child.wait();
    Ok(parted)
}

fn first_difference(first: impl BufRead, second: impl BufRead) -> io::Result<Option<Parted>> {
    let (mut first, mut second) = (first.lines(), second.lines());
    for nth in 0.. {
        match (first.next().transpose()?, second.next().transpose()?) {
            (None, None) => break,
            (one, other) if one == other => {}
            (first, second) => return Ok(Some(Parted { nth, first, second })),
        }
    }
    Ok(None)
}

/// `trial digest`: what another process is asked.
pub fn digest(it: &DigestOf, output: &mut Output) -> Exit {
    let mut scenario = match input::load(&it.file, &[], output) {
        Ok(loaded) => loaded.scenario,
        Err(exit) => return exit,
    };
    for bug in &it.plant {
        if !scenario.plant.contains(bug) {
            scenario.plant.push(*bug);
        }
    }
    let engine = match it.engine.engine(it.seed.0) {
        Ok(engine) => engine,
        Err(why) => return output.fail(Exit::Usage, &why),
    };
    let readers: Vec<Box<dyn Reader>> =
        if it.lines { vec![Box::new(JsonLines::new(io::BufWriter::new(io::stdout())))] } else { Vec::new() };
    let without = it.without_check.iter().map(|check| check.0).collect();
    let run = simulate(&scenario, it.seed.0.0, Options { engine, readers, without, ..Options::default() });
    if !it.lines {
        output.say(&format!("{}\n", run.digest.hex()));
    }
    // What is buffered must be out before the process ends.
    if io::stdout().flush().is_err() {
        return Exit::Usage;
    }
    Exit::Ok
}
