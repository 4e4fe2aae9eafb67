//! How is a check shown a history? A cluster of three brokers, three controllers and a few clients, told line
//! by line.

use bytes::Bytes;
use trial_model::{
    event::{
        CommitReason, Event, GroupState, Nameless, PartitionState, Payload, QuorumRole, RecordTag,
        ReplicaRole, TruncateReason,
    },
    log::batch::ProducerStamp,
    protocol::{ErrorCode, produce::Acks},
    time::{Instant, Timestamp},
    units::{
        BrokerEpoch, Incarnation, LeaderEpoch, MemberId, NodeId, NodeSet, Offset, PartitionEpoch,
        ProducerEpoch, ProducerId, Sequence, TopicId, TopicPartition,
    },
};

use super::{ClientInfo, ClientKind, Judge, JudgeSetup, MemberInfo, TopicRules};
use crate::world_event::{Phase, Stop, WorldEvent};

/// The partition that the histories are about.
pub const P: TopicPartition = TopicPartition::new(TopicId(2), 0);
/// A producer with idempotence, and a consumer; the same of the audit.
pub const P1: NodeId = NodeId::client(1);
pub const C1: NodeId = NodeId::client(2);
pub const P9: NodeId = NodeId::client(3);
pub const C9: NodeId = NodeId::client(4);

/// The group that the histories are about, and the partition it is written to.
pub const GROUP: &str = "billing";
pub const G: TopicPartition = TopicPartition::new(TopicId(9), 0);

/// The member id of a client.
pub fn member(node: NodeId) -> MemberId {
    MemberId::from(format!("{node}").as_str())
}

pub fn b(nth: u32) -> NodeId {
    NodeId::broker(nth)
}

pub fn c(nth: u32) -> NodeId {
    NodeId::controller(nth)
}

pub fn set(nths: &[u32]) -> NodeSet {
    nths.iter().map(|nth| b(*nth)).collect()
}

pub fn voters(nths: &[u32]) -> NodeSet {
    nths.iter().map(|nth| c(*nth)).collect()
}

pub struct Bench {
    pub judge: Judge,
    check: &'static str,
    at: u64,
    record: u64,
    partition_epoch: u32,
    broker_epoch: u64,
}

fn setup(check: &'static str) -> JudgeSetup {
    let client = |node, name: &str, kind, auditor| ClientInfo {
        node,
        name: name.into(),
        kind,
        idempotent: true,
        acks: Acks::All,
        max_in_flight: 5,
        auditor,
        member: (node == C1).then(|| MemberInfo {
            group: GROUP.into(),
            commits_before: false,
            commits: true,
            eager: true,
            topics: vec!["orders".into()],
        }),
    };
    JudgeSetup {
        controllers: (1..=3).map(c).collect(),
        brokers: (1..=3).map(b).collect(),
        clients: vec![
            client(P1, "p1", ClientKind::Producer, false),
            client(C1, "c1", ClientKind::Consumer, false),
            client(P9, "p9", ClientKind::Producer, true),
            client(C9, "c9", ClientKind::Consumer, true),
        ],
        topic_defaults: TopicRules { min_insync: 2, unclean: false, unclean_on_request: false },
        only: Some([check.to_string()].into()),
        ..JudgeSetup::default()
    }
}

impl Bench {
    /// A running cluster, judged by one check.
    pub fn of(check: &'static str) -> Bench {
        Bench::with(check, |_| ())
    }

    /// The same, with another setup.
    pub fn with(check: &'static str, change: impl FnOnce(&mut JudgeSetup)) -> Bench {
        assert!(super::CATALOGUE.iter().any(|info| info.name == check), "no check {check}");
        let mut setup = setup(check);
        change(&mut setup);
        let judge = Judge::new(setup, Box::new(Nameless));
        let mut bench = Bench { judge, check, at: 0, record: 0, partition_epoch: 0, broker_epoch: 0 };
        for nth in 1..=3 {
            bench.start(c(nth));
        }
        bench.quorum(1, 1);
        for nth in 1..=3 {
            bench.join(nth);
        }
        for client in [P1, C1, P9, C9] {
            bench.start(client);
        }
        bench
    }

