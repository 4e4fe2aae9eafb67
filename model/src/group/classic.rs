//! How does a classic group stand between two records of its log: who has joined, who waits, who is alive?
//!
//! Kafka's `ClassicGroup`: only what the leader assigned is written down. The rest lives in the coordinator's memory
//! and dies with it; a new coordinator begins from the last assignment, and whoever it does not know joins again.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use core::time::Duration;

use bytes::Bytes;

use super::record::{ClassicImage, MemberImage};
use crate::{
    event::GroupState,
    machine::Caller,
    protocol::groups::{GroupProtocol, JoinGroupResponse, JoinedMember},
    time::Timestamp,
    units::{InstanceId, MemberId},
};

/// Somebody who waits for the answer to a JoinGroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joining {
    /// Who.
    pub caller: Caller,
}

/// A member.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its `group.instance.id`.
    pub instance: Option<InstanceId>,
    /// Its `client.id`.
    pub client: Arc<str>,
    /// Where it connects from.
    pub host: Arc<str>,
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// How long others wait for it to join again.
    pub rebalance_timeout: Duration,
    /// What it knows, the one it likes best first.
    pub protocols: Vec<GroupProtocol>,
    /// What it is to do.
    pub assignment: Bytes,
    /// It waits for the next generation.
    pub joining: Option<Joining>,
    /// It waits for its share.
    pub syncing: Option<Caller>,
    /// It has never been in a generation: it may wait for long, but dies if it does not.
    pub new: bool,
    /// Whether it was heard of since its session was last looked at.
    pub heard: bool,
}

/// A group that is about to begin a generation for the first time in a while waits for more members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstDelay {
    /// How long it may still wait.
    pub left: Duration,
    /// Whether somebody has joined since it last looked.
    pub joined: bool,
}

/// A classic group.
#[derive(Clone, Debug)]
pub struct Classic {
    /// How it stands.
    pub state: GroupState,
    /// Its generation.
    pub generation: i32,
    /// What kind of group it is; none until somebody says so.
    pub protocol_type: Option<Arc<str>>,
    /// The agreed protocol.
    pub protocol: Option<Arc<str>>,
    /// Who assigns.
    pub leader: Option<MemberId>,
    /// Since when nobody has been in it, or it has been as it is.
    pub since: Timestamp,
    /// Who is in it.
    pub members: BTreeMap<MemberId, Member>,
    /// Which member a `group.instance.id` is.
    pub instances: BTreeMap<InstanceId, MemberId>,
    /// Who was given an id and has not joined with it yet (KIP-394).
    pub pending: BTreeSet<MemberId>,
    /// Who has joined this generation and has not asked for its share yet.
    pub unsynced: BTreeSet<MemberId>,
    /// While it waits for more members.
    pub first_delay: Option<FirstDelay>,
}

impl Classic {
    /// A group nobody is in.
    pub fn new(since: Timestamp) -> Classic {
        Classic {
            state: GroupState::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            since,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            first_delay: None,
        }
    }

    /// As the log has it.
    pub fn of_image(image: &ClassicImage) -> Classic {
        let mut group = Classic::new(image.since);
        group.generation = image.generation;
        group.protocol_type = Some(image.protocol_type.clone()).filter(|it| !it.is_empty());
        group.protocol = image.protocol.clone();
        group.leader = image.leader.clone();
        for member in &image.members {
            if let Some(instance) = &member.instance {
                group.instances.insert(instance.clone(), member.member.clone());
            }
            let protocol = image.protocol.clone().unwrap_or_else(|| "".into());
            group.members.insert(
                member.member.clone(),
                Member {
                    instance: member.instance.clone(),
                    client: member.client.clone(),
                    host: member.host.clone(),
                    session_timeout: member.session_timeout,
                    rebalance_timeout: member.rebalance_timeout,
                    protocols: [GroupProtocol { name: protocol, metadata: member.subscription.clone() }]
                        .into(),
                    assignment: member.assignment.clone(),
                    joining: None,
                    syncing: None,
                    new: false,
                    heard: false,
                },
            );
        }
        if !group.members.is_empty() {
            group.state = GroupState::Stable;
        }
        group
    }

