//! `trial museum`: which historical bugs can be switched back on, and how soon are they found?

use clap::{Args, Subcommand};
use serde_json::json;
use trial_model::museum::Bug;

use super::{Common, Exit, Format, Output, bench};
use crate::scenario::values::BugName;

/// Historical bugs of Kafka that can be switched back on.
#[derive(Args)]
pub struct Museum {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Every bug: its ticket, the check that catches it, what it breaks.
    List,
    /// One bug.
    Show {
        /// Which.
        bug: BugName,
    },
    /// Look for every bug by drawn clusters, with nothing but its name given.
    Bench(bench::Bench),
    /// Show that every check is seen to fail: run the witness that is kept for each.
    Gate(super::gate::Gate),
}

pub fn main(it: &Museum, common: &Common, output: &mut Output) -> Exit {
    match &it.what {
        What::List => {
            for bug in Bug::ALL {
                output.say(&match common.format {
                    Format::Human => format!(
                        "{:<44} {:<12} {:<40} {}\n",
                        bug.slug(),
                        bug.ticket(),
                        bug.caught_by(),
                        bug.breaks()
                    ),
                    _ => format!("{}\n", told(*bug)),
                });
            }
            Exit::Ok
        }
        What::Show { bug } => {
            output.say(&match common.format {
                Format::Human => shown(bug.0),
                _ => format!("{}\n", told(bug.0)),
            });
            Exit::Ok
        }
        What::Bench(it) => bench::main(it, common, output),
        What::Gate(it) => super::gate::main(it, common, output),
    }
}

fn told(bug: Bug) -> serde_json::Value {
    json!({ "bug": bug.slug(), "ticket": bug.ticket(), "caught_by": bug.caught_by(), "breaks": bug.breaks() })
}

fn shown(bug: Bug) -> String {
    let slug = bug.slug();
    format!(
        "{slug}   {}\n  breaks    {}\n  caught    by {}\n  find it   trial fuzz --plant {slug} --stop-after 1\n",
        bug.ticket(),
        bug.breaks(),
        bug.caught_by()
    )
}
