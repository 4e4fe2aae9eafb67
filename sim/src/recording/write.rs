//! How is a cluster recorded while it runs?

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant as RealTime, SystemTime, UNIX_EPOCH},
};

use serde_json::json;
use trial_model::{event::Event, machine::Input, time::Instant, units::NodeId};

use super::{SCENARIO, TRACE};
use crate::{
    names::RunNames,
    scenario::Scenario,
    simulate::Cast,
    trace::{self, InputNote, JsonLines, Reader, Step},
    world_event::WorldEvent,
};

/// How often what was recorded is handed to the system: as much is lost if the process dies.
const HAND_OVER: Duration = Duration::from_millis(500);

type Sink = zstd::Encoder<'static, BufWriter<File>>;

enum Line {
    Step(Instant, NodeId, InputNote, Vec<Event>),
    World(Instant, WorldEvent),
}

/// Records what happens, from whichever threads it happens on, in an order in which nothing stands before its
/// cause.
pub struct Recording {
    began: RealTime,
    state: Mutex<State>,
}

struct State {
    last: Instant,
    given: HashMap<NodeId, InputNote>,
    lines: Option<Sender<Line>>,
    writing: Option<JoinHandle<Result<u64, String>>>,
}

impl Recording {
    /// Begins a recording in `dir`, which is made. `scenario` is what the cluster is, with the clients that
    /// take part.
    ///
    /// Refuses a directory that holds something, and one that cannot be written.
    pub fn begin(dir: &Path, scenario: &Scenario) -> Result<Recording, String> {
        let (sink, path) = open(dir, scenario)?;
        let mut names = RunNames::default();
        for (node, name) in Cast::of(scenario).called() {
            names.call(node, &name);
        }
        let (lines, told) = channel();
        let writing = std::thread::spawn(move || write(&told, JsonLines::exact(sink), names, &path));
        let (given, writing) = (HashMap::new(), Some(writing));
        let state = State { last: Instant::ZERO, given, lines: Some(lines), writing };
        Ok(Recording { began: RealTime::now(), state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time, another at every call.
    fn tick(&self, state: &mut State) -> Instant {
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        state.last = Instant(now.max(state.last.0 + 1));
        state.last
    }

    /// A node is about to take a step for something.
    pub fn given(&self, node: NodeId, input: &Input) {
        self.state().given.insert(node, input.into());
    }

    /// A node has taken a step, and nobody has heard of it yet.
    pub fn stepped(&self, node: NodeId, events: &[Event]) {
        let mut state = self.state();
        let at = self.tick(&mut state);
        let input = state.given.get(&node).copied().unwrap_or(InputNote::Deadline);
        state.tell(Line::Step(at, node, input, events.to_vec()));
    }

    /// Something was done to the cluster.
    pub fn world(&self, event: WorldEvent) {
        let mut state = self.state();
        let at = self.tick(&mut state);
        state.tell(Line::World(at, event));
    }

    /// Ends the recording, and says how many lines it has; or why it could not be written. What happens
    /// afterwards is not recorded.
    pub fn end(&self) -> Result<u64, String> {
        let writing = {
            let mut state = self.state();
            state.lines = None;
            state.writing.take()
        };
        let Some(writing) = writing else { return Err("the recording has ended already".into()) };
        writing.join().unwrap_or_else(|_| Err("the recording's writer has panicked".into()))
    }
}

impl State {
    fn tell(&mut self, line: Line) {
        if let Some(lines) = &self.lines {
            // A writer that is gone has failed, and `end` says so.
            let _ = lines.send(line);
        }
    }
}

/// Makes the directory of a recording: its scenario, and its trace as far as the header.
fn open(dir: &Path, scenario: &Scenario) -> Result<(Sink, PathBuf), String> {
    let failed = |path: &Path, why: String| format!("{} cannot be written: {why}", path.display());
    fs::create_dir_all(dir).map_err(|error| failed(dir, error.to_string()))?;
    let mut there = fs::read_dir(dir).map_err(|error| failed(dir, error.to_string()))?;
    if there.next().is_some() {
        return Err(format!("{} is not empty: a recording has a directory of its own", dir.display()));
    }
    let path = dir.join(SCENARIO);
    let text = serde_json::to_string_pretty(&Scenario { schema: None, ..scenario.clone() });
    let text = text.map_err(|error| failed(&path, error.to_string()))?;
    fs::write(&path, text + "\n").map_err(|error| failed(&path, error.to_string()))?;
    let path = dir.join(TRACE);
    let begin = || -> std::io::Result<Sink> {
        let mut sink = zstd::Encoder::new(BufWriter::new(File::create(&path)?), 3)?;
        writeln!(sink, "{}", header(scenario))?;
        Ok(sink)
    };
    let sink = begin().map_err(|error| failed(&path, error.to_string()))?;
    Ok((sink, path))
}

/// Records a simulated run, to be judged as one that went by in real time.
///
/// Refuses what [`Recording::begin`] refuses. What cannot be written later is found missing when it is read.
pub fn simulated(dir: &Path, scenario: &Scenario) -> Result<Box<dyn Reader>, String> {
    let (sink, _) = open(dir, scenario)?;
    Ok(Box::new(JsonLines::exact(sink.auto_finish())))
}

fn header(scenario: &Scenario) -> serde_json::Value {
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut header =
        trace::header(scenario, "nanoseconds since it began, which is in milliseconds since 1970");
    header["began"] = json!(u64::try_from(began.as_millis()).unwrap_or(u64::MAX));
    header["columns"]["w"] = json!("what was done");
    header
}

fn write(
    told: &Receiver<Line>,
    mut lines: JsonLines<Sink>,
    mut names: RunNames,
    path: &Path,
) -> Result<u64, String> {
    let mut nth = 0;
    let mut handed_over = RealTime::now();
    loop {
        let line = match told.recv_timeout(HAND_OVER) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        match line {
            Some(Line::Step(at, node, input, events)) => {
                events.iter().for_each(|event| names.learn(event));
                nth += 1;
                lines.step(Step { at, node, nth, input, events: &events }, &names);
            }
            Some(Line::World(at, event)) => lines.world(at, &event, &names),
            None => {}
        }
        if handed_over.elapsed() >= HAND_OVER {
            lines.flush();
            handed_over = RealTime::now();
        }
    }
    let finish = || {
        let (many, sink) = lines.finish()?;
        sink.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        Ok(many)
    };
    finish().map_err(|error: std::io::Error| format!("{} cannot be written: {error}", path.display()))
}
