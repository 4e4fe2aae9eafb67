//! Does a consumer keep its promises, with answers fed to it by hand?

mod group;
mod joining;
mod leaving;
mod commits;
mod applications;
#[cfg(feature = "museum")]
mod museum;

use alloc::{format, string::String, vec, vec::Vec};

use super::*;
use crate::{
    client::scripted::{Question, Script, orders, setup},
    config::AutoOffsetReset,
    event::{EventKind, ReadFailure},
    log::{batch::Batch, codec::BatchBuilder},
    protocol::{
        ApiKey, PartitionRef, Request,
        fetch::{EpochEnd, FetchRequest, FetchResponse, PartitionFetched},
        list_offsets::{FoundOffset, ListOffsetsResponse, PartitionOffsets},
        offset_for_leader_epoch::{OffsetForLeaderEpochResponse, PartitionEpochEnd},
    },
    time::Timestamp,
    units::LeaderEpoch,
};

fn named(partition: u32) -> NamedPartition {
    NamedPartition { topic: "orders".into(), partition }
}

fn config(reset: AutoOffsetReset) -> ConsumerConfig {
    ConsumerConfig {
        auto_offset_reset: reset,
        retry_backoff_max_ms: core::time::Duration::from_millis(100),
        reconnect_backoff_max_ms: core::time::Duration::from_millis(50),
        ..ConsumerConfig::default()
    }
}

/// A batch of records at offsets from `base` on.
fn batch(base: u64, count: u64, epoch: u32, control: bool) -> Batch {
    let mut builder = BatchBuilder::new();
    for nth in 0..count {
        builder.push(Timestamp(0), None, Some(format!("r{}", base + nth).as_bytes()), &[]);
    }
    if control {
        builder.control();
    }
    let mut batch = builder.build();
    batch.assign(Offset(base), LeaderEpoch(epoch));
    batch
}

/// One that reads partition 0 of `orders` from offset 0 at broker 2, in epoch 5.
fn reading(reset: AutoOffsetReset, museum: Museum) -> Script<Consumer> {
    let mut script = Script::start(Consumer::new(setup(museum), config(reset)));
    script.tell(Command::Assign(vec![named(0)]));
    script.tell(Command::Seek(named(0), Offset(0)));
    script.metadata(&[(2, 5), (3, 5)]);
    script
}

fn fetch(question: &Question) -> &FetchRequest {
    match &question.request {
        Request::Fetch(request) => request,
        other => panic!("not a Fetch: {other:?}"),
    }
}

/// `broker: partition@offset ...` of the next fetch, and the fetch.
fn next_fetch(script: &mut Script<Consumer>) -> (String, Question) {
    let question = script.question(ApiKey::Fetch);
    let mut shown = format!("{}:", question.to.nth());
    for partition in &fetch(&question).partitions {
        shown += &format!(" {}@{}", partition.partition.partition, partition.fetch_offset);
    }
    (shown, question)
}

fn fetched(script: &mut Script<Consumer>, question: &Question, result: Result<Vec<Batch>, ErrorCode>) {
    let answer = |partition: PartitionRef| PartitionFetched {
        partition,
        error: result.as_ref().err().copied(),
        high_watermark: Offset(100),
        log_start: Offset(0),
        diverging_epoch: None,
        snapshot: None,
        leader: None,
        batches: result.clone().unwrap_or_default().into(),
    };
    let partitions = fetch(question).partitions.iter().map(|asked| answer(asked.partition.clone()));
    script.answer(question, Response::Fetch(FetchResponse { partitions: partitions.collect() }));
}

fn offset(script: &mut Script<Consumer>, result: Result<Option<(u64, u32)>, ErrorCode>) -> OffsetSpec {
    let question = script.question(ApiKey::ListOffsets);
    let Request::ListOffsets(request) = &question.request else { panic!("not a ListOffsets") };
    let found = result.map(|found| {
        found.map(|(offset, epoch)| FoundOffset {
            offset: Offset(offset),
            timestamp: None,
            leader_epoch: Some(LeaderEpoch(epoch)),
        })
    });
    let partitions = request.partitions.iter().map(|asked| PartitionOffsets {
        partition: asked.partition.clone(),
        result: found,
        leader: None,
    });
    let response = ListOffsetsResponse { partitions: partitions.collect() };
    let spec = request.partitions[0].spec;
    script.answer(&question, Response::ListOffsets(response));
    spec
}

