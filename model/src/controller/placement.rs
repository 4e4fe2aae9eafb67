//! On which brokers do the replicas of new partitions go?
//!
//! In stripes, as Kafka's `StripedReplicaPlacer` does without racks: each partition begins one broker further
//! than the one before, so that leaderships and replicas are spread evenly. Brokers that are fenced come
//! last, and lead nothing.

use alloc::vec::Vec;

use super::decide::View;
use crate::{protocol::ErrorCode, rng::Rng, units::NodeId};

/// Chooses `replication_factor` brokers for each of `partitions` partitions.
///
/// Refuses with `InvalidReplicationFactor` if there are not so many brokers, or none that may lead.
pub(super) fn place(
    view: View<'_>,
    rng: &mut Rng,
    partitions: u32,
    replication_factor: u16,
) -> Result<Vec<Vec<NodeId>>, ErrorCode> {
    let wanted = usize::from(replication_factor);
    let usable = || view.image.brokers().filter(|(_, broker)| !broker.in_controlled_shutdown);
    let stripe =
        |fenced: bool| usable().filter(|(_, broker)| broker.fenced == fenced).map(|(id, _)| id).collect();
    let mut unfenced = Stripe::new(stripe(false), rng);
    let mut fenced = Stripe::new(stripe(true), rng);
    if wanted == 0 || unfenced.brokers.is_empty() || wanted > unfenced.brokers.len() + fenced.brokers.len() {
        return Err(ErrorCode::InvalidReplicationFactor);
    }
    let mut placed = Vec::with_capacity(partitions as usize);
    for partition in 0..partitions as usize {
        if partition > 0 && partition % unfenced.brokers.len() == 0 {
            // Every stripe was used once: the next round pairs the brokers differently.
            unfenced.shuffle(rng);
            fenced.shuffle(rng);
        }
        placed.push(unfenced.from(partition).chain(fenced.from(partition)).take(wanted).collect());
    }
    Ok(placed)
}

struct Stripe {
    brokers: Vec<NodeId>,
    offset: usize,
}

impl Stripe {
    fn new(brokers: Vec<NodeId>, rng: &mut Rng) -> Stripe {
        let offset = rng.below(brokers.len() as u64) as usize;
        Stripe { brokers, offset }
    }

    /// All of them, beginning with the one whose turn it is.
    fn from(&self, turn: usize) -> impl Iterator<Item = NodeId> + '_ {
        let skip = if self.brokers.is_empty() { 0 } else { (self.offset + turn) % self.brokers.len() };
        self.brokers.iter().cycle().skip(skip).take(self.brokers.len()).copied()
    }

    fn shuffle(&mut self, rng: &mut Rng) {
        for last in (1..self.brokers.len()).rev() {
            self.brokers.swap(last, rng.below(last as u64 + 1) as usize);
        }
    }
}
