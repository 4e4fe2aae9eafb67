//! Which clients does a seed draw, and what do they do?

use serde_json::{Value, json};

use super::{
    dice::Dice,
    draw::{Shape, Taste, Topic},
};

/// The clients of a cluster.
pub fn workload(shape: &Shape, taste: Taste, dice: &mut Dice) -> Value {
    let mut actors = Vec::new();
    for topic in &shape.topics {
        for nth in 0..dice.between(1, 2) {
            actors.push(json!({ "producer": producer(shape, topic, nth, taste, dice) }));
        }
        actors.push(json!({ "consumer": consumer(shape, topic, dice) }));
    }
    let operated = if taste.brisk { !dice.one_in(3) } else { dice.one_in(3) };
    if operated || shape.topics.iter().any(|topic| topic.comes_and_goes) {
        actors.push(json!({ "admin": admin(shape, taste, dice) }));
    }
    actors.into()
}

fn producer(shape: &Shape, topic: &Topic, nth: u64, taste: Taste, dice: &mut Dice) -> Value {
    let acks = match taste.brisk {
        true => dice.one(&["all", "all", "1"]),
        false => dice.one(&["all", "all", "all", "all", "all", "all", "1", "0"]),
    };
    let request = if taste.brisk { dice.one(&[300, 700, 3_000]) } else { dice.one(&[500, 1_000, 3_000]) };
    let linger = dice.one(&[0, 5, 50]);
    let age: &[u64] = if taste.brisk { &[50, 50, 500] } else { &[500, 5_000] };
    let mut config = dice.settings(2, &[("retry.backoff.ms", &[5, 100]), ("metadata.max.age.ms", age)]);
    config.insert("request.timeout.ms".into(), request.into());
    config.insert("linger.ms".into(), linger.into());
    let delivery = (request + linger).max(dice.one(&[1_500, 5_000, 30_000]));
    config.insert("delivery.timeout.ms".into(), delivery.into());
    // A batch must fit into a segment, and Kafka splits none.
    config.insert("batch.size".into(), dice.one(&[200, 1_000, 1_200]).into());
    let mut producer = json!({
        "name": format!("p-{}{nth}", topic.name),
        "topic": topic.name,
        "acks": acks,
        "rate": format!("{}/s", dice.one(if shape.far { &[5, 10, 20, 30] } else { &[10, 30, 60, 120] })),
        // Each record by itself must be small enough.
        "size": if topic.refuses_large { dice.one(&["16B", "100B"]) } else { dice.one(&["16B", "100B", "900B"]) },
        "config": config,
    });
    if acks == "all" && dice.one_in(6) {
        producer["idempotent"] = false.into();
        // What keeps records in order without numbers.
        if dice.one_in(2) {
            producer["max_in_flight"] = 1.into();
        }
    } else if dice.one_in(3) {
        producer["max_in_flight"] = dice.between(1, 5).into();
    }
    // Then its partitions stand still, and who comes back there finds nothing new.
    if dice.one_in(6) {
        producer["until"] = format!("{}ms", dice.between(3_500, shape.chaos * 1_000 - 1_000)).into();
    }
    if dice.one_in(3) {
        producer["keys"] = json!({ "uniform": { "count": 8 } });
    }
    producer
}

