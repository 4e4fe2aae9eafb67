//! How does a program read a run? One JSON object a line.

use std::io::Write;

use serde_json::{Value, json};
use trial_model::{
    event::{Event, EventKind},
    time::Instant,
    units::{NodeId, TopicId, TopicPartition},
};

use super::{InputNote, Reader, Step, golden::world_line};
use crate::{names::RunNames, report::summary::FORMAT, scenario::Scenario, world_event::WorldEvent};

/// Writes one line for every event, in order: `{"i":7,"t":3066000123,"n":"broker-1","k":"hw.advance","d":{…}}`.
///
/// `i` counts the lines from zero, `t` is in nanoseconds of simulated time, `by` says what the node was
/// given. A sink that fails is not written to any more; `finish` tells.
pub struct JsonLines<W: Write + Send> {
    sink: W,
    next: u64,
    exact: bool,
    failed: Option<std::io::Error>,
}

impl<W: Write + Send> JsonLines<W> {
    /// Writes to `sink`.
    pub fn new(sink: W) -> JsonLines<W> {
        JsonLines { sink, next: 0, exact: false, failed: None }
    }

    /// Writes to `sink` so that everything can be read back: partitions and clients by their numbers, and what
    /// the world did as data, `w`, beside its words.
    pub fn exact(sink: W) -> JsonLines<W> {
        JsonLines { exact: true, ..JsonLines::new(sink) }
    }

    /// Hands on what has been written so far.
    pub fn flush(&mut self) {
        if self.failed.is_none()
            && let Err(error) = self.sink.flush()
        {
            self.failed = Some(error);
        }
    }

    fn write(&mut self, line: &Value) {
        if self.failed.is_none()
            && let Err(error) = writeln!(self.sink, "{line}")
        {
            self.failed = Some(error);
        }
        self.next += 1;
    }

    /// How many lines there are, and the sink; or why it failed.
    pub fn finish(self) -> std::io::Result<(u64, W)> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok((self.next, self.sink)),
        }
    }
}

impl<W: Write + Send> Reader for JsonLines<W> {
    fn step(&mut self, step: Step<'_>, names: &RunNames) {
        for event in step.events {
            let mut data = data_of(event);
            if !self.exact {
                call_by_name(&mut data, names);
            }
            let line = json!({
                "i": self.next,
                "t": step.at.0,
                "n": if self.exact { step.node.to_string() } else { names.node_name(step.node) },
                "k": event.kind().name(),
                "by": input_name(step.input, names),
                "d": data,
            });
            self.write(&line);
        }
    }

    fn world(&mut self, at: Instant, event: &WorldEvent, names: &RunNames) {
        let mut line =
            json!({ "i": self.next, "t": at.0, "n": "world", "k": "world", "d": world_line(event, names) });
        if self.exact {
            line["w"] = serde_json::to_value(event).unwrap_or(Value::Null);
        }
        self.write(&line);
    }
}

/// The first line of a trace, which says what the others are; `time` is what their times mean.
pub(crate) fn header(scenario: &Scenario, time: &str) -> Value {
    let nodes: Vec<String> = scenario.nodes().into_iter().map(|(_, name)| name).collect();
    json!({
        "trial_trace": FORMAT,
        "trial": env!("CARGO_PKG_VERSION"),
        "scenario": scenario.name,
        "nodes": nodes,
        "columns": { "i": "number", "t": time, "n": "node", "k": "kind", "by": "input", "d": "data" },
    })
}

/// What an event says, without its kind.
fn data_of(event: &Event) -> Value {
    match serde_json::to_value(event) {
        Ok(Value::Object(tagged)) => tagged.into_iter().next().map_or(Value::Null, |(_, data)| data),
        _ => Value::Null,
    }
}

/// The event of a kind that says `data`; the other way round.
pub(crate) fn event_of(kind: EventKind, data: Value) -> Result<Event, serde_json::Error> {
    let tagged = std::iter::once((format!("{kind:?}"), data)).collect();
    serde_json::from_value(Value::Object(tagged))
}

fn input_name(input: InputNote, names: &RunNames) -> String {
    match input {
        InputNote::Start => "start".into(),
        InputNote::Request(api, from) => format!("{} from {}", api.name(), names.node_name(from)),
        InputNote::Response(api, from) => format!("{} response from {}", api.name(), names.node_name(from)),
        InputNote::Disconnected(peer, _) => format!("disconnected from {}", names.node_name(peer)),
        InputNote::Closed => "connection closed".into(),
        InputNote::Disk => "disk".into(),
        InputNote::Deadline => "deadline".into(),
        InputNote::Told => "told".into(),
    }
}

/// Partitions and clients by the names that this run has for them: the model only knows their numbers.
fn call_by_name(data: &mut Value, names: &RunNames) {
    match data {
        Value::String(text) => {
            if let Some(name) = name_of(text, names) {
                *text = name;
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(|value| call_by_name(value, names)),
        Value::Array(values) => values.iter_mut().for_each(|value| call_by_name(value, names)),
        _ => {}
    }
}

fn name_of(text: &str, names: &RunNames) -> Option<String> {
    if let Some((topic, partition)) = text.strip_prefix("topic#").and_then(|rest| rest.rsplit_once('-')) {
        let partition = TopicPartition::new(TopicId(topic.parse().ok()?), partition.parse().ok()?);
        return Some(names.partition_name(partition));
    }
    let client = text.strip_prefix("client-")?.parse().ok()?;
    Some(names.node_name(NodeId::client(client)))
}