    /// The topic of the histories has a name.
    pub fn named(&mut self, name: &str) -> &mut Self {
        let at = self.next_record();
        self.say(c(1), Event::TopicCreated { topic: P.topic, name: name.into(), at, active: true })
    }

    /// The topic of the histories is gone.
    pub fn deleted(&mut self) -> &mut Self {
        let at = self.next_record();
        self.say(c(1), Event::TopicDeleted { topic: P.topic, name: "orders".into(), at, active: true })
    }

    /// A broker begins to clean the partition of the histories up to an offset.
    pub fn cleans(&mut self, nth: u32, to: u64) -> &mut Self {
        self.say(b(nth), Event::LogCleaning { partition: P, from: Offset::ZERO, to: Offset(to) })
    }

    /// A broker has read the log of the group in an epoch.
    pub fn coordinates(&mut self, nth: u32, epoch: u32) -> &mut Self {
        let (end, groups) = (Offset::ZERO, 0);
        self.say(b(nth), Event::CoordinatorLoaded { partition: G, epoch: LeaderEpoch(epoch), end, groups })
    }

    /// A broker looks after the groups of the partition of the histories.
    pub fn hosts(&mut self, nth: u32, epoch: u32) -> &mut Self {
        let (end, groups) = (Offset::ZERO, 0);
        self.say(b(nth), Event::CoordinatorLoaded { partition: P, epoch: LeaderEpoch(epoch), end, groups })
    }

    pub fn uncoordinates(&mut self, nth: u32, epoch: u32) -> &mut Self {
        self.say(b(nth), Event::CoordinatorUnloaded { partition: G, epoch: LeaderEpoch(epoch) })
    }

    /// The coordinator tells how the group stands.
    pub fn group(
        &mut self,
        nth: u32,
        epoch: u32,
        state: GroupState,
        generation: i32,
        members: &[NodeId],
    ) -> &mut Self {
        for node in members {
            let event = Event::MemberAdded {
                group: GROUP.into(),
                member: member(*node),
                instance: None,
                node: *node,
            };
            self.say(b(nth), event);
        }
        let members = members.iter().map(|node| member(*node)).collect();
        let coordinator = LeaderEpoch(epoch);
        let group = GROUP.into();
        self.say(
            b(nth),
            Event::GroupStateChanged { group, partition: G, coordinator, state, generation, members },
        )
    }

    /// The coordinator moves a member of a KIP-848 group.
    pub fn reconciles(
        &mut self,
        nth: u32,
        epoch: u32,
        client: NodeId,
        to: i32,
        held: &[(TopicPartition, i32)],
    ) -> &mut Self {
        let (group, member, by, coordinator) = (GROUP.into(), member(client), G, LeaderEpoch(epoch));
        let (assigned, revoking) = (held.to_vec(), Vec::new());
        let event = Event::MemberReconciled { group, member, by, coordinator, epoch: to, assigned, revoking };
        self.say(b(nth), event)
    }

    /// The coordinator takes a commit of a client.
    pub fn accepts(
        &mut self,
        nth: u32,
        epoch: u32,
        client: NodeId,
        generation: i32,
        offset: u64,
    ) -> &mut Self {
        let event = Event::OffsetAccepted {
            group: GROUP.into(),
            partition: P,
            offset: Offset(offset),
            member: member(client),
            generation,
            by: G,
            coordinator: LeaderEpoch(epoch),
            at: Offset::ZERO,
        };
        self.say(b(nth), event)
    }

    pub fn joins(&mut self, client: NodeId, generation: i32) -> &mut Self {
        let (group, member) = (GROUP.into(), member(client));
        self.say(client, Event::GroupJoined { group, member, generation, leads: false })
    }

