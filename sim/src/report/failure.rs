//! What do the first twenty lines of a failure say?
//!
//! Which promise broke, for which record, which decision was wrong, which faults did it, what to type next.
//! At most 20 lines of at most 100 columns, no log lines and no backtrace; the first line alone can be an
//! issue's title.

use super::{
    Summary,
    summary::Broken,
    words::{counted, grouped, seconds, shortened, trigger, wrapped},
};
use crate::scenario::Scenario;

/// How wide a report may be.
pub const COLUMNS: usize = 100;
/// How many lines it may have, the line of the trace below it included.
pub const LINES: usize = 20;

const FAULTS: usize = 5;
/// Up to here a line is its label.
const LABEL: usize = 10;

/// The report. `place` is the run's directory, `again` the command that runs it anew.
pub fn report(summary: &Summary, scenario: &Scenario, place: Option<&str>, again: &str) -> String {
    let Some(first) = summary.violations.first() else { return String::new() };
    let mut lines = title(summary, first);
    lines.push(String::new());
    // What is fixed: title 2, blanks 3, schedule head 1, commands 2, trace 1.
    let faults = summary.faults.len().min(FAULTS) + usize::from(summary.faults.len() > FAULTS);
    let others = summary.broken().len() > 1;
    let room = LINES - 9 - faults - usize::from(others);
    let said = said(first, room);
    if !said.is_empty() {
        lines.extend(said);
        lines.push(String::new());
    }
    if others {
        let names = summary.broken()[1..].join(", ");
        lines.push(labelled("also", &shortened(&names, COLUMNS - LABEL - 2)));
    }
    lines.extend(schedule(summary, scenario));
    lines.push(String::new());
    if let Some(place) = place {
        lines.push(labelled("replay", &format!("trial replay {place}")));
    }
    lines.push(labelled("again", again));
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn title(summary: &Summary, first: &Broken) -> Vec<String> {
    let left = format!("FAIL  {}", first.check);
    let right = format!("{}  seed {}", summary.scenario, summary.seed);
    let gap = 50usize.saturating_sub(left.chars().count()).max(2);
    let line = format!("{left}{}{right}", " ".repeat(gap));
    let line = if line.chars().count() <= COLUMNS {
        line
    } else {
        // The seed is never what is cut.
        let seed = format!("  seed {}", summary.seed);
        let name = format!("{left}  {}", summary.scenario);
        shortened(&name, COLUMNS - seed.chars().count()) + &seed
    };
    vec![line, format!("      {}", shortened(&first.headline, COLUMNS - 6))]
}

/// What the check has to say, a label and its text each; one that has nothing to say tells when it was.
fn said(first: &Broken, room: usize) -> Vec<String> {
    let when = [("at".to_string(), format!("{} s", seconds(first.at, 3)))];
    let told = if first.lines.is_empty() { &when[..] } else { &first.lines[..] };
    // What does not fit is in result.json.
    let told = &told[..told.len().min(room)];
    let mut out = Vec::new();
    for (i, (label, text)) in told.iter().enumerate() {
        // Every later line has at least one line of room.
        let left = room.saturating_sub(out.len() + told.len() - i - 1);
        if left == 0 {
            break;
        }
        let texts = wrapped(text, COLUMNS - LABEL - 2, left.min(2));
        for (nth, text) in texts.iter().enumerate() {
            out.push(labelled(if nth == 0 { label } else { "" }, text));
        }
    }
    out.truncate(room);
    out
}

fn schedule(summary: &Summary, scenario: &Scenario) -> Vec<String> {
    if summary.faults.is_empty() {
        return vec![labelled("schedule", "no fault was needed")];
    }
    let mut lines = vec![labelled("schedule", &counted(summary.faults.len(), "fault"))];
    for done in summary.faults.iter().take(FAULTS) {
        let at = format!("{}s", seconds(done.at, 3));
        // A fault at a time of its own, or one that the seed drew, says once when it was.
        let triggered = scenario.faults.iter().find(|fault| fault.id == done.id && fault.when.at.is_none());
        let (when, what) = match triggered {
            Some(fault) => (trigger(fault), format!("{}  ({at})", done.what)),
            None => (format!("at {at}"), done.what.clone()),
        };
        let when = shortened(&when, 44);
        let what = shortened(&what, COLUMNS - 6 - 46);
        lines.push(format!("      {when:<44}  {what}"));
    }
    if summary.faults.len() > FAULTS {
        lines.push(format!("      … and {} more", grouped((summary.faults.len() - FAULTS) as u64)));
    }
    lines
}

fn labelled(label: &str, text: &str) -> String {
    format!("  {:<width$}{text}", shortened(label, LABEL - 1), width = LABEL)
}
