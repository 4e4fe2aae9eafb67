//! Produce, key 0: are the bytes a producer sends a batch?
//!
//! Since Kafka 3 a partition's records are exactly one batch of format v2. What is none is refused here, one
//! partition at a time: the node hears only of batches whose CRC agrees.

use bytes::{Bytes, BytesMut};
use kacrab_protocol::generated::{
    produce_request::{PartitionProduceData, ProduceRequestData, TopicProduceData},
    produce_response::{
        LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceResponseData, TopicProduceResponse,
    },
};
use trial_model::{
    log::{batch::Batch, codec::Corrupt},
    protocol::{
        ErrorCode, PartitionRef, TopicRef,
        produce::{Acks, PartitionProduce, PartitionProduced, ProduceRequest, ProduceResponse, Produced},
    },
};

use crate::{
    book::Book,
    call::{Call, Echo},
    convert::*,
    frame::{Refused, spells},
};

spells!(produce_request::ProduceRequestData, produce_response::ProduceResponseData);

/// By id since version 13 (KIP-516).
const BY_ID: i16 = 13;
/// Leader hints since version 10 (KIP-951).
const HINTS: i16 = 10;

/// Whether a request names a topic.
pub(crate) fn names_topics(request: &ProduceRequest) -> bool {
    request.partitions.iter().any(|it| matches!(it.partition.topic, TopicRef::Name(_)))
}

pub(crate) fn read(data: ProduceRequestData, call: &mut Call) -> Result<ProduceRequest, Refused> {
    let acks = match data.acks {
        0 => Ok(Acks::None),
        1 => Ok(Acks::Leader),
        -1 => Ok(Acks::All),
        _ => Err(ErrorCode::InvalidRequiredAcks),
    };
    let mut partitions = Vec::new();
    let mut refused = Vec::new();
    for topic in data.topic_data {
        let topic_ref = call.foreign.topic(call.version >= BY_ID, &topic.name, topic.topic_id);
        for asked in topic.partition_data {
            let partition = partition(topic_ref.clone(), asked.index);
            let batch = match (&acks, data.transactional_id.is_some()) {
                (Err(error), _) => Err(*error),
                // Nobody here coordinates transactions yet.
                (_, true) => Err(ErrorCode::InvalidRequest),
                _ => only_batch(asked.records.unwrap_or_default()),
            };
            match batch {
                Ok(batch) => partitions.push(PartitionProduce { partition, batch }),
                Err(error) => refused.push((partition, error.code())),
            }
        }
    }
    if acks == Ok(Acks::None) && !refused.is_empty() {
        // No answer could tell of it.
        return Err(Refused::Malformed);
    }
    call.echo = Echo::Refused(refused);
    Ok(ProduceRequest { acks: acks.unwrap_or(Acks::All), timeout: millis(data.timeout_ms), partitions })
}

/// The one batch that a partition's records are.
fn only_batch(mut records: Bytes) -> Result<Batch, ErrorCode> {
    const COMPRESSION: u16 = 0b111;
    const ZSTD: u16 = 4;
    if let Some(plain) = without_producer(&records) {
        records = plain;
    }
    let batch = Batch::decode(&mut records).map_err(|corrupt| match corrupt {
        Corrupt::Record => ErrorCode::InvalidRecord,
        _ => ErrorCode::CorruptMessage,
    })?;
    if !records.is_empty() || batch.header().attributes & COMPRESSION > ZSTD {
        return Err(ErrorCode::InvalidRecord);
    }
    Ok(batch)
}

/// A batch without a producer id whose epoch and sequence say something all the same, as kafkajs and aiokafka
/// send them: nobody may look at them, and they are made to say nothing.
///
/// `None` for everything else, corrupt batches too.
fn without_producer(records: &Bytes) -> Option<Bytes> {
    const CRC: usize = 17;
    const CRC_COVERS_FROM: usize = 21;
    const PRODUCER_ID: usize = 43;
    const EPOCH: usize = 51;
    const COUNT: usize = 57;
    let nothing = [0xff; COUNT - EPOCH];
    let none = records.get(PRODUCER_ID..EPOCH)? == [0xff; EPOCH - PRODUCER_ID];
    if !none || records.get(EPOCH..COUNT)? == nothing {
        return None;
    }
    let crc = u32::from_be_bytes(*records.get(CRC..)?.first_chunk()?);
    if crc32c::crc32c(&records[CRC_COVERS_FROM..]) != crc {
        return None;
    }
    let mut plain = BytesMut::from(&records[..]);
    plain[EPOCH..COUNT].copy_from_slice(&nothing);
    let crc = crc32c::crc32c(&plain[CRC_COVERS_FROM..]);
    plain[CRC..CRC_COVERS_FROM].copy_from_slice(&crc.to_be_bytes());
    Some(plain.freeze())
}

