//! Which cluster, which clients and which faults does a seed draw?
//!
//! Small clusters with settings at their edges: tiny segments, one request in flight, short timeouts. What is
//! drawn is written down as a scenario with every fault in it, so that it can be run, edited and shrunk like
//! one that a person wrote. Swarm testing (Groce et al., ISSTA 2012): a seed leaves out whole kinds of fault
//! and weighs the others differently, for what a kind hides is found where it is missing.

use serde_json::{Map, Value, json};

use super::{
    cleaning,
    dice::Dice,
    faults::{KINDS, Site},
    members,
    workload::workload,
};
use crate::{
    check::{CATALOGUE, Kind},
    director::nemesis,
    scenario::{self, Scenario, file::Fault},
};

/// The topics' names, as many as there are at most.
const TOPICS: [&str; 2] = ["orders", "clicks"];

/// How faults are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taste {
    /// Every kind of fault is switched on and as likely as any other; otherwise a seed leaves kinds out.
    pub uniform: bool,
    /// Any number of faults at once, and nobody has to recover: only what must never happen is judged.
    pub unlimited: bool,
    /// Leadership moves within a second of its leader's silence, operators move it back, and clients hear of it
    /// soon: much happens in a short time.
    pub brisk: bool,
    /// Every cluster has consumer groups; otherwise some have.
    pub groups: bool,
    /// Messages go through Kafka's frames.
    pub wire: bool,
}

/// The scenario of a seed, which is also the seed that it is run with.
pub fn draw(seed: u64, taste: Taste) -> Scenario {
    let (mut scenario, site) = cluster(seed, taste);
    let mut dice = Dice::new(seed, "nemesis");
    let nemesis = drawn_faults(&site, taste, &mut dice);
    scenario.nemesis = serde_json::from_value(nemesis).expect("what is drawn is a nemesis");
    let drawn = nemesis::written_out(&scenario, seed);
    triggered(drawn, &site, taste, &mut Dice::new(seed, "triggered"))
}

/// The cluster and the clients of a seed, without any faults.
pub fn cluster(seed: u64, taste: Taste) -> (Scenario, Site) {
    let shape = Shape::of(&mut Dice::new(seed, "shape"));
    let mut scenario = json!({
        "version": 1,
        "name": "drawn",
        "seed": format!("{seed:#x}"),
        "topology": topology(&shape, taste, &mut Dice::new(seed, "topology")),
        "workload": workload(&shape, taste, &mut Dice::new(seed, "workload")),
        "phases": { "chaos": format!("{}s", shape.chaos), "settle": "60s" },
    });
    let groups = members::dice(seed, taste.groups);
    let has_groups = groups.is_some();
    if let Some(mut dice) = groups {
        let (mut protocols, mut unsteady) =
            (Dice::new(seed, "groups/protocol"), Dice::new(seed, "groups/unsteady"));
        members::put_in(&mut scenario, &shape, &mut dice, &mut protocols, &mut unsteady);
    }
    cleaning::put_in(&mut scenario, &shape, has_groups, &mut Dice::new(seed, "cleaning"));
    hurry(&mut scenario, &mut Dice::new(seed, "first election"));
    if taste.unlimited {
        let safety = CATALOGUE.iter().filter(|info| info.kind == Kind::Safety);
        scenario["properties"] = safety.map(|info| json!({ "check": info.name })).collect();
    }
    if taste.wire {
        scenario["wire"] = true.into();
    }
    let text = scenario.to_string();
    let scenario = scenario::load(&text, &[])
        .unwrap_or_else(|problems| panic!("what is drawn is a scenario: {text}\n{problems:#?}"));
    let site = Site::of(&scenario);
    (scenario, site)
}

/// A scenario with those of `faults` besides its own that make sense in it. What is drawn fault by fault may
/// not: somebody's follower where there is one replica, a link to oneself.
pub fn with(mut scenario: Scenario, faults: impl IntoIterator<Item = Fault>) -> Scenario {
    for fault in faults {
        scenario.faults.push(fault);
        if !is_sound(&scenario) {
            scenario.faults.pop();
        }
    }
    scenario
}

/// Whether a scenario can be loaded once it is written, and comes back the same.
pub fn is_sound(scenario: &Scenario) -> bool {
    let text = serde_json::to_string(scenario).expect("a scenario can be written");
    scenario::load(&text, &[]).is_ok_and(|read| read == *scenario)
}

/// What the other parts must agree on.
pub struct Shape {
    controllers: u32,
    brokers: u32,
    pub topics: Vec<Topic>,
    /// In seconds.
    pub chaos: u64,
    /// Whether messages take long: then there are fewer of them, or a reader of a log of tiny segments, one of
    /// which each fetch returns, is not through by the end.
    pub far: bool,
}

