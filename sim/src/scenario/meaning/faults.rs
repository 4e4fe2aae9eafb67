//! Can these faults do what they say?

use super::{Checker, Problem, action_name, topology};
use crate::scenario::{
    file::{Action, Cut, Fault, Nemesis},
    text::Place,
    values::{Chance, Group, Selector, Span},
};

pub fn check(it: &mut Checker<'_>) {
    let scenario = it.scenario;
    for (i, fault) in scenario.faults.iter().enumerate() {
        let at = it.root.key("faults").nth(i);
        identity(it, fault, i, at);
        lasting(it, fault, at);
        let arguments = at.key("do").variant();
        check_action(it, fault, arguments);
    }
    if let Some(nemesis) = &scenario.nemesis {
        check_nemesis(it, nemesis, it.root.key("nemesis"));
    }
}

fn identity(it: &mut Checker<'_>, fault: &Fault, nth: usize, at: Place<'_>) {
    let id = &fault.id;
    if id.is_empty() || id.len() > 60 || !id.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        let title = format!("`{id}` cannot name a fault");
        it.wrong(at.key("id"), title, "1 to 60 letters, digits, `.`, `_`, `-`");
    }
    let faults = &it.scenario.faults;
    if let Some(before) = faults[..nth].iter().position(|other| other.id == *id) {
        let problem = Problem::new(format!("two faults are called `{id}`"), at.key("id").bytes(), "second");
        let first = it.root.key("faults").nth(before).key("id");
        it.tell(problem.with_context(first.bytes(), "first"));
    }
}

/// Whether something of this kind goes on for a while.
fn lasts(action: &Action) -> bool {
    !matches!(
        action,
        Action::Restart(_) | Action::Heal(_) | Action::Reset(_) | Action::BitRot(_) | Action::ClockJump(_)
    )
}

fn lasting(it: &mut Checker<'_>, fault: &Fault, at: Place<'_>) {
    let name = action_name(&fault.act);
    match fault.lasts {
        Some(_) if !lasts(&fault.act) => {
            let help = matches!(fault.act, Action::ClockJump(_))
                .then(|| "`clock_offset` is off for a while".to_string());
            let problem =
                Problem::new(format!("`{name}` happens at once"), at.key("for").name(), "lasts no time");
            it.tell(problem.with_help(help));
        }
        Some(span) if span.0.is_zero() => {
            it.wrong(at.key("for"), format!("`{}` does nothing", fault.id), "more than 0s")
        }
        _ => {}
    }
}

fn check_action(it: &mut Checker<'_>, fault: &Fault, at: Place<'_>) {
    match &fault.act {
        Action::Crash(crash) => node(it, fault, &crash.node, at.key("node")),
        Action::Restart(on) | Action::Pause(on) => node(it, fault, &on.node, at.key("node")),
        Action::SlowNode(slow) => node(it, fault, &slow.node, at.key("node")),
        Action::Shutdown(on) => node(it, fault, &on.node, at.key("node")),
        Action::LoseDisk(on) | Action::FullDisk(on) | Action::LyingFlush(on) => disk(it, fault, &on.node, at),
        Action::SlowDisk(slow) => disk(it, fault, &slow.node, at),
        Action::DiskError(fail) => {
            disk(it, fault, &fail.node, at);
            possible(it, fail.chance, at.key("chance"));
        }
        Action::BitRot(rot) => {
            disk(it, fault, &rot.node, at);
            if let Some(partition) = &rot.partition {
                it.needs_partition(partition, at.key("partition"), &format!("`{}` hits nothing: ", fault.id));
            }
        }
        Action::Cut(cut) => check_cut(it, fault, cut, at),
        Action::Heal(heal) => {
            if let Some(id) = &heal.fault {
                it.needs_fault(
                    id,
                    at.key("fault"),
                    &format!("`{}` has nothing to heal: no fault is called ", fault.id),
                );
            }
        }
        Action::Drop(drop) => {
            link(it, fault, &drop.from, &drop.to, at);
            possible(it, drop.chance, at.key("chance"));
        }
        Action::Delay(delay) => {
            link(it, fault, &delay.from, &delay.to, at);
            possible(it, delay.chance, at.key("chance"));
        }
        Action::SlowLink(slow) => link(it, fault, &slow.from, &slow.to, at),
        Action::LossyLink(lossy) => {
            link(it, fault, &lossy.from, &lossy.to, at);
            possible(it, lossy.loss, at.key("loss"));
            if lossy.loss == Chance::ALWAYS {
                let problem = Problem::new("everything would be lost", at.key("loss").bytes(), "less than 1");
                it.tell(problem.with_help("`cut` loses everything".to_string()));
            }
        }
        Action::LimitLink(limit) => link(it, fault, &limit.from, &limit.to, at),
        Action::Reset(between) => link(it, fault, &between.from, &between.to, at),
        Action::ClockJump(shift) | Action::ClockOffset(shift) => {
            node(it, fault, &shift.node, at.key("node"));
            if shift.by.nanos() == 0 {
                it.wrong(at.key("by"), format!("`{}` does nothing", fault.id), "not 0s");
            }
        }
        Action::ClockDrift(drift) => {
            node(it, fault, &drift.node, at.key("node"));
            topology::drift(it, drift.ppm, at.key("ppm"));
        }
    }
}

