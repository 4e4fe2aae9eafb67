//! What do the tests of the controller's decisions stand on: a cluster that is only an image.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use super::{
    decide::{Context, Question},
    heartbeats::Sessions,
    image::{Change, Image, PartitionImage},
    record::Record,
};
use crate::{
    config::ControllerConfig,
    museum::Museum,
    protocol::{
        ErrorCode, Request, Response,
        alter_partition::{AlterPartitionRequest, AlteredPartition, IsrProposal},
        broker_heartbeat::{BrokerHeartbeatRequest, BrokerStanding},
        broker_registration::BrokerRegistrationRequest,
        topics::{CreateTopicsRequest, NewTopic},
    },
    replicated::Replicated,
    rng::Rng,
    time::Instant,
    units::{BrokerEpoch, Incarnation, NodeId, NodeSet, Offset, ProducerId, TopicPartition},
};

pub(super) fn broker(nth: u32) -> NodeId {
    NodeId::broker(nth)
}

pub(super) fn set(nth: &[u32]) -> NodeSet {
    nth.iter().copied().map(NodeId::broker).collect()
}

/// A cluster whose every decision is applied at once, as if committed.
pub(super) struct Cluster {
    pub(super) image: Image,
    pub(super) config: ControllerConfig,
    pub(super) museum: Museum,
    pub(super) sessions: Sessions,
    pub(super) now: Instant,
    pub(super) next: Offset,
    /// What the last decision wrote.
    pub(super) records: Vec<Record>,
    pub(super) changes: Vec<Change>,
    rng: Rng,
}

impl Cluster {
    /// So many brokers, registered, unfenced and alive.
    pub(super) fn of(brokers: u32) -> Cluster {
        let mut cluster = Cluster {
            image: Image::new(),
            config: ControllerConfig::default(),
            museum: Museum::CLOSED,
            sessions: Sessions::new(Duration::from_secs(9)),
            now: Instant(0),
            next: Offset(1),
            records: Vec::new(),
            changes: Vec::new(),
            rng: Rng::named(7, "fixture"),
        };
        for nth in 1..=brokers {
            cluster.register(nth, u64::from(nth), None).expect("a new broker");
            assert!(!cluster.beat(nth).expect("registered").fenced);
        }
        cluster
    }

    #[cfg(feature = "museum")]
    pub(super) fn planted(mut self, bug: crate::museum::Bug) -> Cluster {
        self.museum = self.museum.with(bug);
        self
    }

    pub(super) fn set_min_isr(mut self, min_isr: u32) -> Cluster {
        self.config.min_insync_replicas = min_isr;
        self
    }

    pub(super) fn ask(&mut self, question: Question) -> Option<Response> {
        let mut context = Context {
            config: &self.config,
            museum: self.museum,
            sessions: &self.sessions,
            rng: &mut self.rng,
            now: self.now,
            next: self.next,
            producer_ids_given: ProducerId(0),
        };
        let decision = self.image.decide(&mut context, &question);
        self.changes.clear();
        for record in &decision.records {
            // Through its bytes, as the log would carry it.
            let record = Record::decode(&record.encode()).expect("a record comes back");
            self.changes.push(self.image.apply(self.next, &record));
            self.next = self.next.next();
        }
        self.records = decision.records;
        let copy = Image::from_snapshot(&self.image.to_snapshot()).expect("a snapshot comes back");
        assert_eq!(copy.fingerprint(), self.image.fingerprint(), "the fingerprint is kept up");
        assert_eq!(copy, self.image);
        decision.reply
    }

    pub(super) fn register(
        &mut self,
        nth: u32,
        incarnation: u64,
        previous: Option<BrokerEpoch>,
    ) -> Result<BrokerEpoch, ErrorCode> {
        let request = BrokerRegistrationRequest {
            broker: broker(nth),
            incarnation: Incarnation(incarnation),
            previous_broker_epoch: previous,
        };
        match self.ask(Question::Request(Request::BrokerRegistration(request))) {
            Some(Response::BrokerRegistration(response)) => {
                if response.result.is_ok() && self.image.broker(broker(nth)).is_some_and(|b| b.fenced) {
                    self.sessions.begin(self.now, broker(nth), true);
                }
                response.result
            }
            other => panic!("{other:?}"),
        }
    }

