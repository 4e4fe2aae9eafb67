//! Does a member go in an orderly way, and does it always end?

use core::time::Duration;

use super::{group::*, *};
use crate::{
    client::{Application, Commits},
    config::Text,
    event::MembershipEnd,
    protocol::groups::LeaveGroupResponse,
};

fn calm() -> Application {
    Application::default()
}

fn slow(commits: Commits) -> Application {
    Application { per_record: Duration::from_secs(1), commits }
}

/// Its LeaveGroup is answered; who it says leaves.
fn left(play: &mut Play) -> String {
    let question = play.question(ApiKey::LeaveGroup);
    let Request::LeaveGroup(request) = question.request.clone() else { panic!("another question") };
    play.answer(&question, Response::LeaveGroup(LeaveGroupResponse { error: None, members: vec![] }));
    format!("{}", request.members[0].member)
}

#[test]
fn who_unsubscribes_leaves_and_reads_nothing() {
    let mut play = member(member_config(), calm(), &[0]);
    play.tell(Command::Unsubscribe);
    assert_eq!((owned(&mut play), lost(&mut play)), ((vec![], false), vec![MembershipEnd::Left]));
    assert_eq!(left(&mut play), "me");
    play.questions.clear();
    play.pass(10_000);
    assert_eq!(play.unanswered(ApiKey::Fetch) + play.unanswered(ApiKey::JoinGroup), 0);
    play.tell(Command::Subscribe(crate::client::Topics::Named(vec!["orders".into()]), calm()));
    play.pass(1_000);
    follow(&mut play, 2);
    share(&mut play, &[1]);
    assert_eq!(owned(&mut play), (vec![1], false));
}

#[test]
fn who_unsubscribes_on_its_way_in_says_so() {
    let mut play = subscribed(member_config(), calm());
    play.tell(Command::Unsubscribe);
    assert_eq!(lost(&mut play), vec![MembershipEnd::Left]);
}

#[test]
fn who_ends_commits_leaves_and_then_halts() {
    let mut play = member(member_config(), calm(), &[0]);
    records(&mut play, 5, 3);
    play.pass(1);
    play.tell(Command::Shutdown);
    assert_eq!(commit(&mut play, None), "me 1: 0@8");
    assert!(!play.halted);
    assert_eq!((owned(&mut play), lost(&mut play)), ((vec![], false), vec![MembershipEnd::Left]));
    assert_eq!(left(&mut play), "me");
    assert!(play.halted);
}

#[test]
fn who_ends_finishes_its_work_and_does_not_commit_what_it_has_not_done() {
    let mut play = member(member_config(), slow(Commits::Never), &[0]);
    records(&mut play, 5, 3);
    play.tell(Command::Shutdown);
    play.pass(2_999);
    assert_eq!(play.unanswered(ApiKey::OffsetCommit), 0);
    play.pass(2);
    assert_eq!(commit(&mut play, None), "me 1: 0@8");
    heartbeat(&mut play, None);
    left(&mut play);
    assert!(play.halted);
}

#[test]
fn it_ends_even_if_nobody_answers() {
    for stall in [0, 3_600] {
        let mut play = member(member_config(), calm(), &[0]);
        play.tell(Command::Stall(Duration::from_secs(stall)));
        play.tell(Command::Shutdown);
        play.pass(29_000);
        assert!(!play.halted);
        play.pass(1_001);
        assert!(play.halted);
    }
}

#[test]
fn a_static_member_does_not_leave() {
    let config = ConsumerConfig { group_instance_id: Text("i".into()), ..member_config() };
    let mut play = member(config, calm(), &[0]);
    play.tell(Command::Shutdown);
    commit(&mut play, None);
    assert_eq!(play.unanswered(ApiKey::LeaveGroup), 0);
    assert!(play.halted);
}

#[test]
fn who_has_no_group_ends_at_once() {
    let mut play = reading(AutoOffsetReset::Earliest, Museum::CLOSED);
    play.tell(Command::Shutdown);
    assert!(play.halted);
}

#[test]
fn an_application_that_polls_too_late_loses_its_place() {
    let mut config = member_config();
    config.max_poll_interval_ms = Duration::from_secs(10);
    let mut play = member(config, calm(), &[0]);
    play.tell(Command::Stall(Duration::from_secs(15)));
    for _ in 0..3 {
        play.pass(3_000);
        heartbeat(&mut play, None);
    }
    play.pass(1_000);
    assert_eq!(lost(&mut play), [MembershipEnd::PollTooLate]);
    assert_eq!(left(&mut play), "me");
    play.pass(4_999);
    assert_eq!((play.told_of(EventKind::PartitionsOwned), play.unanswered(ApiKey::JoinGroup)), (vec![], 0));
    play.pass(2);
    assert_eq!(owned(&mut play), (vec![], true), "it is told when it polls");
    assert_eq!((play.unanswered(ApiKey::JoinGroup), play.unanswered(ApiKey::OffsetCommit)), (1, 0));
}
