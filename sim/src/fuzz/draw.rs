//! Which cluster, which clients and which faults does a seed draw?
//!
//! Small clusters with settings at their edges: tiny segments, one request in flight, short timeouts. What is
//! drawn is written down as a scenario with every fault in it, so that it can be run, edited and shrunk like
//! one that a person wrote. Swarm testing (Groce et al., ISSTA 2012): a seed leaves out whole kinds of fault
//! and weighs the others differently, for what a kind hides is found where it is missing.

use serde_json::{Map, Value, json};

use super::{dice::Dice, strategy::Manner};
use crate::{
    director::nemesis,
    scenario::{self, Scenario},
};

/// The topics' names, as many as there are at most.
const TOPICS: [&str; 2] = ["orders", "clicks"];

/// The scenario of a seed, which is also the seed that it is run with.
///
/// `Manner::Uniform` has every kind of fault switched on and as likely as any other; all others leave kinds out.
pub fn draw(seed: u64, manner: Manner) -> Scenario {
    let shape = Shape::of(&mut Dice::new(seed, "shape"));
    let scenario = json!({
        "version": 1,
        "name": "drawn",
        "seed": format!("{seed:#x}"),
        "topology": topology(&shape, &mut Dice::new(seed, "topology")),
        "workload": workload(&shape, &mut Dice::new(seed, "workload")),
        "faults": triggered(&shape, &mut Dice::new(seed, "triggered")),
        "nemesis": drawn_faults(&shape, manner, &mut Dice::new(seed, "nemesis")),
        "phases": { "chaos": format!("{}s", shape.chaos), "settle": "60s" },
    });
    let text = scenario.to_string();
    let scenario = scenario::load(&text, &[])
        .unwrap_or_else(|problems| panic!("what is drawn is a scenario: {text}\n{problems:#?}"));
    nemesis::written_out(&scenario, seed)
}

/// What the other parts must agree on.
struct Shape {
    controllers: u32,
    brokers: u32,
    topics: Vec<Topic>,
    chaos: u64,
}

struct Topic {
    name: &'static str,
    partitions: u32,
    replication: u32,
    min_insync: u32,
    segment: Option<u64>,
    flushes: bool,
}

impl Shape {
    fn of(dice: &mut Dice) -> Shape {
        let brokers = dice.one(&[1, 2, 3, 3, 3, 3, 3, 4, 5]);
        let topic = |name, dice: &mut Dice| {
            let replication = dice.one(&[1, 2, 3, 3, 3, 3, 3]).min(brokers);
            Topic {
                name,
                partitions: dice.one(&[1, 1, 2, 3]),
                replication,
                min_insync: if dice.one_in(4) { 1 } else { (replication - 1).max(1) },
                segment: dice.one(&[None, Some(1_500), Some(3_000), Some(20_000)]),
                flushes: dice.one_in(4),
            }
        };
        let topics = if dice.one_in(4) { 2 } else { 1 };
        Shape {
            controllers: dice.one(&[1, 3, 3, 3, 3, 5]),
            brokers,
            topics: TOPICS[..topics].iter().map(|name| topic(name, dice)).collect(),
            chaos: dice.one(&[6, 8, 12]),
        }
    }

    fn partitions(&self) -> Vec<String> {
        let of = |topic: &Topic| (0..topic.partitions).map(|nth| format!("{}-{nth}", topic.name)).collect();
        self.topics.iter().flat_map(|topic| -> Vec<String> { of(topic) }).collect()
    }

    /// One of the partitions.
    fn partition(&self, dice: &mut Dice) -> String {
        let all = self.partitions();
        all[dice.between(0, all.len() as u64 - 1) as usize].clone()
    }
}

fn topology(shape: &Shape, dice: &mut Dice) -> Value {
    let quorum: &[(&str, &[u64])] = &[("controller.quorum.fetch.timeout.ms", &[400, 800, 2_000])];
    let fetch_timeout = dice.settings(3, quorum);
    let heartbeat = dice.one(&[100, 300, 700]);
    let mut brokers = dice.settings(
        2,
        &[
            ("replica.lag.time.max.ms", &[300, 800, 3_000]),
            ("replica.fetch.backoff.ms", &[10, 100, 500]),
            ("replica.fetch.wait.max.ms", &[5, 100]),
            ("replica.fetch.max.bytes", &[1, 2_000]),
            ("replica.high.watermark.checkpoint.interval.ms", &[200, 1_000]),
            ("replica.socket.timeout.ms", &[700, 2_000]),
            ("request.timeout.ms", &[700, 3_000]),
            ("log.flush.offset.checkpoint.interval.ms", &[300, 2_000]),
            ("log.retention.check.interval.ms", &[500]),
        ],
    );
    brokers.insert("broker.heartbeat.interval.ms".into(), heartbeat.into());
    brokers.extend(fetch_timeout.clone());
    let mut controllers = dice.settings(
        2,
        &[
            ("controller.quorum.election.timeout.ms", &[150, 300, 600]),
            ("controller.quorum.append.linger.ms", &[0, 5]),
            ("metadata.log.max.record.bytes.between.snapshots", &[300, 1_000, 3_000]),
            ("leader.imbalance.check.interval.seconds", &[1, 3]),
        ],
    );
    controllers.insert("broker.session.timeout.ms".into(), (heartbeat * dice.one(&[3, 5, 9])).into());
    controllers.extend(fetch_timeout);
    if dice.one_in(6) {
        controllers.insert("eligible.leader.replicas.enable".into(), false.into());
    }
    json!({
        "controllers": shape.controllers,
        "brokers": shape.brokers,
        "broker_config": brokers,
        "controller_config": controllers,
        "topics": shape.topics.iter().map(|topic| topic_of(topic, dice)).collect::<Vec<_>>(),
        "network": network(dice),
    })
}

