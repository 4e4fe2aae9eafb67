//! Which voter has been asked what, since when, and who is given a rest?
//!
//! As Kafka's raft client: one question to a voter at a time, a rest after a failure, and an answer that is
//! not expected any more is not looked at.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    machine::Channel,
    time::{Instant, earliest},
    units::{CorrelationId, NodeId, NodeSet},
};

/// What a voter was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// How it would vote.
    PreVote,
    /// For its vote.
    Vote,
    /// Told that we lead.
    Begin,
    /// Told that we resign.
    End,
    /// For records.
    Fetch,
    /// For a piece of a snapshot.
    FetchSnapshot,
}

impl What {
    /// The connection it travels on.
    pub(super) fn channel(self) -> Channel {
        match self {
            What::Fetch | What::FetchSnapshot => Channel::FETCH,
            What::PreVote | What::Vote | What::Begin | What::End => Channel::QUORUM,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    /// What it was asked, under which correlation id, and when we stop waiting.
    asked: Option<(What, CorrelationId, Instant)>,
    /// Until when it is not asked again.
    rests: Option<Instant>,
}

/// The other voters, as those whom this member asks.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    all: BTreeMap<NodeId, Peer>,
}

impl Peers {
    /// Every voter but `id`.
    pub(super) fn new(voters: &NodeSet, id: NodeId) -> Peers {
        Peers { all: voters.iter().filter(|v| *v != id).map(|v| (v, Peer::default())).collect() }
    }

    /// All of them, in ascending order.
    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.all.keys().copied()
    }

    /// Whether `peer` may be asked something.
    pub(super) fn is_ready(&self, peer: NodeId) -> bool {
        self.all.get(&peer).is_some_and(|p| p.asked.is_none() && p.rests.is_none())
    }

    /// Whether `peer` rests after a failure.
    pub(super) fn is_resting(&self, peer: NodeId) -> bool {
        self.all.get(&peer).is_some_and(|p| p.rests.is_some())
    }

    /// Whether any is asked for records or a snapshot at the moment.
    pub(super) fn is_fetching(&self) -> bool {
        self.all.values().any(|p| p.asked.is_some_and(|(what, ..)| what.channel() == Channel::FETCH))
    }

    /// Those who may be asked something.
    pub(super) fn ready(&self) -> Vec<NodeId> {
        self.ids().filter(|peer| self.is_ready(*peer)).collect()
    }

    /// `peer` was asked, and has until `expires` to answer.
    pub(super) fn asked(&mut self, peer: NodeId, what: What, correlation: CorrelationId, expires: Instant) {
        if let Some(peer) = self.all.get_mut(&peer) {
            peer.asked = Some((what, correlation, expires));
        }
    }

    /// What `peer` was asked, if an answer of this number is expected from it; it is then not expected again.
    pub(super) fn answered(&mut self, peer: NodeId, correlation: CorrelationId) -> Option<What> {
        let asked = &mut self.all.get_mut(&peer)?.asked;
        let what = asked.filter(|(_, expected, _)| *expected == correlation)?.0;
        *asked = None;
        Some(what)
    }

    /// The connection to `peer` is gone, and with it what was asked there; it rests until `until`.
    pub(super) fn disconnected(&mut self, peer: NodeId, channel: Channel, until: Instant) {
        if let Some(peer) = self.all.get_mut(&peer)
            && peer.asked.is_some_and(|(what, ..)| what.channel() == channel)
        {
            *peer = Peer { asked: None, rests: Some(until) };
        }
    }

    /// `peer` is not asked before `until`.
    pub(super) fn rest(&mut self, peer: NodeId, until: Instant) {
        if let Some(peer) = self.all.get_mut(&peer) {
            peer.rests = Some(until);
        }
    }

    /// Ends rests that are over; gives the first whose time to answer is over, who rests until `until`.
    pub(super) fn expire(&mut self, now: Instant, until: Instant) -> Option<(NodeId, Channel)> {
        for (id, peer) in &mut self.all {
            peer.rests = peer.rests.filter(|rests| *rests > now);
            if let Some((what, _, expires)) = peer.asked
                && expires <= now
            {
                *peer = Peer { asked: None, rests: Some(until) };
                return Some((*id, what.channel()));
            }
        }
        None
    }

    /// Expects no answer from anybody: the questions belonged to another role.
    pub(super) fn reset(&mut self) {
        self.all.values_mut().for_each(|peer| *peer = Peer::default());
    }

    /// When the next answer is overdue or the next rest over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.all.values().fold(None, |due, peer| {
            earliest(due, earliest(peer.rests, peer.asked.map(|(_, _, expires)| expires)))
        })
    }
}
