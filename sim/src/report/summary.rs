//! What came of a run, as it is kept beside its trace?

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    run::Run,
    scenario::{
        Scenario,
        file::{Acks, Actor, Expect},
        values::{CheckName, Seed, Span},
    },
    simulate::looked_at,
};

/// The version of `result.json`.
pub const FORMAT: u32 = 1;

/// Which program it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The version of trial.
    pub trial: String,
    /// The first digits of the program's own BLAKE3: two programs that differ at all have other ones.
    pub binary: String,
}

impl Build {
    /// This program.
    pub fn this() -> Build {
        let binary = std::env::current_exe().and_then(std::fs::read).map(|bytes| {
            let hex = blake3::hash(&bytes).to_hex();
            hex[..8].to_string()
        });
        Build { trial: env!("CARGO_PKG_VERSION").into(), binary: binary.unwrap_or_else(|_| "unknown".into()) }
    }
}

/// How a run ended, against what its scenario expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As expected.
    Pass,
    /// A promise is broken, or one that should have been was not.
    Fail,
    /// Nothing is broken, but too little was seen to say that all is well.
    Inconclusive,
}

impl Verdict {
    /// As it stands in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::Inconclusive => "INCONCLUSIVE",
        }
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// Which check says so.
    pub check: String,
    /// When, in nanoseconds of the run.
    pub at: u64,
    /// What happened, in a line.
    pub headline: String,
    /// What to know about it: a label and what it says.
    pub lines: Vec<(String, String)>,
}

/// The decision that was wrong, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When and what: `3.066s  broker-1 moved the high watermark 1226 → 1227 on {1,2}`.
    pub what: String,
    /// What contradicted it.
    pub but: String,
}

/// A fault that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Its id in the scenario.
    pub id: String,
    /// When it began, in nanoseconds of the run.
    pub at: u64,
    /// When it ended.
    pub ended: Option<u64>,
    /// What it was, with the nodes it hit.
    pub what: String,
}

/// A goal and how often it was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Which event.
    pub event: String,
    /// How often it had to occur.
    pub at_least: u64,
    /// How often it did.
    pub seen: u64,
}

/// What came of a run: `result.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// The version of this file's format.
    pub format: u32,
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: Seed,
    /// The engine it ran on.
    pub engine: String,
    /// The program.
    pub build: Build,
    /// How it ended.
    pub verdict: Verdict,
    /// Why it is not a pass, in a line.
    pub because: Option<String>,
    /// The BLAKE3 of everything that every node did.
    pub digest: String,
    /// How many steps all nodes took.
    pub steps: u64,
    /// How many events of each kind.
    pub events: BTreeMap<String, u64>,
    /// The promises that were looked at, by name.
    pub checks: Vec<String>,
    /// The promises that were broken.
    pub violations: Vec<Broken>,
    /// The decision that was wrong, if somebody has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The goals.
    pub goals: Vec<Seen>,
    /// What went wrong.
    pub faults: Vec<Done>,
    /// Records acknowledged in each second.
    pub acked: Vec<u64>,
    /// Records read.
    pub delivered: u64,
    /// Elections after each partition's first: when, and who.
    pub elections: Vec<(u64, String)>,
    /// When the settle phase began.
    pub settle_began: Option<u64>,
    /// When everything had come to rest.
    pub settled: Option<u64>,
    /// When the run ended.
    pub ended: u64,
    /// How long it took, in milliseconds of real time.
    pub took_ms: u64,
    /// Where it was told to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Span>,
    /// Whether it was told to end with the first violation.
    #[serde(default)]
    pub stop_at_first: bool,
    /// The checks that did not look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<CheckName>,
    /// The trace file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceFile>,
}

/// The trace file that belongs to a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceFile {
    /// How many bytes it has.
    pub bytes: u64,
    /// The BLAKE3 of its bytes.
    pub hash: String,
}

/// What a run was, besides what came of it.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The engine's name.
    pub engine: String,
    /// How long it took.
    pub took: Duration,
    /// Where it was told to end.
    pub until: Option<Span>,
    /// Whether it was told to end with the first violation.
    pub stop_at_first: bool,
    /// The checks that did not look.
    pub without: Vec<CheckName>,
    /// Why it was ended before its time.
    pub cut_short: Option<String>,
}

