//! May a leader have the ISR that it proposes?
//!
//! AlterPartition, KIP-497; KIP-841 (no fenced or leaving broker), KIP-903 (no broker by a registration that
//! is not its present one).

use alloc::vec::Vec;

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
    for (nth, proposal) in request.partitions.iter().enumerate() {
        // A second proposal for a partition starts from a state that the first may just have changed.
        let again = request.partitions[..nth].iter().any(|before| before.partition == proposal.partition);
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
