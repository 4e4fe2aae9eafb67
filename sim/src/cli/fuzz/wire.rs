//! What do a campaign and the processes that make its runs say to each other? A line of JSON each.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use trial_model::{event::EventKind, time::Instant};

use crate::{
    cli::launch::EngineName,
    fuzz::{Coverage, Failure, Landmarks, Moment, Proposal, Tried},
    report::Summary,
    scenario::{
        Scenario,
        values::{Seed, WorldKind},
    },
};

/// What a process is asked to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// One run of the campaign.
    Try(Box<Scenario>, Seed, Watched),
    /// A run that is looked at closely, on an engine.
    Judge(Box<Scenario>, Seed, Side),
    /// The least that still fails, within so many milliseconds.
    Shrink(Box<Scenario>, u64),
}

/// Whether a run is watched for what it reaches.
pub type Watched = bool;

/// On which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Direct,
    Madsim,
}

impl Side {
    /// The engine's name.
    pub const fn name(self) -> EngineName {
        match self {
            Side::Direct => EngineName::Direct,
            Side::Madsim => EngineName::Madsim,
        }
    }
}

/// What a process answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// What came of a run.
    Tried(Box<Outcome>),
    /// What came of a run that was looked at closely, and of which kind its failure is.
    Judged(Box<Summary>, Option<String>),
    /// What is left of a scenario.
    Shrunk(Box<Cut>),
    /// Why it cannot be done.
    Refused(String),
}

/// What came of a run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    steps: u64,
    simulated: u64,
    took: u64,
    cpu: u64,
    digest: String,
    events: BTreeMap<String, u64>,
    coverage: Option<Reached>,
    broken: Option<(String, String)>,
    too_long: bool,
}

/// What a watched run reached.
#[derive(Debug, Serialize, Deserialize)]
struct Reached {
    landmarks: Landmarks,
    /// The feature, when, and with which event, the how many-th of its kind.
    moments: Vec<(u64, u64, Option<(u8, u32)>)>,
}

/// What shrinking left of a scenario.
#[derive(Debug, Serialize, Deserialize)]
pub struct Cut {
    /// What is left.
    pub scenario: Scenario,
    /// How many runs it took.
    pub runs: u64,
    /// How many milliseconds.
    pub took_ms: u64,
    /// With how many of so many other seeds it fails.
    pub strength: (usize, usize),
    /// Whether it ended for want of time.
    pub cut_short: bool,
}

impl Outcome {
    /// What is told of a run that was tried here.
    pub fn of(tried: &Tried) -> Outcome {
        let (broken, too_long) = match &tried.failure {
            Some(Failure::Broken { signature, headline }) => {
                (Some((signature.to_string(), headline.clone())), false)
            }
            Some(Failure::TooLong) => (None, true),
            // Only who watches the process can say these.
            Some(Failure::Memory(_) | Failure::Crashed(_)) | None => (None, false),
        };
        Outcome {
            steps: tried.steps,
            simulated: nanos(tried.simulated),
            took: nanos(tried.took),
            cpu: nanos(tried.cpu),
            digest: tried.digest.clone(),
            events: tried.events.iter().map(|(kind, count)| ((*kind).into(), *count)).collect(),
            coverage: tried.coverage.as_ref().map(Reached::of),
            broken,
            too_long,
        }
    }

    /// The run as a campaign knows it. Refuses what this program does not know.
    pub fn tried(self, proposal: &Proposal) -> Result<Tried, String> {
        let mut events = BTreeMap::new();
        for (kind, count) in self.events {
            let known = EventKind::ALL.iter().map(|kind| kind.name());
            let known = known.chain(WorldKind::ALL.iter().map(|kind| kind.name())).find(|name| *name == kind);
            events.insert(known.ok_or_else(|| format!("nobody knows an event `{kind}`"))?, count);
        }
        let broken = match self.broken {
            Some((kind, headline)) => Some(Failure::Broken { signature: kind.parse()?, headline }),
            None => self.too_long.then_some(Failure::TooLong),
        };
        Ok(Tried {
            index: proposal.index,
            seed: proposal.seed,
            by: proposal.by,
            scenario: proposal.scenario.clone(),
            steps: self.steps,
            simulated: Duration::from_nanos(self.simulated),
            took: Duration::from_nanos(self.took),
            cpu: Duration::from_nanos(self.cpu),
            digest: self.digest,
            events,
            coverage: self.coverage.map(Reached::coverage),
            failure: broken,
        })
    }
}

impl Reached {
    fn of(coverage: &Coverage) -> Reached {
        let moment = |it: &Moment| (it.feature, it.at.0, it.event.map(|(kind, nth)| (kind as u8, nth)));
        Reached { landmarks: coverage.landmarks, moments: coverage.moments.iter().map(moment).collect() }
    }

    fn coverage(self) -> Coverage {
        let event = |(kind, nth): (u8, u32)| Some((*EventKind::ALL.get(usize::from(kind))?, nth));
        let moments = self.moments.into_iter();
        let moments =
            moments.map(|(feature, at, of)| Moment { feature, at: Instant(at), event: of.and_then(event) });
        Coverage { moments: moments.collect(), landmarks: self.landmarks }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
