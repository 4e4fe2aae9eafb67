//! What does the hand ask servers, and how do their answers read?

use std::{fmt::Write as _, time::Duration};

use trial_model::{
    log::{
        batch::{Batch, ProducerStamp},
        codec::BatchBuilder,
    },
    protocol::{
        ErrorCode, PartitionRef, Request, Response,
        fetch::{EpochEnd, FetchRequest, PartitionFetch, PartitionFetched, ReplicaState},
        list_offsets::{ListOffsetsRequest, OffsetSpec, PartitionListOffsets},
        metadata::MetadataRequest,
        offset_for_leader_epoch::{OffsetForLeaderEpochRequest, PartitionEpochQuery},
        produce::{Acks, PartitionProduce, ProduceRequest},
        producer_ids::InitProducerIdRequest,
        quorum::VoteRequest,
        topics::DeleteRecordsRequest,
    },
    time::Timestamp,
    units::{LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, Sequence},
};

use super::{command::Words, names::Book};

/// The request that a command stands for.
pub fn request(names: &Book, words: &Words<'_>) -> Request {
    let partition = || -> PartitionRef {
        let name = words.word(2);
        names.partition_named(name).unwrap_or_else(|| panic!("there is no {name}")).into()
    };
    let current_leader_epoch = words.number("epoch").map(LeaderEpoch);
    match words.word(0) {
        "produce" => Request::Produce(produce(partition(), words)),
        "fetch" => Request::Fetch(fetch(names, partition(), words)),
        "offsets" => {
            let spec = match words.word(3) {
                "earliest" => OffsetSpec::Earliest,
                "latest" => OffsetSpec::Latest,
                "max-timestamp" => OffsetSpec::MaxTimestamp,
                time => OffsetSpec::Time(Timestamp(time.parse().expect("a time in milliseconds"))),
            };
            let asked = PartitionListOffsets { partition: partition(), current_leader_epoch, spec };
            Request::ListOffsets(ListOffsetsRequest { replica: None, partitions: vec![asked] })
        }
        "epoch-end" => {
            let leader_epoch = LeaderEpoch(words.word(3).parse().expect("a leader epoch"));
            let asked = PartitionEpochQuery { partition: partition(), current_leader_epoch, leader_epoch };
            Request::OffsetForLeaderEpoch(OffsetForLeaderEpochRequest {
                replica: None,
                partitions: vec![asked],
            })
        }
        "delete-records" => {
            let before = match words.word(3) {
                "all" => None,
                offset => Some(Offset(offset.parse().expect("an offset"))),
            };
            let timeout = Duration::from_secs(5);
            Request::DeleteRecords(DeleteRecordsRequest { partitions: vec![(partition(), before)], timeout })
        }
        "init-producer-id" => {
            let current = words
                .number("id")
                .map(|id| (ProducerId(id), ProducerEpoch(words.number("producer-epoch").unwrap_or(0))));
            Request::InitProducerId(InitProducerIdRequest { current })
        }
        "metadata" => Request::Metadata(MetadataRequest {
            topics: Some(vec![partition().topic]),
            allow_auto_topic_creation: false,
        }),
        "vote" => {
            let candidate = names.node_named(words.get("candidate").expect("candidate=…"));
            Request::Vote(VoteRequest {
                epoch: LeaderEpoch(words.number("epoch").expect("epoch=…")),
                candidate: candidate.expect("a controller"),
                last: EpochEnd {
                    epoch: LeaderEpoch(words.number("last-epoch").expect("last-epoch=…")),
                    end: Offset(words.number("end").expect("end=…")),
                },
                pre_vote: words.from(2).contains(&"pre-vote"),
            })
        }
        other => panic!("there is no command `{other}`"),
    }
}

/// A batch of these values, all of the key `key`, where `null` is a tombstone; of an idempotent producer if `id`, `producer-epoch` and `sequence` say so.
fn batch(words: &Words<'_>) -> Batch {
    let mut builder = BatchBuilder::new();
    let time = words.number("time").unwrap_or(1_000_000);
    for (nth, value) in words.from(3).iter().enumerate() {
        let value = Some(value.as_bytes()).filter(|value| *value != b"null");
        builder.push(Timestamp(time + nth as i64), words.get("key").map(str::as_bytes), value, &[]);
    }
    if let Some(id) = words.number("id") {
        builder.producer(ProducerStamp {
            id: ProducerId(id),
            epoch: ProducerEpoch(words.number("producer-epoch").unwrap_or(0)),
            base_sequence: Sequence(words.number("sequence").unwrap_or(0)),
        });
    }
    builder.build()
}

fn produce(partition: PartitionRef, words: &Words<'_>) -> ProduceRequest {
    let acks = match words.get("acks") {
        Some("0") => Acks::None,
        Some("1") => Acks::Leader,
        _ => Acks::All,
    };
    let timeout = Duration::from_millis(words.number("timeout").unwrap_or(30_000));
    ProduceRequest { acks, timeout, partitions: vec![PartitionProduce { partition, batch: batch(words) }] }
}

