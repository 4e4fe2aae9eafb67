//! Does the scenario mean anything? Names that are not there, settings that cannot be, triggers that can
//! never fire.
//!
//! Everything is looked at before anything is told, so that a file is mended in one go.

mod config;
mod faults;
mod groups;
mod properties;
mod topology;
mod triggers;
mod workload;

use super::{
    diagnostic::{Problem, suggest},
    file::{Action, Actor, AdminAction, Scenario, Topic},
    text::Place,
    values::{Group, PartitionName, Selector},
};

/// Everything in `scenario` that cannot be meant, in the order of the file's parts.
pub fn check(scenario: &Scenario, root: Place<'_>) -> Vec<Problem> {
    let mut it = Checker { scenario, root, problems: Vec::new() };
    it.head();
    topology::check(&mut it);
    workload::check(&mut it);
    faults::check(&mut it);
    triggers::check(&mut it);
    properties::check(&mut it);
    it.problems
}

/// What a look at one part needs of the others.
struct Checker<'a> {
    scenario: &'a Scenario,
    root: Place<'a>,
    problems: Vec<Problem>,
}

impl<'a> Checker<'a> {
    fn tell(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// A plain problem: a title, the value that is wrong, and what to know about it.
    fn wrong(&mut self, at: Place<'_>, title: impl Into<String>, label: impl Into<String>) {
        self.problems.push(Problem::new(title, at.bytes(), label));
    }

    fn head(&mut self) {
        let scenario = self.scenario;
        let letter = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        let name = &scenario.name;
        let parts = || name.split('/');
        if name.len() > 120
            || !name.chars().all(letter)
            || parts().any(|part| part.is_empty() || part.starts_with('.'))
        {
            let title = format!("`{name}` cannot name a directory of results");
            self.wrong(self.root.key("name"), title, "letters, digits, `.`, `_`, `-`, and `/` between parts");
        }
        for (i, bug) in scenario.plant.iter().enumerate() {
            if scenario.plant[..i].contains(bug) {
                self.wrong(self.root.key("plant").nth(i), format!("`{bug}` is planted twice"), "again");
            }
        }
        let phases = self.root.key("phases");
        if scenario.phases.chaos.0.is_zero() {
            self.wrong(
                phases.key("chaos"),
                "a run without a chaos phase does nothing",
                "clients work in this phase",
            );
        }
    }

    fn topics(&self) -> Place<'a> {
        self.root.key("topology").key("topics")
    }

    fn topic(&self, name: &str) -> Option<(usize, &'a Topic)> {
        self.scenario.topology.topics.iter().enumerate().find(|(_, topic)| topic.name == name)
    }

