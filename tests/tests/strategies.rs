//! Is what a strategy tries the same everywhere, and worth trying?

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use trial::{
    Engine, Options, Scenario,
    fuzz::{Campaign, Learned, Limits, Manner, Proposal, Search, Series, Shard, Taste, Watcher},
    scenario,
    shrink::{self, Wishes, shrink},
    simulate,
};
use trial_model::museum::{Bug, Museum};

fn campaign(strategy: Manner, runs: u64, jobs: usize) -> Campaign {
    Campaign {
        base: 7,
        scenarios: Vec::new(),
        strategy,
        unlimited: false,
        groups: false,
        wire: false,
        museum: Museum::CLOSED,
        without: BTreeSet::new(),
        shard: Shard::WHOLE,
        jobs,
        limits: Limits { runs, time: None, kinds: None, run: Duration::from_secs(60) },
    }
}

fn text(scenario: &Scenario) -> String {
    serde_json::to_string(scenario).expect("can be written")
}

/// Every run of a campaign: its seed and its scenario.
fn tried(campaign: &Campaign) -> BTreeMap<u64, (u64, String)> {
    let tried = Mutex::new(BTreeMap::new());
    campaign.run(
        || true,
        |run, _| {
            tried.lock().expect("no panic").insert(run.index, (run.seed, text(&run.scenario)));
        },
    );
    tried.into_inner().expect("no panic")
}

fn proposals(strategy: Manner, shard: Shard, runs: u64) -> Vec<Proposal> {
    let mut search = Search::new(Series { base: 7, shard, runs }, strategy, Taste::default(), Vec::new());
    std::iter::from_fn(|| search.propose()).collect()
}

#[test]
fn the_same_runs_are_tried_again_however_many_at_a_time() {
    for strategy in Manner::ALL {
        // Those that learn begin to once the first runs are long over.
        let runs = if matches!(strategy, Manner::Guided | Manner::Portfolio) { 44 } else { 5 };
        let one = tried(&campaign(*strategy, runs, 1));
        assert_eq!(one.len() as u64, runs);
        assert!(one == tried(&campaign(*strategy, runs, 3)), "{strategy} differs");
    }
}

#[test]
fn the_parts_try_what_the_whole_does() {
    for strategy in [Manner::Uniform, Manner::Swarm, Manner::Pct] {
        let whole = proposals(strategy, Shard::WHOLE, 31);
        let parts = (1..=4).flat_map(|nth| proposals(strategy, Shard { nth, of: 4 }, 31));
        let parts: BTreeMap<u64, Proposal> = parts.map(|it| (it.index, it)).collect();
        assert_eq!(parts.len(), whole.len());
        for it in whole {
            let same = &parts[&it.index];
            assert!((same.seed, &same.scenario) == (it.seed, &it.scenario), "{strategy} {}", it.index);
        }
    }
    // What guidance proposes depends on its part; but every place has one run all the same.
    for strategy in [Manner::Guided, Manner::Portfolio] {
        let parts = (1..=3).flat_map(|nth| proposals(strategy, Shard { nth, of: 3 }, 31));
        let places: BTreeSet<u64> = parts.map(|it| it.index).collect();
        assert_eq!(places, (0..31).collect());
    }
}

#[test]
fn a_run_of_any_strategy_is_the_same_from_a_file() {
    for strategy in Manner::ALL {
        let campaign = campaign(*strategy, 40, 1);
        let mut search = campaign.search();
        let mut last = None;
        while let Some(proposal) = search.propose() {
            let learns = matches!(strategy, Manner::Guided | Manner::Portfolio);
            let learned = learns.then(|| Learned::of(&campaign.try_one(&proposal)));
            search.told(&proposal, learned);
            last = Some(proposal);
        }
        let last = last.expect("there were runs");
        let read = scenario::load(&text(&last.scenario), &[]).expect("what is proposed can be loaded");
        assert_eq!(read.seed.map(|seed| seed.0), Some(last.seed), "{strategy}: the file pins the seed");
        let digest = |it: &Scenario| {
            simulate(it, last.seed, Options { engine: Engine::Direct, ..Options::default() }).digest
        };
        assert_eq!(digest(&read), digest(&last.scenario), "{strategy}");
    }
}

#[test]
fn guidance_reaches_what_uniform_drawing_does_not() {
    let reached = |strategy: Manner| {
        let campaign = campaign(strategy, 60, 1);
        let mut search = campaign.search();
        let mut reached = BTreeSet::new();
        while let Some(proposal) = search.propose() {
            let tried = campaign.try_one(&proposal);
            let coverage = tried.coverage.clone().unwrap_or_else(|| {
                let watcher = Watcher::of(&proposal.scenario);
                let readers = vec![watcher.reader()];
                let options = Options { engine: Engine::Direct, readers, ..Options::default() };
                simulate(&proposal.scenario, proposal.seed, options);
                watcher.seen()
            });
            reached.extend(coverage.moments.iter().map(|moment| moment.feature));
            search.told(&proposal, Some(Learned::of(&tried)));
        }
        reached
    };
    let (uniform, guided) = (reached(Manner::Uniform), reached(Manner::Guided));
    let only = guided.difference(&uniform).count();
    assert!(only > 50, "{only}: {} and {}", guided.len(), uniform.len());
}

#[test]
fn what_any_strategy_finds_can_be_shrunk() {
    for strategy in [Manner::Pct, Manner::Portfolio] {
        let campaign = Campaign {
            museum: Museum::CLOSED.with(Bug::TruncateToLocalHw),
            limits: Limits { kinds: Some(1), ..campaign(strategy, 400, 1).limits },
            ..campaign(strategy, 400, 1)
        };
        let found = campaign.run(|| true, |_, _| {});
        let found = found.values().next().unwrap_or_else(|| panic!("{strategy} finds nothing"));
        let mut scenario = Scenario::clone(&found.best.scenario);
        scenario.plant = campaign.museum.bugs().map(scenario::values::BugName).collect();
        let limits = shrink::Limits { runs: Some(250), time: None, jobs: 1 };
        let shrunk = shrink(&scenario, limits, &Wishes::default(), &mut |_| true).expect("it fails");
        assert!(shrunk.scenario.faults.len() <= scenario.faults.len().min(4), "{:?}", shrunk.scenario.faults);
    }
}
