//! Which role is this node, and how is it born?

use alloc::boxed::Box;

use crate::{
    admin::Admin,
    broker::Broker,
    config::{BrokerConfig, ConsumerConfig, ControllerConfig, ProducerConfig},
    consumer::Consumer,
    controller::Controller,
    machine::{Effects, Input, Machine},
    museum::Museum,
    producer::Producer,
    time::{Instant, Now},
    units::{NodeId, NodeSet},
};

/// What a process is told at birth, whatever its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Who it is.
    pub id: NodeId,
    /// What its streams of chance are keyed by, together with its name and the stream's. Another at every
    /// birth, so that an incarnation does not repeat its predecessor's choices.
    pub seed: u64,
    /// The historical bugs switched on in it.
    pub museum: Museum,
    /// The controllers: `controller.quorum.voters`.
    pub voters: NodeSet,
    /// The brokers a client begins with: `bootstrap.servers`.
    pub bootstrap: NodeSet,
}

/// What a process is for, with its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A voter of the metadata quorum.
    Controller(ControllerConfig),
    /// Serves partitions.
    Broker(BrokerConfig),
    /// Sends records.
    Producer(ProducerConfig),
    /// Reads records.
    Consumer(ConsumerConfig),
    /// Changes the cluster.
    Admin,
}

/// One process.
#[derive(Clone, Debug)]
pub enum Node {
    /// A voter of the metadata quorum.
    Controller(Box<Controller>),
    /// Serves partitions.
    Broker(Box<Broker>),
    /// Sends records.
    Producer(Box<Producer>),
    /// Reads records.
    Consumer(Box<Consumer>),
    /// Changes the cluster.
    Admin(Box<Admin>),
}

impl Node {
    /// The process before `Input::Start`. Its memory is empty: whatever it knows of a former life it reads
    /// from its disk.
    pub fn new(setup: Setup, role: Role) -> Node {
        match role {
            Role::Controller(config) => Node::Controller(Box::new(Controller::new(setup, config))),
            Role::Broker(config) => Node::Broker(Box::new(Broker::new(setup, config))),
            Role::Producer(config) => Node::Producer(Box::new(Producer::new(setup, config))),
            Role::Consumer(config) => Node::Consumer(Box::new(Consumer::new(setup, config))),
            Role::Admin => Node::Admin(Box::new(Admin::new(setup))),
        }
    }
}

impl Machine for Node {
    fn step(&mut self, now: Now, input: Input, effects: &mut Effects) {
        match self {
            Node::Controller(controller) => controller.step(now, input, effects),
            Node::Broker(broker) => broker.step(now, input, effects),
            Node::Producer(producer) => producer.step(now, input, effects),
            Node::Consumer(consumer) => consumer.step(now, input, effects),
            Node::Admin(admin) => admin.step(now, input, effects),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Node::Controller(controller) => controller.deadline(),
            Node::Broker(broker) => broker.deadline(),
            Node::Producer(producer) => producer.deadline(),
            Node::Consumer(consumer) => consumer.deadline(),
            Node::Admin(admin) => admin.deadline(),
        }
    }
}
