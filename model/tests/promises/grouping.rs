//! Who of a group reads what, and from where? Members, their failures, and what they commit.

use std::{collections::BTreeMap, time::Duration};

use trial_model::{
    client::{Application, Command, Commits},
    event::{Event, EventKind, MembershipEnd},
    protocol::{Request, produce::Acks, topics::CreatePartitionsRequest},
    rng::Rng,
    time::Instant,
    units::{NodeId, TopicPartition},
};

use super::cluster::{B1, Cluster, batch};

/// How a group is brisk.
pub const BRISK: &[(&str, &str)] = &[
    ("offsets.topic.num.partitions", "1"),
    ("offsets.topic.replication.factor", "1"),
    ("group.initial.rebalance.delay.ms", "0"),
];

const COOPERATIVE: (&str, &str) = ("partition.assignment.strategy", "cooperative-sticky");

/// One broker, and `orders` with four partitions.
fn four() -> (Cluster, TopicPartition) {
    let mut cluster = Cluster::of(1, BRISK);
    let first = cluster.orders(&[&[1], &[1], &[1], &[1]], &[]);
    (cluster, first)
}

pub fn calm() -> Application {
    Application::default()
}

pub fn slow(millis: u64, commits: Commits) -> Application {
    Application { per_record: Duration::from_millis(millis), commits }
}

/// What each owns, as it was told last.
pub fn owned(cluster: &Cluster) -> BTreeMap<NodeId, Vec<u32>> {
    let mut owned = BTreeMap::new();
    for (_, node, event) in cluster.told(Instant::ZERO) {
        if let Event::PartitionsOwned { partitions, .. } = event {
            owned.insert(*node, partitions.iter().map(|it| it.partition).collect());
        }
    }
    owned
}

/// What these own together, in order; nobody owns what another does.
pub fn together(cluster: &Cluster, members: &[NodeId]) -> Vec<u32> {
    let owned = owned(cluster);
    let mut all: Vec<u32> =
        members.iter().flat_map(|it| owned.get(it).cloned().unwrap_or_default()).collect();
    all.sort_unstable();
    all
}

/// The values that some were given since a moment, in order.
pub fn given(cluster: &Cluster, to: &[NodeId], since: Instant) -> Vec<String> {
    let all = to.iter().flat_map(|to| cluster.delivered(*to)).filter(|(at, ..)| *at >= since);
    let mut values: Vec<String> = all.map(|(_, _, value)| value).collect();
    values.sort();
    values
}

/// > This is achieved by balancing the partitions between all members in the consumer group so that each partition
/// > is assigned to exactly one consumer in the group. So if there is a topic with four partitions, and a consumer
/// > group with two processes, each process would consume from two partitions.
///
/// `KafkaConsumer.java`, consumer groups and topic subscriptions.
#[test]
pub fn each_partition_is_assigned_to_exactly_one_member() {
    for strategy in ["range", "roundrobin", "sticky", "cooperative-sticky"] {
        let (mut cluster, first) = four();
        let strategy = [("partition.assignment.strategy", strategy)];
        let members = [cluster.member(&strategy, calm()), cluster.member(&strategy, calm())];
        cluster.run(20_000);
        let owned = owned(&cluster);
        assert_eq!(members.map(|it| owned[&it].len()), [2, 2], "{strategy:?} {owned:?}");
        assert_eq!(together(&cluster, &members), [0, 1, 2, 3]);
        for partition in 0..4 {
            let at = TopicPartition::new(first.topic, partition);
            cluster.write(B1, at, &[&format!("p{partition}")]);
        }
        cluster.run(2_000);
        assert_eq!(given(&cluster, &members, Instant::ZERO), ["p0", "p1", "p2", "p3"]);
    }
}

/// > Membership in a consumer group is maintained dynamically: if a process fails, the partitions assigned to it
/// > will be reassigned to other consumers in the same group.
///
/// `KafkaConsumer.java`, consumer groups and topic subscriptions.
#[test]
pub fn what_a_failed_process_owned_is_reassigned() {
    for settings in [&[][..], &[COOPERATIVE]] {
        let (mut cluster, _) = four();
        let [one, two] = [cluster.member(settings, calm()), cluster.member(settings, calm())];
        cluster.run(20_000);
        cluster.world.crash(one);
        cluster.run(5_000);
        assert_eq!(owned(&cluster)[&two].len(), 2, "its session is not over");
        cluster.run(10_000);
        assert_eq!(together(&cluster, &[two]), [0, 1, 2, 3]);
    }
}

