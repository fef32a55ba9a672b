//! Completions for shells and manual pages, made from the commands themselves.

use std::io;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

#[derive(Args)]
#[command(after_help = "Example:\n  millrace completions bash > ~/.local/share/bash-completion/completions/millrace")]
pub struct Completions {
    shell: Shell,
}

#[derive(Args)]
#[command(after_help = "Example:\n  millrace man ~/.local/share/man/man1")]
pub struct Man {
    /// The folder that the pages are written to
    folder: PathBuf,
}

pub fn completions(options: &Completions) {
    clap_complete::generate(options.shell, &mut Cli::command(), "millrace", &mut io::stdout());
}

pub fn man(options: &Man) -> Result<(), String> {
    let failed = |error: io::Error| format!("error: writing manual pages to {}: {error}", options.folder.display());
    std::fs::create_dir_all(&options.folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &options.folder).map_err(failed)
}
