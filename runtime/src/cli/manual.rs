//! Completions for shells and manual pages, made from the commands themselves.

use std::io;
use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use super::{command, out};

#[derive(Args)]
#[command(after_help = "Example:\n  millrace completions bash > ~/.local/share/bash-completion/completions/millrace")]
pub struct Completions {
    /// Which shell reads them
    shell: Shell,
}

#[derive(Args)]
#[command(after_help = "Example:\n  millrace man ~/.local/share/man/man1")]
pub struct Man {
    /// The folder that the pages are written to
    folder: PathBuf,
}

pub fn completions(options: &Completions) -> Result<(), String> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command(), "millrace", &mut script);
    out::print(script).map(drop)
}

pub fn man(options: &Man) -> Result<(), String> {
    let failed = |error: io::Error| format!("error: writing manual pages to {}: {error}", options.folder.display());
    std::fs::create_dir_all(&options.folder).map_err(failed)?;
    clap_mangen::generate_to(command(), &options.folder).map_err(failed)
}
