//! What does a consumer get, how much at once, and where does it begin? Fetching, polling, positions.

use std::time::Duration;

use trial_model::{
    client::Command,
    event::{Event, EventKind, ReadFailure, SeekReason},
    protocol::{
        ApiKey, ErrorCode, Request, list_offsets::OffsetSpec, produce::Acks, topics::DeleteRecordsRequest,
    },
    time::{Instant, Timestamp},
    units::{LeaderEpoch, NodeId, Offset, TopicPartition},
};

use super::cluster::{B1, B2, B3, Cluster, batch, fetch, fetched, orders, values};

/// One broker with a partition, and a consumer that has reached its end.
fn at_the_end(settings: &[(&str, &str)]) -> (Cluster, TopicPartition, NodeId) {
    let mut cluster = Cluster::of(1, &[]);
    let partition = cluster.orders(&[&[1]], &[]);
    let settings: Vec<(&str, &str)> =
        [("auto.offset.reset", "earliest")].iter().chain(settings).copied().collect();
    let c1 = cluster.consumer(&settings);
    cluster.run(1_000);
    (cluster, partition, c1)
}

/// The values that a consumer was given since a moment.
fn given(cluster: &Cluster, to: NodeId, since: Instant) -> Vec<String> {
    let given = cluster.delivered(to).into_iter().filter(|(at, _, _)| *at >= since);
    given.map(|(_, _, value)| value).collect()
}

/// What a consumer told of a kind.
fn told(cluster: &Cluster, by: NodeId, kind: EventKind) -> Vec<Event> {
    let told = cluster.told(Instant::ZERO).filter(|(_, node, event)| *node == by && event.kind() == kind);
    told.map(|(_, _, event)| event.clone()).collect()
}

fn delete_before(cluster: &mut Cluster, partition: TopicPartition, offset: u64) {
    let partitions = vec![(partition.into(), Some(Offset(offset)))];
    let request = DeleteRecordsRequest { partitions, timeout: Duration::from_secs(5) };
    cluster.ask_for(1_500, B1, Request::DeleteRecords(request)).expect("it is answered");
}

/// > If insufficient data is available the request will wait for that much data to accumulate before answering
/// > the request.
///
/// `ConsumerConfig.java`, `fetch.min.bytes`.
#[test]
pub fn a_fetch_waits_for_the_least_it_asks_for() {
    let (mut cluster, partition, c1) =
        at_the_end(&[("fetch.min.bytes", "600"), ("fetch.max.wait.ms", "60000")]);
    let long = "a".repeat(200);
    for written in 1..=3 {
        assert_eq!(cluster.delivered(c1).len(), 0, "with {} records", written - 1);
        cluster.write(B1, partition, &[&long]);
        cluster.run(500);
    }
    assert_eq!(cluster.delivered(c1).len(), 3);
}

/// > The maximum amount of time the server will block before answering the fetch request there isn't sufficient
/// > data to immediately satisfy the requirement given by fetch.min.bytes.
///
/// `ConsumerConfig.java`, `fetch.max.wait.ms`.
#[test]
pub fn a_fetch_waits_for_so_long_and_no_longer() {
    let (mut cluster, partition, c1) =
        at_the_end(&[("fetch.min.bytes", "600"), ("fetch.max.wait.ms", "700")]);
    cluster.run(5_000);
    let asked: Vec<Instant> = cluster.asked(c1, ApiKey::Fetch).into_iter().map(|(at, _)| at).collect();
    // There and back it takes a millisecond each.
    assert!(asked.windows(2).all(|two| two[1].since(two[0]).as_millis() == 702), "{asked:?}");
    let start = cluster.now();
    cluster.write(B1, partition, &["a"]);
    cluster.run(702);
    assert_eq!(given(&cluster, c1, start), ["a"]);
}

