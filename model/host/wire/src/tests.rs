//! Does every API survive the wire in every version, and do hostile bytes do no harm?

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use trial_model::{
    log::{
        batch::{Batch, ProducerStamp},
        codec::BatchBuilder,
    },
    protocol::{
        ErrorCode, LeaderHint, NamedPartition, PartitionRef, Request, Response, TopicRef, alter_partition::*,
        broker_heartbeat::*, broker_registration::*, fetch::*, list_offsets::*, metadata::*,
        offset_for_leader_epoch::*, produce::*, producer_ids::*, quorum::*, topics::*,
    },
    time::Timestamp,
    units::*,
};

use super::*;
use crate::versions::find;

mod configs;
mod groups;

const MS: fn(u64) -> core::time::Duration = core::time::Duration::from_millis;

fn book() -> Book {
    let endpoint = |port| Endpoint { host: "127.0.0.1".into(), port };
    let endpoints = [(NodeId::broker(1), endpoint(9092)), (NodeId::controller(1), endpoint(9093))];
    Book { cluster: "lab".into(), endpoints: BTreeMap::from(endpoints), names: Names::default() }
}

fn batch(text: &'static str) -> Batch {
    let mut batch = BatchBuilder::new();
    let stamp = ProducerStamp { id: ProducerId(7), epoch: ProducerEpoch(1), base_sequence: Sequence(40) };
    batch.producer(stamp);
    batch.push(Timestamp(1_000), Some(b"key"), Some(text.as_bytes()), &[]);
    let mut batch = batch.build();
    batch.assign(Offset(12), LeaderEpoch(3));
    batch
}

fn named(topic: &str, partition: u32) -> PartitionRef {
    PartitionRef { topic: TopicRef::Name(topic.into()), partition }
}

fn by_id(topic: u64, partition: u32) -> PartitionRef {
    PartitionRef { topic: TopicRef::Id(TopicId(topic)), partition }
}

fn orders(partition: u32) -> NamedPartition {
    NamedPartition { topic: "orders".into(), partition }
}

const ORDERS: TopicPartition = TopicPartition { topic: TopicId(9), partition: 2 };
const E3: LeaderEpoch = LeaderEpoch(3);
const B1: NodeId = NodeId::broker(1);
const C1: NodeId = NodeId::controller(1);

fn set(nodes: &[u32]) -> NodeSet {
    nodes.iter().map(|nth| NodeId::broker(*nth)).collect()
}

/// One request of each kind, with everything said that its last version can say.
fn requests() -> Vec<Request> {
    [of_logs_and_the_cluster(), groups::requests(), configs::requests()].concat()
}

