//! Does a member go on where its group is? (`BB-dup-processing`)

use trial_model::{
    event::{CommitReason, Event, EventKind, SeekReason},
    units::{NodeId, Offset, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::{mirror::Lookup, world_event::WorldEvent};

pub(super) const INFO: CheckInfo = safety(
    "groups_begin_where_they_committed",
    "BB-dup-processing",
    "A member that is given a partition reads on from the group's committed offset, and from elsewhere only if there is none; an eager one is given nothing more of it after its last commit.",
);

/// What each process was told last of a partition.
#[derive(Default)]
struct GroupsBeginWhereTheyCommitted {
    told: Lookup<(NodeId, TopicPartition), Option<Offset>>,
    /// What each process owns.
    owned: Vec<(NodeId, Vec<TopicPartition>)>,
    /// What each process was given and has no position in yet.
    unplaced: Lookup<NodeId, Vec<TopicPartition>>,
    /// What an eager member is about to give up, and has committed for the last time: up to where.
    leaving: Vec<(NodeId, TopicPartition, Offset)>,
}

impl GroupsBeginWhereTheyCommitted {
    fn owns(&mut self, node: NodeId, partitions: &[TopicPartition]) {
        let before = self.owned.iter().find(|(known, _)| *known == node).map(|(_, owned)| owned.as_slice());
        let new = partitions.iter().filter(|it| !before.unwrap_or_default().contains(it));
        let unplaced = self.unplaced.entry(node).or_default();
        unplaced.retain(|it| partitions.contains(it));
        unplaced.extend(new);
        self.owned.retain(|(known, _)| *known != node);
        self.owned.push((node, partitions.to_vec()));
        self.leaving.retain(|(known, ..)| *known != node);
    }
}

impl GroupsBeginWhereTheyCommitted {
    fn is_unplaced(&self, node: NodeId, partition: TopicPartition) -> bool {
        self.unplaced.get(&node).is_some_and(|unplaced| unplaced.contains(&partition))
    }

    fn placed(&mut self, node: NodeId, partition: TopicPartition) {
        if let Some(unplaced) = self.unplaced.get_mut(&node) {
            unplaced.retain(|it| *it != partition);
        }
    }

    /// A record that the next owner will be given, too.
    fn delivered_late(
        &mut self,
        scene: Scene<'_>,
        partition: TopicPartition,
        offset: Offset,
        found: &mut Found,
    ) {
        let node = scene.node;
        let here = |(who, what, upto): &&(NodeId, TopicPartition, Offset)| {
            (*who, *what) == (node, partition) && offset >= *upto
        };
        let Some((.., upto)) = self.leaving.iter().find(here).copied() else { return };
        if scene.cluster.is_ambiguous(partition.topic) {
            return;
        }
        found.report(INFO.name, Some(partition), |n| {
            (
                format!("{} reads on in {}, which it gives up", Name(n, node), Name(n, partition)),
                vec![
                    ("wrong", format!("its last commit there is @{upto}: what follows is read again")),
                    ("read", format!("@{offset}")),
                ],
            )
        });
    }
}

pub(super) fn check() -> Box<dyn Check> {
    Box::<GroupsBeginWhereTheyCommitted>::default()
}

impl Check for GroupsBeginWhereTheyCommitted {
    fn hears(&self) -> Hears {
        Hears {
            after: &[
                EventKind::CommittedTold,
                EventKind::CommittedAsked,
                EventKind::PositionMoved,
                EventKind::PartitionsOwned,
                EventKind::CommitSent,
                EventKind::MembershipLost,
                EventKind::Delivered,
            ],
            ..Hears::default()
        }
    }

    fn world(&mut self, _scene: Scene<'_>, event: &WorldEvent, _found: &mut Found) {
        if let WorldEvent::NodeStopped { node, .. } = event {
            self.owns(*node, &[]);
        }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        match event {
            Event::CommittedTold { partition, offset, .. } => {
                self.told.insert((scene.node, *partition), *offset);
            }
            Event::CommittedAsked { partitions, .. } => {
                for partition in partitions {
                    self.told.remove(&(scene.node, *partition));
                }
            }
            Event::PartitionsOwned { partitions, .. } => self.owns(scene.node, partitions),
            // What it has no more it need not commit.
            Event::MembershipLost { .. } => self.leaving.retain(|(known, ..)| *known != scene.node),
            Event::CommitSent { partition, offset, why: CommitReason::Revoked, .. } => {
                let member = scene.setup.client(scene.node).and_then(|client| client.member.as_ref());
                if member.is_some_and(|member| member.eager) {
                    self.leaving.push((scene.node, *partition, *offset));
                }
            }
            Event::Delivered { partition, offset, .. } if !self.leaving.is_empty() => {
                self.delivered_late(scene, *partition, *offset, found);
            }
            Event::Delivered { partition, offset, .. } if self.is_unplaced(scene.node, *partition) => {
                if scene.cluster.is_ambiguous(partition.topic) {
                    return;
                }
                self.placed(scene.node, *partition);
                let owner = scene.cluster.groups.owner(scene.node);
                found.report(INFO.name, Some(*partition), |n| {
                    let group = owner.map_or("its group", |owner| owner.group.as_str());
                    (
                        format!("{} reads {} from anywhere", Name(n, scene.node), Name(n, *partition)),
                        vec![
                            ("wrong", format!("it was given that, and has not asked how far {group} is")),
                            ("read", format!("@{offset}")),
                        ],
                    )
                });
            }
            Event::PositionMoved { partition, to, why, from } => {
                self.placed(scene.node, *partition);
                let told = self.told.get(&(scene.node, *partition)).copied();
                let wrong = match (why, told) {
                    (SeekReason::Committed, told) => told != Some(Some(*to)),
                    (SeekReason::Reset, Some(Some(_))) => from.is_none(),
                    _ => false,
                };
                if !wrong || scene.cluster.is_ambiguous(partition.topic) {
                    return;
                }
                let node = scene.node;
                found.report(INFO.name, Some(*partition), |n| {
                    let told = match told {
                        Some(Some(offset)) => format!("that its group is at @{offset}"),
                        Some(None) => "that nothing was committed".into(),
                        None => "nothing yet".into(),
                    };
                    (
                        format!("{} begins at @{to} of {}", Name(n, node), Name(n, *partition)),
                        vec![("told", told)],
                    )
                });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::{Event, SeekReason},
        units::Offset,
    };

    use super::{super::testing::*, INFO};

    fn moved(from: Option<u64>, to: u64, why: SeekReason) -> Event {
        Event::PositionMoved { partition: P, from: from.map(Offset), to: Offset(to), why }
    }

    #[test]
    fn beginning_elsewhere_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.committed_asked(C1).committed_told(C1, Some(10));
        bench.say(C1, moved(None, 9, SeekReason::Committed));
        assert_eq!(bench.fired(), 1);
        bench.say(C1, moved(None, 0, SeekReason::Reset));
        assert_eq!(bench.fired(), 2);
        bench.committed_asked(C1).say(C1, moved(None, 10, SeekReason::Committed));
        assert_eq!(bench.fired(), 3, "it was not told again");
    }

    #[test]
    fn going_on_where_one_had_been_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).send(P1, 1).owns(C1, 3, &[P]).say(C1, moved(None, 0, SeekReason::Reset));
        bench.read(C1, 0, P1, 0).owns(C1, 4, &[P]).read(C1, 1, P1, 1);
        assert_eq!(bench.fired(), 0, "what it keeps it reads on");
        bench.owns(C1, 5, &[]).owns(C1, 6, &[P]).read(C1, 1, P1, 1);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn reading_on_after_the_last_commit_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).send(P1, 1).send(P1, 2).owns(C1, 3, &[P]).say(C1, moved(None, 0, SeekReason::Reset));
        bench.read(C1, 0, P1, 0).commit_revoked(C1, 1);
        assert_eq!(bench.fired(), 0);
        bench.read(C1, 1, P1, 1);
        assert_eq!(bench.fired(), 1);
        bench.owns(C1, 3, &[]).owns(C1, 4, &[P]).committed_asked(C1).committed_told(C1, Some(1));
        bench.say(C1, moved(None, 1, SeekReason::Committed)).read(C1, 1, P1, 1);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn beginning_where_the_group_is_is_well() {
        let mut bench = Bench::of(INFO.name);
        bench.committed_asked(C1).committed_told(C1, Some(10));
        bench.say(C1, moved(None, 10, SeekReason::Committed));
        bench.say(C1, moved(Some(10), 20, SeekReason::OutOfRange));
        bench.committed_asked(C9).committed_told(C9, None).say(C9, moved(None, 0, SeekReason::Reset));
        assert_eq!(bench.fired(), 0);
    }
}
