//! Can the clients do what they are told?

use trial_model::config::{BrokerConfig, ConsumerConfig, ProducerConfig};

use super::{Checker, Problem, config, groups, topology};
use crate::scenario::{
    file::{Acks, Actor, Admin, AdminAction, Consumer, ConsumerAction, Producer},
    text::Place,
    values::{PartitionName, Selector, Span},
};

/// How many processes one actor may be.
const PROCESSES: u32 = 1_000;

pub fn check(it: &mut Checker<'_>) {
    let scenario = it.scenario;
    let mut seen: Vec<(String, usize)> = Vec::new();
    for (i, actor) in scenario.workload.iter().enumerate() {
        let at = it.root.key("workload").nth(i).variant();
        name(it, actor, at, &mut seen, i);
        match actor {
            Actor::Producer(producer) => check_producer(it, producer, at),
            Actor::Consumer(consumer) => check_consumer(it, consumer, at),
            Actor::Admin(admin) => check_admin(it, admin, at),
        }
    }
}

/// A client needs a name that nobody else has and that no selector means.
fn name(it: &mut Checker<'_>, actor: &Actor, at: Place<'_>, seen: &mut Vec<(String, usize)>, nth: usize) {
    let name = actor.name();
    if !(1..=PROCESSES).contains(&actor.count()) {
        let title = format!("`{name}` is 1 to {PROCESSES} processes");
        return it.wrong(at.key("count"), title, format!("not {}", actor.count()));
    }
    match name.parse() {
        Ok(Selector::Client(_)) if name.len() <= 60 => {}
        Ok(Selector::Client(_)) => {
            return it.wrong(at.key("name"), "this name is too long", "at most 60 letters");
        }
        _ => {
            return it.wrong(
                at.key("name"),
                format!("`{name}` cannot name a client"),
                "it means something else",
            );
        }
    }
    let processes = it.scenario.clients().into_iter().filter(|client| client.actor == nth);
    for process in processes {
        if let Some((_, before)) = seen.iter().find(|(known, other)| *known == process.name && *other != nth)
        {
            let problem = Problem::new(
                format!("two clients are called `{}`", process.name),
                at.key("name").bytes(),
                "second",
            );
            let first = it.root.key("workload").nth(*before).variant().key("name");
            it.tell(problem.with_context(first.bytes(), "first"));
            break;
        }
        seen.push((process.name, nth));
    }
}

fn check_producer(it: &mut Checker<'_>, producer: &Producer, at: Place<'_>) {
    let name = &producer.name;
    match producer.partition {
        Some(partition) => {
            let partition = PartitionName { topic: producer.topic.clone(), partition };
            let place = if it.most_partitions(&partition.topic).is_none() {
                at.key("topic")
            } else {
                at.key("partition")
            };
            it.needs_partition(&partition, place, &format!("`{name}` cannot send: "));
        }
        None => it.needs_topic(&producer.topic, at.key("topic"), &format!("`{name}` cannot send: ")),
    }
    let set = config::check(it, &producer.config, at.key("config"), ProducerConfig::default());
    said_twice(
        it,
        at,
        &[
            ("acks", "acks"),
            ("idempotent", "enable.idempotence"),
            ("max_in_flight", "max.in.flight.requests.per.connection"),
        ],
    );
    idempotence(it, producer, at);
    let in_flight = producer.max_in_flight.unwrap_or(set.max_in_flight_requests_per_connection);
    if in_flight == 0 {
        it.wrong(at.key("max_in_flight"), format!("`{name}` could never send anything"), "at least 1");
    }
    if set.delivery_timeout_ms < set.linger_ms + set.request_timeout_ms {
        let title = "delivery.timeout.ms is less than linger.ms and request.timeout.ms together";
        let config = at.key("config");
        let least = (set.linger_ms + set.request_timeout_ms).as_millis();
        let keys = ["delivery.timeout.ms", "request.timeout.ms", "linger.ms"];
        let key = keys.into_iter().find(|key| config.key(key).exists()).unwrap_or(keys[0]);
        it.tell(Problem::new(
            title,
            config.key(key).bytes(),
            format!("Kafka wants delivery.timeout.ms ≥ {least}"),
        ));
    }
    if producer.size.0 > u64::from(set.max_request_size) {
        let title = format!("no record of `{name}` fits into a request");
        it.wrong(at.key("size"), title, format!("max.request.size is {}", set.max_request_size));
    }
    if let Some(keys) = producer.keys {
        use crate::scenario::file::Keys;
        let (Keys::Uniform(keys) | Keys::Zipf(keys) | Keys::Cycle(keys)) = keys;
        if !(1..=1_000_000).contains(&keys.count) {
            let title = format!("`{name}` draws from 1 to 1000000 keys");
            it.wrong(at.key("keys").variant().key("count"), title, format!("not {}", keys.count));
        }
    }
    if producer.tombstones.is_some() && producer.keys.is_none() {
        let title = format!("`{name}` has no keys that it could delete");
        it.wrong(at.key("tombstones"), title, "needs `keys`, too");
    }
    if producer.records == Some(0) {
        it.wrong(at.key("records"), format!("`{name}` sends nothing"), "leave it out instead");
    }
    working_time(it, producer, at);
}

