//! What can be typed after `trial`? One file a command.

mod exit;
mod output;
mod seed;
mod input;
mod interrupt;
mod logging;
mod verbose;
mod progress;
mod rundir;
mod nemesis;
mod launch;
mod run;
mod replay;
mod look;
mod shrink;
mod explain;
mod diff;
mod fuzz;
mod findings;
mod campaign_reports;
mod merge;
mod museum;
mod bench;
mod gate;
mod compare;
mod determinism;
mod check;
mod recorded;
mod new;
mod list;
mod serve;

use std::{path::PathBuf, process::ExitCode, str::FromStr};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

pub use exit::Exit;
use output::Output;

/// A deterministic simulation testbed of a whole Kafka cluster.
///
/// Runs a cluster from a scenario file on a simulated network and disk, breaks it as told, judges it, and
/// replays it bit for bit.
#[derive(Parser)]
#[command(name = "trial", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

const EXIT_CODES: &str = "Exit codes:
  0  as expected                        4  not deterministic: same seed, other trace
  1  a property failed                  5  repro or trace of another format version
  2  bad command line or scenario      70  bug in trial itself
  3  inconclusive                     130  interrupted";

#[derive(Subcommand)]
enum Command {
    /// Run a scenario once and judge it.
    Run(run::Run),
    /// Run a repro or an earlier run again and say whether it is identical.
    Replay(replay::Replay),
    /// Find the least that still fails: fewer faults, nodes, clients and settings, triggers for times.
    Shrink(shrink::Shrink),
    /// Say why a run fails: the events that led there, and which decision was wrong.
    Explain(explain::Explain),
    /// Say where two runs part, and what is different at a moment.
    Diff(diff::Diff),
    /// Run drawn clusters, or scenarios under drawn seeds and faults, until a promise breaks.
    Fuzz(fuzz::Fuzz),
    /// Join the shards of a campaign into one summary.
    Merge(merge::Merge),
    /// Historical bugs of Kafka that can be switched back on, and how soon they are found.
    Museum(museum::Museum),
    /// Write a scenario to begin with, commented and ready to run.
    New(new::New),
    /// Say what is wrong with scenario files, without running them; or judge recordings.
    Check(check::Check),
    /// Print the JSON Schema of scenario files.
    Schema,
    /// List what can be named in a scenario or on the command line.
    List(list::List),
    /// Run scenarios again and again, and find the first event where two runs part.
    CheckDeterminism(determinism::CheckDeterminism),
    /// Run a scenario's cluster for real: on sockets and files, for real Kafka clients.
    Serve(serve::Serve),
    /// Run one node of it, so that a cluster is as many processes.
    Node(serve::OneNode),
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
    /// Make runs for a campaign.
    #[command(hide = true)]
    FuzzWorker(fuzz::worker::FuzzWorker),
    /// Print the digest of one run, or its events: how another process is asked.
    #[command(hide = true)]
    Digest(determinism::DigestOf),
}

#[derive(Args)]
struct Common {
    /// What stands on standard output.
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Also write a report: junit, github, md or json, and where to (`-` is standard output).
    #[arg(long = "report", global = true, value_name = "KIND:PATH")]
    reports: Vec<Report>,
    /// When to use colour. NO_COLOR and CLICOLOR_FORCE are obeyed.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    color: Colour,
    /// Only the verdict.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// A line for every change of state; twice for every event.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Where results go.
    #[arg(long, global = true, value_name = "DIR", default_value = "target/trial")]
    out: PathBuf,
    /// No progress bars.
    #[arg(long, global = true)]
    no_progress: bool,
    /// Do not notice that this is continuous integration.
    #[arg(long, global = true)]
    no_ci: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Human,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

/// A report beside what is printed.
#[derive(Clone, Debug)]
struct Report {
    kind: ReportKind,
    path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReportKind {
    Junit,
    Github,
    Markdown,
    Json,
}

impl FromStr for Report {
    type Err = String;
    fn from_str(text: &str) -> Result<Report, String> {
        let (kind, path) = text.split_once(':').unwrap_or((text, "-"));
        let kind = match kind {
            "junit" => ReportKind::Junit,
            "github" => ReportKind::Github,
            "md" => ReportKind::Markdown,
            "json" => ReportKind::Json,
            _ => return Err(format!("no report `{kind}`: there are junit, github, md and json")),
        };
        if path.is_empty() {
            return Err("write where to: KIND:PATH".into());
        }
        Ok(Report { kind, path: path.into() })
    }
}

/// Whether this is GitHub, and somebody wants that noticed.
fn on_github(common: &Common) -> bool {
    !common.no_ci && std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is no reason to fail.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    match cli.common.color {
        Colour::Auto => {}
        Colour::Always => anstream::ColorChoice::Always.write_global(),
        Colour::Never => anstream::ColorChoice::Never.write_global(),
    }
    logging::start();
    let outcome = std::panic::catch_unwind(|| {
        let mut output = Output::new();
        let exit = dispatch(&cli, &mut output);
        output.close(exit)
    });
    outcome
        .unwrap_or_else(|_| {
            anstream::eprintln!(
                "this is a bug in trial {}: please report it with the lines above",
                env!("CARGO_PKG_VERSION")
            );
            Exit::Internal
        })
        .into()
}

fn dispatch(cli: &Cli, output: &mut Output) -> Exit {
    let common = &cli.common;
    match &cli.command {
        Command::Run(it) => run::main(it, common, output),
        Command::Replay(it) => replay::main(it, common, output),
        Command::Shrink(it) => shrink::main(it, common, output),
        Command::Explain(it) => explain::main(it, common, output),
        Command::Diff(it) => diff::main(it, common, output),
        Command::Fuzz(it) => fuzz::main(it, common, output),
        Command::Merge(it) => merge::main(it, common, output),
        Command::FuzzWorker(it) => fuzz::worker::main(it, output),
        Command::Museum(it) => museum::main(it, common, output),
        Command::New(it) => new::main(it, common, output),
        Command::Check(it) => check::main(it, common, output),
        Command::Schema => {
            output.say(&crate::scenario::schema());
            Exit::Ok
        }
        Command::List(it) => list::main(it, common, output),
        Command::CheckDeterminism(it) => determinism::main(it, common, output),
        Command::Serve(it) => serve::main(it, common, output),
        Command::Node(it) => serve::one(it, common, output),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "trial", &mut text);
            output.say(&String::from_utf8_lossy(&text));
            Exit::Ok
        }
        Command::Man => {
            let mut text = Vec::new();
            match clap_mangen::Man::new(Cli::command()).render(&mut text) {
                Ok(()) => output.say(&String::from_utf8_lossy(&text)),
                Err(error) => return output.fail(Exit::Internal, &error.to_string()),
            }
            Exit::Ok
        }
        Command::Digest(it) => determinism::digest(it, output),
    }
}

/// The command line is well formed.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
