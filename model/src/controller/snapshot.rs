//! How does an image become a snapshot's bytes, and an image again?
//!
//! A snapshot is the records that make the image out of nothing, as in Kafka (KIP-630).

use alloc::{string::String, vec::Vec};

use bytes::Bytes;

use super::{
    image::Image,
    record::{ConfigRecord, Malformed, ProducerIdsRecord, Record, RegisterBrokerRecord, TopicRecord},
};
use crate::log::crc32c::crc32c;
use crate::protocol::producer_ids::ProducerIdBlock;
use crate::units::{BrokerEpoch, NodeId, Offset, TopicPartition};

/// How many bytes the CRC takes.
const CRC: usize = 4;

impl Image {
    /// The records that make this image out of an empty one, in the order they are to be applied.
    pub fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for (broker, image) in self.brokers() {
            records.push(Record::RegisterBroker(RegisterBrokerRecord {
                broker,
                epoch: image.epoch,
                incarnation: image.incarnation,
                clean: image.clean,
                fenced: image.fenced,
                in_controlled_shutdown: image.in_controlled_shutdown,
            }));
        }
        for (topic, image) in self.topics() {
            records.push(Record::Topic(TopicRecord { name: image.name.clone(), topic }));
            records.extend(image.config.iter().map(|(key, value)| {
                Record::Config(ConfigRecord { topic, key: String::clone(key), value: Some(value.clone()) })
            }));
            records.extend(
                (0u32..).zip(&image.partitions).map(|(number, state)| {
                    Record::Partition(state.record(TopicPartition::new(topic, number)))
                }),
            );
        }
        if self.next_producer_id().0 > 0 {
            records.push(Record::ProducerIds(ProducerIdsRecord {
                broker: NodeId::default(),
                broker_epoch: BrokerEpoch(0),
                block: ProducerIdBlock { first: self.next_producer_id(), len: 0 },
                next: self.next_producer_id(),
            }));
        }
        records
    }

    /// The bytes of a snapshot of this image: the CRC-32C of the rest, and the records.
    pub fn to_snapshot(&self) -> Bytes {
        let mut bytes = [0; CRC].to_vec();
        // Writing to memory cannot fail and none of our types refuses.
        bytes = postcard::to_extend(&self.records(), bytes).expect("metadata records always serialise");
        let crc = crc32c(&bytes[CRC..]);
        bytes[..CRC].copy_from_slice(&crc.to_be_bytes());
        bytes.into()
    }

    /// The image of a snapshot. Refuses bytes that are not the whole of one, or have changed since.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Image, Malformed> {
        let (crc, bytes) = bytes.split_first_chunk::<CRC>().ok_or(Malformed)?;
        if u32::from_be_bytes(*crc) != crc32c(bytes) {
            return Err(Malformed);
        }
        let (records, rest) = postcard::take_from_bytes::<Vec<Record>>(bytes).map_err(|_| Malformed)?;
        if !rest.is_empty() {
            return Err(Malformed);
        }
        let mut image = Image::new();
        for record in &records {
            image.apply(Offset::ZERO, record);
        }
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixture::Cluster;

    #[test]
    fn a_damaged_snapshot_is_refused() {
        let mut cluster = Cluster::of(2);
        cluster.topic("orders", &[1, 2], &[("retention.ms", "5")]);
        let whole = cluster.image.to_snapshot();
        assert_eq!(Image::from_snapshot(&whole).as_ref(), Ok(&cluster.image));
        for at in 0..whole.len() {
            let mut rotten = whole.to_vec();
            rotten[at] ^= 4;
            assert_eq!(Image::from_snapshot(&rotten), Err(Malformed));
            assert_eq!(Image::from_snapshot(&whole[..at]), Err(Malformed));
        }
    }
}