    /// A heartbeat of a broker that has applied everything and wants to serve.
    pub(super) fn beat(&mut self, nth: u32) -> Result<BrokerStanding, ErrorCode> {
        self.heartbeat(nth, self.next, false, false)
    }

    pub(super) fn heartbeat(
        &mut self,
        nth: u32,
        metadata_end: Offset,
        want_fence: bool,
        want_shutdown: bool,
    ) -> Result<BrokerStanding, ErrorCode> {
        let broker_epoch = self.epoch(nth);
        let request = BrokerHeartbeatRequest {
            broker: broker(nth),
            broker_epoch,
            metadata_end,
            want_fence,
            want_shutdown,
        };
        match self.ask(Question::Request(Request::BrokerHeartbeat(request))) {
            Some(Response::BrokerHeartbeat(response)) => {
                if let Ok(standing) = response.result {
                    self.sessions.touch(self.now, broker(nth), standing.fenced, metadata_end);
                    if standing.may_shut_down {
                        self.sessions.gone(broker(nth));
                    }
                    if want_shutdown && !standing.fenced {
                        self.sessions.leave(broker(nth), self.next);
                    }
                }
                response.result
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn epoch(&self, nth: u32) -> BrokerEpoch {
        self.image.broker(broker(nth)).map_or(BrokerEpoch(0), |broker| broker.epoch)
    }

    /// The broker's session ends.
    pub(super) fn expire(&mut self, nth: u32) {
        self.ask(Question::Expired(broker(nth)));
        self.sessions.fence(broker(nth));
    }

    /// The broker's process dies with the end of its logs, comes back once its session is over, and is
    /// unfenced.
    pub(super) fn lose_power(&mut self, nth: u32) {
        self.expire(nth);
        let incarnation = self.next.0;
        self.register(nth, incarnation, None).expect("its session is over");
    }

    /// A topic of one partition on these brokers, with settings.
    pub(super) fn topic(&mut self, name: &str, replicas: &[u32], config: &[(&str, &str)]) -> TopicPartition {
        let topic = NewTopic {
            name: name.into(),
            partitions: 0,
            replication_factor: 0,
            assignment: vec![replicas.iter().copied().map(broker).collect()],
            config: config.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        };
        let result = self.create(topic);
        TopicPartition::new(result.expect("it can be created"), 0)
    }

    pub(super) fn create(&mut self, topic: NewTopic) -> Result<crate::units::TopicId, ErrorCode> {
        let request = CreateTopicsRequest { topics: vec![topic], timeout: Duration::ZERO };
        match self.ask(Question::Request(Request::CreateTopics(request))) {
            Some(Response::CreateTopics(response)) => response.topics[0].1,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn state(&self, partition: TopicPartition) -> &PartitionImage {
        self.image.partition(partition).expect("it exists")
    }

    /// What the leader would propose: everybody by their present registrations.
    pub(super) fn proposal(&self, partition: TopicPartition, isr: &[u32]) -> IsrProposal {
        let state = self.state(partition);
        IsrProposal {
            partition,
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            isr: isr.iter().map(|nth| (broker(*nth), Some(self.epoch(*nth)))).collect(),
        }
    }

    pub(super) fn propose(
        &mut self,
        from: u32,
        proposal: IsrProposal,
    ) -> Result<AlteredPartition, ErrorCode> {
        let broker_epoch = self.epoch(from);
        let request =
            AlterPartitionRequest { broker: broker(from), broker_epoch, partitions: vec![proposal] };
        match self.ask(Question::Request(Request::AlterPartition(request))) {
            Some(Response::AlterPartition(response)) => match response.error {
                Some(error) => Err(error),
                None => response.partitions[0].1.clone(),
            },
            other => panic!("{other:?}"),
        }
    }

    /// The leader proposes an ISR, which is taken.
    pub(super) fn set_isr(&mut self, partition: TopicPartition, isr: &[u32]) {
        let leader = self.state(partition).leader.expect("somebody leads").nth();
        let proposal = self.proposal(partition, isr);
        self.propose(leader, proposal).expect("a good proposal");
    }
}