/// > If the first record batch in the first non-empty partition of the fetch is larger than this limit, the
/// > batch will still be returned to ensure that the consumer can make progress.
///
/// `ConsumerConfig.java`, `max.partition.fetch.bytes`.
#[test]
pub fn a_batch_larger_than_what_is_asked_for_comes_alone() {
    let (mut cluster, partition, c1) = at_the_end(&[("max.partition.fetch.bytes", "100")]);
    let long = ["a", "b", "c"].map(|letter| letter.repeat(1_000));
    cluster.tell(c1, Command::Pause(vec![orders(0)]));
    cluster.run(1_000);
    let start = cluster.now();
    for value in &long {
        cluster.write(B1, partition, &[value]);
    }
    cluster.tell(c1, Command::Resume(vec![orders(0)]));
    cluster.run(1_000);
    assert_eq!(given(&cluster, c1, start), long);
    let answers = cluster.answered(c1, ApiKey::Fetch).into_iter().filter(|(at, _)| *at >= start);
    let sizes = answers.map(|(_, answer)| fetched(answer).iter().map(|part| part.batches.len()).sum());
    let sizes: Vec<usize> = sizes.filter(|size| *size > 0).collect();
    assert_eq!(sizes, [1, 1, 1]);
}

/// > The maximum amount of data the server should return for a fetch request.
///
/// And as it is not an absolute maximum:
///
/// > Records are fetched in batches by the consumer, and if the first record batch in the first non-empty
/// > partition of the fetch is larger than this value, the record batch will still be returned to ensure that
/// > the consumer can make progress.
///
/// `ConsumerConfig.java`, `fetch.max.bytes`.
#[test]
pub fn a_fetch_has_a_limit_for_all_partitions_together() {
    let mut cluster = Cluster::of(1, &[]);
    let first = cluster.orders(&[&[1], &[1], &[1]], &[]);
    let partitions = [0, 1, 2].map(|nth| TopicPartition::new(first.topic, nth));
    for partition in partitions {
        cluster.write(B1, partition, &[&"a".repeat(1_000)]);
    }
    for (most, returned) in [(500, 1), (1_200, 1), (2_500, 2), (10_000, 3)] {
        let request = fetch(&partitions.map(|partition| (partition, 0)), |request| request.max_bytes = most);
        let answer = cluster.ask(B1, Request::Fetch(request)).expect("it does not wait");
        let batches: usize = fetched(answer).iter().map(|part| part.batches.len()).sum();
        assert_eq!(batches, returned, "with at most {most} bytes");
    }
}

/// > The maximum number of records returned in a single call to poll().
///
/// And the others are not lost:
///
/// > The consumer will cache the records from each fetch request and returns them incrementally from each poll.
///
/// `ConsumerConfig.java`, `max.poll.records`.
#[test]
pub fn a_poll_returns_so_many_records_and_no_more() {
    let (mut cluster, partition, c1) = at_the_end(&[("max.poll.records", "3")]);
    let start = cluster.now();
    cluster.write(B1, partition, &["a", "b", "c", "d", "e", "f", "g", "h"]);
    cluster.run(1_000);
    let delivered = cluster.delivered(c1);
    let polls: Vec<usize> = delivered.chunk_by(|a, b| a.0 == b.0).map(<[_]>::len).collect();
    assert_eq!(polls, [3, 3, 2]);
    let offsets: Vec<u64> = delivered.iter().map(|(_, offset, _)| offset.0).collect();
    assert_eq!(offsets, (0..8).collect::<Vec<u64>>());
    let answers = cluster.answered(c1, ApiKey::Fetch).into_iter().filter(|(at, _)| *at >= start);
    let with_records = answers.filter(|(_, answer)| !fetched(answer.clone())[0].batches.is_empty());
    assert_eq!(with_records.count(), 1, "they are fetched once");
}

