//! `trial replay`: is it still the same run?

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use super::{
    Common, Exit, Format, Output,
    compare::{self, Parted},
    input, interrupt,
    launch::{EngineName, Launch},
    look,
    output::coloured,
    progress,
    rundir::{self, Left, Unreadable},
    verbose::Verbose,
};
use crate::{
    diff::Moment,
    explain::recorded as recorded_run,
    nth_seed,
    report::{Build, Summary, Verdict, human},
    scenario::{
        Scenario,
        values::{Seed, Span},
    },
    trace::Reader,
};

/// Run a repro or an earlier run again and say whether it is identical.
#[derive(Args)]
pub struct Replay {
    /// A repro file, or the directory of a run.
    what: PathBuf,
    /// End the run at this time, or after this event; it is not compared then.
    #[arg(long, value_name = "T|#E")]
    until: Option<Moment>,
    /// Look into a node instead: broker-1, broker-1/orders-0, controller-1/metadata. At --at, or --until, or
    /// when the promise was seen broken.
    #[arg(long, value_name = "NODE[/PARTITION]")]
    show: Option<look::Place>,
    /// With --show: what changed since then.
    #[arg(long, value_name = "T|#E", requires = "show")]
    from: Option<Moment>,
    /// With --show: at which moment to look.
    #[arg(long, value_name = "T|#E", requires = "show", conflicts_with = "until")]
    at: Option<Moment>,
    /// End with the codes that `git bisect run` wants: 0 good, 1 bad, 125 cannot say, 129 stop.
    #[arg(long)]
    bisect: bool,
    /// On another build whose trace differs: with how many other seeds to try.
    #[arg(long, value_name = "N", default_value_t = 50)]
    seeds: u64,
    /// Which engine lets the nodes step; the trace is the same.
    #[arg(long, value_enum, default_value_t = EngineName::usual())]
    engine: EngineName,
}

/// What is to be run again, and what came of it then.
struct Recording {
    scenario: Scenario,
    seed: Seed,
    digest: Option<String>,
    left: Option<Left>,
}

pub fn main(it: &Replay, common: &Common, output: &mut Output) -> Exit {
    let exit = match replay(it, common, output) {
        Ok(exit) | Err(exit) => exit,
    };
    if it.bisect { exit.for_bisect() } else { exit }
}

fn replay(it: &Replay, common: &Common, output: &mut Output) -> Result<Exit, Exit> {
    let recording =
        if it.what.is_dir() { of_directory(&it.what, output)? } else { of_file(&it.what, output)? };
    if let Some(place) = &it.show {
        let (scenario, seed) = (&recording.scenario, recording.seed.0);
        let text = look::look(scenario, seed, place, it.from, it.at.or(it.until));
        let text = text.map_err(|why| output.fail(Exit::Usage, &why))?;
        output.say(&text);
        return Ok(Exit::Ok);
    }
    let until = until(it, &recording).map_err(|why| output.fail(Exit::Usage, &why))?;
    let human_wanted = common.format == Format::Human;
    if human_wanted && !common.quiet {
        output.say(&format!("{}\n", human::head(&recording.scenario, recording.seed)));
    }
    let (summary, parted) = run_again(it, common, &recording, until, output)?;
    let place = it.what.display().to_string();
    let again = format!("trial replay {place}");
    let same = same_digest(&recording, &summary, it.until.is_some());
    match common.format {
        Format::Human => {
            output.say(&said(&recording, &summary, same, parted.as_ref()));
            if !common.quiet {
                output.say(&human::phases(&summary));
            }
            output.say(&coloured(&human::verdict(&summary, &recording.scenario, Some(&place), &again)));
        }
        Format::Json | Format::Jsonl => {
            let told =
                serde_json::json!({ "identical": same, "recorded": recording.digest, "result": summary });
            output.say(&format!("{told}\n"));
        }
    }
    if interrupt::interrupted() {
        return Ok(Exit::Interrupted);
    }
    let other_build = recording.left.as_ref().is_some_and(|left| !left.same_build());
    Ok(match same {
        Some(false) if other_build => with_other_seeds(it, common, &recording, output)?,
        Some(false) => Exit::NotDeterministic,
        _ => summary.verdict.into(),
    })
}

fn of_directory(dir: &Path, output: &mut Output) -> Result<Recording, Exit> {
    let left = rundir::read(dir).map_err(|why| match why {
        Unreadable::Damaged(why) => output.fail(Exit::Usage, &why),
        Unreadable::OtherFormat(why) => output.fail(Exit::OtherFormat, &why),
    })?;
    let loaded = input::load(&dir.join("scenario.json"), &[], output)?;
    let (seed, digest) = (left.summary.seed, Some(left.summary.digest.clone()));
    if loaded.scenario.seed.is_some_and(|own| own != seed) {
        let why = format!("{} is damaged: scenario.json and result.json name different seeds", dir.display());
        return Err(output.fail(Exit::Usage, &why));
    }
    Ok(Recording { scenario: loaded.scenario, seed, digest, left: Some(left) })
}

fn of_file(file: &Path, output: &mut Output) -> Result<Recording, Exit> {
    let scenario = input::load(file, &[], output)?.scenario;
    let origin = scenario.origin.clone().unwrap_or_default();
    let Some(seed) = scenario.seed.or(origin.seed) else {
        let why = format!("{} pins no seed, so there is nothing to replay: try `trial run`", file.display());
        return Err(output.fail(Exit::Usage, &why));
    };
    let digest = origin.trace_hash.map(|hash| hash.trim_start_matches("blake3:").to_string());
    Ok(Recording { scenario, seed, digest, left: None })
}

