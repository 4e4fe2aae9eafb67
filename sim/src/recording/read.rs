//! How is a recording read back?

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use serde_json::Value;
use trial_model::{
    event::{Event, EventKind},
    time::Instant,
    units::NodeId,
};

use super::TRACE;
use crate::{report::summary::FORMAT, trace::event_of, world_event::WorldEvent};

/// Whether a directory holds a recorded trace.
pub fn is_one(dir: &Path) -> bool {
    dir.join(TRACE).is_file()
}

/// Why a recording cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is damaged, or none: file, line, and what is wrong there.
    Damaged(String),
    /// It was written by a trial of another format.
    OtherFormat(String),
}

/// A line of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A node stated something.
    Stated(Instant, NodeId, Event),
    /// Something was done to the cluster.
    Done(Instant, WorldEvent),
}

/// A trace, read line by line.
pub struct Trace {
    lines: io::Lines<BufReader<zstd::Decoder<'static, BufReader<File>>>>,
    path: PathBuf,
    number: u64,
    /// When it began, in milliseconds since 1970.
    pub began: u64,
    /// Whether it breaks off: whoever wrote it was killed.
    pub torn: bool,
}

impl Trace {
    /// Opens the trace of a recording.
    ///
    /// Refuses what is no trace, one of another format, and one that was not written to be read back: that of
    /// a simulated run, which can be run again.
    pub fn open(dir: &Path) -> Result<Trace, Unreadable> {
        let path = dir.join(TRACE);
        let damaged = |why: String| Unreadable::Damaged(format!("{}: {why}", path.display()));
        let open = || -> io::Result<_> {
            let mut lines = BufReader::new(zstd::Decoder::new(File::open(&path)?)?);
            let mut header = String::new();
            lines.read_line(&mut header)?;
            Ok((lines, header))
        };
        let (lines, header) = open().map_err(|error| damaged(error.to_string()))?;
        let header: Value =
            serde_json::from_str(&header).map_err(|_| damaged("it does not begin as a trace".into()))?;
        match header.get("trial_trace").and_then(Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => {
                let why =
                    format!("{} is of format {format}; this trial reads format {FORMAT}", path.display());
                return Err(Unreadable::OtherFormat(why));
            }
            None => return Err(damaged("it does not begin as a trace".into())),
        }
        let Some(began) = header.get("began").and_then(Value::as_u64) else {
            return Err(damaged("it is of a simulated run: `trial replay` runs that again".into()));
        };
        Ok(Trace { lines: lines.lines(), path, number: 1, began, torn: false })
    }

    fn entry(&self, line: &str) -> Result<Entry, String> {
        let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).ok_or(format!("it has no `{key}`"));
        let at = value.get("t").and_then(Value::as_u64).ok_or("it has no `t`")?;
        let kind = text("k")?;
        if kind == "world" {
            let done = value.get("w").cloned().ok_or("it has no `w`")?;
            let done = serde_json::from_value(done).map_err(|error| format!("w: {error}"))?;
            return Ok(Entry::Done(Instant(at), done));
        }
        let kind = EventKind::from_name(kind).ok_or(format!("there is no kind of event `{kind}`"))?;
        let node = value.get("n").cloned().unwrap_or_default();
        let node: NodeId = serde_json::from_value(node).map_err(|error| format!("n: {error}"))?;
        let data = value.get("d").cloned().unwrap_or_default();
        let event = event_of(kind, data).map_err(|error| format!("d: {error}"))?;
        Ok(Entry::Stated(Instant(at), node, event))
    }
}

impl Iterator for Trace {
    type Item = Result<Entry, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.torn {
            return None;
        }
        let line = match self.lines.next()? {
            Ok(line) => line,
            // What was handed to the system is there; the rest died with the process.
            Err(_) => {
                self.torn = true;
                return None;
            }
        };
        self.number += 1;
        let entry = self.entry(&line);
        Some(entry.map_err(|why| {
            Unreadable::Damaged(format!("{}: line {}: {why}", self.path.display(), self.number))
        }))
    }
}
