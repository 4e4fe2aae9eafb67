//! What does the command line ask for? A campaign, its limits, and what counts as a failure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use clap::ValueEnum;
use trial_model::museum::Museum;

use super::{Fuzz, known, pool::Setup};
use crate::{
    cli::{Exit, Output, input, nemesis, seed::SeedArg},
    fuzz::{Campaign, Limits, Shard},
    report::campaign::{Unreadable, What},
    scenario::{
        Scenario,
        values::{BugName, CheckName, Seed},
    },
};

/// What is usual where: limits and what counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// For a change that is to be merged: 10 minutes, 3 new kinds of failure at most, only what is new there.
    Pr,
    /// For a night: 2 hours, a canary first, heavy faults half of the time.
    Nightly,
}

/// The bug that `--canary` plants: an old one that every drawn cluster can have.
pub const CANARY: &str = "truncate-to-local-hw";
/// So many runs are made at most to find it before a night begins.
pub const CANARY_RUNS: u64 = 400;
/// How many runs are made if nobody says anything.
const RUNS: u64 = 1_000;

/// What is to be done.
pub struct Plan {
    /// The campaign.
    pub campaign: Campaign,
    /// How its processes are started.
    pub setup: Setup,
    /// The same without the canary, if one is planted.
    pub plain: Option<Setup>,
    /// The same, written down.
    pub what: What,
    /// After how many kinds of failure that count it ends.
    pub stop_after: Option<usize>,
    /// How long each kind is shrunk.
    pub shrink: Duration,
    /// The kinds that do not count.
    pub known: Option<BTreeSet<String>>,
    /// The files of the scenarios, and their texts, by name.
    pub files: BTreeMap<String, (String, String)>,
    /// Whether a canary is sent before it.
    pub canary_first: bool,
}

impl Plan {
    /// Reads the command line. Refuses what contradicts itself.
    pub fn of(it: &Fuzz, output: &mut Output) -> Result<Plan, Exit> {
        contradiction(it).map_err(|why| output.fail(Exit::Usage, &why))?;
        let (mut scenarios, files) = scenarios(it, output)?;
        if it.wire {
            scenarios.iter_mut().for_each(|scenario| scenario.wire = Some(true));
        }
        let canary = it.canary.then(|| CANARY.parse::<BugName>()).and_then(Result::ok);
        let planted = it.plant.iter().copied().chain(canary);
        let museum = planted.fold(Museum::default(), |museum, bug| museum.with(bug.0));
        let turns = scenarios.len().max(1) as u64;
        let time = it.time.map(|time| time.0).or_else(|| match it.profile {
            _ if it.seeds.is_some() => None,
            Some(Profile::Pr) => Some(Duration::from_secs(600)),
            Some(Profile::Nightly) => Some(Duration::from_secs(7_200)),
            None => None,
        });
        let runs = match (it.seeds, time) {
            (Some(seeds), _) => Some(seeds.saturating_mul(turns)),
            (None, Some(_)) => None,
            (None, None) => Some(RUNS * turns),
        };
        if let Some(runs) = runs
            && it.shard.nth > runs
        {
            let why = format!("shard {} has nothing to do: there are {runs} runs in all", it.shard);
            return Err(output.fail(Exit::Usage, &why));
        }
        let stop_after = it.stop_after.or((it.profile == Some(Profile::Pr)).then_some(3));
        let (new_since, known) = known_kinds(it, output)?;
        let limits = Limits { runs: runs.unwrap_or(u64::MAX), time, kinds: None, run: it.run_timeout.0 };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let campaign = Campaign {
            base: base(it),
            strategy: it.strategy,
            unlimited: it.unlimited,
            groups: it.groups,
            wire: it.wire,
            without: it.without_check.iter().map(|check| check.0).collect(),
            museum,
            shard: it.shard,
            jobs: it.jobs.map_or(cores, |jobs| usize::try_from(jobs).unwrap_or(usize::MAX)),
            limits,
            scenarios,
        };
        let plain = it.canary.then(|| {
            let bugs = it.plant.iter().fold(Museum::default(), |museum, bug| museum.with(bug.0));
            setup(it, &Campaign { museum: bugs, ..campaign.clone() })
        });
        Ok(Plan {
            plain: plain.transpose().map_err(|why| output.fail(Exit::Internal, &why))?,
            setup: setup(it, &campaign).map_err(|why| output.fail(Exit::Internal, &why))?,
            what: what(it, &campaign, new_since),
            campaign,
            stop_after: stop_after.map(|kinds| usize::try_from(kinds).unwrap_or(usize::MAX)),
            shrink: it.shrink_time.0,
            known,
            files,
            canary_first: it.profile == Some(Profile::Nightly) && it.plant.is_empty() && !it.canary,
        })
    }

    /// The same campaign with a bug planted, until it is found.
    pub fn canary(&self, it: &Fuzz) -> Result<(Campaign, Setup), String> {
        let bug: BugName = CANARY.parse()?;
        let mut campaign = self.campaign.clone();
        // Not any scenario can have it: drawn clusters can.
        campaign.scenarios.clear();
        campaign.museum = campaign.museum.with(bug.0);
        campaign.shard = Shard::WHOLE;
        campaign.limits = Limits { runs: CANARY_RUNS, time: None, kinds: Some(1), ..campaign.limits };
        let setup = setup(it, &campaign)?;
        Ok((campaign, setup))
    }