    /// As the log is to have it, with what each member is to do by `assignments`.
    pub fn image(&self, assignments: &BTreeMap<MemberId, Bytes>) -> ClassicImage {
        let members = self.members.iter().map(|(id, member)| MemberImage {
            member: id.clone(),
            instance: member.instance.clone(),
            client: member.client.clone(),
            host: member.host.clone(),
            rebalance_timeout: member.rebalance_timeout,
            session_timeout: member.session_timeout,
            subscription: self.metadata_of(member),
            assignment: assignments.get(id).cloned().unwrap_or_default(),
        });
        ClassicImage {
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| "".into()),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            since: self.since,
            members: members.collect(),
        }
    }

    /// What the members are to do as it stands.
    pub fn assignments(&self) -> BTreeMap<MemberId, Bytes> {
        self.members.iter().map(|(id, member)| (id.clone(), member.assignment.clone())).collect()
    }

    /// A member's subscription under the agreed protocol.
    pub fn metadata_of(&self, member: &Member) -> Bytes {
        let agreed = member.protocols.iter().find(|it| Some(&it.name) == self.protocol.as_ref());
        agreed.map(|it| it.metadata.clone()).unwrap_or_default()
    }

    /// Whether somebody who knows these protocols can be in it with everybody who is.
    pub fn supports(&self, protocol_type: &Arc<str>, protocols: &[GroupProtocol]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(protocol_type)
            && protocols.iter().any(|it| self.members.values().all(|member| member.knows(&it.name)))
    }

    /// The protocol that most members like best of those that all know; the first by name of those that as many do.
    pub fn choose_protocol(&self) -> Option<Arc<str>> {
        let mut votes: BTreeMap<&Arc<str>, u32> = BTreeMap::new();
        let common = |name: &Arc<str>| self.members.values().all(|member| member.knows(name));
        for member in self.members.values() {
            if let Some(liked) = member.protocols.iter().map(|it| &it.name).find(|name| common(name)) {
                *votes.entry(liked).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.clone())
    }

    /// How long the slowest member may take to join again.
    pub fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// Whether everybody who is expected has joined.
    pub fn all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some())
    }

    /// Takes a member in. The first leads.
    pub fn add(&mut self, id: MemberId, member: Member, protocol_type: &Arc<str>) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.clone());
        }
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.pending.remove(&id);
        self.members.insert(id, member);
    }

    /// Strikes a member off. Another leads if it did.
    pub fn remove(&mut self, id: &MemberId) -> Option<Member> {
        let member = self.members.remove(id)?;
        if let Some(instance) = member.instance.as_ref().filter(|it| self.instances.get(*it) == Some(id)) {
            self.instances.remove(instance);
        }
        self.unsynced.remove(id);
        if self.leader.as_ref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Another process takes a static member's place: the same member under another id (KIP-345).
    pub fn replace(&mut self, from: &MemberId, to: MemberId) -> Option<&mut Member> {
        let member = self.members.remove(from)?;
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), to.clone());
        }
        if self.leader.as_ref() == Some(from) {
            self.leader = Some(to.clone());
        }
        if self.unsynced.remove(from) {
            self.unsynced.insert(to.clone());
        }
        Some(self.members.entry(to).or_insert(member))
    }

    /// A leader that has not joined again makes room for somebody who has (KAFKA-6399). Says whether somebody leads
    /// who has joined.
    pub fn elect_leader(&mut self) -> bool {
        let has_joined = |id: &MemberId| self.members.get(id).is_some_and(|it| it.joining.is_some());
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let joined = self.members.iter().find(|(_, member)| member.joining.is_some());
        match joined.map(|(id, _)| id.clone()) {
            Some(id) => {
                self.leader = Some(id);
                true
            }
            None => false,
        }
    }

    /// What the leader is told of everybody.
    pub fn everybody(&self) -> Vec<JoinedMember> {
        let told = |(id, member): (&MemberId, &Member)| JoinedMember {
            member: id.clone(),
            instance: member.instance.clone(),
            metadata: self.metadata_of(member),
        };
        self.members.iter().map(told).collect()
    }

    /// What a member of this generation is told of it.
    pub fn joined(&self, id: &MemberId) -> JoinGroupResponse {
        let leads = self.leader.as_ref() == Some(id);
        JoinGroupResponse {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member: id.clone(),
            members: if leads { self.everybody() } else { Vec::new() },
        }
    }
}

impl Member {
    /// Whether it knows a way to assign.
    pub fn knows(&self, protocol: &Arc<str>) -> bool {
        self.protocols.iter().any(|it| it.name == *protocol)
    }

    /// Whether its session goes on although it is silent: it waits for us.
    pub fn is_waiting(&self) -> bool {
        !self.new && (self.joining.is_some() || self.syncing.is_some())
    }
}