/// > Similarly, if a new consumer joins the group, partitions will be moved from existing consumers to the new one.
///
/// `KafkaConsumer.java`, consumer groups and topic subscriptions.
#[test]
pub fn partitions_are_moved_to_a_new_member() {
    let (mut cluster, _) = four();
    let one = cluster.member(&[COOPERATIVE], calm());
    cluster.run(10_000);
    assert_eq!(owned(&cluster)[&one], [0, 1, 2, 3]);
    let start = cluster.now();
    let two = cluster.member(&[COOPERATIVE], calm());
    cluster.run(15_000);
    assert_eq!(together(&cluster, &[one, two]), [0, 1, 2, 3]);
    // A cooperative member keeps at every moment what it keeps in the end.
    let kept = owned(&cluster)[&one].clone();
    assert_eq!(kept.len(), 2);
    let always = cluster.told(start).all(|(_, node, event)| match event {
        Event::PartitionsOwned { partitions, .. } if *node == one => {
            kept.iter().all(|it| partitions.iter().any(|other| other.partition == *it))
        }
        _ => true,
    });
    assert!(always);
}

/// > Group rebalancing is also used when new partitions are added to one of the subscribed topics or when a new
/// > topic matching a subscribed regex is created. The group will automatically detect the new partitions through
/// > periodic metadata refreshes and assign them to members of the group.
///
/// `KafkaConsumer.java`, consumer groups and topic subscriptions.
#[test]
pub fn new_partitions_are_detected_and_assigned() {
    let (mut cluster, _) = four();
    let settings = [("metadata.max.age.ms", "2000")];
    let members = [cluster.member(&settings, calm()), cluster.member(&settings, calm())];
    cluster.run(15_000);
    let request =
        CreatePartitionsRequest { topics: vec![("orders".into(), 6)], timeout: Duration::from_secs(5) };
    cluster.ask_for(1_000, B1, Request::CreatePartitions(request)).expect("it is answered");
    cluster.run(15_000);
    assert_eq!(together(&cluster, &members), [0, 1, 2, 3, 4, 5]);
}

/// > Basically if you don't call poll at least as frequently as the configured max interval, then the client will
/// > proactively leave the group so that another consumer can take over its partitions. When this happens, you may
/// > see an offset commit failure (as indicated by a CommitFailedException thrown from a call to commitSync()).
///
/// `KafkaConsumer.java`, detecting consumer failures.
#[test]
pub fn who_does_not_poll_leaves_so_that_another_takes_over() {
    let (mut cluster, first) = four();
    let settings = [("max.poll.interval.ms", "8000"), ("enable.auto.commit", "false")];
    let one = cluster.member(&settings, slow(12_000, Commits::After));
    cluster.run(5_000);
    let two = cluster.member(&[("auto.commit.interval.ms", "500")], calm());
    cluster.run(10_000);
    let mine = owned(&cluster)[&one].clone();
    let at = TopicPartition::new(first.topic, mine[0]);
    cluster.write(B1, at, &["a"]);
    let start = cluster.now();
    cluster.run(11_000);
    assert!(cluster.told(start).any(|(_, node, event)| {
        *node == one && matches!(event, Event::MembershipLost { why: MembershipEnd::PollTooLate, .. })
    }));
    cluster.run(500);
    assert_eq!(together(&cluster, &[two]), [0, 1, 2, 3]);
    cluster.run(15_000);
    let told = |kind: EventKind| cluster.told(start).filter(|it| it.1 == one && it.2.kind() == kind).count();
    assert_eq!((told(EventKind::CommitFailed), told(EventKind::CommitAcked)), (mine.len(), 0));
    assert_eq!(together(&cluster, &[one, two]), [0, 1, 2, 3], "it is back");
    assert_eq!(given(&cluster, &[two], start), ["a"], "what was not committed is read again");
}

/// > In this case the process that took over consumption would consume from last committed offset and would repeat
/// > the insert of the last batch of data.
///
/// `KafkaConsumer.java`, manual offset control.
#[test]
pub fn who_takes_over_begins_at_the_last_committed_offset() {
    let (mut cluster, first) = four();
    let settings = [("enable.auto.commit", "false"), ("max.poll.records", "1")];
    let one = cluster.member(&settings, slow(1_000, Commits::After));
    cluster.run(5_000);
    cluster.write(B1, first, &["a", "b", "c"]);
    // "a" is done and committed, "b" is not.
    cluster.run(1_600);
    cluster.world.crash(one);
    let start = cluster.now();
    let two = cluster.member(&settings, calm());
    cluster.run(20_000);
    assert_eq!(given(&cluster, &[two], start), ["b", "c"]);
}

