//! Does a producer keep its promises, with answers fed to it by hand?

mod chaos;

use alloc::{format, string::String, vec, vec::Vec};

use bytes::Bytes;

use super::*;
use crate::{
    client::scripted::{Question, Script, orders, setup},
    event::{EventKind, RecordTag},
    log::batch::Batch,
    protocol::{
        ApiKey, LeaderHint,
        produce::{PartitionProduced, ProduceRequest, ProduceResponse, Produced},
    },
    units::{LeaderEpoch, Offset, ProducerEpoch, ProducerId},
};

type Answer = Result<u64, ErrorCode>;

/// A record of `orders`, by default for partition 0.
fn record(tag: u64) -> NewRecord {
    NewRecord {
        tag: RecordTag(tag),
        topic: "orders".into(),
        partition: Some(0),
        key: None,
        value: Some(Bytes::from(format!("record {tag}"))),
        headers: vec![],
        timestamp: None,
    }
}

/// With `linger.ms=0`, so that every record is a batch; and jitter-free backoffs.
fn config() -> ProducerConfig {
    ProducerConfig {
        linger_ms: core::time::Duration::ZERO,
        retry_backoff_max_ms: core::time::Duration::from_millis(100),
        reconnect_backoff_max_ms: core::time::Duration::from_millis(50),
        ..ProducerConfig::default()
    }
}

/// One that knows its id and that broker 2 leads partition 0 and broker 3 partition 1, in epoch 5.
fn started(config: ProducerConfig, museum: Museum) -> Script<Producer> {
    let mut script = Script::start(Producer::new(setup(museum), config));
    if script.client.idempotent {
        name(&mut script, 70, 0);
    }
    script.client.view.topic(&"orders".into());
    script.step(Input::Deadline);
    script.metadata(&[(2, 5), (3, 5)]);
    script
}

fn name(script: &mut Script<Producer>, id: u64, epoch: u16) {
    let question = script.question(ApiKey::InitProducerId);
    let result = Ok((ProducerId(id), ProducerEpoch(epoch)));
    script.answer(&question, Response::InitProducerId(InitProducerIdResponse { result }));
}

fn send(script: &mut Script<Producer>, tags: impl IntoIterator<Item = u64>) {
    for tag in tags {
        script.tell(Command::Send(record(tag)));
    }
}

fn produce(question: &Question) -> &ProduceRequest {
    match &question.request {
        Request::Produce(request) => request,
        other => panic!("not a Produce: {other:?}"),
    }
}

fn batch(question: &Question) -> &Batch {
    &produce(question).partitions[0].batch
}

/// `epoch:sequence xcount` of a question's first batch.
fn number(question: &Question) -> String {
    let header = batch(question).header();
    let stamp = header.producer.expect("it is idempotent");
    format!("{}:{} x{}", stamp.epoch, stamp.base_sequence, header.record_count)
}

fn values(question: &Question) -> Vec<String> {
    let text = |record: crate::log::codec::Record| {
        String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned()
    };
    batch(question).decode_records().map(|record| text(record.expect("it was just built"))).collect()
}

fn answer(script: &mut Script<Producer>, question: &Question, result: Answer) {
    answer_with(script, question, result, None);
}

fn answer_with(
    script: &mut Script<Producer>,
    question: &Question,
    result: Answer,
    leader: Option<LeaderHint>,
) {
    let partitions = produce(question).partitions.iter().map(|produce| PartitionProduced {
        partition: produce.partition.clone(),
        result: result.map(|base| Produced {
            base_offset: Offset(base),
            log_append_time: None,
            log_start: Offset(0),
        }),
        leader,
    });
    let response = ProduceResponse { partitions: partitions.collect() };
    script.answer(question, Response::Produce(response));
}

/// The tags of the records acknowledged since this was last asked.
fn acked(script: &mut Script<Producer>) -> Vec<u64> {
    let tag = |event| match event {
        Event::RecordAcked { tag, .. } => tag.0,
        other => panic!("{other:?}"),
    };
    script.told_of(EventKind::RecordAcked).into_iter().map(tag).collect()
}

/// The records given up since this was last asked: tag, error, whether they may be in the log.
fn failed(script: &mut Script<Producer>) -> Vec<(u64, ErrorCode, bool)> {
    let what = |event| match event {
        Event::RecordFailed { tag, error, maybe_written, .. } => (tag.0, error, maybe_written),
        other => panic!("{other:?}"),
    };
    script.told_of(EventKind::RecordFailed).into_iter().map(what).collect()
}

