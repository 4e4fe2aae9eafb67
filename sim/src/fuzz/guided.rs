//! Which runs lead on from those that reached something new?
//!
//! Guidance by coverage: a run that reached what none before it had is kept, and runs near it are tried. Those
//! that reached what few others did are tried from most. Everything counted is counted in the order of the
//! series, so the same series comes out again.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    coverage::Moment,
    dice::Dice,
    draw::{Taste, draw},
    mutate::mutant,
    pct, story,
    strategy::{Learned, Proposed, Strategy},
};
use crate::scenario::Scenario;

/// So many runs are kept at most.
const KEPT: usize = 200;
/// What so many runs have reached is not rare any more.
const RARE: u32 = 6;

/// Tries runs near those that reached something new.
pub struct Guided {
    taste: Taste,
    reached: BTreeMap<u64, u32>,
    kept: Vec<Kept>,
}

/// A run that reached something new.
struct Kept {
    scenario: Arc<Scenario>,
    seed: u64,
    /// What no run before it had reached.
    new: Vec<Moment>,
    /// How often runs near it were tried.
    tried: u64,
}

impl Guided {
    /// One that knows of no run yet.
    pub fn new(taste: Taste) -> Guided {
        Guided { taste, reached: BTreeMap::new(), kept: Vec::new() }
    }

    /// How much there is to hope for near a run: what is still rare, less for every time it was tried.
    fn hope(&self, kept: &Kept) -> u64 {
        let rare = kept.new.iter().filter(|moment| self.is_rare(moment)).count() as u64;
        (rare.min(30) * 60 + 10) / (kept.tried + 2)
    }

    fn is_rare(&self, moment: &Moment) -> bool {
        self.reached.get(&moment.feature).is_none_or(|times| *times <= RARE)
    }

    fn near(&mut self, seed: u64, dice: &mut Dice) -> Option<(Scenario, u64)> {
        let hopes: Vec<u64> = self.kept.iter().map(|kept| self.hope(kept)).collect();
        let mut drawn = dice.below(hopes.iter().sum());
        let nth = hopes.iter().position(|hope| {
            let here = drawn < *hope;
            drawn = drawn.saturating_sub(*hope);
            here
        })?;
        let rare: Vec<Moment> = self.kept[nth].new.iter().copied().filter(|it| self.is_rare(it)).collect();
        let among = if rare.is_empty() { &self.kept[nth].new } else { &rare };
        let moment = *among.get(dice.below(among.len() as u64) as usize)?;
        let other = self.kept[dice.below(self.kept.len() as u64) as usize].scenario.clone();
        let kept = &mut self.kept[nth];
        kept.tried += 1;
        let mut scenario = mutant(&kept.scenario, moment, &other, dice);
        // Mostly the same prefix; now and then the same plan in another world.
        let seed = if dice.below(5) == 0 { seed } else { kept.seed };
        scenario.seed = Some(crate::scenario::values::Seed(seed));
        Some((scenario, seed))
    }

    /// Takes in what a run reached; gives how much of it is new.
    pub fn note(&mut self, learned: &Learned) -> usize {
        let Some(coverage) = &learned.coverage else { return 0 };
        let mut new = Vec::new();
        for moment in &coverage.moments {
            let times = self.reached.entry(moment.feature).or_default();
            *times += 1;
            if *times == 1 {
                new.push(*moment);
            }
        }
        let many = new.len();
        // What fails is found: near it there is the same again.
        if many > 0 && learned.failed.is_none() {
            let (scenario, seed) = (learned.scenario.clone(), learned.seed);
            self.kept.push(Kept { scenario, seed, new, tried: 0 });
            if self.kept.len() > KEPT {
                let least = (0..self.kept.len()).min_by_key(|nth| self.hope(&self.kept[*nth]));
                self.kept.remove(least.expect("some are kept"));
            }
        }
        many
    }
}

impl Strategy for Guided {
    fn propose(&mut self, _nth: u64, seed: u64) -> Proposed {
        let dice = &mut Dice::new(seed, "guided");
        let afresh = dice.one_in(4);
        let near = if afresh { None } else { self.near(seed, dice) };
        let (scenario, seed) = near.unwrap_or_else(|| {
            let drawn = match dice.below(3) {
                0 => pct::draw(seed, self.taste),
                1 => story::draw(seed, self.taste),
                _ => draw(seed, self.taste),
            };
            (drawn, seed)
        });
        Proposed { by: "guided", seed, scenario, watched: true }
    }

    fn learn(&mut self, _nth: u64, learned: &Learned) {
        self.note(learned);
    }

    fn listens(&self) -> bool {
        true
    }
}