fn network(dice: &mut Dice) -> Value {
    match dice.between(0, 3) {
        0 => json!({ "latency": { "min": "50us", "mean": "2ms", "max": "40ms" } }),
        1 => json!({ "latency": { "min": "1ms", "mean": "10ms", "max": "100ms" }, "loss": "1/200" }),
        _ => json!({}),
    }
}

fn topic_of(topic: &Topic, dice: &mut Dice) -> Value {
    let mut config = dice.settings(3, &[("index.interval.bytes", &[0, 200])]);
    config.insert("min.insync.replicas".into(), topic.min_insync.into());
    if let Some(segment) = topic.segment {
        config.insert("segment.bytes".into(), segment.into());
    }
    if topic.flushes {
        config.insert("flush.messages".into(), 1.into());
    }
    if dice.one_in(10) {
        config.insert("message.timestamp.type".into(), "LogAppendTime".into());
    }
    if dice.one_in(12) {
        config.insert("unclean.leader.election.enable".into(), true.into());
    }
    if dice.one_in(8) {
        config.insert("retention.bytes".into(), dice.one(&[5_000, 50_000]).into());
        config.insert("file.delete.delay.ms".into(), 500.into());
    }
    json!({ "name": topic.name, "partitions": topic.partitions, "replication": topic.replication, "config": config })
}

fn workload(shape: &Shape, dice: &mut Dice) -> Value {
    let mut actors = Vec::new();
    for topic in &shape.topics {
        for nth in 0..dice.between(1, 2) {
            actors.push(json!({ "producer": producer(topic, nth, dice) }));
        }
        actors.push(json!({ "consumer": consumer(topic, dice) }));
    }
    if dice.one_in(3) {
        actors.push(json!({ "admin": admin(shape, dice) }));
    }
    actors.into()
}

fn producer(topic: &Topic, nth: u64, dice: &mut Dice) -> Value {
    let acks = dice.one(&["all", "all", "all", "all", "all", "all", "1", "0"]);
    let request = dice.one(&[500, 1_000, 3_000]);
    let linger = dice.one(&[0, 5, 50]);
    let mut config =
        dice.settings(2, &[("retry.backoff.ms", &[5, 100]), ("metadata.max.age.ms", &[500, 5_000])]);
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
        "rate": format!("{}/s", dice.one(&[10, 30, 60, 120])),
        "size": dice.one(&["16B", "100B", "900B"]),
        "config": config,
    });
    if acks == "all" && dice.one_in(6) {
        producer["idempotent"] = false.into();
    }
    if dice.one_in(3) {
        producer["max_in_flight"] = dice.between(1, 5).into();
    }
    if dice.one_in(3) {
        producer["keys"] = json!({ "uniform": { "count": 8 } });
    }
    producer
}

fn consumer(topic: &Topic, dice: &mut Dice) -> Value {
    let config = dice.settings(
        2,
        &[
            ("request.timeout.ms", &[1_000, 3_000]),
            ("fetch.max.wait.ms", &[10, 100]),
            ("max.partition.fetch.bytes", &[1, 1_000]),
            ("metadata.max.age.ms", &[500, 5_000]),
            ("max.poll.records", &[1, 20]),
        ],
    );
    json!({ "name": format!("c-{}", topic.name), "topic": topic.name, "config": config })
}

