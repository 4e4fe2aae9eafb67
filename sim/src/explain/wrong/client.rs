//! Where does a client act against what the cluster has, or what it was told itself?

use std::collections::BTreeMap;

use trial_model::{
    event::Event,
    log::batch::ProducerStamp,
    protocol::ErrorCode,
    units::{LeaderEpoch, NodeId, Offset, ProducerId, TopicPartition},
};

use super::{
    super::record::{Sent, StepId},
    Place, Scene, Wrong,
};
use crate::world_event::WorldEvent;

/// A batch that was sent.
#[derive(Clone, Copy)]
struct Batch {
    stamp: ProducerStamp,
    content: u64,
    step: StepId,
}

/// What was seen before.
#[derive(Default)]
pub(super) struct Memory {
    /// The leader epochs that a client has learnt.
    epochs: BTreeMap<(NodeId, TopicPartition), (LeaderEpoch, usize)>,
    /// What a client was told of the end of a log.
    ends: BTreeMap<(NodeId, TopicPartition), (Offset, usize)>,
    /// How many offsets each client was told in its life.
    answers: BTreeMap<NodeId, u64>,
    /// What producers have sent.
    sent: BTreeMap<TopicPartition, Vec<Batch>>,
    looked_at: StepId,
    /// When a leader last refused a batch as too large: its producer splits it, and the first part has its number.
    too_large: BTreeMap<TopicPartition, StepId>,
    /// The ends of the logs' batches by their content's place: what was appended.
    appended: BTreeMap<(TopicPartition, ProducerId), Vec<(ProducerStamp, Offset, Offset, usize)>>,
}

impl Memory {
    /// A process that ends takes with it what it knew.
    pub(super) fn world(&mut self, event: &WorldEvent) {
        if let WorldEvent::NodeStopped { node, .. } = event {
            self.epochs.retain(|(of, _), _| of != node);
            self.ends.retain(|(of, _), _| of != node);
            self.answers.remove(node);
        }
    }

    pub(super) fn look(&mut self, scene: &Scene<'_>, event: &Event) -> Option<Wrong> {
        let sends = self.sends(scene);
        let found = match event {
            Event::MetadataLearned { partition, epoch, leader } => {
                self.learn(scene, *partition, *epoch, *leader)
            }
            Event::OffsetListed { partition, latest, offset, asked_after } => {
                let answers = self.answers.entry(scene.node).or_default();
                // One that was asked for earlier than another was answered may be older than that.
                let newest = *asked_after == *answers;
                *answers += 1;
                offset.filter(|_| *latest && newest).and_then(|offset| self.listed(scene, *partition, offset))
            }
            _ => None,
        };
        match event {
            Event::Appended { partition, base, end, producer: Some(stamp), .. } => {
                let list = self.appended.entry((*partition, stamp.id)).or_default();
                if list.iter().rev().take(64).all(|(other, ..)| other != stamp) {
                    list.push((*stamp, *base, *end, scene.entry));
                }
            }
            // What its leader does not have is not in the log any more.
            Event::LeaderStarted { partition, log_end, .. } => {
                let of_partition = self.appended.iter_mut().filter(|((id, _), _)| id == partition);
                of_partition.for_each(|(_, list)| list.retain(|(_, _, end, _)| end <= log_end));
            }
            Event::ProduceAnswered { partition, error: Some(ErrorCode::MessageTooLarge), .. } => {
                self.too_large.insert(*partition, scene.step);
            }
            _ => {}
        }
        sends.or(found)
    }

    /// Every batch that was sent up to this event: what carries a number or records that another had.
    fn sends(&mut self, scene: &Scene<'_>) -> Option<Wrong> {
        let steps = &scene.record.steps;
        let mut found = None;
        while self.looked_at < steps.len()
            && (steps[self.looked_at].at, self.looked_at) <= (scene.at, scene.step)
        {
            let step = &steps[self.looked_at];
            for sent in &step.sent {
                let Sent::Batch { partition, stamp: Some(stamp), content, .. } = sent else { continue };
                let batch = Batch { stamp: *stamp, content: *content, step: self.looked_at };
                found = found.or_else(|| self.send(scene, *partition, batch));
                self.sent.entry(*partition).or_default().push(batch);
            }
            self.looked_at += 1;
        }
        found
    }