/// > Setting enable.auto.commit means that offsets are committed automatically with a frequency controlled by the
/// > config auto.commit.interval.ms.
///
/// `KafkaConsumer.java`, automatic offset committing.
#[test]
pub fn offsets_are_committed_automatically() {
    let (mut cluster, first) = four();
    let one = cluster.member(&[("auto.commit.interval.ms", "500")], calm());
    cluster.run(5_000);
    cluster.write(B1, first, &["a", "b"]);
    cluster.run(1_100);
    cluster.world.crash(one);
    let start = cluster.now();
    cluster.write(B1, first, &["c"]);
    let two = cluster.member(&[], calm());
    cluster.run(20_000);
    assert_eq!(given(&cluster, &[two], start), ["c"]);
}

/// > If set, the consumer is treated as a static member, which means that only one instance with this ID is allowed
/// > in the consumer group at any time.
///
/// `CommonClientConfigs.java`, `group.instance.id`.
#[test]
pub fn a_static_member_gets_its_partitions_back_and_there_is_only_one_of_it() {
    let (mut cluster, _) = four();
    let of = |instance| [("group.instance.id", instance)];
    let [one, two] = [cluster.member(&of("one"), calm()), cluster.member(&of("two"), calm())];
    cluster.run(20_000);
    let before = owned(&cluster);
    cluster.tell(two, Command::Shutdown);
    cluster.run(1_000);
    let again = cluster.member(&of("two"), calm());
    cluster.run(10_000);
    let after = owned(&cluster);
    assert_eq!((&after[&one], &after[&again]), (&before[&one], &before[&two]));
    // Another with its name: the former is out.
    let start = cluster.now();
    let usurper = cluster.member(&of("two"), calm());
    cluster.run(10_000);
    let fenced = cluster.told(start).filter(|(_, node, event)| {
        *node == again && matches!(event, Event::MembershipLost { why: MembershipEnd::InstanceFenced, .. })
    });
    assert_eq!(fenced.count(), 1);
    assert_eq!(together(&cluster, &[one, usurper]), [0, 1, 2, 3]);
}

/// > The client sends periodic heartbeats to indicate its liveness to the broker. If no heartbeats are received by
/// > the broker before the expiration of this session timeout, then the broker will remove this client from the group
/// > and initiate a rebalance.
///
/// `CommonClientConfigs.java`, `session.timeout.ms`.
#[test]
pub fn who_is_not_heard_of_is_removed_and_finds_out_when_it_is_back() {
    let (mut cluster, first) = four();
    let [one, two] = [cluster.member(&[], calm()), cluster.member(&[], calm())];
    cluster.run(20_000);
    let start = cluster.now();
    cluster.world.cut(one, B1);
    cluster.world.cut(B1, one);
    cluster.run(15_000);
    assert_eq!(together(&cluster, &[two]), [0, 1, 2, 3]);
    cluster.world.heal();
    cluster.run(60_000);
    let lost = cluster
        .told(start)
        .any(|(_, node, event)| *node == one && matches!(event, Event::PartitionsOwned { lost: true, .. }));
    assert!(lost, "nothing was committed that was not its own any more");
    assert_eq!(together(&cluster, &[one, two]), [0, 1, 2, 3]);
    cluster.write(B1, first, &["a"]);
    cluster.run(2_000);
    assert_eq!(given(&cluster, &[one, two], start), ["a"]);
}

/// > In case the coordinator moves, the consumer will need to rediscover the coordinator.
///
/// `implementation.html`, consumer offset tracking.
#[test]
pub fn a_group_outlives_its_coordinator() {
    let mut settings = BRISK.to_vec();
    settings[1].1 = "3";
    settings.push(("default.replication.factor", "3"));
    let mut cluster = Cluster::of(3, &settings);
    let first = cluster.orders(&[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]], &[]);
    let members = [cluster.member(&[], calm()), cluster.member(&[], calm())];
    cluster.run(20_000);
    let start = cluster.now();
    let coordinator = cluster
        .told(Instant::ZERO)
        .filter(|(_, _, event)| event.kind() == EventKind::CoordinatorLoaded)
        .last()
        .map(|(_, node, _)| *node)
        .expect("somebody looks after the group");
    cluster.world.crash(coordinator);
    cluster.run(60_000);
    assert_eq!(together(&cluster, &members), [0, 1, 2]);
    let leader = cluster.state(first).leader.expect("somebody leads");
    cluster.write(leader, first, &["a"]);
    cluster.run(3_000);
    assert_eq!(given(&cluster, &members, start), ["a"]);
}

