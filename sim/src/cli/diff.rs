//! `trial diff`: where do two runs part?

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use trial_model::event::EventKind;

use super::{Common, Exit, Format, Output, input, seed::SeedArg};
use crate::{
    Scenario,
    diff::{self, Difference, Moment, Side, compare},
    scenario::values::{BugName, Seed},
};

/// Say where two runs part, and what is different at a moment.
#[derive(Args)]
pub struct Diff {
    /// One run: its directory, a repro, or a scenario, FILE@SEED and FILE@SEED+BUG if you like.
    a: String,
    /// The other one.
    b: String,
    /// The moment whose states are compared: 3.066s, or an event, #21338. Without it, where the failing run
    /// went wrong, or else where they part.
    #[arg(long, value_name = "T|#E")]
    state_at: Option<Moment>,
    /// Of the events that only one of them has, only those of this kind.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    only: Option<EventKind>,
    /// How many of them to show.
    #[arg(long, value_name = "N", default_value_t = 12)]
    most: usize,
}

fn kind(text: &str) -> Result<EventKind, String> {
    EventKind::from_name(text).ok_or_else(|| {
        let near = EventKind::ALL.iter().map(|kind| kind.name());
        let near = near.max_by(|a, b| strsim::jaro(a, text).total_cmp(&strsim::jaro(b, text)));
        format!(
            "no kind of event `{text}`: did you mean `{}`? See `trial list events`",
            near.unwrap_or_default()
        )
    })
}

pub fn main(it: &Diff, common: &Common, output: &mut Output) -> Exit {
    match carry_out(it, common, output) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn carry_out(it: &Diff, common: &Common, output: &mut Output) -> Result<Exit, Exit> {
    let (one, seed_a) = read(&it.a, output)?;
    let (other, seed_b) = read(&it.b, output)?;
    let (a, b) = (Side::of(&one, seed_a.0), Side::of(&other, seed_b.0));
    if let Some(Moment::Event(number)) = it.state_at {
        let most = a.record.entries.len().max(b.record.entries.len());
        if number >= most {
            let why = format!("--state-at: there is no event #{number}; the longer run has {most}");
            return Err(output.fail(Exit::Usage, &why));
        }
    }
    let difference = compare(&a, &b, it.state_at, it.only);
    match common.format {
        Format::Human => {
            if difference.parting.is_some() {
                output.say(&edits(&one, &other, seed_a, seed_b));
            }
            output.say(&diff::show(&a, &b, &difference, it.most));
        }
        Format::Json | Format::Jsonl => output.say(&format!("{:#}\n", told(&a, &b, &difference))),
    }
    Ok(Exit::Ok)
}

/// `FILE`, `FILE@SEED`, `FILE@SEED+BUG`: what is there as it stands is meant so.
fn read(text: &str, output: &mut Output) -> Result<(Scenario, Seed), Exit> {
    if Path::new(text).exists() {
        let again = input::again(Path::new(text), None, &[], output)?;
        return Ok((again.scenario, again.seed));
    }
    let (rest, bugs) = match text.split_once('+') {
        Some((rest, bugs)) => (rest, bugs.split('+').collect::<Vec<_>>()),
        None => (text, Vec::new()),
    };
    let (file, seed) = match rest.rsplit_once('@') {
        Some((file, seed)) => (file, Some(seed)),
        None => (rest, None),
    };
    let seed: Option<SeedArg> = seed
        .map(str::parse)
        .transpose()
        .map_err(|why| output.fail(Exit::Usage, &format!("{text}: {why}")))?;
    let mut planted: Vec<BugName> = Vec::new();
    for bug in bugs {
        planted
            .push(input::bug_name(bug).map_err(|why| output.fail(Exit::Usage, &format!("{text}: {why}")))?);
    }
    let again = input::again(&PathBuf::from(file), seed.map(|seed| seed.0), &planted, output)?;
    Ok((again.scenario, again.seed))
}

/// What the two were told that is not the same, a line each.
fn edits(one: &Scenario, other: &Scenario, seed_a: Seed, seed_b: Seed) -> String {
    let mut lines = Vec::new();
    if seed_a != seed_b {
        lines.push(format!("seed: {seed_a} and {seed_b}"));
    }
    let plain = |scenario: &Scenario| {
        let scenario = Scenario { seed: None, schema: None, origin: None, ..scenario.clone() };
        serde_json::to_value(scenario).unwrap_or_default()
    };
    apart("", &plain(one), &plain(other), &mut lines);
    let more = lines.len().saturating_sub(5);
    lines.truncate(5);
    let mut out = String::new();
    for line in lines {
        out.push_str(&crate::report::words::shortened(&format!("told  {line}"), 100));
        out.push('\n');
    }
    if more > 0 {
        out.push_str(&format!("told  … and {more} more\n"));
    }
    out
}

fn apart(path: &str, one: &serde_json::Value, other: &serde_json::Value, lines: &mut Vec<String>) {
    use serde_json::Value;
    match (one, other) {
        _ if one == other => {}
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let under = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                apart(&under, a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), lines);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (nth, (a, b)) in a.iter().zip(b).enumerate() {
                apart(&format!("{path}.{nth}"), a, b, lines);
            }
        }
        _ => {
            let shown = |value: &Value| match value {
                Value::Null => "nothing".to_string(),
                value => crate::report::words::shortened(&value.to_string(), 36),
            };
            lines.push(format!("{path}: {} and {}", shown(one), shown(other)));
        }
    }
}

fn told(a: &Side, b: &Side, difference: &Difference) -> serde_json::Value {
    let side = |side: &Side| {
        json!({
            "trace": side.digest,
            "events": side.record.entries.len(),
            "violates": side.violation.as_ref().map(|violation| violation.check),
            "at": side.violation.as_ref().map(|violation| violation.at.0),
        })
    };
    let parting = difference.parting.as_ref().map(|parting| {
        json!({ "same": parting.same, "until": parting.until.0, "a": parting.sides[0], "b": parting.sides[1] })
    });
    let state: Vec<_> = difference
        .state
        .iter()
        .map(|(node, what, [one, other])| {
            json!({ "node": a.names.node_name(*node), "what": what, "a": one, "b": other })
        })
        .collect();
    let only: Vec<_> = difference
        .only
        .iter()
        .map(|only| (["a", "b"][only.side], only))
        .map(|(side, only)| json!({ "side": side, "at": only.at.0, "event": only.entry, "text": only.text }))
        .collect();
    json!({ "a": side(a), "b": side(b), "parts": parting, "state": state, "only": only })
}
