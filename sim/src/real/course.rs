//! What is done to a cluster that runs in real time, and when? The director's words, carried out by hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant as RealTime},
};

use trial_model::{
    client::Command,
    event::{Event, EventKind},
    node::Role,
    time::Instant,
    units::{NodeId, NodeRole, NodeSet},
};
use trial_serve::{
    Act, Ended, Ends, Half, Happened, LinkFault, LinkFaultKind, command::Hand, console::Order,
};

use crate::{
    director::{Control, Director, plan::Plan, workload::Workload},
    names::RunNames,
    network::{self, Side},
    recording::Recording,
    scenario::{
        Scenario,
        file::{Fault, Trigger},
        values::AnyKind,
    },
    simulate::Cast,
    world_event::{Phase, Stop, WorldEvent},
};

/// Stands for all clients that somebody connects: they have no numbers of their own.
const CLIENTS: NodeId = NodeId::client(1);

enum News {
    Event(NodeId, Box<Event>),
    Happened(NodeId, Happened),
    Ready,
    Over,
}

/// A scenario that goes on beside a cluster.
pub struct Course {
    tell: Sender<News>,
    going_on: JoinHandle<()>,
    /// The clients of the scenario, if they take part: their names and what they are.
    pub clients: Vec<(NodeId, String, Role)>,
}

/// What tells a course of what happens; one a thread, or one for all.
#[derive(Clone)]
pub struct Teller {
    tell: Sender<News>,
    kinds: BTreeSet<EventKind>,
}

impl Teller {
    /// Tells of an event, if it is of any interest.
    pub fn event(&self, node: NodeId, event: &Event) {
        if self.kinds.contains(&event.kind()) {
            let _ = self.tell.send(News::Event(node, Box::new(event.clone())));
        }
    }

    /// Tells of what happens to a process.
    pub fn happened(&self, node: NodeId, what: Happened) {
        let _ = self.tell.send(News::Happened(node, what));
    }
}

impl Course {
    /// Begins to listen. What the scenario says happens once the cluster is [`ready`](Course::ready): of its
    /// faults `faults`, and its clients' work if `with_clients`. What is done to the cluster is told to `record`.
    pub fn begin(
        scenario: &Scenario,
        faults: Vec<Fault>,
        with_clients: bool,
        hand: Hand,
        record: Option<Arc<Recording>>,
    ) -> (Course, Teller) {
        let kinds = interesting(&faults);
        let mut scenario = scenario.clone();
        scenario.faults = faults;
        if !with_clients {
            scenario.workload.clear();
        }
        let cast = Cast::of(&scenario);
        let mut names = RunNames::default();
        let clients: Vec<(NodeId, String, Role)> = match with_clients {
            true => {
                cast.called().into_iter().map(|(id, name)| (id, name, cast.role(&scenario, id))).collect()
            }
            false => Vec::new(),
        };
        clients.iter().for_each(|(id, name, _)| names.call(*id, name));
        if !with_clients {
            names.call(CLIENTS, "clients");
        }
        let (tell, news) = channel();
        let teller = Teller { tell: tell.clone(), kinds };
        let going_on = std::thread::spawn(move || {
            GoingOn { record, ..GoingOn::new(&scenario, &cast, names, with_clients, hand) }.run(&news);
        });
        (Course { tell, going_on, clients }, teller)
    }

    /// The cluster is there: the scenario's time begins.
    pub fn ready(&self) {
        let _ = self.tell.send(News::Ready);
    }

    /// Nothing more happens.
    pub fn end(self) {
        let _ = self.tell.send(News::Over);
        let _ = self.going_on.join();
    }
}

/// The events by which a course knows who is who, and those that faults wait for.
fn interesting(faults: &[Fault]) -> BTreeSet<EventKind> {
    use EventKind as K;
    let known = [
        K::TopicCreated,
        K::TopicDeleted,
        K::LeaderElected,
        K::IsrShrunk,
        K::IsrExpanded,
        K::PartitionChanged,
        K::ControllerActivated,
    ];
    let awaited = faults.iter().filter_map(|fault| match fault.when.trigger() {
        Some(Trigger::Event(pattern)) => match pattern.kind {
            AnyKind::Node(kind) => Some(kind),
            AnyKind::World(_) => None,
        },
        _ => None,
    });
    known.into_iter().chain(awaited).collect()
}

struct GoingOn {
    director: Director,
    names: RunNames,
    with_clients: bool,
    /// What each fault does, in the scenario's word.
    acts: BTreeMap<String, String>,
    /// Whether the scenario says anything at all.
    says: bool,
    servers: Vec<NodeId>,
    alive: NodeSet,
    hand: Hand,
    record: Option<Arc<Recording>>,
    began: Option<RealTime>,
    over: bool,
}