#[test]
fn a_record_goes_to_its_leader_and_is_acknowledged() {
    let mut script = Script::start(Producer::new(setup(Museum::CLOSED), config()));
    send(&mut script, [1]);
    name(&mut script, 70, 0);
    assert_eq!(script.told_of(EventKind::RecordSent), [], "its topic is not known yet");
    script.metadata(&[(2, 5)]);
    assert_eq!(script.told_of(EventKind::RecordSent).len(), 1);

    let question = script.question(ApiKey::Produce);
    assert_eq!((question.to, number(&question).as_str()), (NodeId::broker(2), "0:0 x1"));
    answer(&mut script, &question, Ok(41));
    let acked = Event::RecordAcked { tag: RecordTag(1), partition: orders(0), offset: Some(Offset(41)) };
    assert_eq!(script.told_of(EventKind::RecordAcked), [acked]);
    assert!(script.client.accumulator.is_empty() && script.client.net.is_empty());
}

#[test]
fn records_wait_for_company_until_the_linger_is_over_or_their_batch_is_full() {
    let mut linger = ProducerConfig { linger_ms: core::time::Duration::from_millis(5), ..config() };
    linger.batch_size = 150;
    let mut script = started(linger, Museum::CLOSED);
    send(&mut script, [1, 2]);
    script.pass(4);
    assert_eq!(script.unanswered(ApiKey::Produce), 0);
    script.pass(1);
    assert_eq!(values(&script.question(ApiKey::Produce)), ["record 1", "record 2"]);

    // Five records of 15 bytes and a header of 61 fit.
    send(&mut script, [3, 4, 5, 6, 7]);
    assert_eq!(script.unanswered(ApiKey::Produce), 0);
    send(&mut script, [8]);
    let question = script.question(ApiKey::Produce);
    assert_eq!(number(&question), "0:2 x5");
    assert!(batch(&question).size() <= 150);
    script.tell(Command::Flush);
    assert_eq!(number(&script.question(ApiKey::Produce)), "0:7 x1");
}

#[test]
fn a_lost_answer_is_asked_for_again_under_the_same_number() {
    let mut script = started(config(), Museum::CLOSED);
    send(&mut script, [1]);
    let first = script.question(ApiKey::Produce);
    script.disconnect(2);
    script.pass(99);
    assert_eq!(script.unanswered(ApiKey::Produce), 0, "it rests");
    script.pass(1);
    let again = script.question(ApiKey::Produce);
    assert_eq!((number(&again), batch(&again)), (number(&first), batch(&first)));
    let retried = script.told_of(EventKind::BatchRetried);
    assert!(
        matches!(retried[..], [Event::BatchRetried { attempt: 1, error: ErrorCode::NetworkException, .. }]),
        "{retried:?}"
    );
    answer(&mut script, &again, Ok(0));
    assert_eq!(acked(&mut script), [1]);
}

#[test]
fn a_request_that_times_out_takes_its_connection_down() {
    let mut script = started(config(), Museum::CLOSED);
    send(&mut script, [1]);
    script.pass(29_999);
    assert_eq!(script.closed, []);
    script.pass(2);
    assert_eq!(script.closed, [NodeId::broker(2)]);
    script.pass(150);
    assert_eq!(number(&script.question(ApiKey::Produce)), "0:0 x1");
}

#[test]
fn without_idempotence_two_that_fail_come_back_in_the_wrong_order() {
    let mut script = started(ProducerConfig { enable_idempotence: false, ..config() }, Museum::CLOSED);
    send(&mut script, [1, 2]);
    assert_eq!(script.unanswered(ApiKey::Produce), 2);
    script.disconnect(2);
    script.pass(200);
    let order = [script.question(ApiKey::Produce), script.question(ApiKey::Produce)];
    assert_eq!(order.map(|question| values(&question)), [["record 2"], ["record 1"]]);
}

#[test]
fn with_one_in_flight_a_partition_keeps_its_order_without_numbers() {
    let mut one = ProducerConfig { enable_idempotence: false, ..config() };
    one.max_in_flight_requests_per_connection = 1;
    let mut script = started(one, Museum::CLOSED);
    send(&mut script, [1, 2]);
    let first = script.question(ApiKey::Produce);
    assert_eq!(script.unanswered(ApiKey::Produce), 0);
    answer(&mut script, &first, Err(ErrorCode::NotEnoughReplicas));
    script.pass(100);
    let again = script.question(ApiKey::Produce);
    assert_eq!((values(&again), script.unanswered(ApiKey::Produce)), (vec!["record 1".into()], 0));
    answer(&mut script, &again, Ok(0));
    assert_eq!(values(&script.question(ApiKey::Produce)), ["record 2"]);
}

