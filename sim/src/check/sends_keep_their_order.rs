//! Do a producer's records stand in the order in which it sent them? (`BB-nmsend`)

use std::collections::BTreeSet;

use trial_model::units::{NodeId, Offset};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, acked_records_are_readable::is_binding, safety};
use crate::history::Sent;

pub(super) const INFO: CheckInfo = safety(
    "sends_keep_their_order",
    "BB-nmsend",
    "Records of one idempotent producer in one life, or of one with a single request in flight, stand in a partition in the order in which they were sent.",
);

struct SendsKeepTheirOrder;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(SendsKeepTheirOrder)
}

impl Check for SendsKeepTheirOrder {
    fn hears(&self) -> Hears {
        Hears::default()
    }

    fn finish(&mut self, scene: Scene<'_>, found: &mut Found) {
        for (place, partition) in scene.history.partitions.iter().enumerate() {
            // What a loss took away may be sent again, later than what came after.
            let known = scene.cluster.partition(partition.id);
            if known.is_some_and(|known| !known.losses.is_empty()) {
                continue;
            }
            let mut newest: Vec<(NodeId, &Sent, u64)> = Vec::new();
            // Of a record that stands there several times the first counts, whichever was read first.
            let mut seen = BTreeSet::new();
            for (offset, sent) in scene.history.reads(place as u32) {
                if !orders(scene, sent) || !seen.insert((sent.node, sent.nth)) {
                    continue;
                }
                let Some(last) = newest.iter_mut().find(|(node, ..)| *node == sent.node) else {
                    newest.push((sent.node, sent, offset.0));
                    continue;
                };
                if last.1.nth <= sent.nth {
                    (last.1, last.2) = (sent, offset.0);
                    continue;
                }
                // What a former process had sent may be on its way when the next begins, under another producer
                // id: only transactions would fence it.
                // Sent again without numbers, it stands where it was acknowledged, too, although that was deleted
                // before anybody read it; or where it was not acknowledged, and was cleaned away.
                let idempotent = scene.setup.client(sent.node).is_some_and(|client| client.idempotent);
                let cleaned = known.is_some_and(|known| known.trunk.cleaned > Offset::ZERO);
                let stood = !idempotent && (cleaned || sent.acked_at.is_some_and(|at| at.0 < last.2));
                if stood
                    || !scene.history.of_one_life(last.1, sent)
                    || known.is_some_and(|known| scene.forgives_repeat_of(known, sent))
                {
                    continue;
                }
                let (before, before_at) = (last.1, last.2);
                found.report(INFO.name, Some(partition.id), |n| {
                    let told = |sent: &Sent, at: u64| {
                        format!("{} sent {}s, stands @{at}", scene.history.show(sent.value), sent.at)
                    };
                    (
                        format!(
                            "{} sent two records of {} in the other order",
                            Name(n, sent.node),
                            Name(n, partition.id)
                        ),
                        vec![("earlier", told(sent, offset.0)), ("later", told(before, before_at))],
                    )
                });
            }
        }
    }
}

/// Whether anybody promised an order for this record.
fn orders(scene: Scene<'_>, sent: &Sent) -> bool {
    let Some(client) = scene.setup.client(sent.node) else { return false };
    client.idempotent
        || scene.setup.demands(INFO.name)
        || (client.max_in_flight == 1 && is_binding(scene, sent))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};
    use crate::world_event::Stop;

    #[test]
    fn records_in_the_other_order_are_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).send(P1, 1).read(C1, 0, P1, 1).read(C1, 1, P1, 0).finish();
        assert_eq!(bench.fired(), 1);
    }

    /// Sent again after its answer was lost, the first record stands behind the second, too; and that is read
    /// first, by one who began in the middle.
    #[test]
    fn a_repeated_record_stands_where_it_stands_first() {
        let mut bench = Bench::with(INFO.name, |setup| {
            (setup.clients[0].idempotent, setup.clients[0].max_in_flight) = (false, 1);
        });
        bench.send(P1, 0).send(P1, 1);
        bench.read(C1, 1, P1, 1).read(C1, 2, P1, 0).read(C1, 0, P1, 0).finish();
        assert_eq!(bench.fired(), 0);
    }

    #[test]
    fn a_repeated_record_stands_where_it_was_acknowledged() {
        for (acked, fired) in [(0, 0), (2, 1)] {
            let mut bench = Bench::with(INFO.name, |setup| {
                (setup.clients[0].idempotent, setup.clients[0].max_in_flight) = (false, 1);
            });
            bench.send(P1, 0).send(P1, 1).ack(P1, 0, acked).ack(P1, 1, 1);
            bench.read(C1, 1, P1, 1).read(C1, 2, P1, 0).finish();
            assert_eq!(bench.fired(), fired);
        }
    }

    /// Where it stood first it may have been cleaned away.
    #[test]
    fn a_repeated_record_of_a_cleaned_log_stands_anywhere() {
        for (idempotent, fired) in [(false, 0), (true, 1)] {
            let mut bench = Bench::with(INFO.name, |setup| {
                (setup.clients[0].idempotent, setup.clients[0].max_in_flight) = (idempotent, 1);
            });
            bench.send(P1, 0).send(P1, 1).ack(P1, 0, 2).ack(P1, 1, 1).cleans(1, 1);
            bench.read(C1, 1, P1, 1).read(C1, 2, P1, 0).finish();
            assert_eq!(bench.fired(), fired);
        }
    }

    /// Its first place was deleted, and who leads now began behind that.
    #[test]
    fn a_leader_that_began_behind_what_was_deleted_takes_it_again() {
        for (from, to, fired) in [(0, 1, 0), (2, 1, 1)] {
            let mut bench = Bench::of(INFO.name);
            bench.send(P1, 0).send(P1, 1).reset(2, from, to).wait(1);
            bench.ack(P1, 0, 2).read(C1, 1, P1, 1).read(C1, 2, P1, 0).finish();
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn a_late_record_of_a_former_life_is_nobodys_promise() {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).wait(1).stop(P1, Stop::Crash).start(P1).wait(1).send(P1, 1);
        bench.read(C1, 0, P1, 1).read(C1, 1, P1, 0).finish();
        assert_eq!(bench.fired(), 0);
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).send(P1, 1).wait(1).stop(P1, Stop::Crash).start(P1);
        bench.read(C1, 0, P1, 1).read(C1, 1, P1, 0).finish();
        assert_eq!(bench.fired(), 1, "both are of the former life");
    }

    #[test]
    fn without_idempotence_and_with_many_in_flight_nobody_promised_it() {
        let mut bench = Bench::with(INFO.name, |setup| setup.clients[0].idempotent = false);
        bench.send(P1, 0).send(P1, 1).read(C1, 0, P1, 1).read(C1, 1, P1, 0).finish();
        assert_eq!(bench.fired(), 0);
        let mut bench = Bench::of(INFO.name);
        bench
            .send(P1, 0)
            .send(P9, 0)
            .send(P1, 1)
            .read(C1, 0, P9, 0)
            .read(C1, 1, P1, 0)
            .read(C1, 2, P1, 1)
            .finish();
        assert_eq!(bench.fired(), 0);
    }
}