/// Answers where an epoch ends; gives back which was asked for.
fn epoch_end(script: &mut Script<Consumer>, result: Result<Option<(u32, u64)>, ErrorCode>) -> u32 {
    let question = script.question(ApiKey::OffsetForLeaderEpoch);
    let Request::OffsetForLeaderEpoch(request) = &question.request else { panic!("another question") };
    let end =
        result.map(|end| end.map(|(epoch, end)| EpochEnd { epoch: LeaderEpoch(epoch), end: Offset(end) }));
    let partitions = request
        .partitions
        .iter()
        .map(|asked| PartitionEpochEnd { partition: asked.partition.clone(), result: end });
    let response = OffsetForLeaderEpochResponse { partitions: partitions.collect() };
    let asked = request.partitions[0].leader_epoch.0;
    script.answer(&question, Response::OffsetForLeaderEpoch(response));
    asked
}

fn delivered(script: &mut Script<Consumer>) -> Vec<u64> {
    let offset = |event| match event {
        Event::Delivered { partition, offset, value, .. } => {
            assert_eq!(partition, orders(0));
            assert_eq!(value.0, format!("r{offset}"));
            offset.0
        }
        other => panic!("{other:?}"),
    };
    script.told_of(EventKind::Delivered).into_iter().map(offset).collect()
}

/// Reads offsets 0 to 9 in epoch 5; then broker 3 leads in epoch 6.
fn leader_changed(reset: AutoOffsetReset, museum: Museum) -> Script<Consumer> {
    let mut script = reading(reset, museum);
    let (_, question) = next_fetch(&mut script);
    fetched(&mut script, &question, Ok(vec![batch(0, 10, 5, false)]));
    assert_eq!(delivered(&mut script).len(), 10);
    let (_, question) = next_fetch(&mut script);
    script.pass(200);
    fetched(&mut script, &question, Err(ErrorCode::NotLeaderOrFollower));
    script.metadata(&[(3, 6), (3, 5)]);
    script
}

#[test]
fn it_begins_where_the_reset_policy_says() {
    for (reset, spec) in
        [(AutoOffsetReset::Earliest, OffsetSpec::Earliest), (AutoOffsetReset::Latest, OffsetSpec::Latest)]
    {
        let mut script = Script::start(Consumer::new(setup(Museum::CLOSED), config(reset)));
        script.tell(Command::Assign(vec![named(0)]));
        assert_eq!(script.told_of(EventKind::Assigned), [], "its topic is not known yet");
        script.metadata(&[(2, 5)]);
        assert_eq!(script.told_of(EventKind::Assigned), [Event::Assigned { partitions: vec![orders(0)] }]);
        assert_eq!(offset(&mut script, Ok(Some((42, 5)))), spec);
        assert_eq!(next_fetch(&mut script).0, "2: 0@42");
        let moved =
            Event::PositionMoved { partition: orders(0), from: None, to: Offset(42), why: SeekReason::Reset };
        assert_eq!(script.told_of(EventKind::PositionMoved), [moved]);
    }
}

#[test]
fn without_a_policy_it_waits_for_its_application() {
    let mut script = Script::start(Consumer::new(setup(Museum::CLOSED), config(AutoOffsetReset::None)));
    script.tell(Command::Assign(vec![named(0)]));
    script.metadata(&[(2, 5)]);
    let error = ReadFailure::NoOffsetForPartition;
    let assigned = Event::Assigned { partitions: vec![orders(0)] };
    script.events.retain(|event| matches!(event, Event::Assigned { .. } | Event::ReadFailed { .. }));
    assert_eq!(script.events, [assigned, Event::ReadFailed { partition: orders(0), error }]);
    assert!(script.questions.is_empty());
    script.tell(Command::Seek(named(0), Offset(3)));
    assert_eq!(next_fetch(&mut script).0, "2: 0@3");
}

