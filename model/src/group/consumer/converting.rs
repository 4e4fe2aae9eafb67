//! How does a classic group become a KIP-848 group, and back, while its members go on?
//!
//! Kafka's `convertToConsumerGroup` and `convertToClassicGroup`, as far as `group.consumer.migration.policy` allows it.
//! The first member that speaks KIP-848's protocol makes the group one; when the last one is out, it is a classic group
//! again, whose members are to join again. Whatever they own they own on the way. A group without members is simply
//! forgotten, and another begins.

use alloc::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use bytes::Bytes;

use super::{
    ClassicMember, ConsumerGroup, Current, GroupEpoch, Held, MemberState, Subscription, heartbeat::Move,
};
use crate::{
    consumer::protocol::{Assignment, Subscription as Said},
    controller::image::Image,
    event::{Event, GroupState, RebalanceReason},
    group::{
        Coordinator, Cx, Timer,
        classic::{Classic, Member},
        image::{Question, Then},
        record::GroupRecord,
    },
    protocol::{
        ErrorCode, NamedPartition, Response, TopicName,
        groups::{GroupProtocol, JoinGroupResponse, SyncGroupResponse},
    },
    units::{GroupId, MemberId, TopicPartition},
};

/// What members of a consumer group call its protocol.
pub(super) const PROTOCOL_TYPE: &str = "consumer";

impl Coordinator {
    /// What a classic group is as a KIP-848 group, in the epoch of its generation.
    ///
    /// Refuses with `GroupIdNotFound` one that may not become one: by the policy, because its members are no
    /// consumers or too many, or because their assignments hold what nobody would understand then.
    pub(super) fn upgraded<'a>(
        &self,
        id: &'a GroupId,
        classic: &Classic,
        metadata: &Image,
    ) -> Result<Move<'a>, ErrorCode> {
        let mut next = Move::anew(id);
        if self.shard.state().is_some_and(|state| state.classic(id).is_some()) {
            next.say(GroupRecord::Classic { group: id.clone(), value: None });
        }
        if classic.members.is_empty() {
            return Ok(next);
        }
        let are_consumers = classic.protocol_type.as_deref() == Some(PROTOCOL_TYPE);
        let fits = classic.members.len() < self.settings.consumer_max_size as usize;
        if !self.settings.migration.upgrades() || !are_consumers || !fits {
            return Err(ErrorCode::GroupIdNotFound);
        }
        let mut standing = Vec::new();
        for (member, it) in &classic.members {
            let subscription = subscription_of(it).ok_or(ErrorCode::GroupIdNotFound)?;
            let held = assigned_to(it, classic.generation, metadata).ok_or(ErrorCode::GroupIdNotFound)?;
            standing.push((member.clone(), subscription, held));
        }
        let (group, epoch) = (|| id.clone(), classic.generation);
        for (member, subscription, _) in &standing {
            let (member, value) = (member.clone(), Some(subscription.clone()));
            next.say(GroupRecord::Member { group: group(), member, value });
        }
        next.say(GroupRecord::Epoch { group: group(), value: Some(GroupEpoch { epoch, metadata_hash: 0 }) });
        for (member, _, held) in &standing {
            let value = Some(held.keys().copied().collect());
            next.say(GroupRecord::Target { group: group(), member: member.clone(), value });
        }
        next.say(GroupRecord::TargetEpoch { group: group(), value: Some(epoch) });
        for (member, _, assigned) in standing {
            let (state, revoking) = (MemberState::Stable, Held::new());
            let value = Some(Current { epoch, previous: epoch, state, assigned, revoking });
            next.say(GroupRecord::Current { group: group(), member, value });
        }
        Ok(next)
    }

    /// A classic group has become a KIP-848 group: whoever waits for its next generation joins that.
    pub(super) fn end_classic(&mut self, id: &GroupId, cx: &mut Cx<'_>) {
        let Some(classic) = self.classic.remove(id) else { return };
        self.timers.cancel(&Timer::Join(id.clone()));
        self.timers.cancel(&Timer::Sync(id.clone()));
        if classic.members.is_empty() {
            // Its successor counts its epochs from the start.
            cx.events.push(Event::GroupStateChanged {
                group: id.clone(),
                partition: self.partition,
                coordinator: self.epoch,
                state: GroupState::Dead,
                generation: classic.generation,
                members: Vec::new(),
            });
        }
        let error = ErrorCode::RebalanceInProgress;
        for (member, it) in classic.members {
            let due = cx.now.monotonic + it.session_timeout;
            self.timers.set(due, Timer::Session(id.clone(), member.clone()));
            if let Some(joining) = it.joining {
                let response = JoinGroupResponse::refused(error, member);
                cx.answer(joining.caller, Response::JoinGroup(response));
            }
            if let Some(caller) = it.syncing {
                cx.answer(caller, Response::SyncGroup(SyncGroupResponse::refused(error)));
            }
        }
    }

    /// Forgets a KIP-848 group nobody is in, so that a classic one may have its name.
    pub(in crate::group) fn forget_empty_consumer(
        &mut self,
        id: &GroupId,
        cx: &mut Cx<'_>,
    ) -> Result<(), ErrorCode> {
        let known = self.shard.state().and_then(|state| state.consumer(id));
        let Some(records) = known.filter(|it| it.members.is_empty()).map(|it| it.tombstones(id)) else {
            return Ok(());
        };
        self.write(None, &Question::Move { records, answer: Then::Nothing }, cx)?;
        self.note_consumer_gone(id, cx);
        Ok(())
    }

    /// Whether a KIP-848 group of these members may be a classic group.
    pub(super) fn may_go_back(&self, left: &ConsumerGroup) -> bool {
        let all_classic = left.members.values().all(|member| member.classic.is_some());
        let fits = left.members.len() <= self.settings.max_size as usize;
        !left.members.is_empty() && all_classic && fits && self.settings.migration.downgrades()
    }

    /// A KIP-848 group of which only members are left that speak the classic protocol is a classic group again, if
    /// that may be: the records that say so, in place of what else would be written.
    pub(super) fn downgraded(
        &self,
        id: &GroupId,
        left: &ConsumerGroup,
        metadata: &Image,
    ) -> Option<(Classic, Vec<GroupRecord>)> {
        if !self.may_go_back(left) {
            return None;
        }
        let mut classic = Classic::new(crate::time::Timestamp::default());
        classic.generation = left.epoch();
        for (member, subscription) in &left.members {
            let of = subscription.classic.clone().unwrap_or_default();
            let held: BTreeSet<TopicPartition> = left.current(member).assigned.into_keys().collect();
            let it = Member {
                instance: subscription.instance.clone(),
                client: subscription.client.clone(),
                host: subscription.host.clone(),
                session_timeout: of.session_timeout,
                rebalance_timeout: subscription.rebalance_timeout.unwrap_or_default(),
                protocols: of.protocols,
                assignment: encoded(&held, metadata),
                joining: None,
                syncing: None,
                new: false,
                heard: false,
            };
            classic.add(member.clone(), it, &PROTOCOL_TYPE.into());
        }
        classic.protocol = classic.choose_protocol();
        classic.state = GroupState::Stable;
        let image = classic.image(&classic.assignments());
        Some((classic, [GroupRecord::Classic { group: id.clone(), value: Some(image) }].into()))
    }

    /// A KIP-848 group has become a classic one: its members are to join again, if there is a reason.
    pub(super) fn begin_classic(
        &mut self,
        id: &GroupId,
        mut classic: Classic,
        rebalances: Option<RebalanceReason>,
        cx: &mut Cx<'_>,
    ) {
        self.looked.remove(id);
        self.matched.remove(id);
        self.noted.remove(id);
        classic.since = cx.now.wall;
        for (member, it) in &classic.members {
            self.timers.cancel(&Timer::Revocation(id.clone(), member.clone()));
            let due = cx.now.monotonic + it.session_timeout;
            self.timers.set(due, Timer::Session(id.clone(), member.clone()));
        }
        self.classic.insert(id.clone(), classic);
        match rebalances {
            Some(why) => self.begin_rebalance(id, why, cx),
            None => self.note_state(id, cx),
        }
    }
}