fn of_logs_and_the_cluster() -> Vec<Request> {
    let partition_fetch = PartitionFetch {
        partition: by_id(9, 2),
        current_leader_epoch: Some(E3),
        fetch_offset: Offset(44),
        last_fetched_epoch: Some(LeaderEpoch(2)),
        log_start: Some(Offset(5)),
        max_bytes: 1 << 20,
    };
    vec![
        Request::Produce(ProduceRequest {
            acks: Acks::All,
            timeout: MS(1_500),
            partitions: vec![
                PartitionProduce { partition: named("a", 0), batch: batch("one") },
                PartitionProduce { partition: named("a", 1), batch: batch("two") },
                PartitionProduce { partition: named("b", 0), batch: batch("three") },
            ],
        }),
        Request::Fetch(FetchRequest {
            replica: Some(ReplicaState { replica: B1, broker_epoch: Some(BrokerEpoch(8)) }),
            max_wait: MS(500),
            min_bytes: 1,
            max_bytes: 10 << 20,
            partitions: vec![partition_fetch],
            incremental: false,
            forgotten: Vec::new(),
        }),
        Request::ListOffsets(ListOffsetsRequest {
            replica: Some(B1),
            partitions: [
                OffsetSpec::Earliest,
                OffsetSpec::Latest,
                OffsetSpec::MaxTimestamp,
                OffsetSpec::Time(Timestamp(77)),
            ]
            .into_iter()
            .zip(0..)
            .map(|(spec, partition)| PartitionListOffsets {
                partition: named("a", partition),
                current_leader_epoch: Some(E3),
                spec,
            })
            .collect(),
        }),
        Request::Metadata(MetadataRequest {
            topics: Some(vec![TopicRef::Name("a".into()), TopicRef::Name("b".into())]),
            allow_auto_topic_creation: true,
        }),
        Request::CreateTopics(CreateTopicsRequest {
            topics: vec![
                NewTopic {
                    name: "a".into(),
                    partitions: 4,
                    replication_factor: 3,
                    assignment: Vec::new(),
                    config: vec![("min.insync.replicas".into(), "2".into())],
                },
                NewTopic {
                    name: "b".into(),
                    partitions: u32::MAX,
                    replication_factor: u16::MAX,
                    assignment: vec![vec![B1, NodeId::broker(2)], vec![NodeId::broker(2), B1]],
                    config: Vec::new(),
                },
            ],
            timeout: MS(30_000),
        }),
        Request::DeleteTopics(DeleteTopicsRequest { topics: vec!["a".into(), "b".into()], timeout: MS(9) }),
        Request::DeleteRecords(DeleteRecordsRequest {
            partitions: vec![(named("a", 0), Some(Offset(3))), (named("a", 1), None)],
            timeout: MS(9),
        }),
        Request::ElectLeaders(ElectLeadersRequest {
            kind: ElectionKind::Unclean,
            partitions: Some(vec![orders(0), orders(2)]),
            timeout: MS(9),
        }),
        Request::InitProducerId(InitProducerIdRequest { current: Some((ProducerId(5), ProducerEpoch(2))) }),
        Request::OffsetForLeaderEpoch(OffsetForLeaderEpochRequest {
            replica: Some(B1),
            partitions: vec![PartitionEpochQuery {
                partition: named("a", 1),
                current_leader_epoch: Some(E3),
                leader_epoch: LeaderEpoch(2),
            }],
        }),
        Request::CreatePartitions(CreatePartitionsRequest { topics: vec![("a".into(), 9)], timeout: MS(9) }),
        Request::Vote(VoteRequest {
            epoch: E3,
            candidate: C1,
            last: EpochEnd { epoch: LeaderEpoch(2), end: Offset(44) },
            pre_vote: true,
        }),
        Request::BeginQuorumEpoch(BeginQuorumEpochRequest { epoch: E3, leader: C1 }),
        Request::EndQuorumEpoch(EndQuorumEpochRequest {
            epoch: E3,
            leader: C1,
            preferred_successors: vec![NodeId::controller(3), NodeId::controller(2)],
        }),
        Request::DescribeQuorum(DescribeQuorumRequest {}),
        Request::AlterPartition(AlterPartitionRequest {
            broker: B1,
            broker_epoch: BrokerEpoch(8),
            partitions: vec![IsrProposal {
                partition: ORDERS,
                leader_epoch: E3,
                partition_epoch: PartitionEpoch(6),
                isr: vec![(B1, Some(BrokerEpoch(8))), (NodeId::broker(2), None)],
            }],
        }),
        Request::FetchSnapshot(FetchSnapshotRequest {
            replica: B1,
            current_leader_epoch: E3,
            snapshot: EpochEnd { epoch: LeaderEpoch(2), end: Offset(44) },
            position: 12,
            max_bytes: 1 << 20,
        }),
        Request::BrokerRegistration(BrokerRegistrationRequest {
            broker: B1,
            incarnation: Incarnation(u64::MAX - 1),
            previous_broker_epoch: Some(BrokerEpoch(8)),
        }),
        Request::BrokerHeartbeat(BrokerHeartbeatRequest {
            broker: B1,
            broker_epoch: BrokerEpoch(8),
            metadata_end: Offset(45),
            want_fence: false,
            want_shutdown: true,
        }),
        Request::AllocateProducerIds(AllocateProducerIdsRequest { broker: B1, broker_epoch: BrokerEpoch(8) }),
        Request::DescribeTopicPartitions(DescribeTopicPartitionsRequest {
            topics: Some(vec!["a".into(), "b".into()]),
        }),
    ]
}