pub struct Topic {
    pub name: &'static str,
    pub partitions: u32,
    pub replication: u32,
    pub min_insync: u32,
    segment: Option<u64>,
    flushes: bool,
    /// Whether it takes small batches only.
    pub refuses_large: bool,
    /// Whether it is deleted and created again while clients use it.
    pub comes_and_goes: bool,
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
                flushes: dice.one_in(3),
                refuses_large: dice.one_in(6),
                comes_and_goes: false,
            }
        };
        let topics = if dice.one_in(4) { 2 } else { 1 };
        let comes_and_goes = dice.one_in(8);
        let mut shape = Shape {
            controllers: dice.one(&[1, 3, 3, 3, 3, 5]),
            brokers,
            topics: TOPICS[..topics].iter().map(|name| topic(name, dice)).collect(),
            chaos: dice.one(&[6, 8, 12]),
            far: dice.one_in(4),
        };
        if let Some(last) = shape.topics.last_mut() {
            last.comes_and_goes = comes_and_goes;
        }
        shape
    }

    /// How many brokers there are.
    pub fn brokers(&self) -> u32 {
        self.brokers
    }

    fn partitions(&self) -> Vec<String> {
        let of = |topic: &Topic| (0..topic.partitions).map(|nth| format!("{}-{nth}", topic.name)).collect();
        self.topics.iter().flat_map(|topic| -> Vec<String> { of(topic) }).collect()
    }

    /// One of the partitions.
    pub fn partition(&self, dice: &mut Dice) -> String {
        let all = self.partitions();
        all[dice.between(0, all.len() as u64 - 1) as usize].clone()
    }
}

fn topology(shape: &Shape, taste: Taste, dice: &mut Dice) -> Value {
    let quorum: &[(&str, &[u64])] = &[("controller.quorum.fetch.timeout.ms", &[400, 800, 2_000])];
    let fetch_timeout = dice.settings(3, quorum);
    let heartbeat = if taste.brisk { 100 } else { dice.one(&[100, 300, 700]) };
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
            ("metadata.log.max.record.bytes.between.snapshots", &[100, 300, 1_000, 3_000]),
            ("metadata.max.retention.bytes", &[300, 500, 2_000]),
            ("leader.imbalance.check.interval.seconds", &[1, 3]),
        ],
    );
    controllers.insert(
        "broker.session.timeout.ms".into(),
        (heartbeat * dice.one(if taste.brisk { &[5, 6, 6] } else { &[3, 5, 9] })).into(),
    );
    controllers.extend(fetch_timeout);
    // A metadata log that never rests: whoever must have all of it is always a little behind.
    if dice.one_in(8) {
        controllers.insert("metadata.max.idle.interval.ms".into(), dice.one(&[10, 20, 50]).into());
    }
    if dice.one_in(6) {
        controllers.insert("eligible.leader.replicas.enable".into(), false.into());
    }
    json!({
        "controllers": shape.controllers,
        "brokers": shape.brokers,
        "broker_config": brokers,
        "controller_config": controllers,
        "topics": shape.topics.iter().map(|topic| topic_of(topic, dice)).collect::<Vec<_>>(),
        "network": network(shape, dice),
        "disk": disk(dice),
    })
}

const FIRST_ELECTION: &str = "controller.quorum.first.election.timeout.ms";

/// One in eight clusters begins as a served one does: its voters do not wait for long before the first election.
fn hurry(scenario: &mut Value, dice: &mut Dice) {
    if let Some(config) = scenario["topology"]["controller_config"].as_object_mut()
        && dice.one_in(8)
    {
        config.insert(FIRST_ELECTION.into(), dice.one(&[5, 50]).into());
    }
}

/// Most disks are as fast as any; some take their time with everything, or with what is forced to the platter.
/// Not too long: a log of a thousand segments that are read back and flushed one by one must be up by the end.
fn disk(dice: &mut Dice) -> Value {
    let slow = |mean: u64| json!({ "min": format!("{}us", mean * 500), "mean": format!("{mean}ms"), "max": format!("{}ms", mean * 4) });
    match dice.between(0, 5) {
        0 => json!({ "flush": slow(dice.one(&[3, 8])) }),
        1 => json!({ "read": slow(1), "write": slow(dice.one(&[1, 3])) }),
        _ => json!({}),
    }
}

