//! How does Kafka spell the fields of a record? Big-endian numbers, strings and bytes with their length before them.
//!
//! In flexible versions (KIP-482) a length is one more than it is, in as many bytes of seven bits as it takes, and a
//! structure ends with what it was extended by, each under its tag.

use alloc::{sync::Arc, vec::Vec};

use bytes::Bytes;

use crate::units::TopicId;

/// Gathers fields.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// What was gathered.
    pub fn done(self) -> Vec<u8> {
        self.0
    }

    /// Two bytes.
    pub fn i16(&mut self, number: i16) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    /// Four bytes.
    pub fn i32(&mut self, number: i32) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    /// Eight bytes.
    pub fn i64(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    /// A string; what is longer than a string can be is cut at a letter's end.
    pub fn string(&mut self, text: &str) {
        let end = text.floor_char_boundary(text.len().min(i16::MAX as usize));
        self.i16(end as i16);
        self.0.extend_from_slice(&text.as_bytes()[..end]);
    }

    /// A string or null.
    pub fn nullable(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.i16(-1),
        }
    }

    /// Bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        self.0.extend_from_slice(bytes);
    }

    /// One byte.
    pub fn i8(&mut self, number: i8) {
        self.0.push(number.cast_unsigned());
    }

    /// A number of as many bytes as it takes.
    pub fn varint(&mut self, mut number: u32) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// How many follow, in a flexible version; `None` for null.
    pub fn count(&mut self, count: Option<usize>) {
        let count = count.map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX - 1) + 1);
        self.varint(count);
    }

    /// A string or null, in a flexible version.
    pub fn compact(&mut self, text: Option<&str>) {
        self.count(text.map(str::len));
        self.0.extend_from_slice(text.unwrap_or_default().as_bytes());
    }

    /// Bytes, in a flexible version.
    pub fn compact_bytes(&mut self, bytes: &[u8]) {
        self.count(Some(bytes.len()));
        self.0.extend_from_slice(bytes);
    }

    /// A topic's id: the lower half of a UUID whose upper half is zero.
    pub fn topic(&mut self, topic: TopicId) {
        self.i64(0);
        self.i64(topic.0.cast_signed());
    }

    /// What a structure is extended by, in the order of the tags.
    pub fn tags(&mut self, fields: &[(u32, Vec<u8>)]) {
        self.varint(fields.len() as u32);
        for (tag, field) in fields {
            self.varint(*tag);
            self.varint(field.len() as u32);
            self.0.extend_from_slice(field);
        }
    }
}

/// Takes fields off; everything gives `None` once there is not enough left.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    taken: usize,
}

impl<'a> Reader<'a> {
    /// From the beginning.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes, taken: 0 }
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        self.taken += count;
        Some(taken)
    }

    /// Two bytes.
    pub fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// Four bytes.
    pub fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// Eight bytes.
    pub fn i64(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    /// A string.
    pub fn string(&mut self) -> Option<Arc<str>> {
        self.nullable()?
    }

    /// A string or null.
    pub fn nullable(&mut self) -> Option<Option<Arc<str>>> {
        let len = self.i16()?;
        if len < 0 {
            return Some(None);
        }
        Some(Some(core::str::from_utf8(self.take(len as usize)?).ok()?.into()))
    }

    /// Bytes, shared with `whole`, from which this reads.
    pub fn shared(&mut self, whole: &Bytes) -> Option<Bytes> {
        let len = usize::try_from(self.i32()?).ok()?;
        let from = self.taken;
        self.take(len)?;
        Some(whole.slice(from..from + len))
    }

    /// One byte.
    pub fn i8(&mut self) -> Option<i8> {
        Some(i8::from_be_bytes(self.take(1)?.try_into().ok()?))
    }

    /// A number of as many bytes as it takes.
    pub fn varint(&mut self) -> Option<u32> {
        let mut number = 0u32;
        for shift in (0..32).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u32::from(byte & 0x7f);
            if bits.checked_shl(shift)? >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// How many follow, in a flexible version; the inner `None` is null.
    pub fn count(&mut self) -> Option<Option<usize>> {
        let count = self.varint()?;
        Some(count.checked_sub(1).map(|count| count as usize))
    }

    /// A string or null, in a flexible version.
    pub fn compact(&mut self) -> Option<Option<Arc<str>>> {
        match self.count()? {
            Some(len) => Some(Some(core::str::from_utf8(self.take(len)?).ok()?.into())),
            None => Some(None),
        }
    }

    /// Bytes in a flexible version, shared with `whole`, from which this reads.
    pub fn compact_bytes(&mut self, whole: &Bytes) -> Option<Bytes> {
        let len = self.count()??;
        let from = self.taken;
        self.take(len)?;
        Some(whole.slice(from..from + len))
    }

    /// A topic's id; `None` for one that is not spelled as ours are.
    pub fn topic(&mut self) -> Option<TopicId> {
        let (upper, lower) = (self.i64()?, self.i64()?);
        (upper == 0).then(|| TopicId(lower.cast_unsigned()))
    }

    /// What a structure is extended by under one tag; the rest is passed over.
    pub fn tagged(&mut self, wanted: u32) -> Option<Option<Reader<'a>>> {
        let mut found = None;
        for _ in 0..self.varint()? {
            let (tag, size) = (self.varint()?, self.varint()?);
            let start = self.taken;
            let field = self.take(size as usize)?;
            if tag == wanted {
                found = Some(Reader { rest: field, taken: start });
            }
        }
        Some(found)
    }
}
