//! What is known of the consumer groups, judging by what coordinators and members have said?

use std::collections::BTreeMap;

use trial_model::{
    event::{Event, GroupState, MembershipEnd, SeekReason},
    protocol::ErrorCode,
    time::Instant,
    units::{GroupId, InstanceId, LeaderEpoch, MemberId, NodeId, Offset, TopicPartition},
};

use super::{Known, Lookup};

/// A commit that a coordinator took into its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The next offset to read.
    pub offset: Offset,
    /// Whose process said so, if it was a member's.
    pub by: Option<NodeId>,
    /// When.
    pub at: Instant,
    /// By a coordinator of which leader epoch.
    pub coordinator: LeaderEpoch,
    /// Whether it says that there is none any more.
    pub forgotten: bool,
    /// Whether who took it had been replaced, and nobody was told of it yet: it is there only if whoever leads next had
    /// it before it heard of the new leader.
    pub doubtful: bool,
}

/// What is known of a group's progress in one partition.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Which.
    pub partition: TopicPartition,
    /// What was committed, in the order of the log.
    pub commits: Vec<Commit>,
    /// Up to which of them somebody was told that it was taken, or is what is committed: one past the newest such.
    pub acked: usize,
    /// Who has asked how far the group is and was not told yet, with `acked` at that time.
    pub asked: Vec<(NodeId, usize)>,
    /// What was handed to applications and worked on, in whatever order: disjoint, ascending.
    pub processed: Vec<(Offset, Offset)>,
    /// Where the group began to read, if it had committed nothing.
    pub began: Option<Offset>,
    /// What was jumped over when somebody's position was moved other than to what was committed.
    pub jumped: Vec<(Offset, Offset)>,
    /// Whose commit was last refused because nobody knows the topic, and is made again until its time is up; when.
    pub in_vain: Option<(NodeId, Instant)>,
    /// Who was moved so, and has not been told since that a commit was taken: what it had to say before may be taken
    /// after, and what it says may have to be said again.
    moved: Vec<Move>,
    /// How many commits were sent.
    count: u64,
    /// What each process has said, oldest first.
    sent: Vec<Said>,
}

/// A process's position was moved other than to what was committed.
#[derive(Clone, Debug)]
struct Move {
    node: NodeId,
    /// After how many commits were sent, one at least.
    sent: u64,
    /// From where.
    from: Option<Offset>,
    /// To where: what is not beyond that it may have made up its mind to say before.
    to: Offset,
    /// How far it has read since: what is beyond that it had made up its mind to say before.
    reached: Offset,
}

impl Move {
    /// Whether a process that says this may have meant to before it was moved.
    fn may_be_of_before(&self, node: NodeId, offset: Offset) -> bool {
        self.node == node && (offset <= self.to || offset > self.reached)
    }
}

/// A process's word that its group has come to an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    node: NodeId,
    offset: Offset,
    /// As how many-eth commit it said so first, as long as it has not heard that it was taken; 0 then.
    nth: u64,
    /// How many answers to that it waits for.
    waits: u32,
    /// On how many connections it did that it has closed without an answer: what was under way there may arrive all
    /// the same, after anything that was said on another.
    adrift: u32,
}

impl Progress {
    /// Nobody has said anything of it.
    fn of(partition: TopicPartition) -> Progress {
        Progress {
            partition,
            commits: Vec::new(),
            acked: 0,
            asked: Vec::new(),
            processed: Vec::new(),
            began: None,
            jumped: Vec::new(),
            in_vain: None,
            moved: Vec::new(),
            count: 0,
            sent: Vec::new(),
        }
    }

    /// Whether a process was moved and has said nothing of where it is since.
    pub fn was_moved(&self, node: NodeId) -> bool {
        self.moved.iter().any(|moved| moved.node == node)
    }

    /// Whether what comes of a process about an offset can only be what it has given up.
    pub fn is_adrift(&self, node: NodeId, offset: Offset) -> bool {
        self.sent.iter().any(|it| (it.node, it.offset) == (node, offset) && it.waits == 0 && it.adrift > 0)
    }

    /// What is known of a process's word, if it is remembered.
    fn said(&mut self, node: NodeId, offset: Offset) -> Option<&mut Said> {
        self.sent.iter_mut().rfind(|it| (it.node, it.offset) == (node, offset))
    }