    /// Every name a topic has at some time: declared, or created by an admin.
    fn topic_names(&self) -> Vec<&'a str> {
        let declared = self.scenario.topology.topics.iter().map(|topic| topic.name.as_str());
        let created = self.created().map(|topic| topic.name.as_str());
        declared.chain(created).collect()
    }

    /// Topics that an admin creates on the way.
    fn created(&self) -> impl Iterator<Item = &'a Topic> {
        let admins = self.scenario.workload.iter().filter_map(|actor| match actor {
            Actor::Admin(admin) => Some(admin),
            _ => None,
        });
        let actions = admins.flat_map(|admin| admin.steps.iter().map(|step| &step.act).chain(&admin.ops));
        actions.filter_map(|action| match action {
            AdminAction::CreateTopic(topic) => Some(topic),
            _ => None,
        })
    }

    /// How many partitions a topic has at most, whatever an admin does.
    fn most_partitions(&self, name: &str) -> Option<u32> {
        let declared = self.topic(name).map(|(_, topic)| topic);
        let made = declared.into_iter().chain(self.created().filter(|topic| topic.name == name));
        let most = made.map(partitions).max()?;
        let grown = self.scenario.workload.iter().filter_map(|actor| match actor {
            Actor::Admin(admin) => Some(admin),
            _ => None,
        });
        let actions = grown.flat_map(|admin| admin.steps.iter().map(|step| &step.act).chain(&admin.ops));
        let totals = actions.filter_map(|action| match action {
            AdminAction::CreatePartitions(more) if more.topic == name => Some(more.total),
            _ => None,
        });
        Some(totals.max().unwrap_or(0).max(most))
    }

    /// Tells if there is no such topic. `title` begins the sentence.
    fn needs_topic(&mut self, name: &str, at: Place<'_>, title: &str) {
        let names = self.topic_names();
        if names.contains(&name) {
            return;
        }
        let problem = Problem::new(format!("{title}there is no topic `{name}`"), at.bytes(), "unknown topic");
        let problem = self.show_topics(problem).with_help(suggest(name, names));
        self.tell(problem);
    }

    /// Tells if there is no such partition. `title` begins the sentence.
    fn needs_partition(&mut self, it: &PartitionName, at: Place<'_>, title: &str) {
        // The controllers' own log has one partition, too.
        if it.topic == "__cluster_metadata" && it.partition == 0 {
            return;
        }
        // The brokers make the topic of the groups, once there is one.
        if it.topic == trial_model::group::OFFSETS_TOPIC && !groups::names(self).is_empty() {
            return;
        }
        let Some(most) = self.most_partitions(&it.topic) else {
            let names = self.topic_names();
            let problem =
                Problem::new(format!("{title}there is no topic `{}`", it.topic), at.bytes(), "unknown topic");
            let nearest = suggest(&it.topic, names);
            let help = nearest.map(|help| help.replace("`?", &format!("-{}`?", it.partition)));
            let problem = self.show_topics(problem).with_help(help);
            return self.tell(problem);
        };
        if it.partition < most {
            return;
        }
        let range =
            if most == 1 { "only partition 0".into() } else { format!("partitions 0 to {}", most - 1) };
        let title = format!("{title}{} has {range}", it.topic);
        let mut problem = Problem::new(title, at.bytes(), "no such partition");
        if let Some((nth, _)) = self.topic(&it.topic) {
            problem = problem.with_context(self.topics().nth(nth).key("partitions").bytes(), "set here");
        }
        self.tell(problem);
    }

    fn show_topics(&self, problem: Problem) -> Problem {
        if self.topics().exists() {
            problem.with_context(self.topics().bytes(), "topics are declared here")
        } else {
            problem
        }
    }

    /// Tells if a selector can never stand for anybody. `title` begins the sentence.
    fn needs_node(&mut self, selector: &Selector, at: Place<'_>, title: &str) {
        let topology = &self.scenario.topology;
        let (brokers, controllers) = (topology.brokers, topology.controllers);
        let (kind, nth, most, key) = match selector {
            Selector::Broker(nth) => ("broker", *nth, brokers, "brokers"),
            Selector::Controller(nth) => ("controller", *nth, controllers, "controllers"),
            Selector::Client(name) => return self.needs_client(name, at, title),
            Selector::Coordinator(group) => {
                let groups = groups::names(self);
                if !groups.contains(&group.as_str()) {
                    let help = suggest(group, groups);
                    let title = format!("{title}no consumer is in a group `{group}`");
                    self.tell(Problem::new(title, at.bytes(), "unknown group").with_help(help));
                }
                return;
            }
            Selector::StandbyController if controllers == 1 => {
                let title = format!("{title}the only controller is always the active one");
                return self.wrong(at, title, "nobody");
            }
            Selector::Any(Group::Clients) | Selector::All(Group::Clients)
                if self.scenario.workload.is_empty() =>
            {
                return self.wrong(at, format!("{title}the workload has no clients"), "nobody");
            }
            Selector::Victim(id) => return self.needs_fault(id, at, &format!("{title}no fault is called ")),
            _ => {
                if let Some(partition) = selector.partition() {
                    self.needs_partition(partition, at, title);
                    self.needs_followers(selector, at, title);
                }
                return;
            }
        };
        if nth == 0 || nth > most {
            let there = match most {
                0 => format!("there are no {key}"),
                1 => format!("there is only {kind}-1"),
                _ => format!("there are {kind}-1 to {kind}-{most}"),
            };
            let problem =
                Problem::new(format!("{title}no node `{selector}`; {there}"), at.bytes(), "unknown node");
            let counted = self.root.key("topology").key(key);
            let problem = problem.with_context(counted.bytes(), "set here");
            self.tell(problem);
        }
    }

    fn needs_followers(&mut self, selector: &Selector, at: Place<'_>, title: &str) {
        let (Selector::Follower(partition) | Selector::Followers(partition)) = selector else { return };
        let Some((nth, topic)) = self.topic(&partition.topic) else { return };
        if topic.assignment.is_none() && topic.replication == 1 {
            let title = format!("{title}`{}` has one replica, and so no follower", topic.name);
            let problem = Problem::new(title, at.bytes(), "nobody");
            let problem = problem.with_context(self.topics().nth(nth).key("replication").bytes(), "set here");
            self.tell(problem);
        }
    }

    fn needs_client(&mut self, name: &str, at: Place<'_>, title: &str) {
        let clients = self.scenario.clients();
        if clients.iter().any(|client| client.name == name) {
            return;
        }
        let nodes = self.scenario.nodes();
        let many = self.scenario.workload.iter().find(|actor| actor.name() == name && actor.count() > 1);
        let help = match many {
            Some(actor) => Some(format!("there are `{name}-1` to `{name}-{}`", actor.count())),
            None => suggest(name, nodes.iter().map(|(_, name)| name.as_str())),
        };
        let problem = Problem::new(format!("{title}no node `{name}`"), at.bytes(), "unknown node");
        let help = help.or_else(|| Some("nodes and roles are listed by `trial list selectors`".into()));
        self.tell(problem.with_help(help));
    }

    fn needs_fault(&mut self, id: &str, at: Place<'_>, title: &str) {
        let ids = self.scenario.faults.iter().map(|fault| fault.id.as_str());
        if ids.clone().any(|known| known == id) {
            return;
        }
        let problem = Problem::new(format!("{title}`{id}`"), at.bytes(), "unknown fault id");
        self.tell(problem.with_help(suggest(id, ids)));
    }
}

/// How many partitions a topic is created with.
fn partitions(topic: &Topic) -> u32 {
    match &topic.assignment {
        Some(assignment) => u32::try_from(assignment.len()).unwrap_or(u32::MAX),
        None => topic.partitions,
    }
}

/// What a fault is called in the file: the key under `do`.
fn action_name(action: &Action) -> String {
    // Externally tagged: the name is the only key.
    let value = serde_json::to_value(action).unwrap_or_default();
    value.as_object().and_then(|map| map.keys().next().cloned()).unwrap_or_default()
}
