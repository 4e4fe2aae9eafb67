//! How do groups look to an operator, and how does one get rid of them?

use alloc::{collections::BTreeSet, vec::Vec};

use super::{
    Coordinator, Cx,
    classic::Classic,
    image::{Question, Then},
    spelling::Reader,
};
use crate::{
    event::GroupState,
    machine::Caller,
    protocol::{
        ErrorCode, Response, TopicName,
        group_admin::{DeleteGroupsResponse, DescribedGroup, DescribedMember, ListedGroup},
    },
    units::GroupId,
};

/// Kafka's spelling of a state.
pub(super) fn spelled(state: GroupState) -> &'static str {
    match state {
        GroupState::Empty => "Empty",
        GroupState::PreparingRebalance => "PreparingRebalance",
        GroupState::CompletingRebalance => "CompletingRebalance",
        GroupState::Stable => "Stable",
        GroupState::Dead => "Dead",
        GroupState::Assigning => "Assigning",
        GroupState::Reconciling => "Reconciling",
    }
}

/// The topics that the members of a group want to read, as far as they say so in the spelling of consumers.
pub(super) fn subscribed(group: &Classic) -> BTreeSet<TopicName> {
    let mut topics = BTreeSet::new();
    for member in group.members.values() {
        let metadata = group.metadata_of(member);
        let mut from = Reader::new(&metadata);
        let (Some(_version), Some(count)) = (from.i16(), from.i32()) else { continue };
        for _ in 0..count.max(0) {
            let Some(topic) = from.string() else { break };
            topics.insert(TopicName(topic));
        }
    }
    topics
}

impl Coordinator {
    /// How a classic group stands; one that is not there is `Dead`.
    pub fn describe(&self, group_id: &GroupId) -> DescribedGroup {
        let described = |error, state, group: Option<&Classic>| DescribedGroup {
            group: group_id.clone(),
            error,
            state,
            protocol_type: group.and_then(|it| it.protocol_type.clone()).unwrap_or_else(|| "".into()),
            protocol: group.and_then(|it| it.protocol.clone()).unwrap_or_else(|| "".into()),
            members: group.map(described_members).unwrap_or_default(),
        };
        if !self.active {
            return described(Some(ErrorCode::CoordinatorLoadInProgress), "", None);
        }
        match self.classic.get(group_id) {
            Some(group) => described(None, spelled(group.state), Some(group)),
            // What is none of these is not there: KIP-848 groups have a request of their own.
            None if self.shard.committed().consumer(group_id).is_some() => described(None, "Dead", None),
            None if self.shard.committed().has_offsets(group_id) => described(None, "Empty", None),
            None => described(None, "Dead", None),
        }
    }

    /// The groups it looks after; nothing while it reads them.
    pub fn list(&self) -> Result<Vec<ListedGroup>, ErrorCode> {
        if !self.active {
            return Err(ErrorCode::CoordinatorLoadInProgress);
        }
        let mut names = self.shard.committed().names();
        names.extend(self.classic.keys().cloned());
        names.sort();
        names.dedup();
        let listed = names.into_iter().map(|group| {
            let it = self.classic.get(&group);
            match self.shard.committed().consumer(&group) {
                Some(consumer) => ListedGroup {
                    protocol_type: "consumer".into(),
                    state: spelled(consumer.state()),
                    kind: "consumer",
                    group,
                },
                None => ListedGroup {
                    protocol_type: it.and_then(|it| it.protocol_type.clone()).unwrap_or_else(|| "".into()),
                    state: it.map_or("Empty", |it| spelled(it.state)),
                    kind: "classic",
                    group,
                },
            }
        });
        Ok(listed.collect())
    }

    /// Forgets a group nobody is in. Whoever asks is answered about this group alone.
    pub fn delete_group(&mut self, caller: Caller, group_id: &GroupId, cx: &mut Cx<'_>) {
        let answer = |error| {
            Response::DeleteGroups(DeleteGroupsResponse { groups: [(group_id.clone(), error)].into() })
        };
        if !self.active {
            return cx.answer(caller, answer(Some(ErrorCode::CoordinatorLoadInProgress)));
        }
        let stored = self.shard.state().is_some_and(|it| it.has_offsets(group_id));
        let consumer = self.shard.state().and_then(|state| state.consumer(group_id));
        let refused = match self.classic.get(group_id) {
            Some(group) if group.state == GroupState::Empty => None,
            Some(_) => Some(ErrorCode::NonEmptyGroup),
            None if consumer.is_some_and(|it| !it.members().is_empty()) => Some(ErrorCode::NonEmptyGroup),
            None if consumer.is_some() => None,
            None if stored => None,
            None => Some(ErrorCode::GroupIdNotFound),
        };
        if refused.is_some() {
            return cx.answer(caller, answer(refused));
        }
        let question = Question::Delete { group: group_id.clone(), answer: Then::Answer(answer(None)) };
        match self.write(Some(caller), &question, cx) {
            Ok(()) => {
                self.set_state(group_id, GroupState::Dead, cx);
                self.classic.remove(group_id);
                self.note_consumer_gone(group_id, cx);
            }
            Err(error) => cx.answer(caller, answer(Some(error))),
        }
    }
}

fn described_members(group: &Classic) -> Vec<DescribedMember> {
    let stable = group.state == GroupState::Stable;
    let described = group.members.iter().map(|(id, member)| DescribedMember {
        member: id.clone(),
        instance: member.instance.clone(),
        client: member.client.clone(),
        host: member.host.clone(),
        // What they would do is known only once it is so.
        metadata: if stable { group.metadata_of(member) } else { Default::default() },
        assignment: if stable { member.assignment.clone() } else { Default::default() },
    });
    described.collect()
}
