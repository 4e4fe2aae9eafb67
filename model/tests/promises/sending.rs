//! When does a producer send what, and where to? `linger.ms`, `batch.size`, timeouts, partitioners.

use trial_model::{
    protocol::{ApiKey, ErrorCode},
    time::Instant,
    units::{NodeId, Offset},
};

use super::cluster::{B1, B2, Cluster, values};

/// One broker that leads so many partitions of `orders`, and a producer that knows so.
fn with_producer(partitions: usize, settings: &[(&str, &str)]) -> (Cluster, NodeId) {
    let mut cluster = Cluster::of(1, &[]);
    let replicas: &[u32] = &[1];
    cluster.orders(&vec![replicas; partitions], &[]);
    let p1 = cluster.producer(settings);
    cluster.send(p1, Some(0), None, "until it knows the leader");
    cluster.run(2_000);
    (cluster, p1)
}

/// What a producer has sent from a moment on: when, to which partition, the values of a batch.
fn sent(cluster: &Cluster, by: NodeId, since: Instant) -> Vec<(u64, u32, Vec<String>)> {
    let requests = cluster.produced(by).into_iter().filter(|(at, _)| *at >= since);
    let batches = requests.flat_map(|(at, request)| {
        let millis = at.since(since).as_millis() as u64;
        request
            .partitions
            .into_iter()
            .map(move |part| (millis, part.partition.partition, values([&part.batch])))
    });
    batches.collect()
}

/// > This setting gives the upper bound on the delay for batching: once we get batch.size worth of records for a
/// > partition it will be sent immediately regardless of this setting, however if we have fewer than this many
/// > bytes accumulated for this partition we will 'linger' for the specified time waiting for more records to
/// > show up.
///
/// `ProducerConfig.java`, `linger.ms`.
#[test]
pub fn a_batch_lingers_until_it_is_full() {
    let (mut cluster, p1) = with_producer(1, &[("linger.ms", "200"), ("batch.size", "400")]);
    let start = cluster.now();
    cluster.send(p1, Some(0), None, "a");
    cluster.run(150);
    cluster.send(p1, Some(0), None, "b");
    cluster.run(500);
    assert_eq!(sent(&cluster, p1, start), [(200, 0, vec!["a".into(), "b".into()])]);
    let start = cluster.now();
    let long = "c".repeat(300);
    for _ in 0..2 {
        cluster.send(p1, Some(0), None, &long);
    }
    cluster.run(500);
    assert_eq!(sent(&cluster, p1, start), [(0, 0, vec![long.clone()]), (200, 0, vec![long])]);
}

/// > No attempt will be made to batch records larger than this size.
///
/// `ProducerConfig.java`, `batch.size`.
#[test]
pub fn a_record_larger_than_a_batch_is_sent_alone() {
    let (mut cluster, p1) = with_producer(1, &[("linger.ms", "50"), ("batch.size", "200")]);
    let start = cluster.now();
    let large = "x".repeat(300);
    // What comes after it is longer than the few bytes that a batch for one record is allotted too much.
    let (c, d) = ("c".repeat(20), "d".repeat(20));
    for value in ["a", "b", &large, &c, &d] {
        cluster.send(p1, Some(0), None, value);
    }
    cluster.run(500);
    let batches: Vec<Vec<String>> =
        sent(&cluster, p1, start).into_iter().map(|(_, _, batch)| batch).collect();
    assert_eq!(batches, [vec!["a".to_owned(), "b".into()], vec![large], vec![c, d]]);
}

/// > An upper bound on the time to report success or failure after a call to send() returns.
///
/// `ProducerConfig.java`, `delivery.timeout.ms`.
#[test]
pub fn every_send_is_reported_in_time() {
    for trouble in ["nobody answers", "nobody listens", "nobody is there to be named"] {
        let settings = [("delivery.timeout.ms", "3000"), ("request.timeout.ms", "1000"), ("linger.ms", "5")];
        let (mut cluster, p1) = with_producer(1, &settings);
        match trouble {
            "nobody answers" => cluster.world.hold(B1, p1, None),
            "nobody listens" => cluster.world.crash(B1),
            _ => {
                cluster.world.crash(B1);
                cluster.run(1_500);
            }
        }
        let start = cluster.now();
        let tags = [0; 3].map(|_| {
            cluster.run(100);
            (cluster.now(), cluster.send(p1, Some(0), None, "a"))
        });
        cluster.run(10_000);
        for (at, tag) in tags {
            let (reported, outcome) = cluster.outcome(tag).expect("it is reported");
            assert!(outcome.is_err(), "{trouble}");
            let after = reported.since(at).as_millis();
            assert!((2_700..=3_000).contains(&after), "{trouble}: reported after {after} ms");
        }
        // The number of retries has not been exhausted: there is none.
        assert!(cluster.asked(p1, ApiKey::Produce).iter().filter(|(at, _)| *at >= start).count() < 100);
    }
}

/// > Setting a value greater than zero will cause the client to resend any record whose send fails with a
/// > potentially transient error.
///
/// `ProducerConfig.java`, `retries`.
#[test]
pub fn a_send_is_tried_again_so_often_and_no_more() {
    for retries in [0, 1, 3] {
        let mut cluster = Cluster::of(2, &[]);
        let orders = cluster.orders(&[&[1, 2]], &[("min.insync.replicas", "2")]);
        cluster.world.crash(B2);
        cluster.until_state(orders, |state| state.isr.len() == 1);
        cluster.run(200);
        let most = retries.to_string();
        let p1 = cluster.producer(&[("retries", &most), ("enable.idempotence", "false"), ("linger.ms", "0")]);
        let tag = cluster.send(p1, Some(0), None, "a");
        cluster.run(10_000);
        assert_eq!(cluster.produced(p1).len(), 1 + retries);
        let outcome = cluster.outcome(tag).map(|(_, outcome)| outcome);
        assert_eq!(outcome, Some(Err(ErrorCode::NotEnoughReplicas)));
    }
}

