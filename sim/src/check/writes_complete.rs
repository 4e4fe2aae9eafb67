//! Is every write answered, and can every partition be written? (`L-write`)

use super::{
    Check, CheckInfo, ClientKind, Hears, Scene, Unsettled, liveness, partitions_have_leaders::is_led,
};
use crate::{mirror::Partition, world_event::Phase};

pub(super) const INFO: CheckInfo = liveness(
    "writes_complete",
    "L-write",
    "At rest no write waits for long, and the audit's write to every partition succeeds.",
);

struct WritesComplete;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(WritesComplete)
}

/// Whether a partition has a leader and enough serving replicas for acks=all.
pub(super) fn is_writable(scene: Scene<'_>, partition: &Partition) -> bool {
    let Some(state) = &partition.truth else { return false };
    let serving = state.replicas.iter().filter(|node| scene.cluster.serves(**node)).count();
    !partition.deleted && serving >= partition.min_insync()
}

impl Check for WritesComplete {
    fn hears(&self) -> Hears {
        Hears::default()
    }

    fn unsettled(&self, scene: Scene<'_>) -> Option<Unsettled> {
        let lag = scene.setup.patience.lag;
        for (place, partition) in scene.history.partitions.iter().enumerate() {
            let Some(known) = scene.cluster.partition(partition.id).filter(|known| is_writable(scene, known))
            else {
                continue;
            };
            let Some(sent) = scene.history.oldest_pending(place as u32) else { continue };
            let waited = scene.at.since(sent.at);
            // While others are answered, a producer may well try on until its time is up.
            let stuck = waited >= lag && partition.last_ack < sent.at;
            if (stuck || waited >= scene.setup.patience.delivery) && scene.cluster.alive(sent.node) {
                let value = scene.history.show(sent.value);
                let leader = known.truth.as_ref().and_then(|state| state.leader);
                return Some(
                    Unsettled::new(format!(
                        "{value} of {} waits for its answer since {}s",
                        scene.cluster.called(partition.id),
                        sent.at
                    ))
                    .of(partition.id)
                    .line("waits", format!("{value} of {}, sent {}s", sent.node, sent.at))
                    .line("leader", leader.map_or("nobody".into(), |leader| leader.to_string()))
                    .line("log", format!("committed up to {}", known.high_watermark)),
                );
            }
        }
        let prober = |client: &super::ClientInfo| {
            client.auditor && client.kind == ClientKind::Producer && scene.cluster.alive(client.node)
        };
        if scene.cluster.phase.0 != Phase::Audit || !scene.setup.clients.iter().any(prober) {
            return None;
        }
        let unwritten = scene.cluster.partitions.iter().find(|known| {
            let acked = scene.history.partition(known.id).is_some_and(|partition| partition.audit_acked > 0);
            let ours = !scene.cluster.is_internal(known.id.topic);
            ours && known.truth_since <= scene.cluster.phase.1 && is_writable(scene, known) && !acked
        })?;
        let led = if is_led(scene, unwritten) { "it is led" } else { "nobody leads it" };
        Some(
            Unsettled::new(format!(
                "{} has not been written by the audit; {led}",
                scene.cluster.called(unwritten.id)
            ))
                .of(unwritten.id)
                .line("log", format!("committed up to {}", unwritten.high_watermark)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};
    use crate::world_event::Phase;

    #[test]
    fn a_write_that_waits_for_ever_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.send(P1, 0).phase(Phase::Settle);
        assert!(bench.unsettled().is_empty());
        bench.wait(10).finish();
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn what_is_missing_is_asked_for_a_time_and_not_as_of_the_last_event() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.send(P1, 0).phase(Phase::Settle);
        let (now, lag) = (bench.now(), crate::check::Patience::default().lag);
        assert!(bench.judge.unsettled(now + lag / 2).is_empty());
        assert!(!bench.judge.unsettled(now + lag).is_empty(), "as the end of the run would say");
    }

    #[test]
    fn a_producer_may_try_on_while_others_are_answered() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.send(P1, 0).send(P9, 1).ack(P9, 1, 0).phase(Phase::Settle).wait(40);
        assert!(bench.unsettled().is_empty());
        bench.wait(120).finish();
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn the_audit_must_have_written() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.phase(Phase::Audit);
        assert_eq!(bench.unsettled().len(), 1);
        bench.send(P9, 0).ack(P9, 0, 0).finish();
        assert_eq!(bench.fired(), 0);
    }
}
