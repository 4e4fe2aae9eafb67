//! How is a record batch spelled in bytes, and how is it read back without trusting it?
//!
//! Record batch format v2 (KIP-98), byte for byte as Kafka's: big-endian header, zigzag varints in the
//! records, CRC-32C over everything after the CRC field.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::{
    batch::{Batch, BatchHeader, HEADER_SIZE, ProducerStamp},
    crc32c::{crc32c, crc32c_of},
    varint,
};
use crate::{
    time::Timestamp,
    units::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, RecordCount, Sequence},
};

/// Where the batch length stands that counts what follows it.
const LENGTH_AT: usize = 8;
/// What stands before the length counts: base offset and the length itself.
const BEFORE_LENGTH: usize = 12;
/// Where the bytes begin that the CRC covers.
const CRC_COVERS_FROM: usize = 21;
const MAGIC: u8 = 2;

/// Why bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Corrupt {
    /// They end before the batch does: it would take this many.
    Incomplete {
        /// How many bytes the batch, or the part of the header that tells, would take.
        needs: usize,
    },
    /// Another format, or a size that no batch has.
    Header,
    /// The CRC does not agree with the bytes.
    Crc,
    /// A record does not fit its batch.
    Record,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Corrupt::Incomplete { needs } => write!(f, "cut short: {needs} bytes needed"),
            Corrupt::Header => f.write_str("not a batch header"),
            Corrupt::Crc => f.write_str("CRC mismatch"),
            Corrupt::Record => f.write_str("malformed record"),
        }
    }
}

/// A header of a record. Several may have the same key; their order is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RecordHeader {
    /// Its key: UTF-8.
    pub key: Bytes,
    /// Its value, or null.
    pub value: Option<Bytes>,
}

/// One record, its bytes shared with the batch it came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Where it stands in the log.
    pub offset: Offset,
    /// When it was made, or appended under `LogAppendTime`.
    pub timestamp: Timestamp,
    /// What it is about, or null.
    pub key: Option<Bytes>,
    /// What it says, or null (a tombstone).
    pub value: Option<Bytes>,
    /// Whatever else.
    pub headers: Vec<RecordHeader>,
}

/// Gathers records into a batch.
#[derive(Clone, Debug, Default)]
pub struct BatchBuilder {
    records: Vec<u8>,
    count: u32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    attributes: u16,
    producer: Option<ProducerStamp>,
}

impl BatchBuilder {
    /// An empty one.
    pub fn new() -> BatchBuilder {
        BatchBuilder::default()
    }

    /// Adds a record.
    pub fn push(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader],
    ) -> &mut BatchBuilder {
        if self.count == 0 {
            (self.base_timestamp, self.max_timestamp) = (timestamp, timestamp);
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let delta = timestamp.0.wrapping_sub(self.base_timestamp.0);
        put_record(&mut self.records, delta, self.count, key, value, headers);
        self.count += 1;
        self
    }

    /// Names the idempotent producer.
    pub fn producer(&mut self, stamp: ProducerStamp) -> &mut BatchBuilder {
        self.producer = Some(stamp);
        self
    }

    /// Makes it a batch of the log's own marks.
    pub fn control(&mut self) -> &mut BatchBuilder {
        self.attributes |= Batch::CONTROL;
        self
    }

    /// Makes it part of a transaction.
    pub fn transactional(&mut self) -> &mut BatchBuilder {
        self.attributes |= Batch::TRANSACTIONAL;
        self
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many bytes the batch takes so far.
    pub fn size(&self) -> usize {
        HEADER_SIZE + self.records.len()
    }

    /// How many bytes a record would add to an empty batch, headers of the record included: what a producer
    /// checks against `batch.size` before it adds the record.
    pub fn size_of(
        timestamp_delta: i64,
        nth: u32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader],
    ) -> usize {
        let size = body_size(timestamp_delta, nth, key, value, headers);
        size + varint::size(size as i64)
    }

    /// The batch, at offset zero and without a leader epoch until a leader assigns both.
    ///
    /// A batch has at least one record: building an empty one is a mistake of the caller's.
    pub fn build(self) -> Batch {
        assert!(self.count > 0, "a batch has at least one record");
        let header = BatchHeader {
            base_offset: Offset::ZERO,
            leader_epoch: Batch::NO_LEADER_EPOCH,
            crc: 0,
            attributes: self.attributes,
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer: self.producer,
            record_count: self.count,
        };
        sealed(header, self.records.into())
    }
}

