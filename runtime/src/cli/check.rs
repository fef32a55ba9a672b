//! `millrace check`.

use std::path::{Path, PathBuf};

use clap::Args;
use millrace::config::{self, Diagnostics, Located};
use millrace::plan::Plan;
use serde::Serialize;

use super::{load, out};

#[derive(Args)]
#[command(after_help = "With --json it prints one object, whatever it found: `file`, `in_order`, `pipeline` and \
    `generation` (null where\nit is not in order), and `diagnostics`: `severity` (error, warning), `message`, `line` and \
    `column` (from 1, or null),\n`label`, `notes`, `help`. Nothing goes to standard error then; the exit code is the \
    same.\n\n\
    Examples:\n  millrace check pipelines/flight-delay.toml\n  \
    millrace check pipelines/flight-delay.toml --json | jq -r '.diagnostics[] | \"\\(.line): \\(.message)\"'")]
pub struct Options {
    /// The pipeline's TOML file
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Said<'a> {
    file: &'a Path,
    in_order: bool,
    pipeline: Option<&'a str>,
    generation: Option<&'a str>,
    diagnostics: Vec<Located<'a>>,
}

pub fn run(options: &Options) -> Result<(), String> {
    if !options.json {
        let plan = load(&options.file)?;
        let said = format!("{}: in order, generation {}\n", options.file.display(), plan.generation);
        return out::print(said).map(drop);
    }
    match config::check(&options.file, &|name| std::env::var(name).ok()) {
        Ok(plan) => print(options, Some(&plan), &plan.warnings),
        // it says on standard output what is wrong
        Err(diagnostics) => print(options, None, &diagnostics).and(Err(String::new())),
    }
}

fn print(options: &Options, plan: Option<&Plan>, diagnostics: &Diagnostics) -> Result<(), String> {
    let said = Said {
        file: &options.file,
        in_order: plan.is_some(),
        pipeline: plan.map(|plan| plan.name.as_str()),
        generation: plan.map(|plan| &*plan.generation),
        diagnostics: diagnostics.located(),
    };
    let said = serde_json::to_string(&said).map_err(|error| format!("error: {error}"))?;
    out::print(said + "\n").map(drop)
}
