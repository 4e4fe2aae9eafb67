//! Why did it fail? The events that led there, the decision that was wrong, what it takes and what not.
//!
//! A run is short and repeats bit for bit, so nothing is kept for explaining while one looks for failures:
//! whoever asks runs it again with a `Scribe`.

mod record;
mod focus;
mod wrong;
mod chain;
mod needed;
mod turned;
mod parts;
mod show;

use trial_model::time::Instant;

pub use self::{
    chain::Line,
    focus::Focus,
    needed::{Limits, Need, Needed, needed},
    parts::{Parts, parts},
    record::{Entry, Record, Scribe, Sent, StepId, Taken, What},
    show::{Look, Told, show},
    turned::{Turned, fork_seed, turned},
    wrong::{Place, Wrong, suspects},
};
use crate::{
    Options, Run, Scenario,
    check::{JudgeSetup, Violation},
    names::RunNames,
    report::words::seconds,
    run::FaultRecord,
    scenario::file::Expect,
    simulate,
};

/// A run that failed, written down.
#[derive(Debug)]
pub struct Case {
    /// What happened and what caused it.
    pub record: Record,
    /// What things are called.
    pub names: RunNames,
    /// The broken promise.
    pub violation: Violation,
    /// What was done to the cluster.
    pub faults: Vec<FaultRecord>,
    /// What the violation is about.
    pub focus: Focus,
    /// The decision that was wrong, if it can be told from this run alone.
    pub wrong: Option<Wrong>,
}

impl Case {
    /// Runs a scenario again and looks what broke. `None` if nothing did.
    pub fn of(scenario: &Scenario, seed: u64) -> Option<Case> {
        let (run, record) = recorded(scenario, seed, None);
        Case::from(scenario, run, record)
    }

    /// Looks at a run that was written down.
    pub fn from(scenario: &Scenario, run: Run, record: Record) -> Option<Case> {
        let wanted = match scenario.expect {
            Expect::Violates(check) => run.violations.iter().find(|violation| violation.check == check.0),
            Expect::Pass => None,
        };
        let violation = wanted.or(run.violations.first())?.clone();
        let setup = setup_of(scenario);
        let names = run.names;
        let mut focus = Focus::of(&record, &setup, &names, &violation);
        let wrong = wrong::choose(&record, &setup, &names, &violation, focus.anchor);
        if let Some(wrong) = &wrong {
            focus.nodes.insert(wrong.node);
            focus.partition = focus.partition.or(wrong.partition);
            if focus.offset.is_none()
                && let Place::Entry(entry) = wrong.place
            {
                focus.offset = record.entries[entry].event().and_then(|(_, event)| focus::offset_of(event));
            }
        }
        Some(Case { record, names, violation, faults: run.faults, focus, wrong })
    }

    /// The chain, in at most `depth` lines.
    pub fn chain(&self, depth: usize) -> Vec<Line> {
        chain::chain(self, depth)
    }

    /// What a report says of the wrong decision: what was decided when, and what contradicts it.
    pub fn decision(&self) -> Option<(String, String)> {
        let wrong = self.wrong.as_ref()?;
        let why = match chain::news_for(self, wrong) {
            Some((told, _)) => {
                let at = self.record.steps[told].at;
                format!(", and {} heard of it at {}s", self.names.node_name(wrong.node), seconds(at.0, 3))
            }
            None => String::new(),
        };
        // Where the check's own headline is all there is to say, what the node stated says more.
        let stated = match wrong.place {
            Place::Entry(entry) if wrong.what == self.violation.headline => {
                self.record.entries[entry].event()
            }
            _ => None,
        };
        let what = match stated {
            Some((node, event)) => {
                let kind = event.kind().name();
                format!("{} states {kind} {}", self.names.node_name(node), event.show(&self.names))
            }
            None => wrong.what.clone(),
        };
        Some((format!("{}s  {what}", seconds(wrong.at.0, 3)), format!("{}{why}", wrong.but)))
    }
}

/// What the judge of a scenario's runs is told.
pub fn setup_of(scenario: &Scenario) -> JudgeSetup {
    crate::simulate::setup_of(scenario)
}

/// Runs a scenario and writes it down, up to `until` if that is said.
pub fn recorded(scenario: &Scenario, seed: u64, until: Option<Instant>) -> (Run, Record) {
    let scribe = Scribe::new();
    let options =
        Options { engine: crate::Engine::Direct, scribe: Some(scribe.clone()), until, ..Options::default() };
    let run = simulate(scenario, seed, options);
    let record = scribe.take();
    (run, record)
}
