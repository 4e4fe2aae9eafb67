//! What is the cluster like, by the metadata log up to some offset?
//!
//! Controllers and brokers fold the same records into the same image. Applying one record costs what the
//! record changes, and says what that was.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};

use super::{
    fingerprint::print,
    record::{
        BrokerRegistrationChangeRecord, ConfigRecord, LeaderRecovery, PartitionChangeRecord, PartitionRecord,
        Record, RegisterBrokerRecord,
    },
};
use crate::{
    config::TopicConfig,
    event::PartitionState,
    protocol::{TopicName, producer_ids::ProducerIdBlock},
    units::{
        BrokerEpoch, Incarnation, LeaderEpoch, NodeId, NodeSet, Offset, PartitionEpoch, ProducerId, TopicId,
        TopicPartition,
    },
};

/// A broker's registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BrokerImage {
    /// Which registration; also the offset of its record.
    pub epoch: BrokerEpoch,
    /// Which life of the process.
    pub incarnation: Incarnation,
    /// Whether the life before ended cleanly.
    pub clean: bool,
    /// Whether it may not lead nor be in sync.
    pub fenced: bool,
    /// Whether it is about to leave.
    pub in_controlled_shutdown: bool,
}

impl BrokerImage {
    /// Whether it may lead and be in sync (KIP-841: neither fenced nor about to leave).
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }
}

/// A partition's state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionImage {
    /// Who should have it, the preferred leader first.
    pub replicas: smallvec::SmallVec<[NodeId; 4]>,
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

impl PartitionImage {
    /// Who leads when all is well.
    pub fn preferred(&self) -> Option<NodeId> {
        self.replicas.first().copied()
    }

    /// As events tell it.
    pub fn state(&self) -> PartitionState {
        PartitionState {
            leader: self.leader,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            replicas: self.replicas.to_vec(),
            isr: self.isr.clone(),
            elr: self.elr.clone(),
        }
    }

    /// As a record states it.
    pub fn record(&self, partition: TopicPartition) -> PartitionRecord {
        PartitionRecord {
            partition,
            replicas: self.replicas.to_vec(),
            isr: self.isr.clone(),
            elr: self.elr.clone(),
            last_known_elr: self.last_known_elr.clone(),
            leader: self.leader,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            recovery: self.recovery,
        }
    }

    fn of(record: &PartitionRecord) -> PartitionImage {
        PartitionImage {
            replicas: record.replicas.iter().copied().collect(),
            isr: record.isr.clone(),
            elr: record.elr.clone(),
            last_known_elr: record.last_known_elr.clone(),
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            recovery: record.recovery,
        }
    }

    /// The state after `change`. The version goes up, and the leader epoch if the change begins one.
    #[must_use]
    pub fn changed(&self, change: &PartitionChangeRecord) -> PartitionImage {
        let mut after = self.clone();
        after.partition_epoch = self.partition_epoch.next();
        if let Some(new_epoch) = change.new_epoch {
            after.leader = new_epoch.leader;
            after.leader_epoch = self.leader_epoch.next();
        }
        if let Some(isr) = &change.isr {
            after.isr = isr.clone();
        }
        if let Some(elr) = &change.elr {
            after.elr = elr.clone();
        }
        if let Some(last_known_elr) = &change.last_known_elr {
            after.last_known_elr = last_known_elr.clone();
        }
        if let Some(recovery) = change.recovery {
            after.recovery = recovery;
        }
        after
    }
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    /// Its name.
    pub name: TopicName,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionImage>,
    /// Its own settings.
    pub config: BTreeMap<String, String>,
}

/// What one record changed, with what was there before; the image holds what is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// A broker was registered, fenced, unfenced, or begins to leave.
    Broker {
        /// Which.
        broker: NodeId,
        /// Its registration before.
        before: Option<BrokerImage>,
    },
    /// A topic was created, without partitions yet.
    TopicCreated(TopicId),
    /// A topic is gone.
    TopicDeleted {
        /// Which.
        id: TopicId,
        /// What it was.
        before: Box<TopicImage>,
    },
    /// A topic's settings changed.
    Config(TopicId),
    /// A partition was created or changed.
    Partition {
        /// Which.
        partition: TopicPartition,
        /// Its state before; `None` if it is new.
        before: Option<Box<PartitionImage>>,
    },
    /// Producer ids were given away.
    ProducerIds {
        /// To whom.
        broker: NodeId,
        /// Which.
        block: ProducerIdBlock,
    },
}

/// The cluster's metadata at one offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    brokers: BTreeMap<NodeId, BrokerImage>,
    topics: BTreeMap<TopicId, TopicImage>,
    by_name: BTreeMap<TopicName, TopicId>,
    held_by: BTreeMap<NodeId, BTreeSet<TopicPartition>>,
    next_producer_id: ProducerId,
    fingerprint: u64,
}

impl Image {
    /// Before the first record.
    pub fn new() -> Image {
        Image::default()
    }

    /// A broker's registration.
    pub fn broker(&self, broker: NodeId) -> Option<&BrokerImage> {
        self.brokers.get(&broker)
    }

