//! Is a record where its producer was told it is? (`BB-offset-dup`)

use trial_model::{
    event::{Event, EventKind},
    units::{Offset, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, acked_records_are_readable::is_binding, safety};
use crate::history::Sent;

pub(super) const INFO: CheckInfo = safety(
    "acked_offset_holds_the_record",
    "BB-offset-dup",
    "A record acknowledged to acks=all is read at the offset it was acknowledged with, and no offset is given to two.",
);

struct AckedOffsetHoldsTheRecord;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(AckedOffsetHoldsTheRecord)
}

impl Check for AckedOffsetHoldsTheRecord {
    fn hears(&self) -> Hears {
        Hears { after: &[EventKind::Delivered, EventKind::RecordAcked], ..Hears::default() }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let latest = scene.history.latest;
        let Some(sent) = latest.record.map(|at| &scene.history.records[at as usize]) else { return };
        // A non-idempotent record may be in the log twice and acknowledged for either.
        let once = scene.setup.client(sent.node).is_some_and(|client| client.idempotent);
        let (Some(acked), true) = (sent.acked_at, once && is_binding(scene, sent)) else { return };
        // Where it was acknowledged, or was read before it was acknowledged, is lost lawfully: another copy
        // stands elsewhere, of a leader that was not told to have it, or sent again.
        let lost = |id: TopicPartition, place: Offset| {
            scene.cluster.partition(id).is_some_and(|known| {
                scene.forgives_loss_at(known, place, sent.at) || scene.forgives_repeat_of(known, sent)
            })
        };
        let returned = |id: TopicPartition, place: Offset| {
            let known = scene.cluster.partition(id);
            lost(id, place) || known.is_some_and(|known| scene.forgives_return_to(known, place, sent.at))
        };
        match *event {
            Event::Delivered { partition, offset, .. }
                if offset != acked && !lost(partition, acked) && !returned(partition, offset) =>
            {
                tell(scene, partition, sent, acked, offset, found);
            }
            Event::RecordAcked { partition, .. } => {
                let elsewhere = sent.read_at.filter(|read| *read != acked);
                if let Some(read) = elsewhere.filter(|read| !returned(partition, *read) && !lost(partition, acked)) {
                    tell(scene, partition, sent, acked, read, found);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, scene: Scene<'_>, found: &mut Found) {
        let history = scene.history;
        let binding = history.records.iter().filter(|sent| is_binding(scene, sent));
        let mut acked: Vec<(Offset, &Sent)> = binding.filter_map(|sent| Some((sent.acked_at?, sent))).collect();
        acked.sort_by_key(|(offset, sent)| (sent.place, *offset, sent.told));
        let same = |pair: &&[(Offset, &Sent)]| (pair[0].0, pair[0].1.place) == (pair[1].0, pair[1].1.place);
        for pair in acked.windows(2).filter(same) {
            let (offset, one, another) = (pair[0].0, pair[0].1, pair[1].1);
            let Some(partition) = history.partitions.get(one.place as usize) else { continue };
            if scene.cluster.partition(partition.id).is_some_and(|known| !known.losses.is_empty()) {
                continue;
            }
            found.report(INFO.name, Some(partition.id), |n| {
                (
                    format!("two records were acknowledged at {} @{offset}", Name(n, partition.id)),
                    vec![
                        ("one", format!("{} at {}s", history.show(one.value), one.told)),
                        ("another", format!("{} at {}s", history.show(another.value), another.told)),
                    ],
                )
            });
        }
    }
}

fn tell(scene: Scene<'_>, id: TopicPartition, sent: &Sent, acked: Offset, read: Offset, found: &mut Found) {
    found.report(INFO.name, Some(id), |n| {
        let value = scene.history.show(sent.value);
        (
            format!("{value} was acknowledged at {} @{acked} and stands at @{read}", Name(n, id)),
            vec![
                ("record", format!("{value} of {}, sent {}s", Name(n, sent.node), sent.at)),
                ("acked", format!("@{acked} at {}s", sent.told)),
                ("read", format!("@{read}")),
            ],
        )
    });
}

#[cfg(test)]
mod tests {
    use trial_model::event::BrokerState;

    use super::{super::testing::*, Event, INFO};
    use crate::world_event::Stop;

    #[test]
    fn a_record_that_stands_elsewhere_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).ack(P1, 0, 0).read(C1, 4, P1, 0);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn where_it_stood_before_a_lawful_loss_is_forgiven() {
        for (unclean, fired) in [(true, 0), (false, 1)] {
            let mut bench = Bench::with(INFO.name, |setup| setup.elr = true).begun();
            bench.replicated(0, 1, 7, &[2, 3]).send(P1, 0).hw(1, 1, 1, &[1, 2, 3]).read(C1, 0, P1, 0);
            for nth in 1..=3 {
                bench.stop(b(nth), Stop::PowerLoss).start(b(nth)).recovered(nth, 0, None);
                bench.say(b(nth), Event::BrokerStateChanged { state: BrokerState::Starting });
            }
            bench.wait(1).elected(2, 2, &[2], unclean).leads(2, 2).ack(P1, 0, 4);
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn a_copy_of_what_was_lost_where_it_was_acknowledged_is_forgiven() {
        for (allowed, fired) in [(true, 0), (false, 1)] {
            let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = allowed).begun();
            bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).send(P1, 0);
            bench.append(b(1), Leader, 1, 1, 8).hw(1, 1, 2, &[1]).ack(P1, 0, 1);
            bench.elected(2, 2, &[2], true).leads(2, 2).read(C1, 0, P1, 0);
            assert_eq!(bench.fired(), fired);
        }
    }

    /// The leader of before, that has not heard of the election, hands out what it had.
    #[test]
    fn the_place_of_a_copy_that_was_lost_is_forgiven_to_who_still_reads_it() {
        for (allowed, fired) in [(true, 0), (false, 1)] {
            let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = allowed).begun();
            bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).send(P1, 0);
            bench.append(b(1), Leader, 1, 1, 8).hw(1, 1, 2, &[1]).elected(2, 2, &[2], true).leads(2, 2);
            bench.ack(P1, 0, 4).read(C1, 1, P1, 0);
            assert_eq!(bench.fired(), fired);
        }
    }

