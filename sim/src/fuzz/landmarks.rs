//! Which states of the protocol should a campaign have been in at least once?
//!
//! Kinds of events say what happened; a landmark says in what situation. A campaign tells which of them it has
//! never reached, as it does with events: there it is blind.

use serde::{Deserialize, Serialize};

macro_rules! landmarks {
    ($($name:ident = $about:literal,)*) => {
        /// A situation that is worth having been in.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Landmark { $(#[doc = $about] $name,)* }

        impl Landmark {
            /// All of them.
            pub const ALL: &'static [Landmark] = &[$(Landmark::$name,)*];

            /// In words.
            pub const fn about(self) -> &'static str {
                match self { $(Landmark::$name => $about,)* }
            }
        }
    };
}

landmarks! {
    AloneInSync = "a leader is alone in its ISR",
    StartsBehind = "a leader starts with its high watermark behind its end",
    StartsEmpty = "a leader starts with an empty log after the first epoch",
    LeadsUnaware = "a broker leads on while another has begun to",
    NoLeader = "a partition has no leader",
    Unclean = "a leader is elected uncleanly",
    Eligible = "a partition has eligible leader replicas",
    FollowsNobody = "a follower has nobody to follow",
    CutsTwice = "a replica cuts its log twice without having appended",
    CutBelowHw = "a replica cuts its log below the high watermark it knows",
    CutOutOfRange = "a follower begins its log anew",
    TornTail = "recovery cuts off a torn tail",
    RecoveredEmpty = "a log that was not empty is empty after a power loss",
    RecoveredClean = "a log is taken for whole after a clean shutdown",
    ProposalRetried = "an ISR proposal is tried again",
    ProposalFenced = "an ISR proposal is refused for good",
    Duplicate = "a batch is recognised as a duplicate",
    RetriedTwice = "a batch is sent a third time",
    PerhapsWritten = "a producer gives up a record that may be in the log",
    EpochRaised = "a producer raises its epoch",
    NotEnoughReplicas = "a write is refused for want of replicas in sync",
    FetchFenced = "a fetch is fenced by its leader epoch",
    FetchAhead = "a fetch knows a newer epoch than the leader",
    RetentionCuts = "retention deletes the beginning of a log",
    RecordsDeleted = "DeleteRecords moves the beginning of a log",
    ReaderTruncated = "a consumer learns that its log was cut",
    ReaderOutOfRange = "a consumer is out of range",
    VoteSplit = "two members are candidates in the same epoch",
    TwoControllers = "two controllers are active",
    LostMajority = "a quorum leader resigns for want of a majority",
    SnapshotLoaded = "a node begins from a metadata snapshot in its life",
    DiskFailed = "a disk operation fails",
    TopicAgain = "a topic is created again under a name that was deleted",
    AllDown = "no broker is up",
}

/// A set of landmarks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landmarks(u64);

impl Landmarks {
    /// With one more.
    pub fn reach(&mut self, landmark: Landmark) {
        self.0 |= 1 << landmark as u8;
    }

    /// With all of another set.
    pub fn reach_all(&mut self, other: Landmarks) {
        self.0 |= other.0;
    }

    /// Whether it was reached.
    pub fn has(self, landmark: Landmark) -> bool {
        self.0 & 1 << landmark as u8 != 0
    }

    /// Those that were not reached.
    pub fn missing(self) -> impl Iterator<Item = Landmark> {
        Landmark::ALL.iter().copied().filter(move |landmark| !self.has(*landmark))
    }
}

const _: () = assert!(Landmark::ALL.len() <= 64, "a set is one word");
