//! FetchSnapshot, key 59.

use kacrab_protocol::generated::{
    fetch_snapshot_request::{FetchSnapshotRequestData, PartitionSnapshot, SnapshotId, TopicSnapshot},
    fetch_snapshot_response as told,
};
use trial_model::protocol::{
    fetch::EpochEnd,
    quorum::{FetchSnapshotRequest, FetchSnapshotResponse},
};

use crate::{
    book::Book,
    convert::*,
    frame::{Refused, spells},
    quorum::TOPIC,
};

spells!(fetch_snapshot_request::FetchSnapshotRequestData, fetch_snapshot_response::FetchSnapshotResponseData);

fn snapshot(epoch: i32, end: i64) -> Result<EpochEnd, Refused> {
    epoch_end(epoch, end).ok_or(Refused::Malformed)
}

pub(crate) fn read(data: FetchSnapshotRequestData) -> Result<FetchSnapshotRequest, Refused> {
    let mut asked = data.topics.into_iter().flat_map(|topic| topic.partitions);
    let asked = asked.next().ok_or(Refused::Malformed)?;
    Ok(FetchSnapshotRequest {
        replica: some_node(data.replica_id)?,
        current_leader_epoch: epoch(asked.current_leader_epoch).ok_or(Refused::Malformed)?,
        snapshot: snapshot(asked.snapshot_id.epoch, asked.snapshot_id.end_offset)?,
        // Before the beginning is past the end, too: both are refused as out of range.
        position: u64::try_from(asked.position).unwrap_or(u64::MAX),
        max_bytes: bytes(data.max_bytes),
    })
}

pub(crate) fn spell(request: &FetchSnapshotRequest, book: &Book) -> FetchSnapshotRequestData {
    let partition = PartitionSnapshot {
        current_leader_epoch: request.current_leader_epoch.0 as i32,
        snapshot_id: SnapshotId {
            end_offset: request.snapshot.end.0 as i64,
            epoch: request.snapshot.epoch.0 as i32,
            ..Default::default()
        },
        position: request.position as i64,
        ..Default::default()
    };
    FetchSnapshotRequestData {
        cluster_id: Some(string(&book.cluster)),
        replica_id: request.replica.0 as i32,
        max_bytes: bytes_number(request.max_bytes),
        topics: vec![TopicSnapshot { name: TOPIC, partitions: vec![partition], ..Default::default() }],
        ..Default::default()
    }
}

pub(crate) fn answer(response: &FetchSnapshotResponse) -> told::FetchSnapshotResponseData {
    let partition = told::PartitionSnapshot {
        error_code: code(response.error),
        snapshot_id: told::SnapshotId {
            end_offset: response.snapshot.end.0 as i64,
            epoch: response.snapshot.epoch.0 as i32,
            ..Default::default()
        },
        current_leader: told::LeaderIdAndEpoch {
            leader_id: number(response.leader),
            leader_epoch: response.epoch.0 as i32,
            ..Default::default()
        },
        size: response.size as i64,
        position: response.position as i64,
        unaligned_records: Some(response.bytes.clone()),
        ..Default::default()
    };
    told::FetchSnapshotResponseData {
        topics: vec![told::TopicSnapshot { name: TOPIC, partitions: vec![partition], ..Default::default() }],
        ..Default::default()
    }
}

pub(crate) fn read_answer(data: told::FetchSnapshotResponseData) -> Result<FetchSnapshotResponse, Refused> {
    let top = error(data.error_code);
    let mut told = data.topics.into_iter().flat_map(|topic| topic.partitions);
    let told = told.next().ok_or(Refused::Malformed)?;
    Ok(FetchSnapshotResponse {
        error: top.or(error(told.error_code)),
        epoch: epoch(told.current_leader.leader_epoch).ok_or(Refused::Malformed)?,
        leader: node(told.current_leader.leader_id),
        snapshot: snapshot(told.snapshot_id.epoch, told.snapshot_id.end_offset)?,
        size: u64::try_from(told.size).map_err(|_| Refused::Malformed)?,
        position: u64::try_from(told.position).map_err(|_| Refused::Malformed)?,
        bytes: told.unaligned_records.unwrap_or_default(),
    })
}
