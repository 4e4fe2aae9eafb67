//! Do the end offsets that a client is told never go back? (`BB-endoffset`)

use trial_model::{
    event::{Event, EventKind},
    units::{NodeId, Offset, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::mirror::Lookup;

pub(super) const INFO: CheckInfo = safety(
    "end_offsets_never_decrease",
    "BB-endoffset",
    "The end offsets of a partition that a client is told in one life never decrease (KIP-207).",
);

/// The greatest end each client was told, in which of its lives, after how many losses.
#[derive(Default)]
struct EndOffsetsNeverDecrease {
    told: Lookup<(NodeId, TopicPartition), (u32, usize, Offset)>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(EndOffsetsNeverDecrease::default())
}

impl Check for EndOffsetsNeverDecrease {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::OffsetListed], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::OffsetListed { partition: id, latest: true, offset: Some(offset) } = *event else {
            return;
        };
        let life = scene.cluster.process(scene.node).map_or(0, |process| process.lives);
        let losses = scene.cluster.partition(id).map_or(0, |partition| partition.losses.len());
        let told = self.told.entry((scene.node, id)).or_insert((life, losses, offset));
        if (told.0, told.1) != (life, losses) {
            *told = (life, losses, offset);
        }
        if offset >= told.2 {
            told.2 = offset;
            return;
        }
        let (before, node) = (told.2, scene.node);
        found.report(INFO.name, Some(id), |n| {
            (
                format!("{} is told that {} ends earlier than before", Name(n, node), Name(n, id)),
                vec![("before", before.to_string()), ("then", offset.to_string())],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{event::Event, units::Offset};

    use super::{super::testing::*, INFO};
    use crate::world_event::Stop;

    fn listed(offset: u64, latest: bool) -> Event {
        Event::OffsetListed { partition: P, latest, offset: Some(Offset(offset)) }
    }

    #[test]
    fn an_end_that_goes_back_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.say(C1, listed(9, true)).say(C1, listed(8, true));
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_start_another_client_or_another_life_may_be_told_less() {
        let mut bench = Bench::of(INFO.name);
        bench.say(C1, listed(9, true)).say(C1, listed(0, false)).say(C9, listed(8, true));
        bench.stop(C1, Stop::Crash).start(C1).say(C1, listed(8, true));
        assert_eq!(bench.fired(), 0);
    }
}
