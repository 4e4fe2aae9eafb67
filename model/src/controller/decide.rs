//! What may a decision of the controller look at, and which decision does a request get?

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use super::{
    alter_partition, balance, brokers, configs,
    heartbeats::Sessions,
    image::{BrokerImage, Change, Image},
    leaders, producer_ids,
    record::Record,
    refusal, topics,
};
use crate::{
    config::{ControllerConfig, TopicConfig},
    museum::Museum,
    protocol::{ErrorCode, Request, Response},
    replicated::{self, Replicated},
    rng::Rng,
    time::Instant,
    units::{BrokerEpoch, NodeId, Offset, ProducerId, TopicId},
};

/// What the controller is asked, by brokers and by its own clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A broker's request, its own or on behalf of a client.
    Request(Request),
    /// A broker's session has ended.
    Expired(NodeId),
    /// It is time to look whether leaderships should go back to preferred replicas.
    Balance,
    /// Nothing has happened for a while.
    Idle,
}

/// What a decision of the controller leans on besides the image.
#[derive(Debug)]
pub struct Context<'a> {
    /// The controller's settings.
    pub config: &'a ControllerConfig,
    /// The historical bugs that are switched on.
    pub museum: Museum,
    /// Which brokers were heard of when.
    pub sessions: &'a Sessions,
    /// Chooses where replicas are placed.
    pub rng: &'a mut Rng,
    /// The controller's monotonic clock.
    pub now: Instant,
    /// The offset that the first record of the decision will get.
    pub next: Offset,
    /// One past the last producer id that this controller itself has given away.
    pub producer_ids_given: ProducerId,
}

/// What the controller decided; no answer to its own clocks.
pub type Decision = replicated::Decision<Image>;

impl Replicated for Image {
    type Request = Question;
    type Reply = Option<Response>;
    type Record = Record;
    type Change = Change;
    type Context<'a> = Context<'a>;

    fn decide(&self, context: &mut Context<'_>, question: &Question) -> Decision {
        let view = View { image: self, config: context.config, museum: context.museum };
        match question {
            Question::Request(request) => match answer(view, context, request) {
                Ok((records, response)) => Decision { records, reply: Some(response) },
                Err(error) => Decision::answer(refusal::of_request(request, error)),
            },
            Question::Expired(broker) => Decision { records: brokers::fence(view, *broker), reply: None },
            Question::Balance => Decision { records: balance::balance(view), reply: None },
            Question::Idle => Decision { records: [Record::NoOp].into(), reply: None },
        }
    }

    fn apply(&mut self, at: Offset, record: &Record) -> Change {
        Image::apply(self, at, record)
    }
}

fn answer(
    view: View<'_>,
    context: &mut Context<'_>,
    request: &Request,
) -> Result<(Vec<Record>, Response), ErrorCode> {
    Ok(match request {
        Request::BrokerRegistration(request) => {
            let (records, response) = brokers::register(view, context, request)?;
            (records, Response::BrokerRegistration(response))
        }
        Request::BrokerHeartbeat(request) => {
            let (records, response) = brokers::heartbeat(view, context, request)?;
            (records, Response::BrokerHeartbeat(response))
        }
        Request::AlterPartition(request) => {
            let (records, response) = alter_partition::alter(view, request)?;
            (records, Response::AlterPartition(response))
        }
        Request::AllocateProducerIds(request) => {
            let (records, response) = producer_ids::allocate(view, context, request)?;
            (records, Response::AllocateProducerIds(response))
        }
        Request::CreateTopics(request) => {
            let (records, response) = topics::create(view, context, request);
            (records, Response::CreateTopics(response))
        }
        Request::DeleteTopics(request) => {
            let (records, response) = topics::delete(view, request);
            (records, Response::DeleteTopics(response))
        }
        Request::CreatePartitions(request) => {
            let (records, response) = topics::create_partitions(view, context, request);
            (records, Response::CreatePartitions(response))
        }
        Request::ElectLeaders(request) => {
            let (records, response) = leaders::elect(view, request);
            (records, Response::ElectLeaders(response))
        }
        Request::AlterConfigs(request) => {
            let (records, response) = configs::alter(view, request);
            (records, Response::AlterConfigs(response))
        }
        Request::IncrementalAlterConfigs(request) => {
            let (records, response) = configs::alter_incrementally(view, request);
            (records, Response::IncrementalAlterConfigs(response))
        }
        _ => return Err(ErrorCode::UnsupportedVersion),
    })
}

/// The image, with what its settings mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) image: &'a Image,
    pub(super) config: &'a ControllerConfig,
    pub(super) museum: Museum,
}

/// What a topic's settings say about its leaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// `min.insync.replicas`.
    pub(super) min_isr: usize,
    /// `unclean.leader.election.enable`.
    pub(super) unclean: bool,
}

impl<'a> View<'a> {
    /// The registration, if `epoch` is its epoch; `StaleBrokerEpoch` if not.
    pub(super) fn registered(self, broker: NodeId, epoch: BrokerEpoch) -> Result<&'a BrokerImage, ErrorCode> {
        self.image
            .broker(broker)
            .filter(|registration| registration.epoch == epoch)
            .ok_or(ErrorCode::StaleBrokerEpoch)
    }

    /// Whether a broker may lead and be in sync.
    pub(super) fn is_active(self, broker: NodeId) -> bool {
        self.image.broker(broker).is_some_and(BrokerImage::is_active)
    }

    /// What a topic's own settings, or else the controller's, say about its leaders.
    pub(super) fn rules(self, topic: TopicId) -> Rules {
        self.rules_with(self.image.topic(topic).map(|topic| &topic.config))
    }

    /// The same of a topic with these settings of its own.
    pub(super) fn rules_with(self, own: Option<&BTreeMap<String, String>>) -> Rules {
        let mut config = TopicConfig {
            min_insync_replicas: self.config.min_insync_replicas,
            unclean_leader_election_enable: self.config.unclean_leader_election_enable,
            ..TopicConfig::default()
        };
        for key in ["min.insync.replicas", "unclean.leader.election.enable"] {
            if let Some(value) = own.and_then(|own| own.get(key)) {
                // What this version cannot read counts as not set.
                let _ = config.set(key, value);
            }
        }
        Rules { min_isr: config.min_insync_replicas as usize, unclean: config.unclean_leader_election_enable }
    }
}