/// Kafka's own words: idempotence wants acks=all and at most five requests in flight.
fn idempotence(it: &mut Checker<'_>, producer: &Producer, at: Place<'_>) {
    if producer.idempotent != Some(true) {
        return;
    }
    if producer.acks != Acks::All {
        let title = format!("`{}` cannot be idempotent with acks={}", producer.name, producer.acks.name());
        let problem = Problem::new(title, at.key("acks").bytes(), "must be \"all\"");
        it.tell(problem.with_context(at.key("idempotent").bytes(), "wanted here"));
    }
    if let Some(in_flight) = producer.max_in_flight.filter(|count| *count > 5) {
        let title = format!("`{}` cannot be idempotent with {in_flight} requests in flight", producer.name);
        let problem = Problem::new(title, at.key("max_in_flight").bytes(), "at most 5");
        it.tell(problem.with_context(at.key("idempotent").bytes(), "wanted here"));
    }
}

/// A key of Kafka's that the actor says in its own field as well.
fn said_twice(it: &mut Checker<'_>, at: Place<'_>, pairs: &[(&str, &str)]) {
    for (field, key) in pairs {
        let kafkas = at.key("config").key(key);
        if !kafkas.exists() {
            continue;
        }
        let problem = Problem::new(
            format!("`{key}` is not set in `config` but by the field `{field}`"),
            kafkas.name(),
            "not here",
        );
        let own = at.key(field);
        it.tell(if own.exists() { problem.with_context(own.name(), "but here") } else { problem });
    }
}

fn working_time(it: &mut Checker<'_>, producer: &Producer, at: Place<'_>) {
    let chaos = it.scenario.phases.chaos;
    let until = producer.until.unwrap_or(chaos);
    if producer.from >= until {
        let key = if producer.until.is_some() { "until" } else { "from" };
        let title = format!("`{}` stops before it begins", producer.name);
        it.wrong(at.key(key), title, format!("it works from {} until {until}", producer.from));
    } else if producer.until.is_some_and(|until| until > chaos) {
        over(it, at.key("until"), until, &format!("`{}` stops too late", producer.name));
    }
}

/// Something lies behind the end of the chaos phase.
fn over(it: &mut Checker<'_>, at: Place<'_>, time: Span, title: &str) {
    let chaos = it.scenario.phases.chaos;
    let problem = Problem::new(title, at.bytes(), format!("{time} is after the chaos phase"));
    it.tell(problem.with_context(it.root.key("phases").key("chaos").bytes(), format!("it ends at {chaos}")));
}

fn check_consumer(it: &mut Checker<'_>, consumer: &Consumer, at: Place<'_>) {
    let name = &consumer.name;
    let title = format!("`{name}` cannot read: ");
    groups::check(it, consumer, at);
    match (&consumer.topic, &consumer.partitions) {
        _ if consumer.group.is_some() => {}
        (Some(_), Some(_)) => {
            let problem = Problem::new(
                format!("`{name}` says twice what it reads"),
                at.key("partitions").name(),
                "and here",
            );
            it.tell(problem.with_context(at.key("topic").name(), "here"));
        }
        (Some(topic), None) => it.needs_topic(topic, at.key("topic"), &title),
        (None, Some(partitions)) => all_partitions(it, partitions, at.key("partitions"), &title),
        (None, None) => {
            let assigns =
                |step: &crate::scenario::file::ConsumerStep| matches!(step.act, ConsumerAction::Assign(_));
            if !consumer.steps.iter().any(assigns) {
                let problem = Problem::new(
                    format!("`{name}` reads nothing"),
                    at.bytes(),
                    "needs `topic` or `partitions`",
                );
                it.tell(Problem { at: at.own_key("name"), ..problem });
            }
        }
    }
    config::check(it, &consumer.config, at.key("config"), ConsumerConfig::default());
    for (i, step) in consumer.steps.iter().enumerate() {
        let here = at.key("steps").nth(i);
        if step.at.0 > it.scenario.ends().1 {
            late_step(it, here.key("at"), step.at);
        }
        let arguments = here.key("do").variant();
        match &step.act {
            ConsumerAction::Seek(seek) => {
                it.needs_partition(&seek.partition, arguments.key("partition"), &title)
            }
            ConsumerAction::Assign(assign) => {
                all_partitions(it, &assign.partitions, arguments.key("partitions"), &title)
            }
            ConsumerAction::SeekToTime(seek) => {
                some_partitions(it, seek.partitions.as_deref(), arguments, &title);
            }
            ConsumerAction::SeekToBeginning(of)
            | ConsumerAction::SeekToEnd(of)
            | ConsumerAction::Pause(of)
            | ConsumerAction::Resume(of)
            | ConsumerAction::EndOffset(of) => {
                some_partitions(it, of.partitions.as_deref(), arguments, &title)
            }
            ConsumerAction::Commit(_) | ConsumerAction::Unsubscribe(_) | ConsumerAction::Subscribe(_) => {
                groups::needs_group(it, consumer, here.key("do"));
            }
            ConsumerAction::Stall(_) => {}
        }
    }
}

