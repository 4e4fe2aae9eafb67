//! How do the voters choose a leader, and how do they learn of it?
//!
//! Vote, BeginQuorumEpoch and EndQuorumEpoch, asked and answered, and the timers behind them. KIP-595;
//! KIP-996 for the pre-vote, which lets a voter that was cut off come back without raising the epoch.

use core::time::Duration;

use super::{Context, Quorum, Role, peers::What};
use crate::{
    museum::Bug,
    protocol::{
        ErrorCode, Request,
        quorum::{
            BeginQuorumEpochRequest, BeginQuorumEpochResponse, EndQuorumEpochRequest, EndQuorumEpochResponse,
            VoteRequest, VoteResponse,
        },
    },
    time::{Instant, Now},
    units::{LeaderEpoch, NodeId},
};

/// What Kafka's raft client multiplies its random back-off by.
const BACKOFF_BASE: Duration = Duration::from_millis(100);

impl Quorum {
    /// Answers a candidate, or one who considers to be one.
    pub(super) fn on_vote(&mut self, now: Now, request: &VoteRequest) -> VoteResponse {
        if let Err(error) = self.judge_vote(request) {
            return self.vote_response(Some(error), false);
        }
        if request.epoch > self.election.epoch {
            self.become_unattached(now, request.epoch);
        }
        let granted = self.grants(request);
        if granted && !request.pre_vote && self.election.voted.is_none() {
            self.vote_for(now, request.candidate);
        }
        self.vote_response(None, granted)
    }

    fn judge_vote(&self, request: &VoteRequest) -> Result<(), ErrorCode> {
        if request.epoch < self.election.epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if !self.is_voter() || !self.voters.contains(request.candidate) || request.candidate == self.id {
            return Err(ErrorCode::InconsistentVoterSet);
        }
        // A log holds nothing of the epoch its owner stands for; in a pre-vote it may, of the present one.
        let newest = if request.pre_vote { request.epoch.next() } else { request.epoch };
        if request.last.epoch >= newest { Err(ErrorCode::InvalidRequest) } else { Ok(()) }
    }

    /// Whether it would give, or gives, its vote. The epochs agree.
    fn grants(&self, request: &VoteRequest) -> bool {
        let own = self.last();
        let (theirs, ours) = ((request.last.epoch, request.last.end), (own.epoch, own.end));
        // A mutant: who is level may be elected, too.
        let up_to_date = theirs > ours || theirs == ours && !self.museum.has(Bug::VoteNeedsLongerLog);
        match &self.role {
            Role::Leader(_) => false,
            // KIP-996: one who hears from a leader keeps it. One who has never fetched from it may doubt it.
            Role::Follower(follower) => request.pre_vote && up_to_date && !follower.has_fetched,
            Role::Candidate(_) | Role::Resigned(_) => request.pre_vote && up_to_date,
            Role::Unattached { .. } | Role::Prospective(_) if request.pre_vote => up_to_date,
            Role::Unattached { .. } | Role::Prospective(_) => match self.election.voted {
                Some(voted) => voted == request.candidate,
                None => self.election.leader.is_none() && up_to_date,
            },
        }
    }

    fn vote_response(&self, error: Option<ErrorCode>, granted: bool) -> VoteResponse {
        VoteResponse { error, epoch: self.election.epoch, leader: self.election.leader, granted }
    }

    /// Counts a vote.
    pub(super) fn on_vote_response(&mut self, now: Now, from: NodeId, what: What, response: &VoteResponse) {
        if self.settles(now, response.error, response.epoch, response.leader) {
            return;
        }
        if response.error.is_some() {
            self.peers.rest(from, now.monotonic + self.config.retry_backoff);
            return;
        }
        let ballot = match &mut self.role {
            Role::Prospective(ballot) if what == What::PreVote => ballot,
            Role::Candidate(ballot) if what == What::Vote => ballot,
            _ => return,
        };
        let side = if response.granted { &mut ballot.granted } else { &mut ballot.rejected };
        side.insert(from);
    }

