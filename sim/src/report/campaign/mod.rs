//! What came of very many runs? `summary.json`, and what people and CI systems are told of it, one form a file.

mod join;
pub mod github;
pub mod human;
pub mod junit;
pub mod markdown;

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use trial_model::event::EventKind;

pub use join::{Unlike, join};

use super::{Build, Verdict};
use crate::scenario::values::{BugName, CheckName, Seed};

/// The version of `summary.json`.
pub const FORMAT: u32 = 2;

/// The kind of failure of a run that did not end in time.
pub const RUN_TIMEOUT: &str = "run_timeout";
/// The kind of failure of a run that wanted more memory than it may have.
pub const RUN_MEMORY: &str = "run_memory";
/// The kind of failure of a run that took its process with it.
pub const RUN_CRASH: &str = "run_crash";

/// What came of a campaign, or of one shard of it: `summary.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignSummary {
    /// The version of this file's format.
    pub format: u32,
    /// The program.
    pub build: Build,
    /// What was run: the same for every shard.
    pub what: What,
    /// Of how many shards this is a part.
    pub of: u64,
    /// Which of them are in it, counted from one.
    pub shards: Vec<u64>,
    /// How many runs of each scenario, and which promises were looked at.
    pub scenarios: Vec<Ran>,
    /// How many runs.
    pub runs: u64,
    /// How much time was simulated, in milliseconds.
    pub simulated_ms: u64,
    /// How long it took on the wall, in milliseconds; the longest, where shards were joined.
    pub took_ms: u64,
    /// Whether somebody ended it before its time.
    pub interrupted: bool,
    /// What was found before and is looked at first.
    pub regressions: Vec<Regression>,
    /// How often every kind of event occurred that did.
    pub events: BTreeMap<String, u64>,
    /// The situations that no run was in, in words.
    pub unreached: Vec<String>,
    /// What was found, the smallest schedule first.
    pub buckets: Vec<Bucket>,
    /// The exit code.
    pub exit: u8,
}

/// What a campaign runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct What {
    /// Where the series of seeds begins.
    pub base: Seed,
    /// The hash of each scenario that takes turns, with its name; none if clusters were drawn.
    pub scenarios: Vec<(String, String)>,
    /// What decides which clusters are drawn.
    pub strategy: String,
    /// The bugs that were planted.
    pub planted: Vec<BugName>,
    /// Whether drawn clusters have any number of faults at once.
    pub unlimited: bool,
    /// Whether every drawn cluster has consumer groups.
    #[serde(default)]
    pub groups: bool,
    /// Whether messages go through Kafka's frames.
    #[serde(default)]
    pub wire: bool,
    /// The checks that did not look.
    pub without: Vec<CheckName>,
    /// Whether they were planted to be found.
    pub canary: bool,
    /// After how many runs it ends, over all shards.
    pub runs: Option<u64>,
    /// After how many milliseconds each shard ends.
    pub time_ms: Option<u64>,
    /// What the buckets were compared with, if only new ones count.
    pub new_since: Option<String>,
}

/// A scenario, or drawn clusters, in a campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ran {
    /// The scenario's name; `drawn` for clusters that were drawn.
    pub name: String,
    /// Its file.
    pub file: Option<String>,
    /// How many runs.
    pub runs: u64,
    /// How long they took, in milliseconds of one process.
    pub took_ms: u64,
    /// The promises that were looked at.
    pub checks: Vec<String>,
}

/// A scenario that once failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regression {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// How it ended.
    pub verdict: Verdict,
    /// Why that is no pass, in a line.
    pub because: Option<String>,
}

/// A kind of failure in `summary.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// The kind.
    pub kind: String,
    /// In a line.
    pub headline: String,
    /// In how many runs, by scenario.
    pub times: BTreeMap<String, u64>,
    /// The run that shows it best.
    pub index: u64,
    /// Its seed.
    pub seed: Seed,
    /// Its scenario.
    pub scenario: String,
    /// The file of that, and the line of the promise in it.
    pub file: Option<(String, usize)>,
    /// How many faults it has.
    pub faults: usize,
    /// What shrinking made of it.
    pub shrunk: Option<Cut>,
    /// Whether it was seen again in a fresh process and on the other engine.
    pub confirmed: bool,
    /// What was not the same there: where, and the digest.
    pub parts: Vec<(String, String)>,
    /// Whether it is new against what was known; `None` if nothing was compared.
    pub new: Option<bool>,
    /// Where its repro lies, below this file's directory.
    pub repro: String,
    /// The report.
    pub report: String,
}