fn admin(shape: &Shape, dice: &mut Dice) -> Value {
    let topic = &shape.topics[0];
    let partition = shape.partition(dice);
    let mut ops = vec![json!({ "elect_leaders": {} }), json!({ "describe_topic": { "topic": topic.name } })];
    if dice.one_in(2) {
        ops.push(json!({ "delete_records": { "partition": partition } }));
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
    json!({ "name": "admin", "every": dice.one(&["300ms", "1s", "2s"]), "ops": ops })
}

/// Faults that follow on something that happens: the moments at which bugs lie are narrow, and a time drawn
/// from a clock rarely meets one.
fn triggered(shape: &Shape, dice: &mut Dice) -> Value {
    const OF_PARTITIONS: [&str; 9] = [
        "leader.elected",
        "leader.start",
        "follower.start",
        "isr.propose",
        "isr.shrink",
        "isr.expand",
        "isr.adopt",
        "log.truncate",
        "log.roll",
    ];
    const OF_NODES: [&str; 9] = [
        "controller.elected",
        "quorum.vote",
        "quorum.elected",
        "broker.fenced",
        "broker.unfenced",
        "broker.register",
        "snapshot.write",
        "node.start",
        "node.crash",
    ];
    let mut faults = Vec::new();
    for nth in 1..=dice.one(&[0, 0, 1, 2, 3]) {
        let partition = shape.partition(dice);
        let mut event = if dice.one_in(2) {
            json!({ "kind": dice.one(&OF_NODES) })
        } else {
            json!({ "kind": dice.one(&OF_PARTITIONS), "partition": partition })
        };
        // The first few of most kinds come while the cluster starts.
        let times = dice.one(&[1, 1, 3]);
        event[if times == 1 { "nth" } else { "every" }] = dice.between(2, 9).into();
        let victim = match dice.between(0, 5) {
            0 => "controller:active".into(),
            1 => "any:broker".into(),
            2 if topic_of_partition(shape, &partition).replication > 1 => format!("follower:{partition}"),
            _ => format!("leader:{partition}"),
        };
        let act = match dice.between(0, 2) {
            0 => json!({ "pause": { "node": victim } }),
            1 => json!({ "cut": { "sides": [[victim], ["rest"]] } }),
            _ => json!({ "crash": { "node": victim } }),
        };
        faults.push(json!({
            "id": format!("t{nth}"),
            "when": { "event": event, "delay": dice.one(&["1us", "1ms", "5ms", "20ms", "100ms"]) },
            "do": act,
            "for": dice.one(&["50ms", "300ms", "1s", "3s"]),
            "times": times,
        }));
    }
    faults.into()
}

fn topic_of_partition<'a>(shape: &'a Shape, partition: &str) -> &'a Topic {
    let of = |topic: &&Topic| partition.strip_prefix(topic.name).is_some_and(|rest| rest.starts_with('-'));
    shape.topics.iter().find(of).unwrap_or(&shape.topics[0])
}

fn drawn_faults(shape: &Shape, manner: Manner, dice: &mut Dice) -> Value {
    const KINDS: [&str; 15] = [
        "crash",
        "shutdown",
        "pause",
        "cut",
        "one_way_cut",
        "slow_link",
        "lossy_link",
        "reset",
        "slow_disk",
        "clock_jump",
        "client_restart",
        "client_pause",
        "drop",
        "delay",
        "power_loss",
    ];
    // What was not flushed may be lost with the power, lawfully; where everything is, nothing may.
    let flushes = shape.topics.iter().all(|topic| topic.flushes);
    let mut weights = Map::new();
    for kind in KINDS {
        let (drawn, left_out) = (dice.between(0, 5), dice.one_in(3));
        let weight = if manner == Manner::Uniform {
            1
        } else if left_out {
            0
        } else {
            drawn
        };
        if weight > 0 && (kind != "power_loss" || flushes) {
            weights.insert(kind.into(), weight.into());
        }
    }
    if weights.is_empty() {
        weights.insert("crash".into(), 1.into());
    }
    let every: u64 = dice.one(&[150, 400, 1_000]);
    let lasts: u64 = dice.one(&[100, 500, 1_500]);
    let spread = |mean: u64| json!({ "min": format!("{}ms", mean / 10), "mean": format!("{mean}ms"), "max": format!("{}ms", mean * 6) });
    json!({
        "between": ["2s", format!("{}s", shape.chaos - 1)],
        "every": spread(every),
        "lasts": spread(lasts),
        "at_most": dice.between(1, 4),
        "weights": weights,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nth_seed;

    #[test]
    fn whatever_is_drawn_is_a_scenario_and_reads_back() {
        for index in 0..2_000 {
            let scenario = draw(nth_seed(1, index), Manner::ALL[index as usize % Manner::ALL.len()]);
            assert!(scenario.nemesis.is_none(), "every fault is written out");
            let text = serde_json::to_string(&scenario).expect("a scenario can be written");
            let again = scenario::load(&text, &[]).unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"));
            assert!(again == scenario, "it reads back otherwise: {text}");
        }
    }

    #[test]
    fn seeds_draw_all_kinds_of_fault_and_leave_kinds_out() {
        let mut kinds = std::collections::BTreeMap::<String, u32>::new();
        for index in 0..300 {
            let scenario = draw(nth_seed(2, index), Manner::Swarm);
            let mut here: Vec<String> = Vec::new();
            for fault in &scenario.faults {
                let act = serde_json::to_value(&fault.act).expect("it can be written");
                here.extend(act.as_object().and_then(|act| act.keys().next().cloned()));
            }
            here.sort();
            here.dedup();
            here.into_iter().for_each(|kind| *kinds.entry(kind).or_default() += 1);
        }
        for kind in ["crash", "shutdown", "pause", "cut", "slow_link", "lossy_link", "reset", "drop", "delay"]
        {
            let times = kinds.get(kind).copied().unwrap_or(0);
            assert!((20..290).contains(&times), "{kind} in {times} of 300: {kinds:?}");
        }
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let drawn = |seed| draw(seed, Manner::Swarm);
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7).faults, drawn(8).faults);
    }
}