impl<'a> Move<'a> {
    /// From no group at all.
    fn anew(id: &'a GroupId) -> Move<'a> {
        Move { id, after: Cow::Owned(ConsumerGroup::default()), records: Vec::new() }
    }
}

/// What a member of a classic group wants to read; `None` if it does not say so in the spelling of consumers.
fn subscription_of(member: &Member) -> Option<Subscription> {
    let said = Said::decode(&member.protocols.first()?.metadata)?;
    Some(Subscription {
        instance: member.instance.clone(),
        rack: said.rack,
        client: member.client.clone(),
        host: member.host.clone(),
        topics: in_order(said.topics),
        pattern: None,
        rebalance_timeout: Some(member.rebalance_timeout),
        assignor: None,
        classic: Some(ClassicMember {
            session_timeout: member.session_timeout,
            protocols: member.protocols.clone(),
        }),
    })
}

/// What a member of a classic group was given; `None` if that makes no sense, or holds more than partitions.
fn assigned_to(member: &Member, epoch: i32, metadata: &Image) -> Option<Held> {
    if member.assignment.is_empty() {
        return Some(Held::new());
    }
    let given = Assignment::decode(&member.assignment)?;
    if given.user_data.is_some_and(|data| !data.is_empty()) {
        return None;
    }
    Some(by_id(&given.partitions, metadata).into_iter().map(|at| (at, epoch)).collect())
}

/// Topics in order, each once.
pub(super) fn in_order(mut topics: Vec<TopicName>) -> Vec<TopicName> {
    topics.sort();
    topics.dedup();
    topics
}

/// Partitions by their topics' ids, those of topics that are there.
pub(super) fn by_id(partitions: &[NamedPartition], metadata: &Image) -> BTreeSet<TopicPartition> {
    let id = |it: &NamedPartition| Some(TopicPartition::new(metadata.topic_id(&it.topic)?, it.partition));
    partitions.iter().filter_map(id).collect()
}

/// What a classic member is told that it owns.
pub(super) fn encoded(held: &BTreeSet<TopicPartition>, metadata: &Image) -> Bytes {
    let named = |at: &TopicPartition| {
        Some(NamedPartition { topic: metadata.topic(at.topic)?.name.clone(), partition: at.partition })
    };
    let mut partitions: Vec<NamedPartition> = held.iter().filter_map(named).collect();
    partitions.sort();
    Assignment { partitions, user_data: None }.encode()
}

/// Which of these a member knows that all others know.
pub(super) fn is_supported(group: &ConsumerGroup, but: &MemberId, protocols: &[GroupProtocol]) -> bool {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let others = group.members.iter().filter(|(member, _)| *member != but);
    let others: Vec<&ClassicMember> = others.filter_map(|(_, it)| it.classic.as_ref()).collect();
    for protocol in others.iter().flat_map(|it| &it.protocols) {
        *known.entry(&protocol.name).or_default() += 1;
    }
    protocols.iter().any(|it| others.is_empty() || known.get(&*it.name) == Some(&others.len()))
}
