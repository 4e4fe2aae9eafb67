//! Which file holds which stretch of a log, and where in it does a batch stand?
//!
//! A segment has an offset index and a time index, each with an entry at most every
//! `index.interval.bytes`. They are kept in memory, and written to files once the segment is flushed whole:
//! such a file says how long the segment was, so that one that agrees stands for a segment that needs no
//! looking at. Entries are spelled as Kafka's; the seal behind them is ours.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{batch::Batch, crc32c::crc32c};
use crate::{
    time::Timestamp,
    units::{LeaderEpoch, Offset, RecordCount},
};

/// One file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The first offset it may hold, which names it.
    pub base: Offset,
    /// One past the last record it holds.
    pub end: Offset,
    /// How many bytes it holds.
    pub size: u32,
    /// The timestamp of its first batch, from which `segment.ms` counts.
    pub first_timestamp: Option<Timestamp>,
    /// The greatest timestamp in it.
    pub max_timestamp: Option<Timestamp>,
    /// The epoch of its last batch.
    pub last_epoch: LeaderEpoch,
    /// The CRC of its last batch; 0 if it was cut where nobody knew the batch before.
    pub last_crc: u32,
    /// Whether its directory entry was brought to the platter, or has been asked to be.
    pub in_directory: bool,
    /// Whether its index files stand on the disk, or are being written.
    pub sealed: bool,
    /// Whether offsets are missing in it: it was cleaned, here or where it was fetched from. What is missing
    /// is never at its end, so that it ends where the next begins.
    pub gaps: bool,
    index: Vec<(u32, u32)>,
    times: Vec<(Timestamp, u32)>,
    since_entry: u32,
}

impl Segment {
    /// An empty one.
    pub fn new(base: Offset) -> Segment {
        Segment {
            base,
            end: base,
            size: 0,
            first_timestamp: None,
            max_timestamp: None,
            last_epoch: LeaderEpoch(0),
            last_crc: 0,
            in_directory: false,
            sealed: false,
            gaps: false,
            index: Vec::new(),
            times: Vec::new(),
            since_entry: 0,
        }
    }

    /// Notes a batch at its end, and returns the position it stands at.
    pub fn append(&mut self, batch: &Batch, index_interval: u32) -> u32 {
        let (at, header) = (self.size, batch.header());
        if self.since_entry > index_interval {
            self.index.push((self.relative(header.base_offset), at));
            if let Some(max) = self.max_timestamp.filter(|max| self.times.last().is_none_or(|t| t.0 < *max)) {
                self.times.push((max, self.relative(header.base_offset)));
            }
            self.since_entry = 0;
        }
        self.gaps |= header.base_offset != self.end;
        self.since_entry += batch.size() as u32;
        self.size += batch.size() as u32;
        self.end = batch.end_offset();
        self.first_timestamp.get_or_insert(header.max_timestamp);
        self.max_timestamp = self.max_timestamp.max(Some(header.max_timestamp));
        self.last_epoch = header.leader_epoch;
        self.last_crc = header.crc;
        // Its index files, if it has any, speak of another state.
        self.sealed = false;
        at
    }

    fn relative(&self, offset: Offset) -> u32 {
        (offset - self.base).0 as u32
    }

    /// Whether it holds no batch.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// A position at which a batch begins, at or before the one that holds `offset`.
    pub fn position_before(&self, offset: Offset) -> u32 {
        let relative = self.relative(offset);
        let at = self.index.partition_point(|(entry, _)| *entry <= relative);
        at.checked_sub(1).map_or(0, |at| self.index[at].1)
    }

    /// The position of the batch that begins at `offset` where the one before it ends, if that is known without
    /// looking.
    pub fn position_of(&self, offset: Offset) -> Option<u32> {
        if offset == self.base {
            return Some(0);
        }
        if offset == self.end {
            return Some(self.size);
        }
        if self.gaps {
            return None;
        }
        let relative = self.relative(offset);
        self.index.binary_search_by_key(&relative, |(entry, _)| *entry).ok().map(|at| self.index[at].1)
    }

