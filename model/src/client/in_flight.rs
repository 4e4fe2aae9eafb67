//! What has been asked of whom and is not answered yet, and who must be left alone for a while?
//!
//! Kafka's `NetworkClient`, `InFlightRequests` and `ClusterConnectionStates`: one connection to a broker, its
//! responses in the order of its requests. A request that is not answered in `request.timeout.ms` takes the
//! whole connection down and everything in flight on it; a broken connection rests before the next one.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::backoff::Backoff;
use crate::{
    flat::FlatMap,
    machine::{Channel, Effects, Outgoing},
    protocol::Request,
    rng::Rng,
    time::Instant,
    units::{CorrelationId, NodeId, NodeSet},
};

/// A client's connections, where each request in flight is remembered with a `T` that tells what it was for.
#[derive(Clone, Debug)]
pub struct InFlight<T> {
    peers: FlatMap<NodeId, Peer<T>>,
    /// Requests in the order they time out. Those that are answered are dropped once they come to the front.
    timeouts: VecDeque<(Instant, NodeId, CorrelationId)>,
    next: CorrelationId,
    channel: Channel,
    timeout: Duration,
    backoff: Backoff,
    rng: Rng,
}

#[derive(Clone, Debug)]
struct Peer<T> {
    waiting: VecDeque<(CorrelationId, T)>,
    /// Whether it has answered since the connection last broke.
    heard: bool,
    failures: u32,
    rests_until: Instant,
}

impl<T> Default for Peer<T> {
    fn default() -> Self {
        Peer { waiting: VecDeque::new(), heard: false, failures: 0, rests_until: Instant::ZERO }
    }
}

impl<T> InFlight<T> {
    /// No connection yet. `channel` is what they are for, `timeout` is `request.timeout.ms`, `backoff` that of
    /// `reconnect.backoff.ms`, and `rng` chooses among brokers that are equally good to ask.
    pub fn new(channel: Channel, timeout: Duration, backoff: Backoff, rng: Rng) -> InFlight<T> {
        InFlight {
            peers: FlatMap::new(),
            timeouts: VecDeque::new(),
            next: CorrelationId(0),
            channel,
            timeout,
            backoff,
            rng,
        }
    }

    /// Asks `to`, and remembers what for.
    pub fn send(&mut self, now: Instant, to: NodeId, request: Request, what_for: T, effects: &mut Effects) {
        self.send_for(now, to, request, what_for, self.timeout, effects);
    }

    /// Asks `to` what may take another time than `request.timeout.ms` to answer, and remembers what for.
    pub fn send_for(
        &mut self,
        now: Instant,
        to: NodeId,
        request: Request,
        what_for: T,
        timeout: Duration,
        effects: &mut Effects,
    ) {
        let correlation = self.post(to, request, effects);
        self.peers.get_or_insert_with(to, Peer::default).waiting.push_back((correlation, what_for));
        let due = now + timeout;
        let later = self.timeouts.iter().rev().take_while(|(other, ..)| *other > due).count();
        self.timeouts.insert(self.timeouts.len() - later, (due, to, correlation));
    }

    /// Sends what is never answered: a Produce with `acks=0`.
    pub fn post(&mut self, to: NodeId, request: Request, effects: &mut Effects) -> CorrelationId {
        let correlation = self.next;
        self.next = CorrelationId(correlation.0.wrapping_add(1));
        effects.request(to, self.channel, correlation, request);
        correlation
    }

    /// Whether `to` may be asked: it is not resting, and fewer than `limit` requests are in flight there.
    pub fn can_send(&self, now: Instant, to: NodeId, limit: u32) -> bool {
        self.peers
            .get(&to)
            .is_none_or(|peer| peer.rests_until <= now && (peer.waiting.len() as u64) < u64::from(limit))
    }

    /// Until when `peer` rests, if it does.
    pub fn rests_until(&self, now: Instant, peer: NodeId) -> Option<Instant> {
        self.peers.get(&peer).map(|peer| peer.rests_until).filter(|until| *until > now)
    }

    /// How many requests are in flight at `peer`.
    pub fn count(&self, peer: NodeId) -> usize {
        self.peers.get(&peer).map_or(0, |peer| peer.waiting.len())
    }

    /// Whether nothing is in flight anywhere.
    pub fn is_empty(&self) -> bool {
        self.peers.values().all(|peer| peer.waiting.is_empty())
    }

