//! What must stay as it is?

use serde_json::Value;

/// Places of a scenario that nobody may change, with what stands there.
#[derive(Clone, Debug, Default)]
pub struct Kept(Vec<(Vec<String>, Value)>);

impl Kept {
    /// The places `paths` of a scenario, each a list of keys, positions, and names of faults, topics and
    /// clients.
    ///
    /// A position is taken for the name of what stands there, so that it means the same when something before
    /// it is gone. Refuses a path that leads nowhere.
    pub fn new(scenario: &Value, paths: &[Vec<String>]) -> Result<Kept, String> {
        let mut kept = Vec::new();
        for path in paths {
            let mut at = scenario;
            let mut named = Vec::new();
            for (nth, step) in path.iter().enumerate() {
                let Some(next) = go(at, step) else {
                    let shown = path[..=nth].join(".");
                    return Err(format!("there is nothing at `{shown}` that could be kept"));
                };
                named.push(match at {
                    Value::Array(_) => identity(next).unwrap_or(step).to_string(),
                    _ => step.clone(),
                });
                at = next;
            }
            kept.push((named, at.clone()));
        }
        Ok(Kept(kept))
    }

    /// Whether everything stands in `scenario` as it did.
    pub fn stands(&self, scenario: &Value) -> bool {
        self.0.iter().all(|(path, value)| {
            path.iter().try_fold(scenario, |at, step| go(at, step)).is_some_and(|found| found == value)
        })
    }
}

fn go<'a>(at: &'a Value, step: &str) -> Option<&'a Value> {
    match at {
        Value::Object(map) => map.get(step),
        Value::Array(list) => list
            .iter()
            .find(|it| identity(it) == Some(step))
            .or_else(|| list.get(step.parse::<usize>().ok()?)),
        _ => None,
    }
}

/// What an element of a list is called: a fault by its id, a topic or a client by its name.
fn identity(it: &Value) -> Option<&str> {
    let map = it.as_object()?;
    if let Some(own) = map.get("id").or_else(|| map.get("name")) {
        return own.as_str();
    }
    match map.values().next() {
        Some(only) if map.len() == 1 => only.get("name")?.as_str(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_string).collect()
    }

    #[test]
    fn what_is_kept_may_move_but_not_change() {
        let before = json!({ "faults": [{ "id": "a", "for": "1s" }, { "id": "b", "for": "2s" }],
            "workload": [{ "producer": { "name": "p", "rate": "9/s" } }] });
        for text in ["faults.1", "faults.b", "faults.b.for"] {
            let kept = Kept::new(&before, &[path(text)]).expect("leads somewhere");
            assert!(kept.stands(&json!({ "faults": [{ "id": "b", "for": "2s" }] })), "{text}");
            assert!(!kept.stands(&json!({ "faults": [{ "id": "b", "for": "1s" }] })), "{text}");
            assert!(!kept.stands(&json!({ "faults": [{ "id": "a", "for": "1s" }] })), "{text}");
        }
        let kept = Kept::new(&before, &[path("workload.p.producer.rate")]).expect("leads somewhere");
        assert!(kept.stands(&before));
        assert!(!kept.stands(&json!({ "workload": [] })));
    }

    #[test]
    fn a_path_that_leads_nowhere_is_refused() {
        let why = Kept::new(&json!({ "faults": [] }), &[path("faults.3.for")]).expect_err("leads nowhere");
        assert_eq!(why, "there is nothing at `faults.3` that could be kept");
    }
}
