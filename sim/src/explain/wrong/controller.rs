//! Where does a controller, or a member of the quorum, act against what is committed?

use std::collections::BTreeMap;

use trial_model::{
    event::{Event, QuorumRole},
    units::{
        BrokerEpoch, Incarnation, LeaderEpoch, NodeId, NodeRole, NodeSet, Offset, ProducerId, TopicPartition,
    },
};

use super::{Scene, Wrong};
use crate::world_event::WorldEvent;

/// What was seen before.
#[derive(Default)]
pub(super) struct Memory {
    /// The registration of every life of a broker.
    registered: BTreeMap<(NodeId, Incarnation), (BrokerEpoch, Offset, usize)>,
    /// Who was elected in a quorum epoch in the life that goes on, and where its log ended.
    elected: BTreeMap<NodeId, (LeaderEpoch, Offset, usize)>,
    /// Whom a voter has voted for, in every epoch.
    votes: BTreeMap<(NodeId, LeaderEpoch), (NodeId, usize)>,
    /// The blocks of producer ids, and to whom they were given.
    blocks: Vec<(ProducerId, u32, NodeId, Offset, usize)>,
    /// A registration after an unclean death, whose controller has not changed the partition in the same step.
    suspended: Option<Wrong>,
    suspended_step: usize,
}

impl Memory {
    pub(super) fn world(&mut self, event: &WorldEvent) {
        if let WorldEvent::NodeStopped { node, .. } = event {
            self.elected.remove(node);
        }
    }

    pub(super) fn look(&mut self, scene: &Scene<'_>, event: &Event, news: bool) -> Option<Wrong> {
        let late = self.unchanged(scene, event);
        let found = match event {
            Event::LeaderElected { partition, state, unclean, .. } if news => {
                // An unclean election takes who it can get.
                let joins = || (!*unclean).then(|| join(scene, *partition, &state.isr)).flatten();
                elect(scene, *partition, state.leader, *unclean).or_else(joins)
            }
            Event::IsrExpanded { partition, from, state, .. } if news => {
                join(scene, *partition, &state.isr.minus(from))
            }
            Event::IsrAdopted { partition, epoch, partition_epoch, isr } => {
                let partition = *partition;
                let known = scene.cluster.partition(partition)?;
                let truth = known.truth.as_ref()?;
                let same = truth.partition_epoch == *partition_epoch && truth.leader_epoch == *epoch;
                if !same || truth.isr == *isr {
                    None
                } else {
                    let told = scene.truths.get(&partition).copied();
                    let isr_is = truth.isr.to_string();
                    scene.wrong(
                        Some(partition),
                        format!("{} took {isr} for the committed ISR", scene.name(scene.node)),
                        scene.told(told, &isr_is),
                        isr_is,
                        told,
                    )
                }
            }
            Event::ControllerActivated { end, .. } => self.activate(scene, *end),
            Event::BrokerRegistered { broker, epoch, incarnation, clean, at, .. } if news => {
                self.register(scene, *broker, (*epoch, *at), *incarnation, *clean)
            }
            Event::BrokerFenced { broker, .. } if news => fence(scene, *broker),
            Event::ProducerIdsAllocated { broker, first, len, at, .. } if news => {
                self.allocate(scene, *broker, (*first, *len), *at)
            }
            Event::QuorumRoleChanged { role, epoch, .. } => self.role(scene, *role, *epoch),
            Event::QuorumVoted { epoch, candidate } => self.vote(scene, *epoch, *candidate),
            Event::QuorumHighWatermarkAdvanced { epoch, from, to, leader: true, .. } => {
                self.commit(scene, *epoch, (*from, *to))
            }
            _ => None,
        };
        if let Event::QuorumLeaderElected { epoch, log_end, .. } = event {
            self.elected.insert(scene.node, (*epoch, *log_end, scene.entry));
            self.votes.entry((scene.node, *epoch)).or_insert((scene.node, scene.entry));
        }
        late.or(found)
    }

    /// A controller decides before it knows all that was decided.
    fn activate(&self, scene: &Scene<'_>, end: Offset) -> Option<Wrong> {
        // Its own epoch's record is the last one in its log when it may begin.
        let log_end = scene.cluster.quorum.log.replica(scene.node)?.end;
        if end >= log_end {
            return None;
        }
        scene.wrong(
            None,
            format!("{} became active having replayed metadata up to {end}", scene.name(scene.node)),
            format!("its own log ends at {log_end}"),
            format!("its log ends at {log_end}"),
            None,
        )
    }

