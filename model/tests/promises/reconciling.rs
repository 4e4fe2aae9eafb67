//! Who of a KIP-848 group reads what? What the coordinator assigns, and how members come to it.

use std::time::Duration;

use trial_model::{
    client::{Command, Commits},
    event::{CommitReason, Event, EventKind, MembershipEnd},
    protocol::{
        Request, Response, consumer_group::ConsumerGroupDescribeRequest, group_admin::ListGroupsRequest,
        topics::CreatePartitionsRequest,
    },
    time::Instant,
    units::{NodeId, TopicPartition},
};

use super::{
    cluster::{B1, Cluster},
    grouping::{BRISK, all_worked_through, calm, given, owned, slow, stormy, together},
};

const MODERN: (&str, &str) = ("group.protocol", "consumer");

/// Of whom a broker hears every second, and whom it gives up after six.
fn brokers(count: u32) -> Cluster {
    let mut settings = BRISK.to_vec();
    settings.push(("group.consumer.heartbeat.interval.ms", "1000"));
    settings.push(("group.consumer.session.timeout.ms", "6000"));
    if count > 1 {
        settings.push(("default.replication.factor", "3"));
        settings.retain(|(key, _)| *key != "offsets.topic.replication.factor");
    }
    Cluster::of(count, &settings)
}

/// One broker, and `orders` with four partitions.
fn four() -> (Cluster, TopicPartition) {
    let mut cluster = brokers(1);
    let first = cluster.orders(&[&[1], &[1], &[1], &[1]], &[]);
    (cluster, first)
}

/// How often a member's application was told what it owns, since a moment.
fn told(cluster: &Cluster, member: NodeId, since: Instant) -> usize {
    let of = |(_, node, event): &&(Instant, NodeId, Event)| {
        *node == member && event.kind() == EventKind::PartitionsOwned
    };
    cluster.told(since).filter(of).count()
}

/// > It also decreases rebalance times, thanks to its fully incremental design, which no longer relies on a global
/// > synchronization barrier.
///
/// `consumer-rebalance-protocol.md`, overview (Kafka 4.3).
#[test]
pub fn whoever_keeps_what_it_has_notices_nothing() {
    let (mut cluster, first) = four();
    let [one, two] = [cluster.member(&[MODERN], calm()), cluster.member(&[MODERN], calm())];
    cluster.run(10_000);
    assert_eq!([one, two].map(|it| owned(&cluster)[&it].len()), [2, 2]);
    assert_eq!(together(&cluster, &[one, two]), [0, 1, 2, 3]);
    let start = cluster.now();
    let [three, four] = [cluster.member(&[MODERN], calm()), cluster.member(&[MODERN], calm())];
    cluster.run(10_000);
    assert_eq!(together(&cluster, &[one, two, three, four]), [0, 1, 2, 3]);
    // Each gave one up, once, and was asked for nothing else.
    assert_eq!([one, two].map(|it| told(&cluster, it, start)), [1, 1]);
    let fifth = cluster.member(&[MODERN], calm());
    let start = cluster.now();
    cluster.run(10_000);
    assert_eq!([one, two, three, four].map(|it| told(&cluster, it, start)), [0; 4]);
    assert_eq!(owned(&cluster)[&fifth].len(), 0);
    cluster.write(B1, first, &["a"]);
    cluster.run(2_000);
    assert_eq!(given(&cluster, &[one, two, three, four], Instant::ZERO), ["a"]);
}