fn partition_metadata() -> PartitionMetadata {
    PartitionMetadata {
        partition: 1,
        error: Some(ErrorCode::LeaderNotAvailable),
        leader: None,
        leader_epoch: E3,
        replicas: vec![NodeId::broker(3), B1],
        isr: set(&[1, 3]),
        offline: set(&[3]),
    }
}

fn topic_metadata() -> TopicMetadata {
    TopicMetadata {
        topic: TopicRef::Name("a".into()),
        error: None,
        name: Some("a".into()),
        id: Some(TopicId(9)),
        partitions: [partition_metadata()].into(),
    }
}

/// An answer to each kind of request, with everything said that its last version can say.
fn responses() -> Vec<Response> {
    [answers_of_logs_and_the_cluster(), groups::responses(), configs::responses()].concat()
}

fn answers_of_logs_and_the_cluster() -> Vec<Response> {
    let hint = LeaderHint { leader: Some(B1), epoch: E3 };
    let end = EpochEnd { epoch: LeaderEpoch(2), end: Offset(44) };
    let refused = ErrorCode::NotLeaderOrFollower;
    vec![
        Response::Produce(ProduceResponse {
            partitions: vec![
                PartitionProduced {
                    partition: named("a", 0),
                    result: Ok(Produced {
                        base_offset: Offset(40),
                        log_append_time: Some(Timestamp(5)),
                        log_start: Offset(2),
                    }),
                    leader: None,
                },
                PartitionProduced { partition: named("b", 0), result: Err(refused), leader: Some(hint) },
            ],
        }),
        Response::Fetch(FetchResponse {
            partitions: vec![
                PartitionFetched {
                    partition: by_id(9, 2),
                    error: None,
                    high_watermark: Offset(44),
                    log_start: Offset(2),
                    diverging_epoch: Some(end),
                    snapshot: Some(end),
                    leader: None,
                    batches: [batch("one"), batch("two")].into_iter().collect(),
                },
                PartitionFetched {
                    partition: by_id(9, 3),
                    error: Some(refused),
                    high_watermark: Offset(0),
                    log_start: Offset(0),
                    diverging_epoch: None,
                    snapshot: None,
                    leader: Some(hint),
                    batches: [].into_iter().collect(),
                },
            ],
        }),
        Response::ListOffsets(ListOffsetsResponse {
            partitions: vec![
                PartitionOffsets {
                    partition: named("a", 0),
                    result: Ok(Some(FoundOffset {
                        offset: Offset(4),
                        timestamp: Some(Timestamp(77)),
                        leader_epoch: Some(E3),
                    })),
                    leader: None,
                },
                PartitionOffsets { partition: named("a", 1), result: Ok(None), leader: None },
                PartitionOffsets { partition: named("a", 2), result: Err(refused), leader: None },
            ],
        }),
        Response::Metadata(MetadataResponse {
            brokers: set(&[1, 2]),
            controller: None,
            topics: vec![
                topic_metadata(),
                TopicMetadata {
                    topic: TopicRef::Name("b".into()),
                    error: Some(ErrorCode::UnknownTopicOrPartition),
                    name: None,
                    id: None,
                    partitions: [].into(),
                },
            ],
        }),
        Response::CreateTopics(CreateTopicsResponse {
            topics: vec![("a".into(), Ok(TopicId(9))), ("b".into(), Err(ErrorCode::TopicAlreadyExists))],
        }),
        Response::DeleteTopics(DeleteTopicsResponse {
            topics: vec![("a".into(), Ok(())), ("b".into(), Err(ErrorCode::UnknownTopicOrPartition))],
        }),
        Response::DeleteRecords(DeleteRecordsResponse {
            partitions: vec![
                (named("a", 0), Ok(Offset(3)), None),
                (named("a", 1), Err(ErrorCode::OffsetOutOfRange), None),
            ],
        }),
        Response::ElectLeaders(ElectLeadersResponse {
            error: None,
            partitions: vec![(orders(0), Ok(())), (orders(2), Err(ErrorCode::ElectionNotNeeded))],
        }),
        Response::InitProducerId(InitProducerIdResponse { result: Ok((ProducerId(5), ProducerEpoch(2))) }),
        Response::OffsetForLeaderEpoch(OffsetForLeaderEpochResponse {
            partitions: vec![
                PartitionEpochEnd { partition: named("a", 0), result: Ok(Some(end)) },
                PartitionEpochEnd { partition: named("a", 1), result: Ok(None) },
                PartitionEpochEnd { partition: named("b", 1), result: Err(refused) },
            ],
        }),
        Response::CreatePartitions(CreatePartitionsResponse {
            topics: vec![("a".into(), Ok(())), ("b".into(), Err(ErrorCode::InvalidPartitions))],
        }),
        Response::Vote(VoteResponse { error: None, epoch: E3, leader: Some(C1), granted: true }),
        Response::BeginQuorumEpoch(BeginQuorumEpochResponse { error: None, epoch: E3, leader: Some(C1) }),
        Response::EndQuorumEpoch(EndQuorumEpochResponse {
            error: Some(ErrorCode::FencedLeaderEpoch),
            epoch: E3,
            leader: None,
        }),
        Response::DescribeQuorum(DescribeQuorumResponse {
            error: None,
            epoch: E3,
            leader: Some(C1),
            high_watermark: Offset(44),
            voters: vec![(C1, Offset(45))],
            observers: set(&[1, 2]),
        }),
        Response::AlterPartition(AlterPartitionResponse {
            error: None,
            partitions: vec![
                (
                    ORDERS,
                    Ok(AlteredPartition {
                        leader: Some(B1),
                        leader_epoch: E3,
                        isr: set(&[1, 2]),
                        partition_epoch: PartitionEpoch(7),
                    }),
                ),
                (TopicPartition { partition: 3, ..ORDERS }, Err(ErrorCode::InvalidUpdateVersion)),
            ],
        }),
        Response::FetchSnapshot(FetchSnapshotResponse {
            error: None,
            epoch: E3,
            leader: Some(C1),
            snapshot: end,
            size: 100,
            position: 12,
            bytes: Bytes::from_static(b"records"),
        }),
        Response::BrokerRegistration(BrokerRegistrationResponse { result: Ok(BrokerEpoch(8)) }),
        Response::BrokerHeartbeat(BrokerHeartbeatResponse {
            result: Ok(BrokerStanding { caught_up: true, fenced: false, may_shut_down: true }),
        }),
        Response::AllocateProducerIds(AllocateProducerIdsResponse {
            result: Ok(ProducerIdBlock { first: ProducerId(1_000), len: 1_000 }),
        }),
        Response::DescribeTopicPartitions(DescribeTopicPartitionsResponse {
            topics: vec![TopicDescription {
                metadata: topic_metadata(),
                eligible: vec![(set(&[1]), set(&[3]))],
            }],
        }),
    ]
}

