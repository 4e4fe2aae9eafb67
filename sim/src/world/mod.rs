//! What is the simulated world, whoever runs it?
//!
//! Everything but the nodes themselves: network, disks, clocks, processes, the plan of faults, what clients
//! are told, and who watches. An engine asks for the next instant, lets the nodes that are ready take their
//! steps in any order, and hands back what they want. Nothing reaches another node in less than a
//! microsecond, so the order within an instant cannot matter; and whatever looks across nodes looks at the
//! end of an instant, so both engines show it the same cluster.

mod agenda;
mod slot;
mod tally;

use trial_model::{
    disk::DiskReply,
    event::Event,
    machine::{Effects, Input},
    node::{Node, Role, Setup},
    time::{Instant, Now},
    units::NodeId,
};

use self::{agenda::Agenda, slot::Slot};
pub use slot::Life;

pub use tally::Tally;

use crate::{
    check::{Inside, Judge},
    clock::NodeClock,
    digest::{self, Digest},
    director::{Control, Director, workload::Told},
    disk::Disk,
    explain::Scribe,
    names::{RunNames, SharedNames},
    network::{Delivery, Network},
    run::Progress,
    trace::{InputNote, Recorder, Step},
    world_event::{Stop, WorldEvent},
};

/// The index of a node in the world.
pub type Seat = usize;

/// The grid of time.
const TICK: std::time::Duration = std::time::Duration::from_micros(1);

/// The simulated world.
pub struct World {
    now: Instant,
    slots: Vec<Slot>,
    network: Network,
    director: Director,
    judge: Option<Judge>,
    names: RunNames,
    /// What everybody else knows of them.
    shared_names: SharedNames,
    recorder: Recorder,
    /// When chance is drawn from another seed, and from which.
    reseed: (Instant, u64),
    /// Writes down what caused what, if anybody wants to know.
    scribe: Option<Scribe>,
    tally: Tally,
    progress: Option<Box<dyn FnMut(Progress) -> bool + Send>>,
    next_progress: Instant,
    agenda: Agenda,
    instant: ThisInstant,
    steps: u64,
    scratch: Scratch,
    ended: bool,
    /// Whether an instant is under way that has not been closed.
    open: bool,
}

/// What the current instant has brought so far.
#[derive(Default)]
struct ThisInstant {
    ready: Vec<Seat>,
    births: Vec<Seat>,
    deaths: Vec<Seat>,
    taken: Vec<Taken>,
    spare: Vec<Vec<Event>>,
}

/// A step that was taken in the current instant.
struct Taken {
    seat: Seat,
    nth: u64,
    input: InputNote,
    events: Vec<Event>,
}

#[derive(Default)]
struct Scratch {
    deliveries: Vec<Delivery>,
    replies: Vec<(Instant, DiskReply)>,
    controls: Vec<Control>,
}

/// A node as the world is told of it.
pub struct Resident {
    /// Who.
    pub id: NodeId,
    /// What it is for.
    pub role: Role,
    /// Its clocks.
    pub clock: NodeClock,
    /// Its disk.
    pub disk: Disk,
    /// What every life of it is told; the seed is drawn anew for each.
    pub setup: Setup,
}

impl World {
    /// A world in which nothing has happened yet. `residents` stand in ascending order of their ids.
    pub fn new(
        residents: Vec<Resident>,
        network: Network,
        director: Director,
        judge: Option<Judge>,
        shared_names: SharedNames,
        recorder: Recorder,
        tally: Tally,
        progress: Option<Box<dyn FnMut(Progress) -> bool + Send>>,
    ) -> World {
        let slots: Vec<Slot> = residents.into_iter().map(Slot::new).collect();
        assert!(slots.is_sorted_by_key(|slot| slot.id), "residents stand in the order of their ids");
        let names = shared_names.get().clone();
        World {
            now: Instant::ZERO,
            agenda: Agenda::new(slots.len()),
            slots,
            network,
            director,
            judge,
            names,
            shared_names,
            recorder,
            reseed: (Instant::FOREVER, 0),
            scribe: None,
            tally,
            progress,
            next_progress: Instant::ZERO,
            instant: ThisInstant::default(),
            steps: 0,
            scratch: Scratch::default(),
            ended: false,
            open: false,
        }
    }

