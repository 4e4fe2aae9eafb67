//! Where do two runs part, and what came of it?

mod state;

use std::collections::BTreeMap;

use trial_model::{event::EventKind, time::Instant, units::NodeId};

pub use self::state::{Key, Moment, State, title};
use crate::{
    Run, Scenario,
    check::Violation,
    explain::{Case, Entry, Record, What, recorded},
    names::RunNames,
    report::words::{grouped, seconds, shortened},
    trace::{InputNote, is_chatter, world_line},
};

/// One of two runs.
pub struct Side {
    /// What happened.
    pub record: Record,
    /// What things are called.
    pub names: RunNames,
    /// The first promise that was broken.
    pub violation: Option<Violation>,
    /// The first digits of its digest.
    pub digest: String,
    /// When a wrong decision was taken, if it failed and that can be told.
    pub wrong_at: Option<Instant>,
}

impl Side {
    /// Runs a scenario and keeps what is compared.
    pub fn of(scenario: &Scenario, seed: u64) -> Side {
        let (run, record) = recorded(scenario, seed, None);
        let Run { digest, ref names, ref violations, .. } = run;
        let (names, violation) = (names.clone(), violations.first().cloned());
        match violation.is_some().then(|| Case::from(scenario, run, record.clone())).flatten() {
            Some(case) => {
                let wrong_at = case.wrong.as_ref().map(|wrong| wrong.at);
                let violation = Some(case.violation);
                Side { record, names, violation, digest: digest.to_string(), wrong_at }
            }
            None => Side { record, names, violation, digest: digest.to_string(), wrong_at: None },
        }
    }
}

/// How the first difference reads on either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parting {
    /// How many events are the same before it.
    pub same: usize,
    /// Up to when.
    pub until: Instant,
    /// What either side has there; nothing if its run is over.
    pub sides: [Option<String>; 2],
}

/// Something that only one side has after they have parted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    /// Which side: 0 is A.
    pub side: usize,
    /// When.
    pub at: Instant,
    /// Its number there.
    pub entry: usize,
    /// Who and what, in words.
    pub text: String,
}

/// What two runs differ in.
pub struct Difference {
    /// Where they part; `None` if they are the same.
    pub parting: Option<Parting>,
    /// The moment whose states are compared.
    pub moment: Moment,
    /// The facts that differ there, and what either side says.
    pub state: Vec<(NodeId, String, [Option<String>; 2])>,
    /// What only one side has.
    pub only: Vec<Only>,
}

/// Compares two runs. `moment` is where states are compared: by default where the failing one went wrong, or
/// else where they have parted. `kind` limits what is listed after it.
pub fn compare(a: &Side, b: &Side, moment: Option<Moment>, kind: Option<EventKind>) -> Difference {
    let parting = parting(a, b);
    let wrong = b.wrong_at.or(a.wrong_at).map(Moment::Time);
    let usual = wrong.or(parting.as_ref().map(|parting| Moment::Event(parting.same)));
    let moment = moment.or(usual).unwrap_or(Moment::Time(Instant::FOREVER));
    let (one, other) = (State::at(&a.record, &a.names, moment), State::at(&b.record, &b.names, moment));
    let state = facts_apart(a, &one, &other);
    let only = parting.as_ref().map_or(Vec::new(), |parting| only_one(a, b, parting.same, kind));
    Difference { parting, moment, state, only }
}

/// The same but for the places of steps, which shift.
fn alike(one: &Entry, other: &Entry) -> bool {
    let same = match (&one.what, &other.what) {
        (What::Stated { node, event, .. }, What::Stated { node: node_b, event: event_b, .. }) => {
            (node, event) == (node_b, event_b)
        }
        (What::Done(event), What::Done(event_b)) => event == event_b,
        _ => false,
    };
    one.at == other.at && same
}

