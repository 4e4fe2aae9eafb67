//! How soon does a strategy find a bug that is planted, and how good is what it found?

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant as RealTime},
};

use cpu_time::ThreadTime;
use trial_model::museum::{Bug, Museum};

use super::{
    Shard,
    campaign::{Campaign, Failure, Limits},
    strategy::{Learned, Manner},
};
use crate::{
    Engine, Options, Scenario, nth_seed,
    scenario::values::{BugName, Seed},
    shrink::{self, SEEDS, Wishes, shrink},
    simulate,
};

/// How one bug was looked for from one base.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// Runs until it was found; or all that were tried.
    pub runs: u64,
    /// What they took of a processor, with drawing and learning.
    pub cpu: Duration,
    /// What was found.
    pub found: Option<Find>,
    /// Runs on the way that failed, and fail without the bug, too, as they do without it: they show another.
    pub others: Vec<Find>,
}

/// A run that fails.
#[derive(Clone, Debug)]
pub struct Find {
    /// Its kind of failure.
    pub kind: String,
    /// Its seed.
    pub seed: u64,
    /// Its scenario, with every fault written out.
    pub scenario: Arc<Scenario>,
}

/// Looks for a bug from a base with nothing but its name given: tries one run after the other until one fails
/// that passes without the bug, or the budget of processor time is spent, or `going_on` says no. With `groups`
/// every cluster has consumer groups.
pub fn hunt(
    bug: Bug,
    groups: bool,
    manner: Manner,
    base: u64,
    budget: Duration,
    going_on: impl Fn() -> bool,
) -> Hunt {
    let limits = Limits { runs: u64::MAX, time: None, kinds: None, run: Duration::from_secs(60) };
    let campaign = |museum| Campaign {
        base,
        scenarios: Vec::new(),
        strategy: manner,
        unlimited: false,
        groups,
        wire: false,
        museum,
        without: BTreeSet::new(),
        shard: Shard::WHOLE,
        jobs: 1,
        limits,
    };
    let (planted, plain) = (campaign(Museum::CLOSED.with(bug)), campaign(Museum::CLOSED));
    let mut search = planted.search();
    let mut it = Hunt { runs: 0, cpu: Duration::ZERO, found: None, others: Vec::new() };
    while it.cpu < budget && going_on() {
        let here = ThreadTime::now();
        let Some(proposal) = search.propose() else { break };
        let tried = planted.try_one(&proposal);
        search.told(&proposal, Some(Learned::of(&tried)));
        it.runs += 1;
        it.cpu += tried.cpu + here.elapsed();
        if let Some(Failure::Broken { signature, .. }) = tried.failure {
            let healthy = plain.try_one(&proposal);
            let Some(failure) = healthy.failure else {
                let (kind, scenario) = (signature.to_string(), tried.scenario);
                it.found = Some(Find { kind, seed: tried.seed, scenario });
                break;
            };
            it.others.push(Find { kind: failure.kind(), seed: healthy.seed, scenario: healthy.scenario });
        }
    }
    it
}

/// What is left of a find once it is shrunk.
#[derive(Clone, Debug)]
pub struct Essence {
    /// The repro.
    pub scenario: Scenario,
    /// With how many of fifty other seeds it fails.
    pub strength: usize,
    /// How many of them pass without the bug.
    pub passes: usize,
    /// Whether the time was over before there was nothing left to take away.
    pub cut_short: bool,
}

/// Shrinks a find for so long; `None` if there was nothing to shrink.
pub fn essence(
    bug: Bug,
    find: &Find,
    time: Duration,
    jobs: usize,
    going_on: impl Fn() -> bool,
) -> Option<Essence> {
    let mut scenario = Scenario::clone(&find.scenario);
    scenario.seed = Some(Seed(find.seed));
    scenario.plant = vec![BugName(bug)];
    let limits = shrink::Limits { runs: None, time: Some(time), jobs };
    let began = RealTime::now();
    let shrunk =
        shrink(&scenario, limits, &Wishes::default(), &mut |_| going_on() && began.elapsed() < time * 4);
    let shrunk = shrunk.ok()?;
    let healthy = Scenario { plant: Vec::new(), ..shrunk.scenario.clone() };
    // The seeds by which the strength is measured.
    let passes = (1..=SEEDS as u64).filter(|nth| {
        let options = Options { engine: Engine::Direct, ..Options::default() };
        simulate(&healthy, nth_seed(find.seed, *nth), options).kept()
    });
    let passes = passes.count();
    Some(Essence {
        strength: shrunk.strength_after,
        passes,
        cut_short: shrunk.cut_short,
        scenario: shrunk.scenario,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_easy_bug_is_found_and_its_run_passes_without_it() {
        let hunt = hunt(
            Bug::TruncateToLocalHw,
            false,
            Manner::Swarm,
            nth_seed(1, 0),
            Duration::from_secs(60),
            || true,
        );
        assert!(hunt.found.is_some() && hunt.others.is_empty(), "{hunt:?}");
        assert!(hunt.runs > 0 && hunt.cpu > Duration::ZERO);
    }

    #[test]
    fn what_has_no_time_finds_nothing() {
        let hunt = hunt(Bug::TruncateToLocalHw, true, Manner::Portfolio, 1, Duration::ZERO, || true);
        assert!(hunt.found.is_none() && hunt.runs == 0);
    }
}