    /// Learns who leads.
    pub(super) fn on_begin(
        &mut self,
        now: Now,
        request: &BeginQuorumEpochRequest,
    ) -> BeginQuorumEpochResponse {
        let error = (request.epoch < self.election.epoch).then_some(ErrorCode::FencedLeaderEpoch);
        if error.is_none() {
            self.learn_leader(now, request.epoch, Some(request.leader));
        }
        BeginQuorumEpochResponse { error, epoch: self.election.epoch, leader: self.election.leader }
    }

    /// Learns that its leader steps down, and stands for election when its turn comes.
    pub(super) fn on_end(&mut self, now: Now, request: &EndQuorumEpochRequest) -> EndQuorumEpochResponse {
        let error = (request.epoch < self.election.epoch).then_some(ErrorCode::FencedLeaderEpoch);
        if error.is_none() {
            self.learn_leader(now, request.epoch, Some(request.leader));
            let turn = self.turn_among(&request.preferred_successors);
            if let Role::Follower(follower) = &mut self.role
                && self.election.leader == Some(request.leader)
            {
                follower.until = now.monotonic + turn;
                // It knows that this leader leads no more: no reason to refuse a pre-vote (KAFKA-20895).
                follower.has_fetched = false;
            }
        }
        EndQuorumEpochResponse { error, epoch: self.election.epoch, leader: self.election.leader }
    }

    /// How long to leave the field to those who should stand before it: the first not at all, each after it
    /// twice as long as the one before.
    fn turn_among(&self, successors: &[NodeId]) -> Duration {
        let longest = self.config.election_backoff_max;
        match successors.iter().position(|id| *id == self.id) {
            Some(0) => Duration::ZERO,
            Some(position) => {
                let shortest = longest / 2u32.saturating_pow(successors.len() as u32 - 1);
                longest.min(shortest * 2u32.saturating_pow(position as u32 - 1))
            }
            None => longest,
        }
    }

    /// Takes what every response says of epoch and leader, as Kafka's `maybeHandleCommonResponse`. Says
    /// whether nothing is left of the response to look at.
    pub(super) fn settles(
        &mut self,
        now: Now,
        error: Option<ErrorCode>,
        epoch: LeaderEpoch,
        leader: Option<NodeId>,
    ) -> bool {
        if epoch < self.election.epoch || error == Some(ErrorCode::UnknownLeaderEpoch) {
            return true;
        }
        let lost = matches!(error, Some(ErrorCode::FencedLeaderEpoch | ErrorCode::NotLeaderOrFollower));
        if epoch > self.election.epoch || lost {
            self.learn_leader(now, epoch, leader);
            return true;
        }
        if leader.is_some() && self.election.leader.is_none() {
            self.learn_leader(now, epoch, leader);
            return error.is_some();
        }
        false
    }

    /// Takes in who leads an epoch that is not older than its own.
    ///
    /// What contradicts what it knows is not taken in: two leaders of one epoch would be somebody's mistake,
    /// and are for a check to find.
    fn learn_leader(&mut self, now: Now, epoch: LeaderEpoch, leader: Option<NodeId>) {
        let leader = leader.filter(|leader| self.voters.contains(*leader));
        if epoch > self.election.epoch {
            match leader {
                Some(leader) if leader != self.id => self.become_follower(now, epoch, leader),
                _ => self.become_unattached(now, epoch),
            }
        } else if let Some(leader) = leader
            && leader != self.id
            && epoch == self.election.epoch
            && self.election.leader.is_none()
        {
            self.become_follower(now, epoch, leader);
        }
    }