/// The listener at which an API is spoken, and its versions.
fn spoken(key: i16) -> (Listener, i16, i16) {
    let listeners = [Listener::Broker, Listener::Controller];
    let found = listeners.into_iter().find_map(|listener| Some((listener, find(listener, key)?)));
    let (listener, spoken) = found.expect("every API is spoken somewhere");
    (listener, spoken.min, spoken.max)
}

/// What older versions of an API cannot say at all is not said in them.
fn fit(request: Request, version: i16) -> Request {
    match request {
        Request::Produce(mut produce) if version >= 13 => {
            produce.partitions.iter_mut().for_each(|asked| asked.partition.topic = TopicRef::Id(TopicId(9)));
            Request::Produce(produce)
        }
        Request::Fetch(mut fetch) if version < 13 => {
            fetch.partitions.iter_mut().for_each(|asked| asked.partition = named("a", 2));
            Request::Fetch(fetch)
        }
        // There was only one kind (KIP-183).
        Request::ElectLeaders(mut elect) if version < 1 => {
            elect.kind = ElectionKind::Preferred;
            Request::ElectLeaders(elect)
        }
        other => other,
    }
}

fn fit_answer(response: Response, version: i16) -> Response {
    match response {
        Response::Produce(mut produce) if version >= 13 => {
            produce.partitions.iter_mut().for_each(|told| told.partition.topic = TopicRef::Id(TopicId(9)));
            Response::Produce(produce)
        }
        Response::Fetch(mut fetch) if version < 13 => {
            fetch.partitions.iter_mut().for_each(|told| told.partition.topic = TopicRef::Name("a".into()));
            Response::Fetch(fetch)
        }
        other => other,
    }
}