/// > If records are sent faster than they can be delivered to the server the producer will block for
/// > max.block.ms after which it will throw an exception.
///
/// `ProducerConfig.java`, `buffer.memory`.
#[test]
pub fn a_producer_without_memory_blocks_for_a_while() {
    let settings =
        [("buffer.memory", "1000"), ("batch.size", "1"), ("max.block.ms", "2000"), ("linger.ms", "0")];
    for released_after in [1_000, 3_000] {
        let (mut cluster, p1) = with_producer(1, &settings);
        cluster.world.hold(p1, B1, Some(ApiKey::Produce));
        let start = cluster.now();
        let tags = [0; 3].map(|_| cluster.send(p1, Some(0), None, &"a".repeat(350)));
        cluster.run(released_after);
        cluster.world.release(p1, B1);
        cluster.run(1_000);
        let outcomes = tags.map(|tag| cluster.outcome(tag).expect("it is reported"));
        assert_eq!(outcomes.map(|(_, outcome)| outcome.is_ok()), [true, true, released_after < 2_000]);
        if let (at, Err(error)) = outcomes[2] {
            assert_eq!((at.since(start).as_millis(), error), (2_000, ErrorCode::RequestTimedOut));
        }
    }
}

/// > If no partition is specified but a key is present, choose a partition based on a hash of the key.
///
/// `ProducerConfig.java`, `partitioner.class`; the hashes are those of `UtilsTest.java`.
#[test]
pub fn a_key_chooses_the_partition() {
    let (mut cluster, p1) = with_producer(7, &[("linger.ms", "0")]);
    let start = cluster.now();
    let hashes = [("21", -973_932_308_i32), ("foobar", -790_332_482), ("abc", 479_470_107)];
    for (key, _) in hashes.iter().chain(&hashes) {
        cluster.send(p1, None, Some(key), key);
        cluster.run(10);
    }
    let chosen: Vec<(u32, String)> =
        sent(&cluster, p1, start).into_iter().map(|(_, at, batch)| (at, batch.concat())).collect();
    let right = |(key, hash): &(&str, i32)| ((hash & i32::MAX) as u32 % 7, (*key).to_owned());
    assert_eq!(chosen, hashes.iter().chain(&hashes).map(right).collect::<Vec<_>>());
}

/// > If no partition or key is present, choose the sticky partition that changes when at least batch.size bytes
/// > are produced to the partition.
///
/// `ProducerConfig.java`, `partitioner.class`.
#[test]
pub fn without_a_key_a_partition_is_kept_until_a_batch_is_full() {
    let (mut cluster, p1) = with_producer(5, &[("linger.ms", "0"), ("batch.size", "1000")]);
    let start = cluster.now();
    for _ in 0..200 {
        cluster.send(p1, None, None, &"a".repeat(100));
        cluster.run(10);
    }
    let chosen: Vec<u32> = sent(&cluster, p1, start).into_iter().map(|(_, at, _)| at).collect();
    assert_eq!(chosen.len(), 200);
    let runs: Vec<&[u32]> = chosen.chunk_by(|a, b| a == b).collect();
    assert!(runs.len() > 5, "it changes: {runs:?}");
    let records = |bytes: usize| bytes.div_ceil(100 + 20);
    for run in &runs[..runs.len() - 1] {
        assert!(run.len() >= records(1_000), "it changed after {} records", run.len());
    }
}

/// > A partitioning strategy where each record in a series of consecutive records is sent to a different
/// > partition, regardless of whether the 'key' is provided or not, until partitions run out and the process
/// > starts over again.
///
/// `ProducerConfig.java`, `partitioner.class=org.apache.kafka.clients.producer.RoundRobinPartitioner`.
#[test]
pub fn round_robin_goes_round() {
    let (mut cluster, p1) = with_producer(4, &[("partitioner", "round_robin"), ("linger.ms", "0")]);
    let start = cluster.now();
    for nth in 0..12 {
        cluster.send(p1, None, (nth % 3 == 0).then_some("key"), "a");
        cluster.run(10);
    }
    let chosen: Vec<u32> = sent(&cluster, p1, start).into_iter().map(|(_, at, _)| at).collect();
    assert_eq!(chosen.len(), 12);
    for round in chosen.chunks(4) {
        assert_eq!(round, &chosen[..4], "every round is like the first");
        let mut once = round.to_vec();
        once.sort_unstable();
        assert_eq!(once, [0, 1, 2, 3]);
    }
}

/// > The largest record batch size allowed by Kafka (after compression if compression is enabled).
///
/// `TopicConfig.java`, `max.message.bytes`.
#[test]
pub fn a_batch_larger_than_the_topic_allows_is_refused() {
    let mut cluster = Cluster::of(1, &[]);
    let orders = cluster.orders(&[&[1]], &[("max.message.bytes", "500")]);
    let p1 = cluster.producer(&[("linger.ms", "0")]);
    let tags = [100, 600, 200].map(|len| cluster.send(p1, Some(0), None, &"a".repeat(len)));
    cluster.run(2_000);
    let outcomes = tags.map(|tag| cluster.outcome(tag).expect("it is reported").1);
    assert_eq!(outcomes, [Ok(Some(Offset(0))), Err(ErrorCode::MessageTooLarge), Ok(Some(Offset(1)))]);
    assert_eq!(cluster.log(B1, orders), ["a".repeat(100), "a".repeat(200)]);
}