    /// Does what an election timer that has run out asks for; says whether one had.
    pub(super) fn expire_election(&mut self, now: Now) -> bool {
        let over = |until: Instant| until <= now.monotonic;
        if self.stopping {
            return false;
        }
        match &self.role {
            Role::Unattached { until } if over(*until) => self.become_prospective(now, 1),
            Role::Follower(follower) if self.may_stand() && over(follower.until) => {
                self.become_prospective(now, 1);
            }
            Role::Prospective(ballot) if over(ballot.until) => {
                let until = now.monotonic + self.wait_to_stand();
                self.give_up_pre_vote(now, until);
            }
            Role::Candidate(ballot) => match ballot.rests {
                Some(rests) if over(rests) => {
                    let attempt = ballot.attempt.saturating_add(1);
                    self.become_prospective(now, attempt);
                }
                None if over(ballot.until) => self.back_off(now),
                _ => return false,
            },
            Role::Resigned(resigned) if over(resigned.until) => {
                self.become_unattached(now, self.election.epoch.next());
            }
            _ => return false,
        }
        true
    }

    /// When `expire_election` has something to do.
    pub(super) fn election_deadline(&self) -> Option<Instant> {
        let until = match &self.role {
            _ if self.stopping => return None,
            Role::Unattached { until } => *until,
            Role::Prospective(ballot) => ballot.until,
            Role::Candidate(ballot) => ballot.rests.unwrap_or(ballot.until),
            Role::Resigned(resigned) => resigned.until,
            Role::Follower(follower) if self.may_stand() => follower.until,
            Role::Leader(_) | Role::Follower(_) => return None,
        };
        (until != Instant::FOREVER).then_some(until)
    }

    /// A candidate has lost: it rests at random, longer with every defeat.
    fn back_off(&mut self, now: Now) {
        let Role::Candidate(ballot) = &mut self.role else { return };
        let most = 2u64 << ballot.attempt.saturating_sub(1).min(20);
        let rest = BACKOFF_BASE.saturating_mul(u32::try_from(self.rng.below(most)).unwrap_or(u32::MAX));
        ballot.rests = Some(now.monotonic + rest.min(self.config.election_backoff_max));
    }

    /// Moves on where a ballot is decided; says whether it did.
    pub(super) fn close_ballot(&mut self, now: Now) -> bool {
        match &self.role {
            Role::Prospective(ballot) if ballot.is_won(&self.voters) => {
                let attempt = ballot.attempt;
                self.become_candidate(now, attempt);
            }
            Role::Prospective(ballot) if ballot.is_lost(&self.voters) => {
                let until = ballot.until;
                self.give_up_pre_vote(now, until);
            }
            Role::Candidate(ballot) if ballot.is_won(&self.voters) => {
                let votes = ballot.granted.clone();
                self.become_leader(now, votes);
            }
            Role::Candidate(ballot) if ballot.rests.is_none() && ballot.is_lost(&self.voters) => {
                self.back_off(now);
            }
            _ => return false,
        }
        true
    }

    /// Asks those for their vote who have not said, and tells those of an end who have not heard.
    pub(super) fn canvass(&mut self, now: Now, cx: &mut Context<'_>) {
        let (what, epoch) = match &self.role {
            Role::Prospective(_) => (What::PreVote, self.election.epoch),
            Role::Candidate(ballot) if ballot.rests.is_none() => (What::Vote, self.election.epoch),
            Role::Resigned(_) => return self.announce_end(now, cx),
            _ => return,
        };
        let request =
            VoteRequest { epoch, candidate: self.id, last: self.last(), pre_vote: what == What::PreVote };
        for voter in self.peers.ready() {
            let (Role::Prospective(ballot) | Role::Candidate(ballot)) = &self.role else { return };
            if !ballot.granted.contains(voter) && !ballot.rejected.contains(voter) {
                self.ask(now, voter, what, Request::Vote(request.clone()), cx);
            }
        }
    }

    fn announce_end(&mut self, now: Now, cx: &mut Context<'_>) {
        let Role::Resigned(resigned) = &self.role else { return };
        let request = EndQuorumEpochRequest {
            epoch: self.election.epoch,
            leader: self.id,
            preferred_successors: resigned.successors.clone(),
        };
        let unaware = resigned.unacknowledged.clone();
        for voter in
            unaware.iter().filter(|voter| self.peers.is_ready(*voter)).collect::<alloc::vec::Vec<_>>()
        {
            self.ask(now, voter, What::End, Request::EndQuorumEpoch(request.clone()), cx);
        }
    }
}