    /// From now on it is written down what caused what. Called before anything happens.
    pub fn write_down(&mut self, scribe: Scribe) {
        self.recorder.add(scribe.reader());
        self.scribe = Some(scribe);
    }

    /// From `at` on the network and the disks draw from `seed`, and so do processes that begin later.
    pub fn reseed_at(&mut self, at: Instant, seed: u64) {
        self.reseed = (at, seed);
    }

    fn reseed(&mut self) {
        let (_, seed) = std::mem::replace(&mut self.reseed, (Instant::FOREVER, 0));
        self.network.reseed(seed);
        self.slots.iter_mut().for_each(|slot| slot.reseed(seed));
    }

    /// Ends the current instant and begins the next at which something is due; `None` once the run is over.
    ///
    /// After it the engine must bury `take_deaths`, bring up `take_births`, and let everybody in
    /// `take_ready` step until `take_input` has nothing more.
    pub fn next_instant(&mut self) -> Option<Instant> {
        self.close_instant();
        if self.ended {
            return None;
        }
        let directed_at = self.director.next_due();
        let due = [self.agenda.next(), self.network.next_due(), directed_at];
        let at = due.into_iter().flatten().min()?;
        assert!(at > self.now || self.now == Instant::ZERO, "time goes on: {} after {}", at, self.now);
        self.now = at;
        self.open = true;
        if at >= self.reseed.0 {
            self.reseed();
        }
        self.report_progress();
        // At most instants nobody is told or harmed.
        let directed = directed_at.is_some_and(|due| due <= at);
        if directed {
            self.apply_controls();
        }
        if self.ended {
            return None;
        }
        self.deliver_mail();
        if directed {
            self.tell_clients();
        }
        self.wake_sleepers();
        self.instant.ready.sort_unstable();
        self.instant.ready.dedup();
        Some(at)
    }

    /// The current instant.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Whether a process has begun or ended of which the engine has not been told.
    pub fn changes_lives(&self) -> bool {
        !self.instant.births.is_empty() || !self.instant.deaths.is_empty()
    }

    /// Processes that ended at this instant.
    pub fn take_deaths(&mut self) -> Vec<Seat> {
        std::mem::take(&mut self.instant.deaths)
    }

    /// Processes that begin at this instant, each with its node.
    pub fn take_births(&mut self) -> Vec<(Seat, Node)> {
        let births = std::mem::take(&mut self.instant.births);
        births.into_iter().map(|seat| (seat, self.slots[seat].bear())).collect()
    }

    /// Nodes to which something may happen at this instant, in order; handed back by `put_back_ready`.
    pub fn take_ready(&mut self) -> Vec<Seat> {
        std::mem::take(&mut self.instant.ready)
    }

    /// Gives back the list of `take_ready`, so that it is not allocated anew every instant.
    pub fn put_back_ready(&mut self, mut ready: Vec<Seat>) {
        ready.clear();
        if self.instant.ready.is_empty() {
            self.instant.ready = ready;
        }
    }

    /// Which life of a node this is; a task of an earlier one must end.
    pub fn incarnation(&self, seat: Seat) -> u64 {
        self.slots[seat].incarnation
    }

    /// Whether a node's process is there.
    pub fn is_alive(&self, seat: Seat) -> bool {
        self.slots[seat].life != Life::Down
    }

