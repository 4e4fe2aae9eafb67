//! Is this file a scenario? Text to tree to types to meaning, each step with the place of what is wrong.

use std::{fs, ops::Range, path::Path};

use serde_json::Value;
use serde_path_to_error::Segment;

use super::{
    diagnostic::{Problem, suggest},
    file::{Scenario, VERSION},
    meaning,
    text::{self, Place},
};

/// A file that was read, before it is known whether it is a scenario.
#[derive(Clone, Debug)]
pub struct Source {
    /// What it is called in messages.
    pub path: String,
    /// What it holds.
    pub text: String,
}

impl Source {
    /// Reads a file. Refuses one that is not there, not readable or not text.
    pub fn read(path: &Path) -> Result<Source, String> {
        let shown = path.display().to_string();
        let bytes = fs::read(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            format!("{shown} is not text: byte {} is not UTF-8", error.utf8_error().valid_up_to())
        })?;
        // A byte order mark is not JSON, and no editor shows it.
        let text = text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_string);
        Ok(Source { path: shown, text })
    }
}

/// A value to put somewhere in a scenario before it is looked at: `--set faults.0.for=100ms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Where, from the root: keys and positions.
    pub path: Vec<String>,
    /// What.
    pub value: Value,
}

/// Reads a scenario. Tells everything that is wrong: what the file cannot say first; if there is nothing,
/// what it says and cannot mean.
pub fn load(source: &str, changes: &[Change]) -> Result<Scenario, Vec<Problem>> {
    let root = text::parse(source).map_err(|problem| vec![problem])?;
    let place = Place::root(&root);
    let mut problems = Vec::new();
    let mut value = text::to_json(&root, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    if !value.is_object() {
        return Err(vec![Problem::new("a scenario is an object", place.bytes(), "not an object")]);
    }
    version(&value, place).map_err(|problem| vec![problem])?;
    for change in changes {
        if let Err(why) = put(&mut value, change) {
            problems.push(Problem::new(why, place_of(place, &change.path).bytes(), "--set"));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let scenario = typed(value.clone(), place, source)?;
    let written = serde_json::to_value(&scenario).unwrap_or_default();
    lists_for_objects(&value, &written, place, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    match meaning::check(&scenario, place) {
        problems if problems.is_empty() => Ok(scenario),
        problems => Err(problems),
    }
}

/// Tells every list where an object belongs: serde would take its elements for the fields in their order.
fn lists_for_objects(given: &Value, written: &Value, at: Place<'_>, problems: &mut Vec<Problem>) {
    match (given, written) {
        (Value::Array(_), Value::Object(_)) => {
            problems.push(Problem::new("this takes an object", at.bytes(), "not a list"));
        }
        (Value::Object(given), Value::Object(written)) => {
            let both = given.iter().filter_map(|(key, value)| Some((key, value, written.get(key)?)));
            both.for_each(|(key, given, written)| lists_for_objects(given, written, at.key(key), problems));
        }
        (Value::Array(given), Value::Array(written)) => {
            let both = given.iter().zip(written).enumerate();
            both.for_each(|(nth, (given, written))| lists_for_objects(given, written, at.nth(nth), problems));
        }
        _ => {}
    }
}

/// Refuses a file of another version before looking at what it says.
fn version(value: &Value, root: Place<'_>) -> Result<(), Problem> {
    match value.get("version") {
        Some(Value::Number(number)) if number.as_u64() != Some(u64::from(VERSION)) => {
            let at = root.key("version").bytes();
            let problem = Problem::new(
                format!("this is format {number}; this trial reads format {VERSION}"),
                at,
                "another format",
            );
            Err(Problem { other_version: true, ..problem })
        }
        _ => Ok(()),
    }
}

fn put(root: &mut Value, change: &Change) -> Result<(), String> {
    let shown = change.path.join(".");
    let Some((last, way)) = change.path.split_last() else { return Err("--set needs a path".into()) };
    let mut at = root;
    let mut before = String::new();
    for step in way {
        at = match at {
            Value::Object(map) => {
                map.entry(step.clone()).or_insert_with(|| Value::Object(Default::default()))
            }
            Value::Array(list) => {
                let len = list.len();
                position(step, len)
                    .and_then(|nth| list.get_mut(nth))
                    .ok_or_else(|| format!("--set {shown}: `{before}` has no element {step}; it has {len}"))?
            }
            _ => return Err(format!("--set {shown}: `{before}` is neither an object nor a list")),
        };
        before = if before.is_empty() { step.clone() } else { format!("{before}.{step}") };
    }
    match at {
        Value::Object(map) => {
            map.insert(last.clone(), change.value.clone());
            Ok(())
        }
        Value::Array(list) => {
            let len = list.len();
            let slot = position(last, len).and_then(|nth| list.get_mut(nth));
            *slot
                .ok_or_else(|| format!("--set {shown}: `{before}` has no element {last}; it has {len}"))? =
                change.value.clone();
            Ok(())
        }
        _ => Err(format!("--set {shown}: `{before}` is neither an object nor a list")),
    }
}

fn position(step: &str, len: usize) -> Option<usize> {
    step.parse().ok().filter(|nth| *nth < len)
}

fn place_of<'a>(root: Place<'a>, path: &[String]) -> Place<'a> {
    path.iter().fold(root, |at, step| match step.parse() {
        Ok(nth) if at.nth(nth).exists() => at.nth(nth),
        _ => at.key(step),
    })
}

/// The types of the value, or everything that keeps it from them as far as it can be told at once.
fn typed(mut value: Value, root: Place<'_>, source: &str) -> Result<Scenario, Vec<Problem>> {
    let mut problems: Vec<Problem> = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize::<_, Scenario>(&value) {
            Ok(scenario) if problems.is_empty() => return Ok(scenario),
            Ok(_) => return Err(problems),
            Err(error) => error,
        };
        // What is missing only because it was taken out below has been told.
        let missing = error.inner().to_string().starts_with("missing field");
        if missing && !problems.is_empty() {
            return Err(problems);
        }
        problems.push(mistake(&error, root, source));
        // With the mistake taken out, the next one can be told as well.
        if missing || problems.len() >= 20 || !take_out(&mut value, error.path()) {
            return Err(problems);
        }
    }
}

/// Takes the entry at the end of a path out of its object; says whether it could.
fn take_out(value: &mut Value, path: &serde_path_to_error::Path) -> bool {
    let segments: Vec<_> = path.iter().collect();
    let Some((Segment::Map { key: last }, way)) = segments.split_last() else { return false };
    let mut at = value;
    for segment in way {
        let next = match segment {
            Segment::Map { key } | Segment::Enum { variant: key } => at.get_mut(key),
            Segment::Seq { index } => at.get_mut(index),
            Segment::Unknown => None,
        };
        let Some(next) = next else { return false };
        at = next;
    }
    at.as_object_mut().is_some_and(|map| map.remove(last).is_some())
}

/// What serde found wrong, in our words and at its place.
fn mistake(error: &serde_path_to_error::Error<serde_json::Error>, root: Place<'_>, source: &str) -> Problem {
    let message = error.inner().to_string();
    let path = error.path().to_string();
    let place = walk(root, error.path());
    let shown = |title: String| if path == "." { title } else { format!("{title} (at {path})") };
    if let Some(field) = message.strip_prefix("missing field ") {
        return Problem::new(shown(format!("{field} is missing")), opening(place), format!("needs {field}"));
    }
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return unknown(rest, "no such field", place.name(), shown);
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let wrong = rest.split('`').nth(1).unwrap_or_default();
        return unknown(rest, "no such name", variant(place, wrong, source), shown);
    }
    for what in ["event", "check", "request", "bug", "selector"] {
        if let Some(rest) = message.strip_prefix("unknown ").and_then(|rest| rest.strip_prefix(what)) {
            return unknown(rest.trim_start(), &format!("no such {what}"), place.bytes(), shown);
        }
    }
    let mistyped = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    if let Some((found, wanted)) = mistyped.and_then(|m| m.split_once(", expected ")) {
        let title = format!("this takes {}", in_words(wanted));
        return Problem::new(shown(title), place.bytes(), format!("not {}", found_as(found)));
    }
    Problem::new(shown(message), place.bytes(), "here")
}

