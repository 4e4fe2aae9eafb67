//! `trial fuzz`: very many runs, and what broke in any of them.

mod desk;
mod known;
mod plan;
mod pool;
mod regressions;
mod watch;
mod wire;
pub mod worker;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    Common, Exit, Format, Output, campaign_reports,
    findings::{Findings, text},
    input, interrupt,
    seed::SeedArg,
};
use crate::simulate::looked_at;
use crate::{
    check::{CATALOGUE, Kind},
    fuzz::{Found, Manner, Proposal, Shard, Tried},
    report::{
        Build,
        campaign::{CampaignSummary, FORMAT, Ran, Regression, human},
        words::{counted, grouped},
    },
    scenario::values::{BugName, CheckName, Seed, Size, Span},
};
use desk::{Desk, Examined};
use plan::{CANARY, Plan, Profile};
use watch::{Seen, Watch};

/// Run drawn clusters, or scenarios under drawn seeds and faults, until a promise breaks.
#[derive(Args)]
pub struct Fuzz {
    /// Scenario files, or directories of them, that take turns; whole clusters are drawn if there are none.
    files: Vec<PathBuf>,
    /// How many runs: of each scenario, over all shards. 1,000 if there is no --time either.
    #[arg(long, value_name = "N", conflicts_with = "time", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// For how long to begin runs.
    #[arg(long, value_name = "T")]
    time: Option<Span>,
    /// Where the series of seeds begins: 1 if left out, or with --profile the commit that stands here.
    #[arg(long)]
    base: Option<SeedArg>,
    /// Which part of the campaign to run: 2/4, or auto where a scheduler says so.
    #[arg(long, value_name = "M/N|auto", default_value = "1/1")]
    shard: Shard,
    /// How the runs of drawn clusters are chosen: uniform, swarm, pct, story, guided, portfolio.
    #[arg(long, value_name = "NAME", default_value_t = Manner::default(), conflicts_with = "files")]
    strategy: Manner,
    /// Any number of faults at once in drawn clusters, which need not recover: only what must never happen is
    /// judged.
    #[arg(long, conflicts_with = "files")]
    unlimited: bool,
    /// Consumer groups in every drawn cluster; otherwise one in six has some.
    #[arg(long, conflicts_with = "files")]
    groups: bool,
    /// Every message goes through Kafka's frames and back: a run fails if one does not arrive as it was sent.
    #[arg(long)]
    wire: bool,
    /// How many runs at a time; as many as there are cores if left out.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    jobs: Option<u64>,
    /// Faults drawn for scenarios that have no nemesis of their own, or instead of it: none, light, default,
    /// heavy, or a JSON file.
    #[arg(long, value_name = "NAME|FILE", requires = "files")]
    nemesis: Option<String>,
    /// Limits and rules for a place: pr (10 minutes, 3 new kinds of failure at most, only new ones count) or
    /// nightly (2 hours, a canary first, heavy faults half of the time).
    #[arg(long, value_name = "NAME", value_enum)]
    profile: Option<Profile>,
    /// Switch on a historical bug (`trial list bugs`).
    #[arg(long, value_name = "BUG", value_parser = input::bug_name)]
    plant: Vec<BugName>,
    /// Judge without this check (`trial list properties`).
    #[arg(long, value_name = "CHECK", value_parser = input::check_name)]
    without_check: Vec<CheckName>,
    /// Show that the net still catches fish: plant a bug, and fail unless it is found.
    #[arg(long)]
    canary: bool,
    /// End after so many kinds of failure that count.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    stop_after: Option<u64>,
    /// For how long to shrink each kind of failure; 0s leaves them as they are.
    #[arg(long, value_name = "T", default_value = "30s")]
    shrink_time: Span,
    /// Only kinds of failure count that were not known there: a campaign's directory or summary.json, a list of
    /// kinds, a checkout, or a git revision with its regressions/.
    #[arg(long, value_name = "PLACE|REF")]
    new_since: Option<String>,
    /// A run that takes longer has failed.
    #[arg(long, value_name = "T", default_value = "60s")]
    run_timeout: Span,
    /// A run that needs more memory has failed.
    #[arg(long, value_name = "SIZE", default_value = "2GiB")]
    run_memory: Size,
    /// Do not run what is in regressions/ and scenarios/regressions/ first.
    #[arg(long)]
    no_regressions: bool,
    /// The program that makes the runs: this one.
    #[arg(long, value_name = "PROGRAM", hide = true)]
    worker: Option<PathBuf>,
}

