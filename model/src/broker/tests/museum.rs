//! Do the museum's bugs break what they are said to break, and only when they are let out?
//!
//! The hand speaks for a broker that is dead, and says what that broker would say at the worst moment.

use core::time::Duration;

use super::{
    B1, B2, B3, base,
    cluster::{Cluster, records},
    config,
};
use crate::{
    client::Command,
    event::Event,
    museum::{Bug, Museum},
    protocol::{
        ErrorCode, Request, Response,
        fetch::{FetchRequest, PartitionFetch, PartitionFetched, ReplicaState},
        produce::Acks,
    },
    units::{LeaderEpoch, Offset, TopicPartition},
};

/// Broker 1 leads in epoch 0 with 4 records, all of them committed; broker 3 is dead and out of the ISR.
fn without_broker_3(museum: Museum) -> (Cluster, TopicPartition) {
    let mut cluster = Cluster::new(1, 3, &config(), museum);
    cluster.settle();
    let topic = cluster.create("orders", &[&[1, 2, 3]], &[]);
    let partition = TopicPartition::new(topic, 0);
    assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(4, None))), Ok(0));
    cluster.kill(B3);
    let without = |event: &Event| matches!(event, Event::IsrAdopted { isr, .. } if isr.len() == 2);
    cluster.wait(|cluster| cluster.has(B1, without));
    (cluster, partition)
}

/// Fetches as broker 3 would.
fn fetch_as_3(
    cluster: &mut Cluster,
    partition: TopicPartition,
    epoch: u32,
    offset: u64,
    last: u32,
) -> PartitionFetched {
    let asked = PartitionFetch {
        partition: partition.into(),
        current_leader_epoch: Some(LeaderEpoch(epoch)),
        fetch_offset: Offset(offset),
        last_fetched_epoch: Some(LeaderEpoch(last)),
        log_start: Some(Offset::ZERO),
        max_bytes: 1 << 20,
    };
    let request = FetchRequest {
        replica: Some(ReplicaState { replica: B3, broker_epoch: None }),
        max_wait: Duration::ZERO,
        min_bytes: 0,
        max_bytes: 1 << 20,
        partitions: alloc::vec![asked],
        incremental: false,
        forgotten: alloc::vec::Vec::new(),
    };
    match cluster.ask(B1, Request::Fetch(request)) {
        Response::Fetch(mut response) => response.partitions.remove(0),
        other => panic!("another answer: {other:?}"),
    }
}

fn proposes_three(cluster: &mut Cluster) -> bool {
    cluster.run(200);
    cluster.has(B1, |event| matches!(event, Event::IsrProposed { to, .. } if to.len() == 3))
}

#[test]
fn fetch_epoch_not_fenced() {
    for (museum, fenced) in [(Museum::CLOSED, true), (Museum::CLOSED.with(Bug::FetchEpochNotFenced), false)] {
        let (mut cluster, partition) = without_broker_3(museum);
        let answer = fetch_as_3(&mut cluster, partition, 7, 0, 0);
        assert_eq!(answer.error == Some(ErrorCode::UnknownLeaderEpoch), fenced, "{answer:?}");
        assert_eq!(answer.batches.is_empty(), fenced);
    }
}

#[test]
fn diverging_fetch_moves_follower_position() {
    let bug = Museum::CLOSED.with(Bug::DivergingFetchMovesFollowerPosition);
    for (museum, moved) in [(Museum::CLOSED, false), (bug, true)] {
        let (mut cluster, partition) = without_broker_3(museum);
        // Broker 3 would be alive by the controller's word, with more records than anybody, of its own.
        let before = cluster.count(B1, |event| matches!(event, Event::DivergenceFound { .. }));
        let answer = fetch_as_3(&mut cluster, partition, 0, 9, 0);
        assert!(answer.diverging_epoch.is_some_and(|parted| parted.end == Offset(4)));
        assert_eq!(cluster.count(B1, |event| matches!(event, Event::DivergenceFound { .. })), before + 1);
        assert_eq!(cluster.follower_end(B1, partition, B3) == Some(Offset(9)), moved);
    }
}

