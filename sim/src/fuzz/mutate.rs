//! What could be tried next to a run that reached something new?
//!
//! A run's draws belong to names, so the same seed with the same faults up to a moment goes the same way up to
//! there. A mutant keeps that prefix and has something else happen from then on.

use std::time::Duration;

use serde_json::{Value, json};
use trial_model::event::EventKind;

use super::{
    coverage::Moment,
    dice::Dice,
    draw::with,
    faults::{KINDS, Site},
};
use crate::scenario::{
    Scenario,
    file::{Fault, Trigger},
    values::Span,
};

/// A variation of `parent` around a moment of its run; `other` lends faults.
pub fn mutant(parent: &Scenario, moment: Moment, other: &Scenario, dice: &mut Dice) -> Scenario {
    let site = Site::of(parent);
    let bare = Scenario { faults: Vec::new(), ..parent.clone() };
    let at = (moment.at.0 / 1_000_000).clamp(1_500, site.chaos().saturating_sub(500).max(1_500));
    let mut faults = parent.faults.clone();
    let change = dice.below(8);
    match change {
        // The same up to there, and then something else.
        0..=2 => {
            faults.retain(|fault| begins(fault).is_none_or(|begins| begins < at));
            for _ in 0..dice.between(1, 3) {
                let when = near(&site, moment, at, 0, dice);
                faults.push(added(&site, &faults, when, dice));
            }
        }
        // One thing more, just when it happens.
        3 | 4 => {
            let when = near(&site, moment, at, 300, dice);
            faults.push(added(&site, &faults, when, dice));
            if dice.below(3) == 0 {
                let id = fresh(&faults, "g");
                let when = near(&site, moment, at, 300, dice);
                faults.push(site.held_back(id, when, dice));
            }
        }
        // Something follows on what is there already.
        5 => {
            let mut more = site.chain("c", dice.between(1, 2), &KINDS, dice);
            let ids: Vec<String> = more.iter().map(|fault| fault.id.clone()).collect();
            if faults.iter().all(|fault| !ids.contains(&fault.id)) {
                faults.append(&mut more);
            }
        }
        // Another time, another length, or not at all.
        6 => {
            let nth = dice.below(faults.len() as u64) as usize;
            if let Some(fault) = faults.get_mut(nth) {
                if fault.when.at.is_some() {
                    fault.when.at = Some(Span::millis(dice.between(at.saturating_sub(200), at + 200)));
                }
                if let Some(lasts) = &mut fault.lasts {
                    let longer = if dice.below(2) == 0 { lasts.0 * 3 } else { lasts.0 / 3 };
                    *lasts = Span(whole(longer.clamp(Duration::from_millis(20), Duration::from_secs(6))));
                }
            }
            if dice.below(2) == 0 && faults.len() > 1 {
                faults.remove(dice.below(faults.len() as u64) as usize);
            }
        }
        // What another run had.
        _ => {
            let many = dice.between(1, 3);
            let borrowed = other.faults.iter().filter(|fault| fault.when.step.is_none());
            let borrowed: Vec<Fault> = borrowed.cloned().collect();
            for _ in 0..many {
                if let Some(fault) = borrowed.get(dice.below(borrowed.len() as u64) as usize) {
                    let id = fresh(&faults, "x");
                    faults.push(Fault { id, ..fault.clone() });
                }
            }
        }
    }
    // A fault that has gone may have been waited for: those that waited go, too.
    with(bare, faults)
}

fn begins(fault: &Fault) -> Option<u64> {
    match fault.when.trigger() {
        Some(Trigger::At(at)) => u64::try_from(at.as_millis()).ok(),
        _ => None,
    }
}

fn whole(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// At the moment's event if it had one, or about its time, `before` at the earliest.
fn near(site: &Site, moment: Moment, at: u64, before: u64, dice: &mut Dice) -> Value {
    match moment.event {
        Some((kind, nth)) if dice.below(2) == 0 && can_be_awaited(kind) => {
            let event = json!({ "kind": kind.name(), "nth": nth });
            json!({ "event": event, "delay": site.delay(dice) })
        }
        _ => site.at(at.saturating_sub(before), at + 400, dice),
    }
}

/// Waiting for the n-th of very many would be no moment that another seed has, too.
fn can_be_awaited(kind: EventKind) -> bool {
    !matches!(
        kind,
        EventKind::Appended
            | EventKind::Written
            | EventKind::Flushed
            | EventKind::ReadServed
            | EventKind::Delivered
            | EventKind::RecordSent
            | EventKind::RecordAcked
            | EventKind::MetadataApplied
    )
}

fn added(site: &Site, faults: &[Fault], when: Value, dice: &mut Dice) -> Fault {
    let id = fresh(faults, "g");
    site.fault(id, when, &KINDS, None, dice)
}

/// A name that no fault has.
fn fresh(faults: &[Fault], prefix: &str) -> String {
    let free = |id: &String| faults.iter().all(|fault| fault.id != *id);
    (1..).map(|nth| format!("{prefix}{nth}")).find(free).expect("there are numbers enough")
}

#[cfg(test)]
mod tests {
    use trial_model::time::Instant;

    use super::*;
    use crate::{
        fuzz::draw::{Taste, draw, is_sound},
        nth_seed,
    };

    #[test]
    fn every_mutant_can_be_loaded_and_keeps_what_came_before() {
        let mut kept = 0;
        for nth in 0..200 {
            let seed = nth_seed(3, nth);
            let (parent, other) = (draw(seed, Taste::default()), draw(!seed, Taste::default()));
            let at = Instant::ZERO + Duration::from_secs(4);
            let moment = Moment { feature: 1, at, event: Some((EventKind::LeaderElected, 3)) };
            let mutant = mutant(&parent, moment, &other, &mut Dice::new(seed, "test"));
            assert!(is_sound(&mutant));
            assert_eq!(mutant.topology, parent.topology);
            let early = |it: &Scenario| {
                it.faults
                    .iter()
                    .filter(|it| begins(it).is_some_and(|at| at < 3_700))
                    .cloned()
                    .collect::<Vec<_>>()
            };
            kept += u32::from(early(&mutant) == early(&parent));
        }
        assert!(kept > 100, "the prefix mostly stays: {kept}");
    }
}
