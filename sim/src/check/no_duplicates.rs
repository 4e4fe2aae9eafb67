//! Is a record of an idempotent producer in the log once? (`BB-dup`)

use trial_model::event::{Event, EventKind};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "no_duplicates",
    "BB-dup",
    "A record that an idempotent producer sent is never read at two offsets (KIP-98).",
);

struct NoDuplicates;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(NoDuplicates)
}

impl Check for NoDuplicates {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::Delivered], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::Delivered { partition: id, offset, .. } = *event else { return };
        let latest = scene.history.latest;
        let (Some(at), Some(first)) = (latest.record, latest.first_read) else { return };
        let sent = &scene.history.records[at as usize];
        // After a loss the producer may send again what was acknowledged elsewhere: that is for another check.
        let known = scene.cluster.partition(id);
        let moved =
            known.is_some_and(|known| !known.losses.is_empty() || scene.forgives_repeat_of(known, sent));
        let promised = scene.setup.demands(INFO.name)
            || scene.setup.client(sent.node).is_some_and(|client| client.idempotent);
        if first == offset || moved || !promised {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, Some(id), |n| {
            (
                format!("{} is in {} twice", scene.history.show(sent.value), Name(n, id)),
                vec![
                    (
                        "record",
                        format!(
                            "{} of {}, sent {}s",
                            scene.history.show(sent.value),
                            Name(n, sent.node),
                            sent.at
                        ),
                    ),
                    ("offsets", format!("@{first} and @{offset}")),
                    ("seen", format!("by {}", Name(n, node))),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{event::RecordTag, protocol::ErrorCode};

    use super::{super::testing::*, Event, INFO};

    #[test]
    fn a_record_at_two_offsets_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).read(C1, 0, P1, 0).read(C1, 1, P1, 0);
        assert_eq!(bench.fired(), 1);
    }

    /// A request that was given up arrives at a broker that has begun anew behind what it knew.
    #[test]
    fn what_was_given_up_may_be_taken_again_by_who_has_forgotten_it() {
        for (maybe_written, fired) in [(true, 0), (false, 1)] {
            let mut bench = Bench::of(INFO.name).begun();
            let (tag, partition, error) = (RecordTag(0), Some(P), ErrorCode::RequestTimedOut);
            bench.send(P1, 0).read(C1, 0, P1, 0);
            bench.say(P1, Event::RecordFailed { tag, partition, error, maybe_written }).wait(1);
            bench.truncate(2, 9, 0).read(C1, 9, P1, 0);
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn without_idempotence_nobody_promised_it() {
        let mut bench = Bench::with(INFO.name, |setup| setup.clients[0].idempotent = false);
        bench.send(P1, 0).read(C1, 0, P1, 0).read(C1, 1, P1, 0);
        assert_eq!(bench.fired(), 0);
        let mut bench = Bench::with(INFO.name, |setup| {
            setup.clients[0].idempotent = false;
            setup.demanded = Some(INFO.name.into());
        });
        bench.send(P1, 0).read(C1, 0, P1, 0).read(C1, 1, P1, 0);
        assert_eq!(bench.fired(), 1, "unless that is the lesson");
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).read(C1, 0, P1, 0).read(C9, 0, P1, 0);
        assert_eq!(bench.fired(), 0, "two readers, one offset");
    }
}
