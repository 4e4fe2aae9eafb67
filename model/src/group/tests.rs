//! What a coordinator promises its groups, with a log that commits when the test says so.

use alloc::{string::ToString, vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use super::*;
use crate::{
    controller::{
        image::Image,
        record::{LeaderRecovery, PartitionRecord, Record, TopicRecord},
    },
    event::{EventKind, RemovalReason},
    machine::ConnectionId,
    protocol::{
        NamedPartition,
        groups::{
            GroupProtocol, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, LeavingMember,
            SyncGroupRequest,
        },
        offsets::{CommittedOffset, GroupOffsetsWanted, OffsetCommitRequest, OffsetDeleteRequest},
    },
    time::Timestamp,
    units::{CorrelationId, InstanceId, NodeSet, PartitionEpoch, TopicId},
};

/// A log in memory.
#[derive(Default)]
pub(super) struct Paper {
    pub(super) records: Vec<GroupRecord>,
    pub(super) refuses: Option<ErrorCode>,
}

impl Journal for Paper {
    fn append(&mut self, records: &[GroupRecord]) -> Result<Offset, ErrorCode> {
        if let Some(error) = self.refuses {
            return Err(error);
        }
        let base = Offset(self.records.len() as u64);
        self.records.extend(records.iter().cloned());
        Ok(base)
    }
}

/// A coordinator on its own.
pub(super) struct Bench {
    pub(super) coordinator: Coordinator,
    pub(super) paper: Paper,
    pub(super) image: Image,
    now: u64,
    asked: u32,
    answers: Vec<(Caller, Response)>,
    pub(super) events: Vec<Event>,
    /// Whether what is written is committed at once.
    pub(super) quick: bool,
    museum: Museum,
}

pub(super) const GROUP: &str = "billing";

pub(super) fn config() -> BrokerConfig {
    BrokerConfig { group_initial_rebalance_delay_ms: Duration::ZERO, ..BrokerConfig::default() }
}

fn cluster() -> Image {
    let mut image = Image::default();
    let topic = TopicId(7);
    image.apply(Offset(0), &Record::Topic(TopicRecord { name: "orders".into(), topic }));
    for partition in 0..2 {
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
        image.apply(Offset(1), &Record::Partition(record));
    }
    image
}

pub(super) fn orders(partition: u32) -> NamedPartition {
    NamedPartition { topic: "orders".into(), partition }
}

/// A consumer's subscription to `orders`, version 0.
fn subscription() -> Bytes {
    Bytes::from_static(b"\x00\x00\x00\x00\x00\x01\x00\x06orders\xff\xff\xff\xff")
}

impl Bench {
    pub(super) fn of(config: &BrokerConfig) -> Bench {
        let ids = Rng::named(1, "group");
        let partition = TopicPartition::new(TopicId(3), 0);
        let coordinator =
            Coordinator::new(partition, LeaderEpoch(1), Offset::ZERO, config, ids, Museum::CLOSED);
        let mut bench = Bench {
            coordinator,
            paper: Paper::default(),
            image: cluster(),
            now: 1_000,
            asked: 0,
            answers: Vec::new(),
            events: Vec::new(),
            quick: true,
            museum: Museum::CLOSED,
        };
        bench.act(|it, cx| it.activate(Offset::ZERO, cx));
        bench
    }

    pub(super) fn new() -> Bench {
        Bench::of(&config())
    }

    /// With a bug, also where it moves to.
    fn with(bug: Option<Bug>) -> Bench {
        let mut bench = Bench::new();
        bench.museum = bug.map_or(Museum::CLOSED, |bug| Museum::CLOSED.with(bug));
        bench.coordinator.museum = bench.museum;
        bench
    }

    pub(super) fn act<R>(&mut self, act: impl FnOnce(&mut Coordinator, &mut Cx<'_>) -> R) -> R {
        let now = Now {
            monotonic: Instant(self.now * 1_000_000),
            wall: Timestamp(1_000_000 + self.now.cast_signed()),
        };
        let mut cx = Cx {
            now,
            metadata: &self.image,
            metadata_end: Offset(44),
            journal: &mut self.paper,
            events: &mut self.events,
            answers: &mut self.answers,
        };
        let done = act(&mut self.coordinator, &mut cx);
        if self.quick {
            self.commit_all();
        }
        done
    }

    pub(super) fn commit_all(&mut self) {
        let end = Offset(self.paper.records.len() as u64);
        let quick = core::mem::replace(&mut self.quick, false);
        self.act(|it, cx| it.committed_to(end, cx));
        self.quick = quick;
    }

    /// Lets so many milliseconds pass.
    pub(super) fn pass(&mut self, millis: u64) {
        let until = self.now + millis;
        while let Some(due) = self.coordinator.deadline().filter(|due| due.0 <= until * 1_000_000) {
            self.now = self.now.max(due.0.div_ceil(1_000_000));
            self.act(|it, cx| it.on_deadline(cx));
        }
        self.now = until;
    }

    /// Asks as client `nth`, and says who waits.
    pub(super) fn ask(&mut self, nth: u32, request: Request) -> Caller {
        self.asked += 1;
        let caller = Caller {
            node: NodeId::client(nth),
            connection: ConnectionId(nth.into()),
            correlation: CorrelationId(self.asked),
        };
        self.act(|it, cx| it.serve(caller, caller.node, request, cx));
        caller
    }

    pub(super) fn answer(&mut self, caller: Caller) -> Option<Response> {
        let at = self.answers.iter().position(|(of, _)| *of == caller)?;
        Some(self.answers.remove(at).1)
    }

    pub(super) fn answered(&mut self, caller: Caller) -> Response {
        self.answer(caller).expect("it is answered")
    }

    pub(super) fn join_request(
        &self,
        nth: u32,
        member: &MemberId,
        instance: Option<&str>,
    ) -> JoinGroupRequest {
        JoinGroupRequest {
            group: GROUP.into(),
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_secs(60),
            member: member.clone(),
            instance: instance.map(InstanceId::from),
            protocol_type: "consumer".into(),
            protocols: vec![GroupProtocol { name: "range".into(), metadata: subscription() }],
            client: alloc::format!("c{nth}").as_str().into(),
            id_first: true,
            may_skip_assignment: true,
        }
    }

    /// Joins, with an id first, and says who waits.
    pub(super) fn joins(&mut self, nth: u32) -> (MemberId, Caller) {
        let request = self.join_request(nth, &MemberId::default(), None);
        let caller = self.ask(nth, Request::JoinGroup(request));
        let Response::JoinGroup(answer) = self.answered(caller) else { panic!("a JoinGroup answer") };
        assert_eq!(answer.error, Some(ErrorCode::MemberIdRequired));
        let caller = self.rejoins(nth, &answer.member);
        (answer.member, caller)
    }

    pub(super) fn rejoins(&mut self, nth: u32, member: &MemberId) -> Caller {
        let request = self.join_request(nth, member, None);
        self.ask(nth, Request::JoinGroup(request))
    }

    pub(super) fn joined(&mut self, caller: Caller) -> JoinGroupResponse {
        match self.answered(caller) {
            Response::JoinGroup(response) => response,
            other => panic!("no JoinGroup: {other:?}"),
        }
    }

    pub(super) fn syncs(
        &mut self,
        nth: u32,
        generation: i32,
        member: &MemberId,
        given: &[(&MemberId, &str)],
    ) -> Caller {
        let assignments =
            given.iter().map(|(id, what)| ((*id).clone(), Bytes::from(what.to_string()))).collect();
        self.ask(
            nth,
            Request::SyncGroup(SyncGroupRequest {
                group: GROUP.into(),
                generation,
                member: member.clone(),
                instance: None,
                protocol_type: None,
                protocol: None,
                assignments,
            }),
        )
    }

    pub(super) fn synced(&mut self, caller: Caller) -> Result<Bytes, ErrorCode> {
        match self.answered(caller) {
            Response::SyncGroup(response) => response.error.map_or(Ok(response.assignment), Err),
            other => panic!("no SyncGroup: {other:?}"),
        }
    }

    pub(super) fn beats(&mut self, nth: u32, generation: i32, member: &MemberId) -> Option<ErrorCode> {
        let request =
            HeartbeatRequest { group: GROUP.into(), generation, member: member.clone(), instance: None };
        let caller = self.ask(nth, Request::Heartbeat(request));
        match self.answered(caller) {
            Response::Heartbeat(response) => response.error,
            other => panic!("no Heartbeat: {other:?}"),
        }
    }

    pub(super) fn commits(&mut self, nth: u32, generation: i32, member: &MemberId, offset: u64) -> Caller {
        let committed = CommittedOffset { offset: Offset(offset), epoch: None, metadata: "".into() };
        self.ask(
            nth,
            Request::OffsetCommit(OffsetCommitRequest {
                group: GROUP.into(),
                generation,
                member: member.clone(),
                instance: None,
                offsets: vec![(orders(0), committed)],
            }),
        )
    }

    pub(super) fn committed(&mut self, caller: Caller) -> Option<ErrorCode> {
        match self.answered(caller) {
            Response::OffsetCommit(response) => response.partitions[0].1,
            other => panic!("no OffsetCommit: {other:?}"),
        }
    }

    pub(super) fn fetched(&self) -> Option<u64> {
        let wanted = GroupOffsetsWanted {
            group: GROUP.into(),
            member: None,
            epoch: -1,
            partitions: Some(vec![orders(0)]),
        };
        let told = self.coordinator.fetch(&wanted);
        assert_eq!(told.error, None);
        told.partitions[0].1.clone().expect("no error").map(|it| it.offset.0)
    }

    /// One member in a stable group of generation 1.
    pub(super) fn settled(&mut self) -> MemberId {
        let (member, caller) = self.joins(1);
        let answer = self.joined(caller);
        assert_eq!((answer.error, answer.generation, answer.members.len()), (None, 1, 1));
        let caller = self.syncs(1, 1, &member, &[(&member, "all")]);
        assert_eq!(self.synced(caller), Ok(Bytes::from_static(b"all")));
        member
    }

    /// Two members in a stable group of generation 2; the first leads.
    pub(super) fn settled_pair(&mut self) -> (MemberId, MemberId) {
        let first = self.settled();
        let (second, waits) = self.joins(2);
        assert_eq!(self.beats(1, 1, &first), Some(ErrorCode::RebalanceInProgress));
        let again = self.rejoins(1, &first);
        assert_eq!(self.joined(again).members.len(), 2);
        assert_eq!(self.joined(waits).leader, first);
        let follower = self.syncs(2, 2, &second, &[]);
        assert_eq!(self.answer(follower), None, "the leader has not said anything yet");
        let leader = self.syncs(1, 2, &first, &[(&first, "one"), (&second, "two")]);
        assert_eq!(self.synced(leader), Ok(Bytes::from_static(b"one")));
        assert_eq!(self.synced(follower), Ok(Bytes::from_static(b"two")));
        (first, second)
    }

    /// Another broker reads the log that there is, as far as it is committed.
    pub(super) fn moves(&mut self) {
        let former = core::mem::replace(&mut self.coordinator, Bench::new().coordinator);
        former.resign(&mut self.events, &mut self.answers);
        let end = Offset(self.paper.records.len() as u64);
        let mut next = Coordinator::new(
            TopicPartition::new(TopicId(3), 0),
            LeaderEpoch(2),
            Offset::ZERO,
            &config(),
            Rng::named(2, "group"),
            self.museum,
        );
        for (at, record) in (0..).map(Offset).zip(&self.paper.records) {
            let mut batch = crate::log::codec::BatchBuilder::new();
            batch.push(Timestamp(1), Some(&record.key()), record.value().as_deref(), &[]);
            let mut batch = batch.build();
            batch.assign(at, LeaderEpoch(1));
            next.load(&batch);
        }
        self.coordinator = next;
        self.act(|it, cx| it.activate(end, cx));
    }
}

#[test]
fn a_group_belongs_where_javas_hash_says() {
    // "test".hashCode() is 3556498 in Java.
    assert_eq!(partition_of(&"test".into(), 50), 48);
    // "polygenelubricants".hashCode() is the least number there is.
    assert_eq!(partition_of(&"polygenelubricants".into(), 50), 0);
}

#[test]
fn members_come_together_and_are_told_what_the_leader_says() {
    let mut bench = Bench::new();
    let (first, second) = bench.settled_pair();
    assert_eq!(bench.beats(1, 2, &first), None);
    assert_eq!(bench.beats(2, 2, &second), None);
    assert_eq!(bench.beats(2, 1, &second), Some(ErrorCode::IllegalGeneration));
    assert_eq!(bench.beats(3, 2, &"nobody".into()), Some(ErrorCode::UnknownMemberId));
}

#[test]
fn the_first_members_wait_for_more() {
    let delay = Duration::from_millis(3_000);
    let mut bench = Bench::of(&BrokerConfig { group_initial_rebalance_delay_ms: delay, ..config() });
    let (_, first) = bench.joins(1);
    bench.pass(2_000);
    let (_, second) = bench.joins(2);
    bench.pass(3_999);
    assert_eq!(bench.answer(first), None, "somebody came while it waited, so it waits again");
    bench.pass(1);
    assert_eq!(bench.joined(first).members.len(), 2);
    assert_eq!(bench.joined(second).generation, 1);
}

#[test]
fn who_is_silent_is_struck_off_and_the_others_join_again() {
    let mut bench = Bench::new();
    let (first, second) = bench.settled_pair();
    for _ in 0..3 {
        bench.pass(4_000);
        let _ = bench.beats(1, 2, &first);
    }
    assert_eq!(bench.beats(1, 2, &first), Some(ErrorCode::RebalanceInProgress));
    assert_eq!(bench.beats(2, 2, &second), Some(ErrorCode::UnknownMemberId));
    let caller = bench.rejoins(1, &first);
    assert_eq!(bench.joined(caller).generation, 3);
    assert!(bench.events.iter().any(|event| matches!(
        event,
        Event::MemberRemoved { member, why: RemovalReason::SessionExpired, .. } if *member == second
    )));
}

#[test]
fn who_does_not_join_again_in_time_is_out() {
    let mut bench = Bench::new();
    let (first, second) = bench.settled_pair();
    let (third, waits) = bench.joins(3);
    let again = bench.rejoins(1, &first);
    for _ in 0..14 {
        bench.pass(4_000);
        let _ = bench.beats(2, 2, &second);
        assert_eq!(bench.answer(waits), None);
    }
    bench.pass(4_000);
    assert_eq!(bench.joined(waits).leader, first);
    assert_eq!(bench.joined(again).members.len(), 2);
    assert_eq!(bench.beats(2, 2, &second), Some(ErrorCode::UnknownMemberId));
    assert_eq!(bench.beats(3, 3, &third), None);
}

#[test]
fn who_does_not_ask_for_its_share_is_out() {
    let mut bench = Bench::new();
    let (first, second) = bench.settled_pair();
    let one = bench.rejoins(1, &first);
    let two = bench.rejoins(2, &second);
    assert_eq!((bench.joined(one).generation, bench.joined(two).generation), (3, 3));
    let leader = bench.syncs(1, 3, &first, &[(&first, "one")]);
    assert!(bench.synced(leader).is_ok());
    for _ in 0..15 {
        bench.pass(4_000);
        let _ = (bench.beats(1, 3, &first), bench.beats(2, 3, &second));
    }
    assert_eq!(bench.beats(1, 3, &first), Some(ErrorCode::RebalanceInProgress));
    assert_eq!(bench.beats(2, 3, &second), Some(ErrorCode::UnknownMemberId));
}

#[test]
fn nobody_hears_of_an_assignment_before_it_is_committed() {
    let mut bench = Bench::new();
    bench.quick = false;
    let (member, caller) = bench.joins(1);
    let _ = bench.joined(caller);
    let caller = bench.syncs(1, 1, &member, &[(&member, "all")]);
    assert_eq!(bench.answer(caller), None);
    bench.commit_all();
    assert_eq!(bench.synced(caller), Ok(Bytes::from_static(b"all")));
}

#[test]
fn an_assignment_that_cannot_be_written_is_made_again() {
    let mut bench = Bench::new();
    let (member, caller) = bench.joins(1);
    let _ = bench.joined(caller);
    bench.paper.refuses = Some(ErrorCode::NotEnoughReplicas);
    let caller = bench.syncs(1, 1, &member, &[(&member, "all")]);
    assert_eq!(bench.synced(caller), Err(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(bench.beats(1, 1, &member), Some(ErrorCode::RebalanceInProgress));
}

#[test]
fn only_a_member_of_the_generation_commits() {
    let mut bench = Bench::new();
    let (first, second) = bench.settled_pair();
    let none = MemberId::default();
    for (generation, member, error) in [
        (2, &first, None),
        (2, &second, None),
        (1, &first, Some(ErrorCode::IllegalGeneration)),
        (2, &"nobody".into(), Some(ErrorCode::UnknownMemberId)),
        (-1, &none, Some(ErrorCode::UnknownMemberId)),
    ] {
        let caller = bench.commits(1, generation, member, 10);
        assert_eq!(bench.committed(caller), error, "{generation} {member}");
    }
    assert_eq!(bench.fetched(), Some(10));
}

#[test]
fn whoever_is_in_no_group_may_remember_offsets_by_one() {
    let mut bench = Bench::new();
    let none = MemberId::default();
    let caller = bench.commits(1, -1, &none, 7);
    assert_eq!(bench.committed(caller), None);
    assert_eq!(bench.fetched(), Some(7));
    let caller = bench.commits(1, 3, &"c1-1".into(), 9);
    assert_eq!(bench.committed(caller), Some(ErrorCode::IllegalGeneration));
}

#[test]
fn a_commit_is_told_and_read_once_it_is_committed() {
    let mut bench = Bench::new();
    let member = bench.settled();
    bench.quick = false;
    let caller = bench.commits(1, 1, &member, 10);
    assert_eq!((bench.answer(caller), bench.fetched()), (None, None));
    bench.commit_all();
    assert_eq!((bench.committed(caller), bench.fetched()), (None, Some(10)));
}

#[test]
fn a_commit_that_takes_too_long_is_told_so_and_may_come_true() {
    let mut bench = Bench::new();
    let member = bench.settled();
    bench.quick = false;
    let caller = bench.commits(1, 1, &member, 10);
    bench.pass(5_000);
    assert_eq!(bench.committed(caller), Some(ErrorCode::CoordinatorNotAvailable));
    bench.commit_all();
    assert_eq!((bench.answer(caller), bench.fetched()), (None, Some(10)));
}

#[test]
fn the_next_coordinator_knows_what_was_committed() {
    let mut bench = Bench::new();
    let (first, second) = bench.settled_pair();
    let caller = bench.commits(1, 2, &first, 10);
    assert_eq!(bench.committed(caller), None);
    bench.quick = false;
    let lost = bench.commits(2, 2, &second, 20);
    // It was never replicated.
    bench.paper.records.pop();
    bench.moves();
    bench.quick = true;
    assert_eq!(bench.committed(lost), Some(ErrorCode::NotCoordinator));
    assert_eq!(bench.fetched(), Some(10));
    assert_eq!((bench.beats(1, 2, &first), bench.beats(2, 2, &second)), (None, None));
    assert_eq!(bench.beats(1, 1, &first), Some(ErrorCode::IllegalGeneration));
}

#[test]
fn a_coordinator_that_reads_its_log_takes_beats_and_nothing_else() {
    let mut bench = Bench::new();
    let member = bench.settled();
    let partition = bench.coordinator.partition();
    let ids = Rng::named(2, "group");
    bench.coordinator =
        Coordinator::new(partition, LeaderEpoch(2), Offset::ZERO, &config(), ids, Museum::CLOSED);
    assert_eq!(bench.beats(1, 1, &member), None);
    let commit = bench.commits(1, 1, &member, 5);
    assert_eq!(bench.committed(commit), Some(ErrorCode::CoordinatorLoadInProgress));
    let join = bench.rejoins(1, &member);
    assert_eq!(bench.joined(join).error, Some(ErrorCode::CoordinatorLoadInProgress));
}

#[test]
fn who_waits_when_the_coordinator_moves_is_told_to_look_for_another() {
    let mut bench = Bench::new();
    let (first, _) = bench.settled_pair();
    let (_, joining) = bench.joins(3);
    let again = bench.rejoins(1, &first);
    bench.moves();
    for caller in [joining, again] {
        assert_eq!(bench.joined(caller).error, Some(ErrorCode::NotCoordinator));
    }
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    let mut bench = Bench::new();
    let nobody = MemberId::default();
    let request = bench.join_request(1, &nobody, Some("till-1"));
    let caller = bench.ask(1, Request::JoinGroup(request.clone()));
    let former = bench.joined(caller).member;
    let caller = bench.syncs(1, 1, &former, &[(&former, "all")]);
    assert!(bench.synced(caller).is_ok());

    let caller = bench.ask(2, Request::JoinGroup(request));
    let answer = bench.joined(caller);
    assert_eq!((answer.error, answer.generation, answer.skip_assignment), (None, 1, true));
    assert_ne!(answer.member, former);
    let caller = bench.syncs(2, 1, &answer.member, &[]);
    assert_eq!(bench.synced(caller), Ok(Bytes::from_static(b"all")));
    // The former process is told that it is not the one any more.
    let request = HeartbeatRequest {
        group: GROUP.into(),
        generation: 1,
        member: former,
        instance: Some("till-1".into()),
    };
    let caller = bench.ask(1, Request::Heartbeat(request));
    let error = Some(ErrorCode::FencedInstanceId);
    assert_eq!(bench.answered(caller), Response::Heartbeat(HeartbeatResponse { error }));
    // And the next coordinator knows the new one: it was written down.
    bench.moves();
    assert_eq!(bench.beats(2, 1, &answer.member), None);
}

#[test]
fn who_leaves_makes_room_at_once() {
    let mut bench = Bench::new();
    let (first, second) = bench.settled_pair();
    let members = vec![LeavingMember { member: second.clone(), instance: None }];
    let caller = bench.ask(2, Request::LeaveGroup(LeaveGroupRequest { group: GROUP.into(), members }));
    let Response::LeaveGroup(answer) = bench.answered(caller) else { panic!("a LeaveGroup answer") };
    assert_eq!(answer.members[0].1, None);
    assert_eq!(bench.beats(2, 2, &second), Some(ErrorCode::UnknownMemberId));
    assert_eq!(bench.beats(1, 2, &first), Some(ErrorCode::RebalanceInProgress));
    let caller = bench.rejoins(1, &first);
    assert_eq!(bench.joined(caller).members.len(), 1);
}

#[test]
fn somebody_who_never_came_back_with_its_id_keeps_nobody_waiting() {
    let mut bench = Bench::new();
    let first = bench.settled();
    let request = bench.join_request(2, &MemberId::default(), None);
    let caller = bench.ask(2, Request::JoinGroup(request));
    assert_eq!(bench.joined(caller).error, Some(ErrorCode::MemberIdRequired));
    let again = bench.rejoins(1, &first);
    assert_eq!(bench.answer(again), None, "it is waited for while it may still come");
    bench.pass(10_000);
    assert_eq!(bench.joined(again).members.len(), 1);
}

#[test]
fn who_knows_no_common_way_to_assign_stays_out() {
    let mut bench = Bench::new();
    let _ = bench.settled();
    let mut request = bench.join_request(2, &MemberId::default(), None);
    request.protocols[0].name = "roundrobin".into();
    let caller = bench.ask(2, Request::JoinGroup(request));
    assert_eq!(bench.joined(caller).error, Some(ErrorCode::InconsistentGroupProtocol));
}

#[test]
fn offsets_of_a_group_without_members_are_forgotten_in_time() {
    let retention = BrokerConfig { offsets_retention_minutes: 1, ..config() };
    let mut bench = Bench::of(&retention);
    let member = bench.settled();
    let caller = bench.commits(1, 1, &member, 10);
    assert_eq!(bench.committed(caller), None);
    for _ in 0..200 {
        bench.pass(4_000);
        assert_eq!(bench.beats(1, 1, &member), None);
    }
    assert_eq!(bench.fetched(), Some(10), "the group lives");
    bench.pass(1_200_000);
    assert_eq!(bench.fetched(), None);
    assert!(bench.events.iter().any(|event| event.kind() == EventKind::OffsetForgotten));
    assert_eq!(bench.coordinator.describe(&GROUP.into()).state, "Dead");
}

#[test]
fn an_operator_deletes_only_what_nobody_uses() {
    let mut bench = Bench::new();
    let member = bench.settled();
    let caller = bench.commits(1, 1, &member, 10);
    assert_eq!(bench.committed(caller), None);
    let request = OffsetDeleteRequest { group: GROUP.into(), partitions: vec![orders(0)] };
    let caller = bench.ask(9, Request::OffsetDelete(request.clone()));
    let Response::OffsetDelete(answer) = bench.answered(caller) else { panic!("an OffsetDelete answer") };
    assert_eq!(answer.partitions[0].1, Some(ErrorCode::GroupSubscribedToTopic));
    let caller =
        Caller { node: NodeId::client(9), connection: ConnectionId(9), correlation: CorrelationId(999) };
    bench.act(|it, cx| it.delete_group(caller, &GROUP.into(), cx));
    let Response::DeleteGroups(answer) = bench.answered(caller) else { panic!("a DeleteGroups answer") };
    assert_eq!(answer.groups[0].1, Some(ErrorCode::NonEmptyGroup));

    bench.pass(20_000);
    let asked = bench.ask(9, Request::OffsetDelete(request));
    let Response::OffsetDelete(answer) = bench.answered(asked) else { panic!("an OffsetDelete answer") };
    assert_eq!((answer.error, answer.partitions[0].1, bench.fetched()), (None, None, None));
    bench.act(|it, cx| it.delete_group(caller, &GROUP.into(), cx));
    let Response::DeleteGroups(answer) = bench.answered(caller) else { panic!("a DeleteGroups answer") };
    assert_eq!(answer.groups[0].1, None);
    assert_eq!(bench.coordinator.list(), Ok(vec![]));
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let mut bench = Bench::new();
    let member = bench.settled();
    let before = bench.paper.records.len();
    let mut request = bench.join_request(2, &MemberId::default(), None);
    request.session_timeout = Duration::from_millis(1);
    let caller = bench.ask(2, Request::JoinGroup(request));
    assert_eq!(bench.joined(caller).error, Some(ErrorCode::InvalidSessionTimeout));
    let long = "x".repeat(5_000);
    let offsets = vec![
        (orders(0), CommittedOffset { offset: Offset(1), epoch: None, metadata: long.as_str().into() }),
        (orders(9), CommittedOffset { offset: Offset(1), epoch: None, metadata: "".into() }),
    ];
    let request = OffsetCommitRequest { group: GROUP.into(), generation: 1, member, instance: None, offsets };
    let caller = bench.ask(1, Request::OffsetCommit(request));
    let Response::OffsetCommit(answer) = bench.answered(caller) else { panic!("an OffsetCommit answer") };
    assert_eq!(answer.partitions[0].1, Some(ErrorCode::OffsetMetadataTooLarge));
    assert_eq!(answer.partitions[1].1, Some(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(bench.paper.records.len(), before);
}

#[cfg(feature = "museum")]
#[test]
fn a_static_member_that_is_back_while_shares_are_told_begins_another_generation() {
    for (bug, begins) in [(None, true), (Some(Bug::StaticJoinDuringCompletingGetsEmpty), false)] {
        let mut bench = Bench::with(bug);
        let request = bench.join_request(1, &MemberId::default(), Some("till"));
        let caller = bench.ask(1, Request::JoinGroup(request.clone()));
        assert_eq!(bench.joined(caller).generation, 1);
        // Its next process comes before the first has asked for its share.
        let caller = bench.ask(1, Request::JoinGroup(request));
        let answer = bench.joined(caller);
        assert_eq!(answer.generation == 2, begins, "{answer:?}");
    }
}

#[cfg(feature = "museum")]
#[test]
fn an_offset_without_a_time_of_its_own_does_not_expire_with_a_failover() {
    for (bug, kept) in [(None, Some(7)), (Some(Bug::DefaultExpireTimestampLoadedAsReal), None)] {
        let mut bench = Bench::with(bug);
        let member = bench.settled();
        let caller = bench.commits(1, 1, &member, 7);
        assert_eq!(bench.committed(caller), None);
        bench.moves();
        assert_eq!(bench.fetched(), Some(7));
        bench.act(|it, cx| it.expire_offsets(cx));
        assert_eq!(bench.fetched(), kept);
    }
}

#[cfg(feature = "museum")]
#[test]
fn what_is_refused_in_one_partition_is_not_pending_in_another() {
    for (bug, told) in
        [(None, Ok(Some(7))), (Some(Bug::PendingCommitLeak), Err(ErrorCode::UnstableOffsetCommit))]
    {
        let mut bench = Bench::with(bug);
        let at = |offset| CommittedOffset { offset: Offset(offset), epoch: None, metadata: "".into() };
        let request = OffsetCommitRequest {
            group: GROUP.into(),
            generation: -1,
            member: MemberId::default(),
            instance: None,
            // There is no partition 9.
            offsets: vec![(orders(9), at(3)), (orders(0), at(7))],
        };
        bench.ask(1, Request::OffsetCommit(request));
        let partitions = Some(vec![orders(0)]);
        let wanted = GroupOffsetsWanted { group: GROUP.into(), member: None, epoch: -1, partitions };
        let answer = bench.coordinator.fetch(&wanted).partitions[0].1.clone();
        assert_eq!(answer.map(|it| it.map(|it| it.offset.0)), told);
    }
}

#[cfg(feature = "museum")]
#[test]
fn who_is_heard_of_and_never_asks_for_its_share_is_out() {
    for (bug, waits) in [(None, false), (Some(Bug::NoSyncTimeout), true)] {
        let mut bench = Bench::with(bug);
        let (member, caller) = bench.joins(1);
        assert_eq!(bench.joined(caller).generation, 1);
        for _ in 0..13 {
            bench.pass(5_000);
            bench.beats(1, 1, &member);
        }
        let state = bench.coordinator.describe(&GROUP.into()).state;
        assert_eq!(state == "CompletingRebalance", waits, "{state}");
    }
}
