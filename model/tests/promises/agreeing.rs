//! How do controllers agree? Elections of the quorum, what a leader needs, snapshots.

use std::time::Duration;

use trial_model::{
    event::{Event, EventKind, QuorumRole},
    node::Node,
    protocol::{ApiKey, Request, Response, fetch::EpochEnd, quorum::VoteRequest},
    time::Instant,
    units::{LeaderEpoch, NodeId, Offset},
};

use super::cluster::Cluster;

/// The active controller, and the others.
fn quorum(cluster: &Cluster) -> (NodeId, Vec<NodeId>) {
    let active = cluster.world.active().expect("a controller is active");
    let controllers = cluster.world.living().filter(|(_, node)| matches!(node, Node::Controller(_)));
    (active, controllers.map(|(id, _)| id).filter(|id| *id != active).collect())
}

fn epoch(cluster: &Cluster, controller: NodeId) -> LeaderEpoch {
    match cluster.world.node(controller) {
        Some(Node::Controller(controller)) => controller.quorum().epoch(),
        _ => panic!("{controller} is no controller"),
    }
}

/// When each node took a part in the quorum.
fn roles(cluster: &Cluster, since: Instant) -> Vec<(Instant, NodeId, QuorumRole)> {
    let role = |event: &Event| match event {
        Event::QuorumRoleChanged { role, .. } => Some(*role),
        _ => None,
    };
    cluster.told(since).filter_map(|(at, by, event)| Some((*at, *by, role(event)?))).collect()
}

/// > Maximum time without a successful fetch from the current leader before becoming a candidate and triggering
/// > an election for voters;
///
/// `QuorumConfig.java`, `controller.quorum.fetch.timeout.ms`.
#[test]
pub fn a_voter_without_its_leader_calls_an_election() {
    let mut cluster = Cluster::with(3, 0, &[("controller.quorum.fetch.timeout.ms", "3000")]);
    let (active, _) = quorum(&cluster);
    cluster.run(2_000);
    let start = cluster.now();
    cluster.world.crash(active);
    // The last answer to a fetch was half a second ago at most.
    cluster.run(2_400);
    assert_eq!(roles(&cluster, start), []);
    let stands =
        |event: &Event| matches!(event, Event::QuorumRoleChanged { role: QuorumRole::Candidate, .. });
    let (at, _) = cluster.until(start, |_, event| stands(event));
    // It first asks the other how it would vote, which has heard of the leader for as long as it has.
    assert!(at.since(start) < Duration::from_millis(3_600), "{:?}", at.since(start));
    cluster.until(start, |_, event| event.kind() == EventKind::ControllerActivated);
}

/// > Maximum time a leader can go without receiving valid fetch or fetchSnapshot request from a majority of the
/// > quorum before resigning.
///
/// `QuorumConfig.java`, `controller.quorum.fetch.timeout.ms`; KIP-595.
#[test]
pub fn a_leader_without_a_majority_resigns() {
    let mut cluster = Cluster::with(3, 0, &[("controller.quorum.fetch.timeout.ms", "4000")]);
    let (active, others) = quorum(&cluster);
    let cut = |cluster: &mut Cluster, other: NodeId| cluster.world.hold(other, active, None);
    cut(&mut cluster, others[0]);
    cluster.run(20_000);
    assert_eq!(cluster.world.active(), Some(active), "one other is enough");
    let start = cluster.now();
    cut(&mut cluster, others[1]);
    let (at, by) = cluster.until(start, |_, event| event.kind() == EventKind::QuorumResigned);
    assert_eq!(by, active);
    // Half as long again: the others are given time to have noticed first.
    let after = at.since(start);
    assert!(after > Duration::from_millis(3_000) && after < Duration::from_millis(6_600), "{after:?}");
}

