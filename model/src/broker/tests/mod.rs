//! Does a broker do what Kafka's does, among others and with real controllers?

mod cluster;
#[cfg(feature = "museum")]
mod museum;

use self::cluster::{Cluster, records};
use crate::{
    client::Command,
    config::BrokerConfig,
    event::Event,
    machine::Halt,
    museum::Museum,
    protocol::{
        ErrorCode, Request, Response,
        configs::{DescribeConfigsRequest, IncrementalAlterConfigsRequest, Operation, Resource, Source},
        list_offsets::{ListOffsetsRequest, OffsetSpec, PartitionListOffsets},
        produce::Acks,
        producer_ids::InitProducerIdRequest,
        topics::{DeleteRecordsRequest, DeleteTopicsRequest},
    },
    units::{NodeId, Offset, TopicPartition},
};

const B1: NodeId = NodeId::broker(1);
const B2: NodeId = NodeId::broker(2);
const B3: NodeId = NodeId::broker(3);

fn config() -> BrokerConfig {
    let mut config = BrokerConfig::default();
    for (key, value) in [
        ("broker.heartbeat.interval.ms", "200"),
        ("broker.session.timeout.ms", "1000"),
        ("replica.lag.time.max.ms", "1000"),
        ("replica.fetch.backoff.ms", "100"),
        ("replica.high.watermark.checkpoint.interval.ms", "500"),
    ] {
        config.set(key, value).expect("in bounds");
    }
    config
}

fn three() -> Cluster {
    let mut cluster = Cluster::new(1, 3, &config(), Museum::CLOSED);
    cluster.settle();
    cluster
}

fn base(answer: &crate::protocol::produce::PartitionProduced) -> Result<u64, ErrorCode> {
    answer.result.map(|produced| produced.base_offset.0)
}

#[test]
fn one_broker_serves_what_it_was_sent() {
    let mut cluster = Cluster::new(1, 1, &config(), Museum::CLOSED);
    cluster.settle();
    let partition = TopicPartition::new(cluster.create("orders", &[&[1]], &[]), 0);
    for (acks, at) in [(Acks::All, 0), (Acks::Leader, 3)] {
        assert_eq!(base(&cluster.produced(B1, partition, acks, records(3, None))), Ok(at));
    }
    let fetched = cluster.fetched(B1, partition, 0, 0);
    assert_eq!((fetched.error, fetched.high_watermark, fetched.batches.len()), (None, Offset(6), 2));
}

#[test]
fn what_is_acknowledged_is_on_every_replica_in_sync() {
    let mut cluster = three();
    let partition = TopicPartition::new(cluster.create("orders", &[&[1, 2, 3]], &[]), 0);
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(3, None))), Ok(0));
    for broker in [B2, B3] {
        let written = |event: &Event| matches!(event, Event::Written { end, .. } if *end == Offset(3));
        assert!(cluster.has(broker, written), "{}", cluster.told(broker));
    }
    let before = cluster.now;
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(2, None))), Ok(3));
    assert!(cluster.now - before < 3_000_000, "it did not wait for a long poll: {} ns", cluster.now - before);
    cluster.run(1_000);
    assert_eq!(cluster.high_watermark(B1, partition), Some(Offset(5)));
    for broker in [B2, B3] {
        assert_eq!(cluster.high_watermark(broker, partition), Some(Offset(5)));
        let adopted =
            |event: &Event| matches!(event, Event::HighWatermarkAdopted { to, .. } if *to == Offset(5));
        assert!(cluster.has(broker, adopted), "{}", cluster.told(broker));
    }
}

#[test]
fn a_consumer_waits_for_what_is_committed() {
    let mut cluster = three();
    let partition = TopicPartition::new(cluster.create("orders", &[&[1, 2, 3]], &[]), 0);
    let produced = cluster.produce(B1, partition, Acks::All, records(1, None));
    let fetched = cluster.fetched(B1, partition, 0, 5_000);
    assert_eq!(fetched.batches.len(), 1);
    assert!(cluster.reply(produced).is_some(), "it was acknowledged by then");
    let before = cluster.now;
    assert!(cluster.fetched(B1, partition, 1, 300).batches.is_empty());
    assert!(cluster.now - before >= 300_000_000, "it waits as long as it was told to");
}

