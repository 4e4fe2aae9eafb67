//! May a leader have the ISR that it proposes?
//!
//! AlterPartition, KIP-497; KIP-841 (no fenced or leaving broker), KIP-903 (no broker by a registration that
//! is not its present one).

use alloc::{collections::BTreeSet, vec::Vec};

use super::{
    decide::View,
    image::PartitionImage,
    leaders::Revision,
    record::{LeaderRecovery, Record},
};
use crate::{
    museum::Bug,
    protocol::{
        ErrorCode,
        alter_partition::{AlterPartitionRequest, AlterPartitionResponse, AlteredPartition, IsrProposal},
    },
    units::{BrokerEpoch, NodeId, NodeSet},
};

/// Takes each proposal or refuses it, one by one.
///
/// Refuses all with `StaleBrokerEpoch` unless the proposer names its registration.
pub(super) fn alter(
    view: View<'_>,
    request: &AlterPartitionRequest,
) -> Result<(Vec<Record>, AlterPartitionResponse), ErrorCode> {
    view.registered(request.broker, request.broker_epoch)?;
    let mut records: Vec<Record> = Vec::new();
    let mut partitions = Vec::with_capacity(request.partitions.len());
    let mut seen = BTreeSet::new();
    for proposal in &request.partitions {
        // A second proposal for a partition starts from a state that the first may just have changed.
        let again = !seen.insert(proposal.partition);
        let result =
            if again { Err(ErrorCode::InvalidRequest) } else { alter_one(view, request.broker, proposal) };
        let result = result.map(|(record, altered)| {
            records.extend(record);
            altered
        });
        partitions.push((proposal.partition, result));
    }
    Ok((records, AlterPartitionResponse { error: None, partitions }))
}

fn alter_one(
    view: View<'_>,
    broker: NodeId,
    proposal: &IsrProposal,
) -> Result<(Option<Record>, AlteredPartition), ErrorCode> {
    let topic = view.image.topic(proposal.partition.topic).ok_or(ErrorCode::UnknownTopicId)?;
    let state = topic
        .partitions
        .get(proposal.partition.partition as usize)
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let isr: NodeSet = proposal.isr.iter().map(|(replica, _)| *replica).collect();
    if view.museum.has(Bug::AlterPartitionIdempotentCheck) {
        // KAFKA-14154: a proposal that agreed with the image was confirmed whatever its partition epoch, also
        // by a controller whose image was old.
        if state.leader == Some(broker) && state.leader_epoch == proposal.leader_epoch && state.isr == isr {
            return Ok((None, altered(state)));
        }
    }
    check(view, broker, state, proposal, &isr)?;
    let may_lead = |replica| view.is_active(replica);
    let revision = Revision::of(view, proposal.partition, state, &may_lead);
    // A leader that proposes an ISR has got over the election that made it leader (KIP-704).
    let record = Revision { isr, recovery: LeaderRecovery::Recovered, ..revision }.build();
    let answer = match &record {
        Some(change) => altered(&state.changed(change)),
        None => altered(state),
    };
    Ok((record.map(Record::PartitionChange), answer))
}

fn altered(state: &PartitionImage) -> AlteredPartition {
    AlteredPartition {
        leader: state.leader,
        leader_epoch: state.leader_epoch,
        isr: state.isr.clone(),
        partition_epoch: state.partition_epoch,
    }
}