/// > uniform is the default one (first assignor in the list of group.consumer.assignors) unless the Consumer selects a
/// > different one (via the client config group.remote.assignor)
///
/// `consumer-rebalance-protocol.md`, server (Kafka 4.3).
#[test]
pub fn a_consumer_may_select_another_assignor() {
    for (assignor, described) in [("", "uniform"), ("uniform", "uniform"), ("range", "range")] {
        let (mut cluster, _) = four();
        let settings = [MODERN, ("group.remote.assignor", assignor)];
        let members = [cluster.member(&settings, calm()), cluster.member(&settings, calm())];
        cluster.run(10_000);
        assert_eq!(together(&cluster, &members), [0, 1, 2, 3]);
        let request = ConsumerGroupDescribeRequest { groups: vec!["billing".into()] };
        match cluster.ask_for(1_000, B1, Request::ConsumerGroupDescribe(request)) {
            Some(Response::ConsumerGroupDescribe(response)) => {
                let group = &response.groups[0];
                assert_eq!((group.error, group.state, &*group.assignor), (None, "Stable", described));
                assert_eq!(group.members.len(), 2);
            }
            other => panic!("no ConsumerGroupDescribe: {other:?}"),
        }
    }
    let (mut cluster, _) = four();
    let odd = cluster.member(&[MODERN, ("group.remote.assignor", "sticky")], calm());
    cluster.run(5_000);
    let refused = cluster.told(Instant::ZERO).any(|(_, node, event)| {
        *node == odd && matches!(event, Event::MembershipLost { why: MembershipEnd::Refused, .. })
    });
    assert!(refused, "no broker knows it");
}

/// > The member must commit its offsets before leaving.
///
/// `KIP-848`, rebalance process.
#[test]
pub fn what_is_given_up_was_committed_before() {
    let (mut cluster, first) = four();
    let settings = [MODERN, ("auto.commit.interval.ms", "3600000")];
    let one = cluster.member(&settings, calm());
    cluster.run(5_000);
    for partition in 0..4 {
        cluster.write(B1, TopicPartition::new(first.topic, partition), &["a"]);
    }
    cluster.run(1_000);
    let start = cluster.now();
    let two = cluster.member(&settings, calm());
    cluster.run(5_000);
    let before_giving_up = cluster.told(start).any(|(_, node, event)| {
        *node == one && matches!(event, Event::CommitSent { why: CommitReason::Revoked, .. })
    });
    assert!(before_giving_up);
    cluster.tell(one, Command::Shutdown);
    cluster.run(5_000);
    assert_eq!(together(&cluster, &[two]), [0, 1, 2, 3], "it is told so, and does not time out");
    assert_eq!(given(&cluster, &[two], start), Vec::<String>::new(), "nothing is read again");
}

/// > In this case, the member is expected to immediately gives up all its partitions and rejoin the group with the
/// > same member ID and a member epoch equals to zero.
///
/// `KIP-848`, rebalance process.
#[test]
pub fn who_is_fenced_gives_everything_up_and_joins_again_under_the_same_id() {
    let (mut cluster, first) = four();
    let [one, two] = [cluster.member(&[MODERN], calm()), cluster.member(&[MODERN], calm())];
    cluster.run(10_000);
    let start = cluster.now();
    cluster.world.cut(one, B1);
    cluster.world.cut(B1, one);
    cluster.run(15_000);
    assert_eq!(together(&cluster, &[two]), [0, 1, 2, 3]);
    cluster.world.heal();
    cluster.run(60_000);
    let of_one = |(_, node, event): &(Instant, NodeId, Event)| match event {
        Event::PartitionsOwned { member, lost, .. } if *node == one => Some((member.clone(), *lost)),
        _ => None,
    };
    let owned: Vec<_> = cluster.told(Instant::ZERO).filter_map(of_one).collect();
    assert!(owned.iter().any(|(_, lost)| *lost));
    assert!(owned.iter().all(|(member, _)| *member == owned[0].0), "{owned:?}");
    assert_eq!(together(&cluster, &[one, two]), [0, 1, 2, 3]);
    cluster.write(B1, first, &["a"]);
    cluster.run(2_000);
    assert_eq!(given(&cluster, &[one, two], start), ["a"]);
}