    /// Every registered broker, in order.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = (NodeId, &BrokerImage)> {
        self.brokers.iter().map(|(id, broker)| (*id, broker))
    }

    /// A topic by its id.
    pub fn topic(&self, topic: TopicId) -> Option<&TopicImage> {
        self.topics.get(&topic)
    }

    /// The id of the topic that bears a name.
    pub fn topic_id(&self, name: &TopicName) -> Option<TopicId> {
        self.by_name.get(name).copied()
    }

    /// Every topic, in order of its id.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = (TopicId, &TopicImage)> {
        self.topics.iter().map(|(id, topic)| (*id, topic))
    }

    /// Every topic's name and id, in order of the name.
    pub fn names(&self) -> impl ExactSizeIterator<Item = (&TopicName, TopicId)> {
        self.by_name.iter().map(|(name, id)| (name, *id))
    }

    /// A partition.
    pub fn partition(&self, partition: TopicPartition) -> Option<&PartitionImage> {
        self.topics.get(&partition.topic)?.partitions.get(partition.partition as usize)
    }

    /// The partitions of which a broker should have a replica, in order.
    pub fn held_by(&self, broker: NodeId) -> impl Iterator<Item = TopicPartition> {
        self.held_by.get(&broker).into_iter().flatten().copied()
    }

    /// What a topic is set to, where `base` says what holds for those settings that are not its own.
    ///
    /// A setting that this version cannot read counts as not made.
    pub fn topic_config(&self, topic: TopicId, base: &TopicConfig) -> Option<TopicConfig> {
        let mut config = base.clone();
        for (key, value) in &self.topics.get(&topic)?.config {
            let _ = config.set(key, value);
        }
        Some(config)
    }

    /// The first producer id that nobody has been given.
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// A hash of the whole, kept up with every change: equal images have equal ones, however they came
    /// about.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Takes in the record at offset `at`, and says what that changed.
    ///
    /// Never refuses: a record about something that is not there changes nothing.
    pub fn apply(&mut self, at: Offset, record: &Record) -> Change {
        match record {
            Record::RegisterBroker(record) => self.register_broker(at, record),
            Record::BrokerRegistrationChange(record) => self.change_broker(record),
            Record::Topic(record) => self.create_topic(record.topic, &record.name),
            Record::Config(record) => self.set_config(record),
            Record::Partition(record) => self.create_partition(record),
            Record::PartitionChange(record) => self.change_partition(record),
            Record::RemoveTopic(record) => self.remove_topic(record.topic),
            Record::ProducerIds(record) => {
                let before = core::mem::replace(&mut self.next_producer_id, record.next);
                self.mix_producer_id(before, record.next);
                Change::ProducerIds { broker: record.broker, block: record.block }
            }
            Record::NoOp => Change::Nothing,
        }
    }

    fn register_broker(&mut self, _at: Offset, record: &RegisterBrokerRecord) -> Change {
        let after = BrokerImage {
            epoch: record.epoch,
            incarnation: record.incarnation,
            clean: record.clean,
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
        };
        self.set_broker(record.broker, after)
    }

    fn change_broker(&mut self, record: &BrokerRegistrationChangeRecord) -> Change {
        let Some(before) = self.brokers.get(&record.broker).filter(|broker| broker.epoch == record.epoch)
        else {
            return Change::Nothing;
        };
        let after = BrokerImage {
            fenced: record.fenced.unwrap_or(before.fenced),
            in_controlled_shutdown: record.in_controlled_shutdown.unwrap_or(before.in_controlled_shutdown),
            ..*before
        };
        self.set_broker(record.broker, after)
    }

    fn set_broker(&mut self, broker: NodeId, after: BrokerImage) -> Change {
        let before = self.brokers.insert(broker, after);
        if let Some(before) = before {
            self.mix_out(print(&(1u8, broker, before)));
        }
        self.mix_in(print(&(1u8, broker, after)));
        Change::Broker { broker, before }
    }

    fn create_topic(&mut self, id: TopicId, name: &TopicName) -> Change {
        if self.topics.contains_key(&id) || self.by_name.contains_key(name) {
            return Change::Nothing;
        }
        self.by_name.insert(name.clone(), id);
        self.topics
            .insert(id, TopicImage { name: name.clone(), partitions: Vec::new(), config: BTreeMap::new() });
        self.mix_in(print(&(2u8, id, name)));
        Change::TopicCreated(id)
    }

    fn set_config(&mut self, record: &ConfigRecord) -> Change {
        let Some(topic) = self.topics.get_mut(&record.topic) else { return Change::Nothing };
        let before = match &record.value {
            Some(value) => topic.config.insert(record.key.clone(), value.clone()),
            None => topic.config.remove(&record.key),
        };
        if let Some(before) = before {
            self.mix_out(print(&(3u8, record.topic, &record.key, &before)));
        }
        if let Some(after) = &record.value {
            self.mix_in(print(&(3u8, record.topic, &record.key, after)));
        }
        Change::Config(record.topic)
    }

    fn create_partition(&mut self, record: &PartitionRecord) -> Change {
        let partition = record.partition;
        let Some(topic) = self.topics.get_mut(&partition.topic) else { return Change::Nothing };
        // Partitions are numbered without gaps, and their records come in order.
        if topic.partitions.len() != partition.partition as usize {
            return Change::Nothing;
        }
        let after = PartitionImage::of(record);
        let added = print(&(4u8, partition, &after));
        for replica in &after.replicas {
            self.held_by.entry(*replica).or_default().insert(partition);
        }
        topic.partitions.push(after);
        self.mix_in(added);
        Change::Partition { partition, before: None }
    }

    fn change_partition(&mut self, record: &PartitionChangeRecord) -> Change {
        let partition = record.partition;
        let Some(state) = self
            .topics
            .get_mut(&partition.topic)
            .and_then(|topic| topic.partitions.get_mut(partition.partition as usize))
        else {
            return Change::Nothing;
        };
        let after = state.changed(record);
        let added = print(&(4u8, partition, &after));
        let before = core::mem::replace(state, after);
        self.mix_out(print(&(4u8, partition, &before)));
        self.mix_in(added);
        Change::Partition { partition, before: Some(Box::new(before)) }
    }

    fn remove_topic(&mut self, id: TopicId) -> Change {
        let Some(topic) = self.topics.remove(&id) else { return Change::Nothing };
        self.by_name.remove(&topic.name);
        self.mix_out(print(&(2u8, id, &topic.name)));
        for (key, value) in &topic.config {
            self.mix_out(print(&(3u8, id, key, value)));
        }
        for (number, state) in (0u32..).zip(&topic.partitions) {
            let partition = TopicPartition::new(id, number);
            self.mix_out(print(&(4u8, partition, state)));
            for replica in &state.replicas {
                if let Some(held) = self.held_by.get_mut(replica) {
                    held.remove(&partition);
                    if held.is_empty() {
                        self.held_by.remove(replica);
                    }
                }
            }
        }
        Change::TopicDeleted { id, before: Box::new(topic) }
    }

    fn mix_producer_id(&mut self, before: ProducerId, after: ProducerId) {
        // Zero is what an image begins with, and counts for nothing.
        for (id, is_new) in [(before, false), (after, true)].into_iter().filter(|(id, _)| id.0 > 0) {
            let print = print(&(5u8, id));
            if is_new { self.mix_in(print) } else { self.mix_out(print) }
        }
    }

    // A sum, so that the order in which things came does not matter.
    fn mix_in(&mut self, print: u64) {
        self.fingerprint = self.fingerprint.wrapping_add(print);
    }

    fn mix_out(&mut self, print: u64) {
        self.fingerprint = self.fingerprint.wrapping_sub(print);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::{
        fixture::{Cluster, broker},
        record::NewEpoch,
    };

    #[test]
    fn a_record_about_what_is_not_there_changes_nothing() {
        let mut image = Cluster::of(1).image;
        let before = image.clone();
        let nowhere = TopicPartition::new(TopicId(900), 0);
        let stale = BrokerRegistrationChangeRecord {
            broker: broker(1),
            epoch: BrokerEpoch(900),
            fenced: Some(true),
            in_controlled_shutdown: None,
        };
        let change = PartitionChangeRecord {
            new_epoch: Some(NewEpoch { leader: None }),
            ..PartitionChangeRecord::nothing(nowhere)
        };
        for record in [Record::BrokerRegistrationChange(stale), Record::PartitionChange(change), Record::NoOp]
        {
            assert_eq!(image.apply(Offset(50), &record), Change::Nothing);
        }
        assert_eq!(image, before);
    }

    #[test]
    fn the_same_image_has_the_same_fingerprint_however_it_came_about() {
        let mut one = Cluster::of(2);
        let partition = one.topic("orders", &[1, 2], &[]);
        let before = one.image.fingerprint();
        let other = one.topic("audit", &[2], &[("retention.ms", "7")]);
        assert_ne!(one.image.fingerprint(), before);
        let remove = crate::controller::record::RemoveTopicRecord { topic: other.topic };
        let change = one.image.apply(Offset(90), &Record::RemoveTopic(remove));
        assert!(matches!(change, Change::TopicDeleted { id, .. } if id == other.topic));
        assert_eq!(one.image.fingerprint(), before);
        assert_eq!(one.image.held_by(broker(2)).collect::<Vec<_>>(), [partition]);
    }

    #[test]
    fn a_change_begins_an_epoch_only_if_it_says_so() {
        let mut cluster = Cluster::of(1);
        let partition = cluster.topic("orders", &[1], &[]);
        let before = cluster.state(partition).clone();
        let nothing = PartitionChangeRecord::nothing(partition);
        let same_leader = Some(NewEpoch { leader: before.leader });
        let kept = before.changed(&nothing);
        assert_eq!((kept.leader_epoch.0, kept.partition_epoch.0), (0, 1));
        let raised = before.changed(&PartitionChangeRecord { new_epoch: same_leader, ..nothing });
        assert_eq!((raised.leader, raised.leader_epoch.0, raised.partition_epoch.0), (before.leader, 1, 1));
    }
}
