//! How is one run carried out, watched and summed up?

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant as RealTime,
};

use clap::ValueEnum;
use trial_model::time::Instant;

use super::{interrupt, logging, progress::Watch};
use crate::{
    report::{Summary, summary::Circumstances},
    run::{Engine, Options},
    scenario::{
        Scenario,
        values::{CheckName, Seed, Span},
    },
    simulate,
    trace::Reader,
};

/// Which engine lets the nodes step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// A loop over an agenda: the fastest.
    Direct,
    /// Every node a task under madsim's randomised scheduler. Needs a build with `--cfg madsim`.
    Madsim,
}

impl EngineName {
    /// The one that this build uses if nobody says.
    pub const fn usual() -> EngineName {
        if cfg!(madsim) { EngineName::Madsim } else { EngineName::Direct }
    }

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            EngineName::Direct => "direct",
            EngineName::Madsim => "madsim",
        }
    }

    /// The engine. Refuses one that this build does not have.
    pub fn engine(self, seed: Seed) -> Result<Engine, String> {
        match self {
            EngineName::Direct => Ok(Engine::Direct),
            #[cfg(madsim)]
            // The scheduler's order must not matter; another one for every seed shows that it does not.
            EngineName::Madsim => {
                Ok(Engine::Madsim(crate::engine::madsim::Scheduling { seed: seed.0, noise: 0 }))
            }
            #[cfg(not(madsim))]
            EngineName::Madsim => {
                let _ = seed;
                Err("this trial was built without madsim: build with RUSTFLAGS=\"--cfg madsim\", as a checkout does, or use --engine direct (the trace is the same)".into())
            }
        }
    }
}

/// What to run, and how.
pub struct Launch<'a> {
    /// The scenario, with everything changed in it.
    pub scenario: &'a Scenario,
    /// The seed.
    pub seed: Seed,
    /// The engine.
    pub engine: EngineName,
    /// Where to end it before its time.
    pub until: Option<Span>,
    /// Whether to end it with the first violation.
    pub stop_at_first: bool,
    /// The checks that do not look.
    pub without: Vec<CheckName>,
    /// Whether to draw a bar.
    pub bar: bool,
}

impl Launch<'_> {
    /// Runs it; `readers` read along.
    pub fn run(&self, mut readers: Vec<Box<dyn Reader>>) -> Result<Summary, String> {
        interrupt::listen();
        if logging::wanted() {
            readers.push(Box::new(logging::Log));
        }
        let millis = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let (chaos, end) = self.scenario.ends();
        let watch = Watch::start(millis(end), millis(chaos), self.bar);
        let clock = watch.clock();
        let options = Options {
            engine: self.engine.engine(self.seed)?,
            until: self.until.map(|until| Instant(until.nanos())),
            stop_at_first: self.stop_at_first,
            without: self.without.iter().map(|check| check.0).collect(),
            readers,
            progress: Some(going_on(&clock)),
            ..Options::default()
        };
        let began = RealTime::now();
        let run = simulate(self.scenario, self.seed.0, options);
        let took = began.elapsed();
        watch.stop();
        let until = self.until.filter(|until| run.ended.0 >= until.nanos() && until.0 < end);
        let cut_short = if interrupt::interrupted() {
            Some("interrupted".to_string())
        } else {
            until.map(|until| format!("ended at {until} as told"))
        };
        let around = Circumstances {
            engine: self.engine.name().into(),
            took,
            until: self.until,
            stop_at_first: self.stop_at_first,
            without: self.without.clone(),
            cut_short,
        };
        Ok(Summary::of(self.scenario, &run, &around))
    }
}

fn going_on(
    clock: &Arc<std::sync::atomic::AtomicU64>,
) -> Box<dyn FnMut(crate::run::Progress) -> bool + Send> {
    let clock = clock.clone();
    Box::new(move |progress| {
        clock.store(progress.at.0 / 1_000_000, Ordering::Relaxed);
        !interrupt::interrupted()
    })
}