fn some_partitions(it: &mut Checker<'_>, partitions: Option<&[PartitionName]>, at: Place<'_>, title: &str) {
    if let Some(partitions) = partitions {
        all_partitions(it, partitions, at.key("partitions"), title);
    }
}

fn all_partitions(it: &mut Checker<'_>, partitions: &[PartitionName], at: Place<'_>, title: &str) {
    for (i, partition) in partitions.iter().enumerate() {
        if partitions[..i].contains(partition) {
            it.wrong(at.nth(i), format!("`{partition}` is named twice"), "again");
        }
        it.needs_partition(partition, at.nth(i), title);
    }
}

fn late_step(it: &mut Checker<'_>, at: Place<'_>, time: Span) {
    let ends = Span(it.scenario.ends().1);
    let problem = Problem::new("this step never comes", at.bytes(), format!("{time} is after the end"));
    it.tell(problem.with_context(it.root.key("phases").bytes(), format!("the run ends at {ends}")));
}

fn check_admin(it: &mut Checker<'_>, admin: &Admin, at: Place<'_>) {
    let name = &admin.name;
    match (&admin.every, admin.ops.is_empty()) {
        (Some(every), false) if every.0.is_zero() => {
            it.wrong(at.key("every"), format!("`{name}` would do nothing else"), "more than 0s");
        }
        (Some(_), true) => {
            it.wrong(at.key("every"), format!("`{name}` has nothing to do"), "needs `ops` to draw from");
        }
        (None, false) => {
            it.tell(Problem::new(
                format!("`{name}` never does any of these"),
                at.key("ops").name(),
                "needs `every`",
            ));
        }
        (None, true) if admin.steps.is_empty() => {
            let title = format!("`{name}` has nothing to do");
            it.tell(Problem::new(title, at.own_key("name"), "needs `steps`, or `every` and `ops`"));
        }
        _ => {}
    }
    for (i, step) in admin.steps.iter().enumerate() {
        let here = at.key("steps").nth(i);
        if step.at.0 > it.scenario.ends().1 {
            late_step(it, here.key("at"), step.at);
        }
        check_action(it, &step.act, here.key("do").variant(), name);
    }
    for (i, action) in admin.ops.iter().enumerate() {
        check_action(it, action, at.key("ops").nth(i).variant(), name);
    }
}

fn check_action(it: &mut Checker<'_>, action: &AdminAction, at: Place<'_>, name: &str) {
    let title = format!("`{name}` asks for what is not there: ");
    match action {
        AdminAction::CreateTopic(topic) => {
            // Told where the brokers' own configuration stands, if it is wrong.
            let mut broker = BrokerConfig::default();
            for (key, setting) in &it.scenario.topology.broker_config {
                let _ = broker.set(key, &setting.0);
            }
            topology::check_topic(it, topic, at, &broker);
        }
        AdminAction::DeleteTopic(of) | AdminAction::DescribeTopic(of) => {
            it.needs_topic(&of.topic, at.key("topic"), &title)
        }
        AdminAction::CreatePartitions(more) => {
            it.needs_topic(&more.topic, at.key("topic"), &title);
            if let Some((nth, topic)) = it.topic(&more.topic)
                && more.total <= super::partitions(topic)
            {
                let has = super::partitions(topic);
                let problem = Problem::new(
                    format!("`{}` has {has} partitions already", more.topic),
                    at.key("total").bytes(),
                    "a topic only grows",
                );
                it.tell(problem.with_context(it.topics().nth(nth).key("partitions").bytes(), "set here"));
            }
        }
        AdminAction::DeleteRecords(delete) => {
            it.needs_partition(&delete.partition, at.key("partition"), &title)
        }
        AdminAction::ElectLeaders(elect) => some_partitions(it, elect.partitions.as_deref(), at, &title),
    }
}
