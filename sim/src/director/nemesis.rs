//! Which faults does a seed draw?
//!
//! A nemesis is turned into ordinary faults with times before a run begins, so that a run can be written
//! down, edited and shrunk.

use std::{collections::BTreeMap, time::Duration};

use trial_model::{
    protocol::ApiKey,
    rng::Rng,
    units::{NodeId, Ratio},
};

use crate::{
    latency::Latency,
    scenario::{
        Scenario,
        file::{
            Action, BetweenNodes, Crash, Cut, DelayMessages, DiskErrorKind, DropMessages, FailDisk, Fault,
            KeepRule, LossyLink, NemesisKind, OnNode, ShiftClock, SlowLink, SlowNode, When,
        },
        values::{Api, Chance, Group, Selector, Shift, Span, Spread},
    },
};

/// The faults that `seed` draws for a scenario, to be added to its own; none without a nemesis.
///
/// Every fault lasts; those whose times overlap never harm more nodes of a kind than `keep` allows.
pub fn draw(scenario: &Scenario, seed: u64) -> Vec<Fault> {
    let Some(nemesis) = &scenario.nemesis else { return Vec::new() };
    let mut rng = Rng::named(seed, "nemesis");
    let spread = |s: Spread| Latency::new(s.min.0, s.mean.0, s.max.0);
    let (every, lasts) = (spread(nemesis.every), spread(nemesis.lasts));
    let kinds: Vec<(NemesisKind, u32)> = nemesis
        .weights
        .iter()
        .filter(|_| nemesis.swarm.is_none_or(|chance| rng.chance(chance.0)))
        .map(|(kind, weight)| (*kind, *weight))
        .collect();
    let total: u64 = kinds.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut drawing = Drawing { scenario, harmed: Vec::new(), rng };
    let mut faults: Vec<Fault> = Vec::new();
    let mut at = nemesis.between[0].0;
    if total == 0 {
        return faults;
    }
    loop {
        at += every.draw(&mut drawing.rng).max(Duration::from_millis(1));
        if at >= nemesis.between[1].0 {
            break;
        }
        let at = round(at);
        let ends = at + round(lasts.draw(&mut drawing.rng)).max(Duration::from_millis(1));
        let kind = pick(&kinds, drawing.rng.below(total));
        drawing.harmed.retain(|(_, until)| *until > at);
        let running =
            drawing.harmed.iter().map(|(_, until)| *until).collect::<std::collections::BTreeSet<_>>();
        if running.len() >= nemesis.at_most as usize {
            continue;
        }
        if let Some(act) = drawing.act(kind, nemesis.keep.controllers, nemesis.keep.brokers, ends) {
            let lasts = (!matches!(act, Action::Reset(_) | Action::ClockJump(_))).then_some(Span(ends - at));
            let when = When { at: Some(Span(at)), ..When::default() };
            faults.push(Fault { id: format!("n{}", faults.len() + 1), when, act, lasts, times: None });
        }
    }
    faults
}

/// Drawn times are whole milliseconds: nobody wants to read more digits.
fn round(time: Duration) -> Duration {
    Duration::from_millis(time.as_millis() as u64)
}

fn pick(kinds: &[(NemesisKind, u32)], mut drawn: u64) -> NemesisKind {
    for (kind, weight) in kinds {
        if drawn < u64::from(*weight) {
            return *kind;
        }
        drawn -= u64::from(*weight);
    }
    kinds[0].0
}

/// Which requests may be lost or late, and who sends them to whom.
const HIT: [(ApiKey, Group, Group); 10] = [
    (ApiKey::Produce, Group::Clients, Group::Brokers),
    (ApiKey::Fetch, Group::Brokers, Group::Brokers),
    (ApiKey::Fetch, Group::Clients, Group::Brokers),
    (ApiKey::Fetch, Group::Brokers, Group::Controllers),
    (ApiKey::Fetch, Group::Controllers, Group::Controllers),
    (ApiKey::AlterPartition, Group::Brokers, Group::Controllers),
    (ApiKey::BrokerHeartbeat, Group::Brokers, Group::Controllers),
    (ApiKey::BrokerRegistration, Group::Brokers, Group::Controllers),
    (ApiKey::Vote, Group::Controllers, Group::Controllers),
    (ApiKey::BeginQuorumEpoch, Group::Controllers, Group::Controllers),
];

struct Drawing<'a> {
    scenario: &'a Scenario,
    /// Who is harmed until when.
    harmed: Vec<(NodeId, Duration)>,
    rng: Rng,
}

