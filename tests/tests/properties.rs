//! What holds of a log, its epochs, sequences and bytes, whatever the inputs are?

use bytes::Bytes;
use proptest::{prelude::*, test_runner::RngSeed};
use trial_model::{
    log::{
        batch::{Batch, ProducerStamp},
        codec::{BatchBuilder, RecordHeader},
        epochs::Epochs,
        producers::{ProducerBatch, Producers, REMEMBERED, Verdict},
    },
    time::Timestamp,
    units::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, RecordCount, Sequence},
};

#[path = "properties/deaths.rs"]
mod deaths;
#[path = "properties/disk.rs"]
mod disk;

/// How inputs are drawn: from one seed, so that what fails here fails everywhere. `PROPTEST_RNG_SEED` draws
/// others, and `PROPTEST_CASES` more. What fails is shrunk and kept as a test.
fn drawn() -> ProptestConfig {
    let given = ProptestConfig::default();
    let rng_seed = match given.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        fixed => fixed,
    };
    ProptestConfig { rng_seed, failure_persistence: None, ..given }
}

type Drawn = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn any_records() -> impl Strategy<Value = Vec<Drawn>> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200));
    let headers = proptest::collection::vec(("[a-z]{0,4}", bytes()), 0..4);
    proptest::collection::vec((-1_000_000i64..1_000_000, bytes(), bytes(), headers), 1..20)
}

fn any_stamp() -> impl Strategy<Value = Option<ProducerStamp>> {
    let stamp = (0..u64::MAX / 2, 0..=i16::MAX as u16, 0..=i32::MAX as u32);
    proptest::option::of(stamp.prop_map(|(id, epoch, sequence)| ProducerStamp {
        id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
        base_sequence: Sequence(sequence),
    }))
}

fn headers_of(headers: &[(String, Option<Vec<u8>>)]) -> Vec<RecordHeader> {
    let header = |(key, value): &(String, Option<Vec<u8>>)| RecordHeader {
        key: key.clone().into(),
        value: value.clone().map(Bytes::from),
    };
    headers.iter().map(header).collect()
}

fn built(records: &[Drawn], stamp: Option<ProducerStamp>) -> Batch {
    let mut builder = BatchBuilder::new();
    for (time, key, value, headers) in records {
        builder.push(Timestamp(*time), key.as_deref(), value.as_deref(), &headers_of(headers));
    }
    if let Some(stamp) = stamp {
        builder.producer(stamp);
    }
    let size = builder.size();
    let batch = builder.build();
    assert_eq!(batch.size(), size);
    batch
}