/// > earliest: automatically reset the offset to the earliest offset
///
/// `ConsumerConfig.java`, `auto.offset.reset`: when there is no initial offset, or when it is not there any more.
#[test]
pub fn with_earliest_reading_begins_at_the_start() {
    let mut cluster = Cluster::of(1, &[]);
    let partition = cluster.orders(&[&[1]], &[]);
    for value in ["a", "b", "c", "d"] {
        cluster.write(B1, partition, &[value]);
    }
    delete_before(&mut cluster, partition, 1);
    let c1 = cluster.consumer(&[("auto.offset.reset", "earliest")]);
    cluster.run(1_000);
    assert_eq!(given(&cluster, c1, Instant::ZERO), ["b", "c", "d"]);
    cluster.tell(c1, Command::Pause(vec![orders(0)]));
    cluster.tell(c1, Command::Seek(orders(0), Offset(1)));
    cluster.run(1_000);
    delete_before(&mut cluster, partition, 3);
    let start = cluster.now();
    cluster.tell(c1, Command::Resume(vec![orders(0)]));
    cluster.run(1_000);
    assert_eq!(given(&cluster, c1, start), ["d"]);
    let resets = told(&cluster, c1, EventKind::PositionMoved);
    let last =
        Event::PositionMoved { partition, from: Some(Offset(1)), to: Offset(3), why: SeekReason::OutOfRange };
    assert_eq!(resets.last(), Some(&last));
}

/// > latest: automatically reset the offset to the latest offset
///
/// `ConsumerConfig.java`, `auto.offset.reset`.
#[test]
pub fn with_latest_reading_begins_at_the_end() {
    let mut cluster = Cluster::of(1, &[]);
    let partition = cluster.orders(&[&[1]], &[]);
    cluster.write(B1, partition, &["a", "b"]);
    let c1 = cluster.consumer(&[("auto.offset.reset", "latest")]);
    cluster.run(1_000);
    cluster.write(B1, partition, &["c"]);
    cluster.run(1_000);
    assert_eq!(given(&cluster, c1, Instant::ZERO), ["c"]);
}

/// > Indicates that there is no stored offset for a partition and no defined offset reset policy.
///
/// `NoOffsetForPartitionException.java`; another than the one for an offset that is out of range.
#[test]
pub fn without_a_reset_policy_a_consumer_says_what_it_lacks() {
    let mut cluster = Cluster::of(1, &[]);
    let partition = cluster.orders(&[&[1]], &[]);
    cluster.write(B1, partition, &["a", "b"]);
    let c1 = cluster.consumer(&[("auto.offset.reset", "none")]);
    cluster.run(1_000);
    let failed = |error| Event::ReadFailed { partition, error };
    let (none, range) = (ReadFailure::NoOffsetForPartition, ReadFailure::OffsetOutOfRange);
    assert_eq!(told(&cluster, c1, EventKind::ReadFailed), [failed(none)]);
    assert!(cluster.asked(c1, ApiKey::Fetch).is_empty() && cluster.asked(c1, ApiKey::ListOffsets).is_empty());
    cluster.tell(c1, Command::Seek(orders(0), Offset(1)));
    cluster.run(1_000);
    assert_eq!(given(&cluster, c1, Instant::ZERO), ["b"]);
    cluster.tell(c1, Command::Seek(orders(0), Offset(7)));
    cluster.run(1_000);
    assert_eq!(told(&cluster, c1, EventKind::ReadFailed), [failed(none), failed(range)]);
}

/// > When this happens, the consumer will detect the truncation and raise this exception (if no automatic reset
/// > policy has been defined) with the first offset known to diverge from what the consumer previously read.
///
/// `LogTruncationException.java`: after an unclean leader election; KIP-320.
#[test]
pub fn a_consumer_notices_that_what_it_read_is_gone() {
    let mut cluster = Cluster::of(2, &[]);
    let partition = cluster.orders(&[&[1, 2]], &[("unclean.leader.election.enable", "true")]);
    let c1 = cluster.consumer(&[("auto.offset.reset", "none")]);
    cluster.tell(c1, Command::Seek(orders(0), Offset(0)));
    cluster.write(B1, partition, &["a"]);
    cluster.run(600);
    cluster.world.crash(B2);
    cluster.until_state(partition, |state| state.isr.len() == 1);
    cluster.run(200);
    cluster.write(B1, partition, &["b", "c"]);
    cluster.run(1_000);
    assert_eq!(given(&cluster, c1, Instant::ZERO), ["a", "b", "c"]);
    cluster.world.crash(B1);
    cluster.world.start(B2);
    cluster.until_state(partition, |state| state.leader == Some(B2));
    cluster.run(200);
    cluster.write(B2, partition, &["d", "e", "f", "g"]);
    cluster.run(10_000);
    let to = Some(Offset(1));
    let noticed = Event::TruncationDetected { partition, position: Offset(3), to };
    assert_eq!(told(&cluster, c1, EventKind::TruncationDetected), [noticed]);
    let failed = Event::ReadFailed { partition, error: ReadFailure::LogTruncation };
    assert_eq!(told(&cluster, c1, EventKind::ReadFailed), [failed]);
    assert_eq!(given(&cluster, c1, Instant::ZERO), ["a", "b", "c"]);
}