/// What shrinking made of a failing run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// How many faults are left.
    pub faults: usize,
    /// How many runs it took.
    pub runs: u64,
    /// How many milliseconds.
    pub took_ms: u64,
    /// With how many other seeds it fails, of how many.
    pub strength: (usize, usize),
}

impl CampaignSummary {
    /// The buckets that count: all of them, or those that are new.
    pub fn counted(&self) -> impl Iterator<Item = &Bucket> {
        self.buckets.iter().filter(|bucket| bucket.counts())
    }

    /// In how many runs anything failed that counts.
    pub fn failing(&self) -> u64 {
        self.counted().map(Bucket::seen).sum()
    }

    /// The shards that should be there and are not.
    pub fn missing(&self) -> Vec<u64> {
        (1..=self.of).filter(|nth| !self.shards.contains(nth)).collect()
    }

    /// The kinds of event that no run has seen.
    pub fn never(&self) -> Vec<&'static str> {
        let names = EventKind::ALL.iter().map(|kind| kind.name());
        names.filter(|name| !self.events.contains_key(*name)).collect()
    }

    /// The regressions that did not pass.
    pub fn regressed(&self) -> impl Iterator<Item = &Regression> {
        self.regressions.iter().filter(|it| it.verdict != Verdict::Pass)
    }

    /// The parts that are in it: `2/4`, or `1,2,4 of 4`.
    pub fn shard(&self) -> String {
        let nths: Vec<String> = self.shards.iter().map(u64::to_string).collect();
        match &nths[..] {
            [nth] => format!("{nth}/{}", self.of),
            _ => format!("{} of {}", nths.join(","), self.of),
        }
    }

    /// Puts what was found in its order: the smallest schedule first, then the first of the series.
    pub fn rank(&mut self) {
        self.buckets.sort_by_key(|it| (it.new == Some(false), it.least_faults(), it.index));
    }

    /// As a file.
    pub fn text(&self) -> Result<String, String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n").map_err(|error| error.to_string())
    }

    /// Reads a campaign's directory, or its `summary.json`.
    pub fn read(place: &Path) -> Result<CampaignSummary, Unreadable> {
        let file = if place.is_dir() { place.join("summary.json") } else { place.into() };
        let shown = file.display();
        let damaged = |why: String| Unreadable::Damaged(format!("{shown}: {why}"));
        let text = std::fs::read_to_string(&file).map_err(|error| {
            let what = if place.is_dir() {
                format!("{} is no campaign", place.display())
            } else {
                shown.to_string()
            };
            Unreadable::Damaged(format!("{what}: {shown} cannot be read: {error}"))
        })?;
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| damaged(format!("this is no summary: {error}")))?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => {
                let why = format!("{shown} is of format {format}; this trial reads format {FORMAT}");
                return Err(Unreadable::OtherFormat(why));
            }
            None => return Err(damaged("this is no summary: it does not say its format".into())),
        }
        let summary: CampaignSummary =
            serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
        let counted = |nth: &u64| (1..=summary.of).contains(nth);
        if summary.shards.is_empty() || !summary.shards.iter().all(counted) {
            return Err(damaged(format!("it says that it is shard {} of {}", summary.shard(), summary.of)));
        }
        Ok(summary)
    }
}

/// Why a summary cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not there, or not whole.
    Damaged(String),
    /// Another version wrote it.
    OtherFormat(String),
}

impl Bucket {
    /// In how many runs it was seen.
    pub fn seen(&self) -> u64 {
        self.times.values().sum()
    }

    /// Whether it is reported as a failure: it is not if it was known before.
    pub fn counts(&self) -> bool {
        self.new != Some(false)
    }

    /// The promise that was broken.
    pub fn check(&self) -> &str {
        self.kind.split('/').next().unwrap_or(&self.kind)
    }

    /// With how many faults it can be shown.
    pub fn least_faults(&self) -> usize {
        self.shrunk.as_ref().map_or(self.faults, |cut| cut.faults)
    }