    pub fn owns(&mut self, client: NodeId, generation: i32, partitions: &[TopicPartition]) -> &mut Self {
        let (group, member, partitions) = (GROUP.into(), member(client), partitions.to_vec());
        self.say(client, Event::PartitionsOwned { group, member, generation, partitions, lost: false })
    }

    pub fn commit_sent(&mut self, client: NodeId, offset: u64) -> &mut Self {
        self.commit_for(client, offset, CommitReason::Auto)
    }

    pub fn commit_revoked(&mut self, client: NodeId, offset: u64) -> &mut Self {
        self.commit_for(client, offset, CommitReason::Revoked)
    }

    fn commit_for(&mut self, client: NodeId, offset: u64, why: CommitReason) -> &mut Self {
        let event = Event::CommitSent {
            group: GROUP.into(),
            partition: P,
            offset: Offset(offset),
            member: member(client),
            generation: 1,
            why,
        };
        self.say(client, event)
    }

    pub fn commit_fails(&mut self, client: NodeId, offset: u64, error: ErrorCode) -> &mut Self {
        let (group, offset) = (GROUP.into(), Offset(offset));
        self.say(client, Event::CommitFailed { group, partition: P, offset, error, retried: false })
    }

    pub fn commit_retried(&mut self, client: NodeId, offset: u64, error: ErrorCode) -> &mut Self {
        let (group, offset) = (GROUP.into(), Offset(offset));
        self.say(client, Event::CommitFailed { group, partition: P, offset, error, retried: true })
    }

    pub fn commit_acked(&mut self, client: NodeId, offset: u64) -> &mut Self {
        let (group, offset) = (GROUP.into(), Offset(offset));
        self.say(client, Event::CommitAcked { group, partition: P, offset })
    }

    pub fn committed_asked(&mut self, client: NodeId) -> &mut Self {
        self.say(client, Event::CommittedAsked { group: GROUP.into(), partitions: vec![P] })
    }

    pub fn committed_told(&mut self, client: NodeId, offset: Option<u64>) -> &mut Self {
        let (group, offset) = (GROUP.into(), offset.map(Offset));
        self.say(client, Event::CommittedTold { group, partition: P, offset })
    }

    pub fn processed(&mut self, client: NodeId, from: u64, to: u64) -> &mut Self {
        self.say(client, Event::Processed { partition: P, from: Offset(from), to: Offset(to) })
    }

    /// How often the check has fired.
    pub fn fired(&self) -> u64 {
        self.judge.counts().iter().find(|(name, _)| *name == self.check).map_or(0, |(_, count)| *count)
    }

    pub fn unsettled(&self) -> Vec<String> {
        self.judge.unsettled(self.now())
    }

    pub fn now(&self) -> Instant {
        Instant(self.at)
    }

    pub fn say(&mut self, node: NodeId, event: Event) -> &mut Self {
        self.at += 1_000_000;
        self.judge.step(Instant(self.at), node, &[event]);
        self.judge.end_of_instant(Instant(self.at));
        self
    }

    pub fn world(&mut self, event: WorldEvent) -> &mut Self {
        self.at += 1_000_000;
        self.judge.world(Instant(self.at), &event);
        self.judge.end_of_instant(Instant(self.at));
        self
    }

    pub fn wait(&mut self, seconds: u64) -> &mut Self {
        for _ in 0..seconds * 10 {
            self.at += 100_000_000;
            self.judge.end_of_instant(Instant(self.at));
        }
        self
    }

    pub fn finish(&mut self) -> &mut Self {
        self.at += 1_000_000;
        self.judge.finish(Instant(self.at));
        self
    }

    pub fn start(&mut self, node: NodeId) -> &mut Self {
        self.world(WorldEvent::NodeStarted { node })
    }

    pub fn stop(&mut self, node: NodeId, how: Stop) -> &mut Self {
        self.world(WorldEvent::NodeStopped { node, how, lost_disk: false })
    }

    pub fn phase(&mut self, phase: Phase) -> &mut Self {
        self.world(WorldEvent::PhaseBegan(phase))
    }

