//! Does a consumer become a member, again and again, whatever the coordinator says?

use alloc::sync::Arc;

use super::{group::*, *};
use crate::{
    client::{Application, Topics},
    config::Text,
    consumer::protocol::{Assignment, Subscription},
    event::MembershipEnd,
    protocol::groups::JoinedMember,
    units::MemberId,
};

fn calm() -> Application {
    Application::default()
}

fn me(topics: &[&str]) -> JoinedMember {
    other("me", topics)
}

/// What it tells its leader under the protocol it likes best.
fn told(play: &mut Play, generation: i32) -> Subscription {
    Subscription::decode(&follow(play, generation).protocols[0].metadata).expect("Kafka's bytes")
}

#[test]
fn a_consumer_finds_its_coordinator_joins_and_reads_from_where_its_group_is() {
    let mut play = subscribed(member_config(), calm());
    let first = refuse_join(&mut play, ErrorCode::MemberIdRequired);
    assert_eq!((first.member, first.id_first), (MemberId::default(), true));
    let names: Vec<Arc<str>> = first.protocols.iter().map(|it| it.name.clone()).collect();
    assert_eq!(names, ["range".into(), "cooperative-sticky".into()]);
    assert_eq!(follow(&mut play, 1).member, "me".into());
    let request = share(&mut play, &[0]);
    assert_eq!((request.generation, request.assignments), (1, vec![]));
    assert_eq!(owned(&mut play), (vec![0], false));
    assert_eq!(play.unanswered(ApiKey::Fetch), 0, "it is to be told where to begin");
    assert_eq!(committed(&mut play, Ok(Some(5))), [0]);
    assert!(matches!(
        play.told_of(EventKind::PositionMoved)[..],
        [Event::PositionMoved { from: None, to: Offset(5), why: SeekReason::Committed, .. }]
    ));
    assert_eq!(next_fetch(&mut play).0, "2: 0@5");
}

#[test]
fn where_nothing_is_committed_the_reset_policy_says() {
    let mut play = subscribed(member_config(), calm());
    follow(&mut play, 1);
    share(&mut play, &[0]);
    committed(&mut play, Err(ErrorCode::UnstableOffsetCommit));
    play.pass(100);
    committed(&mut play, Ok(None));
    assert_eq!(offset(&mut play, Ok(Some((0, 5)))), OffsetSpec::Earliest);
    assert_eq!(next_fetch(&mut play).0, "2: 0@0");
}

