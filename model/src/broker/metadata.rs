//! What has this broker heard of the cluster, and what does it make of its own replicas? KIP-631.
//!
//! A broker is an observer of the metadata quorum. What is committed is applied to its image, and each of
//! its replicas is brought in line with what the image says of it. It acts on none of it before it has
//! applied its own registration: until then the image may hold leaderships of its former life.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};

use super::{
    Broker,
    replicas::{Replica, Slot},
};
use crate::{
    config::TopicConfig,
    controller::{
        image::{Change, Image, PartitionImage},
        record::Record,
    },
    event::{BrokerState, Event},
    log::{Log, config::LogConfig},
    machine::Effects,
    museum::Bug,
    partition::{Became, Partition},
    protocol::{ErrorCode, TopicName, metadata::PartitionMetadata},
    quorum::{Committed, Context},
    time::{Instant, Now},
    units::{LeaderEpoch, NodeId, Offset, TopicId, TopicPartition},
};

/// The cluster as last heard of.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// The image.
    pub image: Image,
    /// One past the last record applied.
    pub end: Offset,
    /// Whether the image holds this life of the broker, so that its replicas follow it.
    pub acting: bool,
    /// What clients are told of topics' partitions as long as the image is as it is: hundreds of them ask for the same.
    pub told: BTreeMap<TopicId, Arc<[PartitionMetadata]>>,
    /// How many bytes of records were applied since the last snapshot, and when that was.
    since_snapshot: (u64, Instant),
}

/// What a piece of metadata means for this broker's replicas.
#[derive(Default)]
struct News {
    partitions: BTreeSet<TopicPartition>,
    deleted: Vec<TopicName>,
    topics: BTreeSet<TopicId>,
    brokers: BTreeSet<NodeId>,
}

impl Broker {
    /// Applies what has been committed, once the logs are read.
    pub(super) fn follow_metadata(&mut self, now: Now, effects: &mut Effects) {
        if self.startup.is_some() || self.closing.is_some() {
            return;
        }
        while let Some(committed) = self.quorum.poll() {
            match committed {
                Committed::Records { range, epoch, values } => {
                    let news = self.apply(range.start, &values);
                    self.metadata.end = range.end;
                    self.note_applied(epoch, false, effects);
                    if self.metadata.acting {
                        self.act_on(now, news, effects);
                    }
                }
                Committed::Snapshot { end, epoch, bytes } => {
                    let Ok(image) = Image::from_snapshot(&bytes) else { continue };
                    self.metadata.image = image;
                    self.metadata.told.clear();
                    self.metadata.since_snapshot = (0, now.monotonic);
                    self.metadata.end = end;
                    self.note_applied(epoch, true, effects);
                    if self.metadata.acting {
                        self.act_on_everything(now, effects);
                    }
                }
            }
        }
        self.take_snapshot(now, effects);
        if !self.metadata.acting && self.knows_itself() {
            self.metadata.acting = true;
            self.act_on_everything(now, effects);
            self.begin_timers(now);
            self.connections.serve();
            self.life.ready_to_unfence(now.monotonic);
        }
    }

    /// Writes a snapshot of the image if enough was applied since the last, by bytes or by time: the next
    /// start begins from it (KIP-630).
    fn take_snapshot(&mut self, now: Now, effects: &mut Effects) {
        let (bytes, since) = self.metadata.since_snapshot;
        let interval = self.config.metadata_log_max_snapshot_interval_ms;
        let by_bytes = bytes >= self.config.metadata_log_max_record_bytes_between_snapshots;
        let by_time = bytes > 0 && !interval.is_zero() && now.monotonic >= since + interval;
        if by_bytes || by_time {
            self.metadata.since_snapshot = (0, now.monotonic);
            let image = self.metadata.image.to_snapshot();
            let cx = &mut Context { effects, correlation: &mut self.correlation };
            // KAFKA-14618, as on the controller.
            let early = self.setup.museum.has(Bug::SnapshotIdOffByOne);
            let end = self.metadata.end;
            self.quorum.take_snapshot(now, end.before().filter(|_| early).unwrap_or(end), image, cx);
        }
    }

    /// Whether the image holds the registration of this life.
    fn knows_itself(&self) -> bool {
        let known = self.metadata.image.broker(self.setup.id).map(|broker| broker.epoch);
        known.is_some() && known >= self.life.epoch() && self.life.epoch().is_some()
    }

