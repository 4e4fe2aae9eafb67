//! What does an application do between polls, and what goes on meanwhile?

use core::time::Duration;

use super::{group::*, *};
use crate::client::{Application, Commits};

fn slow(commits: Commits) -> Application {
    Application { per_record: Duration::from_secs(1), commits }
}

fn by_hand() -> ConsumerConfig {
    ConsumerConfig { enable_auto_commit: false, max_poll_records: 2, ..member_config() }
}

/// What it is done with: `5..7`.
fn processed(play: &mut Play) -> Vec<String> {
    let shown = |event| match event {
        Event::Processed { from, to, .. } => format!("{from}..{to}"),
        other => panic!("{other:?}"),
    };
    play.told_of(EventKind::Processed).into_iter().map(shown).collect()
}

#[test]
fn it_works_through_what_a_poll_gave_it_and_polls_again() {
    let mut play = member(by_hand(), slow(Commits::Never), &[0]);
    records(&mut play, 5, 3);
    assert_eq!(delivered(&mut play), [5, 6]);
    play.pass(1_999);
    assert_eq!((delivered(&mut play), processed(&mut play)), (vec![], vec![]));
    play.pass(1);
    assert_eq!((delivered(&mut play), processed(&mut play)), (vec![7], vec!["5..7".into()]));
    play.pass(1_000);
    assert_eq!(processed(&mut play), ["7..8"]);
}

#[test]
fn it_commits_after_its_work_and_waits_for_the_answer() {
    let mut play = member(by_hand(), slow(Commits::After), &[0]);
    records(&mut play, 5, 3);
    play.pass(1_999);
    assert_eq!(play.unanswered(ApiKey::OffsetCommit), 0);
    play.pass(1);
    assert_eq!(delivered(&mut play), [5, 6], "it does not poll while it waits");
    assert_eq!(commit(&mut play, None), "me 1: 0@7");
    play.pass(0);
    assert_eq!(delivered(&mut play), [7]);
}

#[test]
fn it_commits_before_its_work() {
    let mut play = member(by_hand(), slow(Commits::Before), &[0]);
    records(&mut play, 5, 3);
    play.pass(10);
    assert_eq!(commit(&mut play, None), "me 1: 0@7");
    play.pass(1_999);
    assert_eq!(processed(&mut play), [] as [&str; 0]);
    play.pass(1);
    assert_eq!(processed(&mut play), ["5..7"]);
}

#[test]
fn it_commits_and_does_not_wait() {
    let mut play = member(by_hand(), slow(Commits::AfterAsync), &[0]);
    records(&mut play, 5, 3);
    play.pass(2_000);
    assert_eq!(delivered(&mut play), [5, 6, 7]);
    assert_eq!(commit(&mut play, None), "me 1: 0@7");
}

#[test]
fn while_it_works_heartbeats_go_on_and_joins_do_not() {
    let mut play =
        member(by_hand(), Application { per_record: Duration::from_secs(4), ..slow(Commits::Never) }, &[0]);
    records(&mut play, 5, 2);
    play.pass(3_000);
    heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
    play.pass(3_000);
    heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
    assert_eq!((lost(&mut play).len(), play.unanswered(ApiKey::JoinGroup)), (1, 0));
    play.pass(2_000);
    assert_eq!((processed(&mut play), play.unanswered(ApiKey::JoinGroup)), (vec!["5..7".into()], 1));
}

#[test]
fn a_share_that_comes_while_it_works_is_taken_when_it_polls() {
    let config = ConsumerConfig { enable_auto_commit: false, ..cooperative() };
    let mut play = member(config, slow(Commits::Never), &[0]);
    play.pass(3_000);
    heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
    records(&mut play, 5, 1);
    follow(&mut play, 2);
    assert_eq!(play.unanswered(ApiKey::SyncGroup), 0);
    play.pass(1_000);
    play.tell(Command::Stall(Duration::from_secs(1)));
    share(&mut play, &[1]);
    assert_eq!(play.told_of(EventKind::PartitionsOwned), []);
    play.pass(1_000);
    assert_eq!(owned(&mut play), (vec![1], false));
}

#[test]
fn told_to_commit_at_work_it_does_when_it_is_done() {
    let mut play = member(by_hand(), slow(Commits::Never), &[0]);
    records(&mut play, 5, 2);
    play.tell(Command::Commit(true));
    play.pass(1_999);
    assert_eq!(play.unanswered(ApiKey::OffsetCommit), 0);
    play.pass(1);
    assert_eq!(commit(&mut play, None), "me 1: 0@7");
}

#[test]
fn without_a_group_a_stall_keeps_records_waiting() {
    let mut play = reading(AutoOffsetReset::Earliest, Museum::CLOSED);
    play.tell(Command::Stall(Duration::from_secs(2)));
    records(&mut play, 0, 2);
    assert_eq!(delivered(&mut play), []);
    play.pass(2_000);
    assert_eq!(delivered(&mut play), [0, 1]);
}

#[test]
fn who_is_fenced_while_it_waits_for_a_commit_rests_for_good() {
    let config = ConsumerConfig { group_instance_id: crate::config::Text("i".into()), ..by_hand() };
    let mut play = member(config, slow(Commits::After), &[0]);
    records(&mut play, 5, 1);
    play.pass(1_000);
    assert_eq!(commit(&mut play, Some(ErrorCode::FencedInstanceId)), "me 1: 0@6");
    play.pass(60_000);
    assert_eq!(lost(&mut play), [crate::event::MembershipEnd::InstanceFenced]);
}
