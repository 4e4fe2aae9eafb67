//! What does this broker have to say to the controller, and what does it hear?
//!
//! Three connections, as in Kafka, so that nothing waits behind anything else: registration and heartbeats,
//! ISR proposals, and what is handed on for others. Each has a request in flight or rests after a failure.

use core::time::Duration;

use super::{Broker, Timer, lifecycle::Turn};
use crate::{
    event::{BrokerState, Event},
    machine::{Channel, Effects, Outgoing},
    museum::Bug,
    partition::isr::Adoption,
    protocol::{
        ErrorCode, Request, Response,
        alter_partition::{AlterPartitionRequest, AlterPartitionResponse, AlteredPartition, IsrProposal},
    },
    time::{Instant, Now, earliest},
    units::{CorrelationId, NodeId, NodeSet},
};

/// How long ISR proposals rest after a failure.
const PROPOSAL_RETRY: Duration = Duration::from_millis(50);

/// Requests handed on for others, which may take their time at the controller.
pub(super) const FORWARDING: Channel = Channel(4);

/// What is in flight to the controllers.
#[derive(Clone, Debug, Default)]
pub struct ControllerChannel {
    life: Option<Sent>,
    proposals: Option<Sent>,
    /// Whether proposals rest after a failure.
    pub proposals_rest: bool,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    to: NodeId,
    correlation: CorrelationId,
    until: Instant,
}

impl ControllerChannel {
    /// When the first of what is in flight has waited for too long.
    pub fn deadline(&self) -> Option<Instant> {
        earliest(self.life.map(|sent| sent.until), self.proposals.map(|sent| sent.until))
    }
}

impl Broker {
    /// Says what is due.
    pub(super) fn talk_to_controller(&mut self, now: Now, effects: &mut Effects) {
        if self.halted {
            return;
        }
        self.time_out(now, effects);
        if self.life.gives_up(now.monotonic) {
            return self.begin_closing(effects);
        }
        let Some(controller) = self.quorum.leader() else { return };
        if self.channel.life.is_none()
            && let Some(request) = self.life.due(now.monotonic, self.metadata.end)
        {
            let until = now.monotonic + self.config.broker_session_timeout_ms / 2;
            let correlation = self.next_correlation();
            self.channel.life = Some(Sent { to: controller, correlation, until });
            self.life.sent();
            effects.request(controller, Channel::HEARTBEAT, correlation, request);
        }
        if self.proposals.is_due() && !self.channel.proposals_rest {
            self.send_proposals(now, controller, effects);
        }
        self.send_forwarded(now, controller, effects);
    }

    fn send_proposals(&mut self, now: Now, controller: NodeId, effects: &mut Effects) {
        let Some(broker_epoch) = self.life.epoch() else { return };
        let correlation = self.next_correlation();
        let until = now.monotonic + self.config.request_timeout_ms;
        self.channel.proposals = Some(Sent { to: controller, correlation, until });
        let partitions = self.proposals.send(correlation);
        let request = AlterPartitionRequest { broker: self.setup.id, broker_epoch, partitions };
        effects.request(controller, Channel::MAIN, correlation, Request::AlterPartition(request));
    }

    /// Gives up what has waited for too long: the connection is closed, so no late answer can come.
    fn time_out(&mut self, now: Now, effects: &mut Effects) {
        let late = |sent: &Sent| sent.until <= now.monotonic;
        if let Some(sent) = self.channel.life.filter(late) {
            effects.mail.push(Outgoing::Disconnect { peer: sent.to, channel: Channel::HEARTBEAT });
            self.on_controller_lost(now, sent.to, Channel::HEARTBEAT, effects);
        }
        if let Some(sent) = self.channel.proposals.filter(late) {
            effects.mail.push(Outgoing::Disconnect { peer: sent.to, channel: Channel::MAIN });
            self.on_controller_lost(now, sent.to, Channel::MAIN, effects);
        }
    }

    pub(super) fn on_controller_lost(
        &mut self,
        now: Now,
        peer: NodeId,
        channel: Channel,
        effects: &mut Effects,
    ) {
        match channel {
            Channel::HEARTBEAT if self.channel.life.is_some_and(|sent| sent.to == peer) => {
                self.channel.life = None;
                self.life.failed(now.monotonic);
            }
            Channel::MAIN if self.channel.proposals.is_some_and(|sent| sent.to == peer) => {
                self.channel.proposals = None;
                let asked = self.proposals.answered();
                self.proposals_failed(now, asked, ErrorCode::NetworkException, effects);
            }
            FORWARDING => self.forwarding_lost(now, peer),
            _ => {}
        }
    }

    pub(super) fn on_controller_response(
        &mut self,
        now: Now,
        correlation: CorrelationId,
        response: Response,
        effects: &mut Effects,
    ) {
        match response {
            Response::BrokerRegistration(response) if self.answers_life(correlation) => {
                let turn = self.life.on_registration(now.monotonic, response.result);
                self.take_turn(turn, effects);
            }
            Response::BrokerHeartbeat(response) if self.answers_life(correlation) => {
                let turn = self.life.on_heartbeat(now.monotonic, response.result);
                self.take_turn(turn, effects);
            }
            Response::AlterPartition(response) if self.proposals.awaits(correlation) => {
                self.channel.proposals = None;
                self.on_altered(now, response, effects);
            }
            response => self.on_forwarded_response(now, correlation, response, effects),
        }
    }

