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

#[derive(Clone, Debug, Default)]
struct Peer {
    /// What it was asked, under which correlation id.
    asked: Option<(What, CorrelationId)>,
    /// Until when it is not asked again.
    rests: Option<Instant>,
    /// What has no answer yet, whether or not one is still expected, and when its time is over.
    ///
    /// Kafka's network client counts that time whatever role the member takes meanwhile. If nobody did, a
    /// connection on which an answer was lost would never be given up by a follower that suspects its leader
    /// and asks anew more often than that.
    unanswered: Vec<(CorrelationId, Channel, Instant)>,
}

impl Peer {
    /// A connection is gone: expects nothing from it.
    fn lost(&mut self, channel: Channel, until: Instant) {
        self.unanswered.retain(|(_, of, _)| *of != channel);
        if self.asked.is_some_and(|(what, _)| what.channel() == channel) {
            (self.asked, self.rests) = (None, Some(until));
        }
    }
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
        self.all.values().any(|p| p.asked.is_some_and(|(what, _)| what.channel() == Channel::FETCH))
    }

    /// Those who may be asked something.
    pub(super) fn ready(&self) -> Vec<NodeId> {
        self.ids().filter(|peer| self.is_ready(*peer)).collect()
    }

    /// `peer` was asked, and has until `expires` to answer.
    pub(super) fn asked(&mut self, peer: NodeId, what: What, correlation: CorrelationId, expires: Instant) {
        if let Some(peer) = self.all.get_mut(&peer) {
            peer.asked = Some((what, correlation));
            peer.unanswered.push((correlation, what.channel(), expires));
        }
    }

    /// What `peer` was asked, if an answer of this number is expected from it; it is then not expected again.
    pub(super) fn answered(&mut self, peer: NodeId, correlation: CorrelationId) -> Option<What> {
        let peer = self.all.get_mut(&peer)?;
        peer.unanswered.retain(|(of, ..)| *of != correlation);
        let (what, _) = peer.asked.filter(|(_, expected)| *expected == correlation)?;
        peer.asked = None;
        Some(what)
    }

    /// The connection to `peer` is gone, and with it what was asked there; it rests until `until`.
    pub(super) fn disconnected(&mut self, peer: NodeId, channel: Channel, until: Instant) {
        if let Some(peer) = self.all.get_mut(&peer) {
            peer.lost(channel, until);
        }
    }

    /// Nobody looks after what was asked of `peer` any more, and its answer is still waited for. Only the museum
    /// does that.
    pub(super) fn forget_time(&mut self, peer: NodeId, channel: Channel) {
        if let Some(peer) = self.all.get_mut(&peer) {
            peer.unanswered.retain(|(_, of, _)| *of != channel);
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
            let overdue = peer.unanswered.iter().find(|(.., expires)| *expires <= now);
            if let Some((_, channel, _)) = overdue.copied() {
                peer.lost(channel, until);
                return Some((*id, channel));
            }
        }
        None
    }

    /// Expects no answer from anybody: the questions belonged to another role.
    pub(super) fn reset(&mut self) {
        self.all.values_mut().for_each(|peer| (peer.asked, peer.rests) = (None, None));
    }

    /// When the next answer is overdue or the next rest over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.all.values().fold(None, |due, peer| {
            let overdue = peer.unanswered.iter().map(|(.., expires)| *expires).min();
            earliest(due, earliest(peer.rests, overdue))
        })
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn a_connection_without_an_answer_is_given_up_whatever_role_has_asked() {
        let (voters, leader) = ([NodeId(1), NodeId(2)].into_iter().collect(), NodeId(2));
        let at = |ms: u64| Instant::ZERO + Duration::from_millis(ms);
        let mut peers = Peers::new(&voters, NodeId(1));
        peers.asked(leader, What::Fetch, CorrelationId(1), at(2_000));
        // It suspects its leader, is told that others do not, and asks anew, on the same connection.
        peers.reset();
        assert!(peers.is_ready(leader));
        peers.asked(leader, What::Fetch, CorrelationId(2), at(2_800));
        assert_eq!(peers.deadline(), Some(at(2_000)));
        assert_eq!(peers.expire(at(1_999), at(2_019)), None);
        assert_eq!(peers.expire(at(2_000), at(2_020)), Some((leader, Channel::FETCH)));
        assert!(peers.is_resting(leader) && !peers.is_fetching(), "what was asked there is lost with it");
        assert_eq!((peers.expire(at(2_020), at(2_040)), peers.deadline()), (None, None));
    }

    #[test]
    fn an_answer_that_is_not_expected_any_more_is_an_answer_nevertheless() {
        let (voters, leader) = ([NodeId(1), NodeId(2)].into_iter().collect(), NodeId(2));
        let at = |ms: u64| Instant::ZERO + Duration::from_millis(ms);
        let mut peers = Peers::new(&voters, NodeId(1));
        peers.asked(leader, What::Fetch, CorrelationId(1), at(2_000));
        peers.reset();
        assert_eq!(peers.answered(leader, CorrelationId(1)), None);
        assert_eq!((peers.expire(at(2_000), at(2_020)), peers.deadline()), (None, None));
    }
}
