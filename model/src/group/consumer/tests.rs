//! What a coordinator promises KIP-848 groups, with a log that commits when the test says so.

mod converting;

use alloc::{string::String, vec, vec::Vec};
use core::time::Duration;

use super::*;
use crate::{
    config::BrokerConfig,
    controller::record::{LeaderRecovery, PartitionRecord, Record, TopicRecord},
    event::{Event, RemovalReason},
    group::tests::{Bench, GROUP, config, orders},
    protocol::{
        Request, Response,
        consumer_group::{
            ConsumerGroupDescription, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
            LEAVE_EPOCH,
        },
        offsets::{CommittedOffset, GroupOffsetsWanted, OffsetCommitRequest},
    },
    time::Timestamp,
    units::{LeaderEpoch, NodeId, NodeSet, Offset, PartitionEpoch},
};

const ORDERS: TopicId = TopicId(7);

fn id(nth: u32) -> MemberId {
    MemberId(alloc::format!("m{nth}").into())
}

/// A first heartbeat.
fn joining(nth: u32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group: GROUP.into(),
        member: id(nth),
        epoch: 0,
        client: alloc::format!("till {nth}").into(),
        instance: None,
        rack: None,
        rebalance_timeout: Some(Duration::from_secs(60)),
        topics: Some(vec!["orders".into()]),
        pattern: None,
        assignor: None,
        owned: Some(Vec::new()),
    }
}

/// A heartbeat that says nothing new; `owned` of `orders`, if it says what.
fn beating(nth: u32, epoch: i32, owned: Option<&[u32]>) -> ConsumerGroupHeartbeatRequest {
    let by_topic = |them: &[u32]| if them.is_empty() { vec![] } else { vec![(ORDERS, them.to_vec())] };
    ConsumerGroupHeartbeatRequest {
        epoch,
        rebalance_timeout: None,
        topics: None,
        owned: owned.map(by_topic),
        ..joining(nth)
    }
}

impl Bench {
    fn beat(&mut self, nth: u32, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
        let caller = self.ask(nth, Request::ConsumerGroupHeartbeat(request));
        match self.answered(caller) {
            Response::ConsumerGroupHeartbeat(response) => response,
            other => panic!("no ConsumerGroupHeartbeat: {other:?}"),
        }
    }

    /// The member's epoch, and what it is told to own of `orders`, if it is told.
    fn told(
        &mut self,
        nth: u32,
        request: ConsumerGroupHeartbeatRequest,
    ) -> Result<(i32, Option<Vec<u32>>), ErrorCode> {
        let response = self.beat(nth, request);
        let of_orders = |all: Vec<(TopicId, Vec<u32>)>| all.into_iter().flat_map(|(_, them)| them).collect();
        response.error.map_or(Ok((response.epoch, response.assignment.map(of_orders))), Err)
    }

    fn consumer_group(&self) -> ConsumerGroup {
        self.coordinator.committed().consumer(&GROUP.into()).cloned().unwrap_or_default()
    }

    fn described(&self) -> ConsumerGroupDescription {
        self.coordinator.describe_consumer(&GROUP.into(), &self.image)
    }

    /// Whether nobody is told to own what another owns, and says who owns what.
    fn owned(&self) -> Vec<(String, Vec<u32>)> {
        let group = self.consumer_group();
        let mut seen = BTreeSet::new();
        let of = |member: &MemberId| {
            let current = group.current(member);
            (member.as_str().into(), current.assigned.keys().map(|at| at.partition).collect())
        };
        for member in group.members().keys() {
            let current = group.current(member);
            for at in current.assigned.keys().chain(current.revoking.keys()) {
                assert!(seen.insert(*at), "{at} has two owners");
            }
        }
        group.members().keys().map(of).collect()
    }