fn run_again(
    it: &Replay,
    common: &Common,
    recording: &Recording,
    until: Option<Span>,
    output: &mut Output,
) -> Result<(Summary, Option<Parted>), Exit> {
    let mut readers: Vec<Box<dyn Reader>> = Vec::new();
    let mut comparison = None;
    if let Some(left) = &recording.left
        && left.summary.trace.is_some()
        && it.until.is_none()
    {
        let path = left.dir.join("trace.jsonl.zst");
        let lines = recorded(&path)
            .map_err(|error| output.fail(Exit::Usage, &format!("{} is damaged: {error}", path.display())))?;
        let (reader, verdict) = compare::against(lines);
        readers.push(reader);
        comparison = Some((path, verdict));
    }
    if common.verbose > 0 && common.format == Format::Human {
        let topology = &recording.scenario.topology;
        readers.push(Box::new(Verbose::new(topology.controllers, topology.brokers, common.verbose > 1)));
    }
    let before = recording.left.as_ref().map(|left| &left.summary);
    let launch = Launch {
        scenario: &recording.scenario,
        seed: recording.seed,
        engine: it.engine,
        until: until.or(before.and_then(|summary| summary.until)),
        stop_at_first: before.is_some_and(|summary| summary.stop_at_first),
        without: before.map_or(Vec::new(), |summary| summary.without.clone()),
        bar: progress::shown(common),
    };
    let mut summary = launch.run(readers).map_err(|why| output.fail(Exit::Usage, &why))?;
    summary.explain(&recording.scenario);
    let parted = match comparison {
        Some((path, verdict)) => verdict
            .parted()
            .map_err(|error| output.fail(Exit::Usage, &format!("{} is damaged: {error}", path.display())))?,
        None => None,
    };
    Ok((summary, parted))
}

/// When to end: an event's instant is brought to its end.
fn until(it: &Replay, recording: &Recording) -> Result<Option<Span>, String> {
    let number = match it.until {
        None => return Ok(None),
        Some(Moment::Time(at)) => return Ok(Some(Span(Duration::from_nanos(at.0)))),
        Some(Moment::Event(number)) => number,
    };
    let (_, record) = recorded_run(&recording.scenario, recording.seed.0, None);
    match record.entries.get(number) {
        Some(entry) => Ok(Some(Span(Duration::from_nanos(entry.at.0 + 1_000)))),
        None => Err(format!("--until: there is no event #{number}, the run has {}", record.entries.len())),
    }
}

/// The events of a recorded trace, its header read away.
fn recorded(path: &Path) -> io::Result<BufReader<zstd::Decoder<'static, BufReader<File>>>> {
    let mut lines = BufReader::new(zstd::Decoder::new(File::open(path)?)?);
    let mut header = String::new();
    lines.read_line(&mut header)?;
    let value: serde_json::Value = serde_json::from_str(&header).map_err(io::Error::other)?;
    match value.get("trial_trace") {
        Some(_) => Ok(lines),
        None => Err(io::Error::other("it does not begin as a trace")),
    }
}

/// Whether the run is the recorded one; `None` if there is nothing to compare.
fn same_digest(recording: &Recording, summary: &Summary, cut: bool) -> Option<bool> {
    let recorded = recording.digest.as_ref().filter(|_| !cut)?;
    Some(!recorded.is_empty() && summary.digest.starts_with(recorded.as_str()))
}

fn said(recording: &Recording, summary: &Summary, same: Option<bool>, parted: Option<&Parted>) -> String {
    let build = match &recording.left {
        Some(left) if left.same_build() => format!("same build ({})", left.summary.build.binary),
        Some(left) => {
            let Build { trial, binary } = &left.summary.build;
            format!("other build ({trial} {binary} → {} {})", summary.build.trial, summary.build.binary)
        }
        None => format!("build {}", summary.build.binary),
    };
    let verdict = match same {
        Some(true) => "identical to the recording".to_string(),
        Some(false) => {
            let recorded = recording.digest.as_deref().unwrap_or_default();
            format!("NOT identical to the recording, {}", recorded.get(..8).unwrap_or(recorded))
        }
        None => "nothing to compare with".to_string(),
    };
    let mut out = format!("{build}   trace {}  {verdict}\n", summary.short_digest());
    if let Some(parted) = parted {
        out.push_str(&parted.show(("then", "now")));
    }
    out
}

/// Another build need not give the same trace: does the same promise still break?
fn with_other_seeds(
    it: &Replay,
    common: &Common,
    recording: &Recording,
    output: &mut Output,
) -> Result<Exit, Exit> {
    let Some(left) = recording.left.as_ref().filter(|left| left.summary.verdict == Verdict::Fail) else {
        return Ok(Exit::NotDeterministic);
    };
    let Some(check) = left.summary.violations.first().map(|violation| violation.check.clone()) else {
        return Ok(Exit::NotDeterministic);
    };
    let bar = progress::bar(it.seeds, progress::shown(common));
    let mut failed = 0;
    for index in 0..it.seeds {
        let seed = if index == 0 { recording.seed } else { Seed(nth_seed(recording.seed.0, index)) };
        let launch = Launch {
            scenario: &recording.scenario,
            seed,
            engine: EngineName::Direct,
            until: None,
            stop_at_first: true,
            without: Vec::new(),
            bar: false,
        };
        let summary = launch.run(Vec::new()).map_err(|why| output.fail(Exit::Usage, &why))?;
        failed += u64::from(summary.violations.iter().any(|violation| violation.check == check));
        if interrupt::interrupted() {
            return Ok(Exit::Interrupted);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if common.format == Format::Human {
        output.say(&match failed {
            0 => format!("{check} no longer fails, 0 of {}: fixed?\n", it.seeds),
            _ => format!("{check} still fails, {failed} of {}\n", it.seeds),
        });
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::Failed })
}