/// The batch of `header` and `records` with the CRC they have.
fn sealed(mut header: BatchHeader, records: Bytes) -> Batch {
    header.crc = crc_of(&header, &records);
    Batch::checked(header, records)
}

fn crc_of(header: &BatchHeader, records: &[u8]) -> u32 {
    let spelled = spell_header(header, records.len());
    crc32c_of(&[&spelled[CRC_COVERS_FROM..], records])
}

fn body_size(
    delta: i64,
    nth: u32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[RecordHeader],
) -> usize {
    let of = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => varint::size(bytes.len() as i64) + bytes.len(),
        None => varint::size(-1),
    };
    let headers_size: usize = headers.iter().map(|h| of(Some(&h.key)) + of(h.value.as_deref())).sum();
    1 + varint::size(delta)
        + varint::size(i64::from(nth))
        + of(key)
        + of(value)
        + varint::size(headers.len() as i64)
        + headers_size
}

fn put_record(
    out: &mut Vec<u8>,
    delta: i64,
    nth: u32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[RecordHeader],
) {
    let size = body_size(delta, nth, key, value, headers);
    out.reserve(size + varint::size(size as i64));
    varint::put(out, size as i64);
    out.push(0);
    varint::put(out, delta);
    varint::put(out, i64::from(nth));
    put_bytes(out, key);
    put_bytes(out, value);
    varint::put(out, headers.len() as i64);
    for header in headers {
        put_bytes(out, Some(&header.key));
        put_bytes(out, header.value.as_deref());
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            varint::put(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
        None => varint::put(out, -1),
    }
}

fn spell_header(header: &BatchHeader, records: usize) -> [u8; HEADER_SIZE] {
    let mut out = [0; HEADER_SIZE];
    let length = (HEADER_SIZE - BEFORE_LENGTH + records) as u32;
    // A batch without an idempotent producer has -1 in all three fields.
    let (id, epoch, sequence) =
        header.producer.map_or((-1, -1, -1), |p| (p.id.0 as i64, p.epoch.0 as i16, p.base_sequence.0 as i32));
    out[0..8].copy_from_slice(&header.base_offset.0.to_be_bytes());
    out[8..12].copy_from_slice(&length.to_be_bytes());
    out[12..16].copy_from_slice(&header.leader_epoch.0.to_be_bytes());
    out[16] = MAGIC;
    out[17..21].copy_from_slice(&header.crc.to_be_bytes());
    out[21..23].copy_from_slice(&header.attributes.to_be_bytes());
    out[23..27].copy_from_slice(&header.last_offset_delta.to_be_bytes());
    out[27..35].copy_from_slice(&header.base_timestamp.0.to_be_bytes());
    out[35..43].copy_from_slice(&header.max_timestamp.0.to_be_bytes());
    out[43..51].copy_from_slice(&id.to_be_bytes());
    out[51..53].copy_from_slice(&epoch.to_be_bytes());
    out[53..57].copy_from_slice(&sequence.to_be_bytes());
    out[57..61].copy_from_slice(&header.record_count.to_be_bytes());
    out
}

/// The `N` bytes of a header from `at`.
fn field<const N: usize>(header: &[u8; HEADER_SIZE], at: usize) -> [u8; N] {
    header[at..at + N].try_into().expect("so many were taken")
}

/// The header that stands at the beginning of `bytes`, and how many bytes its batch takes. Nothing but the
/// header is looked at.
pub(super) fn read_header(bytes: &[u8]) -> Result<(BatchHeader, usize), Corrupt> {
    let Some(bytes) = bytes.first_chunk::<HEADER_SIZE>() else {
        return Err(Corrupt::Incomplete { needs: HEADER_SIZE });
    };
    let length = i32::from_be_bytes(field(bytes, LENGTH_AT));
    let size = usize::try_from(length).map_err(|_| Corrupt::Header)? + BEFORE_LENGTH;
    if size < HEADER_SIZE || bytes[16] != MAGIC {
        return Err(Corrupt::Header);
    }
    let base_offset = i64::from_be_bytes(field(bytes, 0));
    let last_offset_delta = i32::from_be_bytes(field(bytes, 23));
    let record_count = i32::from_be_bytes(field(bytes, 57));
    let id = i64::from_be_bytes(field(bytes, 43));
    let epoch = i16::from_be_bytes(field(bytes, 51));
    let sequence = i32::from_be_bytes(field(bytes, 53));
    let sensible = base_offset >= 0
        && base_offset.checked_add(i64::from(last_offset_delta)).is_some_and(|last| last < i64::MAX)
        && last_offset_delta >= 0
        && record_count >= 0
        && i64::from(record_count) <= i64::from(last_offset_delta) + 1;
    if !sensible {
        return Err(Corrupt::Header);
    }
    let producer = (id >= 0 && epoch >= 0 && sequence >= 0).then_some(ProducerStamp {
        id: ProducerId(id as u64),
        epoch: ProducerEpoch(epoch as u16),
        base_sequence: Sequence(sequence as u32),
    });
    if producer.is_none() && (id, epoch, sequence) != (-1, -1, -1) {
        return Err(Corrupt::Header);
    }
    let header = BatchHeader {
        base_offset: Offset(base_offset as u64),
        leader_epoch: LeaderEpoch(u32::from_be_bytes(field(bytes, 12))),
        crc: u32::from_be_bytes(field(bytes, 17)),
        attributes: u16::from_be_bytes(field(bytes, 21)),
        last_offset_delta: last_offset_delta as u32,
        base_timestamp: Timestamp(i64::from_be_bytes(field(bytes, 27))),
        max_timestamp: Timestamp(i64::from_be_bytes(field(bytes, 35))),
        producer,
        record_count: record_count as u32,
    };
    Ok((header, size))
}

impl Batch {
    /// The leader epoch of a batch that no leader has appended yet: -1 on the wire.
    pub const NO_LEADER_EPOCH: LeaderEpoch = LeaderEpoch(u32::MAX);

    /// The batch as it stands on the wire and on disk.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.size());
        self.encode_into(&mut out);
        out.into()
    }

    /// Adds the batch to `out` as it stands on the wire and on disk.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&spell_header(self.header(), self.records().len()));
        out.extend_from_slice(self.records());
    }

    /// Takes one batch off the beginning of `bytes`; its records stay shared with them.
    ///
    /// Refuses what is cut short, is not of format v2 or does not agree with its CRC, and then leaves
    /// `bytes` as they are. Never allocates and never panics, whatever the bytes.
    pub fn decode(bytes: &mut Bytes) -> Result<Batch, Corrupt> {
        let (header, size) = read_header(bytes)?;
        if bytes.len() < size {
            return Err(Corrupt::Incomplete { needs: size });
        }
        if crc32c(&bytes[CRC_COVERS_FROM..size]) != header.crc {
            return Err(Corrupt::Crc);
        }
        let records = bytes.split_to(size).slice(HEADER_SIZE..);
        Ok(Batch::checked(header, records))
    }

    /// The records one by one, sharing the batch's bytes. Ends after the first that is malformed, and if
    /// the batch is compressed, which nobody here does, at once.
    pub fn decode_records(&self) -> Records {
        Records {
            header: *self.header(),
            bytes: self.records().clone(),
            at: 0,
            left: self.header().record_count,
        }
    }

    /// The same records from another life of the producer, or with another sequence (KIP-360).
    #[must_use]
    pub fn with_producer(&self, producer: Option<ProducerStamp>) -> Batch {
        sealed(BatchHeader { producer, ..*self.header() }, self.records().clone())
    }

    /// The same records, all with the time at which the leader appended them.
    #[must_use]
    pub fn with_append_time(&self, now: Timestamp) -> Batch {
        let attributes = self.header().attributes | Batch::LOG_APPEND_TIME;
        sealed(BatchHeader { attributes, max_timestamp: now, ..*self.header() }, self.records().clone())
    }

    /// What is left of it when only `kept` of its records stay, in their places: its offsets reach as far as
    /// before, and its sequences with them. With a `delete_horizon`, that is noted in it (KIP-534).
    ///
    /// `kept` are records of this batch, which is not compressed.
    #[must_use]
    pub fn with_records(&self, kept: &[Record], delete_horizon: Option<Timestamp>) -> Batch {
        let mut header = *self.header();
        header.record_count = kept.len() as u32;
        header.attributes &= !(Batch::COMPRESSION | Batch::DELETE_HORIZON);
        let Some(first) = kept.first() else {
            // As Kafka writes a batch that is kept for its offsets and its sequence.
            header.base_timestamp = Timestamp(-1);
            return sealed(header, Bytes::new());
        };
        let fits = |base: Timestamp| kept.iter().all(|r| r.timestamp.0.checked_sub(base.0).is_some());
        match delete_horizon.filter(|horizon| fits(*horizon)) {
            Some(horizon) => {
                header.attributes |= Batch::DELETE_HORIZON;
                header.base_timestamp = horizon;
            }
            None if fits(first.timestamp) => header.base_timestamp = first.timestamp,
            None => {}
        }
        if header.attributes & Batch::LOG_APPEND_TIME == 0 {
            header.max_timestamp =
                kept.iter().map(|record| record.timestamp).max().unwrap_or(header.max_timestamp);
        }
        let mut records = Vec::with_capacity(self.records().len());
        for record in kept {
            let delta = record.timestamp.0.wrapping_sub(header.base_timestamp.0);
            let nth = (record.offset - header.base_offset).0 as u32;
            put_record(
                &mut records,
                delta,
                nth,
                record.key.as_deref(),
                record.value.as_deref(),
                &record.headers,
            );
        }
        sealed(header, records.into())
    }
}