    /// Gives `orders` partitions up to `count`, or makes another topic.
    fn has_topic(&mut self, name: &str, topic: TopicId, count: u32) {
        if self.image.topic(topic).is_none() {
            self.image.apply(Offset(90), &Record::Topic(TopicRecord { name: name.into(), topic }));
        }
        let there = self.image.topic(topic).map_or(0, |it| it.partitions.len() as u32);
        for partition in there..count {
            let record = PartitionRecord {
                partition: TopicPartition::new(topic, partition),
                replicas: vec![NodeId::broker(1)],
                isr: [NodeId::broker(1)].into_iter().collect(),
                elr: NodeSet::new(),
                last_known_elr: NodeSet::new(),
                leader: Some(NodeId::broker(1)),
                leader_epoch: LeaderEpoch(0),
                partition_epoch: PartitionEpoch(0),
                recovery: LeaderRecovery::Recovered,
            };
            self.image.apply(Offset(91), &Record::Partition(record));
        }
    }

    /// Two members in epoch 2, a partition each.
    fn pair(&mut self) {
        assert_eq!(self.told(1, joining(1)), Ok((1, Some(vec![0, 1]))));
        assert_eq!(self.told(2, joining(2)), Ok((2, Some(vec![]))));
        assert_eq!(self.told(1, beating(1, 1, None)), Ok((1, Some(vec![0]))));
        assert_eq!(self.told(1, beating(1, 1, Some(&[0]))), Ok((2, None)));
        assert_eq!(self.told(2, beating(2, 2, None)), Ok((2, Some(vec![1]))));
        assert_eq!(self.consumer_group().state(), GroupState::Stable);
    }
}

#[test]
fn the_first_member_is_given_everything_in_epoch_one() {
    let mut bench = Bench::new();
    let response = bench.beat(1, joining(1));
    let told = (response.error, response.member, response.epoch, response.interval);
    assert_eq!(told, (None, Some(id(1)), 1, Duration::from_secs(5)));
    assert_eq!(response.assignment, Some(vec![(ORDERS, vec![0, 1])]));
    let group = bench.described();
    assert_eq!((group.state, group.epoch, group.assignment_epoch), ("Stable", 1, 1));
    assert_eq!(&*group.assignor, "uniform");
    assert_eq!(group.members[0].assignment, [(ORDERS, "orders".into(), vec![0, 1])]);
    assert_eq!(group.members[0].target, group.members[0].assignment);
    assert_eq!(&*group.members[0].client, "till 1");
    // As long as nothing changes it is told nothing, and nothing is written.
    let written = bench.paper.records.len();
    assert_eq!(bench.told(1, beating(1, 1, None)), Ok((1, None)));
    assert_eq!(bench.paper.records.len(), written);
}

