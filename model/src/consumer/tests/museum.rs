//! Do the museum's bugs of members break what they are said to break, and only when they are let out?

use core::time::Duration;

use super::{group::*, *};
use crate::{
    client::{Application, Commits},
    consumer::protocol::Subscription,
    machine::Channel,
    museum::Bug,
    protocol::offsets::{GroupOffsets, OffsetFetchResponse},
};

/// What comes of the same play without a bug and with it.
fn both<T>(bug: Bug, play: impl Fn(Museum) -> T) -> (T, T) {
    (play(Museum::CLOSED), play(Museum::CLOSED.with(bug)))
}

fn calm() -> Application {
    Application::default()
}

#[test]
fn cooperative_stale_owned_partitions() {
    let (told, with_bug) = both(Bug::CooperativeStaleOwnedPartitions, |museum| {
        let mut play = member_in(museum, cooperative(), calm(), &[0, 1]);
        play.pass(3_000);
        heartbeat(&mut play, Some(ErrorCode::UnknownMemberId));
        let request = follow(&mut play, 3);
        let said = Subscription::decode(&request.protocols[0].metadata).expect("Kafka's bytes");
        said.owned.len()
    });
    assert_eq!((told, with_bug), (0, 2));
}

#[test]
fn rejoin_not_retried() {
    let (joins, with_bug) = both(Bug::RejoinNotRetried, |museum| {
        let application = Application { per_record: Duration::from_secs(4), commits: Commits::Never };
        let mut play = member_in(museum, cooperative(), application, &[0]);
        play.pass(3_000);
        heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
        commit(&mut play, None);
        follow(&mut play, 2);
        // Its share comes while it works on a record.
        records(&mut play, 5, 1);
        share(&mut play, &[0]);
        play.pass(3_000);
        heartbeat(&mut play, Some(ErrorCode::UnknownMemberId));
        play.pass(2_000);
        play.unanswered(ApiKey::JoinGroup)
    });
    assert_eq!((joins, with_bug), (1, 0));
}

#[test]
fn stored_offset_survives_revoke() {
    let (committed_again, with_bug) = both(Bug::StoredOffsetSurvivesRevoke, |museum| {
        let mut play = member_in(museum, member_config(), calm(), &[0]);
        play.pass(3_000);
        heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
        commit(&mut play, None);
        follow(&mut play, 2);
        share(&mut play, &[]);
        play.pass(3_000);
        heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
        follow(&mut play, 3);
        share(&mut play, &[0]);
        committed(&mut play, Ok(Some(90)));
        play.tell(Command::Commit(false));
        commit(&mut play, None)
    });
    assert_eq!((&committed_again[..], &with_bug[..]), ("me 3: 0@90", "me 3: 0@5"));
}

#[test]
fn coordinator_search_not_cleared() {
    let (searches, with_bug) = both(Bug::CoordinatorSearchNotCleared, |museum| {
        let mut play = fresh_in(museum, member_config(), calm());
        let question = play.question(ApiKey::FindCoordinator);
        for nth in (1..=3).filter(|nth| question.to == NodeId::broker(*nth)) {
            play.disconnect_on(nth, Channel::MAIN);
        }
        play.questions.clear();
        play.pass(1_000);
        play.unanswered(ApiKey::FindCoordinator)
    });
    assert_eq!((searches, with_bug), (1, 0));
}

#[test]
fn commit_sync_blocks_on_disconnect() {
    let (goes_on, with_bug) = both(Bug::CommitSyncBlocksOnDisconnect, |museum| {
        let config = ConsumerConfig { enable_auto_commit: false, ..member_config() };
        let application = Application { per_record: Duration::from_millis(10), commits: Commits::After };
        let mut play = member_in(museum, config, application, &[0]);
        records(&mut play, 5, 1);
        play.pass(10);
        assert_eq!(play.unanswered(ApiKey::OffsetCommit), 1);
        play.disconnect_on(1, Channel::GROUP);
        play.told_of(EventKind::CommitFailed).len()
    });
    assert_eq!((goes_on, with_bug), (1, 0));
}

#[test]
fn fetched_position_outlives_rebalance() {
    let (fetches, with_bug) = both(Bug::FetchedPositionOutlivesRebalance, |museum| {
        let application = Application { per_record: Duration::from_secs(4), commits: Commits::Never };
        let config = ConsumerConfig { max_poll_records: 1, enable_auto_commit: false, ..member_config() };
        let mut play = member_in(museum, config, application, &[0]);
        // Two of them wait for later polls.
        records(&mut play, 5, 3);
        play.pass(3_000);
        heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
        play.pass(1_000);
        follow(&mut play, 2);
        share(&mut play, &[0]);
        committed(&mut play, Ok(Some(5)));
        play.unanswered(ApiKey::Fetch)
    });
    assert_eq!((fetches, with_bug), (1, 0));
}

#[test]
fn fetch_across_rebalance_moves_position() {
    let (read, with_bug) = both(Bug::FetchAcrossRebalanceMovesPosition, |museum| {
        let config = ConsumerConfig { enable_auto_commit: false, ..member_config() };
        let mut play = member_in(museum, config, calm(), &[0]);
        let (_, question) = next_fetch(&mut play);
        play.pass(3_000);
        heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
        follow(&mut play, 2);
        share(&mut play, &[0]);
        committed(&mut play, Ok(Some(90)));
        fetched(&mut play, &question, Ok(vec![batch(5, 3, 5, false)]));
        delivered(&mut play)
    });
    assert_eq!((read, with_bug), (vec![], vec![5, 6, 7]));
}

#[test]
fn offset_fetch_not_retried() {
    let (asked, with_bug) = both(Bug::OffsetFetchNotRetried, |museum| {
        let mut play = fresh_in(museum, member_config(), calm());
        coordinator(&mut play, Ok(1));
        play.metadata(&[(2, 5), (3, 5)]);
        follow(&mut play, 1);
        share(&mut play, &[0]);
        let question = play.question(ApiKey::OffsetFetch);
        let error = Some(ErrorCode::NotCoordinator);
        let group = GroupOffsets { group: "g".into(), error, partitions: vec![] };
        play.answer(&question, Response::OffsetFetch(OffsetFetchResponse { groups: vec![group] }));
        coordinator(&mut play, Ok(3));
        play.pass(1_000);
        play.unanswered(ApiKey::OffsetFetch)
    });
    assert_eq!((asked, with_bug), (1, 0));
}

#[test]
fn fetch_continues_during_revoke_commit() {
    let (read, with_bug) = both(Bug::FetchContinuesDuringRevokeCommit, |museum| {
        let mut play = member_in(museum, member_config(), calm(), &[0]);
        play.pass(3_000);
        heartbeat(&mut play, Some(ErrorCode::RebalanceInProgress));
        assert_eq!(play.unanswered(ApiKey::OffsetCommit), 1, "it commits for the last time");
        records(&mut play, 5, 3);
        delivered(&mut play)
    });
    assert_eq!((read, with_bug), (vec![], vec![5, 6, 7]));
}
