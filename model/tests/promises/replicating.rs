//! Who is in sync, and are replicas alike? The ISR, truncation, what followers fetch.

use std::time::Duration;

use trial_model::{
    controller::image::Image,
    event::{Event, EventKind},
    node::Node,
    protocol::{
        ApiKey, ErrorCode, Request, Response,
        alter_partition::{AlterPartitionRequest, IsrProposal},
        fetch::EpochEnd,
        offset_for_leader_epoch::{OffsetForLeaderEpochRequest, PartitionEpochQuery},
        produce::Acks,
    },
    units::{BrokerEpoch, LeaderEpoch, NodeId, Offset, TopicPartition},
};

use super::cluster::{B1, B2, B3, Cluster, batch, fetched, produced};
use crate::words::world::DiskHold;

/// > If a follower hasn't sent any fetch requests or hasn't consumed up to the leaders log end offset for at
/// > least this time, the leader will remove the follower from isr
///
/// `ReplicationConfigs.java`, `replica.lag.time.max.ms`. Who is silent and lacks nothing stays, here and there.
#[test]
pub fn a_follower_that_lags_for_too_long_is_out_of_sync() {
    for silent in [true, false] {
        let mut cluster = Cluster::of(2, &[("replica.lag.time.max.ms", "3000")]);
        let orders = cluster.orders(&[&[1, 2]], &[]);
        cluster.run(1_000);
        let start = cluster.now();
        if silent {
            cluster.world.hold(B2, B1, Some(ApiKey::Fetch));
        } else {
            // It is given the record, and does not get it written.
            cluster.world.hold_disk(B2, DiskHold::All);
        }
        cluster
            .produce(B1, orders, Acks::Leader, batch(&["a"]))
            .expect("it does not wait")
            .expect("it is written");
        cluster.run(2_400);
        assert_eq!(cluster.state(orders).isr.len(), 2, "silent: {silent}");
        cluster.until_state(orders, |state| state.isr.len() == 1);
        let after = cluster.now().since(start);
        // The last fetch was up to half a second before; it is looked at every half of the time.
        assert!(after >= Duration::from_millis(2_500) && after < Duration::from_millis(4_700), "{after:?}");
        cluster.world.release(B2, B1);
        cluster.world.release_disk(B2);
        cluster.until_state(orders, |state| state.isr.len() == 2);
    }
}

/// Has broker-1 append what nobody else gets, broker-2 lead, and broker-1 come back.
fn parted() -> (Cluster, TopicPartition) {
    let mut cluster = Cluster::of(3, &[]);
    let orders = cluster.orders(&[&[1, 2, 3]], &[]);
    cluster.write(B1, orders, &["a"]);
    cluster.run(1_000);
    cluster.world.hold(B1, B2, Some(ApiKey::Fetch));
    cluster.world.hold(B1, B3, Some(ApiKey::Fetch));
    for value in ["b", "c", "d"] {
        cluster
            .produce(B1, orders, Acks::Leader, batch(&[value]))
            .expect("it does not wait")
            .expect("it is written");
    }
    let leader = cluster.fail_over(B1, orders);
    for value in ["e", "f"] {
        cluster.write(leader, orders, &[value]);
    }
    cluster.world.start(B1);
    cluster.until_state(orders, |state| state.isr.len() == 3);
    cluster.run(500);
    (cluster, orders)
}

/// > The logs on the followers are identical to the leader's log—all have the same offsets and messages in the
/// > same order (though, of course, at any given time the leader may have a few as-yet unreplicated messages at
/// > the end of its log).
///
/// `docs/design.html`, Replication.
#[test]
pub fn the_logs_of_all_replicas_are_the_same() {
    let (cluster, orders) = parted();
    for broker in [B1, B2, B3] {
        assert_eq!(cluster.log(broker, orders), ["a", "e", "f"], "{broker}");
        let log = &cluster.replica(broker, orders).log;
        let epochs: Vec<(LeaderEpoch, Offset)> = log.epochs().entries().to_vec();
        assert_eq!(epochs, [(LeaderEpoch(0), Offset(0)), (LeaderEpoch(1), Offset(1))], "{broker}");
    }
}