    pub fn role(&mut self, nth: u32, role: QuorumRole, epoch: u32, leader: Option<u32>) -> &mut Self {
        self.say(c(nth), Event::QuorumRoleChanged { role, epoch: LeaderEpoch(epoch), leader: leader.map(c) })
    }

    /// Controller `nth` is elected with everybody's vote, and is active.
    pub fn quorum(&mut self, nth: u32, epoch: u32) -> &mut Self {
        self.role(nth, QuorumRole::Candidate, epoch, None);
        let log_end =
            self.judge.cluster().quorum.log.replica(c(nth)).map_or(Offset::ZERO, |replica| replica.end);
        let votes = voters(&[1, 2, 3]);
        self.say(c(nth), Event::QuorumLeaderElected { epoch: LeaderEpoch(epoch), votes, log_end });
        self.role(nth, QuorumRole::Leader, epoch, Some(nth));
        for other in (1..=3).filter(|other| *other != nth) {
            self.role(other, QuorumRole::Follower, epoch, Some(nth));
        }
        self.say(c(nth), Event::ControllerActivated { epoch: LeaderEpoch(epoch), end: log_end })
    }

    pub fn next_record(&mut self) -> Offset {
        self.record += 1;
        Offset(self.record)
    }

    /// A broker starts, registers and is unfenced.
    pub fn join(&mut self, nth: u32) -> &mut Self {
        let incarnation = self.broker_epoch + 10;
        self.start(b(nth)).registered(nth, incarnation).told_epoch(nth).unfence(nth)
    }

    /// A life of a broker is registered, under a new epoch.
    pub fn registered(&mut self, nth: u32, incarnation: u64) -> &mut Self {
        self.broker_epoch += 10;
        let (epoch, at, incarnation) =
            (BrokerEpoch(self.broker_epoch), self.next_record(), Incarnation(incarnation));
        self.say(
            c(1),
            Event::BrokerRegistered { broker: b(nth), epoch, incarnation, clean: true, at, active: true },
        )
    }

    /// A broker hears of the newest epoch.
    pub fn told_epoch(&mut self, nth: u32) -> &mut Self {
        let epoch = BrokerEpoch(self.broker_epoch);
        self.say(b(nth), Event::BrokerEpochReceived { epoch })
    }

    pub fn unfence(&mut self, nth: u32) -> &mut Self {
        let (epoch, at) = (BrokerEpoch(self.broker_epoch), self.next_record());
        self.say(c(1), Event::BrokerUnfenced { broker: b(nth), epoch, at, active: true })
    }

    pub fn fence(&mut self, nth: u32) -> &mut Self {
        let (epoch, at) = (BrokerEpoch(self.broker_epoch), self.next_record());
        self.say(c(1), Event::BrokerFenced { broker: b(nth), epoch, at, active: true })
    }

    pub fn state(&mut self, leader: Option<u32>, epoch: u32, isr: &[u32]) -> PartitionState {
        self.partition_epoch += 1;
        PartitionState {
            leader: leader.map(b),
            leader_epoch: LeaderEpoch(epoch),
            partition_epoch: PartitionEpoch(self.partition_epoch),
            replicas: (1..=3).map(b).collect(),
            isr: set(isr),
            elr: NodeSet::new(),
        }
    }

    /// The controller makes `leader` lead.
    pub fn elect(&mut self, leader: u32, epoch: u32, isr: &[u32]) -> &mut Self {
        self.elected(leader, epoch, isr, false)
    }

    pub fn elected(&mut self, leader: u32, epoch: u32, isr: &[u32], unclean: bool) -> &mut Self {
        let state = Box::new(self.state(Some(leader), epoch, isr));
        let at = self.next_record();
        self.say(c(1), Event::LeaderElected { partition: P, from: None, state, unclean, at, active: true })
    }