/// > If the leaving member does not rejoin within the session timeout, the group coordinator kicks it out from the
/// > group.
///
/// `KIP-848`, static membership.
#[test]
pub fn a_static_member_that_left_is_awaited_for_its_session() {
    let (mut cluster, _) = four();
    let of = |instance| [MODERN, ("group.instance.id", instance)];
    let [one, two] = [cluster.member(&of("one"), calm()), cluster.member(&of("two"), calm())];
    cluster.run(10_000);
    let before = owned(&cluster);
    let start = cluster.now();
    cluster.tell(two, Command::Shutdown);
    cluster.run(3_000);
    let again = cluster.member(&of("two"), calm());
    cluster.run(5_000);
    assert_eq!(owned(&cluster)[&again], before[&two]);
    assert_eq!(told(&cluster, one, start), 0, "nobody else notices");
    // While it is there nobody else is it.
    let usurper = cluster.member(&of("two"), calm());
    cluster.run(2_000);
    let refused = cluster.told(start).any(|(_, node, event)| {
        *node == usurper && matches!(event, Event::MembershipLost { why: MembershipEnd::InstanceFenced, .. })
    });
    assert!(refused);
    cluster.tell(again, Command::Shutdown);
    cluster.run(4_000);
    assert_eq!(owned(&cluster)[&one].len(), 2);
    cluster.run(5_000);
    assert_eq!(together(&cluster, &[one]), [0, 1, 2, 3]);
}

/// > Basically if you don't call poll at least as frequently as the configured max interval, then the client will
/// > proactively leave the group so that another consumer can take over its partitions.
///
/// `KafkaConsumer.java`, detecting consumer failures.
#[test]
pub fn who_does_not_poll_leaves_and_is_back_when_it_does() {
    let (mut cluster, first) = four();
    let settings = [MODERN, ("max.poll.interval.ms", "8000"), ("enable.auto.commit", "false")];
    let one = cluster.member(&settings, slow(12_000, Commits::After));
    let two = cluster.member(&[MODERN, ("auto.commit.interval.ms", "500")], calm());
    cluster.run(10_000);
    let mine = owned(&cluster)[&one].clone();
    cluster.write(B1, TopicPartition::new(first.topic, mine[0]), &["a"]);
    let start = cluster.now();
    cluster.run(11_000);
    assert!(cluster.told(start).any(|(_, node, event)| {
        *node == one && matches!(event, Event::MembershipLost { why: MembershipEnd::PollTooLate, .. })
    }));
    assert_eq!(together(&cluster, &[two]), [0, 1, 2, 3]);
    cluster.run(15_000);
    assert_eq!(together(&cluster, &[one, two]), [0, 1, 2, 3], "it is back");
    assert_eq!(given(&cluster, &[two], start), ["a"], "what was not committed is read again");
}

/// > The group will automatically detect the new partitions through periodic metadata refreshes and assign them to
/// > members of the group.
///
/// `KafkaConsumer.java`, consumer groups and topic subscriptions.
#[test]
pub fn new_partitions_are_assigned_by_the_coordinator() {
    let (mut cluster, _) = four();
    let members = [cluster.member(&[MODERN], calm()), cluster.member(&[MODERN], calm())];
    cluster.run(10_000);
    let request =
        CreatePartitionsRequest { topics: vec![("orders".into(), 6)], timeout: Duration::from_secs(5) };
    cluster.ask_for(1_000, B1, Request::CreatePartitions(request)).expect("it is answered");
    // No member has to hear of it first: these look at metadata every five minutes.
    cluster.run(5_000);
    assert_eq!(together(&cluster, &members), [0, 1, 2, 3, 4, 5]);
}

