//! Can this cluster be?

use trial_model::config::{BrokerConfig, TopicConfig};

use super::{Checker, Problem, config, partitions};
use crate::scenario::{
    file::{Acks, Actor, Topic},
    text::Place,
    values::{Ratio, Selector},
};

/// How many servers of a kind a scenario may have.
const SERVERS: u32 = 1_000;
/// How many partitions all topics may have together.
const PARTITIONS: u64 = 100_000;

pub fn check(it: &mut Checker<'_>) {
    let topology = &it.scenario.topology;
    let at = it.root.key("topology");
    for (key, count) in [("controllers", topology.controllers), ("brokers", topology.brokers)] {
        if !(1..=SERVERS).contains(&count) {
            it.wrong(at.key(key), format!("a cluster has 1 to {SERVERS} {key}"), format!("not {count}"));
        }
    }
    let broker = config::servers(it, topology, at);
    for (i, topic) in topology.topics.iter().enumerate() {
        let here = at.key("topics").nth(i);
        check_topic(it, topic, here, &broker);
        if let Some(before) = topology.topics[..i].iter().position(|other| other.name == topic.name) {
            let problem = Problem::new(
                format!("two topics are called `{}`", topic.name),
                here.key("name").bytes(),
                "second",
            );
            let problem = problem.with_context(at.key("topics").nth(before).key("name").bytes(), "first");
            it.tell(problem);
        }
    }
    let total: u64 = topology.topics.iter().map(|topic| u64::from(partitions(topic))).sum();
    if total > PARTITIONS {
        it.wrong(
            at.key("topics"),
            format!("a cluster has at most {PARTITIONS} partitions"),
            format!("these have {total}"),
        );
    }
    world(it, at);
}

/// Whether a topic can be created on this cluster.
pub fn check_topic(it: &mut Checker<'_>, topic: &Topic, at: Place<'_>, broker: &BrokerConfig) {
    let letter = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name = topic.name.as_str();
    if name.is_empty() || name.len() > 249 || !name.chars().all(letter) || name == "." || name == ".." {
        it.wrong(
            at.key("name"),
            format!("`{name}` cannot name a topic"),
            "1 to 249 letters, digits, `.`, `_`, `-`",
        );
    } else if name == "__cluster_metadata" {
        it.wrong(at.key("name"), "the controllers' own log is there already", "choose another name");
    }
    if topic.assignment.is_none() && topic.partitions == 0 {
        it.wrong(at.key("partitions"), format!("`{name}` has no partitions"), "at least 1");
    }
    replicas(it, topic, at);
    let config = config::check(it, &topic.config, at.key("config"), TopicConfig::of_broker(broker));
    min_insync(it, topic, at, config.min_insync_replicas);
}

fn replicas(it: &mut Checker<'_>, topic: &Topic, at: Place<'_>) {
    let brokers = it.scenario.topology.brokers;
    let counted = it.root.key("topology").key("brokers").bytes();
    let Some(assignment) = &topic.assignment else {
        if topic.replication == 0 {
            it.wrong(at.key("replication"), format!("`{}` has no replicas", topic.name), "at least 1");
        } else if topic.replication > brokers {
            let title = format!("`{}` cannot have {} replicas", topic.name, topic.replication);
            let problem = Problem::new(
                title,
                at.key("replication").bytes(),
                format!("more than the {brokers} brokers"),
            );
            it.tell(problem.with_context(counted, "brokers"));
        }
        return;
    };
    let at_list = at.key("assignment");
    if assignment.is_empty() {
        it.wrong(at_list, format!("`{}` has no partitions", topic.name), "at least one list of brokers");
    }
    if at.key("partitions").exists() && topic.partitions as usize != assignment.len() {
        let title = format!(
            "`{}` has {} partitions and {} assignments",
            topic.name,
            topic.partitions,
            assignment.len()
        );
        let problem = Problem::new(title, at_list.name(), "one list for each partition");
        it.tell(problem.with_context(at.key("partitions").bytes(), "partitions"));
    }
    for (i, replicas) in assignment.iter().enumerate() {
        if replicas.is_empty() {
            it.wrong(at_list.nth(i), format!("{}-{i} has no replicas", topic.name), "at least one broker");
        }
        for (j, broker) in replicas.iter().enumerate() {
            if !(1..=brokers).contains(broker) {
                let problem = Problem::new(
                    format!("no broker {broker}; there are 1 to {brokers}"),
                    at_list.nth(i).nth(j).bytes(),
                    "unknown broker",
                );
                it.tell(problem.with_context(counted.clone(), "brokers"));
            } else if replicas[..j].contains(broker) {
                let title = format!("broker {broker} has {}-{i} twice", topic.name);
                it.wrong(at_list.nth(i).nth(j), title, "again");
            }
        }
        if at.key("replication").exists() && replicas.len() != topic.replication as usize {
            let title =
                format!("{}-{i} has {} replicas and not {}", topic.name, replicas.len(), topic.replication);
            let problem = Problem::new(title, at_list.nth(i).bytes(), "one broker for each replica");
            it.tell(problem.with_context(at.key("replication").bytes(), "replicas"));
        }
    }
}

