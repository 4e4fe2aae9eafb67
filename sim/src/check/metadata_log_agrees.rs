//! Do voters and brokers hold the same committed metadata? (`WB-Raft-LM`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "metadata_log_agrees",
    "WB-Raft-LM",
    "Any two copies of the metadata log hold the same records below both their high watermarks.",
);

struct MetadataLogAgrees;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(MetadataLogAgrees)
}

impl Check for MetadataLogAgrees {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::QuorumHighWatermarkAdvanced], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::QuorumHighWatermarkAdvanced { to, .. } = *event else { return };
        let log = &scene.cluster.quorum.log;
        let Some(replica) = log.replica(scene.node).filter(|replica| replica.parts(&log.trunk)) else {
            return;
        };
        let Some(own) = replica.tail.front().filter(|own| own.base < to) else { return };
        let node = scene.node;
        found.report(INFO.name, Some(log.id), |n| {
            let other = log.trunk.at(own.base);
            (
                format!("{} holds other metadata @{} than was committed", Name(n, node), own.base),
                vec![
                    ("own", format!("@{}..{} epoch {} crc {:08x}", own.base, own.end, own.epoch, own.crc)),
                    (
                        "committed",
                        other.map_or("?".into(), |(epoch, crc)| format!("epoch {epoch} crc {crc:08x}")),
                    ),
                    ("below", format!("high watermark {to} of {}", Name(n, node))),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};

    #[test]
    fn a_voter_that_commits_another_record_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.metadata(1, 0, 1, 7).metadata(2, 0, 1, 7).metadata(3, 0, 1, 9).metadata_hw(1, 1, 1, true);
        bench.metadata_hw(2, 1, 1, false);
        assert_eq!(bench.fired(), 0);
        bench.metadata_hw(3, 1, 1, false);
        assert_eq!(bench.fired(), 1);
    }
}
