//! What is this member at the moment, what does it know only as that, and how does it become another?
//!
//! Transitions are Kafka's `QuorumState`. Those that change the epoch, the vote or the leader are written to
//! the `quorum-state` file before the next input is taken, and nothing of them is seen outside before that.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use super::{
    Quorum,
    high_watermark::{self, Progress},
    snapshot::Download,
    state_file::Election,
};
use crate::{
    event::{Event, QuorumRole},
    museum::Bug,
    protocol::fetch::EpochEnd,
    time::{Instant, Now},
    units::{LeaderEpoch, NodeId, NodeSet, Offset},
};

/// What a member is.
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// Knows no leader; a voter stands for election `until` then.
    Unattached {
        /// When the wait for a leader is over. An observer waits for ever.
        until: Instant,
    },
    /// Asks how a vote would go (KIP-996).
    Prospective(Ballot),
    /// Asks for votes.
    Candidate(Ballot),
    /// Led this epoch, and does not any more.
    Resigned(Resigned),
    /// Leads.
    Leader(Leader),
    /// Follows.
    Follower(Follower),
}

/// An election, as the one who stands in it sees it.
#[derive(Clone, Debug)]
pub(super) struct Ballot {
    /// Who is for it; itself first.
    pub(super) granted: NodeSet,
    /// Who is against.
    pub(super) rejected: NodeSet,
    /// When it gives up waiting for votes.
    pub(super) until: Instant,
    /// How often it has stood in a row.
    pub(super) attempt: u32,
    /// It has lost, and rests until then.
    pub(super) rests: Option<Instant>,
}

impl Ballot {
    pub(super) fn new(own: NodeId, until: Instant, attempt: u32) -> Ballot {
        Ballot { granted: NodeSet::new().with(own), rejected: NodeSet::new(), until, attempt, rests: None }
    }

    /// Whether a majority of `voters` is for it.
    pub(super) fn is_won(&self, voters: &NodeSet) -> bool {
        self.granted.len() >= high_watermark::majority(voters.len())
    }

    /// Whether those not against it are no majority of `voters`.
    pub(super) fn is_lost(&self, voters: &NodeSet) -> bool {
        voters.len() - self.rejected.len() < high_watermark::majority(voters.len())
    }
}

/// What one knows who has stepped down.
#[derive(Clone, Debug)]
pub(super) struct Resigned {
    /// When it looks for a new epoch by itself.
    pub(super) until: Instant,
    /// Who has not yet acknowledged the end of the epoch.
    pub(super) unacknowledged: NodeSet,
    /// Who should stand, the most caught up first.
    pub(super) successors: Vec<NodeId>,
}

/// What only a leader knows.
#[derive(Clone, Debug)]
pub(super) struct Leader {
    /// The offset of the first record of its epoch, the leader change.
    pub(super) epoch_start: Offset,
    /// Whether that record was appended.
    pub(super) begun: bool,
    /// Who elected it.
    pub(super) votes: NodeSet,
    /// What it knows of every other voter.
    pub(super) voters: BTreeMap<NodeId, Progress>,
    /// Observers and when they last fetched.
    pub(super) observers: BTreeMap<NodeId, Instant>,
    /// Who has fetched since check quorum last held.
    pub(super) fetched: NodeSet,
    /// When it resigns unless a majority fetches before.
    pub(super) majority_until: Instant,
    /// When voters that do not fetch are told again who leads.
    pub(super) begin_at: Instant,
    /// The high watermark last told to each who fetches.
    pub(super) told: BTreeMap<NodeId, Offset>,
    /// Records that wait for company, each append's together.
    pub(super) gathered: Vec<Vec<Bytes>>,
    /// How many they are.
    pub(super) gathered_count: u64,
    /// When they are appended.
    pub(super) drain_at: Option<Instant>,
}

/// What only a follower knows.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    /// When it gives its leader up.
    pub(super) until: Instant,
    /// Whether it has fetched from that leader: then it knows of one, and refuses pre-votes.
    pub(super) has_fetched: bool,
    /// The leader's high watermark, as last heard.
    pub(super) leader_high_watermark: Option<Offset>,
    /// The snapshot it is fetching.
    pub(super) download: Option<Download>,
}

