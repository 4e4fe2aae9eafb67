//! Who leads the controllers, and what is in their log?

use trial_model::{
    event::{Event, QuorumRole, ReplicaRole},
    time::Instant,
    units::{LeaderEpoch, NodeId, NodeRole, NodeSet, Offset, TopicPartition},
};

use super::{Leadership, Moved, Partition, Process, partition::End};
use crate::check::TopicRules;

/// One controller.
#[derive(Clone, Debug)]
pub struct Voter {
    /// Who.
    pub node: NodeId,
    /// Its process.
    pub process: Process,
    /// What it is, in this life.
    pub role: QuorumRole,
    /// In which epoch.
    pub epoch: LeaderEpoch,
    /// The leader it knows.
    pub leader: Option<NodeId>,
    /// The high watermark it knows, in this life.
    pub high_watermark: Offset,
    /// In which quorum epoch it is the active controller.
    pub active: Option<LeaderEpoch>,
}

/// The controllers and their log.
#[derive(Clone, Debug)]
pub struct Quorum {
    /// The voters, by id.
    pub voters: Vec<Voter>,
    /// `__cluster_metadata`, on voters and brokers.
    pub log: Partition,
    /// Whose snapshots reach how far: the end of the newest each node has.
    pub snapshots: Vec<(NodeId, Offset)>,
    /// Every quorum leader that was elected, with the votes and where its log ended; the newest few.
    pub elections: Vec<(LeaderEpoch, NodeId, NodeSet, Offset)>,
}

impl Quorum {
    pub(super) fn new(controllers: &[NodeId]) -> Quorum {
        let mut voters: Vec<Voter> = controllers
            .iter()
            .map(|node| Voter {
                node: *node,
                process: Process::default(),
                role: QuorumRole::Unattached,
                epoch: LeaderEpoch(0),
                leader: None,
                high_watermark: Offset::ZERO,
                active: None,
            })
            .collect();
        voters.sort_by_key(|voter| voter.node);
        let log = Partition::new(TopicPartition::METADATA, TopicRules::default());
        Quorum { voters, log, snapshots: Vec::new(), elections: Vec::new() }
    }

    /// One voter.
    pub fn voter(&self, node: NodeId) -> Option<&Voter> {
        self.voters.iter().find(|voter| voter.node == node)
    }

    pub(super) fn voter_mut(&mut self, node: NodeId) -> Option<&mut Voter> {
        self.voters.iter_mut().find(|voter| voter.node == node)
    }

    /// How many voters make a majority.
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// Who leads in the newest epoch, if it runs: a leader whom a majority follows, itself counted.
    pub fn leader(&self) -> Option<&Voter> {
        self.voters.iter().find(|voter| self.leads(voter) && self.with(voter) >= self.majority())
    }

    /// Whether a voter leads, in its own eyes.
    pub fn leads(&self, voter: &Voter) -> bool {
        voter.process.alive && voter.role == QuorumRole::Leader
    }

    /// How many voters are with a leader: itself, and who follows it in its epoch and runs.
    pub fn with(&self, leader: &Voter) -> usize {
        self.voters
            .iter()
            .filter(|voter| {
                voter.node == leader.node
                    || (voter.process.well()
                        && voter.role == QuorumRole::Follower
                        && voter.epoch == leader.epoch
                        && voter.leader == Some(leader.node))
            })
            .count()
    }

    /// The end of the newest snapshot that `node` has told of.
    pub fn snapshot(&self, node: NodeId) -> Option<Offset> {
        self.snapshots.iter().find(|(owner, _)| *owner == node).map(|(_, end)| *end)
    }

    pub(super) fn apply(&mut self, now: Instant, node: NodeId, event: &Event) {
        match event {
            Event::QuorumRoleChanged { role, epoch, leader } => {
                if let Some(voter) = self.voter_mut(node) {
                    (voter.role, voter.epoch, voter.leader) = (*role, *epoch, *leader);
                    if *role != QuorumRole::Leader {
                        voter.active = None;
                    }
                }
                let replica = self.log.replica_mut(node);
                replica.epoch = *epoch;
                replica.role = Some(if *role == QuorumRole::Leader {
                    ReplicaRole::Leader
                } else {
                    ReplicaRole::Follower
                });
            }
            Event::QuorumLeaderElected { epoch, votes, log_end } => {
                self.elections.push((*epoch, node, votes.clone(), *log_end));
                if self.elections.len() > 256 {
                    self.elections.remove(0);
                }
                self.log.led(Leadership { at: now, node, epoch: *epoch, log_end: *log_end }, Offset::ZERO);
            }
            Event::QuorumHighWatermarkAdvanced { epoch, from, to, leader, .. } => {
                self.log.replica_mut(node).high_watermark = Some(*to);
                if let Some(voter) = self.voter_mut(node) {
                    voter.high_watermark = *to;
                }
                if *leader && node.role() == NodeRole::Controller {
                    let counted = NodeSet::new();
                    self.log.announce(Moved { at: now, node, epoch: *epoch, from: *from, to: *to, counted });
                } else {
                    self.log.grown.clear();
                }
            }
            Event::ControllerActivated { epoch, .. } => {
                if let Some(voter) = self.voter_mut(node) {
                    voter.active = Some(*epoch);
                }
            }
            Event::ControllerResigned { .. } => {
                if let Some(voter) = self.voter_mut(node) {
                    voter.active = None;
                }
            }
            Event::SnapshotWritten { end, .. } | Event::SnapshotLoaded { end, .. } => {
                match self.snapshots.iter_mut().find(|(owner, _)| *owner == node) {
                    Some((_, newest)) => *newest = (*newest).max(*end),
                    None => self.snapshots.push((node, *end)),
                }
            }
            _ => {}
        }
    }

    pub(super) fn stopped(&mut self, node: NodeId, end: End) {
        self.log.stopped(node, end);
        if let Some(voter) = self.voter_mut(node) {
            (voter.role, voter.leader, voter.active) = (QuorumRole::Unattached, None, None);
            (voter.high_watermark, voter.epoch) = (Offset::ZERO, LeaderEpoch(0));
        }
        if end.lost_disk {
            self.snapshots.retain(|(owner, _)| *owner != node);
        }
    }
}
