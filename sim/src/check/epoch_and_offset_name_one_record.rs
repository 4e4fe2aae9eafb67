//! Does a leader epoch and an offset name one record for all time? (`WB-UniqueEO`)

use trial_model::{
    event::{Event, EventKind},
    units::{LeaderEpoch, NodeId, Offset, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::mirror::{Lookup, Trunk};

pub(super) const INFO: CheckInfo = safety(
    "epoch_and_offset_name_one_record",
    "WB-UniqueEO",
    "A leader epoch and an offset name at most one record, over all replicas and all time.",
);

/// By epoch and offset: where the record ends, its CRC, who had it. In order; new ones mostly come last.
type Named = Vec<((LeaderEpoch, Offset), (Offset, u32, NodeId))>;

/// What each partition's names stand for, where that is not committed.
#[derive(Default)]
struct EpochAndOffsetNameOneRecord {
    names: Lookup<TopicPartition, (Named, usize)>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(EpochAndOffsetNameOneRecord::default())
}

impl Check for EpochAndOffsetNameOneRecord {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::Appended], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::Appended { partition: id, base, end, epoch, crc, .. } = *event else { return };
        let Some(partition) = scene.cluster.partition(id) else { return };
        let committed = (base < partition.trunk.end).then(|| partition.trunk.at(base)).flatten();
        // A batch that was cleaned has other records, but no other ones: `compaction_keeps_newest` looks into it.
        let cleaned = base < partition.trunk.cleaned;
        let before = match committed {
            Some((known, other)) if known == epoch => (other != crc && !cleaned).then_some((other, None)),
            _ => {
                let (names, prune_at) = self.names.entry(id).or_insert_with(|| (Named::new(), 256));
                let clash = clash(names, (epoch, base, end), crc, cleaned);
                if clash.is_none() {
                    let at = names.partition_point(|(name, _)| *name < (epoch, base));
                    if names.get(at).is_none_or(|(name, _)| *name != (epoch, base)) {
                        names.insert(at, ((epoch, base), (end, crc, scene.node)));
                    }
                    if names.len() >= *prune_at {
                        prune(names, &partition.trunk);
                        *prune_at = (names.len() * 2).max(256);
                    }
                }
                clash
            }
        };
        let Some((other, who)) = before else { return };
        let node = scene.node;
        found.report(INFO.name, Some(id), |n| {
            (
                format!("epoch {epoch} offset {base} of {} names two records", Name(n, id)),
                vec![
                    (
                        "first",
                        format!(
                            "crc {other:08x}{}",
                            who.map_or(", committed".into(), |who| format!(" on {}", Name(n, who)))
                        ),
                    ),
                    ("second", format!("crc {crc:08x} on {}", Name(n, node))),
                ],
            )
        });
    }
}

/// What another has where a batch stands that may have been cleaned.
fn clash(
    names: &Named,
    (epoch, base, end): (LeaderEpoch, Offset, Offset),
    crc: u32,
    cleaned: bool,
) -> Option<(u32, Option<NodeId>)> {
    let after = names.partition_point(|(name, _)| *name <= (epoch, base));
    let ((known, at), (known_end, known_crc, node)) = names.get(after.checked_sub(1)?)?;
    if *known != epoch || *known_end <= base || (*at == base && *known_end == end && (*known_crc == crc || cleaned)) {
        return None;
    }
    Some((*known_crc, Some(*node)))
}

/// What is committed, the trunk remembers.
fn prune(names: &mut Named, trunk: &Trunk) {
    names.retain(|((epoch, base), (_, crc, _))| trunk.at(*base) != Some((*epoch, *crc)));
    names.drain(..names.len().saturating_sub(16_384));
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, Event, INFO, LeaderEpoch, Offset};
    use crate::world_event::Stop;

    #[test]
    fn a_leader_that_goes_on_in_its_epoch_after_losing_its_tail_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2]).stop(b(1), Stop::PowerLoss).start(b(1)).recovered(1, 0, None);
        bench.append(b(1), Leader, 0, 1, 9);
        assert_eq!(bench.fired(), 1);
    }

    /// An unclean election has given up what was committed there; who was elected copies out what it has cleaned.
    #[test]
    fn what_was_cleaned_is_the_same_batch_if_it_is_in_its_place() {
        for (cleaned, end, fired) in [(2, 1, 0), (0, 1, 1), (2, 2, 1)] {
            let mut bench = Bench::of(INFO.name).begun();
            bench.replicated(0, 2, 7, &[3]).replicated(1, 2, 7, &[3]).hw(1, 2, 2, &[1, 3]).cleans(3, cleaned);
            bench.append(b(2), Follower, 0, 1, 8).truncate(2, 0, 0);
            let event = Event::Appended {
                partition: P,
                role: Follower,
                base: Offset(0),
                end: Offset(end),
                epoch: LeaderEpoch(1),
                crc: 9,
                producer: None,
                control: false,
                max_timestamp: trial_model::time::Timestamp(0),
            };
            bench.say(b(2), event);
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn the_same_offset_in_another_epoch_is_another_record() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2, 3]).truncate(3, 0, 0).append(b(3), Leader, 0, 2, 9);
        bench.append(b(2), Follower, 1, 1, 8).append(b(3), Follower, 1, 1, 8);
        assert_eq!(bench.fired(), 0);
    }
}