fn body(frame: &Bytes) -> Bytes {
    let size = u32::from_be_bytes(*frame.first_chunk().expect("a size"));
    assert_eq!(size as usize, frame.len() - SIZE_BYTES);
    frame.slice(SIZE_BYTES..)
}

#[test]
fn every_api_is_sampled() {
    let (requests, responses) = (requests(), responses());
    for (request, response) in requests.iter().zip(&responses) {
        assert_eq!(request.api(), response.api());
    }
    for listener in [Listener::Broker, Listener::Controller] {
        for spoken in supported(listener) {
            let here = [versions::API_VERSIONS, versions::DESCRIBE_CLUSTER].contains(&spoken.key);
            let sampled = requests.iter().any(|request| request.api().code() == spoken.key);
            assert!(here || sampled, "API {}", spoken.key);
        }
    }
}

#[test]
fn requests_and_answers_survive_the_wire_in_every_version() {
    let book = book();
    for (request, response) in requests().into_iter().zip(responses()) {
        let (listener, min, max) = spoken(request.api().code());
        for version in min..=max {
            let request = fit(request.clone(), version);
            let mut asking = FetchSession::default();
            let (frame, mut call) = write_request(B1, 70, &request, Some(version), &mut asking, &book)
                .unwrap_or_else(|e| panic!("{:?} {version}: {e}", request.api()));
            let mut session = FetchSession::default();
            let asked = read_request(body(&frame), listener, &mut session, &book);
            let Ok(Asked::Node { call: asked, from, request: read }) = asked else {
                panic!("{:?} {version}: {asked:?}", request.api());
            };
            assert_eq!(from, Some(B1));
            let again = write_request(B1, 70, &read, Some(version), &mut FetchSession::default(), &book);
            assert_eq!(again.expect("it was spelled before").0, frame, "{:?} {version}", request.api());
            if version == max {
                assert_eq!(read, request);
            }

            let response = fit_answer(response.clone(), version);
            let frame = write_response(&asked, &response, &book)
                .unwrap_or_else(|e| panic!("{:?} {version}: {e}", request.api()));
            let read = read_response(&mut call, body(&frame), &mut asking)
                .unwrap_or_else(|e| panic!("{:?} {version}: {e}", request.api()));
            let again = write_response(&asked, &read, &book).expect("it was spelled before");
            assert_eq!(again, frame, "{:?} {version}", request.api());
            if version == max {
                assert_eq!(read, response);
            }
        }
    }
}

/// Version 0 has no error for all: it is told of each partition.
#[test]
fn an_election_that_is_refused_as_a_whole_is_refused_for_each_partition() {
    let book = book();
    for (version, told) in [(0, (None, 2)), (1, (Some(ErrorCode::NotController), 0))] {
        let partitions = Some(vec![orders(0), orders(2)]);
        let request = ElectLeadersRequest { kind: ElectionKind::Preferred, partitions, timeout: MS(9) };
        let request = Request::ElectLeaders(request);
        let (frame, mut call) =
            write_request(B1, 1, &request, Some(version), &mut FetchSession::default(), &book)
                .expect("spelled");
        let asked = read_request(body(&frame), Listener::Broker, &mut FetchSession::default(), &book);
        let Ok(Asked::Node { call: asked, request: read, .. }) = asked else { panic!("{asked:?}") };
        assert_eq!(read, request);
        let refused = ElectLeadersResponse { error: Some(ErrorCode::NotController), partitions: Vec::new() };
        let frame = write_response(&asked, &Response::ElectLeaders(refused), &book).expect("spelled");
        let read = read_response(&mut call, body(&frame), &mut FetchSession::default());
        let Ok(Response::ElectLeaders(read)) = read else { panic!("{read:?}") };
        assert_eq!((read.error, read.partitions.len()), told);
        assert!(read.partitions.iter().all(|(_, result)| *result == Err(ErrorCode::NotController)));
    }
}

