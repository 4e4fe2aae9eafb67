//! `trial museum`: which historical bugs can be switched back on, and how soon are they found?

mod list;
mod page;
mod show;

use clap::{Args, Subcommand};

use super::{Common, Exit, Output, bench};
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
    /// The story of one bug: what was done, when it shows, how it was mended, where it stands here.
    Show {
        /// Which.
        bug: BugName,
    },
    /// All of them in a table with what the bench has measured, as in `MUSEUM.md`.
    Page(page::Page),
    /// Look for every bug by drawn clusters, with nothing but its name given.
    Bench(bench::Bench),
    /// Show that every check is seen to fail: run the witness that is kept for each.
    Gate(super::gate::Gate),
}

pub fn main(it: &Museum, common: &Common, output: &mut Output) -> Exit {
    match &it.what {
        What::List => {
            list::main(common, output);
            Exit::Ok
        }
        What::Show { bug } => {
            show::main(*bug, common, output);
            Exit::Ok
        }
        What::Page(it) => page::main(it, output),
        What::Bench(it) => bench::main(it, common, output),
        What::Gate(it) => super::gate::main(it, common, output),
    }
}