/// Where two runs part; `None` if they are the same.
pub fn parting(a: &Side, b: &Side) -> Option<Parting> {
    let (one, other) = (&a.record.entries, &b.record.entries);
    let pairs = one.iter().zip(other);
    let same = pairs.clone().take_while(|(one, other)| alike(one, other)).count();
    let step = a.record.steps.iter().zip(&b.record.steps).position(|(one, other)| {
        (one.at, one.node, one.input, one.cause) != (other.at, other.node, other.input, other.cause)
    });
    // A message that takes longer shows before anybody states anything about it.
    let event_at = one.get(same).map(|entry| entry.at).min(other.get(same).map(|entry| entry.at));
    let silent = step.filter(|step| {
        let at = a.record.steps[*step].at.min(b.record.steps[*step].at);
        event_at.is_none_or(|event| at <= event)
    });
    if let Some(step) = silent {
        let sides = [a, b].map(|side| step_line(side, step));
        let at = a.record.steps[step].at.min(b.record.steps[step].at);
        let same = pairs.take_while(|(one, other)| alike(one, other) && one.at < at).count();
        let until = one[..same].last().map_or(Instant::ZERO, |entry| entry.at);
        if sides[0] != sides[1] {
            return Some(Parting { same, until, sides });
        }
    }
    if same == one.len() && same == other.len() {
        return None;
    }
    let until = one[..same].last().map_or(Instant::ZERO, |entry| entry.at);
    let sides = [(a, one.get(same)), (b, other.get(same))].map(|(side, entry)| {
        entry.map(|entry| format!("{}s  {}", seconds(entry.at.0, 6), text(side, entry)))
    });
    Some(Parting { same, until, sides })
}

fn step_line(side: &Side, step: usize) -> Option<String> {
    let step = side.record.steps.get(step)?;
    let name = |node| side.names.node_name(node);
    let what = match step.input {
        InputNote::Request(api, from) => {
            format!("{} → {}  {}", name(from), name(step.node), api.name().to_lowercase())
        }
        InputNote::Response(api, from) => {
            format!("{} → {}  {} reply", name(from), name(step.node), api.name().to_lowercase())
        }
        InputNote::Start => format!("{}  starts", name(step.node)),
        InputNote::Disconnected(peer, _) => {
            format!("{}  loses its connection to {}", name(step.node), name(peer))
        }
        InputNote::Closed => format!("{}  a connection is closed", name(step.node)),
        InputNote::Disk => format!("{}  its disk answers", name(step.node)),
        InputNote::Deadline => format!("{}  a timer", name(step.node)),
        InputNote::Told => format!("{}  is told what to do", name(step.node)),
    };
    let took = step.cause.map_or(String::new(), |cause| {
        let took = step.at.0.saturating_sub(side.record.steps[cause].at.0);
        format!("   after {}ms", seconds(took * 1_000, 3))
    });
    Some(format!("{}s  {what}{took}", seconds(step.at.0, 6)))
}

/// Who and what, as a trace shows it.
pub fn text(side: &Side, entry: &Entry) -> String {
    match &entry.what {
        What::Stated { node, event, .. } => format!(
            "{:<13} {:<14} {}",
            side.names.node_name(*node),
            event.kind().name(),
            event.show(&side.names)
        ),
        What::Done(event) => format!("{:<13} {}", "world", world_line(event, &side.names)),
    }
}

fn facts_apart(a: &Side, one: &State, other: &State) -> Vec<(NodeId, String, [Option<String>; 2])> {
    let (one, other) = (one.facts(), other.facts());
    let keys: std::collections::BTreeSet<&Key> = one.keys().chain(other.keys()).collect();
    keys.into_iter()
        .filter(|key| one.get(*key) != other.get(*key))
        .map(|key| (key.0, title(key, &a.names), [one.get(key).cloned(), other.get(key).cloned()]))
        .collect()
}

