//! `millrace test`, and the way in which `millrace plugin test` runs its cases too.

use std::path::{Path, PathBuf};

use clap::Args;
use millrace::cases::{self, Case, Tolerance};
use millrace::trial::Trial;

use super::{failed, load, out};

/// Models count in 32 bits, and processors do not agree on the last of them.
const TOLERANCE: f64 = 1e-6;

#[derive(Args)]
#[command(
    after_help = "A case is a folder in the pipeline's folder of cases: in.jsonl has messages, out.jsonl the rows that \
    should come\nof them, as the last stage leaves them, rejects.jsonl those that should be refused (line, stage, code, \
    reason).\nThe pipeline's own decoder, plugins and model do the work, and nothing is connected to. Each message is \
    asked in\ncompany and again alone: a pipeline whose answer to a row depends on other rows fails.\n\n\
    Examples:\n  millrace test pipelines/flight-delay.toml\n  \
    millrace test pipelines/flight-delay.toml --bless && git diff pipelines"
)]
pub struct Options {
    /// The pipeline's TOML file
    file: PathBuf,
    /// The folder of cases [default: the file's name with `.cases` for `.toml`]
    #[arg(long, value_name = "FOLDER")]
    cases: Option<PathBuf>,
    #[command(flatten)]
    judging: Judging,
    /// How far a number with a point may be off, in proportion to it
    #[arg(long, value_name = "X", default_value_t = TOLERANCE)]
    tolerance: f64,
}

#[derive(Args)]
pub struct Judging {
    /// What comes out now is what should: write it into the cases
    #[arg(long)]
    bless: bool,
}

pub fn run(options: &Options) -> Result<(), String> {
    let plan = load(&options.file)?;
    let beside = || options.file.with_extension("cases");
    let folder = options.cases.clone().unwrap_or_else(beside);
    options.judging.run(&folder, options.tolerance, |_| Trial::of_pipeline(&plan).map_err(failed))
}

impl Judging {
    /// Each case in a trial of its own.
    pub fn run(
        &self,
        folder: &Path,
        tolerance: f64,
        trial_of: impl Fn(&Case) -> Result<Trial, String>,
    ) -> Result<(), String> {
        let cases = cases::read(folder).map_err(|error| format!("error: {error}"))?;
        let mut failing = 0;
        for case in &cases {
            // one that does not load, by its config for instance, is a case that fails
            let said = trial_of(case).and_then(|mut trial| self.one(case, &mut trial, Tolerance(tolerance)));
            let said = said.unwrap_or_else(|why| why.trim_start_matches("error: ").to_owned() + "\n");
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
    fn one(&self, case: &Case, trial: &mut Trial, tolerance: Tolerance) -> Result<String, String> {
        let found = trial.run(&case.messages).map_err(failed)?;
        if let Some(line) = trial.differs_alone(&case.messages, &found).map_err(failed)? {
            return Ok(format!(
                "line {line} of in.jsonl has another outcome alone than among the others: what becomes of a row may \
                 depend on the row and the config alone\n"
            ));
        }
        if self.bless {
            for file in case.bless(&found).map_err(|error| format!("error: {error}"))? {
                out::tell(format_args!("written: {}", file.display()));
            }
            return Ok(String::new());
        }
        Ok(case.compare(&found, tolerance).unwrap_or_default())
    }
}
