//! Who leads what, as far as this client has heard?
//!
//! Kafka's `Metadata` and `NetworkClient.DefaultMetadataUpdater`. What brokers say may be old: a leader epoch
//! only goes forward while the topic is the same one (KIP-320). Asked again when somebody finds it wrong, not
//! more often than `retry.backoff.ms` allows, and when it is older than `metadata.max.age.ms`.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;

use super::{backoff::Backoff, in_flight::InFlight, pattern::Pattern};
use crate::{
    event::Event,
    machine::Effects,
    museum::{Bug, Museum},
    protocol::{
        ErrorCode, LeaderHint, Request, TopicName, TopicRef,
        metadata::{MetadataRequest, MetadataResponse, TopicMetadata},
    },
    time::Instant,
    units::{LeaderEpoch, NodeId, NodeSet, TopicId, TopicPartition},
};

/// A topic of interest, by its place in the view: the same for as long as the client lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicIndex(pub usize);

/// What is known of a partition's leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// Who leads, if anybody does.
    pub leader: Option<NodeId>,
    /// The greatest epoch heard of.
    pub epoch: Option<LeaderEpoch>,
}

/// What is known of a topic.
#[derive(Clone, Debug)]
pub struct TopicView {
    name: TopicName,
    id: Option<TopicId>,
    present: bool,
    heard: bool,
    partitions: Vec<Leadership>,
}

impl TopicView {
    /// Its name.
    pub fn name(&self) -> &TopicName {
        &self.name
    }

    /// Whether a broker has said anything of it, be it that there is no such topic.
    pub fn is_heard_of(&self) -> bool {
        self.heard
    }

    /// Its id, while it exists as far as we know.
    pub fn id(&self) -> Option<TopicId> {
        self.id.filter(|_| self.present)
    }

    /// What is known of its partitions' leaders; empty while it does not exist as far as we know.
    pub fn partitions(&self) -> &[Leadership] {
        if self.present { &self.partitions } else { &[] }
    }
}

/// Whether a topic is the cluster's own: no pattern means it (Kafka: `exclude.internal.topics`).
fn is_internal(name: &TopicName) -> bool {
    matches!(name.as_str(), "__consumer_offsets" | "__transaction_state")
}

/// What a client has heard of the cluster.
#[derive(Clone, Debug)]
pub struct ClusterView {
    bootstrap: NodeSet,
    brokers: NodeSet,
    topics: Vec<TopicView>,
    by_name: BTreeMap<TopicName, TopicIndex>,
    by_id: BTreeMap<TopicId, TopicIndex>,
    /// All topics that fit are of interest.
    pattern: Option<Pattern>,
    /// Whether all topics are asked for.
    asks_all: bool,
    /// Whether all topics have been told of since there is a pattern.
    told_all: bool,
    wanted: bool,
    topics_added: bool,
    asking: bool,
    allowed_at: Instant,
    expires_at: Instant,
    failures: u32,
    unchanged: u32,
    max_age: Duration,
    backoff: Backoff,
    museum: Museum,
}

impl ClusterView {
    /// Knows the bootstrap servers and nothing else. `backoff` is that of `retry.backoff.ms`.
    pub fn new(bootstrap: NodeSet, max_age: Duration, backoff: Backoff, museum: Museum) -> ClusterView {
        ClusterView {
            bootstrap,
            brokers: NodeSet::new(),
            topics: Vec::new(),
            by_name: BTreeMap::new(),
            by_id: BTreeMap::new(),
            pattern: None,
            asks_all: false,
            told_all: false,
            wanted: false,
            topics_added: false,
            asking: false,
            allowed_at: Instant::ZERO,
            expires_at: Instant::FOREVER,
            failures: 0,
            unchanged: 0,
            max_age,
            backoff,
            museum,
        }
    }

    /// The topic of a name; one that is new is asked about at once.
    pub fn topic(&mut self, name: &TopicName) -> TopicIndex {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let index = self.add(name);
        self.wanted = true;
        self.topics_added = true;
        self.allowed_at = Instant::ZERO;
        index
    }

    fn add(&mut self, name: &TopicName) -> TopicIndex {
        let index = TopicIndex(self.topics.len());
        self.topics.push(TopicView {
            name: name.clone(),
            id: None,
            present: false,
            heard: false,
            partitions: Vec::new(),
        });
        self.by_name.insert(name.clone(), index);
        index
    }

    /// All topics that fit a pattern are of interest from now on, and asked about at once; none but those named,
    /// if there is no pattern.
    pub fn follow(&mut self, pattern: Option<Pattern>) {
        if self.pattern == pattern {
            return;
        }
        self.told_all = false;
        if pattern.is_some() {
            self.wanted = true;
            self.topics_added = true;
            self.allowed_at = Instant::ZERO;
        }
        self.pattern = pattern;
    }

