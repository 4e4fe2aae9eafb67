//! Would Kafka take this configuration?

use trial_model::config::{
    BrokerConfig, ConfigError, ConsumerConfig, ControllerConfig, Key, ProducerConfig, TopicConfig,
};

use super::{Checker, Problem, suggest};
use crate::scenario::{
    file::{Config, Topology},
    text::Place,
};

/// A kind of node or thing that is configured.
pub trait Configured: Default {
    /// Its keys.
    const KEYS: &'static [Key];
    /// What it is, in a sentence.
    const WHAT: &'static str;
    /// Sets one key.
    fn set(&mut self, key: &str, text: &str) -> Result<(), ConfigError>;
}

macro_rules! configured {
    ($($name:ident = $what:literal,)*) => { $(
        impl Configured for $name {
            const KEYS: &'static [Key] = $name::KEYS;
            const WHAT: &'static str = $what;
            fn set(&mut self, key: &str, text: &str) -> Result<(), ConfigError> {
                $name::set(self, key, text)
            }
        }
    )* };
}

configured! {
    BrokerConfig = "a broker",
    ControllerConfig = "a controller",
    TopicConfig = "a topic",
    ProducerConfig = "a producer",
    ConsumerConfig = "a consumer",
}

/// Tells every key of `config` that is not there and every value that it does not take; what the others
/// come to.
pub fn check<C: Configured>(it: &mut Checker<'_>, config: &Config, at: Place<'_>, mut onto: C) -> C {
    for (key, setting) in config {
        match onto.set(key, &setting.0) {
            Ok(()) => {}
            Err(ConfigError::UnknownKey) => {
                let title = format!("{} has no configuration `{key}`", C::WHAT);
                let help = suggest(key, C::KEYS.iter().map(|key| key.name)).or_else(|| elsewhere(key));
                let help = help.or_else(|| Some("the keys are listed by `trial list config`".into()));
                it.tell(Problem::new(title, at.key(key).name(), "unknown key").with_help(help));
            }
            Err(ConfigError::BadValue { expected }) => {
                let title = format!("`{key}` cannot be `{}`", setting.0);
                it.wrong(at.key(key), title, format!("expected {expected}"));
            }
        }
    }
    onto
}

/// Who has this key instead.
fn elsewhere(key: &str) -> Option<String> {
    let has = |keys: &[Key]| keys.iter().any(|known| known.name == key);
    let owner = if has(TopicConfig::KEYS) {
        "a topic's `config`"
    } else if has(ControllerConfig::KEYS) {
        "`controller_config`"
    } else if has(BrokerConfig::KEYS) {
        "`broker_config`"
    } else if has(ProducerConfig::KEYS) {
        "a producer's `config`"
    } else if has(ConsumerConfig::KEYS) {
        "a consumer's `config`"
    } else {
        return None;
    };
    Some(format!("it belongs into {owner}"))
}

/// The configuration that every broker has and, over it, each node's own.
pub fn servers(it: &mut Checker<'_>, topology: &Topology, at: Place<'_>) -> BrokerConfig {
    let broker = check(it, &topology.broker_config, at.key("broker_config"), BrokerConfig::default());
    check(it, &topology.controller_config, at.key("controller_config"), ControllerConfig::default());
    for (node, config) in &topology.node_config {
        let here = at.key("node_config").key(node);
        let number = |prefix: &str| node.strip_prefix(prefix).and_then(|nth| nth.parse::<u32>().ok());
        if number("broker-").is_some_and(|nth| (1..=topology.brokers).contains(&nth)) {
            check(it, config, here, broker.clone());
        } else if number("controller-").is_some_and(|nth| (1..=topology.controllers).contains(&nth)) {
            check(it, config, here, ControllerConfig::default());
        } else {
            let nodes = it.scenario.nodes();
            let help = suggest(node, nodes.iter().map(|(_, name)| name.as_str()));
            let problem =
                Problem::new(format!("no broker or controller `{node}`"), here.name(), "unknown node");
            it.tell(problem.with_help(help));
        }
    }
    broker
}
