//! Which seeds have consumer groups, and what do their members do?
//!
//! Some of all seeds: the others draw as if there were no groups. A group takes the place of the first topic's
//! consumer; the brokers' settings about groups are drawn with it.

use serde_json::{Value, json};

use super::{dice::Dice, draw::Shape};

/// One in how many seeds has a group without being asked to.
const ONE_IN: u64 = 6;

/// Whether a seed has groups, and its dice.
pub fn dice(seed: u64, asked: bool) -> Option<Dice> {
    let mut dice = Dice::new(seed, "groups");
    let drawn = dice.one_in(ONE_IN);
    (drawn || asked).then_some(dice)
}

/// One in how many groups speaks KIP-848's protocol.
const MODERN_ONE_IN: u64 = 3;

/// One in how many groups has members that come and go.
const UNSTEADY_ONE_IN: u64 = 4;

/// Puts groups into a drawn scenario. `protocols` says which speak KIP-848's, `unsteady` who comes and goes: what else
/// is drawn is as if nobody did.
pub fn put_in(
    scenario: &mut Value,
    shape: &Shape,
    dice: &mut Dice,
    protocols: &mut Dice,
    unsteady: &mut Dice,
) {
    if let Some(config) = scenario["topology"]["broker_config"].as_object_mut() {
        config.extend(dice.settings(
            3,
            &[
                ("offsets.load.buffer.size", &[1, 500, 5_000]),
                ("offsets.commit.timeout.ms", &[300, 2_000]),
                ("group.initial.rebalance.delay.ms", &[0, 0, 200]),
            ],
        ));
        // A group may commit after every record: one batch a fetch would never copy all that.
        if config.get("replica.fetch.max.bytes").is_some_and(|it| *it == 1) {
            config.remove("replica.fetch.max.bytes");
        }
        config.insert("offsets.topic.num.partitions".into(), dice.one(&[1, 1, 2]).into());
        config.insert("offsets.topic.replication.factor".into(), shape.brokers().min(3).into());
        config.insert("group.min.session.timeout.ms".into(), 500.into());
        let sessions: [u64; 3] = [700, 1_500, 3_000];
        config.insert("group.consumer.session.timeout.ms".into(), protocols.one(&sessions).into());
        let beats: [u64; 2] = [100, 300];
        config.insert("group.consumer.heartbeat.interval.ms".into(), protocols.one(&beats).into());
    }
    let Some(actors) = scenario["workload"].as_array_mut() else { return };
    let topic = shape.topics[0].name;
    actors.retain(|actor| actor["consumer"]["topic"] != topic);
    let mut member = |name, group, dice: &mut Dice| {
        let mut member = member(name, group, shape, dice);
        if protocols.one_in(MODERN_ONE_IN) {
            modernise(&mut member, protocols);
        }
        json!({ "consumer": member })
    };
    let first = member("m", "group", dice);
    if unsteady.one_in(UNSTEADY_ONE_IN) {
        actors.push(come_and_go(&first, shape, unsteady));
    }
    actors.push(first);
    if dice.one_in(4) {
        actors.push(member("n", "others", dice));
    }
    spare_slow(scenario);
    let topics: Vec<&str> = shape.topics.iter().map(|topic| topic.name).collect();
    if topics.len() > 1 && dice.one_in(2) {
        for actor in scenario["workload"].as_array_mut().into_iter().flatten() {
            let consumer = actor.get_mut("consumer").and_then(Value::as_object_mut);
            if let Some(member) = consumer.filter(|it| it.contains_key("group")) {
                member.remove("topic");
                member.insert("topics".into(), topics.clone().into());
            }
        }
    }
}

/// Nobody waits for a commit after every single record where the disk or the network is slow: a thousand records would
/// take longer than a run settles.
fn spare_slow(scenario: &mut Value) {
    let is_slow = |of: &str| scenario["topology"][of].as_object().is_some_and(|it| !it.is_empty());
    if !is_slow("disk") && !is_slow("network") {
        return;
    }
    for actor in scenario["workload"].as_array_mut().into_iter().flatten() {
        let Some(member) = actor.get_mut("consumer") else { continue };
        let waits = member["commits"] == "after" || member["commits"] == "before";
        if waits && member["config"]["max.poll.records"] == 1 {
            member["config"]["max.poll.records"] = 20.into();
        }
    }
}

/// Has members speak KIP-848's protocol, where the coordinator says how often they are heard of, and assigns.
fn modernise(member: &mut Value, dice: &mut Dice) {
    let Some(config) = member["config"].as_object_mut() else { return };
    for key in ["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"] {
        config.remove(key);
    }
    config.insert("group.protocol".into(), "consumer".into());
    if dice.one_in(2) {
        config.insert("group.remote.assignor".into(), dice.one(&["uniform", "range"]).into());
    }
}

/// The same request of members that speak KIP-848's protocol.
pub fn modern(api: &str) -> &str {
    match api {
        "JOIN_GROUP" | "SYNC_GROUP" | "HEARTBEAT" => "CONSUMER_GROUP_HEARTBEAT",
        other => other,
    }
}

