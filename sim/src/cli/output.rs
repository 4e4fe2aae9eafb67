//! Where does what is said go? The result to standard output, everything else to standard error.

use std::io::{ErrorKind, Write};

use super::Exit;

/// The two streams. A reader that has gone away ends the program quietly.
pub struct Output {
    gone: bool,
    failed: Option<String>,
}

impl Output {
    /// The process's own.
    pub fn new() -> Output {
        Output { gone: false, failed: None }
    }

    /// Says something on standard output. Colours are taken out if nobody sees them.
    pub fn say(&mut self, text: &str) {
        if self.gone || self.failed.is_some() {
            return;
        }
        let mut out = anstream::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            if error.kind() == ErrorKind::BrokenPipe {
                self.gone = true;
            } else {
                self.failed = Some(error.to_string());
            }
        }
    }

    /// Says something on standard error.
    pub fn note(&mut self, text: &str) {
        // Nobody is left to be told that this failed.
        let _ = anstream::stderr().lock().write_all(text.as_bytes());
    }

    /// Says why it does not go on, and with which code.
    pub fn fail(&mut self, exit: Exit, why: &str) -> Exit {
        let style = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Red.into()));
        self.note(&format!("{style}error{style:#}: {why}\n"));
        exit
    }

    /// The code to end with, if everything that was said arrived.
    pub fn close(mut self, exit: Exit) -> Exit {
        match self.failed.take() {
            Some(why) => self.fail(Exit::Usage, &format!("standard output cannot be written: {why}")),
            None => exit,
        }
    }
}

/// Colours a verdict at the beginning of a line; the word itself stays.
pub fn coloured(text: &str) -> String {
    use anstyle::{AnsiColor, Style};
    let words = [("PASS", AnsiColor::Green), ("FAIL", AnsiColor::Red), ("INCONCLUSIVE", AnsiColor::Yellow)];
    for (word, colour) in words {
        if let Some(rest) = text.strip_prefix(word) {
            let style = Style::new().bold().fg_color(Some(colour.into()));
            return format!("{style}{word}{style:#}{rest}");
        }
    }
    text.into()
}
