//! What is a member's next step towards its target assignment? Kafka's `CurrentAssignmentBuilder`.
//!
//! It gives up first. While there is anything that it has to give up and has not, it stays in its epoch; then it is in
//! the epoch of the target assignment, and is given what is free. What somebody else still owns it waits for.

use alloc::collections::{BTreeMap, BTreeSet};

use super::{Current, Held, MemberState};
use crate::{
    museum::{Bug, Museum},
    units::{MemberId, TopicId, TopicPartition},
};

/// What a member's next step depends on.
pub struct Situation<'a> {
    /// Who it is.
    pub member: &'a MemberId,
    /// The epoch of the target assignment.
    pub target_epoch: i32,
    /// What it is to own in the end.
    pub target: &'a BTreeSet<TopicPartition>,
    /// Which topics it wants to read; whatever the target says, it keeps nothing else.
    pub subscribed: &'a BTreeSet<TopicId>,
    /// Who owns what, or is still to give it up.
    pub owners: &'a BTreeMap<TopicPartition, &'a MemberId>,
    /// What it says that it owns; `None` if it has not said.
    pub owned: Option<&'a BTreeSet<TopicPartition>>,
    /// Bugs that are switched on.
    pub museum: Museum,
}

impl Current {
    /// Where it stands after its next step: the same, if it has to wait.
    pub fn next(&self, situation: &Situation<'_>) -> Current {
        match self.state {
            MemberState::Stable if self.epoch == situation.target_epoch => {
                if self.assigned.keys().all(|at| situation.subscribed.contains(&at.topic)) {
                    self.clone()
                } else {
                    self.unsubscribed(situation)
                }
            }
            MemberState::UnrevokedPartitions
                if situation.still_owns(&self.revoking) || self.is_ignored(situation) =>
            {
                self.unsubscribed(situation)
            }
            _ => self.step(situation),
        }
    }

    /// KAFKA-16249: there was another target assignment since it was told to give something up, and nobody looks at
    /// what it has given up.
    pub(super) fn is_ignored(&self, situation: &Situation<'_>) -> bool {
        situation.museum.has(Bug::RevocationAckMissed)
            && self.state == MemberState::UnrevokedPartitions
            && situation.target_epoch > self.epoch + 1
    }

    /// Has to give up, too, what it does not want to read any more.
    fn unsubscribed(&self, situation: &Situation<'_>) -> Current {
        let mut next = self.clone();
        let wanted = |at: &TopicPartition| situation.subscribed.contains(&at.topic);
        let unwanted: Held =
            self.assigned.iter().filter(|(at, _)| !wanted(at)).map(|(at, e)| (*at, *e)).collect();
        if unwanted.is_empty() {
            return next;
        }
        next.assigned.retain(|at, _| wanted(at));
        next.previous = self.epoch;
        let mut revoking = self.revoking.clone();
        revoking.extend(unwanted);
        if situation.still_owns(&revoking) {
            next.revoking = revoking;
            next.state = MemberState::UnrevokedPartitions;
        }
        next
    }

    fn step(&self, situation: &Situation<'_>) -> Current {
        let target =
            |at: &TopicPartition| situation.target.contains(at) && situation.subscribed.contains(&at.topic);
        let (kept, given_up): (Held, Held) =
            self.assigned.iter().map(|(at, e)| (*at, *e)).partition(|(at, _)| target(at));
        if !given_up.is_empty() && situation.still_owns(&given_up) {
            return Current {
                epoch: self.epoch,
                previous: self.epoch,
                state: MemberState::UnrevokedPartitions,
                assigned: kept,
                revoking: given_up,
            };
        }
        let is_free =
            |at: &TopicPartition| situation.owners.get(at).is_none_or(|owner| *owner == situation.member);
        let (mut assigned, mut waits) = (kept, false);
        for at in situation.target.iter().filter(|at| target(at)) {
            if assigned.contains_key(at) {
                continue;
            }
            if is_free(at) {
                assigned.insert(*at, situation.target_epoch);
            } else {
                // A mutant: as if it had it.
                waits = !situation.museum.has(Bug::WaitingCountsAsStable);
            }
        }
        let epoch = situation.target_epoch;
        Current {
            epoch,
            previous: self.epoch,
            state: if waits { MemberState::UnreleasedPartitions } else { MemberState::Stable },
            assigned,
            revoking: Held::new(),
        }
    }
}

impl Situation<'_> {
    /// Whether it may still own any of these. Who has not said may.
    fn still_owns(&self, these: &Held) -> bool {
        self.owned.is_none_or(|owned| owned.iter().any(|at| these.contains_key(at)))
    }
}