impl Quorum {
    /// Knows of a newer epoch, and of no leader in it.
    pub(super) fn become_unattached(&mut self, now: Now, epoch: LeaderEpoch) {
        assert!(epoch > self.election.epoch, "a member is unattached only in an epoch that is new to it");
        let until = match &self.role {
            _ if !self.may_stand() => Instant::FOREVER,
            // Not begun anew: else one that always loses could keep everybody waiting.
            Role::Unattached { until } => *until,
            Role::Prospective(ballot) | Role::Candidate(ballot) => ballot.until,
            _ => now.monotonic + self.random_election_timeout(),
        };
        self.change_to(Role::Unattached { until }, Election { epoch, voted: None, leader: None });
    }

    /// Gives its vote in an epoch in which it knows no leader.
    pub(super) fn vote_for(&mut self, now: Now, candidate: NodeId) {
        assert!(self.election.voted.is_none(), "a voter has one vote an epoch");
        assert!(self.election.leader.is_none(), "nobody votes where there is a leader");
        let until = now.monotonic + self.random_election_timeout();
        let election = Election { voted: Some(candidate), ..self.election };
        let role = match &self.role {
            Role::Prospective(ballot) => Role::Prospective(Ballot::new(self.id, until, ballot.attempt)),
            _ => Role::Unattached { until },
        };
        self.change_to(role, election);
        self.tell(Event::QuorumVoted { epoch: election.epoch, candidate });
    }

    /// Follows `leader`.
    pub(super) fn become_follower(&mut self, now: Now, epoch: LeaderEpoch, leader: NodeId) {
        let voted = self.election.voted.filter(|_| epoch == self.election.epoch);
        let role = Role::Follower(Follower {
            until: now.monotonic + self.config.fetch_timeout,
            has_fetched: false,
            leader_high_watermark: None,
            download: None,
        });
        self.change_to(role, Election { epoch, voted, leader: Some(leader) });
    }

    /// Asks how a vote would go, in the present epoch.
    pub(super) fn become_prospective(&mut self, now: Now, attempt: u32) {
        assert!(self.may_stand(), "an observer never stands for election");
        let until = now.monotonic + self.wait_to_stand();
        let ballot = Ballot::new(self.id, until, attempt);
        self.change_to(Role::Prospective(ballot), self.election);
    }

    /// The pre-vote was not won: back to the leader it knew, or to waiting for one.
    pub(super) fn give_up_pre_vote(&mut self, now: Now, until: Instant) {
        match self.election.leader {
            Some(leader) => self.become_follower(now, self.election.epoch, leader),
            None => self.change_to(Role::Unattached { until }, self.election),
        }
    }

    /// Stands for election in the next epoch, and votes for itself.
    pub(super) fn become_candidate(&mut self, now: Now, attempt: u32) {
        assert!(self.may_stand(), "an observer never stands for election");
        let until = now.monotonic + self.random_election_timeout();
        let ballot = Ballot::new(self.id, until, attempt);
        let epoch = self.election.epoch.next();
        self.change_to(Role::Candidate(ballot), Election { epoch, voted: Some(self.id), leader: None });
        self.tell(Event::QuorumVoted { epoch, candidate: self.id });
    }

    /// Leads the epoch in which it has the votes of a majority.
    pub(super) fn become_leader(&mut self, now: Now, votes: NodeSet) {
        self.resigning = false;
        let leader = self.new_leader(now, votes.clone());
        let election = Election { leader: Some(self.id), ..self.election };
        self.change_to(Role::Leader(leader), election);
        let log_end = self.log.end();
        self.tell(Event::QuorumLeaderElected { epoch: election.epoch, votes, log_end });
    }

    /// A leader that knows nothing of its voters yet.
    pub(super) fn new_leader(&self, now: Now, votes: NodeSet) -> Leader {
        Leader {
            epoch_start: self.log.end(),
            begun: false,
            votes,
            voters: self.peers.ids().map(|voter| (voter, Progress::default())).collect(),
            observers: BTreeMap::new(),
            fetched: NodeSet::new(),
            majority_until: now.monotonic + self.check_quorum_timeout(),
            begin_at: now.monotonic,
            told: BTreeMap::new(),
            gathered: Vec::new(),
            gathered_count: 0,
            drain_at: None,
        }
    }