    fn send(&self, scene: &Scene<'_>, id: TopicPartition, batch: Batch) -> Option<Wrong> {
        let step = &scene.record.steps[batch.step];
        let before = self.sent.get(&id)?;
        let Batch { stamp, content, .. } = batch;
        let wrong = |what: String, but: String, mark: String, against: Option<usize>| Wrong {
            place: Place::Step(batch.step),
            at: step.at,
            node: step.node,
            partition: Some(id),
            what,
            but,
            mark,
            against,
        };
        let name = scene.name(step.node);
        let numbered = format!("sequence {} of epoch {}", stamp.base_sequence, stamp.epoch);
        // Numbers begin anew with an epoch: only within one they name a batch.
        let may_be_split = |other: &Batch| self.too_large.get(&id).is_some_and(|at| *at > other.step);
        let same_number = before.iter().rev().find(|other| other.stamp == stamp && other.content != content);
        if let Some(other) = same_number.filter(|other| !may_be_split(other)) {
            let at = scene.record.steps[other.step].at;
            return Some(wrong(
                format!("{name} sent new records to {} under {numbered}", scene.part(id)),
                format!("other records had that number since {at}s, and may be in the log"),
                "the number is taken".into(),
                None,
            ));
        }
        let other = before
            .iter()
            .rev()
            .find(|other| other.content == content && other.stamp.id == stamp.id && other.stamp != stamp)?;
        // Under its old number it must not stand in a log already.
        let there = self.appended.get(&(id, stamp.id))?;
        let (_, base, end, entry) = there.iter().rev().find(|(held, ..)| *held == other.stamp)?;
        // Whom an unclean election has made leader had lost what was before, and said so; who has the batch may be
        // elected once more.
        let lost =
            |known: &crate::mirror::Partition| known.rules.may_be_unclean() && !known.losses.is_empty();
        if scene.cluster.partition(id).is_some_and(lost) {
            return None;
        }
        Some(wrong(
            format!("{name} gave a batch for {} another number, {numbered}", scene.part(id)),
            format!(
                "under its first, {} of epoch {}, it stood @{base}..{end}",
                other.stamp.base_sequence, other.stamp.epoch
            ),
            format!("it stands @{base}..{end}"),
            Some(*entry),
        ))
    }

    fn learn(
        &mut self,
        scene: &Scene<'_>,
        id: TopicPartition,
        epoch: LeaderEpoch,
        leader: Option<NodeId>,
    ) -> Option<Wrong> {
        let known = self.epochs.insert((scene.node, id), (epoch, scene.entry));
        // Who has heard that a topic is gone forgets it, and may be told of it again.
        let (before, entry) =
            known.filter(|(before, _)| *before > epoch && !scene.cluster.is_deleted(id.topic))?;
        let led = leader.map_or_else(|| "nobody".into(), |leader| scene.name(leader));
        scene.wrong(
            Some(id),
            format!(
                "{} took {led} for the leader of {} in epoch {epoch}",
                scene.name(scene.node),
                scene.part(id)
            ),
            format!("it knew of epoch {before}"),
            format!("it knew epoch {before}"),
            Some(entry),
        )
    }

    /// A broker tells less of a log's end than was told before.
    fn listed(&mut self, scene: &Scene<'_>, id: TopicPartition, offset: Offset) -> Option<Wrong> {
        let known = self.ends.insert((scene.node, id), (offset, scene.entry));
        let (before, entry) = known.filter(|(before, _)| *before > offset)?;
        let partition = scene.cluster.partition(id)?;
        if partition.high_watermark < before || partition.deleted {
            return None;
        }
        let answered = scene.record.steps[scene.step].cause?;
        let by = &scene.record.steps[answered];
        Some(Wrong {
            place: Place::Step(answered),
            at: by.at,
            node: by.node,
            partition: Some(id),
            what: format!(
                "{} told {} that {} ends at {offset}",
                scene.name(by.node),
                scene.name(scene.node),
                scene.part(id)
            ),
            but: format!("{before} had been told before, and is committed"),
            mark: format!("committed up to {before}"),
            against: Some(entry),
        })
    }
}