    /// The broker takes the lead.
    pub fn leads(&mut self, nth: u32, epoch: u32) -> &mut Self {
        let replica = self.judge.cluster().partition(P).and_then(|partition| partition.replica(b(nth)));
        let log_end = replica.map_or(Offset::ZERO, |replica| replica.end);
        let high_watermark = replica.and_then(|replica| replica.high_watermark).unwrap_or(Offset::ZERO);
        let (epoch, isr) = (LeaderEpoch(epoch), set(&[1, 2, 3]));
        self.say(b(nth), Event::LeaderStarted { partition: P, epoch, log_end, high_watermark, isr })
    }

    pub fn follows(&mut self, nth: u32, epoch: u32, leader: u32) -> &mut Self {
        let replica = self.judge.cluster().partition(P).and_then(|partition| partition.replica(b(nth)));
        let log_end = replica.map_or(Offset::ZERO, |replica| replica.end);
        let (epoch, leader) = (LeaderEpoch(epoch), Some(b(leader)));
        self.say(b(nth), Event::FollowerStarted { partition: P, epoch, leader, log_end })
    }

    /// Broker 1 leads in epoch 1, everybody in sync.
    pub fn begun(mut self) -> Bench {
        self.elect(1, 1, &[1, 2, 3]).leads(1, 1).follows(2, 1, 1).follows(3, 1, 1);
        self
    }

    pub fn shrink(&mut self, leader: u32, epoch: u32, isr: &[u32]) -> &mut Self {
        let state = Box::new(self.state(Some(leader), epoch, isr));
        let at = self.next_record();
        self.say(c(1), Event::IsrShrunk { partition: P, from: set(&[1, 2, 3]), state, at, active: true })
    }

    pub fn expand(&mut self, leader: u32, epoch: u32, isr: &[u32]) -> &mut Self {
        let state = Box::new(self.state(Some(leader), epoch, isr));
        let at = self.next_record();
        self.say(c(1), Event::IsrExpanded { partition: P, from: set(&[1]), state, at, active: true })
    }

    /// A batch of one record whose content is `crc`.
    pub fn append(&mut self, node: NodeId, role: ReplicaRole, base: u64, epoch: u32, crc: u32) -> &mut Self {
        self.append_as(node, role, P, base, epoch, crc, None)
    }

    #[allow(clippy::too_many_arguments)]
    pub fn append_as(
        &mut self,
        node: NodeId,
        role: ReplicaRole,
        partition: TopicPartition,
        base: u64,
        epoch: u32,
        crc: u32,
        producer: Option<ProducerStamp>,
    ) -> &mut Self {
        let event = Event::Appended {
            partition,
            role,
            base: Offset(base),
            end: Offset(base + 1),
            epoch: LeaderEpoch(epoch),
            crc,
            producer,
            control: false,
            max_timestamp: Timestamp(0),
        };
        self.say(node, event)
    }

    /// Broker 1 appends a record, the others of `followers` copy it.
    pub fn replicated(&mut self, base: u64, epoch: u32, crc: u32, followers: &[u32]) -> &mut Self {
        self.append(b(1), ReplicaRole::Leader, base, epoch, crc);
        for follower in followers {
            self.append(b(*follower), ReplicaRole::Follower, base, epoch, crc);
        }
        self
    }

    pub fn hw(&mut self, nth: u32, epoch: u32, to: u64, counted: &[u32]) -> &mut Self {
        let partition = self.judge.cluster().partition(P);
        let replica = partition.and_then(|partition| partition.replica(b(nth)));
        let from = replica.and_then(|replica| replica.high_watermark).unwrap_or(Offset::ZERO);
        let log_end = replica.map_or(Offset::ZERO, |replica| replica.end);
        let (epoch, to, isr) = (LeaderEpoch(epoch), Offset(to), set(counted));
        self.say(b(nth), Event::HighWatermarkAdvanced { partition: P, epoch, from, to, isr, log_end })
    }

    pub fn adopt(&mut self, nth: u32, epoch: u32, to: u64) -> &mut Self {
        let partition = self.judge.cluster().partition(P);
        let log_end = partition.and_then(|p| p.replica(b(nth))).map_or(Offset::ZERO, |replica| replica.end);
        let (epoch, to) = (LeaderEpoch(epoch), Offset(to));
        self.say(b(nth), Event::HighWatermarkAdopted { partition: P, epoch, to, log_end })
    }

