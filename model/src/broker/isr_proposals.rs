//! Which ISR proposals wait for the controller? KIP-497.
//!
//! One AlterPartition request of a broker is in flight at a time, with everything that had gathered. A
//! partition stands here from its proposal until the controller's answer, so it has one proposal at most.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    museum::{Bug, Museum},
    protocol::alter_partition::IsrProposal,
    units::{CorrelationId, TopicPartition},
};

/// The proposals of one broker.
#[derive(Clone, Debug, Default)]
pub struct Proposals {
    waiting: BTreeMap<TopicPartition, IsrProposal>,
    in_flight: Option<InFlight>,
}

#[derive(Clone, Debug)]
struct InFlight {
    correlation: CorrelationId,
    partitions: Vec<IsrProposal>,
}

impl Proposals {
    /// Takes a proposal in, to be sent with the next request. A later proposal of the same partition takes
    /// the place of one that was not sent yet.
    pub fn add(&mut self, proposal: IsrProposal) {
        self.waiting.insert(proposal.partition, proposal);
    }

    /// The partition has another leader or state, or is gone: what was not sent is not sent any more.
    pub fn forget(&mut self, partition: TopicPartition) {
        self.waiting.remove(&partition);
    }

    /// Whether a request should go out.
    pub fn is_due(&self) -> bool {
        self.in_flight.is_none() && !self.waiting.is_empty()
    }

    /// Everything that waits, which is in flight from now on.
    pub fn send(&mut self, correlation: CorrelationId) -> Vec<IsrProposal> {
        let partitions: Vec<IsrProposal> = core::mem::take(&mut self.waiting).into_values().collect();
        self.in_flight = Some(InFlight { correlation, partitions: partitions.clone() });
        partitions
    }

    /// Whether the answer to `correlation` is waited for.
    pub fn awaits(&self, correlation: CorrelationId) -> bool {
        self.in_flight.as_ref().is_some_and(|sent| sent.correlation == correlation)
    }

    /// The answer has come, or will not come: gives out what was asked.
    pub fn answered(&mut self) -> Vec<IsrProposal> {
        self.in_flight.take().map(|sent| sent.partitions).unwrap_or_default()
    }

    /// Puts a proposal back that is to be tried again; says whether it was. One that was made meanwhile
    /// stays.
    pub fn retry(&mut self, proposal: IsrProposal, museum: Museum) -> bool {
        // KAFKA-14010: the handler tried again before the failed request was taken off the list, so that the
        // new one looked like a repetition and was dropped, and the leader waited for an answer for ever.
        if museum.has(Bug::AlterpartitionRetryLost) {
            return false;
        }
        self.waiting.entry(proposal.partition).or_insert(proposal);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{LeaderEpoch, PartitionEpoch, TopicId};

    fn proposal(partition: u32) -> IsrProposal {
        IsrProposal {
            partition: TopicPartition::new(TopicId(2), partition),
            leader_epoch: LeaderEpoch(1),
            partition_epoch: PartitionEpoch(1),
            isr: Vec::new(),
        }
    }

    #[test]
    fn what_gathers_during_a_request_goes_with_the_next() {
        let mut proposals = Proposals::default();
        proposals.add(proposal(0));
        assert_eq!(proposals.send(CorrelationId(1)).len(), 1);
        proposals.add(proposal(1));
        proposals.add(proposal(2));
        assert!(!proposals.is_due());
        assert!(proposals.awaits(CorrelationId(1)) && !proposals.awaits(CorrelationId(2)));
        assert_eq!(proposals.answered(), [proposal(0)]);
        assert_eq!(proposals.send(CorrelationId(2)), [proposal(1), proposal(2)]);
    }

    #[test]
    fn a_retry_is_sent_again() {
        let mut proposals = Proposals::default();
        proposals.add(proposal(0));
        proposals.send(CorrelationId(1));
        let asked = proposals.answered().remove(0);
        assert!(proposals.retry(asked, Museum::CLOSED));
        assert!(proposals.is_due());
    }
}
