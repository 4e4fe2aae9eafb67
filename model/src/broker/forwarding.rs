//! Which requests does a broker hand on to the active controller? KIP-590; and who waits for a producer id?
//!
//! A request that the controller did not take, or may have taken without our hearing of it, is handed on
//! again until its time is up.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use super::{Broker, Timer, controller_channel::FORWARDING};
use crate::{
    event::Event,
    machine::{Caller, Effects, Outgoing},
    protocol::{
        ErrorCode, Request, Response,
        configs::AlterConfigsResponse,
        producer_ids::{AllocateProducerIdsRequest, InitProducerIdResponse},
        quorum::DescribeQuorumResponse,
        topics::{
            CreatePartitionsResponse, CreateTopicsResponse, DeleteTopicsResponse, ElectLeadersResponse,
        },
    },
    time::Now,
    units::{CorrelationId, LeaderEpoch, NodeId, NodeSet, Offset, ProducerEpoch},
};

/// How long to rest after a failure.
const RETRY: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
struct Forwarded {
    /// Who asked; nobody for what this broker wants itself.
    caller: Option<Caller>,
    request: Request,
    sent_to: Option<NodeId>,
}

/// The requests that are with the controller for others, or will be.
#[derive(Clone, Debug, Default)]
pub struct Forwarding {
    requests: BTreeMap<CorrelationId, Forwarded>,
    /// Which of them are not with a controller.
    unsent: Vec<CorrelationId>,
    rests: bool,
    /// Whom the request for producer ids went to.
    ids_from: Option<NodeId>,
}

impl Forwarding {
    /// It has rested.
    pub fn rested(&mut self) {
        self.rests = false;
    }
}

impl Broker {
    pub(super) fn forward(&mut self, now: Now, caller: Caller, request: Request, effects: &mut Effects) {
        let _ = effects;
        self.hand_on(now, Some(caller), request);
    }

    /// Asks the controller for something this broker wants itself; not again while it has asked for the same.
    pub(super) fn forward_own(&mut self, now: Now, request: Request) {
        let mut own = self.forwarding.requests.values().filter(|it| it.caller.is_none());
        if own.all(|it| it.request != request) {
            self.hand_on(now, None, request);
        }
    }

    fn hand_on(&mut self, now: Now, caller: Option<Caller>, request: Request) {
        let id = self.next_correlation();
        self.timers.set(now.monotonic + self.config.request_timeout_ms, Timer::Forwarded(id));
        self.forwarding.requests.insert(id, Forwarded { caller, request, sent_to: None });
        self.forwarding.unsent.push(id);
    }

    pub(super) fn send_forwarded(&mut self, now: Now, controller: NodeId, effects: &mut Effects) {
        if self.forwarding.rests {
            return;
        }
        for id in core::mem::take(&mut self.forwarding.unsent) {
            if let Some(forwarded) = self.forwarding.requests.get_mut(&id) {
                forwarded.sent_to = Some(controller);
                effects.request(controller, FORWARDING, id, forwarded.request.clone());
            }
        }
        if self.producer_ids.needs_block()
            && let Some(broker_epoch) = self.life.epoch()
        {
            let correlation = self.next_correlation();
            let request = AllocateProducerIdsRequest { broker: self.setup.id, broker_epoch };
            self.producer_ids.asked(correlation);
            self.forwarding.ids_from = Some(controller);
            self.timers.set(now.monotonic + self.config.request_timeout_ms, Timer::Forwarded(correlation));
            effects.request(controller, FORWARDING, correlation, Request::AllocateProducerIds(request));
        }
    }

    fn rest_forwarding(&mut self, now: Now) {
        self.forwarding.rests = true;
        self.timers.set(now.monotonic + RETRY, Timer::ForwardRetry);
    }

    /// The connection is gone: what was sent by it is handed on again.
    pub(super) fn forwarding_lost(&mut self, now: Now, peer: NodeId) {
        for (id, forwarded) in &mut self.forwarding.requests {
            if forwarded.sent_to == Some(peer) {
                forwarded.sent_to = None;
                self.forwarding.unsent.push(*id);
            }
        }
        if self.forwarding.ids_from == Some(peer) {
            self.forwarding.ids_from = None;
            self.producer_ids.lost();
        }
        self.rest_forwarding(now);
    }

    /// A request has been with the controller for too long, or a request for producer ids has.
    pub(super) fn forward_timed_out(&mut self, id: CorrelationId, effects: &mut Effects) {
        if let Some(forwarded) = self.forwarding.requests.remove(&id) {
            self.forwarding.unsent.retain(|unsent| *unsent != id);
            let response = refusal(&forwarded.request, ErrorCode::RequestTimedOut);
            if let (Some(caller), Some(response)) = (forwarded.caller, response) {
                self.answer(caller, response, effects);
            }
        } else if self.producer_ids.answers(id) {
            if let Some(peer) = self.forwarding.ids_from.take() {
                effects.mail.push(Outgoing::Disconnect { peer, channel: FORWARDING });
                self.requeue(peer);
            }
            for caller in self.producer_ids.all_waiting() {
                let result = Err(ErrorCode::RequestTimedOut);
                self.answer(caller, Response::InitProducerId(InitProducerIdResponse { result }), effects);
            }
        }
    }

