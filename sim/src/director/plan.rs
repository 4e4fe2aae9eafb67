//! What will go wrong, and when?
//!
//! A plan is asked, never applied by a task of its own: the world asks at every instant what is due. A
//! fault that waits for an event begins at least a microsecond after the step that caused it, and selectors
//! are resolved when it begins.

use std::{collections::BTreeMap, time::Duration};

use trial_model::{
    client::Command,
    event::Event,
    protocol::ApiKey,
    rng::Rng,
    time::Instant,
    units::{NodeId, NodeSet, TopicPartition},
};

use super::{
    Control,
    select::{Chooser, resolve},
    view::View,
    workload::Staff,
};
use crate::{
    disk::{DiskFault, OpKind, RotIn},
    latency::Latency,
    names::RunNames,
    network::{FaultId, LinkFault, LinkFaultKind, Side},
    run::FaultRecord,
    scenario::{
        file::{Action, DiskErrorKind, EventPattern, Fault, Trigger},
        values::{AnyKind, Selector, Spread, WorldKind},
    },
    world_event::WorldEvent,
};

/// The faults of a run.
pub struct Plan {
    faults: Vec<Planned>,
    agenda: BTreeMap<(Instant, u64), Due>,
    count: u64,
    active: Vec<Active>,
    /// Whom each fault hit last.
    victims: BTreeMap<String, Vec<NodeId>>,
    /// Nodes that start again that long after they have shut down.
    returning: BTreeMap<NodeId, Duration>,
    records: Vec<FaultRecord>,
    chaos_ends: Instant,
    /// Whether the chaos phase is over.
    healed: bool,
    /// The kinds of event that some fault still waits for: every event of a run is asked whether it is one.
    awaited: Vec<AnyKind>,
}

struct Planned {
    fault: Fault,
    rng: Rng,
    fired: u32,
    seen: u32,
    /// Whether the fault that its trigger waits for has begun.
    armed: bool,
}

enum Due {
    Begin(usize),
    End(u64),
    Do(Control),
}

/// A fault that lasts.
struct Active {
    number: u64,
    fault: usize,
    record: usize,
    of_network: bool,
    undo: Vec<Control>,
}

/// How long a process is gone that ends after the chaos phase.
const RETURN: Duration = Duration::from_millis(100);
/// Nothing happens sooner after its cause.
const TICK: Duration = Duration::from_micros(1);

impl Plan {
    pub fn new(faults: Vec<Fault>, seed: u64, chaos_ends: Instant) -> Plan {
        let planned = faults.into_iter().map(|fault| Planned {
            rng: Rng::named(seed, &format!("fault/{}", fault.id)),
            armed: !matches!(fault.when.trigger(), Some(Trigger::Event(EventPattern { after: Some(_), .. }))),
            fault,
            fired: 0,
            seen: 0,
        });
        let mut plan = Plan {
            faults: planned.collect(),
            agenda: BTreeMap::new(),
            count: 0,
            active: Vec::new(),
            victims: BTreeMap::new(),
            returning: BTreeMap::new(),
            records: Vec::new(),
            chaos_ends,
            healed: false,
            awaited: Vec::new(),
        };
        plan.look_what_is_awaited();
        for at in 0..plan.faults.len() {
            let when = &plan.faults[at].fault.when;
            if let Some(Trigger::At(time)) = when.trigger() {
                let begins = Instant::ZERO + time + when.delay();
                plan.schedule(begins, Due::Begin(at));
            }
        }
        plan
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.agenda.first_key_value().map(|((due, _), _)| *due)
    }

    /// What was done so far.
    pub fn into_records(self) -> Vec<FaultRecord> {
        self.records
    }

    fn schedule(&mut self, at: Instant, due: Due) -> u64 {
        self.count += 1;
        self.agenda.insert((at, self.count), due);
        self.count
    }