/// > In case the coordinator moves, the consumer will need to rediscover the coordinator.
///
/// `implementation.html`, consumer offset tracking.
#[test]
pub fn a_kip_848_group_outlives_its_coordinator() {
    let mut cluster = brokers(3);
    let first = cluster.orders(&[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]], &[]);
    let members = [cluster.member(&[MODERN], calm()), cluster.member(&[MODERN], calm())];
    cluster.run(20_000);
    let start = cluster.now();
    let loaded = |it: &&(Instant, NodeId, Event)| it.2.kind() == EventKind::CoordinatorLoaded;
    let coordinator = cluster.told(Instant::ZERO).filter(loaded).last().map(|(_, node, _)| *node);
    cluster.world.crash(coordinator.expect("somebody looks after the group"));
    cluster.run(60_000);
    assert_eq!(members.map(|it| told(&cluster, it, start)), [0, 0], "its members go on as they were");
    assert_eq!(together(&cluster, &members), [0, 1, 2]);
    let leader = cluster.state(first).leader.expect("somebody leads");
    cluster.write(leader, first, &["a"]);
    cluster.run(3_000);
    assert_eq!(given(&cluster, &members, start), ["a"]);
}

/// > Used in this way Kafka provides what is often called "at-least-once" delivery guarantees, as each record will
/// > likely be delivered one time but in failure cases could be duplicated.
///
/// `KafkaConsumer.java`, manual offset control.
#[test]
pub fn every_record_of_a_kip_848_group_is_worked_through_whatever_happens() {
    for seed in 0..12 {
        all_worked_through(seed, stormy(seed, four(), &[MODERN]));
    }
}

/// > When the first consumer using the new Consumer rebalance protocol joins the group, the group is converted from
/// > Classic to Consumer, and the Classic rebalance protocol is interoperated to work with the new Consumer rebalance
/// > protocol.
///
/// `consumer-rebalance-protocol.md`, online upgrade (Kafka 4.3).
#[test]
pub fn a_group_is_upgraded_and_downgraded_member_by_member() {
    let kind = |cluster: &mut Cluster| {
        let request = ListGroupsRequest { states: Vec::new(), types: Vec::new() };
        match cluster.ask_for(1_000, B1, Request::ListGroups(request)) {
            Some(Response::ListGroups(response)) => (response.groups[0].kind, response.groups[0].state),
            other => panic!("no ListGroups: {other:?}"),
        }
    };
    for strategy in ["range", "cooperative-sticky", "roundrobin"] {
        let classic = [("partition.assignment.strategy", strategy)];
        let (mut cluster, first) = four();
        let old = [cluster.member(&classic, calm()), cluster.member(&classic, calm())];
        cluster.run(20_000);
        assert_eq!(kind(&mut cluster), ("classic", "Stable"));
        let start = cluster.now();
        let new = [cluster.member(&[MODERN], calm()), cluster.member(&[MODERN], calm())];
        cluster.run(10_000);
        assert_eq!(kind(&mut cluster), ("consumer", "Stable"));
        let mixed = [old[0], old[1], new[0], new[1]];
        assert_eq!(together(&cluster, &mixed), [0, 1, 2, 3]);
        assert_eq!(mixed.map(|it| owned(&cluster)[&it].len()), [1; 4]);
        for partition in 0..4 {
            cluster.write(B1, TopicPartition::new(first.topic, partition), &[&format!("p{partition}")]);
        }
        cluster.run(2_000);
        assert_eq!(given(&cluster, &mixed, start), ["p0", "p1", "p2", "p3"]);
        old.iter().for_each(|it| cluster.tell(*it, Command::Shutdown));
        cluster.run(10_000);
        assert_eq!(kind(&mut cluster), ("consumer", "Stable"));
        assert_eq!(together(&cluster, &new), [0, 1, 2, 3]);
        // And the opposite way.
        let old = [cluster.member(&classic, calm()), cluster.member(&classic, calm())];
        cluster.run(10_000);
        new.iter().for_each(|it| cluster.tell(*it, Command::Shutdown));
        cluster.run(20_000);
        assert_eq!(kind(&mut cluster), ("classic", "Stable"));
        assert_eq!(together(&cluster, &old), [0, 1, 2, 3]);
        assert_eq!(given(&cluster, &old, start), Vec::<String>::new(), "nothing is read again");
    }
}
