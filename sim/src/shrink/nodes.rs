//! How few servers does it take?

use super::{lab::Lab, mend};
use crate::{
    Scenario,
    scenario::{
        file::Config,
        values::{Selector, Setting},
    },
};

/// Leaves out brokers and controllers. Whoever comes after one that is gone takes its number; what names it
/// goes.
pub fn pass(lab: &mut Lab<'_>, now: &mut Scenario) {
    // A quorum of one is by far the simplest; two of three is none.
    let mut alone = now.clone();
    while alone.topology.controllers > 1 {
        alone = without_controller(&alone, alone.topology.controllers);
    }
    lab.adopt(now, alone);
    fewer(lab, now, |it| it.topology.controllers, without_controller);
    fewer(lab, now, |it| it.topology.brokers, without_broker);
}

fn fewer(
    lab: &mut Lab<'_>,
    now: &mut Scenario,
    count: impl Fn(&Scenario) -> u32,
    without: impl Fn(&Scenario, u32) -> Scenario,
) {
    while count(now) > 1 {
        let found = (1..=count(now)).rev().any(|nth| {
            let candidate = without(now, nth);
            lab.adopt(now, candidate)
        });
        if !found {
            return;
        }
    }
}

fn moved(nth: u32, gone: u32) -> Option<u32> {
    match nth.cmp(&gone) {
        std::cmp::Ordering::Less => Some(nth),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(nth - 1),
    }
}

fn without_controller(scenario: &Scenario, gone: u32) -> Scenario {
    let mut candidate = scenario.clone();
    candidate.topology.controllers -= 1;
    mend::rename_nodes(&mut candidate, |selector| match selector {
        Selector::Controller(nth) => moved(*nth, gone).map(Selector::Controller),
        other => Some(other.clone()),
    });
    candidate
}

fn without_broker(scenario: &Scenario, gone: u32) -> Scenario {
    let mut candidate = scenario.clone();
    candidate.topology.brokers -= 1;
    mend::rename_nodes(&mut candidate, |selector| match selector {
        Selector::Broker(nth) => moved(*nth, gone).map(Selector::Broker),
        other => Some(other.clone()),
    });
    let most = candidate.topology.brokers;
    let mut least_replicas = most;
    for topic in &mut candidate.topology.topics {
        topic.replication = topic.replication.min(most);
        if let Some(assignment) = &mut topic.assignment {
            for replicas in assignment {
                *replicas = replicas.iter().filter_map(|nth| moved(*nth, gone)).collect();
            }
        }
        lower(&mut topic.config, topic.replication);
        least_replicas = least_replicas.min(topic.replication);
    }
    lower(&mut candidate.topology.broker_config, least_replicas);
    candidate
}

/// No more replicas can be asked for than there are.
fn lower(config: &mut Config, replicas: u32) {
    if let Some(setting) = config.get_mut("min.insync.replicas")
        && setting.0.parse::<u32>().is_ok_and(|min| min > replicas)
    {
        *setting = Setting(replicas.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_after_one_that_is_gone_takes_its_number() {
        let text = r#"{ "version": 1, "name": "it", "phases": { "chaos": "9s" },
            "topology": { "controllers": 1, "brokers": 3,
              "node_config": { "broker-2": {}, "broker-3": {} },
              "topics": [{ "name": "t", "replication": 3, "assignment": [[3, 1, 2]],
                           "config": { "min.insync.replicas": 3 } }] },
            "faults": [
              { "id": "a", "when": { "at": "1s" }, "do": { "pause": { "node": "broker-2" } } },
              { "id": "b", "when": { "step": "a" }, "do": { "pause": { "node": "broker-3" } } },
              { "id": "c", "when": { "at": "1s" }, "do": { "pause": { "node": "broker-3" } } },
              { "id": "d", "when": { "at": "1s" }, "do": { "cut": { "sides": [["broker-1", "broker-2"], ["broker-3"]] } } }
            ] }"#;
        let scenario: Scenario = serde_json::from_str(text).expect("is one");
        let less = without_broker(&scenario, 2);
        let topic = &less.topology.topics[0];
        assert_eq!((less.topology.brokers, topic.replication), (2, 2));
        assert_eq!(topic.assignment, Some(vec![vec![2, 1]]));
        assert_eq!(topic.config["min.insync.replicas"].0, "2");
        assert_eq!(less.topology.node_config.keys().collect::<Vec<_>>(), ["broker-2"]);
        // `a` named it, and `b` waited for `a`.
        let ids: Vec<&str> = less.faults.iter().map(|fault| fault.id.as_str()).collect();
        assert_eq!(ids, ["c", "d"]);
        let written = serde_json::to_string(&less.faults[1].act).expect("is JSON");
        assert_eq!(written, r#"{"cut":{"sides":[["broker-1"],["broker-2"]],"one_way":false}}"#);
    }
}
