//! What can go wrong between two nodes?

use std::time::Duration;

use trial_model::{
    protocol::ApiKey,
    time::Instant,
    units::{NodeSet, Ratio},
};

/// Names a fault for as long as the run lasts, so that its end finds it. Its dice are its own, keyed by
/// this number: taking another fault out of a plan does not move them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultId(pub u32);

/// One fault of every link from a node of `from` to another of `to`. What goes the other way is not touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFault {
    /// Where the messages come from.
    pub from: NodeSet,
    /// Where they go.
    pub to: NodeSet,
    /// What happens to them.
    pub kind: LinkFaultKind,
    /// When it begins: the instant of the call that says so.
    pub since: Instant,
}

impl LinkFault {
    /// Whether the link `from → to` has it.
    pub fn is_on(&self, from: trial_model::units::NodeId, to: trial_model::units::NodeId) -> bool {
        from != to && self.from.contains(from) && self.to.contains(to)
    }
}

/// Which half of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// From the client side to the server side.
    Request,
    /// Back.
    Response,
}

/// What a faulty link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkFaultKind {
    /// Loses everything, silently. TCP sends it again with growing pauses, and gives up in the end.
    Cut,
    /// Loses each transmission with this chance; TCP sends it again.
    Lossy(Ratio),
    /// Takes longer by this much.
    Slow(Duration),
    /// Carries at most so many bytes a second.
    Bandwidth(u64),
    /// Loses messages of one kind for good, each with this chance, however often they are sent again. Since
    /// a connection is ordered, nothing behind a lost message arrives on it either: only another
    /// connection helps.
    Drop {
        /// Which kind.
        api: ApiKey,
        /// The request or the response.
        side: Side,
        /// How likely.
        chance: Ratio,
    },
    /// Delays messages of one kind, each with this chance, and what is behind them on their connections.
    Delay {
        /// Which kind.
        api: ApiKey,
        /// The request or the response.
        side: Side,
        /// How likely.
        chance: Ratio,
        /// By how much.
        by: Duration,
    },
    /// Resets every connection that has an end at either side of the link when the fault begins, once.
    ResetAll,
    /// Resets the connection of a message with this chance; the message is lost.
    Reset(Ratio),
}
