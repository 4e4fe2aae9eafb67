//! What should have been done about a consumer group, and was not?
//!
//! Where a group does not come to rest, the decision is the last that anybody took about it; where its coordinator is
//! looked into, what it said in that very step.

use trial_model::{
    event::{Event, GroupState},
    units::{GroupId, NodeId, TopicPartition},
};

use super::{
    super::{
        focus::{group_in, nodes_in},
        record::Record,
    },
    Place, Wrong,
};
use crate::{check::Violation, names::RunNames};

pub(super) fn omitted(record: &Record, names: &RunNames, violation: &Violation) -> Option<Wrong> {
    let told = Telling { record, names, violation };
    match violation.check {
        "coordinators_are_there" => told.let_go(violation.partition?),
        "groups_become_stable" => told.stays_out(&group_in(record, violation)?),
        "consumers_reach_the_end" => told.reads_nothing(violation.partition?),
        "partition_epochs_are_valid" | "stable_groups_are_reconciled" => {
            told.gave_out(&group_in(record, violation)?)
        }
        "rebalances_are_bounded" => told.waits(&group_in(record, violation)?),
        _ => None,
    }
}

struct Telling<'a> {
    record: &'a Record,
    names: &'a RunNames,
    violation: &'a Violation,
}

impl Telling<'_> {
    /// The last event that `wanted` picks.
    fn last(&self, wanted: impl Fn(NodeId, &Event) -> bool) -> Option<(usize, NodeId, &Event)> {
        let entries = self.record.entries.iter().enumerate().rev();
        entries
            .filter_map(|(nth, entry)| entry.event().map(|(node, event)| (nth, node, event)))
            .find(|(_, node, event)| wanted(*node, event))
    }

    fn wrong(&self, nth: usize, what: String, but: &str, mark: &str) -> Option<Wrong> {
        let (node, _) = self.record.entries[nth].event()?;
        Some(Wrong {
            place: Place::Entry(nth),
            at: self.record.entries[nth].at,
            node,
            partition: self.violation.partition,
            what: format!("{} {what}", self.names.node_name(node)),
            but: format!("{but}, to the end of the run"),
            mark: mark.into(),
            against: None,
        })
    }

    /// The last event up to what was judged that `wanted` makes something of.
    fn last_judged<T>(&self, wanted: impl Fn(usize, &Event) -> Option<T>) -> Option<T> {
        let until = self.record.entries.partition_point(|entry| entry.at <= self.violation.at);
        let said = self.record.entries[..until].iter().enumerate().rev();
        said.filter_map(|(nth, entry)| Some((nth, entry.event()?.1)))
            .find_map(|(nth, event)| wanted(nth, event))
    }

    /// A coordinator that gave out what it may not, or said that all is given out, in the step that was judged.
    fn gave_out(&self, id: &GroupId) -> Option<Wrong> {
        let (nth, what, mark) = self.last_judged(|nth, event| match event {
            Event::MemberReconciled { group, member, epoch, .. } if group == id => {
                Some((nth, format!("moved {member} of {id} to epoch {epoch}"), "gave it out wrongly"))
            }
            Event::GroupStateChanged { group, state, .. } if group == id => {
                Some((nth, format!("called {id} {state}"), "it was not"))
            }
            _ => None,
        })?;
        let (_, why) = self.violation.lines.first()?;
        let wrong = self.wrong(nth, what, "", mark)?;
        Some(Wrong { but: why.clone(), ..wrong })
    }

    /// A coordinator that has all members of a generation, and waits for one to ask for its share.
    fn waits(&self, id: &GroupId) -> Option<Wrong> {
        let judged = self.violation.at;
        let (nth, generation) = self.last_judged(|nth, event| match event {
            Event::GroupStateChanged {
                group, state: GroupState::CompletingRebalance, generation, ..
            } => (group == id).then_some((nth, *generation)),
            _ => None,
        })?;
        let what = format!("had everybody in generation {generation} of {id} ask for their shares");
        let wrong = self.wrong(nth, what, "", "waited too long for one that did not")?;
        let (_, allowed) = self.violation.lines.iter().find(|(label, _)| *label == "allowed")?;
        let allowed = allowed.split(',').next()?;
        let but = format!("one did not, and was out only at {judged}s, not after {allowed}");
        Some(Wrong { but, ..wrong })
    }

    /// A leader that never looked after its groups, or not any more.
    fn let_go(&self, id: TopicPartition) -> Option<Wrong> {
        let (led, leader, _) = self
            .last(|_, event| matches!(event, Event::LeaderStarted { partition, .. } if *partition == id))?;
        let name = self.names.partition_name(id);
        let unloads = |node, event: &Event| {
            node == leader
                && matches!(event, Event::CoordinatorUnloaded { partition, .. } if *partition == id)
        };
        match self.last(unloads).filter(|(nth, ..)| *nth > led) {
            Some((nth, ..)) => {
                let what = format!("let go of the groups of {name}");
                self.wrong(nth, what, "it led that partition and looked after nobody", "it leads")
            }
            None => {
                let what = format!("began to lead {name}");
                self.wrong(led, what, "it did not look after its groups", "never looked after its groups")
            }
        }
    }

    /// A group that does not settle, or a member that is left out of it.
    fn stays_out(&self, id: &GroupId) -> Option<Wrong> {
        let changes = |event: &Event| matches!(event, Event::GroupStateChanged { group, .. } if group == id);
        let (nth, _, Event::GroupStateChanged { state, generation, .. }) =
            self.last(|_, event| changes(event))?
        else {
            return None;
        };
        if *state != GroupState::Stable {
            return self.wrong(
                nth,
                format!("moved {id} to {state}"),
                "nothing came of it",
                "nothing came of it",
            );
        }
        let member = nodes_in(&self.violation.headline, self.names).next();
        let Some(member) = member else {
            let what = format!("had {id} settle in generation {generation}");
            let but = self.violation.headline.clone();
            return self.wrong(nth, what, &but, "not everything is assigned");
        };
        let own = |node, event: &Event| {
            node == member
                && event.group() == Some(id)
                && matches!(
                    event,
                    Event::MembershipLost { .. } | Event::GroupJoined { .. } | Event::PartitionsOwned { .. }
                )
        };
        match self.last(own)? {
            (nth, _, Event::MembershipLost { why, .. }) => {
                let what = format!("was no member of {id} any more ({why})");
                self.wrong(nth, what, "it did not join again", "never joined again")
            }
            (nth, _, Event::GroupJoined { generation, .. }) => {
                let what = format!("joined generation {generation} of {id}");
                self.wrong(nth, what, "it was not told its share", "never told its share")
            }
            (nth, ..) => {
                let what = format!("was told its share in {id}");
                self.wrong(nth, what, "it did not notice that the others had gone on", "never joined again")
            }
        }
    }

    /// A member that owns a partition and does not begin, or go on, to read it.
    fn reads_nothing(&self, id: TopicPartition) -> Option<Wrong> {
        let reader = nodes_in(&self.violation.headline, self.names).next()?;
        let about = |node, event: &Event| {
            node == reader
                && match event {
                    Event::PartitionsOwned { partitions, .. } | Event::CommittedAsked { partitions, .. } => {
                        partitions.contains(&id)
                    }
                    Event::CommittedTold { partition, .. } => *partition == id,
                    _ => false,
                }
        };
        let name = self.names.partition_name(id);
        match self.last(about)? {
            (nth, _, Event::PartitionsOwned { .. }) => {
                self.wrong(nth, format!("was given {name}"), "it did not begin to read it", "never read it")
            }
            (nth, _, Event::CommittedAsked { group, .. }) => {
                let what = format!("asked how far {group} is in {name}");
                self.wrong(nth, what, "it was not told, and did not ask again", "never told")
            }
            (nth, ..) => {
                let what = format!("was told where to begin in {name}");
                self.wrong(nth, what, "it did not read on", "never read on")
            }
        }
    }
}