fn fetch(names: &Book, partition: PartitionRef, words: &Words<'_>) -> FetchRequest {
    let node = |name: &str| -> NodeId { names.node_named(name).expect("a broker") };
    let asked = PartitionFetch {
        partition,
        current_leader_epoch: words.number("epoch").map(LeaderEpoch),
        fetch_offset: Offset(words.word(3).trim_start_matches('@').parse().expect("an offset such as @3")),
        last_fetched_epoch: words.number("last-epoch").map(LeaderEpoch),
        log_start: words.get("replica").map(|_| Offset(0)),
        max_bytes: 1 << 20,
    };
    FetchRequest {
        replica: words.get("replica").map(|name| ReplicaState { replica: node(name), broker_epoch: None }),
        max_wait: Duration::from_millis(words.number("wait").unwrap_or(0)),
        min_bytes: 1,
        max_bytes: 1 << 20,
        partitions: vec![asked],
        incremental: false,
        forgotten: Vec::new(),
    }
}

/// Whether a topic was not created.
pub fn refused_topic(response: &Response) -> bool {
    matches!(response, Response::CreateTopics(response) if response.topics.iter().any(|(_, r)| r.is_err()))
}

fn refused(error: Option<ErrorCode>) -> String {
    error.map_or_else(String::new, |error| format!(" {error}"))
}

/// An answer as a person reads it.
pub fn answer(names: &Book, response: &Response) -> String {
    let mut out = response.api().name().to_owned();
    match response {
        Response::Produce(response) => {
            for part in &response.partitions {
                let result = match part.result {
                    Ok(produced) => format!("@{}", produced.base_offset),
                    Err(error) => error.to_string(),
                };
                let _ = write!(out, " {} {result}", names.of(&part.partition));
            }
        }
        Response::Fetch(response) => {
            for part in &response.partitions {
                fetched(names, part, &mut out);
            }
        }
        Response::ListOffsets(response) => {
            for part in &response.partitions {
                let result = match &part.result {
                    Ok(Some(found)) => {
                        let time = found.timestamp.map_or_else(String::new, |time| format!(" time {time}"));
                        let epoch =
                            found.leader_epoch.map_or_else(String::new, |epoch| format!(" epoch {epoch}"));
                        format!("@{}{time}{epoch}", found.offset)
                    }
                    Ok(None) => "no such record".into(),
                    Err(error) => error.to_string(),
                };
                let _ = write!(out, " {} {result}", names.of(&part.partition));
            }
        }
        Response::OffsetForLeaderEpoch(response) => {
            for part in &response.partitions {
                let result = match part.result {
                    Ok(Some(end)) => format!("epoch {} ends at {}", end.epoch, end.end),
                    Ok(None) => "no such epoch".into(),
                    Err(error) => error.to_string(),
                };
                let _ = write!(out, " {} {result}", names.of(&part.partition));
            }
        }
        Response::Vote(response) => {
            let word = if response.granted { "granted" } else { "refused" };
            let _ = write!(out, " {word}{}, epoch {}", refused(response.error), response.epoch);
        }
        Response::DeleteRecords(response) => {
            for (partition, result, _) in &response.partitions {
                let result = match result {
                    Ok(start) => format!("begins at {start}"),
                    Err(error) => error.to_string(),
                };
                let _ = write!(out, " {} {result}", names.of(partition));
            }
        }
        Response::InitProducerId(response) => match response.result {
            Ok((id, epoch)) => drop(write!(out, " producer {id} epoch {epoch}")),
            Err(error) => drop(write!(out, " {error}")),
        },
        Response::CreateTopics(response) => {
            for (name, result) in &response.topics {
                let _ = write!(out, " {name}{}", refused(result.err()));
            }
        }
        Response::Metadata(response) => {
            for part in response.topics.iter().flat_map(|topic| topic.partitions.iter()) {
                let leader = part.leader.map_or_else(|| "none".into(), |leader| names.node_name(leader));
                let _ = write!(
                    out,
                    " leader {leader} epoch {} isr {}{}",
                    part.leader_epoch,
                    part.isr,
                    refused(part.error)
                );
            }
        }
        other => drop(write!(out, " {other:?}")),
    }
    out
}

fn fetched(names: &Book, part: &PartitionFetched, out: &mut String) {
    let _ = write!(out, " {}{}", names.of(&part.partition), refused(part.error));
    if part.error.is_some() {
        return;
    }
    let _ = write!(out, " hw {} start {}", part.high_watermark, part.log_start);
    if let Some(end) = part.diverging_epoch {
        let _ = write!(out, ", diverging: epoch {} ends at {}", end.epoch, end.end);
    }
    for batch in &part.batches {
        for record in batch.decode_records() {
            let record = record.expect("what a server returns can be read");
            let value = record.value.unwrap_or_default();
            let _ = write!(out, " @{} {}", record.offset, String::from_utf8_lossy(&value));
        }
    }
}