#[test]
fn records_before_the_position_and_control_batches_are_passed_over() {
    let mut script = reading(AutoOffsetReset::Latest, Museum::CLOSED);
    script.tell(Command::Seek(named(0), Offset(3)));
    let (_, stale) = next_fetch(&mut script);
    fetched(&mut script, &stale, Ok(vec![batch(0, 5, 5, false)]));
    assert_eq!(delivered(&mut script), [], "it asked for another offset when it asked for this");
    let (shown, question) = next_fetch(&mut script);
    assert_eq!(shown, "2: 0@3");
    let batches = vec![batch(0, 5, 5, false), batch(5, 1, 6, true), batch(6, 2, 6, false)];
    fetched(&mut script, &question, Ok(batches));
    assert_eq!(delivered(&mut script), [3, 4, 6, 7]);
    assert_eq!(next_fetch(&mut script).0, "2: 0@8");
}

#[test]
fn one_fetch_is_in_flight_per_broker() {
    let mut script = reading(AutoOffsetReset::Latest, Museum::CLOSED);
    script.tell(Command::Assign(vec![named(0), named(1), named(2)]));
    script.tell(Command::Seek(named(1), Offset(9)));
    assert_eq!(script.unanswered(ApiKey::Fetch), 2, "brokers 2 and 3");
    script.pass(100);
    assert_eq!(script.unanswered(ApiKey::Fetch), 2);
    let (shown, question) = next_fetch(&mut script);
    assert_eq!(shown, "2: 0@0");
    fetched(&mut script, &question, Ok(vec![]));
    assert_eq!(next_fetch(&mut script).0, "3: 1@9");
    assert_eq!(next_fetch(&mut script).0, "2: 0@0");
}

#[test]
fn a_new_leader_is_asked_before_anything_is_read_from_it() {
    let mut script = leader_changed(AutoOffsetReset::Latest, Museum::CLOSED);
    assert_eq!(script.unanswered(ApiKey::Fetch), 0);
    assert_eq!(epoch_end(&mut script, Err(ErrorCode::UnknownLeaderEpoch)), 5);
    script.pass(100);
    assert_eq!(epoch_end(&mut script, Ok(Some((5, 12)))), 5);
    assert_eq!(next_fetch(&mut script).0, "3: 0@10");
    assert_eq!(script.told_of(EventKind::TruncationDetected), []);
}

#[test]
fn a_truncated_log_is_read_from_where_it_parts() {
    let mut script = leader_changed(AutoOffsetReset::Latest, Museum::CLOSED);
    epoch_end(&mut script, Ok(Some((5, 7))));
    let truncated =
        Event::TruncationDetected { partition: orders(0), position: Offset(10), to: Some(Offset(7)) };
    assert_eq!(script.told_of(EventKind::TruncationDetected), [truncated]);
    assert_eq!(next_fetch(&mut script).0, "3: 0@7");
}

#[test]
fn without_a_policy_a_truncation_is_for_the_application_to_decide() {
    let mut script = leader_changed(AutoOffsetReset::None, Museum::CLOSED);
    epoch_end(&mut script, Ok(Some((5, 7))));
    let error = ReadFailure::LogTruncation;
    assert_eq!(script.told_of(EventKind::ReadFailed), [Event::ReadFailed { partition: orders(0), error }]);
    script.pass(10_000);
    assert_eq!(script.unanswered(ApiKey::Fetch), 0);
}

#[test]
fn a_leader_that_knows_no_such_epoch_has_the_position_reset() {
    let mut script = leader_changed(AutoOffsetReset::Earliest, Museum::CLOSED);
    epoch_end(&mut script, Ok(None));
    assert_eq!(offset(&mut script, Ok(Some((0, 6)))), OffsetSpec::Earliest);
    assert_eq!(next_fetch(&mut script).0, "3: 0@0");
}

#[test]
#[cfg(feature = "museum")]
fn with_the_bug_it_reads_on_at_its_number() {
    let bug = Museum::CLOSED.with(crate::museum::Bug::NoTruncationCheckAfterLeaderChange);
    let mut script = leader_changed(AutoOffsetReset::Latest, bug);
    assert_eq!(next_fetch(&mut script).0, "3: 0@10");
}

#[test]
fn an_answer_about_an_older_position_is_asked_again() {
    let mut script = leader_changed(AutoOffsetReset::Latest, Museum::CLOSED);
    script.client.view.want_update();
    script.pass(200);
    // Both go to broker 3; the answer to the first comes after broker 2 has taken over.
    let late = script.question(ApiKey::OffsetForLeaderEpoch);
    script.metadata(&[(2, 7), (3, 5)]);
    script.questions.insert(0, late);
    epoch_end(&mut script, Ok(Some((5, 7))));
    assert_eq!(script.told_of(EventKind::TruncationDetected), []);
    epoch_end(&mut script, Ok(Some((5, 10))));
    assert_eq!(next_fetch(&mut script).0, "2: 0@10");
}

