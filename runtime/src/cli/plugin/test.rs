//! `millrace plugin test`.

use std::path::PathBuf;

use clap::Args;
use millrace::cases::{self, Case, Tolerance};
use millrace::stage::plugin::{Trial, build};

use super::{Limits, out};
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
    /// What comes out now is what should: write it into the cases
    #[arg(long)]
    bless: bool,
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
    let cases = cases::read(&options.folder.join("cases")).map_err(|error| format!("error: {error}"))?;
    let component = match options.no_build {
        true => build::component_of(&options.folder),
        false => super::build(&options.folder)?,
    };
    let mut failing = 0;
    for case in &cases {
        let program = options.limits.load(&component, &case.config)?;
        let said = one(options, case, &mut Trial::new(&program).map_err(failed)?)?;
        failing += usize::from(!said.is_empty());
        let mark = if said.is_empty() { "ok" } else { "FAILED" };
        out::print(format!("{}: {mark}\n{}", case.name, cases::indented(&said)))?;
    }
    match failing {
        0 => Ok(()),
        _ => Err(format!("error: {failing} of {} cases failed", cases.len())),
    }
}

/// Empty: the case is as it should be.
fn one(options: &Options, case: &Case, trial: &mut Trial) -> Result<String, String> {
    let found = trial.run(&case.messages).map_err(failed)?;
    if let Some(line) = trial.differs_alone(&case.messages, &found).map_err(failed)? {
        return Ok(format!(
            "line {line} of in.jsonl has another outcome alone than among the others: what becomes of a row may depend \
             on the row and the config alone\n"
        ));
    }
    if options.bless {
        for file in case.bless(&found).map_err(|error| format!("error: {error}"))? {
            out::tell(format_args!("written: {}", file.display()));
        }
        return Ok(String::new());
    }
    Ok(case.compare(&found, Tolerance(options.tolerance)).unwrap_or_default())
}
