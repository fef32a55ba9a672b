//! `millrace plugin bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use millrace::cases;
use millrace::trial::Trial;
use serde_json::{Value, json};

use super::{Component, out};
use crate::cli::failed;

const SIZES: [usize; 6] = [1, 16, 64, 256, 1_024, 4_096];
/// The best of several is told, for other work on the machine only slows.
const TRIES: u32 = 5;

#[derive(Args)]
#[command(
    after_help = "It prints nanoseconds a row, the best of several times, for each number of rows that the plugin is \
    given at once:\nits own work, and the way into it and back. Rows that it refuses count too, and those on which it breaks.\n\n\
    Example:\n  millrace plugin bench plugins/flight-features --rows examples/flight-delay/sample.jsonl"
)]
pub struct Options {
    #[command(flatten)]
    component: Component,
    /// Messages with the columns that it reads, one a line
    #[arg(long, value_name = "FILE")]
    rows: PathBuf,
    /// How long each number of rows is measured
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    milliseconds: u64,
    /// Print a JSON array: for each number of rows, nanoseconds and fuel a row
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> Result<(), String> {
    let messages = cases::messages(&options.rows, SIZES[SIZES.len() - 1]).map_err(|error| format!("error: {error}"))?;
    let program = options.component.load()?;
    let mut trial = Trial::of_plugin(&program).map_err(failed)?;
    let outcome = trial.run(&messages).map_err(failed)?;
    let undecoded = outcome.rejects.iter().filter(|refused| refused.stage == "source").collect::<Vec<_>>();
    let rows = messages.len() - undecoded.len();
    if let (0, Some(first)) = (rows, undecoded.first()) {
        return Err(format!("error: {}:{}: {}", options.rows.display(), first.line, first.reason));
    }
    if rows == 0 {
        return Err(format!("error: {} holds no line", options.rows.display()));
    }
    let broke: Vec<_> = outcome.rejects.iter().filter(|refused| refused.code.starts_with("plugin_")).collect();
    let refused = outcome.rejects.len() - undecoded.len() - broke.len();
    out::tell(format_args!(
        "{rows} rows, {refused} refused by the plugin; {} lines are no rows of it",
        undecoded.len()
    ));
    if let Some(first) = broke.first() {
        let said = format!("{}:{}: {}: {}", options.rows.display(), first.line, first.code, first.reason);
        if broke.len() == rows {
            return Err(format!(
                "error: the plugin breaks on every row, so there is nothing to measure; the first: {said}"
            ));
        }
        out::tell(format_args!("the plugin breaks on {} of them, which costs more; the first: {said}", broke.len()));
    }
    if cfg!(debug_assertions) {
        out::tell(
            "this millrace is a debug build: the way into the plugin and back takes many times what it does else",
        );
    }
    let is_row =
        |(number, _): &&(usize, Vec<u8>)| undecoded.binary_search_by_key(number, |refused| refused.line).is_err();
    let messages: Vec<_> = messages.iter().filter(is_row).collect();
    let each = Duration::from_millis(options.milliseconds) / TRIES;
    let mut measured = Vec::new();
    for size in SIZES {
        let rows: Vec<_> = messages.iter().cycle().take(size).map(|message| (*message).clone()).collect();
        let batch = trial.decode(&rows).map_err(failed)?;
        let ns = trial.nanoseconds_a_row(&batch, TRIES, each).map_err(failed)?;
        let fuel = program.figures().fuel;
        trial.nanoseconds_a_row(&batch, 1, Duration::ZERO).map_err(failed)?;
        let fuel = (program.figures().fuel - fuel) / size as u64;
        if !options.json {
            out::print(format!("{size:>6} rows {ns:>12.1} ns a row {fuel:>10} fuel a row\n"))?;
        }
        measured.push(json!({ "rows": size, "ns_per_row": (ns * 10.0).round() / 10.0, "fuel_per_row": fuel }));
    }
    match options.json {
        true => out::print(format!("{}\n", Value::from(measured))).map(drop),
        false => Ok(()),
    }
}