/// Members come and go as chance has it, with a network that fails; says who is there in the end, and what was
/// written.
pub fn stormy(
    seed: u64,
    (mut cluster, first): (Cluster, TopicPartition),
    more: &[(&str, &str)],
) -> (Cluster, Vec<NodeId>, Vec<(TopicPartition, u64)>) {
    let mut rng = Rng::named(seed, "storm");
    let mut draw = |below: u64| rng.below(below);
    let strategy = ["range", "sticky", "cooperative-sticky", "range,cooperative-sticky"][draw(4) as usize];
    let (auto, commits) = match draw(3) {
        0 => ("false", Commits::After),
        1 => ("true", Commits::AfterAsync),
        _ => ("true", Commits::Never),
    };
    let settings = [
        ("partition.assignment.strategy", strategy),
        ("enable.auto.commit", auto),
        ("max.poll.interval.ms", "10000"),
        ("max.poll.records", "3"),
        ("auto.commit.interval.ms", "1000"),
    ];
    let settings: Vec<(&str, &str)> = settings.iter().chain(more).copied().collect();
    let mut members: Vec<NodeId> = Vec::new();
    let mut written = Vec::new();
    for _ in 0..25 {
        let member = members.get(draw(members.len().max(1) as u64) as usize).copied();
        match (draw(9), member) {
            (0 | 1, _) | (_, None) if members.len() < 5 => {
                members.push(cluster.member(&settings, slow(1 + draw(500), commits)));
            }
            (2, Some(member)) => {
                cluster.world.crash(member);
                members.retain(|it| *it != member);
            }
            (3, Some(member)) => {
                cluster.tell(member, Command::Shutdown);
                members.retain(|it| *it != member);
            }
            (4, Some(member)) => {
                cluster.world.cut(member, B1);
                cluster.world.cut(B1, member);
            }
            (5, _) => cluster.world.heal(),
            (6, Some(member)) => cluster.tell(member, Command::Stall(Duration::from_millis(draw(15_000)))),
            (7, Some(member)) => cluster.tell(member, Command::Commit(draw(2) == 0)),
            (8, _) => {
                cluster.world.crash(B1);
                cluster.run(draw(4_000));
                cluster.world.start(B1);
                cluster.run(2_000);
                cluster.until_state(first, |it| it.leader == Some(B1));
            }
            _ => {}
        }
        for _ in 0..draw(4) {
            let partition = TopicPartition::new(first.topic, draw(4) as u32);
            let record = batch(&[&format!("r{}", written.len())]);
            if let Some(Ok(at)) = cluster.produce(B1, partition, Acks::All, record) {
                written.push((partition, at.base_offset.0));
            }
        }
        cluster.run(draw(6_000));
    }
    cluster.world.heal();
    members.push(cluster.member(&settings, calm()));
    cluster.run(120_000);
    (cluster, members, written)
}

/// > Used in this way Kafka provides what is often called "at-least-once" delivery guarantees, as each record will
/// > likely be delivered one time but in failure cases could be duplicated.
///
/// `KafkaConsumer.java`, manual offset control.
#[test]
pub fn every_record_is_worked_through_at_least_once_whatever_happens_to_the_members() {
    for seed in 0..12 {
        all_worked_through(seed, stormy(seed, four(), &[]));
    }
}

/// All partitions have an owner in the end, and whatever was written somebody was done with.
pub fn all_worked_through(
    seed: u64,
    (cluster, members, written): (Cluster, Vec<NodeId>, Vec<(TopicPartition, u64)>),
) {
    assert_eq!(together(&cluster, &members), [0, 1, 2, 3], "seed {seed}: {:?}", owned(&cluster));
    let done: Vec<_> = cluster
        .told(Instant::ZERO)
        .filter_map(|(_, _, event)| match event {
            Event::Processed { partition, from, to } => Some((*partition, from.0..to.0)),
            _ => None,
        })
        .collect();
    for (partition, offset) in written {
        let by_somebody = done.iter().any(|(of, range)| *of == partition && range.contains(&offset));
        assert!(by_somebody, "seed {seed}: nobody was done with {offset} of {partition}");
    }
}