    /// Everything that is due at `now`.
    pub fn due(&mut self, now: Instant, view: &View, names: &RunNames, out: &mut Vec<Control>) {
        while self.next_due().is_some_and(|due| due <= now) {
            let Some((_, due)) = self.agenda.pop_first() else { return };
            match due {
                Due::Begin(fault) => self.begin(fault, now, view, names, out),
                Due::End(number) => self.end(number, now, out),
                Due::Do(control) => out.push(control),
            }
        }
    }

    /// The chaos phase is over: whatever lasts ends, and nothing new begins.
    pub fn heal(&mut self, now: Instant, out: &mut Vec<Control>) {
        self.agenda.clear();
        self.returning.clear();
        self.healed = true;
        for fault in &mut self.faults {
            fault.fired = u32::MAX;
        }
        self.look_what_is_awaited();
        while let Some(active) = self.active.first() {
            let number = active.number;
            self.end(number, now, out);
        }
    }

    fn end(&mut self, number: u64, now: Instant, out: &mut Vec<Control>) {
        let Some(at) = self.active.iter().position(|active| active.number == number) else { return };
        let active = self.active.remove(at);
        out.extend(active.undo);
        self.records[active.record].ended = Some(now);
        out.push(Control::Say(WorldEvent::FaultEnded { id: self.faults[active.fault].fault.id.clone() }));
    }

    fn begin(&mut self, index: usize, now: Instant, view: &View, names: &RunNames, out: &mut Vec<Control>) {
        let planned = &mut self.faults[index];
        if planned.fired >= planned.fault.times.unwrap_or(1) || now >= self.chaos_ends {
            return;
        }
        planned.fired += 1;
        let mut making = Making {
            now,
            id: FaultIds::of(&planned.fault.id, planned.fired),
            chooser: Chooser { view, names, victims: &self.victims, rng: &mut planned.rng },
            nodes: Vec::new(),
            what: String::new(),
            begin: Vec::new(),
            undo: Vec::new(),
            later: Vec::new(),
            heals: None,
        };
        let lasts = planned.fault.lasts.map(|lasts| lasts.0);
        making.make(&planned.fault.act, lasts);
        let Making { nodes, what, begin, undo, later, heals, .. } = making;
        let id = planned.fault.id.clone();
        let of_network = is_of_network(&planned.fault.act);
        if let (Action::Shutdown(_), Some(lasts)) = (&planned.fault.act, lasts) {
            self.returning.extend(nodes.iter().map(|node| (*node, lasts)));
        }

        let hit: NodeSet = nodes.iter().copied().collect();
        out.push(Control::Say(WorldEvent::FaultBegan {
            id: id.clone(),
            nodes: (!hit.is_empty()).then_some(hit),
        }));
        out.extend(begin);
        self.records.push(FaultRecord { id: id.clone(), at: now, ended: None, what });
        let record = self.records.len() - 1;
        for (after, control) in later {
            self.schedule(now + after, Due::Do(control));
        }
        if let Some(healed) = heals {
            self.heal_network(healed, now, out);
        }
        if !undo.is_empty() {
            self.count += 1;
            let number = self.count;
            self.active.push(Active { number, fault: index, record, of_network, undo });
            if let Some(lasts) = lasts {
                self.schedule(now + lasts, Due::End(number));
            }
        }
        // Those who prepare and judge the run may be cut off with everybody else, but nothing else follows from it.
        let hit = nodes.into_iter().filter(|node| !Staff::employs(*node)).collect();
        self.victims.insert(id.clone(), hit);
        self.began(&id, now);
    }

    fn heal_network(&mut self, only: Option<String>, now: Instant, out: &mut Vec<Control>) {
        let healed = self.active.iter().filter(|active| {
            active.of_network && only.as_ref().is_none_or(|id| self.faults[active.fault].fault.id == *id)
        });
        let numbers: Vec<u64> = healed.map(|active| active.number).collect();
        for number in numbers {
            self.end(number, now, out);
        }
    }

