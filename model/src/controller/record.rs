//! What does the cluster's metadata log say, record by record?
//!
//! Kafka's metadata records in the model's own types, encoded with postcard as the values of ordinary
//! records of `__cluster_metadata`. A record states what is so from its offset on; it is never refused.

use alloc::{string::String, vec::Vec};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    protocol::{TopicName, producer_ids::ProducerIdBlock},
    units::{
        BrokerEpoch, Incarnation, LeaderEpoch, NodeId, NodeSet, PartitionEpoch, ProducerId, TopicId,
        TopicPartition,
    },
};

/// One statement of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Record {
    /// A broker process is registered, fenced.
    RegisterBroker(RegisterBrokerRecord),
    /// A registered broker is fenced, unfenced, or begins to leave.
    BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    /// A topic exists; its configuration and partitions follow.
    Topic(TopicRecord),
    /// A topic's own setting.
    Config(ConfigRecord),
    /// A partition exists.
    Partition(PartitionRecord),
    /// A partition has another leader or ISR.
    PartitionChange(PartitionChangeRecord),
    /// A topic is gone, with all its partitions.
    RemoveTopic(RemoveTopicRecord),
    /// Producer ids were given away.
    ProducerIds(ProducerIdsRecord),
    /// Nothing: lets the high watermark move while nothing else happens (KIP-835).
    NoOp,
}

/// A broker process is registered. It replaces whatever registration the broker had.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RegisterBrokerRecord {
    /// Which broker.
    pub broker: NodeId,
    /// Its registration: the offset of this very record, unless this is a repetition or in a snapshot.
    pub epoch: BrokerEpoch,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// Whether its last shutdown was clean, so that its log holds all it ever had (KIP-966).
    pub clean: bool,
    /// Whether it may not lead nor be in sync yet.
    pub fenced: bool,
    /// Whether it is about to leave.
    pub in_controlled_shutdown: bool,
}

/// A registered broker changes in what it may do. `None` leaves as is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BrokerRegistrationChangeRecord {
    /// Which broker.
    pub broker: NodeId,
    /// Its registration.
    pub epoch: BrokerEpoch,
    /// Whether it may not lead nor be in sync.
    pub fenced: Option<bool>,
    /// Set once it is about to leave; only another registration takes it back.
    pub in_controlled_shutdown: Option<bool>,
}

/// A topic exists.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TopicRecord {
    /// Its name.
    pub name: TopicName,
    /// Its id.
    pub topic: TopicId,
}

/// A topic's own setting.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConfigRecord {
    /// Which topic.
    pub topic: TopicId,
    /// Kafka's key.
    pub key: String,
    /// The value as written; `None` takes the setting away.
    pub value: Option<String>,
}

/// Whether a partition's leader is known to have everything that was committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LeaderRecovery {
    /// Its leader was elected from those known to be complete, or has settled since.
    #[default]
    Recovered,
    /// Its leader was elected uncleanly and has not proposed an ISR since (KIP-704).
    Recovering,
}

/// A partition exists, in this state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PartitionRecord {
    /// Which.
    pub partition: TopicPartition,
    /// Who should have it, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// Who is in sync.
    pub isr: NodeSet,
    /// Who is not, but has everything below the high watermark (KIP-966).
    pub elr: NodeSet,
    /// The ISR's last members of all, kept while nobody is in sync or eligible (KIP-966).
    pub last_known_elr: NodeSet,
    /// Who leads.
    pub leader: Option<NodeId>,
    /// In which epoch.
    pub leader_epoch: LeaderEpoch,
    /// The state's version.
    pub partition_epoch: PartitionEpoch,
    /// Whether the leader is known to have everything.
    pub recovery: LeaderRecovery,
}

/// Another epoch of a partition's leadership begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NewEpoch {
    /// Who leads it; perhaps the one who led before, perhaps nobody.
    pub leader: Option<NodeId>,
}

/// A partition changes: its version goes up by one. `None` leaves as is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PartitionChangeRecord {
    /// Which.
    pub partition: TopicPartition,
    /// Raises the leader epoch by one.
    pub new_epoch: Option<NewEpoch>,
    /// Who is in sync.
    pub isr: Option<NodeSet>,
    /// Who is not, but has everything below the high watermark (KIP-966).
    pub elr: Option<NodeSet>,
    /// The ISR's last members of all (KIP-966).
    pub last_known_elr: Option<NodeSet>,
    /// Whether the leader is known to have everything.
    pub recovery: Option<LeaderRecovery>,
}

impl PartitionChangeRecord {
    /// The record that changes nothing of `partition`.
    pub fn nothing(partition: TopicPartition) -> PartitionChangeRecord {
        PartitionChangeRecord {
            partition,
            new_epoch: None,
            isr: None,
            elr: None,
            last_known_elr: None,
            recovery: None,
        }
    }

    /// Whether it changes nothing, so that it need not be written.
    pub fn is_nothing(&self) -> bool {
        *self == PartitionChangeRecord::nothing(self.partition)
    }
}

/// A topic is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RemoveTopicRecord {
    /// Which.
    pub topic: TopicId,
}

/// Producer ids were given away.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProducerIdsRecord {
    /// To which broker.
    pub broker: NodeId,
    /// Of which registration.
    pub broker_epoch: BrokerEpoch,
    /// Which.
    pub block: ProducerIdBlock,
    /// The first id that nobody has been given.
    pub next: ProducerId,
}

/// Bytes that are not a metadata record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Record {
    /// The value of the record in the log.
    pub fn encode(&self) -> Bytes {
        // Writing to memory cannot fail and none of our types refuses.
        postcard::to_allocvec(self).expect("a metadata record always serialises").into()
    }

    /// The record of a value in the log.
    ///
    /// Refuses what is no record and what has bytes left over.
    pub fn decode(bytes: &[u8]) -> Result<Record, Malformed> {
        match postcard::take_from_bytes(bytes) {
            Ok((record, [])) => Ok(record),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_from_its_bytes() {
        let record = Record::PartitionChange(PartitionChangeRecord {
            new_epoch: Some(NewEpoch { leader: None }),
            isr: Some([NodeId::broker(2)].into_iter().collect()),
            ..PartitionChangeRecord::nothing(TopicPartition::new(TopicId(70), 3))
        });
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn a_torn_or_padded_record_is_refused() {
        let bytes = Record::RemoveTopic(RemoveTopicRecord { topic: TopicId(300) }).encode();
        assert_eq!(Record::decode(&bytes[..bytes.len() - 1]), Err(Malformed));
        assert_eq!(Record::decode(&[&bytes[..], &[0]].concat()), Err(Malformed));
        assert_eq!(Record::decode(&[]), Err(Malformed));
    }
}
