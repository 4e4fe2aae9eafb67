//! Which strategy is worth the next run?
//!
//! No strategy is best for every bug. Each has its turn now and then; the other turns go to whichever has lately
//! brought most that was new for what it cost. Costs are counted in steps, so the same series comes out again.

use std::collections::BTreeMap;

use super::{
    draw::Taste,
    guided::Guided,
    strategy::{Learned, Manner, Proposed, Strategy},
};

/// So many runs in a row are shared out at a time: one to each strategy, the others to the best.
const ROUND: u64 = 8;
/// A new kind of failure is worth as much as so many things never reached before.
const FAILURE: u64 = 200;

/// Chooses among the others.
pub struct Portfolio {
    members: Vec<Member>,
    guided: Guided,
    failures: BTreeMap<String, u64>,
    by: BTreeMap<u64, usize>,
}

struct Member {
    /// Not for the one that guides: that is held apart, since it learns from everybody's runs.
    strategy: Option<Box<dyn Strategy>>,
    brought: u64,
    cost: u64,
}

impl Portfolio {
    /// One that has seen nothing yet.
    pub fn new(taste: Taste) -> Portfolio {
        let member = |manner: Manner| Member {
            strategy: (manner != Manner::Guided).then(|| manner.begin(taste)),
            brought: 0,
            cost: 0,
        };
        let members =
            [Manner::Swarm, Manner::Story, Manner::Pct, Manner::Guided, Manner::Uniform].map(member);
        Portfolio {
            members: members.into(),
            guided: Guided::new(taste),
            failures: BTreeMap::new(),
            by: BTreeMap::new(),
        }
    }

    fn whose(&self, nth: u64) -> usize {
        let place = (nth % ROUND) as usize;
        if place < self.members.len() {
            return place;
        }
        // In thousandths; who has run nothing yet has all before it.
        let worth = |member: &Member| match member.cost {
            0 => u64::MAX,
            cost => member.brought.saturating_mul(1_000_000) / cost,
        };
        let best = (0..self.members.len()).max_by_key(|nth| (worth(&self.members[*nth]), usize::MAX - nth));
        best.unwrap_or(0)
    }
}

impl Strategy for Portfolio {
    fn propose(&mut self, nth: u64, seed: u64) -> Proposed {
        let whose = self.whose(nth);
        self.by.insert(nth, whose);
        let proposed = match &mut self.members[whose].strategy {
            Some(strategy) => strategy.propose(nth, seed),
            None => self.guided.propose(nth, seed),
        };
        Proposed { watched: true, ..proposed }
    }

    fn learn(&mut self, nth: u64, learned: &Learned) {
        let new = self.guided.note(learned) as u64;
        let failure = learned.failed.as_ref().map_or(0, |kind| {
            let times = self.failures.entry(kind.clone()).or_default();
            *times += 1;
            FAILURE / *times
        });
        let Some(whose) = self.by.remove(&nth) else { return };
        let member = &mut self.members[whose];
        member.brought += new + failure;
        member.cost += learned.steps;
        // What was long ago counts for less and less.
        if nth.is_multiple_of(4 * ROUND) {
            for member in &mut self.members {
                member.brought -= member.brought / 4;
                member.cost -= member.cost / 4;
            }
        }
    }

    fn listens(&self) -> bool {
        true
    }
}