fn consumer(shape: &Shape, topic: &Topic, dice: &mut Dice) -> Value {
    let mut config = dice.settings(
        2,
        &[
            ("request.timeout.ms", &[1_000, 3_000]),
            ("fetch.max.wait.ms", &[10, 100]),
            ("max.partition.fetch.bytes", &[1, 1_000]),
            ("metadata.max.age.ms", &[500, 5_000]),
            ("max.poll.records", &[1, 20]),
        ],
    );
    // One batch or segment of a partition at a time, and then waiting for half a second for the others: some would
    // not get through by the end.
    if topic.partitions > 1 || config.contains_key("max.partition.fetch.bytes") {
        config.entry("fetch.max.wait.ms").or_insert(dice.one(&[10, 100]).into());
    }
    let mut consumer = json!({ "name": format!("c-{}", topic.name), "topic": topic.name, "config": config });
    if dice.one_in(6) {
        consumer["from"] = "latest".into();
    }
    // What its application does besides reading: asking where the log ends most of all, for that must not go
    // back, then going elsewhere and standing still.
    if dice.one_in(2) {
        let mut steps = Vec::new();
        let mut at = dice.between(1_500, 3_000);
        // Now and then it asks all the time: who leads anew must not tell what it does not know yet.
        if dice.one_in(3) {
            for _ in 0..250 {
                steps.push(json!({ "at": format!("{at}ms"), "do": { "end_offset": {} } }));
                at += dice.between(5, 40);
            }
        }
        while at < shape.chaos * 1_000 {
            let partition = format!("{}-{}", topic.name, dice.between(0, u64::from(topic.partitions) - 1));
            let act = match dice.between(0, 9) {
                0..=4 => json!({ "end_offset": {} }),
                5 => json!({ "seek": { "partition": partition, "offset": dice.between(0, 60) } }),
                6 => json!({ "seek_to_time": { "time": format!("{}ms", dice.between(1_000, at)) } }),
                7 => json!({ "seek_to_beginning": {} }),
                8 => json!({ "seek_to_end": {} }),
                _ => json!({ "pause": { "partitions": [partition] } }),
            };
            let paused = act.get("pause").is_some();
            steps.push(json!({ "at": format!("{at}ms"), "do": act }));
            at += dice.between(50, 900);
            if paused {
                steps.push(json!({ "at": format!("{at}ms"), "do": { "resume": {} } }));
            }
        }
        consumer["steps"] = steps.into();
    }
    consumer
}

fn admin(shape: &Shape, taste: Taste, dice: &mut Dice) -> Value {
    let topic = &shape.topics[0];
    let partition = shape.partition(dice);
    let mut ops = vec![json!({ "elect_leaders": {} }), json!({ "describe_topic": { "topic": topic.name } })];
    // A topic that clients use goes, and comes again under its name.
    if let Some(topic) = shape.topics.iter().find(|topic| topic.comes_and_goes) {
        let again = json!({ "name": topic.name, "partitions": topic.partitions, "replication": topic.replication,
            "config": { "min.insync.replicas": topic.min_insync } });
        ops = vec![
            json!({ "delete_topic": { "topic": topic.name } }),
            json!({ "create_topic": again.clone() }),
            json!({ "create_topic": again }),
        ];
    }
    if dice.one_in(6) {
        ops.push(json!({ "elect_leaders": { "kind": "unclean" } }));
    }
    if dice.one_in(2) {
        ops.push(json!({ "delete_records": { "partition": partition } }));
    }
    // Logs that begin anywhere, also in the middle of a batch.
    if dice.one_in(3) {
        for _ in 0..dice.between(1, 3) {
            let before = dice.between(5, 400);
            ops.push(json!({ "delete_records": { "partition": partition, "before": before } }));
        }
    }
    if dice.one_in(2) {
        let scratch = json!({ "name": "scratch", "partitions": 2, "replication": topic.replication });
        ops.push(json!({ "create_topic": scratch }));
        ops.push(json!({ "delete_topic": { "topic": "scratch" } }));
    }
    if dice.one_in(3) {
        let total = topic.partitions + 1;
        ops.push(json!({ "create_partitions": { "topic": topic.name, "total": total } }));
    }
    let slow = shape.topics.iter().any(|topic| topic.comes_and_goes);
    let every = match (slow, taste.brisk) {
        (true, _) => dice.one(&["1s", "2s", "3s"]),
        (_, true) => dice.one(&["100ms", "300ms", "700ms"]),
        _ => dice.one(&["300ms", "1s", "2s"]),
    };
    json!({ "name": "admin", "every": every, "ops": ops })
}