#[test]
fn with_idempotence_retries_go_one_by_one_in_order() {
    let mut script = started(config(), Museum::CLOSED);
    send(&mut script, [1, 2, 3]);
    let all = [(); 3].map(|()| script.question(ApiKey::Produce));
    answer(&mut script, &all[0], Err(ErrorCode::NotEnoughReplicas));
    answer(&mut script, &all[1], Err(ErrorCode::OutOfOrderSequenceNumber));
    answer(&mut script, &all[2], Err(ErrorCode::OutOfOrderSequenceNumber));
    script.pass(200);
    for (tag, expected) in ["0:0 x1", "0:1 x1", "0:2 x1"].into_iter().enumerate() {
        let again = script.question(ApiKey::Produce);
        assert_eq!((number(&again).as_str(), script.unanswered(ApiKey::Produce)), (expected, 0));
        answer(&mut script, &again, Ok(tag as u64));
    }
    assert_eq!(acked(&mut script), [1, 2, 3]);
    assert_eq!(script.told_of(EventKind::ProducerEpochRaised).len(), 1, "only when it got its id");
}

#[test]
fn no_more_than_five_batches_of_a_partition_are_out_wherever_its_leader_is() {
    let mut script = started(config(), Museum::CLOSED);
    send(&mut script, 1..=9);
    assert_eq!(script.unanswered(ApiKey::Produce), 5);
    let first = script.question(ApiKey::Produce);
    answer(&mut script, &first, Ok(0));
    assert_eq!(script.unanswered(ApiKey::Produce), 5);
}

#[test]
fn a_gap_after_what_was_acknowledged_raises_the_epoch_and_starts_at_zero() {
    let mut script = started(config(), Museum::CLOSED);
    send(&mut script, [1]);
    let first = script.question(ApiKey::Produce);
    answer(&mut script, &first, Ok(0));
    send(&mut script, [2, 3]);
    let (second, third) = (script.question(ApiKey::Produce), script.question(ApiKey::Produce));
    // An unclean leader has lost record 1.
    answer(&mut script, &second, Err(ErrorCode::OutOfOrderSequenceNumber));
    script.pass(200);
    assert_eq!(script.unanswered(ApiKey::Produce), 0, "the third may be in the log yet");
    answer(&mut script, &third, Err(ErrorCode::OutOfOrderSequenceNumber));
    script.pass(200);
    let again = script.question(ApiKey::Produce);
    assert_eq!(number(&again), "1:0 x1");
    answer(&mut script, &again, Ok(0));
    let last = script.question(ApiKey::Produce);
    assert_eq!(number(&last), "1:1 x1");
    answer(&mut script, &last, Ok(1));
    assert_eq!(acked(&mut script), [1, 2, 3]);
}

#[test]
fn a_batch_that_was_overtaken_never_goes_in_again_behind() {
    // A leader that does not know the producer takes any sequence: 1 was refused, 2 went in.
    let mut script = started(config(), Museum::CLOSED);
    send(&mut script, [1, 2]);
    let (first, second) = (script.question(ApiKey::Produce), script.question(ApiKey::Produce));
    answer(&mut script, &first, Err(ErrorCode::NotEnoughReplicas));
    answer(&mut script, &second, Ok(0));
    for _ in 0..3 {
        script.pass(100);
        let again = script.question(ApiKey::Produce);
        assert_eq!(number(&again), "0:0 x1");
        answer(&mut script, &again, Err(ErrorCode::OutOfOrderSequenceNumber));
    }
}

/// Batch 1 is in the log but its answer is lost; batch 2 is refused for good.
fn one_unknown_and_one_refused(museum: Museum) -> Script<Producer> {
    let mut script = started(config(), museum);
    send(&mut script, [1, 2]);
    let (first, second) = (script.question(ApiKey::Produce), script.question(ApiKey::Produce));
    answer(&mut script, &first, Err(ErrorCode::RequestTimedOut));
    answer(&mut script, &second, Err(ErrorCode::InvalidRecord));
    assert_eq!(failed(&mut script), [(2, ErrorCode::InvalidRecord, false)]);
    script.pass(100);
    script
}