#[test]
fn an_election_of_no_known_kind_is_refused() {
    use kacrab_protocol::generated::elect_leaders_response::ElectLeadersResponseData;
    // ElectLeaders 1 of kind 7, of all partitions, within 9 ms.
    let frame =
        Bytes::from_static(&[0, 43, 0, 1, 0, 0, 0, 5, 0xff, 0xff, 7, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 9]);
    let asked = read_request(frame, Listener::Broker, &mut FetchSession::default(), &book());
    let Ok(Asked::Answer(answer)) = asked else { panic!("{asked:?}") };
    let read = ElectLeadersResponseData::read(&mut answer.slice(8..), 1).expect("it is read");
    assert_eq!((read.error_code, read.replica_election_results.len()), (42, 0));
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let frame = Bytes::from_static(&[0, 18, 0, 99, 0, 0, 0, 5, 0xff, 0xff]);
    let asked = read_request(frame, Listener::Broker, &mut FetchSession::default(), &book());
    let Ok(Asked::Answer(answer)) = asked else { panic!("{asked:?}") };
    // Correlation, UNSUPPORTED_VERSION, one API: 18, from 0 to 4.
    assert_eq!(answer[4..], [0, 0, 0, 5, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]);
}

#[test]
fn the_features_are_told_to_whoever_can_read_them() {
    use kacrab_protocol::generated::api_versions_response::ApiVersionsResponseData;
    let told = |version: i16| {
        let message = api_versions::answer(Listener::Broker, version);
        let mut bytes = BytesMut::new();
        message.write(&mut bytes, version).expect("it is spelled");
        let read = ApiVersionsResponseData::read(&mut bytes.freeze(), version).expect("it is read");
        let may_be: Vec<_> =
            read.supported_features.iter().map(|it| (it.min_version, it.max_version)).collect();
        let is: Vec<_> = read
            .finalized_features
            .iter()
            .map(|it| (it.name.as_str().to_owned(), it.max_version_level))
            .collect();
        (may_be, is, read.finalized_features_epoch)
    };
    let is = vec![("group.version".to_owned(), 1)];
    assert_eq!(told(2), (vec![], vec![], -1));
    assert_eq!(told(3), (vec![], is.clone(), 0));
    assert_eq!(told(4), (vec![(0, 1)], is, 0));
}

#[test]
fn what_is_not_spoken_is_refused() {
    let read = |frame: &'static [u8], listener| {
        read_request(Bytes::from_static(frame), listener, &mut FetchSession::default(), &book()).err()
    };
    let vote = &[0, 52, 0, 0, 0, 0, 0, 5, 0xff, 0xff];
    assert_eq!(read(vote, Listener::Broker), Some(Refused::UnknownApi { key: 52 }));
    assert_eq!(read(vote, Listener::Controller), Some(Refused::Malformed));
    let old_produce = &[0, 0, 0, 2, 0, 0, 0, 5, 0xff, 0xff];
    assert_eq!(read(old_produce, Listener::Broker), Some(Refused::UnknownVersion { key: 0, version: 2 }));
    assert_eq!(read(&[0, 3], Listener::Broker), Some(Refused::Malformed));
}

