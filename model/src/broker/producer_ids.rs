//! Who is the next producer? KIP-98, KIP-730.
//!
//! A broker gives out ids of a block that the controller gave it, and asks for another when the block runs
//! low. A block belongs to one registration: ids of a former life are never given out again.

use alloc::{collections::VecDeque, vec::Vec};

use crate::{
    machine::Caller,
    protocol::producer_ids::ProducerIdBlock,
    units::{CorrelationId, ProducerId},
};

/// The producer ids a broker may give out.
#[derive(Clone, Debug, Default)]
pub struct ProducerIds {
    block: Option<ProducerIdBlock>,
    next_block: Option<ProducerIdBlock>,
    asked: Option<CorrelationId>,
    waiting: VecDeque<Caller>,
}

impl ProducerIds {
    /// The next id, if there is one at hand.
    pub fn take(&mut self) -> Option<ProducerId> {
        if self.block.is_none_or(|block| block.len == 0) {
            self.block = self.next_block.take();
        }
        let block = self.block.as_mut().filter(|block| block.len > 0)?;
        let id = block.first;
        block.first = ProducerId(id.0 + 1);
        block.len -= 1;
        Some(id)
    }

    /// Somebody waits for an id.
    pub fn wait(&mut self, caller: Caller) {
        self.waiting.push_back(caller);
    }

    /// Takes out who waits longest.
    pub fn next_waiting(&mut self) -> Option<Caller> {
        self.waiting.pop_front()
    }

    /// Takes out everybody who waits.
    pub fn all_waiting(&mut self) -> Vec<Caller> {
        self.waiting.drain(..).collect()
    }

    /// Puts somebody back whose turn it still is.
    pub fn wait_first(&mut self, caller: Caller) {
        self.waiting.push_front(caller);
    }

    /// Whether another block should be asked for: none is at hand or asked for, and somebody waits or the
    /// present one is nearly used up.
    pub fn needs_block(&self) -> bool {
        let low = self.block.is_some_and(|block| block.len <= LOW);
        self.asked.is_none() && self.next_block.is_none() && (low || !self.waiting.is_empty())
    }

    /// A block was asked for.
    pub fn asked(&mut self, correlation: CorrelationId) {
        self.asked = Some(correlation);
    }

    /// Whether `correlation` asked for the block that is waited for; it is waited for no longer.
    pub fn answers(&mut self, correlation: CorrelationId) -> bool {
        let answers = self.asked == Some(correlation);
        if answers {
            self.asked = None;
        }
        answers
    }

    /// The connection is gone, and perhaps a block with it: it is nobody's.
    pub fn lost(&mut self) {
        self.asked = None;
    }

    /// A block has come.
    pub fn add(&mut self, block: ProducerIdBlock) {
        self.next_block = Some(block);
    }
}

/// How few ids are left when the next block is asked for: a tenth of Kafka's block.
const LOW: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(first: u64, len: u32) -> ProducerIdBlock {
        ProducerIdBlock { first: ProducerId(first), len }
    }

    #[test]
    fn ids_are_given_once_each_and_blocks_in_turn() {
        let mut ids = ProducerIds::default();
        assert_eq!(ids.take(), None);
        ids.add(block(5, 2));
        assert_eq!(ids.take(), Some(ProducerId(5)));
        ids.add(block(9, 1));
        assert_eq!(ids.take(), Some(ProducerId(6)));
        assert_eq!(ids.take(), Some(ProducerId(9)));
        assert_eq!(ids.take(), None);
    }

    #[test]
    fn one_block_is_asked_for_at_a_time() {
        let mut ids = ProducerIds::default();
        assert!(!ids.needs_block(), "nobody has asked yet");
        ids.add(block(0, 50));
        ids.take();
        assert!(ids.needs_block());
        ids.asked(CorrelationId(3));
        assert!(!ids.needs_block());
        assert!(!ids.answers(CorrelationId(2)));
        assert!(ids.answers(CorrelationId(3)));
    }
}
