//! What does the exit code say?

use std::process::ExitCode;

use crate::report::Verdict;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The expectation was met.
    Ok,
    /// A property failed, or an expected failure did not happen.
    Failed,
    /// Bad command line or bad scenario; clap's own code.
    Usage,
    /// Too little was seen.
    Inconclusive,
    /// The same seed gave another trace.
    NotDeterministic,
    /// A repro or trace of another format version.
    OtherFormat,
    /// A bug in the tool itself.
    Internal,
    /// Interrupted; what was found is saved.
    Interrupted,
    /// For `git bisect run`: this build cannot be judged.
    Skip,
    /// For `git bisect run`: go no further.
    Abort,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Inconclusive => 3,
            Exit::NotDeterministic => 4,
            Exit::OtherFormat => 5,
            Exit::Internal => 70,
            Exit::Interrupted => 130,
            Exit::Skip => 125,
            Exit::Abort => 129,
        }
    }

    /// The same for `git bisect run`, which reads 125 as "cannot say" and everything above 127 as "stop".
    #[must_use]
    pub const fn for_bisect(self) -> Exit {
        match self {
            Exit::Usage | Exit::Inconclusive | Exit::OtherFormat => Exit::Skip,
            Exit::NotDeterministic | Exit::Internal => Exit::Abort,
            exit => exit,
        }
    }

    /// The way of ending that has this code; a bug in the tool for any other.
    pub fn of_code(code: u8) -> Exit {
        use Exit as E;
        let all = [
            E::Ok,
            E::Failed,
            E::Usage,
            E::Inconclusive,
            E::NotDeterministic,
            E::OtherFormat,
            E::Interrupted,
        ];
        all.into_iter().find(|exit| exit.code() == code).unwrap_or(Exit::Internal)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Exit {
        match verdict {
            Verdict::Pass => Exit::Ok,
            Verdict::Fail => Exit::Failed,
            Verdict::Inconclusive => Exit::Inconclusive,
        }
    }
}
