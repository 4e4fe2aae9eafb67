//! Which of a log's batches are still in memory?

use alloc::collections::VecDeque;

use super::batch::Batch;
use crate::units::Offset;

/// A batch in memory and where it stands in its segment's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// The batch.
    pub batch: Batch,
    /// Its position in bytes.
    pub position: u32,
}

/// The newest batches of a log without a gap, up to a number of bytes; the newest whatever its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    batches: VecDeque<Cached>,
    bytes: usize,
}

impl Tail {
    /// Adds the newest batch; drops the oldest until no more than `bound` bytes are left.
    pub fn push(&mut self, batch: Batch, position: u32, bound: usize) {
        self.bytes += batch.size();
        self.batches.push_back(Cached { batch, position });
        while self.bytes > bound && self.batches.len() > 1 {
            if let Some(oldest) = self.batches.pop_front() {
                self.bytes -= oldest.batch.size();
            }
        }
    }

    /// Where it begins, if it holds anything.
    pub fn start(&self) -> Option<Offset> {
        self.batches.front().map(|cached| cached.batch.base_offset())
    }

    /// The newest batch.
    pub fn last(&self) -> Option<&Batch> {
        self.batches.back().map(|cached| &cached.batch)
    }

    /// The batches from the one that holds `offset`; `None` if that may be further back than this reaches.
    pub fn from(&self, offset: Offset) -> Option<impl DoubleEndedIterator<Item = &Cached> + Clone> {
        if self.start()? > offset {
            return None;
        }
        let first = self.batches.partition_point(|cached| cached.batch.end_offset() <= offset);
        Some(self.batches.range(first..))
    }

    /// Where the batch ends that stands before the one that begins at `base`, if both are here.
    pub fn end_before(&self, base: Offset) -> Option<Offset> {
        let at = self.batches.partition_point(|cached| cached.batch.base_offset() < base);
        self.batches.get(at)?;
        at.checked_sub(1).map(|before| self.batches[before].batch.end_offset())
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Cached> {
        self.batches.iter()
    }

    /// Drops every batch that reaches past `end`.
    pub fn truncate(&mut self, end: Offset) {
        while self.batches.back().is_some_and(|cached| cached.batch.end_offset() > end) {
            if let Some(newest) = self.batches.pop_back() {
                self.bytes -= newest.batch.size();
            }
        }
    }

    /// Drops every batch that ends at or before `start`.
    pub fn advance(&mut self, start: Offset) {
        while self.batches.front().is_some_and(|cached| cached.batch.end_offset() <= start) {
            if let Some(oldest) = self.batches.pop_front() {
                self.bytes -= oldest.batch.size();
            }
        }
    }

    /// Drops all.
    pub fn clear(&mut self) {
        self.batches.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::batch_at;

    #[test]
    fn it_holds_the_newest_bytes_and_says_where_it_ends() {
        let size = batch_at(0, 1, 0).size();
        let mut tail = Tail::default();
        for offset in 0..10 {
            tail.push(batch_at(offset, 1, 0), offset as u32 * size as u32, 3 * size);
        }
        assert_eq!(tail.start(), Some(Offset(7)));
        assert!(tail.from(Offset(6)).is_none());
        assert_eq!(tail.from(Offset(8)).map(Iterator::count), Some(2));
        assert_eq!(tail.from(Offset(10)).map(Iterator::count), Some(0));
        tail.truncate(Offset(8));
        assert_eq!(tail.last().map(Batch::end_offset), Some(Offset(8)));
    }

    #[test]
    fn a_batch_greater_than_the_bound_is_held_alone() {
        let mut tail = Tail::default();
        tail.push(batch_at(0, 1, 0), 0, 1);
        tail.push(batch_at(1, 1, 0), 80, 1);
        assert_eq!(tail.iter().count(), 1);
        assert_eq!(tail.start(), Some(Offset(1)));
    }
}
