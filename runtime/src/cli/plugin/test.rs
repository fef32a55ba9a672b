//! `millrace plugin test`.

use std::path::PathBuf;

use clap::Args;
use millrace::stage::plugin::build;
use millrace::trial::Trial;

use super::{Limits, NO_CONFIG};
use crate::cli::cases::Judging;
use crate::cli::failed;

#[derive(Args)]
#[command(
    after_help = "A case is a folder in FOLDER/cases: in.jsonl has messages, out.jsonl the rows that should come of \
    them,\nrejects.jsonl those that should be refused (line, stage, code, reason), config.json a config if there is one.\n\
    Each message is asked in company and again alone: a plugin whose answer to a row depends on other rows fails.\n\n\
    Examples:\n  millrace plugin test plugins/flight-features\n  \
    millrace plugin test plugins/flight-features --bless && git diff plugins/flight-features/cases"
)]
pub struct Options {
    /// The plugin's folder
    folder: PathBuf,
    #[command(flatten)]
    judging: Judging,
    /// Take the component as it is
    #[arg(long)]
    no_build: bool,
    /// How far a number with a point may be off, in proportion to it
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    tolerance: f64,
    #[command(flatten)]
    limits: Limits,
}

pub fn run(options: &Options) -> Result<(), String> {
    let component = match options.no_build {
        true => build::component_of(&options.folder),
        false => super::build(&options.folder)?,
    };
    if !component.is_file() {
        // once, and not for each case
        options.limits.load(&component, NO_CONFIG)?;
    }
    options.judging.run(&options.folder.join("cases"), options.tolerance, |case| {
        Trial::of_plugin(&options.limits.load(&component, &case.config)?).map_err(failed)
    })
}
