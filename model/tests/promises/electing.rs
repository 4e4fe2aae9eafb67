//! Who leads, and since when is a broker gone? Elections, sessions, shutdowns, preferred and eligible leaders.

use std::time::Duration;

use trial_model::{
    client::Command,
    event::{Event, EventKind},
    protocol::{
        ApiKey, ErrorCode, Request, Response,
        broker_heartbeat::BrokerHeartbeatRequest,
        produce::Acks,
        topics::{ElectLeadersRequest, ElectionKind},
    },
    time::Instant,
    units::{BrokerEpoch, NodeId, Offset, TopicPartition},
};

use super::cluster::{self, B1, B2, B3, Cluster, batch};

const C1: NodeId = NodeId::controller(1);

/// Two replicas of which only the first has the last record, and then the second alone is alive.
fn only_the_second_is_left(unclean: &str) -> (Cluster, TopicPartition) {
    let mut cluster = Cluster::of(2, &[]);
    let orders = cluster.orders(&[&[1, 2]], &[("unclean.leader.election.enable", unclean)]);
    cluster.write(B1, orders, &["a"]);
    cluster.run(500);
    cluster.world.crash(B2);
    cluster.until_state(orders, |state| state.isr.len() == 1);
    cluster.run(200);
    cluster.write(B1, orders, &["b"]);
    cluster.world.crash(B1);
    cluster.world.start(B2);
    cluster.run(10_000);
    (cluster, orders)
}

/// > Indicates whether to enable replicas not in the ISR set to be elected as leader as a last resort, even
/// > though doing so may result in data loss.
///
/// `TopicConfig.java`, `unclean.leader.election.enable`.
#[test]
pub fn a_replica_that_is_not_in_sync_leads_only_if_it_may() {
    let (mut cluster, orders) = only_the_second_is_left("false");
    assert_eq!(cluster.state(orders).leader, None);
    cluster.world.start(B1);
    cluster.until_state(orders, |state| state.isr.len() == 2);
    cluster.run(500);
    assert_eq!(cluster.read(B1, orders), ["a", "b"]);
    let (mut cluster, orders) = only_the_second_is_left("true");
    assert_eq!(cluster.state(orders).leader, Some(B2));
    assert_eq!(cluster.read(B2, orders), ["a"], "the last record is lost");
}

/// > If the controller fails to receive a heartbeat before the timeout configured by broker.session.timeout.ms
/// > expires, then the node is considered offline.
///
/// `docs/design.html`, Replication.
#[test]
pub fn a_broker_without_heartbeats_is_offline_after_its_session() {
    let mut cluster = Cluster::of(2, &[("broker.session.timeout.ms", "3000")]);
    cluster.orders(&[&[1, 2]], &[]);
    cluster.run(2_000);
    cluster.world.hold(B2, C1, Some(ApiKey::BrokerHeartbeat));
    let heard = cluster.asked(B2, ApiKey::BrokerHeartbeat).last().expect("it beats").0;
    let fenced = |by: NodeId, event: &Event| {
        by == C1 && matches!(event, Event::BrokerFenced { broker, .. } if *broker == B2)
    };
    let (at, _) = cluster.until(heard, fenced);
    let after = at.since(heard);
    assert!(after >= Duration::from_millis(3_000) && after < Duration::from_millis(3_500), "{after:?}");
    cluster.world.release(B2, C1);
    let (_, by) = cluster.until(at, |_, event| event.kind() == EventKind::BrokerUnfenced);
    assert_eq!(by, C1);
}

/// > For example, if a follower dies, then the controller will notice the failure through the loss of its
/// > session, and will remove the broker from the ISR.
///
/// `docs/design.html`, Replication.
#[test]
pub fn a_dead_follower_leaves_the_isr_without_its_leader_asking() {
    let mut cluster = Cluster::of(2, &[("replica.lag.time.max.ms", "60000")]);
    let orders = cluster.orders(&[&[1, 2]], &[]);
    cluster.run(1_000);
    cluster.world.crash(B2);
    cluster.until_state(orders, |state| state.isr.as_slice() == [B1]);
    assert!(cluster.asked(B1, ApiKey::AlterPartition).is_empty());
}

/// Stops broker-1, which leads, in an orderly way; everything since.
fn stopped() -> (Cluster, TopicPartition) {
    let mut cluster = Cluster::of(2, &[]);
    let orders = cluster.orders(&[&[1, 2], &[1, 2], &[2, 1]], &[]);
    cluster.write(B1, orders, &["a", "b"]);
    cluster.run(500);
    cluster.tell(B1, Command::Shutdown);
    cluster.until(cluster.now(), |by, event| by == B1 && event.kind() == EventKind::Halted);
    (cluster, orders)
}