    /// The topics that exist and fit the pattern, in order; `None` until all have been told of.
    pub fn fitting(&self) -> Option<Vec<TopicName>> {
        let pattern = self.pattern.as_ref().filter(|_| self.told_all)?;
        let matcher = pattern.matcher();
        let fits = |name: &&TopicName| !is_internal(name) && matcher(name.as_str());
        let exists = |at: &TopicIndex| self.view(*at).id().is_some();
        let known = self.by_name.iter().filter(|(_, at)| exists(at)).map(|(name, _)| name);
        Some(known.filter(fits).cloned().collect())
    }

    /// The topic of a name, if it is one of interest.
    pub fn find(&self, name: &TopicName) -> Option<TopicIndex> {
        self.by_name.get(name).copied()
    }

    /// What is known of a topic.
    pub fn view(&self, topic: TopicIndex) -> &TopicView {
        &self.topics[topic.0]
    }

    /// The partition by its id, while it exists as far as we know.
    pub fn partition(&self, topic: TopicIndex, partition: u32) -> Option<TopicPartition> {
        let view = self.view(topic);
        let exists = (partition as usize) < view.partitions().len();
        view.id().filter(|_| exists).map(|id| TopicPartition::new(id, partition))
    }

    /// What is known of a partition's leader.
    pub fn leadership(&self, topic: TopicIndex, partition: u32) -> Leadership {
        self.view(topic).partitions().get(partition as usize).copied().unwrap_or_default()
    }

    /// The topic of interest with this id.
    pub fn by_id(&self, id: TopicId) -> Option<TopicIndex> {
        self.by_id.get(&id).copied()
    }

    /// Whom any question may be put to: the brokers last heard of, or the bootstrap servers.
    pub fn servers(&self) -> &NodeSet {
        if self.brokers.is_empty() { &self.bootstrap } else { &self.brokers }
    }

    /// Whom to put a question to that any broker can answer, or when to try again.
    pub fn any_server<T>(&self, now: Instant, net: &mut InFlight<T>) -> Result<NodeId, Instant> {
        // With every broker heard of out of reach the bootstrap servers are tried again (KIP-899).
        net.least_loaded(now, self.servers())
            .or_else(|| net.least_loaded(now, &self.bootstrap))
            .ok_or_else(|| net.first_rested(now, self.servers()).unwrap_or(Instant::FOREVER))
    }

    /// Somebody found the view wrong or wanting: it is asked for as soon as the backoff allows.
    pub fn want_update(&mut self) {
        self.wanted = true;
    }

    /// When the next question is due.
    pub fn deadline(&self) -> Option<Instant> {
        match (self.asking, self.wanted) {
            (true, _) => None,
            (false, true) => Some(self.allowed_at),
            (false, false) if self.expires_at == Instant::FOREVER => None,
            (false, false) => Some(self.expires_at.max(self.allowed_at)),
        }
    }

    /// Asks, if a question is due and somebody can be asked.
    pub fn ask<T>(&mut self, now: Instant, net: &mut InFlight<T>, what_for: T, effects: &mut Effects) {
        if self.deadline().is_none_or(|due| due > now) {
            return;
        }
        match self.any_server(now, net) {
            Ok(server) => {
                self.asks_all = self.pattern.is_some();
                let named = || self.topics.iter().map(|t| TopicRef::Name(t.name.clone())).collect();
                let topics = (!self.asks_all).then(named);
                let request = Request::Metadata(MetadataRequest { topics, allow_auto_topic_creation: false });
                net.send(now, server, request, what_for, effects);
                self.asking = true;
                self.topics_added = false;
            }
            Err(rested) => self.allowed_at = rested,
        }
    }

    /// The question was not answered.
    pub fn ask_failed(&mut self, now: Instant) {
        self.asking = false;
        self.wanted = true;
        self.allowed_at = now + self.backoff.rest(self.failures);
        self.failures = self.failures.saturating_add(1);
    }

    /// Takes over what a broker answered, as far as it is not older than what is known. Gives back the
    /// partitions of which something is known that was not before, or no longer.
    pub fn learn(
        &mut self,
        now: Instant,
        response: &MetadataResponse,
        effects: &mut Effects,
    ) -> Vec<(TopicIndex, u32)> {
        if response.brokers.is_empty() {
            // A broker that is just starting knows of nobody.
            self.ask_failed(now);
            return Vec::new();
        }
        self.asking = false;
        self.wanted = self.topics_added;
        self.failures = 0;
        self.expires_at = now + self.max_age;
        if self.brokers != response.brokers {
            self.brokers = response.brokers.clone();
        }
        let mut changed = Vec::new();
        for topic in &response.topics {
            self.learn_topic(topic, &mut changed, effects);
        }
        if core::mem::take(&mut self.asks_all) {
            self.told_all = self.pattern.is_some();
            self.forget_unmentioned(response, &mut changed);
        }
        self.unchanged = if changed.is_empty() { self.unchanged.saturating_add(1) } else { 0 };
        if !self.topics_added {
            self.allowed_at = now + self.backoff.rest(self.unchanged.saturating_sub(1));
        }
        changed
    }