    /// A process says so, once more or for the first time.
    fn says(&mut self, node: NodeId, offset: Offset) {
        self.count += 1;
        let before = self.moved.iter().find(|moved| moved.may_be_of_before(node, offset));
        let nth = before.map_or(self.count, |moved| moved.sent);
        if let Some(said) = self.said(node, offset) {
            said.waits += 1;
            if said.nth == 0 {
                said.nth = nth;
            }
            return;
        }
        if self.sent.len() >= SENT {
            // What was answered need not be remembered for long; what was not may still arrive.
            let answered = self.sent.iter().position(|it| it.waits == 0 && it.adrift == 0);
            if let Some(at) = answered.or((self.sent.len() >= UNANSWERED).then_some(0)) {
                self.sent.remove(at);
            }
        }
        self.sent.push(Said { node, offset, nth, waits: 1, adrift: 0 });
    }
}

/// How many offsets are remembered as said, and how many if they are not answered.
const SENT: usize = 256;
const UNANSWERED: usize = 4096;
/// How many generations are remembered with their members.
const ROSTERS: usize = 8;

/// Where a member of a KIP-848 group stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Who.
    pub member: MemberId,
    /// Its member epoch.
    pub epoch: i32,
    /// What it owns, is told to own, or is to give up, with the member epoch in which it was given.
    pub held: Vec<(TopicPartition, i32)>,
}

/// A group as its newest coordinator has it.
#[derive(Clone, Debug)]
pub struct Group {
    /// Which.
    pub id: GroupId,
    /// Its coordinator's partition, leader epoch and process.
    pub coordinator: (TopicPartition, LeaderEpoch, NodeId),
    /// How it stands.
    pub state: GroupState,
    /// Its generation.
    pub generation: i32,
    /// Who is in it.
    pub members: Vec<MemberId>,
    /// Whose process each member was, as far as was heard.
    pub nodes: Vec<(MemberId, NodeId)>,
    /// Which member each `group.instance.id` was, as they came.
    pub instances: Vec<Instance>,
    /// Who was ever in it while it was stable: whose membership is written down.
    pub written: Vec<MemberId>,
    /// Who was in the newest generations, by each of its coordinators: two that do not know of each other may count
    /// the same generation.
    rosters: Vec<(LeaderEpoch, i32, Vec<MemberId>)>,
    /// Since when it is as it is.
    pub since: Instant,
    /// When the shares of each generation were made: a coordinator that lost what it had written goes back to one.
    made: BTreeMap<i32, Instant>,
    /// The generation that somebody was to make shares for last, and since when.
    led: (i32, Instant),
    /// The newest generation that was ever stable.
    pub settled: i32,
    /// Where its members stand, if it is a KIP-848 group; nothing for a classic one.
    pub standings: Vec<Standing>,
    /// How far it has come.
    pub progress: Vec<Progress>,
    /// Where each partition stands among these.
    places: Lookup<TopicPartition, u32>,
}

/// A member of a group by its `group.instance.id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Which.
    pub name: InstanceId,
    /// The member.
    pub member: MemberId,
    /// When it was added.
    pub at: Instant,
}

/// What a process owns as a member.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Whose process.
    pub node: NodeId,
    /// Of which group.
    pub group: GroupId,
    /// As whom.
    pub member: MemberId,
    /// In which generation.
    pub generation: i32,
    /// What.
    pub partitions: Vec<TopicPartition>,
    /// Since when.
    pub since: Instant,
}

/// A broker that looks after the groups of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hosted {
    /// Which partition.
    pub partition: TopicPartition,
    /// In which leader epoch.
    pub epoch: LeaderEpoch,
    /// Which broker.
    pub node: NodeId,
    /// Until when; nothing as long as it does.
    pub until: Option<Instant>,
}

/// Everything that is known of groups.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// In the order in which they were first heard of.
    pub all: Vec<Group>,
    /// What each member's process owns.
    pub owners: Vec<Owner>,
    /// Whose processes own each partition, of whatever group.
    holders: Lookup<TopicPartition, Vec<NodeId>>,
    /// Who looks after what, and did.
    pub hosted: Vec<Hosted>,
    /// Who was last told that it assigns in each group, and when.
    pub leaders: Vec<(GroupId, NodeId, Instant)>,
    /// When each node first heard of a partition.
    pub heard: Known<Instant>,
    /// Whether anybody's position was ever moved.
    moves: bool,
    /// Whose processes have left their group by themselves, or were told never to come back.
    pub left: Vec<NodeId>,
}

