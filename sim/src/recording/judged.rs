//! Which promises were broken in a recording?

use std::{collections::BTreeSet, path::Path, time::Duration};

use trial_model::{
    event::Event,
    time::Instant,
    units::{NodeId, NodeRole},
};

use super::{
    SCENARIO,
    read::{Entry, Trace, Unreadable},
};
use crate::{
    check::{self, Judge, Violation},
    names::SharedNames,
    scenario::{self, Scenario},
    simulate::{Cast, looked_at, setup_of},
    trace::{InputNote, Reader, Step},
    world_event::{Phase, WorldEvent},
};

/// What the checks say of a recording.
#[derive(Debug)]
pub struct Judged {
    /// What was promised and not kept.
    pub violations: Vec<Violation>,
    /// How many checks looked.
    pub checks: usize,
    /// The checks that could not, since they look into nodes.
    pub blind: Vec<&'static str>,
    /// Whether the cluster was given time to come to rest, so that it was judged whether it did.
    pub rested: bool,
    /// Whether clients of the scenario took part, so that it was judged what they were told.
    pub clients: bool,
    /// How many events there were.
    pub events: u64,
    /// How long it lasted.
    pub lasted: Instant,
    /// When it began, in milliseconds since 1970.
    pub began: u64,
    /// Whether it breaks off.
    pub torn: bool,
}

/// Judges the recording in `dir`, and lets `readers` read it: every check that can judge by what nodes
/// stated. Says also what the scenario was.
pub fn judge(dir: &Path, readers: &mut [Box<dyn Reader>]) -> Result<(Scenario, Judged), Unreadable> {
    let path = dir.join(SCENARIO);
    let damaged = |why: &str| Unreadable::Damaged(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|error| damaged(&error.to_string()))?;
    let scenario = scenario::load(&text, &[]).map_err(|problems| {
        damaged(problems.first().map_or("it is no scenario", |problem| problem.title.as_str()))
    })?;
    let mut trace = Trace::open(dir)?;
    let (mut hearing, began) = (Hearing::of(&scenario), trace.began);
    for entry in trace.by_ref() {
        hearing.hear(entry?, readers);
    }
    let torn = trace.torn;
    Ok((scenario, hearing.end(readers, began, torn)))
}

struct Hearing {
    judge: Judge,
    names: SharedNames,
    /// What one node stated at one time.
    step: Option<(Instant, NodeId, Vec<Event>)>,
    last: Instant,
    /// When the cluster was left in peace, and how long it should be.
    settles: (Option<Instant>, Duration),
    events: u64,
    checks: usize,
    blind: Vec<&'static str>,
    clients: bool,
}

impl Hearing {
    fn of(scenario: &Scenario) -> Hearing {
        let names = SharedNames::default();
        for (node, name) in Cast::of(scenario).called() {
            names.get().call(node, &name);
        }
        let blind: BTreeSet<&'static str> = check::look_inside().into_iter().collect();
        let mut setup = setup_of(scenario);
        setup.except.extend(blind.iter().map(|name| (*name).to_owned()));
        let checks = looked_at(scenario, &blind).len();
        let named = looked_at(scenario, &BTreeSet::new());
        Hearing {
            judge: Judge::new(setup, Box::new(names.clone())),
            names,
            step: None,
            last: Instant::ZERO,
            settles: (None, scenario.phases.settle.0 / 2),
            events: 0,
            checks,
            blind: blind.into_iter().filter(|name| named.contains(name)).collect(),
            clients: false,
        }
    }

    fn hear(&mut self, entry: Entry, readers: &mut [Box<dyn Reader>]) {
        match entry {
            Entry::Stated(at, node, event) => {
                self.events += 1;
                self.clients |= node.role() == NodeRole::Client;
                match &mut self.step {
                    Some((when, who, events)) if (*when, *who) == (at, node) => events.push(event),
                    _ => {
                        self.take_step(readers);
                        self.step = Some((at, node, vec![event]));
                    }
                }
            }
            Entry::Done(at, event) => {
                self.take_step(readers);
                self.end_instant(at);
                match event {
                    WorldEvent::PhaseBegan(Phase::Settle) => self.settles.0 = Some(at),
                    // It begins when all has come to rest, or after long enough.
                    WorldEvent::PhaseBegan(Phase::Audit) => self.settles.1 = Duration::ZERO,
                    _ => {}
                }
                self.judge.world(at, &event);
                let names = self.names.get();
                readers.iter_mut().for_each(|reader| reader.world(at, &event, &names));
            }
        }
    }

    fn end_instant(&mut self, at: Instant) {
        if at > self.last {
            self.judge.end_of_instant(self.last);
            self.last = at;
        }
    }

    fn take_step(&mut self, readers: &mut [Box<dyn Reader>]) {
        let Some((at, node, events)) = self.step.take() else { return };
        self.end_instant(at);
        events.iter().for_each(|event| self.names.get().learn(event));
        self.judge.step(at, node, &events);
        let names = self.names.get();
        let step = Step { at, node, nth: self.events, input: InputNote::Told, events: &events };
        readers.iter_mut().for_each(|reader| reader.step(step, &names));
    }

    fn end(mut self, readers: &mut [Box<dyn Reader>], began: u64, torn: bool) -> Judged {
        self.take_step(readers);
        self.judge.end_of_instant(self.last);
        // As of a simulated run: what is not given time to come to rest is not asked whether it did.
        let (since, least) = self.settles;
        let rested = !torn && since.is_some_and(|since| self.last >= since + least);
        if rested {
            self.judge.finish(self.last);
        }
        Judged {
            violations: self.judge.violations().to_vec(),
            checks: self.checks,
            blind: self.blind,
            rested,
            clients: self.clients,
            events: self.events,
            lasted: self.last,
            began,
            torn,
        }
    }
}