/// > In case divergence is detected based on the `LastFetchedEpoch` and `FetchOffset` in the request, this field
/// > indicates the largest epoch and its end offset such that subsequent records are known to diverge
///
/// `FetchResponse.json`, `DivergingEpoch`; KIP-595.
#[test]
pub fn a_leader_tells_where_a_followers_log_parts_from_its_own() {
    let (cluster, _) = parted();
    let answers = cluster.answered(B1, ApiKey::Fetch).into_iter();
    let told: Vec<EpochEnd> =
        answers.flat_map(|(_, answer)| fetched(answer)).filter_map(|part| part.diverging_epoch).collect();
    assert_eq!(told, [EpochEnd { epoch: LeaderEpoch(0), end: Offset(1) }]);
    let cut: Vec<(Offset, Offset)> = cluster
        .told(trial_model::time::Instant::ZERO)
        .filter_map(|(_, node, event)| match event {
            Event::Truncated { from, to, .. } if *node == B1 => Some((*from, *to)),
            _ => None,
        })
        .collect();
    assert_eq!(cut, [(Offset(4), Offset(1))]);
}

/// > This is not an absolute maximum, if the first record batch in the first non-empty partition of the fetch is
/// > larger than this value, the record batch will still be returned to ensure that progress can be made.
///
/// `ReplicationConfigs.java`, `replica.fetch.max.bytes`.
#[test]
pub fn a_large_batch_is_replicated_all_the_same() {
    let limits = [("replica.fetch.max.bytes", "100"), ("replica.fetch.response.max.bytes", "100")];
    let mut cluster = Cluster::of(2, &limits);
    let orders = cluster.orders(&[&[1, 2]], &[]);
    let long = ["a", "b", "c"].map(|letter| letter.repeat(1_000));
    for value in &long {
        cluster
            .produce(B1, orders, Acks::Leader, batch(&[value]))
            .expect("it does not wait")
            .expect("it is written");
    }
    cluster.run(1_000);
    assert_eq!(cluster.log(B2, orders), long);
    let sizes = cluster.answered(B2, ApiKey::Fetch).into_iter();
    let sizes = sizes.map(|(_, answer)| fetched(answer).iter().map(|part| part.batches.len()).sum::<usize>());
    assert_eq!(sizes.max(), Some(1), "one batch at a time");
}

/// What the active controller knows.
fn image(cluster: &Cluster) -> &Image {
    let active = cluster.world.active().expect("a controller is active");
    match cluster.world.node(active) {
        Some(Node::Controller(controller)) => controller.image().0,
        _ => panic!("{active} is no controller"),
    }
}

fn epoch_of(cluster: &Cluster, broker: NodeId) -> BrokerEpoch {
    image(cluster).broker(broker).expect("it is registered").epoch
}

/// > The new ISR contains at least one ineligible replica.
///
/// `Errors.java`, `INELIGIBLE_REPLICA`: one that is fenced (KIP-841), or that was born again since (KIP-903).
#[test]
pub fn who_is_fenced_or_was_born_again_does_not_join_the_isr() {
    let mut cluster = Cluster::of(2, &[]);
    let orders = cluster.orders(&[&[1, 2]], &[]);
    let former = epoch_of(&cluster, B2);
    cluster.world.crash(B2);
    let state = cluster.until_state(orders, |state| state.isr.len() == 1);
    let propose = |cluster: &mut Cluster, epoch: BrokerEpoch| {
        let state = cluster.state(orders);
        let leader_is = epoch_of(cluster, B1);
        let proposal = IsrProposal {
            partition: orders,
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            isr: vec![(B1, Some(leader_is)), (B2, Some(epoch))],
        };
        let request =
            AlterPartitionRequest { broker: B1, broker_epoch: leader_is, partitions: vec![proposal] };
        let active = cluster.world.active().expect("a controller is active");
        match cluster.ask_for(200, active, Request::AlterPartition(request)) {
            Some(Response::AlterPartition(mut response)) => response.partitions.remove(0).1.err(),
            other => panic!("another answer: {other:?}"),
        }
    };
    assert_eq!(propose(&mut cluster, former), Some(ErrorCode::IneligibleReplica), "it is fenced");
    cluster.world.hold(B2, B1, Some(ApiKey::Fetch));
    cluster.world.start(B2);
    cluster.until_state(orders, |_| true);
    let since = cluster.now();
    cluster.until(since, |_, event| event.kind() == EventKind::BrokerUnfenced);
    cluster.run(100);
    assert_eq!(cluster.state(orders).isr, state.isr);
    let current = epoch_of(&cluster, B2);
    assert_ne!(current, former);
    assert_eq!(propose(&mut cluster, former), Some(ErrorCode::IneligibleReplica), "that life is over");
    assert_eq!(propose(&mut cluster, current), None);
    assert_eq!(cluster.state(orders).isr.len(), 2);
}

