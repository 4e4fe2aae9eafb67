//! What does an acknowledgement say? `acks`, `min.insync.replicas`, and what is committed.

use std::time::Duration;

use trial_model::{
    protocol::{
        ApiKey, ErrorCode, Request, Response,
        produce::{Acks, PartitionProduce, ProduceRequest},
        topics::{ElectLeadersRequest, ElectionKind},
    },
    units::{LeaderEpoch, Offset},
};

use super::cluster::{self, B1, B2, B3, Cluster, batch, produced};
use crate::words::world::DiskHold;

/// > If set to zero then the producer will not wait for any acknowledgment from the server at all.
///
/// And so, as it goes on:
///
/// > The offset given back for each record will always be set to -1.
///
/// `ProducerConfig.java`, `acks`.
#[test]
pub fn with_acks_0_nobody_is_waited_for() {
    let mut cluster = Cluster::of(1, &[]);
    let orders = cluster.orders(&[&[1]], &[]);
    let p1 = cluster.producer(&[("acks", "0"), ("enable.idempotence", "false"), ("linger.ms", "0")]);
    cluster.send(p1, Some(0), None, "until it knows the leader");
    cluster.run(500);
    cluster.world.hold(p1, B1, Some(ApiKey::Produce));
    let sent = cluster.now();
    let tag = cluster.send(p1, Some(0), None, "a");
    cluster.run(10);
    assert_eq!(cluster.outcome(tag), Some((sent, Ok(None))));
    assert_eq!(cluster.replica(B1, orders).log.end(), Offset(1), "the record has not arrived");
}

/// > This will mean the leader will write the record to its local log but will respond without awaiting full
/// > acknowledgement from all followers.
///
/// `ProducerConfig.java`, `acks=1`.
#[test]
pub fn with_acks_1_the_leader_alone_is_waited_for() {
    let mut cluster = Cluster::of(2, &[]);
    let orders = cluster.orders(&[&[1, 2]], &[]);
    cluster.world.hold(B1, B2, Some(ApiKey::Fetch));
    let answer = cluster.produce(B1, orders, Acks::Leader, batch(&["a"])).expect("it does not wait");
    assert_eq!(answer.map(|produced| produced.base_offset), Ok(Offset(0)));
    assert_eq!(cluster.replica(B1, orders).log.written(), Offset(1));
    assert_eq!(cluster.replica(B2, orders).log.end(), Offset(0));
    cluster.world.hold_disk(B1, DiskHold::All);
    let answer = cluster.produce(B1, orders, Acks::Leader, batch(&["b"]));
    assert_eq!(answer, None, "the record is in nobody's log yet");
    cluster.world.release_disk(B1);
    cluster.run(10);
    assert!(cluster.answer().is_some());
}

/// > In this case should the leader fail immediately after acknowledging the record but before the followers
/// > have replicated it then the record will be lost.
///
/// `ProducerConfig.java`, `acks=1`.
#[test]
pub fn with_acks_1_a_record_may_be_lost() {
    let mut cluster = Cluster::of(2, &[]);
    let orders = cluster.orders(&[&[1, 2]], &[]);
    cluster.write(B1, orders, &["a"]);
    cluster.run(10);
    cluster.world.hold(B1, B2, Some(ApiKey::Fetch));
    let answer = cluster.produce(B1, orders, Acks::Leader, batch(&["b"])).expect("it does not wait");
    assert_eq!(answer.map(|produced| produced.base_offset), Ok(Offset(1)));
    assert_eq!(cluster.fail_over(B1, orders), B2);
    cluster.write(B2, orders, &["c"]);
    cluster.world.start(B1);
    cluster.run(3_000);
    assert_eq!(cluster.log(B1, orders), ["a", "c"]);
}

