//! How does an explanation read: on a screen, in Markdown, as a diagram, to a program?

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Case, Line, Needed, Parts, Turned, needed, turned};
use crate::report::{
    failure::COLUMNS,
    words::{grouped, seconds, shortened},
};

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// For a screen, at most 100 columns wide.
    Human,
    /// Markdown.
    Markdown,
    /// A Mermaid sequence diagram.
    Mermaid,
    /// One JSON document.
    Json,
}

/// Everything that is told of a failure.
pub struct Told<'a> {
    /// The failure.
    pub case: &'a Case,
    /// Its chain.
    pub lines: Vec<Line>,
    /// Where it parts from a run that passes, if no decision can be called wrong.
    pub parts: Option<Parts>,
    /// What it takes, if that was looked for.
    pub needed: Option<Needed>,
    /// When it had become likely, if that was looked for.
    pub turned: Option<Turned>,
}

/// The explanation of a failure.
pub fn show(told: &Told<'_>, look: Look) -> String {
    let Told { case, lines, .. } = told;
    match look {
        Look::Human => human(case, lines) + &below(told),
        Look::Markdown => format!(
            "### Why {} failed\n\n{}\n\n```\n{}{}```\n",
            case.violation.check,
            case.violation.headline,
            human(case, lines),
            below(told)
        ),
        Look::Mermaid => mermaid(case, lines),
        Look::Json => format!("{:#}\n", json(told)),
    }
}

/// What stands below the chain.
fn below(told: &Told<'_>) -> String {
    let mut blocks = Vec::new();
    if let Some(parts) = &told.parts {
        let side =
            |nth: usize| parts.parting.sides[nth].clone().unwrap_or_else(|| "(the run is over)".into());
        blocks.push(labelled(
            "PARTS",
            &format!(
                "from the nearest run that passes, {}, after {} events",
                parts.how,
                grouped(parts.parting.same as u64)
            ),
            "",
        ));
        blocks.push(labelled("", &format!("passes  {}", side(0)), ""));
        blocks.push(labelled("", &format!("fails   {}", side(1)), ""));
    }
    if let Some(it) = &told.needed {
        for (nth, (what, room)) in needed::show(it).iter().enumerate() {
            blocks.push(labelled(if nth == 0 { "NEEDED" } else { "" }, what, room));
        }
        let (what, how) = needed::any_value(it);
        blocks.push(labelled("ANY VALUE", &what, &how));
        if it.stopped {
            blocks.push(labelled("", &format!("(a limit came first, after {} runs)", grouped(it.runs)), ""));
        }
    }
    if let Some(it) = &told.turned
        && let Some(curve) = turned::show(it)
    {
        let head =
            format!("chance of failure when continued with fresh randomness, {} forks a point", it.forks);
        blocks.push(labelled("TURNED", &head, ""));
        blocks.push(labelled("", &curve, ""));
    }
    if blocks.is_empty() { String::new() } else { format!("\n{}", blocks.concat()) }
}

fn labelled(label: &str, what: &str, room: &str) -> String {
    let line = if room.is_empty() {
        format!("{label:<11}{what}")
    } else {
        let what = shortened(what, 58);
        format!("{label:<11}{what:<58}  {room}")
    };
    format!("{}\n", shortened(line.trim_end(), COLUMNS))
}

