//! Which faults are needed?

use super::{ddmin::ddmin, lab::Lab, mend};
use crate::{
    Scenario, nth_seed,
    scenario::{file::Fault, values::Seed},
};

/// With how many other seeds a fault is tried to be left out that the own seed needs.
const RESEEDED: u64 = 8;

/// Leaves out every fault that is not needed; then, with another seed, those that only this seed needs.
pub fn pass(lab: &mut Lab<'_>, now: &mut Scenario) {
    let all: Vec<Fault> = now.faults.clone();
    let base = now.clone();
    let needed = ddmin(&all, |part| {
        let candidate = with(&base, part);
        lab.adopt(now, candidate)
    });
    if needed.len() < all.len() {
        *now = with(&base, &needed);
    }
}

/// As the name says: a timing may be met by chance under one seed with five faults, and under another with two.
pub fn with_other_seeds(lab: &mut Lab<'_>, now: &mut Scenario) {
    let base = now.seed.unwrap_or(Seed(1)).0;
    let mut at = 0;
    while at < now.faults.len() && now.faults.len() > 1 && !lab.stopped() {
        let mut part = now.faults.clone();
        part.remove(at);
        let fewer = with(now, &part);
        // Not among those that the strength is measured with.
        let seeds = (1..=RESEEDED).map(|nth| Seed(nth_seed(base, 1_000 + nth)));
        let mut candidates = seeds.map(|seed| Scenario { seed: Some(seed), ..fewer.clone() });
        if !candidates.any(|candidate| lab.adopt(now, candidate)) {
            at += 1;
        }
    }
}

fn with(scenario: &Scenario, faults: &[Fault]) -> Scenario {
    let mut candidate = Scenario { faults: faults.to_vec(), ..scenario.clone() };
    mend::drop_dangling(&mut candidate);
    candidate
}