/// `min.insync.replicas` that can never be met, where somebody asks for it.
fn min_insync(it: &mut Checker<'_>, topic: &Topic, at: Place<'_>, min: u32) {
    let least = topic.assignment.as_ref().and_then(|all| all.iter().map(Vec::len).min());
    let replicas = least.map_or(topic.replication, |least| u32::try_from(least).unwrap_or(u32::MAX));
    let asked =
        |actor: &Actor| matches!(actor, Actor::Producer(p) if p.topic == topic.name && p.acks == Acks::All);
    let own = at.key("config").key("min.insync.replicas");
    // A topic of which nobody asks for acks=all may have it: that is a lesson, too.
    if min <= replicas || !(own.exists() || it.scenario.workload.iter().any(asked)) {
        return;
    }
    let wrong = if own.exists() {
        own
    } else {
        it.root.key("topology").key("broker_config").key("min.insync.replicas")
    };
    let title = format!("acks=all can never succeed on `{}`", topic.name);
    let problem = Problem::new(title, wrong.bytes(), format!("more than the {replicas} replicas it has"));
    let count = if topic.assignment.is_some() { at.key("assignment") } else { at.key("replication") };
    it.tell(problem.with_context(count.bytes(), "replicas"));
}

/// Network, disk and clocks.
fn world(it: &mut Checker<'_>, at: Place<'_>) {
    let topology = &it.scenario.topology;
    let network = at.key("network");
    certain_loss(it, topology.network.loss.0, network.key("loss"));
    for (i, link) in topology.network.links.iter().enumerate() {
        let here = network.key("links").nth(i);
        for (key, end) in [("from", &link.from), ("to", &link.to)] {
            standing(it, end, here.key(key));
        }
        if let Some(loss) = link.loss {
            certain_loss(it, loss.0, here.key("loss"));
        }
        if link.latency.is_none() && link.bandwidth.is_none() && link.loss.is_none() {
            it.wrong(here, "this link is like every other", "needs `latency`, `bandwidth` or `loss`");
        }
    }
    for (i, clock) in topology.clocks.iter().enumerate() {
        let here = at.key("clocks").nth(i);
        standing(it, &clock.node, here.key("node"));
        drift(it, clock.drift_ppm, here.key("drift_ppm"));
    }
}

/// Refuses a clock that would stand still, run backwards or race.
pub fn drift(it: &mut Checker<'_>, ppm: i32, at: Place<'_>) {
    if !(-500_000..=1_000_000).contains(&ppm) {
        it.wrong(at, format!("no clock drifts by {ppm} millionths"), "from -500000 to 1000000");
    }
}

fn certain_loss(it: &mut Checker<'_>, loss: Ratio, at: Place<'_>) {
    if loss.0 >= loss.1 {
        let problem = Problem::new("everything would be lost", at.bytes(), "less than 1");
        it.tell(problem.with_help("a fault `cut` loses everything".to_string()));
    }
}

/// What is so from the beginning can only be said of nodes, not of roles.
fn standing(it: &mut Checker<'_>, selector: &Selector, at: Place<'_>) {
    match selector {
        Selector::Broker(_) | Selector::Controller(_) | Selector::Client(_) | Selector::All(_) => {
            it.needs_node(selector, at, "");
        }
        _ => it.wrong(
            at,
            format!("`{selector}` is nobody yet: roles are resolved when a fault fires"),
            "a node's name, or all:brokers and the like",
        ),
    }
}