    /// The next thing to happen to a node at this instant; `None` if there is nothing more before a later
    /// instant. `deadline` is the node's own, asked for only if nothing else waits.
    pub fn take_input(
        &mut self,
        seat: Seat,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Option<(Now, Input)> {
        match self.slots[seat].take_input(self.now, deadline) {
            Ok(taken) => Some(taken),
            Err(look_again) => {
                look_again.into_iter().for_each(|due| self.look_at(seat, due));
                None
            }
        }
    }

    /// Looks at a step before its effects are carried out.
    pub fn stepped(&mut self, seat: Seat, input: InputNote, effects: &mut Effects, node: &Node) {
        let slot = &mut self.slots[seat];
        slot.nth += 1;
        self.steps += 1;
        slot.chain.step(self.now, &effects.events);
        if let Some(scribe) = &self.scribe {
            scribe.stepped(self.now, slot.id, slot.nth);
        }
        if effects.events.is_empty() {
            return;
        }
        if let Some(judge) = &mut self.judge {
            let now = slot.clock.now(self.now);
            let inside =
                Inside { node: slot.id, state: node, disk: &slot.disk, now, events: &effects.events };
            judge.inspect(self.now, inside);
        }
        let mut events = self.instant.spare.pop().unwrap_or_default();
        std::mem::swap(&mut events, &mut effects.events);
        self.instant.taken.push(Taken { seat, nth: slot.nth, input, events });
    }

    /// Carries out what a step wants.
    pub fn perform(&mut self, seat: Seat, effects: &mut Effects) {
        let now = self.now;
        let slot = &mut self.slots[seat];
        let id = slot.id;
        if let Some(scribe) = &self.scribe {
            scribe.wants(id, &effects.mail, &effects.disk);
        }
        for outgoing in effects.mail.drain(..) {
            self.network.send(now, id, outgoing);
        }
        if !effects.disk.is_empty() {
            slot.disk.perform(now, effects.disk.drain(..));
            if let Some(due) = slot.disk.next_due() {
                self.look_at(seat, due);
            }
        }
        if let Some(why) = effects.halt {
            self.end_process(seat, Stop::Halted(why), false);
        }
        effects.clear();
    }

    /// Adds to a node's chain what it was given: called with every input, before the step.
    pub fn note_input(&mut self, seat: Seat, input: &Input) {
        self.slots[seat].chain.step(self.now, input);
        if let Some(scribe) = &self.scribe {
            scribe.given(self.slots[seat].id, input);
        }
    }

    fn look_at(&mut self, seat: Seat, due: Instant) {
        let due = due.max(self.now + TICK);
        if self.agenda.of(seat).is_none_or(|scheduled| due < scheduled) {
            self.agenda.set(seat, due);
        }
    }

    fn deliver_mail(&mut self) {
        let mut deliveries = std::mem::take(&mut self.scratch.deliveries);
        self.network.advance(self.now, &mut deliveries);
        for Delivery { at, to, from, nth, input } in deliveries.drain(..) {
            let seat = self.seat(to);
            let slot = &mut self.slots[seat];
            if slot.life == Life::Down {
                continue;
            }
            slot.receive(at, from, nth, input);
            self.instant.ready.push(seat);
        }
        self.scratch.deliveries = deliveries;
    }

    fn tell_clients(&mut self) {
        while let Some(Told { node, nth, command }) = self.director.next_told(self.now, &self.names) {
            let seat = self.seat(node);
            let slot = &mut self.slots[seat];
            if slot.life == Life::Down {
                continue;
            }
            slot.receive(self.now, node, nth, Input::Told(Box::new(command)));
            self.instant.ready.push(seat);
        }
    }

    fn wake_sleepers(&mut self) {
        while let Some(seat) = self.agenda.take_due(self.now) {
            let slot = &mut self.slots[seat];
            let mut replies = std::mem::take(&mut self.scratch.replies);
            slot.disk.advance(self.now, &mut replies);
            for (nth, (at, reply)) in replies.drain(..).enumerate() {
                slot.receive_disk(at, nth as u64, reply);
            }
            self.scratch.replies = replies;
            if let Some(due) = self.slots[seat].disk.next_due() {
                self.look_at(seat, due);
            }
            if self.slots[seat].life != Life::Down {
                self.instant.ready.push(seat);
            }
        }
    }

    fn seat(&self, node: NodeId) -> Seat {
        self.slots.binary_search_by_key(&node, |slot| slot.id).expect("mail goes to residents")
    }

    /// Everything that looks across nodes looks here: checks, triggers, the record.
    fn close_instant(&mut self) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let mut taken = std::mem::take(&mut self.instant.taken);
        if taken.len() > 1 {
            taken.sort_unstable_by_key(|step| (step.seat, step.nth));
        }
        for Taken { seat, nth, input, events } in &taken {
            let node = self.slots[*seat].id;
            for event in events {
                if let Event::TopicCreated { .. } = event {
                    self.names.learn(event);
                    self.shared_names.get().learn(event);
                }
            }
            self.tally.step(self.now, node, events, &self.names);
            self.director.observe(self.now, node, events, &self.names);
            self.recorder.step(Step { at: self.now, node, nth: *nth, input: *input, events }, &self.names);
        }
        if let Some(judge) = &mut self.judge {
            for Taken { seat, events, .. } in &taken {
                judge.step(self.now, self.slots[*seat].id, events);
            }
            judge.end_of_instant(self.now);
            if self.director.stops_at_first() && !judge.violations().is_empty() {
                self.ended = true;
            }
        }
        for step in &mut taken {
            step.events.clear();
            self.instant.spare.push(std::mem::take(&mut step.events));
        }
        taken.clear();
        self.instant.taken = taken;
    }