/// > It will migrate any partitions the server is the leader for to other replicas prior to shutting down.
///
/// `docs/ops.html`, Graceful shutdown.
#[test]
pub fn a_server_that_is_stopped_hands_its_partitions_over_first() {
    let (cluster, orders) = stopped();
    let at = |wanted: &dyn Fn(NodeId, &Event) -> bool| {
        let told = cluster.told(Instant::ZERO).collect::<Vec<_>>();
        told.into_iter().filter(|(_, by, event)| wanted(*by, event)).map(|(at, _, _)| *at).collect::<Vec<_>>()
    };
    let halted = at(&|by, event| by == B1 && event.kind() == EventKind::Halted);
    for nth in 0..3 {
        let partition = TopicPartition::new(orders.topic, nth);
        let led = at(&|by, event| {
            by == B2 && matches!(event, Event::LeaderStarted { partition: of, .. } if *of == partition)
        });
        assert!(led.last().is_some_and(|led| *led < halted[0]), "{nth}: {led:?}, {halted:?}");
    }
}

/// > It will sync all its logs to disk to avoid needing to do any log recovery when it restarts (i.e. validating
/// > the checksum for all messages in the tail of the log).
///
/// `docs/ops.html`, Graceful shutdown.
#[test]
pub fn a_server_that_was_stopped_does_not_recover_its_logs() {
    let recovered = |cluster: &mut Cluster, orders: TopicPartition| {
        let start = cluster.now();
        cluster.world.start(B1);
        cluster.run(3_000);
        let found = |event: &Event| match event {
            Event::Recovered { partition, end, clean, .. } if *partition == orders => Some((*end, *clean)),
            _ => None,
        };
        cluster.told(start).find_map(|(_, by, event)| found(event).filter(|_| *by == B1))
    };
    let (mut cluster, orders) = stopped();
    // All that is not on the platter goes with the power.
    cluster.world.lose_power(B1, None);
    assert_eq!(recovered(&mut cluster, orders), Some((Offset(2), true)));
    cluster.until_state(orders, |state| state.isr.len() == 2);
    cluster.world.crash(B1);
    assert_eq!(recovered(&mut cluster, orders), Some((Offset(2), false)));
}

