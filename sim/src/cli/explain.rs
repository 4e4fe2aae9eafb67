//! `trial explain`: why did it fail?

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Common, Exit, Format, Output, input, seed::SeedArg};
use crate::{
    explain::{Case, Limits, Look, Told, needed, parts, show, turned},
    scenario::values::{BugName, Span},
};

/// Say why a run fails: the events that led there, and which decision was wrong.
#[derive(Args)]
pub struct Explain {
    /// A repro, a scenario, or the directory of a run, that breaks a promise.
    what: PathBuf,
    /// The seed, if the file pins none.
    #[arg(long)]
    seed: Option<SeedArg>,
    /// Switch on a historical bug (`trial list bugs`).
    #[arg(long, value_name = "BUG")]
    plant: Vec<BugName>,
    /// How many events to tell at most.
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u16).range(3..=200))]
    depth: u16,
    /// From how many forks the chance of failure is told at each moment; 0 leaves that out.
    #[arg(long, value_name = "N", default_value_t = 20)]
    forks: u16,
    /// How many variants to run at most to tell what it takes; 0 leaves that out.
    #[arg(long, value_name = "N", default_value_t = 250)]
    runs: u64,
    /// For how long to try at most; 0s is as long as it takes, and then the answer is the same everywhere.
    #[arg(long, value_name = "T", default_value = "120s")]
    time: Span,
    /// How to show it; `--format json` gives one JSON document.
    #[arg(long = "as", value_enum, default_value_t = Form::Human)]
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For a screen.
    Human,
    /// Markdown, for an issue.
    Md,
    /// A Mermaid sequence diagram.
    Mermaid,
}

pub fn main(it: &Explain, common: &Common, output: &mut Output) -> Exit {
    match explain(it, common, output) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn explain(it: &Explain, common: &Common, output: &mut Output) -> Result<Exit, Exit> {
    let again = input::again(&it.what, it.seed.map(|seed| seed.0), &it.plant, output)?;
    let Some(case) = Case::of(&again.scenario, again.seed.0) else {
        let why = format!("nothing to explain: {} passes under seed {}", it.what.display(), again.seed);
        return Err(output.fail(Exit::Usage, &why));
    };
    let lines = case.chain(usize::from(it.depth));
    let (scenario, seed, check) = (&again.scenario, again.seed.0, case.violation.check);
    let mermaid = common.format == Format::Human && it.form == Form::Mermaid;
    // The half of it for either question.
    let time = (!it.time.0.is_zero()).then_some(it.time.0 / 2);
    let parts = case.wrong.is_none().then(|| parts(scenario, seed, check)).flatten();
    let limits = Limits { runs: it.runs, time };
    let needed = (it.runs > 0 && !mermaid).then(|| needed(scenario, seed, check, &case.faults, limits));
    let turned = (it.forks > 0 && !mermaid)
        .then(|| turned(scenario, seed, check, &lines, usize::from(it.forks), time));
    let look = match (common.format, it.form) {
        (Format::Json | Format::Jsonl, _) => Look::Json,
        (Format::Human, Form::Human) => Look::Human,
        (Format::Human, Form::Md) => Look::Markdown,
        (Format::Human, Form::Mermaid) => Look::Mermaid,
    };
    output.say(&show(&Told { case: &case, lines, parts, needed, turned }, look));
    Ok(Exit::Ok)
}
