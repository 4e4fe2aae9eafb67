//! Does a group remember how far it has come, and no further?

use core::time::Duration;

use super::{group::*, *};
use crate::{
    client::Application,
    event::{CommitReason, MembershipEnd},
};

fn calm() -> Application {
    Application::default()
}

/// What became of its commits: `ack 5`, `NOT_COORDINATOR again`.
fn outcomes(play: &mut Play) -> Vec<String> {
    let shown = |event: &Event| match event {
        Event::CommitAcked { offset, .. } => Some(format!("ack {offset}")),
        Event::CommitFailed { error, retried, .. } => {
            Some(format!("{error}{}", if *retried { " again" } else { "" }))
        }
        _ => None,
    };
    let shown = play.events.iter().filter_map(shown).collect();
    play.events.clear();
    shown
}

#[test]
fn what_earlier_polls_returned_is_committed_by_itself() {
    let mut play = member(member_config(), calm(), &[0]);
    play.pass(4_000);
    records(&mut play, 5, 2);
    play.pass(999);
    assert_eq!(play.unanswered(ApiKey::OffsetCommit), 0);
    play.pass(1);
    let sent = play.told_of(EventKind::CommitSent);
    assert!(matches!(sent[..], [Event::CommitSent { offset: Offset(7), why: CommitReason::Auto, .. }]));
    heartbeat(&mut play, None);
    let (_, question) = next_fetch(&mut play);
    fetched(&mut play, &question, Ok(vec![]));
    assert_eq!(commit(&mut play, None), "me 1: 0@7");
    assert_eq!(outcomes(&mut play), ["ack 7"]);
    play.pass(5_000);
    assert_eq!(play.unanswered(ApiKey::OffsetCommit), 1);
}

#[test]
fn an_auto_commit_that_failed_is_made_anew_soon_and_counts_as_failed() {
    let mut play = member(member_config(), calm(), &[0]);
    play.pass(3_000);
    heartbeat(&mut play, None);
    play.pass(2_000);
    commit(&mut play, Some(ErrorCode::CoordinatorLoadInProgress));
    assert_eq!(outcomes(&mut play), ["COORDINATOR_LOAD_IN_PROGRESS"]);
    play.pass(100);
    assert_eq!(commit(&mut play, None), "me 1: 0@5");
}

#[test]
fn a_commit_that_is_waited_for_is_tried_until_it_is_taken() {
    let config = ConsumerConfig { enable_auto_commit: false, ..member_config() };
    let mut play = member(config, calm(), &[0]);
    play.tell(Command::Commit(true));
    commit(&mut play, Some(ErrorCode::NotCoordinator));
    assert_eq!(outcomes(&mut play), ["NOT_COORDINATOR again"]);
    coordinator(&mut play, Ok(3));
    play.pass(100);
    assert_eq!(commit(&mut play, None), "me 1: 0@5");
    assert_eq!(outcomes(&mut play), ["ack 5"]);
}

#[test]
fn a_commit_that_is_waited_for_is_given_up_in_the_end() {
    let mut config = ConsumerConfig { enable_auto_commit: false, ..member_config() };
    config.default_api_timeout_ms = Duration::from_secs(1);
    let mut play = member(config, calm(), &[0]);
    play.tell(Command::Commit(true));
    for _ in 0..20 {
        if play.unanswered(ApiKey::OffsetCommit) > 0 {
            commit(&mut play, Some(ErrorCode::UnknownTopicOrPartition));
        }
        play.pass(100);
    }
    assert_eq!(outcomes(&mut play).last().expect("some"), "REQUEST_TIMED_OUT");
    records(&mut play, 5, 1);
    assert_eq!(delivered(&mut play), [5], "it polls on");
}

#[test]
fn a_commit_that_nobody_waits_for_is_not_tried_again() {
    let config = ConsumerConfig { enable_auto_commit: false, ..member_config() };
    let mut play = member(config, calm(), &[0]);
    play.tell(Command::Commit(false));
    commit(&mut play, Some(ErrorCode::RequestTimedOut));
    assert_eq!(outcomes(&mut play), ["REQUEST_TIMED_OUT"]);
    coordinator(&mut play, Ok(1));
    play.pass(2_000);
    assert_eq!(play.unanswered(ApiKey::OffsetCommit), 0);
}

#[test]
fn a_commit_of_a_former_generation_fences_and_one_in_a_rebalance_does_not() {
    let config = ConsumerConfig { enable_auto_commit: false, ..member_config() };
    let mut play = member(config.clone(), calm(), &[0]);
    play.tell(Command::Commit(true));
    commit(&mut play, Some(ErrorCode::IllegalGeneration));
    assert_eq!(lost(&mut play), [MembershipEnd::Fenced]);
    assert_eq!(owned(&mut play), (vec![], true));
    let mut play = member(config, calm(), &[0]);
    play.tell(Command::Commit(true));
    commit(&mut play, Some(ErrorCode::RebalanceInProgress));
    assert_eq!(lost(&mut play), [MembershipEnd::Rebalance]);
    assert_eq!(owned(&mut play), (vec![], false));
}