pub(crate) fn spell(request: &ProduceRequest, call: &Call) -> ProduceRequestData {
    let partitions = request.partitions.iter().map(|asked| {
        let data = PartitionProduceData {
            index: asked.partition.partition as i32,
            records: Some(asked.batch.encode()),
            ..Default::default()
        };
        (asked.partition.topic.clone(), data)
    });
    let topic_data = by_topic(partitions)
        .into_iter()
        .map(|(topic, partition_data)| {
            let (name, topic_id) = call.foreign.spell(&topic);
            TopicProduceData { name, topic_id, partition_data, ..Default::default() }
        })
        .collect();
    ProduceRequestData {
        acks: match request.acks {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        },
        timeout_ms: millis_number(request.timeout),
        topic_data,
        ..Default::default()
    }
}

pub(crate) fn answer(response: &ProduceResponse, call: &Call, book: &Book) -> ProduceResponseData {
    let mut endpoints = Vec::new();
    let mut answers: Vec<(TopicRef, PartitionProduceResponse)> = Vec::new();
    for told in &response.partitions {
        if let Some(leader) = told.leader.and_then(|hint| hint.leader).filter(|_| call.version >= HINTS)
            && !endpoints.contains(&leader)
        {
            endpoints.push(leader);
        }
        answers.push((told.partition.topic.clone(), answer_one(told)));
    }
    if let Echo::Refused(refused) = &call.echo {
        answers.extend(refused.iter().map(|(of, error_code)| (of.topic.clone(), refuse(of, *error_code))));
    }
    let responses = by_topic(answers)
        .into_iter()
        .map(|(topic, partition_responses)| {
            let (name, topic_id) = call.foreign.spell(&topic);
            TopicProduceResponse { name, topic_id, partition_responses, ..Default::default() }
        })
        .collect();
    let node_endpoints = endpoints.into_iter().map(|node| {
        let (host, port) = book.endpoint(node);
        NodeEndpoint { node_id: node.0 as i32, host: string(host), port: port.into(), ..Default::default() }
    });
    ProduceResponseData { responses, node_endpoints: node_endpoints.collect(), ..Default::default() }
}

fn refuse(of: &PartitionRef, error_code: i16) -> PartitionProduceResponse {
    PartitionProduceResponse { index: of.partition as i32, error_code, base_offset: -1, ..Default::default() }
}

fn answer_one(told: &PartitionProduced) -> PartitionProduceResponse {
    let produced = match &told.result {
        Ok(produced) => *produced,
        Err(error) => {
            let (leader_id, leader_epoch) = hint_numbers(told.leader);
            let current_leader = LeaderIdAndEpoch { leader_id, leader_epoch, ..Default::default() };
            return PartitionProduceResponse { current_leader, ..refuse(&told.partition, error.code()) };
        }
    };
    PartitionProduceResponse {
        index: told.partition.partition as i32,
        base_offset: produced.base_offset.0 as i64,
        log_append_time_ms: timestamp_number(produced.log_append_time),
        log_start_offset: produced.log_start.0 as i64,
        ..Default::default()
    }
}

pub(crate) fn read_answer(data: ProduceResponseData, call: &mut Call) -> Result<ProduceResponse, Refused> {
    let mut partitions = Vec::new();
    for topic in data.responses {
        let topic_ref = call.foreign.topic(call.version >= BY_ID, &topic.name, topic.topic_id);
        for told in topic.partition_responses {
            let produced = Produced {
                base_offset: offset(told.base_offset),
                log_append_time: timestamp(told.log_append_time_ms),
                log_start: offset(told.log_start_offset.max(0)),
            };
            partitions.push(PartitionProduced {
                partition: partition(topic_ref.clone(), told.index),
                result: result(told.error_code, produced),
                leader: hint(told.current_leader.leader_id, told.current_leader.leader_epoch),
            });
        }
    }
    Ok(ProduceResponse { partitions })
}
