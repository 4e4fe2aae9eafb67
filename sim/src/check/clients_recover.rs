//! Do clients that lived through the faults work again? (`L-client`)

use trial_model::{time::Instant, units::NodeId};

use super::{Check, CheckInfo, ClientKind, Hears, Scene, Unsettled, liveness};
use crate::history::Outcome;

pub(super) const INFO: CheckInfo = liveness(
    "clients_recover",
    "L-client",
    "A producer that lived through the faults sends again without a restart.",
);

struct ClientsRecover;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(ClientsRecover)
}

impl Check for ClientsRecover {
    fn hears(&self) -> Hears {
        Hears::default()
    }

    fn unsettled(&self, scene: Scene<'_>) -> Option<Unsettled> {
        let producers = scene.setup.clients.iter().filter(|client| client.kind == ClientKind::Producer);
        for client in producers.filter(|client| scene.cluster.alive(client.node)) {
            let Some((_, since)) = scene.history.since.iter().find(|(node, _)| *node == client.node) else {
                continue;
            };
            // What ran out of time while the cluster came to rest says nothing about the client, and what waits
            // for a topic that is gone can do nothing else.
            let waits = || waiting_for_nothing(scene, client.node, since.first.unwrap_or_default());
            if since.done > 0 || since.sent == since.timed_out || since.sent == since.timed_out + waits() {
                continue;
            }
            let first = since.first.map_or(String::new(), |first| format!("the first at {first}s"));
            return Some(
                Unsettled::new(format!(
                    "{} has sent {} records and none was acknowledged",
                    client.name, since.sent
                ))
                .line(
                    "client",
                    format!("{}: {} records since the faults ended, {first}", client.name, since.sent),
                )
                .line("timed out", since.timed_out.to_string()),
            );
        }
        None
    }
}

/// How many records a client has sent since `first` to topics that are gone.
fn waiting_for_nothing(scene: Scene<'_>, client: NodeId, first: Instant) -> u32 {
    let sent = scene.history.records.iter().rev().take_while(|sent| sent.at >= first);
    let waits = sent.filter(|sent| sent.node == client && sent.outcome == Outcome::InFlight);
    let places = waits.filter_map(|sent| scene.history.partitions.get(sent.place as usize));
    places.filter(|place| scene.cluster.is_gone(place.id.topic)).count() as u32
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::{Event, RecordTag},
        protocol::ErrorCode,
        units::{NodeId, Offset},
    };

    use super::{super::testing::*, INFO};
    use crate::world_event::Phase;

    fn failed(error: ErrorCode) -> Event {
        Event::RecordFailed { tag: RecordTag(1), partition: Some(P), error, maybe_written: false }
    }

    #[test]
    fn a_producer_whose_every_send_is_refused_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.send(P1, 0).phase(Phase::Settle);
        assert!(bench.unsettled().is_empty());
        bench.send(P1, 1).say(P1, failed(ErrorCode::OutOfOrderSequenceNumber)).finish();
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn one_that_is_acknowledged_or_ran_out_of_time_is_well() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.phase(Phase::Settle).send(P1, 1).say(P1, failed(ErrorCode::RequestTimedOut));
        assert!(bench.unsettled().is_empty());
        bench.send(P1, 2).ack(P1, 2, 0).finish();
        assert_eq!(bench.fired(), 0);
    }

    #[test]
    fn one_that_waits_for_a_topic_that_is_gone_can_do_nothing_else() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.phase(Phase::Settle).send(P1, 1);
        assert_eq!(bench.unsettled().len(), 1);
        let (topic, name) = (P.topic, || "orders".into());
        bench.say(NodeId::controller(1), Event::TopicCreated { topic, name: name(), at: Offset(8), active: true });
        assert_eq!(bench.unsettled().len(), 1);
        bench.say(NodeId::controller(1), Event::TopicDeleted { topic, name: name(), at: Offset(9), active: true });
        assert!(bench.unsettled().is_empty());
    }
}