#[test]
fn a_dead_leader_is_replaced_and_nothing_acknowledged_is_lost() {
    let mut cluster = three();
    let partition =
        TopicPartition::new(cluster.create("orders", &[&[1, 2, 3]], &[("min.insync.replicas", "2")]), 0);
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(5, None))), Ok(0));
    cluster.kill(B1);
    cluster.wait(|cluster| cluster.leader(partition).is_some_and(|(leader, _)| leader != B1));
    let (leader, _) = cluster.leader(partition).expect("just waited for");
    assert_eq!(base(&cluster.produced(leader, partition, Acks::All, records(1, None))), Ok(5));
    let fetched = cluster.fetched(leader, partition, 0, 0);
    assert_eq!(fetched.high_watermark, Offset(6));
    cluster.start(B1);
    let full = |event: &Event| matches!(event, Event::IsrAdopted { isr, .. } if isr.len() == 3);
    cluster.events.clear();
    cluster.wait(|cluster| cluster.has(leader, full));
    assert!(cluster.has(B1, |event| matches!(event, Event::Recovered { end, .. } if *end == Offset(5))));
}

#[test]
fn who_is_cut_off_leaves_the_isr_and_comes_back() {
    let mut cluster = three();
    let partition = TopicPartition::new(cluster.create("orders", &[&[1, 2, 3]], &[]), 0);
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(1, None))), Ok(0));
    cluster.cut(B1, B3);
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(1, None))), Ok(1));
    let isr =
        |len: usize| move |event: &Event| matches!(event, Event::IsrAdopted { isr, .. } if isr.len() == len);
    assert!(cluster.has(B1, isr(2)), "it was waited for until it left the ISR");
    cluster.events.clear();
    cluster.heal();
    cluster.wait(|cluster| cluster.has(B1, isr(3)));
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(1, None))), Ok(2));
}

#[test]
fn an_answer_that_was_lost_with_a_former_leader_is_not_waited_for_when_it_leads_again() {
    let mut config = config();
    config.set("request.timeout.ms", "500").expect("in bounds");
    let mut cluster = Cluster::new(1, 3, &config, Museum::CLOSED);
    cluster.settle();
    let partition = TopicPartition::new(cluster.create("orders", &[&[1, 2, 3]], &[]), 0);
    for other in [NodeId::controller(1), B2, B3] {
        cluster.cut(B1, other);
    }
    cluster.wait(|cluster| cluster.leader(partition).is_some_and(|(leader, _)| leader == B2));
    cluster.run(1_000);
    cluster.heal_unnoticed();
    let isr =
        |len: usize| move |event: &Event| matches!(event, Event::IsrAdopted { isr, .. } if isr.len() == len);
    cluster.wait(|cluster| cluster.has(B2, isr(3)));
    cluster.kill(B2);
    cluster.wait(|cluster| cluster.leader(partition).is_some_and(|(leader, _)| leader == B1));
    cluster.events.clear();
    cluster.run(5_000);
    assert!(!cluster.has(B1, isr(1)), "broker-3 follows it: {}", cluster.told(B1));
}

#[test]
fn too_small_an_isr_refuses_acks_all() {
    let mut cluster = Cluster::new(1, 2, &config(), Museum::CLOSED);
    cluster.settle();
    let partition =
        TopicPartition::new(cluster.create("orders", &[&[1, 2]], &[("min.insync.replicas", "2")]), 0);
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(1, None))), Ok(0));
    cluster.kill(B2);
    cluster.wait(|cluster| {
        cluster.has(B1, |event| matches!(event, Event::IsrAdopted { isr, .. } if isr.len() == 1))
    });
    let refused = cluster.produced(B1, partition, Acks::All, records(1, None));
    assert_eq!(base(&refused), Err(ErrorCode::NotEnoughReplicas));
    assert_eq!(base(&cluster.produced(B1, partition, Acks::Leader, records(1, None))), Ok(1));
    assert_eq!(cluster.fetched(B1, partition, 0, 0).high_watermark, Offset(1), "KIP-966");
}