impl Drawing<'_> {
    fn act(
        &mut self,
        kind: NemesisKind,
        controllers: KeepRule,
        brokers: KeepRule,
        ends: Duration,
    ) -> Option<Action> {
        match kind {
            NemesisKind::ClientRestart | NemesisKind::ClientPause => {
                let clients = self.scenario.clients();
                let node = Selector::Client(self.rng.pick(&clients)?.name.clone());
                return Some(match kind {
                    NemesisKind::ClientRestart => Action::Crash(Crash { node, lose_unsynced: false }),
                    _ => Action::Pause(OnNode { node }),
                });
            }
            NemesisKind::SlowLink | NemesisKind::LossyLink | NemesisKind::OneWayCut => {
                return self.between(kind, ends);
            }
            NemesisKind::Drop | NemesisKind::Delay => return self.messages(kind),
            NemesisKind::Cut => return self.cut(controllers, brokers, ends),
            _ => {}
        }
        let node = selector(self.victim(controllers, brokers, ends)?);
        Some(match kind {
            NemesisKind::Crash => Action::Crash(Crash { node, lose_unsynced: false }),
            NemesisKind::PowerLoss => Action::Crash(Crash { node, lose_unsynced: true }),
            NemesisKind::Shutdown => Action::Shutdown(OnNode { node }),
            NemesisKind::Pause => Action::Pause(OnNode { node }),
            NemesisKind::Reset => Action::Reset(BetweenNodes { from: node, to: Selector::All(Group::Nodes) }),
            NemesisKind::SlowDisk => {
                let by = Span::millis(self.rng.between(5, 200));
                Action::SlowDisk(SlowNode { node, by: Spread::fixed(by) })
            }
            NemesisKind::DiskError => {
                let kinds = [DiskErrorKind::Read, DiskErrorKind::Write, DiskErrorKind::Flush];
                let kind = *self.rng.pick(&kinds)?;
                Action::DiskError(FailDisk { node, kind, chance: Chance(Ratio(1, 20)) })
            }
            _ => {
                let by = Span::millis(self.rng.between(100, 60_000));
                Action::ClockJump(ShiftClock { node, by: Shift { back: self.rng.below(2) == 0, by } })
            }
        })
    }

    fn servers(&self) -> (Vec<NodeId>, Vec<NodeId>) {
        let topology = &self.scenario.topology;
        (
            (1..=topology.controllers).map(NodeId::controller).collect(),
            (1..=topology.brokers).map(NodeId::broker).collect(),
        )
    }

    /// How many more of these may be harmed.
    fn spare(&self, of: &[NodeId], keep: KeepRule) -> usize {
        let may = match keep {
            KeepRule::Majority => (of.len().max(1) - 1) / 2,
            KeepRule::AllButOne => 1,
            KeepRule::One => of.len().saturating_sub(1),
            KeepRule::Nothing => of.len(),
        };
        let harmed: std::collections::BTreeSet<_> =
            self.harmed.iter().map(|(node, _)| *node).filter(|node| of.contains(node)).collect();
        may.saturating_sub(harmed.len())
    }

    fn victim(&mut self, controllers: KeepRule, brokers: KeepRule, ends: Duration) -> Option<NodeId> {
        let (voters, servers) = self.servers();
        let mut candidates = Vec::new();
        if self.spare(&voters, controllers) > 0 {
            candidates.extend(voters);
        }
        if self.spare(&servers, brokers) > 0 {
            candidates.extend(servers);
        }
        candidates.retain(|node| self.harmed.iter().all(|(harmed, _)| harmed != node));
        let node = *self.rng.pick(&candidates)?;
        self.harmed.push((node, ends));
        Some(node)
    }

    /// Cuts off as many as may be harmed, and a client now and then.
    fn cut(&mut self, controllers: KeepRule, brokers: KeepRule, ends: Duration) -> Option<Action> {
        let first = self.victim(controllers, brokers, ends)?;
        let mut side = vec![selector(first)];
        while self.rng.chance(Ratio(1, 3)) {
            match self.victim(controllers, brokers, ends) {
                Some(node) => side.push(selector(node)),
                None => break,
            }
        }
        Some(Action::Cut(Cut {
            sides: vec![side, vec![Selector::Rest]],
            one_way: self.rng.chance(Ratio(1, 4)),
        }))
    }

    /// Hits some of the requests of one kind, or of the responses, wherever such requests are sent.
    fn messages(&mut self, kind: NemesisKind) -> Option<Action> {
        let (api, from, to) = *self.rng.pick(&HIT)?;
        let (api, from, to) = (Some(Api(api)), Selector::All(from), Selector::All(to));
        let response = self.rng.below(2) == 0;
        let chance = Chance::percent(self.rng.between(1, 30));
        // A response goes the other way.
        let (from, to) = if response { (to, from) } else { (from, to) };
        Some(match kind {
            NemesisKind::Drop => Action::Drop(DropMessages { from, to, api, response, chance }),
            _ => {
                let by = Spread::fixed(Span::millis(self.rng.between(20, 2_000)));
                Action::Delay(DelayMessages { from, to, api, response, chance, by })
            }
        })
    }

    fn between(&mut self, kind: NemesisKind, ends: Duration) -> Option<Action> {
        let (voters, servers) = self.servers();
        let all: Vec<NodeId> = voters.into_iter().chain(servers).collect();
        let from = *self.rng.pick(&all)?;
        let others: Vec<NodeId> = all.into_iter().filter(|node| *node != from).collect();
        let to = *self.rng.pick(&others)?;
        self.harmed.push((from, ends));
        let (from, to) = (selector(from), selector(to));
        Some(match kind {
            NemesisKind::SlowLink => {
                let by = Spread::fixed(Span::millis(self.rng.between(5, 500)));
                Action::SlowLink(SlowLink { from, to, one_way: self.rng.below(2) == 0, by })
            }
            NemesisKind::LossyLink => {
                let loss = Chance::percent(self.rng.between(1, 30));
                Action::LossyLink(LossyLink { from, to, one_way: self.rng.below(2) == 0, loss })
            }
            _ => Action::Cut(Cut { sides: vec![vec![from], vec![to]], one_way: true }),
        })
    }
}

fn selector(node: NodeId) -> Selector {
    match node.role() {
        trial_model::units::NodeRole::Controller => Selector::Controller(node.nth()),
        _ => Selector::Broker(node.nth()),
    }
}

/// The scenario with the faults of `seed` written out, and no nemesis any more.
pub fn written_out(scenario: &Scenario, seed: u64) -> Scenario {
    let drawn = draw(scenario, seed);
    let mut scenario = scenario.clone();
    scenario.nemesis = None;
    let taken: BTreeMap<String, ()> = scenario.faults.iter().map(|fault| (fault.id.clone(), ())).collect();
    scenario.faults.extend(drawn.into_iter().map(|mut fault| {
        while taken.contains_key(&fault.id) {
            fault.id.push('x');
        }
        fault
    }));
    scenario
}
