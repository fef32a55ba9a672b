//! The `millrace` command: load, check, build, run until a signal, drain.

// both panic where nobody reads: `cli::out` is how commands speak
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
