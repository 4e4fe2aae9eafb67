//! `trial museum show SLUG`: what is the story of one bug, and how is it seen?

use std::fmt::Write as _;

use serde_json::json;
use trial_model::museum::Bug;

use crate::{
    check::CATALOGUE,
    cli::{Common, Format, Output},
    museum::{Story, story},
    report::words::wrapped,
    scenario::values::BugName,
};

/// How wide a line is, without its margin.
const COLUMNS: usize = 92;

pub fn main(bug: BugName, common: &Common, output: &mut Output) {
    output.say(&match (story(bug), common.format) {
        (Some(story), Format::Human) => shown(&story),
        (Some(story), _) => format!("{}\n", told(&story)),
        (None, Format::Human) => mutant(bug.0),
        (None, _) => {
            let (slug, breaks, caught_by) = (bug.0.slug(), bug.0.breaks(), bug.0.caught_by());
            let line = json!({ "bug": slug, "ticket": null, "breaks": breaks, "caught_by": caught_by });
            format!("{line}\n")
        }
    });
}

fn shown(story: &Story) -> String {
    let bug = story.bug.0;
    let slug = bug.slug();
    let mut out = format!("{slug}   {}   {}\n", bug.ticket(), story.area);
    let breaks = format!("{}.", capital(bug.breaks()));
    for (title, text) in [
        ("what was done", &story.story),
        ("when it shows", &story.trigger),
        ("what it breaks", &breaks),
        ("how it was mended", &story.mended),
    ] {
        let _ = writeln!(out, "\n  {title}");
        for line in wrapped(text, COLUMNS, usize::MAX) {
            let _ = writeln!(out, "    {line}");
        }
    }
    let promise =
        CATALOGUE.iter().find(|check| check.name == bug.caught_by()).map_or("", |check| check.about);
    let _ = writeln!(out, "\n  caught by {}", bug.caught_by());
    for line in wrapped(promise, COLUMNS, usize::MAX) {
        let _ = writeln!(out, "    {line}");
    }
    let _ = writeln!(out, "\n  stands in   {}, fn {}", story.file, story.function);
    if let Some(scenario) = &story.scenario {
        let _ = writeln!(out, "  see it      trial run {scenario} --plant {slug}");
    }
    let _ = writeln!(out, "  find it     trial fuzz --plant {slug} --stop-after 1");
    out
}

/// What there is to tell about a bug that nobody had.
fn mutant(bug: Bug) -> String {
    let slug = bug.slug();
    let breaks = capital(bug.breaks());
    format!(
        "{slug}   a mutant\n\n  Nobody ever had it: it is for a check that no historical bug breaks first.\n\n  \
         what it breaks\n    {breaks}.\n\n  caught by {}\n  find it     trial fuzz --plant {slug} --stop-after 1\n",
        bug.caught_by()
    )
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn told(story: &Story) -> serde_json::Value {
    let bug = story.bug.0;
    json!({
        "bug": bug.slug(), "ticket": bug.ticket(), "area": story.area, "story": story.story,
        "trigger": story.trigger, "breaks": bug.breaks(), "mended": story.mended,
        "caught_by": bug.caught_by(), "file": story.file, "function": story.function,
        "scenario": story.scenario,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::museum::{historical, is_mutant};

    #[test]
    fn a_story_tells_everything_within_the_margin() {
        for bug in historical() {
            let text = shown(&story(BugName(bug)).expect("every historical bug has one"));
            for part in [bug.slug(), bug.ticket(), bug.caught_by(), "when it shows", "stands in", "--plant"] {
                assert!(text.contains(part), "{part} is missing:\n{text}");
            }
            let commands = |line: &&str| !line.contains("trial ") && !line.starts_with(bug.slug());
            let wide = text.lines().filter(commands).find(|line| line.chars().count() > 100);
            assert_eq!(wide, None);
            assert!(!text.contains('…'), "nothing is cut off:\n{text}");
        }
    }

    #[test]
    fn a_mutant_says_that_it_is_one() {
        let bug = Bug::ALL.iter().copied().find(|bug| is_mutant(*bug)).expect("there are mutants");
        assert!(mutant(bug).contains("Nobody ever had it") && story(BugName(bug)).is_none());
    }

    #[test]
    fn a_sentence_begins_with_a_capital() {
        assert_eq!(capital("a client"), "A client");
        assert_eq!(capital(""), "");
    }
}
