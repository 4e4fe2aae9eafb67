//! How is a member played with? What its coordinator, broker 1, answers it.

use bytes::Bytes;

use super::*;
use crate::{
    client::{Application, Topics},
    config::{Assignor, Assignors, Text},
    consumer::protocol::{Assignment, Subscription},
    protocol::{
        group_admin::FindCoordinatorResponse,
        groups::{
            HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, JoinedMember, SyncGroupRequest,
            SyncGroupResponse,
        },
        offsets::{
            CommittedOffset, GroupOffsets, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchResponse,
        },
    },
};

pub(super) type Play = Script<Consumer>;

pub(super) fn member_config() -> ConsumerConfig {
    ConsumerConfig { group_id: Text("g".into()), ..config(AutoOffsetReset::Earliest) }
}

pub(super) fn cooperative() -> ConsumerConfig {
    let strategies = Assignors(vec![Assignor::CooperativeSticky]);
    ConsumerConfig { partition_assignment_strategy: strategies, ..member_config() }
}

/// One that wants to read `orders` with its group, and knows nothing.
pub(super) fn fresh(config: ConsumerConfig, application: Application) -> Play {
    fresh_in(Museum::CLOSED, config, application)
}

/// The same with a bug.
pub(super) fn fresh_in(museum: Museum, config: ConsumerConfig, application: Application) -> Play {
    let mut play = Script::start(Consumer::new(setup(museum), config));
    play.tell(Command::Subscribe(Topics::Named(vec!["orders".into()]), application));
    play
}

/// The same, which knows its coordinator and its topic, led by brokers 2 and 3.
pub(super) fn subscribed(config: ConsumerConfig, application: Application) -> Play {
    let mut play = fresh(config, application);
    coordinator(&mut play, Ok(1));
    play.metadata(&[(2, 5), (3, 5)]);
    play
}

/// Its coordinator is this broker.
pub(super) fn coordinator(play: &mut Play, result: Result<u32, ErrorCode>) {
    let question = play.question(ApiKey::FindCoordinator);
    let coordinators = vec![("g".into(), result.map(NodeId::broker))];
    play.answer(&question, Response::FindCoordinator(FindCoordinatorResponse { coordinators }));
}

pub(super) fn refuse_join(play: &mut Play, error: ErrorCode) -> JoinGroupRequest {
    let question = play.question(ApiKey::JoinGroup);
    let Request::JoinGroup(request) = question.request.clone() else { panic!("another question") };
    let id = if error == ErrorCode::MemberIdRequired { "me".into() } else { request.member.clone() };
    play.answer(&question, Response::JoinGroup(JoinGroupResponse::refused(error, id)));
    request
}

/// It is a member of a generation; under the protocol it likes best, led by somebody else.
pub(super) fn follow(play: &mut Play, generation: i32) -> JoinGroupRequest {
    join(play, generation, "other", vec![], false)
}

pub(super) fn join(
    play: &mut Play,
    generation: i32,
    leader: &str,
    members: Vec<JoinedMember>,
    skip_assignment: bool,
) -> JoinGroupRequest {
    let question = play.question(ApiKey::JoinGroup);
    let Request::JoinGroup(request) = question.request.clone() else { panic!("another question") };
    let response = JoinGroupResponse {
        error: None,
        generation,
        protocol_type: Some("consumer".into()),
        protocol: Some(request.protocols[0].name.clone()),
        leader: leader.into(),
        skip_assignment,
        member: "me".into(),
        members,
    };
    play.answer(&question, Response::JoinGroup(response));
    request
}

/// It is given these partitions of `orders`.
pub(super) fn share(play: &mut Play, partitions: &[u32]) -> SyncGroupRequest {
    let partitions = partitions.iter().map(|partition| named(*partition)).collect();
    sync(play, None, Assignment { partitions, user_data: None }.encode())
}

pub(super) fn sync(play: &mut Play, error: Option<ErrorCode>, assignment: Bytes) -> SyncGroupRequest {
    let question = play.question(ApiKey::SyncGroup);
    let Request::SyncGroup(request) = question.request.clone() else { panic!("another question") };
    let (protocol_type, protocol) = (Some("consumer".into()), request.protocol.clone());
    let response = SyncGroupResponse { error, protocol_type, protocol, assignment };
    play.answer(&question, Response::SyncGroup(response));
    request
}