#[test]
fn records_that_are_no_batch_are_refused_alone() {
    let request = Request::Produce(ProduceRequest {
        acks: Acks::All,
        timeout: MS(1),
        partitions: vec![
            PartitionProduce { partition: named("a", 0), batch: batch("good") },
            PartitionProduce { partition: named("a", 1), batch: batch("spoilt") },
        ],
    });
    let (mut session, book) = (FetchSession::default(), book());
    let (frame, mut call) =
        write_request(B1, 1, &request, Some(9), &mut session, &book).expect("it is spelled");
    let at = frame.windows(6).position(|bytes| bytes == b"spoilt").expect("it is there");
    let mut spoilt = BytesMut::from(&frame[..]);
    spoilt[at] ^= 1;
    let asked = read_request(body(&spoilt.freeze()), Listener::Broker, &mut session, &book);
    let Ok(Asked::Node { call: asked, request: Request::Produce(read), .. }) = asked else {
        panic!("{asked:?}")
    };
    assert_eq!(read.partitions.len(), 1);
    let produced = Produced { base_offset: Offset(1), log_append_time: None, log_start: Offset(0) };
    let told = PartitionProduced { partition: named("a", 0), result: Ok(produced), leader: None };
    let response = Response::Produce(ProduceResponse { partitions: vec![told.clone()] });
    let frame = write_response(&asked, &response, &book).expect("it is spelled");
    let Ok(Response::Produce(read)) = read_response(&mut call, body(&frame), &mut session) else {
        panic!("it is read");
    };
    let spoilt =
        PartitionProduced { partition: named("a", 1), result: Err(ErrorCode::CorruptMessage), leader: None };
    assert_eq!(read.partitions, [told, spoilt]);
}

/// Without being told a version, whoever names topics is not made to speak one that has ids alone.
#[test]
fn who_names_a_topic_is_understood() {
    for partition in [named("a", 0), by_id(9, 0)] {
        let partitions = vec![PartitionProduce { partition, batch: batch("good") }];
        let request = Request::Produce(ProduceRequest { acks: Acks::All, timeout: MS(1), partitions });
        let (mut session, book) = (FetchSession::default(), book());
        let (frame, _) = write_request(B1, 1, &request, None, &mut session, &book).expect("it is spelled");
        let asked = read_request(body(&frame), Listener::Broker, &mut session, &book);
        let Ok(Asked::Node { request: read, .. }) = asked else { panic!("{asked:?}") };
        assert_eq!(read, request);
    }
}

#[test]
fn a_batch_of_no_producer_may_say_what_it_likes_of_one() {
    let mut batch = BatchBuilder::new();
    batch.push(Timestamp(1_000), None, Some(b"value"), &[]);
    let plain = batch.build();
    let request = |batch| {
        let partitions = vec![PartitionProduce { partition: named("a", 0), batch }];
        Request::Produce(ProduceRequest { acks: Acks::All, timeout: MS(1), partitions })
    };
    let (mut session, book) = (FetchSession::default(), book());
    let mut spell =
        |batch| write_request(B1, 1, &request(batch), Some(9), &mut session, &book).expect("spelled").0;
    let frame = spell(plain.clone());
    let at = (0..frame.len()).find(|at| frame[*at..].starts_with(&plain.encode())).expect("it is there");
    let mut odd = BytesMut::from(&frame[..]);
    // Producer epoch 0, base sequence 0, and a CRC that agrees.
    odd[at + 51..at + 57].fill(0);
    let crc = crc32c::crc32c(&odd[at + 21..at + plain.size()]);
    odd[at + 17..at + 21].copy_from_slice(&crc.to_be_bytes());
    let read = |frame: &Bytes| {
        let asked = read_request(body(frame), Listener::Broker, &mut FetchSession::default(), &book);
        let Ok(Asked::Node { request: Request::Produce(read), .. }) = asked else { panic!("{asked:?}") };
        read.partitions
    };
    let partitions = read(&odd.clone().freeze());
    assert_eq!(partitions.first().map(|partition| &partition.batch), Some(&plain));
    // One whose CRC does not agree is not made to agree.
    odd[at + 60] ^= 1;
    assert!(read(&odd.freeze()).is_empty());
}

#[test]
fn what_stands_behind_a_message_is_let_be() {
    let frame = Bytes::from_static(&[0, 3, 0, 1, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]);
    let asked = read_request(frame, Listener::Broker, &mut FetchSession::default(), &book());
    let Ok(Asked::Node { request: Request::Metadata(read), .. }) = asked else { panic!("{asked:?}") };
    assert_eq!(read.topics, None);
}