#[test]
fn between_two_generations_nothing_can_be_committed() {
    let mut config = cooperative();
    config.enable_auto_commit = false;
    let mut play = member(config, calm(), &[0]);
    play.pass(3_000);
    heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
    assert_eq!(play.unanswered(ApiKey::JoinGroup), 1);
    play.events.clear();
    play.tell(Command::Commit(true));
    assert_eq!(
        (play.unanswered(ApiKey::OffsetCommit), outcomes(&mut play)),
        (0, vec!["REBALANCE_IN_PROGRESS".into()])
    );
}

#[test]
fn a_commit_before_a_rebalance_is_tried_as_long_as_the_others_wait() {
    let mut config = member_config();
    config.max_poll_interval_ms = Duration::from_secs(2);
    let mut play = member(config, calm(), &[0]);
    play.pass(3_000);
    heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
    commit(&mut play, Some(ErrorCode::CoordinatorLoadInProgress));
    play.pass(100);
    assert_eq!(play.unanswered(ApiKey::JoinGroup), 0);
    // Records that come meanwhile would get ahead of what is being committed.
    records(&mut play, 5, 2);
    assert_eq!(delivered(&mut play), []);
    for _ in 0..30 {
        if play.unanswered(ApiKey::OffsetCommit) > 0 {
            commit(&mut play, Some(ErrorCode::CoordinatorLoadInProgress));
        }
        play.pass(100);
    }
    assert_eq!((play.unanswered(ApiKey::JoinGroup), owned(&mut play)), (1, (vec![], false)));
}

/// Its application may have committed what it was given meanwhile: said again as it was, the group would go back.
#[test]
fn a_commit_before_a_rebalance_says_again_where_a_member_that_reads_on_has_come() {
    let application = Application { per_record: Duration::from_millis(200), ..calm() };
    let mut play = member(cooperative(), application, &[0]);
    play.pass(3_000);
    heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
    records(&mut play, 5, 2);
    assert_eq!(commit(&mut play, Some(ErrorCode::CoordinatorLoadInProgress)), "me 1: 0@5");
    assert_eq!(outcomes(&mut play).last().expect("some"), "COORDINATOR_LOAD_IN_PROGRESS again");
    play.pass(399);
    assert_eq!(play.unanswered(ApiKey::OffsetCommit), 0, "its application is still at it");
    play.pass(1);
    assert_eq!(commit(&mut play, None), "me 1: 0@7");
    assert_eq!(play.unanswered(ApiKey::JoinGroup), 1);
}

#[test]
fn who_reads_what_it_is_told_to_may_have_a_group_that_remembers() {
    let mut play = Script::start(Consumer::new(setup(Museum::CLOSED), member_config()));
    play.tell(Command::Assign(vec![named(0)]));
    play.metadata(&[(2, 5)]);
    coordinator(&mut play, Ok(1));
    assert_eq!(committed(&mut play, Ok(Some(3))), [0]);
    assert_eq!(play.unanswered(ApiKey::JoinGroup), 0);
    play.tell(Command::Commit(true));
    assert_eq!(commit(&mut play, None), " -1: 0@3");
}

#[test]
fn what_was_to_be_committed_before_a_rebalance_is_not_said_by_another_member() {
    let rests = Duration::from_secs(5);
    let config = ConsumerConfig { retry_backoff_ms: rests, retry_backoff_max_ms: rests, ..member_config() };
    let mut play = member(config, calm(), &[0]);
    records(&mut play, 5, 2);
    play.pass(3_000);
    heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
    assert_eq!(commit(&mut play, Some(ErrorCode::CoordinatorLoadInProgress)), "me 1: 0@7");
    play.pass(3_000);
    heartbeat(&mut play, Some(ErrorCode::UnknownMemberId));
    play.pass(6_000);
    assert_eq!(lost(&mut play), [MembershipEnd::Rebalance, MembershipEnd::Fenced]);
    assert_eq!(play.unanswered(ApiKey::OffsetCommit), 0);
}

#[test]
fn what_a_member_said_is_not_said_again_by_who_is_none_any_more() {
    let config = ConsumerConfig {
        enable_auto_commit: false,
        group_instance_id: crate::config::Text("i".into()),
        ..member_config()
    };
    let mut play = member(config, calm(), &[0]);
    play.tell(Command::Commit(true));
    commit(&mut play, Some(ErrorCode::CoordinatorLoadInProgress));
    play.tell(Command::Unsubscribe);
    play.pass(2_000);
    assert_eq!(outcomes(&mut play), ["COORDINATOR_LOAD_IN_PROGRESS again", "UNKNOWN_MEMBER_ID"]);
    assert_eq!(play.unanswered(ApiKey::OffsetCommit), 0);
}

/// Kafka sends it once it has found the coordinator, as nobody's: an empty group then goes back.
#[test]
fn what_a_member_could_not_say_for_want_of_a_coordinator_is_not_said_by_who_is_none_any_more() {
    let config = ConsumerConfig {
        enable_auto_commit: false,
        group_instance_id: crate::config::Text("i".into()),
        ..member_config()
    };
    let mut play = member(config, calm(), &[0]);
    play.pass(3_000);
    heartbeat(&mut play, Some(ErrorCode::NotCoordinator));
    play.tell(Command::Commit(false));
    play.tell(Command::Unsubscribe);
    play.pass(200);
    coordinator(&mut play, Ok(1));
    play.pass(200);
    assert_eq!(outcomes(&mut play), ["UNKNOWN_MEMBER_ID"]);
    assert_eq!(play.unanswered(ApiKey::OffsetCommit), 0);
}