/// > Suspend fetching from the requested partitions. Future calls to poll(Duration) will not return any records
/// > from these partitions until they have been resumed using resume(Collection).
///
/// `KafkaConsumer.java`, `pause`.
#[test]
pub fn a_paused_partition_is_not_read() {
    let (mut cluster, partition, c1) = at_the_end(&[]);
    cluster.tell(c1, Command::Pause(vec![orders(0)]));
    // What was asked for before comes, and is kept.
    cluster.write(B1, partition, &["a"]);
    cluster.run(5_000);
    assert_eq!(cluster.delivered(c1).len(), 0);
    cluster.tell(c1, Command::Resume(vec![orders(0)]));
    cluster.run(1_000);
    assert_eq!(given(&cluster, c1, Instant::ZERO), ["a"]);
    cluster.tell(c1, Command::Pause(vec![orders(0)]));
    cluster.run(5_000);
    let last = cluster.asked(c1, ApiKey::Fetch).last().map(|(at, _)| cluster.now().since(*at).as_secs());
    assert!(last.is_some_and(|seconds| seconds >= 4), "nothing more is asked for");
}

/// > The returned offset for each partition is the earliest offset whose timestamp is greater than or equal to
/// > the given timestamp in the corresponding partition.
///
/// `KafkaConsumer.java`, `offsetsForTimes`.
#[test]
pub fn a_time_is_where_the_first_record_is_that_is_not_older() {
    let mut cluster = Cluster::of(1, &[]);
    let partition = cluster.orders(&[&[1]], &[]);
    let mut builder = trial_model::log::codec::BatchBuilder::new();
    for time in [100, 300, 200, 300] {
        builder.push(Timestamp(time), None, Some(b"a"), &[]);
    }
    let answer = cluster.produce(B1, partition, Acks::All, builder.build()).expect("it is answered");
    assert!(answer.is_ok());
    cluster.run(100);
    for (time, offset) in
        [(0, Some(0)), (100, Some(0)), (101, Some(1)), (250, Some(1)), (300, Some(1)), (301, None)]
    {
        let found =
            cluster.offset(B1, partition, OffsetSpec::Time(Timestamp(time))).result.expect("it is sure");
        assert_eq!(found.map(|found| found.offset.0), offset, "of the time {time}");
    }
}

/// > The leader high watermark has not caught up from a recent leader election so the offsets cannot be
/// > guaranteed to be monotonically increasing.
///
/// `Errors.java`, `OFFSET_NOT_AVAILABLE`; KIP-207.
#[test]
pub fn the_end_is_not_told_before_it_is_sure() {
    let mut cluster = Cluster::of(3, &[]);
    let partition = cluster.orders(&[&[1, 2, 3]], &[]);
    cluster.world.ask(B1, produce_request(partition));
    while cluster.replica(B1, partition).high_watermark() == Offset(0) {
        cluster.world.run(Duration::from_micros(100));
    }
    // Committed, as only the leader knows; and the next one does not get to know it soon.
    cluster.world.crash(B1);
    cluster.world.hold(B3, B2, Some(ApiKey::Fetch));
    cluster.world.hold(B2, B3, Some(ApiKey::Fetch));
    let state = cluster.until_state(partition, |state| state.leader.is_some_and(|leader| leader != B1));
    let leader = state.leader.expect("that was waited for");
    cluster.run(50);
    assert_eq!(cluster.replica(leader, partition).high_watermark(), Offset(0), "it lags");
    let answer = cluster.offset(leader, partition, OffsetSpec::Latest).result;
    assert_eq!(answer, Err(ErrorCode::OffsetNotAvailable));
    cluster.world.release(B3, B2);
    cluster.world.release(B2, B3);
    cluster.run(2_500);
    let found = cluster.offset(leader, partition, OffsetSpec::Latest).result.expect("it is sure now");
    assert_eq!(found.map(|found| found.offset), Some(Offset(1)));
}

