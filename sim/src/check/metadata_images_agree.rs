//! Do all nodes make the same image of the same metadata? (`WB-MetaImage`)

use std::collections::BTreeMap;

use trial_model::{
    event::{Event, EventKind},
    units::{NodeId, Offset},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "metadata_images_agree",
    "WB-MetaImage",
    "The image of the metadata up to an offset is the same on every node, whether it came by log or by snapshot.",
);

/// The image of each offset, by whoever told of it first.
#[derive(Default)]
struct MetadataImagesAgree {
    images: BTreeMap<Offset, (u64, NodeId, bool)>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(MetadataImagesAgree::default())
}

impl Check for MetadataImagesAgree {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::MetadataApplied], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::MetadataApplied { end, fingerprint, from_snapshot, .. } = *event else { return };
        let (first, by, snapshot) =
            *self.images.entry(end).or_insert((fingerprint, scene.node, from_snapshot));
        if self.images.len() > 8_192 {
            self.images.pop_first();
        }
        if first == fingerprint {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, None, |n| {
            let told = |node, image: u64, snapshot: bool| {
                format!("{} {image:016x}{}", Name(n, node), if snapshot { " from a snapshot" } else { "" })
            };
            (
                format!("{} and {} disagree about the metadata up to {end}", Name(n, by), Name(n, node)),
                vec![("one", told(by, first, snapshot)), ("another", told(node, fingerprint, from_snapshot))],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::Event,
        units::{LeaderEpoch, Offset},
    };

    use super::{super::testing::*, INFO};

    fn applied(end: u64, fingerprint: u64) -> Event {
        Event::MetadataApplied { end: Offset(end), epoch: LeaderEpoch(1), fingerprint, from_snapshot: false }
    }

    #[test]
    fn two_images_of_one_offset_are_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.say(b(1), applied(9, 1)).say(b(2), applied(9, 2));
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn images_of_two_offsets_may_differ() {
        let mut bench = Bench::of(INFO.name);
        bench.say(b(1), applied(9, 1)).say(b(2), applied(8, 2)).say(b(2), applied(9, 1));
        assert_eq!(bench.fired(), 0);
    }
}