    fn register(
        &mut self,
        scene: &Scene<'_>,
        broker: NodeId,
        (epoch, at): (BrokerEpoch, Offset),
        incarnation: Incarnation,
        clean: bool,
    ) -> Option<Wrong> {
        let known = self.registered.insert((broker, incarnation), (epoch, at, scene.entry));
        if let Some((before, _, entry)) = known.filter(|(before, other, _)| *before != epoch && *other != at)
        {
            return scene.wrong(
                None,
                format!("{} gave {} another epoch, {epoch}", scene.name(scene.node), scene.name(broker)),
                format!("the same life of it was registered with epoch {before}"),
                format!("registered with epoch {before}"),
                Some(entry),
            );
        }
        // A restart that was not clean must take its partitions away; the record that does it comes with it.
        let led = scene.cluster.partitions.iter().find(|partition| {
            !partition.deleted && partition.truth.as_ref().is_some_and(|truth| truth.leader == Some(broker))
        })?;
        let first = scene.cluster.broker(broker).is_none_or(|broker| broker.registered.is_none());
        if clean || first {
            return None;
        }
        let truth = led.truth.as_ref()?;
        let told = scene.truths.get(&led.id).copied();
        self.suspended = scene.wrong(
            Some(led.id),
            format!(
                "{} registered {} again and left it leader of {} in epoch {}",
                scene.name(scene.node),
                scene.name(broker),
                scene.part(led.id),
                truth.leader_epoch
            ),
            format!("{} had died without a clean shutdown", scene.name(broker)),
            "it had died uncleanly".into(),
            told,
        );
        self.suspended_step = scene.step;
        None
    }

    /// Says what was suspended once the step is over and the partition was not changed in it.
    fn unchanged(&mut self, scene: &Scene<'_>, event: &Event) -> Option<Wrong> {
        let suspended = self.suspended.as_ref()?;
        // What the same controller tells next may still be of the same records.
        let mends = matches!(event, Event::LeaderElected { partition, .. } if Some(*partition) == suspended.partition);
        if mends {
            self.suspended = None;
            return None;
        }
        let over = scene.node == suspended.node && scene.step != self.suspended_step;
        if over { self.suspended.take() } else { None }
    }

    fn allocate(
        &mut self,
        scene: &Scene<'_>,
        broker: NodeId,
        (first, len): (ProducerId, u32),
        at: Offset,
    ) -> Option<Wrong> {
        let end = |first: ProducerId, len: u32| i64::try_from(first.0).unwrap_or(i64::MAX) + i64::from(len);
        let start = |first: ProducerId| i64::try_from(first.0).unwrap_or(i64::MAX);
        let overlap = self.blocks.iter().copied().find(|(other, other_len, _, other_at, _)| {
            *other_at != at && start(first) < end(*other, *other_len) && start(*other) < end(first, len)
        });
        self.blocks.push((first, len, broker, at, scene.entry));
        let (other, other_len, owner, _, entry) = overlap?;
        scene.wrong(
            None,
            format!(
                "{} gave {} the producer ids {first}..+{len}",
                scene.name(scene.node),
                scene.name(broker)
            ),
            format!("{other}..+{other_len} had been given to {}", scene.name(owner)),
            format!("{} has them", scene.name(owner)),
            Some(entry),
        )
    }

    fn role(&self, scene: &Scene<'_>, role: QuorumRole, epoch: LeaderEpoch) -> Option<Wrong> {
        let stands = matches!(role, QuorumRole::Prospective | QuorumRole::Candidate | QuorumRole::Leader);
        if stands && scene.node.role() != NodeRole::Controller {
            return scene.wrong(
                None,
                format!("{} became {role} in quorum epoch {epoch}", scene.name(scene.node)),
                "it is no voter".into(),
                "it is no voter".into(),
                None,
            );
        }
        let elected = self.elected.get(&scene.node).is_some_and(|(of, ..)| *of == epoch);
        let states = scene.record.stated(scene.step);
        let now = states.into_iter().any(|(_, event)| matches!(event, Event::QuorumLeaderElected { .. }));
        if role != QuorumRole::Leader || elected || now || scene.cluster.quorum.voters.len() < 2 {
            return None;
        }
        scene.wrong(
            None,
            format!("{} went on leading quorum epoch {epoch} after a restart", scene.name(scene.node)),
            "nobody elected it in this life".into(),
            "nobody elected it in this life".into(),
            None,
        )
    }

    fn vote(&mut self, scene: &Scene<'_>, epoch: LeaderEpoch, candidate: NodeId) -> Option<Wrong> {
        let before = *self.votes.entry((scene.node, epoch)).or_insert((candidate, scene.entry));
        if before.0 == candidate {
            return None;
        }
        let (own, entry) = before;
        let had = if own == scene.node {
            "it leads that epoch itself".into()
        } else {
            format!("it had voted for {}", scene.name(own))
        };
        scene.wrong(
            None,
            format!("{} voted for {} in quorum epoch {epoch}", scene.name(scene.node), scene.name(candidate)),
            had.clone(),
            had,
            Some(entry),
        )
    }