    /// Broker 1 had a record that it could not commit. Who was elected in its place had lost what was before, and asked
    /// for it once more; then broker 1 is elected, and has it twice.
    #[test]
    fn what_an_unclean_election_brought_back_may_stand_there_twice() {
        for (allowed, fired) in [(true, 0), (false, 1)] {
            let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = allowed).begun();
            bench.replicated(0, 1, 7, &[3]).hw(1, 1, 1, &[1, 3]).send(P1, 0).append(b(1), Leader, 1, 1, 8);
            bench.elected(2, 2, &[2], true).leads(2, 2).elected(1, 3, &[1], true).leads(1, 3);
            bench.hw(1, 3, 2, &[1]).read(C1, 1, P1, 0).append(b(1), Leader, 2, 3, 9).hw(1, 3, 3, &[1]);
            bench.ack(P1, 0, 2);
            assert_eq!(bench.fired(), fired);
        }
    }

    /// What was sent after the elections, or stands before what they lost, none of them has brought back.
    #[test]
    fn what_no_election_brought_back_stands_there_once() {
        for (late, place, fired) in [(false, 1, 0), (true, 1, 1), (false, 0, 1)] {
            let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = true).begun();
            bench.replicated(0, 1, 7, &[2, 3]).replicated(1, 1, 8, &[3]).hw(1, 1, 2, &[1, 3]);
            if !late {
                bench.send(P1, 0);
            }
            bench.wait(1).elected(2, 2, &[2], true).leads(2, 2).elected(1, 3, &[1], true).leads(1, 3);
            bench.hw(1, 3, 2, &[1]).wait(1);
            if late {
                bench.send(P1, 0);
            }
            bench.read(C1, place, P1, 0).ack(P1, 0, 5);
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn an_offset_given_to_two_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.send(P1, 0).send(P1, 1).ack(P1, 0, 0).ack(P1, 1, 0).finish();
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_record_at_its_place_or_gone_is_well() {
        let mut bench = Bench::of(INFO.name);
        bench
            .send(P1, 0)
            .send(P1, 1)
            .ack(P1, 0, 0)
            .read(C1, 0, P1, 0)
            .read(C1, 1, P1, 1)
            .ack(P1, 1, 1)
            .finish();
        assert_eq!(bench.fired(), 0);
    }
}
