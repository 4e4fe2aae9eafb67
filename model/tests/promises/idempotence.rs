//! Is every record there once, and in order? `enable.idempotence`, `retries`, and what a producer waits for.

use trial_model::{
    event::Event,
    log::batch::ProducerStamp,
    protocol::{ApiKey, ErrorCode, produce::Acks},
    time::Instant,
    units::{NodeId, Offset, ProducerEpoch, ProducerId, Sequence, TopicPartition},
};

use super::cluster::{B1, B2, Cluster, numbered};

/// A producer whose first answer is lost, so that it sends its record again.
fn with_a_lost_answer(settings: &[(&str, &str)]) -> Vec<String> {
    let mut cluster = Cluster::of(1, &[]);
    let orders = cluster.orders(&[&[1]], &[]);
    let p1 = cluster.producer(settings);
    cluster.world.hold(B1, p1, Some(ApiKey::Produce));
    let tag = cluster.send(p1, Some(0), None, "a");
    cluster.run(500);
    let answer = cluster.world.take_held(B1, p1, Some(ApiKey::Produce)).expect("it was written");
    assert_eq!(cluster.log(B1, orders), ["a"]);
    cluster.world.lose(&answer);
    cluster.world.release(B1, p1);
    cluster.run(1_000);
    assert!(cluster.outcome(tag).is_some_and(|(_, outcome)| outcome.is_ok()));
    cluster.log(B1, orders)
}

/// > When set to 'true', the producer will ensure that exactly one copy of each message is written in the
/// > stream.
///
/// `ProducerConfig.java`, `enable.idempotence`.
#[test]
pub fn an_idempotent_producer_writes_one_copy() {
    assert_eq!(with_a_lost_answer(&[("enable.idempotence", "true")]), ["a"]);
}

/// > If 'false', producer retries due to broker failures, etc., may write duplicates of the retried message in
/// > the stream.
///
/// `ProducerConfig.java`, `enable.idempotence`.
#[test]
pub fn another_may_write_two() {
    assert_eq!(with_a_lost_answer(&[("enable.idempotence", "false")]), ["a", "a"]);
}

/// A producer of whose two batches in flight the first is refused once; what stands in the log in the end.
fn with_the_first_refused(settings: &[(&str, &str)]) -> Vec<String> {
    let mut cluster = Cluster::of(2, &[]);
    let orders = cluster.orders(&[&[1, 2]], &[("min.insync.replicas", "2")]);
    let small = [("linger.ms", "0"), ("batch.size", "1")];
    let settings: Vec<(&str, &str)> = settings.iter().chain(&small).copied().collect();
    let p1 = cluster.producer(&settings);
    cluster.send(p1, Some(0), None, "before");
    cluster.run(500);
    cluster.world.crash(B2);
    cluster.until_state(orders, |state| state.isr.len() == 1);
    cluster.world.hold(p1, B1, Some(ApiKey::Produce));
    let tags = ["first", "second"].map(|value| cluster.send(p1, Some(0), None, value));
    cluster.run(50);
    let deliver = |cluster: &mut Cluster| {
        let letter = cluster.world.take_held(p1, B1, Some(ApiKey::Produce)).expect("it was sent");
        cluster.world.deliver(letter);
        cluster.run(20);
    };
    deliver(&mut cluster);
    cluster.world.start(B2);
    cluster.until_state(orders, |state| state.isr.len() == 2);
    cluster.run(100);
    deliver(&mut cluster);
    cluster.world.release(p1, B1);
    cluster.run(3_000);
    for tag in tags {
        assert!(cluster.outcome(tag).is_some_and(|(_, outcome)| outcome.is_ok()), "{tag:?}");
    }
    cluster.log(B1, orders)
}

/// > if retries are disabled or if enable.idempotence is set to true, ordering will be preserved.
///
/// `ProducerConfig.java`, `max.in.flight.requests.per.connection`.
#[test]
pub fn an_idempotent_producer_keeps_the_order() {
    assert_eq!(with_the_first_refused(&[("enable.idempotence", "true")]), ["before", "first", "second"]);
}