    fn requeue(&mut self, peer: NodeId) {
        for (id, forwarded) in &mut self.forwarding.requests {
            if forwarded.sent_to == Some(peer) {
                forwarded.sent_to = None;
                self.forwarding.unsent.push(*id);
            }
        }
    }

    pub(super) fn on_forwarded_response(
        &mut self,
        now: Now,
        correlation: CorrelationId,
        response: Response,
        effects: &mut Effects,
    ) {
        if let Response::AllocateProducerIds(response) = &response {
            if !self.producer_ids.answers(correlation) {
                return;
            }
            self.timers.cancel(&Timer::Forwarded(correlation));
            self.forwarding.ids_from = None;
            match response.result {
                Ok(block) => self.producer_ids.add(block),
                Err(_) => self.rest_forwarding(now),
            }
            return self.give_producer_ids(effects);
        }
        let Some(forwarded) = self.forwarding.requests.get_mut(&correlation) else { return };
        if is_not_controller(&response) {
            forwarded.sent_to = None;
            self.forwarding.unsent.push(correlation);
            return self.rest_forwarding(now);
        }
        let caller = forwarded.caller;
        self.forwarding.requests.remove(&correlation);
        self.timers.cancel(&Timer::Forwarded(correlation));
        if let Some(caller) = caller {
            self.answer(caller, response, effects);
        }
    }

    pub(super) fn init_producer_id(&mut self, caller: Caller, effects: &mut Effects) {
        self.producer_ids.wait(caller);
        self.give_producer_ids(effects);
    }

    fn give_producer_ids(&mut self, effects: &mut Effects) {
        while let Some(caller) = self.producer_ids.next_waiting() {
            if !self.connections.is_open(caller.connection) {
                continue;
            }
            let Some(id) = self.producer_ids.take() else { return self.producer_ids.wait_first(caller) };
            let epoch = ProducerEpoch(0);
            effects.note(Event::ProducerIdGiven { id, epoch, to: caller.node });
            let result = Ok((id, epoch));
            self.answer(caller, Response::InitProducerId(InitProducerIdResponse { result }), effects);
        }
    }
}

/// Whether the one who was asked does not lead the cluster.
fn is_not_controller(response: &Response) -> bool {
    let code = ErrorCode::NotController;
    match response {
        Response::CreateTopics(r) => r.topics.iter().any(|(_, result)| result.as_ref().err() == Some(&code)),
        Response::DeleteTopics(r) => r.topics.iter().any(|(_, result)| result.as_ref().err() == Some(&code)),
        Response::CreatePartitions(r) => {
            r.topics.iter().any(|(_, result)| result.as_ref().err() == Some(&code))
        }
        Response::ElectLeaders(r) => r.error == Some(code),
        // Of the quorum's own words this is how it says so.
        Response::DescribeQuorum(r) => r.error == Some(ErrorCode::NotLeaderOrFollower),
        Response::AlterConfigs(r) | Response::IncrementalAlterConfigs(r) => {
            r.resources.iter().any(|(_, result)| result.as_ref().err() == Some(&code))
        }
        _ => false,
    }
}

/// The answer that refuses all of a request.
fn refusal(request: &Request, error: ErrorCode) -> Option<Response> {
    Some(match request {
        Request::CreateTopics(r) => Response::CreateTopics(CreateTopicsResponse {
            topics: r.topics.iter().map(|topic| (topic.name.clone(), Err(error))).collect(),
        }),
        Request::DeleteTopics(r) => Response::DeleteTopics(DeleteTopicsResponse {
            topics: r.topics.iter().map(|name| (name.clone(), Err(error))).collect(),
        }),
        Request::CreatePartitions(r) => Response::CreatePartitions(CreatePartitionsResponse {
            topics: r.topics.iter().map(|(name, _)| (name.clone(), Err(error))).collect(),
        }),
        Request::ElectLeaders(_) => {
            Response::ElectLeaders(ElectLeadersResponse { error: Some(error), partitions: Vec::new() })
        }
        Request::DescribeQuorum(_) => Response::DescribeQuorum(DescribeQuorumResponse {
            error: Some(error),
            epoch: LeaderEpoch(0),
            leader: None,
            high_watermark: Offset::ZERO,
            voters: Vec::new(),
            observers: NodeSet::default(),
        }),
        Request::AlterConfigs(r) => Response::AlterConfigs(AlterConfigsResponse {
            resources: r.resources.iter().map(|(of, _)| (of.clone(), Err(error))).collect(),
        }),
        Request::IncrementalAlterConfigs(r) => Response::IncrementalAlterConfigs(AlterConfigsResponse {
            resources: r.resources.iter().map(|(of, _)| (of.clone(), Err(error))).collect(),
        }),
        _ => return None,
    })
}
