//! What do the checks say of a recording?

use std::path::Path;

use serde_json::json;

use super::{Common, Exit, Format, Output, output::coloured, rundir::date, verbose::Verbose};
use crate::{
    recording::{Judged, Unreadable, judge as judged},
    report::words::counted,
    scenario::{self, Scenario, Source},
    trace::Reader,
};

/// Judges a recording and says what came of it; shows it, if that is wanted.
pub fn judge(dir: &Path, common: &Common, output: &mut Output) -> Exit {
    let mut readers: Vec<Box<dyn Reader>> = Vec::new();
    if common.verbose > 0 && common.format == Format::Human {
        let (controllers, brokers) = shape(dir);
        readers.push(Box::new(Verbose::new(controllers, brokers, common.verbose > 1)));
    }
    let (scenario, judged) = match judged(dir, &mut readers) {
        Ok(judged) => judged,
        Err(Unreadable::Damaged(why)) => return output.fail(Exit::Usage, &why),
        Err(Unreadable::OtherFormat(why)) => return output.fail(Exit::OtherFormat, &why),
    };
    match common.format {
        Format::Human => output.say(&told(&scenario, &judged, common.quiet)),
        Format::Json | Format::Jsonl => output.say(&format!("{}\n", as_json(dir, &scenario, &judged))),
    }
    if judged.violations.is_empty() { Exit::Ok } else { Exit::Failed }
}

fn shape(dir: &Path) -> (u32, u32) {
    let source = Source::read(&dir.join("scenario.json")).ok();
    let scenario = source.and_then(|source| scenario::load(&source.text, &[]).ok());
    scenario.map_or((0, 0), |scenario| (scenario.topology.controllers, scenario.topology.brokers))
}

fn told(scenario: &Scenario, judged: &Judged, quiet: bool) -> String {
    let mut out = String::new();
    if !quiet {
        let events = counted(usize::try_from(judged.events).unwrap_or(usize::MAX), "event");
        let seconds = judged.lasted.0 as f64 / 1e9;
        out.push_str(&format!(
            "{}   recorded at {} for {seconds:.1} s   {events}\n",
            scenario.name,
            clock(judged.began)
        ));
        for (what, why) in not_judged(judged) {
            out.push_str(&format!("  not judged   {what}: {why}\n"));
        }
    }
    for violation in &judged.violations {
        out.push_str(&coloured(&format!("FAIL  {}: {}\n", violation.check, violation.headline)));
        let after = violation.at.0 as f64 / 1e9;
        out.push_str(&format!(
            "      at {}, {after:.3} s after it began\n",
            clock(judged.began + violation.at.0 / 1_000_000)
        ));
        for (label, line) in &violation.lines {
            out.push_str(&format!("      {label} {line}\n"));
        }
    }
    if judged.violations.is_empty() {
        out.push_str(&coloured(&format!("PASS  {} looked\n", counted(judged.checks, "check"))));
    }
    out
}

/// What could not be judged, and why not.
fn not_judged(judged: &Judged) -> Vec<(String, &'static str)> {
    let mut lines = Vec::new();
    if !judged.blind.is_empty() {
        lines.push((judged.blind.join(", "), "they look into nodes, and a trace has only what these stated"));
    }
    if !judged.rested {
        lines.push((
            "whether all comes to rest".into(),
            "it was not left in peace for long enough at its end",
        ));
    }
    if !judged.clients {
        lines.push((
            "what clients were told".into(),
            "real clients do not tell; the scenario's do, with --workload",
        ));
    }
    if judged.torn {
        lines.push(("its end".into(), "it breaks off: whoever recorded it was killed"));
    }
    lines
}

/// `2026-11-20 10:15:02.125`, in UTC.
fn clock(millis: u64) -> String {
    let (second, milli) = (millis / 1_000, millis % 1_000);
    let (year, month, day) = date(second / 86_400);
    let (hour, minute, second) = (second / 3_600 % 24, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milli:03}")
}

fn as_json(dir: &Path, scenario: &Scenario, judged: &Judged) -> serde_json::Value {
    let violations = judged.violations.iter().map(|it| {
        let lines: Vec<_> = it.lines.iter().map(|(label, line)| format!("{label} {line}")).collect();
        json!({ "check": it.check, "at": it.at.0, "headline": it.headline, "lines": lines })
    });
    json!({
        "dir": dir.display().to_string(),
        "scenario": scenario.name,
        "began": judged.began,
        "lasted": judged.lasted.0,
        "events": judged.events,
        "checks": judged.checks,
        "violations": violations.collect::<Vec<_>>(),
        "not_judged": not_judged(judged).into_iter().map(|(what, why)| format!("{what}: {why}")).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_time_is_told_in_utc() {
        assert_eq!(super::clock(1_795_169_702_125), "2026-11-20 10:15:02.125");
    }
}
