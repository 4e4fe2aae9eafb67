//! Can every fault fire?

use super::{Checker, Problem};
use crate::scenario::{
    file::{EventPattern, Fault, Trigger},
    text::Place,
    values::{AnyKind, Selector},
};

pub fn check(it: &mut Checker<'_>) {
    let faults = &it.scenario.faults;
    for (i, fault) in faults.iter().enumerate() {
        let at = it.root.key("faults").nth(i);
        one_trigger(it, fault, at);
        if let Some(event) = &fault.when.event {
            pattern(it, fault, event, at.key("when").key("event"));
        }
        if let Some(step) = &fault.when.step {
            let title = format!("`{}` waits for a fault that is not there: ", fault.id);
            it.needs_fault(step, at.key("when").key("step"), &title);
        }
        timing(it, fault, at);
        how_often(it, fault, at);
    }
    cycles(it, faults);
}

fn one_trigger(it: &mut Checker<'_>, fault: &Fault, at: Place<'_>) {
    let when = at.key("when");
    let given: Vec<_> = ["at", "event", "step"].into_iter().filter(|key| when.key(key).exists()).collect();
    if fault.when.trigger().is_some() {
        return;
    }
    let title = format!("fault `{}` needs exactly one of `at`, `event`, `step`", fault.id);
    it.tell(match given.as_slice() {
        [first, second, ..] => Problem::new(title, when.key(second).name(), "and this")
            .with_context(when.key(first).name(), "this"),
        _ => Problem::new(title, when.own_key("\0"), "none given"),
    });
}

/// A fault that would fire when the chaos phase is over does not fire.
fn timing(it: &mut Checker<'_>, fault: &Fault, at: Place<'_>) {
    let Some(Trigger::At(time)) = fault.when.trigger() else { return };
    let chaos = it.scenario.phases.chaos;
    if time + fault.when.delay() >= chaos.0 {
        let title = format!("`{}` can never fire: the chaos phase is over by then", fault.id);
        let problem = Problem::new(title, at.key("when").key("at").bytes(), "too late");
        let ends = it.root.key("phases").key("chaos");
        it.tell(problem.with_context(ends.bytes(), format!("it ends at {chaos}")));
    }
}

fn pattern(it: &mut Checker<'_>, fault: &Fault, event: &EventPattern, at: Place<'_>) {
    let title = format!("trigger of `{}` can never fire: ", fault.id);
    if let Some(partition) = &event.partition {
        it.needs_partition(partition, at.key("partition"), &title);
        if !about_partitions(event.kind) {
            let problem = Problem::new(
                format!("{title}`{}` is not about a partition", event.kind),
                at.key("partition").name(),
                "leave it out",
            );
            it.tell(problem.with_context(at.key("kind").bytes(), "event"));
        }
    }
    if let Some(node) = &event.node {
        if *node == Selector::Rest {
            it.wrong(at.key("node"), format!("{title}`rest` is who is on no other side of a cut"), "nobody");
        } else {
            it.needs_node(node, at.key("node"), &title);
        }
    }
    for (key, count) in [("nth", event.nth), ("every", event.every)] {
        if count == Some(0) {
            it.wrong(at.key(key), format!("{title}events are counted from one"), "at least 1");
        }
    }
    if event.nth.is_some() && event.every.is_some() {
        let problem = Problem::new(
            format!("`{}` waits for one event and for every so many", fault.id),
            at.key("every").name(),
            "and this",
        );
        it.tell(problem.with_context(at.key("nth").name(), "this"));
    }
    if let Some(after) = &event.after {
        let title = format!("`{}` waits for a fault that is not there: ", fault.id);
        it.needs_fault(after, at.key("after"), &title);
    }
}

/// Whether an event of this kind says which partition it is about.
fn about_partitions(kind: AnyKind) -> bool {
    let name = kind.name();
    let family = name.split('.').next().unwrap_or_default();
    let of_nodes = [
        "broker",
        "controller",
        "quorum",
        "snapshot",
        "topic",
        "producer",
        "metadata",
        "admin",
        "disk",
        "node",
    ];
    !of_nodes.contains(&family) && name != "consume.assign"
}

/// `times` where the trigger comes only once.
fn how_often(it: &mut Checker<'_>, fault: &Fault, at: Place<'_>) {
    let times = at.key("times");
    match fault.times {
        Some(0) => it.wrong(times, format!("`{}` can never fire", fault.id), "at least 1"),
        Some(many) if many > 1 => {
            let when = at.key("when");
            let once = match fault.when.trigger() {
                Some(Trigger::At(_)) => when.key("at"),
                Some(Trigger::Event(event)) if event.nth.is_some() => when.key("event").key("nth"),
                _ => return,
            };
            let problem = Problem::new(
                format!("`{}` fires once", fault.id),
                times.bytes(),
                format!("not {many} times"),
            );
            let problem = problem.with_context(once.bytes(), "comes only once");
            it.tell(problem.with_help("an event with `every` comes again and again".to_string()));
        }
        _ => {}
    }
}

/// Faults that wait for one another.
fn cycles(it: &mut Checker<'_>, faults: &[Fault]) {
    let waits_for = |fault: &Fault| -> Option<usize> {
        let id =
            fault.when.step.as_ref().or(fault.when.event.as_ref().and_then(|event| event.after.as_ref()))?;
        faults.iter().position(|other| other.id == *id)
    };
    let mut told = vec![false; faults.len()];
    for start in 0..faults.len() {
        let mut way = vec![start];
        while let Some(next) = waits_for(&faults[way[way.len() - 1]]) {
            if let Some(from) = way.iter().position(|seen| *seen == next) {
                let circle = &way[from..];
                if !circle.iter().any(|fault| told[*fault]) {
                    tell_cycle(it, faults, circle);
                }
                circle.iter().for_each(|fault| told[*fault] = true);
                break;
            }
            way.push(next);
        }
    }
}

fn tell_cycle(it: &mut Checker<'_>, faults: &[Fault], circle: &[usize]) {
    let id = |at: usize| format!("`{}`", faults[at].id);
    let place = |at: usize| {
        let when = it.root.key("faults").nth(at).key("when");
        if when.key("step").exists() { when.key("step") } else { when.key("event").key("after") }
    };
    let first = circle[0];
    let problem = if let [only] = circle {
        Problem::new(
            format!("{} can never fire: it waits for itself", id(*only)),
            place(*only).bytes(),
            "itself",
        )
    } else {
        let chain: Vec<_> = circle.iter().chain([&first]).map(|at| id(*at)).collect();
        let title = format!("these can never fire, each waits for the next: {}", chain.join(" → "));
        let problem = Problem::new(title, place(first).bytes(), format!("{} waits here", id(first)));
        problem.with_context(place(circle[1]).bytes(), format!("{} waits here", id(circle[1])))
    };
    it.tell(problem);
}