    /// A fault has begun: those that wait for it are armed, or follow it.
    fn began(&mut self, id: &str, now: Instant) {
        let mut follow = Vec::new();
        for (at, planned) in self.faults.iter_mut().enumerate() {
            match planned.fault.when.trigger() {
                Some(Trigger::Step(step)) if step == id => follow.push((at, planned.fault.when.delay())),
                Some(Trigger::Event(EventPattern { after: Some(after), .. })) if after == id => {
                    planned.armed = true;
                    planned.seen = 0;
                }
                _ => {}
            }
        }
        for (at, delay) in follow {
            self.schedule(now + delay.max(TICK), Due::Begin(at));
        }
        self.look_what_is_awaited();
    }

    /// A process has ended; if it was asked to, it may come back. Once the chaos phase is over it does in any
    /// case: a shutdown that began before may end only now, and everybody is to be there at the end.
    pub fn stopped(&mut self, node: NodeId, now: Instant) {
        if let Some(after) = self.returning.remove(&node).or(self.healed.then_some(RETURN)) {
            self.schedule(now + after.max(TICK), Due::Do(Control::Start(node)));
        }
    }

    fn look_what_is_awaited(&mut self) {
        let waiting = self.faults.iter().filter(|it| it.armed && it.fired < it.fault.times.unwrap_or(1));
        self.awaited = waiting
            .filter_map(|planned| match planned.fault.when.trigger() {
                Some(Trigger::Event(pattern)) => Some(pattern.kind),
                _ => None,
            })
            .collect();
    }

    /// A node stated something: faults that wait for it begin a little later.
    pub fn observe(&mut self, now: Instant, node: NodeId, events: &[Event], view: &View, names: &RunNames) {
        if self.awaited.is_empty() {
            return;
        }
        for event in events {
            let kind = AnyKind::Node(event.kind());
            if self.awaited.contains(&kind) {
                self.seen(now, kind, node, event.partition(), view, names);
            }
        }
    }

    /// Something happened to a node: likewise.
    pub fn observe_world(
        &mut self,
        now: Instant,
        kind: WorldKind,
        node: NodeId,
        view: &View,
        names: &RunNames,
    ) {
        if self.awaited.contains(&AnyKind::World(kind)) {
            self.seen(now, AnyKind::World(kind), node, None, view, names);
        }
    }

    fn seen(
        &mut self,
        now: Instant,
        kind: AnyKind,
        node: NodeId,
        partition: Option<TopicPartition>,
        view: &View,
        names: &RunNames,
    ) {
        let mut due = Vec::new();
        for (at, planned) in self.faults.iter_mut().enumerate() {
            let Some(Trigger::Event(pattern)) = planned.fault.when.trigger() else { continue };
            if !planned.armed || pattern.kind != kind {
                continue;
            }
            let of_partition = pattern.partition.as_ref().is_none_or(|wanted| {
                partition.is_some_and(|p| names.partition_named(&wanted.to_string()) == Some(p))
            });
            let of_node = pattern.node.as_ref().is_none_or(|wanted| {
                let mut chooser = Chooser { view, names, victims: &self.victims, rng: &mut planned.rng };
                resolve(wanted, &mut chooser, &[]).contains(&node)
            });
            if !of_partition || !of_node {
                continue;
            }
            planned.seen += 1;
            let fits = match (pattern.nth, pattern.every) {
                (Some(nth), _) => planned.seen == nth,
                (None, Some(every)) => planned.seen.is_multiple_of(every.max(1)),
                (None, None) => true,
            };
            if fits {
                due.push((at, planned.fault.when.delay()));
            }
        }
        for (at, delay) in due {
            self.schedule(now + delay.max(TICK), Due::Begin(at));
        }
    }
}

fn is_of_network(act: &Action) -> bool {
    matches!(
        act,
        Action::Cut(_)
            | Action::Drop(_)
            | Action::Delay(_)
            | Action::SlowLink(_)
            | Action::LossyLink(_)
            | Action::LimitLink(_)
    )
}