#[test]
fn a_repeated_batch_gets_the_offsets_it_got() {
    let mut cluster = three();
    let partition = TopicPartition::new(cluster.create("orders", &[&[1, 2, 3]], &[]), 0);
    let batch = records(3, Some((7, 0)));
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, batch.clone())), Ok(0));
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, batch)), Ok(0));
    assert!(cluster.has(B1, |event| matches!(event, Event::DuplicateAnswered { .. })));
    let gap = cluster.produced(B1, partition, Acks::All, records(1, Some((7, 9))));
    assert_eq!(base(&gap), Err(ErrorCode::OutOfOrderSequenceNumber));
}

#[test]
fn who_does_not_lead_says_who_does() {
    let mut cluster = three();
    let partition = TopicPartition::new(cluster.create("orders", &[&[1, 2, 3]], &[]), 0);
    let refused = cluster.produced(B2, partition, Acks::All, records(1, None));
    assert_eq!(base(&refused), Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(refused.leader.and_then(|hint| hint.leader), Some(B1));
    let unknown = TopicPartition::new(crate::units::TopicId(77_777), 0);
    let refused = cluster.produced(B2, unknown, Acks::All, records(1, None));
    assert_eq!(base(&refused), Err(ErrorCode::UnknownTopicId));
}

#[test]
fn a_clean_shutdown_moves_leaderships_and_leaves_its_mark() {
    let mut cluster = three();
    let partition = TopicPartition::new(cluster.create("orders", &[&[1, 2, 3]], &[]), 0);
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(3, None))), Ok(0));
    cluster.tell(B1, Command::Shutdown);
    cluster.wait(|cluster| cluster.halted(B1).is_some());
    assert_eq!(cluster.halted(B1), Some(Halt::Shutdown));
    assert!(cluster.leader(partition).is_some_and(|(leader, _)| leader != B1));
    cluster.events.clear();
    cluster.start(B1);
    cluster.settle_one(B1);
    assert!(
        cluster
            .has(B1, |event| matches!(event, Event::Recovered { clean: true, end, .. } if *end == Offset(3))),
        "{}",
        cluster.told(B1)
    );
}

#[test]
fn a_deleted_topic_takes_its_logs_along() {
    let mut cluster = three();
    let topic = cluster.create("orders", &[&[1, 2, 3], &[2, 3, 1]], &[]);
    let request = DeleteTopicsRequest {
        topics: alloc::vec!["orders".into()],
        timeout: core::time::Duration::from_secs(5),
    };
    cluster.ask(B2, Request::DeleteTopics(request));
    cluster.run(500);
    for broker in [B1, B2, B3] {
        let stopped = |event: &Event| matches!(event, Event::ReplicaStopped { deleted: true, .. });
        assert_eq!(cluster.count(broker, stopped), 2);
        let of_topic = |dir: crate::disk::Dir| matches!(dir, crate::disk::Dir::Log(p) if p.topic == topic);
        assert!(!cluster.disks[&broker].cache.keys().any(|file| of_topic(file.dir)));
    }
}

