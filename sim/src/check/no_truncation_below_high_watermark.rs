//! Is nothing cut off that is committed? (`WB-NoTruncBelowHW`)

use trial_model::{
    event::{Event, EventKind, TruncateReason},
    units::{LeaderEpoch, NodeId, NodeSet, Offset, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::mirror::Lookup;

pub(super) const INFO: CheckInfo = safety(
    "no_truncation_below_high_watermark",
    "WB-NoTruncBelowHW",
    "No replica cuts off a committed record, nor anything below its own high watermark while elections are clean.",
);

#[derive(Default)]
struct NoTruncationBelowHighWatermark {
    logs: Lookup<TopicPartition, Committed>,
}

/// In which epochs a log was committed.
#[derive(Default)]
struct Committed {
    epochs: Vec<In>,
    end: Offset,
}

/// What was committed in an epoch.
struct In {
    from: Offset,
    epoch: LeaderEpoch,
    /// Who counted for any of it, as far as that is told.
    counted: NodeSet,
}

impl Committed {
    fn advance(&mut self, epoch: LeaderEpoch, to: Offset, counted: &NodeSet) {
        if to <= self.end {
            return;
        }
        if self.epochs.last().is_none_or(|last| last.epoch < epoch) {
            self.epochs.push(In { from: self.end, epoch, counted: NodeSet::new() });
        }
        if let Some(last) = self.epochs.last_mut() {
            counted.iter().for_each(|node| _ = last.counted.insert(node));
        }
        self.end = to;
    }

    /// Whether an epoch is before that in which the record at `offset` was committed, and a node did not count. Who has
    /// heard of no later one ought not to have, and its leader may have another record there.
    fn is_later_than(&self, epoch: LeaderEpoch, offset: Offset, node: NodeId) -> bool {
        let of = self.epochs.iter().rev().find(|it| it.from <= offset);
        of.is_some_and(|it| epoch < it.epoch && !it.counted.contains(node))
    }
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(NoTruncationBelowHighWatermark::default())
}

impl Check for NoTruncationBelowHighWatermark {
    fn hears(&self) -> Hears {
        Hears {
            before: &[EventKind::Truncated],
            after: &[EventKind::QuorumHighWatermarkAdvanced, EventKind::HighWatermarkAdvanced],
            ..Hears::default()
        }
    }

    fn after(&mut self, _scene: Scene<'_>, event: &Event, _found: &mut Found) {
        match *event {
            Event::QuorumHighWatermarkAdvanced { epoch, to, leader: true, .. } => {
                self.logs.entry(TopicPartition::METADATA).or_default().advance(epoch, to, &NodeSet::new());
            }
            Event::HighWatermarkAdvanced { partition, epoch, to, ref isr, .. } => {
                self.logs.entry(partition).or_default().advance(epoch, to, isr);
            }
            _ => {}
        }
    }

    fn before(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::Truncated { partition: id, from, to, why, high_watermark } = *event else { return };
        let Some(partition) = scene.cluster.partition(id).filter(|partition| !partition.deleted) else {
            return;
        };
        let Some(replica) = partition.replica(scene.node) else { return };
        // What a cleaning took is not cut off.
        if why == TruncateReason::Gap && from <= partition.trunk.cleaned {
            return;
        }
        if to >= from && (why == TruncateReason::Snapshot || partition.trunk.start >= from) {
            return;
        }
        // A log begun anew beyond its end loses all it has.
        let first_gone = if to > from { replica.start } else { to };
        let first_gone = first_gone.max(partition.trunk.need_agree_from());
        let committed = partition.high_watermark.min(replica.agreed);
        // What an unclean election gave up, the one it elected need not have, nor who follows it; and a mark of
        // one's own may have been raised by a leader of before, who had not heard of it.
        let given_up = partition.rules.may_be_unclean() && partition.conceded;
        let earlier = self.logs.get(&id).is_some_and(|log| log.is_later_than(replica.epoch, first_gone, scene.node));
        let cuts_committed = !replica.opaque && first_gone < committed && !given_up && !earlier;
        let cuts_own = !given_up && partition.regime.is_none() && first_gone < high_watermark.min(from);
        if !cuts_committed && !cuts_own {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, Some(id), |n| {
            let what =
                if cuts_committed { "committed records" } else { "records below its own high watermark" };
            let until = if cuts_committed { committed } else { high_watermark };
            (
                format!("{} cuts {what} off {}", Name(n, node), Name(n, id)),
                vec![
                    ("cut", format!("{} {from} → {to} ({why})", Name(n, node))),
                    (
                        "committed",
                        format!("up to {}, shared up to {}", partition.high_watermark, replica.agreed),
                    ),
                    ("gone", format!("@{first_gone}..{}", until.max(Offset(first_gone.0 + 1)))),
                    ("own mark", format!("high watermark {high_watermark}")),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::{Event, QuorumRole, TruncateReason},
        units::{Offset, TopicPartition},
    };

    use super::{super::testing::*, INFO};

    #[test]
    fn who_has_not_heard_of_the_epoch_that_committed_a_record_may_cut_it() {
        for (heard, fired) in [(4, 0), (5, 1)] {
            let mut bench = Bench::of(INFO.name);
            bench.metadata(1, 0, 3, 7).metadata(2, 0, 3, 7).metadata(3, 0, 3, 7);
            bench.role(3, QuorumRole::Unattached, heard, None);
            bench.metadata(1, 1, 5, 8).metadata(2, 1, 5, 8).metadata_hw(1, 5, 2, true);
            let partition = TopicPartition::METADATA;
            let (from, to, high_watermark) = (Offset(1), Offset(0), Offset(0));
            let cut = Event::Truncated { partition, from, to, why: TruncateReason::Diverged, high_watermark };
            bench.say(c(3), cut);
            assert_eq!(bench.fired(), fired, "it was committed in epoch 5");
        }
    }

    /// Broker 3 leads in epoch 3 and commits alone what it had copied; broker 2 still follows the leader of epoch 2, who
    /// has never had it.
    #[test]
    fn who_follows_a_leader_that_was_replaced_may_cut_what_another_has_committed_since() {
        for (follows, counted, fired) in [(2, &[3][..], 0), (3, &[3], 1), (2, &[2, 3], 1)] {
            let mut bench = Bench::of(INFO.name).begun();
            bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).append(b(2), Follower, 1, 1, 8);
            bench.append(b(3), Follower, 1, 1, 8).elected(1, 2, &[1, 3], false).elected(3, 3, &[3], false);
            bench.leads(3, 3).hw(3, 3, 2, counted).follows(2, follows, 1).truncate(2, 1, 1);
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn cutting_back_to_a_high_watermark_that_lags_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).truncate(2, 0, 0);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn cutting_off_what_parted_or_was_lost_by_an_unclean_leader_is_well() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).replicated(1, 1, 8, &[2]);
        bench.elect(3, 2, &[1, 2, 3]).leads(3, 2).truncate(2, 1, 1).truncate(1, 1, 1);
        assert_eq!(bench.fired(), 0);
        let mut bench = Bench::of(INFO.name).begun();
        bench
            .replicated(0, 1, 7, &[2])
            .hw(1, 1, 1, &[1, 2])
            .elected(3, 2, &[3], true)
            .leads(3, 2)
            .truncate(2, 0, 1);
        assert_eq!(bench.fired(), 0);
    }

    #[test]
    fn what_an_unclean_election_gave_up_may_be_cut_where_that_is_allowed() {
        for (allowed, fired) in [(true, 0), (false, 1)] {
            let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = allowed).begun();
            bench.replicated(0, 1, 7, &[2]).hw(1, 1, 1, &[1, 2]).elected(3, 2, &[3], true).truncate(2, 0, 1);
            assert_eq!(bench.fired(), fired, "nobody has led since");
        }
    }

    #[test]
    fn what_a_cleaning_took_is_not_cut() {
        let gap = |from: u64| Event::Truncated {
            partition: P,
            from: Offset(from),
            to: Offset(0),
            why: TruncateReason::Gap,
            high_watermark: Offset(0),
        };
        for (cleaned, fired) in [(2, 0), (1, 1)] {
            let mut bench = Bench::of(INFO.name).begun();
            bench.replicated(0, 2, 7, &[2, 3]).hw(1, 1, 2, &[1, 2, 3]).cleans(2, cleaned).say(b(2), gap(2));
            assert_eq!(bench.fired(), fired);
        }
    }
}