/// > 3. If majority votes granted, it will transition to candidate state.
/// > 4. If majority votes rejected or election times out, it will transition to unattached or follower state
/// > depending on if it knows the leader id and endpoints or not
///
/// `ProspectiveState.java`, as of commit 0bce33466c39; KIP-996.
#[test]
pub fn a_voter_stands_only_if_a_majority_would_vote_for_it() {
    let mut cluster = Cluster::with(3, 0, &[]);
    let (active, others) = quorum(&cluster);
    let (alone, start, before) = (others[0], cluster.now(), epoch(&cluster, others[0]));
    for other in [active, others[1]] {
        cluster.world.cut(alone, other);
        cluster.world.cut(other, alone);
    }
    cluster.run(30_000);
    let taken: Vec<QuorumRole> = roles(&cluster, start)
        .into_iter()
        .filter(|(_, by, _)| *by == alone)
        .map(|(_, _, role)| role)
        .collect();
    assert!(taken.contains(&QuorumRole::Prospective) && !taken.contains(&QuorumRole::Candidate), "{taken:?}");
    assert_eq!(epoch(&cluster, alone), before);
    // It has nothing to say that would depose anyone when it comes back.
    cluster.world.heal();
    cluster.run(5_000);
    assert_eq!((cluster.world.active(), epoch(&cluster, active)), (Some(active), before));
    let start = cluster.now();
    cluster.world.crash(active);
    let (at, by) = cluster.until(start, |_, event| {
        matches!(event, Event::QuorumRoleChanged { role: QuorumRole::Candidate, .. })
    });
    let asked_before = roles(&cluster, start)
        .into_iter()
        .any(|(then, of, role)| then <= at && of == by && role == QuorumRole::Prospective);
    assert!(asked_before);
}

/// > This request includes the last offset in the log which electors use to tell whether or not to grant the
/// > vote.
///
/// `KafkaRaftClient.java`, of `VoteRequestData`.
#[test]
pub fn a_vote_goes_to_nobody_whose_log_is_shorter() {
    for (less, granted) in [(1, false), (0, true)] {
        let mut cluster = Cluster::with(3, 0, &[]);
        let (active, others) = quorum(&cluster);
        cluster.run(2_000);
        let voter = others[0];
        let Some(Node::Controller(controller)) = cluster.world.node(voter) else { panic!("no controller") };
        let end = controller.quorum().log_end();
        cluster.world.crash(active);
        let next = epoch(&cluster, voter).next().next();
        let request = VoteRequest {
            epoch: next,
            candidate: others[1],
            last: EpochEnd { epoch: epoch(&cluster, voter), end: Offset(end.0 - less) },
            pre_vote: false,
        };
        match cluster.ask_for(100, voter, Request::Vote(request)) {
            Some(Response::Vote(response)) => assert_eq!(response.granted, granted),
            other => panic!("another answer: {other:?}"),
        }
    }
}

/// > This causes remaining voters to immediately begin a new election.
///
/// `KafkaRaftClient.java`, of `EndQuorumEpochRequestData`.
#[test]
pub fn a_leader_that_leaves_is_replaced_at_once() {
    let mut cluster = Cluster::with(3, 0, &[("controller.quorum.fetch.timeout.ms", "10000")]);
    let (active, _) = quorum(&cluster);
    let start = cluster.now();
    cluster.tell(active, trial_model::client::Command::Shutdown);
    let (at, by) =
        cluster.until(start, |by, event| by != active && event.kind() == EventKind::ControllerActivated);
    assert_ne!(by, active);
    assert!(at.since(start) < Duration::from_millis(1_500), "{:?}", at.since(start));
}