fn network(shape: &Shape, dice: &mut Dice) -> Value {
    if shape.far {
        return json!({ "latency": { "min": "1ms", "mean": "10ms", "max": "100ms" }, "loss": "1/200" });
    }
    match dice.one_in(3) {
        true => json!({ "latency": { "min": "50us", "mean": "2ms", "max": "40ms" } }),
        false => json!({}),
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
    if dice.one_in(5) {
        config.insert("unclean.leader.election.enable".into(), true.into());
    }
    // Some batches are too large, and are refused for good.
    if topic.refuses_large {
        config.insert("max.message.bytes".into(), dice.one(&[400, 700]).into());
    }
    if dice.one_in(8) {
        config.insert("retention.bytes".into(), dice.one(&[5_000, 50_000]).into());
        config.insert("file.delete.delay.ms".into(), 500.into());
    }
    json!({ "name": topic.name, "partitions": topic.partitions, "replication": topic.replication, "config": config })
}

/// Faults that follow on something that happens.
fn triggered(scenario: Scenario, site: &Site, taste: Taste, dice: &mut Dice) -> Scenario {
    let many = if taste.unlimited { dice.between(1, 6) } else { dice.one(&[0, 1, 1, 2, 3, 4]) };
    // The kinds that this seed has at all.
    let some: Vec<&str> = (0..dice.between(1, 4)).map(|_| dice.one(&KINDS)).collect();
    let kinds = if taste.uniform { &KINDS[..] } else { &some };
    let faults = site.chain("t", many, kinds, dice);
    with(scenario, faults)
}

fn drawn_faults(site: &Site, taste: Taste, dice: &mut Dice) -> Value {
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
    let mut weights = Map::new();
    for kind in KINDS {
        let (drawn, left_out) = (dice.between(0, 5), dice.one_in(3));
        let weight = match (taste.uniform, left_out) {
            (true, _) => 1,
            (_, true) => 0,
            _ => drawn,
        };
        if weight > 0 {
            weights.insert(kind.into(), weight.into());
        }
    }
    if weights.is_empty() {
        weights.insert("crash".into(), 1.into());
    }
    let every: u64 = dice.one(&[150, 400, 1_000]);
    let lasts: u64 = dice.one(&[100, 500, 1_500]);
    let spread = |mean: u64| json!({ "min": format!("{}ms", mean / 10), "mean": format!("{mean}ms"), "max": format!("{}ms", mean * 6) });
    let ends = format!("{}ms", site.chaos() - 1_000);
    let mut nemesis = json!({
        "between": ["2s", ends],
        "every": spread(every),
        "lasts": spread(lasts),
        "at_most": dice.between(1, 4),
        "weights": weights,
    });
    if taste.unlimited {
        nemesis["at_most"] = 20.into();
        nemesis["keep"] = json!({ "controllers": "nothing", "brokers": "nothing" });
    }
    nemesis
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        nth_seed,
        scenario::file::{Disk, Network},
    };

    #[test]
    fn whatever_is_drawn_is_a_scenario_and_reads_back() {
        for index in 0..2_000 {
            let scenario = draw(
                nth_seed(1, index),
                Taste {
                    uniform: index % 3 == 0,
                    unlimited: index % 5 == 0,
                    brisk: index % 7 == 0,
                    groups: index % 2 == 0,
                    wire: index % 11 == 0,
                },
            );
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
            let scenario = draw(nth_seed(2, index), Taste::default());
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
    fn who_waits_for_every_commit_is_spared_a_slow_disk_and_network() {
        let (mut waits, mut slow) = (0, 0);
        for index in 0..400 {
            let scenario = draw(nth_seed(3, index), Taste { groups: true, ..Taste::default() });
            let topology = &scenario.topology;
            let is_slow = topology.disk != Disk::default() || topology.network != Network::default();
            let scenario = serde_json::to_value(&scenario).expect("it can be written");
            let actors = scenario["workload"].as_array().expect("it has a workload").iter();
            let one_by_one = actors.filter(|actor| {
                let member = &actor["consumer"];
                let one = member["config"]["max.poll.records"].to_string().trim_matches('"') == "1";
                one && (member["commits"] == "after" || member["commits"] == "before")
            });
            let any = one_by_one.count() > 0;
            waits += u32::from(any);
            slow += u32::from(is_slow);
            assert!(!any || !is_slow, "{scenario:#}");
        }
        assert!(waits > 10 && slow > 10, "{waits} wait for every commit, {slow} have a slow disk");
    }

    #[test]
    fn some_begin_without_waiting_for_long() {
        let hurried = |index| {
            let scenario = draw(nth_seed(4, index), Taste::default());
            scenario.topology.controller_config.contains_key(FIRST_ELECTION)
        };
        let many = (0..200).filter(|index| hurried(*index)).count();
        assert!((10..60).contains(&many), "{many} of 200");
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let drawn = |seed| draw(seed, Taste::default());
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7).faults, drawn(8).faults);
    }
}
