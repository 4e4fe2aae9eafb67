//! What makes it fail more often?

use std::time::Duration;

use super::{lab::Lab, lab::SEEDS, roles::stronger};
use crate::{
    Scenario,
    scenario::{
        file::{Actor, Trigger},
        values::{Rate, Span},
    },
};

/// So many more of the other seeds must fail for something that makes the scenario no simpler.
const WORTH: usize = 4;
/// A failure that strong needs nothing more.
pub const STRONG: usize = 45;

/// Has faults come again and again or last longer, has producers send more, puts replicas where they must be, and
/// waits longer, where that makes clearly more of the other seeds fail. Returns with how many `now` does.
pub fn pass(lab: &mut Lab<'_>, now: &mut Scenario, mut strength: usize) -> usize {
    let ways: [fn(&Scenario) -> Vec<Scenario>; 5] = [placed, repeated, longer, busier, later];
    for way in ways {
        for candidate in way(now) {
            if strength >= STRONG || lab.stopped() {
                return strength;
            }
            if lab.in_time(&candidate)
                && let Some(better) = stronger(lab, &candidate, (strength + WORTH - 1).min(SEEDS - 1))
            {
                (*now, strength) = (candidate, better);
            }
        }
    }
    strength
}

/// Another broker leads at first.
fn placed(scenario: &Scenario) -> Vec<Scenario> {
    let brokers = scenario.topology.brokers;
    let mut candidates = Vec::new();
    for (at, topic) in scenario.topology.topics.iter().enumerate() {
        if topic.assignment.is_some() || topic.partitions > 3 || brokers == 1 {
            continue;
        }
        candidates.extend((0..brokers).map(|first| {
            let mut candidate = scenario.clone();
            let replicas =
                (0..topic.replication.min(brokers)).map(|nth| (first + nth) % brokers + 1).collect();
            candidate.topology.topics[at].assignment = Some(vec![replicas; topic.partitions as usize]);
            candidate
        }));
    }
    candidates
}

/// What waits for an event comes with every such event.
fn repeated(scenario: &Scenario) -> Vec<Scenario> {
    let mut candidates = Vec::new();
    for (at, fault) in scenario.faults.iter().enumerate() {
        if !matches!(fault.when.trigger(), Some(Trigger::Event(_))) || fault.times.is_some() {
            continue;
        }
        candidates.extend([3, 20].map(|times| {
            let mut candidate = scenario.clone();
            candidate.faults[at].times = Some(times);
            if let Some(event) = &mut candidate.faults[at].when.event {
                (event.nth, event.every) = (None, Some(1));
            }
            candidate
        }));
    }
    candidates
}

fn longer(scenario: &Scenario) -> Vec<Scenario> {
    let mut candidates = Vec::new();
    for (at, fault) in scenario.faults.iter().enumerate() {
        let Some(own) = fault.lasts else { continue };
        candidates.extend([2, 4, 10].map(|times| {
            let mut candidate = scenario.clone();
            candidate.faults[at].lasts = Some(Span(own.0 * times));
            // There must be time for it.
            candidate.phases.chaos = Span(scenario.phases.chaos.0 + up(own.0 * (times - 1)));
            candidate
        }));
    }
    candidates
}

/// The next tenth of a second.
fn up(time: Duration) -> Duration {
    Duration::from_millis((time.as_millis() as u64).div_ceil(100) * 100)
}

fn busier(scenario: &Scenario) -> Vec<Scenario> {
    let mut candidates = Vec::new();
    for rate in ["100/s", "300/s", "1000/s"] {
        let Ok(rate) = rate.parse::<Rate>() else { continue };
        let mut candidate = scenario.clone();
        for actor in &mut candidate.workload {
            if let Actor::Producer(it) = actor
                && it.rate.interval() > rate.interval()
            {
                it.rate = rate;
            }
        }
        candidates.push(candidate);
    }
    candidates
}

/// More time, for what comes about by itself sooner or later.
fn later(scenario: &Scenario) -> Vec<Scenario> {
    let candidates = [2, 5, 15].map(|seconds| {
        let mut candidate = scenario.clone();
        candidate.phases.chaos = Span(scenario.phases.chaos.0 + Duration::from_secs(seconds));
        candidate
    });
    candidates.into()
}
