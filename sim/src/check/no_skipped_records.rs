//! Does a consumer read every record on its way? (`BB-poll-skip`)

use trial_model::{
    event::{Event, EventKind},
    time::Instant,
    units::{NodeId, Offset},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, acked_records_are_readable::is_deleted, safety};

pub(super) const INFO: CheckInfo = safety(
    "no_skipped_records",
    "BB-poll-skip",
    "A consumer never jumps over a record that is there, unless its position was moved.",
);

struct Gap {
    node: NodeId,
    place: u32,
    from: Offset,
    to: Offset,
    at: Instant,
}

/// The jumps of consumers. Whether there was something in between is only known at the end.
#[derive(Default)]
struct NoSkippedRecords {
    gaps: Vec<Gap>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(NoSkippedRecords::default())
}

impl Check for NoSkippedRecords {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::Delivered], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, _found: &mut Found) {
        let Event::Delivered { offset: to, .. } = *event else { return };
        let latest = scene.history.latest;
        let Some(from) = latest.expected.filter(|from| *from < to) else { return };
        if self.gaps.len() < 4_096 {
            self.gaps.push(Gap { node: scene.node, place: latest.place, from, to, at: scene.at });
        }
    }

    fn finish(&mut self, scene: Scene<'_>, found: &mut Found) {
        for gap in std::mem::take(&mut self.gaps) {
            let partition = &scene.history.partitions[gap.place as usize];
            let skipped = (gap.from.0..gap.to.0).map(Offset).find_map(|offset| {
                let at = scene
                    .history
                    .read(gap.place, offset)
                    .filter(|_| !is_deleted(scene, partition, offset))?;
                Some((offset, &scene.history.records[at as usize]))
            });
            let Some((offset, sent)) = skipped else { continue };
            found.report(INFO.name, Some(partition.id), |n| {
                (
                    format!("{} jumps over a record of {}", Name(n, gap.node), Name(n, partition.id)),
                    vec![
                        (
                            "jumped",
                            format!("{}s  {} from @{} to @{}", gap.at, Name(n, gap.node), gap.from, gap.to),
                        ),
                        (
                            "over",
                            format!("@{offset} = {}, which somebody read", scene.history.show(sent.value)),
                        ),
                    ],
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::{Event, SeekReason},
        units::Offset,
    };

    use super::{super::testing::*, INFO};

    fn three_read() -> Bench {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).send(P1, 1).send(P1, 2);
        bench.read(C9, 0, P1, 0).read(C9, 1, P1, 1).read(C9, 2, P1, 2);
        bench
    }

    #[test]
    fn jumping_over_a_record_is_noticed() {
        let mut bench = three_read();
        bench.read(C1, 0, P1, 0).read(C1, 2, P1, 2).finish();
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn being_moved_or_jumping_over_nothing_is_well() {
        let mut bench = three_read();
        let why = SeekReason::Asked;
        bench.read(C1, 0, P1, 0);
        bench.say(C1, Event::PositionMoved { partition: P, from: Some(Offset(1)), to: Offset(2), why });
        bench.read(C1, 2, P1, 2).send(P1, 3).read(C1, 7, P1, 3).finish();
        assert_eq!(bench.fired(), 0);
    }
}