impl Groups {
    /// The group of this name.
    pub fn group(&self, id: &GroupId) -> Option<&Group> {
        self.all.iter().find(|group| group.id == *id)
    }

    fn group_mut(&mut self, id: &GroupId) -> Option<&mut Group> {
        self.all.iter_mut().find(|group| group.id == *id)
    }

    /// Whether another has looked after the groups of a partition since an epoch.
    pub fn is_former(&self, by: TopicPartition, epoch: LeaderEpoch) -> bool {
        self.hosted.iter().any(|it| it.partition == by && it.epoch > epoch)
    }

    /// Whether a coordinator of before, which did not know that it had been replaced when `instance` joined, takes
    /// another for the one that has its name.
    pub fn is_mistaken_for(&self, group: &Group, instance: &Instance) -> bool {
        let other = |member: &MemberId| {
            let known = group.instances.iter().find(|it| it.member == *member);
            known.is_some_and(|it| it.name == instance.name && it.member != instance.member)
        };
        let mut former = self.hosted.iter().filter(|it| {
            it.partition == group.coordinator.0
                && it.epoch < group.coordinator.1
                && it.until.is_none_or(|until| until > instance.at)
        });
        former.any(|it| {
            group.rosters.iter().any(|(by, _, members)| *by == it.epoch && members.iter().any(other))
        })
    }