#[test]
fn what_may_be_in_the_log_keeps_its_number_until_it_is_known() {
    let mut script = one_unknown_and_one_refused(Museum::CLOSED);
    send(&mut script, [3]);
    let again = script.question(ApiKey::Produce);
    assert_eq!((number(&again).as_str(), script.unanswered(ApiKey::Produce)), ("0:0 x1", 0));
    answer(&mut script, &again, Ok(0));
    assert_eq!(number(&script.question(ApiKey::Produce)), "1:0 x1");
}

#[test]
#[cfg(feature = "museum")]
fn with_the_bug_it_gets_another_number_and_is_appended_twice() {
    let mut script = one_unknown_and_one_refused(Museum::CLOSED.with(Bug::RenumberWithRetriesInFlight));
    assert_eq!(number(&script.question(ApiKey::Produce)), "1:0 x1");
}

#[test]
fn a_sequence_that_is_long_in_the_log_counts_as_appended() {
    let mut script = started(config(), Museum::CLOSED);
    send(&mut script, [1]);
    let question = script.question(ApiKey::Produce);
    answer(&mut script, &question, Err(ErrorCode::DuplicateSequenceNumber));
    let acked = Event::RecordAcked { tag: RecordTag(1), partition: orders(0), offset: None };
    assert_eq!(script.told_of(EventKind::RecordAcked), [acked]);
}

#[test]
fn a_record_that_is_never_sent_fails_when_its_time_is_over() {
    let mut script = Script::start(Producer::new(setup(Museum::CLOSED), config()));
    name(&mut script, 70, 0);
    send(&mut script, [1]);
    for _ in 0..599 {
        if script.unanswered(ApiKey::Metadata) > 0 {
            script.no_such_topic();
        }
        script.pass(100);
    }
    assert_eq!(failed(&mut script), []);
    script.pass(200);
    assert_eq!(failed(&mut script), [(1, ErrorCode::UnknownTopicOrPartition, false)]);
}

#[test]
fn a_record_for_another_topic_goes_when_the_one_before_has_failed() {
    let mut script = started(config(), Museum::CLOSED);
    let elsewhere = |tag| NewRecord { topic: "gone".into(), ..record(tag) };
    script.tell(Command::Send(elsewhere(1)));
    script.tell(Command::Send(record(2)));
    script.tell(Command::Send(elsewhere(3)));
    for _ in 0..599 {
        if script.unanswered(ApiKey::Metadata) > 0 {
            script.metadata(&[(2, 5), (3, 5)]);
        }
        script.pass(100);
    }
    assert_eq!((failed(&mut script), script.told_of(EventKind::RecordSent).len()), (vec![], 0));
    script.pass(200);
    assert_eq!(failed(&mut script), [(1, ErrorCode::UnknownTopicOrPartition, false)]);
    assert_eq!(script.told_of(EventKind::RecordSent).len(), 1, "the second");
    let question = script.question(ApiKey::Produce);
    answer(&mut script, &question, Ok(0));
    script.pass(59_000);
    assert_eq!(failed(&mut script), [], "its time began when the one before had failed");
    script.pass(1_000);
    assert_eq!(failed(&mut script), [(3, ErrorCode::UnknownTopicOrPartition, false)]);
}

#[test]
fn a_batch_without_a_leader_fails_when_its_time_is_over() {
    let mut script = started(config(), Museum::CLOSED);
    script.client.view.want_update();
    script.pass(200);
    script.metadata(&[(0, 6), (3, 5)]);
    send(&mut script, [1]);
    script.pass(119_999);
    assert_eq!(failed(&mut script), []);
    script.pass(1);
    assert_eq!(failed(&mut script), [(1, ErrorCode::RequestTimedOut, false)]);
}

/// A batch times out while its answer is out; then another is sent.
fn one_timed_out(museum: Museum) -> (Script<Producer>, Question) {
    let mut short = config();
    short.delivery_timeout_ms = core::time::Duration::from_secs(1);
    let mut script = started(short, museum);
    send(&mut script, [1]);
    let first = script.question(ApiKey::Produce);
    script.pass(1_000);
    assert_eq!(failed(&mut script), [(1, ErrorCode::RequestTimedOut, true)]);
    send(&mut script, [2]);
    (script, first)
}

#[test]
fn after_a_timeout_the_next_batch_begins_a_new_epoch() {
    let (mut script, first) = one_timed_out(Museum::CLOSED);
    assert_eq!(number(&script.question(ApiKey::Produce)), "1:0 x1");
    answer(&mut script, &first, Ok(0));
    assert_eq!(acked(&mut script), [], "what was said to have failed stays so");
}

