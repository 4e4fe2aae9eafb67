//! How little work does it take?

use super::{ddmin::ddmin, lab::Lab, mend};
use crate::{
    Scenario,
    scenario::{
        file::{Actor, Producer},
        values::{Rate, Selector, Size},
    },
};

/// Leaves out clients, topics and partitions.
pub fn fewer(lab: &mut Lab<'_>, now: &mut Scenario) {
    clients(lab, now);
    counts(lab, now);
    topics(lab, now);
    partitions(lab, now);
}

/// Has clients do less.
pub fn pass(lab: &mut Lab<'_>, now: &mut Scenario) {
    steps(lab, now);
    for at in 0..now.workload.len() {
        producer(lab, now, at);
    }
}

fn clients(lab: &mut Lab<'_>, now: &mut Scenario) {
    let (base, all) = (now.clone(), now.workload.clone());
    ddmin(&all, |part| {
        let mut candidate = Scenario { workload: part.to_vec(), ..base.clone() };
        forget_clients(&base, &mut candidate);
        lab.adopt(now, candidate)
    });
}

/// Faults and links that name a client that is not there any more.
fn forget_clients(before: &Scenario, candidate: &mut Scenario) {
    let there: Vec<String> = candidate.clients().into_iter().map(|client| client.name).collect();
    let gone: Vec<String> =
        before.clients().into_iter().map(|client| client.name).filter(|name| !there.contains(name)).collect();
    mend::rename_nodes(candidate, |selector| match selector {
        // The first of several that is left alone.
        Selector::Client(name) if gone.contains(name) => {
            let only = name.strip_suffix("-1").filter(|only| there.iter().any(|name| name == only));
            only.map(|only| Selector::Client(only.into()))
        }
        other => Some(other.clone()),
    });
}

fn counts(lab: &mut Lab<'_>, now: &mut Scenario) {
    for at in 0..now.workload.len() {
        let many = now.workload[at].count();
        for fewer in [1, 2, many / 2, many - 1] {
            if fewer == 0 || fewer >= many {
                continue;
            }
            let mut candidate = now.clone();
            match &mut candidate.workload[at] {
                Actor::Producer(it) => it.count = fewer,
                Actor::Consumer(it) => it.count = fewer,
                Actor::Admin(_) => continue,
            }
            forget_clients(now, &mut candidate);
            if lab.adopt(now, candidate) {
                break;
            }
        }
    }
}

fn topics(lab: &mut Lab<'_>, now: &mut Scenario) {
    let names: Vec<String> = now.topology.topics.iter().map(|topic| topic.name.clone()).collect();
    for name in names.iter().rev().filter(|_| names.len() > 1) {
        let mut candidate = now.clone();
        mend::drop_topic(&mut candidate, name);
        lab.adopt(now, candidate);
    }
}

fn partitions(lab: &mut Lab<'_>, now: &mut Scenario) {
    for at in 0..now.topology.topics.len() {
        let topic = &now.topology.topics[at];
        let many = topic.assignment.as_ref().map_or(topic.partitions, |it| it.len() as u32);
        for fewer in [1, many / 2, many.saturating_sub(1)] {
            if fewer == 0 || fewer >= many {
                continue;
            }
            let mut candidate = now.clone();
            let topic = &mut candidate.topology.topics[at];
            topic.partitions = topic.partitions.min(fewer);
            if let Some(assignment) = &mut topic.assignment {
                assignment.truncate(fewer as usize);
            }
            let name = topic.name.clone();
            mend::drop_partitions(&mut candidate, |it| it.topic != name || it.partition < fewer);
            if lab.adopt(now, candidate) {
                break;
            }
        }
    }
}

/// What consumers and operators do besides.
fn steps(lab: &mut Lab<'_>, now: &mut Scenario) {
    for at in 0..now.workload.len() {
        let base = now.clone();
        match &base.workload[at] {
            Actor::Consumer(it) => {
                ddmin(&it.steps, |part| {
                    let mut candidate = base.clone();
                    if let Actor::Consumer(it) = &mut candidate.workload[at] {
                        it.steps = part.to_vec();
                    }
                    lab.adopt(now, candidate)
                });
            }
            Actor::Admin(it) => {
                ddmin(&it.steps, |part| {
                    let mut candidate = base.clone();
                    if let Actor::Admin(it) = &mut candidate.workload[at] {
                        it.steps = part.to_vec();
                    }
                    lab.adopt(now, candidate)
                });
                let base = now.clone();
                ddmin(&it.ops, |part| {
                    let mut candidate = base.clone();
                    if let Actor::Admin(it) = &mut candidate.workload[at] {
                        it.ops = part.to_vec();
                        it.every = it.every.filter(|_| !part.is_empty());
                    }
                    lab.adopt(now, candidate)
                });
            }
            Actor::Producer(_) => {}
        }
    }
}

fn producer(lab: &mut Lab<'_>, now: &mut Scenario, at: usize) {
    let plainer: [fn(&mut Producer); 5] = [
        |it| it.keys = None,
        |it| it.headers.clear(),
        |it| it.size = Size(100),
        |it| (it.from, it.until) = (Default::default(), None),
        |it| (it.idempotent, it.max_in_flight) = (None, None),
    ];
    for change in plainer {
        change_producer(lab, now, at, change);
    }
    for records in [1, 5, 20, 100] {
        let fewer = |it: &Producer| it.records.is_none_or(|own| own > records);
        if matches!(&now.workload[at], Actor::Producer(it) if fewer(it))
            && change_producer(lab, now, at, |it| it.records = Some(records))
        {
            break;
        }
    }
    for rate in ["1/s", "5/s", "10/s", "20/s", "50/s", "100/s", "200/s"] {
        let Ok(rate) = rate.parse::<Rate>() else { continue };
        let less = |it: &Producer| it.rate.interval() < rate.interval();
        if matches!(&now.workload[at], Actor::Producer(it) if less(it))
            && change_producer(lab, now, at, |it| it.rate = rate)
        {
            break;
        }
    }
}

fn change_producer(lab: &mut Lab<'_>, now: &mut Scenario, at: usize, change: impl Fn(&mut Producer)) -> bool {
    let mut candidate = now.clone();
    match &mut candidate.workload[at] {
        Actor::Producer(it) => change(it),
        _ => return false,
    }
    lab.adopt(now, candidate)
}
