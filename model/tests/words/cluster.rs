//! How does a small world get a cluster, and its topics?

use std::time::Duration;

use trial_model::{
    config::{BrokerConfig, ConfigError, ControllerConfig},
    event::{BrokerState, Event},
    node::Role,
    protocol::{
        Request,
        topics::{CreateTopicsRequest, NewTopic},
    },
    units::{NodeId, NodeRole, TopicPartition},
};

use super::{
    asking,
    world::{Heard, World},
};

/// Settings that make a conversation short; whoever sets up a cluster may say otherwise.
const BRISK: &[(&str, &str)] = &[
    ("broker.heartbeat.interval.ms", "200"),
    ("broker.session.timeout.ms", "1000"),
    ("replica.lag.time.max.ms", "1000"),
    ("replica.fetch.backoff.ms", "100"),
    ("replica.high.watermark.checkpoint.interval.ms", "500"),
];

impl World {
    /// Makes room for so many servers, set up alike.
    pub fn make_room(&mut self, controllers: u32, brokers: u32, given: &[(&str, &str)]) {
        let (mut broker, mut controller) = (BrokerConfig::default(), ControllerConfig::default());
        for (key, value) in BRISK.iter().chain(given) {
            let known = [broker.set(key, value), controller.set(key, value)];
            assert!(known.contains(&Ok(())), "no server can be told {key}={value}: {known:?}");
            let wrong = known.iter().any(|r| matches!(r, Err(ConfigError::BadValue { .. })));
            assert!(!wrong, "{key} cannot be {value}");
        }
        for nth in 1..=controllers {
            self.add(NodeId::controller(nth), Role::Controller(controller.clone()));
        }
        for nth in 1..=brokers {
            self.add(NodeId::broker(nth), Role::Broker(broker.clone()));
        }
    }

    /// Starts every server that is not left out, and waits until it serves.
    pub fn boot(&mut self, left_out: &[NodeId]) {
        let started: Vec<NodeId> = self.residents().into_iter().filter(|id| !left_out.contains(id)).collect();
        for id in &started {
            self.start(*id);
        }
        let brokers: Vec<NodeId> = started.into_iter().filter(|id| id.role() == NodeRole::Broker).collect();
        let serves = |world: &World, broker: NodeId| {
            world.heard.iter().any(|heard| {
                let running = Event::BrokerStateChanged { state: BrokerState::Running };
                matches!(heard, Heard::Event(node, event) if *node == broker && *event == running)
            })
        };
        let up = self
            .wait(|world| world.active().is_some() && brokers.iter().all(|broker| serves(world, *broker)));
        assert!(up, "the cluster does not come up");
        // Everybody has heard of everybody.
        self.run(Duration::from_millis(600));
    }

    /// Creates a topic with these replicas, and waits until its first partition is led.
    pub fn create_topic(
        &mut self,
        name: &str,
        assignment: &[Vec<u32>],
        config: &[(&str, &str)],
    ) -> TopicPartition {
        let topic = NewTopic {
            name: name.into(),
            partitions: 0,
            replication_factor: 0,
            assignment: assignment
                .iter()
                .map(|replicas| replicas.iter().copied().map(NodeId::broker).collect())
                .collect(),
            config: config.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        };
        let first = format!("{name}-0");
        let timeout = Duration::from_secs(5);
        let request = Request::CreateTopics(CreateTopicsRequest { topics: vec![topic], timeout });
        let broker = self.living().map(|(id, _)| id).find(|id| id.role() == NodeRole::Broker);
        self.ask(broker.expect("a broker lives"), request);
        let led = self.wait(|world| {
            world.heard.iter().any(|heard| match heard {
                Heard::Event(_, Event::LeaderStarted { partition, .. }) => {
                    world.names.partition_name(*partition) == first
                }
                Heard::Answer(_, response) => asking::refused_topic(response),
                _ => false,
            })
        });
        assert!(led, "{first} is not led");
        self.run(Duration::from_millis(100));
        self.heard
            .retain(|heard| !matches!(heard, Heard::Answer(_, response) if !asking::refused_topic(response)));
        self.names.partition_named(&first).unwrap_or_else(|| panic!("{first} was not created"))
    }
}
