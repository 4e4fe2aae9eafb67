//! Was every record that is read sent to where it is read? (`BB-phantom`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::history::Outcome;

pub(super) const INFO: CheckInfo = safety(
    "no_phantom_records",
    "BB-phantom",
    "Every record that is read was sent, to this partition, and was not reported as failed for good.",
);

struct NoPhantomRecords;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(NoPhantomRecords)
}

impl Check for NoPhantomRecords {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::Delivered], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::Delivered { partition: id, offset, value, .. } = event else { return };
        if value.0.is_empty() {
            return;
        }
        let latest = scene.history.latest;
        // What was read of a topic that is deleted since may have been sent again, to the one of its name.
        let former = |new: u32, old: u32| {
            let id = |place: u32| scene.history.partitions[place as usize].id;
            scene.history.replaces(id(new), id(old))
        };
        let wrong = match latest.record.map(|at| &scene.history.records[at as usize]) {
            None => "nobody sent",
            Some(sent) if sent.place != latest.place && !former(sent.place, latest.place) => {
                "was sent to another partition"
            }
            Some(sent) if sent.outcome == Outcome::Failed => "was reported not to be written",
            Some(_) => return,
        };
        let node = scene.node;
        found.report(INFO.name, Some(*id), |n| {
            (
                format!("{} reads a record of {} that {wrong}", Name(n, node), Name(n, *id)),
                vec![("read", format!("@{offset} = {value}")), ("wrong", wrong.into())],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::{Event, RecordTag},
        protocol::ErrorCode,
    };

    use super::{super::testing::*, INFO};

    fn failed(tag: u64, maybe_written: bool) -> Event {
        let (tag, error) = (RecordTag(tag), ErrorCode::RequestTimedOut);
        Event::RecordFailed { tag, partition: Some(P), error, maybe_written }
    }

    #[test]
    fn a_record_that_nobody_sent_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.read(C1, 0, P1, 0);
        assert_eq!(bench.fired(), 1);
        bench.send(P1, 1).say(P1, failed(1, false)).read(C1, 1, P1, 1);
        assert_eq!(bench.fired(), 2);
    }

    #[test]
    fn a_record_of_unknown_outcome_may_be_there() {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).say(P1, failed(0, true)).read(C1, 0, P1, 0).send(P1, 1).read(C1, 1, P1, 1);
        assert_eq!(bench.fired(), 0);
    }
}
