//! Which faults of a scenario can be carried out on real sockets and files, and why not the others?

use std::collections::BTreeSet;

use trial_model::event::EventKind;

use crate::{
    scenario::{
        Scenario,
        file::{Action, EventPattern, Fault, Trigger},
        values::{AnyKind, Group, Selector},
    },
    shrink::mend::selectors,
};

/// A scenario as far as it can be carried out.
#[derive(Debug, Default, PartialEq)]
pub struct Possible {
    /// The faults that will be.
    pub faults: Vec<Fault>,
    /// What will not, or not quite so, and why: a line each.
    pub not_done: Vec<String>,
}

/// What of `scenario` can be carried out. `clients` says whether its own clients take part, or only those that
/// somebody connects.
pub fn of(scenario: &Scenario, clients: bool) -> Possible {
    let mut possible = Possible::default();
    let mut left_out: BTreeSet<&str> = BTreeSet::new();
    for fault in &scenario.faults {
        if let Some(why) = why_not(fault, clients) {
            possible.not_done.push(format!("{}: {why}", fault.id));
            left_out.insert(&fault.id);
        }
    }
    // Who waits for a fault that does not come waits for ever.
    while let Some((fault, other)) = scenario.faults.iter().find_map(|fault| {
        let other = waits_for(fault).into_iter().find(|other| left_out.contains(other.as_str()))?;
        (!left_out.contains(fault.id.as_str())).then_some((fault, other))
    }) {
        possible.not_done.push(format!("{}: it waits for {other}", fault.id));
        left_out.insert(&fault.id);
    }
    let done = scenario.faults.iter().filter(|fault| !left_out.contains(fault.id.as_str()));
    possible.faults = done.cloned().collect();
    let power =
        possible.faults.iter().filter(|fault| matches!(&fault.act, Action::Crash(it) if it.lose_unsynced));
    let power = power.map(|fault| {
        format!(
            "{}: a crash of the process, not of the machine: what the system has of its files stays",
            fault.id
        )
    });
    possible.not_done.extend(power);
    possible.not_done.extend(surroundings(scenario, clients));
    possible
}

/// What the machine decides, whatever the scenario says.
fn surroundings(scenario: &Scenario, clients: bool) -> Vec<String> {
    let topology = &scenario.topology;
    let mut lines = Vec::new();
    if topology.network != Default::default() {
        lines.push("topology.network: the network is the machine's".into());
    }
    if topology.disk != Default::default() {
        lines.push("topology.disk: disks are the machine's".into());
    }
    if !topology.clocks.is_empty() {
        lines.push("topology.clocks: clocks are the machine's".into());
    }
    if !scenario.plant.is_empty() {
        lines.push("plant: who serves real clients has no planted bugs".into());
    }
    if !clients && !scenario.workload.is_empty() {
        lines.push("workload: clients are those that you connect, or the scenario's with --workload".into());
    }
    lines
}

fn why_not(fault: &Fault, clients: bool) -> Option<String> {
    let why = match &fault.act {
        Action::LoseDisk(_) => "nobody deletes a real directory for a scenario",
        Action::SlowDisk(_) | Action::DiskError(_) | Action::FullDisk(_) => "disks are the machine's",
        Action::LyingFlush(_) | Action::BitRot(_) => "disks are the machine's, and keep what they are told",
        Action::ClockJump(_) | Action::ClockOffset(_) | Action::ClockDrift(_) => "clocks are the machine's",
        Action::LossyLink(_) | Action::LimitLink(_) => {
            "segments are the machine's: links can be cut, slow, or lose whole messages"
        }
        _ => "",
    };
    if !why.is_empty() {
        return Some(why.into());
    }
    if clients {
        return None;
    }
    if let Some(Trigger::Event(pattern)) = fault.when.trigger()
        && let AnyKind::Node(kind) = pattern.kind
        && is_clients(kind)
    {
        return Some(format!("it waits for {}, which real clients do not tell", kind.name()));
    }
    let of_links = matches!(
        fault.act,
        Action::Cut(_) | Action::Drop(_) | Action::Delay(_) | Action::SlowLink(_) | Action::Reset(_)
    );
    let mut copy = fault.clone();
    for selector in selectors(&mut copy) {
        match selector {
            Selector::Client(name) => return Some(format!("there is no {name}: real clients have no names")),
            Selector::Any(Group::Clients | Group::Nodes) if of_links => {
                return Some("one of many real clients cannot be drawn: all:clients are all of them".into());
            }
            Selector::Any(Group::Clients | Group::Nodes) | Selector::All(Group::Clients | Group::Nodes)
                if !of_links =>
            {
                return Some("the processes of real clients are not ours".into());
            }
            _ => {}
        }
    }
    None
}

