//! Which messages wait on a faulty link, and which are lost?

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use trial_model::{
    machine::{Channel, ConnectionId},
    protocol::{ApiKey, Request, Response},
    rng::Rng,
    units::{CorrelationId, NodeId},
};

use crate::{
    faults::{Faults, Half, LinkFault, LinkFaultKind, Party},
    peer::{CONNECT, FromServer},
};

/// A message on its way between a node and its sockets.
#[derive(Debug)]
pub(crate) enum Passing {
    /// We ask.
    Ask { to: NodeId, channel: Channel, correlation: CorrelationId, request: Request },
    /// We are answered.
    Heard(FromServer),
    /// We are asked.
    Come { connection: ConnectionId, from: NodeId, correlation: CorrelationId, request: Request },
    /// We answer.
    Answer { connection: ConnectionId, correlation: CorrelationId, response: Response },
    /// A connection that we have wanted to open has not come about.
    GivenUp { peer: NodeId, channel: Channel },
}

/// A connection: what goes over it stays in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Line {
    /// One that we have opened.
    Ours(NodeId, Channel),
    /// One that a peer has opened to us.
    Theirs(ConnectionId),
}

/// A message and the link that it goes over.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) line: Line,
    pub(crate) half: Half,
    /// Who is at the other end.
    pub(crate) peer: Party,
    /// Of which kind it is, if it is a request or a response.
    pub(crate) about: Option<ApiKey>,
    /// Whether its connection is open.
    pub(crate) open: bool,
    pub(crate) what: Passing,
}

/// What stands between a node and its sockets. As long as no link is faulty, everything goes through.
pub(crate) struct Gate {
    own: NodeId,
    faults: Arc<Faults>,
    changes: watch::Receiver<u64>,
    active: Arc<[LinkFault]>,
    rng: Rng,
    held: HashMap<(Line, bool), Queue>,
}

struct Queue {
    from: Party,
    to: Party,
    messages: VecDeque<Held>,
    /// Whether a message on it was lost: then nothing behind arrives on that connection.
    lost: bool,
}

struct Held {
    due: Instant,
    /// When a connection for it is given up.
    gives_up: Option<Instant>,
    what: Passing,
}

enum Fate {
    Arrives(Duration),
    Waits,
    Lost,
}

impl Gate {
    pub(crate) fn new(own: NodeId, faults: Arc<Faults>) -> Gate {
        let changes = faults.listen();
        let active = faults.list();
        let rng = Rng::named(RandomState::new().build_hasher().finish(), "links");
        Gate { own, faults, changes, active, rng, held: HashMap::new() }
    }

    fn look(&mut self) {
        if self.changes.has_changed().unwrap_or(false) {
            self.changes.mark_unchanged();
            self.active = self.faults.list();
        }
    }

    /// The message, if it goes through at once. Otherwise [`take`](Gate::take) gives it out when it is due,
    /// or never.
    pub(crate) fn pass(&mut self, parcel: Parcel) -> Option<Passing> {
        self.look();
        if self.active.is_empty() && self.held.is_empty() {
            return Some(parcel.what);
        }
        let Parcel { line, half, peer, about, open, what } = parcel;
        let asks = half == Half::Request;
        let ours = matches!(line, Line::Ours(..));
        let own = Party::Node(self.own);
        let (from, to) = if asks == ours { (own, peer) } else { (peer, own) };
        let fate = self.fate(from, to, about.map(|api| (api, half)));
        let key = (line, asks);
        if let (None, Fate::Arrives(Duration::ZERO)) = (self.held.get(&key), &fate) {
            return Some(what);
        }
        let queue = self.held.entry(key).or_insert_with(|| Queue {
            from,
            to,
            messages: VecDeque::new(),
            lost: false,
        });
        queue.lost |= matches!(fate, Fate::Lost);
        if !queue.lost {
            let now = Instant::now();
            let by = if let Fate::Arrives(by) = fate { by } else { Duration::ZERO };
            let gives_up = (ours && asks && !open).then(|| now + CONNECT);
            queue.messages.push_back(Held { due: now + by, gives_up, what });
        }
        None
    }

    fn fate(&mut self, from: Party, to: Party, about: Option<(ApiKey, Half)>) -> Fate {
        let mut by = Duration::ZERO;
        let mut waits = false;
        for fault in self.active.iter().filter(|fault| is_on(fault, from, to)) {
            match fault.kind {
                LinkFaultKind::Cut => waits = true,
                LinkFaultKind::Slow(more) => by += more,
                LinkFaultKind::Delay { api, half, chance, by: more } => {
                    if about == Some((api, half)) && self.rng.chance(chance) {
                        by += more;
                    }
                }
                LinkFaultKind::Drop { api, half, chance } => {
                    if about == Some((api, half)) && self.rng.chance(chance) {
                        return Fate::Lost;
                    }
                }
            }
        }
        if waits { Fate::Waits } else { Fate::Arrives(by) }
    }

    fn is_cut(&self, from: Party, to: Party) -> bool {
        self.active.iter().any(|fault| fault.kind == LinkFaultKind::Cut && is_on(fault, from, to))
    }

