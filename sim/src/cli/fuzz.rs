//! `trial fuzz`: very many runs, and what broke in any of them.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use clap::Args;
use trial_model::{event::EventKind, museum::Museum};

use super::{
    Common, Exit, Format, Output,
    findings::{Confirmed, Findings},
    input, interrupt, nemesis, progress,
    seed::SeedArg,
};
use crate::{
    fuzz::{Campaign, Found, Landmarks, Limits, Manner, Shard, Tried},
    report::words::{counted, grouped},
    scenario::{
        Scenario,
        values::{BugName, Seed, Span},
    },
};

/// Run drawn clusters, or scenarios under drawn seeds and faults, until a promise breaks.
#[derive(Args)]
pub struct Fuzz {
    /// Scenario files, or directories of them, that take turns; whole clusters are drawn if there are none.
    files: Vec<PathBuf>,
    /// How many runs: of each scenario, over all shards. 1,000 if there is no --time either.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// For how long to begin runs.
    #[arg(long, value_name = "T")]
    time: Option<Span>,
    /// Where the series of seeds begins.
    #[arg(long, default_value = "1")]
    base: SeedArg,
    /// Which part of the campaign to run: 2/4, or auto where a scheduler says so.
    #[arg(long, value_name = "M/N|auto", default_value = "1/1")]
    shard: Shard,
    /// How the runs of drawn clusters are chosen: uniform, swarm.
    #[arg(long, value_name = "NAME", default_value_t = Manner::default(), conflicts_with = "files")]
    strategy: Manner,
    /// How many runs at a time; as many as there are cores if left out.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    jobs: Option<u64>,
    /// Faults drawn for scenarios that have no nemesis of their own, or instead of it: none, light, default,
    /// heavy, or a JSON file.
    #[arg(long, value_name = "NAME|FILE", requires = "files")]
    nemesis: Option<String>,
    /// Switch on a historical bug (`trial list bugs`).
    #[arg(long, value_name = "BUG")]
    plant: Vec<BugName>,
    /// Show that the net still catches fish: plant a bug, and fail unless it is found.
    #[arg(long)]
    canary: bool,
    /// End after so many kinds of failure.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    stop_after: Option<u64>,
    /// A run that takes longer has failed.
    #[arg(long, value_name = "T", default_value = "60s")]
    run_timeout: Span,
}

/// The bug that `--canary` plants: an old one that every drawn cluster can have.
const CANARY: &str = "truncate-to-local-hw";

/// What was seen on the way.
#[derive(Default)]
struct Seen {
    runs: u64,
    simulated: Duration,
    events: BTreeMap<&'static str, u64>,
    /// The situations that watched runs were in, if any was watched.
    landmarks: Option<Landmarks>,
}

