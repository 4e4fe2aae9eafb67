//! Which seeds have logs that are compacted while they are used?
//!
//! Some of all seeds: the others draw as if there were no cleaner. Where a seed has groups it is the log of their
//! offsets, else a topic, whose records have keys then, and some of them delete one.

use serde_json::{Value, json};

use super::{dice::Dice, draw::Shape};

/// One in how many seeds cleans.
const ONE_IN: u64 = 6;
/// One in how many seeds of those that have groups cleans.
const OF_GROUPS_ONE_IN: u64 = 6;

/// Has a drawn scenario clean, if its seed does.
pub fn put_in(scenario: &mut Value, shape: &Shape, groups: bool, dice: &mut Dice) {
    if !dice.one_in(if groups { OF_GROUPS_ONE_IN } else { ONE_IN }) {
        return;
    }
    // A slow disk would do nothing else: every segment that is cleaned is flushed and renamed in six steps.
    let is_slow = scenario["topology"]["disk"].as_object().is_some_and(|disk| !disk.is_empty());
    let (segments, rests): ([u64; 2], [u64; 3]) = match is_slow {
        true => ([8_000, 20_000], [1_000, 1_000, 3_000]),
        false => ([1_500, 4_000], [100, 300, 1_000]),
    };
    if let Some(config) = scenario["topology"]["broker_config"].as_object_mut() {
        config.insert("log.cleaner.backoff.ms".into(), dice.one(&rests).into());
        config.insert("log.cleaner.min.cleanable.ratio".into(), dice.one(&["0", "0.1", "0.5"]).into());
        if groups {
            config.insert("offsets.topic.segment.bytes".into(), dice.one(&segments).into());
        }
    }
    if !groups || dice.one_in(2) {
        compact(scenario, shape, segments, dice);
    }
}

/// The first topic is compacted. What has no key it does not take.
fn compact(scenario: &mut Value, shape: &Shape, segments: [u64; 2], dice: &mut Dice) {
    let topic = shape.topics[0].name;
    let count: u64 = dice.one(&[3, 8, 40]);
    let deletes = dice.one_in(2);
    for actor in scenario["workload"].as_array_mut().into_iter().flatten() {
        // Whoever creates it anew creates it so.
        let ops = actor.pointer_mut("/admin/ops").and_then(Value::as_array_mut);
        for op in ops.into_iter().flatten() {
            let again = op.get_mut("create_topic").filter(|it| it["name"] == topic);
            again.into_iter().for_each(|again| again["config"]["cleanup.policy"] = "compact".into());
        }
        let Some(producer) = actor.get_mut("producer").filter(|it| it["topic"] == topic) else { continue };
        producer["keys"] = json!({ "uniform": { "count": count } });
        if deletes {
            producer["tombstones"] = "1/5".into();
        }
    }
    let topics = scenario["topology"]["topics"].as_array_mut().into_iter().flatten();
    for known in topics.filter(|it| it["name"] == topic) {
        let Some(config) = known["config"].as_object_mut() else { continue };
        // What is deleted by its size besides is deleted lawfully.
        let policy = if config.contains_key("retention.bytes") { "compact,delete" } else { "compact" };
        config.insert("cleanup.policy".into(), policy.into());
        config.insert("segment.bytes".into(), dice.one(&segments).into());
        config.extend(dice.settings(3, &[("min.compaction.lag.ms", &[300, 1_000])]));
        // Not for the groups' own log: who follows it too slowly never hears of what was deleted, and that is lawful.
        config.insert("delete.retention.ms".into(), dice.one(&[0, 500, 2_000, 86_400_000]).into());
    }
}