    /// A quorum leader commits what too few have on their platters, or what is not of its epoch.
    fn commit(&self, scene: &Scene<'_>, epoch: LeaderEpoch, (from, to): (Offset, Offset)) -> Option<Wrong> {
        let quorum = &scene.cluster.quorum;
        let what = format!("{} committed metadata {from} → {to} in epoch {epoch}", scene.name(scene.node));
        if let Some((_, end, entry)) = self.elected.get(&scene.node).filter(|(of, ..)| *of == epoch)
            && to <= *end
            && to > from
        {
            return scene.wrong(
                None,
                what,
                format!(
                    "its epoch begins at {end}: these are of former ones, and another leader may cut them"
                ),
                format!("its epoch begins at {end}"),
                Some(*entry),
            );
        }
        let log = &quorum.log;
        let flushed: NodeSet = quorum
            .voters
            .iter()
            .map(|voter| voter.node)
            .filter(|node| log.replica(*node).is_some_and(|replica| replica.flushed >= to))
            .collect();
        // Who lost its disk since had it when it was counted.
        let lost = log.replicas.iter().any(|replica| replica.lost_to.is_some() || replica.deceived);
        if flushed.len() >= quorum.majority() || lost || to <= from {
            return None;
        }
        let names: Vec<String> = flushed.iter().map(|node| scene.name(node)).collect();
        let who = if names.is_empty() { "nobody".into() } else { format!("only {}", names.join(" and ")) };
        scene.wrong(
            None,
            what,
            format!("{who} had flushed them: {} of {} must", quorum.majority(), quorum.voters.len()),
            format!("{who} flushed {to}"),
            None,
        )
    }
}

/// A controller elects who is not known to have everything.
fn elect(scene: &Scene<'_>, id: TopicPartition, leader: Option<NodeId>, unclean: bool) -> Option<Wrong> {
    let leader = leader?;
    let partition = scene.cluster.partition(id).filter(|partition| !partition.deleted)?;
    let truth = partition.truth.as_ref()?;
    if partition.candidates().any(|candidate| candidate == leader) || partition.rules.may_be_unclean() {
        return None;
    }
    // KIP-966: once nobody is left who is known to have everything, the last leader may come back. Whoever registers now
    // leaves the ELR with the same records.
    let nobody = truth.isr.is_empty() && (truth.elr.is_empty() || partition.is_exhausted());
    if unclean && scene.setup.elr && nobody {
        return None;
    }
    let told = scene.truths.get(&id).copied();
    let isr = truth.isr.to_string();
    scene.wrong(
        Some(id),
        format!("{} elected {} for {}", scene.name(scene.node), scene.name(leader), scene.part(id)),
        format!("{}, and unclean elections are not allowed", scene.told(told, &isr)),
        format!("{isr} in sync"),
        told,
    )
}

/// A controller fences a broker and leaves it in sync, where there are eligible replicas to move it to.
fn fence(scene: &Scene<'_>, broker: NodeId) -> Option<Wrong> {
    let left = scene.cluster.partitions.iter().find(|partition| {
        !partition.deleted && partition.truth.as_ref().is_some_and(|truth| truth.isr.contains(broker))
    });
    let id = left.filter(|_| scene.setup.elr)?.id;
    let told = scene.truths.get(&id).copied();
    scene.wrong(
        Some(id),
        format!("{} fenced {}", scene.name(scene.node), scene.name(broker)),
        format!("it left it in the ISR of {}: with everything it may lead again", scene.part(id)),
        "still in sync".into(),
        told,
    )
}

/// A controller takes a broker into the ISR that is fenced, or whose log lacks what is committed.
fn join(scene: &Scene<'_>, id: TopicPartition, more: &NodeSet) -> Option<Wrong> {
    let partition = scene.cluster.partition(id).filter(|partition| !partition.deleted)?;
    let told = scene.truths.get(&id).copied();
    let isr = partition.truth.as_ref().map_or_else(NodeSet::new, |truth| truth.isr.clone());
    for member in more.iter().filter(|member| !isr.contains(*member)) {
        let Some(broker) = scene.cluster.broker(member) else { continue };
        let what = format!(
            "{} took {} into the ISR of {}",
            scene.name(scene.node),
            scene.name(member),
            scene.part(id)
        );
        if broker.registered.is_some() && (broker.fenced || broker.leaving) {
            let how = if broker.fenced { "fenced" } else { "in controlled shutdown" };
            let but = format!("{} is {how}, by its own records", scene.name(member));
            return scene.wrong(Some(id), what, but, format!("{} is {how}", scene.name(member)), told);
        }
        let Some(replica) = partition.replica(member) else { continue };
        let short = replica.open && !replica.holds(&partition.trunk, partition.high_watermark);
        let pardoned = partition.pardon
            || partition.conceded
            || scene.setup.forgives(partition.lossy(), partition.min_insync());
        if short && scene.cluster.serves(member) && !pardoned {
            return scene.wrong(
                Some(id),
                what,
                format!("its log ends at {}, and {} is committed", replica.end, partition.high_watermark),
                format!("ends at {}, committed {}", replica.end, partition.high_watermark),
                scene.marks.get(&id).copied(),
            );
        }
    }
    None
}