/// The faults without which this one never begins, or hits nobody.
fn waits_for(fault: &Fault) -> Vec<String> {
    let mut others = Vec::new();
    match fault.when.trigger() {
        Some(Trigger::Step(step)) => others.push(step.to_owned()),
        Some(Trigger::Event(EventPattern { after: Some(after), .. })) => others.push(after.clone()),
        _ => {}
    }
    let mut copy = fault.clone();
    others.extend(selectors(&mut copy).into_iter().filter_map(|selector| match selector {
        Selector::Victim(other) => Some(other.clone()),
        _ => None,
    }));
    if let Action::Heal(it) = &fault.act {
        others.extend(it.fault.clone());
    }
    others
}

/// Whether only clients state events of a kind.
fn is_clients(kind: EventKind) -> bool {
    use EventKind as K;
    matches!(
        kind,
        K::RecordSent
            | K::RecordAcked
            | K::RecordFailed
            | K::BatchRetried
            | K::ProducerEpochRaised
            | K::Assigned
            | K::Delivered
            | K::PositionMoved
            | K::TruncationDetected
            | K::ReadFailed
            | K::OffsetListed
            | K::MetadataLearned
            | K::GroupJoined
            | K::MembershipLost
            | K::PartitionsOwned
            | K::Processed
            | K::CommitSent
            | K::CommitAcked
            | K::CommitFailed
            | K::CommittedAsked
            | K::CommittedTold
            | K::AdminDone
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(faults: &str) -> Scenario {
        let text = format!(
            r#"{{ "version": 1, "name": "lab",
                "topology": {{ "controllers": 1, "brokers": 3,
                               "topics": [ {{ "name": "orders", "replication": 3 }} ] }},
                "workload": [ {{ "producer": {{ "name": "p1", "topic": "orders", "rate": "1/s" }} }} ],
                "faults": [ {faults} ],
                "phases": {{ "chaos": "10s", "settle": "10s" }}, "expect": "pass" }}"#
        );
        crate::scenario::load(&text, &[]).expect("it is a scenario")
    }

    #[test]
    fn what_cannot_be_done_is_named_with_what_hangs_on_it() {
        let scenario = scenario(
            r#"{ "id": "kill", "when": { "at": "1s" }, "do": { "crash": { "node": "leader:orders-0", "lose_unsynced": true } } },
               { "id": "back", "when": { "step": "kill" }, "do": { "restart": { "node": "victim:kill" } } },
               { "id": "rot", "when": { "at": "2s" }, "do": { "bit_rot": { "node": "broker-1" } } },
               { "id": "then", "when": { "step": "rot" }, "do": { "pause": { "node": "broker-2" } }, "for": "1s" },
               { "id": "later", "when": { "step": "then" }, "do": { "pause": { "node": "broker-2" } }, "for": "1s" },
               { "id": "jump", "when": { "at": "3s" }, "do": { "clock_jump": { "node": "broker-1", "by": "5s" } } },
               { "id": "told", "when": { "event": { "kind": "produce.ack", "nth": 3 } }, "do": { "cut": { "sides": [["broker-1"], ["rest"]] } } },
               { "id": "off", "when": { "at": "4s" }, "do": { "cut": { "sides": [["p1"], ["rest"]] } } },
               { "id": "away", "when": { "at": "4s" }, "do": { "cut": { "sides": [["broker-1"], ["all:clients"]] } } }"#,
        );
        let possible = of(&scenario, false);
        let done: Vec<&str> = possible.faults.iter().map(|fault| fault.id.as_str()).collect();
        assert_eq!(done, ["kill", "back", "away"]);
        let named: Vec<&str> =
            possible.not_done.iter().map(|line| line.split(':').next().unwrap_or("")).collect();
        assert_eq!(named, ["rot", "jump", "told", "off", "then", "later", "kill", "workload"]);
        assert_eq!(possible.not_done[4], "then: it waits for rot");
        let with_clients = of(&scenario, true);
        let done: Vec<&str> = with_clients.faults.iter().map(|fault| fault.id.as_str()).collect();
        assert_eq!(done, ["kill", "back", "told", "off", "away"]);
    }
}
