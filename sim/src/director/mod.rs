//! What happens to the cluster from outside? Phases, faults, and what clients are told.

pub mod nemesis;
pub mod plan;
pub mod select;
pub mod view;
pub mod workload;

use std::time::Duration;

use trial_model::{client::Command, event::Event, time::Instant, units::NodeId};

use self::{
    plan::Plan,
    view::View,
    workload::{Staff, Told, Workload},
};
use crate::{
    disk::DiskFault,
    names::RunNames,
    network::{FaultId, LinkFault},
    run::FaultRecord,
    scenario::values::WorldKind,
    world_event::{Phase, Stop, WorldEvent},
};

/// One thing that the world has to do.
#[derive(Clone, Debug)]
pub enum Control {
    /// A process begins, if there is none.
    Start(NodeId),
    /// A process dies.
    Crash {
        /// Whose.
        node: NodeId,
        /// Whether the machine loses its power.
        power: bool,
        /// Whether its disk is replaced by an empty one.
        lose_disk: bool,
    },
    /// A process stands still.
    Pause(NodeId),
    /// It goes on.
    Resume(NodeId),
    /// Every step of a process takes so long.
    Slow(NodeId, Duration),
    /// A wall clock jumps by so many milliseconds.
    JumpClock(NodeId, i64),
    /// A clock gains so many microseconds a second; as at first if `None`.
    DriftClock(NodeId, Option<i32>),
    /// A fault of a disk begins.
    BeginDisk(NodeId, FaultId, DiskFault),
    /// It ends.
    EndDisk(NodeId, FaultId),
    /// A fault of links begins.
    BeginLink(FaultId, LinkFault),
    /// It ends.
    EndLink(FaultId),
    /// A node is told something.
    Tell(NodeId, Command),
    /// Everybody who watches is told.
    Say(WorldEvent),
    /// Every process that stands still goes on, every one that is down begins.
    ReviveServersAndClients,
    /// Looks whether the cluster has come to rest.
    LookWhetherSettled,
    /// The run is over.
    End,
}

/// How often it is looked whether the cluster has come to rest.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The audit lasts at least this long, so that what it wrote is there to be read.
const SHORTEST_AUDIT: Duration = Duration::from_secs(1);

/// Runs a scenario: says what happens when.
pub struct Director {
    plan: Plan,
    workload: Workload,
    view: View,
    staff: Staff,
    phase: Phase,
    chaos_ends: Instant,
    run_ends: Instant,
    audit_began: Option<Instant>,
    next_look: Option<Instant>,
    until: Option<Instant>,
    started: bool,
    settled: Option<Instant>,
    stop_at_first: bool,
}

impl Director {
    /// A run of `plan` and `workload` by `nodes` that has not begun.
    pub fn new(
        plan: Plan,
        workload: Workload,
        staff: Staff,
        nodes: &[NodeId],
        (chaos_ends, run_ends): (Instant, Instant),
        until: Option<Instant>,
        stop_at_first: bool,
    ) -> Director {
        Director {
            plan,
            workload,
            view: View::of(nodes.iter().copied()),
            staff,
            phase: Phase::Chaos,
            chaos_ends,
            run_ends,
            audit_began: None,
            next_look: None,
            until,
            started: false,
            settled: None,
            stop_at_first,
        }
    }

