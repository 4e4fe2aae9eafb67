//! What can be said in a conversation?
//!
//! | command | does |
//! |---|---|
//! | `nodes controllers=3 brokers=3 KEY=VALUE…` | makes room for servers, set up alike |
//! | `client p1 producer KEY=VALUE…` | makes room for a client and starts it |
//! | `boot [but NODE…]` | starts the servers and waits until they serve |
//! | `topic orders 1,2,3 KEY=VALUE…` | creates a topic with these replicas, and waits for its leader |
//! | `watch KIND…` | from now on events of these kinds are told; `isr.*` for a family |
//! | `run 500ms`, `until NODE KIND [WORDS]` | lets time pass |
//! | `start`, `crash`, `power-loss [torn=N]`, `shutdown` NODE | begins and ends lives |
//! | `cut A B`, `cut A → B`, `heal` | the network |
//! | `hold A B [API]`, `deliver A B [API]`, `drop A B [API]`, `release A B` | mail by hand |
//! | `hold-disk NODE all\|flush`, `disk NODE`, `release-disk NODE` | disks by hand |
//! | `tell CLIENT send\|assign\|seek\|…` | an application speaks |
//! | `produce`, `fetch`, `offsets`, `epoch-end`, `vote`, `delete-records`, `init-producer-id` | the hand asks a server itself |
//! | `show orders-0`, `state orders-0`, `brokers`, `quorum` | looks without touching |

use std::{fmt::Write as _, time::Duration};

use trial_model::{
    client::{Command, NamedPartition, NewRecord},
    config::{ConsumerConfig, ProducerConfig},
    event::{Event, RecordTag},
    node::Role,
    protocol::{ApiKey, list_offsets::OffsetSpec},
    time::Timestamp,
    units::{NodeId, Offset, TopicPartition},
};

use super::{
    asking, show,
    world::{DiskHold, HAND, Heard, World},
};

/// How long a question of the hand is waited for.
const ANSWER: Duration = Duration::from_millis(20);

/// One conversation under way.
#[derive(Default)]
pub struct Stage {
    world: World,
    watch: Vec<String>,
    clients: u32,
    sent: u64,
}

/// The words of one command: plain ones in order, and `key=value`.
pub struct Words<'a> {
    line: &'a str,
    plain: Vec<&'a str>,
    named: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Words<'a> {
        let (named, plain): (Vec<&str>, Vec<&str>) =
            line.split_whitespace().partition(|word| word.contains('='));
        Words { line, plain, named: named.iter().filter_map(|word| word.split_once('=')).collect() }
    }

    /// The plain word at a place; the command itself is the first.
    pub fn word(&self, at: usize) -> &'a str {
        self.plain.get(at).copied().unwrap_or_else(|| panic!("a word is missing in `{}`", self.line))
    }

    /// The plain words from a place on.
    pub fn from(&self, at: usize) -> &[&'a str] {
        self.plain.get(at..).unwrap_or_default()
    }

    /// What a key is set to.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.named.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    /// The number that a key is set to.
    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        let value = self.get(key)?;
        Some(value.parse().unwrap_or_else(|_| panic!("`{value}` is no number in `{}`", self.line)))
    }
}

fn duration(text: &str) -> Duration {
    let millis = text.strip_suffix("ms").map(str::parse::<u64>);
    let seconds = text.strip_suffix('s').map(str::parse::<u64>);
    match (millis, seconds) {
        (Some(Ok(millis)), _) => Duration::from_millis(millis),
        (_, Some(Ok(seconds))) => Duration::from_secs(seconds),
        _ => panic!("expected a time such as 500ms, not `{text}`"),
    }
}

fn api(name: &str) -> ApiKey {
    let found = ApiKey::ALL.iter().copied().find(|api| api.name() == name);
    found.unwrap_or_else(|| panic!("there is no request called `{name}`"))
}

