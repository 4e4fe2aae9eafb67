//! `trial run`: one scenario, one seed, judged.

use std::{fs, path::PathBuf};

use clap::{Args, ValueEnum};

use super::{
    Common, Exit, Format, Output, ReportKind,
    input::{self, Loaded, check_name},
    interrupt,
    launch::{EngineName, Launch},
    nemesis,
    output::coloured,
    progress,
    rundir::Draft,
    seed::SeedArg,
    verbose::Verbose,
};
use crate::{
    report::{Summary, ci, human},
    scenario::{
        Change,
        values::{BugName, CheckName, Seed, Span},
    },
    trace::Reader,
};

/// Run a scenario once and judge it.
#[derive(Args)]
pub struct Run {
    /// The scenario file.
    file: PathBuf,
    /// The seed: 0x…, decimal, a 40-digit commit hash, or random. 1 if neither the file nor you say.
    #[arg(long)]
    seed: Option<SeedArg>,
    /// Faults drawn from the seed: none, light, default, heavy, or a JSON file.
    #[arg(long, value_name = "NAME|FILE")]
    nemesis: Option<String>,
    /// Switch on a historical bug (`trial list bugs`).
    #[arg(long, value_name = "BUG", value_parser = input::bug_name)]
    plant: Vec<BugName>,
    /// Change a value of the scenario: faults.0.for=100ms, topology.broker_config[min.insync.replicas]=2.
    #[arg(long, value_name = "PATH=VALUE", value_parser = input::change)]
    set: Vec<Change>,
    /// End the run at this time.
    #[arg(long, value_name = "T")]
    until: Option<Span>,
    /// Whether to end with the first violation.
    #[arg(long, value_enum, default_value_t = StopAt::End)]
    stop_at: StopAt,
    /// Judge without this check (`trial list properties`).
    #[arg(long, value_name = "CHECK", value_parser = check_name)]
    without_check: Vec<CheckName>,
    /// How much of the trace to keep.
    #[arg(long, value_enum, default_value_t = TraceKept::Full)]
    trace: TraceKept,
    /// Which engine lets the nodes step; the trace is the same.
    #[arg(long, value_enum, default_value_t = EngineName::usual())]
    engine: EngineName,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StopAt {
    First,
    End,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TraceKept {
    /// Every event.
    Full,
    /// Nothing.
    None,
}

pub fn main(it: &Run, common: &Common, output: &mut Output) -> Exit {
    match run(it, common, output) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn run(it: &Run, common: &Common, output: &mut Output) -> Result<Exit, Exit> {
    let mut loaded = input::load(&it.file, &it.set, output)?;
    for bug in &it.plant {
        if !loaded.scenario.plant.contains(bug) {
            loaded.scenario.plant.push(*bug);
        }
    }
    if let Some(name) = &it.nemesis {
        nemesis::put(&mut loaded.scenario, name).map_err(|why| output.fail(Exit::Usage, &why))?;
    }
    let seed = it.seed.map(|seed| seed.0).or(loaded.scenario.seed).unwrap_or(Seed(1));
    it.engine.engine(seed).map_err(|why| output.fail(Exit::Usage, &why))?;
    let human = common.format == Format::Human;
    if human && !common.quiet {
        output.say(&format!("{}\n", human::head(&loaded.scenario, seed)));
    }
    let (mut summary, draft, trace) = carry_out(it, common, &loaded, seed, output)?;
    let again = again(it, seed);
    let scenario = &loaded.scenario;
    let finished =
        draft.finish(scenario, &mut summary, |summary, place| text(summary, scenario, place, &again), trace);
    let place = finished.map_err(|why| output.fail(Exit::Usage, &why))?.display().to_string();
    match common.format {
        Format::Human if common.quiet => {
            output.say(&coloured(&human::verdict(&summary, scenario, Some(&place), &again)))
        }
        Format::Human => {
            output.say(&human::phases(&summary));
            output.say(&coloured(&human::verdict(&summary, scenario, Some(&place), &again)));
        }
        Format::Json => output.say(&(serde_json::to_string_pretty(&summary).unwrap_or_default() + "\n")),
        Format::Jsonl => output.say(&(serde_json::to_string(&summary).unwrap_or_default() + "\n")),
    }
    reports(common, &loaded, &summary, &place, &again, output)?;
    Ok(if interrupt::interrupted() { Exit::Interrupted } else { summary.verdict.into() })
}

fn carry_out(
    it: &Run,
    common: &Common,
    loaded: &Loaded,
    seed: Seed,
    output: &mut Output,
) -> Result<(Summary, Draft, Option<super::rundir::Trace>), Exit> {
    let scenario = &loaded.scenario;
    // Before anything is written, so that nothing half-written is left by ctrl-c.
    interrupt::listen();
    let draft = Draft::begin(&common.out, scenario, seed).map_err(|why| output.fail(Exit::Usage, &why))?;
    let mut readers: Vec<Box<dyn Reader>> = Vec::new();
    let mut trace = None;
    if it.trace == TraceKept::Full {
        let (reader, outcome) = draft.trace(scenario, seed).map_err(|why| output.fail(Exit::Usage, &why))?;
        readers.push(reader);
        trace = Some(outcome);
    }
    if common.verbose > 0 && common.format == Format::Human {
        let topology = &scenario.topology;
        readers.push(Box::new(Verbose::new(topology.controllers, topology.brokers, common.verbose > 1)));
    }
    let launch = Launch {
        scenario,
        seed,
        engine: it.engine,
        until: it.until,
        stop_at_first: it.stop_at == StopAt::First,
        without: it.without_check.clone(),
        bar: progress::shown(common),
    };
    let mut summary = launch.run(readers).map_err(|why| output.fail(Exit::Usage, &why))?;
    summary.explain(scenario);
    Ok((summary, draft, trace))
}

/// `report.txt`: what the screen shows, without colours.
fn text(summary: &Summary, scenario: &crate::Scenario, place: &str, again: &str) -> String {
    format!(
        "{}\n{}{}",
        human::head(scenario, summary.seed),
        human::phases(summary),
        human::verdict(summary, scenario, Some(place), again)
    )
}

/// The command that does the same again.
fn again(it: &Run, seed: Seed) -> String {
    let mut words =
        vec!["trial run".to_string(), quoted(&it.file.display().to_string()), format!("--seed {seed}")];
    words.extend(it.nemesis.iter().map(|name| format!("--nemesis {}", quoted(name))));
    words.extend(it.plant.iter().map(|bug| format!("--plant {bug}")));
    words.extend(it.set.iter().map(|change| {
        let keys = change
            .path
            .iter()
            .map(|key| if key.contains('.') { format!("[{key}]") } else { format!(".{key}") });
        let path: String = keys.collect();
        let value = change.value.as_str().map_or_else(|| change.value.to_string(), str::to_string);
        format!("--set {}", quoted(&format!("{}={value}", path.trim_start_matches('.'))))
    }));
    words.extend(it.without_check.iter().map(|check| format!("--without-check {check}")));
    words.extend(it.until.map(|until| format!("--until {until}")));
    if it.stop_at == StopAt::First {
        words.push("--stop-at first".into());
    }
    words.join(" ")
}

/// `word` as a shell takes it for one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Writes the reports that were asked for, and GitHub's where this is GitHub.
fn reports(
    common: &Common,
    loaded: &Loaded,
    summary: &Summary,
    place: &str,
    again: &str,
    output: &mut Output,
) -> Result<(), Exit> {
    let case = ci::Case {
        file: &loaded.source.path,
        text: &loaded.source.text,
        scenario: &loaded.scenario,
        summary,
        place: Some(place),
        again,
    };
    let mut wanted: Vec<(ReportKind, &str)> =
        common.reports.iter().map(|it| (it.kind, it.path.as_str())).collect();
    if super::on_github(common) && !wanted.iter().any(|(kind, _)| *kind == ReportKind::Github) {
        wanted.push((ReportKind::Github, "-"));
    }
    for (kind, path) in wanted {
        let text = match kind {
            ReportKind::Junit => ci::junit(&case),
            ReportKind::Github => ci::github(&case),
            ReportKind::Markdown => ci::markdown(&case),
            ReportKind::Json => serde_json::to_string_pretty(summary).unwrap_or_default() + "\n",
        };
        if path == "-" {
            output.say(&text);
        } else if let Err(error) = write_whole(path, &text) {
            return Err(output.fail(Exit::Usage, &format!("{path} cannot be written: {error}")));
        }
    }
    Ok(())
}

/// Writes a file whole or not at all.
fn write_whole(path: &str, text: &str) -> std::io::Result<()> {
    let draft = format!("{path}.{}", std::process::id());
    fs::write(&draft, text)?;
    fs::rename(&draft, path).inspect_err(|_| {
        // The error that is told is the rename's.
        let _ = fs::remove_file(&draft);
    })
}