#[test]
fn a_coordinator_is_looked_for_until_it_is_found() {
    let mut play = fresh(member_config(), calm());
    coordinator(&mut play, Err(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(play.unanswered(ApiKey::FindCoordinator), 0, "it rests");
    play.metadata(&[(2, 5)]);
    play.pass(100);
    play.questions.retain(|question| question.request.api() != ApiKey::Metadata);
    coordinator(&mut play, Ok(1));
    refuse_join(&mut play, ErrorCode::NotCoordinator);
    assert_eq!(play.unanswered(ApiKey::JoinGroup), 0);
    coordinator(&mut play, Ok(3));
    play.pass(100);
    assert_eq!(play.question(ApiKey::JoinGroup).to, NodeId::broker(3));
}

#[test]
fn a_join_waits_longer_than_a_request_and_blocks_no_other_connection() {
    let mut config = member_config();
    config.max_poll_interval_ms = core::time::Duration::from_secs(60);
    let mut play = subscribed(config, calm());
    play.pass(64_000);
    assert_eq!(play.unanswered(ApiKey::JoinGroup), 1);
    play.pass(1_500);
    assert!(play.closed.contains(&NodeId::broker(1)), "65 s have passed");
    play.questions.retain(|question| question.request.api() != ApiKey::Metadata);
    coordinator(&mut play, Ok(1));
    play.pass(1_000);
    assert_eq!(play.unanswered(ApiKey::JoinGroup), 1);
}

#[test]
fn a_coordinator_that_loads_is_asked_again_and_one_that_rebalances_at_once() {
    let mut play = subscribed(member_config(), calm());
    refuse_join(&mut play, ErrorCode::CoordinatorLoadInProgress);
    assert_eq!(play.unanswered(ApiKey::JoinGroup), 0);
    play.pass(100);
    refuse_join(&mut play, ErrorCode::RebalanceInProgress);
    follow(&mut play, 1);
    sync(&mut play, Some(ErrorCode::RebalanceInProgress), bytes::Bytes::new());
    assert_eq!(follow(&mut play, 2).member, "me".into());
    sync(&mut play, Some(ErrorCode::UnknownMemberId), bytes::Bytes::new());
    assert_eq!(lost(&mut play), [MembershipEnd::Fenced]);
    assert_eq!(follow(&mut play, 3).member, MemberId::default());
    sync(&mut play, Some(ErrorCode::IllegalGeneration), bytes::Bytes::new());
    assert_eq!(follow(&mut play, 4).member, "me".into(), "the id may still be known");
    share(&mut play, &[1]);
    assert_eq!(owned(&mut play), (vec![1], false));
}

#[test]
fn a_rebalance_is_told_by_a_heartbeat_and_everything_given_up_after_a_commit() {
    let mut play = member(member_config(), calm(), &[0]);
    play.pass(3_000);
    heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
    assert_eq!(lost(&mut play), [MembershipEnd::Rebalance]);
    assert_eq!(play.unanswered(ApiKey::JoinGroup), 0, "it commits first");
    assert_eq!(commit(&mut play, None), "me 1: 0@5");
    assert_eq!(owned(&mut play), (vec![], false));
    let said = told(&mut play, 2);
    assert_eq!((said.owned, said.generation), (vec![], 1));
    share(&mut play, &[0, 1]);
    assert_eq!(owned(&mut play), (vec![0, 1], false));
    assert_eq!(committed(&mut play, Ok(Some(6))), [0, 1]);
}

#[test]
fn who_is_fenced_has_lost_what_it_owned_and_commits_nothing() {
    for (error, id) in [(ErrorCode::UnknownMemberId, ""), (ErrorCode::IllegalGeneration, "me")] {
        let mut play = member(member_config(), calm(), &[0]);
        play.pass(3_000);
        heartbeat(&mut play, Some(error));
        assert_eq!(lost(&mut play), [MembershipEnd::Fenced]);
        assert_eq!(owned(&mut play), (vec![], true));
        assert_eq!(play.unanswered(ApiKey::OffsetCommit), 0);
        assert_eq!(follow(&mut play, 4).member, id.into());
    }
}

#[test]
fn a_fenced_instance_stops_for_good() {
    let config = ConsumerConfig { group_instance_id: Text("i".into()), ..member_config() };
    let mut play = member(config, calm(), &[0]);
    play.pass(3_000);
    heartbeat(&mut play, Some(ErrorCode::FencedInstanceId));
    assert_eq!(lost(&mut play), [MembershipEnd::InstanceFenced]);
    assert_eq!(owned(&mut play), (vec![], true));
    play.questions.clear();
    play.pass(60_000);
    assert_eq!(play.unanswered(ApiKey::JoinGroup) + play.unanswered(ApiKey::Heartbeat), 0);
    play.tell(Command::Shutdown);
    assert!(play.halted);
}

/// Another has its name before it was ever in a generation.
#[test]
fn who_is_fenced_on_its_way_in_says_so() {
    let config = ConsumerConfig { group_instance_id: Text("i".into()), ..member_config() };
    let mut play = subscribed(config, calm());
    refuse_join(&mut play, ErrorCode::FencedInstanceId);
    assert_eq!(lost(&mut play), [MembershipEnd::InstanceFenced]);
    play.pass(60_000);
    assert_eq!(play.unanswered(ApiKey::JoinGroup), 0);
}

#[test]
fn a_heartbeat_to_a_former_coordinator_has_another_looked_for() {
    let mut play = member(member_config(), calm(), &[0]);
    play.pass(3_000);
    heartbeat(&mut play, Some(ErrorCode::NotCoordinator));
    coordinator(&mut play, Ok(2));
    play.pass(100);
    assert_eq!(play.question(ApiKey::Heartbeat).to, NodeId::broker(2));
    assert_eq!(lost(&mut play), [], "it is a member still");
}

#[test]
fn without_an_answer_for_a_session_the_coordinator_is_looked_for_again() {
    let mut config = member_config();
    config.session_timeout_ms = core::time::Duration::from_secs(10);
    let mut play = member(config, calm(), &[0]);
    play.pass(9_999);
    assert_eq!((play.unanswered(ApiKey::Heartbeat), play.unanswered(ApiKey::FindCoordinator)), (1, 0));
    play.pass(1);
    assert_eq!((play.unanswered(ApiKey::Heartbeat), play.unanswered(ApiKey::FindCoordinator)), (0, 1));
}

#[test]
fn a_leader_says_who_reads_what_once_it_knows_all_topics() {
    let mut play = subscribed(member_config(), calm());
    join(&mut play, 1, "me", vec![me(&["orders"]), other("you", &["orders", "other"])], false);
    assert_eq!(play.unanswered(ApiKey::SyncGroup), 0, "it has not heard of one topic");
    play.pass(100);
    let question = play.question(ApiKey::Metadata);
    let mut response = crate::client::scripted::metadata(&[(2, 5), (3, 5)]);
    if let Response::Metadata(response) = &mut response {
        let mut gone = response.topics[0].clone();
        gone.topic = crate::protocol::TopicRef::Name("other".into());
        (gone.name, gone.id) = (Some("other".into()), None);
        gone.error = Some(ErrorCode::UnknownTopicOrPartition);
        response.topics.push(gone);
    }
    play.answer(&question, response);
    let request = share(&mut play, &[0]);
    let shares = request.assignments.iter().map(|(id, bytes)| {
        let partitions = Assignment::decode(bytes).expect("Kafka's bytes").partitions;
        (id.as_str(), partitions.iter().map(|it| it.partition).collect())
    });
    assert_eq!(shares.collect::<Vec<(&str, Vec<u32>)>>(), [("me", vec![0]), ("you", vec![1])]);
}

#[test]
fn a_leader_has_all_join_again_when_a_topic_has_more_partitions() {
    for skip in [false, true] {
        let mut play = subscribed(member_config(), calm());
        join(&mut play, 1, "me", vec![me(&["orders"])], skip);
        let request = share(&mut play, &[0, 1]);
        assert_eq!(request.assignments.is_empty(), skip, "a leader that is back leaves it as it was");
        committed(&mut play, Ok(Some(5)));
        play.client.view.want_update();
        play.pass(100);
        play.metadata(&[(2, 5), (3, 5), (2, 5)]);
        assert_eq!(lost(&mut play), [MembershipEnd::Rebalance]);
        commit(&mut play, None);
        assert_eq!(play.unanswered(ApiKey::JoinGroup), 1);
    }
}

#[test]
fn who_follows_does_not_mind_how_many_partitions_there_are() {
    let mut play = member(member_config(), calm(), &[0]);
    play.client.view.want_update();
    play.pass(100);
    play.metadata(&[(2, 5), (3, 5), (2, 5)]);
    assert_eq!((lost(&mut play), play.unanswered(ApiKey::JoinGroup)), (vec![], 0));
}

#[test]
fn another_subscription_is_told_the_group() {
    let mut play = member(member_config(), calm(), &[0]);
    play.tell(Command::Subscribe(Topics::Named(vec!["orders".into(), "other".into()]), calm()));
    commit(&mut play, None);
    assert_eq!(told(&mut play, 2).topics, ["orders".into(), "other".into()]);
}

#[test]
fn a_pattern_means_what_fits_it_and_is_there() {
    let mut play = Script::start(Consumer::new(setup(Museum::CLOSED), member_config()));
    play.tell(Command::Subscribe(Topics::Pattern("or.*|z".into()), calm()));
    coordinator(&mut play, Ok(1));
    assert_eq!(play.unanswered(ApiKey::JoinGroup), 0, "it does not know what is there");
    let question = play.question(ApiKey::Metadata);
    let Request::Metadata(request) = &question.request else { panic!("another question") };
    assert_eq!(request.topics, None);
    play.answer(&question, crate::client::scripted::metadata(&[(2, 5), (3, 5)]));
    assert_eq!(told(&mut play, 1).topics, ["orders".into()]);
    share(&mut play, &[0]);
    committed(&mut play, Ok(Some(5)));
    play.client.view.want_update();
    play.pass(100);
    let question = play.question(ApiKey::Metadata);
    let mut response = crate::client::scripted::metadata(&[]);
    if let Response::Metadata(response) = &mut response {
        response.topics.clear();
    }
    play.answer(&question, response);
    assert_eq!(lost(&mut play), [MembershipEnd::Rebalance], "what fits is another set");
}

#[test]
fn cooperative_members_read_on_and_give_up_only_what_is_not_theirs() {
    let mut play = member(cooperative(), calm(), &[0, 1]);
    play.pass(3_000);
    heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
    assert_eq!(commit(&mut play, None), "me 1: 0@5 1@5");
    assert_eq!(play.told_of(EventKind::PartitionsOwned), []);
    records(&mut play, 5, 2);
    assert_eq!(delivered(&mut play), [5, 6], "while the join waits");
    play.pass(1);
    let said = told(&mut play, 2);
    assert_eq!((said.owned, said.generation), (vec![named(0), named(1)], 1));
    share(&mut play, &[0]);
    assert_eq!(owned(&mut play), (vec![0], false));
    // It has given something up: all join again, so that somebody else may have it.
    assert_eq!(commit(&mut play, None), "me 2: 0@7");
    assert_eq!(told(&mut play, 3).owned, [named(0)]);
    share(&mut play, &[0]);
    play.pass(1_000);
    assert_eq!((play.unanswered(ApiKey::JoinGroup), play.unanswered(ApiKey::OffsetFetch)), (0, 0));
}

#[test]
fn a_sticky_member_says_what_it_had() {
    let strategies = crate::config::Assignors(vec![crate::config::Assignor::Sticky]);
    let config = ConsumerConfig { partition_assignment_strategy: strategies, ..member_config() };
    let mut play = member(config, calm(), &[1]);
    play.pass(3_000);
    heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
    commit(&mut play, None);
    let said = told(&mut play, 2);
    let had = crate::consumer::protocol::decode_sticky(&said.user_data.expect("what it had"));
    assert_eq!((said.owned, had), (vec![], Some((vec![named(1)], 1))));
}

#[test]
fn an_assignment_of_what_it_does_not_want_has_it_join_again() {
    let mut play = subscribed(member_config(), calm());
    follow(&mut play, 1);
    let partitions = vec![NamedPartition { topic: "other".into(), partition: 0 }];
    sync(&mut play, None, Assignment { partitions, user_data: None }.encode());
    assert_eq!((play.told_of(EventKind::PartitionsOwned), play.unanswered(ApiKey::JoinGroup)), (vec![], 1));
}

#[test]
fn who_is_given_what_it_has_never_heard_of_tells_of_its_generation_all_the_same() {
    let mut play = subscribed(member_config(), calm());
    follow(&mut play, 1);
    share(&mut play, &[9]);
    assert_eq!(owned(&mut play), (vec![], false));
}

#[test]
fn what_is_kept_while_somebody_knows_of_no_such_topic_is_told_as_kept_and_what_is_new_is_not() {
    let mut play = member(cooperative(), calm(), &[0]);
    play.client.view.want_update();
    play.pass(200);
    play.no_such_topic();
    play.pass(3_000);
    heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
    commit(&mut play, None);
    play.pass(1);
    follow(&mut play, 2);
    share(&mut play, &[0, 1]);
    assert_eq!(owned(&mut play), (vec![0], false));
    play.metadata(&[(2, 5), (3, 5)]);
    assert_eq!(owned(&mut play), (vec![0, 1], false));
    assert_eq!(committed(&mut play, Ok(Some(7))), [1]);
}
