//! What does a judge have to know of a scenario?

use std::{collections::BTreeSet, time::Duration};

use trial_model::{
    protocol::produce::Acks,
    units::{GroupId, NodeId},
};

use crate::mirror::Lossy;

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientKind {
    /// It sends.
    Producer,
    /// It reads.
    Consumer,
    /// It changes the cluster.
    Admin,
}

/// A client and what may be expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// Who.
    pub node: NodeId,
    /// Its name in the scenario.
    pub name: String,
    /// What for.
    pub kind: ClientKind,
    /// `enable.idempotence`.
    pub idempotent: bool,
    /// `acks`.
    pub acks: Acks,
    /// `max.in.flight.requests.per.connection`.
    pub max_in_flight: u32,
    /// Whether it belongs to the audit at the end of a run, and not to the workload.
    pub auditor: bool,
    /// Its group, and how it is a member of it.
    pub member: Option<MemberInfo>,
}

/// A member of a group and what may be expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// `group.id`.
    pub group: GroupId,
    /// Whether it commits what it has not worked on yet: then a record may be lost to the group.
    pub commits_before: bool,
    /// Whether its application ever commits.
    pub commits: bool,
    /// Whether it gives up everything before it joins again (KIP-429: it is not cooperative).
    pub eager: bool,
    /// The topics it reads; none if it reads what fits a pattern.
    pub topics: Vec<String>,
}

/// What a topic's configuration allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRules {
    /// `min.insync.replicas`.
    pub min_insync: usize,
    /// `unclean.leader.election.enable`.
    pub unclean: bool,
    /// Whether an operator asks for unclean elections, which a topic cannot refuse (KIP-460).
    pub unclean_on_request: bool,
}

impl TopicRules {
    /// Whether an election may be unclean, and lose records.
    pub fn may_be_unclean(&self) -> bool {
        self.unclean || self.unclean_on_request
    }
}

impl Default for TopicRules {
    fn default() -> Self {
        TopicRules { min_insync: 1, unclean: false, unclean_on_request: false }
    }
}

/// How long something may take before it counts as missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a quorum leader may lead without being fetched from by a majority, slack included.
    pub check_quorum: Duration,
    /// How long a partition with enough healthy replicas may refuse writes: noticing a death, electing,
    /// telling the clients.
    pub unavailability: Duration,
    /// How long a record may wait for its answer: `delivery.timeout.ms` and some.
    pub delivery: Duration,
    /// How long something may lag while the cluster is at rest and a light load goes on.
    pub lag: Duration,
    /// `producer.id.expiration.ms`.
    pub producer_expiration: Duration,
    /// How long a group may take to come to rest: noticing who is gone, joining, being told.
    pub rebalance: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            check_quorum: Duration::from_secs(10),
            unavailability: Duration::from_secs(45),
            delivery: Duration::from_secs(150),
            lag: Duration::from_secs(3),
            producer_expiration: Duration::from_secs(86_400),
            rebalance: Duration::from_secs(3),
        }
    }
}

/// Everything a judge is told before a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JudgeSetup {
    /// The voters.
    pub controllers: Vec<NodeId>,
    /// The brokers.
    pub brokers: Vec<NodeId>,
    /// The clients, those of the audit included.
    pub clients: Vec<ClientInfo>,
    /// The topics that differ from `topic_defaults`, by name.
    pub topics: Vec<(String, TopicRules)>,
    /// What holds for every other topic.
    pub topic_defaults: TopicRules,
    /// Whether eligible leader replicas are on (KIP-966).
    pub elr: bool,
    /// The checks to run, by name; all of them if `None`.
    pub only: Option<BTreeSet<String>>,
    /// The promise that the scenario wants to see broken. It is then held against every client, also against
    /// those whose settings do without it: a lesson shows what the setting is for.
    pub demanded: Option<String>,
    /// Checks that are not run.
    pub except: BTreeSet<String>,
    /// How long is too long.
    pub patience: Patience,
    /// How many violations of one check are kept; 4 if zero.
    pub keep: usize,
}

impl JudgeSetup {
    /// What the topic of this name allows.
    pub fn rules(&self, topic: &str) -> &TopicRules {
        self.topics.iter().find(|(name, _)| name == topic).map_or(&self.topic_defaults, |(_, rules)| rules)
    }

    /// What is known of a client.
    pub fn client(&self, node: NodeId) -> Option<&ClientInfo> {
        self.clients.iter().find(|client| client.node == node)
    }

    /// Whether more replicas have lost records than the configuration protects from.
    ///
    /// Eligible leader replicas (KIP-966) protect from all but disks that lie. Without them so many as
    /// `min_insync` are enough, or the whole of an ISR that had shrunk below it: the last replica standing.
    pub fn forgives(&self, lossy: Lossy, min_insync: usize) -> bool {
        if self.elr {
            lossy.deceived >= min_insync
        } else {
            lossy.replicas >= min_insync || lossy.all_in_sync
        }
    }

    /// Whether a promise is held also against clients whose settings do without it.
    pub fn demands(&self, check: &str) -> bool {
        self.demanded.as_deref() == Some(check)
    }

    /// Whether a check is to be run.
    pub fn enables(&self, check: &str) -> bool {
        !self.except.contains(check) && self.only.as_ref().is_none_or(|only| only.contains(check))
    }
}