    /// When something has to happen next.
    pub fn next_due(&self) -> Option<Instant> {
        if !self.started {
            return Some(Instant::ZERO);
        }
        let phase_ends = if self.phase == Phase::Chaos { self.chaos_ends } else { self.run_ends };
        [Some(phase_ends), self.until, self.next_look, self.plan.next_due(), self.workload.next_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// What the world has to do at `now`, in order.
    pub fn controls(&mut self, now: Instant, names: &RunNames) -> Vec<Control> {
        let mut out = Vec::new();
        if !self.started {
            self.started = true;
            out.push(Control::Say(WorldEvent::PhaseBegan(Phase::Chaos)));
            let staff = self.late_staff();
            let everybody = self.view.all().iter().copied().filter(|node| !staff.contains(node));
            out.extend(everybody.map(Control::Start));
        }
        if self.until.is_some_and(|until| now >= until) {
            out.push(Control::End);
            return out;
        }
        self.plan.due(now, &self.view, names, &mut out);
        if self.phase == Phase::Chaos && now >= self.chaos_ends {
            self.begin_settling(now, &mut out);
        } else if self.phase != Phase::Chaos && now >= self.run_ends {
            out.push(Control::End);
        } else if self.next_look.is_some_and(|look| now >= look) {
            self.next_look = Some(now + LOOK_EVERY);
            out.push(Control::LookWhetherSettled);
        }
        out
    }

    fn begin_settling(&mut self, now: Instant, out: &mut Vec<Control>) {
        self.phase = Phase::Settle;
        out.push(Control::Say(WorldEvent::PhaseBegan(Phase::Settle)));
        self.plan.heal(now, out);
        out.push(Control::ReviveServersAndClients);
        self.workload.ask_for_signs_of_life(now + LOOK_EVERY);
        self.next_look = Some(now + LOOK_EVERY * 2);
    }

    /// The judge was asked: moves on to the audit when the cluster has come to rest, or when half of its
    /// time is over; ends the run when the audit has come to rest, too.
    pub fn looked(&mut self, now: Instant, at_rest: bool, names: &RunNames) -> Vec<Control> {
        // A cluster whose topics were never created rests, too, but not as it should.
        let at_rest = at_rest && self.workload.has_its_topics(names);
        match self.audit_began {
            None => {
                let half = self.chaos_ends + self.run_ends.since(self.chaos_ends) / 2;
                if !at_rest && now < half {
                    return Vec::new();
                }
                self.phase = Phase::Audit;
                self.audit_began = Some(now);
                let Staff { auditor, prober, .. } = self.staff;
                vec![
                    Control::Say(WorldEvent::PhaseBegan(Phase::Audit)),
                    Control::Start(prober),
                    Control::Start(auditor),
                ]
            }
            Some(began) if at_rest && now >= began + SHORTEST_AUDIT => {
                self.settled = Some(now);
                vec![Control::End]
            }
            Some(_) => Vec::new(),
        }
    }

    /// The clients that begin only with the audit.
    pub fn late_staff(&self) -> [NodeId; 2] {
        [self.staff.auditor, self.staff.prober]
    }

    /// The next command for a client that is due.
    pub fn next_told(&mut self, now: Instant, names: &RunNames) -> Option<Told> {
        self.workload.next_told(now, &self.view, names)
    }

    /// Takes in what a node stated, at the end of an instant.
    pub fn observe(&mut self, now: Instant, node: NodeId, events: &[Event], names: &RunNames) {
        for event in events {
            self.view.observe(node, event);
        }
        self.plan.observe(now, node, events, &self.view, names);
    }

    /// A process began.
    pub fn started(&mut self, now: Instant, node: NodeId, names: &RunNames) {
        self.view.started(node);
        self.workload.started(node, now);
        self.plan.observe_world(now, WorldKind::Start, node, &self.view, names);
    }

    /// A process ended.
    pub fn stopped(&mut self, now: Instant, node: NodeId, how: Stop, names: &RunNames) {
        self.view.stopped(node);
        self.plan.stopped(node, now);
        if !matches!(how, Stop::Halted(_)) {
            self.plan.observe_world(now, WorldKind::Crash, node, &self.view, names);
        }
    }

    /// A process stands still, or goes on.
    pub fn paused(&mut self, now: Instant, node: NodeId, paused: bool, names: &RunNames) {
        let kind = if paused { WorldKind::Pause } else { WorldKind::Resume };
        self.plan.observe_world(now, kind, node, &self.view, names);
    }

    /// Whether the run ends with its first violation.
    pub fn stops_at_first(&self) -> bool {
        self.stop_at_first
    }

    /// Which phase it is, and when it ends at the latest.
    pub fn phase(&self) -> (Phase, Instant) {
        (self.phase, if self.phase == Phase::Chaos { self.chaos_ends } else { self.run_ends })
    }

    /// Whether the run has come to its own end, not one that was asked for.
    pub fn is_whole(&self) -> bool {
        self.phase != Phase::Chaos
    }

    /// What is left of it: the faults that were carried out, and when everything had come to rest.
    pub fn finish(self) -> (Vec<FaultRecord>, Option<Instant>) {
        (self.plan.into_records(), self.settled)
    }
}
