//! What does a campaign leave behind? A directory with a bucket for every kind of failure.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::Exit;
use crate::{
    fuzz::{Best, Campaign, Failure, Found},
    report::{
        Build, Summary, failure,
        summary::{Circumstances, FORMAT},
    },
    run::Engine,
    scenario::{
        Scenario,
        file::Origin,
        values::{BugName, Seed},
    },
};

/// The directory of one campaign.
pub struct Findings {
    dir: PathBuf,
    summary: Option<CampaignSummary>,
}

/// What came of a campaign, or of one shard of it: `summary.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignSummary {
    /// The version of this file's format.
    pub format: u32,
    /// The program.
    pub build: Build,
    /// Where the series of seeds begins.
    pub base: Seed,
    /// The names of the scenarios; none if clusters were drawn.
    pub scenarios: Vec<String>,
    /// The bugs that were planted.
    pub planted: Vec<BugName>,
    /// Which shard, of how many.
    pub shard: (u64, u64),
    /// How many runs.
    pub runs: u64,
    /// How much time was simulated, in milliseconds.
    pub simulated_ms: u64,
    /// How often every kind of event occurred that did.
    pub events: BTreeMap<String, u64>,
    /// What was found, the smallest schedule first.
    pub buckets: Vec<Bucket>,
}

/// A kind of failure in `summary.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// The kind.
    pub kind: String,
    /// In a line.
    pub headline: String,
    /// In how many runs.
    pub times: u64,
    /// The run that shows it best.
    pub index: u64,
    /// Its seed.
    pub seed: Seed,
    /// How many faults it has.
    pub faults: usize,
    /// Where its repro lies, below this file's directory.
    pub repro: String,
}

/// A failure that was looked at again.
pub struct Confirmed {
    /// Its kind, and the run that shows it best.
    pub bucket: Bucket,
    /// Where it lies.
    pub place: PathBuf,
    /// The report.
    pub report: String,
    /// Whether another process or engine gave another trace.
    pub parts: bool,
}