/// > The frequency with which the high watermark is saved out to disk
///
/// `ReplicationConfigs.java`, `replica.high.watermark.checkpoint.interval.ms`.
#[test]
pub fn the_high_watermark_is_saved_every_so_often() {
    let mut cluster = Cluster::of(1, &[("replica.high.watermark.checkpoint.interval.ms", "5000")]);
    let orders = cluster.orders(&[&[1]], &[]);
    let restored = |cluster: &mut Cluster| {
        let start = cluster.now();
        cluster.world.crash(B1);
        cluster.world.start(B1);
        let found = |event: &Event| match event {
            Event::HighWatermarkRestored { partition, to } if *partition == orders => Some(*to),
            _ => None,
        };
        cluster.until(start, |_, event| found(event).is_some());
        let restored = cluster.told(start).find_map(|(_, _, event)| found(event));
        cluster.until(start, |_, event| event.kind() == EventKind::LeaderStarted);
        cluster.run(2_000);
        restored
    };
    cluster.write(B1, orders, &["a"]);
    cluster.run(5_100);
    assert_eq!(restored(&mut cluster), Some(Offset(1)));
    cluster.write(B1, orders, &["b"]);
    cluster.run(100);
    assert_eq!(restored(&mut cluster), Some(Offset(1)), "that is not saved yet");
}

/// > This "effective" ISR is used for advancing the high watermark as well as determining which replicas are
/// > required for acks=all produce requests.
///
/// `core/src/main/scala/kafka/cluster/Partition.scala`, `maximalIsr`: it "may include un-committed ISR members
/// following an expansion"; KIP-497.
#[test]
pub fn who_is_about_to_join_the_isr_is_waited_for() {
    let mut cluster = Cluster::of(2, &[]);
    let orders = cluster.orders(&[&[1, 2]], &[]);
    cluster.world.crash(B2);
    cluster.until_state(orders, |state| state.isr.len() == 1);
    cluster.run(200);
    cluster.write(B1, orders, &["a"]);
    cluster.world.start(B2);
    let isr = |cluster: &Cluster| cluster.replica(B1, orders).isr().expect("it leads").clone();
    while isr(&cluster).proposed().is_none() {
        cluster.world.run(Duration::from_micros(100));
    }
    // The leader hears neither the controller's answer nor the metadata that says the same.
    cluster.world.hold(NodeId::controller(1), B1, None);
    cluster.world.hold(B1, B2, Some(ApiKey::Fetch));
    let answer = cluster.produce(B1, orders, Acks::All, batch(&["b"]));
    cluster.run(200);
    let answer = answer.or_else(|| cluster.answer().and_then(produced));
    assert_eq!(cluster.state(orders).isr.len(), 2, "it has joined");
    assert_eq!(isr(&cluster).committed().as_slice(), [B1], "as the leader does not know");
    assert_eq!((answer, cluster.replica(B1, orders).high_watermark()), (None, Offset(1)));
    cluster.world.release(B1, B2);
    cluster.run(20);
    assert!(cluster.answer().is_some());
    assert_eq!(cluster.replica(B1, orders).high_watermark(), Offset(2));
}

/// > The end offset of the epoch.
///
/// `OffsetForLeaderEpochResponse.json`, `EndOffset`; KIP-101.
#[test]
pub fn an_epoch_ends_where_the_next_began() {
    let mut cluster = Cluster::of(2, &[]);
    let orders = cluster.orders(&[&[1, 2]], &[]);
    cluster.write(B1, orders, &["a", "b"]);
    cluster.run(600);
    assert_eq!(cluster.fail_over(B1, orders), B2);
    let end_of = |cluster: &mut Cluster, epoch: u32| {
        let (partition, leader_epoch) = (orders.into(), LeaderEpoch(epoch));
        let asked = PartitionEpochQuery { partition, current_leader_epoch: None, leader_epoch };
        let request = OffsetForLeaderEpochRequest { replica: None, partitions: vec![asked] };
        match cluster.ask(B2, Request::OffsetForLeaderEpoch(request)) {
            Some(Response::OffsetForLeaderEpoch(mut response)) => response.partitions.remove(0).result,
            other => panic!("another answer: {other:?}"),
        }
    };
    let end = |epoch, end| Ok(Some(EpochEnd { epoch: LeaderEpoch(epoch), end: Offset(end) }));
    assert_eq!(end_of(&mut cluster, 0), end(0, 2));
    assert_eq!(end_of(&mut cluster, 1), end(1, 2), "it has begun, though nothing was written");
    cluster.write(B2, orders, &["c", "d", "e"]);
    assert_eq!(end_of(&mut cluster, 0), end(0, 2));
    assert_eq!(end_of(&mut cluster, 1), end(1, 5));
    assert_eq!(end_of(&mut cluster, 2), Ok(None), "nobody has heard of it");
}