    fn answers_life(&mut self, correlation: CorrelationId) -> bool {
        let answers = self.channel.life.is_some_and(|sent| sent.correlation == correlation);
        if answers {
            self.channel.life = None;
        }
        answers
    }

    fn take_turn(&mut self, turn: Turn, effects: &mut Effects) {
        match turn {
            Turn::None => {}
            Turn::Registered(epoch) => effects.note(Event::BrokerEpochReceived { epoch }),
            Turn::Unfenced => self.set_state(BrokerState::Running, effects),
            Turn::MayShutDown => self.begin_closing(effects),
        }
    }

    fn on_altered(&mut self, now: Now, response: AlterPartitionResponse, effects: &mut Effects) {
        let asked = self.proposals.answered();
        if let Some(error) = response.error {
            return self.proposals_failed(now, asked, error, effects);
        }
        for proposal in asked {
            let answer = response.partitions.iter().find(|(partition, _)| *partition == proposal.partition);
            match answer.map(|(_, result)| result) {
                Some(Ok(altered)) => self.on_proposal_accepted(now, &proposal, altered, effects),
                Some(Err(error)) => self.on_proposal_refused(now, proposal, *error, effects),
                None => self.on_proposal_refused(now, proposal, ErrorCode::UnknownServerError, effects),
            }
        }
    }

    /// None of it was looked at, or perhaps it was and we have not heard: it is asked again.
    fn proposals_failed(
        &mut self,
        now: Now,
        asked: alloc::vec::Vec<IsrProposal>,
        error: ErrorCode,
        effects: &mut Effects,
    ) {
        for proposal in asked {
            self.retry_proposal(now, proposal, error, effects);
        }
    }

    fn on_proposal_accepted(
        &mut self,
        now: Now,
        proposal: &IsrProposal,
        altered: &AlteredPartition,
        effects: &mut Effects,
    ) {
        let Some(slot) = self.replicas.find(proposal.partition) else { return };
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        let Some(leader) = replica.partition.leader_mut() else { return };
        // The metadata log may have told us more meanwhile.
        if leader.epoch != altered.leader_epoch || !is_pending(leader, proposal) {
            return;
        }
        if leader.adopt(altered.isr.clone(), altered.partition_epoch) == Adoption::Stale {
            return;
        }
        effects.note(Event::IsrAdopted {
            partition: proposal.partition,
            epoch: altered.leader_epoch,
            partition_epoch: altered.partition_epoch,
            isr: altered.isr.clone(),
        });
        self.isr_changed(now, slot, effects);
    }

    fn on_proposal_refused(
        &mut self,
        now: Now,
        proposal: IsrProposal,
        error: ErrorCode,
        effects: &mut Effects,
    ) {
        match error {
            // Not now: what was agreed stays, and another may be proposed.
            ErrorCode::IneligibleReplica => {
                self.note_refused(&proposal, error, false, effects);
                let Some(slot) = self.replicas.find(proposal.partition) else { return };
                if let Some(leader) =
                    self.replicas.get_mut(slot).and_then(|replica| replica.partition.leader_mut())
                    && is_pending(leader, &proposal)
                {
                    leader.abandon_proposal();
                    self.advance(now, slot, effects);
                    self.owe_outsiders(slot);
                }
            }
            // The partition has changed: the metadata log will say how. Until then anything may be so, and
            // the maximal ISR stays.
            ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::InvalidUpdateVersion
            | ErrorCode::InvalidRequest
            | ErrorCode::NewLeaderElected => self.note_refused(&proposal, error, false, effects),
            _ => self.retry_proposal(now, proposal, error, effects),
        }
    }

    fn retry_proposal(&mut self, now: Now, proposal: IsrProposal, error: ErrorCode, effects: &mut Effects) {
        let leader = self
            .replicas
            .find(proposal.partition)
            .and_then(|slot| self.replicas.get(slot))
            .and_then(|replica| replica.partition.leader());
        if !leader.is_some_and(|leader| is_pending(leader, &proposal)) {
            return;
        }
        self.note_refused(&proposal, error, true, effects);
        let museum = self.museum();
        // A mutant: the controller may have taken what it has not answered.
        if museum.has(Bug::IsrProposalForgotten)
            && let Some(slot) = self.replicas.find(proposal.partition)
            && let Some(leader) =
                self.replicas.get_mut(slot).and_then(|replica| replica.partition.leader_mut())
        {
            leader.abandon_proposal();
            return self.advance(now, slot, effects);
        }
        self.proposals.retry(proposal, museum);
        self.channel.proposals_rest = true;
        self.timers.set(now.monotonic + PROPOSAL_RETRY, Timer::ProposalRetry);
    }

    fn note_refused(&self, proposal: &IsrProposal, error: ErrorCode, retried: bool, effects: &mut Effects) {
        effects.note(Event::IsrProposalFailed {
            partition: proposal.partition,
            epoch: proposal.leader_epoch,
            error,
            retried,
        });
    }
}

/// Whether the leader still waits for the answer to this very proposal.
fn is_pending(leader: &crate::partition::leader::Leader, proposal: &IsrProposal) -> bool {
    let proposed: NodeSet = proposal.isr.iter().map(|(id, _)| *id).collect();
    leader.epoch == proposal.leader_epoch
        && leader.partition_epoch == proposal.partition_epoch
        && leader.isr.proposed() == Some(&proposed)
}