#[test]
#[cfg(feature = "museum")]
fn with_the_bug_the_next_batch_gets_the_number_of_the_one_that_timed_out() {
    let (mut script, _) = one_timed_out(Museum::CLOSED.with(Bug::SequenceResetOnDeliveryTimeout));
    assert_eq!(number(&script.question(ApiKey::Produce)), "0:0 x1");
}

/// One record is acknowledged; then a broker that knows nothing says that there is no such topic.
fn after_the_topic_vanished(museum: Museum) -> String {
    let mut script = started(config(), museum);
    send(&mut script, [1]);
    let question = script.question(ApiKey::Produce);
    answer(&mut script, &question, Ok(0));
    script.client.view.want_update();
    script.pass(200);
    script.no_such_topic();
    script.pass(200);
    script.metadata(&[(2, 5), (3, 5)]);
    send(&mut script, [2]);
    number(&script.question(ApiKey::Produce))
}

#[test]
fn a_topic_that_vanishes_for_a_while_keeps_its_numbers() {
    assert_eq!(after_the_topic_vanished(Museum::CLOSED), "0:1 x1");
}

#[test]
#[cfg(feature = "museum")]
fn with_the_bug_a_topic_that_vanished_is_numbered_from_zero() {
    let bug = Museum::CLOSED.with(Bug::SequenceStateDroppedWithTopic);
    assert_eq!(after_the_topic_vanished(bug), "0:0 x1");
}

#[test]
fn a_record_too_large_for_a_request_fails_at_once() {
    let mut script = started(ProducerConfig { max_request_size: 82, ..config() }, Museum::CLOSED);
    send(&mut script, [1]);
    assert_eq!(failed(&mut script), [(1, ErrorCode::MessageTooLarge, false)]);
}

#[test]
fn a_full_buffer_holds_records_back_in_order() {
    let big = |tag| NewRecord { value: Some(Bytes::from(vec![b'x'; 200])), ..record(tag) };
    let small = ProducerConfig {
        batch_size: 1,
        buffer_memory: 2 * size_bound(&big(1)) as u64,
        max_block_ms: core::time::Duration::from_secs(600),
        ..config()
    };
    let mut script = started(small, Museum::CLOSED);
    for tag in 1..=4 {
        script.tell(Command::Send(big(tag)));
    }
    assert_eq!(script.told_of(EventKind::RecordSent).len(), 2);
    let first = script.question(ApiKey::Produce);
    answer(&mut script, &first, Ok(0));
    assert_eq!(script.told_of(EventKind::RecordSent).len(), 1);
    script.pass(119_999);
    assert_eq!(failed(&mut script), []);
    script.pass(1);
    let timed_out = ErrorCode::RequestTimedOut;
    assert_eq!(failed(&mut script), [(2, timed_out, true), (3, timed_out, true)]);
    assert_eq!(script.told_of(EventKind::RecordSent).len(), 1, "the fourth, in their place");
}

#[test]
fn without_an_id_nothing_is_sent() {
    let mut script = started(config(), Museum::CLOSED);
    script.client.me = Me::Wanted { at: Instant(script.now + 7_000_000), failures: 0 };
    send(&mut script, [1]);
    assert_eq!(script.unanswered(ApiKey::Produce), 0);
    script.pass(7);
    name(&mut script, 71, 0);
    assert_eq!(number(&script.question(ApiKey::Produce)), "0:0 x1");
}