/// > When the broker is restarted it will only be a follower for all its partitions, meaning it will not be used
/// > for client reads and writes.
///
/// `docs/ops.html`, Balancing leadership.
#[test]
pub fn a_broker_that_comes_back_follows() {
    let mut cluster = Cluster::of(2, &[]);
    let orders = cluster.orders(&[&[1, 2]], &[]);
    assert_eq!(cluster.fail_over(B1, orders), B2);
    cluster.world.start(B1);
    let state = cluster.until_state(orders, |state| state.isr.len() == 2);
    assert_eq!(state.leader, Some(B2));
    cluster.run(500);
    let answer = cluster.produce(B1, orders, Acks::All, batch(&["a"])).expect("it is answered");
    assert_eq!(answer.map(|produced| produced.base_offset), Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(cluster.fetch(B1, orders, 0).error, Some(ErrorCode::NotLeaderOrFollower));
}

/// > By default the Kafka cluster will try to restore leadership to the preferred replicas.
///
/// `docs/ops.html`, Balancing leadership.
#[test]
pub fn leadership_goes_back_to_the_preferred_replica() {
    for (setting, leader) in [("true", B1), ("false", B2)] {
        let settings =
            [("auto.leader.rebalance.enable", setting), ("leader.imbalance.check.interval.seconds", "2")];
        let mut cluster = Cluster::of(3, &settings);
        let orders = cluster.orders(&[&[1, 2, 3]], &[]);
        assert_eq!(cluster.fail_over(B1, orders), B2);
        cluster.world.start(B1);
        cluster.until_state(orders, |state| state.isr.len() == 3);
        cluster.run(5_000);
        assert_eq!(cluster.state(orders).leader, Some(leader), "{setting}");
    }
}

/// > The preferred leader was not available.
///
/// `Errors.java`, `PREFERRED_LEADER_NOT_AVAILABLE`.
#[test]
pub fn who_is_not_in_sync_is_not_elected_because_it_is_preferred() {
    let mut cluster = Cluster::of(2, &[]);
    let orders = cluster.orders(&[&[1, 2]], &[]);
    assert_eq!(cluster.fail_over(B1, orders), B2);
    let elect = |cluster: &mut Cluster| {
        let (kind, timeout) = (ElectionKind::Preferred, Duration::from_secs(5));
        let request = ElectLeadersRequest { kind, partitions: Some(vec![cluster::orders(0)]), timeout };
        match cluster.ask_for(1_000, B2, Request::ElectLeaders(request)) {
            Some(Response::ElectLeaders(mut response)) => response.partitions.remove(0).1.err(),
            other => panic!("another answer: {other:?}"),
        }
    };
    assert_eq!(elect(&mut cluster), Some(ErrorCode::PreferredLeaderNotAvailable), "it is dead");
    cluster.world.hold(B1, B2, Some(ApiKey::Fetch));
    cluster.world.start(B1);
    let since = cluster.now();
    cluster.until(since, |_, event| event.kind() == EventKind::BrokerUnfenced);
    assert_eq!(elect(&mut cluster), Some(ErrorCode::PreferredLeaderNotAvailable), "it is not in sync");
    assert_eq!(cluster.state(orders).leader, Some(B2));
    cluster.world.release(B1, B2);
    cluster.until_state(orders, |state| state.isr.len() == 2);
    assert_eq!(elect(&mut cluster), None);
    assert_eq!(cluster.state(orders).leader, Some(B1));
    assert_eq!(elect(&mut cluster), Some(ErrorCode::ElectionNotNeeded));
}

/// > If ELR is not empty, select one that is not fenced.
///
/// `https://kafka.apache.org/41/operations/eligible-leader-replicas`, Overview; KIP-966.
#[test]
pub fn an_eligible_replica_leads_when_nobody_is_in_sync() {
    let mut cluster = Cluster::of(3, &[]);
    let orders = cluster.orders(&[&[1, 2, 3]], &[("min.insync.replicas", "2")]);
    cluster.write(B1, orders, &["a"]);
    cluster.run(500);
    cluster.world.crash(B3);
    cluster.until_state(orders, |state| state.isr.as_slice() == [B1, B2] && state.elr.is_empty());
    cluster.write(B1, orders, &["b"]);
    // Broker-2 is not dead: it is only heard of no more, and comes back with everything it had.
    for (from, to) in [(B2, C1), (C1, B2)] {
        cluster.world.hold(from, to, None);
    }
    cluster.until_state(orders, |state| state.isr.as_slice() == [B1] && state.elr.as_slice() == [B2]);
    cluster.world.crash(B1);
    let state = cluster.until_state(orders, |state| state.leader.is_none());
    assert!(state.isr.is_empty(), "{state:?}");
    cluster.world.start(B3);
    cluster.run(3_000);
    assert_eq!(cluster.state(orders).leader, None, "broker-3 is alive, and not eligible");
    for (from, to) in [(B2, C1), (C1, B2)] {
        cluster.world.release(from, to);
    }
    cluster.until_state(orders, |state| state.leader == Some(B2) && state.isr.len() == 2);
    cluster.run(500);
    assert_eq!(cluster.read(B2, orders), ["a", "b"]);
}

/// > Broker epoch has changed.
///
/// `Errors.java`, `STALE_BROKER_EPOCH`.
#[test]
pub fn a_former_life_of_a_broker_is_not_listened_to() {
    let mut cluster = Cluster::of(2, &[]);
    let beat = |cluster: &mut Cluster, broker_epoch: BrokerEpoch| {
        let (metadata_end, want_fence, want_shutdown) = (Offset(0), true, false);
        let request =
            BrokerHeartbeatRequest { broker: B2, broker_epoch, metadata_end, want_fence, want_shutdown };
        match cluster.ask_for(200, C1, Request::BrokerHeartbeat(request)) {
            Some(Response::BrokerHeartbeat(response)) => response.result.err(),
            other => panic!("another answer: {other:?}"),
        }
    };
    let epoch_of = |cluster: &Cluster| {
        let epoch = |event: &Event| match event {
            Event::BrokerRegistered { broker: B2, epoch, .. } => Some(*epoch),
            _ => None,
        };
        cluster.told(Instant::ZERO).filter_map(|(_, _, event)| epoch(event)).last().expect("it is registered")
    };
    let former = epoch_of(&cluster);
    cluster.world.crash(B2);
    let start = cluster.now();
    cluster.world.start(B2);
    cluster.until(start, |_, event| event.kind() == EventKind::BrokerUnfenced);
    let current = epoch_of(&cluster);
    assert_ne!(former, current);
    let start = cluster.now();
    let fenced = |cluster: &Cluster| cluster.told(start).any(|(_, _, e)| e.kind() == EventKind::BrokerFenced);
    assert_eq!(beat(&mut cluster, former), Some(ErrorCode::StaleBrokerEpoch));
    assert!(!fenced(&cluster));
    assert_eq!(beat(&mut cluster, current), None);
    assert!(fenced(&cluster), "it asked for it");
}