    fn report_progress(&mut self) {
        if let Some(progress) = &mut self.progress
            && self.now >= self.next_progress
        {
            let (phase, phase_ends) = self.director.phase();
            if !progress(Progress { at: self.now, phase, phase_ends }) {
                self.ended = true;
            }
            self.next_progress = self.now + std::time::Duration::from_millis(100);
        }
    }

    fn apply_controls(&mut self) {
        let mut controls = std::mem::take(&mut self.scratch.controls);
        controls.extend(self.director.controls(self.now, &self.names));
        for control in controls.drain(..) {
            self.apply(control);
        }
        self.scratch.controls = controls;
    }

    fn apply(&mut self, control: Control) {
        let now = self.now;
        match control {
            Control::Start(node) => self.begin_process(self.seat(node)),
            Control::Crash { node, power, lose_disk } => {
                let how = if power { Stop::PowerLoss } else { Stop::Crash };
                self.end_process(self.seat(node), how, lose_disk);
            }
            Control::Pause(node) => self.set_paused(self.seat(node), true),
            Control::Resume(node) => self.set_paused(self.seat(node), false),
            Control::Slow(node, by) => {
                let seat = self.seat(node);
                self.slots[seat].slow = by;
            }
            Control::JumpClock(node, by) => {
                let seat = self.seat(node);
                self.slots[seat].clock.jump(by);
            }
            Control::DriftClock(node, ppm) => self.drift_clock(self.seat(node), ppm),
            Control::BeginDisk(node, id, fault) => self.begin_disk_fault(self.seat(node), id, fault),
            Control::EndDisk(node, id) => {
                let seat = self.seat(node);
                self.slots[seat].disk.end(id, now);
                self.look_at_disk(seat);
            }
            Control::BeginLink(id, fault) => self.network.begin(id, fault),
            Control::EndLink(id) => {
                self.network.end(id, now);
            }
            Control::Tell(node, command) => {
                let seat = self.seat(node);
                if self.slots[seat].life != Life::Down {
                    self.slots[seat].receive(now, node, u64::MAX, Input::Told(Box::new(command)));
                    self.instant.ready.push(seat);
                }
            }
            Control::Say(event) => self.say(event),
            Control::ReviveServersAndClients => self.revive(),
            Control::LookWhetherSettled => {
                let now = self.now;
                let at_rest = self.judge.as_ref().is_none_or(|judge| judge.unsettled(now).is_empty());
                let controls = self.director.looked(now, at_rest, &self.names);
                for control in controls {
                    self.apply(control);
                }
            }
            Control::End => self.ended = true,
        }
    }

    fn say(&mut self, event: WorldEvent) {
        if let Some(judge) = &mut self.judge {
            judge.world(self.now, &event);
        }
        self.tally.world(self.now, &event);
        self.recorder.world(self.now, &event, &self.names);
    }

    fn begin_process(&mut self, seat: Seat) {
        let now = self.now;
        let slot = &mut self.slots[seat];
        if slot.life != Life::Down {
            return;
        }
        slot.start(now);
        let node = slot.id;
        self.network.process_started(now, node);
        self.instant.births.push(seat);
        self.instant.ready.push(seat);
        self.say(WorldEvent::NodeStarted { node });
        self.director.started(now, node, &self.names);
    }

