//! AlterPartition, key 56.

use kacrab_protocol::generated::{
    alter_partition_request::{AlterPartitionRequestData, BrokerState, PartitionData, TopicData},
    alter_partition_response as told,
};
use trial_model::{
    protocol::{
        TopicRef,
        alter_partition::{AlterPartitionRequest, AlterPartitionResponse, AlteredPartition, IsrProposal},
    },
    units::{PartitionEpoch, TopicPartition},
};

use crate::{
    call::Call,
    convert::*,
    frame::{Refused, spells},
};

spells!(
    alter_partition_request::AlterPartitionRequestData,
    alter_partition_response::AlterPartitionResponseData,
);

/// With the replicas' broker epochs since version 3 (KIP-903).
const WITH_EPOCHS: i16 = 3;

pub(crate) fn read(
    data: AlterPartitionRequestData,
    call: &mut Call,
) -> Result<AlterPartitionRequest, Refused> {
    let mut partitions = Vec::new();
    for topic in data.topics {
        let id = call.foreign.id(topic.topic_id);
        for asked in topic.partitions {
            let bare = asked.new_isr.iter().map(|number| (*number, -1));
            let known = asked.new_isr_with_epochs.iter().map(|state| (state.broker_id, state.broker_epoch));
            let isr = bare.chain(known).map(|(number, epoch)| Ok((some_node(number)?, broker_epoch(epoch))));
            partitions.push(IsrProposal {
                partition: TopicPartition::new(id, asked.partition_index as u32),
                leader_epoch: epoch(asked.leader_epoch).ok_or(Refused::Malformed)?,
                partition_epoch: PartitionEpoch(
                    u32::try_from(asked.partition_epoch).map_err(|_| Refused::Malformed)?,
                ),
                isr: isr.collect::<Result<_, Refused>>()?,
            });
        }
    }
    Ok(AlterPartitionRequest {
        broker: some_node(data.broker_id)?,
        broker_epoch: broker_epoch(data.broker_epoch).ok_or(Refused::Malformed)?,
        partitions,
    })
}

pub(crate) fn spell(request: &AlterPartitionRequest, call: &Call) -> AlterPartitionRequestData {
    let partitions = request.partitions.iter().map(|proposal| {
        let mut data = PartitionData {
            partition_index: proposal.partition.partition as i32,
            leader_epoch: proposal.leader_epoch.0 as i32,
            partition_epoch: proposal.partition_epoch.0 as i32,
            ..Default::default()
        };
        if call.version >= WITH_EPOCHS {
            let state = |(node, epoch): &(trial_model::units::NodeId, _)| BrokerState {
                broker_id: node.0 as i32,
                broker_epoch: broker_epoch_number(*epoch),
                ..Default::default()
            };
            data.new_isr_with_epochs = proposal.isr.iter().map(state).collect();
        } else {
            data.new_isr = proposal.isr.iter().map(|(node, _)| node.0 as i32).collect();
        }
        (TopicRef::Id(proposal.partition.topic), data)
    });
    let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| TopicData {
        topic_id: call.foreign.spell(&topic).1,
        partitions,
        ..Default::default()
    });
    AlterPartitionRequestData {
        broker_id: request.broker.0 as i32,
        broker_epoch: request.broker_epoch.0 as i64,
        topics: topics.collect(),
        ..Default::default()
    }
}

pub(crate) fn answer(response: &AlterPartitionResponse, call: &Call) -> told::AlterPartitionResponseData {
    let answers = response.partitions.iter().map(|(partition, result)| {
        let data = match result {
            Ok(state) => told::PartitionData {
                leader_id: number(state.leader),
                leader_epoch: state.leader_epoch.0 as i32,
                isr: numbers(&state.isr),
                partition_epoch: state.partition_epoch.0 as i32,
                ..Default::default()
            },
            Err(error) => told::PartitionData { error_code: error.code(), ..Default::default() },
        };
        let data = told::PartitionData { partition_index: partition.partition as i32, ..data };
        (TopicRef::Id(partition.topic), data)
    });
    let topics = by_topic(answers).into_iter().map(|(topic, partitions)| told::TopicData {
        topic_id: call.foreign.spell(&topic).1,
        partitions,
        ..Default::default()
    });
    told::AlterPartitionResponseData {
        error_code: code(response.error),
        topics: topics.collect(),
        ..Default::default()
    }
}

pub(crate) fn read_answer(
    data: told::AlterPartitionResponseData,
    call: &mut Call,
) -> Result<AlterPartitionResponse, Refused> {
    let mut partitions = Vec::new();
    for topic in data.topics {
        let id = call.foreign.id(topic.topic_id);
        for told in topic.partitions {
            let state = AlteredPartition {
                leader: node(told.leader_id),
                leader_epoch: epoch(told.leader_epoch).unwrap_or_default(),
                isr: nodes(&told.isr),
                partition_epoch: PartitionEpoch(u32::try_from(told.partition_epoch).unwrap_or_default()),
            };
            let partition = TopicPartition::new(id, told.partition_index as u32);
            partitions.push((partition, result(told.error_code, state)));
        }
    }
    Ok(AlterPartitionResponse { error: error(data.error_code), partitions })
}