/// > The Kafka node will generate a snapshot when either the maximum time interval is reached or the maximum bytes
/// > limit is reached.
///
/// `KRaftConfigs.java`, `metadata.log.max.record.bytes.between.snapshots` and
/// `metadata.log.max.snapshot.interval.ms`.
#[test]
pub fn a_metadata_snapshot_is_taken_after_so_many_bytes_or_so_long() {
    let bytes = "metadata.log.max.record.bytes.between.snapshots";
    let interval = "metadata.log.max.snapshot.interval.ms";
    let taken = |settings: &[(&str, &str)]| {
        let mut cluster = Cluster::with(1, 1, settings);
        cluster.orders(&[&[1]], &[]);
        cluster.run(20_000);
        [NodeId::controller(1), NodeId::broker(1)].map(|node| {
            let of_node = |(_, by, event): &&(Instant, NodeId, Event)| {
                *by == node && event.kind() == EventKind::SnapshotWritten
            };
            cluster.told(Instant::ZERO).filter(of_node).count()
        })
    };
    assert_eq!(taken(&[]), [0, 0]);
    assert!(taken(&[(bytes, "50"), (interval, "0")]).iter().all(|count| *count >= 1));
    let by_time = taken(&[(interval, "5000")]);
    assert!(by_time.iter().all(|count| (3..=5).contains(count)), "{by_time:?}");
}

/// > This happens when a FetchResponse includes a snapshot ID due to the follower's log end offset being less
/// > than the leader's log start offset.
///
/// `KafkaRaftClient.java`, of `FetchSnapshotRequestData`; KIP-630.
#[test]
pub fn who_is_behind_the_start_of_the_log_is_given_a_snapshot() {
    let settings = [
        ("metadata.log.max.record.bytes.between.snapshots", "50"),
        ("metadata.log.segment.bytes", "300"),
        ("metadata.max.retention.bytes", "0"),
    ];
    let mut cluster = Cluster::with(3, 1, &settings);
    let (active, others) = quorum(&cluster);
    let late = others[0];
    cluster.world.lose_power(late, None);
    cluster.orders(&[&[1]], &[]);
    cluster.run(30_000);
    let start = cluster.now();
    cluster.world.start(late);
    cluster.run(5_000);
    let Some(Node::Controller(leader)) = cluster.world.node(active) else { panic!("no controller") };
    assert!(leader.quorum().log().start() > Offset(0));
    assert!(!cluster.asked(late, ApiKey::FetchSnapshot).is_empty());
    assert!(
        cluster.told(start).any(|(_, by, event)| *by == late && event.kind() == EventKind::SnapshotLoaded)
    );
    let Some(Node::Controller(follower)) = cluster.world.node(late) else { panic!("no controller") };
    let topics = |controller: &trial_model::controller::Controller| controller.image().0.topics().count();
    assert_eq!((topics(follower), topics(leader)), (1, 1));
}

/// > This configuration controls how often the active controller should write no-op records to the metadata
/// > partition. If the value is 0, no-op records are not appended to the metadata partition.
///
/// `KRaftConfigs.java`, `metadata.max.idle.interval.ms`.
#[test]
pub fn an_idle_controller_writes_every_so_often() {
    for (interval, written) in [("500", 18..=20), ("2000", 4..=5), ("0", 0..=0)] {
        let mut cluster = Cluster::with(1, 0, &[("metadata.max.idle.interval.ms", interval)]);
        cluster.run(1_000);
        let end = |cluster: &Cluster| match cluster.world.node(NodeId::controller(1)) {
            Some(Node::Controller(controller)) => controller.quorum().log_end().0,
            _ => panic!("it lives"),
        };
        let before = end(&cluster);
        cluster.run(10_000);
        let count = end(&cluster) - before;
        assert!(written.contains(&count), "every {interval} ms: {count} in ten seconds");
    }
}

/// > A majority of the controllers must be alive in order to maintain availability.
///
/// `docs/ops.html`, Controllers.
#[test]
pub fn a_majority_of_the_controllers_is_enough_and_needed() {
    for (controllers, may_fail) in [(3, 1), (5, 2)] {
        let mut cluster = Cluster::with(controllers, 1, &[]);
        for nth in 1..=may_fail {
            cluster.world.crash(NodeId::controller(nth));
        }
        cluster.run(10_000);
        assert!(cluster.world.active().is_some(), "{may_fail} of {controllers} are dead");
        cluster.orders(&[&[1]], &[]);
        cluster.world.crash(NodeId::controller(may_fail + 1));
        cluster.run(10_000);
        assert_eq!(cluster.world.active(), None, "{} of {controllers} are dead", may_fail + 1);
    }
}