/// The records of a batch.
#[derive(Clone, Debug)]
pub struct Records {
    header: BatchHeader,
    bytes: Bytes,
    /// What stands before is read.
    at: usize,
    left: u32,
}

impl Iterator for Records {
    type Item = Result<Record, Corrupt>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let record = self.take_record().ok_or(Corrupt::Record);
        if record.is_err() {
            self.left = 0;
        }
        Some(record)
    }
}

impl Records {
    fn take_record(&mut self) -> Option<Record> {
        if self.header.attributes & Batch::COMPRESSION != 0 {
            return None;
        }
        let mut rest = Cursor { bytes: &self.bytes, at: self.at, end: self.bytes.len() };
        let length = usize::try_from(rest.number()?).ok()?;
        let mut body = Cursor { end: rest.skip(length)?, ..rest };
        body.at = body.end - length;
        self.at = body.end;
        body.skip(1)?;
        let timestamp_delta = body.number()?;
        let offset_delta = u32::try_from(body.number()?).ok()?;
        if offset_delta > self.header.last_offset_delta {
            return None;
        }
        let key = body.bytes()?;
        let value = body.bytes()?;
        let count = usize::try_from(body.number()?).ok()?;
        // A header takes at least two bytes: whoever claims more than fit is not given room for them.
        if count > (body.end - body.at) / 2 {
            return None;
        }
        let mut headers = Vec::with_capacity(count);
        for _ in 0..count {
            let key = body.bytes()??;
            core::str::from_utf8(&key).ok()?;
            headers.push(RecordHeader { key, value: body.bytes()? });
        }
        if body.at != body.end {
            return None;
        }
        let append_time = self.header.attributes & Batch::LOG_APPEND_TIME != 0;
        let timestamp = match append_time {
            true => self.header.max_timestamp,
            false => Timestamp(self.header.base_timestamp.0.checked_add(timestamp_delta)?),
        };
        let offset = self.header.base_offset + RecordCount(u64::from(offset_delta));
        Some(Record { offset, timestamp, key, value, headers })
    }
}

/// Reads along bytes, of which only keys and values are shared: counting every reader in between took longer
/// than the reading.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a Bytes,
    at: usize,
    end: usize,
}

impl Cursor<'_> {
    fn number(&mut self) -> Option<i64> {
        let (number, size) = varint::read(&self.bytes[self.at..self.end])?;
        self.at += size;
        Some(number)
    }

    /// Passes over so many; says where they end.
    fn skip(&mut self, many: usize) -> Option<usize> {
        let to = self.at.checked_add(many).filter(|to| *to <= self.end)?;
        self.at = to;
        Some(to)
    }

    /// A length and that many bytes; the inner `None` is null.
    fn bytes(&mut self) -> Option<Option<Bytes>> {
        let length = self.number()?;
        if length == -1 {
            return Some(None);
        }
        let length = usize::try_from(length).ok()?;
        let end = self.skip(length)?;
        Some(Some(self.bytes.slice(end - length..end)))
    }
}