impl Findings {
    /// Makes the directory below `out`. Refuses one that cannot be written.
    pub fn begin(out: &Path, campaign: &Campaign) -> Result<Findings, String> {
        let fuzz = out.join("fuzz");
        let failed = |error: std::io::Error| format!("{} cannot be written: {error}", fuzz.display());
        fs::create_dir_all(&fuzz).map_err(failed)?;
        let (base, shard) = (campaign.base, campaign.shard);
        let part = if shard.of == 1 { String::new() } else { format!("-{}of{}", shard.nth, shard.of) };
        for nth in 1..10_000 {
            let again = if nth == 1 { String::new() } else { format!("-{nth}") };
            let dir = fuzz.join(format!("{base:x}{part}{again}"));
            match fs::create_dir(&dir) {
                Ok(()) => return Ok(Findings { dir, summary: None }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(format!("{} is full of campaigns with base {base:#x}", fuzz.display()))
    }

    /// Where everything lies.
    pub fn place(&self) -> &Path {
        &self.dir
    }

    /// The summary as it was written.
    pub fn summary(&self) -> Result<String, Exit> {
        serde_json::to_string_pretty(&self.summary).map_err(|_| Exit::Internal)
    }

    /// Keeps the run at `index` if it is the best of its kind so far.
    pub fn keep(
        &self,
        campaign: &Campaign,
        index: u64,
        found: &BTreeMap<String, Found>,
    ) -> Result<(), String> {
        match found.iter().find(|(_, found)| found.best.index == index) {
            Some((kind, found)) => self.write_repro(campaign, &found.best, kind, None),
            None => Ok(()),
        }
    }

    fn bucket(&self, kind: &str) -> PathBuf {
        self.dir.join(below(kind))
    }

    fn write_repro(
        &self,
        campaign: &Campaign,
        best: &Best,
        kind: &str,
        digest: Option<String>,
    ) -> Result<(), String> {
        let dir = self.bucket(kind);
        let failed = |error: std::io::Error| format!("{} cannot be written: {error}", dir.display());
        fs::create_dir_all(&dir).map_err(failed)?;
        let repro = repro(campaign, best, kind, digest);
        let text = serde_json::to_string_pretty(&repro).map_err(|error| error.to_string())? + "\n";
        fs::write(dir.join("repro.json"), text).map_err(failed)
    }

    /// Runs the best of each kind again: here, on the other engine, and in a fresh process.
    pub fn confirm(
        &self,
        campaign: &Campaign,
        found: &BTreeMap<String, Found>,
    ) -> Result<Vec<Confirmed>, String> {
        let mut confirmed: Vec<Confirmed> = Vec::new();
        for (kind, found) in found {
            confirmed.push(self.look_again(campaign, kind, found)?);
        }
        confirmed.sort_by_key(|it| (it.bucket.faults, it.bucket.index));
        Ok(confirmed)
    }

    fn look_again(&self, campaign: &Campaign, kind: &str, found: &Found) -> Result<Confirmed, String> {
        let Best { index, seed, .. } = found.best;
        let scenario = repro(campaign, &found.best, kind, None);
        let began = Instant::now();
        let (run, _) = campaign.carry_out(&scenario, seed, Engine::Direct);
        let around = Circumstances {
            engine: "direct".into(),
            took: began.elapsed(),
            until: None,
            stop_at_first: false,
            cut_short: None,
        };
        let summary = Summary::of(&scenario, &run, &around);
        let place = self.bucket(kind);
        let path = place.join("repro.json");
        let again = format!("trial run {}", path.display());
        let report = match &found.failure {
            Failure::Broken { .. } => failure::report(&summary, &scenario, None, &again),
            Failure::TooLong => format!("FAIL  a run did not end in time\n  again     {again}\n"),
        };
        let digest = summary.digest.clone();
        self.write_repro(campaign, &found.best, kind, Some(digest.clone()))?;
        let failed = |error: std::io::Error| format!("{} cannot be written: {error}", place.display());
        fs::write(place.join("report.txt"), &report).map_err(failed)?;
        // A run that was cut off by the clock on the wall ends where the machine was.
        let parts = found.failure != Failure::TooLong
            && differs_elsewhere(campaign, &scenario, seed, &path, &digest)?;
        let headline = match &found.failure {
            Failure::Broken { headline, .. } => headline.clone(),
            Failure::TooLong => "the run did not end in time".into(),
        };
        let repro = format!("{}/repro.json", below(kind));
        let bucket = Bucket {
            kind: kind.into(),
            headline,
            times: found.times,
            index,
            seed: Seed(seed),
            faults: found.best.faults(),
            repro,
        };
        Ok(Confirmed { bucket, place, report, parts })
    }

    /// Writes `summary.json`.
    pub fn finish(
        &mut self,
        campaign: &Campaign,
        runs: u64,
        simulated: Duration,
        events: &BTreeMap<&'static str, u64>,
        confirmed: &[Confirmed],
    ) -> Result<(), String> {
        let summary = CampaignSummary {
            format: FORMAT,
            build: Build::this(),
            base: Seed(campaign.base),
            scenarios: campaign.scenarios.iter().map(|scenario| scenario.name.clone()).collect(),
            planted: campaign.museum.bugs().map(BugName).collect(),
            shard: (campaign.shard.nth, campaign.shard.of),
            runs,
            simulated_ms: u64::try_from(simulated.as_millis()).unwrap_or(u64::MAX),
            events: events.iter().map(|(kind, count)| ((*kind).into(), *count)).collect(),
            buckets: confirmed.iter().map(|it| it.bucket.clone()).collect(),
        };
        let path = self.dir.join("summary.json");
        let text = serde_json::to_string_pretty(&summary).map_err(|error| error.to_string())? + "\n";
        self.summary = Some(summary);
        fs::write(&path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }
}

/// Where the bucket of a kind lies below the campaign's directory.
fn below(kind: &str) -> String {
    format!("buckets/{}", kind.replace('/', "-"))
}

/// A run as a file of its own.
fn repro(campaign: &Campaign, best: &Best, kind: &str, digest: Option<String>) -> Scenario {
    let (mut scenario, seed, index) = (Scenario::clone(&best.scenario), best.seed, best.index);
    scenario.seed = Some(Seed(seed));
    scenario.schema = None;
    for bug in campaign.museum.bugs().map(BugName) {
        if !scenario.plant.contains(&bug) {
            scenario.plant.push(bug);
        }
    }
    let build = Build::this();
    scenario.origin = Some(Origin {
        found_by: Some(format!("trial fuzz --base {}", Seed(campaign.base))),
        seed: Some(Seed(seed)),
        index: Some(index),
        build: BTreeMap::from([("trial".into(), build.trial), ("binary".into(), build.binary)]),
        trace_hash: digest,
        bucket: Some(kind.into()),
    });
    scenario
}

/// Whether a fresh process or the other engine gives another trace.
fn differs_elsewhere(
    campaign: &Campaign,
    scenario: &Scenario,
    seed: u64,
    file: &Path,
    digest: &str,
) -> Result<bool, String> {
    #[cfg(madsim)]
    {
        let scheduling = crate::engine::madsim::Scheduling { seed: !seed, noise: 1 };
        let (run, _) = campaign.carry_out(scenario, seed, Engine::Madsim(scheduling));
        if run.digest.hex() != digest {
            return Ok(true);
        }
    }
    #[cfg(not(madsim))]
    let _ = (campaign, scenario);
    let program =
        std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
    let told = Command::new(program)
        .arg("digest")
        .arg(file)
        .args(["--seed", &Seed(seed).to_string(), "--engine", "direct"])
        .env_remove("RUST_LOG")
        .output()
        .map_err(|error| format!("another process cannot be asked: {error}"))?;
    if !told.status.success() {
        let why = String::from_utf8_lossy(&told.stderr).trim().to_string();
        return Err(format!("another process failed: {why}"));
    }
    Ok(String::from_utf8_lossy(&told.stdout).trim() != digest)
}
