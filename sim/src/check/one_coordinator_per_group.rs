//! Is a group looked after by one broker at a time? (`WB-OneCoord`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "one_coordinator_per_group",
    "WB-OneCoord",
    "In a leader epoch one broker looks after the groups of a partition, and only after it has read their log.",
);

struct OneCoordinatorPerGroup;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(OneCoordinatorPerGroup)
}

impl Check for OneCoordinatorPerGroup {
    fn hears(&self) -> Hears {
        Hears {
            before: &[EventKind::CoordinatorLoaded, EventKind::OffsetAccepted],
            ..Hears::default()
        }
    }

    fn before(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let hosted = &scene.cluster.groups.hosted;
        let node = scene.node;
        match event {
            Event::CoordinatorLoaded { partition, epoch, .. } => {
                let other = hosted.iter().find(|it| {
                    it.partition == *partition && it.epoch == *epoch && it.node != node
                });
                let Some(other) = other.copied() else { return };
                found.report(INFO.name, Some(*partition), |n| {
                    (
                        format!("two brokers look after the groups of {} in epoch {epoch}", Name(n, *partition)),
                        vec![("first", Name(n, other.node).to_string()), ("second", Name(n, node).to_string())],
                    )
                });
            }
            Event::OffsetAccepted { group, by, coordinator, .. } => {
                let serves = |it: &&crate::mirror::groups::Hosted| {
                    it.partition == *by && it.epoch == *coordinator && it.node == node && it.until.is_none()
                };
                if hosted.iter().any(|it| serves(&it)) {
                    return;
                }
                found.report(INFO.name, Some(*by), |n| {
                    (
                        format!("{} takes a commit of {group}, which it does not look after", Name(n, node)),
                        vec![("log", format!("{} epoch {coordinator}", Name(n, *by)))],
                    )
                });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};

    #[test]
    fn two_brokers_in_one_epoch_are_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.coordinates(1, 4).coordinates(2, 4);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn who_has_not_read_the_log_or_does_not_lead_takes_no_commits() {
        let mut bench = Bench::of(INFO.name);
        bench.accepts(1, 4, C1, 1, 10);
        assert_eq!(bench.fired(), 1);
        bench.coordinates(1, 4).accepts(1, 4, C1, 1, 10);
        assert_eq!(bench.fired(), 1);
        bench.uncoordinates(1, 4).coordinates(2, 5).accepts(2, 5, C1, 1, 10);
        assert_eq!(bench.fired(), 1);
        bench.accepts(1, 4, C1, 1, 11);
        assert_eq!(bench.fired(), 2);
    }
}
