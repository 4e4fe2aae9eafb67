//! Can these promises be looked at?

use super::{Checker, Problem};
use crate::check::{CATALOGUE, Kind};
use crate::scenario::{
    file::{CheckWhen, Expect, Property},
    text::Place,
    values::CheckName,
};

pub fn check(it: &mut Checker<'_>) {
    let properties = &it.scenario.properties;
    for (i, property) in properties.iter().enumerate() {
        let at = it.root.key("properties").nth(i);
        if let Some(topic) = &property.topic {
            it.needs_topic(topic, at.key("topic"), &format!("`{}` has nothing to look at: ", property.check));
        }
        if property.check == CheckName::SOMETIMES {
            goal(it, property, at)
        } else {
            promise(it, property, at)
        }
        if let Some(before) = properties[..i].iter().position(|other| other == property) {
            let problem = Problem::new(
                format!("`{}` is promised twice", property.check),
                at.key("check").bytes(),
                "again",
            );
            let first = it.root.key("properties").nth(before).key("check");
            it.tell(problem.with_context(first.bytes(), "first here"));
        }
    }
    expectation(it);
}

fn goal(it: &mut Checker<'_>, property: &Property, at: Place<'_>) {
    if property.event.is_none() {
        let title = "`sometimes` says which event must occur";
        it.tell(Problem::new(title, at.key("check").bytes(), "needs `event`"));
    }
    if property.at_least == Some(0) {
        it.wrong(at.key("at_least"), "a goal that is always reached", "at least 1");
    }
    for (key, given) in [("within", property.within.is_some()), ("when", property.when.is_some())] {
        if given {
            it.tell(Problem::new("a goal may be reached at any time", at.key(key).name(), "leave it out"));
        }
    }
}

fn promise(it: &mut Checker<'_>, property: &Property, at: Place<'_>) {
    for (key, given) in [("event", property.event.is_some()), ("at_least", property.at_least.is_some())] {
        if given {
            let title = format!("`{}` counts no events", property.check);
            let problem = Problem::new(title, at.key(key).name(), "only `sometimes` has this");
            it.tell(problem);
        }
    }
    let settle = it.scenario.phases.settle;
    let liveness = is_liveness(property.check);
    let settled = liveness || property.when == Some(CheckWhen::Settled);
    if settled && settle.0.is_zero() && it.root.key("phases").key("settle").exists() {
        let title = format!("`{}` can never be looked at: there is no time to settle", property.check);
        let problem = Problem::new(title, at.key("check").bytes(), "holds once settled");
        it.tell(problem.with_context(it.root.key("phases").key("settle").bytes(), "set here"));
    }
    if property.when == Some(CheckWhen::Always) && liveness {
        let title = format!("`{}` cannot always hold: faults may break it for a while", property.check);
        it.wrong(at.key("when"), title, "\"settled\"");
    }
    if let Some(within) = property.within {
        if !liveness {
            let title = format!("`{}` holds from the first step on", property.check);
            it.tell(Problem::new(title, at.key("within").name(), "only for what takes time"));
        } else if within > settle {
            let title = format!("`{}` has longer than there is", property.check);
            let problem = Problem::new(title, at.key("within").bytes(), "longer than the settle phase");
            let settle_at = it.root.key("phases").key("settle");
            it.tell(problem.with_context(settle_at.bytes(), format!("which takes {settle}")));
        }
    }
}

fn expectation(it: &mut Checker<'_>) {
    let Expect::Violates(check) = it.scenario.expect else { return };
    let at = it.root.key("expect").key("violates");
    if check == CheckName::SOMETIMES {
        return it.wrong(at, "a goal cannot be violated", "name a check");
    }
    let properties = &it.scenario.properties;
    let promises = || properties.iter().filter(|property| property.check != CheckName::SOMETIMES);
    if promises().next().is_some() && !promises().any(|property| property.check == check) {
        let problem = Problem::new(
            format!("`{check}` is not looked at, and so never violated"),
            at.bytes(),
            "expected here",
        );
        let list = it.root.key("properties");
        it.tell(problem.with_context(list.bytes(), "not among these"));
    }
}

/// Whether it says that something good happens in time, rather than that something bad never does.
fn is_liveness(check: CheckName) -> bool {
    CATALOGUE.iter().any(|info| info.name == check.0 && info.kind == Kind::Liveness)
}
