//! What is kept, for how long, and what is flushed? Segments, retention, flushing, deleted records, recovery.

use std::time::Duration;

use trial_model::{
    event::Event,
    log::codec::BatchBuilder,
    protocol::{ErrorCode, Request, Response, produce::Acks, topics::DeleteRecordsRequest},
    time::{Instant, Timestamp},
    units::{Offset, TopicPartition},
};

use super::cluster::{B1, Cluster, batch};

/// One broker with one partition, set up so.
fn with_topic(broker: &[(&str, &str)], topic: &[(&str, &str)]) -> (Cluster, TopicPartition) {
    let mut cluster = Cluster::of(1, broker);
    let orders = cluster.orders(&[&[1]], topic);
    (cluster, orders)
}

/// What the clock on the wall says.
fn wall(cluster: &Cluster) -> i64 {
    1_000_000 + (cluster.now().0 / 1_000_000) as i64
}

/// Writes one record of so many bytes, of this time.
fn write_at(cluster: &mut Cluster, orders: TopicPartition, len: usize, time: i64) -> Offset {
    let mut builder = BatchBuilder::new();
    builder.push(Timestamp(time), None, Some("a".repeat(len).as_bytes()), &[]);
    let answer = cluster.produce(B1, orders, Acks::All, builder.build()).expect("it is answered");
    answer.expect("it is written").base_offset
}

fn segments(cluster: &Cluster, orders: TopicPartition) -> Vec<u64> {
    cluster.replica(B1, orders).log.segments().map(|base| base.0).collect()
}

/// > This configuration controls the segment file size for the log.
///
/// `TopicConfig.java`, `segment.bytes`.
#[test]
pub fn a_segment_file_grows_to_its_size() {
    let (mut cluster, orders) = with_topic(&[], &[("segment.bytes", "1000")]);
    for _ in 0..20 {
        write_at(&mut cluster, orders, 200, 0);
    }
    cluster.run(100);
    let sizes = cluster.world.files(B1, orders);
    assert!(sizes.len() > 4, "{sizes:?}");
    assert!(sizes.iter().all(|(_, size)| *size <= 1_000), "{sizes:?}");
    // None of them had room for one more of a batch's 270 bytes.
    assert!(sizes[..sizes.len() - 1].iter().all(|(_, size)| *size > 700), "{sizes:?}");
}

/// > This configuration controls the maximum time we will retain a log before we will discard old log segments to
/// > free up space if we are using the "delete" retention policy.
///
/// `TopicConfig.java`, `retention.ms`.
#[test]
pub fn old_segments_are_discarded() {
    let check = [("log.retention.check.interval.ms", "1000")];
    let (mut cluster, orders) = with_topic(&check, &[("retention.ms", "60000"), ("segment.bytes", "300")]);
    for _ in 0..5 {
        let time = wall(&cluster);
        write_at(&mut cluster, orders, 200, time);
        cluster.run(10_000);
    }
    assert_eq!(cluster.replica(B1, orders).log.start(), Offset(0), "the oldest is 50 seconds old");
    cluster.run(22_000);
    assert_eq!(cluster.replica(B1, orders).log.start(), Offset(2), "the third is 52 seconds old");
    assert_eq!(cluster.fetch(B1, orders, 1).error, Some(ErrorCode::OffsetOutOfRange));
    assert_eq!(cluster.fetch(B1, orders, 2).error, None);
}

/// > This configuration controls the maximum size a partition (which consists of log segments) can grow to before
/// > we will discard old log segments to free up space if we are using the "delete" retention policy.
///
/// `TopicConfig.java`, `retention.bytes`.
#[test]
pub fn a_partition_does_not_outgrow_its_size() {
    let check = [("log.retention.check.interval.ms", "1000")];
    let (mut cluster, orders) = with_topic(&check, &[("retention.bytes", "1500"), ("segment.bytes", "600")]);
    let mut discarded = false;
    for _ in 0..40 {
        write_at(&mut cluster, orders, 200, 0);
        cluster.run(1_100);
        let log = &cluster.replica(B1, orders).log;
        // A segment goes when what is left without it is still as much as is to be kept.
        assert!(log.size() < 1_500 + 600, "{} bytes", log.size());
        discarded |= log.start() > Offset(0);
        assert!(!discarded || log.size() >= 1_500, "{} bytes", log.size());
    }
    assert!(discarded);
}

/// > For example if this was set to 1 we would fsync after every message; if it were 5 we would fsync after every
/// > five messages.
///
/// `TopicConfig.java`, `flush.messages`.
#[test]
pub fn so_many_messages_are_flushed_together() {
    for every in [1_u64, 5] {
        let (mut cluster, orders) = with_topic(&[], &[("flush.messages", &every.to_string())]);
        for written in 1..=12 {
            write_at(&mut cluster, orders, 10, 0);
            let flushed = cluster.replica(B1, orders).log.flushed();
            assert_eq!(flushed, Offset(written / every * every), "after {written}");
        }
        cluster.world.lose_power(B1, None);
        cluster.world.start(B1);
        cluster.run(3_000);
        assert_eq!(cluster.log(B1, orders).len() as u64, 12 / every * every);
    }
}

