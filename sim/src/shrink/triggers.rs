//! After what does it have to happen?

use std::time::Duration;

use trial_model::time::Instant;

use super::{
    lab::{Lab, SEEDS},
    reading::{self, Happening},
    roles::stronger,
};
use crate::{
    Scenario,
    scenario::{
        file::{EventPattern, Fault, When},
        values::Span,
    },
};

/// How far back the cause of a good moment is looked for.
const BEFORE: Duration = Duration::from_secs(2);
/// How many events are tried for one fault.
const TRIED: usize = 16;
/// Later than that, an event is counted in vain: under another seed it is another one.
const NTH: u32 = 3;
/// How much later than its event a fault may come, in milliseconds.
const DELAYS: [u64; 9] = [0, 1, 2, 5, 10, 20, 50, 100, 200];

/// Has faults wait for events instead of times, where at least as many of the other seeds fail. Returns with
/// how many `now` does.
pub fn pass(lab: &mut Lab<'_>, now: &mut Scenario, mut strength: usize) -> usize {
    let Some((run, happenings)) = reading::read(lab, now) else { return strength };
    let mut order: Vec<(Instant, String)> =
        run.faults.iter().map(|fault| (fault.at, fault.id.clone())).collect();
    order.dedup_by(|a, b| a.1 == b.1);
    for nth in 0..order.len() {
        let (at, id) = &order[nth];
        let timed = now.faults.iter().any(|fault| fault.id == *id && fault.when.at.is_some());
        // What already follows another fault may follow an event still better.
        let follows = now.faults.iter().any(|fault| fault.id == *id && fault.when.step.is_some());
        if !(timed || follows) || lab.stopped() {
            continue;
        }
        let before = nth.checked_sub(1).map(|before| &order[before]);
        let base = now.clone();
        let mut found = None;
        for when in causes(&happenings, *at, before) {
            let candidate = waiting(&base, &order[nth..], &when);
            // The first that is no weaker will do; from then on only a stronger one.
            let than = if found.is_none() && timed { strength.saturating_sub(1) } else { strength };
            if strength == SEEDS && found.is_some() {
                break;
            }
            if let Some(better) = stronger(lab, &candidate, than) {
                (*now, strength, found) = (candidate, better, Some(when));
            }
        }
        if found.is_some() {
            strength = delays(lab, now, id, strength);
        }
    }
    strength
}

/// What a fault at `at` could wait for instead: rare events first, and of those the nearest.
fn causes(happenings: &[Happening], at: Instant, before: Option<&(Instant, String)>) -> Vec<When> {
    let from = before.map_or(Instant::ZERO, |(at, _)| *at);
    let counted: Vec<&Happening> =
        happenings.iter().filter(|it| it.at > from || before.is_none()).take_while(|it| it.at < at).collect();
    let mut found: Vec<(bool, u32, Duration, When)> = Vec::new();
    for it in counted.iter().rev() {
        let back = Duration::from_nanos(at.0 - it.at.0);
        if back > BEFORE {
            break;
        }
        let like = |other: &&&Happening| other.kind == it.kind && other.partition == it.partition;
        let nth = counted.iter().filter(like).filter(|other| other.at <= it.at).count() as u32;
        let event = EventPattern {
            kind: it.kind,
            partition: it.partition.clone().filter(|partition| partition.topic != "__cluster_metadata"),
            node: None,
            nth: (nth > 1).then_some(nth),
            every: None,
            after: before.map(|(_, id)| id.clone()),
        };
        let delay = Some(Span(Duration::from_micros(back.as_micros() as u64))).filter(|it| !it.0.is_zero());
        let when = When { at: None, event: Some(event), step: None, delay };
        if nth <= NTH && !found.iter().any(|(.., known)| known.event == when.event) {
            found.push((it.chatter, nth, back, when));
        }
    }
    found.sort_by_key(|(chatter, nth, back, _)| (*chatter, *nth, *back));
    let mut found: Vec<When> = found.into_iter().map(|(.., when)| when).collect();
    found.truncate(TRIED);
    if let Some((from, id)) = before {
        let delay = Some(Span(Duration::from_micros((at.0 - from.0) / 1_000))).filter(|it| !it.0.is_zero());
        found.insert(0, When { at: None, event: None, step: Some(id.clone()), delay });
    }
    found
}

/// The scenario in which the first of these faults waits as told, and the others that had a time follow it as
/// they did.
fn waiting(scenario: &Scenario, faults: &[(Instant, String)], when: &When) -> Scenario {
    let mut candidate = scenario.clone();
    let (first, id) = &faults[0];
    for fault in &mut candidate.faults {
        if fault.id == *id {
            fault.when = when.clone();
        } else if fault.when.at.is_some()
            && let Some((at, _)) = faults.iter().find(|(_, other)| *other == fault.id)
        {
            let delay = Some(Span(Duration::from_micros((at.0 - first.0) / 1_000)));
            let delay = delay.filter(|it| !it.0.is_zero());
            fault.when = When { step: Some(id.clone()), delay, ..When::default() };
        }
    }
    candidate
}

/// Looks for a delay that makes the failure stronger.
fn delays(lab: &mut Lab<'_>, now: &mut Scenario, id: &str, mut strength: usize) -> usize {
    let base = now.clone();
    for delay in DELAYS {
        if strength == SEEDS {
            break;
        }
        let mut candidate = base.clone();
        let delayed = |fault: &mut Fault| fault.when.delay = Some(Span::millis(delay)).filter(|_| delay > 0);
        candidate.faults.iter_mut().filter(|fault| fault.id == id).for_each(delayed);
        if let Some(better) = stronger(lab, &candidate, strength) {
            (*now, strength) = (candidate, better);
        }
    }
    strength
}