    fn apply(&mut self, start: Offset, values: &[bytes::Bytes]) -> News {
        let mut news = News::default();
        self.metadata.told.clear();
        for (at, value) in (start.0..).map(Offset).zip(values) {
            self.metadata.since_snapshot.0 += value.len() as u64;
            let Ok(record) = Record::decode(value) else { continue };
            match self.metadata.image.apply(at, &record) {
                Change::Partition { partition, .. } => {
                    news.partitions.insert(partition);
                }
                Change::TopicDeleted { id, before } => {
                    let partitions = 0..before.partitions.len() as u32;
                    news.partitions.extend(partitions.map(|number| TopicPartition::new(id, number)));
                    news.deleted.push(before.name.clone());
                }
                Change::Config(topic) => {
                    news.topics.insert(topic);
                }
                Change::Broker { broker, .. } => {
                    news.brokers.insert(broker);
                }
                Change::Nothing | Change::TopicCreated(_) | Change::ProducerIds { .. } => {}
            }
        }
        news
    }

    fn note_applied(&self, epoch: LeaderEpoch, from_snapshot: bool, effects: &mut Effects) {
        effects.note(Event::MetadataApplied {
            end: self.metadata.end,
            epoch,
            fingerprint: self.metadata.image.fingerprint(),
            from_snapshot,
        });
    }

    fn act_on(&mut self, now: Now, news: News, effects: &mut Effects) {
        self.notice_offsets_topic();
        for topic in news.topics {
            self.reconfigure(topic);
        }
        for topic in news.deleted {
            self.forget_topic(now, &topic, effects);
        }
        for partition in news.partitions {
            self.reconcile(now, partition, effects);
        }
        self.wake_cleaner(now);
        for broker in news.brokers {
            self.broker_changed(now, broker, effects);
        }
    }

    /// After a snapshot, or for the first time: everything may be new.
    fn act_on_everything(&mut self, now: Now, effects: &mut Effects) {
        self.notice_offsets_topic();
        let mut partitions: BTreeSet<TopicPartition> = self.metadata.image.held_by(self.setup.id).collect();
        partitions.extend(self.replicas.iter().map(|(_, replica)| replica.partition.id()));
        let topics: BTreeSet<TopicId> = partitions.iter().map(|partition| partition.topic).collect();
        for topic in topics {
            self.reconfigure(topic);
        }
        for partition in partitions {
            self.reconcile(now, partition, effects);
        }
        self.wake_cleaner(now);
    }

    /// A broker may join ISRs now, or may not any more: the partitions that are led here and held there are
    /// looked at again.
    fn broker_changed(&mut self, now: Now, broker: NodeId, effects: &mut Effects) {
        let held: Vec<TopicPartition> = self.metadata.image.held_by(broker).collect();
        for partition in held {
            if let Some(slot) = self.replicas.find(partition) {
                self.isr_changed(now, slot, effects);
                self.check_deletions(slot, effects);
            }
        }
    }

    fn topic_config(&self, topic: TopicId) -> TopicConfig {
        let known = self.metadata.image.topic_config(topic, &self.topic_defaults);
        known.unwrap_or_else(|| self.topic_defaults.clone())
    }

    fn reconfigure(&mut self, topic: TopicId) {
        let config = self.topic_config(topic);
        self.cleaner.needed |= config.cleanup_policy.compacts();
        let partitions = self.metadata.image.topic(topic).map_or(0, |topic| topic.partitions.len() as u32);
        for number in 0..partitions {
            let Some(slot) = self.replicas.find(TopicPartition::new(topic, number)) else { continue };
            if let Some(replica) = self.replicas.get_mut(slot) {
                replica.partition.min_isr = config.min_insync_replicas;
                replica.partition.log.reconfigure(LogConfig::of_partition(&config, &self.config));
            }
            self.watch_log(Some(slot));
        }
    }

    /// Brings the replica of a partition in line with the image.
    pub(super) fn reconcile(&mut self, now: Now, partition: TopicPartition, effects: &mut Effects) {
        let me = self.setup.id;
        // KAFKA-13858: once a controlled shutdown had begun, metadata moved nothing here any more.
        let leaving = self.life.state() == BrokerState::PendingControlledShutdown;
        if leaving && self.museum().has(Bug::LeaderServesThroughShutdown) {
            return;
        }
        let image = self.metadata.image.partition(partition).filter(|image| image.replicas.contains(&me));
        let Some(image) = image.cloned() else { return self.give_up_replica(now, partition, effects) };
        let slot = match self.replicas.find(partition) {
            Some(slot) => slot,
            None => self.create_replica(now, partition, effects),
        };
        // Where its log ends is known only when the cut is done.
        if self.replicas.get(slot).is_some_and(|replica| replica.partition.log.is_truncating()) {
            return;
        }
        // A mutant: what is said of nobody is not taken for said of oneself.
        let goes_on = image.leader.is_none() && self.museum().has(Bug::LeadsWhileNobodyDoes);
        let led = || self.replicas.get(slot).is_some_and(|replica| replica.partition.leader().is_some());
        if image.leader == Some(me) || goes_on && led() {
            self.lead(now, slot, &image, effects);
        } else {
            self.follow(now, slot, &image, effects);
        }
    }