    /// Who was asked about all topics names those that are there.
    fn forget_unmentioned(&mut self, response: &MetadataResponse, changed: &mut Vec<(TopicIndex, u32)>) {
        let mentioned: BTreeSet<&TopicName> =
            response.topics.iter().filter_map(|topic| topic.name.as_ref()).collect();
        for (at, topic) in self.topics.iter_mut().enumerate() {
            topic.heard = true;
            if !mentioned.contains(&topic.name) && core::mem::take(&mut topic.present) {
                let partitions = 0..topic.partitions.len() as u32;
                changed.extend(partitions.map(|partition| (TopicIndex(at), partition)));
            }
        }
    }

    fn learn_topic(
        &mut self,
        said: &TopicMetadata,
        changed: &mut Vec<(TopicIndex, u32)>,
        effects: &mut Effects,
    ) {
        let index = match (&said.topic, &said.name) {
            (TopicRef::Name(name), _) | (_, Some(name)) => self.by_name.get(name).copied(),
            (TopicRef::Id(id), None) => self.by_id(*id),
        };
        let fits = |name: &&TopicName| {
            !is_internal(name) && self.pattern.as_ref().is_some_and(|it| it.fits(name.as_str()))
        };
        let found = said.name.as_ref().filter(fits).filter(|_| index.is_none()).cloned();
        let Some(index) = index.or_else(|| found.map(|name| self.add(&name))) else { return };
        let topic = &mut self.topics[index.0];
        topic.heard = true;
        let Some(id) = said.id.filter(|_| said.error.is_none()) else {
            if topic.present {
                topic.present = false;
                changed.extend((0..topic.partitions.len() as u32).map(|partition| (index, partition)));
            }
            self.wanted |= said.error.is_some_and(ErrorCode::is_retriable);
            return;
        };
        let appeared = !topic.present;
        topic.present = true;
        if topic.id != Some(id) {
            if let Some(former) = topic.id.replace(id) {
                self.by_id.remove(&former);
            }
            self.by_id.insert(id, index);
            // KAFKA-12257: the new topic begins in epoch zero, which looked old.
            if !self.museum.has(Bug::TopicRecreateEpochCompare) {
                topic.partitions.clear();
            }
        }
        for partition in said.partitions.iter() {
            self.wanted |= partition.error.is_some_and(ErrorCode::is_retriable);
            let at = partition.partition as usize;
            if at >= topic.partitions.len() {
                topic.partitions.resize(at + 1, Leadership::default());
            }
            let new = Leadership { leader: partition.leader, epoch: Some(partition.leader_epoch) };
            let known = &mut topic.partitions[at];
            // KAFKA-7738: a broker whose own metadata lags sent clients back to the former leader.
            let older = new.epoch < known.epoch && !self.museum.has(Bug::MetadataAcceptsOlderEpoch);
            if !older && *known != new {
                *known = new;
                let partition = TopicPartition::new(id, partition.partition);
                let epoch = new.epoch.unwrap_or_default();
                effects.note(Event::MetadataLearned { partition, leader: new.leader, epoch });
                changed.push((index, partition.partition));
            } else if appeared {
                changed.push((index, partition.partition));
            }
        }
    }

    /// Takes over the leader that an error brought along, if it is news (KIP-951); says whether it was.
    ///
    /// Where it is found comes along, too, so that it need not be one that metadata has told of.
    pub fn learn_hint(
        &mut self,
        topic: TopicIndex,
        partition: u32,
        hint: LeaderHint,
        effects: &mut Effects,
    ) -> bool {
        let view = &mut self.topics[topic.0];
        let Some(id) = view.id.filter(|_| view.present) else { return false };
        let Some(known) = view.partitions.get_mut(partition as usize) else { return false };
        let Some(leader) = hint.leader.filter(|_| Some(hint.epoch) > known.epoch) else { return false };
        self.brokers.insert(leader);
        *known = Leadership { leader: Some(leader), epoch: Some(hint.epoch) };
        effects.note(Event::MetadataLearned {
            partition: TopicPartition::new(id, partition),
            leader: hint.leader,
            epoch: hint.epoch,
        });
        true
    }
}

#[cfg(test)]
mod tests;
