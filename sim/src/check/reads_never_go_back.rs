//! Does a consumer never read backwards? (`BB-nonmono`)

use trial_model::{
    event::{Event, EventKind},
    units::{NodeId, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "reads_never_go_back",
    "BB-nonmono",
    "A consumer reads a partition in ascending order, each offset once, unless its position was moved.",
);

#[derive(Default)]
struct ReadsNeverGoBack {
    /// Whose position was moved in a partition of a name that several topics had, and that has read nothing of
    /// that name since.
    moved: Vec<(NodeId, TopicPartition)>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(ReadsNeverGoBack::default())
}

impl Check for ReadsNeverGoBack {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::Delivered, EventKind::PositionMoved], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        if let Event::PositionMoved { partition, .. } = *event
            && scene.cluster.is_ambiguous(partition.topic)
        {
            self.moved.push((scene.node, partition));
        }
        let Event::Delivered { partition: id, offset, ref value, .. } = *event else { return };
        let was_moved = self.was_moved(scene, id);
        let Some(expected) = scene.history.latest.expected.filter(|expected| offset < *expected) else {
            return;
        };
        // Another topic had its name, and this one's again, by the word of a broker that had not heard. Or it was in
        // that other topic, by such a word, that its position was moved: it has one for whatever bears the name.
        if was_moved || scene.cluster.is_deleted(id.topic) {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, Some(id), |n| {
            (
                format!("{} goes back in {}", Name(n, node), Name(n, id)),
                vec![("position", format!("@{expected}")), ("read", format!("@{offset} = {value}"))],
            )
        });
    }
}

impl ReadsNeverGoBack {
    /// Whether a process was moved in another topic of the same name since it last read a partition.
    fn was_moved(&mut self, scene: Scene<'_>, of: TopicPartition) -> bool {
        if self.moved.is_empty() {
            return false;
        }
        let name = |it: TopicPartition| (scene.cluster.topic_name(it.topic), it.partition);
        let mut elsewhere = false;
        self.moved.retain(|(node, at)| {
            let here = *node == scene.node && name(*at) == name(of);
            elsewhere |= here && at.topic != of.topic;
            !here
        });
        elsewhere
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::{Event, SeekReason},
        units::{Offset, TopicId, TopicPartition},
    };

    use super::{super::testing::*, INFO};
    use crate::world_event::Stop;

    #[test]
    fn reading_an_offset_again_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).read(C1, 0, P1, 0).read(C1, 0, P1, 0);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_new_life_or_assignment_begins_anew() {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).read(C1, 0, P1, 0).stop(C1, Stop::Crash).start(C1).read(C1, 0, P1, 0);
        bench
            .say(C1, Event::Assigned { partitions: vec![] })
            .say(C1, Event::Assigned { partitions: vec![P] });
        bench.read(C1, 0, P1, 0).read(C9, 0, P1, 0);
        assert_eq!(bench.fired(), 0);
        // What was assigned before and still is keeps its position.
        bench.say(C1, Event::Assigned { partitions: vec![P] }).read(C1, 0, P1, 0);
        assert_eq!(bench.fired(), 1);
    }

    /// Broker 3 has not heard that `orders` was deleted and made anew, and its records are cut there.
    #[test]
    fn who_was_moved_in_another_topic_of_that_name_begins_there_once() {
        let other = TopicPartition { topic: TopicId(77), ..P };
        for (moved_in, again, fired) in [(Some(other), 1, 0), (Some(other), 2, 1), (Some(P), 1, 0), (None, 1, 1)] {
            let mut bench = Bench::of(INFO.name);
            bench.named("orders").send(P1, 0).read(C1, 0, P1, 0);
            bench.say(
                c(1),
                Event::TopicCreated { topic: other.topic, name: "orders".into(), at: Offset(50), active: true },
            );
            if let Some(partition) = moved_in {
                let (from, to, why) = (Some(Offset(1)), Offset(0), SeekReason::Truncated);
                bench.say(C1, Event::PositionMoved { partition, from, to, why });
            }
            for _ in 0..again {
                bench.read(C1, 0, P1, 0);
            }
            assert_eq!(bench.fired(), fired, "{moved_in:?}");
        }
    }
}