impl Stage {
    /// Carries out one command; what was heard meanwhile.
    pub fn run(&mut self, line: &str) -> String {
        let words = Words::of(line);
        match words.word(0) {
            "nodes" => self.make_room(&words),
            "client" => self.client(&words),
            "boot" => self.boot(&words),
            "topic" => self.topic(&words),
            "watch" => self.watch = words.from(1).iter().map(|kind| (*kind).into()).collect(),
            "run" => self.world.run(duration(words.word(1))),
            "until" => self.until(&words),
            "start" => self.each(&words, |world, node| world.start(node)),
            "crash" => self.each(&words, |world, node| world.crash(node)),
            "power-loss" => {
                let torn = words.number("torn");
                self.each(&words, |world, node| world.lose_power(node, torn));
            }
            "shutdown" => self.each(&words, |world, node| world.tell(node, Command::Shutdown)),
            "cut" | "heal" => self.network(&words),
            "hold" | "deliver" | "drop" | "release" => self.mail(&words),
            "hold-disk" => {
                let what = if words.word(2) == "all" { DiskHold::All } else { DiskHold::Flush };
                self.world.hold_disk(self.node(words.word(1)), what);
            }
            "disk" => drop(self.world.work_disk(self.node(words.word(1)))),
            "release-disk" => self.world.release_disk(self.node(words.word(1))),
            "tell" => self.tell(&words),
            "show" => return show::replicas(&self.world, words.word(1)),
            "state" => return show::state(&self.world, words.word(1)),
            "brokers" => return show::brokers(&self.world),
            "quorum" => return show::quorum(&self.world),
            _ => self.ask(&words),
        };
        let () = ();
        if matches!(words.word(0), "deliver" | "disk" | "tell" | "release" | "release-disk" | "drop") {
            self.world.run(ANSWER);
        }
        self.told()
    }

    fn node(&self, name: &str) -> NodeId {
        if name == "active" {
            return self.world.active().expect("a controller is active");
        }
        self.world.names.node_named(name).unwrap_or_else(|| panic!("nobody is called `{name}`"))
    }

    fn each(&mut self, words: &Words<'_>, mut what: impl FnMut(&mut World, NodeId)) {
        for name in words.from(1) {
            let node = self.node(name);
            what(&mut self.world, node);
        }
    }

    fn make_room(&mut self, words: &Words<'_>) {
        let given: Vec<(&str, &str)> = words
            .named
            .iter()
            .filter(|(key, _)| !matches!(*key, "brokers" | "controllers"))
            .copied()
            .collect();
        let (controllers, brokers) = (words.number("controllers"), words.number("brokers"));
        self.world.make_room(controllers.unwrap_or(3), brokers.unwrap_or(3), &given);
    }

    fn client(&mut self, words: &Words<'_>) {
        self.clients += 1;
        let id = NodeId::client(1 + self.clients);
        let (mut producer, mut consumer) = (ProducerConfig::default(), ConsumerConfig::default());
        let is_producer = words.word(2) == "producer";
        for (key, value) in &words.named {
            let set = if is_producer { producer.set(key, value) } else { consumer.set(key, value) };
            set.unwrap_or_else(|error| panic!("{key}={value}: {error}"));
        }
        let role = if is_producer { Role::Producer(producer) } else { Role::Consumer(consumer) };
        self.world.names.call(id, words.word(1));
        self.world.add(id, role);
        self.world.start(id);
        self.world.run(ANSWER);
    }

    /// Starts every server that is not left out, and waits until it serves.
    fn boot(&mut self, words: &Words<'_>) {
        let left_out: Vec<NodeId> = words.from(2).iter().map(|name| self.node(name)).collect();
        self.world.boot(&left_out);
    }

    fn topic(&mut self, words: &Words<'_>) {
        let replicas = |text: &str| -> Vec<u32> {
            text.split(',').map(|nth| nth.parse().expect("a broker's number")).collect()
        };
        let assignment: Vec<Vec<u32>> = words.from(2).iter().map(|text| replicas(text)).collect();
        self.world.create_topic(words.word(1), &assignment, &words.named);
    }

    fn until(&mut self, words: &Words<'_>) {
        let (node, kind) = (words.word(1), words.word(2));
        let text = words.from(3).join(" ");
        let node = (node != "any").then(|| self.node(node));
        let seen = |world: &World| {
            world.heard.iter().any(|heard| match heard {
                Heard::Event(by, event) => {
                    node.is_none_or(|node| node == *by)
                        && event.kind().name() == kind
                        && event.show(&world.names).to_string().contains(&text)
                }
                _ => false,
            })
        };
        assert!(self.world.wait(seen), "it never came: `{}`; heard:\n{}", words.line, self.told());
    }

    fn network(&mut self, words: &Words<'_>) {
        if words.word(0) == "heal" {
            return self.world.heal();
        }
        let one_way = words.word(2) == "→";
        let (from, to) = (self.node(words.word(1)), self.node(words.word(if one_way { 3 } else { 2 })));
        self.world.cut(from, to);
        if !one_way {
            self.world.cut(to, from);
        }
    }

