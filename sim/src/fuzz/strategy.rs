//! What is to be run next, told what came of the runs before?

use std::{fmt, str::FromStr, sync::Arc};

use super::{
    campaign::Tried,
    coverage::Coverage,
    draw::{Taste, draw},
    guided::Guided,
    pct,
    portfolio::Portfolio,
    story,
};
use crate::scenario::Scenario;

/// What decides which runs are tried.
///
/// A strategy sees only seeds and what it has learned, in the order of the series; so the same series is tried
/// again, whatever machine runs it and however many runs are made at a time.
pub trait Strategy: Send {
    /// The `nth` run, counted from nought, for which the series has drawn `seed`.
    fn propose(&mut self, nth: u64, seed: u64) -> Proposed;

    /// What came of the `nth` run. Told in order, some runs later.
    fn learn(&mut self, _nth: u64, _learned: &Learned) {}

    /// Whether what it learns changes what it proposes: then a run waits for those long before it.
    fn listens(&self) -> bool {
        false
    }
}

/// A run that a strategy wants tried.
#[derive(Clone, Debug)]
pub struct Proposed {
    /// Which strategy wants it: its name.
    pub by: &'static str,
    /// The seed it is run with.
    pub seed: u64,
    /// What is run, with every fault written out.
    pub scenario: Scenario,
    /// Whether it is watched for what it reaches, which costs a little.
    pub watched: bool,
}

/// A run to try, at its place in the series.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Its place in the series of all parts.
    pub index: u64,
    /// Its place among the runs of this part.
    pub nth: u64,
    /// Which strategy wants it.
    pub by: &'static str,
    /// The seed it is run with.
    pub seed: u64,
    /// What is run, with every fault written out.
    pub scenario: Arc<Scenario>,
    /// Whether it is watched.
    pub watched: bool,
}

/// What a strategy is told of a run. Nothing in it depends on the machine.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The kind of failure.
    pub failed: Option<String>,
    /// How many steps were taken: what it cost.
    pub steps: u64,
    /// What was run.
    pub scenario: Arc<Scenario>,
    /// With which seed.
    pub seed: u64,
    /// What it reached, if it was watched.
    pub coverage: Option<Coverage>,
}

impl Learned {
    /// What is to be learned from a run.
    pub fn of(tried: &Tried) -> Learned {
        Learned {
            failed: tried.failure.as_ref().map(super::Failure::kind),
            steps: tried.steps,
            scenario: tried.scenario.clone(),
            seed: tried.seed,
            coverage: tried.coverage.clone(),
        }
    }
}

/// The strategies there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manner {
    /// Every kind of fault, every setting and every kind of client as likely as any other, all switched on.
    Uniform,
    /// Each seed leaves out whole kinds of fault and weighs the others differently (Groce et al., ISSTA 2012).
    Swarm,
    /// Priorities of messages, with a few change points (Burckhardt et al., ASPLOS 2010).
    Pct,
    /// Something is late at one partition, and then somebody fails, in a cluster that is calm otherwise.
    Story,
    /// Runs near those that reached something new.
    Guided,
    /// Whichever of the others brings most.
    #[default]
    Portfolio,
}

impl Manner {
    /// All of them.
    pub const ALL: &'static [Manner] =
        &[Manner::Uniform, Manner::Swarm, Manner::Pct, Manner::Story, Manner::Guided, Manner::Portfolio];

    /// As it is written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Manner::Uniform => "uniform",
            Manner::Swarm => "swarm",
            Manner::Pct => "pct",
            Manner::Story => "story",
            Manner::Guided => "guided",
            Manner::Portfolio => "portfolio",
        }
    }

    /// A strategy of this kind that has seen nothing yet.
    pub fn begin(self, taste: Taste) -> Box<dyn Strategy> {
        let taste = Taste { uniform: self == Manner::Uniform, ..taste };
        match self {
            Manner::Uniform | Manner::Swarm => Box::new(Drawn { by: self, draw, taste }),
            Manner::Pct => Box::new(Drawn { by: self, draw: pct::draw, taste }),
            Manner::Story => Box::new(Drawn { by: self, draw: story::draw, taste }),
            Manner::Guided => Box::new(Guided::new(taste)),
            Manner::Portfolio => Box::new(Portfolio::new(taste)),
        }
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Manner {
    type Err = String;
    fn from_str(text: &str) -> Result<Manner, String> {
        Manner::ALL.iter().copied().find(|manner| manner.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Manner::ALL.iter().map(|manner| manner.name()).collect();
            format!("`{text}` is no strategy: there are {}", names.join(", "))
        })
    }
}

/// Draws every run from its seed alone.
struct Drawn {
    by: Manner,
    draw: fn(u64, Taste) -> Scenario,
    taste: Taste,
}

impl Strategy for Drawn {
    fn propose(&mut self, _nth: u64, seed: u64) -> Proposed {
        Proposed { by: self.by.name(), seed, scenario: (self.draw)(seed, self.taste), watched: false }
    }
}
