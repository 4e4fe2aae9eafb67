//! The command `trial`.

use std::process::ExitCode;

fn main() -> ExitCode {
    trial::cli::main()
}
