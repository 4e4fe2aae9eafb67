//! Fetch, key 1: what is asked for, in which session, and what was read?

use bytes::Bytes;
use kacrab_protocol::generated::{
    fetch_request::{FetchPartition, FetchRequestData, FetchTopic, ForgottenTopic, ReplicaState as State},
    fetch_response::{
        EpochEndOffset, FetchResponseData, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
        PartitionData, SnapshotId,
    },
};
use trial_model::{
    log::{
        batch::{Batch, Batches},
        codec::Corrupt,
    },
    protocol::{
        TopicRef,
        fetch::{EpochEnd, FetchRequest, FetchResponse, PartitionFetch, PartitionFetched, ReplicaState},
    },
    units::{NodeId, TopicPartition},
};

use crate::{
    book::Book,
    call::{Call, Echo},
    convert::*,
    frame::{Refused, spells},
    session::{FetchSession, Meant},
};

spells!(fetch_request::FetchRequestData, fetch_response::FetchResponseData);

/// By id since version 13 (KIP-516). Sessions are had from then on only: a name may come to mean another
/// topic while its session goes on.
const BY_ID: i16 = 13;
const SESSION_NOT_FOUND: i16 = 70;
const WRONG_SESSION_EPOCH: i16 = 71;

/// A fetch, or the answer to one whose session is not there.
pub(crate) enum Read {
    Fetch(FetchRequest),
    NoSession(FetchResponseData),
}

pub(crate) fn read(
    data: FetchRequestData,
    call: &mut Call,
    session: &mut FetchSession,
) -> Result<Read, Refused> {
    let by_id = call.version >= BY_ID;
    let incremental = match session.take(data.session_id, data.session_epoch, by_id) {
        Meant::Full(id) => {
            call.echo = Echo::Session(id);
            false
        }
        Meant::Incremental(id) => {
            call.echo = Echo::Session(id);
            true
        }
        Meant::NotFound => return Ok(no_session(SESSION_NOT_FOUND)),
        Meant::WrongEpoch => return Ok(no_session(WRONG_SESSION_EPOCH)),
    };
    let replica = match call.version {
        15.. => (data.replica_state.replica_id, data.replica_state.replica_epoch),
        _ => (data.replica_id, -1),
    };
    let mut partitions = Vec::new();
    for topic in data.topics {
        let topic_ref = call.foreign.topic(by_id, &topic.topic, topic.topic_id);
        for asked in topic.partitions {
            partitions.push(PartitionFetch {
                partition: partition(topic_ref.clone(), asked.partition),
                current_leader_epoch: epoch(asked.current_leader_epoch),
                fetch_offset: offset(asked.fetch_offset),
                last_fetched_epoch: epoch(asked.last_fetched_epoch),
                log_start: some_offset(asked.log_start_offset),
                max_bytes: bytes(asked.partition_max_bytes),
            });
        }
    }
    let mut forgotten = Vec::new();
    for topic in data.forgotten_topics_data.into_iter().filter(|_| incremental) {
        let id = call.foreign.id(topic.topic_id);
        forgotten.extend(topic.partitions.iter().map(|index| TopicPartition::new(id, *index as u32)));
    }
    Ok(Read::Fetch(FetchRequest {
        replica: node(replica.0)
            .map(|replica_id| ReplicaState { replica: replica_id, broker_epoch: broker_epoch(replica.1) }),
        max_wait: millis(data.max_wait_ms),
        min_bytes: bytes(data.min_bytes),
        max_bytes: bytes(data.max_bytes),
        partitions,
        incremental,
        forgotten,
    }))
}

fn no_session(error_code: i16) -> Read {
    Read::NoSession(FetchResponseData { error_code, ..Default::default() })
}

pub(crate) fn spell(request: &FetchRequest, call: &Call, session: &mut FetchSession) -> FetchRequestData {
    let (session_id, session_epoch) = session.spell(request.incremental);
    let partitions = request.partitions.iter().map(|asked| {
        let data = FetchPartition {
            partition: asked.partition.partition as i32,
            current_leader_epoch: epoch_number(asked.current_leader_epoch),
            fetch_offset: asked.fetch_offset.0 as i64,
            last_fetched_epoch: epoch_number(asked.last_fetched_epoch.filter(|_| call.version >= 12)),
            log_start_offset: offset_number(asked.log_start),
            partition_max_bytes: bytes_number(asked.max_bytes),
            ..Default::default()
        };
        (asked.partition.topic.clone(), data)
    });
    let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
        let (topic, topic_id) = call.foreign.spell(&topic);
        FetchTopic { topic, topic_id, partitions, ..Default::default() }
    });
    let forgotten = request.forgotten.iter().map(|gone| (TopicRef::Id(gone.topic), gone.partition as i32));
    let forgotten = by_topic(forgotten).into_iter().map(|(topic, partitions)| {
        let (topic, topic_id) = call.foreign.spell(&topic);
        ForgottenTopic { topic, topic_id, partitions, ..Default::default() }
    });
    let (id, state) = match request.replica {
        Some(ReplicaState { replica, broker_epoch }) => (replica.0 as i32, broker_epoch_number(broker_epoch)),
        None => (-1, -1),
    };
    let in_state = call.version >= 15;
    FetchRequestData {
        replica_id: if in_state { -1 } else { id },
        replica_state: match in_state {
            true => State { replica_id: id, replica_epoch: state, ..Default::default() },
            false => State::default(),
        },
        max_wait_ms: millis_number(request.max_wait),
        min_bytes: bytes_number(request.min_bytes),
        max_bytes: bytes_number(request.max_bytes),
        session_id,
        session_epoch,
        topics: topics.collect(),
        forgotten_topics_data: if call.version >= 7 { forgotten.collect() } else { Vec::new() },
        ..Default::default()
    }
}

