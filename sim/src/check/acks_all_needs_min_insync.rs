//! Is nothing acknowledged to acks=all on fewer replicas than were asked for? (`WB-MinIsr`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "acks_all_needs_min_insync",
    "WB-MinIsr",
    "acks=all succeeds only while min.insync.replicas are in sync; with ELR the high watermark stands still otherwise (KIP-966).",
);

struct AcksAllNeedsMinInsync;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(AcksAllNeedsMinInsync)
}

impl Check for AcksAllNeedsMinInsync {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::ProduceAnswered, EventKind::HighWatermarkAdvanced], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let (id, epoch, isr, what) = match event {
            Event::ProduceAnswered { partition, epoch, acks, error: None, isr, .. } if acks.all() => {
                (*partition, *epoch, isr, "acknowledges to acks=all")
            }
            Event::HighWatermarkAdvanced { partition, epoch, isr, .. } if scene.setup.elr => {
                (*partition, *epoch, isr, "moves the high watermark")
            }
            _ => return,
        };
        let Some(partition) = scene.cluster.partition(id) else { return };
        let least = partition.min_insync();
        if isr.len() >= least {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, Some(id), |n| {
            (
                format!(
                    "{} {what} with {} in sync, fewer than {least}, in {}",
                    Name(n, node),
                    isr.len(),
                    Name(n, id)
                ),
                vec![
                    ("leader", format!("{} in epoch {epoch}", Name(n, node))),
                    ("in sync", isr.to_string()),
                    ("asked for", format!("min.insync.replicas={}", partition.rules.min_insync)),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::Event,
        protocol::{ErrorCode, produce::Acks},
        units::{LeaderEpoch, Offset},
    };

    use super::{super::testing::*, INFO};

    fn answered(acks: Acks, isr: &[u32], error: Option<ErrorCode>) -> Event {
        let (base, end) = (Some(Offset(0)), Some(Offset(1)));
        Event::ProduceAnswered { partition: P, epoch: LeaderEpoch(1), acks, base, end, error, isr: set(isr) }
    }

    #[test]
    fn success_with_too_few_in_sync_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.say(b(1), answered(Acks::All, &[1], None));
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_refusal_or_less_being_asked_is_well() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.say(b(1), answered(Acks::All, &[1], Some(ErrorCode::NotEnoughReplicas)));
        bench.say(b(1), answered(Acks::Leader, &[1], None)).say(b(1), answered(Acks::All, &[1, 2], None));
        assert_eq!(bench.fired(), 0);
    }
}