impl Summary {
    /// What came of `run`, judged by what its scenario expects.
    pub fn of(scenario: &Scenario, run: &Run, around: &Circumstances) -> Summary {
        let (verdict, because) = judge(scenario, run, around);
        let violations = run.violations.iter().map(|violation| Broken {
            check: violation.check.into(),
            at: violation.at.0,
            headline: violation.headline.clone(),
            lines: violation.lines.iter().map(|(label, text)| ((*label).into(), text.clone())).collect(),
        });
        let without = around.without.iter().map(|check| check.0).collect();
        let checks = looked_at(scenario, &without);
        let goals = run.goals.iter();
        let faults = run.faults.iter();
        Summary {
            format: FORMAT,
            scenario: scenario.name.clone(),
            seed: Seed(run.seed),
            engine: around.engine.clone(),
            build: Build::this(),
            verdict,
            because,
            digest: run.digest.hex(),
            steps: run.steps,
            events: run.events.iter().map(|(kind, count)| ((*kind).into(), *count)).collect(),
            checks: checks.iter().map(|check| (*check).to_string()).collect(),
            violations: violations.collect(),
            decision: None,
            goals: goals
                .map(|g| Seen { event: g.event.clone(), at_least: g.at_least, seen: g.seen })
                .collect(),
            faults: faults
                .map(|f| Done {
                    id: f.id.clone(),
                    at: f.at.0,
                    ended: f.ended.map(|at| at.0),
                    what: f.what.clone(),
                })
                .collect(),
            acked: run.acked.clone(),
            delivered: run.delivered,
            elections: run.elections.iter().map(|(at, what)| (at.0, what.clone())).collect(),
            settle_began: run.settle_began.map(|at| at.0),
            settled: run.settled.map(|at| at.0),
            ended: run.ended.0,
            took_ms: u64::try_from(around.took.as_millis()).unwrap_or(u64::MAX),
            until: around.until,
            stop_at_first: around.stop_at_first,
            without: around.without.clone(),
            trace: None,
        }
    }

    /// Looks for the wrong decision if the run failed: that takes another run of it, written down.
    pub fn explain(&mut self, scenario: &Scenario) {
        if self.verdict != Verdict::Fail || self.violations.is_empty() {
            return;
        }
        let case = crate::explain::Case::of(scenario, self.seed.0);
        // A run that was cut short may have seen less than the whole one.
        let same = case.filter(|case| self.violations[0].check == case.violation.check);
        let decision = same.and_then(|case| case.decision());
        self.decision = decision.map(|(what, but)| Decision { what, but });
    }

    /// The first digits of the digest, as people compare them.
    pub fn short_digest(&self) -> &str {
        self.digest.get(..8).unwrap_or(&self.digest)
    }

    /// How many events there were in all.
    pub fn event_count(&self) -> u64 {
        self.events.values().sum()
    }

    /// The names of the promises that were broken, each once, in order.
    pub fn broken(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for violation in &self.violations {
            if !names.contains(&violation.check.as_str()) {
                names.push(&violation.check);
            }
        }
        names
    }

    /// How many promises and goals there are, and how many of them were kept and reached.
    pub fn kept(&self) -> (usize, usize) {
        let all = self.checks.len() + self.goals.len();
        let missed = self.goals.iter().filter(|goal| goal.seen < goal.at_least).count();
        (all.saturating_sub(self.broken().len() + missed), all)
    }
}

fn judge(scenario: &Scenario, run: &Run, around: &Circumstances) -> (Verdict, Option<String>) {
    if let Expect::Violates(check) = scenario.expect {
        let happened = run.violations.iter().any(|violation| violation.check == check.0);
        return match (happened, run.violations.is_empty(), &around.cut_short) {
            (true, ..) => (Verdict::Pass, None),
            (false, true, Some(why)) => (Verdict::Inconclusive, Some(why.clone())),
            (false, true, None) => {
                (Verdict::Fail, Some(format!("expected {check} to be violated, and it was not")))
            }
            (false, false, _) => {
                (Verdict::Fail, Some(format!("expected {check} to be violated, and others were")))
            }
        };
    }
    if !run.violations.is_empty() {
        return (Verdict::Fail, None);
    }
    if let Some(why) = &around.cut_short {
        return (Verdict::Inconclusive, Some(why.clone()));
    }
    if let Some(goal) = run.goals.iter().find(|goal| !goal.reached()) {
        let why = format!("{} occurred {} of {} times", goal.event, goal.seen, goal.at_least);
        return (Verdict::Inconclusive, Some(why));
    }
    let sends = |actor: &Actor| matches!(actor, Actor::Producer(producer) if producer.acks != Acks::None);
    if scenario.workload.iter().any(sends) && run.acknowledged() == 0 {
        return (
            Verdict::Inconclusive,
            Some("nothing was ever acknowledged, so nothing was looked at".into()),
        );
    }
    (Verdict::Pass, None)
}
