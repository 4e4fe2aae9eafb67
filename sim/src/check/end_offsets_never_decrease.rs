//! Do the end offsets that a client is told never go back? (`BB-endoffset`)

use trial_model::{
    event::{Event, EventKind},
    time::Instant,
    units::{NodeId, Offset, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::mirror::{Lookup, Partition};

pub(super) const INFO: CheckInfo = safety(
    "end_offsets_never_decrease",
    "BB-endoffset",
    "The end offset of a partition that a client is told is not less than any it had been told, in the same life, when it asked (KIP-207).",
);

/// What each client was told.
#[derive(Default)]
struct EndOffsetsNeverDecrease {
    /// In which of its lives it is, and how many offsets it was told in it.
    answers: Lookup<NodeId, (u32, u64)>,
    told: Lookup<(NodeId, TopicPartition), Told>,
}

/// What a client was told of where a partition ends, in one life and since the last loss.
#[derive(Default)]
struct Told {
    life: u32,
    losses: usize,
    /// Each end that was greater than all before, and how many offsets the client had been told before it.
    rises: Vec<(u64, Offset)>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(EndOffsetsNeverDecrease::default())
}

impl Check for EndOffsetsNeverDecrease {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::OffsetListed], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::OffsetListed { partition: id, latest, offset, asked_after } = *event else { return };
        let node = scene.node;
        let life = scene.cluster.process(node).map_or(0, |process| process.lives);
        let answers = self.answers.entry(node).or_insert((life, 0));
        if answers.0 != life {
            *answers = (life, 0);
        }
        let nth = answers.1;
        answers.1 += 1;
        let Some(offset) = offset.filter(|_| latest) else { return };
        let losses = scene.cluster.partition(id).map_or(0, |partition| partition.losses.len());
        let told = self.told.entry((node, id)).or_default();
        if (told.life, told.losses) != (life, losses) {
            *told = Told { life, losses, rises: Vec::new() };
        }
        // Of two questions that are open at a time the one of an earlier leader may be answered last.
        let known = told.rises.partition_point(|(before, _)| *before < asked_after);
        let before = known.checked_sub(1).map_or(Offset::ZERO, |at| told.rises[at].1);
        if told.rises.last().is_none_or(|(_, most)| *most < offset) {
            told.rises.push((nth, offset));
        }
        // What an unclean election has cut off a leader that has not heard of it may still answer with.
        let lost =
            |known: &Partition| scene.forgives(known) || scene.forgives_loss_at(known, offset, Instant::ZERO);
        // Who asks by the name alone may be told of the topic that bore it before.
        if offset >= before || scene.cluster.is_ambiguous(id.topic) || scene.cluster.partition(id).is_some_and(lost) {
            return;
        }
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

    /// An answer to a question that was asked after so many others had been answered.
    fn answered(offset: u64, asked_after: u64) -> Event {
        Event::OffsetListed { partition: P, latest: true, offset: Some(Offset(offset)), asked_after }
    }

    fn listed(offset: u64, latest: bool) -> Event {
        Event::OffsetListed { partition: P, latest, offset: Some(Offset(offset)), asked_after: u64::MAX }
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

    #[test]
    fn an_answer_that_is_late_may_be_old() {
        let mut bench = Bench::of(INFO.name);
        bench.say(C1, answered(5, 0)).say(C1, answered(9, 1)).say(C1, answered(8, 1));
        assert_eq!(bench.fired(), 0, "the third was asked before the second was answered");
        bench.say(C1, answered(4, 1));
        assert_eq!(bench.fired(), 1, "but not before the first was");
        bench.say(C1, answered(8, 4));
        assert_eq!(bench.fired(), 2, "and all were when the fifth was asked");
    }

    /// Who asked by the name when another topic bore it may be told of that one.
    #[test]
    fn of_a_topic_that_is_gone_anything_may_be_told() {
        let mut bench = Bench::of(INFO.name);
        bench.named("orders").say(C1, listed(9, true)).deleted().say(C1, listed(0, true));
        assert_eq!(bench.fired(), 0);
    }
}
