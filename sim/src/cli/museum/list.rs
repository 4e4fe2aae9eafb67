//! `trial museum list`: which bugs are there?

use serde_json::json;
use trial_model::museum::Bug;

use crate::cli::{Common, Format, Output};

/// A line for each bug: its ticket, the check that catches it, what it breaks.
pub fn main(common: &Common, output: &mut Output) {
    for bug in Bug::ALL {
        output.say(&match common.format {
            Format::Human => {
                format!("{:<44} {:<22} {:<40} {}\n", bug.slug(), bug.ticket(), bug.caught_by(), bug.breaks())
            }
            _ => {
                let (ticket, caught_by, breaks) = (bug.ticket(), bug.caught_by(), bug.breaks());
                let line =
                    json!({ "bug": bug.slug(), "ticket": ticket, "caught_by": caught_by, "breaks": breaks });
                format!("{line}\n")
            }
        });
    }
}
