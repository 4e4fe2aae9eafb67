//! Can every acknowledged record be read? (`BB-lost`)

use trial_model::{
    event::Names,
    protocol::produce::Acks,
    units::{NodeId, Offset},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::{
    history::{Outcome, Partition, Sent},
    world_event::Phase,
};

pub(super) const INFO: CheckInfo = safety(
    "acked_records_are_readable",
    "BB-lost",
    "A record acknowledged to acks=all is read by whoever reads past its offset, unless it was deleted lawfully.",
);

struct AckedRecordsAreReadable;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(AckedRecordsAreReadable)
}

impl Check for AckedRecordsAreReadable {
    fn hears(&self) -> Hears {
        Hears::default()
    }

    fn finish(&mut self, scene: Scene<'_>, found: &mut Found) {
        let binding = scene.history.records.iter().filter(|sent| is_binding(scene, sent)).count();
        for sent in scene.history.records.iter().filter(|sent| is_lost(scene, sent)) {
            let partition = &scene.history.partitions[sent.place as usize];
            found.report(INFO.name, Some(partition.id), |n| {
                ("an acknowledged record is gone".into(), tell(scene, partition, sent, binding, n))
            });
        }
    }
}

/// Whether its producer was told that all replicas have it, as it asked for, or as the lesson is about.
pub(super) fn is_binding(scene: Scene<'_>, sent: &Sent) -> bool {
    let lesson = scene.setup.demands(INFO.name);
    sent.outcome == Outcome::Acked
        && sent.acked_at.is_some()
        && scene.setup.client(sent.node).is_some_and(|client| client.acks == Acks::All || lesson)
}

/// Whether its topic or its place in the log was deleted lawfully, or may have been cleaned away there: whether it
/// was lawful to clean it, `compaction_keeps_newest` says.
pub(super) fn is_deleted(scene: Scene<'_>, partition: &Partition, offset: Offset) -> bool {
    let known = scene.cluster.partition(partition.id);
    known.is_some_and(|known| known.deleted || offset < known.trunk.start.max(known.trunk.cleaned))
}

/// Whether an acknowledged record was not there for those who read past its place.
///
/// The audit reads everything from the start: once it has seen a record of its own, it has seen all. Without
/// it, somebody must have come by its place, and nobody read it: who stands before it, and who begins behind it,
/// say nothing.
pub(super) fn is_lost(scene: Scene<'_>, sent: &Sent) -> bool {
    if !is_binding(scene, sent) {
        return false;
    }
    let partition = &scene.history.partitions[sent.place as usize];
    let Some(offset) = sent.acked_at.filter(|offset| !is_deleted(scene, partition, *offset)) else {
        return false;
    };
    if scene.forgives_loss_of(INFO.name, sent) {
        return false;
    }
    if partition.audit_complete || offset < partition.audited_to {
        return !sent.audited && !written_since(scene, partition, sent);
    }
    // What was read before a loss says nothing of the log since; and what was told after the audit had begun
    // only the audit can say, for others may begin to read behind it.
    let lost = scene.cluster.partition(partition.id).is_some_and(|known| !known.losses.is_empty());
    let (phase, since) = scene.cluster.phase;
    let late = phase == Phase::Audit && sent.told >= since;
    sent.read_at.is_none() && !lost && !late && scene.history.was_passed(sent.place, offset)
}

/// Whether it was acknowledged only after the audit had begun to read: then the audit need not have seen it.
fn written_since(scene: Scene<'_>, partition: &Partition, sent: &Sent) -> bool {
    sent.acked_at.is_some_and(|offset| offset >= partition.audited_to) && sent.told >= scene.cluster.phase.1
}