#[test]
fn a_position_out_of_range_is_reset() {
    let mut script = reading(AutoOffsetReset::Earliest, Museum::CLOSED);
    let (_, question) = next_fetch(&mut script);
    fetched(&mut script, &question, Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(offset(&mut script, Ok(Some((30, 5)))), OffsetSpec::Earliest);
    assert_eq!(next_fetch(&mut script).0, "2: 0@30");
    assert!(matches!(
        script.told_of(EventKind::PositionMoved)[..],
        [_, Event::PositionMoved { from: Some(Offset(0)), to: Offset(30), why: SeekReason::OutOfRange, .. }]
    ));
}

#[test]
fn a_time_after_the_last_record_is_the_end() {
    let mut script = reading(AutoOffsetReset::Earliest, Museum::CLOSED);
    let time = OffsetSpec::Time(Timestamp(77));
    script.tell(Command::SeekTo(named(0), time));
    let (_, stale) = next_fetch(&mut script);
    fetched(&mut script, &stale, Ok(vec![batch(0, 5, 5, false)]));
    assert_eq!(delivered(&mut script), []);
    assert_eq!(offset(&mut script, Ok(None)), time);
    assert_eq!(offset(&mut script, Ok(Some((20, 5)))), OffsetSpec::Latest);
    assert_eq!(next_fetch(&mut script).0, "2: 0@20");
}

#[test]
fn a_paused_partition_is_not_read_and_keeps_its_position() {
    let mut script = reading(AutoOffsetReset::Earliest, Museum::CLOSED);
    let (_, question) = next_fetch(&mut script);
    script.tell(Command::Pause(vec![named(0)]));
    fetched(&mut script, &question, Ok(vec![]));
    script.pass(10_000);
    assert_eq!((delivered(&mut script), script.unanswered(ApiKey::Fetch)), (vec![], 0));
    script.tell(Command::Resume(vec![named(0)]));
    assert_eq!(next_fetch(&mut script).0, "2: 0@0");
}

#[test]
fn what_comes_of_a_paused_partition_is_kept_unless_the_application_goes_elsewhere() {
    let mut script = reading(AutoOffsetReset::Earliest, Museum::CLOSED);
    let (_, question) = next_fetch(&mut script);
    script.tell(Command::Pause(vec![named(0)]));
    fetched(&mut script, &question, Ok(vec![batch(0, 5, 5, false)]));
    script.pass(10_000);
    assert_eq!((delivered(&mut script), script.unanswered(ApiKey::Fetch)), (vec![], 0));
    script.tell(Command::Resume(vec![named(0)]));
    assert_eq!(delivered(&mut script), [0, 1, 2, 3, 4]);
    let (shown, question) = next_fetch(&mut script);
    assert_eq!(shown, "2: 0@5");
    script.tell(Command::Pause(vec![named(0)]));
    fetched(&mut script, &question, Ok(vec![batch(5, 5, 5, false)]));
    script.tell(Command::Seek(named(0), Offset(3)));
    script.tell(Command::Resume(vec![named(0)]));
    assert_eq!(delivered(&mut script), []);
    assert_eq!(next_fetch(&mut script).0, "2: 0@3");
}

/// One that reads partition 0 at broker 2 and partition 1 at broker 3, with a poll of at most so many.
fn polling(max_poll_records: u32) -> Script<Consumer> {
    let config = ConsumerConfig { max_poll_records, ..config(AutoOffsetReset::Earliest) };
    let mut script = Script::start(Consumer::new(setup(Museum::CLOSED), config));
    script.tell(Command::Assign(vec![named(0)]));
    script.tell(Command::Seek(named(0), Offset(0)));
    script.metadata(&[(2, 5), (3, 5)]);
    script
}

/// Lets the next poll come; which offsets it returns.
fn next_poll(script: &mut Script<Consumer>) -> Vec<u64> {
    script.now += 1_000;
    script.step(Input::Deadline);
    delivered(script)
}

#[test]
fn a_poll_returns_so_many_records_and_the_next_begins_after_them() {
    let mut script = polling(3);
    let (_, question) = next_fetch(&mut script);
    fetched(&mut script, &question, Ok(vec![batch(0, 5, 5, false), batch(5, 2, 6, false)]));
    assert_eq!(delivered(&mut script), [0, 1, 2]);
    assert_eq!(script.client.partitions[0].position.map(|position| position.offset), Some(Offset(3)));
    assert_eq!(next_poll(&mut script), [3, 4, 5]);
    assert_eq!(script.unanswered(ApiKey::Fetch), 0, "a record waits");
    assert_eq!(next_poll(&mut script), [6]);
    assert_eq!(next_fetch(&mut script).0, "2: 0@7");
}

#[test]
fn what_waits_for_a_poll_is_for_nobody_after_a_seek() {
    let mut script = polling(3);
    let (_, question) = next_fetch(&mut script);
    fetched(&mut script, &question, Ok(vec![batch(0, 5, 5, false)]));
    assert_eq!(delivered(&mut script), [0, 1, 2]);
    script.tell(Command::Seek(named(0), Offset(2)));
    assert_eq!(next_poll(&mut script), []);
    assert_eq!(next_fetch(&mut script).0, "2: 0@2");
}

#[test]
fn another_partition_is_fetched_while_one_waits_for_a_poll() {
    let mut script = polling(3);
    script.tell(Command::Assign(vec![named(0), named(1)]));
    script.tell(Command::Seek(named(1), Offset(9)));
    let (_, question) = next_fetch(&mut script);
    fetched(&mut script, &question, Ok(vec![batch(0, 5, 5, false)]));
    assert_eq!(delivered(&mut script), [0, 1, 2]);
    assert_eq!(next_fetch(&mut script).0, "3: 1@9");
    assert_eq!(next_poll(&mut script), [3, 4]);
    assert_eq!(next_fetch(&mut script).0, "2: 0@5");
}

#[test]
fn what_stays_assigned_keeps_its_position_and_what_does_not_loses_it() {
    let mut script = reading(AutoOffsetReset::Earliest, Museum::CLOSED);
    let (_, question) = next_fetch(&mut script);
    fetched(&mut script, &question, Ok(vec![batch(0, 5, 5, false)]));
    script.tell(Command::Assign(vec![named(0), named(1)]));
    assert_eq!(next_fetch(&mut script).0, "2: 0@5");
    script.tell(Command::Assign(vec![named(1)]));
    script.tell(Command::Assign(vec![named(0), named(1)]));
    assert_eq!(script.client.partitions[0].position, None);
}

#[test]
fn a_disconnect_is_followed_by_a_rest_and_another_fetch() {
    let mut script = reading(AutoOffsetReset::Earliest, Museum::CLOSED);
    let _ = next_fetch(&mut script);
    script.disconnect(2);
    assert_eq!(script.unanswered(ApiKey::Fetch), 0);
    script.pass(49);
    assert_eq!(script.unanswered(ApiKey::Fetch), 0);
    script.pass(1);
    assert_eq!(next_fetch(&mut script).0, "2: 0@0");
}

#[test]
fn the_end_of_a_partition_is_asked_for_until_it_is_known() {
    let mut script = reading(AutoOffsetReset::Earliest, Museum::CLOSED);
    script.tell(Command::EndOffset(named(1)));
    assert_eq!(offset(&mut script, Err(ErrorCode::OffsetNotAvailable)), OffsetSpec::Latest);
    script.pass(100);
    offset(&mut script, Ok(Some((12, 5))));
    let (partition, offset) = (orders(1), Some(Offset(12)));
    let listed = Event::OffsetListed { partition, latest: true, offset, asked_after: 0 };
    assert_eq!(script.told_of(EventKind::OffsetListed), [listed]);
    script.pass(1_000);
    assert_eq!(script.unanswered(ApiKey::ListOffsets), 0);
}

#[test]
fn an_end_that_nobody_tells_is_given_up() {
    let mut script = reading(AutoOffsetReset::Earliest, Museum::CLOSED);
    script.tell(Command::EndOffset(named(9)));
    for _ in 0..700 {
        script.pass(100);
        if script.unanswered(ApiKey::Metadata) > 0 {
            script.questions.retain(|question| question.request.api() != ApiKey::Fetch);
            script.metadata(&[(2, 5), (3, 5)]);
        }
    }
    assert!(script.client.ends.is_empty());
}