#[test]
fn fenced_broker_joins_isr() {
    for (museum, joins) in [(Museum::CLOSED, false), (Museum::CLOSED.with(Bug::FencedBrokerJoinsIsr), true)] {
        let (mut cluster, partition) = without_broker_3(museum);
        let fenced = |event: &Event| matches!(event, Event::BrokerFenced { broker, .. } if *broker == B3);
        cluster.wait(|cluster| cluster.has(crate::units::NodeId::controller(1), fenced));
        cluster.events.clear();
        let answer = fetch_as_3(&mut cluster, partition, 0, 4, 0);
        assert_eq!(proposes_three(&mut cluster), joins, "{answer:?} {}", cluster.told(B1));
    }
}

#[test]
fn epoch_lookup_single_round() {
    let bug = Museum::CLOSED.with(Bug::EpochLookupSingleRound);
    for (museum, tells_epoch) in [(Museum::CLOSED, true), (bug, false)] {
        let (mut cluster, partition) = without_broker_3(museum);
        cluster.kill(B1);
        cluster.wait(|cluster| cluster.leader(partition).is_some_and(|(leader, _)| leader == B2));
        assert_eq!(base(&cluster.produced(B2, partition, Acks::Leader, records(1, None))), Ok(4));
        cluster.start(B1);
        cluster.settle_one(B1);
        cluster.run(500);
        assert_eq!(cluster.tells_last_epoch(B1, partition), Some(tells_epoch));
    }
}

#[test]
fn hw_counts_positions_from_old_epoch() {
    let bug = Museum::CLOSED.with(Bug::HwCountsPositionsFromOldEpoch);
    for (museum, remembered) in [(Museum::CLOSED, false), (bug, true)] {
        let mut cluster = Cluster::new(1, 3, &config(), museum);
        cluster.settle();
        let topic = cluster.create("orders", &[&[1, 2, 3]], &[]);
        let partition = TopicPartition::new(topic, 0);
        assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(4, None))), Ok(0));
        cluster.run(600);
        // Cut from the controller alone it is fenced, and follows. It leads again when the others are dead,
        // so that nobody has fetched from it since.
        cluster.cut(B1, crate::units::NodeId::controller(1));
        cluster.wait(|cluster| cluster.leader(partition).is_some_and(|(leader, _)| leader == B2));
        let (_, epoch) = cluster.leader(partition).expect("just waited for");
        cluster.events.clear();
        cluster.heal();
        let full = |event: &Event| matches!(event, Event::IsrAdopted { isr, .. } if isr.len() == 3);
        cluster.wait(|cluster| cluster.has(B2, full));
        cluster.kill(B3);
        cluster.kill(B2);
        cluster.wait(|cluster| {
            cluster.leader(partition).is_some_and(|(leader, now)| leader == B1 && now > epoch)
        });
        assert_eq!(cluster.follower_end(B1, partition, B3).is_some(), remembered);
    }
}

#[test]
fn clean_marker_survives_crash_in_load() {
    let bug = Museum::CLOSED.with(Bug::CleanMarkerSurvivesCrashInLoad);
    for (museum, clean) in [(Museum::CLOSED, false), (bug, true)] {
        let mut cluster = Cluster::new(1, 3, &config(), museum);
        cluster.settle();
        let topic = cluster.create("orders", &[&[1, 2, 3]], &[]);
        let partition = TopicPartition::new(topic, 0);
        assert_eq!(base(&cluster.produced(B1, partition, Acks::All, records(4, None))), Ok(0));
        cluster.tell(B3, Command::Shutdown);
        cluster.wait(|cluster| cluster.halted(B3).is_some());
        cluster.start(B3);
        cluster.wait(|cluster| {
            cluster.has(B3, |event| matches!(event, Event::Recovered { clean: true, end: Offset(4), .. }))
        });
        // Before anything else makes the root directory durable.
        cluster.lose_power(B3);
        cluster.events.clear();
        cluster.start(B3);
        cluster.wait(|cluster| {
            cluster.has(B3, |event| matches!(event, Event::Recovered { end: Offset(4), .. }))
        });
        let taken_for_clean = cluster.has(
            B3,
            |event| matches!(event, Event::Recovered { clean: true, partition: of, .. } if *of == partition),
        );
        assert_eq!(taken_for_clean, clean, "{}", cluster.told(B3));
    }
}