/// > For example if this was set to 1000 we would fsync after 1000 ms had passed.
///
/// `TopicConfig.java`, `flush.ms`.
#[test]
pub fn messages_are_flushed_after_a_time() {
    let (mut cluster, orders) = with_topic(&[], &[("flush.ms", "1000")]);
    write_at(&mut cluster, orders, 10, 0);
    cluster.run(900);
    assert_eq!(cluster.replica(B1, orders).log.flushed(), Offset(0));
    cluster.run(200);
    assert_eq!(cluster.replica(B1, orders).log.flushed(), Offset(1));
}

/// > If CreateTime is used for the topic, the timestamp will be -1. If LogAppendTime is used for the topic, the
/// > timestamp will be the broker local time when the messages are appended.
///
/// `ProduceResponse.json`, `LogAppendTimeMs`; and so for whoever reads: `message.timestamp.type`.
#[test]
pub fn a_record_bears_the_time_of_its_producer_or_of_its_broker() {
    for (kind, of_broker) in [("CreateTime", false), ("LogAppendTime", true)] {
        let (mut cluster, orders) = with_topic(&[], &[("message.timestamp.type", kind)]);
        cluster.run(1_000);
        let before = wall(&cluster);
        let answer = cluster.produce(B1, orders, Acks::All, batch(&["a", "b"])).expect("it is answered");
        // One millisecond after it was sent.
        let expected = of_broker.then_some(Timestamp(before + 1));
        assert_eq!(answer.map(|produced| produced.log_append_time), Ok(expected));
        let fetched = cluster.fetch(B1, orders, 0);
        let records = fetched.batches.iter().flat_map(|batch| batch.decode_records());
        let times: Vec<Timestamp> = records.map(|record| record.expect("it can be read").timestamp).collect();
        assert_eq!(times, [expected.unwrap_or(Timestamp(0)); 2]);
    }
}

/// > Delete records whose offset is smaller than the given offset of the corresponding partition.
///
/// `Admin.java`, `deleteRecords`.
#[test]
pub fn deleted_records_are_those_before_an_offset() {
    let (mut cluster, orders) = with_topic(&[], &[]);
    for value in ["a", "b", "c", "d"] {
        cluster.write(B1, orders, &[value]);
    }
    let delete = |cluster: &mut Cluster, before: u64| {
        let partitions = vec![(orders.into(), Some(Offset(before)))];
        let request = DeleteRecordsRequest { partitions, timeout: Duration::from_secs(5) };
        match cluster.ask(B1, Request::DeleteRecords(request)) {
            Some(Response::DeleteRecords(mut response)) => response.partitions.remove(0).1,
            other => panic!("another answer: {other:?}"),
        }
    };
    assert_eq!(delete(&mut cluster, 3), Ok(Offset(3)));
    assert_eq!(cluster.fetch(B1, orders, 2).error, Some(ErrorCode::OffsetOutOfRange));
    let left = cluster.fetch(B1, orders, 3);
    assert_eq!(super::cluster::values(&left.batches), ["d"]);
    assert_eq!(delete(&mut cluster, 9), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(delete(&mut cluster, 1), Ok(Offset(3)), "what is deleted stays so");
}

/// > The time to wait before deleting a file from the filesystem
///
/// `TopicConfig.java`, `file.delete.delay.ms`.
#[test]
pub fn a_discarded_file_stays_for_a_while() {
    let check = [("log.retention.check.interval.ms", "1000")];
    let topic = [("retention.bytes", "300"), ("segment.bytes", "300"), ("file.delete.delay.ms", "5000")];
    let (mut cluster, orders) = with_topic(&check, &topic);
    for _ in 0..3 {
        write_at(&mut cluster, orders, 200, 0);
    }
    let all = cluster.world.files(B1, orders);
    assert_eq!(all.len(), 3);
    let start = cluster.now();
    let moved = |event: &Event| matches!(event, Event::LogStartMoved { .. });
    let (at, _) = cluster.until(start, |_, event| moved(event));
    cluster.run(4_900);
    assert_eq!(segments(&cluster, orders), [1, 2]);
    let deleted = |cluster: &Cluster| {
        let files = cluster.world.files(B1, orders).into_iter();
        files.filter(|(name, _)| name.ends_with(".log.deleted")).count()
    };
    assert_eq!(deleted(&cluster), 1);
    cluster.world.run(Duration::from_millis(5_200) - cluster.now().since(at));
    assert_eq!(deleted(&cluster), 0);
    assert_eq!(cluster.world.files(B1, orders).len(), 2);
}

/// > In the event corruption is detected the log is truncated to the last valid offset.
///
/// `docs/implementation.html`, Log.
#[test]
pub fn a_torn_tail_is_cut_off() {
    let (mut cluster, orders) = with_topic(&[], &[]);
    for value in ["a", "b", "c"] {
        cluster.write(B1, orders, &[value]);
    }
    // The power goes while the last batch is being written: some of its bytes are not there.
    cluster.world.lose_power(B1, Some(5));
    let start = cluster.now();
    cluster.world.start(B1);
    cluster.run(3_000);
    let recovered = cluster.told(start).find_map(|(_, _, event)| match event {
        Event::Recovered { partition, end, cut, .. } if *partition == orders => Some((*end, *cut > 0)),
        _ => None,
    });
    assert_eq!(recovered, Some((Offset(2), true)));
    assert_eq!(cluster.write(B1, orders, &["d"]), Offset(2));
    assert_eq!(cluster.read(B1, orders), ["a", "b", "d"]);
    assert!(start > Instant::ZERO);
}
