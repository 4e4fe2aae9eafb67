//! How does a KIP-848 group stand, and what moves it on?
//!
//! Here the coordinator assigns. Everything about such a group is in its log: who is in it and what they want to read
//! (the group epoch counts how often that changed), who is to own what in the end (the target assignment, in the
//! assignment epoch), and where each member stands on its way there (its member epoch, what it owns, what it gives
//! up). A member is told by heartbeat (`heartbeat`), and moves on as `reconciling` says; `assigning` says who is to
//! own what, `patterns` which topics regular expressions fit, `leaving` who is out. Some of its members may speak the classic protocol (`classic`): so a group changes
//! from one protocol to the other while its members go on (`converting`).

pub mod record;
pub mod assigning;
mod range;
mod uniform;
pub mod reconciling;
mod patterns;
mod heartbeat;
mod leaving;
mod converting;
mod classic;
mod describing;
#[cfg(test)]
mod tests;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};

pub(crate) use self::describing::undescribed;
pub use self::record::{
    ClassicMember, Current, GroupEpoch, Held, MemberState, Patterns, Resolved, Subscription,
};
use super::record::GroupRecord;
use crate::{
    controller::image::Image,
    event::GroupState,
    protocol::{ErrorCode, TopicName, consumer_group::LEAVE_FOR_A_WHILE_EPOCH},
    units::{GroupId, InstanceId, MemberId, TopicId, TopicPartition},
};

/// A KIP-848 group, by its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerGroup {
    epoch: Option<GroupEpoch>,
    assignment_epoch: Option<i32>,
    members: BTreeMap<MemberId, Subscription>,
    current: BTreeMap<MemberId, Current>,
    target: BTreeMap<MemberId, BTreeSet<TopicPartition>>,
    resolved: Patterns,
}

impl ConsumerGroup {
    /// Whether there is such a group: what is left of one that was forgotten is none.
    pub fn exists(&self) -> bool {
        self.epoch.is_some()
    }

    /// Whether nothing is known of it.
    pub(super) fn is_nothing(&self) -> bool {
        *self == ConsumerGroup::default()
    }

    /// Its epoch.
    pub fn epoch(&self) -> i32 {
        self.epoch.unwrap_or_default().epoch
    }

    /// The hash of what was known of its topics in this epoch.
    pub fn metadata_hash(&self) -> i64 {
        self.epoch.unwrap_or_default().metadata_hash
    }

    /// The epoch of its target assignment.
    pub fn assignment_epoch(&self) -> i32 {
        self.assignment_epoch.unwrap_or_default()
    }

    /// Who is in it.
    pub fn members(&self) -> &BTreeMap<MemberId, Subscription> {
        &self.members
    }

    /// Where a member stands.
    pub fn current(&self, member: &MemberId) -> Current {
        self.current.get(member).cloned().unwrap_or_default()
    }

    /// What a member is to own in the end.
    pub fn target(&self, member: &MemberId) -> BTreeSet<TopicPartition> {
        self.target.get(member).cloned().unwrap_or_default()
    }

    /// What the regular expressions of its members fit, as far as that has been looked up.
    pub fn resolved(&self) -> &Patterns {
        &self.resolved
    }

    /// Which member a `group.instance.id` is.
    pub fn instance(&self, instance: &InstanceId) -> Option<&MemberId> {
        self.members.iter().find(|(_, it)| it.instance.as_ref() == Some(instance)).map(|(id, _)| id)
    }

    /// How it stands: `Empty`, `Assigning`, `Reconciling` or `Stable`.
    pub fn state(&self) -> GroupState {
        if self.members.is_empty() {
            GroupState::Empty
        } else if self.epoch() > self.assignment_epoch() {
            GroupState::Assigning
        } else if self.members.keys().any(|member| !self.is_reconciled(member)) {
            GroupState::Reconciling
        } else {
            GroupState::Stable
        }
    }

    /// Whether a member has what it is to have.
    pub fn is_reconciled(&self, member: &MemberId) -> bool {
        self.current.get(member).is_some_and(|current| {
            current.state == MemberState::Stable && current.epoch == self.assignment_epoch()
        })
    }

    /// Who owns a partition, or is still to give it up.
    pub fn owner(&self, partition: &TopicPartition) -> Option<&MemberId> {
        let owns = |it: &Current| it.assigned.contains_key(partition) || it.revoking.contains_key(partition);
        self.current.iter().find(|(_, current)| owns(current)).map(|(member, _)| member)
    }

    /// Everybody's partitions, with whose they are.
    pub fn owners(&self) -> BTreeMap<TopicPartition, &MemberId> {
        let mut owners = BTreeMap::new();
        for (member, current) in &self.current {
            owners.extend(current.assigned.keys().chain(current.revoking.keys()).map(|at| (*at, member)));
        }
        owners
    }

    /// The topics that somebody wants to read.
    pub fn topics(&self, metadata: &Image) -> BTreeSet<TopicName> {
        self.members.values().flat_map(|member| member.topics_in(&self.resolved, metadata)).collect()
    }

    /// The assignor that most members would like, the first by name of those that as many would; none if nobody says.
    pub fn assignor(&self) -> Option<Arc<str>> {
        let mut votes: BTreeMap<&Arc<str>, u32> = BTreeMap::new();
        for liked in self.members.values().filter_map(|member| member.assignor.as_ref()) {
            *votes.entry(liked).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.clone())
    }