/// Whether the proposal may be taken. Epochs greater than ours say that another controller is active by now.
fn check(
    view: View<'_>,
    broker: NodeId,
    state: &PartitionImage,
    proposal: &IsrProposal,
    isr: &NodeSet,
) -> Result<(), ErrorCode> {
    if proposal.leader_epoch > state.leader_epoch || proposal.partition_epoch > state.partition_epoch {
        return Err(ErrorCode::NotController);
    }
    if proposal.leader_epoch < state.leader_epoch {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if state.leader != Some(broker) {
        return Err(ErrorCode::InvalidRequest);
    }
    if proposal.partition_epoch < state.partition_epoch {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    let repeated = isr.len() != proposal.isr.len();
    let strange = isr.iter().any(|replica| !state.replicas.contains(&replica));
    if repeated || strange || !isr.contains(broker) {
        return Err(ErrorCode::InvalidRequest);
    }
    if proposal.isr.iter().any(|(replica, epoch)| !is_eligible(view, *replica, *epoch)) {
        return Err(ErrorCode::IneligibleReplica);
    }
    Ok(())
}

/// Whether a replica may be in sync: its broker is active, and is the one that the leader knows.
fn is_eligible(view: View<'_>, replica: NodeId, epoch: Option<BrokerEpoch>) -> bool {
    let Some(registration) = view.image.broker(replica) else { return false };
    // KIP-841, KAFKA-13916: a broker that was fenced or leaving but still fetched was taken into the ISR.
    if !registration.is_active() && !view.museum.has(Bug::FencedBrokerJoinsIsr) {
        return false;
    }
    // KIP-903, KAFKA-14139: only ids were compared, so the fetches of a former life let a broker in that had
    // come back without its log.
    view.museum.has(Bug::StaleBrokerEpochJoinsIsr) || epoch.is_none_or(|epoch| epoch == registration.epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controller::fixture::{Cluster, broker, set},
        units::{LeaderEpoch, PartitionEpoch},
    };

    #[test]
    fn a_leader_gets_the_isr_it_proposes() {
        let mut cluster = Cluster::of(3);
        let partition = cluster.topic("orders", &[1, 2, 3], &[]);
        let proposal = cluster.proposal(partition, &[1, 2]);
        let altered = cluster.propose(1, proposal);
        let expected = AlteredPartition {
            leader: Some(broker(1)),
            leader_epoch: LeaderEpoch(0),
            isr: set(&[1, 2]),
            partition_epoch: PartitionEpoch(1),
        };
        assert_eq!(altered, Ok(expected));
        assert_eq!(cluster.state(partition).isr, set(&[1, 2]));
    }

    /// Each refusal of Kafka's `validateAlterPartitionData`, by what is wrong with the proposal.
    #[test]
    fn a_proposal_that_is_wrong_is_refused_for_what_is_wrong() {
        type Spoil = fn(&mut IsrProposal);
        let table: [(Spoil, ErrorCode); 9] = [
            (|p| p.partition.topic.0 += 1_000, ErrorCode::UnknownTopicId),
            (|p| p.partition.partition = 1, ErrorCode::UnknownTopicOrPartition),
            (|p| p.leader_epoch.0 += 1, ErrorCode::NotController),
            (|p| p.partition_epoch.0 += 1, ErrorCode::NotController),
            (|p| p.leader_epoch.0 -= 1, ErrorCode::FencedLeaderEpoch),
            (|p| p.partition_epoch.0 -= 1, ErrorCode::InvalidUpdateVersion),
            (|p| p.isr.push(p.isr[0]), ErrorCode::InvalidRequest),
            (|p| p.isr.push((broker(4), None)), ErrorCode::InvalidRequest),
            (|p| p.isr.retain(|(replica, _)| *replica != broker(2)), ErrorCode::InvalidRequest),
        ];
        for (spoil, error) in table {
            let mut cluster = Cluster::of(4);
            let partition = cluster.topic("orders", &[1, 2, 3], &[]);
            // Broker 1 comes and goes, so that no epoch is zero.
            cluster.expire(1);
            cluster.beat(1).expect("registered");
            let mut proposal = cluster.proposal(partition, &[1, 2, 3]);
            spoil(&mut proposal);
            assert_eq!(cluster.propose(2, proposal), Err(error));
            assert!(cluster.records.is_empty());
        }
    }

    #[test]
    fn only_the_leader_may_propose_and_only_by_its_registration() {
        let mut cluster = Cluster::of(3);
        let partition = cluster.topic("orders", &[1, 2, 3], &[]);
        let proposal = cluster.proposal(partition, &[1, 2]);
        assert_eq!(cluster.propose(2, proposal.clone()), Err(ErrorCode::InvalidRequest));
        assert_eq!(cluster.propose(9, proposal), Err(ErrorCode::StaleBrokerEpoch));
    }

    /// KIP-841: "fenced or in-controlled-shutdown replicas are not eligible to be in the ISR".
    #[test]
    fn a_fenced_or_leaving_broker_may_not_be_in_sync() {
        let mut cluster = Cluster::of(3);
        let partition = cluster.topic("orders", &[1, 2, 3], &[]);
        let _led_by_3 = cluster.topic("audit", &[3, 1], &[]);
        cluster.expire(2);
        let proposal = cluster.proposal(partition, &[1, 2, 3]);
        assert_eq!(cluster.propose(1, proposal), Err(ErrorCode::IneligibleReplica));
        let standing = cluster.heartbeat(3, cluster.next, false, true);
        assert!(standing.is_ok_and(|standing| !standing.may_shut_down));
        assert_eq!(cluster.state(partition).isr, set(&[1]));
        let proposal = cluster.proposal(partition, &[1, 3]);
        assert_eq!(cluster.propose(1, proposal), Err(ErrorCode::IneligibleReplica));
    }

    /// KIP-903: a restarted broker is in sync only by its present registration.
    #[test]
    fn a_broker_may_not_be_in_sync_by_a_former_life() {
        let mut cluster = Cluster::of(2);
        let partition = cluster.topic("orders", &[1, 2], &[]);
        let before = cluster.proposal(partition, &[1, 2]);
        cluster.lose_power(2);
        cluster.beat(2).expect("registered");
        let mut proposal = cluster.proposal(partition, &[1, 2]);
        proposal.isr = before.isr;
        assert_eq!(cluster.propose(1, proposal.clone()), Err(ErrorCode::IneligibleReplica));
        // A leader that is too old to know registrations is trusted.
        proposal.isr[1].1 = None;
        assert!(cluster.propose(1, proposal).is_ok());
    }

    #[test]
    fn a_proposal_ends_the_recovery_after_an_unclean_election() {
        let mut cluster = Cluster::of(2);
        let partition = cluster.topic("orders", &[1, 2], &[("unclean.leader.election.enable", "true")]);
        cluster.set_isr(partition, &[1]);
        cluster.lose_power(1);
        assert_eq!(cluster.state(partition).recovery, LeaderRecovery::Recovering);
        cluster.set_isr(partition, &[2]);
        assert_eq!(cluster.state(partition).recovery, LeaderRecovery::Recovered);
    }

    #[cfg(feature = "museum")]
    #[test]
    fn what_the_museum_lets_in() {
        let mut cluster = Cluster::of(2).planted(Bug::FencedBrokerJoinsIsr);
        let partition = cluster.topic("orders", &[1, 2], &[]);
        cluster.expire(2);
        let proposal = cluster.proposal(partition, &[1, 2]);
        assert!(cluster.propose(1, proposal).is_ok());

        let mut cluster = Cluster::of(2).planted(Bug::StaleBrokerEpochJoinsIsr);
        let partition = cluster.topic("orders", &[1, 2], &[]);
        let before = cluster.proposal(partition, &[1, 2]).isr;
        cluster.lose_power(2);
        cluster.beat(2).expect("registered");
        let proposal = IsrProposal { isr: before, ..cluster.proposal(partition, &[1, 2]) };
        assert!(cluster.propose(1, proposal).is_ok());

        let mut cluster = Cluster::of(2).planted(Bug::AlterPartitionIdempotentCheck);
        let partition = cluster.topic("orders", &[1, 2], &[]);
        let newer =
            IsrProposal { partition_epoch: PartitionEpoch(9), ..cluster.proposal(partition, &[1, 2]) };
        assert!(cluster.propose(1, newer).is_ok());
    }
}