/// How long what was found is still looked at once somebody has ended a campaign.
const GRACE: Duration = Duration::from_secs(5);

pub fn main(it: &Fuzz, common: &Common, output: &mut Output) -> Exit {
    match fuzz(it, common, output) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn fuzz(it: &Fuzz, common: &Common, output: &mut Output) -> Result<Exit, Exit> {
    let plan = Plan::of(it, output)?;
    let old = if plan.campaign.museum.bugs().next().is_none() && !it.no_regressions {
        regressions::all(plan.campaign.shard.nth, plan.campaign.shard.of, output)?
    } else {
        Vec::new()
    };
    let findings =
        Findings::begin(&common.out, &plan.campaign).map_err(|why| output.fail(Exit::Usage, &why))?;
    interrupt::listen();
    let examining = OnceLock::<Instant>::new();
    let waits = || !interrupt::interrupted() || examining.get().is_some_and(|since| since.elapsed() < GRACE);
    let desk = Desk {
        campaign: &plan.campaign,
        setup: plan.setup.clone(),
        plain: plan.plain.clone(),
        shrink: plan.shrink,
        waits: &waits,
        files: plan.files.clone(),
    };
    let regressions = regressions::run(&desk, old);
    if common.format == Format::Human && !common.quiet {
        output.say(&head(&plan, &regressions));
    }
    if plan.canary_first && !interrupt::interrupted() {
        canary(it, &plan, common, &waits, output)?;
    }
    let mut watch = Watch::new(common, plan.runs_here(), plan.campaign.limits.time);
    let mut seen = Seen::default();
    let found = runs(&plan, &desk, common, &findings, &mut watch, &mut seen, output)?;
    // From here on an interruption leaves a little time to write down what was found.
    let interrupted = interrupt::interrupted();
    let _ = examining.set(Instant::now());
    let desk = Desk { shrink: if interrupted { Duration::ZERO } else { plan.shrink }, ..desk };
    let examined = desk.examine(&findings, &found, &seen.times, &|kind| plan.is_new(kind), &|bucket| {
        watch.examining(bucket)
    });
    watch.over();
    let summary = summary(&plan, &seen, regressions, &examined, watch.took());
    tell(&plan, &summary, &examined, &findings, common, output)
}

/// Makes the runs of the campaign; gives what was found, by kind.
fn runs(
    plan: &Plan,
    desk: &Desk<'_>,
    common: &Common,
    findings: &Findings,
    watch: &mut Watch,
    seen: &mut Seen,
    output: &mut Output,
) -> Result<BTreeMap<String, Found>, Exit> {
    let enough = AtomicBool::new(false);
    let trouble = Mutex::new(None::<String>);
    let hands = || {
        let mut tries = desk.tries();
        let (enough, trouble) = (&enough, &trouble);
        move |proposal: &Proposal| match tries(proposal) {
            Ok(tried) => tried,
            Err(why) => {
                enough.store(true, Ordering::Relaxed);
                trouble.lock().ok()?.get_or_insert(why);
                None
            }
        }
    };
    let going_on = || !interrupt::interrupted() && !enough.load(Ordering::Relaxed);
    let mut unsaved = BTreeSet::new();
    let found = plan.campaign.run_by(hands, going_on, |tried, found| {
        seen.take(tried);
        if let Some(failure) = &tried.failure {
            let kind = failure.kind();
            if found.get(&kind).is_some_and(|found| found.times == 1) {
                watch.found(&kind, tried, plan.is_new(&kind), output);
            }
            if let Err((why, repro)) = kept(plan, findings, &kind, tried, found)
                && unsaved.insert(kind.clone())
            {
                whole_finding(&kind, &why, &repro, common, output);
            }
            let counting = found.keys().filter(|kind| plan.is_new(kind) != Some(false)).count();
            if plan.stop_after.is_some_and(|most| counting >= most) {
                enough.store(true, Ordering::Relaxed);
            }
        }
        if common.format == Format::Jsonl {
            output.say(&line(tried));
        }
        watch.tried(seen, found, output);
    });
    match trouble.into_inner().ok().flatten() {
        // What the others have found is in its buckets.
        Some(why) => Err(output.fail(Exit::Internal, &why)),
        None => Ok(found),
    }
}

/// Keeps a run that failed, at once, so that an interrupted campaign has it. Gives the repro back if there is
/// no room for it.
fn kept(
    plan: &Plan,
    findings: &Findings,
    kind: &str,
    tried: &Tried,
    found: &BTreeMap<String, Found>,
) -> Result<(), (String, String)> {
    let best = found.get(kind).filter(|found| found.best.index == tried.index);
    let repro = best.map(|found| text(&findings.repro(&plan.campaign, &found.best, kind)));
    let kept = findings.note(kind, tried);
    let kept =
        kept.and_then(|()| repro.as_ref().map_or(Ok(()), |repro| findings.keep(kind, "repro.json", repro)));
    kept.map_err(|why| (why, repro.unwrap_or_default()))
}

/// What was found must not be lost with a full disk.
fn whole_finding(kind: &str, why: &str, repro: &str, common: &Common, output: &mut Output) {
    output.note(&format!("{why}\nso here is what was found, {kind}: save it as a file for `trial replay`\n"));
    // Lines for a machine are not broken by it.
    if common.format == Format::Human { output.say(repro) } else { output.note(repro) }
}

/// Sends a canary before a night: an error if it is not caught.
fn canary(
    it: &Fuzz,
    plan: &Plan,
    common: &Common,
    waits: &(dyn Fn() -> bool + Sync),
    output: &mut Output,
) -> Result<(), Exit> {
    let (campaign, setup) = plan.canary(it).map_err(|why| output.fail(Exit::Internal, &why))?;
    let plain = Some(plan.setup.clone());
    let desk =
        Desk { campaign: &campaign, setup, plain, shrink: Duration::ZERO, waits, files: BTreeMap::new() };
    let hands = || {
        let mut tries = desk.tries();
        move |proposal: &Proposal| tries(proposal).ok().flatten()
    };
    let mut tried = 0;
    let found = campaign.run_by(hands, || !interrupt::interrupted(), |_, _| tried += 1);
    if found.is_empty() && !interrupt::interrupted() {
        return Err(output.fail(Exit::Failed, &catches_nothing(tried)));
    }
    if common.format == Format::Human && !common.quiet && !found.is_empty() {
        output.say(&format!("canary {CANARY} found after {}\n", counted(tried, "run")));
    }
    Ok(())
}

fn catches_nothing(tried: usize) -> String {
    format!("the net catches nothing: {CANARY} was planted and not found in {}", counted(tried, "run"))
}

fn summary(
    plan: &Plan,
    seen: &Seen,
    regressions: Vec<Regression>,
    examined: &[Examined],
    took: Duration,
) -> CampaignSummary {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut summary = CampaignSummary {
        format: FORMAT,
        build: Build::this(),
        what: plan.what.clone(),
        of: plan.campaign.shard.of,
        shards: vec![plan.campaign.shard.nth],
        scenarios: ran(plan, seen),
        runs: seen.runs,
        simulated_ms: millis(seen.simulated),
        took_ms: millis(took),
        interrupted: interrupt::interrupted(),
        regressions,
        events: seen.events.iter().map(|(kind, count)| ((*kind).into(), *count)).collect(),
        unreached: seen
            .landmarks
            .iter()
            .flat_map(|it| it.missing())
            .map(|landmark| landmark.about().to_string())
            .collect(),
        buckets: examined.iter().map(|it| it.bucket.clone()).collect(),
        exit: 0,
    };
    summary.rank();
    summary.exit = verdict(&summary).code();
    summary
}

/// How many runs there were of each scenario, in order.
fn ran(plan: &Plan, seen: &Seen) -> Vec<Ran> {
    let drawn = plan.campaign.scenarios.is_empty().then(|| {
        let looks = |name: &str| !plan.campaign.without.contains(name);
        let all = CATALOGUE.iter().filter(|check| !plan.campaign.unlimited || check.kind == Kind::Safety);
        let all = all.filter(|check| looks(check.name)).map(|check| check.name.to_string());
        seen.ran("drawn", None, all.collect())
    });
    let mut given: Vec<Ran> = Vec::new();
    for scenario in &plan.campaign.scenarios {
        if given.iter().all(|ran| ran.name != scenario.name) {
            let file = plan.files.get(&scenario.name).map(|(file, _)| file.clone());
            let checks = looked_at(scenario, &plan.campaign.without);
            let checks = checks.into_iter().map(str::to_string).collect();
            given.push(seen.ran(&scenario.name, file, checks));
        }
    }
    drawn.into_iter().chain(given).collect()
}

fn verdict(summary: &CampaignSummary) -> Exit {
    let parts = summary.buckets.iter().any(|bucket| !bucket.parts.is_empty());
    let found = summary.counted().next().is_some();
    match () {
        () if parts => Exit::NotDeterministic,
        () if summary.interrupted => Exit::Interrupted,
        () if summary.what.canary => {
            if found {
                Exit::Ok
            } else {
                Exit::Failed
            }
        }
        () if found || summary.regressed().any(|it| it.verdict == crate::report::Verdict::Fail) => {
            Exit::Failed
        }
        // A green campaign that ran nothing is not green.
        () if summary.runs == 0 || summary.regressed().next().is_some() => Exit::Inconclusive,
        () => Exit::Ok,
    }
}

/// Writes everything, and says what came of it.
fn tell(
    plan: &Plan,
    summary: &CampaignSummary,
    examined: &[Examined],
    findings: &Findings,
    common: &Common,
    output: &mut Output,
) -> Result<Exit, Exit> {
    for it in examined {
        if let Some(why) = &it.unsaved {
            whole_finding(&it.bucket.kind, why, &text(&it.repro), common, output);
        }
    }
    let written = campaign_reports::leave(findings.place(), summary);
    let place = findings.place().display().to_string();
    match common.format {
        Format::Human => {
            output.say(&human::told(summary, &place));
            if !common.quiet {
                output.say(&never(summary));
            }
            output.say(&format!("kept in {place}\n"));
        }
        Format::Json => {
            let text = summary.text().map_err(|why| output.fail(Exit::Internal, &why))?;
            output.say(&text);
        }
        Format::Jsonl => {}
    }
    campaign_reports::all(common, summary, &place, output)?;
    written.map_err(|why| output.fail(Exit::Usage, &why))?;
    if plan.what.canary && summary.exit == Exit::Failed.code() {
        let runs = usize::try_from(summary.runs).unwrap_or(usize::MAX);
        return Err(output.fail(Exit::Failed, &catches_nothing(runs)));
    }
    Ok(verdict(summary))
}

fn head(plan: &Plan, regressions: &[Regression]) -> String {
    let campaign = &plan.campaign;
    let what = match campaign.scenarios.len() {
        0 => format!("drawn clusters, {}", campaign.strategy),
        many => counted(many, "scenario"),
    };
    let runs = plan.what.runs.map_or(String::new(), |runs| format!("  {} runs", grouped(runs)));
    let planted: String = campaign.museum.bugs().map(BugName).map(|bug| format!("  planted {bug}")).collect();
    let without: String = campaign.without.iter().map(|check| format!("  without {check}")).collect();
    let known = plan.known.as_ref().map_or(String::new(), |kinds| {
        format!("  new since {} ({} known)", plan.what.new_since.as_deref().unwrap_or_default(), kinds.len())
    });
    let passed = regressions.iter().filter(|it| it.verdict == crate::report::Verdict::Pass).count();
    let regressions = match regressions.len() {
        0 => String::new(),
        all if all == passed => format!("  (regressions: {passed} passed)"),
        all => format!("  (regressions: {} of {all} FAILED)", all - passed),
    };
    format!(
        "base {}  {what}{runs}  {}  shard {}{planted}{without}{known}{regressions}\n",
        Seed(campaign.base),
        counted(campaign.jobs, "job"),
        campaign.shard
    )
}

/// The events and situations that no run has seen: where the campaign is blind.
fn never(summary: &CampaignSummary) -> String {
    let mut text = String::new();
    let missing = summary.never();
    if !missing.is_empty() {
        text += &format!("never seen: {}\n", missing.join(", "));
    }
    if !summary.unreached.is_empty() {
        text += &format!("never reached: {}\n", summary.unreached.join("; "));
    }
    text
}

/// A run as a line for machines.
fn line(tried: &Tried) -> String {
    let told = serde_json::json!({
        "index": tried.index,
        "seed": Seed(tried.seed),
        "scenario": tried.scenario.name,
        "strategy": tried.by,
        "steps": tried.steps,
        "simulated_ms": tried.simulated.as_millis() as u64,
        "took_ms": tried.took.as_millis() as u64,
        "trace": tried.digest.get(..8),
        "failure": tried.failure.as_ref().map(crate::fuzz::Failure::kind),
    });
    format!("{told}\n")
}
