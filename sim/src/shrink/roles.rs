//! Is it this node, or whoever plays its part?

use super::{
    lab::{Lab, SEEDS},
    mend,
};
use crate::{
    Scenario,
    scenario::values::{PartitionName, Selector},
};

/// So many of the other seeds tell whether a change is worth all of them.
pub const TASTE: usize = 10;

/// Names the leader, a follower or the active controller instead of a node by its number, where that makes
/// the failure stronger. Returns with how many of the other seeds `now` fails.
pub fn pass(lab: &mut Lab<'_>, now: &mut Scenario, mut strength: usize) -> usize {
    for fault in 0..now.faults.len() {
        for place in 0..mend::selectors(&mut now.faults[fault].clone()).len() {
            strength = one(lab, now, fault, place, strength);
        }
    }
    strength
}

fn one(lab: &mut Lab<'_>, now: &mut Scenario, fault: usize, place: usize, mut strength: usize) -> usize {
    let own = mend::selectors(&mut now.faults[fault].clone())[place].clone();
    let base = now.clone();
    for part in parts(&base, &own) {
        if strength == SEEDS || lab.stopped() {
            break;
        }
        let mut candidate = base.clone();
        *mend::selectors(&mut candidate.faults[fault])[place] = part;
        if let Some(better) = stronger(lab, &candidate, strength) {
            (*now, strength) = (candidate, better);
        }
    }
    strength
}

/// The parts that a node may play.
fn parts(scenario: &Scenario, own: &Selector) -> Vec<Selector> {
    match own {
        Selector::Broker(_) => {
            let topics = scenario.topology.topics.iter().take(2);
            let names = topics.map(|topic| PartitionName { topic: topic.name.clone(), partition: 0 });
            names.flat_map(|name| [Selector::Leader(name.clone()), Selector::Follower(name)]).collect()
        }
        Selector::Controller(_) => vec![Selector::ActiveController, Selector::StandbyController],
        _ => Vec::new(),
    }
}

/// With how many of the other seeds `candidate` fails, if that is more than `than` and it still fails itself.
pub fn stronger(lab: &mut Lab<'_>, candidate: &Scenario, than: usize) -> Option<usize> {
    if than >= SEEDS || !lab.fails(candidate) {
        return None;
    }
    // First a taste: no worse than the average of what is to be beaten.
    lab.count(candidate, TASTE, (than * TASTE / SEEDS).max(1))?;
    lab.count(candidate, SEEDS, than + 1)
}