    /// An offset before which every record is older than `time`.
    pub fn offset_before(&self, time: Timestamp) -> Offset {
        // An entry holds the greatest timestamp of what stands before its offset.
        let at = self.times.partition_point(|(entry, _)| *entry < time);
        at.checked_sub(1).map_or(self.base, |at| self.base + RecordCount(u64::from(self.times[at].1)))
    }

    /// Cuts it at `end`, where the batch at `position` begins. `kept` is the newest batch that stays, if
    /// somebody knows it; `max_timestamp` may then be greater than anything left, which costs a search by
    /// time a vain look.
    pub fn truncate(&mut self, end: Offset, position: u32, kept: Option<&Batch>) {
        let relative = self.relative(end);
        self.index.truncate(self.index.partition_point(|(entry, _)| *entry < relative));
        self.times.truncate(self.times.partition_point(|(_, entry)| *entry < relative));
        self.since_entry = position - self.index.last().map_or(0, |(_, at)| *at).min(position);
        (self.end, self.size, self.sealed) = (end, position, false);
        self.last_crc = kept.map_or(0, |batch| batch.header().crc);
        if let Some(batch) = kept {
            self.last_epoch = batch.leader_epoch();
        }
        if position == 0 {
            (self.first_timestamp, self.max_timestamp) = (None, None);
            self.gaps = false;
        }
    }

    /// The content of its offset index file.
    pub fn encode_index(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.index.len() * 8 + 32);
        for (relative, position) in &self.index {
            out.extend_from_slice(&relative.to_be_bytes());
            out.extend_from_slice(&position.to_be_bytes());
        }
        let gaps = if self.gaps { GAPS } else { 0 };
        out.extend_from_slice(&(self.size | gaps).to_be_bytes());
        out.extend_from_slice(&self.end.0.to_be_bytes());
        out.extend_from_slice(&self.last_epoch.0.to_be_bytes());
        out.extend_from_slice(&self.last_crc.to_be_bytes());
        with_crc(out)
    }

    /// The content of its time index file.
    pub fn encode_times(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.times.len() * 12 + 32);
        for (time, relative) in &self.times {
            out.extend_from_slice(&time.0.to_be_bytes());
            out.extend_from_slice(&relative.to_be_bytes());
        }
        // An empty segment has no timestamps; it is known by its size.
        out.extend_from_slice(&self.first_timestamp.unwrap_or_default().0.to_be_bytes());
        out.extend_from_slice(&self.max_timestamp.unwrap_or_default().0.to_be_bytes());
        with_crc(out)
    }

    /// The segment `base` whose file holds `size` bytes, from its index files; `None` if they are damaged
    /// or speak of another state of the segment.
    pub fn decode(base: Offset, size: u64, index: &[u8], times: &[u8]) -> Option<Segment> {
        let (entries, seal) = split_seal::<20>(index)?;
        let (time_entries, time_seal) = split_seal::<16>(times)?;
        let word = |bytes: &[u8]| Some(u32::from_be_bytes(bytes.try_into().ok()?));
        let long = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
        let mut segment = Segment::new(base);
        let size_and_gaps = word(&seal[..4])?;
        (segment.size, segment.gaps) = (size_and_gaps & !GAPS, size_and_gaps & GAPS != 0);
        segment.end = Offset(long(&seal[4..12])?);
        segment.last_epoch = LeaderEpoch(word(&seal[12..16])?);
        segment.last_crc = word(&seal[16..20])?;
        if u64::from(segment.size) != size || segment.end < base {
            return None;
        }
        for entry in entries.chunks_exact(8) {
            segment.index.push((word(&entry[..4])?, word(&entry[4..])?));
        }
        for entry in time_entries.chunks_exact(12) {
            segment.times.push((Timestamp(long(&entry[..8])? as i64), word(&entry[8..])?));
        }
        if size > 0 {
            segment.first_timestamp = Some(Timestamp(long(&time_seal[..8])? as i64));
            segment.max_timestamp = Some(Timestamp(long(&time_seal[8..])? as i64));
        }
        segment.since_entry = segment.size - segment.index.last().map_or(0, |(_, at)| *at).min(segment.size);
        (segment.in_directory, segment.sealed) = (true, true);
        Some(segment)
    }
}