    /// What a process owns.
    pub fn owner(&self, node: NodeId) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.node == node)
    }

    /// Whose processes own a partition as members of a group, in the order in which they said so.
    pub fn holders<'a>(&'a self, group: &'a GroupId, of: TopicPartition) -> impl Iterator<Item = &'a Owner> {
        let all = self.holders.get(&of).into_iter().flatten();
        all.filter_map(|node| self.owner(*node)).filter(move |owner| owner.group == *group)
    }

    /// A process owns nothing any more.
    fn disown(&mut self, node: NodeId) {
        let Some(at) = self.owners.iter().position(|owner| owner.node == node) else { return };
        for partition in self.owners.remove(at).partitions {
            if let Some(holders) = self.holders.get_mut(&partition) {
                holders.retain(|holder| *holder != node);
            }
        }
    }

    /// A process is gone, and with it what it owned and looked after.
    pub fn stopped(&mut self, now: Instant, node: NodeId) {
        self.disown(node);
        self.left.retain(|it| *it != node);
        for hosted in self.hosted.iter_mut().filter(|it| it.node == node && it.until.is_none()) {
            hosted.until = Some(now);
        }
        for progress in self.all.iter_mut().flat_map(|group| &mut group.progress) {
            progress.asked.retain(|(asker, _)| *asker != node);
        }
    }

    /// Takes in what somebody says of groups.
    pub fn apply(&mut self, now: Instant, node: NodeId, event: &Event) {
        match event {
            Event::CoordinatorLoaded { partition, epoch, .. } => {
                self.hosted.push(Hosted { partition: *partition, epoch: *epoch, node, until: None });
            }
            Event::CoordinatorUnloaded { partition, epoch } => {
                let this = |it: &&mut Hosted| {
                    it.partition == *partition && it.epoch == *epoch && it.node == node && it.until.is_none()
                };
                self.hosted.iter_mut().filter(this).for_each(|it| it.until = Some(now));
            }
            Event::GroupStateChanged { .. } => self.state_changed(now, node, event),
            Event::MemberReconciled { .. } => self.reconciled(now, event),
            Event::MemberAdded { group, member, node, instance } => {
                if self.group(group).is_none() {
                    self.all.push(unheard(group.clone(), now));
                }
                let Some(group) = self.group_mut(group) else { return };
                group.nodes.push((member.clone(), *node));
                if let Some(instance) = instance {
                    group.instances.push(Instance {
                        name: instance.clone(),
                        member: member.clone(),
                        at: now,
                    });
                }
            }
            Event::PartitionsOwned { group, member, generation, partitions, .. } => {
                self.disown(node);
                for partition in partitions {
                    self.holders.entry(*partition).or_default().push(node);
                }
                self.owners.push(Owner {
                    node,
                    group: group.clone(),
                    member: member.clone(),
                    generation: *generation,
                    partitions: partitions.clone(),
                    since: now,
                });
            }
            Event::MembershipLost {
                why: MembershipEnd::Left | MembershipEnd::InstanceFenced | MembershipEnd::Refused,
                ..
            } => self.left.push(node),
            Event::MetadataLearned { partition, .. } => {
                self.heard.entry(node, *partition).get_or_insert(now);
            }
            Event::GroupJoined { group, member, generation, leads } => {
                if *leads {
                    self.leaders.retain(|(known, ..)| known != group);
                    self.leaders.push((group.clone(), node, now));
                    if let Some(known) = self.group_mut(group).filter(|known| known.led.0 < *generation) {
                        known.led = (*generation, now);
                    }
                }
                self.left.retain(|it| *it != node);
                // A KIP-848 coordinator says what it has appended, and tells its members what is committed.
                if let Some(known) = self.group_mut(group).filter(|known| known.is_modern()) {
                    known.settled = known.settled.max(*generation);
                    if !known.written.contains(member) {
                        known.written.push(member.clone());
                    }
                }
                // What it still owns it owns in the new generation, unless it is told otherwise.
                if let Some(owner) = self.owners.iter_mut().find(|it| it.node == node && it.group == *group) {
                    (owner.member, owner.generation) = (member.clone(), *generation);
                }
            }
            _ => self.progress(now, node, event),
        }
    }

    fn state_changed(&mut self, now: Instant, node: NodeId, event: &Event) {
        let Event::GroupStateChanged { group, partition, coordinator, state, generation, members } = event
        else {
            return;
        };
        if self.group(group).is_none() {
            self.all.push(unheard(group.clone(), now));
        }
        let Some(group) = self.group_mut(group) else { return };
        if !matches!(state, GroupState::Empty | GroupState::PreparingRebalance | GroupState::Dead) {
            group.rosters.retain(|(by, number, _)| (by, number) != (coordinator, generation));
            group.rosters.truncate(ROSTERS - 1);
            group.rosters.insert(0, (*coordinator, *generation, members.clone()));
        }
        if group.coordinator.1 > *coordinator && group.coordinator.0 == *partition {
            return;
        }
        let by = (*partition, *coordinator, node);
        let makes = group.coordinator == by
            && (group.state, group.generation) == (GroupState::CompletingRebalance, *generation);
        group.coordinator = by;
        match state {
            GroupState::Stable => group.shares_stand(now, *generation, makes),
            // Shares are to be made for it once more: those of a generation of that number were lost.
            GroupState::CompletingRebalance if group.led.0 >= *generation && !makes => group.led = (0, now),
            _ => {}
        }
        group.state = *state;
        group.generation = *generation;
        group.members.clone_from(members);
        group.since = now;
        group.standings.retain(|it| members.contains(&it.member));
        match state {
            GroupState::PreparingRebalance | GroupState::CompletingRebalance => group.standings.clear(),
            GroupState::Stable if group.is_modern() => {}
            GroupState::Stable => {
                group.settled = group.settled.max(*generation);
                let new: Vec<MemberId> =
                    members.iter().filter(|it| !group.written.contains(it)).cloned().collect();
                group.written.extend(new);
            }
            // Whoever joins under its name makes another group.
            GroupState::Dead => {
                (group.settled, group.generation) = (0, 0);
                group.made.clear();
            }
            GroupState::Empty | GroupState::Assigning | GroupState::Reconciling => {}
        }
    }

    /// A member of a KIP-848 group stands elsewhere.
    fn reconciled(&mut self, now: Instant, event: &Event) {
        let Event::MemberReconciled { group, member, by, coordinator, epoch, assigned, revoking } = event
        else {
            return;
        };
        if self.group(group).is_none() {
            self.all.push(unheard(group.clone(), now));
        }
        let Some(group) = self.group_mut(group) else { return };
        if group.coordinator.1 > *coordinator && group.coordinator.0 == *by {
            return;
        }
        let held = assigned.iter().chain(revoking).copied().collect();
        group.standings.retain(|it| it.member != *member);
        group.standings.push(Standing { member: member.clone(), epoch: *epoch, held });
    }

    fn progress(&mut self, now: Instant, node: NodeId, event: &Event) {
        match event {
            Event::OffsetAccepted { group, partition, offset, member, by: log, coordinator, .. } => {
                let by = self.group(group).and_then(|it| it.node_of(member));
                let doubtful = self.is_former(*log, *coordinator);
                let commit = Commit {
                    offset: *offset,
                    by,
                    at: now,
                    coordinator: *coordinator,
                    forgotten: false,
                    doubtful,
                };
                let progress = self.of(group, *partition);
                progress.commits.push(commit);
            }
            Event::OffsetForgotten { group, partition, .. } => {
                let commit = Commit {
                    offset: Offset::ZERO,
                    by: None,
                    at: now,
                    coordinator: LeaderEpoch::default(),
                    forgotten: true,
                    doubtful: false,
                };
                let progress = self.of(group, *partition);
                progress.commits.push(commit);
                // An operator, or time: nobody waits for it.
                progress.acked = progress.commits.len();
            }
            Event::CommitSent { group, partition, offset, .. } => {
                self.of(group, *partition).says(node, *offset);
            }
            Event::CommitFailed { group, partition, offset, error, retried } => {
                let progress = self.of(group, *partition);
                if *retried && *error == ErrorCode::UnknownTopicOrPartition {
                    progress.in_vain = Some((node, now));
                }
                let said = progress.said(node, *offset);
                if let Some(said) = said.filter(|said| said.waits > 0) {
                    said.waits -= 1;
                    said.adrift += u32::from(*error == ErrorCode::NetworkException);
                }
            }
            Event::CommitAcked { group, partition, offset } => {
                let progress = self.of(group, *partition);
                let nth = progress.said(node, *offset).map_or(0, |said| {
                    said.waits = said.waits.saturating_sub(1);
                    core::mem::take(&mut said.nth)
                });
                progress.moved.retain(|moved| {
                    moved.node != node || (nth > 0 && nth <= moved.sent) || moved.from == Some(*offset)
                });
                let taken = |it: &Commit| {
                    it.by == Some(node) && it.offset == *offset && !it.forgotten && !it.doubtful
                };
                if let Some(at) = progress.commits.iter().rposition(taken) {
                    progress.acked = progress.acked.max(at + 1);
                }
            }
            Event::CommittedAsked { group, partitions } => {
                for partition in partitions {
                    let progress = self.of(group, *partition);
                    progress.asked.retain(|(asker, _)| *asker != node);
                    let acked = progress.acked;
                    progress.asked.push((node, acked));
                }
            }
            Event::CommittedTold { group, partition, offset } => {
                let progress = self.of(group, *partition);
                progress.asked.retain(|(asker, _)| *asker != node);
                let told = |it: &Commit| Some(it.offset) == *offset && !it.forgotten;
                if let Some(at) = progress.commits.iter().rposition(told) {
                    progress.commits[at].doubtful = false;
                    progress.acked = progress.acked.max(at + 1);
                }
            }
            Event::Delivered { partition, offset, .. } if self.moves => {
                let Some(group) = self.owner(node).map(|owner| owner.group.clone()) else { return };
                let moved = self.of(&group, *partition).moved.iter_mut().find(|moved| moved.node == node);
                if let Some(moved) = moved {
                    moved.reached = Offset(offset.0 + 1);
                }
            }
            Event::Processed { partition, from, to } => {
                if let Some(group) = self.owner(node).map(|owner| owner.group.clone()) {
                    add(&mut self.of(&group, *partition).processed, (*from, *to));
                }
            }
            Event::PositionMoved { partition, from, to, why } => {
                let Some(group) = self.owner(node).map(|owner| owner.group.clone()) else { return };
                let progress = self.of(&group, *partition);
                match why {
                    SeekReason::Committed => {}
                    SeekReason::Reset if progress.commits.is_empty() => {
                        progress.began = Some(progress.began.map_or(*to, |began| began.min(*to)));
                    }
                    _ => {
                        add(&mut progress.jumped, (from.unwrap_or(Offset::ZERO), *to));
                        progress.moved.retain(|moved| moved.node != node);
                        progress.count = progress.count.max(1);
                        progress.moved.push(Move {
                            node,
                            sent: progress.count,
                            from: *from,
                            to: *to,
                            reached: *to,
                        });
                        self.moves = true;
                    }
                }
            }
            _ => {}
        }
    }

    fn of(&mut self, group: &GroupId, partition: TopicPartition) -> &mut Progress {
        let at = self.all.iter().position(|it| it.id == *group).unwrap_or_else(|| {
            self.all.push(unheard(group.clone(), Instant::ZERO));
            self.all.len() - 1
        });
        let Group { progress, places, .. } = &mut self.all[at];
        let place = *places.entry(partition).or_insert_with(|| {
            progress.push(Progress::of(partition));
            progress.len() as u32 - 1
        });
        &mut progress[place as usize]
    }
}