pub(crate) fn answer(response: &FetchResponse, call: &Call, book: &Book) -> FetchResponseData {
    let mut leaders: Vec<NodeId> = Vec::new();
    let answers = response.partitions.iter().map(|told| {
        let leader = told.leader.and_then(|hint| hint.leader).filter(|_| call.version >= 16);
        if let Some(leader) = leader.filter(|leader| !leaders.contains(leader)) {
            leaders.push(leader);
        }
        (told.partition.topic.clone(), answer_one(told))
    });
    let responses = by_topic(answers)
        .into_iter()
        .map(|(topic, partitions)| {
            let (topic, topic_id) = call.foreign.spell(&topic);
            FetchableTopicResponse { topic, topic_id, partitions, ..Default::default() }
        })
        .collect();
    let node_endpoints = leaders.into_iter().map(|node| {
        let (host, port) = book.endpoint(node);
        NodeEndpoint { node_id: node.0 as i32, host: string(host), port: port.into(), ..Default::default() }
    });
    let session_id = match call.echo {
        Echo::Session(id) => id,
        _ => 0,
    };
    FetchResponseData {
        session_id,
        responses,
        node_endpoints: node_endpoints.collect(),
        ..Default::default()
    }
}

fn answer_one(told: &PartitionFetched) -> PartitionData {
    let (leader_id, leader_epoch) = hint_numbers(told.leader);
    let end = |of: Option<EpochEnd>| of.map_or((-1, -1), |of| (of.epoch.0 as i32, of.end.0 as i64));
    let (diverging_epoch, diverging_end) = end(told.diverging_epoch);
    let (snapshot_epoch, snapshot_end) = end(told.snapshot);
    PartitionData {
        partition_index: told.partition.partition as i32,
        error_code: code(told.error),
        high_watermark: told.high_watermark.0 as i64,
        // There are no transactions that could be open.
        last_stable_offset: told.high_watermark.0 as i64,
        log_start_offset: told.log_start.0 as i64,
        diverging_epoch: EpochEndOffset {
            epoch: diverging_epoch,
            end_offset: diverging_end,
            ..Default::default()
        },
        current_leader: LeaderIdAndEpoch { leader_id, leader_epoch, ..Default::default() },
        snapshot_id: SnapshotId { end_offset: snapshot_end, epoch: snapshot_epoch, ..Default::default() },
        aborted_transactions: None,
        records: Some(join(&told.batches)),
        ..Default::default()
    }
}

/// Batches one behind the other. Empty, not null, where there is none: librdkafka takes null for an error.
fn join(batches: &Batches) -> Bytes {
    match batches.as_slice() {
        [] => Bytes::new(),
        [only] => only.encode(),
        more => {
            let mut out = Vec::with_capacity(more.iter().map(Batch::size).sum());
            more.iter().for_each(|batch| batch.encode_into(&mut out));
            out.into()
        }
    }
}

pub(crate) fn read_answer(
    data: FetchResponseData,
    call: &mut Call,
    session: &mut FetchSession,
) -> Result<FetchResponse, Refused> {
    if data.error_code != 0 {
        // Our session is lost, and only a new connection brings another.
        return Err(Refused::Malformed);
    }
    session.told(data.session_id);
    let mut partitions = Vec::new();
    for topic in data.responses {
        let topic_ref = call.foreign.topic(call.version >= BY_ID, &topic.topic, topic.topic_id);
        for told in topic.partitions {
            partitions.push(PartitionFetched {
                partition: partition(topic_ref.clone(), told.partition_index),
                error: error(told.error_code),
                high_watermark: offset(told.high_watermark.max(0)),
                log_start: offset(told.log_start_offset.max(0)),
                diverging_epoch: epoch_end(told.diverging_epoch.epoch, told.diverging_epoch.end_offset),
                snapshot: epoch_end(told.snapshot_id.epoch, told.snapshot_id.end_offset),
                leader: hint(told.current_leader.leader_id, told.current_leader.leader_epoch),
                batches: split(told.records.unwrap_or_default())?,
            });
        }
    }
    Ok(FetchResponse { partitions })
}

/// The whole batches that bytes begin with; a last one may be cut short.
fn split(mut records: Bytes) -> Result<Batches, Refused> {
    let mut batches = Batches::new();
    while !records.is_empty() {
        match Batch::decode(&mut records) {
            Ok(batch) => batches.push(batch),
            Err(Corrupt::Incomplete { .. }) => break,
            Err(_) => return Err(Refused::Malformed),
        }
    }
    Ok(batches)
}
