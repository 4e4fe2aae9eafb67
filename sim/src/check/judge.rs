//! Who looks at what, and when?

use std::time::Duration;

use trial_model::{
    event::{Event, EventKind, Names},
    time::Instant,
    units::{NodeId, Offset},
};

use super::{Check, CheckInfo, Found, Inside, JudgeSetup, Kind, Scene, Unsettled, Violation, all};
use crate::{
    history::History,
    mirror::Cluster,
    world_event::{Phase, WorldEvent},
};

const TICK: Duration = Duration::from_millis(100);

/// Watches a run and says which promises it breaks.
pub struct Judge {
    found: Found,
    setup: JudgeSetup,
    cluster: Cluster,
    history: History,
    checks: Vec<(CheckInfo, Box<dyn Check>)>,
    before: Vec<Vec<u16>>,
    after: Vec<Vec<u16>>,
    /// Which of `inspecting` each kind of event concerns.
    inspects: Vec<Vec<u16>>,
    inspecting: Vec<u16>,
    truths: Vec<u16>,
    ticks: Vec<u16>,
    truth_seen: (Offset, Instant, Offset),
    next_tick: Instant,
    now: Instant,
}

impl Judge {
    /// A judge of a cluster that has not begun.
    pub fn new(setup: JudgeSetup, names: Box<dyn Names>) -> Judge {
        let checks: Vec<_> = all().into_iter().filter(|(info, _)| setup.enables(info.name)).collect();
        let none = || vec![Vec::new(); EventKind::ALL.len()];
        let (mut before, mut after, mut inspects) = (none(), none(), none());
        let (mut truths, mut ticks, mut inspecting) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (_, check)) in checks.iter().enumerate() {
            let hears = check.hears();
            let at = at as u16;
            hears.before.iter().for_each(|kind| before[*kind as usize].push(at));
            hears.after.iter().for_each(|kind| after[*kind as usize].push(at));
            if !hears.inspects.is_empty() {
                let nth = inspecting.len() as u16;
                assert!(nth < 64, "a step's checks fit in one word");
                hears.inspects.iter().for_each(|kind| inspects[*kind as usize].push(nth));
                inspecting.push(at);
            }
            truths.extend(hears.truths.then_some(at));
            ticks.extend(hears.ticks.then_some(at));
        }
        let auditors =
            setup.clients.iter().filter(|client| client.auditor).map(|client| client.node).collect();
        Judge {
            found: Found::new(names, setup.keep),
            cluster: Cluster::new(&setup),
            history: History::new(auditors),
            checks,
            before,
            after,
            inspects,
            inspecting,
            truths,
            ticks,
            truth_seen: (Offset::ZERO, Instant::ZERO, Offset::ZERO),
            next_tick: Instant::ZERO,
            now: Instant::ZERO,
            setup,
        }
    }

    /// Looks into a node right after a step of it that noted `events`. Nodes of one instant may come in any
    /// order; steps of one node come in theirs.
    pub fn inspect(&mut self, at: Instant, inside: Inside<'_>) {
        let mut asked = 0u64;
        for event in inside.events {
            for check in &self.inspects[event.kind() as usize] {
                asked |= 1 << check;
            }
        }
        if asked == 0 {
            return;
        }
        self.found.aside(at, inside.node);
        for (nth, check) in self.inspecting.iter().enumerate() {
            if asked & (1 << nth) != 0 {
                self.checks[usize::from(*check)].1.inspect(inside, &mut self.found);
            }
        }
    }

    /// Takes what a node noted in a step. Called at the end of an instant, in the order of `(node, nth)`.
    pub fn step(&mut self, at: Instant, node: NodeId, events: &[Event]) {
        self.now = at;
        self.found.now(at);
        for event in events {
            self.event(at, node, event);
        }
    }

    fn event(&mut self, at: Instant, node: NodeId, event: &Event) {
        let kind = event.kind() as usize;
        for check in &self.before[kind] {
            let scene =
                Scene { at, node, cluster: &self.cluster, history: &self.history, setup: &self.setup };
            self.checks[usize::from(*check)].1.before(scene, event, &mut self.found);
        }
        self.cluster.apply(at, node, event);
        if is_clients(event) {
            self.history.apply(at, node, event);
        }
        for check in &self.after[kind] {
            let scene =
                Scene { at, node, cluster: &self.cluster, history: &self.history, setup: &self.setup };
            self.checks[usize::from(*check)].1.after(scene, event, &mut self.found);
        }
    }

    /// Takes what the world did. Called at the end of an instant, before the steps of the instant.
    pub fn world(&mut self, at: Instant, event: &WorldEvent) {
        self.now = at;
        self.found.now(at);
        self.cluster.world(at, event);
        self.history.world(at, event);
        self.ask(|check, scene, found| check.world(scene, event, found));
    }

    /// Every node has taken its steps of this instant.
    pub fn end_of_instant(&mut self, at: Instant) {
        self.now = at;
        self.found.now(at);
        self.found.settle_aside();
        let truth = (self.cluster.truth.0, self.cluster.truth_at, self.cluster.quorum.log.high_watermark);
        if truth != self.truth_seen {
            self.truth_seen = truth;
            self.ask_some(false, |check, scene, found| check.truth(scene, found));
        }
        if at >= self.next_tick {
            self.next_tick = at + TICK;
            self.ask_some(true, |check, scene, found| check.tick(scene, found));
        }
    }

    fn ask_some(&mut self, ticks: bool, mut ask: impl FnMut(&mut dyn Check, Scene<'_>, &mut Found)) {
        for at in if ticks { &self.ticks } else { &self.truths } {
            let scene = Scene {
                at: self.now,
                node: NodeId(0),
                cluster: &self.cluster,
                history: &self.history,
                setup: &self.setup,
            };
            ask(self.checks[usize::from(*at)].1.as_mut(), scene, &mut self.found);
        }
    }

    fn ask(&mut self, mut ask: impl FnMut(&mut dyn Check, Scene<'_>, &mut Found)) {
        for (_, check) in &mut self.checks {
            let scene = Scene {
                at: self.now,
                node: NodeId(0),
                cluster: &self.cluster,
                history: &self.history,
                setup: &self.setup,
            };
            ask(check.as_mut(), scene, &mut self.found);
        }
    }

    fn missing(&self, at: Instant) -> impl Iterator<Item = (CheckInfo, Unsettled)> + '_ {
        let scene =
            Scene { at, node: NodeId(0), cluster: &self.cluster, history: &self.history, setup: &self.setup };
        // While anything may break, nothing is expected to come to rest.
        let calm = self.cluster.phase.0 > Phase::Chaos;
        let liveness = self.checks.iter().filter(move |(info, _)| calm && info.kind == Kind::Liveness);
        liveness.filter_map(move |(info, check)| Some((*info, check.unsettled(scene)?)))
    }

    /// What the cluster still has to do at `at` to be at rest, in causal order: the first line is the root
    /// cause. Empty once everything is well; [`Judge::finish`] at that very time finds nothing missing either.
    pub fn unsettled(&self, at: Instant) -> Vec<String> {
        self.missing(at).map(|(info, unsettled)| format!("{}: {}", info.name, unsettled.what)).collect()
    }

    /// The run is over: judges what can only be judged at the end.
    ///
    /// Of all that has not come to rest only the first in causal order is a violation; what follows from it
    /// stands in its last line.
    pub fn finish(&mut self, at: Instant) {
        self.now = at;
        self.found.now(at);
        self.found.settle_aside();
        self.ask(|check, scene, found| check.finish(scene, found));
        let mut missing: Vec<_> = self.missing(at).collect();
        if missing.is_empty() {
            return;
        }
        let (info, mut first) = missing.remove(0);
        if !missing.is_empty() {
            let also: Vec<&str> = missing.iter().map(|(info, _)| info.name).collect();
            first.lines.push(("after it", also.join(", ")));
        }
        self.found.report(info.name, first.partition, |_| (first.what, first.lines));
    }

    /// A node of ours panicked: that is a violation, too.
    pub fn panicked(&mut self, at: Instant, node: NodeId, message: &str, location: &str) {
        self.found.now(at);
        super::no_panics::report(node, message, location, &mut self.found);
    }

    /// What was found, in the order it was found; the first few of every check.
    pub fn violations(&self) -> &[Violation] {
        self.found.violations()
    }

    /// How often every check that found something found something.
    pub fn counts(&self) -> &[(&'static str, u64)] {
        self.found.counts()
    }

    /// The picture of the cluster, for whoever explains a run.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What clients did and were told, for whoever explains a run.
    pub fn history(&self) -> &History {
        &self.history
    }
}

fn is_clients(event: &Event) -> bool {
    matches!(
        event,
        Event::TopicCreated { .. }
            | Event::RecordSent { .. }
            | Event::RecordAcked { .. }
            | Event::RecordFailed { .. }
            | Event::Delivered { .. }
            | Event::Assigned { .. }
            | Event::PartitionsOwned { .. }
            | Event::PositionMoved { .. }
            | Event::TruncationDetected { .. }
    )
}