impl Group {
    /// Whether two members that speak of a generation of this number mean the same one. Coordinators that do not know
    /// of each other may both have counted one; none tells which of them a member heard of, so the two were in all
    /// of those together.
    pub fn had(&self, generation: i32, one: &MemberId, other: &MemberId) -> bool {
        let mut together = false;
        for (_, _, members) in self.rosters.iter().filter(|(_, number, _)| *number == generation) {
            match (members.contains(one), members.contains(other)) {
                (true, true) => together = true,
                (false, false) => {}
                _ => return false,
            }
        }
        together
    }

    /// Whose process a member was last.
    pub fn node_of(&self, member: &MemberId) -> Option<NodeId> {
        self.nodes.iter().rev().find(|(known, _)| known == member).map(|(_, node)| *node)
    }

    /// Whether it is a KIP-848 group with members.
    pub fn is_modern(&self) -> bool {
        !self.standings.is_empty()
    }

    /// Where a member of a KIP-848 group stands.
    pub fn standing(&self, member: &MemberId) -> Option<&Standing> {
        self.standings.iter().find(|it| it.member == *member)
    }

    /// When the shares of its generation were made, once it is stable: who makes them does not know what it hears later.
    pub fn assigned(&self) -> Instant {
        self.made.get(&self.generation).copied().unwrap_or(self.since)
    }