pub fn main(it: &Fuzz, common: &Common, output: &mut Output) -> Exit {
    match fuzz(it, common, output) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn fuzz(it: &Fuzz, common: &Common, output: &mut Output) -> Result<Exit, Exit> {
    let campaign = campaign(it, output)?;
    let mut findings =
        Findings::begin(&common.out, &campaign).map_err(|why| output.fail(Exit::Usage, &why))?;
    interrupt::listen();
    let human = common.format == Format::Human;
    if human && !common.quiet {
        output.say(&head(&campaign));
    }
    let bar = progress::bar(runs_here(&campaign), progress::shown(common));
    let mut seen = Seen::default();
    let began = std::time::Instant::now();
    let mut told_at = began;
    let found = campaign.run(
        || !interrupt::interrupted(),
        |tried, found| {
            seen.take(tried);
            bar.inc(1);
            if let Some(failure) = &tried.failure {
                // At once, so that an interrupted campaign keeps it.
                if let Err(why) = findings.keep(&campaign, tried.index, found) {
                    output.note(&format!(
                        "{why}\nwhat was found: {} with seed {:#x}\n",
                        failure.kind(),
                        tried.seed
                    ));
                }
            }
            match common.format {
                Format::Jsonl => output.say(&line(tried)),
                _ if bar.is_hidden() && human && told_at.elapsed() >= Duration::from_secs(10) => {
                    told_at = std::time::Instant::now();
                    output.note(&format!("{}\n", counter(&seen, found, began.elapsed())));
                }
                _ => bar.set_message(format!("{} found", found.len())),
            }
        },
    );
    bar.finish_and_clear();
    let confirmed = findings.confirm(&campaign, &found).map_err(|why| output.fail(Exit::Internal, &why))?;
    findings
        .finish(&campaign, seen.runs, seen.simulated, &seen.events, &confirmed)
        .map_err(|why| output.fail(Exit::Usage, &why))?;
    match common.format {
        Format::Human => {
            output.say(&counter(&seen, &found, began.elapsed()));
            output.say("\n");
            if !common.quiet {
                output.say(&never(&seen));
            }
            output.say(&told(&confirmed, &findings));
        }
        Format::Json => output.say(&(findings.summary()? + "\n")),
        Format::Jsonl => {}
    }
    Ok(verdict(it, &confirmed, output))
}

fn verdict(it: &Fuzz, confirmed: &[Confirmed], output: &mut Output) -> Exit {
    if confirmed.iter().any(|it| it.parts) {
        return Exit::NotDeterministic;
    }
    if it.canary {
        return if confirmed.is_empty() {
            output.fail(Exit::Failed, &format!("the net catches nothing: {CANARY} was planted and not found"))
        } else {
            Exit::Ok
        };
    }
    match (confirmed.is_empty(), interrupt::interrupted()) {
        (false, _) => Exit::Failed,
        (true, true) => Exit::Interrupted,
        (true, false) => Exit::Ok,
    }
}

fn campaign(it: &Fuzz, output: &mut Output) -> Result<Campaign, Exit> {
    let files = input::scenarios(&it.files).map_err(|why| output.fail(Exit::Usage, &why))?;
    let mut scenarios: Vec<Scenario> = Vec::new();
    for file in files {
        let mut scenario = input::load(&file, &[], output)?.scenario;
        if let Some(name) = &it.nemesis {
            nemesis::put(&mut scenario, name).map_err(|why| output.fail(Exit::Usage, &why))?;
        }
        scenarios.push(scenario);
    }
    let canary = it.canary.then(|| CANARY.parse::<BugName>()).and_then(Result::ok);
    let planted = it.plant.iter().copied().chain(canary);
    let museum = planted.fold(Museum::default(), |museum, bug| museum.with(bug.0));
    let turns = scenarios.len().max(1) as u64;
    let runs = match (it.seeds, it.time) {
        (Some(seeds), _) => seeds.saturating_mul(turns),
        (None, Some(_)) => u64::MAX,
        (None, None) => 1_000 * turns,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Campaign {
        base: it.base.0.0,
        scenarios,
        strategy: it.strategy,
        museum,
        shard: it.shard,
        jobs: it.jobs.map_or(cores, |jobs| usize::try_from(jobs).unwrap_or(usize::MAX)),
        limits: Limits {
            runs,
            time: it.time.map(|time| time.0),
            kinds: it.stop_after.map(|kinds| usize::try_from(kinds).unwrap_or(usize::MAX)),
            run: it.run_timeout.0,
        },
    })
}

impl Seen {
    fn take(&mut self, tried: &Tried) {
        self.runs += 1;
        self.simulated += tried.simulated;
        if let Some(coverage) = &tried.coverage {
            self.landmarks.get_or_insert_default().reach_all(coverage.landmarks);
        }
        for (kind, count) in &tried.events {
            *self.events.entry(kind).or_default() += count;
        }
    }
}

fn runs_here(campaign: &Campaign) -> u64 {
    let Shard { nth, of } = campaign.shard;
    if campaign.limits.runs == u64::MAX { 0 } else { (campaign.limits.runs + of - nth) / of }
}

fn head(campaign: &Campaign) -> String {
    let what = match campaign.scenarios.len() {
        0 => format!("drawn clusters, {}", campaign.strategy),
        many => counted(many, "scenario"),
    };
    let runs = match campaign.limits.runs {
        u64::MAX => String::new(),
        runs => format!("  {} runs", grouped(runs)),
    };
    let planted: String = campaign.museum.bugs().map(BugName).map(|bug| format!("  planted {bug}")).collect();
    format!(
        "base {}  {what}{runs}  {}  shard {}{planted}\n",
        Seed(campaign.base),
        counted(campaign.jobs, "job"),
        campaign.shard
    )
}

fn counter(seen: &Seen, found: &BTreeMap<String, Found>, took: Duration) -> String {
    let tenths = took.as_millis().max(1) as u64;
    let per_second = seen.runs.saturating_mul(1_000) / tenths;
    let failing: u64 = found.values().map(|found| found.times).sum();
    format!(
        "{}, {} failing of {} runs   {} simulated in {}   {per_second} runs/s",
        counted(found.len(), "kind of failure").replace("kind of failures", "kinds of failure"),
        grouped(failing),
        grouped(seen.runs),
        long(seen.simulated),
        long(took)
    )
}

/// A length of time for people.
fn long(time: Duration) -> String {
    match time.as_secs() {
        0..120 => format!("{}.{} s", time.as_secs(), time.subsec_millis() / 100),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

/// The events and situations that no run has seen: where the campaign is blind.
fn never(seen: &Seen) -> String {
    let missing: Vec<&str> = EventKind::ALL
        .iter()
        .map(|kind| kind.name())
        .filter(|kind| !seen.events.contains_key(kind))
        .collect();
    let mut text = String::new();
    if !missing.is_empty() {
        text += &format!("never seen: {}\n", missing.join(", "));
    }
    let unreached: Vec<&str> =
        seen.landmarks.iter().flat_map(|it| it.missing()).map(|landmark| landmark.about()).collect();
    if !unreached.is_empty() {
        text += &format!("never reached: {}\n", unreached.join("; "));
    }
    text
}

fn line(tried: &Tried) -> String {
    let told = serde_json::json!({
        "index": tried.index,
        "seed": Seed(tried.seed),
        "scenario": tried.scenario.name,
        "strategy": tried.by,
        "steps": tried.steps,
        "simulated_ms": tried.simulated.as_millis() as u64,
        "took_ms": tried.took.as_millis() as u64,
        "failure": tried.failure.as_ref().map(crate::fuzz::Failure::kind),
    });
    format!("{told}\n")
}

fn told(confirmed: &[Confirmed], findings: &Findings) -> String {
    let mut text = String::new();
    for (nth, it) in confirmed.iter().enumerate() {
        text += &format!(
            " {}  {:<44} {:>8}   {:<10} {}\n",
            nth + 1,
            it.bucket.kind,
            counted(usize::try_from(it.bucket.times).unwrap_or(usize::MAX), "run"),
            counted(it.bucket.faults, "fault"),
            it.place.display(),
        );
        if it.parts {
            text += "    not deterministic: another process or engine gives another trace\n";
        }
    }
    if let Some(first) = confirmed.first() {
        text += &format!(
            "worst first: trial replay {}\n\n{}",
            first.place.join("repro.json").display(),
            first.report
        );
    }
    text + &format!("kept in {}\n", findings.place().display())
}
