//! Which single fault can be drawn for a cluster, and for which moment?
//!
//! Used wherever faults are drawn one by one: those that follow on events, those that hold messages back, those
//! that guidance adds. They name roles rather than nodes, so that they do the same under other seeds.

use serde_json::{Value, json};
use trial_model::group::OFFSETS_TOPIC;

use super::dice::Dice;
use crate::scenario::{
    Scenario,
    file::{Action, Actor, Consumer, Fault},
};

/// What faults can hit in a cluster.
pub struct Site {
    partitions: Vec<(String, u32)>,
    brokers: u32,
    controllers: u32,
    clients: Vec<String>,
    /// The clients that are members of groups.
    members: Vec<String>,
    /// Whether all of them speak KIP-848's protocol.
    modern: bool,
    /// How long anything may break, in milliseconds.
    chaos: u64,
}

/// Kinds of fault that can be drawn singly.
pub const KINDS: [&str; 19] = [
    "crash",
    "crash",
    "power_loss",
    "lose_disk",
    "disk_error",
    "shutdown",
    "pause",
    "slow_node",
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
];

/// Events about a partition that a fault may follow on.
pub const OF_PARTITIONS: [&str; 14] = [
    "leader.elected",
    "leader.start",
    "follower.start",
    "isr.propose",
    "isr.shrink",
    "isr.expand",
    "isr.adopt",
    "isr.refuse",
    "log.truncate",
    "log.roll",
    "log.recover",
    "hw.advance",
    "produce.retry",
    "fetch.diverge",
];

/// Events of nodes that a fault may follow on.
pub const OF_NODES: [&str; 15] = [
    "controller.elected",
    "controller.resigned",
    "quorum.vote",
    "quorum.elected",
    "quorum.role",
    "broker.fenced",
    "broker.unfenced",
    "broker.register",
    "broker.state",
    "broker.leaving",
    "snapshot.write",
    "snapshot.load",
    "producer.epoch",
    "node.start",
    "node.crash",
];

/// Requests that may be lost or late: who sends them to whom.
pub const MESSAGES: [(&str, &str, &str); 17] = [
    ("PRODUCE", "clients", "brokers"),
    ("FETCH", "brokers", "brokers"),
    ("FETCH", "clients", "brokers"),
    ("FETCH", "brokers", "controllers"),
    ("FETCH", "controllers", "controllers"),
    ("OFFSET_FOR_LEADER_EPOCH", "brokers", "brokers"),
    ("OFFSET_FOR_LEADER_EPOCH", "clients", "brokers"),
    ("LIST_OFFSETS", "clients", "brokers"),
    ("METADATA", "clients", "brokers"),
    ("ALTER_PARTITION", "brokers", "controllers"),
    ("BROKER_HEARTBEAT", "brokers", "controllers"),
    ("BROKER_REGISTRATION", "brokers", "controllers"),
    ("ALLOCATE_PRODUCER_IDS", "brokers", "controllers"),
    ("INIT_PRODUCER_ID", "clients", "brokers"),
    ("VOTE", "controllers", "controllers"),
    ("BEGIN_QUORUM_EPOCH", "controllers", "controllers"),
    ("FETCH_SNAPSHOT", "servers", "controllers"),
];

/// Whether whom a fault hits starts again.
fn comes_back(fault: &Fault) -> bool {
    matches!(fault.act, Action::Crash(_) | Action::Shutdown(_) | Action::LoseDisk(_))
}