    /// It is stable in a generation: its coordinator `makes` that so, or says again what was settled before.
    fn shares_stand(&mut self, now: Instant, generation: i32, makes: bool) {
        let led = if self.led.0 == generation { self.led.1 } else { now };
        let made = self.made.entry(generation).or_insert(led);
        if makes {
            *made = led;
        }
    }

    /// How far it has come in a partition.
    pub fn progress_in(&self, partition: TopicPartition) -> Option<&Progress> {
        self.places.get(&partition).map(|place| &self.progress[*place as usize])
    }
}

fn unheard(id: GroupId, now: Instant) -> Group {
    Group {
        id,
        coordinator: (TopicPartition::default(), LeaderEpoch(0), NodeId::default()),
        state: GroupState::Empty,
        generation: 0,
        members: Vec::new(),
        nodes: Vec::new(),
        instances: Vec::new(),
        written: Vec::new(),
        rosters: Vec::new(),
        since: now,
        made: BTreeMap::new(),
        led: (0, now),
        settled: 0,
        standings: Vec::new(),
        progress: Vec::new(),
        places: Lookup::default(),
    }
}

/// Adds a stretch to others, joined with those that it touches.
fn add(stretches: &mut Vec<(Offset, Offset)>, (from, to): (Offset, Offset)) {
    if from >= to {
        return;
    }
    let begin = stretches.partition_point(|(_, end)| *end < from);
    let end = stretches.partition_point(|(start, _)| *start <= to);
    let joined = stretches[begin..end].iter().fold((from, to), |(a, b), (c, d)| (a.min(*c), b.max(*d)));
    stretches.splice(begin..end, [joined]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_that_touch_are_one() {
        let mut all = Vec::new();
        for (from, to) in [(5, 9), (20, 30), (9, 12), (0, 2), (1, 6), (40, 40)] {
            add(&mut all, (Offset(from), Offset(to)));
        }
        assert_eq!(all, [(Offset(0), Offset(12)), (Offset(20), Offset(30))]);
    }
}