/// One node, or several of which each is hit.
fn node(it: &mut Checker<'_>, fault: &Fault, selector: &Selector, at: Place<'_>) {
    let title = format!("`{}` hits nobody: ", fault.id);
    match selector {
        Selector::Rest => {
            it.wrong(at, format!("{title}`rest` is who is on no other side of a cut"), "nobody")
        }
        Selector::Victim(id) if *id == fault.id => {
            it.wrong(at, format!("{title}a fault has no victim before it fires"), "names itself");
        }
        _ => it.needs_node(selector, at, &title),
    }
}

fn disk(it: &mut Checker<'_>, fault: &Fault, selector: &Selector, at: Place<'_>) {
    if matches!(selector, Selector::Client(_) | Selector::Any(Group::Clients) | Selector::All(Group::Clients))
    {
        let title = format!("`{}` hits nothing: clients have no disk", fault.id);
        return it.wrong(at.key("node"), title, "a broker or a controller");
    }
    node(it, fault, selector, at.key("node"));
}

fn possible(it: &mut Checker<'_>, chance: Chance, at: Place<'_>) {
    if chance == Chance::NEVER {
        it.wrong(at, "a fault that never happens", "more than 0");
    }
}

fn link(it: &mut Checker<'_>, fault: &Fault, from: &Selector, to: &Selector, at: Place<'_>) {
    node(it, fault, from, at.key("from"));
    node(it, fault, to, at.key("to"));
    let one = |selector: &Selector| {
        !selector.is_plural() && !matches!(selector, Selector::Any(_) | Selector::Follower(_))
    };
    if from == to && one(from) {
        let problem = Problem::new(
            format!("`{}` hits nothing: nobody sends to itself", fault.id),
            at.key("to").bytes(),
            "the same",
        );
        it.tell(problem.with_context(at.key("from").bytes(), "node"));
    }
}

fn check_cut(it: &mut Checker<'_>, fault: &Fault, cut: &Cut, at: Place<'_>) {
    let sides = at.key("sides");
    if cut.sides.len() < 2 {
        let title = format!("`{}` cuts nobody off: a cut has at least two sides", fault.id);
        it.wrong(sides, title, format!("{} given", cut.sides.len()));
    }
    if cut.one_way && cut.sides.len() > 2 {
        let problem = Problem::new(
            "a cut in one way has two sides",
            sides.bytes(),
            format!("{} given", cut.sides.len()),
        );
        it.tell(problem.with_context(at.key("one_way").bytes(), "wanted here"));
    }
    let mut seen: Vec<(&Selector, Place<'_>)> = Vec::new();
    for (i, side) in cut.sides.iter().enumerate() {
        if side.is_empty() {
            it.wrong(
                sides.nth(i),
                format!("`{}` cuts nobody off: this side is empty", fault.id),
                "at least one node",
            );
        }
        for (j, selector) in side.iter().enumerate() {
            let here = sides.nth(i).nth(j);
            if *selector != Selector::Rest {
                node(it, fault, selector, here);
            }
            let drawn =
                matches!(selector, Selector::Any(_) | Selector::Follower(_) | Selector::StandbyController);
            if let Some((_, before)) = seen.iter().find(|(known, _)| *known == selector && !drawn) {
                let problem = Problem::new(
                    format!("`{selector}` stands twice in `{}`", fault.id),
                    here.bytes(),
                    "and here",
                );
                it.tell(problem.with_context(before.bytes(), "here"));
            }
            seen.push((selector, here));
        }
    }
}

fn check_nemesis(it: &mut Checker<'_>, nemesis: &Nemesis, at: Place<'_>) {
    let chaos = it.scenario.phases.chaos;
    let [from, until] = nemesis.between;
    if from >= until {
        it.wrong(at.key("between"), "the nemesis stops before it begins", "from the earlier to the later");
    } else if until > chaos {
        let problem = Problem::new(
            "the nemesis works too long",
            at.key("between").nth(1).bytes(),
            "after the chaos phase",
        );
        let ends = it.root.key("phases").key("chaos");
        it.tell(problem.with_context(ends.bytes(), format!("it ends at {chaos}")));
    }
    if nemesis.at_most == 0 {
        it.wrong(at.key("at_most"), "the nemesis does nothing", "at least 1");
    }
    if nemesis.weights.values().all(|weight| *weight == 0) {
        it.wrong(at.key("weights"), "the nemesis has nothing to draw from", "at least one weight above 0");
    }
    if nemesis.every.max == Span::default() {
        it.wrong(at.key("every"), "the nemesis would do nothing else", "more than 0s");
    }
}
