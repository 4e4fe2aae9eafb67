//! `trial check`: what is wrong with these files, or with what was recorded?

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Common, Exit, Format, Output, input, recorded};
use crate::{
    recording,
    report::words::counted,
    scenario::{self, Source, diagnostic},
};

/// Say what is wrong with scenario files, without running them; or which promises were broken in recordings.
///
/// A recording is what `trial serve --record DIR` leaves. It is judged by the checks that need no more than
/// what nodes stated; with -v what changed is shown, with -vv every event.
#[derive(Args)]
pub struct Check {
    /// Scenario files, or directories of them; directories of recordings.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub fn main(it: &Check, common: &Common, output: &mut Output) -> Exit {
    let (recordings, files): (Vec<PathBuf>, Vec<PathBuf>) =
        it.files.iter().cloned().partition(|path| recording::is_one(path));
    let mut worst = Exit::Ok;
    for dir in recordings {
        let exit = recorded::judge(&dir, common, output);
        worst = if worst == Exit::Ok { exit } else { worst };
    }
    if files.is_empty() {
        return worst;
    }
    let files = match input::scenarios(&files) {
        Ok(files) => files,
        Err(why) => return output.fail(Exit::Usage, &why),
    };
    let mut told = Vec::new();
    for file in files {
        let source = match Source::read(&file) {
            Ok(source) => source,
            Err(why) => {
                worst = output.fail(Exit::Usage, &why);
                continue;
            }
        };
        match scenario::load(&source.text, &[]) {
            Ok(scenario) => {
                if common.format == Format::Human && !common.quiet {
                    let properties = if scenario.properties.is_empty() {
                        "all properties".into()
                    } else {
                        let many = scenario.properties.len();
                        format!("{many} {}", if many == 1 { "property" } else { "properties" })
                    };
                    let faults = counted(scenario.faults.len(), "fault");
                    output.say(&format!("ok    {:<40} {faults}, {properties}\n", scenario.name));
                }
                told.push(json!({ "file": source.path, "name": scenario.name, "ok": true }));
            }
            Err(problems) => {
                if worst != Exit::Usage {
                    let other = problems.iter().all(|problem| problem.other_version);
                    worst = if other { Exit::OtherFormat } else { Exit::Usage };
                }
                if common.format == Format::Human {
                    output.note(&diagnostic::render(&source.path, &source.text, &problems, true));
                }
                let problems: Vec<_> =
                    problems.iter().map(|problem| as_json(problem, &source.text)).collect();
                told.push(json!({ "file": source.path, "ok": false, "problems": problems }));
            }
        }
    }
    match common.format {
        Format::Human => {}
        Format::Json => output.say(&(serde_json::to_string_pretty(&told).unwrap_or_default() + "\n")),
        Format::Jsonl => told.iter().for_each(|line| output.say(&format!("{line}\n"))),
    }
    worst
}

fn as_json(problem: &diagnostic::Problem, text: &str) -> serde_json::Value {
    let start = problem.at.start.min(text.len());
    let before = text.get(..start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    json!({
        "title": problem.title,
        "line": before.matches('\n').count() + 1,
        "column": before[line_start..].chars().count() + 1,
        "bytes": [problem.at.start, problem.at.end],
        "label": problem.label,
        "help": problem.help,
    })
}