#[test]
fn a_batch_too_large_for_its_topic_is_cut_and_keeps_its_numbers() {
    let linger = ProducerConfig { linger_ms: core::time::Duration::from_millis(5), ..config() };
    let mut script = started(linger, Museum::CLOSED);
    send(&mut script, 1..=6);
    script.pass(5);
    let question = script.question(ApiKey::Produce);
    assert_eq!(number(&question), "0:0 x6");
    answer(&mut script, &question, Err(ErrorCode::MessageTooLarge));
    let mut sent = Vec::new();
    while script.unanswered(ApiKey::Produce) > 0 {
        let piece = script.question(ApiKey::Produce);
        let next: u32 = sent.len() as u32;
        assert_eq!(batch(&piece).header().producer.map(|stamp| stamp.base_sequence.0), Some(next));
        sent.extend(values(&piece));
        answer(&mut script, &piece, Ok(u64::from(next)));
    }
    assert_eq!(sent, (1..=6).map(|tag| format!("record {tag}")).collect::<Vec<_>>());
    assert_eq!(acked(&mut script), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn nobody_answers_without_acks() {
    let acks = ProducerConfig { acks: crate::config::AcksSetting::None, ..config() };
    let mut script = started(acks, Museum::CLOSED);
    assert!(!script.client.idempotent, "acks rules idempotence out");
    send(&mut script, [1]);
    assert_eq!(produce(&script.question(ApiKey::Produce)).acks, Acks::None);
    let acked = Event::RecordAcked { tag: RecordTag(1), partition: orders(0), offset: None };
    assert_eq!(script.told_of(EventKind::RecordAcked), [acked]);
    assert!(script.client.net.is_empty());
}

#[test]
fn partitions_of_one_leader_share_a_request_up_to_its_size() {
    for (max_request_size, requests) in [(1 << 20, vec![2]), (120, vec![1, 1])] {
        let linger = core::time::Duration::from_millis(5);
        let together = ProducerConfig { linger_ms: linger, max_request_size, ..config() };
        let mut script = started(together, Museum::CLOSED);
        script.client.view.want_update();
        script.pass(200);
        script.metadata(&[(2, 6), (2, 6)]);
        script.tell(Command::Send(record(1)));
        script.tell(Command::Send(NewRecord { partition: Some(1), ..record(2) }));
        script.pass(5);
        let sizes: Vec<usize> =
            requests.iter().map(|_| produce(&script.question(ApiKey::Produce)).partitions.len()).collect();
        assert_eq!(sizes, requests);
    }
}

#[test]
fn a_leader_named_along_with_the_error_is_tried_at_once() {
    let mut script = started(config(), Museum::CLOSED);
    send(&mut script, [1]);
    let question = script.question(ApiKey::Produce);
    let hint = LeaderHint { leader: Some(NodeId::broker(3)), epoch: LeaderEpoch(6) };
    answer_with(&mut script, &question, Err(ErrorCode::NotLeaderOrFollower), Some(hint));
    let again = script.question(ApiKey::Produce);
    assert_eq!((again.to, number(&again).as_str()), (NodeId::broker(3), "0:0 x1"));
}

#[test]
fn it_ends_when_everything_is_sent() {
    let mut script = started(config(), Museum::CLOSED);
    send(&mut script, [1]);
    script.tell(Command::Shutdown);
    assert!(!script.halted);
    let question = script.question(ApiKey::Produce);
    answer(&mut script, &question, Ok(0));
    assert!(script.halted);
}

#[test]
fn retries_run_out() {
    let mut script = started(ProducerConfig { retries: 1, ..config() }, Museum::CLOSED);
    send(&mut script, [1]);
    for _ in 0..2 {
        let question = script.question(ApiKey::Produce);
        answer(&mut script, &question, Err(ErrorCode::NotEnoughReplicas));
        script.pass(100);
    }
    assert_eq!(failed(&mut script), [(1, ErrorCode::NotEnoughReplicas, false)]);
    assert_eq!(script.unanswered(ApiKey::Produce), 0);
}

/// Partition 1 has a batch whose answer is lost when partition 0 finds a gap; gives back how it is sent again.
fn beside_a_gap(museum: Museum) -> String {
    let mut script = started(config(), museum);
    send(&mut script, [1]);
    let first = script.question(ApiKey::Produce);
    answer(&mut script, &first, Ok(0));
    script.tell(Command::Send(NewRecord { partition: Some(1), ..record(2) }));
    let beside = script.question(ApiKey::Produce);
    answer(&mut script, &beside, Err(ErrorCode::RequestTimedOut));
    send(&mut script, [3]);
    let gap = script.question(ApiKey::Produce);
    answer(&mut script, &gap, Err(ErrorCode::OutOfOrderSequenceNumber));
    script.pass(200);
    let again = [script.question(ApiKey::Produce), script.question(ApiKey::Produce)];
    let [beside] = again.iter().filter(|q| q.to == NodeId::broker(3)).collect::<Vec<_>>()[..] else {
        panic!("broker 3 is asked once: {again:?}")
    };
    number(beside)
}

#[test]
fn a_gap_in_one_partition_leaves_the_numbers_of_others_alone() {
    assert_eq!(beside_a_gap(Museum::CLOSED), "0:0 x1");
}

#[test]
#[cfg(feature = "museum")]
fn with_the_bug_a_gap_in_one_partition_renumbers_all() {
    let bug = Museum::CLOSED.with(Bug::EpochBumpRewritesOtherPartitions);
    assert_eq!(beside_a_gap(bug), "1:0 x1");
}
