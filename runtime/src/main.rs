//! The `millrace` command: load, check, build, run until a signal, drain.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::Cli::parse().run()
}