#[test]
fn a_partition_is_given_to_another_only_when_its_owner_has_given_it_up() {
    let mut bench = Bench::new();
    bench.has_topic("orders", ORDERS, 6);
    assert_eq!(bench.told(1, joining(1)), Ok((1, Some(vec![0, 1, 2, 3, 4, 5]))));
    assert_eq!(bench.told(2, joining(2)), Ok((2, Some(vec![]))));
    assert_eq!(bench.described().state, "Reconciling");
    // The first is told what to keep, and stays in its epoch while it has not given up the rest.
    assert_eq!(bench.told(1, beating(1, 1, None)), Ok((1, Some(vec![0, 1, 2]))));
    let has = bench.described().members[0].assignment.clone();
    assert_eq!(
        has,
        [(ORDERS, "orders".into(), vec![0, 1, 2, 3, 4, 5])],
        "what it has not given up is its own"
    );
    assert_eq!(bench.told(1, beating(1, 1, Some(&[0, 1, 2, 3]))), Ok((1, None)));
    assert_eq!(bench.told(2, beating(2, 2, None)), Ok((2, None)));
    // A third comes meanwhile: there is another target, but what is to be given up first still is.
    assert_eq!(bench.told(3, joining(3)), Ok((3, Some(vec![]))));
    assert_eq!(bench.told(2, beating(2, 2, None)), Ok((3, None)));
    assert_eq!(bench.told(1, beating(1, 1, Some(&[0, 1, 2]))), Ok((1, Some(vec![0, 1]))));
    assert_eq!(bench.told(1, beating(1, 1, Some(&[0, 1]))), Ok((3, None)));
    assert_eq!(bench.told(2, beating(2, 3, None)), Ok((3, Some(vec![3, 4]))));
    assert_eq!(bench.told(3, beating(3, 3, None)), Ok((3, Some(vec![2, 5]))));
    assert_eq!(bench.owned().iter().map(|(_, it)| it.len()).collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!(bench.described().state, "Stable");
    assert_eq!(bench.described().members.iter().map(|it| it.epoch).collect::<Vec<_>>(), [3, 3, 3]);
}

#[test]
fn a_member_is_told_when_what_it_is_told_is_committed() {
    let mut bench = Bench::new();
    bench.quick = false;
    let caller = bench.ask(1, Request::ConsumerGroupHeartbeat(joining(1)));
    assert_eq!(bench.answer(caller), None);
    // Nothing new is written, but what it would be told of is not committed either.
    let again = bench.ask(1, Request::ConsumerGroupHeartbeat(beating(1, 1, None)));
    assert_eq!(bench.answer(again), None);
    bench.commit_all();
    assert!(bench.answer(caller).is_some() && bench.answer(again).is_some());
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let mut bench = Bench::new();
    let from_id_less = ConsumerGroupHeartbeatRequest { member: MemberId::default(), ..beating(1, 1, None) };
    let without_timeout = ConsumerGroupHeartbeatRequest { rebalance_timeout: None, ..joining(1) };
    let without_topics = ConsumerGroupHeartbeatRequest { topics: None, ..joining(1) };
    let owning = ConsumerGroupHeartbeatRequest { owned: Some(vec![(ORDERS, vec![0])]), ..joining(1) };
    let nameless = ConsumerGroupHeartbeatRequest { instance: Some("".into()), ..joining(1) };
    let rackless = ConsumerGroupHeartbeatRequest { rack: Some("".into()), ..joining(1) };
    let away = ConsumerGroupHeartbeatRequest { epoch: -2, ..joining(1) };
    let lost = ConsumerGroupHeartbeatRequest { epoch: -3, ..joining(1) };
    for request in [from_id_less, without_timeout, without_topics, owning, nameless, rackless, away, lost] {
        assert_eq!(bench.told(1, request.clone()), Err(ErrorCode::InvalidRequest), "{request:?}");
    }
    let unsupported = ConsumerGroupHeartbeatRequest { assignor: Some("sticky".into()), ..joining(1) };
    assert_eq!(bench.told(1, unsupported), Err(ErrorCode::UnsupportedAssignor));
    assert_eq!(bench.told(1, beating(1, 1, None)), Err(ErrorCode::GroupIdNotFound));
    assert_eq!(bench.paper.records, []);
    bench.told(1, joining(1)).expect("it may join");
    assert_eq!(bench.told(2, beating(2, 1, None)), Err(ErrorCode::UnknownMemberId));
    let leaving = ConsumerGroupHeartbeatRequest { epoch: LEAVE_EPOCH, ..beating(2, 1, None) };
    assert_eq!(bench.told(2, leaving), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn a_full_group_takes_nobody_new_in() {
    let mut bench = Bench::of(&BrokerConfig { group_consumer_max_size: 1, ..config() });
    bench.told(1, joining(1)).expect("there is room");
    assert_eq!(bench.told(2, joining(2)), Err(ErrorCode::GroupMaxSizeReached));
    assert_eq!(bench.told(1, beating(1, 1, None)), Ok((1, None)));
}

#[test]
fn who_has_no_id_is_given_one() {
    let mut bench = Bench::new();
    let response = bench.beat(1, ConsumerGroupHeartbeatRequest { member: MemberId::default(), ..joining(1) });
    let member = response.member.expect("an id");
    assert!(!member.is_empty());
    assert!(bench.consumer_group().members().contains_key(&member));
}

#[test]
fn the_epoch_before_is_as_good_while_the_answer_may_be_lost() {
    let mut bench = Bench::new();
    bench.pair();
    // It is in epoch 2, and has heard of 1 alone.
    assert_eq!(bench.told(1, beating(1, 1, Some(&[0]))), Ok((2, None)));
    let refused = Err(ErrorCode::FencedMemberEpoch);
    assert_eq!(bench.told(1, beating(1, 1, None)), refused, "it does not say what it owns");
    assert_eq!(bench.told(1, beating(1, 1, Some(&[0, 1]))), refused, "it owns what is another's");
    assert_eq!(bench.told(1, beating(1, 3, Some(&[0]))), refused, "there is no such epoch yet");
    // Who is fenced gives everything up and joins again, under the same id (KAFKA-19233).
    assert_eq!(bench.told(1, joining(1)), Ok((2, Some(vec![0]))));
    assert_eq!(bench.described().epoch, 2);
}

#[test]
fn who_is_silent_or_keeps_what_it_is_to_give_up_is_out() {
    let mut bench = Bench::new();
    bench.pair();
    bench.pass(44_000);
    bench.told(2, beating(2, 2, None)).expect("it is a member");
    bench.pass(2_000);
    let out = |why| move |it: &Event| matches!(it, Event::MemberRemoved { why: it, .. } if *it == why);
    assert!(bench.events.iter().any(out(RemovalReason::SessionExpired)));
    assert_eq!(bench.described().state, "Assigning");
    assert_eq!(bench.told(1, beating(1, 2, None)), Err(ErrorCode::UnknownMemberId));
    assert_eq!(bench.told(2, beating(2, 2, None)), Ok((3, Some(vec![0, 1]))));
    assert_eq!(bench.told(3, joining(3)), Ok((4, Some(vec![]))));
    for _ in 0..5 {
        bench.told(3, beating(3, 4, None)).expect("it is a member");
        bench.told(2, beating(2, 3, Some(&[0, 1]))).expect("it has time");
        bench.pass(14_000);
    }
    assert!(bench.events.iter().any(out(RemovalReason::RebalanceExpired)));
    assert_eq!(bench.told(2, beating(2, 3, Some(&[1]))), Err(ErrorCode::UnknownMemberId));
    assert_eq!(bench.told(3, beating(3, 4, None)), Ok((5, Some(vec![0, 1]))));
}

#[test]
fn an_end_that_cannot_be_written_down_is_tried_again() {
    let mut bench = Bench::new();
    bench.told(1, joining(1)).expect("it may join");
    bench.paper.refuses = Some(ErrorCode::NotEnoughReplicas);
    assert_eq!(bench.told(2, joining(2)), Err(ErrorCode::CoordinatorNotAvailable));
    bench.pass(46_000);
    assert_eq!(bench.described().members.len(), 1);
    bench.paper.refuses = None;
    bench.pass(1_000);
    // An empty group is in the epoch of its assignment (KAFKA-20442).
    let group = bench.described();
    assert_eq!((group.state, group.members.len(), group.epoch, group.assignment_epoch), ("Empty", 0, 2, 2));
}

#[test]
fn a_static_member_is_back_where_it_was() {
    let as_till = |request| ConsumerGroupHeartbeatRequest { instance: Some("till-1".into()), ..request };
    let mut bench = Bench::new();
    bench.told(1, as_till(joining(1))).expect("it may join");
    bench.told(2, joining(2)).expect("it may join");
    bench.told(1, as_till(beating(1, 1, Some(&[0])))).expect("it gives up");
    assert_eq!(bench.told(1, as_till(beating(1, 1, Some(&[0])))), Ok((2, None)));
    assert_eq!(bench.told(3, as_till(joining(3))), Err(ErrorCode::UnreleasedInstanceId));
    assert_eq!(bench.told(3, as_till(beating(3, 2, None))), Err(ErrorCode::FencedInstanceId));
    assert_eq!(bench.told(1, as_till(beating(1, -2, None))), Ok((-2, None)));
    assert_eq!(bench.described().members.len(), 2, "it is expected back");
    assert_eq!(bench.told(3, as_till(joining(3))), Ok((2, Some(vec![0]))));
    assert_eq!(bench.described().epoch, 2, "nobody else notices");
    assert_eq!(bench.told(1, as_till(beating(1, 2, None))), Err(ErrorCode::FencedInstanceId));
    let leaving = ConsumerGroupHeartbeatRequest { epoch: LEAVE_EPOCH, ..beating(3, 2, None) };
    assert_eq!(bench.told(1, as_till(leaving.clone())), Ok((-1, None)));
    assert_eq!(bench.described().members.len(), 1);
    assert_eq!(bench.told(1, as_till(leaving)), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn another_subscription_or_other_topics_make_a_new_epoch() {
    let mut bench = Bench::new();
    bench.told(1, joining(1)).expect("it may join");
    bench.has_topic("orders", ORDERS, 3);
    assert_eq!(bench.told(1, beating(1, 1, None)), Ok((2, Some(vec![0, 1, 2]))));
    bench.has_topic("audit", TopicId(9), 1);
    assert_eq!(bench.told(1, beating(1, 2, None)), Ok((2, None)), "nobody reads it");
    let both = Some(vec!["orders".into(), "audit".into()]);
    let response = bench.beat(1, ConsumerGroupHeartbeatRequest { topics: both, ..beating(1, 2, None) });
    assert_eq!(response.assignment, Some(vec![(ORDERS, vec![0, 1, 2]), (TopicId(9), vec![0])]));
    let audit = Some(vec!["audit".into()]);
    let response = bench.beat(1, ConsumerGroupHeartbeatRequest { topics: audit, ..beating(1, 3, None) });
    assert_eq!((response.epoch, response.assignment), (3, Some(vec![(TopicId(9), vec![0])])));
    let mut given_up = beating(1, 3, Some(&[]));
    given_up.owned = Some(vec![(TopicId(9), vec![0])]);
    assert_eq!(bench.beat(1, given_up).epoch, 4);
}

/// A first heartbeat by a regular expression.
fn joining_by(nth: u32, pattern: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest { topics: None, pattern: Some(pattern.into()), ..joining(nth) }
}

#[test]
fn a_regular_expression_is_the_coordinators_to_apply() {
    let mut bench = Bench::new();
    // It is looked up once it is a member.
    assert_eq!(bench.told(1, joining_by(1, "or.*")), Ok((1, Some(vec![]))));
    assert_eq!(bench.told(1, beating(1, 1, None)), Ok((2, Some(vec![0, 1]))));
    let member = &bench.described().members[0];
    assert_eq!((member.pattern.as_deref(), member.topics.len()), (Some("or.*"), 0));
    // New topics are looked for after some rest, and not all the time.
    bench.has_topic("origins", TopicId(9), 1);
    bench.has_topic("audit", TopicId(11), 1);
    assert_eq!(bench.told(1, beating(1, 2, None)), Ok((2, None)));
    let written = bench.paper.records.len();
    bench.pass(10_000);
    assert_eq!(bench.told(1, beating(1, 2, None)), Ok((2, None)));
    assert_eq!(bench.paper.records.len(), written, "ten seconds are not over");
    bench.pass(1);
    assert_eq!(bench.told(1, beating(1, 2, None)), Ok((2, None)));
    let response = bench.beat(1, beating(1, 2, None));
    assert_eq!(response.epoch, 3);
    assert_eq!(response.assignment, Some(vec![(ORDERS, vec![0, 1]), (TopicId(9), vec![0])]));
    // One that fits nobody's is none of theirs, and what nobody reads is not written down.
    bench.has_topic("bills", TopicId(13), 1);
    bench.pass(20_000);
    let written = bench.paper.records.len();
    assert_eq!(bench.told(1, beating(1, 3, None)), Ok((3, None)));
    assert_eq!(bench.paper.records.len(), written);
}

#[test]
fn what_a_regular_expression_fits_is_written_down_and_forgotten_with_its_last_member() {
    let mut bench = Bench::new();
    bench.told(1, joining_by(1, "or.*")).expect("it may join");
    bench.told(2, joining_by(2, "or.*")).expect("it may join");
    let resolved = bench.consumer_group().resolved().clone();
    let fits: Vec<(&str, Vec<&str>)> = resolved
        .iter()
        .map(|(pattern, it)| (&**pattern, it.topics.iter().map(TopicName::as_str).collect()))
        .collect();
    assert_eq!(fits, [("or.*", vec!["orders"])]);
    assert_eq!((resolved["or.*"].version, resolved["or.*"].at), (Offset(44), Timestamp(1_001_000)));
    bench.moves();
    assert_eq!(bench.consumer_group().resolved(), &resolved, "the next coordinator goes by it");
    bench.told(1, beating(1, LEAVE_EPOCH, None)).expect("it may leave");
    assert_eq!(bench.consumer_group().resolved().len(), 1);
    bench.told(2, beating(2, LEAVE_EPOCH, None)).expect("it may leave");
    assert_eq!(bench.consumer_group().resolved().len(), 0);
}

#[test]
fn another_regular_expression_waits_to_be_looked_up_and_no_more_counts_at_once() {
    let mut bench = Bench::new();
    bench.has_topic("audit", TopicId(9), 1);
    bench.told(1, joining_by(1, "or.*")).expect("it may join");
    bench.told(1, beating(1, 1, None)).expect("it is a member");
    // Nobody had brought it: all that the member has it is to give up, and nobody else is in a new epoch for it.
    let other = ConsumerGroupHeartbeatRequest { pattern: Some("au.*".into()), ..beating(1, 2, None) };
    assert_eq!(bench.told(1, other), Ok((2, Some(vec![]))));
    let fits = |bench: &Bench| bench.consumer_group().resolved().keys().map(|it| (**it).into()).collect();
    let patterns: Vec<String> = fits(&bench);
    assert_eq!(patterns, ["au.*"], "the only one of the group needs no rest");
    assert_eq!(bench.beat(1, beating(1, 2, Some(&[]))).assignment, Some(vec![(TopicId(9), vec![0])]));
    let none = ConsumerGroupHeartbeatRequest {
        topics: Some(vec!["orders".into()]),
        pattern: Some("".into()),
        ..beating(1, 3, None)
    };
    assert_eq!(bench.beat(1, none).assignment, Some(vec![]), "it is to give up first");
    assert_eq!(bench.told(1, beating(1, 3, Some(&[]))), Ok((4, Some(vec![0, 1]))));
    assert_eq!(bench.consumer_group().resolved().len(), 0);
}

#[test]
fn what_is_no_regular_expression_is_refused() {
    let mut bench = Bench::new();
    assert_eq!(bench.told(1, joining_by(1, "or(")), Err(ErrorCode::InvalidRegularExpression));
    assert_eq!(bench.paper.records, []);
    assert_eq!(bench.told(1, joining_by(1, "")), Ok((1, Some(vec![]))), "nothing is none");
}

#[test]
fn most_members_say_which_assignor() {
    let mut bench = Bench::new();
    bench.has_topic("orders", ORDERS, 4);
    for nth in 1..=2 {
        let request = ConsumerGroupHeartbeatRequest { assignor: Some("range".into()), ..joining(nth) };
        bench.told(nth, request).expect("it may join");
    }
    assert_eq!(&*bench.described().assignor, "range");
    assert_eq!(bench.consumer_group().target(&id(1)).len(), 2);
}

#[test]
fn the_next_coordinator_reads_all_of_it() {
    let mut bench = Bench::new();
    bench.has_topic("orders", ORDERS, 6);
    bench.told(1, joining(1)).expect("it may join");
    bench.told(2, joining(2)).expect("it may join");
    bench.told(1, beating(1, 1, None)).expect("it is to give up");
    bench.told(3, joining(3)).expect("it may join");
    let before = (bench.consumer_group(), bench.owned());
    bench.moves();
    assert_eq!((bench.consumer_group(), bench.owned()), before);
    assert_eq!(bench.described().state, "Reconciling");
    // It goes on where it was; and who was to give up has its time anew.
    assert_eq!(bench.told(1, beating(1, 1, Some(&[0, 1, 2]))), Ok((1, Some(vec![0, 1]))));
    bench.moves();
    bench.pass(40_000);
    bench.told(1, beating(1, 1, None)).expect("it is a member");
    bench.pass(21_000);
    let late = |it: &Event| matches!(it, Event::MemberRemoved { member, why: RemovalReason::RebalanceExpired, .. } if *member == id(1));
    assert!(bench.events.iter().any(late));
}

#[test]
fn a_commit_is_its_members_in_its_epoch_or_since_it_has_what_it_commits() {
    let mut bench = Bench::new();
    bench.pair();
    let says = |bench: &mut Bench, nth: u32, epoch: i32, partition: u32| {
        let committed = CommittedOffset { offset: Offset(5), epoch: None, metadata: "".into() };
        let caller = bench.ask(
            nth,
            Request::OffsetCommit(OffsetCommitRequest {
                group: GROUP.into(),
                generation: epoch,
                member: id(nth),
                instance: None,
                offsets: vec![(orders(partition), committed)],
            }),
        );
        bench.committed(caller)
    };
    assert_eq!(says(&mut bench, 1, 2, 0), None);
    // It has had 0 since epoch 1, and gave 1 up; the other has had 1 since epoch 2 (KIP-1251).
    assert_eq!(says(&mut bench, 1, 1, 0), None);
    assert_eq!(says(&mut bench, 1, 1, 1), Some(ErrorCode::StaleMemberEpoch));
    assert_eq!(says(&mut bench, 2, 1, 1), Some(ErrorCode::StaleMemberEpoch));
    assert_eq!(says(&mut bench, 1, 3, 0), Some(ErrorCode::StaleMemberEpoch));
    assert_eq!(says(&mut bench, 3, 2, 0), Some(ErrorCode::UnknownMemberId));
    let nobody = bench.commits(9, -1, &MemberId::default(), 4);
    assert_eq!(bench.committed(nobody), Some(ErrorCode::UnknownMemberId), "the group has members");
    assert_eq!(bench.coordinator.describe(&GROUP.into()).state, "Dead", "it is none of the classic ones");
    let asks = |bench: &Bench, member: Option<MemberId>, epoch| {
        let wanted = GroupOffsetsWanted { group: GROUP.into(), member, epoch, partitions: None };
        bench.coordinator.fetch(&wanted).error
    };
    assert_eq!(asks(&bench, Some(id(1)), 2), None);
    assert_eq!(asks(&bench, None, -1), None);
    assert_eq!(asks(&bench, Some(id(1)), 1), Some(ErrorCode::StaleMemberEpoch));
    assert_eq!(asks(&bench, Some(id(9)), 2), Some(ErrorCode::UnknownMemberId));
}

#[test]
fn a_group_without_members_may_be_forgotten_and_one_with_may_not() {
    let mut bench = Bench::new();
    bench.told(1, joining(1)).expect("it may join");
    assert_eq!(bench.coordinator.list().expect("it is read")[0].kind, "consumer");
    let deletes = |bench: &mut Bench| {
        let caller = bench.ask(
            9,
            Request::Heartbeat(crate::protocol::groups::HeartbeatRequest {
                group: "nobody".into(),
                generation: 1,
                member: id(9),
                instance: None,
            }),
        );
        bench.answer(caller);
        bench.act(|it, cx| it.delete_group(caller, &GROUP.into(), cx));
        match bench.answered(caller) {
            Response::DeleteGroups(response) => response.groups[0].1,
            other => panic!("no DeleteGroups: {other:?}"),
        }
    };
    assert_eq!(deletes(&mut bench), Some(ErrorCode::NonEmptyGroup));
    bench.told(1, beating(1, LEAVE_EPOCH, None)).expect("it may leave");
    assert_eq!(deletes(&mut bench), None);
    assert_eq!(bench.described().error, Some(ErrorCode::GroupIdNotFound));
    bench.moves();
    assert_eq!(bench.coordinator.committed(), &crate::group::image::Groups::default());
}