/// Numbers for the parts of one firing of a fault, keyed by its name: taking another fault out of the plan
/// does not change them.
struct FaultIds {
    next: u32,
}

impl FaultIds {
    fn of(id: &str, firing: u32) -> FaultIds {
        let hash =
            id.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        FaultIds { next: hash.wrapping_add(firing.wrapping_mul(0x9e37_79b9)) & !0x3f }
    }

    fn take(&mut self) -> FaultId {
        self.next = self.next.wrapping_add(1);
        FaultId(self.next)
    }
}

/// A fault being turned into what the world has to do.
struct Making<'a> {
    now: Instant,
    id: FaultIds,
    chooser: Chooser<'a>,
    nodes: Vec<NodeId>,
    what: String,
    begin: Vec<Control>,
    undo: Vec<Control>,
    later: Vec<(Duration, Control)>,
    heals: Option<Option<String>>,
}

impl Making<'_> {
    fn make(&mut self, act: &Action, lasts: Option<Duration>) {
        match act {
            Action::Crash(it) => {
                self.choose(&it.node, if it.lose_unsynced { "power loss of" } else { "crash" });
                let lose_unsynced = it.lose_unsynced;
                self.stop(lasts, |node| Control::Crash { node, power: lose_unsynced, lose_disk: false });
            }
            Action::LoseDisk(it) => {
                self.choose(&it.node, "lose the disk of");
                self.stop(lasts, |node| Control::Crash { node, power: false, lose_disk: true });
            }
            Action::Restart(it) => {
                self.choose(&it.node, "restart");
                self.each(|node| (Control::Start(node), None));
            }
            Action::Shutdown(it) => {
                self.choose(&it.node, "shut down");
                self.each(|node| (Control::Tell(node, Command::Shutdown), None));
            }
            Action::Pause(it) => {
                self.choose(&it.node, "pause");
                self.each(|node| (Control::Pause(node), Some(Control::Resume(node))));
            }
            Action::SlowNode(it) => {
                self.choose(&it.node, "slow");
                let by = self.draw(it.by);
                self.each(|node| (Control::Slow(node, by), Some(Control::Slow(node, Duration::ZERO))));
            }
            Action::ClockJump(it) => {
                self.choose(&it.node, "jump the clock of");
                self.what += &format!(" by {}", it.by);
                let by = it.by.nanos() / 1_000_000;
                self.each(|node| (Control::JumpClock(node, by), None));
            }
            Action::ClockOffset(it) => {
                self.choose(&it.node, "offset the clock of");
                self.what += &format!(" by {}", it.by);
                let by = it.by.nanos() / 1_000_000;
                self.each(|node| (Control::JumpClock(node, by), Some(Control::JumpClock(node, -by))));
            }
            Action::ClockDrift(it) => {
                self.choose(&it.node, "drift the clock of");
                let ppm = it.ppm;
                self.each(|node| {
                    (Control::DriftClock(node, Some(ppm)), Some(Control::DriftClock(node, None)))
                });
            }
            Action::SlowDisk(_)
            | Action::DiskError(_)
            | Action::FullDisk(_)
            | Action::LyingFlush(_)
            | Action::BitRot(_) => {
                self.make_disk_fault(act);
            }
            _ => self.make_network_fault(act),
        }
        if let Some(lasts) = lasts {
            self.what += &format!(" for {}", crate::scenario::values::Span(lasts));
        }
    }

    fn make_disk_fault(&mut self, act: &Action) {
        let (node, verb, fault) = match act {
            Action::SlowDisk(it) => {
                let add = self.draw(it.by);
                (&it.node, "slow disk of", DiskFault::Slow { add, factor: 1 })
            }
            Action::DiskError(it) => {
                let (on, verb) = match it.kind {
                    DiskErrorKind::Read => (OpKind::Read, "read errors on"),
                    DiskErrorKind::Write => (OpKind::Write, "write errors on"),
                    DiskErrorKind::Flush => (OpKind::Flush, "flush errors on"),
                };
                (&it.node, verb, DiskFault::Errors { on, chance: it.chance.0 })
            }
            Action::FullDisk(it) => (&it.node, "full disk on", DiskFault::Full),
            Action::LyingFlush(it) => (&it.node, "lying flushes on", DiskFault::LyingFlush),
            Action::BitRot(it) => {
                let rot = match &it.partition {
                    // Of a topic that is not there (yet) there is no log to rot.
                    Some(name) => match self.chooser.names.partition_named(&name.to_string()) {
                        Some(partition) => RotIn::Log(partition),
                        None => return self.what = format!("bit rot on nobody: {name} is not there"),
                    },
                    None => RotIn::Anything,
                };
                (&it.node, "bit rot on", DiskFault::BitRot(rot))
            }
            _ => return,
        };
        self.choose(node, verb);
        for node in self.nodes.clone() {
            let id = self.id.take();
            self.begin.push(Control::BeginDisk(node, id, fault));
            self.undo.push(Control::EndDisk(node, id));
        }
    }

    fn make_network_fault(&mut self, act: &Action) {
        let both = |one_way: bool| !one_way;
        match act {
            Action::Cut(it) => self.cut(&it.sides, it.one_way),
            Action::Heal(it) => {
                self.what = it.fault.as_ref().map_or("heal the network".into(), |id| format!("heal {id}"));
                self.heals = Some(it.fault.clone());
            }
            Action::Drop(it) => {
                let chance = it.chance.0;
                let side = if it.response { Side::Response } else { Side::Request };
                self.what = format!(
                    "drop {}{}",
                    api_name(it.api.map(|a| a.0)),
                    if it.response { " responses" } else { "" }
                );
                let kinds = each_api(it.api.map(|a| a.0), |api| LinkFaultKind::Drop { api, side, chance });
                self.link(&it.from, &it.to, false, kinds);
            }
            Action::Delay(it) => {
                let (by, chance) = (self.draw(it.by), it.chance.0);
                let side = if it.response { Side::Response } else { Side::Request };
                self.what = format!(
                    "delay {}{}",
                    api_name(it.api.map(|a| a.0)),
                    if it.response { " responses" } else { "" }
                );
                let kinds =
                    each_api(it.api.map(|a| a.0), |api| LinkFaultKind::Delay { api, side, chance, by });
                self.link(&it.from, &it.to, false, kinds);
            }
            Action::SlowLink(it) => {
                let by = self.draw(it.by);
                self.what = "slow link".into();
                self.link(&it.from, &it.to, both(it.one_way), vec![LinkFaultKind::Slow(by)]);
            }
            Action::LossyLink(it) => {
                self.what = "lossy link".into();
                self.link(&it.from, &it.to, both(it.one_way), vec![LinkFaultKind::Lossy(it.loss.0)]);
            }
            Action::LimitLink(it) => {
                self.what = "limit link".into();
                self.link(&it.from, &it.to, both(it.one_way), vec![LinkFaultKind::Bandwidth(it.bandwidth.0)]);
            }
            Action::Reset(it) => {
                self.what = "reset connections".into();
                self.link(&it.from, &it.to, false, vec![LinkFaultKind::ResetAll]);
            }
            _ => {}
        }
    }

    fn choose(&mut self, selector: &Selector, verb: &str) {
        self.nodes = resolve(selector, &mut self.chooser, &[]);
        let names: Vec<String> = self.nodes.iter().map(|node| self.chooser.names.node_name(*node)).collect();
        self.what = if names.is_empty() {
            format!("{verb} nobody: {selector} is not there")
        } else {
            format!("{verb} {}", names.join(", "))
        };
    }

    fn each(&mut self, controls: impl Fn(NodeId) -> (Control, Option<Control>)) {
        for node in &self.nodes {
            let (begin, undo) = controls(*node);
            self.begin.push(begin);
            self.undo.extend(undo);
        }
    }

    fn stop(&mut self, lasts: Option<Duration>, how: impl Fn(NodeId) -> Control) {
        for node in &self.nodes {
            self.begin.push(how(*node));
            if let Some(lasts) = lasts {
                self.later.push((lasts.max(TICK), Control::Start(*node)));
            }
        }
    }

    fn draw(&mut self, spread: Spread) -> Duration {
        Latency::new(spread.min.0, spread.mean.0, spread.max.0).draw(self.chooser.rng)
    }

    fn cut(&mut self, sides: &[Vec<Selector>], one_way: bool) {
        let mut taken: Vec<NodeId> = Vec::new();
        let mut groups: Vec<NodeSet> = vec![NodeSet::new(); sides.len()];
        // `rest` is whoever no other side names, so it is resolved last.
        for rest in [false, true] {
            for (side, selectors) in sides.iter().enumerate() {
                for selector in selectors.iter().filter(|s| (**s == Selector::Rest) == rest) {
                    let chosen = resolve(selector, &mut self.chooser, &taken);
                    chosen.iter().for_each(|node| {
                        groups[side].insert(*node);
                    });
                    taken.extend(chosen);
                }
            }
        }
        let shown: Vec<String> = groups.iter().map(|group| self.group_name(group)).collect();
        self.what = format!("cut {}", shown.join(if one_way { " → " } else { " | " }));
        self.nodes = taken;
        for (a, from) in groups.iter().enumerate() {
            for (b, to) in groups.iter().enumerate() {
                if a != b && !(one_way && a > b) {
                    self.add_link(from.clone(), to.clone(), LinkFaultKind::Cut);
                }
            }
        }
    }

    fn group_name(&self, group: &NodeSet) -> String {
        let names: Vec<String> =
            group.iter().take(6).map(|node| self.chooser.names.node_name(node)).collect();
        let more = if group.len() > 6 { format!(" and {} more", group.len() - 6) } else { String::new() };
        format!("{}{more}", names.join(" "))
    }

    fn link(&mut self, from: &Selector, to: &Selector, both: bool, kinds: Vec<LinkFaultKind>) {
        let from = resolve(from, &mut self.chooser, &[]);
        let to = resolve(to, &mut self.chooser, &from);
        let (from, to): (NodeSet, NodeSet) = (from.into_iter().collect(), to.into_iter().collect());
        self.what += &format!(" {} → {}", self.group_name(&from), self.group_name(&to));
        self.nodes = from.union(&to).iter().collect();
        for kind in kinds {
            self.add_link(from.clone(), to.clone(), kind);
            if both {
                self.add_link(to.clone(), from.clone(), kind);
            }
        }
    }

    fn add_link(&mut self, from: NodeSet, to: NodeSet, kind: LinkFaultKind) {
        let id = self.id.take();
        self.begin.push(Control::BeginLink(id, LinkFault { from, to, kind, since: self.now }));
        if kind != LinkFaultKind::ResetAll {
            self.undo.push(Control::EndLink(id));
        }
    }
}

fn api_name(api: Option<ApiKey>) -> &'static str {
    api.map_or("everything", |api| api.name())
}

fn each_api(api: Option<ApiKey>, kind: impl Fn(ApiKey) -> LinkFaultKind) -> Vec<LinkFaultKind> {
    match api {
        Some(api) => vec![kind(api)],
        None => ApiKey::ALL.iter().copied().map(kind).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_after_the_chaos_comes_back() {
        let (view, names, node) = (View::of([]), RunNames::default(), NodeId::broker(1));
        let mut plan = Plan::new(Vec::new(), 1, Instant(1_000));
        plan.stopped(node, Instant(500));
        assert_eq!(plan.next_due(), None, "nobody said that it comes back");
        let mut out = Vec::new();
        plan.heal(Instant(1_000), &mut out);
        plan.stopped(node, Instant(2_000));
        plan.due(Instant(2_000) + RETURN, &view, &names, &mut out);
        assert!(matches!(out[..], [Control::Start(back)] if back == node));
    }
}