/// > Note that if this configuration is set to be greater than 1 and enable.idempotence is set to false, there
/// > is a risk of message reordering after a failed send due to retries (i.e., if retries are enabled);
///
/// `ProducerConfig.java`, `max.in.flight.requests.per.connection`.
#[test]
pub fn another_may_not() {
    let without = ("enable.idempotence", "false");
    assert_eq!(with_the_first_refused(&[without]), ["before", "second", "first"]);
}

/// > The maximum number of unacknowledged requests the client will send on a single connection before blocking.
///
/// `ProducerConfig.java`, `max.in.flight.requests.per.connection`.
#[test]
pub fn so_many_requests_are_in_flight_and_no_more() {
    for most in [1, 3, 5] {
        let mut cluster = Cluster::of(1, &[]);
        cluster.orders(&[&[1]], &[]);
        let in_flight = most.to_string();
        let key = "max.in.flight.requests.per.connection";
        let p1 = cluster.producer(&[(key, &in_flight), ("linger.ms", "0"), ("batch.size", "1")]);
        cluster.world.hold(B1, p1, Some(ApiKey::Produce));
        let tags: Vec<_> = (0..8).map(|_| cluster.send(p1, Some(0), None, &"a".repeat(100))).collect();
        cluster.run(1_000);
        assert_eq!(cluster.produced(p1).len(), most);
        cluster.world.release(B1, p1);
        cluster.run(1_000);
        assert_eq!(cluster.produced(p1).len(), 8);
        assert!(tags.iter().all(|tag| cluster.outcome(*tag).is_some_and(|(_, outcome)| outcome.is_ok())));
    }
}

/// > To achieve this, the broker assigns each producer an ID and deduplicates messages using a sequence number
/// > that is sent by the producer along with every message.
///
/// `docs/design.html`, Message Delivery Semantics.
#[test]
pub fn producers_are_told_apart_by_ids_and_messages_by_sequence_numbers() {
    let mut cluster = Cluster::of(1, &[]);
    let orders = cluster.orders(&[&[1]], &[]);
    let producers = [0, 1].map(|_| cluster.producer(&[("linger.ms", "0"), ("batch.size", "1")]));
    for value in ["a", "b"] {
        for producer in producers {
            cluster.send(producer, Some(0), None, value);
        }
        cluster.run(200);
    }
    let stamps = |cluster: &Cluster, producer: NodeId| -> Vec<ProducerStamp> {
        let requests = cluster.produced(producer).into_iter();
        requests.filter_map(|(_, request)| request.partitions[0].batch.header().producer).collect()
    };
    let [first, other] = producers.map(|producer| stamps(&cluster, producer));
    for stamps in [&first, &other] {
        assert_eq!(stamps.iter().map(|stamp| stamp.base_sequence.0).collect::<Vec<u32>>(), [0, 1]);
        assert_eq!(stamps[0].id, stamps[1].id);
    }
    assert_ne!(first[0].id, other[0].id);
    // A message that comes again by the same number is not another one, and gets the offset it has.
    let again = cluster.produce(B1, orders, Acks::All, numbered(&["b"], first[1])).expect("it is answered");
    assert_eq!(again.map(|produced| produced.base_offset), Ok(Offset(2)));
    assert_eq!(cluster.log(B1, orders), ["a", "a", "b", "b"]);
}

/// Appends one record by producer 7 of an epoch, with a sequence number; its offset.
fn append(
    cluster: &mut Cluster,
    orders: TopicPartition,
    epoch: u16,
    sequence: u32,
) -> Result<Offset, ErrorCode> {
    let (id, epoch) = (ProducerId(7), ProducerEpoch(epoch));
    let stamp = ProducerStamp { id, epoch, base_sequence: Sequence(sequence) };
    let answer = cluster.produce(B1, orders, Acks::All, numbered(&["a"], stamp)).expect("it is answered");
    answer.map(|produced| produced.base_offset)
}

