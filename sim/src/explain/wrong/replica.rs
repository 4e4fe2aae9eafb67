//! Where does a replica, or its leader, act against what is committed?

use std::collections::BTreeMap;

use trial_model::{
    event::{Event, ReplicaRole, TruncateReason},
    log::batch::ProducerStamp,
    machine::Halt,
    protocol::produce::Acks,
    units::{LeaderEpoch, NodeId, NodeSet, Offset, TopicPartition},
};

use super::{super::record::Sent, Scene, Wrong};
use crate::{
    report::words::seconds,
    world_event::{Stop, WorldEvent},
};

/// A batch in a log, and where its event stands.
#[derive(Clone, Copy)]
struct Held {
    base: Offset,
    end: Offset,
    stamp: ProducerStamp,
    entry: usize,
}

/// What was seen before.
#[derive(Default)]
pub(super) struct Memory {
    /// The batches of idempotent producers in every log.
    logs: BTreeMap<(NodeId, TopicPartition), Vec<Held>>,
    damaged: NodeSet,
}

impl Memory {
    pub(super) fn world(&mut self, event: &WorldEvent) {
        match event {
            WorldEvent::NodeStopped { node, lost_disk: true, .. } => {
                self.logs.retain(|(of, _), _| of != node);
            }
            WorldEvent::DiskDamaged { node, .. } => {
                self.damaged.insert(*node);
            }
            _ => {}
        }
    }

    pub(super) fn look(&mut self, scene: &Scene<'_>, event: &Event) -> Option<Wrong> {
        let found = match event {
            Event::HighWatermarkAdvanced { partition, epoch, from, to, isr, .. } => {
                advance(scene, *partition, *epoch, (*from, *to), isr)
            }
            Event::Truncated { partition, from, to, why, high_watermark } => {
                cut(scene, *partition, (*from, *to), *why, *high_watermark)
            }
            Event::IsrProposed { partition, epoch, from, to, .. } => {
                propose(scene, *partition, *epoch, &to.minus(from))
            }
            Event::ProduceAnswered { partition, acks: Acks::All, error: None, isr, .. } => {
                answer(scene, *partition, isr)
            }
            Event::ReadServed { partition, replica: true, epoch, reader, .. } if !partition.is_metadata() => {
                serve(scene, *partition, *epoch, *reader)
            }
            Event::Recovered { partition, clean: true, .. } => recover(scene, *partition),
            Event::Appended { partition, role, base, end, producer, .. } => {
                self.append(scene, *partition, *role, (*base, *end), *producer)
            }
            Event::DuplicateAnswered { partition, producer, base } => {
                self.duplicate(scene, *partition, *producer, *base)
            }
            _ => None,
        };
        self.take(scene, event);
        found
    }

    fn take(&mut self, scene: &Scene<'_>, event: &Event) {
        let (node, entry) = (scene.node, scene.entry);
        match event {
            Event::Appended { partition, base, end, producer: Some(stamp), .. } => {
                let held = Held { base: *base, end: *end, stamp: *stamp, entry };
                self.logs.entry((node, *partition)).or_default().push(held);
            }
            Event::Truncated { partition, to, .. } | Event::Recovered { partition, end: to, .. } => {
                let log = self.logs.entry((node, *partition)).or_default();
                log.retain(|held| held.end <= *to);
            }
            Event::ReplicaStopped { partition, deleted: true } => {
                self.logs.remove(&(node, *partition));
            }
            _ => {}
        }
    }

    /// A leader appends what is in its log already, or a follower goes on behind records that its leader has
    /// not.
    fn append(
        &self,
        scene: &Scene<'_>,
        id: TopicPartition,
        role: ReplicaRole,
        (base, end): (Offset, Offset),
        stamp: Option<ProducerStamp>,
    ) -> Option<Wrong> {
        let log = self.logs.get(&(scene.node, id));
        if let (ReplicaRole::Leader, Some(stamp)) = (role, stamp)
            && let Some(before) = log.and_then(|log| {
                // Kafka remembers the last five batches of a producer, and so must this.
                log.iter()
                    .rev()
                    .filter(|held| held.stamp.id == stamp.id)
                    .take(5)
                    .find(|held| held.stamp == stamp)
            })
        {
            return scene.wrong(
                Some(id),
                format!("{} appended @{base}..{end} of {}", scene.name(scene.node), scene.part(id)),
                format!(
                    "the same batch (producer {}, sequence {}) stood in its log @{}..{}",
                    stamp.id, stamp.base_sequence, before.base, before.end
                ),
                format!("the batch stands @{}..{}", before.base, before.end),
                Some(before.entry),
            );
        }
        if role != ReplicaRole::Follower || id.is_metadata() {
            return None;
        }
        let partition = scene.cluster.partition(id)?;
        let replica = partition.replica(scene.node)?;
        let led = partition.leaderships.last()?;
        let other = replica.departs(&partition.trunk).filter(|other| other.end <= base)?;
        // Of an older epoch than the newest, it may be on its way to be cut.
        if replica.epoch != led.epoch || led.node == scene.node || partition.deleted {
            return None;
        }
        // Whose time was over before it began commits nothing that counts, and need not have what does.
        if !partition.lawful(replica.epoch) {
            return None;
        }
        scene.wrong(
            Some(id),
            format!(
                "{} went on at @{base} of {} behind its own @{}..{} of epoch {}",
                scene.name(scene.node),
                scene.part(id),
                other.base,
                other.end,
                other.epoch
            ),
            format!("{}, the leader, has other records there", scene.name(led.node)),
            format!("{} has another @{}", scene.name(led.node), other.base),
            scene.marks.get(&id).copied(),
        )
    }