#[test]
fn topics_are_asked_for_by_their_ids_whatever_stands_beside_them() {
    use kacrab_protocol::{
        KafkaString, KafkaUuid,
        generated::metadata_request::{MetadataRequestData, MetadataRequestTopic},
    };
    let topic = |name: Option<&str>, id: u64| MetadataRequestTopic {
        name: name.map(|name| KafkaString::from(name.to_owned())),
        topic_id: KafkaUuid::from_parts(0, id),
        ..Default::default()
    };
    let asked = |topics: Vec<MetadataRequestTopic>| {
        let data = MetadataRequestData { topics: Some(topics), ..Default::default() };
        metadata::read(data, &mut Call::new(3, 13, 1)).expect("it is read").topics.unwrap_or_default()
    };
    // Kafka's own client leaves an empty name there.
    let ids = [TopicRef::Id(TopicId(9)), TopicRef::Id(TopicId(11))];
    assert_eq!(asked(vec![topic(Some(""), 9), topic(None, 11)]), ids);
    assert_eq!(asked(vec![topic(Some("a"), 9), topic(Some("b"), 0), topic(None, 11)]), ids);
    assert_eq!(asked(vec![topic(Some("a"), 0)]), [TopicRef::Name("a".into())]);
}

#[test]
fn topics_are_described_page_by_page() {
    let mut topic = topic_metadata();
    topic.partitions =
        (0..5).map(|partition| PartitionMetadata { partition, ..partition_metadata() }).collect();
    let description = TopicDescription { eligible: vec![(set(&[]), set(&[])); 5], metadata: topic };
    let response = DescribeTopicPartitionsResponse { topics: vec![description] };
    let mut call = Call::new(75, 0, 1);
    let mut seen = Vec::new();
    let mut from = None;
    for _ in 0..3 {
        call.echo = call::Echo::Page { limit: 2, from: from.take() };
        let page = describe_topics::answer(&response, &call);
        seen.extend(page.topics.iter().flat_map(|topic| &topic.partitions).map(|p| p.partition_index));
        from = page.next_cursor.map(|cursor| (cursor.topic_name, cursor.partition_index));
    }
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    assert_eq!(from, None);
}

/// Reads `frame` everywhere, and answers what was understood.
fn harmless(frame: &Bytes) {
    let book = book();
    for listener in [Listener::Broker, Listener::Controller] {
        let mut session = FetchSession::default();
        if let Ok(Asked::Node { call, request, .. }) =
            read_request(frame.clone(), listener, &mut session, &book)
        {
            for response in responses().into_iter().filter(|response| response.api() == request.api()) {
                let _ = write_response(&call, &response, &book);
            }
        }
    }
    let of_groups = (8..=16).chain([42, 47, 68, 69]).map(|key| (key, spoken(key).2));
    for (key, version) in
        [(1, 17), (0, 9), (3, 12), (52, 2), (56, 3), (59, 1), (75, 0)].into_iter().chain(of_groups)
    {
        let mut call = Call::new(key, version, 0);
        let _ = read_response(&mut call, frame.clone(), &mut FetchSession::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn hostile_frames_do_no_harm(
        key in -1i16..80,
        version in -1i16..20,
        rest in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut frame = BytesMut::new();
        frame.extend_from_slice(&key.to_be_bytes());
        frame.extend_from_slice(&version.to_be_bytes());
        frame.extend_from_slice(&[0, 0, 0, 0, 0xff, 0xff]);
        frame.extend_from_slice(&rest);
        harmless(&frame.freeze());
    }

    #[test]
    fn damaged_frames_do_no_harm(
        which in any::<prop::sample::Index>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let requests = requests();
        let request = which.get(&requests);
        let (_, _, max) = spoken(request.api().code());
        let mut session = FetchSession::default();
        let (frame, _) = write_request(B1, 0, request, Some(max), &mut session, &book()).expect("spelled");
        let mut frame = BytesMut::from(&frame[SIZE_BYTES..]);
        for (at, byte) in damage {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        harmless(&frame.clone().freeze());
        frame.truncate(cut.index(frame.len()));
        harmless(&frame.freeze());
    }
}
