//! `trial fuzz-worker`: a process that makes runs for a campaign, one after the other, as it is told on
//! standard input. Hidden: no person types it.

use std::{
    io::{self, BufRead, Write},
    sync::Arc,
    time::Instant as RealTime,
};

use clap::Args;
use trial_model::museum::Museum;

use super::wire::{Answer, Ask, Cut, Outcome, Side};
use crate::{
    bucket::Signature,
    cli::{Exit, Output},
    fuzz::{Campaign, Limits, Manner, Proposal, Shard},
    report::{Summary, summary::Circumstances},
    run::Engine,
    scenario::{
        Scenario,
        values::{BugName, CheckName, Seed, Size, Span},
    },
    shrink::{self, SEEDS, Wishes},
};

/// Make runs for a campaign.
#[derive(Args)]
pub struct FuzzWorker {
    #[arg(long)]
    plant: Vec<BugName>,
    #[arg(long)]
    without_check: Vec<CheckName>,
    #[arg(long)]
    run_timeout: Span,
    #[arg(long)]
    run_memory: Option<Size>,
}

pub fn main(it: &FuzzWorker, output: &mut Output) -> Exit {
    if let Some(most) = it.run_memory
        && let Err(why) = may_have(most)
    {
        return output.fail(Exit::Internal, &why);
    }
    let campaign = Campaign {
        base: 0,
        scenarios: Vec::new(),
        strategy: Manner::default(),
        unlimited: false,
        groups: false,
        wire: false,
        without: it.without_check.iter().map(|check| check.0).collect(),
        museum: it.plant.iter().fold(Museum::default(), |museum, bug| museum.with(bug.0)),
        shard: Shard::WHOLE,
        jobs: 1,
        limits: Limits { runs: 0, time: None, kinds: None, run: it.run_timeout.0 },
    };
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let answer = match serde_json::from_str(&line) {
            Ok(ask) => answered(&campaign, ask),
            Err(error) => Answer::Refused(format!("not understood: {error}")),
        };
        let told = serde_json::to_string(&answer).map_err(io::Error::other);
        let mut out = io::stdout().lock();
        if told.and_then(|told| writeln!(out, "{told}").and_then(|()| out.flush())).is_err() {
            break;
        }
    }
    Exit::Ok
}

/// From now on this process may have so many bytes beyond what it has, and dies if it wants more.
fn may_have(most: Size) -> Result<(), String> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};

        let limit = Rlimit { current: Some(most.0), maximum: Some(most.0) };
        // Private memory that can be written; what the kernel counts here is what was asked for.
        setrlimit(Resource::Data, limit).map_err(|error| format!("memory cannot be limited: {error}"))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = most;
        Ok(())
    }
}

fn answered(campaign: &Campaign, ask: Ask) -> Answer {
    match ask {
        Ask::Try(scenario, seed, watched) => {
            let scenario: Arc<Scenario> = Arc::from(scenario);
            let proposal = Proposal { index: 0, nth: 0, by: "", seed: seed.0, scenario, watched };
            Answer::Tried(Box::new(Outcome::of(&campaign.try_one(&proposal))))
        }
        Ask::Judge(scenario, seed, side) => judged(campaign, &scenario, seed, side),
        Ask::Shrink(scenario, time) => shrunk(&scenario, time),
    }
}

fn judged(campaign: &Campaign, scenario: &Scenario, seed: Seed, side: Side) -> Answer {
    let engine = match side {
        Side::Direct => Engine::Direct,
        #[cfg(madsim)]
        // Another order of tasks than any run of the seed on its own has.
        Side::Madsim => Engine::Madsim(crate::engine::madsim::Scheduling { seed: !seed.0, noise: 1 }),
        #[cfg(not(madsim))]
        Side::Madsim => return Answer::Refused("this trial was built without madsim".into()),
    };
    let began = RealTime::now();
    let (run, _) = campaign.carry_out(scenario, seed.0, engine);
    let around = Circumstances {
        engine: side.name().name().into(),
        took: began.elapsed(),
        until: None,
        stop_at_first: false,
        without: campaign.without.iter().map(|check| CheckName(check)).collect(),
        cut_short: None,
    };
    let kind = Signature::of(&run).map(|kind| kind.to_string());
    Answer::Judged(Box::new(Summary::of(scenario, &run, &around)), kind)
}

fn shrunk(scenario: &Scenario, time: u64) -> Answer {
    let limits = shrink::Limits { runs: None, time: Some(std::time::Duration::from_millis(time)), jobs: 1 };
    let wishes = Wishes { same_bucket: true, keep: Vec::new() };
    match shrink::shrink(scenario, limits, &wishes, &mut |_| true) {
        Ok(it) => Answer::Shrunk(Box::new(Cut {
            runs: it.runs,
            took_ms: u64::try_from(it.took.as_millis()).unwrap_or(u64::MAX),
            strength: (it.strength_after, SEEDS),
            cut_short: it.cut_short,
            scenario: it.scenario,
        })),
        Err(why) => Answer::Refused(format!("it cannot be shrunk: {why:?}")),
    }
}
