//! `trial list`: what can be named?

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use trial_model::{
    config::{BrokerConfig, ConsumerConfig, ControllerConfig, Key, ProducerConfig, TopicConfig},
    event::EventKind,
    museum::Bug,
};

use super::{Common, Exit, Format, Output, input};
use crate::check::{CATALOGUE, Kind};
use crate::scenario::{
    self, Source,
    values::{Selector, WorldKind},
};

/// List what can be named in a scenario or on the command line.
#[derive(Args)]
pub struct List {
    /// What to list.
    what: What,
    /// Where scenarios are looked for.
    #[arg(default_value = "scenarios")]
    dir: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Promises that `properties` and `expect` name.
    Properties,
    /// Events that triggers and goals wait for.
    Events,
    /// Nodes and roles that faults hit.
    Selectors,
    /// Historical bugs that `--plant` switches on.
    Bugs,
    /// Scenario files.
    Scenarios,
    /// Kafka's configuration keys.
    Config,
}

/// One thing that is listed: named fields, the first of them its name.
type Row = Vec<(&'static str, String)>;

pub fn main(it: &List, common: &Common, output: &mut Output) -> Exit {
    let rows = match it.what {
        What::Properties => properties(),
        What::Events => events(),
        What::Selectors => selectors(),
        What::Bugs => bugs(),
        What::Config => config(),
        What::Scenarios => match scenarios(&it.dir) {
            Ok(rows) => rows,
            Err(why) => return output.fail(Exit::Usage, &why),
        },
    };
    let value = |row: &Row| -> Value {
        Value::Object(row.iter().map(|(key, text)| ((*key).into(), text.as_str().into())).collect())
    };
    match common.format {
        Format::Human => output.say(&table(&rows)),
        Format::Json => {
            let all: Vec<Value> = rows.iter().map(value).collect();
            output.say(&(serde_json::to_string_pretty(&json!(all)).unwrap_or_default() + "\n"));
        }
        Format::Jsonl => rows.iter().for_each(|row| output.say(&format!("{}\n", value(row)))),
    }
    Exit::Ok
}

/// Every column as wide as what is in it; the last as wide as it likes.
fn table(rows: &[Row]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |nth: usize| rows.iter().filter_map(|row| row.get(nth)).map(|(_, text)| text.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|nth| width(nth).unwrap_or(0)).collect();
    let line = |row: &Row| {
        let cells = row.iter().zip(&widths).map(|((_, text), width)| format!("{text:<width$}  "));
        cells.collect::<String>().trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

fn properties() -> Vec<Row> {
    let row = |name: &str, code: &str, when: &str, about: &str| -> Row {
        vec![("name", name.into()), ("code", code.into()), ("when", when.into()), ("about", about.into())]
    };
    let checks = CATALOGUE.iter().map(|check| {
        let when = if check.kind == Kind::Liveness { "settled" } else { "always" };
        row(check.name, check.code, when, check.about)
    });
    let goal = row("sometimes", "-", "once", "A goal: the event must occur, or the run is inconclusive.");
    checks.chain([goal]).collect()
}

fn events() -> Vec<Row> {
    let model = EventKind::ALL.iter().map(|kind| (kind.name(), kind.about()));
    let world = WorldKind::ALL.iter().map(|kind| (kind.name(), kind.about()));
    model.chain(world).map(|(name, about)| vec![("name", name.into()), ("about", about.into())]).collect()
}

fn selectors() -> Vec<Row> {
    Selector::FORMS
        .iter()
        .map(|(form, about)| vec![("form", (*form).into()), ("about", (*about).into())])
        .collect()
}

fn bugs() -> Vec<Row> {
    let row = |bug: &Bug| {
        vec![
            ("name", bug.slug().into()),
            ("ticket", bug.ticket().into()),
            ("caught_by", bug.caught_by().into()),
            ("breaks", bug.breaks().into()),
        ]
    };
    Bug::ALL.iter().map(row).collect()
}

fn config() -> Vec<Row> {
    let of =
        |what: &'static str, keys: &'static [Key], default: &dyn Fn(&str) -> Option<String>| -> Vec<Row> {
            let row = |key: &Key| {
                vec![
                    ("of", what.into()),
                    ("key", key.name.into()),
                    ("default", default(key.name).unwrap_or_default()),
                    ("about", format!("{} ({})", key.about, (key.expects)())),
                ]
            };
            keys.iter().map(row).collect()
        };
    [
        of("broker", BrokerConfig::KEYS, &|key| BrokerConfig::default().get(key)),
        of("controller", ControllerConfig::KEYS, &|key| ControllerConfig::default().get(key)),
        of("topic", TopicConfig::KEYS, &|key| TopicConfig::of_broker(&BrokerConfig::default()).get(key)),
        of("producer", ProducerConfig::KEYS, &|key| ProducerConfig::default().get(key)),
        of("consumer", ConsumerConfig::KEYS, &|key| ConsumerConfig::default().get(key)),
    ]
    .concat()
}

fn scenarios(dir: &PathBuf) -> Result<Vec<Row>, String> {
    let files = input::scenarios(std::slice::from_ref(dir))?;
    let row = |file: &PathBuf| -> Result<Row, String> {
        let source = Source::read(file)?;
        let about = match scenario::load(&source.text, &[]) {
            Ok(scenario) => scenario.about.unwrap_or_default(),
            Err(problems) => {
                let many = problems.len();
                format!(
                    "(not well: {many} {}, see `trial check`)",
                    if many == 1 { "mistake" } else { "mistakes" }
                )
            }
        };
        let sentence = about.split_inclusive(". ").next().unwrap_or_default().trim().to_string();
        Ok(vec![("file", source.path), ("about", sentence)])
    };
    files.iter().map(row).collect()
}
