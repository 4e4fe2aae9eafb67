//! What if some messages always came last?
//!
//! Probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010) gives threads random priorities, changes
//! them at a few drawn points and so finds any bug that needs few ordering constraints with a known chance. Here
//! kinds of messages between nodes have priorities: a link of low priority is slow for as long as
//! anything may break, and at each change point one kind of message between two falls to the bottom: it is held
//! back while everything else goes on. Between change points a process dies, stands still or is cut off now and
//! then, for without that hardly any order matters. Everything stands in the scenario file.

use super::{
    dice::Dice,
    draw::{Taste, cluster, with},
};
use crate::scenario::{Scenario, file::Fault};

/// The disturbances that give the order of messages something to decide.
const DISTURBANCES: [&str; 6] = ["crash", "power_loss", "shutdown", "pause", "cut", "client_restart"];

/// The scenario of a seed, which is also the seed that it is run with.
pub fn draw(seed: u64, taste: Taste) -> Scenario {
    let (scenario, site) = cluster(seed, taste);
    let dice = &mut Dice::new(seed, "priorities");
    let mut faults: Vec<Fault> = Vec::new();
    let slow: Vec<Fault> =
        (1..=dice.one(&[0, 0, 1, 2, 3])).map(|nth| site.slow_link(format!("l{nth}"), dice)).collect();
    let ends = site.chaos() - 1_000;
    for nth in 1..=dice.between(1, 4) {
        let when = site.at(2_000, ends, dice);
        faults.push(site.fault(format!("d{nth}"), when, &DISTURBANCES, None, dice));
    }
    for nth in 1..=dice.between(1, 3) {
        // Most change points lie around a disturbance: shortly before, so that what it does meets old news.
        let near = faults.get(dice.below(faults.len() as u64) as usize).filter(|_| dice.below(4) > 0);
        let at = near.and_then(|fault| fault.when.at).map(|at| at.0.as_millis() as u64);
        let when = match at {
            Some(at) => site.at(at.saturating_sub(600), at + 300, dice),
            None => site.at(2_000, ends, dice),
        };
        faults.push(site.held_back(format!("h{nth}"), when, dice));
    }
    faults.sort_by_key(|fault| fault.when.at);
    let faults =
        slow.into_iter().chain(faults).chain(site.chain("t", dice.one(&[0, 0, 1]), &DISTURBANCES, dice));
    with(scenario, faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fuzz::draw::is_sound, nth_seed, scenario::file::Action};

    #[test]
    fn most_runs_hold_some_messages_back_and_all_can_be_loaded() {
        let drawn: Vec<Scenario> = (0..300).map(|nth| draw(nth_seed(1, nth), Taste::default())).collect();
        assert!(drawn.iter().all(is_sound));
        let holds = |it: &&Scenario| it.faults.iter().any(|fault| matches!(fault.act, Action::Delay(_)));
        assert!(drawn.iter().filter(holds).count() > 200);
        let slow = |it: &&Scenario| it.faults.iter().any(|fault| fault.id.starts_with('l'));
        assert!(drawn.iter().filter(slow).count() > 100);
        assert_eq!(draw(7, Taste::default()), draw(7, Taste::default()));
    }
}