#[test]
fn records_are_deleted_on_every_replica_before_it_is_said() {
    let mut cluster = three();
    let partition = TopicPartition::new(cluster.create("orders", &[&[1, 2, 3]], &[]), 0);
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(3, None))), Ok(0));
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(3, None))), Ok(3));
    let request = DeleteRecordsRequest {
        partitions: alloc::vec![(partition.into(), Some(Offset(3)))],
        timeout: core::time::Duration::from_secs(5),
    };
    let Response::DeleteRecords(response) = cluster.ask(B1, Request::DeleteRecords(request)) else {
        panic!("another answer")
    };
    assert_eq!(response.partitions[0].1, Ok(Offset(3)));
    for broker in [B2, B3] {
        assert!(cluster.has(broker, |event| matches!(event, Event::LogStartMoved { to: Offset(3), .. })));
    }
    assert_eq!(cluster.fetched(B1, partition, 0, 0).error, Some(ErrorCode::OffsetOutOfRange));
}

#[test]
fn the_end_of_a_log_is_told_where_it_is_sure() {
    let mut cluster = three();
    let partition = TopicPartition::new(cluster.create("orders", &[&[1, 2, 3]], &[]), 0);
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(4, None))), Ok(0));
    let asked = |spec| PartitionListOffsets { partition: partition.into(), current_leader_epoch: None, spec };
    let request = ListOffsetsRequest {
        replica: None,
        partitions: alloc::vec![asked(OffsetSpec::Earliest), asked(OffsetSpec::Latest)],
    };
    let Response::ListOffsets(response) = cluster.ask(B1, Request::ListOffsets(request)) else {
        panic!("another answer")
    };
    let found: alloc::vec::Vec<Option<u64>> = response
        .partitions
        .iter()
        .map(|found| found.result.expect("it is sure").map(|found| found.offset.0))
        .collect();
    assert_eq!(found, [Some(0), Some(4)]);
}

#[test]
fn producer_ids_are_given_once() {
    let mut cluster = three();
    let mut given = alloc::collections::BTreeSet::new();
    for broker in [B1, B2, B1, B3] {
        let request = Request::InitProducerId(InitProducerIdRequest { current: None });
        let Response::InitProducerId(response) = cluster.ask(broker, request) else {
            panic!("another answer")
        };
        assert!(given.insert(response.result.expect("an id").0));
    }
}

#[test]
fn who_loses_its_power_gets_back_what_was_not_flushed() {
    let mut cluster = three();
    let partition = TopicPartition::new(cluster.create("orders", &[&[1, 2, 3]], &[]), 0);
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(5, None))), Ok(0));
    cluster.lose_power(B3);
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(1, None))), Ok(5));
    cluster.events.clear();
    cluster.start(B3);
    let written = |event: &Event| matches!(event, Event::Written { end: Offset(6), .. });
    cluster.wait(|cluster| cluster.has(B3, written));
    let full = |event: &Event| matches!(event, Event::IsrAdopted { isr, .. } if isr.len() == 3);
    cluster.wait(|cluster| cluster.has(B1, full));
}

#[test]
fn a_deposed_leader_cuts_off_what_only_it_has() {
    let mut cluster = three();
    let partition = TopicPartition::new(cluster.create("orders", &[&[1, 2, 3]], &[]), 0);
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(2, None))), Ok(0));
    for other in [B2, B3, NodeId::controller(1)] {
        cluster.cut(B1, other);
    }
    assert_eq!(base(&cluster.produced(B1, partition, Acks::Leader, records(3, None))), Ok(2));
    cluster.wait(|cluster| cluster.leader(partition).is_some_and(|(leader, _)| leader != B1));
    let (leader, _) = cluster.leader(partition).expect("just waited for");
    assert_eq!(base(&cluster.produced(leader, partition, Acks::All, records(1, None))), Ok(2));
    cluster.heal();
    let cut = |event: &Event| matches!(event, Event::Truncated { from: Offset(5), to: Offset(2), .. });
    cluster.wait(|cluster| cluster.has(B1, cut));
    assert!(cluster.has(leader, |event| matches!(event, Event::DivergenceFound { end: Offset(2), .. })));
}

