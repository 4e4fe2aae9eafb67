//! Which faults are needed?

use super::{ddmin::ddmin, lab::Lab, mend};
use crate::{
    Scenario, nth_seed,
    scenario::{file::Fault, values::Seed},
};

/// More faults than that nobody wants to read.
pub const MANY: usize = 4;

/// So many runs may go to other seeds.
const RESEEDED: u64 = 400;

/// Leaves out every fault that is not needed; then, with another seed, those that only this seed needs.
pub fn pass(lab: &mut Lab<'_>, now: &mut Scenario) {
    let base = now.clone();
    ddmin(&base.faults, |part| lab.adopt(now, with(&base, part)));
}

/// The same with other seeds: a timing may be met by chance under one seed with seven faults, and under
/// another with two.
pub fn with_other_seeds(lab: &mut Lab<'_>, now: &mut Scenario) {
    let base = now.clone();
    let own = base.seed.unwrap_or(Seed(1)).0;
    let tried: u64 = if base.faults.len() > MANY { 24 } else { 8 };
    if base.faults.len() < 2 {
        return;
    }
    // Not among those that the strength is measured with.
    let seeds: Vec<Seed> = (1..=tried).map(|nth| Seed(nth_seed(own, 1_000 + nth))).collect();
    let enough = lab.runs() + RESEEDED;
    ddmin(&base.faults, |part| {
        // Without any it would have failed under its own seed.
        let fewer = with(&base, part);
        !part.is_empty()
            && lab.runs() < enough
            && seeds.iter().any(|seed| lab.adopt(now, Scenario { seed: Some(*seed), ..fewer.clone() }))
    });
}

fn with(scenario: &Scenario, faults: &[Fault]) -> Scenario {
    let mut candidate = Scenario { faults: faults.to_vec(), ..scenario.clone() };
    mend::drop_dangling(&mut candidate);
    candidate
}