    /// A leader takes a batch for one that it has, and has not.
    fn duplicate(
        &self,
        scene: &Scene<'_>,
        id: TopicPartition,
        stamp: ProducerStamp,
        base: Offset,
    ) -> Option<Wrong> {
        let log = self.logs.get(&(scene.node, id));
        let there =
            log.is_some_and(|log| log.iter().any(|held| held.base == base && held.stamp.id == stamp.id));
        // What was read back from a disk or deleted since is not known here.
        let known = scene.cluster.partition(id)?.replica(scene.node)?;
        let never = base >= known.end;
        if there || !never {
            return None;
        }
        scene.wrong(
            Some(id),
            format!(
                "{} answered sequence {} of producer {} as a duplicate @{base}",
                scene.name(scene.node),
                stamp.base_sequence,
                stamp.id
            ),
            format!("its log of {} ends at {}: nothing was appended", scene.part(id), known.end),
            format!("its log ends at {}", known.end),
            None,
        )
    }
}

/// A leader moves its high watermark past what everybody in sync has.
fn advance(
    scene: &Scene<'_>,
    id: TopicPartition,
    epoch: LeaderEpoch,
    (from, to): (Offset, Offset),
    counted: &NodeSet,
) -> Option<Wrong> {
    let partition = scene.cluster.partition(id).filter(|partition| !partition.deleted)?;
    let what = format!("{} moved the high watermark {from} → {to} on {counted}", scene.name(scene.node));
    let told = scene.truths.get(&id).copied();
    let newest = partition.is_newest(scene.node, epoch);
    if let Some(truth) = partition.truth.as_ref().filter(|_| newest) {
        if !truth.isr.is_subset(counted) {
            let isr = truth.isr.to_string();
            return scene.wrong(Some(id), what, scene.told(told, &isr), isr, told);
        }
        if truth.isr.len() < partition.min_insync() && counted.len() < partition.min_insync() {
            let min = partition.min_insync();
            return scene.wrong(
                Some(id),
                what,
                format!("{}, and min.insync.replicas is {min}", scene.told(told, &truth.isr.to_string())),
                format!("{} in sync, min.insync {min}", truth.isr.len()),
                told,
            );
        }
    }
    if !partition.lawful(epoch) {
        return None;
    }
    for member in counted.iter().filter(|member| *member != scene.node) {
        let Some(replica) = partition.replica(member) else { continue };
        let moved_on = replica.epoch > epoch || replica.lost_to.is_some_and(|lost| lost >= to);
        // What is committed by this very event is not on the trunk yet: what it has beyond is compared with
        // the leader's own log.
        let short = replica.end < to;
        let parts = replica.parts(&partition.trunk)
            || partition.replica(scene.node).is_some_and(|leader| differ(leader, replica, to));
        if !replica.open || replica.opaque || moved_on || !(short || parts) {
            continue;
        }
        let has = if short { format!("ends at {}", replica.end) } else { "has other records".into() };
        return scene.wrong(
            Some(id),
            what,
            format!("the log of {} {has}, and it was counted", scene.name(member)),
            format!("{} {has}", scene.name(member)),
            None,
        );
    }
    None
}

/// Whether two replicas have different batches at one place below `to`, as far as both are known there.
fn differ(one: &crate::mirror::Replica, other: &crate::mirror::Replica, to: Offset) -> bool {
    one.tail.iter().filter(|batch| batch.end <= to).any(|batch| {
        other.entry(batch.base).is_some_and(|there| (there.crc, there.epoch) != (batch.crc, batch.epoch))
    })
}