fn member(name: &str, group: &str, shape: &Shape, dice: &mut Dice) -> Value {
    let mut config = dice.settings(
        2,
        &[
            ("request.timeout.ms", &[1_000, 3_000]),
            ("metadata.max.age.ms", &[500, 5_000]),
            ("max.poll.records", &[1, 20]),
            ("retry.backoff.ms", &[5, 100]),
        ],
    );
    config.insert("fetch.max.wait.ms".into(), dice.one(&[10, 100]).into());
    // A JoinGroup whose answer is lost is waited for that long, and a rebalance waits for whoever does not come.
    config.insert("max.poll.interval.ms".into(), dice.one(&[1_000, 3_000, 6_000]).into());
    config.insert("session.timeout.ms".into(), dice.one(&[700, 1_500, 3_000]).into());
    config.insert("heartbeat.interval.ms".into(), dice.one(&[100, 300]).into());
    config.insert("auto.commit.interval.ms".into(), dice.one(&[50, 300, 1_000]).into());
    config.insert("default.api.timeout.ms".into(), dice.one(&[2_000, 10_000]).into());
    let strategies =
        ["range", "roundrobin", "sticky", "cooperative-sticky", "cooperative-sticky", "range,sticky"];
    config.insert("partition.assignment.strategy".into(), dice.one(&strategies).into());
    let mut member = json!({
        "name": name,
        "count": dice.between(1, 4),
        "group": group,
        "topic": shape.topics[0].name,
        "commits": dice.one(&["auto", "auto", "after", "after", "after_async", "before"]),
        "config": config,
    });
    if dice.one_in(3) {
        // What a poll returns has to be worked through within max.poll.interval.ms, or nobody ever gets on.
        let many = member["config"].get("max.poll.records").is_none();
        let hasty = many && member["config"]["max.poll.interval.ms"] == 1_000;
        member["per_record"] = dice.one(if hasty { &["100us", "1ms"] } else { &["1ms", "3ms"] }).into();
    }
    if dice.one_in(4) {
        member["instance"] = name.into();
    }
    if dice.one_in(3) {
        member["steps"] = steps(shape, dice).into();
    }
    member
}

/// What the application does besides reading: it commits now and then, does something else for too long, leaves and
/// comes back.
fn steps(shape: &Shape, dice: &mut Dice) -> Vec<Value> {
    let mut steps = Vec::new();
    let mut at = dice.between(1_500, 4_000);
    while at < shape.chaos * 1_000 {
        let act = match dice.below(6) {
            0 | 1 => json!({ "commit": { "sync": dice.one_in(2) } }),
            2 | 3 => json!({ "stall": { "for": dice.one(&["300ms", "1s", "2500ms", "4s"]) } }),
            4 => json!({ "unsubscribe": {} }),
            _ => json!({ "commit": {} }),
        };
        let left = act.get("unsubscribe").is_some();
        steps.push(json!({ "at": format!("{at}ms"), "do": act }));
        at += dice.between(100, 2_000);
        if left {
            steps.push(json!({ "at": format!("{at}ms"), "do": { "subscribe": {} } }));
            at += dice.between(100, 2_000);
        }
    }
    steps
}

/// More members of a group, which leave and come back in quick succession, and stand still just when they are given
/// something.
fn come_and_go(steady: &Value, shape: &Shape, dice: &mut Dice) -> Value {
    let mut member = steady.clone();
    let unsteady = &mut member["consumer"];
    unsteady["name"] = "u".into();
    unsteady["count"] = dice.between(1, 2).into();
    if unsteady.get("instance").is_some() {
        unsteady["instance"] = "u".into();
    }
    if unsteady["config"].get("session.timeout.ms").is_some() && dice.one_in(2) {
        // It is believed for longer than others wait for it.
        unsteady["config"]["session.timeout.ms"] = 6_000.into();
    }
    let mut steps: Vec<Value> = Vec::new();
    let mut at = dice.between(1_000, 3_000);
    while at < shape.chaos * 1_000 {
        for _ in 0..dice.between(1, 4) {
            steps.push(json!({ "at": format!("{at}ms"), "do": { "unsubscribe": {} } }));
            at += dice.one(&[1, 20, 100, 400]);
            steps.push(json!({ "at": format!("{at}ms"), "do": { "subscribe": {} } }));
            at += dice.one(&[1, 3, 10, 50, 300]);
            if dice.one_in(3) {
                let long = dice.one(&[300, 1_500, 4_000]);
                steps.push(
                    json!({ "at": format!("{at}ms"), "do": { "stall": { "for": format!("{long}ms") } } }),
                );
                at += dice.one(&[1, long, long]);
            }
        }
        at += dice.between(200, 3_000);
    }
    unsteady["steps"] = steps.into();
    member
}

/// Messages of groups that may be late: who sends them to whom, and whether they are responses. `leader` is the
/// coordinator where the story is about the groups' own partition.
pub const LATE: [(&str, &str, &str, bool); 10] = [
    ("OFFSET_COMMIT", "all:clients", "all:brokers", false),
    ("OFFSET_COMMIT", "all:brokers", "all:clients", true),
    ("JOIN_GROUP", "all:brokers", "all:clients", true),
    ("SYNC_GROUP", "all:clients", "all:brokers", false),
    ("SYNC_GROUP", "all:brokers", "all:clients", true),
    ("HEARTBEAT", "all:clients", "all:brokers", false),
    ("HEARTBEAT", "all:brokers", "all:clients", true),
    ("OFFSET_FETCH", "all:brokers", "all:clients", true),
    ("FETCH", "follower", "leader", false),
    ("FETCH", "leader", "follower", true),
];
