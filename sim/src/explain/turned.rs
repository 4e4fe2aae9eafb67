//! When had it become likely to fail?
//!
//! The run is repeated under its own seed up to a moment, and goes on from there with fresh randomness of the
//! network, of the disks and of processes that begin later. What share of such forks fails says how much was
//! decided by then. A fork is named by its seed, its moment and its number, and repeats as any run does.

use std::time::{Duration, Instant as RealTime};

use trial_model::{rng::Rng, time::Instant};

use super::Line;
use crate::{Options, Scenario, report::words::seconds, simulate};

/// The share of forks that fail, at each moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turned {
    /// The moments, in order, and how many of the forks from there failed.
    pub points: Vec<(Instant, usize)>,
    /// How many forks there were at each.
    pub forks: usize,
    /// Whether a limit came first.
    pub stopped: bool,
}

/// At how many moments it is tried at most.
const POINTS: usize = 12;

/// The seed of the `nth` fork of a run at a moment.
pub fn fork_seed(seed: u64, at: Instant, nth: usize) -> u64 {
    Rng::named(seed, &format!("fork/{}/{nth}", at.0)).next_u64()
}

/// Forks a run that fails `check` at the moments of a chain. `time` is for how long at most.
pub fn turned(
    scenario: &Scenario,
    seed: u64,
    check: &str,
    chain: &[Line],
    forks: usize,
    time: Option<Duration>,
) -> Turned {
    let began = RealTime::now();
    let mut moments: Vec<Instant> = chain.iter().filter(|line| !line.broken).map(|line| line.at).collect();
    moments.dedup();
    let skip = moments.len().saturating_sub(POINTS);
    let mut turned = Turned { forks, ..Turned::default() };
    for at in moments.into_iter().skip(skip) {
        if time.is_some_and(|time| began.elapsed() >= time) {
            turned.stopped = true;
            break;
        }
        let failed =
            (0..forks).filter(|nth| fails(scenario, seed, check, (at, fork_seed(seed, at, *nth)))).count();
        turned.points.push((at, failed));
    }
    turned
}

fn fails(scenario: &Scenario, seed: u64, check: &str, reseed: (Instant, u64)) -> bool {
    let options = Options {
        engine: crate::Engine::Direct,
        stop_at_first: true,
        reseed: Some(reseed),
        ..Options::default()
    };
    let run = simulate(scenario, seed, options);
    run.violations.iter().any(|violation| violation.check == check)
}

/// The curve, and where it rises most.
pub fn show(turned: &Turned) -> Option<String> {
    if turned.points.is_empty() || turned.forks == 0 {
        return None;
    }
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let curve: String =
        turned.points.iter().map(|(_, failed)| BLOCKS[(failed * 7).div_ceil(turned.forks).min(7)]).collect();
    let percent = |failed: usize| failed * 100 / turned.forks;
    let mut rises: Vec<usize> = (0..turned.points.len()).collect();
    let rise = |nth: usize| {
        let before = if nth == 0 { 0 } else { turned.points[nth - 1].1 };
        turned.points[nth].1.saturating_sub(before)
    };
    rises.sort_by_key(|nth| (std::cmp::Reverse(rise(*nth)), *nth));
    let mut told: Vec<usize> = rises.into_iter().take(3).collect();
    if let Some(last) = turned.points.len().checked_sub(1)
        && !told.contains(&last)
    {
        told.push(last);
    }
    told.sort_unstable();
    let told: Vec<String> = told
        .into_iter()
        .map(|nth| {
            let (at, failed) = turned.points[nth];
            format!("{} {}%", seconds(at.0, 3), percent(failed))
        })
        .collect();
    Some(format!("{curve}   {}", told.join("   ")))
}