fn tell(
    scene: Scene<'_>,
    partition: &Partition,
    sent: &Sent,
    binding: usize,
    n: &dyn Names,
) -> Vec<(&'static str, String)> {
    let offset = sent.acked_at.unwrap_or_default();
    let value = scene.history.show(sent.value);
    let known = scene.cluster.partition(partition.id);
    let lost =
        format!("{} @{offset}  value {value}  1 of {binding} acknowledged records", Name(n, partition.id));
    let by = known.and_then(|known| known.leaderships.iter().rev().find(|led| led.at <= sent.told));
    let acks = match scene.setup.client(sent.node).map(|client| client.acks) {
        Some(Acks::None) => "0",
        Some(Acks::Leader) => "1",
        Some(Acks::All) | None => "all",
    };
    let acked = match by {
        Some(by) => format!(
            "{}s  {}, leader epoch {}, acks={acks} → {}",
            sent.told,
            Name(n, by.node),
            by.epoch,
            Name(n, sent.node)
        ),
        None => format!("{}s  acks={acks} → {}", sent.told, Name(n, sent.node)),
    };
    let gone = known.and_then(|known| {
        let shorter = known.leaderships.iter().find(|led| led.at >= sent.told && led.log_end <= offset);
        let shorter = shorter.map(|led| {
            format!(
                "{}s  {} leads, epoch {}, its log ends at {}",
                led.at,
                Name(n, led.node),
                led.epoch,
                led.log_end
            )
        });
        shorter.or_else(|| {
            let loss = known.losses.iter().find(|loss| loss.from <= offset && offset < loss.to)?;
            let word = if loss.unclean { ", unclean" } else { "" };
            Some(format!(
                "{}s  {} leads, epoch {}{word}, without @{}..{}",
                loss.by.at,
                Name(n, loss.by.node),
                loss.by.epoch,
                loss.from,
                loss.to
            ))
        })
    });
    let lossy = known.map_or(0, |known| known.lossy_restarts);
    let gone = gone.unwrap_or_else(|| format!("nobody told; {lossy} restarts lost records on a disk"));
    let other = scene.history.read(sent.place, offset).and_then(|at| scene.history.records.get(at as usize));
    let reader = auditor(scene).map_or("somebody".into(), |node| Name(n, node).to_string());
    let seen = match other.filter(|other| other.value != sent.value) {
        Some(other) => format!("{reader} read @{offset} = {}", scene.history.show(other.value)),
        None => format!("{reader} read to {}", partition.audited_to.max(scene.history.read_end(sent.place))),
    };
    vec![("lost", lost), ("acked", acked), ("gone", gone), ("seen", seen)]
}

fn auditor(scene: Scene<'_>) -> Option<NodeId> {
    let consumer = |client: &&super::ClientInfo| client.auditor && client.kind == super::ClientKind::Consumer;
    scene.setup.clients.iter().find(consumer).map(|client| client.node)
}

#[cfg(test)]
mod tests {
    use trial_model::event::{Event, LogStartReason, SeekReason};
    use trial_model::units::Offset;

    use super::{super::testing::*, Acks, INFO};

    fn three_sent() -> Bench {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).send(P1, 1).send(P1, 2).ack(P1, 0, 0).ack(P1, 1, 1);
        bench
    }

    #[test]
    fn an_acknowledged_record_that_is_jumped_over_is_lost() {
        let mut bench = three_sent();
        bench.read(C1, 0, P1, 0).read(C1, 2, P1, 2).finish();
        assert_eq!(bench.fired(), 1);
        assert_eq!(bench.judge.violations()[0].lines.len(), 4);
    }

    #[test]
    fn one_that_was_read_once_and_is_gone_at_the_audit_is_lost() {
        let mut bench = three_sent();
        bench.read(C1, 0, P1, 0).read(C1, 1, P1, 1).send(P9, 0).ack(P9, 0, 1);
        bench.read(C9, 0, P1, 0).read(C9, 1, P9, 0).finish();
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn the_leaders_word_binds_only_in_a_lesson_about_it() {
        for (demanded, fired) in [(None, 0), (Some(INFO.name), 1)] {
            let mut bench = Bench::with(INFO.name, |setup| {
                setup.demanded = demanded.map(Into::into);
                setup.clients[0].acks = Acks::Leader;
            });
            bench.send(P1, 0).send(P1, 1).send(P1, 2).ack(P1, 0, 0).ack(P1, 1, 1).ack(P1, 2, 2);
            bench.read(C1, 0, P1, 0).read(C1, 2, P1, 2).finish();
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn who_begins_behind_a_record_says_nothing_of_it() {
        let mut bench = three_sent();
        bench.read(C1, 2, P1, 2).finish();
        assert_eq!(bench.fired(), 0);
    }

    #[test]
    fn one_who_stands_before_a_record_and_another_who_begins_behind_it_say_nothing_of_it() {
        for (stood_at, fired) in [(2, 0), (1, 1)] {
            let mut bench = three_sent();
            let to = Offset(stood_at);
            let moved = Event::PositionMoved { partition: P, from: None, to, why: SeekReason::Asked };
            bench.read(C1, 0, P1, 0).say(C1, moved).read(C1, 2, P1, 2).finish();
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn what_is_unknown_unread_or_deleted_is_not_lost() {
        let mut bench = three_sent();
        // Nobody has read past the second, and the third was never acknowledged.
        bench.read(C1, 0, P1, 0).finish();
        assert_eq!(bench.fired(), 0);
        let mut bench = three_sent();
        let why = LogStartReason::DeleteRecords;
        bench.say(b(1), Event::LogStartMoved { partition: P, from: Offset(0), to: Offset(2), why });
        bench.read(C9, 2, P1, 2).finish();
        assert_eq!(bench.fired(), 0);
    }
}