/// > This means the leader will wait for the full set of in-sync replicas to acknowledge the record.
///
/// `ProducerConfig.java`, `acks=all`.
#[test]
pub fn with_acks_all_every_replica_in_sync_is_waited_for() {
    let mut cluster = Cluster::of(3, &[]);
    let orders = cluster.orders(&[&[1, 2, 3]], &[]);
    cluster.world.hold(B1, B3, Some(ApiKey::Fetch));
    let answer = cluster.produce(B1, orders, Acks::All, batch(&["a"]));
    assert_eq!(cluster.log(B2, orders), ["a"]);
    assert_eq!(answer, None, "broker-3 is in sync and does not have it");
    cluster.world.release(B1, B3);
    cluster.run(10);
    let answer = produced(cluster.answer().expect("everyone has it"));
    assert_eq!(answer.map(|result| result.map(|produced| produced.base_offset)), Some(Ok(Offset(0))));
    assert_eq!(cluster.log(B3, orders), ["a"]);
}

/// > This guarantees that the record will not be lost as long as at least one in-sync replica remains alive.
///
/// `ProducerConfig.java`, `acks=all`.
#[test]
pub fn with_acks_all_one_replica_in_sync_is_enough_to_keep_a_record() {
    for survivor in [B1, B2, B3] {
        let mut cluster = Cluster::of(3, &[]);
        let orders = cluster.orders(&[&[1, 2, 3]], &[]);
        // Whoever is left is the last to have it.
        let late = if survivor == B1 { B3 } else { survivor };
        cluster.world.hold(B1, late, Some(ApiKey::Fetch));
        let p1 = cluster.producer(&[("linger.ms", "0")]);
        let tag = cluster.send(p1, Some(0), None, "a");
        for tenth in 0..100_000 {
            if tenth == 1_000 {
                cluster.world.release(B1, late);
            }
            if cluster.outcome(tag).is_some() {
                break;
            }
            cluster.world.run(Duration::from_micros(100));
        }
        assert!(cluster.outcome(tag).is_some_and(|(_, outcome)| outcome == Ok(Some(Offset(0)))));
        // At the very moment at which it is acknowledged.
        for other in [B1, B2, B3].into_iter().filter(|other| *other != survivor) {
            cluster.world.crash(other);
        }
        cluster.until_state(orders, |state| state.leader == Some(survivor) && state.isr.len() == 1);
        cluster.run(500);
        assert_eq!(cluster.read(survivor, orders), ["a"]);
    }
}

/// > If this minimum cannot be met, then the producer will raise an exception (either NotEnoughReplicas or
/// > NotEnoughReplicasAfterAppend).
///
/// `TopicConfig.java`, `min.insync.replicas`. The second has become rare: what was appended waits below the high
/// watermark, which does not move while the ISR is too small.
#[test]
pub fn a_write_fails_that_too_few_replicas_would_acknowledge() {
    let mut cluster = Cluster::of(3, &[]);
    let orders = cluster.orders(&[&[1, 2, 3]], &[("min.insync.replicas", "2")]);
    let p1 = cluster.producer(&[("linger.ms", "0"), ("retries", "0"), ("enable.idempotence", "false")]);
    cluster.world.hold(B1, B2, Some(ApiKey::Fetch));
    cluster.world.hold(B1, B3, Some(ApiKey::Fetch));
    let early = cluster.send(p1, Some(0), None, "appended before the ISR shrinks");
    cluster.until_state(orders, |state| state.isr.len() == 1);
    cluster.run(200);
    assert_eq!(cluster.outcome(early), None);
    // By another connection: the first is still busy.
    let p2 = cluster.producer(&[("linger.ms", "0"), ("retries", "0"), ("enable.idempotence", "false")]);
    let refused = cluster.send(p2, Some(0), None, "and after it has shrunk");
    cluster.run(200);
    let outcome = cluster.outcome(refused).map(|(_, outcome)| outcome);
    assert_eq!(outcome, Some(Err(ErrorCode::NotEnoughReplicas)));
    assert_eq!(cluster.log(B1, orders), ["appended before the ISR shrinks"]);
}

