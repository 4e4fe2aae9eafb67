//! Does a consumer never read backwards? (`BB-nonmono`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "reads_never_go_back",
    "BB-nonmono",
    "A consumer reads a partition in ascending order, each offset once, unless its position was moved.",
);

struct ReadsNeverGoBack;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(ReadsNeverGoBack)
}

impl Check for ReadsNeverGoBack {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::Delivered], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::Delivered { partition: id, offset, ref value, .. } = *event else { return };
        let Some(expected) = scene.history.latest.expected.filter(|expected| offset < *expected) else {
            return;
        };
        // Another topic had its name, and this one's again, by the word of a broker that had not heard.
        if scene.cluster.is_deleted(id.topic) {
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

#[cfg(test)]
mod tests {
    use trial_model::event::Event;

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
}
