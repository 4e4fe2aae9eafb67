//! The command `trial`.

use std::process::ExitCode;

/// A run makes and drops many small messages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    trial::cli::main()
}