pub(super) fn heartbeat(play: &mut Play, error: Option<ErrorCode>) {
    let question = play.question(ApiKey::Heartbeat);
    play.answer(&question, Response::Heartbeat(HeartbeatResponse { error }));
}

/// Its group has come so far in each of the partitions it asks about; says which those are.
pub(super) fn committed(play: &mut Play, result: Result<Option<u64>, ErrorCode>) -> Vec<u32> {
    let question = play.question(ApiKey::OffsetFetch);
    let Request::OffsetFetch(request) = &question.request else { panic!("another question") };
    let asked = request.groups[0].partitions.clone().expect("named");
    let at = |offset| CommittedOffset { offset: Offset(offset), epoch: None, metadata: "".into() };
    let told = asked.iter().map(|named| (named.clone(), result.map(|offset| offset.map(at))));
    let group = GroupOffsets { group: "g".into(), error: None, partitions: told.collect() };
    play.answer(&question, Response::OffsetFetch(OffsetFetchResponse { groups: vec![group] }));
    asked.iter().map(|named| named.partition).collect()
}

/// `me 1: 0@5 1@7` of the next commit, which is answered so.
pub(super) fn commit(play: &mut Play, error: Option<ErrorCode>) -> String {
    let question = play.question(ApiKey::OffsetCommit);
    let Request::OffsetCommit(request) = &question.request else { panic!("another question") };
    let shown = shown(request);
    let partitions = request.offsets.iter().map(|(named, _)| (named.clone(), error)).collect();
    play.answer(&question, Response::OffsetCommit(OffsetCommitResponse { partitions }));
    shown
}

pub(super) fn shown(request: &OffsetCommitRequest) -> String {
    let mut shown = format!("{} {}:", request.member, request.generation);
    for (named, at) in &request.offsets {
        shown += &format!(" {}@{}", named.partition, at.offset);
    }
    shown
}

/// A member of generation 1 that reads partitions from offset 5 on.
pub(super) fn member(config: ConsumerConfig, application: Application, partitions: &[u32]) -> Play {
    member_in(Museum::CLOSED, config, application, partitions)
}

/// The same with a bug.
pub(super) fn member_in(
    museum: Museum,
    config: ConsumerConfig,
    application: Application,
    partitions: &[u32],
) -> Play {
    let mut play = fresh_in(museum, config, application);
    coordinator(&mut play, Ok(1));
    play.metadata(&[(2, 5), (3, 5)]);
    refuse_join(&mut play, ErrorCode::MemberIdRequired);
    follow(&mut play, 1);
    share(&mut play, partitions);
    if !partitions.is_empty() {
        committed(&mut play, Ok(Some(5)));
    }
    play.events.clear();
    play
}

/// Another member, as a leader is told of it.
pub(super) fn other(id: &str, topics: &[&str]) -> JoinedMember {
    let subscription = Subscription {
        topics: topics.iter().map(|topic| (*topic).into()).collect(),
        user_data: None,
        owned: vec![],
        generation: -1,
        rack: None,
    };
    JoinedMember { member: id.into(), instance: None, metadata: subscription.encode() }
}

/// The partitions of the latest event about what it owns, and whether what it had was lost.
pub(super) fn owned(play: &mut Play) -> (Vec<u32>, bool) {
    match play.told_of(EventKind::PartitionsOwned).pop() {
        Some(Event::PartitionsOwned { partitions, lost, .. }) => {
            (partitions.iter().map(|it| it.partition).collect(), lost)
        }
        other => panic!("{other:?}"),
    }
}

/// How it lost its membership, every time.
pub(super) fn lost(play: &mut Play) -> Vec<crate::event::MembershipEnd> {
    let why = |event| match event {
        Event::MembershipLost { why, .. } => why,
        other => panic!("{other:?}"),
    };
    play.told_of(EventKind::MembershipLost).into_iter().map(why).collect()
}

/// Records at offsets from `base` on come for the partition of the next fetch.
pub(super) fn records(play: &mut Play, base: u64, count: u64) {
    let (_, question) = next_fetch(play);
    fetched(play, &question, Ok(vec![batch(base, count, 5, false)]));
}
