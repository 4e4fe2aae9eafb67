//! What does a machine that runs scenarios want to read: JUnit, GitHub, Markdown?

use std::fmt::Write as _;

use super::{
    Summary, Verdict, failure,
    words::{grouped, seconds},
};
use crate::scenario::Scenario;

/// A run as continuous integration wants it.
pub struct Case<'a> {
    /// The file of the scenario.
    pub file: &'a str,
    /// Its text, to find lines in.
    pub text: &'a str,
    /// The scenario.
    pub scenario: &'a Scenario,
    /// What came of it.
    pub summary: &'a Summary,
    /// Where the run lies.
    pub place: Option<&'a str>,
    /// The command that runs it again.
    pub again: &'a str,
}

impl Case<'_> {
    fn report(&self) -> String {
        failure::report(self.summary, self.scenario, self.place, self.again)
    }

    /// The line of the file where a property stands, or the first.
    fn line(&self, check: &str) -> usize {
        let at = self.text.find(&format!("\"{check}\"")).unwrap_or(0);
        self.text[..at].matches('\n').count() + 1
    }
}

/// One suite a scenario, one case a property.
pub fn junit(case: &Case<'_>) -> String {
    let summary = case.summary;
    let unreached = || summary.goals.iter().filter(|goal| goal.seen < goal.at_least);
    let expected = summary.verdict == Verdict::Pass;
    let broken = if expected { Vec::new() } else { summary.broken() };
    let tests = summary.checks.len() + summary.goals.len() + usize::from(summary.because.is_some());
    let no_violation = summary.verdict == Verdict::Fail && summary.violations.is_empty();
    let failures = broken.len() + usize::from(no_violation);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let _ = writeln!(
        out,
        "  <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{}\" time=\"{}\">",
        xml(&summary.scenario),
        unreached().count() + usize::from(summary.verdict == Verdict::Inconclusive),
        seconds(summary.took_ms.saturating_mul(1_000_000), 3),
    );
    let _ = writeln!(out, "    <properties>");
    for (name, value) in [("seed", summary.seed.to_string()), ("trace", summary.digest.clone())] {
        let _ = writeln!(out, "      <property name=\"{name}\" value=\"{}\"/>", xml(&value));
    }
    let _ = writeln!(out, "    </properties>");
    for check in &summary.checks {
        let open = format!("    <testcase classname=\"{}\" name=\"{}\"", xml(&summary.scenario), xml(check));
        if broken.contains(&check.as_str()) {
            let headline =
                summary.violations.iter().find(|v| v.check == *check).map_or("", |v| v.headline.as_str());
            let _ = writeln!(
                out,
                "{open}>\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                xml(headline),
                xml(&case.report())
            );
        } else {
            let _ = writeln!(out, "{open}/>");
        }
    }
    for goal in &summary.goals {
        let open = format!(
            "    <testcase classname=\"{}\" name=\"sometimes {}\"",
            xml(&summary.scenario),
            xml(&goal.event)
        );
        if goal.seen < goal.at_least {
            let why = format!("seen {} of {} times", goal.seen, goal.at_least);
            let _ = writeln!(out, "{open}>\n      <skipped message=\"{}\"/>\n    </testcase>", xml(&why));
        } else {
            let _ = writeln!(out, "{open}/>");
        }
    }
    if let Some(because) = &summary.because {
        let open = format!("    <testcase classname=\"{}\" name=\"verdict\"", xml(&summary.scenario));
        let what = if summary.verdict == Verdict::Fail { "failure" } else { "skipped" };
        let _ = writeln!(out, "{open}>\n      <{what} message=\"{}\"/>\n    </testcase>", xml(because));
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

/// XML has no way to write most control characters: they are left out.
fn xml(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => {}
            c => out.push(c),
        }
    }
    out
}

/// One annotation a broken promise, at the line that makes it.
pub fn github(case: &Case<'_>) -> String {
    let summary = case.summary;
    let mut out = String::new();
    let mut annotate = |level: &str, check: &str, text: &str| {
        let _ = writeln!(
            out,
            "::{level} file={},line={},title={}::{}",
            property(case.file),
            case.line(check),
            property(check),
            message(text),
        );
    };
    match summary.verdict {
        Verdict::Pass => {}
        Verdict::Fail if summary.violations.is_empty() => {
            annotate("error", "expect", summary.because.as_deref().unwrap_or("failed"));
        }
        Verdict::Fail => {
            for check in summary.broken() {
                let headline =
                    summary.violations.iter().find(|v| v.check == check).map_or("", |v| v.headline.as_str());
                annotate("error", check, &format!("{headline}. {}", case.again));
            }
        }
        Verdict::Inconclusive => {
            annotate("warning", "sometimes", summary.because.as_deref().unwrap_or("inconclusive"));
        }
    }
    out
}

/// Text of an annotation.
pub(super) fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of an annotation.
pub(super) fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

/// A page's worth: the verdict as a heading and a table, the report folded below.
pub fn markdown(case: &Case<'_>) -> String {
    let summary = case.summary;
    let mark = match summary.verdict {
        Verdict::Pass => "✅",
        Verdict::Fail => "❌",
        Verdict::Inconclusive => "❔",
    };
    let (kept, all) = summary.kept();
    let mut out = format!("### {mark} {}: {kept} of {all} properties\n\n", summary.scenario);
    if let Some(because) = &summary.because {
        let _ = writeln!(out, "{because}\n");
    }
    let _ = writeln!(
        out,
        "| seed | faults | acknowledged | read | simulated | trace |\n|---|---|---|---|---|---|"
    );
    let _ = writeln!(
        out,
        "| `{}` | {} | {} | {} | {} s | `{}` |\n",
        summary.seed,
        summary.faults.len(),
        grouped(summary.acked.iter().sum()),
        grouped(summary.delivered),
        seconds(summary.ended, 1),
        summary.short_digest(),
    );
    if !summary.violations.is_empty() && summary.verdict == Verdict::Fail {
        let first = &summary.violations[0].check;
        let _ =
            writeln!(out, "<details><summary>{first}</summary>\n\n```\n{}```\n</details>\n", case.report());
    }
    let missed: Vec<_> = summary.goals.iter().filter(|goal| goal.seen < goal.at_least).collect();
    if !missed.is_empty() {
        let names: Vec<_> = missed.iter().map(|goal| format!("`{}`", goal.event)).collect();
        let _ = writeln!(out, "Never reached: {}.\n", names.join(", "));
    }
    out
}