proptest! {
    #![proptest_config(drawn())]

    /// Every batch comes back from its bytes as it was, with every record and the order of its headers.
    #[test]
    fn a_batch_comes_back(
        records in any_records(),
        stamp in any_stamp(),
        base in 0u64..1 << 40,
        epoch in 0u32..1 << 30,
    ) {
        let mut batch = built(&records, stamp);
        batch.assign(Offset(base), LeaderEpoch(epoch));
        let bytes = batch.encode();
        prop_assert_eq!(bytes.len(), batch.size());
        let mut rest = bytes.clone();
        let back = Batch::decode(&mut rest).expect("it is whole");
        prop_assert!(rest.is_empty());
        prop_assert_eq!(&back, &batch);
        let read: Vec<_> = back.decode_records().map(|record| record.expect("it is sound")).collect();
        prop_assert_eq!(read.len(), records.len());
        for (nth, (record, (time, key, value, headers))) in read.iter().zip(&records).enumerate() {
            prop_assert_eq!(record.offset, Offset(base + nth as u64));
            prop_assert_eq!(record.timestamp, Timestamp(*time));
            prop_assert_eq!(record.key.as_deref(), key.as_deref());
            prop_assert_eq!(record.value.as_deref(), value.as_deref());
            prop_assert_eq!(&record.headers, &headers_of(headers));
        }
    }

    /// No prefix of a batch is a batch, and a changed bit is noticed wherever the CRC covers it.
    #[test]
    fn damage_is_noticed(records in any_records(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let bytes = built(&records, None).encode();
        let cut = at.index(bytes.len());
        prop_assert!(Batch::decode(&mut bytes.slice(..cut)).is_err());
        let mut changed = bytes.to_vec();
        let flipped = 16 + at.index(bytes.len() - 16);
        changed[flipped] ^= 1 << bit;
        prop_assert!(Batch::decode(&mut Bytes::from(changed)).is_err());
    }

    /// Whatever bytes come, decoding ends, without a panic and without more memory than they take.
    #[test]
    fn hostile_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut rest = Bytes::from(bytes.clone());
        if Batch::decode(&mut rest).is_err() {
            prop_assert_eq!(rest, bytes, "what is refused is left as it is");
        }
    }

    /// Records that lie about their lengths within a batch whose CRC agrees are refused one by one.
    #[test]
    fn hostile_records_are_refused(records in any_records(), at in any::<prop::sample::Index>(), byte: u8) {
        let good = built(&records, None);
        let mut bytes = good.encode().to_vec();
        let at = 61 + at.index(bytes.len() - 61);
        bytes[at] = byte;
        let crc = castagnoli(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let batch = Batch::decode(&mut Bytes::from(bytes)).expect("the CRC agrees");
        let read: Vec<_> = batch.decode_records().collect();
        prop_assert!(read.len() <= records.len());
        for record in read.into_iter().flatten() {
            prop_assert!(record.offset <= batch.last_offset());
            let held = record.headers.iter().map(|h| h.key.len() + h.value.as_ref().map_or(0, Bytes::len));
            prop_assert!(held.sum::<usize>() <= batch.size());
        }
    }

    /// The epochs noted while appending are those that the records tell, however the log was cut between.
    #[test]
    fn epochs_are_those_of_the_records(
        steps in proptest::collection::vec((0u8..4, 0u32..3, 1u64..6), 1..60),
    ) {
        let (mut epochs, mut log, mut epoch, mut elected) = (Epochs::new(), Vec::<u32>::new(), 0, None);
        for (what, more, count) in steps {
            match what {
                0 => {
                    epoch += more;
                    epochs.assign(LeaderEpoch(epoch), Offset(log.len() as u64));
                    elected = Some(epoch);
                }
                1 => {
                    let keep = log.len().saturating_sub(count as usize);
                    log.truncate(keep);
                    epochs.truncate_from_end(Offset(keep as u64));
                    elected = None;
                }
                _ => {
                    epochs.assign(LeaderEpoch(epoch), Offset(log.len() as u64));
                    log.extend((0..count).map(|_| epoch));
                }
            }
            let mut rebuilt = Epochs::new();
            for (offset, epoch) in log.iter().enumerate() {
                rebuilt.assign(LeaderEpoch(*epoch), Offset(offset as u64));
            }
            let end = Offset(log.len() as u64);
            if let Some(elected) = elected {
                rebuilt.assign(LeaderEpoch(elected), end);
            }
            prop_assert_eq!(epochs.entries(), rebuilt.entries());
            prop_assert_eq!(Epochs::decode(&epochs.encode()), Some(epochs.clone()));
            for asked in 0..=epoch {
                // By the definition: one past the last record of the greatest epoch not greater.
                let Some(answer) = epochs.end_for(LeaderEpoch(asked), end) else { continue };
                let none = log.iter().all(|of| *of > asked);
                let expected = log.iter().rposition(|of| *of <= asked).map_or(0, |last| last as u64 + 1);
                prop_assert_eq!(answer.end.0, expected);
                prop_assert!(none || answer.epoch.0 <= asked);
            }
        }
    }

    /// A producer's batches are taken in order and once, across the wrap of its sequence; the last five are
    /// known again.
    #[test]
    fn sequences_go_round(
        start in prop_oneof![Just(i32::MAX as u32 - 6), 0..=i32::MAX as u32],
        counts in proptest::collection::vec(1u64..5, 1..12),
        gap in 1u64..100,
    ) {
        let id = ProducerId(9);
        let stamp = |base_sequence| ProducerStamp { id, epoch: ProducerEpoch(0), base_sequence };
        let (mut producers, mut next, mut end) = (Producers::new(Offset(0)), Sequence(start), Offset(0));
        let mut sent = Vec::new();
        for count in counts {
            let count = RecordCount(count);
            prop_assert_eq!(producers.judge(stamp(next), count), Ok(Verdict::Next));
            let timestamp = Timestamp(0);
            let batch = ProducerBatch { base_sequence: next, base: end, count, timestamp };
            producers.append(id, ProducerEpoch(0), batch);
            sent.push(batch);
            (next, end) = (next.plus(count), end + count);
            prop_assert!(next.0 <= i32::MAX as u32);
            prop_assert!(producers.judge(stamp(next.plus(RecordCount(gap))), count).is_err());
            for (age, batch) in sent.iter().rev().enumerate() {
                let verdict = producers.judge(stamp(batch.base_sequence), batch.count);
                let known = age < REMEMBERED;
                prop_assert_eq!(verdict.is_ok(), known);
                prop_assert!(!known || verdict == Ok(Verdict::Duplicate(*batch)));
            }
        }
        prop_assert_eq!(Producers::decode(&producers.encode(), end), Some(producers));
    }
}

/// CRC-32C bit by bit, as the polynomial says.
fn castagnoli(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}
