//! What does a run give, and what can be asked of it?

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use trial_model::{museum::Museum, time::Instant};

use crate::{check::Violation, digest::Digest, names::RunNames, trace::Reader, world_event::Phase};

/// Which engine lets the nodes step. The trace is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A loop over an agenda.
    Direct,
    /// Every node a task under madsim's randomised scheduler. Only in builds with `--cfg madsim`.
    #[cfg(madsim)]
    Madsim(crate::engine::madsim::Scheduling),
}

impl Default for Engine {
    /// madsim where the build has it.
    fn default() -> Engine {
        #[cfg(madsim)]
        return Engine::Madsim(Default::default());
        #[cfg(not(madsim))]
        Engine::Direct
    }
}

/// How a scenario is run, besides what stands in it.
#[derive(Default)]
pub struct Options {
    /// Who lets the nodes step.
    pub engine: Engine,
    /// Historical bugs to switch on.
    pub museum: Museum,
    /// Ends the run at this instant, whatever phase it is in; nothing is checked that needs the end.
    pub until: Option<Instant>,
    /// Ends the run with the first violation instead of going on to its end.
    pub stop_at_first: bool,
    /// Checks that do not look, by name. What is not looked at is not waited for either, so a run that comes to
    /// rest without one may end sooner.
    pub without: BTreeSet<&'static str>,
    /// Judges nothing: for measuring what the checks cost.
    pub unjudged: bool,
    /// Who reads the run while it happens.
    pub readers: Vec<Box<dyn Reader>>,
    /// From this instant on, chance in the network and on disks, and in processes that begin later, is drawn
    /// from another seed. What clients are told and which faults there are stays as it was.
    pub reseed: Option<(Instant, u64)>,
    /// Writes down what caused what, for whoever has to explain the run.
    pub scribe: Option<crate::explain::Scribe>,
    /// Told now and then how far simulated time has come; says whether to go on.
    pub progress: Option<Box<dyn FnMut(Progress) -> bool + Send>>,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The simulated time.
    pub at: Instant,
    /// Which phase.
    pub phase: Phase,
    /// When the phase ends at the latest.
    pub phase_ends: Instant,
}

/// What became of a goal that an event must occur.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// Which event.
    pub event: String,
    /// How often it must occur at least.
    pub at_least: u64,
    /// How often it did.
    pub seen: u64,
}

impl Goal {
    /// Whether it was reached.
    pub fn reached(&self) -> bool {
        self.seen >= self.at_least
    }
}

/// A fault that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRecord {
    /// Its id in the scenario.
    pub id: String,
    /// When it began.
    pub at: Instant,
    /// When it ended, if it lasts and did.
    pub ended: Option<Instant>,
    /// What it was, in words, with the nodes it hit: `pause broker-3`.
    pub what: String,
}

/// A run that is over.
#[derive(Debug)]
pub struct Run {
    /// The name of its trace.
    pub digest: Digest,
    /// What each node's own steps come to, by its name: tells which nodes two runs differ in.
    pub chains: BTreeMap<String, Digest>,
    /// The seed.
    pub seed: u64,
    /// How many steps were taken by all nodes.
    pub steps: u64,
    /// How many events were stated, by kind.
    pub events: BTreeMap<&'static str, u64>,
    /// What was promised and not kept, in the order in which it should be read.
    pub violations: Vec<Violation>,
    /// What had to occur.
    pub goals: Vec<Goal>,
    /// How many checks looked.
    pub checks: usize,
    /// What was done to the cluster.
    pub faults: Vec<FaultRecord>,
    /// Records acknowledged in each simulated second.
    pub acked: Vec<u64>,
    /// Records handed to consumers of the scenario (not the auditor).
    pub delivered: u64,
    /// Leaders elected by the controllers after the first of each partition: `orders-0: broker-1 → broker-2 (epoch 5)`.
    pub elections: Vec<(Instant, String)>,
    /// When the settle phase began, if it did.
    pub settle_began: Option<Instant>,
    /// When everything that had to settle had.
    pub settled: Option<Instant>,
    /// When the run ended.
    pub ended: Instant,
    /// How much time of a processor it took: the only thing here that is not the same on every machine.
    pub cpu: Duration,
    /// What things are called.
    pub names: RunNames,
}

impl Run {
    /// How many records were acknowledged in all.
    pub fn acknowledged(&self) -> u64 {
        self.acked.iter().sum()
    }

    /// Whether every promise was kept.
    pub fn kept(&self) -> bool {
        self.violations.is_empty()
    }
}