    pub fn truncate(&mut self, nth: u32, to: u64, high_watermark: u64) -> &mut Self {
        let partition = self.judge.cluster().partition(P);
        let from = partition.and_then(|p| p.replica(b(nth))).map_or(Offset::ZERO, |replica| replica.end);
        let why = TruncateReason::Diverged;
        let (to, high_watermark) = (Offset(to), Offset(high_watermark));
        self.say(b(nth), Event::Truncated { partition: P, from, to, why, high_watermark })
    }

    /// Broker `nth`, whose log ended at `from`, drops it and begins anew at `to`.
    pub fn reset(&mut self, nth: u32, from: u64, to: u64) -> &mut Self {
        let (from, to, high_watermark) = (Offset(from), Offset(to), Offset(from));
        let why = TruncateReason::OutOfRange;
        self.say(b(nth), Event::Truncated { partition: P, from, to, why, high_watermark })
    }

    pub fn flushed(&mut self, node: NodeId, partition: TopicPartition, end: u64) -> &mut Self {
        self.say(node, Event::Flushed { partition, end: Offset(end) })
    }

    /// Broker `nth` reads its log back up to `end`; its last batch is of epoch 1.
    pub fn recovered(&mut self, nth: u32, end: u64, last_crc: Option<u32>) -> &mut Self {
        let (start, end, last_epoch) = (Offset::ZERO, Offset(end), last_crc.map(|_| LeaderEpoch(1)));
        self.say(
            b(nth),
            Event::Recovered { partition: P, start, end, clean: false, cut: 0, last_epoch, last_crc },
        )
    }

    /// Controller `nth` appends a metadata record.
    pub fn metadata(&mut self, nth: u32, base: u64, epoch: u32, crc: u32) -> &mut Self {
        self.append_as(c(nth), Follower, TopicPartition::METADATA, base, epoch, crc, None)
    }

    pub fn metadata_hw(&mut self, nth: u32, epoch: u32, to: u64, leader: bool) -> &mut Self {
        let replica = self.judge.cluster().quorum.log.replica(c(nth));
        let log_end = replica.map_or(Offset::ZERO, |replica| replica.end);
        let (epoch, from, to) = (LeaderEpoch(epoch), Offset::ZERO, Offset(to));
        self.say(c(nth), Event::QuorumHighWatermarkAdvanced { epoch, from, to, leader, log_end })
    }

    // What clients do.

    pub fn send(&mut self, node: NodeId, tag: u64) -> &mut Self {
        let (partition, value) = (P, value(node, tag));
        self.say(node, Event::RecordSent { tag: RecordTag(tag), partition, value, timestamp: Timestamp(0) })
    }

    pub fn ack(&mut self, node: NodeId, tag: u64, offset: u64) -> &mut Self {
        self.say(node, Event::RecordAcked { tag: RecordTag(tag), partition: P, offset: Some(Offset(offset)) })
    }

    /// `reader` reads record `tag` of `writer` at `offset`.
    pub fn read(&mut self, reader: NodeId, offset: u64, writer: NodeId, tag: u64) -> &mut Self {
        let event = Event::Delivered {
            partition: P,
            offset: Offset(offset),
            epoch: LeaderEpoch(1),
            timestamp: Timestamp(0),
            value: value(writer, tag),
        };
        self.say(reader, event)
    }
}

pub fn value(node: NodeId, tag: u64) -> Payload {
    Payload(Bytes::from(format!("{node}/{tag:06}........")))
}

pub fn stamp(id: u64, epoch: u16, sequence: u32) -> Option<ProducerStamp> {
    Some(ProducerStamp { id: ProducerId(id), epoch: ProducerEpoch(epoch), base_sequence: Sequence(sequence) })
}

pub use ReplicaRole::{Follower, Leader};
