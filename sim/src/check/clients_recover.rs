//! Do clients that lived through the faults work again? (`L-client`)

use super::{Check, CheckInfo, ClientKind, Hears, Scene, Unsettled, liveness};

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
            // What ran out of time while the cluster came to rest says nothing about the client.
            if since.sent == since.timed_out || since.done > 0 {
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

#[cfg(test)]
mod tests {
    use trial_model::{
        event::{Event, RecordTag},
        protocol::ErrorCode,
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
}