    fn end_process(&mut self, seat: Seat, how: Stop, lost_disk: bool) {
        let now = self.now;
        let slot = &mut self.slots[seat];
        let node = slot.id;
        if slot.life != Life::Down {
            slot.stop();
            match how {
                Stop::PowerLoss => {
                    slot.disk.power_lost(now);
                    self.network.power_lost(now, node);
                }
                Stop::Crash | Stop::Halted(_) => {
                    slot.disk.process_died(now);
                    self.network.process_stopped(now, node);
                }
            }
            self.instant.deaths.push(seat);
            // A birth of this very instant is one no more.
            self.instant.births.retain(|born| *born != seat);
        } else if how != Stop::PowerLoss && !lost_disk {
            return;
        } else if how == Stop::PowerLoss {
            // The machine of a dead process may still lose its power.
            slot.disk.power_lost(now);
            self.network.power_lost(now, node);
        }
        if lost_disk {
            self.slots[seat].disk.replaced(now);
        }
        self.say(WorldEvent::NodeStopped { node, how, lost_disk });
        self.director.stopped(now, node, how, &self.names);
    }

    fn set_paused(&mut self, seat: Seat, paused: bool) {
        let slot = &mut self.slots[seat];
        let (from, to) = if paused { (Life::Up, Life::Paused) } else { (Life::Paused, Life::Up) };
        if slot.life != from {
            return;
        }
        slot.life = to;
        let node = slot.id;
        if !paused {
            self.instant.ready.push(seat);
        }
        self.say(if paused { WorldEvent::Paused { node } } else { WorldEvent::Resumed { node } });
        self.director.paused(self.now, node, paused, &self.names);
    }

    fn drift_clock(&mut self, seat: Seat, ppm: Option<i32>) {
        let now = self.now;
        let slot = &mut self.slots[seat];
        let ppm = ppm.unwrap_or(slot.first_drift);
        slot.clock.set_drift(now, ppm);
        // Its deadline is due at another time now.
        if slot.life == Life::Up {
            self.instant.ready.push(seat);
        }
    }

    fn begin_disk_fault(&mut self, seat: Seat, id: crate::network::FaultId, fault: crate::disk::DiskFault) {
        use crate::disk::DiskFault;
        let now = self.now;
        let slot = &mut self.slots[seat];
        let node = slot.id;
        let hit = slot.disk.begin(now, id, fault);
        self.look_at_disk(seat);
        if matches!(fault, DiskFault::LyingFlush | DiskFault::BitRot(_) | DiskFault::BitRotOfRead(_)) {
            self.say(WorldEvent::DiskDamaged { node, hit });
        }
    }

    fn look_at_disk(&mut self, seat: Seat) {
        if let Some(due) = self.slots[seat].disk.next_due() {
            self.look_at(seat, due);
        }
    }

    fn revive(&mut self) {
        let staff = self.director.late_staff();
        for seat in 0..self.slots.len() {
            match self.slots[seat].life {
                Life::Paused => self.set_paused(seat, false),
                Life::Down if !staff.contains(&self.slots[seat].id) => self.begin_process(seat),
                _ => {}
            }
            self.slots[seat].slow = std::time::Duration::ZERO;
        }
    }

    /// Every life ends: for an engine whose nodes are tasks.
    pub fn end_everybody(&mut self) {
        self.slots.iter_mut().for_each(Slot::stop);
    }

    /// The run is over: judges what can only be judged at its end, and gives back what is left of it.
    ///
    /// `orderly` says that no node panicked: only then can it be judged as a whole.
    pub fn finish(mut self, orderly: bool) -> Outcome {
        self.close_instant();
        let whole = orderly && self.director.is_whole();
        if let Some(judge) = &mut self.judge
            && whole
        {
            judge.finish(self.now);
        }
        let digest = digest::join(self.slots.iter().map(|slot| (slot.id.0, &slot.chain)));
        let chains = self.slots.iter().map(|slot| (slot.id, slot.chain.value())).collect();
        let (faults, settled) = self.director.finish();
        Outcome {
            digest,
            chains,
            steps: self.steps,
            ended: self.now,
            judge: self.judge,
            tally: self.tally,
            faults,
            settled,
        }
    }
}

/// What is left of a world.
pub struct Outcome {
    /// The name of what happened.
    pub digest: Digest,
    /// What the steps of each node come to.
    pub chains: Vec<(NodeId, Digest)>,
    /// How many steps were taken.
    pub steps: u64,
    /// When it ended.
    pub ended: Instant,
    /// What the judge found.
    pub judge: Option<Judge>,
    /// What was counted.
    pub tally: Tally,
    /// What was done to it.
    pub faults: Vec<crate::run::FaultRecord>,
    /// When it had come to rest.
    pub settled: Option<Instant>,
}