    /// What the answered request was for; `None` if nobody waits for the answer any more.
    pub fn answered(&mut self, from: NodeId, correlation: CorrelationId) -> Option<T> {
        let peer = self.peers.get_mut(&from)?;
        if peer.waiting.front().is_none_or(|(front, _)| *front != correlation) {
            return None;
        }
        let (_, what_for) = peer.waiting.pop_front()?;
        peer.heard = true;
        peer.failures = 0;
        self.forget_answered();
        Some(what_for)
    }

    /// The connection to `peer` is gone: it rests for a while. Gives back everything that was in flight
    /// there, oldest first.
    pub fn broken(&mut self, now: Instant, peer: NodeId) -> VecDeque<(CorrelationId, T)> {
        let peer = self.peers.get_or_insert_with(peer, Peer::default);
        peer.heard = false;
        peer.rests_until = now + self.backoff.rest(peer.failures);
        peer.failures = peer.failures.saturating_add(1);
        let lost = core::mem::take(&mut peer.waiting);
        self.forget_answered();
        lost
    }

    /// Takes down a connection on which a request has waited for too long. Gives back whose it was and
    /// everything that was in flight there; to be called until it gives nothing.
    pub fn time_out(
        &mut self,
        now: Instant,
        effects: &mut Effects,
    ) -> Option<(NodeId, VecDeque<(CorrelationId, T)>)> {
        let (due, peer, _) = *self.timeouts.front()?;
        if due > now {
            return None;
        }
        Some((peer, self.close(now, peer, effects)))
    }

    /// Closes the connection to `peer`, which rests for a while. Gives back everything that was in flight there,
    /// oldest first. One that is closed already is left to its rest, as `NetworkClient.disconnect` leaves it: closing
    /// it again and again would have it rest for ever.
    pub fn close(
        &mut self,
        now: Instant,
        peer: NodeId,
        effects: &mut Effects,
    ) -> VecDeque<(CorrelationId, T)> {
        if !self.peers.get(&peer).is_some_and(|peer| peer.heard || !peer.waiting.is_empty()) {
            return VecDeque::new();
        }
        effects.mail.push(Outgoing::Disconnect { peer, channel: self.channel });
        self.broken(now, peer)
    }

    /// When the next request times out.
    pub fn deadline(&self) -> Option<Instant> {
        self.timeouts.front().map(|(due, ..)| *due)
    }

