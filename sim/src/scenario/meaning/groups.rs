//! Can the members of groups be members?

use trial_model::{
    client::pattern::Pattern,
    config::{BrokerConfig, ConsumerConfig, GroupProtocolChoice},
};

use super::{Checker, Problem};
use crate::scenario::{
    file::{Actor, CommitPolicy, Config, Consumer},
    text::Place,
};

/// What only a member of a group has.
const OF_MEMBERS: [&str; 5] = ["topics", "pattern", "instance", "per_record", "commits"];

pub fn check(it: &mut Checker<'_>, consumer: &Consumer, at: Place<'_>) {
    keys(it, consumer, at);
    if consumer.group.is_none() {
        for field in OF_MEMBERS {
            if at.key(field).exists() {
                let title = format!("`{field}` is for members of a group");
                it.tell(Problem::new(title, at.key(field).name(), "needs `group`"));
            }
        }
        return;
    }
    if consumer.group.as_deref() == Some("") {
        it.wrong(at.key("group"), "a group has a name", "not an empty one");
    }
    reads(it, consumer, at);
    sessions(it, consumer, at);
}

/// A step that only a member of a group can take.
pub fn needs_group(it: &mut Checker<'_>, consumer: &Consumer, at: Place<'_>) {
    if consumer.group.is_none() {
        let title = format!("`{}` is in no group", consumer.name);
        it.tell(Problem::new(title, at.bytes(), "needs `group`"));
    }
}

/// The group and the instance are named by the actor, not by its configuration.
fn keys(it: &mut Checker<'_>, consumer: &Consumer, at: Place<'_>) {
    for (key, field) in [("group.id", "group"), ("group.instance.id", "instance")] {
        if consumer.config.contains_key(key) {
            let problem = Problem::new(
                format!("`{key}` is said elsewhere"),
                at.key("config").key(key).name(),
                "not here",
            );
            it.tell(problem.with_help(Some(format!("write `\"{field}\"` next to `\"name\"`"))));
        }
    }
    let auto = consumer.config.get("enable.auto.commit").map(|setting| setting.0 == "true");
    let by_itself = consumer.commits.is_none_or(|policy| policy == CommitPolicy::Auto);
    if auto.is_some_and(|auto| auto != by_itself) && consumer.group.is_some() {
        let here = at.key("config").key("enable.auto.commit");
        let problem = Problem::new("`enable.auto.commit` contradicts `commits`", here.bytes(), "set here");
        it.tell(problem.with_context(at.key("commits").bytes(), "and here"));
    }
}

fn reads(it: &mut Checker<'_>, consumer: &Consumer, at: Place<'_>) {
    let name = &consumer.name;
    let title = format!("`{name}` cannot read: ");
    if consumer.partitions.is_some() {
        let problem = Problem::new(
            format!("`{name}` is given its partitions by its group"),
            at.key("partitions").name(),
            "not by hand",
        );
        return it.tell(problem.with_context(at.key("group").bytes(), "its group"));
    }
    let ways = [consumer.topic.is_some(), !consumer.topics.is_empty(), consumer.pattern.is_some()];
    match ways.iter().filter(|way| **way).count() {
        0 => {
            let problem = Problem::new(
                format!("`{name}` reads nothing"),
                at.own_key("name"),
                "needs `topic`, `topics` or `pattern`",
            );
            it.tell(problem);
        }
        1 => {}
        _ => it.wrong(
            at,
            format!("`{name}` says twice what it reads"),
            "one of `topic`, `topics` and `pattern`",
        ),
    }
    if let Some(pattern) = &consumer.pattern
        && !Pattern(pattern.as_str().into()).is_valid()
    {
        let title = format!("{title}`{pattern}` is no regular expression");
        it.wrong(at.key("pattern"), title, "in the syntax of RE2, as Kafka's brokers read it");
    }
    if let Some(topic) = &consumer.topic {
        it.needs_topic(topic, at.key("topic"), &title);
    }
    for (i, topic) in consumer.topics.iter().enumerate() {
        it.needs_topic(topic, at.key("topics").nth(i), &title);
    }
}

/// With `group.protocol=consumer` the coordinator says how often its members are heard of, and assigns.
const OF_CLASSIC_MEMBERS: [&str; 3] =
    ["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"];

/// A session that no broker takes, or that is over before the first heartbeat, makes no member.
fn sessions(it: &mut Checker<'_>, consumer: &Consumer, at: Place<'_>) {
    let mut broker = BrokerConfig::default();
    set(&it.scenario.topology.broker_config, |key, text| drop(broker.set(key, text)));
    let mut own = ConsumerConfig::default();
    set(&consumer.config, |key, text| drop(own.set(key, text)));
    if own.group_protocol == GroupProtocolChoice::Consumer {
        for key in OF_CLASSIC_MEMBERS {
            let here = at.key("config").key(key);
            if here.exists() {
                let title = format!("`{key}` is not for `group.protocol` = `consumer`");
                let problem = Problem::new(title, here.name(), "Kafka's consumer refuses it");
                it.tell(problem.with_context(at.key("config").key("group.protocol").bytes(), "set here"));
            }
        }
        return;
    }
    let session = own.session_timeout_ms;
    let here = at.key("config").key("session.timeout.ms");
    let (least, most) = (broker.group_min_session_timeout_ms, broker.group_max_session_timeout_ms);
    if !(least..=most).contains(&session) {
        let problem = Problem::new(
            format!("no coordinator takes `{}` in", consumer.name),
            if here.exists() { here.bytes() } else { at.own_key("name") },
            format!("session.timeout.ms is {} ms", session.as_millis()),
        );
        let help = format!(
            "brokers allow {} to {} ms (group.min.session.timeout.ms, group.max.session.timeout.ms)",
            least.as_millis(),
            most.as_millis()
        );
        it.tell(problem.with_help(Some(help)));
    } else if own.heartbeat_interval_ms >= session {
        let beat = at.key("config").key("heartbeat.interval.ms");
        it.tell(Problem::new(
            format!("`{}` is silent for longer than its session", consumer.name),
            if beat.exists() {
                beat.bytes()
            } else if here.exists() {
                here.bytes()
            } else {
                at.own_key("name")
            },
            "heartbeat.interval.ms must be below session.timeout.ms",
        ));
    }
}

fn set(config: &Config, mut each: impl FnMut(&str, &str)) {
    for (key, setting) in config {
        each(key, &setting.0);
    }
}

/// The names of the scenario's groups.
pub fn names<'a>(it: &Checker<'a>) -> Vec<&'a str> {
    let groups = it.scenario.workload.iter().filter_map(|actor| match actor {
        Actor::Consumer(consumer) => consumer.group.as_deref(),
        _ => None,
    });
    let mut names: Vec<&str> = groups.collect();
    names.sort_unstable();
    names.dedup();
    names
}
