//! How does an image become a snapshot's bytes, and an image again?
//!
//! A snapshot is the records that make the image out of nothing, as in Kafka (KIP-630).

use alloc::{string::String, vec::Vec};

use bytes::Bytes;

use super::{
    image::Image,
    record::{ConfigRecord, Malformed, ProducerIdsRecord, Record, RegisterBrokerRecord, TopicRecord},
};
use crate::protocol::producer_ids::ProducerIdBlock;
use crate::units::{BrokerEpoch, NodeId, Offset, TopicPartition};

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

    /// The bytes of a snapshot of this image.
    pub fn to_snapshot(&self) -> Bytes {
        // Writing to memory cannot fail and none of our types refuses.
        postcard::to_allocvec(&self.records()).expect("metadata records always serialise").into()
    }

    /// The image of a snapshot. Refuses bytes that are not the whole of one.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Image, Malformed> {
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