    /// Whom of `nodes` to ask what anybody could answer: a connection that is known to work and has least in
    /// flight, else one that is being opened, else one that may be opened; nobody if all rest.
    pub fn least_loaded(&mut self, now: Instant, nodes: &NodeSet) -> Option<NodeId> {
        let start = self.rng.below(nodes.len() as u64) as usize;
        let around = nodes.as_slice()[start.min(nodes.len())..].iter().chain(&nodes.as_slice()[..start]);
        around
            .filter_map(|node| {
                let Some(peer) = self.peers.get(node) else { return Some(((2, 0), *node)) };
                let rank = match (peer.heard, peer.waiting.len()) {
                    _ if peer.rests_until > now => return None,
                    (true, waiting) => (0, waiting as u64),
                    (false, 0) => (2, peer.rests_until.0),
                    (false, _) => (1, 0),
                };
                Some((rank, *node))
            })
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, node)| node)
    }

    /// When the first of `nodes` has rested; `None` if one of them may be asked now.
    pub fn first_rested(&self, now: Instant, nodes: &NodeSet) -> Option<Instant> {
        let mut first = None;
        for node in nodes.iter() {
            let until = self.rests_until(now, node)?;
            first = Some(first.map_or(until, |first: Instant| first.min(until)));
        }
        first
    }

    fn forget_answered(&mut self) {
        while let Some((_, peer, correlation)) = self.timeouts.front() {
            // Answers come in order: what is older than the front is answered.
            let front = self.peers.get(peer).and_then(|peer| peer.waiting.front());
            if front.is_some_and(|(front, _)| *front <= *correlation) {
                return;
            }
            self.timeouts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::metadata::MetadataRequest;

    const ONE: NodeId = NodeId::broker(1);
    const TWO: NodeId = NodeId::broker(2);

    fn ms(millis: u64) -> Instant {
        Instant(millis * 1_000_000)
    }

    fn in_flight() -> InFlight<&'static str> {
        let backoff =
            Backoff::new(Duration::from_millis(50), Duration::from_millis(50), Rng::named(1, "reconnect"));
        InFlight::new(Channel::MAIN, Duration::from_millis(1_000), backoff, Rng::named(1, "node"))
    }

    fn ask() -> Request {
        Request::Metadata(MetadataRequest { topics: None, allow_auto_topic_creation: false })
    }

    #[test]
    fn a_late_answer_takes_the_whole_connection_down() {
        let (mut net, mut effects) = (in_flight(), Effects::new());
        net.send(ms(0), ONE, ask(), "first", &mut effects);
        net.send(ms(10), TWO, ask(), "elsewhere", &mut effects);
        net.send(ms(20), ONE, ask(), "second", &mut effects);
        assert_eq!(net.deadline(), Some(ms(1_000)));
        assert!(net.time_out(ms(999), &mut effects).is_none());

        effects.clear();
        let (peer, lost) = net.time_out(ms(1_000), &mut effects).expect("the first is due");
        assert_eq!(peer, ONE);
        assert_eq!(lost.into_iter().map(|(_, what)| what).collect::<std::vec::Vec<_>>(), ["first", "second"]);
        assert_eq!(effects.mail, [Outgoing::Disconnect { peer: ONE, channel: Channel::MAIN }]);
        assert_eq!(net.deadline(), Some(ms(1_010)));
        assert!(!net.can_send(ms(1_049), ONE, 5) && net.can_send(ms(1_050), ONE, 5));
    }

    #[test]
    fn who_closes_a_closed_connection_again_does_not_prolong_its_rest() {
        let (mut net, mut effects) = (in_flight(), Effects::new());
        net.send(ms(0), ONE, ask(), "not answered", &mut effects);
        effects.clear();
        assert_eq!(net.close(ms(10), ONE, &mut effects).len(), 1);
        assert!(net.close(ms(50), ONE, &mut effects).is_empty());
        assert_eq!(effects.mail, [Outgoing::Disconnect { peer: ONE, channel: Channel::MAIN }]);
        assert!(net.can_send(ms(60), ONE, 5));
    }

    #[test]
    fn an_answer_nobody_waits_for_is_not_mistaken_for_another() {
        let (mut net, mut effects) = (in_flight(), Effects::new());
        net.send(ms(0), ONE, ask(), "lost", &mut effects);
        assert_eq!(net.broken(ms(5), ONE).len(), 1);
        net.send(ms(60), ONE, ask(), "asked again", &mut effects);
        assert_eq!(net.answered(ONE, CorrelationId(0)), None);
        assert_eq!(net.answered(ONE, CorrelationId(1)), Some("asked again"));
        assert_eq!(net.deadline(), None);
        assert!(net.is_empty());
    }

    #[test]
    fn who_may_take_longer_keeps_nobody_else_waiting() {
        let (mut net, mut effects) = (in_flight(), Effects::new());
        net.send_for(ms(0), ONE, ask(), "long", Duration::from_secs(9), &mut effects);
        net.send(ms(10), TWO, ask(), "elsewhere", &mut effects);
        net.send(ms(20), ONE, ask(), "behind it", &mut effects);
        assert_eq!(net.deadline(), Some(ms(1_010)));
        assert_eq!(net.answered(TWO, CorrelationId(1)), Some("elsewhere"));
        assert_eq!(net.answered(ONE, CorrelationId(0)), Some("long"));
        assert_eq!(net.deadline(), Some(ms(1_020)));
        assert_eq!(
            net.time_out(ms(1_020), &mut effects).map(|(peer, lost)| (peer, lost.len())),
            Some((ONE, 1))
        );
        assert_eq!(net.deadline(), None);
    }

    #[test]
    fn the_least_loaded_is_one_that_works() {
        let (mut net, mut effects) = (in_flight(), Effects::new());
        let both: NodeSet = [ONE, TWO].into_iter().collect();
        net.send(ms(0), TWO, ask(), "known to work", &mut effects);
        assert_eq!(net.answered(TWO, CorrelationId(0)), Some("known to work"));
        for _ in 0..20 {
            assert_eq!(net.least_loaded(ms(1), &both), Some(TWO));
        }
        net.broken(ms(1), TWO);
        assert_eq!(net.least_loaded(ms(2), &both), Some(ONE));
        net.broken(ms(3), ONE);
        assert_eq!(net.least_loaded(ms(4), &both), None);
        assert_eq!(net.first_rested(ms(4), &both), Some(ms(51)));
    }
}