/// What happened on one side only after both have parted. Events are matched by who stated what on which
/// kind of occasion, whenever that was and whatever its number.
fn only_one(a: &Side, b: &Side, from: usize, kind: Option<EventKind>) -> Vec<Only> {
    type Matched = (String, Option<InputNote>);
    let matched = |side: &Side, entry: &Entry| -> Matched {
        (text(side, entry), entry.step().map(|step| side.record.steps[step].input))
    };
    let counted = |side: &Side| {
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for entry in side.record.entries.iter().skip(from) {
            let (text, input) = matched(side, entry);
            *counts.entry(format!("{text} {input:?}")).or_insert(0) += 1;
        }
        counts
    };
    let mut only = Vec::new();
    for (nth, (side, other)) in [(a, b), (b, a)].into_iter().enumerate() {
        let mut there = counted(other);
        for (number, entry) in side.record.entries.iter().enumerate().skip(from) {
            let told = entry.event().map(|(_, event)| event);
            let wanted = match (kind, told) {
                (Some(kind), Some(event)) => event.kind() == kind,
                (Some(_), None) => false,
                (None, Some(event)) => !is_chatter(event),
                (None, None) => true,
            };
            let (text, input) = matched(side, entry);
            let left = there.entry(format!("{text} {input:?}")).or_insert(0);
            *left -= 1;
            if wanted && *left < 0 {
                only.push(Only { side: nth, at: entry.at, entry: number, text });
            }
        }
    }
    only.sort_by_key(|only| (only.at, only.side, only.entry));
    only
}

/// The difference of two runs for a screen; at most `most` events that only one has.
pub fn show(a: &Side, b: &Side, difference: &Difference, most: usize) -> String {
    let mut out = String::new();
    let Some(parting) = &difference.parting else {
        return format!(
            "A and B are the same run: {} events, trace {}\n",
            grouped(a.record.entries.len() as u64),
            a.digest
        );
    };
    out.push_str(&format!(
        "same for {} events (to {} s), then\n",
        grouped(parting.same as u64),
        seconds(parting.until.0, 3)
    ));
    for (name, side) in ["A", "B"].iter().zip(&parting.sides) {
        let text = side.as_deref().unwrap_or("(nothing: the run is over)");
        out.push_str(&shortened(&format!("  {name} #{}  {text}", parting.same), 100));
        out.push('\n');
    }
    out.push_str(&states(a, difference));
    if !difference.only.is_empty() {
        out.push_str(&format!(
            "{} events that only one of them has\n",
            grouped(difference.only.len() as u64)
        ));
        for only in difference.only.iter().take(most) {
            let name = ["A", "B"][only.side];
            let line = format!("  {name} #{:<7} {:>9}  {}", only.entry, seconds(only.at.0, 3), only.text);
            out.push_str(&shortened(&line, 100));
            out.push('\n');
        }
        if difference.only.len() > most {
            let rest = (difference.only.len() - most) as u64;
            out.push_str(&format!(
                "  … and {} more: --most N shows more, --only KIND fewer\n",
                grouped(rest)
            ));
        }
    }
    let ended = |name: &str, side: &Side| match &side.violation {
        Some(violation) => format!("{name} fails {} at {} s.", violation.check, seconds(violation.at.0, 3)),
        None => format!("{name} passes."),
    };
    out.push_str(&format!("{}  {}\n", ended("A", a), ended("B", b)));
    out
}

fn states(a: &Side, difference: &Difference) -> String {
    let when = match difference.moment {
        Moment::Time(Instant::FOREVER) => "at the end".to_string(),
        Moment::Time(at) => format!("at {} s", seconds(at.0, 3)),
        Moment::Event(number) => format!("after event #{number}"),
    };
    if difference.state.is_empty() {
        return format!("state {when}: no difference\n");
    }
    let rows: Vec<[String; 4]> = difference
        .state
        .iter()
        .map(|(node, what, [one, other])| {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".into());
            [a.names.node_name(*node), what.clone(), value(one), value(other)]
        })
        .collect();
    let wide = |column: usize, most: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).min(most)
    };
    let (node, what, value) = (wide(0, 14), wide(1, 40), wide(2, 24).max(1));
    let head = format!("state {when}, differences only");
    let what = what.max(head.chars().count().saturating_sub(node + 4));
    let mut out = format!("{head:<width$}{:<value$}  B\n", "A", width = node + what + 6, value = value);
    for row in &rows {
        let line = format!(
            "  {:<node$}  {:<what$}  {:<value$}  {}",
            shortened(&row[0], node),
            shortened(&row[1], what),
            shortened(&row[2], value),
            row[3]
        );
        out.push_str(&shortened(&line, 100));
        out.push('\n');
    }
    out
}