fn produce_request(partition: TopicPartition) -> Request {
    use trial_model::protocol::produce::{PartitionProduce, ProduceRequest};
    let partitions = vec![PartitionProduce { partition: partition.into(), batch: batch(&["a"]) }];
    Request::Produce(ProduceRequest { acks: Acks::All, timeout: Duration::from_secs(30), partitions })
}

/// Fetches from broker-2, which leads in epoch 1, as one who believes in another.
fn fetch_in(epoch: u32) -> Option<ErrorCode> {
    let mut cluster = Cluster::of(2, &[]);
    let partition = cluster.orders(&[&[1, 2]], &[]);
    cluster.write(B1, partition, &["a"]);
    assert_eq!(cluster.fail_over(B1, partition), B2);
    assert_eq!(cluster.replica(B2, partition).epoch(), Some(LeaderEpoch(1)));
    let request = fetch(&[(partition, 0)], |request| {
        request.partitions[0].current_leader_epoch = Some(LeaderEpoch(epoch));
    });
    let answer = fetched(cluster.ask(B2, Request::Fetch(request)).expect("it does not wait")).remove(0);
    assert_eq!(values(&answer.batches).len(), usize::from(answer.error.is_none()));
    answer.error
}

/// > The leader epoch in the request is older than the epoch on the broker.
///
/// `Errors.java`, `FENCED_LEADER_EPOCH`; KIP-320.
#[test]
pub fn who_believes_in_an_older_leader_is_fenced() {
    assert_eq!(fetch_in(0), Some(ErrorCode::FencedLeaderEpoch));
    assert_eq!(fetch_in(1), None);
}

/// > The leader epoch in the request is newer than the epoch on the broker.
///
/// `Errors.java`, `UNKNOWN_LEADER_EPOCH`; KIP-320.
#[test]
pub fn a_leader_that_has_been_replaced_answers_nobody_who_knows() {
    assert_eq!(fetch_in(2), Some(ErrorCode::UnknownLeaderEpoch));
}

/// > Messages will always be returned in offset order.
///
/// `ConsumerConfig.java`, `isolation.level`.
#[test]
pub fn messages_come_in_the_order_of_their_offsets() {
    let mut cluster = Cluster::of(3, &[]);
    let partition = cluster.orders(&[&[1, 2, 3]], &[]);
    let c1 = cluster.consumer(&[("auto.offset.reset", "earliest"), ("max.poll.records", "2")]);
    let p1 = cluster.producer(&[("linger.ms", "20")]);
    for nth in 0..400 {
        cluster.send(p1, Some(0), None, &format!("{nth}"));
        cluster.run(10);
        if nth == 100 {
            cluster.world.crash(B1);
        }
        if nth == 250 {
            cluster.world.start(B1);
        }
    }
    cluster.run(5_000);
    let delivered = cluster.delivered(c1);
    let offsets: Vec<u64> = delivered.iter().map(|(_, offset, _)| offset.0).collect();
    assert_eq!(offsets, (0..400).collect::<Vec<u64>>());
    assert!(delivered.iter().enumerate().all(|(nth, (_, _, value))| *value == nth.to_string()));
    assert_ne!(cluster.state(partition).leader_epoch, LeaderEpoch(0));
}