    /// A message that has waited long enough, if there is one.
    pub(crate) fn take(&mut self) -> Option<Passing> {
        if self.held.is_empty() {
            return None;
        }
        self.look();
        let now = Instant::now();
        let ready = self.held.iter().find_map(|(key, queue)| {
            let due = self.due(queue)?;
            (due <= now).then_some(*key)
        });
        let key = ready?;
        let queue = self.held.get(&key)?;
        let (cut, lost) = (self.is_cut(queue.from, queue.to), queue.lost);
        if let (true, (Line::Ours(peer, channel), _)) = (cut, key) {
            self.close(key.0);
            return Some(Passing::GivenUp { peer, channel });
        }
        let queue = self.held.get_mut(&key)?;
        let held = queue.messages.pop_front()?;
        if queue.messages.is_empty() && !lost {
            self.held.remove(&key);
        }
        Some(held.what)
    }

    /// When something is to be done about the first message of a queue: `None` if it waits for a heal.
    fn due(&self, queue: &Queue) -> Option<Instant> {
        let first = queue.messages.front()?;
        if self.is_cut(queue.from, queue.to) { first.gives_up } else { Some(first.due) }
    }

    /// Waits until [`take`](Gate::take) may give something out.
    pub(crate) async fn stirs(&mut self) {
        if self.held.is_empty() {
            return std::future::pending().await;
        }
        let next = self.held.values().filter_map(|queue| self.due(queue)).min();
        let due = async {
            match next {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            changed = self.changes.changed() => {
                if changed.is_ok() {
                    self.active = self.faults.list();
                }
            }
        }
    }

    /// Forgets what waits on a connection that is gone.
    pub(crate) fn close(&mut self, line: Line) {
        if !self.held.is_empty() {
            self.held.remove(&(line, true));
            self.held.remove(&(line, false));
        }
    }
}

fn is_on(fault: &LinkFault, from: Party, to: Party) -> bool {
    from != to && fault.from.has(from) && fault.to.has(to)
}

#[cfg(test)]
mod tests {
    use trial_model::{machine::Disconnect, units::Ratio};

    use super::*;
    use crate::{faults::Ends, peer::Way};

    const ONE: NodeId = NodeId::broker(1);
    const TWO: NodeId = NodeId::broker(2);

    fn answered(generation: u64) -> Parcel {
        let way = Way { peer: TWO, channel: Channel::MAIN, generation };
        Parcel {
            line: Line::Ours(TWO, Channel::MAIN),
            half: Half::Response,
            peer: Party::Node(TWO),
            about: Some(ApiKey::Fetch),
            open: true,
            what: Passing::Heard(FromServer::Disconnected { way, why: Disconnect::Closed }),
        }
    }

    fn number(passed: Option<Passing>) -> Option<u64> {
        match passed {
            Some(Passing::Heard(FromServer::Disconnected { way, .. })) => Some(way.generation),
            _ => None,
        }
    }

    fn fault(from: NodeId, to: NodeId, kind: LinkFaultKind) -> LinkFault {
        LinkFault { from: Ends::nodes([from]), to: Ends::nodes([to]), kind }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_over_a_cut_comes_in_order_when_it_is_healed() {
        let faults = Arc::new(Faults::default());
        let mut gate = Gate::new(ONE, Arc::clone(&faults));
        faults.begin(1, fault(ONE, TWO, LinkFaultKind::Cut));
        assert_eq!(number(gate.pass(answered(1))), Some(1), "the way back is not touched");
        faults.begin(2, fault(TWO, ONE, LinkFaultKind::Cut));
        assert!(gate.pass(answered(2)).is_none());
        assert!(gate.take().is_none());
        faults.end(1);
        assert!(gate.take().is_none());
        faults.end_all();
        assert!(gate.pass(answered(3)).is_none(), "nothing overtakes");
        gate.stirs().await;
        assert_eq!([number(gate.take()), number(gate.take())], [Some(2), Some(3)]);
        assert_eq!(number(gate.pass(answered(4))), Some(4));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_late_comes_so_much_later() {
        let faults = Arc::new(Faults::default());
        let mut gate = Gate::new(ONE, Arc::clone(&faults));
        let by = Duration::from_millis(200);
        faults.begin(1, fault(TWO, ONE, LinkFaultKind::Slow(by)));
        let began = Instant::now();
        assert!(gate.pass(answered(1)).is_none());
        gate.stirs().await;
        assert_eq!(number(gate.take()), Some(1));
        assert!(began.elapsed() >= by);
        let chance = Ratio::ALWAYS;
        let lost = LinkFaultKind::Drop { api: ApiKey::Fetch, half: Half::Response, chance };
        faults.begin(1, fault(TWO, ONE, lost));
        assert!(gate.pass(answered(2)).is_none());
        faults.end_all();
        assert!(gate.pass(answered(3)).is_none() && gate.take().is_none(), "nothing behind it arrives");
        gate.close(Line::Ours(TWO, Channel::MAIN));
        assert_eq!(number(gate.pass(answered(4))), Some(4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_over_a_cut_is_given_up() {
        let faults = Arc::new(Faults::default());
        let mut gate = Gate::new(ONE, Arc::clone(&faults));
        faults.begin(1, fault(ONE, TWO, LinkFaultKind::Cut));
        let asked = Parcel { half: Half::Request, open: false, ..answered(1) };
        assert!(gate.pass(asked).is_none());
        let began = Instant::now();
        gate.stirs().await;
        assert!(began.elapsed() >= CONNECT);
        assert!(matches!(gate.take(), Some(Passing::GivenUp { peer: TWO, .. })));
        assert!(gate.take().is_none());
    }
}
