//! `trial new`: how does somebody begin a scenario of their own?

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::{Common, Exit, Output};

/// The ending by which scenarios are found.
const ENDING: &str = ".scenario.json";
/// The schema as a repository keeps it, from the directory that holds it.
const SCHEMA: &str = "scenarios/schema/scenario-v1.json";

/// Write a scenario to begin with, commented and ready to run.
#[derive(Args)]
pub struct New {
    /// Its name, or the file to write: `my-test`, `scenarios/my-test.scenario.json`. Nothing is overwritten.
    file: PathBuf,
    /// What it begins as.
    #[arg(long, value_enum, default_value_t = Template::LeaderCrash)]
    template: Template,
}

/// A scenario to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Template {
    /// A leader dies in the middle of producing, by a triggered fault.
    LeaderCrash,
    /// All brokers lose their power at once.
    PowerLoss,
    /// The active controller is cut off.
    Controllers,
    /// A known-bad setup that must violate a promise.
    Lesson,
    /// Other faults for every seed.
    Random,
}

impl Template {
    /// The text, with `@NAME@` where the name goes.
    const fn text(self) -> &'static str {
        match self {
            Template::LeaderCrash => include_str!("new/leader-crash.scenario.json"),
            Template::PowerLoss => include_str!("new/power-loss.scenario.json"),
            Template::Controllers => include_str!("new/controllers.scenario.json"),
            Template::Lesson => include_str!("new/lesson.scenario.json"),
            Template::Random => include_str!("new/random.scenario.json"),
        }
    }
}

pub fn main(it: &New, common: &Common, output: &mut Output) -> Exit {
    let (file, name) = match place(&it.file) {
        Ok(place) => place,
        Err(why) => return output.fail(Exit::Usage, &why),
    };
    let schema = schema_from(&file);
    let text = written(it.template, &name, schema.as_deref());
    if let Err(problems) = crate::scenario::load(&text, &[]) {
        // A name that cannot be one; anything else would be a template of ours that is wrong.
        let why = problems.first().map(|problem| match &problem.label {
            label if label.is_empty() => problem.title.clone(),
            label => format!("{}: {label}", problem.title),
        });
        return output.fail(Exit::Usage, &why.unwrap_or_default());
    }
    if let Err(why) = write_new(&file, &text) {
        return output.fail(Exit::Usage, &why);
    }
    if !common.quiet {
        let shown = file.display();
        let next = match it.template {
            Template::Random => format!("trial fuzz {shown} --seeds 100"),
            _ => format!("trial run {shown}"),
        };
        output.say(&format!("wrote {shown}\n  check   trial check {shown}\n  run     {next}\n"));
        if schema.is_none() {
            output.say(
                "  schema  trial schema > scenario-v1.json   (then name it in `$schema`, for your editor)\n",
            );
        }
    }
    Exit::Ok
}

/// The file to write and the name that the scenario bears.
fn place(wanted: &Path) -> Result<(PathBuf, String), String> {
    let last = wanted.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = last.strip_suffix(ENDING).or_else(|| last.strip_suffix(".json")).unwrap_or(&last).to_string();
    if name.is_empty() {
        return Err(format!("{} names no file: write a name, such as my-test", wanted.display()));
    }
    Ok((wanted.with_file_name(format!("{name}{ENDING}")), name))
}

fn written(template: Template, name: &str, schema: Option<&str>) -> String {
    let text = template.text().replace("@NAME@", name);
    match schema {
        Some(schema) => text.replacen("{\n", &format!("{{\n  \"$schema\": \"{schema}\",\n"), 1),
        None => text,
    }
}

/// The way from a file's directory to the schema of the repository it is written into, if there is one.
fn schema_from(file: &Path) -> Option<String> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = folder.canonicalize().ok()?;
    let above = folder.ancestors().position(|ancestor| ancestor.join(SCHEMA).is_file())?;
    // From within `scenarios/` the way is shorter than by the root.
    let root = folder.ancestors().nth(above)?;
    match folder.strip_prefix(root.join("scenarios")) {
        Ok(below) => Some(format!("{}schema/scenario-v1.json", "../".repeat(below.components().count()))),
        Err(_) => Some(format!("{}{SCHEMA}", "../".repeat(above))),
    }
}

fn write_new(file: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => {
            format!("{} is there already, and nothing is overwritten", file.display())
        }
        ErrorKind::NotFound => format!("{} cannot be written: there is no such directory", file.display()),
        _ => format!("{} cannot be written: {error}", file.display()),
    };
    let mut new = OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?;
    new.write_all(text.as_bytes()).map_err(|error| {
        // Half a scenario is worse than none.
        let _ = std::fs::remove_file(file);
        failed(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_file_and_a_file_a_name() {
        let of = |text: &str| place(Path::new(text)).expect("it is one");
        assert_eq!(of("my-test"), ("my-test.scenario.json".into(), "my-test".into()));
        assert_eq!(of("a/b.scenario.json"), ("a/b.scenario.json".into(), "b".into()));
        assert_eq!(of("a/b.json"), ("a/b.scenario.json".into(), "b".into()));
        assert!(place(Path::new("..")).is_err() && place(Path::new("/")).is_err());
    }

    #[test]
    fn every_template_is_a_scenario() {
        for template in Template::value_variants() {
            for schema in [None, Some("../schema/scenario-v1.json")] {
                let text = written(*template, "mine", schema);
                assert!(!text.contains("@NAME@"));
                let scenario = crate::scenario::load(&text, &[]).expect("a template is right");
                assert_eq!(scenario.name, "mine");
            }
        }
    }
}
