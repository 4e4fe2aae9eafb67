//! Does a network look like TCP from above?

use std::collections::BTreeMap;

use trial_model::{
    machine::{Channel, ConnectionId, Disconnect, Input, Outgoing},
    protocol::{
        ApiKey, ErrorCode, Request, Response,
        producer_ids::{AllocateProducerIdsRequest, InitProducerIdRequest, InitProducerIdResponse},
    },
    rng::Rng,
    time::Instant,
    units::{BrokerEpoch, CorrelationId, NodeId, NodeSet, Ratio},
};

use super::*;

const A: NodeId = NodeId::broker(1);
const B: NodeId = NodeId::broker(2);

fn ms(n: u64) -> Instant {
    Instant(n * 1_000_000)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// One millisecond each way.
fn config() -> NetworkConfig {
    NetworkConfig { latency: Latency::fixed(millis(1)), bandwidth: None, ..NetworkConfig::default() }
}

/// Two or more running nodes and what they were told.
struct Wiretap {
    network: Network,
    now: Instant,
    told: Vec<Delivery>,
}

impl Wiretap {
    fn new(config: NetworkConfig) -> Wiretap {
        let mut network = Network::new(7, config);
        network.process_started(Instant::ZERO, A);
        network.process_started(Instant::ZERO, B);
        Wiretap { network, now: Instant::ZERO, told: Vec::new() }
    }

    /// With a connection from A to B over which request 0 has gone, after a second.
    fn connected() -> Wiretap {
        let mut tap = Wiretap::new(config());
        tap.ask(0);
        tap.run_until(ms(1_000));
        assert_eq!(tap.take(), ["3 broker-2: request 0"]);
        assert_eq!(tap.network.next_due(), None);
        tap
    }

    fn run_until(&mut self, at: Instant) {
        while let Some(due) = self.network.next_due().filter(|due| *due <= at) {
            self.network.advance(due, &mut self.told);
        }
        self.now = at;
    }

    fn ask(&mut self, correlation: u32) {
        self.send(A, request(B, correlation));
    }

    fn answer(&mut self, connection: ConnectionId, correlation: u32) {
        self.send(B, reply(A, connection, correlation));
    }

    fn send(&mut self, from: NodeId, message: Outgoing) {
        self.network.send(self.now, from, message);
    }

    fn fault(&mut self, id: u32, from: NodeId, to: NodeId, kind: LinkFaultKind) {
        let fault = LinkFault { from: one(from), to: one(to), kind, since: self.now };
        self.network.begin(FaultId(id), fault);
    }

    fn end(&mut self, id: u32) {
        assert!(self.network.end(FaultId(id), self.now));
    }

    /// What the nodes were told since the last time, with the time in milliseconds.
    fn take(&mut self) -> Vec<String> {
        self.told.drain(..).map(|d| format!("{} {}: {}", d.at.0 / 1_000_000, d.to, show(&d.input))).collect()
    }
}

fn one(node: NodeId) -> NodeSet {
    [node].into_iter().collect()
}

fn show(input: &Input) -> String {
    match input {
        Input::Request { correlation, .. } => format!("request {correlation}"),
        Input::Response { correlation, .. } => format!("response {correlation}"),
        Input::Disconnected { peer, why, .. } => format!("{why:?} by {peer}"),
        Input::Closed { .. } => "closed".to_owned(),
        other => panic!("the network made {other:?}"),
    }
}

fn request(to: NodeId, correlation: u32) -> Outgoing {
    let request = Request::InitProducerId(InitProducerIdRequest { current: None });
    Outgoing::Request { to, channel: Channel::MAIN, correlation: CorrelationId(correlation), request }
}

fn reply(to: NodeId, connection: ConnectionId, correlation: u32) -> Outgoing {
    let result = Err(ErrorCode::NotController);
    let response = Response::InitProducerId(InitProducerIdResponse { result });
    Outgoing::Reply { to, connection, correlation: CorrelationId(correlation), response }
}

fn first() -> ConnectionId {
    connection_id(A, B, Channel::MAIN, 1)
}

#[test]
fn a_conversation_is_opened_on_demand_and_keeps_its_order() {
    let mut tap = Wiretap::new(NetworkConfig { bandwidth: None, ..NetworkConfig::default() });
    for correlation in 0..50 {
        tap.ask(correlation);
    }
    tap.run_until(ms(100));
    let told: Vec<String> = tap.told.drain(..).map(|d| show(&d.input)).collect();
    assert_eq!(told, (0..50).map(|n| format!("request {n}")).collect::<Vec<_>>());
    for correlation in 0..50 {
        tap.answer(first(), correlation);
    }
    tap.run_until(ms(200));
    let told: Vec<String> = tap.told.drain(..).map(|d| show(&d.input)).collect();
    assert_eq!(told, (0..50).map(|n| format!("response {n}")).collect::<Vec<_>>());
}

#[test]
fn channels_are_connections_of_their_own() {
    let mut tap = Wiretap::connected();
    let Outgoing::Request { to, correlation, request, .. } = request(B, 1) else { unreachable!() };
    tap.send(A, Outgoing::Request { to, channel: Channel::FETCH, correlation, request });
    tap.run_until(ms(1_020));
    let Input::Request { connection, .. } = tap.told[0].input else { panic!("no request") };
    assert_ne!(connection, first());
    assert_eq!(channel_of(connection), Channel::FETCH);
    assert_eq!(client_of(connection), A);
}

#[test]
fn a_dead_process_refuses() {
    let mut tap = Wiretap::new(config());
    tap.network.process_stopped(Instant::ZERO, B);
    tap.ask(0);
    tap.run_until(ms(60_000));
    assert_eq!(tap.take(), ["2 broker-1: Refused by broker-2"]);
    tap.network.process_started(tap.now, B);
    tap.ask(1);
    tap.run_until(ms(61_000));
    assert_eq!(tap.take(), ["60003 broker-2: request 1"]);
}

#[test]
fn connecting_over_a_cut_times_out() {
    let mut tap = Wiretap::new(config());
    tap.fault(1, A, B, LinkFaultKind::Cut);
    tap.ask(0);
    tap.run_until(ms(60_000));
    assert_eq!(tap.take(), ["10000 broker-1: TimedOut by broker-2"]);
}

#[test]
fn connecting_goes_on_after_a_short_cut() {
    let mut tap = Wiretap::new(config());
    tap.fault(1, B, A, LinkFaultKind::Cut);
    tap.ask(0);
    tap.run_until(ms(2_000));
    assert!(tap.take().is_empty());
    tap.end(1);
    tap.run_until(ms(60_000));
    assert_eq!(tap.take(), ["3003 broker-2: request 0"]);
}

#[test]
fn the_kernel_of_a_killed_process_closes_its_connections() {
    let mut tap = Wiretap::connected();
    tap.network.process_stopped(tap.now, B);
    tap.run_until(ms(2_000));
    assert_eq!(tap.take(), ["1001 broker-1: Closed by broker-2"]);

    let mut tap = Wiretap::connected();
    tap.network.process_stopped(tap.now, A);
    tap.run_until(ms(2_000));
    assert_eq!(tap.take(), ["1001 broker-2: closed"]);
}

#[test]
fn a_machine_without_power_is_silent_and_the_sender_gives_up() {
    let mut tap = Wiretap::connected();
    tap.network.power_lost(tap.now, B);
    tap.run_until(ms(101_000));
    assert!(tap.take().is_empty(), "an idle half-open connection shows nothing");
    tap.ask(1);
    tap.run_until(ms(201_000));
    assert_eq!(tap.take(), ["116001 broker-1: TimedOut by broker-2"]);
    tap.ask(2);
    tap.run_until(ms(301_000));
    assert_eq!(tap.take(), ["211000 broker-1: TimedOut by broker-2"]);
}

#[test]
fn a_machine_that_was_restarted_resets_what_it_does_not_know() {
    let mut tap = Wiretap::connected();
    tap.network.power_lost(tap.now, B);
    tap.run_until(ms(6_000));
    tap.network.process_started(tap.now, B);
    tap.run_until(ms(9_000));
    assert!(tap.take().is_empty());
    tap.ask(1);
    tap.run_until(ms(11_000));
    assert_eq!(tap.take(), ["9002 broker-1: Reset by broker-2"]);
    tap.ask(2);
    tap.run_until(ms(12_000));
    assert_eq!(tap.take(), ["11003 broker-2: request 2"]);
}

#[test]
fn what_was_sent_before_a_restart_learns_of_it_by_being_sent_again() {
    let mut tap = Wiretap::connected();
    tap.network.power_lost(tap.now, B);
    tap.ask(1);
    tap.run_until(ms(2_000));
    tap.network.process_started(tap.now, B);
    tap.run_until(ms(11_000));
    // Sent again 200, 600 and 1,400 ms after it should have arrived.
    assert_eq!(tap.take(), ["2403 broker-1: Reset by broker-2"]);
}

#[test]
fn a_restart_behind_a_cut_is_noticed_when_it_heals() {
    let mut tap = Wiretap::connected();
    tap.fault(1, A, B, LinkFaultKind::Cut);
    tap.fault(2, B, A, LinkFaultKind::Cut);
    tap.network.process_stopped(tap.now, B);
    tap.run_until(ms(6_000));
    assert!(tap.take().is_empty(), "half-open");
    tap.network.process_started(tap.now, B);
    tap.end(1);
    tap.end(2);
    tap.ask(1);
    tap.run_until(ms(31_000));
    assert_eq!(tap.take(), ["6002 broker-1: Reset by broker-2"]);
}

#[test]
fn a_one_way_cut_delays_one_way_only() {
    let mut tap = Wiretap::connected();
    tap.fault(1, A, B, LinkFaultKind::Cut);
    tap.ask(1);
    tap.answer(first(), 0);
    tap.run_until(ms(3_900));
    assert_eq!(tap.take(), ["1001 broker-1: response 0"]);
    tap.end(1);
    tap.run_until(ms(61_000));
    // Sent again after 0.2, 0.6, 1.4 and 3 s; that last one got through.
    assert_eq!(tap.take(), ["4001 broker-2: request 1"]);
}

#[test]
fn a_lasting_cut_makes_both_ends_give_up() {
    let mut tap = Wiretap::connected();
    tap.fault(1, A, B, LinkFaultKind::Cut);
    tap.ask(1);
    tap.answer(first(), 0);
    tap.run_until(ms(61_000));
    // B's answer arrived, but nothing of A's tells it so.
    let told = tap.take();
    assert_eq!(told[0], "1001 broker-1: response 0");
    assert_eq!(told[1..], ["16000 broker-1: TimedOut by broker-2", "16001 broker-2: closed"]);
}

#[test]
fn an_idle_answer_is_acknowledged() {
    let mut tap = Wiretap::connected();
    tap.answer(first(), 0);
    tap.run_until(ms(101_000));
    assert_eq!(tap.take(), ["1001 broker-1: response 0"]);
    assert_eq!(tap.network.next_due(), None, "nothing is left to wait for");
}

#[test]
fn a_burst_queues_for_the_bandwidth() {
    let mut tap = Wiretap::connected();
    tap.fault(1, A, B, LinkFaultKind::Bandwidth(8_800));
    for correlation in 1..=300 {
        tap.ask(correlation);
    }
    tap.run_until(ms(61_000));
    // 88 bytes take 10 ms, so that the burst takes 3 s; being slow is not being silent.
    let told = tap.take();
    assert_eq!(told.len(), 300);
    assert_eq!(told[0], "1011 broker-2: request 1");
    assert_eq!(told[299], "4001 broker-2: request 300");
}

#[test]
fn losses_delay_and_keep_the_order() {
    let mut tap = Wiretap::new(NetworkConfig { loss: Ratio(1, 4), ..config() });
    for correlation in 0..200 {
        tap.ask(correlation);
        let next = tap.now + millis(50);
        tap.run_until(next);
    }
    tap.run_until(ms(100_000));
    let told: Vec<String> = tap.told.drain(..).map(|d| show(&d.input)).collect();
    assert_eq!(told, (0..200).map(|n| format!("request {n}")).collect::<Vec<_>>());
}

#[test]
fn a_message_lost_for_good_takes_its_connection_with_it() {
    let mut tap = Wiretap::connected();
    let kind =
        LinkFaultKind::Drop { api: ApiKey::InitProducerId, side: Side::Response, chance: Ratio::ALWAYS };
    tap.fault(1, B, A, kind);
    tap.answer(first(), 0);
    tap.run_until(ms(3_000));
    tap.end(1);
    tap.ask(1);
    tap.run_until(ms(4_000));
    assert_eq!(tap.take(), ["3001 broker-2: request 1"]);
    tap.answer(first(), 1);
    tap.run_until(ms(5_000));
    assert!(tap.take().is_empty(), "nothing overtakes what was lost");
    // The client has waited long enough, and tries another connection.
    tap.send(A, Outgoing::Disconnect { peer: B, channel: Channel::MAIN });
    tap.ask(2);
    tap.run_until(ms(61_000));
    assert_eq!(tap.take(), ["5001 broker-2: closed", "5003 broker-2: request 2"]);
}

#[test]
fn only_messages_of_the_named_kind_are_hit() {
    let mut tap = Wiretap::connected();
    let (api, by) = (ApiKey::AllocateProducerIds, millis(500));
    tap.fault(1, A, B, LinkFaultKind::Delay { api, side: Side::Request, chance: Ratio::ALWAYS, by });
    tap.ask(1);
    let request =
        Request::AllocateProducerIds(AllocateProducerIdsRequest { broker: A, broker_epoch: BrokerEpoch(0) });
    let correlation = CorrelationId(2);
    tap.send(A, Outgoing::Request { to: B, channel: Channel::MAIN, correlation, request });
    tap.ask(3);
    tap.run_until(ms(6_000));
    let wanted = ["1001 broker-2: request 1", "1501 broker-2: request 2", "1501 broker-2: request 3"];
    assert_eq!(tap.take(), wanted);
}

#[test]
fn a_delay_hits_only_as_many_as_it_says() {
    let mut tap = Wiretap::connected();
    let (api, chance) = (ApiKey::InitProducerId, Ratio(1, 2));
    tap.fault(1, A, B, LinkFaultKind::Delay { api, side: Side::Request, chance, by: millis(20) });
    let mut late = 0;
    for nth in 1..=100 {
        let asked = tap.now;
        tap.ask(nth);
        tap.run_until(Instant(asked.0 + 100_000_000));
        late += u32::from(tap.take() == [format!("{} broker-2: request {nth}", asked.0 / 1_000_000 + 21)]);
    }
    assert!((30..70).contains(&late), "{late} of 100");
}

#[test]
fn a_slow_link_may_deliver_an_old_request_after_its_retry() {
    let mut tap = Wiretap::connected();
    tap.fault(1, A, B, LinkFaultKind::Slow(millis(700)));
    tap.ask(1);
    tap.send(A, Outgoing::Disconnect { peer: B, channel: Channel::MAIN });
    tap.end(1);
    tap.ask(1);
    tap.run_until(ms(3_000));
    let wanted = ["1003 broker-2: request 1", "1701 broker-2: request 1", "1701 broker-2: closed"];
    assert_eq!(tap.take(), wanted);
}

#[test]
fn what_a_closed_connection_still_had_to_send_is_sent() {
    let mut tap = Wiretap::connected();
    tap.fault(1, A, B, LinkFaultKind::Cut);
    tap.ask(1);
    tap.send(A, Outgoing::Disconnect { peer: B, channel: Channel::MAIN });
    tap.run_until(ms(1_500));
    tap.end(1);
    tap.run_until(ms(61_000));
    assert_eq!(tap.take(), ["1601 broker-2: request 1", "1601 broker-2: closed"]);
}

#[test]
fn closing_an_accepted_connection_tells_the_client_and_not_the_server() {
    let mut tap = Wiretap::connected();
    tap.answer(first(), 0);
    tap.send(B, Outgoing::Close { connection: first() });
    tap.answer(first(), 1);
    tap.run_until(ms(2_000));
    assert_eq!(tap.take(), ["1001 broker-1: response 0", "1001 broker-1: Closed by broker-2"]);
}

#[test]
fn an_answer_to_a_client_that_left_reaches_nobody() {
    let mut tap = Wiretap::connected();
    tap.send(A, Outgoing::Disconnect { peer: B, channel: Channel::MAIN });
    tap.answer(first(), 0);
    tap.run_until(ms(2_000));
    assert_eq!(tap.take(), ["1001 broker-2: closed"]);
    tap.answer(first(), 1);
    tap.run_until(ms(3_000));
    assert!(tap.take().is_empty());
}

#[test]
fn a_reset_is_heard_at_both_ends_once() {
    let mut tap = Wiretap::connected();
    tap.fault(1, A, B, LinkFaultKind::ResetAll);
    tap.run_until(ms(2_000));
    assert_eq!(tap.take(), ["1000 broker-1: Reset by broker-2", "1000 broker-2: closed"]);
    tap.ask(1);
    tap.run_until(ms(3_000));
    assert_eq!(tap.take(), ["2003 broker-2: request 1"]);
    tap.fault(2, A, B, LinkFaultKind::Reset(Ratio::ALWAYS));
    tap.ask(2);
    tap.ask(3);
    tap.run_until(ms(4_000));
    assert_eq!(tap.take(), ["3000 broker-1: Reset by broker-2", "3001 broker-2: closed"]);
}

#[test]
fn times_off_the_grid_are_put_on_it() {
    let retransmit_after = Duration::from_nanos(100_000_500);
    let mut tap = Wiretap::new(NetworkConfig { retransmit_after, ..config() });
    tap.ask(0);
    tap.run_until(ms(1_000));
    tap.fault(1, A, B, LinkFaultKind::Cut);
    tap.ask(1);
    tap.run_until(ms(1_050));
    tap.end(1);
    tap.run_until(ms(2_000));
    assert_eq!(tap.take(), ["3 broker-2: request 0", "1101 broker-2: request 1"]);
}

#[test]
fn a_link_may_be_unlike_the_others() {
    let mut tap = Wiretap::new(config());
    let latency = Some(Latency::fixed(millis(40)));
    tap.network.set_links(&one(A), &one(B), LinkConfig { latency, ..LinkConfig::default() });
    tap.ask(0);
    tap.send(B, request(A, 1));
    tap.run_until(ms(1_000));
    assert_eq!(tap.take(), ["42 broker-1: request 1", "81 broker-2: request 0"]);
}

/// What every node is told when, at each instant, the nodes' steps are taken in an order of their own.
fn told_in_order_of(shuffle: &mut dyn FnMut(&mut [usize])) -> BTreeMap<NodeId, Vec<Delivery>> {
    const NODES: usize = 6;
    let config = NetworkConfig { loss: Ratio(1, 20), ..NetworkConfig::default() };
    let mut network = Network::new(42, config);
    let nodes: Vec<NodeId> = (1..=NODES as u32).map(NodeId::broker).collect();
    let mut dice: Vec<Rng> = nodes.iter().map(|n| Rng::named(5, &format!("{n}"))).collect();
    let mut order: Vec<usize> = (0..NODES).collect();
    shuffle(&mut order);
    order.iter().for_each(|n| network.process_started(Instant::ZERO, nodes[*n]));
    let mut told = BTreeMap::<NodeId, Vec<Delivery>>::new();
    let mut deliveries = Vec::new();
    for tick in 0..4_000u64 {
        let now = Instant(tick * 500_000);
        let everyone: NodeSet = nodes.iter().copied().collect();
        let since = now;
        match tick {
            500 => {
                let kind = LinkFaultKind::Lossy(Ratio(1, 2));
                let fault = LinkFault { from: one(nodes[0]), to: everyone.clone(), kind, since };
                network.begin(FaultId(1), fault);
            }
            1_000 => network.power_lost(now, nodes[2]),
            1_500 => {
                let kind = LinkFaultKind::ResetAll;
                let fault = LinkFault { from: everyone.clone(), to: everyone.clone(), kind, since };
                network.begin(FaultId(2), fault);
                network.process_started(now, nodes[2]);
            }
            2_000 => network.process_stopped(now, nodes[3]),
            2_500 => {
                let kind = LinkFaultKind::Reset(Ratio(1, 10));
                let fault = LinkFault { from: everyone.clone(), to: everyone.clone(), kind, since };
                network.begin(FaultId(3), fault);
                assert!(network.end(FaultId(1), now));
                network.process_started(now, nodes[3]);
            }
            _ => {}
        }
        network.advance(now, &mut deliveries);
        shuffle(&mut order);
        for n in &order {
            // Everyone answers what it was asked, asks somebody, and now and then closes something.
            let me = nodes[*n];
            for delivery in deliveries.iter().filter(|d| d.to == me) {
                if let Input::Request { from, connection, correlation, .. } = delivery.input {
                    network.send(now, me, reply(from, connection, correlation.0));
                }
            }
            let peer = nodes[dice[*n].below(NODES as u64) as usize];
            match dice[*n].below(60) {
                0 => network.send(now, me, Outgoing::Disconnect { peer, channel: Channel::MAIN }),
                1..30 => network.send(now, me, request(peer, tick as u32)),
                _ => {}
            }
        }
        for delivery in deliveries.drain(..) {
            told.entry(delivery.to).or_default().push(delivery);
        }
    }
    told
}

#[test]
fn the_order_of_different_nodes_at_one_instant_changes_nothing() {
    let straight = told_in_order_of(&mut |_| {});
    let seen = |wanted: fn(&Input) -> bool| straight.values().flatten().any(|d| wanted(&d.input));
    assert!(seen(|i| matches!(i, Input::Response { .. })));
    assert!(seen(|i| matches!(i, Input::Closed { .. })));
    assert!(seen(|i| matches!(i, Input::Disconnected { why: Disconnect::Reset, .. })));
    assert!(seen(|i| matches!(i, Input::Disconnected { why: Disconnect::Refused, .. })));
    for seed in 0..4 {
        let mut rng = Rng::named(seed, "shuffle");
        let shuffled = told_in_order_of(&mut |order| {
            for i in (1..order.len()).rev() {
                order.swap(i, rng.below(i as u64 + 1) as usize);
            }
        });
        assert_eq!(straight, shuffled);
    }
}

#[test]
fn a_fault_between_others_moves_nobody_elses_dice() {
    let arrivals = |with_fault: bool| {
        let mut tap = Wiretap::new(NetworkConfig { loss: Ratio(1, 10), ..NetworkConfig::default() });
        let c = NodeId::client(1);
        tap.network.process_started(Instant::ZERO, c);
        if with_fault {
            tap.fault(1, A, B, LinkFaultKind::Lossy(Ratio(1, 2)));
        }
        for correlation in 0..50 {
            tap.ask(correlation);
            tap.send(c, request(B, correlation));
            let next = tap.now + millis(10);
            tap.run_until(next);
        }
        tap.run_until(ms(60_000));
        tap.told.retain(|d| d.from == c);
        tap.take()
    };
    let calm = arrivals(false);
    assert_eq!(calm.len(), 50);
    assert_eq!(calm, arrivals(true));
}
