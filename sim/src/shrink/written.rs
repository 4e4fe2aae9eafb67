//! How is a repro written down?

use serde_json::Value;

use crate::Scenario;

/// The scenario as strict JSON that says nothing but what differs from what is taken if nothing is said.
pub fn written(scenario: &Scenario) -> String {
    let Ok(mut value) = serde_json::to_value(scenario) else { return String::new() };
    let mut path = Vec::new();
    prune(scenario, &mut value, &mut path);
    serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
}

/// A step down from the root.
#[derive(Clone)]
enum Way {
    Key(String),
    Nth(usize),
}

/// Takes out every key without which the whole still reads as the same scenario.
fn prune(scenario: &Scenario, root: &mut Value, path: &mut Vec<Way>) {
    let below: Vec<Way> = match at(root, path) {
        Some(Value::Object(map)) => map.keys().cloned().map(Way::Key).collect(),
        Some(Value::Array(list)) => (0..list.len()).map(Way::Nth).collect(),
        _ => return,
    };
    for way in below {
        if let Way::Key(key) = &way {
            let Some(Value::Object(map)) = at(root, path) else { return };
            let Some(taken) = map.remove(key) else { continue };
            if serde_json::from_value::<Scenario>(root.clone()).is_ok_and(|read| read == *scenario) {
                continue;
            }
            let Some(Value::Object(map)) = at(root, path) else { return };
            map.insert(key.clone(), taken);
        }
        path.push(way);
        prune(scenario, root, path);
        path.pop();
    }
}

fn at<'a>(root: &'a mut Value, path: &[Way]) -> Option<&'a mut Value> {
    path.iter().try_fold(root, |at, way| match way {
        Way::Key(key) => at.get_mut(key),
        Way::Nth(nth) => at.get_mut(nth),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_is_written_and_it_reads_as_the_same() {
        let text = r#"{ "version": 1, "name": "it", "phases": { "chaos": "9s" },
            "topology": { "controllers": 1, "brokers": 3, "network": { "loss": 0.25 },
              "topics": [{ "name": "t", "config": { "min.insync.replicas": 1 } }] },
            "workload": [{ "producer": { "name": "p", "topic": "t", "rate": "9/s", "acks": "1" } }],
            "faults": [{ "id": "a", "when": { "at": "1s" }, "do": { "crash": { "node": "broker-2" } } }] }"#;
        let scenario: Scenario = serde_json::from_str(text).expect("is one");
        let written = written(&scenario);
        let value: Value = serde_json::from_str(&written).expect("is JSON");
        assert_eq!(value, serde_json::from_str::<Value>(text).expect("is JSON"));
        assert_eq!(serde_json::from_str::<Scenario>(&written).expect("is one"), scenario);
    }
}
