//! How is a conversation written down? Commands, `----`, what they brought, an empty line.
//!
//! Lines that begin with `#` are for the reader. `TRIAL_REWRITE=1` writes down what came out instead of
//! comparing it; whoever does that reads the difference.

use std::{fmt::Write as _, fs, path::Path};

use super::command::Stage;

/// Holds one conversation; says where it came out otherwise than is written.
pub fn converse(file: &Path, rewrite: bool) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let held = replay(&text);
    if rewrite && held != text {
        fs::write(file, &held).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    if rewrite || held == text { Ok(()) } else { Err(difference(file, &text, &held)) }
}

/// The conversation as it comes out.
fn replay(text: &str) -> String {
    let mut stage = Stage::default();
    let mut out = String::new();
    let mut brought = String::new();
    let mut in_answer = false;
    for line in text.lines() {
        if in_answer {
            in_answer = !line.is_empty();
            if !in_answer {
                out.push('\n');
            }
            continue;
        }
        writeln!(out, "{line}").expect("a string takes everything");
        if line == "----" {
            out.push_str(if brought.is_empty() { "nothing\n" } else { &brought });
            brought.clear();
            in_answer = true;
        } else if !line.is_empty() && !line.starts_with('#') {
            brought.push_str(&stage.run(line));
        }
    }
    out
}

fn difference(file: &Path, written: &str, held: &str) -> String {
    let at = written.lines().zip(held.lines()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| {
        text.lines().enumerate().skip(at.saturating_sub(3)).take(12).fold(
            String::new(),
            |mut all, (nth, line)| {
                let _ = writeln!(all, "{:>5} {line}", nth + 1);
                all
            },
        )
    };
    format!(
        "{} comes out otherwise from line {}.\nwritten:\n{}now:\n{}TRIAL_REWRITE=1 writes it down anew.",
        file.display(),
        at + 1,
        around(written),
        around(held)
    )
}