impl GoingOn {
    fn new(scenario: &Scenario, cast: &Cast, names: RunNames, with_clients: bool, hand: Hand) -> GoingOn {
        let seed = scenario.seed.map_or(1, |seed| seed.0);
        let chaos_ends = Instant::ZERO + scenario.phases.chaos.0;
        let ends = (chaos_ends, chaos_ends + scenario.phases.settle.0);
        let plan = Plan::new(scenario.faults.clone(), seed, chaos_ends);
        let workload = Workload::new(scenario, &cast.clients, cast.staff, seed);
        let servers = cast.servers.clone();
        let nodes =
            if with_clients { cast.nodes() } else { servers.iter().copied().chain([CLIENTS]).collect() };
        GoingOn {
            director: Director::new(plan, workload, cast.staff, &nodes, ends, None, false),
            names,
            with_clients,
            acts: scenario.faults.iter().map(|fault| (fault.id.clone(), word(fault))).collect(),
            says: with_clients || !scenario.faults.is_empty(),
            servers,
            alive: NodeSet::new(),
            hand,
            record: None,
            began: None,
            over: false,
        }
    }

    fn run(mut self, news: &Receiver<News>) {
        while !self.over {
            let heard = match self.next_due() {
                None => news.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => news.recv_timeout(wait),
            };
            match heard {
                Ok(news) => self.hear(news),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(now) = self.now()
                && self.director.next_due().is_some_and(|due| due <= now)
            {
                self.act(now);
            }
        }
    }

    fn now(&self) -> Option<Instant> {
        let began = self.began?;
        Some(Instant(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)))
    }

    fn next_due(&self) -> Option<Duration> {
        let (now, due) = (self.now()?, self.director.next_due()?);
        Some(if due > now { due.since(now) } else { Duration::ZERO })
    }

    fn hear(&mut self, news: News) {
        let now = self.now().unwrap_or(Instant::ZERO);
        match news {
            News::Event(node, event) => {
                self.names.learn(&event);
                self.director.observe(now, node, std::slice::from_ref(&*event), &self.names);
                self.tell_of(&event);
            }
            News::Happened(node, what) => self.happened(now, node, what),
            News::Ready if self.says => self.began = Some(RealTime::now()),
            News::Ready => {}
            News::Over => self.over = true,
        }
    }

    fn happened(&mut self, now: Instant, node: NodeId, what: Happened) {
        match what {
            Happened::Started => {
                self.alive.insert(node);
                self.director.started(now, node, &self.names);
            }
            Happened::Crashed | Happened::Ended(_) => {
                self.alive.remove(node);
                self.director.stopped(now, node, stop(what), &self.names);
            }
            Happened::Paused => self.director.paused(now, node, true, &self.names),
            Happened::Resumed => self.director.paused(now, node, false, &self.names),
        }
    }

    /// A leader that others have lost is worth a line.
    fn tell_of(&self, event: &Event) {
        if let Event::LeaderElected { partition, from: Some(from), state, active: true, unclean, .. } = event
            && state.leader != Some(*from)
        {
            let name = |node: NodeId| self.names.node_name(node);
            let (to, epoch) = (state.leader.map_or("nobody".into(), name), state.leader_epoch);
            let unclean = if *unclean { ", unclean" } else { "" };
            let partition = self.names.partition_name(*partition);
            self.say(format!("{partition}: {} → {to} (epoch {epoch}{unclean})", name(*from)));
        }
    }

    fn say(&self, text: String) {
        self.hand.order(Order::Say(text));
    }

    fn act(&mut self, now: Instant) {
        let controls = self.director.controls(now, &self.names);
        self.carry_out(now, controls);
        while self.with_clients
            && let Some(told) = self.director.next_told(now, &self.names)
        {
            self.quietly(vec![Act::Tell(told.node, Box::new(told.command))]);
        }
    }

    fn carry_out(&mut self, now: Instant, controls: Vec<Control>) {
        let mut acts = Vec::new();
        for control in controls {
            match control {
                Control::LookWhetherSettled => {
                    // Nobody judges while it runs: the audit begins when half of its time is over.
                    let more = self.director.looked(now, false, &self.names);
                    self.carry_out(now, more);
                }
                Control::Say(event) => {
                    self.tell_of_world(&event);
                    self.record.iter().for_each(|record| record.world(event.clone()));
                }
                Control::End if self.with_clients => self.hand.order(Order::Quit),
                Control::ReviveServersAndClients => acts.extend(self.revive()),
                other => acts.extend(self.act_of(other)),
            }
        }
        if !acts.is_empty() {
            self.quietly(acts);
        }
    }

    fn quietly(&self, acts: Vec<Act>) {
        self.hand.order(Order::Quietly(acts));
    }

