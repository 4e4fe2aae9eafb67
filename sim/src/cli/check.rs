//! `trial check`: what is wrong with these files?

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Common, Exit, Format, Output, input};
use crate::{
    report::words::counted,
    scenario::{self, Source, diagnostic},
};

/// Say what is wrong with scenario files, without running them.
#[derive(Args)]
pub struct Check {
    /// Scenario files, or directories of them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub fn main(it: &Check, common: &Common, output: &mut Output) -> Exit {
    let files = match input::scenarios(&it.files) {
        Ok(files) => files,
        Err(why) => return output.fail(Exit::Usage, &why),
    };
    let mut worst = Exit::Ok;
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
