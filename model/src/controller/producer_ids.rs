//! Which producer ids does a broker get to hand out? (KIP-730)

use alloc::{vec, vec::Vec};

use super::{
    decide::{Context, View},
    record::{ProducerIdsRecord, Record},
};
use crate::{
    museum::Bug,
    protocol::{
        ErrorCode,
        producer_ids::{AllocateProducerIdsRequest, AllocateProducerIdsResponse, ProducerIdBlock},
    },
    units::ProducerId,
};

/// Gives a broker the next block of ids, which nobody else gets.
///
/// Refuses with `StaleBrokerEpoch` unless the broker names its registration.
pub(super) fn allocate(
    view: View<'_>,
    context: &Context<'_>,
    request: &AllocateProducerIdsRequest,
) -> Result<(Vec<Record>, AllocateProducerIdsResponse), ErrorCode> {
    view.registered(request.broker, request.broker_epoch)?;
    let len = view.config.producer_ids_block_size;
    let mut block = ProducerIdBlock { first: view.image.next_producer_id(), len };
    let mut next = end(block);
    if view.museum.has(Bug::ProducerIdBlockServedTwice) {
        // KAFKA-15552: the record named the block just given where the next one belongs. The controller that
        // gave it went on from its memory, but the one after it gave the block again.
        block.first = block.first.max(context.producer_ids_given);
        next = block.first;
    }
    let record =
        ProducerIdsRecord { broker: request.broker, broker_epoch: request.broker_epoch, block, next };
    Ok((vec![Record::ProducerIds(record)], AllocateProducerIdsResponse { result: Ok(block) }))
}

/// The first id after a block.
pub(super) fn end(block: ProducerIdBlock) -> ProducerId {
    ProducerId(block.first.0.saturating_add(u64::from(block.len)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controller::{
            decide::Question,
            fixture::{Cluster, broker},
        },
        protocol::{Request, Response},
        units::BrokerEpoch,
    };

    fn block(cluster: &mut Cluster, broker_epoch: BrokerEpoch) -> Result<ProducerIdBlock, ErrorCode> {
        let request = AllocateProducerIdsRequest { broker: broker(1), broker_epoch };
        match cluster.ask(Question::Request(Request::AllocateProducerIds(request))) {
            Some(Response::AllocateProducerIds(response)) => response.result,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_id_is_given_twice() {
        let mut cluster = Cluster::of(1);
        let epoch = cluster.epoch(1);
        assert_eq!(block(&mut cluster, epoch), Ok(ProducerIdBlock { first: ProducerId(0), len: 1_000 }));
        assert_eq!(block(&mut cluster, epoch), Ok(ProducerIdBlock { first: ProducerId(1_000), len: 1_000 }));
        assert_eq!(block(&mut cluster, BrokerEpoch(99)), Err(ErrorCode::StaleBrokerEpoch));
    }

    #[cfg(feature = "museum")]
    #[test]
    fn what_the_museum_gives_twice() {
        // The fixture remembers nothing from one decision to the next, as after a failover.
        let mut cluster = Cluster::of(1).planted(Bug::ProducerIdBlockServedTwice);
        let epoch = cluster.epoch(1);
        assert_eq!(block(&mut cluster, epoch), block(&mut cluster, epoch));
    }
}
