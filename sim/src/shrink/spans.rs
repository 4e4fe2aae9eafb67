//! How short and how plain can a fault be?

use super::lab::Lab;
use crate::{
    Scenario,
    scenario::{
        file::{Action, Fault},
        values::{Chance, Span, Spread},
    },
};

/// The lengths that are tried, from short to long: nobody asks what is behind a 1, a 2 or a 5.
const LENGTHS: [u64; 14] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000];

/// Makes faults shorter, and makes them do less.
pub fn pass(lab: &mut Lab<'_>, now: &mut Scenario) {
    for at in 0..now.faults.len() {
        plainer(lab, now, at);
        sides(lab, now, at);
        shorter(lab, now, at, |fault| &mut fault.lasts);
        less(lab, now, at);
    }
}

fn changed(now: &Scenario, at: usize, change: impl FnOnce(&mut Fault)) -> Scenario {
    let mut candidate = now.clone();
    change(&mut candidate.faults[at]);
    candidate
}

fn shorter(lab: &mut Lab<'_>, now: &mut Scenario, at: usize, length: fn(&mut Fault) -> &mut Option<Span>) {
    let Some(own) = *length(&mut now.faults[at].clone()) else { return };
    for millis in LENGTHS {
        let shorter = Span::millis(millis);
        if shorter >= own || lab.adopt(now, changed(now, at, |fault| *length(fault) = Some(shorter))) {
            return;
        }
    }
}

/// Once, to everything, in both directions, without losing what was written.
fn plainer(lab: &mut Lab<'_>, now: &mut Scenario, at: usize) {
    lab.adopt(now, changed(now, at, |fault| fault.times = None));
    lab.adopt(
        now,
        changed(now, at, |fault| match &mut fault.act {
            Action::Crash(it) => it.lose_unsynced = false,
            Action::Cut(it) => it.one_way = false,
            Action::Drop(it) => it.chance = Chance::ALWAYS,
            Action::Delay(it) => it.chance = Chance::ALWAYS,
            Action::DiskError(it) => it.chance = Chance::ALWAYS,
            Action::SlowLink(it) => it.one_way = false,
            Action::LossyLink(it) => it.one_way = false,
            Action::LimitLink(it) => it.one_way = false,
            _ => {}
        }),
    );
}

/// Fewer nodes on the sides of a cut.
fn sides(lab: &mut Lab<'_>, now: &mut Scenario, at: usize) {
    let Action::Cut(cut) = now.faults[at].act.clone() else { return };
    for side in (0..cut.sides.len()).rev() {
        for node in (0..cut.sides[side].len()).rev() {
            let candidate = changed(now, at, |fault| {
                if let Action::Cut(cut) = &mut fault.act
                    && let Some(side) = cut.sides.get_mut(side)
                    && side.len() > 1
                {
                    side.remove(node);
                }
            });
            lab.adopt(now, candidate);
        }
    }
}

/// By less, and always by as much.
fn less(lab: &mut Lab<'_>, now: &mut Scenario, at: usize) {
    let Some(own) = by(&mut now.faults[at].clone()).map(|by| *by) else { return };
    for millis in LENGTHS {
        let less = Spread::fixed(Span::millis(millis));
        let candidate = changed(now, at, |fault| {
            if let Some(by) = by(fault) {
                *by = less;
            }
        });
        if less.max >= own.max || lab.adopt(now, candidate) {
            return;
        }
    }
}

fn by(fault: &mut Fault) -> Option<&mut Spread> {
    match &mut fault.act {
        Action::SlowNode(it) | Action::SlowDisk(it) => Some(&mut it.by),
        Action::Delay(it) => Some(&mut it.by),
        Action::SlowLink(it) => Some(&mut it.by),
        _ => None,
    }
}