    fn revive(&mut self) -> Vec<Act> {
        let mut acts = vec![Act::Heal];
        for node in &self.servers {
            match self.alive.contains(*node) {
                true => acts.push(Act::Slow(*node, Duration::ZERO)),
                false => acts.push(Act::Restart(*node)),
            }
        }
        if !self.with_clients {
            // The scenario has said what it has to say; the cluster goes on.
            self.began = None;
        }
        acts
    }

    fn tell_of_world(&self, event: &WorldEvent) {
        match event {
            WorldEvent::FaultBegan { id, nodes } => {
                let hit = nodes.iter().flat_map(|nodes| nodes.iter()).map(|node| self.names.node_name(node));
                let act = self.acts.get(id).map_or("", String::as_str);
                self.say(format!("{id}: {act} {}", hit.collect::<Vec<_>>().join(" ")));
            }
            WorldEvent::FaultEnded { id } => self.say(format!("{id} is over")),
            WorldEvent::PhaseBegan(Phase::Chaos) => {}
            WorldEvent::PhaseBegan(Phase::Settle) => {
                self.say("faults are over: all is healed, all run".into())
            }
            WorldEvent::PhaseBegan(Phase::Audit) => self.say("everything is written to and read".into()),
            _ => {}
        }
    }

    fn act_of(&self, control: Control) -> Option<Act> {
        Some(match control {
            // Real clients come by themselves.
            Control::Start(node) if node.role() == NodeRole::Client && !self.with_clients => return None,
            Control::Start(node) if self.alive.contains(node) => return None,
            Control::Start(node) => Act::Restart(node),
            Control::Crash { node, .. } => Act::Crash(node),
            Control::Pause(node) => Act::Pause(node),
            Control::Resume(node) => Act::Resume(node),
            Control::Slow(node, by) => Act::Slow(node, by),
            Control::Tell(node, Command::Shutdown) => Act::ShutDown(node),
            Control::Tell(node, command) => Act::Tell(node, Box::new(command)),
            Control::BeginLink(_, fault) if fault.kind == network::LinkFaultKind::ResetAll => {
                Act::Reset(self.ends(&fault.from), self.ends(&fault.to))
            }
            Control::BeginLink(id, fault) => {
                let (from, to) = (self.ends(&fault.from), self.ends(&fault.to));
                Act::Begin(u64::from(id.0), LinkFault { from, to, kind: kind(fault.kind)? })
            }
            Control::EndLink(id) => Act::End(u64::from(id.0)),
            // What the machine decides; `possible` has said so.
            _ => return None,
        })
    }

    fn ends(&self, nodes: &NodeSet) -> Ends {
        if self.with_clients {
            return Ends::nodes(nodes.iter());
        }
        let servers = nodes.iter().filter(|node| node.role() != NodeRole::Client);
        Ends { clients: nodes.contains(CLIENTS), ..Ends::nodes(servers) }
    }
}

/// `slow link`: what a fault does, as the scenario writes it.
fn word(fault: &Fault) -> String {
    match serde_json::to_value(&fault.act) {
        Ok(serde_json::Value::Object(act)) => {
            act.keys().next().map_or(String::new(), |it| it.replace('_', " "))
        }
        _ => String::new(),
    }
}

/// What has happened to a process, as a run tells it.
pub fn told(node: NodeId, happened: Happened) -> WorldEvent {
    match happened {
        Happened::Started => WorldEvent::NodeStarted { node },
        Happened::Paused => WorldEvent::Paused { node },
        Happened::Resumed => WorldEvent::Resumed { node },
        ended => WorldEvent::NodeStopped { node, how: stop(ended), lost_disk: false },
    }
}

fn stop(happened: Happened) -> Stop {
    use trial_model::machine::Halt;
    match happened {
        Happened::Ended(Ended::Shutdown) => Stop::Halted(Halt::Shutdown),
        Happened::Ended(Ended::DiskFailed) => Stop::Halted(Halt::DiskFailed),
        _ => Stop::Crash,
    }
}

fn kind(kind: network::LinkFaultKind) -> Option<LinkFaultKind> {
    let half = |side| if side == Side::Request { Half::Request } else { Half::Response };
    Some(match kind {
        network::LinkFaultKind::Cut => LinkFaultKind::Cut,
        network::LinkFaultKind::Slow(by) => LinkFaultKind::Slow(by),
        network::LinkFaultKind::Drop { api, side, chance } => {
            LinkFaultKind::Drop { api, half: half(side), chance }
        }
        network::LinkFaultKind::Delay { api, side, chance, by } => {
            LinkFaultKind::Delay { api, half: half(side), chance, by }
        }
        _ => return None,
    })
}