impl Site {
    /// What can be hit in the cluster of a scenario.
    pub fn of(scenario: &Scenario) -> Site {
        let topics = &scenario.topology.topics;
        let partitions = topics.iter().flat_map(|topic| {
            (0..topic.partitions).map(|nth| (format!("{}-{nth}", topic.name), topic.replication))
        });
        let members = members_of(scenario);
        // Whoever leads it looks after groups.
        let replication = scenario.topology.brokers.min(3);
        let offsets = (!members.is_empty()).then(|| (format!("{OFFSETS_TOPIC}-0"), replication));
        Site {
            partitions: partitions.chain(offsets).collect(),
            members,
            modern: are_modern(scenario),
            brokers: scenario.topology.brokers,
            controllers: scenario.topology.controllers,
            clients: scenario.clients().into_iter().map(|client| client.name).collect(),
            chaos: u64::try_from(scenario.phases.chaos.0.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The clients that are members of groups.
    pub fn members(&self) -> &[String] {
        &self.members
    }

    /// Whether there are such, and all of them speak KIP-848's protocol.
    pub fn are_modern(&self) -> bool {
        self.modern
    }

    /// How long anything may break, in milliseconds.
    pub fn chaos(&self) -> u64 {
        self.chaos
    }

    fn partition(&self, dice: &mut Dice) -> (&str, u32) {
        match self.partitions.get(dice.below(self.partitions.len() as u64) as usize) {
            Some((name, replication)) => (name, *replication),
            None => ("", 0),
        }
    }

    /// One of the partitions, those with replicas first; none if there is none.
    pub fn place(&self, dice: &mut Dice) -> Option<String> {
        let replicated: Vec<&str> = self
            .partitions
            .iter()
            .filter(|(_, replication)| *replication > 1)
            .map(|(name, _)| name.as_str())
            .collect();
        let all = || self.partitions.iter().map(|(name, _)| name.as_str()).collect();
        let among: Vec<&str> = if replicated.is_empty() { all() } else { replicated };
        (!among.is_empty()).then(|| dice.one(&among).into())
    }

    /// One of the brokers, by its name.
    pub fn one_broker(&self, dice: &mut Dice) -> String {
        format!("broker-{}", dice.between(1, self.brokers.into()))
    }

    fn broker(&self, dice: &mut Dice) -> String {
        let (partition, replication) = self.partition(dice);
        match dice.below(6) {
            0..=2 if replication > 0 => format!("leader:{partition}"),
            3 if replication > 1 => format!("follower:{partition}"),
            4 => "any:broker".into(),
            _ => format!("broker-{}", dice.between(1, self.brokers.into())),
        }
    }

    fn controller(&self, dice: &mut Dice) -> String {
        match dice.below(4) {
            0 | 1 => "controller:active".into(),
            2 if self.controllers > 1 => "controller:standby".into(),
            _ => format!("controller-{}", dice.between(1, self.controllers.into())),
        }
    }

    fn server(&self, dice: &mut Dice) -> String {
        if dice.below(3) == 0 { self.controller(dice) } else { self.broker(dice) }
    }

    fn client(&self, dice: &mut Dice) -> String {
        let nth = dice.below(self.clients.len() as u64) as usize;
        self.clients.get(nth).cloned().unwrap_or_else(|| "any:client".into())
    }

    /// One of a group, or all of it.
    fn member(&self, group: &str, dice: &mut Dice) -> String {
        let all = dice.below(3) == 0;
        match group {
            _ if all => format!("all:{group}"),
            "clients" => self.client(dice),
            "brokers" => self.broker(dice),
            "controllers" => self.controller(dice),
            _ => self.server(dice),
        }
    }

    /// Faults that follow on events, or one on another and on the same node: the moments at which bugs lie are
    /// narrow, and a time drawn from a clock rarely meets one.
    pub fn chain(&self, name: &str, many: u64, kinds: &[&str], dice: &mut Dice) -> Vec<Fault> {
        let mut faults: Vec<Fault> = Vec::new();
        for nth in 1..=many {
            let last = faults.last();
            let again =
                last.filter(|last| comes_back(last) && dice.below(2) == 0).map(|last| last.id.clone());
            if let Some(last) = again {
                faults.push(self.once_more(format!("{name}{nth}"), &last, dice));
                continue;
            }
            let before = last.map(|fault| fault.id.clone());
            let before = before.as_deref().filter(|_| dice.below(2) == 0);
            let when = self.follows(before, dice);
            let mut fault = self.fault(format!("{name}{nth}"), when, kinds, before, dice);
            if fault.when.event.as_ref().is_some_and(|event| event.every.is_some()) {
                fault.times = Some(dice.one(&[2, 5]));
            }
            faults.push(fault);
        }
        faults
    }

    /// A process ends again just as it comes back from another fault: what it did at its start is half done.
    fn once_more(&self, id: String, last: &str, dice: &mut Dice) -> Fault {
        let node = format!("victim:{last}");
        let kind =
            dice.one(&["node.start", "log.recover", "broker.state", "broker.register", "leader.start"]);
        let event = json!({ "kind": kind, "node": node, "after": last, "nth": dice.one(&[1, 1, 2]) });
        let delay = dice.one(&["1us", "500us", "1ms", "3ms", "10ms", "30ms"]);
        let lose = dice.below(2) == 0;
        let fault = json!({
            "id": id,
            "when": { "event": event, "delay": delay },
            "do": { "crash": { "node": node, "lose_unsynced": lose } },
            "for": dice.one(&["50ms", "300ms"]),
        });
        serde_json::from_value(fault).expect("what is drawn is a fault")
    }

    /// A moment at which something happens, perhaps only once another fault has begun.
    fn follows(&self, before: Option<&str>, dice: &mut Dice) -> Value {
        if let Some(before) = before.filter(|_| dice.below(3) == 0) {
            return json!({ "step": before, "delay": dice.one(&["1ms", "20ms", "100ms", "400ms", "1s", "2s"]) });
        }
        let (partition, _) = self.partition(dice);
        let mut event = if dice.below(2) == 0 {
            json!({ "kind": dice.one(&OF_NODES) })
        } else {
            json!({ "kind": dice.one(&OF_PARTITIONS), "partition": partition })
        };
        match before {
            Some(before) => {
                event["after"] = before.into();
                event["nth"] = dice.one(&[1, 1, 1, 2, 3]).into();
                if dice.below(3) == 0 {
                    event["node"] = format!("victim:{before}").into();
                }
            }
            // The first few of most kinds come while the cluster starts.
            None => event[dice.one(&["nth", "nth", "every"])] = dice.between(1, 9).into(),
        }
        json!({ "event": event, "delay": self.delay(dice) })
    }

    /// How soon after an event.
    pub fn delay(&self, dice: &mut Dice) -> &'static str {
        dice.one(&["1us", "1us", "1ms", "5ms", "20ms", "100ms", "400ms"])
    }

    /// A time between two, in milliseconds.
    pub fn at(&self, from: u64, to: u64, dice: &mut Dice) -> Value {
        json!({ "at": format!("{}ms", dice.between(from, to)) })
    }

    /// A fault of one of `kinds`, for as long as such faults last; perhaps of whom another fault has hit.
    pub fn fault(
        &self,
        id: String,
        when: Value,
        kinds: &[&str],
        before: Option<&str>,
        dice: &mut Dice,
    ) -> Fault {
        let kind = dice.one(kinds);
        let mut act = self.act(kind, dice);
        // Whoever the other fault has hit may be a controller, and voters that forget their votes and their log
        // are what no quorum protects from: only brokers lose a disk.
        if let Some(before) = before.filter(|_| dice.below(2) == 0 && kind != "lose_disk")
            && let Some(node) = act.as_object_mut().and_then(|act| act.values_mut().next()?.get_mut("node"))
        {
            *node = format!("victim:{before}").into();
        }
        let mut fault = json!({ "id": id, "when": when, "do": act });
        if !matches!(kind, "reset" | "clock_jump") {
            fault["for"] = dice.one(&["50ms", "50ms", "300ms", "300ms", "1s", "1s", "3s", "8s"]).into();
        }
        serde_json::from_value(fault).expect("what is drawn is a fault")
    }

    /// What a fault of a kind does.
    fn act(&self, kind: &str, dice: &mut Dice) -> Value {
        let node = self.server(dice);
        match kind {
            "crash" => json!({ "crash": { "node": node } }),
            // What was not flushed may be lost, lawfully: those who judge know exactly what.
            "power_loss" => json!({ "crash": { "node": node, "lose_unsynced": true } }),
            "lose_disk" => json!({ "lose_disk": { "node": self.broker(dice) } }),
            "disk_error" => {
                let kind = dice.one(&["read", "write", "flush"]);
                json!({ "disk_error": { "node": node, "kind": kind, "chance": "1/20" } })
            }
            "shutdown" => json!({ "shutdown": { "node": node } }),
            "pause" => json!({ "pause": { "node": node } }),
            "slow_node" => json!({ "slow_node": { "node": node, "by": self.by(dice) } }),
            "cut" => {
                // Off from everybody; or only from some, and everybody else is in touch with both.
                let others = ["rest", "rest", "all:controllers", "all:brokers", "all:clients"];
                json!({ "cut": { "sides": [[node], [dice.one(&others)]] } })
            }
            "one_way_cut" => {
                let (from, to) = self.pair(dice);
                json!({ "cut": { "sides": [[from], [to]], "one_way": true } })
            }
            "slow_link" => {
                let (from, to) = self.pair(dice);
                json!({ "slow_link": { "from": from, "to": to, "one_way": dice.below(2) == 0, "by": self.by(dice) } })
            }
            "lossy_link" => {
                let (from, to) = self.pair(dice);
                json!({ "lossy_link": { "from": from, "to": to, "loss": format!("1/{}", dice.one(&[3, 10, 30])) } })
            }
            "reset" => json!({ "reset": { "from": node, "to": "all:nodes" } }),
            "slow_disk" => json!({ "slow_disk": { "node": node, "by": self.by(dice) } }),
            "clock_jump" => {
                let back = if dice.below(2) == 0 { "-" } else { "" };
                json!({ "clock_jump": { "node": node, "by": format!("{back}{}ms", dice.between(100, 60_000)) } })
            }
            "client_restart" => json!({ "crash": { "node": self.client(dice) } }),
            "client_pause" => json!({ "pause": { "node": self.client(dice) } }),
            "drop" | "delay" => self.messages(kind, dice),
            _ => unreachable!("no kind of fault: {kind}"),
        }
    }

    /// Messages of one kind between two that are held back, so that whatever else happens comes first.
    pub fn held_back(&self, id: String, when: Value, dice: &mut Dice) -> Fault {
        let mut act = self.messages("delay", dice);
        act["delay"]["by"] = dice.one(&["50ms", "200ms", "700ms", "2s", "5s"]).into();
        let lasts = dice.one(&["100ms", "500ms", "2s", "6s"]);
        serde_json::from_value(json!({ "id": id, "when": when, "do": act, "for": lasts }))
            .expect("what is drawn is a fault")
    }

    /// A link that is slow for as long as anything may break. Not for ever: with fetches of a batch at a time, a
    /// follower or consumer far away may never catch up, and is right not to.
    pub fn slow_link(&self, id: String, dice: &mut Dice) -> Fault {
        let server = |dice: &mut Dice| match dice.below(3) {
            0 => format!("controller-{}", dice.between(1, self.controllers.into())),
            _ => format!("broker-{}", dice.between(1, self.brokers.into())),
        };
        let (from, to) = (server(dice), dice.one(&["all:brokers", "all:controllers", "all:clients"]));
        let latency = dice.one(&["10ms", "40ms", "150ms"]);
        let act = json!({ "from": from, "to": to, "one_way": dice.below(2) == 0, "by": latency });
        let fault = json!({
            "id": id, "when": { "at": "0s" }, "do": { "slow_link": act }, "for": format!("{}ms", self.chaos),
        });
        serde_json::from_value(fault).expect("what is drawn is a fault")
    }

    /// How late, or how slow.
    fn by(&self, dice: &mut Dice) -> &'static str {
        dice.one(&["5ms", "20ms", "100ms", "400ms", "1500ms"])
    }

    /// Two that talk to each other.
    fn pair(&self, dice: &mut Dice) -> (String, String) {
        match dice.below(4) {
            0 => (self.broker(dice), "all:controllers".into()),
            1 => (self.client(dice), self.broker(dice)),
            2 => (self.controller(dice), "all:servers".into()),
            _ => (self.broker(dice), "all:brokers".into()),
        }
    }

    /// Messages of one kind that are lost, or held back.
    pub fn messages(&self, what: &str, dice: &mut Dice) -> Value {
        let (api, from, to) = dice.one(&MESSAGES);
        let (from, to) = (self.member(from, dice), self.member(to, dice));
        let response = dice.below(2) == 0;
        // A response goes the other way.
        let (from, to) = if response { (to, from) } else { (from, to) };
        let mut act = json!({ "from": from, "to": to, "api": api, "response": response });
        if what == "drop" {
            act["chance"] = dice.one(&["1/1", "1/1", "1/3", "1/10"]).into();
        } else {
            act["by"] = self.by(dice).into();
        }
        json!({ what: act })
    }
}
/// Whether there are members of groups, and all of them speak KIP-848's protocol.
fn are_modern(scenario: &Scenario) -> bool {
    let members = scenario.workload.iter().filter_map(|actor| match actor {
        Actor::Consumer(consumer) if consumer.group.is_some() => Some(consumer),
        _ => None,
    });
    let modern = |it: &Consumer| it.config.get("group.protocol").is_some_and(|it| it.0 == "consumer");
    let mut protocols = members.map(modern).peekable();
    protocols.peek().is_some() && protocols.all(|modern| modern)
}

/// The clients of a scenario that are members of groups.
fn members_of(scenario: &Scenario) -> Vec<String> {
    let is_member = |actor: &Actor| matches!(actor, Actor::Consumer(consumer) if consumer.group.is_some());
    let clients = scenario.clients().into_iter();
    clients.filter(|it| is_member(&scenario.workload[it.actor])).map(|it| it.name).collect()
}