/// What Rust's own names for types mean to somebody who writes a scenario.
fn in_words(wanted: &str) -> String {
    match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number".into(),
        "i32" | "i64" => "a whole number, perhaps negative".into(),
        "a sequence" => "a list".into(),
        "a map" => "an object".into(),
        "a boolean" => "true or false".into(),
        other if other.starts_with("struct ") => "an object".into(),
        other => other.into(),
    }
}

/// What stands there instead, in JSON's own words.
fn found_as(found: &str) -> String {
    let (kind, what) = found.split_once(' ').unwrap_or((found, ""));
    match kind {
        "sequence" => "a list".into(),
        "map" => "an object".into(),
        "integer" | "boolean" => what.trim_matches('`').into(),
        "floating" => what.trim_start_matches("point ").trim_matches('`').into(),
        "string" => what.into(),
        _ => found.into(),
    }
}

/// A name that is not one of those in `rest`: "`wrong`, expected one of `a`, `b`".
fn unknown(rest: &str, title: &str, at: Range<usize>, shown: impl Fn(String) -> String) -> Problem {
    let (wrong, list) = rest.split_once(", expected ").unwrap_or((rest, ""));
    let names: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    let label = match names.len() {
        0 => "not known".to_string(),
        1..=6 => format!("expected {}", list.strip_prefix("one of ").unwrap_or(list)),
        many => format!("one of {many} names"),
    };
    let help = suggest(wrong.trim_matches('`'), names.iter().copied());
    let help = help.or_else(|| (names.len() > 6).then(|| format!("there are {}", shortened(&names))));
    Problem::new(shown(format!("{title}: {wrong}")), at, label).with_help(help)
}

fn shortened(names: &[&str]) -> String {
    let mut shown = names.iter().take(8).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > 8 {
        shown.push_str(", …");
    }
    shown
}

/// The bytes of an enum's wrong name: the string itself, or the key of its object.
fn variant(place: Place<'_>, wrong: &str, source: &str) -> Range<usize> {
    let key = place.key(wrong);
    if key.exists() {
        return key.name();
    }
    let at = place.bytes();
    match source.get(at.clone()).and_then(|text| text.find(&format!("\"{wrong}\""))) {
        Some(start) => at.start + start..at.start + start + wrong.len() + 2,
        None => at,
    }
}

fn opening(place: Place<'_>) -> Range<usize> {
    place.own_key("\0")
}

fn walk<'a>(root: Place<'a>, path: &serde_path_to_error::Path) -> Place<'a> {
    path.iter().fold(root, |at, segment| match segment {
        Segment::Map { key } | Segment::Enum { variant: key } => at.key(key),
        Segment::Seq { index } => at.nth(*index),
        Segment::Unknown => at,
    })
}

/// The text as plain JSON, whatever it says. Refuses what is not JSON.
pub fn plain(source: &str) -> Result<Value, Vec<Problem>> {
    let root = text::parse(source).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    let value = text::to_json(&root, &mut problems);
    if problems.is_empty() { Ok(value) } else { Err(problems) }
}

/// The JSON Schema of scenario files, as it is committed.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Scenario);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    text.push('\n');
    text
}