/// Puts the CRC of everything behind it.
pub fn with_crc(mut out: Vec<u8>) -> Bytes {
    let crc = crc32c(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out.into()
}

/// Everything before the CRC, if that agrees.
pub fn without_crc(bytes: &[u8]) -> Option<&[u8]> {
    let (body, crc) = bytes.split_at(bytes.len().checked_sub(4)?);
    (crc == crc32c(body).to_be_bytes()).then_some(body)
}

/// Marks a segment with gaps in the seal's length, whose uppermost bit `segment.bytes` leaves free.
const GAPS: u32 = 1 << 31;

fn split_seal<const N: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let body = without_crc(bytes)?;
    Some(body.split_at(body.len().checked_sub(N)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::batch_at;

    fn filled() -> Segment {
        let mut segment = Segment::new(Offset(40));
        for nth in 0..20 {
            segment.append(&batch_at(40 + nth, 1, 1_000 + nth as i64 * 10), 100);
        }
        segment
    }

    #[test]
    fn an_index_leads_to_a_batch_at_or_before_the_offset() {
        let segment = filled();
        let size = segment.size / 20;
        for nth in 0..20u32 {
            let position = segment.position_before(Offset(40 + u64::from(nth)));
            assert!(position <= nth * size && position.is_multiple_of(size));
            assert!(nth * size - position <= 100 + size, "entries are no further apart than the interval");
        }
    }

    #[test]
    fn a_time_index_never_leads_past_the_first_record_that_is_late_enough() {
        let segment = filled();
        for time in 990..1_200 {
            let first = (0..20).find(|nth| 1_000 + nth * 10 >= time).unwrap_or(20);
            assert!(segment.offset_before(Timestamp(time)) <= Offset(40 + first as u64));
        }
    }

    #[test]
    fn index_files_stand_only_for_the_segment_they_were_made_of() {
        let mut segment = filled();
        let (index, times) = (segment.encode_index(), segment.encode_times());
        let size = u64::from(segment.size);
        let back = Segment::decode(Offset(40), size, &index, &times).expect("nothing is damaged");
        (segment.in_directory, segment.sealed) = (true, true);
        assert_eq!(back, segment);
        assert_eq!(Segment::decode(Offset(40), size - 1, &index, &times), None, "it has changed since");
        assert_eq!(Segment::decode(Offset(40), size, &index[1..], &times), None);
        assert_eq!(Segment::decode(Offset(40), size, &index, &[]), None);
    }

    #[test]
    fn gaps_are_known_and_remembered_and_no_place_is_told_that_lies_behind_one() {
        let mut segment = filled();
        assert!(!segment.gaps);
        let known =
            |segment: &Segment| (41..60).filter(|o| segment.position_of(Offset(*o)).is_some()).count();
        assert!(known(&segment) > 0);
        segment.append(&batch_at(70, 1, 2_000), 100);
        assert!(segment.gaps && known(&segment) == 0 && segment.position_of(Offset(71)).is_some());
        let (index, times) = (segment.encode_index(), segment.encode_times());
        let back =
            Segment::decode(Offset(40), segment.size.into(), &index, &times).expect("nothing is damaged");
        assert!(back.gaps);
    }

    #[test]
    fn a_cut_segment_knows_nothing_of_what_was_behind() {
        let mut segment = filled();
        let position = segment.size / 20 * 7;
        segment.truncate(Offset(47), position, None);
        assert_eq!((segment.end, segment.size), (Offset(47), position));
        assert!(segment.position_before(Offset(60)) < position);
        assert_eq!(segment.last_crc, 0, "the batch that is the last one now was not looked at");
    }
}