/// A follower cuts off what is committed and what it shares with its leader.
fn cut(
    scene: &Scene<'_>,
    id: TopicPartition,
    (from, to): (Offset, Offset),
    why: TruncateReason,
    high_watermark: Offset,
) -> Option<Wrong> {
    if why != TruncateReason::Diverged || to >= from {
        return None;
    }
    let partition = scene.cluster.partition(id).filter(|partition| !partition.deleted)?;
    let replica = partition.replica(scene.node).filter(|replica| !replica.opaque)?;
    let committed = partition.high_watermark.min(replica.agreed);
    // What an unclean election gave up need not be kept.
    let given_up = partition.rules.may_be_unclean() && partition.conceded;
    // Who still follows an earlier leader did not count when a later one committed, and that one may have another
    // record there.
    let did_not_count = |moved: &crate::mirror::Moved| {
        moved.epoch > replica.epoch && (id.is_metadata() || !moved.counted.contains(scene.node))
    };
    let earlier = partition.moved.as_ref().is_some_and(did_not_count);
    if given_up || earlier || to.max(partition.trunk.need_agree_from()) >= committed {
        return None;
    }
    let against = scene.marks.get(&id).copied();
    let what = format!("{} cut its log of {} {from} → {to}", scene.name(scene.node), scene.part(id));
    let own = if to == high_watermark { ", its own high watermark" } else { "" };
    scene.wrong(
        Some(id),
        what + own,
        format!("{} was committed, and it had it", range(to, committed)),
        format!("committed up to {committed}"),
        against,
    )
}

fn range(from: Offset, to: Offset) -> String {
    if to.0 == from.0 + 1 { format!("@{from}") } else { format!("@{from}..{to}") }
}

/// A leader wants somebody in sync who lacks the records of earlier epochs.
fn propose(scene: &Scene<'_>, id: TopicPartition, epoch: LeaderEpoch, more: &NodeSet) -> Option<Wrong> {
    let partition = scene.cluster.partition(id).filter(|partition| !partition.deleted)?;
    let led = partition.leaderships.iter().rev().find(|led| (led.node, led.epoch) == (scene.node, epoch))?;
    for member in more.iter() {
        let Some(replica) = partition.replica(member).filter(|replica| replica.open) else { continue };
        // Who began this life after it was counted is told apart by its broker epoch.
        let fresh = scene.cluster.process(member).is_some_and(|process| process.since >= led.at);
        if replica.opaque || replica.epoch != epoch || fresh && replica.lost_to.is_some() {
            continue;
        }
        let short = replica.end < led.log_end;
        let parts = replica.parts(&partition.trunk);
        if !short && !parts {
            continue;
        }
        let has = if short {
            format!("ends at {}, and epoch {epoch} begins at {}", replica.end, led.log_end)
        } else {
            "has records that the leader never had".into()
        };
        let mark = if short {
            format!("ends at {}, epoch begins at {}", replica.end, led.log_end)
        } else {
            "its log has parted".into()
        };
        return scene.wrong(
            Some(id),
            format!(
                "{} proposed {} for the ISR of {}",
                scene.name(scene.node),
                scene.name(member),
                scene.part(id)
            ),
            format!("the log of {} {has}", scene.name(member)),
            mark,
            None,
        );
    }
    None
}

/// A leader acknowledges to acks=all what too few have.
fn answer(scene: &Scene<'_>, id: TopicPartition, isr: &NodeSet) -> Option<Wrong> {
    let partition = scene.cluster.partition(id).filter(|partition| !partition.deleted)?;
    let min = partition.min_insync();
    if isr.is_empty() || isr.len() >= min {
        return None;
    }
    scene.wrong(
        Some(id),
        format!("{} acknowledged to acks=all with {isr} in sync", scene.name(scene.node)),
        format!("min.insync.replicas of {} is {min}", scene.part(id)),
        format!("min.insync.replicas is {min}"),
        scene.truths.get(&id).copied(),
    )
}

/// A leader serves a follower that follows in another epoch.
fn serve(scene: &Scene<'_>, id: TopicPartition, epoch: LeaderEpoch, reader: NodeId) -> Option<Wrong> {
    let asked = scene.record.steps[scene.step].got.iter().find_map(|got| match got {
        Sent::Fetch { partition, epoch, replica: true, .. } if *partition == id => *epoch,
        _ => None,
    })?;
    if asked == epoch {
        return None;
    }
    scene.wrong(
        Some(id),
        format!("{}, leader in epoch {epoch}, served {}", scene.name(scene.node), scene.name(reader)),
        format!("{} asked as a follower in epoch {asked}", scene.name(reader)),
        format!("it asked in epoch {asked}"),
        scene.truths.get(&id).copied(),
    )
}

/// A broker takes for whole what a crash may have torn.
fn recover(scene: &Scene<'_>, id: TopicPartition) -> Option<Wrong> {
    let process = scene.cluster.process(scene.node)?;
    let how = match process.ended? {
        Stop::Crash => "crashed",
        Stop::PowerLoss => "lost its power",
        Stop::Halted(Halt::DiskFailed) => "halted, its disk having failed",
        Stop::Halted(Halt::Shutdown) => return None,
    };
    scene.wrong(
        Some(id),
        format!("{} took its log of {} for whole", scene.name(scene.node), scene.part(id)),
        format!("its last life {how} before it began again at {}s", seconds(process.since.0, 3)),
        format!("its last life {how}"),
        None,
    )
}