#[test]
fn a_fetch_of_nothing_new_names_no_partition() {
    let mut cluster = three();
    let assignment: alloc::vec::Vec<&[u32]> = alloc::vec![&[1, 2, 3]; 20];
    let topic = cluster.create("orders", &assignment, &[]);
    cluster.run(1_000);
    cluster.sizes.clear();
    let partition = TopicPartition::new(topic, 7);
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(1, None))), Ok(0));
    cluster.run(2_000);
    let most = cluster.sizes.iter().copied().max();
    assert_eq!(most, Some(1), "only what has moved is named: {:?}", cluster.sizes);
}

#[test]
fn who_does_not_fetch_is_not_let_in_again() {
    let mut cluster = three();
    let partition =
        TopicPartition::new(cluster.create("orders", &[&[1, 2, 3]], &[("min.insync.replicas", "3")]), 0);
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(1, None))), Ok(0));
    cluster.cut(B1, B3);
    // The high watermark stands still with too few in sync, so broker 3 has all that is below it.
    assert_eq!(base(&cluster.produced(B1, partition, Acks::Leader, records(1, None))), Ok(1));
    cluster.run(5_000);
    let proposed = |event: &Event| matches!(event, Event::IsrProposed { .. });
    assert_eq!(cluster.count(B1, proposed), 1, "{}", cluster.told(B1));
    cluster.heal();
    let full = |event: &Event| matches!(event, Event::IsrAdopted { isr, .. } if isr.len() == 3);
    cluster.events.clear();
    cluster.wait(|cluster| cluster.has(B1, full));
}

/// What a broker says of a topic's or a broker's key: its value, and where that stands.
fn set_to(
    cluster: &mut Cluster,
    at: NodeId,
    of: Resource,
    key: &str,
) -> Result<(alloc::string::String, Source), ErrorCode> {
    let resources = alloc::vec![(of, Some(alloc::vec![key.into()]))];
    match cluster.ask(at, Request::DescribeConfigs(DescribeConfigsRequest { resources })) {
        Response::DescribeConfigs(mut response) => response.resources.remove(0).1.map(|mut settings| {
            assert_eq!(settings.len(), 1, "{key}");
            let first = settings.remove(0).said.remove(0);
            (first.value, first.by)
        }),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_topic_is_set_otherwise_while_it_is_written_to() {
    let mut cluster = three();
    let partition = TopicPartition::new(cluster.create("orders", &[&[1, 2, 3]], &[]), 0);
    let orders = || Resource::Topic("orders".into());
    let key = "max.message.bytes";
    let before = set_to(&mut cluster, B2, orders(), key);
    assert_eq!(before, Ok(("1048588".into(), Source::Default)));
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(1, None))), Ok(0));
    let change = alloc::vec![(key.into(), Operation::Set("70".into()))];
    let request =
        IncrementalAlterConfigsRequest { resources: alloc::vec![(orders(), change)], validate_only: false };
    let Response::IncrementalAlterConfigs(response) =
        cluster.ask(B2, Request::IncrementalAlterConfigs(request))
    else {
        panic!("another answer");
    };
    assert_eq!(response.resources, [(orders(), Ok(()))]);
    cluster.run(1_000);
    for broker in [B1, B2, B3] {
        assert_eq!(set_to(&mut cluster, broker, orders(), key), Ok(("70".into(), Source::Topic)));
    }
    let refused = base(&cluster.produced(B1, partition, Acks::All, records(9, None)));
    assert_eq!(refused, Err(ErrorCode::MessageTooLarge));
}

#[test]
fn a_broker_tells_what_it_was_started_with_and_no_other_does() {
    let mut cluster = three();
    let key = "replica.lag.time.max.ms";
    let own = set_to(&mut cluster, B1, Resource::Broker(B1), key);
    assert_eq!(own, Ok(("1000".into(), Source::Broker)));
    assert_eq!(set_to(&mut cluster, B1, Resource::Broker(B2), key), Err(ErrorCode::InvalidRequest));
    let nowhere = set_to(&mut cluster, B1, Resource::Topic("nowhere".into()), "retention.ms");
    assert_eq!(nowhere, Err(ErrorCode::UnknownTopicOrPartition));
}