    /// How many of the runs are made here, if that is known.
    pub fn runs_here(&self) -> Option<u64> {
        let Shard { nth, of } = self.campaign.shard;
        let runs = self.campaign.limits.runs;
        (runs != u64::MAX).then(|| (runs + of - nth) / of)
    }

    /// Whether a kind of failure is new; `None` if nobody asked.
    pub fn is_new(&self, kind: &str) -> Option<bool> {
        self.known.as_ref().map(|known| !known.contains(kind))
    }
}

/// Where the seeds begin: where a profile says what is usual, every commit has seeds of its own.
fn base(it: &Fuzz) -> u64 {
    let of_commit = || it.profile.and_then(|_| known::head()?.parse::<SeedArg>().ok());
    it.base.or_else(of_commit).map_or(1, |base| base.0.0)
}

/// What of the command line contradicts itself.
fn contradiction(it: &Fuzz) -> Result<(), String> {
    if it.time.is_some_and(|time| time.0.is_zero()) {
        return Err("--time 0s is no time to run anything in".into());
    }
    if it.run_timeout.0.is_zero() {
        return Err("--run-timeout 0s is no time to run anything in".into());
    }
    if it.canary && it.new_since.is_some() {
        return Err("--canary with --new-since: a canary is to be found, whether it is new or not".into());
    }
    if it.canary && it.profile == Some(Profile::Pr) {
        return Err("--canary with --profile pr: a canary is to be found, whether it is new or not".into());
    }
    Ok(())
}

type Files = BTreeMap<String, (String, String)>;

/// The scenarios that take turns, and the text of each.
fn scenarios(it: &Fuzz, output: &mut Output) -> Result<(Vec<Scenario>, Files), Exit> {
    let files = input::scenarios(&it.files).map_err(|why| output.fail(Exit::Usage, &why))?;
    let (mut scenarios, mut texts) = (Vec::new(), Files::new());
    for file in files {
        let loaded = input::load(&file, &[], output)?;
        let mut scenario = loaded.scenario;
        if let Some((other, _)) = texts.get(&scenario.name) {
            let why = format!(
                "{} and {other} are both called `{}`: nobody could tell which one failed",
                file.display(),
                scenario.name
            );
            return Err(output.fail(Exit::Usage, &why));
        }
        texts.insert(scenario.name.clone(), (loaded.source.path, loaded.source.text));
        if let Some(name) = &it.nemesis {
            nemesis::put(&mut scenario, name).map_err(|why| output.fail(Exit::Usage, &why))?;
        }
        if it.profile == Some(Profile::Nightly) && it.nemesis.is_none() {
            let mut heavy = scenario.clone();
            nemesis::put(&mut heavy, "heavy").map_err(|why| output.fail(Exit::Usage, &why))?;
            scenarios.push(heavy);
        }
        scenarios.push(scenario);
    }
    Ok((scenarios, texts))
}

/// What was known, and where that was read.
fn known_kinds(it: &Fuzz, output: &mut Output) -> Result<(Option<String>, Option<BTreeSet<String>>), Exit> {
    let asked = it.new_since.clone();
    let place = match (asked, it.profile) {
        (Some(place), _) => place,
        (None, Some(Profile::Pr)) => match known::merge_base() {
            Some(place) => place,
            None => {
                output.note("no merge base is known here: every kind of failure counts (--new-since says what is known)\n");
                return Ok((None, None));
            }
        },
        (None, _) => return Ok((None, None)),
    };
    let kinds = known::known(&place).map_err(|why| match why {
        Unreadable::Damaged(why) => output.fail(Exit::Usage, &format!("--new-since: {why}")),
        Unreadable::OtherFormat(why) => output.fail(Exit::OtherFormat, &format!("--new-since: {why}")),
    })?;
    Ok((Some(place), Some(kinds)))
}

fn setup(it: &Fuzz, campaign: &Campaign) -> Result<Setup, String> {
    let program = match &it.worker {
        Some(program) => program.clone(),
        None => std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?,
    };
    let mut args = vec!["fuzz-worker".to_string(), "--run-timeout".into(), it.run_timeout.to_string()];
    args.extend(["--run-memory".into(), it.run_memory.to_string()]);
    for bug in campaign.museum.bugs().map(BugName) {
        args.extend(["--plant".into(), bug.to_string()]);
    }
    for check in &campaign.without {
        args.extend(["--without-check".into(), (*check).into()]);
    }
    Ok(Setup { program, args })
}

fn what(it: &Fuzz, campaign: &Campaign, new_since: Option<String>) -> What {
    let hash = |scenario: &Scenario| {
        let text = serde_json::to_string(scenario).unwrap_or_default();
        (scenario.name.clone(), blake3::hash(text.as_bytes()).to_hex()[..16].to_string())
    };
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    What {
        base: Seed(campaign.base),
        scenarios: campaign.scenarios.iter().map(hash).collect(),
        strategy: if campaign.scenarios.is_empty() { campaign.strategy.to_string() } else { String::new() },
        planted: campaign.museum.bugs().map(BugName).collect(),
        unlimited: campaign.unlimited,
        groups: campaign.groups,
        wire: campaign.wire,
        without: campaign.without.iter().map(|check| CheckName(check)).collect(),
        canary: it.canary,
        runs: (campaign.limits.runs != u64::MAX).then_some(campaign.limits.runs),
        time_ms: campaign.limits.time.map(millis),
        new_since,
    }
}
