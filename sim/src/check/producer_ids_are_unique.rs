//! Is every producer id given once? (`WB-PidUnique`)

use std::collections::BTreeMap;

use trial_model::{
    event::{Event, EventKind},
    units::{NodeId, Offset, ProducerEpoch, ProducerId},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "producer_ids_are_unique",
    "WB-PidUnique",
    "No producer id is given to two requests, and no two blocks of them overlap.",
);

/// The ids that were given, and the blocks with the record that allocated each.
#[derive(Default)]
struct ProducerIdsAreUnique {
    given: BTreeMap<ProducerId, (ProducerEpoch, NodeId, NodeId)>,
    blocks: BTreeMap<ProducerId, (u64, Offset, NodeId)>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(ProducerIdsAreUnique::default())
}

impl Check for ProducerIdsAreUnique {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::ProducerIdGiven, EventKind::ProducerIdsAllocated], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        match *event {
            Event::ProducerIdGiven { id, epoch, to } => {
                let before = self.given.insert(id, (epoch, scene.node, to));
                let Some((_, by, other)) = before.filter(|(known, ..)| *known >= epoch) else { return };
                let node = scene.node;
                found.report(INFO.name, None, |n| {
                    (
                        format!("producer id {id} is given twice"),
                        vec![
                            ("first", format!("by {} to {}", Name(n, by), Name(n, other))),
                            ("second", format!("by {} to {}", Name(n, node), Name(n, to))),
                        ],
                    )
                });
            }
            Event::ProducerIdsAllocated { broker, first, len, at, .. } => {
                let end = ProducerId(first.0 + u64::from(len));
                let overlapping = self.blocks.range(..end).next_back();
                let other = overlapping.map(|(base, block)| (*base, *block));
                let clash = other.filter(|(base, (end, record, _))| {
                    ProducerId(*end) > first && !(*base == first && *record == at)
                });
                if let Some((base, (end, _, owner))) = clash {
                    found.report(INFO.name, None, |n| {
                        (
                            format!("producer ids from {first} on are allocated twice"),
                            vec![
                                ("first", format!("{base}..{end} to {}", Name(n, owner))),
                                ("second", format!("{first}..+{len} to {}", Name(n, broker))),
                            ],
                        )
                    });
                } else {
                    self.blocks.insert(first, (first.0 + u64::from(len), at, broker));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::Event,
        units::{Offset, ProducerEpoch, ProducerId},
    };

    use super::{super::testing::*, INFO};

    fn given(id: u64) -> Event {
        Event::ProducerIdGiven { id: ProducerId(id), epoch: ProducerEpoch(0), to: P1 }
    }

    fn block(first: u64, at: u64) -> Event {
        Event::ProducerIdsAllocated {
            broker: b(1),
            first: ProducerId(first),
            len: 1000,
            at: Offset(at),
            active: true,
        }
    }

    #[test]
    fn an_id_given_twice_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.say(b(1), given(5)).say(b(2), given(5));
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn the_same_record_told_by_every_controller_is_one_block() {
        let mut bench = Bench::of(INFO.name);
        bench.say(c(1), block(0, 40)).say(c(2), block(0, 40)).say(c(1), block(1000, 41)).say(b(1), given(6));
        assert_eq!(bench.fired(), 0);
        bench.say(c(1), block(1000, 45));
        assert_eq!(bench.fired(), 1);
    }
}