/// > the high watermark for the data partition can't advance if the size of the ISR is smaller than the min
/// > ISR(min.insync.replicas)
///
/// `https://kafka.apache.org/41/operations/eligible-leader-replicas`, Overview; KIP-966.
#[test]
pub fn nothing_is_committed_by_too_few_replicas() {
    let mut cluster = Cluster::of(2, &[]);
    let orders = cluster.orders(&[&[1, 2]], &[("min.insync.replicas", "2")]);
    cluster.world.crash(B2);
    cluster.until_state(orders, |state| state.isr.len() == 1);
    cluster.run(200);
    let answer = cluster.produce(B1, orders, Acks::Leader, batch(&["a"])).expect("it does not wait");
    assert_eq!(answer.map(|produced| produced.base_offset), Ok(Offset(0)), "acks=1 asks for no minimum");
    cluster.run(1_000);
    assert_eq!(cluster.replica(B1, orders).high_watermark(), Offset(0));
    cluster.world.start(B2);
    cluster.until_state(orders, |state| state.isr.len() == 2);
    cluster.run(200);
    assert_eq!(cluster.read(B1, orders), ["a"]);
}

/// > Only committed messages are ever given out to the consumer.
///
/// `docs/design.html`, Replication.
#[test]
pub fn consumers_get_what_is_committed() {
    let mut cluster = Cluster::of(2, &[]);
    let orders = cluster.orders(&[&[1, 2]], &[]);
    let c1 = cluster.consumer(&[("auto.offset.reset", "earliest")]);
    cluster.write(B1, orders, &["a"]);
    cluster.run(600);
    assert_eq!(cluster.delivered(c1).len(), 1);
    cluster.world.hold(B1, B2, Some(ApiKey::Fetch));
    cluster
        .produce(B1, orders, Acks::Leader, batch(&["b"]))
        .expect("it does not wait")
        .expect("it is written");
    cluster.run(600);
    assert_eq!(cluster.log(B1, orders), ["a", "b"]);
    assert_eq!(cluster.delivered(c1).len(), 1, "broker-2 is in sync and does not have it");
    cluster.world.release(B1, B2);
    cluster.run(600);
    assert_eq!(cluster.delivered(c1).len(), 2);
}

/// > The ID of the current leader or -1 if the leader is unknown.
///
/// `ProduceResponse.json`, `LeaderId`: so that a producer need not ask for metadata first; KIP-951.
#[test]
pub fn who_is_not_the_leader_says_who_is() {
    let mut cluster = Cluster::of(2, &[]);
    let orders = cluster.orders(&[&[1, 2]], &[]);
    let partitions = vec![PartitionProduce { partition: orders.into(), batch: batch(&["a"]) }];
    let request = ProduceRequest { acks: Acks::All, timeout: Duration::from_secs(30), partitions };
    let Some(Response::Produce(response)) = cluster.ask(B2, Request::Produce(request)) else {
        panic!("another answer")
    };
    let answer = &response.partitions[0];
    assert_eq!(answer.result.map(|produced| produced.base_offset), Err(ErrorCode::NotLeaderOrFollower));
    let hint = answer.leader.map(|hint| (hint.leader, hint.epoch));
    assert_eq!(hint, Some((Some(B1), LeaderEpoch(0))));
    // A producer goes there at once: there is no time to ask anybody else.
    assert_eq!(cluster.fail_over(B1, orders), B2);
    let p1 = cluster.producer(&[("linger.ms", "0")]);
    cluster.send(p1, Some(0), None, "b");
    cluster.run(500);
    cluster.world.start(B1);
    cluster.until_state(orders, |state| state.isr.len() == 2);
    cluster.run(200);
    let (kind, timeout) = (ElectionKind::Preferred, Duration::from_secs(5));
    let request = ElectLeadersRequest { kind, partitions: Some(vec![cluster::orders(0)]), timeout };
    cluster.ask_for(500, B1, Request::ElectLeaders(request)).expect("it is answered");
    assert_eq!(cluster.state(orders).leader, Some(B1));
    let start = cluster.now();
    let tag = cluster.send(p1, Some(0), None, "c");
    cluster.run(500);
    assert_eq!(cluster.outcome(tag).map(|(_, outcome)| outcome), Some(Ok(Some(Offset(1)))));
    let sent = cluster.produced(p1).into_iter().map(|(at, _)| at).filter(|at| *at >= start);
    let after: Vec<u128> = sent.map(|at| at.since(start).as_millis()).collect();
    assert_eq!(after, [0, 2]);
}