    fn create_replica(&mut self, now: Now, partition: TopicPartition, effects: &mut Effects) -> Slot {
        let config = self.topic_config(partition.topic);
        self.cleaner.needed |= config.cleanup_policy.compacts();
        let log = LogConfig::of_partition(&config, &self.config);
        let log = Log::create(partition, log, Offset::ZERO, now, self.museum(), &mut effects.disk);
        let replica = Partition::new(log, Offset::ZERO, config.min_insync_replicas);
        let slot = self.replicas.add(Replica::new(replica));
        self.watch_log(Some(slot));
        slot
    }

    fn lead(&mut self, now: Now, slot: Slot, image: &PartitionImage, effects: &mut Effects) {
        let (me, museum) = (self.setup.id, self.museum());
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        let partition = replica.partition.id();
        match replica.partition.lead(me, &image.state(), now, museum, effects) {
            Became::Leader => {
                self.fetchers.leave(partition);
                self.proposals.forget(partition);
                self.host_groups(slot, effects);
                self.isr_changed(now, slot, effects);
                self.wake_all_readers(slot);
            }
            _ => {
                // KAFKA-15468: another ISR was taken for another election, and the log read anew under the
                // coordinator's feet.
                if museum.has(Bug::ResourceManagerReloadOnIsrChange) {
                    self.host_groups(slot, effects);
                }
                let proposed =
                    self.replicas.get(slot).and_then(|replica| replica.partition.isr()?.proposed().cloned());
                if proposed.is_none() {
                    self.proposals.forget(partition);
                }
                self.isr_changed(now, slot, effects);
            }
        }
    }

    fn follow(&mut self, now: Now, slot: Slot, image: &PartitionImage, effects: &mut Effects) {
        let museum = self.museum();
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        let partition = replica.partition.id();
        if replica.partition.follow(&image.state(), museum, effects) != Became::Follower {
            return;
        }
        // KIP-101: it used to cut to its own high watermark, which is behind the leader's, and to ask nobody.
        if museum.has(Bug::TruncateToLocalHw) && image.leader.is_some() {
            let to = replica.partition.high_watermark();
            let why = crate::event::TruncateReason::Diverged;
            replica.partition.truncate(now, to, why, &mut effects.disk, &mut effects.events);
            if let Some(follower) = replica.partition.follower_mut() {
                follower.tells_last_epoch = false;
            }
        }
        let log = &replica.partition.log;
        let unwritten = log.written() < log.end() || log.is_truncating();
        self.proposals.forget(partition);
        self.stop_hosting_groups(now, slot, effects);
        // A mutant: whoever has the log looks after its groups.
        if museum.has(Bug::FollowerLooksAfterGroups) {
            self.host_groups(slot, effects);
        }
        self.fail_waiters(slot, ErrorCode::NotLeaderOrFollower, effects);
        self.fail_cold(now, slot, effects);
        self.wake_all_readers(slot);
        self.fetchers.leave(partition);
        if let Some(leader) = image.leader {
            self.fetchers.join(leader, partition, slot, unwritten);
        }
    }

    /// This broker has no part in the partition any more, or there is none: its log goes.
    fn give_up_replica(&mut self, now: Now, partition: TopicPartition, effects: &mut Effects) {
        let Some(slot) = self.replicas.find(partition) else { return };
        self.fetchers.leave(partition);
        self.proposals.forget(partition);
        self.unhost_groups(slot, effects);
        self.fail_waiters(slot, ErrorCode::NotLeaderOrFollower, effects);
        self.timers.cancel(&super::Timer::Log(slot));
        let Some((slot, replica)) = self.replicas.remove(partition) else { return };
        for (connection, at) in replica.readers {
            if let Some(entry) = self.sessions.get_mut(connection).and_then(|session| session.entry_mut(at)) {
                entry.slot = None;
            }
            self.sessions.mark(connection, at);
        }
        self.fail_cold(now, slot, effects);
        replica.partition.log.delete(&mut effects.disk);
        self.checkpoints.high_watermarks_moved = true;
        self.checkpoints.recovery_points_moved = true;
        self.checkpoints.log_starts_moved = true;
        self.forget_cleaned(partition, effects);
        effects.note(Event::ReplicaStopped { partition, deleted: true });
    }
}