/// > The broker received an out of order sequence number.
///
/// `Errors.java`, `OUT_OF_ORDER_SEQUENCE_NUMBER`.
#[test]
pub fn a_gap_in_the_sequence_is_refused() {
    let mut cluster = Cluster::of(1, &[]);
    let orders = cluster.orders(&[&[1]], &[]);
    assert_eq!(append(&mut cluster, orders, 0, 0), Ok(Offset(0)));
    assert_eq!(append(&mut cluster, orders, 0, 2), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(append(&mut cluster, orders, 0, 1), Ok(Offset(1)));
    assert_eq!(append(&mut cluster, orders, 1, 1), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(append(&mut cluster, orders, 1, 0), Ok(Offset(2)), "a new epoch counts from zero");
}

/// > Producer attempted to produce with an old epoch.
///
/// `Errors.java`, `INVALID_PRODUCER_EPOCH`.
#[test]
pub fn an_old_producer_epoch_is_refused() {
    let mut cluster = Cluster::of(1, &[]);
    let orders = cluster.orders(&[&[1]], &[]);
    assert_eq!(append(&mut cluster, orders, 1, 0), Ok(Offset(0)));
    assert_eq!(append(&mut cluster, orders, 0, 1), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(cluster.log(B1, orders).len(), 1);
}

/// > If the producer is configured for idempotence only (i.e. if enable.idempotence is set and no
/// > transactional.id is configured), it is possible to continue sending with the same producer instance, but
/// > doing so risks reordering of sent records.
///
/// `OutOfOrderSequenceException.java`; how: KIP-360.
#[test]
pub fn after_a_gap_a_producer_goes_on_in_another_epoch() {
    let mut cluster = Cluster::of(1, &[]);
    let orders = cluster.orders(&[&[1]], &[]);
    let timeouts = [("linger.ms", "0"), ("request.timeout.ms", "500"), ("delivery.timeout.ms", "1000")];
    let p1 = cluster.producer(&timeouts);
    cluster.send(p1, Some(0), None, "a");
    cluster.run(500);
    cluster.world.hold(p1, B1, Some(ApiKey::Produce));
    let lost = cluster.send(p1, Some(0), None, "whoever knows where it is");
    cluster.run(1_500);
    assert!(cluster.outcome(lost).is_some_and(|(_, outcome)| outcome.is_err()));
    cluster.world.release(p1, B1);
    let next = cluster.send(p1, Some(0), None, "b");
    cluster.run(1_000);
    assert_eq!(cluster.outcome(next).map(|(_, outcome)| outcome), Some(Ok(Some(Offset(1)))));
    assert_eq!(cluster.log(B1, orders), ["a", "b"]);
    let raised = |event: &Event| match event {
        Event::ProducerEpochRaised { epoch, .. } => Some(*epoch),
        _ => None,
    };
    let raised: Vec<ProducerEpoch> =
        cluster.told(Instant::ZERO).filter_map(|(_, _, event)| raised(event)).collect();
    assert_eq!(raised, [ProducerEpoch(0), ProducerEpoch(1)]);
}

/// > Idempotence is enabled by default if no conflicting configurations are set. If conflicting configurations are
/// > set and idempotence is not explicitly enabled, idempotence is disabled.
///
/// `ProducerConfig.java`, `enable.idempotence`; KIP-679.
#[test]
pub fn a_producer_numbers_its_batches_unless_its_settings_conflict() {
    let flights = ("max.in.flight.requests.per.connection", "6");
    let conflicts: [&[(&str, &str)]; 4] = [&[], &[("acks", "1")], &[("retries", "0")], &[flights]];
    for settings in conflicts {
        let mut cluster = Cluster::of(1, &[]);
        cluster.orders(&[&[1]], &[]);
        let p1 = cluster.producer(settings);
        let tag = cluster.send(p1, Some(0), None, "a");
        cluster.run(1_000);
        assert!(cluster.outcome(tag).is_some_and(|(_, outcome)| outcome.is_ok()));
        let numbered = cluster
            .produced(p1)
            .iter()
            .all(|(_, request)| request.partitions[0].batch.header().producer.is_some());
        assert_eq!(numbered, settings.is_empty(), "{settings:?}");
    }
}
