//! The command `trial`, where the tests find it.

use std::process::ExitCode;

fn main() -> ExitCode {
    trial::cli::main()
}
