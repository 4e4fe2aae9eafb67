//! What is left of a compacted topic, and what do those see who read it?

use std::collections::BTreeMap;

use trial_model::{
    event::Event,
    log::{batch::Batch, codec::BatchBuilder},
    protocol::{ErrorCode, produce::Acks},
    time::Timestamp,
    units::{NodeId, Offset, TopicPartition},
};

use super::cluster::{B1, B2, Cluster, batch};

const SETTINGS: [(&str, &str); 2] =
    [("log.cleaner.backoff.ms", "1000"), ("replica.high.watermark.checkpoint.interval.ms", "500")];
const TOPIC: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "1000"),
    ("delete.retention.ms", "60000"),
    ("min.cleanable.dirty.ratio", "0.01"),
];

/// Writes one record; a tombstone without a value.
fn write(cluster: &mut Cluster, orders: TopicPartition, key: &str, value: Option<&str>) -> Offset {
    let mut builder = BatchBuilder::new();
    let value = value.map(|value| format!("{value}{}", "~".repeat(120)));
    builder.push(Timestamp(0), Some(key.as_bytes()), value.as_deref().map(str::as_bytes), &[]);
    let answer = cluster.produce(B1, orders, Acks::All, builder.build()).expect("it is answered");
    answer.expect("it is written").base_offset
}

/// Every batch that a reader gets who begins at the start.
fn read(cluster: &mut Cluster, from: NodeId, orders: TopicPartition) -> Vec<Batch> {
    let (mut all, mut next) = (Vec::<Batch>::new(), 0);
    loop {
        let fetched = cluster.fetch(from, orders, next);
        assert_eq!(fetched.error, None);
        let Some(last) = fetched.batches.last() else { return all };
        next = last.end_offset().0;
        all.extend(fetched.batches.iter().cloned());
    }
}

/// Where the records stand that a reader gets, and the final state that they come to.
fn state(batches: &[Batch]) -> (Vec<Offset>, BTreeMap<String, Offset>) {
    let (mut offsets, mut state) = (Vec::new(), BTreeMap::new());
    for record in batches.iter().flat_map(Batch::decode_records) {
        let record = record.expect("it can be read");
        let key = String::from_utf8_lossy(&record.key.expect("it has a key")).into_owned();
        offsets.push(record.offset);
        match record.value {
            Some(_) => drop(state.insert(key, record.offset)),
            None => drop(state.remove(&key)),
        }
    }
    (offsets, state)
}

fn cleanings(cluster: &Cluster, of: NodeId) -> usize {
    let cleaned = |event: &Event| matches!(event, Event::LogCleaned { .. });
    cluster.world.told.iter().filter(|(_, node, event)| *node == of && cleaned(event)).count()
}

/// > Any consumer progressing from the start of the log will see at least the final state of all records in the
/// > order they were written. [...] Ordering of messages is always maintained. [...] The offset for a message
/// > never changes.
///
/// `design.html`, What guarantees does log compaction provide?
#[test]
pub fn the_final_state_of_every_key_is_read_wherever_it_is_read() {
    let mut cluster = Cluster::of(2, &SETTINGS);
    let orders = cluster.orders(&[&[1, 2]], &TOPIC);
    let mut truth = BTreeMap::new();
    for round in 0..6 {
        for key in ["a", "b", "c", "d"] {
            truth.insert(key.to_owned(), write(&mut cluster, orders, key, Some(&round.to_string())));
        }
    }
    write(&mut cluster, orders, "d", None);
    truth.remove("d");
    for _ in 0..10 {
        truth.insert("e".to_owned(), write(&mut cluster, orders, "e", Some("0")));
    }
    cluster.run(5_000);
    assert!(cleanings(&cluster, B1) > 0 && cleanings(&cluster, B2) > 0, "each cleans for itself");
    let end = cluster.replica(B1, orders).log.end();
    let batches = read(&mut cluster, B1, orders);
    let (offsets, seen) = state(&batches);
    assert_eq!(seen, truth);
    assert!(offsets.is_sorted() && offsets.len() < 20, "{offsets:?}");
    assert_eq!((end, batches.last().map(Batch::end_offset)), (Offset(35), Some(Offset(35))));
    // Whoever leads after a death knows no less, and who has lost everything fetches it.
    cluster.world.lose_power(B2, None);
    cluster.world.start(B2);
    cluster.run(5_000);
    let next = cluster.fail_over(B1, orders);
    assert_eq!(state(&read(&mut cluster, next, orders)).1, truth);
}

/// > The amount of time to retain delete tombstone markers for log compacted topics.
///
/// `TopicConfig.java`, `delete.retention.ms`.
#[test]
pub fn a_tombstone_is_retained_for_a_time() {
    let mut cluster = Cluster::of(1, &SETTINGS);
    let orders = cluster.orders(&[&[1]], &TOPIC);
    let tombstone = {
        write(&mut cluster, orders, "a", Some("1"));
        write(&mut cluster, orders, "a", None)
    };
    let fill = |cluster: &mut Cluster| {
        for _ in 0..10 {
            write(cluster, orders, "b", Some("0"));
        }
        cluster.run(3_000);
        state(&read(cluster, B1, orders)).0.contains(&tombstone)
    };
    assert!(fill(&mut cluster), "it is seen for the first time");
    cluster.run(40_000);
    assert!(fill(&mut cluster), "its time is not over");
    cluster.run(20_000);
    assert!(!fill(&mut cluster));
    assert!(!state(&read(&mut cluster, B1, orders)).1.contains_key("a"));
}

/// > Compacted topic cannot accept message without key in topic partition
///
/// `LogValidator.java`.
#[test]
pub fn a_compacted_topic_wants_keys() {
    let mut cluster = Cluster::of(1, &[]);
    let orders = cluster.orders(&[&[1]], &TOPIC);
    let answer = cluster.produce(B1, orders, Acks::All, batch(&["keyless"])).expect("it is answered");
    assert_eq!(answer, Err(ErrorCode::InvalidRecord));
}

/// > The "compact" policy will enable log compaction, which retains the latest value for each key.
///
/// `TopicConfig.java`, `cleanup.policy`. And nothing else does, a restart in between or not.
#[test]
pub fn a_restart_goes_on_from_the_cleaners_checkpoint() {
    let mut cluster = Cluster::of(1, &SETTINGS);
    let orders = cluster.orders(&[&[1]], &TOPIC);
    for _ in 0..20 {
        write(&mut cluster, orders, "a", Some("1"));
    }
    cluster.run(3_000);
    let cleaned = cluster.replica(B1, orders).log.cleaned();
    assert!(cleaned > Offset(0));
    cluster.world.crash(B1);
    cluster.world.start(B1);
    cluster.run(3_000);
    assert_eq!(cluster.replica(B1, orders).log.cleaned(), cleaned);
    let before = cleanings(&cluster, B1);
    cluster.run(10_000);
    assert_eq!(cleanings(&cluster, B1), before, "nothing is dirty");
}