    /// Where everything of it lies, below the summary's directory.
    pub fn place(&self) -> &str {
        self.repro.rsplit_once('/').map_or("", |(place, _)| place)
    }
}

/// Where the bucket of a kind lies below the campaign's directory.
pub fn below(kind: &str) -> String {
    format!("buckets/{}", kind.replace('/', "-"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A summary of one shard of four in which a promise broke.
    pub fn one(nth: u64) -> CampaignSummary {
        let ran = Ran {
            name: "leader-crash".into(),
            file: Some("scenarios/leader-crash.scenario.json".into()),
            runs: 500,
            took_ms: 20_000,
            checks: vec!["acked_records_are_readable".into(), "no_panics".into()],
        };
        let bucket = Bucket {
            kind: "acked_records_are_readable/3f7a".into(),
            headline: "an acknowledged record is gone".into(),
            times: BTreeMap::from([("leader-crash".into(), 3)]),
            index: 4 + nth,
            seed: Seed(0x9c1f),
            scenario: "leader-crash".into(),
            file: Some(("scenarios/leader-crash.scenario.json".into(), 49)),
            faults: 41,
            shrunk: Some(Cut { faults: 2, runs: 138, took_ms: 6_200, strength: (50, 50) }),
            confirmed: true,
            parts: Vec::new(),
            new: None,
            repro: "buckets/acked_records_are_readable-3f7a/repro.json".into(),
            report: "FAIL  acked_records_are_readable\n      an acknowledged record is gone\n".into(),
        };
        CampaignSummary {
            format: FORMAT,
            build: Build { trial: "0.1.0".into(), binary: "4be1f07c".into() },
            what: What {
                base: Seed(0x4be1_f07c),
                scenarios: vec![("leader-crash".into(), "1234".into())],
                strategy: String::new(),
                planted: Vec::new(),
                unlimited: false,
                groups: false,
                wire: false,
                without: Vec::new(),
                canary: false,
                runs: Some(2_000),
                time_ms: None,
                new_since: None,
            },
            of: 4,
            shards: vec![nth],
            scenarios: vec![ran],
            runs: 500,
            simulated_ms: 600_000_000,
            took_ms: 615_000,
            interrupted: false,
            regressions: Vec::new(),
            events: BTreeMap::from([("leader.elected".into(), 51_000)]),
            unreached: vec!["no broker is up".into()],
            buckets: vec![bucket],
            exit: 1,
        }
    }

    #[test]
    fn it_is_written_and_read_and_another_format_is_refused() {
        let dir = std::env::temp_dir().join(format!("trial-summary-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("can be made");
        let file = dir.join("summary.json");
        std::fs::write(&file, one(2).text().expect("is JSON")).expect("is written");
        assert_eq!(CampaignSummary::read(&dir), Ok(one(2)));
        let with = |change: &dyn Fn(&mut CampaignSummary)| {
            let mut other = one(2);
            change(&mut other);
            std::fs::write(&file, other.text().expect("is JSON")).expect("is written");
            CampaignSummary::read(&dir).expect_err("is refused")
        };
        assert!(matches!(with(&|it| it.format = 1), Unreadable::OtherFormat(_)));
        assert!(matches!(with(&|it| it.shards = vec![5]), Unreadable::Damaged(_)));
        std::fs::write(&file, "{").expect("is written");
        assert!(matches!(CampaignSummary::read(&file), Err(Unreadable::Damaged(_))));
        std::fs::remove_dir_all(&dir).expect("is gone");
        assert!(matches!(CampaignSummary::read(&dir), Err(Unreadable::Damaged(_))));
    }

    #[test]
    fn known_buckets_stand_last_and_do_not_count() {
        let mut it = one(1);
        let known = Bucket {
            kind: "no_panics/0001".into(),
            faults: 0,
            shrunk: None,
            new: Some(false),
            ..it.buckets[0].clone()
        };
        it.buckets.insert(0, known);
        it.rank();
        assert_eq!(it.buckets[0].check(), "acked_records_are_readable");
        assert_eq!((it.failing(), it.counted().count()), (3, 1));
        assert_eq!(it.missing(), [2, 3, 4]);
    }
}
