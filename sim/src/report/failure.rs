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

/// The report. `place` is the run's directory, `again` the command that runs it anew wherever one is.
pub fn report(summary: &Summary, scenario: &Scenario, place: Option<&str>, again: &str) -> String {
    let Some(first) = summary.violations.first() else { return String::new() };
    let mut lines = title(summary, first);
    lines.push(String::new());
    let decision = decision(summary);
    let mut commands = commands(place, again);
    let others = summary.broken().len() > 1;
    // What is fixed: title 2, blank 1, what the check says and a blank, schedule and a blank, trace 1.
    let fixed = 7 + usize::from(others) + decision.len() + usize::from(!decision.is_empty());
    let least = first.lines.len().clamp(1, 4);
    let room =
        |commands: usize| faults_shown(summary.faults.len(), LINES.saturating_sub(fixed + commands + least));
    let too_wide = commands.last().is_some_and(|last| last.chars().count() > COLUMNS);
    if place.is_some() && (too_wide || room(commands.len()) < summary.faults.len().min(3)) {
        // The run's directory says it as well.
        commands.pop();
    }
    let fixed = fixed + commands.len();
    let faults = room(commands.len());
    let more = usize::from(summary.faults.len() > faults);
    let said = said(first, LINES.saturating_sub(fixed + faults + more));
    if !said.is_empty() {
        lines.extend(said);
        lines.push(String::new());
    }
    if !decision.is_empty() {
        lines.extend(decision);
        lines.push(String::new());
    }
    if others {
        let names = summary.broken()[1..].join(", ");
        lines.push(labelled("also", &shortened(&names, COLUMNS - LABEL - 2)));
    }
    lines.extend(schedule(summary, scenario, faults));
    lines.push(String::new());
    lines.extend(commands);
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// How many faults have room, one line being kept for how many more there are.
fn faults_shown(faults: usize, room: usize) -> usize {
    let room = room.min(FAULTS + 1);
    if faults <= room.min(FAULTS) { faults } else { room.saturating_sub(1) }
}

/// The wrong decision, and below it what contradicted it.
fn decision(summary: &Summary) -> Vec<String> {
    let Some(decision) = &summary.decision else { return Vec::new() };
    let width = COLUMNS - LABEL - 2;
    let ended = format!("{};", decision.what);
    let what = if ended.chars().count() <= width { ended } else { shortened(&decision.what, width) };
    let mut lines = vec![labelled("wrong", &what)];
    // Under the time, the words begin with the words above.
    let indent = " ".repeat(decision.what.chars().take_while(|c| !c.is_whitespace()).count() + 2);
    lines.push(labelled("decision", &shortened(&format!("{indent}{}", decision.but), width)));
    lines
}

/// What to type next: only commands that there are.
fn commands(place: Option<&str>, again: &str) -> Vec<String> {
    match place {
        Some(place) => vec![
            labelled("replay", &format!("trial replay  {place}")),
            labelled("why", &format!("trial explain {place}")),
            labelled("again", again),
        ],
        None => vec![labelled("again", again)],
    }
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

fn schedule(summary: &Summary, scenario: &Scenario, shown: usize) -> Vec<String> {
    if summary.faults.is_empty() {
        return vec![labelled("schedule", "no fault was needed")];
    }
    let mut lines = vec![labelled("schedule", &counted(summary.faults.len(), "fault"))];
    for done in summary.faults.iter().take(shown) {
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
    if summary.faults.len() > shown {
        lines.push(format!("      … and {} more", grouped((summary.faults.len() - shown) as u64)));
    }
    lines
}

fn labelled(label: &str, text: &str) -> String {
    format!("  {:<width$}{text}", shortened(label, LABEL - 1), width = LABEL)
}