    /// Whether a member may say how far the group has come in a partition.
    ///
    /// Refuses with `UnknownMemberId` who is not in it, and with `StaleMemberEpoch` (`IllegalGeneration` who speaks
    /// the classic protocol) an epoch that is not the member's; but an older one is taken for what the member has held
    /// since then (KIP-1251). Without members anybody may who claims to be none.
    pub fn may_commit(
        &self,
        member: &MemberId,
        epoch: i32,
        partition: Option<TopicPartition>,
    ) -> Result<(), ErrorCode> {
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let subscription = self.members.get(member).ok_or(ErrorCode::UnknownMemberId)?;
        let current = self.current(member);
        if epoch == current.epoch {
            return Ok(());
        }
        if subscription.classic.is_some() {
            return Err(ErrorCode::IllegalGeneration);
        }
        let held = |at| current.assigned.get(&at).or_else(|| current.revoking.get(&at)).copied();
        match partition.and_then(held) {
            Some(since) if epoch < current.epoch && since <= epoch => Ok(()),
            _ => Err(ErrorCode::StaleMemberEpoch),
        }
    }

    /// Whether a member may be told how far the group has come. Nobody is asked for that who does not say who it is.
    ///
    /// Refuses with `UnknownMemberId`, and another epoch than the member's with `StaleMemberEpoch`
    /// (`IllegalGeneration` who speaks the classic protocol).
    pub fn may_fetch(&self, member: Option<&MemberId>, epoch: i32) -> Result<(), ErrorCode> {
        let Some(member) = member else {
            return if epoch < 0 { Ok(()) } else { Err(ErrorCode::UnknownMemberId) };
        };
        let subscription = self.members.get(member).ok_or(ErrorCode::UnknownMemberId)?;
        if epoch == self.current(member).epoch {
            return Ok(());
        }
        Err(match subscription.classic {
            Some(_) => ErrorCode::IllegalGeneration,
            None => ErrorCode::StaleMemberEpoch,
        })
    }

    /// Takes in what its log says.
    pub(super) fn apply(&mut self, record: &GroupRecord) {
        match record {
            GroupRecord::Epoch { value, .. } => self.epoch = *value,
            GroupRecord::TargetEpoch { value, .. } => self.assignment_epoch = *value,
            GroupRecord::Member { member, value, .. } => put(&mut self.members, member, value),
            GroupRecord::Target { member, value, .. } => put(&mut self.target, member, value),
            GroupRecord::Current { member, value, .. } => put(&mut self.current, member, value),
            GroupRecord::Pattern { pattern, value, .. } => put(&mut self.resolved, pattern, value),
            GroupRecord::Offset { .. } | GroupRecord::Classic { .. } => {}
        }
    }

    /// What the log is to say so that nothing is known of it any more.
    pub(super) fn tombstones(&self, group: &GroupId) -> Vec<GroupRecord> {
        let mut records: Vec<GroupRecord> = Vec::new();
        let of = || group.clone();
        records.extend(self.current.keys().map(|it| GroupRecord::Current {
            group: of(),
            member: it.clone(),
            value: None,
        }));
        records.extend(self.target.keys().map(|it| GroupRecord::Target {
            group: of(),
            member: it.clone(),
            value: None,
        }));
        if self.assignment_epoch.is_some() {
            records.push(GroupRecord::TargetEpoch { group: of(), value: None });
        }
        records.extend(self.members.keys().map(|it| GroupRecord::Member {
            group: of(),
            member: it.clone(),
            value: None,
        }));
        records.extend(self.resolved.keys().map(|it| GroupRecord::Pattern {
            group: of(),
            pattern: it.clone(),
            value: None,
        }));
        if self.epoch.is_some() {
            records.push(GroupRecord::Epoch { group: of(), value: None });
        }
        records
    }
}

fn put<K: Ord + Clone, T: Clone>(all: &mut BTreeMap<K, T>, of: &K, value: &Option<T>) {
    match value {
        Some(value) => {
            all.insert(of.clone(), value.clone());
        }
        None => {
            all.remove(of);
        }
    }
}

impl Subscription {
    /// The topics it wants to read that are there, by name or by what its regular expression fits.
    pub fn topics_in(&self, resolved: &Patterns, metadata: &Image) -> BTreeSet<TopicName> {
        let fitting = self.pattern.as_ref().and_then(|pattern| resolved.get(pattern));
        let named = self.topics.iter().chain(fitting.iter().flat_map(|fitting| &fitting.topics));
        named.filter(|it| metadata.topic_id(it).is_some()).cloned().collect()
    }

    /// The same by their ids.
    pub fn ids_in(&self, resolved: &Patterns, metadata: &Image) -> BTreeSet<TopicId> {
        self.topics_in(resolved, metadata).iter().filter_map(|name| metadata.topic_id(name)).collect()
    }
}

impl Current {
    /// Whether it has left for a while, as a static member may.
    pub fn is_away(&self) -> bool {
        self.epoch == LEAVE_FOR_A_WHILE_EPOCH
    }
}

/// A hash of what is known of topics: another if one comes, goes, is made anew or has more partitions.
pub(super) fn hash_of(topics: &BTreeSet<TopicName>, metadata: &Image) -> i64 {
    // FNV-1a: Kafka's own is XXH3, but nobody compares another's with his.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut feed = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    let mut any = false;
    for name in topics {
        let Some(id) = metadata.topic_id(name) else { continue };
        let partitions = metadata.topic(id).map_or(0, |topic| topic.partitions.len());
        feed(name.as_str().as_bytes());
        feed(&id.0.to_be_bytes());
        feed(&(partitions as u64).to_be_bytes());
        any = true;
    }
    if any { hash.cast_signed() } else { 0 }
}