    /// Steps down by itself; its epoch has no leader from now on.
    pub(super) fn become_resigned(&mut self, now: Now, lost_majority: bool) {
        let Role::Leader(leader) = &self.role else { return };
        let successors = high_watermark::successors(&leader.voters, self.id);
        let role = Role::Resigned(Resigned {
            until: now.monotonic + self.random_election_timeout(),
            unacknowledged: self.peers.ids().collect(),
            successors,
        });
        self.tell(Event::QuorumResigned { epoch: self.election.epoch, lost_majority });
        self.change_to(role, self.election);
    }

    /// Becomes something else. Whoever waited for the leader that it was is told; whatever it asked as what
    /// it was is forgotten.
    fn change_to(&mut self, role: Role, election: Election) {
        assert!(election.epoch >= self.election.epoch, "an epoch never goes back");
        let was = (self.role(), self.election.epoch, self.leader());
        let led = matches!(self.role, Role::Leader(_));
        self.role = role;
        self.election = election;
        self.peers.reset();
        if led {
            self.refuse_parked();
        }
        let is = (self.role(), self.election.epoch, self.leader());
        if was != is {
            self.tell(Event::QuorumRoleChanged { role: is.0, epoch: is.1, leader: is.2 });
        }
    }

    /// What it is.
    pub fn role(&self) -> QuorumRole {
        match &self.role {
            Role::Unattached { .. } => QuorumRole::Unattached,
            Role::Prospective(_) => QuorumRole::Prospective,
            Role::Candidate(_) => QuorumRole::Candidate,
            Role::Resigned(_) => QuorumRole::Resigned,
            Role::Leader(_) => QuorumRole::Leader,
            Role::Follower(_) => QuorumRole::Follower,
        }
    }

    /// Between one and two election timeouts.
    pub(super) fn random_election_timeout(&mut self) -> Duration {
        self.one_to_two(self.config.election_timeout)
    }

    /// How long to wait for a leader before asking how a vote would go, and for the answers: between one and two
    /// election timeouts. In a quorum that may be new, between one and two of what is set for the first election, and
    /// twice as long every time: whoever is far from the others must wait for long enough once.
    ///
    /// A candidate never waits less than an election timeout: a vote is flushed before it is given.
    pub(super) fn wait_to_stand(&mut self) -> Duration {
        let Some(timeout) = self.first_wait() else { return self.random_election_timeout() };
        self.config.first_election_timeout = Some((timeout * 2).max(Duration::from_millis(1)));
        self.one_to_two(timeout)
    }

    /// What it waits for instead of an election timeout, because it has never heard of an epoch.
    fn first_wait(&self) -> Option<Duration> {
        let is_first = self.election.epoch == LeaderEpoch::default();
        self.config.first_election_timeout.filter(|first| is_first && *first < self.config.election_timeout)
    }

    fn one_to_two(&mut self, timeout: Duration) -> Duration {
        let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(timeout.saturating_add(self.rng.below(timeout) / 1_000 * 1_000))
    }

    /// How long a leader waits for a majority to fetch: half as long again as they wait for it (KIP-595,
    /// KAFKA-15489).
    pub(super) fn check_quorum_timeout(&self) -> Duration {
        self.config.fetch_timeout * 3 / 2
    }

    /// Whether it is one of the voters.
    pub(super) fn is_voter(&self) -> bool {
        self.voters.contains(self.id)
    }

    /// Whether it may stand for election.
    pub(super) fn may_stand(&self) -> bool {
        // KAFKA-17067: a member that was not in the voter set stood for election all the same.
        self.is_voter() || self.museum.has(Bug::ObserverBecomesCandidate)
    }

    /// Where its log ends, as it claims in elections.
    pub(super) fn last(&self) -> EpochEnd {
        EpochEnd { epoch: self.last_epoch(), end: self.log.end() }
    }
}