    fn mail(&mut self, words: &Words<'_>) {
        let (from, to) = (self.node(words.word(1)), self.node(words.word(2)));
        let api = words.from(3).first().map(|name| api(name));
        let take = |world: &mut World| {
            let letter = world.take_held(from, to, api);
            letter.unwrap_or_else(|| panic!("no such message is held: `{}`", words.line))
        };
        match words.word(0) {
            "hold" => self.world.hold(from, to, api),
            "release" => self.world.release(from, to),
            "deliver" => {
                let letter = take(&mut self.world);
                self.world.deliver(letter);
            }
            _ => {
                let letter = take(&mut self.world);
                self.world.lose(&letter);
            }
        }
    }

    fn named(&self, name: &str) -> NamedPartition {
        let (topic, partition) = name.rsplit_once('-').expect("a partition such as orders-0");
        NamedPartition { topic: topic.into(), partition: partition.parse().expect("a partition's number") }
    }

    fn tell(&mut self, words: &Words<'_>) {
        let node = self.node(words.word(1));
        let place = |at: usize| self.named(words.word(at));
        let places = || words.from(3).iter().map(|name| self.named(name)).collect();
        let command = match words.word(2) {
            "send" => return self.send(node, words),
            "flush" => Command::Flush,
            "assign" => Command::Assign(places()),
            "pause" => Command::Pause(places()),
            "resume" => Command::Resume(places()),
            "end-offset" => Command::EndOffset(place(3)),
            "seek" => match words.word(4) {
                "start" => Command::SeekTo(place(3), OffsetSpec::Earliest),
                "end" => Command::SeekTo(place(3), OffsetSpec::Latest),
                at => match at.strip_prefix("time:") {
                    Some(time) => {
                        let time = Timestamp(time.parse().expect("a time in milliseconds"));
                        Command::SeekTo(place(3), OffsetSpec::Time(time))
                    }
                    None => Command::Seek(place(3), Offset(at.parse().expect("an offset"))),
                },
            },
            other => panic!("nobody can be told to {other}"),
        };
        self.world.tell(node, command);
    }

    fn send(&mut self, node: NodeId, words: &Words<'_>) {
        let place = self.named(words.word(3));
        for value in words.from(4) {
            self.sent += 1;
            let record = NewRecord {
                tag: RecordTag(self.sent),
                topic: place.topic.clone(),
                partition: Some(place.partition),
                key: None,
                value: Some((*value).to_owned().into()),
                headers: Vec::new(),
                timestamp: None,
            };
            self.world.tell(node, Command::Send(record));
        }
    }

    fn ask(&mut self, words: &Words<'_>) {
        let to = self.node(words.word(1));
        let request = asking::request(&self.world.names, words);
        self.world.ask(to, request);
        self.world.run(words.get("for").map_or(ANSWER, duration));
    }

    /// What was heard and is watched for, a line each.
    fn told(&mut self) -> String {
        let heard = std::mem::take(&mut self.world.heard);
        let names = &self.world.names;
        let mut out = String::new();
        for heard in heard {
            let line = match heard {
                Heard::Event(node, event) if self.is_watched(&event) => {
                    format!("{} {} {}", names.node_name(node), event.kind().name(), event.show(names))
                }
                Heard::Event(..) => continue,
                Heard::Answer(node, response) => {
                    format!("{} answers {}", names.node_name(node), asking::answer(names, &response))
                }
                Heard::Broken(node) => format!("{} is not reached", names.node_name(node)),
                Heard::Held(letter) => format!(
                    "held: {} → {} {}{}",
                    if letter.from == HAND { "hand".into() } else { names.node_name(letter.from) },
                    if letter.to == HAND { "hand".into() } else { names.node_name(letter.to) },
                    letter.api.name(),
                    if letter.answer { " answer" } else { "" }
                ),
            };
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out
    }

    fn is_watched(&self, event: &Event) -> bool {
        let kind = event.kind().name();
        let watched = self.watch.iter().any(|watch| match watch.strip_suffix('*') {
            Some(family) => kind.starts_with(family),
            None => watch == kind,
        });
        // The metadata log has words of its own: `quorum.*`, `snapshot.*`, `metadata.apply`.
        let of_metadata = event.partition().is_some_and(TopicPartition::is_metadata);
        watched && !of_metadata && show::is_told_by_the_active_one(event)
    }
}
