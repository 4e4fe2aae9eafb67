//! Where does a failing run part from one that passes?
//!
//! Asked where no decision can be called wrong. The nearest passing run is the one that goes along longest:
//! the same without one of its faults, or under another seed.

use super::{needed::breaks, recorded};
use crate::{
    Scenario,
    diff::{Parting, Side, parting},
    director::nemesis,
    nth_seed, scenario,
};

/// A run that passes, and where the failing one leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// How it differs from the failing one: `without pause broker-3`.
    pub how: String,
    /// Where they part; A is the one that passes.
    pub parting: Parting,
}

/// So many faults are left out in turn, from the last on, and so many other seeds are tried.
const FAULTS: usize = 12;
const SEEDS: u64 = 4;

/// The nearest passing run to one that breaks `check`.
pub fn parts(scenario: &Scenario, seed: u64, check: &str) -> Option<Parts> {
    let written = nemesis::written_out(scenario, seed);
    let mut variants: Vec<(String, Scenario, u64)> = Vec::new();
    for nth in (0..written.faults.len()).rev().take(FAULTS) {
        let mut fewer = written.clone();
        let fault = fewer.faults.remove(nth);
        let loads = serde_json::to_string(&fewer).is_ok_and(|text| scenario::load(&text, &[]).is_ok());
        if loads {
            variants.push((format!("without the fault {}", fault.id), fewer, seed));
        }
    }
    variants.extend((1..=SEEDS).map(|nth| {
        let other = nth_seed(seed, nth);
        (format!("under seed {other:#x}"), written.clone(), other)
    }));
    let failing = side(&written, seed);
    let mut best: Option<Parts> = None;
    for (how, variant, seed) in variants {
        if breaks(&variant, seed, check) {
            continue;
        }
        let Some(parting) = parting(&side(&variant, seed), &failing) else { continue };
        if best.as_ref().is_none_or(|best| best.parting.same < parting.same) {
            best = Some(Parts { how, parting });
        }
    }
    best
}

fn side(scenario: &Scenario, seed: u64) -> Side {
    let (run, record) = recorded(scenario, seed, None);
    Side {
        record,
        names: run.names,
        violation: run.violations.first().cloned(),
        digest: run.digest.to_string(),
        wrong_at: None,
    }
}
