//! Does a read return only what may be read? (`WB-ReadBound`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "reads_stay_in_bound",
    "WB-ReadBound",
    "A read returns nothing beyond its bound, and a consumer's bound is never beyond what is committed.",
);

struct ReadsStayInBound;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(ReadsStayInBound)
}

impl Check for ReadsStayInBound {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::ReadServed], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::ReadServed { partition: id, reader, replica, epoch, from, end, bound } = *event else {
            return;
        };
        let over = end > bound && end > from;
        let early = !replica
            && !id.is_metadata()
            && end > from
            && scene.cluster.partition(id).is_some_and(|partition| {
                !partition.deleted && partition.lawful(epoch) && end > partition.high_watermark
            });
        if !over && !early {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, Some(id), |n| {
            let committed = scene.cluster.partition(id).map_or(0, |partition| partition.high_watermark.0);
            (
                format!("{} serves {} beyond what {} may read", Name(n, node), Name(n, id), Name(n, reader)),
                vec![
                    ("read", format!("@{from}..{end} in epoch {epoch}")),
                    ("bound", bound.to_string()),
                    ("committed", format!("up to {committed}")),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::Event,
        units::{LeaderEpoch, NodeId, Offset},
    };

    use super::{super::testing::*, INFO};

    fn read(reader: NodeId, replica: bool, end: u64, bound: u64) -> Event {
        let (epoch, from, end, bound) = (LeaderEpoch(1), Offset(0), Offset(end), Offset(bound));
        Event::ReadServed { partition: P, reader, replica, epoch, from, end, bound }
    }

    #[test]
    fn a_consumer_that_is_served_what_is_not_committed_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2]).say(b(1), read(C1, false, 1, 1));
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_replica_may_read_to_the_log_end() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2]).say(b(1), read(b(3), true, 1, 1));
        bench.hw(1, 1, 1, &[1, 2]).say(b(1), read(C1, false, 1, 1));
        assert_eq!(bench.fired(), 0);
    }
}