fn human(case: &Case, lines: &[Line]) -> String {
    let left = format!("WHY {} FAILED", case.violation.check);
    let right = format!("{} of {} events matter", lines.len(), grouped(case.record.entries.len() as u64));
    let gap = COLUMNS.saturating_sub(left.chars().count() + right.chars().count()).max(2);
    let mut out = format!("{left}{}{right}\n", " ".repeat(gap));
    let who = lines.iter().map(|line| line.who.chars().count()).max().unwrap_or(0).min(28);
    let time = lines.iter().map(|line| seconds(line.at.0, 3).len()).max().unwrap_or(0);
    for (nth, line) in lines.iter().enumerate() {
        let head = format!(
            "{:>3}  {:>time$}  {:<who$}  ",
            nth + 1,
            seconds(line.at.0, 3),
            shortened(&line.who, who),
        );
        let mark = match (line.wrong, line.broken) {
            (true, true) => format!("◀ wrong ✗: {}", line.note),
            (true, false) => format!("◀ wrong: {}", line.note),
            (false, true) if line.note.is_empty() => "✗".to_string(),
            (false, true) => format!("✗ {}", line.note),
            (false, false) => line.note.clone(),
        };
        let room = COLUMNS.saturating_sub(head.chars().count());
        let what = shortened(&line.what, room);
        let left = room.saturating_sub(what.chars().count() + 2);
        let says = line.wrong || line.broken;
        // The mark stands in the margin if there is room; if not, below. Of other notes one can do without.
        let text = if mark.is_empty() || (!says && mark.chars().count() > left) {
            format!("{head}{what}")
        } else if mark.chars().count() <= left {
            let gap = room - what.chars().count() - mark.chars().count();
            format!("{head}{what}{}{mark}", " ".repeat(gap))
        } else {
            let mark = shortened(&mark, room);
            let indent = COLUMNS - mark.chars().count();
            format!("{head}{what}\n{}{mark}", " ".repeat(indent))
        };
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// Participants in the order in which they speak; a message is an arrow, an event a note.
fn mermaid(case: &Case, lines: &[Line]) -> String {
    let mut out = String::from("sequenceDiagram\n");
    let mut known: Vec<&str> = Vec::new();
    let ways: Vec<Vec<&str>> = lines.iter().map(|line| line.who.split(" → ").collect()).collect();
    for who in ways.iter().flatten() {
        if !known.contains(who) {
            known.push(who);
            let _ = writeln!(out, "  participant {}", plain(who));
        }
    }
    for (line, way) in lines.iter().zip(&ways) {
        let at = seconds(line.at.0, 3);
        let wrong = if line.wrong {
            " ◀ wrong"
        } else if line.broken {
            " ✗"
        } else {
            ""
        };
        let text: Vec<&str> = line.what.split_whitespace().collect();
        let text = plain_text(&format!("{at}s {}{wrong}", text.join(" ")));
        let _ = match way[..] {
            [from, to] => writeln!(out, "  {}->>{}: {text}", plain(from), plain(to)),
            _ => writeln!(out, "  Note over {}: {text}", plain(way[0])),
        };
    }
    let _ = writeln!(out, "  %% {} failed: {}", case.violation.check, plain_text(&case.violation.headline));
    out
}

fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// Mermaid ends a line at a semicolon and takes `#` for an entity.
fn plain_text(text: &str) -> String {
    text.replace(';', ",").replace('#', "no. ")
}

fn json(told: &Told<'_>) -> Value {
    let Told { case, lines, .. } = told;
    let wrong = case.wrong.as_ref().map(|wrong| {
        json!({
            "at": wrong.at.0,
            "node": case.names.node_name(wrong.node),
            "what": wrong.what,
            "but": wrong.but,
            "event": lines.iter().find(|line| line.wrong).and_then(|line| line.entry),
        })
    });
    let chain: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "at": line.at.0,
                "who": line.who,
                "what": line.what,
                "note": line.note,
                "event": line.entry,
                "wrong": line.wrong,
                "broken": line.broken,
            })
        })
        .collect();
    json!({
        "check": case.violation.check,
        "at": case.violation.at.0,
        "headline": case.violation.headline,
        "events": case.record.entries.len(),
        "wrong_decision": wrong,
        "chain": chain,
        "parts": told.parts.as_ref().map(|parts| json!({
            "nearest": parts.how,
            "same": parts.parting.same,
            "passes": parts.parting.sides[0],
            "fails": parts.parting.sides[1],
        })),
        "needed": told.needed.as_ref().map(|it| json!({
            "needs": it.needs.iter().map(|need| json!({ "what": need.what, "room": need.room })).collect::<Vec<_>>(),
            "spare_faults": it.spare,
            "other_seeds": { "failed": it.seeds.0, "of": it.seeds.1 },
            "runs": it.runs,
            "stopped": it.stopped,
        })),
        "turned": told.turned.as_ref().map(|it| json!({
            "forks": it.forks,
            "points": it.points.iter().map(|(at, failed)| json!({ "at": at.0, "failed": failed })).collect::<Vec<_>>(),
        })),
    })
}
